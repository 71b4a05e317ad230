//! A simulator and a client inside it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simulator::{Options, Simulator};
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "ws_team-a_1";
const ENDPOINT: &str = "https://backboard.railway.com/graphql/v2?source=tests";

pub(crate) struct World {
    pub simulator: Simulator,
    pub client: reqwest::Client,
    pub token: String,
    plain: reqwest::Client,
    _dir: TempDir,
}

/// What one deployed service is made of.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    pub project: String,
    pub environment: String,
    pub service: String,
    pub domain: String,
}

impl World {
    /// A world without throttles, and with these settings.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // With JOURNALS=DIR each test's journal stays in DIR/<test>, for the contract check.
        let kept = std::env::var_os("JOURNALS").map(|kept| {
            let test = std::thread::current()
                .name()
                .unwrap_or("test")
                .replace("::", "-");
            std::path::Path::new(&kept).join(test)
        });
        let mut options = Options::new(kept.as_deref().unwrap_or_else(|| dir.path()))
            .set("railway.projectInterval", "0s")
            .set("railway.volumeInterval", "0s");
        for (key, value) in settings {
            options = options.set(key, value);
        }
        let simulator = Simulator::start(options).await.unwrap();
        let client = client(&simulator);
        let plain = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            simulator,
            client,
            token: TOKEN.to_owned(),
            plain,
            _dir: dir,
        }
    }

    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn post(
        &self,
        token: &str,
        query: &str,
        variables: Value,
    ) -> reqwest::Response {
        self.try_post(token, query, variables).await.unwrap()
    }

    pub(crate) async fn try_post(
        &self,
        token: &str,
        query: &str,
        variables: Value,
    ) -> reqwest::Result<reqwest::Response> {
        let body = json!({ "query": query, "variables": variables });
        self.client
            .post(ENDPOINT)
            .bearer_auth(token)
            .json(&body)
            .send()
            .await
    }

    /// The whole body of an answer.
    pub(crate) async fn ask(&self, query: &str, variables: Value) -> Value {
        self.post(&self.token, query, variables)
            .await
            .json()
            .await
            .unwrap()
    }

    /// `data` of an answer without errors.
    pub(crate) async fn data(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.ask(query, variables).await;
        assert_eq!(answer["errors"], Value::Null, "{query}");
        answer["data"].take()
    }

    /// The first error's message.
    pub(crate) async fn error(&self, query: &str, variables: Value) -> String {
        message(&self.ask(query, variables).await)
    }

    pub(crate) async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.try_control(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    pub(crate) async fn try_control(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.simulator.control_url());
        let mut request = self.plain.request(method.parse().unwrap(), url);
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or_default())
    }

    pub(crate) async fn set(&self, key: &str, value: &str) {
        self.control("PUT", "/settings", json!({ key: value }))
            .await;
    }

    pub(crate) async fn create_project(&self, name: &str) -> (String, String) {
        let data = self.data(PROJECT_CREATE, json!({ "input": { "name": name, "description": format!("marker of {name}"), "workspaceId": "team-a" } })).await;
        let project = &data["projectCreate"];
        (
            text(&project["id"]),
            text(&project["environments"]["edges"][0]["node"]["id"]),
        )
    }

    /// Project, service, domain: everything but an image.
    pub(crate) async fn build(&self, name: &str) -> Built {
        let (project, environment) = self.create_project(name).await;
        let input = json!({ "projectId": project, "environmentId": environment, "name": "agent" });
        let data = self.data(SERVICE_CREATE, json!({ "input": input })).await;
        let service = text(&data["serviceCreate"]["id"]);
        let input = json!({ "environmentId": environment, "serviceId": service });
        let data = self.data(DOMAIN_CREATE, json!({ "input": input })).await;
        let domain = text(&data["serviceDomainCreate"]["domain"]);
        Built {
            project,
            environment,
            service,
            domain,
        }
    }

    /// Commits a patch of one service's config.
    pub(crate) async fn patch(&self, built: &Built, service: Value) -> String {
        let patch = json!({ "services": { &built.service: service } });
        let variables = json!({ "id": built.environment, "patch": patch });
        text(&self.data(PATCH, variables).await["environmentPatchCommit"])
    }

    /// The whole way to a running agent with this image.
    pub(crate) async fn deploy(&self, name: &str, image: &str) -> Built {
        let built = self.build(name).await;
        self.patch(&built, agent(image)).await;
        built
    }

    /// The service's deployments, newest first.
    pub(crate) async fn deployments(&self, built: &Built) -> Vec<Value> {
        let input = json!({ "projectId": built.project, "serviceId": built.service });
        let data = self.data(DEPLOYMENTS, json!({ "input": input })).await;
        let edges = data["deployments"]["edges"].as_array().unwrap().clone();
        edges
            .into_iter()
            .map(|mut edge| edge["node"].take())
            .collect()
    }

    pub(crate) async fn statuses(&self, built: &Built) -> Vec<String> {
        self.deployments(built)
            .await
            .iter()
            .map(|row| text(&row["status"]))
            .collect()
    }

    /// Status and body of a call to an agent with the gateway token.
    pub(crate) async fn call(
        &self,
        built: &Built,
        method: &str,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let key = ("authorization", "Bearer gateway".to_owned());
        let url = format!("https://{}{path}", built.domain);
        self.rest(key, method, &url, body).await
    }

    /// Status and body of a request with this header; a body of null is none.
    pub(crate) async fn rest(
        &self,
        (header, key): (&str, String),
        method: &str,
        url: &str,
        body: Value,
    ) -> (u16, Value) {
        let request = self.client.request(method.parse().unwrap(), url);
        let mut request = request.header(header, key);
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or_default())
    }

    pub(crate) async fn journal(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.simulator.journal_file()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

pub(crate) fn client(simulator: &Simulator) -> reqwest::Client {
    let pem = std::fs::read(simulator.ca_file()).unwrap();
    reqwest::Client::builder()
        .proxy(reqwest::Proxy::all(simulator.proxy_url()).unwrap())
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .build()
        .unwrap()
}

pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

pub(crate) fn message(answer: &Value) -> String {
    text(&answer["errors"][0]["message"])
}

/// A service's config that runs an agent.
pub(crate) fn agent(image: &str) -> Value {
    json!({ "source": { "image": image }, "variables": { "GATEWAY_TOKEN": { "value": "gateway" } } })
}

/// Asks until the answer is there, for ten seconds.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "waited in vain for {what}"
        );
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

pub(crate) const PROJECT_CREATE: &str = "mutation($input: ProjectCreateInput!) { projectCreate(input: $input) \
    { id name description environments { edges { node { id name } } } } }";
pub(crate) const SERVICE_CREATE: &str =
    "mutation($input: ServiceCreateInput!) { serviceCreate(input: $input) { id name } }";
pub(crate) const DOMAIN_CREATE: &str = "mutation($input: ServiceDomainCreateInput!) { serviceDomainCreate(input: $input) { id domain syncStatus } }";
pub(crate) const PATCH: &str = "mutation($id: String!, $patch: EnvironmentConfig) \
    { environmentPatchCommit(environmentId: $id, patch: $patch) }";
pub(crate) const DEPLOYMENTS: &str = "query($input: DeploymentListInput!) { deployments(first: 20, input: $input) \
    { edges { node { id status statusUpdatedAt deploymentStopped meta instances { id status } } } } }";
pub(crate) const LIST: &str = "query($ws: String, $first: Int, $after: String, $all: Boolean) \
    { projects(workspaceId: $ws, first: $first, after: $after, includeDeleted: $all, orderBy: CREATED_AT_DESC) \
    { edges { cursor node { id name description deletedAt } } pageInfo { hasNextPage endCursor } } }";
