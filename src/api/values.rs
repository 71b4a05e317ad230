//! Values that a spec gives or refers to.

use super::account::KeyRef;
use super::text::VariableName;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// An environment variable: a value, or where it comes from.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.value) != has(self.valueFrom)").message("an env entry must have exactly one of value and valueFrom"))]
pub struct EnvVar {
    /// The variable's name.
    pub name: VariableName,
    /// Its value, where it is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32768))]
    #[x_kube(validation = Rule::new("!self.contains('${{')").message("env value must not contain '${{': Railway would replace it with a reference; put such a value together inside the agent"))]
    pub value: Option<String>,
    /// Where its value comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

/// Where a value comes from, in the same namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretKeyRef) != has(self.configMapKeyRef)").message("must have exactly one of secretKeyRef and configMapKeyRef, each {name, key}"))]
pub struct ValueFrom {
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
}
