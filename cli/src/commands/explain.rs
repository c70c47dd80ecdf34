//! A statement in plain words, before somebody puts their signature under it.
//!
//! What can't be explained must not be signed here: kinds and members that this version does not know are refused when
//! the statement is read, and what is left is said here, whole.

mod expenditure;
mod licensing;

use chopmark_core::artefact::{ArtefactClaim, ParentSource, Relation};
use chopmark_core::attestation::AttestationClaim;
use chopmark_core::code::ResidencyZone;
use chopmark_core::kind::Claim;
use chopmark_core::party::{KeyClaim, KeyEvent, KeyRole, PartyClaim, Scheme};
use chopmark_core::policy::PolicyClaim;
use chopmark_core::statement::{Issuer, StatementId};
use chopmark_core::terms::vocabulary::Language;
use chopmark_core::text::Names;
use serde::Serialize;
use serde_json::Value;

use super::bundle::kind_word;
use crate::exit::{Exit, Failure};
use crate::statement_file::StatementFile;
use crate::units;

/// A fact with its label.
pub(super) type Row = (&'static str, String);

/// Everything a statement says: who, what, for which registry, until when; terms in the language asked for.
///
/// # Errors
/// `not_understood` for what nobody should sign from a file.
pub(super) fn rows(file: &StatementFile, language: Language) -> Result<Vec<Row>, Failure> {
    let statement = file.statement();
    let who = match statement.header.issuer {
        Issuer::Own => "the party that this statement creates".to_owned(),
        Issuer::Party(party) => party_words(file, &party),
    };
    let mut rows = vec![("who", who)];
    match &statement.claim {
        Claim::Policy(claim) => policy(claim, &mut rows)?,
        Claim::Party(claim) => party(claim, &mut rows),
        Claim::Key(claim) => key(claim, &mut rows),
        Claim::Artefact(claim) => artefact(file, claim, &mut rows),
        Claim::Attestation(claim) => attestation(file, claim, &mut rows),
        Claim::Endorsement(claim) => {
            rows.push(("says", "we sign this statement too".to_owned()));
            rows.push(("statement", claim.statement.to_string()));
            if let Some(endorsed) = file.named(&claim.statement) {
                let subject = subject_words(&endorsed.claim);
                rows.push(("which says", format!("{subject}; issued by {}", party_words(file, &endorsed.issuer()))));
            }
        }
        Claim::Erased(claim) => {
            rows.push(("says", "sealed values of this statement are destroyed, for good".to_owned()));
            rows.push(("statement", claim.statement.to_string()));
            rows.extend(claim.fields.iter().map(|field| ("field", field.to_string())));
        }
        Claim::Expenditure(_)
        | Claim::Asset(_)
        | Claim::Use(_)
        | Claim::Relation(_)
        | Claim::TaxProfile(_)
        | Claim::FxRate(_)
        | Claim::Correction(_) => expenditure::explain(file, &statement.claim, &mut rows),
        Claim::Terms(claim) => licensing::terms(claim, language, &mut rows),
        Claim::Offer(claim) => licensing::offer(file, claim, language, &mut rows),
        Claim::Grant(claim) => licensing::grant(file, claim, language, &mut rows),
        Claim::LicenceStatus(claim) => licensing::status(claim, &mut rows),
    }
    sealed(file, &mut rows);
    let header = &statement.header;
    if let Some(registry) = &header.registry {
        rows.push(("registry", format!("{}, genesis {}", registry.origin, registry.genesis)));
    }
    rows.push(("made", format!("{}, as its issuer says", header.issued_at)));
    rows.push(("valid until", header.not_after.to_string()));
    for group in &header.signers {
        let of = match group.party {
            Issuer::Own => "the new party".to_owned(),
            Issuer::Party(party) => party_words(file, &party),
        };
        let (signed, listed) = (file.submission.envelope.signatures_of(group), group.keys.len());
        let needed = group.threshold;
        rows.push(("signatures", format!("{signed} there, {needed} needed, of {listed} keys of {of}")));
    }
    Ok(rows)
}

/// The sealed values, opened: their commitments were computed again.
fn sealed(file: &StatementFile, rows: &mut Vec<Row>) {
    if let Some(openings) = file.submission.openings.as_ref().filter(|openings| openings.fields.is_empty()) {
        let zone = zone_words(openings.zone);
        rows.push(("sealed", format!("values that a vault in {zone} keeps, and that this file can't show")));
    }
    for (of, openings) in file.openings() {
        let of = match of {
            None => String::new(),
            Some(statement) if matches!(statement.claim, Claim::Terms(_)) => " of the terms".to_owned(),
            Some(statement) => format!(" of the statement {}", statement.id),
        };
        for opening in openings {
            let value = opening.value().map(String::from_utf8_lossy);
            let value = value.map_or("has no value".to_owned(), |value| format!("is {value}"));
            rows.push(("sealed", format!("{}{of} {value}; only a commitment to it is public", opening.field)));
        }
    }
}

/// One line about what a claim does.
fn subject_words(claim: &Claim) -> String {
    match claim {
        Claim::Policy(PolicyClaim::Descriptor(descriptor)) => format!("the registry {} is founded", descriptor.origin),
        Claim::Policy(PolicyClaim::TrustAnchors(_)) => "witnesses are named".to_owned(),
        Claim::Party(claim) => format!("the party {} exists", claim.name.display()),
        Claim::Key(_) => "a party's keys change".to_owned(),
        Claim::Artefact(claim) => artefact_words(claim),
        Claim::Attestation(_) => "an attestation".to_owned(),
        Claim::Endorsement(claim) => format!("an endorsement of {}", claim.statement),
        Claim::Erased(claim) => format!("sealed values of {} are destroyed", claim.statement),
        Claim::Expenditure(_)
        | Claim::Asset(_)
        | Claim::Use(_)
        | Claim::Relation(_)
        | Claim::TaxProfile(_)
        | Claim::FxRate(_)
        | Claim::Correction(_) => expenditure::words(claim),
        Claim::Terms(_) => "terms are published".to_owned(),
        Claim::Offer(_) => "licences are offered".to_owned(),
        Claim::Grant(claim) => licensing::licence_words(claim),
        Claim::LicenceStatus(claim) => format!("the licence {} is {}", claim.licence.shown("lic"), word(claim.status)),
    }
}

fn artefact_words(claim: &ArtefactClaim) -> String {
    format!("{} {} ({}) is registered", claim.name.display(), claim.version, kind_word(claim.kind))
}

/// A party by name, where that is known from the statement that created it, and by id.
fn party_words(file: &StatementFile, party: &StatementId) -> String {
    match file.names_of(party) {
        Some(names) => format!("{} (self-declared), {}", all_names(names), party.shown("pty")),
        None => format!("the party {party}"),
    }
}

fn all_names(names: &Names) -> String {
    names.iter().map(|(_, name)| name).collect::<Vec<_>>().join(" / ")
}

/// The word that the statement itself uses.
fn word<T: Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

fn policy(claim: &PolicyClaim, rows: &mut Vec<Row>) -> Result<(), Failure> {
    let PolicyClaim::TrustAnchors(anchors) = claim else {
        let message = "the statement founds a registry, which nobody signs from a file; use `chopmark ledger init`";
        return Err(Failure::new(Exit::Usage, "not_understood", message));
    };
    rows.push(("says", format!("readers may rely on these witnesses, {} of them together", anchors.quorum)));
    rows.extend(anchors.witnesses.iter().map(|witness| ("witness", witness.clone())));
    Ok(())
}

fn party(claim: &PartyClaim, rows: &mut Vec<Row>) {
    rows.push(("says", "this organisation exists, and these keys speak for it".to_owned()));
    rows.extend(claim.name.iter().map(|(language, name)| ("name", format!("{name} ({language})"))));
    rows.extend(claim.identifiers.iter().map(|identifier| (scheme_words(identifier.scheme), identifier.value.clone())));
    rows.push(("place", claim.jurisdiction.as_str().to_owned()));
    rows.extend(claim.root_keys.keys.iter().map(|key| ("root key", format!("{key}, id {}", key.id()))));
    rows.push(("threshold", format!("{} of these keys sign everything it says", claim.root_keys.threshold)));
}

const fn scheme_words(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::HkBrn => "HK BRN",
        Scheme::CnUscc => "CN USCC",
        Scheme::Lei => "LEI",
    }
}

const fn role_words(role: KeyRole) -> &'static str {
    match role {
        KeyRole::Root => "root: everything, together with others",
        KeyRole::Signing => "signing: everything but key events, alone",
    }
}

fn key(claim: &KeyClaim, rows: &mut Vec<Row>) {
    let says = match &claim.event {
        KeyEvent::Add { .. } => "a new key may sign for this party",
        KeyEvent::Rotate { .. } => "a new key takes the place of another, which may no longer sign",
        KeyEvent::Revoke { .. } => "a key may no longer sign for this party; what it signed before stays valid",
    };
    rows.push(("says", says.to_owned()));
    match &claim.event {
        KeyEvent::Add { public_key, role } => {
            rows.push(("key comes", format!("{public_key}, id {}", public_key.id())));
            rows.push(("role", role_words(*role).to_owned()));
        }
        KeyEvent::Rotate { replaced, public_key, role } => {
            rows.push(("key goes", replaced.to_string()));
            rows.push(("key comes", format!("{public_key}, id {}", public_key.id())));
            rows.push(("role", role_words(*role).to_owned()));
        }
        KeyEvent::Revoke { key, reason } => {
            rows.push(("key goes", key.to_string()));
            rows.push(("reason", word(reason)));
        }
    }
    rows.push(("event", format!("number {} after {}", claim.seq, claim.prev)));
}

const fn relation_words(relation: Relation) -> &'static str {
    match relation {
        Relation::Finetune => "trained further from",
        Relation::Adapter => "an adapter for",
        Relation::Merge => "merged from",
        Relation::Quantized => "quantized from",
        Relation::Derived => "derived from",
    }
}

const fn zone_words(zone: ResidencyZone) -> &'static str {
    match zone {
        ResidencyZone::HongKong => "Hong Kong",
        ResidencyZone::GreaterBayArea => "the Greater Bay Area (Mainland)",
        ResidencyZone::Mainland => "Mainland China",
        ResidencyZone::World => "anywhere",
    }
}

fn artefact(file: &StatementFile, claim: &ArtefactClaim, rows: &mut Vec<Row>) {
    rows.push(("says", format!("this {} is registered as ours", kind_word(claim.kind))));
    rows.extend(claim.name.iter().map(|(language, name)| ("name", format!("{name} ({language})"))));
    rows.push(("version", claim.version.clone()));
    rows.push(("licence", claim.licence.expression.clone()));
    if claim.accepts_conflict {
        rows.push(("although", "that conflicts with the licences of what it was made from".to_owned()));
    }
    rows.push(("IP type", word(claim.ip_type)));
    rows.push(("authors in", claim.author_jurisdiction.as_str().to_owned()));
    rows.push(("may be kept", zone_words(claim.residency_zone).to_owned()));
    for parent in &claim.parents {
        let source = match &parent.source {
            ParentSource::Artefact(id) => id.to_string(),
            ParentSource::Digest(digest) => format!("sha256:{digest}"),
            ParentSource::Foreign(foreign) => format!("{} of {}", foreign.artefact, foreign.origin),
        };
        rows.push(("parent", format!("{} {source}", relation_words(parent.relation))));
    }
    rows.extend(claim.supersedes.map(|id| ("instead of", id.to_string())));
    let (files, size) = (claim.manifest.files, units::bytes(claim.manifest.content_size_bytes));
    rows.push(("files", format!("{}, {size}", units::count(files, "file"))));
    let manifest = claim.manifest.sha256;
    let hashed = file.submission.documents.contains_key(&manifest);
    let checked = if hashed { ", hashed again here" } else { "" };
    rows.push(("manifest", format!("{manifest}{checked}")));
}

fn attestation(file: &StatementFile, claim: &AttestationClaim, rows: &mut Vec<Row>) {
    match claim {
        AttestationClaim::PartyVerified { party, identifiers } => {
            rows.push(("says", "as the operator, we verified who this party is; its name is protected".to_owned()));
            rows.push(("party", party_words(file, party)));
            let looked_up: Vec<_> = identifiers.iter().map(|scheme| scheme_words(*scheme)).collect();
            let looked_up = if looked_up.is_empty() { "nothing".to_owned() } else { looked_up.join(", ") };
            rows.push(("looked up", looked_up));
        }
        AttestationClaim::PartyUnverified { party } => {
            rows.push(("says", "as the operator, we take back that we verified this party".to_owned()));
            rows.push(("party", party_words(file, party)));
        }
        AttestationClaim::BytesMatch { artefact, manifest, zone, tool } => {
            rows.push(("says", "we hashed these bytes, and they match what was registered".to_owned()));
            rows.push(("artefact", artefact.to_string()));
            if let Some(statement) = file.named(artefact) {
                rows.push((
                    "",
                    format!("{}, by {}", subject_words(&statement.claim), party_words(file, &statement.issuer())),
                ));
            }
            rows.push(("manifest", manifest.to_string()));
            rows.push(("bytes lie in", zone_words(*zone).to_owned()));
            rows.push(("hashed with", tool.clone()));
        }
    }
}
