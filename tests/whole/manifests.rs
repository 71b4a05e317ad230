//! What people write, judged by the real API server: a wrong manifest is refused with a sentence that names the field
//! and the remedy, a good one passes and comes back with its defaults, and what must not change does not.
//!
//! The rows are data: `refused.yaml`, `admitted.yaml` and `changes.yaml` beside this file, each a change to the full
//! objects of `src/api/corpus`. Nothing is kept by the server (dry run) but the objects that changes start from.

use futures::StreamExt;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::{ApiResource, Request};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use world::{Options, World, checkout_root, test_directory};
use yardmaster::api::text::{Amount, Span};
use yardmaster::api::{
    AgentClaim, AgentClaimSpec, AgentInstance, AgentInstanceSpec, AgentPool, AgentPoolSpec,
    AgentTemplate, AgentTemplateSpec, ProviderAccount, ProviderAccountSpec, Seen, crds,
};

use crate::admissible::Admissible;

const CORPUS: &str = include_str!("../../src/api/corpus/v1alpha1.yaml");
const REFUSED: &str = include_str!("manifests/refused.yaml");
const ADMITTED: &str = include_str!("manifests/admitted.yaml");
const CHANGES: &str = include_str!("manifests/changes.yaml");

fn documents<T: DeserializeOwned>(yaml: &str) -> Vec<T> {
    serde_yaml_ng::Deserializer::from_str(yaml)
        .map(|document| T::deserialize(document).expect("a document of another form"))
        .collect()
}

fn rows<T: DeserializeOwned>(yaml: &str) -> Vec<T> {
    serde_yaml_ng::from_str(yaml).expect("a row of another form")
}

/// The corpus' object of a kind, without its status.
fn full(kind: &str) -> Value {
    let mut object = documents::<Value>(CORPUS)
        .into_iter()
        .find(|object| object["kind"] == kind)
        .unwrap_or_else(|| panic!("the corpus has no {kind}"));
    object.as_object_mut().unwrap().remove("status");
    object
}

/// The least of a kind.
fn minimal(kind: &str) -> Value {
    let mut object = full(kind);
    object["spec"] = match kind {
        "ProviderAccount" => json!({"railway": {
            "workspaceId": "acme", "tokenSecretRefs": [{"name": "railway", "key": "token"}],
        }}),
        "AgentTemplate" => json!({"runtime": {"image": "ghcr.io/acme/agent:1.4"}}),
        "AgentInstance" => json!({"templateRef": {"name": "a"}, "accountRef": {"name": "b"}}),
        "AgentPool" => json!({"templateRef": {"name": "a"}, "accountRefs": [{"name": "b"}]}),
        "AgentClaim" => json!({"poolRef": {"name": "a"}, "agent": {"instructions": "be kind"}}),
        other => panic!("there is no kind {other}"),
    };
    object
}

/// Lays a change over an object: maps are merged, everything else is replaced, null takes away.
fn lay(change: &Value, over: &mut Value) {
    let Value::Object(fields) = change else {
        // A row without a change has null here; within a change, null is seen below.
        if !change.is_null() {
            *over = change.clone();
        }
        return;
    };
    if !over.is_object() {
        *over = json!({});
    }
    let target = over.as_object_mut().unwrap();
    for (name, inner) in fields {
        if inner.is_null() {
            target.remove(name);
        } else {
            lay(inner, target.entry(name.clone()).or_insert(Value::Null));
        }
    }
}

/// Rows may write `{repeat: x, times: 9}` where a text is too long to be read, and `{count: 9, of: {…#…}}` where a list
/// is: `#` becomes the number.
pub fn grown(value: Value) -> Value {
    match value {
        Value::Object(fields) if fields.contains_key("repeat") => {
            let times = usize::try_from(fields["times"].as_u64().unwrap()).unwrap();
            Value::String(fields["repeat"].as_str().unwrap().repeat(times))
        }
        Value::Object(fields) if fields.contains_key("count") => {
            let of = fields["of"].to_string();
            let numbered = |n: u64| serde_json::from_str(&of.replace('#', &n.to_string())).unwrap();
            let items = (0..fields["count"].as_u64().unwrap()).map(numbered);
            items.map(grown).collect()
        }
        Value::Object(fields) => fields.into_iter().map(|(k, v)| (k, grown(v))).collect(),
        Value::Array(items) => items.into_iter().map(grown).collect(),
        other => other,
    }
}

struct Server(Client);

impl Server {
    fn api(&self, object: &Value) -> Api<DynamicObject> {
        let kind = object["kind"].as_str().unwrap();
        let resource = ApiResource {
            group: "yardmaster.dev".into(),
            version: "v1alpha1".into(),
            api_version: "yardmaster.dev/v1alpha1".into(),
            kind: kind.into(),
            plural: format!("{}s", kind.to_lowercase()),
        };
        match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.0.clone(), namespace, &resource),
            None => Api::all_with(self.0.clone(), &resource),
        }
    }

    /// What the server makes of a new object, as `kubectl create --dry-run=server` asks it: strict about fields that
    /// it does not know.
    async fn create(&self, object: &Value) -> Result<Value, String> {
        let path = self.api(object).resource_url().to_owned();
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let body = serde_json::to_vec(object).unwrap();
        let mut request = Request::new(path).create(&dry, body).unwrap();
        let strict = format!("{}&fieldValidation=Strict", request.uri());
        *request.uri_mut() = strict.parse().unwrap();
        self.0.request(request).await.map_err(sentence)
    }

    /// What it makes of a change to an object that is there.
    async fn change(&self, object: &Value, change: &Value) -> Result<Value, String> {
        let dry = PatchParams {
            dry_run: true,
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::default()
        };
        let name = object["metadata"]["name"].as_str().unwrap();
        let (api, patch) = (self.api(object), Patch::Merge(change));
        let changed = api.patch(name, &dry, &patch).await.map_err(sentence)?;
        Ok(serde_json::to_value(changed).unwrap())
    }

    /// Makes an object that changes can start from.
    async fn keep(&self, object: &Value) -> Result<(), String> {
        let typed: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        let api = self.api(object);
        let kept = api.create(&PostParams::default(), &typed).await;
        kept.map(drop).map_err(sentence)
    }
}

fn sentence(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => panic!("the API server did not judge: {other}"),
    }
}

/// A manifest, or a change, that must be refused with all of these fragments.
#[derive(Deserialize)]
struct Refused {
    what: String,
    kind: String,
    change: Value,
    says: Vec<String>,
}

/// What is wrong with an answer that ought to be a refusal.
fn complaint(answer: &Result<Value, String>, says: &[String]) -> Option<String> {
    match answer {
        Ok(_) => Some("was admitted".into()),
        Err(said) => says
            .iter()
            .find(|fragment| !said.contains(*fragment))
            .map(|fragment| format!("does not say {fragment:?}: {said}")),
    }
}

async fn refusals(server: &Server, wrong: &mut Vec<String>) -> usize {
    let rows: Vec<Refused> = rows(REFUSED);
    for row in &rows {
        let mut object = full(&row.kind);
        lay(&grown(row.change.clone()), &mut object);
        let answer = server.create(&object).await;
        let complaint = complaint(&answer, &row.says);
        wrong.extend(complaint.map(|why| format!("{} ({}): {why}", row.what, row.kind)));
    }
    rows.len()
}

/// A manifest that must pass.
#[derive(Deserialize)]
struct Admitted {
    what: String,
    kind: String,
    #[serde(default)]
    change: Value,
}

async fn admissions(server: &Server, wrong: &mut Vec<String>) -> usize {
    let rows: Vec<Admitted> = rows(ADMITTED);
    for row in &rows {
        let mut object = full(&row.kind);
        lay(&grown(row.change.clone()), &mut object);
        if let Err(said) = server.create(&object).await {
            wrong.push(format!("{} ({}): {said}", row.what, row.kind));
        }
    }
    rows.len()
}

/// An object as it is, and a change to it that must be refused with these fragments, or pass.
#[derive(Deserialize)]
struct Change {
    what: String,
    kind: String,
    /// What the object is before, over the corpus' own.
    #[serde(default)]
    from: Value,
    change: Value,
    #[serde(default)]
    says: Vec<String>,
}

async fn changes(server: &Server, wrong: &mut Vec<String>) -> usize {
    let rows: Vec<Change> = rows(CHANGES);
    for (number, row) in rows.iter().enumerate() {
        let mut object = full(&row.kind);
        lay(&row.from, &mut object);
        object["metadata"]["name"] = json!(format!("changes-{number}"));
        if let Err(said) = server.keep(&object).await {
            wrong.push(format!("{}: cannot even begin: {said}", row.what));
            continue;
        }
        let answer = server.change(&object, &row.change).await;
        let complaint = match (&answer, row.says.as_slice()) {
            (Err(said), []) => Some(format!("was refused: {said}")),
            (Ok(_), []) => None,
            (answer, says) => complaint(answer, says),
        };
        wrong.extend(complaint.map(|why| format!("{}: {why}", row.what)));
    }
    rows.len()
}

/// What the server fills in is what the code would: a default stands in the schema.
async fn defaults(server: &Server, wrong: &mut Vec<String>) -> usize {
    fn filled<S: DeserializeOwned + serde::Serialize>(spec: &Value) -> Value {
        serde_json::to_value(serde_json::from_value::<S>(spec.clone()).unwrap()).unwrap()
    }
    type Fill = fn(&Value) -> Value;
    let kinds: [(&str, Fill); 5] = [
        ("ProviderAccount", filled::<ProviderAccountSpec>),
        ("AgentTemplate", filled::<AgentTemplateSpec>),
        ("AgentInstance", filled::<AgentInstanceSpec>),
        ("AgentPool", filled::<AgentPoolSpec>),
        ("AgentClaim", filled::<AgentClaimSpec>),
    ];
    for (kind, filled) in kinds {
        let object = minimal(kind);
        match server.create(&object).await {
            Ok(made) if made["spec"] == filled(&object["spec"]) => {}
            other => wrong.push(format!("the defaults of {kind}: {other:?}")),
        }
    }
    kinds.len()
}

/// Every object below a value, by JSON pointer, with its fields.
fn fields(pointer: &str, value: &Value, into: &mut Vec<String>) {
    if let Value::Object(map) = value {
        for (name, inner) in map {
            let pointer = format!("{pointer}/{}", name.replace('/', "~1"));
            fields(&pointer, inner, into);
            into.push(pointer);
        }
    }
    for (number, inner) in value.as_array().into_iter().flatten().enumerate() {
        fields(&format!("{pointer}/{number}"), inner, into);
    }
}

/// Templating tools write null where a value is empty. For every field, null is as good as leaving it out: admitted or
/// refused alike.
async fn nulls(server: &Server, wrong: &mut Vec<String>) -> usize {
    let mut tried = 0;
    for object in documents::<Value>(CORPUS) {
        let kind = object["kind"].as_str().unwrap();
        let mut object = object.clone();
        object.as_object_mut().unwrap().remove("status");
        let mut pointers = Vec::new();
        fields("/spec", &object["spec"], &mut pointers);
        // A label without a value is no field of ours.
        pointers.retain(|pointer| !pointer.contains("/matchLabels/"));
        for pointer in pointers {
            tried += 1;
            let (mut null, mut absent) = (object.clone(), object.clone());
            *null.pointer_mut(&pointer).unwrap() = Value::Null;
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let parent = absent.pointer_mut(parent).unwrap().as_object_mut();
            parent.unwrap().remove(name);
            let (null, absent) = (server.create(&null).await, server.create(&absent).await);
            if null.is_ok() != absent.is_ok() {
                wrong.push(format!(
                    "{kind}{pointer} is null: {null:?}; left out: {absent:?}"
                ));
            }
        }
    }
    tried
}

/// What the server admits, the code can read: the promise of `src/api/text.rs`.
async fn texts(server: &Server, wrong: &mut Vec<String>) -> usize {
    let amounts = [
        "4",
        "0.5",
        "500m",
        "1.5Gi",
        "128Mi",
        "1G",
        "2Ti",
        "1k",
        "1e3",
        "1E9",
        "1Ei",
        "1Pi",
        ".5",
        "5.",
        "+1",
        "-1",
        "0",
        "0.0",
        "0Gi",
        "4GB",
        "4gb",
        "4 Gi",
        "1u",
        "1n",
        "",
        "Gi",
        "999999999Ti",
    ];
    let spans = [
        "30s", "15m", "1h30m", "1h30m15s", "500ms", "72h", "999999h", "9999999h", "7d", "1w",
        "1.5h", "15", "0s", "0h0m", "30m1h", "15 m", "15min", "-5m", "P1D", "", "m", "1us", "1m1m",
        "00s", "01s",
    ];
    let mut admitted = 0;
    let mut check = |place: &str, text: &str, read: bool, answer: Result<Value, String>| {
        admitted += usize::from(answer.is_ok());
        if answer.is_ok() && !read {
            wrong.push(format!("{place} {text:?} is admitted and cannot be read"));
        }
    };
    for text in amounts {
        let read = Amount::from(text).units().is_some_and(|units| units > 0.0);
        for resource in ["cpu", "memory"] {
            let mut object = minimal("AgentTemplate");
            object["spec"]["runtime"]["resources"] = json!({resource: text});
            check(resource, text, read, server.create(&object).await);
        }
    }
    for text in spans {
        let read = Span::from(text).duration().is_some_and(|d| !d.is_zero());
        let mut object = minimal("AgentInstance");
        object["spec"]["expiresAfter"] = json!(text);
        check("span", text, read, server.create(&object).await);
    }
    if admitted < 15 {
        wrong.push(format!("only {admitted} amounts and spans are admitted"));
    }
    2 * amounts.len() + spans.len()
}

/// A status that the controller may write is admitted, and a person cannot write one beside it.
async fn statuses(server: &Server, wrong: &mut Vec<String>) -> usize {
    let corpus = documents::<Value>(CORPUS);
    for object in &corpus {
        let kind = object["kind"].as_str().unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        if let Err(said) = server.keep(object).await {
            wrong.push(format!("{kind}: the corpus is refused: {said}"));
            continue;
        }
        let status = json!({"status": object["status"]});
        if let Ok(ours) = server.change(object, &status).await
            && !ours["status"].is_null()
        {
            wrong.push(format!("{kind}: a status can be written with the spec"));
        }
        let api = server.api(object);
        let params = PatchParams {
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::default()
        };
        match api
            .patch_status(name, &params, &Patch::Merge(&status))
            .await
        {
            Ok(kept) if kept.data["status"] == object["status"] => {}
            other => wrong.push(format!("{kind}: the status of the corpus: {other:?}")),
        }
    }
    corpus.len()
}

/// Objects of each kind that the API server is asked about, and those of them that it must admit for this to say anything.
const RANDOM: (usize, usize) = (100, 25);

/// What the server admits of objects that the schema lets through, the code can read as the server keeps it.
async fn random(server: &Server, wrong: &mut Vec<String>) -> usize {
    fn unread<K: kube::Resource + DeserializeOwned>(object: &Value) -> Option<String> {
        let seen: Seen<K> = Seen::deserialize(object).unwrap();
        seen.unreadable().map(|unread| format!("{unread:?}"))
    }
    let (mut random, mut all) = (Admissible::new(3), 0);
    for crd in crds() {
        let crd = serde_json::to_value(crd).unwrap();
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
        let objects: Vec<Value> = (0..RANDOM.0)
            .map(|_| random.object(&crd, "random", false))
            .collect();
        let judged = objects.iter().map(|object| server.create(object));
        let judged = futures::stream::iter(judged)
            .buffer_unordered(16)
            .collect::<Vec<_>>()
            .await;
        let admitted: Vec<Value> = judged.into_iter().flatten().collect();
        for object in &admitted {
            let unread = match kind {
                "ProviderAccount" => unread::<ProviderAccount>(object),
                "AgentTemplate" => unread::<AgentTemplate>(object),
                "AgentPool" => unread::<AgentPool>(object),
                "AgentClaim" => unread::<AgentClaim>(object),
                _ => unread::<AgentInstance>(object),
            };
            wrong.extend(unread.map(|why| format!("{kind} is admitted and {why}: {object}")));
        }
        println!("{kind}: {} of {} admitted", admitted.len(), RANDOM.0);
        if admitted.len() < RANDOM.1 {
            wrong.push(format!(
                "only {} random {kind}s are admitted",
                admitted.len()
            ));
        }
        all += admitted.len();
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_judges_manifests() {
    let world = World::start(Options::new(test_directory("manifests")))
        .await
        .unwrap();
    let server = Server(world.client().unwrap());
    let mut wrong = Vec::new();
    let counts = [
        ("refused", refusals(&server, &mut wrong).await, 200),
        ("admitted", admissions(&server, &mut wrong).await, 40),
        ("changes", changes(&server, &mut wrong).await, 60),
        ("defaults", defaults(&server, &mut wrong).await, 5),
        ("nulls", nulls(&server, &mut wrong).await, 40),
        ("texts", texts(&server, &mut wrong).await, 50),
        ("statuses", statuses(&server, &mut wrong).await, 5),
        ("random", random(&server, &mut wrong).await, 150),
    ];
    for (table, rows, least) in counts {
        assert!(rows >= least, "{table} has only {rows} rows");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // And as people do it, with what we show them.
    let examples = checkout_root().join("examples");
    let namespace = world.kubectl(&["create", "namespace", "agents"]).await;
    assert!(namespace.unwrap().status.success());
    let arguments = [
        "create",
        "--dry-run=server",
        "--recursive",
        "-f",
        examples.to_str().unwrap(),
    ];
    let output = world.kubectl(&arguments).await.unwrap();
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(output.stdout.lines().count(), 28, "{}", output.stdout);
}
