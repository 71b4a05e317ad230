//! What was checked and what came of it, told line by line.
//!
//! Holds: the lines of a check are a test runner's, and its last one counts; those of a story are sentences with their time. Absent: what is
//! checked.

use std::time::Instant;

use anyhow::Result;

/// How it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As a test runner would: a line a check.
    Tests,
    /// To a person who looks on.
    Story,
}

/// What came of the checks.
#[derive(Debug)]
pub struct Report {
    of: String,
    half: &'static str,
    telling: Manner,
    began: Instant,
    passed: usize,
    failed: Vec<(String, String)>,
}

impl Report {
    /// Of checks whose names begin with `of`.
    #[must_use]
    pub fn new(of: &str, telling: Manner) -> Self {
        Self {
            of: of.to_owned(),
            half: "",
            telling,
            began: Instant::now(),
            passed: 0,
            failed: Vec::new(),
        }
    }

    /// Checks from here on are called so.
    pub(crate) fn half(&mut self, half: &'static str) {
        self.half = half;
    }

    /// Carries one out. `None`: it failed.
    pub(crate) async fn check<T>(
        &mut self,
        name: &str,
        sentence: &str,
        doing: impl Future<Output = Result<T>>,
    ) -> Option<T> {
        let begun = Instant::now();
        let done = doing.await;
        let took = begun.elapsed().as_secs_f64();
        let whole = format!("{}::{}::{name}", self.of, self.half);
        match (&done, self.telling) {
            (Ok(_), Manner::Tests) => println!("test {whole} ... ok"),
            (Ok(_), Manner::Story) => self.say(&format!("{sentence} ({took:.1} s)")),
            (Err(_), Manner::Tests) => println!("test {whole} ... FAILED"),
            (Err(error), Manner::Story) => {
                self.say(&format!("DID NOT HOLD: {sentence}: {error:#}"));
            }
        }
        match done {
            Ok(done) => {
                self.passed += 1;
                Some(done)
            }
            Err(error) => {
                self.failed.push((whole, format!("{error:#}")));
                None
            }
        }
    }

    /// A line beside the checks.
    pub(crate) fn say(&self, line: &str) {
        match self.telling {
            Manner::Tests => println!("     {}: {line}", self.of),
            Manner::Story => println!("{:>7.1}s  {line}", self.began.elapsed().as_secs_f64()),
        }
    }

    /// Whether all of it held.
    #[must_use]
    pub fn held(&self) -> bool {
        self.failed.is_empty() && self.passed > 0
    }

    /// What did not hold, and the last line.
    #[must_use]
    pub fn closing(&self) -> String {
        let mut text = String::new();
        for (name, why) in &self.failed {
            text.push_str(&format!("\n---- {name} ----\n{why}\n"));
        }
        let word = if self.held() { "ok" } else { "FAILED" };
        let (passed, failed) = (self.passed, self.failed.len());
        let took = self.began.elapsed().as_secs_f64();
        text.push_str(&format!(
            "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; finished in {took:.2}s"
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::{Manner, Report};

    #[tokio::test]
    async fn it_closes_as_a_test_runner_does() {
        let mut report = Report::new("opencode", Manner::Tests);
        report.half("direct");
        assert!(!report.held());
        let one = report.check("one", "", async { Ok(1) }).await;
        assert_eq!(one, Some(1));
        assert!(report.held());
        assert!(
            report
                .closing()
                .starts_with("\ntest result: ok. 1 passed; 0 failed; ")
        );
        let why = async { Err::<(), _>(anyhow!("no key").context("no answer")) };
        assert_eq!(report.check("two", "", why).await, None);
        assert!(!report.held());
        let closing = report.closing();
        assert!(closing.contains("---- opencode::direct::two ----\nno answer: no key"));
        assert!(closing.contains("test result: FAILED. 1 passed; 1 failed; "));
    }
}
