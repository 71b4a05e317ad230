//! The HTTPS forward proxy: CONNECT, TLS from our own authority, and then the gate.
//!
//! Nothing is ever forwarded: a host without a provider is refused, and so is plain HTTP.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use futures::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use hudsucker::{Body as WireBody, HttpContext, HttpHandler, RequestOrResponse};

use crate::exchange::{Answer, Body, Request};
use crate::gate::{Gate, Reply};
use crate::passage::Passage;

pub(crate) type WireRequest = hudsucker::hyper::Request<WireBody>;
pub(crate) type WireResponse = hudsucker::hyper::Response<WireBody>;

#[derive(Clone)]
pub(crate) struct Door {
    pub gate: Arc<Gate>,
    /// Connections outlive the listener; once this is set they get no more answers.
    pub stopped: Arc<AtomicBool>,
}

impl HttpHandler for Door {
    async fn handle_request(&mut self, _: &HttpContext, request: WireRequest) -> RequestOrResponse {
        let host = request
            .uri()
            .host()
            .unwrap_or_default()
            .to_ascii_lowercase();
        if self.stopped.load(Ordering::Relaxed) {
            return closed().into();
        }
        let Some(provider) = self.gate.hosts.find(&host) else {
            return written(Answer::text(502, self.gate.hosts.refuse(&host))).into();
        };
        let unreachable = provider.is_unreachable(&host);
        if request.method() == Method::CONNECT {
            if unreachable {
                let sentence = format!("{host} refuses the connection.\n");
                return written(Answer::text(502, sentence)).into();
            }
            return request.into();
        }
        if unreachable {
            // A connection that was opened before.
            return closed().into();
        }
        if request.uri().scheme_str() != Some("https") {
            let sentence = format!("This simulated internet serves {host} over HTTPS only.\n");
            return written(Answer::text(502, sentence)).into();
        }
        let gate = Arc::clone(&self.gate);
        let reply = match provider.program(&host).await {
            // What a program is asked is passed on as it comes, unless a fault strikes.
            Some(port) => {
                let head = head(host.clone(), &request);
                match gate.begin(&*provider, &head) {
                    (about, None) => {
                        let passage = Passage::new(Arc::clone(&gate.harness), about, head, port);
                        return passage.pass(request).await.into();
                    }
                    struck => match whole(host, request).await {
                        Ok(request) => gate.go_on(provider, request, struck).await,
                        Err(_) => Reply::Close,
                    },
                }
            }
            None => match whole(host, request).await {
                Ok(request) => gate.pass(provider, request).await,
                Err(_) => Reply::Close,
            },
        };
        match reply {
            Reply::Answer(answer) => written(answer),
            Reply::Truncated(answer, sent) => broken_off(answer, sent),
            Reply::Endless(answer) => endless(&answer),
            Reply::Close => closed(),
        }
        .into()
    }
}

/// A request without its body.
fn head(host: String, request: &WireRequest) -> Request {
    Request {
        host,
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().map(str::to_owned),
        headers: request.headers().clone(),
        body: Body::Empty,
    }
}

async fn whole(host: String, request: WireRequest) -> Result<Request, hudsucker::Error> {
    let head = head(host, &request);
    let bytes = request.into_body().collect().await?.to_bytes();
    Ok(Request {
        body: Body::of(&bytes),
        ..head
    })
}

fn response(answer: &Answer, body: WireBody) -> WireResponse {
    let mut response = WireResponse::new(body);
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = match answer.body {
        Body::Empty => None,
        Body::Json(_) | Body::JsonText(_) => Some("application/json"),
        Body::Text(_) => Some("text/plain; charset=utf-8"),
        Body::Events(..) => Some("text/event-stream"),
    };
    let headers = response.headers_mut();
    if let Some(kind) = kind {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    for (name, value) in &answer.headers {
        let name = HeaderName::try_from(name.as_str());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value.as_str())) {
            headers.insert(name, value);
        }
    }
    response
}

pub(crate) fn written(answer: Answer) -> WireResponse {
    let body = match &answer.body {
        Body::Events(events, pause) => events_of(events.clone(), *pause),
        body => WireBody::from(body.wire()),
    };
    response(&answer, body)
}

/// One event after the other, with a pause between them.
fn events_of(events: Vec<String>, pause: Duration) -> WireBody {
    let events = stream::iter(events.into_iter().enumerate()).then(move |(at, event)| async move {
        if at > 0 {
            tokio::time::sleep(pause).await;
        }
        Ok::<_, io::Error>(event.into_bytes())
    });
    WireBody::from_stream(Box::pin(events))
}

/// A response whose body fails before the first byte: the server closes the connection and has not sent the head yet.
fn closed() -> WireResponse {
    WireResponse::new(WireBody::from_stream(stream::once(async {
        Err::<Vec<u8>, _>(cut())
    })))
}

/// The head promises the whole body; the connection closes after `sent` bytes of it.
fn broken_off(answer: Answer, sent: usize) -> WireResponse {
    let wire = answer.body.wire();
    let first = wire.as_bytes().get(..sent).unwrap_or_default().to_vec();
    // The pause lets the server flush what it has before the failure ends the connection.
    let rest = stream::once(async {
        tokio::task::yield_now().await;
        Err::<Vec<u8>, io::Error>(cut())
    });
    let body = stream::once(async move { Ok::<_, Infallible>(first) });
    let body = body
        .map(|part| part.map_err(|never| match never {}))
        .chain(rest);
    let mut response = response(&answer, WireBody::from_stream(Box::pin(body)));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(wire.len()));
    response
}

/// A body that goes on until nobody listens any more.
fn endless(answer: &Answer) -> WireResponse {
    let filler = stream::repeat_with(|| Ok::<_, io::Error>(vec![b' '; 64 << 10]));
    let mut response = response(answer, WireBody::from_stream(filler));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "cut off on purpose")
}
