//! How Telnyx is called and how it refuses (`facts/tool-providers.md` 3).

use super::super::faults::{Dialect, Meaning, Objection};
use super::super::line::Manners;
use serde_json::Value;

pub(in crate::tools) const MANNERS: Manners = Manners {
    base: "https://api.telnyx.com/v2",
    header: None,
    dialect: Dialect {
        name: "Telnyx",
        objection,
        meaning,
    },
};

/// The first of its errors: title and detail, where they are two.
fn objection(body: &Value) -> Objection {
    let first = &body["errors"][0];
    let text = |name: &str| first[name].as_str().unwrap_or_default().trim();
    let (title, detail) = (text("title"), text("detail"));
    let sentence = match (title, detail) {
        ("", detail) => detail.to_owned(),
        (title, "") => title.to_owned(),
        (title, detail) if detail.contains(title) => detail.to_owned(),
        (title, detail) => format!("{}: {detail}", title.trim_end_matches('.')),
    };
    Objection {
        code: text("code").to_owned(),
        sentence,
    }
}

/// Codes where the sheet knows them; of the rest, two refusals that no status tells from a wrong request: somebody else
/// was faster, and there is no money.
fn meaning(status: u16, objection: &Objection) -> Option<Meaning> {
    match objection.code.as_str() {
        "10005" => return Some(Meaning::Missing),
        "10009" | "10010" => return Some(Meaning::Denied),
        _ => {}
    }
    if !(400..500).contains(&status) {
        return None;
    }
    let sentence = objection.sentence.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| sentence.contains(word));
    if says(&["insufficient", "not enough", "balance", "credit limit"]) {
        return Some(Meaning::Exhausted);
    }
    if says(&["no longer available", "not available", "unavailable"]) {
        return Some(Meaning::Transient);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::super::faults::{RestRefusal, Unserved, classify};
    use super::*;
    use crate::wire::Effect;
    use jiff::Timestamp;
    use serde_json::json;

    #[test]
    fn codes_and_sentences_decide() {
        for (status, code, title, detail, class) in [
            (404, "10005", "Resource not found", "", "Missing"),
            (401, "10009", "Authentication failed", "", "Denied"),
            (403, "10010", "Not authorized", "", "Denied"),
            (429, "10011", "Too many requests", "", "Throttled"),
            (422, "10012", "Duplicate", "", "Rejected"),
            (400, "10015", "Bad Request", "invalid country", "Rejected"),
            (422, "x", "Number no longer available", "", "Transient"),
            (403, "20100", "Insufficient Funds", "", "Exhausted"),
            (500, "10007", "Unexpected error", "", "Uncertain"),
        ] {
            let body = json!({ "errors": [{ "code": code, "title": title, "detail": detail }] });
            let answer = Unserved::Refused(RestRefusal {
                status,
                until: None,
                body: Some(body),
            });
            let now = Timestamp::UNIX_EPOCH;
            let fault = classify(
                &answer,
                Effect::Create,
                &MANNERS.dialect,
                "number.order",
                now,
            );
            assert_eq!(fault.class(), class, "{status} {code}: {fault}");
        }
    }

    #[test]
    fn title_and_detail_make_one_sentence() {
        let said = |title: &str, detail: &str| {
            objection(&json!({ "errors": [{ "title": title, "detail": detail }] })).sentence
        };
        assert_eq!(
            said("Bad Request", "no such area"),
            "Bad Request: no such area"
        );
        assert_eq!(said("Not found", "Not found: number"), "Not found: number");
        assert_eq!(said("Not found", ""), "Not found");
        assert_eq!(objection(&json!({})).sentence, "");
    }
}
