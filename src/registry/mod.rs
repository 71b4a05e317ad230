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

use crate::model::{Done, Fault, RegistryCredentials};
use crate::wire::{self, Unread};
pub use addresses::PublicOnly;
use challenge::Challenge;
use reference::Reference;
pub use reference::is_registry;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::time::Duration;

const USER_AGENT: &str = concat!("yardmaster/", env!("CARGO_PKG_VERSION"));

/// What a tag may name: an image or an index of several, in the words of both standards.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// The largest manifest that registries must take (OCI distribution specification).
const LARGEST_MANIFEST: usize = 4 << 20;

/// The largest answer of a token service: the token itself goes into a header.
const LARGEST_TOKEN: usize = 64 << 10;

/// How often one is sent elsewhere within a registry's own domain.
const MOST_REDIRECTS: usize = 3;

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

/// Why a registry has not told.
enum Failed {
    /// Refused for want of the right credentials.
    Denied,
    /// There is no such thing.
    Unknown,
    /// It says that it cannot now.
    Status(StatusCode),
    /// No connection, no answer, or none that can be used: told alike.
    Silent,
    /// It sends us to another domain.
    Elsewhere,
}

/// What is shown to a registry.
enum Pass {
    Nothing,
    Basic(RegistryCredentials),
    Bearer(SecretString),
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
            message: format!("image {}: {why}", cut(image)),
        })?;
        if !self.allowed.is_empty() && !self.allowed.iter().any(|host| reference.is_at(host)) {
            return Err(Fault::Rejected {
                message: format!(
                    "image {}: this installation uses images of {} only",
                    cut(image),
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
            .unwrap_or(Err(Failed::Silent))
            .map_err(|failed| match failed {
                // Told whatever the silence is: nobody learns by it which names lead inside.
                Failed::Silent if self.allowed.is_empty() => silent(&reference, image, UNLISTED),
                _ => fault(&failed, &reference, image, credentials.is_some()),
            })
    }

    async fn ask(
        &self,
        reference: &Reference,
        tag: &str,
        credentials: Option<&RegistryCredentials>,
    ) -> Result<String, Failed> {
        let path = format!("/v2/{}/manifests/{tag}", reference.repository);
        let url = reference.url(&path).ok_or(Failed::Silent)?;
        let mut pass = Pass::Nothing;
        let head = Method::HEAD;
        let answer = self
            .let_in(reference, head, &url, &mut pass, credentials)
            .await?;
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
        let answer = self
            .let_in(reference, Method::GET, &url, &mut pass, credentials)
            .await?;
        if !answer.status().is_success() {
            return Err(refused(answer.status()));
        }
        let said = told(answer.headers());
        // Only its hash is wanted: nothing of it is kept.
        let mut hash = Sha256::new();
        wire::read(answer, LARGEST_MANIFEST, |chunk| hash.update(chunk)).await?;
        let mut computed = "sha256:".to_owned();
        for byte in hash.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(computed, "{byte:02x}");
        }
        match said {
            Some(said) if said != computed => Err(Failed::Silent),
            _ => Ok(computed),
        }
    }

    /// Sends, and shows what the registry wants to be shown, where it was not shown yet.
    async fn let_in(
        &self,
        reference: &Reference,
        method: Method,
        url: &Url,
        pass: &mut Pass,
        credentials: Option<&RegistryCredentials>,
    ) -> Result<Response, Failed> {
        let answer = self.send(reference, method.clone(), url, pass).await?;
        if answer.status() != StatusCode::UNAUTHORIZED || !matches!(pass, Pass::Nothing) {
            return Ok(answer);
        }
        *pass = self.pass(reference, answer.headers(), credentials).await?;
        self.send(reference, method, url, pass).await
    }

    /// Sends, and goes where the registry sends us, as long as that is within its own domain.
    async fn send(
        &self,
        reference: &Reference,
        method: Method,
        url: &Url,
        pass: &Pass,
    ) -> Result<Response, Failed> {
        let mut url = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self
                .http
                .request(method.clone(), url.clone())
                .header(header::USER_AGENT, USER_AGENT)
                .header(header::ACCEPT, MANIFESTS);
            // What was given for the registry is shown to nobody else, whatever it says.
            if reference.is_own(&url) {
                request = match pass {
                    Pass::Nothing => request,
                    Pass::Basic(known) => {
                        request.basic_auth(&known.username, Some(known.password.expose_secret()))
                    }
                    Pass::Bearer(token) => request.bearer_auth(token.expose_secret()),
                };
            }
            let answer = request.send().await?;
            if !answer.status().is_redirection() {
                return Ok(answer);
            }
            let next = answer
                .headers()
                .get(header::LOCATION)
                .and_then(|to| to.to_str().ok())
                .and_then(|to| url.join(to).ok())
                .ok_or(Failed::Silent)?;
            if !reference.is_within_its_domain(&next) {
                return Err(Failed::Elsewhere);
            }
            url = next;
        }
        Err(Failed::Silent)
    }

    /// What the registry wants to be shown.
    async fn pass(
        &self,
        reference: &Reference,
        headers: &HeaderMap,
        credentials: Option<&RegistryCredentials>,
    ) -> Result<Pass, Failed> {
        let challenges = headers
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| Challenge::parse(value.to_str().ok()?));
        let mut basic = false;
        for challenge in challenges {
            match challenge {
                Challenge::Bearer { realm, service } => {
                    let url = token_url(reference, &realm, service.as_deref())?;
                    return self.token(url, credentials).await.map(Pass::Bearer);
                }
                Challenge::Basic => basic = true,
            }
        }
        match credentials {
            Some(credentials) if basic => Ok(Pass::Basic(credentials.clone())),
            _ => Err(Failed::Denied),
        }
    }

    async fn token(
        &self,
        url: Url,
        credentials: Option<&RegistryCredentials>,
    ) -> Result<SecretString, Failed> {
        let mut request = self.http.get(url).header(header::USER_AGENT, USER_AGENT);
        if let Some(known) = credentials {
            request = request.basic_auth(&known.username, Some(known.password.expose_secret()));
        }
        let answer = request.send().await?;
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(Failed::Denied),
            status if status.is_redirection() => return Err(Failed::Elsewhere),
            status => return Err(Failed::Status(status)),
        }
        let body = wire::body(answer, LARGEST_TOKEN).await?;
        let body: serde_json::Value = serde_json::from_slice(&body).map_err(|_| Failed::Silent)?;
        let token = ["token", "access_token"]
            .iter()
            .find_map(|name| body[name].as_str())
            .filter(|token| !token.is_empty() && HeaderValue::from_str(token).is_ok());
        token.map(SecretString::from).ok_or(Failed::Silent)
    }
}

impl From<reqwest::Error> for Failed {
    fn from(_: reqwest::Error) -> Failed {
        Failed::Silent
    }
}

impl From<Unread> for Failed {
    fn from(_: Unread) -> Failed {
        Failed::Silent
    }
}

/// Where a token is asked for: within the registry's own domain, for this repository, and to pull.
fn token_url(reference: &Reference, realm: &str, service: Option<&str>) -> Result<Url, Failed> {
    let mut url = Url::parse(realm).map_err(|_| Failed::Silent)?;
    if !reference.is_within_its_domain(&url) {
        return Err(Failed::Elsewhere);
    }
    let scope = format!("repository:{}:pull", reference.repository);
    let mut query = url.query_pairs_mut();
    if let Some(service) = service {
        query.append_pair("service", service);
    }
    query.append_pair("scope", &scope);
    drop(query);
    Ok(url)
}

/// The digest that an answer's head tells.
fn told(headers: &HeaderMap) -> Option<String> {
    let digest = headers.get("docker-content-digest")?.to_str().ok()?;
    reference::is_digest(digest).then(|| digest.to_owned())
}

fn refused(status: StatusCode) -> Failed {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failed::Denied,
        StatusCode::NOT_FOUND => Failed::Unknown,
        status => Failed::Status(status),
    }
}

/// What a failure means, in words of our own.
fn fault(failed: &Failed, reference: &Reference, image: &str, credentials: bool) -> Fault {
    let (registry, image) = (&reference.registry, cut(image));
    match failed {
        Failed::Denied if credentials => Fault::Denied {
            message: format!("{registry} refuses the credentials for {image}"),
        },
        Failed::Denied => Fault::Denied {
            message: format!("{registry} refuses {image} without credentials, or does not know it"),
        },
        Failed::Unknown => Fault::Rejected {
            message: format!("{registry} knows no {image}"),
        },
        Failed::Elsewhere => Fault::Rejected {
            message: format!(
                "{registry} sends those who ask for {image} to another domain, where nobody goes; name the registry that has it"
            ),
        },
        Failed::Status(StatusCode::TOO_MANY_REQUESTS) => Fault::Transient {
            message: format!("{registry} cannot say what {image} is: too many requests"),
        },
        Failed::Status(status) => Fault::Transient {
            message: format!(
                "{registry} cannot say what {image} is: HTTP {}",
                status.as_u16()
            ),
        },
        Failed::Silent => silent(reference, &image, ""),
    }
}

fn silent(reference: &Reference, image: &str, besides: &str) -> Fault {
    let (registry, image) = (&reference.registry, cut(image));
    Fault::Transient {
        message: format!("{registry} gives no answer about {image} that can be used{besides}"),
    }
}

fn cut(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd";

    fn registry(allowed: &[&str]) -> Registry {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let allowed = allowed.iter().map(|host| (*host).to_owned()).collect();
        Registry::new(http, Duration::from_secs(5), allowed)
    }

    #[tokio::test]
    async fn a_digest_answers_itself_where_its_registry_is_allowed() {
        let digest = format!("sha256:{HEX}");
        for image in [
            format!("ghcr.io/acme/agent@{digest}"),
            format!("ghcr.io/acme/agent:1.4@{digest}"),
            format!("registry.example.com:5000/acme/agent@{digest}"),
        ] {
            let told = registry(&[]).digest(&image, None).await;
            assert_eq!(told, Ok(digest.clone()));
            let listed = registry(&["ghcr.io"]).digest(&image, None).await;
            assert_eq!(listed.is_ok(), image.starts_with("ghcr.io/"), "{listed:?}");
        }
    }

    #[tokio::test]
    async fn a_registry_that_is_not_listed_is_rejected_unasked() {
        for (image, listed) in [
            ("quay.io/acme/agent:1", &["ghcr.io"][..]),
            ("ghcr.io/acme/agent:1", &["docker.io", "quay.io"]),
            (
                "registry.example.com:5000/agent:1",
                &["registry.example.com"],
            ),
            (
                "registry.example.com/agent:1",
                &["registry.example.com:5000"],
            ),
        ] {
            let refused = registry(listed).digest(image, None).await.unwrap_err();
            assert_eq!(refused.class(), "Rejected", "{image}: {refused}");
            assert!(refused.message().contains(listed[0]), "{refused}");
        }
    }

    #[test]
    fn failures_by_class_and_in_one_sentence_for_all_silence() {
        let reference = Reference::parse("ghcr.io/acme/agent:1.4").unwrap();
        let status = |code| refused(StatusCode::from_u16(code).unwrap());
        for (failed, class) in [
            (status(401), "Denied"),
            (status(403), "Denied"),
            (status(404), "Rejected"),
            (status(400), "Transient"),
            (status(429), "Transient"),
            (status(503), "Transient"),
            (Failed::Elsewhere, "Rejected"),
            (Failed::from(Unread::TooLarge), "Transient"),
        ] {
            let fault = fault(&failed, &reference, "ghcr.io/acme/agent:1.4", false);
            assert_eq!(fault.class(), class, "{fault}");
            assert!(
                fault.message().contains("ghcr.io/acme/agent:1.4"),
                "{fault}"
            );
        }
    }

    #[test]
    fn a_token_is_asked_for_within_the_registrys_domain_and_to_pull() {
        let ghcr = Reference::parse("ghcr.io/acme/agent:1").unwrap();
        let url = token_url(&ghcr, "https://ghcr.io/token", Some("ghcr.io"));
        assert_eq!(
            url.ok().unwrap().as_str(),
            "https://ghcr.io/token?service=ghcr.io&scope=repository%3Aacme%2Fagent%3Apull"
        );
        for realm in [
            "http://ghcr.io/token",
            "https://evil.example/token",
            "https://ghcr.io.evil.example/token",
            "https://ghcr.io:6443/token",
            "https://user@ghcr.io/token",
            "https://10.0.0.1/token",
            "https://kubernetes.default.svc/token",
            "https://notghcr.io/token",
            "ftp://ghcr.io/token",
            "/token",
        ] {
            assert!(token_url(&ghcr, realm, None).is_err(), "{realm}");
        }
    }
}
