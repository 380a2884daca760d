//! The lexer: text to tokens.
//!
//! It never fails: text that is no token becomes [`TokenKind::Unknown`], so that no program with such text has the
//! syntactic hash of a valid one.

use super::{MAX_SOURCE_BYTES, RESERVED, Token, TokenKind, TokenizedSource};
use crate::diagnostic::{Code, Diagnostic};
use crate::scan::{WORD, before_first, find, first, is_byte, names, word_at, zeros};
use crate::span::Span;

/// What may start with a byte.
#[derive(Clone, Copy)]
enum Start {
    Space,
    Comment,
    Name,
    Number,
    String,
    Brace,
    /// The symbol in [`SYMBOLS`].
    Symbol,
    /// One of several symbols.
    Symbols,
    Unknown,
}

const STARTS: [Start; 256] = {
    let mut table = [Start::Unknown; 256];
    let mut byte: u8 = 0;
    while byte.is_ascii() {
        table[byte as usize] = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => Start::Space,
            b'#' => Start::Comment,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Start::Name,
            b'0'..=b'9' => Start::Number,
            b'"' => Start::String,
            b'{' | b'}' => Start::Brace,
            b'(' | b')' | b'[' | b']' | b',' | b':' | b'.' | b'|' | b'@' | b'+' | b'*' | b'/' => {
                Start::Symbol
            }
            b'=' | b'-' | b'!' | b'<' | b'>' | b'?' => Start::Symbols,
            _ => Start::Unknown,
        };
        byte += 1;
    }
    table
};

/// Reserved words of up to eight bytes by [`slot`]; a slot without one has a word that no name is.
const KEYWORDS: [(u64, TokenKind); 32] = {
    let mut table = [(0, TokenKind::Identifier); 32];
    let mut index = 0;
    while index < RESERVED.len() {
        let (text, kind) = RESERVED[index];
        let bytes = text.as_bytes();
        assert!(bytes.len() <= WORD || matches!(kind, TokenKind::Otherwise), "reserved words are short");
        if bytes.len() <= WORD {
            let mut word = 0;
            let mut at = bytes.len();
            while at > 0 {
                at -= 1;
                word = word << 8 | bytes[at] as u64;
            }
            assert!(table[slot(word)].0 == 0, "two reserved words have one slot: choose another factor");
            table[slot(word)] = (word, kind);
        }
        index += 1;
    }
    table
};

/// Where a word is among the [`KEYWORDS`]. The factor was found by trying random ones until no two were in one place.
const fn slot(word: u64) -> usize {
    (word.wrapping_mul(0xc464_7159_c324_c985) >> 59) as usize
}

/// What a kind of token is, and where the token ends.
type Lexed = (TokenKind, usize);

/// Symbols of one byte that start no other symbol.
const SYMBOLS: [TokenKind; 256] = {
    let mut table = [TokenKind::Unknown; 256];
    table[b'(' as usize] = TokenKind::LeftParenthesis;
    table[b')' as usize] = TokenKind::RightParenthesis;
    table[b'[' as usize] = TokenKind::LeftBracket;
    table[b']' as usize] = TokenKind::RightBracket;
    table[b',' as usize] = TokenKind::Comma;
    table[b':' as usize] = TokenKind::Colon;
    table[b'.' as usize] = TokenKind::Dot;
    table[b'|' as usize] = TokenKind::Pipe;
    table[b'@' as usize] = TokenKind::At;
    table[b'+' as usize] = TokenKind::Plus;
    table[b'*' as usize] = TokenKind::Star;
    table[b'/' as usize] = TokenKind::Slash;
    table
};

struct Lexer<'a> {
    source: &'a str,
    bytes: &'a [u8],
    /// For each open `${`, how many braces are open inside it.
    interpolations: Vec<u32>,
    diagnostics: Vec<Diagnostic>,
    /// Whether a string without an end was cut at the end of its line. Done once, so that the work stays linear.
    has_rescued_string: bool,
    has_fat_arrow: bool,
}

/// The tokens of a source.
pub(super) fn run(source: &str) -> TokenizedSource<'_> {
    let mut lexer = Lexer {
        source,
        bytes: source.as_bytes(),
        interpolations: Vec::new(),
        diagnostics: Vec::new(),
        has_rescued_string: false,
        has_fat_arrow: false,
    };
    let tokens = if source.len() > MAX_SOURCE_BYTES { lexer.too_long() } else { lexer.tokens() };
    let Lexer { diagnostics, has_fat_arrow, .. } = lexer;
    TokenizedSource { source, tokens, diagnostics, has_fat_arrow }
}

impl Lexer<'_> {
    fn too_long(&mut self) -> Vec<Token> {
        let end = self.source.len();
        let message = format!(
            "The source has {end} bytes; at most {MAX_SOURCE_BYTES} are compiled. Split it into several pipelines"
        );
        self.diagnostics.push(Diagnostic::error(Code::LimitExceeded, Span::default(), message));
        vec![
            Token { kind: TokenKind::Unknown, span: Span::new(0, end) },
            Token { kind: TokenKind::EndOfFile, span: Span::new(end, end) },
        ]
    }

    fn tokens(&mut self) -> Vec<Token> {
        let bytes = self.bytes;
        let names = names(bytes);
        // A token is about four bytes long with the space behind it. To grow costs more than what is left over.
        let mut tokens = Vec::with_capacity(bytes.len() / 3 + 1);
        // Some editors begin a file with a byte order mark. It is no part of the program.
        let mut at = if self.source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        while let Some(&byte) = bytes.get(at) {
            let mut start = at;
            let (kind, end) = match STARTS[usize::from(byte)] {
                Start::Space => {
                    at += 1;
                    continue;
                }
                Start::Comment => {
                    at = self.end_of_line(start);
                    continue;
                }
                Start::Name => name(&names, start),
                Start::Number => self.number(start),
                Start::String => self.string(start, true),
                Start::Brace => self.brace(start, byte),
                Start::Symbol => (SYMBOLS[usize::from(byte)], start + 1),
                Start::Symbols => self.symbol(start, byte),
                Start::Unknown => {
                    start = self.start_of_odd_name(&mut tokens, at);
                    self.unknown(start, at)
                }
            };
            tokens.push(Token { kind, span: span(start, end) });
            // Behind most tokens is one space.
            at = end + usize::from(bytes.get(end) == Some(&b' '));
        }
        let end = bytes.len();
        tokens.push(Token { kind: TokenKind::EndOfFile, span: span(end, end) });
        tokens
    }

    #[inline(never)]
    fn end_of_line(&self, at: usize) -> usize {
        find(self.bytes, at..self.bytes.len(), |word| is_byte(word, b'\n'))
    }

    #[inline(never)]
    fn number(&self, start: usize) -> Lexed {
        let end_of_digits = |from: usize| {
            let digits = self.bytes[from..].iter().take_while(|byte| byte.is_ascii_digit());
            from + digits.count()
        };
        let end = end_of_digits(start);
        let is_float =
            self.bytes.get(end) == Some(&b'.') && self.bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        if is_float { (TokenKind::Float, end_of_digits(end + 1)) } else { (TokenKind::Integer, end) }
    }

    /// A brace, which may end an interpolation.
    #[inline(never)]
    fn brace(&mut self, start: usize, byte: u8) -> Lexed {
        match (byte, self.interpolations.last_mut()) {
            (b'}', Some(0)) => {
                self.interpolations.pop();
                return self.string(start, false);
            }
            (b'}', Some(depth)) => *depth -= 1,
            (_, Some(depth)) => *depth += 1,
            (_, None) => {}
        }
        (if byte == b'{' { TokenKind::LeftBrace } else { TokenKind::RightBrace }, start + 1)
    }

    /// One of the symbols that another may follow in the same token.
    #[inline(never)]
    fn symbol(&mut self, start: usize, byte: u8) -> Lexed {
        let next = self.bytes.get(start + 1).copied();
        let (length, kind) = match (byte, next) {
            (b'=', Some(b'>')) => {
                self.has_fat_arrow = true;
                (2, TokenKind::FatArrow)
            }
            (b'=', Some(b'=')) => (2, TokenKind::Equal),
            (b'-', Some(b'>')) => (2, TokenKind::Arrow),
            (b'!', Some(b'=')) => (2, TokenKind::NotEqual),
            (b'<', Some(b'=')) => (2, TokenKind::LessEqual),
            (b'>', Some(b'=')) => (2, TokenKind::GreaterEqual),
            (b'?', Some(b'?')) => (2, TokenKind::Coalesce),
            (b'=', _) => (1, TokenKind::Assign),
            (b'-', _) => (1, TokenKind::Minus),
            (b'<', _) => (1, TokenKind::Less),
            (b'>', _) => (1, TokenKind::Greater),
            _ => return self.unknown(start, start),
        };
        (kind, start + length)
    }

    /// Where the text at `at` starts, which starts no token: a letter beyond ASCII belongs to the name before it, which
    /// is taken from the tokens.
    #[cold]
    fn start_of_odd_name(&self, tokens: &mut Vec<Token>, at: usize) -> usize {
        let has_letter = self.source[at..].starts_with(char::is_alphanumeric);
        let is_touched = |last: &mut Token| last.kind.is_word() && last.span.range().end == at;
        let name = if has_letter { tokens.pop_if(is_touched) } else { None };
        name.map_or(at, |name| name.span.range().start)
    }

    /// The end of a name with letters beyond ASCII, which is reported; none when it has none. Its letters up to `from`
    /// are ASCII.
    fn odd_name(&mut self, start: usize, from: usize) -> Option<usize> {
        let rest = &self.source[from..];
        if !rest.starts_with(|character: char| !character.is_ascii() && character.is_alphanumeric()) {
            return None;
        }
        let is_name = |character: char| character.is_alphanumeric() || "_-".contains(character);
        let end = from + rest.find(|character| !is_name(character)).unwrap_or(rest.len());
        let shown: String = self.source[start..end].chars().take(40).collect();
        let message = format!("Parse error: the name '{shown}' has letters that names cannot have");
        let hint = "Names are made of the letters a to z and A to Z, digits, '_' and '-'".to_owned();
        self.diagnostics.push(Diagnostic::error(Code::Syntax, span(start, end), message).suggest([hint]));
        Some(end)
    }

    /// A run of characters that start no token, reported once, or a name with letters beyond ASCII from `at` on.
    #[cold]
    fn unknown(&mut self, start: usize, at: usize) -> Lexed {
        if let Some(end) = self.odd_name(start, at) {
            return (TokenKind::Unknown, end);
        }
        let rest = &self.source[start..];
        let is_unknown = |character: char| {
            !character.is_alphanumeric() && !" \t\r\n#_\"{}()[],:.|@=<>+-*/".contains(character)
        };
        let length = rest.find(|character| !is_unknown(character)).unwrap_or(rest.len());
        // `!` and `?` get here alone; the first character is taken in any case, so that the lexer moves on.
        let end = start + length.max(rest.chars().next().map_or(1, char::len_utf8));
        let text = &self.source[start..end];
        let shown: String = text.chars().take(20).flat_map(char::escape_debug).collect();
        let suggestion = match text {
            ";" => Some("Declarations need no separator: remove it"),
            "!" => Some("Negation is written 'not'"),
            "&&" | "&" => Some("Conjunction is written 'and'"),
            "'" => Some("Strings are written in double quotes"),
            "%" => Some("Use the function 'modulo'"),
            "?" => Some("An optional type is written Optional<T>; a default value is given with '??'"),
            _ => None,
        };
        let message = format!("Parse error: unexpected character '{shown}'");
        let diagnostic = Diagnostic::error(Code::Syntax, span(start, end), message);
        self.diagnostics.push(diagnostic.suggest(suggestion.map(str::to_owned)));
        (TokenKind::Unknown, end)
    }

    /// A string from its quote, or the rest of one from the `}` of an interpolation.
    #[inline(never)]
    fn string(&mut self, start: usize, is_start: bool) -> Lexed {
        let mut at = start + 1;
        loop {
            at = find(self.bytes, at..self.bytes.len(), |word| {
                is_byte(word, b'"') | is_byte(word, b'\\') | is_byte(word, b'$')
            });
            match (self.bytes.get(at), self.bytes.get(at + 1)) {
                (Some(b'"'), _) => {
                    let kind = if is_start { TokenKind::String } else { TokenKind::StringTail };
                    return (kind, at + 1);
                }
                // The character after a backslash is passed over, whatever it is: an ASCII byte, or the start
                // of a longer character, none of whose bytes is looked for.
                (Some(b'\\'), Some(_)) => at += 2,
                (Some(b'$'), Some(b'{')) => {
                    self.interpolations.push(0);
                    let kind = if is_start { TokenKind::StringHead } else { TokenKind::StringMiddle };
                    return (kind, at + 2);
                }
                (Some(_), _) => at += 1,
                (None, _) => return self.endless_string(start),
            }
        }
    }

    /// A string without an end: most likely the quote was forgotten at the end of its line.
    #[cold]
    fn endless_string(&mut self, start: usize) -> Lexed {
        let mut end = self.bytes.len();
        if !self.has_rescued_string {
            self.has_rescued_string = true;
            end = self.end_of_line(start);
        }
        let message = "Parse error: the string has no end: '\"' expected";
        self.diagnostics.push(Diagnostic::error(Code::Syntax, span(start, end), message));
        (TokenKind::Unknown, end)
    }
}

/// A name or a reserved word.
#[inline]
fn name(names: &[u8], start: usize) -> Lexed {
    let word = word_at(names, start);
    let ends = zeros(word);
    if ends == 0 {
        return long_name(names, start);
    }
    let word = word & before_first(ends);
    let (keyword, kind) = KEYWORDS[slot(word)];
    (if word == keyword { kind } else { TokenKind::Identifier }, start + first(ends))
}

/// A name of eight bytes or more.
#[inline(never)]
fn long_name(names: &[u8], start: usize) -> Lexed {
    let end = find(names, start + WORD..names.len(), zeros);
    // The only reserved word of more than eight bytes.
    let is_otherwise = &names[start..end] == b"otherwise";
    (if is_otherwise { TokenKind::Otherwise } else { TokenKind::Identifier }, end)
}

#[expect(clippy::cast_possible_truncation, reason = "a source that is cut into tokens has at most 1 MiB")]
fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, end: end as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize;

    fn texts(source: &str) -> Vec<&str> {
        let tokens = tokenize(source);
        tokens.tokens().iter().map(|token| tokens.text(*token)).collect()
    }

    #[test]
    fn reserved_words_are_told_from_names_that_begin_like_them() {
        let kind = |text: &str| tokenize(text).tokens()[0].kind;
        for (word, keyword) in RESERVED {
            assert!(keyword.is_reserved() && keyword.is_word(), "{word:?}");
            assert_eq!(kind(word), *keyword);
            assert_eq!(kind(&format!("{word}(")), *keyword);
            assert_eq!(kind(&format!("{word} and more text")), *keyword);
            for name in [format!("{word}_"), format!("{word}-and-more"), word.to_uppercase()] {
                assert_eq!(kind(&name), TokenKind::Identifier, "{name:?}");
            }
        }
        assert!(TokenKind::Identifier.is_word() && !TokenKind::Identifier.is_reserved());
        assert!(!TokenKind::Integer.is_word() && !TokenKind::EndOfFile.is_word());
    }

    #[test]
    fn hyphens_belong_to_names_and_arrows_to_nobody() {
        assert_eq!(texts("a-b - 1 a -1 a- c->1"), ["a-b", "-", "1", "a", "-", "1", "a-", "c-", ">", "1", ""]);
        assert_eq!(texts("(c)->1 x=>y"), ["(", "c", ")", "->", "1", "x", "=>", "y", ""]);
    }

    #[test]
    fn symbols_are_as_long_as_they_can_be() {
        let source = "= == => =- - -> -= ! != ? ?? < <= <> > >= >>";
        let expected = [
            "=", "==", "=>", "=", "-", "-", "->", "-", "=", "!", "!=", "?", "??", "<", "<=", "<", ">", ">",
            ">=", ">", ">", "",
        ];
        assert_eq!(texts(source), expected);
        let kinds =
            |source: &str| tokenize(source).tokens().iter().map(|token| token.kind).collect::<Vec<_>>();
        let symbols = [
            ("=", TokenKind::Assign),
            ("==", TokenKind::Equal),
            ("=>", TokenKind::FatArrow),
            ("-", TokenKind::Minus),
            ("->", TokenKind::Arrow),
            ("!", TokenKind::Unknown),
            ("!=", TokenKind::NotEqual),
            ("?", TokenKind::Unknown),
            ("??", TokenKind::Coalesce),
            ("<", TokenKind::Less),
            ("<=", TokenKind::LessEqual),
            (">", TokenKind::Greater),
            (">=", TokenKind::GreaterEqual),
        ];
        for (text, kind) in symbols {
            assert_eq!(kinds(text), [kind, TokenKind::EndOfFile], "{text}");
            assert_eq!(kinds(&format!("{text} ")), [kind, TokenKind::EndOfFile], "{text}");
        }
        assert!(tokenize("=>").has_fat_arrow() && !tokenize("= >").has_fat_arrow());
    }

    #[test]
    fn strings_nest_through_interpolations() {
        let source = r#""a ${f("}", {x: 1})} b ${y} c" z"#;
        let tokens = tokenize(source);
        let kinds: Vec<_> = tokens.tokens().iter().map(|token| token.kind).collect();
        assert_eq!(kinds[0], TokenKind::StringHead);
        assert!(kinds.contains(&TokenKind::StringMiddle));
        assert_eq!(
            &kinds[kinds.len() - 3..],
            [TokenKind::StringTail, TokenKind::Identifier, TokenKind::EndOfFile]
        );
        assert!(tokens.diagnostics().is_empty());
    }

    #[test]
    fn a_string_without_end_stops_at_the_end_of_its_line() {
        let source = "x = \"abc\nin y: Int";
        let tokens = tokenize(source);
        assert_eq!(tokens.diagnostics().len(), 1);
        assert_eq!(texts(source), ["x", "=", "\"abc", "in", "y", ":", "Int", ""]);
        assert_eq!(tokens.tokens()[2].kind, TokenKind::Unknown);
    }

    #[test]
    fn unknown_text_is_one_token_and_never_lost() {
        assert_eq!(texts("a \u{1f600}; b!"), ["a", "\u{1f600};", "b", "!", ""]);
        assert_eq!(texts("gr\u{f6}\u{df}e-1 \u{e9};"), ["gr\u{f6}\u{df}e-1", "\u{e9}", ";", ""]);
        // A byte order mark is one only at the start.
        assert_eq!(texts("\u{feff}in"), ["in", ""]);
        assert_eq!(texts("in\u{feff}"), ["in", "\u{feff}", ""]);
    }

    #[test]
    fn a_source_past_the_bound_is_not_read() {
        let source = "a ".repeat(MAX_SOURCE_BYTES / 2 + 1);
        let tokens = tokenize(&source);
        assert_eq!(tokens.tokens().len(), 2);
        assert_eq!(tokens.diagnostics()[0].code, Code::LimitExceeded);
    }
}
