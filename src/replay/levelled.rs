//! Values that mean the same in one form, so that they compare equal.

use serde_json::{Number, Value};

/// The value with whole numbers as integers: 5.0 is the number 5 in JSON. The keys of objects are
/// sorted already, as [`Value`] keeps them.
pub(super) fn levelled(mut value: Value) -> Value {
    match &mut value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0);
            if let Some(Ok(whole)) = whole.map(|float| format!("{float:.0}").parse::<i64>()) {
                *number = Number::from(whole);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = levelled(item.take())),
        Value::Object(members) => {
            members.values_mut().for_each(|member| *member = levelled(member.take()));
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
    value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_means_the_same_is_equal() {
        let one = json!({"b": [5.0, {"y": 1, "x": -2.0}], "a": "5.0"});
        let same = json!({"a": "5.0", "b": [5, {"x": -2, "y": 1}]});
        assert_eq!(levelled(one).to_string(), levelled(same).to_string());
        assert_eq!(levelled(json!([0.5, "5.0", 1e300])), json!([0.5, "5.0", 1e300]));
    }
}
