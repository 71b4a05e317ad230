//! The way to an agent: its address, and its token shown as its program takes it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use yardmaster::model::TokenForm;

use crate::object::eventually;

/// How long one answer may take: the first chat of a program loads what it needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is shown of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Right,
    Wrong,
    Nothing,
}

/// What an agent answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub status: u16,
    pub text: String,
}

impl Answered {
    /// As JSON; null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// The way to an agent.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    http: reqwest::Client,
    url: String,
    form: TokenForm,
    token: String,
}

impl Door {
    pub(crate) fn new(http: reqwest::Client, url: &str, form: TokenForm, token: String) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        Self {
            http,
            url,
            form,
            token,
        }
    }

    fn showing(&self, request: RequestBuilder, shown: Shown) -> RequestBuilder {
        let token = match shown {
            Shown::Nothing => return request,
            Shown::Right => self.token.clone(),
            Shown::Wrong => format!("{}-but-not-quite", self.token),
        };
        match &self.form {
            TokenForm::Bearer => request.bearer_auth(token),
            TokenForm::Basic { user } => request.basic_auth(user, Some(token)),
            TokenForm::Header { name } => request.header(name, token),
        }
    }

    /// Asks, with or without the token.
    pub(crate) async fn ask(
        &self,
        (method, path): (Method, &str),
        shown: Shown,
        body: Option<Value>,
        session: Option<&str>,
    ) -> Result<Answered> {
        let asked = format!("{method} {path}");
        let request = self.http.request(method, format!("{}{path}", self.url));
        let mut request = self.showing(request, shown).timeout(PATIENCE);
        if let Some(session) = session {
            request = request.header("X-Hermes-Session-Id", session);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.with_context(|| asked.clone())?;
        let status = answer.status().as_u16();
        let text = answer.text().await.context(asked)?;
        Ok(Answered { status, text })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answered> {
        self.ask((Method::GET, path), Shown::Right, None, None)
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Answered> {
        self.ask((Method::POST, path), Shown::Right, Some(body), None)
            .await
    }

    /// Waits until an answer is as it should be.
    pub(crate) async fn until(
        &self,
        what: &str,
        path: &str,
        deadline: Duration,
        is: impl Fn(&Answered) -> bool,
    ) -> Result<Answered> {
        eventually(what, deadline, async || {
            let answered = self.get(path).await?;
            Ok(is(&answered).then_some(answered))
        })
        .await
    }
}
