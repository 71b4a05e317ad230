//! Undisturbed runs: how many of what, and rest afterwards.

use super::scene::Scene;
use super::story;
use crate::api::condition::kind;

#[test]
fn creation_makes_one_of_each_and_deploys_once() {
    for story in story::creations() {
        let run = story.told(&[]);
        let scene = &run.scene;
        let volume = u32::from(story.name.contains("volume"));
        let told = format!("{}: {:?}\n{}", story.name, scene.log, run.portrait);
        for (what, count) in [
            ("project", 1),
            ("service", 1),
            ("volume", volume),
            ("domain", 1),
            ("configure", 1),
            ("deployment", 1),
            ("delete", 0),
        ] {
            assert_eq!(scene.count(what), count, "{what}: {told}");
        }
        assert!(scene.is(kind::READY) && scene.is(kind::SYNCED), "{told}");
        let writes = ["Hold", "MintToken", "Persist"].map(|word| scene.effects(word));
        assert!(
            writes.iter().sum::<usize>() <= 6,
            "at most 6 writes to Kubernetes (design 5): {told}"
        );
        // Where the first look shows nothing yet, what runs in the end is compared once with what was applied.
        let compared = usize::from(story.name.contains("slowly"));
        assert_eq!(
            (scene.effects("Search"), scene.effects("Compare")),
            (0, compared),
            "{told}"
        );
    }
}

#[test]
fn at_rest_a_further_pass_does_nothing() {
    for story in story::all() {
        let mut scene = story.told(&[]).scene;
        scene.log.clear();
        scene.visit();
        assert!(
            !scene.log.contains(&"Persist")
                && scene.provider.last_change < scene.now - super::scene::second(60),
            "{}: {:?}",
            story.name,
            scene.log
        );
        let healthy = scene.is(kind::READY);
        assert!(
            !healthy || scene.log.is_empty(),
            "{}: {:?}",
            story.name,
            scene.log
        );
        // Nor after a restart, once it knows again.
        scene.restart();
        scene.log.clear();
        scene.settle();
        assert!(
            !scene.log.contains(&"Persist"),
            "{} after a restart: {:?}",
            story.name,
            scene.log
        );
    }
}

#[test]
fn each_story_ends_as_its_name_says() {
    for (name, end) in [
        ("delete", "object: gone\n"),
        ("suspend", "Suspended=True"),
        ("resume", "Ready=True"),
        ("new revision", "sha256:2"),
        ("new variable", "\"MODE\": \"b\""),
        ("a variable was edited", "\"MODE\": \"a\""),
        ("the domain was deleted", "1 services, 1 volumes, 1 domains"),
        (
            "the service was deleted",
            "1 services, 0 volumes, 1 domains",
        ),
        ("the deployment was removed", "Running"),
        ("the volume was deleted, to be made again", "1 volumes"),
        ("the project was deleted, to be made again", "Ready=True"),
        ("the project was deleted, no volume", "Ready=True"),
        (
            "the project was deleted, to be told",
            "Ready=False DeletedExternally",
        ),
    ] {
        let story = story::all()
            .into_iter()
            .find(|story| story.name == name)
            .expect(name);
        let run = story.told(&[]);
        assert!(
            run.portrait.contains(end),
            "{name}: {:?}\n{}",
            run.scene.log,
            run.portrait
        );
    }
}

#[test]
fn resuming_is_no_news_of_a_drift() {
    for story in story::changes()
        .iter()
        .filter(|story| story.name.starts_with("resume"))
    {
        let Scene { told, log, .. } = story.told(&[]).scene;
        assert!(told.iter().all(|one| !one.warning), "{told:?} {log:?}");
    }
}
