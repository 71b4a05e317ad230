//! What a registry wants to be shown, as it says in `WWW-Authenticate` (RFC 9110, 11).

/// A way to be let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token of this service.
    Bearer {
        /// Where it is to be had.
        realm: String,
        /// For whom.
        service: Option<String>,
    },
    /// The credentials themselves.
    Basic,
}

impl Challenge {
    /// The first challenge of a header that we can meet.
    pub(super) fn parse(header: &str) -> Option<Challenge> {
        let header = header.trim();
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        let mut rest = rest;
        while let Some((name, value, after)) = parameter(rest) {
            if name.eq_ignore_ascii_case("realm") {
                realm.get_or_insert(value);
            } else if name.eq_ignore_ascii_case("service") {
                service.get_or_insert(value);
            }
            rest = after;
        }
        Some(Challenge::Bearer {
            realm: realm?,
            service,
        })
    }
}

/// One `name=value`, and what follows it. Where another challenge begins there is none.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let text = text.trim_start_matches([' ', ',']);
    let (name, rest) = text.split_once('=')?;
    let name = name.trim();
    if name.is_empty() || name.contains([' ', ',', '"']) {
        return None;
    }
    let Some(quoted) = rest.trim_start().strip_prefix('"') else {
        let end = rest.find([',', ' ']).unwrap_or(rest.len());
        return Some((name, rest[..end].to_owned(), &rest[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((name, value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bearer(realm: &str, service: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        })
    }

    #[test]
    fn challenges_as_registries_write_them() {
        for (header, wanted) in [
            (
                r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:a/b:pull""#,
                bearer("https://ghcr.io/token", Some("ghcr.io")),
            ),
            (
                r#"bearer realm="https://auth.docker.io/token", service="registry.docker.io""#,
                bearer("https://auth.docker.io/token", Some("registry.docker.io")),
            ),
            (
                r#"Bearer realm="https://a/\"b""#,
                bearer("https://a/\"b", None),
            ),
            (
                r"Bearer service=x,realm=https://a/b",
                bearer("https://a/b", Some("x")),
            ),
            (r#"Basic realm="Registry""#, Some(Challenge::Basic)),
            ("Basic", Some(Challenge::Basic)),
            ("Bearer", None),
            (r#"Bearer service="x""#, None),
            (r#"Bearer realm="unended"#, None),
            ("Negotiate", None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(header), wanted, "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_header_is_too_much(header in r#"(Bearer )?[ ,="\\a-zé]{0,40}"#) {
            let _ = Challenge::parse(&header);
        }
    }
}
