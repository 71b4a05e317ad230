//! Requests to the harness, over connections that are kept for a moment.
//!
//! Holds: a request that was not sent because a kept connection had ended is sent on a new one, and none that was sent is sent twice.
//! Absent: what a request says.

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// A body that is ours, or that only passes.
pub type Flow = Either<Incoming, Full<Bytes>>;

/// Shorter than any harness keeps one: Node does for five seconds.
const KEPT: Duration = Duration::from_secs(2);

/// So many are kept.
const MOST: usize = 16;

/// What is read at once, on either side.
pub const BUFFER: usize = 64 << 10;

/// Connections to the harness.
pub struct Pool {
    port: u16,
    idle: Mutex<Vec<(SendRequest<Flow>, Instant)>>,
}

/// A body that is ours.
pub fn whole(bytes: impl Into<Bytes>) -> Flow {
    Either::Right(Full::new(bytes.into()))
}

impl Pool {
    /// To this port on loopback.
    pub fn new(port: u16) -> Arc<Pool> {
        Arc::new(Pool {
            port,
            idle: Mutex::default(),
        })
    }

    /// Sends a request. An error is in words, and repeats nothing of it.
    pub async fn send(
        self: &Arc<Self>,
        mut request: Request<Flow>,
    ) -> Result<Response<Incoming>, String> {
        loop {
            let kept = self.take();
            let fresh = kept.is_none();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.give_back(sender);
                    return Ok(response);
                }
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) if !fresh => request = unsent,
                    _ => return Err("the harness broke the connection off".to_owned()),
                },
            }
        }
    }

    fn take(&self) -> Option<SendRequest<Flow>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(sender, since)| since.elapsed() < KEPT && sender.is_ready());
        idle.pop().map(|(sender, _)| sender)
    }

    /// Keeps it once its answer has been read to the end.
    fn give_back(self: &Arc<Self>, mut sender: SendRequest<Flow>) {
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            if sender.ready().await.is_ok() {
                let mut idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.retain(|(sender, since)| since.elapsed() < KEPT && sender.is_ready());
                if idle.len() < MOST {
                    idle.push((sender, Instant::now()));
                }
            }
        });
    }

    async fn connect(&self) -> Result<SendRequest<Flow>, String> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await;
        let stream = stream.map_err(|_| "the harness does not listen".to_owned())?;
        let _ = stream.set_nodelay(true);
        let mut builder = Builder::new();
        builder.max_buf_size(BUFFER).preserve_header_case(false);
        let shaken = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|_| "the harness does not listen".to_owned())?;
        tokio::spawn(async move {
            // Whoever sent a request hears of its fate.
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }
}
