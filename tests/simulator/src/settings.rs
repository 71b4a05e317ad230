//! Every switch of the simulated world: its key, its default, what it means.
//!
//! A fact about an outside provider that nobody has verified is a row here, so that the product can be run with it on
//! and off. A value may be given for one workspace alone (`railway.readLag@team-a`), so that many tests share a world.
//! Reading a setting never blocks on a provider; what a setting does is the business of whoever reads it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::programs::Programs;

/// A setting that does not exist, or a value that it cannot take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    #[error("unknown setting {key:?}; known settings: {}", known_keys())]
    Unknown { key: String },
    #[error("setting {key}: {problem}; known settings: {}", known_keys())]
    BadValue { key: String, problem: String },
}

fn known_keys() -> String {
    TABLE
        .iter()
        .map(|row| row.key)
        .collect::<Vec<_>>()
        .join(", ")
}

/// One row of the table, as `GET /settings?verbose=1` and the README show it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub key: &'static str,
    pub default: &'static str,
    pub meaning: &'static str,
}

trait Text: Sized {
    fn read(text: &str) -> Result<Self, String>;
    fn show(&self) -> String;
}

impl Text for Duration {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "0" => Ok(Duration::ZERO),
            _ => humantime::parse_duration(text)
                .map_err(|error| format!("{text:?} is no duration such as 200ms or 30s ({error})")),
        }
    }
    fn show(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

impl Text for u64 {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("{text:?} is no whole number"))
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

/// An amount of money.
impl Text for f64 {
    fn read(text: &str) -> Result<Self, String> {
        let amount = text.parse().ok();
        let amount = amount.filter(|amount: &f64| amount.is_finite() && *amount >= 0.0);
        amount.ok_or_else(|| format!("{text:?} is no amount such as 1.50"))
    }
    fn show(&self) -> String {
        format!("{self:.2}")
    }
}

impl Text for bool {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("{text:?} is neither true nor false"))
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Text for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn show(&self) -> String {
        self.clone()
    }
}

impl Text for Vec<String> {
    fn read(text: &str) -> Result<Self, String> {
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        Ok(items.map(str::to_owned).collect())
    }
    fn show(&self) -> String {
        self.join(",")
    }
}

/// A file, read when it is set.
impl Text for Programs {
    fn read(text: &str) -> Result<Self, String> {
        Programs::read(text)
    }
    fn show(&self) -> String {
        self.file().to_owned()
    }
}

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($variant),+ }

        impl Text for $name {
            fn read(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!("{text:?} is none of {}", [$($text),+].join(", "))),
                }
            }
            fn show(&self) -> String {
                match self { $(Self::$variant => $text.to_owned()),+ }
            }
        }
    )+};
}

choices! {
    /// How an object that is not there (yet, or any more) is refused.
    Absent { NotFound = "not-found", NotAuthorized = "not-authorized", Problem = "problem" }
    /// What reading a deleted project by its id answers.
    DeletedRead { Object = "deletedAt", NotFound = "not-found", NotAuthorized = "not-authorized" }
    /// What a second service domain for one service does.
    SecondDomain { Refuse = "refuse", Same = "same", Another = "another" }
    /// Whose clock a throttle or a rate limit runs on.
    Scope { Workspace = "workspace", Token = "token" }
    /// The wording of throttles: that of 2026-08 or the one before.
    Wording { New = "new", Old = "old" }
    /// What one request costs: one point, or one for each root field.
    Unit { Request = "request", Field = "field" }
    /// How `X-RateLimit-Reset` is written.
    ResetFormat { Epoch = "epoch", Iso = "iso", Seconds = "seconds" }
    /// A Railway plan.
    PlanName { Free = "free", Trial = "trial", Hobby = "hobby", Pro = "pro" }
    /// What a scheduled deletion does before its grace period is over.
    Scheduled { Keeps = "keeps", Stops = "stops", Hides = "hides" }
    /// What a workspace token sees in a listing that names no workspace.
    BareListing { Own = "own", Empty = "empty" }
    /// What the first request to a sleeping service gets.
    Wake { Serve = "serve", BadGateway = "502", NotFound = "404" }
    /// What status a stopped deployment shows.
    Stopped { Success = "success", Removed = "removed" }
    /// What survives a new deployment of an agent.
    MemoryKept { Volume = "volume", Always = "always", Never = "never" }
    /// What OpenRouter answers to a listing of a workspace that is not there.
    UnknownWorkspace { Refuse = "refuse", Empty = "empty" }
    /// Which of Exa's two key APIs answers.
    ExaApi { Legacy = "legacy", New = "new" }
    /// What a name is worth once the inbox that had it is deleted.
    NameReuse { Free = "free", Taken = "taken" }
    /// What deleting a phone number again answers.
    NumberGone { NotFound = "not-found", Ok = "ok" }
    /// What an idempotency key that was used before answers.
    Replay { Ok = "ok", Conflict = "conflict" }
    /// What closing a wallet with money in it does.
    FundedClose { Ok = "ok", Refuse = "refuse" }
}

macro_rules! settings {
    ($($field:ident: $kind:ty = $key:literal, $default:literal, $meaning:literal;)+) => {
        /// All settings at one moment, for one workspace.
        #[derive(Debug, Clone)]
        pub struct Settings { $(pub $field: $kind),+ }

        /// The table of settings, in the order of the README.
        pub const TABLE: &[Row] = &[$(Row { key: $key, default: $default, meaning: $meaning }),+];

        impl Settings {
            fn defaults() -> Result<Self, SettingError> {
                Ok(Self { $($field: read($key, $default)?),+ })
            }

            fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
                match key {
                    $($key => self.$field = read($key, value)?,)+
                    _ => return Err(SettingError::Unknown { key: key.to_owned() }),
                }
                Ok(())
            }

            /// Key and value of each setting, as they can be set again.
            #[must_use]
            pub fn entries(&self) -> BTreeMap<String, String> {
                BTreeMap::from([$(($key.to_owned(), self.$field.show())),+])
            }
        }
    };
}

fn read<T: Text>(key: &str, value: &str) -> Result<T, SettingError> {
    T::read(value).map_err(|problem| SettingError::BadValue {
        key: key.to_owned(),
        problem,
    })
}

settings! {
    plan: PlanName = "railway.plan", "pro", "plan of every workspace: free, trial, hobby, pro; decides the rate limits";
    requests_per_hour: u64 = "railway.requestsPerHour", "0", "requests an hour; 0 = what the plan allows";
    requests_per_second: u64 = "railway.requestsPerSecond", "0", "requests a second; 0 = what the plan allows";
    rate_scope: Scope = "railway.rateScope", "token", "whose bucket the rate limits fill: token, workspace";
    rate_unit: Unit = "railway.rateUnit", "request", "what counts: a request, or each root field in it (field)";
    reset_format: ResetFormat = "railway.resetFormat", "epoch", "X-RateLimit-Reset as epoch seconds, iso, or seconds to wait";
    edge_per_second: u64 = "railway.edgePerSecond", "10", "requests a second without a query string before the edge answers 1015; 0 = off";
    project_interval: Duration = "railway.projectInterval", "30s", "one projectCreate in this time; 0s = off";
    volume_interval: Duration = "railway.volumeInterval", "30s", "one volumeCreate in this time; 0s = off";
    throttle_scope: Scope = "railway.throttleScope", "workspace", "whose clock the two intervals run on: workspace, token";
    throttle_wording: Wording = "railway.throttleText", "new", "text of the projectCreate throttle: new, old";
    max_projects: u64 = "railway.maxProjects", "0", "living projects a workspace may have; 0 = no limit";
    read_lag: Duration = "railway.readLag", "0s", "a new object is invisible to reads and listings this long";
    volume_lag: Duration = "railway.volumeLag", "0s", "a new volume instance is invisible this long (or readLag, if that is longer)";
    write_lag: Duration = "railway.writeLag", "0s", "mutations do not find a new parent this long";
    fresh_read: Absent = "railway.freshRead", "not-authorized", "how a project still in its read lag is refused: not-authorized, not-found, problem";
    deleted_read: DeletedRead = "railway.deletedRead", "deletedAt", "reading a deleted project by id: deletedAt (the object), not-found, not-authorized";
    second_delete: Absent = "railway.secondDelete", "not-found", "a second projectDelete: not-found, not-authorized, problem";
    purge_after: Duration = "railway.purgeAfter", "48h", "how long includeDeleted still lists a deleted project";
    delete_grace: Duration = "railway.deleteGrace", "48h", "grace period of projectScheduleDelete and of deleted volumes";
    scheduled_delete: Scheduled = "railway.scheduledDelete", "keeps", "a project scheduled for deletion: keeps running, stops, or hides from listings too";
    bare_listing: BareListing = "railway.bareListing", "own", "projects without workspaceId for a workspace token: own, empty (account tokens: always empty)";
    page_size: u64 = "railway.pageSize", "50", "size of a page of projects when first is not given";
    max_page: u64 = "railway.maxPage", "100", "largest page of projects";
    second_domain: SecondDomain = "railway.secondDomain", "refuse", "a second serviceDomainCreate: refuse, same (answers the first), another";
    volume_after_deploy: bool = "railway.volumeAfterDeploy", "false", "volumeCreate works on a service that had a deployment";
    instance_update_deploys: bool = "railway.instanceUpdateDeploys", "false", "serviceInstanceUpdate that changes the image deploys";
    hide_registry_password: bool = "railway.hideRegistryPassword", "false", "config(decryptVariables: true) hides the password of registry credentials";
    apply_delay: Duration = "railway.applyDelay", "0s", "time from environmentPatchCommit until the patch is applied";
    deploy_time: Duration = "railway.deployTime", "0s", "time from a deployment's creation to SUCCESS or FAILED";
    sleep_after: Duration = "railway.sleepAfter", "10m", "a service with sleepApplication sleeps after this time without a request";
    wake: Wake = "railway.wakeAnswer", "serve", "first request to a sleeping service: serve, 502, 404; it wakes in any case";
    stopped: Stopped = "railway.stopLeaves", "success", "status after deploymentStop: success (with deploymentStopped), removed";
    revoked_tokens: Vec<String> = "railway.revokedTokens", "", "tokens that are no longer accepted (comma list)";
    bad_token_status: u64 = "railway.badTokenStatus", "200", "HTTP status of Not Authorized for a bad token: 200, 401, 403";
    down: bool = "railway.down", "false", "the API answers 503 with a text; what is deployed runs on";
    registry_user: String = "registry.user", "pull", "user name for images with a path part private";
    registry_password: String = "registry.password", "pull-secret", "password for images with a path part private";
    unknown_digest: bool = "registry.unknownDigest", "false", "digests that no tag was ever resolved to exist";
    boot_time: Duration = "agent.bootTime", "0s", "time from SUCCESS until an agent is ready";
    crash_after: Duration = "agent.crashAfter", "5s", "a crash-later agent crashes this long after it was ready";
    sleepy_after: Duration = "agent.sleepyAfter", "2s", "a sleepy agent sleeps after this time without a request, whatever sleepApplication says";
    provision_time: Duration = "agent.provisionTime", "0s", "how long an agent takes to answer a provision call";
    health_paths: Vec<String> = "agent.healthPaths", "/pool/health", "paths that answer the health contract, besides $HEALTH_PATH (comma list)";
    memory: MemoryKept = "agent.memory", "volume", "what an agent is bound to survives a new deployment: volume (if it has one), always, never";
    programs: Programs = "agent.programs", "", "file that maps images to programs of this machine, which are started in place of the imitation: {repository: {argv, cwd?, path, version?}}";
    openrouter_read_lag: Duration = "openrouter.readLag", "0s", "a new key is invisible to GET /keys and GET /keys/{hash} this long; PATCH and DELETE find it";
    openrouter_per_second: u64 = "openrouter.requestsPerSecond", "0", "requests a second of an account before 429; 0 = off";
    openrouter_page_size: u64 = "openrouter.pageSize", "100", "keys on a page of GET /keys";
    openrouter_lists_disabled: bool = "openrouter.listsDisabled", "false", "GET /keys without include_disabled lists disabled keys";
    openrouter_unknown_workspace: UnknownWorkspace = "openrouter.unknownWorkspace", "refuse", "GET /keys of a workspace that is not there: refuse (400), empty";
    openrouter_refuses_zero: bool = "openrouter.refusesZeroLimit", "false", "a limit of 0 is refused with 400";
    openrouter_credits: u64 = "openrouter.credits", "1000", "total_credits of an account, in USD";
    llm_answer: String = "llm.answer", "You said: {last}", "what a model says; {last} is the last thing that a user said";
    llm_call_cost: f64 = "llm.callCost", "0.01", "USD that each call of a model costs its key";
    llm_pause: Duration = "llm.pause", "20ms", "time between two events of a streamed answer";
    exa_api: ExaApi = "exa.api", "legacy", "legacy: a key's id is the key itself and is listed; new: publicId, and the secret once at creation";
    exa_read_lag: Duration = "exa.readLag", "0s", "a new key is invisible to both GETs this long; PUT and DELETE find it";
    exa_per_second: u64 = "exa.requestsPerSecond", "0", "requests a second of an account before 429; 0 = off";
    agentmail_client_id_reuse: NameReuse = "agentmail.clientIdReuse", "free", "the client_id of a deleted inbox: free, taken (409)";
    agentmail_username_reuse: NameReuse = "agentmail.usernameReuse", "free", "the address of a deleted inbox: free, taken (403)";
    agentmail_max_inboxes: u64 = "agentmail.maxInboxes", "0", "inboxes an organization may have; 0 = no limit";
    agentmail_domains: Vec<String> = "agentmail.domains", "", "verified domains besides agentmail.to (comma list)";
    agentmail_page_size: u64 = "agentmail.pageSize", "50", "size of a page when limit is not given";
    agentmail_per_second: u64 = "agentmail.requestsPerSecond", "0", "requests a second of an account before 429; 0 = off";
    telnyx_order_time: Duration = "telnyx.orderTime", "300ms", "time from an order to success or failure, when its numbers exist";
    telnyx_order_fails: bool = "telnyx.orderFails", "false", "new orders end in failure";
    telnyx_copies_reference: bool = "telnyx.copiesReference", "true", "a number gets the customer_reference of its order";
    telnyx_monthly_cost: f64 = "telnyx.monthlyCost", "1.00", "monthly_cost of the numbers that a search finds";
    telnyx_read_lag: Duration = "telnyx.readLag", "0s", "a new order, number or profile is invisible to everything but DELETE this long";
    telnyx_second_delete: NumberGone = "telnyx.secondDelete", "not-found", "a second DELETE of a number: not-found, ok";
    telnyx_lists_deleted: bool = "telnyx.listsDeleted", "false", "deleted numbers are still listed and read, with status deleted";
    telnyx_balance: f64 = "telnyx.balance", "100.00", "balance and available credit";
    telnyx_per_second: u64 = "telnyx.requestsPerSecond", "0", "requests a second of an account before 429; 0 = off";
    bankr_replay: Replay = "bankr.replay", "ok", "a repeated idempotencyKey: ok (200 without apiKey), conflict (409)";
    bankr_funded_close: FundedClose = "bankr.fundedClose", "ok", "closing a wallet with money in it: ok (the money is gone), refuse (409)";
    bankr_close_revokes: bool = "bankr.closeRevokes", "false", "closing a wallet revokes its keys";
    bankr_per_second: u64 = "bankr.requestsPerSecond", "0", "requests a second of an account before 429; 0 = off";
}

#[derive(Debug)]
struct Store {
    base: Arc<Settings>,
    overrides: BTreeMap<String, BTreeMap<String, String>>,
    merged: BTreeMap<String, Arc<Settings>>,
}

/// The settings of a running simulator. Clones share them.
#[derive(Debug, Clone)]
pub struct SettingsStore(Arc<RwLock<Store>>);

impl SettingsStore {
    /// # Errors
    /// An unknown key or a value that the setting cannot take.
    pub fn new(pairs: &[(String, String)]) -> Result<Self, SettingError> {
        let base = Arc::new(Settings::defaults()?);
        let store = Store {
            base,
            overrides: BTreeMap::new(),
            merged: BTreeMap::new(),
        };
        let settings = Self(Arc::new(RwLock::new(store)));
        settings.set_all(
            pairs
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        )?;
        Ok(settings)
    }

    /// Sets all of them or, where one is wrong, none.
    ///
    /// # Errors
    /// An unknown key or a value that the setting cannot take.
    pub fn set_all<'a>(
        &self,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), SettingError> {
        let mut store = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut base = (*store.base).clone();
        let mut overrides = store.overrides.clone();
        for (key, value) in pairs {
            match key.split_once('@') {
                None => base.set(key, value)?,
                Some((key, workspace)) => {
                    base.clone().set(key, value)?;
                    let of_workspace = overrides.entry(workspace.to_owned()).or_default();
                    of_workspace.insert(key.to_owned(), value.to_owned());
                }
            }
        }
        let mut merged = BTreeMap::new();
        for (workspace, pairs) in &overrides {
            let mut settings = base.clone();
            for (key, value) in pairs {
                settings.set(key, value)?;
            }
            merged.insert(workspace.clone(), Arc::new(settings));
        }
        *store = Store {
            base: Arc::new(base),
            overrides,
            merged,
        };
        Ok(())
    }

    /// The settings that hold for every workspace without its own.
    #[must_use]
    pub fn base(&self) -> Arc<Settings> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).base)
    }

    /// Whether any workspace has programs of this machine.
    pub(crate) fn has_programs(&self) -> bool {
        let store = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = store.merged.values().chain([&store.base]);
        all.any(|settings| !settings.programs.is_empty())
    }

    #[must_use]
    pub fn of(&self, workspace: &str) -> Arc<Settings> {
        let store = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(store.merged.get(workspace).unwrap_or(&store.base))
    }

    /// Everything that is set, workspaces' own values as `key@workspace`.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<String, String> {
        let store = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut entries = store.base.entries();
        for (workspace, pairs) in &store.overrides {
            let own = pairs
                .iter()
                .map(|(key, value)| (format!("{key}@{workspace}"), value.clone()));
            entries.extend(own);
        }
        entries
    }
}
