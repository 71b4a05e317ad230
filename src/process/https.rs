//! The client for everything outside but agents.
//!
//! What holds: nothing is sent in the clear, and no credential follows a redirect. Deliberately absent: timeouts, which are
//! each request's own.

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
