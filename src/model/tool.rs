//! Tools as values: what an agent shall have at other providers, and what was seen of it there.
//!
//! What holds: a secret is in memory only between the provider's answer and the Secret that keeps it; an id can always be
//! shown (where a provider's own id is a secret, its room gives a fingerprint instead). Deliberately absent: what a
//! provider calls these things.

mod marks;

use super::slot::Part;
use super::values::hex;
use crate::api::LedgerEntry;
use crate::api::instance::ToolUsage;
pub use crate::api::money::Money;
pub use crate::api::template::LimitReset;
use crate::api::template::{ReclaimPolicy, ToolKind};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What one tool of one instance shall be like, in the words of the spec.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// A key that may spend so much.
    Openrouter {
        /// US dollars.
        limit_usd: Money,
        /// When it may spend them again.
        reset: LimitReset,
        /// Whether it may be used by nobody. `None`: as it is.
        disabled: Option<bool>,
    },
    /// A key.
    Exa {
        /// In the provider's unit.
        rate_limit: Option<i32>,
        /// US dollars.
        budget_usd: Option<Money>,
    },
    /// An inbox.
    Agentmail {
        /// The address's local part. `None`: the provider chooses.
        username: Option<String>,
        /// Whether the agent gets a key for it.
        key: bool,
    },
    /// A phone number.
    Telnyx {
        /// Two letters.
        country: String,
        /// Area code.
        area: Option<String>,
        /// Most that it may cost a month, in US dollars; the account's own limit holds as well.
        max_monthly_usd: Option<Money>,
    },
    /// A key pair made here.
    Wallet,
    /// A wallet.
    Bankr,
}

impl Wish {
    /// What of it can be changed in place, as the ledger records it. Empty where nothing can.
    pub fn settings(&self) -> String {
        match self {
            Wish::Openrouter {
                limit_usd,
                reset,
                disabled,
            } => {
                let limit = format!("limitUSD={}", limit_usd.in_dollars());
                let again = again(*reset).map(|word| format!("/{word}"));
                let mark = disabled.map(|disabled| if disabled { DISABLED } else { ENABLED });
                limit + &again.unwrap_or_default() + mark.unwrap_or_default()
            }
            Wish::Exa {
                rate_limit,
                budget_usd,
            } => {
                let rate = rate_limit.map(|rate| format!("rateLimit={rate}"));
                let budget = budget_usd.map(|budget| format!("budgetUSD={}", budget.in_dollars()));
                rate.into_iter().chain(budget).collect::<Vec<_>>().join(" ")
            }
            _ => String::new(),
        }
    }

    /// What it asks for that is bounded by the account, in US dollars. `None` where it names no sum.
    pub fn asks_usd(&self) -> Option<Money> {
        match self {
            Wish::Openrouter { limit_usd, .. } => Some(*limit_usd),
            Wish::Exa { budget_usd, .. } => *budget_usd,
            Wish::Agentmail { .. } => Some(INBOX_USD),
            // A number that costs more than the account allows is never ordered, whatever the wish.
            Wish::Telnyx { .. } | Wish::Wallet | Wish::Bankr => None,
        }
    }

    /// What a key was given, by settings as [`Wish::settings`] has them. `None` where they say nothing of money.
    pub fn given_usd(settings: &str) -> Option<Money> {
        let sums = settings.split(' ').filter_map(|one| one.split_once('='));
        let money = |(name, _): &(&str, &str)| ["limitUSD", "budgetUSD"].contains(name);
        let mut sums = sums.filter(money);
        let (_, sum) = sums.next()?;
        let sum = sum.split('/').next().unwrap_or(sum);
        // Older ledgers have as many digits as were asked for.
        sum.parse().ok().map(Money::near)
    }

    /// What is on record, put into use or out of it. `None` where its provider cannot do that.
    pub fn in_use(entry: &LedgerEntry, used: bool) -> Option<Wish> {
        let key = entry
            .slot
            .as_tool()
            .is_some_and(|own| own.part == Part::Main);
        match entry.provider.as_str() {
            "openrouter" if key => Some(Wish::Openrouter {
                limit_usd: Wish::given_usd(&entry.settings)?,
                reset: Wish::given_again(&entry.settings),
                disabled: Some(!used),
            }),
            _ => None,
        }
    }

    /// When a key's limit comes back, by settings as [`Wish::settings`] has them.
    pub fn given_again(settings: &str) -> LimitReset {
        let word = Wish::unmarked(settings).split_once('/');
        let word = word.map(|(_, word)| word);
        let known = AGAIN.into_iter().find(|one| again(*one) == word);
        known.unwrap_or_default()
    }
}

/// At the end of the settings of what nobody may use for now.
pub const DISABLED: &str = " disabled";

/// The same, as long as its provider has not said so.
const DISABLING: &str = " disabling";

/// The same, of what was put into use again and not seen so yet.
const ENABLED: &str = " enabled";

const AGAIN: [LimitReset; 3] = [LimitReset::Daily, LimitReset::Weekly, LimitReset::Monthly];

/// The word for when a limit comes back, in settings and at the provider. `None`: never.
pub fn again(reset: LimitReset) -> Option<&'static str> {
    match reset {
        LimitReset::Never => None,
        LimitReset::Daily => Some("daily"),
        LimitReset::Weekly => Some("weekly"),
        LimitReset::Monthly => Some("monthly"),
    }
}

/// What an inbox costs a month beyond the plan, in US dollars.
pub const INBOX_USD: Money = Money::dollars(2);

/// A tool that an instance shall have now.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Its name in the template.
    pub name: String,
    /// What it is.
    pub kind: ToolKind,
    /// The account; empty for what is made here.
    pub account: String,
    /// Whether nothing is deployed without it.
    pub required: bool,
    /// What it shall be like.
    pub wish: Wish,
    /// What becomes of it, where it may hold money.
    pub reclaim: ReclaimPolicy,
    /// Its parts, in the order in which they are made.
    pub parts: Vec<Part>,
    /// The id of an existing one that is taken over.
    pub adopt: Option<String>,
    /// Whether it is for the agent's claim alone: what it gives is told, and no reason to deploy anything.
    pub for_claim: bool,
}

/// What is to be made: everything that a provider's room needs for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Which part.
    pub part: Part,
    /// The name by which it is found again: derived from the object, written down before.
    pub key: String,
    /// Whose it is, in plain words, for where a provider has room for them.
    pub note: String,
    /// What it shall be like.
    pub wish: Wish,
    /// Ids of the tool's other parts that exist.
    pub parts: BTreeMap<Part, String>,
}

/// What every fingerprint begins with.
pub const FINGERPRINT: &str = "sha256-";

/// Says which secret it is, and nothing of it: the id of what has no id, or none that may be shown.
pub fn fingerprint(secret: &SecretString) -> String {
    let hash = Sha256::digest(secret.expose_secret().as_bytes());
    format!("{FINGERPRINT}{}", hex(&hash[..8]))
}

/// Whether a text that people may have written can be a resource's id: nothing in it leads elsewhere in a URL, or breaks a
/// line.
pub fn is_id(text: &str) -> bool {
    let first = text.bytes().next();
    first.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
        && text.len() <= 256
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"@+._~:-".contains(&byte))
}

/// What is looked for: everything that bears a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sought {
    /// Which part.
    pub part: Part,
    /// The name.
    pub key: String,
    /// Ids of the tool's other parts that exist.
    pub parts: BTreeMap<Part, String>,
}

/// Names an existing resource to its provider's room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Which part.
    pub part: Part,
    /// The recorded id.
    pub id: String,
    /// The recorded name.
    pub key: String,
    /// Whether it was once seen to be ready: then that nobody shows it any more means that it is gone, however young it is.
    pub seen: bool,
    /// Ids of the tool's other parts that exist.
    pub parts: BTreeMap<Part, String>,
}

/// A resource as a provider shows it.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Which part of a tool it is.
    pub part: Part,
    /// Its id, or a fingerprint where the id is a secret.
    pub id: String,
    /// The name that it bears there; empty where it has none.
    pub name: String,
    /// Where it is reached.
    pub address: Option<String>,
    /// How far it is.
    pub stage: Stage,
    /// What it is set to, in the form of [`Wish::settings`]; `None` where the provider does not tell.
    pub settings: Option<String>,
    /// What it has spent.
    pub usage: Option<Usage>,
    /// When it was made, where the provider tells.
    pub created: Option<Timestamp>,
    /// What it costs a month as it stands, in US dollars; for a key, what it may still spend.
    pub monthly_usd: Money,
}

impl Resource {
    /// One of which nothing more is known.
    pub fn bare(part: Part, id: String, name: String, stage: Stage) -> Resource {
        Resource {
            part,
            id,
            name,
            address: None,
            stage,
            settings: None,
            usage: None,
            created: None,
            monthly_usd: Money::ZERO,
        }
    }
}

/// How far a resource is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It can be used.
    Ready,
    /// The provider is still at work on it.
    Pending {
        /// What it is waiting for.
        why: String,
    },
    /// It will never be usable.
    Failed {
        /// What the provider says.
        why: String,
    },
    /// It is put to rest: it exists, and nobody can use it.
    Resting,
}

/// What something has spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// So far, in US dollars; where the limit comes back, since it last did.
    pub spent_usd: Money,
    /// Of so much, in US dollars.
    pub limit_usd: Option<Money>,
    /// In this month, in US dollars.
    pub month_usd: Money,
}

/// What something without a limit spends before it is news.
const STEP: Money = Money::dollars(1);

impl Usage {
    /// What a status tells.
    pub fn told(told: &ToolUsage) -> Usage {
        Usage {
            spent_usd: told.spent_usd,
            limit_usd: told.limit_usd,
            month_usd: told.month_usd.unwrap_or_default(),
        }
    }

    /// How many tenths of the limit are spent. `None` where there is none.
    pub fn tenths(self) -> Option<u8> {
        Some(self.spent_usd.tenths_of(self.limit_usd?))
    }

    /// Whether it is another step than what was told: another limit, another tenth of it, another month; without a limit, a tenth
    /// more.
    pub fn is_news(self, told: Usage) -> bool {
        if self.month_usd < told.month_usd {
            return true;
        }
        let endless = || {
            let more = self.spent_usd.without(told.spent_usd);
            let tenth = Money::cents(told.spent_usd.in_cents() / 10);
            self.spent_usd < told.spent_usd || more >= tenth.max(STEP)
        };
        match (self.tenths(), told.tenths()) {
            (None, None) => endless(),
            (now, then) => self.limit_usd != told.limit_usd || now != then,
        }
    }
}

/// The answer to an order.
#[derive(Clone, Debug)]
pub struct Made {
    /// What was made, or was there already.
    pub resource: Resource,
    /// Its secret, where the provider has shown it: never again.
    pub secret: Option<SecretString>,
}

/// A complete reading of an account.
#[derive(Clone, Debug)]
pub struct Stock {
    /// When the reading began.
    pub begun: Timestamp,
    /// Everything that lives there, ours or not.
    pub resources: Vec<Resource>,
}

/// What a Secret keeps of one slot: that it has its credential, and of which resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The name in the ledger under which the resource was made.
    pub key: String,
    /// The id of the resource that the credential opens.
    pub id: String,
    /// The name under which the thing itself was made, where the credential is a key of it.
    pub main: Option<String>,
    /// The address, where the Secret keeps one.
    pub address: Option<String>,
    /// The Secret's name.
    pub secret: Option<String>,
}

/// A tool that is asked for and cannot be had so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedTool {
    /// Its name.
    pub tool: String,
    /// Why, and what to do.
    pub message: String,
}
