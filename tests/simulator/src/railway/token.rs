//! Tokens: the text of a token says what it is, and the workspaces it names exist on demand.
//!
//! `ws_<workspace>_<anything>`, `acct_<user>_<workspace>[+<workspace>…]_<anything>`, `proj_<projectId>_<anything>`.

use crate::exchange::Request;
use crate::settings::Settings;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No token, or none that is good.
    Nobody,
    Account {
        user: String,
        workspaces: Vec<String>,
    },
    Workspace(String),
    /// One project, whose token cannot make others.
    Project(String),
}

#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub kind: Kind,
    text: String,
}

impl Token {
    pub(crate) fn of(request: &Request, settings: &Settings) -> Self {
        let text = request
            .header("project-access-token")
            .or_else(|| request.bearer());
        let text = text.unwrap_or_default().to_owned();
        let kind = match settings.revoked_tokens.contains(&text) {
            true => Kind::Nobody,
            false => read(&text).unwrap_or(Kind::Nobody),
        };
        Self { kind, text }
    }

    /// The text, to tell one token's buckets from another's. It is never written anywhere.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_good(&self) -> bool {
        self.kind != Kind::Nobody
    }

    pub(crate) fn may_use(&self, workspace: &str) -> bool {
        match &self.kind {
            Kind::Account { workspaces, .. } => workspaces.iter().any(|own| own == workspace),
            Kind::Workspace(own) => own == workspace,
            Kind::Project(_) | Kind::Nobody => false,
        }
    }

    pub(crate) fn workspaces(&self) -> &[String] {
        match &self.kind {
            Kind::Account { workspaces, .. } => workspaces,
            Kind::Workspace(own) => std::slice::from_ref(own),
            Kind::Project(_) | Kind::Nobody => &[],
        }
    }
}

fn read(text: &str) -> Option<Kind> {
    let (kind, rest) = text.split_once('_')?;
    let known = |name: &str| !name.is_empty();
    match kind {
        "ws" => {
            let (workspace, _) = rest.split_once('_')?;
            known(workspace).then(|| Kind::Workspace(workspace.to_owned()))
        }
        "acct" => {
            let (user, rest) = rest.split_once('_')?;
            let (names, _) = rest.split_once('_')?;
            let workspaces: Vec<String> = names
                .split('+')
                .filter(|name| known(name))
                .map(str::to_owned)
                .collect();
            known(user).then(|| Kind::Account {
                user: user.to_owned(),
                workspaces,
            })
        }
        "proj" => {
            let project = rest.split('_').next()?;
            known(project).then(|| Kind::Project(project.to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, read};

    #[test]
    fn a_token_says_what_it_is() {
        assert_eq!(
            read("ws_team-a_x"),
            Some(Kind::Workspace("team-a".to_owned()))
        );
        let workspaces = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(
            read("acct_me_a+b_1"),
            Some(Kind::Account {
                user: "me".to_owned(),
                workspaces
            })
        );
        assert_eq!(read("proj_123_x"), Some(Kind::Project("123".to_owned())));
        assert_eq!(read("ws_team-a"), None);
        assert_eq!(read("nonsense"), None);
    }
}
