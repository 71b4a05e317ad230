//! What is asked of registries, and what is told of them.

use super::untold::{Untold, fault, refused};
use super::visit::token_url;
use super::*;
use crate::wire::Unread;
use reqwest::StatusCode;

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
    for (untold, class) in [
        (status(401), "Denied"),
        (status(403), "Denied"),
        (status(404), "Rejected"),
        (status(400), "Transient"),
        (status(429), "Transient"),
        (status(503), "Transient"),
        (Untold::Elsewhere, "Rejected"),
        (Untold::from(Unread::TooLarge), "Transient"),
    ] {
        let fault = fault(&untold, &reference, "ghcr.io/acme/agent:1.4", false);
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
