//! What a contract must be beyond its form, so that nothing wrong is found only when a harness starts.
//!
//! Holds: no error repeats a value. Absent: the form (`contract.rs`).

use super::{AuthKind, Authentication, Contract, Credential, Question, ToldBy, is_variable};
use crate::files::Places;
use crate::secret::Secret;
use std::path::Path;

impl Contract {
    /// Says what is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.argv.first().is_none_or(String::is_empty) {
            return Err("argv is empty".to_owned());
        }
        if self.name.is_empty() || self.name.contains(char::is_control) {
            return Err("name is empty, or no name".to_owned());
        }
        if self.port.number == Some(0) {
            return Err("port.number is 0".to_owned());
        }
        self.credential.check()?;
        self.readiness.check("readiness")?;
        for busy in &self.busy {
            busy.check("busy")?;
        }
        if let Some(clean) = &self.clean {
            if let Some(answer) = &clean.answer {
                answer.check("clean.answer")?;
            } else if clean.missing.is_empty() {
                return Err("clean has neither missing nor answer".to_owned());
            }
        }
        if let ToldBy::Post(path) = &self.told_by {
            is_path(path, "toldBy.Post")?;
        }
        for file in &self.files {
            file.permissions()?;
        }
        let values = self.env.values().chain(self.persona.variables.values());
        if values.chain(&self.argv).any(|text| text.contains('\0')) {
            return Err("argv, env or persona.variables: a zero byte".to_owned());
        }
        let variables = self.env.keys().chain(self.persona.variables.keys());
        let variables = variables
            .chain(&self.port.variable)
            .chain(&self.credential.variable);
        for name in variables {
            if !is_variable(name) {
                return Err("env, persona.variables, port.variable or credential.variable: a name that is no variable's".to_owned());
            }
        }
        self.check_paths()
    }

    /// Nothing that is written or deleted lies outside the places.
    fn check_paths(&self) -> Result<(), String> {
        let directories = self.places.iter().chain([&self.state_directory]);
        for directory in directories {
            if !directory.is_absolute() || directory.parent().is_none() {
                return Err("stateDirectory and places are absolute, and not the root".to_owned());
            }
        }
        let places = self.places();
        let laid = self.files.iter().map(|file| &file.path);
        let laid = laid.chain(self.persona.files.iter().map(|file| &file.path));
        for path in laid {
            is_not_ours(path)?;
            places.locate(path)?;
        }
        let state = Places::new(&self.state_directory, &[]);
        let deleted = self.reset.iter().flat_map(|reset| &reset.delete);
        for path in deleted.chain(&self.stale) {
            is_not_ours(path)?;
            state.locate(path)?;
        }
        for path in self.clean.iter().flat_map(|clean| &clean.missing) {
            state.locate(path)?;
        }
        Ok(())
    }
}

/// Whose the agent is stands there.
fn is_not_ours(path: &Path) -> Result<(), String> {
    let mut parts = path.components();
    let ours = |part: std::path::Component| {
        part.as_os_str()
            .as_encoded_bytes()
            .starts_with(b".yardmaster")
    };
    match parts.any(ours) {
        true => Err(
            "files, persona.files, reset.delete or stale: names that begin with .yardmaster are the runner's own"
                .to_owned(),
        ),
        false => Ok(()),
    }
}

impl Credential {
    fn check(&self) -> Result<(), String> {
        let Authentication {
            kind,
            username,
            header,
        } = &self.auth;
        if username.is_some() != (*kind == AuthKind::Basic) {
            return Err(
                "credential.auth.username goes with Basic, and with nothing else".to_owned(),
            );
        }
        if header.is_some() != (*kind == AuthKind::Header) {
            return Err(
                "credential.auth.header goes with Header, and with nothing else".to_owned(),
            );
        }
        const OF_THE_CONNECTION: [&str; 6] = [
            "host",
            "connection",
            "content-length",
            "transfer-encoding",
            "upgrade",
            "te",
        ];
        let of_the_connection =
            |name: &str| OF_THE_CONNECTION.contains(&name.to_ascii_lowercase().as_str());
        if header.as_deref().is_some_and(of_the_connection) {
            return Err("credential.auth.header is one of the connection's own".to_owned());
        }
        let name = header.as_deref().map(str::as_bytes);
        if name.is_some_and(|name| hyper::header::HeaderName::from_bytes(name).is_err()) {
            return Err("credential.auth.header is no header's name".to_owned());
        }
        if username
            .as_deref()
            .is_some_and(|name| name.contains([':', '\n', '\r']))
        {
            return Err("credential.auth.username has a colon or a line break in it".to_owned());
        }
        let given = self.value.as_ref().map(Secret::expose);
        if given.is_some_and(|value| value.is_empty() || value.contains(char::is_control)) {
            return Err("credential.value is empty, or has a line break in it".to_owned());
        }
        Ok(())
    }
}

impl Question {
    fn check(&self, field: &str) -> Result<(), String> {
        is_path(&self.path, &format!("{field}.path"))?;
        let asks = self.pointer.is_some();
        let wanted = [&self.equals, &self.unlike].into_iter().flatten().count();
        if asks == self.status.is_some() || wanted > usize::from(asks) {
            return Err(format!(
                "{field}: it has either status, or pointer and one of equals and unlike"
            ));
        }
        let mut pointers = self.pointer.iter().chain(&self.version);
        if pointers.any(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
            return Err(format!("{field}: a JSON pointer begins with a slash"));
        }
        Ok(())
    }
}

fn is_path(path: &str, field: &str) -> Result<(), String> {
    if path.starts_with('/') && path.parse::<hyper::Uri>().is_ok() {
        return Ok(());
    }
    Err(format!("{field} is no path"))
}
