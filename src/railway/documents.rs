//! Railway's GraphQL documents, compiled against our own subset of the schema.
//!
//! What holds: every request of this room is one of the files below `documents/`, one operation a file, checked when
//! this compiles; what varies goes into variables, never into the text. Enumerations that Railway extends later read
//! as `Other`. Deliberately absent: what the answers mean (`reading`), how requests are sent (`transport`).

use crate::wire::Effect;
use graphql_client::GraphQLQuery;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

/// Railway's times. Read leniently, see `reading::moment`.
type DateTime = String;

/// A configuration as Railway takes and gives it (`facts/railway.md` 2.3). Holds secrets: never logged.
type EnvironmentConfig = serde_json::Value;

/// Variables by name. Holds secrets: never logged.
type EnvironmentVariables = serde_json::Value;

/// What a deployment says of its image; whatever else its meta holds is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DeploymentMeta {
    /// The image as it was configured.
    pub(super) image: Option<String>,
    /// What it resolved to.
    pub(super) digest: Option<String>,
}

/// Never fails: the scalar is opaque, and a deployment that hides its image must not hide a whole listing.
impl<'de> Deserialize<'de> for DeploymentMeta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Lenient {
            Known {
                image: Option<String>,
                #[serde(rename = "imageDigest")]
                digest: Option<String>,
            },
            Other(serde::de::IgnoredAny),
        }
        Ok(match Lenient::deserialize(deserializer)? {
            Lenient::Known { image, digest } => DeploymentMeta { image, digest },
            Lenient::Other(_) => DeploymentMeta::default(),
        })
    }
}

/// What the transport must know of an operation besides its document.
pub(super) trait Operation: GraphQLQuery {
    /// Its name in metrics and logs: Railway's root field.
    const NAME: &'static str;
    /// What a failure of it means.
    const EFFECT: Effect;
    /// What its answer is read into.
    type Answer: DeserializeOwned;
}

macro_rules! operations {
    ($($name:ident $file:tt $root:literal $effect:ident $answer:ty;)*) => {$(
        #[derive(GraphQLQuery)]
        #[graphql(
            schema_path = "src/railway/schema.graphql",
            query_path = $file,
            skip_serializing_none
        )]
        pub(super) struct $name;

        impl Operation for $name {
            const NAME: &'static str = $root;
            const EFFECT: Effect = Effect::$effect;
            type Answer = $answer;
        }
    )*

        /// The root fields of all of them.
        #[cfg(test)]
        pub(crate) const NAMES: &[&str] = &[$($root),*];
    };
}

operations! {
    Token "src/railway/documents/token.graphql" "apiToken" Read token::ResponseData;
    Workspace "src/railway/documents/workspace.graphql" "workspace" Read workspace::ResponseData;
    Projects "src/railway/documents/projects.graphql" "projects" Read projects::ResponseData;
    Project "src/railway/documents/project.graphql" "project" Read OneProject;
    Usage "src/railway/documents/usage.graphql" "projectServiceUsage" Read usage::ResponseData;
    Configuration "src/railway/documents/configuration.graphql" "environment" Read configuration::ResponseData;
    ProjectCreate "src/railway/documents/project_create.graphql" "projectCreate" Create project_create::ResponseData;
    ServiceCreate "src/railway/documents/service_create.graphql" "serviceCreate" Create service_create::ResponseData;
    VolumeCreate "src/railway/documents/volume_create.graphql" "volumeCreate" Create volume_create::ResponseData;
    VolumeMount "src/railway/documents/volume_mount.graphql" "volumeInstanceUpdate" Change volume_mount::ResponseData;
    DomainCreate "src/railway/documents/domain_create.graphql" "serviceDomainCreate" Create domain_create::ResponseData;
    PatchCommit "src/railway/documents/patch_commit.graphql" "environmentPatchCommit" Change patch_commit::ResponseData;
    VariablesSet "src/railway/documents/variables_set.graphql" "variableCollectionUpsert" Change variables_set::ResponseData;
    Deploy "src/railway/documents/deploy.graphql" "serviceInstanceDeployV2" Create deploy::ResponseData;
    DeploymentRemove "src/railway/documents/deployment_remove.graphql" "deploymentRemove" Delete deployment_remove::ResponseData;
    ProjectDelete "src/railway/documents/project_delete.graphql" "projectDelete" Delete project_delete::ResponseData;
    ServiceDelete "src/railway/documents/service_delete.graphql" "serviceDelete" Delete service_delete::ResponseData;
    VolumeDelete "src/railway/documents/volume_delete.graphql" "volumeDelete" Delete volume_delete::ResponseData;
    DomainDelete "src/railway/documents/domain_delete.graphql" "serviceDomainDelete" Delete domain_delete::ResponseData;
}

/// A project read alone: the same parts as in a listing, so that there is one mapping for both.
#[derive(Deserialize)]
pub(super) struct OneProject {
    pub(super) project: projects::HomeParts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_project_documents_select_the_same() {
        let part = |text: &str| text[text.find("fragment").unwrap()..].to_owned();
        assert_eq!(part(projects::QUERY), part(project::QUERY));
    }

    #[test]
    fn a_deployment_that_hides_its_image_is_still_read() {
        for (meta, image, digest) in [
            (
                r#"{"image": "a", "imageDigest": "sha256:1", "more": [1]}"#,
                Some("a"),
                Some("sha256:1"),
            ),
            (r#"{"repo": "x"}"#, None, None),
            (r#"{"image": {"name": "a"}}"#, None, None),
            (r#""text""#, None, None),
            ("7", None, None),
        ] {
            let read: DeploymentMeta = serde_json::from_str(meta).unwrap();
            assert_eq!(read.image.as_deref(), image, "{meta}");
            assert_eq!(read.digest.as_deref(), digest, "{meta}");
        }
    }
}
