//! AgentMail's HTTP: who asks and what they may see, the routes below `/v0`, pages, and refusals.
//!
//! Something out of scope is not there: a key of one inbox gets 404 for all others.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::inboxes::{Inbox, Wish, check_client_id};
use super::keys::Key;
use super::{AgentMail, DOMAIN, Office, Pod};
use crate::clock::{self, text};
use crate::exchange::{Answer, Body, Request};
use crate::inventory::Resource;
use crate::provider::Provider;
use crate::rest::{self, Call};
use crate::settings::{NameReuse, Settings};

/// Who asks.
enum Caller {
    Organization,
    /// With the key of one inbox.
    Inbox {
        address: String,
        key: String,
    },
}

impl AgentMail {
    fn caller(&self, request: &Request) -> Option<(String, Caller)> {
        let token = request.bearer()?;
        if let Some(account) = rest::account(Some(token), "am_org_") {
            return Some((account, Caller::Organization));
        }
        let office = self.office();
        let (account, key) = office.key(token)?;
        let caller = Caller::Inbox {
            address: key.inbox.clone(),
            key: key.id.clone(),
        };
        Some((account.to_owned(), caller))
    }
}

#[async_trait]
impl Provider for AgentMail {
    fn name(&self) -> &'static str {
        "agentmail"
    }

    fn account(&self, request: &Request) -> Option<String> {
        Some(self.caller(request)?.0)
    }

    async fn answer(&self, request: &Request) -> Answer {
        let Some((account, caller)) = self.caller(request) else {
            let (code, message) = match request.header("authorization") {
                None => ("missing_authorization", "Missing Authorization header"),
                Some(_) => ("unknown_api_key", "Unknown API key"),
            };
            return refused(401, "UnauthorizedError", code, message);
        };
        let settings = self.settings.of(&account);
        let limit = settings.agentmail_per_second;
        if self.rate.exceeded(&account, limit, clock::now()) {
            return self.throttled(request);
        }
        let Some(call) = Call::below("/v0", request) else {
            return not_found("Route");
        };
        let asked = Asked {
            account: &account,
            caller: &caller,
            call: &call,
            body: request.body.json().unwrap_or(&Value::Null),
            settings: &settings,
        };
        let mut office = self.office();
        let outcome = asked.route(&request.method, &mut office);
        outcome.unwrap_or_else(|refusal| refusal)
    }

    fn throttled(&self, _: &Request) -> Answer {
        let code = "rate_limit_exceeded";
        refused(429, "RateLimitError", code, "Too many requests").with("Retry-After", 1)
    }

    /// A list that is cut says nothing of a next page.
    fn shorten(&self, body: &mut Value, keep: usize) {
        let Value::Object(fields) = body else {
            return;
        };
        let lists = fields.values_mut().filter_map(Value::as_array_mut);
        let kept = lists.map(|rows| {
            rows.truncate(keep);
            rows.len()
        });
        if let Some(count) = kept.max() {
            fields.remove("next_page_token");
            fields.insert("count".to_owned(), json!(count));
        }
    }

    fn resources(&self) -> Vec<Resource> {
        self.living()
    }
}

/// A request with everything that decides its answer.
struct Asked<'a> {
    account: &'a str,
    caller: &'a Caller,
    call: &'a Call,
    body: &'a Value,
    settings: &'a Settings,
}

type Outcome = Result<Answer, Answer>;

impl Asked<'_> {
    fn route(&self, method: &str, office: &mut Office) -> Outcome {
        match (method, self.call.parts().as_slice()) {
            ("GET", ["auth", "me"]) => Ok(Answer::json(200, self.identity(office))),
            ("GET", ["organizations"]) => Ok(Answer::json(200, self.organization(office))),
            (_, ["inboxes", rest @ ..]) => self.inboxes(method, None, rest, office),
            (_, ["pods", pod, "inboxes", rest @ ..]) => {
                self.organization_only()?;
                let mut pods = office.of(self.account).pods.iter();
                if *pod != self.account && !pods.any(|row| row.id == *pod) {
                    return Err(not_found("Pod"));
                }
                self.inboxes(method, Some(pod), rest, office)
            }
            (_, ["pods", rest @ ..]) => {
                self.organization_only()?;
                self.pods(method, rest, office)
            }
            _ => Err(not_found("Route")),
        }
    }

    fn identity(&self, office: &mut Office) -> Value {
        match self.caller {
            Caller::Organization => json!({
                "scope_type": "organization",
                "scope_id": self.account,
                "organization_id": self.account,
            }),
            Caller::Inbox { address, key } => {
                let inbox = office.of(self.account).inbox(address);
                json!({
                    "scope_type": "inbox",
                    "scope_id": address,
                    "organization_id": self.account,
                    "pod_id": inbox.map_or(self.account, |inbox| inbox.pod.as_str()),
                    "inbox_id": address,
                    "api_key_id": key,
                })
            }
        }
    }

    fn organization(&self, office: &mut Office) -> Value {
        let account = office.of(self.account);
        let mut organization = json!({
            "organization_id": self.account,
            "inbox_count": account.inboxes.len(),
            "domain_count": self.settings.agentmail_domains.len(),
            "created_at": text(account.created_at),
            "updated_at": text(account.created_at),
        });
        // No limit is said by saying nothing.
        if self.settings.agentmail_max_inboxes > 0 {
            organization["inbox_limit"] = json!(self.settings.agentmail_max_inboxes);
        }
        organization
    }

    fn organization_only(&self) -> Result<(), Answer> {
        match self.caller {
            Caller::Organization => Ok(()),
            Caller::Inbox { .. } => Err(forbidden("missing_permission", "Missing permission")),
        }
    }

    /// May this caller do that, where it sees anything? The organization may do everything.
    fn permitted(&self, permission: &str, office: &mut Office) -> Result<(), Answer> {
        let Caller::Inbox { key, .. } = self.caller else {
            return Ok(());
        };
        let mut keys = office.of(self.account).keys.iter();
        if keys.any(|own| own.id == *key && own.may(permission)) {
            return Ok(());
        }
        let sentence = format!("Missing permission: {permission}");
        Err(forbidden("missing_permission", &sentence))
    }

    fn sees(&self, inbox: &Inbox, pod: Option<&str>) -> bool {
        let in_scope = match self.caller {
            Caller::Organization => true,
            Caller::Inbox { address, .. } => inbox.address == *address,
        };
        in_scope && pod.is_none_or(|pod| inbox.pod == pod)
    }

    fn inboxes(
        &self,
        method: &str,
        pod: Option<&str>,
        rest: &[&str],
        office: &mut Office,
    ) -> Outcome {
        match (method, rest) {
            ("GET", []) => {
                self.permitted("inbox_read", office)?;
                let rows = office.of(self.account).inboxes.iter();
                let seen = rows.filter(|inbox| self.sees(inbox, pod));
                let rows = seen.map(|inbox| (inbox.seq, inbox.json())).collect();
                Ok(self.page("inboxes", rows))
            }
            ("POST", []) => {
                self.organization_only()?;
                self.create_inbox(pod.unwrap_or(self.account), office)
            }
            (_, [address, rest @ ..]) => {
                let found = office.of(self.account).inbox(address);
                if !found.is_some_and(|inbox| self.sees(inbox, pod)) {
                    return Err(not_found("Inbox"));
                }
                match (method, rest) {
                    // Keys are below /inboxes alone.
                    (_, ["api-keys", rest @ ..]) if pod.is_none() => {
                        self.keys(method, address, rest, office)
                    }
                    (_, []) => self.inbox(method, address, office),
                    _ => Err(not_found("Route")),
                }
            }
            _ => Err(not_found("Route")),
        }
    }

    fn inbox(&self, method: &str, address: &str, office: &mut Office) -> Outcome {
        let permission = match method {
            "GET" => "inbox_read",
            "PATCH" => "inbox_update",
            "DELETE" => "inbox_delete",
            _ => return Err(not_found("Route")),
        };
        self.permitted(permission, office)?;
        let account = office.of(self.account);
        if method == "DELETE" {
            account.delete_inbox(address);
            return Ok(done());
        }
        let mut inboxes = account.inboxes.iter_mut();
        let inbox = inboxes.find(|inbox| inbox.address == address);
        let inbox = inbox.ok_or_else(|| not_found("Inbox"))?;
        if method == "PATCH" {
            inbox.edit(self.body).map_err(invalid)?;
        }
        Ok(Answer::json(200, inbox.json()))
    }

    /// The same client_id again is the inbox that has it, whatever else is asked for.
    fn create_inbox(&self, pod: &str, office: &mut Office) -> Outcome {
        let wish = Wish::read(self.body).map_err(invalid)?;
        let settings = self.settings;
        let account = office.of(self.account);
        if let Some(client_id) = &wish.client_id {
            let mut inboxes = account.inboxes.iter();
            let earlier = inboxes.find(|inbox| inbox.client_id.as_ref() == Some(client_id));
            if let Some(inbox) = earlier {
                return Ok(Answer::json(200, inbox.json()));
            }
            let gone = account.gone_client_ids.contains(client_id);
            if gone && settings.agentmail_client_id_reuse == NameReuse::Taken {
                let sentence = "client_id belongs to a deleted resource";
                return Err(refused(409, "ConflictError", "conflict", sentence));
            }
        }
        if wish.domain != DOMAIN && !settings.agentmail_domains.contains(&wish.domain) {
            let sentence = format!("Domain {} is not verified", wish.domain);
            let name = "UnprocessableError";
            return Err(refused(422, name, "unprocessable", &sentence));
        }
        // The limit comes before the name.
        let limit = settings.agentmail_max_inboxes;
        if limit > 0 && account.inboxes.len() as u64 >= limit {
            let mut refusal = forbidden("limit_exceeded", "Inbox limit exceeded");
            if let Body::Json(body) = &mut refusal.body {
                body["resource"] = json!("inbox");
                body["limit"] = json!(limit);
            }
            return Err(refusal);
        }
        let address = wish.address();
        let kept = account.gone_addresses.contains(&address)
            && settings.agentmail_username_reuse == NameReuse::Taken;
        match office.holder(&address) {
            Some(holder) if holder == self.account => {
                return Err(forbidden("already_exists", "Inbox already exists"));
            }
            None if !kept => {}
            _ => return Err(forbidden("resource_taken", "Inbox is taken")),
        }
        let inbox = Inbox::new(office.next_seq(), pod, address, wish);
        let shown = inbox.json();
        office.of(self.account).inboxes.push(inbox);
        Ok(Answer::json(200, shown))
    }

    fn keys(&self, method: &str, address: &str, rest: &[&str], office: &mut Office) -> Outcome {
        let permission = match method {
            "GET" => "api_key_read",
            "POST" => "api_key_create",
            _ => "api_key_delete",
        };
        self.permitted(permission, office)?;
        let seq = office.next_seq();
        let account = office.of(self.account);
        let pod = account.inbox(address).map(|inbox| inbox.pod.clone());
        let pod = pod.unwrap_or_default();
        match (method, rest) {
            ("GET", []) => {
                let keys = account.keys.iter().filter(|key| key.inbox == address);
                let rows = keys.map(|key| (key.seq, key.json(&pod))).collect();
                let mut page = self.page("api_keys", rows);
                // This list alone does not repeat its limit.
                if let Body::Json(Value::Object(fields)) = &mut page.body {
                    fields.remove("limit");
                }
                Ok(page)
            }
            ("POST", []) => {
                self.check_escalation(&account.keys)?;
                let (key, secret) = Key::mint(seq, address, self.body);
                let mut shown = key.json(&pod);
                shown["api_key"] = json!(secret);
                account.keys.push(key);
                Ok(Answer::json(200, shown))
            }
            ("DELETE", [id]) => {
                let is = |key: &Key| key.inbox == address && key.id == *id;
                let at = account.keys.iter().position(is);
                account.keys.remove(at.ok_or_else(|| not_found("API key"))?);
                Ok(done())
            }
            _ => Err(not_found("Route")),
        }
    }

    /// A key cannot make one that may do more than itself.
    fn check_escalation(&self, keys: &[Key]) -> Result<(), Answer> {
        let Caller::Inbox { key: own, .. } = self.caller else {
            return Ok(());
        };
        let parent = keys.iter().find(|key| key.id == *own);
        let Some(parent) = parent.filter(|key| key.permissions.is_some()) else {
            return Ok(());
        };
        let Some(wanted) = self.body["permissions"].as_object() else {
            let sentence = "An unrestricted key is required";
            return Err(forbidden("unrestricted_key_required", sentence));
        };
        let more = |(name, value): (&String, &Value)| *value == json!(true) && !parent.may(name);
        match wanted.iter().any(more) {
            true => Err(forbidden("permission_escalation", "Permission escalation")),
            false => Ok(()),
        }
    }

    fn pods(&self, method: &str, rest: &[&str], office: &mut Office) -> Outcome {
        let seq = office.next_seq();
        let account = office.of(self.account);
        let default = Pod {
            seq: 0,
            id: self.account.to_owned(),
            name: "Default Pod".to_owned(),
            client_id: None,
            created_at: account.created_at,
        };
        match (method, rest) {
            ("GET", []) => {
                let pods = account.pods.iter().chain([&default]);
                Ok(self.page("pods", pods.map(|pod| (pod.seq, pod.json())).collect()))
            }
            ("POST", []) => {
                let client_id = check_client_id(self.body).map_err(invalid)?;
                let mut pods = account.pods.iter();
                let earlier = pods.find(|pod| client_id.is_some() && pod.client_id == client_id);
                if let Some(pod) = earlier {
                    return Ok(Answer::json(200, pod.json()));
                }
                let pod = Pod::new(seq, self.body);
                let shown = pod.json();
                account.pods.push(pod);
                Ok(Answer::json(200, shown))
            }
            ("GET", [id]) => {
                let mut pods = account.pods.iter().chain([&default]);
                let pod = pods.find(|pod| pod.id == *id);
                let pod = pod.ok_or_else(|| not_found("Pod"))?;
                Ok(Answer::json(200, pod.json()))
            }
            ("DELETE", [id]) => {
                let filled = account.inboxes.iter().any(|inbox| inbox.pod == *id);
                if default.id == *id || filled {
                    let sentence = "Pod cannot be deleted";
                    return Err(refused(409, "CannotDeleteError", "cannot_delete", sentence));
                }
                let at = account.pods.iter().position(|pod| pod.id == *id);
                // Its client_id is free again.
                account.pods.remove(at.ok_or_else(|| not_found("Pod"))?);
                Ok(done())
            }
            _ => Err(not_found("Route")),
        }
    }

    /// A page, newest first unless it is asked for otherwise. The token is the place of the last row.
    fn page(&self, name: &str, mut rows: Vec<(u64, Value)>) -> Answer {
        let ascending = self.call.query("ascending") == Some("true");
        rows.sort_by_key(|(seq, _)| *seq);
        if !ascending {
            rows.reverse();
        }
        let given = self.call.query("limit");
        let given: Option<usize> = given.and_then(|limit| limit.parse().ok());
        let usual = usize::try_from(self.settings.agentmail_page_size).unwrap_or(usize::MAX);
        let limit = given.unwrap_or(usual).max(1);
        if let Some(token) = self.call.query("page_token") {
            let Ok(last) = token.parse::<u64>() else {
                let message = "Invalid page token";
                return invalid(json!([{ "path": ["page_token"], "message": message }]));
            };
            rows.retain(|(seq, _)| if ascending { *seq > last } else { *seq < last });
        }
        let more = rows.len() > limit;
        rows.truncate(limit);
        let mut page = json!({ "count": rows.len() });
        if given.is_some() {
            page["limit"] = json!(limit);
        }
        if let Some((seq, _)) = rows.last().filter(|_| more) {
            page["next_page_token"] = json!(seq.to_string());
        }
        page[name] = rows.into_iter().map(|(_, row)| row).collect();
        Answer::json(200, page)
    }
}

/// Deletions have no body.
fn done() -> Answer {
    Answer {
        status: 200,
        headers: Vec::new(),
        body: Body::Empty,
    }
}

fn refused(status: u16, name: &str, code: &str, message: &str) -> Answer {
    Answer::json(
        status,
        json!({ "name": name, "code": code, "message": message }),
    )
}

fn not_found(what: &str) -> Answer {
    let sentence = format!("{what} not found");
    refused(404, "NotFoundError", "not_found", &sentence)
}

fn forbidden(code: &str, message: &str) -> Answer {
    refused(403, "ForbiddenError", code, message)
}

fn invalid(errors: Value) -> Answer {
    let message = "Request validation failed";
    let mut answer = refused(400, "ValidationError", "validation_error", message);
    if let Body::Json(body) = &mut answer.body {
        body["errors"] = errors;
    }
    answer
}
