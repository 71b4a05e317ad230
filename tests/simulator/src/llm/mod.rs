//! Models as agents ask them: what is said is canned, who may ask and what it costs is not.
//!
//! Two dialects of the same: `openai` (OpenRouter's chat completions) and `anthropic` (its message API). What opens them is a key
//! of the simulated OpenRouter alone, and each call is spent on it. Absent: any model.

pub(crate) mod anthropic;
pub(crate) mod openai;

use serde_json::Value;

/// How much of what a user said is said again.
const ECHO: usize = 400;

/// What a model says to what it was told last.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    Text(String),
    /// It wants a tool called, with these arguments.
    Call {
        name: String,
        arguments: Value,
    },
}

impl Said {
    /// `last` is what the user said last, `tools` the names of tools on offer. A line `call NAME {…}` is answered by that call.
    pub(crate) fn to(last: &str, tools: &[&str], canned: &str) -> Self {
        let call = last.lines().find_map(|line| {
            let (name, arguments) = line.trim().strip_prefix("call ")?.split_once(' ')?;
            let arguments: Value = serde_json::from_str(arguments).ok()?;
            let offered = tools.contains(&name);
            offered.then(|| Self::Call {
                name: name.to_owned(),
                arguments,
            })
        });
        call.unwrap_or_else(|| Self::text(last, canned))
    }

    /// Words, whatever tools there are.
    pub(crate) fn text(last: &str, canned: &str) -> Self {
        let last: String = last.chars().take(ECHO).collect();
        Self::Text(canned.replace("{last}", last.trim()))
    }

    /// What would be written, for counting.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Call { name, arguments } => name.len() + arguments.to_string().len(),
        }
    }
}

/// The text of a message's content: a string, or parts of which some are text.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// Text in pieces, as a model gives it: word by word.
pub(crate) fn pieces(text: &str) -> Vec<&str> {
    text.split_inclusive(' ').collect()
}

/// Tokens, roughly.
pub(crate) fn tokens(length: usize) -> usize {
    length.div_ceil(4)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Said;

    #[test]
    fn a_call_that_is_asked_for_is_made_where_the_tool_is_on_offer() {
        let asked = "please\ncall weather {\"city\": \"Bern\"}";
        let call = Said::Call {
            name: "weather".to_owned(),
            arguments: json!({ "city": "Bern" }),
        };
        assert_eq!(Said::to(asked, &["weather"], "You said: {last}"), call);
        let text = Said::to(asked, &[], "You said: {last}");
        assert_eq!(text, Said::Text(format!("You said: {asked}")));
    }
}
