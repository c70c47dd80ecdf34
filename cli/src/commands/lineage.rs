//! `chopmark lineage`: what an artefact was made from and what was made from it, as a tree.
//!
//! Relations may meet again, and even form a circle; every artefact is drawn out once, where it is nearest, and only named
//! elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::Context;
use super::search::first_name;
use crate::arguments::LineageArguments;
use crate::client::Client;
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::interrupt;
use crate::printer::{Report, Tone};
use crate::units;

/// `GET /v1/artefacts/{id}/lineage`, as far as it is drawn.
#[derive(Debug, Deserialize)]
struct Lineage {
    applied_size: u64,
    artefact_id: String,
    nodes: Vec<Value>,
    edges: Vec<Edge>,
    truncated: bool,
}

/// One relation.
#[derive(Debug, Clone, Deserialize, serde::Serialize)]
struct Edge {
    child: String,
    position: u64,
    relation: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    foreign: Option<Value>,
}

/// Shows the lineage of an artefact.
///
/// # Errors
/// A usage failure when that is no id; a network or service failure.
pub(crate) fn run(context: &Context<'_>, arguments: &LineageArguments) -> Result<Exit, Failure> {
    let settings = context.settings(Overrides::default())?;
    interrupt::install(context.printer, context.command)?;
    let client = Client::of(&settings)?;
    let direction = match (arguments.up, arguments.down) {
        (true, _) => "up",
        (false, true) => "down",
        (false, false) => "both",
    };
    let query = format!("direction={direction}&depth={}", arguments.depth);
    let lineage: Lineage = client.lineage(&arguments.id, &query)?;
    let mut tree = Tree::of(&lineage, arguments.depth);
    let mut report = Report::default().line(tree.name(&lineage.artefact_id));
    if direction != "down" {
        report = tree.draw(report.line("made from:"), &lineage.artefact_id, Way::Up, 0);
    }
    if direction != "up" {
        report = tree.draw(report.line("made into:"), &lineage.artefact_id, Way::Down, 0);
    }
    let relatives = units::length(lineage.nodes.len()).saturating_sub(1);
    let more = if lineage.truncated { "; there are more than one answer holds" } else { "" };
    let report = report.headline(
        Tone::Neutral,
        format!(
            "{} within {} in the first {} entries{more}",
            units::count(relatives, "registered relative"),
            units::count(u64::from(arguments.depth), "step"),
            lineage.applied_size
        ),
    );
    let members = json!({
        "artefact_id": lineage.artefact_id,
        "direction": direction,
        "depth": arguments.depth,
        "nodes": lineage.nodes,
        "edges": lineage.edges,
        "truncated": lineage.truncated,
        "applied_size": lineage.applied_size,
    });
    context.done(members, &report)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Up,
    Down,
}

impl Edge {
    /// The end where a relation is met on the way, and the one to which it leads.
    fn ends(&self, way: Way) -> (Option<&str>, Option<&str>) {
        match way {
            Way::Up => (Some(&self.child), self.parent.as_deref()),
            Way::Down => (self.parent.as_deref(), Some(&self.child)),
        }
    }
}

/// What is drawn, and what was drawn already.
struct Tree<'l> {
    nodes: BTreeMap<&'l str, &'l Value>,
    edges: &'l [Edge],
    /// Steps to draw each way.
    depth: u32,
    /// How many steps away everything is, by the shortest way. There it is drawn out: further away there may be no steps
    /// left for what it was made from itself.
    distances: BTreeMap<(Way, &'l str), u32>,
    drawn: BTreeSet<(Way, &'l str)>,
}

impl<'l> Tree<'l> {
    fn of(lineage: &'l Lineage, depth: u32) -> Self {
        let id = |node: &'l Value| Some((node.get("artefact_id")?.as_str()?, node));
        let drawn = [Way::Up, Way::Down].map(|way| (way, lineage.artefact_id.as_str()));
        Self {
            nodes: lineage.nodes.iter().filter_map(id).collect(),
            edges: &lineage.edges,
            depth,
            distances: distances(&lineage.edges, &lineage.artefact_id, depth),
            drawn: drawn.into(),
        }
    }

    /// An artefact in one line.
    fn name(&self, id: &str) -> String {
        let Some(node) = self.nodes.get(id) else { return id.to_owned() };
        let text = |member: &str| node.get(member).and_then(Value::as_str).unwrap_or("–");
        let later = node.get("superseded_by").and_then(Value::as_array).map_or(0, Vec::len);
        let superseded = if later > 0 { " [superseded]" } else { "" };
        format!("{}  {} {} ({}){superseded}", text("id"), first_name(node, "/name"), text("version"), text("kind"))
    }

    /// Draws everything on one side of an artefact that is `distance` steps away, whatever the service answers.
    fn draw(&mut self, mut report: Report, id: &str, way: Way, distance: u32) -> Report {
        let indent = "  ".repeat(usize::try_from(distance).unwrap_or_default().saturating_add(1));
        let next = distance.saturating_add(1);
        let edges = self.edges;
        for edge in edges {
            let (near, far) = edge.ends(way);
            if near != Some(id) {
                continue;
            }
            let Some(far) = far else {
                report = report.line(format!("{indent}{}: {}", edge.relation, leaf(edge)));
                continue;
            };
            let is_above = self.drawn.contains(&(way, far));
            let is_here = !is_above && self.distances.get(&(way, far)) == Some(&next);
            let mark = match (is_above, is_here) {
                (true, _) => " (see above)",
                (false, true) => "",
                (false, false) => " (see below)",
            };
            report = report.line(format!("{indent}{}: {}{mark}", edge.relation, self.name(far)));
            if is_here {
                self.drawn.insert((way, far));
                if next < self.depth {
                    report = self.draw(report, far, way, next);
                }
            }
        }
        report
    }
}

/// How many steps everything is from an artefact, either way, as far as `depth`.
fn distances<'l>(edges: &'l [Edge], id: &'l str, depth: u32) -> BTreeMap<(Way, &'l str), u32> {
    let mut distances = BTreeMap::new();
    for way in [Way::Up, Way::Down] {
        distances.insert((way, id), 0);
        for distance in 0..depth {
            for edge in edges {
                if let (Some(near), Some(far)) = edge.ends(way)
                    && distances.get(&(way, near)) == Some(&distance)
                {
                    distances.entry((way, far)).or_insert(distance.saturating_add(1));
                }
            }
        }
    }
    distances
}

/// A parent that is no artefact of this registry.
fn leaf(edge: &Edge) -> String {
    let foreign = |foreign: &Value| {
        let text = |member: &str| foreign.get(member).and_then(Value::as_str).unwrap_or("–").to_owned();
        format!("{} of {}, unverified", text("artefact"), text("origin"))
    };
    match (&edge.digest, &edge.foreign) {
        (Some(digest), _) => format!("sha256:{digest}, not registered here"),
        (None, Some(other)) => foreign(other),
        (None, None) => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is drawn above an artefact of a lineage with these relations: child, parent.
    fn drawn(relations: &[(&str, &str)], depth: u32) -> Vec<String> {
        let edges = relations.iter().map(|(child, parent)| Edge {
            child: (*child).to_owned(),
            position: 0,
            relation: "merge".to_owned(),
            parent: Some((*parent).to_owned()),
            digest: None,
            foreign: None,
        });
        let lineage = Lineage {
            applied_size: 0,
            artefact_id: "a".to_owned(),
            nodes: Vec::new(),
            edges: edges.collect(),
            truncated: false,
        };
        let report = Tree::of(&lineage, depth).draw(Report::default(), "a", Way::Up, 0);
        report.render(false).lines().map(|line| line.replace("merge: ", "")).collect()
    }

    #[test]
    fn what_is_met_far_away_first_is_drawn_out_where_it_is_nearest() {
        let relations = [("a", "b"), ("a", "c"), ("b", "c"), ("c", "d")];
        assert_eq!(drawn(&relations, 2), ["  b", "    c (see below)", "  c", "    d"]);
        assert_eq!(drawn(&relations, 1), ["  b", "  c"]);
        let diamond = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "e")];
        assert_eq!(drawn(&diamond, 4), ["  b", "    d", "      e", "  c", "    d (see above)"]);
        let circle = [("a", "b"), ("b", "a"), ("b", "b")];
        assert_eq!(drawn(&circle, 4), ["  b", "    a (see above)", "    b (see above)"]);
    }

    #[test]
    fn every_relative_within_reach_is_drawn_out_once() {
        // Relations over eight artefacts, as a small generator (Knuth's) has them.
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let mut state = 1_u32;
        for _ in 0..300 {
            let mut relations = Vec::new();
            for child in names {
                for parent in names {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    if state >> 30 == 0 {
                        relations.push((child, parent));
                    }
                }
            }
            for depth in 1..=4 {
                let mut near = BTreeSet::from(["a"]);
                for _ in 0..depth {
                    let further = relations.iter().filter(|(child, _)| near.contains(child)).map(|(_, parent)| *parent);
                    near.extend(further.collect::<Vec<_>>());
                }
                near.remove("a");
                let out: Vec<String> = drawn(&relations, depth).iter().map(|line| line.trim().to_owned()).collect();
                let once: Vec<&str> = out.iter().map(String::as_str).filter(|line| line.len() == 1).collect();
                assert_eq!(once.len(), near.len(), "{relations:?}, {depth} deep: {out:?}");
                assert_eq!(once.into_iter().collect::<BTreeSet<_>>(), near, "{relations:?}, {depth} deep");
            }
        }
    }
}
