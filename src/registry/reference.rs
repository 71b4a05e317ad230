//! Names of images: which registry, which repository there, which tag or digest.

use crate::wire::is_public_name;
use reqwest::Url;

/// Where Docker Hub's images are, which are named otherwise than their registry.
const HUB: &str = "registry-1.docker.io";

/// The names that Docker Hub has in an image's name.
const HUBS_NAMES: [&str; 3] = ["docker.io", "index.docker.io", HUB];

/// An image whose registry we are willing to ask.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// The registry as the image names it, with its port.
    pub(super) registry: String,
    /// The repository there.
    pub(super) repository: String,
    /// The tag; empty where only a digest is named.
    pub(super) tag: String,
    /// The digest that it names.
    pub(super) pinned: Option<String>,
}

impl Reference {
    /// An image's name in its full form. The error says what is wrong with it.
    pub(super) fn parse(image: &str) -> Result<Reference, &'static str> {
        let (named, pinned) = match image.split_once('@') {
            Some((named, digest)) if is_digest(digest) => (named, Some(digest.to_owned())),
            Some(_) => return Err("its digest is not a SHA-256 digest"),
            None => (image, None),
        };
        let no_name = "not the full name of an image";
        let (registry, path) = named.split_once('/').ok_or(no_name)?;
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) if is_tag(tag) => (repository, tag),
            None if pinned.is_some() => (path, ""),
            _ => return Err("it names no tag"),
        };
        if !repository.split('/').all(is_component) {
            return Err(no_name);
        }
        if !is_registry(registry) {
            return Err("its registry is not a public host name");
        }
        let repository = match HUBS_NAMES.contains(&registry) && !repository.contains('/') {
            true => format!("library/{repository}"),
            false => repository.to_owned(),
        };
        Ok(Reference {
            registry: registry.to_owned(),
            repository,
            tag: tag.to_owned(),
            pinned,
        })
    }

    /// Whether the image is at a registry of this name.
    pub(super) fn is_at(&self, registry: &str) -> bool {
        let hub = |name: &str| HUBS_NAMES.contains(&name);
        self.registry == registry || hub(&self.registry) && hub(registry)
    }

    /// Host and port that answer for the registry.
    fn host(&self) -> &str {
        match HUBS_NAMES.contains(&self.registry.as_str()) {
            true => HUB,
            false => &self.registry,
        }
    }

    /// The address of something in the registry.
    pub(super) fn url(&self, path: &str) -> Option<Url> {
        Url::parse(&format!("https://{}{path}", self.host())).ok()
    }

    /// Whether an address is the registry's own.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        let own = self.url("/");
        own.is_some_and(|own| own.origin() == url.origin())
    }

    /// Whether an address is in the registry's own domain: its host, or one beside or below it, at the port of HTTPS or the
    /// registry's own.
    pub(super) fn is_within_its_domain(&self, url: &Url) -> bool {
        let Some(own) = self.url("/") else {
            return false;
        };
        let (Some(host), Some(own_host)) = (url.host_str(), own.host_str()) else {
            return false;
        };
        let plain = url.username().is_empty() && url.password().is_none();
        let port = url.port().is_none() || url.port() == own.port() && host == own_host;
        let site = site(own_host);
        let within = host == own_host
            || host == site
            || host
                .strip_suffix(site)
                .is_some_and(|rest| rest.ends_with('.'));
        url.scheme() == "https" && plain && port && within && is_registry(host)
    }
}

/// The domain that somebody has registered, as far as that can be told without a list of all of them: two labels, or three
/// where the second is one of those short ones under which a country registers. Rather too narrow than too wide: a host is
/// within its own domain in any case.
fn site(host: &str) -> &str {
    let labels: Vec<&str> = host.split('.').collect();
    let [.., second, top] = labels[..] else {
        return host;
    };
    let takes = if top.len() == 2 && second.len() <= 3 {
        3
    } else {
        2
    };
    let skip: usize = labels[..labels.len().saturating_sub(takes)]
        .iter()
        .map(|label| label.len() + 1)
        .sum();
    &host[skip..]
}

/// Whether a registry of this name is asked: a public name in small letters, perhaps with a port.
pub fn is_registry(name: &str) -> bool {
    let (host, port) = match name.split_once(':') {
        Some((host, port)) => (host, port.parse::<u16>().is_ok_and(|port| port > 0)),
        None => (name, true),
    };
    port && is_public_name(host) && !host.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// A piece of a repository's name: words of small letters and digits, joined by dots, dashes and underscores.
fn is_component(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let joint = |byte: u8| matches!(byte, b'.' | b'_' | b'-');
    text.bytes().all(|byte| word(byte) || joint(byte))
        && text.bytes().next().is_some_and(word)
        && text.bytes().next_back().is_some_and(word)
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text
            .bytes()
            .all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

pub(super) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(image: &str) -> (String, String, String) {
        let reference = Reference::parse(image).unwrap();
        let url = reference.url("/").unwrap();
        let host = url.as_str().trim_start_matches("https://");
        (
            host.trim_end_matches('/').to_owned(),
            reference.repository,
            reference.tag,
        )
    }

    #[test]
    fn names_as_they_occur() {
        for (image, host, repository, tag) in [
            ("ghcr.io/acme/agent:1.4", "ghcr.io", "acme/agent", "1.4"),
            (
                "ghcr.io/acme/agent:V1.4_RC",
                "ghcr.io",
                "acme/agent",
                "V1.4_RC",
            ),
            (
                "registry.example.com:5000/acme/agent:1",
                "registry.example.com:5000",
                "acme/agent",
                "1",
            ),
            (
                "docker.io/alpine:3",
                "registry-1.docker.io",
                "library/alpine",
                "3",
            ),
            (
                "index.docker.io/acme/agent:3",
                "registry-1.docker.io",
                "acme/agent",
                "3",
            ),
            (
                "registry.xn--e1afmkfd.xn--p1ai/a/b__c/d-e.f:1",
                "registry.xn--e1afmkfd.xn--p1ai",
                "a/b__c/d-e.f",
                "1",
            ),
            (
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com/agent:1",
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
                "agent",
                "1",
            ),
        ] {
            let wanted = (host.to_owned(), repository.to_owned(), tag.to_owned());
            assert_eq!(parsed(image), wanted, "{image}");
        }
    }

    #[test]
    fn what_is_no_image_or_at_no_public_registry_is_none() {
        for image in [
            "",
            "UPPER/case",
            "ghcr.io/acme/agent",
            "ghcr.io/acme/agent:",
            "ghcr.io/Acme/agent:1",
            "ghcr.io//agent:1",
            "ghcr.io/acme/agent@sha256:short",
            "ghcr.io/acme/agent:bad tag",
            "ghcr.io/acme/../agent:1",
            "ghcr.io/acme/agent:1:2",
            "localhost/agent:1",
            "localhost:5000/agent:1",
            "127.0.0.1/agent:1",
            "10.0.0.1:5000/a/agent:1",
            "registry.team.svc/agent:1",
            "registry.team.svc.cluster.local/agent:1",
            "registry.team.svc.cluster.local:5000/agent:1",
            "metadata.google.internal/agent:1",
            "registry.example.com:0/agent:1",
            "registry.example.com:99999/agent:1",
            "registry.example.com:/agent:1",
            "user@ghcr.io/acme/agent:1",
            "[::1]/agent:1",
        ] {
            assert!(Reference::parse(image).is_err(), "{image}");
        }
    }

    #[test]
    fn a_domain_is_what_somebody_registered() {
        for (registry, address, within) in [
            ("ghcr.io", "https://ghcr.io/token", true),
            ("docker.io", "https://auth.docker.io/token", true),
            ("registry.gitlab.com", "https://gitlab.com/jwt/auth", true),
            (
                "registry.example.com:5000",
                "https://registry.example.com:5000/t",
                true,
            ),
            (
                "registry.example.com:5000",
                "https://auth.example.com/t",
                true,
            ),
            (
                "registry.example.com:5000",
                "https://auth.example.com:5000/t",
                false,
            ),
            (
                "registry.example.co.uk",
                "https://auth.example.co.uk/t",
                true,
            ),
            ("registry.example.co.uk", "https://other.co.uk/t", false),
            ("us.gcr.io", "https://us.gcr.io/v2/token", true),
            ("us.gcr.io", "https://evil.io/v2/token", false),
            ("ghcr.io", "https://evilghcr.io/token", false),
            ("ghcr.io", "https://ghcr.io:8443/token", false),
            ("ghcr.io", "http://ghcr.io/token", false),
            ("ghcr.io", "https://a@ghcr.io/token", false),
            (
                "registry.example.com",
                "https://example.com.evil.org/",
                false,
            ),
        ] {
            let reference = Reference::parse(&format!("{registry}/acme/agent:1")).unwrap();
            let url = Url::parse(address).unwrap();
            assert_eq!(
                reference.is_within_its_domain(&url),
                within,
                "{registry} {address}"
            );
        }
    }
}
