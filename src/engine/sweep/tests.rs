//! The sweep against thousands of random accounts, each thing in them known to be ours, claimed, or somebody else's.

use super::*;
use crate::api::SlotState;
use crate::api::text::Span;
use crate::api::{AgentInstance, LedgerEntry, NamespacedName, Part, Seen, Slot};
use crate::model::Marker;
use crate::model::marker::named;
use crate::model::slot::Undo;
use crate::model::slot::row;
use crate::model::tool::{Resource, Stage};
use crate::model::values::Seal;
use crate::model::{Home, InstallationId};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use serde_json::json;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

const INSTALLATION: &str = "4098d72c4a21";
const ACCOUNT: &str = "main";
const SETTLE: SignedDuration = SignedDuration::from_secs(30);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn seal() -> Seal {
    Seal("one".into())
}

fn marker(installation: &str, uid: &str, slot: Slot) -> Marker {
    Marker {
        installation: InstallationId(installation.to_owned()),
        namespace: "team-a".to_owned(),
        name: format!("agent-{uid}"),
        uid: uid.to_owned(),
        slot,
    }
}

fn read<T>(with: impl FnOnce(Reader<'_>) -> T) -> T {
    let (installation, seal) = (InstallationId(INSTALLATION.to_owned()), seal());
    with(Reader {
        installation: &installation,
        seal: &seal,
    })
}

fn home(id: &str, name: String, description: &str, created: Timestamp) -> Item {
    let home = Home::bare(id, &name, Marker::parse(description), created);
    read(|reader| Item::of_home(&home, reader))
}

fn resource(id: &str, provider: &str, name: String, created: Option<Timestamp>) -> Item {
    let resource = Resource {
        part: Part::Main,
        id: id.to_owned(),
        name,
        address: None,
        stage: Stage::Ready,
        settings: None,
        usage: None,
        created,
        monthly_usd: crate::api::money::Money::cents(250),
    };
    read(|reader| Item::of_resource(provider, &resource, reader))
}

fn tool() -> Slot {
    Slot::tool("llm", Part::Main).unwrap()
}

/// What a thing in the account really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Orphan,
    ClaimedByUid,
    ClaimedById,
    ClaimedByKey,
    LeftBehindByUid,
    LeftBehindByName,
    Money,
    Restored,
    Stranger,
    OtherInstallation,
    Edited,
    Renamed,
    Partial,
    OtherSeal,
    OtherSlot,
}

const TRUTHS: [Truth; 15] = [
    Truth::Orphan,
    Truth::ClaimedByUid,
    Truth::ClaimedById,
    Truth::ClaimedByKey,
    Truth::LeftBehindByUid,
    Truth::LeftBehindByName,
    Truth::Money,
    Truth::Restored,
    Truth::Stranger,
    Truth::OtherInstallation,
    Truth::Edited,
    Truth::Renamed,
    Truth::Partial,
    Truth::OtherSeal,
    Truth::OtherSlot,
];

#[derive(Clone, Debug)]
struct Thing {
    truth: Truth,
    /// Whether it is a project, else a tool's resource.
    project: bool,
    created: i64,
    /// Where a marker is edited, and by which letter.
    edit: (usize, char),
    /// Readings in which it is not shown.
    hidden: Vec<usize>,
}

fn thing(truths: &'static [Truth]) -> impl Strategy<Value = Thing> {
    (
        prop::sample::select(truths),
        any::<bool>(),
        -20_000i64..6_000,
        (
            0usize..200,
            prop::sample::select(vec!['a', 'z', '0', '=', ' ']),
        ),
        prop::collection::vec(0usize..20, 0..3),
    )
        .prop_map(|(truth, project, created, edit, hidden)| Thing {
            truth,
            project,
            created,
            edit,
            hidden,
        })
}

impl Thing {
    /// The thing as a reading shows it, and what claims it.
    fn build(&self, number: usize, claims: &mut Claims) -> Item {
        let (id, uid) = (format!("id-{number}"), format!("uid-{number}"));
        let own = marker(INSTALLATION, &uid, Slot::Project);
        let name = own.outside_name();
        let born = at(self.created);
        let key = marker(INSTALLATION, &uid, tool()).tool_name(&seal(), born);
        let made = |item_name: String, description: &str, tool_name: String| {
            if self.project {
                home(&id, item_name, description, born)
            } else {
                // Some providers tell when a thing was made, some do not.
                let told = number.is_multiple_of(2).then_some(born);
                resource(&id, "openrouter", tool_name, told)
            }
        };
        let ours = || made(name.clone(), &own.to_string(), key.clone());
        let edited = |text: &str| {
            let mut letters: Vec<char> = text.chars().collect();
            let place = self.edit.0 % letters.len();
            if letters[place] == self.edit.1 {
                letters.remove(place);
            } else {
                letters[place] = self.edit.1;
            }
            letters.into_iter().collect::<String>()
        };
        match self.truth {
            Truth::Orphan => ours(),
            Truth::ClaimedByUid if self.project => {
                claims.owners.insert(Instance {
                    named: own.object(),
                    uid: uid.clone(),
                });
                ours()
            }
            Truth::ClaimedByUid | Truth::ClaimedByKey => {
                claims.keys.insert(ours().name);
                ours()
            }
            Truth::ClaimedById => {
                claims.ids.insert(id.clone());
                ours()
            }
            Truth::LeftBehindByUid if self.project => {
                claims
                    .left_behind
                    .insert(named(&uid, &own.namespace, &own.name));
                ours()
            }
            Truth::LeftBehindByUid | Truth::LeftBehindByName => {
                claims.left_behind.insert(ours().name);
                ours()
            }
            Truth::Money => resource(&id, "bankr", key.clone(), Some(born)),
            Truth::Restored => {
                let item = home(&id, name.clone(), &own.to_string(), born);
                claims.waiting.insert(own.object());
                item
            }
            Truth::Stranger => made("a-blog".to_owned(), "my blog", "prod key".to_owned()),
            Truth::OtherInstallation => {
                let other = marker("4098d72c4a22", &uid, Slot::Project);
                let other_key = marker("4098d72c4a22", &uid, tool()).tool_name(&seal(), born);
                made(other.outside_name(), &other.to_string(), other_key)
            }
            Truth::Edited => {
                // The words that the name is not made of say nothing about whose it is: the UID and the installation do.
                let text = own.to_string();
                let changed = edited(&text);
                let still = Marker::parse(&changed)
                    .is_some_and(|one| one.uid == own.uid && one.installation == own.installation);
                let changed = if still {
                    text.replace(&uid, &format!("{uid}1"))
                } else {
                    changed
                };
                let other_key = edited(&key);
                made(name.clone(), &changed, other_key)
            }
            Truth::Renamed => made(
                format!("{name}-old"),
                &own.to_string(),
                format!("{key} (old)"),
            ),
            Truth::Partial => made(
                name.clone(),
                "yardmaster installation=4098d72c4a21",
                key[..key.len() - 1 - self.edit.0 % 20].to_owned(),
            ),
            Truth::OtherSeal => {
                let forged =
                    marker(INSTALLATION, &uid, tool()).tool_name(&Seal("two".into()), born);
                resource(&id, "openrouter", forged, Some(born))
            }
            Truth::OtherSlot => {
                let other = marker(INSTALLATION, &uid, Slot::Service);
                home(&id, other.outside_name(), &other.to_string(), born)
            }
        }
    }
}

/// One visit to the account.
#[derive(Clone, Copy, Debug)]
enum Visit {
    Good,
    Failed,
    Empty,
    Short,
    LedgersUnread,
    Restart,
}

fn visit() -> impl Strategy<Value = Visit> {
    prop_oneof![
        12 => Just(Visit::Good),
        1 => Just(Visit::Failed),
        1 => Just(Visit::Empty),
        1 => Just(Visit::Short),
        1 => Just(Visit::LedgersUnread),
        1 => Just(Visit::Restart),
    ]
}

fn spec(mode: SweepMode, grace: i64, most: i32) -> Sweep {
    Sweep {
        mode,
        grace_period: Span::from(format!("{grace}s").as_str()),
        max_deletions_per_hour: most,
    }
}

/// What one walk over an account has shown.
#[derive(Default)]
struct Walk {
    decisions: usize,
    deleted: Vec<usize>,
}

struct Account<'a> {
    things: &'a [Thing],
    visits: &'a [(Visit, i64)],
    sweep: Sweep,
    ledgers_say: usize,
}

/// Walks an account from visit to visit, deletes what is due, and checks every decision against what is known here.
fn walk(account: &Account<'_>) -> Result<Walk, TestCaseError> {
    let mut claims = Claims::default();
    let all: Vec<Item> = account
        .things
        .iter()
        .enumerate()
        .map(|(number, thing)| thing.build(number, &mut claims))
        .collect();
    if account.ledgers_say > 0 {
        claims.exist.insert(ACCOUNT.to_owned(), account.ledgers_say);
    }
    let grace = Duration::try_from(grace(&account.sweep)).unwrap().as_secs();
    let grace = i64::try_from(grace).unwrap();
    let mut gone = BTreeSet::new();
    let mut memory = Memory::default();
    let mut walk = Walk::default();
    let mut tried: Vec<i64> = Vec::new();
    // Our own book: the believable readings since the last restart, each with what it showed.
    let mut shown: Vec<(i64, BTreeSet<usize>)> = Vec::new();
    let mut largest = 0;
    let mut now = 0;
    for (turn, (visit, pause)) in account.visits.iter().enumerate() {
        now += pause;
        if matches!(visit, Visit::Restart) {
            memory = Memory::default();
            shown.clear();
            largest = 0;
            tried.clear();
        }
        let mut seen: Vec<usize> = (0..all.len())
            .filter(|number| !gone.contains(number))
            .filter(|number| !account.things[*number].hidden.contains(&turn))
            .collect();
        match visit {
            Visit::Empty => seen.clear(),
            Visit::Short => seen.truncate(seen.len() / 3),
            _ => {}
        }
        let items: Vec<Item> = seen.iter().map(|number| all[*number].clone()).collect();
        let view = View {
            account: ACCOUNT,
            provider: "any",
            reading: (!matches!(visit, Visit::Failed)).then_some((at(now), items.as_slice())),
            claims: (!matches!(visit, Visit::LedgersUnread)).then_some(&claims),
            restored: false,
            acknowledged: true,
            paused: false,
            recovering: false,
            sweep: &account.sweep,
            settle: SETTLE,
            now: at(now),
        };
        let swept = sweep(&view, &mut memory);
        walk.decisions += 1;
        let readable = !matches!(visit, Visit::Failed | Visit::LedgersUnread);
        let shrunk = items.len() * 2 < largest;
        let empty = items.is_empty() && (largest > 0 || account.ledgers_say > 0);
        if readable && !shrunk && !empty {
            shown.push((now, seen.iter().copied().collect()));
            largest = items.len();
        } else if readable && swept.report.is_some() {
            // So small for so long that it counts as the truth: all waiting begins anew.
            prop_assert!(!(items.is_empty() && account.ledgers_say > 0));
            shown = vec![(now, seen.iter().copied().collect())];
            largest = items.len();
        }
        let Some(due) = swept.due else { continue };
        let number = seen[due];
        let thing = &account.things[number];
        prop_assert_eq!(account.sweep.mode, SweepMode::Delete);
        prop_assert!(readable && !shrunk && !empty, "{:?}", visit);
        prop_assert_eq!(thing.truth, Truth::Orphan, "{:?}", thing);
        let unbroken: Vec<i64> = shown
            .iter()
            .rev()
            .take_while(|(_, numbers)| numbers.contains(&number))
            .map(|(when, _)| *when)
            .collect();
        let waited = now - unbroken.last().copied().unwrap_or(now);
        prop_assert!(unbroken.len() >= 2 && waited >= grace, "waited {}", waited);
        if thing.project || number.is_multiple_of(2) {
            prop_assert!(now - thing.created >= grace, "made at {}", thing.created);
        }
        let recent = tried.iter().filter(|when| now - **when < 3600).count();
        let most = usize::try_from(account.sweep.max_deletions_per_hour).unwrap();
        prop_assert!(recent < most, "{} in an hour", recent);
        tried.push(now);
        memory.taken_back(&all[number].id, at(now));
        largest = largest.saturating_sub(1);
        gone.insert(number);
        walk.deleted.push(number);
    }
    Ok(walk)
}

fn seeded(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Config::default()
    }
}

#[test]
fn in_ten_thousand_decisions_only_ripe_orphans_are_chosen() {
    let mut runner = proptest::test_runner::TestRunner::new(seeded(600));
    let (decisions, deleted) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let counted = (Rc::clone(&decisions), Rc::clone(&deleted));
    let worlds = (
        prop::collection::vec(thing(&TRUTHS), 1..24),
        prop::collection::vec((visit(), 1i64..1200), 20),
        prop_oneof![1 => Just(SweepMode::Report), 9 => Just(SweepMode::Delete)],
        prop_oneof![Just(0i64), Just(1), Just(600), Just(3600)],
        1i32..4,
        prop_oneof![Just(0usize), Just(3)],
    );
    runner
        .run(
            &worlds,
            move |(things, visits, mode, grace, most, ledgers_say)| {
                let walked = walk(&Account {
                    things: &things,
                    visits: &visits,
                    sweep: spec(mode, grace, most),
                    ledgers_say,
                })?;
                counted.0.set(counted.0.get() + walked.decisions);
                counted.1.set(counted.1.get() + walked.deleted.len());
                Ok(())
            },
        )
        .unwrap();
    println!("{} decisions, {} deletions", decisions.get(), deleted.get());
    assert!(decisions.get() >= 10_000, "{}", decisions.get());
    assert!(
        deleted.get() >= 300,
        "the test sees no sweep: {}",
        deleted.get()
    );
}

proptest! {
    #![proptest_config(seeded(100))]

    /// Where nothing goes wrong every orphan goes, and nothing else.
    #[test]
    fn in_a_good_world_every_orphan_goes(mut things in prop::collection::vec(thing(&TRUTHS), 1..20)) {
        for thing in &mut things {
            thing.hidden.clear();
        }
        // One that is waited for because of a restored instance does not keep the others.
        let visits = vec![(Visit::Good, 600); 60];
        let orphans = things.iter().filter(|thing| thing.truth == Truth::Orphan).count();
        // So that what goes does not look like a listing that shrank at once.
        let walked = walk(&Account { things: &things, visits: &visits, sweep: spec(SweepMode::Delete, 3600, 1000), ledgers_say: 0 })?;
        prop_assert_eq!(walked.deleted.len(), orphans);
    }
}

fn orphans(count: usize) -> Vec<Item> {
    (0..count)
        .map(|number| {
            let own = marker(INSTALLATION, &format!("uid-{number}"), Slot::Project);
            home(
                &format!("id-{number}"),
                own.outside_name(),
                &own.to_string(),
                at(-9000 - i64::try_from(number).unwrap()),
            )
        })
        .collect()
}

fn decide(items: &[Item], claims: &Claims, now: i64, restored: bool, memory: &mut Memory) -> Swept {
    let wants = spec(SweepMode::Delete, 60, 2);
    let view = View {
        account: ACCOUNT,
        provider: "railway",
        reading: Some((at(now), items)),
        claims: Some(claims),
        restored,
        acknowledged: true,
        paused: false,
        recovering: false,
        sweep: &wants,
        settle: SETTLE,
        now: at(now),
    };
    sweep(&view, memory)
}

#[test]
fn where_much_is_nobodys_none_goes_until_a_person_says_so() {
    let wants = spec(SweepMode::Delete, 60, 9);
    let decide = |orphaned: usize, acknowledged: bool| {
        let (items, claims, mut memory) = (orphans(orphaned), Claims::default(), Memory::default());
        let mut last = Swept::default();
        for now in [0, 60] {
            let view = View {
                account: ACCOUNT,
                provider: "railway",
                reading: Some((at(now), &items)),
                claims: Some(&claims),
                restored: false,
                acknowledged,
                paused: false,
                recovering: false,
                sweep: &wants,
                settle: SETTLE,
                now: at(now),
            };
            last = sweep(&view, &mut memory);
        }
        (last.due.is_some(), last.held_back)
    };
    assert_eq!(decide(5, false), (true, None));
    assert_eq!(decide(6, false), (false, Some(HeldBack::TooMany)));
    // Told as long as it lasts: the acknowledgement is of this occurrence.
    assert_eq!(decide(6, true), (true, Some(HeldBack::TooMany)));
}

#[test]
fn a_paused_account_is_told_of_and_nothing_is_taken_back() {
    let (items, claims) = (orphans(2), Claims::default());
    let (wants, mut memory) = (spec(SweepMode::Delete, 60, 2), Memory::default());
    let mut at_second = |now: i64, paused: bool| {
        let view = View {
            account: ACCOUNT,
            provider: "railway",
            reading: Some((at(now), &items)),
            claims: Some(&claims),
            restored: false,
            acknowledged: true,
            paused,
            recovering: false,
            sweep: &wants,
            settle: SETTLE,
            now: at(now),
        };
        sweep(&view, &mut memory)
    };
    at_second(0, true);
    let held = at_second(60, true);
    assert_eq!((held.due, held.held_back), (None, Some(HeldBack::Paused)));
    assert_eq!(held.report.unwrap().orphans, 2);
    let after = at_second(61, false);
    assert_eq!((after.due, after.held_back), (Some(1), None));
}

#[test]
fn where_less_is_remembered_than_was_nothing_is_taken_back() {
    let wants = spec(SweepMode::Delete, 60, 9);
    for (count, acknowledged, held_back) in [
        (1, false, HeldBack::Recovery),
        // Which occurrence was acknowledged is not forgotten over it.
        (6, false, HeldBack::TooMany),
        (6, true, HeldBack::TooMany),
    ] {
        let (items, claims, mut memory) = (orphans(count), Claims::default(), Memory::default());
        let mut last = Swept::default();
        for now in [0, 60] {
            let view = View {
                account: ACCOUNT,
                provider: "railway",
                reading: Some((at(now), &items)),
                claims: Some(&claims),
                restored: false,
                acknowledged,
                paused: false,
                recovering: true,
                sweep: &wants,
                settle: SETTLE,
                now: at(now),
            };
            last = sweep(&view, &mut memory);
        }
        assert_eq!(
            (last.due, last.held_back),
            (None, Some(held_back)),
            "{count}"
        );
    }
}

#[test]
fn the_oldest_goes_first_and_no_more_than_the_hour_allows() {
    let (items, claims) = (orphans(3), Claims::default());
    let mut memory = Memory::default();
    assert_eq!(decide(&items, &claims, 0, false, &mut memory).due, None);
    let ripe = decide(&items, &claims, 60, false, &mut memory);
    assert_eq!(ripe.due, Some(2));
    let report = ripe.report.unwrap();
    assert_eq!(
        (report.orphans, report.foreign, report.left_behind),
        (3, 0, 0)
    );
    assert_eq!(report.oldest[0].id, "id-2");
    memory.deletions = vec![at(60), at(61)];
    let capped = decide(&items, &claims, 100, false, &mut memory);
    assert_eq!(capped.due, None);
    assert_eq!(capped.held_back, Some(HeldBack::HourlyLimit));
    assert_eq!(
        decide(&items, &claims, 3661, false, &mut memory).due,
        Some(2)
    );
}

#[test]
fn a_restored_cluster_keeps_the_sweep_from_everything() {
    let (items, mut claims) = (orphans(2), Claims::default());
    let mut memory = Memory::default();
    claims.waiting.insert(NamespacedName {
        namespace: "team-a".into(),
        name: "agent-uid-0".into(),
    });
    assert!(claims.restored(&items[0]) && !claims.restored(&items[1]));
    decide(&items, &claims, 0, true, &mut memory);
    let swept = decide(&items, &claims, 600, true, &mut memory);
    assert_eq!(swept.due, None);
    assert_eq!(swept.held_back, Some(HeldBack::Restored));
    // Known to have been left behind, it says nothing about a restoration.
    claims
        .left_behind
        .insert(named("uid-0", "team-a", "agent-uid-0"));
    assert!(!claims.restored(&items[0]));
}

#[test]
fn what_bears_the_name_of_one_that_states_no_identity_yet_is_left_alone() {
    let named_as = |number: usize, annotations: serde_json::Value| -> Seen<AgentInstance> {
        let object = json!({
            "metadata": {"namespace": "team-a", "name": format!("agent-uid-{number}"), "uid": "anew", "annotations": annotations},
            "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": ACCOUNT}},
        });
        Seen::Read(Arc::new(serde_json::from_value(object).unwrap()))
    };
    let items = orphans(1);
    for (stated, number, due) in [
        // Its account has not been compared with it yet: it may go on as what it was.
        (json!({}), 0, None),
        // It has another identity for certain.
        (json!({"yardmaster.dev/identity": "anew"}), 0, Some(0)),
        (json!({}), 7, Some(0)),
    ] {
        let claims = Claims::of([named_as(number, stated.clone())]);
        let mut memory = Memory::default();
        decide(&items, &claims, 0, false, &mut memory);
        let swept = decide(&items, &claims, 600, false, &mut memory);
        assert_eq!(swept.due, due, "{stated} agent-uid-{number}");
    }
}

#[test]
fn a_listing_that_stays_small_becomes_the_truth_and_all_waiting_begins_anew() {
    let (all, claims) = (orphans(10), Claims::default());
    let mut memory = Memory::default();
    decide(&all, &claims, 0, false, &mut memory);
    let few = &all[..3];
    let first = decide(few, &claims, 700, false, &mut memory);
    // One listing that is short is told of nobody: mostly the next one is not.
    assert_eq!((first.report, first.held_back), (None, None));
    let second = decide(few, &claims, 1000, false, &mut memory);
    assert_eq!(second.due, None);
    assert_eq!(second.held_back, Some(HeldBack::ListingShrunk));
    let believed = decide(few, &claims, 1300, false, &mut memory);
    assert!(believed.report.is_some());
    assert_eq!((believed.due, believed.held_back), (None, None));
    assert_eq!(decide(few, &claims, 1360, false, &mut memory).due, Some(2));
}

#[test]
fn what_was_taken_back_and_is_shown_a_while_longer_is_no_shrinking() {
    let (all, claims) = (orphans(2), Claims::default());
    let mut memory = Memory::default();
    decide(&all, &claims, 0, false, &mut memory);
    for (gone, now) in [(0, 100), (1, 200)] {
        memory.taken_back(&all[gone].id, at(now));
        // Begun before, or by a provider whose listing lags.
        let stale = decide(&all[gone..], &claims, now + 1, false, &mut memory);
        assert!(stale.report.is_some());
        let told = decide(&all[gone + 1..], &claims, now + 2, false, &mut memory);
        assert_eq!(
            told.report.map(|report| report.orphans),
            Some(1 - i32::try_from(gone).unwrap())
        );
    }
}

/// A fleet of agents: their things, and what their ledgers claim.
fn fleet(count: usize) -> (Vec<Item>, Claims) {
    let items = orphans(count);
    let mut claims = Claims::default();
    for item in &items {
        claims.ids.insert(item.id.clone());
    }
    claims.exist.insert(ACCOUNT.to_owned(), count);
    (items, claims)
}

fn told(swept: &Swept) -> Option<i32> {
    swept.report.as_ref().map(|report| report.orphans)
}

#[test]
fn what_its_own_instance_took_back_is_neither_an_orphan_nor_a_shrinking() {
    for count in [1, 2, 30] {
        let (items, claims) = fleet(count);
        let mut memory = Memory::default();
        assert_eq!(
            told(&decide(&items, &claims, 0, false, &mut memory)),
            Some(0)
        );
        // All go at once: their ledgers say so, and the listing shows some of them for a while.
        let mut going = claims.clone();
        going.going.clone_from(&claims.ids);
        going.exist.clear();
        let half = decide(&items[count / 2..], &going, 10, false, &mut memory);
        assert_eq!(told(&half), Some(0), "{count}");
        let gone = Claims::default();
        let lags = decide(&items[count / 2..], &gone, 20, false, &mut memory);
        assert_eq!((told(&lags), lags.held_back), (Some(0), None), "{count}");
        let empty = decide(&[], &gone, 25, false, &mut memory);
        assert_eq!((told(&empty), empty.held_back), (Some(0), None), "{count}");
    }
}

#[test]
fn the_last_thing_of_an_account_is_told_no_more_when_it_went() {
    // Made and taken back between two readings: the ledger never said that it was going.
    let (items, claims) = fleet(1);
    let mut memory = Memory::default();
    decide(&items, &claims, 0, false, &mut memory);
    let gone = Claims::default();
    assert_eq!(told(&decide(&items, &gone, 1, false, &mut memory)), Some(0));
    assert_eq!(told(&decide(&[], &gone, 2, false, &mut memory)), Some(0));
}

#[test]
fn one_whose_finalizer_was_taken_off_by_force_is_an_orphan_all_the_same() {
    let (items, claims) = fleet(4);
    let mut memory = Memory::default();
    decide(&items, &claims, 0, false, &mut memory);
    let gone = Claims::default();
    let settle = SETTLE.as_secs();
    // It may be a reading from before.
    assert_eq!(told(&decide(&items, &gone, 1, false, &mut memory)), Some(0));
    let settled = decide(&items, &gone, 1 + settle, false, &mut memory);
    assert_eq!(told(&settled), Some(0));
    let later = decide(&items, &gone, 2 + settle, false, &mut memory);
    assert_eq!(told(&later), Some(4));
    assert_eq!(later.kinds, BTreeMap::from([("project".to_owned(), 4)]));
    // And waits for its grace period.
    assert_eq!(later.due, None);
    assert!(decide(&items, &gone, 120, false, &mut memory).due.is_some());
}

#[test]
fn a_listing_that_lacks_what_ledgers_know_is_a_shrinking_still() {
    let (items, claims) = fleet(10);
    let mut memory = Memory::default();
    decide(&items, &claims, 0, false, &mut memory);
    let short = decide(&items[..4], &claims, 10, false, &mut memory);
    assert_eq!((told(&short), short.held_back), (None, None));
    // The same reading says nothing new.
    let again = decide(&items[..4], &claims, 10, false, &mut memory);
    assert_eq!(again.held_back, None);
    let next = decide(&items[..4], &claims, 20, false, &mut memory);
    assert_eq!(next.held_back, Some(HeldBack::ListingShrunk));
    let empty = decide(&[], &claims, 30, false, &mut memory);
    assert_eq!((told(&empty), empty.held_back), (None, None));
    let next = decide(&[], &claims, 40, false, &mut memory);
    assert_eq!(next.held_back, Some(HeldBack::ListingEmpty));
}

#[test]
fn claims_are_every_id_name_and_uid_in_any_ledger() {
    let mut instance = AgentInstance::new(
        "ada",
        serde_json::from_value(json!({
            "templateRef": {"name": "t"}, "accountRef": {"name": ACCOUNT},
            "adopt": {"projectId": "p-adopted", "serviceId": "s", "environmentId": "e", "ownership": "Dedicated",
                "tools": [{"name": "llm", "id": "k-adopted"}]},
        }))
        .unwrap(),
    );
    instance.metadata.uid = Some("u".into());
    instance.metadata.namespace = Some("n".into());
    let entry = |slot, provider: &str, state, key: &str, id: Option<&str>| LedgerEntry {
        state,
        key: key.into(),
        id: id.map(str::to_owned),
        ..LedgerEntry::new(slot, provider, ACCOUNT.into(), MicroTime(at(0)))
    };
    assert_eq!(row("railway", Slot::Service).undo, Undo::WithProject);
    instance.status = Some(
        serde_json::from_value(json!({"external": [
            entry(Slot::Project, "railway", SlotState::Exists, "ym-p", Some("p")),
            entry(Slot::Service, "railway", SlotState::Exists, "ym-s", Some("s")),
            entry(tool(), "openrouter", SlotState::Creating, "ym-k", None),
            entry(Slot::tool("search", Part::Main).unwrap(), "exa", SlotState::Deleting, "ym-x", Some("x")),
        ]}))
        .unwrap(),
    );
    let claims = Claims::of([Seen::Read(Arc::new(instance))]);
    let owner = claims.owners.iter().next().unwrap();
    assert_eq!((owner.uid.as_str(), claims.owners.len()), ("u", 1));
    let ids = ["k-adopted", "p", "p-adopted", "s", "x"].map(str::to_owned);
    assert_eq!(claims.ids, BTreeSet::from(ids));
    let keys = ["ym-k", "ym-p", "ym-s", "ym-x"].map(str::to_owned);
    assert_eq!(claims.keys, BTreeSet::from(keys));
    assert_eq!(claims.exist, BTreeMap::from([(ACCOUNT.to_owned(), 1)]));
    assert_eq!(claims.going, BTreeSet::from(["x".to_owned()]));
}

/// A resource under a name that was given to a slot of an agent in one of its lives.
fn of_life(uid: &str, slot: Slot, life: i64) -> Item {
    let name = marker(INSTALLATION, uid, slot).tool_name(&seal(), at(life));
    Item {
        kind: "openrouter".to_owned(),
        id: format!("key-{life}"),
        name,
        bears: Provenance::Ours(None),
        created: Some(at(0)),
        monthly_usd: None,
        may_hold_money: false,
        resting: false,
    }
}

#[test]
fn a_ledger_that_was_lost_leaves_the_tools_of_a_living_agent_its_own() {
    let mut instance = AgentInstance::new(
        "agent-u",
        serde_json::from_value(
            json!({"templateRef": {"name": "t"}, "accountRef": {"name": ACCOUNT}}),
        )
        .unwrap(),
    );
    instance.metadata.uid = Some("u".into());
    instance.metadata.namespace = Some("team-a".into());
    let installation = InstallationId(INSTALLATION.to_owned());
    let of = |instance: &AgentInstance| {
        let mut claims = Claims::of([Seen::Read(Arc::new(instance.clone()))]);
        claims.expect(&installation, instance, [tool()]);
        claims
    };
    let claims = of(&instance);
    let search = Slot::tool("search", Part::Main).unwrap();
    for life in 0..3 {
        let own = of_life("u", tool(), life);
        assert_eq!(verdict(&own, &claims, at(0)), Verdict::Claimed);
        for other in [of_life("u", search, life), of_life("other", tool(), life)] {
            assert!(matches!(
                verdict(&other, &claims, at(0)),
                Verdict::Orphan { .. }
            ));
        }
    }
    // Where the ledger says what it has, nothing else is its own.
    instance.status = serde_json::from_value(json!({"external": [{"origin": "Made", "slot": "project", "provider": "railway", "account": ACCOUNT,
        "state": "Exists", "key": "ym-p", "id": "p", "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"}]}))
    .unwrap();
    let own = of_life("u", tool(), 0);
    assert!(matches!(
        verdict(&own, &of(&instance), at(0)),
        Verdict::Orphan { .. }
    ));
}

#[test]
fn what_was_left_behind_without_a_ledger_stays_under_each_name_that_it_had() {
    let claims = Claims {
        left_behind: BTreeSet::from([marker(INSTALLATION, "u", tool()).tool_stem()]),
        ..Claims::default()
    };
    for life in 0..3 {
        let own = of_life("u", tool(), life);
        assert_eq!(verdict(&own, &claims, at(0)), Verdict::LeftBehind);
        let other = of_life("other", tool(), life);
        assert!(matches!(
            verdict(&other, &claims, at(0)),
            Verdict::Orphan { .. }
        ));
    }
}

#[test]
fn what_an_unreadable_instance_mentions_is_its_own_and_no_tool_goes_meanwhile() {
    let instance = json!({
        "metadata": {"namespace": "team-a", "name": "agent-uid-0", "uid": "uid-0"},
        "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": ACCOUNT}, "operatingMode": "Hibernating"},
        "status": {"external": [{"slot": "project", "id": "p", "names": {"now": "ym-x"}}]},
    });
    let claims = Claims::of([serde_json::from_value(instance).unwrap()]);
    assert!(claims.unread);
    let owner = claims.owners.iter().next().unwrap();
    assert_eq!(
        (
            owner.uid.as_str(),
            owner.named.namespace.as_str(),
            owner.named.name.as_str()
        ),
        ("uid-0", "team-a", "agent-uid-0")
    );
    assert!(claims.ids.contains("p") && claims.keys.contains("ym-x"));
    // Its project names it; the other one is nobody's and goes.
    let items = orphans(2);
    assert_eq!(verdict(&items[0], &claims, at(0)), Verdict::Claimed);
    let mut memory = Memory::default();
    decide(&items, &claims, 0, false, &mut memory);
    assert_eq!(decide(&items, &claims, 60, false, &mut memory).due, Some(1));
    // A tool names nobody.
    let wants = spec(SweepMode::Delete, 60, 2);
    let mut memory = Memory::default();
    let mut tools = |now: i64| {
        let view = View {
            account: ACCOUNT,
            provider: "openrouter",
            reading: Some((at(now), &items)),
            claims: Some(&claims),
            restored: false,
            acknowledged: true,
            paused: false,
            recovering: false,
            sweep: &wants,
            now: at(now),
            settle: SETTLE,
        };
        sweep(&view, &mut memory)
    };
    tools(0);
    let swept = tools(60);
    assert_eq!(swept.due, None);
    assert!(
        swept
            .held_back
            .is_some_and(|why| why == HeldBack::Unreadable)
    );
}
