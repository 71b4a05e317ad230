//! Logs: to standard error, as text or as JSON, filtered.
//!
//! What holds: a bare level in the filter is for Yardmaster; libraries that handle credentials and bodies stay at
//! warnings unless a directive names them, so turning on `debug` does not print what they send. Secrets stay out of our
//! own lines because values are `secrecy` types. Deliberately absent: traces to a collector.

use super::config::LogFormat;
use std::io::IsTerminal;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt};

/// Libraries under the product that could print requests, headers or credentials.
const QUIET: &[&str] = &[
    "h2",
    "hyper",
    "hyper_util",
    "kube_client",
    "oci_client",
    "reqwest",
    "rustls",
    "tower",
];

/// Why there can be no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error(
        "--log is {directives:?}, which does not parse ({source}); give a level such as `info`, or `info,yardmaster::engine=debug`"
    )]
    Filter {
        /// What was given.
        directives: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// There is one already.
    #[error("the log is set up already")]
    Twice,
}

/// Sends the log of the whole process to standard error.
///
/// # Errors
/// [`TelemetryError`] when the directives do not parse, or when a log is set up already.
pub fn install(format: LogFormat, directives: &str) -> Result<(), TelemetryError> {
    let filter = filter(directives)?;
    let colours = std::io::stderr().is_terminal();
    let subscriber =
        Registry::default().with(layer(format, colours, std::io::stderr).with_filter(filter));
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::Twice)
}

/// The user's directives over our own: a later directive for the same target replaces the earlier.
fn filter(directives: &str) -> Result<EnvFilter, TelemetryError> {
    let mut all: Vec<String> = QUIET
        .iter()
        .map(|target| format!("{target}=warn"))
        .collect();
    all.push(directives.to_owned());
    EnvFilter::builder()
        .parse(all.join(","))
        .map_err(|source| TelemetryError::Filter {
            directives: directives.to_owned(),
            source,
        })
}

fn layer<W>(format: LogFormat, colours: bool, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(colours);
    match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.with_ansi(false).json().flatten_event(true).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged with this filter while `act` runs.
    fn logged(format: LogFormat, directives: &str, act: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        let layer = layer(format, false, move || writer.clone());
        let subscriber = Registry::default().with(layer.with_filter(filter(directives).unwrap()));
        tracing::subscriber::with_default(subscriber, act);
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = logged(LogFormat::Json, "info", || {
            tracing::info!(account = "a", "listed");
            tracing::debug!("not this");
        });
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["message"], "listed");
        assert_eq!(line["account"], "a");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn a_bare_level_leaves_libraries_quiet_unless_they_are_named() {
        let act = || {
            tracing::trace!("ours");
            tracing::trace!(target: "hyper::proto", "theirs");
            tracing::trace!(target: "reqwest::connect", "named");
        };
        let text = logged(LogFormat::Text, "trace,reqwest=trace", act);
        assert!(text.contains("ours"), "{text}");
        assert!(!text.contains("theirs"), "{text}");
        assert!(text.contains("named"), "{text}");
        assert!(!text.contains('\u{1b}'), "no colours in a file: {text}");
    }

    #[test]
    fn a_filter_that_does_not_parse_says_what_does() {
        let error = filter("info,yardmaster=loud").unwrap_err().to_string();
        assert!(error.contains("--log"), "{error}");
        assert!(error.contains("give a level"), "{error}");
    }
}
