//! What a pass over an AgentInstance needs is read here: each object once, fresh from the API server where a decision needs it
//! so, from the stores where the next write proves the view.
//!
//! Holds: nothing is decided and nothing is changed; what was read is turned into a view by `engine::view`.

use super::access::{account, tool_account};
use super::accounts::{ToolAccount, spending};
use super::context::Context;
use super::enact::Workshop;
use super::places;
use super::records;
use super::restored::standing;
use super::stores::InstanceBy;
use super::turned::Ref;
use super::wake::{Change, template_of};
use crate::api::{AgentInstance, AgentTemplate, Part, Seen};
use crate::cluster::call::find;
use crate::cluster::{ClusterError, secret, values};
use crate::engine::places::{TakenPlaces, Taker};
use crate::engine::restored::as_it_stands;
use crate::engine::rights;
use crate::engine::rivals;
use crate::engine::rollout;
use crate::engine::tools::{given, wanted};
use crate::engine::view;
use crate::engine::world::{Desired, Outside, RolloutTurn, TemplateView, Tools, World, marker};
use crate::model::tool::{Kept, RefusedTool, Wanted};
use crate::model::values::Values;
use crate::model::{Fault, Slot};
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::reflector::ObjectRef;
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A world of which nothing is known but the object.
fn unread(ctx: &Context, instance: AgentInstance) -> World {
    let installation = (
        ctx.around.installation.id.clone(),
        ctx.around.installation.seal.clone(),
    );
    World::unread(
        ctx.around.now(),
        ctx.around.settings.limits,
        installation,
        instance,
    )
}

/// A pass for which nothing could be gathered, because the API server refuses it: it tells of that, and nothing else.
pub fn blind(ctx: &Context, instance: AgentInstance, fault: Fault) -> (World, Workshop<'_>) {
    let mut world = unread(ctx, instance);
    world.pass.fault = Some(fault);
    let hands = Workshop {
        ctx,
        account: None,
        tools: BTreeMap::new(),
        token: SecretString::default(),
    };
    (world, hands)
}

/// Everything that a decision about the instance depends on. `None`: an account is not set up yet; its set-up wakes the instance.
pub async fn gather<'a>(
    ctx: &'a Arc<Context>,
    instance: AgentInstance,
) -> Result<Option<(World, Workshop<'a>)>, ClusterError> {
    let Some((account_view, account)) = account(ctx, &instance).await? else {
        return Ok(None);
    };
    let (listing, homes) = account
        .as_ref()
        .map(|account| account.seen(&instance, view::project_or_adopted(&instance)))
        .unwrap_or_default();
    let standing = standing(ctx, &instance, (listing, &homes)).await?;
    records::remember(&instance, &standing, ctx).await?;
    let instance = as_it_stands(instance, &standing);
    let deleting = instance.metadata.deletion_timestamp.is_some();
    // Read once: what the agent is given and what it is deployed from must be of one generation.
    let template = match !deleting || view::ledger_lost(&instance) {
        true => whole_template(ctx, &instance).await?,
        false => None,
    };
    let (wanted, refused) = shall_have(template.as_ref(), &instance);
    let named = wanted.as_deref().unwrap_or_default();
    let wallets: Vec<Slot> = view::wallets(&instance, named).into_iter().collect();
    let secrets = secret::read(&ctx.around.client, &instance, &wallets).await?;
    let token = secrets.token.clone();
    let given = given(&instance, named, &secrets.values);
    let Some((tools, tool_accounts)) = tools(ctx, &instance, wanted, refused, secrets.kept).await?
    else {
        return Ok(None);
    };
    let rights = rights::of(
        &instance,
        tools.wanted.as_deref().unwrap_or_default(),
        |name| {
            let account = ctx.stores.accounts.get(&ObjectRef::new(name))?;
            account.read().cloned()
        },
    );
    let has_token = token.is_some();
    let token = token.unwrap_or_else(|| SecretString::from(fresh_token()));
    let (template, desired) = if deleting {
        (TemplateView::Missing, Desired::Unknown)
    } else {
        let own = view::Own {
            instance: &instance,
            token: &token,
            given: &given,
        };
        template_view(ctx, template.as_ref(), &own).await?
    };
    let adopted_by = adopted_by(ctx, &instance);
    let cost = account
        .as_ref()
        .and_then(|account| spending::cost(account, &instance, ctx.around.now()));
    let world = World {
        standing,
        account: account_view,
        rights,
        template,
        token: has_token,
        adopted_by,
        desired,
        outside: Outside {
            listing,
            homes,
            cost,
            ..Outside::default()
        },
        tools,
        ..unread(ctx, instance)
    };
    let hands = Workshop {
        ctx,
        account,
        tools: tool_accounts,
        token,
    };
    Ok(Some((world, hands)))
}

/// The tools that an instance shall have as its template says, and what it asks for in vain.
fn shall_have(
    template: Option<&Seen<AgentTemplate>>,
    instance: &AgentInstance,
) -> (Option<Vec<Wanted>>, Vec<RefusedTool>) {
    let template = template
        .and_then(Seen::read)
        .filter(|template| view::observed(template));
    let Some(template) = template else {
        return (None, Vec::new());
    };
    let (wanted, refused) = wanted(&template.spec.tools, instance);
    (Some(wanted), refused)
}

/// Who else has or wants what the instance is to adopt, and comes first.
fn adopted_by(ctx: &Context, instance: &AgentInstance) -> Option<String> {
    let adopt = instance.spec.adopt.as_ref()?;
    if view::project(instance).is_some() {
        return None;
    }
    let near = InstanceBy::Project(adopt.project_id.0.clone());
    let near = ctx.stores.instances.by(&near);
    rivals::rival(instance, near.iter().map(AsRef::as_ref)).or_else(|| {
        let unread = ctx.stores.instances.unreadable();
        let rival = unread
            .iter()
            .find(|other| other.mentions(&adopt.project_id.0))?;
        Some(rival.title())
    })
}

type ToolsSeen = (Tools, BTreeMap<String, Arc<ToolAccount>>);

/// What is known of the instance's tools, and the way to their providers. `None`: an account exists and was not set up
/// yet; its set-up wakes the instance.
async fn tools(
    ctx: &Context,
    instance: &AgentInstance,
    wanted: Option<Vec<Wanted>>,
    refused: Vec<RefusedTool>,
    kept: BTreeMap<Slot, Kept>,
) -> Result<Option<ToolsSeen>, ClusterError> {
    let (mut accounts, mut ways) = (BTreeMap::new(), BTreeMap::new());
    let (mut most, mut rooms) = (BTreeMap::new(), BTreeMap::new());
    for (name, provider) in view::tool_accounts(instance, wanted.as_deref()) {
        let Some((view, way)) = tool_account(ctx, instance, &name, &provider).await? else {
            return Ok(None);
        };
        accounts.insert((name.clone(), provider), view);
        let object = ctx.stores.accounts.get(&Ref::new(&name));
        let money = object.as_ref().and_then(Seen::read);
        let money = money.and_then(|object| object.spec.most_money());
        most.extend(money.map(|money| (name.clone(), money)));
        rooms.extend(places::most(ctx, &name).map(|room| (name.clone(), room)));
        ways.extend(way.map(|way| (name, way)));
    }
    let mut tools = Tools {
        rivals: rivals(ctx, instance, wanted.as_deref().unwrap_or_default()),
        claim_gone: claim_gone(ctx, instance),
        wanted,
        refused,
        kept,
        accounts,
        most,
        rooms,
        ..Tools::default()
    };
    tools.keep_to_accounts(instance);
    let shows = |account: &str, id: &str, key: &str| {
        let account = ways.get(account).map(|account| account.seen(id, key));
        account.unwrap_or_default()
    };
    let bears = |account: &str, slot: Slot| {
        let marker = marker(&ctx.around.installation.id, instance, slot);
        ways.get(account)?
            .bearing(&marker, &ctx.around.installation.seal)
    };
    tools.others = others(ctx, instance, &tools, &ways);
    tools.glance(instance, &shows);
    tools.claim(instance, &bears);
    Ok(Some((tools, ways)))
}

/// Whether no store shows the claim that has an instance for good. One that cannot be read is there.
fn claim_gone(ctx: &Context, instance: &AgentInstance) -> bool {
    let hold = instance
        .spec
        .claim_ref
        .as_ref()
        .filter(|_| instance.is_handed_over());
    hold.is_some_and(|hold| {
        let claim = Ref::new(hold.name.as_str()).within(&instance.namespace().unwrap_or_default());
        let claim = ctx.stores.claims.get(&claim);
        claim.is_none_or(|claim| claim.uid().as_ref() != Some(&hold.uid))
    })
}

/// What others take in the accounts of those tools of which nothing is on record. Before anything was counted in this process it
/// is said when a place is asked for.
fn others(
    ctx: &Context,
    instance: &AgentInstance,
    tools: &Tools,
    ways: &BTreeMap<String, Arc<ToolAccount>>,
) -> BTreeMap<Slot, TakenPlaces> {
    let deleting = instance.metadata.deletion_timestamp.is_some();
    let wanted = tools.wanted.iter().flatten().filter(|_| !deleting);
    let unbegun = wanted.filter_map(|tool| {
        let slot = Slot::tool(&tool.name, Part::Main)?;
        let begun = Taker::of(instance, slot).begun(instance);
        let account = ways.get(&tool.account).filter(|_| !begun)?;
        Some((slot, places::of_tool(ctx, account, instance, slot, None)?))
    });
    unbegun.collect()
}

/// Tools whose resources to adopt are, or may be, another instance's.
fn rivals(ctx: &Context, instance: &AgentInstance, wanted: &[Wanted]) -> BTreeSet<String> {
    if instance.spec.adopt.is_none() {
        return BTreeSet::new();
    }
    let all = ctx.stores.instances.state();
    let mut rivals = rivals::rivals(instance, wanted, all.iter().map(AsRef::as_ref));
    for other in ctx.stores.instances.unreadable() {
        let theirs = wanted
            .iter()
            .filter(|tool| tool.adopt.as_ref().is_some_and(|id| other.mentions(id)));
        rivals.extend(theirs.map(|tool| tool.name.clone()));
    }
    rivals
}

fn fresh_token() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The instance's template with its values, which no store keeps: read where the generation that the store has was not read yet,
/// and where something is to be changed.
async fn whole_template(
    ctx: &Context,
    instance: &AgentInstance,
) -> Result<Option<Seen<AgentTemplate>>, ClusterError> {
    let (memory, named) = (&ctx.memories.templates, template_of(instance));
    let stored = ctx.stores.templates.get(&named);
    let stored = stored.filter(|stored| view::runs_what_it_says(instance, stored));
    if let Some(whole) = stored.and_then(|stored| memory.whole(&stored)) {
        return Ok(Some(Seen::Read(whole)));
    }
    let namespace = instance.namespace().unwrap_or_default();
    let api: Api<Seen<AgentTemplate>> = Api::namespaced(ctx.around.client.clone(), &namespace);
    let found = find("reading the template", api.get_opt(&named.name)).await?;
    if let Some(Seen::Read(whole)) = &found {
        memory.keep(whole);
    }
    Ok(found)
}

/// The template as it can be used now, and what a deployment would be made from.
async fn template_view(
    ctx: &Context,
    template: Option<&Seen<AgentTemplate>>,
    own: &view::Own<'_>,
) -> Result<(TemplateView, Desired), ClusterError> {
    let stamp = match view::stamp(template) {
        Ok(stamp) => stamp,
        Err(not_ready) => return Ok((*not_ready, Desired::Unknown)),
    };
    let (instance, seal) = (own.instance, &ctx.around.installation.seal);
    let namespace = instance.namespace().unwrap_or_default();
    let (referred, memory) = (stamp.references(instance), &ctx.memories.sources);
    // Whatever is to be changed is decided from what stands there now.
    let at_rest = |values: &Values| {
        let seen = stamp.seen_with(seal, values).is_ok();
        seen && view::applied(&stamp.desired(seal, values, own), instance)
    };
    let values = match memory.values(&namespace, &referred).filter(at_rest) {
        Some(values) => values,
        None => {
            let found = values::read(&ctx.around.client, &namespace, &referred).await?;
            memory.keep(&namespace, &found);
            values::values(found)
        }
    };
    if let Err(not_ready) = stamp.seen_with(seal, &values) {
        ctx.stores.tell(&Change::Values(template_of(instance)));
        return Ok((*not_ready, Desired::Unknown));
    }
    let desired = stamp.desired(seal, &values, own);
    let turn = match template.and_then(Seen::read) {
        // Whose turn it is to take it for its pool, its pool says.
        Some(template)
            if !stamp.needs_no_turn(instance) && !rollout::is_asked(instance, stamp.revision()) =>
        {
            rollout_turn(ctx, template, stamp.revision(), instance)
        }
        _ => RolloutTurn::Yes,
    };
    Ok(match stamp.view(turn) {
        ready @ TemplateView::Ready(_) => (ready, desired),
        not_ready => (not_ready, Desired::Unknown),
    })
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
