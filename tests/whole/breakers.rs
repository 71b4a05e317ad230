//! What stops by itself where too much changes at once, and goes on when a person says that it is meant.

use reqwest::Method;
use serde_json::{Value, json};
use world::eventually;

use crate::support::{SOON, Scene, id, is_ready, says};
use crate::sweep::{orphan, projects, wants};

/// Runs the command that a message prints.
pub async fn acknowledge(scene: &Scene<'_>, message: &str) {
    let (_, command) = message.split_once("kubectl ").unwrap();
    let arguments: Vec<&str> = command.split(' ').collect();
    let ran = scene.world.kubectl(&arguments).await.unwrap();
    ran.ok().unwrap();
}

async fn delete_by_hand(scene: &Scene<'_>, project: &str) {
    let path = format!("/railway/projects/{project}/delete");
    scene.by_hand(Method::POST, &path, Value::Null).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_projects_that_vanish_at_once_are_an_outage_until_a_person_says_that_they_are_gone() {
    let scene = Scene::new("vanish").await;
    let names: Vec<String> = (0..8).map(|n| format!("a{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let agents = scene.ready(json!({}), &names).await;
    scene.listings(2).await;
    let account = scene.tenant.provider_account();

    // One after the other they are made anew: one missing thing stops itself alone.
    let mark = scene.mark();
    let one = id(&agents[7].get().await.unwrap(), "project");
    delete_by_hand(&scene, &one).await;
    let anew = agents[7].wait_until("it has another project", SOON, |object| {
        let entries = object.data["status"]["external"].as_array().unwrap();
        entries.iter().any(|entry| {
            entry["slot"] == "project" && entry["id"].is_string() && entry["id"] != one.as_str()
        })
    });
    anew.await.unwrap();
    is_ready(&agents[7]).await;
    assert!(scene.mutations(mark).contains(&"projectCreate".to_owned()));
    scene.listings(2).await;

    // Seven of eight at once, whatever the provider's own count says.
    let mark = scene.mark();
    let mut projects = Vec::new();
    for agent in &agents[..7] {
        projects.push(id(&agent.get().await.unwrap(), "project"));
    }
    // At once, so that one listing shows them all or none.
    let deleted = projects.iter().map(|id| delete_by_hand(&scene, id));
    futures::future::join_all(deleted).await;
    let message = says(&account, "Healthy", "False", "VanishedTogether").await;
    assert!(message.starts_with("7 of 8 "), "{message}");
    // A spec that changes meanwhile changes nothing, and an agent that is deleted waits.
    let env = json!({"spec": {"env": [{"name": "HI", "value": "there"}]}});
    agents[7].patch(env).await.unwrap();
    agents[6].delete().await.unwrap();
    scene.listings(3).await;
    assert_eq!(scene.mutations(mark), [""; 0]);
    let events = account.events().await.unwrap();
    let told = events.iter().filter(|one| one.contains("VanishedTogether"));
    assert_eq!(told.count(), 1, "{events:?}");

    acknowledge(&scene, &message).await;
    account
        .wait_condition("Healthy", "True", SOON)
        .await
        .unwrap();
    agents[6].wait_gone(SOON).await.unwrap();
    for agent in &agents[..6] {
        is_ready(agent).await;
    }
    let made = scene.mutations(mark);
    let made = made.iter().filter(|one| *one == "projectCreate").count();
    assert_eq!(made, 6);
    assert_eq!(scene.projects().await, 7);
}

const CLAIMED: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_finds_much_too_much_deletes_nothing_until_a_person_says_so() {
    let scene = Scene::new("much").await;
    let account = scene.tenant.provider_account();
    // As many are claimed, so that nobody takes it for a loss of ledgers.
    let names: Vec<String> = (0..CLAIMED).map(|n| format!("a{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.ready(json!({}), &names).await;
    for n in 0..6 {
        orphan(&scene, &format!("5d1f7c1e-0000-4000-8000-00000000000{n}")).await;
    }
    wants(&account, "Delete").await;
    let message = says(&account, "SweepHeldBack", "True", "TooManyOrphans").await;
    scene.listings(4).await;
    assert_eq!(projects(&scene).await.len(), CLAIMED + 6);
    acknowledge(&scene, &message).await;
    eventually("all are taken back", SOON, async || {
        Ok((projects(&scene).await.len() == CLAIMED).then_some(()))
    })
    .await
    .unwrap();
    let none = account.wait_until("it is told no longer", SOON, |object| {
        world::condition(object, "SweepHeldBack").is_none()
    });
    none.await.unwrap();

    // The next occurrence is another one.
    for n in 0..6 {
        orphan(&scene, &format!("5d1f7c1e-0000-4000-8000-00000000001{n}")).await;
    }
    let next = says(&account, "SweepHeldBack", "True", "TooManyOrphans").await;
    assert_ne!(next, message);
    scene.listings(4).await;
    assert_eq!(projects(&scene).await.len(), CLAIMED + 6);
}
