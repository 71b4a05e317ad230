//! The schema of a list of conditions. Holds: the bounds are those that Kubernetes gives its own.

use schemars::{Schema, SchemaGenerator, json_schema};

/// The schema of a list of conditions, with the bounds that Kubernetes gives its own.
pub(in crate::api) fn list_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {"type": "string", "minLength": 1, "maxLength": 316, "description": "What is said something about."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it is so."},
                "reason": {"type": "string", "minLength": 1, "maxLength": 1024, "description": "Why, in one stable word."},
                "message": {"type": "string", "maxLength": 32768, "description": "Why, and what to do, in a sentence."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "description": "Since when it has been so."},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0, "description": "The generation that was looked at."},
            },
        },
    })
}
