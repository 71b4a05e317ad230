//! How a claim comes by its agent: take, bind, hand over, tell. What is next, whoever died at whatever point before it.
//!
//! What holds (`model_tests`): a claim's data reaches one agent at a time, and an agent hears of one claim for ever; an instance that
//! was handed over is never idle again; what was only taken comes back to its pool. For that each write bears the
//! resourceVersion of the object from which it was decided, and the memory of telling is on the object whose agent is told.
//! Deliberately absent: which free member serves best, deadlines, requests.

/// An instance that a claim may have, or has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PoolMember<I> {
    /// Its UID.
    pub uid: I,
    /// When it was made, or where in that order it stands.
    pub made: i64,
    /// Whose it is, by its `spec.claimRef`.
    pub hold: Option<ClaimHold<I>>,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// A claim's hold on an instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimHold<I> {
    /// The claim's UID.
    pub claim: I,
    /// Whether it was handed over: its agent may have been told from here on.
    pub handed_over: bool,
}

/// A claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimView<I> {
    /// Its UID.
    pub uid: I,
    /// The instance that its status names.
    pub names: Option<I>,
    /// How many it named before, each of which is gone.
    pub rejected: usize,
    /// Whether its agent has answered.
    pub ready: bool,
    /// Whether nothing more is done for it: it is being deleted, or its time is over.
    pub over: bool,
}

/// What is known beside the claim.
#[derive(Clone, Debug)]
pub struct ClaimSight<'a, I> {
    /// The instances that bear the claim's UID.
    pub its: &'a [&'a PoolMember<I>],
    /// The instance that the claim names, where it does not bear the claim's UID.
    pub named: NamedInstance,
    /// Whether `its` was asked for by the claim's label, live, after this very version of the claim was read; or this process saw
    /// the claim being created, and this is that version.
    pub looked: bool,
    /// A member that nobody has.
    pub free: Option<&'a PoolMember<I>>,
    /// Whether its agent is given up: it has not answered in time.
    pub given_up: bool,
    /// Whether it has waited for an agent as long as it would.
    pub late: bool,
    /// Whether nothing is to be done to its agent now, nor to be concluded of it.
    pub paused: bool,
}

/// The instance that a claim names, where it does not bear the claim's UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedInstance {
    /// Not looked for.
    Unknown,
    /// There, and nobody's or another claim's.
    NotIts,
    /// Looked for, and gone.
    Gone,
}

/// What is next for a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimStep<'a, I> {
    /// To ask, live, for the instances that bear its label, and for the one that it names.
    Look,
    /// To write the claim into a free member.
    Take(&'a PoolMember<I>),
    /// To write the instance into the claim.
    Bind(&'a PoolMember<I>),
    /// To take the claim out of an instance that was not handed over.
    GiveBack(&'a PoolMember<I>),
    /// To write into the instance that it is the claim's for good.
    HandOver(&'a PoolMember<I>),
    /// To tell its agent.
    Tell(&'a PoolMember<I>),
    /// To delete an instance whose agent was given up.
    Delete(&'a PoolMember<I>),
    /// To move the instance that it names to those that it named.
    Reject(I),
    /// For a member that is free, or one that goes to be gone.
    Wait,
    /// It names an instance that is not its own: to be read anew, and a person's where that is so.
    Astray,
    /// The instance that it named is gone after its agent had answered: nobody replaces it but a person.
    Lost,
    /// As many agents as it may try came to nothing.
    Failed,
    /// It has waited long enough, and has none.
    TooLate,
    /// Nothing.
    Rest,
}

/// So many agents are tried for a claim.
pub const MOST: usize = 3;

/// What is next for a claim.
pub fn next<'a, I: Clone + PartialEq>(
    claim: &ClaimView<I>,
    around: &ClaimSight<'a, I>,
) -> ClaimStep<'a, I> {
    let step = unpaused(claim, around);
    let harmless = matches!(
        step,
        ClaimStep::Look | ClaimStep::GiveBack(_) | ClaimStep::Wait | ClaimStep::Rest
    );
    // Where time went back, what seems late was served long ago, and what seems gone may be there.
    match around.paused && !harmless {
        true => ClaimStep::Wait,
        false => step,
    }
}

fn unpaused<'a, I: Clone + PartialEq>(
    claim: &ClaimView<I>,
    around: &ClaimSight<'a, I>,
) -> ClaimStep<'a, I> {
    let named = claim.names.as_ref();
    let mut taken = around.its.iter().filter(|one| !is_handed_over(one));
    let other = taken.find(|one| claim.over || named.is_some_and(|named| *named != one.uid));
    if let Some(other) = other {
        return ClaimStep::GiveBack(other);
    }
    match named {
        _ if claim.over => ClaimStep::Rest,
        Some(named) => bound(claim, named, around),
        None => unbound(claim, around),
    }
}

fn is_handed_over<I>(member: &PoolMember<I>) -> bool {
    member.hold.as_ref().is_some_and(|hold| hold.handed_over)
}

/// It names one: that one is gone on with.
fn bound<'a, I: Clone + PartialEq>(
    claim: &ClaimView<I>,
    named: &I,
    around: &ClaimSight<'a, I>,
) -> ClaimStep<'a, I> {
    let Some(own) = around.its.iter().find(|one| one.uid == *named) else {
        return match around.named {
            NamedInstance::Unknown => ClaimStep::Look,
            // Never taken again: whoever believes that it names this one may know an old version of it.
            NamedInstance::NotIts => ClaimStep::Astray,
            NamedInstance::Gone if claim.ready => ClaimStep::Lost,
            NamedInstance::Gone => ClaimStep::Reject(named.clone()),
        };
    };
    match (is_handed_over(own), own.deleting) {
        // Its agent may have been told: another one only when it is seen to be gone.
        (_, true) => ClaimStep::Wait,
        (false, false) => ClaimStep::HandOver(own),
        (true, false) if claim.ready => ClaimStep::Rest,
        (true, false) if around.given_up => ClaimStep::Delete(own),
        (true, false) => ClaimStep::Tell(own),
    }
}

/// It names none: one that it has already is named, whatever made that be forgotten; otherwise a free one is taken.
fn unbound<'a, I: PartialEq>(claim: &ClaimView<I>, around: &ClaimSight<'a, I>) -> ClaimStep<'a, I> {
    // By what a process remembers, another one may have been told.
    if !around.looked {
        return ClaimStep::Look;
    }
    let first = |one: &&&PoolMember<I>| (!is_handed_over(one), one.made);
    let best = around.its.iter().min_by_key(first);
    // The others go back before one is named: who has named one of them before, and knows no better, would hand it over meanwhile.
    let mut taken = around.its.iter().filter(|one| !is_handed_over(one));
    let other = taken.find(|one| best.is_some_and(|best| best.uid != one.uid));
    if let Some(other) = other {
        return ClaimStep::GiveBack(other);
    }
    match best {
        Some(own) if own.deleting => ClaimStep::Wait,
        Some(own) => ClaimStep::Bind(own),
        None if claim.rejected >= MOST => ClaimStep::Failed,
        // Said of one that was looked for alone: a status that is lost forgets an agent that runs.
        None if around.late => ClaimStep::TooLate,
        None => around.free.map_or(ClaimStep::Wait, ClaimStep::Take),
    }
}

/// Whether an instance that a claim has taken goes back to its pool. `claim`: its, read live after the instance; `None`: there is
/// none of that UID.
pub fn is_free_again<I: PartialEq>(member: &PoolMember<I>, claim: Option<&ClaimView<I>>) -> bool {
    let wanted = claim.is_some_and(|claim| {
        let named = claim.names.as_ref();
        !claim.over && named.is_none_or(|named| *named == member.uid)
    });
    member.hold.is_some() && !is_handed_over(member) && !wanted
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
