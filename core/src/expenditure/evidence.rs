//! Evidence: the entries of the log that one taxpayer's report rests on, read and put together; nothing is treated yet.
//!
//! Whoever gathers it takes these entries below a size, ascending, none twice:
//!
//! 1. entry 0, which founds the registry;
//! 2. every creation and key event of a party that signs anything below or is named in it;
//! 3. every `expenditure` in which the taxpayer is payer or payee;
//! 4. every `asset` of the taxpayer, and every one that those payments name;
//! 5. every `use` of the taxpayer's assets;
//! 6. every `relation` in which the taxpayer is either side;
//! 7. every `tax_profile` of the taxpayer and of its payees;
//! 8. every `fx_rate` of the operator and of the taxpayer between HKD and a currency that a payment of 3 is in;
//! 9. every `correction` of 3, 4 and 5, and every `endorsement` of 3 or of a correction of one, by the other side.
//!
//! Where that is more than three quarters of [`ENTRIES_MAX`], rates apart, 3 to 6 are only what the taxpayer signs, or endorses
//! in any version, and how many others there are is said: whoever names somebody as often as they like keeps nobody from having
//! a report. That nothing else was left out is the registry's word; everything that is there is proved.

use std::collections::{BTreeMap, BTreeSet};

use super::asset::AssetClaim;
use super::correction::{CorrectionClaim, CorrectionReason, Replacement};
use super::payment::ExpenditureClaim;
use super::profile::TaxProfileClaim;
use super::rate::FxRateClaim;
use super::relation::{RelationClaim, RelationKind};
use super::side::Side;
use super::used::UseClaim;
use crate::admission::{Change, Entry, PartyRecord, Rejection};
use crate::bundle::signing_parties;
use crate::digest::Sha256Digest;
use crate::kind::Claim;
use crate::policy::PolicyClaim;
use crate::sealed::Opening;
use crate::statement::{Envelope, Statement, StatementId};
use crate::strict::{self, StrictError};
use crate::tax::facts::AttestedBy;
use crate::tax::year::{Date, Year};

/// Most entries one report rests on. With their proofs they fill some 150 MiB, and their facts the engine's limit.
pub const ENTRIES_MAX: usize = 20_000;

/// An entry of the log, with what opens its sealed fields.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its place in the log.
    pub index: u64,
    /// The envelope, in stored form.
    pub envelope: Envelope,
    /// Openings that are at hand, in the order of the fields; none where another zone's vault keeps them or they were erased.
    pub openings: Vec<Opening>,
}

impl Item {
    /// An entry with openings in any order, which are put in the order of the fields.
    ///
    /// # Errors
    /// A [`Rejection`] when the entry is no statement.
    pub fn new(index: u64, envelope: Envelope, mut openings: Vec<Opening>) -> Result<Self, Rejection> {
        let sealed = Statement::parse(envelope.payload())?.claim.kind().sealed_fields();
        openings.sort_by_key(|opening| sealed.iter().position(|there| there.field == opening.field));
        Ok(Self { index, envelope, openings })
    }
}

/// One version of an asset, a payment or a use.
#[derive(Debug, Clone)]
pub struct Version<T> {
    /// Its place in the log.
    pub index: u64,
    /// The statement.
    pub id: StatementId,
    /// Who said it.
    pub issuer: StatementId,
    /// Every party that signed it or endorsed it.
    pub attesting: BTreeSet<StatementId>,
    /// Why the version before was corrected; nothing for the first.
    pub reason: Option<CorrectionReason>,
    /// What is said; nothing where it is reversed.
    pub claim: Option<T>,
    /// Openings of its sealed fields.
    pub openings: Vec<Opening>,
}

/// An asset, a payment or a use with all its versions, the first one first.
#[derive(Debug, Clone)]
pub struct Versions<T> {
    /// The statement that entered it: its id for ever.
    pub id: StatementId,
    /// Its versions; there is one at least.
    pub all: Vec<Version<T>>,
}

impl<T> Versions<T> {
    /// The latest version.
    pub fn latest(&self) -> Option<&Version<T>> {
        self.all.last()
    }

    /// The latest version and what it says; nothing where it is reversed.
    pub fn standing(&self) -> Option<(&Version<T>, &T)> {
        self.latest().and_then(|version| Some((version, version.claim.as_ref()?)))
    }

    /// The latest version that says anything: what was reversed, where it is.
    pub fn said(&self) -> Option<(&Version<T>, &T)> {
        self.all.iter().rev().find_map(|version| Some((version, version.claim.as_ref()?)))
    }

    /// Where it stands: as it was entered, corrected, or reversed.
    pub fn status(&self) -> Status {
        match (self.all.len(), self.standing().is_some()) {
            (_, false) => Status::Reversed,
            (1, true) => Status::Active,
            (_, true) => Status::Corrected,
        }
    }
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It stands as it was entered.
    Active,
    /// Another version stands in its place.
    Corrected,
    /// It was reversed, and nothing stands in its place.
    Reversed,
}

/// Something said that is never corrected, only said anew.
#[derive(Debug, Clone)]
pub struct Said<T> {
    /// Its place in the log.
    pub index: u64,
    /// Who said it.
    pub issuer: StatementId,
    /// What is said.
    pub claim: T,
}

/// Everything a report on one taxpayer rests on.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// Whose report it is.
    pub taxpayer: StatementId,
    /// Entries of the log it was gathered from.
    pub size: u64,
    /// The operator's party.
    pub operator: StatementId,
    /// Parties, by id.
    pub parties: BTreeMap<StatementId, PartyRecord>,
    /// Assets, by id.
    pub assets: BTreeMap<StatementId, Versions<AssetClaim>>,
    /// Payments, by id.
    pub payments: BTreeMap<StatementId, Versions<ExpenditureClaim>>,
    /// Uses, by id.
    pub uses: BTreeMap<StatementId, Versions<UseClaim>>,
    /// Relations, in the order of the log.
    pub relations: Vec<Said<RelationClaim>>,
    /// Tax profiles, in the order of the log.
    pub profiles: Vec<Said<TaxProfileClaim>>,
    /// Rates of exchange, in the order of the log.
    pub rates: Vec<Said<FxRateClaim>>,
    /// How many entries that others alone say of the taxpayer are not here, as whoever gathered it says.
    pub left_out: u64,
    /// SHA-256 over the canonical JSON of all openings with their indices: the list `[[index, [opening, …]], …]`.
    pub openings_digest: Sha256Digest,
    /// Of which payment a statement is a version.
    payment_of: BTreeMap<StatementId, StatementId>,
}

/// Why entries are no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// More than [`ENTRIES_MAX`] entries.
    #[error("the report would rest on {found} entries, at most {ENTRIES_MAX} are possible; ask for fewer payments")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// Entries are not ascending below the size, or do not begin with entry 0.
    #[error("evidence/{position}: entries begin with entry 0, ascend, and lie below the size {size}")]
    Order {
        /// Position in the list.
        position: usize,
        /// The size.
        size: u64,
    },
    /// An entry is no statement.
    #[error("evidence/{position}: {rejection}")]
    Statement {
        /// Position in the list.
        position: usize,
        /// Why not.
        rejection: Box<Rejection>,
    },
    /// An entry is of a kind that no report rests on, or about something that is not there.
    #[error("evidence/{position}: {reason}")]
    Stray {
        /// Position in the list.
        position: usize,
        /// What is wrong.
        reason: String,
    },
    /// The taxpayer's party is not among the entries.
    #[error("evidence: the party {0} is not among the entries")]
    NoTaxpayer(StatementId),
    /// The openings can't be written.
    #[error("evidence: {0}")]
    Openings(StrictError),
}

impl Evidence {
    /// Reads entries. Who signed them and whether a log holds them is not asked here; an offline verifier asks it
    /// (`report::verify`), a service has them from its own log.
    ///
    /// # Errors
    /// An [`EvidenceError`] naming the entry's position.
    pub fn gather(taxpayer: StatementId, size: u64, items: &[Item]) -> Result<Self, EvidenceError> {
        if items.len() > ENTRIES_MAX {
            return Err(EvidenceError::TooMany { found: items.len() });
        }
        let mut evidence = Self {
            taxpayer,
            size,
            operator: taxpayer,
            parties: BTreeMap::new(),
            assets: BTreeMap::new(),
            payments: BTreeMap::new(),
            uses: BTreeMap::new(),
            relations: Vec::new(),
            profiles: Vec::new(),
            rates: Vec::new(),
            left_out: 0,
            openings_digest: openings_digest(items).map_err(EvidenceError::Openings)?,
            payment_of: BTreeMap::new(),
        };
        let mut before = None;
        for (position, item) in items.iter().enumerate() {
            let in_order = before.map_or(item.index == 0, |before| before < item.index) && item.index < size;
            if !in_order {
                return Err(EvidenceError::Order { position, size });
            }
            before = Some(item.index);
            let statement = Statement::parse(item.envelope.payload())
                .map_err(|rejection| EvidenceError::Statement { position, rejection: Box::new(rejection) })?;
            evidence.take(item, statement).map_err(|reason| EvidenceError::Stray { position, reason })?;
        }
        if evidence.parties.contains_key(&taxpayer) { Ok(evidence) } else { Err(EvidenceError::NoTaxpayer(taxpayer)) }
    }

    fn take(&mut self, item: &Item, statement: Statement) -> Result<(), String> {
        let (index, issuer) = (item.index, statement.issuer());
        for change in (Entry { index, statement: &statement }).apply() {
            if let Change::Party(party) = change {
                self.parties.insert(party.id, party);
            }
        }
        if payment(&statement.claim).is_some_and(|claim| !signs_for_a_side(claim, &statement)) {
            return Err("neither payer nor payee signs this payment".to_owned());
        }
        let first = Newcomer { item, id: statement.id, issuer, attesting: signing_parties(&statement), reason: None };
        match statement.claim {
            Claim::Policy(PolicyClaim::Descriptor(_)) if index == 0 => self.operator = issuer,
            Claim::Party(_) | Claim::Key(_) if index > 0 => {}
            Claim::Asset(claim) => first.begin(&mut self.assets, claim),
            Claim::Expenditure(claim) => {
                self.payment_of.insert(first.id, first.id);
                first.begin(&mut self.payments, claim);
            }
            Claim::Use(claim) => first.begin(&mut self.uses, claim),
            Claim::Relation(claim) => self.relations.push(Said { index, issuer, claim }),
            Claim::TaxProfile(claim) => self.profiles.push(Said { index, issuer, claim }),
            Claim::FxRate(claim) => self.rates.push(Said { index, issuer, claim }),
            Claim::Correction(claim) => {
                if self.payments.contains_key(&claim.entry) {
                    self.payment_of.insert(first.id, claim.entry);
                }
                let next = Newcomer { reason: Some(claim.reason), ..first };
                let place = (&claim.entry, &claim.prev);
                match claim.replacement {
                    Some(Replacement::Asset(new)) => next.follow(&mut self.assets, place, Some(*new))?,
                    Some(Replacement::Expenditure(new)) => next.follow(&mut self.payments, place, Some(*new))?,
                    Some(Replacement::Use(new)) => next.follow(&mut self.uses, place, Some(new))?,
                    None if self.assets.contains_key(&claim.entry) => next.follow(&mut self.assets, place, None)?,
                    None if self.payments.contains_key(&claim.entry) => next.follow(&mut self.payments, place, None)?,
                    None => next.follow(&mut self.uses, place, None)?,
                }
            }
            Claim::Endorsement(claim) => {
                let payment = self.payment_of.get(&claim.statement).and_then(|id| self.payments.get_mut(id));
                let versions = payment.map(|payment| payment.all.iter_mut()).into_iter().flatten();
                let endorsed = versions.rev().find(|version| version.id == claim.statement);
                let endorsed = endorsed.ok_or("an endorsement of something that is no payment here")?;
                endorsed.attesting.insert(issuer);
            }
            other => return Err(format!("no report rests on a statement of kind {}", other.name())),
        }
        Ok(())
    }

    /// Whether two sides are associates on a day.
    pub fn are_associates(&self, left: &Side, right: &Side, day: Date) -> bool {
        self.relation_on(left, right, day).is_some()
    }

    /// The entry by which two sides are associates on a day: either has said so, and what it said last of that relation covers
    /// the day; the last of several. Known of the taxpayer and others; of nobody else.
    pub fn relation_on(&self, left: &Side, right: &Side, day: Date) -> Option<u64> {
        let mut latest: BTreeMap<(StatementId, RelationKind, Date), &Said<RelationClaim>> = BTreeMap::new();
        for said in &self.relations {
            let is_between = |one: &Side, other: &Side| one.is(said.issuer) && said.claim.other == *other;
            if is_between(left, right) || is_between(right, left) {
                latest.insert((said.issuer, said.claim.relation, said.claim.from), said);
            }
        }
        latest.values().filter(|said| said.claim.holds_on(day)).map(|said| said.index).max()
    }

    /// The profile of a party that counts in a year; the latest of all where no year is said.
    pub fn profile(&self, party: StatementId, year: Option<Year>) -> Option<&TaxProfileClaim> {
        let own = self.profiles.iter().filter(|said| said.issuer == party);
        let in_force = own.filter(|said| year.is_none_or(|year| said.claim.from <= year));
        in_force.max_by_key(|said| (said.claim.from, said.index)).map(|said| &said.claim)
    }

    /// The profiles of a party by the year from which on they count, the latest for each.
    pub fn profiles_by_year(&self, party: StatementId) -> Vec<&TaxProfileClaim> {
        let own = self.profiles.iter().filter(|said| said.issuer == party);
        let by_year: BTreeMap<Year, &TaxProfileClaim> = own.map(|said| (said.claim.from, &said.claim)).collect();
        by_year.into_values().collect()
    }

    /// Who attests a version of a payment: one of its sides at least, or it is no evidence.
    pub fn attested_by(version: &Version<ExpenditureClaim>, claim: &ExpenditureClaim) -> AttestedBy {
        let attests = |side: &Side| side.party().is_some_and(|party| version.attesting.contains(&party));
        match (attests(&claim.payer), attests(&claim.payee)) {
            (true, true) => AttestedBy::Both,
            (false, true) => AttestedBy::Payee,
            (_, false) => AttestedBy::Payer,
        }
    }

    /// What a side is called, and where it is resident.
    pub fn describe(&self, side: &Side) -> (String, Option<String>) {
        match side {
            Side::Party(party) => match self.parties.get(party) {
                Some(record) => {
                    let place = record.jurisdiction.as_ref().map(|place| place.as_str().to_owned());
                    (record.name.display().to_owned(), place)
                }
                None => (party.shown("pty").to_string(), None),
            },
            Side::Outside(outside) => (outside.name.clone(), Some(outside.jurisdiction.as_str().to_owned())),
        }
    }
}

/// A version on its way into the evidence.
struct Newcomer<'a> {
    item: &'a Item,
    id: StatementId,
    issuer: StatementId,
    attesting: Vec<StatementId>,
    reason: Option<CorrectionReason>,
}

impl Newcomer<'_> {
    fn version<T>(self, claim: Option<T>) -> Version<T> {
        Version {
            index: self.item.index,
            id: self.id,
            issuer: self.issuer,
            attesting: self.attesting.into_iter().collect(),
            reason: self.reason,
            claim,
            openings: self.item.openings.clone(),
        }
    }

    fn begin<T>(self, all: &mut BTreeMap<StatementId, Versions<T>>, claim: T) {
        let id = self.id;
        all.insert(id, Versions { id, all: vec![self.version(Some(claim))] });
    }

    fn follow<T>(
        self,
        all: &mut BTreeMap<StatementId, Versions<T>>,
        (entry, prev): (&StatementId, &StatementId),
        claim: Option<T>,
    ) -> Result<(), String> {
        let versions = all.get_mut(entry).ok_or("a correction of something that is not here")?;
        if versions.latest().is_none_or(|latest| latest.id != *prev) {
            return Err(format!("the correction follows {prev}, which is not the latest version here"));
        }
        versions.all.push(self.version(claim));
        Ok(())
    }
}

/// What a version of a payment says.
fn payment(claim: &Claim) -> Option<&ExpenditureClaim> {
    match claim {
        Claim::Expenditure(claim) => Some(claim),
        Claim::Correction(CorrectionClaim { replacement: Some(Replacement::Expenditure(claim)), .. }) => Some(claim),
        _ => None,
    }
}

fn signs_for_a_side(claim: &ExpenditureClaim, statement: &Statement) -> bool {
    signing_parties(statement).into_iter().any(|party| claim.payer.is(party) || claim.payee.is(party))
}

fn openings_digest(items: &[Item]) -> Result<Sha256Digest, StrictError> {
    let opened: Vec<(u64, &Vec<Opening>)> =
        items.iter().filter(|item| !item.openings.is_empty()).map(|item| (item.index, &item.openings)).collect();
    Ok(Sha256Digest::of(&strict::to_canonical(&opened)?))
}
