//! What is judged of whether an account's ledgers know what is there, as long as this process lives.
//!
//! Holds: a judgement stands until another one is clear; before the first there is none. Deliberately absent: the comparison
//! (`comparison`) and what follows from it (`engine::recovery`).

use crate::api::AgentInstance;
use crate::controllers::held;
use crate::engine::recovery::{Judgement, Recall, RecallMemory, Remembrance};
use jiff::{SignedDuration, Timestamp};
use std::mem;
use std::sync::Mutex;

/// The first judgement is asked about again this soon, …
const SOON: SignedDuration = SignedDuration::from_millis(500);

/// … and when it takes long, this often.
const SELDOM: SignedDuration = SignedDuration::from_secs(30);

/// What was judged of an account.
#[derive(Default)]
pub struct Recollection(Mutex<RecollectionState>);

#[derive(Default)]
struct RecollectionState {
    memory: RecallMemory,
    standing: Option<Remembrance>,
    /// Whether the last reading left it open.
    doubtful: bool,
    /// When a reading that makes it clear may begin.
    clear_at: Option<Timestamp>,
    /// Since when somebody waits for the first judgement.
    asked: Option<Timestamp>,
}

impl Recollection {
    /// What the account's ledgers know. `None`: that was not judged yet.
    pub fn standing(&self) -> Option<Remembrance> {
        held(&self.0).standing.clone()
    }

    /// Of an account that was not judged yet: when to ask again. The longer it takes, the more seldom: its provider may list
    /// nothing for a long time.
    pub fn unread(&self, now: Timestamp) -> Option<Timestamp> {
        let mut judged = held(&self.0);
        if judged.standing.is_some() {
            return None;
        }
        let asked = *judged.asked.get_or_insert(now);
        let waited = now.duration_since(asked).as_millis().max(SOON.as_millis());
        let next = match waited < SELDOM.as_millis() {
            true => u64::try_from(waited + 1)
                .unwrap_or_default()
                .next_power_of_two(),
            false => u64::try_from(waited + SELDOM.as_millis() - waited % SELDOM.as_millis())
                .unwrap_or_default(),
        };
        let again = asked + SignedDuration::from_millis(i64::try_from(next).unwrap_or(i64::MAX));
        Some(judged.clear_at.map_or(again, |clear| clear.max(again)))
    }

    /// Whether nothing speaks against taking back what is nobody's.
    pub fn is_clear(&self) -> bool {
        let judged = held(&self.0);
        judged.standing.is_some() && !judged.doubtful
    }

    /// An instance is gone.
    pub fn parted(&self, last: &AgentInstance, now: Timestamp) {
        held(&self.0).memory.parted(last, now);
    }

    /// Keeps a judgement. Answers whether it is another standing than before.
    pub(super) fn conclude(&self, judgement: Judgement) -> bool {
        let mut judged = held(&self.0);
        judged.clear_at = judgement.clear_at;
        judged.doubtful = judgement.standing.is_none();
        let Some(standing) = judgement.standing else {
            return false;
        };
        let kind = |standing: &Remembrance| mem::discriminant(standing);
        let news = judged.standing.as_ref().map(kind) != Some(kind(&standing));
        judged.standing = Some(standing);
        news
    }

    /// Compares, and takes into the memory what was seen.
    pub(super) fn judge(&self, recall: &Recall<'_>) -> Judgement {
        recall.judge(&mut held(&self.0).memory)
    }

    /// Whether it counts as less remembered than it was.
    pub(super) fn lapsed(&self) -> bool {
        matches!(held(&self.0).standing, Some(Remembrance::Lapsed(_)))
    }

    /// Everything that is ours is on record.
    pub(super) fn all_recorded(&self, now: Timestamp) -> Judgement {
        held(&self.0).memory.all_recorded(now);
        Judgement {
            standing: Some(Remembrance::Remembers),
            clear_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_for_the_first_judgement_asks_more_and_more_seldom() {
        let (account, begun) = (Recollection::default(), Timestamp::UNIX_EPOCH);
        let mut asked = vec![begun];
        while asked.len() < 12 {
            let now = asked[asked.len() - 1];
            let next = account.unread(now).unwrap();
            assert!(next > now, "{next} at {now}");
            asked.push(next);
        }
        let pauses = asked.windows(2).map(|pair| pair[1].duration_since(pair[0]));
        let pauses: Vec<SignedDuration> = pauses.collect();
        assert!(pauses[0] >= SOON && pauses[0] <= SOON * 2, "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= SELDOM), "{pauses:?}");
        assert!(pauses[11 - 1] == SELDOM, "{pauses:?}");
        // A dozen passes in the first minutes, where each half second would be hundreds.
        assert!(asked[11].duration_since(begun) > SignedDuration::from_secs(120));
    }

    #[test]
    fn nobody_waits_once_it_is_judged() {
        let account = Recollection::default();
        assert!(account.unread(Timestamp::UNIX_EPOCH).is_some());
        let judged = account.all_recorded(Timestamp::UNIX_EPOCH);
        assert!(account.conclude(judged));
        assert_eq!(account.unread(Timestamp::UNIX_EPOCH), None);
    }
}
