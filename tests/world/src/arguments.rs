//! The command line of the two programs, as `cargo demo` and `cargo world` hand it over.
//!
//! Absent: what the arguments mean; clap reads them.

use std::env;
use std::ffi::OsString;

/// This program's arguments. Cargo's aliases end in `--`, so that `cargo demo --once` works; of the usual
/// `cargo demo -- --once` the program gets the second `--`, after which clap would take flags for paths.
#[must_use]
pub fn arguments() -> Vec<OsString> {
    without_separator(env::args_os().collect())
}

/// What is given to `--set`.
///
/// # Errors
/// It is not KEY=VALUE.
pub fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not KEY=VALUE")),
    }
}

fn without_separator(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.get(1).is_some_and(|first| first == "--") {
        arguments.remove(1);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::without_separator;

    #[test]
    fn one_separator_goes() {
        let left = |given: &[&str]| without_separator(given.iter().map(Into::into).collect());
        assert_eq!(left(&["demo", "--", "--once"]), ["demo", "--once"]);
        assert_eq!(left(&["demo", "--once"]), ["demo", "--once"]);
        assert_eq!(left(&["demo", "--", "--", "-x"]), ["demo", "--", "-x"]);
        assert_eq!(left(&["demo"]), ["demo"]);
    }
}
