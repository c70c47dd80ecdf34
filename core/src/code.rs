//! Small closed vocabularies shared by several kinds: countries, residency zones.
//!
//! Rust enums where the set is ours; a checked two-letter code where it is ISO's.

use serde::{Deserialize, Deserializer, Serialize, de};

/// ISO 3166-1 alpha-2 codes, officially assigned (249).
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV \
BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO \
FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP \
KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU \
MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB \
SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY \
UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// A jurisdiction: an officially assigned ISO 3166-1 alpha-2 code in capitals.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Jurisdiction(String);

impl Jurisdiction {
    /// Accepts an assigned code.
    ///
    /// # Errors
    /// A sentence naming the code.
    pub fn new(code: &str) -> Result<Self, String> {
        if COUNTRIES.split(' ').any(|known| known == code) {
            Ok(Self(code.to_owned()))
        } else {
            Err(format!("{code:?} is not an ISO 3166-1 alpha-2 code in capitals, such as HK, CN or SG"))
        }
    }

    /// The two letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Every code there is.
    pub fn all() -> impl Iterator<Item = &'static str> {
        COUNTRIES.split(' ')
    }
}

impl<'de> Deserialize<'de> for Jurisdiction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Where an artefact's bytes and sealed values may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ResidencyZone {
    /// Hong Kong.
    #[serde(rename = "HK")]
    HongKong,
    /// The Mainland cities of the Guangdong–Hong Kong–Macao Greater Bay Area.
    #[serde(rename = "CN-GBA")]
    GreaterBayArea,
    /// Mainland China.
    #[serde(rename = "CN")]
    Mainland,
    /// No restriction.
    #[serde(rename = "WORLD")]
    World,
}

impl ResidencyZone {
    /// The code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HongKong => "HK",
            Self::GreaterBayArea => "CN-GBA",
            Self::Mainland => "CN",
            Self::World => "WORLD",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jurisdictions_are_assigned_codes() {
        assert_eq!(COUNTRIES.split(' ').count(), 249);
        assert!(Jurisdiction::new("HK").is_ok() && Jurisdiction::new("CN").is_ok());
        for bad in ["hk", "XX", "HKG", "", "H", "HK CN", " "] {
            assert!(Jurisdiction::new(bad).is_err(), "{bad}");
        }
    }
}
