//! Stories: a scene at rest, and something that happens to it. Told once undisturbed, they are told again with
//! troubles, and must come to the same.

use super::adoption::adopting;
use super::scene::{Scene, Trouble};
use crate::api::instance::{OnExternalDeletion, OperatingMode, UpdatePolicy};
use std::collections::BTreeMap;

/// A scene at rest, and what happens then.
pub struct Story {
    pub name: &'static str,
    pub scene: Scene,
    pub act: fn(&mut Scene),
}

/// A run of a story.
pub struct Run {
    pub scene: Scene,
    pub portrait: String,
}

fn suspended(scene: &mut Scene) {
    scene.edit(|object| object.spec.operating_mode = OperatingMode::Suspended);
}

fn resumed(scene: &mut Scene) {
    scene.edit(|object| object.spec.operating_mode = OperatingMode::Running);
}

fn meddle(scene: &mut Scene, with: fn(&mut super::provider::Project)) {
    let now = scene.now;
    scene.provider.meddle(now, |projects| {
        projects
            .iter_mut()
            .filter(|home| !home.deleted)
            .for_each(with)
    });
}

fn story(name: &'static str, scene: Scene, act: fn(&mut Scene)) -> Story {
    Story { name, scene, act }
}

/// Coming up, without and with a volume.
pub fn creations() -> Vec<Story> {
    vec![
        story("create", Scene::new(), |_| {}),
        story("create slowly", Scene::new().slow(), |_| {}),
        story("create with a volume", Scene::new().with_volume(), |_| {}),
        story(
            "create with a volume, slowly",
            Scene::new().with_volume().slow(),
            |_| {},
        ),
    ]
}

/// Going away.
pub fn deletions() -> Vec<Story> {
    let shown = |mut scene: Scene| {
        scene.provider.shows_deleted = true;
        scene
    };
    vec![
        story("delete", Scene::new().rested(), Scene::delete),
        story(
            "delete, reads lagging",
            Scene::new().slow().rested(),
            Scene::delete,
        ),
        story(
            "delete, still shown",
            shown(Scene::new().with_volume().slow()).rested(),
            Scene::delete,
        ),
    ]
}

/// Everything in between.
pub fn changes() -> Vec<Story> {
    let (plain, disk) = (
        || Scene::new().rested(),
        || Scene::new().with_volume().slow().rested(),
    );
    let recreating = |mut scene: Scene| {
        scene.edit(|object| object.spec.on_external_deletion = Some(OnExternalDeletion::Recreate));
        scene.rested()
    };
    let asleep = |mut scene: Scene| {
        suspended(&mut scene);
        scene.rested()
    };
    vec![
        story("new revision", plain(), |scene| scene.revise("2")),
        story("new revision, slowly", disk(), |scene| scene.revise("2")),
        story("new variable", disk(), |scene| scene.set_env("b")),
        story("suspend", plain(), suspended),
        story("suspend slowly", disk(), suspended),
        story("resume", asleep(plain()), resumed),
        story("resume slowly", asleep(disk()), resumed),
        story("a variable was edited", disk(), |scene| {
            meddle(scene, |home| {
                home.tag += 1;
                for settings in home.settings.values_mut() {
                    settings.variables.insert("MODE".into(), "x".into());
                }
            });
        }),
        story("the domain was deleted", disk(), |scene| {
            meddle(scene, |home| home.domains.clear());
        }),
        story("the service was deleted", plain(), |scene| {
            meddle(scene, |home| {
                home.services.clear();
                home.domains.clear();
                home.deployments.clear();
                home.settings.clear();
            });
        }),
        story("the deployment was removed", disk(), |scene| {
            meddle(scene, |home| {
                home.deployments
                    .iter_mut()
                    .for_each(|one| one.removed = true)
            });
        }),
        story(
            "the volume was deleted, to be made again",
            recreating(disk()),
            |scene| {
                meddle(scene, |home| home.volumes.clear());
            },
        ),
        story(
            "the project was deleted, to be made again",
            recreating(disk()),
            |scene| {
                meddle(scene, |home| home.deleted = true);
            },
        ),
        story("the project was deleted, no volume", plain(), |scene| {
            meddle(scene, |home| home.deleted = true);
        }),
        story("the project was deleted, to be told", disk(), |scene| {
            meddle(scene, |home| home.deleted = true);
        }),
    ]
}

/// What runs already is taken over, lives on, and goes.
pub fn adoptions() -> Vec<Story> {
    let found = |ownership| adopting(ownership, UpdatePolicy::Manual);
    let followed = |ownership| adopting(ownership, UpdatePolicy::Automatic);
    let rested = |ownership| found(ownership).rested();
    vec![
        story("adopt", found("Dedicated"), |_| {}),
        story(
            "adopt, shared, reads lagging",
            found("Shared").slow(),
            |_| {},
        ),
        story("adopt and follow", followed("Dedicated"), |_| {}),
        story(
            "adopt and follow with a volume",
            followed("Shared").with_volume().slow(),
            |_| {},
        ),
        story("adopt, then follow", rested("Shared"), |scene| {
            scene.edit(|object| object.spec.update_policy = UpdatePolicy::Automatic);
        }),
        story("adopted and suspended", rested("Shared"), suspended),
        story("adopted and deleted", rested("Dedicated"), Scene::delete),
        story(
            "adopted and deleted, shared",
            rested("Shared"),
            Scene::delete,
        ),
        story(
            "adopted and deleted, shared, slowly",
            found("Shared").slow().rested(),
            Scene::delete,
        ),
        story(
            "the adopted project was deleted",
            rested("Shared"),
            |scene| {
                meddle(scene, |home| home.deleted = true);
            },
        ),
        story(
            "the adopted service was deleted",
            rested("Dedicated"),
            |scene| {
                meddle(scene, |home| {
                    home.services.clear();
                    home.domains.clear();
                    home.deployments.clear();
                    home.settings.clear();
                });
            },
        ),
    ]
}

/// The stories in which every pair of crashes is tried.
pub fn paired() -> Vec<Story> {
    let paired = ["create with a volume, slowly", "delete, reads lagging"];
    let mut all = all();
    all.retain(|story| paired.contains(&story.name));
    all
}

pub fn all() -> Vec<Story> {
    creations()
        .into_iter()
        .chain(deletions())
        .chain(changes())
        .chain(adoptions())
        .collect()
}

impl Story {
    /// Told with troubles at these effects, which all must come.
    pub fn told(&self, troubles: &[(usize, Trouble)]) -> Run {
        let run = self.attempted(troubles);
        assert_eq!(
            run.scene.fired,
            troubles.len(),
            "{}: not every trouble came: {troubles:?}",
            self.name
        );
        run
    }

    /// Told with troubles, of which some may come too late.
    pub fn attempted(&self, troubles: &[(usize, Trouble)]) -> Run {
        let mut scene = self.scene.clone();
        scene.trouble = troubles.iter().cloned().collect::<BTreeMap<_, _>>();
        (self.act)(&mut scene);
        scene.settle();
        let portrait = scene.portrait();
        Run { scene, portrait }
    }

    /// Compares with the undisturbed run: the same end, one of everything alive, and no more of anything made than
    /// `more` allows.
    pub fn same(
        &self,
        undisturbed: &Run,
        run: &Run,
        troubles: &[(usize, Trouble)],
        more: &[(&str, u32)],
    ) {
        let told = format!("{} with {troubles:?}:\n{:?}\n", self.name, run.scene.log);
        assert_eq!(run.portrait, undisturbed.portrait, "{told}");
        for (what, count) in &run.scene.provider.counts {
            let more = more
                .iter()
                .find(|(name, _)| name == what)
                .map_or(0, |(_, more)| *more);
            let most = undisturbed.scene.count(what) + more;
            assert!(*count <= most, "{told}{count} times {what}, at most {most}");
        }
    }
}
