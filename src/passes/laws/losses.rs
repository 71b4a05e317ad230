//! What people own and what we remember, lost: a project, a volume's attachment, a domain, the ledger, a whole status; in
//! each phase of a life, with all tools there, one by one and in pairs.
//!
//! Holds: what is lost at one provider costs nothing at another; what is there is found again before anything is made;
//! nothing that runs, holds data or money is made twice or taken for one too many.

use super::provider::{Fate, Project};
use super::scene::{Scene, Trouble, second};
use super::tool_ends::{in_order, slot, told, tool, tooled};
use crate::api::condition::kind;
use crate::api::instance::{OnExternalDeletion, OperatingMode};
use crate::model::Fault;
use proptest::prelude::*;
use world::cases::Draw;

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Project,
    Attachment,
    Mount,
    Domain,
    Ledger,
    Status,
}

const LOSSES: [Loss; 6] = [
    Loss::Project,
    Loss::Attachment,
    Loss::Mount,
    Loss::Domain,
    Loss::Ledger,
    Loss::Status,
];

fn by_hand(scene: &mut Scene, with: fn(&mut Project)) {
    let now = scene.now;
    scene.provider.meddle(now, |projects| {
        projects
            .iter_mut()
            .filter(|home| !home.deleted)
            .for_each(with);
    });
}

impl Loss {
    fn happens(self) -> fn(&mut Scene) {
        match self {
            Loss::Project => |scene| by_hand(scene, |home| home.deleted = true),
            Loss::Attachment => |scene| by_hand(scene, |home| home.attached.clear()),
            Loss::Mount => |scene| {
                by_hand(scene, |home| {
                    for (_, path) in home.attached.values_mut() {
                        *path = "/other".to_owned();
                    }
                });
            },
            Loss::Domain => |scene| by_hand(scene, |home| home.domains.clear()),
            Loss::Ledger => |scene| {
                scene.lose(|status| {
                    if let Some(status) = status {
                        status.external.clear();
                    }
                });
            },
            Loss::Status => |scene| scene.lose(|status| *status = None),
        }
    }
}

/// Where in its life an agent is when something is lost.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Creation,
    Rest,
    Rollout,
    Suspension,
    Teardown,
}

const PHASES: [Phase; 5] = [
    Phase::Creation,
    Phase::Rest,
    Phase::Rollout,
    Phase::Suspension,
    Phase::Teardown,
];

fn agent(volume: bool, slow: bool) -> Scene {
    let mut scene = tooled();
    if volume {
        scene = scene.with_volume();
    }
    if slow {
        scene = scene.slow();
    }
    scene.edit(|object| object.spec.on_external_deletion = Some(OnExternalDeletion::Recreate));
    scene
}

impl Phase {
    /// An agent that is about to enter the phase.
    fn before(self, volume: bool, slow: bool) -> Scene {
        match self {
            Phase::Creation => agent(volume, slow),
            _ => agent(volume, slow).rested(),
        }
    }

    fn begins(self, scene: &mut Scene) {
        match self {
            Phase::Creation | Phase::Rest => {}
            Phase::Rollout => scene.revise("2"),
            Phase::Suspension => {
                scene.edit(|object| object.spec.operating_mode = OperatingMode::Suspended);
            }
            Phase::Teardown => scene.delete(),
        }
    }
}

/// What is bought once and never again by itself.
const DEAR: [&str; 3] = ["make telnyx Main", "make agentmail Main", "make bankr Main"];

/// Everything that there must be is there once, and nothing else.
fn one_of_each(scene: &Scene, phase: Phase, volume: bool, case: &str) {
    let told = format!("{case}: {}", told(scene));
    for dear in DEAR {
        assert!(scene.done(dear) <= 1, "{dear} {told}");
    }
    assert_eq!(scene.difference(), Vec::<String>::new(), "{told}");
    if matches!(phase, Phase::Teardown) {
        assert!(scene.object.is_none() && scene.alive().is_empty(), "{told}");
        assert!(scene.living().iter().all(|one| one.resting), "{told}");
        return;
    }
    let suspended = matches!(phase, Phase::Suspension);
    let at_rest = if suspended {
        kind::SUSPENDED
    } else {
        kind::READY
    };
    assert!(scene.is(at_rest), "{told}");
    assert!(
        !scene.is(kind::RECONCILING) && !scene.is(kind::STALLED),
        "{told}"
    );
    assert_eq!(scene.living().len(), 8, "{told}");
    let alive = scene.alive();
    // What is suspended is not made anew before it runs again.
    if suspended && alive.is_empty() {
        return;
    }
    assert_eq!(alive.len(), 1, "{told}");
    for home in alive {
        assert_eq!((home.services.len(), home.domains.len()), (1, 1), "{told}");
        assert_eq!(home.volumes.len(), usize::from(volume), "{told}");
        let running: Vec<_> = home.deployments.iter().filter(|one| !one.removed).collect();
        assert_eq!(running.len(), usize::from(!suspended), "{told}");
        for one in running.iter().filter(|_| volume) {
            let disk = one.disk.as_ref().map(|(_, path)| path.as_str());
            assert_eq!(disk, Some("/data"), "{told}");
        }
        for (service, path) in home.attached.values() {
            let own = home.services.iter().any(|one| &one.id == service);
            assert!(own && path == "/data", "{told}");
        }
    }
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
                let mut scene = agent(volume, slow);
                scene.edit(|object| object.spec.on_external_deletion = recreate);
                // Some are still shown, as deleted.
                scene.provider.shows_deleted = slow;
                let mut scene = scene.rested();
                let tools: Vec<String> = scene.living().iter().map(|one| one.id.clone()).collect();
                let values = scene.provider.projects[0].settings.clone();
                Loss::Project.happens()(&mut scene);
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
                    let again = scene.alive()[0].settings.values().next();
                    assert_eq!(
                        again.map(|one| &one.variables),
                        values.values().next().map(|one| &one.variables)
                    );
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

#[test]
fn a_loss_at_any_effect_of_any_phase_doubles_and_leaks_nothing() {
    let (mut draw, mut cases) = (Draw::one_in(5), 0);
    for phase in PHASES {
        for (volume, slow) in [(false, false), (true, true)] {
            let start = phase.before(volume, slow);
            let mut whole = start.clone();
            phase.begins(&mut whole);
            whole.settle();
            for loss in LOSSES {
                let of_disk = matches!(loss, Loss::Attachment | Loss::Mount);
                if of_disk && !volume {
                    continue;
                }
                for at in 0..whole.log.len().max(1) {
                    if !draw.takes() {
                        continue;
                    }
                    let mut scene = start.clone();
                    match phase {
                        Phase::Rest => loss.happens()(&mut scene),
                        _ => {
                            scene.events.insert(at, loss.happens());
                        }
                    }
                    phase.begins(&mut scene);
                    scene.settle();
                    let case = format!("{loss:?} at {at} of {phase:?}, volume {volume}");
                    one_of_each(&scene, phase, volume, &case);
                    cases += 1;
                }
            }
        }
    }
    println!("{cases} losses; books differ by 0");
}

#[test]
fn a_ledger_that_is_lost_at_rest_is_written_again_and_nothing_is_made_or_deleted() {
    for (volume, slow) in [(false, false), (true, false), (true, true)] {
        for loss in [Loss::Ledger, Loss::Status] {
            let mut scene = agent(volume, slow).rested();
            let recorded = |scene: &Scene| {
                let status = scene.object.as_ref().unwrap().status.clone().unwrap();
                let entries = status.external.into_iter();
                entries
                    .map(|entry| {
                        (
                            entry.slot.to_string(),
                            entry.id.filter(|id| !id.starts_with("tag")),
                        )
                    })
                    .collect::<Vec<_>>()
            };
            let before = recorded(&scene);
            let url = scene
                .object
                .as_ref()
                .unwrap()
                .status
                .as_ref()
                .unwrap()
                .url
                .clone();
            loss.happens()(&mut scene);
            scene.settle();
            assert_eq!(recorded(&scene), before, "{}", told(&scene));
            let status = scene.object.as_ref().unwrap().status.as_ref().unwrap();
            assert_eq!(status.url, url, "{}", told(&scene));
            for word in [
                "CreateProject",
                "CreateService",
                "CreateVolume",
                "CreateDomain",
                "Delete",
            ] {
                assert_eq!(scene.effects(word), 0, "{word}: {}", told(&scene));
            }
            // The key of a wallet is in the Secret; asking for a wallet again is looking for it.
            let makes = scene
                .shops
                .counts
                .iter()
                .filter(|(what, _)| what.starts_with("make"));
            assert_eq!(makes.count(), 0, "{}", told(&scene));
            let says = |one: &&crate::model::Announcement| {
                one.reason == "LedgerLost" && one.note.contains("project-1")
            };
            assert_eq!(
                scene.told.iter().filter(says).count(),
                1,
                "{}",
                told(&scene)
            );
            one_of_each(&scene, Phase::Rest, volume, "at rest");
        }
    }
}

#[test]
fn one_entry_that_is_lost_is_found_again() {
    for slow in [false, true] {
        for name in [
            "project",
            "service",
            "volume",
            "domain",
            "tool/llm",
            "tool/search",
            "tool/mail",
            "tool/phone",
            "tool/phone/profile",
        ] {
            let mut scene = agent(true, slow).rested();
            let lost = slot(name);
            scene.lose(|status| {
                if let Some(status) = status {
                    status.external.retain(|entry| entry.slot != lost);
                }
            });
            scene.settle();
            one_of_each(&scene, Phase::Rest, true, name);
            let made: u32 = ["project", "service", "volume", "domain"]
                .iter()
                .map(|what| scene.count(what))
                .sum();
            assert_eq!(made, 0, "{name}: {}", told(&scene));
            let makes = scene
                .shops
                .counts
                .iter()
                .filter(|(what, _)| what.starts_with("make"));
            assert_eq!(makes.count(), 0, "{name}: {}", told(&scene));
        }
    }
}

#[test]
fn no_disk_is_one_too_many_for_a_lost_status_whatever_became_of_the_last_deployment() {
    for fate in [Fate::Up, Fate::Fails] {
        for loss in [Loss::Ledger, Loss::Status] {
            let mut scene = agent(true, false).rested();
            let now = scene.now;
            let own = scene.provider.projects[0].volumes.first().cloned();
            // A person has made another.
            scene.provider.meddle(now, |projects| {
                projects[0].volumes.insert(0, "a-persons".into());
                for one in &mut projects[0].deployments {
                    one.fate = fate;
                }
            });
            loss.happens()(&mut scene);
            scene.settle();
            let there = scene.provider.projects[0].volumes.len();
            assert_eq!(there, 2, "{fate:?} {loss:?}: {}", told(&scene));
            let status = scene.object.as_ref().unwrap().status.as_ref().unwrap();
            let mut entries = status.external.iter();
            let disk = entries.find(|entry| entry.slot.to_string() == "volume");
            let disk = disk.and_then(|entry| entry.id.clone());
            assert_eq!(disk, own, "{fate:?} {loss:?}: {}", told(&scene));
        }
    }
}

#[test]
fn a_new_agent_asks_for_nothing_but_what_it_makes() {
    let mut scene = Scene::new().with_volume();
    scene.settle();
    // The one look is at what was deployed.
    let asked = ["Search", "Look"].map(|word| scene.effects(word));
    assert_eq!(asked, [0, 1], "{}", told(&scene));
    // Nor one that has waited for its turn, also over a restart.
    let mut scene = Scene::new();
    scene.account = crate::engine::world::AccountView::Ready(crate::engine::world::AccountRoom {
        projects: Some(crate::engine::places::TakenPlaces {
            all: 500,
            namespace: 0,
            ..Default::default()
        }),
        ..super::scene::room()
    });
    scene.run_for(second(300));
    scene.restart();
    scene.run_for(second(300));
    assert_eq!(scene.alive().len(), 0);
    scene.account = crate::engine::world::AccountView::Ready(super::scene::room());
    scene.happened();
    scene.settle();
    let asked = ["Search", "Look"].map(|word| scene.effects(word));
    assert_eq!(asked, [0, 1], "{}", told(&scene));
    assert!(scene.is(kind::READY), "{}", told(&scene));
}

/// A project of somebody's, made from the agent's own.
fn copy(scene: &mut Scene, with: impl FnOnce(&mut Project)) {
    let now = scene.now;
    scene.provider.meddle(now, |projects| {
        let mut copy = projects[0].clone();
        copy.id = "project-copy".into();
        copy.created = now;
        for one in &mut copy.services {
            one.id = format!("{}-copy", one.id);
        }
        copy.domains.clear();
        copy.deployments.clear();
        copy.settings.clear();
        copy.volumes.clear();
        with(&mut copy);
        projects.push(copy);
    });
}

fn lives(scene: &Scene, id: &str) -> bool {
    let mut all = scene.provider.projects.iter();
    all.any(|home| home.id == id && !home.deleted)
}

#[test]
fn a_copy_with_another_name_is_nobodys() {
    let mut scene = agent(true, false).rested();
    // Older than the agent's own, too.
    copy(&mut scene, |copy| {
        copy.name = "my-copy".into();
        copy.created = super::scene::start() - second(3600);
    });
    scene.settle();
    assert!(
        lives(&scene, "project-copy") && scene.log.is_empty(),
        "{}",
        told(&scene)
    );
    Loss::Ledger.happens()(&mut scene);
    scene.settle();
    let own = scene.portrait().contains("project-copy");
    assert!(
        lives(&scene, "project-copy") && lives(&scene, "project-1") && !own,
        "{}",
        told(&scene)
    );
    scene.delete();
    scene.settle();
    assert!(
        lives(&scene, "project-copy") && !lives(&scene, "project-1"),
        "{}",
        told(&scene)
    );
}

#[test]
fn a_second_project_in_which_something_is_kept_is_told_once_and_stays() {
    let mut scene = agent(true, false).rested();
    copy(&mut scene, |_| {});
    scene.settle();
    assert!(
        lives(&scene, "project-copy") && lives(&scene, "project-1"),
        "{}",
        told(&scene)
    );
    assert_eq!(scene.effects("Delete"), 0);
    assert_eq!(
        scene.reason(kind::SYNCED),
        Some("Surplus"),
        "{}",
        told(&scene)
    );
    assert!(scene.message(kind::SYNCED).contains("project-copy") && scene.is(kind::READY));
    let says = |one: &&crate::model::Announcement| one.reason == "Surplus";
    scene.log.clear();
    scene.restart();
    scene.settle();
    assert_eq!(
        scene.told.iter().filter(says).count(),
        1,
        "{}",
        told(&scene)
    );
    assert!(scene.log.is_empty(), "{}", told(&scene));
    scene.delete();
    scene.settle();
    assert!(
        scene.object.is_none() && lives(&scene, "project-copy") && !lives(&scene, "project-1"),
        "{}",
        told(&scene)
    );
    assert_eq!(
        scene.told.iter().filter(says).count(),
        2,
        "{}",
        told(&scene)
    );
}

#[test]
fn a_second_project_goes_only_where_it_is_empty_when_it_is_looked_at_by_itself() {
    for filled in [false, true] {
        let mut scene = agent(false, true).rested();
        copy(&mut scene, |copy| copy.services.clear());
        if filled {
            // After the listing, and before the look.
            let reads = {
                let mut whole = scene.clone();
                whole.settle();
                whole.log.iter().position(|word| *word == "Look").unwrap()
            };
            scene.events.insert(reads, |scene| {
                let at = scene.now - second(4);
                scene.provider.meddle(at, |projects| {
                    let service = projects[0].services[0].clone();
                    let copy = projects.iter_mut().find(|home| home.id == "project-copy");
                    copy.unwrap().services.push(service);
                });
            });
        }
        scene.settle();
        assert_eq!(lives(&scene, "project-copy"), filled, "{}", told(&scene));
        assert!(
            lives(&scene, "project-1") && scene.is(kind::READY),
            "{}",
            told(&scene)
        );
        let look = scene.log.iter().position(|word| *word == "Look");
        let delete = scene.log.iter().position(|word| *word == "Delete");
        assert!(look.is_some() && delete.is_none_or(|delete| Some(delete) > look));
        assert_eq!(delete.is_some(), !filled);
    }
}

#[test]
fn a_volume_that_cannot_be_mounted_again_stalls_and_nothing_is_deployed_without_it() {
    for loss in [Loss::Attachment, Loss::Mount] {
        let mut scene = agent(true, false).rested();
        loss.happens()(&mut scene);
        scene.revise("2");
        for at in 0..40 {
            let message = "not while it moves; attach it by hand".to_owned();
            scene
                .trouble
                .insert(at, Trouble::Refused(Fault::Rejected { message }));
        }
        scene.run_for(second(600));
        assert_eq!(scene.count("deployment"), 0, "{}", told(&scene));
        assert!(
            scene.is(kind::STALLED) && scene.message(kind::STALLED).contains("by hand"),
            "{}",
            told(&scene)
        );
        scene.trouble.clear();
        scene.edit(|_| {});
        scene.settle();
        one_of_each(&scene, Phase::Rest, true, "mended");
        assert_eq!(scene.count("mount"), 1, "{}", told(&scene));
        assert!(
            scene.told.iter().any(|one| one.reason == "Drifted"),
            "{}",
            told(&scene)
        );
    }
}

#[test]
fn what_is_deleted_right_after_it_was_made_is_noticed() {
    for slow in [false, true] {
        let mut whole = agent(false, slow);
        whole.settle();
        let last = whole
            .log
            .iter()
            .rposition(|word| *word == "AskAgent")
            .unwrap();
        let mut scene = agent(false, slow);
        scene.events.insert(last, |scene| {
            Loss::Project.happens()(scene);
            let now = scene.now;
            scene.shops.meddle(now, |things| {
                for one in things.iter_mut().filter(|one| one.shop == "exa") {
                    one.deleted = true;
                }
            });
        });
        scene.settle();
        assert!(
            scene
                .told
                .iter()
                .any(|one| one.reason == "DeletedExternally"),
            "{}",
            told(&scene)
        );
        one_of_each(&scene, Phase::Rest, false, "right after");
    }
}

#[test]
fn what_came_too_late_is_taken_back_where_it_holds_nothing_and_told_where_it_does() {
    let mut whole = tooled();
    whole.settle();
    let makes: Vec<usize> = (0..whole.log.len())
        .filter(|at| whole.log[*at] == "MakeTool")
        .collect();
    // The purse is made here, and the keys of wallet and inbox are listed by nobody.
    let trail: Vec<&String> = whole
        .trail
        .iter()
        .filter(|one| one.starts_with("MakeTool"))
        .collect();
    let mut cases = 0;
    for (at, what) in makes.iter().zip(trail) {
        let listed = [
            "tool/phone/profile",
            "tool/phone",
            "tool/search",
            "tool/llm",
        ];
        let Some(name) = listed.iter().find(|name| what.ends_with(*name)) else {
            continue;
        };
        for late in [45, 90, 300] {
            let mut scene = tooled();
            scene.trouble.insert(*at, Trouble::Late(second(late)));
            scene.settle();
            let told = format!("{what} {late}: {}", told(&scene));
            let number = *name == "tool/phone";
            assert_eq!(scene.living().len(), 8 + usize::from(number), "{told}");
            assert!(scene.is(kind::READY), "{told}");
            let says = scene
                .told
                .iter()
                .filter(|one| one.reason == "Surplus")
                .count();
            assert_eq!(says, 1, "{told}");
            assert_eq!(
                scene.reason(kind::SYNCED) == Some("Surplus"),
                number,
                "{told}"
            );
            if !number {
                in_order(&scene);
            }
            scene.log.clear();
            scene.run_for(second(600));
            assert!(scene.log.is_empty(), "{told}");
            cases += 1;
        }
    }
    assert_eq!(cases, 12);
}

/// Something that happens at an effect.
#[derive(Clone, Debug)]
enum Blow {
    Loss(Loss),
    Trouble(Trouble),
}

fn blow() -> impl Strategy<Value = Blow> {
    prop_oneof![
        4 => prop::sample::select(LOSSES.to_vec()).prop_map(Blow::Loss),
        1 => Just(Blow::Trouble(Trouble::CrashBefore)),
        2 => Just(Blow::Trouble(Trouble::CrashAfter)),
        1 => Just(Blow::Trouble(Trouble::Lost)),
    ]
}

proptest! {
    #![proptest_config(super::seeded(200))]

    #[test]
    fn two_losses_or_crashes_in_any_phase_double_and_leak_nothing(
        phase in prop::sample::select(PHASES.to_vec()), volume: bool, slow: bool,
        blows in prop::collection::vec((0usize..40, blow()), 2)
    ) {
        let mut scene = phase.before(volume, slow);
        let mut crashes = 0;
        for (at, blow) in &blows {
            match blow {
                Blow::Loss(loss) => { scene.events.insert(*at, loss.happens()); }
                Blow::Trouble(trouble) => {
                    crashes += 1;
                    scene.trouble.insert(*at, trouble.clone());
                }
            }
        }
        if matches!(phase, Phase::Rest) {
            // Something has to go on for an effect to be there.
            scene.set_env("b");
        }
        phase.begins(&mut scene);
        scene.settle();
        scene.events.clear();
        scene.trouble.clear();
        scene.happened();
        scene.settle();
        let case = format!("{phase:?} {volume} {slow} {blows:?} {crashes}");
        one_of_each(&scene, phase, volume, &case);
    }
}

#[test]
fn a_deletion_that_remembers_nothing_looks_before_it_lets_go() {
    // As a namespace goes: its Secrets are gone already, somebody takes the status away, and another process begins.
    for (volume, slow) in [(false, false), (true, true)] {
        let mut scene = Scene::new();
        if volume {
            scene = scene.with_volume();
        }
        if slow {
            scene = scene.slow();
        }
        let mut scene = scene.rested();
        scene.delete();
        scene.lose(|status| *status = None);
        scene.drop_own_secret();
        scene.restart();
        scene.settle();
        let told = told(&scene);
        assert!(scene.object.is_none(), "{told}");
        assert!(scene.alive().is_empty(), "left behind: {told}");
    }
}

#[test]
fn what_waited_for_an_account_that_never_was_goes_at_once() {
    let mut scene = Scene::new().rested();
    scene.lose(|status| *status = None);
    scene.drop_own_secret();
    scene.account = crate::engine::world::AccountView::NotAvailable;
    scene.delete();
    scene.settle();
    assert!(scene.object.is_none(), "{}", told(&scene));
}
