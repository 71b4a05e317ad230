//! Reasons of conditions and events: stable words, so that alerts can rely on them.

ours! {
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
/// Most of what is ours in the account stands in no ledger.
pub const LEDGERS_LOST: &str = "LedgersLost";
/// Something of ours in the account is nobody's, and younger than everything that ledgers know there.
pub const TIME_WENT_BACK: &str = "TimeWentBack";
/// The account's owner has said that it goes on with what there is.
pub const RECOVERY_ACKNOWLEDGED: &str = "RecoveryAcknowledged";
/// Less is remembered of what is in the account than was.
pub const RECOVERY_MODE: &str = "RecoveryMode";
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
/// Files cannot be laid for the template's agents: nothing is known that could lay them before their program starts.
pub const FILES_NOT_SUPPORTED: &str = "FilesNotSupported";
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
/// An agent did not get ready at its new revision in time.
pub const PROGRESS_DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";
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
/// As many agents are idle as are wanted.
pub const FILLED: &str = "Filled";
/// Fewer agents are idle than wanted; they are on their way.
pub const FILLING: &str = "Filling";
/// No agent is idle.
pub const NO_AGENT_FREE: &str = "NoAgentFree";
/// There is no such pool.
pub const POOL_NOT_FOUND: &str = "PoolNotFound";
/// A claim has an agent.
pub const BOUND: &str = "Bound";
/// The agent is being told who it is.
pub const PROVISIONING: &str = "Provisioning";
/// Somebody has to let the agent into its conversation first.
pub const ACCEPTANCE_PENDING: &str = "AcceptancePending";
/// The agent knows who it is, and has said so.
pub const PROVISIONED: &str = "Provisioned";
/// The agent refuses what the claim says.
pub const PROVISION_REFUSED: &str = "Refused";
/// The agent would not hear what its claim says by now.
pub const UPDATE_REFUSED: &str = "UpdateRefused";
/// The agent has not taken in what its claim says by now; it is told again.
pub const UNHEARD: &str = "Unheard";
/// As many agents as a claim may try could not be told.
pub const PROVISION_FAILED: &str = "ProvisionFailed";
/// An agent could not be told, and the claim takes another one.
pub const AGENT_REJECTED: &str = "AgentRejected";
/// The agent of a claim is gone.
pub const AGENT_LOST: &str = "AgentLost";
/// The claim that had the agent is gone.
pub const CLAIM_GONE: &str = "ClaimGone";
/// The agent of a claim keeps another claim.
pub const AGENT_OF_ANOTHER: &str = "AgentOfAnother";
/// A time that the spec sets has come.
pub const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
/// More agents are unhealthy at once than single failures explain.
pub const TOO_MANY_UNHEALTHY: &str = "TooManyUnhealthy";
/// The template only has a persona: no agent can be made from it.
pub const NO_RUNTIME: &str = "NoRuntime";
/// What a claim's agent is to be told cannot be put together from the persona that the claim names.
pub const PERSONA_NOT_READY: &str = "PersonaNotReady";
/// Agents of the template cannot be told who they are.
pub const HARNESS_MISMATCH: &str = "HarnessMismatch";
/// Agents of the template are told by a runner that has no volume to remember it.
pub const VOLUME_MISSING: &str = "VolumeMissing";
/// The agent's program is of a version that its harness's row was not tried with.
pub const VERSION_NOT_SUPPORTED: &str = "VersionNotSupported";
/// The template gives its agents less memory than their program needs.
pub const TOO_LITTLE_MEMORY: &str = "TooLittleMemory";
/// Agents that replace others fail as well.
pub const REPLACING_STOPPED: &str = "ReplacingStopped";
}
