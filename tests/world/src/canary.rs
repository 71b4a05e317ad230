//! What every test leaves behind, searched for every credential that took part in it.
//!
//! Holds: each credential that was made or given in a world, as the journal has it, is looked for in whatever people could
//! read of that world's controller: its logs, and the bodies of what was written of its objects and of events. In every form
//! in which a text may be seen. Absent: what a Secret holds, and the requests that must carry it.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;

use aho_corasick::AhoCorasick;
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};

use crate::install::SERVICE_ACCOUNT;

/// The object that the API server answered with, in a line of its audit log.
const ANSWERED: &str = "responseObject";

/// The forms in which a value could be seen.
#[must_use]
pub fn forms(value: &str) -> BTreeSet<String> {
    let quoted = json!(value).to_string();
    let escaped = quoted.trim_matches('"').to_owned();
    let url: String = value
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect();
    // The middle of its base64, whatever stands before and after it, at each of the three offsets.
    let shifted = [STANDARD, URL_SAFE].into_iter().flat_map(|alphabet| {
        (0..3).filter_map(move |offset| {
            let text = alphabet.encode(format!("{}{value}", "x".repeat(offset)));
            text.get(4..text.len() - 4).map(str::to_owned)
        })
    });
    // As Go writes JSON, and so the API server its audit log.
    let by_go = escaped
        .replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e");
    let digits = hex(value);
    let mut forms = BTreeSet::from([
        value.to_owned(),
        escaped,
        by_go,
        url,
        format!("{value:?}"),
        digits.to_uppercase(),
        digits,
    ]);
    forms.extend(shifted);
    forms
}

/// A text's bytes in hexadecimal.
#[must_use]
pub fn hex(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What was searched, and for how much.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Searched {
    pub worlds: usize,
    pub credentials: usize,
    pub forms: usize,
    pub bytes: usize,
}

impl fmt::Display for Searched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} credentials of {} worlds, in {} forms: none in {} bytes of logs, objects and events",
            self.credentials, self.worlds, self.forms, self.bytes
        )
    }
}

/// Searches all worlds below a folder.
///
/// # Errors
/// A credential was seen, or a file cannot be read; the text says where, and not the credential.
pub fn search(worlds: &Path) -> Result<Searched> {
    let mut searched = Searched::default();
    let entries = fs::read_dir(worlds).with_context(|| worlds.display().to_string())?;
    for entry in entries {
        let world = entry?.path();
        let journal = world.join("journal.jsonl");
        if journal.is_file() {
            search_world(&world, &journal, &mut searched)?;
        }
    }
    Ok(searched)
}

fn search_world(world: &Path, journal: &Path, searched: &mut Searched) -> Result<()> {
    let text = fs::read_to_string(journal).with_context(|| journal.display().to_string())?;
    let mut credentials = BTreeSet::new();
    for line in text.lines() {
        let exchange: Value = serde_json::from_str(line).context("a line of the journal")?;
        collect(&exchange["request"], &mut credentials);
        collect(&exchange["response"], &mut credentials);
    }
    let forms: Vec<String> = credentials.iter().flat_map(|one| forms(one)).collect();
    let machine = AhoCorasick::new(&forms).context("searching for so much")?;
    searched.worlds += 1;
    searched.credentials += credentials.len();
    searched.forms += forms.len();
    for entry in fs::read_dir(world)? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with("controller") && !name.starts_with("audit") || !file.is_file() {
            continue;
        }
        let mut text = fs::read(&file).with_context(|| file.display().to_string())?;
        if name.starts_with("audit") {
            text = own_writes(&text);
        }
        searched.bytes += text.len();
        let found = machine.find(&text).map(|found| {
            let before = &text[..found.start()];
            before.iter().filter(|byte| **byte == b'\n').count() + 1
        });
        ensure!(
            found.is_none(),
            "a credential stands in {}, line {}",
            file.display(),
            found.unwrap_or_default()
        );
    }
    Ok(())
}

/// Of an audit log what the controller wrote: what others write is theirs, and so is what stands in the object of an answer
/// besides. The lines stay, so that they can be counted.
#[must_use]
pub fn own_writes(audit: &[u8]) -> Vec<u8> {
    let has =
        |line: &[u8], word: &str| line.windows(word.len()).any(|part| part == word.as_bytes());
    let lines = audit.split_inclusive(|byte| *byte == b'\n');
    let kept = lines.map(|line| {
        if !has(line, SERVICE_ACCOUNT) {
            return b"\n".to_vec();
        }
        match serde_json::from_slice::<Value>(line) {
            Ok(mut event) if has(line, ANSWERED) => {
                event[ANSWERED].take();
                format!("{event}\n").into_bytes()
            }
            _ => line.to_vec(),
        }
    });
    kept.collect::<Vec<_>>().concat()
}

/// Credentials in what was exchanged: fields and variables that are called so, and the ids that are keys themselves.
fn collect(value: &Value, credentials: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let text = value.as_str().or_else(|| value["value"].as_str());
                if let Some(text) = text.filter(|text| is_credential(name, text)) {
                    credentials.insert(text.to_owned());
                }
                collect(value, credentials);
            }
            // At Exa's API as it was, a key's id is the key.
            let legacy = fields.contains_key("budgetCents") && !fields.contains_key("publicId");
            if let Some(id) = fields.get("id").and_then(Value::as_str).filter(|_| legacy) {
                credentials.insert(id.to_owned());
            }
        }
        Value::Array(all) => all.iter().for_each(|one| collect(one, credentials)),
        _ => {}
    }
}

fn is_credential(name: &str, value: &str) -> bool {
    let called = matches!(
        name,
        "key" | "secret" | "apiKey" | "api_key" | "token" | "v1_secret"
    ) || ["_KEY", "_TOKEN", "_PASSWORD", "_SECRET"]
        .iter()
        .any(|end| name.ends_with(end));
    // Shorter ones are found by chance.
    called && value.len() >= 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_found_in_every_form_and_the_complaint_does_not_repeat_it() {
        let folder = tempfile::tempdir().unwrap();
        let world = folder.path().join("one");
        fs::create_dir(&world).unwrap();
        let key = "sk-or-v1-0123456789/abcdef+\"";
        let made = json!({"request": {"variables": {"LLM_KEY": {"value": "another-key-of-some-length"}}},
            "response": {"data": {"hash": "38fc4010665eb595a4"}, "key": key}});
        fs::write(world.join("journal.jsonl"), format!("{made}\n")).unwrap();
        fs::write(world.join("audit.jsonl"), format!("{key}\n")).unwrap();
        for form in forms(key) {
            let log = format!("fine\nkey={form};\n");
            fs::write(world.join("controller.log"), log).unwrap();
            let complaint = format!("{:#}", search(folder.path()).unwrap_err());
            assert!(complaint.ends_with("controller.log, line 2"), "{complaint}");
        }
        fs::write(world.join("controller.log"), "fine\n").unwrap();
        let searched = search(folder.path()).unwrap();
        assert_eq!((searched.worlds, searched.credentials), (1, 2));
        // Of the audit log only what the controller wrote.
        assert_eq!(searched.bytes, 5 + 1);
        // And of that what it sent, not the rest of the object that it was answered with.
        let write = |sent: &str, answered: &str| {
            let user = format!("system:serviceaccount:s:{SERVICE_ACCOUNT}");
            json!({"user": {"username": user}, "requestObject": {"status": sent},
                "responseObject": {"spec": answered}})
            .to_string()
        };
        fs::write(world.join("audit.jsonl"), write("fine", key)).unwrap();
        search(folder.path()).unwrap();
        let log = format!("{}\n{}\n", write("fine", key), write(key, "fine"));
        fs::write(world.join("audit.jsonl"), log).unwrap();
        let complaint = format!("{:#}", search(folder.path()).unwrap_err());
        assert!(complaint.ends_with("audit.jsonl, line 2"), "{complaint}");
    }
}
