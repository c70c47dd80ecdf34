//! The events of one asset, put where the sections look for them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::money::Fraction;
use crate::tax::facts::{Asset, Event, Facts, LapseCause, Nature, Purchase, Use};
use crate::tax::year::{Date, Year};

/// Use in one year.
#[derive(Debug, Default)]
pub(super) struct YearOfUse<'a> {
    /// The taxpayer's own, by itself or a licensee in Hong Kong; nothing where no event says so.
    pub own: Option<Fraction>,
    /// A licensee's abroad.
    pub abroad: Option<Use>,
    /// Whether some of it was a licensee's, here or abroad.
    pub is_licensed: bool,
    /// The events.
    pub events: Vec<&'a str>,
}

/// What happened to one asset.
#[derive(Debug)]
pub(super) struct History<'a> {
    pub asset: &'a Asset,
    pub purchases: Vec<(&'a Event, &'a Purchase)>,
    pub uses: BTreeMap<Year, YearOfUse<'a>>,
    /// Sales, in the order in which they happened.
    pub sales: Vec<&'a Event>,
    pub research: Vec<&'a Event>,
    pub lapses: Vec<(&'a Event, LapseCause)>,
    pub succession: Option<&'a Event>,
    pub titles_left: Vec<&'a Event>,
    pub claims: Vec<&'a Event>,
}

/// The history of every asset, in the order of the facts.
pub(super) fn of(facts: &Facts) -> Vec<History<'_>> {
    let mut histories: Vec<History<'_>> = facts.assets.iter().map(History::empty).collect();
    for event in &facts.events {
        if let Some(history) = event.asset.and_then(|asset| histories.get_mut(asset)) {
            history.take(event);
        }
    }
    histories
}

impl<'a> History<'a> {
    const fn empty(asset: &'a Asset) -> Self {
        Self {
            asset,
            purchases: Vec::new(),
            uses: BTreeMap::new(),
            sales: Vec::new(),
            research: Vec::new(),
            lapses: Vec::new(),
            succession: None,
            titles_left: Vec::new(),
            claims: Vec::new(),
        }
    }

    fn take(&mut self, event: &'a Event) {
        match &event.nature {
            Nature::Purchase(purchase) => self.purchases.push((event, purchase)),
            Nature::Use(used) => {
                let year = self.uses.entry(event.year).or_default();
                year.events.push(&event.id);
                year.is_licensed |= used.is_licensed;
                if used.is_abroad {
                    // One licensee abroad is enough; the fractions of several tell nothing more.
                    let is_taxed = year.abroad.is_none_or(|before| before.is_taxed_here) && used.is_taxed_here;
                    year.abroad = Some(Use { is_taxed_here: is_taxed, ..*used });
                } else {
                    // Reading has checked that the sum is no more than the whole.
                    let sum = year.own.unwrap_or(Fraction::ZERO).plus(used.fraction);
                    year.own = Some(sum.unwrap_or(Fraction::ONE));
                }
            }
            Nature::Disposal(..) => self.sales.push(event),
            Nature::Research(_) => self.research.push(event),
            Nature::Lapse(cause) => self.lapses.push((event, *cause)),
            Nature::Succession => self.succession = Some(event),
            Nature::TitleLeft => self.titles_left.push(event),
            Nature::Claim(_) => self.claims.push(event),
            Nature::UpfrontFee(..) | Nature::Royalty(_) | Nature::Registration(_) | Nature::PatentBox(..) => {}
        }
    }

    /// Whether a licensee used the right in one of these years.
    pub(super) fn is_licensed(&self, years: RangeInclusive<Year>) -> bool {
        self.uses.range(years).any(|(_, used)| used.is_licensed)
    }

    /// The first event by which the right was no more, when it was by this day.
    pub(super) fn lapsed_by(&self, day: Option<Date>) -> Option<&'a Event> {
        let refused = |cause: LapseCause| cause == LapseCause::Refused;
        let mut lapses = self.lapses.iter();
        lapses.find(|(event, cause)| refused(*cause) || (day.is_some() && event.day <= day)).map(|(event, _)| *event)
    }
}
