//! Changing JSON documents one place at a time. Places are RFC 6901 pointers; member names here need no escaping.

use serde_json::Value;

/// Every place in a document, the root first.
pub fn pointers(value: &Value) -> Vec<String> {
    let mut all = vec![String::new()];
    collect(value, "", &mut all);
    all
}

fn collect(value: &Value, at: &str, all: &mut Vec<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), member)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        _ => return,
    };
    for (name, member) in members {
        assert!(!name.contains(['/', '~']), "{name} would need escaping");
        let pointer = format!("{at}/{name}");
        all.push(pointer.clone());
        collect(member, &pointer, all);
    }
}

/// The document with another value at a place.
pub fn with(value: &Value, pointer: &str, new: Value) -> Value {
    let mut changed = value.clone();
    *changed.pointer_mut(pointer).unwrap() = new;
    changed
}

/// The document with one more member in the object at a place.
pub fn with_member(value: &Value, pointer: &str, name: &str, member: Value) -> Value {
    let mut changed = value.clone();
    let object = changed.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
    assert!(object.insert(name.to_owned(), member).is_none());
    changed
}

/// The document without the member or element at a place.
pub fn without(value: &Value, pointer: &str) -> Value {
    let mut changed = value.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match changed.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.remove(name).unwrap()),
        Value::Array(items) => drop(items.remove(name.parse().unwrap())),
        _ => unreachable!("only objects and arrays have places inside"),
    }
    changed
}

/// The text of the document with the member at a place written twice, or `None` where the place is not a member.
pub fn twice(value: &Value, pointer: &str) -> Option<String> {
    const STAND_IN: &str = "stands-in-for-a-second";
    let (parent, name) = pointer.rsplit_once('/')?;
    value.pointer(parent)?.as_object()?;
    let member = value.pointer(pointer)?.clone();
    let text = with_member(value, parent, STAND_IN, member).to_string();
    Some(text.replace(&format!("\"{STAND_IN}\""), &Value::from(name).to_string()))
}

/// A value of every other JSON type than this one.
pub fn other_types(value: &Value) -> Vec<Value> {
    let one_of_each = [
        Value::Null,
        Value::Bool(true),
        Value::from(7),
        Value::from("x"),
        Value::Array(Vec::new()),
        Value::Object(serde_json::Map::new()),
    ];
    one_of_each.into_iter().filter(|other| core::mem::discriminant(other) != core::mem::discriminant(value)).collect()
}

/// The text of the document with raw text in place of the value at a place: what no JSON value can express.
pub fn raw(value: &Value, pointer: &str, text: &[u8]) -> Vec<u8> {
    const STAND_IN: &str = "\"stands-in-for-raw-text\"";
    let whole = with(value, pointer, Value::from(STAND_IN.trim_matches('"'))).to_string();
    let (before, after) = whole.split_once(STAND_IN).unwrap();
    [before.as_bytes(), text, after.as_bytes()].concat()
}
