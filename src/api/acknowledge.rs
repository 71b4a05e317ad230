//! How a person opens what stops by itself: the annotation [`ACKNOWLEDGE_ANNOTATION`] names one occurrence, as the message
//! that tells of it prints it.
//!
//! What holds: an acknowledgement is of that one occurrence, never of the next; several stand beside each other,
//! separated by commas. Deliberately absent: taking the annotation away again, which is its writer's business.

use jiff::Timestamp;
use std::collections::BTreeMap;

/// Annotation with what a person has acknowledged: `<reason>@<since>`, several separated by commas.
pub const ACKNOWLEDGE_ANNOTATION: &str = "yardmaster.dev/acknowledge";

/// One occurrence as the annotation names it: the condition's reason and since when, in whole seconds, because conditions
/// count no less.
pub fn occurrence(reason: &str, since: Timestamp) -> String {
    let whole = Timestamp::from_second(since.as_second()).unwrap_or(since);
    format!("{reason}@{whole}")
}

/// What a person runs to acknowledge it.
pub fn command(kind: &str, name: &str, reason: &str, since: Timestamp) -> String {
    format!(
        "kubectl annotate {kind} {name} {ACKNOWLEDGE_ANNOTATION}={} --overwrite",
        occurrence(reason, since)
    )
}

/// Whether the annotations acknowledge this occurrence.
pub fn acknowledged(
    annotations: &BTreeMap<String, String>,
    reason: &str,
    since: Timestamp,
) -> bool {
    let wanted = occurrence(reason, since);
    annotations
        .get(ACKNOWLEDGE_ANNOTATION)
        .is_some_and(|text| text.split(',').any(|one| one.trim() == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_acknowledgement_is_of_one_occurrence() {
        let since = at("2026-11-26T08:00:00.75Z");
        assert_eq!(
            occurrence("IdentityChanged", since),
            "IdentityChanged@2026-11-26T08:00:00Z"
        );
        let said = |text: &str| {
            let annotations = [(ACKNOWLEDGE_ANNOTATION.to_owned(), text.to_owned())].into();
            acknowledged(&annotations, "IdentityChanged", since)
        };
        assert!(said("IdentityChanged@2026-11-26T08:00:00Z"));
        assert!(said(
            "RestoredElsewhere@2026-11-25T00:00:00Z, IdentityChanged@2026-11-26T08:00:00Z"
        ));
        for other in [
            "",
            "IdentityChanged",
            "IdentityChanged@2026-11-26T08:00:01Z",
            "RestoredElsewhere@2026-11-26T08:00:00Z",
        ] {
            assert!(!said(other), "{other}");
        }
        assert!(!acknowledged(&BTreeMap::new(), "IdentityChanged", since));
    }
}
