//! One object in the cluster: reading and changing it, and waiting for what it should become.
//!
//! Holds: waiting is by watch with a deadline, never by sleeping, and a wait that failed tells all that a person needs
//! to see why: the conditions, the status, the events, the end of the controller's log.

use std::fmt::Write as _;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use serde_json::Value;
use tokio::time;

use crate::world::World;

/// An object by its kind and name, whether it exists or not.
#[derive(Clone)]
pub struct Object<'w> {
    world: &'w World,
    kind: String,
    namespace: Option<String>,
    name: String,
}

impl<'w> Object<'w> {
    pub(crate) fn new(world: &'w World, kind: &str, namespace: Option<&str>, name: &str) -> Self {
        let namespace = namespace.map(str::to_owned);
        Self {
            world,
            kind: kind.to_owned(),
            namespace,
            name: name.to_owned(),
        }
    }

    /// `Kind namespace/name`, for people.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind, self.name),
            None => format!("{} {}", self.kind, self.name),
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The API of its kind and namespace.
    ///
    /// # Errors
    /// The API server does not know the kind.
    pub async fn api(&self) -> Result<Api<DynamicObject>> {
        self.world
            .cluster()
            .api(&self.kind, self.namespace.as_deref())
            .await
    }

    /// As it is now.
    ///
    /// # Errors
    /// It does not exist.
    pub async fn get(&self) -> Result<DynamicObject> {
        self.find()
            .await?
            .with_context(|| format!("there is no {}", self.title()))
    }

    /// As it is now, if it exists.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn find(&self) -> Result<Option<DynamicObject>> {
        Ok(self.api().await?.get_opt(&self.name).await?)
    }

    /// Changes it by a merge patch.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn patch(&self, change: Value) -> Result<DynamicObject> {
        let api = self.api().await?;
        api.patch(&self.name, &PatchParams::default(), &Patch::Merge(&change))
            .await
            .with_context(|| format!("cannot change {}", self.title()))
    }

    /// Asks for its deletion; one that is gone already is no error.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn delete(&self) -> Result<()> {
        match self
            .api()
            .await?
            .delete(&self.name, &DeleteParams::default())
            .await
        {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other
                .map(drop)
                .with_context(|| format!("cannot delete {}", self.title())),
        }
    }

    /// Waits until the condition of a type has a status, for the generation that the object has.
    ///
    /// # Errors
    /// It has not by then.
    pub async fn wait_condition(
        &self,
        kind: &str,
        status: &str,
        deadline: Duration,
    ) -> Result<DynamicObject> {
        let (kind, status) = (kind.to_owned(), status.to_owned());
        self.wait_until(&format!("{kind} is {status}"), deadline, move |object| {
            condition(object, &kind).is_some_and(|found| {
                let generation = object.metadata.generation;
                let observed = found["observedGeneration"].as_i64();
                found["status"] == status.as_str() && (observed.is_none() || observed == generation)
            })
        })
        .await
    }

    /// Waits until the object is there and something holds of it. `what` completes the sentence "waited until …".
    ///
    /// # Errors
    /// It does not hold by then.
    pub async fn wait_until(
        &self,
        what: &str,
        deadline: Duration,
        holds: impl Fn(&DynamicObject) -> bool,
    ) -> Result<DynamicObject> {
        let holds = |object: Option<&DynamicObject>| object.is_some_and(&holds);
        let found = self.wait(what, deadline, holds).await?;
        found.with_context(|| format!("{} was not given", self.title()))
    }

    /// Waits until it is gone.
    ///
    /// # Errors
    /// It is still there by then.
    pub async fn wait_gone(&self, deadline: Duration) -> Result<()> {
        self.wait("it is gone", deadline, |object: Option<&DynamicObject>| {
            object.is_none()
        })
        .await?;
        Ok(())
    }

    async fn wait(
        &self,
        what: &str,
        deadline: Duration,
        holds: impl Fn(Option<&DynamicObject>) -> bool,
    ) -> Result<Option<DynamicObject>> {
        let api = self.api().await?;
        let started = Instant::now();
        match time::timeout(deadline, await_condition(api, &self.name, holds)).await {
            Ok(held) => held.with_context(|| format!("waiting until {what}: {}", self.title())),
            Err(_) => bail!(
                "waited {:.1} s for {} until {what}\n{}",
                started.elapsed().as_secs_f64(),
                self.title(),
                self.report().await
            ),
        }
    }

    /// Its events, as `type reason (count): message`, oldest first.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn events(&self) -> Result<Vec<String>> {
        // Events about cluster-scoped objects are in `default`.
        let namespace = self.namespace.as_deref().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.world.client()?, namespace);
        let about = format!("involvedObject.name={}", self.name);
        let mut events = api.list(&ListParams::default().fields(&about)).await?.items;
        events.retain(|event| event.involved_object.kind.as_deref() == Some(self.kind.as_str()));
        events.sort_by(|one, other| {
            one.metadata
                .creation_timestamp
                .cmp(&other.metadata.creation_timestamp)
        });
        Ok(events.iter().map(event_line).collect())
    }

    /// All that helps to see why it is not as it should be.
    pub async fn report(&self) -> String {
        let mut report = String::new();
        match self.find().await {
            Ok(Some(object)) => {
                let deleting = object.metadata.deletion_timestamp.is_some();
                let deleting = if deleting { ", being deleted" } else { "" };
                let generation = object.metadata.generation.unwrap_or_default();
                let _ = writeln!(report, "it exists (generation {generation}{deleting})");
                for condition in conditions(&object) {
                    let _ = writeln!(report, "  {}", condition_line(condition));
                }
                let status = serde_yaml_ng::to_string(&object.data["status"]).unwrap_or_default();
                let _ = writeln!(report, "its status:\n{}", indented(&status));
            }
            Ok(None) => report.push_str("it does not exist\n"),
            Err(error) => {
                let _ = writeln!(report, "it cannot be read: {error:#}");
            }
        }
        match self.events().await {
            Ok(events) => {
                let _ = writeln!(report, "its events:\n{}", indented(&events.join("\n")));
            }
            Err(error) => {
                let _ = writeln!(report, "its events cannot be read: {error:#}");
            }
        }
        report.push_str(&self.world.report());
        report
    }
}

/// Polls until something is there. `what` completes the sentence "waited until …"; an error is an answer like "not yet",
/// and the last one is told.
///
/// # Errors
/// It is not there by then.
pub async fn eventually<T, F>(
    what: &str,
    deadline: Duration,
    mut probe: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let started = Instant::now();
    loop {
        let answer = probe().await;
        if let Ok(Some(found)) = answer {
            return Ok(found);
        }
        if started.elapsed() > deadline {
            let waited = format!(
                "waited {:.1} s until {what}",
                started.elapsed().as_secs_f64()
            );
            return match answer {
                Err(error) => Err(error.context(waited)),
                Ok(_) => bail!("{waited}"),
            };
        }
        time::sleep(Duration::from_millis(25)).await;
    }
}

/// The conditions of an object.
pub fn conditions(object: &DynamicObject) -> impl Iterator<Item = &Value> {
    object.data["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
}

/// The condition of a type.
#[must_use]
pub fn condition<'a>(object: &'a DynamicObject, kind: &str) -> Option<&'a Value> {
    conditions(object).find(|condition| condition["type"] == kind)
}

/// A condition for people: `Ready=False Pending: why`.
#[must_use]
pub fn condition_line(condition: &Value) -> String {
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    let (kind, status, reason, message) = (
        text("type"),
        text("status"),
        text("reason"),
        text("message"),
    );
    match message.is_empty() {
        true => format!("{kind}={status} {reason}"),
        false => format!("{kind}={status} {reason}: {message}"),
    }
}

fn event_line(event: &Event) -> String {
    let series = event.series.as_ref().and_then(|series| series.count);
    let count = series.or(event.count).unwrap_or(1);
    format!(
        "{} {} ({count}): {}",
        event.type_.as_deref().unwrap_or("?"),
        event.reason.as_deref().unwrap_or("?"),
        event.message.as_deref().unwrap_or_default()
    )
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
