//! AgentInstance: what a pass needs is gathered here, fresh from the API server, and handed to the pass.

use super::accounts::{Account, ToolAccount, Workspace};
use super::context::Context;
use super::enact::Workshop;
use super::failures;
use super::kind::{Ended, Kind};
use super::memories::{Tried, Uid};
use super::pass::{End, pass};
use super::records;
use super::restored::standing;
use super::store::Store;
use super::stores::Stores;
use super::unreadable;
use super::wake::{Change, template_of};
use crate::api::account::AllowedNamespaces;
use crate::api::template::AgentTemplateSpec;
use crate::api::text::Span;
use crate::api::{
    ABANDON_ANNOTATION, AgentInstance, AgentInstanceStatus, AgentTemplate, LedgerEntry, Part,
    ProviderAccount, Seen, Slot, SlotState,
};
use crate::cluster::call::find;
use crate::cluster::{ClusterError, secret, values};
use crate::engine::account as account_rules;
use crate::engine::adopt;
use crate::engine::compose::{self, compose, references, revision};
use crate::engine::restored::{Standing, as_it_stands};
use crate::engine::rollout;
use crate::engine::tools::{Refusal, wanted};
use crate::engine::world::{
    AccountRoom, AccountView, Desired, Glance, Outside, RolloutTurn, TemplateReady, TemplateView,
    ToolAccount as ToolAccountView, Tools, World, marker,
};
use crate::model::slot::FoundBy;
use crate::model::tool::{Kept, Wanted};
use crate::model::values::Seal;
use crate::model::{Fault, Home};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::reflector::ObjectRef;
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

impl Kind for AgentInstance {
    const NAME: &'static str = "AgentInstance";

    fn store(stores: &Stores) -> &Store<AgentInstance> {
        &stores.instances
    }

    async fn reconcile(
        seen: &Seen<AgentInstance>,
        ctx: &Arc<Context>,
    ) -> Result<Ended, ClusterError> {
        let ended = run(seen, ctx).await?;
        let waiting = Ended {
            word: "waiting",
            again: None,
        };
        Ok(ended.map_or(waiting, |(end, about)| {
            finished(ctx, &Uid::of(seen), &end, &about)
        }))
    }

    /// Its passes tell.
    fn conditions(_: &mut AgentInstanceStatus) -> Option<&mut Vec<Condition>> {
        None
    }

    fn gone(last: &Seen<AgentInstance>, ctx: &Context) {
        let home = last
            .read()
            .and_then(|one| ctx.accounts.workspace(one.spec.account_ref.name.as_str()));
        if let Some(account) = home {
            let uid = last.uid().unwrap_or_default();
            account.give_back(ctx.around.gauge.as_ref(), &uid, None);
            ctx.stores.tell(&Change::PlaceFree(account.name.clone()));
        }
    }
}

fn finished(ctx: &Context, uid: &Uid, end: &End, about: &str) -> Ended {
    let now = ctx.around.now();
    for slot in &end.answered {
        if !end.faults.contains_key(slot) {
            ctx.memories.retries.clear(&Tried::tool(uid.clone(), *slot));
        }
    }
    let mut wake = end.wake;
    for (slot, fault) in &end.faults {
        let until =
            ctx.memories
                .retries
                .failed(&Tried::tool(uid.clone(), *slot), about, fault, now);
        wake = Some(wake.map_or(until, |wake| wake.min(until)));
    }
    if let Some(fault) = &end.fault {
        let until = ctx
            .memories
            .retries
            .failed(&Tried::object(uid.clone()), about, fault, now);
        return Ended {
            word: "fault",
            again: Some(until_then(until, now)),
        };
    }
    // A pass that took no step proves nothing about an earlier fault.
    if end.steps > 0 {
        ctx.memories.retries.clear(&Tried::object(uid.clone()));
    }
    Ended {
        word: if !end.faults.is_empty() {
            "fault"
        } else if end.steps > 0 {
            "changed"
        } else {
            "unchanged"
        },
        again: wake.map(|wake| until_then(wake, now)),
    }
}

fn until_then(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now))
        .unwrap_or(Duration::ZERO)
        .max(Duration::from_millis(5))
}

/// One pass. `None`: something that a pass needs is not known yet, and will wake the instance.
async fn run(
    watched: &Seen<AgentInstance>,
    ctx: &Arc<Context>,
) -> Result<Option<(End, String)>, ClusterError> {
    let api = Api::namespaced(
        ctx.around.client.clone(),
        &watched.namespace().unwrap_or_default(),
    );
    let instance = match unreadable::get(ctx, &api, "reading the instance", watched).await? {
        Some(Seen::Read(instance)) => Arc::unwrap_or_clone(instance),
        Some(Seen::Unreadable(_)) | None => return Ok(None),
    };
    let (world, mut hands) = match gather(ctx, instance.clone()).await {
        Ok(Some(gathered)) => gathered,
        Ok(None) => return Ok(None),
        Err(ClusterError::Refused { what, refusal }) => {
            blind(ctx, instance.clone(), refusal.fault(what))
        }
        Err(error) => return Err(error),
    };
    let about = about(&world);
    let uid = world.instance.uid().unwrap_or_default();
    let ended = pass(&mut hands, world, instance).await;
    hands.give_back(&uid, ended.as_ref().ok().and_then(|end| end.line));
    Ok(Some((ended?, about)))
}

/// A pass for which nothing could be gathered, because the API server refuses it: it tells of that, and nothing else.
fn blind(ctx: &Context, instance: AgentInstance, fault: Fault) -> (World, Workshop<'_>) {
    let world = World {
        now: ctx.around.now(),
        limits: ctx.around.settings.limits,
        installation: ctx.around.installation.id.clone(),
        seal: ctx.around.installation.seal.clone(),
        instance,
        standing: Standing::Unread,
        new: false,
        account: AccountView::Unreachable,
        template: TemplateView::Missing,
        token: false,
        adopted_by: None,
        desired: Desired::Unknown,
        outside: Outside::default(),
        agent: None,
        drift: None,
        tools: Tools::default(),
        stopped: false,
        untried: BTreeSet::new(),
        fault: Some(fault),
        patience: None,
    };
    let hands = Workshop {
        ctx,
        account: None,
        tools: BTreeMap::new(),
        token: SecretString::default(),
    };
    (world, hands)
}

/// Names what a pass tries: a fault of one try says nothing about another.
fn about(world: &World) -> String {
    let meta = &world.instance.metadata;
    // Before the token is in its Secret each pass makes up another, and with it another key.
    let key = match &world.desired {
        Desired::Composed(composed) if world.token => composed.key.as_str(),
        _ => "",
    };
    // What is asked for, and of whom: a corrected template or account is tried at once.
    let mut tools = DefaultHasher::new();
    format!("{:?} {:?}", world.tools.wanted, world.tools.accounts).hash(&mut tools);
    format!(
        "{:?} {} {} {key} {:?} {:x}",
        meta.generation,
        world.deleting(),
        world
            .instance
            .annotations()
            .get(ABANDON_ANNOTATION)
            .map_or("", String::as_str),
        std::mem::discriminant(&world.account),
        tools.finish(),
    )
}

/// Everything that a decision about the instance depends on.
async fn gather<'a>(
    ctx: &'a Arc<Context>,
    instance: AgentInstance,
) -> Result<Option<(World, Workshop<'a>)>, ClusterError> {
    let now = ctx.around.now();
    let uid = Uid::of(&instance);
    let Some((view, account)) = account(ctx, &instance).await? else {
        return Ok(None);
    };
    let project = project_of(&instance);
    let (listing, homes) = account
        .as_ref()
        .map(|account| account.seen(&instance, project.as_deref()))
        .unwrap_or_default();
    let standing = standing(ctx, &instance, (listing, &homes)).await?;
    records::remember(&instance, &standing, ctx).await?;
    let instance = as_it_stands(instance, &standing);
    let deleting = instance.metadata.deletion_timestamp.is_some();
    // A ledger that was lost is written again from what the template says, where there is one.
    let lost = instance.spec.adopt.is_none() && !on_record(&instance, Slot::Project);
    // Read once: what the agent is given and what it is deployed from must be of one generation.
    let stamp = match !deleting || lost {
        true => whole_template(ctx, &instance).await?,
        false => None,
    };
    let (wanted, refused) = stamp
        .as_ref()
        .and_then(Seen::read)
        .filter(|template| observed(template))
        .map(|template| wanted(&template.spec.tools, &instance.spec, &instance.name_any()))
        .map_or((None, Vec::new()), |(wanted, refused)| {
            (Some(wanted), refused)
        });
    let secrets = secret::read(
        &ctx.around.client,
        &instance,
        &wallets(&instance, wanted.as_deref().unwrap_or_default()),
    )
    .await?;
    let has_token = secrets.token.is_some();
    let token = secrets
        .token
        .clone()
        .unwrap_or_else(|| SecretString::from(fresh_token()));
    let given = given(&instance, wanted.as_deref().unwrap_or_default(), &secrets);
    let Some((tools, tool_accounts)) = tools(ctx, &instance, wanted, refused, secrets.kept).await?
    else {
        return Ok(None);
    };
    let (template, desired) = if deleting {
        (TemplateView::Missing, Desired::Unknown)
    } else {
        template(ctx, stamp, &instance, &token, &given).await?
    };
    let project = project_of(&instance);
    let adopted_by = instance
        .spec
        .adopt
        .as_ref()
        .filter(|_| project.is_none())
        .and_then(|_| {
            let all = ctx.stores.instances.state();
            adopt::rival(&instance, all.iter().map(AsRef::as_ref))
                .or_else(|| unread_rival(ctx, &instance))
        });
    let mut world = World {
        now,
        limits: ctx.around.settings.limits,
        installation: ctx.around.installation.id.clone(),
        seal: ctx.around.installation.seal.clone(),
        instance,
        standing,
        account: view,
        template,
        token: has_token,
        new: false,
        adopted_by,
        desired,
        outside: Outside {
            listing,
            homes,
            ..Outside::default()
        },
        agent: None,
        drift: None,
        tools,
        stopped: false,
        untried: BTreeSet::new(),
        fault: None,
        patience: None,
    };
    let tried = about(&world);
    world.patience = ctx
        .memories
        .retries
        .patience(&Tried::object(uid.clone()), &tried);
    world.tools.patience = slots(&world)
        .into_iter()
        .filter_map(|slot| {
            Some((
                slot,
                ctx.memories
                    .retries
                    .patience(&Tried::tool(uid.clone(), slot), &tried)?,
            ))
        })
        .collect();
    tracing::trace!(%uid, "gathered");
    Ok(Some((
        world,
        Workshop {
            ctx,
            account,
            tools: tool_accounts,
            token,
        },
    )))
}

/// The id of the recorded project.
fn project_of(instance: &AgentInstance) -> Option<String> {
    let status = instance.status.as_ref()?;
    let mut entries = status.external.iter();
    entries
        .find(|entry| entry.slot == Slot::Project)?
        .id
        .clone()
}

fn on_record(instance: &AgentInstance, slot: Slot) -> bool {
    let entries = instance.status.iter().flat_map(|status| &status.external);
    entries.into_iter().any(|entry| entry.slot == slot)
}

/// An instance that cannot be read and mentions the project that this one wants to adopt.
fn unread_rival(ctx: &Context, instance: &AgentInstance) -> Option<String> {
    let project = &instance.spec.adopt.as_ref()?.project_id.0;
    let others = ctx.stores.instances.unreadable();
    let rival = others.iter().find(|other| other.mentions(project))?;
    Some(rival.title())
}

/// Slots of tools that the instance has, or shall have.
fn slots(world: &World) -> BTreeSet<Slot> {
    let status = world.status();
    let recorded = status.external.iter().map(|entry| entry.slot);
    let wanted = world.tools.wanted.iter().flatten().flat_map(|tool| {
        tool.parts
            .iter()
            .filter_map(|part| Slot::tool(&tool.name, *part))
    });
    recorded
        .chain(wanted)
        .filter(|slot| slot.as_tool().is_some())
        .collect()
}

/// The wallets whose Secrets are of interest.
fn wallets(instance: &AgentInstance, wanted: &[Wanted]) -> Vec<Slot> {
    let recorded = instance
        .status
        .iter()
        .flat_map(|status| &status.external)
        .filter(|entry| entry.row().found_by == FoundBy::Kept)
        .map(|entry| entry.slot);
    let wanted = wanted
        .iter()
        .filter(|tool| tool.account.is_empty())
        .filter_map(|tool| Slot::tool(&tool.name, Part::Main));
    let all: BTreeSet<Slot> = recorded.chain(wanted).collect();
    all.into_iter().collect()
}

/// The variables that an agent gets from its tools: of each resource that exists and is wanted, what its row says.
pub(crate) fn given(
    instance: &AgentInstance,
    wanted: &[Wanted],
    secrets: &secret::Held,
) -> BTreeMap<String, SecretString> {
    let mut given = BTreeMap::new();
    let Some(status) = &instance.status else {
        return given;
    };
    for tool in wanted {
        for part in &tool.parts {
            let Some(entry) = status
                .external
                .iter()
                .find(|entry| Some(entry.slot) == Slot::tool(&tool.name, *part))
                .filter(|entry| entry.state == SlotState::Exists)
            else {
                continue;
            };
            let gives = entry.row().gives;
            let told = status.tools.iter().find(|told| told.name == tool.name);
            let address = told.and_then(|told| told.address.clone());
            let texts = [(gives.address, address), (gives.id, entry.id.clone())];
            for (name, text) in texts {
                if let (Some(name), Some(text)) = (name, text) {
                    given.insert(name.to_owned(), SecretString::from(text));
                }
            }
            if let (Some(name), Some(value)) = (gives.secret, secrets.values.get(&entry.slot)) {
                given.insert(name.to_owned(), value.clone());
            }
        }
    }
    given
}

type ToolsSeen = (Tools, BTreeMap<String, Arc<ToolAccount>>);

/// What is known of the instance's tools, and the way to their providers. `None`: an account exists and was not set up
/// yet; its set-up wakes the instance.
async fn tools(
    ctx: &Context,
    instance: &AgentInstance,
    wanted: Option<Vec<Wanted>>,
    refused: Vec<Refusal>,
    kept: BTreeMap<Slot, Kept>,
) -> Result<Option<ToolsSeen>, ClusterError> {
    let entries: Vec<&LedgerEntry> = instance
        .status
        .iter()
        .flat_map(|status| &status.external)
        .filter(|entry| entry.slot.as_tool().is_some() && !entry.account.is_empty())
        .collect();
    let mut named: BTreeSet<(String, String)> = entries
        .iter()
        .map(|entry| (entry.account.clone(), entry.provider.clone()))
        .collect();
    named.extend(
        wanted
            .iter()
            .flatten()
            .filter(|tool| !tool.account.is_empty())
            .map(|tool| (tool.account.clone(), tool.kind.provider().to_owned())),
    );
    let adopts = instance.spec.adopt.is_some();
    let mut tools = Tools {
        rivals: match adopts {
            true => rivals(ctx, instance, wanted.as_deref().unwrap_or_default()),
            false => BTreeSet::new(),
        },
        wanted,
        refused,
        kept,
        ..Tools::default()
    };
    let mut ways = BTreeMap::new();
    for (name, provider) in named {
        let Some((view, way)) = tool_account(ctx, instance, &name, &provider).await? else {
            return Ok(None);
        };
        tools.accounts.insert((name.clone(), provider), view);
        if let Some(way) = way {
            ways.insert(name, way);
        }
    }
    for entry in entries {
        // No listing shows the keys of an inbox or a wallet: that one is not there says nothing.
        let listed = entry
            .slot
            .as_tool()
            .is_some_and(|own| own.part != Part::Key);
        if let (true, Some(account), Some(id)) = (listed, ways.get(&entry.account), &entry.id)
            && let (Some(begun), resources) = account.seen(id, &entry.key)
        {
            tools.seen.insert(entry.slot, Glance { begun, resources });
        }
    }
    for tool in tools.wanted.iter().flatten() {
        if tool.adopt.is_some() {
            continue;
        }
        let view = tools
            .accounts
            .get(&(tool.account.clone(), tool.kind.provider().to_owned()));
        let out_of_reach = matches!(
            view,
            Some(ToolAccountView::NotReady { .. } | ToolAccountView::Unreachable)
        );
        let account = ways.get(&tool.account);
        if account.is_none() && !out_of_reach {
            continue;
        }
        for slot in tool
            .parts
            .iter()
            .filter(|part| **part != Part::Key)
            .filter_map(|part| Slot::tool(&tool.name, *part))
            .filter(|slot| !on_record(instance, *slot))
        {
            let marker = marker(&ctx.around.installation.id, instance, slot);
            let bearing = account
                .filter(|_| !out_of_reach)
                .and_then(|account| account.bearing(&marker, &ctx.around.installation.seal));
            match bearing {
                Some(found) if !found.is_empty() => {
                    tools.unclaimed.insert(slot, found);
                }
                Some(_) => {}
                None => {
                    tools.unread.insert(slot);
                }
            }
        }
    }
    Ok(Some((tools, ways)))
}

/// Tools whose resources to adopt are, or may be, another instance's.
fn rivals(ctx: &Context, instance: &AgentInstance, wanted: &[Wanted]) -> BTreeSet<String> {
    let all = ctx.stores.instances.state();
    let mut rivals = adopt::rivals(instance, wanted, all.iter().map(AsRef::as_ref));
    for other in ctx.stores.instances.unreadable() {
        let theirs = wanted
            .iter()
            .filter(|tool| tool.adopt.as_ref().is_some_and(|id| other.mentions(id)));
        rivals.extend(theirs.map(|tool| tool.name.clone()));
    }
    rivals
}

type ToolAccountSeen = (ToolAccountView, Option<Arc<ToolAccount>>);

/// A tool's account as this instance may use it.
async fn tool_account(
    ctx: &Context,
    instance: &AgentInstance,
    name: &str,
    provider: &str,
) -> Result<Option<ToolAccountSeen>, ClusterError> {
    let Some(object) = open_to(ctx, instance, name).await? else {
        return Ok(Some((ToolAccountView::NotAvailable, None)));
    };
    let Seen::Read(object) = object else {
        let message = UNREADABLE_ACCOUNT.to_owned();
        return Ok(Some((ToolAccountView::NotReady { message }, None)));
    };
    if let Some(other) = object.spec.provider().filter(|other| *other != provider) {
        return Ok(Some((ToolAccountView::Elsewhere { provider: other }, None)));
    }
    let Some(account) = ctx.accounts.tool_account(name) else {
        let message = NOT_SET_UP.to_owned();
        let failed = failures::known(ctx, object.as_ref());
        return Ok(failed.then_some((ToolAccountView::NotReady { message }, None)));
    };
    let view = match account.usable() {
        Err(message) => ToolAccountView::NotReady { message },
        Ok(()) if account.outage().is_some() => ToolAccountView::Unreachable,
        Ok(()) if object.metadata.deletion_timestamp.is_some() => {
            return Ok(Some((ToolAccountView::Deleting, Some(account))));
        }
        Ok(()) => return Ok(Some((ToolAccountView::Ready, Some(account)))),
    };
    Ok(Some((view, None)))
}

fn fresh_token() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

type AccountSeen = (AccountView, Option<Arc<Workspace>>);

/// The account as this instance may use it. `None`: it exists and was not set up yet; its set-up wakes the instance.
async fn account(
    ctx: &Arc<Context>,
    instance: &AgentInstance,
) -> Result<Option<AccountSeen>, ClusterError> {
    let name = instance.spec.account_ref.name.as_str();
    let Some(object) = open_to(ctx, instance, name).await? else {
        return Ok(Some((AccountView::NotAvailable, None)));
    };
    let Seen::Read(object) = object else {
        let message = UNREADABLE_ACCOUNT.to_owned();
        return Ok(Some((AccountView::NotReady { message }, None)));
    };
    if let Some(provider) = object.spec.provider().filter(|other| *other != "railway") {
        return Ok(Some((AccountView::Elsewhere { provider }, None)));
    }
    let Some(account) = ctx.accounts.workspace(name) else {
        let message = NOT_SET_UP.to_owned();
        let failed = failures::known(ctx, object.as_ref());
        return Ok(failed.then_some((AccountView::NotReady { message }, None)));
    };
    if let Err(message) = account.usable() {
        return Ok(Some((AccountView::NotReady { message }, None)));
    }
    if account.outage().is_some() {
        return Ok(Some((AccountView::Unreachable, None)));
    }
    let project = project_of(instance);
    let stands = |home: &Home| Some(&home.id) == project.as_ref() && !home.deleted;
    let room = AccountRoom {
        // Counting looks at every instance: done for those that may have to make a project.
        projects: match account
            .seen(instance, project.as_deref())
            .1
            .iter()
            .any(stands)
        {
            true => None,
            false => account.taken((&ctx.around, &ctx.stores), instance, false),
        },
        max_projects: account.max_projects(),
        interval: SignedDuration::try_from(account.gateway.project_interval())
            .unwrap_or(SignedDuration::MAX),
        turns: BTreeMap::new(),
        deleting: object.metadata.deletion_timestamp.is_some(),
    };
    Ok(Some((AccountView::Ready(room), Some(account))))
}

/// What its users are told of an account on whose behalf the API server lets nothing be done. Its own condition says what.
const NOT_SET_UP: &str =
    "it is not set up, because the API server refuses that; ask whoever runs Yardmaster here";

/// What its users are told of an account that cannot be read. Its owner is told more, on the account.
const UNREADABLE_ACCOUNT: &str = "this version of Yardmaster cannot read it";

/// An account, where it is there and open to the instance. What it was open to stays open for the way back.
async fn open_to(
    ctx: &Context,
    instance: &AgentInstance,
    name: &str,
) -> Result<Option<Seen<ProviderAccount>>, ClusterError> {
    let Some(object) = ctx.stores.accounts.get(&ObjectRef::new(name)) else {
        return Ok(None);
    };
    let namespace = instance.namespace().unwrap_or_default();
    let open = instance.metadata.deletion_timestamp.is_some()
        || allowed(ctx, may_use(&object).as_ref(), &namespace).await?;
    Ok(open.then_some(object))
}

/// The namespaces that may use an account. Of one that cannot be read that part may be readable by itself.
fn may_use(object: &Seen<ProviderAccount>) -> Option<AllowedNamespaces> {
    match object {
        Seen::Read(object) => object.spec.allowed_namespaces.clone(),
        Seen::Unreadable(object) => object.part("/spec/allowedNamespaces"),
    }
}

/// Whether a namespace is among those that may use an account. Its labels are read only where a selector asks for them.
pub(super) async fn allowed(
    ctx: &Context,
    allowed: Option<&AllowedNamespaces>,
    namespace: &str,
) -> Result<bool, ClusterError> {
    if account_rules::allows(allowed, namespace, &BTreeMap::new()) {
        return Ok(true);
    }
    if allowed.is_none_or(|allowed| allowed.selector.is_none()) {
        return Ok(false);
    }
    let api: Api<Namespace> = Api::all(ctx.around.client.clone());
    let labels = find("reading the namespace", api.get_opt(namespace))
        .await?
        .and_then(|found| found.metadata.labels);
    Ok(account_rules::allows(
        allowed,
        namespace,
        &labels.unwrap_or_default(),
    ))
}

/// The instance's template with its values, which no store keeps.
async fn whole_template(
    ctx: &Context,
    instance: &AgentInstance,
) -> Result<Option<Seen<AgentTemplate>>, ClusterError> {
    let namespace = instance.namespace().unwrap_or_default();
    let api: Api<Seen<AgentTemplate>> = Api::namespaced(ctx.around.client.clone(), &namespace);
    let name = instance.spec.template_ref.name.as_str();
    find("reading the template", api.get_opt(name)).await
}

/// Whether the template's own controller has seen it as it is now.
fn observed(template: &AgentTemplate) -> bool {
    let status = template.status.as_ref();
    status.is_some_and(|status| status.observed_generation == template.metadata.generation)
}

/// The template as it can be used now, and what a deployment would be made from.
async fn template(
    ctx: &Context,
    template: Option<Seen<AgentTemplate>>,
    instance: &AgentInstance,
    token: &SecretString,
    given: &BTreeMap<String, SecretString>,
) -> Result<(TemplateView, Desired), ClusterError> {
    let namespace = instance.namespace().unwrap_or_default();
    let template = match template {
        Some(Seen::Read(template)) => template,
        Some(Seen::Unreadable(template)) => {
            let message = template.sentence();
            let stalled = true;
            return Ok((
                TemplateView::NotReady { stalled, message },
                Desired::Unknown,
            ));
        }
        None => return Ok((TemplateView::Missing, Desired::Unknown)),
    };
    let status = template.status.clone().unwrap_or_default();
    let current = observed(&template);
    // What keeps the template from being ready comes first: one that never was has neither image nor revision.
    if let Some(ready) = crate::api::condition::find(&status.conditions, "Ready")
        .filter(|ready| current && ready.status != "True")
    {
        let stalled = crate::api::condition::is_true(&status.conditions, "Stalled");
        return Ok((
            TemplateView::NotReady {
                stalled,
                message: ready.message.clone(),
            },
            Desired::Unknown,
        ));
    }
    let (Some(image), Some(named), true) = (status.image.clone(), status.revision.clone(), current)
    else {
        return Ok((
            TemplateView::NotReady {
                stalled: false,
                message: "it was just changed and is being looked at".into(),
            },
            Desired::Unknown,
        ));
    };
    let mut referred = references(Some(&template.spec.runtime), &template.spec.env);
    for (source, keys) in references(None, &instance.spec.env) {
        referred.entry(source).or_default().extend(keys);
    }
    let values = values::read(&ctx.around.client, &namespace, &referred).await?;
    // The template's own controller must have seen the same values: a change rolls out in its turn.
    match same_revision(
        &ctx.around.installation.seal,
        &template.spec,
        &image.digest,
        &values,
        &named,
    ) {
        Ok(true) => {}
        Ok(false) => {
            ctx.stores.tell(&Change::Values(template_of(instance)));
            let message =
                "a value that it refers to was just changed and is being looked at".into();
            return Ok((
                TemplateView::NotReady {
                    stalled: false,
                    message,
                },
                Desired::Unknown,
            ));
        }
        Err(broken) => {
            ctx.stores.tell(&Change::Values(template_of(instance)));
            return Ok((
                TemplateView::NotReady {
                    stalled: true,
                    message: broken.message,
                },
                Desired::Unknown,
            ));
        }
    }
    let desired = match compose(
        &ctx.around.installation.seal,
        &template.spec,
        &image.digest,
        &instance.spec.env,
        &values,
        token,
        given,
    ) {
        Ok(composed) => Desired::Composed(composed),
        Err(broken) => Desired::Broken {
            reason: broken.reason,
            message: broken.message,
        },
    };
    let runtime = &template.spec.runtime;
    let readiness = match compose::readiness(&runtime.contract.health) {
        Ok(readiness) => readiness,
        Err(broken) => {
            return Ok((
                TemplateView::NotReady {
                    stalled: true,
                    message: broken.message,
                },
                Desired::Unknown,
            ));
        }
    };
    let runs = instance
        .status
        .as_ref()
        .and_then(|status| status.template_revision.as_ref());
    let ready = TemplateReady {
        turn: if runs.is_none_or(|runs| runs == &named) {
            RolloutTurn::Yes
        } else {
            rollout_turn(ctx, &template, &named, instance)
        },
        revision: named,
        image,
        readiness,
        startup_deadline: SignedDuration::try_from(Span::or(
            Some(&runtime.startup_deadline),
            Duration::from_secs(900),
        ))
        .unwrap_or(SignedDuration::from_mins(15)),
        port: runtime.port.and_then(|port| u16::try_from(port).ok()),
        volume_mount: runtime
            .volume
            .as_ref()
            .map(|volume| volume.mount_path.0.clone()),
    };
    Ok((TemplateView::Ready(ready), desired))
}

fn same_revision(
    seal: &Seal,
    spec: &AgentTemplateSpec,
    digest: &str,
    values: &crate::model::values::Values,
    named: &str,
) -> Result<bool, crate::engine::compose::Broken> {
    Ok(revision(seal, spec, digest, values)? == named)
}

fn rollout_turn(
    ctx: &Context,
    template: &AgentTemplate,
    revision: &str,
    instance: &AgentInstance,
) -> RolloutTurn {
    let standing = ctx.stores.standing(template, revision, ctx.around.now());
    rollout::turn(&standing, instance)
}
