//! An API server that plays a script: so many requests in this order, each with its answer.
//!
//! Holds: a request that the script does not have next is no answer's, and fails the test when the script is
//! [checked](Script::played). Only for tests.

use axum::http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

/// What the server answers.
#[derive(Clone, Debug)]
pub enum ScriptedAnswer {
    /// An object.
    Is(Value),
    /// A refusal with this code.
    Code(u16),
    /// The connection breaks: nobody knows whether it was done.
    Reset,
}

#[derive(Default)]
struct State {
    next: VecDeque<(String, ScriptedAnswer)>,
    sent: Vec<Value>,
    astray: Vec<String>,
}

/// A script that is being played.
pub struct Script(Arc<Mutex<State>>);

impl Script {
    /// Begins to play: `GET /api/v1/namespaces/n/secrets/s` and its answer, and so on.
    pub fn play(requests: impl IntoIterator<Item = (String, ScriptedAnswer)>) -> (Script, Client) {
        let state = Arc::new(Mutex::new(State {
            next: requests.into_iter().collect(),
            ..State::default()
        }));
        let of_server = Arc::clone(&state);
        let service = tower::service_fn(move |request: Request<Body>| {
            answer(Arc::clone(&of_server), request)
        });
        (Script(state), Client::new(service, "default"))
    }

    /// What was sent with each request, after all of them were made and no other.
    pub fn played(self) -> Vec<Value> {
        let state = self.0.lock().unwrap();
        assert!(state.astray.is_empty(), "asked astray: {:?}", state.astray);
        assert!(state.next.is_empty(), "not asked: {:?}", state.next);
        state.sent.clone()
    }
}

async fn answer(
    state: Arc<Mutex<State>>,
    request: Request<Body>,
) -> Result<Response<Body>, io::Error> {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let body = request.into_body().collect_bytes().await;
    let sent = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or(Value::Null);
    let answer = {
        let mut state = state.lock().unwrap();
        match state.next.pop_front() {
            Some((expected, answer)) if expected == asked => {
                state.sent.push(sent);
                answer
            }
            other => {
                state.astray.push(format!("{asked} instead of {other:?}"));
                ScriptedAnswer::Reset
            }
        }
    };
    let (code, body) = match answer {
        ScriptedAnswer::Is(object) => (200, object),
        ScriptedAnswer::Code(code) => (code, status(code)),
        ScriptedAnswer::Reset => return Err(io::Error::from(io::ErrorKind::ConnectionReset)),
    };
    let response = Response::builder().status(code);
    let body = Body::from(body.to_string().into_bytes());
    Ok(response.body(body).unwrap())
}

fn status(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "reason": "Reason", "message": format!("the server says {code}")})
}
