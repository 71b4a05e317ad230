//! Orders of numbers: finding, judging and cancelling them.

use super::super::ask::{Ask, Data, piece};
use super::super::taken_back::ALL;
use super::answers::{NumberOrder, OrderState, SubOrder};
use super::{Telnyx, gone};
use crate::model::tool::Named;
use crate::model::{Done, Fault};
use crate::wire::later;
use jiff::{SignedDuration, Timestamp};

/// So long after a successful order its number may be missing from the listing (facts 3: setting up takes up to a quarter
/// of an hour). Younger than that it is there, whatever the listing says.
const SETTLING: SignedDuration = SignedDuration::from_mins(15);

/// What was ordered under a name, and where it stands.
pub(super) struct Ordered {
    pub(super) order: NumberOrder,
    pub(super) state: OrderState,
}

impl Telnyx {
    /// What was ordered under this name.
    pub(super) async fn orders(&self, key: &str) -> Done<Vec<Ordered>> {
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
    pub(super) fn settles(&self, order: &NumberOrder, id: &str) -> bool {
        let settled: Option<Timestamp> = order
            .created_at
            .as_deref()
            .and_then(|at| at.parse().ok())
            .map(|at: Timestamp| later(at, SETTLING));
        let young = settled.is_none_or(|settled| settled > self.line.now());
        young && !self.released.has(id, ALL)
    }

    /// Takes back what is ordered and not there yet.
    pub(super) async fn cancel(&self, named: &Named) -> Done<()> {
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
}
