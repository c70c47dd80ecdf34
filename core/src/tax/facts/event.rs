//! One event: its members, its money, its year.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{name, parsed, rate};
use super::wire::{RawEvent, RawNature, RawPayee};
use super::{
    Acquires, Counterparty, EndUser, Event, Funding, LapseCause, Money, NOT_DESIGNATED, Nature, PatentBox, Payee,
    PerformedBy, Purchase, Research, ResearchPlace, Royalty, Taxpayer, Trade, TreatyCap, Use, UsedBy, UsedIn,
};
use crate::code::Jurisdiction;
use crate::money::{Amount, Currency, Decimal, FRACTION_DECIMALS_MAX, Fraction, parse_minor};
use crate::strict::StrictError;
use crate::tax::fx::{HKD, Rate};
use crate::tax::year::{Date, Year, YearEnd};

/// Longest term of a licence, in years: longer than any right lasts.
const TERM_YEARS_MAX: u32 = 100;

/// What events are read with.
pub(super) struct Reader<'a> {
    taxpayer: &'a Taxpayer,
    assets: &'a BTreeMap<&'a str, usize>,
    rates: &'a [Rate],
    /// By asset: when the taxpayer succeeded to it, and when its predecessor closes its accounts, if said.
    successions: BTreeMap<usize, (Date, Option<YearEnd>)>,
}

/// One event and its place, for pointers.
struct Place<'a> {
    place: usize,
    raw: &'a RawEvent,
}

impl Place<'_> {
    fn at(&self, member: &str) -> String {
        format!("/events/{}/{member}", self.place)
    }

    fn error(&self, member: &str, reason: impl Into<String>) -> StrictError {
        StrictError::new(self.at(member), reason)
    }

    /// Checks that the members fit the nature.
    fn members(&self) -> Result<(), StrictError> {
        let nature = self.raw.nature;
        if let Some(stray) = self.raw.members().find(|member| !nature.has(member)) {
            let reason = match (nature, stray) {
                (RawNature::Royalty, "counterparty") => "who receives a royalty is its `payee`",
                _ => "events of this nature have no such member",
            };
            return Err(self.error(stray, reason));
        }
        let present: BTreeSet<&str> = self.raw.members().collect();
        match nature.members().0.iter().find(|member| !present.contains(**member)) {
            Some(missing) => Err(self.error(missing, "this member is missing")),
            None => Ok(()),
        }
    }

    fn day(&self) -> Result<Option<Date>, StrictError> {
        parsed(self.at("date"), self.raw.date.as_deref().map(str::parse).transpose())
    }

    fn fraction(&self, member: &str, text: Option<&str>) -> Result<Option<Fraction>, StrictError> {
        parsed(self.at(member), text.map(Fraction::parse).transpose())
    }

    fn share(&self) -> Result<Option<Fraction>, StrictError> {
        let share = self.fraction("share", self.raw.share.as_deref())?;
        if share == Some(Fraction::ZERO) {
            return Err(self.error("share", "a share is more than nothing"));
        }
        Ok(share)
    }
}

/// The money of an event: its currency and how to convert it.
struct Purse<'a> {
    place: &'a Place<'a>,
    currency: Currency,
    rate: Option<Rate>,
}

impl Purse<'_> {
    fn money(&self, member: &str, text: &str) -> Result<Money, StrictError> {
        let minor = parsed(self.place.at(member), parse_minor(text, self.currency.decimals()))?;
        let Some(rate) = &self.rate else {
            return Ok(Money { amount: Amount::from_cents(minor), conversion: None });
        };
        let converted = rate.convert(minor, self.currency).map_err(|error| error.to_string());
        let (amount, conversion) = parsed(self.place.at(member), converted)?;
        Ok(Money { amount, conversion: Some(Box::new(conversion)) })
    }

    fn main(&self) -> Result<Money, StrictError> {
        self.money("amount", self.place.raw.amount.as_deref().unwrap_or_default())
    }

    fn other(&self, member: &str, text: Option<&str>) -> Result<Option<Money>, StrictError> {
        text.map(|text| self.money(member, text)).transpose()
    }
}

impl<'a> Reader<'a> {
    /// Prepares reading: finds the successions, because they decide the years of other events.
    ///
    /// # Errors
    /// A [`StrictError`] at a succession that is not well formed or the second of its asset.
    pub(super) fn new(
        taxpayer: &'a Taxpayer,
        assets: &'a BTreeMap<&'a str, usize>,
        rates: &'a [Rate],
        events: &[RawEvent],
        left_out: &BTreeSet<usize>,
    ) -> Result<Self, StrictError> {
        let mut reader = Self { taxpayer, assets, rates, successions: BTreeMap::new() };
        for (place, raw) in events.iter().enumerate() {
            if raw.nature != RawNature::Succession || left_out.contains(&place) {
                continue;
            }
            let place = Place { place, raw };
            place.members()?;
            let Some((asset, day)) = reader.asset(&place)?.zip(place.day()?) else { continue };
            let year_end = raw.predecessor.as_ref().and_then(|predecessor| predecessor.year_end.as_deref());
            let year_end = parsed(place.at("predecessor/year_end"), year_end.map(str::parse).transpose())?;
            if reader.successions.insert(asset, (day, year_end)).is_some() {
                return Err(place.error("asset", "this asset has a succession already"));
            }
        }
        Ok(reader)
    }

    /// Reads one event; a reversal is none by itself.
    ///
    /// # Errors
    /// A [`StrictError`] at the member that is wrong.
    pub(super) fn event(&self, place: usize, raw: &RawEvent) -> Result<Option<Event>, StrictError> {
        let place = Place { place, raw };
        place.members()?;
        let asset = self.asset(&place)?;
        let day = place.day()?;
        if raw.nature == RawNature::Reversal {
            return Ok(None);
        }
        let stated = parsed(place.at("year"), raw.year.as_deref().map(str::parse::<Year>).transpose())?;
        // What is about a year has the rate of its last day: a rate of later is none of that year's.
        let last_day = || Some(self.taxpayer.basis_period(stated?)?.1);
        let purse = self.purse(&place, day.or_else(last_day))?;
        let nature = self.nature(&place, &purse)?;
        // Money spent before the business began counts from its first day (sections 16E(3A), 16EA(10), Schedule 45 section
        // 7(2)). When a predecessor's began is not known.
        let is_spent = matches!(raw.nature, RawNature::Purchase | RawNature::RndTypeA | RawNature::RndTypeB);
        let commenced = self.taxpayer.commenced.filter(|_| is_spent);
        let day = match (day, commenced) {
            (Some(day), Some(commenced)) if self.predecessor(asset, day).is_none() => Some(day.max(commenced)),
            _ => day,
        };
        let year = match (day, stated) {
            (Some(day), _) => self.year_of(asset, day),
            (None, Some(year)) => year,
            (None, None) => return Err(place.error("date", "this member is missing")),
        };
        if year < Year::FIRST {
            return Err(
                place.error("date", format!("it falls before {}, the first year there are rules for", Year::FIRST))
            );
        }
        let (id, attested_by) = (raw.id.clone(), raw.attested_by);
        Ok(Some(Event { id, place: place.place, asset, day, year, attested_by, nature }))
    }

    fn asset(&self, place: &Place<'_>) -> Result<Option<usize>, StrictError> {
        let Some(id) = &place.raw.asset else { return Ok(None) };
        let found = self.assets.get(id.as_str()).copied();
        found.map(Some).ok_or_else(|| place.error("asset", format!("there is no asset {id:?}")))
    }

    /// The succession before which an asset was a predecessor's on that day: when, and how that one closed its accounts.
    fn predecessor(&self, asset: Option<usize>, day: Date) -> Option<&(Date, Option<YearEnd>)> {
        asset.and_then(|asset| self.successions.get(&asset)).filter(|(on, _)| day <= *on)
    }

    fn year_of(&self, asset: Option<usize>, day: Date) -> Year {
        let predecessor = self.predecessor(asset, day).and_then(|(_, year_end)| *year_end);
        predecessor.map_or_else(|| self.taxpayer.year_of(day), |year_end| year_end.year_of(day))
    }

    fn purse<'p>(&self, place: &'p Place<'p>, day: Option<Date>) -> Result<Purse<'p>, StrictError> {
        let raw = place.raw;
        let currency: Currency = parsed(place.at("currency"), raw.currency.as_deref().unwrap_or(HKD).parse())?;
        let own = raw.fx.as_ref().map(|fx| rate(&place.at("fx"), fx)).transpose()?;
        if own.as_ref().is_some_and(|own| !own.is_for(currency.as_str())) {
            return Err(place.error("fx", format!("this is no rate between {currency} and HKD")));
        }
        let has_money = raw.amount.is_some() || raw.profit.is_some();
        if currency.as_str() == HKD || !has_money {
            return Ok(Purse { place, currency, rate: None });
        }
        let known = self.rates.iter().filter(|rate| rate.is_for(currency.as_str()));
        let found = own.or_else(|| Rate::of_day(known.clone(), day?).cloned());
        let Some(rate) = found else {
            let day = day.map(|day| format!(" for {day}")).unwrap_or_default();
            let first = known.filter_map(|rate| rate.since.or(rate.date)).min();
            let first = first.map(|first| format!("; those there are begin with {first}")).unwrap_or_default();
            let reason =
                format!("there is no rate from {currency} to HKD{day}{first}; add `fx` here, or one to `rates`");
            return Err(place.error("currency", reason));
        };
        Ok(Purse { place, currency, rate: Some(rate) })
    }

    fn nature(&self, place: &Place<'_>, purse: &Purse<'_>) -> Result<Nature, StrictError> {
        let raw = place.raw;
        Ok(match raw.nature {
            RawNature::Purchase => Nature::Purchase(Box::new(purchase(place, purse)?)),
            RawNature::Use => Nature::Use(Use {
                fraction: place.fraction("fraction", raw.fraction.as_deref())?.unwrap_or(Fraction::ONE),
                is_licensed: matches!(raw.by, Some(UsedBy::LicenseeHk | UsedBy::LicenseeAbroad)),
                is_abroad: raw.by == Some(UsedBy::LicenseeAbroad),
                is_taxed_here: raw.taxed_in_hk.unwrap_or(false),
            }),
            RawNature::Disposal => {
                counterparty(place)?;
                Nature::Disposal(purse.main()?, place.share()?)
            }
            RawNature::UpfrontFee => {
                counterparty(place)?;
                if raw.term_years.is_some_and(|years| !(1..=TERM_YEARS_MAX).contains(&years)) {
                    return Err(place.error("term_years", format!("a term of 1 to {TERM_YEARS_MAX} years is expected")));
                }
                Nature::UpfrontFee(purse.main()?, raw.term_years)
            }
            RawNature::Royalty => Nature::Royalty(Box::new(Royalty {
                gross: purse.main()?,
                payee: raw.payee.as_ref().map(|payee| read_payee(place, payee)).transpose()?,
                withheld: purse.other("withheld", raw.withheld.as_deref())?.unwrap_or_default().amount,
                is_used_abroad: raw.used_in == Some(UsedIn::Abroad),
                is_film: raw.film.unwrap_or(false),
            })),
            RawNature::Registration => Nature::Registration(purse.main()?),
            RawNature::RndTypeA | RawNature::RndTypeB => Nature::Research(Box::new(self.research(place, purse)?)),
            RawNature::Succession => Nature::Succession,
            RawNature::PatentBox => {
                let money =
                    |member, text: &Option<String>| purse.other(member, text.as_deref()).map(Option::unwrap_or_default);
                let (eligible, other) = (money("ee", &raw.ee)?, money("ne", &raw.ne)?);
                if eligible.amount.is_zero() && other.amount.is_zero() {
                    return Err(place.error("ee", "without any expenditure there is no fraction"));
                }
                let (profit, is_elected) = (money("profit", &raw.profit)?, raw.elected.unwrap_or(true));
                Nature::PatentBox(Box::new(PatentBox { profit, eligible, other, is_elected }))
            }
            RawNature::Lapse => Nature::Lapse(raw.cause.unwrap_or(LapseCause::Expired)),
            RawNature::Claim => Nature::Claim(purse.main()?),
            RawNature::TitleLeft | RawNature::Reversal => {
                counterparty(place)?;
                Nature::TitleLeft
            }
        })
    }

    fn research(&self, place: &Place<'_>, purse: &Purse<'_>) -> Result<Research, StrictError> {
        let raw = place.raw;
        counterparty(place)?;
        let spent = purse.main()?;
        let met_by_others = purse.other("met_by_others", raw.met_by_others.as_deref())?.unwrap_or_default();
        if met_by_others.amount > spent.amount {
            return Err(place.error("met_by_others", "more than what was spent"));
        }
        let is_type_b = raw.nature == RawNature::RndTypeB;
        let is_overseas = raw.place == Some(ResearchPlace::Overseas);
        if is_type_b && is_overseas {
            return Err(place.error("place", "what is spent overseas is type A (Schedule 45, section 2)"));
        }
        if is_type_b && raw.performed_by == Some(PerformedBy::RdInstitution) {
            return Err(place.error("performed_by", NOT_DESIGNATED));
        }
        let assessed =
            place.day()?.map_or(&self.taxpayer.first, |day| self.taxpayer.assessed(self.taxpayer.year_of(day)));
        let stated = place.fraction("proportion", raw.proportion.as_deref())?.or(assessed.hk_proportion);
        let proportion = if is_overseas && assessed.trade == Trade::PartlyHk {
            let reason = "overseas research of a trade partly outside Hong Kong needs its deductible proportion";
            stated.ok_or_else(|| place.error("proportion", reason))?
        } else {
            Fraction::ONE
        };
        Ok(Research {
            spent,
            met_by_others,
            is_type_b,
            proportion,
            is_vested: raw.vested.unwrap_or(true),
            is_for_another: raw.for_another.unwrap_or(false),
            performed_by: raw.performed_by.unwrap_or(PerformedBy::Taxpayer),
            is_avoidance: raw.avoidance.unwrap_or(false),
        })
    }
}

fn purchase(place: &Place<'_>, purse: &Purse<'_>) -> Result<Purchase, StrictError> {
    let raw = place.raw;
    let end_user = raw.end_user.as_ref().map(|end_user| {
        let purchased = parsed(place.at("end_user/purchased"), end_user.purchased.parse())?;
        let price = purse.money("end_user/price", &end_user.price)?.amount;
        Ok::<_, StrictError>(EndUser { purchased, price, deducted: end_user.deducted })
    });
    Ok(Purchase {
        price: purse.main()?,
        share: place.share()?.unwrap_or(Fraction::ONE),
        fees: purse.other("fees", raw.fees.as_deref())?.unwrap_or_default(),
        seller: counterparty(place)?,
        is_non_recourse: raw.funding == Some(Funding::NonRecourse),
        is_licensed_back: raw.licensed_back.unwrap_or(false),
        end_user: end_user.transpose()?,
        is_licence: raw.acquires == Some(Acquires::Licence),
        intended_use: place.fraction("fraction", raw.fraction.as_deref())?,
        seller_cost: purse.other("seller_cost", raw.seller_cost.as_deref())?,
        is_early_termination: raw.early_termination.unwrap_or(false),
    })
}

fn counterparty(place: &Place<'_>) -> Result<Counterparty, StrictError> {
    let Some(raw) = &place.raw.counterparty else { return Ok(Counterparty::default()) };
    let residence = raw.residence.as_deref().map(|code| residence(&place.at("counterparty/residence"), code));
    Ok(Counterparty { is_associate: raw.associate.unwrap_or(false), residence: residence.transpose()? })
}

fn read_payee(place: &Place<'_>, raw: &RawPayee) -> Result<Payee, StrictError> {
    if let Some(text) = &raw.name {
        name(&place.at("payee/name"), text)?;
    }
    let residence = raw.residence.as_deref().map(|code| residence(&place.at("payee/residence"), code));
    Ok(Payee {
        name: raw.name.clone(),
        is_associate: raw.associate.unwrap_or(false),
        residence: residence.transpose()?,
        entity: raw.entity.unwrap_or_default(),
        is_two_tier: raw.two_tier.unwrap_or(false),
        ever_hk_owned: raw.ever_hk_owned,
        treaty: read_treaty_cap(&place.at("payee/treaty_cap"), raw.treaty_cap.as_deref())?,
    })
}

/// A place of residence: an ISO 3166-1 code, or one that the standard leaves to its users, such as XA.
fn residence(pointer: &str, code: &str) -> Result<String, StrictError> {
    // The United Kingdom is widely written so.
    if code == "UK" {
        return Ok("GB".to_owned());
    }
    let is_code = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_left_to_users =
        is_code && (code.starts_with('X') || ("QM"..="QZ").contains(&code) || ["AA", "ZZ"].contains(&code));
    if is_left_to_users {
        return Ok(code.to_owned());
    }
    parsed(pointer, Jurisdiction::new(code)).map(|known| known.as_str().to_owned())
}

/// A cap: a fraction such as 0.03, a percentage such as 3 or 3%, or none.
///
/// # Errors
/// A [`StrictError`] at the pointer.
pub(crate) fn read_treaty_cap(pointer: &str, text: Option<&str>) -> Result<TreatyCap, StrictError> {
    let Some(text) = text else { return Ok(TreatyCap::ByResidence) };
    if text == "none" {
        return Ok(TreatyCap::Unavailable);
    }
    let (number, is_percentage) = text.strip_suffix('%').map_or((text, false), |number| (number, true));
    let read = parsed(pointer, Decimal::parse(number, FRACTION_DECIMALS_MAX))?.trimmed();
    let one = 10_i128.pow(read.decimals);
    let cap = if is_percentage || read.mantissa >= one {
        Decimal { decimals: read.decimals + 2, ..read }.trimmed()
    } else {
        read
    };
    if cap.mantissa > 10_i128.pow(cap.decimals) {
        return Err(StrictError::new(pointer, format!("{text:?} is more than everything")));
    }
    Ok(TreatyCap::Of(cap))
}
