//! Tokens, and the hashes that are made of them.

mod lexer;

use constellation_store_core::{RegistryHash, SyntacticHash, SyntacticKey};

use crate::diagnostic::Diagnostic;
use crate::functions::FunctionTable;
use crate::span::Span;

/// The longest source that is compiled, in bytes: 1 MiB.
pub const MAX_SOURCE_BYTES: usize = 1 << 20;

macro_rules! token_kinds {
    (reserved { $($word:ident $text:literal),* $(,)? } others { $(#[doc = $about:literal] $other:ident,)* }) => {
        /// What a token is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum TokenKind {
            $(#[doc = concat!("The reserved word `", $text, "`")] $word,)*
            $(#[doc = $about] $other,)*
        }

        /// All reserved words.
        const RESERVED: &[(&str, TokenKind)] = &[$(($text, TokenKind::$word),)*];

        impl TokenKind {
            /// Whether this is a reserved word.
            #[inline]
            pub const fn is_reserved(self) -> bool {
                matches!(self, $(Self::$word)|*)
            }
        }
    };
}

// One flat list with the words next to each other, so that to ask for a kind, or for any word, is one comparison.
token_kinds! {
    reserved {
        Type "type", In "in", Out "out", If "if", Else "else", True "true", False "false", Use "use", As "as",
        And "and", Or "or", Not "not", When "when", Branch "branch", Otherwise "otherwise", With "with",
        Lazy "lazy", Match "match", Is "is",
    }
    others {
        /// A name: `[A-Za-z_][A-Za-z0-9_-]*`, not reserved.
        Identifier,
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
}

impl TokenKind {
    /// Whether this is a name or a reserved word, which can be a part of a qualified name.
    #[inline]
    pub(crate) const fn is_word(self) -> bool {
        self.is_reserved() || matches!(self, Self::Identifier)
    }

    /// The name under which the kind goes into the syntactic hash.
    fn hash_name(self) -> &'static str {
        match self {
            Self::Identifier => "identifier",
            kind if kind.is_reserved() => "keyword",
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
            kind if kind.is_reserved() && index > 0 && self.tokens[index - 1].kind == TokenKind::Dot => {
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
    lexer::run(source)
}

pub(crate) fn update_with_length(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
