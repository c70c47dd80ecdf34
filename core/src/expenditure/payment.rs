//! Kind `expenditure`: somebody paid somebody for intellectual property; the figures are sealed.
//!
//! Payer or payee says it, and the other endorses it or signs along: then both attest it. What was paid for, between whom
//! and under which document stands open, so that nothing can be claimed twice: the same payer, payee and document number is
//! one payment, whoever says it. A purchase that the seller confirms is its disposal, and the other way round, where
//! `counter_asset` names the right as the other side has it.

use serde::{Deserialize, Serialize};

use super::details::Details;
use super::side::Side;
use super::{changes, opened, refuse, sealed_fields};
use crate::admission::{
    Change, Code, Entry, EvidenceKind, EvidenceRecord, PaymentKey, Reads, Rejection, Subject, View,
};
use crate::artefact::IpType;
use crate::digest::Sha256Digest;
use crate::kind::{Kind, NewReader, OpeningsOf};
use crate::money::{Currency, FRACTION_DECIMALS_MAX, parse_minor};
use crate::sealed::{Commitment, Opening, SealedField};
use crate::statement::{Statement, StatementId};
use crate::strict::{StrictError, present};
use crate::tax::year::Date;
use crate::terms::figures::Amount;
use crate::text::validate_name;

/// What was paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nature {
    /// A right was bought.
    Purchase,
    /// A fee for being licensed at all.
    UpfrontFee,
    /// A royalty.
    Royalty,
    /// Registering a right.
    Registration,
    /// Research of type A.
    RndTypeA,
    /// Research of type B.
    RndTypeB,
    /// A right was sold.
    Disposal,
    /// Less is owed than was billed.
    CreditNote,
    /// Something was paid back.
    Refund,
}

impl Nature {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Purchase,
        Self::UpfrontFee,
        Self::Royalty,
        Self::Registration,
        Self::RndTypeA,
        Self::RndTypeB,
        Self::Disposal,
        Self::CreditNote,
        Self::Refund,
    ];

    /// The word in statements.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Purchase => "purchase",
            Self::UpfrontFee => "upfront_fee",
            Self::Royalty => "royalty",
            Self::Registration => "registration",
            Self::RndTypeA => "rnd_type_a",
            Self::RndTypeB => "rnd_type_b",
            Self::Disposal => "disposal",
            Self::CreditNote => "credit_note",
            Self::Refund => "refund",
        }
    }

    /// Whether it takes something off another payment.
    pub const fn is_credit(self) -> bool {
        matches!(self, Self::CreditNote | Self::Refund)
    }

    /// Whether a right changes hands.
    pub const fn is_transfer(self) -> bool {
        matches!(self, Self::Purchase | Self::Disposal)
    }
}

/// What an `expenditure` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpenditureClaim {
    /// What was paid for.
    pub nature: Nature,
    /// Who paid.
    pub payer: Side,
    /// Who was paid.
    pub payee: Side,
    /// Number of the invoice or other document, as its maker counts.
    pub document: String,
    /// SHA-256 of that document, which stays with the parties.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub file: Option<Sha256Digest>,
    /// When it was paid: a civil date in Hong Kong.
    pub on: Date,
    /// The right it is for: the buyer's asset of a purchase, the seller's of a disposal.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub asset: Option<StatementId>,
    /// The same right as the other side of a purchase or disposal has it.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub counter_asset: Option<StatementId>,
    /// What sort of right it is for, where no asset is named.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub ip_type: Option<IpType>,
    /// The licence under which it is due.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub licence: Option<StatementId>,
    /// The artefact it is about.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub artefact: Option<StatementId>,
    /// The payment that a credit note or refund takes something off.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub credits: Option<StatementId>,
    /// Facts on which its treatment turns.
    #[serde(default, skip_serializing_if = "Details::is_empty")]
    pub details: Details,
    /// The figures, as commitments.
    pub sealed: Box<SealedPayment>,
}

/// The figures of a payment as commitments, whether they are there or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedPayment {
    /// Commitment to what was paid, tax withheld included.
    pub amount: Commitment,
    /// Commitment to its currency, which is that of all figures here.
    pub currency: Commitment,
    /// Commitment to the tax that was withheld of it.
    pub withheld: Commitment,
    /// Commitment to the rate of exchange that was used, Hong Kong dollars for one unit.
    pub fx_rate: Commitment,
    /// Commitment to the payer's own legal and valuation fees of a purchase.
    pub fees: Commitment,
    /// Commitment to what others met of research.
    pub met_by_others: Commitment,
}

/// Most digits behind the point of a rate of exchange.
pub const FX_DECIMALS_MAX: u32 = FRACTION_DECIMALS_MAX;

impl SealedPayment {
    /// Names of the fields, in schema order.
    pub const FIELDS: [&'static str; 6] = ["/amount", "/currency", "/withheld", "/fx_rate", "/fees", "/met_by_others"];

    /// Where figures are still to be sealed: commitments to nothing, which no statement is entered with.
    pub const UNSEALED: Self = Self::new([Commitment::from_bytes([0; 32]); 6]);

    /// From the commitments to the fields, in schema order.
    pub const fn new([amount, currency, withheld, fx_rate, fees, met_by_others]: [Commitment; 6]) -> Self {
        Self { amount, currency, withheld, fx_rate, fees, met_by_others }
    }

    /// The commitments, in schema order.
    pub const fn commitments(&self) -> [Commitment; 6] {
        [self.amount, self.currency, self.withheld, self.fx_rate, self.fees, self.met_by_others]
    }
}

impl ExpenditureClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:expenditure:v1";

    /// A payment of which no more is said, and nothing is sealed yet.
    pub fn unsealed(nature: Nature, payer: Side, payee: Side, document: String, on: Date) -> Self {
        Self {
            nature,
            payer,
            payee,
            document,
            file: None,
            on,
            asset: None,
            counter_asset: None,
            ip_type: None,
            licence: None,
            artefact: None,
            credits: None,
            details: Details::default(),
            sealed: Box::new(SealedPayment::UNSEALED),
        }
    }

    /// What makes it the same as another.
    pub fn key(&self) -> PaymentKey {
        PaymentKey { payer: self.payer.clone(), payee: self.payee.clone(), document: self.document.clone() }
    }

    /// The assets it names, by member, with the side whose each has to be, where that is certain.
    pub fn assets(&self) -> impl Iterator<Item = (&'static str, StatementId, Option<&Side>)> {
        let (owner, other) = match self.nature {
            Nature::Purchase => (Some(&self.payer), Some(&self.payee)),
            Nature::Registration | Nature::RndTypeA | Nature::RndTypeB => (Some(&self.payer), None),
            Nature::Disposal => (Some(&self.payee), Some(&self.payer)),
            _ => (None, None),
        };
        let named = [("asset", self.asset, owner), ("counter_asset", self.counter_asset, other)];
        named.into_iter().filter_map(|(member, id, owner)| Some((member, id?, owner)))
    }

    /// Checks the claim alone.
    pub(super) fn validate_alone(&self) -> Result<(), StrictError> {
        validate_name(&self.document).map_err(|reason| StrictError::new("/document", reason))?;
        self.payer.validate("/payer")?;
        self.payee.validate("/payee")?;
        if self.payer == self.payee {
            return Err(StrictError::new("/payee", "nobody pays themselves"));
        }
        let missing = |member: &str| Err(StrictError::new(format!("/{member}"), format!("missing field `{member}`")));
        let stray = |member: &str, reason: &str| Err(StrictError::new(format!("/{member}"), reason));
        let needs_asset = self.nature.is_transfer() || self.nature == Nature::Registration;
        if needs_asset && self.asset.is_none() {
            return missing("asset");
        }
        if self.nature == Nature::UpfrontFee && self.asset.is_none() && self.ip_type.is_none() {
            return stray("ip_type", "the asset, or the type of the right that is licensed, is needed");
        }
        if self.asset.is_some() && self.ip_type.is_some() {
            return stray("ip_type", "the asset says what type it is of");
        }
        if self.counter_asset.is_some() && !self.nature.is_transfer() {
            return stray("counter_asset", "only a right that changes hands has two owners");
        }
        if self.counter_asset.is_some() && self.counter_asset == self.asset {
            return stray("counter_asset", "the same right in the other side's hands is another asset");
        }
        match (self.credits, self.nature.is_credit()) {
            (None, true) => return missing("credits"),
            (Some(_), false) => return stray("credits", "only a credit note or a refund takes something off another"),
            _ => {}
        }
        if self.nature.is_credit() && (self.asset.is_some() || self.ip_type.is_some()) {
            let member = if self.asset.is_some() { "asset" } else { "ip_type" };
            return stray(member, "what it credits says what it was for");
        }
        self.details.validate(self.nature).map_err(|error| error.under("/details"))
    }

    /// Checks opened figures.
    pub(super) fn check_figures(&self, openings: &[Opening]) -> Result<(), StrictError> {
        let currency: Currency = opened(openings, "/currency", str::parse)?
            .ok_or_else(|| StrictError::new("/currency", "a currency is needed"))?;
        let units = |name: &str| -> Result<Option<i128>, StrictError> {
            let figure = opened(openings, name, |text| {
                let amount: Amount = text.parse()?;
                amount.minor_units(currency)?;
                // What the engine could not take in is not taken in here.
                parse_minor(text, currency.decimals())
            })?;
            Ok(figure)
        };
        let amount = units("/amount")?.ok_or_else(|| StrictError::new("/amount", "an amount is needed"))?;
        for (name, nature_has_it) in [
            ("/withheld", self.nature == Nature::Royalty),
            ("/met_by_others", matches!(self.nature, Nature::RndTypeA | Nature::RndTypeB)),
        ] {
            match units(name)? {
                Some(_) if !nature_has_it => {
                    return Err(StrictError::new(name, format!("a {} has no such figure", self.nature.as_str())));
                }
                Some(part) if part > amount => return Err(StrictError::new(name, "more than was paid")),
                _ => {}
            }
        }
        if units("/fees")?.is_some() && self.nature != Nature::Purchase {
            return Err(StrictError::new("/fees", format!("a {} has no such figure", self.nature.as_str())));
        }
        opened(openings, "/fx_rate", |text| {
            if currency.as_str() == crate::tax::fx::HKD {
                return Err("Hong Kong dollars need no rate".to_owned());
            }
            super::positive("", text, FX_DECIMALS_MAX).map_err(|error| error.reason)
        })?;
        Ok(())
    }

    /// Sealed fields, in schema order.
    pub(super) fn sealed(&self) -> Vec<SealedField> {
        sealed_fields(SealedPayment::FIELDS.into_iter().zip(self.sealed.commitments()))
    }

    /// Both sides may read the figures.
    pub(super) fn readers(&self, of: OpeningsOf) -> Vec<NewReader> {
        [&self.payer, &self.payee].into_iter().filter_map(|side| Some(NewReader { party: side.party()?, of })).collect()
    }

    /// What judging it needs.
    pub(super) fn needs(&self, reads: &mut Reads) {
        reads.parties.extend([&self.payer, &self.payee].into_iter().filter_map(Side::party));
        reads.evidence.ids.extend([self.asset, self.counter_asset, self.credits].into_iter().flatten());
        reads.artefacts.extend(self.artefact);
        reads.licensing.licences.extend(self.licence);
    }

    /// Whether one of its sides says it.
    pub(super) fn is_said_by_a_side(&self, statement: &Statement) -> Result<(), Rejection> {
        if [&self.payer, &self.payee].into_iter().any(|side| side.is(statement.issuer())) {
            return Ok(());
        }
        Err(refuse(Code::NotAuthorised, "/issuer", "payer or payee says that something was paid"))
    }

    /// Whether everything it names is there and fits; `at` is where the claim stands in the predicate.
    pub(super) fn admit_at(&self, at: &str, statement: &Statement, view: &View) -> Result<(), Rejection> {
        let place = |member: &str| format!("{at}/{member}");
        for (member, side) in [("payer", &self.payer), ("payee", &self.payee)] {
            if let Some(party) = side.party().filter(|party| view.party(party).is_none()) {
                let reason = format!("no party {party} is registered here");
                return Err(refuse(Code::UnknownParty, &place(member), reason));
            }
        }
        self.is_said_by_a_side(statement)?;
        for (member, id, owner) in self.assets() {
            let Some(asset) = view.evidence().standing(&id, EvidenceKind::Asset) else {
                let reason = format!("no asset {id} is registered here, or it was reversed");
                return Err(refuse(Code::UnknownAsset, &place(member), reason));
            };
            if owner.is_some_and(|owner| !owner.is(asset.issuer)) {
                let side = if owner == Some(&self.payer) { "payer" } else { "payee" };
                let reason = format!("of a {} this is an asset of the {side}", self.nature.as_str());
                return Err(refuse(Code::NotAuthorised, &place(member), reason));
            }
        }
        if let Some(id) = self.licence {
            let Some(licence) = view.licensing().licence(&id) else {
                return Err(refuse(
                    Code::UnknownLicence,
                    &place("licence"),
                    format!("no licence {id} is granted here"),
                ));
            };
            let claim = &licence.claim;
            if ![claim.licensor, claim.licensee].iter().any(|side| self.payer.is(*side) || self.payee.is(*side)) {
                let reason = "neither payer nor payee is a side of this licence";
                return Err(refuse(Code::NotAuthorised, &place("licence"), reason));
            }
        }
        if let Some(id) = self.artefact.filter(|id| view.artefact(id).is_none()) {
            let reason = format!("no artefact {id} is registered here");
            return Err(refuse(Code::UnknownArtefact, &place("artefact"), reason));
        }
        let Some(credited) = self.credits else { return Ok(()) };
        match view.evidence().standing(&credited, EvidenceKind::Expenditure).map(EvidenceRecord::subject) {
            Some(Subject::Payment(key)) if (&key.payer, &key.payee) == (&self.payer, &self.payee) => Ok(()),
            Some(_) => {
                let reason = "what it credits was paid between others; payer and payee stay the same";
                Err(refuse(Code::NotAuthorised, &place("credits"), reason))
            }
            None => {
                let reason = format!("no payment {credited} is recorded here, or it was reversed");
                Err(refuse(Code::UnknownStatement, &place("credits"), reason))
            }
        }
    }
}

impl Kind for ExpenditureClaim {
    fn validate(&self) -> Result<(), StrictError> {
        self.validate_alone()
    }

    fn sealed_fields(&self) -> Vec<SealedField> {
        self.sealed()
    }

    fn check_opened(&self, openings: &[Opening]) -> Result<(), StrictError> {
        self.check_figures(openings)
    }

    fn new_readers(&self, statement: &Statement) -> Vec<NewReader> {
        self.readers(OpeningsOf::Statement(statement.id))
    }

    fn reads(&self, _: &Statement, reads: &mut Reads) {
        self.needs(reads);
        reads.evidence.subjects.push(Subject::Payment(self.key()));
    }

    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        self.admit_at("/claim", statement, view)?;
        match view.evidence().about(&Subject::Payment(self.key())) {
            Some(existing) => {
                let reason = "this payer, payee and document are recorded already";
                Err(refuse(Code::AlreadyRegistered, "/claim/document", reason).with_existing(existing))
            }
            None => Ok(()),
        }
    }

    fn may_be_said(&self, statement: &Statement, _: &View) -> Result<(), Rejection> {
        self.is_said_by_a_side(statement)
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        changes(entry)
    }
}
