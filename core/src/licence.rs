//! Declared licences: SPDX expressions in one spelling, with the list version they were read against.
//!
//! Parsing is the `spdx` crate's; here is the rule that a registered expression is the canonical spelling, so that two
//! statements that mean the same licence carry the same bytes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::strict::StrictError;

/// Longest expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 1_000;

/// A licence the owner declares for an artefact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredLicence {
    /// SPDX licence expression, canonical identifiers and operators (`Apache-2.0 OR MIT`).
    pub expression: String,
    /// Version of the SPDX licence list the expression was checked against.
    pub license_list_version: String,
}

impl DeclaredLicence {
    /// Reads an expression as people type it (`apache-2.0`, `mit or apache-2.0`) into its canonical spelling.
    ///
    /// # Errors
    /// A sentence that quotes what is not a licence and says where to look for one.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(format!("a licence expression has at most {EXPRESSION_BYTES_MAX} bytes"));
        }
        // Parentheses are words of their own wherever they stand, and are written without spaces within.
        let apart = text.replace('(', " ( ").replace(')', " ) ");
        let expression = apart.split_whitespace().map(canonical_word).collect::<Vec<_>>().join(" ");
        let expression = expression.replace("( ", "(").replace(" )", ")");
        spdx::Expression::parse(&expression).map_err(|error| {
            format!(
                "{text:?} is not an SPDX licence expression ({}); see spdx.org/licenses for identifiers",
                error.reason
            )
        })?;
        Ok(Self { expression, license_list_version: spdx::license_version().to_owned() })
    }

    /// The licences the expression names, without operators and exceptions; ascending, none twice.
    pub fn identifiers(&self) -> Vec<String> {
        let Ok(expression) = spdx::Expression::parse(&self.expression) else { return Vec::new() };
        let named = expression.requirements().map(|requirement| match &requirement.req.license {
            spdx::LicenseItem::Spdx { id, .. } => id.name.to_owned(),
            other @ spdx::LicenseItem::Other(_) => other.to_string(),
        });
        named.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Checks a declared licence that came in a statement.
    ///
    /// # Errors
    /// A [`StrictError`] with a pointer relative to this object.
    pub fn validate(&self) -> Result<(), StrictError> {
        let canonical = Self::parse(&self.expression).map_err(|reason| StrictError::new("/expression", reason))?;
        if canonical.expression != self.expression {
            return Err(StrictError::new("/expression", format!("write it as {:?}", canonical.expression)));
        }
        let version = &self.license_list_version;
        let well_formed = (1..=16).contains(&version.len()) && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if !well_formed {
            return Err(StrictError::new("/license_list_version", "a version like 3.27.0 is expected"));
        }
        Ok(())
    }
}

/// One word of an expression in canonical spelling: operators in capitals, identifiers as the SPDX list writes them. What
/// is neither stays as it is.
pub fn canonical_word(word: &str) -> String {
    match word.to_ascii_lowercase().as_str() {
        "and" => "AND".to_owned(),
        "or" => "OR".to_owned(),
        "with" => "WITH".to_owned(),
        _ => {
            let (name, plus) = word.strip_suffix('+').map_or((word, ""), |name| (name, "+"));
            let listed = spdx::identifiers::LICENSES
                .iter()
                .map(|license| license.name)
                .chain(spdx::identifiers::EXCEPTIONS.iter().map(|exception| exception.name))
                .find(|known| known.eq_ignore_ascii_case(name));
            listed.map_or_else(|| word.to_owned(), |known| format!("{known}{plus}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_become_canonical() {
        for (typed, canonical) in [
            ("apache-2.0", "Apache-2.0"),
            ("mit or (apache-2.0 and bsd-3-clause)", "MIT OR (Apache-2.0 AND BSD-3-Clause)"),
            ("GPL-2.0-only with classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
            ("LicenseRef-chopmark-00", "LicenseRef-chopmark-00"),
            ("( ( mit ) )or(apache-2.0 )", "((MIT)) OR (Apache-2.0)"),
        ] {
            let parsed = DeclaredLicence::parse(typed).unwrap();
            assert_eq!(parsed.expression, canonical);
            assert_eq!(parsed.validate(), Ok(()));
        }
    }

    #[test]
    fn a_word_becomes_canonical_by_itself() {
        for (typed, canonical) in
            [("apache-2.0", "Apache-2.0"), ("MIT", "MIT"), ("gpl-2.0+", "GPL-2.0+"), ("LicenseRef-A", "LicenseRef-A")]
        {
            assert_eq!(canonical_word(typed), canonical);
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_pointer() {
        for bad in ["", "apache", "MIT OR", "(MIT", "()", ")(", "MIT\u{0}", &"MIT OR ".repeat(200)] {
            assert!(DeclaredLicence::parse(bad).is_err(), "{bad:?}");
        }
        let sloppy = DeclaredLicence { expression: "mit".into(), license_list_version: "3.27.0".into() };
        assert_eq!(sloppy.validate().unwrap_err().pointer, "/expression");
        let undated = DeclaredLicence { expression: "MIT".into(), license_list_version: "latest".into() };
        assert_eq!(undated.validate().unwrap_err().pointer, "/license_list_version");
    }
}
