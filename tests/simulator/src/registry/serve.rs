//! The registries' HTTP, ghcr.io's and Docker Hub's: the token endpoint, and manifests by tag or digest. Docker Hub's token
//! service has a host of its own, and both of its hosts answer for both here.
//!
//! A token is a random word; the credentials it stands for stay here, so that none of them gets into the journal.

use async_trait::async_trait;
use serde_json::json;

use super::{Credentials, Reference, Refusal, Registry};
use crate::exchange::{Answer, Body, Request};
use crate::identity;
use crate::provider::Provider;

pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

#[async_trait]
impl Provider for Registry {
    fn name(&self) -> &'static str {
        "ghcr"
    }

    async fn answer(&self, request: &Request) -> Answer {
        let reading = matches!(request.method.as_str(), "GET" | "HEAD");
        let mut answer = match request.path.as_str() {
            _ if !reading => refused(405, "UNSUPPORTED", "this registry is only read"),
            "/token" => self.token(request),
            "/v2" | "/v2/" => match self.presented(request) {
                Some(_) => Answer::json(200, json!({})),
                None => challenge(&request.host, None),
            },
            path => match named(path) {
                Some((name, reference)) => self.manifest(request, name, reference),
                None => refused(404, "NOT_FOUND", "no such page in this registry"),
            },
        };
        if request.method == "HEAD" {
            answer.body = Body::Empty;
        }
        answer
    }
}

/// Name and reference in `/v2/{name}/manifests/{reference}`.
fn named(path: &str) -> Option<(&str, &str)> {
    let (name, reference) = path.strip_prefix("/v2/")?.rsplit_once("/manifests/")?;
    (!name.is_empty() && !reference.contains('/')).then_some((name, reference))
}

impl Registry {
    fn token(&self, request: &Request) -> Answer {
        let credentials = request
            .basic()
            .map(|(username, password)| Credentials { username, password });
        let query = request
            .query
            .as_deref()
            .unwrap_or_default()
            .replace("%3A", ":");
        let query = query.replace("%2F", "/");
        let scope = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("scope=repository:"));
        let mut shelf = self.shelf();
        if let Some(name) = scope.and_then(|scope| scope.split(':').next()) {
            let name = format!("{}/{name}", home(&request.host));
            if !self.opens(&shelf, &name, credentials.as_ref()) {
                return match credentials {
                    None => refused(401, "UNAUTHORIZED", "authentication required"),
                    Some(_) => refused(403, "DENIED", "requested access to the resource is denied"),
                };
            }
        }
        let token = identity::uuid();
        shelf.tokens.insert(token.clone(), credentials);
        Answer::json(200, json!({ "token": token, "expires_in": 300 }))
    }

    /// The credentials behind the bearer token of a request; `None` without a good token.
    fn presented(&self, request: &Request) -> Option<Option<Credentials>> {
        self.shelf().tokens.get(request.bearer()?).cloned()
    }

    fn manifest(&self, request: &Request, name: &str, reference: &str) -> Answer {
        let Some(credentials) = self.presented(request) else {
            return challenge(&request.host, Some(name));
        };
        let full = format!("{}/{name}", home(&request.host));
        let mut shelf = self.shelf();
        if !self.opens(&shelf, &full, credentials.as_ref()) {
            return refused(403, "DENIED", "requested access to the resource is denied");
        }
        let by_digest = reference.contains(':');
        let asked = Reference {
            name: full,
            tag: (!by_digest).then(|| reference.to_owned()),
            digest: by_digest.then(|| reference.to_owned()),
        };
        let pulled = match self.resolve(&mut shelf, &asked) {
            Ok(pulled) => pulled,
            Err(Refusal::Missing) => {
                return refused(404, "MANIFEST_UNKNOWN", "manifest unknown");
            }
            Err(Refusal::Denied) => return refused(403, "DENIED", "denied"),
        };
        let manifest = shelf
            .manifest(&asked.name, &pulled.digest)
            .unwrap_or_default();
        let length = manifest.len();
        Answer {
            status: 200,
            headers: Vec::new(),
            body: Body::JsonText(manifest),
        }
        .with("Content-Type", MANIFEST_TYPE)
        .with("Content-Length", length)
        .with("Docker-Content-Digest", pulled.digest)
    }
}

/// What images are called that a host serves.
fn home(host: &str) -> &str {
    match host {
        "registry-1.docker.io" | "index.docker.io" | "auth.docker.io" => "docker.io",
        host => host,
    }
}

fn challenge(host: &str, name: Option<&str>) -> Answer {
    let scope = name
        .map(|name| format!(",scope=\"repository:{name}:pull\""))
        .unwrap_or_default();
    let (realm, service) = match home(host) {
        "docker.io" => ("auth.docker.io/token", "registry.docker.io"),
        _ => ("ghcr.io/token", "ghcr.io"),
    };
    let header = format!("Bearer realm=\"https://{realm}\",service=\"{service}\"{scope}");
    refused(401, "UNAUTHORIZED", "authentication required").with("WWW-Authenticate", header)
}

fn refused(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(
        status,
        json!({ "errors": [{ "code": code, "message": message }] }),
    )
}
