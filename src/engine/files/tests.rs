//! Tests of where files lie and what stands in them.

use super::*;
use crate::model::values::Source;
use serde_json::{Value, json};

/// A template with that runtime and these files.
fn template(runtime: &Value, files: Value) -> AgentTemplateSpec {
    let mut spec = json!({"runtime": {"image": "ghcr.io/acme/agent:1.4"}, "files": files});
    for (name, value) in runtime.as_object().unwrap() {
        spec["runtime"][name] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, SecretString> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, text)| ((*name).to_owned(), SecretString::from(*text)))
        .collect()
}

/// What lies where, with nothing set.
fn laid(runtime: &Value, files: Value) -> Result<Vec<LaidFile>, Broken> {
    super::files(&template(runtime, files), &texts(&[]), &Values::new())
}

fn shown(files: &[LaidFile]) -> Vec<String> {
    let shown = files.iter().map(|file| {
        let content = file.content.expose_secret();
        format!("{:?} {} in {}: {content}", file.mode, file.path, file.place)
    });
    shown.collect()
}

/// Where one file lies, and in which place; or why it lies nowhere.
fn place(runtime: &Value, variables: &[(&str, &str)], path: &str) -> String {
    let spec = template(runtime, json!([{"path": path, "content": "x"}]));
    match super::files(&spec, &texts(variables), &Values::new()) {
        Ok(files) => {
            let one = files.iter().find(|file| {
                file.mode == FileMode::IfMissing && file.content.expose_secret() == "x"
            });
            one.map(|file| format!("{} in {}", file.path, file.place))
                .unwrap()
        }
        Err(broken) => {
            assert_eq!(broken.reason, reason::VALUE_NOT_USABLE);
            assert!(
                broken.message.starts_with(&format!("files[].path {path} ")),
                "{}",
                broken.message
            );
            broken.message
        }
    }
}

#[test]
fn a_file_lies_in_one_of_its_programs_own_places() {
    let volume = json!({"mountPath": "/data"});
    for (runtime, variables, path, expected) in [
        (
            json!({"harness": "openclaw"}),
            &[][..],
            "workspace/SOUL.md",
            "/home/node/.openclaw/workspace/SOUL.md in /home/node/.openclaw",
        ),
        (
            json!({"harness": "openclaw", "volume": volume}),
            &[("OPENCLAW_STATE_DIR", "/data/.openclaw")],
            "a",
            "/data/.openclaw/a in /data/.openclaw",
        ),
        (
            json!({"harness": "openclaw", "volume": volume}),
            &[("OPENCLAW_STATE_DIR", "/data/.openclaw")],
            "/data/a",
            "/data/a in /data",
        ),
        // What env says moves the state and with it what is relative to it.
        (
            json!({"harness": "openclaw", "volume": volume}),
            &[("OPENCLAW_STATE_DIR", "/data/own/")],
            "a",
            "/data/own/a in /data/own",
        ),
        (
            json!({"harness": "hermes"}),
            &[],
            "SOUL.md",
            "/opt/data/SOUL.md in /opt/data",
        ),
        (
            json!({"harness": "hermes", "volume": volume}),
            &[("HERMES_HOME", "/data")],
            "SOUL.md",
            "/data/SOUL.md in /data",
        ),
        (
            json!({"harness": "opencode", "volume": volume}),
            &[("XDG_DATA_HOME", "/data")],
            "opencode/a",
            "/data/opencode/a in /data",
        ),
        (
            json!({"harness": "opencode"}),
            &[],
            "/workspace/AGENTS.md",
            "/workspace/AGENTS.md in /workspace",
        ),
        (
            json!({"harness": "http", "volume": volume}),
            &[],
            "a/b c",
            "/data/a/b c in /data",
        ),
        (json!({"harness": "http"}), &[], "/srv/a", "/srv/a in /srv"),
        (
            json!({"volume": {"mountPath": "/var/lib/agent"}}),
            &[],
            "/var/lib/agent/a",
            "/var/lib/agent/a in /var/lib/agent",
        ),
    ] {
        assert_eq!(
            place(&runtime, variables, path),
            expected,
            "{runtime} {path}"
        );
    }
}

#[test]
fn a_file_outside_is_told_with_the_places_that_there_are() {
    let volume = json!({"mountPath": "/data"});
    for (runtime, variables, path, part) in [
        (
            json!({"harness": "openclaw"}),
            &[][..],
            "/data/a",
            "places in which openclaw may have files; write one below /home/node/.openclaw",
        ),
        (
            json!({"harness": "hermes", "volume": volume}),
            &[("HERMES_HOME", "/data")],
            "/opt/data/a",
            "write one below /data",
        ),
        (
            json!({"harness": "hermes"}),
            &[],
            "/opt/database",
            "write one below /opt/data",
        ),
        // The places themselves are directories.
        (
            json!({"harness": "hermes"}),
            &[],
            "/opt/data",
            "write one below /opt/data",
        ),
        (
            json!({"harness": "opencode"}),
            &[],
            "opencode/a",
            "where opencode keeps its state is not known before it runs; write an absolute path in the variable XDG_DATA_HOME, or make another AgentTemplate with runtime.volume, or write here an absolute path below /app, ",
        ),
        (
            json!({"harness": "hermes"}),
            &[("HERMES_HOME", "~/x")],
            "a",
            "an absolute path in the variable HERMES_HOME",
        ),
        (
            json!({"harness": "hermes"}),
            &[("HERMES_HOME", "/x/../etc")],
            "a",
            "an absolute path in the variable HERMES_HOME",
        ),
        (
            json!({}),
            &[],
            "a",
            "there is no runtime.volume below which it could lie; make another AgentTemplate with runtime.volume, or write here an absolute path below /app, /home, /opt, /srv, /workspace",
        ),
        (
            json!({}),
            &[],
            "/root/a",
            "write one below /app, /home, /opt, /srv, /workspace",
        ),
        // The API server admits none of these.
        (json!({}), &[], "/srv/../etc/passwd", "is outside"),
        (json!({}), &[], "/srv//a", "is outside"),
        (json!({}), &[], "/srv/a/", "is outside"),
        (json!({"volume": volume}), &[], "./a", "is outside"),
        (json!({"volume": volume}), &[], "a\nb", "is outside"),
        (
            json!({"volume": volume}),
            &[],
            ".yardmaster/told.json",
            "is outside",
        ),
        (
            json!({"volume": volume}),
            &[],
            "/data/.yardmaster/told.json",
            "is outside",
        ),
        // Names of what is half written.
        (
            json!({"volume": volume}),
            &[],
            "notes/.yardmaster-new",
            "is outside",
        ),
    ] {
        let told = place(&runtime, variables, path);
        assert!(told.contains(part), "{runtime} {path}: {told}");
    }
}

#[test]
fn files_come_in_the_order_of_their_paths_and_a_templates_own_before_the_rows() {
    let hermes = json!({"harness": "hermes"});
    let all = json!([
        {"path": "b", "content": "2", "mode": "Always"},
        {"path": "/opt/data/a", "content": "1"},
        {"path": "a-b/c", "content": ""},
    ]);
    let expected = [
        "IfMissing /opt/data/a in /opt/data: 1",
        "IfMissing /opt/data/a-b/c in /opt/data: ",
        "Always /opt/data/b in /opt/data: 2",
    ];
    assert_eq!(shown(&laid(&hermes, all).unwrap()), expected);
    for harness in ["convos", "http", "hermes", "opencode"] {
        assert!(
            laid(&json!({"harness": harness}), json!([]))
                .unwrap()
                .is_empty(),
            "{harness}"
        );
    }

    let openclaw = json!({"harness": "openclaw"});
    let path = "/home/node/.openclaw/openclaw.json";
    let own = laid(&openclaw, json!([])).unwrap();
    assert_eq!(
        (own.len(), own[0].path.as_str(), own[0].mode),
        (1, path, FileMode::IfMissing)
    );
    let config: Value = serde_json::from_str(own[0].content.expose_secret()).unwrap();
    assert_eq!(
        config["gateway"]["trustedProxies"],
        json!(["100.64.0.0/10"])
    );
    for written in ["openclaw.json", path] {
        let theirs = json!([{"path": written, "content": "{}", "mode": "Always"}]);
        let expected = [format!("Always {path} in /home/node/.openclaw: {{}}")];
        assert_eq!(shown(&laid(&openclaw, theirs).unwrap()), expected);
    }
    // Nobody knows where it keeps its state: then it is not configured either.
    let lost = super::files(
        &template(&openclaw, json!([])),
        &texts(&[("OPENCLAW_STATE_DIR", "x")]),
        &Values::new(),
    );
    assert!(lost.unwrap().is_empty());
}

#[test]
fn one_path_is_one_file() {
    let hermes = json!({"harness": "hermes"});
    for (one, other, part) in [
        ("a", "/opt/data/a", "is the path of two files"),
        (
            "a/b",
            "a",
            "/opt/data/a/b lies below /opt/data/a, which is a file itself",
        ),
        ("a", "a/b/c", "/opt/data/a/b/c lies below /opt/data/a,"),
    ] {
        let both = json!([{"path": one, "content": "x"}, {"path": other, "content": "y"}]);
        let broken = laid(&hermes, both).unwrap_err();
        assert_eq!(broken.reason, reason::VALUE_NOT_USABLE);
        assert!(broken.message.contains(part), "{}", broken.message);
    }
}

fn referring() -> AgentTemplateSpec {
    let from = |kind: &str, name: &str| json!({kind: {"name": name, "key": "k"}});
    let files = json!([
        {"path": "a", "contentFrom": from("secretKeyRef", "s"), "mode": "Always"},
        {"path": "b", "contentFrom": from("configMapKeyRef", "c")},
    ]);
    template(&json!({"harness": "hermes"}), files)
}

fn values(secret: &str, map: &str) -> Values {
    BTreeMap::from([
        (Source::Secret("s".into()), texts(&[("k", secret)])),
        (Source::ConfigMap("c".into()), texts(&[("k", map)])),
    ])
}

#[test]
fn what_a_file_refers_to_stands_in_it_or_is_told_to_be_missing() {
    let of = |values: &Values| super::files(&referring(), &texts(&[]), values);
    let expected = [
        "Always /opt/data/a in /opt/data: ${{of}} a Secret",
        "IfMissing /opt/data/b in /opt/data: of a map",
    ];
    // Railway sees neither as it is.
    assert_eq!(
        shown(&of(&values("${{of}} a Secret", "of a map")).unwrap()),
        expected
    );
    let mut missing = values("x", "y");
    missing.remove(&Source::ConfigMap("c".into()));
    let mut without_key = values("x", "y");
    without_key.insert(Source::Secret("s".into()), texts(&[]));
    for (values, part) in [
        (
            missing,
            "files[].path b: ConfigMap c does not exist in this namespace; create it",
        ),
        (
            without_key,
            "files[].path a: Secret s has no key k with a text",
        ),
    ] {
        let broken = of(&values).unwrap_err();
        assert_eq!(broken.reason, reason::REFERENCE_NOT_FOUND);
        assert!(broken.message.contains(part), "{}", broken.message);
    }
}

#[test]
fn all_files_together_have_a_most_whatever_they_refer_to() {
    let of = |secret: usize, map: usize| {
        let values = values(&"x".repeat(secret), &"ä".repeat(map / 2));
        super::files(&referring(), &texts(&[]), &values)
    };
    assert_eq!(of(162_144, 100_000).unwrap().len(), 2);
    let broken = of(162_145, 100_000).unwrap_err();
    assert_eq!(broken.reason, reason::VALUE_NOT_USABLE);
    assert!(
        broken
            .message
            .contains("files must have at most 262144 bytes together, and with b"),
        "{}",
        broken.message
    );
}

/// A directory that a Secret says is in no sentence; one that the template says itself is.
#[test]
fn a_directory_that_stands_elsewhere_is_named_by_its_variable() {
    let told = |env: Value, paths: &[&str]| {
        let files: Vec<Value> = paths
            .iter()
            .map(|path| json!({"path": path, "content": "x"}))
            .collect();
        let mut spec = template(&json!({"harness": "hermes"}), json!(files));
        spec.env = serde_json::from_value(json!([env])).unwrap();
        let set = texts(&[("HERMES_HOME", "/k/canary")]);
        super::files(&spec, &set, &Values::new())
            .unwrap_err()
            .message
    };
    let secret =
        json!({"name": "HERMES_HOME", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}});
    let own = json!({"name": "HERMES_HOME", "value": "/k/canary"});
    for (paths, hidden, shown) in [
        (
            &["/srv/a"][..],
            "write one below the directory in HERMES_HOME",
            "write one below /k/canary",
        ),
        (
            &["a/b", "a"],
            "a/b in the directory in HERMES_HOME lies below a in the directory in HERMES_HOME,",
            "/k/canary/a/b lies below /k/canary/a,",
        ),
    ] {
        let said = told(secret.clone(), paths);
        assert!(said.contains(hidden) && !said.contains("canary"), "{said}");
        let said = told(own.clone(), paths);
        assert!(said.contains(shown), "{said}");
    }
}

/// They are laid when the agent is told who it is, and then it is too late.
#[test]
fn no_file_lies_where_a_persona_needs_a_directory() {
    for (harness, path, wrong) in [
        ("openclaw", "workspace", true),
        ("opencode", "config", true),
        ("opencode", "config/opencode", true),
        ("hermes", "SOUL.md/a", true),
        ("http", "AGENTS.md/a", true),
        // In its place it may lie.
        ("openclaw", "workspace/SOUL.md", false),
        ("hermes", "workspace", false),
    ] {
        let runtime =
            json!({"harness": harness, "volume": {"mountPath": "/data"}, "startCommand": "x"});
        let file = json!([{"path": path, "content": "x"}]);
        let states = ["OPENCLAW_STATE_DIR", "HERMES_HOME", "XDG_DATA_HOME"];
        let states = states.map(|name| (name, "/data"));
        let direct = template(&runtime, file.clone());
        super::files(&direct, &texts(&states), &Values::new()).unwrap();
        let mut behind = runtime;
        behind["entrypoint"] = json!("Runner");
        let told = laid(&behind, file).err().map(|broken| broken.message);
        let named = told
            .as_ref()
            .is_some_and(|said| said.starts_with("files[].path /data"));
        assert_eq!(named, wrong, "{harness} {path}: {told:?}");
        assert_eq!(told.is_some(), wrong, "{harness} {path}: {told:?}");
    }
}
