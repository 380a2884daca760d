//! Logs to standard error.

use std::env::VarError;
use std::error::Error;
use std::fmt::{self, Debug};
use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput as _};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};
use tracing_subscriber::layer::SubscriberExt as _;
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
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        // It would tell on standard error that standard error cannot be written, and panic over that.
        .log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).fmt_fields(TextFields).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(filter(default)?).with(lines).init();
    Ok(())
}

/// How much room the texts of a span get at first.
const TYPICAL_BYTES: usize = 192;

/// Fields as the default formatter writes them, but plain texts in fewer steps: the fields of a span are written when it
/// begins, so that each request pays for those of its spans, whether something is logged in them or not.
#[derive(Debug)]
struct TextFields;

impl<'writer> FormatFields<'writer> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = TextVisitor { writer, plain: String::new(), is_empty: true, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.flush();
        visitor.result
    }
}

struct TextVisitor<'writer> {
    writer: Writer<'writer>,
    /// What is not yet written: the writer is one for all kinds, and the text behind it would grow with every part.
    plain: String,
    is_empty: bool,
    result: fmt::Result,
}

impl TextVisitor<'_> {
    fn flush(&mut self) {
        if !self.plain.is_empty() && self.result.is_ok() {
            self.result = self.writer.write_str(&self.plain);
        }
        self.plain.clear();
    }

    fn write_as_default(&mut self, record: impl FnOnce(&mut DefaultVisitor<'_>)) {
        self.flush();
        if self.result.is_ok() {
            let mut visitor = DefaultVisitor::new(self.writer.by_ref(), std::mem::take(&mut self.is_empty));
            record(&mut visitor);
            self.result = visitor.finish();
        }
    }
}

impl Visit for TextVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let name = field.name();
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if self.writer.has_ansi_escapes() || name == "message" || !value.bytes().all(is_plain) {
            return self.write_as_default(|visitor| visitor.record_str(field, value));
        }
        if self.plain.is_empty() {
            self.plain.reserve(TYPICAL_BYTES);
        }
        if !std::mem::take(&mut self.is_empty) {
            self.plain.push(' ');
        }
        for part in [name, "=\"", value, "\""] {
            self.plain.push_str(part);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.write_as_default(|visitor| visitor.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.write_as_default(|visitor| visitor.record_debug(field, value));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::Level;
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::fmt::format::DefaultFields;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn logged(fields: impl for<'a> FormatFields<'a> + Send + Sync + 'static, ansi: bool) -> String {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(ansi)
            .without_time()
            .with_writer(lines.clone())
            .fmt_fields(fields)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            for text in
                ["plain", "", "two words", "a \"quote\"", "back\\slash", "line\nline", "\u{1b}[31m", "\u{e9}"]
            {
                let span = tracing::info_span!("outer", text, r#type = text, late = tracing::field::Empty);
                let _entered = span.enter();
                span.record("late", text);
                let error = std::io::Error::other(text);
                tracing::info!(text, number = 1, error = &error as &dyn Error, ?text, %text, "{text}");
                tracing::info!(message = text, first = text);
            }
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

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

    #[test]
    fn fields_are_written_as_the_default_formatter_does() {
        for ansi in [false, true] {
            let text = logged(TextFields, ansi);
            assert_eq!(text, logged(DefaultFields::new(), ansi));
            assert!(text.contains("plain") && text.lines().count() >= 16, "{text}");
        }
    }
}
