//! The world itself: that it comes up, is what README.md says, and leaves nothing behind.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use world::{Options, SYSTEM_NAMESPACE, World, eventually, test_directory};

const SOON: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_up_serves_and_ends() {
    let world = World::start(Options::new(test_directory("serves")))
        .await
        .unwrap();
    let said = |name: &str| std::fs::read_to_string(world.dir().join(name)).unwrap();

    let description: Value = serde_json::from_str(&said("world.json")).unwrap();
    assert_eq!(description["pids"]["world"], std::process::id());
    assert_eq!(description["simulator"], world.outside().url());
    assert!(said("proxy.env").contains(&format!("export HTTPS_PROXY='{}'", world.proxy())));
    assert!(said("ca.pem").contains("BEGIN CERTIFICATE"));

    // The product's kinds are served, and its ServiceAccount may do what the chart says and no more.
    let kinds = world
        .kubectl(&["api-resources", "--api-group", "yardmaster.dev"])
        .await
        .unwrap();
    assert!(kinds.ok().unwrap().contains("agentinstances"));
    let config = world
        .directory()
        .controller_kubeconfig()
        .display()
        .to_string();
    let may = async |verb: &str, what: &str| {
        let asked = ["--kubeconfig", &config, "auth", "can-i", verb, what, "-A"];
        world.kubectl(&asked).await.unwrap().stdout.trim() == "yes"
    };
    assert!(may("list", "agentinstances.yardmaster.dev").await);
    assert!(!may("delete", "nodes").await);

    // Two tenants do not see each other.
    let before = world.audit().mark().unwrap();
    let (one, other) = (
        world.tenant("one").await.unwrap(),
        world.tenant("one").await.unwrap(),
    );
    assert_ne!(one.name(), other.name());
    let secret = world.secret(SYSTEM_NAMESPACE, one.name()).await.unwrap();
    assert_eq!(secret["token"], one.token());
    assert!(one.inventory().await.unwrap().is_empty());
    let account = one.provider_account().get().await.unwrap();
    assert_eq!(
        account.data["spec"]["railway"]["workspaceId"],
        one.workspace()
    );

    // The audit log tells it, and tells it only once.
    let about = |mark| {
        let lines = world.audit().since(mark).unwrap();
        let accounts = lines
            .iter()
            .filter(|line| line.is_write() && !line.is_controller());
        accounts
            .filter(|line| line.resource == "provideraccounts")
            .count()
    };
    eventually("both accounts are in the log", SOON, async || {
        Ok((about(before) == 2).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(about(world.audit().mark().unwrap()), 0);

    // What the outside is, the simulator says, and the journal has it.
    let start = world.journal().mark().unwrap();
    let query = json!({"query": "{ projects(first: 1) { edges { node { id } } } }"});
    let railway = "https://backboard.railway.com/graphql/v2?source=test";
    let request = world
        .http(SOON)
        .unwrap()
        .post(railway)
        .bearer_auth(one.token());
    let answer: Value = request
        .json(&query)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer["data"]["projects"]["edges"], json!([]));
    let exchanges = one.exchanges(start).unwrap();
    assert_eq!(exchanges.len(), 1);
    assert_eq!(exchanges[0].operation, "projects");
    assert!(other.exchanges(start).unwrap().is_empty());

    // A failed wait says what was there instead.
    let account = one.provider_account();
    let error = account
        .wait_condition("Ready", "True", Duration::from_millis(100))
        .await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("Ready is True"), "{error}");
    assert!(error.contains("it exists"), "{error}");
    one.instance("none").wait_gone(SOON).await.unwrap();

    world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_can_be_installed_by_helm_itself() {
    let options = Options::new(test_directory("helm")).without_chart();
    let world = World::start(options).await.unwrap();
    let install = [
        "install",
        "yardmaster",
        "charts/yardmaster",
        "--create-namespace",
        "-n",
    ];
    let imageless = [&install[..], &[SYSTEM_NAMESPACE]].concat();
    let refused = world.helm(&imageless).await.unwrap().ok().unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("image.repository is not set"), "{refused}");
    let whole = [&imageless[..], &["--set", world::IMAGE]].concat();
    world.helm(&whole).await.unwrap().ok().unwrap();
    // An apply by others finds nothing in the policies that the API server has filled in.
    let over = ["upgrade", "yardmaster", "charts/yardmaster", "-n"];
    let over = [&over[..], &[SYSTEM_NAMESPACE, "--set", world::IMAGE]].concat();
    world.helm(&over).await.unwrap().ok().unwrap();
    eventually("the product's kinds are served", SOON, async || {
        let listed = world.kubectl(&["get", "yard", "-A"]).await?;
        listed.ok().map(Some)
    })
    .await
    .unwrap();
    world.stop().await.unwrap();
}

#[test]
fn nothing_survives_a_world_that_was_killed() {
    let dir = test_directory("killed");
    let mut up = Command::new(env!("CARGO_BIN_EXE_world"))
        .args(["up", "--without-controller", "--dir"])
        .arg(&dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(up.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert_eq!(first, "ready\n");
    let description = std::fs::read(dir.join("world.json")).unwrap();
    let description: Value = serde_json::from_slice(&description).unwrap();
    let control_plane = description["pids"]["controlPlane"].as_i64().unwrap();

    up.kill().unwrap();
    up.wait().unwrap();
    // The directory is free again, and only for who waits until the control plane is gone.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::start(Options::new(&dir))).unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(control_plane).unwrap());
    assert!(
        nix::sys::signal::kill(pid, None).is_err(),
        "the old control plane runs"
    );
    let error = runtime
        .block_on(World::start(Options::new(&dir)))
        .err()
        .unwrap();
    assert!(error.to_string().contains("still runs"), "{error}");
    runtime.block_on(world.stop()).unwrap();
}
