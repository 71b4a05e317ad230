//! The table of `facts/railway.md` 1.3 to 1.5, case by case.

use super::super::throttle::Binds;
use super::Effect::{Change, Create, Delete, Read};
use super::*;

const WINDOW: Duration = Duration::from_secs(30);

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn in_seconds(seconds: i64) -> Timestamp {
    later(now(), SignedDuration::from_secs(seconds))
}

fn http(status: u16) -> Unanswered {
    Unanswered::Refused(GraphqlRefusal {
        status,
        ..GraphqlRefusal::default()
    })
}

/// `errors[]` with `data: null`, as Railway answers almost everything.
fn says(message: &str) -> Unanswered {
    coded(200, message, "INTERNAL_SERVER_ERROR")
}

fn coded(status: u16, message: &str, code: &str) -> Unanswered {
    let complaint = serde_json::json!({
        "message": message,
        "extensions": { "code": code },
        "path": ["field"],
        "locations": [{ "line": 1, "column": 1 }],
    });
    Unanswered::Refused(GraphqlRefusal {
        status,
        graphql: true,
        errors: vec![serde_json::from_value(complaint).unwrap()],
        ..GraphqlRefusal::default()
    })
}

fn with(answer: Unanswered, change: impl FnOnce(&mut GraphqlRefusal)) -> Unanswered {
    match answer {
        Unanswered::Refused(mut reply) => {
            change(&mut reply);
            Unanswered::Refused(reply)
        }
        other => other,
    }
}

fn check(cases: &[(Unanswered, Effect, &str)]) {
    for (answer, effect, class) in cases {
        let fault = classify(answer, *effect, now(), WINDOW).fault;
        assert_eq!(fault.class(), *class, "{effect:?} {answer:?} -> {fault}");
    }
}

#[test]
fn what_never_left_was_not_applied_and_what_left_is_uncertain() {
    let refused = || Unanswered::NoReply(NoReply::NotSent("connection refused".into()));
    let reset = || Unanswered::NoReply(NoReply::Lost("connection reset".into()));
    check(&[
        (refused(), Read, "Transient"),
        (refused(), Create, "Transient"),
        (refused(), Delete, "Transient"),
        (reset(), Read, "Transient"),
        (reset(), Create, "Uncertain"),
        (reset(), Change, "Uncertain"),
        (reset(), Delete, "Uncertain"),
    ]);
}

#[test]
fn answers_that_are_not_graphql() {
    check(&[
        // Cloudflare's "error code: 1015" is text, without headers.
        (http(429), Create, "Throttled"),
        (http(429), Read, "Throttled"),
        // "Access denied" pages.
        (http(403), Create, "Throttled"),
        (http(401), Read, "Denied"),
        (http(502), Read, "Transient"),
        (http(502), Create, "Uncertain"),
        (http(503), Change, "Uncertain"),
        (http(504), Create, "Uncertain"),
        (http(504), Delete, "Uncertain"),
        // Truncated JSON, or a page with a good status.
        (http(200), Read, "Transient"),
        (http(200), Create, "Uncertain"),
        (http(404), Read, "Transient"),
        (http(404), Create, "Uncertain"),
        (http(302), Create, "Uncertain"),
        (http(408), Delete, "Uncertain"),
        (http(413), Change, "Rejected"),
    ]);
}

#[test]
fn data_that_we_cannot_read_is_our_bug() {
    let unreadable = || {
        with(http(200), |reply| {
            reply.graphql = true;
            reply.data = true;
        })
    };
    check(&[(unreadable(), Read, "Bug"), (unreadable(), Create, "Bug")]);
}

#[test]
fn creation_throttles_old_and_new() {
    for message in [
        "You are creating projects too quickly. This workspace allows 1 project per 30 seconds. Try again shortly.",
        "Whoa there pal! Only one project can be created per user every 30s",
        "You are creating environments too quickly. This workspace allows 1 environment per 30 seconds",
        "Only one environment can be created per user every 30s",
        "Whoa there pal! You are creating volumes too quickly. Try again in a sec",
        "Whoa there pal! Something new",
    ] {
        let Meant { fault, about } = classify(&says(message), Create, now(), WINDOW);
        let until = match &fault {
            Fault::Throttled { until, .. } => *until,
            other => unreachable!("{message}: {other:?}"),
        };
        assert_eq!(until, in_seconds(30), "{message}");
        assert!(matches!(about, About::Window(_)), "{message}");
        assert!(!stops_the_account(&says(message)), "{message}");
    }
}

#[test]
fn a_throttle_tells_its_window_and_whom_it_binds() {
    let read = |text| Throttle::read(text).map(|throttle| (throttle.window, throttle.binds));
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (text, throttle) in [
        (
            "creating projects too quickly. This workspace allows 1 project per 45 seconds. Try again shortly.",
            Some((seconds(45), Some(Binds::Workspace))),
        ),
        (
            "Whoa there pal! Only one project can be created per user every 30s",
            Some((seconds(30), Some(Binds::User))),
        ),
        (
            "Whoa there pal! You are creating volumes too quickly. Try again in a sec",
            Some((None, None)),
        ),
        (
            "allows 1 volume per 99999999999 seconds",
            Some((None, None)),
        ),
        (
            "allows 1 volume per 5 minutes of 60 seconds",
            Some((None, None)),
        ),
        ("Project not found", None),
        ("Failed to create service domain, please try again", None),
    ] {
        assert_eq!(read(text), throttle, "{text}");
    }
}

#[test]
fn what_railway_says() {
    check(&[
        (says("Not Authorized"), Read, "Denied"),
        (says("Not Authorized"), Create, "Denied"),
        (says("Not Authorized"), Change, "Denied"),
        (says("Not Authorized"), Delete, "Uncertain"),
        (coded(401, "Not Authorized", ""), Read, "Denied"),
        (coded(401, "Something else", ""), Create, "Denied"),
        (coded(200, "x", "UNAUTHENTICATED"), Read, "Denied"),
        (says("Two Factor Authentication Required"), Create, "Denied"),
        (says("Project not found"), Read, "Missing"),
        (says("Project not found"), Delete, "Missing"),
        (says("ServiceInstance not found"), Change, "Missing"),
        (says("Deployment not found."), Delete, "Missing"),
        (says("Service 'x' not found"), Create, "Missing"),
        (says("Could not find the volume"), Delete, "Missing"),
        (coded(200, "gone", "NOT_FOUND"), Read, "Missing"),
        (
            says("A service named \"x\" already exists in this project"),
            Create,
            "Uncertain",
        ),
        (says("Volume name already exists"), Create, "Uncertain"),
        (
            says("operation is already in progress"),
            Delete,
            "Transient",
        ),
        (
            says("Cannot redeploy yet, please wait for the original deployment to finish building"),
            Change,
            "Transient",
        ),
        (
            says("Cannot redeploy without a snapshot"),
            Change,
            "Transient",
        ),
        (
            says("Failed to create service domain, please try again"),
            Create,
            "Transient",
        ),
        (
            says("Something went wrong, please try again"),
            Create,
            "Uncertain",
        ),
        (says("No patch to apply"), Change, "Rejected"),
        (says("Invalid project name"), Create, "Rejected"),
        (says("Expected a number"), Change, "Rejected"),
        (says("Can't do that"), Change, "Rejected"),
        (says("x is not a valid domain"), Create, "Rejected"),
        (
            says("Error in preDeployCommand - Invalid input"),
            Change,
            "Rejected",
        ),
        (
            says(
                "Free plan resource provision limit exceeded. Please upgrade to provision more resources!",
            ),
            Create,
            "Exhausted",
        ),
        (
            says("Your workspace has been restricted"),
            Create,
            "Exhausted",
        ),
        (coded(200, "no", "PLAN_LIMIT"), Create, "Exhausted"),
    ]);
}

#[test]
fn what_says_nothing_definite_is_looked_up() {
    let processing = |status| coded(status, "Problem processing request", "BAD_USER_INPUT");
    check(&[
        (processing(200), Read, "Transient"),
        (processing(400), Create, "Uncertain"),
        (processing(200), Delete, "Uncertain"),
        (says("Internal server error"), Read, "Transient"),
        (says("Internal server error"), Create, "Uncertain"),
        (says("upstream connect error"), Change, "Uncertain"),
        (says(""), Delete, "Uncertain"),
        (coded(503, "Project not found", ""), Read, "Transient"),
        (coded(503, "Project not found", ""), Delete, "Uncertain"),
        (coded(500, "Cannot redeploy yet", ""), Change, "Uncertain"),
    ]);
}

#[test]
fn a_document_that_railway_does_not_understand_is_our_bug() {
    check(&[
        (
            coded(400, "Cannot query field \"x\"", "GRAPHQL_VALIDATION_FAILED"),
            Read,
            "Bug",
        ),
        (
            coded(400, "Syntax Error", "GRAPHQL_PARSE_FAILED"),
            Create,
            "Bug",
        ),
        (
            coded(
                400,
                "Variable \"$input\" got invalid value",
                "BAD_USER_INPUT",
            ),
            Create,
            "Bug",
        ),
    ]);
}

#[test]
fn an_error_beside_data_or_deep_inside_says_nothing_of_the_whole() {
    let partial = |message| with(says(message), |reply| reply.data = true);
    let deep = |message| {
        let mut complaint = says(message);
        if let Unanswered::Refused(reply) = &mut complaint {
            reply.errors[0].path = serde_json::from_str(r#"["field", "edges", 0]"#).unwrap();
        }
        complaint
    };
    check(&[
        (partial("Service not found"), Read, "Transient"),
        (partial("Not Authorized"), Create, "Uncertain"),
        (
            partial("creating projects too quickly"),
            Create,
            "Uncertain",
        ),
        (deep("Project not found"), Read, "Transient"),
        (deep("Environment not found"), Create, "Uncertain"),
    ]);
}

#[test]
fn the_first_definite_complaint_speaks_for_all() {
    let both = with(says("Internal server error"), |reply| {
        reply.errors.push(Complaint {
            message: "Project not found".into(),
            ..Complaint::default()
        });
    });
    check(&[(both, Read, "Missing")]);
}

#[test]
fn too_many_requests_stop_the_account_for_as_long_as_it_says() {
    let timed = with(http(429), |reply| reply.retry_after = Some(in_seconds(7)));
    let limited = coded(200, "Rate limit exceeded", "RATE_LIMITED");
    for (answer, seconds) in [
        (http(429), 60),
        (http(403), 60),
        (timed, 7),
        (coded(429, "Too many requests", ""), 60),
        (limited, 60),
    ] {
        assert!(stops_the_account(&answer), "{answer:?}");
        let fault = classify(&answer, Create, now(), WINDOW).fault;
        assert!(
            matches!(fault, Fault::Throttled { until, .. } if until == in_seconds(seconds)),
            "{answer:?}"
        );
    }
    for answer in [
        http(401),
        http(503),
        says("Not Authorized"),
        coded(403, "Not Authorized", ""),
    ] {
        assert!(!stops_the_account(&answer), "{answer:?}");
    }
}

#[test]
fn messages_are_cut_and_on_one_line() {
    let long = format!("Invalid \n{}", "x".repeat(1000));
    let fault = classify(&says(&long), Create, now(), WINDOW).fault;
    let message = fault.to_string();
    assert_eq!(message.chars().count(), 300);
    assert!(!message.contains('\n'));
}

#[test]
fn the_trace_by_which_support_finds_a_request_is_told_and_changes_no_meaning() {
    let traced = |complaint: serde_json::Value| {
        let complaint = serde_json::from_value(complaint).unwrap();
        let answer = with(says("Not Authorized"), |reply| {
            reply.errors = vec![complaint]
        });
        classify(&answer, Read, now(), WINDOW).fault
    };
    let id = "0af7651916cd43dd8448eb211c80319c";
    for complaint in [
        serde_json::json!({"message": "Not Authorized", "traceId": id}),
        serde_json::json!({"message": "Not Authorized", "extensions": {"traceId": id}}),
    ] {
        let message = format!("Not Authorized (traceId {id})");
        assert_eq!(traced(complaint), Fault::Denied { message });
    }
    let odd = serde_json::json!({"message": "Not Authorized", "traceId": "a b\n"});
    let message = "Not Authorized".to_owned();
    assert_eq!(traced(odd), Fault::Denied { message });
}

#[test]
fn what_a_refusal_is_about_is_known_where_it_is_read() {
    for (message, effect, about) in [
        ("Project not found", Read, About::Project),
        ("Service 'x' not found", Create, About::Unseen),
        ("Could not find the volume", Delete, About::Unseen),
        ("Not Authorized", Read, About::Unseen),
        ("Not Authorized", Delete, About::Nothing),
        ("Two Factor Authentication Required", Read, About::Nothing),
        ("No patch to apply", Change, About::Unchanged),
        ("Invalid project name", Create, About::Nothing),
        ("Rate limit exceeded, too quickly", Create, About::Nothing),
    ] {
        let meant = classify(&says(message), effect, now(), WINDOW);
        assert_eq!(meant.about, about, "{effect:?} {message}");
    }
    let denied = classify(&http(401), Read, now(), WINDOW);
    assert_eq!(denied.about, About::Nothing);
}
