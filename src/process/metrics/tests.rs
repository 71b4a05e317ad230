//! Tests of `metrics`.

use super::*;

fn used() -> Metrics {
    let metrics = Metrics::new();
    metrics.reconciled("AgentInstance", "done", Duration::from_millis(20));
    metrics.requested("railway", "projectCreate", "ok", Duration::from_millis(300));
    metrics.requested(
        "railway",
        "projectCreate",
        "Throttled",
        Duration::from_millis(30),
    );
    metrics.budget("main", 9_871);
    metrics.account_healthy("main", true);
    metrics.waiting("main", "projects", 7);
    metrics.slots("project", "Exists", 3);
    metrics.orphans(
        "main",
        &BTreeMap::from([("project".to_owned(), 2)]),
        Money::ZERO,
    );
    metrics.orphans(
        "main",
        &BTreeMap::from([("openrouter".to_owned(), 1)]),
        Money::cents(1250),
    );
    metrics.swept("main", "done");
    metrics.sweep_held_back("main", Some("HourlyLimit"));
    metrics.sweep_held_back("main", Some("ListingShrunk"));
    metrics.account_recovery("main", true);
    metrics.unreadable("AgentTemplate", 1);
    metrics.watch_failed("AgentTemplate");
    let since = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    metrics.pool_waiting(("team", "warm"), 3, Some(since));
    metrics.claim("bound", Some(Duration::from_millis(7)));
    metrics.claim("refused", None);
    metrics.leader(true);
    metrics
}

#[test]
fn everything_recorded_is_shown() {
    let text = used().open_metrics();
    for line in [
        "yardmaster_reconciles_total{kind=\"AgentInstance\",outcome=\"done\"} 1",
        "yardmaster_reconcile_duration_seconds_count{kind=\"AgentInstance\"} 1",
        "yardmaster_reconcile_duration_seconds_bucket{le=\"0.025\",kind=\"AgentInstance\"} 1",
        "yardmaster_outside_requests_total{provider=\"railway\",operation=\"projectCreate\",outcome=\"Throttled\"} 1",
        "yardmaster_outside_request_duration_seconds_count{provider=\"railway\",operation=\"projectCreate\"} 2",
        "yardmaster_account_budget_remaining_requests{account=\"main\"} 9871",
        "yardmaster_account_healthy{account=\"main\"} 1",
        "yardmaster_account_waiting_instances{account=\"main\",gate=\"projects\"} 7",
        "yardmaster_slots{slot=\"project\",state=\"Exists\"} 3",
        "yardmaster_orphans{account=\"main\",kind=\"project\"} 0",
        "yardmaster_orphans{account=\"main\",kind=\"openrouter\"} 1",
        "yardmaster_orphans_monthly_usd{account=\"main\"} 12.5",
        "yardmaster_swept_total{account=\"main\",outcome=\"done\"} 1",
        "yardmaster_sweep_held_back{account=\"main\",reason=\"ListingShrunk\"} 1",
        "yardmaster_account_recovery_mode{account=\"main\"} 1",
        "yardmaster_unreadable_objects{kind=\"AgentTemplate\"} 1",
        "yardmaster_watch_failures_total{kind=\"AgentTemplate\"} 1",
        "yardmaster_pool_waiting_claims{namespace=\"team\",pool=\"warm\"} 3",
        "yardmaster_pool_oldest_waiting_claim_timestamp_seconds{namespace=\"team\",pool=\"warm\"} 1800000000",
        "yardmaster_claims_total{outcome=\"bound\"} 1",
        "yardmaster_claims_total{outcome=\"refused\"} 1",
        "yardmaster_claim_bound_seconds_bucket{le=\"0.01\"} 1",
        "yardmaster_claim_ready_seconds_count 0",
        "yardmaster_leader 1",
        concat!(
            "yardmaster_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
        "# EOF",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
    assert!(!text.contains("HourlyLimit"), "{text}");
}

#[test]
fn every_metric_has_a_help_text() {
    let text = used().open_metrics();
    let named = |what: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix(what));
        lines
            .filter_map(|line| line.split(' ').next())
            .collect::<Vec<_>>()
    };
    assert_eq!(named("# TYPE "), named("# HELP "));
    assert_eq!(named("# TYPE ").len(), 22);
}

#[test]
fn the_older_format_names_counters_as_their_samples() {
    let text = used().plain_text();
    assert!(
        text.contains("# TYPE yardmaster_reconciles_total counter\n"),
        "{text}"
    );
    assert!(
        text.contains("# HELP yardmaster_reconciles_total Reconciles by"),
        "{text}"
    );
    assert!(text.contains("# TYPE yardmaster_leader gauge\n"), "{text}");
    assert!(!text.contains("# EOF"), "{text}");
}

#[test]
fn an_account_that_is_gone_is_shown_no_more() {
    let metrics = used();
    metrics.clone().forget_account("main");
    let text = metrics.open_metrics();
    let told = text
        .lines()
        .filter(|line| line.contains("account=\"main\""));
    // What was done stays counted.
    assert_eq!(told.filter(|line| !line.contains("swept")).count(), 0);
}

#[test]
fn of_many_namespaces_the_dearest_are_named_and_what_is_gone_is_shown_no_more() {
    let metrics = Metrics::new();
    let costs = |namespaces: u64| -> BTreeMap<String, MonthlyUsd> {
        let one = |n: u64| {
            let costs = MonthlyUsd {
                committed: Money::dollars(n),
                spent: Money::cents(n),
            };
            (format!("team-{n:03}"), costs)
        };
        (1..=namespaces).map(one).collect()
    };
    let shown = |part: &str| {
        let text = metrics.plain_text();
        text.lines().filter(|line| line.contains(part)).count()
    };
    metrics.monthly("main", &costs(60));
    assert_eq!(shown("yardmaster_monthly_usd{"), 2 * 51);
    let text = metrics.plain_text();
    for line in [
        r#"yardmaster_monthly_usd{account="main",namespace="team-060",what="committed"} 60"#,
        // 1 to 10 together.
        r#"yardmaster_monthly_usd{account="main",namespace="(others)",what="committed"} 55"#,
        r#"yardmaster_monthly_usd{account="main",namespace="(others)",what="spent"} 0.55"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    metrics.monthly("main", &costs(2));
    metrics.monthly("other", &costs(1));
    assert_eq!(shown("yardmaster_monthly_usd{"), 6);
    metrics.forget_account("main");
    assert_eq!(shown("yardmaster_monthly_usd{"), 2);
}

#[test]
fn of_many_pools_those_are_shown_by_name_for_which_most_claims_wait() {
    let metrics = Metrics::new();
    let names: Vec<String> = (0..102).map(|number| format!("p{number}")).collect();
    let at = |second: i64| jiff::Timestamp::from_second(second).ok();
    for (number, name) in names.iter().enumerate() {
        let since = at(1_000 - i64::try_from(number).unwrap());
        metrics.pool_waiting(("n", name), number + 1, since);
    }
    let shows = |line: &str| metrics.open_metrics().lines().any(|one| one == line);
    let others = "{namespace=\"(others)\",pool=\"(others)\"}";
    assert!(shows(&format!("yardmaster_pool_waiting_claims{others} 3")));
    let oldest = "yardmaster_pool_oldest_waiting_claim_timestamp_seconds";
    assert!(shows(&format!("{oldest}{others} 999")));
    assert!(!metrics.open_metrics().contains("\"p1\""));
    metrics.pool_waiting(("n", "p1"), 500, at(7));
    assert!(shows(&format!("{oldest}{{namespace=\"n\",pool=\"p1\"}} 7")));
    for name in &names[..2] {
        metrics.forget_pool(("n", name));
    }
    assert!(!metrics.open_metrics().contains("(others)"));
}
