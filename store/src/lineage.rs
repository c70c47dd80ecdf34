//! Lineage: what an artefact was made from, and what was made from it.
//!
//! Level by level, one query each, so that every artefact is met once, at its smallest distance, and the bounds are
//! exact. Parents known by digest are resolved when somebody registers them, so what looks like a tree may hold a cycle.

use std::collections::{BTreeMap, BTreeSet};

use chopmark_core::admission::ArtefactRecord;
use chopmark_core::artefact::ForeignArtefact;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::statement::StatementId;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use crate::error::{StoreError, bigint, count};
use crate::find::successors;
use crate::project::{from_json, statement_id};
use crate::schema::{artefact_page, artefact_parent};

/// Most steps in one direction. Families of models that people describe have fewer than ten generations.
pub const LINEAGE_DEPTH_MAX: u32 = 16;

/// Most artefacts in one answer: what a page can show. Popular models have many thousands of descendants.
pub const LINEAGE_NODES_MAX: usize = 250;

/// Most relations in one answer: four for each artefact, and a merge of many more still fits.
pub const LINEAGE_EDGES_MAX: usize = 1_000;

/// How much of a lineage is asked for.
#[derive(Debug, Clone, Copy)]
pub struct LineageQuery {
    /// Steps towards parents; 0 for none.
    pub up: u32,
    /// Steps towards children; 0 for none.
    pub down: u32,
    /// First entry that does not count.
    pub below: u64,
}

/// An artefact and its relatives.
#[derive(Debug, Clone, Default)]
pub struct Lineage {
    /// The artefact asked about and its relatives, each once; nearest first, parents before children.
    pub nodes: Vec<LineageNode>,
    /// Their relations, by child and position among its parents.
    pub edges: Vec<LineageEdge>,
    /// Whether there is more within the steps asked for than one answer holds.
    pub truncated: bool,
}

/// One artefact of a lineage.
#[derive(Debug, Clone)]
pub struct LineageNode {
    /// What was registered.
    pub record: ArtefactRecord,
    /// Steps from the artefact asked about towards parents, where it is met that way.
    pub up: Option<u32>,
    /// Steps towards children, where it is met that way.
    pub down: Option<u32>,
    /// Later versions of the same owner that take its place, first registered first.
    pub superseded_by: Vec<StatementId>,
}

/// One relation: a child and what it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineageEdge {
    /// The artefact that was made.
    pub child: StatementId,
    /// Position among its parents.
    pub position: u64,
    /// How it comes from the parent, as statements write it.
    pub relation: String,
    /// What it was made from.
    pub parent: LineageParent,
}

/// What an artefact was made from, as far as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineageParent {
    /// An artefact among the nodes; with the digest it was named by, where it was.
    Artefact(StatementId, Option<Sha256Digest>),
    /// Nothing that is registered here has this digest.
    Digest(Sha256Digest),
    /// Registered elsewhere, unverified here.
    Foreign(ForeignArtefact),
}

/// A row of `view.artefact_parent`.
#[derive(Queryable, Selectable, Insertable, Clone)]
#[diesel(table_name = artefact_parent)]
pub(crate) struct ParentRow {
    pub(crate) child: i64,
    pub(crate) position: i16,
    pub(crate) relation: String,
    pub(crate) parent: Option<i64>,
    pub(crate) digest: Option<Vec<u8>>,
    pub(crate) origin: Option<String>,
    pub(crate) foreign_artefact: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// The way through the relations: entries met, by direction, and the relations gone along.
#[derive(Default)]
struct Walk {
    up: BTreeMap<i64, u32>,
    down: BTreeMap<i64, u32>,
    all: BTreeSet<i64>,
    rows: BTreeMap<(i64, i16), ParentRow>,
    truncated: bool,
}

impl Walk {
    fn met(&mut self, direction: Direction) -> &mut BTreeMap<i64, u32> {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    fn meet(&mut self, direction: Direction, entry: i64, distance: u32) {
        self.met(direction).insert(entry, distance);
        self.all.insert(entry);
    }

    /// Takes a step from all of `from`, and says where it led for the first time.
    async fn step(
        &mut self,
        connection: &mut AsyncPgConnection,
        direction: Direction,
        from: &[i64],
        (distance, below): (u32, i64),
    ) -> Result<Vec<i64>, StoreError> {
        let room = LINEAGE_EDGES_MAX.saturating_sub(self.rows.len());
        // One more than fits tells whether something is left out.
        let limit = i64::try_from(room.saturating_add(1)).unwrap_or(i64::MAX);
        let query = artefact_parent::table
            .filter(artefact_parent::child.lt(below))
            .order((artefact_parent::child, artefact_parent::position))
            .limit(limit)
            .select(ParentRow::as_select());
        let rows: Vec<ParentRow> = match direction {
            Direction::Up => query.filter(artefact_parent::child.eq_any(from)).load(connection).await?,
            Direction::Down => query.filter(artefact_parent::parent.eq_any(from)).load(connection).await?,
        };
        self.truncated |= rows.len() > room;
        let mut new = Vec::new();
        for mut row in rows.into_iter().take(room) {
            // A digest that was only registered later was nobody's yet.
            row.parent = row.parent.filter(|parent| *parent < below);
            let reached = match direction {
                Direction::Up => row.parent,
                Direction::Down => Some(row.child),
            };
            if let Some(reached) = reached.filter(|reached| !self.met(direction).contains_key(reached)) {
                if self.all.len() >= LINEAGE_NODES_MAX && !self.all.contains(&reached) {
                    self.truncated = true;
                    continue;
                }
                self.meet(direction, reached, distance);
                new.push(reached);
            }
            self.rows.insert((row.child, row.position), row);
        }
        Ok(new)
    }
}

/// The lineage of an artefact; `None` when there is no such artefact.
pub(crate) async fn lineage(
    connection: &mut AsyncPgConnection,
    id: &StatementId,
    query: LineageQuery,
) -> Result<Option<Lineage>, StoreError> {
    let below = bigint(query.below);
    let start: Option<i64> = artefact_page::table
        .filter(artefact_page::id.eq(id.as_bytes().as_slice()))
        .filter(artefact_page::idx.lt(below))
        .select(artefact_page::idx)
        .first(connection)
        .await
        .optional()?;
    let Some(start) = start else { return Ok(None) };
    let mut walk = Walk::default();
    walk.meet(Direction::Up, start, 0);
    walk.meet(Direction::Down, start, 0);
    for (direction, steps) in [(Direction::Up, query.up), (Direction::Down, query.down)] {
        let mut from = vec![start];
        for distance in 1..=steps.min(LINEAGE_DEPTH_MAX) {
            if from.is_empty() {
                break;
            }
            from = walk.step(connection, direction, &from, (distance, below)).await?;
        }
    }
    complete(connection, walk, query.below).await.map(Some)
}

/// Gives the entries that were met their names.
async fn complete(connection: &mut AsyncPgConnection, walk: Walk, below: u64) -> Result<Lineage, StoreError> {
    let place = "view.artefact_page";
    let entries: Vec<i64> = walk.all.iter().copied().collect();
    let rows: Vec<(i64, Vec<u8>, Vec<u8>, Value)> = artefact_page::table
        .filter(artefact_page::idx.eq_any(&entries))
        .select((artefact_page::idx, artefact_page::id, artefact_page::owner, artefact_page::claim))
        .load(connection)
        .await?;
    let met: Vec<StatementId> = rows.iter().map(|(_, id, ..)| statement_id(id, place)).collect::<Result<_, _>>()?;
    let mut successors = successors(connection, &met, below).await?;
    let mut ids = BTreeMap::new();
    let mut nodes = Vec::with_capacity(rows.len());
    for (idx, id, owner, claim) in rows {
        let id = statement_id(&id, place)?;
        ids.insert(idx, id);
        let record = ArtefactRecord {
            id,
            index: count(idx, place)?,
            owner: statement_id(&owner, place)?,
            claim: from_json(claim, place)?,
        };
        nodes.push(LineageNode {
            up: walk.up.get(&idx).copied(),
            down: walk.down.get(&idx).copied(),
            superseded_by: successors.remove(&id).unwrap_or_default().ids,
            record,
        });
    }
    nodes.sort_by_key(|node| (node.up.or(node.down), node.up.is_none(), node.record.index));
    let mut edges = Vec::with_capacity(walk.rows.len());
    for row in walk.rows.into_values() {
        edges.extend(edge(row, &ids)?);
    }
    Ok(Lineage { nodes, edges, truncated: walk.truncated })
}

/// A relation whose ends are among the nodes, or whose parent is no artefact of this registry.
fn edge(row: ParentRow, ids: &BTreeMap<i64, StatementId>) -> Result<Option<LineageEdge>, StoreError> {
    let place = "view.artefact_parent";
    let Some(child) = ids.get(&row.child).copied() else { return Ok(None) };
    let digest = match row.digest {
        Some(bytes) => Some(Sha256Digest::from_slice(&bytes).ok_or_else(|| StoreError::damaged(place, "digest"))?),
        None => None,
    };
    let parent = match (row.parent, digest, row.origin, row.foreign_artefact) {
        (Some(parent), digest, ..) => match ids.get(&parent) {
            Some(id) => LineageParent::Artefact(*id, digest),
            None => return Ok(None),
        },
        (None, Some(digest), ..) => LineageParent::Digest(digest),
        (None, None, Some(origin), Some(artefact)) => {
            LineageParent::Foreign(ForeignArtefact { origin, artefact: statement_id(&artefact, place)? })
        }
        // A registered parent stands before its child, so the log of that size holds it too.
        (None, None, ..) => return Err(StoreError::damaged(place, "a relation without a parent")),
    };
    let position = count(i64::from(row.position), place)?;
    Ok(Some(LineageEdge { child, position, relation: row.relation, parent }))
}
