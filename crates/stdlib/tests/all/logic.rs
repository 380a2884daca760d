//! `stdlib.bool`, `stdlib.compare`, `identity` and `log`.

use std::io;
use std::sync::{Arc, Mutex};

use crate::harness::{call, check, ints, v};

#[test]
fn truth_tables() {
    let both = |table: [bool; 4]| {
        [
            ([v(false), v(false)], table[0]),
            ([v(false), v(true)], table[1]),
            ([v(true), v(false)], table[2]),
            ([v(true), v(true)], table[3]),
        ]
    };
    check("stdlib.and", &both([false, false, false, true]));
    check("stdlib.or", &both([false, true, true, true]));
    check("stdlib.not", &[([v(true)], false), ([v(false)], true)]);
}

#[test]
fn integers_are_ordered() {
    let orders = |table: [bool; 3]| {
        [([v(i64::MIN), v(i64::MAX)], table[0]), ([v(7), v(7)], table[1]), ([v(1), v(-1)], table[2])]
    };
    check("stdlib.eq-int", &orders([false, true, false]));
    check("stdlib.lt", &orders([true, false, false]));
    check("stdlib.lte", &orders([true, true, false]));
    check("stdlib.gt", &orders([false, false, true]));
    check("stdlib.gte", &orders([false, true, true]));
}

#[test]
fn strings_are_equal_when_each_character_is() {
    check(
        "stdlib.eq-string",
        &[
            ([v("a"), v("a")], true),
            ([v("a"), v("A")], false),
            ([v(""), v("")], true),
            // Composed and decomposed.
            ([v("\u{e9}"), v("e\u{301}")], false),
        ],
    );
}

#[test]
fn identity_and_log_give_back_what_they_get() {
    check("stdlib.identity", &[([v("a")], v("a")), ([ints(&[1])], ints(&[1]))]);
    assert_eq!(call("stdlib.log", &[v("hello")]), Ok(v("hello")));
}

/// What a subscriber writes.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panics while it writes").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_logged_message_goes_to_the_debug_target() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || call("stdlib.log", &[v("hello")])).unwrap();
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text, " INFO constellation::debug: hello\n");
}
