//! Reading rule files, and refusing what does not fit together.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::{Parameter, ParameterKind, Period, Rule, RuleSet, Status, Topic};
use crate::digest::Sha256Digest;
use crate::money::{Amount, Decimal, RATE_DECIMALS_MAX};
use crate::strict;
use crate::tax::year::{Date, Year};

/// Most rules of a set: a hundred times what Hong Kong has, so that checks in pairs stay quick.
const RULES_MAX: usize = 10_000;

/// Why a rule set was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct RuleError {
    /// The file.
    pub file: String,
    /// The line in it, from 1.
    pub line: usize,
    /// What is wrong there, for a person.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    rule: Vec<RawRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    id: Spanned<String>,
    topic: Topic,
    section: String,
    #[serde(default)]
    applies_to: Vec<String>,
    from: Spanned<String>,
    to: Option<Spanned<String>>,
    enacted: Option<Spanned<String>>,
    status: Status,
    citation: Option<Spanned<String>>,
    #[serde(default)]
    parameters: BTreeMap<String, Spanned<Value>>,
}

/// A file being read.
struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

/// Where a rule stands, for what is found wrong later.
#[derive(Clone, Copy)]
struct Place<'a> {
    source: &'a Source<'a>,
    offset: usize,
}

impl Source<'_> {
    fn error(&self, offset: usize, reason: impl Into<String>) -> RuleError {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1);
        RuleError { file: self.file.to_owned(), line, reason: reason.into() }
    }

    fn read<T: core::str::FromStr<Err = String>>(&self, text: &Spanned<String>) -> Result<T, RuleError> {
        text.get_ref().parse().map_err(|reason: String| self.error(text.span().start, reason))
    }

    fn period(&self, raw: &RawRule) -> Result<Period, RuleError> {
        let period = if raw.from.get_ref().contains('/') {
            let to = raw.to.as_ref().map(|to| self.read::<Year>(to)).transpose()?;
            Period::Years { from: self.read(&raw.from)?, to }
        } else {
            let to = raw.to.as_ref().map(|to| self.read::<Date>(to)).transpose()?;
            Period::Days { from: self.read(&raw.from)?, to }
        };
        let ends_first = match period {
            Period::Years { from, to } => to.is_some_and(|to| to < from),
            Period::Days { from, to } => to.is_some_and(|to| to < from),
        };
        if ends_first {
            return Err(self.error(raw.from.span().start, "it ends before it begins"));
        }
        Ok(period)
    }

    fn parameters(&self, raw: &RawRule) -> Result<BTreeMap<String, Parameter>, RuleError> {
        let schema = raw.topic.parameters();
        for (name, value) in &raw.parameters {
            if !schema.iter().any(|(known, _, _)| known == name) {
                let known: Vec<&str> = schema.iter().map(|(known, _, _)| *known).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let reason = format!("unknown parameter {name:?}; a rule of this topic has: {known}");
                return Err(self.error(value.span().start, reason));
            }
        }
        let mut parameters = BTreeMap::new();
        for (name, kind, is_required) in schema {
            let Some(value) = raw.parameters.get(*name) else {
                if *is_required {
                    return Err(self.error(raw.id.span().start, format!("the parameter {name:?} is missing")));
                }
                continue;
            };
            let read = parameter(*kind, value.get_ref());
            let read = read.map_err(|reason| self.error(value.span().start, format!("{name}: {reason}")))?;
            parameters.insert((*name).to_owned(), read);
        }
        Ok(parameters)
    }

    fn rule(&self, raw: &RawRule) -> Result<Rule, RuleError> {
        let at = raw.id.span().start;
        let id = raw.id.get_ref();
        let is_name = |part: &str| {
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            !part.is_empty() && part.bytes().all(is_plain)
        };
        if !id.split('.').all(is_name) {
            return Err(self.error(at, format!("{id:?} is not a name of lower-case words joined by points")));
        }
        let citation = raw.citation.as_ref().map(|citation| citation.get_ref().trim()).unwrap_or_default();
        if citation.is_empty() {
            return Err(self.error(at, format!("{id} says no citation; where is it written?")));
        }
        if raw.section.trim().is_empty() {
            return Err(self.error(at, format!("{id} says no section")));
        }
        Ok(Rule {
            id: id.clone(),
            topic: raw.topic,
            section: raw.section.clone(),
            applies_to: raw.applies_to.clone(),
            period: self.period(raw)?,
            enacted: raw.enacted.as_ref().map(|enacted| self.read(enacted)).transpose()?,
            status: raw.status,
            citation: citation.to_owned(),
            parameters: self.parameters(raw)?,
        })
    }
}

fn parameter(kind: ParameterKind, value: &Value) -> Result<Parameter, String> {
    match (kind, value) {
        (ParameterKind::Rate, Value::String(text)) => {
            Decimal::parse(text, RATE_DECIMALS_MAX).map(Decimal::trimmed).map(Parameter::Rate)
        }
        (ParameterKind::Amount, Value::String(text)) => Amount::parse(text).map(Parameter::Amount),
        (ParameterKind::Day, Value::String(text)) => text.parse().map(Parameter::Day),
        (ParameterKind::Text, Value::String(text)) if !text.is_empty() => Ok(Parameter::Text(text.clone())),
        (ParameterKind::Count, Value::Integer(count)) => {
            let count = u32::try_from(*count).ok().filter(|count| (1..=1_000).contains(count));
            count.map(Parameter::Count).ok_or_else(|| "a number from 1 to 1,000 is expected".to_owned())
        }
        (ParameterKind::Flag, Value::Boolean(flag)) => Ok(Parameter::Flag(*flag)),
        (ParameterKind::Rate | ParameterKind::Amount, _) => Err("a decimal number in quotes is expected".to_owned()),
        (ParameterKind::Day, _) => Err("a day in quotes is expected".to_owned()),
        (ParameterKind::Text, _) => Err("a word in quotes is expected".to_owned()),
        (ParameterKind::Count, _) => Err("a number without quotes is expected".to_owned()),
        (ParameterKind::Flag, _) => Err("true or false is expected".to_owned()),
    }
}

impl RuleSet {
    /// Reads a set from files, each a name and its text.
    ///
    /// # Errors
    /// A [`RuleError`] at the first rule that is not well formed, has no citation, is there twice, overlaps with another
    /// version of itself or leaves a gap before the next one.
    pub fn load(files: &[(&str, &str)]) -> Result<Self, RuleError> {
        let sources: Vec<Source<'_>> = files.iter().map(|(file, text)| Source { file, text }).collect();
        let mut rules: Vec<(Rule, Place<'_>)> = Vec::new();
        for source in &sources {
            let read: RawFile = toml::from_str(source.text).map_err(|error| {
                let offset = error.span().map_or(0, |span| span.start);
                source.error(offset, error.message().to_owned())
            })?;
            for raw in &read.rule {
                rules.push((source.rule(raw)?, Place { source, offset: raw.id.span().start }));
            }
        }
        if rules.len() > RULES_MAX {
            return Err(RuleError { file: String::new(), line: 0, reason: format!("more than {RULES_MAX} rules") });
        }
        rules.sort_by(|(left, _), (right, _)| left.id.cmp(&right.id));
        for ((left, _), (right, place)) in rules.iter().zip(rules.iter().skip(1)) {
            if left.id == right.id {
                return Err(place.source.error(place.offset, format!("{} is there twice", right.id)));
            }
        }
        let places = index(&rules)?;
        let rules: Vec<Rule> = rules.into_iter().map(|(rule, _)| rule).collect();
        let canonical = strict::to_canonical(&rules).map_err(|error| RuleError {
            file: String::new(),
            line: 0,
            reason: error.to_string(),
        })?;
        Ok(Self { digest: Sha256Digest::of(&canonical), rules, places })
    }
}

/// Puts the rules in order by topic and thing, and checks that the versions of each follow one another.
fn index(rules: &[(Rule, Place<'_>)]) -> Result<BTreeMap<Topic, BTreeMap<String, Vec<usize>>>, RuleError> {
    let mut places: BTreeMap<Topic, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
    for (place, (rule, _)) in rules.iter().enumerate() {
        let things = if rule.applies_to.is_empty() { vec![String::new()] } else { rule.applies_to.clone() };
        for thing in things {
            places.entry(rule.topic).or_default().entry(thing).or_default().push(place);
        }
    }
    for (thing, series) in places.values_mut().flatten() {
        series.sort_by_key(|place| rules.get(*place).map(|(rule, _)| (rule.status, rule.period.from_text())));
        let versions: Vec<&(Rule, Place<'_>)> = series.iter().filter_map(|place| rules.get(*place)).collect();
        for (earlier, later) in versions.iter().zip(versions.iter().skip(1)) {
            follows(&earlier.0, &later.0).map_err(|reason| {
                let Place { source, offset } = later.1;
                let thing = if thing.is_empty() { String::new() } else { format!(" for {thing}") };
                source.error(offset, format!("{} {reason} {}{thing}", later.0.id, earlier.0.id))
            })?;
        }
    }
    Ok(places)
}

/// Whether a later version of a rule begins right after the earlier one ends.
fn follows(earlier: &Rule, later: &Rule) -> Result<(), &'static str> {
    if earlier.status != later.status {
        return Ok(());
    }
    if earlier.status == Status::Proposed {
        return Err("is proposed beside");
    }
    match (earlier.period, later.period) {
        (Period::Years { to, .. }, Period::Years { from, .. }) => match to {
            Some(to) if to < from => {
                if to.plus(1) == from {
                    Ok(())
                } else {
                    Err("leaves a gap after")
                }
            }
            _ => Err("overlaps with"),
        },
        (Period::Days { to, .. }, Period::Days { from, .. }) => match to {
            Some(to) if to < from => {
                let is_next = to.next() == Some(from);
                if is_next { Ok(()) } else { Err("leaves a gap after") }
            }
            _ => Err("overlaps with"),
        },
        _ => Err("counts days where years are counted in"),
    }
}

#[cfg(test)]
mod tests;
