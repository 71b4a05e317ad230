//! The client for everything outside but agents.
//!
//! What holds: nothing is sent in the clear, and no credential follows a redirect. Deliberately absent: timeouts, which are
//! each request's own.

use crate::registry::Route;

/// Opens no connection yet.
///
/// # Errors
/// The system's certificates cannot be read.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .https_only(true)
        .build()
}

/// The way to image registries: the same proxy as for everything else, whatever `NO_PROXY` says, since all of them are public.
pub fn route() -> Route {
    let set = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
    let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    Route {
        proxy: names.into_iter().find_map(set),
        authority: None,
    }
}
