//! The programs file: which image is which program of this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::registry::Reference;

/// A program of this machine that stands for what is in an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Program {
    /// What is run; the words of a start command follow, its first left out.
    pub argv: Vec<String>,
    /// Where it is run; without it, in the root directory.
    pub cwd: Option<PathBuf>,
    /// What comes first in its PATH.
    #[serde(default)]
    pub path: Vec<PathBuf>,
    pub version: Option<String>,
}

/// The value of `agent.programs`: a file, and what it said when it was set.
#[derive(Debug, Clone, Default)]
pub struct Programs {
    file: String,
    rows: Arc<BTreeMap<String, Program>>,
}

impl Programs {
    /// Reads a file; no name is no file, and no programs.
    pub(crate) fn read(file: &str) -> Result<Self, String> {
        if file.is_empty() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        let rows = Self::rows(&text).map_err(|problem| format!("{file}: {problem}"))?;
        let file = std::path::absolute(file).unwrap_or_else(|_| Path::new(file).to_owned());
        Ok(Self {
            file: file.display().to_string(),
            rows: Arc::new(rows),
        })
    }

    fn rows(text: &str) -> Result<BTreeMap<String, Program>, String> {
        let rows: BTreeMap<String, Program> =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        let named = rows.into_iter().map(|(image, program)| {
            let reference = Reference::parse(&image);
            if reference.tag.is_some() || reference.digest.is_some() {
                return Err(format!("{image}: a repository has no tag here"));
            }
            match program.argv.first() {
                Some(_) => Ok((reference.name, program)),
                None => Err(format!("{image}: argv names no program")),
            }
        });
        named.collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The program that stands for an image, whatever its tag.
    pub(crate) fn of(&self, image: &str) -> Option<&Program> {
        match self.rows.is_empty() {
            true => None,
            false => self.rows.get(&Reference::parse(image).name),
        }
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use super::Programs;

    #[test]
    fn an_image_is_found_by_its_repository() {
        let rows = Programs::rows(r#"{"acme/agent": {"argv": ["/bin/x"], "version": "1"}}"#);
        let programs = Programs {
            rows: rows.unwrap().into(),
            ..Programs::default()
        };
        assert!(programs.of("docker.io/acme/agent:2@sha256:ab").is_some());
        assert!(programs.of("ghcr.io/acme/agent").is_none());
    }

    #[test]
    fn a_bad_file_is_refused_with_what_is_wrong() {
        for (text, part) in [
            (r#"{"a/b:1": {"argv": ["x"]}}"#, "has no tag"),
            (r#"{"a/b": {"argv": []}}"#, "names no program"),
            (r#"{"a/b": {"arg": []}}"#, "unknown field"),
            ("[]", "expected a map"),
        ] {
            let problem = Programs::rows(text).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }
}
