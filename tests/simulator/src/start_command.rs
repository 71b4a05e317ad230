//! What a service's start command starts: its own words, or those that a shell's script ends with.
//!
//! Holds: of a command that is no more than a shell which evaluates one variable, the words are those of the script's last `exec`. What the script
//! does before is done where programs of this machine run, and is nothing to an imitated agent.

use crate::railway::deployment::Deployment;

/// A start command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StartCommand {
    /// What is started in the end.
    pub words: Vec<String>,
    script: Option<Script>,
}

#[derive(Debug, PartialEq, Eq)]
struct Script {
    /// The shell's own words.
    shell: Vec<String>,
    variable: String,
    before: String,
}

const EXEC: &str = "\nexec ";

impl StartCommand {
    pub(crate) fn of(deployment: &Deployment) -> Self {
        let command = deployment.config["deploy"]["startCommand"].as_str();
        Self::read(command.unwrap_or_default(), |name| {
            deployment.variables.get(name).map(String::as_str)
        })
    }

    fn read<'a>(command: &str, variable: impl Fn(&str) -> Option<&'a str>) -> Self {
        // A command that cannot be taken apart starts nothing.
        let words = shlex::split(command).unwrap_or_default();
        let plain = |words| Self {
            words,
            script: None,
        };
        let name = match &words[..] {
            [_, flag, text] if flag == "-c" => text
                .strip_prefix("eval \"$")
                .and_then(|rest| rest.strip_suffix('"')),
            _ => None,
        };
        let text = name.and_then(|name| Some((name, variable(name)?)));
        let Some((name, (before, last))) =
            text.and_then(|(name, text)| Some((name, text.rsplit_once(EXEC)?)))
        else {
            return plain(words);
        };
        Self {
            script: Some(Script {
                variable: name.to_owned(),
                before: before.to_owned(),
                shell: words.clone(),
            }),
            words: shlex::split(last).unwrap_or_default(),
        }
    }

    /// The command with other words: what is run, and the variable that differs.
    pub(crate) fn with(self, words: Vec<String>) -> (Vec<String>, Option<(String, String)>) {
        let Some(script) = self.script else {
            return (words, None);
        };
        let quoted: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        let text = format!("{}{EXEC}{}\n", script.before, quoted.join(" "));
        (script.shell, Some((script.variable, text)))
    }
}

/// Text as one word of a shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::StartCommand;

    fn read(command: &str) -> StartCommand {
        StartCommand::read(command, |name| {
            (name == "S").then_some("unset S\nexec 'a b' '--port' '1'\n")
        })
    }

    #[test]
    fn a_start_command_comes_apart_as_a_shell_would_take_it() {
        assert_eq!(read("a  --port 1").words, ["a", "--port", "1"]);
        assert_eq!(
            read(r#"a 'b c' "d \" e" f\ g '' "#).words,
            ["a", "b c", "d \" e", "f g", ""]
        );
        for command in ["", "a 'b"] {
            assert_eq!(read(command).words, [""; 0]);
        }
        for command in [
            "sh -c 'exec a'",
            "sh -c 'eval \"$T\"'",
            "sh -x 'eval \"$S\"'",
        ] {
            assert_eq!(read(command).words.len(), 3, "{command}");
        }
    }

    #[test]
    fn the_words_of_a_script_are_those_that_it_ends_with() {
        let command = read("/bin/sh -c 'eval \"$S\"'");
        assert_eq!(command.words, ["a b", "--port", "1"]);
        let (argv, changed) = command.with(vec!["/x/it's".to_owned(), "2".to_owned()]);
        assert_eq!(argv, ["/bin/sh", "-c", "eval \"$S\""]);
        let text = "unset S\nexec '/x/it'\\''s' '2'\n".to_owned();
        assert_eq!(changed, Some(("S".to_owned(), text)));
        let (argv, changed) = read("a b").with(vec!["c".to_owned()]);
        assert_eq!((argv, changed), (vec!["c".to_owned()], None));
    }
}
