//! Logs: to standard error, each line readable alone. What is logged is
//! decided by the `log` knob; `RUST_LOG` isn't read.

use clap::ValueEnum;
use std::io::{self, IsTerminal};
use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How a log line looks.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Checks what should be logged.
///
/// # Errors
/// When it isn't a level or a list of `target=level`.
pub(crate) fn directive(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => {
            Err("must be error, warn, info, debug or trace, or a list such as info,strongroom_store=debug"
                .into())
        }
    }
}

/// Starts logging; what was logged before is lost.
pub(crate) fn start(directives: &str, format: Format) {
    let filter = EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        Format::Json => lines.json().flatten_event(true).finish().with(filter_fn(may_be_logged)).init(),
        Format::Text => {
            lines.with_ansi(io::stderr().is_terminal()).finish().with(filter_fn(may_be_logged)).init();
        }
    }
}

/// Whatever is asked for, nothing of the AWS SDK's: it logs requests and answers
/// whole, and what KMS is sent is the master key.
fn may_be_logged(of: &Metadata<'_>) -> bool {
    !of.target().starts_with("aws_")
}
