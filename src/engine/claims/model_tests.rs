//! The protocol, explored: two leaders that know of each other nothing and see everything late, claims that are deleted and made
//! anew, statuses that are lost, instances deleted by hand, crashes, lost answers and requests that land late. The API server
//! refuses a write whose resourceVersion is old, and an agent keeps the first claim of which it hears.
//!
//! Holds: every state that is reachable within the sizes below is looked at. Each guard is taken away once, and the model is shown
//! to find what then goes wrong.

use super::{
    ClaimHold, ClaimSight, ClaimStep, ClaimView, NamedInstance, PoolMember, is_free_again, next,
};
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::collections::BTreeSet;

type Uid = u8;

/// A guard that is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    None,
    TakeAnyVersion,
    BindAnyVersion,
    HandOverAnyVersion,
    GiveBackAnyVersion,
    GiveBackWhatIsHandedOver,
    NoLook,
    SecondBeforeGone,
    AnyClaimOfThatName,
    ForgetfulAgent,
}

/// How much of each disturbance there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Budget {
    crashes: u8,
    lost_answers: u8,
    late: u8,
    lost_statuses: u8,
    remade: u8,
    by_hand: u8,
    given_up: u8,
    snapshots: u8,
}

#[derive(Clone, Debug)]
struct Protocol {
    claims: usize,
    members: usize,
    leaders: usize,
    budget: Budget,
    /// As often an object may have been written.
    versions: u8,
    mutant: Mutant,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ApiClaim {
    version: u8,
    claim: ClaimView<Uid>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ApiMember {
    version: u8,
    member: PoolMember<Uid>,
}

type Objects = (Vec<Option<ApiClaim>>, Vec<Option<ApiMember>>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Agent {
    /// The claim that it keeps.
    keeps: Option<Uid>,
    /// Every claim whose data was sent to it.
    heard: Vec<Uid>,
    /// Every claim that it took.
    took: Vec<Uid>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Leader {
    claims: Vec<Option<ApiClaim>>,
    members: Vec<Option<ApiMember>>,
    /// Of which version of a claim its instances were asked for, live.
    looked: Vec<Option<(Uid, u8)>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Explored {
    api: Objects,
    snapshot: Option<Objects>,
    agents: Vec<Agent>,
    leaders: Vec<Leader>,
    flights: Vec<(usize, Uid)>,
    next_uid: Uid,
    budget: Budget,
    /// A claim's data went to a second agent while the first was there.
    twice: bool,
    /// The API server was set back: only agents remember.
    set_back: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    AnswerLost,
    Late,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    SeeClaim(usize, usize),
    SeeMember(usize, usize),
    Step {
        leader: usize,
        claim: usize,
        fate: Fate,
        given_up: bool,
        /// Which of the free members seems best.
        pick: usize,
    },
    Free(usize, usize),
    Crash(usize),
    Land(usize),
    Cancel(usize),
    Remake(usize),
    LoseStatus(usize),
    DeleteByHand(usize),
    Collect(usize),
    Finish(usize),
    Snapshot,
    SetBack,
}

impl Protocol {
    fn write<T>(
        &self,
        own: Option<u8>,
        live: Option<u8>,
        any: bool,
        change: impl FnOnce() -> T,
    ) -> Option<T> {
        let live = live?;
        (any || own == Some(live)).then(change)
    }

    fn send(&self, world: &mut Explored, member: usize, claim: Uid) -> bool {
        if world.api.1[member].is_none() {
            return false;
        }
        let elsewhere = (0..self.members).any(|other| {
            other != member
                && world.api.1[other].is_some()
                && world.agents[other].heard.contains(&claim)
        });
        world.twice |= elsewhere;
        let agent = &mut world.agents[member];
        if !agent.heard.contains(&claim) {
            agent.heard.push(claim);
            agent.heard.sort_unstable();
        }
        if self.mutant == Mutant::ForgetfulAgent {
            agent.keeps = Some(claim);
        }
        let takes = *agent.keeps.get_or_insert(claim) == claim;
        if takes && !agent.took.contains(&claim) {
            agent.took.push(claim);
            agent.took.sort_unstable();
        }
        takes
    }

    fn step(
        &self,
        world: &mut Explored,
        (l, c): (usize, usize),
        fate: Fate,
        given_up: bool,
        pick: usize,
    ) -> Option<()> {
        let leader = &world.leaders[l];
        let seen = leader.claims[c].clone()?;
        let uid = seen.claim.uid;
        let gone =
            |one: &&ApiMember| self.mutant == Mutant::SecondBeforeGone && one.member.deleting;
        let views = leader.members.iter().flatten().filter(|one| !gone(one));
        let views: Vec<PoolMember<Uid>> = views.map(|one| one.member.clone()).collect();
        let its: Vec<&PoolMember<Uid>> = views
            .iter()
            .filter(|one| {
                one.hold.as_ref().is_some_and(|hold| {
                    hold.claim == uid || self.mutant == Mutant::AnyClaimOfThatName
                })
            })
            .collect();
        let frees = views
            .iter()
            .filter(|one| one.hold.is_none() && !one.deleting);
        let free = frees.clone().nth(pick);
        if pick > 0 && free.is_none() {
            return None;
        }
        let looked = leader.looked[c] == Some((uid, seen.version)) || self.mutant == Mutant::NoLook;
        let named = match seen.claim.names {
            None => NamedInstance::Unknown,
            Some(own) => match views.iter().find(|one| one.uid == own) {
                _ if leader.looked[c] != Some((uid, seen.version)) => NamedInstance::Unknown,
                None => NamedInstance::Gone,
                Some(_) => NamedInstance::NotIts,
            },
        };
        let around = ClaimSight {
            its: &its,
            named,
            looked,
            free,
            given_up,
            late: false,
            paused: false,
        };
        let claim = seen.claim.clone();
        let step = next(&claim, &around);
        if pick > 0 && !matches!(step, ClaimStep::Take(_)) {
            return None;
        }
        let version_of =
            |leader: &Leader, m: usize| leader.members[m].as_ref().map(|one| one.version);
        let (took, lost) = (fate != Fate::Late, fate == Fate::AnswerLost);
        let member_write =
            |world: &mut Explored, m: usize, any: bool, change: &dyn Fn(&mut PoolMember<Uid>)| {
                let own = version_of(&world.leaders[l], m);
                let live = world.api.1[m].as_ref().map(|one| one.version);
                let done = self.write(own, live, any, || ()).is_some();
                if done {
                    let object = world.api.1[m].as_mut()?;
                    object.version += 1;
                    change(&mut object.member);
                }
                // Whoever is refused reads it; an answer tells what it now is; one that is lost tells nothing, and is looked for.
                if done && lost {
                    world.leaders[l].looked[c] = None;
                } else {
                    world.leaders[l].members[m] = world.api.1[m].clone();
                }
                Some(())
            };
        let claim_write =
            |world: &mut Explored, any: bool, change: &dyn Fn(&mut ClaimView<Uid>)| {
                let live = world.api.0[c]
                    .as_ref()
                    .filter(|one| one.claim.uid == uid)
                    .map(|one| one.version);
                let done = self.write(Some(seen.version), live, any, || ()).is_some();
                if done {
                    let object = world.api.0[c].as_mut()?;
                    object.version += 1;
                    change(&mut object.claim);
                }
                if !(done && lost) {
                    let before = world.leaders[l].looked[c];
                    world.leaders[l].claims[c] = world.api.0[c].clone();
                    // By its own write it knows that nobody else's came between.
                    if done && before == Some((uid, seen.version)) {
                        world.leaders[l].looked[c] = Some((uid, seen.version + 1));
                    }
                }
                Some(())
            };
        let at = |member: &PoolMember<Uid>| usize::from(member.uid);
        match step {
            ClaimStep::Look if took && !lost => {
                let live = world.api.1.clone();
                world.leaders[l].members = live;
                world.leaders[l].looked[c] = Some((uid, seen.version));
                Some(())
            }
            ClaimStep::Take(member) if took => {
                let m = at(member);
                let any = self.mutant == Mutant::TakeAnyVersion;
                member_write(world, m, any, &|one| {
                    one.hold = Some(ClaimHold {
                        claim: uid,
                        handed_over: false,
                    });
                })
            }
            ClaimStep::Bind(member) if took => {
                let own = member.uid;
                claim_write(world, self.mutant == Mutant::BindAnyVersion, &|claim| {
                    claim.names = Some(own)
                })
            }
            ClaimStep::GiveBack(member) if took => {
                let any = self.mutant == Mutant::GiveBackAnyVersion;
                member_write(world, at(member), any, &|one| one.hold = None)
            }
            ClaimStep::HandOver(member) if took => {
                let any = self.mutant == Mutant::HandOverAnyVersion;
                member_write(world, at(member), any, &|one| {
                    one.hold = Some(ClaimHold {
                        claim: uid,
                        handed_over: true,
                    });
                })
            }
            ClaimStep::Tell(member) => {
                let m = at(member);
                if fate == Fate::Late {
                    world.flights.push((m, uid));
                    world.flights.sort_unstable();
                    return Some(());
                }
                let accepted = self.send(world, m, uid);
                if accepted && !lost {
                    claim_write(world, false, &|claim| claim.ready = true)?;
                }
                Some(())
            }
            ClaimStep::Delete(member) if took => {
                member_write(world, at(member), false, &|one| one.deleting = true)
            }
            ClaimStep::Reject(_) if took => claim_write(world, false, &|claim| {
                claim.names = None;
                claim.rejected += 1;
            }),
            _ => None,
        }
    }

    /// A leader takes a claim that has no use for it out of an instance, by a live look at the claim.
    fn free(&self, world: &mut Explored, l: usize, m: usize) -> Option<()> {
        let seen = world.leaders[l].members[m].clone()?;
        let hold = seen.member.hold.clone()?;
        let live = world
            .api
            .0
            .iter()
            .flatten()
            .find(|one| one.claim.uid == hold.claim);
        let free = match self.mutant {
            Mutant::GiveBackWhatIsHandedOver => {
                live.is_none_or(|one| one.claim.names != Some(seen.member.uid))
            }
            _ => is_free_again(&seen.member, live.map(|one| &one.claim)),
        };
        let object = world.api.1[m].as_mut()?;
        let any = self.mutant == Mutant::GiveBackAnyVersion;
        if free && (any || object.version == seen.version) {
            object.version += 1;
            object.member.hold = None;
            world.leaders[l].members[m] = Some(object.clone());
            return Some(());
        }
        None
    }
}

impl Model for Protocol {
    type State = Explored;
    type Action = Action;

    fn init_states(&self) -> Vec<Explored> {
        let claims: Vec<Option<ApiClaim>> = (0..self.claims)
            .map(|c| {
                let uid = 100 + u8::try_from(c).unwrap_or_default();
                Some(ApiClaim {
                    version: 1,
                    claim: ClaimView {
                        uid,
                        names: None,
                        rejected: 0,
                        ready: false,
                        over: false,
                    },
                })
            })
            .collect();
        let members: Vec<Option<ApiMember>> = (0..self.members)
            .map(|m| {
                let uid = u8::try_from(m).unwrap_or_default();
                Some(ApiMember {
                    version: 1,
                    member: PoolMember {
                        uid,
                        made: i64::from(uid),
                        hold: None,
                        deleting: false,
                    },
                })
            })
            .collect();
        let leader = Leader {
            claims: claims.clone(),
            members: members.clone(),
            looked: claims
                .iter()
                .flatten()
                .map(|one| Some((one.claim.uid, 1)))
                .collect(),
        };
        vec![Explored {
            snapshot: None,
            agents: vec![Agent::default(); self.members],
            leaders: vec![leader; self.leaders],
            flights: Vec::new(),
            next_uid: 200,
            budget: self.budget,
            twice: false,
            set_back: false,
            api: (claims, members),
        }]
    }

    fn actions(&self, world: &Explored, actions: &mut Vec<Action>) {
        let left = world.budget;
        for l in 0..self.leaders {
            for c in 0..self.claims {
                if world.leaders[l].claims[c] != world.api.0[c] {
                    actions.push(Action::SeeClaim(l, c));
                }
                for fate in [Fate::Done, Fate::AnswerLost, Fate::Late] {
                    let may = match fate {
                        Fate::Done => true,
                        Fate::AnswerLost => left.lost_answers > 0,
                        Fate::Late => left.late > 0,
                    };
                    for pick in (0..self.members).filter(|_| may) {
                        actions.push(Action::Step {
                            leader: l,
                            claim: c,
                            fate,
                            given_up: false,
                            pick,
                        });
                    }
                }
                if left.given_up > 0 {
                    actions.push(Action::Step {
                        leader: l,
                        claim: c,
                        fate: Fate::Done,
                        given_up: true,
                        pick: 0,
                    });
                }
            }
            for m in 0..self.members {
                if world.leaders[l].members[m] != world.api.1[m] {
                    actions.push(Action::SeeMember(l, m));
                }
                actions.push(Action::Free(l, m));
            }
            if left.crashes > 0 {
                actions.push(Action::Crash(l));
            }
        }
        for flight in 0..world.flights.len() {
            actions.push(Action::Land(flight));
        }
        for c in 0..self.claims {
            if left.remade > 0 {
                actions.push(match &world.api.0[c] {
                    None => Action::Remake(c),
                    Some(_) => Action::Cancel(c),
                });
            }
            if left.lost_statuses > 0 && world.api.0[c].is_some() {
                actions.push(Action::LoseStatus(c));
            }
        }
        for m in 0..self.members {
            if left.by_hand > 0 {
                actions.push(Action::DeleteByHand(m));
            }
            actions.push(Action::Collect(m));
            actions.push(Action::Finish(m));
        }
        if left.snapshots > 0 {
            actions.push(Action::Snapshot);
        }
        if world.snapshot.is_some() {
            actions.push(Action::SetBack);
        }
    }

    fn next_state(&self, last: &Explored, action: Action) -> Option<Explored> {
        let mut world = last.clone();
        match action {
            Action::SeeClaim(l, c) => {
                let object = world.api.0[c].clone();
                // It sees it being created, and nobody has written to it since.
                if let Some(new) = object.as_ref().filter(|one| one.version == 1) {
                    world.leaders[l].looked[c] = Some((new.claim.uid, 1));
                }
                world.leaders[l].claims[c] = object;
            }
            Action::SeeMember(l, m) => world.leaders[l].members[m] = world.api.1[m].clone(),
            Action::Step {
                leader,
                claim,
                fate,
                given_up,
                pick,
            } => {
                match fate {
                    Fate::Done => {}
                    Fate::AnswerLost => world.budget.lost_answers -= 1,
                    Fate::Late => world.budget.late -= 1,
                }
                if given_up {
                    world.budget.given_up -= 1;
                }
                self.step(&mut world, (leader, claim), fate, given_up, pick)?;
            }
            Action::Free(l, m) => self.free(&mut world, l, m)?,
            Action::Crash(l) => {
                world.budget.crashes -= 1;
                let own = &mut world.leaders[l];
                (own.claims, own.members) = world.api.clone();
                own.looked = vec![None; self.claims];
            }
            Action::Land(flight) => {
                let (m, uid) = world.flights.remove(flight);
                self.send(&mut world, m, uid);
            }
            Action::Cancel(c) => {
                let object = world.api.0[c].as_mut()?;
                match object.claim.over {
                    // Being deleted first, gone then.
                    false => {
                        object.version += 1;
                        object.claim.over = true;
                    }
                    true => world.api.0[c] = None,
                }
            }
            Action::Remake(c) => {
                world.budget.remade -= 1;
                let uid = world.next_uid;
                world.next_uid += 1;
                world.api.0[c] = Some(ApiClaim {
                    version: 1,
                    claim: ClaimView {
                        uid,
                        names: None,
                        rejected: 0,
                        ready: false,
                        over: false,
                    },
                });
            }
            Action::LoseStatus(c) => {
                world.budget.lost_statuses -= 1;
                let object = world.api.0[c].as_mut()?;
                object.version += 1;
                object.claim.names = None;
                object.claim.rejected = 0;
                object.claim.ready = false;
            }
            Action::DeleteByHand(m) => {
                world.budget.by_hand -= 1;
                let object = world.api.1[m].as_mut().filter(|one| !one.member.deleting)?;
                object.version += 1;
                object.member.deleting = true;
            }
            Action::Collect(m) => {
                // What was handed over goes with its owner.
                let claims = world.api.0.clone();
                let object = world.api.1[m].as_mut().filter(|one| !one.member.deleting)?;
                let hold = object.member.hold.clone().filter(|hold| hold.handed_over)?;
                if claims
                    .iter()
                    .flatten()
                    .any(|one| one.claim.uid == hold.claim)
                {
                    return None;
                }
                object.version += 1;
                object.member.deleting = true;
            }
            Action::Finish(m) => {
                world.api.1[m].as_ref().filter(|one| one.member.deleting)?;
                world.api.1[m] = None;
            }
            Action::Snapshot => {
                world.budget.snapshots -= 1;
                world.snapshot = Some(world.api.clone());
            }
            Action::SetBack => {
                world.api = world.snapshot.take()?;
                world.set_back = true;
                for leader in &mut world.leaders {
                    (leader.claims, leader.members) = world.api.clone();
                    leader.looked = vec![None; self.claims];
                }
            }
        }
        (world != *last).then_some(world)
    }

    fn within_boundary(&self, world: &Explored) -> bool {
        let claims = world.api.0.iter().flatten().map(|one| one.version);
        let members = world.api.1.iter().flatten().map(|one| one.version);
        claims
            .chain(members)
            .all(|version| version <= self.versions)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no agent hears of two claims", |_, world: &Explored| {
                world.set_back || world.agents.iter().all(|agent| agent.heard.len() <= 1)
            }),
            Property::always(
                "no claim is told to two agents that are there",
                |_, world: &Explored| world.set_back || !world.twice,
            ),
            Property::always("what was told is not idle", |_, world: &Explored| {
                world
                    .api
                    .1
                    .iter()
                    .zip(&world.agents)
                    .all(|(object, agent)| {
                        let idle = object
                            .as_ref()
                            .is_some_and(|one| one.member.hold.is_none() && !one.member.deleting);
                        world.set_back || !idle || agent.heard.is_empty()
                    })
            }),
            Property::always("no agent is two claims'", |_, world: &Explored| {
                world.agents.iter().all(|agent| agent.took.len() <= 1)
            }),
            Property::sometimes("every claim is served", |_, world: &Explored| {
                world.api.0.iter().flatten().all(|one| one.claim.ready)
            }),
        ]
    }
}

/// Two leaders and two members.
fn sized(claims: usize, versions: u8, budget: Budget, mutant: Mutant) -> Protocol {
    Protocol {
        claims,
        members: 2,
        leaders: 2,
        budget,
        versions,
        mutant,
    }
}

/// Everything that is reachable is looked at. Answers how many states that is, and what was found.
fn explore(protocol: Protocol) -> (usize, BTreeSet<&'static str>) {
    let checker = protocol
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let found = checker.discoveries().into_keys().collect();
    (checker.unique_state_count(), found)
}

const SERVED: &str = "every claim is served";

#[test]
fn in_no_reachable_state_is_an_agent_two_claims_or_a_claim_two_agents() {
    let none = Budget::default();
    let all = [
        ("nothing but two of each", 2, 3, none, 1),
        (
            "a crash and a lost answer",
            1,
            4,
            Budget {
                crashes: 1,
                lost_answers: 1,
                ..none
            },
            1,
        ),
        (
            "a lost status",
            1,
            4,
            Budget {
                lost_statuses: 1,
                lost_answers: 1,
                ..none
            },
            1,
        ),
        (
            "a late request, and an agent that is given up",
            1,
            4,
            Budget {
                late: 1,
                given_up: 1,
                ..none
            },
            1,
        ),
        (
            "an instance deleted by hand",
            1,
            4,
            Budget {
                by_hand: 1,
                late: 1,
                ..none
            },
            1,
        ),
        (
            "a claim deleted and made anew",
            1,
            3,
            Budget {
                remade: 1,
                late: 1,
                ..none
            },
            1,
        ),
        (
            "an API server set back",
            1,
            4,
            Budget {
                snapshots: 1,
                ..none
            },
            1,
        ),
        (
            "two of each, a crash and a lost answer",
            2,
            4,
            Budget {
                crashes: 1,
                lost_answers: 1,
                ..none
            },
            100,
        ),
    ];
    for (what, claims, versions, budget, times) in all {
        if world::cases::times() < times {
            continue;
        }
        let (states, found) = explore(sized(claims, versions, budget, Mutant::None));
        println!("{what}: {states} states");
        assert_eq!(found, BTreeSet::from([SERVED]), "{what}");
    }
}

#[test]
fn without_any_one_guard_something_goes_wrong() {
    let none = Budget::default();
    let remade = Budget { remade: 1, ..none };
    let lost = Budget {
        lost_statuses: 1,
        lost_answers: 1,
        ..none
    };
    let given_up = Budget {
        late: 1,
        given_up: 1,
        ..none
    };
    let set_back = Budget {
        snapshots: 1,
        ..none
    };
    for (mutant, claims, leaders, budget) in [
        (Mutant::TakeAnyVersion, 2, 2, none),
        (Mutant::BindAnyVersion, 1, 2, none),
        (Mutant::HandOverAnyVersion, 1, 2, lost),
        (Mutant::GiveBackAnyVersion, 1, 2, lost),
        (Mutant::GiveBackWhatIsHandedOver, 1, 2, remade),
        (Mutant::NoLook, 1, 2, lost),
        (Mutant::SecondBeforeGone, 1, 2, given_up),
        (Mutant::AnyClaimOfThatName, 2, 2, none),
        (Mutant::ForgetfulAgent, 2, 1, set_back),
    ] {
        let (states, mut found) = explore(Protocol {
            leaders,
            ..sized(claims, 6, budget, mutant)
        });
        println!("{mutant:?}: {found:?} after {states} states");
        found.remove(SERVED);
        assert!(!found.is_empty(), "{mutant:?} changes nothing");
    }
}
