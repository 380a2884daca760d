//! Several errors of one file are all found, each at its place, and none twice.

use constellation_lang::{Code, Diagnostic, Severity};

use crate::support::{compiled, errors};

#[test]
fn every_error_of_a_file_is_reported_at_its_place() {
    let source = "\
in a: Int
in b Float
x = a + * 2
list = [1, 2 3, 4 +, \"\u{e9}\" ; 5]
y = foo(a, , 1)
z = if a > 1) 2 else 3
type T = { p: Int, q }
w = \"bad \\q escape\" + \u{20ac}
ok = a + missing
s = a.name
out ok, s
out undefined
";
    let found = errors(source);
    assert_eq!(
        found,
        [
            "2:6: E020: Parse error: expected ':' and a type, found 'Float'",
            "3:9: E020: Parse error: expected an expression, found '*'",
            "4:14: E020: Parse error: expected ',' or ']', found '3'",
            "4:20: E020: Parse error: expected an expression, found ','",
            "4:26: E020: Parse error: unexpected character ';'",
            "5:12: E020: Parse error: expected an expression, found ','",
            "6:8: E020: Parse error: expected '(', found 'a'",
            "7:22: E020: Parse error: expected ':' and a type, found '}'",
            "8:10: E020: Parse error: unknown escape '\\q' in a string",
            "8:23: E020: Parse error: unexpected character '\u{20ac}'",
            "9:10: E001: Undefined variable: missing",
            "10:5: E015: Field access requires a record type, got Int",
            "11:7: E020: Parse error: expected the next declaration after 'out name', found ','",
            "12:5: E001: Undefined variable: undefined",
        ]
    );
}

#[test]
fn a_failed_declaration_gives_no_follow_up_errors() {
    let source = "\
in a: Nope
b = a + 1
c = [b, nothing]
d = c.x
type T = { a: Nope2 }
in t: T
e = t.a + d
out e
out b";
    assert_eq!(
        errors(source),
        [
            "1:7: E003: Undefined type: Nope",
            "3:9: E001: Undefined variable: nothing",
            "5:15: E003: Undefined type: Nope2",
        ]
    );
}

#[test]
fn independent_operands_are_all_checked() {
    let source = "x = concat(1, true and 2, ) + [nope1, nope2] out x";
    let found = errors(source);
    assert_eq!(
        found,
        [
            "1:12: E010: Type mismatch: expected String, got Int",
            "1:24: E010: Type mismatch: expected Boolean, got Int",
            "1:32: E001: Undefined variable: nope1",
            "1:39: E001: Undefined variable: nope2",
        ]
    );
    let source = "x = match 1 { is Int -> nope1, is Nope2 -> 1 } y = if (1) nope3 else nope4 out x";
    assert_eq!(errors(source).len(), 5, "{:#?}", errors(source));
}

#[test]
fn an_unclosed_bracket_does_not_swallow_what_follows() {
    let source = "in a: Int\nx = [1, (2 + a\ny = { p: 1\nz = nope\nout y";
    assert_eq!(
        errors(source),
        [
            "3:1: E020: Parse error: expected ')', found 'y'",
            "4:1: E020: Parse error: expected ',' or '}', found 'z'",
            "4:5: E001: Undefined variable: nope",
        ]
    );
    let compilation = compiled(source);
    let label = &compilation.diagnostics[0].labels[0];
    assert_eq!((label.span.start, label.message.as_str()), (18, "'(' was opened here"));
}

#[test]
fn a_stray_character_hides_nothing() {
    assert_eq!(
        errors("in a: Int;\nx = a + nope;\nout x"),
        [
            "1:10: E020: Parse error: unexpected character ';'",
            "2:9: E001: Undefined variable: nope",
            "2:13: E020: Parse error: unexpected character ';'",
        ]
    );
}

#[test]
fn an_operator_that_does_not_exist_is_one_error() {
    for operator in ["%", "&&", "||", "^", "~"] {
        let source = format!("in a: Boolean\nx = a {operator} 2\ny = nope\nout x");
        let found = errors(&source);
        assert_eq!(found.len(), 2, "{found:#?}");
        assert_eq!(found[1], "3:5: E001: Undefined variable: nope");
    }
}

#[test]
fn a_program_without_an_output_is_refused_wherever_the_word_stands() {
    let expected = "E020: Parse error: the pipeline has no output";
    for source in ["in x: Int", "@source(\"queue\", out: 1) in x: Int", ""] {
        let [error] = &errors(source)[..] else { panic!("{source}") };
        assert!(error.ends_with(expected), "{source}: {error}");
    }
}

#[test]
fn an_unclosed_string_or_interpolation_is_one_error() {
    assert_eq!(
        errors("x = \"abc\ny = nope\nout x"),
        [
            "1:5: E020: Parse error: the string has no end: '\"' expected",
            "2:5: E001: Undefined variable: nope"
        ]
    );
    let found = errors("n = 1 x = \"a ${n + } b ${} c\" y = nope out x");
    assert_eq!(
        found,
        [
            "1:20: E020: Parse error: expected an expression, found the end of '${...}'",
            "1:26: E020: Parse error: expected an expression, found the end of '${...}'",
            "1:35: E001: Undefined variable: nope",
        ]
    );
}

#[test]
fn diagnostics_help_on() {
    let hint = |source: &str| {
        let compilation = compiled(source);
        let first = compilation.errors().next().expect("it has an error").clone();
        (first.code, first.suggestions.join("; "))
    };
    let cases = [
        ("in price: Int x = prize + 1 out x", Code::UndefinedVariable, "Did you mean 'price'?"),
        ("x = trimm(\"a\") out x", Code::UndefinedFunction, "Did you mean 'trim'?"),
        ("x = uppercase(\"a\") out x", Code::UndefinedFunction, "Did you mean 'Uppercase'?"),
        ("use stdlib.math x = trim(\"a\") out x", Code::UndefinedFunction, "Try adding: use stdlib.string"),
        ("use stdlib.mth out x", Code::UndefinedNamespace, "Did you mean 'stdlib.math'?"),
        ("in x: Strng out x", Code::UndefinedType, "Did you mean 'String'?"),
        ("in x: Bool out x", Code::UndefinedType, "Did you mean 'Boolean'?"),
        ("in r: { name: Int } x = r.nane out x", Code::InvalidFieldAccess, "Did you mean 'name'?"),
        ("in n: Int x = trim(n) out x", Code::TypeMismatch, "to-string(value)"),
        ("in f: Float x = add(f, 1) out x", Code::TypeMismatch, "to-int(value)"),
        ("in n: Int x = Scale(n, 1) out x", Code::TypeMismatch, "to-float(value)"),
        ("in o: Optional<Int> x = add(o, 1) out x", Code::TypeMismatch, "optional ?? default"),
        ("in b: Boolean x = branch { b->1, otherwise -> 2 } out x", Code::Syntax, "put a space"),
        ("in b: Boolean x = branch { otherwise->2 } out x", Code::Syntax, "put a space"),
        ("in b: Boolean x = branch { otherwise->if (b) 1 else 2 } out x", Code::Syntax, "put a space"),
        (
            "in b: Boolean x = branch { otherwise->branch { b -> 1, otherwise -> 2 } } out x",
            Code::Syntax,
            "put a space",
        ),
        ("in l: List<Int> x = l[0] out x", Code::Syntax, "There is no indexing"),
        ("x = trim(\"a\") with retrys: 3 out x", Code::Syntax, "Did you mean 'retry'?"),
        ("in a: Int x = a < 1 < 2 out x", Code::Syntax, "a < b and b < c"),
        ("in a: Int x = a; out x", Code::Syntax, "remove it"),
        ("in type: Int out x", Code::Syntax, "another name, for example 'type_'"),
        ("in a: Int out a + 1", Code::Syntax, "give the expression a name"),
        ("in s: String x = s.trim() out x", Code::UndefinedNamespace, "There are no methods"),
        ("in b: Boolean x = (if (b) 0.5 else 0) * 2 out x", Code::UnsupportedArithmetic, "0.0 for 0"),
        ("in b: Boolean y = if (b) 0.5 else 0 x = Scale(y, 2) out x", Code::TypeMismatch, "0.0 for 0"),
        ("in s: String x = s + \"!\" out x", Code::UnsupportedArithmetic, "${a}${b}"),
        ("x: Int = 1 out x", Code::Syntax, "remove the type"),
        ("in l: List<Int> x = map(l, v => v) out x", Code::Syntax, "Write (v) => ..."),
        ("in a: Boolean x = a || a out x", Code::Syntax, "written 'or'"),
        ("x = 1.5e3 out x", Code::Syntax, "no exponent"),
        ("// x\nx = 1 out x", Code::Syntax, "'#'"),
        ("in b: Boolean x = b with retry: 3 out x", Code::Syntax, "follow a call"),
        ("x = 1 \"text\" out x", Code::Syntax, "Give the value a name: result = \"text\""),
    ];
    for (source, code, text) in cases {
        let (found, suggestions) = hint(source);
        assert_eq!(found, code, "{source}");
        assert!(suggestions.contains(text), "{source}: {suggestions}");
    }
}

#[test]
fn a_sign_before_what_is_matched_is_no_number_out_of_range() {
    let errors = errors("in a: Int x = match -a { _ -> 1 } out x");
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("expected an expression, found '-'"), "{}", errors[0]);
}

#[test]
fn found_and_expected_are_data() {
    let compilation = compiled("in a: Int\n  x = trim(a)\nout x");
    let [diagnostic] = compilation.diagnostics.as_slice() else { panic!("one error") };
    assert_eq!(diagnostic.severity, Severity::Error);
    assert_eq!(diagnostic.span.range(), 21..22);
    assert_eq!((diagnostic.position.line, diagnostic.position.column), (2, 12));
    assert_eq!(diagnostic.expected.as_deref(), Some("String"));
    assert_eq!(diagnostic.found.as_deref(), Some("Int"));
}

#[test]
fn numbers_out_of_range_are_diagnostics() {
    assert!(errors("x = 9223372036854775808 out x")[0].contains("out of range"));
    assert!(errors(&format!("x = {}.0 out x", "9".repeat(400)))[0].contains("out of range"));
    assert!(errors("x = 007 out x")[0].contains("starts with 0"));
    assert_eq!(errors("x = -9223372036854775808 y = -0.0 z = 00.5 out x out y out z"), [""; 0]);
}

#[test]
fn a_file_that_breaks_off_is_one_error_behind_its_last_word() {
    for source in ["x = 1 +", "x = 1 + # more\n\n", "in", "x = [1, \"a${\n", "type T = { a: "] {
        let end = source.find(" #").unwrap_or(source.trim_end().len());
        let compilation = compiled(source);
        let [diagnostic] = &compilation.diagnostics[..] else { panic!("{:#?}", compilation.diagnostics) };
        assert_eq!(diagnostic.span.range(), end..end, "{source}");
        assert_eq!(diagnostic.found.as_deref(), Some("the end of the file"));
    }
}

/// Each error as its text in the source and its message.
fn texts(source: &str) -> Vec<(String, String)> {
    let compilation = compiled(source);
    let text = |diagnostic: &Diagnostic| source[diagnostic.span.range()].to_owned();
    compilation.errors().map(|error| (text(error), error.message.clone())).collect()
}

#[test]
fn a_reserved_word_as_a_name_is_one_error_where_it_is_declared() {
    let cases = [
        ("in type: Int\nx = type + 1\nout x", "type", "the name of the input"),
        ("in in: Int\nout in", "in", "the name of the input"),
        ("type = 3\nx = [type, 2]\nout type\nout x", "type", "the name of a variable"),
        ("type = { a: List<Int> }\nin t: T\nout t", "type", "the name of a variable"),
        ("match = 3\nx = match + 1\nout x\nout match", "match", "the name of a variable"),
        ("not = true\nx = not == true\nout x\nout not", "not", "the name of a variable"),
        ("true = 1\nx = 1\nout x", "true", "the name of a variable"),
        ("in r: { type: Int }\nx = r.type\ny = r[type]\nout x\nout y", "type", "the name of a field"),
        ("x = { use: 1, b: 2 }\ny = x.use\nout y", "use", "the name of a field"),
        ("in l: List<Int>\nx = map(l, (in) => in + 1)\nout x", "in", "the name of a parameter"),
        ("type match = { a: Int }\nin x: match\nout x", "match", "the name of the type"),
        ("use stdlib.math as in\nx = in.add(1, 2)\nout x", "in", "an alias"),
        ("use in.math\nx = 1\nout x", "in", "a namespace"),
    ];
    for (source, word, what) in cases {
        let message = format!("Parse error: '{word}' is a reserved word and cannot be {what}");
        assert_eq!(texts(source), [(word.to_owned(), message)], "{source}");
        let compilation = compiled(source);
        let error = &compilation.diagnostics[0];
        assert_eq!(error.suggestions, [format!("Choose another name, for example '{word}_'")]);
        assert_eq!(error.expected.as_deref(), Some(what));
    }
}

#[test]
fn a_reserved_word_that_is_no_name_anywhere_is_one_error_at_each_use() {
    let cases = [
        ("x = type + 1\nout x", "type", "a name"),
        ("x = f(\n  type,\n  1\n)\nout x", "type", "a name"),
        ("x = type(1)\nout x", "type", "a name"),
        ("x = type\ny = 2\nout y", "type", "a name"),
        ("in a: Int\nx = a + lazy\nout x", "lazy", "a name"),
        ("x = [as, 1]\nout x", "as", "a name"),
        ("in a: type\nout a", "type", "a type"),
        ("out type", "type", "the name of a variable"),
        ("in r: { a: Int }\nx = r.out\nout x", "out", "the name of a field"),
        ("in x: Int\ny = match x { is type -> 1, _ -> 2 }\nout y", "type", "the name of a type"),
    ];
    for (source, word, what) in cases {
        let message = format!("Parse error: '{word}' is a reserved word and cannot be {what}");
        assert_eq!(texts(source), [(word.to_owned(), message)], "{source}");
    }
}

#[test]
fn a_word_that_starts_the_next_declaration_is_not_taken_for_a_name() {
    assert_eq!(
        errors("in\nin b: Int\nx =\nout b"),
        [
            "2:1: E020: Parse error: expected the name of the input, found 'in'",
            "4:1: E020: Parse error: expected an expression, found 'out'",
        ]
    );
    assert_eq!(errors("in a: Int in b: out a"), ["1:17: E020: Parse error: expected a type, found 'out'"]);
    assert_eq!(errors("in a: Int out\na in b: Int out a"), [""; 0]);
}

#[test]
fn an_operator_in_the_place_of_a_value_is_no_name() {
    let compilation = compiled("in a: Boolean x = and(a, a) out x");
    assert_eq!(compilation.diagnostics[0].suggestions, ["'and' is an operator: write 'a and b'"]);
    let messages = ["Parse error: expected an expression, found 'or'"];
    assert_eq!(
        texts("in a: Boolean y = a and or a out y").iter().map(|(_, text)| text).collect::<Vec<_>>(),
        messages
    );
}

#[test]
fn a_name_with_letters_beyond_ascii_is_one_error_at_each_place() {
    let source = "gr\u{f6}\u{df}e = 3\nin l\u{e4}nge: Int\nx = gr\u{f6}\u{df}e\nout x";
    let found = texts(source);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["gr\u{f6}\u{df}e", "l\u{e4}nge", "gr\u{f6}\u{df}e"]);
    assert!(
        found.iter().all(|(_, message)| message.ends_with("has letters that names cannot have")),
        "{found:?}"
    );
}
