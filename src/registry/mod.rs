//! Image registries: which digest a tag names now.
//!
//! What holds: an image's name is what a user wrote, and its registry may be hostile. So only public names over HTTPS are
//! asked, or only those that the installation lists; nobody is followed to another domain, neither by a redirect nor to a
//! token service; credentials go to the registry and its token service alone; one deadline covers a whole call, and every
//! answer has a largest size; what a registry says besides a status goes into no message, and whether something listens
//! where it points to is told in one sentence, so that nobody learns by it what is open inside; a name that nobody has listed
//! leads to no address inside (`addresses`). Deliberately absent: pulling, caching, repeating.

mod addresses;
mod challenge;
mod reference;
mod untold;
mod visit;

pub use addresses::PublicOnly;
pub use reference::is_registry;

use crate::model::values::hex;
use crate::model::words::cut;
use crate::model::{Done, Fault, RegistryCredentials};
use crate::wire;
use reference::Reference;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use sha2::{Digest, Sha256};
use std::time::Duration;
use untold::{NAME, Untold, fault, refused, silent};
use visit::Visit;

/// The largest manifest that registries must take (OCI distribution specification).
const LARGEST_MANIFEST: usize = 4 << 20;

/// What is said of silence where the installation lists no registry.
const UNLISTED: &str = "; one with a private address must be listed in the chart's registries";

/// Asks registries. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry {
    http: reqwest::Client,
    timeout: Duration,
    /// The registries that may be asked; every public one, where none is named.
    allowed: Vec<String>,
}

impl Registry {
    /// `http` follows no redirects and sends nothing in the clear; proxy, authorities and addresses are its business. `timeout` is for
    /// a whole call, which takes up to five requests. `allowed` are registries as images name them, with a port where
    /// they have one; with none, every public name is asked.
    pub fn new(http: reqwest::Client, timeout: Duration, allowed: Vec<String>) -> Registry {
        Registry {
            http,
            timeout,
            allowed,
        }
    }

    /// The digest that an image names now: `sha256:…`. An image that names a digest is not asked for.
    ///
    /// `Rejected`: not an image's name, a registry that we do not ask, or no such tag. `Denied`: the credentials, or
    /// the lack of them. Everything else is `Transient`.
    pub async fn digest(
        &self,
        image: &str,
        credentials: Option<&RegistryCredentials>,
    ) -> Done<String> {
        let reference = Reference::parse(image).map_err(|why| Fault::Rejected {
            message: format!("image {}: {why}", cut(image, NAME)),
        })?;
        if !self.allowed.is_empty() && !self.allowed.iter().any(|host| reference.is_at(host)) {
            return Err(Fault::Rejected {
                message: format!(
                    "image {}: this installation uses images of {} only",
                    cut(image, NAME),
                    self.allowed.join(", ")
                ),
            });
        }
        let tag = match &reference.pinned {
            Some(digest) => return Ok(digest.clone()),
            None => reference.tag.clone(),
        };
        let asked = tokio::time::timeout(self.timeout, self.ask(&reference, &tag, credentials));
        asked
            .await
            .unwrap_or(Err(Untold::Silent))
            .map_err(|untold| match untold {
                // Told whatever the silence is: nobody learns by it which names lead inside.
                Untold::Silent if self.allowed.is_empty() => silent(&reference, image, UNLISTED),
                _ => fault(&untold, &reference, image, credentials.is_some()),
            })
    }

    async fn ask(
        &self,
        reference: &Reference,
        tag: &str,
        credentials: Option<&RegistryCredentials>,
    ) -> Result<String, Untold> {
        let path = format!("/v2/{}/manifests/{tag}", reference.repository);
        let url = reference.url(&path).ok_or(Untold::Silent)?;
        let mut visit = Visit::new(&self.http, reference, credentials);
        let answer = visit.let_in(Method::HEAD, &url).await?;
        match answer.status() {
            status if status.is_success() => {}
            // Not every registry knows the shorter question.
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {}
            status => return Err(refused(status)),
        }
        if answer.status().is_success()
            && let Some(digest) = told(answer.headers())
        {
            return Ok(digest);
        }
        let answer = visit.let_in(Method::GET, &url).await?;
        if !answer.status().is_success() {
            return Err(refused(answer.status()));
        }
        let said = told(answer.headers());
        // Only its hash is wanted: nothing of it is kept.
        let mut hash = Sha256::new();
        wire::read(answer, LARGEST_MANIFEST, |chunk| hash.update(chunk)).await?;
        let computed = format!("sha256:{}", hex(&hash.finalize()));
        match said {
            Some(said) if said != computed => Err(Untold::Silent),
            _ => Ok(computed),
        }
    }
}

/// The digest that an answer's head tells.
fn told(headers: &HeaderMap) -> Option<String> {
    let digest = headers.get("docker-content-digest")?.to_str().ok()?;
    reference::is_digest(digest).then(|| digest.to_owned())
}

#[cfg(test)]
mod tests;
