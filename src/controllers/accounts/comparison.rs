//! Whether what ledgers know of an account is what is there, compared after each reading that is believed.
//!
//! Holds: nothing is decided here (`engine::recovery`). Ledgers and records are read after the listing, because whoever made a
//! thing had its intent on record before; before an account counts as less remembered than it was, all instances are read from
//! the API server itself. Where everything that is ours stands in a ledger nothing more is asked of anybody.

use super::account::Account;
use crate::api::{AgentInstance, Seen};
use crate::cluster::{ClusterError, left_behind};
use crate::controllers::around::Around;
use crate::controllers::stores::Stores;
use crate::controllers::turned::Ref;
use crate::controllers::wake::Change;
use crate::engine::recovery::{self, Bearers, Judgement, Recall, RecoveryAnswer, Remembrance};
use crate::engine::sweep::Claims;
use std::sync::Arc;
use std::time::Duration;

/// Where records could not be read they are read again after so long.
const SOON: Duration = Duration::from_secs(2);

/// Judges an account by its last reading. Answers in how long it has to be read again to make it clear, where it is not.
pub(super) async fn compare(
    around: &Around,
    stores: &Stores,
    account: &dyn Account,
) -> Option<Duration> {
    let name = account.name();
    let object = stores.accounts.get(&Ref::new(name))?;
    let told = object
        .read()
        .map_or(RecoveryAnswer::Nothing, |one| recovery::told(one));
    let judgement = match judged(around, stores, account, told).await {
        Ok(judgement) => judgement?,
        Err(error) => {
            tracing::debug!(account = name, %error, "what is remembered of the account");
            return Some(SOON);
        }
    };
    let clear_at = judgement.clear_at;
    let first = account.recollection().standing().is_none();
    let news = account.recollection().conclude(judgement);
    let standing = account.recollection().standing();
    // Who waited for the first judgement comes again by himself.
    let nothing =
        first && standing == Some(Remembrance::Remembers) && told == RecoveryAnswer::Nothing;
    if news && !nothing {
        tracing::info!(
            account = name,
            ?standing,
            "what is remembered of the account"
        );
        stores.tell(&Change::Recovery(name.to_owned()));
    }
    let until = clear_at?.duration_since(around.now());
    Some(Duration::try_from(until).unwrap_or_default().max(SOON / 4))
}

/// `None`: there is nothing to judge by.
async fn judged(
    around: &Around,
    stores: &Stores,
    account: &dyn Account,
    told: RecoveryAnswer,
) -> Result<Option<Judgement>, ClusterError> {
    if account.usable().is_err() || account.outage().is_some() {
        return Ok(None);
    }
    let recollection = account.recollection();
    let Some(inventory) = account.inventory(around.reader()) else {
        // Its provider shows nobody what lives there.
        return Ok(Some(recollection.all_recorded(around.now())));
    };
    let here = stores.recorded_in(account.name());
    if recovery::all_recorded(&inventory.items, here.iter().map(AsRef::as_ref)) {
        return Ok(Some(recollection.all_recorded(around.now())));
    }
    let left = left_behind::read(&around.client, &around.settings.namespace).await?;
    let judge = |all: Vec<Seen<AgentInstance>>| {
        let read: Vec<Arc<AgentInstance>> =
            all.iter().filter_map(|one| one.read().cloned()).collect();
        let mut bearers = Bearers::default();
        for one in &read {
            bearers.add(&around.installation.id, one, stores.slots_of(one));
        }
        let claims = Claims {
            left_behind: left.words.clone(),
            ..Claims::of(all)
        };
        recollection.judge(&Recall {
            begun: inventory.begun,
            items: &inventory.items,
            claims: &claims,
            bearers: &bearers,
            newest: recovery::newest(read.iter().map(AsRef::as_ref), account.name(), told),
            limits: around.settings.limits,
            told,
            now: around.now(),
        })
    };
    let judgement = judge(stores.instances.all());
    // What a watch has missed is no loss.
    let lapses = matches!(judgement.standing, Some(Remembrance::Lapsed(_)));
    if lapses && !recollection.lapsed() {
        return Ok(Some(judge(left_behind::instances(&around.client).await?)));
    }
    Ok(Some(judgement))
}
