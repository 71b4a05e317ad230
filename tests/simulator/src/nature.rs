//! The nature of an agent: how the thing behind an image behaves once it runs. Written in the image's tag, or set by hand.

use std::fmt;

/// One way to differ from a good agent. An agent may have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trait {
    /// Boots ten times as slowly, and takes at least two seconds.
    Slow,
    /// Answers its health path, but is never ready.
    NeverReady,
    /// Its deployment crashes instead of getting ready.
    CrashOnBoot,
    /// Gets ready and crashes some time later.
    CrashLater,
    /// Falls asleep soon, whatever its service's settings say.
    Sleepy,
    /// Somebody has to accept it into the conversation first.
    Pending,
    /// Cannot join: provisioning answers 502 and leaves it tainted.
    RefusesProvision,
    /// A reset does not make it clean.
    Unclean,
    /// Does not know update-template and clone-summary.
    Old,
    /// Takes no connection.
    Unreachable,
    /// Understands what it is told and will not: provisioning answers 422 and does nothing.
    RejectsClaim,
    /// Keeps no claim, and says nothing of one.
    Forgetful,
}

const WORDS: [(&str, Trait); 12] = [
    ("slow", Trait::Slow),
    ("never-ready", Trait::NeverReady),
    ("crash-on-boot", Trait::CrashOnBoot),
    ("crash-later", Trait::CrashLater),
    ("sleepy", Trait::Sleepy),
    ("pending", Trait::Pending),
    ("refuses-provision", Trait::RefusesProvision),
    ("unclean", Trait::Unclean),
    ("old", Trait::Old),
    ("unreachable", Trait::Unreachable),
    ("rejects-claim", Trait::RejectsClaim),
    ("forgetful", Trait::Forgetful),
];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Nature(Vec<Trait>);

impl Nature {
    /// From the tags of an image: a word may stand anywhere in a tag, between `-`, `_` or `.`.
    pub(crate) fn of_tags(tags: &[String]) -> Self {
        let is_in = |tag: &str, word: &str| {
            tag.match_indices(word).any(|(at, _)| {
                let before = tag[..at].chars().next_back();
                let after = tag[at + word.len()..].chars().next();
                let edge = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphabetic());
                edge(before) && edge(after)
            })
        };
        let has = |word: &str| tags.iter().any(|tag| is_in(tag, word));
        Self(
            WORDS
                .iter()
                .filter(|(word, _)| has(word))
                .map(|(_, kind)| *kind)
                .collect(),
        )
    }

    /// A comma list as the control API takes it; `good` is no trait at all.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let words = text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty() && *word != "good");
        let traits = words.map(|word| {
            let row = WORDS.iter().find(|(known, _)| *known == word);
            row.map(|(_, kind)| *kind).ok_or_else(|| {
                let known: Vec<&str> = WORDS.iter().map(|(known, _)| *known).collect();
                format!(
                    "unknown nature {word:?}; known are good, {}",
                    known.join(", ")
                )
            })
        });
        traits.collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn is(&self, kind: Trait) -> bool {
        self.0.contains(&kind)
    }
}

impl fmt::Display for Nature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = WORDS
            .iter()
            .filter(|(_, kind)| self.is(*kind))
            .map(|(word, _)| *word);
        let words: Vec<&str> = words.collect();
        f.write_str(
            if words.is_empty() {
                "good".to_owned()
            } else {
                words.join(",")
            }
            .as_str(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Nature, Trait};

    #[test]
    fn a_nature_is_a_word_in_a_tag() {
        let nature = Nature::of_tags(&["1.4-slow-unclean".to_owned()]);
        assert!(nature.is(Trait::Slow) && nature.is(Trait::Unclean));
        assert_eq!(nature.to_string(), "slow,unclean");
        assert_eq!(Nature::of_tags(&["gold".to_owned()]).to_string(), "good");
        assert!(Nature::read("lazy").is_err());
    }
}
