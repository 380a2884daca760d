//! How much JSON text would take in memory, before any of it is read.

/// Whether a text may have more values than the limit, counting keys and each list and object as one more.
///
/// A value takes tens of bytes in memory and may take one in the text, so that a bound on the text alone is none.
pub(super) fn has_too_many_values(text: &[u8], limit: usize) -> bool {
    // What is short enough need not be looked at: each byte begins one value at most.
    text.len() >= limit && count_values(text) > limit
}

/// At least as many as there are; the text need not be JSON.
fn count_values(text: &[u8]) -> usize {
    let mut n_values = 1;
    let mut in_string = false;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            b',' | b':' | b'[' | b'{' if !in_string => n_values += 1,
            _ => {}
        }
    }
    n_values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_and_what_is_in_strings_is_not() {
        for (text, n_values) in [
            ("1", 1),
            ("[1,2,3]", 4),
            (r#"{"a":1,"b":[]}"#, 6),
            (r#"",,,:[{""#, 1),
            (r#"["\\",",","\\\\",2]"#, 5),
            (r#"["\",",2]"#, 3),
            ("[[[", 4),
        ] {
            assert_eq!(count_values(text.as_bytes()), n_values, "{text}");
        }
    }

    #[test]
    fn the_limit_is_exact_for_lists_of_digits() {
        for n_values in [999, 1000, 1001] {
            // The list itself is one.
            let text = format!("[{}1]", "1,".repeat(n_values - 2));
            assert_eq!(has_too_many_values(text.as_bytes(), 1000), n_values > 1000, "{n_values}");
        }
    }

    #[test]
    fn a_text_of_the_smallest_values_is_not_passed_over_for_being_short() {
        // A list of lists: two bytes each, and a comma, count as two.
        let lists = format!("[{}[]]", "[],".repeat(600));
        assert!(count_values(lists.as_bytes()) > 1000 && lists.len() < 2000);
        assert!(has_too_many_values(lists.as_bytes(), 1000));
        // Lists within lists: one byte each.
        for (depth, is_too_much) in [(998, false), (999, false), (1000, true)] {
            assert_eq!(has_too_many_values("[".repeat(depth).as_bytes(), 1000), is_too_much, "{depth}");
        }
    }
}
