//! From evidence to facts: one pure function, so that what the engine reads is nothing but what the log and its openings say.
//!
//! The result is a document of the engine's own format (`docs/formats/tax-facts.md`); `chopmark tax compute` gives the same
//! lines from it. Every event carries the ledger index it comes from, in its name and in `index`. What can't be taken in – a
//! figure that nobody opened, foreign money without a rate, a sale of what was never bought – is set aside, by index and with
//! a code, and nothing is put in its place.

mod event;
mod money;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::asset::AssetClaim;
use super::evidence::{Evidence, Version, Versions};
use super::payment::{ExpenditureClaim, Nature};
use super::profile::TaxProfileClaim;
use super::side::Side;
use super::used::{SealedUse, UseClaim};
use crate::money::Fraction;
use crate::statement::StatementId;
use crate::strict::{self, StrictError};
use crate::tax::facts::{AttestedBy, Facts, SCHEMA};
use crate::tax::year::Year;

pub use money::{Credit, Figures, RateOf, UsedRate};

/// Most entries set aside one after the other because they contradict others: each makes the facts be read once more.
const CONFLICTS_MAX: usize = 100;

/// Longest name the engine takes in, in bytes; it is for people there.
const NAME_BYTES_MAX: usize = 200;

/// Why an entry is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SetAsideCode {
    /// A figure that is needed was not opened.
    NotOpened,
    /// An opened figure is not what it has to be.
    BadFigure,
    /// There is no rate for its currency on or before its day.
    RateMissing,
    /// A credit of more than is left of what it credits, in another currency, or of a credit.
    CreditMismatch,
    /// What it credits, or the asset it is about, was reversed or is not here.
    Gone,
    /// It contradicts other entries.
    Conflict,
}

/// An entry that is not taken in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SetAside {
    /// Its place in the log.
    pub index: u64,
    /// Why, as a stable code.
    pub code: SetAsideCode,
    /// The same in words, naming what is missing.
    pub reason: String,
}

/// What an event of the facts is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Place of the version in the log.
    pub index: u64,
    /// The payment, where it is one's.
    pub payment: Option<StatementId>,
    /// The asset it is about, where that is one.
    pub asset: Option<StatementId>,
}

/// Facts and where each of them comes from.
#[derive(Debug)]
pub struct Mapped {
    /// The document, in the engine's format.
    pub document: Value,
    /// The same, read.
    pub facts: Facts,
    /// By the name of the event.
    pub origins: BTreeMap<String, Origin>,
    /// By the engine's name of a right: the asset, or none where a payment says nothing but its type.
    pub assets: BTreeMap<String, Option<StatementId>>,
    /// What was opened of each payment.
    pub figures: BTreeMap<StatementId, Figures>,
    /// Entries that are not taken in, ascending.
    pub set_aside: Vec<SetAside>,
}

/// On its way to facts.
struct Draft<'a> {
    evidence: &'a Evidence,
    events: Vec<Value>,
    origins: BTreeMap<String, Origin>,
    rights: BTreeMap<String, (Value, Option<StatementId>)>,
    figures: BTreeMap<StatementId, Figures>,
    set_aside: Vec<SetAside>,
}

/// A standing payment with what was opened of it.
struct Paid<'a> {
    id: StatementId,
    version: &'a Version<ExpenditureClaim>,
    claim: &'a ExpenditureClaim,
    /// Whether the taxpayer is the payer.
    is_payer: bool,
}

/// Puts facts together for a taxpayer's whole history, which is the same whatever year is asked about.
///
/// # Errors
/// A [`StrictError`] where entries contradict each other in more ways than can be set aside, or where the facts are larger
/// than the engine reads.
pub fn facts(evidence: &Evidence, proposed_rules: &[String]) -> Result<Mapped, StrictError> {
    let mut draft = Draft {
        evidence,
        events: Vec::new(),
        origins: BTreeMap::new(),
        rights: BTreeMap::new(),
        figures: BTreeMap::new(),
        set_aside: Vec::new(),
    };
    draft.open();
    draft.credit();
    draft.payments();
    for asset in evidence.assets.values() {
        draft.asset_events(asset);
    }
    for used in evidence.uses.values() {
        draft.used(used);
    }
    draft.finish(&taxpayer(evidence), proposed_rules)
}

/// The engine's taxpayer, with every profile for the years for which it counts. What the first one says counts before, too:
/// nobody has said otherwise.
fn taxpayer(evidence: &Evidence) -> Value {
    let (name, _) = evidence.describe(&Side::Party(evidence.taxpayer));
    let mut members = Map::new();
    members.insert("name".to_owned(), json!(shortened(&name)));
    if let Some(brn) = brn(evidence, None) {
        members.insert("brn".to_owned(), json!(brn));
    }
    let profiles = evidence.profiles_by_year(evidence.taxpayer);
    let Some((first, later)) = profiles.split_first() else { return Value::Object(members) };
    let latest = later.last().unwrap_or(first);
    members.insert("entity".to_owned(), json!(latest.entity));
    members.insert("two_tier".to_owned(), json!(latest.two_tier));
    members.extend(assessed(first));
    if !later.is_empty() {
        let change = |profile: &&TaxProfileClaim| {
            let mut change = assessed(profile);
            change.insert("from".to_owned(), json!(profile.from));
            change
        };
        members.insert("changes".to_owned(), json!(later.iter().map(change).collect::<Vec<_>>()));
    }
    for (member, day) in [
        ("commenced", profiles.iter().rev().find_map(|profile| profile.commenced)),
        ("ceased", profiles.iter().rev().find_map(|profile| profile.ceased)),
    ] {
        members.extend(day.map(|day| (member.to_owned(), json!(day))));
    }
    Value::Object(members)
}

/// What the engine reads of a profile by year.
fn assessed(profile: &TaxProfileClaim) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("year_end".to_owned(), json!(profile.year_end));
    members.insert("trade".to_owned(), json!(profile.trade));
    members.extend(profile.hk_proportion.map(|part| ("hk_proportion".to_owned(), json!(part))));
    members
}

/// The taxpayer's business registration number: that of its profile, or else the one its party states.
pub fn brn(evidence: &Evidence, year: Option<Year>) -> Option<String> {
    let profiled = evidence.profile(evidence.taxpayer, year).and_then(|profile| profile.brn.clone());
    profiled.or_else(|| {
        let party = evidence.parties.get(&evidence.taxpayer)?;
        let stated = party.identifiers.iter().find(|stated| stated.scheme == crate::party::Scheme::HkBrn);
        stated.map(|stated| stated.value.clone())
    })
}

/// As much of a name as the engine takes in.
fn shortened(name: &str) -> &str {
    let end = (0..=NAME_BYTES_MAX.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
    end.and_then(|end| name.get(..end)).unwrap_or_default()
}

impl<'a> Draft<'a> {
    fn set_aside(&mut self, index: u64, code: SetAsideCode, reason: impl Into<String>) {
        self.set_aside.push(SetAside { index, code, reason: reason.into() });
    }

    /// Payments that stand, in the order of the log.
    fn standing(&self) -> Vec<Paid<'a>> {
        let evidence = self.evidence;
        let mut paid: Vec<Paid<'a>> = evidence
            .payments
            .values()
            .filter_map(|payment| {
                let (version, claim) = payment.standing()?;
                let is_payer = claim.payer.is(evidence.taxpayer);
                Some(Paid { id: payment.id, version, claim, is_payer })
            })
            .collect();
        paid.sort_by_key(|paid| paid.version.index);
        paid
    }

    /// Takes in the opened figures of every payment.
    fn open(&mut self) {
        for paid in self.standing() {
            match Figures::read(self.evidence, paid.version, paid.claim) {
                Ok(figures) => {
                    self.figures.insert(paid.id, figures);
                }
                Err((code, reason)) => self.set_aside(paid.version.index, code, reason),
            }
        }
    }

    /// Takes credit notes and refunds off what they credit.
    fn credit(&mut self) {
        for paid in self.standing().into_iter().filter(|paid| paid.claim.nature.is_credit()) {
            let Some(credit) = self.figures.get(&paid.id).cloned() else { continue };
            let is_of_credit = |id: &StatementId| {
                let credited = self.evidence.payments.get(id).and_then(Versions::standing);
                credited.is_some_and(|(_, claim)| claim.nature.is_credit())
            };
            if paid.claim.credits.as_ref().is_some_and(is_of_credit) {
                let reason = "what it credits is a credit itself, which is corrected and not credited";
                self.set_aside(paid.version.index, SetAsideCode::CreditMismatch, reason);
                continue;
            }
            let credited = paid.claim.credits.and_then(|id| self.figures.get_mut(&id));
            let Some(credited) = credited else {
                self.set_aside(paid.version.index, SetAsideCode::Gone, "the payment that it credits does not stand");
                continue;
            };
            let attested_by = Evidence::attested_by(paid.version, paid.claim);
            if !credited.take_off(&credit, Credit { index: paid.version.index, attested_by }) {
                let reason = "a credit is in the currency of what it credits, and no more than is left of it";
                self.set_aside(paid.version.index, SetAsideCode::CreditMismatch, reason);
            }
        }
    }

    /// One event at most for each payment.
    fn payments(&mut self) {
        for paid in self.standing() {
            if !self.figures.contains_key(&paid.id) {
                continue;
            }
            let own = match (paid.claim.nature, paid.is_payer) {
                (Nature::CreditNote | Nature::Refund, _) => continue,
                (Nature::Disposal, false) => self.transfer(&paid, "disposal", paid.claim.asset),
                (Nature::Purchase, true) => self.transfer(&paid, "purchase", paid.claim.asset),
                // What the other side says of its own dealing, once both attest it.
                (Nature::Purchase, false) => self.sold(&paid),
                (Nature::Disposal, true) => self.bought(&paid),
                (_, true) => self.spent(&paid),
                // Income: no deduction, and nothing is withheld by who is paid.
                (_, false) => continue,
            };
            if let Err((code, reason)) = own {
                self.set_aside(paid.version.index, code, reason);
            }
        }
    }

    /// What became of an asset of the taxpayer's.
    fn asset_events(&mut self, asset: &'a Versions<AssetClaim>) {
        let Some((version, claim)) = asset.standing().filter(|(version, _)| version.issuer == self.evidence.taxpayer)
        else {
            return;
        };
        let mut events = Vec::new();
        if let Some(lapse) = &claim.lapse {
            events.push(("lapse", json!({ "nature": "lapse", "date": lapse.on, "cause": lapse.cause })));
        }
        if let Some(left) = &claim.title_left {
            events.push(("left", json!({ "nature": "title_left", "date": left.on })));
        }
        if let Some(succession) = &claim.succession {
            let (name, _) = self.evidence.describe(&succession.predecessor);
            let mut predecessor = json!({ "name": shortened(&name) });
            if let (Some(year_end), Some(members)) = (succession.year_end, predecessor.as_object_mut()) {
                members.insert("year_end".to_owned(), json!(year_end));
            }
            let event = json!({ "nature": "succession", "date": succession.on, "predecessor": predecessor });
            events.push(("succession", event));
        }
        for (suffix, mut event) in events {
            let Ok(right) = self.right(asset.id) else { continue };
            if let Some(members) = event.as_object_mut() {
                members.insert("asset".to_owned(), json!(right));
            }
            let origin = Origin { index: version.index, payment: None, asset: Some(asset.id) };
            self.push(&format!("{}/{suffix}", name(version.index)), origin, event);
        }
    }

    /// Use of an asset in a year.
    fn used(&mut self, used: &'a Versions<UseClaim>) {
        let Some((version, claim)) = used.standing() else { return };
        let fraction = match super::opened(&version.openings, SealedUse::FIELD, Fraction::parse) {
            Ok(Some(fraction)) => fraction,
            Ok(None) => {
                let reason = "the fraction of the use was not opened";
                return self.set_aside(version.index, SetAsideCode::NotOpened, reason);
            }
            Err(error) => return self.set_aside(version.index, SetAsideCode::BadFigure, error.to_string()),
        };
        let right = match self.right(claim.asset) {
            Ok(right) => right,
            Err((code, reason)) => return self.set_aside(version.index, code, reason),
        };
        let mut event = json!({
            "nature": "use", "asset": right, "year": claim.year, "fraction": fraction, "by": claim.by,
        });
        if let (Some(taxed), Some(members)) = (claim.taxed_in_hk, event.as_object_mut()) {
            members.insert("taxed_in_hk".to_owned(), json!(taxed));
        }
        let origin = Origin { index: version.index, payment: None, asset: Some(claim.asset) };
        self.push(&name(version.index), origin, event);
    }

    /// Adds an event, with its name and index.
    fn push(&mut self, name: &str, origin: Origin, mut event: Value) {
        if let Some(members) = event.as_object_mut() {
            members.insert("id".to_owned(), json!(name));
            members.insert("index".to_owned(), json!(origin.index));
        }
        self.origins.insert(name.to_owned(), origin);
        self.events.push(event);
    }

    /// The engine's name of an asset, which is made known to it.
    fn right(&mut self, id: StatementId) -> Result<String, (SetAsideCode, String)> {
        let name = id.to_hex();
        if self.rights.contains_key(&name) {
            return Ok(name);
        }
        let Some((_, claim)) = self.evidence.assets.get(&id).and_then(Versions::standing) else {
            return Err((SetAsideCode::Gone, format!("the asset {id} was reversed, or is not here")));
        };
        let mut right = json!({
            "id": name, "ip_type": claim.ip_type, "jurisdiction": claim.jurisdiction.as_str(), "registered": claim.registered,
        });
        if let Some(members) = right.as_object_mut() {
            for (member, value) in [
                ("registration_number", claim.registration_number.as_deref().map(|number| json!(registered(number)))),
                ("protection_ends", claim.protection_ends.map(|day| json!(day))),
                ("software", claim.software.map(|is_software| json!(is_software))),
            ] {
                members.extend(value.map(|value| (member.to_owned(), value)));
            }
        }
        self.rights.insert(name.clone(), (right, Some(id)));
        Ok(name)
    }

    /// Reads the facts; what contradicts the rest is set aside, one by one.
    fn finish(mut self, taxpayer: &Value, proposed_rules: &[String]) -> Result<Mapped, StrictError> {
        self.events
            .sort_by_key(|event| (event.get("index").and_then(Value::as_u64), event.get("id").map(Value::to_string)));
        for _ in 0..=CONFLICTS_MAX {
            let document = json!({
                "schema": SCHEMA,
                "taxpayer": taxpayer,
                "assets": self.rights.values().map(|(right, _)| right).collect::<Vec<_>>(),
                "events": self.events,
                "proposed_rules": proposed_rules,
            });
            match read(&document) {
                Ok(facts) => {
                    self.set_aside.sort();
                    self.set_aside.dedup();
                    let assets = self.rights.into_iter().map(|(name, (_, id))| (name, id)).collect();
                    let (origins, figures, set_aside) = (self.origins, self.figures, self.set_aside);
                    return Ok(Mapped { document, facts, origins, assets, figures, set_aside });
                }
                Err(error) => self.remove(&error)?,
            }
        }
        let reason = format!("more than {CONFLICTS_MAX} entries contradict others; correct them first");
        Err(StrictError::new("/events", reason))
    }

    /// Sets aside the event that an error of the engine points at.
    fn remove(&mut self, error: &StrictError) -> Result<(), StrictError> {
        let Some(place) = event_at(&error.pointer).filter(|place| *place < self.events.len()) else {
            return Err(error.clone());
        };
        let event = self.events.remove(place);
        let index = event.get("index").and_then(Value::as_u64).unwrap_or_default();
        self.set_aside(index, SetAsideCode::Conflict, error.reason.clone());
        Ok(())
    }
}

/// The facts of a document without what the engine could not compute: the event at `pointer` is set aside.
///
/// # Errors
/// `error` itself where it points at no event.
pub(super) fn without(mapped: Mapped, error: &StrictError) -> Result<Mapped, StrictError> {
    let Mapped { mut document, origins, assets, figures, mut set_aside, .. } = mapped;
    let events = document.get_mut("events").and_then(Value::as_array_mut);
    let Some((place, events)) = event_at(&error.pointer).zip(events).filter(|(place, events)| *place < events.len())
    else {
        return Err(error.clone());
    };
    let event = events.remove(place);
    let index = event.get("index").and_then(Value::as_u64).unwrap_or_default();
    set_aside.push(SetAside { index, code: SetAsideCode::Conflict, reason: error.reason.clone() });
    set_aside.sort();
    let facts = read(&document)?;
    Ok(Mapped { document, facts, origins, assets, figures, set_aside })
}

fn read(document: &Value) -> Result<Facts, StrictError> {
    Facts::from_slice(&strict::value_to_canonical(document)?)
}

/// The name of an event: its index with ten digits, so that names of one day are in the order of the log.
fn name(index: u64) -> String {
    format!("{index:010}")
}

/// Which event a pointer leads to.
fn event_at(pointer: &str) -> Option<usize> {
    pointer.strip_prefix("/events/")?.split('/').next()?.parse().ok()
}

/// A registration number as the engine takes it in: itself, or its digest where it is too long.
fn registered(number: &str) -> String {
    if number.len() <= NAME_BYTES_MAX {
        return number.to_owned();
    }
    format!("sha256:{}", crate::digest::Sha256Digest::of(number.as_bytes()))
}

/// Whether both sides attest a payment.
fn is_confirmed(paid: &Paid<'_>) -> bool {
    Evidence::attested_by(paid.version, paid.claim) == AttestedBy::Both
}
