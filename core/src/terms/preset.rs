//! Presets: complete terms documents to start from, as data files beside this module.

use super::Terms;
use super::vocabulary::vocabulary;
use crate::strict::StrictError;

vocabulary! {
    /// A terms document to start from.
    Preset("preset") {
        /// Anything, with attribution: the terms of Apache-2.0.
        Permissive = "permissive",
        /// Anything, and works based on it under the same terms: the terms of GPL-3.0-or-later.
        Copyleft = "copyleft",
        /// Anything but certain uses, which every derivative has to rule out, too (as `OpenRAIL` does).
        OpenRail = "openrail",
        /// Trying it out for a month.
        EvaluationOnly = "evaluation-only",
        /// Use by so many people, paid for by the year.
        CommercialPerSeat = "commercial-per-seat",
        /// Products made with it, for a share of revenue.
        CommercialRevenueShare = "commercial-revenue-share",
        /// An exclusive licence for a territory, under the law of Hong Kong, with arbitration at HKIAC.
        ExclusiveTerritorial = "exclusive-territorial",
    }
}

impl Preset {
    /// The data file.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Permissive => include_str!("presets/permissive.json"),
            Self::Copyleft => include_str!("presets/copyleft.json"),
            Self::OpenRail => include_str!("presets/openrail.json"),
            Self::EvaluationOnly => include_str!("presets/evaluation-only.json"),
            Self::CommercialPerSeat => include_str!("presets/commercial-per-seat.json"),
            Self::CommercialRevenueShare => include_str!("presets/commercial-revenue-share.json"),
            Self::ExclusiveTerritorial => include_str!("presets/exclusive-territorial.json"),
        }
    }

    /// The terms.
    ///
    /// # Errors
    /// None in practice: every preset is parsed in the tests.
    pub fn terms(self) -> Result<Terms, StrictError> {
        Terms::parse(self.text().as_bytes())
    }
}
