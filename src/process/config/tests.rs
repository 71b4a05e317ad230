//! Tests of `config`.

use super::*;
use clap::CommandFactory;

fn resolve(flags: &[&str], environment: &[(&str, &str)]) -> Result<Config, InvalidConfig> {
    let words = ["yardmaster", "run"].iter().chain(flags);
    let Command::Run(flags) = CommandLine::try_parse_from(words).unwrap().command else {
        panic!("`run` parses as run");
    };
    let look_up = |name: &str| {
        let (_, value) = environment.iter().find(|(key, _)| *key == name)?;
        Some((*value).to_owned())
    };
    flags.resolve(look_up, Some("box\n".to_owned()), 0xbeef)
}

#[test]
fn the_command_line_is_consistent() {
    CommandLine::command().debug_assert();
}

#[test]
fn every_flag_has_help_and_its_variable() {
    let command = CommandLine::command();
    let run = command.find_subcommand("run").unwrap();
    for arg in run.get_arguments().filter(|arg| arg.get_id() != "help") {
        let Some(long) = arg.get_long() else { continue };
        if long == "version" {
            continue;
        }
        let variable = format!("YARDMASTER_{}", long.to_uppercase().replace('-', "_"));
        assert_eq!(arg.get_env().unwrap(), variable.as_str());
        assert!(arg.get_help().is_some(), "--{long} says what it is for");
    }
}

#[test]
fn the_defaults_are_usable() {
    let config = resolve(&[], &[]).unwrap();
    assert_eq!(config.namespace, DEFAULT_NAMESPACE);
    assert_eq!(config.lease.identity, "box-0000beef");
    assert_eq!(config.observe_interval, Duration::from_secs(60));
    assert_eq!(config.concurrency, 16);
    assert_eq!(config.log_format, LogFormat::Text);
}

#[test]
fn the_pod_says_who_and_where_unless_a_flag_does() {
    let pod = [("POD_NAMESPACE", "yard"), ("POD_NAME", "yardmaster-0")];
    let config = resolve(&[], &pod).unwrap();
    assert_eq!(config.namespace, "yard");
    assert_eq!(config.lease.identity, "yardmaster-0");

    let config = resolve(&["--namespace", "mine", "--identity", "me"], &pod).unwrap();
    assert_eq!(config.namespace, "mine");
    assert_eq!(config.lease.identity, "me");

    let empty = [("POD_NAMESPACE", ""), ("POD_NAME", "")];
    assert_eq!(resolve(&[], &empty).unwrap().lease.identity, "box-0000beef");
}

#[test]
fn what_cannot_work_is_refused_with_a_remedy() {
    for (flags, names) in [
        (&["--namespace", "No"][..], "--namespace"),
        (&["--namespace", "a-"], "--namespace"),
        (&["--concurrency", "0"], "--concurrency"),
        (&["--observe-interval", "0s"], "--observe-interval"),
        (&["--request-timeout", "0s"], "--request-timeout"),
        (&["--agent-timeout", "0s"], "--agent-timeout"),
        (&["--shutdown-deadline", "0s"], "--shutdown-deadline"),
        (&["--lease-name", "a..b"], "--lease-name"),
        (&["--identity", ""], "--identity"),
        (&["--lease-duration", "15500ms"], "--lease-duration"),
        (&["--lease-renew-deadline", "15s"], "--lease-renew-deadline"),
        (&["--lease-retry-period", "5s"], "--lease-retry-period"),
        (&["--lease-retry-period", "0s"], "--lease-retry-period"),
    ] {
        let InvalidConfig(complaints) = resolve(flags, &[]).unwrap_err();
        assert_eq!(complaints.len(), 1, "{flags:?}: {complaints:?}");
        assert!(complaints[0].contains(names), "{complaints:?}");
        assert!(
            complaints[0].contains("give") || complaints[0].contains("try"),
            "a remedy: {complaints:?}"
        );
    }
}

#[test]
fn all_complaints_come_at_once() {
    let flags = ["--concurrency", "0", "--lease-duration", "5s"];
    let InvalidConfig(complaints) = resolve(&flags, &[]).unwrap_err();
    assert_eq!(complaints.len(), 2, "{complaints:?}");
}

#[test]
fn settle_may_be_zero() {
    assert!(resolve(&["--settle", "0s"], &[]).is_ok());
}

#[test]
fn only_observing_is_asked_for_by_a_flag_a_value_or_a_variable() {
    let only = |flags: &[&str]| resolve(flags, &[]).unwrap().observe_only;
    assert!(!only(&[]));
    assert!(only(&["--observe-only"]) && only(&["--observe-only=true"]));
    assert!(!only(&["--observe-only=false"]));
}

#[test]
fn nonsense_does_not_parse() {
    for words in [
        &["run", "--observe-interval", "often"][..],
        &["run", "--listen", "8080"],
        &["run", "--log-format", "xml"],
        &["run", "--watch-namespaces", "a"],
        &[],
    ] {
        let words = ["yardmaster"].iter().chain(words);
        assert!(CommandLine::try_parse_from(words).is_err());
    }
}

#[test]
fn generate_takes_a_checkout() {
    let parsed = CommandLine::try_parse_from(["yardmaster", "generate"]).unwrap();
    assert!(
        matches!(parsed.command, Command::Generate { checkout } if checkout.as_os_str() == ".")
    );
    assert!(matches!(
        CommandLine::try_parse_from(["yardmaster", "crds"])
            .unwrap()
            .command,
        Command::Crds
    ));
}
