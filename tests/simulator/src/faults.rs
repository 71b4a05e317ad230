//! Faults: which exchange is to go wrong, how, and how often that has happened.
//!
//! A fault counts the exchanges that match it from the moment it was posted. It fires at the `nth` of them and `times`
//! in a row. What an effect does to an exchange is in `gate.rs`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::exchange::Request;

/// What happens to an exchange.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    ResetBefore,
    ResetAfter,
    Late(Duration),
    Delay(Duration),
    Status {
        status: u16,
        body: Value,
        headers: BTreeMap<String, String>,
        /// The provider did it, and something on the way back answers for it.
        applied: bool,
    },
    GraphqlError(String),
    Throttled,
    Truncated,
    Endless,
    ShortList(usize),
    Kill {
        pid: i32,
        before: bool,
    },
}

impl Effect {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::ResetBefore => "reset_before",
            Self::ResetAfter => "reset_after",
            Self::Late(_) => "late",
            Self::Delay(_) => "delay",
            Self::Status { applied: true, .. } => "status, applied",
            Self::Status { .. } => "status",
            Self::GraphqlError(_) => "graphql_error",
            Self::Throttled => "throttled",
            Self::Truncated => "truncated",
            Self::Endless => "endless",
            Self::ShortList(0) => "empty_list",
            Self::ShortList(_) => "short_list",
            Self::Kill { before: true, .. } => "kill before",
            Self::Kill { before: false, .. } => "kill after",
        }
    }

    fn read(value: &Value) -> Result<Self, String> {
        if let Some(name) = value.as_str() {
            return match name {
                "reset_before" => Ok(Self::ResetBefore),
                "reset_after" => Ok(Self::ResetAfter),
                "throttled" => Ok(Self::Throttled),
                "truncated" => Ok(Self::Truncated),
                "endless" => Ok(Self::Endless),
                "empty_list" => Ok(Self::ShortList(0)),
                _ => Err(format!("unknown effect {name:?}; {KNOWN_EFFECTS}")),
            };
        }
        let effect: Wire = serde_json::from_value(value.clone())
            .map_err(|_| format!("unknown effect {value}; {KNOWN_EFFECTS}"))?;
        Ok(match effect {
            Wire::Late { late } => Self::Late(seconds(late)?),
            Wire::Delay { delay } => Self::Delay(seconds(delay)?),
            Wire::Status {
                status,
                body,
                headers,
                applied,
            } => {
                if !(200..600).contains(&status) {
                    return Err(format!("{status} is no status to answer with"));
                }
                Self::Status {
                    status,
                    body,
                    headers,
                    applied,
                }
            }
            Wire::GraphqlError { graphql_error } => Self::GraphqlError(graphql_error.message),
            Wire::ShortList { short_list } => Self::ShortList(short_list),
            Wire::Kill { kill } => {
                if kill.pid <= 1 {
                    return Err(format!("{} is no process to kill", kill.pid));
                }
                Self::Kill {
                    pid: kill.pid,
                    before: kill.when == When::Before,
                }
            }
        })
    }
}

const KNOWN_EFFECTS: &str = "effects are reset_before, reset_after, {\"late\": seconds}, {\"delay\": seconds}, \
    {\"status\": n, \"body\": …, \"headers\": {…}, \"applied\": bool}, {\"graphql_error\": {\"message\": …}}, throttled, truncated, endless, \
    empty_list, {\"short_list\": n}, {\"kill\": {\"pid\": n, \"when\": \"before\" | \"after\"}}";

fn seconds(seconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("{seconds} are no seconds"))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Wire {
    Late {
        late: f64,
    },
    Delay {
        delay: f64,
    },
    Status {
        status: u16,
        #[serde(default)]
        body: Value,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        applied: bool,
    },
    GraphqlError {
        graphql_error: Message,
    },
    ShortList {
        short_list: usize,
    },
    Kill {
        kill: Kill,
    },
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

#[derive(Deserialize)]
struct Kill {
    pid: i32,
    when: When,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum When {
    Before,
    After,
}

/// A fault as it is posted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// A provider's name; `*` is any.
    #[serde(default = "any")]
    provider: String,
    /// A GraphQL root field, `METHOD /path/{template}`, or `*`.
    #[serde(default = "any")]
    operation: String,
    #[serde(default = "one")]
    nth: u64,
    /// How many in a row; null or 0 = for ever.
    #[serde(default = "once")]
    times: Option<u64>,
    effect: Value,
    /// Only exchanges of this Railway workspace or account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workspace: Option<String>,
    /// Only exchanges whose host, path or body contains this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contains: Option<String>,
}

fn any() -> String {
    "*".to_owned()
}
fn one() -> u64 {
    1
}
fn once() -> Option<u64> {
    Some(1)
}

#[derive(Debug)]
struct Fault {
    id: String,
    order: Order,
    effect: Effect,
    matched: u64,
    fired: u64,
}

impl Fault {
    fn matches(&self, exchange: &Exchange<'_>) -> bool {
        let order = &self.order;
        let request = exchange.request;
        (order.provider == "*" || order.provider == exchange.provider)
            && (order.operation == "*"
                || exchange.operations.contains(&order.operation)
                || is_path(&order.operation, request))
            && order
                .workspace
                .as_deref()
                .is_none_or(|wanted| exchange.workspace == Some(wanted))
            && order.contains.as_deref().is_none_or(|text| {
                request.host.contains(text)
                    || request.target().contains(text)
                    || request.body.wire().contains(text)
            })
    }

    fn fires(&self) -> bool {
        let times = self
            .order
            .times
            .filter(|times| *times > 0)
            .unwrap_or(u64::MAX);
        let nth = self.order.nth.max(1);
        self.matched >= nth && self.matched - nth < times
    }

    fn json(&self) -> Value {
        let mut value = json!(self.order);
        if let Value::Object(fields) = &mut value {
            fields.insert("id".to_owned(), json!(self.id));
            fields.insert("matched".to_owned(), json!(self.matched));
            fields.insert("fired".to_owned(), json!(self.fired));
        }
        value
    }
}

/// Is `operation` the `METHOD /path/{template}` of this request?
fn is_path(operation: &str, request: &Request) -> bool {
    let Some((method, template)) = operation.split_once(' ') else {
        return false;
    };
    let mut wanted = template.trim().split('/');
    let mut given = request.path.split('/');
    if method != "*" && !method.eq_ignore_ascii_case(&request.method) {
        return false;
    }
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some("**"), _) => return true,
            (Some(template), Some(segment)) => {
                let parameter = template.starts_with('{') && template.ends_with('}');
                if !parameter && template != segment {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// What faults look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange<'a> {
    pub provider: &'a str,
    pub operations: &'a [String],
    pub workspace: Option<&'a str>,
    pub request: &'a Request,
}

#[derive(Debug, Default)]
struct List {
    posted: u64,
    faults: Vec<Fault>,
}

#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<List>);

impl Faults {
    pub(crate) fn post(&self, order: Value) -> Result<Value, String> {
        let order: Order = serde_json::from_value(order).map_err(|error| error.to_string())?;
        let effect = Effect::read(&order.effect)?;
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.posted += 1;
        let id = list.posted.to_string();
        let fault = Fault {
            id,
            order,
            effect,
            matched: 0,
            fired: 0,
        };
        let stored = fault.json();
        list.faults.push(fault);
        Ok(stored)
    }

    pub(crate) fn list(&self) -> Value {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.faults.iter().map(Fault::json).collect()
    }

    pub(crate) fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .faults
            .clear();
    }

    /// Whether there was one.
    pub(crate) fn remove(&self, id: &str) -> bool {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = list.faults.len();
        list.faults.retain(|fault| fault.id != id);
        list.faults.len() < before
    }

    /// Counts this exchange everywhere it matches, and says what is to happen to it: the oldest fault that is due wins.
    pub(crate) fn strike(&self, exchange: Exchange<'_>) -> Option<Effect> {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut effect = None;
        for fault in &mut list.faults {
            if fault.matches(&exchange) {
                fault.matched += 1;
                if effect.is_none() && fault.fires() {
                    fault.fired += 1;
                    effect = Some(fault.effect.clone());
                }
            }
        }
        effect
    }
}
