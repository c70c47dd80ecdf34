//! Canonical JSON (RFC 8785, JCS), written from a tree: what is signed and addressed by digest is in this form.
//!
//! Numbers are the integers that the strict reader takes, whose canonical form is their digits; fractions have none here,
//! because no two implementations need to agree on them then.

use serde_json::{Number, Value};

use super::{INTEGER_MAX, StrictError};

/// Appends a value.
///
/// # Errors
/// A [`StrictError`] for a number that is no integer within ±(2^53 − 1).
pub(super) fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), StrictError> {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(true) => out.extend(b"true"),
        Value::Bool(false) => out.extend(b"false"),
        Value::Number(number) if is_exact(number) => out.extend(number.to_string().into_bytes()),
        Value::Number(number) => {
            let reason = format!("the number {number} is no integer within ±(2^53 − 1); write it as a string");
            return Err(StrictError::new("", reason));
        }
        Value::String(text) => string(text, out)?,
        Value::Array(items) => {
            out.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            // By UTF-16 code units (section 3.2.3), which is not the order of UTF-8 beyond U+FFFF.
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (position, (name, member)) in members.into_iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                string(name, out)?;
                out.push(b':');
                write(member, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn is_exact(number: &Number) -> bool {
    let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    magnitude.is_some_and(|magnitude| magnitude <= INTEGER_MAX)
}

/// `serde_json` escapes what section 3.2.2.2 asks for, in the same spelling, and nothing else.
fn string(text: &str, out: &mut Vec<u8>) -> Result<(), StrictError> {
    serde_json::to_writer(out, text).map_err(|error| StrictError::new("", error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Texts with everything that is escaped, or sorted otherwise than its bytes.
    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-c]{0,3}",
            "[\u{0}-\u{7f}]{0,4}",
            "[\u{7f}-\u{a0}\u{e000}-\u{e002}\u{fffd}\u{10000}-\u{10002}]{0,3}",
            any::<String>(),
        ]
    }

    fn values() -> impl Strategy<Value = Value> {
        let limit = i64::try_from(INTEGER_MAX).unwrap();
        let leaves = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-limit..=limit).prop_map(Value::from),
            texts().prop_map(Value::from),
        ];
        leaves.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((texts(), inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_are_written_as_another_implementation_writes_them(value in values()) {
            let mut written = Vec::new();
            write(&value, &mut written).unwrap();
            let theirs = serde_json_canonicalizer::to_vec(&value).unwrap();
            prop_assert_eq!(String::from_utf8(written).unwrap(), String::from_utf8(theirs).unwrap());
        }
    }

    #[test]
    fn numbers_that_readers_disagree_on_are_refused() {
        for bad in [json!(0.5), json!(-1e3), json!(INTEGER_MAX + 1), json!(i64::MIN), json!(u64::MAX)] {
            assert!(write(&bad, &mut Vec::new()).is_err(), "{bad}");
        }
    }
}
