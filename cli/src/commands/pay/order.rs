//! From what is said of a payment to the claim that says it: who paid whom, and everything checked before it is signed.
//!
//! The core decides what a payment needs; here its pointers become names of options, which are names of columns, too.

use chopmark_core::artefact::IpType;
use chopmark_core::code::{Jurisdiction, ResidencyZone};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::{Details, ExpenditureClaim, Nature, Outside, SealedPayment, Side};
use chopmark_core::kind::{Claim, Kind as _};
use chopmark_core::licensing::GrantClaim;
use chopmark_core::sealed::{Opening, Place};
use chopmark_core::statement::{Nonce, StatementId};
use chopmark_core::strict::{self, StrictError};

use super::lookup::Lookup;
use crate::arguments::PaymentArguments;
use crate::commands::sealing::{self, Figure, SealedFigures};
use crate::exit::Failure;
use crate::files;

/// Largest document that is hashed: scans of whole contracts are smaller.
const DOCUMENT_BYTES_MAX: usize = 256 << 20;

/// Something that is not as it has to be, at an option; none where it is about several.
#[derive(Debug)]
pub(super) struct Fault {
    /// The option without dashes in front, with `_` for `-`: the column's name.
    pub(super) option: Option<String>,
    /// What is wrong.
    pub(super) reason: String,
    /// The failure behind it, when it is not of the user's making.
    pub(super) cause: Option<Box<Failure>>,
}

impl Fault {
    pub(super) fn at(option: &str, reason: impl Into<String>) -> Self {
        Self { option: Some(option.to_owned()), reason: reason.into(), cause: None }
    }

    /// What a registry, or this machine, answers about an option.
    pub(super) fn of(option: &str, failure: Failure) -> Self {
        Self { option: Some(option.to_owned()), reason: failure.message.clone(), cause: Some(Box::new(failure)) }
    }

    /// What the core says about a member.
    fn of_member(error: &StrictError) -> Self {
        Self { option: column(&error.pointer), reason: error.reason.clone(), cause: None }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let place = fault.option.map(|option| format!("--{}", option.replace('_', "-")));
        let message = place.map_or_else(|| fault.reason.clone(), |place| format!("{place}: {}", fault.reason));
        match fault.cause {
            Some(cause) => Self { message, ..*cause },
            None => Self::usage(message),
        }
    }
}

/// The column that a member of a claim comes from.
fn column(pointer: &str) -> Option<String> {
    let tokens: Vec<&str> =
        pointer.split('/').filter(|token| !matches!(*token, "" | "details" | "outside" | "sealed")).collect();
    match tokens.as_slice() {
        [] => None,
        ["on"] => Some("date".to_owned()),
        several => Some(several.join("_")),
    }
}

/// A payment, ready to be sealed.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// What is said, with nothing yet where commitments stand.
    pub(super) claim: ExpenditureClaim,
    /// The figures.
    pub(super) figures: Figures,
}

/// Figures of a payment, as they are sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) amount: Option<String>,
    pub(super) currency: Option<String>,
    pub(super) withheld: Option<String>,
    pub(super) fx_rate: Option<String>,
    pub(super) fees: Option<String>,
    pub(super) met_by_others: Option<String>,
}

impl Figures {
    /// In schema order.
    pub(super) fn fields(&self) -> [Figure<'_>; 6] {
        [
            ("amount", self.amount.as_deref()),
            ("currency", self.currency.as_deref()),
            ("withheld", self.withheld.as_deref()),
            ("fx_rate", self.fx_rate.as_deref()),
            ("fees", self.fees.as_deref()),
            ("met_by_others", self.met_by_others.as_deref()),
        ]
    }

    /// What openings say.
    pub(super) fn of(openings: &[Opening]) -> Self {
        let figure = |name| super::figure(openings, name);
        Self {
            amount: figure("amount"),
            currency: figure("currency"),
            withheld: figure("withheld"),
            fx_rate: figure("fx_rate"),
            fees: figure("fees"),
            met_by_others: figure("met_by_others"),
        }
    }

    /// For people: what was paid, and what else there is.
    pub(super) fn words(&self) -> String {
        let currency = self.currency.as_deref().unwrap_or_default();
        let mut words = vec![format!("{} {currency}", self.amount.as_deref().unwrap_or("an unknown amount"))];
        let others = [("withheld", &self.withheld), ("own fees", &self.fees), ("met by others", &self.met_by_others)];
        words.extend(others.into_iter().filter_map(|(label, figure)| Some(format!("{label} {}", figure.as_ref()?))));
        words.extend(self.fx_rate.as_ref().map(|rate| format!("at {rate} HKD")));
        words.join(", ")
    }
}

/// One side, as it is given.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::commands) struct Given<'a> {
    /// A party's id.
    pub(in crate::commands) party: Option<&'a str>,
    /// A business registration number.
    pub(in crate::commands) brn: Option<&'a str>,
    /// Of somebody outside: the name.
    pub(in crate::commands) name: Option<&'a str>,
    /// And the place.
    pub(in crate::commands) jurisdiction: Option<&'a Jurisdiction>,
}

/// A side as statements have it; nothing where nothing is given.
///
/// # Errors
/// The part that is wrong – `party`, `brn`, `name`, `jurisdiction` – and how.
pub(in crate::commands) fn side(
    lookup: &Lookup<'_>,
    given: Given<'_>,
) -> Result<Option<Side>, (&'static str, Failure)> {
    let usage = |part, reason: &str| (part, Failure::usage(reason));
    let by_brn = given.brn.map(|brn| {
        if brn.len() != 8 || !brn.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(usage("brn", &format!("{brn:?} is no Business Registration Number: it has 8 digits")));
        }
        lookup.party_with_brn(brn).map_err(|failure| ("brn", failure))
    });
    let by_id = given.party.map(|id| lookup.party(id).map_err(|failure| ("party", failure)));
    match (by_id.transpose()?, by_brn.transpose()?) {
        (Some(id), Some(other)) if id != other => {
            return Err(usage("brn", "this number is another party's"));
        }
        (Some(id), _) | (None, Some(id)) if given.name.is_none() => return Ok(Some(Side::Party(id))),
        (Some(_), _) | (None, Some(_)) => {
            return Err(usage("name", "a party has its name in the registry; give one or the other"));
        }
        (None, None) => {}
    }
    match (given.name, given.jurisdiction) {
        (Some(name), Some(jurisdiction)) => {
            Ok(Some(Side::Outside(Outside { name: name.to_owned(), jurisdiction: jurisdiction.clone() })))
        }
        (Some(_), None) => Err(usage("jurisdiction", "say where it is resident")),
        (None, Some(_)) => Err(usage("name", "say who is resident there")),
        (None, None) => Ok(None),
    }
}

/// What lists say beside a payment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beside<'a> {
    /// The payer's business registration number.
    pub(super) payer_brn: Option<&'a str>,
    /// The payee's.
    pub(super) payee_brn: Option<&'a str>,
    /// The payment on the same list that it takes something off.
    pub(super) credits: Option<StatementId>,
}

impl Order {
    /// Puts together what is said; `before` is what stands where nothing else is said.
    ///
    /// # Errors
    /// A [`Fault`] that names the option.
    pub(super) fn new(
        given: &PaymentArguments,
        beside: Beside<'_>,
        own: StatementId,
        lookup: &Lookup<'_>,
        before: Option<Self>,
    ) -> Result<Self, Fault> {
        let nature = given.nature.or(before.as_ref().map(|order| order.claim.nature));
        let nature = nature.ok_or_else(|| Fault::at("nature", "say what was paid for"))?;
        let (licence, granted) =
            given.licence.as_deref().map(|id| lookup.licence(id)).transpose().map_err(at("licence"))?.unzip();
        let (credits, credited) =
            given.credits.as_deref().map(|id| lookup.payment(id)).transpose().map_err(at("credits"))?.unzip();
        if credited.as_ref().is_some_and(|claim| claim.nature.is_credit()) {
            let reason = "that is a credit note or refund itself; put it right with chopmark pay correct";
            return Err(Fault::at("credits", reason));
        }
        let payer = given_side(lookup, "payer", payer(given, beside.payer_brn))?;
        let payee = given_side(lookup, "payee", payee(given, beside.payee_brn))?;
        let known = before.as_ref().map(|order| (order.claim.payer.clone(), order.claim.payee.clone()));
        let known = known.or_else(|| credited.as_ref().map(|claim| (claim.payer.clone(), claim.payee.clone())));
        let known =
            known.or_else(|| granted.as_ref().map(|claim| (Side::Party(claim.licensee), Side::Party(claim.licensor))));
        let (payer, payee) = sides(payer, payee, known, own)?;
        let asset_of = |id: Option<&str>, option| id.map(|id| lookup.asset(id)).transpose().map_err(at(option));
        let asset = asset_of(given.asset.as_deref(), "asset")?;
        let counter_asset = asset_of(given.counter_asset.as_deref(), "counter_asset")?;
        let (artefact, of_artefact) =
            given.artefact.as_deref().map(|id| lookup.artefact(id)).transpose().map_err(at("artefact"))?.unzip();
        let licensed = granted.as_ref().map(|claim| claim.artefacts.as_slice()).unwrap_or_default();
        let only = if let [only] = licensed { Some(*only) } else { None };
        let file = given.file.as_deref().map(digest_of).transpose()?;
        let missing = |option: &str| Fault::at(option, "is missing");
        let was = before.as_ref().map(|order| &order.claim);
        let mut claim = ExpenditureClaim {
            nature,
            payer,
            payee,
            document: given
                .document
                .clone()
                .or(was.map(|claim| claim.document.clone()))
                .ok_or_else(|| missing("document"))?,
            file: file.or(was.and_then(|claim| claim.file)),
            on: given.date.or(was.map(|claim| claim.on)).ok_or_else(|| missing("date"))?,
            asset: asset.or(was.and_then(|claim| claim.asset)),
            counter_asset: counter_asset.or(was.and_then(|claim| claim.counter_asset)),
            ip_type: given.ip_type.or(was.and_then(|claim| claim.ip_type)),
            licence: licence.or(was.and_then(|claim| claim.licence)),
            artefact: artefact.or(was.and_then(|claim| claim.artefact)).or(only),
            credits: credits.or(beside.credits).or(was.and_then(|claim| claim.credits)),
            details: details(given, was.map(|claim| claim.details.clone()).unwrap_or_default()),
            sealed: Box::new(SealedPayment::UNSEALED),
        };
        if claim.asset.is_some() && given.ip_type.is_none() {
            claim.ip_type = None;
        }
        if claim.asset.is_none() && claim.ip_type.is_none() && !nature.is_credit() && !nature.is_transfer() {
            claim.ip_type = match of_artefact {
                Some(ip_type) => Some(ip_type),
                None => common_type(lookup, licensed)?,
            };
        }
        let figures = before.map(|order| order.figures).unwrap_or_default();
        let currency = given.currency.map(|currency| currency.as_str().to_owned());
        let order = Self {
            claim,
            figures: Figures {
                amount: given.amount.clone().or(figures.amount),
                currency: currency.or(figures.currency),
                withheld: given.withheld.clone().or(figures.withheld),
                fx_rate: given.fx_rate.clone().or(figures.fx_rate),
                fees: given.fees.clone().or(figures.fees),
                met_by_others: given.met_by_others.clone().or(figures.met_by_others),
            },
        };
        order.check()?;
        order.check_named(lookup, granted.as_ref())?;
        // One on the same list is not there yet.
        if let Some(credited) = order.claim.credits.filter(|_| beside.credits.is_none()) {
            order.check_credited(lookup, &credited)?;
        }
        Ok(order)
    }

    /// What stands already, to be changed.
    pub(super) fn bare(claim: ExpenditureClaim, figures: Figures) -> Self {
        Self { claim: ExpenditureClaim { sealed: Box::new(SealedPayment::UNSEALED), ..claim }, figures }
    }

    /// Whether it is a payment, figures and all, as the registry would check it.
    fn check(&self) -> Result<(), Fault> {
        self.claim.validate().map_err(|error| Fault::of_member(&error))?;
        let openings = sealing::unsealed(&self.figures.fields()).map_err(|failure| Fault::of("amount", failure))?;
        self.claim.check_opened(&openings).map_err(|error| Fault::of_member(&error))
    }

    /// Whether what it names stands and is of its sides, as the registry would judge it now.
    fn check_named(&self, lookup: &Lookup<'_>, granted: Option<&GrantClaim>) -> Result<(), Fault> {
        let claim = &self.claim;
        for (option, id, owner) in claim.assets() {
            let standing = lookup.standing(&id).map_err(|failure| Fault::of(option, failure))?;
            let Some((issuer, _)) = standing else { return Err(Fault::at(option, "this asset was reversed")) };
            if owner.is_some_and(|owner| !owner.is(issuer)) {
                let side = if owner == Some(&claim.payer) { "payer" } else { "payee" };
                let nature = nature_words(claim.nature);
                return Err(Fault::at(
                    option,
                    format!("of a {nature} this is an asset of the {side}; this one is not"),
                ));
            }
        }
        let is_side = |party: StatementId| claim.payer.is(party) || claim.payee.is(party);
        if granted.is_some_and(|granted| !is_side(granted.licensor) && !is_side(granted.licensee)) {
            return Err(Fault::at("licence", "neither payer nor payee is a side of this licence"));
        }
        Ok(())
    }

    /// Whether the payment that it takes something off stands, and was paid between the same.
    fn check_credited(&self, lookup: &Lookup<'_>, credited: &StatementId) -> Result<(), Fault> {
        match lookup.standing(credited).map_err(at("credits"))? {
            Some((_, Claim::Expenditure(paid)))
                if (&paid.payer, &paid.payee) == (&self.claim.payer, &self.claim.payee) =>
            {
                Ok(())
            }
            Some(_) => {
                Err(Fault::at("credits", "what it credits was paid between others; payer and payee stay the same"))
            }
            None => Err(Fault::at("credits", "the payment it credits was reversed")),
        }
    }

    /// Whether it is paid in foreign money without saying at which rate.
    pub(super) fn lacks_rate(&self) -> bool {
        self.figures.fx_rate.is_none()
            && self.figures.currency.as_deref().is_some_and(|currency| currency != chopmark_core::tax::fx::HKD)
    }

    /// The claim with its figures sealed for a place, and what opens them.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub(super) fn sealed(
        &self,
        (place, nonce): (&Place, Nonce),
        zone: ResidencyZone,
    ) -> Result<(ExpenditureClaim, SealedFigures), Failure> {
        let (openings, commitments) = sealing::seal(place, zone, &self.figures.fields())?;
        let [amount, currency, withheld, fx_rate, fees, met_by_others] = commitments.as_slice() else {
            return Err(Failure::internal("a payment has six sealed figures"));
        };
        let (amount, currency, withheld) = (*amount, *currency, *withheld);
        let (fx_rate, fees, met_by_others) = (*fx_rate, *fees, *met_by_others);
        let sealed = Box::new(SealedPayment { amount, currency, withheld, fx_rate, fees, met_by_others });
        let claim = ExpenditureClaim { sealed, ..self.claim.clone() };
        Ok((claim, SealedFigures { nonce, openings, meaning: self.meaning(zone)? }))
    }

    /// Digest of what is said: the same for the same payment, whatever its salts.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn meaning(&self, zone: ResidencyZone) -> Result<Sha256Digest, Failure> {
        let claim = Claim::Expenditure(self.claim.clone()).to_value().and_then(|claim| strict::to_canonical(&claim));
        let claim = claim.map_err(|error| Failure::internal(error.to_string()))?;
        let figures = format!("\n{zone:?}\n{:?}", self.figures);
        Ok(Sha256Digest::of_parts(&[&claim, figures.as_bytes()]))
    }

    /// The same, but for its commitments: what it has to be equal to where it is there already.
    pub(super) fn is_said_by(&self, claim: &ExpenditureClaim, figures: &Figures) -> bool {
        let bare = ExpenditureClaim { sealed: self.claim.sealed.clone(), ..claim.clone() };
        bare == self.claim && *figures == self.figures
    }
}

/// A failure at an option.
fn at(option: &'static str) -> impl Fn(Failure) -> Fault {
    move |failure| Fault::of(option, failure)
}

fn payer<'a>(given: &'a PaymentArguments, brn: Option<&'a str>) -> Given<'a> {
    let (party, name) = (given.payer.as_deref(), given.payer_name.as_deref());
    Given { party, brn, name, jurisdiction: given.payer_jurisdiction.as_ref() }
}

fn payee<'a>(given: &'a PaymentArguments, brn: Option<&'a str>) -> Given<'a> {
    let (party, name) = (given.payee.as_deref(), given.payee_name.as_deref());
    Given { party, brn, name, jurisdiction: given.payee_jurisdiction.as_ref() }
}

fn given_side(lookup: &Lookup<'_>, which: &str, given: Given<'_>) -> Result<Option<Side>, Fault> {
    side(lookup, given).map_err(|(part, failure)| {
        let option = if part == "party" { which.to_owned() } else { format!("{which}_{part}") };
        let is_own = failure.exit == crate::exit::Exit::Usage;
        Fault { option: Some(option), reason: failure.message.clone(), cause: (!is_own).then(|| Box::new(failure)) }
    })
}

/// Who paid whom: as it is said, as it is known, or ourselves.
fn sides(
    payer: Option<Side>,
    payee: Option<Side>,
    known: Option<(Side, Side)>,
    own: StatementId,
) -> Result<(Side, Side), Fault> {
    let ourselves = Side::Party(own);
    let (payer, payee) = match (payer, payee, known) {
        (Some(payer), Some(payee), _) => (payer, payee),
        (payer, payee, Some((known_payer, known_payee))) => {
            (payer.unwrap_or(known_payer), payee.unwrap_or(known_payee))
        }
        (None, Some(payee), None) => (ourselves.clone(), payee),
        (Some(payer), None, None) => (payer, ourselves.clone()),
        (None, None, None) => {
            return Err(Fault::at("payee", "say who was paid, or who paid with --payer, or under which --licence"));
        }
    };
    if payer == payee {
        return Err(Fault::at("payee", "nobody pays themselves"));
    }
    if payer != ourselves && payee != ourselves {
        let reason = "you are neither payer nor payee; whoever paid or was paid says it";
        return Err(Fault { option: None, reason: reason.to_owned(), cause: None });
    }
    Ok((payer, payee))
}

/// The type that all of these are of.
fn common_type(lookup: &Lookup<'_>, artefacts: &[StatementId]) -> Result<Option<IpType>, Fault> {
    let mut common = None;
    for artefact in artefacts {
        let (_, ip_type) = lookup.artefact(&artefact.to_string()).map_err(at("licence"))?;
        if common.is_some_and(|common| common != ip_type) {
            return Ok(None);
        }
        common = Some(ip_type);
    }
    Ok(common)
}

fn digest_of(path: &std::path::Path) -> Result<Sha256Digest, Fault> {
    let unreadable = |error: std::io::Error| Fault::at("file", format!("cannot read {}: {error}", path.display()));
    files::read(path, DOCUMENT_BYTES_MAX).map(|bytes| Sha256Digest::of(&bytes)).map_err(unreadable)
}

/// The digest of a document.
///
/// # Errors
/// A usage failure when it can't be read.
pub(super) fn document_digest(path: &std::path::Path) -> Result<Sha256Digest, Failure> {
    digest_of(path).map_err(Failure::from)
}

fn details(given: &PaymentArguments, was: Details) -> Details {
    Details {
        share: given.share.or(was.share),
        funding: given.funding.or(was.funding),
        licensed_back: given.licensed_back.or(was.licensed_back),
        acquires: given.acquires.or(was.acquires),
        fraction: given.fraction.or(was.fraction),
        early_termination: given.early_termination.or(was.early_termination),
        term_years: given.term_years.or(was.term_years),
        used_in: given.used_in.or(was.used_in),
        film: given.film.or(was.film),
        ever_hk_owned: given.ever_hk_owned.or(was.ever_hk_owned),
        treaty_cap: given.treaty_cap.clone().or(was.treaty_cap),
        place: given.place.or(was.place),
        proportion: given.proportion.or(was.proportion),
        vested: given.vested.or(was.vested),
        for_another: given.for_another.or(was.for_another),
        performed_by: given.performed_by.or(was.performed_by),
        avoidance: given.avoidance.or(was.avoidance),
    }
}

/// Takes an option out of what was said before.
///
/// # Errors
/// A usage failure when there is no such option, or a payment can't be without it.
pub(super) fn without(order: &mut Order, option: &str) -> Result<(), Failure> {
    let (claim, figures) = (&mut order.claim, &mut order.figures);
    let details = &mut claim.details;
    match option.trim_start_matches("--").replace('-', "_").as_str() {
        "file" => claim.file = None,
        "asset" => claim.asset = None,
        "counter_asset" => claim.counter_asset = None,
        "ip_type" => claim.ip_type = None,
        "licence" => claim.licence = None,
        "artefact" => claim.artefact = None,
        "withheld" => figures.withheld = None,
        "fx_rate" => figures.fx_rate = None,
        "fees" => figures.fees = None,
        "met_by_others" => figures.met_by_others = None,
        "share" => details.share = None,
        "funding" => details.funding = None,
        "licensed_back" => details.licensed_back = None,
        "acquires" => details.acquires = None,
        "fraction" => details.fraction = None,
        "early_termination" => details.early_termination = None,
        "term_years" => details.term_years = None,
        "used_in" => details.used_in = None,
        "film" => details.film = None,
        "ever_hk_owned" => details.ever_hk_owned = None,
        "treaty_cap" => details.treaty_cap = None,
        "place" => details.place = None,
        "proportion" => details.proportion = None,
        "vested" => details.vested = None,
        "for_another" => details.for_another = None,
        "performed_by" => details.performed_by = None,
        "avoidance" => details.avoidance = None,
        other => {
            return Err(Failure::usage(format!(
                "--without {other}: a payment has no such option that may be left out"
            )));
        }
    }
    Ok(())
}

/// The nature in words.
pub(super) fn nature_words(nature: Nature) -> String {
    nature.as_str().replace('_', " ")
}
