//! Who it is, once and for ever; what is new for it; forgetting.

use crate::running::{Runner, until};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn persona(contract: &mut Value) {
    contract["persona"] = json!({
        "files": [{"path": "SOUL.md", "text": "# {agentName}\n{instructions}\n"}],
        "variables": {"AGENT_NAME": "{agentName}", "JOIN_URL": "{joinUrl}"},
    });
    contract["clean"] = json!({"missing": ["sessions"]});
    contract["reset"] = json!({"delete": ["sessions"]});
}

fn told(claim: &str) -> Value {
    json!({
        "claim": claim,
        "agentName": "Ada",
        "instructions": "Count.",
        "joinUrl": "https://join.example/canary-join-55",
        "profileImage": "https://image.example/a.png",
        "metadata": {"team": "a"},
        "env": {"API_KEY": "canary-env-19"},
    })
}

async fn soul(runner: &Runner) -> String {
    fs::read_to_string(runner.state("SOUL.md")).expect("SOUL.md")
}

#[tokio::test]
async fn it_is_told_once_and_another_claim_is_refused_for_ever() {
    let mut runner = Runner::ready(persona).await;
    let (_, status) = runner.call("GET", "/convos/status", "").await;
    assert_eq!(
        (&status["claim"], &status["clean"], &status["pending"]),
        (&Value::Null, &true.into(), &false.into())
    );
    assert_eq!(status["conversationId"], Value::Null);
    let inbox = status["inboxId"].clone();
    let before = runner.harness().await;

    let (code, first) = runner
        .call("POST", "/pool/provision", &told("c1").to_string())
        .await;
    assert_eq!(code, 200, "{first}");
    assert_eq!(
        (&first["ok"], &first["status"], &first["conversationId"]),
        (&true.into(), &"created".into(), &"c1".into())
    );
    assert_eq!(soul(&runner).await, "# Ada\nCount.\n");
    let (_, echo) = runner.call("GET", "/echo", "").await;
    assert_ne!(
        echo["pid"],
        before.as_raw_nonzero().get(),
        "new variables need a new start"
    );
    for (name, value) in [
        ("API_KEY", "canary-env-19"),
        ("AGENT_NAME", "Ada"),
        ("JOIN_URL", "https://join.example/canary-join-55"),
    ] {
        assert_eq!(echo["env"][name], value);
    }
    let pid = echo["pid"].clone();

    // The agent's own edit stays, and nothing is done twice, also after a new start of the runner.
    fs::write(runner.state("SOUL.md"), "the agent's own").expect("written");
    for round in 0..2 {
        let again = runner
            .call("POST", "/pool/provision", &told("c1").to_string())
            .await;
        assert_eq!(again, (200, first.clone()));
        let (code, other) = runner
            .call("POST", "/pool/provision", &told("c2").to_string())
            .await;
        assert_eq!((code, &other["claim"]), (409, &"c1".into()));
        let (_, status) = runner.call("GET", "/pool/status", "").await;
        assert_eq!(
            (
                &status["claim"],
                &status["clean"],
                &status["conversationId"],
                &status["inboxId"]
            ),
            (&"c1".into(), &false.into(), &"c1".into(), &inbox)
        );
        assert_eq!(soul(&runner).await, "the agent's own");
        let (_, echo) = runner.call("GET", "/echo", "").await;
        assert_eq!(echo["env"]["API_KEY"], "canary-env-19");
        if round == 0 {
            assert_eq!(echo["pid"], pid);
            runner.signal(Signal::TERM);
            runner.until_ended().await;
            runner.again().await;
        }
    }
    let kept = fs::metadata(runner.state(".yardmaster/told.json")).expect("kept");
    assert_eq!(kept.permissions().mode() & 0o777, 0o600);
    let said = runner.said();
    for secret in ["canary-env-19", "canary-join-55"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[tokio::test]
async fn of_two_at_once_one_is_told() {
    let runner = Runner::ready(persona).await;
    let (one, two) = (told("c1").to_string(), told("c2").to_string());
    let (one, same, two) = tokio::join!(
        runner.call("POST", "/pool/provision", &one),
        runner.call("POST", "/pool/provision", &one),
        runner.call("POST", "/pool/provision", &two),
    );
    assert_eq!(one, same, "the same claim is answered alike");
    let mut codes = [one.0, two.0];
    codes.sort_unstable();
    assert_eq!(codes, [200, 409]);
}

#[tokio::test]
async fn what_was_begun_is_done_even_if_nobody_waits() {
    // The new start that it needs takes a second, because the harness is only ended by its grace.
    let runner = Runner::ready(|contract| {
        persona(contract);
        contract["argv"]
            .as_array_mut()
            .expect("words")
            .push("--ignore-term".into());
    })
    .await;
    let body = told("c1").to_string();
    let auth = format!("Bearer {}", crate::running::TOKEN);
    let call = runner.try_call("POST", "/pool/provision", Some(&auth), &body);
    let gave_up = tokio::time::timeout(std::time::Duration::from_millis(500), call).await;
    assert!(gave_up.is_err(), "it takes longer");
    until("it is told", async || {
        let (_, status) = runner.call("GET", "/convos/status", "").await;
        status["conversationId"] == "c1"
    })
    .await;
}

/// Killed between keeping the claim and doing what it asks for: it is that claim's, says that it is not done, and is told again.
#[tokio::test]
async fn a_telling_that_was_cut_off_is_done_when_it_is_told_again() {
    let mut runner = Runner::ready(persona).await;
    runner.child.kill().expect("killed");
    runner.child.wait().expect("waited");
    let kept = runner.state(".yardmaster/told.json");
    let mut memory: Value = serde_json::from_slice(&fs::read(&kept).expect("kept")).expect("JSON");
    memory["claim"] = "c1".into();
    memory["agentName"] = "Ada".into();
    memory["instructions"] = "Count.".into();
    memory["tainted"] = true.into();
    fs::write(&kept, memory.to_string()).expect("written");
    runner.again().await;
    let (_, status) = runner.call("GET", "/convos/status", "").await;
    assert_eq!(
        (&status["claim"], &status["conversationId"]),
        (&"c1".into(), &Value::Null)
    );
    assert_eq!(
        soul(&runner).await,
        "# Ada\nCount.\n",
        "laid with the next start"
    );
    assert_eq!(
        runner
            .call("POST", "/pool/provision", &told("c2").to_string())
            .await
            .0,
        409
    );
    assert_eq!(
        runner
            .call("POST", "/pool/provision", &told("c1").to_string())
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn what_cannot_be_told_is_refused_in_its_own_words_and_changes_nothing() {
    let runner = Runner::ready(persona).await;
    let with = |name: &str, value: Value| {
        let mut body = told("c1");
        body[name] = value;
        body
    };
    let cases = [
        (400, with("agentName", "".into()), "agentName"),
        (400, with("instructions", Value::Null), "instructions"),
        (400, with("claim", Value::Null), "claim"),
        (
            400,
            with("instructions", json!(["canary-wrong"])),
            "no JSON of this form",
        ),
        (400, with("env", json!({"PORT": "1"})), "PORT"),
        (
            400,
            with("env", json!({"GATEWAY_TOKEN": "1"})),
            "GATEWAY_TOKEN",
        ),
        (400, with("env", json!({"FAKE_TOKEN": "1"})), "FAKE_TOKEN"),
        (400, with("env", json!({"canary-wrong=": "1"})), "env"),
        (422, with("model", "x".into()), "model"),
        (422, with("agentName", "x\0".into()), "AGENT_NAME"),
    ];
    for (code, body, words) in cases {
        let (status, answer) = runner
            .call("POST", "/pool/provision", &body.to_string())
            .await;
        assert_eq!(status, code, "{answer}");
        let said = answer["error"].as_str().expect("an error");
        assert!(said.contains(words) && !said.contains("canary"), "{said}");
    }
    let large = format!("{{\"claim\": \"{}\"}}", "x".repeat(1 << 20));
    assert_eq!(runner.call("POST", "/pool/provision", &large).await.0, 413);
    let (_, status) = runner.call("GET", "/convos/status", "").await;
    assert_eq!(
        (&status["claim"], &status["clean"]),
        (&Value::Null, &true.into())
    );
}

#[tokio::test]
async fn an_update_is_told_as_the_contract_says_and_an_older_one_is_not() {
    let runner = Runner::ready(|contract| {
        persona(contract);
        contract["toldBy"] = json!({"Post": "/told"});
        contract["busy"] = json!([
            {"path": "/readyz", "pointer": "/ready", "unlike": "true"},
            {"path": "/busy", "pointer": "/busy", "credential": true},
        ]);
    })
    .await;
    runner
        .call("POST", "/pool/provision", &told("c1").to_string())
        .await;
    let pid = runner.harness().await;
    let update = |claim: &str, moment: &str, words: &str| {
        json!({"claim": claim, "templateUpdatedAt": moment, "instructions": words, "metadata": {}})
            .to_string()
    };
    let (code, _) = runner
        .call(
            "POST",
            "/pool/update-template",
            &update("c1", "2026-11-28T07:00:02Z", "Sum."),
        )
        .await;
    assert_eq!(code, 200);
    assert_eq!(soul(&runner).await, "# Ada\nSum.\n");
    let (code, _) = runner
        .call(
            "POST",
            "/pool/update-template",
            &update("c1", "2026-11-28T07:00:01Z", "Old."),
        )
        .await;
    assert_eq!(code, 200);
    assert_eq!(soul(&runner).await, "# Ada\nSum.\n");
    let (code, other) = runner
        .call(
            "POST",
            "/pool/update-template",
            &update("c2", "2026-11-28T07:00:03Z", "No."),
        )
        .await;
    assert_eq!((code, &other["claim"]), (409, &"c1".into()));
    assert_eq!(runner.harness().await, pid, "no variable has changed");
    assert_eq!(
        runner.call("GET", "/told", "").await.1,
        2,
        "it was called once"
    );
    assert_eq!(runner.call("GET", "/pool/status", "").await.1["busy"], true);
}

#[tokio::test]
async fn a_reset_forgets_who_it_is_and_not_whose_it_was() {
    let runner = Runner::ready(persona).await;
    runner
        .call("POST", "/pool/provision", &told("c1").to_string())
        .await;
    fs::create_dir(runner.state("sessions")).expect("sessions");
    fs::write(runner.state("kept"), "x").expect("kept");
    assert_eq!(runner.call("POST", "/pool/reset", "").await.0, 200);
    assert!(!runner.state("sessions").exists() && !runner.state("SOUL.md").exists());
    assert!(runner.state("kept").exists());
    let (_, status) = runner.call("GET", "/convos/status", "").await;
    assert_eq!(
        (
            &status["claim"],
            &status["clean"],
            &status["conversationId"]
        ),
        (&"c1".into(), &true.into(), &Value::Null)
    );
    runner.until_ready().await;
    let (_, echo) = runner.call("GET", "/echo", "").await;
    assert_eq!(
        (&echo["env"]["API_KEY"], &echo["env"]["AGENT_NAME"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        runner
            .call("POST", "/pool/provision", &told("c2").to_string())
            .await
            .0,
        409
    );
    fs::create_dir(runner.state("sessions")).expect("sessions");
    assert_eq!(
        runner.call("GET", "/convos/status", "").await.1["clean"],
        false,
        "something is there again"
    );
}

#[tokio::test]
async fn one_that_cannot_be_reset_says_so() {
    let runner = Runner::ready(|_| {}).await;
    assert_eq!(runner.call("POST", "/pool/reset", "").await.0, 501);
}

#[tokio::test]
async fn what_it_was_started_with_is_not_told_by_another_start() {
    let by_restart = |contract: &mut Value| {
        persona(contract);
        contract["toldBy"] = json!("Restart");
    };
    let mut runner = Runner::ready(by_restart).await;
    let telling = told("c1").to_string();
    runner.call("POST", "/pool/provision", &telling).await;
    let update = async |runner: &mut Runner, words: &str, at: &str| {
        let new = json!({"claim": "c1", "instructions": words, "templateUpdatedAt": at});
        let (code, said) = runner
            .call("POST", "/pool/update-template", &new.to_string())
            .await;
        assert_eq!(code, 200, "{said}");
        runner.harness().await
    };
    let before = runner.harness().await;
    let first = update(&mut runner, "Sum.", "2026-11-28T07:00:00Z").await;
    assert_ne!(first, before, "it hears by a new start");
    // As a caller does that had no answer in time.
    let again = update(&mut runner, "Sum.", "2026-11-28T07:00:05Z").await;
    assert_eq!(again, first);
    let other = update(&mut runner, "Count.", "2026-11-28T07:00:10Z").await;
    assert_ne!(other, first);
    assert_eq!(soul(&runner).await, "# Ada\nCount.\n");
}

/// Where its files do not show it.
#[tokio::test]
async fn a_harness_may_say_itself_whether_it_is_clean() {
    for (equals, clean) in [("{}", true), ("[]", false)] {
        let answer = json!({"answer": {"path": "/plain", "pointer": "", "equals": equals, "credential": true}});
        let runner = Runner::ready(|contract| contract["clean"] = answer).await;
        let (_, status) = runner.call("GET", "/pool/status", "").await;
        assert_eq!(status["clean"], clean, "{equals}");
    }
}

fn configured(contract: &mut Value) {
    contract["persona"] = json!({"files": [
        {"path": "SOUL.md", "text": "# {agentName}\n{instructions}\n"},
        {"path": "config.json", "text": "{\"model\": \"{model}\"}", "quoted": true},
    ]});
    contract["toldBy"] = json!("Restart");
}

fn of_model(model: &str) -> Value {
    json!({"claim": "c1", "agentName": "Ada", "instructions": "Count.", "model": model})
}

async fn updated(runner: &Runner, change: Value) -> (u16, Value) {
    let path = "/pool/update-template";
    runner.call("POST", path, &change.to_string()).await
}

/// Channels, plugins, what it has learned of itself: an edit of something else leaves them.
#[tokio::test]
async fn what_an_agent_makes_of_its_files_stays_until_something_else_is_told_for_them() {
    let mut runner = Runner::ready(configured).await;
    let told = of_model("a/\"b").to_string();
    assert_eq!(runner.call("POST", "/pool/provision", &told).await.0, 200);
    let config = |runner: &Runner| fs::read_to_string(runner.state("config.json")).expect("config");
    assert_eq!(config(&runner), r#"{"model": "a/\"b"}"#);
    fs::write(runner.state("config.json"), "its own").expect("written");
    let change = json!({"claim": "c1", "instructions": "Sing.", "model": "a/\"b"});
    assert_eq!(updated(&runner, change).await.0, 200);
    assert_eq!(soul(&runner).await, "# Ada\nSing.\n");
    assert_eq!(config(&runner), "its own");
    fs::write(runner.state("SOUL.md"), "I sing").expect("written");
    let change = json!({"claim": "c1", "env": {"A": "b"}});
    assert_eq!(updated(&runner, change).await.0, 200);
    runner.signal(rustix::process::Signal::TERM);
    runner.until_ended().await;
    runner.again().await;
    assert_eq!(
        (soul(&runner).await.as_str(), config(&runner).as_str()),
        ("I sing", "its own")
    );
    let change = json!({"claim": "c1", "model": "c"});
    assert_eq!(updated(&runner, change).await.0, 200);
    assert_eq!(config(&runner), r#"{"model": "c"}"#);
    assert_eq!(soul(&runner).await, "I sing");
}

/// As when its template brings the configuration itself from now on.
#[tokio::test]
async fn a_model_that_has_no_place_any_more_does_not_make_an_agent_deaf() {
    let mut runner = Runner::ready(configured).await;
    let told = of_model("a").to_string();
    assert_eq!(runner.call("POST", "/pool/provision", &told).await.0, 200);
    runner.signal(rustix::process::Signal::TERM);
    runner.until_ended().await;
    runner.contract["persona"]["files"]
        .as_array_mut()
        .expect("files")
        .pop();
    runner.again().await;
    let change = |model: &str| json!({"claim": "c1", "instructions": "Sing.", "model": model});
    assert_eq!(updated(&runner, change("a")).await.0, 200);
    assert_eq!(soul(&runner).await, "# Ada\nSing.\n");
    let (status, said) = updated(&runner, change("b")).await;
    assert_eq!(status, 422);
    assert!(
        said["error"]
            .to_string()
            .contains("its template's own files")
    );
}

#[tokio::test]
async fn what_a_program_needs_is_missed_and_what_is_its_templates_is_refused() {
    let mut runner = Runner::ready(|contract| {
        configured(contract);
        contract["needs"] = json!(["model"]);
        contract["reserved"] = json!(["STATE_DIR"]);
    })
    .await;
    let mut told = of_model("a");
    let provision = async |told: &Value| {
        let (status, said) = runner
            .call("POST", "/pool/provision", &told.to_string())
            .await;
        (status, said["error"].to_string())
    };
    told["model"].take();
    let (status, said) = provision(&told).await;
    assert!(status == 422 && said.contains("model is missing"), "{said}");
    told["model"] = "a".into();
    told["env"] = json!({"STATE_DIR": "/elsewhere"});
    let (status, said) = provision(&told).await;
    assert!(status == 400 && said.contains("STATE_DIR"), "{said}");
    told["env"] = json!({});
    assert_eq!(provision(&told).await.0, 200);
    // Its disk is lost, and it is told what is new alone.
    runner.signal(rustix::process::Signal::TERM);
    runner.until_ended().await;
    fs::remove_dir_all(runner.state("")).expect("lost");
    runner.again().await;
    let change = json!({"claim": "c1", "instructions": "Sing.", "model": "a"});
    let (status, said) = updated(&runner, change).await;
    assert_eq!(status, 422);
    assert!(said["error"].to_string().contains("agentName"), "{said}");
}
