//! Railway's scalars: moments, and several names for a piece of JSON.

use std::collections::BTreeMap;

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use jiff::Timestamp;

use crate::clock;

#[derive(Debug, Clone, Copy)]
pub(crate) struct DateTime(pub Timestamp);

#[Scalar(name = "DateTime")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => Ok(Self(text.parse::<Timestamp>()?)),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(clock::text(self.0))
    }
}

macro_rules! json_scalars {
    ($($name:ident = $text:literal),+ $(,)?) => {$(
        #[derive(Debug, Clone)]
        pub(crate) struct $name(pub serde_json::Value);

        #[Scalar(name = $text)]
        impl ScalarType for $name {
            fn parse(value: Value) -> InputValueResult<Self> {
                Ok(Self(value.into_json()?))
            }

            fn to_value(&self) -> Value {
                Value::from_json(self.0.clone()).unwrap_or_default()
            }
        }
    )+};
}

json_scalars!(
    DeploymentMeta = "DeploymentMeta",
    EnvironmentConfig = "EnvironmentConfig",
    Json = "JSON",
    ServiceInstanceLimit = "ServiceInstanceLimit",
    SubscriptionPlanLimit = "SubscriptionPlanLimit",
);

/// A map from variable names to values.
#[derive(Debug, Clone)]
pub(crate) struct EnvironmentVariables(pub BTreeMap<String, String>);

#[Scalar]
impl ScalarType for EnvironmentVariables {
    fn parse(value: Value) -> InputValueResult<Self> {
        let rows: BTreeMap<String, serde_json::Value> = serde_json::from_value(value.into_json()?)?;
        let text = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => Ok(text),
            serde_json::Value::Number(_) | serde_json::Value::Bool(_) => Ok(value.to_string()),
            _ => Err(InputValueError::custom("a variable's value is a string")),
        };
        let rows = rows
            .into_iter()
            .map(|(name, value)| Ok((name, text(value)?)));
        rows.collect::<Result<_, _>>().map(Self)
    }

    fn to_value(&self) -> Value {
        let rows = self.0.iter();
        let rows = rows.map(|(name, value)| (async_graphql::Name::new(name), Value::from(value)));
        Value::Object(rows.collect())
    }
}
