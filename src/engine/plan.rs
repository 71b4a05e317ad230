//! The phases of an instance's life, in the order in which they are gone through. Each either has nothing to say and
//! lets the next one speak, or ends the plan with a step or a wait.
//!
//! What holds: the same world gives the same plan; an outside change is planned only with its intent in the ledger of
//! the plan's status; nothing is concluded from silence, from an outage or from a reading begun too early.

use super::compose::Composed;
use super::deployment::{AT_ONCE, deployment, newest};
use super::parts::Doubt;
use super::step::{Plan, Step};
use super::teardown;
use super::world::{
    AccountView, Desired, Patience, RolloutTurn, TemplateReady, TemplateView, World,
};
use super::{expiry, ledger, parts, report, restored, rollout, tools};
use crate::api::condition::{Statement, find, kind, reason};
use crate::api::instance::{MOST_VARIABLES, OperatingMode, UpdatePolicy};
use crate::api::{AgentInstanceStatus, Slot, SlotState};
use crate::model::slot::RAILWAY;
use crate::model::{Announcement, Fault, Gate, Sight};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// How a phase ends the plan.
#[derive(Debug)]
pub(super) enum Verdict {
    /// With an effect.
    Do(Box<Step>),
    /// With waiting: until then, or until something changes.
    Wait(Option<Timestamp>),
}

/// What a phase says: nothing (go on), or the end.
pub(super) type Phase = ControlFlow<Verdict>;

/// Ends the plan with a step.
pub(super) fn act(step: Step) -> Phase {
    ControlFlow::Break(Verdict::Do(Box::new(step)))
}

/// Ends the plan with waiting.
pub(super) fn wait(until: Option<Timestamp>) -> Phase {
    ControlFlow::Break(Verdict::Wait(until))
}

/// The plan as it grows.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) status: AgentInstanceStatus,
    pub(super) said: Vec<Statement>,
    pub(super) untried: BTreeSet<Slot>,
    pub(super) announcements: Vec<Announcement>,
    /// Nothing new is known: what was said before stands.
    pub(super) unchanged: bool,
    /// The line that it waits in.
    pub(super) line: Option<Gate>,
    again: Option<Timestamp>,
}

impl Draft {
    fn new(w: &World) -> Draft {
        Draft {
            status: w.status(),
            said: Vec::new(),
            untried: w.pass.untried.clone(),
            announcements: Vec::new(),
            unchanged: false,
            line: None,
            again: None,
        }
    }

    /// Asks to be looked at again by then, whatever else comes of this plan.
    pub(super) fn again(&mut self, at: Timestamp) {
        self.again = earliest(self.again, Some(at));
    }

    /// States something; the first statement of a kind stands, because the earlier phase names the cause.
    pub(super) fn say(&mut self, statement: Statement) {
        if !self.said.iter().any(|said| said.kind == statement.kind) {
            self.said.push(statement);
        }
    }

    /// Says that the outside is not as the spec wants it, which nobody but a person can mend; and tells it once, when it
    /// is not said already.
    pub(super) fn once(
        &mut self,
        w: &World,
        reason: &'static str,
        action: &'static str,
        message: String,
    ) {
        let message: String = message.chars().take(1024).collect();
        let said = find(&w.status().conditions, kind::SYNCED)
            .is_some_and(|said| said.reason == reason && said.message == message);
        if !said {
            self.announcements.push(Announcement {
                warning: true,
                reason,
                action,
                note: message.clone(),
            });
        }
        self.say(Statement::no(kind::SYNCED, reason, message));
    }

    /// Work goes on by itself.
    pub(super) fn working(&mut self, reason: &'static str, message: impl Into<String>) {
        self.say(Statement::yes(kind::RECONCILING, reason, message));
    }

    /// Something is not so, and a person has to do something.
    pub(super) fn stalled_on(
        &mut self,
        kind: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let message = message.into();
        self.say(Statement::no(kind, reason, message.clone()));
        self.stalled(reason, message);
    }

    /// Something is not so yet, and work goes on by itself.
    pub(super) fn working_on(
        &mut self,
        kind: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let message = message.into();
        self.say(Statement::no(kind, reason, message.clone()));
        self.working(reason, message);
    }

    /// A person has to do something.
    pub(super) fn stalled(&mut self, reason: &'static str, message: impl Into<String>) {
        self.say(Statement::yes(kind::STALLED, reason, message));
    }
}

/// What to do next for one instance.
pub fn plan(w: &World) -> Plan {
    let mut d = Draft::new(w);
    let verdict = match life(w, &mut d) {
        ControlFlow::Break(verdict) => verdict,
        ControlFlow::Continue(()) => Verdict::Wait(None),
    };
    let verdict = patience(w, verdict, &mut d);
    if let Verdict::Wait(until) = &verdict {
        not_taken(w, &mut d, *until);
    }
    let (step, wake) = match verdict {
        Verdict::Do(step) => (Some(*step), None),
        Verdict::Wait(until) => {
            // One that has passed wakes nobody: what it asked for is done, or held back by `deletionProtection`.
            let expiry = d.status.expires_at.as_ref().map(|at| at.0);
            let expiry = expiry.filter(|at| *at > w.now);
            (None, earliest(earliest(until, d.again), expiry))
        }
    };
    report::conclude(w, &mut d);
    Plan {
        status: d.status,
        step,
        wake,
        untried: d.untried,
        announcements: d.announcements,
        line: d.line,
    }
}

pub(super) fn life(w: &World, d: &mut Draft) -> Phase {
    if w.deleting() {
        return teardown::teardown(w, d);
    }
    // Before the finalizer: an account would wait for one that has nothing in it.
    account_goes(w, d)?;
    // Before anything that the API server may refuse: a refusal ends the pass.
    if let Some(fault) = &w.pass.fault {
        return report::faulted(d, fault, wait(None));
    }
    restored::whose(w, d)?;
    expiry::settle(w, d);
    if expiry::passed(w, d) {
        d.working(
            reason::EXPIRED,
            "its time is over (status.expiresAt); the instance deletes itself",
        );
        return act(Step::Expire);
    }
    d.status
        .timings
        .get_or_insert_default()
        .queued
        .get_or_insert_with(|| ledger::moment(w.now));
    account(w, d)?;
    parts::open_ledger(w, d)?;
    as_it_was(w, d);
    // An empty project is nothing that could run or cost yet.
    let begun = d
        .status
        .external
        .iter()
        .any(|entry| entry.slot == Slot::Service);
    // What is to be adopted runs already: it is taken over, and then suspended.
    let adopts = w.instance.spec.adopt.is_some();
    if !begun && !adopts && w.instance.spec.operating_mode == OperatingMode::Suspended {
        d.say(Statement::yes(
            kind::SUSPENDED,
            reason::SUSPENDED,
            "nothing runs yet, and nothing more is made",
        ));
        return wait(None);
    }
    if !begun {
        // Nothing is made outside before it is certain what shall run there.
        template(w, d)?;
        desired(w, d)?;
        tools::possible(w, d)?;
    }
    if !w.token {
        return act(Step::MintToken);
    }
    // Nothing that costs is made before there is a project for it, and a wrong one that was to be adopted can be
    // corrected in another object only: deleting this one must not take tools with it.
    parts::project(w, d)?;
    if let ControlFlow::Break(end) = tools::provide(w, d) {
        return match end {
            Verdict::Do(_) => ControlFlow::Break(end),
            // What runs already is still watched over.
            Verdict::Wait(_) => watch_over(w, d, ControlFlow::Break(end)),
        };
    }
    // A template that has gone leaves the agent as it is: it is told, and nothing is mended.
    let template = template(w, d)?;
    parts::inside(w, d, template)?;
    configuration(w, d, template)?;
    if follows(w) {
        tools::retire(w, d)?;
    }
    deployment(w, d, template)
}

/// Holds back an outside step while an earlier fault asks for patience; and every step where the API server refused one.
fn patience(w: &World, verdict: Verdict, d: &mut Draft) -> Verdict {
    let asks = |patience: &Patience, step: &Step| {
        let refused = matches!(patience.fault, Fault::Refused { .. });
        (refused || step.is_outside()) && patience.until > w.now
    };
    match (&w.patience, verdict) {
        (Some(patience), Verdict::Do(step)) if asks(patience, &step) => {
            // Nothing of a step that is not taken may stand, and nothing be told of it: what is said is what was said
            // when the fault came.
            *d = Draft::new(w);
            if w.deleting() {
                d.say(teardown::being_taken_back());
            }
            let _ = report::faulted(d, &patience.fault, ControlFlow::Continue(()));
            Verdict::Wait(Some(patience.until))
        }
        (_, verdict) => verdict,
    }
}

pub(super) fn account(w: &World, d: &mut Draft) -> Phase {
    let name = &w.instance.spec.account_ref.name;
    match &w.account {
        AccountView::Ready(_) => {
            rollout::resumed(&mut d.status, w.now);
            ControlFlow::Continue(())
        }
        AccountView::NotAvailable => {
            let message =
                report::not_available(name.as_str(), &w.instance.namespace().unwrap_or_default());
            d.say(Statement::no(
                kind::SYNCED,
                reason::ACCOUNT_NOT_AVAILABLE,
                message.clone(),
            ));
            missing(w, d, reason::ACCOUNT_NOT_AVAILABLE, message)
        }
        AccountView::Elsewhere { provider } => {
            let message = format!(
                "{}; make another AgentInstance whose accountRef names one: this one's is immutable",
                report::elsewhere(name.as_str(), provider, "railway")
            );
            d.say(Statement::no(
                kind::SYNCED,
                reason::ACCOUNT_NOT_AVAILABLE,
                message.clone(),
            ));
            missing(w, d, reason::ACCOUNT_NOT_AVAILABLE, message)
        }
        // Trouble with an account is the account's own condition. It says nothing about an agent at rest, and writes
        // nothing to it.
        AccountView::NotReady { .. } | AccountView::Unreachable if at_rest(w) => {
            d.unchanged = true;
            wait(None)
        }
        AccountView::NotReady { message } => {
            let message = format!("ProviderAccount {name} is not ready: {message}");
            d.working_on(kind::SYNCED, reason::ACCOUNT_NOT_READY, message);
            wait(Some(w.recheck()))
        }
        AccountView::Unreachable => {
            let message = format!(
                "the provider of ProviderAccount {name} cannot be reached; nothing is made, changed or deleted until it answers again"
            );
            d.working_on(kind::SYNCED, reason::ACCOUNT_UNREACHABLE, message);
            wait(Some(w.recheck()))
        }
    }
}

/// In an account that is being deleted nothing is begun. What is there goes on, and is taken back when its time comes.
pub(super) fn account_goes(w: &World, d: &mut Draft) -> Phase {
    let begun = ledger::entry(&d.status, Slot::Project)
        .is_some_and(|entry| entry.state != SlotState::Planned);
    match &w.account {
        // One whose ledger was lost has something there all the same.
        AccountView::Ready(room) if room.deleting && !begun && w.ours().is_empty() => {
            let message = format!(
                "{}; delete this AgentInstance, or make another whose accountRef names an account that stays",
                report::account_goes(w.instance.spec.account_ref.name.as_str())
            );
            d.stalled_on(kind::SYNCED, reason::ACCOUNT_DELETING, message);
            wait(Some(w.recheck()))
        }
        _ => ControlFlow::Continue(()),
    }
}

/// Whether the object is at rest, and nothing in it has changed since.
pub(super) fn at_rest(w: &World) -> bool {
    let status = w.status();
    report::settled(&status) && status.observed_generation == w.instance.metadata.generation
}

fn template<'a>(w: &'a World, d: &mut Draft) -> ControlFlow<Verdict, &'a TemplateReady> {
    let name = &w.instance.spec.template_ref.name;
    match &w.template {
        TemplateView::Ready(ready) => ControlFlow::Continue(ready),
        TemplateView::Missing => {
            let message = format!(
                "AgentTemplate {name} does not exist in this namespace; create it, or delete this instance"
            );
            d.say(Statement::no(
                kind::TEMPLATE_SYNCED,
                reason::TEMPLATE_NOT_FOUND,
                message.clone(),
            ));
            let until = missing(w, d, reason::TEMPLATE_NOT_FOUND, message);
            watch_over(w, d, until)
        }
        TemplateView::NotReady { stalled, message } => {
            let message = format!("AgentTemplate {name} is not ready: {message}");
            if *stalled {
                d.stalled_on(kind::TEMPLATE_SYNCED, reason::TEMPLATE_NOT_READY, message);
            } else {
                d.say(Statement::unknown(
                    kind::TEMPLATE_SYNCED,
                    reason::TEMPLATE_NOT_READY,
                    message.clone(),
                ));
                d.working(reason::TEMPLATE_NOT_READY, message);
            }
            watch_over(w, d, wait(Some(w.recheck())))
        }
    }
}

/// Without a usable template what runs is left alone; only whether it runs is still told.
fn watch_over<T>(w: &World, d: &mut Draft, end: Phase) -> ControlFlow<Verdict, T> {
    if let (Sight::Seen(home), Some(mut known)) = (w.home(), d.status.deployment.clone())
        && let Some(newest) = home.deployments.iter().find(|seen| known.is(&seen.id))
    {
        known.state = newest.state.clone();
        d.status.deployment = Some(known);
    }
    match end {
        ControlFlow::Break(verdict) => ControlFlow::Break(verdict),
        ControlFlow::Continue(()) => ControlFlow::Break(Verdict::Wait(None)),
    }
}

/// How long something that an instance refers to may come after it: whoever applies several objects at once chooses no
/// order, and tools that give up on `Stalled` should not.
pub(super) const ARRIVAL: SignedDuration = SignedDuration::from_secs(5);

/// Something referred to is not there: it may be on its way, or a person has to do something.
fn missing(w: &World, d: &mut Draft, reason: &'static str, message: String) -> Phase {
    let created = w
        .instance
        .metadata
        .creation_timestamp
        .as_ref()
        .map(|time| time.0);
    match created
        .map(|created| created + ARRIVAL)
        .filter(|until| *until > w.now)
    {
        Some(until) => {
            d.working(reason, message);
            wait(Some(until))
        }
        None => {
            d.stalled(reason, message);
            // Nobody is told when a namespace gets the label that an account asks for.
            wait(Some(w.recheck()))
        }
    }
}

fn desired(w: &World, d: &mut Draft) -> Phase {
    match &w.desired {
        Desired::Composed(_) => ControlFlow::Continue(()),
        Desired::Broken { reason, message } => {
            d.stalled_on(kind::SYNCED, reason, message.clone());
            wait(None)
        }
        Desired::Unknown => wait(None),
    }
}

/// Whether the instance takes what its template says now: it is new, or as new as its template, or it is its turn.
pub(super) fn follows(w: &World) -> bool {
    let TemplateView::Ready(template) = &w.template else {
        return false;
    };
    let status = w.status();
    if status.template_revision.as_ref() == Some(&template.revision) {
        return true;
    }
    if !waits_its_turn(&status) {
        // One that is being adopted stays as it was found until it takes a revision.
        return w.instance.spec.adopt.is_none();
    }
    w.instance.spec.operating_mode == OperatingMode::Running
        && w.instance.spec.update_policy == UpdatePolicy::Automatic
        && template.turn == RolloutTurn::Yes
}

/// Whether something runs that another revision must wait for. An attempt under way is brought to its end, and what was
/// never deployed needs nobody's leave. An attempt that was refused has changed nothing: what ran before runs on.
fn waits_its_turn(status: &AgentInstanceStatus) -> bool {
    let configuration = ledger::entry(status, Slot::Configuration);
    match configuration.map(|entry| entry.state) {
        Some(SlotState::Exists | SlotState::Deleting) => true,
        Some(SlotState::Planned) => status.deployment.is_some(),
        Some(SlotState::Creating) | None => false,
    }
}

/// A change that was refused, and may not be tried again before the agent's turn, has changed nothing: what was applied
/// before it is what is there. What that was made from, nothing on record says.
fn as_it_was(w: &World, d: &mut Draft) {
    let TemplateView::Ready(template) = &w.template else {
        return;
    };
    let refused = ledger::entry(&d.status, Slot::Configuration)
        .is_some_and(|entry| entry.state == SlotState::Planned);
    let behind = rollout::behind(&d.status, &template.revision);
    if refused && behind && waits_its_turn(&d.status) {
        ledger::exists(&mut d.status, Slot::Configuration, None);
        if let Some(entry) = ledger::entry_mut(&mut d.status, Slot::Configuration) {
            entry.key.clear();
        }
    }
}

/// Whether the instance is made ready for what its template says now: it follows, or it would if it could.
pub(super) fn prepares(w: &World) -> bool {
    let passed =
        matches!(&w.template, TemplateView::Ready(ready) if ready.turn == RolloutTurn::Passed);
    follows(w) || passed && automatic(w)
}

/// Whether the instance takes part in rollouts.
fn automatic(w: &World) -> bool {
    let spec = &w.instance.spec;
    spec.operating_mode == OperatingMode::Running && spec.update_policy == UpdatePolicy::Automatic
}

/// So long a rollout waits for an instance whose turn it is and that is still trying.
const TRYING: SignedDuration = SignedDuration::from_mins(1);

/// What the end of a plan means for the template's revision, where no phase came far enough to take it: the rollout
/// passes an instance that would have its turn and cannot use it, so that nobody waits for it.
fn not_taken(w: &World, d: &mut Draft, until: Option<Timestamp>) {
    let TemplateView::Ready(template) = &w.template else {
        return;
    };
    let said = |d: &Draft, kind: &str| d.said.iter().find(|said| said.kind == kind).cloned();
    let elsewhere = d.unchanged || w.deleting() || said(d, kind::TEMPLATE_SYNCED).is_some();
    // What comes again at once is only half a plan.
    let again_at_once = until.is_some_and(|at| at <= w.now);
    if elsewhere
        || again_at_once
        || !automatic(w)
        || !rollout::behind(&d.status, &template.revision)
    {
        return;
    }
    let stalled = said(d, kind::STALLED);
    // What keeps a variable from the agent may keep nothing else of it: a tool that it need not have.
    let kept = |kind: &str| said(d, kind).filter(|said| said.status == "False");
    let why = stalled
        .clone()
        .or_else(|| said(d, kind::RECONCILING))
        .or_else(|| kept(kind::TOOLS_READY))
        .or_else(|| kept(kind::SYNCED));
    let before = w.status().conditions;
    let trying_since = why
        .as_ref()
        .and_then(|why| find(&before, why.kind).filter(|old| old.status == why.status))
        .map_or(w.now, |trying| trying.last_transition_time.0);
    match (&template.turn, why) {
        (RolloutTurn::Yes, Some(_)) if stalled.is_none() && w.now < trying_since + TRYING => {
            d.again(trying_since + TRYING);
            waits_for_its_turn(d);
        }
        (RolloutTurn::Yes | RolloutTurn::Passed, Some(why)) => {
            let message = format!(
                "runs an older revision of its template, and the rollout passes it over because it cannot take the new one now: {}",
                why.message
            );
            d.say(Statement::no(
                kind::TEMPLATE_SYNCED,
                reason::PASSED_OVER,
                message,
            ));
        }
        (RolloutTurn::Stopped { because }, _) => stopped(d, because),
        _ => waits_for_its_turn(d),
    }
}

fn stopped(d: &mut Draft, because: &str) {
    let message = format!(
        "runs an older revision of its template; the rollout has stopped because {because} did not get ready: correct the template or {because}, or set its updatePolicy to Manual"
    );
    say_template(d, true, reason::ROLLOUT_STOPPED, message);
}

fn waits_for_its_turn(d: &mut Draft) {
    say_template(
        d,
        true,
        reason::OUTDATED,
        "runs an older revision of its template and waits for its turn",
    );
}

/// Whether the wanted configuration has been applied, and if not, whether it may be now.
fn configuration(w: &World, d: &mut Draft, template: &TemplateReady) -> Phase {
    let suspended = w.instance.spec.operating_mode == OperatingMode::Suspended;
    let applied = ledger::entry(&d.status, Slot::Configuration)
        .filter(|entry| entry.state != SlotState::Planned)
        .cloned();
    let behind = rollout::behind(&d.status, &template.revision);
    let outdated = behind && waits_its_turn(&d.status);
    if suspended {
        say_template(
            d,
            behind,
            reason::OUTDATED,
            "takes the template's new revision when it runs again",
        );
        return ControlFlow::Continue(());
    }
    if outdated {
        if w.instance.spec.update_policy == UpdatePolicy::Manual {
            say_template(
                d,
                true,
                reason::OUTDATED_MANUAL,
                "runs an older revision of its template; set updatePolicy to Automatic to let it follow",
            );
            return ControlFlow::Continue(());
        }
        match &template.turn {
            RolloutTurn::Yes => {}
            RolloutTurn::Wait => {
                waits_for_its_turn(d);
                return ControlFlow::Continue(());
            }
            RolloutTurn::Passed => {
                // Nothing keeps it any more, unless its own configuration does.
                desired(w, d)?;
                waits_for_its_turn(d);
                return ControlFlow::Continue(());
            }
            RolloutTurn::Stopped { because } => {
                stopped(d, because);
                return ControlFlow::Continue(());
            }
        }
    }
    desired(w, d)?;
    let Desired::Composed(composed) = &w.desired else {
        return wait(None);
    };
    let same = applied
        .as_ref()
        .is_some_and(|entry| entry.key == composed.key);
    let state = applied.as_ref().map(|entry| entry.state);
    if same && state == Some(SlotState::Exists) {
        return drift(w, d, composed, template);
    }
    if !(same && state == Some(SlotState::Creating)) {
        too_many_names(d, composed)?;
        begin_configuration(w, d, composed, template);
    }
    apply(d, composed, template)
}

/// The first configuration is intended together with what it is applied to: its key is known, and applying the same
/// attempt again changes nothing, so it needs no write of its own (design 5).
pub(super) fn intend_configuration(w: &World, d: &mut Draft, template: &TemplateReady) {
    let Desired::Composed(composed) = &w.desired else {
        return;
    };
    let running = w.instance.spec.operating_mode == OperatingMode::Running;
    if running && ledger::entry(&d.status, Slot::Configuration).is_none() {
        begin_configuration(w, d, composed, template);
        record_applied(d, composed, template);
    }
}

fn begin_configuration(w: &World, d: &mut Draft, composed: &Composed, template: &TemplateReady) {
    let own = ledger::entry(&d.status, Slot::Configuration)
        .map(|entry| entry.settings.clone())
        .unwrap_or_default();
    let own_change = !own.is_empty() && own != composed.own;
    let taking = rollout::taking(&d.status, &template.revision, own_change, w.now);
    d.status.rollout = Some(taking);
    let account = w.instance.spec.account_ref.name.0.clone();
    let key = composed.key.clone();
    ledger::begin(
        &mut d.status,
        Slot::Configuration,
        RAILWAY,
        &account,
        key,
        w.now,
    );
    if let Some(entry) = ledger::entry_mut(&mut d.status, Slot::Configuration) {
        // What was applied last, until this attempt is.
        entry.settings = own;
    }
    d.untried.insert(Slot::Configuration);
}

/// Refuses what the record could not hold: names that were renamed again and again while the provider did not answer.
fn too_many_names(d: &mut Draft, composed: &Composed) -> Phase {
    let names = composed.names();
    let old = d.status.variables.iter();
    let all = names.len() + old.filter(|name| !names.contains(name)).count();
    if all <= MOST_VARIABLES {
        return ControlFlow::Continue(());
    }
    let message = format!(
        "env: the names of variables, old and new together, are {all}, and status.variables holds {MOST_VARIABLES}, because it is not known which of them the provider has; put earlier names back, wait until Deployed is True, and rename fewer at a time"
    );
    d.stalled_on(kind::SYNCED, reason::VALUE_NOT_USABLE, message);
    wait(None)
}

/// Records what is about to be applied. The answer names the variables that are no longer wanted.
fn record_applied(d: &mut Draft, composed: &Composed, template: &TemplateReady) -> Vec<String> {
    d.status.template_revision = Some(template.revision.clone());
    d.status.image = Some(template.image.clone());
    let names = composed.names();
    let retired: Vec<String> = d
        .status
        .variables
        .iter()
        .filter(|name| !names.contains(name))
        .cloned()
        .collect();
    // Until the answer is in, both the old and the new ones may be set.
    d.status.variables = names.iter().chain(&retired).cloned().collect();
    d.status.variables.sort();
    retired
}

/// Applies the configuration under the attempt that the draft's ledger has open.
fn apply(d: &mut Draft, composed: &Composed, template: &TemplateReady) -> Phase {
    let (Some(environment), Some(service)) = (
        parts::id(&d.status, Slot::Environment),
        parts::id(&d.status, Slot::Service),
    ) else {
        return wait(None);
    };
    let retired = record_applied(d, composed, template);
    let attempt = ledger::entry(&d.status, Slot::Configuration).map_or(1, |entry| entry.attempt);
    let message = format!(
        "applying image {} and {} variables",
        template.image.requested,
        composed.names().len()
    );
    d.working_on(kind::DEPLOYED, reason::DEPLOYING, message);
    say_template(d, false, reason::CURRENT, "");
    act(Step::Configure {
        environment,
        service,
        volume: parts::id(&d.status, Slot::Volume),
        composed: Box::new(composed.clone()),
        attempt,
        retired,
    })
}

fn say_template(d: &mut Draft, outdated: bool, why: &'static str, message: impl Into<String>) {
    if outdated {
        d.say(Statement::no(
            kind::SYNCED,
            why,
            "changes of this instance are applied together with its template's new revision",
        ));
        d.say(Statement::no(kind::TEMPLATE_SYNCED, why, message));
    } else {
        d.say(Statement::yes(
            kind::TEMPLATE_SYNCED,
            reason::CURRENT,
            "follows the template's current revision",
        ));
    }
}

/// Whether what is configured outside is still what was applied.
///
/// The tag recorded in the ledger changes exactly when the configuration does, so that looking costs nothing until
/// somebody has edited something.
fn drift(w: &World, d: &mut Draft, composed: &Composed, template: &TemplateReady) -> Phase {
    say_template(d, false, reason::CURRENT, "");
    let Some(entry) = ledger::entry(&d.status, Slot::Configuration).cloned() else {
        return ControlFlow::Continue(());
    };
    let Sight::Seen(home) = w.home() else {
        return ControlFlow::Continue(());
    };
    if home.configuration_tag.is_none() || entry.id == home.configuration_tag {
        return ControlFlow::Continue(());
    }
    if entry.id.is_some() {
        match parts::doubt(w, d, home.begun, entry.started_at.0) {
            Doubt::None => {}
            Doubt::Look => return parts::look_at(d),
            Doubt::Wait => return ControlFlow::Continue(()),
        }
    } else {
        // No tag was recorded right after the configuration was applied, and somebody may have edited it since: it is
        // compared once, when the deployment that came of it is up.
        let up = parts::id(&d.status, Slot::Service)
            .and_then(|service| newest(&home, &service).map(|newest| newest.state.is_up()));
        let at_once = home.begun <= entry.started_at.0 + AT_ONCE;
        if at_once || up != Some(true) {
            return ControlFlow::Continue(());
        }
    }
    let (Some(environment), Some(service)) = (
        parts::id(&d.status, Slot::Environment),
        parts::id(&d.status, Slot::Service),
    ) else {
        return ControlFlow::Continue(());
    };
    match &w.pass.drift {
        None => act(Step::Compare {
            environment,
            service,
            composed: Box::new(composed.clone()),
            attempt: entry.attempt,
        }),
        Some(differences) if differences.is_empty() => {
            ledger::exists(
                &mut d.status,
                Slot::Configuration,
                home.configuration_tag.clone(),
            );
            ControlFlow::Continue(())
        }
        Some(differences) => {
            let note = format!(
                "changed at the provider and set back: {}",
                differences.join(", ")
            );
            d.announcements.push(Announcement {
                warning: true,
                reason: reason::DRIFTED,
                action: "Mend",
                note: note.clone(),
            });
            d.say(Statement::no(kind::SYNCED, reason::DRIFTED, note));
            begin_configuration(w, d, composed, template);
            apply(d, composed, template)
        }
    }
}

pub(super) fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
