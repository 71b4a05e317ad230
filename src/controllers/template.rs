//! AgentTemplate: its image's digest, its revision, and where its rollout stands. The instances do the rest.
//!
//! Holds: no pass waits for a registry; its answer wakes the template (`inquiries`), and until then its status stays.

use super::context::Context;
use super::ended::Ended;
use super::kind::Kind;
use super::memories::retries::Tried;
use super::paused::of_template;
use super::store::Store;
use super::stores::Stores;
use super::uid::Uid;
use super::unreadable;
use super::wake::Change;
use crate::api::template::{AgentTemplateSpec, ResolvedImage};
use crate::api::{AgentTemplate, AgentTemplateStatus, NamespacedName, Seen};
use crate::cluster::{ClusterError, status, values};
use crate::engine::compose::{Broken, by_digest, registry, revision, template_references};
use crate::engine::persona;
use crate::engine::program::readiness;
use crate::engine::template::{Resolution, news, status as conclude, without_counts};
use crate::model::values::{Seal, Values};
use crate::model::{Done, RegistryCredentials};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::Api;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use secrecy::ExposeSecret;
use std::sync::Arc;
use std::time::Duration;

impl Kind for AgentTemplate {
    const NAME: &'static str = "AgentTemplate";

    fn store(stores: &Stores) -> &Store<AgentTemplate> {
        &stores.templates
    }

    async fn reconcile(
        seen: &Seen<AgentTemplate>,
        ctx: &Arc<Context>,
    ) -> Result<Ended, ClusterError> {
        let namespace = seen.namespace().unwrap_or_default();
        let api = Api::namespaced(ctx.around.client.clone(), &namespace);
        let found = unreadable::get(ctx, &api, "reading the template", seen).await?;
        match found.as_ref().and_then(Seen::read) {
            Some(template) if template.metadata.deletion_timestamp.is_none() => {
                run(ctx, template).await
            }
            _ => Ok(Ended::at_rest()),
        }
    }

    fn conditions(status: &mut AgentTemplateStatus) -> Option<&mut Vec<Condition>> {
        Some(&mut status.conditions)
    }
}

async fn run(ctx: &Arc<Context>, template: &AgentTemplate) -> Result<Ended, ClusterError> {
    let namespace = template.namespace().unwrap_or_default();
    let Some((resolution, again)) = look_up(ctx, template).await? else {
        return Ok(Ended::at_rest());
    };
    let old = template.status.clone().unwrap_or_default();
    let named = match &resolution {
        Resolution::Known { revision, .. } => revision.clone(),
        _ => old.revision.clone().unwrap_or_default(),
    };
    let now = ctx.around.now();
    let standing = ctx.stores.standing(template, &named, now);
    let paused = of_template(ctx, template);
    let new = conclude(template, &resolution, &standing, paused.as_ref(), now);
    let only_counts = template
        .status
        .as_ref()
        .is_some_and(|old| *old != new && without_counts(old) == without_counts(&new));
    let (uid, counted) = (Uid::of(template), &ctx.memories.counted);
    let held_back = match only_counts {
        true => counted.not_before(&uid, now, ctx.around.settings.observe_interval),
        false => None,
    };
    if template.status.as_ref() != Some(&new) && held_back.is_none() {
        status::write(&ctx.around.client, template, &new).await?;
        let heard = news(&old, &new);
        ctx.events.publish(&template.object_ref(&()), &heard).await;
        counted.written(&uid, now);
    }
    // Those whose turn it now is do not see each other: they are woken.
    let turn = standing.turn.iter();
    let turn = turn.map(|name| NamespacedName {
        namespace: namespace.clone(),
        name: name.clone(),
    });
    ctx.stores.tell(&Change::Turn(turn.collect()));
    let next = [standing.deadline, held_back].into_iter().flatten().min();
    let next = next.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
    let next = next.map(|wait| wait + Duration::from_millis(10));
    Ok(Ended::until([again, next].into_iter().flatten().min()))
}

/// What the template's instances are made from, and when to look again by itself. `None`: the registry is being asked.
async fn look_up(
    ctx: &Arc<Context>,
    template: &AgentTemplate,
) -> Result<Option<(Resolution, Option<Duration>)>, ClusterError> {
    let (spec, retries) = (&template.spec, &ctx.memories.retries);
    let Some(runtime) = &spec.runtime else {
        return Ok(Some((persona_alone(ctx, template).await?, None)));
    };
    let namespace = template.namespace().unwrap_or_default();
    let referred = template_references(spec);
    let found = values::read(&ctx.around.client, &namespace, &referred).await?;
    ctx.memories.sources.keep(&namespace, &found);
    let values = values::values(found);
    let credentials =
        registry(runtime, &values).and_then(|shown| readiness(runtime).map(|_| shown));
    let tried = Tried::object(Uid::of(template));
    let about = about(&ctx.around.installation.seal, template, &credentials);
    let asked = ctx.around.now();
    let patience = retries
        .patience(&tried, &about)
        .filter(|patience| patience.until > asked);
    let image = template.status.as_ref().and_then(|old| old.image.clone());
    let known = image.filter(|image| image.requested == runtime.image.as_str());
    let resolution = match (known, credentials, &patience) {
        (_, Err(broken), _) => Resolution::Broken(broken),
        (Some(image), Ok(_), _) => resolve(ctx, spec, image, &values),
        // Woken by something else than the time to ask again.
        (None, Ok(_), Some(patience)) => Resolution::Registry(patience.fault.clone()),
        (None, Ok(credentials), None) => {
            match digest(ctx, template, runtime.image.as_str(), &about, credentials) {
                Some(Ok(image)) => resolve(ctx, spec, image, &values),
                Some(Err(fault)) => Resolution::Registry(fault),
                None => return Ok(None),
            }
        }
    };
    let again = match &resolution {
        Resolution::Known { .. } => {
            retries.clear(&tried);
            None
        }
        // What it refers to is looked at once an interval (`sources`), and its spec wakes it by itself.
        Resolution::Broken(_) | Resolution::Persona => None,
        Resolution::Registry(fault) => {
            let now = ctx.around.now();
            let until = patience.map(|patience| patience.until);
            let until = until.unwrap_or_else(|| retries.failed(&tried, &about, fault, now));
            let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            Some(wait.max(Duration::from_millis(5)))
        }
    };
    Ok(Some((resolution, again)))
}

/// Whether a template that only has a persona can be told to agents: it is said here before a claim names it.
async fn persona_alone(
    ctx: &Context,
    template: &AgentTemplate,
) -> Result<Resolution, ClusterError> {
    let Some(persona) = &template.spec.persona else {
        return Ok(Resolution::Persona);
    };
    let namespace = template.namespace().unwrap_or_default();
    let referred = [persona::sources(persona)];
    let found = values::read(&ctx.around.client, &namespace, &referred).await?;
    let text = persona::instructions(persona, &values::values(found));
    Ok(text.map_or_else(Resolution::Broken, |_| Resolution::Persona))
}

/// Names what is tried: a fault of one try says nothing about another. A corrected Secret changes only the credentials.
fn about(
    seal: &Seal,
    template: &AgentTemplate,
    credentials: &Result<Option<RegistryCredentials>, Broken>,
) -> String {
    let shown = match credentials {
        Ok(Some(shown)) => {
            let RegistryCredentials { username, password } = shown;
            seal.hex(&format!(
                "{}:{username}:{}",
                username.len(),
                password.expose_secret()
            ))
        }
        _ => String::new(),
    };
    format!("{:?} {shown}", template.metadata.generation)
}

/// The image's digest, asked for once for each image that the spec names: when a tag moves, a running fleet does not. `None`:
/// the registry is being asked.
fn digest(
    ctx: &Arc<Context>,
    template: &AgentTemplate,
    requested: &str,
    about: &str,
    credentials: Option<RegistryCredentials>,
) -> Option<Done<ResolvedImage>> {
    let requested = requested.to_owned();
    let namespace = template.namespace().unwrap_or_default();
    let named = ObjectRef::new(&template.name_any()).within(&namespace);
    let uid = Uid::of(template);
    let question = {
        let (ctx, requested) = (Arc::clone(ctx), requested.clone());
        let (uid, named) = (uid.clone(), named.clone());
        async move {
            let there = || {
                let found = ctx.stores.templates.get(&named);
                found.is_some_and(|found| Uid::of(&found) == uid)
            };
            if !there() {
                return None;
            }
            let answer = ctx.registry.digest(&requested, credentials.as_ref()).await;
            there().then_some(answer)
        }
    };
    let told = {
        let (stores, named) = (Arc::clone(&ctx.stores), named.clone());
        move || stores.tell(&Change::Answered(named))
    };
    let answer = ctx
        .memories
        .inquiries
        .answer(&namespace, &uid, about, question, told)?;
    Some(answer.map(|digest| ResolvedImage { requested, digest }))
}

/// What the template's instances are made from.
fn resolve(
    ctx: &Context,
    spec: &AgentTemplateSpec,
    image: ResolvedImage,
    values: &Values,
) -> Resolution {
    tracing::trace!(
        image = by_digest(&image.requested, &image.digest),
        "resolved"
    );
    match revision(&ctx.around.installation.seal, spec, &image.digest, values) {
        Ok(revision) => Resolution::Known { image, revision },
        Err(broken) => Resolution::Broken(broken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    #[test]
    fn a_corrected_pull_secret_is_another_try_and_is_not_repeated() {
        let template: AgentTemplate = serde_json::from_value(serde_json::json!({
            "metadata": {"generation": 3},
            "spec": {"runtime": {"image": "ghcr.io/acme/agent:1"}},
        }))
        .unwrap();
        let seal = Seal(SecretString::from("seal"));
        let shown = |username: &str, password: &str| {
            let shown = RegistryCredentials {
                username: username.to_owned(),
                password: SecretString::from(password),
            };
            about(&seal, &template, &Ok(Some(shown)))
        };
        let wrong = shown("pull", "passwort");
        assert_eq!(wrong, shown("pull", "passwort"));
        assert_ne!(wrong, shown("pull", "password"));
        assert_ne!(wrong, shown("pulls", "passwort"));
        assert_ne!(wrong, about(&seal, &template, &Ok(None)));
        assert!(!wrong.contains("passwort"), "{wrong}");
    }
}
