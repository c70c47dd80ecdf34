//! `chopmark report explain`: one line, from the entries it rests on to the arithmetic: what was said, under which document,
//! who signed, which rule.

use std::collections::BTreeSet;

use chopmark_core::bundle::signing_parties;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::report::{self, Line, Verified};
use chopmark_core::expenditure::{ExpenditureClaim, Item, Replacement};
use chopmark_core::kind::Claim;
use chopmark_core::statement::{Statement, StatementId};
use chopmark_core::tax::words::{Group, Language, say};
use serde_json::{Value, json};

use super::{ASSERTED, read};
use crate::arguments::ReportExplainArguments;
use crate::commands::Context;
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::printer::{Report, Tone};
use crate::trust::Trust;

/// An entry that a line rests on.
struct Under<'a> {
    item: &'a Item,
    statement: Statement,
    /// Endorsements of it: who, and where.
    endorsed: Vec<(StatementId, u64)>,
}

/// Explains a line.
///
/// # Errors
/// As [`super::verify::run`]; a usage failure when there is no such line.
pub(super) fn run(context: &Context<'_>, arguments: &ReportExplainArguments) -> Result<Exit, Failure> {
    let settings = context.settings(Overrides { party: None, trust: arguments.trust.clone() })?;
    let trust = Trust::for_verifying(&settings, &arguments.file, context.printer)?;
    let verified = report::verify(&read(&arguments.file)?, &trust.policy)?;
    let Some(line) = verified.report.lines.iter().find(|line| line.line == arguments.line) else {
        let numbers: Vec<String> = verified.report.lines.iter().map(|line| line.line.to_string()).collect();
        let message = format!("--line {}: the report has the lines {}", arguments.line, numbers.join(", "));
        return Err(Failure::usage(message));
    };
    let unders = unders(&verified, line)?;
    let entries: Vec<Value> = unders.iter().map(|under| under.members(&verified)).collect();
    let members = json!({
        "line": line,
        "entries": entries,
        "size": verified.head.size,
        "registry": verified.head.registry,
        "rules_digest": verified.report.rules_digest,
        "notice": say(Group::Sentence, "indicative", arguments.lang),
        "asserted": ASSERTED,
    });
    let mut report = Report::default();
    for under in &unders {
        report = under.rows(report, &verified);
    }
    context.done(members, &rows(report, line, arguments.lang))
}

/// The entries under a line, in the order of the log.
fn unders<'a>(verified: &'a Verified, line: &Line) -> Result<Vec<Under<'a>>, Failure> {
    let parse = |item: &'a Item| {
        let parsed = Statement::parse(item.envelope.payload());
        parsed.map(|statement| (item, statement)).map_err(|rejection| Failure::proof(rejection.to_string()))
    };
    let parsed: Vec<(&Item, Statement)> = verified.items.iter().map(parse).collect::<Result<_, _>>()?;
    let endorsements: Vec<(StatementId, StatementId, u64)> = parsed
        .iter()
        .filter_map(|(item, statement)| match &statement.claim {
            Claim::Endorsement(claim) => Some((claim.statement, statement.issuer(), item.index)),
            _ => None,
        })
        .collect();
    let wanted: BTreeSet<u64> = line.entries.iter().copied().collect();
    let unders = parsed.into_iter().filter(|(item, _)| wanted.contains(&item.index)).map(|(item, statement)| {
        let own = endorsements.iter().filter(|(endorsed, ..)| *endorsed == statement.id);
        Under { item, endorsed: own.map(|(_, by, index)| (*by, *index)).collect(), statement }
    });
    Ok(unders.collect())
}

impl Under<'_> {
    /// The payment that it says, if it says one.
    fn payment(&self) -> Option<&ExpenditureClaim> {
        match &self.statement.claim {
            Claim::Expenditure(claim) => Some(claim),
            Claim::Correction(claim) => match &claim.replacement {
                Some(Replacement::Expenditure(claim)) => Some(claim),
                _ => None,
            },
            _ => None,
        }
    }

    fn document(&self) -> Option<(&str, Option<Sha256Digest>)> {
        self.payment().map(|claim| (claim.document.as_str(), claim.file))
    }

    /// What it says of itself, of a rate, a relation or a credit.
    fn said(&self, verified: &Verified) -> Option<String> {
        match (&self.statement.claim, self.payment()) {
            (Claim::FxRate(claim), _) => Some(format!(
                "{} {} = {} {}, of {}; source: {}",
                claim.units, claim.from, claim.rate, claim.to, claim.date, claim.source
            )),
            (Claim::Relation(claim), _) => {
                let (other, _) = verified.evidence.describe(&claim.other);
                let until = claim.until.map_or_else(String::new, |until| format!(" until {until}"));
                let how = serde_json::to_value(claim.relation).ok()?;
                Some(format!("{} {other} from {}{until}", how.as_str()?, claim.from))
            }
            (_, Some(claim)) => claim.credits.map(|credited| format!("credits {}", credited.shown("exp"))),
            _ => None,
        }
    }

    /// What was opened of it: names without a slash, and values.
    fn opened(&self) -> Vec<(String, Value)> {
        let value = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap_or(Value::Null);
        let openings = self.item.openings.iter();
        openings
            .filter_map(|opening| {
                Some((opening.field.as_str().trim_start_matches('/').to_owned(), value(opening.value()?)))
            })
            .collect()
    }

    fn members(&self, verified: &Verified) -> Value {
        let signers = signing_parties(&self.statement);
        let name = |party: &StatementId| json!({ "party": party, "name": party_name(verified, party) });
        let keys: Vec<String> =
            self.item.envelope.signatures().iter().map(|signature| signature.key_id.to_string()).collect();
        let endorsed: Vec<Value> = self
            .endorsed
            .iter()
            .map(|(party, index)| json!({ "party": party, "name": party_name(verified, party), "index": index }))
            .collect();
        let (document, file) = self.document().unzip();
        json!({
            "index": self.item.index,
            "statement_id": self.statement.id,
            "kind": self.statement.claim.name(),
            "signers": signers.iter().map(name).collect::<Vec<_>>(),
            "key_ids": keys,
            "endorsed_by": endorsed,
            "document": document,
            "file": file.flatten(),
            "says": self.said(verified),
            "opened": self.opened().into_iter().collect::<serde_json::Map<_, _>>(),
        })
    }

    fn rows(&self, report: Report, verified: &Verified) -> Report {
        let shown = self.statement.id.shown(self.statement.claim.id_prefix());
        let signers: Vec<String> =
            signing_parties(&self.statement).iter().map(|party| party_name(verified, party)).collect();
        let mut report = report
            .row("entry", format!("{} in a log of {}, proved", self.item.index, verified.head.size))
            .row("  statement", format!("{shown} ({})", self.statement.claim.name()));
        if let Some((document, file)) = self.document() {
            let digest = file.map_or("no digest".to_owned(), |digest| format!("SHA-256 {digest}"));
            report = report.row("  document", format!("{document}, {digest}"));
        }
        if let Some(said) = self.said(verified) {
            report = report.row("  says", said);
        }
        for (name, value) in self.opened() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            report = report.row("  opened", format!("{name} {text}"));
        }
        report = report.row("  signed by", format!("{} (self-declared)", signers.join(", ")));
        for (party, index) in &self.endorsed {
            report = report.row("  confirmed", format!("by {} in entry {index}", party_name(verified, party)));
        }
        report
    }
}

fn party_name(verified: &Verified, party: &StatementId) -> String {
    let known = verified.evidence.parties.get(party);
    known.map_or_else(|| party.shown("pty").to_string(), |record| record.name.display().to_owned())
}

/// The line itself: the rule, where it is written, and the arithmetic.
fn rows(report: Report, line: &Line, language: Language) -> Report {
    let label = |code: &str| say(Group::Label, code, language);
    let kind = say(Group::Kind, line.kind.as_str(), language);
    let mut report = report
        .row(&label("rule"), &line.rule)
        .row(&label("source"), &line.citation)
        .row(&label("status"), say(Group::Status, line.rule_status.as_str(), language));
    if let Some(slice) = line.slice {
        report = report.row(&label("slice"), format!("{}/{}", slice.number, slice.of));
    }
    if let Some(reason) = line.reason {
        report = report.row(reason.as_str(), say(Group::Reason, reason.as_str(), language));
    }
    for (place, step) in line.steps.iter().enumerate() {
        report = report.row(&if place == 0 { label("arithmetic") } else { String::new() }, step);
    }
    if line.needs_review {
        report = report.line(say(Group::Sentence, "needs_review", language));
    }
    report
        .line(say(Group::Sentence, "indicative", language))
        .headline(Tone::Neutral, format!("{}: {kind} {} HKD, {}", line.year, line.amount, line.section))
}
