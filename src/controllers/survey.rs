//! What `yardmaster sweep` shows: every account read once, now, and compared with every ledger by the same code as the sweep.
//!
//! What holds: nothing is changed, in Kubernetes or outside: Secrets are read without a finalizer, accounts are opened
//! beside those of a running operator, and only listed. Deliberately absent: printing, and any deletion.

use super::accounts::open::open;
use super::around::Around;
use crate::api::money::Money;
use crate::api::{ProviderAccount, Seen};
use crate::cluster::call::call;
use crate::cluster::{ClusterError, credentials, left_behind};
use crate::engine::sweep::{Claims, Item, Provenance, Verdict, verdict};
use crate::model::{Done, Fault};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde::Serialize;

/// What was found in one account.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Surveyed {
    /// The account.
    pub account: String,
    /// Its provider.
    pub provider: String,
    /// Why it could not be read, if it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Whether its provider shows what lives there at all. Where not, the credential was tried, and nothing is known.
    pub listed: bool,
    /// How much of what lives there a ledger claims.
    pub claimed: usize,
    /// How much of it is others', and does not look like ours.
    pub foreign: usize,
    /// What is nobody's, was left behind, or looks like ours and is not.
    pub found: Vec<Unclaimed>,
}

/// What something was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum What {
    /// Ours, and nobody's.
    Orphan,
    /// Ours, and left there on purpose.
    LeftBehind,
    /// Another's, though its name or description looks like ours.
    Foreign,
}

/// A resource that no ledger claims.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unclaimed {
    /// What it is to us.
    pub verdict: What,
    /// What it is.
    pub kind: String,
    /// The provider's id.
    pub id: String,
    /// Its name there.
    pub name: String,
    /// When it was made, where the provider tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What it can cost within a month: a number its price, a key what it may still spend.
    #[serde(rename = "monthlyCostUSD", skip_serializing_if = "Option::is_none")]
    pub monthly_cost_usd: Option<Money>,
    /// The instance that its marker names, where there is room for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// Reads everything once.
///
/// # Errors
/// Where Kubernetes does not answer completely: without all ledgers nothing can be said.
pub async fn survey(around: &Around) -> Result<Vec<Surveyed>, ClusterError> {
    let api: Api<Seen<ProviderAccount>> = Api::all(around.client.clone());
    let accounts = call("listing accounts", api.list(&ListParams::default())).await?;
    let (mut read, mut unread) = (Vec::new(), Vec::new());
    for account in &accounts.items {
        let account = match account {
            Seen::Read(account) => account,
            Seen::Unreadable(account) => {
                unread.push(Surveyed {
                    account: account.title(),
                    provider: String::new(),
                    trouble: Some(account.sentence()),
                    listed: true,
                    claimed: 0,
                    foreign: 0,
                    found: Vec::new(),
                });
                continue;
            }
        };
        let Some(provider) = account.spec.provider() else {
            continue;
        };
        read.push((account, provider, inventory(around, account).await));
    }
    // After the listings: whatever they show had its intent on record before it was made.
    let mut claims = Claims::of(left_behind::instances(&around.client).await?);
    let left = left_behind::read(&around.client, &around.settings.namespace).await?;
    claims.left_behind = left.words;
    Ok(read
        .into_iter()
        .map(|(account, provider, items)| judged(account, provider, items, &claims, around.now()))
        .chain(unread)
        .collect())
}

async fn inventory(around: &Around, account: &ProviderAccount) -> Done<Option<Vec<Item>>> {
    let references = account.spec.credentials();
    let found = credentials::look(&around.client, &around.settings.namespace, references).await;
    let found = found.map_err(|error| Fault::Transient {
        message: error.to_string(),
    })?;
    if found.tokens.is_empty() {
        return Err(Fault::Denied {
            message: found.missing.join("; "),
        });
    }
    match open(around, account, found.tokens) {
        Some(opened) => opened.survey(around.reader()).await,
        None => Ok(None),
    }
}

fn judged(
    account: &ProviderAccount,
    provider: &str,
    items: Done<Option<Vec<Item>>>,
    claims: &Claims,
    now: Timestamp,
) -> Surveyed {
    let mut surveyed = Surveyed {
        account: account.name_any(),
        provider: provider.to_owned(),
        trouble: items.as_ref().err().map(|fault| fault.message().to_owned()),
        listed: !matches!(items, Ok(None)),
        claimed: 0,
        foreign: 0,
        found: Vec::new(),
    };
    for item in items.ok().flatten().unwrap_or_default() {
        let what = match verdict(&item, claims, now) {
            Verdict::Claimed => {
                surveyed.claimed += 1;
                continue;
            }
            Verdict::Foreign if item.bears == Provenance::Nothing => {
                surveyed.foreign += 1;
                continue;
            }
            Verdict::Foreign => What::Foreign,
            Verdict::LeftBehind => What::LeftBehind,
            Verdict::Orphan { .. } => What::Orphan,
        };
        let instance = match &item.bears {
            Provenance::Ours(Some(one)) => Some(one.named.to_string()),
            _ => None,
        };
        surveyed.found.push(Unclaimed {
            verdict: what,
            kind: item.kind,
            id: item.id,
            name: item.name,
            since: item.created,
            monthly_cost_usd: item.monthly_usd,
            instance,
        });
    }
    surveyed.found.sort_by(|one, other| {
        (one.verdict, one.since, &one.id).cmp(&(other.verdict, other.since, &other.id))
    });
    surveyed
}
