//! What no call may make.

use constellation_module::types::Value;
use constellation_stdlib::{MAX_LIST_ITEMS, MAX_TEXT_BYTES};

use crate::harness::{call, v};

#[test]
fn a_range_is_bounded() {
    let last = i64::try_from(MAX_LIST_ITEMS).unwrap();
    let Ok(Value::List(items)) = call("Range", &[v(1), v(last)]) else { panic!("within the bound") };
    assert_eq!(items.len(), MAX_LIST_ITEMS);
    for (start, end) in [(0, last), (i64::MIN, i64::MAX)] {
        for name in ["Range", "stdlib.list-range"] {
            assert!(call(name, &[v(start), v(end)]).unwrap_err().contains("the list would be longer"));
        }
    }
}

#[test]
fn no_text_grows_past_the_bound() {
    let half = Value::string("x".repeat(MAX_TEXT_BYTES / 2));
    assert!(call("stdlib.concat", &[half.clone(), half.clone()]).is_ok());
    let long = "the text would be longer";
    let calls = [
        ("stdlib.concat", vec![half.clone(), Value::string("x".repeat(MAX_TEXT_BYTES / 2 + 1))]),
        ("stdlib.replace", vec![v("abc"), v(""), half.clone()]),
        ("Replace", vec![half.clone(), v("x"), half.clone()]),
        ("stdlib.join", vec![Value::list([half.clone(), half.clone()]), v(",")]),
        ("stdlib.repeat", vec![v("ab"), v(i64::MAX)]),
        ("stdlib.repeat", vec![half.clone(), v(3)]),
        ("stdlib.pad-left", vec![v("a"), v(i64::MAX), v("ab")]),
        ("stdlib.pad-right", vec![half.clone(), v(i64::try_from(MAX_TEXT_BYTES).unwrap()), v("\u{e9}")]),
        // Each character becomes three.
        ("stdlib.uppercase", vec![Value::string("\u{390}".repeat(MAX_TEXT_BYTES / 4))]),
        ("stdlib.json-print", vec![Value::list([half.clone(), half.clone()])]),
        ("stdlib.to-string", vec![Value::list([half.clone(), half])]),
    ];
    for (name, arguments) in calls {
        let error = call(name, &arguments).unwrap_err();
        assert!(error.contains(long), "{name}: {error}");
    }
}

#[test]
fn no_list_grows_past_the_bound() {
    let list = Value::list(vec![v(0); MAX_LIST_ITEMS / 2 + 1]);
    let text = Value::string(",".repeat(MAX_LIST_ITEMS + 1));
    let calls = [
        ("stdlib.list-concat", vec![list.clone(), list.clone()]),
        ("stdlib.list-flatten", vec![Value::list([list.clone(), list])]),
        ("stdlib.lines", vec![Value::string("\n".repeat(MAX_LIST_ITEMS + 1))]),
        ("stdlib.json-parse-list", vec![Value::string(format!("[{}0]", "0,".repeat(MAX_LIST_ITEMS)))]),
        ("stdlib.split", vec![text.clone(), v("")]),
        ("stdlib.split", vec![text.clone(), v(",")]),
        ("Split", vec![text.clone(), v(",")]),
        ("Split", vec![text, v("")]),
    ];
    for (name, arguments) in calls {
        let error = call(name, &arguments).unwrap_err();
        assert!(error.contains("the list would be longer"), "{name}: {error}");
    }
}

#[test]
fn no_map_grows_past_the_bound() {
    let pairs = (0..=MAX_LIST_ITEMS).map(|key| (Value::Int(i64::try_from(key).unwrap()), v(0)));
    let map = Value::Map(pairs.skip(1).collect());
    assert!(call("stdlib.map-put", &[map.clone(), v(1), v(1)]).is_ok());
    let members: String = (0..MAX_LIST_ITEMS).map(|_| "\"\":0,").collect();
    let calls = [
        ("stdlib.map-put", vec![map, v(0), v(1)]),
        ("stdlib.json-parse-object", vec![Value::string(format!("{{{members}\"\":0}}"))]),
    ];
    for (name, arguments) in calls {
        let error = call(name, &arguments).unwrap_err();
        assert!(error.contains("the map would be larger"), "{name}: {error}");
    }
}
