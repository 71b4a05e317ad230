//! The script on the simulator of the whole-system tests: each step goes through the product's own gateway and providers, over
//! HTTP.

use super::{Stage, Way};
use crate::api::Part;
use crate::api::money::Money;
use crate::controllers::outside::{at_provider, at_railway};
use crate::engine::step::{Outcome, Step};
use crate::model::Done;
use crate::model::slot::RAILWAY;
use crate::railway::{AccountSettings, Gateway};
use crate::tools::{
    self, AgentmailSettings, OpenrouterSettings, Provider, ProviderSettings, TelnyxSettings,
};
use crate::wire::Connection;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};
use simulator::{Options, Simulator};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

pub struct Internet {
    simulator: Simulator,
    control: reqwest::Client,
    http: reqwest::Client,
    accounts: Cell<usize>,
}

/// What stands in the settings of the simulator where it leaves the choice: the way in which the laws have it.
const AS_IN_THE_LAWS: &[(&str, &str)] = &[
    ("railway.projectInterval", "0s"),
    ("railway.volumeInterval", "0s"),
    ("railway.secondDomain", "another"),
    ("railway.deletedRead", "not-found"),
    ("telnyx.orderTime", "0s"),
    ("bankr.closeRevokes", "true"),
];

impl Internet {
    pub async fn new() -> Internet {
        let directory = world::test_directory("script");
        std::fs::create_dir_all(&directory).unwrap();
        let mut options = Options::new(&directory);
        for (key, value) in AS_IN_THE_LAWS {
            options = options.set(key, value);
        }
        let simulator = Simulator::start(options).await.unwrap();
        let authority = std::fs::read(simulator.ca_file()).unwrap();
        let http = reqwest::Client::builder()
            .proxy(reqwest::Proxy::all(simulator.proxy_url()).unwrap())
            .tls_certs_merge([reqwest::Certificate::from_pem(&authority).unwrap()])
            .redirect(reqwest::redirect::Policy::none());
        Internet {
            http: http.build().unwrap(),
            control: reqwest::Client::builder().no_proxy().build().unwrap(),
            simulator,
            accounts: Cell::default(),
        }
    }

    /// An account of each kind with nothing in it, and a process that has just begun.
    pub fn account(&self) -> Account<'_> {
        let number = self.accounts.get() + 1;
        self.accounts.set(number);
        let name = format!("play{number}");
        let ahead = Arc::new(AtomicI64::new(0));
        let own = Arc::clone(&ahead);
        let clock = Arc::new(move || {
            Timestamp::now() + SignedDuration::from_millis(own.load(Ordering::SeqCst))
        });
        let connection =
            Connection::of_an_onlooker(self.http.clone(), Duration::from_secs(5), clock);
        let settings = AccountSettings {
            workspace: name.clone(),
            requests_per_hour: 10_000,
            requests_per_second: 1_000,
            project_interval: Duration::ZERO,
        };
        let token = SecretString::from(format!("ws_{name}_1"));
        let open = |settings: ProviderSettings, credential: String| {
            tools::open(settings, &credential.into(), 1_000, connection.clone()).provider
        };
        let telnyx = TelnyxSettings {
            messaging_profile: None,
            max_monthly_usd: Money::dollars(2),
        };
        let openrouter = OpenrouterSettings::default();
        let agentmail = AgentmailSettings::default();
        let providers = [
            (
                "openrouter",
                open(
                    ProviderSettings::Openrouter(openrouter),
                    format!("sk-or-mgmt-{name}_1"),
                ),
            ),
            (
                "exa",
                open(ProviderSettings::Exa, format!("exa-svc-{name}_1")),
            ),
            (
                "agentmail",
                open(
                    ProviderSettings::Agentmail(agentmail),
                    format!("am_org_{name}_1"),
                ),
            ),
            (
                "telnyx",
                open(ProviderSettings::Telnyx(telnyx), format!("KEY{name}_1")),
            ),
            (
                "bankr",
                open(ProviderSettings::Bankr, format!("bk_ptr_{name}_1")),
            ),
        ];
        Account {
            gateway: Gateway::new(settings, vec![token], connection.clone()),
            providers: providers.into(),
            internet: self,
            name,
            ahead,
        }
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.simulator.control_url());
        let answer = self
            .control
            .request(method, url)
            .json(body)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{path} {body}");
        answer.json().await.unwrap_or(Value::Null)
    }

    /// Everything that was asked of Railway.
    pub fn operations(&self) -> BTreeSet<String> {
        let journal = std::fs::read_to_string(self.simulator.journal_file()).unwrap();
        let lines = journal
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .filter(|line| line["provider"] == RAILWAY)
            .map(|line| line["operation"].as_str().unwrap().to_owned())
            .collect()
    }
}

pub struct Account<'a> {
    internet: &'a Internet,
    name: String,
    gateway: Gateway,
    providers: BTreeMap<&'static str, Arc<dyn Provider>>,
    /// Milliseconds that this process's clock is ahead of time.
    ahead: Arc<AtomicI64>,
}

/// The request of a step that goes wrong. Of several changes, what is lost is the answer to the last, and what comes to nothing is
/// the first: then the step has taken effect as a whole or not at all.
fn request(step: &Step, way: Way) -> String {
    let method = match step {
        Step::MakeTool { account, order, .. }
            if (account.as_str(), order.part) == ("bankr", Part::Key) && way != Way::Lost =>
        {
            "DELETE"
        }
        Step::MakeTool { .. } => "POST",
        Step::FindTool {
            account, sought, ..
        } if account == "bankr" => match sought.part {
            Part::Key => "DELETE",
            _ => "POST",
        },
        Step::AdjustTool { account, .. } if account == "exa" => "PUT",
        Step::AdjustTool { .. } => "PATCH",
        Step::DeleteTool { account, named, .. } if account == "bankr" => match named.part {
            Part::Key => "DELETE",
            _ => "POST",
        },
        Step::DeleteTool { .. } => "DELETE",
        Step::FindTool { .. } | Step::LookTool { .. } => "GET",
        _ => return "*".into(),
    };
    format!("{method} /**")
}

impl Account<'_> {
    async fn fault(&self, provider: &str, operation: &str, way: Way) -> Option<String> {
        let effect = match way {
            Way::Fine => return None,
            Way::Lost => "reset_after",
            Way::Vanished => "reset_before",
            Way::Throttled => "throttled",
        };
        let fault = json!({"provider": provider, "operation": operation, "workspace": self.name, "effect": effect});
        let posted = self
            .internet
            .call(reqwest::Method::POST, "/faults", &fault)
            .await;
        Some(posted["id"].as_str().unwrap().to_owned())
    }

    async fn fired(&self, fault: Option<String>) {
        let Some(id) = fault else { return };
        let all = self
            .internet
            .call(reqwest::Method::GET, "/faults", &Value::Null)
            .await;
        let own = all
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["id"] == id.as_str())
            .unwrap();
        assert_eq!(own["fired"], 1, "{own}");
    }
}

impl Stage for Account<'_> {
    async fn set(&mut self, key: &str, value: &str) {
        let body = json!({ format!("{key}@{}", self.name): value });
        self.internet
            .call(reqwest::Method::PUT, "/settings", &body)
            .await;
    }

    async fn enact(&mut self, step: &Step, way: Way) -> Outcome {
        let account = match step {
            Step::MakeTool { account, .. }
            | Step::FindTool { account, .. }
            | Step::LookTool { account, .. }
            | Step::AdjustTool { account, .. }
            | Step::DeleteTool { account, .. } => account.as_str(),
            _ => RAILWAY,
        };
        let fault = self.fault(account, &request(step, way), way).await;
        let done = match self.providers.get(account) {
            Some(provider) => at_provider(provider.as_ref(), Timestamp::now(), step).await,
            None => at_railway(&self.gateway, step).await,
        };
        self.fired(fault).await;
        done.unwrap_or_else(Outcome::Faulted)
    }

    async fn list(&mut self, account: &str) -> Done<Option<Outcome>> {
        match self.providers.get(account) {
            Some(provider) => provider
                .list()
                .await
                .map(|all| all.map(|all| Outcome::ToolsFound(all.begun, all.resources))),
            None => self
                .gateway
                .list()
                .await
                .map(|all| Some(Outcome::Searched(all))),
        }
    }

    async fn living(&mut self) -> BTreeMap<String, usize> {
        let inventory = self
            .internet
            .call(reqwest::Method::GET, "/inventory", &Value::Null)
            .await;
        let mut living = BTreeMap::new();
        for one in inventory["resources"].as_array().unwrap() {
            if one["workspace"] != self.name.as_str() {
                continue;
            }
            let text = |key: &str| one[key].as_str().unwrap();
            let kind = match (text("provider"), text("kind")) {
                ("openrouter" | "exa", "key")
                | ("agentmail", "inbox")
                | ("telnyx", "number" | "order")
                | ("bankr", "wallet") => "main",
                ("telnyx", "messagingProfile") => "profile",
                (_, kind) => kind,
            };
            *living.entry(kind.to_owned()).or_default() += 1;
        }
        living
    }

    fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_millis(self.ahead.load(Ordering::SeqCst))
    }

    async fn wait(&mut self, until: Timestamp) {
        let ahead = until.duration_since(Timestamp::now()).as_millis();
        self.ahead
            .fetch_max(i64::try_from(ahead).unwrap(), Ordering::SeqCst);
    }
}
