//! Findings in words: one line each, in the languages of terms.

use super::{Finding, FindingCode};
use crate::terms::field::Activity;
use crate::terms::place::Place;
use crate::terms::vocabulary::Vocabulary as _;
use crate::terms::words::Words;

impl Finding {
    /// The finding in words, with the place where its reason stands: `parent art_base excludes healthcare (its terms,
    /// /field)`.
    pub fn words(&self, words: &Words) -> String {
        let key = self.code.key();
        let about: Vec<String> = self.about.iter().map(|code| self.about_words(words, code)).collect();
        // A list that would be too long is empty, and has a sentence of its own.
        let key = if about.is_empty() && has_wide_form(self.code) { format!("{key}-wide") } else { key };
        let arguments = [("parent", self.parent.as_str().into()), ("about", words.list(&about).into())];
        let sentence = words.with(&key, arguments);
        if self.clause.is_empty() {
            return sentence;
        }
        let place = match &self.licence {
            Some(licence) => {
                words.with("finding-in-licence", [("licence", licence.as_str().into()), ("clause", self.clause())])
            }
            None => words.with("finding-in-terms", [("clause", self.clause())]),
        };
        words.with("finding-with-place", [("finding", sentence.into()), ("place", place.into())])
    }

    fn clause(&self) -> fluent_bundle::FluentValue<'_> {
        self.clause.as_str().into()
    }

    fn about_words(&self, words: &Words, code: &str) -> String {
        let prefixed = |prefix: &str| words.get(&format!("{prefix}-{code}"));
        match self.code {
            FindingCode::RightNotGranted | FindingCode::RightsExceeded => prefixed("right"),
            FindingCode::UseRestriction => prefixed("restriction"),
            FindingCode::Redistribution => prefixed("form"),
            FindingCode::Residency => prefixed("zone"),
            FindingCode::Conditions => prefixed("condition"),
            FindingCode::Territory => Place::new(code).map_or_else(|_| code.to_owned(), |place| words.place(&place)),
            FindingCode::FieldOfUse => {
                Activity::new(code).map_or_else(|_| code.to_owned(), |activity| words.activity(&activity))
            }
            FindingCode::Expiry | FindingCode::Expired | FindingCode::NotBegun => {
                code.parse().map_or_else(|_| code.to_owned(), |day| words.date(day))
            }
            FindingCode::Ceiling if code.bytes().all(|byte| byte.is_ascii_digit()) => {
                code.parse().map_or_else(|_| code.to_owned(), crate::terms::words::grouped)
            }
            FindingCode::Ceiling => prefixed("metric"),
            FindingCode::RoyaltyStack => words.rate(code.to_owned()),
            _ => code.to_owned(),
        }
    }
}

/// Whether a finding without a list has a sentence of its own.
pub(super) fn has_wide_form(code: FindingCode) -> bool {
    matches!(code, FindingCode::Territory | FindingCode::FieldOfUse | FindingCode::Expiry | FindingCode::ShareAlike)
}
