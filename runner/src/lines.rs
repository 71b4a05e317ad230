//! What a harness writes, as lines with a prefix.
//!
//! Holds: a line is bounded, and a longer one goes on in the next; the harness's own credential is not in it. Absent: where they go.

use crate::output::{Output, STACK};
use std::io::Read;
use std::sync::Arc;
use std::thread;
use tokio::sync::oneshot;

/// The longest line, without its prefix.
const LONGEST: usize = 8 << 10;

/// What stands for a credential.
const HIDDEN: &[u8] = b"***";

/// Makes lines of what comes in pieces.
pub struct Lines {
    prefix: Vec<u8>,
    hidden: Vec<u8>,
    /// The beginning of a line that has not ended.
    pending: Vec<u8>,
}

impl Lines {
    /// With this before each, and without this in any.
    pub fn new(prefix: &str, hidden: &str) -> Lines {
        Lines {
            prefix: prefix.as_bytes().to_owned(),
            hidden: hidden.as_bytes().to_owned(),
            pending: Vec::new(),
        }
    }

    /// The lines that have ended with this piece, and how many.
    pub fn take(&mut self, mut piece: &[u8]) -> (Vec<u8>, u64) {
        let (mut batch, mut lines) = (Vec::with_capacity(piece.len() * 2), 0);
        // Before it is cut: a credential may lie across the cut.
        let room = LONGEST + self.hidden.len();
        while !piece.is_empty() {
            let end = piece.iter().position(|byte| *byte == b'\n');
            let most = room.saturating_sub(self.pending.len());
            match end {
                Some(end) if end <= most => {
                    self.pending.extend_from_slice(&piece[..end]);
                    piece = &piece[end + 1..];
                    lines += self.finish(&mut batch);
                }
                _ => {
                    let taken = most.min(piece.len());
                    self.pending.extend_from_slice(&piece[..taken]);
                    piece = &piece[taken..];
                    if self.pending.len() >= room {
                        self.hide();
                        // What has only begun to be the credential stays for the next line.
                        let whole = self.pending.len().saturating_sub(self.hidden.len());
                        let cut = LONGEST.min(whole + 1);
                        let rest = self.pending.split_off(cut);
                        self.put(&mut batch);
                        self.pending = rest;
                        lines += 1;
                    }
                }
            }
        }
        (batch, lines)
    }

    /// What is left where nothing more comes.
    pub fn end(&mut self) -> (Vec<u8>, u64) {
        let mut batch = Vec::new();
        let lines = if self.pending.is_empty() {
            0
        } else {
            self.finish(&mut batch)
        };
        (batch, lines)
    }

    fn finish(&mut self, batch: &mut Vec<u8>) -> u64 {
        self.hide();
        let mut lines = 0;
        while self.pending.len() > LONGEST {
            let rest = self.pending.split_off(LONGEST);
            self.put(batch);
            self.pending = rest;
            lines += 1;
        }
        self.put(batch);
        lines + 1
    }

    fn put(&mut self, batch: &mut Vec<u8>) {
        batch.extend_from_slice(&self.prefix);
        batch.extend_from_slice(&self.pending);
        batch.push(b'\n');
        self.pending.clear();
    }

    fn hide(&mut self) {
        let Some(first) = self.hidden.first() else {
            return;
        };
        let mut from = 0;
        while let Some(at) = self.pending[from..].iter().position(|byte| byte == first) {
            let at = from + at;
            from = at + 1;
            if self.pending[at..].starts_with(&self.hidden) {
                let end = at + self.hidden.len();
                self.pending.splice(at..end, HIDDEN.iter().copied());
                from = at + HIDDEN.len();
            }
        }
    }
}

/// Copies a stream of the harness until it ends, in a thread of its own. What it answers ends once all has gone on.
pub fn copy(
    mut from: impl Read + Send + 'static,
    mut lines: Lines,
    to: Arc<Output>,
) -> std::io::Result<oneshot::Receiver<()>> {
    let (tell, ended) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("lines".to_owned())
        .stack_size(STACK);
    thread.spawn(move || {
        let mut piece = vec![0_u8; 16 << 10];
        loop {
            match from.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => {
                    let (batch, count) = lines.take(&piece[..length]);
                    if count > 0 {
                        to.hand_over(batch, count);
                    }
                }
                Err(why) if why.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let (batch, count) = lines.end();
        if count > 0 {
            to.hand_over(batch, count);
        }
        // It is no longer waited for, where that takes too long.
        let _ = tell.send(());
    })?;
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]], hidden: &str) -> String {
        let mut lines = Lines::new("x | ", hidden);
        let mut text = Vec::new();
        for piece in pieces {
            text.extend(lines.take(piece).0);
        }
        text.extend(lines.end().0);
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn each_line_has_the_prefix_however_it_comes() {
        let pieces: [&[u8]; 4] = [b"on", b"e\n\ntwo", b"\n", b"three"];
        assert_eq!(all(&pieces, ""), "x | one\nx | \nx | two\nx | three\n");
        assert_eq!(all(&[], ""), "");
    }

    #[test]
    fn a_line_without_end_takes_no_more_room() {
        let mut lines = Lines::new("x | ", "secret");
        for _ in 0..1000 {
            lines.take(&[b'y'; 1000]);
            assert!(lines.pending.len() <= LONGEST + 6);
        }
        let text = all(&[&[b'y'; 3 * LONGEST]], "");
        assert_eq!(text.lines().count(), 3);
        assert_eq!(
            text.replace("x | ", "").replace('\n', "").len(),
            3 * LONGEST
        );
    }

    #[test]
    fn the_credential_is_in_no_line_wherever_it_stands() {
        assert_eq!(
            all(&[b"a sec", b"ret ssecret\n"], "secret"),
            "x | a *** s***\n"
        );
        // Twice, the second across the cut.
        for before in LONGEST - 20..LONGEST {
            let mut text = b"secret".to_vec();
            text.extend(vec![b'y'; before]);
            text.extend(b"secret and more");
            let said = all(&[&text], "secret");
            assert!(!said.contains("secr"), "{before}");
        }
        for before in LONGEST - 10..LONGEST + 10 {
            let mut text = vec![b'y'; before];
            text.extend(b"secret and more");
            let said = all(&[&text], "secret")
                .replace("x | ", "")
                .replace('\n', "");
            assert!(said.contains("y*** and more"), "{before}");
        }
    }
}
