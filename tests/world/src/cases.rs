//! Which cases a run takes of those that are too many for every run.
//!
//! Holds: the same ones in each run, and any run says which; `CASES_SEED` chooses others, `CASES_TIMES` takes so many
//! times more of them, until all are taken.

fn number(name: &str) -> Option<u32> {
    std::env::var(name).ok()?.parse().ok()
}

/// What chooses the cases. It is printed, so that a run that found something can be had again.
#[must_use]
pub fn seed() -> u32 {
    let seed = number("CASES_SEED").unwrap_or(1);
    println!("CASES_SEED={seed}");
    seed
}

/// How many times as many cases as by default, 1 or more.
#[must_use]
pub fn times() -> u32 {
    number("CASES_TIMES").unwrap_or(1).max(1)
}

/// One in so many, evenly spread.
#[derive(Debug)]
pub struct Draw {
    of: u32,
    /// Cases until the next one that is taken.
    left: u32,
}

impl Draw {
    /// Takes one in `of`.
    #[must_use]
    pub fn one_in(of: u32) -> Self {
        let of = (of / times()).max(1);
        let left = seed() % of;
        Self { of, left }
    }

    /// Whether the next case is taken.
    pub fn takes(&mut self) -> bool {
        let taken = self.left == 0;
        self.left = if taken { self.of } else { self.left } - 1;
        taken
    }
}
