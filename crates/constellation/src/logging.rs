//! Logs to standard error.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::args::LogFormat;

/// What `serve` logs unless `RUST_LOG` says otherwise.
pub(crate) const SERVE_LEVEL: LevelFilter = LevelFilter::INFO;

/// What is logged: as `RUST_LOG` says, and `default` when it is not set.
pub(crate) fn filter(default: LevelFilter) -> anyhow::Result<EnvFilter> {
    EnvFilter::builder()
        .with_default_directive(default.into())
        .from_env()
        .context("RUST_LOG is not a log filter, such as 'info' or 'constellation_server=debug'")
}

/// Starts logging.
pub(crate) fn start(format: LogFormat, default: LevelFilter) -> anyhow::Result<()> {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter(default)?)
        .with_writer(std::io::stderr)
        // It would tell on standard error that standard error cannot be written, and panic over that.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => subscriber.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}
