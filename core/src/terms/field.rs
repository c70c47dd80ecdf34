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
    fn prefixes(&self) -> Vec<Prefix> {
        match self {
            Self::All => divisions().map(Prefix::division).collect(),
            Self::Section(letter) => {
                let bounds = SECTIONS.iter().find(|(known, ..)| known == letter);
                let inside = |division: &u8| bounds.is_some_and(|(_, first, last)| (first..=last).contains(&division));
                divisions().filter(inside).map(Prefix::division).collect()
            }
            Self::Division(code) => vec![Prefix::of(code)],
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
            if !activity.prefixes().into_iter().all(|prefix| covered(prefix, &included)) {
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

/// The first digits of class codes, in the four bytes that a whole code has; what is left open is zero. In order, each
/// stands right before those that start with it, and what starts with it lies between it and [`Prefix::last`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Prefix([u8; 4]);

impl Prefix {
    /// The prefix with these digits; no code has more than four.
    fn of(digits: &str) -> Self {
        let mut bytes = [0; 4];
        for (byte, digit) in bytes.iter_mut().zip(digits.bytes()) {
            *byte = digit;
        }
        Self(bytes)
    }

    fn division(division: u8) -> Self {
        Self([b'0' + division / 10 % 10, b'0' + division % 10, 0, 0])
    }

    fn last(self) -> Self {
        Self(self.0.map(|byte| if byte == 0 { u8::MAX } else { byte }))
    }

    /// Whether all classes of another prefix start with this one.
    fn covers(self, other: Self) -> bool {
        (self..=self.last()).contains(&other)
    }

    fn code(self) -> String {
        self.0.into_iter().filter(|byte| *byte != 0).map(char::from).collect()
    }
}

/// A set of activities: prefixes of class codes, less prefixes that are longer or the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activities {
    /// Ascending; none starts with another.
    include: Vec<Prefix>,
    /// Ascending; none starts with another, and each starts with one of `include`.
    exclude: Vec<Prefix>,
}

/// Whether all of a prefix's classes start with one of these, which are [`normal`].
fn covered(prefix: Prefix, by: &[Prefix]) -> bool {
    let before = by.partition_point(|wider| *wider <= prefix);
    before.checked_sub(1).and_then(|at| by.get(at)).is_some_and(|wider| wider.covers(prefix))
}

fn prefixes(activities: &[Activity]) -> Vec<Prefix> {
    normal(activities.iter().flat_map(Activity::prefixes).collect())
}

/// Ascending, without those that another one covers. The digits below a prefix are never put together again: 861 to 869
/// are not 86, because which of them the standard assigns is not known here.
fn normal(mut prefixes: Vec<Prefix>) -> Vec<Prefix> {
    prefixes.sort_unstable();
    prefixes.dedup_by(|prefix, before| before.covers(*prefix));
    prefixes
}

impl Activities {
    fn new(include: Vec<Prefix>, exclude: Vec<Prefix>) -> Self {
        let mut exclude = normal(exclude);
        let mut include = normal(include);
        include.retain(|prefix| !covered(*prefix, &exclude));
        exclude.retain(|prefix| covered(*prefix, &include));
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
        let narrower = |these: &[Prefix], those: &[Prefix]| -> Vec<Prefix> {
            these.iter().copied().filter(|prefix| covered(*prefix, those)).collect()
        };
        let include = [narrower(&self.include, &other.include), narrower(&other.include, &self.include)].concat();
        Self::new(include, [self.exclude.as_slice(), &other.exclude].concat())
    }

    /// What is here and not there, as codes; empty when all of this is there.
    pub fn beyond(&self, other: &Self) -> Vec<String> {
        let mut beyond = Vec::new();
        for prefix in self.include.iter().copied() {
            if !covered(prefix, &other.include) || covered(prefix, &other.exclude) {
                beyond.push(prefix);
                continue;
            }
            let inside = other.exclude.partition_point(|hole| *hole < prefix);
            let holes = other.exclude.iter().copied().skip(inside).take_while(|hole| prefix.covers(*hole));
            beyond.extend(holes.filter(|hole| !covered(*hole, &self.exclude)));
        }
        normal(beyond).into_iter().map(Prefix::code).collect()
    }

    /// Whether there is no activity in it.
    pub fn is_empty(&self) -> bool {
        self.include.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::subsequence;

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

    fn written(prefixes: &[Prefix]) -> Vec<String> {
        prefixes.iter().map(|prefix| prefix.code()).collect()
    }

    /// Class codes of some divisions, one of which only `ALL` names. The digit `x` is one that no code names, so that all
    /// the digits below a prefix are still not the prefix.
    fn classes() -> impl Iterator<Item = String> {
        let digits = ["0", "1", "2", "x"];
        let below = move |start: String| digits.into_iter().map(move |digit| format!("{start}{digit}"));
        ["61", "62", "86", "87", "99"].into_iter().map(str::to_owned).flat_map(below).flat_map(below)
    }

    fn sets() -> impl Strategy<Value = FieldOfUse> {
        let codes = vec!["ALL", "J", "Q", "61", "62", "620", "6201", "621", "6210", "86", "860", "8600", "861", "87"];
        let include = subsequence(codes.clone(), 1..=codes.len());
        (include, subsequence(codes, 0..=3)).prop_map(|(include, exclude)| field(&include, &exclude))
    }

    /// Prefixes to be in and prefixes to be out, asked one after the other.
    struct Plain(Vec<String>, Vec<String>);

    impl Plain {
        fn of(field: &FieldOfUse) -> Self {
            let all = |activities: &[Activity]| activities.iter().flat_map(Activity::prefixes).collect::<Vec<_>>();
            Self(written(&all(field.include.as_slice())), written(&all(field.exclude.as_slice())))
        }

        fn holds(&self, class: &str) -> bool {
            let any = |prefixes: &[String]| prefixes.iter().any(|prefix| class.starts_with(prefix));
            any(&self.0) && !any(&self.1)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn sets_hold_the_classes_that_their_codes_name(a in sets(), b in sets()) {
            let (one, other) = (Activities::of(&a), Activities::of(&b));
            let (a, b, both) = (Plain::of(&a), Plain::of(&b), one.within(&other));
            let (kept, both) = [&one, &both].map(|set| Plain(written(&set.include), written(&set.exclude))).into();
            let beyond = one.beyond(&other);
            let mut named = vec![false; beyond.len()];
            for class in classes() {
                let (in_a, in_b) = (a.holds(&class), b.holds(&class));
                prop_assert_eq!(kept.holds(&class), in_a, "{}", class);
                prop_assert_eq!(both.holds(&class), in_a && in_b, "{}", class);
                if in_a && !in_b {
                    let naming = beyond.iter().position(|code| class.starts_with(code));
                    prop_assert!(naming.is_some(), "{class} is not in {beyond:?}");
                    named[naming.unwrap()] = true;
                }
            }
            let is_asked_about = |code: &String| classes().any(|class| class.starts_with(code));
            let idle = beyond.iter().zip(named).find(|(code, named)| !named && is_asked_about(code));
            prop_assert!(idle.is_none(), "{idle:?} of {beyond:?}");
        }
    }

    #[test]
    fn the_classification_has_88_divisions() {
        assert_eq!(divisions().count(), 88);
        assert_eq!(written(&Activity::new("Q").unwrap().prefixes()), ["86", "87", "88"]);
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
        assert_eq!(written(&both.include), ["63", "861"]);
        assert_eq!(written(&both.exclude), ["6311", "6312"]);
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
