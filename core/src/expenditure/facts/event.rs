//! Events of payments, member by member.

use serde_json::{Map, Value, json};

use super::super::evidence::{Evidence, Versions};
use super::super::payment::Nature;
use super::super::side::Side;
use super::{Draft, Origin, Paid, SetAsideCode, is_confirmed, name, shortened};
use crate::statement::StatementId;
use crate::tax::year::YearEnd;

/// Why a payment is not taken in.
type Refused = (SetAsideCode, String);

impl<'a> Draft<'a> {
    /// A purchase or disposal of the taxpayer's own asset.
    pub(super) fn transfer(
        &mut self,
        paid: &Paid<'a>,
        nature: &str,
        asset: Option<StatementId>,
    ) -> Result<(), Refused> {
        let Some(asset) = asset else { return Err((SetAsideCode::Gone, "it names no asset".to_owned())) };
        let right = self.right(asset)?;
        let mut members = self.common(paid, nature);
        members.insert("asset".to_owned(), json!(right));
        members.insert("counterparty".to_owned(), self.counterparty(paid));
        let details = details(paid);
        if nature == "disposal" {
            members.extend(details.get("share").map(|share| ("share".to_owned(), share.clone())));
        } else {
            members.extend(details);
            let fees = self.figures.get(&paid.id).and_then(|figures| figures.fees);
            members.extend(fees.map(|fees| ("fees".to_owned(), json!(fees.to_string()))));
        }
        self.add(paid, Some(asset), members);
        Ok(())
    }

    /// The other side says it bought from the taxpayer: a disposal where both attest it and name the taxpayer's asset, else
    /// a title that left.
    pub(super) fn sold(&mut self, paid: &Paid<'a>) -> Result<(), Refused> {
        if let Some(asset) = paid.claim.counter_asset.filter(|_| is_confirmed(paid)) {
            return self.transfer(paid, "disposal", Some(asset));
        }
        let known = paid.claim.counter_asset.or_else(|| self.same_registration(paid));
        let Some(asset) = known else { return Ok(()) };
        let right = self.right(asset)?;
        let event = json!({ "nature": "title_left", "date": paid.claim.on, "asset": right });
        let origin = Origin { index: paid.version.index, payment: Some(paid.id), asset: Some(asset) };
        self.push(&format!("{}/left", name(paid.version.index)), origin, event);
        Ok(())
    }

    /// The other side says it sold to the taxpayer: a purchase where both attest it and name the taxpayer's asset.
    pub(super) fn bought(&mut self, paid: &Paid<'a>) -> Result<(), Refused> {
        match paid.claim.counter_asset.filter(|_| is_confirmed(paid)) {
            Some(asset) => self.transfer(paid, "purchase", Some(asset)),
            None => Ok(()),
        }
    }

    /// Everything else that the taxpayer paid.
    pub(super) fn spent(&mut self, paid: &Paid<'a>) -> Result<(), Refused> {
        let claim = paid.claim;
        let mut members = self.common(paid, claim.nature.as_str());
        let is_research = matches!(claim.nature, Nature::RndTypeA | Nature::RndTypeB);
        let asset = match (claim.asset, claim.ip_type) {
            (Some(asset), _) => Some(self.right(asset)?),
            (None, Some(ip_type)) if !is_research => {
                // No asset is named, so the right is known by nothing but this payment.
                let name = format!("payment {}", paid.version.index);
                self.rights.insert(name.clone(), (json!({ "id": name, "ip_type": ip_type }), None));
                Some(name)
            }
            _ => None,
        };
        members.extend(asset.map(|asset| ("asset".to_owned(), json!(asset))));
        let mut details = details(paid);
        let figures = self.figures.get(&paid.id);
        match claim.nature {
            Nature::Royalty => {
                let mut payee = self.payee(paid);
                for member in ["ever_hk_owned", "treaty_cap"] {
                    payee.extend(details.remove(member).map(|value| (member.to_owned(), value)));
                }
                members.insert("payee".to_owned(), Value::Object(payee));
                let withheld = figures.and_then(|figures| figures.withheld);
                members.extend(withheld.map(|withheld| ("withheld".to_owned(), json!(withheld.to_string()))));
            }
            Nature::RndTypeA | Nature::RndTypeB => {
                members.insert("counterparty".to_owned(), self.counterparty(paid));
                let met = figures.and_then(|figures| figures.met_by_others);
                members.extend(met.map(|met| ("met_by_others".to_owned(), json!(met.to_string()))));
            }
            Nature::UpfrontFee => {
                members.insert("counterparty".to_owned(), self.counterparty(paid));
            }
            _ => {}
        }
        members.extend(details);
        self.add(paid, claim.asset, members);
        Ok(())
    }

    /// Members that every payment has.
    fn common(&self, paid: &Paid<'a>, nature: &str) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("nature".to_owned(), json!(nature));
        members.insert("date".to_owned(), json!(paid.claim.on));
        if let Some(figures) = self.figures.get(&paid.id) {
            let own = Evidence::attested_by(paid.version, paid.claim);
            members.insert("attested_by".to_owned(), json!(figures.attested_by(own)));
            members.insert("amount".to_owned(), json!(figures.net().to_string()));
            members.insert("currency".to_owned(), json!(figures.currency));
            members.extend(figures.rate.as_ref().map(|rate| ("fx".to_owned(), rate.to_fact())));
        }
        members
    }

    fn add(&mut self, paid: &Paid<'a>, asset: Option<StatementId>, members: Map<String, Value>) {
        let origin = Origin { index: paid.version.index, payment: Some(paid.id), asset };
        self.push(&name(paid.version.index), origin, Value::Object(members));
    }

    fn is_associate(&self, paid: &Paid<'a>) -> bool {
        let taxpayer = Side::Party(self.evidence.taxpayer);
        self.evidence.are_associates(&taxpayer, other(paid), paid.claim.on)
    }

    fn counterparty(&self, paid: &Paid<'a>) -> Value {
        let (name, residence) = self.evidence.describe(other(paid));
        let mut members = Map::new();
        members.insert("name".to_owned(), json!(shortened(&name)));
        members.insert("associate".to_owned(), json!(self.is_associate(paid)));
        members.extend(residence.map(|residence| ("residence".to_owned(), json!(residence))));
        Value::Object(members)
    }

    /// The payee of a royalty. Its name is its id, so that whoever is paid twice is one person.
    fn payee(&self, paid: &Paid<'a>) -> Map<String, Value> {
        let side = &paid.claim.payee;
        let (_, residence) = self.evidence.describe(side);
        let mut members = Map::new();
        let name = match side {
            Side::Party(party) => party.to_hex(),
            Side::Outside(outside) => {
                let text = format!("{} {}", outside.jurisdiction.as_str(), outside.name);
                if text == shortened(&text) {
                    text
                } else {
                    crate::digest::Sha256Digest::of(text.as_bytes()).to_string()
                }
            }
        };
        members.insert("name".to_owned(), json!(name));
        members.insert("associate".to_owned(), json!(self.is_associate(paid)));
        members.extend(residence.map(|residence| ("residence".to_owned(), json!(residence))));
        let year = YearEnd::MARCH.year_of(paid.claim.on);
        if let Some(profile) = side.party().and_then(|party| self.evidence.profile(party, Some(year))) {
            members.insert("entity".to_owned(), json!(profile.entity));
            members.insert("two_tier".to_owned(), json!(profile.two_tier));
        }
        members
    }

    /// The taxpayer's asset with the registration of the one that the buyer names.
    fn same_registration(&self, paid: &Paid<'a>) -> Option<StatementId> {
        let assets = &self.evidence.assets;
        let (_, bought) = paid.claim.asset.and_then(|id| assets.get(&id)).and_then(Versions::standing)?;
        let number = bought.registration_number.as_ref()?;
        let own = assets.values().filter_map(|asset| Some((asset.id, asset.standing()?)));
        let mut own = own.filter(|(_, (version, _))| version.issuer == self.evidence.taxpayer);
        let same = own.find(|(_, (_, claim))| {
            (claim.ip_type, &claim.jurisdiction, claim.registration_number.as_ref())
                == (bought.ip_type, &bought.jurisdiction, Some(number))
        });
        same.map(|(id, _)| id)
    }
}

/// The side that is not the taxpayer.
fn other<'a>(paid: &Paid<'a>) -> &'a Side {
    if paid.is_payer { &paid.claim.payee } else { &paid.claim.payer }
}

/// The openly stated facts, which have the engine's own names.
fn details(paid: &Paid<'_>) -> Map<String, Value> {
    match serde_json::to_value(&paid.claim.details) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}
