//! Credentials with which a private image is pulled, from either form of Secret.

use crate::api::condition::reason;
use crate::api::template::{AgentTemplateSpec, Runtime};
use crate::model::RegistryCredentials;
use crate::model::values::{Source, Values};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use secrecy::{ExposeSecret, SecretString};

/// How a template's agents run.
///
/// # Errors
/// It only has a persona.
pub fn runtime(template: &AgentTemplateSpec) -> Result<&Runtime, Broken> {
    template.runtime.as_ref().ok_or_else(|| Broken {
        reason: reason::NO_RUNTIME,
        message: "the template has a persona and no runtime, so that no agent can be made from it; name another AgentTemplate in templateRef, and this one in the personaRef of claims".to_owned(),
    })
}

/// Pull credentials for the template's image, from either form of Secret.
pub fn registry(runtime: &Runtime, values: &Values) -> Result<Option<RegistryCredentials>, Broken> {
    let Some(reference) = &runtime.image_pull_secret_ref else {
        return Ok(None);
    };
    let broken = |reason: &'static str, what: &str| Broken {
        reason,
        message: format!(
            "runtime.imagePullSecretRef: Secret {} {what}",
            reference.name
        ),
    };
    let data = values
        .get(&Source::Secret(reference.name.0.clone()))
        .ok_or_else(|| {
            broken(
                reason::REFERENCE_NOT_FOUND,
                "does not exist in this namespace; create it, or change the reference",
            )
        })?;
    if let (Some(user), Some(password)) = (data.get("username"), data.get("password")) {
        let username = user.expose_secret().to_owned();
        return Ok(Some(RegistryCredentials {
            username,
            password: password.clone(),
        }));
    }
    let host = runtime.image.as_str().split('/').next().unwrap_or_default();
    data.get(".dockerconfigjson")
        .and_then(|text| docker_config(text.expose_secret(), host))
        .map(Some)
        .ok_or_else(|| {
            broken(
                reason::VALUE_NOT_USABLE,
                &format!("has neither the keys username and password nor a .dockerconfigjson with an entry for {host}"),
            )
        })
}

/// Whether an address in a Docker configuration file is of the registry that an image names.
pub(super) fn same_registry(address: &str, host: &str) -> bool {
    const HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];
    let named = address.strip_prefix("https://").unwrap_or(address);
    let (named, path) = named.split_once('/').unwrap_or((named, ""));
    let whole = matches!(path.trim_end_matches('/'), "" | "v1" | "v2");
    whole && (named == host || HUB.contains(&named) && HUB.contains(&host))
}

/// The entry for a registry in a Docker configuration file.
pub(super) fn docker_config(text: &str, host: &str) -> Option<RegistryCredentials> {
    let file: serde_json::Value = serde_json::from_str(text).ok()?;
    let auths = file.get("auths")?;
    let entry = auths
        .get(host)
        .or_else(|| auths.get(format!("https://{host}")))
        .or_else(|| {
            // `docker login` writes addresses: https://index.docker.io/v1/
            let own = |(name, _): &(&String, &serde_json::Value)| same_registry(name, host);
            auths.as_object()?.iter().find(own).map(|(_, entry)| entry)
        })?;
    let field = |name: &str| {
        entry
            .get(name)
            .and_then(|value| value.as_str())
            .map(str::to_owned)
    };
    let (username, password) = match (field("username"), field("password"), field("auth")) {
        (Some(username), Some(password), _) => (username, password),
        (_, _, Some(auth)) => {
            let text = String::from_utf8(BASE64.decode(auth).ok()?).ok()?;
            let (username, password) = text.split_once(':')?;
            (username.to_owned(), password.to_owned())
        }
        _ => return None,
    };
    Some(RegistryCredentials {
        username,
        password: SecretString::from(password),
    })
}

/// Why a configuration cannot be put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// A stable reason.
    pub reason: &'static str,
    /// Which object, which key, what to do.
    pub message: String,
}
