//! Laws: what holds for the pass over the engine in a simulated world, whatever fails and whenever.
//!
//! Read [`scene`] first (the world, and what is asserted at every single change), then [`story`] (how a run with
//! troubles is compared with the undisturbed one), [`shops`] (the providers of tools) and [`books`] (what must be true of
//! tools in the end). Each other file is a family of laws. A failing law prints the story,
//! its troubles and every effect; random ones print their seed.

mod books;
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
mod losses;
mod ownership;
mod phases;
mod random;
mod refusals;
mod restored;
mod rollouts;
mod telling;
mod tool_ends;
mod tool_lives;
mod tool_losses;
mod tooled;
mod turns;
mod undisturbed;

use proptest::test_runner::{Config, RngSeed};

/// Random cases, the same in every run: `LAWS_SEED` chooses others, `LAWS_TIMES` more.
fn seeded(cases: u32) -> Config {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u32>().ok())
    };
    let seed = number("LAWS_SEED").unwrap_or(1);
    println!("LAWS_SEED={seed}");
    Config {
        cases: cases * number("LAWS_TIMES").unwrap_or(1),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed.into()),
        ..Config::default()
    }
}
