//! Files laid by a shell before an agent's program starts, in an image that knows nothing of us.
//!
//! Holds: of a template without files nothing reaches a deployment but the start command that it always had; content goes in variables of
//! their own, encoded, and neither they nor the script are in the program's environment; the program takes the shell's place, so that
//! it is the container's first process. Deliberately absent: which files there are (`engine::files`), and the runner, which lays them itself.

use super::files::{FilePlaces, LaidFile, MOST_OF_A_VARIABLE, files, is_below};
use super::program::ProgramSettings;
use super::pull::{Broken, runtime};
use super::runner;
use crate::api::condition::reason;
use crate::api::template::{AgentTemplateSpec, Entrypoint, FileMode, Runtime};
use crate::model::harness;
use crate::model::values::Values;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Railway splits a start command into words itself, without a shell: so it has one pair of quotes, and all else is in a variable.
const START: &str = r#"/bin/sh -c 'eval "$YARDMASTER_START"'"#;

/// The variable that has the script.
const SCRIPT_VARIABLE: &str = "YARDMASTER_START";

/// Before the numbers of the variables that have the files.
const FILE_VARIABLE: &str = "YARDMASTER_FILE_";

/// Lays one file: mode, path, place, first and last number of its variables. It is a process of its own, so that none of its variables
/// changes one of the program's. No directory below the place may be a link: an agent could have laid it there, and this shell is perhaps root.
/// `set -C` opens what is not there, and so through no link either. Written for dash, ash and bash.
const LAY: &str = r#"lay() (
p=$2 place=$3 t=${2%/*}/.yardmaster-$$ i=$4 nl='
'
umask 077
fail() { printf 'yardmaster: the file %s cannot be laid: %s\n' "$p" "${1%%"$nl"*}" >&2; exit 1; }
own() { o=$(stat -c %u:%g "${1%/*}/" 2>/dev/null) && chown "$o" "$1" 2>/dev/null; :; }
directory() {
if [ "$1" = "$place" ]; then
[ -d "$1" ] && return
e=$(umask 022; mkdir -p "$1" 2>&1) || fail "$e"
else
directory "${1%/*}"
[ ! -L "$1" ] || fail "the directory $1 is a link"
[ -d "$1" ] && return
e=$(mkdir -m 755 "$1" 2>&1) || fail "$e"
fi
own "$1"
}
directory "${p%/*}"
if [ "$1" = IfMissing ]; then [ -e "$p" ] || [ -L "$p" ]; else false; fi && exit 0
[ ! -d "$p" ] || fail 'a directory lies there'
e=$({ rm -f "$t"; set -C; while [ "$i" -le "$5" ]; do eval "printf %s \"\$YARDMASTER_FILE_$i\""; i=$((i + 1)); done | base64 -d > "$t"; } 2>&1) || { rm -f "$t"; fail "base64 -d: $e"; }
own "$t"
e=$(mv -f "$t" "$p" 2>&1) || { rm -f "$t"; fail "$e"; }
)
"#;

/// What starts an agent, and the variables that it needs for that.
pub struct Laying {
    /// The start command. `None`: the image's own.
    pub start: Option<String>,
    /// Its variables.
    pub variables: BTreeMap<String, SecretString>,
    /// What is set beside them, and gives way to what anybody says.
    pub usual: BTreeMap<String, SecretString>,
}

/// What starts a template's agents. `variables`: what its row sets, and what it says itself.
///
/// # Errors
/// Its files cannot be had, or cannot be laid.
pub fn laying(
    template: &AgentTemplateSpec,
    program: &ProgramSettings,
    variables: &BTreeMap<String, SecretString>,
    values: &Values,
) -> Result<Laying, Broken> {
    let runtime = runtime(template)?;
    let start = program.start(runtime);
    let files = files(template, variables, values)?;
    if runtime.entrypoint == Entrypoint::Runner {
        return Ok(Laying {
            start,
            variables: runner::variables(runtime, variables, &files)?,
            usual: BTreeMap::new(),
        });
    }
    if files.is_empty() {
        return Ok(Laying {
            start,
            variables: BTreeMap::new(),
            usual: BTreeMap::new(),
        });
    }
    let start = start.ok_or_else(|| Broken {
        reason: reason::FILES_NOT_SUPPORTED,
        message: "files cannot be laid: what the image starts by itself is not known here, so nothing can be done before it; write its command in runtime.startCommand (the image needs /bin/sh and base64), or take an image with yardmaster-runner and write runtime.entrypoint: Runner, or take files away".to_owned(),
    })?;
    let words = shlex::split(&start).filter(|words| !words.is_empty());
    let words = words.ok_or_else(|| Broken {
        reason: reason::VALUE_NOT_USABLE,
        message: "runtime.startCommand cannot be taken apart into words, which files need: a quote is not closed, or there is no word; correct it".to_owned(),
    })?;
    Ok(Laying {
        start: Some(START.to_owned()),
        variables: shell(&files, &words),
        usual: moved(
            runtime,
            &FilePlaces::of(runtime, &template.env, variables),
            &files,
        ),
    })
}

/// What moves a program's configuration to where files for it lie. Without such files it stays where it is: an agent that runs has it there.
fn moved(
    runtime: &Runtime,
    places: &FilePlaces,
    files: &[LaidFile],
) -> BTreeMap<String, SecretString> {
    let state = harness::row(runtime.harness).state;
    let moved = state.and_then(|state| state.configuration);
    let moved = moved.zip(places.state.as_ref());
    let moved = moved.map(|((variable, below), state)| (variable, format!("{state}{below}")));
    let moved = moved.filter(|(_, place)| {
        files
            .iter()
            .any(|file| is_below(&file.path, place.as_str()))
    });
    let moved = moved.map(|(variable, place)| (variable.to_owned(), SecretString::from(place)));
    moved.into_iter().collect()
}

/// The script's variables, the script among them.
fn shell(files: &[LaidFile], words: &[String]) -> BTreeMap<String, SecretString> {
    let (mut variables, mut script) = (BTreeMap::new(), LAY.to_owned());
    let mut number = 0;
    for file in files {
        let first = number + 1;
        let encoded = BASE64.encode(file.content.expose_secret());
        for part in encoded.as_bytes().chunks(MOST_OF_A_VARIABLE) {
            number += 1;
            // What is encoded so is ASCII, and ends nowhere within a letter.
            let part = String::from_utf8_lossy(part).into_owned();
            variables.insert(format!("{FILE_VARIABLE}{number}"), SecretString::from(part));
        }
        let mode = match file.mode {
            FileMode::IfMissing => "IfMissing",
            FileMode::Always => "Always",
        };
        let (path, place) = (quoted(&file.path), quoted(&file.place));
        // Writing to a String cannot fail.
        let _ = writeln!(
            script,
            "lay {mode} {path} {place} {first} {number} || exit 1"
        );
    }
    let names = variables.keys().map(String::as_str);
    let names: Vec<&str> = names.chain([SCRIPT_VARIABLE]).collect();
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    // No line break at the end: somebody on the way could take it off, and what is there would look changed.
    let _ = write!(
        script,
        "unset {}\nexec {}",
        names.join(" "),
        words.join(" ")
    );
    variables.insert(SCRIPT_VARIABLE.to_owned(), SecretString::from(script));
    variables
}

/// Text as one word of a shell, and nowhere in it `${{`, which Railway would replace by a reference.
fn quoted(text: &str) -> String {
    let text = text.replace('\'', r"'\''").replace("${{", "$''{{");
    format!("'{text}'")
}

#[cfg(test)]
mod tests;
