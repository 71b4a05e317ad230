//! What the agent was told, on its disk: whose it is, and who.
//!
//! Holds: the first claim is kept for ever, also after a reset; it is durable before anything is done about it. What is kept may be
//! secret, so the file is its owner's alone. Absent: any use of it; `telling.rs` decides.

use crate::contract::{Contract, LayMode, PersonaFile};
use crate::files::Places;
use crate::secret::random;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Where it is, below the state directory.
const FILE: &str = ".yardmaster/told.json";

/// What the agent was told.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Told {
    /// Its own id, made at the first start.
    pub inbox: String,
    /// UID of the first claim.
    pub claim: Option<String>,
    /// Everything was done that this claim's telling asks for.
    pub bound: bool,
    /// Something of a tenant may be left in the harness.
    pub tainted: bool,
    /// The persona's files say what stands here.
    pub laid: bool,
    pub agent_name: Option<String>,
    pub instructions: Option<String>,
    pub model: Option<String>,
    pub join_url: Option<String>,
    pub profile_image: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub env: BTreeMap<String, String>,
    /// The deployment in which it was told: the variables of a later one are newer than `env`.
    pub deployment: Option<String>,
    /// When the newest update was said.
    pub moment: Option<String>,
    /// What the persona's files said when they were last laid, while they are to say something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<Told>>,
}

impl Told {
    /// Whether it was told who it is.
    pub fn is_somebody(&self) -> bool {
        self.instructions.is_some() || self.agent_name.is_some()
    }

    /// Whether both say the same, whenever and however far that was done.
    pub fn says_the_same(&self, other: &Told) -> bool {
        let words = |one: &Told| {
            let texts = [&one.agent_name, &one.instructions, &one.model];
            let links = [&one.join_url, &one.profile_image];
            let texts = texts.into_iter().chain(links).cloned();
            let texts: Vec<Option<String>> = texts.collect();
            (texts, one.metadata.clone(), one.env.clone())
        };
        words(self) == words(other)
    }

    /// What a file of the contract is to say, and whether that takes the place of what is there: only where something else was told for it,
    /// because an agent may have changed its own files. `None`: something in it was not told.
    pub fn lays(&self, file: &PersonaFile) -> Option<(String, LayMode)> {
        let text = self.file(file)?;
        let before = self.before.as_ref().and_then(|before| before.file(file));
        let same = self.laid || before.as_ref() == Some(&text);
        let mode = if same {
            LayMode::IfMissing
        } else {
            LayMode::Always
        };
        Some((text, mode))
    }

    /// The same, once its files say so.
    pub fn laid(self) -> Told {
        Told {
            laid: true,
            before: None,
            ..self
        }
    }

    /// What a file of the contract is to say. `None`: something in it was not told.
    fn file(&self, file: &PersonaFile) -> Option<String> {
        if !file.quoted {
            return self.fill(&file.text);
        }
        let quoted = |text: &Option<String>| text.as_deref().map(quoted);
        let pairs = self.metadata.iter();
        let told = Told {
            agent_name: quoted(&self.agent_name),
            instructions: quoted(&self.instructions),
            model: quoted(&self.model),
            join_url: quoted(&self.join_url),
            profile_image: quoted(&self.profile_image),
            metadata: pairs
                .map(|(name, value)| (self::quoted(name), self::quoted(value)))
                .collect(),
            ..Told::default()
        };
        told.fill(&file.text)
    }

    /// A text of the contract with what was told in it. `None`: something in it was not told.
    pub fn fill(&self, text: &str) -> Option<String> {
        let metadata = || {
            let rows = self.metadata.iter();
            let rows = rows.map(|(name, value)| format!("{name}: {value}\n"));
            Some(rows.collect::<String>())
        };
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            let name = WORDS.iter().find(|word| rest.starts_with(**word));
            let Some(name) = name else {
                filled.push('{');
                rest = &rest[1..];
                continue;
            };
            filled.push_str(&match *name {
                "{agentName}" => self.agent_name.clone()?,
                "{instructions}" => self.instructions.clone()?,
                "{model}" => self.model.clone()?,
                "{joinUrl}" => self.join_url.clone()?,
                "{profileImage}" => self.profile_image.clone()?,
                _ => metadata()?,
            });
            rest = &rest[name.len()..];
        }
        filled.push_str(rest);
        Some(filled)
    }
}

/// As inside the quotes of JSON, which YAML's double quotes understand too.
fn quoted(text: &str) -> String {
    let whole = serde_json::Value::from(text).to_string();
    whole[1..whole.len() - 1].to_owned()
}

/// What stands for something told.
const WORDS: [&str; 6] = [
    "{agentName}",
    "{instructions}",
    "{model}",
    "{joinUrl}",
    "{profileImage}",
    "{metadata}",
];

/// What it was told, here and on the disk.
pub struct Memory {
    places: Places,
    told: Mutex<Told>,
    /// What it was told when the harness that runs was started.
    started: Mutex<Option<Told>>,
}

impl Memory {
    /// Reads it; at the first start it is made, which also shows that the disk can be written.
    pub fn open(contract: &Contract) -> io::Result<Memory> {
        let places = Places::new(&contract.state_directory, &[]);
        let told = match places.read(Path::new(FILE))? {
            // Who cannot read whose it is must not be anybody's anew.
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|_| {
                io::Error::other(format!("{FILE} in the state directory is damaged"))
            })?,
            None => Told::default(),
        };
        let memory = Memory {
            places,
            told: Mutex::default(),
            started: Mutex::default(),
        };
        if told.inbox.is_empty() {
            let inbox = random(16)?;
            memory.keep(Told { inbox, ..told })?;
        } else {
            *memory.told.lock().unwrap_or_else(PoisonError::into_inner) = told;
        }
        Ok(memory)
    }

    /// What it is now.
    pub fn told(&self) -> Told {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.clone()
    }

    /// The harness is started with this.
    pub fn starts(&self, told: Told) {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        *started = Some(told);
    }

    /// With what the harness was started that runs.
    pub fn started(&self) -> Told {
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        started.clone().unwrap_or_default()
    }

    /// Keeps it: durable when this returns.
    pub fn keep(&self, told: Told) -> io::Result<()> {
        let bytes = serde_json::to_vec(&told)?;
        self.places
            .lay(Path::new(FILE), &bytes, 0o600, LayMode::Always)?;
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = told;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_filled_once_and_not_without_what_it_needs() {
        let told = Told {
            agent_name: Some("Ada {instructions}".to_owned()),
            instructions: Some("Count.".to_owned()),
            metadata: BTreeMap::from([("team".to_owned(), "a".to_owned())]),
            ..Told::default()
        };
        let text = "# {agentName}\n{instructions} {other} {\n{metadata}";
        let filled = told.fill(text).expect("filled");
        assert_eq!(filled, "# Ada {instructions}\nCount. {other} {\nteam: a\n");
        assert!(told.fill("{model}").is_none());
    }

    #[test]
    fn nobody_is_told_a_value_that_says_more_than_a_value() {
        let told = Told {
            model: Some("x\"},\n\"auth\": {\"mode\": \"none\"".to_owned()),
            ..Told::default()
        };
        let file = |text: &str| PersonaFile {
            path: "config.json".into(),
            text: text.to_owned(),
            quoted: true,
        };
        let filled = told
            .file(&file(r#"{"model": "a/{model}"}"#))
            .expect("filled");
        let read: serde_json::Value = serde_json::from_str(&filled).expect("JSON");
        assert_eq!(read.as_object().map(serde_json::Map::len), Some(1));
        let wanted = format!("a/{}", told.model.clone().unwrap_or_default());
        assert_eq!(read["model"], wanted);
        assert!(told.file(&file("{agentName}")).is_none());
    }
}
