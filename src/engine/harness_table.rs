//! The harness table as people read it: what stands in each row, and what the runner is to know of it, in words.
//!
//! Holds: every row and every field of it is shown, so that what the documentation says is what the code does. Deliberately absent:
//! anything that is not in the table.

use crate::api::template::Harness;
use crate::model::harness::{HarnessRow, row};
use crate::model::runner::{CleanRow, Hearing, RunnerRow, behind};

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
                let moved = state
                    .configuration
                    .map_or_else(String::new, |(name, below)| {
                        format!(
                            "; with `files` below `{}`, `{name}` is that directory",
                            below.trim_start_matches('/')
                        )
                    });
                format!(
                    "`{}`; with `runtime.volume`, `{}` is `<mountPath>{}`{moved}",
                    state.directory, state.variable, state.below
                )
            },
        )
    }),
    ("files laid where none is", |row| {
        let files = row.files.iter();
        let files = files.map(|file| format!("`{}`: `{}`", file.path, file.content));
        listed(files.collect())
    }),
    ("`files` may also lie below", |row| {
        let places = row.places.iter();
        listed(places.map(|place| format!("`{place}`")).collect())
    }),
    ("lays `files`", |row| match row.start {
        Some(_) => String::from("by its start command"),
        None => String::from("by `runtime.startCommand`, where that is written"),
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
            || String::from("only with `entrypoint: Runner` (below)"),
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

/// A line of the second table.
type RunnerLine = (&'static str, fn(&HarnessRow, &RunnerRow) -> String);

const BEHIND: &[RunnerLine] = &[
    ("is started as", |_, one| match one.words {
        [] => String::from("`runtime.startCommand`"),
        words => format!("`runtime.startCommand`, else `{}`", words.join(" ")),
    }),
    ("`{state}`, where it keeps its state", |row, one| {
        let below = row.state.map_or("", |state| state.below);
        format!("`<mountPath>{below}`, without a volume `{}`", one.directory)
    }),
    ("led there by", |_, one| pairs(one.places)),
    ("also set", |_, one| pairs(one.variables)),
    ("laid where there is none", |_, one| {
        listed(
            one.files
                .iter()
                .map(|file| format!("`{}`", file.path))
                .collect(),
        )
    }),
    ("is told who it is in", |_, one| {
        let files = one.persona.iter().map(|(path, _)| format!("`{path}`"));
        let told = one
            .told
            .iter()
            .map(|(name, _)| format!("variable `{name}`"));
        listed(files.chain(told).collect())
    }),
    ("a claim's model", |_, one| {
        let all = one.persona.iter().chain(one.told);
        let with = all.filter(|(_, text)| text.contains("{model}"));
        let mut said: Vec<String> = with.map(|(place, _)| format!("in `{place}`")).collect();
        if one.needs_model {
            said.push(String::from("and it is not told anything without one"));
        }
        listed(said)
    }),
    ("a template says the model itself by", |_, one| {
        let files = one.configuration.iter();
        let files = files.map(|path| format!("file `{path}`"));
        let variables = one.configured.iter();
        let variables = variables.map(|name| format!("variable `{name}`"));
        listed(files.chain(variables).collect())
    }),
    ("a claim cannot set", |_, one| {
        let names = one.reserved().into_iter();
        listed(names.map(|name| format!("`{name}`")).collect())
    }),
    ("hears of it", |_, one| match one.hears {
        Hearing::ByItself => {
            String::from("by itself, and of what stands in variables by a new start")
        }
        Hearing::Restart => String::from("by a new start"),
    }),
    ("a reset deletes", |_, one| match one.reset {
        [] => String::from("nothing: it cannot be reset"),
        all => listed(all.iter().map(|path| format!("`{path}`")).collect()),
    }),
    ("is known to be clean where", |_, one| match one.clean {
        None => String::from("it was never told anything"),
        Some(CleanRow::Missing(paths)) => format!("there is no `{}`", paths.join("`, `")),
        Some(CleanRow::Answer(path, pointer, value)) => {
            format!("`GET {path}` says `{value}`{}", at(pointer))
        }
    }),
    ("is busy where", |_, one| {
        let all = one.busy.iter();
        let all = all.map(|(path, pointer, rest)| {
            format!("`GET {path}` says anything but `{rest}`{}", at(pointer))
        });
        listed(all.collect())
    }),
];

fn at(pointer: &str) -> String {
    match pointer {
        "" => String::new(),
        pointer => format!(" at `{pointer}`"),
    }
}

fn pairs(all: &[(&str, &str)]) -> String {
    let all = all.iter();
    listed(
        all.map(|(name, value)| format!("`{name}={value}`"))
            .collect(),
    )
}

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

/// The table of what stands behind the runner, as Markdown.
pub fn behind_the_runner() -> String {
    let rows = Harness::ALL.into_iter();
    let rows = rows.filter_map(|harness| Some((row(harness), behind(harness)?)));
    let rows: Vec<(HarnessRow, RunnerRow)> = rows.collect();
    let names = rows.iter().map(|(row, _)| format!(" `{}` |", row.name));
    let mut text = format!("| |{}\n| --- |", names.collect::<String>());
    text.push_str(&" --- |".repeat(rows.len()));
    text.push('\n');
    for (what, of) in BEHIND {
        let cells = rows.iter().map(|(row, one)| format!(" {} |", of(row, one)));
        text.push_str(&format!("| {what} |{}\n", cells.collect::<String>()));
    }
    text
}
