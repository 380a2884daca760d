//! Diagnostics as people read them: each with its place in the source, as rustc draws its own.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::{Code, Diagnostic, Severity};

/// How many bytes of a source are drawn at most for a diagnostic.
const MAX_EXCERPT: usize = 4096;

/// What the reader's screen can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Palette {
    /// Text alone.
    Plain,
    /// The colors of a terminal, as escape sequences.
    Terminal,
}

/// Draws a diagnostic of `source`, which people know as `name`. The text has several lines and does not end with a line
/// break.
///
/// ```
/// use constellation_lang::draw::{Palette, draw};
/// use constellation_lang::{FunctionTable, compile, tokenize};
///
/// let source = "in n: Int\nx = n + true\nout x";
/// let compilation = compile(&tokenize(source), &FunctionTable::default());
/// let text = draw("sum.cst", source, &compilation.diagnostics[0], Palette::Plain);
/// assert!(text.contains("--> sum.cst:2:5"), "{text}");
/// ```
pub fn draw(name: &str, source: &str, diagnostic: &Diagnostic, palette: Palette) -> String {
    let renderer = match palette {
        Palette::Plain => Renderer::plain(),
        Palette::Terminal => Renderer::styled(),
    };
    renderer.render(&[report(name, source, diagnostic)])
}

fn report<'a>(name: &'a str, source: &'a str, diagnostic: &'a Diagnostic) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.as_str());
    let position = diagnostic.position;
    let group = match excerpt(source, diagnostic) {
        Some(shown) => title.element(snippet(source, shown, diagnostic).path(name)),
        None => title
            .element(Origin::path(name).line(position.line as usize).char_column(position.column as usize)),
    };
    group.elements(diagnostic.suggestions.iter().map(|suggestion| Level::HELP.message(suggestion.as_str())))
}

/// The lines of the source that are drawn: those that the diagnostic is about, or the first of them when they are too
/// much for a terminal; none when even that is.
fn excerpt(source: &str, diagnostic: &Diagnostic) -> Option<Range<usize>> {
    let lines = |range: Range<usize>| {
        let start = source[..range.start].rfind('\n').map_or(0, |end| end + 1);
        // Some editors begin a file with a byte order mark, which no terminal shows.
        let mark = if source[start..range.start].starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let rest = source[range.end..].split('\n').next().unwrap_or_default();
        start + mark..range.end + rest.trim_end_matches('\r').len()
    };
    let primary = diagnostic.span.range();
    let labels = diagnostic.labels.iter().map(|label| label.span.range());
    let whole = labels.fold(primary.clone(), |all, label| all.start.min(label.start)..all.end.max(label.end));
    let candidates = [whole, primary.clone(), primary.start..primary.start];
    candidates.into_iter().map(lines).find(|shown| shown.len() <= MAX_EXCERPT)
}

/// A drawing of some lines. What it is about beyond them is left out.
fn snippet<'a>(
    source: &'a str,
    shown: Range<usize>,
    diagnostic: &'a Diagnostic,
) -> Snippet<'a, Annotation<'a>> {
    let within = |range: Range<usize>| range.start - shown.start..range.end.min(shown.end) - shown.start;
    let primary = diagnostic.span.range();
    let lines_before = source[shown.start..primary.start].matches('\n').count();
    let mut annotation = AnnotationKind::Primary.span(within(primary));
    match (&diagnostic.expected, &diagnostic.found) {
        // What was found is what is underlined.
        (Some(expected), _) if diagnostic.code == Code::Syntax => {
            annotation = annotation.label(format!("expected {expected}"));
        }
        (Some(expected), Some(found)) => {
            annotation = annotation.label(format!("expected {expected}, found {found}"));
        }
        _ => {}
    }
    let others =
        diagnostic.labels.iter().filter(|label| shown.contains(&label.span.range().start)).map(|label| {
            AnnotationKind::Context.span(within(label.span.range())).label(label.message.as_str())
        });
    Snippet::source(&source[shown.clone()])
        .line_start(diagnostic.position.line as usize - lines_before)
        .annotation(annotation)
        .annotations(others)
}
