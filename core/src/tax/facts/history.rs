//! What events say together: nothing is sold before it was bought, or twice, or used more than wholly.

use std::collections::BTreeMap;

use super::{Asset, Event, Nature};
use crate::money::Fraction;
use crate::strict::StrictError;
use crate::tax::year::{Date, Year};

/// Most purchases, and most sales, of one right: each sale is settled with each purchase.
const DEALINGS_MAX: u32 = 50;

/// What is known of an asset while its events pass by.
#[derive(Default)]
struct Held {
    /// When the taxpayer first came by it.
    since: Option<Date>,
    /// Shares bought less shares sold, in parts per 10^8; more than the whole when shares don't fit together.
    parts: u64,
    /// Purchases, and sales.
    dealings: [u32; 2],
    /// Own use by year.
    used: BTreeMap<Year, Fraction>,
}

/// Checks events in the order in which they happened.
///
/// # Errors
/// A [`StrictError`] at the event that contradicts those before it.
pub(super) fn check(assets: &[Asset], events: &[Event]) -> Result<(), StrictError> {
    let mut held: Vec<Held> = Vec::new();
    held.resize_with(assets.len(), Held::default);
    // What comes in on a day comes before what goes out on it; use has no day and depends on nothing.
    let mut ordered: Vec<&Event> = events.iter().collect();
    ordered.sort_by_key(|event| (event.day, matches!(event.nature, Nature::Disposal(..))));
    for event in ordered {
        if let Some(held) = event.asset.and_then(|asset| held.get_mut(asset)) {
            held.follow(event)?;
        }
    }
    Ok(())
}

impl Held {
    fn follow(&mut self, event: &Event) -> Result<(), StrictError> {
        let [purchases, sales] = &mut self.dealings;
        let counted = match &event.nature {
            Nature::Purchase(_) => purchases,
            Nature::Disposal(..) => sales,
            _ => &mut 0,
        };
        *counted = counted.saturating_add(1);
        if *counted > DEALINGS_MAX {
            return Err(error(event, "asset", format!("more than {DEALINGS_MAX} purchases or sales of one right")));
        }
        match &event.nature {
            Nature::Use(used) if !used.is_abroad => self.uses(event, used.fraction),
            Nature::Disposal(_, share) => self.goes_out(event, *share),
            Nature::Purchase(purchase) => {
                self.comes_in(event, purchase.share);
                Ok(())
            }
            Nature::Research(_) | Nature::Succession if self.since.is_none() => {
                self.comes_in(event, Fraction::ONE);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn comes_in(&mut self, event: &Event, share: Fraction) {
        self.parts = self.parts.saturating_add(u64::from(share.parts()));
        self.since = self.since.or(event.day);
    }

    fn uses(&mut self, event: &Event, fraction: Fraction) -> Result<(), StrictError> {
        let sum = self.used.get(&event.year).copied().unwrap_or(Fraction::ZERO).plus(fraction);
        let sum = sum.ok_or_else(|| error(event, "fraction", format!("the use in {} is more than 1", event.year)))?;
        self.used.insert(event.year, sum);
        Ok(())
    }

    fn goes_out(&mut self, event: &Event, share: Option<Fraction>) -> Result<(), StrictError> {
        if self.since.is_none() {
            let reason = "sold before it was bought: no event up to this day says how the taxpayer came by it";
            return Err(error(event, "date", reason));
        }
        if self.parts == 0 {
            return Err(error(event, "asset", "nothing of it is left to be sold"));
        }
        let sold = share.map_or(self.parts, |share| u64::from(share.parts()));
        let left = self.parts.checked_sub(sold);
        self.parts = left.ok_or_else(|| error(event, "share", "more than the taxpayer holds"))?;
        Ok(())
    }
}

fn error(event: &Event, member: &str, reason: impl Into<String>) -> StrictError {
    StrictError::new(format!("/events/{}/{member}", event.place), reason)
}
