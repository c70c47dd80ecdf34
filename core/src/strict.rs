//! Strict JSON: one meaning per document, and an error that points at the place.
//!
//! Signed bytes must mean the same to every reader, so whatever parsers are known to disagree on is refused: duplicate
//! members, floating point, integers outside ±(2^53 − 1) (RFC 7493), text that is not NFC, unknown members, lists in place
//! of objects, trailing data, deep nesting. `serde_json` does the tokenising; this module adds the refusals and the JSON pointer (RFC 6901).
//!
//! Nearly every document is well formed, so the way for those is short: one pass that only checks, one that decodes. Only
//! when either fails is the document read again into a tree, which knows where it went wrong; that reading decides.

mod as_text;
mod canonical;
mod objects;

use core::cell::RefCell;
use core::fmt;
use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use unicode_normalization::UnicodeNormalization;

pub(crate) use as_text::as_text;
use objects::Objects;

/// Deepest nesting accepted. Our own documents need 7; the rest is room for extension, not for attackers.
pub const DEPTH_MAX: usize = 32;

/// Largest integer magnitude accepted: 2^53 − 1, exact in every JSON implementation (RFC 7493, section 2.2).
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why a document was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at {}: {reason}", if pointer.is_empty() { "the document root" } else { pointer })]
pub struct StrictError {
    /// JSON pointer (RFC 6901) of the offending value; empty for the whole document.
    pub pointer: String,
    /// What is wrong there, for a person.
    pub reason: String,
}

impl StrictError {
    /// An error at `pointer`.
    pub fn new(pointer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), reason: reason.into() }
    }

    /// The same error seen from a document that holds this one at `prefix`.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }
}

/// Escapes one reference token of a JSON pointer (RFC 6901, section 3).
pub fn pointer_token(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// The JSON pointer with these reference tokens.
fn pointer<T: AsRef<str>>(tokens: impl IntoIterator<Item = T>) -> String {
    tokens.into_iter().fold(String::new(), |pointer, token| pointer + "/" + &pointer_token(token.as_ref()))
}

/// Parses bytes into a value, refusing everything this module's header lists except unknown members.
///
/// # Errors
/// A [`StrictError`] whose pointer names the member or element being read when the document went wrong.
pub fn value_from_slice(bytes: &[u8]) -> Result<Value, StrictError> {
    let place = Place::default();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Seed { place: &place, depth: 0 }
        .deserialize(&mut deserializer)
        .map_err(|error| StrictError::new(place.pointer(), error.to_string()))?;
    deserializer.end().map_err(|error| StrictError::new("", error.to_string()))?;
    Ok(value)
}

/// Decodes an already checked value into `T`; `T` should refuse unknown members (`deny_unknown_fields`).
///
/// # Errors
/// A [`StrictError`] whose pointer is relative to `value`.
pub fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, StrictError> {
    if let Ok(decoded) = T::deserialize(Objects(value)) {
        return Ok(decoded);
    }
    serde_path_to_error::deserialize(Objects(value)).map_err(|error| {
        use serde_path_to_error::Segment;
        let tokens = error.path().iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key: name } | Segment::Enum { variant: name } => Some(name.clone()),
            Segment::Unknown => None,
        });
        StrictError::new(pointer(tokens), error.inner().to_string())
    })
}

/// Parses bytes into `T`; `T` should refuse unknown members (`deny_unknown_fields`).
///
/// # Errors
/// As [`value_from_slice`] followed by [`decode`], which it is but for its speed.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StrictError> {
    match quick(bytes) {
        Some(decoded) => Ok(decoded),
        None => decode(&value_from_slice(bytes)?),
    }
}

/// What [`from_slice`] accepts, as it reads it; `None` for everything else.
pub(crate) fn quick<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    if !is_strict(bytes) {
        return None;
    }
    T::deserialize(Objects(&mut serde_json::Deserializer::from_slice(bytes))).ok()
}

/// Whether [`value_from_slice`] would accept these bytes.
fn is_strict(bytes: &[u8]) -> bool {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Check { depth: 0 }.deserialize(&mut deserializer).is_ok() && deserializer.end().is_ok()
}

/// Reads a member that is either absent or there (`#[serde(default, deserialize_with = "strict::present")]`); `null`
/// is no third way of saying so, because what is signed has one spelling.
///
/// # Errors
/// The member's own, and for `null` where its type has none.
pub fn present<'de, T: de::Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// `value` as a JSON value.
///
/// # Errors
/// A [`StrictError`] when the value can't be written as JSON, which no type of this crate causes.
pub fn to_value<T: serde::Serialize>(value: &T) -> Result<Value, StrictError> {
    serde_json::to_value(value).map_err(|error| StrictError::new("", error.to_string()))
}

/// Canonical JSON (RFC 8785, JCS) of a value: what our own tools write and what content addresses are taken over.
///
/// # Errors
/// A [`StrictError`] when the value can't be written as JSON that [`value_from_slice`] reads, which no type of this crate
/// causes.
pub fn to_canonical<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, StrictError> {
    let mut canonical = Vec::new();
    canonical::write(&to_value(value)?, &mut canonical)?;
    Ok(canonical)
}

/// The path of the value being read. A failing read leaves it where it stopped.
#[derive(Default)]
struct Place(RefCell<Vec<String>>);

impl Place {
    fn within<T, E>(&self, token: String, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.0.borrow_mut().push(token);
        let result = read()?;
        self.0.borrow_mut().pop();
        Ok(result)
    }

    fn pointer(&self) -> String {
        pointer(self.0.borrow().iter())
    }
}

struct Seed<'a> {
    place: &'a Place,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        check_depth(self.depth)?;
        deserializer.deserialize_any(self)
    }
}

fn check_depth<E: de::Error>(depth: usize) -> Result<(), E> {
    if depth > DEPTH_MAX {
        return Err(E::custom(format!("nested deeper than {DEPTH_MAX} levels")));
    }
    Ok(())
}

fn check_unsigned<E: de::Error>(value: u64) -> Result<(), E> {
    if value > INTEGER_MAX {
        return Err(E::custom(format!("integer {value} is larger than 2^53 − 1; write it as a string")));
    }
    Ok(())
}

fn check_signed<E: de::Error>(value: i64) -> Result<(), E> {
    if value.unsigned_abs() > INTEGER_MAX {
        return Err(E::custom(format!("integer {value} is smaller than −(2^53 − 1); write it as a string")));
    }
    Ok(())
}

fn text<E: de::Error>(text: &str) -> Result<&str, E> {
    // ASCII is its own normal form, and most text is ASCII.
    if !text.is_ascii() && !unicode_normalization::is_nfc(text) {
        let normal: String = text.nfc().collect();
        return Err(E::custom(format!("text is not in Unicode normal form C; write it as {normal:?}")));
    }
    if text.contains('\0') {
        return Err(E::custom("text contains U+0000"));
    }
    Ok(text)
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without floating point numbers")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        check_unsigned(value)?;
        Ok(Value::Number(Number::from(value)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        check_signed(value)?;
        Ok(Value::Number(Number::from(value)))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Err(E::custom(format!("{value} is a floating point number; amounts and rates are decimal strings")))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        text(value).map(|text| Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let seed = Seed { place: self.place, depth: self.depth + 1 };
            match self.place.within(items.len().to_string(), || seq.next_element_seed(seed))? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let seed = Seed { place: self.place, depth: self.depth + 1 };
            let value = self.place.within(name.clone(), || {
                text::<A::Error>(&name)?;
                if members.contains_key(&name) {
                    return Err(de::Error::custom("this member occurs twice"));
                }
                map.next_value_seed(seed)
            })?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

/// The same rules as [`Seed`], with nothing built and no place remembered.
#[derive(Clone, Copy)]
struct Check {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Check {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        check_depth(self.depth)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without floating point numbers")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        check_unsigned(value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        check_signed(value)
    }

    // Floating point is refused by the default of every other visit.

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        text(value).map(|_| ())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let element = Self { depth: self.depth + 1 };
        while seq.next_element_seed(element)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let member = Self { depth: self.depth + 1 };
        let mut names = BTreeSet::new();
        while let Some(name) = map.next_key_seed(Name)? {
            if !names.insert(name) {
                return Err(de::Error::custom("this member occurs twice"));
            }
            map.next_value_seed(member)?;
        }
        Ok(())
    }
}

/// A member's name, copied only where it has escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_borrowed_str<E: de::Error>(self, name: &'de str) -> Result<Self::Value, E> {
        text(name).map(Cow::Borrowed)
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        text(name).map(|name| Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only its decoding is tested")]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its decoding is tested")]
        count: u32,
    }

    fn pointer(json: &str) -> String {
        let error = from_slice::<Outer>(json.as_bytes()).unwrap_err();
        assert!(!error.reason.is_empty());
        error.pointer
    }

    #[test]
    fn errors_point_at_the_place() {
        assert!(from_slice::<Outer>(br#"{"inner":[{"count":1}]}"#).is_ok());
        assert_eq!(pointer(r#"{"inner":[{"count":1},{"count":1.5}]}"#), "/inner/1/count");
        assert_eq!(pointer(r#"{"inner":[{"count":1},{"count":1,"count":2}]}"#), "/inner/1/count");
        assert_eq!(pointer(r#"{"inner":[{"count":1e400}]}"#), "/inner/0/count");
        assert_eq!(pointer(r#"{"inner":[{"count":-0}]}"#), "/inner/0/count");
        assert_eq!(pointer(r#"{"inner":[{"count":9007199254740992}]}"#), "/inner/0/count");
        assert_eq!(pointer(r#"{"inner":[{"count":"1"}]}"#), "/inner/0/count");
        assert_eq!(pointer(r#"{"inner":[{"extra":1}]}"#), "/inner/0/extra");
        assert_eq!(pointer(r#"{"inner":[{}]}"#), "/inner/0");
        assert_eq!(pointer(r#"{"inner":[]} x"#), "");
        assert_eq!(pointer("{\"inner\":[{\"a/b~\":\"e\u{301}\"}]}"), "/inner/0/a~1b~0");
        assert_eq!(pointer(&format!("{}{}", "[".repeat(64), "]".repeat(64))), "/0".repeat(DEPTH_MAX + 1));
        assert_eq!(pointer("{\"inner\":\"\\ud800\"}"), "/inner");
    }

    #[test]
    fn canonical_form_sorts_members() {
        let value = value_from_slice("{\"b\":1, \"a\":\"\u{20ac}\"}".as_bytes()).unwrap();
        assert_eq!(to_canonical(&value).unwrap(), "{\"a\":\"\u{20ac}\",\"b\":1}".as_bytes());
    }
}
