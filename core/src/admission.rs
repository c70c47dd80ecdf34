//! Admission: what a statement must satisfy against the registry's state, and the changes an entry makes.
//!
//! Pure and in memory. The store loads the part of the state that a batch of statements reads ([`Reads`]) into a
//! [`View`]; statements are then judged in order over it, each seeing the changes of those before.

mod change;
mod evidence;
mod licensing;
mod rejection;

pub use change::{
    ArtefactHead, ArtefactRecord, AttestationRecord, Change, EndorsementRecord, KeyEventRecord, KeyRecord, PartyRecord,
    PolicyRecord, VersionKey,
};
pub use evidence::{
    EvidenceChange, EvidenceKind, EvidenceReads, EvidenceRecord, Evidenced, PaymentKey, Subject, UseKey,
};
pub use licensing::{
    DatedEvent, LicenceChange, LicenceEventRecord, LicenceRecord, Licensing, LicensingReads, OfferRecord, TermsRecord,
    keeps_others_out,
};
pub use rejection::{Class, Code, Document, Rejection};

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::key::KeyId;
use crate::kind::Claim;
use crate::party::KeyRole;
use crate::sealed::Field;
use crate::statement::{Envelope, Header, Issuer, Nonce, RegistryRef, Statement, StatementId};
use crate::strict::StrictError;
use crate::text::{Names, skeleton};
use crate::time::Timestamp;

/// How far the clock of whoever signs may be ahead of the registry's.
const CLOCK_MINUTES_MAX: u16 = 10;

/// An entry about to be folded: a statement and its position.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Position in the log, from 0.
    pub index: u64,
    /// The statement.
    pub statement: &'a Statement,
}

impl Entry<'_> {
    /// The changes this entry makes: the pure fold of the read tables.
    pub fn apply(&self) -> Vec<Change> {
        self.statement.claim.kind().apply(self)
    }
}

/// What must be looked up before a batch of statements can be judged.
#[derive(Debug, Clone, Default)]
pub struct Reads {
    /// Parties by id.
    pub parties: Vec<StatementId>,
    /// Keys by id.
    pub keys: Vec<KeyId>,
    /// Artefacts by id.
    pub artefacts: Vec<StatementId>,
    /// Earlier registrations of the same thing.
    pub versions: Vec<VersionKey>,
    /// Nonces already used, by issuer.
    pub nonces: Vec<(StatementId, Nonce)>,
    /// Issuers of statements, by id.
    pub statements: Vec<StatementId>,
    /// Endorsements: the statement and who endorses it.
    pub endorsements: Vec<(StatementId, StatementId)>,
    /// Openings kept of these statements, and until when they have to be.
    pub openings: Vec<StatementId>,
    /// Skeletons of names: verified parties with a name of the same skeleton.
    pub skeletons: Vec<String>,
    /// The same for the names of registered parties.
    pub verified_names_like: Vec<StatementId>,
    /// What is about licensing.
    pub licensing: LicensingReads,
    /// What is about expenditure.
    pub evidence: EvidenceReads,
}

impl Reads {
    /// Adds what judging `statement` needs.
    pub fn add(&mut self, statement: &Statement) {
        self.parties.push(statement.issuer());
        for group in &statement.header.signers {
            if let Issuer::Party(party) = group.party {
                self.parties.push(party);
            }
            self.keys.extend(&group.keys);
        }
        self.nonces.push((statement.issuer(), statement.header.nonce.clone()));
        statement.claim.kind().reads(statement, self);
    }
}

/// The part of the registry's state that a batch reads, with the batch's own changes on top.
#[derive(Debug, Clone, Default)]
pub struct View {
    size: u64,
    now: Option<Timestamp>,
    registry: Option<RegistryRef>,
    operator: Option<StatementId>,
    parties: BTreeMap<StatementId, PartyRecord>,
    keys: BTreeMap<KeyId, KeyRecord>,
    // These grow with the log where a whole one is replayed, and nothing depends on their order.
    artefacts: HashMap<StatementId, ArtefactHead>,
    versions: HashMap<VersionKey, StatementId>,
    nonces: HashSet<(StatementId, Nonce)>,
    /// Those that are no artefacts.
    statements: HashMap<StatementId, StatementId>,
    endorsements: BTreeMap<(StatementId, StatementId), StatementId>,
    verified_names: BTreeMap<String, BTreeSet<StatementId>>,
    openings: Option<BTreeMap<StatementId, KeptOpenings>>,
    licensing: Licensing,
    evidence: Evidenced,
}

/// The fields of a statement whose openings are kept, and until when they have to be where that is still to come.
pub type KeptOpenings = BTreeMap<Field, Option<Timestamp>>;

impl View {
    /// The state of a registry with `size` entries, before anything was looked up.
    pub fn new(size: u64, registry: Option<RegistryRef>, operator: Option<StatementId>) -> Self {
        Self { size, registry, operator, ..Self::default() }
    }

    /// Entries so far: the next index.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The registry's clock as a statement is admitted; none in a replay, which knows no more of it than the log does.
    pub fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// The operator's party.
    pub fn operator(&self) -> Option<StatementId> {
        self.operator
    }

    /// A key, when it is registered.
    pub fn key(&self, id: &KeyId) -> Option<&KeyRecord> {
        self.keys.get(id)
    }

    /// A party, when it is registered.
    pub fn party(&self, id: &StatementId) -> Option<&PartyRecord> {
        self.parties.get(id)
    }

    /// An artefact, when it is registered.
    pub fn artefact(&self, id: &StatementId) -> Option<&ArtefactHead> {
        self.artefacts.get(id)
    }

    /// Who made a statement that the log holds. An artefact is its owner's statement.
    pub fn statement_issuer(&self, id: &StatementId) -> Option<StatementId> {
        self.statements.get(id).copied().or_else(|| self.artefact(id).map(|artefact| artefact.owner))
    }

    /// The endorsement of a statement by a party.
    pub fn endorsement(&self, statement: &StatementId, by: &StatementId) -> Option<StatementId> {
        self.endorsements.get(&(*statement, *by)).copied()
    }

    /// The openings kept of a statement; `None` where no vault is known, as in a replay.
    pub fn openings(&self, statement: &StatementId) -> Option<&KeptOpenings> {
        static NONE: KeptOpenings = KeptOpenings::new();
        self.openings.as_ref().map(|known| known.get(statement).unwrap_or(&NONE))
    }

    /// A verified party, other than `own`, with a name that can't be told from one of these (UTS 39, section 4).
    pub fn look_alike(&self, names: &Names, own: Option<StatementId>) -> Option<StatementId> {
        let parties = names.iter().filter_map(|(_, name)| self.verified_names.get(&skeleton(name)));
        parties.flatten().copied().find(|party| Some(*party) != own)
    }

    /// The earlier registration of the same thing.
    pub fn version(&self, key: &VersionKey) -> Option<StatementId> {
        self.versions.get(key).copied()
    }

    /// What is known of licensing.
    pub fn licensing(&self) -> &Licensing {
        &self.licensing
    }

    /// The same, to take in what was looked up.
    pub fn licensing_mut(&mut self) -> &mut Licensing {
        &mut self.licensing
    }

    /// What is known of expenditure.
    pub fn evidence(&self) -> &Evidenced {
        &self.evidence
    }

    /// The same, to take in what was looked up.
    pub fn evidence_mut(&mut self) -> &mut Evidenced {
        &mut self.evidence
    }

    /// Takes in a looked-up party.
    pub fn load_party(&mut self, party: PartyRecord) {
        self.parties.insert(party.id, party);
    }

    /// Takes in a looked-up key.
    pub fn load_key(&mut self, key: KeyRecord) {
        self.keys.insert(key.id, key);
    }

    /// Takes in a looked-up artefact.
    pub fn load_artefact(&mut self, id: StatementId, head: ArtefactHead) {
        self.artefacts.insert(id, head);
    }

    /// Takes in a looked-up statement and its issuer.
    pub fn load_statement(&mut self, id: StatementId, issuer: StatementId) {
        if !self.artefacts.contains_key(&id) {
            self.statements.insert(id, issuer);
        }
    }

    /// Takes in an endorsement of a statement by a party.
    pub fn load_endorsement(&mut self, statement: StatementId, by: StatementId, id: StatementId) {
        self.endorsements.insert((statement, by), id);
    }

    /// Takes in what the vault keeps.
    pub fn load_openings(&mut self, kept: BTreeMap<StatementId, KeptOpenings>) {
        self.openings = Some(kept);
    }

    /// Takes in the skeleton of a verified party's name.
    pub fn load_verified_name(&mut self, skeleton: String, party: StatementId) {
        self.verified_names.entry(skeleton).or_default().insert(party);
    }

    /// Takes in an earlier registration.
    pub fn load_version(&mut self, key: VersionKey, id: StatementId) {
        self.versions.insert(key, id);
    }

    /// Takes in a used nonce.
    pub fn load_nonce(&mut self, issuer: StatementId, nonce: Nonce) {
        self.nonces.insert((issuer, nonce));
    }

    /// Judges one statement, and on success takes its changes in.
    ///
    /// `signed` is the statement's envelope: whoever judges has verified its signatures, or is going to; `now` is the
    /// registry's clock.
    ///
    /// # Errors
    /// A [`Rejection`] with a stable code; the view is then unchanged.
    pub fn admit(
        &mut self,
        statement: &Statement,
        signed: &Envelope,
        now: Timestamp,
    ) -> Result<Vec<Change>, Rejection> {
        self.check_place_and_time(statement, now)?;
        self.now = Some(now);
        self.judge(statement, signed)
    }

    fn judge(&mut self, statement: &Statement, signed: &Envelope) -> Result<Vec<Change>, Rejection> {
        let refuse =
            |code, pointer: &str, reason: String| Rejection::in_payload(code, StrictError::new(pointer, reason));
        let nonce = (statement.issuer(), statement.header.nonce.clone());
        if self.nonces.contains(&nonce) {
            let reason = "this issuer has used the nonce before; sign with a new random one".to_owned();
            return Err(refuse(Code::NonceReused, "/predicate/nonce", reason));
        }
        self.check_signers(statement, signed)?;
        let kind = statement.claim.kind();
        kind.admit(statement, self)?;
        let changes = Entry { index: self.size, statement }.apply();
        for change in &changes {
            self.absorb(change);
        }
        self.nonces.insert(nonce);
        self.load_statement(statement.id, statement.issuer());
        self.size += 1;
        Ok(changes)
    }

    /// Checks that a statement is for this registry, not too late, and not of a day to come where that day counts: all that
    /// admission asks of it without a look at the log.
    ///
    /// # Errors
    /// A [`Rejection`] naming the member of its header.
    pub fn check_place_and_time(&self, statement: &Statement, now: Timestamp) -> Result<(), Rejection> {
        self.check_registry(statement)?;
        let Header { issued_at, not_after, .. } = &statement.header;
        if now > *not_after {
            let reason = format!("the statement could be admitted until {not_after}; sign a new one");
            return Err(Rejection::in_payload(Code::Expired, StrictError::new("/predicate/not_after", reason)));
        }
        // What becomes of a licence counts from the day on which it was said.
        if matches!(statement.claim, Claim::LicenceStatus(_)) && *issued_at > now.plus_minutes(CLOCK_MINUTES_MAX) {
            let reason = format!("it is {now} here, and this was not made yet; set the clock, and sign a new one");
            return Err(Rejection::in_payload(Code::NotYetValid, StrictError::new("/predicate/issued_at", reason)));
        }
        Ok(())
    }

    fn check_registry(&self, statement: &Statement) -> Result<(), Rejection> {
        if statement.header.registry == self.registry {
            return Ok(());
        }
        let reason = match &self.registry {
            Some(here) => format!("this is the registry {} with genesis {}", here.origin, here.genesis),
            None => "no registry is founded here yet".to_owned(),
        };
        Err(Rejection::in_payload(Code::WrongRegistry, StrictError::new("/predicate/registry", reason)))
    }

    /// Takes in an entry that a proven log holds and that rests on others which are not at hand: who signed it and whether
    /// they may say it is judged, what else it names is not.
    ///
    /// # Errors
    /// A [`Rejection`] when it is of another registry, not signed by whoever must, or not theirs to say.
    pub fn accept(&mut self, index: u64, statement: &Statement, signed: &Envelope) -> Result<(), Rejection> {
        self.check_registry(statement)?;
        self.check_signers(statement, signed)?;
        statement.claim.kind().may_be_said(statement, self)?;
        for change in (Entry { index, statement }).apply() {
            self.absorb(&change);
        }
        Ok(())
    }

    /// Folds an entry that a proven log already holds, at its own index: admission without the clock.
    ///
    /// # Errors
    /// A [`Rejection`] when the log holds what should never have been admitted.
    pub fn replay(&mut self, index: u64, statement: &Statement, signed: &Envelope) -> Result<Vec<Change>, Rejection> {
        self.size = index;
        self.check_registry(statement)?;
        self.now = None;
        self.judge(statement, signed)
    }

    /// Names the registry, once its genesis entry was folded.
    pub fn found(&mut self, registry: RegistryRef, operator: StatementId) {
        self.registry = Some(registry);
        self.operator = Some(operator);
    }

    /// Every listed key is a current key of its party, and of every party one of its signing keys has signed or as many
    /// root keys as it needs.
    ///
    /// To list a key is not to sign: a group of a root and a signing key with a threshold of 1 is reached by either.
    ///
    /// # Errors
    /// A [`Rejection`] naming the group.
    pub fn check_signers(&self, statement: &Statement, signed: &Envelope) -> Result<(), Rejection> {
        for (position, group) in statement.header.signers.iter().enumerate() {
            let Issuer::Party(id) = group.party else { continue };
            let at = |member: &str| format!("/predicate/signers/{position}/{member}");
            let refuse =
                |code, member: &str, reason: String| Rejection::in_payload(code, StrictError::new(at(member), reason));
            let Some(party) = self.party(&id) else {
                return Err(refuse(Code::UnknownIssuer, "party", format!("no party {id} is registered here")));
            };
            if group.key_head != Some(party.key_head) {
                let reason = format!("the party's latest key event is {}; sign again with that", party.key_head);
                return Err(refuse(Code::StaleKeyHead, "key_head", reason));
            }
            let introduced = statement.claim.kind().own_keys();
            let (mut is_signing_key_listed, mut has_signing_key_signed, mut roots_signed) = (false, false, 0_u32);
            for key in &group.keys {
                if position == 0 && introduced.iter().any(|new| new.id() == *key) {
                    continue;
                }
                let reason = match self.key(key) {
                    Some(record) if record.party != id => "is not a key of this party",
                    Some(KeyRecord { valid_until: Some(_), .. }) => "was revoked or replaced",
                    Some(record) => {
                        let has_signed = signed.is_signed_by(key);
                        match record.role {
                            KeyRole::Signing => {
                                is_signing_key_listed = true;
                                has_signing_key_signed |= has_signed;
                            }
                            KeyRole::Root => roots_signed += u32::from(has_signed),
                        }
                        continue;
                    }
                    None => "is not a key of this party",
                };
                return Err(refuse(Code::NotAuthorised, "keys", format!("key {key} {reason}")));
            }
            // A signing key speaks alone; root keys only together, for whichever side they sign.
            let needed = match position {
                0 => statement.claim.kind().root_signatures_needed(statement, party),
                _ => party.threshold,
            };
            let is_enough = has_signing_key_signed || roots_signed >= needed;
            if group.threshold < needed && !(is_signing_key_listed && is_enough) {
                let reason =
                    format!("this party's statements need {needed} signatures by root keys, or one by a signing key");
                return Err(refuse(Code::ThresholdNotMet, "threshold", reason));
            }
        }
        Ok(())
    }

    /// Takes a change in, as a fold over the log would.
    pub fn absorb(&mut self, change: &Change) {
        match change {
            Change::Policy(_) | Change::Attestation(_) => {}
            Change::Party(party) => self.load_party(party.clone()),
            Change::Key(key) => {
                if let Some(party) = self.parties.get_mut(&key.party).filter(|_| key.role == KeyRole::Root) {
                    party.root_keys += 1;
                }
                self.load_key(key.clone());
            }
            Change::KeyEnded { key, index } => {
                let Some(record) = self.keys.get_mut(key) else { return };
                record.valid_until = Some(*index);
                if let Some(party) = self.parties.get_mut(&record.party).filter(|_| record.role == KeyRole::Root) {
                    party.root_keys = party.root_keys.saturating_sub(1);
                }
            }
            Change::KeyEvent(event) => {
                if let Some(party) = self.parties.get_mut(&event.party) {
                    party.key_head = event.event;
                    party.key_seq = event.seq;
                }
            }
            Change::Artefact(artefact) => {
                let claim = &artefact.claim;
                let (manifest, version) = (claim.manifest.sha256, claim.version.clone());
                self.load_artefact(artefact.id, ArtefactHead { owner: artefact.owner, manifest });
                self.load_version(VersionKey { owner: artefact.owner, manifest, version }, artefact.id);
            }
            Change::PartyVerified { party, verified_from } => {
                let Some(record) = self.parties.get_mut(party) else { return };
                record.verified_from = *verified_from;
                let skeletons: Vec<String> = record.name.iter().map(|(_, name)| skeleton(name)).collect();
                for skeleton in skeletons {
                    let alike = self.verified_names.entry(skeleton).or_default();
                    if verified_from.is_some() {
                        alike.insert(*party);
                    } else {
                        alike.remove(party);
                    }
                }
            }
            Change::Evidence(change) => self.evidence.absorb(change),
            Change::Endorsement(endorsement) => {
                self.load_endorsement(endorsement.statement, endorsement.issuer, endorsement.id);
            }
            Change::Terms(terms) => self.licensing.load_terms(terms.clone()),
            Change::Offer(offer) => self.licensing.load_offer(offer.clone()),
            Change::Licence(licence) => self.licensing.absorb_licence(licence),
            Change::LicenceEvent(event) => self.licensing.absorb_event(event),
        }
    }
}
