//! Logs to standard error.

use std::env::VarError;
use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;

use anyhow::Context as _;
use constellation_server::CurrentRequest;
use serde_json::json;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, JsonFields, Writer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::args::LogFormat;

/// What `serve` logs unless `RUST_LOG` says otherwise.
pub(crate) const SERVE_LEVEL: LevelFilter = LevelFilter::INFO;

type Filter = Box<dyn Layer<Registry> + Send + Sync>;

/// What is logged: as `RUST_LOG` says, and `default` when it is not set.
pub(crate) fn filter(default: LevelFilter) -> anyhow::Result<Filter> {
    let directives = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(directives) => directives,
        Err(VarError::NotPresent) => String::new(),
        Err(error) => return Err(error).context("RUST_LOG is not text"),
    };
    filter_of(&directives, default)
}

fn filter_of(directives: &str, default: LevelFilter) -> anyhow::Result<Filter> {
    let filter = EnvFilter::builder()
        .with_default_directive(default.into())
        .parse(directives)
        .context("RUST_LOG is not a log filter, such as 'info' or 'constellation_server=debug'")?;
    Ok(targets_of(directives, default).map_or_else(|| filter.boxed(), Layer::boxed))
}

/// The same filter where it names no spans and no fields: one that does looks at each span whenever it is entered, so
/// that every request would pay for what nearly nobody asks for.
fn targets_of(directives: &str, default: LevelFilter) -> Option<Targets> {
    let directives: Vec<&str> =
        directives.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if directives.is_empty() {
        return Some(Targets::new().with_default(default));
    }
    let directives = directives.join(",");
    if directives.contains('[') { None } else { directives.parse().ok() }
}

/// Starts logging.
pub(crate) fn start(format: LogFormat, default: LevelFilter) -> anyhow::Result<()> {
    let ansi = format == LogFormat::Text && std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        // It would tell on standard error that standard error cannot be written, and panic over that.
        .log_internal_errors(false);
    let format_lines = tracing_subscriber::fmt::format();
    let lines = match format {
        LogFormat::Text => {
            let format_lines = OfRequest { lines: format_lines.with_ansi(ansi), tell: tell_in_text };
            lines.event_format(format_lines).boxed()
        }
        LogFormat::Json => {
            let format_lines = OfRequest { lines: format_lines.json(), tell: tell_in_json };
            lines.fmt_fields(JsonFields::new()).event_format(format_lines).boxed()
        }
    };
    tracing_subscriber::registry().with(filter(default)?).with(lines).init();
    Ok(())
}

/// Lines that end with the request which they are of, if it is that of one.
struct OfRequest<E> {
    lines: E,
    /// Puts a request at the end of a line.
    tell: fn(&mut String, &CurrentRequest) -> fmt::Result,
}

impl<S, N, E> FormatEvent<S, N> for OfRequest<E>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    E: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(request) = CurrentRequest::get() else {
            return self.lines.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.lines.format_event(context, Writer::new(&mut line), event)?;
        line.truncate(line.trim_end_matches('\n').len());
        (self.tell)(&mut line, &request)?;
        writeln!(writer, "{line}")
    }
}

fn tell_in_text(line: &mut String, request: &CurrentRequest) -> fmt::Result {
    let (id, method, route) = (request.id(), request.method(), request.route());
    write!(line, " request.id={id:?} request.method={method:?} request.route={route:?}")
}

fn tell_in_json(line: &mut String, request: &CurrentRequest) -> fmt::Result {
    let request = json!({ "id": request.id(), "method": request.method(), "route": request.route() });
    // A line is an object with members; it is open again without its last character.
    line.pop();
    write!(line, ",\"request\":{request}}}")
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_filter_without_spans_is_told_by_targets_alone() {
        let is_logged = |directives: &str, target: &str, level: Level| {
            let targets = targets_of(directives, LevelFilter::INFO);
            targets.map(|targets| targets.would_enable(target, &level))
        };
        for (directives, expected) in [
            ("", [true, false, true, false]),
            (" , ", [true, false, true, false]),
            ("off", [false, false, false, false]),
            ("debug", [true, true, true, true]),
            // What no directive names is not logged then.
            ("constellation_server=debug", [true, true, false, false]),
            ("warn, constellation_server=debug,", [true, true, false, false]),
            ("info,constellation_server=error", [false, false, true, false]),
        ] {
            let of = |target, level| is_logged(directives, target, level).unwrap();
            let logged = [
                of("constellation_server::http", Level::INFO),
                of("constellation_server::http", Level::DEBUG),
                of("hyper", Level::INFO),
                of("hyper", Level::DEBUG),
            ];
            assert_eq!(logged, expected, "{directives:?}");
        }
        for directives in ["[request]=debug", "info,constellation_runtime[run{status=failed}]=debug"] {
            assert_eq!(is_logged(directives, "hyper", Level::INFO), None, "{directives}");
            assert!(filter_of(directives, LevelFilter::INFO).is_ok(), "{directives}");
        }
        assert!(filter_of("a=b=c", LevelFilter::INFO).is_err());
    }
}
