//! The Dockerfiles of `images/`: nobody builds them here, so what can be said of them by reading is held by reading.

use std::collections::BTreeMap;
use std::path::Path;

const KNOWN: [&str; 8] = [
    "ARG",
    "FROM",
    "COPY",
    "USER",
    "ENV",
    "EXPOSE",
    "ENTRYPOINT",
    "LABEL",
];

/// Its instructions: a word and the rest, lines that go on put together.
fn instructions(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut pending = String::new();
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(begun) = line.strip_suffix('\\') {
            pending.push_str(begun);
            continue;
        }
        pending.push_str(line);
        let whole = std::mem::take(&mut pending);
        let (word, rest) = whole.split_once(' ').expect("a word and more");
        found.push((word.to_owned(), rest.trim().to_owned()));
    }
    assert!(pending.is_empty(), "the last line does not end");
    found
}

/// What is wrong with one.
fn faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let all = instructions(text);
    let of = |word: &str| {
        all.iter()
            .filter(|(own, _)| own == word)
            .map(|(_, rest)| rest.as_str())
            .collect::<Vec<_>>()
    };
    for (word, _) in &all {
        if !KNOWN.contains(&word.as_str()) {
            faults.push(format!("unknown instruction {word}"));
        }
    }
    let arguments: BTreeMap<&str, Option<&str>> = of("ARG")
        .into_iter()
        .map(|rest| {
            rest.split_once('=')
                .map_or((rest, None), |(name, value)| (name, Some(value)))
        })
        .collect();
    for from in of("FROM") {
        let image = from.split_whitespace().next().unwrap_or_default();
        let name = image
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'));
        match name.map(|name| arguments.get(name)) {
            Some(Some(None)) => {}
            Some(Some(Some(_))) => faults.push(format!(
                "{image} has a default: nobody has seen that it exists"
            )),
            _ => faults.push(format!("FROM {image} is no build argument")),
        }
    }
    if of("FROM").is_empty() {
        faults.push("no FROM".to_owned());
    }
    if text.contains("latest") {
        faults.push("latest is another image tomorrow".to_owned());
    }
    let user = of("USER").last().copied();
    if user.is_none_or(|user| user.split(':').any(|part| part.parse::<u32>().is_err())) {
        faults.push("USER is no number".to_owned());
    }
    let entry = of("ENTRYPOINT").last().copied().unwrap_or_default();
    let words: Vec<String> = serde_json::from_str(entry).unwrap_or_default();
    if words.len() != 1 || !words[0].starts_with('/') {
        faults.push("ENTRYPOINT is not one absolute word in exec form".to_owned());
    } else if !of("COPY")
        .iter()
        .any(|copy| copy.ends_with(&format!(" {}", words[0])))
    {
        faults.push(format!("{} is not copied", words[0]));
    }
    faults
}

#[test]
fn each_image_is_well_formed() {
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../images");
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(images).expect("images").flatten() {
        let name = entry.file_name().into_string().expect("a name");
        if !entry.path().is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(entry.path().join("Dockerfile")).expect("a Dockerfile");
        assert_eq!(faults(&text), Vec::<String>::new(), "{name}");
        seen.push(name);
    }
    seen.sort();
    assert_eq!(seen, ["hermes", "openclaw", "opencode"]);
}

#[test]
fn a_bad_one_is_seen() {
    let good = "ARG BASE\nFROM ${BASE}\nCOPY a /r\nUSER 1:1\nENTRYPOINT [\"/r\"]\n";
    assert!(faults(good).is_empty(), "{:?}", faults(good));
    let bad = [
        ("ARG BASE", "ARG BASE=x/y:latest"),
        ("FROM ${BASE}", "FROM x/y:1"),
        ("USER 1:1\n", ""),
        ("USER 1:1", "USER node"),
        ("[\"/r\"]", "/r"),
        ("[\"/r\"]", "[\"/other\"]"),
        ("COPY a /r", "RUN curl x"),
    ];
    for (from, to) in bad {
        assert!(!faults(&good.replace(from, to)).is_empty(), "{to}");
    }
}
