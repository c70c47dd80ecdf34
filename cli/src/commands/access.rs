//! `chopmark access log`: who has read which sealed values, when, for which case.

use serde_json::{Value, json};

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
/// An authorisation failure; a network or service failure.
pub(crate) fn log(context: &Context<'_>, arguments: AccessLogArguments) -> Result<Exit, Failure> {
    let AccessLogArguments { mine, limit, login } = arguments;
    let settings = context.settings(Overrides { party: login.party, ..Overrides::default() })?;
    let client = Client::new(&settings.url)?;
    let contact = Contact::meet(&settings, &client)?;
    contact.pin(&settings.directories, context.printer)?;
    let token =
        if mine { token::of_key(&settings, &client, &contact)? } else { token::at_hand(&settings, &client, &contact)? };
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut found, mut cursor, mut size): (Vec<Value>, Option<String>, u64) = (Vec::new(), None, 0);
    loop {
        let query = cursor.as_deref().map(|cursor| format!("?cursor={}", encode(cursor))).unwrap_or_default();
        let page = client.accesses(&query, &token)?;
        size = size.max(page.size);
        found.extend(page.accesses);
        cursor = page.next;
        if cursor.is_none() || found.len() >= wanted {
            break;
        }
    }
    found.truncate(wanted);
    let report = found.iter().fold(Report::default(), |report, access| report.line(line(access)));
    let number = units::count(units::length(found.len()), "reading");
    let members = json!({ "size": size, "accesses": found });
    context.done(members, &report.headline(Tone::Neutral, number))
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
