//! Asking one registry about one image: what it is shown, and where one goes after it.
//!
//! Holds: credentials go to the registry and its token service alone; nobody is followed to another domain, neither by a
//! redirect nor to a token service.

use super::challenge::Challenge;
use super::reference::Reference;
use super::untold::Untold;
use crate::model::RegistryCredentials;
use crate::wire;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};

/// What a tag may name: an image or an index of several, in the words of both standards.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// The largest answer of a token service: the token itself goes into a header.
const LARGEST_TOKEN: usize = 64 << 10;

/// How often one is sent elsewhere within a registry's own domain.
const MOST_REDIRECTS: usize = 3;

/// What is shown to a registry.
enum Authorization {
    Nothing,
    Basic(RegistryCredentials),
    Bearer(SecretString),
}

/// A visit at the registry of an image.
pub(super) struct Visit<'a> {
    http: &'a reqwest::Client,
    reference: &'a Reference,
    credentials: Option<&'a RegistryCredentials>,
    shown: Authorization,
}

impl Visit<'_> {
    /// Nothing is sent, and nothing shown yet.
    pub(super) fn new<'a>(
        http: &'a reqwest::Client,
        reference: &'a Reference,
        credentials: Option<&'a RegistryCredentials>,
    ) -> Visit<'a> {
        Visit {
            http,
            reference,
            credentials,
            shown: Authorization::Nothing,
        }
    }

    /// Sends, and shows what the registry wants to be shown, where it was not shown yet.
    pub(super) async fn let_in(&mut self, method: Method, url: &Url) -> Result<Response, Untold> {
        let answer = self.send(method.clone(), url).await?;
        if answer.status() != StatusCode::UNAUTHORIZED
            || !matches!(self.shown, Authorization::Nothing)
        {
            return Ok(answer);
        }
        self.shown = self.wanted(answer.headers()).await?;
        self.send(method, url).await
    }

    /// Sends, and goes where the registry sends us, as long as that is within its own domain.
    async fn send(&self, method: Method, url: &Url) -> Result<Response, Untold> {
        let mut url = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self
                .http
                .request(method.clone(), url.clone())
                .header(header::USER_AGENT, wire::USER_AGENT)
                .header(header::ACCEPT, MANIFESTS);
            // What was given for the registry is shown to nobody else, whatever it says.
            if self.reference.is_own(&url) {
                request = match &self.shown {
                    Authorization::Nothing => request,
                    Authorization::Basic(known) => {
                        request.basic_auth(&known.username, Some(known.password.expose_secret()))
                    }
                    Authorization::Bearer(token) => request.bearer_auth(token.expose_secret()),
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
                .ok_or(Untold::Silent)?;
            if !self.reference.is_within_its_domain(&next) {
                return Err(Untold::Elsewhere);
            }
            url = next;
        }
        Err(Untold::Silent)
    }

    /// What the registry wants to be shown.
    async fn wanted(&self, headers: &HeaderMap) -> Result<Authorization, Untold> {
        let challenges = headers
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| Challenge::parse(value.to_str().ok()?));
        let mut basic = false;
        for challenge in challenges {
            match challenge {
                Challenge::Bearer { realm, service } => {
                    let url = token_url(self.reference, &realm, service.as_deref())?;
                    return self.token(url).await.map(Authorization::Bearer);
                }
                Challenge::Basic => basic = true,
            }
        }
        match self.credentials {
            Some(credentials) if basic => Ok(Authorization::Basic(credentials.clone())),
            _ => Err(Untold::Denied),
        }
    }

    async fn token(&self, url: Url) -> Result<SecretString, Untold> {
        let mut request = self
            .http
            .get(url)
            .header(header::USER_AGENT, wire::USER_AGENT);
        if let Some(known) = self.credentials {
            request = request.basic_auth(&known.username, Some(known.password.expose_secret()));
        }
        let answer = request.send().await?;
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(Untold::Denied),
            status if status.is_redirection() => return Err(Untold::Elsewhere),
            status => return Err(Untold::Status(status)),
        }
        let body = wire::body(answer, LARGEST_TOKEN).await?;
        let body: serde_json::Value = serde_json::from_slice(&body).map_err(|_| Untold::Silent)?;
        let token = ["token", "access_token"]
            .iter()
            .find_map(|name| body[name].as_str())
            .filter(|token| !token.is_empty() && HeaderValue::from_str(token).is_ok());
        token.map(SecretString::from).ok_or(Untold::Silent)
    }
}

/// Where a token is asked for: within the registry's own domain, for this repository, and to pull.
pub(super) fn token_url(
    reference: &Reference,
    realm: &str,
    service: Option<&str>,
) -> Result<Url, Untold> {
    let mut url = Url::parse(realm).map_err(|_| Untold::Silent)?;
    if !reference.is_within_its_domain(&url) {
        return Err(Untold::Elsewhere);
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
