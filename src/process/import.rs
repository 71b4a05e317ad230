//! `yardmaster import --from-railway`: reads a workspace once and prints the manifests that adopt what a predecessor runs
//! there.
//!
//! What holds: nothing is changed anywhere; manifests go to standard output and nothing else does, so that they can be
//! kept in Git or piped into kubectl; a listing that Railway's own count contradicts is refused. The token comes from a
//! file or the environment, never from the command line, where every process of the machine could read it. Deliberately
//! absent: which names are the predecessor's (`engine::import`), and Kubernetes.

use super::https;
use crate::api::account::{AdoptionPolicy, MOST_ADOPTABLE};
use crate::api::instance::Ownership;
use crate::api::text::OutsideId;
use crate::engine::import::{Import, ImportOptions, import};
use crate::railway::{AccountSettings, Gateway};
use crate::wire::Connection;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where the token is, if no file is named: as Railway's own command line has it.
pub const TOKEN_VARIABLE: &str = "RAILWAY_API_TOKEN";

/// Whose the projects are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OwnershipFlag {
    /// The agents' alone: they go with their instances.
    Dedicated,
    /// Others live in them: they stay.
    Shared,
}

/// The flags of `yardmaster import`.
#[derive(Debug, Args)]
pub struct ImportFlags {
    /// Read a Railway workspace.
    #[arg(long, required = true)]
    from_railway: bool,

    /// The workspace's id.
    #[arg(long, value_name = "ID")]
    workspace: String,

    /// A file with a token of the workspace; without it, the token is taken from RAILWAY_API_TOKEN.
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,

    /// The namespace of the manifests.
    #[arg(long, value_name = "NAME")]
    namespace: String,

    /// The ProviderAccount of the workspace.
    #[arg(long, value_name = "NAME")]
    account: String,

    /// The AgentTemplate that the instances get, and follow once you set their updatePolicy to Automatic.
    #[arg(long, value_name = "NAME")]
    template: String,

    /// Whose the projects are [default: dedicated where a project has one service, shared otherwise].
    #[arg(long, value_name = "WHOSE")]
    ownership: Option<OwnershipFlag>,

    /// Only agents whose name begins so; may be given several times.
    #[arg(long, value_name = "PREFIX")]
    name_prefix: Vec<String>,
}

/// What is printed: manifests, and a summary for standard error.
#[derive(Debug)]
pub struct Printed {
    /// YAML documents and comments.
    pub manifests: String,
    /// One line.
    pub summary: String,
}

/// Reads the workspace and writes the manifests.
///
/// # Errors
/// A sentence with its remedy: no token, Railway refuses or cannot be reached, or its listing is short.
pub async fn run(
    flags: ImportFlags,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Printed, String> {
    let token = token(&flags, environment)?;
    let http = https::client().map_err(|error| error.to_string())?;
    let settings = AccountSettings {
        workspace: flags.workspace.clone(),
        requests_per_hour: 1_000,
        requests_per_second: 5,
        project_interval: Duration::ZERO,
    };
    let patience = Duration::from_secs(60);
    let connection = Connection::of_an_onlooker(http, patience, Arc::new(Timestamp::now));
    let railway = Gateway::new(settings, vec![token], connection);
    let reading = |why: String| {
        format!(
            "reading workspace {}: {why}; check --workspace and the token",
            flags.workspace
        )
    };
    let listing = railway.search().await;
    let listing = listing.map_err(|fault| reading(fault.to_string()))?;
    let options = ImportOptions {
        namespace: flags.namespace,
        account: flags.account,
        template: flags.template,
        ownership: flags.ownership.map(|flag| match flag {
            OwnershipFlag::Dedicated => Ownership::Dedicated,
            OwnershipFlag::Shared => Ownership::Shared,
        }),
        prefixes: flags.name_prefix,
    };
    printed(
        &flags.workspace,
        &options.account,
        &import(&listing.homes, &options),
    )
}

fn token(
    flags: &ImportFlags,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<SecretString, String> {
    let text = match &flags.token_file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| format!("--token-file {}: {error}", path.display()))?,
        None => environment(TOKEN_VARIABLE).unwrap_or_default(),
    };
    if text.trim().is_empty() {
        return Err(format!(
            "there is no token; name a file with --token-file, or set {TOKEN_VARIABLE}"
        ));
    }
    Ok(SecretString::from(text))
}

/// What whoever may change the account pipes into kubectl, in a comment: the manifests are applied by somebody else as a rule.
fn listing_patch(account: &str, ids: &BTreeSet<&OutsideId>) -> Result<String, String> {
    if ids.len() > MOST_ADOPTABLE {
        return Err(format!(
            "{} projects are to be adopted, and ProviderAccount {account} can list {MOST_ADOPTABLE} at a time; take a part of the fleet with --name-prefix",
            ids.len()
        ));
    }
    if ids.is_empty() {
        return Ok(String::new());
    }
    let patch = json!({"spec": {"adoption": {"policy": AdoptionPolicy::Listed, "ids": ids}}});
    Ok(format!(
        "# First, whoever may change ProviderAccount {account} lets this be adopted. It replaces the list that stands there; what was\n\
         # adopted before stays. With this file as fleet.yaml:\n\
         # sed -n 's/^#patch //p' fleet.yaml | kubectl patch provideraccount {account} --type=merge --patch-file=/dev/stdin\n\
         #patch {patch}\n"
    ))
}

fn printed(workspace: &str, account: &str, import: &Import) -> Result<Printed, String> {
    let mut manifests = listing_patch(account, &import.ids())?;
    manifests.push_str(&format!(
        "# Agents in Railway workspace {workspace}, to be adopted as they are. Applying this changes nothing there.\n\
         # Keys, inboxes and numbers of an agent are not seen at Railway: take their ids from the predecessor's table\n\
         # instance_services and add them as adopt.tools (name: the tool's in the template, id: the provider's) before\n\
         # you apply, because adopt cannot be changed later; and list them in spec.adoption of those tools' accounts.\n"
    ));
    for (what, why) in &import.skipped {
        // A name comes from outside: it must not end the comment.
        let line: String = format!("# skipped {what}: {why}")
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        manifests.push_str(&line);
        manifests.push('\n');
    }
    for instance in &import.instances {
        manifests.push_str("---\n");
        let text = serde_yaml_ng::to_string(instance).map_err(|error| error.to_string())?;
        manifests.push_str(&text);
    }
    Ok(Printed {
        manifests,
        summary: format!(
            "{} agents to adopt, {} projects skipped; nothing was changed",
            import.instances.len(),
            import.skipped.len()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_outside_cannot_leave_its_comment() {
        let import = Import {
            instances: Vec::new(),
            skipped: vec![("x\n---\nkind: Secret".to_owned(), "why".to_owned())],
        };
        let text = printed("w", "main", &import).unwrap().manifests;
        assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
    }

    #[test]
    fn an_account_is_asked_to_list_no_more_than_it_can() {
        let ids: Vec<OutsideId> = (0..=MOST_ADOPTABLE)
            .map(|n| OutsideId::from(format!("p{n}").as_str()))
            .collect();
        let patch = listing_patch("main", &ids.iter().take(MOST_ADOPTABLE).collect()).unwrap();
        assert!(patch.contains(r#"#patch {"spec":{"adoption":{"ids":["p0","p1","p10","#));
        let refused = listing_patch("main", &ids.iter().collect()).unwrap_err();
        assert!(refused.contains("--name-prefix"), "{refused}");
    }
}
