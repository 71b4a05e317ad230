//! What shows that less is remembered than was, and what only looks like it.

use super::*;
use crate::api::acknowledge::{ACKNOWLEDGE_ANNOTATION, occurrence};
use crate::api::condition::{conclude, kind};
use crate::api::{IDENTITY_ANNOTATION, Part, ProviderAccount, Seen};
use crate::engine::account::heard;
use crate::engine::sweep::Reader;
use crate::model::tool::{Resource, Stage};
use crate::model::values::Seal;
use crate::model::{Home, Marker};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use serde_json::{Value, json};
use std::sync::Arc;

const LIMITS: Limits = Limits {
    request: SignedDuration::from_secs(60),
    settle: SignedDuration::from_secs(30),
};

/// The newest record is of this second, and what it made is older than this.
const NEWEST: i64 = 1_000;
const LANDED: i64 = NEWEST + 90;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn us() -> InstallationId {
    InstallationId("4098d72c4a21".into())
}

fn tool() -> Slot {
    Slot::tool("llm", Part::Main).unwrap()
}

fn mark(uid: &str, slot: Slot) -> Marker {
    Marker {
        installation: us(),
        namespace: "team-a".into(),
        name: format!("agent-{uid}"),
        uid: uid.into(),
        slot,
    }
}

fn read<T>(with: impl FnOnce(Reader<'_>) -> T) -> T {
    let (installation, seal) = (us(), Seal("one".into()));
    with(Reader {
        installation: &installation,
        seal: &seal,
    })
}

fn bearing(uid: &str, marker: Marker, made: i64) -> Item {
    let home = Home::bare(
        &format!("p-{uid}"),
        &marker.outside_name(),
        Some(marker),
        at(made),
    );
    read(|reader| Item::of_home(&home, reader))
}

fn project(uid: &str, made: i64) -> Item {
    bearing(uid, mark(uid, Slot::Project), made)
}

fn resource(provider: &str, uid: &str, made: i64, stage: Stage) -> Item {
    let resource = Resource {
        part: Part::Main,
        id: format!("k-{uid}"),
        name: mark(uid, tool()).tool_name(&Seal("one".into()), at(made)),
        address: None,
        stage,
        settings: None,
        usage: None,
        created: Some(at(made)),
        monthly_usd: crate::api::money::Money::ZERO,
    };
    read(|reader| Item::of_resource(provider, &resource, reader))
}

/// One that states its identity, with these entries in its ledger: slot, key, id, and of when.
fn agent(
    uid: &str,
    identity: Option<&str>,
    entries: &[(&str, &str, Option<&str>, i64)],
) -> AgentInstance {
    let external: Vec<Value> = entries
        .iter()
        .map(|(slot, key, id, second)| {
            json!({"slot": slot, "provider": "railway", "account": "main", "origin": "Made", "state": "Creating",
                "key": key, "id": id, "attempt": 1, "startedAt": MicroTime(at(*second))})
        })
        .collect();
    let annotations = identity.map_or_else(
        || json!({}),
        |identity| json!({IDENTITY_ANNOTATION: identity}),
    );
    serde_json::from_value(json!({
        "metadata": {"namespace": "team-a", "name": format!("agent-{uid}"), "uid": uid, "annotations": annotations,
            "finalizers": [FINALIZER]},
        "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": "main"}},
        "status": {"external": external},
    }))
    .unwrap()
}

/// One whose ledger knows its project.
fn knowing(uid: &str, second: i64) -> AgentInstance {
    let (key, id) = (mark(uid, Slot::Project).outside_name(), format!("p-{uid}"));
    agent(uid, Some(uid), &[("project", &key, Some(&id), second)])
}

fn forgetful(uid: &str) -> AgentInstance {
    agent(uid, Some(uid), &[])
}

/// An account and who is there.
#[derive(Clone, Default)]
struct Account {
    items: Vec<Item>,
    agents: Vec<AgentInstance>,
    left: BTreeSet<String>,
    unread: bool,
    memory: RecallMemory,
    told: Option<RecoveryAnswer>,
}

impl Account {
    fn of(items: Vec<Item>, agents: Vec<AgentInstance>) -> Account {
        Account {
            items,
            agents,
            ..Account::default()
        }
    }

    fn judge(&mut self, second: i64) -> Judgement {
        let agents = self.agents.iter().cloned().map(Arc::new).map(Seen::Read);
        let mut claims = Claims {
            left_behind: self.left.clone(),
            ..Claims::of(agents)
        };
        claims.unread = self.unread;
        let mut bearers = Bearers::default();
        for one in &self.agents {
            bearers.add(&us(), one, [tool()]);
        }
        let recall = Recall {
            begun: at(second),
            items: &self.items,
            claims: &claims,
            bearers: &bearers,
            newest: newest(
                &self.agents,
                "main",
                self.told.unwrap_or(RecoveryAnswer::Nothing),
            ),
            limits: LIMITS,
            told: self.told.unwrap_or(RecoveryAnswer::Nothing),
            now: at(second + 1),
        };
        recall.judge(&mut self.memory)
    }

    /// What it comes to once it is clear.
    fn standing(&mut self, second: i64) -> Remembrance {
        let first = self.judge(second);
        let clear_at = first.clear_at;
        first.standing.unwrap_or_else(|| {
            assert_eq!(clear_at, Some(at(second + 31)));
            self.judge(second + 31).standing.unwrap()
        })
    }

    fn cause(&mut self) -> Option<&'static str> {
        match self.standing(5_000) {
            Remembrance::Lapsed(lapse) => Some(lapse.cause.reason()),
            Remembrance::Remembers => None,
            Remembrance::Acknowledged => Some(reason::RECOVERY_ACKNOWLEDGED),
        }
    }
}

#[test]
fn most_of_what_is_ours_in_no_ledger_is_a_loss_of_ledgers_and_a_few_are_not() {
    for (known, unknown, lost) in [
        (0, 5, false),
        (0, 6, true),
        (5, 6, true),
        (6, 6, false),
        (100, 60, false),
        (50, 60, true),
    ] {
        let uids: Vec<String> = (0..known + unknown).map(|n| format!("u{n}")).collect();
        let items = uids.iter().map(|uid| project(uid, 0)).collect();
        let agents = uids.iter().enumerate().map(|(n, uid)| match n < known {
            true => knowing(uid, NEWEST),
            false => forgetful(uid),
        });
        let mut account = Account::of(items, agents.collect());
        let expected = lost.then_some(reason::LEDGERS_LOST);
        assert_eq!(
            account.cause(),
            expected,
            "{known} known, {unknown} unknown"
        );
    }
}

#[test]
fn what_has_another_explanation_is_no_loss_of_ledgers() {
    let uids: Vec<String> = (0..8).map(|n| format!("u{n}")).collect();
    let items: Vec<Item> = uids.iter().map(|uid| project(uid, 0)).collect();
    let lost = Account::of(items, uids.iter().map(|uid| forgetful(uid)).collect());
    assert_eq!(lost.clone().cause(), Some(reason::LEDGERS_LOST));

    let mut intended = lost.clone();
    intended.agents = uids
        .iter()
        .map(|uid| {
            let key = mark(uid, Slot::Project).outside_name();
            agent(uid, Some(uid), &[("project", &key, None, NEWEST)])
        })
        .collect();
    assert_eq!(intended.cause(), None, "being made just now");

    let mut left = lost.clone();
    left.left = uids.iter().map(|uid| format!("p-{uid}")).collect();
    assert_eq!(left.cause(), None, "left behind on purpose");

    // Whether they go on is asked by a condition of its own.
    let mut restored = lost.clone();
    for (one, uid) in restored.agents.iter_mut().zip(&uids) {
        one.metadata.uid = Some(format!("new-{uid}"));
    }
    assert_eq!(restored.cause(), None, "restored under other UIDs");
    let mut tools = restored.clone();
    tools.items = uids
        .iter()
        .map(|uid| resource("openrouter", uid, 0, Stage::Ready))
        .collect();
    assert_eq!(tools.cause(), None, "tools of those");

    let mut let_go = lost.clone();
    for uid in &uids {
        let mut last = knowing(uid, NEWEST);
        last.metadata.finalizers = None;
        let_go.memory.parted(&last, at(4_000));
    }
    let_go.agents.clear();
    assert_eq!(let_go.cause(), None, "let go of by hand");

    let mut others = lost.clone();
    others.items = uids
        .iter()
        .map(|uid| {
            let other = Marker {
                installation: InstallationId("4098d72c4a22".into()),
                ..mark(uid, Slot::Project)
            };
            bearing(uid, other, 0)
        })
        .collect();
    assert_eq!(others.cause(), None, "another installation's");
}

#[test]
fn what_is_nobodys_and_younger_than_every_record_shows_that_time_went_back() {
    let account = |item: Item| Account::of(vec![project("a", 0), item], vec![knowing("a", NEWEST)]);
    let went_back = Some(reason::TIME_WENT_BACK);
    for (made, cause) in [(NEWEST, None), (LANDED, None), (LANDED + 1, went_back)] {
        assert_eq!(account(project("b", made)).cause(), cause, "made at {made}");
        let key = resource("openrouter", "b", made, Stage::Ready);
        assert_eq!(account(key).cause(), cause, "a key made at {made}");
    }
    let young = || account(project("b", LANDED + 1));
    let with = |agent: AgentInstance| {
        let mut account = young();
        account.agents.push(agent);
        account.cause()
    };
    let key = mark("b", Slot::Project).outside_name();
    let intends = agent("b", Some("b"), &[("project", &key, None, 0)]);
    assert_eq!(with(intends), None, "it is being made");
    assert_eq!(
        with(forgetful("b")),
        None,
        "its instance lives, and lost its ledger"
    );
    assert_eq!(
        with(agent("b", None, &[])),
        None,
        "an instance of its name states no identity yet"
    );
    assert_eq!(
        with(agent("b", Some("x"), &[])),
        None,
        "one of its name waits for a word"
    );
    let mut another = agent("b", Some("c"), &[]);
    another.metadata.uid = Some("c".into());
    assert_eq!(
        with(another),
        went_back,
        "one of its name is another for certain"
    );

    let mut left = young();
    left.left = BTreeSet::from(["p-b".to_owned()]);
    assert_eq!(left.cause(), None, "left behind on purpose");
    let mut going = young();
    let mut last = knowing("b", LANDED);
    last.metadata.deletion_timestamp = Some(Time(at(LANDED)));
    going.memory.parted(&last, at(4_900));
    assert_eq!(
        going.cause(),
        None,
        "its instance was being deleted when it went"
    );
    let mut vanished = young();
    vanished.memory.parted(&knowing("b", LANDED), at(4_900));
    assert_eq!(
        vanished.cause(),
        went_back,
        "its instance went without a word"
    );
    let mut nothing = young();
    nothing.agents.clear();
    assert_eq!(nothing.cause(), None, "there is no record to compare with");

    let mut tools = account(resource("openrouter", "b", LANDED + 1, Stage::Ready));
    tools.agents.push(knowing("b", 0));
    assert_eq!(
        tools.cause(),
        None,
        "a key of one that lives, from an attempt that landed late"
    );
    let mut unread = account(resource("openrouter", "b", LANDED + 1, Stage::Ready));
    unread.unread = true;
    assert_eq!(unread.cause(), None, "it may be one's that cannot be read");
    let wallet = resource("bankr", "b", LANDED + 1, Stage::Resting);
    assert_eq!(account(wallet).cause(), None, "a wallet at rest");
}

#[test]
fn what_was_taken_back_a_moment_ago_may_be_shown_a_while_longer() {
    let mut account = Account::of(
        vec![project("a", 0), project("b", LANDED + 1)],
        vec![knowing("a", NEWEST)],
    );
    for second in [5_000, 5_010, 5_030] {
        let judgement = account.judge(second);
        assert_eq!(judgement.standing, None);
        assert_eq!(judgement.clear_at, Some(at(5_031)));
    }
    let mut gone = account.clone();
    gone.items.truncate(1);
    let judgement = gone.judge(5_031);
    assert_eq!(judgement.standing, Some(Remembrance::Remembers));
    assert!(matches!(
        account.judge(5_031).standing,
        Some(Remembrance::Lapsed(_))
    ));
    // What is an orphan for another reason says nothing, and is said nothing of.
    account.items[1] = project("b", NEWEST);
    let judgement = account.judge(5_100);
    assert_eq!(
        (judgement.standing, judgement.clear_at),
        (Some(Remembrance::Remembers), None)
    );
}

#[test]
fn an_acknowledgement_is_of_what_there_was_and_lasts_while_something_of_it_is_left() {
    let mut account = Account::of(
        vec![project("a", 0), project("b", LANDED + 1)],
        vec![knowing("a", NEWEST)],
    );
    assert_eq!(account.cause(), Some(reason::TIME_WENT_BACK));
    let since = at(5_040);
    account.told = Some(RecoveryAnswer::Acknowledged { since });
    assert_eq!(account.standing(5_060), Remembrance::Acknowledged);
    // Records come and go; what was acknowledged stays so.
    account.agents.push(knowing("c", 5_050));
    assert_eq!(account.standing(5_100), Remembrance::Acknowledged);
    account.agents.pop();
    assert_eq!(account.standing(5_150), Remembrance::Acknowledged);
    // The next loss is another occurrence.
    account.items.push(project("d", 5_040 + 91));
    let Remembrance::Lapsed(lapse) = account.standing(5_200) else {
        panic!("it is covered by the word before");
    };
    assert_eq!(lapse.beyond, Some(since));
    assert!(matches!(&lapse.cause, Cause::TimeWentBack { thing, .. } if thing == "project p-d"));
    account.items.truncate(1);
    assert_eq!(account.standing(5_300), Remembrance::Remembers);
}

#[test]
fn ledgers_that_are_lost_once_more_need_another_word() {
    let uids: Vec<String> = (0..7).map(|n| format!("u{n}")).collect();
    let mut items: Vec<Item> = uids.iter().map(|uid| project(uid, 0)).collect();
    // Of the time before: it stays orphaned.
    items.push(project("orphan", 0));
    let lost: Vec<AgentInstance> = uids.iter().map(|uid| forgetful(uid)).collect();
    let found = uids.iter().map(|uid| knowing(uid, 5_050)).collect();
    let mut account = Account::of(items, lost.clone());
    assert_eq!(account.cause(), Some(reason::LEDGERS_LOST));
    account.told = Some(RecoveryAnswer::Acknowledged { since: at(5_040) });
    assert_eq!(account.standing(5_045), Remembrance::Acknowledged);
    account.agents = found;
    assert_eq!(account.standing(5_060), Remembrance::Acknowledged);
    account.agents = lost;
    let Remembrance::Lapsed(lapse) = account.standing(5_100) else {
        panic!("it is covered by the word before");
    };
    assert_eq!(lapse.beyond, Some(at(5_040)));
    assert_eq!(
        lapse.cause,
        Cause::LedgersLost {
            unknown: 8,
            ours: 8
        }
    );
}

#[test]
fn where_all_that_is_ours_stands_in_ledgers_nothing_more_is_asked() {
    let items = [project("a", 0), project("b", 0)];
    let strange = Item {
        bears: Provenance::Likeness,
        ..project("c", 0)
    };
    let (a, b) = (knowing("a", 0), knowing("b", 0));
    assert!(all_recorded(&items, [&a, &b]));
    assert!(all_recorded(&[items[0].clone(), strange], [&a]));
    assert!(!all_recorded(&items, [&a]));
    let nothing = RecoveryAnswer::Nothing;
    assert_eq!(newest([&a, &knowing("b", 7)], "main", nothing), Some(at(7)));
    // What is begun while it is told, or only planned, does not end it.
    let open = RecoveryAnswer::Open { since: at(6) };
    assert_eq!(
        newest([&knowing("a", 5), &knowing("b", 7)], "main", open),
        Some(at(5))
    );
    let mut planned = knowing("b", 7);
    planned.status.as_mut().unwrap().external[0].state = SlotState::Planned;
    assert_eq!(newest([&planned], "main", nothing), None);
    assert_eq!(newest([&a], "other", nothing), None);
}

fn telling(conditions: &[Condition], word: &str) -> ProviderAccount {
    serde_json::from_value(json!({
        "metadata": {"name": "main", "annotations": {ACKNOWLEDGE_ANNOTATION: word}}, "spec": {},
        "status": {"conditions": conditions},
    }))
    .unwrap()
}

#[test]
fn it_is_told_until_its_owner_answers_and_the_answer_outlives_the_annotation() {
    let lapse = Lapse {
        cause: Cause::LedgersLost {
            unknown: 7,
            ours: 9,
        },
        beyond: None,
    };
    let lapsed = Remembrance::Lapsed(lapse.clone());
    let says = |standing: Option<&Remembrance>, account: &ProviderAccount, second: i64| {
        let said: Vec<_> = condition(standing, account, at(second))
            .into_iter()
            .collect();
        let before = account.status.as_ref().unwrap().conditions.clone();
        let after = conclude(&before, &said, None, at(second));
        let events: Vec<_> = heard(&before, &after)
            .iter()
            .map(|one| one.reason)
            .collect();
        (after, events)
    };
    let (said, events) = says(Some(&lapsed), &telling(&[], ""), 100);
    assert_eq!(events, [reason::LEDGERS_LOST]);
    assert_eq!(said[0].type_, kind::RECOVERY_MODE);
    let word = occurrence(reason::LEDGERS_LOST, at(100));
    assert!(said[0].message.starts_with("7 of 9 ") && said[0].message.contains(&word));
    let open = telling(&said, "");
    assert!(holds(Some(&lapsed), told(&open)));
    assert_eq!(says(Some(&lapsed), &open, 150), (said.clone(), vec![]));
    // A restart knows nothing, and what was told stands.
    assert!(holds(None, told(&open)));
    assert_eq!(says(None, &open, 150), (said.clone(), vec![]));
    let other = occurrence(reason::LEDGERS_LOST, at(99));
    assert!(holds(Some(&lapsed), told(&telling(&said, &other))));

    let answered = telling(&said, &word);
    assert!(!holds(Some(&lapsed), told(&answered)) && !holds(None, told(&answered)));
    for standing in [Some(&lapsed), None, Some(&Remembrance::Acknowledged)] {
        let (after, events) = says(standing, &answered, 200);
        assert_eq!(events, [""; 0]);
        assert_eq!(
            (after[0].status.as_str(), after[0].reason.as_str()),
            ("False", reason::RECOVERY_ACKNOWLEDGED)
        );
        assert_eq!(after[0].last_transition_time.0, at(100));
        let written_over = telling(&after, "");
        assert!(!holds(standing, told(&written_over)));
        assert_eq!(says(standing, &written_over, 300), (after, vec![]));
    }
    let (acknowledged, _) = says(None, &answered, 200);
    let acknowledged = telling(&acknowledged, "");
    assert!(
        says(Some(&Remembrance::Remembers), &acknowledged, 300)
            .0
            .is_empty()
    );
    // The next one is told anew, and the old word does not open it.
    let next = Remembrance::Lapsed(Lapse {
        beyond: Some(at(100)),
        ..lapse
    });
    assert!(holds(Some(&next), told(&acknowledged)));
    let (said, events) = says(Some(&next), &acknowledged, 400);
    assert_eq!(events, [reason::LEDGERS_LOST]);
    assert!(holds(Some(&next), told(&telling(&said, &word))));
    let word = occurrence(reason::LEDGERS_LOST, at(400));
    assert!(!holds(Some(&next), told(&telling(&said, &word))));
}
