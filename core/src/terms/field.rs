//! Field of use: economic activities by ISIC code, and sets of them that can be intersected and compared.
//!
//! Codes are those of the International Standard Industrial Classification, Revision 4 (United Nations, Statistical
//! Papers, Series M, No. 4/Rev.4): a section letter, or two to four digits, of which the first two are a division.
//! Each further digit is a part of what is before it. Groups and classes are read as such parts; whether the standard
//! lists one is not checked.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::vocabulary::Codes;
use crate::strict::StrictError;

/// Sections of ISIC, Revision 4, with their first and last division.
pub(crate) const SECTIONS: [(char, u8, u8); 21] = [
    ('A', 1, 3),
    ('B', 5, 9),
    ('C', 10, 33),
    ('D', 35, 35),
    ('E', 36, 39),
    ('F', 41, 43),
    ('G', 45, 47),
    ('H', 49, 53),
    ('I', 55, 56),
    ('J', 58, 63),
    ('K', 64, 66),
    ('L', 68, 68),
    ('M', 69, 75),
    ('N', 77, 82),
    ('O', 84, 84),
    ('P', 85, 85),
    ('Q', 86, 88),
    ('R', 90, 93),
    ('S', 94, 96),
    ('T', 97, 98),
    ('U', 99, 99),
];

/// Divisions that Revision 4 leaves out within a section.
const UNASSIGNED: [u8; 2] = [4, 34];

/// An activity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Activity {
    /// `ALL`: every activity.
    All,
    /// A section, by its letter.
    Section(char),
    /// A division, group or class, by its two to four digits.
    Division(String),
}

impl Activity {
    /// Reads a code.
    ///
    /// # Errors
    /// A sentence naming the code.
    pub fn new(code: &str) -> Result<Self, String> {
        let error = || format!("{code:?} is no activity: ALL, a section of ISIC Rev. 4 (A to U) or 2 to 4 digits");
        if code == "ALL" {
            return Ok(Self::All);
        }
        let mut characters = code.chars();
        if let (Some(letter @ 'A'..='U'), None) = (characters.next(), characters.next()) {
            return Ok(Self::Section(letter));
        }
        let is_digits = (2..=4).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit());
        let division = code.get(..2).filter(|_| is_digits).and_then(|digits| digits.parse::<u8>().ok());
        let division = division.ok_or_else(error)?;
        if divisions().any(|known| known == division) { Ok(Self::Division(code.to_owned())) } else { Err(error()) }
    }

    /// What the activity consists of, as prefixes of class codes.
    fn prefixes(&self) -> Vec<String> {
        match self {
            Self::All => divisions().map(|division| format!("{division:02}")).collect(),
            Self::Section(letter) => {
                let bounds = SECTIONS.iter().find(|(known, ..)| known == letter);
                let inside = |division: &u8| bounds.is_some_and(|(_, first, last)| (first..=last).contains(&division));
                divisions().filter(inside).map(|division| format!("{division:02}")).collect()
            }
            Self::Division(code) => vec![code.clone()],
        }
    }
}

/// Every division there is.
pub(crate) fn divisions() -> impl Iterator<Item = u8> {
    let all = SECTIONS.iter().flat_map(|(_, first, last)| *first..=*last);
    all.filter(|division| !UNASSIGNED.contains(division))
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("ALL"),
            Self::Section(letter) => write!(f, "{letter}"),
            Self::Division(code) => f.write_str(code),
        }
    }
}

impl Serialize for Activity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Activity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The revision that codes are of. Another one would be another value here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IsicRevision {
    /// Revision 4, of 2008.
    #[serde(rename = "4")]
    Four,
}

/// What terms may be used for: everything in `include` but what is in `exclude`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldOfUse {
    /// The classification.
    pub isic_revision: IsicRevision,
    /// Activities.
    pub include: Codes<Activity, 1>,
    /// Activities within them that are left out.
    #[serde(default, skip_serializing_if = "Codes::is_empty")]
    pub exclude: Codes<Activity>,
}

impl FieldOfUse {
    /// Checks that exclusions lie within what is included and leave something.
    ///
    /// # Errors
    /// A [`StrictError`] with a pointer relative to this object.
    pub fn validate(&self) -> Result<(), StrictError> {
        let included = prefixes(self.include.as_slice());
        for (position, activity) in self.exclude.iter().enumerate() {
            if !activity.prefixes().iter().all(|prefix| covered(prefix, &included)) {
                let reason = format!("{activity} is not wholly within what is included, so it can't be left out of it");
                return Err(StrictError::new(format!("/exclude/{position}"), reason));
            }
        }
        if Activities::of(self).is_empty() {
            return Err(StrictError::new("/exclude", "nothing is left of the field of use"));
        }
        Ok(())
    }
}

/// A set of activities: prefixes of class codes, less prefixes that are longer or the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activities {
    /// None starts with another.
    include: Vec<String>,
    /// Each starts with one of `include`.
    exclude: Vec<String>,
}

/// Whether all of a prefix's classes start with one of these.
fn covered(prefix: &str, by: &[String]) -> bool {
    by.iter().any(|wider| prefix.starts_with(wider.as_str()))
}

fn prefixes(activities: &[Activity]) -> Vec<String> {
    normal(activities.iter().flat_map(Activity::prefixes).collect())
}

/// Sorted, without those that another one covers. The digits below a prefix are never put together again: 861 to 869
/// are not 86, because which of them the standard assigns is not known here.
fn normal(mut prefixes: Vec<String>) -> Vec<String> {
    prefixes.sort();
    prefixes.dedup();
    let all = prefixes.clone();
    prefixes.retain(|prefix| !all.iter().any(|wider| wider != prefix && prefix.starts_with(wider.as_str())));
    prefixes
}

impl Activities {
    fn new(include: Vec<String>, exclude: Vec<String>) -> Self {
        let exclude = normal(exclude);
        let mut include = normal(include);
        include.retain(|prefix| !covered(prefix, &exclude));
        let exclude = exclude.into_iter().filter(|prefix| covered(prefix, &include)).collect();
        Self { include, exclude }
    }

    /// The activities that terms cover.
    pub fn of(field: &FieldOfUse) -> Self {
        Self::new(prefixes(field.include.as_slice()), prefixes(field.exclude.as_slice()))
    }

    /// Every activity.
    pub fn all() -> Self {
        Self::new(Activity::All.prefixes(), Vec::new())
    }

    /// What is in both.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        let narrower = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|prefix| covered(prefix, those)).cloned().collect()
        };
        let include = [narrower(&self.include, &other.include), narrower(&other.include, &self.include)].concat();
        Self::new(include, [self.exclude.as_slice(), &other.exclude].concat())
    }

    /// What is here and not there, as codes; empty when all of this is there.
    pub fn beyond(&self, other: &Self) -> Vec<String> {
        let mut beyond = Vec::new();
        for prefix in &self.include {
            let known = covered(prefix, &other.include);
            if !known {
                beyond.push(prefix.clone());
                continue;
            }
            for hole in &other.exclude {
                if prefix.starts_with(hole.as_str()) {
                    beyond.push(prefix.clone());
                } else if hole.starts_with(prefix.as_str()) && !covered(hole, &self.exclude) {
                    beyond.push(hole.clone());
                }
            }
        }
        normal(beyond)
    }

    /// Whether there is no activity in it.
    pub fn is_empty(&self) -> bool {
        self.include.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(include: &[&str], exclude: &[&str]) -> FieldOfUse {
        let codes = |codes: &[&str]| codes.iter().map(|code| Activity::new(code).unwrap()).collect::<Vec<_>>();
        FieldOfUse {
            isic_revision: IsicRevision::Four,
            include: Codes::new(codes(include)).unwrap(),
            exclude: Codes::new(codes(exclude)).unwrap(),
        }
    }

    fn set(include: &[&str], exclude: &[&str]) -> Activities {
        Activities::of(&field(include, exclude))
    }

    #[test]
    fn the_classification_has_88_divisions() {
        assert_eq!(divisions().count(), 88);
        assert_eq!(Activity::new("Q").unwrap().prefixes(), ["86", "87", "88"]);
        for bad in ["V", "a", "4", "04", "34", "00", "86.1", "86101", "", "all", "QQ"] {
            assert!(Activity::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_lies_beyond_is_named() {
        let all_but_health = set(&["ALL"], &["86"]);
        assert_eq!(set(&["ALL"], &[]).beyond(&all_but_health), ["86"]);
        assert_eq!(set(&["Q"], &[]).beyond(&all_but_health), ["86"]);
        assert_eq!(set(&["8610"], &[]).beyond(&all_but_health), ["8610"]);
        assert_eq!(set(&["87"], &[]).beyond(&all_but_health), [""; 0]);
        assert_eq!(set(&["ALL"], &["Q"]).beyond(&all_but_health), [""; 0]);
        assert_eq!(set(&["Q"], &["86"]).beyond(&all_but_health), [""; 0]);
        assert_eq!(set(&["K"], &[]).beyond(&set(&["64", "65", "66"], &[])), [""; 0]);
        assert_eq!(set(&["62"], &[]).beyond(&set(&["620"], &[])), ["62"]);
    }

    #[test]
    fn intersections_keep_the_narrower_code_and_both_exclusions() {
        let both = set(&["J", "86"], &["6311"]).within(&set(&["63", "861"], &["6312"]));
        assert_eq!(both.include, ["63", "861"]);
        assert_eq!(both.exclude, ["6311", "6312"]);
        assert!(set(&["A"], &[]).within(&set(&["B"], &[])).is_empty());
        assert!(set(&["86"], &[]).within(&set(&["ALL"], &["Q"])).is_empty());
    }

    #[test]
    fn exclusions_lie_within_and_leave_something() {
        assert_eq!(field(&["ALL"], &["86"]).validate(), Ok(()));
        assert_eq!(field(&["J"], &["86"]).validate().unwrap_err().pointer, "/exclude/0");
        assert_eq!(field(&["86"], &["Q"]).validate().unwrap_err().pointer, "/exclude/0");
        assert_eq!(field(&["Q"], &["86", "87", "88"]).validate().unwrap_err().pointer, "/exclude");
    }
}
