//! Telnyx's HTTP: the routes below `/v2`, pages, and refusals with Telnyx's codes.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::orders::{Wrong, phones};
use super::profiles::Profile;
use super::{Account, Accounts, Offer, Telnyx, seen_after};
use crate::clock;
use crate::exchange::{Answer, Request};
use crate::inventory::Resource;
use crate::provider::Provider;
use crate::rest::{self, Call};
use crate::settings::{NumberGone, Settings};

/// Features that every number has.
const FEATURES: &[&str] = &["sms", "mms", "voice", "fax", "emergency", "local_calling"];

#[async_trait]
impl Provider for Telnyx {
    fn name(&self) -> &'static str {
        "telnyx"
    }

    fn account(&self, request: &Request) -> Option<String> {
        rest::account(request.bearer(), "KEY")
    }

    async fn answer(&self, request: &Request) -> Answer {
        let Some(account) = Provider::account(self, request) else {
            let sentence = "Could not understand the provided credentials.";
            return refused(401, "10009", "Authentication failed", sentence);
        };
        let settings = self.settings.of(&account);
        let now = clock::now();
        let limit = settings.telnyx_per_second;
        if self.rate.exceeded(&account, limit, now) {
            return self.throttled(request).with("X-RateLimit-Limit", limit);
        }
        let Some(call) = Call::below("/v2", request) else {
            return not_found();
        };
        let asked = Asked {
            account: &account,
            call: &call,
            body: request.body.json().unwrap_or(&Value::Null),
            settings: &settings,
            now,
        };
        asked.route(&request.method, &account, &mut self.accounts())
    }

    fn throttled(&self, _: &Request) -> Answer {
        let sentence = "You have exceeded the maximum number of allowed requests.";
        refused(429, "10011", "Too many requests", sentence)
            .with("Retry-After", 1)
            .with("X-RateLimit-Remaining", 0)
            .with("X-RateLimit-Reset", 1)
    }

    /// A list that is cut counts what is left as all there is.
    fn shorten(&self, body: &mut Value, keep: usize) {
        let Some(rows) = body["data"].as_array_mut() else {
            return;
        };
        rows.truncate(keep);
        let total = rows.len();
        for meta in ["meta", "metadata"] {
            if let Some(meta) = body.get_mut(meta).and_then(Value::as_object_mut) {
                meta.insert("total_results".to_owned(), json!(total));
                if let Some(pages) = meta.get_mut("total_pages") {
                    *pages = json!(usize::from(total > 0));
                }
            }
        }
    }

    fn resources(&self) -> Vec<Resource> {
        self.living(clock::now())
    }
}

/// A request with everything that decides its answer.
struct Asked<'a> {
    account: &'a str,
    call: &'a Call,
    body: &'a Value,
    settings: &'a Settings,
    now: Timestamp,
}

impl Asked<'_> {
    fn route(&self, method: &str, name: &str, accounts: &mut Accounts) -> Answer {
        match (method, self.call.parts().as_slice()) {
            ("GET", ["available_phone_numbers"]) => self.search(name, accounts),
            ("POST", ["number_orders"]) => self.order(name, accounts),
            (_, [room, ..]) => {
                let account = accounts.of(name);
                match *room {
                    "number_orders" | "sub_number_orders" => self.orders(method, account),
                    "phone_numbers" => self.numbers(method, account),
                    "messaging_profiles" => self.profiles(method, account),
                    "balance" if method == "GET" => self.balance(),
                    _ => not_found(),
                }
            }
            _ => not_found(),
        }
    }

    /// Random numbers that nobody has. Seeing one is what makes it possible to order it.
    fn search(&self, name: &str, accounts: &mut Accounts) -> Answer {
        let filter = |key: &str| self.call.query(&format!("filter[{key}]"));
        let country = filter("country_code").unwrap_or("US");
        let kind = filter("phone_number_type").unwrap_or("local");
        let limit = filter("limit").and_then(|limit| limit.parse().ok());
        let wanted = filter("features][").or_else(|| filter("features"));
        let has_features = wanted.is_none_or(|feature| FEATURES.contains(&feature));
        let limit: usize = if has_features { limit.unwrap_or(10) } else { 0 };
        let mut rows = Vec::new();
        for _ in 0..limit.min(250) {
            let phone = random_number(country, kind, filter("national_destination_code"));
            if accounts.is_taken(&phone) {
                continue;
            }
            let offer = Offer {
                country: country.to_owned(),
                kind: kind.to_owned(),
                monthly_cost: self.settings.telnyx_monthly_cost,
            };
            rows.push(json!({
                "record_type": "available_phone_number",
                "phone_number": phone,
                "cost_information": { "monthly_cost": format!("{:.2}", offer.monthly_cost), "upfront_cost": "0.00", "currency": "USD" },
                "features": FEATURES.iter().map(|name| json!({ "name": name })).collect::<Value>(),
                "region_information": [{ "region_type": "country_code", "region_name": country }],
                "best_effort": false,
                "quickship": true,
                "reservable": true,
                "vanity_format": "",
            }));
            accounts.of(name).offered.insert(phone, offer);
        }
        let found = json!({ "total_results": rows.len(), "best_effort_results": 0 });
        Answer::json(
            200,
            json!({ "data": rows, "meta": found, "metadata": found }),
        )
    }

    fn order(&self, name: &str, accounts: &mut Accounts) -> Answer {
        if phones(self.body).any(|phone| accounts.is_taken(phone)) {
            let sentence = "One or more of the phone numbers are no longer available.";
            return unprocessable(sentence, "/phone_numbers");
        }
        let placed = accounts.of(name).order(self.body, self.settings, self.now);
        match placed {
            Ok(order) => data(order.whole(self.now)),
            Err(Wrong::Empty) => {
                unprocessable("phone_numbers must not be empty.", "/phone_numbers")
            }
            Err(Wrong::NotSearched) => {
                let sentence = "You can only purchase phone numbers which have been returned in a \
                    search of available phone numbers.";
                bad_request(sentence, "/phone_numbers")
            }
            Err(Wrong::NoProfile) => unprocessable(
                "The messaging profile does not exist.",
                "/messaging_profile_id",
            ),
        }
    }

    fn orders(&self, method: &str, account: &mut Account) -> Answer {
        let now = self.now;
        let filter = |key: &str, own: Option<&str>| {
            let wanted = self.call.query(&format!("filter[{key}]"));
            wanted.is_none_or(|wanted| own == Some(wanted))
        };
        match (method, self.call.parts().as_slice()) {
            ("GET", ["number_orders"]) => {
                let created = |key: &str| self.call.query(&format!("filter[created_at][{key}]"));
                let created = |key: &str| created(key)?.parse::<Timestamp>().ok();
                let seen = account.orders.iter().rev().filter(|order| {
                    order.seen_at <= now
                        && filter("customer_reference", order.reference.as_deref())
                        && filter("status", Some(order.status(now)))
                        && created("gt").is_none_or(|moment| order.created_at > moment)
                        && created("lt").is_none_or(|moment| order.created_at < moment)
                });
                self.page(seen.map(|order| order.json(now)).collect())
            }
            ("GET", ["number_orders", id]) => {
                let mut orders = account.orders.iter();
                let found = orders.find(|order| order.id == *id && order.seen_at <= now);
                found.map_or_else(not_found, |order| data(order.whole(now)))
            }
            ("GET", ["sub_number_orders"]) => {
                let seen = account.orders.iter().rev().filter(|order| {
                    order.seen_at <= now
                        && filter("order_request_id", Some(&order.id))
                        && filter("status", Some(order.status(now)))
                });
                self.page(seen.map(|order| order.part(now)).collect())
            }
            ("PATCH", ["sub_number_orders", part, "cancel"]) => {
                let mut orders = account.orders.iter_mut();
                let Some(order) = orders.find(|order| order.part == *part) else {
                    return not_found();
                };
                if !order.is_pending(now) {
                    let sentence = "Only sub number orders with status pending can be cancelled.";
                    return unprocessable(sentence, "/status");
                }
                order.cancelled_at = Some(now);
                let (id, shown) = (order.id.clone(), order.part(now));
                account.empty(&id);
                data(shown)
            }
            _ => not_found(),
        }
    }

    fn numbers(&self, method: &str, account: &mut Account) -> Answer {
        let (settings, now) = (self.settings, self.now);
        match (method, self.call.parts().as_slice()) {
            ("GET", ["phone_numbers"]) => {
                let seen = account.listed(self.call, settings, now);
                self.page(seen.iter().map(|number| number.json(account)).collect())
            }
            ("DELETE", ["phone_numbers", id]) => self.release(id, account),
            (_, ["phone_numbers", id, rest @ ..]) => {
                let Some(at) = account.number(id, settings, now) else {
                    return not_found();
                };
                match (method, rest) {
                    ("GET", []) => data(account.numbers[at].json(account)),
                    ("PATCH", []) => {
                        account.numbers[at].edit(self.body, now);
                        data(account.numbers[at].json(account))
                    }
                    ("GET", ["messaging"]) => data(account.numbers[at].messaging()),
                    ("PATCH", ["messaging"]) => self.assign(at, account),
                    _ => not_found(),
                }
            }
            _ => not_found(),
        }
    }

    /// Deleting needs the number's id, and finds it however new it is.
    fn release(&self, id: &str, account: &mut Account) -> Answer {
        let is = |number: &super::Number| number.id == id && number.since <= self.now;
        let Some(at) = account.numbers.iter().position(is) else {
            return not_found();
        };
        let number = &mut account.numbers[at];
        if number.deleted_at.is_some() {
            return match self.settings.telnyx_second_delete {
                NumberGone::NotFound => not_found(),
                NumberGone::Ok => data(account.numbers[at].last_words(account)),
            };
        }
        if number.locked {
            let sentence = "The phone number has deletion lock enabled.";
            return unprocessable(sentence, "/deletion_lock_enabled");
        }
        number.deleted_at = Some(self.now);
        number.updated_at = self.now;
        data(account.numbers[at].last_words(account))
    }

    /// No profile or null keeps the one there is; the empty text takes it away.
    fn assign(&self, at: usize, account: &mut Account) -> Answer {
        match self.body["messaging_profile_id"].as_str() {
            None => {}
            Some("") => account.numbers[at].profile = None,
            Some(id) if account.has_profile(id) => {
                account.numbers[at].profile = Some(id.to_owned());
            }
            Some(_) => {
                let sentence = "The messaging profile does not exist.";
                return unprocessable(sentence, "/messaging_profile_id");
            }
        }
        let tags = json!({ "tags": self.body["tags"] });
        account.numbers[at].edit(&tags, self.now);
        data(account.numbers[at].messaging())
    }

    fn profiles(&self, method: &str, account: &mut Account) -> Answer {
        let now = self.now;
        match (method, self.call.parts().as_slice()) {
            ("GET", ["messaging_profiles"]) => {
                let exact = self.call.query("filter[name][eq]");
                let exact = exact.or_else(|| self.call.query("filter[name]"));
                let part = self.call.query("filter[name][contains]");
                let seen = account.profiles.iter().rev().filter(|profile| {
                    profile.seen_at <= now
                        && exact.is_none_or(|name| profile.name() == name)
                        && part.is_none_or(|part| profile.name().contains(part))
                });
                self.page(seen.map(Profile::json).collect())
            }
            ("POST", ["messaging_profiles"]) => {
                if self.body["name"].as_str().is_none_or(str::is_empty) {
                    return bad_request("name is required.", "/name");
                }
                if !self.body["whitelisted_destinations"].is_array() {
                    let sentence = "whitelisted_destinations is required.";
                    return bad_request(sentence, "/whitelisted_destinations");
                }
                let profile =
                    Profile::new(self.account, self.body, now, seen_after(self.settings, now));
                let shown = profile.json();
                account.profiles.push(profile);
                data(shown)
            }
            ("DELETE", ["messaging_profiles", id]) => account
                .delete_profile(id)
                .map_or_else(not_found, |profile| data(profile.json())),
            (_, ["messaging_profiles", id, rest @ ..]) => {
                let mut profiles = account.profiles.iter_mut();
                let found = profiles.find(|profile| profile.id == *id && profile.seen_at <= now);
                let Some(profile) = found else {
                    return not_found();
                };
                match (method, rest) {
                    ("GET", []) => data(profile.json()),
                    ("PATCH", []) => {
                        profile.edit(self.body, now);
                        data(profile.json())
                    }
                    ("GET", ["phone_numbers"]) => {
                        let mut seen = account.listed(self.call, self.settings, now);
                        seen.retain(|number| number.profile.as_deref() == Some(*id));
                        self.page(seen.iter().map(|number| number.messaging()).collect())
                    }
                    _ => not_found(),
                }
            }
            _ => not_found(),
        }
    }

    fn balance(&self) -> Answer {
        let balance = format!("{:.2}", self.settings.telnyx_balance);
        data(json!({
            "record_type": "balance",
            "balance": balance,
            "available_credit": balance,
            "credit_limit": "0.00",
            "pending": "0.00",
            "currency": "USD",
        }))
    }

    /// The page that was asked for.
    fn page(&self, rows: Vec<Value>) -> Answer {
        let asked = |name: &str| self.call.query(name)?.parse::<usize>().ok();
        let number = asked("page[number]").unwrap_or(1).max(1);
        let size = asked("page[size]").unwrap_or(20).clamp(1, 250);
        let total = rows.len();
        let first = (number - 1).saturating_mul(size);
        let rows: Vec<Value> = rows.into_iter().skip(first).take(size).collect();
        let meta = json!({
            "page_number": number,
            "page_size": size,
            "total_pages": total.div_ceil(size),
            "total_results": total,
        });
        Answer::json(200, json!({ "data": rows, "meta": meta }))
    }
}

/// A number of this country in E.164.
pub(super) fn random_number(country: &str, kind: &str, area: Option<&str>) -> String {
    let (code, usual) = match (country, kind) {
        ("US" | "CA", "toll_free") => ("1", "800"),
        ("CA", _) => ("1", "416"),
        ("GB", _) => ("44", "20"),
        ("DE", _) => ("49", "30"),
        ("FR", _) => ("33", "1"),
        _ => ("1", "415"),
    };
    let area = area.unwrap_or(usual);
    let length = 10_usize.saturating_sub(area.len()).max(4);
    let digits = (0..length).map(|at| {
        let lowest = if at == 0 { 2 } else { 0 };
        let digit = lowest + rand::random::<u8>() % (10 - lowest);
        char::from(b'0' + digit)
    });
    format!("+{code}{area}{}", digits.collect::<String>())
}

fn data(record: Value) -> Answer {
    Answer::json(200, json!({ "data": record }))
}

fn refused(status: u16, code: &str, title: &str, detail: &str) -> Answer {
    let url = format!("https://developers.telnyx.com/docs/overview/errors/{code}");
    Answer::json(
        status,
        json!({ "errors": [{ "code": code, "title": title, "detail": detail, "meta": { "url": url } }] }),
    )
}

fn not_found() -> Answer {
    let sentence = "The requested resource or URL could not be found.";
    refused(404, "10005", "Resource not found", sentence)
}

fn bad_request(detail: &str, pointer: &str) -> Answer {
    with_source(refused(400, "10015", "Bad Request", detail), pointer)
}

fn unprocessable(detail: &str, pointer: &str) -> Answer {
    with_source(refused(422, "10015", "Unprocessable", detail), pointer)
}

fn with_source(mut answer: Answer, pointer: &str) -> Answer {
    if let crate::exchange::Body::Json(body) = &mut answer.body {
        body["errors"][0]["source"] = json!({ "pointer": pointer });
    }
    answer
}
