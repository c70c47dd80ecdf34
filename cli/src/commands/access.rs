//! `chopmark access log`: who has read which sealed values, when, for which case; each record proved to be in the log.

mod proved;
mod seen;

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
    let listed = Listed::fetch(&client, &token, usize::try_from(limit).unwrap_or(usize::MAX))?;
    let key = access_key(&contact.log_key)?;
    let mut seen = match party {
        Some(party) => Some(Seen::open(&settings.directories, &contact.registry.genesis, &party)?),
        None => None,
    };
    if let Some(seen) = &seen {
        seen.check(&listed)?;
    }
    let proved = Proved::check(&client, &key, &listed)?;
    if let Some(seen) = &mut seen {
        seen.extend(&client, &key, &listed, &proved)?;
    }

    let mut report = listed.accesses.iter().fold(Report::default(), |report, access| report.line(line(&access.shown)));
    if !listed.is_complete {
        report = report.line("there are more: --limit NUMBER");
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
        "complete": listed.is_complete,
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

/// Records as the service lists them.
struct Listed {
    /// In the log, when the list began.
    size: u64,
    /// Whether these are all that may be seen.
    is_complete: bool,
    accesses: Vec<Access>,
}

/// A record in the list.
struct Access {
    index: u64,
    /// `index`, `leaf_hash`, `record`, as answered.
    shown: Value,
}

impl Listed {
    fn fetch(client: &Client, token: &str, wanted: usize) -> Result<Self, Failure> {
        let (mut accesses, mut cursor, mut size): (Vec<Access>, Option<String>, u64) = (Vec::new(), None, 0);
        loop {
            let query = cursor.as_deref().map(|cursor| format!("?cursor={}", encode(cursor))).unwrap_or_default();
            let page = client.accesses(&query, token)?;
            size = size.max(page.size);
            for shown in page.accesses {
                let index = shown.get("index").and_then(Value::as_u64);
                let index = index.ok_or_else(|| Failure::proof("the service lists a record without its index"))?;
                if accesses.last().is_some_and(|last| last.index >= index) {
                    return Err(Failure::proof(format!("the service lists record {index} twice, or out of order")));
                }
                accesses.push(Access { index, shown });
            }
            cursor = page.next;
            if cursor.is_none() || accesses.len() >= wanted {
                break;
            }
        }
        let is_complete = cursor.is_none() && accesses.len() <= wanted;
        accesses.truncate(wanted);
        Ok(Self { size, is_complete, accesses })
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
