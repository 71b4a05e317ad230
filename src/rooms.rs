//! The house as a test: which room may use which, no circle of files, how long files and functions may be, and that the name of a
//! type means one thing.
//!
//! Holds: every `use` and every path of every file is read, test code apart; what is longer stands in a list with its reason. A
//! new direction between rooms is the rarest kind of change: it is made here, and explained in ARCHITECTURE.md.

mod reading;

use reading::{File, read};
use std::collections::{BTreeMap, BTreeSet};

/// Room, and the rooms that it may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("model", &["api"]),
    ("engine", &["api", "model"]),
    ("passes", &["api", "model", "engine"]),
    ("wire", &["model"]),
    ("railway", &["model", "wire"]),
    ("registry", &["model", "wire"]),
    ("agent", &["model", "wire"]),
    ("tools", &["model", "wire"]),
    ("cluster", &["api", "model"]),
    (
        "controllers",
        &[
            "api", "model", "engine", "passes", "wire", "railway", "registry", "agent", "tools",
            "cluster",
        ],
    ),
    (
        "process",
        &[
            "api",
            "engine",
            "wire",
            "registry",
            "agent",
            "tools",
            "cluster",
            "railway",
            "controllers",
        ],
    ),
];

/// What no pure room may name: clients, clocks, tasks.
const EFFECTS: &[&str] = &["tokio", "reqwest", "rand"];

/// The same, by the end of a path.
const CALLS: &[&str] = &[
    "kube::Client",
    "Timestamp::now",
    "SystemTime",
    "Instant",
    "std::fs",
    "std::env",
];

/// Most lines of a file, its tests apart.
const MOST_LINES: usize = 400;

/// Most lines of a function.
const MOST_OF_A_FUNCTION: usize = 60;

/// Functions that are longer, and why.
const LONGER: &[(&str, &str)] = &[
    ("cluster::left_behind record", "one record, field by field"),
    (
        "controllers::gather gather",
        "the order in which a pass's needs are read",
    ),
    (
        "controllers::outside at_railway",
        "one arm for each step at Railway",
    ),
    (
        "engine::absorb absorb",
        "one arm for each pair of step and outcome",
    ),
    (
        "engine::absorb tool",
        "one arm for each pair of step and outcome of a tool",
    ),
    (
        "engine::account status",
        "an account's conditions, each from what was learnt",
    ),
    (
        "engine::configuration configuration",
        "who may be changed now, case by case",
    ),
    (
        "engine::configuration drift",
        "what is compared, and what follows",
    ),
    ("engine::deployment deployment", "one arm for each stage"),
    (
        "engine::disk volume",
        "a volume found again, one too many, or made",
    ),
    (
        "engine::import agents",
        "what makes a project one that can be moved over",
    ),
    (
        "engine::inside forget_what_is_gone",
        "the same question for service, volume and domain",
    ),
    ("engine::inside inside", "the order of what is in a project"),
    ("engine::plan life", "the story of a life"),
    ("engine::teardown teardown", "the story of the way back"),
    ("engine::tools::keep gone", "confirmed, told, or made again"),
    (
        "engine::tools::keep keep",
        "the questions asked of what is on record, in order",
    ),
    (
        "engine::tools::recover recover",
        "the ways in which an attempt is looked up",
    ),
    ("engine::tools::tell tell", "one line for each tool"),
    (
        "engine::tools::wish wanted",
        "what a template offers and an instance asks for",
    ),
    (
        "engine::whose whose",
        "the ways in which a restored object is held",
    ),
    ("passes::pass pass", "the loop of a pass"),
    (
        "process::metrics::families register",
        "one line for each family",
    ),
];

#[test]
fn rooms_use_each_other_only_downwards() {
    let rooms: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut wrong = Vec::new();
    for file in read() {
        let Some(may_use) = file.room().and_then(|room| rooms.get(room)) else {
            continue;
        };
        for path in &file.uses {
            let used = path.first().map(String::as_str).unwrap_or_default();
            let own = file.room() == Some(used);
            if rooms.contains_key(used) && !own && !may_use.contains(&used) {
                wrong.push(format!("{}: {}", file.name(), path.join("::")));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "not allowed by the code map:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_folder_is_a_room() {
    let rooms: BTreeSet<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    let files = read();
    let folders: BTreeSet<&str> = files.iter().filter_map(File::room).collect();
    assert_eq!(folders, rooms);
}

#[test]
fn pure_rooms_name_no_effect() {
    let mut wrong = Vec::new();
    for file in read() {
        if !["api", "model", "engine", "passes"].contains(&file.room().unwrap_or_default()) {
            continue;
        }
        for path in &file.foreign {
            let named = EFFECTS.contains(&path[0].as_str());
            let text = path.join("::");
            let calls = |call: &&&str| {
                let at = text.find(**call);
                at.is_some_and(|at| at == 0 || text[..at].ends_with("::"))
            };
            if named || CALLS.iter().any(|call| calls(&call)) {
                wrong.push(format!("{} names {text}", file.name()));
            }
        }
        if file.room() == Some("engine") && file.waits {
            wrong.push(format!("{} waits", file.name()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let circles = reading::circles(&read());
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn every_file_says_what_it_owns_and_is_short() {
    let mut wrong = Vec::new();
    for file in reading::all() {
        if !file.text.starts_with("//!") {
            wrong.push(format!("{} does not begin with what it owns", file.name()));
        }
    }
    for file in read() {
        if file.lines > MOST_LINES {
            wrong.push(format!("{} has {} lines", file.name(), file.lines));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn functions_are_short() {
    let mut longer = BTreeSet::new();
    for file in read() {
        for (function, lines) in &file.functions {
            if *lines > MOST_OF_A_FUNCTION {
                longer.insert(format!("{} {function}", file.name()));
            }
        }
    }
    let listed: BTreeSet<String> = LONGER.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(longer, listed);
}

#[test]
fn a_type_name_means_one_thing() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in read() {
        for name in &file.types {
            places.entry(name.clone()).or_default().push(file.name());
        }
    }
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}
