//! Conditions: their types, their reasons, and how a list of them changes.
//!
//! What holds: `lastTransitionTime` moves only when the status does, or a statement says that it is of another occurrence; every condition carries the generation that it
//! speaks of; types and reasons are declared here and nowhere else, so that alerts can rely on them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{Schema, SchemaGenerator, json_schema};

/// Declares the types, and with them the list of all that are ours.
macro_rules! ours {
    ($(#[$about:meta])* pub mod $all:ident { $($(#[$doc:meta])* pub const $name:ident: &str = $word:literal;)* }) => {
        $(#[$about])*
        pub mod $all {
            $($(#[$doc])* pub const $name: &str = $word;)*
        }

        /// Whether a type is one that this version speaks of.
        fn is_ours(kind: &str) -> bool {
            [$($word),*].contains(&kind)
        }
    };
}

ours! {
/// Types of conditions.
pub mod kind {
    /// The object does what it is for.
    pub const READY: &str = "Ready";
    /// The outside is as the spec wants it.
    pub const SYNCED: &str = "Synced";
    /// Work is under way (kstatus).
    pub const RECONCILING: &str = "Reconciling";
    /// Work cannot go on until a person changes something (kstatus).
    pub const STALLED: &str = "Stalled";
    /// Changes outside are held back on purpose.
    pub const PAUSED: &str = "Paused";
    /// The agent has its tools.
    pub const TOOLS_READY: &str = "ToolsReady";
    /// The instance's project, service, volume and domain exist.
    pub const PROJECT_READY: &str = "ProjectReady";
    /// The wanted configuration is deployed.
    pub const DEPLOYED: &str = "Deployed";
    /// The agent runs and has said that it is ready.
    pub const HEALTHY: &str = "Healthy";
    /// The instance follows its template's current revision.
    pub const TEMPLATE_SYNCED: &str = "TemplateSynced";
    /// The instance is suspended.
    pub const SUSPENDED: &str = "Suspended";
    /// Objects of an account were restored from a backup, and wait for its owner's word.
    pub const OBJECTS_RESTORED: &str = "ObjectsRestored";
    /// A rollout of the template is under way, or stopped.
    pub const PROGRESSING: &str = "Progressing";
    /// Every instance that follows the template is ready at its current revision.
    pub const ROLLED_OUT: &str = "RolledOut";
    /// The object was deleted, and something still needs it.
    pub const DELETING: &str = "Deleting";
    /// A Secret of the account was deleted, and the account still needs it.
    pub const SECRET_DELETING: &str = "SecretDeleting";
    /// Other accounts lead to the same place at the provider.
    pub const SHARED: &str = "Shared";
    /// Something of ours lives in the account that nobody claims.
    pub const ORPHANS_FOUND: &str = "OrphansFound";
    /// The sweep of the account does not go on.
    pub const SWEEP_HELD_BACK: &str = "SweepHeldBack";
}
}

/// Reasons of conditions and events.
pub mod reason {
    /// All is well.
    pub const READY: &str = "Ready";
    /// Not reached yet.
    pub const PENDING: &str = "Pending";
    /// Outside resources are being made.
    pub const CREATING: &str = "Creating";
    /// Everything outside is there.
    pub const CREATED: &str = "Created";
    /// A deployment is on its way.
    pub const DEPLOYING: &str = "Deploying";
    /// The deployment runs.
    pub const DEPLOYED: &str = "Deployed";
    /// The agent has not said yet that it is ready.
    pub const WAITING_FOR_AGENT: &str = "WaitingForAgent";
    /// The deployment never came up.
    pub const DEPLOYMENT_FAILED: &str = "DeploymentFailed";
    /// The agent's process ended.
    pub const CRASHED: &str = "Crashed";
    /// Not ready within `startupDeadline`.
    pub const STARTUP_DEADLINE_EXCEEDED: &str = "StartupDeadlineExceeded";
    /// The account is missing or does not allow this namespace: deliberately one reason for both.
    pub const ACCOUNT_NOT_AVAILABLE: &str = "AccountNotAvailable";
    /// The account exists and is not ready.
    pub const ACCOUNT_NOT_READY: &str = "AccountNotReady";
    /// The account's provider cannot be reached.
    pub const ACCOUNT_UNREACHABLE: &str = "AccountUnreachable";
    /// Much of what ledgers know in the account is gone at once.
    pub const VANISHED_TOGETHER: &str = "VanishedTogether";
    /// So much is nobody's that ledgers are more likely lost.
    pub const TOO_MANY_ORPHANS: &str = "TooManyOrphans";
    /// The provider lets us go on later.
    pub const THROTTLED: &str = "Throttled";
    /// A plan or account limit is used up.
    pub const LIMIT_REACHED: &str = "LimitReached";
    /// A tool has spent what it may.
    pub const LIMIT_SPENT: &str = "LimitSpent";
    /// More is asked for than the account's owner allows.
    pub const QUOTA_EXCEEDED: &str = "QuotaExceeded";
    /// The template does not exist.
    pub const TEMPLATE_NOT_FOUND: &str = "TemplateNotFound";
    /// The template exists and cannot be used yet.
    pub const TEMPLATE_NOT_READY: &str = "TemplateNotReady";
    /// The registry knows no such image.
    pub const IMAGE_NOT_FOUND: &str = "ImageNotFound";
    /// The registry does not let us see the image.
    pub const IMAGE_ACCESS_DENIED: &str = "ImageAccessDenied";
    /// The registry does not answer.
    pub const REGISTRY_UNREACHABLE: &str = "RegistryUnreachable";
    /// A Secret or ConfigMap that the spec refers to, or its key, does not exist.
    pub const REFERENCE_NOT_FOUND: &str = "ReferenceNotFound";
    /// A referenced value cannot be used.
    pub const VALUE_NOT_USABLE: &str = "ValueNotUsable";
    /// The provider refuses what the spec asks for.
    pub const REJECTED: &str = "Rejected";
    /// The credential is of another organisation than the one that the account is held to.
    pub const IDENTITY_CHANGED: &str = "IdentityChanged";
    /// The credential is of another organisation than `spec.expectedIdentity` says.
    pub const IDENTITY_MISMATCH: &str = "IdentityMismatch";
    /// The provider does not tell whose the credential is, and it shows nothing that a ledger knows.
    pub const IDENTITY_UNPROVEN: &str = "IdentityUnproven";
    /// The credential is missing or not good.
    pub const CREDENTIALS_DENIED: &str = "CredentialsDenied";
    /// The API server refuses what has to be written or read: a policy, a quota, a right that is missing.
    pub const REFUSED_BY_CLUSTER: &str = "RefusedByCluster";
    /// An earlier request's outcome is being looked up.
    pub const OUTCOME_UNKNOWN: &str = "OutcomeUnknown";
    /// A request failed and will be repeated.
    pub const RETRYING: &str = "Retrying";
    /// Our own mistake, or an answer that we do not understand.
    pub const UNEXPECTED: &str = "Unexpected";
    /// Something outside was changed behind our back and is being mended.
    pub const DRIFTED: &str = "Drifted";
    /// The project was deleted at the provider behind our back.
    pub const DELETED_EXTERNALLY: &str = "DeletedExternally";
    /// A tool's credential was lost with its Secret, and cannot be had again.
    pub const SECRET_LOST: &str = "SecretLost";
    /// What the status had on record was lost, and found again.
    pub const LEDGER_LOST: &str = "LedgerLost";
    /// There is more outside than there should be, and it is left alone.
    pub const SURPLUS: &str = "Surplus";
    /// A tool is asked for that cannot be had so.
    pub const NOT_ALLOWED: &str = "NotAllowed";
    /// The agent has none, and wants none.
    pub const NONE: &str = "None";
    /// Being taken back.
    pub const DELETING: &str = "Deleting";
    /// Deletion waits for `deletionProtection` to be taken off.
    pub const PROTECTED: &str = "DeletionProtected";
    /// Suspended by the spec.
    pub const SUSPENDED: &str = "Suspended";
    /// Running by the spec.
    pub const RUNNING: &str = "Running";
    /// Follows the current revision.
    pub const CURRENT: &str = "Current";
    /// Runs an older revision and waits for its turn.
    pub const OUTDATED: &str = "Outdated";
    /// Runs an older revision and its `updatePolicy` is Manual.
    pub const OUTDATED_MANUAL: &str = "OutdatedManual";
    /// The rollout stopped because updated instances do not get ready.
    pub const ROLLOUT_STOPPED: &str = "RolloutStopped";
    /// Runs an older revision; the rollout came to it, and it could not take the new one.
    pub const PASSED_OVER: &str = "PassedOver";
    /// Every instance that follows the template is ready at its current revision.
    pub const ROLLED_OUT: &str = "RolledOut";
    /// Instances are not ready for reasons of their own.
    pub const INSTANCES_NOT_READY: &str = "InstancesNotReady";
    /// The rollout goes on.
    pub const ROLLING_OUT: &str = "RollingOut";
    /// A slot was given up by annotation.
    pub const ABANDONED: &str = "Abandoned";
    /// Left behind on purpose.
    pub const RETAINED: &str = "Retained";
    /// What runs already was taken over as it is.
    pub const ADOPTED: &str = "Adopted";
    /// What `adopt` names cannot be taken over.
    pub const ADOPTION_FAILED: &str = "AdoptionFailed";
    /// The account does not list what `adopt` names: the same whether it is there, another's or nowhere.
    pub const ADOPTION_NOT_ALLOWED: &str = "AdoptionNotAllowed";
    /// What is to be left behind may not be, as the account says.
    pub const RETENTION_NOT_ALLOWED: &str = "RetentionNotAllowed";
    /// Nothing of an adopted service is deployed.
    pub const NOT_DEPLOYED: &str = "NotDeployed";
    /// Something that nobody claimed was taken back.
    pub const ORPHAN_DELETED: &str = "OrphanDeleted";
    /// Something that nobody claims could not be taken back.
    pub const ORPHAN_NOT_DELETED: &str = "OrphanNotDeleted";
    /// Something of ours lives in the account that nobody claims.
    pub const ORPHANS_FOUND: &str = "OrphansFound";
    /// What a sweep must know could not be read.
    pub const NOT_EVERYTHING_READ: &str = "NotEverythingRead";
    /// A provider lists nothing, and ledgers know of something.
    pub const LISTING_EMPTY: &str = "ListingEmpty";
    /// A provider lists far less than before.
    pub const LISTING_SHRUNK: &str = "ListingShrunk";
    /// As many were taken back as an hour allows.
    pub const HOURLY_LIMIT: &str = "HourlyLimit";
    /// Instances bear the names of others, whose resources are there still.
    pub const RESTORED: &str = "Restored";
    /// Deleted, and needed still.
    pub const IN_USE: &str = "InUse";
    /// The account is being deleted: nothing new is made in it.
    pub const ACCOUNT_DELETING: &str = "AccountDeleting";
    /// Changes outside are held back on purpose.
    pub const PAUSED: &str = "Paused";
    /// Several accounts lead to one place.
    pub const SAME_PLACE: &str = "SamePlace";
    /// The object was restored from a backup: what it had may be in use elsewhere.
    pub const RESTORED_ELSEWHERE: &str = "RestoredElsewhere";
    /// The object was restored from a backup, and as what it would go on cannot be told.
    pub const IDENTITY_UNCLEAR: &str = "IdentityUnclear";
    /// Another living object has the identity that this one states.
    pub const IDENTITY_TAKEN: &str = "IdentityTaken";
    /// A restored object goes on with what it had.
    pub const TAKEN_OVER: &str = "TakenOver";
    /// The agent is reached elsewhere than before.
    pub const ADDRESS_CHANGED: &str = "AddressChanged";
    /// This version cannot read the object.
    pub const NOT_READABLE: &str = "NotReadable";
    /// The object's ledger is of a version whose records do not say how a resource came to be the instance's.
    pub const LEDGER_UNKNOWN: &str = "LedgerUnknown";
    /// `status.expiresAt` has come.
    pub const EXPIRED: &str = "Expired";
    /// `status.expiresAt` is another.
    pub const EXPIRY_CHANGED: &str = "ExpiryChanged";
}

/// A statement about one condition, before it has a time and a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Condition type.
    pub kind: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// A stable reason.
    pub reason: &'static str,
    /// What is so, which object, why, and what to do.
    pub message: String,
    /// When it began, where that is not when the status changed: a second occurrence of what is no better.
    pub since: Option<Timestamp>,
}

impl Statement {
    /// The same, as an occurrence that began then.
    #[must_use]
    pub fn since(self, began: Timestamp) -> Statement {
        Statement {
            since: Some(began),
            ..self
        }
    }

    fn new(
        kind: &'static str,
        status: &'static str,
        reason: &'static str,
        message: String,
    ) -> Self {
        Statement {
            kind,
            status,
            reason,
            message,
            since: None,
        }
    }

    /// It is so.
    pub fn yes(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Statement {
        Statement::new(kind, "True", reason, message.into())
    }

    /// It is not so.
    pub fn no(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Statement {
        Statement::new(kind, "False", reason, message.into())
    }

    /// Nobody knows yet.
    pub fn unknown(
        kind: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Statement {
        Statement::new(kind, "Unknown", reason, message.into())
    }
}

/// Longest message that a condition takes in the Kubernetes schema.
const MESSAGE_LIMIT: usize = 1024;

/// Before the id by which a provider finds one request again, at the end of a sentence about it.
const TRACE: &str = " (traceId ";

/// A sentence about a request, with the id by which its provider finds it again.
pub fn traced(sentence: &str, id: &str) -> String {
    format!("{sentence}{TRACE}{id})")
}

/// A sentence without such ids.
fn untraced(sentence: &str) -> String {
    let mut parts = sentence.split(TRACE);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.split_once(')').map_or("", |(_, rest)| rest));
    }
    text
}

/// The message to write: the old one, where the new one tells of the same by another request. So each try writes nothing.
fn message(before: Option<&Condition>, said: &Statement) -> String {
    let new: String = said.message.chars().take(MESSAGE_LIMIT).collect();
    before
        .filter(|old| (old.status.as_str(), old.reason.as_str()) == (said.status, said.reason))
        .filter(|old| untraced(&old.message) == untraced(&new))
        .map_or(new, |old| old.message.clone())
}

/// The list that says exactly `statements`, keeping each transition time whose status is unchanged.
///
/// A statement that differs from the old condition in nothing keeps its old generation too only where the generation
/// is the same: a condition always speaks of the generation that was looked at. What others say, a newer version among
/// them, stays.
pub fn conclude(
    old: &[Condition],
    statements: &[Statement],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let theirs = old
        .iter()
        .filter(|condition| !is_ours(&condition.type_))
        .cloned();
    statements
        .iter()
        .map(|said| {
            let before = old.iter().find(|condition| condition.type_ == said.kind);
            let unchanged = before
                .filter(|condition| condition.status == said.status)
                .map(|condition| condition.last_transition_time.0);
            let since = Time(whole_seconds(said.since.or(unchanged).unwrap_or(now)));
            Condition {
                type_: said.kind.to_owned(),
                status: said.status.to_owned(),
                reason: said.reason.to_owned(),
                message: message(before, said),
                last_transition_time: since,
                observed_generation: generation,
            }
        })
        .chain(theirs)
        .collect()
}

/// The schema of a list of conditions, with the bounds that Kubernetes gives its own.
pub(super) fn list_schema(_: &mut SchemaGenerator) -> Schema {
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

/// Kubernetes keeps condition times in whole seconds; ours must compare equal after the round trip.
pub fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// The condition of that type.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether the condition of that type is True.
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests;
