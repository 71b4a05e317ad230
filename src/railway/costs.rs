//! What projects cost: Railway's measurements of what they used, at its published prices.
//!
//! Holds: one reading is all or nothing, in pages of fifty projects; each project's sum is rounded to the cent once.
//! Deliberately absent: plans, credits and discounts, which no call tells by project, and what backups take, of which we make
//! none. Sources: <https://docs.railway.com/reference/pricing/plans> (prices),
//! <https://docs.railway.com/guides/manage-projects> (usage counts by the minute).

use super::account::Class;
use super::documents::{Usage, usage};
use super::gateway::Gateway;
use crate::model::tool::Money;
use crate::model::{Done, Fault};
use jiff::Timestamp;
use std::collections::HashMap;
use usage::MetricMeasurement;

/// Fifty projects each: more than any workspace has.
const MOST_PAGES: usize = 2000;

/// US dollars: more than any project costs a month. Whoever tells more measures something else.
const MOST: f64 = 1_000_000.0;

/// Minutes of a month, as prices by the month are meant.
const MONTH: f64 = 30.0 * 24.0 * 60.0;

impl Gateway {
    /// What each living project of the workspace has cost since a moment, in US dollars to the cent. Projects that used nothing
    /// may be missing.
    pub async fn costs(&self, since: Timestamp) -> Done<HashMap<String, Money>> {
        let until = self.inner.now().to_string();
        let mut dollars: HashMap<String, f64> = HashMap::new();
        let mut after = None;
        for _ in 0..MOST_PAGES {
            let variables = usage::Variables {
                workspace: self.inner.settings().workspace,
                since: since.to_string(),
                until: until.clone(),
                after: after.clone(),
            };
            let page = self.inner.ask::<Usage>(Class::Poll, variables).await?;
            let page = page.project_service_usage;
            for used in page.usage {
                if let Some(project) = used.tags.project_id {
                    *dollars.entry(project).or_default() += used.value * price(&used.measurement);
                }
            }
            match (page.page_info.has_next_page, page.page_info.end_cursor) {
                (false, _) => {
                    let sums = dollars.into_iter();
                    let sums = sums.map(|(id, dollars)| Some((id, sum(dollars)?)));
                    return sums.collect::<Option<_>>().ok_or_else(|| Fault::Bug {
                        message: "Railway's measurements add up to what no project costs"
                            .to_owned(),
                    });
                }
                (true, Some(next)) if Some(&next) != after.as_ref() => after = Some(next),
                (true, _) => break,
            }
        }
        Err(Fault::Bug {
            message: "Railway's listing of what projects used does not end".to_owned(),
        })
    }
}

/// A project's sum, to the cent. `None`: no project costs that.
fn sum(dollars: f64) -> Option<Money> {
    (0.0..=MOST)
        .contains(&dollars)
        .then(|| Money::near(dollars))
}

/// US dollars for one of what is measured: a vCPU or GB for a minute, or a GB that was sent.
fn price(measurement: &MetricMeasurement) -> f64 {
    match measurement {
        MetricMeasurement::CPU_USAGE => 0.000_463,
        MetricMeasurement::MEMORY_USAGE_GB => 0.000_231,
        MetricMeasurement::DISK_USAGE_GB => 0.15 / MONTH,
        MetricMeasurement::NETWORK_TX_GB => 0.05,
        MetricMeasurement::Other(_) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_project_costs_is_no_sum() {
        for (dollars, cents) in [
            (0.0, Some(0)),
            (0.004, Some(0)),
            (20.625, Some(2063)),
            (1e6, Some(100_000_000)),
        ] {
            assert_eq!(sum(dollars), cents.map(Money::cents), "{dollars}");
        }
        for wrong in [-0.01, 1e6 + 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(sum(wrong), None, "{wrong}");
        }
    }
}
