//! The variables of the harness: the container's, the contract's, what it was told, and what the runner itself says.
//!
//! Holds: the harness has neither the gateway token nor the contract, so that it can give neither away; port and credential are the
//! runner's word. Absent: reading anything but the environment that the runner was started with.

use crate::contract::{self, Contract};
use crate::memory::Told;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// The runner's own port.
pub const PORT: &str = "PORT";

/// The runner's own credential.
pub const TOKEN: &str = "GATEWAY_TOKEN";

/// The longest value that is told: the kernel takes 128 KiB.
const LONGEST: usize = 64 << 10;

/// What Railway calls the deployment that runs.
const DEPLOYMENT: &str = "RAILWAY_DEPLOYMENT_ID";

/// What the runner was started with.
pub struct Given(BTreeMap<OsString, OsString>);

impl Given {
    /// The environment of this process.
    pub fn read() -> Given {
        Given(std::env::vars_os().collect())
    }

    /// One of its variables, if it is there, not empty, and text.
    pub fn text(&self, name: &str) -> Option<&str> {
        let value = self.0.get(&OsString::from(name))?.to_str()?;
        (!value.is_empty()).then_some(value)
    }

    /// The contract. It may be in pieces, because the kernel bounds each variable: `YARDMASTER_RUNNER_1` and so on follow.
    pub fn contract(&self) -> Option<String> {
        let mut all = self.text(contract::VARIABLE)?.to_owned();
        let names = (1..).map(|number| format!("{}_{number}", contract::VARIABLE));
        for name in names {
            match self.text(&name) {
                Some(piece) => all.push_str(piece),
                None => break,
            }
        }
        Some(all)
    }

    /// The deployment that runs.
    pub fn deployment(&self) -> Option<&str> {
        self.text(DEPLOYMENT)
    }

    /// The variables of the harness. Later lines win.
    pub fn of_harness(
        &self,
        contract: &Contract,
        told: &Told,
        port: u16,
        credential: &str,
    ) -> BTreeMap<OsString, OsString> {
        let mut all = BTreeMap::new();
        let mut say = |name: &str, value: &str| {
            all.insert(OsString::from(name), OsString::from(value));
        };
        for (name, value) in &contract.env {
            say(name, value);
        }
        // What a later deployment has says all that was told before it, and newer.
        let newer = told.deployment.as_deref() == self.deployment();
        if !newer {
            told.env.iter().for_each(|(name, value)| say(name, value));
        }
        let inherited = self.0.iter();
        let inherited = inherited.filter(|(name, _)| !is_own(&name.to_string_lossy()));
        all.extend(inherited.map(|(name, value)| (name.clone(), value.clone())));
        let mut say = |name: &str, value: &str| {
            all.insert(OsString::from(name), OsString::from(value));
        };
        for (name, text) in &contract.persona.variables {
            if let Some(value) = told.fill(text) {
                say(name, &value);
            }
        }
        if newer {
            told.env.iter().for_each(|(name, value)| say(name, value));
        }
        if let Some(name) = &contract.port.variable {
            say(name, &port.to_string());
        }
        if let Some(name) = &contract.credential.variable {
            say(name, credential);
        }
        all
    }
}

/// Whether it is the runner's alone.
fn is_own(name: &str) -> bool {
    name == PORT || name == TOKEN || name.starts_with(contract::VARIABLE)
}

/// Why a variable cannot be told.
pub fn refusal(contract: &Contract, name: &str, value: &str) -> Option<String> {
    let rows = [&contract.port.variable, &contract.credential.variable];
    let mut taken = rows.into_iter().flatten().map(String::as_str);
    if !contract::is_variable(name) {
        // The name is not repeated: it may be a value in the wrong place.
        return Some("env: a name that is no variable's".to_owned());
    }
    if is_own(name) || name == DEPLOYMENT || taken.any(|taken| taken == name) {
        return Some(format!("env: {name} is set by the runner"));
    }
    if contract.reserved.iter().any(|reserved| reserved == name) {
        return Some(format!(
            "env: {name} says where this program finds what it is, and is its template's"
        ));
    }
    fault(value).map(|fault| format!("env: {name} {fault}"))
}

/// Why what was told cannot be the harness's variables: with one such no program starts.
pub fn unfit(contract: &Contract, told: &Told) -> Option<String> {
    let sizes = told
        .env
        .iter()
        .map(|(name, value)| name.len() + value.len());
    if sizes.sum::<usize>() > ALL {
        return Some("the variables that are told are longer than 512 KiB together".to_owned());
    }
    let mut variables = contract.persona.variables.iter();
    variables.find_map(|(name, text)| {
        let fault = fault(&told.fill(text)?)?;
        Some(format!("what is told as the variable {name} {fault}"))
    })
}

/// The kernel takes 2 MiB of variables and words together where stacks are as usual (execve(2)), and the container has its own.
const ALL: usize = 512 << 10;

fn fault(value: &str) -> Option<&'static str> {
    if value.contains('\0') {
        return Some("has a zero byte in it");
    }
    (value.len() > LONGEST).then_some("is longer than 64 KiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn contract() -> Contract {
        let text = json!({
            "version": 1, "name": "x", "argv": ["x"], "stateDirectory": "/data",
            "readiness": {"path": "/", "status": 200},
            "port": {"variable": "X_PORT"},
            "credential": {"variable": "X_TOKEN"},
            "env": {"A": "contract", "B": "contract"},
            "persona": {"variables": {"NAME": "{agentName}", "MODEL": "{model}"}},
        });
        Contract::read(&text.to_string()).expect("a contract")
    }

    fn given(deployment: &str) -> Given {
        let rows = [
            ("PORT", "1"),
            ("GATEWAY_TOKEN", "secret"),
            ("YARDMASTER_RUNNER", "{"),
            ("YARDMASTER_RUNNER_1", "\"a\": 1"),
            ("YARDMASTER_RUNNER_2", "}"),
            ("YARDMASTER_RUNNER_4", "x"),
            ("B", "container"),
            ("C", "container"),
            ("X_TOKEN", "container"),
            ("RAILWAY_DEPLOYMENT_ID", deployment),
        ];
        Given(rows.map(|(name, value)| (name.into(), value.into())).into())
    }

    fn value(of: &BTreeMap<OsString, OsString>, name: &str) -> Option<String> {
        let value = of.get(&OsString::from(name))?;
        value.to_str().map(str::to_owned)
    }

    #[test]
    fn who_says_it_last_wins() {
        let told = Told {
            agent_name: Some("Ada".to_owned()),
            deployment: Some("d1".to_owned()),
            env: [("C", "told"), ("D", "told")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Told::default()
        };
        for (deployment, c) in [("d1", "told"), ("d2", "container")] {
            let all = given(deployment).of_harness(&contract(), &told, 7, "own");
            let said = ["A", "B", "C", "D", "NAME", "X_PORT", "X_TOKEN"];
            let said = said.map(|name| value(&all, name).expect("set"));
            assert_eq!(
                said,
                ["contract", "container", c, "told", "Ada", "7", "own"]
            );
            for name in [
                "PORT",
                "GATEWAY_TOKEN",
                "YARDMASTER_RUNNER",
                "YARDMASTER_RUNNER_2",
                "MODEL",
            ] {
                assert_eq!(value(&all, name), None, "{name}");
            }
        }
    }

    #[test]
    fn a_contract_in_pieces_is_put_together() {
        assert_eq!(given("d1").contract().as_deref(), Some("{\"a\": 1}"));
    }

    #[test]
    fn what_no_program_could_start_with_is_not_told() {
        let named = |name: &str| Told {
            agent_name: Some(name.to_owned()),
            ..Told::default()
        };
        assert_eq!(unfit(&contract(), &named("Ada")), None);
        assert!(unfit(&contract(), &named("A\0")).is_some());
        assert!(unfit(&contract(), &named(&"x".repeat(LONGEST + 1))).is_some());
    }

    #[test]
    fn the_runners_own_variables_cannot_be_told() {
        let contract = contract();
        for name in [
            "PORT",
            "GATEWAY_TOKEN",
            "YARDMASTER_RUNNER",
            "X_PORT",
            "X_TOKEN",
            "A B",
            "1A",
            "",
        ] {
            assert!(refusal(&contract, name, "x").is_some(), "{name}");
        }
        assert_eq!(refusal(&contract, "A1_b", "x"), None);
        assert!(refusal(&contract, "A", "x\0").is_some());
        assert!(refusal(&contract, "A", &"x".repeat(LONGEST + 1)).is_some());
    }
}
