//! Tests of what the runner is to know of each program.

use super::*;

#[test]
fn what_leads_a_program_elsewhere_no_claim_can_set() {
    let reserved = |harness| behind(harness).unwrap().reserved();
    let all = [
        (
            Harness::Http,
            &["AGENT_MODEL", "AGENT_NAME", "AGENT_STATE_DIR"][..],
        ),
        (
            Harness::OpenClaw,
            &["OPENCLAW_CONFIG_PATH", "OPENCLAW_STATE_DIR"],
        ),
        (
            Harness::Hermes,
            &[
                "API_SERVER_CORS_ORIGINS",
                "API_SERVER_ENABLED",
                "API_SERVER_HOST",
                "API_SERVER_KEY",
                "API_SERVER_PORT",
                "HERMES_ALLOW_ROOT_GATEWAY",
                "HERMES_DOCKER_EXEC_AS_ROOT",
                "HERMES_HOME",
            ],
        ),
        (
            Harness::OpenCode,
            &[
                "OPENCODE_CONFIG",
                "OPENCODE_CONFIG_CONTENT",
                "OPENCODE_CONFIG_DIR",
                "XDG_CONFIG_HOME",
                "XDG_DATA_HOME",
            ],
        ),
    ];
    for (harness, names) in all {
        let names: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(reserved(harness), names);
    }
}

#[test]
fn behind_the_runner_every_program_is_spoken_to_alike() {
    for harness in Harness::ALL {
        let Some(known) = behind(harness) else {
            assert_eq!(harness, Harness::Convos);
            continue;
        };
        let runtime =
            serde_json::json!({"image": "a/b:1", "harness": harness, "entrypoint": "Runner"});
        let runtime: Runtime = serde_json::from_value(runtime).unwrap();
        let said = spoken(&runtime);
        assert_eq!(said.name, row(harness).name);
        assert_eq!(
            (said.path, said.token_variable),
            ("/pool/health", "GATEWAY_TOKEN")
        );
        assert!(said.telling.is_some() && said.port == Some(8080));
        // A claim's model is refused where nothing has a place for it.
        let texts = known.persona.iter().chain(known.told).map(|(_, text)| text);
        assert!(
            texts.clone().any(|text| text.contains("{model}")),
            "{harness:?}"
        );
        assert!(texts.clone().any(|text| text.contains("{instructions}")));
        // Where it is needed, a template's configuration takes the place of the file that says it.
        let mut files = known.persona.iter();
        let says = files.find(|(_, text)| text.contains("{model}"));
        let says = says.map(|(path, _)| *path);
        assert_eq!(known.needs_model, says.is_some(), "{harness:?}");
        assert!(says.is_none_or(|path| known.configuration.contains(&path)));
    }
}
