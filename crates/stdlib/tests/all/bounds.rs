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
        assert!(call("Range", &[v(start), v(end)]).unwrap_err().contains("the list would be longer"));
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
        ("stdlib.list-concat", vec![list.clone(), list]),
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
