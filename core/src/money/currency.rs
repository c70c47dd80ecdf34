//! Currencies, each with the digits that its amounts have behind the point.

use core::fmt;
use core::str::FromStr;

use crate::strict::as_text;

/// Active codes of ISO 4217 (list one, 2024-06-25) whose minor unit is a hundredth, without funds, metals and testing.
const CURRENCIES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD \
CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS \
INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN \
NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB \
TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW ZWL";

/// The same, whose minor unit is the currency itself.
const CURRENCIES_WHOLE: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";

/// The same, whose minor unit is a thousandth.
const CURRENCIES_THOUSANDTH: &str = "BHD IQD JOD KWD LYD OMR TND";

/// A currency: an active code of ISO 4217.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    code: &'static str,
    decimals: u32,
}

impl Currency {
    /// The code.
    pub const fn as_str(self) -> &'static str {
        self.code
    }

    /// Digits behind the point of an amount: the minor unit is 10^−decimals.
    pub const fn decimals(self) -> u32 {
        self.decimals
    }

    /// Every code there is, in no order.
    pub fn codes() -> impl Iterator<Item = &'static str> {
        [CURRENCIES, CURRENCIES_WHOLE, CURRENCIES_THOUSANDTH].into_iter().flat_map(|codes| codes.split(' '))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

impl FromStr for Currency {
    type Err = String;

    fn from_str(code: &str) -> Result<Self, String> {
        let lists = [(CURRENCIES, 2), (CURRENCIES_WHOLE, 0), (CURRENCIES_THOUSANDTH, 3)];
        let listed = lists.into_iter().find_map(|(codes, decimals)| {
            codes.split(' ').find(|known| *known == code).map(|code| Self { code, decimals })
        });
        listed.ok_or_else(|| format!("{code:?} is no currency of ISO 4217, such as HKD or CNY"))
    }
}

as_text!(Currency);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_are_codes() {
        assert_eq!(["HKD", "JPY", "KWD"].map(|code| code.parse::<Currency>().unwrap().decimals()), [2, 0, 3]);
        for unknown in ["HK", "hkd", "XXX", "XAU", "HKD2", "HKD CNY", ""] {
            assert!(unknown.parse::<Currency>().is_err(), "{unknown:?}");
        }
    }
}
