//! What is checked: a program that has a row of its own, or one that a person brings.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};
use yardmaster::model::HarnessRow;
use yardmaster::model::harness;

use crate::checkout;
use crate::harness::Harness;

/// What is checked.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A program as its makers publish it.
    Known(Harness),
    /// A program with `harness: http`: a file that can be run, or a Python program.
    Own(PathBuf),
}

/// Where a program is started: as in an image, there is little in it. OpenCode looks through all that is below.
const WORK: &str = "/srv";

/// An image of no registry's: which program stands for it says the programs file.
const OWN_IMAGE: &str = "ghcr.io/acme/agent";

impl Subject {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Known(harness) => harness.name(),
            Self::Own(_) => "http",
        }
    }

    pub(crate) fn row(&self) -> Result<HarnessRow> {
        harness::named(self.name()).with_context(|| format!("{} has no row", self.name()))
    }

    /// The image, without a tag.
    pub(crate) fn image(&self) -> &'static str {
        match self {
            Self::Known(harness) => harness.images().last().copied().unwrap_or(OWN_IMAGE),
            Self::Own(_) => OWN_IMAGE,
        }
    }

    /// The image whose entrypoint is the runner, without a tag.
    pub(crate) fn image_with_runner(&self) -> String {
        format!("ghcr.io/acme/{}-behind-runner", self.name())
    }

    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Self::Known(harness) => harness.version(),
            Self::Own(_) => "1",
        }
    }

    /// Writes the programs file of a world for this check. A known program is installed first, where it is not.
    pub(crate) fn prepare(&self, runner: Option<&Path>) -> Result<PathBuf> {
        let all = checkout::target_dir().join("harness");
        fs::create_dir_all(&all)?;
        let (direct, behind) = match self {
            Self::Known(harness) => {
                harness.install()?;
                (
                    harness.row(&all),
                    runner.map(|runner| harness.behind(&all, runner)),
                )
            }
            Self::Own(program) => {
                let path = env::var_os("PATH").unwrap_or_default();
                let path: Vec<PathBuf> = env::split_paths(&path).collect();
                (json!({ "argv": argv(program)?, "path": path }), None)
            }
        };
        let mut rows = Map::new();
        rows.insert(self.image().to_owned(), direct);
        rows.extend(behind.map(|row| (self.image_with_runner(), row)));
        for row in rows.values_mut() {
            row["cwd"] = json!(WORK);
        }
        let file = all.join(format!("check-{}-{}.json", self.name(), std::process::id()));
        fs::write(&file, serde_json::to_string_pretty(&Value::Object(rows))?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }
}

fn argv(program: &Path) -> Result<Vec<PathBuf>> {
    let program = std::path::absolute(program)?;
    if !program.is_file() {
        bail!("there is no file {}", program.display());
    }
    let python = program.extension().is_some_and(|end| end == "py");
    Ok(match python {
        true => vec![PathBuf::from("python3"), program],
        false => vec![program],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_that_is_checked_is_the_one_in_the_documentation() {
        let root = checkout::root();
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
        let documentation = read("docs/harness-contract.md");
        let quoted = documentation.split_once("```python\n").unwrap().1;
        let quoted = quoted.split_once("```").unwrap().0;
        assert_eq!(quoted, read("examples/harnesses/agent.py"));
    }

    #[test]
    fn a_python_program_is_started_by_python_and_another_by_itself() {
        let example = checkout::root().join("examples/harnesses/agent.py");
        assert_eq!(argv(&example).unwrap(), [PathBuf::from("python3"), example]);
        let itself = std::env::current_exe().unwrap();
        assert_eq!(argv(&itself).unwrap(), [itself]);
        let missing = argv(Path::new("/no/such/agent.py")).unwrap_err();
        assert_eq!(missing.to_string(), "there is no file /no/such/agent.py");
    }
}
