//! Crashes: before and after every effect, and in pairs. Writes to Kubernetes count as effects.

use super::scene::Trouble;
use super::story::{self, Run, Story};

const CRASHES: [Trouble; 2] = [Trouble::CrashBefore, Trouble::CrashAfter];

/// A second deployment replaces the first: `Deploy` has no intent on record, so a crash may repeat it.
fn repeated(story: &Story) -> &'static [(&'static str, u32)] {
    match story.name {
        "the deployment was removed" | "resume" | "resume slowly" => &[("deployment", 1)],
        _ => &[],
    }
}

fn single(story: &Story, undisturbed: &Run) -> usize {
    let mut points = 0;
    for at in 0..undisturbed.scene.log.len() {
        for crash in &CRASHES {
            let troubles = [(at, crash.clone())];
            let run = story.told(&troubles);
            story.same(undisturbed, &run, &troubles, repeated(story));
            points += 1;
        }
    }
    points
}

#[test]
fn a_crash_at_any_effect_changes_nothing() {
    let mut points = 0;
    for story in story::all() {
        points += single(&story, &story.told(&[]));
    }
    println!("{points} crash points");
}

/// Effects that change something. A crash at a read leaves what a crash at the change before it leaves.
fn changes(log: &[&'static str]) -> Vec<usize> {
    let reads = ["Look", "Search", "Compare", "AskAgent"];
    (0..log.len())
        .filter(|at| !reads.contains(&log[*at]))
        .collect()
}

#[test]
fn two_crashes_at_any_two_effects_change_nothing() {
    let mut pairs = 0;
    for story in story::paired() {
        let undisturbed = story.told(&[]);
        for first in changes(&undisturbed.scene.log) {
            for one in &CRASHES {
                let effects = story.told(&[(first, one.clone())]).scene.log;
                for second in changes(&effects).into_iter().filter(|at| *at > first) {
                    for other in &CRASHES {
                        let troubles = [(first, one.clone()), (second, other.clone())];
                        let run = story.told(&troubles);
                        story.same(&undisturbed, &run, &troubles, repeated(&story));
                        pairs += 1;
                    }
                }
            }
        }
    }
    println!("{pairs} pairs");
}
