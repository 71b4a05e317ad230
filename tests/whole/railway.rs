//! The rooms `railway`, `registry` and `agent` against the simulated internet: real HTTP, the providers' own host names,
//! the proxy and the authority given explicitly.
//!
//! What holds here: every fault that a test asks for must have fired. Deliberately absent: Kubernetes, decisions.

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use simulator::{Options, Simulator};
use std::sync::Arc;
use std::time::Duration;
use yardmaster::agent::Agents;
use yardmaster::model::{
    Answer, Configuration, DeploymentState, Expects, Fault, Health, Home, InstallationId, Marker,
    ReadinessProbe, RegistryCredentials, Restart, Sight, Slot, Standing, Turn, Variable,
};
use yardmaster::railway::{AccountSettings, Applicant, Class, Gate, Gateway};
use yardmaster::registry::Registry;
use yardmaster::wire::Connection;

const IMAGE: &str = "ghcr.io/acme/agent:1.4";

/// Someone of the only team who asks for a turn.
fn applicant(who: &str, priority: u8, since: Timestamp) -> Applicant<'_> {
    Applicant {
        who,
        team: "team",
        priority,
        since,
    }
}

struct World {
    simulator: Simulator,
    control: reqwest::Client,
    directory: tempfile::TempDir,
}

impl World {
    async fn new(settings: &[(&str, &str)]) -> World {
        let directory = tempfile::tempdir().unwrap();
        let mut options = Options::new(directory.path());
        for (key, value) in settings {
            options = options.set(key, value);
        }
        World {
            simulator: Simulator::start(options).await.unwrap(),
            control: reqwest::Client::builder().no_proxy().build().unwrap(),
            directory,
        }
    }

    fn authority(&self) -> Vec<u8> {
        std::fs::read(self.simulator.ca_file()).unwrap()
    }

    fn client(&self) -> reqwest::ClientBuilder {
        let authority = reqwest::Certificate::from_pem(&self.authority()).unwrap();
        reqwest::Client::builder()
            .proxy(reqwest::Proxy::all(self.simulator.proxy_url()).unwrap())
            .tls_certs_merge([authority])
    }

    fn gateway(&self, tokens: &[&str], change: impl FnOnce(&mut AccountSettings)) -> Gateway {
        self.gateway_within(Duration::from_secs(10), tokens, change)
    }

    fn gateway_within(
        &self,
        timeout: Duration,
        tokens: &[&str],
        change: impl FnOnce(&mut AccountSettings),
    ) -> Gateway {
        let mut settings = AccountSettings {
            workspace: "team".into(),
            requests_per_hour: 10_000,
            requests_per_second: 200,
            project_interval: Duration::ZERO,
        };
        change(&mut settings);
        let tokens = tokens
            .iter()
            .map(|token| SecretString::from(*token))
            .collect();
        let http = self
            .client()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let clock = Arc::new(Timestamp::now);
        let connection = Connection::of_an_onlooker(http, timeout, clock);
        Gateway::new(settings, tokens, connection)
    }

    fn usual(&self) -> Gateway {
        self.gateway(&["ws_team_1"], |_| {})
    }

    async fn put(&self, path: &str, body: Value) {
        let url = format!("{}{path}", self.simulator.control_url());
        let answer = self.control.put(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}");
    }

    async fn post(&self, path: &str, body: Value) {
        let url = format!("{}{path}", self.simulator.control_url());
        let answer = self.control.post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}");
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.simulator.control_url());
        self.control
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    async fn fault(&self, operation: &str, effect: Value) {
        let fault = json!({ "provider": "railway", "operation": operation, "nth": 1, "times": 1, "effect": effect });
        self.post("/faults", fault).await;
    }

    /// Requests to Railway so far.
    fn requests(&self) -> usize {
        std::fs::read_to_string(self.simulator.journal_file())
            .unwrap()
            .lines()
            .filter(|line| line.contains("\"railway\""))
            .count()
    }

    async fn living_projects(&self) -> usize {
        let inventory = self.get("/inventory").await;
        let text = inventory.to_string();
        text.matches("\"kind\":\"project\"").count()
    }

    async fn all_faults_fired(&self) {
        for fault in self.get("/faults").await.as_array().unwrap() {
            assert!(fault["fired"].as_u64() > Some(0), "{fault}");
        }
    }
}

fn marker(uid: &str) -> Marker {
    Marker {
        installation: InstallationId("i-1".into()),
        namespace: "team-a".into(),
        name: "ada".into(),
        uid: uid.into(),
        slot: Slot::Project,
    }
}

fn configuration(image: String) -> Configuration {
    let variable = |name: &str, value: &str| Variable {
        name: name.into(),
        value: value.into(),
    };
    Configuration {
        image,
        start_command: Some("node run.js".into()),
        region: Some("europe-west4-drams3a".into()),
        cpu: Some(2.0),
        memory_bytes: Some(4 << 30),
        restart: Restart::OnFailure(10),
        sleep_when_idle: false,
        registry: Some(RegistryCredentials {
            username: "pull".into(),
            password: "pull-secret".into(),
        }),
        volume_mount: Some("/data".into()),
        volume_megabytes: Some(60_000),
        variables: vec![
            variable("GATEWAY_TOKEN", "canary-gateway"),
            variable("OLD", "1"),
        ],
    }
}

/// A project with a service.
async fn home(gateway: &Gateway, uid: &str) -> (String, String, String) {
    let marker = marker(uid);
    let made = gateway
        .create_project(&marker.outside_name(), &marker)
        .await
        .unwrap();
    let environment = made.environment.unwrap();
    let service = gateway
        .create_service(&made.project, &environment, "agent")
        .await
        .unwrap();
    (made.project, environment, service)
}

async fn seen(gateway: &Gateway, project: &str) -> Home {
    match gateway.look(project, Class::User).await.unwrap() {
        Sight::Seen(home) => home,
        other => unreachable!("{other:?}"),
    }
}

fn class<T: std::fmt::Debug>(result: Result<T, Fault>) -> &'static str {
    result.unwrap_err().class()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_comes_up_changes_and_goes_away() {
    let world = World::new(&[
        ("railway.projectInterval", "0"),
        ("railway.volumeInterval", "0"),
    ])
    .await;
    let gateway = world.usual();

    let identity = gateway.identity().await.unwrap();
    assert_eq!(identity.workspace, "team");
    assert_eq!(
        (identity.tokens, identity.refused_tokens, identity.projects),
        (1, 0, 0)
    );
    assert_eq!(
        gateway.turn(Gate::Projects, applicant("ada", 2, Timestamp::now())),
        Turn::Now
    );

    let registry = world.registry(Duration::from_secs(5));
    let digest = registry.digest(IMAGE, None).await.unwrap();

    let before = world.requests();
    let (project, environment, service) = home(&gateway, "u1").await;
    let volume = gateway
        .create_volume(&project, &environment, &service, "/data")
        .await
        .unwrap();
    let domain = gateway
        .create_domain(&environment, &service, Some(8080))
        .await
        .unwrap();
    let image = format!("ghcr.io/acme/agent@{digest}");
    let wanted = configuration(image.clone());
    gateway
        .configure(&environment, &service, Some(&volume), &wanted, &[])
        .await
        .unwrap();
    assert_eq!(world.requests() - before, 5, "an agent with a volume");

    let first = seen(&gateway, &project).await;
    assert_eq!(first.marker, Some(marker("u1")));
    assert_eq!(first.environment.as_ref(), Some(&environment));
    assert_eq!(first.services.len(), 1);
    assert_eq!(first.services[0].name, "agent");
    assert_eq!(first.volumes[0].id, volume);
    assert_eq!(first.volumes[0].mount_path.as_deref(), Some("/data"));
    assert_eq!(first.domains[0], domain);
    assert_eq!(first.deployments[0].state, DeploymentState::Running);
    assert_eq!(first.deployments[0].image.as_ref(), Some(&image));
    let listing = gateway.list().await.unwrap();
    assert_eq!(listing.homes.len(), 1);
    assert_eq!(listing.homes[0].deployments, first.deployments);

    let agents = Agents::new(|| world.client(), Duration::from_secs(5)).unwrap();
    let token = SecretString::from("canary-gateway");
    let readiness = ReadinessProbe::asking("/pool/health", Expects::default());
    let health = agents.health(&domain.host, &readiness, &token).await;
    assert!(
        matches!(health, Health::Ready { version: Some(_) }),
        "{health:?}"
    );
    let health = agents
        .health("nobody.up.railway.app", &readiness, &token)
        .await;
    assert_eq!(health, Health::NotReady(Answer::NotRunning));

    // The same again changes nothing.
    let drift = gateway
        .drift(&environment, &service, &wanted)
        .await
        .unwrap();
    assert_eq!(drift, [""; 0]);
    gateway
        .configure(&environment, &service, Some(&volume), &wanted, &[])
        .await
        .unwrap();
    let same = seen(&gateway, &project).await;
    assert_eq!(same.deployments, first.deployments);
    assert_eq!(same.configuration_tag, first.configuration_tag);

    // By hand.
    let path = format!("/railway/services/{service}/variables/GATEWAY_TOKEN");
    world.put(&path, json!({ "value": "eve" })).await;
    world
        .put(
            &format!("/railway/services/{service}/config"),
            json!({ "patch": { "deploy": { "startCommand": "sh" }, "variables": { "THEIRS": { "value": "x" } } }, "deploys": false }),
        )
        .await;
    let drift = gateway
        .drift(&environment, &service, &wanted)
        .await
        .unwrap();
    assert_eq!(drift, ["startCommand", "variable GATEWAY_TOKEN"]);

    // Another wish: something gone, something new.
    let mut changed = configuration(image);
    changed.start_command = None;
    changed.cpu = None;
    changed.memory_bytes = None;
    changed.registry = None;
    changed.region = Some("us-west2".into());
    changed.restart = Restart::Never;
    changed.variables.pop();
    gateway
        .configure(
            &environment,
            &service,
            Some(&volume),
            &changed,
            &["OLD".into()],
        )
        .await
        .unwrap();
    let drift = gateway
        .drift(&environment, &service, &changed)
        .await
        .unwrap();
    assert_eq!(drift, [""; 0]);
    let drift = gateway
        .drift(&environment, &service, &wanted)
        .await
        .unwrap();
    assert_eq!(
        drift,
        [
            "startCommand",
            "region",
            "cpu",
            "memory",
            "restartPolicy",
            "variable OLD"
        ]
    );
    let after = seen(&gateway, &project).await;
    assert_ne!(after.deployments[0].id, first.deployments[0].id);
    assert_ne!(after.configuration_tag, first.configuration_tag);

    let deployment = gateway.deploy(&environment, &service).await.unwrap();
    let after = seen(&gateway, &project).await;
    assert_eq!(after.deployments[0].id, deployment);
    gateway.stop(&deployment).await.unwrap();
    let after = seen(&gateway, &project).await;
    assert!(
        after
            .deployments
            .iter()
            .all(|deployment| deployment.state == DeploymentState::Removed),
        "{after:?}"
    );

    gateway.delete_domain(&domain.id).await.unwrap();
    gateway.delete_volume(&volume).await.unwrap();
    gateway.delete_service(&service).await.unwrap();
    let bare = seen(&gateway, &project).await;
    assert!(
        bare.services.is_empty() && bare.domains.is_empty() && bare.volumes.is_empty(),
        "{bare:?}"
    );

    gateway.delete_project(&project).await.unwrap();
    let sight = gateway.look(&project, Class::StopBilling).await.unwrap();
    assert!(sight.seen().is_none_or(|home| home.deleted), "{sight:?}");
    assert!(gateway.list().await.unwrap().homes.is_empty());
    let again = gateway.delete_project(&project).await.unwrap_err();
    assert!(
        matches!(again, Fault::Missing { .. } | Fault::Uncertain { .. }),
        "{again}"
    );
    assert_eq!(world.living_projects().await, 0);
    assert_eq!(gateway.standing(), Standing::Fine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_project_is_gone_however_railway_says_it() {
    for (read, second, sight, fault) in [
        ("not-found", "not-found", "Absent", "Missing"),
        ("not-authorized", "not-authorized", "Denied", "Uncertain"),
        ("deletedAt", "problem", "deleted", "Uncertain"),
    ] {
        let world = World::new(&[
            ("railway.projectInterval", "0"),
            ("railway.deletedRead", read),
            ("railway.secondDelete", second),
        ])
        .await;
        let gateway = world.usual();
        let (project, ..) = home(&gateway, "u1").await;
        gateway.delete_project(&project).await.unwrap();
        let found = match gateway.look(&project, Class::User).await {
            Ok(Sight::Absent { .. }) => "Absent",
            Ok(Sight::Seen(home)) if home.deleted => "deleted",
            Ok(_) => "?",
            Err(fault) => fault.class(),
        };
        assert_eq!(found, sight);
        assert_eq!(class(gateway.delete_project(&project).await), fault);
        assert!(gateway.list().await.unwrap().homes.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_uncertain_and_found_by_its_marker() {
    let world = World::new(&[("railway.projectInterval", "0")]).await;
    let gateway = world.usual();
    for (number, (effect, class_of_fault, landed)) in [
        (json!("reset_after"), "Uncertain", true),
        (json!("reset_before"), "Uncertain", false),
        (json!("truncated"), "Uncertain", true),
        (
            json!({ "status": 504, "body": "upstream connect error" }),
            "Uncertain",
            false,
        ),
        (
            json!({ "graphql_error": { "message": "Problem processing request" } }),
            "Uncertain",
            false,
        ),
        (
            json!({ "graphql_error": { "message": "Your workspace has been restricted" } }),
            "Exhausted",
            false,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        world.fault("projectCreate", effect.clone()).await;
        let marker = marker(&format!("u{number}"));
        let made = gateway
            .create_project(&marker.outside_name(), &marker)
            .await;
        assert_eq!(class(made), class_of_fault, "{effect}");
        let listing = gateway.list().await.unwrap();
        let found = listing
            .homes
            .iter()
            .any(|home| home.marker.as_ref() == Some(&marker));
        assert_eq!(found, landed, "{effect}");
    }
    world.all_faults_fired().await;

    world.fault("serviceCreate", json!({ "late": 0.3 })).await;
    let impatient = world.gateway_within(Duration::from_millis(150), &["ws_team_1"], |_| {});
    let listing = gateway.list().await.unwrap();
    let home = &listing.homes[0];
    let environment = home.environment.as_ref().unwrap();
    let lost = impatient
        .create_service(&home.id, environment, "agent")
        .await;
    assert_eq!(class(lost), "Uncertain");
    tokio::time::sleep(Duration::from_millis(600)).await;
    let again = gateway.create_service(&home.id, environment, "agent").await;
    assert_eq!(class(again), "Uncertain", "its name is taken: look");
    let services = seen(&gateway, &home.id).await.services;
    assert_eq!(services.len(), 1);
    world.all_faults_fired().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listens_nothing_was_sent() {
    let world = World::new(&[]).await;
    let gateway = world.usual();
    world.simulator.stop().await;
    for _ in 0..3 {
        let marker = marker("u1");
        let made = gateway
            .create_project(&marker.outside_name(), &marker)
            .await;
        assert_eq!(class(made), "Transient");
    }
    assert!(matches!(gateway.standing(), Standing::Trouble { .. }));
    drop(world.directory);
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_keep_within_railways_window() {
    let interval = ("railway.projectInterval", "1s");
    let world = World::new(&[interval]).await;
    let gateway = world.gateway(&["ws_team_1"], |settings| {
        settings.project_interval = Duration::from_secs(1);
    });
    let begun = Timestamp::now();
    let mut waiting: Vec<usize> = (0..4).collect();
    let mut served = Vec::new();
    while !waiting.is_empty() {
        let mut soonest = Timestamp::MAX;
        let mut next = Vec::new();
        for who in waiting {
            let since = Timestamp::from_second(i64::try_from(who).unwrap()).unwrap();
            match gateway.turn(Gate::Projects, applicant(&format!("w{who}"), 2, since)) {
                Turn::Now => {
                    let marker = marker(&format!("u{who}"));
                    match gateway
                        .create_project(&marker.outside_name(), &marker)
                        .await
                    {
                        Ok(_) => served.push(who),
                        // A slow machine: the request before took longer to arrive than this one.
                        Err(Fault::Throttled { until, .. }) => {
                            soonest = soonest.min(until);
                            next.push(who);
                        }
                        Err(fault) => unreachable!("{fault}"),
                    }
                }
                Turn::At { when, .. } => {
                    soonest = soonest.min(when);
                    next.push(who);
                }
            }
        }
        waiting = next;
        if !waiting.is_empty() {
            let wait = soonest.duration_since(Timestamp::now());
            tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
        }
    }
    assert_eq!(served, [0, 1, 2, 3]);
    let took = Timestamp::now().duration_since(begun).as_millis();
    assert!((3000..5000).contains(&took), "{took} ms");
    let sent = world.requests();
    assert!((4..7).contains(&sent), "{sent}");

    // Whoever does not wait for its turn is not even sent.
    let marker = marker("u9");
    let early = gateway
        .create_project(&marker.outside_name(), &marker)
        .await;
    assert_eq!(class(early), "Throttled");
    assert_eq!(world.requests(), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn railways_own_throttle_creates_nothing_and_sets_the_window() {
    for wording in ["new", "old"] {
        let world = World::new(&[
            ("railway.projectInterval", "2s"),
            ("railway.volumeInterval", "2s"),
            ("railway.throttleText", wording),
        ])
        .await;
        let other = world.usual();
        let (project, environment, service) = home(&other, "u0").await;
        other
            .create_volume(&project, &environment, &service, "/data")
            .await
            .unwrap();

        let gateway = world.gateway(&["ws_team_2"], |settings| {
            settings.project_interval = Duration::from_secs(2);
        });
        let mine = marker("u1");
        let refused = gateway
            .create_project(&mine.outside_name(), &mine)
            .await
            .unwrap_err();
        assert_eq!(refused.class(), "Throttled", "{refused}");
        assert_eq!(world.living_projects().await, 1);
        let turn = gateway.turn(Gate::Projects, applicant("w", 0, Timestamp::now()));
        assert!(matches!(turn, Turn::At { ahead: 0, .. }), "{turn:?}");
        let volume = gateway
            .create_volume(&project, &environment, &service, "/more")
            .await;
        assert_eq!(class(volume), "Throttled");
        assert!(matches!(
            gateway.turn(Gate::Volumes, applicant("w", 0, Timestamp::now())),
            Turn::At { .. }
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_tokens_multiply_the_rate_where_the_throttle_is_theirs() {
    for (scope, at_once) in [("token", 2), ("workspace", 1)] {
        let world = World::new(&[
            ("railway.projectInterval", "5s"),
            ("railway.throttleScope", scope),
        ])
        .await;
        let gateway = world.gateway(&["ws_team_1", "ws_team_2"], |settings| {
            settings.project_interval = Duration::from_secs(5);
        });
        let mut made = 0;
        for number in 0..3 {
            let marker = marker(&format!("u{number}"));
            let result = gateway
                .create_project(&marker.outside_name(), &marker)
                .await;
            made += usize::from(result.is_ok());
            assert!(
                matches!(result, Ok(_) | Err(Fault::Throttled { .. })),
                "{result:?}"
            );
        }
        assert_eq!(made, at_once, "{scope}");
        assert_eq!(
            world.requests(),
            2,
            "{scope}: the second token is tried once, then it is known"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_hour_sends_nothing() {
    for format in ["epoch", "iso", "seconds"] {
        let world = World::new(&[
            ("railway.requestsPerHour", "4"),
            ("railway.resetFormat", format),
        ])
        .await;
        let gateway = world.usual();
        for _ in 0..4 {
            gateway.list().await.unwrap();
        }
        let budget = gateway.budget();
        assert_eq!((budget.limit, budget.remaining), (4, 0), "{format}");
        let resets = budget
            .resets_at
            .unwrap()
            .duration_since(Timestamp::now())
            .as_secs();
        assert!((3590..=3601).contains(&resets), "{format}: {resets}");
        assert_eq!(class(gateway.list().await), "Throttled");
        assert_eq!(class(gateway.stop("d").await), "Throttled");
        assert_eq!(world.requests(), 4, "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_stop_the_account() {
    let world = World::new(&[]).await;
    let gateway = world.usual();
    let headers = json!({ "Retry-After": "1" });
    world
        .fault(
            "*",
            json!({ "status": 429, "body": "error code: 1015", "headers": headers }),
        )
        .await;
    assert_eq!(class(gateway.list().await), "Throttled");
    let sent = world.requests();
    assert_eq!(class(gateway.stop("d").await), "Throttled");
    assert_eq!(world.requests(), sent);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    gateway.list().await.unwrap();
    world.all_faults_fired().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_told_apart_and_replaced() {
    let world = World::new(&[("railway.revokedTokens", "ws_team_bad")]).await;
    let mixed = world.gateway(&["ws_team_bad", " ws_team_good\n"], |_| {});
    let identity = mixed.identity().await.unwrap();
    assert_eq!((identity.tokens, identity.refused_tokens), (1, 1));
    mixed.list().await.unwrap();

    let bad = world.gateway(&["ws_team_bad"], |_| {});
    assert_eq!(class(bad.identity().await), "Denied");
    let sent = world.requests();
    assert_eq!(class(bad.list().await), "Denied");
    assert_eq!(
        world.requests(),
        sent,
        "a token that is known to be refused is not used"
    );
    bad.replace_tokens(vec!["ws_team_good".into()]);
    bad.list().await.unwrap();

    let elsewhere = world.gateway(&["ws_other_1"], |_| {});
    let denied = elsewhere.identity().await.unwrap_err();
    assert_eq!(denied.class(), "Denied");
    assert!(denied.message().contains("not for"), "{denied}");
    world
        .put("/settings", json!({ "railway.revokedTokens": "" }))
        .await;
    let account = world.gateway(&["acct_me_other+team_1"], |_| {});
    assert_eq!(account.identity().await.unwrap().workspace, "team");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_all_or_nothing() {
    let world = World::new(&[("railway.projectInterval", "0"), ("railway.maxPage", "2")]).await;
    let gateway = world.usual();
    for number in 0..5 {
        let marker = marker(&format!("u{number}"));
        gateway
            .create_project(&marker.outside_name(), &marker)
            .await
            .unwrap();
    }
    let before = world.requests();
    let listing = gateway.list().await.unwrap();
    assert_eq!(listing.homes.len(), 5);
    assert_eq!(world.requests() - before, 3);

    for effect in [json!("truncated"), json!("reset_after")] {
        world.fault("projects", effect.clone()).await;
        assert_eq!(class(gateway.list().await), "Transient", "{effect}");
    }
    world.fault("projects", json!("empty_list")).await;
    assert!(gateway.list().await.unwrap().homes.is_empty());
    assert_eq!(
        gateway.living_projects().await.unwrap(),
        5,
        "the second opinion"
    );
    world.all_faults_fired().await;

    gateway.delete_project(&listing.homes[0].id).await.unwrap();
    assert_eq!(gateway.list().await.unwrap().homes.len(), 4);
    assert_eq!(gateway.living_projects().await.unwrap(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_projects_have_cost_is_all_or_nothing_and_to_the_cent() {
    let world = World::new(&[("railway.projectInterval", "0"), ("railway.maxPage", "2")]).await;
    let gateway = world.usual();
    let mut projects = Vec::new();
    for number in 0..5 {
        let marker = marker(&format!("u{number}"));
        let name = marker.outside_name();
        let made = gateway.create_project(&name, &marker).await.unwrap();
        let environment = made.environment.unwrap();
        let service = gateway.create_service(&made.project, &environment, &name);
        service.await.unwrap();
        let path = format!("/railway/projects/{}/usage", made.project);
        // 1.389 and 0.01 US dollars of each, and in one of them what we do not ask for.
        let used = json!([
            ["CPU_USAGE", 3000],
            ["MEMORY_USAGE_GB", 43.3],
            ["BACKUP_USAGE_GB", 1000]
        ]);
        world.put(&path, used).await;
        projects.push(made.project);
    }
    let month = Timestamp::now() - jiff::SignedDuration::from_hours(1);
    let before = world.requests();
    let costs = gateway.costs(month).await.unwrap();
    assert_eq!(world.requests() - before, 3);
    assert_eq!(costs.len(), 5);
    for project in &projects {
        assert_eq!(costs[project].in_cents(), 140);
    }
    for effect in [json!("truncated"), json!("reset_after")] {
        world.fault("projectServiceUsage", effect.clone()).await;
        assert_eq!(class(gateway.costs(month).await), "Transient", "{effect}");
    }
    world.all_faults_fired().await;
    gateway.delete_project(&projects[0]).await.unwrap();
    assert_eq!(gateway.costs(month).await.unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_just_made_is_not_missing() {
    for absent in ["not-authorized", "not-found"] {
        let world = World::new(&[
            ("railway.projectInterval", "0"),
            ("railway.readLag", "500ms"),
            ("railway.writeLag", "300ms"),
            ("railway.freshRead", absent),
        ])
        .await;
        let gateway = world.usual();
        let marker = marker("u1");
        let made = gateway
            .create_project(&marker.outside_name(), &marker)
            .await
            .unwrap();
        let sight = gateway.look(&made.project, Class::User).await.unwrap();
        assert_eq!(sight, Sight::Unknown, "{absent}");
        let environment = made.environment.unwrap();
        let early = gateway
            .create_service(&made.project, &environment, "agent")
            .await;
        assert_eq!(class(early), "Transient", "{absent}");
        tokio::time::sleep(Duration::from_millis(600)).await;
        gateway
            .create_service(&made.project, &environment, "agent")
            .await
            .unwrap();
        assert_eq!(seen(&gateway, &made.project).await.marker, Some(marker));
    }
}

impl World {
    fn registry(&self, timeout: Duration) -> Registry {
        let http = self
            .client()
            .redirect(reqwest::redirect::Policy::none())
            .https_only(true)
            .build()
            .unwrap();
        Registry::new(http, timeout, Vec::new())
    }

    async fn registry_fault(&self, operation: &str, effect: Value) {
        let fault =
            json!({"provider": "ghcr", "operation": operation, "times": 0, "effect": effect});
        self.post("/faults", fault).await;
    }

    /// Hosts that were asked for anything, and whether with credentials.
    fn registry_exchanges(&self) -> usize {
        let journal = std::fs::read_to_string(self.simulator.journal_file()).unwrap();
        journal
            .lines()
            .filter(|line| line.contains("\"ghcr\""))
            .count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_says_which_digest_and_why_not() {
    let world = World::new(&[]).await;
    let registry = world.registry(Duration::from_secs(5));
    let digest = registry.digest(IMAGE, None).await.unwrap();
    assert!(digest.starts_with("sha256:"));
    assert_eq!(registry.digest(IMAGE, None).await.unwrap(), digest);
    assert_eq!(
        class(registry.digest("ghcr.io/acme/agent:missing", None).await),
        "Rejected"
    );
    assert_eq!(
        class(registry.digest("ghcr.io/acme/private:1", None).await),
        "Denied"
    );
    let credentials = |password: &str| RegistryCredentials {
        username: "pull".into(),
        password: password.into(),
    };
    let wrong = credentials("canary-wrong");
    let denied = registry
        .digest("ghcr.io/acme/private:1", Some(&wrong))
        .await
        .unwrap_err();
    assert_eq!(denied.class(), "Denied");
    assert!(!denied.message().contains("canary"), "{denied}");
    let right = credentials("pull-secret");
    registry
        .digest("ghcr.io/acme/private:1", Some(&right))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_does_not_say_the_digest_is_asked_for_the_manifest() {
    // Its head says nothing, nonsense, or that it knows no such question; then the digest is computed here.
    for (status, headers) in [
        (200, json!({})),
        (200, json!({"docker-content-digest": "sha256:x"})),
        (405, json!({})),
    ] {
        let world = World::new(&[]).await;
        let registry = world.registry(Duration::from_secs(5));
        let digest = registry.digest(IMAGE, None).await.unwrap();
        let effect = json!({"status": status, "headers": headers});
        world.registry_fault("HEAD /v2/**", effect).await;
        let told = registry.digest(IMAGE, None).await;
        assert_eq!(told.unwrap(), digest, "{status} {headers}");
        world.all_faults_fired().await;
    }
    // One that says another digest than its manifest has is not believed.
    let world = World::new(&[]).await;
    let registry = world.registry(Duration::from_secs(5));
    let other = format!("sha256:{}", "a".repeat(64));
    world
        .registry_fault("HEAD /v2/**", json!({"status": 200}))
        .await;
    let lie = json!({"status": 200, "body": {"schemaVersion": 2}, "headers": {"docker-content-digest": other}});
    world.registry_fault("GET /v2/**", lie).await;
    assert_eq!(class(registry.digest(IMAGE, None).await), "Transient");
    world.all_faults_fired().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registrys_answer_without_end_is_not_read_to_its_end() {
    for operation in ["GET /v2/**", "GET /token"] {
        let world = World::new(&[]).await;
        // So long that only the limit can end it.
        let registry = world.registry(Duration::from_secs(600));
        if operation.contains("/v2/") {
            let silent = json!({"status": 200});
            world.registry_fault("HEAD /v2/**", silent).await;
        }
        world.registry_fault(operation, json!("endless")).await;
        let asked = registry.digest(IMAGE, None);
        let told = tokio::time::timeout(Duration::from_secs(30), asked).await;
        assert_eq!(class(told.unwrap()), "Transient", "{operation}");
        world.all_faults_fired().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_followed_out_of_a_registrys_domain_nor_told_what_listens_there() {
    let inside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let address = inside.local_addr().unwrap();
    let challenge = |realm: &str| {
        let header = format!("Bearer realm=\"{realm}\",service=\"ghcr.io\"");
        json!({"status": 401, "headers": {"www-authenticate": header}})
    };
    let to = |location: &str| json!({"status": 307, "headers": {"location": location}});
    for effect in [
        challenge(&format!("http://{address}/token")),
        challenge(&format!("https://{address}/token")),
        challenge("https://openrouter.ai/token"),
        challenge("https://ghcr.io:6443/token"),
        to(&format!("http://{address}/v2/")),
        to(&format!("https://{address}/v2/")),
        to("https://openrouter.ai/v2/acme/agent/manifests/1.4"),
        to("http://ghcr.io/v2/acme/agent/manifests/1.4"),
    ] {
        let world = World::new(&[]).await;
        let registry = world.registry(Duration::from_secs(5));
        world.registry_fault("HEAD /v2/**", effect.clone()).await;
        let credentials = RegistryCredentials {
            username: "pull".into(),
            password: "pull-secret".into(),
        };
        let told = registry.digest(IMAGE, Some(&credentials)).await;
        let fault = told.unwrap_err();
        assert_eq!(fault.class(), "Rejected", "{effect}: {fault}");
        assert!(fault.message().contains("another domain"), "{fault}");
        assert_eq!(world.registry_exchanges(), 1, "{effect}");
        let journal = std::fs::read_to_string(world.simulator.journal_file()).unwrap();
        assert!(!journal.contains("\"openrouter\""), "{effect}: {journal}");
        world.all_faults_fired().await;
    }
    let asked = inside.accept().map(|_| ()).unwrap_err();
    assert_eq!(asked.kind(), std::io::ErrorKind::WouldBlock);

    // Within its own domain it may send us on.
    let world = World::new(&[]).await;
    let registry = world.registry(Duration::from_secs(5));
    let digest = registry.digest(IMAGE, None).await.unwrap();
    let on = to("/v2/acme/agent/manifests/1.4");
    let fault = json!({"provider": "ghcr", "operation": "HEAD /v2/**", "times": 1, "effect": on});
    world.post("/faults", fault).await;
    assert_eq!(registry.digest(IMAGE, None).await.unwrap(), digest);
    world.all_faults_fired().await;

    // Nothing there, a connection that breaks, no answer in time, and an answer that is none: one sentence.
    let mut sentences = std::collections::BTreeSet::new();
    let closed = registry
        .digest("registry.example/acme/agent:1.4", None)
        .await;
    let closed = closed.unwrap_err().message().to_owned();
    sentences.insert(closed.replace("registry.example", "ghcr.io"));
    for effect in [
        json!("reset_before"),
        json!({"delay": 2}),
        json!({"status": 200, "body": "hello"}),
    ] {
        let world = World::new(&[]).await;
        let registry = world.registry(Duration::from_secs(1));
        world.registry_fault("GET /token", effect).await;
        let fault = registry.digest(IMAGE, None).await.unwrap_err();
        assert_eq!(fault.class(), "Transient", "{fault}");
        sentences.insert(fault.message().to_owned());
    }
    assert_eq!(sentences.len(), 1, "{sentences:?}");
}
