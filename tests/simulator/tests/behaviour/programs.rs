//! Programs of this machine in place of imitated agents: started, asked, stopped, moved, and never left behind.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::client::{Built, World, text, until};

const IMAGE: &str = "ghcr.io/acme/real:1.0";
const VOLUME_CREATE: &str =
    "mutation($input: VolumeCreateInput!) { volumeCreate(input: $input) { id } }";

/// A world in which the image is a small program.
async fn world(folder: &Path) -> World {
    World::with(&[("agent.programs", &programs(folder))]).await
}

fn programs(folder: &Path) -> String {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/behaviour/program.py");
    let path = std::env::var("PATH").unwrap_or_default();
    let path: Vec<&str> = path.split(':').collect();
    let file = folder.join("programs.json");
    let row = json!({ "argv": ["python3", program], "path": path, "version": "1.0" });
    std::fs::write(&file, json!({ "ghcr.io/acme/real": row }).to_string()).unwrap();
    file.display().to_string()
}

fn config(more: Value) -> Value {
    let mut config = json!({
        "source": { "image": IMAGE },
        "deploy": { "startCommand": "agent serve --port 18789" },
        "variables": {
            "GATEWAY_TOKEN": { "value": "gateway" },
            "PORT": { "value": "18789" },
        },
    });
    let variables = more.as_object().into_iter().flatten();
    for (name, value) in variables {
        config["variables"][name] = json!({ "value": value });
    }
    config
}

async fn get(world: &World, built: &Built, path: &str) -> (u16, String) {
    let url = format!("https://{}{path}", built.domain);
    let answer = world.client.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn post(world: &World, built: &Built, path: &str, body: Vec<u8>) -> Vec<u8> {
    let url = format!("https://{}{path}", built.domain);
    let answer = world.client.post(url).body(body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.bytes().await.unwrap().to_vec()
}

/// What it says it was given, once it says so.
async fn given(world: &World, built: &Built) -> Value {
    let given = until("the program", async || {
        let (status, text) = get(world, built, "/").await;
        (status == 200).then_some(text)
    });
    serde_json::from_str(&given.await).unwrap()
}

async fn shown(world: &World, built: &Built) -> Value {
    let agents = world.control("GET", "/agents", Value::Null).await;
    let mut agents = agents.as_array().unwrap().clone().into_iter();
    let agent = agents.find(|agent| agent["domain"] == json!(built.domain));
    agent.expect("an agent")["program"].clone()
}

fn lines(world: &World) -> Vec<Value> {
    let file = world
        .simulator
        .journal_file()
        .with_file_name("harness.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_program_runs_with_what_was_configured() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let built = world.build("p").await;
    world.patch(&built, config(json!({ "TOLD": "so" }))).await;
    let given = given(&world, &built).await;
    let (env, program) = (&given["env"], shown(&world, &built).await);
    let port = program["port"].to_string();
    assert_ne!(port, "18789");
    assert_eq!(given["argv"], json!(["serve", "--port", port]));
    assert_eq!((&env["PORT"], &env["TOLD"]), (&json!(port), &json!("so")));
    assert_eq!(env["GATEWAY_TOKEN"], "gateway");
    assert_eq!(env["HTTPS_PROXY"], world.simulator.proxy_url());
    assert_eq!(given["host"], built.domain);
    assert_eq!(given["pid"], 1, "as in a container");
    assert_eq!(
        (&program["serves"], &program["starts"]),
        (&json!(true), &json!(1))
    );
    let log = std::fs::read_to_string(text(&program["log"])).unwrap();
    assert!(log.contains("begins") && !log.contains("gateway"), "{log}");

    // Bodies of any size, and no line of any of it in the journal.
    let large = vec![7; 5 << 20];
    assert_eq!(
        post(&world, &built, "/echo?token=1", large.clone()).await,
        large
    );
    let line = until("the line", async || {
        lines(&world)
            .into_iter()
            .find(|line| line["path"] == "/echo")
    });
    let line = line.await;
    assert_eq!(
        (&line["sent"], &line["received"]),
        (&json!(5 << 20), &json!(5 << 20))
    );
    assert_eq!(
        (&line["status"], &line["method"]),
        (&json!(200), &json!("POST"))
    );
    let journal = world.journal().await;
    assert!(journal.iter().all(|line| line["provider"] != "agent"));

    // A fault strikes here as anywhere.
    let fault = json!({ "provider": "agent", "operation": "GET /", "effect": { "status": 503 } });
    world.control("POST", "/faults", fault).await;
    assert_eq!(get(&world, &built, "/").await.0, 503);
    assert_eq!(get(&world, &built, "/").await.0, 200);
}

/// What a shell does first is done, and the program and its port are put in place within its script.
#[tokio::test]
async fn a_script_that_ends_with_the_program_runs_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let built = world.build("p").await;
    let script = "printf laid > \"$HOME/notes\" || exit 1\nunset START\nexec 'agent' 'it'\\''s' '--port' '18789'\n";
    let mut config = config(json!({ "START": script }));
    config["deploy"]["startCommand"] = json!("/bin/sh -c 'eval \"$START\"'");
    world.patch(&built, config).await;
    let given = given(&world, &built).await;
    let port = shown(&world, &built).await["port"].to_string();
    assert_eq!(given["argv"], json!(["it's", "--port", port]));
    assert_eq!(
        (&given["env"]["START"], &given["pid"]),
        (&Value::Null, &json!(1))
    );
    assert_eq!(get(&world, &built, "/notes").await.1, "laid");
}

#[tokio::test]
async fn an_answer_is_streamed_and_a_connection_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let built = world.build("p").await;
    world.patch(&built, config(json!({}))).await;
    given(&world, &built).await;
    let url = |path: &str| format!("https://{}{path}", built.domain);
    let mut events = world.client.get(url("/events")).send().await.unwrap();
    let first = events.chunk().await.unwrap().unwrap();
    assert_eq!(&first[..], b"data: one\n\n", "before the second is there");
    get(&world, &built, "/go").await;
    let second = events.chunk().await.unwrap().unwrap();
    assert_eq!(&second[..], b"data: two\n\n");

    let asked = world.client.get(url("/socket"));
    let asked = asked
        .header("connection", "upgrade")
        .header("upgrade", "echo");
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 101);
    let mut socket = answer.upgrade().await.unwrap();
    socket.write_all(b"ping").await.unwrap();
    let mut heard = [0; 4];
    socket.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"PING");
}

#[tokio::test]
async fn a_disk_outlives_deployments_and_goes_with_its_volume() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let built = world.build("p").await;
    let place = "/mnt/no-such-place/of-this-machine";
    let input = json!({ "projectId": built.project, "environmentId": built.environment,
        "serviceId": built.service, "mountPath": place });
    let volume = world.data(VOLUME_CREATE, json!({ "input": input })).await;
    world.patch(&built, config(json!({ "DATA": place }))).await;
    given(&world, &built).await;
    post(&world, &built, "/notes", b"first ".to_vec()).await;
    assert!(
        !Path::new(place).exists(),
        "nothing is made on this machine"
    );
    let log = PathBuf::from(text(&shown(&world, &built).await["log"]));

    world
        .patch(&built, json!({ "variables": { "TURN": { "value": "2" } } }))
        .await;
    until("the next deployment", async || {
        (given(&world, &built).await["env"]["TURN"] == "2").then_some(())
    })
    .await;
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.contains("told to end"),
        "the old one was asked to: {log}"
    );
    assert_eq!(get(&world, &built, "/notes").await.1, "first ");

    let disks = world.simulator.journal_file().with_file_name("volumes");
    assert_eq!(std::fs::read_dir(&disks).unwrap().count(), 1);
    let delete = "mutation($id: String!) { volumeDelete(volumeId: $id) }";
    world
        .data(delete, json!({ "id": volume["volumeCreate"]["id"] }))
        .await;
    let delete = "mutation($id: String!) { projectDelete(id: $id) }";
    world.data(delete, json!({ "id": built.project })).await;
    until("the disk to go", async || {
        (std::fs::read_dir(&disks).unwrap().count() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_a_disk_the_old_one_answers_until_the_new_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let built = world.build("p").await;
    world.patch(&built, config(json!({ "TURN": "1" }))).await;
    given(&world, &built).await;
    world
        .patch(&built, json!({ "variables": { "TURN": { "value": "2" } } }))
        .await;
    until("the next deployment", async || {
        let (status, text) = get(&world, &built, "/").await;
        assert_eq!(status, 200, "somebody answers all the time");
        let given: Value = serde_json::from_str(&text).unwrap();
        (given["env"]["TURN"] == "2").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_program_that_ends_is_started_again_as_the_policy_says() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let built = world.build("p").await;
    world.patch(&built, config(json!({}))).await;
    given(&world, &built).await;
    let die = || async {
        let url = format!("https://{}/die", built.domain);
        let answer = world.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 502);
    };
    die().await;
    given(&world, &built).await;
    assert_eq!(shown(&world, &built).await["starts"], 2);
    assert_eq!(world.statuses(&built).await, ["SUCCESS"]);

    world
        .patch(
            &built,
            json!({ "deploy": { "restartPolicyType": "NEVER" } }),
        )
        .await;
    until("the next deployment", async || {
        let statuses = world.statuses(&built).await;
        let ready =
            shown(&world, &built).await["starts"] == 1 && get(&world, &built, "/").await.0 == 200;
        (ready && statuses == ["SUCCESS", "REMOVED"]).then_some(())
    })
    .await;
    until("the crash", async || {
        // The one before may still be there to die first.
        let _ = get(&world, &built, "/die").await;
        (world.statuses(&built).await[0] == "CRASHED").then_some(())
    })
    .await;
    assert_eq!(get(&world, &built, "/").await.0, 502);
}

/// Not a test by itself: the world that the next one kills.
#[tokio::test]
async fn a_world_to_be_killed() {
    let Some(folder) = std::env::var_os("WORLD_TO_BE_KILLED") else {
        return;
    };
    let world = world(Path::new(&folder)).await;
    let built = world.build("p").await;
    world
        .patch(
            &built,
            config(json!({ "CHILD": "1", "MARK": folder.to_string_lossy() })),
        )
        .await;
    given(&world, &built).await;
    std::fs::write(Path::new(&folder).join("up"), "").unwrap();
    std::future::pending::<()>().await;
}

/// Processes that have this folder in their environment.
fn living(folder: &Path) -> usize {
    let mark = format!("MARK={}", folder.display());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let has = |process: &std::fs::DirEntry| {
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|row| row == mark.as_bytes())
    };
    processes.filter(has).count()
}

#[tokio::test]
async fn nothing_outlives_a_world_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "programs::a_world_to_be_killed"])
        .env("WORLD_TO_BE_KILLED", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the world", async || {
        folder.path().join("up").exists().then_some(())
    })
    .await;
    // The program, what it started, and those that hold both.
    assert!(living(folder.path()) >= 2);
    child.kill().unwrap();
    child.wait().unwrap();
    until("all of it to end", async || {
        (living(folder.path()) == 0).then_some(())
    })
    .await;
}
