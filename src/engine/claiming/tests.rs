//! What a claim says, and what of that a later look reads.

use super::*;
use crate::api::AgentPool;
use crate::api::claim::ReleasePolicy;
use crate::api::instance::UpdatePolicy;
use crate::api::text::Span;
use crate::api::text::ToolName;
use serde_json::json;

fn now() -> Timestamp {
    "2026-11-02T10:00:00Z".parse().unwrap()
}

fn claim() -> AgentClaim {
    serde_json::from_value(json!({
        "metadata": {"name": "c", "namespace": "n", "uid": "u", "generation": 1, "creationTimestamp": "2026-11-02T09:59:00Z"},
        "spec": {"poolRef": {"name": "p"}, "agent": {"instructions": "x"}, "bindDeadline": "5m", "expiresAfter": "1h"},
    }))
    .unwrap()
}

fn after(claim: &AgentClaim, news: &ClaimNews) -> AgentClaim {
    let status = status(claim, news, &ClaimTerms::default(), now());
    AgentClaim {
        status: Some(status),
        ..claim.clone()
    }
}

fn bound() -> AgentClaim {
    let (name, uid) = ("i".to_owned(), "iu".to_owned());
    let instance = InstanceRef { name, uid };
    after(
        &claim(),
        &ClaimNews::Bound {
            instance,
            url: None,
        },
    )
}

#[test]
fn times_count_from_creation_and_from_the_binding() {
    let bound = bound();
    let status = bound.status.clone().unwrap();
    assert_eq!(
        status.bind_by.unwrap().0.to_string(),
        "2026-11-02T10:04:00Z"
    );
    assert_eq!(
        status.expires_at.unwrap().0.to_string(),
        "2026-11-02T11:00:00Z"
    );
    assert_eq!(
        give_up_at(&bound, now()).to_string(),
        "2026-11-02T10:01:15Z"
    );
}

fn pool(defaults: serde_json::Value, created: &str) -> AgentPool {
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "n", "creationTimestamp": created},
        "spec": {"templateRef": {"name": "t"}, "accountRefs": [{"name": "a"}], "claimDefaults": defaults},
    }))
    .unwrap()
}

#[test]
fn what_a_pool_says_becomes_a_claims_own_and_stays_so() {
    let defaults = json!({"bindDeadline": "10m", "provisionDeadline": "2m", "expiresAfter": "2h", "updatePolicy": "Automatic"});
    let early = "2026-11-02T08:00:00Z";
    let of = |defaults| ClaimTerms::of(Some(&pool(defaults, early)));
    let silent = claim_without_times();
    let bind = || ClaimNews::Bound {
        instance: InstanceRef {
            name: "i".to_owned(),
            uid: "iu".to_owned(),
        },
        url: None,
    };
    let with = |claim: &AgentClaim, news: &ClaimNews, terms: &ClaimTerms| {
        let status = status(claim, news, terms, now());
        AgentClaim {
            status: Some(status),
            ..claim.clone()
        }
    };
    let text = |time: Option<Time>| time.map(|time| time.0.to_string());
    // Without a pool there is none yet.
    let alone = with(&silent, &ClaimNews::NoPool, &ClaimTerms::default());
    assert_eq!(alone.status.as_ref().unwrap().bind_by, None);
    let waiting = with(&alone, &ClaimNews::NoAgent, &of(defaults.clone()));
    let by = |claim: &AgentClaim| text(claim.status.clone().unwrap().bind_by);
    assert_eq!(by(&waiting).as_deref(), Some("2026-11-02T10:09:00Z"));
    // The pool says something else by then, or nothing.
    let other = of(json!({"bindDeadline": "1m", "expiresAfter": "1m"}));
    assert!(!is_late(&waiting, &other, now()) && is_late(&silent, &other, now()));
    let bound = with(&waiting, &bind(), &of(defaults.clone()));
    let told = with(&bound, &ClaimNews::Told(ClaimAnswer::default()), &other);
    assert_eq!(by(&told), by(&waiting));
    let status = told.status.clone().unwrap();
    assert_eq!(
        text(status.expires_at).as_deref(),
        Some("2026-11-02T12:00:00Z")
    );
    assert_eq!(give_up_at(&told, now()).to_string(), "2026-11-02T10:02:00Z");
    assert_eq!(told.spec, silent.spec);

    // What a claim says itself is so, and what is to be kept has no end.
    let mut own = claim();
    own.spec.provision_deadline = Some("30s".into());
    own.spec.update_policy = Some(UpdatePolicy::Manual);
    let terms = of(defaults.clone());
    let own = with(&own, &bind(), &terms);
    let status = own.status.clone().unwrap();
    assert_eq!(by(&own).as_deref(), Some("2026-11-02T10:04:00Z"));
    assert_eq!(
        text(status.expires_at).as_deref(),
        Some("2026-11-02T11:00:00Z")
    );
    assert_eq!(give_up_at(&own, now()).to_string(), "2026-11-02T10:00:30Z");
    assert_eq!(terms.update_policy(&own), UpdatePolicy::Manual);
    assert_eq!(terms.update_policy(&silent), UpdatePolicy::Automatic);
    let none = ClaimTerms::default();
    assert_eq!(none.update_policy(&silent), UpdatePolicy::Manual);
    let mut kept = silent;
    kept.spec.release_policy = ReleasePolicy::Retain;
    let kept = with(&kept, &bind(), &terms);
    assert_eq!(kept.status.unwrap().expires_at, None);

    // Nobody has waited for a pool before it was there.
    let late = pool(defaults, "2026-11-02T09:59:30Z");
    let by = bind_by(&claim_without_times(), &ClaimTerms::of(Some(&late)));
    assert_eq!(by.unwrap().to_string(), "2026-11-02T10:09:30Z");
}

fn claim_without_times() -> AgentClaim {
    let mut claim = claim();
    (claim.spec.bind_deadline, claim.spec.expires_after) = (None, None);
    claim
}

#[test]
fn what_ended_a_claim_is_read_again() {
    let fresh = view(&claim());
    assert!(waits(&claim()) && !fresh.over && !fresh.ready && fresh.names.is_none());
    let named = view(&bound());
    assert!(!waits(&bound()) && named.names.as_deref() == Some("iu"));
    let told = after(&bound(), &ClaimNews::Told(ClaimAnswer::default()));
    assert!(view(&told).ready && !is_settled(&told));
    let pending = after(&bound(), &ClaimNews::Pending(ClaimAnswer::default()));
    assert!(view(&pending).ready && is_pending(&pending) && !is_pending(&told));
    // Its agent was ready once: it is not replaced.
    let lost = after(&told, &ClaimNews::Lost);
    assert!(view(&lost).ready && is_settled(&lost));
    assert!(is_settled(&after(
        &bound(),
        &ClaimNews::Refused("no".into())
    )));
    let expired = after(&told, &ClaimNews::Expired);
    assert!(view(&expired).over && has_expired(&expired));
    let late = after(&claim(), &ClaimNews::TooLate);
    assert!(view(&late).over && !waits(&late));
    let rejected = after(&bound(), &ClaimNews::Rejected);
    assert!(waits(&rejected) && view(&rejected).rejected == 1);
    assert!(!waits(&after(&rejected, &ClaimNews::Failed)));
}

#[test]
fn a_claim_that_has_lost_its_status_gives_its_agent_as_long_again_and_learns_where_that_is() {
    let long_ago = now() - jiff::SignedDuration::from_hours(9);
    let again = now() + jiff::SignedDuration::from_secs(75);
    assert_eq!(give_up_at(&bound(), long_ago), again);
    let url = Some("https://a.example".to_owned());
    let answer = |url: &Option<String>| ClaimAnswer {
        url: url.clone(),
        ..ClaimAnswer::default()
    };
    let told = after(&bound(), &ClaimNews::Told(answer(&url)));
    assert_eq!(told.status.as_ref().unwrap().url, url);
    let told = after(&told, &ClaimNews::Told(answer(&None)));
    assert_eq!(told.status.unwrap().url, url);
}

#[test]
fn a_claim_whose_agent_keeps_another_one_rests_until_a_person_has_deleted_that() {
    let agent = "i".to_owned();
    let another = after(&bound(), &ClaimNews::OfAnother { agent });
    assert!(is_of_another(&another) && is_settled(&another) && !is_untold(&another));
    // It has the agent's name still, and no time with it: at its end that one would be deleted.
    let hours = now() + jiff::SignedDuration::from_hours(9);
    assert!(expires(&bound(), hours) && !expires(&another, hours) && !has_time(&another));
    assert_eq!(view(&another).names, view(&bound()).names);
    let said = &another.status.as_ref().unwrap().conditions;
    let stalled = condition::find(said, kind::STALLED).unwrap();
    assert!(
        stalled.message.contains("kubectl delete agentinstance i "),
        "{}",
        stalled.message
    );
    let gone = after(&another, &ClaimNews::Rejected);
    assert!(!is_of_another(&gone) && waits(&gone));
}

#[test]
fn an_agent_is_given_up_only_after_this_process_has_heard_nothing_of_it() {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let given_up = |heard, now| is_given_up(heard, at(0), at(75), at(now));
    let (late, hours) = (76, 36_000);
    // Another leader may have told it: it is told, or asked, before it is given up, however late that is.
    assert!(!given_up(HeardOfAgent::Nothing, hours));
    // The answer may come in the last moment, and may have come while the API server was away.
    assert!(!given_up(HeardOfAgent::UnderWay, late) && !given_up(HeardOfAgent::Answer, hours));
    assert!(!given_up(HeardOfAgent::Silence, 74) && given_up(HeardOfAgent::Silence, 75));
    let unreached = |second, others| HeardOfAgent::Unreached {
        since: at(second),
        others,
    };
    assert!(given_up(unreached(1, true), 7) && !given_up(unreached(1, true), 6));
    // Whoever led before may have told it.
    assert!(!given_up(unreached(20, true), 74) && given_up(unreached(20, true), 75));
    // Nobody else is reached either: it may be our own network.
    assert!(!given_up(unreached(1, false), 74) && given_up(unreached(1, false), 75));
}

#[test]
fn where_no_agent_is_reached_none_is_taken_for_a_while() {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let mut all = Reachability::default();
    for (second, agent) in [(1, "a"), (2, "a"), (3, "a"), (4, "b")] {
        all.not_reached("n", agent, at(second));
    }
    assert_eq!(all.rests("n", at(5)), None, "two agents, one of them often");
    all.not_reached("n", "c", at(5));
    assert_eq!(all.rests("n", at(6)), Some(at(65)));
    for agent in ["a", "b", "c"] {
        all.not_reached("n", agent, at(60));
    }
    assert_eq!(all.rests("n", at(65)), None, "one more is tried");
    assert_eq!(all.rests("other", at(6)), None);
    assert!(!all.any_since(at(0)));
    all.reached(at(7));
    assert_eq!(all.rests("n", at(8)), None);
    assert!(all.any_since(at(6)) && !all.any_since(at(7)));
}

#[test]
fn a_claim_is_let_in_by_the_word_of_its_own_agent_alone() {
    let says = |kept, pending| AgentBinding::Says {
        claim: kept,
        conversation: None,
        pending,
        clean: false,
    };
    let let_in = |said| is_let_in(&claim(), &said);
    let own = || ClaimKept::Of("u".to_owned());
    assert!(let_in(says(own(), false)) && let_in(says(ClaimKept::Unsaid, false)));
    assert!(!let_in(says(own(), true)));
    assert!(!let_in(says(ClaimKept::Of("other".to_owned()), false)));
    assert!(!let_in(says(ClaimKept::Nothing, false)));
    let why = String::new();
    assert!(!let_in(AgentBinding::Unknown { why }));
}

#[test]
fn a_pause_is_said_and_forgets_nothing() {
    let paused = after(&bound(), &ClaimNews::Paused);
    assert_eq!(view(&paused), view(&bound()));
    let mut late = claim();
    late.spec.bind_deadline = Some("5s".into());
    assert!(
        is_late(&late, &ClaimTerms::default(), now()) && waits(&after(&late, &ClaimNews::Paused))
    );
    assert!(!is_late(&bound(), &ClaimTerms::default(), now()) && !expires(&bound(), now()));
    // One that had an agent which could not be told gets another one, however late it is.
    let rejected = after(&bound(), &ClaimNews::Rejected);
    let much_later = now() + jiff::SignedDuration::from_hours(9);
    assert!(waits(&rejected) && !is_late(&rejected, &ClaimTerms::default(), much_later));
    let then = "2026-11-02T11:00:00Z".parse().unwrap();
    assert!(expires(&bound(), then));
    assert!(!expires(&after(&bound(), &ClaimNews::Expired), then));
}

#[test]
fn a_claim_that_has_finished_is_deleted_where_it_says_so() {
    let mut claim = claim_without_times();
    let refused = ClaimNews::Refused("no".to_owned());
    let finished = [ClaimNews::Expired, ClaimNews::TooLate, ClaimNews::Failed];
    for news in &finished {
        assert_eq!(deleted_at(&after(&claim, news)), None, "{news:?}");
    }
    claim.spec.ttl_after_finished = Some("1h".into());
    for news in &finished {
        let at = deleted_at(&after(&claim, news)).unwrap();
        assert_eq!(at.to_string(), "2026-11-02T11:00:00Z", "{news:?}");
    }
    for news in [refused, ClaimNews::Lost, ClaimNews::NoAgent] {
        assert_eq!(deleted_at(&after(&claim, &news)), None, "{news:?}");
    }
    let mut goes = after(&claim, &ClaimNews::Expired);
    goes.metadata.deletion_timestamp = Some(Time(now()));
    assert_eq!(deleted_at(&goes), None);
}

#[test]
fn what_a_claim_says_later_counts_when_it_was_done() {
    let answer = || ClaimAnswer {
        told: Some("first".to_owned()),
        ..ClaimAnswer::default()
    };
    let told = after(&bound(), &ClaimNews::Told(answer()));
    assert!(!is_edited(&told));
    let mut edited = told.clone();
    edited.metadata.generation = Some(2);
    edited.spec.expires_after = Some(Span::from("3h"));
    assert!(is_edited(&edited) && view(&edited).ready);
    // The time that was told goes by what it says now, before anybody has written that.
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    assert_eq!(expires_at(&told), Some(at("2026-11-02T11:00:00Z")));
    assert_eq!(expires_at(&edited), Some(at("2026-11-02T13:00:00Z")));
    assert!(!expires(&edited, at("2026-11-02T12:00:00Z")));
    // Any other word of it leaves the generation as it is.
    let why = String::new();
    let said = status(
        &edited,
        &ClaimNews::Untold { why },
        &ClaimTerms::default(),
        now(),
    );
    assert_eq!(said.observed_generation, Some(1));
    let refused = None;
    let news = ClaimNews::Followed {
        told: Some("second".to_owned()),
        refused,
    };
    let followed = after(&edited, &news);
    let status = followed.status.clone().unwrap();
    assert!(!is_edited(&followed) && view(&followed).ready);
    assert_eq!(status.told.as_deref(), Some("second"));
    assert_eq!(status.expires_at.unwrap().0, at("2026-11-02T13:00:00Z"));
    let (what, why) = ("what the claim says by now", "it answered 503".to_owned());
    let unheard = after(&edited, &ClaimNews::Unheard { what, why });
    assert!(is_edited(&unheard) && view(&unheard).ready);
    let told = &unheard.status.as_ref().unwrap().conditions;
    let told = condition::find(told, kind::RECONCILING).unwrap();
    assert!(told.message.contains("503"), "{}", told.message);
    assert!(!is_unheard_in_vain(&unheard));
    let mut taken_back = unheard.clone();
    taken_back.metadata.generation = taken_back.status.as_ref().unwrap().observed_generation;
    assert!(is_unheard_in_vain(&taken_back));
    let heard = after(&unheard, &news);
    let told = &heard.status.as_ref().unwrap().conditions;
    assert!(condition::find(told, kind::RECONCILING).is_none());
    let tools = vec![];
    let given = after(&unheard, &ClaimNews::Given { tools });
    let told = &given.status.as_ref().unwrap().conditions;
    assert!(condition::find(told, kind::RECONCILING).is_none() && !is_unheard_in_vain(&given));
    let refused = Some("too long".to_owned());
    let told = Some("first".to_owned());
    let news = ClaimNews::Followed { told, refused };
    let refused = after(&edited, &news);
    assert!(view(&refused).ready && !is_settled(&refused) && !is_edited(&refused));
    let stalled = &refused.status.unwrap().conditions;
    let stalled = condition::find(stalled, kind::STALLED).unwrap();
    assert_eq!(stalled.reason, reason::UPDATE_REFUSED);
    assert!(stalled.message.contains("too long"));
}

#[test]
fn one_that_cannot_be_told_is_no_agents_fault() {
    let broken = || Broken {
        reason: reason::REFERENCE_NOT_FOUND,
        message: "variable KEY: Secret s does not exist".to_owned(),
    };
    let unsaid = after(&claim(), &ClaimNews::Unsaid(broken()));
    assert!(is_unsaid(&unsaid) && waits(&unsaid) && !is_settled(&unsaid));
    assert!(!is_unsaid(&after(&unsaid, &ClaimNews::NoAgent)));
    // One that has an agent keeps it.
    let bound = after(&bound(), &ClaimNews::Unsaid(broken()));
    assert!(view(&bound).names.is_some() && is_untold(&bound));
    let said = &bound.status.unwrap().conditions;
    assert!(condition::is_true(said, kind::BOUND));
}

#[test]
fn the_time_that_tools_take_is_not_the_agents() {
    let bound = bound();
    let waits = after(
        &bound,
        &ClaimNews::Unequipped {
            reason: reason::PENDING,
            message: "its tool llm".to_owned(),
            stalled: false,
        },
    );
    let said = |claim: &AgentClaim, kind: &str| {
        let status = claim.status.clone().unwrap();
        let found = condition::find(&status.conditions, kind).cloned();
        found.map(|one| (one.status, one.reason))
    };
    let yes = |reason: &str| Some(("True".to_owned(), reason.to_owned()));
    let no = |reason: &str| Some(("False".to_owned(), reason.to_owned()));
    assert_eq!(said(&waits, kind::BOUND), yes("Bound"));
    assert_eq!(said(&waits, kind::READY), no("Pending"));
    assert_eq!(said(&waits, kind::STALLED), None);
    assert!(!is_roomless(&waits) && !view(&waits).ready);
    let handed_over = now() - jiff::SignedDuration::from_mins(10);
    assert_eq!(told_from(&waits, handed_over), handed_over);
    let equipped = after(&waits, &ClaimNews::Equipped);
    assert_eq!(told_from(&equipped, handed_over), now());
    assert_eq!(
        give_up_at(&equipped, handed_over).to_string(),
        "2026-11-02T10:01:15Z"
    );
    // Another agent begins anew.
    let rejected = after(&equipped, &ClaimNews::Rejected);
    assert_eq!(told_from(&rejected, handed_over), handed_over);
}

#[test]
fn a_claim_without_room_stands_in_no_line_and_is_found_where_there_is_some() {
    let lack = |reason, person| RoomLack {
        reason,
        message: String::new(),
        person,
        again: None,
    };
    assert!(stands_in_line(&claim()) && !is_roomless(&claim()));
    for (reason, person) in [
        (reason::QUOTA_EXCEEDED, true),
        (reason::ACCOUNT_UNREACHABLE, false),
        (reason::PENDING, false),
        (reason::PAUSED, false),
        (reason::RETENTION_NOT_ALLOWED, true),
    ] {
        let without = after(&claim(), &ClaimNews::NoRoom(lack(reason, person)));
        assert!(is_roomless(&without) && !stands_in_line(&without));
        let status = without.status.clone().unwrap();
        let said = |kind: &str| condition::find(&status.conditions, kind).cloned();
        let bound = said(kind::BOUND).unwrap();
        assert_eq!(
            (bound.status.as_str(), bound.reason.as_str()),
            ("False", reason)
        );
        assert_eq!(said(kind::STALLED).is_some(), person);
        // It stands in the line again as soon as it waits for an agent.
        let again = after(&without, &ClaimNews::NoAgent);
        assert!(!is_roomless(&again) && stands_in_line(&again));
    }
}

#[test]
fn what_tools_give_is_kept_as_what_the_claim_says_is() {
    let tools = |names: &[&str]| -> Vec<ToldTool> {
        let told = |name: &&str| ToldTool {
            name: ToolName((*name).to_owned()),
            of: "made".to_owned(),
        };
        names.iter().map(told).collect()
    };
    let answer = ClaimAnswer {
        tools: tools(&["llm"]),
        ..ClaimAnswer::default()
    };
    let told = after(&bound(), &ClaimNews::Told(answer));
    assert!(is_to_keep(&told) && !is_served(&told));
    let kept = after(&told, &ClaimNews::Kept);
    assert!(!is_to_keep(&kept) && is_served(&kept));
    let tools = tools(&["llm", "search"]);
    let later = after(&kept, &ClaimNews::Given { tools });
    assert!(is_to_keep(&later) && view(&later).ready);
}
