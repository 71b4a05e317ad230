//! The contract: the kinds of group `yardmaster.dev`, their conditions, the ledger, and the names that people meet.
//!
//! What holds: every string, list and map is bounded, every list has a list type, no reference names a namespace, and
//! no field holds a URL that the controller would call. A rule that a person can break says in its message which field
//! is wrong and what to write instead. Deliberately absent: fields whose behaviour is not built, and any effect.

pub mod account;
pub mod acknowledge;
mod adopt;
pub mod claim;
pub mod condition;
pub mod deployment;
mod files;
pub mod instance;
pub mod ledger;
pub mod limits;
pub mod money;
pub mod named;
mod orphans;
pub mod persona;
pub mod pool;
mod providers;
mod runtime;
pub mod seen;
pub mod template;
pub mod text;
mod tool;
pub mod updates;
mod values;

#[cfg(test)]
mod admissible;
#[cfg(test)]
mod schema_tests;

pub use account::{ProviderAccount, ProviderAccountSpec, ProviderAccountStatus};
pub use claim::{AgentClaim, AgentClaimSpec, AgentClaimStatus, ClaimRef, InstanceRef};
pub use deployment::{DeploymentState, DeploymentStatus};
pub use instance::{AgentInstance, AgentInstanceSpec, AgentInstanceStatus};
pub use ledger::{LedgerEntry, Origin, Part, Slot, SlotState, ToolSlot, Unknown};
pub use named::NamespacedName;
pub use pool::{AgentPool, AgentPoolSpec, AgentPoolStatus};
pub use seen::{Seen, Unreadable};
pub use template::{AgentTemplate, AgentTemplateSpec, AgentTemplateStatus};

#[cfg(test)]
pub(crate) use tool::GIVEN;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// API group of every kind here.
pub const GROUP: &str = "yardmaster.dev";

/// On every object that has something outside: holds it until all of that is taken back.
pub const FINALIZER: &str = "yardmaster.dev/teardown";

/// On accounts and their credentials while an instance still needs them for its teardown.
pub const IN_USE_FINALIZER: &str = "yardmaster.dev/in-use";

/// Annotation with the name of a slot that teardown shall give up.
pub const ABANDON_ANNOTATION: &str = "yardmaster.dev/abandon";

/// Annotation on an instance or a template: where it is `true`, nothing outside is made, changed or deleted for it.
pub const PAUSED_ANNOTATION: &str = "yardmaster.dev/paused";

/// Annotation with the UID under which an object's outside resources were made, written with the finalizer: an object restored
/// from a backup has another UID, and names, markers and Secrets follow this one.
pub const IDENTITY_ANNOTATION: &str = "yardmaster.dev/identity";

/// Field manager of the controller's writes.
pub const FIELD_MANAGER: &str = "yardmaster";

/// Label on Secrets that the controller makes: the owning instance.
pub const INSTANCE_LABEL: &str = "yardmaster.dev/instance";

/// Label on the instances of a pool: its name, for `kubectl` and what scales pools. Yardmaster itself goes by `spec.poolRef`.
pub const POOL_LABEL: &str = "yardmaster.dev/pool";

/// Label on an instance that a claim has: the claim's UID, so that it is found again whatever else was lost.
pub const CLAIM_LABEL: &str = "yardmaster.dev/claim";

/// Every CRD, in the order in which they are installed.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![
        ProviderAccount::crd(),
        AgentTemplate::crd(),
        AgentInstance::crd(),
        AgentPool::crd(),
        AgentClaim::crd(),
    ]
}
