//! The runner's port: its own paths, and everything else to the harness.
//!
//! Holds: without the gateway token nothing is answered but health, which says no more than ready, version and name. Absent: what a
//! call does (`telling.rs`), how a request passes (`passing.rs`).

use crate::contract::Contract;
use crate::output::Log;
use crate::passing::{Place, pass, unavailable};
use crate::pool::{Flow, Pool, whole};
use crate::probe::{Probe, Shown};
use crate::secret::Secret;
use crate::telling::{Desk, Reply};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE,
};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle};
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// The largest body of the runner's own calls.
const LARGEST: usize = 1 << 20;

/// So long a head may take, and a connection may wait for its next.
const HEAD: Duration = Duration::from_secs(75);

/// So long the body of one of the runner's own calls may take.
const BODY: Duration = Duration::from_secs(30);

/// So many connections at once, those that were upgraded among them: each takes memory.
const CONNECTIONS: usize = 512;

/// The largest head, and what is read at once: all connections together may wait for the rest of one.
const READ: usize = 16 << 10;

/// So many seconds nothing may come before it is asked whether somebody is there still: nobody says so of an upgraded connection.
const SILENT: Duration = Duration::from_secs(60);

/// What answers.
pub struct Door {
    pub contract: Arc<Contract>,
    pub token: Secret,
    pub desk: Arc<Desk>,
    pub probe: Arc<Probe>,
    pub pool: Arc<Pool>,
    pub shown: Arc<Shown>,
    pub log: Log,
}

impl Door {
    /// Serves for ever.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(why) => {
                    self.log.say(&format!("a connection is not taken: {why}"));
                    // As when there are no more file descriptors: they come back with time.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let door = Arc::clone(&self);
            tokio::spawn(async move {
                door.converse(stream, Arc::new(place)).await;
            });
        }
    }

    async fn converse(self: Arc<Self>, stream: TcpStream, place: Place) {
        let _ = stream.set_nodelay(true);
        let _ =
            set_socket_keepalive(&stream, true).and_then(|()| set_tcp_keepidle(&stream, SILENT));
        let service = service_fn(|mut request: Request<Incoming>| {
            let door = Arc::clone(&self);
            request.extensions_mut().insert(Arc::clone(&place));
            async move { Ok::<_, Infallible>(door.answer(request).await) }
        });
        let mut builder = Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(READ)
            // Whoever says no more has gone: nothing is done for him any longer.
            .half_close(false);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        // Callers break off as they like.
        let _ = connection.with_upgrades().await;
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Flow> {
        let path = request.uri().path();
        if path == "/pool/health" {
            return self.health(request.method()).await;
        }
        if !self.is_let_in(request.headers()) {
            return refused();
        }
        let wanted = match path {
            "/pool/status" | "/convos/status" => Method::GET,
            "/pool/provision" | "/pool/reset" | "/pool/update-template" => Method::POST,
            // One would lead to wherever the caller says, the other repeats the harness's own credential.
            _ if [Method::CONNECT, Method::TRACE].contains(request.method()) => {
                return not_allowed(&Method::GET);
            }
            // One that is just starting may take a request and never answer it, as OpenCode does.
            _ if !self.probe.has_been_ready().await => {
                return unavailable("the harness is not ready");
            }
            _ => return pass(&self.pool, &self.shown, request).await,
        };
        if *request.method() != wanted {
            return not_allowed(&wanted);
        }
        if wanted == Method::GET {
            return reply(self.desk.status().await);
        }
        self.told(request).await
    }

    /// One of the calls that change something: it is done even if nobody waits for the answer.
    async fn told(self: Arc<Self>, request: Request<Incoming>) -> Response<Flow> {
        let path = request.uri().path().to_owned();
        let body = Limited::new(request.into_body(), LARGEST).collect();
        let body = match tokio::time::timeout(BODY, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(why)) if why.is::<http_body_util::LengthLimitError>() => {
                return reply((413, json!({"error": "the body is larger than 1 MiB"})));
            }
            Ok(Err(_)) => return reply((400, json!({"error": "the body is cut off"}))),
            Err(_) => return reply((408, json!({"error": "the body takes too long"}))),
        };
        let desk = Arc::clone(&self.desk);
        let done = tokio::spawn(async move {
            match path.as_str() {
                "/pool/provision" => desk.provision(&body).await,
                "/pool/reset" => desk.reset().await,
                _ => desk.update(&body).await,
            }
        });
        let failed = |_| (500, json!({"error": "the runner failed"}));
        reply(done.await.unwrap_or_else(failed))
    }

    async fn health(&self, method: &Method) -> Response<Flow> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return not_allowed(&Method::GET);
        }
        let said = self.probe.ready().await;
        let mut body = json!({"ready": said.yes, "runtime": self.contract.name});
        if let Some(version) = said.version {
            body["version"] = json!(version);
        }
        reply((if said.yes { 200 } else { 503 }, body))
    }

    fn is_let_in(&self, headers: &HeaderMap) -> bool {
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (shown.next(), shown.next()) else {
            return false;
        };
        let bytes = value.as_bytes();
        let Some((scheme, token)) = bytes.split_at_checked(b"Bearer ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && self.token.is(token)
    }
}

fn reply((status, body): Reply) -> Response<Flow> {
    let mut response = Response::new(whole(body.to_string()));
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refused() -> Response<Flow> {
    let mut response = reply((401, json!({"error": "unauthorized"})));
    let headers = response.headers_mut();
    headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn not_allowed(wanted: &Method) -> Response<Flow> {
    let mut response = reply((405, json!({"error": "another method is wanted"})));
    if let Ok(value) = HeaderValue::from_str(wanted.as_str()) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}
