//! A restored object in its life: it is held until somebody says whose things it may touch, and then goes on as that.
//!
//! Holds: while it is held nothing outside is made, changed or deleted for it.

use super::access::{self, ARRIVAL};
use super::draft::{Draft, Phase, act, wait};
use super::restored::{IdentityState, command, waits_for_a_word};
use super::step::Step;
use super::world::{AccountView, World};
use crate::api::condition::{Statement, kind, reason};
use crate::api::instance::Restored;
use crate::api::{FINALIZER, IDENTITY_ANNOTATION};
use crate::model::Announcement;
use jiff::SignedDuration;
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::ops::ControlFlow::Continue;

/// After so long a held object is looked at again.
pub(super) const SELDOM: SignedDuration = SignedDuration::from_mins(5);

/// After so long an account is asked again to tell of restored objects.
pub(super) const SOON: SignedDuration = SignedDuration::from_secs(1);

/// Ends the plan unless it is clear what the object may touch.
pub(super) fn whose(w: &World, d: &mut Draft) -> Phase {
    let uid = w.instance.uid().unwrap_or_default();
    let identity = match &w.standing {
        IdentityState::Own | IdentityState::Anew => {
            if w.instance.identity() == uid {
                d.status.restored = None;
            }
            w.instance.identity()
        }
        IdentityState::Unread => {
            access::account(w, d)?;
            let created = w.instance.metadata.creation_timestamp.as_ref();
            // Over in a moment, mostly: that is no news.
            if created.is_some_and(|created| created.0 + ARRIVAL > w.now) || w.at_rest() {
                d.unchanged = true;
            } else {
                d.working(
                    reason::PENDING,
                    "its account is being read for the first time",
                );
            }
            return wait(Some(w.now + SOON));
        }
        IdentityState::Taken => {
            usable(w, d)?;
            holds(w)?;
            return held(
                w,
                d,
                reason::IDENTITY_TAKEN,
                w.instance.identity(),
                format!(
                    "the annotation {IDENTITY_ANNOTATION} names what is another living AgentInstance's, so nothing is made, changed or deleted for this one; to let it begin anew, {}",
                    anew(w)
                ),
            );
        }
        IdentityState::Held { identities, word } => {
            usable(w, d)?;
            holds(w)?;
            let mut all = identities.iter();
            let (Some(identity), None) = (all.next(), all.next()) else {
                return held(
                    w,
                    d,
                    reason::IDENTITY_UNCLEAR,
                    String::new(),
                    unclear(w, identities),
                );
            };
            if !word.given {
                let account = w.instance.spec.account_ref.name.as_str();
                let stated = w.instance.annotations().contains_key(IDENTITY_ANNOTATION);
                let owner = match word.since {
                    Some(since) => format!("its owner runs: {}", command(account, since)),
                    // The account tells it first, so that this one is told once.
                    None if stated && waits_for_a_word(&w.instance) => {
                        d.unchanged = true;
                        return wait(Some(w.now + SOON));
                    }
                    // By this one's own word the account knows of it.
                    None => {
                        d.again(w.now + SOON);
                        format!("its owner does what ProviderAccount {account} says")
                    }
                };
                let message = format!(
                    "this object was restored from a backup, or made anew under the name of one that had something outside (as {identity}): nothing is made, changed or deleted for it, because what that one had may be in use elsewhere. To let all such of the account go on with what they had, {owner}; to let this one begin anew, {}",
                    anew(w)
                );
                return held(w, d, reason::RESTORED_ELSEWHERE, identity.clone(), message);
            }
            identity.clone()
        }
    };
    let stated = w.instance.annotations().get(IDENTITY_ANNOTATION);
    if !w.instance.finalizers().iter().any(|name| name == FINALIZER) || stated != Some(&identity) {
        return act(Step::Hold {
            identity: Some(identity),
        });
    }
    if identity != uid {
        take_over(d, identity, uid);
    }
    Continue(())
}

/// Whether the account is for this object at all: else that is what is told.
pub(super) fn usable(w: &World, d: &mut Draft) -> Phase {
    match &w.account {
        AccountView::NotAvailable | AccountView::Elsewhere { .. } => access::account(w, d),
        _ => Continue(()),
    }
}

/// Even what touches nothing outside has a finalizer: whoever deletes it leaves word of what it named.
pub(super) fn holds(w: &World) -> Phase {
    if w.instance.finalizers().iter().any(|name| name == FINALIZER) {
        return Continue(());
    }
    act(Step::Hold { identity: None })
}

pub(super) fn take_over(d: &mut Draft, identity: String, uid: String) {
    let restored = Some(Restored {
        identity,
        taken_over_by: Some(uid),
    });
    if d.status.restored == restored {
        return;
    }
    d.status.restored = restored;
    d.announcements.push(Announcement {
        warning: false,
        reason: reason::TAKEN_OVER,
        action: "TakeOver",
        note: "restored from a backup; it goes on with what it had".into(),
    });
}

pub(super) fn anew(w: &World) -> String {
    format!(
        "kubectl annotate agentinstance {} -n {} --overwrite {IDENTITY_ANNOTATION}={}; what the old one had then stays where it is",
        w.instance.name_any(),
        w.instance.namespace().unwrap_or_default(),
        w.instance.uid().unwrap_or_default()
    )
}

pub(super) fn unclear(w: &World, identities: &BTreeSet<String>) -> String {
    let why = if identities.is_empty() {
        format!("the annotation {IDENTITY_ANNOTATION} names no UID")
    } else {
        let all: Vec<&str> = identities.iter().map(String::as_str).collect();
        format!(
            "projects of this name were made under several UIDs ({}); set the annotation {IDENTITY_ANNOTATION} to the one as which it goes on",
            all.join(", ")
        )
    };
    format!(
        "{why}. Until then nothing is made, changed or deleted for it; to let it begin anew, {}",
        anew(w)
    )
}

/// Says why nothing is done, and nothing of what was so before: it is not looked at.
pub(super) fn held(
    w: &World,
    d: &mut Draft,
    why: &'static str,
    identity: String,
    message: String,
) -> Phase {
    // Should it begin anew, it is known that its ledger may be another's.
    d.status.restored.get_or_insert(Restored {
        identity,
        taken_over_by: None,
    });
    for kind in [
        kind::TOOLS_READY,
        kind::PROJECT_READY,
        kind::DEPLOYED,
        kind::HEALTHY,
        kind::TEMPLATE_SYNCED,
    ] {
        d.say(Statement::unknown(kind, why, "not looked at"));
    }
    d.say(Statement::no(kind::READY, why, message.clone()));
    d.stalled_on(kind::SYNCED, why, message);
    // What it was held for may be taken away by hand, which nobody tells.
    wait(Some(w.now + SELDOM))
}
