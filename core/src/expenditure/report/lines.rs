//! From the engine's answer to the lines of a report: which of them are asked for, and what an officer reads beside each.

use std::collections::{BTreeMap, BTreeSet};

use super::breakdown::breakdown;
use super::query::Query;
use super::{BasisPeriod, ComputeError, Flag, Line, Payment, Report, Taxpayer, TypeRow, Withholding, rows};
use crate::artefact::IpType;
use crate::expenditure::evidence::{Evidence, Status, Versions};
use crate::expenditure::facts::{self, Mapped, Origin};
use crate::money::{Amount, Fraction, Overflow};
use crate::statement::StatementId;
use crate::tax::facts::{AttestedBy, Entity, Event, Nature};
use crate::tax::lines::{FlagCode, Kind, Line as EngineLine, Report as Answer};
use crate::tax::rules::{At, Parameter, RuleSet, Topic};
use crate::tax::steps::Working;
use crate::tax::year::Year;
use crate::tax::{TaxError, hk};

/// Prefix of the elements of a Hong Kong tax computation.
const ELEMENT_PREFIX: &str = "ird_tc:";

/// What lines are made with.
struct Maker<'a> {
    evidence: &'a Evidence,
    mapped: &'a Mapped,
    rules: &'a RuleSet,
    payments: BTreeMap<StatementId, Payment>,
    events: BTreeMap<&'a str, &'a Event>,
    /// Types of rights by the engine's name.
    types: BTreeMap<&'a str, IpType>,
    brn: Option<String>,
    /// Deductions so far, by the event of the purchase.
    deducted: BTreeMap<&'a str, Amount>,
}

/// Puts a report together.
pub(super) fn report(
    evidence: &Evidence,
    query: &Query,
    jurisdiction: &str,
    rules: &RuleSet,
    mapped: &Mapped,
    answer: &Answer<'_>,
) -> Result<Report, ComputeError> {
    let last = query.years.last().copied();
    let mut maker = Maker {
        evidence,
        mapped,
        rules,
        payments: rows::payments(evidence, mapped),
        events: mapped.facts.events.iter().map(|event| (event.id.as_str(), event)).collect(),
        types: mapped.facts.assets.iter().map(|asset| (asset.id.as_str(), asset.ip_type)).collect(),
        brn: facts::brn(evidence, last),
        deducted: BTreeMap::new(),
    };
    let mut lines = Vec::with_capacity(answer.lines.len());
    for line in &answer.lines {
        lines.push(maker.line(line)?);
    }
    let flags = maker.flags(answer);
    flag(&mut lines, &flags);
    lines.retain(|line| query.admits_line(line) && query.flag.is_none_or(|code| line.flags.contains(&code)));
    let payments = maker.shown(query, &lines, &flags);
    let flags = flags.into_iter().filter(|flag| {
        flag.year.is_none_or(|year| query.asks_about(year)) && query.flag.is_none_or(|code| code == flag.code)
    });
    let flags = flags.collect();
    let jurisdiction = jurisdiction.to_ascii_uppercase();
    Ok(Report {
        query: query.clone(),
        size: evidence.size,
        rules_digest: rules.digest(),
        openings_digest: evidence.openings_digest,
        taxpayer: maker.taxpayer(last),
        flags,
        breakdown: breakdown(&jurisdiction, &lines).map_err(TaxError::from)?,
        ip_types: type_rows(rules, &lines).map_err(TaxError::from)?,
        payments,
        corrections: rows::corrections(evidence),
        set_aside: mapped.set_aside.clone(),
        left_out: evidence.left_out,
        jurisdiction,
        lines,
    })
}

impl<'a> Maker<'a> {
    fn taxpayer(&self, last: Option<Year>) -> Taxpayer {
        let party = self.evidence.taxpayer;
        let profile = self.evidence.profile(party, last);
        let taxpayer = &self.mapped.facts.taxpayer;
        let latest = taxpayer.changes.last().map_or(&taxpayer.first, |(_, latest)| latest);
        let assessed = last.map_or(latest, |year| taxpayer.assessed(year));
        Taxpayer {
            party,
            name: self.evidence.parties.get(&party).map(|record| record.name.clone()).unwrap_or_default(),
            brn: self.brn.clone(),
            file_number: profile.and_then(|profile| profile.file_number.clone()),
            entity: profile.map_or_else(Entity::default, |profile| profile.entity),
            year_end: assessed.year_end,
            trade: assessed.trade,
            has_profile: profile.is_some(),
        }
    }

    fn line(&mut self, line: &EngineLine<'a>) -> Result<Line, ComputeError> {
        let origins: Vec<_> = line.events.iter().filter_map(|name| self.mapped.origins.get(*name)).collect();
        let mut paid = origins.iter().filter_map(|origin| origin.payment);
        // A slice is the purchase's, what a sale brings the sale's.
        let payment = if line.slice.is_some() { paid.next() } else { paid.next_back() };
        let payment = payment.and_then(|id| self.payments.get(&id)).cloned();
        let asset_id = line.asset.and_then(|name| self.mapped.assets.get(name).copied().flatten());
        let asset = asset_id.and_then(|id| rows::asset(self.evidence, id));
        let known = line.asset.and_then(|name| self.types.get(name).copied());
        let ip_type = known.or_else(|| payment.as_ref().and_then(|payment| payment.ip_type));
        let basis_period = self.mapped.facts.taxpayer.basis_period(line.year);
        let (cumulative, unallowed) = self.balance(line).map_err(TaxError::from)?.unzip();
        let entries: BTreeSet<u64> = origins.iter().flat_map(|origin| self.entries(origin)).collect();
        Ok(Line {
            line: line.line,
            taxpayer: self.evidence.taxpayer,
            brn: self.brn.clone(),
            year: line.year,
            basis_period: basis_period.map(|(from, to)| BasisPeriod { from, to }),
            asset,
            ip_type,
            withholding: self.withholding(line, payment.as_ref())?,
            status: payment.as_ref().map_or(Status::Active, |payment| payment.status),
            payment,
            kind: line.kind,
            section: line.section.to_owned(),
            rule: line.rule.to_owned(),
            rule_status: line.status,
            citation: line.citation.to_owned(),
            slice: line.slice,
            use_fraction: line.use_fraction,
            amount: line.amount,
            cumulative,
            unallowed,
            reason: line.reason,
            entries: entries.into_iter().collect(),
            steps: line.steps.iter().map(ToString::to_string).collect(),
            claimant: line.claimant,
            needs_review: line.needs_review,
            flags: BTreeSet::new(),
        })
    }

    /// Entries that an event rests on: its own, and of a payment whatever its figures and its treatment come from.
    fn entries(&self, origin: &Origin) -> BTreeSet<u64> {
        let mut entries = BTreeSet::from([origin.index]);
        let Some(id) = origin.payment else { return entries };
        if let Some(figures) = self.mapped.figures.get(&id) {
            entries.extend(figures.credits.iter().map(|credit| credit.index));
            entries.extend(figures.rate.as_ref().map(|rate| rate.index));
        }
        let is_associate = self.payments.get(&id).is_some_and(|payment| payment.counterparty.associate);
        let claim = self.evidence.payments.get(&id).and_then(Versions::said).map(|(_, claim)| claim);
        if let Some(claim) = claim.filter(|_| is_associate) {
            entries.extend(self.evidence.relation_on(&claim.payer, &claim.payee, claim.on));
        }
        entries
    }

    /// Those of them that raise a flag.
    fn raising(&self, code: FlagCode, origin: &Origin) -> Vec<u64> {
        let figures = origin.payment.and_then(|id| self.mapped.figures.get(&id));
        let payment = origin.payment.and_then(|id| self.payments.get(&id));
        match (code, figures.zip(payment)) {
            (FlagCode::Unconfirmed, Some((figures, payment))) => {
                let credits = figures.credits.iter().map(|credit| (credit.index, credit.attested_by));
                let all = core::iter::once((origin.index, payment.attested_by)).chain(credits);
                all.filter(|(_, by)| *by != AttestedBy::Both).map(|(index, _)| index).collect()
            }
            _ => vec![origin.index],
        }
    }

    /// Deductions for a purchase up to and with this line, and what of its cost is left.
    fn balance(&mut self, line: &EngineLine<'a>) -> Result<Option<(Amount, Amount)>, Overflow> {
        let Some(name) = line.events.first().copied() else { return Ok(None) };
        let is_sale = line.events.iter().filter_map(|name| self.events.get(name));
        let is_sale = is_sale.clone().any(|event| matches!(event.nature, Nature::Disposal(..)));
        let Some(Nature::Purchase(purchase)) = self.events.get(name).map(|event| &event.nature) else {
            return Ok(None);
        };
        if is_sale && line.slice.is_none() {
            return Ok(None);
        }
        let mut working = Working::default();
        let mut cost = purchase.price.amount;
        if purchase.share != Fraction::ONE {
            cost = working.times(cost, purchase.share.decimal())?;
        }
        cost = cost.plus(purchase.fees.amount)?;
        let sum = self.deducted.entry(name).or_default();
        if line.kind == Kind::Deduction {
            *sum = sum.plus(line.amount)?;
        }
        Ok(Some((*sum, cost.minus(*sum)?)))
    }

    fn withholding(&self, line: &EngineLine<'a>, payment: Option<&Payment>) -> Result<Option<Withholding>, TaxError> {
        let event = line.events.first().and_then(|name| self.events.get(name));
        let Some(event) = event.filter(|_| line.kind == Kind::Withholding) else { return Ok(None) };
        let Some(basis) = hk::withholding_basis(self.rules, line.rule, event)? else { return Ok(None) };
        Ok(Some(Withholding {
            head: line.section.split(',').next().unwrap_or_default().to_owned(),
            deemed_rate: basis.deemed_rate.to_string(),
            treaty_cap: basis.treaty_cap.map(|cap| cap.to_string()),
            due: line.amount,
            withheld: payment.and_then(|payment| payment.withheld.clone()),
        }))
    }

    fn flags(&self, answer: &Answer<'_>) -> Vec<Flag> {
        let flag = |flag: &crate::tax::lines::Flag<'_>| {
            let origins = flag.events.iter().filter_map(|name| self.mapped.origins.get(*name));
            let entries: BTreeSet<u64> = origins.flat_map(|origin| self.raising(flag.code, origin)).collect();
            let asset = flag.asset.and_then(|name| self.mapped.assets.get(name).copied().flatten());
            Flag { code: flag.code, year: flag.year, asset, entries: entries.into_iter().collect() }
        };
        answer.flags.iter().map(flag).collect()
    }

    /// Payments to be shown: those that lines rest on, and those asked for.
    fn shown(&self, query: &Query, lines: &[Line], flags: &[Flag]) -> Vec<Payment> {
        let under: BTreeSet<u64> = lines.iter().flat_map(|line| &line.entries).copied().collect();
        let is_flagged = |payment: &Payment| {
            query.flag.is_none_or(|code| {
                let mut flags = flags.iter().filter(|flag| flag.code == code);
                flags.any(|flag| {
                    flag.entries.contains(&payment.index)
                        || (payment.asset.is_some() && flag.whole_asset() == payment.asset)
                })
            })
        };
        let is_asked = |payment: &Payment| {
            let registered =
                payment.asset.and_then(|id| rows::asset(self.evidence, id)).map(|asset| asset.jurisdiction);
            let places = [registered.as_deref(), payment.counterparty.residence.as_deref()];
            query.asks_about(payment.year)
                && query.admits_payment(payment)
                && query.admits_right(payment.ip_type, places)
                && is_flagged(payment)
        };
        let shown = self.payments.values().filter(|payment| under.contains(&payment.index) || is_asked(payment));
        let mut shown: Vec<Payment> = shown.cloned().collect();
        shown.sort_by_key(|payment| payment.index);
        shown
    }
}

impl Flag {
    /// The asset that it is about as a whole, whatever a line of it rests on: a title that left, a right that lapsed.
    fn whole_asset(&self) -> Option<StatementId> {
        self.asset.filter(|_| self.year.is_none())
    }
}

/// Says of each line what is flagged about it: of an entry it rests on, in its year, or of its asset as a whole.
fn flag(lines: &mut [Line], flags: &[Flag]) {
    let mut by_entry: BTreeMap<u64, Vec<&Flag>> = BTreeMap::new();
    let mut by_asset: BTreeMap<StatementId, Vec<&Flag>> = BTreeMap::new();
    for flag in flags {
        for entry in &flag.entries {
            by_entry.entry(*entry).or_default().push(flag);
        }
        if let Some(asset) = flag.whole_asset() {
            by_asset.entry(asset).or_default().push(flag);
        }
    }
    for line in lines {
        let of_entries = line.entries.iter().filter_map(|entry| by_entry.get(entry));
        let of_asset = line.asset.as_ref().and_then(|asset| by_asset.get(&asset.id));
        let about = of_entries.chain(of_asset).flatten();
        let codes = about.filter(|flag| flag.year.is_none_or(|year| year == line.year)).map(|flag| flag.code);
        line.flags = codes.collect();
    }
}

/// One row for each of the eight types in each year that has lines.
fn type_rows(rules: &RuleSet, lines: &[Line]) -> Result<Vec<TypeRow>, Overflow> {
    let mut sums: BTreeMap<(Year, IpType), Amount> = BTreeMap::new();
    for line in lines {
        for ip_type in IpType::ALL {
            sums.entry((line.year, ip_type)).or_default();
        }
        let is_capital = line.section.starts_with("16E");
        if let Some(ip_type) = line.ip_type.filter(|_| is_capital && line.kind == Kind::Deduction) {
            let sum = sums.entry((line.year, ip_type)).or_default();
            *sum = sum.plus(line.amount)?;
        }
    }
    let row = |((year, ip_type), deduction): ((Year, IpType), Amount)| {
        // The taxonomy has an element for every type, also for years before a type was in the law.
        let law = rules.law(Topic::IpType, ip_type.as_str(), At { year, day: None });
        let rule = law.or_else(|| {
            rules.rules().iter().find(|rule| {
                rule.topic == Topic::IpType && rule.applies_to.iter().any(|applies| applies == ip_type.as_str())
            })
        })?;
        let Some(Parameter::Text(element)) = rule.parameters.get("element") else { return None };
        let element = format!("{ELEMENT_PREFIX}{element}");
        Some(TypeRow { year, ip_type, element, deduction, value: deduction.whole_dollars().to_string() })
    };
    Ok(sums.into_iter().filter_map(row).collect())
}
