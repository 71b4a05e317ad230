//! Numbers: ordering, finding, looking at, setting up and releasing them.

use super::super::ask::{Ask, Data, piece};
use super::super::taken_back::ALL;
use super::answers::{Available, Number, NumberOrder, OrderState, number, pending};
use super::orders::Ordered;
use super::search::Search;
use super::{Telnyx, gone};
use crate::model::slot::Part;
use crate::model::tool::{Made, Named, Order, Resource, Stage};
use crate::model::{Done, Fault};
use jiff::SignedDuration;
use serde_json::json;
use std::collections::BTreeMap;

/// The longest search before an order. When an order can no longer land is counted from when making a number began: a longer
/// search would shorten that time, and an order that is late would be taken for none.
const SEARCH: SignedDuration = SignedDuration::from_secs(5);

/// Says in Telnyx's own pages who set a number up.
const TAG: &str = "yardmaster";

fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

impl Telnyx {
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

    pub(super) async fn look_at_number(&self, named: &Named) -> Done<Option<Resource>> {
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

    pub(super) async fn make_number(&self, order: &Order) -> Done<Made> {
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
        self.released.forget(&chosen, ALL);
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

    pub(super) async fn find_numbers(&self, key: &str) -> Done<Vec<Resource>> {
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

    pub(super) async fn release(&self, named: &Named) -> Done<()> {
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
        self.released.note(&named.id, ALL);
        Ok(())
    }
}
