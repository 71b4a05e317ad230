//! The product as a whole: its own binary, chart and kinds in the local world (`tests/world`).

// Marked as tests, so that clippy lets their helpers unwrap and panic, too.
#[cfg(test)]
mod accounts;
#[cfg(test)]
#[path = "../../src/api/admissible.rs"]
mod admissible;
#[cfg(test)]
mod breakers;
#[cfg(test)]
mod change;
#[cfg(test)]
mod claim_tools;
#[cfg(test)]
mod claimed;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod claims_restored;
#[cfg(test)]
mod costs;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod creation;
#[cfg(test)]
mod deletion;
#[cfg(test)]
mod drift;
#[cfg(test)]
mod files;
#[cfg(test)]
mod gitops;
#[cfg(test)]
mod guide;
#[cfg(test)]
mod harnesses;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod import;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod losses;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod paused;
#[cfg(test)]
mod persona;
#[cfg(test)]
mod planted;
#[cfg(test)]
mod pools;
#[cfg(test)]
mod provision;
#[cfg(test)]
mod quotas;
#[cfg(test)]
mod railway;
#[cfg(test)]
mod readable;
#[cfg(test)]
mod readiness;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod restored;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod rights_of_tenants;
#[cfg(test)]
mod rollout;
#[cfg(test)]
mod runner;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod seeded;
#[cfg(test)]
mod support;
#[cfg(test)]
mod suspend;
#[cfg(test)]
mod sweep;
#[cfg(test)]
mod telling;
#[cfg(test)]
mod tenants;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod toolset;
#[cfg(test)]
mod upgrade;
