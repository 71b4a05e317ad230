//! What no status may say at once: pairs of facts that contradict each other, and the search for them in every status that
//! a controller wrote.
//!
//! Holds: there is one table, [`NEVER`]; the product's laws hold it at every write of a simulated object, and
//! `cargo world -- truth` at every write that the tests' API servers recorded. Absent: whether a status is right; that is each test's own.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::install::SERVICE_ACCOUNT;
use Fact::{Deleting, Entry, Is, Lacks, Not, Says, ToolNotReady};

/// Something that an object says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// A condition has this status.
    Is(&'static str, &'static str),
    /// A condition has this status and reason.
    Says(&'static str, &'static str, &'static str),
    /// A condition is not True.
    Not(&'static str),
    /// A resource in the ledger is in this state. A configuration is none: of one that is suspended it waits, half applied.
    Entry(&'static str),
    /// The ledger has no such slot that exists.
    Lacks(&'static str),
    /// A tool is not ready.
    ToolNotReady,
    /// It is being deleted.
    Deleting,
}

/// Two facts of which at most one may be so, and why.
pub type Pair = (Fact, Fact, &'static str);

/// Ready beside Stalled is no such pair: an agent that serves goes on serving while a person is needed, for a template that
/// is gone, say.
pub const NEVER: &[Pair] = &[
    (
        Is("Stalled", "True"),
        Is("Reconciling", "True"),
        "what waits for a person is not under way",
    ),
    (
        Is("Stalled", "True"),
        Is("Synced", "True"),
        "nobody is needed where all is as it should be",
    ),
    (
        Says("Synced", "False", "Pending"),
        Not("Reconciling"),
        "pending means that work is under way",
    ),
    (
        Is("Synced", "True"),
        Is("Reconciling", "True"),
        "nothing is under way where all is as it should be",
    ),
    (
        Is("Synced", "True"),
        Says("Ready", "False", "Pending"),
        "what was not looked at is not known to be as it should be",
    ),
    (
        Is("Synced", "True"),
        Is("ToolsReady", "False"),
        "a tool that is missing is not as it should be",
    ),
    (
        Is("Synced", "True"),
        Entry("Creating"),
        "what is being made is not there yet",
    ),
    (
        Is("Synced", "True"),
        Entry("Deleting"),
        "what is being taken back is still there",
    ),
    (
        Is("Synced", "True"),
        Deleting,
        "what is being deleted is not as its spec says",
    ),
    (
        Is("Ready", "True"),
        Is("Deployed", "False"),
        "an agent is ready in what is deployed",
    ),
    (
        Is("Ready", "True"),
        Is("Healthy", "False"),
        "a ready agent has said so",
    ),
    (
        Is("Ready", "True"),
        Is("Suspended", "True"),
        "nothing runs where all is suspended",
    ),
    (
        Is("Ready", "True"),
        Deleting,
        "what is being taken back is not ready",
    ),
    (
        Is("Ready", "True"),
        Lacks("project"),
        "an agent runs in a project",
    ),
    (
        Is("Ready", "True"),
        Lacks("configuration"),
        "an agent is ready in what was applied",
    ),
    (
        Is("Suspended", "True"),
        Is("Deployed", "True"),
        "nothing runs where all is suspended",
    ),
    (
        Is("ToolsReady", "True"),
        ToolNotReady,
        "all of them means each",
    ),
    (
        Says("Synced", "False", "Paused"),
        Is("Reconciling", "True"),
        "what is held back is not under way",
    ),
    (
        Says("Synced", "False", "Paused"),
        Not("Paused"),
        "nothing is held back where nothing is paused",
    ),
    (
        Is("TemplateSynced", "True"),
        Says("Synced", "False", "Outdated"),
        "it follows its template or it does not",
    ),
];

impl Fact {
    fn of(self, object: &Value) -> bool {
        let status = &object["status"];
        let all = |list: &'static str| status[list].as_array().into_iter().flatten();
        let condition = |kind: &str| all("conditions").find(|one| one["type"] == kind);
        match self {
            Is(kind, status) => condition(kind).is_some_and(|one| one["status"] == status),
            Says(kind, status, reason) => condition(kind)
                .is_some_and(|one| one["status"] == status && one["reason"] == reason),
            Not(kind) => condition(kind).is_none_or(|one| one["status"] != "True"),
            Entry(state) => all("external")
                .any(|entry| entry["state"] == state && entry["slot"] != "configuration"),
            Lacks(slot) => {
                !all("external").any(|entry| entry["slot"] == slot && entry["state"] == "Exists")
            }
            ToolNotReady => all("tools").any(|tool| tool["ready"] == false),
            Deleting => object["metadata"]["deletionTimestamp"].is_string(),
        }
    }
}

/// The pairs that an AgentInstance says and may not.
#[must_use]
pub fn contradictions(object: &Value) -> Vec<String> {
    NEVER
        .iter()
        .filter(|(one, other, _)| one.of(object) && other.of(object))
        .map(|(one, other, why)| format!("{one:?} beside {other:?}: {why}"))
        .collect()
}

/// What was looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Looked {
    pub worlds: usize,
    pub statuses: usize,
}

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} statuses of {} worlds: none says two things of which only one can be so",
            self.statuses, self.worlds
        )
    }
}

/// Looks at every status that controllers wrote in the worlds below a folder.
///
/// # Errors
/// A status contradicts itself, nothing was written at all, or a file cannot be read.
pub fn look(worlds: &Path) -> Result<Looked> {
    let mut looked = Looked::default();
    let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for entry in fs::read_dir(worlds).with_context(|| worlds.display().to_string())? {
        let audit = entry?.path().join("audit.jsonl");
        let Ok(text) = fs::read_to_string(&audit) else {
            continue;
        };
        looked.worlds += 1;
        for (number, line) in text.lines().enumerate() {
            let Some(object) = written_status(line) else {
                continue;
            };
            looked.statuses += 1;
            for pair in contradictions(&object) {
                let place = format!(
                    "{}:{} ({}/{})",
                    audit.display(),
                    number + 1,
                    object["metadata"]["namespace"].as_str().unwrap_or_default(),
                    object["metadata"]["name"].as_str().unwrap_or_default()
                );
                found.entry(pair).or_insert((0, place)).0 += 1;
            }
        }
    }
    let told: Vec<String> = found
        .iter()
        .map(|(pair, (times, first))| format!("{times} times {pair}; first in {first}"))
        .collect();
    ensure!(told.is_empty(), "{}", told.join("\n"));
    ensure!(
        looked.statuses > 0,
        "no status was written below {}",
        worlds.display()
    );
    Ok(looked)
}

/// The object whose status a line of the audit log writes, where it is an instance's by the controller, and was taken. What was
/// sent is a patch of what changed: only the answer says the whole.
#[must_use]
pub fn written_status(line: &str) -> Option<Value> {
    // Most lines are others, and reading each as JSON would take long.
    if !line.contains("\"subresource\":\"status\"") || !line.contains(SERVICE_ACCOUNT) {
        return None;
    }
    let mut event: Value = serde_json::from_str(line).ok()?;
    let of = &event["objectRef"];
    let taken = event["responseStatus"]["code"] == 200 && event["stage"] == "ResponseComplete";
    let instance = of["resource"] == "agentinstances" && of["subresource"] == "status";
    let user = event["user"]["username"].as_str().unwrap_or_default();
    let own = user.starts_with("system:serviceaccount:") && user.ends_with(SERVICE_ACCOUNT);
    (taken && instance && own)
        .then(|| event["responseObject"].take())
        .filter(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn says(conditions: &[(&str, &str, &str)]) -> Value {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, status, reason)| json!({"type": kind, "status": status, "reason": reason}))
            .collect();
        json!({"metadata": {"name": "a", "namespace": "n"}, "status": {"conditions": conditions}})
    }

    #[test]
    fn a_contradiction_is_found_among_what_the_controller_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let world = folder.path().join("one");
        fs::create_dir(&world).unwrap();
        // The patch alone contradicts nothing, and names nobody.
        let patch =
            json!({"metadata": {"resourceVersion": "1"}, "status": {"url": "https://a.example"}});
        let line = |object: Value, user: &str, code: u16| {
            json!({"stage": "ResponseComplete", "user": {"username": user}, "responseStatus": {"code": code},
                "objectRef": {"resource": "agentinstances", "subresource": "status"},
                "requestObject": patch, "responseObject": object})
            .to_string()
        };
        let good = says(&[
            ("Stalled", "True", "Rejected"),
            ("Synced", "False", "Rejected"),
        ]);
        let bad = says(&[
            ("Stalled", "True", "Rejected"),
            ("Synced", "False", "Pending"),
        ]);
        let own = format!("system:serviceaccount:s:{SERVICE_ACCOUNT}");
        let log = [
            line(good.clone(), &own, 200),
            // Somebody else's, and one that was refused.
            line(bad.clone(), "admin", 200),
            line(bad.clone(), &own, 409),
        ];
        fs::write(world.join("audit.jsonl"), log.join("\n")).unwrap();
        let looked = look(folder.path()).unwrap();
        assert_eq!((looked.worlds, looked.statuses), (1, 1));
        // A log without answers proves nothing.
        fs::write(world.join("audit.jsonl"), line(Value::Null, &own, 200)).unwrap();
        let told = look(folder.path()).unwrap_err().to_string();
        assert!(told.contains("no status was written"), "{told}");
        let log = [line(good, &own, 200), line(bad, &own, 200)];
        fs::write(world.join("audit.jsonl"), log.join("\n")).unwrap();
        let told = look(folder.path()).unwrap_err().to_string();
        assert!(
            told.contains("Pending") && told.contains("audit.jsonl:2 (n/a)"),
            "{told}"
        );
    }

    #[test]
    fn facts_of_the_ledger_and_of_tools_count() {
        let mut object = says(&[
            ("Ready", "True", "Ready"),
            ("Synced", "True", "Ready"),
            ("ToolsReady", "True", "Ready"),
        ]);
        let external = |configuration: &str| json!([{"slot": "project", "state": "Exists"}, {"slot": "configuration", "state": configuration}]);
        object["status"]["external"] = external("Exists");
        assert_eq!(contradictions(&object), Vec::<String>::new());
        object["status"]["external"] = external("Creating");
        assert_eq!(contradictions(&object).len(), 1);
        object["status"]["tools"] = json!([{"name": "llm", "ready": false}]);
        assert_eq!(contradictions(&object).len(), 2);
        object["status"]["external"][0]["state"] = json!("Deleting");
        assert_eq!(contradictions(&object).len(), 4);
    }
}
