//! The way of a request to a program of this machine and of its answer back: as they come, of any size, and connections that
//! become another protocol's.
//!
//! Railway's edge does this for an agent. Nothing is read but its size. Absent: which program, and whether a fault strikes.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hudsucker::Body as WireBody;
use hudsucker::hyper::body::{Body, Bytes, Frame, Incoming};
use hudsucker::hyper::client::conn::http1;
use hudsucker::hyper::upgrade::{self, OnUpgrade};
use hudsucker::hyper::{self, Response};
use hudsucker::hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::agents::no_response;
use crate::exchange::{self, Answer, Request};
use crate::harness_log::HarnessLog;
use crate::journal::About;
use crate::proxy::{WireRequest, WireResponse, written};

/// One exchange; its line is written when the last of it is gone.
pub(crate) struct Passage {
    log: Arc<HarnessLog>,
    about: About,
    head: Request,
    port: u16,
    status: AtomicU16,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Drop for Passage {
    fn drop(&mut self) {
        let sizes = (
            self.sent.load(Ordering::Relaxed),
            self.received.load(Ordering::Relaxed),
        );
        let status = self.status.load(Ordering::Relaxed);
        self.log.passed(&self.about, &self.head, status, sizes);
    }
}

fn count(counter: &AtomicU64, frame: &Frame<Bytes>) {
    let size = frame.data_ref().map_or(0, Bytes::len);
    counter.fetch_add(size as u64, Ordering::Relaxed);
}

impl Passage {
    pub(crate) fn new(log: Arc<HarnessLog>, about: About, head: Request, port: u16) -> Arc<Self> {
        Arc::new(Self {
            log,
            about,
            head,
            port,
            status: AtomicU16::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        })
    }

    pub(crate) async fn pass(self: Arc<Self>, request: WireRequest) -> WireResponse {
        let answer = match Arc::clone(&self).try_pass(request).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%error, host = self.head.host, "a program does not answer");
                written(no_response())
            }
        };
        self.status
            .store(answer.status().as_u16(), Ordering::Relaxed);
        answer
    }

    async fn try_pass(self: Arc<Self>, mut request: WireRequest) -> io::Result<WireResponse> {
        let upgrades = request.headers().contains_key(header::UPGRADE);
        let ours = upgrades.then(|| upgrade::on(&mut request));
        let (parts, body) = request.into_parts();
        let this = Arc::clone(&self);
        let body = body.map_frame(move |frame| {
            count(&this.sent, &frame);
            frame
        });
        let mut asked = hyper::Request::new(body);
        *asked.method_mut() = parts.method;
        *asked.uri_mut() = target(&parts.uri);
        *asked.headers_mut() = forwarded(parts.headers, &self.head.host, upgrades);
        let mut answer = ask(self.port, asked).await?;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(ours) = ours
        {
            let theirs = upgrade::on(&mut answer);
            tokio::spawn(Arc::clone(&self).carry(ours, theirs));
            return Ok(answer.map(|_| WireBody::empty()));
        }
        Ok(answer.map(|body: Incoming| {
            let body = body.map_frame(move |frame| {
                count(&self.received, &frame);
                frame
            });
            WireBody::from(body.map_err(hudsucker::Error::from).boxed())
        }))
    }

    /// Both directions of a connection that speaks another protocol now.
    async fn carry(self: Arc<Self>, ours: OnUpgrade, theirs: OnUpgrade) {
        let (Ok(ours), Ok(theirs)) = tokio::join!(ours, theirs) else {
            return;
        };
        let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
        // Either side may simply go.
        if let Ok((sent, received)) = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await {
            self.sent.fetch_add(sent, Ordering::Relaxed);
            self.received.fetch_add(received, Ordering::Relaxed);
        }
    }
}

/// A request that was read whole, and its answer as a whole: where a fault strikes.
pub(crate) async fn whole(port: u16, request: &Request) -> Answer {
    let asked = async {
        let body = Full::new(Bytes::from(request.body.wire()));
        let mut asked = hyper::Request::new(body);
        *asked.method_mut() = request.method.parse().map_err(io::Error::other)?;
        *asked.uri_mut() = request.target().parse().map_err(io::Error::other)?;
        *asked.headers_mut() = forwarded(request.headers.clone(), &request.host, false);
        let answer = ask(port, asked).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await;
        let body = body.map_err(io::Error::other)?.to_bytes();
        io::Result::Ok(Answer {
            status,
            headers: Vec::new(),
            body: exchange::Body::of(&body),
        })
    };
    asked.await.unwrap_or_else(|_| no_response())
}

async fn ask<B>(port: u16, asked: hyper::Request<B>) -> io::Result<Response<Incoming>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to a program ended");
        }
    });
    sender.send_request(asked).await.map_err(io::Error::other)
}

fn target(uri: &Uri) -> Uri {
    let path = uri.path_and_query().cloned();
    path.map(Uri::from).unwrap_or_default()
}

/// The headers as Railway's edge hands them on.
fn forwarded(mut headers: HeaderMap, host: &str, upgrades: bool) -> HeaderMap {
    headers.remove("proxy-connection");
    headers.remove("proxy-authorization");
    if !upgrades {
        headers.remove(header::CONNECTION);
    }
    let rows = [
        (header::HOST, host),
        (HeaderName::from_static("x-forwarded-host"), host),
        (HeaderName::from_static("x-forwarded-proto"), "https"),
        // Somebody on the internet: an address of those that are for documentation.
        (HeaderName::from_static("x-forwarded-for"), "203.0.113.7"),
    ];
    for (name, value) in rows {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    headers
}
