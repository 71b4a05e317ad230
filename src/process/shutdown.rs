//! The end of the process: asked for once it is graceful, asked for twice or overdue it is at once.
//!
//! What holds: after the first SIGTERM or SIGINT everything that holds a [`Shutdown`] sees it; after the second, or when
//! the deadline has passed, the process exits with 1 whatever it is doing. So the deadline must be shorter than what
//! Kubernetes grants (terminationGracePeriodSeconds), or SIGKILL comes first. Deliberately absent: what a graceful end
//! does (finish what is being done, record it, free the lease), which belongs to those who do it.

use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time;

/// Whether an end has been asked for. Cheap to clone; all clones see the same.
#[derive(Clone, Debug)]
pub struct Shutdown {
    asked: watch::Receiver<bool>,
}

/// Asks for an end from within; for tests and for whoever runs the parts without signals.
#[derive(Debug)]
pub struct Trigger {
    asked: watch::Sender<bool>,
}

/// Why the process ends without waiting any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forced {
    SecondSignal,
    Overdue,
}

impl Shutdown {
    /// Listens to SIGTERM and SIGINT from now on. A second one, or `deadline` after the first, exits the process with 1.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn on_signals(deadline: Duration) -> std::io::Result<Shutdown> {
        let signals = Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        let (trigger, shutdown) = Shutdown::manual();
        tokio::spawn(async move {
            match supervise(signals, deadline, trigger).await {
                Forced::SecondSignal => tracing::error!("asked to end a second time: ending now"),
                Forced::Overdue => tracing::error!(
                    deadline = %humantime::format_duration(deadline),
                    "not ended in time: ending now"
                ),
            }
            std::process::exit(1);
        });
        Ok(shutdown)
    }

    /// One that is asked for by its [`Trigger`] alone and forces nothing.
    pub fn manual() -> (Trigger, Shutdown) {
        let (sender, asked) = watch::channel(false);
        (Trigger { asked: sender }, Shutdown { asked })
    }

    /// Whether an end has been asked for.
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Waits until an end is asked for. Borrows nothing, so it can be handed to servers and controllers.
    pub fn asked(&self) -> impl Future<Output = ()> + Send + Sync + 'static {
        let mut asked = self.asked.clone();
        async move {
            // Nobody left who could ask means that nobody will.
            if asked.wait_for(|asked| *asked).await.is_err() {
                std::future::pending().await
            }
        }
    }
}

impl Trigger {
    /// Asks everybody to end.
    pub fn ask(&self) {
        self.asked.send_replace(true);
    }
}

/// Where requests to end come from.
trait Requests {
    /// Waits for the next one.
    async fn next(&mut self);
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Requests for Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => tracing::info!("SIGTERM: ending gracefully"),
            _ = self.interrupt.recv() => tracing::info!("SIGINT: ending gracefully"),
        }
    }
}

/// Passes the first request on, and returns when there is no more waiting.
async fn supervise(mut requests: impl Requests, deadline: Duration, trigger: Trigger) -> Forced {
    requests.next().await;
    trigger.ask();
    match time::timeout(deadline, requests.next()).await {
        Ok(()) => Forced::SecondSignal,
        Err(_) => Forced::Overdue,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    /// Requests after these pauses, then none.
    struct After(Vec<u64>);

    impl Requests for After {
        async fn next(&mut self) {
            match self.0.pop() {
                Some(seconds) => time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        }
    }

    const DEADLINE: Duration = Duration::from_secs(25);

    #[tokio::test(start_paused = true)]
    async fn one_request_is_graceful_until_the_deadline() {
        let (trigger, shutdown) = Shutdown::manual();
        let began = Instant::now();
        let supervised = tokio::spawn(supervise(After(vec![3]), DEADLINE, trigger));
        assert!(!shutdown.is_asked());
        shutdown.asked().await;
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        assert!(shutdown.is_asked());
        assert_eq!(supervised.await.unwrap(), Forced::Overdue);
        assert_eq!(began.elapsed(), Duration::from_secs(28));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_request_does_not_wait() {
        let (trigger, shutdown) = Shutdown::manual();
        let began = Instant::now();
        let forced = supervise(After(vec![2, 3]), DEADLINE, trigger).await;
        assert_eq!(forced, Forced::SecondSignal);
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        assert!(shutdown.is_asked());
    }

    #[tokio::test(start_paused = true)]
    async fn without_anyone_to_ask_nobody_is_told() {
        let (trigger, shutdown) = Shutdown::manual();
        drop(trigger);
        let waited = time::timeout(DEADLINE, shutdown.asked()).await;
        assert!(waited.is_err());
    }
}
