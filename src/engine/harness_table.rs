//! The harness table as people read it: what stands in each row, in words.
//!
//! Holds: every row and every field of it is shown, so that what the documentation says is what the code does. Deliberately absent:
//! anything that is not in the table.

use crate::api::template::Harness;
use crate::model::harness::{HarnessRow, row};

/// A line of the table: what it is, and what a row says of it.
type TableLine = (&'static str, fn(&HarnessRow) -> String);

const LINES: &[TableLine] = &[
    ("versions", |row| {
        row.versions.map_or_else(
            || String::from("any"),
            |one| {
                format!(
                    "`{}`, read at `{}`, `{}`",
                    one.range(),
                    one.path,
                    one.pointer
                )
            },
        )
    }),
    ("start command", |row| code(row.start, "the image's own")),
    ("port", |row| {
        row.port.map_or_else(
            || String::from("`runtime.port`"),
            |port| format!("`runtime.port`, else {port}"),
        )
    }),
    ("variable of the port", |row| {
        code(row.port_variable, "none: the start command says it")
    }),
    ("ready when", |row| {
        let who = if row.open { "open" } else { "with the token" };
        format!("`GET {}` answers {} ({who})", row.path, row.expects)
    }),
    ("variable of the token", |row| {
        code(Some(row.token_variable), "")
    }),
    ("takes its token as", |row| row.form.to_string()),
    ("also set", |row| {
        let switches = row.switches.iter();
        let switches = switches.map(|(name, value)| format!("`{name}={value}`"));
        listed(switches.collect())
    }),
    ("state", |row| {
        row.state.map_or_else(
            || String::from("its own affair"),
            |state| {
                format!(
                    "`{}`; with `runtime.volume`, `{}` is `<mountPath>{}`",
                    state.directory, state.variable, state.below
                )
            },
        )
    }),
    ("runs as", |row| match (row.uid, &row.state) {
        (Some(0), _) => String::from("root"),
        (uid, Some(_)) => {
            let who = uid.map_or_else(|| String::from("not known"), |uid| format!("user {uid}"));
            format!("{who}; with `runtime.volume`, root (`RAILWAY_RUN_UID=0`)")
        }
        _ => String::from("its own affair"),
    }),
    ("persona files", |row| {
        listed(row.persona.iter().map(|file| format!("`{file}`")).collect())
    }),
    ("is told who it is", |row| {
        row.telling.map_or_else(
            || String::from("it cannot be told: no pool"),
            |telling| format!("`POST {}`", telling.provision),
        )
    }),
    ("reset, and known to be clean", |row| {
        row.reset.unwrap_or("no").to_owned()
    }),
    ("says that it is busy", |row| {
        row.busy.unwrap_or("no").to_owned()
    }),
    ("least memory", |row| {
        row.least_memory.unwrap_or("not known").to_owned()
    }),
];

fn code(words: Option<&str>, without: &str) -> String {
    words.map_or_else(|| without.to_owned(), |words| format!("`{words}`"))
}

fn listed(all: Vec<String>) -> String {
    match all.is_empty() {
        true => String::from("–"),
        false => all.join(", "),
    }
}

/// The table, as Markdown.
pub fn table() -> String {
    let rows = Harness::ALL.map(row);
    let names = rows.iter().map(|row| format!(" `{}` |", row.name));
    let mut text = format!("| |{}\n| --- |", names.collect::<String>());
    text.push_str(&" --- |".repeat(rows.len()));
    text.push('\n');
    for (what, of) in LINES {
        let cells = rows.iter().map(|row| format!(" {} |", of(row)));
        text.push_str(&format!("| {what} |{}\n", cells.collect::<String>()));
    }
    text
}
