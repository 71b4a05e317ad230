//! What people own and what we remember, lost: a project, with its tools still there.
//!
//! Holds: what is lost at one provider costs nothing at another; nothing is doubled, lost or leaked by a loss.

use super::scene::Scene;
use super::tool_ends::{in_order, told, tool, tooled};
use crate::api::condition::kind;
use crate::api::instance::OnExternalDeletion;

/// Somebody deletes every project of the agent.
fn project_goes(scene: &mut Scene) {
    let now = scene.now;
    scene.provider.meddle(now, |projects| {
        projects.iter_mut().for_each(|home| home.deleted = true);
    });
}

#[test]
fn a_project_that_is_lost_leaves_the_tools_as_they_are() {
    for slow in [false, true] {
        for volume in [false, true] {
            for recreate in [
                None,
                Some(OnExternalDeletion::Recreate),
                Some(OnExternalDeletion::Report),
            ] {
                let mut scene = tooled();
                if slow {
                    scene = scene.slow();
                }
                if volume {
                    scene = scene.with_volume();
                }
                scene.edit(|object| object.spec.on_external_deletion = recreate);
                let mut scene = scene.rested();
                let tools: Vec<String> = scene.living().iter().map(|one| one.id.clone()).collect();
                let values = scene.provider.projects[0].settings.clone();
                project_goes(&mut scene);
                scene.settle();
                in_order(&scene);
                let now: Vec<String> = scene.living().iter().map(|one| one.id.clone()).collect();
                assert_eq!(now, tools, "{}", told(&scene));
                assert!(scene.shops.counts.is_empty(), "{}", told(&scene));
                let comes_back =
                    recreate.map_or(!volume, |chosen| chosen == OnExternalDeletion::Recreate);
                assert_eq!(scene.is(kind::READY), comes_back, "{}", told(&scene));
                assert_eq!(
                    scene.alive().len(),
                    usize::from(comes_back),
                    "{}",
                    told(&scene)
                );
                if comes_back {
                    let again = scene.alive()[0]
                        .settings
                        .values()
                        .next()
                        .map(|one| &one.variables);
                    assert_eq!(again, values.values().next().map(|one| &one.variables));
                    assert_eq!(tool(&scene, "phone"), (true, "Ready".into()));
                } else {
                    assert_eq!(scene.reason(kind::STALLED), Some("DeletedExternally"));
                }
                scene.delete();
                scene.settle();
                in_order(&scene);
                assert!(scene.object.is_none(), "{}", told(&scene));
            }
        }
    }
}
