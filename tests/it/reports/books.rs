//! Companies that keep their books in the ledger: assets, payments, uses, corrections, as honest clients make them.

use chopmark_core::artefact::IpType;
use chopmark_core::code::{Jurisdiction, ResidencyZone};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::endorsement::EndorsementClaim;
use chopmark_core::expenditure::{
    AssetClaim, CorrectionClaim, CorrectionReason, ExpenditureClaim, FxRateClaim, Nature, Outside, RelationClaim,
    RelationKind, Replacement, SealedPayment, SealedUse, Side, TaxProfileClaim, UseClaim,
};
use chopmark_core::kind::Claim;
use chopmark_core::party::{Identifier, Scheme};
use chopmark_core::sealed::{Commitment, Opening, Openings, Place, Salt};
use chopmark_core::statement::{Header, Issuer, Statement, StatementId};
use chopmark_core::tax::facts::{Entity, Trade, UsedBy};
use chopmark_core::text::Names;
use serde_json::{Value, json};

use crate::harness::Client;
use crate::make::{Author, english};
use crate::shared;

/// A company.
pub struct Company {
    pub author: Author,
    name: String,
}

impl Company {
    /// Registers a company of Hong Kong.
    pub fn new(service: &crate::harness::Service, name: &str) -> Self {
        Self { author: shared::author(service, name), name: name.to_owned() }
    }

    /// The same with a Business Registration Number.
    pub fn numbered(service: &crate::harness::Service, name: &str, number: &str) -> Self {
        let identifiers = vec![Identifier { scheme: Scheme::HkBrn, value: number.to_owned() }];
        let registry = shared::registry(service).0;
        let (author, party) = Author::identified(&registry, name, (english(name), identifiers), 1, 1);
        assert_eq!(service.post(&party.to_request()).status, 201);
        Self { author, name: name.to_owned() }
    }

    pub fn side(&self) -> Side {
        Side::Party(self.author.party)
    }
}

/// What is sealed of a payment: amount and currency, in that order.
#[derive(Clone)]
pub struct Figures {
    amount: String,
    currency: String,
}

pub fn figures(amount: &str, currency: &str) -> Figures {
    Figures { amount: amount.to_owned(), currency: currency.to_owned() }
}

/// Whoever writes into the books of one company.
pub struct Books<'a> {
    service: &'a Client,
    company: &'a Company,
    written: u32,
}

impl<'a> Books<'a> {
    pub fn of(service: &'a Client, company: &'a Company) -> Self {
        Self { service, company, written: 0 }
    }

    /// Enters what `make` says, with its openings.
    fn enter(&mut self, make: impl FnOnce(&Header) -> (Claim, Vec<Opening>)) -> StatementId {
        let author = &self.company.author;
        // Another label each time, also for whoever opens the books of the same company again.
        self.written += 1;
        let label = format!("{}/{}/{}", self.company.name, self.written, next());
        let header = author.header(Issuer::Party(author.party), author.threshold, &label);
        let (claim, fields) = make(&header);
        let payload = Statement::compose(&label, &header, &claim).unwrap();
        let mut submission = author.sign(payload, Vec::new());
        if !fields.is_empty() {
            submission = submission.with_openings(Some(Openings { zone: ResidencyZone::HongKong, fields })).unwrap();
        }
        let answer = self.service.post(&submission.to_request());
        assert_eq!(answer.status, 201, "{}", answer.text());
        submission.statement.id
    }

    pub fn say(&mut self, claim: Claim) -> StatementId {
        self.enter(|_| (claim, Vec::new()))
    }

    pub fn profile(&mut self) -> StatementId {
        self.profile_with("12345678")
    }

    /// A profile with this Business Registration Number.
    pub fn profile_with(&mut self, number: &str) -> StatementId {
        self.say(Claim::TaxProfile(TaxProfileClaim {
            from: "2020/21".parse().unwrap(),
            brn: Some(number.to_owned()),
            file_number: None,
            entity: Entity::Corporation,
            year_end: "03-31".parse().unwrap(),
            trade: Trade::WhollyHk,
            hk_proportion: None,
            two_tier: false,
            commenced: None,
            ceased: None,
        }))
    }

    pub fn asset(&mut self, title: &str) -> StatementId {
        self.say(Claim::Asset(asset(title, IpType::Copyright)))
    }

    /// Says of an asset that it is a patent.
    pub fn make_patent(&mut self, entry: StatementId, title: &str) -> StatementId {
        let replacement = Some(Replacement::Asset(Box::new(asset(title, IpType::PatentRight))));
        let reason = CorrectionReason::Classification;
        self.say(Claim::Correction(CorrectionClaim { entry, prev: entry, reason, replacement }))
    }

    pub fn rate(&mut self, from: &str, rate: &str, date: &str) -> StatementId {
        self.say(Claim::FxRate(FxRateClaim {
            from: from.parse().unwrap(),
            units: "1".to_owned(),
            to: "HKD".parse().unwrap(),
            rate: rate.to_owned(),
            source: "published average".to_owned(),
            date: date.parse().unwrap(),
        }))
    }

    pub fn used(&mut self, asset: StatementId, year: &str, fraction: &str) -> StatementId {
        self.enter(|header| {
            let (openings, commitments) =
                seal(&Place::of(header, UseClaim::PREDICATE_TYPE), &[("fraction", Some(fraction))]);
            let sealed = SealedUse { fraction: commitments[0] };
            let year = year.parse().unwrap();
            (Claim::Use(UseClaim { asset, year, by: UsedBy::Owner, taxed_in_hk: None, sealed }), openings)
        })
    }

    pub fn purchase(&mut self, seller: &Company, asset: StatementId, document: &str, figures: &Figures) -> StatementId {
        let claim = ExpenditureClaim { asset: Some(asset), ..payment(self, Nature::Purchase, seller.side(), document) };
        self.pay(claim, figures)
    }

    /// A royalty for a copyright used in Hong Kong, to somebody who is not registered.
    pub fn royalty(&mut self, to: &str, place: &str, document: &str, figures: &Figures) -> StatementId {
        let claim = royalty(self, to, place, document);
        self.pay(claim, figures)
    }

    /// A royalty that the payee says it was paid.
    pub fn bill(&mut self, payer: &Company, document: &str, figures: &Figures) -> StatementId {
        let claim = payment(self, Nature::Royalty, payer.side(), document);
        let (payer, payee) = (claim.payee, claim.payer);
        self.pay(ExpenditureClaim { payer, payee, ip_type: Some(IpType::Copyright), ..claim }, figures)
    }

    /// Says that another company is its associate.
    pub fn relate(&mut self, other: &Company) -> StatementId {
        let (relation, from) = (RelationKind::CommonControl, "2020-01-01".parse().unwrap());
        self.say(Claim::Relation(RelationClaim { other: other.side(), relation, from, until: None }))
    }

    /// A sale of a right to somebody who is not registered.
    pub fn sale(&mut self, asset: StatementId, document: &str, figures: &Figures) -> StatementId {
        let claim = royalty(self, "Buyer", "GB", document);
        let (payer, payee) = (claim.payee, claim.payer);
        let (nature, asset, ip_type) = (Nature::Disposal, Some(asset), None);
        self.pay(ExpenditureClaim { nature, payer, payee, asset, ip_type, ..claim }, figures)
    }

    /// A royalty for a right on record.
    pub fn royalty_for(
        &mut self,
        payee: &Company,
        asset: StatementId,
        document: &str,
        figures: &Figures,
    ) -> StatementId {
        let claim = payment(self, Nature::Royalty, payee.side(), document);
        self.pay(ExpenditureClaim { asset: Some(asset), ..claim }, figures)
    }

    /// A royalty to a company that is registered.
    pub fn royalty_to(&mut self, payee: &Company, document: &str, figures: &Figures) -> StatementId {
        let claim = payment(self, Nature::Royalty, payee.side(), document);
        self.pay(ExpenditureClaim { ip_type: Some(IpType::Copyright), ..claim }, figures)
    }

    /// A fee paid at once for a licence of some years.
    pub fn upfront_fee(&mut self, to: &str, document: &str, years: u32, figures: &Figures) -> StatementId {
        let mut claim = ExpenditureClaim { nature: Nature::UpfrontFee, ..royalty(self, to, "HK", document) };
        claim.details.term_years = Some(years);
        self.pay(claim, figures)
    }

    pub fn pay(&mut self, claim: ExpenditureClaim, figures: &Figures) -> StatementId {
        self.enter(|header| {
            let (claim, openings) = sealed(&Place::of(header, ExpenditureClaim::PREDICATE_TYPE), claim, figures);
            (Claim::Expenditure(claim), openings)
        })
    }

    pub fn correct_royalty(
        &mut self,
        entry: StatementId,
        to: &str,
        place: &str,
        document: &str,
        figures: &Figures,
    ) -> StatementId {
        let claim = royalty(self, to, place, document);
        self.enter(|header| {
            let (claim, openings) = sealed(&Place::of(header, CorrectionClaim::PREDICATE_TYPE), claim, figures);
            let replacement = Some(Replacement::Expenditure(Box::new(claim)));
            let claim = CorrectionClaim { entry, prev: entry, reason: CorrectionReason::Amount, replacement };
            (Claim::Correction(claim), openings)
        })
    }

    pub fn reverse(&mut self, entry: StatementId) -> StatementId {
        self.reverse_after(entry, entry)
    }

    /// Reverses what was corrected before.
    pub fn reverse_after(&mut self, entry: StatementId, prev: StatementId) -> StatementId {
        let reason = CorrectionReason::NotIncurred;
        self.say(Claim::Correction(CorrectionClaim { entry, prev, reason, replacement: None }))
    }

    pub fn endorse(&mut self, statement: StatementId) -> StatementId {
        self.say(Claim::Endorsement(EndorsementClaim { statement }))
    }
}

/// A number that no other call gets.
fn next() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn asset(title: &str, ip_type: IpType) -> AssetClaim {
    AssetClaim {
        title: Names { zh_hant: Some(title.to_owned()), ..Names::default() },
        ip_type,
        jurisdiction: Jurisdiction::new("HK").unwrap(),
        registered: true,
        registration_number: None,
        registered_on: None,
        protection_ends: None,
        software: None,
        artefacts: Vec::new(),
        lapse: None,
        title_left: None,
        succession: None,
    }
}

fn payment(books: &Books<'_>, nature: Nature, payee: Side, document: &str) -> ExpenditureClaim {
    let (payer, on) = (books.company.side(), "2026-05-02".parse().unwrap());
    let file = Some(Sha256Digest::of(document.as_bytes()));
    ExpenditureClaim { file, ..ExpenditureClaim::unsealed(nature, payer, payee, document.to_owned(), on) }
}

fn royalty(books: &Books<'_>, to: &str, place: &str, document: &str) -> ExpenditureClaim {
    let payee = Side::Outside(Outside { name: to.to_owned(), jurisdiction: Jurisdiction::new(place).unwrap() });
    ExpenditureClaim { ip_type: Some(IpType::Copyright), ..payment(books, Nature::Royalty, payee, document) }
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

fn sealed(place: &Place, mut claim: ExpenditureClaim, figures: &Figures) -> (ExpenditureClaim, Vec<Opening>) {
    let (openings, commitments) = seal(
        place,
        &[
            ("amount", Some(&figures.amount)),
            ("currency", Some(&figures.currency)),
            ("withheld", None),
            ("fx_rate", None),
            ("fees", None),
            ("met_by_others", None),
        ],
    );
    claim.sealed = Box::new(SealedPayment::new(commitments.try_into().unwrap()));
    (claim, openings)
}
