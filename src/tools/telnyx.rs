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
mod numbers;
mod orders;
mod profiles;
mod search;

use super::ask::{Ask, Data};
use super::line::Line;
use super::provider::{Provider, not_ours, whose};
use super::taken_back::TakenBack;
use crate::model::identity::Whose;
use crate::model::slot::Part;
use crate::model::tool::Money;
use crate::model::tool::{Made, Named, Order, Resource, Sought, Stock, Wish};
use crate::model::{Done, Fault};
use answers::{Number, NumberedPage, Owned, Profile};
pub(super) use dialect::MANNERS;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Things on a page: the most that is allowed.
const PAGE: usize = 250;

/// So many requests for one listing are enough for every account that exists.
const MOST_PAGES: usize = 400;

/// What an account allows.
#[derive(Clone, Debug, PartialEq)]
pub struct TelnyxSettings {
    /// A profile that all numbers share; `None`: each agent gets its own.
    pub messaging_profile: Option<String>,
    /// Most that one number may cost a month, in US dollars.
    pub max_monthly_usd: Money,
}

/// One Telnyx account.
pub struct Telnyx {
    settings: TelnyxSettings,
    line: Line,
    /// Numbers that were released here: what an order of theirs says no longer counts. After a restart the order's age
    /// tells.
    released: TakenBack,
    /// Shared profiles that an instance has let go, and the name that it knew them by: they stay, and for that instance
    /// they are gone.
    let_go: TakenBack,
}

impl Telnyx {
    /// The account that the key opens.
    pub fn new(settings: TelnyxSettings, line: Line) -> Telnyx {
        Telnyx {
            settings,
            line,
            released: TakenBack::default(),
            let_go: TakenBack::default(),
        }
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
            let page: NumberedPage<T> = self.line.ask(Ask::get(what, page)).await?;
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
            Ok(whose(id, "account"))
        })
    }

    fn make<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Done<Made>> {
        Box::pin(async move {
            match order.part {
                Part::Main => self.make_number(order).await,
                Part::Profile => self.make_profile(order).await,
                Part::Key => Err(not_ours("Telnyx")),
            }
        })
    }

    fn find<'a>(&'a self, sought: &'a Sought) -> BoxFuture<'a, Done<Vec<Resource>>> {
        Box::pin(async move {
            match sought.part {
                Part::Main => self.find_numbers(&sought.key).await,
                Part::Profile => self.find_profiles(&sought.key).await,
                Part::Key => Err(not_ours("Telnyx")),
            }
        })
    }

    fn look<'a>(&'a self, named: &'a Named) -> BoxFuture<'a, Done<Option<Resource>>> {
        Box::pin(async move {
            match named.part {
                Part::Main => self.look_at_number(named).await,
                Part::Profile => self.look_at_profile(named).await,
                Part::Key => Err(not_ours("Telnyx")),
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
                Part::Key => Err(not_ours("Telnyx")),
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
