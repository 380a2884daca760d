//! The types that the derive tells.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use constellation_module::types::Type;
use constellation_module::{DataType, from_value, to_value};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, DataType)]
struct Line {
    sku: String,
    quantity: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, DataType)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Order {
    customer_id: i64,
    note: Option<String>,
    sold_lines: Vec<Line>,
    #[serde(rename = "total-price", alias = "total")]
    price: f32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    discount: Option<Box<f64>>,
    by_name: BTreeMap<String, Arc<Line>>,
    by_number: HashMap<i64, bool>,
    #[serde(skip)]
    cache: Option<u8>,
    r#type: Kind,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, DataType)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Retail,
    WholeSale,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, DataType)]
struct Email(String);

#[derive(Debug, PartialEq, Serialize, Deserialize, DataType)]
#[serde(transparent)]
struct Wrapper {
    inner: Vec<Email>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, DataType)]
struct Page<T> {
    items: Vec<T>,
}

#[derive(Serialize, DataType)]
struct Borrowed<'a> {
    name: &'a str,
    sizes: &'a [u8],
}

#[derive(DataType)]
#[expect(dead_code, reason = "only its type is asked for")]
struct Tree {
    children: Vec<Tree>,
}

fn order() -> Order {
    Order {
        customer_id: 7,
        note: None,
        sold_lines: vec![Line { sku: "a".to_owned(), quantity: 2 }],
        price: 1.5,
        discount: None,
        by_name: BTreeMap::from([("x".to_owned(), Arc::new(Line { sku: "x".to_owned(), quantity: 1 }))]),
        by_number: HashMap::from([(3, true), (-1, false), (2, true)]),
        cache: None,
        r#type: Kind::WholeSale,
    }
}

#[test]
fn a_struct_is_a_record_with_the_names_that_serde_uses() {
    assert_eq!(
        Order::data_type().to_string(),
        "{ customerId: Int, note: Optional<String>, soldLines: List<{ sku: String, quantity: Int }>, \
         total-price: Float, discount: Optional<Float>, byName: Map<String, { sku: String, quantity: Int }>, \
         byNumber: Map<Int, Boolean>, type: String }"
    );
}

#[test]
fn a_struct_goes_to_a_value_and_back() {
    let value = to_value(&order(), &Order::data_type()).unwrap();
    assert_eq!(
        serde_json::to_value(constellation_module::types::Json { value: &value, ty: &Order::data_type() })
            .unwrap(),
        serde_json::json!({
            "customerId": 7, "note": null, "soldLines": [{ "sku": "a", "quantity": 2 }], "total-price": 1.5,
            "discount": null, "byName": { "x": { "sku": "x", "quantity": 1 } },
            "byNumber": [[-1, false], [2, true], [3, true]], "type": "whole-sale",
        })
    );
    assert_eq!(from_value::<Order>(&value).unwrap(), order());
}

#[test]
fn a_struct_with_one_unnamed_field_is_that_field() {
    assert_eq!(Email::data_type(), Type::String);
    assert_eq!(Wrapper::data_type(), Type::list(Type::String));
    let wrapper = Wrapper { inner: vec![Email("a@b".to_owned())] };
    let value = to_value(&wrapper, &Wrapper::data_type()).unwrap();
    assert_eq!(from_value::<Wrapper>(&value).unwrap(), wrapper);
}

#[test]
fn generic_and_borrowing_structs_have_types() {
    assert_eq!(Page::<Line>::data_type().to_string(), "{ items: List<{ sku: String, quantity: Int }> }");
    assert_eq!(Borrowed::data_type().to_string(), "{ name: String, sizes: List<Int> }");
    let value = to_value(&Borrowed { name: "a", sizes: &[1, 2] }, &Borrowed::data_type()).unwrap();
    assert_eq!(
        from_value::<HashMap<String, serde_json::Value>>(&value).unwrap()["sizes"],
        serde_json::json!([1, 2])
    );
}

#[test]
fn a_type_that_contains_itself_is_refused_with_its_name() {
    let panic = std::panic::catch_unwind(Tree::data_type).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("Tree` contains itself"), "{message}");
    // The guard is left behind as it was found.
    assert_eq!(Email::data_type(), Type::String);
}
