//! Messaging profiles: an agent's own, or the one that all of an account share.

use super::super::ask::{Ask, Data, piece};
use super::super::provider::unless_missing;
use super::answers::Profile;
use super::search::Search;
use super::{Telnyx, gone};
use crate::model::Done;
use crate::model::slot::Part;
use crate::model::tool::{Made, Named, Order, Resource, Stage};
use serde_json::json;

fn profile(id: &str) -> String {
    format!("/messaging_profiles/{}", piece(id))
}

impl Telnyx {
    /// The profile that all share, as something that this name has.
    fn shared(&self, key: &str) -> Option<Resource> {
        let id = self.settings.messaging_profile.clone()?;
        self.let_go.forget(&id, key);
        Some(Resource::bare(
            Part::Profile,
            id,
            String::new(),
            Stage::Ready,
        ))
    }

    pub(super) async fn make_profile(&self, order: &Order) -> Done<Made> {
        let resource = match self.shared(&order.key) {
            Some(shared) => shared,
            None => {
                let search = Search::of(&order.wish, &self.settings)?;
                let body = json!({
                    "name": order.key,
                    "whitelisted_destinations": [search.country],
                });
                let ask = Ask::post("profile.make", "/messaging_profiles", body);
                let made: Data<Profile> = self.line.ask(ask).await?;
                made.data.resource()
            }
        };
        Ok(Made {
            resource,
            secret: None,
        })
    }

    pub(super) async fn find_profiles(&self, key: &str) -> Done<Vec<Resource>> {
        if let Some(shared) = self.shared(key) {
            return Ok(vec![shared]);
        }
        let path = format!("/messaging_profiles?filter[name][eq]={}", piece(key));
        let all = self
            .pages("profiles", &path, Profile::id)
            .await?
            .into_iter();
        let ours = all.filter(|profile| profile.name == key);
        Ok(ours.map(Profile::resource).collect())
    }

    pub(super) async fn look_at_profile(&self, named: &Named) -> Done<Option<Resource>> {
        if self.let_go.has(&named.id, &named.key) {
            return Ok(None);
        }
        let seen = self.line.ask(Ask::get("profile", profile(&named.id))).await;
        let seen: Option<Data<Profile>> = unless_missing(seen)?;
        Ok(seen.map(|seen| seen.data.resource()))
    }

    /// A profile goes only where it bears the name under which it was made: what is, or once was, shared is not this
    /// instance's to take back. It is let go, and stays.
    pub(super) async fn delete_profile(&self, named: &Named) -> Done<()> {
        let shared = self.settings.messaging_profile.as_ref() == Some(&named.id);
        let theirs = match shared {
            true => true,
            false => match self.look_at_profile(named).await? {
                None => return Err(gone("the messaging profile")),
                Some(seen) => !named.key.is_empty() && seen.name != named.key,
            },
        };
        if theirs {
            self.let_go.note(&named.id, &named.key);
            return Ok(());
        }
        let ask = Ask::delete("profile.delete", profile(&named.id));
        self.line.tell(ask).await
    }
}
