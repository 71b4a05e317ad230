//! A harness for the tests: does on request what harnesses do, well and badly.

use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};

/// A body that is made while it is read.
struct Feed(mpsc::Receiver<Bytes>);

impl Body for Feed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

type Answer = Response<Either<Feed, Full<Bytes>>>;

/// What it knows of itself.
#[derive(Default)]
struct Fake {
    token: String,
    told: AtomicU64,
    produced: AtomicU64,
    next: Notify,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|own| own == word);
    println!("started as {}", std::process::id());
    if has("--refuse") {
        eprintln!("will not start");
        std::process::exit(3);
    }
    if has("--ignore-term") {
        let mut term = signal(SignalKind::terminate()).expect("a signal");
        tokio::spawn(async move {
            while term.recv().await.is_some() {
                println!("SIGTERM is ignored");
            }
        });
    }
    let port = std::env::var("FAKE_PORT").expect("FAKE_PORT");
    let token = std::env::var("FAKE_TOKEN").unwrap_or_default();
    if has("--tell-token") {
        println!("my token is {token}");
        eprintln!("really {token}");
    }
    let fake = Arc::new(Fake {
        token,
        ..Fake::default()
    });
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))
        .await
        .expect("its port");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.set_nodelay(true);
        let fake = Arc::clone(&fake);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request| {
                let fake = Arc::clone(&fake);
                async move { Ok::<_, Infallible>(fake.answer(request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            let _ = connection.with_upgrades().await;
        });
    }
}

fn said(body: &Value) -> Answer {
    Response::new(Either::Right(Full::from(body.to_string())))
}

fn number(request: &Request<Incoming>) -> u64 {
    let query = request.uri().query().unwrap_or_default();
    query.parse().expect("a number in the query")
}

impl Fake {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let own = format!("Bearer {}", self.token);
        let shown = request.headers().get("authorization");
        if shown.is_none_or(|value| value.as_bytes() != own.as_bytes()) {
            let mut answer = said(&json!({"error": "this is not my token"}));
            *answer.status_mut() = StatusCode::UNAUTHORIZED;
            return answer;
        }
        match request.uri().path() {
            "/readyz" => said(&json!({"ready": true, "version": "1.2.3"})),
            "/busy" => said(&json!({"busy": true})),
            "/plain" => said(&json!({})),
            "/told" => said(&json!(self.told.fetch_add(1, Ordering::Relaxed) + 1)),
            "/echo" => echo(&request),
            "/count" => count(request).await,
            "/blob" => self.blob(number(&request)),
            "/produced" => said(&json!(self.produced.load(Ordering::Relaxed))),
            "/events" => self.events(),
            "/hold" => {
                self.next.notified().await;
                count(request).await
            }
            "/next" => {
                self.next.notify_one();
                said(&json!({}))
            }
            "/upgrade" => upgrade(request),
            "/flood" => flood(number(&request)).await,
            "/exit" => std::process::exit(i32::try_from(number(&request)).expect("a code")),
            "/orphan" => spawn("(sleep 1000 &)"),
            "/daemon" => spawn("setsid sh -c 'trap \"\" TERM; sleep 1000; sleep 1000' &"),
            "/zombies" => spawn("for i in 1 2 3 4 5 6 7 8 9; do (sh -c 'exit 0' &); done"),
            _ => {
                let mut answer = said(&json!({"error": "not found"}));
                *answer.status_mut() = StatusCode::NOT_FOUND;
                answer
            }
        }
    }

    fn blob(self: Arc<Self>, bytes: u64) -> Answer {
        let (send, receive) = mpsc::channel(1);
        tokio::spawn(async move {
            let piece = Bytes::from(vec![b'x'; 64 << 10]);
            let mut left = bytes;
            while left > 0 {
                let length = left.min(piece.len() as u64);
                let end = usize::try_from(length).expect("a length");
                if send.send(piece.slice(..end)).await.is_err() {
                    return;
                }
                self.produced.fetch_add(length, Ordering::Relaxed);
                left -= length;
            }
        });
        Response::new(Either::Left(Feed(receive)))
    }

    /// One at once, the next when it is asked for.
    fn events(self: Arc<Self>) -> Answer {
        let (send, receive) = mpsc::channel(1);
        tokio::spawn(async move {
            for event in 1..=3 {
                let text = format!("data: {event}\n\n");
                if send.send(Bytes::from(text)).await.is_err() {
                    println!("nobody reads the events");
                    return;
                }
                if event < 3 {
                    tokio::select! {
                        () = self.next.notified() => {}
                        () = send.closed() => {
                            println!("nobody reads the events");
                            return;
                        }
                    }
                }
            }
        });
        let answer = Response::builder().header("content-type", "text/event-stream");
        answer.body(Either::Left(Feed(receive))).expect("an answer")
    }
}

fn echo(request: &Request<Incoming>) -> Answer {
    let headers = request.headers().iter();
    let headers: BTreeMap<&str, &str> = headers
        .map(|(name, value)| (name.as_str(), value.to_str().expect("text")))
        .collect();
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let mut answer = said(&json!({
        "method": request.method().as_str(),
        "uri": request.uri().to_string(),
        "headers": headers,
        "env": env,
        "pid": std::process::id(),
    }));
    answer
        .headers_mut()
        .insert("x-own", hyper::header::HeaderValue::from_static("1"));
    answer
}

async fn count(request: Request<Incoming>) -> Answer {
    let (mut bytes, mut sum) = (0_u64, 0_u64);
    let mut body = request.into_body();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            bytes += data.len() as u64;
            sum = data.iter().fold(sum, |sum, byte| {
                sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
            });
        }
    }
    said(&json!({"bytes": bytes, "sum": sum}))
}

/// Says back what it hears.
fn upgrade(mut request: Request<Incoming>) -> Answer {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgraded.await.expect("an upgrade"));
        let mut piece = [0_u8; 4096];
        while let Ok(length @ 1..) = stream.read(&mut piece).await {
            if stream.write_all(&piece[..length]).await.is_err() {
                return;
            }
        }
        println!("the other side has ended");
    });
    let answer = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    answer
        .body(Either::Right(Full::default()))
        .expect("an answer")
}

/// Lines, as fast as they are taken.
async fn flood(bytes: u64) -> Answer {
    let flooding = tokio::task::spawn_blocking(move || {
        let line = [&[b'y'; 99][..], b"\n"].concat().repeat(640);
        let mut out = std::io::stdout().lock();
        let mut left = bytes;
        while left > 0 {
            out.write_all(&line).expect("written");
            left = left.saturating_sub(line.len() as u64);
        }
        out.flush().expect("written");
    });
    flooding.await.expect("flooded");
    said(&json!({}))
}

fn spawn(script: &str) -> Answer {
    let mut command = Command::new("sh");
    let status = command.args(["-c", script]).status().expect("a shell");
    said(&json!({"done": status.success()}))
}
