//! AgentTemplate: its image's digest, its revision, and where its rollout stands. The instances do the rest.
//!
//! What holds: no pass waits for a registry; its answer wakes the template (`inquiries`), and until then its status stays.

use super::context::Context;
use super::failures;
use super::unreadable;
use crate::api::template::{AgentTemplateSpec, ResolvedImage};
use crate::api::{AgentTemplate, Seen};
use crate::cluster::{ClusterError, status, values};
use crate::engine::compose::{Broken, by_digest, readiness, references, registry, revision};
use crate::engine::meaning;
use crate::engine::rollout;
use crate::engine::template::{Resolution, news, status as conclude, without_counts};
use crate::model::values::{Seal, Values};
use crate::model::{Done, RegistryCredentials};
use jiff::{SignedDuration, Timestamp};
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use secrecy::ExposeSecret;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Reconciles one template.
pub async fn reconcile(
    template: Arc<Seen<AgentTemplate>>,
    ctx: Arc<Context>,
) -> Result<Action, Infallible> {
    ctx.caches_read().await;
    let begun = Instant::now();
    let result = run(&template, &ctx).await;
    let (outcome, action) = match result {
        Ok(action) => {
            failures::none(&ctx, template.as_ref());
            ("done", action)
        }
        Err(error) => {
            if let Some(template) = template.read() {
                refused(&ctx, template, &error).await;
            }
            failures::again(&ctx, template.as_ref(), &error).await
        }
    };
    ctx.gauge
        .reconciled("AgentTemplate", outcome, begun.elapsed());
    Ok(action)
}

async fn run(watched: &Seen<AgentTemplate>, ctx: &Arc<Context>) -> Result<Action, ClusterError> {
    let namespace = watched.namespace().unwrap_or_default();
    let api = Api::namespaced(ctx.client.clone(), &namespace);
    let Some(Seen::Read(template)) =
        unreadable::get(ctx, &api, "reading the template", watched).await?
    else {
        return Ok(Action::await_change());
    };
    if template.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let values = values::read(
        &ctx.client,
        &namespace,
        &references(Some(&template.spec.runtime), &template.spec.env),
    )
    .await?;
    let old = template.status.clone().unwrap_or_default();
    let runtime = &template.spec.runtime;
    let credentials = registry(runtime, &values)
        .and_then(|shown| readiness(&runtime.contract.health).map(|_| shown));
    let uid = template.uid().unwrap_or_default();
    let about = about(&ctx.installation.seal, &template, &credentials);
    let asked = ctx.now();
    let patience = ctx
        .retries
        .patience(&uid, &about)
        .filter(|patience| patience.until > asked);
    let known = old
        .image
        .clone()
        .filter(|image| image.requested == runtime.image.as_str());
    let resolution = match (known, credentials, &patience) {
        (_, Err(broken), _) => Resolution::Broken(broken),
        (Some(image), Ok(_), _) => resolve(ctx, &template.spec, image, &values),
        // Woken by something else than the time to ask again.
        (None, Ok(_), Some(patience)) => Resolution::Registry(patience.fault.clone()),
        (None, Ok(credentials), None) => match digest(ctx, &template, &about, credentials) {
            Some(Ok(image)) => resolve(ctx, &template.spec, image, &values),
            Some(Err(fault)) => Resolution::Registry(fault),
            None => return Ok(Action::await_change()),
        },
    };
    let all = ctx.instances.state();
    let members = rollout::members(&template, all.iter().map(AsRef::as_ref));
    let (named, again) = match &resolution {
        Resolution::Known { revision, .. } => {
            ctx.retries.clear(&uid);
            (revision.clone(), None)
        }
        Resolution::Broken(_) => (
            old.revision.clone().unwrap_or_default(),
            Some(Duration::from_secs(60)),
        ),
        Resolution::Registry(fault) => {
            let until = match &patience {
                Some(patience) => patience.until,
                None => ctx.retries.failed(&uid, &about, fault, ctx.now()),
            };
            let wait = Duration::try_from(until.duration_since(ctx.now()));
            (
                old.revision.clone().unwrap_or_default(),
                Some(wait.unwrap_or_default().max(Duration::from_millis(5))),
            )
        }
    };
    let now = ctx.now();
    let usable = |account: &str| ctx.usable(account);
    let standing = rollout::standing(&template.spec.rollout, &named, &members, &usable, now);
    let new = conclude(&template, &resolution, &standing, now);
    let only_counts = template
        .status
        .as_ref()
        .is_some_and(|old| *old != new && without_counts(old) == without_counts(&new));
    let uid = template.uid().unwrap_or_default();
    let held_back = if only_counts {
        ctx.counted
            .not_before(&uid, now, ctx.settings.observe_interval)
    } else {
        None
    };
    if template.status.as_ref() != Some(&new) && held_back.is_none() {
        status::write_template(&ctx.client, &template, &new).await?;
        let heard = news(&old, &new);
        ctx.events.publish(&template.object_ref(&()), &heard).await;
        ctx.counted.written(&uid, now);
    }
    // Those whose turn it now is do not see each other: they are woken.
    for name in &standing.turn {
        ctx.wake.instance(&namespace, name);
    }
    let next = [standing.deadline, held_back].into_iter().flatten().min();
    let next = next.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
    let again = [again, next.map(|wait| wait + Duration::from_millis(10))]
        .into_iter()
        .flatten()
        .min();
    Ok(again.map_or_else(Action::await_change, Action::requeue))
}

/// Says in the status what the API server refuses. Where it refuses that, too, the event has to do.
async fn refused(ctx: &Context, template: &AgentTemplate, error: &ClusterError) {
    let ClusterError::Refused { what, refusal } = error else {
        return;
    };
    let mut new = template.status.clone().unwrap_or_default();
    let generation = template.metadata.generation;
    let fault = refusal.fault(what);
    new.conditions = meaning::refused(&new.conditions, &fault, generation, ctx.now());
    if template.status.as_ref() != Some(&new)
        && let Err(error) = status::write_template(&ctx.client, template, &new).await
    {
        tracing::debug!(%error, "a refusal is not told in the status");
    }
}

/// When instances were last counted, by template. Counts alone are written at most once an interval: they change with
/// every instance that comes, goes or gets ready, and nobody waits for them.
#[derive(Debug, Default)]
pub struct Counted(Mutex<HashMap<String, Timestamp>>);

impl Counted {
    /// `None`: they may be written now, and count as written. Else: not before this.
    fn not_before(&self, uid: &str, now: Timestamp, interval: Duration) -> Option<Timestamp> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = *written.get(uid)? + SignedDuration::try_from(interval).ok()?;
        if next > now {
            return Some(next);
        }
        written.insert(uid.to_owned(), now);
        None
    }

    /// They were written, together with something else.
    fn written(&self, uid: &str, now: Timestamp) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.insert(uid.to_owned(), now);
    }
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
    about: &str,
    credentials: Option<RegistryCredentials>,
) -> Option<Done<ResolvedImage>> {
    let requested = template.spec.runtime.image.as_str().to_owned();
    let (namespace, name) = (
        template.namespace().unwrap_or_default(),
        template.name_any(),
    );
    let uid = template.uid().unwrap_or_default();
    let question = {
        let (ctx, requested) = (Arc::clone(ctx), requested.clone());
        let (uid, named) = (uid.clone(), ObjectRef::new(&name).within(&namespace));
        async move {
            let there = || {
                let found = ctx.templates.get(&named).and_then(|found| found.uid());
                found.as_ref() == Some(&uid)
            };
            if !there() {
                return None;
            }
            let answer = ctx.registry.digest(&requested, credentials.as_ref()).await;
            there().then_some(answer)
        }
    };
    let told = {
        let (wake, namespace) = (ctx.wake.clone(), namespace.clone());
        move || wake.template(&namespace, &name)
    };
    let answer = ctx
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
    match revision(&ctx.installation.seal, spec, &image.digest, values) {
        Ok(revision) => Resolution::Known { image, revision },
        Err(broken) => Resolution::Broken(broken),
    }
}

/// `reconcile` gives every error its time itself.
pub fn on_error(_: Arc<Seen<AgentTemplate>>, error: &Infallible, _: Arc<Context>) -> Action {
    match *error {}
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
