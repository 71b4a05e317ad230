//! Words of providers, as they may be repeated to people.
//!
//! What holds: what is repeated has nothing in it that could be a credential; of a text that quotes what must not be seen,
//! nothing is.

pub use crate::api::condition::traced;

/// The longest sentence that is repeated, in characters.
pub const SENTENCE: usize = 300;

/// The beginning of a text, on one line: at most so many characters.
pub fn cut(text: &str, most: usize) -> String {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(most).collect()
}

/// The least of a value that counts as quoting it.
const QUOTE: usize = 8;

/// Whether a text quotes a value, or enough of it to be recognised, in letters of either case.
pub fn quotes(text: &str, value: &str) -> bool {
    let (text, value) = (text.to_lowercase(), value.to_lowercase());
    let letters: Vec<char> = value.chars().collect();
    // Numbers and yes or no stand in many a sentence.
    letters.len() >= QUOTE / 2
        && letters
            .windows(QUOTE.min(letters.len()))
            .any(|part| text.contains(&part.iter().collect::<String>()))
}

const HIDDEN: &str = "(hidden)";

/// A text as a fault may carry it: on one line, nothing in it that could be a credential or a URL, cut short.
pub fn sayable(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(harmless).collect();
    words.join(" ").chars().take(SENTENCE).collect()
}

/// One word of a sentence. It may be wrapped in quotes or brackets.
fn harmless(word: &str) -> String {
    if word.contains("://") {
        return HIDDEN.to_owned();
    }
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '.' | '@');
    let mut told = String::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let end = rest
            .find(|c| inside(c) != inside(first))
            .unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        told.push_str(if inside(first) && secret(piece) {
            HIDDEN
        } else {
            piece
        });
        rest = after;
    }
    told.chars().filter(|c| !c.is_control()).collect()
}

/// Beginnings of the credentials of the providers that we use and of those that people paste beside them
/// (`facts/tool-providers.md` 9.7).
const BEGINNINGS: [&str; 9] = [
    "sk-",
    "am_",
    "KEY0",
    "bk_",
    "ghs_",
    "ghp_",
    "whsec_",
    "v1_secret",
    "xoxb-",
];

/// Whether it may be a credential. Rather one harmless word too many than one secret.
fn secret(piece: &str) -> bool {
    let piece = piece.trim_matches(['.', ':', '-']);
    if BEGINNINGS.iter().any(|known| piece.contains(known)) {
        return true;
    }
    // An Exa key is a UUID.
    let groups: Vec<usize> = piece.split('-').map(str::len).collect();
    let hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if groups == [8, 4, 4, 4, 12] && hex(piece) {
        return true;
    }
    // Long words in which letters and digits are mixed: private keys, tokens of other makers (Telegram's too).
    piece
        .split(['-', '.', ':', '@'])
        .any(|run| run.len() >= 20 && mixed(run))
}

fn mixed(run: &str) -> bool {
    run.chars().any(|c| c.is_ascii_digit()) && run.chars().any(|c| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_looks_like_a_credential_is_said() {
        let hex = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
        for secret in [
            "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",
            "am_us_1234567890abcdef",
            "am_x",
            "KEY0189ABCDEF_wXyz",
            "bk_ptr_abcd1234_0123456789abcdef0123456789abcdef",
            "bk_usr_1",
            "ghs_16C7e42F292c6912E7710c838347Ae178B4a",
            "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw7",
            "whsec_MfKQ9r8GKYqrTwjU",
            "e4d909c2-90d0-4b1c-a068-ffaddf22cbd0",
            hex,
            &format!("0x{hex}"),
            "https://admin-api.exa.ai/team-management/api-keys/e4d909c2",
        ] {
            for text in [
                format!("key {secret} is wrong"),
                format!("key \"{secret}\", is wrong"),
                format!("key={secret}: is wrong"),
                format!("({secret}). is wrong"),
            ] {
                let told = sayable(&text);
                assert!(!told.contains(secret), "{told}");
                assert!(
                    told.contains("(hidden)") && told.ends_with("is wrong"),
                    "{told}"
                );
            }
        }
        for harmless in [
            "Only management keys can perform this operation",
            "ada-7f3a@agents.acme.com is taken",
            "acme-ada-5c1f2d-llm-g1 exists",
            "+15551234567 costs 2.00 USD",
            "a-very-long-name-of-something-harmless-indeed",
        ] {
            assert_eq!(sayable(harmless), harmless);
        }
    }

    #[test]
    fn a_value_is_quoted_where_a_part_of_it_is() {
        let value = "canary-api \"quoted\" & slashed/and+plus";
        for text in [
            value,
            "invalid value CANARY-API",
            "cannot take canary-api%20%22quoted%22",
            "near \\\"quoted\\\" & slas",
            "…& slashed/and…",
        ] {
            assert!(quotes(text, value), "{text}");
        }
        assert!(!quotes("a canary sang in the plus column", value));
        assert!(quotes("port 8080 is taken", "8080"));
        assert!(!quotes("it is not true", "no"));
    }
}
