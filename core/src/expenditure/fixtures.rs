//! A registry in memory for tests: parties that sign, admission that judges, a tree, and the selection of evidence.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use super::evidence::Item;
use super::{
    AssetClaim, CorrectionClaim, CorrectionReason, ExpenditureClaim, Nature, Replacement, SealedPayment, SealedUse,
    Side, TaxProfileClaim, UseClaim,
};
use crate::admission::{Rejection, View};
use crate::artefact::IpType;
use crate::code::Jurisdiction;
use crate::digest::Sha256Digest;
use crate::expenditure::report::TreeHead;
use crate::key::PublicKey;
use crate::kind::Claim;
use crate::ledger::note::NoteSigner;
use crate::ledger::tree::{leaf_hash, node_hash};
use crate::party::{Identifier, KeySet, PartyClaim, Scheme};
use crate::policy::Founding;
use crate::sealed::{Commitment, Opening, Place, Salt};
use crate::statement::{Envelope, Header, Issuer, Nonce, RegistryRef, SignerGroup, Statement, StatementId};
use crate::submission::Submission;
use crate::tax::facts::{Entity, Trade};
use crate::text::Names;
use crate::trust::{TrustPolicy, TrustedRegistry};

/// A party with its only key.
#[derive(Clone)]
pub(crate) struct Author {
    pub(crate) id: StatementId,
    key: SigningKey,
}

impl Author {
    pub(crate) fn side(&self) -> Side {
        Side::Party(self.id)
    }
}

pub(crate) struct World {
    pub(crate) view: View,
    pub(crate) entries: Vec<(Submission, Vec<Opening>)>,
    registry: RegistryRef,
    log: SigningKey,
    pub(crate) operator: Author,
    /// Whether admission judges what is entered. Whoever holds a log's key can enter whatever somebody signs.
    pub(crate) judges: bool,
    made: u64,
}

/// Figures of a payment; texts as they are sealed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums {
    pub(crate) amount: Option<String>,
    pub(crate) currency: Option<String>,
    pub(crate) withheld: Option<String>,
    pub(crate) fx_rate: Option<String>,
    pub(crate) fees: Option<String>,
    pub(crate) met_by_others: Option<String>,
}

pub(crate) fn sums(amount: &str, currency: &str) -> Sums {
    Sums { amount: Some(amount.to_owned()), currency: Some(currency.to_owned()), ..Sums::default() }
}

/// A payment without its figures.
pub(crate) fn payment(nature: Nature, payer: Side, payee: Side, document: &str, on: &str) -> ExpenditureClaim {
    let file = Some(Sha256Digest::of(document.as_bytes()));
    let claim = ExpenditureClaim::unsealed(nature, payer, payee, document.to_owned(), on.parse().unwrap());
    ExpenditureClaim { file, ..claim }
}

/// What a corporation says of itself.
pub(crate) fn profile(from: &str) -> TaxProfileClaim {
    TaxProfileClaim {
        from: from.parse().unwrap(),
        brn: Some("12345678".to_owned()),
        file_number: Some("22/12345678".to_owned()),
        entity: Entity::Corporation,
        year_end: "03-31".parse().unwrap(),
        trade: Trade::WhollyHk,
        hk_proportion: None,
        two_tier: false,
        commenced: None,
        ceased: None,
    }
}

pub(crate) fn asset(title: &str, ip_type: IpType, number: Option<&str>) -> AssetClaim {
    AssetClaim {
        title: Names { en: Some(title.to_owned()), ..Names::default() },
        ip_type,
        jurisdiction: Jurisdiction::new("HK").unwrap(),
        registered: true,
        registration_number: number.map(str::to_owned),
        registered_on: None,
        protection_ends: None,
        software: None,
        artefacts: Vec::new(),
        lapse: None,
        title_left: None,
        succession: None,
    }
}

pub(crate) fn outside(name: &str, place: &str) -> Side {
    Side::Outside(super::Outside { name: name.to_owned(), jurisdiction: Jurisdiction::new(place).unwrap() })
}

fn seal(place: &Place, fields: &[(&str, Option<&str>)]) -> (Vec<Opening>, Vec<Commitment>) {
    let opening = |(name, value): &(&str, Option<&str>)| {
        let salt = Sha256Digest::of(format!("{}{name}", place.nonce).as_bytes());
        let value: Option<Value> = value.map(|text| json!(text));
        Opening::new(format!("/{name}").parse().unwrap(), Salt::from_random(*salt.as_bytes()), value.as_ref()).unwrap()
    };
    let openings: Vec<Opening> = fields.iter().map(opening).collect();
    let commitments = openings.iter().map(|opening| opening.commitment(place)).collect();
    (openings, commitments)
}

fn sealed_payment(place: &Place, mut claim: ExpenditureClaim, sums: &Sums) -> (ExpenditureClaim, Vec<Opening>) {
    let (openings, commitments) = seal(
        place,
        &[
            ("amount", sums.amount.as_deref()),
            ("currency", sums.currency.as_deref()),
            ("withheld", sums.withheld.as_deref()),
            ("fx_rate", sums.fx_rate.as_deref()),
            ("fees", sums.fees.as_deref()),
            ("met_by_others", sums.met_by_others.as_deref()),
        ],
    );
    claim.sealed = Box::new(SealedPayment::new(commitments.try_into().unwrap()));
    (claim, openings)
}

impl World {
    pub(crate) fn new() -> Self {
        let log = SigningKey::from_bytes(&[1; 32]);
        let operator = SigningKey::from_bytes(&[2; 32]);
        let signer = NoteSigner::new("a.example/log", log.clone()).unwrap();
        let founding = Founding {
            log_key: signer.verifier_key(),
            operator: &operator,
            operator_name: Names { en: Some("Operator".to_owned()), ..Names::default() },
            now: "2026-01-01T12:00:00.000Z".parse().unwrap(),
            nonces: [[1; 16], [2; 16]],
        };
        let [genesis, anchors] = founding.statements().unwrap();
        let registry = RegistryRef { origin: "a.example/log".to_owned(), genesis: leaf_hash(&genesis.entry) };
        let operator = Author { id: genesis.statement.id, key: operator };
        let mut view = View::new(0, None, None);
        view.replay(0, &genesis.statement, &genesis.envelope).unwrap();
        view.found(registry.clone(), operator.id);
        view.replay(1, &anchors.statement, &anchors.envelope).unwrap();
        let entries = vec![(genesis, Vec::new()), (anchors, Vec::new())];
        Self { view, entries, registry, log, operator, judges: true, made: 0 }
    }

    pub(crate) fn party(&mut self, name: &str, place: &str, brn: Option<&str>) -> Author {
        self.made += 1;
        let mut seed = [9; 32];
        seed[..8].copy_from_slice(&self.made.to_be_bytes());
        let key = SigningKey::from_bytes(&seed);
        let public = PublicKey::from(&key);
        let identifiers = brn.map(|value| Identifier { scheme: Scheme::HkBrn, value: value.to_owned() });
        let claim = Claim::Party(PartyClaim {
            name: Names { en: Some(name.to_owned()), ..Names::default() },
            identifiers: identifiers.into_iter().collect(),
            jurisdiction: Jurisdiction::new(place).unwrap(),
            root_keys: KeySet::new(vec![public], 1),
        });
        let signers = vec![SignerGroup { party: Issuer::Own, key_head: None, keys: vec![public.id()], threshold: 1 }];
        let header = self.header(Issuer::Own, signers);
        let payload = Statement::compose(name, &header, &claim).unwrap();
        let submission = Submission::assemble(Envelope::sign(payload, &[&key]), Vec::new()).unwrap();
        let id = submission.statement.id;
        self.admit(submission, Vec::new()).unwrap();
        Author { id, key }
    }

    fn header(&self, issuer: Issuer, signers: Vec<SignerGroup>) -> Header {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.made.to_be_bytes());
        Header {
            registry: Some(self.registry.clone()),
            issuer,
            issued_at: "2026-01-02T12:00:00.000Z".parse().unwrap(),
            not_after: "2026-01-03T12:00:00.000Z".parse().unwrap(),
            nonce: Nonce::from_random(nonce),
            signers,
        }
    }

    fn admit(&mut self, submission: Submission, openings: Vec<Opening>) -> Result<StatementId, Rejection> {
        let now = "2026-01-02T13:00:00.000Z".parse().unwrap();
        submission.verify(|id| self.view.key(id).map(|record| &record.public_key))?;
        if !openings.is_empty() {
            let zone = crate::code::ResidencyZone::HongKong;
            let fields = openings.clone();
            let opened = submission.clone().with_openings(Some(crate::sealed::Openings { zone, fields }))?;
            opened.check_openings()?;
        }
        if self.judges {
            self.view.admit(&submission.statement, &submission.envelope, now)?;
        } else {
            let entry = crate::admission::Entry { index: self.size(), statement: &submission.statement };
            entry.apply().iter().for_each(|change| self.view.absorb(change));
        }
        let id = submission.statement.id;
        self.entries.push((submission, openings));
        Ok(id)
    }

    /// Enters what the first of these says and all of them sign.
    pub(crate) fn enter_with(
        &mut self,
        authors: &[&Author],
        make: impl FnOnce(&dyn Fn(&str) -> Place) -> (Claim, Vec<Opening>),
    ) -> Result<StatementId, Rejection> {
        self.made += 1;
        let group = |author: &&Author| SignerGroup {
            party: Issuer::Party(author.id),
            key_head: Some(author.id),
            keys: vec![PublicKey::from(&author.key).id()],
            threshold: 1,
        };
        let header = self.header(Issuer::Party(authors[0].id), authors.iter().map(group).collect());
        let (claim, openings) = make(&|predicate_type| Place::of(&header, predicate_type));
        let payload = Statement::compose("test", &header, &claim)?;
        let keys: Vec<&SigningKey> = authors.iter().map(|author| &author.key).collect();
        let submission = Submission::assemble(Envelope::sign(payload, &keys), Vec::new())?;
        self.admit(submission, openings)
    }

    pub(crate) fn enter(&mut self, authors: &[&Author], claim: Claim) -> Result<StatementId, Rejection> {
        self.enter_with(authors, |_| (claim, Vec::new()))
    }

    pub(crate) fn pay(
        &mut self,
        authors: &[&Author],
        claim: ExpenditureClaim,
        sums: &Sums,
    ) -> Result<StatementId, Rejection> {
        self.enter_with(authors, |place| {
            let (claim, openings) = sealed_payment(&place(ExpenditureClaim::PREDICATE_TYPE), claim, sums);
            (Claim::Expenditure(claim), openings)
        })
    }

    pub(crate) fn used(
        &mut self,
        author: &Author,
        mut claim: UseClaim,
        fraction: &str,
    ) -> Result<StatementId, Rejection> {
        self.enter_with(&[author], |place| {
            let (openings, commitments) = seal(&place(UseClaim::PREDICATE_TYPE), &[("fraction", Some(fraction))]);
            claim.sealed = SealedUse { fraction: commitments[0] };
            (Claim::Use(claim), openings)
        })
    }

    pub(crate) fn correct(
        &mut self,
        authors: &[&Author],
        (entry, prev): (StatementId, StatementId),
        reason: CorrectionReason,
        replacement: Option<(Replacement, Sums)>,
    ) -> Result<StatementId, Rejection> {
        self.enter_with(authors, |place| {
            let place = place(CorrectionClaim::PREDICATE_TYPE);
            let (replacement, openings) = match replacement {
                Some((Replacement::Expenditure(claim), sums)) => {
                    let (claim, openings) = sealed_payment(&place, *claim, &sums);
                    (Some(Replacement::Expenditure(Box::new(claim))), openings)
                }
                Some((Replacement::Use(mut claim), sums)) => {
                    let (openings, commitments) = seal(&place, &[("fraction", sums.amount.as_deref())]);
                    claim.sealed = SealedUse { fraction: commitments[0] };
                    (Some(Replacement::Use(claim)), openings)
                }
                Some((Replacement::Asset(claim), _)) => (Some(Replacement::Asset(claim)), Vec::new()),
                None => (None, Vec::new()),
            };
            (Claim::Correction(CorrectionClaim { entry, prev, reason, replacement }), openings)
        })
    }

    pub(crate) fn size(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap()
    }

    /// The evidence of a taxpayer below a size, selected as `docs/formats/expenditure.md` says.
    pub(crate) fn items(&self, taxpayer: StatementId, size: u64) -> Vec<Item> {
        let below = &self.entries[..usize::try_from(size).unwrap()];
        let me = Side::Party(taxpayer);
        let mut wanted: BTreeSet<usize> = BTreeSet::from([0]);
        let (mut payments, mut assets, mut payees) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut own = BTreeSet::new();
        for (index, (submission, _)) in below.iter().enumerate() {
            let statement = &submission.statement;
            match &statement.claim {
                Claim::Expenditure(claim) if claim.payer == me || claim.payee == me => {
                    payments.insert(statement.id);
                    assets.extend([claim.asset, claim.counter_asset].into_iter().flatten());
                    payees.extend(claim.payee.party());
                    wanted.insert(index);
                }
                Claim::Asset(_) if statement.issuer() == taxpayer => drop(own.insert(statement.id)),
                _ => {}
            }
        }
        assets.extend(&own);
        let mut versions = payments.clone();
        let mut uses = BTreeSet::new();
        for (index, (submission, _)) in below.iter().enumerate() {
            let statement = &submission.statement;
            let issuer = statement.issuer();
            let is_wanted = match &statement.claim {
                Claim::Asset(_) => assets.contains(&statement.id),
                Claim::Use(claim) => own.contains(&claim.asset) && uses.insert(statement.id),
                Claim::Relation(claim) => issuer == taxpayer || claim.other == me,
                Claim::TaxProfile(_) => issuer == taxpayer || payees.contains(&issuer),
                Claim::FxRate(_) => issuer == taxpayer || issuer == self.operator.id,
                Claim::Correction(claim) => {
                    if payments.contains(&claim.entry) {
                        versions.insert(statement.id);
                    }
                    [&payments, &assets, &uses].iter().any(|ids| ids.contains(&claim.entry))
                }
                Claim::Endorsement(claim) => versions.contains(&claim.statement),
                _ => false,
            };
            if is_wanted {
                wanted.insert(index);
            }
        }
        let named: BTreeSet<StatementId> = wanted.iter().flat_map(|index| self.named(*index)).collect();
        for (index, (submission, _)) in below.iter().enumerate().skip(1) {
            let is_of = named.contains(&submission.statement.issuer()) || submission.statement.issuer() == taxpayer;
            if is_of && matches!(submission.statement.claim, Claim::Party(_) | Claim::Key(_)) {
                wanted.insert(index);
            }
        }
        let item = |index: usize| Item {
            index: u64::try_from(index).unwrap(),
            envelope: below[index].0.envelope.clone(),
            openings: below[index].1.clone(),
        };
        wanted.into_iter().map(item).collect()
    }

    fn named(&self, index: usize) -> Vec<StatementId> {
        let statement = &self.entries[index].0.statement;
        let mut named = crate::bundle::signing_parties(statement);
        match &statement.claim {
            Claim::Expenditure(claim) => named.extend([&claim.payer, &claim.payee].into_iter().filter_map(Side::party)),
            Claim::Relation(claim) => named.extend(claim.other.party()),
            _ => {}
        }
        named
    }

    fn leaves(&self, size: u64) -> Vec<Sha256Digest> {
        let below = &self.entries[..usize::try_from(size).unwrap()];
        below.iter().map(|(submission, _)| leaf_hash(&submission.entry)).collect()
    }

    pub(crate) fn head(&self, size: u64) -> TreeHead {
        TreeHead { registry: self.registry.clone(), size, root: root(&self.leaves(size)) }
    }

    pub(crate) fn paths(&self, items: &[Item], size: u64) -> Vec<Vec<Sha256Digest>> {
        let leaves = self.leaves(size);
        items.iter().map(|item| path(&leaves, usize::try_from(item.index).unwrap())).collect()
    }

    pub(crate) fn signer(&self) -> NoteSigner {
        NoteSigner::new("a.example/log", self.log.clone()).unwrap()
    }

    pub(crate) fn trust(&self) -> TrustPolicy {
        TrustPolicy {
            registries: vec![TrustedRegistry {
                origin: self.registry.origin.clone(),
                log_key: self.signer().verifier_key().to_string(),
                genesis: self.registry.genesis,
                allow_registry_asserted: true,
                max_status_age: None,
            }],
        }
    }

    /// Names of statements by index, for messages.
    pub(crate) fn index_of(&self, id: StatementId) -> u64 {
        let indices: BTreeMap<StatementId, usize> =
            self.entries.iter().enumerate().map(|(index, (submission, _))| (submission.statement.id, index)).collect();
        u64::try_from(indices[&id]).unwrap()
    }
}

/// RFC 6962, section 2.1, as it is written there.
fn root(leaves: &[Sha256Digest]) -> Sha256Digest {
    if let [leaf] = leaves {
        return *leaf;
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    node_hash(&root(left), &root(right))
}

fn path(leaves: &[Sha256Digest], index: usize) -> Vec<Sha256Digest> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut below, sibling) = if index < left.len() {
        (path(left, index), root(right))
    } else {
        (path(right, index - left.len()), root(left))
    };
    below.push(sibling);
    below
}

/// The largest power of two below a number.
fn split(number: usize) -> usize {
    number.next_power_of_two() / 2
}
