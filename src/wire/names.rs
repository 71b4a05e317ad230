//! Which host names may be called although somebody else wrote them.

/// Ends of names that are no public ones.
const PRIVATE: [&str; 6] = ["local", "internal", "localhost", "svc", "lan", "home"];

/// Whether this is a DNS name of at least two labels that is no address and no cluster's: `agent-1.up.railway.app`.
pub fn is_public_name(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let top = labels.last().copied().unwrap_or_default();
    host.len() <= 253
        && labels.len() > 1
        && labels.iter().all(|label| is_label(label))
        && top.starts_with(|c: char| c.is_ascii_alphabetic())
        && !PRIVATE.contains(&top.to_ascii_lowercase().as_str())
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_names_are_called() {
        for host in [
            "agent-1.up.railway.app",
            "a.example",
            "A1.Example.COM",
            "registry.xn--e1afmkfd.xn--p1ai",
        ] {
            assert!(is_public_name(host), "{host}");
        }
        let long = format!("{}.example", "a".repeat(64));
        for host in [
            "",
            "agent",
            "localhost",
            "127.0.0.1",
            "0x7f.0x1",
            "[::1]",
            "a.example:8080",
            "a.example/x",
            "user@a.example",
            "a..example",
            "-a.example",
            "a.example.",
            "kubernetes.default.svc",
            "x.svc.cluster.LOCAL",
            "metadata.google.internal",
            "a b.example",
            "a.example\r\nx",
            long.as_str(),
        ] {
            assert!(!is_public_name(host), "{host}");
        }
    }
}
