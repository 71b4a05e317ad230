//! Which number is ordered: the cheapest that the wish and both limits allow.
//!
//! Holds: nothing whose price is not told, or is higher than a limit, is chosen. Deliberately absent: requests.

use super::super::ask::piece;
use super::super::provider::not_ours;
use super::TelnyxSettings;
use super::answers::Available;
use crate::model::tool::Money;
use crate::model::tool::Wish;
use crate::model::{Done, Fault};
use sha2::{Digest, Sha256};

/// So many numbers are looked at for the cheapest.
const OFFERS: usize = 100;

/// What is wished of a number.
pub(super) struct Search<'a> {
    pub(super) country: &'a str,
    area: Option<&'a str>,
    pub(super) cap: Money,
}

impl Search<'_> {
    pub(super) fn of<'a>(wish: &'a Wish, settings: &TelnyxSettings) -> Done<Search<'a>> {
        let Wish::Telnyx {
            country,
            area,
            max_monthly_usd,
        } = wish
        else {
            return Err(not_ours("Telnyx"));
        };
        let account = settings.max_monthly_usd;
        Ok(Search {
            country,
            area: area.as_deref(),
            cap: max_monthly_usd.map_or(account, |own| own.min(account)),
        })
    }

    pub(super) fn path(&self) -> String {
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
    pub(super) fn choose(&self, offers: &[Available], key: &str) -> Done<(String, Money)> {
        let preference = |number: &str| Sha256::digest(format!("{key} {number}").as_bytes());
        let elsewhere = |offer: &Available| self.area.is_some() && offer.best_effort;
        let cheapest = offers
            .iter()
            .filter(|offer| !elsewhere(offer))
            .filter_map(|offer| {
                let (monthly, once) = offer.usd()?;
                (once <= self.cap.in_dollars()).then_some((monthly, offer.phone_number.as_str()))
            })
            .min_by(|one, other| {
                let by_price = one.0.total_cmp(&other.0);
                by_price.then_with(|| preference(one.1).cmp(&preference(other.1)))
            });
        let (price, number) = cheapest.ok_or_else(|| Fault::Rejected {
            message: format!(
                "Telnyx has no number to offer in {} whose prices are told, with one of at most {} USD for its setup: another countryCode or areaCode may have some",
                self.place(),
                self.cap
            ),
        })?;
        if price > self.cap.in_dollars() {
            return Err(Fault::Rejected {
                message: format!(
                    "Telnyx: the cheapest number in {} costs {price:.2} USD a month, and maxMonthlyCostUSD of the tool or of its account allows {}",
                    self.place(),
                    self.cap
                ),
            });
        }
        Ok((number.to_owned(), Money::near(price)))
    }
}
