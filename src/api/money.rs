//! Money: US dollars as people write them, cents in code.
//!
//! What holds: outside it is a whole number or a text (`20`, `"20.50"`), because a number with a fraction is no exact sum; it
//! is written as a text. What older versions stored as a number with a fraction is read still, to the cent. Deliberately
//! absent: rules of the API server that look at such a field. A rule that meets a stored fraction fails at every later write of
//! the object, our own included; a pattern does not.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::str::FromStr;

/// Cents of one dollar.
const DOLLAR: u64 = 100;

/// A sum in US dollars, to the cent. Never below nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(u64);

impl Money {
    /// Nothing.
    pub const ZERO: Money = Money(0);

    /// So many cents.
    pub const fn cents(cents: u64) -> Money {
        Money(cents)
    }

    /// So many whole dollars.
    pub const fn dollars(dollars: u64) -> Money {
        Money(dollars.saturating_mul(DOLLAR))
    }

    /// What a provider tells as a number with a fraction, to the nearest cent.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn near(dollars: f64) -> Money {
        // What is no number, or below nothing, becomes nothing.
        Money((dollars * 100.0).round() as u64)
    }

    /// Without its cents.
    pub const fn whole(self) -> Money {
        Money(self.0 - self.0 % DOLLAR)
    }

    /// In cents.
    pub const fn in_cents(self) -> u64 {
        self.0
    }

    /// In dollars, for those who take a number with a fraction.
    #[allow(clippy::cast_precision_loss)]
    pub fn in_dollars(self) -> f64 {
        self.0 as f64 / 100.0
    }

    /// So often the same.
    pub const fn times(self, times: u64) -> Money {
        Money(self.0.saturating_mul(times))
    }

    /// How many tenths of another sum it has reached, ten at most. None of nothing.
    pub fn tenths_of(self, whole: Money) -> u8 {
        if whole == Money::ZERO {
            return 0;
        }
        let tenths = u128::from(self.0) * 10 / u128::from(whole.0);
        u8::try_from(tenths.min(10)).unwrap_or(10)
    }

    /// What is left without another sum.
    pub const fn without(self, other: Money) -> Money {
        Money(self.0.saturating_sub(other.0))
    }
}

impl Add for Money {
    type Output = Money;
    fn add(self, other: Money) -> Money {
        Money(self.0.saturating_add(other.0))
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Money>>(all: I) -> Money {
        all.fold(Money::ZERO, Add::add)
    }
}

/// `20`, `20.50`
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / DOLLAR, self.0 % DOLLAR) {
            (dollars, 0) => write!(f, "{dollars}"),
            (dollars, cents) => write!(f, "{dollars}.{cents:02}"),
        }
    }
}

/// A text that is no sum of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMoney;

impl fmt::Display for NoMoney {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no sum of money such as 20 or \"20.50\"")
    }
}

impl FromStr for Money {
    type Err = NoMoney;

    fn from_str(text: &str) -> Result<Money, NoMoney> {
        let (dollars, cents) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str, most: usize| {
            let all = part.bytes().all(|byte| byte.is_ascii_digit());
            all && (1..=most).contains(&part.len())
        };
        if !digits(dollars, 16) || !digits(cents, 2) {
            return Err(NoMoney);
        }
        let dollars: u64 = dollars.parse().map_err(|_| NoMoney)?;
        let tens: u64 = cents.parse().map_err(|_| NoMoney)?;
        let cents = if cents.len() == 1 { tens * 10 } else { tens };
        Ok(Money::dollars(dollars) + Money(cents))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MoneyVisitor)
    }
}

struct MoneyVisitor;

impl Visitor<'_> for MoneyVisitor {
    type Value = Money;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("US dollars such as 20 or \"20.50\"")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Money, E> {
        Ok(Money::dollars(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Money, E> {
        let number = u64::try_from(number);
        number
            .map(Money::dollars)
            .map_err(|_| E::custom("money is never below nothing"))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Money, E> {
        Ok(Money::near(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Money, E> {
        text.parse().map_err(E::custom)
    }
}

impl JsonSchema for Money {
    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "minimum": 0,
            "maximum": 9_999_999,
            "maxLength": 10,
            "pattern": "^[0-9]{1,7}([.][0-9]{1,2})?$",
        })
    }
}

/// A sum in a status: as wide as whatever was added up, for a status that does not fit could never be written.
pub(super) fn told(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "minimum": 0,
        "maxLength": 20,
        "pattern": "^[0-9]{1,16}([.][0-9]{1,2})?$",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_in_every_form_and_written_as_text() {
        for (json, cents, text) in [
            ("20", 2000, "20"),
            ("0", 0, "0"),
            ("\"20\"", 2000, "20"),
            ("\"20.5\"", 2050, "20.50"),
            ("\"20.05\"", 2005, "20.05"),
            ("\"0.01\"", 1, "0.01"),
            ("\"9999999.99\"", 999_999_999, "9999999.99"),
            // As 0.1.0 stored it.
            ("20.0", 2000, "20"),
            ("20.5", 2050, "20.50"),
            ("0.125", 13, "0.13"),
            ("1.005", 100, "1"),
            ("-0.5", 0, "0"),
        ] {
            let money: Money = serde_json::from_str(json).unwrap();
            assert_eq!(money, Money::cents(cents), "{json}");
            let written = serde_json::to_value(money).unwrap();
            assert_eq!(written, serde_json::json!(text), "{json}");
        }
        for wrong in [
            "\"\"",
            "\"$5\"",
            "\"5.\"",
            "\".5\"",
            "\"1.234\"",
            "\"-1\"",
            "-1",
            "true",
            "\"1e3\"",
        ] {
            assert!(serde_json::from_str::<Money>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sums_never_wrap() {
        let most = Money::cents(u64::MAX);
        assert_eq!(most + Money::dollars(1), most);
        assert_eq!(most.times(31), most);
        assert_eq!(Money::dollars(1).without(Money::dollars(2)), Money::ZERO);
        let all = [Money::cents(50), Money::cents(50)];
        assert_eq!(all.into_iter().sum::<Money>(), Money::dollars(1));
        assert_eq!(Money::near(f64::NAN), Money::ZERO);
        for (part, whole, tenths) in [
            (0, 20, 0),
            (1, 20, 0),
            (2, 20, 1),
            (19, 20, 9),
            (20, 20, 10),
            (99, 20, 10),
            (5, 0, 0),
        ] {
            assert_eq!(Money::cents(part).tenths_of(Money::cents(whole)), tenths);
        }
        assert_eq!(most.tenths_of(most), 10);
    }
}
