//! What the controller's ServiceAccount may do to Secrets, judged by the real API server: those of its instances it keeps,
//! a tenant's own it can neither change nor delete, and it cannot find out which there are.

use std::time::Duration;

use serde_json::{Value, json};
use world::{Options, SYSTEM_NAMESPACE, World, eventually, test_directory};

const LABEL: &str = "yardmaster.dev/instance";
const SOON: Duration = Duration::from_secs(30);

/// The world, seen with the controller's own credential.
struct Operator<'a>(&'a World);

impl Operator<'_> {
    /// What kubectl says in a namespace, and whether it was done.
    async fn says(&self, namespace: &str, args: &[&str], input: &str) -> (bool, String) {
        let kubeconfig = self.0.directory().controller_kubeconfig();
        let own = [
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
            "-n",
            namespace,
        ];
        let output = self.0.kubectl_with(&[&own, args].concat(), input).await;
        let output = output.unwrap();
        (output.status.success(), output.stdout + &output.stderr)
    }

    async fn may(&self, namespace: &str, args: &[&str], input: &str) {
        let (done, said) = self.says(namespace, args, input).await;
        assert!(done, "{args:?} {input}: {said}");
    }

    async fn may_not(&self, namespace: &str, args: &[&str], input: &str, because: &str) {
        let (done, said) = self.says(namespace, args, input).await;
        assert!(!done, "{args:?} {input} was done: {said}");
        assert!(said.contains(because), "{args:?} {input}: {said}");
    }
}

fn secret(name: &str, kind: &str, labels: &Value) -> String {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": kind,
        "metadata": {
            "name": name, "labels": labels,
            "annotations": {"kubernetes.io/service-account.name": "default"},
        },
        "stringData": {"key": "value"},
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_reaches_no_secret_but_those_of_its_instances() {
    let world = World::start(Options::new(test_directory("rights")))
        .await
        .unwrap();
    let admin = async |args: &[&str], input: &str| {
        let output = world.kubectl_with(args, input).await.unwrap();
        output.ok().unwrap()
    };
    admin(&["create", "namespace", "tenant"], "").await;
    for namespace in ["tenant", SYSTEM_NAMESPACE] {
        let foreign = secret("foreign", "Opaque", &json!({"app": "shop"}));
        admin(&["-n", namespace, "create", "-f", "-"], &foreign).await;
    }
    let operator = Operator(&world);
    let (create, delete) = (["create", "-f", "-"], ["delete", "secret"]);
    let (ours, patch) = (json!({LABEL: "ada"}), ["patch", "secret"]);
    let changed = ["-p", r#"{"stringData":{"key":"other"}}"#];
    let unlabelled = [
        "-p",
        r#"{"metadata":{"labels":{"yardmaster.dev/instance":null}}}"#,
    ];
    let labelled = [
        "-p",
        r#"{"metadata":{"labels":{"yardmaster.dev/instance":"ada"}}}"#,
    ];
    let refused = "does not bear the label yardmaster.dev/instance";

    // The API server takes a moment until it keeps to a new policy.
    let tried = [&patch[..], &["foreign", "--dry-run=server"], &changed].concat();
    eventually("the policy is kept", SOON, async || {
        Ok((!operator.says("tenant", &tried, "").await.0).then_some(()))
    })
    .await
    .unwrap();

    // A tenant's own, which a label of one's own making does not open.
    for change in [changed, labelled] {
        let change = [&patch[..], &["foreign"], &change].concat();
        operator.may_not("tenant", &change, "", refused).await;
    }
    let gone = [&delete[..], &["foreign"]].concat();
    operator.may_not("tenant", &gone, "", refused).await;
    let stray = secret("stray", "Opaque", &json!({}));
    operator.may_not("tenant", &create, &stray, refused).await;
    // Kubernetes would put a credential into this one.
    let token = secret("token", "kubernetes.io/service-account-token", &ours);
    operator
        .may_not("tenant", &create, &token, "only Secrets of type Opaque")
        .await;
    for all in [&["get", "secrets"][..], &["delete", "secrets", "--all"]] {
        operator.may_not("tenant", all, "", "cannot list").await;
    }

    // An instance's: made, changed, kept as what it is, deleted.
    let own = secret("ada-agent", "Opaque", &ours);
    operator.may("tenant", &create, &own).await;
    operator
        .may(
            "tenant",
            &[&patch[..], &["ada-agent"], &changed].concat(),
            "",
        )
        .await;
    let bare = [&patch[..], &["ada-agent"], &unlabelled].concat();
    operator
        .may_not("tenant", &bare, "", "may not take the label")
        .await;
    operator
        .may("tenant", &[&delete[..], &["ada-agent"]].concat(), "")
        .await;

    // Those of accounts: their finalizers are the operator's, the Secrets are not.
    let finalizer = [
        "-p",
        r#"{"metadata":{"finalizers":["yardmaster.dev/in-use"]}}"#,
    ];
    operator
        .may(
            SYSTEM_NAMESPACE,
            &[&patch[..], &["foreign"], &finalizer].concat(),
            "",
        )
        .await;
    operator.may_not(SYSTEM_NAMESPACE, &gone, "", refused).await;

    // And other people are not concerned.
    for namespace in ["tenant", SYSTEM_NAMESPACE] {
        let kept = world.secret(namespace, "foreign").await.unwrap();
        assert_eq!(kept["key"], "value");
    }
    admin(&["-n", "tenant", "delete", "secret", "foreign"], "").await;
    world.stop().await.unwrap();
}
