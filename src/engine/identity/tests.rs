//! Pins, what providers tell, proofs and acknowledgements, each with each.

use super::*;
use crate::api::acknowledge::{ACKNOWLEDGE_ANNOTATION, occurrence};
use crate::engine::account::{Credential, Learned, status};
use proptest::prelude::*;

const PLACE: &str = "key key of Secret yardmaster-system/mail";

fn account() -> ProviderAccount {
    let mut account = ProviderAccount::new(
        "mail",
        serde_json::from_value(serde_json::json!({
            "allowedNamespaces": {"selector": {}},
            "agentmail": {"credentialSecretRef": {"name": "mail", "key": "key"}}
        }))
        .unwrap(),
    );
    account.metadata.generation = Some(1);
    account
}

fn whose(id: Option<&str>) -> Whose {
    Whose {
        id: id.map(str::to_owned),
        name: "organization".into(),
        plan: String::new(),
    }
}

fn pin(id: Option<&str>, credential: &str) -> Pin {
    Pin {
        id: id.map(str::to_owned),
        name: "organization".into(),
        credential: credential.into(),
        earlier: Vec::new(),
    }
}

fn try_it(
    account: &ProviderAccount,
    pin: Option<&Pin>,
    whose: &Whose,
    credential: &str,
    proof: Evidence,
) -> CredentialVerdict {
    let trial = CredentialTrial {
        account,
        kept_in: PLACE,
        pin,
        whose,
        credential,
    };
    trial.verdict(trial.evidence().unwrap_or(proof))
}

/// The account after a pass at that second told of the verdict.
fn told(account: &ProviderAccount, verdict: &CredentialVerdict, second: i64) -> ProviderAccount {
    let credential = match verdict {
        CredentialVerdict::Held(hold) => Credential::Held(hold.clone()),
        CredentialVerdict::Good { .. } => Credential::Good(Default::default()),
    };
    let learned = Learned {
        beside: crate::engine::account::Beside::default(),
        credential,
        kept_in: vec![PLACE.into()],
        lacking: Vec::new(),
        outage: None,
        budget: None,
        resources: None,
        monthly: None,
        restored: false,
        paused: None,
    };
    let mut account = account.clone();
    let now = Timestamp::from_second(second).unwrap();
    account.status = Some(status(&account, &learned, now));
    account
}

fn annotated(mut account: ProviderAccount, reason: &str, second: i64) -> ProviderAccount {
    let since = Timestamp::from_second(second).unwrap();
    account
        .annotations_mut()
        .insert(ACKNOWLEDGE_ANNOTATION.into(), occurrence(reason, since));
    account
}

fn ready(account: &ProviderAccount) -> (String, String, String) {
    let conditions = &account.status.as_ref().unwrap().conditions;
    let ready = condition::find(conditions, kind::READY).unwrap();
    (
        ready.status.clone(),
        ready.reason.clone(),
        ready.message.clone(),
    )
}

#[test]
fn each_pin_with_each_thing_that_a_provider_can_tell() {
    use Evidence::{Hidden, Nothing, Shown};
    let (known, never_told) = (pin(Some("a"), "h1"), pin(None, "h1"));
    for (pin, told, credential, proof, expected) in [
        // The first good check, and the first after an upgrade, when ledgers know something.
        (None, Some("a"), "h1", Nothing, "good a h1"),
        (None, None, "h1", Nothing, "good - h1"),
        (None, Some("a"), "h1", Shown, "good a h1"),
        (None, Some("a"), "h1", Hidden, "IdentityUnproven"),
        // The provider tells: no proof is asked for.
        (Some(&known), Some("a"), "h1", Hidden, "good a h1"),
        (Some(&known), Some("a"), "h2", Hidden, "good a h2"),
        (Some(&known), Some("b"), "h2", Shown, "IdentityChanged"),
        (Some(&known), Some("b"), "h2", Nothing, "IdentityChanged"),
        // It does not, or not now.
        (Some(&known), None, "h1", Hidden, "good a h1"),
        (Some(&known), None, "h2", Hidden, "IdentityUnproven"),
        (Some(&known), None, "h2", Shown, "good a h2"),
        (Some(&known), None, "h2", Nothing, "moved - h2"),
        (Some(&never_told), None, "h1", Hidden, "good - h1"),
        (Some(&never_told), None, "h2", Hidden, "IdentityUnproven"),
        (Some(&never_told), None, "h2", Shown, "good - h2"),
        // It tells now what it did not before.
        (Some(&never_told), Some("a"), "h1", Hidden, "good a h1"),
        (
            Some(&never_told),
            Some("b"),
            "h2",
            Hidden,
            "IdentityUnproven",
        ),
        (Some(&never_told), Some("a"), "h2", Shown, "good a h2"),
    ] {
        let said = match try_it(&account(), pin, &whose(told), credential, proof) {
            CredentialVerdict::Held(hold) => hold.reason.to_owned(),
            CredentialVerdict::Good { pin, moved } => format!(
                "{} {} {}",
                if moved { "moved" } else { "good" },
                pin.id.as_deref().unwrap_or("-"),
                pin.credential
            ),
        };
        assert_eq!(said, expected, "{pin:?} {told:?} {credential} {proof:?}");
    }
}

#[test]
fn the_message_names_both_the_place_and_the_command_that_opens_it() {
    let known = pin(Some("org-a"), "h1");
    let held = try_it(
        &account(),
        Some(&known),
        &whose(Some("org-b")),
        "h2",
        Evidence::Hidden,
    );
    let first = told(&account(), &held, 100);
    let (status, why, message) = ready(&first);
    assert_eq!(
        (status.as_str(), why.as_str()),
        ("False", "IdentityChanged")
    );
    for part in [
        "organization (org-a)",
        "organization (org-b)",
        PLACE,
        "kubectl annotate provideraccount mail yardmaster.dev/acknowledge=IdentityChanged@1970-01-01T00:01:40Z",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let identity = first.status.as_ref().unwrap().identity.clone().unwrap();
    assert_eq!(identity.id.as_deref(), Some("org-b"));
    // Who uses the account learns nothing of its owners.
    let CredentialVerdict::Held(hold) = &held else {
        panic!("{held:?}");
    };
    assert!(!hold.told_to_users().contains("org-"), "{hold:?}");
}

#[test]
fn however_long_names_are_the_command_is_whole() {
    let mut account = account();
    account.metadata.name = Some("n".repeat(63));
    let known = pin(Some(&"a".repeat(200)), "h1");
    let whose = Whose {
        id: Some("b".repeat(200)),
        name: "m".repeat(200),
        plan: String::new(),
    };
    let place = format!(
        "key {} of Secret {}/{}",
        "k".repeat(253),
        "s".repeat(63),
        "t".repeat(253)
    );
    let trial = CredentialTrial {
        account: &account,
        kept_in: &place,
        pin: Some(&known),
        whose: &whose,
        credential: "h2",
    };
    for evidence in [Evidence::Other, Evidence::Hidden] {
        let verdict = trial.verdict(evidence);
        let (_, _, message) = ready(&told(&account, &verdict, 100));
        assert!(message.ends_with("--overwrite"), "{message}");
    }
}

#[test]
fn an_acknowledgement_opens_one_occurrence_and_not_the_next() {
    let known = pin(Some("a"), "h1");
    let mut account = account();
    let held = |account: &ProviderAccount, id: &str| {
        try_it(
            account,
            Some(&known),
            &whose(Some(id)),
            "h2",
            Evidence::Hidden,
        )
    };
    // Nothing is acknowledged before it was told.
    account = annotated(account, "IdentityChanged", 100);
    let first = held(&account, "b");
    assert!(matches!(first, CredentialVerdict::Held(_)));
    account = told(&account, &first, 100);
    // Another organisation's is another occurrence, also where the account was not ready in between.
    let other = held(&account, "c");
    assert!(matches!(other, CredentialVerdict::Held(_)));
    let later = told(&account, &other, 200);
    assert!(
        ready(&later)
            .2
            .contains("IdentityChanged@1970-01-01T00:03:20Z")
    );
    assert!(matches!(held(&later, "c"), CredentialVerdict::Held(_)));
    assert!(matches!(
        held(&annotated(later, "IdentityChanged", 200), "c"),
        CredentialVerdict::Good { moved: true, .. }
    ));
    // This very one, as it was told, and however often.
    let again = told(&account, &first, 300);
    assert_eq!(ready(&again), ready(&account));
    let CredentialVerdict::Good { pin, moved } = held(&again, "b") else {
        panic!("it was acknowledged");
    };
    assert_eq!(
        (pin.id.as_deref(), pin.credential.as_str(), moved),
        (Some("b"), "h2", true)
    );
    // Moved on, and back again: that is the next one.
    let moved = told(
        &again,
        &CredentialVerdict::Good {
            pin: pin.clone(),
            moved,
        },
        301,
    );
    let back = try_it(
        &moved,
        Some(&pin),
        &whose(Some("a")),
        "h1",
        Evidence::Hidden,
    );
    assert!(matches!(back, CredentialVerdict::Held(_)));
}

#[test]
fn two_credentials_of_which_nothing_is_told_are_two_occurrences() {
    let known = pin(None, "h1");
    let held = |account: &ProviderAccount, credential: &str| {
        try_it(
            account,
            Some(&known),
            &whose(None),
            credential,
            Evidence::Hidden,
        )
    };
    let first = told(&account(), &held(&account(), "h2222222"), 100);
    let first = annotated(first, "IdentityUnproven", 100);
    assert!(matches!(
        held(&first, "h2222222"),
        CredentialVerdict::Good { .. }
    ));
    assert!(matches!(
        held(&first, "h3333333"),
        CredentialVerdict::Held(_)
    ));
}

#[test]
fn what_is_expected_is_mended_in_the_spec_alone() {
    let mut account = account();
    account.spec.expected_identity = Some(crate::api::text::OutsideId("a".into()));
    let of = |account: &ProviderAccount, told: Option<&str>| {
        try_it(account, None, &whose(told), "h1", Evidence::Nothing)
    };
    assert!(matches!(
        of(&account, Some("a")),
        CredentialVerdict::Good { .. }
    ));
    // What is not told cannot be compared.
    assert!(matches!(of(&account, None), CredentialVerdict::Good { .. }));
    let held = of(&account, Some("b"));
    let told = told(&account, &held, 100);
    let (_, why, message) = ready(&told);
    assert_eq!(why, "IdentityMismatch");
    assert!(
        message.contains("organization (b)") && message.contains("expectedIdentity is a"),
        "{message}"
    );
    let told = annotated(told, "IdentityMismatch", 100);
    assert!(matches!(of(&told, Some("b")), CredentialVerdict::Held(_)));
    // Where it is right, the pin holds all the same.
    let known = pin(Some("b"), "h9");
    let held = try_it(
        &account,
        Some(&known),
        &whose(Some("a")),
        "h1",
        Evidence::Hidden,
    );
    assert!(matches!(held, CredentialVerdict::Held(hold) if hold.reason == "IdentityChanged"));
}

#[test]
fn a_credential_that_is_put_back_need_not_prove_itself_again() {
    let rotate = |pin: &Pin, credential: &str, proof| match try_it(
        &account(),
        Some(pin),
        &whose(None),
        credential,
        proof,
    ) {
        CredentialVerdict::Good { pin, .. } => Ok(pin),
        CredentialVerdict::Held(hold) => Err(hold.reason),
    };
    let rotated = rotate(&pin(None, "h1"), "h2", Evidence::Shown).unwrap();
    // The only thing that it could show is being deleted meanwhile.
    let back = rotate(&rotated, "h1", Evidence::Hidden).unwrap();
    assert_eq!(
        (back.credential.as_str(), &back.earlier[..]),
        ("h1", &["h2".to_owned()][..])
    );
    assert!(rotate(&back, "h2", Evidence::Hidden).is_ok());
    assert_eq!(
        rotate(&back, "h3", Evidence::Hidden),
        Err("IdentityUnproven")
    );
    // What the provider tells now weighs more.
    let told = Pin {
        id: Some("a".into()),
        ..back.clone()
    };
    let other = try_it(
        &account(),
        Some(&told),
        &whose(Some("b")),
        "h2",
        Evidence::Shown,
    );
    assert!(matches!(other, CredentialVerdict::Held(hold) if hold.reason == "IdentityChanged"));
    // Another organisation's from now on, perhaps: what was proven says nothing about it.
    let moved = rotate(&back, "h4", Evidence::Nothing).unwrap();
    assert!(moved.earlier.is_empty());
    assert_eq!(
        rotate(&moved, "h1", Evidence::Hidden),
        Err("IdentityUnproven")
    );
    // Not without end.
    let many = (0..20).fold(back, |pin, n| {
        rotate(&pin, &format!("n{n}"), Evidence::Shown).unwrap()
    });
    assert_eq!(many.earlier, ["n18", "n17", "n16"]);
}

proptest! {
    /// Through whatever life: a credential is used only where it is the proven one, told to be of the pinned
    /// organisation, showed something, nothing was known, or a person named that very occurrence.
    #[test]
    fn nothing_of_another_organisation_is_ever_used_unasked(
        life in prop::collection::vec((0..4_usize, 0..4_usize, any::<bool>(), any::<bool>()), 1..12)
    ) {
        let mut account = account();
        let mut known: Option<Pin> = None;
        for (second, (organisation, proof, tells, says_go)) in life.into_iter().enumerate() {
            let second = i64::try_from(second).unwrap() * 10;
            let id = ["a", "b", "c", "d"][organisation];
            let credential = format!("hash-of-{id}");
            // Only its own organisation shows what ledgers know.
            let mine = known.as_ref().is_none_or(|pin| pin.credential == credential);
            let proof = [Evidence::Nothing, Evidence::Hidden, Evidence::Hidden, Evidence::Shown][proof];
            let proof = if proof == Evidence::Shown && !mine { Evidence::Hidden } else { proof };
            let whose = whose(tells.then_some(id));
            let before = account.clone();
            let verdict = try_it(&account, known.as_ref(), &whose, &credential, proof);
            if let CredentialVerdict::Good { pin, .. } = &verdict {
                let first = known.is_none() && proof != Evidence::Hidden;
                let nothing = proof == Evidence::Nothing;
                let named = before.status.as_ref().is_some_and(|status| {
                    let ready = condition::find(&status.conditions, kind::READY).unwrap();
                    ready.status == "False"
                        && acknowledged(before.annotations(), &ready.reason, ready.last_transition_time.0)
                });
                prop_assert!(first || mine || nothing || named, "{verdict:?} after {before:?}");
                known = Some(pin.clone());
            }
            account = told(&account, &verdict, second);
            if let (true, CredentialVerdict::Held(hold)) = (says_go, &verdict) {
                let since = hold.since(&account).unwrap();
                account = annotated(account, hold.reason, since.as_second());
            }
        }
    }
}
