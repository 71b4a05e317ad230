//! An account that is being deleted: nothing new is made in it, and what is there goes on and is taken back.

use super::scene::{SHOPS, Scene, room};
use crate::api::condition::{find, kind, reason};
use crate::engine::world::{AccountRoom, AccountView, ToolAccountView};
use kube::ResourceExt;

fn going() -> AccountView {
    AccountView::Ready(AccountRoom {
        deleting: true,
        ..room()
    })
}

fn stalled_for(scene: &Scene) -> String {
    let status = scene.object.as_ref().and_then(|one| one.status.clone());
    let conditions = status.unwrap_or_default().conditions;
    find(&conditions, kind::STALLED).map_or_else(String::new, |stalled| stalled.reason.clone())
}

#[test]
fn an_account_that_is_being_deleted_gets_nothing_new_and_does_not_wait_for_it() {
    for plain in [Scene::new(), Scene::new().with_tools()] {
        let mut scene = plain;
        let nothing = (scene.provider.counts.clone(), scene.shops.counts.clone());
        scene.account = going();
        scene.settle();
        assert_eq!(stalled_for(&scene), reason::ACCOUNT_DELETING);
        assert_eq!(
            (scene.provider.counts.clone(), scene.shops.counts.clone()),
            nothing,
            "{:?}",
            scene.log
        );
        // The account's deletion waits for finalizers: here is none.
        assert!(scene.object.as_ref().unwrap().finalizers().is_empty());
        // One that stays after all is used as if nothing had been.
        scene.account = AccountView::Ready(room());
        scene.happened();
        scene.settle();
        assert_eq!(stalled_for(&scene), "");
        assert_eq!(scene.count("project"), 1);
    }
}

#[test]
fn what_lives_in_an_account_that_is_being_deleted_goes_on_and_is_taken_back() {
    let mut scene = Scene::new().with_volume().with_tools().rested();
    scene.account = going();
    for account in scene.accounts.values_mut() {
        *account = ToolAccountView::Deleting;
    }
    scene.happened();
    scene.settle();
    assert_eq!(stalled_for(&scene), "");
    scene.env = "b".into();
    scene.happened();
    scene.settle();
    assert!(scene.effects("Configure") > 0, "{:?}", scene.log);
    scene.delete();
    scene.settle();
    assert!(scene.object.is_none(), "{:?}", scene.log);
    assert!(scene.alive().is_empty());
}

#[test]
fn a_deletion_that_no_cache_shows_yet_is_seen_before_anything_is_made() {
    for account in ["main"].into_iter().chain(SHOPS) {
        let mut scene = Scene::new().with_tools();
        scene.going.insert(account.to_owned());
        scene.settle();
        assert_eq!(stalled_for(&scene), reason::ACCOUNT_DELETING, "{account}");
        let made = match account {
            "main" => scene.provider.projects.len(),
            shop => scene
                .shops
                .things
                .iter()
                .filter(|one| one.shop == shop)
                .count(),
        };
        assert_eq!(made, 0, "{account}: {:?}", scene.log);
        // Nothing stands in the way of deleting it.
        scene.delete();
        scene.settle();
        assert!(scene.object.is_none(), "{account}: {:?}", scene.log);
    }
}
