//! A container registry as ghcr.io is one, and what Railway can pull from it.
//!
//! Owns images: every name exists with every tag, unless the tag is `missing` or the control API says otherwise, and a
//! tag has the digest of a manifest that depends on name and tag alone. Also remembers which tags a digest was resolved
//! from, because an agent's nature is written in its tag. Deliberately absent: layers, and pushing.

mod control;
mod reference;
mod serve;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::identity;
use crate::settings::SettingsStore;
pub(crate) use control::routes;
pub(crate) use reference::Reference;

pub(crate) struct Registry {
    settings: SettingsStore,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    images: HashMap<String, Image>,
    /// (name, digest) to the tags it was resolved from.
    digests: HashMap<(String, String), BTreeSet<String>>,
    /// Bearer tokens that were handed out, with the credentials they stand for.
    tokens: HashMap<String, Option<Credentials>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub username: String,
    pub password: String,
}

#[derive(Default)]
struct Image {
    private: Option<bool>,
    credentials: Option<Credentials>,
    tags: HashMap<String, Tag>,
}

#[derive(Default)]
struct Tag {
    missing: Option<bool>,
    digest: Option<String>,
    moves: u64,
}

/// An image that can be pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pulled {
    pub digest: String,
    /// The tag that was asked for, and all tags that were ever resolved to this digest.
    pub tags: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Missing,
    /// Private, and these credentials do not open it.
    Denied,
}

/// What the control API changes about an image.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    private: Option<bool>,
    username: Option<String>,
    password: Option<String>,
    digest: Option<String>,
    missing: Option<bool>,
    /// Gives the tag a new digest.
    #[serde(default, rename = "move")]
    moved: bool,
}

impl Registry {
    pub(crate) fn new(settings: SettingsStore) -> Self {
        Self {
            settings,
            shelf: Mutex::default(),
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pulls as Railway does: with the credentials of a service, or with none.
    pub(crate) fn pull(
        &self,
        image: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Pulled, Refusal> {
        let reference = Reference::parse(image);
        let mut shelf = self.shelf();
        if !self.opens(&shelf, &reference.name, credentials) {
            return Err(Refusal::Denied);
        }
        self.resolve(&mut shelf, &reference)
    }

    fn opens(&self, shelf: &Shelf, name: &str, credentials: Option<&Credentials>) -> bool {
        let image = shelf.images.get(name);
        let in_name = name.split('/').any(|part| part == "private");
        if !image.and_then(|image| image.private).unwrap_or(in_name) {
            return true;
        }
        let settings = self.settings.base();
        let usual = Credentials {
            username: settings.registry_user.clone(),
            password: settings.registry_password.clone(),
        };
        let wanted = image
            .and_then(|image| image.credentials.as_ref())
            .unwrap_or(&usual);
        credentials == Some(wanted)
    }

    fn resolve(&self, shelf: &mut Shelf, reference: &Reference) -> Result<Pulled, Refusal> {
        let digest = match &reference.digest {
            Some(digest) => {
                let key = (reference.name.clone(), digest.clone());
                if !shelf.digests.contains_key(&key) && !self.settings.base().unknown_digest {
                    return Err(Refusal::Missing);
                }
                digest.clone()
            }
            None => shelf.digest(&reference.name, reference.tag_or_latest())?,
        };
        let known = shelf
            .digests
            .entry((reference.name.clone(), digest.clone()))
            .or_default();
        known.extend(reference.tag.clone());
        if reference.tag.is_none() && reference.digest.is_none() {
            known.insert("latest".to_owned());
        }
        Ok(Pulled {
            digest,
            tags: known.iter().cloned().collect(),
        })
    }

    /// Changes an image by hand, and says what it is now.
    pub(crate) fn edit(&self, image: &str, edit: Edit) -> Value {
        let reference = Reference::parse(image);
        let mut shelf = self.shelf();
        let row = shelf.images.entry(reference.name.clone()).or_default();
        row.private = edit.private.or(row.private);
        if let Some(password) = edit.password {
            let username = edit
                .username
                .unwrap_or_else(|| self.settings.base().registry_user.clone());
            row.credentials = Some(Credentials { username, password });
        }
        if edit.missing.is_some() || edit.digest.is_some() || edit.moved {
            let tag = row
                .tags
                .entry(reference.tag_or_latest().to_owned())
                .or_default();
            tag.missing = edit.missing.or(tag.missing);
            tag.moves += u64::from(edit.moved);
            tag.digest = if edit.moved {
                None
            } else {
                edit.digest.or_else(|| tag.digest.take())
            };
        }
        drop(shelf);
        self.show(image)
    }

    pub(crate) fn show(&self, image: &str) -> Value {
        let reference = Reference::parse(image);
        let mut shelf = self.shelf();
        let private = !self.opens(&shelf, &reference.name, None);
        let pulled = self.resolve(&mut shelf, &reference).ok();
        json!({
            "image": image,
            "name": reference.name,
            "private": private,
            "missing": pulled.is_none(),
            "digest": pulled.as_ref().map(|pulled| &pulled.digest),
            "tags": pulled.map(|pulled| pulled.tags).unwrap_or_default(),
        })
    }
}

impl Shelf {
    fn digest(&self, name: &str, tag: &str) -> Result<String, Refusal> {
        let row = self.images.get(name).and_then(|image| image.tags.get(tag));
        if row.and_then(|row| row.missing).unwrap_or(tag == "missing") {
            return Err(Refusal::Missing);
        }
        Ok(match row.and_then(|row| row.digest.clone()) {
            Some(digest) => digest,
            None => digest_of(&manifest(name, tag, row.map_or(0, |row| row.moves))),
        })
    }

    /// The manifest that has this digest, where one was resolved.
    fn manifest(&self, name: &str, digest: &str) -> Option<String> {
        let tags = self.digests.get(&(name.to_owned(), digest.to_owned()))?;
        let image = self.images.get(name);
        let moves = |tag: &str| {
            image
                .and_then(|image| image.tags.get(tag))
                .map_or(0, |row| row.moves)
        };
        let candidates = tags
            .iter()
            .flat_map(|tag| (0..=moves(tag)).map(move |moves| manifest(name, tag, moves)));
        let mut manifests: Vec<String> = candidates.collect();
        let exact = manifests
            .iter()
            .position(|manifest| digest_of(manifest) == digest);
        // A digest given by hand names no manifest of ours; any will do then.
        let at = exact.unwrap_or(0);
        (at < manifests.len()).then(|| manifests.swap_remove(at))
    }
}

fn digest_of(manifest: &str) -> String {
    format!("sha256:{}", identity::sha256(manifest.as_bytes()))
}

fn manifest(name: &str, tag: &str, moves: u64) -> String {
    let config = identity::sha256(format!("{name}:{tag}#{moves}").as_bytes());
    json!({
        "schemaVersion": 2,
        "mediaType": serve::MANIFEST_TYPE,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": format!("sha256:{config}"),
            "size": 2,
        },
        "layers": [],
        "annotations": { "org.opencontainers.image.ref.name": format!("{name}:{tag}") },
    })
    .to_string()
}
