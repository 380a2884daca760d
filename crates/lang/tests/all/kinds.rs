//! Every kind of diagnostic: its code, the text it is about, its message, what was found and expected, and what to do.
//!
//! In each source, `^` stands before and behind the text that the diagnostic must be about.

use constellation_lang::{Code, Severity};

use crate::support::compiled;

/// The one diagnostic that a source must give.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    code: String,
    place: String,
    message: String,
    expected_found: Option<(String, String)>,
    suggestions: Vec<String>,
}

#[track_caller]
fn finds(
    marked: &str,
    code: Code,
    message: &str,
    expected_found: Option<(&str, &str)>,
    suggestions: &[&str],
) {
    let parts: Vec<&str> = marked.split('^').collect();
    let [before, place, _] = parts[..] else { panic!("one text is marked: {marked}") };
    let source = parts.concat();
    let compilation = compiled(&source);
    let [found] = &compilation.diagnostics[..] else { panic!("{source}\n{:#?}", compilation.diagnostics) };
    assert_eq!(found.severity == Severity::Error, compilation.dag_spec.is_none());
    assert_eq!(found.span.start as usize, before.len(), "{source}\n{found:#?}");
    let owned = |(expected, found): (&str, &str)| (expected.to_owned(), found.to_owned());
    assert_eq!(
        Finding {
            code: found.code.to_string(),
            place: source[found.span.range()].to_owned(),
            message: found.message.clone(),
            expected_found: found.expected.clone().zip(found.found.clone()),
            suggestions: found.suggestions.clone(),
        },
        Finding {
            code: code.to_string(),
            place: place.to_owned(),
            message: message.to_owned(),
            expected_found: expected_found.map(owned),
            suggestions: suggestions.iter().map(|text| (*text).to_owned()).collect(),
        },
        "{source}"
    );
}

#[test]
fn syntax_error() {
    let message = "Parse error: expected ':' and a type, found 'Float'";
    finds("in b ^Float^\nout b", Code::Syntax, message, Some(("':' and a type", "'Float'")), &[]);
    let message = "Parse error: the pipeline has no output";
    let hint = "Name a result with 'out', for example: out result";
    finds("in b: Int^^\n\n# end\n", Code::Syntax, message, None, &[hint]);
    let message = "Parse error: '==' cannot be chained";
    let hint = "Compare twice and join with 'and', for example: a < b and b < c";
    finds("x = 1 == 2 ^==^ 3\nout x", Code::Syntax, message, None, &[hint]);
}

#[test]
fn undefined_variable() {
    let message = "Undefined variable: prize";
    let hint = "Did you mean 'price'?";
    finds("in price: Int\nx = ^prize^   + 1\nout x", Code::UndefinedVariable, message, None, &[hint]);
    let message = "Undefined variable: n";
    let hint = "Declare the variable above: in n: String";
    finds("out ^n^ # why\n", Code::UndefinedVariable, message, None, &[hint]);
    let hint = "'n' is declared below: move its declaration above this line";
    finds("out ^n^\nin n: Int", Code::UndefinedVariable, message, None, &[hint]);
}

#[test]
fn undefined_function() {
    let message = "Undefined function: trimm";
    finds("x = ^trimm(\"a\")^ # c\nout x", Code::UndefinedFunction, message, None, &["Did you mean 'trim'?"]);
    let message = "Undefined function: uppercase";
    let hint = "Did you mean 'Uppercase'?";
    finds("x = ^uppercase(\"a\")^\nout x", Code::UndefinedFunction, message, None, &[hint]);
    let message = "Undefined function: trim (did you mean to import stdlib.string.trim?)";
    let hint = "Try adding: use stdlib.string";
    finds("use stdlib.math\nx = ^trim(\"a\")^\nout x", Code::UndefinedFunction, message, None, &[hint]);
    let message = "Undefined function: s.trin";
    let hint = "Did you mean 'trim'?";
    finds(
        "use stdlib.string as s\nx = ^s.trin(\"a\")^\nout x",
        Code::UndefinedFunction,
        message,
        None,
        &[hint],
    );
    let message = "Undefined function: stdlib.math.trim";
    let hint = "Try adding: use stdlib.string";
    finds("x = ^stdlib.math.trim(\"a\")^\nout x", Code::UndefinedFunction, message, None, &[hint]);
}

#[test]
fn undefined_type() {
    let message = "Undefined type: Strng";
    finds("in x: List<^Strng^>\nout x", Code::UndefinedType, message, None, &["Did you mean 'String'?"]);
    let message = "Undefined type: Usr";
    let source = "type User = { id: Int }\nin x: ^Usr^\nout x";
    finds(source, Code::UndefinedType, message, None, &["Did you mean 'User'?"]);
    let message = "Undefined type: List";
    let hint = "List takes a type argument: List<String>";
    finds("in x: ^List^\nout x", Code::UndefinedType, message, None, &[hint]);
    let message = "Undefined type: Map<...>";
    let hint = "Map takes 2 type argument(s), got 1";
    finds("in x: ^Map<Int>^  \nout x", Code::UndefinedType, message, None, &[hint]);
    let message = "Undefined type: Int<...>";
    let hint = "Int takes no type arguments";
    finds("in x: ^Int<String>^\nout x", Code::UndefinedType, message, None, &[hint]);
    let message = "Undefined type: Nope";
    finds(
        "in x: Int\ny = match x { is ^Nope^ -> 1, _ -> 2 }\nout y",
        Code::UndefinedType,
        message,
        None,
        &[],
    );
}

#[test]
fn undefined_namespace() {
    let message = "Undefined namespace: stdlib.mth";
    let all = "Available namespaces: orders, returns, stdlib.bool, stdlib.collection, stdlib.compare, stdlib.convert, stdlib.list, \
               stdlib.map, stdlib.math, stdlib.string";
    let near = ["Did you mean 'stdlib.math'?", "Did you mean 'stdlib.map'?"];
    let hints = [near[0], near[1], all];
    finds("use ^stdlib.mth^ as m\nx = 1\nout x", Code::UndefinedNamespace, message, None, &hints);
    let message = "Undefined namespace: nope.deep";
    finds("x = ^nope.deep.f(1)^\nout x", Code::UndefinedNamespace, message, None, &[all]);
    let message = "Undefined namespace: s";
    let hint = "There are no methods: write trim(value, ...)";
    finds("in s: String\nx = ^s.trim()^\nout x", Code::UndefinedNamespace, message, None, &[hint]);
}

#[test]
fn ambiguous_function() {
    let message = "Ambiguous function 'total'. Candidates: orders.total, returns.total";
    let hints =
        ["Use 'orders.total' for the specific function", "Use 'returns.total' for the specific function"];
    finds("x = ^total(1)^\nout x", Code::AmbiguousFunction, message, None, &hints);
}

#[test]
fn invalid_projection() {
    let message = "Invalid projection: field 'nane' not found. Available: id, name";
    let hints = ["Did you mean 'name'?", "Available fields: id, name"];
    let source = "in r: { id: Int, name: String }\nx = ^r[id, nane]^ # c\nout x";
    finds(source, Code::InvalidProjection, message, None, &hints);
}

#[test]
fn invalid_field_access() {
    let message = "Invalid field access: field 'nane' not found. Available: id, name";
    let hints = ["Did you mean 'name'?", "Available fields: id, name"];
    let source = "in r: { id: Int, name: String }\nx = r.^nane^ + 1\nout x";
    finds(source, Code::InvalidFieldAccess, message, None, &hints);
}

#[test]
fn type_mismatch() {
    let cases = [
        (
            "in n: Int\nx = trim(^n^)\nout x",
            "String",
            "Int",
            "Convert with to-string(value), or write \"${value}\"",
        ),
        (
            "in f: Float\nx = trim(^f^ )\nout x",
            "String",
            "Float",
            "Interpolation makes text of any value: \"${value}\"",
        ),
        (
            "in b: Boolean\nx = trim(^b^)\nout x",
            "String",
            "Boolean",
            "Interpolation makes text of any value: \"${value}\"",
        ),
        (
            "in f: Float\nx = add(^f^, 1)\nout x",
            "Int",
            "Float",
            "Convert with to-int(value), which truncates",
        ),
        ("in n: Int\nx = Scale(^n^, 1)\nout x", "Float", "Int", "Convert with to-float(value)"),
        (
            "in n: Int\nx = if (^n^) 1 else 2\nout x",
            "Boolean",
            "Int",
            "A comparison gives a Boolean, for example: x > 0",
        ),
        (
            "in n: Int\nx = not ^n^\nout x",
            "Boolean",
            "Int",
            "A comparison gives a Boolean, for example: x > 0",
        ),
        (
            "in n: Int\nx = true and ^n^\nout x",
            "Boolean",
            "Int",
            "A comparison gives a Boolean, for example: x > 0",
        ),
        (
            "in n: Int\nx = 1 when ^n^\nout x",
            "Boolean",
            "Int",
            "A comparison gives a Boolean, for example: x > 0",
        ),
        (
            "in n: Int\nx = branch { ^n^ -> 1, otherwise -> 2 }\nout x",
            "Boolean",
            "Int",
            "A comparison gives a Boolean, for example: x > 0",
        ),
        (
            "in o: Optional<Int>\nx = add(^o^, 1)\nout x",
            "Int",
            "Optional<Int>",
            "Give a default for the case without a value: optional ?? default",
        ),
        (
            "in l: Seq<Int>\nx = SumList(^l^)\nout x",
            "List<Int>",
            "Seq<Int>",
            "A Seq cannot stand for a List; declare the value as List",
        ),
    ];
    for (source, expected, found, hint) in cases {
        let message = format!("Type mismatch: expected {expected}, got {found}");
        finds(source, Code::TypeMismatch, &message, Some((expected, found)), &[hint]);
    }
    let message = "Type mismatch: expected Int, got String";
    let both = Some(("Int", "String"));
    finds("in a: Int\nin b: String\nx = ^a == b^  \nout x", Code::TypeMismatch, message, both, &[]);
    finds("in o: Optional<Int>\nx = o ?? ^\"none\"^\nout x", Code::TypeMismatch, message, both, &[]);
    finds("@example(^\"5\"^)\nin x: Int\nout x", Code::TypeMismatch, message, both, &[]);
    finds(
        "in l: List<Int>\nx = filter(l, (^v^: String) => true)\nout x",
        Code::TypeMismatch,
        message,
        both,
        &[],
    );
}

#[test]
fn pattern_that_cannot_match() {
    let message = "Pattern is Float cannot match type Int | String";
    let (both, hint) = (Some(("Int | String", "is Float")), "Patterns that can match: is Int, is String");
    finds(
        "in u: Int | String\nx = match u { ^is Float^ -> 1, _ -> 0 }\nout x",
        Code::TypeMismatch,
        message,
        both,
        &[hint],
    );
    let message = "Pattern { a } cannot match type { b: Int, c: Int }";
    let (both, hint) = (Some(("{ b: Int, c: Int }", "{ a }")), "Patterns that can match: { b, c }");
    finds(
        "in u: { b: Int, c: Int }\nx = match u { ^{ a }^ -> 1, _ -> 0 }\nout x",
        Code::TypeMismatch,
        message,
        both,
        &[hint],
    );
}

#[test]
fn incompatible_merge() {
    let hint = "'+' merges two records, two lists of records of one kind, or a record with a list of records";
    let expected = "records or lists of records";
    let message = "Cannot merge types: List<{ x: Int }> + Seq<{ y: Int }>";
    let both = Some((expected, "List<{ x: Int }> and Seq<{ y: Int }>"));
    let source = "in l: List<{ x: Int }>\nin c: Seq<{ y: Int }>\nm = ^l + c^ # c\nout m";
    finds(source, Code::IncompatibleMerge, message, both, &[hint]);
    let (message, both) = ("Cannot merge types: Int + String", Some((expected, "Int and String")));
    finds("in x: ^Int + String^\nout x", Code::IncompatibleMerge, message, both, &[hint]);
}

#[test]
fn unsupported_comparison() {
    let message = "Operator '<' is not supported for types Boolean and Boolean";
    let both = Some(("Int, Float or String", "Boolean and Boolean"));
    let hint = "Compare something of it that has an order, or use '==' and '!='";
    finds("in b: Boolean\nx = ^b < b^\n\nout x", Code::UnsupportedComparison, message, both, &[hint]);
    let message = "Operator '>=' is not supported for types Optional<Int> and Optional<Int>";
    let both = Some(("Int, Float or String", "Optional<Int> and Optional<Int>"));
    let hint = "Give a default for the optional: (optional ?? default)";
    finds("in o: Optional<Int>\nx = ^o >= o^\nout x", Code::UnsupportedComparison, message, both, &[hint]);
}

#[test]
fn unsupported_arithmetic() {
    let message = "Arithmetic operator '+' is not supported for types String and String";
    let both = Some(("Int or Float", "String and String"));
    let hint = "Interpolation joins text and values: \"${a}${b}\"";
    finds("in s: String\nx = ^s + \"!\"^ # c\nout x", Code::UnsupportedArithmetic, message, both, &[hint]);
    finds("in s: String\nx = (^(s) + (\"!\")^)\nout x", Code::UnsupportedArithmetic, message, both, &[hint]);
    let message = "Arithmetic operator '*' is not supported for types Optional<Int> and Int";
    let both = Some(("Int or Float", "Optional<Int> and Int"));
    let hint = "Give a default for the optional: (optional ?? default)";
    finds("in o: Optional<Int>\nx = ^o * 2^\nout x", Code::UnsupportedArithmetic, message, both, &[hint]);
    let message = "Arithmetic operator '+' is not supported for types List<Int> and List<Int>";
    let both = Some(("Int or Float", "List<Int> and List<Int>"));
    let hint = "list-concat(a, b) joins two lists";
    finds("in l: List<Int>\nx = ^l + l^\nout x", Code::UnsupportedArithmetic, message, both, &[hint]);
    let message = "Arithmetic operator '-' is not supported for type Boolean";
    let both = Some(("Int or Float", "Boolean"));
    let hint = "The negation of a Boolean is written 'not'";
    finds("in b: Boolean\nx = ^-b^\nout x", Code::UnsupportedArithmetic, message, both, &[hint]);
}

#[test]
fn wrong_number_of_arguments() {
    let message = "Function Uppercase expects 1 argument(s), got 2";
    let hint = "Its signature is Uppercase(text: String) -> String";
    let both = Some(("1 argument(s)", "2"));
    finds("in x: String\ny = ^Uppercase(x, x)^  # c\nout y", Code::TypeError, message, both, &[hint]);
}

#[test]
fn default_of_what_is_always_there() {
    let message = "Left side of ?? must be Optional, got Int";
    let hint = "The value is always there: remove '??' and the default";
    finds("in i: Int\nx = ^i^ ?? 0\nout x", Code::TypeError, message, Some(("an Optional", "Int")), &[hint]);
}

#[test]
fn fields_of_what_is_no_record() {
    let message = "Field access requires a record type, got Int";
    finds("in a: Int\nx = ^a.b^ + 1\nout x", Code::TypeError, message, Some(("a record", "Int")), &[]);
    let message = "Field access requires a record type, got Optional<{ b: Int }>";
    let both = Some(("a record", "Optional<{ b: Int }>"));
    let hint = "Give a default first: (optional ?? default).field";
    finds("in a: Optional<{ b: Int }>\nx = ^a.b^\nout x", Code::TypeError, message, both, &[hint]);
    let message = "Projection requires a record type, got Int | { b: Int }";
    let both = Some(("a record", "Int | { b: Int }"));
    let hint = "Choose the member first: match value { { field } -> field, _ -> other }";
    finds("in a: Int | { b: Int }\nx = ^a[b]^\nout x", Code::TypeError, message, both, &[hint]);
}

#[test]
fn record_literal_without_a_field() {
    let message = "Record literal is missing required field(s): name";
    let both = Some(("{ name: String }", "{ nane }"));
    let hints = ["Did you mean 'name' by 'nane'?", "Add name: String"];
    finds("x = Describe(^{ nane: \"n\" }^ )\nout x", Code::TypeError, message, both, &hints);
}

#[test]
fn lambdas_that_do_not_fit() {
    let message = "Lambda has 2 parameter(s) but expected 1";
    let both = Some(("1 parameter(s)", "2"));
    let source = "in l: List<Int>\nx = filter(l, ^(a, b) => true^)\nout x";
    finds(source, Code::TypeError, message, both, &["Write the lambda as (a) => ..."]);
    let message = "Lambda parameter 'v' requires a type annotation. Hint: write (v: Int) => ...";
    finds(
        "x = Apply((^v^) => v)\nout x",
        Code::TypeError,
        message,
        None,
        &["Write its type: (v: Int) => ..."],
    );
}

#[test]
fn match_without_a_case_for_a_member() {
    let union = "type R = { ok: Int } | { err: String } | Int\nin r: R\n";
    let message = "Non-exhaustive match on type Int | { err: String } | { ok: Int }. Missing patterns for: Int, { err: \
                   String }";
    let hints =
        ["Add a case: { err } -> value", "Add a case: is Int -> value", "Add a last case: _ -> value"];
    let source = format!("{union}x = ^match r {{ {{ ok }} -> ok }}^\n\nout x");
    finds(&source, Code::TypeError, message, None, &hints);
}

#[test]
fn invalid_option_value() {
    let cases = [
        ("timeout", "0s", "0s", "must be > 0"),
        ("delay", "0min", "0min", "must be > 0"),
        ("cache", "0ms", "0ms", "must be > 0"),
        ("concurrency", "0", "0", "must be > 0"),
        ("throttle", "0/1min", "0/1Minutes", "count must be > 0"),
        ("batch", "0", "0", "must be > 0"),
        ("batch_timeout", "0h", "0h", "must be > 0"),
        ("checkpoint", "0d", "0d", "must be > 0"),
    ];
    for (option, written, shown, constraint) in cases {
        let marked = format!("x = SlowQuery(\"q\") with retry: 1, {option}: ^{written}^\nout x");
        let source = marked.replace('^', "");
        let compilation = compiled(&source);
        let error = compilation.errors().next().expect("it has an error");
        assert_eq!(error.code, Code::InvalidOptionValue);
        assert_eq!(error.message, format!("Invalid value for '{option}': {shown} ({constraint})"));
        assert_eq!(&source[error.span.range()], written);
        assert_eq!(error.found.as_deref(), Some(shown));
        assert_eq!(error.expected, Some(constraint.replace("must be ", "")));
        assert_eq!(error.suggestions, [format!("Write a value above 0, or leave '{option}' out")]);
        assert_eq!(compilation.errors().count(), 1, "{source}");
    }
}

#[test]
fn fallback_type_mismatch() {
    let message = "Fallback type mismatch: module returns String but fallback is Int";
    let hint = "Convert with to-string(value), or write \"${value}\"";
    let source = "x = SlowQuery(\"q\") with fallback: ^3^ # c\nout x";
    finds(source, Code::FallbackTypeMismatch, message, Some(("String", "Int")), &[hint]);
}

#[test]
fn lambda_out_of_place() {
    let message = "Lambda expression cannot be used in this context. Lambdas can only be used as arguments to \
                   higher-order functions like filter, map, etc.";
    let hint = "Call a function that takes a function, and write the lambda as its argument";
    finds("x = ^(v: Int) => v + 1^\nout x", Code::InvalidLambdaContext, message, None, &[hint]);
    finds("x = trim(^(v) => v^ )\nout x", Code::InvalidLambdaContext, message, None, &[hint]);
}

#[test]
fn duplicate_definition() {
    let message = "The input 'a' is declared twice, with different types";
    let hint = "Give one of the two inputs another name";
    let source = "in a: Int\nin ^a^: String\nout a";
    finds(source, Code::DuplicateDefinition, message, Some(("Int", "String")), &[hint]);
    let compilation = compiled(&source.replace('^', ""));
    let label = &compilation.diagnostics[0].labels[0];
    assert_eq!((label.span.range(), label.message.as_str()), (3..4, "it was declared here first"));
}

#[test]
fn limit_exceeded() {
    let source = format!("x = {}^(^1{}\nout x", "(".repeat(256), ")".repeat(257));
    let message = "The program nests deeper than 256 levels";
    let hint = "Give a part of the expression a name of its own";
    finds(&source.replace("^(^1", "(^1^"), Code::LimitExceeded, message, None, &[hint]);
}

#[test]
fn warnings() {
    let message = "'y' is never used";
    let hint = "Remove it, or make it a result: out y";
    finds("x = 1\n^y^ = 2\nout x", Code::UnusedVariable, message, None, &[hint]);
    let message = "The example is not made of literals only, so it is not kept";
    let hint = "Write the value itself, without variables, operators or calls";
    finds("@example(^1 + 2^)\nin n: Int\nout n", Code::ExampleNotKept, message, None, &[hint]);
    let message = "'delay' without 'retry' has no effect";
    let hint = "Add 'retry', or remove 'delay'";
    finds("x = SlowQuery(\"q\") with ^delay^: 1s\nout x", Code::OptionDependency, message, None, &[hint]);
    let message = "High retry count (11) - consider using a lower value with exponential backoff";
    let hint = "Write at most 10, with 'delay' and 'backoff: exponential'";
    finds("x = SlowQuery(\"q\") with ^retry^: 11\nout x", Code::HighRetry, message, None, &[hint]);
    let message = "'join' is kept in the image, but nothing applies it yet";
    finds("x = SlowQuery(\"q\") with ^join^: zip\nout x", Code::OptionNotApplied, message, None, &[]);
    let message = "'cache' has no effect on a call that is given a lambda";
    let hint = "Write 'cache' at a call in the lambda, or remove it";
    let source = "in l: List<Int>\nx = map(l, (n) => n) with ^cache^: 1s\nout x";
    finds(source, Code::OptionNotApplied, message, None, &[hint]);
    let compilation = compiled("x = SlowQuery(\"q\") with batch: 3, window: count(2)\nout x");
    let conflict = compilation.warnings().find(|warning| warning.code == Code::ConflictingOptions);
    let conflict = conflict.expect("only one of the two has an effect");
    assert_eq!(conflict.message, "'window' and 'batch' are mutually exclusive; 'batch' will be ignored");
    assert_eq!(
        (conflict.span.range(), &conflict.suggestions[..]),
        (24..29, &["Remove one of the two".to_owned()][..])
    );
}
