//! Territory: places as codes, and sets of them that can be intersected and compared exactly.
//!
//! A place is an ISO 3166-1 code, `GBA` or `WORLD`. The Greater Bay Area is Hong Kong, Macao and nine cities of
//! Guangdong (Framework Agreement of 1 July 2017), so the Mainland counts as two parts here: those cities, and the rest.

use core::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::vocabulary::Codes;
use crate::code::Jurisdiction;
use crate::strict::StrictError;

/// A place that terms name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// A country or territory of ISO 3166-1. `CN` does not include `HK`, `MO` and `TW`, which have codes of their own.
    Country(Jurisdiction),
    /// `GBA` or `WORLD`.
    Region(Region),
}

/// A place that is no country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Region {
    /// The Guangdong–Hong Kong–Macao Greater Bay Area.
    #[serde(rename = "GBA")]
    GreaterBayArea,
    /// Everywhere.
    #[serde(rename = "WORLD")]
    World,
}

impl Place {
    /// Reads a code.
    ///
    /// # Errors
    /// A sentence naming the code.
    pub fn new(code: &str) -> Result<Self, String> {
        match code {
            "GBA" => Ok(Self::Region(Region::GreaterBayArea)),
            "WORLD" => Ok(Self::Region(Region::World)),
            _ => Jurisdiction::new(code).map(Self::Country).map_err(|error| format!("{error}, or GBA or WORLD")),
        }
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Country(country) => country.as_str(),
            Self::Region(Region::GreaterBayArea) => "GBA",
            Self::Region(Region::World) => "WORLD",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Where terms hold: everything in `include` but what is in `exclude`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Territory {
    /// Places.
    pub include: Codes<Place, 1>,
    /// Places within them that are left out.
    #[serde(default, skip_serializing_if = "Codes::is_empty")]
    pub exclude: Codes<Place>,
}

impl Territory {
    /// The places as a set.
    pub fn area(&self) -> Area {
        let all = |places: &[Place]| places.iter().fold(Area::NOWHERE, Area::with);
        all(self.include.as_slice()).without(all(self.exclude.as_slice()))
    }

    /// Checks that exclusions lie within what is included and leave something.
    ///
    /// # Errors
    /// A [`StrictError`] with a pointer relative to this object.
    pub fn validate(&self) -> Result<(), StrictError> {
        let included = self.include.iter().fold(Area::NOWHERE, Area::with);
        for (position, place) in self.exclude.iter().enumerate() {
            if !included.contains(Area::NOWHERE.with(place)) {
                let reason = format!("{place} is not wholly within what is included, so it can't be left out of it");
                return Err(StrictError::new(format!("/exclude/{position}"), reason));
            }
        }
        if self.area().is_empty() {
            return Err(StrictError::new("/exclude", "nothing is left of the territory"));
        }
        Ok(())
    }
}

/// Two-letter codes as bits: 26 × 26, and one more for the Mainland cities of the Greater Bay Area.
const WORDS: usize = 11;

/// A set of places. `CN` stands for the Mainland without its part of the Greater Bay Area, which is a bit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area([u64; WORDS]);

/// The bit of the Mainland cities of the Greater Bay Area: after those of all pairs of letters.
const BAY_CITIES: usize = 26 * 26;

impl Area {
    /// No place.
    pub const NOWHERE: Self = Self([0; WORDS]);

    /// Every place that has a code.
    pub fn world() -> Self {
        static WORLD: LazyLock<Area> = LazyLock::new(|| Jurisdiction::all().fold(Area::NOWHERE, Area::with_country));
        *WORLD
    }

    /// The places in it, as codes. `CN` stands for any of the Mainland beyond the Greater Bay Area's cities.
    pub fn codes(self) -> Vec<&'static str> {
        let countries = Jurisdiction::all().filter(|code| {
            let place = Self::NOWHERE.with_country(code).without(Self::NOWHERE.with_bit(BAY_CITIES));
            self.contains(place)
        });
        let mut codes: Vec<&'static str> = countries.collect();
        if !codes.contains(&"CN") && self.contains(Self::NOWHERE.with_bit(BAY_CITIES)) {
            codes.push("GBA");
        }
        codes
    }

    fn with_bit(mut self, bit: usize) -> Self {
        if let Some(word) = self.0.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
        self
    }

    fn with_country(self, code: &str) -> Self {
        let letter = |letter: u8| usize::from(letter.saturating_sub(b'A')).min(25);
        let area = match code.as_bytes() {
            [first, second] => self.with_bit(letter(*first) * 26 + letter(*second)),
            _ => self,
        };
        if code == "CN" { area.with_bit(BAY_CITIES) } else { area }
    }

    /// This and a place.
    #[must_use]
    pub fn with(self, place: &Place) -> Self {
        match place {
            Place::Country(country) => self.with_country(country.as_str()),
            Place::Region(Region::World) => Self::world(),
            Place::Region(Region::GreaterBayArea) => self.with_country("HK").with_country("MO").with_bit(BAY_CITIES),
        }
    }

    fn combine(self, other: Self, by: impl Fn(u64, u64) -> u64) -> Self {
        let mut combined = self;
        for (word, other) in combined.0.iter_mut().zip(other.0) {
            *word = by(*word, other);
        }
        combined
    }

    /// What is in both.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        self.combine(other, |a, b| a & b)
    }

    /// What is here and not there.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        self.combine(other, |a, b| a & !b)
    }

    /// Whether all of another set is in this one.
    pub fn contains(self, other: Self) -> bool {
        other.without(self).is_empty()
    }

    /// Whether there is no place in it.
    pub fn is_empty(self) -> bool {
        self.0 == Self::NOWHERE.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn territory(include: &[&str], exclude: &[&str]) -> Territory {
        let places = |codes: &[&str]| codes.iter().map(|code| Place::new(code).unwrap()).collect::<Vec<_>>();
        Territory { include: Codes::new(places(include)).unwrap(), exclude: Codes::new(places(exclude)).unwrap() }
    }

    #[test]
    fn the_bay_area_lies_across_three_codes() {
        let bay = territory(&["GBA"], &[]).area();
        assert!(bay.contains(territory(&["HK", "MO"], &[]).area()));
        assert!(!bay.contains(territory(&["CN"], &[]).area()), "the Mainland is more than nine cities");
        assert!(territory(&["CN", "HK", "MO"], &[]).area().contains(bay));
        assert!(!territory(&["CN"], &[]).area().contains(bay), "Hong Kong is not in CN");
        assert!(!territory(&["CN"], &[]).area().within(bay).is_empty());
        assert!(territory(&["WORLD"], &["GBA"]).area().within(bay).is_empty());
        assert!(!territory(&["WORLD"], &["GBA"]).area().within(territory(&["CN"], &[]).area()).is_empty());
        assert_eq!(bay.codes(), ["HK", "MO", "GBA"]);
        assert_eq!(Area::world().codes().len(), 249);
    }

    #[test]
    fn exclusions_lie_within_and_leave_something() {
        for (include, exclude, pointer) in [
            (["WORLD"].as_slice(), ["US"].as_slice(), None),
            (&["CN", "HK", "MO"], &["GBA"], None),
            (&["HK", "CN"], &["MO"], Some("/exclude/0")),
            (&["CN"], &["GBA"], Some("/exclude/0")),
            (&["HK"], &["HK"], Some("/exclude")),
            (&["GBA"], &["WORLD"], Some("/exclude/0")),
        ] {
            let found = territory(include, exclude).validate().err().map(|error| error.pointer);
            assert_eq!(found.as_deref(), pointer, "{include:?} but {exclude:?}");
        }
    }

    #[test]
    fn places_are_codes() {
        for bad in ["hk", "EU", "", "CN-GD", "World"] {
            assert!(Place::new(bad).is_err(), "{bad}");
        }
    }
}
