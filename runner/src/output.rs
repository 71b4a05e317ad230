//! Where lines go: a thread for each of our two streams, and a bounded queue before it.
//!
//! Holds: memory stays bounded whatever is written; a reader that is slow slows the harness, and one that has stopped does not stop it:
//! lines are then left out and counted. Absent: what a line looks like (`lines.rs`).

use std::collections::VecDeque;
use std::io::{Write, stderr, stdout};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// So many bytes wait at most.
const WAITING: usize = 256 << 10;

/// So long the harness waits for a reader that takes nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// The stack of a thread that only copies.
pub const STACK: usize = 128 << 10;

#[derive(Default)]
struct Queue {
    batches: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Nothing was taken for as long as patience lasts.
    stuck: bool,
    /// A batch is being written.
    writing: bool,
    left_out: u64,
}

/// One of our streams.
#[derive(Default)]
pub struct Output {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// Both of our streams.
#[derive(Clone)]
pub struct Log {
    pub out: Arc<Output>,
    pub err: Arc<Output>,
}

impl Log {
    /// Starts their threads.
    pub fn start() -> std::io::Result<Log> {
        let log = Log {
            out: Arc::default(),
            err: Arc::default(),
        };
        log.out.serve("out", || Box::new(stdout()))?;
        log.err.serve("err", || Box::new(stderr()))?;
        Ok(log)
    }

    /// A line of the runner itself. It never waits.
    pub fn say(&self, text: &str) {
        let plain = text.replace(char::is_control, " ");
        self.err.push(
            format!("runner | {plain}\n").into_bytes(),
            1,
            Duration::ZERO,
        );
    }

    /// Waits until all is written, but not for ever.
    pub fn flush(&self) {
        let until = Instant::now() + PATIENCE;
        self.out.drain(until);
        self.err.drain(until);
    }
}

impl Output {
    fn serve(
        self: &Arc<Self>,
        name: &str,
        open: impl FnOnce() -> Box<dyn Write> + Send + 'static,
    ) -> std::io::Result<()> {
        let own = Arc::clone(self);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .stack_size(STACK);
        thread.spawn(move || {
            let mut stream = open();
            loop {
                let (batch, left_out) = own.next();
                // Whoever read it is gone: there is nobody to tell.
                let note =
                    || format!("runner | {left_out} lines were left out: nobody read them\n");
                if left_out > 0 {
                    let _ = stream.write_all(note().as_bytes());
                }
                let _ = stream.write_all(&batch).and_then(|()| stream.flush());
                own.queue().writing = false;
                own.changed.notify_all();
            }
        })?;
        Ok(())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> (Vec<u8>, u64) {
        let mut queue = self.queue();
        loop {
            if let Some(batch) = queue.batches.pop_front() {
                queue.bytes -= batch.len();
                queue.writing = true;
                queue.stuck = false;
                let left_out = std::mem::take(&mut queue.left_out);
                self.changed.notify_all();
                return (batch, left_out);
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Hands over whole lines from the harness: waits while others are before them, and gives up where nothing moves.
    pub fn hand_over(&self, batch: Vec<u8>, lines: u64) {
        self.push(batch, lines, PATIENCE);
    }

    fn push(&self, batch: Vec<u8>, lines: u64, patience: Duration) {
        let until = Instant::now() + patience;
        let mut queue = self.queue();
        while queue.bytes + batch.len() > WAITING && !queue.batches.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if queue.stuck || left.is_zero() {
                // One that never waits says nothing about the reader.
                queue.stuck |= !patience.is_zero();
                queue.left_out += lines;
                return;
            }
            let waited = self.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.bytes += batch.len();
        queue.batches.push_back(batch);
        self.changed.notify_all();
    }

    fn drain(&self, until: Instant) {
        let mut queue = self.queue();
        while !queue.batches.is_empty() || queue.writing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_takes_is_left_out_and_counted() {
        let output = Output::default();
        let lines = || vec![b'x'; WAITING / 4];
        for _ in 0..4 {
            output.hand_over(lines(), 10);
        }
        let began = Instant::now();
        output.hand_over(lines(), 10);
        assert!(began.elapsed() >= PATIENCE, "first it waits");
        let again = Instant::now();
        for _ in 0..1000 {
            output.hand_over(lines(), 10);
        }
        assert!(again.elapsed() < PATIENCE, "then it does not");
        assert!(output.queue().bytes <= WAITING);
        let (batch, left_out) = output.next();
        assert_eq!((batch.len(), left_out), (WAITING / 4, 10_010));
        output.hand_over(lines(), 10);
        assert_eq!(output.queue().left_out, 0, "there is room again");
    }
}
