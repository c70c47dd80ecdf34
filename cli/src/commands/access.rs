//! `chopmark access log`: who has read which sealed values, when, for which case; the newest, each proved to be in the log.

mod proved;
mod seen;

use std::collections::VecDeque;

use chopmark_core::access::access_log_origin;
use chopmark_core::ledger::note::VerifierKey;
use serde_json::{Value, json};

use self::proved::Proved;
use self::seen::Seen;
use super::search::encode;
use super::{Context, token};
use crate::arguments::AccessLogArguments;
use crate::client::Client;
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::printer::{Report, Tone};
use crate::trust::Contact;
use crate::units;

/// Shows it.
///
/// # Errors
/// An authorisation failure; a proof failure when a record is not in the signed log, or one that was shown before is
/// gone; a network or service failure.
pub(crate) fn log(context: &Context<'_>, arguments: AccessLogArguments) -> Result<Exit, Failure> {
    let AccessLogArguments { mine, limit, login } = arguments;
    let settings = context.settings(Overrides { party: login.party, ..Overrides::default() })?;
    let client = Client::of(&settings)?;
    let contact = Contact::meet(&settings, &client)?;
    contact.pin(&settings.directories, context.printer)?;
    let (party, token) = if mine {
        let (party, token) = token::of_key(&settings, &client, &contact)?;
        (Some(party), token)
    } else {
        (None, token::at_hand(&settings, &client, &contact)?)
    };
    let key = access_key(&contact.log_key)?;
    let mut seen = match party {
        Some(party) => Some(Seen::open(&settings.directories, &contact.registry.genesis, &party)?),
        None => None,
    };
    let listed = Listed::fetch(&client, &token, usize::try_from(limit).unwrap_or(usize::MAX), seen.as_ref())?;
    let is_known = |index| seen.as_ref().is_some_and(|seen| seen.holds(index));
    let proved = Proved::check(&client, &key, &listed, is_known)?;
    if let Some(seen) = &mut seen {
        seen.extend(&client, &key, &listed, &proved)?;
    }

    let mut report = listed.accesses.iter().fold(Report::default(), |report, access| report.line(line(&access.shown)));
    if listed.older > 0 {
        let older = units::count(listed.older, "older reading");
        report = report.line(format!("{older} not shown: --limit NUMBER"));
    }
    let number = units::count(units::length(listed.accesses.len()), "reading");
    let headline = format!("{number}; {}", proved.words());
    let accesses: Vec<Value> = listed
        .accesses
        .into_iter()
        .map(|mut access| {
            if let Some(members) = access.shown.as_object_mut() {
                members.insert("proved".to_owned(), proved.covers(access.index).into());
            }
            access.shown
        })
        .collect();
    let members = json!({
        "size": listed.size,
        "complete": listed.older == 0,
        "accesses": accesses,
        "checkpoint": proved.checkpoint.as_ref().map(|(checkpoint, note)| json!({
            "size": checkpoint.size(),
            "root": checkpoint.root(),
            "note": note,
        })),
    });
    context.done(members, &report.headline(Tone::Neutral, headline))
}

/// The key of the access log: the registry's own, under the access log's name.
fn access_key(log_key: &VerifierKey) -> Result<VerifierKey, Failure> {
    VerifierKey::new(access_log_origin(log_key.name()), *log_key.public_key()).map_err(Failure::proof_of)
}

/// The newest records that may be seen, in order.
struct Listed {
    /// In the log, when the list began.
    size: u64,
    /// How many there are before these.
    older: u64,
    accesses: VecDeque<Access>,
}

/// A record in the list.
struct Access {
    index: u64,
    /// `index`, `leaf_hash`, `record`, as answered.
    shown: Value,
}

impl Listed {
    /// All of the list is looked through, because what was shown before has to be in it still; the end of it is kept.
    fn fetch(client: &Client, token: &str, wanted: usize, seen: Option<&Seen>) -> Result<Self, Failure> {
        let mut listed = Self { size: 0, older: 0, accesses: VecDeque::new() };
        let (mut cursor, mut missing): (Option<String>, _) = (None, seen.map(Seen::expected).unwrap_or_default());
        loop {
            let query = cursor.as_deref().map(|cursor| format!("?cursor={}", encode(cursor))).unwrap_or_default();
            let page = client.accesses(&query, token)?;
            listed.size = listed.size.max(page.size);
            let is_empty = page.accesses.is_empty();
            for shown in page.accesses {
                let index = shown.get("index").and_then(Value::as_u64);
                let index = index.ok_or_else(|| Failure::proof("the service lists a record without its index"))?;
                if listed.accesses.back().is_some_and(|last| last.index >= index) {
                    return Err(Failure::proof(format!("the service lists record {index} twice, or out of order")));
                }
                let access = Access { index, shown };
                if let Some(leaf) = missing.remove(&index)
                    && proved::leaf_of(&access)? != leaf
                {
                    return Err(Failure::proof(format!("record {index} is another than was shown before")));
                }
                listed.accesses.push_back(access);
                if listed.accesses.len() > wanted {
                    listed.accesses.pop_front();
                    listed.older += 1;
                }
            }
            cursor = page.next.filter(|_| !is_empty);
            if cursor.is_none() {
                break;
            }
        }
        match missing.first_key_value() {
            Some((index, _)) => Err(Failure::proof(format!("record {index} was shown before, and is gone"))),
            None => Ok(listed),
        }
    }
}

fn line(access: &Value) -> String {
    let text = |pointer: &str| access.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let fields = access
        .pointer("/record/fields")
        .and_then(Value::as_array)
        .map_or_else(String::new, |fields| fields.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
    let fields = if fields.is_empty() { "all fields".to_owned() } else { fields };
    let why = match text("/record/reason/case_reference") {
        "" => String::new(),
        case_reference => format!("; case {case_reference}: {}", text("/record/reason/purpose")),
    };
    format!(
        "{}  {} {}  {fields} of {}{why}",
        text("/record/at"),
        text("/record/role"),
        text("/record/bound_to").get(..20).unwrap_or(text("/record/bound_to")),
        text("/record/statement").get(..20).unwrap_or_default(),
    )
}
