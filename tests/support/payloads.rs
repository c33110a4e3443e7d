//! Payloads of every kind that a test may come up with.

use proptest::prelude::*;
use relight::journal::Payload;
use serde_json::Value;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z \"\\\\\u{7f}-\u{fff}]{0,300}".prop_map(|text| Value::from(text.repeat(20))),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::from(map.into_iter().collect::<serde_json::Map<_, _>>())),
        ]
    })
}

/// JSON that other programs write, and that no `Value` would write again.
fn odd_json() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        r#"{"b": 1, "a" : 2, "a": 3}"#,
        "[1.0E+2, -0, 0.10, 123456789012345678901234567890]",
        r#""\u00e9 \/ \ud83d\ude80 \ud800""#,
        "{\n\t\"deep\" : [ ]\n}",
        r#"{"$blob":"00112233445566778899aabbccddeeff"}"#,
        "null",
    ])
    .prop_map(str::to_owned)
}

pub(crate) fn any_payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        4 => any_json().prop_map(|value| value.to_string()),
        2 => any_json().prop_map(|value| serde_json::to_string_pretty(&value).unwrap()),
        1 => odd_json(),
    ]
    .prop_map(|text| Payload::from_json(text).unwrap())
}
