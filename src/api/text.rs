//! Text with a form: names, durations, quantities, images. Each is a type of its own, and its rule stands in the
//! schema, so that the API server refuses a wrong one with a sentence that says what to write.
//!
//! What holds: a value that the API server has admitted parses; the accessors still answer `Option`, because objects
//! outlive schemas.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::{borrow::Cow, fmt, time::Duration};

/// Declares a string type with a length limit and a CEL rule whose message names the remedy.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, max $max:literal, $rule:literal, $message:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "minLength": 1,
                    "maxLength": $max,
                    "x-kubernetes-validations": [{ "rule": $rule, "message": $message }]
                })
            }
        }
    };
}

text!(
    /// The name of an object in the same namespace (or of a cluster-scoped one).
    ObjectName, max 253,
    r"self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
    "must be the name of an object: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit; there is no namespace part, references stay in their own namespace"
);
text!(
    /// The name of a namespace.
    NamespaceName, max 63,
    r"self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    "must be the name of one namespace: lower-case letters, digits and '-', without wildcards; to allow every namespace write allowedNamespaces: {selector: {}}"
);
text!(
    /// A key in a Secret or ConfigMap.
    DataKey, max 253,
    r"self.matches('^[-._a-zA-Z0-9]+$')",
    "must be a key of the object's data: letters, digits, '-', '_' and '.'"
);
text!(
    /// The name of an environment variable.
    VariableName, max 128,
    r"self.matches('^[A-Za-z_][A-Za-z0-9_]*$') && (!self.startsWith('RAILWAY_') || self == 'RAILWAY_RUN_UID') && !self.startsWith('YARDMASTER_') && !self.startsWith('LD_') && !(self in ['GATEWAY_TOKEN', 'PORT', 'PATH'])",
    "must be the name of an environment variable (letters, digits and '_', not beginning with a digit) and none that is taken: RAILWAY_* and YARDMASTER_* are reserved (but for RAILWAY_RUN_UID), GATEWAY_TOKEN is generated, PORT follows runtime.port, PATH and LD_* belong to the image"
);
text!(
    /// The name of an environment variable that the controller gives a value.
    ControlledVariable, max 128,
    r"self.matches('^[A-Za-z_][A-Za-z0-9_]*$') && !self.startsWith('RAILWAY_') && !self.startsWith('YARDMASTER_') && !self.startsWith('LD_') && !(self in ['PATH', 'OPENROUTER_API_KEY', 'EXA_API_KEY', 'AGENTMAIL_INBOX', 'AGENTMAIL_API_KEY', 'TELNYX_PHONE_NUMBER', 'TELNYX_MESSAGING_PROFILE_ID', 'WALLET_PRIVATE_KEY', 'WALLET_ADDRESS', 'BANKR_API_KEY', 'BANKR_WALLET_ADDRESS'])",
    "must be the name of an environment variable (letters, digits and '_', not beginning with a digit) and none that is taken: RAILWAY_*, YARDMASTER_*, LD_*, PATH, or one that a tool gives, such as OPENROUTER_API_KEY"
);
text!(
    /// The name of an HTTP header.
    HeaderName, max 64,
    r"self.matches('^[A-Za-z][A-Za-z0-9-]*$') && !(self.lowerAscii() in ['host', 'accept', 'connection', 'content-length', 'content-type', 'transfer-encoding', 'upgrade', 'user-agent', 'te', 'trailer', 'expect', 'keep-alive'])",
    "must be the name of an HTTP header of the agent's own (letters, digits and '-', beginning with a letter), such as X-Session-API-Key"
);
text!(
    /// A container image on ghcr.io or another registry that speaks the OCI protocol, by tag or digest. The registry is
    /// asked by the controller, so its name must be a public one.
    ImageReference, max 512,
    r"self.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?[.])+[a-z]([-a-z0-9]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$') && self.matches(':[^/]+$') && !self.matches('^[^/:]+[.](local|internal|localhost|svc|lan|home)[:/]')",
    "must be a full image name with its registry and a tag or digest, such as ghcr.io/acme/agent:1.4 or ghcr.io/acme/agent@sha256:…; no scheme, spaces or capitals in the name, and a registry with a public host name, perhaps with a port"
);
text!(
    /// A span of time as people write it: `30s`, `15m`, `36h`.
    Span, max 32,
    r"self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self.matches('[1-9]')",
    "must be a span of time greater than zero, written with the units h, m, s and ms from large to small, such as 30s, 15m or 1h30m; a day is 24h"
);
text!(
    /// An absolute path in the agent's file system.
    MountPath, max 256,
    r"self.matches('^(/[A-Za-z0-9._-]+)+$') && !self.contains('..')",
    "must be an absolute path below the root such as /data, without '..' and without a trailing slash"
);
text!(
    /// A path of a file that is laid for an agent. `.yardmaster` is where `yardmaster-runner` keeps its memory, and what begins so is half written.
    FilePath, max 512,
    r"self.matches('^/?[^/[:cntrl:]]+(/[^/[:cntrl:]]+)*$') && !self.matches('(^|/)([.]|[.][.]|[.]yardmaster[^/]*)(/|$)')",
    "must be the path of a file, such as SOUL.md or /data/notes/first.md: no '//', no '.' or '..' on the way, no slash at the end, no control characters, and no name that begins with .yardmaster, which is the runner's own"
);
text!(
    /// A path of the agent's HTTP interface. Never `//…`: that would name another host.
    HttpPath, max 256,
    r"self.matches('^/([A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*/?)?$') && !self.contains('..')",
    "must be a path that begins with '/', such as /pool/health: the controller puts the agent's own host before it, so no scheme, host or query, no '//' and no '..'"
);
text!(
    /// A region of the provider.
    Region, max 63,
    r"self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    "must be a region's name such as us-west2 or europe-west4-drams3a"
);
text!(
    /// The id of a workspace at Railway.
    WorkspaceId, max 64,
    r"self.matches('^[A-Za-z0-9-]+$')",
    "must be the workspace's id (letters, digits and '-') as its settings page at Railway shows it, not its name or address"
);

text!(
    /// The name of a tool.
    ToolName, max 20,
    r"self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    "must be a short name: at most 20 lower-case letters, digits and '-', beginning with a letter, such as llm or inbox"
);
text!(
    /// A country.
    CountryCode, max 2,
    r"self.matches('^[A-Z][A-Z]$')",
    "must be a country's two capital letters, such as US"
);
text!(
    /// A domain name.
    DomainName, max 253,
    r"self.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?[.])+[a-z]+$')",
    "must be a domain name such as mail.example.com, in lower case and without a scheme"
);
text!(
    /// An area code.
    AreaCode, max 8,
    r"self.matches('^[0-9]+$')",
    "must be an area code: digits alone, such as 415, without the country's code"
);
text!(
    /// An id that a provider gave.
    OutsideId, max 256,
    r"self.matches('^[A-Za-z0-9+][A-Za-z0-9@+._~:-]*$')",
    "must be the id as the provider shows it: letters, digits and @ + . _ ~ : - without spaces or slashes, with a letter, a digit or + first"
);

impl Span {
    /// As a duration.
    pub fn duration(&self) -> Option<Duration> {
        humantime::parse_duration(&self.0).ok()
    }

    /// As a duration, or this one.
    pub fn or(span: Option<&Span>, default: Duration) -> Duration {
        span.and_then(Span::duration).unwrap_or(default)
    }
}

/// An amount of CPU or memory or disk, as Kubernetes writes it: `4`, `500m`, `4Gi`. A whole number without a unit may
/// be written as a number, as everywhere in Kubernetes; it is kept here as its text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Amount(pub String);

impl From<&str> for Amount {
    fn from(text: &str) -> Self {
        Amount(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AmountVisitor)
    }
}

/// Takes every form that the API server has for an amount. Its own `IntOrString` would not do: that holds 32 bits, and
/// four gigabytes written as bytes are more.
struct AmountVisitor;

impl Visitor<'_> for AmountVisitor {
    type Value = Amount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount such as 2, 500m or 4Gi")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount, E> {
        Ok(Amount(number.to_string()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Amount, E> {
        Ok(Amount(number.to_string()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Amount, E> {
        Ok(Amount(number.to_string()))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
        Ok(Amount(text.to_owned()))
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": 32,
            "x-kubernetes-validations": [{
                // What `units` reads, and no more: Kubernetes knows 1e3 and Ei as well, which nobody writes by intent.
                "rule": "string(self).matches('^[0-9]{1,15}([.][0-9]{1,9})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$') && string(self).matches('^[0-9.]*[1-9]')",
                "message": "must be an amount greater than zero, written as Kubernetes does: 2 or 500m for CPUs, 512Mi or 4Gi for memory and volumes"
            }]
        })
    }
}

impl Amount {
    /// In units of one: CPUs, or bytes. `None` where the text is no quantity.
    pub fn units(&self) -> Option<f64> {
        let text = self.0.as_str();
        let split = text
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(split);
        let number: f64 = number.parse().ok()?;
        let factor = match suffix {
            "" => 1.0,
            "m" => 1e-3,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            "Ki" => f64::from(1u32 << 10),
            "Mi" => f64::from(1u32 << 20),
            "Gi" => f64::from(1u32 << 30),
            "Ti" => 2f64.powi(40),
            _ => return None,
        };
        Some(number * factor)
    }
}

/// A reference to an object in the same namespace, or to a cluster-scoped one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameRef {
    /// Its name.
    pub name: ObjectName,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_kubernetes_writes_them() {
        for (text, units) in [
            ("4", Some(4.0)),
            ("500m", Some(0.5)),
            ("1.5", Some(1.5)),
            ("4Gi", Some(4.0 * 1024.0 * 1024.0 * 1024.0)),
            ("512Mi", Some(512.0 * 1024.0 * 1024.0)),
            ("1G", Some(1e9)),
            ("4GiB", None),
            ("", None),
        ] {
            assert_eq!(Amount::from(text).units(), units, "{text}");
        }
    }

    #[test]
    fn a_whole_number_is_an_amount() {
        for (json, text) in [
            ("2", "2"),
            ("4294967296", "4294967296"),
            ("999999999999999", "999999999999999"),
            ("18446744073709551615", "18446744073709551615"),
            ("4294967296.0", "4294967296"),
            ("\"500m\"", "500m"),
        ] {
            assert_eq!(serde_json::from_str::<Amount>(json).unwrap(), text.into());
        }
        assert!(serde_json::from_str::<Amount>("true").is_err());
    }

    #[test]
    fn spans_are_read_as_people_write_them() {
        assert_eq!(Span::from("15m").duration(), Some(Duration::from_secs(900)));
        assert_eq!(
            Span::from("1h30m").duration(),
            Some(Duration::from_secs(5400))
        );
        assert_eq!(Span::from("soon").duration(), None);
    }
}
