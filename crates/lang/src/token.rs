//! Tokens, and the lexer that makes them.
//!
//! The lexer never fails: text that is no token becomes [`TokenKind::Unknown`], so that no program with such
//! text has the syntactic hash of a valid one.

use constellation_store_core::{RegistryHash, SyntacticHash, SyntacticKey};
use constellation_types::is_in_identifier;

use crate::diagnostic::{Code, Diagnostic};
use crate::functions::FunctionTable;
use crate::span::Span;

/// The longest source that is compiled, in bytes: 1 MiB.
pub const MAX_SOURCE_BYTES: usize = 1 << 20;

macro_rules! keywords {
    ($($variant:ident $text:literal),* $(,)?) => {
        /// A reserved word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Keyword {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
        }

        impl Keyword {
            /// The word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            fn find(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

keywords! {
    Type "type", In "in", Out "out", If "if", Else "else", True "true", False "false", Use "use", As "as",
    And "and", Or "or", Not "not", When "when", Branch "branch", Otherwise "otherwise", With "with",
    Lazy "lazy", Match "match", Is "is",
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A name: `[A-Za-z_][A-Za-z0-9_-]*`, not reserved.
    Identifier,
    /// A reserved word.
    Keyword(Keyword),
    /// Digits.
    Integer,
    /// Digits, a dot, digits.
    Float,
    /// A whole string without interpolation, quotes included.
    String,
    /// A string up to and including its first `${`.
    StringHead,
    /// From a `}` of a string up to and including its next `${`.
    StringMiddle,
    /// From the last `}` of a string to its end.
    StringTail,
    /// `(`
    LeftParenthesis,
    /// `)`
    RightParenthesis,
    /// `[`
    LeftBracket,
    /// `]`
    RightBracket,
    /// `{`
    LeftBrace,
    /// `}`
    RightBrace,
    /// `,`
    Comma,
    /// `:`
    Colon,
    /// `.`
    Dot,
    /// `|`
    Pipe,
    /// `@`
    At,
    /// `=`
    Assign,
    /// `=>`
    FatArrow,
    /// `->`
    Arrow,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Star,
    /// `/`
    Slash,
    /// `??`
    Coalesce,
    /// Text that is no token.
    Unknown,
    /// The end of the source.
    EndOfFile,
}

impl TokenKind {
    /// The name under which the kind goes into the syntactic hash.
    fn hash_name(self) -> &'static str {
        match self {
            Self::Identifier => "identifier",
            Self::Keyword(_) => "keyword",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::String => "string",
            Self::StringHead => "string-head",
            Self::StringMiddle => "string-middle",
            Self::StringTail => "string-tail",
            Self::Unknown => "unknown",
            Self::EndOfFile => "end",
            _ => "punctuation",
        }
    }
}

/// A token and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it is, without the space around it.
    pub span: Span,
}

/// A source text cut into tokens: what hashes and the parser are made from.
#[derive(Debug, Clone)]
pub struct TokenizedSource<'a> {
    source: &'a str,
    tokens: Vec<Token>,
    diagnostics: Vec<Diagnostic>,
    has_fat_arrow: bool,
}

impl<'a> TokenizedSource<'a> {
    /// The source text.
    pub fn source(&self) -> &'a str {
        self.source
    }

    /// The tokens, the last of which is the end of the file.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The text of a token.
    pub fn text(&self, token: Token) -> &'a str {
        &self.source[token.span.range()]
    }

    /// The hash of the token stream, each token as length-prefixed kind and text. Comments and layout do not
    /// count. Two programs of the same hash have the same tree.
    pub fn syntactic_hash(&self) -> SyntacticHash {
        // Gathered, since BLAKE3 is several times faster on long pieces than on one token after another.
        const PIECE: usize = 1 << 14;
        let mut hasher = blake3::Hasher::new();
        let mut piece = Vec::with_capacity(PIECE);
        for token in &self.tokens {
            for part in [token.kind.hash_name(), self.text(*token)] {
                piece.extend_from_slice(&(part.len() as u64).to_le_bytes());
                piece.extend_from_slice(part.as_bytes());
            }
            if piece.len() >= PIECE {
                hasher.update(&piece);
                piece.clear();
            }
        }
        hasher.update(&piece);
        SyntacticHash::from_bytes(*hasher.finalize().as_bytes())
    }

    /// The hash of what the compiler knows that this program may depend on: the lowering version, and the
    /// signatures of all functions whose simple name occurs in the source as an identifier.
    ///
    /// Operators are not functions, so they do not count.
    pub fn registry_hash(&self, functions: &FunctionTable) -> RegistryHash {
        let names = self.tokens.iter().enumerate().filter_map(|(index, token)| match token.kind {
            TokenKind::Identifier => Some(self.text(*token)),
            // A reserved word can be the last part of a qualified name, as in `stdlib.bool.and(a, b)`.
            TokenKind::Keyword(_) if index > 0 && self.tokens[index - 1].kind == TokenKind::Dot => {
                Some(self.text(*token))
            }
            _ => None,
        });
        functions.hash_of(names)
    }

    /// What an image compiled from this program is found again by.
    pub fn syntactic_key(&self, functions: &FunctionTable) -> SyntacticKey {
        SyntacticKey { syntactic: self.syntactic_hash(), registry: self.registry_hash(functions) }
    }

    /// What the lexer found wrong.
    pub(crate) fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Whether `=>` is among the tokens: only lambdas have it.
    pub(crate) fn has_fat_arrow(&self) -> bool {
        self.has_fat_arrow
    }
}

/// Cuts a source text into tokens. Never fails; what is wrong is reported by [`compile`](crate::compile).
///
/// A source longer than [`MAX_SOURCE_BYTES`] has one token, of unknown kind.
pub fn tokenize(source: &str) -> TokenizedSource<'_> {
    let mut lexer = Lexer {
        source,
        bytes: source.as_bytes(),
        at: 0,
        tokens: Vec::with_capacity(source.len().min(MAX_SOURCE_BYTES) / 4),
        interpolations: Vec::new(),
        diagnostics: Vec::new(),
        has_rescued_string: false,
        has_fat_arrow: false,
    };
    // Some editors begin a file with a byte order mark. It is no part of the program.
    if source.starts_with('\u{feff}') {
        lexer.at = '\u{feff}'.len_utf8();
    }
    if source.len() > MAX_SOURCE_BYTES {
        let message = format!(
            "The source has {} bytes; at most {MAX_SOURCE_BYTES} are compiled. Split it into several pipelines",
            source.len()
        );
        lexer.diagnostics.push(Diagnostic::error(Code::LimitExceeded, Span::default(), message));
        lexer.at = source.len();
        lexer.tokens.push(Token { kind: TokenKind::Unknown, span: Span::new(0, source.len()) });
    }
    lexer.run();
    let Lexer { tokens, diagnostics, has_fat_arrow, .. } = lexer;
    TokenizedSource { source, tokens, diagnostics, has_fat_arrow }
}

pub(crate) fn update_with_length(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// What may start with a byte.
#[derive(Clone, Copy)]
enum Start {
    Space,
    Comment,
    Name,
    Number,
    String,
    Brace,
    /// This symbol.
    Symbol(TokenKind),
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
            b'(' => Start::Symbol(TokenKind::LeftParenthesis),
            b')' => Start::Symbol(TokenKind::RightParenthesis),
            b'[' => Start::Symbol(TokenKind::LeftBracket),
            b']' => Start::Symbol(TokenKind::RightBracket),
            b',' => Start::Symbol(TokenKind::Comma),
            b':' => Start::Symbol(TokenKind::Colon),
            b'.' => Start::Symbol(TokenKind::Dot),
            b'|' => Start::Symbol(TokenKind::Pipe),
            b'@' => Start::Symbol(TokenKind::At),
            b'+' => Start::Symbol(TokenKind::Plus),
            b'*' => Start::Symbol(TokenKind::Star),
            b'/' => Start::Symbol(TokenKind::Slash),
            b'=' | b'-' | b'!' | b'<' | b'>' | b'?' => Start::Symbols,
            _ => Start::Unknown,
        };
        byte += 1;
    }
    table
};

struct Lexer<'a> {
    source: &'a str,
    bytes: &'a [u8],
    at: usize,
    tokens: Vec<Token>,
    /// For each open `${`, how many braces are open inside it.
    interpolations: Vec<u32>,
    diagnostics: Vec<Diagnostic>,
    /// Whether a string without an end was cut at the end of its line. Done once, so that the work stays linear.
    has_rescued_string: bool,
    has_fat_arrow: bool,
}

impl Lexer<'_> {
    fn run(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at) {
            let start = self.at;
            let kind = match STARTS[usize::from(byte)] {
                Start::Space => {
                    self.at += 1;
                    continue;
                }
                Start::Comment => {
                    self.skip_while(|byte| byte != b'\n');
                    continue;
                }
                Start::Name => self.name(),
                Start::Number => self.number(),
                Start::String => self.string(true),
                Start::Brace => self.brace(byte),
                Start::Symbol(kind) => {
                    self.at += 1;
                    kind
                }
                Start::Symbols => self.symbol(byte),
                Start::Unknown => self.unknown(),
            };
            self.tokens.push(Token { kind, span: Span::new(start, self.at) });
        }
        let end = self.source.len();
        self.tokens.push(Token { kind: TokenKind::EndOfFile, span: Span::new(end, end) });
    }

    fn name(&mut self) -> TokenKind {
        let start = self.at;
        self.skip_while(is_in_identifier);
        if self.bytes.get(self.at).is_some_and(|byte| !byte.is_ascii()) && self.skip_odd_name(start) {
            return TokenKind::Unknown;
        }
        match Keyword::find(&self.source[start..self.at]) {
            Some(keyword) => TokenKind::Keyword(keyword),
            None => TokenKind::Identifier,
        }
    }

    fn number(&mut self) -> TokenKind {
        self.skip_while(|byte| byte.is_ascii_digit());
        let is_float = self.bytes.get(self.at) == Some(&b'.')
            && self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit);
        if !is_float {
            return TokenKind::Integer;
        }
        self.at += 1;
        self.skip_while(|byte| byte.is_ascii_digit());
        TokenKind::Float
    }

    /// A brace, which may end an interpolation.
    fn brace(&mut self, byte: u8) -> TokenKind {
        match (byte, self.interpolations.last_mut()) {
            (b'}', Some(0)) => {
                self.interpolations.pop();
                return self.string(false);
            }
            (b'}', Some(depth)) => *depth -= 1,
            (_, Some(depth)) => *depth += 1,
            (_, None) => {}
        }
        self.at += 1;
        if byte == b'{' { TokenKind::LeftBrace } else { TokenKind::RightBrace }
    }

    /// One of the symbols that another may follow in the same token.
    fn symbol(&mut self, byte: u8) -> TokenKind {
        let next = self.bytes.get(self.at + 1).copied();
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
            _ => return self.unknown(),
        };
        self.at += length;
        kind
    }

    /// Skips the rest of a name that has letters beyond ASCII, which is reported. False when it has none.
    fn skip_odd_name(&mut self, start: usize) -> bool {
        let rest = &self.source[self.at..];
        if !rest.starts_with(|character: char| !character.is_ascii() && character.is_alphanumeric()) {
            return false;
        }
        let is_name = |character: char| character.is_alphanumeric() || "_-".contains(character);
        self.at += rest.find(|character| !is_name(character)).unwrap_or(rest.len());
        let shown: String = self.source[start..self.at].chars().take(40).collect();
        let message = format!("Parse error: the name '{shown}' has letters that names cannot have");
        let hint = "Names are made of the letters a to z and A to Z, digits, '_' and '-'".to_owned();
        let span = Span::new(start, self.at);
        self.diagnostics.push(Diagnostic::error(Code::Syntax, span, message).suggest([hint]));
        true
    }

    /// A run of characters that start no token, reported once.
    fn unknown(&mut self) -> TokenKind {
        let start = self.at;
        if self.skip_odd_name(start) {
            return TokenKind::Unknown;
        }
        let rest = &self.source[start..];
        let is_unknown = |character: char| {
            !character.is_alphanumeric() && !" \t\r\n#_\"{}()[],:.|@=<>+-*/".contains(character)
        };
        let length = rest.find(|character| !is_unknown(character)).unwrap_or(rest.len());
        // `!` and `?` get here alone; the first character is taken in any case, so that the lexer moves on.
        self.at += length.max(rest.chars().next().map_or(1, char::len_utf8));
        let text = &self.source[start..self.at];
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
        let span = Span::new(start, self.at);
        let diagnostic =
            Diagnostic::error(Code::Syntax, span, format!("Parse error: unexpected character '{shown}'"));
        self.diagnostics.push(diagnostic.suggest(suggestion.map(str::to_owned)));
        TokenKind::Unknown
    }

    /// A string from its quote, or the rest of one from the `}` of an interpolation.
    fn string(&mut self, is_start: bool) -> TokenKind {
        let start = self.at;
        self.at += 1;
        loop {
            let rest = &self.bytes[self.at..];
            let Some(length) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | b'$')) else {
                self.at = self.bytes.len();
                break;
            };
            self.at += length;
            match (self.bytes[self.at], self.bytes.get(self.at + 1)) {
                (b'"', _) => {
                    self.at += 1;
                    return if is_start { TokenKind::String } else { TokenKind::StringTail };
                }
                // The character after a backslash is passed over, whatever it is: an ASCII byte, or the start
                // of a longer character, none of whose bytes is looked for.
                (b'\\', Some(_)) => self.at += 2,
                (b'$', Some(b'{')) => {
                    self.at += 2;
                    self.interpolations.push(0);
                    return if is_start { TokenKind::StringHead } else { TokenKind::StringMiddle };
                }
                _ => self.at += 1,
            }
        }
        // No end: most likely the quote was forgotten at the end of this line.
        if !self.has_rescued_string {
            self.has_rescued_string = true;
            let line = &self.source[start..];
            self.at = start + line.find('\n').unwrap_or(line.len());
        }
        let span = Span::new(start, self.at);
        let diagnostic =
            Diagnostic::error(Code::Syntax, span, "Parse error: the string has no end: '\"' expected");
        self.diagnostics.push(diagnostic);
        TokenKind::Unknown
    }

    fn skip_while(&mut self, accept: impl Fn(u8) -> bool) {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|byte| !accept(*byte)).unwrap_or(rest.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        let tokens = tokenize(source);
        tokens.tokens().iter().map(|token| tokens.text(*token)).collect()
    }

    #[test]
    fn hyphens_belong_to_names_and_arrows_to_nobody() {
        assert_eq!(texts("a-b - 1 a -1 a- c->1"), ["a-b", "-", "1", "a", "-", "1", "a-", "c-", ">", "1", ""]);
        assert_eq!(texts("(c)->1 x=>y"), ["(", "c", ")", "->", "1", "x", "=>", "y", ""]);
    }

    #[test]
    fn comments_and_layout_do_not_change_the_hash() {
        let hash = |source: &str| tokenize(source).syntactic_hash();
        assert_eq!(hash("in a: Int out a"), hash("# first\nin a :Int\n\nout a # last"));
        assert_ne!(hash("in a: Int out a"), hash("in b: Int out b"));
        assert_ne!(hash("ab"), hash("a b"));
        assert_ne!(hash("x = \"#a\""), hash("x = \"#b\""));
    }

    #[test]
    fn the_hash_is_of_each_kind_and_text_with_its_length() {
        // Longer than what is gathered at once.
        let source = "name 12 \"text\" out ".repeat(3_000);
        let tokens = tokenize(&source);
        let mut hasher = blake3::Hasher::new();
        for token in tokens.tokens() {
            update_with_length(&mut hasher, token.kind.hash_name().as_bytes());
            update_with_length(&mut hasher, tokens.text(*token).as_bytes());
        }
        assert_eq!(tokens.syntactic_hash().as_bytes(), hasher.finalize().as_bytes());
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
