//! What Railway's accounts and those of tools have in common, for those who read, sweep and tell of any.

use super::credential::Checked;
use super::recollection::Recollection;
use crate::api::Part;
use crate::controllers::around::Around;
use crate::controllers::stores::Stores;
use crate::engine::account::Outage;
use crate::engine::sweep::{Item, Reader};
use crate::model::Done;
use futures::future::BoxFuture;
use jiff::Timestamp;
use std::time::Duration;

/// While a provider does not answer it is asked at least so often.
pub const EAGER: Duration = Duration::from_secs(5);

/// What Railway's accounts and those of tools have in common.
pub trait Account: Send + Sync + 'static {
    /// Its name.
    fn name(&self) -> &str;
    /// The provider's name in ledgers.
    fn provider(&self) -> &'static str;
    /// What is known of its credential.
    fn credential(&self) -> &Checked;
    /// Whether what ledgers know of it is what is there.
    fn recollection(&self) -> &Recollection;
    /// Why the provider counts as unreachable, if it does.
    fn outage(&self) -> Option<Outage>;
    /// Requests left in the provider's present window, where that is known.
    fn left(&self) -> Option<u64> {
        None
    }
    /// How many resources of this installation the last believed reading showed.
    fn ours(&self, reader: Reader<'_>) -> Option<usize>;
    /// How long until the next reading.
    fn pause(&self, interval: Duration) -> Duration;
    /// One reading: believed or not, kept, and told to those whom it concerns.
    fn read<'a>(&'a self, around: &'a Around, stores: &'a Stores) -> BoxFuture<'a, Done<()>>;
    /// The last reading, where it is believed and nothing since has cast doubt on it.
    fn inventory(&self, reader: Reader<'_>) -> Option<Inventory>;
    /// Everything that lives there, asked for now. `None`: the credential is good, and the provider shows nobody what lives
    /// there.
    fn survey<'a>(&'a self, reader: Reader<'a>) -> BoxFuture<'a, Done<Option<Vec<Item>>>>;
    /// One thing as it is now, by itself. `None`: it is gone, or cannot be told from one that is.
    fn look<'a>(
        &'a self,
        item: &'a Item,
        part: Part,
        reader: Reader<'a>,
    ) -> BoxFuture<'a, Done<Option<Item>>>;
    /// Deletes one thing.
    fn delete<'a>(&'a self, item: &'a Item, part: Part) -> BoxFuture<'a, Done<()>>;

    /// Whether the account can be used, and if not, why.
    fn usable(&self) -> Result<(), String> {
        self.credential().usable()
    }
}

/// What an account's provider showed, with what is needed to find each thing again.
pub struct Inventory {
    /// When the reading began.
    pub begun: Timestamp,
    /// The things.
    pub items: Vec<Item>,
    /// Which part of a tool each of them is.
    pub parts: Vec<Part>,
}
