//! The room `tools` against the simulated internet: real HTTP, the providers' own host names, the proxy and the authority
//! given explicitly.
//!
//! What holds here: every fault that a test asks for must have fired; no credential of an account gets into a message.
//! Deliberately absent: Kubernetes, decisions.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use simulator::{Options, Simulator};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use yardmaster::api::money::Money;
use yardmaster::api::template::LimitReset;
use yardmaster::model::slot::Part;
use yardmaster::model::tool::{Made, Named, Order, Resource, Sought, Stage, Wish};
use yardmaster::model::{Fault, Standing};
use yardmaster::tools::{
    self, AgentmailSettings, Opened, OpenrouterSettings, ProviderSettings, TelnyxSettings,
};
use yardmaster::wire::{Connection, Leave};

struct World {
    simulator: Simulator,
    control: reqwest::Client,
}

impl World {
    async fn new(settings: &[(&str, &str)]) -> World {
        static WORLDS: AtomicUsize = AtomicUsize::new(0);
        // Beside the worlds of other tests: their journals are held against the contract together.
        let number = WORLDS.fetch_add(1, Ordering::SeqCst);
        let directory = world::test_directory(&format!("tools-{number}"));
        std::fs::create_dir_all(&directory).unwrap();
        let mut options = Options::new(&directory);
        for (key, value) in settings {
            options = options.set(key, value);
        }
        World {
            simulator: Simulator::start(options).await.unwrap(),
            control: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    fn open(&self, settings: ProviderSettings, credential: &str) -> Opened {
        self.open_with(settings, credential, Leave::always())
    }

    fn open_with(&self, settings: ProviderSettings, credential: &str, leave: Leave) -> Opened {
        let authority = std::fs::read(self.simulator.ca_file()).unwrap();
        let authority = reqwest::Certificate::from_pem(&authority).unwrap();
        let http = reqwest::Client::builder()
            .proxy(reqwest::Proxy::all(self.simulator.proxy_url()).unwrap())
            .tls_certs_merge([authority])
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let clock = Arc::new(Timestamp::now);
        let connection = Connection {
            leave,
            ..Connection::of_an_onlooker(http, Duration::from_secs(5), clock)
        };
        tools::open(settings, &SecretString::from(credential), 200, connection)
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.simulator.control_url());
        let request = self.control.request(method, url).json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}");
        let text = answer.text().await.unwrap();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.call(reqwest::Method::POST, path, body).await
    }

    async fn put(&self, path: &str, body: Value) -> Value {
        self.call(reqwest::Method::PUT, path, body).await
    }

    async fn get(&self, path: &str) -> Value {
        self.call(reqwest::Method::GET, path, Value::Null).await
    }

    async fn fault(&self, provider: &str, operation: &str, effect: Value) {
        let fault = json!({ "provider": provider, "operation": operation, "effect": effect });
        self.post("/faults", fault).await;
    }

    async fn count(&self, kind: &str) -> u64 {
        let inventory = self.get("/inventory").await;
        inventory["counts"][kind].as_u64().unwrap_or(0)
    }

    async fn all_faults_fired(&self) {
        for fault in self.get("/faults").await.as_array().unwrap() {
            assert!(fault["fired"].as_u64() > Some(0), "{fault}");
        }
    }
}

const KEY: &str = "acme-5c1f2d-tool-g1";

/// What bears an order's name.
fn sought(order: &Order) -> Sought {
    Sought {
        part: order.part,
        key: order.key.clone(),
        parts: order.parts.clone(),
    }
}

fn order(part: Part, wish: Wish, parts: &[(Part, &str)]) -> Order {
    Order {
        part,
        key: KEY.into(),
        note: "Yardmaster: acme/ada, tool".into(),
        wish,
        parts: parts
            .iter()
            .map(|(part, id)| (*part, (*id).to_owned()))
            .collect(),
    }
}

fn named(part: Part, id: &str, parts: &[(Part, &str)]) -> Named {
    Named {
        part,
        id: id.into(),
        key: KEY.into(),
        seen: false,
        parts: parts
            .iter()
            .map(|(part, id)| (*part, (*id).to_owned()))
            .collect(),
    }
}

fn ids(found: &[Resource]) -> Vec<&str> {
    found.iter().map(|one| one.id.as_str()).collect()
}

fn class<T: std::fmt::Debug>(result: Result<T, Fault>) -> &'static str {
    result.unwrap_err().class()
}

fn dollars(limit_usd: u64) -> Wish {
    coming_back(limit_usd, LimitReset::Never)
}

fn coming_back(limit_usd: u64, reset: LimitReset) -> Wish {
    Wish::Openrouter {
        limit_usd: Money::dollars(limit_usd),
        reset,
        disabled: None,
    }
}

fn organisation(world: &World) -> Opened {
    let settings = OpenrouterSettings::default();
    world.open(ProviderSettings::Openrouter(settings), "sk-or-mgmt-acme_1")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_openrouter_key_is_made_found_adjusted_and_deleted() {
    let world = World::new(&[("openrouter.pageSize", "2")]).await;
    let provider = organisation(&world).provider;
    let whose = provider.identity().await.unwrap();
    assert_eq!(whose.name, "management key, default workspace");
    let workspace = whose.id.unwrap();

    let order = order(Part::Main, dollars(20), &[]);
    let Made { resource, secret } = provider.make(&order).await.unwrap();
    assert!(secret.unwrap().expose_secret().starts_with("sk-or-v1-"));
    assert_eq!(resource.settings, Some(order.wish.settings()));
    // A key tells the same workspace as the empty one did, and another organisation's another.
    let again = provider.identity().await.unwrap();
    assert_eq!(again.id.as_deref(), Some(workspace.as_str()));
    let settings = OpenrouterSettings::default();
    let other = world.open(ProviderSettings::Openrouter(settings), "sk-or-mgmt-other_1");
    let other = other.provider.identity().await.unwrap().id;
    assert!(other.is_some_and(|other| other != workspace));
    for name in ["b", "c", "d", "e"] {
        let body = json!({ "account": "acme", "name": name, "limit": 1 });
        world.post("/openrouter/keys", body).await;
    }
    let path = format!("/openrouter/keys/{}", resource.id);
    world
        .put(&path, json!({ "disabled": true, "usage": 2.5 }))
        .await;

    let found = provider.find(&sought(&order)).await.unwrap();
    assert_eq!(
        ids(&found),
        [resource.id.as_str()],
        "disabled ones are found as well"
    );
    let settings = found[0].settings.as_deref();
    assert!(settings.is_some_and(Wish::is_out_of_use), "{settings:?}");
    assert_eq!(found[0].usage.unwrap().spent_usd, Money::cents(250));
    let stock = provider.list().await.unwrap().unwrap();
    assert_eq!(stock.resources.len(), 5, "all pages");

    let named = named(Part::Main, &resource.id, &[]);
    // A limit is changed without a word of whether the key may be used; that is changed by itself, to and fro.
    let used = |used: bool| Wish::Openrouter {
        limit_usd: Money::dollars(30),
        reset: LimitReset::Never,
        disabled: Some(!used),
    };
    let disabled = "limitUSD=30 disabled";
    for (wish, told) in [
        (dollars(30), disabled),
        (used(true), "limitUSD=30"),
        (used(false), disabled),
        (used(true), "limitUSD=30"),
    ] {
        provider.adjust(&named, &wish).await.unwrap();
        let seen = provider.look(&named).await.unwrap().unwrap();
        assert_eq!(seen.settings.as_deref(), Some(told));
    }
    let seen = provider.look(&named).await.unwrap().unwrap();
    assert_eq!(seen.monthly_usd, Money::cents(2750));
    // When the limit comes back is changed in place as well, to and fro.
    for (reset, told) in [
        (LimitReset::Daily, "limitUSD=30/daily"),
        (LimitReset::Monthly, "limitUSD=30/monthly"),
        (LimitReset::Never, "limitUSD=30"),
    ] {
        provider
            .adjust(&named, &coming_back(30, reset))
            .await
            .unwrap();
        let seen = provider.look(&named).await.unwrap().unwrap();
        assert_eq!(seen.settings.as_deref(), Some(told));
    }

    provider.delete(&named, true).await.unwrap();
    assert!(provider.look(&named).await.unwrap().is_none());
    assert_eq!(class(provider.delete(&named, true).await), "Missing");
    assert!(provider.find(&sought(&order)).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_go_while_they_are_listed_hide_no_other() {
    let world = World::new(&[("openrouter.pageSize", "3")]).await;
    let provider = organisation(&world).provider;
    // The oldest key is on the last page.
    let order = order(Part::Main, dollars(20), &[]);
    let made = provider.make(&order).await.unwrap().resource;
    let mut others = Vec::new();
    for name in ["b", "c", "d"] {
        let body = json!({ "account": "acme", "name": name, "limit": 1 });
        others.push(world.post("/openrouter/keys", body).await);
    }
    // The first page was read when two keys go, and is shown afterwards.
    world
        .fault("openrouter", "GET /api/v1/keys", json!({"delay": 1.0}))
        .await;
    let go = async {
        let read = async || {
            let faults = world.get("/faults").await;
            Ok((faults[0]["fired"].as_u64() > Some(0)).then_some(()))
        };
        let soon = Duration::from_secs(10);
        world::eventually("the first page was read", soon, read)
            .await
            .unwrap();
        for other in &others[1..] {
            let path = format!(
                "/openrouter/keys/{}/delete",
                other["hash"].as_str().unwrap()
            );
            world.post(&path, Value::Null).await;
        }
    };
    let order = sought(&order);
    let (found, ()) = tokio::join!(provider.find(&order), go);
    assert_eq!(ids(&found.unwrap()), [made.id.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_in_as_many_requests_as_they_have_pages() {
    let world = World::new(&[]).await;
    let provider = organisation(&world).provider;
    let made = |name: &str| json!({ "account": "acme", "name": name, "limit": 1 });
    world.post("/openrouter/keys", made("a")).await;
    // Counts, and changes nothing.
    let count = json!({ "provider": "openrouter", "operation": "GET /api/v1/keys", "times": 0,
        "effect": {"delay": 0.001} });
    world.post("/faults", count).await;
    let requests = async || world.get("/faults").await[0]["fired"].as_u64().unwrap();
    // The first one makes sure of how long a page is.
    provider.list().await.unwrap();
    let first = requests().await;
    assert!(first > 1, "{first}");
    for name in ["b", "c"] {
        world.post("/openrouter/keys", made(name)).await;
        let before = requests().await;
        let stock = provider.list().await.unwrap().unwrap();
        assert_eq!(requests().await - before, 1);
        assert!(stock.resources.iter().any(|one| one.name == name));
    }
    // Where pages are shorter than the guide says, a search finds out.
    world
        .put("/settings", json!({ "openrouter.pageSize": "2" }))
        .await;
    let order = order(Part::Main, dollars(1), &[]);
    provider.find(&sought(&order)).await.unwrap();
    let stock = provider.list().await.unwrap().unwrap();
    assert_eq!(stock.resources.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_workspace_live_there_alone() {
    let world = World::new(&[]).await;
    let body = json!({ "account": "acme", "name": "agents" });
    let workspace = world.post("/openrouter/workspaces", body).await;
    let settings = OpenrouterSettings {
        workspace: workspace["id"].as_str().map(str::to_owned),
    };
    let inside = world.open(ProviderSettings::Openrouter(settings), "sk-or-mgmt-acme_1");
    let order = order(Part::Main, dollars(20), &[]);
    inside.provider.make(&order).await.unwrap();
    assert_eq!(
        inside.provider.find(&sought(&order)).await.unwrap().len(),
        1
    );
    let outside = organisation(&world).provider;
    assert!(outside.find(&sought(&order)).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_on_the_way_has_its_class() {
    let world = World::new(&[]).await;
    let Opened { provider, line } = organisation(&world);
    let order = order(Part::Main, dollars(20), &[]);
    for (effect, wanted, made) in [
        (json!("reset_before"), "Uncertain", 0),
        (json!("reset_after"), "Uncertain", 1),
        (json!("truncated"), "Uncertain", 2),
        (
            json!({ "status": 502, "body": "<html>", "applied": true }),
            "Uncertain",
            3,
        ),
        (
            json!({ "status": 500, "body": { "error": { "code": 500, "message": "no" } } }),
            "Uncertain",
            3,
        ),
        (
            json!({ "status": 400, "body": { "error": { "code": 400, "message": "no" } } }),
            "Rejected",
            3,
        ),
    ] {
        world
            .fault("openrouter", "POST /api/v1/keys", effect.clone())
            .await;
        assert_eq!(class(provider.make(&order).await), wanted, "{effect}");
        assert_eq!(
            provider.find(&sought(&order)).await.unwrap().len(),
            made,
            "{effect}"
        );
    }
    for (effect, wanted) in [
        (json!("reset_before"), "Transient"),
        (json!("truncated"), "Transient"),
        (json!({ "status": 404, "body": "<html>" }), "Transient"),
        (
            json!({ "status": 403, "body": { "error": { "code": 403, "message": "no" } } }),
            "Denied",
        ),
    ] {
        world
            .fault("openrouter", "GET /api/v1/keys/{hash}", effect.clone())
            .await;
        let named = named(Part::Main, &"0".repeat(64), &[]);
        assert_eq!(class(provider.look(&named).await), wanted, "{effect}");
    }
    assert!(matches!(line.standing(), Standing::Trouble { .. }));

    world
        .fault("openrouter", "GET /api/v1/keys", json!("throttled"))
        .await;
    assert_eq!(class(provider.list().await), "Throttled");
    let before = world.get("/journal").await["next"].as_u64();
    assert_eq!(
        class(provider.list().await),
        "Throttled",
        "nothing is sent meanwhile"
    );
    assert_eq!(world.get("/journal").await["next"].as_u64(), before);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(provider.list().await.is_ok());
    assert_eq!(line.standing(), Standing::Fine);

    assert!(line.replace(&SecretString::from("sk-or-mgmt-nobody")));
    let fault = provider.identity().await.unwrap_err();
    assert_eq!(fault.class(), "Denied");
    assert!(!fault.message().contains("sk-or"), "{fault}");
    assert!(line.replace(&SecretString::from("sk-or-mgmt-acme_2\n")));
    provider.identity().await.unwrap();

    let settings = ProviderSettings::Openrouter(OpenrouterSettings::default());
    let standby = Leave::only_while(|| false);
    let standby = world.open_with(settings, "sk-or-mgmt-acme_2", standby);
    assert_eq!(class(standby.provider.identity().await), "Transient");
    world.all_faults_fired().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exa_key_is_known_by_what_is_no_secret() {
    for api in ["legacy", "new"] {
        let world = World::new(&[("exa.api", api)]).await;
        let provider = world.open(ProviderSettings::Exa, "exa-svc-acme_1").provider;
        let empty = provider.identity().await.unwrap();
        assert_eq!(empty.id, None, "only a key says whose it is");
        let wish = |budget| Wish::Exa {
            rate_limit: Some(5),
            budget_usd: Some(Money::dollars(budget)),
        };
        let order = order(Part::Main, wish(29), &[]);
        let Made { resource, secret } = provider.make(&order).await.unwrap();
        let secret = secret.unwrap();
        assert!(!resource.id.contains(secret.expose_secret()), "{api}");
        assert!(provider.identity().await.unwrap().id.is_some(), "{api}");
        assert_eq!(resource.settings, Some(order.wish.settings()));

        assert_eq!(
            ids(&provider.find(&sought(&order)).await.unwrap()),
            [resource.id.as_str()]
        );
        let named = named(Part::Main, &resource.id, &[]);
        provider.adjust(&named, &wish(30)).await.unwrap();
        let seen = provider.look(&named).await.unwrap().unwrap();
        assert_eq!(seen.settings.as_deref(), Some("rateLimit=5 budgetUSD=30"));
        let odd = Wish::Exa {
            rate_limit: None,
            budget_usd: Some(Money::cents(29)),
        };
        provider.adjust(&named, &odd).await.unwrap();
        let seen = provider.look(&named).await.unwrap().unwrap();
        assert_eq!(seen.settings, Some(odd.settings()), "to the cent");
        assert_eq!(provider.list().await.unwrap().unwrap().resources.len(), 1);

        // What people take for an id may be the key itself, which answers to itself.
        let taken = Named {
            id: secret.expose_secret().to_owned(),
            ..named.clone()
        };
        let seen = provider.look(&taken).await.unwrap();
        assert!(seen.is_none(), "{api}");

        // An empty listing is no proof that a key is gone which can be looked up nowhere else.
        let listing = "GET /team-management/api-keys";
        world.fault("exa", listing, json!("empty_list")).await;
        if api == "legacy" {
            assert_eq!(class(provider.look(&named).await), "Transient");
        } else {
            assert!(provider.list().await.unwrap().unwrap().resources.is_empty());
            assert!(provider.look(&named).await.unwrap().is_some());
        }

        world
            .fault(
                "exa",
                "DELETE /team-management/api-keys/{id}",
                json!("reset_before"),
            )
            .await;
        let fault = provider.delete(&named, true).await.unwrap_err();
        assert_eq!(fault.class(), "Uncertain");
        assert!(!fault.message().contains(secret.expose_secret()), "{fault}");
        provider.delete(&named, true).await.unwrap();
        assert!(provider.look(&named).await.unwrap().is_none(), "{api}");
        assert_eq!(class(provider.delete(&named, true).await), "Missing");
        world.all_faults_fired().await;
    }
}

fn inbox(username: Option<&str>) -> Wish {
    Wish::Agentmail {
        username: username.map(str::to_owned),
        key: true,
    }
}

fn mail(world: &World, credential: &str) -> Opened {
    world.open(
        ProviderSettings::Agentmail(AgentmailSettings::default()),
        credential,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_is_made_once_and_its_key_opens_nothing_else() {
    let world = World::new(&[("agentmail.maxInboxes", "4")]).await;
    let Opened { provider, line } = mail(&world, "am_org_acme_1");
    assert!(provider.identity().await.unwrap().id.is_some());
    let main = order(Part::Main, inbox(Some("ada")), &[]);

    world
        .fault("agentmail", "POST /v0/inboxes", json!("reset_after"))
        .await;
    assert_eq!(class(provider.make(&main).await), "Uncertain");
    let made = provider.make(&main).await.unwrap();
    assert_eq!(
        world.count("agentmail/inbox").await,
        1,
        "the same again is the same"
    );
    let address = made.resource.id.as_str();
    assert_eq!(address, "ada@agentmail.to");
    assert_eq!(
        ids(&provider.find(&sought(&main)).await.unwrap()),
        [address]
    );

    let parts = [(Part::Main, address)];
    let key_order = order(Part::Key, inbox(None), &parts);
    let made = provider.make(&key_order).await.unwrap();
    let secret = made.secret.unwrap();
    let found = provider.find(&sought(&key_order)).await.unwrap();
    assert_eq!(ids(&found), [made.resource.id.as_str()]);
    let key = named(Part::Key, &made.resource.id, &parts);
    assert!(provider.look(&key).await.unwrap().is_some());

    let mut taken = main.clone();
    taken.key = "acme-000000-tool-g1".into();
    let fault = provider.make(&taken).await.unwrap_err();
    assert_eq!(fault.class(), "Rejected");
    assert!(fault.message().contains("the address is taken"), "{fault}");

    // A key of one inbox sees nothing else, and its 404 proves nothing.
    let other = named(Part::Main, "nobody@agentmail.to", &[]);
    assert!(provider.look(&other).await.unwrap().is_none());
    assert!(line.replace(&secret));
    assert_eq!(class(provider.look(&other).await), "Denied");
    assert_eq!(class(provider.delete(&other, true).await), "Denied");
    assert_eq!(class(provider.identity().await), "Denied");
    assert!(line.replace(&SecretString::from("am_org_acme_1")));

    for n in 0..3 {
        let body = json!({ "account": "acme", "username": format!("other-{n}") });
        world.post("/agentmail/inboxes", body).await;
    }
    let mut more = order(Part::Main, inbox(None), &[]);
    more.key = "acme-000000-tool-g2".into();
    assert_eq!(class(provider.make(&more).await), "Exhausted");
    assert_eq!(provider.list().await.unwrap().unwrap().resources.len(), 4);

    provider.delete(&key, true).await.unwrap();
    assert!(provider.look(&key).await.unwrap().is_none());
    assert_eq!(class(provider.delete(&key, true).await), "Missing");
    let main = named(Part::Main, address, &[]);
    provider.delete(&main, true).await.unwrap();
    assert!(provider.look(&main).await.unwrap().is_none());
    assert!(
        provider.look(&key).await.unwrap().is_none(),
        "gone with its inbox"
    );
    world.all_faults_fired().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_of_a_pod_lives_there() {
    let world = World::new(&[]).await;
    let who = mail(&world, "am_org_acme_1")
        .provider
        .identity()
        .await
        .unwrap();
    // The default pod has the organization's id (facts 2).
    let settings = AgentmailSettings {
        pod: who.id,
        domain: Some("agentmail.to".into()),
    };
    let provider = world
        .open(ProviderSettings::Agentmail(settings), "am_org_acme_1")
        .provider;
    let main = order(Part::Main, inbox(Some("ada")), &[]);
    let made = provider.make(&main).await.unwrap().resource;
    let named = named(Part::Main, &made.id, &[]);
    assert!(provider.look(&named).await.unwrap().is_some());
    assert_eq!(provider.list().await.unwrap().unwrap().resources.len(), 1);
    provider.delete(&named, true).await.unwrap();
    assert!(provider.look(&named).await.unwrap().is_none());
}

fn numbers(world: &World, profile: Option<&str>) -> Opened {
    let settings = TelnyxSettings {
        messaging_profile: profile.map(str::to_owned),
        max_monthly_usd: Money::dollars(2),
    };
    world.open(ProviderSettings::Telnyx(settings), "KEYacme_1")
}

fn number(max_monthly_usd: Option<Money>) -> Wish {
    Wish::Telnyx {
        country: "US".into(),
        area: Some("415".into()),
        max_monthly_usd,
    }
}

async fn until_ready(opened: &Opened, named: &Named) -> Resource {
    for _ in 0..100 {
        let seen = opened.provider.look(named).await.unwrap().unwrap();
        match seen.stage {
            Stage::Ready => return seen,
            Stage::Pending { .. } => tokio::time::sleep(Duration::from_millis(50)).await,
            other => unreachable!("{other:?}"),
        }
    }
    unreachable!("never ready")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_ordered_once_set_up_and_released() {
    for (copies, lists) in [("true", "true"), ("false", "false")] {
        let settings = [
            ("telnyx.copiesReference", copies),
            ("telnyx.listsDeleted", lists),
            ("telnyx.orderTime", "200ms"),
        ];
        let world = World::new(&settings).await;
        let opened = numbers(&world, None);
        let provider = &opened.provider;
        assert_eq!(provider.identity().await.unwrap().id, None);
        let profile_order = order(Part::Profile, number(None), &[]);
        let profile = provider.make(&profile_order).await.unwrap().resource;
        assert!(provider.identity().await.unwrap().id.is_some());
        assert_eq!(
            ids(&provider.find(&sought(&profile_order)).await.unwrap()),
            [profile.id.as_str()]
        );
        let parts = [(Part::Profile, profile.id.as_str())];

        let dear = order(Part::Main, number(Some(Money::cents(50))), &parts);
        let fault = provider.make(&dear).await.unwrap_err();
        assert_eq!(fault.class(), "Rejected");
        assert!(
            fault.message().contains("costs 1.00 USD a month"),
            "{fault}"
        );

        // The answer is lost: it is found, not ordered again.
        let main = order(Part::Main, number(None), &parts);
        world
            .fault("telnyx", "POST /v2/number_orders", json!("reset_after"))
            .await;
        assert_eq!(class(provider.make(&main).await), "Uncertain");
        let found = provider.find(&sought(&main)).await.unwrap();
        assert_eq!(found.len(), 1);
        assert!(matches!(found[0].stage, Stage::Pending { .. }));
        let id = found[0].id.clone();
        assert!(id.starts_with("+1415"), "{id}");

        let named = named(Part::Main, &id, &parts);
        let seen = until_ready(&opened, &named).await;
        assert_eq!(seen.address.as_deref(), Some(id.as_str()));
        let record = &world.get("/telnyx/numbers").await[0];
        assert_eq!(record["customer_reference"], KEY);
        assert_eq!(record["messaging_profile_id"], profile.id.as_str());
        assert_eq!(
            ids(&provider.find(&sought(&main)).await.unwrap()),
            [id.as_str()]
        );
        assert_eq!(provider.list().await.unwrap().unwrap().resources.len(), 2);

        provider.delete(&named, true).await.unwrap();
        assert!(provider.look(&named).await.unwrap().is_none());
        assert_eq!(class(provider.delete(&named, true).await), "Missing");
        assert!(provider.find(&sought(&main)).await.unwrap().is_empty());
        assert_eq!(world.count("telnyx/number").await, 0);

        let profile = Named {
            part: Part::Profile,
            id: profile.id,
            ..named
        };
        provider.delete(&profile, true).await.unwrap();
        assert!(provider.look(&profile).await.unwrap().is_none());
        assert_eq!(class(provider.delete(&profile, true).await), "Missing");
        world.all_faults_fired().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_order_is_cancelled_and_a_failed_one_said_so() {
    let world = World::new(&[("telnyx.orderTime", "60s")]).await;
    let opened = numbers(&world, None);
    let provider = &opened.provider;
    let profile = provider
        .make(&order(Part::Profile, number(None), &[]))
        .await
        .unwrap();
    let parts = [(Part::Profile, profile.resource.id.as_str())];
    let main = order(Part::Main, number(None), &parts);
    let made = provider.make(&main).await.unwrap().resource;
    assert!(matches!(made.stage, Stage::Pending { .. }));
    assert_eq!(made.monthly_usd, Money::dollars(1));
    let named = named(Part::Main, &made.id, &parts);
    provider.delete(&named, true).await.unwrap();
    assert_eq!(world.count("telnyx/order").await, 0);
    assert_eq!(class(provider.delete(&named, true).await), "Missing");

    world
        .put(
            "/settings",
            json!({ "telnyx.orderTime": "0s", "telnyx.orderFails": "true" }),
        )
        .await;
    let mut failing = main.clone();
    failing.key = "acme-5c1f2d-tool-g2".into();
    let made = provider.make(&failing).await.unwrap().resource;
    let failed = Named {
        id: made.id,
        key: failing.key.clone(),
        ..named
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let seen = provider.look(&failed).await.unwrap().unwrap();
    assert!(matches!(seen.stage, Stage::Failed { .. }), "{seen:?}");
    assert!(provider.find(&sought(&failing)).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_somebody_elses_stays() {
    let world = World::new(&[]).await;
    let body =
        json!({ "account": "acme", "phoneNumber": "+14155550001", "customerReference": "theirs" });
    world.post("/telnyx/numbers", body).await;
    let shared = world
        .post(
            "/telnyx/profiles",
            json!({ "account": "acme", "name": "all" }),
        )
        .await;
    let shared = shared["id"].as_str().unwrap().to_owned();
    let opened = numbers(&world, Some(&shared));
    let provider = &opened.provider;

    let profile_order = order(Part::Profile, number(None), &[]);
    let profile = provider.make(&profile_order).await.unwrap().resource;
    assert_eq!(profile.id, shared);
    assert_eq!(world.count("telnyx/messagingProfile").await, 1);
    let parts = [(Part::Profile, shared.as_str())];
    let mut theirs = named(Part::Main, "+14155550001", &parts);
    assert_eq!(
        provider.look(&theirs).await.unwrap().unwrap().name,
        "theirs"
    );
    let record = &world.get("/telnyx/numbers").await[0];
    assert_ne!(
        record["messaging_profile_id"],
        shared.as_str(),
        "only looked at"
    );
    assert_eq!(class(provider.delete(&theirs, true).await), "Rejected");

    // For this instance it is gone, for the others it stays; and so does one that is not shared any more.
    let unshared = numbers(&world, None);
    for one in [provider, &unshared.provider] {
        let profile = named(Part::Profile, &shared, &[]);
        assert!(one.look(&profile).await.unwrap().is_some());
        one.delete(&profile, true).await.unwrap();
        assert!(one.look(&profile).await.unwrap().is_none());
        let other = Named {
            key: "acme-000000-tool-g1".into(),
            ..profile
        };
        assert!(one.look(&other).await.unwrap().is_some());
    }
    assert_eq!(
        ids(&provider.find(&sought(&profile_order)).await.unwrap()),
        [shared.as_str()]
    );
    assert!(
        provider
            .look(&named(Part::Profile, &shared, &[]))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(world.count("telnyx/messagingProfile").await, 1);

    // Taken over by its number, it is ours whatever it bears.
    theirs.key = String::new();
    let seen = provider.look(&theirs).await.unwrap().unwrap();
    assert_eq!(seen.stage, Stage::Ready);
    let record = &world.get("/telnyx/numbers").await[0];
    assert_eq!(record["messaging_profile_id"], shared.as_str());
    assert_eq!(record["customer_reference"], "theirs");
    world
        .put(
            "/telnyx/numbers/+14155550001",
            json!({ "deletionLock": true }),
        )
        .await;
    assert_eq!(class(provider.delete(&theirs, true).await), "Rejected");
    world
        .put(
            "/telnyx/numbers/+14155550001",
            json!({ "deletionLock": false }),
        )
        .await;
    provider.delete(&theirs, true).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_at_bankr_is_one_and_rests() {
    let world = World::new(&[]).await;
    let opened = world.open(ProviderSettings::Bankr, "bk_ptr_acme_1");
    let provider = &opened.provider;
    // Nothing else is asked of an account in trouble: whether it is over must show in this.
    let main = order(Part::Main, Wish::Bankr, &[]);
    for _ in 0..3 {
        world
            .fault("bankr", "POST /partner/wallets", json!("reset_before"))
            .await;
        assert_eq!(class(provider.make(&main).await), "Uncertain");
    }
    assert!(matches!(opened.line.standing(), Standing::Trouble { .. }));
    provider.identity().await.unwrap();
    assert_eq!(opened.line.standing(), Standing::Fine);
    world
        .fault("bankr", "POST /partner/wallets", json!("reset_after"))
        .await;
    assert_eq!(class(provider.make(&main).await), "Uncertain");
    let made = provider.make(&main).await.unwrap();
    assert!(made.secret.is_none());
    assert!(
        made.resource
            .address
            .as_deref()
            .is_some_and(|at| at.starts_with("0x"))
    );
    let wallet = made.resource.id.as_str();
    assert_eq!(world.count("bankr/wallet").await, 1);

    let parts = [(Part::Main, wallet)];
    let key_order = order(Part::Key, Wish::Bankr, &parts);
    world
        .fault(
            "bankr",
            "POST /partner/wallets/{id}/api-keys",
            json!("reset_after"),
        )
        .await;
    assert_eq!(class(provider.make(&key_order).await), "Uncertain");
    assert!(provider.find(&sought(&key_order)).await.unwrap().is_empty());
    assert_eq!(
        world.count("bankr/key").await,
        0,
        "keys that nobody holds are revoked"
    );
    let made = provider.make(&key_order).await.unwrap();
    let secret = made.secret.unwrap();
    assert!(!made.resource.id.contains(secret.expose_secret()));
    let key = named(Part::Key, &made.resource.id, &parts);
    assert!(provider.look(&key).await.unwrap().is_some());
    assert_eq!(world.count("bankr/key").await, 1);
    provider.delete(&key, true).await.unwrap();
    assert!(provider.look(&key).await.unwrap().is_none());
    // Another process, which is told that there are no keys.
    let another = world
        .open(ProviderSettings::Bankr, "bk_ptr_acme_1")
        .provider;
    assert!(another.look(&key).await.unwrap().is_some());
    let none = json!({"status": 404, "body": {"error": "Not Found", "message": "no keys"}});
    world
        .fault("bankr", "DELETE /partner/wallets/{id}/api-keys", none)
        .await;
    assert_eq!(class(another.delete(&key, true).await), "Missing");
    assert!(another.look(&key).await.unwrap().is_none());

    let main = named(Part::Main, wallet, &[]);
    provider.delete(&main, false).await.unwrap();
    assert_eq!(
        provider.look(&main).await.unwrap().unwrap().stage,
        Stage::Resting
    );
    provider.delete(&main, false).await.unwrap();
    provider.delete(&main, true).await.unwrap();
    assert!(provider.look(&main).await.unwrap().is_none());
    assert!(provider.list().await.unwrap().is_none());
    world.all_faults_fired().await;
}
