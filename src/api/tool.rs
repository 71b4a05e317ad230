//! What a template offers its agents by way of tools.

use super::money::Money;
use super::text::NameRef;
use super::text::{AreaCode, CountryCode, ToolName};
use kube::KubeSchema;
use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that each agent gets at another provider.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == 'wallet' || has(self.accountRef)").message("tools[].accountRef is required: it names the ProviderAccount that pays for the tool; only type wallet, which is made here, has none"),
    validation = Rule::new("self.type != 'wallet' || !has(self.accountRef)").message("tools[].accountRef is not for type wallet: its key is made here and nobody pays for it; take accountRef away, or use type bankr for a wallet at Bankr"),
    validation = Rule::new("self.type == 'openrouter' || (!has(self.limitUSD) && !has(self.maxLimitUSD) && !has(self.limitReset))").message("tools[].limitUSD, maxLimitUSD and limitReset are for type openrouter; take them away, or use budgetUSD with type exa and maxMonthlyCostUSD with type telnyx"),
    validation = Rule::new("self.type != 'openrouter' || has(self.limitUSD)").message("tools[].limitUSD is required with type openrouter: a key without a limit can spend everything"),
    validation = Rule::new("!has(self.limitUSD) || !has(self.maxLimitUSD) || double(string(self.limitUSD)) <= double(string(self.maxLimitUSD))").message("tools[].limitUSD must not be above maxLimitUSD; raise maxLimitUSD or lower limitUSD"),
    validation = Rule::new("self.type == 'exa' || (!has(self.rateLimit) && !has(self.budgetUSD))").message("tools[].rateLimit and budgetUSD are for type exa; take them away, or use limitUSD with type openrouter"),
    validation = Rule::new("self.type == 'agentmail' || (!has(self.username) && !has(self.inboxKey))").message("tools[].username and inboxKey are for type agentmail; take them away"),
    validation = Rule::new("self.type == 'telnyx' || (!has(self.countryCode) && !has(self.areaCode) && !has(self.maxMonthlyCostUSD))").message("tools[].countryCode, areaCode and maxMonthlyCostUSD are for type telnyx; take them away"),
    validation = Rule::new("self.type in ['wallet', 'bankr'] || !has(self.reclaimPolicy)").message("tools[].reclaimPolicy is for types wallet and bankr, which may hold money: everything else is taken back; take reclaimPolicy away")
)]
pub struct ToolSpec {
    /// Its name: in `status.tools`, in `requestedTools`, and as `tool/<name>` in the ledger.
    pub name: ToolName,
    /// What it is: openrouter (an LLM key), exa (a search key), agentmail (an inbox), telnyx (a phone number), wallet (a key pair made
    /// here), bankr (a wallet at Bankr).
    #[serde(rename = "type")]
    pub kind: ToolKind,
    /// The ProviderAccount that pays for it: one of the same provider, which allows this namespace. Required for every type but
    /// wallet, which has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_ref: Option<NameRef>,
    /// Whether an agent is of no use without it: then nothing is deployed before it is there. With `when: OnDemand` it counts
    /// while the instance names the tool.
    #[serde(default = "yes")]
    pub required: bool,
    /// Create: with the instance. OnDemand: while the instance names it in `requestedTools`; no longer named, it is taken back. Claim: once
    /// an AgentClaim has the agent for good, and nothing is deployed for it: the agent is told its variables with all else that its claim
    /// says. What of that changes in the template is for claims that come later. An instance that no claim has never gets it.
    #[serde(default)]
    pub when: ToolTime,
    /// openrouter, required there: what the agent's key may spend, in US dollars: a whole number, or with cents a text in quotes
    /// (`20`, `"20.50"`). An instance may set another limit, up to `maxLimitUSD`. Changed in place, without a deployment.
    #[serde(default, rename = "limitUSD", skip_serializing_if = "Option::is_none")]
    pub limit_usd: Option<Money>,
    /// openrouter: when what was spent counts no more, and the limit is there again as a whole: at midnight UTC, weeks on Monday.
    /// Left out, Never: the limit is for all time. Changed in place, without a deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LimitReset")]
    pub limit_reset: Option<LimitReset>,
    /// openrouter: most that an instance may set in its `toolLimits`. Left out, `limitUSD`.
    #[serde(
        default,
        rename = "maxLimitUSD",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_limit_usd: Option<Money>,
    /// exa: requests that the agent's key may make, in the provider's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub rate_limit: Option<i32>,
    /// exa: what the agent's key may spend, in US dollars. Left out, what the account lets one agent have (`exa.perAgent`).
    #[serde(default, rename = "budgetUSD", skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<Money>,
    /// agentmail: beginning of the address: `ada` makes `ada-<name of the instance>-<ten letters that stand for its namespace>@…`, of
    /// which the provider takes at most 64 characters before the @. Left out, the provider chooses. An inbox that exists keeps its
    /// address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<ToolName>,
    /// agentmail: whether the agent gets a key that opens its inbox and nothing else. Left out, it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbox_key: Option<bool>,
    /// telnyx: country of the number. Left out, US.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country_code: Option<CountryCode>,
    /// telnyx: area code of the number. Left out, any. A number that exists stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area_code: Option<AreaCode>,
    /// telnyx: most that the number may cost a month. The account's own limit holds as well.
    #[serde(
        default,
        rename = "maxMonthlyCostUSD",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_monthly_cost_usd: Option<Money>,
    /// wallet, bankr: what becomes of it when the instance goes, or the tool is taken away. Retain: what may hold money stays, a
    /// wallet's key in its Secret, a Bankr wallet suspended. Delete: it goes, with all that it holds. Left out, Retain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ReclaimPolicy")]
    pub reclaim_policy: Option<ReclaimPolicy>,
}

pub(super) fn yes() -> bool {
    true
}

/// The variables that a tool gives its agent, each with the condition on a tool `t` under which it does. That it agrees with the
/// slot table is tested there.
pub(crate) const GIVEN: [(&str, &str, &str); 10] = [
    ("OPENROUTER_API_KEY", "openrouter", ""),
    ("EXA_API_KEY", "exa", ""),
    ("AGENTMAIL_INBOX", "agentmail", ""),
    (
        "AGENTMAIL_API_KEY",
        "agentmail",
        // Whoever gives the agent another key than its inbox's own says so.
        " && (!has(t.inboxKey) || t.inboxKey)",
    ),
    ("TELNYX_PHONE_NUMBER", "telnyx", ""),
    ("TELNYX_MESSAGING_PROFILE_ID", "telnyx", ""),
    ("WALLET_PRIVATE_KEY", "wallet", ""),
    ("WALLET_ADDRESS", "wallet", ""),
    ("BANKR_API_KEY", "bankr", ""),
    ("BANKR_WALLET_ADDRESS", "bankr", ""),
];

/// The rule that a template sets no variable by hand that one of its tools gives: what a tool gives would win in silence.
pub(super) fn given(variable: &str) -> Rule {
    let known = GIVEN.iter().find(|(name, ..)| *name == variable);
    let (kind, further) = known.map_or(("", ""), |(_, kind, further)| (*kind, *further));
    let rule = format!(
        "!has(self.env) || !has(self.tools) || !self.tools.exists(t, t.type == '{kind}'{further}) || !self.env.exists(e, e.name == '{variable}')"
    );
    let message = format!(
        "env must not have {variable} beside a tool of type {kind}, which gives the agent that variable; take it away, or give yours another name"
    );
    Rule::new(rule).message(message.as_str()).field_path(".env")
}

/// What a tool is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ToolKind {
    /// An LLM key at OpenRouter.
    Openrouter,
    /// A search key at Exa.
    Exa,
    /// An inbox at AgentMail.
    Agentmail,
    /// A phone number at Telnyx.
    Telnyx,
    /// A key pair for EVM chains, made here.
    Wallet,
    /// A wallet at Bankr.
    Bankr,
}

impl ToolKind {
    /// The provider's name in the ledger.
    pub fn provider(self) -> &'static str {
        match self {
            ToolKind::Openrouter => "openrouter",
            ToolKind::Exa => "exa",
            ToolKind::Agentmail => "agentmail",
            ToolKind::Telnyx => "telnyx",
            ToolKind::Wallet => "wallet",
            ToolKind::Bankr => "bankr",
        }
    }
}

/// When a tool is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ToolTime {
    /// With the instance.
    #[default]
    Create,
    /// While the instance names it in `requestedTools`.
    OnDemand,
    /// Once a claim has the agent for good.
    Claim,
}

/// When a key's limit is there again as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LimitReset {
    /// Never: it is for all time.
    #[default]
    Never,
    /// Each midnight UTC.
    Daily,
    /// Each Monday.
    Weekly,
    /// On the first of each month.
    Monthly,
}

/// What becomes of something that may hold money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReclaimPolicy {
    /// It stays: suspended where the provider can, its keys revoked.
    #[default]
    Retain,
    /// It goes.
    Delete,
}
