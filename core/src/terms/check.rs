//! Rules that hold between the clauses of a terms document, each with the place where it is broken.
//!
//! What one value may be is its type's business; here is what would be nonsense, or a trap, in a whole document.

use super::clauses::Ending;
use super::field::Activities;
use super::figures::RATE_WHOLE;
use super::place::Area;
use super::vocabulary::{
    ConsiderationKind, EndEffect, ExclusivityKind, GrantType, MetricKind, Overage, Permission, RenewalMode, Right,
    ShareAlike, TechnologyExportClass,
};
use super::{Metric, Terms};
use crate::licence::DeclaredLicence;
use crate::strict::StrictError;
use crate::text::is_invisible;

/// Most things that are paid under one document.
pub const CONSIDERATIONS_MAX: usize = 64;

/// Most metrics: every unit in a few periods.
const METRICS_MAX: usize = 32;

/// Longest notice, in characters.
const NOTICE_CHARACTERS_MAX: usize = 1_000;

/// Longest rider, in characters.
const RIDER_CHARACTERS_MAX: usize = 4_000;

type Checked = Result<(), StrictError>;

fn refuse<T>(pointer: impl Into<String>, reason: impl Into<String>) -> Result<T, StrictError> {
    Err(StrictError::new(pointer, reason))
}

impl Terms {
    /// Checks the rules between clauses.
    ///
    /// # Errors
    /// A [`StrictError`] whose pointer names the clause that has to give way.
    pub fn validate(&self) -> Checked {
        if let Some(licence) = &self.licence {
            licence.validate().map_err(|error| error.under("/licence"))?;
        }
        self.territory.validate().map_err(|error| error.under("/territory"))?;
        self.field.validate().map_err(|error| error.under("/field"))?;
        self.validate_term()?;
        self.validate_exclusivity()?;
        self.validate_sublicensing()?;
        self.validate_metric()?;
        self.validate_derivatives()?;
        self.validate_copies()?;
        self.validate_consideration()?;
        self.validate_money()?;
        self.validate_end()?;
        if let Some(rider) = &self.rider {
            rider.validate(|text| check_passage(text, RIDER_CHARACTERS_MAX)).map_err(|error| error.under("/rider"))?;
        }
        Ok(())
    }

    fn validate_term(&self) -> Checked {
        let term = &self.term;
        match (term.perpetual, term.duration) {
            (true, Some(_)) => refuse("/term/duration", "perpetual terms have no duration"),
            (false, None) => refuse("/term/duration", "terms that are not perpetual say for how long"),
            (true, None) if term.renewal.is_some() => refuse("/term/renewal", "perpetual terms are not renewed"),
            _ => Ok(()),
        }?;
        if let (Some(start), Some(duration)) = (term.start, term.duration)
            && start.last_day_of(duration).is_none()
        {
            return refuse("/term/duration", "the term ends after the year 9999");
        }
        let is_automatic = term.renewal.as_ref().is_some_and(|renewal| renewal.mode == RenewalMode::Automatic);
        if is_automatic && term.notice.is_none() {
            return refuse("/term/notice", "a term that renews itself says which notice stops that");
        }
        Ok(())
    }

    fn validate_exclusivity(&self) -> Checked {
        let kind = self.exclusivity.kind;
        if self.grant.grant_type == GrantType::Assignment && kind != ExclusivityKind::Exclusive {
            return refuse("/exclusivity/kind", "an assignment is exclusive: the right itself changes hands");
        }
        let Some(scope) = &self.exclusivity.scope else { return Ok(()) };
        if kind == ExclusivityKind::NonExclusive {
            return refuse("/exclusivity/scope", "what is not exclusive has no exclusive part");
        }
        if let Some(rights) = &scope.rights
            && let Some(position) = rights.iter().position(|right| !self.grant.rights.contains(right))
        {
            return refuse(format!("/exclusivity/scope/rights/{position}"), "this right is not granted at all");
        }
        if let Some(territory) = &scope.territory {
            territory.validate().map_err(|error| error.under("/exclusivity/scope/territory"))?;
            if !self.territory.area().contains(territory.area()) {
                return refuse("/exclusivity/scope/territory", "the exclusive part reaches beyond the territory");
            }
        }
        if let Some(field) = &scope.field {
            field.validate().map_err(|error| error.under("/exclusivity/scope/field"))?;
            if !Activities::of(field).beyond(&Activities::of(&self.field)).is_empty() {
                return refuse("/exclusivity/scope/field", "the exclusive part reaches beyond the field of use");
            }
        }
        if let (Some(part), Some(whole)) = (scope.duration, self.term.duration)
            && part.days_min() > whole.days_max()
        {
            return refuse("/exclusivity/scope/duration", "the exclusive part lasts longer than the term");
        }
        Ok(())
    }

    fn validate_sublicensing(&self) -> Checked {
        match (self.sublicensing.permission, self.sublicensing.max_depth) {
            (Permission::None, Some(_)) => refuse("/sublicensing/max_depth", "no sublicences, so they have no depth"),
            (_, Some(0)) => refuse("/sublicensing/max_depth", "a depth of 0 is written as the permission none"),
            _ => Ok(()),
        }
    }

    fn validate_metric(&self) -> Checked {
        if self.metric.len() > METRICS_MAX {
            return refuse("/metric", format!("at most {METRICS_MAX} metrics"));
        }
        for (position, metric) in self.metric.iter().enumerate() {
            let place = |member: &str| format!("/metric/{position}{member}");
            let key = |metric: &Metric| (metric.metric, metric.period);
            if self.metric.iter().take(position).any(|other| key(other) == key(metric)) {
                return refuse(place("/metric"), "this unit with this period stands above already");
            }
            let is_used_up = matches!(metric.metric, MetricKind::ApiCall | MetricKind::Token | MetricKind::ComputeHour);
            if metric.period.is_some() && !is_used_up {
                return refuse(place("/period"), "only calls, tokens and hours are counted in a period");
            }
            if metric.cap.is_none() && metric.overage != Overage::Billed {
                return refuse(
                    place("/cap"),
                    "a unit that is not charged for has a cap; otherwise leave the metric out",
                );
            }
            let is_priced = self.consideration.iter().any(|paid| paid.unit == Some(metric.metric));
            if metric.overage == Overage::Billed && !is_priced {
                return refuse(place("/overage"), "billed by what? a per_unit consideration for this unit is missing");
            }
        }
        Ok(())
    }

    fn validate_derivatives(&self) -> Checked {
        let derivatives = &self.derivatives;
        let making = [Right::Modify, Right::Finetune, Right::Quantize, Right::Merge];
        if !derivatives.allowed {
            if let Some(position) = self.grant.rights.iter().position(|right| making.contains(right)) {
                let reason = "this right makes derivatives, and none are allowed (/derivatives/allowed)";
                return refuse(format!("/grant/rights/{position}"), reason);
            }
            for (member, is_set) in [
                ("approval_required", derivatives.approval_required),
                ("share_alike", derivatives.share_alike != ShareAlike::None),
                ("lineage_disclosure", derivatives.lineage_disclosure),
            ] {
                if is_set {
                    return refuse(
                        format!("/derivatives/{member}"),
                        "no derivatives are allowed, so nothing holds for them",
                    );
                }
            }
        }
        if derivatives.share_alike == ShareAlike::None && !derivatives.compatible_terms.is_empty() {
            return refuse("/derivatives/compatible_terms", "without share-alike, any terms are compatible");
        }
        for (position, name) in derivatives.compatible_terms.iter().enumerate() {
            let place = format!("/derivatives/compatible_terms/{position}");
            let parsed = DeclaredLicence::parse(name).map_err(|reason| StrictError::new(&place, reason))?;
            if parsed.expression != *name {
                return refuse(place, format!("write it as {:?}", parsed.expression));
            }
            if name.contains(' ') {
                return refuse(place, "one licence at a time, without operators");
            }
        }
        Ok(())
    }

    fn validate_copies(&self) -> Checked {
        let restrictions = &self.use_restrictions;
        if restrictions.propagates && restrictions.codes.is_empty() {
            return refuse("/use_restrictions/propagates", "there are no restrictions to hand on");
        }
        let copies = &self.redistribution;
        let may_distribute = self.grant.rights.contains(&Right::Distribute);
        match (copies.forms.is_empty(), may_distribute) {
            (true, true) => {
                return refuse("/redistribution/forms", "the right to distribute is granted, but in no form");
            }
            (false, false) => {
                return refuse("/redistribution/forms", "the right to distribute is not granted (/grant/rights)");
            }
            _ => {}
        }
        let Some(notice) = &copies.notice_text else { return Ok(()) };
        if !copies.attribution_required {
            return refuse("/redistribution/notice_text", "a notice that need not be given is no clause");
        }
        let checked = notice.validate(|text| check_passage(text, NOTICE_CHARACTERS_MAX));
        checked.map_err(|error| error.under("/redistribution/notice_text"))
    }

    fn validate_consideration(&self) -> Checked {
        if self.consideration.len() > CONSIDERATIONS_MAX {
            return refuse("/consideration", format!("at most {CONSIDERATIONS_MAX} of them"));
        }
        let mut shares: u64 = 0;
        for (position, paid) in self.consideration.iter().enumerate() {
            let place = |member: &str| format!("/consideration/{position}{member}");
            paid.validate().map_err(|error| error.under(&place("")))?;
            shares = shares.saturating_add(paid.share_parts().unwrap_or(0));
            let is_assignment = self.grant.grant_type == GrantType::Assignment;
            if paid.kind == ConsiderationKind::IpPurchase && !is_assignment {
                return refuse(place("/kind"), "the price of the right itself is paid for an assignment only");
            }
            if let Some(unit) = paid.unit
                && !self.metric.iter().any(|metric| metric.metric == unit)
            {
                return refuse(place("/unit"), "this unit is not among the metrics (/metric)");
            }
            let is_set_off = paid.kind == ConsiderationKind::MinGuarantee || paid.recoupable == Some(true);
            if is_set_off && !self.has_royalties() {
                return refuse(place("/kind"), "it is set off against royalties, and there are none");
            }
        }
        if shares > RATE_WHOLE {
            return refuse("/consideration", "shares of revenue come to more than all of it");
        }
        Ok(())
    }

    /// Whether something is paid that depends on use or revenue.
    fn has_royalties(&self) -> bool {
        let depends = |kind| matches!(kind, ConsiderationKind::RevShare | ConsiderationKind::PerUnit);
        self.consideration.iter().any(|paid| depends(paid.kind))
    }

    fn validate_money(&self) -> Checked {
        if !self.consideration.is_empty() && self.law.is_none() {
            return refuse("/law", "where something is paid, terms say which law governs and who decides");
        }
        let cadence = self.audit.as_ref().and_then(|audit| audit.cadence);
        if self.has_royalties() && cadence.is_none() {
            return refuse("/audit/cadence", "royalties that depend on use or revenue are reported, so say how often");
        }
        if let Some(audit) = &self.audit {
            match (audit.cadence, audit.statement_due, audit.lookback) {
                (None, None, None) => return refuse("/audit", "nothing is said about audit or reports; leave it out"),
                (None, Some(_), _) => return refuse("/audit/statement_due", "no reports, so none is due"),
                _ => {}
            }
        }
        let Some(tax) = &self.tax else { return Ok(()) };
        if self.consideration.is_empty() {
            return refuse("/tax", "nothing is paid, so nothing is withheld");
        }
        if tax.withholding_rate_claimed.as_ref().is_some_and(|rate| rate.parts() > RATE_WHOLE) {
            return refuse("/tax/withholding_rate_claimed", "a rate is at most \"1\", which is all of it");
        }
        match &tax.treaty {
            Some(_) if tax.withholding_rate_claimed.is_none() => {
                refuse("/tax/withholding_rate_claimed", "a treaty is named, but no rate is claimed under it")
            }
            Some(treaty) if treaty.with == tax.payee_residence => {
                refuse("/tax/treaty/with", "this is where the payee is resident; name the other state")
            }
            _ => Ok(()),
        }
    }

    fn validate_end(&self) -> Checked {
        let ending = |ending: &Ending, member: &str| match (ending.effect, ending.period) {
            (EndEffect::WindDown, None) => {
                refuse(format!("/termination/{member}/period"), "wound down within what time?")
            }
            (EndEffect::WindDown, Some(_)) | (_, None) => Ok(()),
            (_, Some(_)) => refuse(format!("/termination/{member}/period"), "only what is wound down has a period"),
        };
        ending(&self.termination.sublicences, "sublicences")?;
        ending(&self.termination.derivatives, "derivatives")?;
        let Some(export) = self.compliance.as_ref().and_then(|compliance| compliance.technology_export.as_ref()) else {
            return Ok(());
        };
        let place = "/compliance/technology_export/catalogue_number";
        match (export.class, &export.catalogue_number) {
            (TechnologyExportClass::Free, None) => Ok(()),
            (TechnologyExportClass::Free, Some(_)) => refuse(place, "what is not in the catalogue has no number there"),
            (_, None) => refuse(place, "its number in the catalogue is missing"),
            (class, Some(number)) if number.class() != class => {
                refuse(place, "X stands for restricted and J for prohibited; number and class contradict each other")
            }
            _ => Ok(()),
        }
    }

    /// Everything these terms cover, for whoever compares areas.
    pub fn area(&self) -> Area {
        self.territory.area()
    }
}

/// Running text: not empty, not too long, and nothing in it that can't be seen.
fn check_passage(text: &str, characters_max: usize) -> Result<(), String> {
    if text.trim().is_empty() || text.trim() != text {
        return Err("the text is empty, or starts or ends with white space".to_owned());
    }
    if text.chars().count() > characters_max {
        return Err(format!("the text has more than {characters_max} characters"));
    }
    match text.chars().find(|character| *character != '\n' && is_invisible(*character)) {
        Some(character) => {
            let code = u32::from(character);
            Err(format!("the text contains U+{code:04X}, which is invisible or changes its direction"))
        }
        None => Ok(()),
    }
}
