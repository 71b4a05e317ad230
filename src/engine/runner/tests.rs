//! Tests of what the runner is told.

use super::*;
use crate::api::template::{AgentTemplateSpec, Harness};
use crate::engine::laying::laying;
use crate::engine::program::ProgramSettings;
use crate::model::values::Values;

fn runtime(more: Value) -> Runtime {
    let mut runtime = json!({"image": "ghcr.io/acme/agent:1.4", "entrypoint": "Runner"});
    for (name, value) in more.as_object().unwrap() {
        runtime[name] = value.clone();
    }
    serde_json::from_value(runtime).unwrap()
}

fn read(variables: &BTreeMap<String, SecretString>) -> Value {
    let mut text = variables[VARIABLE].expose_secret().to_owned();
    let names = (1..).map(|number| format!("{VARIABLE}_{number}"));
    for piece in names.map_while(|name| variables.get(&name)) {
        text.push_str(piece.expose_secret());
    }
    serde_json::from_str(&text).unwrap()
}

/// What the runner of a template with this runtime and these files is told.
fn told_with(more: Value, files: Value) -> Value {
    let spec = json!({"runtime": runtime(more), "files": files});
    let spec: AgentTemplateSpec = serde_json::from_value(spec).unwrap();
    let program = ProgramSettings::of(spec.runtime.as_ref().unwrap());
    let laying = laying(&spec, &program, &BTreeMap::new(), &Values::new()).unwrap();
    assert_eq!(laying.start, None);
    read(&laying.variables)
}

/// What the runner of this runtime is told.
fn told(more: Value) -> Value {
    told_with(more, json!([]))
}

fn refused(more: Value) -> String {
    let broken = variables(&runtime(more), &BTreeMap::new(), &[]).unwrap_err();
    assert_eq!(broken.reason, reason::VALUE_NOT_USABLE);
    broken.message
}

/// The runner's own tests read the same files (runner/src/contract_tests.rs).
#[test]
fn each_contract_is_the_one_that_the_runner_was_tried_with() {
    let volume = json!({"mountPath": "/data"});
    for harness in ["http", "openclaw", "hermes", "opencode"] {
        let mut more = json!({"harness": harness, "volume": volume});
        if harness == "http" {
            more["startCommand"] = json!("agent serve --port {port}");
            more["contract"] = json!({"auth": {"type": "None"}});
        }
        let path = format!(
            "{}/runner/tests/contracts/{harness}.json",
            env!("CARGO_MANIFEST_DIR")
        );
        let known = std::fs::read_to_string(&path).unwrap();
        let (known, made) = (serde_json::from_str::<Value>(&known).unwrap(), told(more));
        assert!(
            known == made,
            "{path} is not what the code makes; it makes\n{made:#}"
        );
    }
}

#[test]
fn without_a_runner_nothing_is_told() {
    for harness in Harness::ALL {
        let plain = runtime(json!({"harness": harness, "entrypoint": "Harness"}));
        assert!(variables(&plain, &BTreeMap::new(), &[]).unwrap().is_empty());
        assert!(reserved(&plain).is_empty());
    }
    // The API server admits none.
    assert!(refused(json!({"harness": "convos"})).contains("take it away"));
}

#[test]
fn what_the_template_says_of_its_program_the_runner_is_told() {
    let said = told(json!({
        "harness": "http",
        "startCommand": "sh -c 'exec agent ${{X}} {port}'",
        "contract": {
            "health": {"path": "/s", "ready": {"pointer": "/state", "equals": "ok"}},
            "auth": {"type": "Header", "header": "X-Key"},
            "tokenVariable": "KEY",
            "portVariable": "P",
        },
    }));
    assert_eq!(
        said["argv"],
        json!(["sh", "-c", "exec agent ${{X}} {port}"])
    );
    assert_eq!(said["port"], json!({"variable": "P"}));
    let header = json!({"variable": "KEY", "auth": {"type": "Header", "header": "X-Key"}});
    assert_eq!(said["credential"], header);
    let asked = json!({"path": "/s", "credential": true, "pointer": "/state", "equals": "ok", "version": "/version"});
    assert_eq!(said["readiness"], asked);
    assert_eq!(said["stateDirectory"], "/tmp/agent");
    let open = told(
        json!({"harness": "http", "startCommand": "x", "contract": {"auth": {"type": "None"}}}),
    );
    assert_eq!(open["credential"], json!({}));
    assert_eq!(
        open["readiness"],
        json!({"path": "/", "credential": false, "status": 200})
    );
    let other = told(json!({"harness": "openclaw", "startCommand": "openclaw gateway run"}));
    assert_eq!(other["argv"], json!(["openclaw", "gateway", "run"]));
}

#[test]
fn words_that_nobody_can_start_are_refused() {
    for (command, part) in [
        ("agent 'x", "a quote"),
        (" ", "no words"),
        ("''", "no words"),
    ] {
        let said = refused(json!({"harness": "http", "startCommand": command}));
        assert!(said.contains(part), "{said}");
    }
    assert!(refused(json!({"harness": "http"})).contains("no words"));
}

#[test]
fn the_provider_finds_no_reference_in_it() {
    let more = json!({"harness": "http", "startCommand": "agent ${{shared.KEY}}"});
    for value in variables(&runtime(more), &BTreeMap::new(), &[])
        .unwrap()
        .values()
    {
        assert!(!value.expose_secret().contains("${{"));
    }
}

#[test]
fn files_are_in_it_and_a_long_one_goes_on_in_the_next_variable() {
    let content = " ".repeat(256 << 10);
    let file = LaidFile {
        path: "/opt/data/notes/long.txt".to_owned(),
        place: "/opt/data".to_owned(),
        content: SecretString::from(content.clone()),
        mode: FileMode::Always,
    };
    let hermes = runtime(json!({"harness": "hermes"}));
    let given = variables(&hermes, &BTreeMap::new(), &[file]).unwrap();
    assert!(
        given.len() > 4
            && given
                .values()
                .all(|one| one.expose_secret().len() <= MOST_OF_A_VARIABLE)
    );
    assert!(given.contains_key("HERMES_HOME"));
    let file = read(&given)["files"][0].clone();
    assert_eq!(
        (&file["path"], &file["mode"]),
        (&json!("/opt/data/notes/long.txt"), &json!("Always"))
    );
    let read = BASE64.decode(file["content"].as_str().unwrap()).unwrap();
    assert!(read == content.as_bytes());
    assert!(!format!("{given:?}").contains("ICAg"));
}

#[test]
fn a_templates_files_lie_where_its_program_looks_and_its_configuration_stays_its_own() {
    let runtime = json!({"harness": "openclaw", "volume": {"mountPath": "/data"}});
    let laid = |files: Value| {
        let said = told_with(runtime.clone(), files);
        let laid = said["files"].as_array().unwrap().clone();
        let paths: Vec<Value> = laid.iter().map(|one| one["path"].clone()).collect();
        let persona = said["persona"]["files"].as_array().unwrap().len();
        (json!(paths), said["places"].clone(), persona)
    };
    let beside = json!([{"path": "/data/notes.md", "content": "a"}, {"path": "workspace/SOUL.md", "content": "b"}]);
    let (paths, places, persona) = laid(beside);
    let expected = json!([
        "/data/.openclaw/openclaw.json",
        "/data/.openclaw/workspace/SOUL.md",
        "/data/notes.md"
    ]);
    assert_eq!((paths, places, persona), (expected, json!(["/data"]), 2));
    // A model that somebody tells would take the place of it.
    let (paths, places, persona) = laid(json!([{"path": "openclaw.json", "content": "{}"}]));
    let expected = json!(["/data/.openclaw/openclaw.json"]);
    assert_eq!((paths, places, persona), (expected, json!([]), 1));
}

#[test]
fn a_piece_ends_at_a_letter_and_beside_no_space() {
    let text = format!(
        "{}é b{}",
        "a".repeat(MOST_OF_A_VARIABLE - 1),
        "c".repeat(MOST_OF_A_VARIABLE)
    );
    let cut = pieces(&text);
    assert_eq!(cut.concat(), text);
    assert!(
        cut.iter()
            .all(|piece| piece.trim() == piece && piece.len() <= MOST_OF_A_VARIABLE)
    );
    let spaces = " ".repeat(3 * MOST_OF_A_VARIABLE);
    assert_eq!(pieces(&spaces).concat(), spaces);
}

#[test]
fn a_model_is_needed_where_nothing_of_the_template_says_one() {
    let needs = |harness: &str, files: Value, env: Value| {
        let runtime = runtime(
            json!({"harness": harness, "volume": {"mountPath": "/data"}, "startCommand": "x"}),
        );
        let spec = json!({"runtime": runtime, "files": files, "env": env});
        let spec: AgentTemplateSpec = serde_json::from_value(spec).unwrap();
        let program = ProgramSettings::of(spec.runtime.as_ref().unwrap());
        let set = crate::engine::compose::resolve(&spec.env, &Values::new()).unwrap();
        let laying = laying(&spec, &program, &set, &Values::new()).unwrap();
        let said = read(&laying.variables);
        let persona = said["persona"]["files"].as_array().unwrap().clone();
        let mut persona = persona.iter().map(|one| one["text"].as_str().unwrap());
        let place = persona.any(|text| text.contains("{model}"));
        let needs = said.get("needs").map(|needs| {
            assert_eq!(needs, &json!(["model"]));
        });
        (needs.is_some(), place)
    };
    let none = || json!([]);
    let file = |path: &str| json!([{"path": path, "content": "{}"}]);
    let set = |name: &str| json!([{"name": name, "value": "x"}]);
    for (harness, path, names) in [
        ("openclaw", "openclaw.json", &["OPENCLAW_CONFIG_PATH"][..]),
        ("hermes", "config.yaml", &[]),
        (
            "opencode",
            "config/opencode/opencode.json",
            &[
                "OPENCODE_CONFIG",
                "OPENCODE_CONFIG_DIR",
                "OPENCODE_CONFIG_CONTENT",
            ],
        ),
        ("opencode", "config/opencode/opencode.jsonc", &[]),
    ] {
        assert_eq!(needs(harness, none(), none()), (true, true), "{harness}");
        assert_eq!(needs(harness, file("notes.md"), set("KEY")), (true, true));
        // A configuration of the template's has no place for a claim's model.
        assert_eq!(needs(harness, file(path), none()), (false, false), "{path}");
        for name in names {
            assert_eq!(needs(harness, none(), set(name)), (false, true), "{name}");
        }
    }
    let rows = behind(Harness::OpenClaw).unwrap().files[0];
    let the_rows = json!([{"path": rows.path, "content": rows.content}]);
    assert_eq!(needs("openclaw", the_rows, none()), (true, true));
    assert!(!needs("http", none(), none()).0);
}

#[test]
fn what_an_older_runner_does_not_know_is_sent_only_where_it_says_something() {
    let said = told(json!({"harness": "hermes"}));
    let files = said["persona"]["files"].as_array().unwrap();
    let quoted: Vec<Option<&Value>> = files.iter().map(|one| one.get("quoted")).collect();
    assert_eq!(quoted, [None, Some(&json!(true))]);
    let http = told(json!({"harness": "http", "startCommand": "x"}));
    assert!(http.get("needs").is_none());
}
