//! The files of a template's agents: where each lies, what stands in it, and which are laid at every start.
//!
//! Holds: every file lies below one of its program's own directories; a template's file comes before the row's at the same path; the same
//! template and values give the same list in the same order. A directory that a Secret says is in no sentence. Deliberately absent: how they
//! get there (`engine::laying`, `yardmaster-runner`).

use super::pull::{Broken, runtime};
use super::referred::look_up;
use crate::api::condition::reason;
use crate::api::template::{AgentTemplateSpec, EnvVar, FileMode, Runtime, TemplateFile};
use crate::model::harness::{self, HarnessRow};
use crate::model::runner::before;
use crate::model::values::{MOST, Values};
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, BTreeSet};

/// Most bytes in one variable with files: as many as a template may write in one itself. The kernel would take 128 KiB; what Railway takes
/// nobody says.
pub(super) const MOST_OF_A_VARIABLE: usize = 32_768;

/// A file as it is to lie there.
#[derive(Clone, Debug)]
pub struct LaidFile {
    /// Where: an absolute path.
    pub path: String,
    /// Which of the program's directories that is below.
    pub place: String,
    /// What stands in it.
    pub content: SecretString,
    /// When it is laid.
    pub mode: FileMode,
}

/// The directories in which a program's files may lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlaces {
    /// Where its state lies, and relative paths begin. `None`: nobody knows it before it runs.
    pub state: Option<String>,
    /// The others.
    pub others: Vec<String>,
    /// The variable from which the first is known, where its value stands elsewhere than in the template: it may be a Secret's.
    told_in: Option<&'static str>,
}

impl FilePlaces {
    /// Those of a template's agents. `env`: what it says itself; `variables`: that, and what its row sets.
    pub fn of(
        runtime: &Runtime,
        env: &[EnvVar],
        variables: &BTreeMap<String, SecretString>,
    ) -> FilePlaces {
        let row = harness::row(runtime.harness);
        let mount = runtime.volume.as_ref();
        let mount = mount.map(|volume| volume.mount_path.0.clone());
        let state = match (before(runtime), &row.state) {
            (Some(known), _) => Some(known.state(runtime)),
            (None, None) => mount.clone(),
            (None, Some(state)) => {
                let moved = variables.get(state.variable);
                let directory = moved.map_or(state.directory, |moved| moved.expose_secret());
                let directory = directory.trim_end_matches('/');
                is_plain(directory).then(|| directory.to_owned())
            }
        };
        let own = row.places.iter().map(|place| (*place).to_owned());
        let others = mount.into_iter().chain(own);
        let others = others.filter(|place| state.as_ref() != Some(place));
        let told_in = row.state.filter(|_| before(runtime).is_none());
        let told_in = told_in.map(|state| state.variable);
        let refers = |name: &&str| {
            let mut env = env.iter();
            env.any(|one| one.name.0 == *name && one.value.is_none())
        };
        FilePlaces {
            others: others.collect(),
            told_in: told_in.filter(refers),
            state,
        }
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        self.state.iter().chain(&self.others)
    }

    /// Where a path is, and below which place. The innermost place is the one.
    fn locate(&self, path: &str, runtime: &Runtime) -> Result<(String, String), Broken> {
        let row = harness::row(runtime.harness);
        let wrong = |why: String| unusable(format!("files[].path {path} {why}"));
        let whole = match (path.starts_with('/'), &self.state) {
            (true, _) => path.to_owned(),
            (false, Some(state)) => format!("{state}/{path}"),
            (false, None) => return Err(wrong(self.nowhere(runtime, &row))),
        };
        let places = self.all().filter(|place| is_below(&whole, place));
        let place = places.max_by_key(|place| place.len()).cloned();
        match place.filter(|_| is_plain(&whole)) {
            Some(place) => Ok((whole, place)),
            None => Err(wrong(format!(
                "is outside the places in which {} may have files; write one below {}",
                row.name,
                self.listed()
            ))),
        }
    }

    /// Why a relative path lies nowhere. A volume cannot be added to a template, so another one is named.
    fn nowhere(&self, runtime: &Runtime, row: &HarnessRow) -> String {
        let (why, variable) = match &row.state {
            Some(state) => (
                format!(
                    "where {} keeps its state is not known before it runs",
                    row.name
                ),
                Some(state.variable),
            ),
            None => (
                "there is no runtime.volume below which it could lie".to_owned(),
                None,
            ),
        };
        let variable =
            variable.map(|name| format!("write an absolute path in the variable {name}"));
        let volume = "make another AgentTemplate with runtime.volume".to_owned();
        let volume = Some(volume).filter(|_| runtime.volume.is_none());
        let here = Some(self.listed()).filter(|_| self.all().next().is_some());
        let here = here.map(|places| format!("write here an absolute path below {places}"));
        let ways: Vec<String> = variable.into_iter().chain(volume).chain(here).collect();
        format!("is relative, and {why}; {}", ways.join(", or "))
    }

    fn listed(&self) -> String {
        let state = self.state.as_ref().map(|state| match self.told_in {
            Some(variable) => the_directory(variable),
            None => state.clone(),
        });
        let all: Vec<String> = state
            .into_iter()
            .chain(self.others.iter().cloned())
            .collect();
        all.join(", ")
    }

    /// A path that lies in one of these, as people may see it.
    fn said(&self, path: &str) -> String {
        let below = self.state.as_ref().and_then(|state| {
            let below = path.strip_prefix(state.as_str())?;
            below.strip_prefix('/')
        });
        match (self.told_in, below) {
            (Some(variable), Some(below)) => format!("{below} in {}", the_directory(variable)),
            _ => path.to_owned(),
        }
    }
}

fn the_directory(variable: &str) -> String {
    format!("the directory in {variable}")
}

/// Whether a path lies below a directory.
pub(super) fn is_below(path: &str, place: &str) -> bool {
    let below = path.strip_prefix(place);
    below.is_some_and(|below| below.len() > 1 && below.starts_with('/'))
}

/// As the API server holds paths to it. What stands in a variable nobody has looked at.
fn is_plain(path: &str) -> bool {
    let segments = path.strip_prefix('/').unwrap_or_default().split('/');
    let taken =
        |segment: &str| ["", ".", ".."].contains(&segment) || segment.starts_with(".yardmaster");
    let plain = |segment: &str| !taken(segment) && !segment.chars().any(char::is_control);
    segments.into_iter().all(plain)
}

/// The files of a template's agents, in the order of their paths. `variables`: what its row sets, and what it says itself.
///
/// # Errors
/// One lies where it may not, is two, or is larger than may be; what it refers to is not there.
pub fn files(
    template: &AgentTemplateSpec,
    variables: &BTreeMap<String, SecretString>,
    values: &Values,
) -> Result<Vec<LaidFile>, Broken> {
    let runtime = runtime(template)?;
    let places = FilePlaces::of(runtime, &template.env, variables);
    let mut all: BTreeMap<String, LaidFile> = BTreeMap::new();
    let mut room = MOST;
    for file in &template.files {
        let written = file.path.as_str();
        let (path, place) = places.locate(written, runtime)?;
        let content = content(file, values)?;
        let size = content.expose_secret().len();
        room = room.checked_sub(size).ok_or_else(|| unusable(format!(
            "files must have at most {MOST} bytes together, and with {written} they have more; put a large file into the image or let the agent fetch it"
        )))?;
        let laid = LaidFile {
            path: path.clone(),
            place,
            content,
            mode: file.mode,
        };
        if all.insert(path, laid).is_some() {
            return Err(unusable(format!(
                "files[].path {written} is the path of two files, one of them written in another way; take one away"
            )));
        }
    }
    let known = before(runtime);
    let own = harness::row(runtime.harness).files;
    for file in known.as_ref().map_or(own, |known| known.files) {
        // Where the state is not known, what the program needs there is its own affair.
        let Ok((path, place)) = places.locate(file.path, runtime) else {
            continue;
        };
        all.entry(path.clone()).or_insert_with(|| LaidFile {
            path,
            place,
            content: SecretString::from(file.content),
            mode: FileMode::IfMissing,
        });
    }
    // They come later, with whoever is told who it is: too late to say that they cannot lie there.
    let persona = known.map_or(&[][..], |known| known.persona).iter();
    let persona = persona.filter_map(|(path, _)| Some(places.locate(path, runtime).ok()?.0));
    nested(&all, &persona.collect(), &places)?;
    Ok(all.into_values().collect())
}

/// A file cannot be a directory as well. `later`: files that are laid with a persona.
fn nested(
    all: &BTreeMap<String, LaidFile>,
    later: &BTreeSet<String>,
    places: &FilePlaces,
) -> Result<(), Broken> {
    for path in all.keys().chain(later) {
        let above = path.match_indices('/').map(|(end, _)| &path[..end]);
        let file = |above: &&str| all.contains_key(*above) || later.contains(*above);
        let Some(above) = above.into_iter().find(file) else {
            continue;
        };
        let (below, above) = (places.said(path), places.said(above));
        return Err(unusable(match all.contains_key(path) {
            true => format!(
                "files[].path {below} lies below {above}, which is a file itself; rename one of the two"
            ),
            false => format!(
                "files[].path {above} is where a directory must be: {below}, which says who the agent is, lies below it; rename it"
            ),
        }));
    }
    Ok(())
}

fn content(file: &TemplateFile, values: &Values) -> Result<SecretString, Broken> {
    let what = format!("files[].path {}", file.path);
    if let Some(content) = &file.content {
        return Ok(SecretString::from(content.clone()));
    }
    let found = match &file.content_from {
        Some(from) => look_up(from, values, &what)?,
        None => None,
    };
    found.cloned().ok_or_else(|| {
        unusable(format!(
            "{what} has nothing that says what stands in it; write content or contentFrom"
        ))
    })
}

fn unusable(message: String) -> Broken {
    Broken {
        reason: reason::VALUE_NOT_USABLE,
        message,
    }
}

#[cfg(test)]
mod tests;
