//! Until when what was said of an asset has to be kept. Years count from its disposal or from what was said of it last, not from
//! the entry: a disposal turns on what was once paid (Inland Revenue Ordinance, sections 16E(3), 16EB and 51C).

use super::correction::Replacement;
use super::evidence::Evidence;
use super::payment::{ExpenditureClaim, Nature};
use crate::kind::Claim;
use crate::money::Fraction;
use crate::statement::StatementId;
use crate::tax::year::Date;

/// How an asset stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holding {
    /// It is no longer held; the last day of which anything is said of it, where there is one.
    Left(Option<Date>),
    /// It is held.
    Still,
}

/// The assets that a statement's figures are about.
pub fn assets_of(claim: &Claim) -> Vec<StatementId> {
    let of_payment = |claim: &ExpenditureClaim| [claim.asset, claim.counter_asset].into_iter().flatten().collect();
    match claim {
        Claim::Expenditure(claim) => of_payment(claim),
        Claim::Use(claim) => vec![claim.asset],
        Claim::Correction(correction) => match &correction.replacement {
            Some(Replacement::Expenditure(claim)) => of_payment(claim),
            Some(Replacement::Use(claim)) => vec![claim.asset],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// How an asset of the taxpayer stands, by what the log says. Its title has left where the owner says so, where the registration
/// lapsed, where the entry was reversed, and where all that was held of it was sold.
pub fn holding(evidence: &Evidence, asset: StatementId) -> Holding {
    let payments = evidence.payments.values().filter_map(|payment| payment.standing()).map(|(_, claim)| claim);
    let payments = payments.filter(|claim| claim.asset == Some(asset) || claim.counter_asset == Some(asset));
    let mut last: Option<Date> = None;
    let mut is_left = false;
    for claim in payments {
        last = last.max(Some(claim.on));
        let sold = match claim.nature {
            Nature::Disposal => claim.asset,
            // The buyer's word for it.
            Nature::Purchase => claim.counter_asset,
            _ => None,
        };
        is_left |= sold == Some(asset) && claim.details.share.is_none_or(|share| share == Fraction::ONE);
    }
    let uses = evidence.uses.values().filter_map(|used| used.standing()).filter(|(_, claim)| claim.asset == asset);
    for (_, claim) in uses {
        // A year of assessment ends when the next one begins.
        last = last.max(claim.year.plus(1).first_day());
    }
    match evidence.assets.get(&asset).map(|versions| versions.standing()) {
        None => return Holding::Still,
        Some(None) => is_left = true,
        Some(Some((_, claim))) => {
            let ends = [claim.title_left.as_ref().map(|left| left.on), claim.lapse.as_ref().map(|lapse| lapse.on)];
            is_left |= ends.iter().any(Option::is_some);
            last = ends.into_iter().fold(last, Option::max);
        }
    }
    if is_left { Holding::Left(last) } else { Holding::Still }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artefact::IpType;
    use crate::expenditure::fixtures::{World, asset, outside, payment, sums};
    use crate::expenditure::{TitleLeft, UseClaim};
    use crate::sealed::Commitment;

    fn of(world: &World, owner: StatementId, asset: StatementId) -> Holding {
        let size = world.size();
        holding(&Evidence::gather(owner, size, &world.items(owner, size)).unwrap(), asset)
    }

    #[test]
    fn an_asset_is_held_until_all_of_it_is_sold_and_what_is_said_of_it_later_counts() {
        let mut world = World::new();
        let alpha = world.party("Alpha Limited", "HK", None);
        let (hkd, buyer) = (sums("100.00", "HKD"), outside("Delta GmbH", "DE"));
        let mark = || Claim::Asset(asset("Mark", IpType::RegisteredTradeMark, Some("1")));
        let right = world.enter(&[&alpha], mark()).unwrap();
        let day = |text: &str| Holding::Left(Some(text.parse().unwrap()));
        let bought = ExpenditureClaim {
            asset: Some(right),
            ..payment(Nature::Purchase, alpha.side(), buyer.clone(), "P", "2010-05-02")
        };
        assert_eq!(assets_of(&Claim::Expenditure(bought.clone())), [right]);
        world.pay(&[&alpha], bought, &hkd).unwrap();
        assert_eq!(of(&world, alpha.id, right), Holding::Still);
        let sold = |document: &str, on: &str, share| {
            let mut claim = ExpenditureClaim {
                asset: Some(right),
                ..payment(Nature::Disposal, buyer.clone(), alpha.side(), document, on)
            };
            claim.details.share = share;
            claim
        };
        let half = "0.5".parse().unwrap();
        world.pay(&[&alpha], sold("D-1", "2015-05-02", Some(half)), &hkd).unwrap();
        assert_eq!(of(&world, alpha.id, right), Holding::Still, "half of it is left");
        world.pay(&[&alpha], sold("D-2", "2016-05-02", None), &hkd).unwrap();
        assert_eq!(of(&world, alpha.id, right), day("2016-05-02"));
        let year = "2017/18".parse().unwrap();
        let fraction = Commitment::from_bytes([0; 32]);
        let by = crate::tax::facts::UsedBy::Owner;
        let sealed = crate::expenditure::SealedUse { fraction };
        let claim = UseClaim { asset: right, year, by, taxed_in_hk: None, sealed };
        world.used(&alpha, claim, "1").unwrap();
        assert_eq!(of(&world, alpha.id, right), day("2018-04-01"), "a claim for a later year");

        let mut left = asset("Other", IpType::RegisteredTradeMark, Some("2"));
        left.title_left = Some(TitleLeft { on: "2012-03-04".parse().unwrap(), to: buyer });
        let left = world.enter(&[&alpha], Claim::Asset(left)).unwrap();
        assert_eq!(of(&world, alpha.id, left), day("2012-03-04"));
        assert_eq!(of(&world, alpha.id, StatementId::of(b"none")), Holding::Still);
    }
}
