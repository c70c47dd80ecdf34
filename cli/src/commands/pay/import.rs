//! `chopmark pay import`: a list from an accounting system, checked whole before anything is sent.
//!
//! The journal is that of `register --from`, and a statement is on disk before it is sent: a run that was cut short goes on
//! where it was, and no payment is there twice.

mod encoding;
mod list;
mod recorded;
mod report;
mod row;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chopmark_core::admission::PaymentKey;
use chopmark_core::expenditure::ExpenditureClaim;
use chopmark_core::kind::Claim;
use chopmark_core::statement::StatementId;
use serde_json::{Value, json};

use self::list::List;
use self::row::{Fault, Row};
use super::lookup::Lookup;
use super::order::{self, Beside, Order};
use crate::arguments::{CosignArguments, PayImportArguments, SayArguments};
use crate::commands::consent::Consent;
use crate::commands::say::Speaker;
use crate::commands::{Context, dry_run, output};
use crate::exit::{Exit, Failure};
use crate::printer::{Report, Tone};
use crate::units;

/// Most faults that people are shown; `--json` has all.
const FAULTS_SHOWN_MAX: usize = 20;

/// A row that is fit to be recorded.
struct Item {
    /// Its line in the list.
    line: u64,
    /// What is recorded.
    order: Order,
    /// The place, among items, of the payment on the same list that it takes something off.
    credits: Option<usize>,
    /// Whether it is on record already.
    is_known: bool,
}

/// Records every payment of a list.
///
/// # Errors
/// A usage failure with every fault of the list, and then nothing is sent; otherwise why nothing was tried. What became of
/// rows is in the report.
pub(super) fn run(context: &Context<'_>, arguments: &PayImportArguments) -> Result<Exit, Failure> {
    let path = &arguments.list;
    let list = List::read(path, arguments.encoding)?;
    let report = arguments.report.clone().unwrap_or_else(|| path.with_extension("report.json"));
    if !arguments.consent.dry_run {
        output::check_document(&report)?;
    }
    let said =
        SayArguments { party: arguments.party.clone(), cosign: CosignArguments::default(), consent: arguments.consent };
    let speaker = match Speaker::own(context, said, None) {
        Ok(speaker) => speaker,
        // What is wrong with the list is wrong whether there is a registry or not.
        Err(_) if !list.faults.is_empty() => return refuse(context, path, list.faults),
        Err(failure) => return Err(failure),
    };
    let (mut items, mut faults) = checked(&speaker, &list, arguments.recorded_rates)?;
    let journal = report.with_extension("rows.jsonl");
    faults.extend(recorded::faults(&speaker, &mut items, arguments.vault.vault_zone, &journal)?);
    if !faults.is_empty() {
        faults.sort_by_key(|fault| fault.line);
        return refuse(context, path, faults);
    }
    if speaker.consent() == Consent::NotNeeded {
        return dry(context, arguments, &speaker, &list, &items);
    }
    let what = what_becomes_public(&speaker, &items);
    speaker.consent().obtain(context.printer, &speaker.contact.registry.origin, &what)?;
    speaker.pin(context)?;
    let ends = work::all(context, &speaker, &items, arguments.vault.vault_zone, journal)?;
    report::finish(context, (path, list.encoding), &report, &items, &ends)
}

/// Every row that is fit to be recorded, and everything that is wrong with others.
///
/// # Errors
/// When the registry can't be asked.
fn checked(speaker: &Speaker, list: &List, recorded_rates: bool) -> Result<(Vec<Item>, Vec<Fault>), Failure> {
    let lookup = Lookup::new(&speaker.client);
    let own = speaker.party.party_id;
    let mut faults = list.faults.clone();
    let bad: BTreeSet<u64> = faults.iter().map(|fault| fault.line).collect();
    let mut items: Vec<Item> = Vec::with_capacity(list.rows.len());
    let mut places: BTreeMap<PaymentKey, usize> = BTreeMap::new();
    let mut open: Vec<(usize, &Row)> = Vec::new();
    for row in &list.rows {
        if bad.contains(&row.line) {
            continue;
        }
        // A payment on the same list has no id yet; any will do while the row is checked.
        let credits = row.credits_document.as_deref().map(|document| StatementId::of(document.as_bytes()));
        let beside = Beside { payer_brn: row.payer_brn.as_deref(), payee_brn: row.payee_brn.as_deref(), credits };
        let fault = |column: &str, reason: String| Fault { line: row.line, column: column.to_owned(), reason };
        let order = match Order::new(&row.payment, beside, own, &lookup, None) {
            Ok(order) => order,
            Err(order::Fault { cause: Some(cause), .. }) if is_no_answer(&cause) => return Err(*cause),
            Err(order::Fault { option, reason, .. }) => {
                faults.push(fault(&option.unwrap_or_default(), reason));
                continue;
            }
        };
        if order.lacks_rate() && !recorded_rates {
            let reason = "foreign money needs a rate; or leave it to those on record with --recorded-rates";
            faults.push(fault("fx_rate", reason.to_owned()));
        }
        if row.credits_document.is_some() {
            open.push((items.len(), row));
        }
        if let Some(earlier) = places.insert(order.claim.key(), items.len()).and_then(|place| items.get(place)) {
            let reason = format!("row {} is the same payer, payee and document", earlier.line);
            faults.push(fault("document", reason));
        }
        items.push(Item { line: row.line, order, credits: None, is_known: false });
    }
    for (place, row) in open {
        let credited = row.credits_document.clone().unwrap_or_default();
        let found = items.get(place).map(|item| PaymentKey { document: credited, ..item.order.claim.key() });
        let found = found.and_then(|key| places.get(&key)).copied();
        let is_payment = |at: &usize| items.get(*at).is_some_and(|item| !item.order.claim.nature.is_credit());
        if let (Some(at), Some(item)) = (found.filter(is_payment), items.get_mut(place)) {
            item.credits = Some(at);
        } else {
            let reason = "no payment on this list has this document and the same payer and payee; give its id";
            faults.push(Fault { line: row.line, column: "credits".to_owned(), reason: reason.to_owned() });
        }
    }
    Ok((items, faults))
}

/// Whether a failure says nothing about the row.
fn is_no_answer(failure: &Failure) -> bool {
    matches!(failure.exit, Exit::Network | Exit::Internal | Exit::Interrupted)
}

/// Says what is wrong with the list; nothing was sent.
fn refuse(context: &Context<'_>, path: &Path, faults: Vec<Fault>) -> Result<Exit, Failure> {
    let told = faults.iter().take(FAULTS_SHOWN_MAX).map(|Fault { line, column, reason }| {
        let place = if column.is_empty() { String::new() } else { format!(", {column}") };
        format!("row {line}{place}: {reason}")
    });
    let mut told: Vec<String> = told.collect();
    if let Some(left) = faults.len().checked_sub(FAULTS_SHOWN_MAX).filter(|left| *left > 0) {
        told.push(format!("and {left} more; --json shows all"));
    }
    let message =
        format!("{} can't be imported as it stands; nothing was sent\n  {}", path.display(), told.join("\n  "));
    let failure = Failure::new(Exit::Usage, "list", message);
    if !context.printer.is_json() {
        return Err(failure);
    }
    let faults: Vec<Value> = faults
        .into_iter()
        .map(|Fault { line, column, reason }| json!({ "row": line, "column": column, "reason": reason }))
        .collect();
    let members = json!({ "error": failure.to_json(), "faults": faults });
    context.printer.result(context.command, Exit::Usage, members, &Report::default())
}

fn what_becomes_public(speaker: &Speaker, items: &[Item]) -> Vec<String> {
    vec![
        format!("who       {}", speaker.party.name.display()),
        format!("what      {}", units::count(units::length(items.len()), "payment")),
        "of each   payer, payee, nature, day, document number and digest, and what it is for".to_owned(),
        "sealed    amounts, currencies, withholding, rates".to_owned(),
        "not sent  any document".to_owned(),
    ]
}

/// Shows what would be recorded, and every byte of the first of it; sends nothing.
fn dry(
    context: &Context<'_>,
    arguments: &PayImportArguments,
    speaker: &Speaker,
    list: &List,
    items: &[Item],
) -> Result<Exit, Failure> {
    let mut natures: BTreeMap<&str, u64> = BTreeMap::new();
    for item in items.iter().filter(|item| !item.is_known) {
        let number = natures.entry(item.order.claim.nature.as_str()).or_default();
        *number = number.saturating_add(1);
    }
    let mut report = Report::default();
    let mut first = Value::Null;
    if let Some(item) = items.iter().find(|item| item.credits.is_none() && !item.is_known) {
        let (place, nonce) = speaker.place(ExpenditureClaim::PREDICATE_TYPE)?;
        let (claim, sealing) = item.order.sealed((&place, nonce), arguments.vault.vault_zone)?;
        let subject = work::subject(&item.order);
        let signed = speaker.preview((&subject, &Claim::Expenditure(claim)), &sealing)?;
        (first, report, _) = dry_run::describe(&signed, &speaker.contact.registry, report);
    }
    for (nature, number) in &natures {
        report = report.row(nature, units::count(*number, "payment"));
    }
    let already = items.iter().filter(|item| item.is_known).count();
    let number = units::count(units::length(items.len() - already), "payment");
    let members = json!({
        "dry_run": true,
        "list": crate::files::text(&arguments.list),
        "encoding": list.encoding,
        "rows": items.len(),
        "already": already,
        "natures": natures,
        "first": first,
    });
    let report = report
        .row("encoding", list.encoding)
        .row("already", units::count(units::length(already), "payment"))
        .headline(Tone::Neutral, format!("DRY RUN: {number} would be recorded; nothing was sent"));
    context.done(members, &report)
}
