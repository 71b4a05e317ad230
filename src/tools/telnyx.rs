//! Phone numbers at Telnyx, and the messaging profiles that they belong to (`facts/tool-providers.md` 3).
//!
//! What holds: a number's id is the number itself, `+` and digits. Nothing dearer than both limits is ever ordered, and
//! nothing whose price is not told. Orders are not idempotent: the search comes before the order and changes nothing, and
//! an order whose answer got lost is found by its reference, never placed again here. A number that bears somebody else's
//! reference is neither changed nor released. Deliberately absent: registering for traffic in the US (10DLC), reserving,
//! giving a released number to another agent.
//!
//! Looking at a number sets it up: once it is active, it gets its profile and our reference, both by requests that
//! change nothing when repeated. An order's own word for them is not to be relied upon.

mod answers;
mod dialect;

use super::rest::{Ask, Connection, Line, piece};
use super::{Provider, held, unless_missing};
use crate::model::identity::Whose;
use crate::model::slot::Part;
use crate::model::tool::{Made, Named, Order, Resource, Sought, Stage, Stock, Wish};
use crate::model::{Done, Fault};
use answers::{Available, Data, Number, NumberOrder, OrderState, Owned, Page, Profile, SubOrder};
use dialect::MANNERS;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// The longest search before an order. When an order can no longer land is counted from when making a number began: a longer
/// search would shorten that time, and an order that is late would be taken for none.
const SEARCH: SignedDuration = SignedDuration::from_secs(5);

/// Things on a page: the most that is allowed.
const PAGE: usize = 250;

/// So many requests for one listing are enough for every account that exists.
const MOST_PAGES: usize = 400;

/// So many numbers are looked at for the cheapest.
const OFFERS: usize = 100;

/// So long after a successful order its number may be missing from the listing (facts 3: setting up takes up to a quarter
/// of an hour). Younger than that it is there, whatever the listing says.
const SETTLING: SignedDuration = SignedDuration::from_mins(15);

/// Says in Telnyx's own pages who set a number up.
const TAG: &str = "yardmaster";

/// What an account allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// A profile that all numbers share; `None`: each agent gets its own.
    pub messaging_profile: Option<String>,
    /// Most that one number may cost a month, in US dollars.
    pub max_monthly_usd: f64,
}

/// One Telnyx account.
pub struct Telnyx {
    settings: Settings,
    line: Line,
    /// Numbers that were released here: what an order of theirs says no longer counts. Lost with the process, after which
    /// the order's age tells.
    released: Mutex<BTreeSet<String>>,
    /// Shared profiles that an instance has let go, and the name that it knew them by: they stay, and for that instance
    /// they are gone. Lost with the process, after which letting go again is the way to know again.
    let_go: Mutex<BTreeSet<(String, String)>>,
}

/// What was ordered under a name, and where it stands.
struct Ordered {
    order: NumberOrder,
    state: OrderState,
}

fn bare(part: Part, id: String, name: String, stage: Stage) -> Resource {
    Resource {
        part,
        id,
        name,
        address: None,
        stage,
        settings: None,
        usage: None,
        created: None,
        monthly_usd: 0.0,
    }
}

fn number(id: &str, name: &str, stage: Stage) -> Resource {
    Resource {
        address: Some(id.to_owned()),
        ..bare(Part::Main, id.to_owned(), name.to_owned(), stage)
    }
}

fn pending(why: &str) -> Stage {
    Stage::Pending {
        why: why.to_owned(),
    }
}

fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

fn profile(id: &str) -> String {
    format!("/messaging_profiles/{}", piece(id))
}

fn other_part<T>() -> Done<T> {
    Err(super::not_ours("Telnyx"))
}

/// What is wished of a number.
struct Search<'a> {
    country: &'a str,
    area: Option<&'a str>,
    cap: f64,
}

impl Search<'_> {
    fn of<'a>(wish: &'a Wish, settings: &Settings) -> Done<Search<'a>> {
        let Wish::Telnyx {
            country,
            area,
            max_monthly_usd,
        } = wish
        else {
            return other_part();
        };
        let account = settings.max_monthly_usd;
        Ok(Search {
            country,
            area: area.as_deref(),
            cap: max_monthly_usd.map_or(account, |own| own.min(account)),
        })
    }

    fn path(&self) -> String {
        let mut path = format!(
            "/available_phone_numbers?filter[country_code]={}&filter[features][]=sms&filter[limit]={OFFERS}",
            piece(self.country)
        );
        if let Some(area) = self.area {
            path.push_str("&filter[national_destination_code]=");
            path.push_str(&piece(area));
        }
        path
    }

    fn place(&self) -> String {
        match self.area {
            Some(area) => format!("{} with area code {area}", self.country),
            None => self.country.to_owned(),
        }
    }

    /// The cheapest, and what it costs. Of several equally cheap ones each name prefers another, so that a fleet that is
    /// made at once does not order one number many times.
    fn choose(&self, offers: &[Available], key: &str) -> Done<(String, f64)> {
        let preference = |number: &str| Sha256::digest(format!("{key} {number}").as_bytes());
        let elsewhere = |offer: &Available| self.area.is_some() && offer.best_effort;
        let cheapest = offers
            .iter()
            .filter(|offer| !elsewhere(offer))
            .filter_map(|offer| {
                let (monthly, once) = offer.usd()?;
                (once <= self.cap).then_some((monthly, offer.phone_number.as_str()))
            })
            .min_by(|one, other| {
                let by_price = one.0.total_cmp(&other.0);
                by_price.then_with(|| preference(one.1).cmp(&preference(other.1)))
            });
        let (price, number) = cheapest.ok_or_else(|| Fault::Rejected {
            message: format!(
                "Telnyx has no number to offer in {} whose prices are told, with one of at most {:.2} USD for its setup: another countryCode or areaCode may have some",
                self.place(),
                self.cap
            ),
        })?;
        if price > self.cap {
            return Err(Fault::Rejected {
                message: format!(
                    "Telnyx: the cheapest number in {} costs {price:.2} USD a month, and maxMonthlyCostUSD of the tool or of its account allows {:.2}",
                    self.place(),
                    self.cap
                ),
            });
        }
        Ok((number.to_owned(), price))
    }
}

impl Telnyx {
    /// The account that the key opens.
    pub fn new(settings: Settings, credential: &SecretString, connection: Connection) -> Telnyx {
        Telnyx {
            settings,
            line: Line::new(MANNERS, credential, connection),
            released: Mutex::default(),
            let_go: Mutex::default(),
        }
    }

    /// Its line.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// Every page. What is fewer than Telnyx itself counts is no listing.
    async fn pages<T: DeserializeOwned>(
        &self,
        what: &'static str,
        path: &str,
        id: fn(&T) -> &str,
    ) -> Done<Vec<T>> {
        let mut all = BTreeMap::new();
        for number in 1..=MOST_PAGES {
            let and = if path.contains('?') { '&' } else { '?' };
            let page = format!("{path}{and}page[number]={number}&page[size]={PAGE}");
            let page: Page<T> = self.line.ask(Ask::get(what, page)).await?;
            let empty = page.data.is_empty();
            all.extend(
                page.data
                    .into_iter()
                    .map(|item| (id(&item).to_owned(), item)),
            );
            let last = match page.meta.total_pages {
                Some(pages) => number >= pages,
                None => empty,
            };
            if last {
                let told = page.meta.total_results;
                return match told.is_none_or(|told| all.len() >= told) {
                    true => Ok(all.into_values().collect()),
                    // Things that go away move those behind them to a page that was read already.
                    false => Err(Fault::Transient {
                        message: format!("Telnyx: {what} changed while they were read"),
                    }),
                };
            }
        }
        Err(Fault::Transient {
            message: format!("Telnyx: the listing of {what} does not end"),
        })
    }

    /// Every record of this number: one that lives, or those of former lives.
    async fn records(&self, id: &str) -> Done<Vec<Number>> {
        let digits = digits(id);
        if digits.len() < 3 {
            return Err(Fault::Rejected {
                message: "Telnyx: that is no phone number; its form is +15551234567".to_owned(),
            });
        }
        // With anything but digits nothing is found (facts 3); with them, what contains them may be.
        let path = format!("/phone_numbers?filter[phone_number]={digits}");
        let all = self.pages("numbers", &path, Number::id).await?.into_iter();
        Ok(all.filter(|seen| seen.phone_number == id).collect())
    }

    /// What was ordered under this name.
    async fn orders(&self, key: &str) -> Done<Vec<Ordered>> {
        if key.is_empty() {
            return Ok(Vec::new());
        }
        let path = format!("/number_orders?filter[customer_reference]={}", piece(key));
        let all = self.pages("number-orders", &path, NumberOrder::id).await?;
        let ours = all
            .into_iter()
            .filter(|order| order.customer_reference.as_deref() == Some(key));
        let ordered = ours.map(|order| Ordered {
            state: order.state(),
            order,
        });
        Ok(ordered.collect())
    }

    /// Whether the number of a successful order must still be there although no listing shows it.
    fn settles(&self, order: &NumberOrder, id: &str) -> bool {
        let settled: Option<Timestamp> = order
            .created_at
            .as_deref()
            .and_then(|at| at.parse().ok())
            .map(|at: Timestamp| super::faults::later(at, SETTLING));
        let young = settled.is_none_or(|settled| settled > self.line.now());
        young && !held(&self.released).contains(id)
    }

    /// A number that no listing shows alive, by what its order says.
    async fn by_order(&self, named: &Named) -> Done<Option<Resource>> {
        let (id, key) = (&named.id, &named.key);
        for Ordered { order, state } in self.orders(key).await? {
            if !order.holds(id) {
                continue;
            }
            let stage = match state {
                OrderState::Pending => pending(order.waits_for()),
                OrderState::Failed => Stage::Failed {
                    why: "Telnyx could not fill the order".to_owned(),
                },
                OrderState::Filled if !named.seen && self.settles(&order, id) => {
                    pending("the number is ordered and not yet listed")
                }
                OrderState::Filled => continue,
            };
            return Ok(Some(number(id, key, stage)));
        }
        Ok(None)
    }

    async fn look_at_number(&self, named: &Named) -> Done<Option<Resource>> {
        let records = self.records(&named.id).await?;
        let Some(alive) = records.iter().find(|record| !record.is_gone()) else {
            return match records.is_empty() {
                true => self.by_order(named).await,
                false => Ok(None),
            };
        };
        if alive.stage() == Stage::Ready && alive.may_be(&named.key) {
            let set_up = self.set_up(alive, named).await;
            if matches!(set_up, Err(Fault::Missing { .. })) {
                // "Not ready yet", right after it was bought (facts 3).
                let stage = pending("Telnyx is still setting the number up");
                return Ok(Some(alive.resource(stage)));
            }
            set_up?;
        }
        Ok(Some(alive.resource(alive.stage())))
    }

    /// Gives a number its profile and our reference, where it has them not.
    async fn set_up(&self, seen: &Number, named: &Named) -> Done<()> {
        let path = format!("/phone_numbers/{}", piece(&seen.id));
        if let Some(wanted) = named.parts.get(&Part::Profile)
            && seen.messaging_profile_id.as_ref() != Some(wanted)
        {
            let body = json!({ "messaging_profile_id": wanted });
            let ask = Ask::patch("number.assign", format!("{path}/messaging"), body);
            self.line.tell(ask).await?;
        }
        if !named.key.is_empty() && seen.reference().is_empty() {
            // Tags replace the list.
            let mut tags = seen.tags.clone();
            if !tags.iter().any(|tag| tag == TAG) {
                tags.push(TAG.to_owned());
            }
            let body = json!({ "customer_reference": named.key, "tags": tags });
            self.line
                .tell(Ask::patch("number.name", path, body))
                .await?;
        }
        Ok(())
    }

    async fn make_number(&self, order: &Order) -> Done<Made> {
        let search = Search::of(&order.wish, &self.settings)?;
        let profile = order.parts.get(&Part::Profile);
        let profile = profile.ok_or_else(|| Fault::Missing {
            message: "Telnyx: there is no messaging profile for the number".to_owned(),
        })?;
        let begun = self.line.now();
        let offers: Data<Vec<Available>> = self
            .line
            .ask(Ask::get("numbers.search", search.path()))
            .await?;
        if self.line.now().duration_since(begun) > SEARCH {
            return Err(Fault::Transient {
                message: "Telnyx: the search took so long that nothing was ordered".to_owned(),
            });
        }
        let (chosen, price) = search.choose(&offers.data, &order.key)?;
        let body = json!({
            "phone_numbers": [{ "phone_number": chosen }],
            "messaging_profile_id": profile,
            "customer_reference": order.key,
        });
        held(&self.released).remove(&chosen);
        let ask = Ask::post("number.order", "/number_orders", body);
        let placed: Data<NumberOrder> = self.line.ask(ask).await?;
        let stage = match placed.data.state() {
            OrderState::Failed => Stage::Failed {
                why: "Telnyx could not fill the order".to_owned(),
            },
            _ => pending("the number is ordered and not yet set up"),
        };
        Ok(Made {
            resource: Resource {
                monthly_usd: price,
                ..number(&chosen, &order.key, stage)
            },
            secret: None,
        })
    }

    async fn find_numbers(&self, key: &str) -> Done<Vec<Resource>> {
        let path = format!("/phone_numbers?filter[customer_reference]={}", piece(key));
        let listed = self.pages("numbers", &path, Number::id).await?;
        let mut found: BTreeMap<String, Resource> = listed
            .iter()
            .filter(|record| record.reference() == key && !record.is_gone())
            .map(|record| (record.phone_number.clone(), record.resource(record.stage())))
            .collect();
        for Ordered { order, state } in self.orders(key).await? {
            if state == OrderState::Failed {
                continue;
            }
            for id in order.numbers() {
                if found.contains_key(id) {
                    continue;
                }
                // The reference of an order may not have come to its number.
                let records = self.records(id).await?;
                let alive = records.iter().find(|record| !record.is_gone());
                let resource = match (alive, state) {
                    (Some(alive), _) if alive.may_be(key) => alive.resource(alive.stage()),
                    (Some(_), _) => continue,
                    (None, OrderState::Pending) => number(id, key, pending(order.waits_for())),
                    (None, _) if records.is_empty() && self.settles(&order, id) => {
                        number(id, key, pending("the number is ordered and not yet listed"))
                    }
                    (None, _) => continue,
                };
                found.insert(id.to_owned(), resource);
            }
        }
        Ok(found.into_values().collect())
    }

    async fn release(&self, named: &Named) -> Done<()> {
        let records = self.records(&named.id).await?;
        let Some(alive) = records.iter().find(|record| !record.is_gone()) else {
            return match records.is_empty() {
                true => self.cancel(named).await,
                false => Err(gone(&named.id)),
            };
        };
        if !alive.may_be(&named.key) {
            return Err(Fault::Rejected {
                message: format!(
                    "Telnyx: {} bears another reference than ours, so it is not released; set its customer reference to {}, or abandon it",
                    named.id, named.key
                ),
            });
        }
        if alive.deletion_lock_enabled {
            return Err(Fault::Rejected {
                message: format!(
                    "Telnyx: {} has its deletion lock on; take the lock off at Telnyx",
                    named.id
                ),
            });
        }
        let path = format!("/phone_numbers/{}", piece(&alive.id));
        self.line.tell(Ask::delete("number.release", path)).await?;
        held(&self.released).insert(named.id.clone());
        Ok(())
    }

    /// Takes back what is ordered and not there yet.
    async fn cancel(&self, named: &Named) -> Done<()> {
        let orders = self.orders(&named.key).await?;
        let ours: Vec<_> = orders
            .iter()
            .filter(|ordered| ordered.order.holds(&named.id))
            .collect();
        let filled = |ordered: &&Ordered| ordered.state == OrderState::Filled;
        if ours
            .iter()
            .any(|it| filled(it) && !named.seen && self.settles(&it.order, &named.id))
        {
            return Err(Fault::Transient {
                message: format!(
                    "Telnyx: {} is bought and not yet listed; it can be released once it is",
                    named.id
                ),
            });
        }
        let mut cancelled = false;
        for open in ours.iter().filter(|it| it.state == OrderState::Pending) {
            let path = format!(
                "/sub_number_orders?filter[order_request_id]={}&filter[status]=pending",
                piece(&open.order.id)
            );
            let lines: Data<Vec<SubOrder>> =
                self.line.ask(Ask::get("sub-number-orders", path)).await?;
            for line in lines.data {
                let path = format!("/sub_number_orders/{}/cancel", piece(&line.id));
                let ask = Ask::act("number-order.cancel", path).by(reqwest::Method::PATCH);
                self.line.tell(ask).await?;
                cancelled = true;
            }
        }
        match cancelled {
            true => Ok(()),
            false => Err(gone(&named.id)),
        }
    }

    /// The profile that all share, as something that this name has.
    fn shared(&self, key: &str) -> Option<Resource> {
        let id = self.settings.messaging_profile.clone()?;
        held(&self.let_go).remove(&(id.clone(), key.to_owned()));
        Some(bare(Part::Profile, id, String::new(), Stage::Ready))
    }

    async fn make_profile(&self, order: &Order) -> Done<Made> {
        let resource = match self.shared(&order.key) {
            Some(shared) => shared,
            None => {
                let search = Search::of(&order.wish, &self.settings)?;
                let body = json!({
                    "name": order.key,
                    "whitelisted_destinations": [search.country],
                });
                let ask = Ask::post("profile.make", "/messaging_profiles", body);
                let made: Data<Profile> = self.line.ask(ask).await?;
                made.data.resource()
            }
        };
        Ok(Made {
            resource,
            secret: None,
        })
    }

    async fn find_profiles(&self, key: &str) -> Done<Vec<Resource>> {
        if let Some(shared) = self.shared(key) {
            return Ok(vec![shared]);
        }
        let path = format!("/messaging_profiles?filter[name][eq]={}", piece(key));
        let all = self
            .pages("profiles", &path, Profile::id)
            .await?
            .into_iter();
        let ours = all.filter(|profile| profile.name == key);
        Ok(ours.map(Profile::resource).collect())
    }

    async fn look_at_profile(&self, named: &Named) -> Done<Option<Resource>> {
        let known = (named.id.clone(), named.key.clone());
        if held(&self.let_go).contains(&known) {
            return Ok(None);
        }
        let seen = self.line.ask(Ask::get("profile", profile(&named.id))).await;
        let seen: Option<Data<Profile>> = unless_missing(seen)?;
        Ok(seen.map(|seen| seen.data.resource()))
    }

    /// A profile goes only where it bears the name under which it was made: what is, or once was, shared is not this
    /// instance's to take back. It is let go, and stays.
    async fn delete_profile(&self, named: &Named) -> Done<()> {
        let shared = self.settings.messaging_profile.as_ref() == Some(&named.id);
        let theirs = match shared {
            true => true,
            false => match self.look_at_profile(named).await? {
                None => return Err(gone("the messaging profile")),
                Some(seen) => !named.key.is_empty() && seen.name != named.key,
            },
        };
        if theirs {
            let known = (named.id.clone(), named.key.clone());
            held(&self.let_go).insert(known);
            return Ok(());
        }
        let ask = Ask::delete("profile.delete", profile(&named.id));
        self.line.tell(ask).await
    }
}

fn gone(what: &str) -> Fault {
    Fault::Missing {
        message: format!("Telnyx: {what} is not there any more"),
    }
}

impl Provider for Telnyx {
    fn identity(&self) -> BoxFuture<'_, Done<Whose>> {
        Box::pin(async move {
            let path = "/messaging_profiles?page[number]=1&page[size]=1";
            let seen: Data<Vec<Owned>> = self.line.ask(Ask::get("identity", path)).await?;
            // Only a messaging profile says whose it is.
            let id = seen.data.into_iter().find_map(|one| one.organization_id);
            Ok(super::whose(id, "account"))
        })
    }

    fn make<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Done<Made>> {
        Box::pin(async move {
            match order.part {
                Part::Main => self.make_number(order).await,
                Part::Profile => self.make_profile(order).await,
                Part::Key => other_part(),
            }
        })
    }

    fn find<'a>(&'a self, sought: &'a Sought) -> BoxFuture<'a, Done<Vec<Resource>>> {
        Box::pin(async move {
            match sought.part {
                Part::Main => self.find_numbers(&sought.key).await,
                Part::Profile => self.find_profiles(&sought.key).await,
                Part::Key => other_part(),
            }
        })
    }

    fn look<'a>(&'a self, named: &'a Named) -> BoxFuture<'a, Done<Option<Resource>>> {
        Box::pin(async move {
            match named.part {
                Part::Main => self.look_at_number(named).await,
                Part::Profile => self.look_at_profile(named).await,
                Part::Key => other_part(),
            }
        })
    }

    fn adjust<'a>(&'a self, _: &'a Named, _: &'a Wish) -> BoxFuture<'a, Done<()>> {
        Box::pin(async { Ok(()) })
    }

    fn delete<'a>(&'a self, named: &'a Named, _: bool) -> BoxFuture<'a, Done<()>> {
        Box::pin(async move {
            match named.part {
                Part::Main => self.release(named).await,
                Part::Profile => self.delete_profile(named).await,
                Part::Key => other_part(),
            }
        })
    }

    fn list(&self) -> BoxFuture<'_, Done<Option<Stock>>> {
        Box::pin(async move {
            let begun = self.line.now();
            let numbers = self.pages("numbers", "/phone_numbers", Number::id).await?;
            let profiles = self
                .pages("profiles", "/messaging_profiles", Profile::id)
                .await?;
            let living = numbers.iter().filter(|record| !record.is_gone());
            let resources = living
                // No listing tells a price, and none that costs more was ever ordered.
                .map(|record| Resource {
                    monthly_usd: self.settings.max_monthly_usd,
                    ..record.resource(record.stage())
                })
                .chain(profiles.into_iter().map(Profile::resource))
                .collect();
            Ok(Some(Stock { begun, resources }))
        })
    }
}

#[cfg(test)]
mod tests;
