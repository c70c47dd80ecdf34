//! The books of one company: a profile, a right that it bought, its use, and payments of every sort over three years, with their
//! figures sealed as honest clients seal them.

use chopmark_core::artefact::IpType;
use chopmark_core::code::{Jurisdiction, ResidencyZone};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::{
    AssetClaim, ExpenditureClaim, Nature, Outside, SealedPayment, SealedUse, Side, TaxProfileClaim, UseClaim,
};
use chopmark_core::kind::Claim;
use chopmark_core::sealed::{Commitment, Opening, Openings, Place, Salt};
use chopmark_core::statement::{Header, Issuer, Statement, StatementId};
use chopmark_core::submission::Submission;
use chopmark_core::tax::facts::{Entity, Trade, UsedBy};
use chopmark_core::text::Names;
use serde_json::{Value, json};

use crate::Failure;
use crate::artefacts::Author;

/// Where others are resident.
const PLACES: [&str; 6] = ["US", "CN", "GB", "HK", "JP", "SG"];

/// Entries that are no payments: the party, its profile, its right, and the use of it in three years.
pub(crate) const OTHER_ENTRIES: u32 = 6;

/// Everything that the company of this number enters, in order, but its own registration.
pub(crate) fn company(author: &Author, number: u32, payments: u32) -> Result<Vec<Submission>, Failure> {
    let mut made = vec![profile(author, number)?, asset(author, number)?];
    let right = made.last().ok_or("no right")?.statement.id;
    for year in ["2024/25", "2025/26", "2026/27"] {
        made.push(used(author, number, right, year)?);
    }
    for payment in 0..payments {
        made.push(pay(author, number, payment, right)?);
    }
    Ok(made)
}

fn say(author: &Author, label: &str, claim: &Claim) -> Result<Submission, Failure> {
    author.sign(Issuer::Party(author.party), label, claim, Vec::new())
}

fn profile(author: &Author, number: u32) -> Result<Submission, Failure> {
    let claim = TaxProfileClaim {
        from: "2020/21".parse()?,
        brn: Some(format!("{:08}", 10_000_000 + number)),
        file_number: None,
        entity: Entity::Corporation,
        year_end: "03-31".parse()?,
        trade: Trade::WhollyHk,
        hk_proportion: None,
        two_tier: false,
        commenced: None,
        ceased: None,
    };
    say(author, &format!("profile {number}"), &Claim::TaxProfile(claim))
}

fn asset(author: &Author, number: u32) -> Result<Submission, Failure> {
    let claim = AssetClaim {
        title: Names {
            en: Some(format!("Engine {number}")),
            zh_hant: Some(format!("第{number}號引擎")),
            ..Names::default()
        },
        ip_type: IpType::Copyright,
        jurisdiction: Jurisdiction::new("HK")?,
        registered: true,
        registration_number: None,
        registered_on: None,
        protection_ends: None,
        software: None,
        artefacts: Vec::new(),
        lapse: None,
        title_left: None,
        succession: None,
    };
    say(author, &format!("asset {number}"), &Claim::Asset(claim))
}

/// Signs a claim that is made with its commitments.
fn seal(
    author: &Author,
    label: &str,
    make: impl FnOnce(&Header) -> Result<(Claim, Vec<Opening>), Failure>,
) -> Result<Submission, Failure> {
    let header = author.header(Issuer::Party(author.party), label)?;
    let (claim, fields) = make(&header)?;
    let submission = author.seal(Statement::compose(label, &header, &claim)?, Vec::new())?;
    Ok(submission.with_openings(Some(Openings { zone: ResidencyZone::HongKong, fields }))?)
}

fn opening(place: &Place, name: &str, value: Option<&str>) -> Result<(Commitment, Opening), Failure> {
    let salt = Sha256Digest::of(format!("{}{name}", place.nonce).as_bytes());
    let value: Option<Value> = value.map(|text| json!(text));
    let opening = Opening::new(format!("/{name}").parse()?, Salt::from_random(*salt.as_bytes()), value.as_ref())?;
    Ok((opening.commitment(place), opening))
}

fn used(author: &Author, number: u32, asset: StatementId, year: &str) -> Result<Submission, Failure> {
    seal(author, &format!("use {number} {year}"), |header| {
        let place = Place::of(header, UseClaim::PREDICATE_TYPE);
        let (fraction, opening) = opening(&place, "fraction", Some("1"))?;
        let sealed = SealedUse { fraction };
        let claim = UseClaim { asset, year: year.parse()?, by: UsedBy::Owner, taxed_in_hk: None, sealed };
        Ok((Claim::Use(claim), vec![opening]))
    })
}

/// The first is the purchase of the right; then come two royalties paid for each one received.
fn pay(author: &Author, number: u32, payment: u32, right: StatementId) -> Result<Submission, Failure> {
    let label = format!("payment {number} {payment}");
    let mixed = number.wrapping_mul(2_654_435_769).wrapping_add(payment.wrapping_mul(40_503));
    let other = PLACES.into_iter().cycle().nth(usize::try_from(mixed % 6)?).ok_or("no place")?;
    let other =
        Side::Outside(Outside { name: format!("Studio {}", mixed % 997), jurisdiction: Jurisdiction::new(other)? });
    let own = Side::Party(author.party);
    let day = mixed % 1_000;
    let (year, month) = (2024 + day / 365, 1 + (day % 365) / 31);
    let on = format!("{year}-{month:02}-{:02}", 1 + day % 28).parse()?;
    let document = format!("INV-{number}-{payment}");
    let (nature, payer, payee, amount) = match payment {
        0 => (Nature::Purchase, own, other, 300_000 + mixed % 900_000),
        _ if payment.is_multiple_of(3) => (Nature::Royalty, other, own, 1_000 + mixed % 90_000),
        _ => (Nature::Royalty, own, other, 1_000 + mixed % 50_000),
    };
    let file = Some(Sha256Digest::of(document.as_bytes()));
    let mut claim = ExpenditureClaim { file, ..ExpenditureClaim::unsealed(nature, payer, payee, document, on) };
    if nature == Nature::Purchase {
        claim.asset = Some(right);
    } else {
        claim.ip_type = Some(IpType::Copyright);
    }
    let amount = format!("{amount}.{:02}", mixed % 100);
    seal(author, &label, |header| {
        let place = Place::of(header, ExpenditureClaim::PREDICATE_TYPE);
        let figures = [
            ("amount", Some(amount.as_str())),
            ("currency", Some("HKD")),
            ("withheld", None),
            ("fx_rate", None),
            ("fees", None),
            ("met_by_others", None),
        ];
        let sealed = figures.map(|(name, value)| opening(&place, name, value));
        let (commitments, openings): (Vec<Commitment>, Vec<Opening>) =
            sealed.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        *claim.sealed = SealedPayment::new(commitments.try_into().map_err(|_| "six figures are sealed")?);
        Ok((Claim::Expenditure(claim), openings))
    })
}
