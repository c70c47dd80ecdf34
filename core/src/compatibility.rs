//! Whether terms may be given to something that was made from other things: the engine, pure and total.
//!
//! Permissions intersect, obligations and prohibitions unite, over all ancestors and not only the parents: a clause that
//! one step dropped still binds the next. What is certain is a conflict; what depends on text that is not enumerated,
//! on facts not at hand or on law that is not settled is left to a person. The same inputs give the same verdict, which
//! names the engine and the digest of its inputs, so that anybody can replay it.

mod clauses;
mod exclusive;
mod expression;
mod graph;
pub mod known;
mod pair;
mod sublicence;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::exclusive::{LiveGrant, Scope};
pub use self::sublicence::beyond_head;
use crate::artefact::Relation;
use crate::digest::Sha256Digest;
use crate::licence::DeclaredLicence;
use crate::strict::{self, present};
use crate::terms::Terms;
use crate::terms::period::Date;
use crate::terms::vocabulary::vocabulary;

/// The rules of this module. Another version may judge otherwise; a verdict says by which it was made.
pub const ENGINE: &str = "chopmark.compatibility/v1";

/// Most things that one judgement takes in. More are a question for a person; real lineages have a few dozen.
pub const NODES_MAX: usize = 16_384;

vocabulary! {
    /// How something is made from something else, as far as licences tell it apart.
    Derivation("derivation") {
        /// Trained further.
        Finetune = "finetune",
        /// An adapter to be used with it.
        Adapter = "adapter",
        /// Merged from it and others.
        Merge = "merge",
        /// The same weights in fewer bits.
        Quantized = "quantized",
        /// Any other work based on it.
        Derived = "derived",
        /// Trained to behave like it, on what it puts out.
        Distilled = "distilled",
        /// Trained on it, as data.
        Dataset = "dataset",
        /// Used by it, unchanged.
        Dependency = "dependency",
    }

    /// What a finding is about. Codes are stable: never renamed, never reused.
    FindingCode("finding") {
        /// Making this from that needs a right that is not granted.
        RightNotGranted = "RIGHT_NOT_GRANTED",
        /// More is granted than was received.
        RightsExceeded = "RIGHTS_EXCEEDED",
        /// Sublicences go further than they may.
        Sublicensing = "SUBLICENSING",
        /// Transfer goes further than it may.
        Transfer = "TRANSFER",
        /// Beyond the territory.
        Territory = "TERRITORY",
        /// Beyond the field of use.
        FieldOfUse = "FIELD_OF_USE",
        /// It lasts longer than what it rests on.
        Expiry = "EXPIRY",
        /// What it rests on has ended.
        Expired = "EXPIRED",
        /// What it rests on has not begun.
        NotBegun = "NOT_BEGUN",
        /// Beyond a cap.
        Ceiling = "CEILING",
        /// No derivatives are allowed.
        Derivatives = "DERIVATIVES",
        /// The licensor has to approve.
        Approval = "APPROVAL",
        /// Not under the same terms, nor under compatible ones.
        ShareAlike = "SHARE_ALIKE",
        /// A published statement says that the two licences can't be combined.
        LicenceIncompatible = "LICENCE_INCOMPATIBLE",
        /// The duty to tell what it was made from was dropped.
        Lineage = "LINEAGE",
        /// Training on outputs is not permitted.
        OutputTraining = "OUTPUT_TRAINING",
        /// A use restriction was dropped.
        UseRestriction = "USE_RESTRICTION",
        /// Reverse engineering has to stay permitted.
        ReverseEngineering = "REVERSE_ENGINEERING",
        /// Copies in a form that may not be passed on.
        Redistribution = "REDISTRIBUTION",
        /// Attribution was dropped.
        Attribution = "ATTRIBUTION",
        /// Kept where it may not be.
        Residency = "RESIDENCY",
        /// A live grant excludes it.
        Exclusivity = "EXCLUSIVITY",
        /// Shares of revenue come to more than all of it.
        RoyaltyStack = "ROYALTY_STACK",
        /// Something is made from itself.
        Cycle = "CYCLE",
        /// A parent that nothing is known about.
        UnknownParent = "UNKNOWN_PARENT",
        /// A parent without a licence.
        NoLicence = "NO_LICENCE",
        /// A licence that is not in the data.
        UnknownLicence = "UNKNOWN_LICENCE",
        /// Conditions that no clause expresses.
        Conditions = "CONDITIONS",
        /// A rider.
        Rider = "RIDER",
        /// A confidential figure that matters.
        Sealed = "SEALED",
        /// Terms that restate a public licence differ from it.
        Restatement = "RESTATEMENT",
        /// More alternatives, or more things, than are judged.
        TooComplex = "TOO_COMPLEX",
    }

    /// What came out, from good to bad.
    Outcome("outcome") {
        /// Nothing stands against it.
        Compatible = "compatible",
        /// A person has to look.
        NeedsReview = "needs_review",
        /// It can't be.
        Conflict = "conflict",
    }
}

impl From<Relation> for Derivation {
    fn from(relation: Relation) -> Self {
        match relation {
            Relation::Finetune => Self::Finetune,
            Relation::Adapter => Self::Adapter,
            Relation::Merge => Self::Merge,
            Relation::Quantized => Self::Quantized,
            Relation::Derived => Self::Derived,
        }
    }
}

/// What something is licensed under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Licence {
    /// A terms document.
    Terms(Box<Terms>),
    /// An SPDX expression.
    Expression(DeclaredLicence),
    /// Several, of which whoever uses it may choose: what its owner declares, and licences granted beside that.
    AnyOf(Vec<Licence>),
}

impl Licence {
    /// The licence as a digest is taken of it: a terms document stands as its id.
    fn brief(&self) -> serde_json::Value {
        match self {
            Self::Terms(terms) => serde_json::json!({ "terms": terms.id().ok() }),
            Self::Expression(declared) => serde_json::json!({ "expression": declared }),
            Self::AnyOf(licences) => {
                serde_json::json!({ "any_of": licences.iter().map(Self::brief).collect::<Vec<_>>() })
            }
        }
    }
}

/// One thing: what it is licensed under, and what it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// What it is licensed under; nothing that is known when absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub licence: Option<Licence>,
    /// What it was made from: how, by the name of the other node. The order has no meaning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Edge>,
    /// Whether whoever licenses the thing owns this as well, so that its licence does not bind them.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub is_own: bool,
}

impl Node {
    /// Something of which only the licence is known.
    pub fn licensed(licence: Option<Licence>) -> Self {
        Self { licence, parents: Vec::new(), is_own: false }
    }
}

/// One step of making.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// How.
    pub derivation: Derivation,
    /// From what.
    pub parent: String,
}

/// Everything a judgement rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// The name of the thing to be licensed.
    pub child: String,
    /// What it is to be licensed under, and what it was made from.
    pub node: Node,
    /// Its ancestors by name: ids of artefacts, or whatever the caller calls them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ancestors: BTreeMap<String, Node>,
    /// Grants in force in the child or its ancestors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<LiveGrant>,
    /// The day of the judgement, where it matters what has ended.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub on: Option<Date>,
}

/// One thing that stands against it, or that a person has to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What it is about.
    pub code: FindingCode,
    /// The clause, as a JSON pointer into a terms document.
    pub clause: String,
    /// The parent, ancestor or grant whose clause it is.
    pub parent: String,
    /// The public licence that has the clause; the parent's own terms when absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// What in particular, as codes: rights, activities, places, restrictions, licences, a date, hundredths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<String>,
}

/// What came out, by which engine, from which inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// What came out.
    pub verdict: Outcome,
    /// What stands against it; ascending, none twice.
    pub conflicts: Vec<Finding>,
    /// What a person has to look at; ascending, none twice.
    pub reviews: Vec<Finding>,
    /// The engine.
    pub engine: String,
    /// SHA-256 of the data on known licences.
    pub known_licences_sha256: Sha256Digest,
    /// [`Inputs::digest`] of the inputs.
    pub inputs_sha256: Sha256Digest,
}

impl Inputs {
    /// A thing that is made from these parents, of which nothing more is known than their licences.
    pub fn of_parents(child: &str, licence: Licence, parents: Vec<(String, Derivation, Option<Licence>)>) -> Self {
        let edges =
            parents.iter().map(|(parent, derivation, _)| Edge { derivation: *derivation, parent: parent.clone() });
        let node = Node { parents: edges.collect(), ..Node::licensed(Some(licence)) };
        let ancestors = parents.into_iter().map(|(parent, _, licence)| (parent, Node::licensed(licence))).collect();
        Self { child: child.to_owned(), node, ancestors, grants: Vec::new(), on: None }
    }

    /// The same inputs in ascending order.
    #[must_use]
    pub fn in_order(&self) -> Self {
        let mut ordered = self.clone();
        for node in ordered.ancestors.values_mut().chain([&mut ordered.node]) {
            node.parents.sort();
            node.parents.dedup();
        }
        ordered.grants.sort_by(|a, b| a.grant.cmp(&b.grant));
        ordered
    }

    /// SHA-256 of the canonical JSON of [`Inputs::in_order`], in which a terms document stands as its id: that says the
    /// same, and a thousand documents are not written out twice.
    pub fn digest(&self) -> Sha256Digest {
        let node = |node: &Node| {
            let licence = node.licence.as_ref().map_or(serde_json::Value::Null, Licence::brief);
            let mut parents: Vec<&Edge> = node.parents.iter().collect();
            parents.sort();
            parents.dedup();
            if node.is_own {
                serde_json::json!({ "licence": licence, "parents": parents, "is_own": true })
            } else {
                serde_json::json!({ "licence": licence, "parents": parents })
            }
        };
        let mut grants: Vec<&LiveGrant> = self.grants.iter().collect();
        grants.sort_by(|a, b| a.grant.cmp(&b.grant));
        let grant = |live: &&LiveGrant| {
            serde_json::json!({
                "grant": live.grant,
                "artefact": live.artefact,
                "terms": live.terms.id().ok(),
                "from": live.from,
                "until": live.until,
            })
        };
        let ancestors: BTreeMap<&str, serde_json::Value> =
            self.ancestors.iter().map(|(name, ancestor)| (name.as_str(), node(ancestor))).collect();
        let whole = serde_json::json!({
            "child": self.child,
            "node": node(&self.node),
            "ancestors": ancestors,
            "grants": grants.iter().map(grant).collect::<Vec<_>>(),
            "on": self.on,
        });
        // Every type in here can be written as JSON; the digest of nothing stands for a failure that can't happen.
        Sha256Digest::of(&strict::value_to_canonical(&whole).unwrap_or_default())
    }

    /// Judges.
    pub fn judge(&self) -> Verdict {
        let findings = graph::judge(self);
        let (conflicts, reviews) = findings.into_lists();
        let verdict = match (conflicts.is_empty(), reviews.is_empty()) {
            (false, _) => Outcome::Conflict,
            (true, false) => Outcome::NeedsReview,
            (true, true) => Outcome::Compatible,
        };
        Verdict {
            verdict,
            conflicts,
            reviews,
            engine: ENGINE.to_owned(),
            known_licences_sha256: known::digest(),
            inputs_sha256: self.digest(),
        }
    }
}
