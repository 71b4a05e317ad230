//! The clients for everything outside but agents.
//!
//! What holds: nothing is sent in the clear, and no credential follows a redirect. Deliberately absent: timeouts, which are
//! each request's own.

use crate::registry::PublicOnly;

/// Opens no connection yet.
///
/// # Errors
/// The system's certificates cannot be read.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    builder().build()
}

/// The same for image registries: where the installation lists none, anybody names them, and none may be inside.
///
/// # Errors
/// The system's certificates cannot be read.
pub fn for_registries(listed: &[String]) -> Result<reqwest::Client, reqwest::Error> {
    if !listed.is_empty() {
        return client();
    }
    // A proxy is found by the same names, and where it is is the installation's own business.
    let proxies = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok());
    builder().dns_resolver(PublicOnly::beside(proxies)).build()
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .https_only(true)
}
