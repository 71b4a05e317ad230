//! The API server refuses a step, for as long as it likes: it is told with the object, tried ever more slowly, changes nothing
//! outside that it did not change before, and is over as soon as the API server lets it through.

use super::scene::{Scene, second};
use crate::api::condition::{kind, reason};
use crate::api::template::ReclaimPolicy;
use crate::api::text::Span;
use jiff::SignedDuration;

type Act = fn(&mut Scene);

/// A scene in which a step of that name comes, and what brings it.
fn scenes() -> Vec<(&'static str, Scene, Act)> {
    let tooled = || Scene::new().with_tools();
    let mut keyed = tooled();
    keyed.tools.retain(|tool| tool.name.as_str() == "llm");
    let mut for_good = tooled();
    for tool in &mut for_good.tools {
        tool.reclaim_policy = Some(ReclaimPolicy::Delete);
    }
    vec![
        ("Hold", Scene::new(), |_| {}),
        ("MintToken", Scene::new(), |_| {}),
        ("KeepSecret", keyed, |_| {}),
        ("DropSecret", for_good.rested(), Scene::delete),
        ("LetGo", Scene::new().rested(), Scene::delete),
        ("Expire", Scene::new().rested(), |scene| {
            scene.edit(|object| object.spec.expires_after = Some(Span("1m".into())));
            // It lives an hour from when that was first seen.
            scene.run_for(SignedDuration::from_mins(59));
        }),
    ]
}

#[test]
fn a_step_that_the_api_server_refuses_is_told_and_tried_ever_more_slowly() {
    for (word, scene, act) in scenes() {
        let mut undisturbed = scene.clone();
        act(&mut undisturbed);
        undisturbed.run_for(SignedDuration::from_mins(10));
        undisturbed.settle();

        let mut scene = scene;
        scene.refused.insert(word);
        act(&mut scene);
        scene.run_for(second(3600));
        let told = format!("{word}: {:?}\n{}", scene.log, scene.portrait());
        assert_eq!(
            scene.reason(kind::STALLED),
            Some(reason::REFUSED_BY_CLUSTER),
            "{told}"
        );
        let tried = scene.log.iter().filter(|one| **one == word).count();
        assert!((4..=14).contains(&tried), "{tried} times {told}");
        // A key that cannot be kept is taken back and made again, and that is told as well.
        if word != "KeepSecret" {
            let warned = scene
                .told
                .iter()
                .filter(|one| one.reason == reason::REFUSED_BY_CLUSTER);
            assert_eq!(warned.count(), 1, "{told}");
            let after = scene.log.iter().skip_while(|one| **one != word);
            let writes = after.filter(|one| **one == "Persist").count();
            assert_eq!(writes, 1, "{told}");
        }

        scene.refused.clear();
        scene.run_for(SignedDuration::from_mins(15));
        scene.settle();
        assert_eq!(scene.portrait(), undisturbed.portrait(), "{told}");
    }
}
