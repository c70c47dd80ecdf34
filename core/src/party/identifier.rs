//! Numbers organisations are known by, with the check digits their issuers defined.

use serde::{Deserialize, Serialize};

/// Which public register an identifier is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Hong Kong Business Registration Number: 8 digits, no public check digit.
    HkBrn,
    /// Mainland China unified social credit code (GB 32100-2015): 18 characters, the last one a check character.
    CnUscc,
    /// Legal Entity Identifier (ISO 17442): 20 characters, the last two check digits (ISO 7064 MOD 97-10).
    Lei,
}

/// One identifier of a party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identifier {
    /// The register.
    pub scheme: Scheme,
    /// The number, without spaces.
    pub value: String,
}

impl Identifier {
    /// Checks format and, where the scheme has one, the check digit.
    ///
    /// # Errors
    /// A sentence saying what the number should look like.
    pub fn validate(&self) -> Result<(), String> {
        let value = &self.value;
        let verdict = match self.scheme {
            Scheme::HkBrn if value.len() == 8 && value.bytes().all(|byte| byte.is_ascii_digit()) => Ok(()),
            Scheme::HkBrn => Err("a Hong Kong Business Registration Number has 8 digits"),
            Scheme::CnUscc => check_uscc(value),
            Scheme::Lei => check_lei(value),
        };
        verdict.map_err(|reason| format!("{value:?}: {reason}"))
    }
}

/// GB 32100-2015: the sum of the first 17 character values weighted by powers of 3, complemented modulo 31.
fn check_uscc(code: &str) -> Result<(), &'static str> {
    const ALPHABET: &str = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    let format = "a unified social credit code has 18 digits and capital letters, without I, O, S, V and Z";
    let values: Vec<usize> = code.chars().map_while(|character| ALPHABET.find(character)).collect();
    if values.len() != 18 || code.len() != 18 {
        return Err(format);
    }
    let mut weight = 1;
    let mut sum = 0;
    for value in values.iter().take(17) {
        sum += value * weight;
        weight = weight * 3 % 31;
    }
    let expected = (31 - sum % 31) % 31;
    if values.last() == Some(&expected) {
        Ok(())
    } else {
        Err("the check character is wrong; look for a typing mistake")
    }
}

/// ISO 17442 with ISO 7064 MOD 97-10: letters count as 10 to 35, and the whole number leaves 1 modulo 97.
fn check_lei(code: &str) -> Result<(), &'static str> {
    let format = "a Legal Entity Identifier has 18 digits and capital letters and two check digits";
    let well_formed = code.len() == 20
        && code.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        && code.bytes().skip(18).all(|byte| byte.is_ascii_digit());
    if !well_formed {
        return Err(format);
    }
    let remainder = code.chars().filter_map(|character| character.to_digit(36)).fold(0, |remainder, value| {
        let shift = if value < 10 { 10 } else { 100 };
        (remainder * shift + value) % 97
    });
    if remainder == 1 { Ok(()) } else { Err("the check digits are wrong; look for a typing mistake") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(scheme: Scheme, value: &str) -> Result<(), String> {
        Identifier { scheme, value: value.to_owned() }.validate()
    }

    #[test]
    fn real_identifiers_pass() {
        // Published: Apple Inc., HSBC Holdings plc, Alibaba Group (LEI); Huawei, Tencent Shenzhen (USCC).
        for lei in ["HWUPKR0MPOU8FGXBT394", "MLU0ZO3ML4LN2LL2TL39", "5493001NTNQJDH60PM02"] {
            assert_eq!(verdict(Scheme::Lei, lei), Ok(()), "{lei}");
        }
        for uscc in ["914403001922038216", "9144030071526726XG"] {
            assert_eq!(verdict(Scheme::CnUscc, uscc), Ok(()), "{uscc}");
        }
        assert_eq!(verdict(Scheme::HkBrn, "12345678"), Ok(()));
    }

    #[test]
    fn every_single_character_change_is_caught() {
        for (scheme, good) in [(Scheme::Lei, "HWUPKR0MPOU8FGXBT394"), (Scheme::CnUscc, "9144030071526726XG")] {
            for position in 0..good.len() {
                for replacement in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".chars() {
                    let mut bad: Vec<char> = good.chars().collect();
                    // MOD 97-10 writes letters as two digits, so it can miss a letter typed as a digit.
                    if bad[position] == replacement || bad[position].is_ascii_digit() != replacement.is_ascii_digit() {
                        continue;
                    }
                    bad[position] = replacement;
                    let bad: String = bad.into_iter().collect();
                    assert!(verdict(scheme, &bad).is_err(), "{bad} passed");
                }
            }
        }
    }

    #[test]
    fn wrong_shapes_are_refused() {
        for (scheme, bad) in [
            (Scheme::HkBrn, "1234567"),
            (Scheme::HkBrn, "1234567a"),
            (Scheme::HkBrn, "１２３４５６７８"),
            (Scheme::Lei, ""),
            (Scheme::Lei, "hwupkr0mpou8fgxbt394"),
            (Scheme::CnUscc, "91440300192203821"),
            (Scheme::CnUscc, "9144030019220382166"),
        ] {
            assert!(verdict(scheme, bad).is_err(), "{bad:?} passed");
        }
    }
}
