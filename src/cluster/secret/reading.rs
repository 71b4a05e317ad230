//! What an instance's Secrets hold: the gateway token, credentials, and beside each what it opens.
//!
//! Holds: what a Secret says of another instance, or of a thing that its name does not fit, is not taken in.

use super::super::call::{Written, find};
use super::naming::{KEY, NAMED, OPENS, UID, name, owned, secrets, wallet_name};
use crate::api::{AgentInstance, Part, Slot};
use crate::model::slot::{self, FoundBy};
use crate::model::tool::{FINGERPRINT, Kept, fingerprint, is_id};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Client, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;

/// What the Secrets of an instance hold.
#[derive(Default)]
pub struct SecretContents {
    /// The gateway token.
    pub token: Option<SecretString>,
    /// What is kept of which slot.
    pub kept: BTreeMap<Slot, Kept>,
    /// The credentials themselves.
    pub values: BTreeMap<Slot, SecretString>,
}

/// Reads the instance's own Secret, and those of the wallets that these slots are.
pub async fn read(
    client: &Client,
    instance: &AgentInstance,
    wallets: &[Slot],
) -> Written<SecretContents> {
    let api = secrets(client, instance);
    let mut held = SecretContents::default();
    if let Some(secret) = find("reading the agent's Secret", api.get_opt(&name(instance)))
        .await?
        .filter(|secret| owned(secret, instance))
    {
        held.token = value(&secret, KEY);
        take_in(&mut held, &secret);
    }
    for wallet in wallets {
        let name = wallet_name(instance, *wallet);
        if let Some(secret) = find("reading a wallet's Secret", api.get_opt(&name)).await? {
            take_in_wallet(&mut held, &secret, instance);
        }
    }
    Ok(held)
}

pub(in crate::cluster::secret) fn take_in_wallet(
    held: &mut SecretContents,
    secret: &Secret,
    instance: &AgentInstance,
) {
    if secret.annotations().get(UID) == Some(&instance.identity()) && instance.uid().is_some() {
        take_in(held, secret);
    }
}

pub(in crate::cluster::secret) fn value(secret: &Secret, key: &str) -> Option<SecretString> {
    let ByteString(bytes) = secret.data.as_ref()?.get(key)?;
    let text = String::from_utf8(bytes.clone()).ok()?;
    (!text.is_empty()).then(|| SecretString::from(text))
}

/// Takes in every credential whose resource the Secret names.
pub(in crate::cluster::secret) fn take_in(held: &mut SecretContents, secret: &Secret) {
    for (annotation, text) in secret.annotations() {
        let Some(slot) = annotation.strip_prefix(OPENS).and_then(unspell) else {
            continue;
        };
        let mut words = text.split(' ');
        let (Some(provider), Some(key), Some(id), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let row = slot::row(provider, slot);
        let gives = row.gives;
        let Some(credential) = gives.secret.and_then(|name| value(secret, name)) else {
            continue;
        };
        // A Secret is its namespace's: what stands there may be anything.
        let by_print = row.found_by == FoundBy::RevokeToLook || id.starts_with(FINGERPRINT);
        if by_print && id != fingerprint(&credential) || !is_id(id) {
            continue;
        }
        let address = gives
            .address
            .and_then(|name| value(secret, name))
            .map(|address| address.expose_secret().to_owned());
        let main = main_of(slot).and_then(|main| secret.annotations().get(&named(main)));
        let kept = Kept {
            key: key.to_owned(),
            id: id.to_owned(),
            main: main.cloned(),
            address,
            secret: Some(secret.name_any()),
        };
        held.kept.insert(slot, kept);
        held.values.insert(slot, credential);
    }
}

/// The thing that a slot's credential is a key of.
pub(in crate::cluster::secret) fn main_of(slot: Slot) -> Option<Slot> {
    slot.beside(Part::Main).filter(|main| *main != slot)
}

pub(in crate::cluster::secret) fn named(slot: Slot) -> String {
    format!("{NAMED}{}", spell(slot))
}

/// `tool/inbox/key` as the end of an annotation's name, where no slash may be.
pub(in crate::cluster::secret) fn spell(slot: Slot) -> String {
    slot.to_string().replace('/', ".")
}

pub(in crate::cluster::secret) fn unspell(text: &str) -> Option<Slot> {
    Slot::named(&text.replace('.', "/"))
}
