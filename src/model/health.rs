//! Whether a running agent is ready: what is asked for, what must come back, and what came instead.
//!
//! What holds: an answer is a kind, never a text. What an agent writes of itself goes into no status, event or log, but for its
//! version, where that has a version's form; a status code and the template's own words do.

use std::fmt;

/// What is asked of an agent, and what says that it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadinessProbe {
    /// The path.
    pub path: String,
    /// What must come back.
    pub expects: Expects,
    /// The credential that is sent along.
    pub credential: Option<ShownToken>,
    /// Where else the agent tells its version, if not in this answer.
    pub version: Option<VersionPlace>,
}

impl ReadinessProbe {
    /// One that shows the token as a Bearer token, and asks for no version elsewhere.
    pub fn asking(path: impl Into<String>, expects: Expects) -> ReadinessProbe {
        ReadinessProbe {
            path: path.into(),
            expects,
            credential: Some(ShownToken {
                form: TokenForm::Bearer,
                variable: "GATEWAY_TOKEN".to_owned(),
            }),
            version: None,
        }
    }
}

/// How an agent is shown the token that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownToken {
    /// How.
    pub form: TokenForm,
    /// The variable from which the agent reads it.
    pub variable: String,
}

/// The form of a token in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenForm {
    /// As a Bearer token.
    Bearer,
    /// As the password of a user.
    Basic {
        /// The user.
        user: String,
    },
    /// In a header of its own.
    Header {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for TokenForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenForm::Bearer => f.write_str("Bearer token"),
            TokenForm::Basic { user } => write!(f, "Basic password of user {user}"),
            TokenForm::Header { name } => write!(f, "header {name}"),
        }
    }
}

/// Where an agent tells its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionPlace {
    /// The path.
    pub path: String,
    /// Where in the JSON of a 200, as a JSON pointer.
    pub pointer: String,
    /// The credential that is sent along.
    pub credential: Option<ShownToken>,
}

/// What must come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expects {
    /// 200, and JSON in which this value stands.
    Value {
        /// Where, as a JSON pointer.
        pointer: String,
        /// Its text.
        equals: String,
    },
    /// This status, whatever comes with it.
    Status(u16),
}

impl Default for Expects {
    /// `{"ready": true}`.
    fn default() -> Expects {
        Expects::Value {
            pointer: "/ready".into(),
            equals: "true".into(),
        }
    }
}

impl fmt::Display for Expects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expects::Status(status) => write!(f, "{status}"),
            usual if *usual == Expects::default() => f.write_str("200 with {\"ready\": true}"),
            Expects::Value { pointer, equals } => {
                write!(f, "200 with JSON in which {pointer:?} is {equals:?}")
            }
        }
    }
}

/// What a running agent says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can work.
    Ready {
        /// Its version, where it tells one.
        version: Option<String>,
    },
    /// Something else came back.
    NotReady(Answer),
}

/// What came instead of what is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Another status.
    Status(u16),
    /// Another value.
    OtherValue,
    /// JSON without the value.
    NoValue,
    /// No JSON.
    NotJson,
    /// More than is read.
    TooLong,
    /// The provider's edge answered: nothing runs there.
    NotRunning,
    /// No connection.
    NotReached,
    /// Nothing in time.
    NoAnswer,
    /// Nobody was asked: the host or the path is none that is called.
    NotAsked,
}

impl Answer {
    const WORDS: [(&'static str, Answer); 8] = [
        ("OtherValue", Answer::OtherValue),
        ("NoValue", Answer::NoValue),
        ("NotJson", Answer::NotJson),
        ("TooLong", Answer::TooLong),
        ("NotRunning", Answer::NotRunning),
        ("NotReached", Answer::NotReached),
        ("NoAnswer", Answer::NoAnswer),
        ("NotAsked", Answer::NotAsked),
    ];

    /// Its word in the status: the code, or what it is.
    pub fn word(self) -> String {
        match self {
            Answer::Status(status) => status.to_string(),
            other => Answer::WORDS
                .iter()
                .find(|(_, known)| *known == other)
                .map_or_else(String::new, |(word, _)| (*word).to_owned()),
        }
    }

    /// The answer of a word.
    pub fn of_word(word: &str) -> Option<Answer> {
        let known = Answer::WORDS.iter().find(|(known, _)| *known == word);
        known
            .map(|(_, answer)| *answer)
            .or_else(|| word.parse().ok().map(Answer::Status))
    }

    /// Whether an agent that is still starting usually answers so.
    pub fn is_of_a_start(self) -> bool {
        matches!(
            self,
            Answer::Status(502..=504)
                | Answer::OtherValue
                | Answer::NotRunning
                | Answer::NotReached
                | Answer::NoAnswer
        )
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Status(status) => write!(f, "answered {status}"),
            Answer::OtherValue => f.write_str("answered 200 with another value"),
            Answer::NoValue => f.write_str("answered 200 with JSON that lacks the value"),
            Answer::NotJson => f.write_str("answered 200 with something that is no JSON"),
            Answer::TooLong => f.write_str("answered with more than 64 KiB"),
            Answer::NotRunning => f.write_str("reached the provider, and nothing runs there"),
            Answer::NotReached => f.write_str("reached nobody"),
            Answer::NoAnswer => f.write_str("had no answer in time"),
            Answer::NotAsked => f.write_str("was not sent: it does not lead to a public host"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_known_by_its_word() {
        for (word, answer) in Answer::WORDS {
            assert_eq!(
                (answer.word().as_str(), Answer::of_word(word)),
                (word, Some(answer))
            );
        }
        let status = Answer::Status(404);
        assert_eq!(Answer::of_word(&status.word()), Some(status));
        assert_eq!(Answer::of_word("http_503"), None);
    }
}
