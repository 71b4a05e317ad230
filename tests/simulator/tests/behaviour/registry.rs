//! The registry, asked by the very crate that the product asks it with.

use oci_client::client::{Certificate, CertificateEncoding, ClientConfig};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use serde_json::{Value, json};

use super::client::{World, text};

fn oci(world: &World) -> Client {
    let certificate = Certificate {
        encoding: CertificateEncoding::Pem,
        data: std::fs::read(world.simulator.ca_file()).unwrap(),
    };
    Client::new(ClientConfig {
        extra_root_certificates: vec![certificate],
        https_proxy: Some(world.simulator.proxy_url()),
        ..ClientConfig::default()
    })
}

async fn digest(
    world: &World,
    image: &str,
    auth: &RegistryAuth,
) -> Result<String, OciDistributionError> {
    let reference: Reference = image.parse().unwrap();
    oci(world).fetch_manifest_digest(&reference, auth).await
}

#[tokio::test]
async fn every_image_has_a_digest() {
    let world = World::new().await;
    let image = "ghcr.io/acme/agent:1.4";
    let first = digest(&world, image, &RegistryAuth::Anonymous)
        .await
        .unwrap();
    assert!(first.starts_with("sha256:") && first.len() == 71, "{first}");
    assert_eq!(
        digest(&world, image, &RegistryAuth::Anonymous)
            .await
            .unwrap(),
        first
    );
    let other = digest(&world, "ghcr.io/acme/agent:1.5", &RegistryAuth::Anonymous)
        .await
        .unwrap();
    assert_ne!(first, other);
    let deep = "ghcr.io/acme/agents/one:1";
    assert!(digest(&world, deep, &RegistryAuth::Anonymous).await.is_ok());
    let missing = digest(
        &world,
        "ghcr.io/acme/agent:missing",
        &RegistryAuth::Anonymous,
    )
    .await;
    assert!(missing.is_err());
    // The manifest is what its digest says.
    let reference: Reference = image.parse().unwrap();
    let (_, pulled) = oci(&world)
        .pull_manifest(&reference, &RegistryAuth::Anonymous)
        .await
        .unwrap();
    assert_eq!(pulled, first);
    let pinned: Reference = format!("ghcr.io/acme/agent@{first}").parse().unwrap();
    assert!(
        oci(&world)
            .pull_manifest(&pinned, &RegistryAuth::Anonymous)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_private_image_needs_credentials() {
    let world = World::new().await;
    let image = "ghcr.io/private/agent:1";
    let basic =
        |user: &str, password: &str| RegistryAuth::Basic(user.to_owned(), password.to_owned());
    assert!(
        digest(&world, image, &RegistryAuth::Anonymous)
            .await
            .is_err()
    );
    assert!(
        digest(&world, image, &basic("pull", "wrong"))
            .await
            .is_err()
    );
    assert!(
        digest(&world, image, &basic("pull", "pull-secret"))
            .await
            .is_ok()
    );
    let edit = json!({ "private": true, "username": "me", "password": "mine" });
    world
        .control("PUT", "/registry/ghcr.io/acme/closed", edit)
        .await;
    let closed = "ghcr.io/acme/closed:1";
    assert!(
        digest(&world, closed, &basic("pull", "pull-secret"))
            .await
            .is_err()
    );
    assert!(digest(&world, closed, &basic("me", "mine")).await.is_ok());
    let journal = world.journal().await;
    assert!(journal.iter().all(|line| line["provider"] == "ghcr"));
    assert!(
        !format!("{journal:?}").contains("mine"),
        "no credentials in the journal"
    );
}

#[tokio::test]
async fn a_tag_moves() {
    let world = World::new().await;
    let image = "ghcr.io/acme/agent:main";
    let before = digest(&world, image, &RegistryAuth::Anonymous)
        .await
        .unwrap();
    let moved = world
        .control(
            "PUT",
            &format!("/registry/{image}"),
            json!({ "move": true }),
        )
        .await;
    let after = digest(&world, image, &RegistryAuth::Anonymous)
        .await
        .unwrap();
    assert_ne!(before, after);
    assert_eq!(text(&moved["digest"]), after);
    let by_hand = format!("sha256:{}", "ab".repeat(32));
    world
        .control(
            "PUT",
            &format!("/registry/{image}"),
            json!({ "digest": by_hand }),
        )
        .await;
    assert_eq!(
        digest(&world, image, &RegistryAuth::Anonymous)
            .await
            .unwrap(),
        by_hand
    );
    world
        .control(
            "PUT",
            &format!("/registry/{image}"),
            json!({ "missing": true }),
        )
        .await;
    assert!(
        digest(&world, image, &RegistryAuth::Anonymous)
            .await
            .is_err()
    );
    let shown = world
        .control("GET", &format!("/registry/{image}"), Value::Null)
        .await;
    assert_eq!(shown["missing"], true);
}

#[tokio::test]
async fn docker_hub_is_there_under_its_own_hosts() {
    let world = World::new().await;
    let image = "docker.io/acme/agent:1";
    let found = digest(&world, image, &RegistryAuth::Anonymous)
        .await
        .unwrap();
    let shown = world
        .control("GET", &format!("/registry/{image}"), Value::Null)
        .await;
    assert_eq!(shown["digest"], found);
    let private = "docker.io/acme/private/agent:1";
    assert!(
        digest(&world, private, &RegistryAuth::Anonymous)
            .await
            .is_err()
    );
    let journal = world.journal().await;
    let asked = |host: &str| journal.iter().any(|line| line["host"] == host);
    assert!(asked("index.docker.io") && asked("auth.docker.io"));
    let url = "https://registry-1.docker.io/v2/acme/agent/manifests/1";
    let refused = world.client.get(url).send().await.unwrap();
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
    let wanted = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io""#;
    assert!(challenge.starts_with(wanted), "{challenge}");
}
