//! One HTTP exchange as the providers see it: a request that was read whole, and what is answered.
//!
//! Deliberately absent: streaming of requests. Every body here is small. What is passed to a program is not read (`passage`).

use std::time::Duration;

use axum::http::HeaderMap;
use base64::Engine as _;
use serde_json::{Value, json};

/// A request below a provider's host.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub host: String,
    pub method: String,
    /// Without the query string.
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
    pub body: Body,
}

/// The body of a request or an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    Empty,
    Json(Value),
    /// JSON that is written out already.
    JsonText(String),
    Text(String),
    /// Server-sent events, with so much time between two.
    Events(Vec<String>, Duration),
}

impl Body {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        match serde_json::from_slice(bytes) {
            Ok(value) => Self::Json(value),
            Err(_) => Self::Text(String::from_utf8_lossy(bytes).into_owned()),
        }
    }

    pub(crate) fn json(&self) -> Option<&Value> {
        match self {
            Self::Json(value) => Some(value),
            _ => None,
        }
    }

    /// The bytes on the wire, as text.
    pub(crate) fn wire(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Json(value) => value.to_string(),
            Self::JsonText(text) | Self::Text(text) => text.clone(),
            Self::Events(events, _) => events.concat(),
        }
    }

    /// As one JSON value in the journal: a body that is not JSON becomes a string.
    pub(crate) fn journal(&self) -> String {
        match self {
            Self::Empty => "null".to_owned(),
            Self::Json(value) => value.to_string(),
            Self::JsonText(text) => text.clone(),
            Self::Text(text) => Value::String(text.clone()).to_string(),
            Self::Events(events, _) => Value::String(events.concat()).to_string(),
        }
    }
}

impl Request {
    /// Path and query string, as a client wrote them.
    pub(crate) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// User name and password of Basic authentication.
    pub(crate) fn basic(&self) -> Option<(String, String)> {
        let (scheme, encoded) = self.header("authorization")?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(encoded.trim())
            .ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }
}

/// What a provider answers.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
}

impl Answer {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Json(body),
        }
    }

    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Text(text.into()),
        }
    }

    /// `{"error": message}`, as most REST services refuse.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        Self::json(status, json!({ "error": message }))
    }

    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}
