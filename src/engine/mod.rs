//! Decides. Values in, values out: synchronous, with no clock, no client and no failure of its own.
//!
//! The order of a reading: [`world`] (what a decision is taken from), [`plan`] (the phases of an instance's life, in
//! the order in which they are gone through), [`tools`] (what the agent is given at other providers), [`deployment`] (what came of a configuration), [`teardown`] (the way back), [`absorb`] (what a step's outcome changes),
//! [`report`] (conditions), [`rollout`] (whose turn it is), [`pool`] (which agents are kept idle), [`line`] (who waits for one), [`claims`] (how a claim comes by its agent) and [`claiming`] (what it says of that), [`persona`] (what its agent is told), [`bringing`] (which tools it brings), [`retry`] (when to come again), [`compose`] (what a
//! deployment is made from), [`program`] (what a harness makes of that), [`belief`] (what a listing of tools is worth), [`costs`] (what Railway itself costs), [`account`] and [`template`] (the other two
//! kinds), [`identity`] (whose account a credential opens), [`rights`] (what an account's owner leaves to its users), [`sweep`] (what nobody claims),
//! [`recovery`] (whether what is remembered of an account is what is there).
//!
//! Deliberately absent: any knowledge of how a step is carried out, and any state between two calls.

pub mod absorb;
mod access;
pub mod account;
pub mod adopt;
mod attempt;
pub mod belief;
pub mod breaker;
pub mod bringing;
pub mod claiming;
pub mod claims;
pub mod compose;
mod configuration;
pub mod costs;
pub mod deployment;
mod disk;
mod draft;
mod expiry;
pub mod files;
mod following;
pub mod harness_table;
mod hearing;
pub(crate) mod home;
pub mod identity;
pub mod import;
mod inside;
mod laying;
mod leave;
pub mod ledger;
pub mod line;
pub mod meaning;
mod newest;
pub mod orders;
mod outcome;
mod paused;
pub mod persona;
pub mod places;
mod plan;
pub mod pool;
pub mod program;
mod pull;
pub mod quota;
pub mod recovery;
mod referred;
pub mod report;
pub mod restored;
pub mod retry;
pub mod rights;
pub mod rivals;
pub mod rollout;
pub mod runner;
mod sight;
pub mod step;
pub mod sweep;
pub mod teardown;
pub mod template;
pub mod tools;
pub mod unreadable;
pub mod view;
mod views;
mod whose;
pub mod world;

pub use absorb::absorb;
pub use plan::plan;
pub use step::{Outcome, Plan, Step};
pub use world::World;
