//! Kind `expenditure`: somebody paid somebody for intellectual property; the figures are sealed.
//!
//! Payer or payee says it, and the other endorses it or signs along. What was paid for, between whom and under which
//! document stands open, so that nothing can be claimed twice: the same payer, payee and document number is one payment.

use serde::{Deserialize, Serialize};

use crate::admission::{Change, Code, Entry, ExpenditureRecord, PaymentKey, Reads, Rejection, View};
use crate::kind::{Kind, NewReader, OpeningsOf};
use crate::money::{Currency, Decimal};
use crate::sealed::{Commitment, Opening, SealedField};
use crate::statement::{Statement, StatementId};
use crate::strict::{self, StrictError};
use crate::terms::figures::Amount;
use crate::terms::period::Date;
use crate::text::validate_name;

/// What was paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// What an `expenditure` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpenditureClaim {
    /// What was paid for.
    pub nature: Nature,
    /// Who paid.
    pub payer: StatementId,
    /// Who was paid.
    pub payee: StatementId,
    /// Number of the invoice or other document, as its maker counts.
    pub document: String,
    /// When it was paid: a civil date in Hong Kong.
    pub on: Date,
    /// The figures, as commitments.
    pub sealed: SealedPayment,
}

/// The figures of a payment as commitments, whether they are there or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedPayment {
    /// Commitment to what was paid, tax withheld included.
    pub amount: Commitment,
    /// Commitment to its currency.
    pub currency: Commitment,
    /// Commitment to the tax that was withheld of it.
    pub withheld: Commitment,
    /// Commitment to the rate of exchange that was used, Hong Kong dollars for one unit.
    pub fx_rate: Commitment,
}

/// Most digits behind the point of a rate of exchange.
const FX_DECIMALS_MAX: u32 = 8;

/// The sealed fields, in schema order.
const FIELDS: [&str; 4] = ["/amount", "/currency", "/withheld", "/fx_rate"];

impl SealedPayment {
    fn commitments(&self) -> [Commitment; 4] {
        [self.amount, self.currency, self.withheld, self.fx_rate]
    }
}

impl ExpenditureClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:expenditure:v1";

    fn payment(&self) -> PaymentKey {
        PaymentKey { payer: self.payer, payee: self.payee, document: self.document.clone() }
    }
}

/// A sealed value as the type it has to be; `None` when it is absent.
fn opened<T>(
    openings: &[Opening],
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, StrictError> {
    let opening = openings.iter().find(|opening| opening.field.as_str() == name);
    let Some(value) = opening.and_then(Opening::value) else { return Ok(None) };
    let text: String = strict::from_slice(value).map_err(|error| error.under(name))?;
    parse(&text).map(Some).map_err(|reason| StrictError::new(name, reason))
}

impl Kind for ExpenditureClaim {
    fn validate(&self) -> Result<(), StrictError> {
        validate_name(&self.document).map_err(|reason| StrictError::new("/document", reason))?;
        if self.payer == self.payee {
            return Err(StrictError::new("/payee", "nobody pays themselves"));
        }
        Ok(())
    }

    fn sealed_fields(&self) -> Vec<SealedField> {
        let fields = FIELDS.into_iter().zip(self.sealed.commitments());
        fields.filter_map(|(name, commitment)| Some(SealedField { field: name.parse().ok()?, commitment })).collect()
    }

    fn check_opened(&self, openings: &[Opening]) -> Result<(), StrictError> {
        let currency: Currency = opened(openings, "/currency", str::parse)?
            .ok_or_else(|| StrictError::new("/currency", "a currency is needed"))?;
        let units = |name: &str| -> Result<Option<i128>, StrictError> {
            let amount: Option<Amount> = opened(openings, name, str::parse)?;
            amount
                .map(|amount| amount.minor_units(currency))
                .transpose()
                .map_err(|reason| StrictError::new(name, reason))
        };
        let amount = units("/amount")?.ok_or_else(|| StrictError::new("/amount", "an amount is needed"))?;
        if units("/withheld")?.is_some_and(|withheld| withheld > amount) {
            return Err(StrictError::new("/withheld", "more than was paid"));
        }
        opened(openings, "/fx_rate", |text| Decimal::parse(text, FX_DECIMALS_MAX))?;
        Ok(())
    }

    fn new_readers(&self, statement: &Statement) -> Vec<NewReader> {
        let of = OpeningsOf::Statement(statement.id);
        vec![NewReader { party: self.payer, of }, NewReader { party: self.payee, of }]
    }

    fn reads(&self, _: &Statement, reads: &mut Reads) {
        reads.parties.extend([self.payer, self.payee]);
        reads.payments.push(self.payment());
    }

    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        let refuse = |code, place: &str, reason: String| {
            Rejection::in_payload(code, StrictError::new(format!("/predicate{place}"), reason))
        };
        for (place, party) in [("/claim/payer", self.payer), ("/claim/payee", self.payee)] {
            if view.party(&party).is_none() {
                return Err(refuse(Code::UnknownParty, place, format!("no party {party} is registered here")));
            }
        }
        if ![self.payer, self.payee].contains(&statement.issuer()) {
            return Err(refuse(
                Code::NotAuthorised,
                "/issuer",
                "payer or payee says that something was paid".to_owned(),
            ));
        }
        match view.payment(&self.payment()) {
            Some(existing) => {
                let reason = "this payer, payee and document are recorded already".to_owned();
                Err(refuse(Code::AlreadyRegistered, "/claim/document", reason).with_existing(existing))
            }
            None => Ok(()),
        }
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        let payment = self.payment();
        vec![Change::Expenditure(ExpenditureRecord { id: entry.statement.id, index: entry.index, payment })]
    }
}
