//! The rooms and the direction in which they may use each other (ARCHITECTURE.md, code map), held by reading the `use`
//! lines. A new direction is the rarest kind of change: it is made here, with its reason in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

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
const EFFECTS: &[&str] = &[
    "tokio",
    "reqwest",
    "kube::Client",
    "Timestamp::now",
    "SystemTime",
    "Instant",
    "rand",
    "std::fs",
    "std::env",
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The part of a file that ships: tests may use what they like.
fn shipped(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.to_string_lossy();
    if name.contains("tests") || name.contains("/laws") {
        return String::new();
    }
    text.split("#[cfg(test)]\nmod ")
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn rooms_use_each_other_only_downwards() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = ROOMS
        .iter()
        .map(|(room, uses)| (*room, uses.iter().copied().collect()))
        .collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (room, may_use) in &allowed {
        for file in files(&src.join(room)) {
            let text = shipped(&file);
            for (number, line) in text
                .lines()
                .enumerate()
                .filter(|(_, line)| !line.trim_start().starts_with("//"))
            {
                for piece in line.split("crate::").skip(1) {
                    let used: String = piece
                        .chars()
                        .take_while(|c| c.is_alphanumeric() || *c == '_')
                        .collect();
                    let known = allowed.contains_key(used.as_str());
                    if known && used != *room && !may_use.contains(used.as_str()) {
                        wrong.push(format!(
                            "{}:{}: {room} uses {used}",
                            file.display(),
                            number + 1
                        ));
                    }
                }
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
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let folders: BTreeSet<String> = std::fs::read_dir(src)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let rooms: BTreeSet<String> = ROOMS.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(folders, rooms);
}

#[test]
fn pure_rooms_name_no_effect() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for room in ["api", "model", "engine"] {
        for file in files(&src.join(room)) {
            for (number, line) in shipped(&file).lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let names = |effect: &&&str| {
                    code.match_indices(**effect).any(|(at, _)| {
                        let before = code[..at].chars().next_back();
                        let after = code[at + effect.len()..].chars().next();
                        let joins =
                            |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                        !joins(before) && !joins(after)
                    })
                };
                if let Some(effect) = EFFECTS.iter().find(names) {
                    wrong.push(format!(
                        "{}:{}: {room} names {effect}",
                        file.display(),
                        number + 1
                    ));
                }
                if room == "engine" && code.contains("async ") {
                    wrong.push(format!(
                        "{}:{}: the engine waits",
                        file.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_says_what_it_owns() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let silent: Vec<_> = files(&src)
        .into_iter()
        .filter(|file| !std::fs::read_to_string(file).unwrap().starts_with("//!"))
        .collect();
    assert!(
        silent.is_empty(),
        "these files do not begin with what they own: {silent:?}"
    );
}
