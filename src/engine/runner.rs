//! What the runner in front of a program is told of it: its contract, as variables of the container.
//!
//! What holds: what the template says comes before the row, as where there is no runner; the program's port and credential are the
//! runner's own affair, so nobody outside can know them. Files are secrets, and so is the whole. The form is `runner/README.md`'s, held
//! together with the runner by `runner/tests/contracts`. A runner refuses a field that it does not know, and an image may have an older one: a
//! field that is newer is sent only where it says something (`quoted`, `reserved`, `needs`). Deliberately absent: the persona, which an agent is
//! told.

use super::files::{LaidFile, MOST_OF_A_VARIABLE};
use super::program::{asked, credential};
use super::pull::Broken;
use crate::api::condition::reason;
use crate::api::template::{Entrypoint, FileMode, Runtime};
use crate::model::harness::{HarnessRow, row};
use crate::model::runner::{CleanRow, Hearing, RunnerRow, before, behind};
use crate::model::{Expects, ReadinessProbe, ShownToken, TokenForm};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The variable that the runner reads; what is longer goes on in `…_1` and so on.
const VARIABLE: &str = "YARDMASTER_RUNNER";

/// Names of variables that no claim can set. None where there is no runner.
pub fn reserved(runtime: &Runtime) -> BTreeSet<&'static str> {
    before(runtime).map_or_else(BTreeSet::new, |known| known.reserved())
}

/// What a runner's container is given beside token and port, whatever else has these names. Nothing where there is no runner. `set`: what the
/// template says itself.
///
/// # Errors
/// The template's words are none that this version understands.
pub fn variables(
    runtime: &Runtime,
    set: &BTreeMap<String, SecretString>,
    files: &[LaidFile],
) -> Result<BTreeMap<String, SecretString>, Broken> {
    let mut given = BTreeMap::new();
    if runtime.entrypoint == Entrypoint::Harness {
        return Ok(given);
    }
    let text = contract(runtime, set, files)?;
    let mut names = std::iter::once(VARIABLE.to_owned())
        .chain((1..).map(|number| format!("{VARIABLE}_{number}")));
    for piece in pieces(text.expose_secret()) {
        given.extend(names.next().map(|name| (name, SecretString::from(piece))));
    }
    let known = known(runtime)?;
    let state = known.state(runtime);
    for (name, place) in known.places {
        let place = place.replace("{state}", &state);
        given.insert((*name).to_owned(), SecretString::from(place));
    }
    Ok(given)
}

/// What the runner is to know of the template's program.
fn known(runtime: &Runtime) -> Result<RunnerRow, Broken> {
    behind(runtime.harness).ok_or_else(|| Broken {
        reason: reason::VALUE_NOT_USABLE,
        message: format!(
            "runtime.entrypoint Runner has no meaning with harness {}; take it away, or write another harness",
            row(runtime.harness).name
        ),
    })
}

/// The contract, as the runner reads it.
fn contract(
    runtime: &Runtime,
    set: &BTreeMap<String, SecretString>,
    files: &[LaidFile],
) -> Result<SecretString, Broken> {
    let (row, known) = (row(runtime.harness), known(runtime)?);
    let said = &runtime.contract;
    let state = known.state(runtime);
    let placed = |text: &str| text.replace("{state}", &state);
    let named = |rows: &[(&str, &str)]| -> BTreeMap<String, String> {
        let rows = rows.iter();
        rows.map(|(name, text)| ((*name).to_owned(), placed(text)))
            .collect()
    };
    let configured = configures(&known, &state, files);
    let persona = known.persona.iter();
    // Of all that says who it is only its configuration can be the template's own: that stays, and has no place for a model then.
    let persona = persona.filter(|(_, text)| !(configured && text.contains("{model}")));
    let persona = persona.map(|(path, text)| match path.ends_with(".md") {
        true => json!({"path": path, "text": text}),
        false => json!({"path": path, "text": text, "quoted": true}),
    });
    let others = files.iter().map(|file| &file.place);
    let places: BTreeSet<&String> = others.filter(|place| **place != state).collect();
    let port = said.port_variable.as_ref().map(|name| name.0.as_str());
    let mut contract = json!({
        "version": 1,
        "name": row.name,
        "argv": words(runtime, &known)?,
        "port": {"variable": port.or(row.port_variable)},
        "credential": shown(credential(said, &row)),
        "env": named(known.variables),
        "readiness": question(&asked(said, &row)?, &row),
        "stateDirectory": &state,
        "places": places,
        "files": files.iter().map(laid).collect::<Vec<_>>(),
        "persona": {"files": persona.collect::<Vec<_>>(), "variables": named(known.told)},
        "toldBy": match known.hears {
            Hearing::ByItself => "Nothing",
            Hearing::Restart => "Restart",
        },
    });
    let configured = configured || known.configured.iter().any(|name| set.contains_key(*name));
    say_what_there_is(&mut contract, &known, configured);
    // Else the provider would put a variable's value there.
    let text = contract.to_string().replace("${{", "\\u0024{{");
    Ok(SecretString::from(text))
}

/// Adds what only some programs have. `configured`: whether the template says the program's configuration itself.
fn say_what_there_is(contract: &mut Value, known: &RunnerRow, configured: bool) {
    let reserved = known.reserved();
    if !reserved.is_empty() {
        contract["reserved"] = json!(reserved);
    }
    if known.needs_model && !configured {
        contract["needs"] = json!(["model"]);
    }
    if !known.reset.is_empty() {
        contract["reset"] = json!({"delete": known.reset});
    }
    if let Some(clean) = known.clean {
        contract["clean"] = match clean {
            CleanRow::Missing(paths) => json!({"missing": paths}),
            CleanRow::Answer(path, pointer, equals) => {
                json!({"answer": {"path": path, "pointer": pointer, "equals": equals, "credential": true}})
            }
        };
    }
    let busy = known.busy.iter().map(|(path, pointer, rest)| {
        json!({"path": path, "pointer": pointer, "unlike": rest, "credential": true})
    });
    contract["busy"] = busy.collect();
}

/// Whether a template's files say the program's configuration. What the row lays itself does not count.
fn configures(known: &RunnerRow, state: &str, files: &[LaidFile]) -> bool {
    let usual = |text: &str| known.files.iter().any(|file| file.content == text);
    files.iter().any(|file| {
        let mut paths = known.configuration.iter();
        let is_one = paths.any(|path| file.path == format!("{state}/{path}"));
        is_one && !usual(file.content.expose_secret())
    })
}

/// What is started: the template's words, else the row's.
fn words(runtime: &Runtime, known: &RunnerRow) -> Result<Vec<String>, Broken> {
    let unusable = |message: &str| Broken {
        reason: reason::VALUE_NOT_USABLE,
        message: message.to_owned(),
    };
    let words = match &runtime.start_command {
        None => known.words.iter().map(|word| (*word).to_owned()).collect(),
        Some(command) => shlex::split(command).ok_or_else(|| {
            unusable("runtime.startCommand has a quote that does not end, or a backslash at its end; the runner takes it apart into words as a shell does: write both quotes")
        })?,
    };
    match words.first() {
        Some(first) if !first.is_empty() => Ok(words),
        _ => Err(unusable(
            "runtime.startCommand has no words in it: with runtime.entrypoint Runner they say what the runner starts",
        )),
    }
}

/// How the program takes its credential, which the runner makes up.
fn shown(token: Option<ShownToken>) -> Value {
    let Some(ShownToken { form, variable }) = token else {
        return json!({});
    };
    let auth = match form {
        TokenForm::Bearer => json!({"type": "Bearer"}),
        TokenForm::Basic { user } => json!({"type": "Basic", "username": user}),
        TokenForm::Header { name } => json!({"type": "Header", "header": name}),
    };
    json!({"variable": variable, "auth": auth})
}

/// What the program is asked, and where in the same answer it says its version.
fn question(probe: &ReadinessProbe, row: &HarnessRow) -> Value {
    let mut asked = Map::new();
    asked.insert("path".to_owned(), json!(probe.path));
    asked.insert("credential".to_owned(), json!(probe.credential.is_some()));
    match &probe.expects {
        Expects::Status(status) => {
            asked.insert("status".to_owned(), json!(status));
        }
        Expects::Value { pointer, equals } => {
            asked.insert("pointer".to_owned(), json!(pointer));
            asked.insert("equals".to_owned(), json!(equals));
            let own = row.versions.filter(|place| place.path == probe.path);
            let version = match row.versions {
                Some(_) => own.map(|place| place.pointer),
                None => Some("/version"),
            };
            asked.extend(version.map(|place| ("version".to_owned(), json!(place))));
        }
    }
    Value::Object(asked)
}

fn laid(file: &LaidFile) -> Value {
    let content = BASE64.encode(file.content.expose_secret());
    let mode = match file.mode {
        FileMode::IfMissing => "IfMissing",
        FileMode::Always => "Always",
    };
    json!({"path": file.path, "content": content, "mode": mode})
}

/// A text in pieces that are short enough; none begins or ends in a space, which somebody on the way could take off.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > MOST_OF_A_VARIABLE {
        let bytes = rest.as_bytes();
        let fits = |at: &usize| {
            let spaces = bytes[at - 1].is_ascii_whitespace() || bytes[*at].is_ascii_whitespace();
            rest.is_char_boundary(*at) && !spaces
        };
        let whole = |at: &usize| rest.is_char_boundary(*at);
        let mut places = (1..=MOST_OF_A_VARIABLE).rev();
        let at = places.clone().find(fits).or_else(|| places.find(whole));
        let at = at.unwrap_or(rest.len());
        let (piece, left) = rest.split_at(at);
        pieces.push(piece.to_owned());
        rest = left;
    }
    pieces.push(rest.to_owned());
    pieces
}

#[cfg(test)]
mod tests;
