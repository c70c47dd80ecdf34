//! The summary of terms: sentences made from the same data that programs compare, in one of three languages.
//!
//! Sections come in the order of the document, and none is left out because it is empty: "no limit" is said, too.

use super::consideration::{Consideration, Figures, Tier};
use super::figures::Rate;
use super::place::Place;
use super::vocabulary::{ConsiderationKind, EndEffect, Form, Forum, Language, Permission, ShareAlike, Vocabulary as _};
use super::words::{Words, grouped};
use super::{Ending, FieldOfUse, Terms, Territory};
use crate::strict::StrictError;
use crate::text::Texts;

/// Columns of the longest line of a rendered summary's headings; text follows indented.
const INDENT: &str = "  ";

/// A summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The language.
    pub language: Language,
    /// Its heading, with the id of the terms.
    pub title: String,
    /// What it is and is not.
    pub note: String,
    /// Its sections, in order.
    pub sections: Vec<Section>,
}

/// A section of a summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its heading.
    pub heading: String,
    /// Its sentences.
    pub sentences: Vec<String>,
}

impl core::fmt::Display for Summary {
    /// Plain text, one sentence a line.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        writeln!(f, "{}", self.title)?;
        for section in &self.sections {
            writeln!(f, "{}", section.heading)?;
            for sentence in &section.sentences {
                writeln!(f, "{INDENT}{}", sentence.replace('\n', "\n  "))?;
            }
        }
        writeln!(f, "{}", self.note)
    }
}

impl Terms {
    /// What these terms say, for a person.
    ///
    /// # Errors
    /// None in practice: see [`Terms::id`].
    pub fn summary(&self, language: Language) -> Result<Summary, StrictError> {
        let writer = Writer { words: Words::of(language), terms: self, language };
        let sections = [
            ("section-grant", writer.grant()),
            ("section-exclusivity", writer.exclusivity()),
            ("section-sublicensing", writer.sublicensing()),
            ("section-territory", vec![capitalised(&writer.territory(&self.territory))]),
            ("section-field", vec![capitalised(&writer.field(&self.field))]),
            ("section-term", writer.term()),
            ("section-metric", writer.metric()),
            ("section-derivatives", writer.derivatives()),
            ("section-outputs", writer.outputs()),
            ("section-restrictions", writer.restrictions()),
            ("section-redistribution", writer.redistribution()),
            ("section-consideration", writer.consideration()),
            ("section-law", writer.law()),
            ("section-audit", writer.audit()),
            ("section-termination", writer.termination()),
            ("section-tax", writer.tax()),
            ("section-compliance", writer.compliance()),
            ("section-rider", writer.rider()),
        ];
        let sections = sections.into_iter().filter(|(_, sentences)| !sentences.is_empty());
        let id = self.id()?.shown().to_string();
        Ok(Summary {
            language,
            title: writer.words.with("summary-title", [("id", id.into())]),
            note: writer.words.get("summary-note"),
            sections: sections.map(|(key, sentences)| Section { heading: writer.words.get(key), sentences }).collect(),
        })
    }
}

struct Writer<'t> {
    words: Words,
    terms: &'t Terms,
    language: Language,
}

impl Writer<'_> {
    fn grant(&self) -> Vec<String> {
        let grant = &self.terms.grant;
        let rights = self.words.values(grant.rights.as_slice());
        let mut sentences = vec![self.words.with(&grant.grant_type.key(), [("rights", rights.into())])];
        if let Some(licence) = &self.terms.licence {
            sentences.push(self.words.with("grant-public", [("licence", licence.expression.as_str().into())]));
        }
        sentences
    }

    fn exclusivity(&self) -> Vec<String> {
        let exclusivity = &self.terms.exclusivity;
        let mut sentences = vec![self.words.value(exclusivity.kind)];
        let Some(scope) = &exclusivity.scope else { return sentences };
        if let Some(rights) = &scope.rights {
            let rights = self.words.values(rights.as_slice());
            sentences.push(self.words.with("exclusivity-scope-rights", [("rights", rights.into())]));
        }
        if let Some(territory) = &scope.territory {
            let territory = self.trimmed(self.territory(territory));
            sentences.push(self.words.with("exclusivity-scope-territory", [("territory", territory.into())]));
        }
        if let Some(field) = &scope.field {
            let field = self.trimmed(self.field(field));
            sentences.push(self.words.with("exclusivity-scope-field", [("field", field.into())]));
        }
        if let Some(duration) = scope.duration {
            let duration = self.words.duration(duration);
            sentences.push(self.words.with("exclusivity-scope-duration", [("duration", duration.into())]));
        }
        sentences
    }

    /// A sentence without its full stop, to stand in another.
    fn trimmed(&self, sentence: String) -> String {
        let stop = if self.language == Language::English { '.' } else { '。' };
        sentence.strip_suffix(stop).map(str::to_owned).unwrap_or(sentence)
    }

    fn sublicensing(&self) -> Vec<String> {
        let sublicensing = &self.terms.sublicensing;
        let mut sentences = vec![self.words.get(&format!("sublicensing-{}", sublicensing.permission.as_str()))];
        if let Some(depth) = sublicensing.max_depth
            && sublicensing.permission != Permission::None
        {
            sentences.push(self.words.with("sublicensing-depth", [("n", depth.into())]));
        }
        sentences.push(self.words.get(&format!("transfer-{}", sublicensing.transferable.as_str())));
        sentences
    }

    fn either(&self, key: &str, include: &[String], exclude: &[String]) -> String {
        let include = self.words.list(include);
        if exclude.is_empty() {
            return self.words.with(key, [("include", include.into())]);
        }
        let arguments = [("include", include.into()), ("exclude", self.words.list(exclude).into())];
        self.words.with(&format!("{key}-except"), arguments)
    }

    fn territory(&self, territory: &Territory) -> String {
        let names = |places: &[Place]| places.iter().map(|place| self.words.place(place)).collect::<Vec<_>>();
        self.either("territory", &names(territory.include.as_slice()), &names(territory.exclude.as_slice()))
    }

    fn field(&self, field: &FieldOfUse) -> String {
        let include: Vec<String> = field.include.iter().map(|activity| self.words.activity(activity)).collect();
        let exclude: Vec<String> = field.exclude.iter().map(|activity| self.words.activity(activity)).collect();
        self.either("field", &include, &exclude)
    }

    fn term(&self) -> Vec<String> {
        let (words, term) = (&self.words, &self.terms.term);
        let start = term.start.map(|start| words.date(start));
        let mut sentences = vec![match (term.duration, start) {
            (None, None) => words.get("term-perpetual"),
            (None, Some(start)) => words.with("term-perpetual-from", [("start", start.into())]),
            (Some(duration), None) => words.with("term-duration", [("duration", words.duration(duration).into())]),
            (Some(duration), Some(start)) => {
                let end = term.start.and_then(|start| start.last_day_of(duration));
                let end = end.map_or_else(String::new, |end| words.date(end));
                let arguments =
                    [("duration", words.duration(duration).into()), ("start", start.into()), ("end", end.into())];
                words.with("term-duration-from", arguments)
            }
        }];
        if let Some(renewal) = &term.renewal {
            sentences.push(words.with(&renewal.mode.key(), [("period", words.duration(renewal.period).into())]));
        }
        if let Some(notice) = term.notice {
            sentences.push(words.with("term-notice", [("notice", words.duration(notice).into())]));
        }
        if let Some(cure) = term.cure_period {
            sentences.push(words.with("term-cure", [("cure", words.duration(cure).into())]));
        }
        sentences
    }

    fn metric(&self) -> Vec<String> {
        let words = &self.words;
        if self.terms.metric.is_empty() {
            return vec![words.get("metric-none")];
        }
        let mut sentences = Vec::new();
        for metric in &self.terms.metric {
            let unit = words.value(metric.metric);
            sentences.push(match (metric.cap, metric.period) {
                (None, _) => words.with("metric-uncapped", [("metric", unit.into())]),
                (Some(cap), None) => {
                    words.with("metric-capped", [("cap", grouped(cap.get()).into()), ("metric", unit.into())])
                }
                (Some(cap), Some(period)) => {
                    let every = words.every(period);
                    let arguments =
                        [("cap", grouped(cap.get()).into()), ("metric", unit.into()), ("every", every.into())];
                    words.with("metric-capped-period", arguments)
                }
            });
            if metric.cap.is_some() {
                sentences.push(words.value(metric.overage));
            }
        }
        sentences
    }

    fn derivatives(&self) -> Vec<String> {
        let (words, derivatives) = (&self.words, &self.terms.derivatives);
        if !derivatives.allowed {
            return vec![words.get("derivatives-refused")];
        }
        let mut sentences = vec![words.get("derivatives-allowed")];
        if derivatives.approval_required {
            sentences.push(words.get("derivatives-approval"));
        }
        sentences.push(words.value(derivatives.share_alike));
        if derivatives.share_alike != ShareAlike::None && !derivatives.compatible_terms.is_empty() {
            let terms = words.list(derivatives.compatible_terms.as_slice());
            sentences.push(words.with("derivatives-compatible", [("terms", terms.into())]));
        }
        if derivatives.lineage_disclosure {
            sentences.push(words.get("derivatives-lineage"));
        }
        sentences
    }

    fn outputs(&self) -> Vec<String> {
        let outputs = &self.terms.outputs;
        let training = if outputs.may_train_on_outputs { "outputs-training" } else { "outputs-no-training" };
        vec![self.words.value(outputs.owner), self.words.get(training)]
    }

    fn restrictions(&self) -> Vec<String> {
        let restrictions = &self.terms.use_restrictions;
        if restrictions.codes.is_empty() {
            return vec![self.words.get("restrictions-none")];
        }
        let codes = self.words.values(restrictions.codes.as_slice());
        let mut sentences = vec![self.words.with("restrictions", [("restrictions", codes.into())])];
        if restrictions.propagates {
            sentences.push(self.words.get("restrictions-propagate"));
        }
        sentences
    }

    fn redistribution(&self) -> Vec<String> {
        let (words, copies) = (&self.words, &self.terms.redistribution);
        let forms: &[Form] = copies.forms.as_slice();
        let mut sentences = vec![if forms.is_empty() {
            words.get("redistribution-none")
        } else {
            words.with("redistribution-forms", [("forms", words.values(forms).into())])
        }];
        let attribution = if copies.attribution_required { "attribution-required" } else { "attribution-none" };
        sentences.push(words.get(attribution));
        if let Some(notice) = &copies.notice_text {
            sentences.push(words.with("attribution-notice", [("notice", self.passage(notice).into())]));
        }
        sentences
    }

    /// A text in this language, or in the first that it has.
    fn passage<'p>(&self, passage: &'p Texts) -> &'p str {
        let own = passage.iter().find(|(language, _)| *language == self.language.as_str());
        own.map_or_else(|| passage.display(), |(_, text)| text)
    }

    fn consideration(&self) -> Vec<String> {
        if self.terms.consideration.is_empty() {
            return vec![self.words.get("consideration-none")];
        }
        self.terms.consideration.iter().map(|paid| self.paid(paid)).collect()
    }

    fn paid(&self, paid: &Consideration) -> String {
        let words = &self.words;
        let currency = || paid.currency.as_str();
        let schedule = paid.schedule.as_ref();
        let open = paid.figures.as_ref();
        let amount = open.and_then(|figures| figures.amount.as_ref()).map_or_else(
            || words.with("consideration-sealed-amount", [("currency", currency().into())]),
            |amount| words.amount(currency(), amount),
        );
        let rate = open.and_then(|figures| figures.rate.as_ref()).map_or_else(
            || words.with("consideration-sealed-rate", [("currency", currency().into())]),
            |rate| words.rate(rate.percent()),
        );
        let every = schedule.and_then(|when| when.every).map_or_else(String::new, |every| words.every(every));
        let base = paid.base.map_or_else(String::new, |base| words.value(base));
        let unit = paid.unit.map_or_else(String::new, |unit| words.value(unit));
        let milestone =
            schedule.and_then(|when| when.milestone).map_or_else(String::new, |reached| words.value(reached));
        let arguments = [
            ("amount", amount.into()),
            ("rate", rate.into()),
            ("every", every.into()),
            ("base", base.into()),
            ("unit", unit.into()),
            ("milestone", milestone.into()),
        ];
        let mut sentences = vec![capitalised(&words.with(&paid.kind.key(), arguments))];
        if let Some(Figures { tiers, ceiling, .. }) = open {
            sentences.extend(tiers.iter().map(|tier| self.tier(paid, tier)));
            if let Some(ceiling) = ceiling {
                let ceiling = words.amount(currency(), ceiling);
                sentences.push(words.with("consideration-ceiling", [("ceiling", ceiling.into())]));
            }
        }
        if let Some(day) = schedule.and_then(|when| when.on) {
            sentences.push(words.with("consideration-on", [("date", words.date(day).into())]));
        }
        if let Some(within) = schedule.and_then(|when| when.within) {
            sentences.push(words.with("consideration-within", [("within", words.duration(within).into())]));
        }
        match paid.recoupable {
            // A guarantee is nothing but that.
            Some(true) if paid.kind != ConsiderationKind::MinGuarantee => {
                sentences.push(words.get("consideration-recoupable"));
            }
            Some(false) => sentences.push(words.get("consideration-not-recoupable")),
            _ => {}
        }
        sentences.join(&words.get("sentence-separator"))
    }

    fn tier(&self, paid: &Consideration, tier: &Tier) -> String {
        let words = &self.words;
        let above_amount = tier.above_amount.as_ref().map(|amount| words.amount(paid.currency.as_str(), amount));
        let above = above_amount.or_else(|| tier.above_units.map(|units| grouped(units.get()))).unwrap_or_default();
        match (&tier.rate, &tier.amount) {
            (None, Some(amount)) => {
                let amount = words.amount(paid.currency.as_str(), amount);
                words.with("consideration-tier-amount", [("above", above.into()), ("amount", amount.into())])
            }
            (rate, _) => {
                let rate = words.rate(rate.as_ref().map_or_else(String::new, Rate::percent));
                words.with("consideration-tier-rate", [("above", above.into()), ("rate", rate.into())])
            }
        }
    }

    fn law(&self) -> Vec<String> {
        let Some(law) = &self.terms.law else { return Vec::new() };
        let words = &self.words;
        let place = |code: &crate::code::Jurisdiction| words.place(&Place::Country(code.clone()));
        let seat = place(&law.seat);
        let disputes = if law.forum == Forum::Courts {
            words.with("law-courts", [("seat", seat.into())])
        } else {
            words.with("law-arbitration", [("forum", words.value(law.forum).into()), ("seat", seat.into())])
        };
        vec![
            words.with("law-governing", [("law", place(&law.governing_law).into())]),
            disputes,
            words.with("law-language", [("language", words.value(law.prevailing_language).into())]),
        ]
    }

    fn audit(&self) -> Vec<String> {
        let Some(audit) = &self.terms.audit else { return Vec::new() };
        let words = &self.words;
        let mut sentences: Vec<String> = Vec::new();
        if let Some(cadence) = audit.cadence {
            sentences.push(words.with("audit-cadence", [("every", words.every(cadence).into())]));
        }
        let parts = [(audit.statement_due, "audit-due", "due"), (audit.lookback, "audit-lookback", "lookback")];
        let sentence = |(duration, key, argument): (Option<_>, &'static str, &'static str)| {
            duration.map(|duration| words.with(key, [(argument, words.duration(duration).into())]))
        };
        sentences.extend(parts.into_iter().filter_map(sentence));
        sentences
    }

    fn termination(&self) -> Vec<String> {
        let (words, termination) = (&self.words, &self.terms.termination);
        let grounds = termination.grounds.as_slice();
        let mut sentences = vec![if grounds.is_empty() {
            words.get("termination-none")
        } else {
            words.with("termination-grounds", [("grounds", words.values(grounds).into())])
        }];
        let ending = |ending: &Ending, key: &str| {
            let period = ending.period.filter(|_| ending.effect == EndEffect::WindDown);
            let period = period.map_or_else(String::new, |period| words.duration(period));
            words.with(&format!("{key}-{}", ending.effect.as_str()), [("period", period.into())])
        };
        if self.terms.sublicensing.permission != Permission::None {
            sentences.push(ending(&termination.sublicences, "sublicences"));
        }
        if self.terms.derivatives.allowed {
            sentences.push(ending(&termination.derivatives, "derivatives"));
        }
        sentences
    }

    fn tax(&self) -> Vec<String> {
        let Some(tax) = &self.terms.tax else { return Vec::new() };
        let words = &self.words;
        let place = |code: &crate::code::Jurisdiction| words.place(&Place::Country(code.clone()));
        let mut sentences = vec![
            words.with("tax-residence", [("place", place(&tax.payee_residence).into())]),
            words.get(if tax.associate { "tax-associate" } else { "tax-no-associate" }),
            words.get(if tax.gross_up { "tax-gross-up" } else { "tax-no-gross-up" }),
        ];
        if let Some(rate) = &tax.withholding_rate_claimed {
            sentences.push(words.with("tax-rate", [("rate", words.rate(rate.percent()).into())]));
        }
        if let Some(treaty) = &tax.treaty {
            let arguments = [("article", treaty.article.to_string().into()), ("with", place(&treaty.with).into())];
            sentences.push(words.with("tax-treaty", arguments));
        }
        sentences
    }

    fn compliance(&self) -> Vec<String> {
        let Some(compliance) = &self.terms.compliance else { return Vec::new() };
        let words = &self.words;
        let zones: Vec<String> =
            compliance.data_residency.iter().map(|zone| words.get(&format!("zone-{}", zone.as_str()))).collect();
        let personal = if compliance.personal_data_present { "compliance-personal" } else { "compliance-no-personal" };
        let mut sentences =
            vec![words.with("compliance-residency", [("zones", words.list(&zones).into())]), words.get(personal)];
        if let Some(export) = &compliance.technology_export {
            let number = export.catalogue_number.as_ref().map_or_else(String::new, ToString::to_string);
            sentences.push(words.with(&export.class.key(), [("number", number.into())]));
            if let Some(approval) = &export.approval_number {
                sentences.push(words.with("export-approval", [("approval", approval.to_string().into())]));
            }
        }
        sentences
    }

    fn rider(&self) -> Vec<String> {
        let Some(rider) = &self.terms.rider else { return Vec::new() };
        vec![self.words.get("rider-note"), self.passage(rider).to_owned()]
    }
}

/// A sentence begins with a capital, where the script has them.
fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
