//! `chopmark lineage`: what an artefact was made from and what was made from it, as a tree.
//!
//! Relations may meet again, and even form a circle; every artefact is drawn out once and only named after that.

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
        report = tree.draw(report.line("made from:"), &lineage.artefact_id, Way::Up, arguments.depth);
    }
    if direction != "up" {
        report = tree.draw(report.line("made into:"), &lineage.artefact_id, Way::Down, arguments.depth);
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

/// What is drawn, and what was drawn already.
struct Tree<'l> {
    nodes: BTreeMap<&'l str, &'l Value>,
    edges: &'l [Edge],
    /// Steps to draw each way.
    depth: u32,
    drawn: BTreeSet<(Way, &'l str)>,
}

impl<'l> Tree<'l> {
    fn of(lineage: &'l Lineage, depth: u32) -> Self {
        let id = |node: &'l Value| Some((node.get("artefact_id")?.as_str()?, node));
        let drawn = [Way::Up, Way::Down].map(|way| (way, lineage.artefact_id.as_str()));
        Self { nodes: lineage.nodes.iter().filter_map(id).collect(), edges: &lineage.edges, depth, drawn: drawn.into() }
    }

    /// An artefact in one line.
    fn name(&self, id: &str) -> String {
        let Some(node) = self.nodes.get(id) else { return id.to_owned() };
        let text = |member: &str| node.get(member).and_then(Value::as_str).unwrap_or("–");
        let later = node.get("superseded_by").and_then(Value::as_array).map_or(0, Vec::len);
        let superseded = if later > 0 { " [superseded]" } else { "" };
        format!("{}  {} {} ({}){superseded}", text("id"), first_name(node, "/name"), text("version"), text("kind"))
    }

    /// Draws everything on one side of an artefact, at most `steps` deep, whatever the service answers.
    fn draw(&mut self, mut report: Report, id: &str, way: Way, steps: u32) -> Report {
        let depth = usize::try_from(self.depth.saturating_sub(steps)).unwrap_or_default();
        let indent = "  ".repeat(depth.saturating_add(1));
        let edges = self.edges;
        for edge in edges {
            let (near, far) = match way {
                Way::Up => (Some(edge.child.as_str()), edge.parent.as_deref()),
                Way::Down => (edge.parent.as_deref(), Some(edge.child.as_str())),
            };
            if near != Some(id) {
                continue;
            }
            let Some(far) = far else {
                report = report.line(format!("{indent}{}: {}", edge.relation, leaf(edge)));
                continue;
            };
            let is_new = self.drawn.insert((way, far));
            let mark = if is_new { "" } else { " (see above)" };
            report = report.line(format!("{indent}{}: {}{mark}", edge.relation, self.name(far)));
            if is_new && steps > 1 {
                report = self.draw(report, far, way, steps - 1);
            }
        }
        report
    }
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
