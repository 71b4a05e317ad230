//! What the audience sees: plain lines with the seconds since the beginning, and the instances' conditions as they change.
//!
//! Absent: colours and cursor movement; the output is as good in a log as in a terminal.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher;
use world::{Inventory, World, conditions};

/// Conditions that say only that work goes on or repeat another one, and the reason of an agent that is not suspended.
const QUIET: [&str; 3] = ["Reconciling", "Synced", "Running"];

/// Speaks.
#[derive(Clone, Copy)]
pub(crate) struct Narrator(Instant);

impl Narrator {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    /// One line.
    pub(crate) fn say(&self, line: &str) {
        println!("{:>7.1}s  {line}", self.0.elapsed().as_secs_f64());
    }

    /// The beginning of a part of the story.
    pub(crate) fn chapter(&self, title: &str) {
        println!();
        self.say(title);
    }

    /// What lives outside, in one line.
    pub(crate) fn inventory(&self, inventory: &Inventory) {
        self.say(&format!("outside: {}", summary(inventory)));
    }

    /// Tells each change of the instances' conditions, without end.
    pub(crate) async fn follow(self, world: &World) -> Result<()> {
        let api = world.cluster().api("AgentInstance", None).await?;
        let mut known: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let events = watcher(api, watcher::Config::default()).default_backoff();
        let mut events = std::pin::pin!(events.applied_objects());
        while let Some(event) = events.next().await {
            // The watch goes on after an error, from the beginning if need be.
            let Ok(object) = event else {
                continue;
            };
            let before = known.entry(object.name_any()).or_default();
            let now = states(&object);
            let news: Vec<&str> = now
                .iter()
                .filter(|(kind, state)| before.get(*kind) != Some(state))
                .map(|(_, state)| state.as_str())
                .collect();
            if !news.is_empty() {
                self.say(&format!("  {}: {}", object.name_any(), news.join(", ")));
            }
            *before = now;
        }
        Ok(())
    }
}

/// What each condition says, without its message. What is not known yet is no news.
fn states(object: &DynamicObject) -> BTreeMap<String, String> {
    let spoken = conditions(object).filter_map(|condition| {
        let kind = condition["type"].as_str()?;
        let (status, reason) = (condition["status"].as_str()?, condition["reason"].as_str()?);
        let quiet = QUIET.contains(&kind) || QUIET.contains(&reason) || status == "Unknown";
        let said = match reason == kind {
            true => format!("{kind}={status}"),
            false => format!("{kind}={status} ({reason})"),
        };
        (!quiet).then(|| (kind.to_owned(), said))
    });
    spoken.collect()
}

fn summary(inventory: &Inventory) -> String {
    if inventory.is_empty() {
        return "nothing, 0.00 USD a month".to_owned();
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for resource in &inventory.resources {
        *counts.entry(resource.kind.as_str()).or_default() += 1;
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(kind, count)| plural(*count, kind))
        .collect();
    format!(
        "{}, {:.2} USD a month",
        counts.join(", "),
        inventory.monthly_usd()
    )
}

pub(crate) fn plural(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}
