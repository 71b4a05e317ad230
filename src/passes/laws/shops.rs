//! Providers of tools in memory, as `facts/tool-providers.md` has them where it matters: keys whose secret is shown once
//! and whose names nobody keeps apart, inboxes and wallets of which asking again gives the same one, numbers that come to
//! be later or never, keys that no listing shows and that can only be revoked together, things that rest instead of going.
//!
//! What holds: nothing changes but by [`Shops::ask`] and by time, which somebody else moves; every secret names itself as
//! one, so that none gets into a status unnoticed.

use crate::api::Part;
use crate::model::tool::{
    DISABLED, Made, Named, Order, Resource, Sought, Stage, Stock, Usage, Wish,
};
use crate::model::{Done, Fault};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};

/// What every secret here begins with.
pub const SECRET: &str = "hush-";

/// A change at a provider.
#[derive(Clone, Debug)]
pub enum Ask {
    Make(Order),
    Adjust(Named, Wish),
    Delete(Named, bool),
    /// All keys of a wallet.
    Revoke(BTreeMap<Part, String>),
}

/// Something that was made at a provider.
#[derive(Clone, Debug)]
pub struct Thing {
    pub shop: String,
    pub part: Part,
    pub id: String,
    pub name: String,
    /// What it opens, or is set up with.
    pub parent: Option<String>,
    pub secret: Option<String>,
    pub settings: Option<String>,
    /// When it is ready.
    pub ready: Timestamp,
    /// Whether it will then have failed.
    pub fails: bool,
    pub resting: bool,
    pub deleted: bool,
    pub usage: Option<Usage>,
}

impl Thing {
    fn stage(&self, at: Timestamp) -> Stage {
        let why = || "the provider says so".to_owned();
        match () {
            () if self.resting => Stage::Resting,
            () if at < self.ready => Stage::Pending { why: why() },
            () if self.fails => Stage::Failed { why: why() },
            () => Stage::Ready,
        }
    }

    /// Whether it is there, or comes to be.
    pub fn lives(&self, at: Timestamp) -> bool {
        !self.deleted && !matches!(self.stage(at), Stage::Failed { .. })
    }

    /// Whether it is where somebody looks: a key is shown by what it opens alone.
    fn is_in(&self, parts: &BTreeMap<Part, String>) -> bool {
        self.part != Part::Key || self.parent.as_ref() == parts.get(&Part::Main)
    }

    fn resource(&self, at: Timestamp) -> Resource {
        let addressed = self.part == Part::Main && self.secret.is_none();
        Resource {
            part: self.part,
            id: self.id.clone(),
            // Bankr shows nobody under which name it made a wallet.
            name: match self.shop.as_str() {
                "bankr" if self.part == Part::Main => String::new(),
                _ => self.name.clone(),
            },
            address: addressed.then(|| self.id.clone()),
            stage: self.stage(at),
            settings: self.settings.clone(),
            usage: self.usage,
            created: None,
            monthly_usd: crate::api::money::Money::ZERO,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Shops {
    pub things: Vec<Thing>,
    past: Vec<(Timestamp, Vec<Thing>)>,
    pending: Vec<(Timestamp, String, Ask)>,
    ids: u32,
    /// How far reads lag behind writes.
    pub lag: SignedDuration,
    /// How long a number takes.
    pub setup: SignedDuration,
    /// So many of the next orders fail.
    pub failing: u32,
    /// How they answer a deletion of what is gone already.
    pub gone: Fault,
    /// Wallets whose keys this process knows to be revoked: all that Bankr lets anybody know.
    pub keyless: BTreeSet<String>,
    /// Wallets that still have the key with which they came, and which nobody holds.
    pub born_with: BTreeSet<String>,
    /// Changes that took effect.
    pub counts: BTreeMap<String, u32>,
    pub last_change: Timestamp,
}

fn missing() -> Fault {
    Fault::Missing {
        message: "not found".into(),
    }
}

fn shown(thing: &Thing, until: Timestamp) -> bool {
    !thing.deleted && (thing.ready <= until || thing.shop != "telnyx")
}

impl Shops {
    pub fn new(now: Timestamp) -> Shops {
        Shops {
            things: Vec::new(),
            past: vec![(now - SignedDuration::from_hours(1), Vec::new())],
            pending: Vec::new(),
            ids: 0,
            lag: SignedDuration::ZERO,
            setup: SignedDuration::ZERO,
            failing: 0,
            gone: missing(),
            keyless: BTreeSet::new(),
            born_with: BTreeSet::new(),
            counts: BTreeMap::new(),
            last_change: now,
        }
    }

    pub fn later(&mut self, at: Timestamp, shop: String, ask: Ask) {
        self.pending.push((at, shop, ask));
        self.pending.sort_by_key(|(at, ..)| *at);
    }

    /// Lets land what is due.
    pub fn land(&mut self, now: Timestamp) {
        while self.pending.first().is_some_and(|(at, ..)| *at <= now) {
            let (at, shop, ask) = self.pending.remove(0);
            // Nobody waits for its answer any more.
            let _ = self.ask(at, &shop, &ask);
        }
    }

    /// Whether time alone still changes something.
    pub fn unsettled(&self, now: Timestamp) -> bool {
        !self.pending.is_empty()
            || self
                .things
                .iter()
                .any(|one| !one.deleted && one.ready > now)
    }

    /// Changes something behind everybody's back.
    pub fn meddle(&mut self, at: Timestamp, with: impl FnOnce(&mut Vec<Thing>)) {
        with(&mut self.things);
        self.went_with_it();
        self.last_change = at;
        self.past.push((at, self.things.clone()));
    }

    /// Applies a change; the answer is what was made, where something is.
    pub fn ask(&mut self, at: Timestamp, shop: &str, ask: &Ask) -> Done<Option<Made>> {
        let answer = self.change(at, shop, ask);
        if answer.is_ok() {
            self.went_with_it();
            self.last_change = self.last_change.max(at);
            self.past.push((at, self.things.clone()));
        }
        answer
    }

    /// A key is nothing without what it opens.
    fn went_with_it(&mut self) {
        let there: BTreeSet<String> = self
            .things
            .iter()
            .filter(|one| !one.deleted)
            .map(|one| one.id.clone())
            .collect();
        self.born_with.retain(|wallet| there.contains(wallet));
        for key in self
            .things
            .iter_mut()
            .filter(|one| one.part == Part::Key && !one.deleted)
        {
            key.deleted = key.parent.as_ref().is_none_or(|own| !there.contains(own));
        }
    }

    fn count(&mut self, what: &str, shop: &str, part: Part) {
        *self
            .counts
            .entry(format!("{what} {shop} {part:?}"))
            .or_default() += 1;
    }

    fn living(&mut self, id: &str) -> Option<&mut Thing> {
        self.things
            .iter_mut()
            .find(|one| one.id == id && !one.deleted)
    }

    fn change(&mut self, at: Timestamp, shop: &str, ask: &Ask) -> Done<Option<Made>> {
        match ask {
            Ask::Make(order) => self.make(at, shop, order).map(Some),
            Ask::Adjust(named, wish) => {
                let thing = self.living(&named.id).ok_or_else(missing)?;
                let asked = wish.settings();
                let was = thing.settings.as_deref().unwrap_or_default();
                // What an adjustment says nothing of stays as it is.
                let silent = Wish::unmarked(&asked) == asked;
                let out = Wish::is_out_of_use(if silent { was } else { &asked });
                let bare = Wish::unmarked(&asked).to_owned();
                thing.settings = Some(if out { bare + DISABLED } else { bare });
                self.count("adjust", shop, named.part);
                Ok(None)
            }
            Ask::Revoke(parts) => {
                let wallet = parts.get(&Part::Main).ok_or_else(missing)?;
                self.living(wallet).ok_or_else(missing)?;
                self.revoke(wallet);
                Ok(None)
            }
            Ask::Delete(named, _) if shop == "bankr" && named.part == Part::Key => {
                self.count("delete", shop, named.part);
                self.change(at, shop, &Ask::Revoke(named.parts.clone()))
            }
            Ask::Delete(named, for_good) => {
                let gone = self.gone.clone();
                let is_wallet = (shop, named.part) == ("bankr", Part::Main);
                if is_wallet
                    && self
                        .things
                        .iter()
                        .any(|one| one.id == named.id && one.deleted)
                {
                    // Closed it stays in Bankr's books.
                    return Ok(None);
                }
                let thing = self.living(&named.id).ok_or(gone)?;
                if shop == "bankr" && !for_good {
                    thing.resting = true;
                } else {
                    thing.deleted = true;
                }
                self.count("delete", shop, named.part);
                Ok(None)
            }
        }
    }

    /// All keys of a wallet.
    fn revoke(&mut self, wallet: &str) {
        self.born_with.remove(wallet);
        let keys = self.things.iter_mut().filter(|one| one.part == Part::Key);
        for key in keys.filter(|one| one.parent.as_deref() == Some(wallet)) {
            key.deleted = true;
        }
    }

    fn make(&mut self, at: Timestamp, shop: &str, order: &Order) -> Done<Made> {
        // By its key, whatever it asks for: never a second one.
        let again = match (shop, order.part) {
            ("agentmail" | "bankr", Part::Main) => self
                .things
                .iter()
                .find(|one| one.shop == shop && one.name == order.key && !one.deleted),
            _ => None,
        };
        if let Some(there) = again {
            return Ok(Made {
                resource: there.resource(at),
                secret: None,
            });
        }
        let needed = match (shop, order.part) {
            ("agentmail" | "bankr", Part::Key) => Some(Part::Main),
            ("telnyx", Part::Main) => Some(Part::Profile),
            _ => None,
        };
        let parent = match needed {
            None => None,
            Some(part) => {
                let parent = order.parts.get(&part).cloned().ok_or_else(missing)?;
                self.living(&parent).ok_or_else(missing)?;
                if shop == "bankr" {
                    // Whoever makes one holds no other.
                    self.revoke(&parent);
                }
                Some(parent)
            }
        };
        self.ids += 1;
        let number = self.ids;
        let keyed = order.part == Part::Key || ["openrouter", "exa", "wallet"].contains(&shop);
        let is_number = (shop, order.part) == ("telnyx", Part::Main);
        let fails = is_number && self.failing > 0;
        self.failing -= u32::from(fails);
        let thing = Thing {
            shop: shop.to_owned(),
            part: order.part,
            id: format!("{shop}-{:?}-{number}", order.part),
            name: order.key.clone(),
            parent,
            secret: keyed.then(|| format!("{SECRET}{number}")),
            settings: match shop {
                "openrouter" | "exa" => Some(order.wish.settings()),
                _ => None,
            },
            ready: if is_number { at + self.setup } else { at },
            fails,
            resting: false,
            deleted: false,
            usage: None,
        };
        let mut resource = thing.resource(at);
        let secret = thing.secret.clone().map(SecretString::from);
        if is_number && resource.stage == Stage::Ready {
            // What answers is the order.
            resource.stage = Stage::Pending {
                why: "the number is ordered and not yet set up".into(),
            };
        }
        if (shop, order.part) == ("bankr", Part::Main) {
            self.born_with.insert(thing.id.clone());
        }
        if shop == "wallet" {
            // Nothing outside.
            resource.address = Some(thing.id);
        } else {
            self.count("make", shop, order.part);
            self.things.push(thing);
        }
        Ok(Made { resource, secret })
    }

    /// What a reading begun then is shown.
    fn then(&self, begun: Timestamp) -> &[Thing] {
        let until = begun - self.lag;
        self.past
            .iter()
            .rev()
            .find(|(at, _)| *at <= until)
            .map_or(&[], |(_, things)| things.as_slice())
    }

    /// Everything that bears the name.
    pub fn find(&self, shop: &str, sought: &Sought, begun: Timestamp) -> Vec<Resource> {
        let bears = |one: &&Thing| {
            let of = one.shop == shop && one.part == sought.part && one.name == sought.key;
            of && one.lives(begun) && one.is_in(&sought.parts)
        };
        let things = self.then(begun).iter().filter(bears);
        things.map(|one| one.resource(begun)).collect()
    }

    pub fn look(&self, shop: &str, named: &Named, begun: Timestamp) -> Option<Resource> {
        let things = self.then(begun);
        let of = |id: &str| things.iter().find(|one| one.id == id && !one.deleted);
        if (shop, named.part) != ("bankr", Part::Key) {
            let there = of(&named.id).filter(|one| one.is_in(&named.parts));
            return there.map(|one| one.resource(begun));
        }
        // A key is there as long as its wallet is, as far as anybody can know.
        let wallet = named.parts.get(&Part::Main)?;
        let wallet = of(wallet).filter(|one| !self.keyless.contains(&one.id))?;
        Some(Resource {
            part: Part::Key,
            id: named.id.clone(),
            name: named.key.clone(),
            address: None,
            ..wallet.resource(begun)
        })
    }

    /// Looking at a number gives it its profile.
    pub fn set_up(&mut self, named: &Named) {
        let profile = named.parts.get(&Part::Profile).cloned();
        if let (Some(number), Some(profile)) = (self.living(&named.id), profile) {
            number.parent = Some(profile);
        }
    }

    /// Everything that the account's listing shows. `None` where there is none.
    pub fn list(&self, shop: &str, begun: Timestamp) -> Option<Stock> {
        if shop == "bankr" {
            return None;
        }
        let listed = |one: &&Thing| {
            one.shop == shop && one.part != Part::Key && shown(one, begun) && one.lives(begun)
        };
        let things = self.then(begun).iter().filter(listed);
        Some(Stock {
            begun,
            resources: things.map(|one| one.resource(begun)).collect(),
        })
    }
}
