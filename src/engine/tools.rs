//! The agent's tools: each of their resources is made, found again, kept in order and taken back by what its row in the
//! slot table says, whatever it is. A tool more is a row more, and nothing here.
//!
//! What holds: an attempt of unknown outcome is looked up before anything is made again; a credential is in the
//! instance's Secret before the ledger says `Exists`; what holds an address, a number or money is never made a second time
//! by itself; one tool's trouble holds up the others only where the agent is of no use without it.

use super::ledger;
use super::plan::{Draft, Phase, RECHECK, act, wait};
use super::step::Step;
use super::world::{Desired, ToolAccount, World};
use super::{adopt, report, retry, teardown};
use crate::api::condition::{Statement, kind, reason};
use crate::api::instance::{OnExternalDeletion, OperatingMode, ToolStatus, ToolUsage};
use crate::api::template::{NameRef, ReclaimPolicy, ToolSpec, ToolTime};
use crate::api::text::ObjectName;
use crate::api::{
    AgentInstanceSpec, AgentInstanceStatus, LedgerEntry, Part, Slot, SlotState, ToolSlot,
};
use crate::model::marker;
use crate::model::slot::{self, FoundBy, SlotRow, Undo};
use crate::model::tool::{Kept, Named, Order, Resource, Stage, Wanted, Wish};
use crate::model::{Announcement, Fault};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::ops::ControlFlow::{Break, Continue};

/// Attempts after which something that costs money by the piece is not ordered again: whatever goes wrong there will not
/// mend by buying.
const MOST_ORDERS: i32 = 3;

/// What has been spent is brought up to date this often at most.
pub const USAGE_EVERY: SignedDuration = SignedDuration::from_mins(5);

/// Whether the credentials are still in their Secrets is looked at this often.
const SECRETS_EVERY: SignedDuration = SignedDuration::from_mins(10);

/// A tool that is asked for and cannot be had so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its name.
    pub tool: String,
    /// Why, and what to do.
    pub message: String,
}

/// The tools that an instance shall have now, and what it asks for in vain.
pub fn wanted(
    tools: &[ToolSpec],
    spec: &AgentInstanceSpec,
    name: &str,
) -> (Vec<Wanted>, Vec<Refusal>) {
    let mut refused = Vec::new();
    let known = |name: &str| tools.iter().find(|tool| tool.name.as_str() == name);
    for asked in &spec.requested_tools {
        if known(asked.as_str()).is_none() {
            refused.push(Refusal {
                tool: asked.0.clone(),
                message: format!("requestedTools names {asked}, which the template does not have; correct the name or add the tool to the template"),
            });
        }
    }
    for own in &spec.tool_limits {
        if known(own.name.as_str()).is_none_or(|tool| tool.limit_usd.is_none()) {
            refused.push(Refusal {
                tool: own.name.0.clone(),
                message: format!("toolLimits names {}, which is no tool of the template with a limitUSD; correct the name, or take it away", own.name),
            });
        }
    }
    for own in spec.adopt.iter().flat_map(|adopt| &adopt.tools) {
        if known(own.name.as_str()).is_none_or(|tool| tool.account_ref.is_none()) {
            refused.push(Refusal {
                tool: own.name.0.clone(),
                message: format!("adopt.tools names {}, which is no tool of the template at a provider; add it to the template", own.name),
            });
        }
    }
    let mut wanted = Vec::new();
    for tool in tools {
        let asked = spec.requested_tools.contains(&tool.name);
        if tool.when == ToolTime::OnDemand && !asked {
            continue;
        }
        let limit = match limit(tool, spec) {
            Ok(limit) => limit,
            Err(message) => {
                refused.push(Refusal {
                    tool: tool.name.0.clone(),
                    message,
                });
                tool.max_limit_usd.or(tool.limit_usd).unwrap_or(0.0)
            }
        };
        let adopt = spec
            .adopt
            .iter()
            .flat_map(|adopt| &adopt.tools)
            .find(|adopted| adopted.name == tool.name)
            .map(|adopted| adopted.id.0.clone());
        wanted.push(Wanted {
            name: tool.name.0.clone(),
            kind: tool.kind,
            account: tool
                .account_ref
                .as_ref()
                .map(|account| account.name.0.clone())
                .unwrap_or_default(),
            required: tool.required,
            reclaim: tool.reclaim_policy.unwrap_or_default(),
            parts: parts_of(tool, adopt.is_some()),
            wish: wish(tool, limit, name),
            adopt,
        });
    }
    (wanted, refused)
}

fn limit(tool: &ToolSpec, spec: &AgentInstanceSpec) -> Result<f64, String> {
    let usual = tool.limit_usd.unwrap_or(0.0);
    let Some(own) = spec.tool_limits.iter().find(|own| own.name == tool.name) else {
        return Ok(usual);
    };
    let most = tool.max_limit_usd.unwrap_or(usual);
    if own.limit_usd > most {
        return Err(format!(
            "toolLimits asks for {} US dollars for {}, and the template allows {most}, which is what it gets; ask for less, or raise maxLimitUSD there",
            own.limit_usd, tool.name
        ));
    }
    Ok(own.limit_usd)
}

fn wish(tool: &ToolSpec, limit_usd: f64, instance: &str) -> Wish {
    use crate::api::template::ToolKind;
    match tool.kind {
        ToolKind::Openrouter => Wish::Openrouter { limit_usd },
        ToolKind::Exa => Wish::Exa {
            rate_limit: tool.rate_limit,
            budget_usd: tool.budget_usd,
        },
        ToolKind::Agentmail => Wish::Agentmail {
            username: tool
                .username
                .as_ref()
                .map(|first| format!("{first}-{instance}")),
            key: tool.inbox_key != Some(false),
        },
        ToolKind::Telnyx => Wish::Telnyx {
            country: tool
                .country_code
                .as_ref()
                .map_or_else(|| "US".to_owned(), |code| code.0.clone()),
            area: tool.area_code.as_ref().map(|code| code.0.clone()),
            max_monthly_usd: tool.max_monthly_cost_usd,
        },
        ToolKind::Wallet => Wish::Wallet,
        ToolKind::Bankr => Wish::Bankr,
    }
}

/// The parts that a tool has. One that is taken over is taken as it is: only the thing itself.
fn parts_of(tool: &ToolSpec, adopted: bool) -> Vec<Part> {
    slot::parts(tool.kind.provider())
        .map(|(part, _)| part)
        .filter(|part| *part == Part::Main || !adopted)
        .filter(|part| {
            *part != Part::Key
                || tool.kind != crate::api::template::ToolKind::Agentmail
                || tool.inbox_key != Some(false)
        })
        .collect()
}

/// What keeps a resource from being as it should.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// Whether a person has to do something.
    pub(super) person: bool,
    /// Whether the agent could be deployed all the same: what it is given is complete.
    complete: bool,
    pub(super) wake: Option<Timestamp>,
}

impl Held {
    fn waits(reason: &'static str, message: impl Into<String>, wake: Timestamp) -> Held {
        Held {
            reason,
            message: message.into(),
            person: false,
            complete: false,
            wake: Some(wake),
        }
    }

    fn person(reason: &'static str, message: impl Into<String>) -> Held {
        Held {
            person: true,
            wake: None,
            ..Held::waits(reason, message, Timestamp::UNIX_EPOCH)
        }
    }

    fn of(fault: &Fault, wake: Option<Timestamp>) -> Held {
        let (reason, person, message) = report::meaning(fault);
        Held {
            reason,
            message,
            person,
            complete: false,
            wake,
        }
    }

    fn but_complete(self) -> Held {
        Held {
            complete: true,
            ..self
        }
    }
}

/// A step, or how the resource is.
type Slotted = std::ops::ControlFlow<Step, Result<(), Held>>;

/// A resource of a tool, with all that is known about what it should be.
struct Subject<'a> {
    tool: &'a Wanted,
    slot: Slot,
    part: Part,
    row: &'static SlotRow,
}

fn subjects<'a>(wanted: &'a [Wanted]) -> Vec<Subject<'a>> {
    let mut all: Vec<Subject<'a>> = wanted
        .iter()
        .flat_map(|tool| {
            slot::parts(tool.kind.provider())
                .filter(|(part, _)| tool.parts.contains(part))
                .filter_map(move |(part, row)| {
                    let slot = Slot::tool(&tool.name, part)?;
                    Some(Subject {
                        tool,
                        slot,
                        part,
                        row,
                    })
                })
        })
        .collect();
    all.sort_by_key(|subject| subject.row.rank);
    all
}

/// Makes sure of every tool that the instance shall have. `follows`: whether it takes what its template says now.
pub(super) fn provide(w: &World, d: &mut Draft, follows: bool) -> Phase {
    let Some(wanted) = &w.tools.wanted else {
        return Continue(());
    };
    let subjects = subjects(wanted);
    if follows {
        intend(w, d, &subjects);
    }
    let mut held: Vec<(&Subject<'_>, Held)> = Vec::new();
    for subject in &subjects {
        let known = ledger::entry(&d.status, subject.slot).is_some();
        if !follows && !known && subject.tool.adopt.is_none() {
            continue;
        }
        match one(w, d, subject) {
            Break(step) => return act_on(d, subject, step),
            Continue(Ok(())) => {}
            Continue(Err(why)) => held.push((subject, why)),
        }
    }
    not_tried(w, d);
    if !w.tools.kept.is_empty() {
        // Nobody tells that a Secret was deleted: to be told, one would have to be allowed to read every Secret.
        d.again(w.now + SECRETS_EVERY);
    }
    tell(w, d, wanted, &held);
    if w.tools.regather || lacks(w, d, &subjects) {
        // What was just made reaches the agent as values, and those are gathered when a pass begins.
        return wait(Some(w.now));
    }
    conclude(w, d, &held)
}

/// Whether what exists by now gives the agent something that was not there yet when its values were gathered: what an
/// earlier attempt left was found, say.
fn lacks(w: &World, d: &Draft, subjects: &[Subject<'_>]) -> bool {
    let Desired::Composed(composed) = &w.desired else {
        return false;
    };
    let names = composed.names();
    subjects.iter().any(|subject| {
        let Some(entry) =
            ledger::entry(&d.status, subject.slot).filter(|entry| entry.state == SlotState::Exists)
        else {
            return false;
        };
        let gives = subject.row.gives;
        let told = d
            .status
            .tools
            .iter()
            .find(|told| told.name == subject.tool.name);
        let address = told.and_then(|told| told.address.as_ref());
        let given = [
            gives.secret.filter(|_| kept(w, entry).is_some()),
            gives.address.filter(|_| address.is_some()),
            gives.id.filter(|_| entry.id.is_some()),
        ];
        given
            .into_iter()
            .flatten()
            .any(|name| !names.iter().any(|known| known == name))
    })
}

fn act_on(d: &mut Draft, subject: &Subject<'_>, step: Step) -> Phase {
    let message = format!("making sure of {}", subject.slot);
    d.say(Statement::no(
        kind::TOOLS_READY,
        reason::CREATING,
        message.clone(),
    ));
    d.working(reason::CREATING, message);
    act(step)
}

/// What the tools' state means for the rest of the life.
fn conclude(w: &World, d: &mut Draft, held: &[(&Subject<'_>, Held)]) -> Phase {
    for wake in held.iter().filter_map(|(_, why)| why.wake) {
        d.again(wake);
    }
    let stops = |subject: &Subject<'_>, why: &Held| {
        // A variable that the agent has may not be taken from it because its source is in trouble.
        let gives = [
            subject.row.gives.secret,
            subject.row.gives.address,
            subject.row.gives.id,
        ];
        let has = |name: &str| w.status().variables.iter().any(|known| known == name);
        !why.complete && (subject.tool.required || gives.into_iter().flatten().any(has))
    };
    for (subject, why) in held.iter().filter(|(subject, _)| subject.tool.required) {
        let message = format!("{}: {}", subject.slot, why.message);
        if why.person {
            d.stalled(why.reason, message);
        } else {
            d.working(why.reason, message);
        }
    }
    if let Some(refusal) = w.tools.refused.first() {
        d.stalled(reason::NOT_ALLOWED, refusal.message.clone());
    }
    // One that is suspended is given nothing, and its suspension waits for nobody.
    let runs = w.instance.spec.operating_mode == OperatingMode::Running;
    if runs && held.iter().any(|(subject, why)| stops(subject, why)) {
        return wait(None);
    }
    Continue(())
}

/// Says how each tool is.
fn tell(w: &World, d: &mut Draft, wanted: &[Wanted], held: &[(&Subject<'_>, Held)]) {
    let before = d.status.tools.clone();
    let mut told = Vec::new();
    let mut trouble: Option<(bool, &'static str, String)> = None;
    for tool in wanted {
        let why = held
            .iter()
            .find(|(subject, _)| subject.tool.name == tool.name);
        let mains =
            Slot::tool(&tool.name, Part::Main).and_then(|slot| ledger::entry(&d.status, slot));
        let refusal = w
            .tools
            .refused
            .iter()
            .find(|refusal| refusal.tool == tool.name);
        let there = mains.is_some_and(|entry| entry.state == SlotState::Exists);
        let (ready, reason, message) = match (why, refusal) {
            (Some((_, why)), _) => (false, why.reason, why.message.clone()),
            (None, _) if !there => (
                false,
                reason::PENDING,
                "comes with the template's next revision".to_owned(),
            ),
            (None, Some(refusal)) => (true, reason::NOT_ALLOWED, refusal.message.clone()),
            (None, None) => (true, reason::READY, String::new()),
        };
        if !ready
            && trouble
                .as_ref()
                .is_none_or(|(required, ..)| tool.required && !required)
        {
            trouble = Some((tool.required, reason, format!("{}: {message}", tool.name)));
        }
        let old = before.iter().find(|old| old.name == tool.name);
        let address = address(w, tool).filter(|_| there);
        told.push(ToolStatus {
            name: tool.name.clone(),
            kind: tool.kind,
            ready,
            reason: reason.to_owned(),
            message: message.chars().take(1024).collect(),
            address,
            secret_ref: secret_ref(w, tool),
            usage: usage(w, tool, old.and_then(|old| old.usage.as_ref())),
        });
    }
    for refusal in &w.tools.refused {
        if !wanted.iter().any(|tool| tool.name == refusal.tool) {
            trouble.get_or_insert_with(|| (true, reason::NOT_ALLOWED, refusal.message.clone()));
        }
    }
    d.status.tools = told;
    d.say(match trouble {
        Some((_, reason, message)) => Statement::no(kind::TOOLS_READY, reason, message),
        None if wanted.is_empty() => {
            Statement::yes(kind::TOOLS_READY, reason::NONE, "the agent has no tools")
        }
        None => Statement::yes(kind::TOOLS_READY, reason::READY, "the agent has its tools"),
    });
}

/// Where a tool is reached, by what was seen of it.
fn address(w: &World, tool: &Wanted) -> Option<String> {
    let slot = Slot::tool(&tool.name, Part::Main)?;
    let kept = w
        .tools
        .kept
        .get(&slot)
        .and_then(|kept| kept.address.clone());
    let told = || {
        let status = w.instance.status.as_ref()?;
        let told = status.tools.iter().find(|told| told.name == tool.name)?;
        w.entry(slot)?;
        told.address.clone()
    };
    kept.or_else(|| seen(w, slot)?.address.clone())
        .or_else(told)
}

fn secret_ref(w: &World, tool: &Wanted) -> Option<NameRef> {
    let name = w
        .tools
        .kept
        .iter()
        .filter(|(slot, _)| {
            slot.as_tool()
                .is_some_and(|own| own.tool.as_str() == tool.name)
        })
        .find_map(|(_, kept)| kept.secret.clone())?;
    Some(NameRef {
        name: ObjectName(name),
    })
}

fn usage(w: &World, tool: &Wanted, old: Option<&ToolUsage>) -> Option<ToolUsage> {
    let slot = Slot::tool(&tool.name, Part::Main)?;
    let now = seen(w, slot).and_then(|resource| resource.usage);
    match (now, old) {
        (None, old) => old.cloned(),
        (Some(now), Some(old))
            if (old.limit_usd == now.limit_usd
                && w.now.duration_since(old.as_of.0) < USAGE_EVERY)
                || (old.spent_usd, old.limit_usd) == (now.spent_usd, now.limit_usd) =>
        {
            Some(old.clone())
        }
        (Some(now), _) => Some(ToolUsage {
            spent_usd: now.spent_usd,
            limit_usd: now.limit_usd,
            as_of: MicroTime(ledger::micros(w.now)),
        }),
    }
}

/// What a Secret keeps of the resource that an entry stands for, and of no earlier one.
fn kept<'a>(w: &'a World, entry: &LedgerEntry) -> Option<&'a Kept> {
    w.tools
        .kept
        .get(&entry.slot)
        .filter(|kept| kept.key == entry.key)
        .filter(|kept| entry.id.as_ref().is_none_or(|id| *id == kept.id))
}

/// The newest sighting of a resource that is on record.
fn seen(w: &World, slot: Slot) -> Option<&Resource> {
    let id = w.entry(slot)?.id.as_deref();
    match w.tools.looked.get(&slot) {
        Some((_, resource)) => resource.as_ref(),
        None => w
            .tools
            .seen
            .get(&slot)?
            .resources
            .iter()
            .find(|resource| Some(resource.id.as_str()) == id),
    }
}

/// The first intent covers every resource that can be made now: their names are known.
fn intend(w: &World, d: &mut Draft, subjects: &[Subject<'_>]) {
    for subject in subjects {
        let state = ledger::entry(&d.status, subject.slot).map(|entry| entry.state);
        let due = matches!(state, None | Some(SlotState::Planned));
        if due && take_up(w, d, subject) {
            continue;
        }
        // What would wait for another is not begun and taken off again in each pass: that is a write each time.
        let waits = subject.row.needs.iter().any(|need| {
            let slot::Kind::Tool(part) = need else {
                return false;
            };
            let parent = Slot::tool(&subject.tool.name, *part);
            let ready = |slot: &Slot| {
                let there = ledger::entry(&d.status, *slot)
                    .is_some_and(|entry| entry.state == SlotState::Exists);
                there || d.untried.contains(slot)
            };
            subject.tool.parts.contains(part) && !parent.as_ref().is_some_and(ready)
        });
        let may = subject.tool.adopt.is_none() && !waits && !ordered_out(d, subject);
        if due && may && obstacle(w, subject).is_none() {
            begin(w, d, subject);
        }
    }
}

/// Begins an attempt. The name stays the same as long as the entry does, so that one search finds what every attempt
/// left; what is made again under an old slot has a new entry, and so a new name.
fn begin(w: &World, d: &mut Draft, subject: &Subject<'_>) {
    let key = ledger::entry(&d.status, subject.slot)
        .map(|entry| entry.key.clone())
        .filter(|key| !key.is_empty())
        .unwrap_or_else(|| {
            w.marker(subject.slot)
                .tool_name(&w.seal, ledger::micros(w.now))
        });
    ledger::begin(
        &mut d.status,
        subject.slot,
        subject.row.provider,
        &subject.tool.account,
        key,
        w.now,
    );
    d.untried.insert(subject.slot);
}

/// What was intended and has not been tried when the pass ends certainly left nothing.
fn not_tried(w: &World, d: &mut Draft) {
    let tools: Vec<Slot> = d
        .untried
        .iter()
        .copied()
        .filter(|slot| slot.as_tool().is_some())
        .collect();
    for slot in tools {
        // The name and the number stay, for earlier attempts that may have left something.
        if !w.tools.fresh.contains_key(&slot) {
            ledger::planned(&mut d.status, slot);
            d.untried.remove(&slot);
        }
    }
}

/// Why nothing can be asked of a resource's account now.
fn obstacle(w: &World, subject: &Subject<'_>) -> Option<Held> {
    if subject.tool.account.is_empty() {
        return fault_of(w, subject.slot);
    }
    closed(w, &subject.tool.account).or_else(|| fault_of(w, subject.slot))
}

/// Why nothing can be asked of an account now.
fn closed(w: &World, account: &str) -> Option<Held> {
    let soon = w.now + RECHECK;
    match w.tools.accounts.get(account) {
        Some(ToolAccount::Ready) => None,
        None | Some(ToolAccount::NotAvailable) => Some(Held {
            person: !w.deleting(),
            ..Held::waits(
                reason::ACCOUNT_NOT_AVAILABLE,
                report::not_available(account, &w.instance.namespace().unwrap_or_default()),
                soon,
            )
        }),
        Some(ToolAccount::NotReady { message }) => Some(Held::waits(
            reason::ACCOUNT_NOT_READY,
            format!("ProviderAccount {account} is not ready: {message}"),
            soon,
        )),
        Some(ToolAccount::Unreachable) => Some(Held::waits(
            reason::ACCOUNT_UNREACHABLE,
            format!("the provider of ProviderAccount {account} cannot be reached"),
            soon,
        )),
    }
}

/// What a fault of this pass, or of an earlier one, says about a slot.
fn fault_of(w: &World, slot: Slot) -> Option<Held> {
    if let Some(fault) = w.tools.faults.get(&slot) {
        // When it is tried again is decided where faults are counted.
        return Some(Held::of(fault, None));
    }
    let patience = w.tools.patience.get(&slot)?;
    (patience.until > w.now).then(|| Held::of(&patience.fault, Some(patience.until)))
}

/// One resource: the step that it needs next, or how it is.
fn one(w: &World, d: &mut Draft, subject: &Subject<'_>) -> Slotted {
    for need in subject.row.needs {
        let slot::Kind::Tool(part) = need else {
            continue;
        };
        let there = Slot::tool(&subject.tool.name, *part)
            .and_then(|slot| ledger::entry(&d.status, slot))
            .is_some_and(|entry| entry.state == SlotState::Exists);
        if subject.tool.parts.contains(part) && !there {
            return Continue(Err(Held::waits(
                reason::PENDING,
                "waits for what it belongs to",
                w.now + RECHECK,
            )));
        }
    }
    let entry = ledger::entry(&d.status, subject.slot).cloned();
    match entry {
        // Under this name the agent had something at another provider, or in another account: that goes first.
        Some(entry)
            if entry.provider != subject.row.provider || entry.account != subject.tool.account =>
        {
            remake(w, d, subject, &entry)
        }
        Some(entry) if entry.state == SlotState::Exists => keep(w, d, subject, &entry),
        Some(entry) if entry.state == SlotState::Deleting => remake(w, d, subject, &entry),
        Some(entry) if entry.state == SlotState::Creating => {
            if let Some(held) = obstacle(w, subject) {
                return Continue(Err(held));
            }
            if w.tools.fresh.contains_key(&subject.slot) {
                return Break(Step::KeepSecret { slot: subject.slot });
            }
            if d.untried.contains(&subject.slot) {
                Break(make(w, d, subject))
            } else {
                recover(w, d, subject, &entry)
            }
        }
        _ => fresh_start(w, d, subject),
    }
}

/// Whether something that costs money by the piece was ordered as often as it may be.
fn ordered_out(d: &Draft, subject: &Subject<'_>) -> bool {
    let orders = ledger::entry(&d.status, subject.slot).map_or(1, |entry| entry.attempt);
    subject.row.precious && subject.row.found_by == FoundBy::Name && orders > MOST_ORDERS
}

fn fresh_start(w: &World, d: &mut Draft, subject: &Subject<'_>) -> Slotted {
    if let Some(held) = obstacle(w, subject) {
        return Continue(Err(held));
    }
    if let Some(id) = &subject.tool.adopt {
        return take_over(w, d, subject, id);
    }
    if ordered_out(d, subject) {
        return Continue(Err(Held::person(
            reason::LIMIT_REACHED,
            format!(
                "was ordered {MOST_ORDERS} times and never came to be; look at the account, then delete the instance or take the tool out of the template and put it back"
            ),
        )));
    }
    begin(w, d, subject);
    Break(make(w, d, subject))
}

/// An existing resource becomes the instance's, as it is.
fn take_over(w: &World, d: &mut Draft, subject: &Subject<'_>, id: &str) -> Slotted {
    let no = || {
        // The id is not repeated: at some providers what people take for one is the key itself. And nobody learns whether
        // it is not there or another's.
        Continue(Err(Held::person(
            reason::ADOPTION_FAILED,
            format!(
                "what adopt.tools names for {} is not to be had: ProviderAccount {} has nothing of that id, or it is another agent's; make another AgentInstance with the right id",
                subject.tool.name, subject.tool.account
            ),
        )))
    };
    if w.tools.rivals.contains(&subject.tool.name) {
        return no();
    }
    let created = w.instance.metadata.creation_timestamp.as_ref();
    if let Some(until) = created.map(|created| created.0 + adopt::TOGETHER)
        && until > w.now
    {
        return Continue(Err(Held::waits(
            reason::CREATING,
            "looking at what is to be adopted",
            until,
        )));
    }
    match w.tools.looked.get(&subject.slot) {
        None => Break(Step::LookTool {
            slot: subject.slot,
            account: subject.tool.account.clone(),
            named: Named {
                part: subject.part,
                id: id.to_owned(),
                key: String::new(),
                seen: false,
                parts: BTreeMap::new(),
            },
        }),
        Some((_, None)) => no(),
        Some((_, Some(resource))) if resource.name.starts_with(marker::STEM) => no(),
        Some((_, Some(resource))) => {
            ledger::put(
                &mut d.status,
                LedgerEntry {
                    slot: subject.slot,
                    provider: subject.row.provider.to_owned(),
                    account: subject.tool.account.clone(),
                    state: SlotState::Exists,
                    key: String::new(),
                    id: Some(resource.id.clone()),
                    settings: resource.settings.clone().unwrap_or_default(),
                    attempt: 1,
                    started_at: MicroTime(ledger::micros(w.now)),
                },
            );
            Continue(Ok(()))
        }
    }
}

fn make(w: &World, d: &mut Draft, subject: &Subject<'_>) -> Step {
    if let Some(entry) = ledger::entry_mut(&mut d.status, subject.slot) {
        // One intent covers several resources, and when a request can no longer land is counted from its intent.
        let age = w.now.duration_since(entry.started_at.0);
        if age > w.limits.request / 10 {
            entry.started_at = MicroTime(ledger::micros(w.now));
        }
    }
    Step::MakeTool {
        slot: subject.slot,
        account: subject.tool.account.clone(),
        order: Box::new(order(
            w,
            &d.status,
            subject.slot,
            subject.part,
            &subject.tool.wish,
        )),
    }
}

fn order(w: &World, status: &AgentInstanceStatus, slot: Slot, part: Part, wish: &Wish) -> Order {
    Order {
        part,
        key: ledger::entry(status, slot).map_or_else(String::new, |entry| entry.key.clone()),
        note: w.marker(slot).to_string(),
        wish: wish.clone(),
        parts: siblings(status, slot),
    }
}

/// Ids of a tool's other resources that exist.
fn siblings(status: &AgentInstanceStatus, slot: Slot) -> BTreeMap<Part, String> {
    let Some(own) = slot.as_tool() else {
        return BTreeMap::new();
    };
    status
        .external
        .iter()
        .filter_map(|entry| {
            let ToolSlot { tool, part } = entry.slot.as_tool()?;
            let there = matches!(entry.state, SlotState::Exists | SlotState::Deleting);
            (*tool == own.tool && *part != own.part && there)
                .then(|| entry.id.clone().map(|id| (*part, id)))?
        })
        .collect()
}

fn named(status: &AgentInstanceStatus, entry: &LedgerEntry, id: &str) -> Named {
    Named {
        part: entry.slot.as_tool().map_or(Part::Main, |own| own.part),
        id: id.to_owned(),
        key: entry.key.clone(),
        seen: status.tools.iter().any(|told| {
            told.ready
                && entry
                    .slot
                    .as_tool()
                    .is_some_and(|own| own.tool.as_str() == told.name)
        }),
        parts: siblings(status, entry.slot),
    }
}

/// An attempt's answer was lost: adopt what it left, or take it back, or be sure that it left nothing.
fn recover(w: &World, d: &mut Draft, subject: &Subject<'_>, entry: &LedgerEntry) -> Slotted {
    let slot = subject.slot;
    match subject.row.found_by {
        FoundBy::Kept => {
            if take_up(w, d, subject) {
                return Continue(Ok(()));
            }
            return Break(make(w, d, subject));
        }
        // Asking again is looking it up.
        FoundBy::SameAgain => return Break(make(w, d, subject)),
        _ => {}
    }
    if subject.row.found_by == FoundBy::NameWithoutSecret
        && let Some(kept) = kept(w, entry)
    {
        // The Secret was written right after the answer, and what earlier attempts left had gone before that request.
        // Nothing is looked for here: at a provider that lists no keys, looking for lost ones is revoking all.
        settle(d, subject, kept.id.clone());
        return Continue(Ok(()));
    }
    let Some((begun, found)) = w.tools.found.get(&slot) else {
        return Break(Step::FindTool {
            slot,
            account: entry.account.clone(),
            order: Box::new(order(w, &d.status, slot, subject.part, &subject.tool.wish)),
        });
    };
    let adopts = |resource: &&Resource| {
        subject.row.found_by == FoundBy::Name && !matches!(resource.stage, Stage::Failed { .. })
    };
    let own = found
        .iter()
        .find(adopts)
        .map(|resource| resource.id.clone());
    if let Some(surplus) = found
        .iter()
        .filter(|resource| !matches!(resource.stage, Stage::Failed { .. }))
        .find(|resource| Some(&resource.id) != own.as_ref())
    {
        return Break(Step::DeleteTool {
            slot,
            account: entry.account.clone(),
            named: named(&d.status, entry, &surplus.id),
            for_good: true,
            surplus: true,
        });
    }
    if let Some(id) = own {
        settle(d, subject, id);
        return Continue(Ok(()));
    }
    let landed_by = w.limits.landed_by(entry.started_at.0);
    if *begun >= landed_by {
        ledger::lost(&mut d.status, slot);
        return fresh_start(w, d, subject);
    }
    Continue(Err(Held::waits(
        reason::OUTCOME_UNKNOWN,
        "the answer to an earlier attempt was lost; looking for what it left before another is made",
        landed_by.max(w.now + SignedDuration::from_millis(200)),
    )))
}

fn settle(d: &mut Draft, subject: &Subject<'_>, id: String) {
    ledger::exists(&mut d.status, subject.slot, Some(id));
    d.untried.remove(&subject.slot);
}

/// A wallet that was made for this instance and left when it was not wanted any more is its wallet still: its address never
/// changes, and what it holds is not lost.
fn take_up(w: &World, d: &mut Draft, subject: &Subject<'_>) -> bool {
    let Some(kept) = w
        .tools
        .kept
        .get(&subject.slot)
        .filter(|_| subject.row.found_by == FoundBy::Kept)
    else {
        return false;
    };
    begin(w, d, subject);
    if let Some(entry) = ledger::entry_mut(&mut d.status, subject.slot) {
        entry.key.clone_from(&kept.key);
    }
    settle(d, subject, kept.id.clone());
    true
}

/// It is on record: is it there, is it as it should be, and can the agent use it?
fn keep(w: &World, d: &mut Draft, subject: &Subject<'_>, entry: &LedgerEntry) -> Slotted {
    let slot = subject.slot;
    let id = entry.id.clone().unwrap_or_default();
    let adopted = entry.key.is_empty();
    if subject.row.gives.secret.is_some() && !adopted && kept(w, entry).is_none() {
        return secret_lost(w, d, subject, entry);
    }
    if subject.row.undo == Undo::Rest {
        remember_reclaim(d, slot, subject.tool.reclaim);
    }
    if subject.row.found_by == FoundBy::Kept {
        return Continue(Ok(()));
    }
    let looked = w.tools.looked.get(&slot);
    let missing = looked.is_some_and(|(_, resource)| resource.is_none())
        || looked.is_none() && unlisted(w, entry);
    if missing {
        return gone(w, d, subject, entry);
    }
    // What nobody lists is asked for once, until it was seen to be ready.
    let told_ready = w
        .status()
        .tools
        .iter()
        .any(|told| told.name == subject.tool.name && told.ready);
    let resource = seen(w, slot);
    let unset = !told_ready && waits_for_provider(subject);
    // Nothing is deployed without an address, and only the provider's word tells it.
    let nowhere = subject.row.gives.address.is_some() && address(w, subject.tool).is_none();
    if looked.is_none() && (unset || nowhere) {
        if let Some(held) = obstacle(w, subject) {
            return Continue(Err(held));
        }
        return Break(look(d, entry, &id));
    }
    match resource.map(|resource| &resource.stage) {
        Some(Stage::Pending { why }) => {
            let next = retry::next_look(entry.started_at.0, w.now);
            if looked.is_none() {
                return Break(look(d, entry, &id));
            }
            return Continue(Err(Held::waits(
                reason::PENDING,
                format!("the provider is at work on it: {why}"),
                next,
            )));
        }
        Some(Stage::Failed { why }) => {
            if looked.is_none() {
                return Break(look(d, entry, &id));
            }
            // It is nothing: the next attempt is one more of those that are counted.
            let why = why.clone();
            ledger::lost(&mut d.status, slot);
            forget_address(d, subject);
            d.announcements.push(Announcement {
                warning: true,
                reason: reason::REJECTED,
                action: "Provide",
                note: format!("{slot}: the provider could not deliver it: {why}"),
            });
            return fresh_start(w, d, subject);
        }
        Some(Stage::Resting) => {
            return Continue(Err(Held::person(
                reason::SUSPENDED,
                "it was suspended at the provider; resume it there",
            )
            .but_complete()));
        }
        Some(Stage::Ready) if nowhere => {
            return Continue(Err(Held::waits(
                reason::PENDING,
                "the provider tells no address of it yet",
                w.now + RECHECK,
            )));
        }
        Some(Stage::Ready) | None => {}
    }
    if let Some(parent) = later_parent(d, subject, entry) {
        // It was set up with a predecessor: a look at it sets it up anew.
        if looked.is_none() {
            return match obstacle(w, subject) {
                Some(held) => Continue(Err(held.but_complete())),
                None => Break(look(d, entry, &id)),
            };
        }
        if let Some(entry) = ledger::entry_mut(&mut d.status, slot) {
            entry.started_at = parent;
        }
    }
    adjust(w, subject, entry, resource, d)
}

/// When what it belongs to was made, where that was after it.
fn later_parent(d: &Draft, subject: &Subject<'_>, entry: &LedgerEntry) -> Option<MicroTime> {
    subject.row.needs.iter().find_map(|need| {
        let slot::Kind::Tool(part) = need else {
            return None;
        };
        let slot = Slot::tool(&subject.tool.name, *part)?;
        let parent = ledger::entry(&d.status, slot)?;
        let after = parent.state == SlotState::Exists && parent.started_at.0 > entry.started_at.0;
        after.then(|| parent.started_at.clone())
    })
}

fn look(d: &Draft, entry: &LedgerEntry, id: &str) -> Step {
    Step::LookTool {
        slot: entry.slot,
        account: entry.account.clone(),
        named: named(&d.status, entry, id),
    }
}

/// Whether a resource may come to be later than its order: then its word is needed that it is there.
fn waits_for_provider(subject: &Subject<'_>) -> bool {
    subject.row.found_by == FoundBy::Name && subject.row.precious
}

/// Brings what can be changed in place to what the spec says.
fn adjust(
    w: &World,
    subject: &Subject<'_>,
    entry: &LedgerEntry,
    resource: Option<&Resource>,
    d: &mut Draft,
) -> Slotted {
    let wish = subject.tool.wish.settings();
    if wish.is_empty() || subject.part != Part::Main {
        return Continue(Ok(()));
    }
    // What was seen may be older than what was set.
    let since = w.limits.landed_by(entry.started_at.0);
    let begun = w
        .tools
        .looked
        .get(&subject.slot)
        .map(|(begun, _)| *begun)
        .or_else(|| Some(w.tools.seen.get(&subject.slot)?.begun));
    let edited = begun.is_some_and(|begun| begun >= since)
        && resource
            .and_then(|resource| resource.settings.as_ref())
            .is_some_and(|now| *now != wish);
    if entry.settings == wish && !edited {
        return Continue(Ok(()));
    }
    if let Some(held) = obstacle(w, subject) {
        return Continue(Err(held.but_complete()));
    }
    Break(Step::AdjustTool {
        slot: subject.slot,
        account: entry.account.clone(),
        named: named(&d.status, entry, entry.id.as_deref().unwrap_or_default()),
        wish: subject.tool.wish.clone(),
    })
}

/// Teardown knows nothing but the ledger: what shall become of something that may hold money stands in it.
fn remember_reclaim(d: &mut Draft, slot: Slot, reclaim: ReclaimPolicy) {
    let wanted = match reclaim {
        ReclaimPolicy::Retain => "",
        ReclaimPolicy::Delete => FOR_GOOD,
    };
    if let Some(entry) = ledger::entry_mut(&mut d.status, slot)
        && entry.settings != wanted
    {
        wanted.clone_into(&mut entry.settings);
    }
}

const FOR_GOOD: &str = "reclaimPolicy=Delete";

/// Whether a believed listing, begun late enough, lacks what is on record.
fn unlisted(w: &World, entry: &LedgerEntry) -> bool {
    w.tools.seen.get(&entry.slot).is_some_and(|glance| {
        glance.begun >= w.limits.landed_by(entry.started_at.0)
            && !glance
                .resources
                .iter()
                .any(|resource| Some(&resource.id) == entry.id.as_ref())
    })
}

/// It was deleted at the provider behind our back: confirmed by its own absence, then told or mended.
fn gone(w: &World, d: &mut Draft, subject: &Subject<'_>, entry: &LedgerEntry) -> Slotted {
    let slot = subject.slot;
    match w.tools.looked.get(&slot) {
        None => {
            if let Some(held) = obstacle(w, subject) {
                return Continue(Err(held.but_complete()));
            }
            return Break(look(d, entry, entry.id.as_deref().unwrap_or_default()));
        }
        Some((begun, _)) if *begun < w.limits.landed_by(entry.started_at.0) => {
            // The provider may not show yet what it has just made.
            return Continue(Err(Held::waits(
                reason::PENDING,
                "the provider does not show it yet",
                w.limits.landed_by(entry.started_at.0),
            )));
        }
        Some(_) => {}
    }
    let again = w.instance.spec.on_external_deletion == Some(OnExternalDeletion::Recreate);
    if (subject.row.precious && !again) || entry.key.is_empty() {
        return Continue(Err(Held::person(
            reason::DELETED_EXTERNALLY,
            format!("{} was deleted at the provider; set onExternalDeletion to Recreate to get another one, or take the tool away", entry.id.as_deref().unwrap_or("it")),
        )
        .but_complete()));
    }
    d.announcements.push(Announcement {
        warning: true,
        reason: reason::DRIFTED,
        action: "Mend",
        note: format!("{slot} was deleted at the provider and is made again"),
    });
    let attempt = entry.attempt;
    d.status.external.retain(|other| other.slot != slot);
    // A credential goes with what it opened, and an address is another one's from here on.
    for (part, row) in slot::parts(subject.row.provider) {
        if row.found_by == FoundBy::NameWithoutSecret && row.needs.contains(&subject.row.slot) {
            let own = Slot::tool(&subject.tool.name, part);
            d.status.external.retain(|other| Some(other.slot) != own);
        }
    }
    forget_address(d, subject);
    begin(w, d, subject);
    if let Some(entry) = ledger::entry_mut(&mut d.status, slot) {
        entry.attempt = attempt + 1;
        if subject.row.precious && subject.row.found_by == FoundBy::Name && attempt >= MOST_ORDERS {
            entry.state = SlotState::Planned;
            d.untried.remove(&slot);
            return fresh_start(w, d, subject);
        }
    }
    Break(make(w, d, subject))
}

fn forget_address(d: &mut Draft, subject: &Subject<'_>) {
    let mut tools = d.status.tools.iter_mut();
    if let Some(told) = tools.find(|told| told.name == subject.tool.name)
        && subject.part == Part::Main
    {
        told.address = None;
    }
}

/// The Secret with a credential was deleted, or the credential taken out of it.
fn secret_lost(w: &World, d: &mut Draft, subject: &Subject<'_>, entry: &LedgerEntry) -> Slotted {
    let slot = subject.slot;
    if subject.row.found_by == FoundBy::Kept {
        return Continue(Err(Held::person(
            reason::SECRET_LOST,
            format!(
                "the Secret with the private key of {} is gone, and Yardmaster makes no other in its place: restore it from a backup; what the wallet holds can be reached by nobody else",
                entry.id.as_deref().unwrap_or("the wallet")
            ),
        )));
    }
    if let Some(held) = obstacle(w, subject) {
        return Continue(Err(held));
    }
    d.announcements.push(Announcement {
        warning: true,
        reason: reason::SECRET_LOST,
        action: "Mend",
        note: format!("the credential of {slot} is no longer in its Secret; it is revoked and another one made"),
    });
    // From here as after a lost answer: what bears the name is taken back, then one is made anew. Nothing is on its way,
    // so the old time stands and nothing is waited for.
    if let Some(entry) = ledger::entry_mut(&mut d.status, slot) {
        entry.state = SlotState::Creating;
        entry.id = None;
        entry.attempt += 1;
    }
    match ledger::entry(&d.status, slot).cloned() {
        Some(entry) => recover(w, d, subject, &entry),
        None => Continue(Ok(())),
    }
}

/// Wanted again while it was being taken back: the old one goes first.
fn remake(w: &World, d: &mut Draft, subject: &Subject<'_>, entry: &LedgerEntry) -> Slotted {
    match take_back(w, d, entry, goes_for_good(entry)) {
        Break(Back::Step(step)) => Break(step),
        Break(Back::Wait(held)) => Continue(Err(held)),
        Continue(()) => fresh_start(w, d, subject),
    }
}

/// Takes back the tools that the instance no longer wants.
pub(super) fn retire(w: &World, d: &mut Draft) -> Phase {
    let Some(wanted) = &w.tools.wanted else {
        return Continue(());
    };
    let kept: Vec<Slot> = subjects(wanted)
        .iter()
        .map(|subject| subject.slot)
        .collect();
    // One tool's trouble does not keep another one, which may cost money every month.
    let mut stuck: Vec<ToolSlot> = Vec::new();
    for entry in in_order_of_teardown(&d.status) {
        let Some(own) = entry.slot.as_tool() else {
            continue;
        };
        let waits = stuck.iter().any(|other| other.tool == own.tool);
        if kept.contains(&entry.slot) || waits {
            continue;
        }
        match one_back(w, d, &entry) {
            Continue(()) => {}
            Break(Back::Step(step)) => {
                let message = format!("taking back {}, which is no longer wanted", entry.slot);
                d.working(reason::DELETING, message);
                return act(step);
            }
            Break(Back::Wait(held)) => {
                d.working(held.reason, format!("{}: {}", entry.slot, held.message));
                if let Some(wake) = held.wake {
                    d.again(wake);
                }
                stuck.push(*own);
            }
        }
    }
    // The agent's own life goes on.
    Continue(())
}

/// Takes one of the ledger's resources back, or lets it stay where that was asked for.
pub(super) fn one_back(
    w: &World,
    d: &mut Draft,
    entry: &LedgerEntry,
) -> std::ops::ControlFlow<Back> {
    if not_there(entry) {
        forget(d, entry.slot);
        return Continue(());
    }
    let here = entry.row().found_by == FoundBy::Kept;
    let given_up = teardown::given_up(w, entry);
    if given_up && !here {
        teardown::abandon(w, d, entry);
        return Continue(());
    }
    if entry.key.is_empty() && adopt::shared(&w.instance) {
        teardown::leave_to_others(w, d, entry);
        return Continue(());
    }
    let for_good = goes_for_good(entry) || here && given_up;
    if here && !for_good {
        leave_here(w, d, entry);
        return Continue(());
    }
    take_back(w, d, entry, for_good)
}

/// The ledger's tools in the order in which they are taken back.
pub(super) fn in_order_of_teardown(status: &AgentInstanceStatus) -> Vec<LedgerEntry> {
    let mut tools: Vec<LedgerEntry> = status
        .external
        .iter()
        .filter(|entry| entry.slot.as_tool().is_some())
        .cloned()
        .collect();
    tools.sort_by_key(|entry| std::cmp::Reverse(entry.row().rank));
    tools
}

/// Whether an entry stands for nothing that could be outside.
pub(super) fn not_there(entry: &LedgerEntry) -> bool {
    entry.state == SlotState::Planned && entry.attempt <= 1
}

/// Whether it goes for good also where it may hold money: the spec said so, and the ledger remembers.
fn goes_for_good(entry: &LedgerEntry) -> bool {
    entry.row().undo != Undo::Rest || entry.settings == FOR_GOOD
}

/// What a resource costs a month, where that is known.
pub(super) fn monthly(w: &World, entry: &LedgerEntry) -> Option<f64> {
    let usd = seen(w, entry.slot)?.monthly_usd;
    (usd > 0.0).then_some(usd)
}

/// A wallet made here is its Secret, and that outlives the instance: told once, and then nobody's any more.
pub(super) fn leave_here(w: &World, d: &mut Draft, entry: &LedgerEntry) {
    d.announcements.push(left_here(w, entry));
    forget(d, entry.slot);
}

fn left_here(w: &World, entry: &LedgerEntry) -> Announcement {
    let wallet = entry.id.as_deref().unwrap_or("of unknown address");
    let secret = w.tools.kept.get(&entry.slot);
    let note = match secret.and_then(|kept| kept.secret.as_ref()) {
        Some(secret) => format!(
            "the Secret {secret} with the private key of wallet {wallet} stays, because the wallet may hold money; delete the Secret when it does not"
        ),
        None => format!(
            "the Secret with the private key of wallet {wallet} is not there any more; what the wallet holds can be reached with a backup only"
        ),
    };
    Announcement {
        warning: true,
        reason: reason::RETAINED,
        action: "KeepWallet",
        note,
    }
}

/// How taking back goes on.
pub(super) enum Back {
    /// With an effect.
    Step(Step),
    /// With waiting.
    Wait(Held),
}

/// Takes one resource back: deletes, then observes that it is gone, then forgets it.
fn take_back(
    w: &World,
    d: &mut Draft,
    entry: &LedgerEntry,
    for_good: bool,
) -> std::ops::ControlFlow<Back> {
    let slot = entry.slot;
    let row = entry.row();
    if row.found_by == FoundBy::Kept {
        if w.tools.kept.contains_key(&slot) {
            return Break(Back::Step(Step::DropSecret { slot }));
        }
        d.announcements.push(Announcement {
            warning: true,
            reason: reason::ABANDONED,
            action: "DropWallet",
            note: format!(
                "the Secret with the private key of wallet {} is deleted, as reclaimPolicy or the abandon annotation says: what the wallet holds can be reached with a backup only",
                entry.id.as_deref().unwrap_or("of unknown address")
            ),
        });
        forget(d, slot);
        return Continue(());
    }
    if let Some(held) = closed(w, &entry.account).or_else(|| fault_of(w, slot)) {
        return Break(Back::Wait(held));
    }
    match (entry.state, entry.id.clone()) {
        (SlotState::Exists, Some(id)) => {
            let named = named(&d.status, entry, &id);
            if let Some(entry) = ledger::entry_mut(&mut d.status, slot) {
                entry.state = SlotState::Deleting;
                entry.started_at = MicroTime(ledger::micros(w.now));
            }
            Break(Back::Step(Step::DeleteTool {
                slot,
                account: entry.account.clone(),
                named,
                for_good,
                surplus: false,
            }))
        }
        (SlotState::Deleting, Some(id)) => watch_it_go(w, d, entry, &id, for_good),
        _ => find_leftovers(w, d, entry),
    }
}

fn forget(d: &mut Draft, slot: Slot) {
    d.status.external.retain(|entry| entry.slot != slot);
}

/// It is gone: its credential goes as well, where the Secret does not go with the instance, and then its entry.
fn finish(w: &World, d: &mut Draft, entry: &LedgerEntry) -> std::ops::ControlFlow<Back> {
    if !w.deleting() && kept(w, entry).is_some() {
        return Break(Back::Step(Step::DropSecret { slot: entry.slot }));
    }
    if !goes_for_good(entry) {
        d.announcements.push(Announcement {
            warning: true,
            reason: reason::RETAINED,
            action: "SuspendWallet",
            note: format!(
                "{} {} is suspended and its keys are revoked; it stays in account {}, because it may hold money",
                entry.slot,
                entry.id.as_deref().unwrap_or("of unknown id"),
                entry.account
            ),
        });
    }
    forget(d, entry.slot);
    Continue(())
}

fn watch_it_go(
    w: &World,
    d: &mut Draft,
    entry: &LedgerEntry,
    id: &str,
    for_good: bool,
) -> std::ops::ControlFlow<Back> {
    let slot = entry.slot;
    let named = named(&d.status, entry, id);
    let gone = match w.tools.looked.get(&slot) {
        // What was asked for in this pass is looked at first; an older request may have been lost, and is repeated:
        // deleting twice does no harm.
        None if w.tools.stopped.contains(&slot) => {
            return Break(Back::Step(Step::LookTool {
                slot,
                account: entry.account.clone(),
                named,
            }));
        }
        None => {
            return Break(Back::Step(Step::DeleteTool {
                slot,
                account: entry.account.clone(),
                named,
                for_good,
                surplus: false,
            }));
        }
        Some((_, Some(resource))) => match resource.stage {
            Stage::Resting => !for_good,
            Stage::Failed { .. } => true,
            _ => false,
        },
        // After a plain "done" absence is what was to be expected; otherwise the provider may just not show it yet.
        Some((begun, None)) => {
            w.tools.taken.contains(&slot) || *begun >= entry.started_at.0 + w.limits.settle
        }
    };
    if !gone {
        let next = retry::next_look(entry.started_at.0, w.now);
        return Break(Back::Wait(Held::waits(
            reason::DELETING,
            "its deletion was asked for, and it is still there",
            next.max(w.now + SignedDuration::from_secs(1)),
        )));
    }
    if entry.attempt > 1 && !entry.key.is_empty() {
        // An earlier attempt's outcome was once unknown: nothing of it may be left either.
        return find_leftovers(w, d, entry);
    }
    finish(w, d, entry)
}

/// Looks for what attempts of unknown outcome may have left, until they can no longer land.
fn find_leftovers(w: &World, d: &mut Draft, entry: &LedgerEntry) -> std::ops::ControlFlow<Back> {
    let slot = entry.slot;
    let Some((begun, found)) = w.tools.found.get(&slot) else {
        let part = slot.as_tool().map_or(Part::Main, |own| own.part);
        if row_needs_parent(entry) && siblings(&d.status, slot).is_empty() {
            // Nobody can look for it but at what it belongs to.
            find_parent(w, d, slot)?;
            if siblings(&d.status, slot).is_empty() {
                // It could only have been made inside something that was never there.
                forget(d, slot);
                return Continue(());
            }
        }
        return Break(Back::Step(Step::FindTool {
            slot,
            account: entry.account.clone(),
            order: Box::new(order(w, &d.status, slot, part, &any_wish(entry))),
        }));
    };
    // What is recorded was seen to be gone, where it was there.
    let recorded = |resource: &&Resource| Some(&resource.id) == entry.id.as_ref();
    let gone = |resource: &&Resource| match resource.stage {
        _ if recorded(resource) => true,
        Stage::Failed { .. } => true,
        Stage::Resting => entry.row().undo == Undo::Rest,
        _ => false,
    };
    if let Some(left) = found.iter().find(|resource| !gone(resource)) {
        return Break(Back::Step(Step::DeleteTool {
            slot,
            account: entry.account.clone(),
            named: named(&d.status, entry, &left.id),
            for_good: goes_for_good(entry),
            surplus: true,
        }));
    }
    let landed_by = w.limits.landed_by(entry.started_at.0);
    if *begun >= landed_by {
        return finish(w, d, entry);
    }
    Break(Back::Wait(Held::waits(
        reason::OUTCOME_UNKNOWN,
        "an earlier request may still land; it is looked for until it no longer can",
        landed_by.max(w.now + SignedDuration::from_millis(200)),
    )))
}

/// Whether it is looked for at what it belongs to, and nowhere else.
fn row_needs_parent(entry: &LedgerEntry) -> bool {
    let row = entry.row();
    let main = |need: &slot::Kind| matches!(need, slot::Kind::Tool(Part::Main));
    row.found_by == FoundBy::NameWithoutSecret && row.needs.iter().any(main)
}

/// What a tool's part belongs to may be there without being on record: its outcome may be as unknown as that of what was
/// made in it. It is looked for until it can no longer land; once found, it is on record.
fn find_parent(w: &World, d: &mut Draft, child: Slot) -> std::ops::ControlFlow<Back> {
    let parent = child
        .as_tool()
        .and_then(|own| Slot::tool(own.tool.as_str(), Part::Main))
        .and_then(|slot| ledger::entry(&d.status, slot).cloned())
        .filter(|parent| !not_there(parent));
    let Some(parent) = parent else {
        return Continue(());
    };
    let Some((begun, found)) = w.tools.found.get(&parent.slot) else {
        return Break(Back::Step(Step::FindTool {
            slot: parent.slot,
            account: parent.account.clone(),
            order: Box::new(order(
                w,
                &d.status,
                parent.slot,
                Part::Main,
                &any_wish(&parent),
            )),
        }));
    };
    let lives = |one: &&Resource| !matches!(one.stage, Stage::Failed { .. });
    if let Some(there) = found.iter().find(lives) {
        ledger::exists(&mut d.status, parent.slot, Some(there.id.clone()));
        return Continue(());
    }
    let landed_by = w.limits.landed_by(parent.started_at.0);
    if *begun >= landed_by {
        return Continue(());
    }
    Break(Back::Wait(Held::waits(
        reason::OUTCOME_UNKNOWN,
        "what it belongs to may still land; it is looked for until it no longer can",
        landed_by.max(w.now + SignedDuration::from_millis(200)),
    )))
}

/// A search needs no wish; an order does. The ledger alone does not know it.
fn any_wish(entry: &LedgerEntry) -> Wish {
    match entry.provider.as_str() {
        "openrouter" => Wish::Openrouter { limit_usd: 0.0 },
        "exa" => Wish::Exa {
            rate_limit: None,
            budget_usd: None,
        },
        "agentmail" => Wish::Agentmail {
            username: None,
            key: true,
        },
        "telnyx" => Wish::Telnyx {
            country: String::new(),
            area: None,
            max_monthly_usd: None,
        },
        "bankr" => Wish::Bankr,
        _ => Wish::Wallet,
    }
}
