//! Laws: what holds for the pass over the engine in a simulated world, whatever fails and whenever.
//!
//! Read [`scene`] first (the world, and what is asserted at every single change), then [`story`] (how a run with
//! troubles is compared with the undisturbed one), [`shops`] (the providers of tools) and [`books`] (what must be true of
//! tools in the end). [`script`] holds that world and the simulator of the whole-system tests together. Each other file is a family of laws. A failing law prints the story,
//! its troubles and every effect; random ones print their seed.

mod books;
mod claim_tools;
mod portrait;
mod provider;
mod scene;
mod shops;
mod story;

mod adopted_tools;
mod adoption;
mod answers;
mod crashes;
mod held;
mod leaving;
mod limits;
mod losses;
mod ownership;
mod paused;
mod phases;
mod random;
mod refusals;
mod restored;
mod rights;
mod rollouts;
mod script;
mod telling;
mod tool_ends;
mod tool_lives;
mod tool_losses;
mod tooled;
mod turns;
mod undisturbed;

use proptest::test_runner::{Config, RngSeed};

/// Random cases, the same in every run (`world::cases`).
fn seeded(cases: u32) -> Config {
    Config {
        cases: cases * world::cases::times(),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(world::cases::seed().into()),
        ..Config::default()
    }
}
