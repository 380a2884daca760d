//! Enums whose variants carry data.

use std::collections::BTreeMap;

use constellation_module::types::Value;
use constellation_module::{
    DataType, ModuleBuilder, ModuleRegistry, from_typed_value, from_value, testkit, to_value,
};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DataType)]
#[serde(rename_all = "lowercase", rename_all_fields = "camelCase")]
enum Payment {
    Card {
        last_digits: String,
        limit: Option<i64>,
    },
    #[serde(rename_all = "UPPERCASE")]
    Transfer {
        iban: String,
    },
    Voucher(Voucher),
    Cents(i64),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DataType)]
struct Voucher {
    code: String,
    /// A union in a member of a union.
    used: Option<When>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DataType)]
enum When {
    Day(String),
    Timestamp(i64),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DataType)]
struct Ledger {
    main: Payment,
    all: Vec<Payment>,
    by_name: BTreeMap<String, Option<Payment>>,
}

fn payments() -> [Payment; 5] {
    [
        Payment::Card { last_digits: "1234".into(), limit: None },
        Payment::Transfer { iban: "DE".into() },
        Payment::Voucher(Voucher { code: "A".into(), used: Some(When::Timestamp(3)) }),
        Payment::Voucher(Voucher { code: "B".into(), used: Some(When::Day("Monday".into())) }),
        Payment::Cents(100),
    ]
}

fn ledger() -> Ledger {
    let [card, transfer, voucher, other, cents] = payments();
    Ledger {
        main: card.clone(),
        all: vec![transfer, voucher, other],
        by_name: BTreeMap::from([("a".to_owned(), Some(cents)), ("b".to_owned(), None)]),
    }
}

#[test]
fn an_enum_whose_variants_carry_data_is_a_union_of_what_they_carry() {
    assert_eq!(
        Payment::data_type().to_string(),
        "Int | { IBAN: String } | { code: String, used: Optional<Int | String> } \
         | { lastDigits: String, limit: Optional<Int> }"
    );
}

#[test]
fn a_variant_is_a_member_of_the_union() {
    let ty = Payment::data_type();
    let [card, .., cents] = payments().map(|payment| to_value(&payment, &ty).unwrap());
    let fields = Value::record([("lastDigits", Value::string("1234")), ("limit", Value::none())]);
    assert_eq!(card, Value::tagged("{ lastDigits: String, limit: Optional<Int> }", fields));
    assert_eq!(cents, Value::tagged("Int", Value::Int(100)));
}

#[test]
fn unions_go_to_values_and_back_wherever_they_stand() {
    let ty = Ledger::data_type();
    let value = to_value(&ledger(), &ty).unwrap();
    assert_eq!(from_typed_value(&value, &ty), Ok(ledger()));
    // Without the type nothing tells which variant is which.
    let error = from_value::<Ledger>(&value).unwrap_err();
    assert_eq!(error.to_string(), "main: invalid type: union, expected enum Payment");
}

#[test]
fn modules_take_and_give_unions() {
    let mut registry = ModuleRegistry::new();
    registry.register(ModuleBuilder::new("Same").function(|ledger: Ledger| ledger)).unwrap();
    registry
        .register(ModuleBuilder::new("First").parameters(["payments"]).function(
            |payments: Vec<Payment>| -> Result<Payment, String> {
                payments.into_iter().next().ok_or_else(|| "nothing was paid".into())
            },
        ))
        .unwrap();
    let call = |name, arguments| testkit::call(&registry, name, &arguments).now_or_never().unwrap();
    let voucher = json!({
        "tag": "{ code: String, used: Optional<Int | String> }",
        "value": { "code": "A", "used": { "tag": "Int", "value": 3 } },
    });
    let arguments = json!({ "main": voucher, "all": [], "by_name": { "x": voucher, "y": null } });
    assert_eq!(call("Same", arguments.clone()).unwrap(), arguments);
    assert_eq!(call("First", json!({ "payments": [voucher] })).unwrap(), voucher);
    assert_eq!(call("First", json!({ "payments": [] })).unwrap_err().to_string(), "nothing was paid");
}

#[test]
fn what_does_not_fit_in_a_member_is_told_with_its_path() {
    #[derive(Debug, Deserialize, DataType)]
    enum Level {
        #[expect(dead_code, reason = "it is never made")]
        Percent(u8),
        #[expect(dead_code, reason = "it is never made")]
        Name(String),
    }
    let levels = Value::list([Value::tagged("Int", Value::Int(300))]);
    let error = from_typed_value::<Vec<Level>>(&levels, &Vec::<Level>::data_type()).unwrap_err();
    assert_eq!(error.to_string(), "[0]: invalid value: integer `300`, expected u8");
    let error = to_value(&Payment::Cents(1), &When::data_type()).unwrap_err();
    assert_eq!(error.to_string(), "expected Int | String, got Payment::cents, which carries data");
}

/// The message of the panic.
fn refusal(data_type: impl FnOnce() -> constellation_module::types::Type + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(data_type).expect_err("it is refused");
    *panic.downcast::<String>().expect("a panic with a formatted message")
}

#[test]
fn variants_that_cannot_be_told_apart_are_refused_by_name() {
    #[derive(DataType)]
    #[expect(dead_code, reason = "only its type is asked for")]
    enum Twice {
        Net(i64),
        Gross(u8),
    }
    #[derive(DataType)]
    #[expect(dead_code, reason = "only its type is asked for")]
    enum Nested {
        When(When),
        Flag(bool),
    }

    let message = refusal(Twice::data_type);
    assert!(message.contains("Twice::Net` and `"), "{message}");
    assert!(message.contains("Twice::Gross` carry the same type, Int"), "{message}");

    assert!(refusal(Nested::data_type).contains("Nested::When` carries a union"));
}
