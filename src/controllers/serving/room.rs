//! Whether there is room for what a claim brings its agent, asked before one is taken.
//!
//! What holds: who has no room takes no agent, and nobody waits behind it; of two who ask for the last room at once one gets it. It is held
//! in the agent's name, so that the agent's own pass takes it over when it makes the tool; a process that does not know of it may give it
//! away a second time, and then the agent's own pass says so (`equipping`).

use super::held::Then;
use super::{PAUSED, Serving};
use crate::api::account::Retention;
use crate::api::condition::reason;
use crate::api::template::{ToolKind, ToolSpec};
use crate::api::{AgentInstance, ProviderAccount, Seen};
use crate::cluster::ClusterError;
use crate::controllers::access::{allowed, as_tools_see_it, may_use};
use crate::controllers::accounts::ToolAccount;
use crate::controllers::paused::{is_unread, of_account, recovers};
use crate::controllers::places;
use crate::controllers::turned::Ref;
use crate::controllers::wake::pool_of;
use crate::engine::bringing::{self, AccountSight, RoomLack};
use crate::engine::claiming::ClaimNews;
use crate::engine::compose::Broken;
use crate::engine::places::{TakenPlaces, Taker};
use crate::engine::world::ToolAccountView;
use crate::model::tool::Wanted;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use std::ops::ControlFlow;
use std::ops::ControlFlow::{Break, Continue};
use std::sync::Arc;

/// Who has no room looks again after so long, should nobody tell that there is.
const AGAIN: SignedDuration = SignedDuration::from_mins(1);

impl Serving<'_> {
    /// What the claim brings its agent, where that agent can be told and there is room for it; else what is done instead.
    pub(super) async fn can_be_served(
        &mut self,
        now: Timestamp,
    ) -> Result<ControlFlow<Then, Vec<ToolSpec>>, ClusterError> {
        // A claim that cannot be told takes no agent.
        if !self.put_together().await? {
            return Ok(Break(self.aside(None)));
        }
        let tools = match self.brings() {
            Ok(tools) => tools,
            Err(broken) if broken.reason == reason::REFERENCE_NOT_FOUND => {
                return self.without_template(now).await.map(Break);
            }
            Err(broken) => {
                self.write(&ClaimNews::Unsaid(broken)).await?;
                return Ok(Break(self.aside(Some(now + AGAIN))));
            }
        };
        Ok(match self.lack(&tools, None, now).await? {
            Some(lack) => Break(self.roomless(lack, now).await?),
            None => Continue(tools),
        })
    }

    /// Its pool's template is not known: none of the pool's agents can come up either, and it waits for one, in the line.
    async fn without_template(&mut self, now: Timestamp) -> Result<Then, ClusterError> {
        self.ctx.stores.lines.join(&self.claim, &self.named);
        let again = now + PAUSED;
        Ok(match self.says_why(true, None, now).await? {
            Then::End(sooner) => Then::End(Some(sooner.map_or(again, |sooner| sooner.min(again)))),
            Then::GoOn => Then::GoOn,
        })
    }

    /// Nobody waits behind it.
    fn aside(&self, again: Option<Timestamp>) -> Then {
        self.next_in_line(self.ctx.stores.lines.stand_aside(&self.claim));
        // Where somebody has written it meanwhile, nobody is woken by that.
        match self.read {
            true => Then::GoOn,
            false => Then::End(again),
        }
    }

    /// There is no room: it says so, and stands aside until there is.
    pub(super) async fn roomless(
        &mut self,
        lack: RoomLack,
        now: Timestamp,
    ) -> Result<Then, ClusterError> {
        // Of what is being looked at nobody tells; all else is news to those who have no room.
        let soon = match lack.reason {
            reason::PENDING => now + PAUSED,
            _ => now + AGAIN,
        };
        let again = lack.again.map_or(soon, |at| at.min(soon));
        self.write(&ClaimNews::NoRoom(lack)).await?;
        Ok(self.aside(Some(again)))
    }

    /// The tools that its agent will have by it. None where there is no pool yet.
    pub(super) fn brings(&self) -> Result<Vec<ToolSpec>, Broken> {
        let stores = &self.ctx.stores;
        let pool = stores.pools.get(&pool_of(&self.claim));
        let Some(pool) = pool.as_ref().and_then(Seen::read) else {
            return Ok(Vec::new());
        };
        let namespace = self.claim.namespace().unwrap_or_default();
        let template = Ref::new(pool.spec.template_ref.name.as_str()).within(&namespace);
        let known = stores.templates.get(&template);
        // What nobody knows of is not nothing: no agent is taken, nor handed over, before it is there.
        let Some(known) = known.as_ref().and_then(Seen::read) else {
            return Err(Broken {
                reason: reason::REFERENCE_NOT_FOUND,
                message: format!(
                    "poolRef: AgentTemplate {} of the pool is not there, or cannot be read, and which tools it has for claims is not known; make it",
                    template.name
                ),
            });
        };
        // A persona that is the agents' own template brings nothing beside.
        let persona = self.persona.as_deref();
        let persona = persona.filter(|persona| persona.uid() != known.uid());
        bringing::brings(&known.spec.tools, persona)
    }

    /// Why it cannot have what it brings. `agent`: the UID of the agent in whose name the room is held, where there is room.
    pub(super) async fn lack(
        &self,
        tools: &[ToolSpec],
        agent: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<RoomLack>, ClusterError> {
        let lack = self.first_lack(tools, agent, now).await;
        if !matches!(lack, Ok(None))
            && let Some(agent) = agent
        {
            self.release(tools, agent);
        }
        lack
    }

    async fn first_lack(
        &self,
        tools: &[ToolSpec],
        agent: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<RoomLack>, ClusterError> {
        let namespace = self.claim.namespace().unwrap_or_default();
        let asked = bringing::asked(tools, &namespace);
        for tool in asked.iter().filter(|tool| !tool.account.is_empty()) {
            let sight = self.sight(tool, &namespace, agent).await?;
            if let Some(lack) = bringing::lack(tool, &sight, &namespace, now) {
                return Ok(Some(lack));
            }
        }
        Ok(None)
    }

    /// The room that was held in the name of this agent is free again.
    pub(super) fn release(&self, tools: &[ToolSpec], agent: &str) {
        let namespace = self.claim.namespace().unwrap_or_default();
        for tool in bringing::asked(tools, &namespace) {
            if let Some(taker) = taker(&tool, agent, &namespace) {
                self.ctx.memories.places.release(&tool.account, &taker);
            }
        }
    }

    /// What is known of the account of a tool.
    async fn sight(
        &self,
        tool: &Wanted,
        namespace: &str,
        agent: Option<&str>,
    ) -> Result<AccountSight, ClusterError> {
        let (ctx, name) = (self.ctx, tool.account.as_str());
        let nothing = |view: ToolAccountView| AccountSight {
            view,
            most: None,
            money: None,
            orders: (Vec::new(), 0),
            coming: 0,
            denies: false,
            taken: None,
            held: None,
        };
        let Some(object) = ctx.stores.accounts.get(&Ref::new(name)) else {
            return Ok(nothing(ToolAccountView::NotAvailable));
        };
        if !allowed(ctx, may_use(&object).as_ref(), namespace).await? {
            return Ok(nothing(ToolAccountView::NotAvailable));
        }
        let seen = as_tools_see_it(ctx, &object, tool.kind.provider());
        let (view, account) = seen.unwrap_or_else(|| {
            let message = "it is being set up".to_owned();
            (ToolAccountView::NotReady { message }, None)
        });
        let Some(read) = object.read() else {
            return Ok(nothing(view));
        };
        places::recollect(ctx).await?;
        let money = read.spec.most_money();
        let taken = account.and_then(|account| {
            let asked = bringing::place(tool, money.as_ref());
            self.taken(&account, tool, agent.map(|agent| (agent, asked)))
        });
        let orders = orders(read);
        Ok(AccountSight {
            view,
            most: places::most(ctx, name),
            coming: self.coming(tool, agent, &orders.0),
            orders,
            denies: read.spec.retention == Retention::Deny,
            taken,
            money,
            held: self.held_back(name),
        })
    }

    /// What others take of an account; with an agent, room is held in its name where there is any.
    fn taken(
        &self,
        account: &Arc<ToolAccount>,
        tool: &Wanted,
        holds: Option<(&str, crate::engine::places::PlaceAsked)>,
    ) -> Option<TakenPlaces> {
        let namespace = self.claim.namespace().unwrap_or_default();
        let agent = holds.map_or("", |(agent, _)| agent);
        let taker = taker(tool, agent, &namespace)?;
        let asked = holds.map(|(_, asked)| asked);
        places::of_taker(self.ctx, account, &taker, asked)
    }

    /// The orders in a tool's account that are not on record yet, but for that of this agent.
    fn coming(&self, tool: &Wanted, agent: Option<&str>, recorded: &[Time]) -> usize {
        let (ctx, now) = (self.ctx, self.ctx.around.now());
        let namespace = self.claim.namespace().unwrap_or_default();
        let asks = taker(tool, agent.unwrap_or_default(), &namespace);
        let Some(asks) = asks.filter(|_| tool.kind == ToolKind::Telnyx) else {
            return 0;
        };
        let account = tool.account.as_str();
        let before = ctx.memories.places.before(account, &asks, now);
        let tools = |agent: &AgentInstance| agent.brought_tools().to_vec();
        let agents = ctx.stores.users(account);
        bringing::coming((account, &asks), &before, &agents, tools, (recorded, now))
    }

    /// That nothing is begun in an account now.
    fn held_back(&self, name: &str) -> Option<(&'static str, String)> {
        let ctx = self.ctx;
        if recovers(ctx, name) {
            let why = format!(
                "less is remembered of ProviderAccount {name} than was; its conditions say what to do"
            );
            return Some((reason::RECOVERY_MODE, why));
        }
        if is_unread(ctx, name) {
            let why = format!("what is in ProviderAccount {name} is being looked at");
            return Some((reason::PENDING, why));
        }
        // Where the whole installation is, nobody is given anything anyway.
        let paused = of_account(ctx, name).filter(|_| !ctx.around.settings.observe_only);
        paused.map(|by| (by.reason(), format!("paused by {by}; {}", by.ends())))
    }
}

fn orders(account: &ProviderAccount) -> (Vec<Time>, i32) {
    let sent = account.status.as_ref();
    let sent = sent.map(|status| status.orders.clone());
    (
        sent.unwrap_or_default(),
        account.spec.limits.orders_per_hour,
    )
}

fn taker(tool: &Wanted, agent: &str, namespace: &str) -> Option<Taker> {
    Some(Taker {
        identity: agent.to_owned(),
        slot: bringing::slot(tool)?,
        namespace: namespace.to_owned(),
    })
}
