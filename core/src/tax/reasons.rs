//! Stable codes: why a line is nothing, and what an officer should look at. A code is never renamed or reused.

use serde::{Deserialize, Serialize};

/// Defines codes with one list of them all.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$item_doc])* #[serde(rename = $code)] $item,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$item,)*];

            /// The code.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$item => $code,)*
                }
            }
        }
    };
}

codes! {
    /// Why a line is nothing.
    Reason {
        /// No section allowed a deduction for rights of this type in the year of purchase.
        NotInForce = "not_in_force",
        /// The right was not registered or granted when it was bought.
        NotRegistered = "not_registered",
        /// Its protection or registration was not in force when it was bought, or on no day of the basis period.
        RightLapsed = "right_lapsed",
        /// It was not used to produce chargeable profits in the year: the slice is lost.
        NotUsed = "not_used",
        /// It was sold before the end of the basis period.
        Sold = "sold",
        /// A licensee used it outside Hong Kong.
        ForeignUse = "used_abroad_by_licensee",
        /// It was bought from an associate.
        AssociateSeller = "associate_seller",
        /// It was bought from and licensed back to its user.
        LicenceBack = "sale_and_licence_back",
        /// It was bought mainly with non-recourse debt, and licensed.
        NonRecourse = "leveraged",
        /// A licence was ended early for the purchase.
        EarlyTermination = "early_termination",
        /// A licence is not a purchase.
        LicenceOnly = "licence_not_purchase",
        /// An upfront fee is capital expenditure.
        CapitalFee = "capital_upfront_fee",
        /// The cost of registering rights of this type is not deductible.
        RegistrationNotCovered = "registration_not_covered",
        /// The rights from the research are not fully vested in the taxpayer.
        NotVested = "rights_not_vested",
        /// The research was done for another person.
        ForAnother = "done_for_another",
        /// Others met all of the expenditure.
        MetByOthers = "met_by_others",
        /// It was paid for research by somebody who is no research institution.
        PerformedByOther = "performed_by_other",
        /// A main purpose was a deduction that would not be due.
        Avoidance = "avoidance",
        /// No deduction was allowed, so nothing is taken back.
        NothingAllowed = "no_deduction_allowed",
        /// There were no proceeds.
        NoProceeds = "no_proceeds",
        /// Proceeds and unallowed amount are equal.
        NoExcess = "no_excess",
        /// The patent box was not elected.
        NotElected = "not_elected",
        /// The right is not eligible for the patent box.
        NotEligible = "not_eligible",
        /// No tax is due after the reduction.
        NoTaxDue = "no_tax_due",
        /// The amount is nothing.
        NoAmount = "no_amount",
    }
}

codes! {
    /// What an officer wants to look at.
    FlagCode {
        /// Bought from an associate: section 16EC(2).
        AssociateSeller = "ASSOCIATE_SELLER",
        /// One registration claimed twice, or shares of more than the whole: DIPN 49, paragraphs 49 and 50.
        DuplicateClaim = "DUPLICATE_CLAIM",
        /// The title left the taxpayer while it held something, and nothing says that was sold: sections 16E(3), 16EB.
        DisposalWithoutClawback = "DISPOSAL_WITHOUT_CLAWBACK",
        /// A slice was claimed for a year in which the right was sold or not used: section 16EA(5), (6).
        SliceWhenUnused = "SLICE_WHEN_UNUSED",
        /// A licensee used it abroad: section 16EC(4)(b).
        ForeignUseByLicensee = "FOREIGN_USE_BY_LICENSEE",
        /// The seller became the licensee: section 16EC(4)(a).
        SaleAndLicenceBack = "SALE_AND_LICENCE_BACK",
        /// A licence fee booked as a purchase: section 16EA(13).
        LicenceAsPurchase = "LICENCE_AS_PURCHASE",
        /// A registration expired or was refused or revoked: DIPN 49, paragraphs 44 and 45.
        RightLapsed = "RIGHT_LAPSED",
        /// A royalty to a non-resident from which nothing was withheld: section 20B.
        NoWithholding = "NO_WITHHOLDING",
        /// An associate's royalty for what was or may have been owned here, not withheld on the 100% basis: section 21A.
        Deemed100 = "DEEMED_100",
        /// Only one side attested the payment.
        Unconfirmed = "UNCONFIRMED",
        /// A conversion rate without a source.
        FxUnsourced = "FX_UNSOURCED",
        /// Facts, or a rule of the year, are missing that could change a line.
        NeedsReview = "NEEDS_REVIEW",
    }
}
