//! Words for people in three languages, from the Fluent resources in `core/locales`.
//!
//! Every key exists in all three, which a test compares. A key that is missing all the same shows as itself: better an
//! odd word than a clause left out.

use fluent_bundle::{FluentArgs, FluentBundle, FluentResource, FluentValue};

use super::field::Activity;
use super::figures::Amount;
use super::period::{Date, Duration};
use super::place::Place;
use super::vocabulary::{Language, Vocabulary};

impl Language {
    /// The resources of a language.
    pub(crate) const fn resources(self) -> [&'static str; 5] {
        match self {
            Self::English => [
                include_str!("../../locales/en/terms.ftl"),
                include_str!("../../locales/en/compatibility.ftl"),
                include_str!("../../locales/en/places.ftl"),
                include_str!("../../locales/en/fields.ftl"),
                include_str!("../../locales/en/exports.ftl"),
            ],
            Self::TraditionalChinese => [
                include_str!("../../locales/zh-Hant/terms.ftl"),
                include_str!("../../locales/zh-Hant/compatibility.ftl"),
                include_str!("../../locales/zh-Hant/places.ftl"),
                include_str!("../../locales/zh-Hant/fields.ftl"),
                include_str!("../../locales/zh-Hant/exports.ftl"),
            ],
            Self::SimplifiedChinese => [
                include_str!("../../locales/zh-Hans/terms.ftl"),
                include_str!("../../locales/zh-Hans/compatibility.ftl"),
                include_str!("../../locales/zh-Hans/places.ftl"),
                include_str!("../../locales/zh-Hans/fields.ftl"),
                include_str!("../../locales/zh-Hans/exports.ftl"),
            ],
        }
    }
}

/// Words in one language.
pub struct Words(FluentBundle<FluentResource>);

impl core::fmt::Debug for Words {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Words").field(&self.0.locales).finish()
    }
}

/// An argument of a message.
pub(crate) type Argument<'a> = (&'static str, FluentValue<'a>);

impl Words {
    /// The words of a language.
    pub fn of(language: Language) -> Self {
        let mut bundle = FluentBundle::new(language.as_str().parse().into_iter().collect());
        // Isolation marks are invisible characters, which terminals and comparisons stumble over; all three languages
        // are written from left to right.
        bundle.set_use_isolating(false);
        for text in language.resources() {
            let resource = match FluentResource::try_new(text.to_owned()) {
                Ok(resource) | Err((resource, _)) => resource,
            };
            bundle.add_resource_overriding(resource);
        }
        Self(bundle)
    }

    /// The words of a key.
    pub fn get(&self, key: &str) -> String {
        self.with(key, [])
    }

    /// The words of a key with arguments.
    pub(crate) fn with<const N: usize>(&self, key: &str, arguments: [Argument<'_>; N]) -> String {
        let pattern = self.0.get_message(key).and_then(|message| message.value());
        let Some(pattern) = pattern else { return key.to_owned() };
        let arguments: FluentArgs<'_> = arguments.into_iter().collect();
        self.0.format_pattern(pattern, Some(&arguments), &mut Vec::new()).into_owned()
    }

    /// The words of a value.
    pub fn value(&self, value: impl Vocabulary) -> String {
        self.get(&value.key())
    }

    /// The words of values, as a list.
    pub fn values<T: Vocabulary>(&self, values: &[T]) -> String {
        self.list(&values.iter().map(|value| self.value(*value)).collect::<Vec<_>>())
    }

    /// Items one after another, with the last one set off. Items that are lists themselves are kept apart more clearly.
    pub fn list(&self, items: &[String]) -> String {
        let is_list = |item: &String| [", ", " and ", "、"].iter().any(|mark| item.contains(mark));
        let wide = if items.iter().any(is_list) { "-wide" } else { "" };
        match items {
            [] => String::new(),
            [one] => one.clone(),
            [first @ .., last] => {
                let separator = self.get(&format!("list-separator{wide}"));
                first.join(&separator) + &self.get(&format!("list-last{wide}")) + last
            }
        }
    }

    /// A place.
    pub fn place(&self, place: &Place) -> String {
        self.get(&format!("place-{place}"))
    }

    /// An activity. Groups and classes, whose names are not here, are named by their division and their code.
    pub fn activity(&self, activity: &Activity) -> String {
        let code = activity.to_string();
        match activity {
            Activity::Division(code) if code.len() > 2 => {
                let division = self.get(&format!("isic-{}", code.get(..2).unwrap_or(code)));
                self.with("isic-part", [("division", division.into()), ("code", code.as_str().into())])
            }
            _ => self.get(&format!("isic-{code}")),
        }
    }

    /// A length of time.
    pub fn duration(&self, duration: Duration) -> String {
        let parts = [
            ("duration-years", duration.years),
            ("duration-months", duration.months),
            ("duration-weeks", duration.weeks),
            ("duration-days", duration.days),
        ];
        let parts = parts.into_iter().filter(|(_, count)| *count > 0);
        let parts: Vec<String> = parts.map(|(key, count)| self.with(key, [("n", count.into())])).collect();
        parts.join(&self.get("duration-separator"))
    }

    /// How often something happens: once in each such length of time.
    pub fn every(&self, duration: Duration) -> String {
        match (duration.years, duration.months, duration.weeks, duration.days) {
            (1, 0, 0, 0) => self.get("every-year"),
            (0, 1, 0, 0) => self.get("every-month"),
            (0, 0, 1, 0) => self.get("every-week"),
            (0, 0, 0, 1) => self.get("every-day"),
            _ => self.with("every", [("duration", self.duration(duration).into())]),
        }
    }

    /// A date.
    pub fn date(&self, date: Date) -> String {
        self.dated("date", date)
    }

    /// The same in few characters, for tables.
    pub fn short_date(&self, date: Date) -> String {
        self.dated("short-date", date)
    }

    fn dated(&self, key: &str, date: Date) -> String {
        let (year, month, day) = date.parts();
        // A year as text: numbers may be grouped.
        self.with(key, [("year", year.to_string().into()), ("month", month.into()), ("day", day.into())])
    }

    /// An amount with its currency.
    pub(crate) fn amount(&self, currency: &str, amount: &Amount) -> String {
        self.with("amount", [("currency", currency.into()), ("amount", amount.grouped().into())])
    }

    /// A share in hundredths.
    pub(crate) fn rate(&self, percent: String) -> String {
        self.with("rate", [("percent", percent.into())])
    }
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    number.to_string().parse::<Amount>().map_or_else(|_| number.to_string(), |amount| amount.grouped())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement};

    use super::*;
    use crate::code::{Jurisdiction, ResidencyZone};
    use crate::terms::field::{SECTIONS, divisions};
    use crate::terms::preset::Preset;
    use crate::terms::vocabulary::{
        ConsiderationKind, EndEffect, ExclusivityKind, Form, Forum, GrantType, Ground, MetricKind, Milestone,
        OutputOwner, Overage, Permission, RenewalMode, RevenueBase, Right, ShareAlike, TechnologyExportClass,
        UseRestriction,
    };

    /// Every key of a language with the arguments that its message takes.
    fn keys(language: Language) -> BTreeMap<String, BTreeSet<String>> {
        let mut keys = BTreeMap::new();
        for text in language.resources() {
            let resource = fluent_syntax::parser::parse(text).expect("a resource does not parse");
            for entry in resource.body {
                match entry {
                    Entry::Message(message) => {
                        let pattern = message.value.expect("a message without words");
                        let mut arguments = BTreeSet::new();
                        collect(&pattern, &mut arguments);
                        let twice = keys.insert(message.id.name.to_owned(), arguments);
                        assert!(twice.is_none(), "{} stands there twice", message.id.name);
                    }
                    Entry::Comment(_) | Entry::GroupComment(_) | Entry::ResourceComment(_) => {}
                    other => panic!("{other:?} is neither a message nor a comment"),
                }
            }
        }
        keys
    }

    fn collect(pattern: &Pattern<&str>, arguments: &mut BTreeSet<String>) {
        let inline = |expression: &InlineExpression<&str>, arguments: &mut BTreeSet<String>| {
            if let InlineExpression::VariableReference { id } = expression {
                arguments.insert(id.name.to_owned());
            }
        };
        for element in &pattern.elements {
            match element {
                PatternElement::Placeable { expression: Expression::Inline(expression) } => {
                    inline(expression, arguments);
                }
                PatternElement::Placeable { expression: Expression::Select { selector, variants } } => {
                    inline(selector, arguments);
                    for variant in variants {
                        collect(&variant.value, arguments);
                    }
                }
                PatternElement::TextElement { .. } => {}
            }
        }
    }

    #[test]
    fn every_key_exists_in_all_three_languages_with_the_same_arguments() {
        let english = keys(Language::English);
        assert!(english.len() > 600, "{}", english.len());
        for language in [Language::TraditionalChinese, Language::SimplifiedChinese] {
            let other = keys(language);
            for (key, arguments) in &english {
                assert_eq!(other.get(key), Some(arguments), "{key} in {language:?}");
            }
            assert_eq!(other.len(), english.len(), "{language:?} has keys that English lacks");
        }
    }

    #[test]
    fn every_enumerated_value_has_its_words() {
        fn all<T: Vocabulary>(keys: &mut Vec<String>) {
            keys.extend(T::ALL.iter().map(|value| value.key()));
        }
        let mut needed = Vec::new();
        // The kinds of consideration and of endings are sentences; their keys are asked for with arguments.
        all::<GrantType>(&mut needed);
        all::<Right>(&mut needed);
        all::<ExclusivityKind>(&mut needed);
        all::<Permission>(&mut needed);
        all::<RenewalMode>(&mut needed);
        all::<MetricKind>(&mut needed);
        all::<Overage>(&mut needed);
        all::<ShareAlike>(&mut needed);
        all::<OutputOwner>(&mut needed);
        all::<UseRestriction>(&mut needed);
        all::<Form>(&mut needed);
        all::<ConsiderationKind>(&mut needed);
        all::<Milestone>(&mut needed);
        all::<RevenueBase>(&mut needed);
        all::<Forum>(&mut needed);
        all::<Language>(&mut needed);
        all::<Ground>(&mut needed);
        all::<EndEffect>(&mut needed);
        all::<TechnologyExportClass>(&mut needed);
        all::<Preset>(&mut needed);
        all::<crate::compatibility::FindingCode>(&mut needed);
        all::<crate::compatibility::Derivation>(&mut needed);
        all::<crate::compatibility::Outcome>(&mut needed);
        all::<crate::compatibility::known::Condition>(&mut needed);
        for prefix in ["sublicensing", "transfer"] {
            needed.extend(Permission::ALL.iter().map(|value| format!("{prefix}-{}", value.as_str())));
        }
        for prefix in ["sublicences", "derivatives"] {
            needed.extend(EndEffect::ALL.iter().map(|value| format!("{prefix}-{}", value.as_str())));
        }
        for zone in
            [ResidencyZone::HongKong, ResidencyZone::GreaterBayArea, ResidencyZone::Mainland, ResidencyZone::World]
        {
            needed.push(format!("zone-{}", serde_json::to_value(zone).unwrap().as_str().unwrap()));
        }
        needed.extend(Jurisdiction::all().map(|code| format!("place-{code}")));
        needed.extend(["place-GBA", "place-WORLD", "isic-ALL"].map(str::to_owned));
        needed.extend(SECTIONS.iter().map(|(letter, ..)| format!("isic-{letter}")));
        needed.extend(divisions().map(|division| format!("isic-{division:02}")));
        for language in Language::ALL {
            let there = keys(*language);
            let missing: Vec<&String> = needed.iter().filter(|key| !there.contains_key(*key)).collect();
            assert_eq!(missing, [""; 0], "{language:?}");
        }
    }

    #[test]
    fn lists_lengths_and_dates_read_well() {
        let items = ["a", "b", "c"].map(str::to_owned);
        for (language, list, duration, date, short_date) in [
            (Language::English, "a, b and c", "1 year 6 months", "31 January 2027", "31 Jan 2027"),
            (Language::TraditionalChinese, "a、b及c", "1 年6 個月", "2027 年 1 月 31 日", "2027年1月31日"),
            (Language::SimplifiedChinese, "a、b和c", "1 年6 个月", "2027 年 1 月 31 日", "2027年1月31日"),
        ] {
            let words = Words::of(language);
            assert_eq!(words.list(&items), list);
            assert_eq!(words.duration("P1Y6M".parse().unwrap()), duration);
            assert_eq!(words.list(&[items[0].clone(), "b、c".to_owned()]).matches(['；', ';']).count(), 1);
            assert_eq!(words.date("2027-01-31".parse().unwrap()), date);
            assert_eq!(words.short_date("2027-01-31".parse().unwrap()), short_date);
        }
        assert_eq!(Words::of(Language::English).get("no-such-key"), "no-such-key");
    }
}
