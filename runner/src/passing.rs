//! Everything that is not the runner's own goes through to the harness, and its answer back.
//!
//! Holds: bodies are never kept, each side is read as fast as the other takes; the caller's credential goes no further, the harness's own
//! takes its place; what is meant for one connection alone ends there. Absent: who may (`door.rs`).

use crate::pool::{BUFFER, Flow, Pool, whole};
use crate::probe::Shown;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, CONTENT_TYPE, EXPECT, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, RETRY_AFTER, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::uri::PathAndQuery;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::sync::OwnedSemaphorePermit;

/// A connection's place among all that may be open. Whoever is upgraded takes it along.
pub type Place = Arc<OwnedSemaphorePermit>;

/// Passes a request on.
pub async fn pass(
    pool: &Arc<Pool>,
    shown: &Shown,
    mut request: Request<Incoming>,
) -> Response<Flow> {
    let protocol = upgrade_of(request.headers());
    let place = request.extensions_mut().remove::<Place>();
    let theirs = protocol.is_some().then(|| hyper::upgrade::on(&mut request));
    let theirs = theirs.map(|theirs| (theirs, place));
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().cloned();
    head.uri = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    // Whatever the caller speaks, this is what the runner does.
    head.version = hyper::Version::HTTP_11;
    for_one_connection(&mut head.headers, protocol.as_ref());
    // Was answered already, when the body was first asked for.
    head.headers.remove(EXPECT);
    for_one_caller(&mut head.headers);
    shown.show(&mut head.headers);
    let passed = Request::from_parts(head, Either::Left(body));
    match pool.send(passed).await {
        Ok(response) => back(response, theirs),
        Err(why) => unavailable(&why),
    }
}

/// What the harness answered.
fn back(
    mut response: Response<Incoming>,
    theirs: Option<(OnUpgrade, Option<Place>)>,
) -> Response<Flow> {
    let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let protocol = switched.then(|| upgrade_of(response.headers())).flatten();
    match (switched, theirs) {
        (true, Some((theirs, place))) => {
            let ours = hyper::upgrade::on(&mut response);
            tokio::spawn(async move {
                join(theirs, ours).await;
                drop(place);
            });
        }
        (true, None) => return unavailable("the harness switched protocols unasked"),
        (false, _) => {}
    }
    for_one_connection(response.headers_mut(), protocol.as_ref());
    response.map(Either::Left)
}

/// Both ways until both have ended. That one breaks off is seen by the other, and is nobody's fault here.
async fn join(theirs: OnUpgrade, ours: OnUpgrade) {
    let (Ok(theirs), Ok(ours)) = tokio::join!(theirs, ours) else {
        return;
    };
    let (mut theirs, mut ours) = (TokioIo::new(theirs), TokioIo::new(ours));
    let _ = copy_bidirectional_with_sizes(&mut theirs, &mut ours, BUFFER / 4, BUFFER / 4).await;
}

/// The protocol that is asked for, if it is one.
fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let named = headers.get_all(CONNECTION).iter();
    let mut named = named
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let asked = named.any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| asked).cloned()
}

/// Takes out what is meant for one connection alone, also what `Connection` names, and puts the upgrade back.
fn for_one_connection(headers: &mut HeaderMap, protocol: Option<&HeaderValue>) {
    let named = headers.get_all(CONNECTION).iter();
    let named = named
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let named: Vec<HeaderName> = named.filter_map(|word| word.trim().parse().ok()).collect();
    let always = [
        CONNECTION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    for name in always.into_iter().chain(named) {
        headers.remove(name);
    }
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
}

/// Takes out who an edge says the caller is. The harness is asked by the runner alone, and one that trusts no proxy refuses such requests:
/// OpenClaw does so (`proxy_attribution_required`).
fn for_one_caller(headers: &mut HeaderMap) {
    let of_caller =
        |name: &str| ["forwarded", "x-real-ip"].contains(&name) || name.starts_with("x-forwarded-");
    let names = headers.keys().filter(|name| of_caller(name.as_str()));
    let names: Vec<HeaderName> = names.cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Nobody is there to take it.
pub fn unavailable(why: &str) -> Response<Flow> {
    let mut response = Response::new(whole(format!("{{\"error\":\"{why}\"}}")));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(rows: &[(&'static str, &'static str)]) -> HeaderMap {
        let rows = rows.iter();
        let row = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        rows.map(row).collect()
    }

    #[test]
    fn what_is_for_one_connection_ends_there() {
        let mut all = headers(&[
            ("connection", "keep-alive, X-Own"),
            ("keep-alive", "timeout=5"),
            ("x-own", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("content-length", "3"),
            ("x-kept", "1"),
        ]);
        assert_eq!(upgrade_of(&all), None, "it is not named in Connection");
        for_one_connection(&mut all, None);
        assert_eq!(all, headers(&[("content-length", "3"), ("x-kept", "1")]));
    }

    #[test]
    fn whom_an_edge_passes_on_is_nobody_to_the_harness() {
        let mut all = headers(&[
            ("forwarded", "for=203.0.113.7"),
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "203.0.113.7"),
            ("x-kept", "1"),
        ]);
        for_one_caller(&mut all);
        assert_eq!(all, headers(&[("x-kept", "1")]));
    }

    #[test]
    fn an_upgrade_goes_on() {
        let mut all = headers(&[
            ("connection", "Keep-Alive, Upgrade"),
            ("upgrade", "websocket"),
        ]);
        let protocol = upgrade_of(&all);
        for_one_connection(&mut all, protocol.as_ref());
        assert_eq!(
            all,
            headers(&[("connection", "upgrade"), ("upgrade", "websocket")])
        );
    }
}
