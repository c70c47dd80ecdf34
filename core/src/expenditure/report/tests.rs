//! The scenario of three companies with figures worked out by hand from the practice notes, what always holds, and damage.

mod evidence;
mod properties;
mod scenario;
mod schema;
mod shown;
mod signers;
mod sources;
mod years;

use super::*;
use crate::expenditure::fixtures::{self, Author, World};
use crate::expenditure::{CorrectionClaim, RelationClaim, RelationKind, SealedUse, TaxProfileClaim, UseClaim};
use crate::kind::Claim;
use crate::ledger::note::Note;
use crate::sealed::Commitment;
use crate::tax::facts::UsedBy;
use crate::tax::hk::HongKong;

fn rules() -> RuleSet {
    HongKong.rules().unwrap()
}

fn report_at(world: &World, query: &Query, size: u64) -> Report {
    let items = world.items(query.taxpayer, size);
    let evidence = Evidence::gather(query.taxpayer, size, &items).unwrap();
    compute(&evidence, query, &HongKong, &rules()).unwrap()
}

fn bytes_at(world: &World, query: &Query, size: u64) -> Vec<u8> {
    let items = world.items(query.taxpayer, size);
    let report = report_at(world, query, size);
    document(&report, &world.head(size), &items, &world.paths(&items, size), &world.signer()).unwrap()
}

fn use_of(asset: StatementId, year: &str, by: UsedBy) -> UseClaim {
    let sealed = SealedUse { fraction: Commitment::from_bytes([0; 32]) };
    UseClaim { asset, year: year.parse().unwrap(), by, taxed_in_hk: None, sealed }
}

fn associates(world: &mut World, says: &Author, other: &Author) {
    let claim = RelationClaim {
        other: other.side(),
        relation: RelationKind::CommonControl,
        from: "2020-01-01".parse().unwrap(),
        until: None,
    };
    world.enter(&[says], Claim::Relation(claim)).unwrap();
}

fn profile(world: &mut World, of: &Author) {
    world.enter(&[of], Claim::TaxProfile(fixtures::profile("2025/26"))).unwrap();
}

/// `(year, kind, section, amount)` of each line.
fn figures(report: &Report) -> Vec<(String, &'static str, &str, String)> {
    let line = |line: &'_ Line| (line.year.to_string(), line.kind.as_str(), line.amount.to_string());
    report
        .lines
        .iter()
        .map(|each| {
            let (year, kind, amount) = line(each);
            (year, kind, each.section.as_str(), amount)
        })
        .collect()
}
