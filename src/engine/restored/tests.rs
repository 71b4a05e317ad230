//! Tests of `restored`.

use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

fn object(namespace: &str, uid: &str, identity: &str, created: i64) -> AgentInstance {
    let spec = json!({"templateRef": {"name": "t"}, "accountRef": {"name": "main"}});
    let mut object = AgentInstance::new("ada", serde_json::from_value(spec).unwrap());
    object.metadata.namespace = Some(namespace.into());
    object.metadata.uid = Some(uid.into());
    object.metadata.creation_timestamp = Some(Time(Timestamp::from_second(created).unwrap()));
    let annotations = object.annotations_mut();
    annotations.insert(IDENTITY_ANNOTATION.into(), identity.into());
    object
}

fn has_been_taken_over(mut object: AgentInstance) -> AgentInstance {
    let restored = Some(Restored {
        identity: object.identity(),
        taken_over_by: object.uid(),
    });
    object.status = Some(AgentInstanceStatus {
        restored,
        ..AgentInstanceStatus::default()
    });
    object
}

fn ada_of(namespace: &str) -> NamespacedName {
    NamespacedName {
        namespace: namespace.into(),
        name: "ada".into(),
    }
}

#[test]
fn of_several_with_one_identity_one_goes_on_and_for_everyone_the_same() {
    let victim = || Some(ada_of("team-a"));
    let living = object("team-a", "x", "x", 50);
    let restored = object("team-a", "y", "x", 50);
    let thief = object("team-b", "z", "x", 10);
    let other = object("team-c", "w", "x", 60);
    for (what, all, bearer, wins) in [
        ("born with it", vec![&living, &thief], None, Some(0)),
        (
            "whatever a project says",
            vec![&living, &thief],
            Some(ada_of("team-b")),
            Some(0),
        ),
        (
            "whom a project names",
            vec![&restored, &thief],
            victim(),
            Some(0),
        ),
        (
            "nobody whom a project does not name",
            vec![&thief, &other],
            victim(),
            None,
        ),
        ("the older", vec![&restored, &other], None, Some(0)),
        ("alone", vec![&other], None, Some(0)),
    ] {
        let free: Vec<usize> = (0..all.len())
            .filter(|at| !taken(all[*at], all.iter().copied(), bearer.as_ref()))
            .collect();
        assert_eq!(free, wins.into_iter().collect::<Vec<_>>(), "{what}");
    }
    let gone_on = has_been_taken_over(other.clone());
    // Whoever has a workspace writes into it what he likes: what was said once is not taken back by it.
    let said = has_been_taken_over(restored.clone());
    assert!(!taken(&said, [&said, &thief], Some(&ada_of("team-b"))));
    let all = [&restored, &gone_on];
    assert!(taken(&restored, all, None) && !taken(&gone_on, all, None));
    assert!(!taken(&living, [&living, &gone_on], None));
}

#[test]
fn a_ledger_of_anothers_project_is_not_ones_own_under_whatever_name() {
    let installation = InstallationId("i-1".into());
    let marker = Marker {
        installation: installation.clone(),
        namespace: "team-a".into(),
        name: "ada".into(),
        uid: "x".into(),
        slot: Slot::Project,
    };
    let name = marker.outside_name();
    let home = Home::bare("p", &name, Some(marker.clone()), Timestamp::UNIX_EPOCH);
    // A backup of an old version, restored into another namespace.
    let mut copy = object("team-b", "y", "y", 50);
    copy.annotations_mut().clear();
    let status = json!({"external": [{"origin": "Made", "slot": "project", "provider": "railway", "account": "main", "state": "Exists",
        "key": name, "id": "p", "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"}]});
    copy.status = serde_json::from_value(status).unwrap();
    let facts = Facts {
        installation: &installation,
        homes: Some(&[home]),
        left_behind: &BTreeSet::new(),
        taken: false,
        word: Word::default(),
    };
    let held = IdentityState::Held {
        identities: BTreeSet::from(["x".to_owned()]),
        word: Word::default(),
    };
    assert_eq!(standing(&copy, &facts), held);
    copy.status = None;
    assert_eq!(standing(&copy, &facts), IdentityState::Own);
}

#[test]
fn what_is_no_uid_is_no_identity() {
    let long = "a".repeat(65);
    for bad in [
        "",
        "-",
        "A",
        "x y",
        "x\ny",
        "x=",
        "-x",
        "x-",
        "ä",
        long.as_str(),
    ] {
        assert!(!AgentInstance::is_identity(bad), "{bad}");
        let object = object("team-a", "y", bad, 1);
        assert_eq!(object.identity(), "y");
        assert!(waits(&object));
    }
    assert!(AgentInstance::is_identity(
        "6b1c0f2e-8a4d-4a8e-9a52-0d5b6f1a2c3d"
    ));
}
