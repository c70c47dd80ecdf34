//! `chopmark erase request`: sealed values of a statement are destroyed, and an entry says so.

use chopmark_core::erased::ErasedClaim;
use chopmark_core::kind::Claim;
use chopmark_core::sealed::{Field, SealedField};
use serde_json::json;

use super::Context;
use super::say::{Saying, Speaker, say};
use crate::arguments::EraseRequestArguments;
use crate::exit::{Exit, Failure};
use crate::printer::Report;

/// Asks for it, by signing the entry.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(crate) fn request(context: &Context<'_>, arguments: EraseRequestArguments) -> Result<Exit, Failure> {
    let EraseRequestArguments { statement, fields, say: said } = arguments;
    let speaker = Speaker::own(context, said, None)?;
    let sealing = speaker.client.statement(&statement)?;
    let fields = chosen(&sealing.claim.kind().sealed_fields(), &fields)?;
    let (id, shown) = (sealing.id, sealing.id.shown(sealing.claim.id_prefix()));
    let names: Vec<&str> = fields.iter().map(Field::as_str).collect();
    let saying = Saying {
        subject_name: &format!("erasure of sealed values of {shown}"),
        said: format!("the openings of {} of {shown} are destroyed", names.join(", ")),
        named: &[id],
        report: Report::default().row("statement", format!("{id} ({})", sealing.claim.name())),
        members: json!({ "erased_of": id, "fields": names }),
        claim: Claim::Erased(ErasedClaim { statement: id, fields: fields.clone() }),
    };
    say(context, &speaker, saying)
}

/// Those that were named, or all; ascending.
fn chosen(sealed: &[SealedField], named: &[String]) -> Result<Vec<Field>, Failure> {
    let mut fields: Vec<Field> = Vec::new();
    for name in named {
        let found: Vec<&SealedField> = sealed.iter().filter(|sealed| sealed.field.is_called(name)).collect();
        let [only] = found.as_slice() else {
            let known: Vec<&str> = sealed.iter().map(|sealed| sealed.field.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Failure::usage(format!("{name} does not name one sealed field; the statement has {known}")));
        };
        fields.push(only.field.clone());
    }
    if named.is_empty() {
        fields.extend(sealed.iter().map(|sealed| sealed.field.clone()));
    }
    if fields.is_empty() {
        return Err(Failure::usage("the statement has no sealed field"));
    }
    fields.sort_unstable();
    fields.dedup();
    Ok(fields)
}
