//! AgentTemplate: its image's digest, its revision, and where its rollout stands. The instances do the rest.

use super::context::Context;
use super::failures;
use super::unreadable;
use crate::api::template::{AgentTemplateSpec, ResolvedImage};
use crate::api::{AgentTemplate, AgentTemplateStatus, Seen};
use crate::cluster::{ClusterError, status, values};
use crate::engine::compose::{by_digest, readiness, references, registry, revision};
use crate::engine::report;
use crate::engine::rollout;
use crate::engine::template::{Resolution, news, status as conclude, without_counts};
use crate::model::values::Values;
use jiff::{SignedDuration, Timestamp};
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
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

async fn run(watched: &Seen<AgentTemplate>, ctx: &Context) -> Result<Action, ClusterError> {
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
    let (uid, about) = (template.uid().unwrap_or_default(), about(&template));
    let asked = ctx.now();
    let patience = ctx
        .retries
        .patience(&uid, &about)
        .filter(|patience| patience.until > asked);
    let resolution = match &patience {
        // Woken by something else than the time to ask again.
        Some(patience) if !resolved(&template.spec, &old) => {
            Resolution::Registry(patience.fault.clone())
        }
        _ => resolve(ctx, &template.spec, &old, &values).await,
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
    new.conditions = report::refused(&new.conditions, &fault, generation, ctx.now());
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

/// Names what is tried: a fault of one try says nothing about another.
fn about(template: &AgentTemplate) -> String {
    format!("{:?}", template.metadata.generation)
}

/// Whether the image that the spec names has been resolved.
fn resolved(spec: &AgentTemplateSpec, old: &AgentTemplateStatus) -> bool {
    let requested = spec.runtime.image.as_str();
    old.image
        .as_ref()
        .is_some_and(|image| image.requested == requested)
}

/// The image's digest and the revision. A tag is asked for once for each image that the spec names: when it moves, a
/// running fleet does not.
async fn resolve(
    ctx: &Context,
    spec: &AgentTemplateSpec,
    old: &AgentTemplateStatus,
    values: &Values,
) -> Resolution {
    let requested = spec.runtime.image.as_str();
    let credentials = match registry(&spec.runtime, values) {
        Ok(credentials) => credentials,
        Err(broken) => return Resolution::Broken(broken),
    };
    if let Err(broken) = readiness(&spec.runtime.contract.health) {
        return Resolution::Broken(broken);
    }
    let known = old
        .image
        .clone()
        .filter(|image| image.requested == requested);
    let image = match known {
        Some(image) => image,
        None => match ctx.registry.digest(requested, credentials.as_ref()).await {
            Ok(digest) => ResolvedImage {
                requested: requested.to_owned(),
                digest,
            },
            Err(fault) => return Resolution::Registry(fault),
        },
    };
    tracing::trace!(image = by_digest(requested, &image.digest), "resolved");
    match revision(&ctx.installation.seal, spec, &image.digest, values) {
        Ok(revision) => Resolution::Known { image, revision },
        Err(broken) => Resolution::Broken(broken),
    }
}

/// `reconcile` gives every error its time itself.
pub fn on_error(_: Arc<Seen<AgentTemplate>>, error: &Infallible, _: Arc<Context>) -> Action {
    match *error {}
}
