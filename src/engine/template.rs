//! What is true of a template: its image, its revision, where its rollout stands.
//!
//! What holds: Ready says whether instances can be made from it, and stays True while a rollout has stopped, which is
//! told in its reason; RolledOut is True exactly while every instance that follows is ready at the current revision. A
//! rollout's beginning and end are told once for each revision.

use super::compose::Broken;
use super::rollout::{Failure, RolloutProgress};
use super::{ledger, program, report};
use crate::api::AgentTemplate;
use crate::api::condition::{self, Statement, kind, reason};
use crate::api::template::{AgentTemplateStatus, ResolvedImage, TemplateRollout};
use crate::model::{Announcement, Fault, PausedBy};
use jiff::Timestamp;

/// What was learned about a template's image and values.
#[derive(Clone, Debug)]
pub enum Resolution {
    /// Everything is known.
    Known {
        /// The image.
        image: ResolvedImage,
        /// Names what instances are made from.
        revision: String,
    },
    /// Something that the spec refers to is missing or not usable.
    Broken(Broken),
    /// It only has a persona, which claims can name.
    Persona,
    /// The registry did not tell the digest.
    Registry(Fault),
}

/// The template's status.
pub fn status(
    template: &AgentTemplate,
    resolution: &Resolution,
    standing: &RolloutProgress,
    paused: Option<&PausedBy>,
    now: Timestamp,
) -> AgentTemplateStatus {
    let old = template.status.clone().unwrap_or_default();
    let (instances, updated) = (number(standing.instances), number(standing.updated));
    let mut new = AgentTemplateStatus {
        observed_generation: template.metadata.generation,
        instances: Some(instances),
        updated_instances: Some(updated),
        ..old.clone()
    };
    let mut statements = match resolution {
        Resolution::Known { image, revision } => {
            new.image = Some(image.clone());
            new.revision = Some(revision.clone());
            new.rollout = rollout(old.rollout, revision, standing, now);
            known(image, standing, paused)
        }
        Resolution::Broken(broken) => unusable(broken.reason, &broken.message, true),
        Resolution::Persona => vec![Statement::yes(
            kind::READY,
            reason::READY,
            "a persona alone: claims can name it in personaRef, and no agent is made from it",
        )],
        Resolution::Registry(fault) => {
            let runtime = template.spec.runtime.as_ref();
            let image = runtime.map_or("", |runtime| runtime.image.as_str());
            let text = fault.message();
            match fault {
                Fault::Rejected { .. } | Fault::Missing { .. } => unusable(
                    reason::IMAGE_NOT_FOUND,
                    &format!("runtime.image {image}: {text}; correct the name or the tag"),
                    true,
                ),
                Fault::Denied { .. } => unusable(
                    reason::IMAGE_ACCESS_DENIED,
                    &format!(
                        "runtime.image {image}: {text}; set runtime.imagePullSecretRef to a Secret with credentials that may pull it"
                    ),
                    true,
                ),
                _ => unusable(
                    reason::REGISTRY_UNREACHABLE,
                    &format!("runtime.image {image}: {text}; will be tried again"),
                    false,
                ),
            }
        }
    };
    statements.extend(paused.map(pause));
    statements.extend(template.spec.runtime.as_ref().and_then(program::too_little));
    new.conditions = condition::conclude(
        &old.conditions,
        &statements,
        template.metadata.generation,
        now,
    );
    new
}

/// The newest rollout: begun when somebody is behind, done when nobody is left.
fn rollout(
    old: Option<TemplateRollout>,
    revision: &str,
    standing: &RolloutProgress,
    now: Timestamp,
) -> Option<TemplateRollout> {
    let now = ledger::moment(now);
    let behind = standing.waiting + standing.under_way + standing.passed.len() > 0;
    match old {
        Some(mut this) if this.revision == revision => {
            if this.done_at.is_none() && standing.rolled_out() {
                this.done_at = Some(now);
            }
            Some(this)
        }
        _ if behind => Some(TemplateRollout {
            revision: revision.to_owned(),
            begun_at: now,
            done_at: None,
        }),
        other => other,
    }
}

/// What people should hear of when the status goes from `old` to `new`.
pub fn news(old: &AgentTemplateStatus, new: &AgentTemplateStatus) -> Vec<Announcement> {
    let was_ready = condition::is_true(&old.conditions, kind::READY);
    let mut news = report::transitions(&old.conditions, &new.conditions);
    // While it stays ready, its reason follows the rollout, which has news of its own.
    news.retain(|one| !(was_ready && one.reason == reason::READY));
    let said = condition::find(&new.conditions, kind::ROLLED_OUT);
    let (Some(now), Some(said)) = (&new.rollout, said) else {
        return news;
    };
    let same = old
        .rollout
        .as_ref()
        .filter(|before| before.revision == now.revision);
    if same.is_none() {
        news.push(Announcement {
            warning: false,
            reason: reason::ROLLING_OUT,
            action: "RollOut",
            note: format!(
                "revision {} is being rolled out: {}",
                now.revision, said.message
            ),
        });
    }
    if now.done_at.is_some() && same.is_some_and(|before| before.done_at.is_none()) {
        news.push(Announcement {
            warning: false,
            reason: reason::ROLLED_OUT,
            action: "RollOut",
            note: format!("revision {} is rolled out: {}", now.revision, said.message),
        });
    }
    news
}

/// A status without what changes with every instance that comes, goes or gets ready.
pub fn without_counts(status: &AgentTemplateStatus) -> AgentTemplateStatus {
    let mut status = AgentTemplateStatus {
        instances: None,
        updated_instances: None,
        ..status.clone()
    };
    for one in &mut status.conditions {
        if one.type_ == kind::ROLLED_OUT {
            one.message.clear();
        }
    }
    status
}

fn pause(by: &PausedBy) -> Statement {
    Statement::yes(
        kind::PAUSED,
        reason::PAUSED,
        format!(
            "by {by}: nothing is made, changed or deleted for its instances, and they are still observed"
        ),
    )
}

fn known(
    image: &ResolvedImage,
    standing: &RolloutProgress,
    paused: Option<&PausedBy>,
) -> Vec<Statement> {
    let is = format!("{} is {}", image.requested, image.digest);
    let mut statements = vec![match &standing.failed {
        None => Statement::yes(kind::READY, reason::READY, is),
        Some(_) => Statement::yes(
            kind::READY,
            reason::ROLLOUT_STOPPED,
            format!(
                "{is}; new instances are made from it, and its rollout has stopped: see Progressing"
            ),
        ),
    }];
    if let Some(failure) = &standing.failed {
        let message = stopped(failure);
        statements.push(Statement::no(
            kind::PROGRESSING,
            reason::ROLLOUT_STOPPED,
            message.clone(),
        ));
        statements.push(Statement::yes(
            kind::STALLED,
            reason::ROLLOUT_STOPPED,
            message,
        ));
    } else if let (Some(by), true) = (paused, standing.waiting > 0) {
        let message = format!("the rollout is paused by {by}");
        statements.push(Statement::unknown(
            kind::PROGRESSING,
            reason::PAUSED,
            message,
        ));
    } else if standing.waiting + standing.under_way > 0 {
        let message = "instances are being updated to the current revision";
        statements.push(Statement::yes(
            kind::PROGRESSING,
            reason::ROLLING_OUT,
            message,
        ));
        statements.push(Statement::yes(
            kind::RECONCILING,
            reason::ROLLING_OUT,
            message,
        ));
    } else {
        statements.push(Statement::yes(
            kind::PROGRESSING,
            reason::CURRENT,
            "no instance is being updated; RolledOut says whether all are",
        ));
    }
    statements.push(rolled_out(standing, paused));
    statements
}

fn stopped(failure: &Failure) -> String {
    let Failure { name, reason, .. } = failure;
    format!(
        "the rollout has stopped: {name} was ready, took the current revision, and did not get ready within rollout.progressDeadline ({reason}; its own conditions say more); correct the template, and the next revision goes to {name} first; where the trouble is its own, correct {name}, or set its updatePolicy to Manual or its operatingMode to Suspended, and the rollout goes on"
    )
}

/// How far the current revision has come, in numbers.
fn rolled_out(standing: &RolloutProgress, paused: Option<&PausedBy>) -> Statement {
    let mut message = format!(
        "{} of {} instances that follow are ready at the current revision",
        standing.updated,
        standing.following()
    );
    let mut add = |text: String| {
        message.push_str("; ");
        message.push_str(&text);
    };
    let counts = [
        (standing.under_way, "are being updated"),
        (standing.waiting, "wait for their turn"),
        (standing.coming, "are not ready yet"),
    ];
    for (count, what) in counts.iter().filter(|(count, _)| *count > 0) {
        add(format!("{count} {what}"));
    }
    if let Some(failure) = &standing.failed {
        add(format!("stopped by {}", failure.name));
    }
    if !standing.passed.is_empty() {
        add(format!(
            "passed over until they can take it: {} (TemplateSynced of each, or its account, says why)",
            some(&standing.passed)
        ));
    }
    if !standing.down.is_empty() {
        add(format!(
            "not ready for reasons of their own: {}",
            some(&standing.down)
        ));
    }
    if standing.held > 0 {
        add(format!(
            "{} take no part (updatePolicy Manual, or Suspended)",
            standing.held
        ));
    }
    if standing.rolled_out() {
        return Statement::yes(kind::ROLLED_OUT, reason::ROLLED_OUT, message);
    }
    let why = if standing.failed.is_some() {
        reason::ROLLOUT_STOPPED
    } else if paused.is_some() && standing.waiting > 0 {
        reason::PAUSED
    } else if standing.waiting + standing.under_way > 0 {
        reason::ROLLING_OUT
    } else if standing.passed.is_empty() {
        reason::INSTANCES_NOT_READY
    } else {
        reason::PASSED_OVER
    };
    Statement::no(kind::ROLLED_OUT, why, message)
}

/// The first names of a list, and how many more there are.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn unusable(reason: &'static str, message: &str, person: bool) -> Vec<Statement> {
    let flag = if person {
        kind::STALLED
    } else {
        kind::RECONCILING
    };
    vec![
        Statement::no(kind::READY, reason, message),
        Statement::no(
            kind::ROLLED_OUT,
            reason,
            "the template cannot be used: see Ready",
        ),
        Statement::yes(flag, reason, message),
    ]
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
