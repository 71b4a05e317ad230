//! The README's guide, run as it is written, on an empty cluster: at its end every agent of the examples is ready.
//!
//! Holds: only what cannot be here is replaced: the image is not built, a Railway token is one of the simulator, and the pause
//! that Railway wants between projects is not waited for.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use world::{Options, World, railway_token, test_directory};

const README: &str = include_str!("../../README.md");

/// The guide's commands: the one block of shell in its section.
fn guide() -> String {
    let section = README
        .split("## A first agent on a real cluster")
        .nth(1)
        .unwrap();
    let section = section.split("\n## ").next().unwrap();
    let block = section.split("```sh\n").nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

/// Runs commands as a person in a checkout of the product would.
async fn run(world: &World, folder: &Path, commands: &str) -> String {
    let tools = world.dir().join("bin");
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let running = Command::new("sh")
        .args(["-euxc", commands])
        .current_dir(folder)
        .env("PATH", path)
        .env("KUBECONFIG", world.dir().join("kubeconfig"))
        .env("HOME", folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let limit = Duration::from_secs(120);
    let output = tokio::time::timeout(limit, running).await.unwrap().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, errors) = (said(&output.stdout), said(&output.stderr));
    assert!(
        output.status.success(),
        "{out}\n{errors}\n{}",
        world.report()
    );
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_ends_with_three_ready_agents() {
    let options = Options::new(test_directory("guide")).without_chart();
    let mut world = World::start(options).await.unwrap();
    let folder = world.dir().join("checkout");
    std::fs::create_dir(&folder).unwrap();
    for part in ["charts", "examples"] {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(part);
        symlink(own, folder.join(part)).unwrap();
    }
    let guide = guide();
    let (build, rest) = guide.split_once('\n').unwrap();
    let image = format!("registry.example/yardmaster:{}", env!("CARGO_PKG_VERSION"));
    assert!(build.starts_with("docker build"), "{build}");
    assert_eq!(build.matches(&image).count(), 2, "{build}");
    let token = railway_token("acme");
    let rest = rest.replace("YOUR_TOKEN", &token);
    assert!(rest.contains(&token), "{rest}");

    // Where the chart is installed a kubelet would start the controller; where the account is made, Railway is in a hurry.
    let (install, rest) = rest.split_once("\n\n").unwrap();
    assert!(install.contains("helm install"), "{install}");
    run(&world, &folder, install).await;
    let binary = env!("CARGO_BIN_EXE_yardmaster").into();
    world.run_installed(binary, Vec::new()).await.unwrap();
    let (account, agents) = rest.split_once("\n\n").unwrap();
    assert!(
        account.contains("kubectl wait provideraccount/"),
        "{account}"
    );
    run(&world, &folder, account).await;
    let quick = r#"kubectl patch pacct railway-main --type merge -p '{"spec":{"railway":{"projectInterval":"10ms"}}}'"#;
    run(&world, &folder, quick).await;
    let said = run(&world, &folder, agents).await;
    assert_eq!(said.matches("condition met").count(), 3, "{said}");
    let ready = "kubectl get agi -A -o 'jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}'";
    let ready = run(&world, &folder, ready).await;
    assert_eq!(ready, "True True True");

    // And it goes as the README says that it goes.
    let uninstall = "kubectl delete agi --all -A --timeout=60s\n\
        kubectl delete pacct --all --timeout=60s\n\
        helm upgrade yardmaster charts/yardmaster -n yardmaster-system -f values.yaml\n\
        helm uninstall yardmaster -n yardmaster-system";
    run(&world, &folder, uninstall).await;
    assert_eq!(world.inventory().await.unwrap().resources.len(), 0);
    world.stop().await.unwrap();
}
