//! The figures of a payment: opened, typed, and with the rate that leads to Hong Kong dollars.

use serde_json::{Map, Value, json};

use super::super::evidence::{Evidence, Said, Version};
use super::super::payment::{ExpenditureClaim, FX_DECIMALS_MAX, SealedPayment};
use super::super::{opened, rate::FxRateClaim};
use super::SetAsideCode;
use crate::money::{Currency, Decimal, RATE_DECIMALS_MAX, parse_minor};
use crate::sealed::Opening;
use crate::strict::StrictError;
use crate::tax::facts::AttestedBy;
use crate::tax::fx::HKD;
use crate::tax::year::{Date, YearEnd};

/// What was opened of a payment. Amounts are decimal numbers in its currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// The currency of all of them.
    pub currency: Currency,
    /// What was paid, tax withheld included.
    pub amount: Decimal,
    /// What credit notes and refunds took off it since.
    pub credited: Decimal,
    /// Those credit notes and refunds, in the order of the log.
    pub credits: Vec<Credit>,
    /// What was withheld of it.
    pub withheld: Option<Decimal>,
    /// Legal and valuation fees.
    pub fees: Option<Decimal>,
    /// What others met.
    pub met_by_others: Option<Decimal>,
    /// The rate, for foreign money.
    pub rate: Option<UsedRate>,
}

/// A credit note or refund that took something off a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// Its place in the log.
    pub index: u64,
    /// Who attests it.
    pub attested_by: AttestedBy,
}

/// Who says a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RateOf {
    /// The operator published it, for everybody.
    Operator,
    /// The taxpayer published it, for itself.
    Taxpayer,
    /// The payment states it, and nobody published it.
    Payment,
}

/// A rate as a payment uses it: `units` of `from` are `rate` of `to`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct UsedRate {
    /// The currency counted in units.
    pub from: String,
    /// How many units.
    pub units: String,
    /// The currency they are expressed in.
    pub to: String,
    /// How much of it they are.
    pub rate: String,
    /// Who published it, as whoever entered it says; nothing where only the payment itself says so.
    pub source: Option<String>,
    /// For which day, where it was published.
    pub date: Option<Date>,
    /// The entry that says so: an `fx_rate`, or the payment itself.
    pub index: u64,
    /// Who says so.
    pub said_by: RateOf,
    /// Whether the operator says so, and it is not out of date.
    #[serde(skip)]
    pub is_sourced: bool,
}

impl UsedRate {
    /// As the engine reads it. What a taxpayer says of its own rate is no source.
    pub(super) fn to_fact(&self) -> Value {
        let mut members = Map::new();
        for (member, text) in [("from", &self.from), ("units", &self.units), ("to", &self.to), ("rate", &self.rate)] {
            members.insert(member.to_owned(), json!(text));
        }
        let source = self.source.as_ref().filter(|_| self.is_sourced);
        members.extend(source.map(|source| ("source".to_owned(), json!(source))));
        members.extend(self.date.map(|date| ("date".to_owned(), json!(date))));
        Value::Object(members)
    }
}

impl Figures {
    /// Reads the openings of a version.
    ///
    /// # Errors
    /// A code and a sentence naming the figure, or the rate that is missing.
    pub(super) fn read(
        evidence: &Evidence,
        version: &Version<ExpenditureClaim>,
        claim: &ExpenditureClaim,
    ) -> Result<Self, (SetAsideCode, String)> {
        let openings = &version.openings;
        let is_opened = |name: &str| openings.iter().any(|opening| opening.field.as_str() == name);
        for name in SealedPayment::FIELDS {
            if !is_opened(name) {
                return Err((SetAsideCode::NotOpened, format!("{name} was not opened")));
            }
        }
        let bad = |error: StrictError| (SetAsideCode::BadFigure, error.to_string());
        claim.check_figures(openings).map_err(bad)?;
        let missing = |name: &str| (SetAsideCode::BadFigure, format!("{name}: is absent"));
        let currency: Currency =
            opened(openings, "/currency", str::parse).map_err(bad)?.ok_or_else(|| missing("/currency"))?;
        let figure = |name: &str| figure(openings, name, currency).map_err(bad);
        let amount = figure("/amount")?.ok_or_else(|| missing("/amount"))?;
        let own = opened(openings, "/fx_rate", |text| Decimal::parse(text, FX_DECIMALS_MAX)).map_err(bad)?;
        let is_foreign = currency.as_str() != HKD;
        let rate = is_foreign.then(|| rate(evidence, version.index, currency, claim.on, own)).flatten();
        if is_foreign && rate.is_none() {
            let reason = format!(
                "no rate between {currency} and HKD of {} or earlier is published, and the payment states none",
                claim.on
            );
            return Err((SetAsideCode::RateMissing, reason));
        }
        Ok(Self {
            currency,
            amount,
            credited: Decimal { mantissa: 0, decimals: amount.decimals },
            credits: Vec::new(),
            withheld: figure("/withheld")?,
            fees: figure("/fees")?,
            met_by_others: figure("/met_by_others")?,
            rate,
        })
    }

    /// What is left of the amount.
    pub fn net(&self) -> Decimal {
        let mantissa = self.amount.mantissa.saturating_sub(self.credited.mantissa);
        Decimal { mantissa, ..self.amount }
    }

    /// Takes a credit off; `false`, and nothing happens, where it does not fit.
    pub(super) fn take_off(&mut self, credit: &Self, said: Credit) -> bool {
        let Some(left) = self.net().mantissa.checked_sub(credit.amount.mantissa).filter(|left| *left >= 0) else {
            return false;
        };
        if credit.currency != self.currency {
            return false;
        }
        self.credited.mantissa = self.amount.mantissa.saturating_sub(left);
        self.credits.push(said);
        true
    }

    /// Who attests what is left: both sides only where both attest every credit, too.
    pub(super) fn attested_by(&self, own: AttestedBy) -> AttestedBy {
        let mut all = core::iter::once(own).chain(self.credits.iter().map(|credit| credit.attested_by));
        all.find(|by| *by != AttestedBy::Both).unwrap_or(AttestedBy::Both)
    }
}

/// A figure with the decimals of its currency.
fn figure(openings: &[Opening], name: &str, currency: Currency) -> Result<Option<Decimal>, StrictError> {
    let decimals = currency.decimals();
    let minor = opened(openings, name, |text| parse_minor(text, decimals))?;
    Ok(minor.map(|mantissa| Decimal { mantissa, decimals }))
}

/// The rate of a payment: its own, with the source of a published one that says the same; else a published one that is not
/// dated after it: the operator's, where one is of the payment's year of assessment or the year before, else the newest.
fn rate(evidence: &Evidence, index: u64, currency: Currency, on: Date, own: Option<Decimal>) -> Option<UsedRate> {
    let published = evidence.rates.iter().filter(|said| {
        let counts = said.issuer == evidence.operator || said.issuer == evidence.taxpayer;
        counts && said.claim.foreign() == currency && said.claim.date <= on
    });
    let says_own = |claim: &FxRateClaim| {
        own.is_none_or(|own| claim.to.as_str() == HKD && is_same(&claim.rate, own) && claim.units == "1")
    };
    let is_operators = |said: &Said<FxRateClaim>| said.issuer == evidence.operator;
    let oldest = YearEnd::MARCH.year_of(on).previous().first_day();
    let is_sourced = |said: &Said<FxRateClaim>| is_operators(said) && oldest.is_none_or(|day| day <= said.claim.date);
    let newest = published
        .filter(|said| says_own(&said.claim))
        .max_by_key(|said| (is_sourced(said), said.claim.date, is_operators(said), said.index));
    match (newest, own) {
        (Some(said), _) => Some(UsedRate {
            from: said.claim.from.to_string(),
            units: said.claim.units.clone(),
            to: said.claim.to.to_string(),
            rate: said.claim.rate.clone(),
            source: Some(said.claim.source.clone()),
            date: Some(said.claim.date),
            index: said.index,
            said_by: if is_operators(said) { RateOf::Operator } else { RateOf::Taxpayer },
            is_sourced: is_sourced(said),
        }),
        (None, Some(own)) => Some(UsedRate {
            from: currency.to_string(),
            units: "1".to_owned(),
            to: HKD.to_owned(),
            rate: own.to_string(),
            source: None,
            date: None,
            index,
            said_by: RateOf::Payment,
            is_sourced: false,
        }),
        (None, None) => None,
    }
}

fn is_same(text: &str, number: Decimal) -> bool {
    Decimal::parse(text, RATE_DECIMALS_MAX).is_ok_and(|read| read.trimmed() == number.trimmed())
}
