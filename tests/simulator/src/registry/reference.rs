//! Image references: `ghcr.io/acme/agent:1.4@sha256:…` and its shorter forms.

/// A reference taken apart. The name has the registry's host in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub name: String,
    pub tag: Option<String>,
    pub digest: Option<String>,
}

impl Reference {
    pub(crate) fn parse(image: &str) -> Self {
        let (rest, digest) = match image.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (image, None),
        };
        // A colon before the last slash belongs to a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        let host = name.split('/').next().unwrap_or_default();
        let name = match (name.contains('/'), host.contains('.') || host.contains(':')) {
            (true, true) => name.to_owned(),
            (true, false) => format!("docker.io/{name}"),
            (false, _) => format!("docker.io/library/{name}"),
        };
        Self { name, tag, digest }
    }

    pub(crate) fn tag_or_latest(&self) -> &str {
        self.tag.as_deref().unwrap_or("latest")
    }
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn references_come_apart() {
        for (image, name, tag, digest) in [
            (
                "ghcr.io/acme/agent:1.4",
                "ghcr.io/acme/agent",
                Some("1.4"),
                None,
            ),
            (
                "ghcr.io/acme/agent@sha256:ab",
                "ghcr.io/acme/agent",
                None,
                Some("sha256:ab"),
            ),
            (
                "ghcr.io/a/b:1@sha256:ab",
                "ghcr.io/a/b",
                Some("1"),
                Some("sha256:ab"),
            ),
            ("localhost:5000/a", "localhost:5000/a", None, None),
            ("nginx", "docker.io/library/nginx", None, None),
            ("acme/agent:2", "docker.io/acme/agent", Some("2"), None),
        ] {
            let parsed = Reference::parse(image);
            assert_eq!(parsed.name, name);
            assert_eq!(
                (parsed.tag.as_deref(), parsed.digest.as_deref()),
                (tag, digest),
                "{image}"
            );
        }
    }
}
