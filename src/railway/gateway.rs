//! The gateway itself: what one account shares between everyone who uses it.
//!
//! What holds: clones share everything; settings and tokens can change while it works, without
//! losing what is known of throttles and budget. Deliberately absent: the operations (`projects`, `services`).

use super::account::{AccountSettings, Class};
use super::allowance::{Allowance, Budget};
use super::documents::Operation;
use super::faults::{About, Meant};
use super::fresh::JustMade;
use super::lanes::Lanes;
use super::turns::{Applicant, Landing, Turns};
use crate::model::{Done, Fault, Gate, Standing, Turn};
use crate::wire::{Connection, Exchange, held, later, trimmed};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One Railway account. Cheap to clone; clones are the same account.
#[derive(Clone)]
pub struct Gateway {
    pub(super) inner: Arc<Shared>,
}

pub(super) struct Shared {
    settings: Mutex<AccountSettings>,
    tokens: Mutex<Vec<Token>>,
    pub(super) wire: Exchange,
    pub(super) lanes: Lanes,
    pub(super) allowance: Mutex<Allowance>,
    projects: Mutex<Turns>,
    volumes: Mutex<Turns>,
    pub(super) fresh: Mutex<JustMade>,
}

#[derive(Clone)]
struct Token {
    secret: SecretString,
    /// Railway refused it: not used until it is replaced, or `identity` finds it good again.
    refused: bool,
}

impl Gateway {
    /// The gateway of an account. Nothing is sent.
    pub fn new(
        settings: AccountSettings,
        tokens: Vec<SecretString>,
        connection: Connection,
    ) -> Gateway {
        let tokens = usable(&tokens);
        let turns = || Mutex::new(Turns::new(settings.project_interval, tokens.len()));
        Gateway {
            inner: Arc::new(Shared {
                lanes: Lanes::new(settings.requests_per_second),
                allowance: Mutex::new(Allowance::new(settings.requests_per_hour, tokens.len())),
                projects: turns(),
                volumes: turns(),
                fresh: Mutex::default(),
                settings: Mutex::new(settings),
                tokens: Mutex::new(tokens),
                wire: Exchange::new("Railway", connection),
            }),
        }
    }

    /// Other tokens, after their Secret has changed. Answers whether they are others: nothing happens where they are the
    /// same.
    pub fn replace_tokens(&self, tokens: Vec<SecretString>) -> bool {
        let tokens = usable(&tokens);
        let count = tokens.len();
        {
            let mut current = held(&self.inner.tokens);
            let same = current.len() == count
                && current
                    .iter()
                    .zip(&tokens)
                    .all(|(old, new)| old.secret.expose_secret() == new.secret.expose_secret());
            if same {
                return false;
            }
            *current = tokens;
        }
        held(&self.inner.allowance).tokens_replaced(count);
        held(&self.inner.projects).tokens_replaced(count);
        held(&self.inner.volumes).tokens_replaced(count);
        true
    }

    /// The tokens that Railway refuses, as places in the list that was given last.
    pub fn refused(&self) -> Vec<usize> {
        let tokens = held(&self.inner.tokens);
        (0..tokens.len())
            .filter(|&token| tokens[token].refused)
            .collect()
    }

    /// Other settings, after the account was edited.
    pub fn adjust(&self, settings: AccountSettings) {
        self.inner.lanes.adjust(settings.requests_per_second);
        held(&self.inner.allowance).adjust(settings.requests_per_hour);
        held(&self.inner.projects).adjust(settings.project_interval);
        held(&self.inner.volumes).adjust(settings.project_interval);
        *held(&self.inner.settings) = settings;
    }

    /// Whether it is the applicant's turn to create what the gate guards. Asking is waiting in line: ask again at the
    /// moment that the answer names, and create within five seconds of `Now`, or be passed over. Sends nothing.
    pub fn turn(&self, gate: Gate, applicant: Applicant<'_>) -> Turn {
        let usable = self.inner.usable();
        held(self.inner.gate(gate)).turn(applicant, &usable, self.inner.now())
    }

    /// Takes `who` out of the line, where it no longer wants a turn, or has one that it did not use. Answers whether it
    /// was in it.
    pub fn leave(&self, gate: Gate, who: &str) -> bool {
        held(self.inner.gate(gate)).leave(who)
    }

    /// How many wait at a gate.
    pub fn waiting(&self, gate: Gate) -> usize {
        held(self.inner.gate(gate)).waiting(self.inner.now())
    }

    /// How far apart projects, and volumes, are made with one token.
    pub fn project_interval(&self) -> Duration {
        self.inner.settings().project_interval
    }

    /// What is left of the account's requests, by our count and by Railway's last word, whichever is less.
    pub fn budget(&self) -> Budget {
        held(&self.inner.allowance).budget(self.inner.now())
    }

    /// Whether the account works. A refusal of one request (not found, invalid, a creation throttle) says nothing.
    pub fn standing(&self) -> Standing {
        self.inner.wire.standing()
    }
}

/// The tokens that can be ones.
fn usable(tokens: &[SecretString]) -> Vec<Token> {
    tokens
        .iter()
        .map(trimmed)
        .filter(|token| !token.expose_secret().is_empty())
        .map(|secret| Token {
            secret,
            refused: false,
        })
        .collect()
}

impl Shared {
    pub(super) fn now(&self) -> Timestamp {
        self.wire.now()
    }

    pub(super) fn settings(&self) -> AccountSettings {
        held(&self.settings).clone()
    }

    fn gate(&self, gate: Gate) -> &Mutex<Turns> {
        match gate {
            Gate::Projects => &self.projects,
            Gate::Volumes => &self.volumes,
        }
    }

    /// Tokens that Railway accepts, as far as is known.
    pub(super) fn usable(&self) -> Vec<usize> {
        let tokens = held(&self.tokens);
        (0..tokens.len())
            .filter(|&token| !tokens[token].refused)
            .collect()
    }

    pub(super) fn tokens(&self) -> usize {
        held(&self.tokens).len()
    }

    /// Sets a token aside, or takes it back.
    pub(super) fn refuse(&self, token: usize, refused: bool) {
        if let Some(token) = held(&self.tokens).get_mut(token) {
            token.refused = refused;
        }
    }

    pub(super) fn secret(&self, token: usize) -> Done<SecretString> {
        let tokens = held(&self.tokens);
        let token = tokens.get(token).ok_or_else(|| Fault::Transient {
            message: "the account's tokens have just changed".to_owned(),
        })?;
        Ok(token.secret.clone())
    }

    /// A creation that Railway allows only once in a while: takes a window, and closes it by what Railway answers.
    pub(super) async fn gated<Q: Operation>(
        &self,
        gate: Gate,
        class: Class,
        variables: Q::Variables,
    ) -> Result<Q::Answer, Meant> {
        let usable = self.usable();
        if usable.is_empty() {
            return self.ask::<Q>(class, variables).await;
        }
        let turn = held(self.gate(gate)).begin(&usable, self.now())?;
        if let Err(fault) = self.admit(class, &[turn.token]).await {
            held(self.gate(gate)).settle(&turn, Landing::NotCreated, self.now());
            return Err(fault.into());
        }
        let turn = turn.sent_at(self.now());
        let result = self.send::<Q>(turn.token, variables).await;
        let landing = match &result {
            Ok(_) => Landing::Created,
            Err(Meant {
                about: About::Window(throttle),
                ..
            }) => Landing::Throttled(*throttle),
            Err(meant) if meant.fault.may_have_landed() => Landing::Unknown,
            Err(_) => Landing::NotCreated,
        };
        let opens = held(self.gate(gate)).settle(&turn, landing, self.now());
        result.map_err(|meant| match meant {
            // The window knows better than the message when to come again.
            Meant {
                fault: Fault::Throttled { until, message },
                about: about @ About::Window(_),
            } => {
                let until = opens.min(later(until, SignedDuration::from_secs(1)));
                let fault = Fault::Throttled { until, message };
                Meant { fault, about }
            }
            other => other,
        })
    }
}
