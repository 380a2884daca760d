//! Logs to standard error.

use std::error::Error;
use std::fmt::{self, Debug};
use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing::field::{Field, Visit};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::{RecordFields, VisitOutput as _};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

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
        LogFormat::Text => {
            subscriber.with_ansi(std::io::stderr().is_terminal()).fmt_fields(TextFields).init();
        }
        LogFormat::Json => subscriber.json().init(),
    }
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
    fn fields_are_written_as_the_default_formatter_does() {
        for ansi in [false, true] {
            let text = logged(TextFields, ansi);
            assert_eq!(text, logged(DefaultFields::new(), ansi));
            assert!(text.contains("plain") && text.lines().count() >= 16, "{text}");
        }
    }
}
