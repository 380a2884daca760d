//! The kinds of diagnostics, and what is to be said about each.

use std::fmt;

/// The stable code of a kind of diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// E001.
    UndefinedVariable,
    /// E002.
    UndefinedFunction,
    /// E003.
    UndefinedType,
    /// E004.
    UndefinedNamespace,
    /// E005.
    AmbiguousFunction,
    /// E006.
    InvalidProjection,
    /// E007.
    InvalidFieldAccess,
    /// E010.
    TypeMismatch,
    /// E012.
    IncompatibleMerge,
    /// E013.
    UnsupportedComparison,
    /// E014.
    UnsupportedArithmetic,
    /// E015: arity, lambdas, record literals, matches, and what else has no code of its own.
    TypeError,
    /// E016.
    InvalidOptionValue,
    /// E017.
    FallbackTypeMismatch,
    /// E018.
    InvalidLambdaContext,
    /// E020.
    Syntax,
    /// E030.
    DuplicateDefinition,
    /// E040: past a bound on size or nesting.
    LimitExceeded,
    /// W001.
    UnusedVariable,
    /// W002.
    ExampleNotKept,
    /// OPTS001.
    OptionDependency,
    /// OPTS002.
    ConflictingOptions,
    /// OPTS003.
    HighRetry,
    /// OPTS004.
    OptionNotApplied,
}

/// What is to be said about a code: the source of `docs/errors.md`.
struct Entry {
    code: &'static str,
    title: &'static str,
    explanation: &'static str,
    example: &'static str,
    remedy: &'static str,
}

impl Code {
    /// All codes, for reference documents.
    pub const ALL: [Code; 24] = [
        Code::UndefinedVariable,
        Code::UndefinedFunction,
        Code::UndefinedType,
        Code::UndefinedNamespace,
        Code::AmbiguousFunction,
        Code::InvalidProjection,
        Code::InvalidFieldAccess,
        Code::TypeMismatch,
        Code::IncompatibleMerge,
        Code::UnsupportedComparison,
        Code::UnsupportedArithmetic,
        Code::TypeError,
        Code::InvalidOptionValue,
        Code::FallbackTypeMismatch,
        Code::InvalidLambdaContext,
        Code::Syntax,
        Code::DuplicateDefinition,
        Code::LimitExceeded,
        Code::UnusedVariable,
        Code::ExampleNotKept,
        Code::OptionDependency,
        Code::ConflictingOptions,
        Code::HighRetry,
        Code::OptionNotApplied,
    ];

    /// The code as text, such as `E001`. It never changes its meaning.
    pub fn as_str(self) -> &'static str {
        self.entry().code
    }

    /// A short title, such as `Undefined variable`.
    pub fn title(self) -> &'static str {
        self.entry().title
    }

    /// What the kind of diagnostic means, in sentences of one line each.
    pub fn explanation(self) -> &'static str {
        self.entry().explanation
    }

    /// A program that gives a diagnostic of this kind, and no other.
    pub fn example(self) -> &'static str {
        self.entry().example
    }

    /// How to mend a program that has it, in sentences of one line each.
    pub fn remedy(self) -> &'static str {
        self.entry().remedy
    }

    fn entry(self) -> Entry {
        match self {
            Self::UndefinedVariable => Entry {
                code: "E001",
                title: "Undefined variable",
                explanation: "A variable is declared above its first use, by `in name: Type` or `name = ...`.",
                example: "in price: Int\ntwice = prize * 2\nout twice",
                remedy: "Correct the name, or declare it above.",
            },
            Self::UndefinedFunction => Entry {
                code: "E002",
                title: "Undefined function",
                explanation: "No function of this name is in scope.\nA program without `use` sees every function by \
                              its short name; after the first `use`, those of a namespace are imported or written \
                              with their full name.",
                example: "use stdlib.math\nin name: String\nshort = trim(name)\nout short",
                remedy: "Correct the name, import its namespace with `use stdlib.string`, or write \
                         `stdlib.string.trim(name)`.",
            },
            Self::UndefinedType => Entry {
                code: "E003",
                title: "Undefined type",
                explanation: "A type is `String`, `Int`, `Float`, `Boolean`, `List<T>`, `Seq<T>`, `Candidates<T>`, \
                              `Optional<T>`, `Map<K, V>`, a record, or declared above by `type Name = ...`.",
                example: "in names: List<Strng>\nout names",
                remedy: "Correct the name, declare the type above, or give the type as many arguments as it takes.",
            },
            Self::UndefinedNamespace => Entry {
                code: "E004",
                title: "Undefined namespace",
                explanation: "No function belongs to this namespace.",
                example: "use stdlib.mth\nin a: Int\nout a",
                remedy: "Correct the name.\nThere are no methods: what is written `name.trim()` elsewhere is \
                         `trim(name)` here.",
            },
            Self::AmbiguousFunction => Entry {
                code: "E005",
                title: "Ambiguous function",
                explanation: "Several functions in scope have this name.\nThe example is of an application that has \
                              two, `orders.total` and `returns.total`.",
                example: "in id: Int\nsum = total(id)\nout sum",
                remedy: "Write the full name of the one that is meant, or import its namespace alone.",
            },
            Self::InvalidProjection => Entry {
                code: "E006",
                title: "Invalid projection",
                explanation: "A projection chooses fields that the record has.",
                example: "in user: { id: Int, name: String }\nshown = user[id, nane]\nout shown",
                remedy: "Correct the name of the field.",
            },
            Self::InvalidFieldAccess => Entry {
                code: "E007",
                title: "Invalid field access",
                explanation: "The record has no such field.",
                example: "in user: { id: Int, name: String }\nshown = user.nane\nout shown",
                remedy: "Correct the name of the field.",
            },
            Self::TypeMismatch => Entry {
                code: "E010",
                title: "Type mismatch",
                explanation: "A value of another type is expected here.\nNothing converts by itself, but for an \
                              integer literal where a `Float` is expected.\nA `match` has it, too, for a pattern that \
                              no member of the type can fit.",
                example: "in count: Int\ntext = trim(count)\nout text",
                remedy: "Convert the value, with `to-string`, `to-int` or `to-float`, or with an interpolation \
                         `\"${count}\"`.\nGive an optional a default with `??`.",
            },
            Self::IncompatibleMerge => Entry {
                code: "E012",
                title: "Incompatible merge",
                explanation: "`+` merges two records, two lists of records of one kind, or a record with a list of \
                              records.",
                example: "in a: List<{ x: Int }>\nin b: Seq<{ y: Int }>\nboth = a + b\nout both",
                remedy: "Declare both as `List`, or both as `Seq`.",
            },
            Self::UnsupportedComparison => Entry {
                code: "E013",
                title: "Unsupported comparison",
                explanation: "`<`, `<=`, `>` and `>=` work on `Int`, `Float` and `String`; `==` and `!=` on every \
                              type.",
                example: "in a: Boolean\nin b: Boolean\nless = a < b\nout less",
                remedy: "Compare something of the value that has an order.",
            },
            Self::UnsupportedArithmetic => Entry {
                code: "E014",
                title: "Unsupported arithmetic",
                explanation: "Arithmetic works on `Int` and `Float`, and gives a `Float` when one side is one.",
                example: "in name: String\ngreeting = \"Hello, \" + name\nout greeting",
                remedy: "Join texts by interpolation, `\"Hello, ${name}\"`; give an optional a default first, \
                         `(count ?? 0) + 1`.",
            },
            Self::TypeError => Entry {
                code: "E015",
                title: "Type error",
                explanation: "The expression does not fit where it stands.\nThat is a wrong number of arguments or of \
                              parameters, a lambda whose parameters need types, a record literal without a field that \
                              is required, a field or a projection of what is no record, a `??` behind what is always \
                              there, or a `match` that lacks a case.",
                example: "in answer: { ok: Int } | { error: String }\ncode = match answer { { ok } -> ok }\nout code",
                remedy: "Do what the message says; here, add `{ error } -> 0` or `_ -> 0`.",
            },
            Self::InvalidOptionValue => Entry {
                code: "E016",
                title: "Invalid option value",
                explanation: "The value of a call option is out of its range.",
                example: "in text: String\nshort = trim(text) with timeout: 0s\nout short",
                remedy: "Write a value above 0, or leave the option out.",
            },
            Self::FallbackTypeMismatch => Entry {
                code: "E017",
                title: "Fallback type mismatch",
                explanation: "A fallback stands in for the result of the call, so it has its type.",
                example: "in text: String\nshort = trim(text) with fallback: 3\nout short",
                remedy: "Write a fallback of the type that the function returns.",
            },
            Self::InvalidLambdaContext => Entry {
                code: "E018",
                title: "Lambda out of place",
                explanation: "A lambda is an argument of a function that takes a function, and nothing else: there \
                              are no variables of functions.",
                example: "double = (n: Int) => n * 2\nout double",
                remedy: "Write the lambda where the function is called.",
            },
            Self::Syntax => Entry {
                code: "E020",
                title: "Syntax error",
                explanation: "The text is not a program of the language.",
                example: "in a Int\nout a",
                remedy: "Do what the message says; here, write `in a: Int`.\nThe grammar is in \
                         [language.md](language.md).",
            },
            Self::DuplicateDefinition => Entry {
                code: "E030",
                title: "Duplicate definition",
                explanation: "An input is declared again only with the same type.\nA variable may be bound again; \
                              later uses see the last value above them.",
                example: "in a: Int\nin a: String\nout a",
                remedy: "Remove one of the two, or give it another name.",
            },
            Self::LimitExceeded => Entry {
                code: "E040",
                title: "Limit exceeded",
                explanation: "Programs are bounded in size, in nesting and in the size of types, so that compiling \
                              one is always fast.",
                example: "type A = { a: Int, b: Int, c: Int, d: Int, e: Int, f: Int, g: Int, h: Int, i: Int, j: Int }\n\
                          type B = { a: A, b: A, c: A, d: A, e: A, f: A, g: A, h: A, i: A, j: A }\n\
                          type C = { a: B, b: B, c: B, d: B, e: B, f: B, g: B, h: B, i: B, j: B }\n\
                          type D = { a: C, b: C, c: C, d: C, e: C, f: C, g: C, h: C, i: C, j: C }\n\
                          type E = { a: D, b: D, c: D, d: D, e: D, f: D, g: D, h: D, i: D, j: D }\n\
                          in n: Int\n\
                          out n",
                remedy: "Give a part of the expression a name of its own, or split the program into several.",
            },
            Self::UnusedVariable => Entry {
                code: "W001",
                title: "Unused variable",
                explanation: "No output depends on this variable, so what computes it is left out of the pipeline.",
                example: "in a: Int\ntwice = a * 2\nout a",
                remedy: "Remove it, or make it a result with `out twice`.",
            },
            Self::ExampleNotKept => Entry {
                code: "W002",
                title: "Example not kept",
                explanation: "An example is kept in the image when it is made of literals only.",
                example: "@example(60 * 60)\nin seconds: Int\nout seconds",
                remedy: "Write the value itself, `@example(3600)`.",
            },
            Self::OptionDependency => Entry {
                code: "OPTS001",
                title: "Option without effect",
                explanation: "The option only changes how another one works, which is not given.",
                example: "in text: String\nshort = trim(text) with delay: 1s\nout short",
                remedy: "Add the other option, here `retry: 3`, or remove this one.",
            },
            Self::ConflictingOptions => Entry {
                code: "OPTS002",
                title: "Conflicting options",
                explanation: "Of these options only one can have an effect.\nBoth are of streams, so the example has \
                              OPTS004 besides.",
                example: "in text: String\nshort = trim(text) with batch: 10, window: count(5)\nout short",
                remedy: "Remove one of the two.",
            },
            Self::HighRetry => Entry {
                code: "OPTS003",
                title: "High retry count",
                explanation: "Many retries keep a failing service under load.",
                example: "in text: String\nshort = trim(text) with retry: 50\nout short",
                remedy: "Write fewer, with `delay` and `backoff: exponential`.",
            },
            Self::OptionNotApplied => Entry {
                code: "OPTS004",
                title: "Option not applied",
                explanation: "The option is kept in the image, but nothing applies it: those of streams are not \
                              there yet, and \
                              `cache` and `concurrency` are not for a call that is given a lambda.",
                example: "in text: String\nshort = trim(text) with checkpoint: 1min\nout short",
                remedy: "Do not rely on it; write `cache` and `concurrency` at a call in the lambda.",
            },
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
