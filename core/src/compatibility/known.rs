//! Licences whose clauses are known: the data file beside this module, read once.
//!
//! Each entry names where it was read: a section of the licence, or a published statement on compatibility. What an entry
//! can't express is a condition, and sends whoever relies on it to the text.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use super::clauses::Clauses;
use crate::digest::Sha256Digest;
use crate::strict::{self, StrictError, present};
use crate::terms::figures::Count;
use crate::terms::place::Place;
use crate::terms::vocabulary::{Permission, Right, ShareAlike, UseRestriction, vocabulary};

/// The data file.
const TEXT: &str = include_str!("known.json");

vocabulary! {
    /// A condition of a licence that no clause of ours expresses.
    Condition("condition") {
        /// Names of derivatives have to begin in a certain way.
        Naming = "naming",
        /// A certain line has to be shown.
        DisplayNotice = "display_notice",
        /// A policy published elsewhere, which may change, has to be kept to.
        AcceptableUsePolicy = "acceptable_use_policy",
        /// A copy of the agreement goes with every copy, and binds whoever receives it.
        PassOnAgreement = "pass_on_agreement",
        /// Above a certain revenue another licence is needed.
        RevenueThreshold = "revenue_threshold",
        /// People and companies of certain places are not licensed.
        DomicileExcluded = "domicile_excluded",
        /// Outputs may train other models on a condition.
        OutputCondition = "output_condition",
        /// Offering it as a service needs the whole service's source to be published.
        ServiceSource = "service_source",
        /// It becomes available under another licence at a later date.
        ChangeDate = "change_date",
    }
}

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: Schema,
    licences: Vec<Known>,
    exceptions: Vec<Exception>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Schema {
    #[serde(rename = "chopmark.known-licences/v1")]
    V1,
}

/// Where something was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Sections, or the heading of a page.
    pub read: String,
    /// Its address.
    pub url: String,
}

/// A licence that is known. What is absent is permitted, or not asked for.
#[expect(clippy::struct_excessive_bools, reason = "clauses are independent of each other")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// SPDX identifier, or `LicenseRef-…` where there is none.
    pub id: String,
    /// Names that people and model cards use instead.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Rights that are not granted; every other one is.
    #[serde(default)]
    pub rights_withheld: Vec<Right>,
    /// To whom recipients may grant the same rights. Public licences grant them to everybody.
    #[serde(default = "everybody")]
    pub sublicensing: Permission,
    /// Places where it does not hold.
    #[serde(default)]
    pub territory_excluded: Vec<Place>,
    /// Above so many users in a month another licence is needed.
    #[serde(default, deserialize_with = "present")]
    pub monthly_active_users_max: Option<Count>,
    /// Whether it permits no derivatives.
    #[serde(default)]
    pub no_derivatives: bool,
    /// How far its own terms reach.
    #[serde(default = "nothing")]
    pub share_alike: ShareAlike,
    /// Licences that derivatives may come under instead.
    #[serde(default)]
    pub compatible: Vec<String>,
    /// Licences that it can't be combined with, although it asks for no share-alike.
    #[serde(default)]
    pub incompatible: Vec<Incompatible>,
    /// Whether notices have to be kept.
    #[serde(default)]
    pub attribution: bool,
    /// Whether other models may not be trained on outputs.
    #[serde(default)]
    pub no_output_training: bool,
    /// Uses that are ruled out, for everybody after, too.
    #[serde(default)]
    pub restrictions: Vec<UseRestriction>,
    /// Whether what is ruled out is ruled out for models trained on outputs, too: they count as derivatives, or outputs
    /// come under the same restrictions.
    #[serde(default)]
    pub covers_distillation: bool,
    /// What else there is.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// Where it was read.
    pub sources: Vec<Source>,
}

fn everybody() -> Permission {
    Permission::Free
}

fn nothing() -> ShareAlike {
    ShareAlike::None
}

/// A published statement that two licences can't be combined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incompatible {
    /// The other licences.
    pub with: Vec<String>,
    /// Who says so.
    pub source: Source,
}

/// An exception (`WITH …`) that permits more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// SPDX identifier.
    pub id: String,
    /// How far the licence's terms reach then.
    #[serde(default, deserialize_with = "present")]
    pub share_alike: Option<ShareAlike>,
    /// Licences that it can then be combined with.
    #[serde(default)]
    pub combines_with: Vec<String>,
    /// Where it was read.
    pub sources: Vec<Source>,
}

/// A licence with what its clauses come to.
#[derive(Debug)]
pub(super) struct Entry {
    known: Known,
    pub(super) clauses: Arc<Clauses>,
}

#[derive(Debug, Default)]
struct Data {
    licences: BTreeMap<String, Entry>,
    exceptions: BTreeMap<String, Exception>,
    aliases: BTreeMap<String, String>,
}

fn parse() -> Result<File, StrictError> {
    strict::from_slice(TEXT.as_bytes())
}

fn data() -> &'static Data {
    // A file that does not parse, which the tests rule out, leaves every licence unknown: a person has to look.
    static DATA: LazyLock<Data> = LazyLock::new(|| {
        let Ok(file) = parse() else { return Data::default() };
        let Schema::V1 = file.schema;
        let aliases = file
            .licences
            .iter()
            .flat_map(|known| known.aliases.iter().map(|alias| (alias.to_ascii_lowercase(), known.id.clone())));
        Data {
            aliases: aliases.collect(),
            exceptions: file.exceptions.into_iter().map(|exception| (exception.id.clone(), exception)).collect(),
            licences: file
                .licences
                .into_iter()
                .map(|known| {
                    let clauses = Arc::new(Clauses::of_known(&known));
                    (known.id.clone(), Entry { known, clauses })
                })
                .collect(),
        }
    });
    &DATA
}

/// SHA-256 of the data file: part of every verdict.
pub fn digest() -> Sha256Digest {
    static DIGEST: LazyLock<Sha256Digest> = LazyLock::new(|| Sha256Digest::of(TEXT.as_bytes()));
    *DIGEST
}

/// Every known licence, by identifier.
pub fn all() -> impl Iterator<Item = &'static Known> {
    data().licences.values().map(|entry| &entry.known)
}

/// The identifier of a licence that people call otherwise, such as `llama3.1`.
pub fn by_alias(alias: &str) -> Option<&'static str> {
    data().aliases.get(&alias.to_ascii_lowercase()).map(String::as_str)
}

pub(super) fn find(id: &str) -> Option<&'static Entry> {
    data().licences.get(id)
}

pub(super) fn find_exception(id: &str) -> Option<&'static Exception> {
    data().exceptions.get(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::licence::DeclaredLicence;

    #[test]
    fn the_data_is_well_formed_and_every_entry_has_a_source() {
        let file = parse().unwrap();
        assert!(file.licences.len() >= 50, "{}", file.licences.len());
        let mut seen = std::collections::BTreeSet::new();
        for known in &file.licences {
            let id = &known.id;
            let parsed = DeclaredLicence::parse(id).unwrap_or_else(|error| panic!("{id}: {error}"));
            assert_eq!((&parsed.expression, parsed.identifiers()), (id, vec![id.clone()]), "{id}");
            for name in known.aliases.iter().chain([id]) {
                assert!(seen.insert(name.to_ascii_lowercase()), "{name} stands there twice");
            }
            let others = known.compatible.iter().chain(known.incompatible.iter().flat_map(|entry| &entry.with));
            for other in others {
                assert!(DeclaredLicence::parse(other).is_ok_and(|parsed| parsed.expression == *other), "{id}: {other}");
                assert_ne!(other, id);
            }
            let sources = known.sources.iter().chain(known.incompatible.iter().map(|entry| &entry.source));
            assert!(!known.sources.is_empty(), "{id} has no source");
            for source in sources {
                assert!(source.url.starts_with("https://") && !source.read.is_empty(), "{id}: {source:?}");
            }
            assert!(known.compatible.is_empty() || known.share_alike > ShareAlike::None, "{id}");
        }
        for exception in &file.exceptions {
            assert!(spdx::exception_id(&exception.id).is_some(), "{}", exception.id);
            assert!(!exception.sources.is_empty(), "{}", exception.id);
        }
        assert_eq!(all().count(), file.licences.len());
        assert_eq!(by_alias("LLAMA3.1"), Some("LicenseRef-Llama-3.1-Community"));
    }
}
