use super::*;
use serde_json::{Value, json};

fn with(change: impl FnOnce(&mut Value)) -> Result<Contract, String> {
    let mut contract = json!({
        "version": 1,
        "name": "x",
        "argv": ["/bin/true"],
        "readiness": {"path": "/readyz", "pointer": "/ready"},
        "stateDirectory": "/data/state",
        "places": ["/data/workspace"],
    });
    change(&mut contract);
    Contract::read(&contract.to_string())
}

fn refused(change: impl FnOnce(&mut Value)) -> String {
    with(change).err().expect("it should be refused")
}

#[test]
fn the_least_is_enough() {
    assert!(with(|_| {}).is_ok());
}

#[test]
fn the_example_of_the_readme_is_one() {
    let readme = include_str!("../README.md");
    let example = readme
        .split("```json\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let read = Contract::read(example.expect("an example"));
    assert!(read.is_ok(), "{:?}", read.err());
}

/// What the controller makes for each program (`src/engine/runner/tests.rs` compares with the same files).
#[test]
fn the_controllers_contracts_are_read() {
    for text in [
        include_str!("../tests/contracts/http.json"),
        include_str!("../tests/contracts/openclaw.json"),
        include_str!("../tests/contracts/hermes.json"),
        include_str!("../tests/contracts/opencode.json"),
    ] {
        let contract = Contract::read(text);
        assert!(contract.is_ok(), "{:?}: {text}", contract.err());
    }
}

#[test]
fn what_is_wrong_is_named() {
    let said = [
        (refused(|it| it["version"] = json!(2)), "version"),
        (refused(|it| it["agrv"] = json!([])), "unknown field `agrv`"),
        (refused(|it| it["argv"] = json!([])), "argv"),
        (
            refused(|it| it["readiness"]["status"] = json!(200)),
            "readiness",
        ),
        (
            refused(|it| it["readiness"]["path"] = json!("x")),
            "readiness.path",
        ),
        (
            refused(|it| it["credential"] = json!({"auth": {"type": "Basic"}})),
            "credential.auth.username",
        ),
        (
            refused(|it| it["credential"] = json!({"auth": {"type": "Bearer", "header": "x"}})),
            "credential.auth.header",
        ),
        (
            refused(|it| it["credential"] = json!({"auth": {"type": "Header", "header": "Host"}})),
            "credential.auth.header",
        ),
        (refused(|it| it["env"] = json!({"A=B": "x"})), "env"),
        (refused(|it| it["env"] = json!({"A": "\u{0}"})), "env"),
        (
            refused(|it| it["stateDirectory"] = json!("/")),
            "stateDirectory",
        ),
        (
            refused(|it| it["files"] = json!([{"path": "a", "content": "!"}])),
            "base64",
        ),
        (
            refused(|it| {
                it["files"] = json!([{"path": "a", "content": "", "permissions": "7777"}])
            }),
            "permissions",
        ),
    ];
    for (said, word) in said {
        assert!(said.contains(word), "{said:?} does not name {word:?}");
    }
}

#[test]
fn nothing_is_laid_or_deleted_outside() {
    let file = |path: &str| json!([{"path": path, "content": ""}]);
    for path in [
        "../x",
        "/etc/passwd",
        "/data/state/../x",
        "/data/statement",
        "",
        "/data/state",
        ".yardmaster/told.json",
        "/data/state/.yardmaster",
    ] {
        assert!(with(|it| it["files"] = file(path)).is_err(), "{path}");
        assert!(
            with(|it| it["reset"] = json!({"delete": [path]})).is_err(),
            "{path}"
        );
        let persona = json!({"files": [{"path": path, "text": ""}]});
        assert!(with(|it| it["persona"] = persona).is_err(), "{path}");
    }
    assert!(with(|it| it["files"] = file("/data/workspace/a/b")).is_ok());
    assert!(with(|it| it["files"] = file("a/b")).is_ok());
    assert!(with(|it| it["reset"] = json!({"delete": ["/data/workspace/a"]})).is_err());
}

#[test]
fn no_value_is_repeated() {
    let secret = "canary-9f2";
    let said = [
        refused(|it| it["credential"] = json!(secret)),
        refused(|it| it["graceSeconds"] = json!(secret)),
        refused(|it| it["env"] = json!({"A": [secret]})),
        Contract::read(&format!("{{\"version\": {secret}"))
            .err()
            .expect("refused"),
    ];
    for said in said {
        assert!(!said.contains(secret), "{said}");
    }
}
