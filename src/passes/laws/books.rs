//! The living inventory of tools against what is written down: which resource each ledger entry stands for, and which
//! resource each credential opens.
//!
//! What holds: nothing here decides what is right in a story; it counts what differs, and says it without what may differ
//! between two runs that come to the same.

use super::scene::Scene;
use super::shops::Thing;
use crate::api::{LedgerEntry, SlotState};
use crate::model::slot::{FoundBy, SLOTS};
use std::fmt::Write;

/// Whether a variable is one that a tool gives.
pub fn given(name: &str) -> bool {
    SLOTS
        .iter()
        .any(|row| row.gives.names().any(|given| given == name))
}

impl Scene {
    /// Resources that live, or come to be.
    pub fn living(&self) -> Vec<&Thing> {
        let things = self.shops.things.iter();
        things.filter(|one| one.lives(self.now)).collect()
    }

    fn tools_on_record(&self) -> Vec<&LedgerEntry> {
        let status = self
            .object
            .as_ref()
            .and_then(|object| object.status.as_ref());
        let entries = status.iter().flat_map(|status| &status.external);
        entries
            .filter(|entry| entry.slot.as_tool().is_some() && entry.state == SlotState::Exists)
            .collect()
    }

    /// What differs between the ledger and what lives: things without an entry, entries without a thing. What rests and
    /// is nobody's is meant to.
    pub fn difference(&self) -> Vec<String> {
        let mut different = Vec::new();
        let entries = self.tools_on_record();
        for thing in self.living() {
            let of = entries
                .iter()
                .filter(|entry| entry.id.as_ref() == Some(&thing.id))
                .count();
            if of > 1 || of == 0 && !thing.resting {
                different.push(format!("nobody's: {thing:?}"));
            }
        }
        for entry in entries {
            let lives = match entry.row().found_by {
                FoundBy::Kept => self
                    .drawer
                    .get(&entry.slot)
                    .is_some_and(|(kept, _)| Some(&kept.id) == entry.id.as_ref()),
                _ => self
                    .living()
                    .iter()
                    .any(|thing| Some(&thing.id) == entry.id.as_ref()),
            };
            if !lives {
                different.push(format!("nothing: {entry:?}"));
            }
        }
        for thing in self.living() {
            let parent = thing.parent.as_ref();
            if parent.is_some_and(|id| !self.living().iter().any(|one| &one.id == id)) {
                different.push(format!("at something that is gone: {thing:?}"));
            }
        }
        for home in self.provider.projects.iter().filter(|home| !home.deleted) {
            for settings in home.settings.values() {
                for (name, value) in settings.variables.iter().filter(|(name, _)| given(name)) {
                    if self.worth(name, value) != "good" {
                        different.push(format!("{name} is good for nothing: {value}"));
                    }
                }
            }
        }
        different
    }

    /// Whether a given variable's value opens or names something that lives.
    pub fn worth(&self, name: &str, value: &str) -> String {
        let wallet = self
            .drawer
            .values()
            .any(|(kept, secret)| secret == value || kept.address.as_deref() == Some(value));
        let good = match name.starts_with("WALLET") {
            true => wallet,
            false => self
                .living()
                .iter()
                .any(|one| one.secret.as_deref() == Some(value) || one.id == value),
        };
        if good { "good" } else { "good for nothing" }.to_owned()
    }

    /// What lives and what is kept, as text.
    pub fn books(&self) -> String {
        let mut lines: Vec<String> = self
            .living()
            .iter()
            .map(|one| {
                let rests = if one.resting { ", at rest" } else { "" };
                format!(
                    "shop {} {:?}: {:?}{rests}",
                    one.shop, one.part, one.settings
                )
            })
            .collect();
        for (slot, (kept, _)) in &self.drawer {
            lines.push(format!("{} keeps {slot}", kept.secret.clone().unwrap()));
        }
        let status = self
            .object
            .as_ref()
            .and_then(|object| object.status.as_ref());
        for tool in status.iter().flat_map(|status| &status.tools) {
            lines.push(format!(
                "tool {}: {} {} {}, address {}, Secret {:?}",
                tool.name,
                tool.ready,
                tool.reason,
                tool.message,
                tool.address.is_some(),
                tool.secret_ref.as_ref().map(|secret| &secret.name.0),
            ));
        }
        lines.sort();
        lines.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        })
    }

    /// How many live at a provider, of all parts.
    pub fn at(&self, shop: &str) -> usize {
        self.living().iter().filter(|one| one.shop == shop).count()
    }

    /// How often something of a tool was done.
    pub fn done(&self, what: &str) -> u32 {
        self.shops.counts.get(what).copied().unwrap_or(0)
    }
}
