//! Image registries: which digest a tag names now.
//!
//! What holds: only public DNS names over HTTPS are asked, since an image's name is what a user wrote; every call has a
//! client of its own, so that the credentials of one never answer for another (the library keeps the first that it
//! sees for a registry); one deadline covers all requests of a call; what a registry says besides a status goes into no
//! message, since a registry may be hostile. Deliberately absent: pulling, caching, repeating.
//!
//! oci-client 0.18 is used as it is: it builds its own reqwest client, which takes its authorities from the system or
//! `SSL_CERT_FILE` (rustls-platform-verifier), and aws-lc-rs as its only crypto provider. It follows the token service that
//! the registry names, wherever that is, with the credentials given for that registry, and reads its answer to the end. So
//! that a registry cannot send us to services inside the cluster, plain HTTP leads nowhere; over HTTPS such a service would
//! need a certificate that the system trusts.

use crate::model::{Done, Fault, RegistryCredentials};
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use secrecy::ExposeSecret;
use std::time::Duration;

/// Asks registries. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry {
    timeout: Duration,
    route: Route,
}

/// Where nobody listens.
const NOWHERE: &str = "http://127.0.0.1:9";

/// The way to the outside.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// URL of an HTTP proxy.
    pub proxy: Option<String>,
    /// Authority to trust besides the system's, as PEM.
    pub authority: Option<Vec<u8>>,
}

impl Registry {
    /// `timeout` is for a whole answer, which takes up to four requests. The environment is not looked at.
    pub fn new(timeout: Duration, route: Route) -> Registry {
        Registry { timeout, route }
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
        let reference = parse(image)?;
        if let Some(digest) = reference.digest() {
            return Ok(digest.to_owned());
        }
        let ask = self.ask(&reference, credentials);
        tokio::time::timeout(self.timeout, ask)
            .await
            .unwrap_or_else(|_| {
                Err(Fault::Transient {
                    message: format!(
                        "no answer from {} within {} s",
                        reference.registry(),
                        self.timeout.as_secs()
                    ),
                })
            })
    }

    async fn ask(
        &self,
        reference: &Reference,
        credentials: Option<&RegistryCredentials>,
    ) -> Done<String> {
        let fault = |error| classify(&error, reference, credentials.is_some());
        let client = Client::try_from(self.config()).map_err(fault)?;
        let auth = match credentials {
            Some(credentials) => RegistryAuth::Basic(
                credentials.username.clone(),
                credentials.password.expose_secret().to_owned(),
            ),
            None => RegistryAuth::Anonymous,
        };
        // On its own first: the request for the manifest would hide why it got no token.
        client
            .auth(reference, &auth, RegistryOperation::Pull)
            .await
            .map_err(fault)?;
        let digest = client
            .fetch_manifest_digest(reference, &auth)
            .await
            .map_err(fault)?;
        if is_digest(&digest) {
            return Ok(digest);
        }
        Err(Fault::Transient {
            message: format!("{} answered with no digest", reference.registry()),
        })
    }

    fn config(&self) -> ClientConfig {
        let authority = self.route.authority.iter().map(|data| Certificate {
            encoding: CertificateEncoding::Pem,
            data: data.clone(),
        });
        ClientConfig {
            connect_timeout: Some(self.timeout),
            read_timeout: Some(self.timeout),
            user_agent: concat!("yardmaster/", env!("CARGO_PKG_VERSION")),
            https_proxy: self.route.proxy.clone(),
            http_proxy: Some(NOWHERE.to_owned()),
            extra_root_certificates: authority.collect(),
            ..ClientConfig::default()
        }
    }
}

/// An image whose registry we are willing to ask.
fn parse(image: &str) -> Done<Reference> {
    let rejected = |why: &str| Fault::Rejected {
        message: format!("image {}: {why}", cut(image)),
    };
    let reference: Reference = image
        .parse()
        .map_err(|_| rejected("not the name of an image"))?;
    if reference.digest().is_some_and(|digest| !is_digest(digest)) {
        return Err(rejected("its digest is not a SHA-256 digest"));
    }
    if reference
        .repository()
        .bytes()
        .any(|byte| byte.is_ascii_uppercase())
    {
        return Err(rejected("its name has upper case letters"));
    }
    if !is_public_name(reference.resolve_registry()) {
        return Err(rejected("its registry is not a public host name"));
    }
    Ok(reference)
}

fn cut(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(200)
        .collect()
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

/// A DNS name without a port, of at least two labels, that is no address and no cluster's.
fn is_public_name(host: &str) -> bool {
    let mut labels = host.split('.').rev();
    let last = labels.next().unwrap_or_default().to_ascii_lowercase();
    let private = ["local", "internal", "localhost", "svc", "lan", "home"];
    labels.next().is_some_and(|label| !label.is_empty())
        && !private.contains(&last.as_str())
        && !last.is_empty()
        && last.bytes().all(|byte| byte.is_ascii_alphabetic())
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}

/// What a failure means. Uses no text of the registry's but to tell a refusal from an outage.
fn classify(error: &OciDistributionError, reference: &Reference, credentials: bool) -> Fault {
    let registry = reference.registry();
    let denied = || Fault::Denied {
        message: if credentials {
            format!("{registry} refuses the credentials for {reference}")
        } else {
            format!("{registry} refuses {reference} without credentials, or does not know it")
        },
    };
    let rejected = || Fault::Rejected {
        message: format!("{registry} knows no {reference}"),
    };
    let transient = |what: String| Fault::Transient {
        message: format!("{registry} cannot say what {reference} is: {what}"),
    };
    match error {
        OciDistributionError::UnauthorizedError { .. } => denied(),
        // The library drops the status of the token service; only its words are left.
        OciDistributionError::AuthenticationFailure(reason) if is_refusal(reason) => denied(),
        OciDistributionError::AuthenticationFailure(_) => {
            transient("its token service does not work".to_owned())
        }
        OciDistributionError::ImageManifestNotFoundError(_) => rejected(),
        OciDistributionError::ServerError { code: 404, .. } => rejected(),
        OciDistributionError::ServerError { code: 403, .. } => denied(),
        OciDistributionError::ServerError { code, .. } => transient(format!("HTTP {code}")),
        OciDistributionError::RegistryError { envelope, .. } => {
            let code = envelope.errors.first().map(|error| &error.code);
            match code {
                Some(
                    OciErrorCode::ManifestUnknown
                    | OciErrorCode::NameUnknown
                    | OciErrorCode::NameInvalid
                    | OciErrorCode::NotFound,
                ) => rejected(),
                Some(OciErrorCode::Denied | OciErrorCode::Unauthorized) => denied(),
                Some(OciErrorCode::Toomanyrequests) => transient("too many requests".to_owned()),
                _ => transient("it answered with an error".to_owned()),
            }
        }
        OciDistributionError::RequestError(error) if error.is_timeout() => {
            transient("no answer in time".to_owned())
        }
        OciDistributionError::RequestError(error) if error.is_connect() => {
            transient("it cannot be reached".to_owned())
        }
        _ => transient("its answer cannot be understood".to_owned()),
    }
}

/// A token service says no; an empty answer counts as one, a page of a proxy does not.
fn is_refusal(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    reason.trim().is_empty()
        || [
            "denied",
            "unauthorized",
            "forbidden",
            "incorrect",
            "credential",
        ]
        .iter()
        .any(|word| reason.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd";

    fn registry() -> Registry {
        Registry::new(Duration::from_secs(5), Route::default())
    }

    #[tokio::test]
    async fn a_digest_answers_itself() {
        let digest = format!("sha256:{HEX}");
        for image in [
            format!("ghcr.io/acme/agent@{digest}"),
            format!("ghcr.io/acme/agent:1.4@{digest}"),
        ] {
            assert_eq!(registry().digest(&image, None).await, Ok(digest.clone()));
        }
    }

    #[tokio::test]
    async fn what_is_no_image_or_no_public_registry_is_rejected_unasked() {
        for image in [
            "",
            "UPPER/case",
            "ghcr.io/acme/agent@sha256:short",
            "ghcr.io/acme/agent:bad tag",
            "localhost/agent:1",
            "localhost:5000/agent:1",
            "127.0.0.1/agent:1",
            "10.0.0.1:5000/a/agent:1",
            "registry.team.svc/agent:1",
            "registry.team.svc.cluster.local/agent:1",
            "metadata.google.internal/agent:1",
            "ghcr.io:8443/acme/agent:1",
        ] {
            let refused = registry().digest(image, None).await.unwrap_err();
            assert_eq!(refused.class(), "Rejected", "{image}: {refused}");
        }
    }

    #[test]
    fn failures_by_class() {
        use OciDistributionError as E;
        let reference: Reference = "ghcr.io/acme/agent:1.4".parse().unwrap();
        let url = || "https://ghcr.io/v2/".to_owned();
        let envelope = |code: &str| E::RegistryError {
            envelope: serde_json::from_value(serde_json::json!({
                "errors": [{ "code": code, "message": "m" }]
            }))
            .unwrap(),
            url: url(),
        };
        let server = |code| E::ServerError {
            code,
            url: url(),
            message: "<html>hidden</html>".into(),
        };
        for (error, class) in [
            (E::UnauthorizedError { url: url() }, "Denied"),
            (E::AuthenticationFailure(String::new()), "Denied"),
            (
                E::AuthenticationFailure(
                    r#"{"errors":[{"code":"DENIED","message":"hidden"}]}"#.into(),
                ),
                "Denied",
            ),
            (
                E::AuthenticationFailure("<html>hidden</html>".into()),
                "Transient",
            ),
            (envelope("MANIFEST_UNKNOWN"), "Rejected"),
            (envelope("NAME_UNKNOWN"), "Rejected"),
            (envelope("DENIED"), "Denied"),
            (envelope("TOOMANYREQUESTS"), "Transient"),
            (server(404), "Rejected"),
            (server(403), "Denied"),
            (server(429), "Transient"),
            (server(503), "Transient"),
            (E::RegistryNoDigestError, "Transient"),
        ] {
            let fault = classify(&error, &reference, false);
            assert_eq!(fault.class(), class, "{error}");
            assert!(!fault.to_string().contains("hidden"), "{fault}");
            assert!(
                fault.to_string().contains("ghcr.io/acme/agent:1.4"),
                "{fault}"
            );
        }
    }
}
