//! What judges entries, wherever they come from: the database row by row, or a service's tiles.
//!
//! Pieces come in order. Reading and signatures use every core; the tree, the roots and admission go entry by entry.

use std::collections::BTreeMap;

use chopmark_core::admission::Change;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::checkpoint::open_checkpoint;
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::note::VerifierKey;
use chopmark_core::ledger::tile::{BundleCoordinate, TILE_WIDTH, Tile, TileCoordinate};
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_core::replay::{Decoded, Replay, Skimmed};
use chopmark_core::statement::{Statement, StatementId};
use chopmark_core::time::Timestamp;
use rayon::prelude::*;

use super::{Finding, KnownRoot};
use crate::query::StoredCheckpoint;

/// Where entries come from, which decides how things are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Tables of schema `log`.
    Database,
    /// C2SP tiles and entry bundles.
    Tiles,
}

impl Source {
    /// An entry's place.
    pub fn entry(self, index: u64) -> String {
        match self {
            Self::Database => format!("log.entry {index}"),
            Self::Tiles => {
                let bundle = BundleCoordinate::new(index / u64::from(TILE_WIDTH), TILE_WIDTH);
                let bundle = bundle.map_or_else(|_| "/tile/entries".to_owned(), |bundle| bundle.to_string());
                format!("entry {index} in {bundle}")
            }
        }
    }

    /// A tile's place.
    pub fn tile(self, tile: TileCoordinate) -> String {
        match self {
            Self::Database => format!("log.tile level {} number {}", tile.level(), tile.n()),
            Self::Tiles => tile.to_string(),
        }
    }

    fn checkpoint(self, size: u64) -> String {
        match self {
            Self::Database => format!("log.checkpoint {size}"),
            Self::Tiles => "/checkpoint".to_owned(),
        }
    }
}

/// An entry as it was found.
#[derive(Debug, Clone)]
pub struct FoundEntry {
    /// The envelope.
    pub body: Vec<u8>,
    /// The leaf hash that stands beside it.
    pub leaf_hash: Sha256Digest,
    /// What else stands beside it, in the database.
    pub columns: Option<Columns>,
}

/// Columns that say what the body says.
#[derive(Debug, Clone)]
pub struct Columns {
    /// SHA-256 of the payload.
    pub statement_id: Vec<u8>,
    /// Short name of the kind.
    pub kind: String,
    /// The party that makes the statement.
    pub issuer: Vec<u8>,
    /// The operator's clock.
    pub recorded_at: Timestamp,
}

/// Entries that follow each other, with everything that is stored about the tree as it grows over them.
#[derive(Debug, Clone, Default)]
pub struct Piece {
    /// The entries; the first is the next one to be examined.
    pub entries: Vec<FoundEntry>,
    /// Full tiles that become full with one of these entries.
    pub tiles: Vec<Tile>,
    /// Checkpoints of the sizes reached within the piece, ascending.
    pub checkpoints: Vec<StoredCheckpoint>,
}

/// An entry that holds.
#[derive(Debug)]
pub struct JudgedEntry {
    /// Position in the log.
    pub index: u64,
    /// What it says.
    pub statement: Statement,
    /// What it changes in the read tables.
    pub changes: Vec<Change>,
    /// The operator's clock, where it is known.
    pub recorded_at: Option<Timestamp>,
}

/// A piece that holds.
#[derive(Debug, Default)]
pub struct Examined {
    /// Those of its entries that were judged now, not those found good before.
    pub entries: Vec<JudgedEntry>,
    /// Documents that those found good before name, by the entry.
    pub named_before: Vec<(u64, Sha256Digest)>,
    /// Tiles compared.
    pub tiles: u64,
    /// Checkpoints checked.
    pub checkpoints: u64,
    /// The last of them.
    pub newest: Option<StoredCheckpoint>,
}

/// Judges a log from its entries.
#[derive(Debug, Clone)]
pub struct Examiner {
    source: Source,
    log_key: VerifierKey,
    /// Outside roots not reached yet, largest first.
    known: Vec<KnownRoot>,
    verified_size: u64,
    signatures: bool,
    edge: Edge,
    replay: Replay,
    recorded_at: Option<Timestamp>,
}

/// An entry, read as far as it has to be.
enum Read {
    Whole(Box<Decoded>),
    /// A registration that was found good before.
    Skimmed(Box<Skimmed>),
}

impl Read {
    fn of(body: &[u8], is_new: bool) -> Result<Self, String> {
        let skimmed = if is_new { None } else { Skimmed::read(body) };
        match skimmed {
            Some(skimmed) => Ok(Self::Skimmed(Box::new(skimmed))),
            None => Ok(Self::Whole(Box::new(Decoded::parse(body)?))),
        }
    }

    fn leaf(&self) -> Sha256Digest {
        match self {
            Self::Whole(entry) => entry.leaf,
            Self::Skimmed(entry) => entry.leaf,
        }
    }

    /// Statement, kind, issuer.
    fn columns(&self) -> (StatementId, &'static str, StatementId) {
        match self {
            Self::Whole(entry) => (entry.statement.id, entry.statement.claim.name(), entry.statement.issuer()),
            Self::Skimmed(entry) => (entry.id, Skimmed::KIND, entry.issuer),
        }
    }

    fn documents(&self) -> Vec<Sha256Digest> {
        match self {
            Self::Whole(entry) => entry.statement.documents(),
            Self::Skimmed(entry) => vec![entry.manifest],
        }
    }

    /// Until when it could be admitted, for those that are judged.
    fn not_after(&self) -> Option<Timestamp> {
        match self {
            Self::Whole(entry) => Some(entry.statement.header.not_after),
            Self::Skimmed(_) => None,
        }
    }
}

/// What of a piece an entry is compared with.
struct Beside {
    tiles: BTreeMap<(u8, u64), Vec<Sha256Digest>>,
    /// Largest first.
    checkpoints: Vec<StoredCheckpoint>,
}

impl Examiner {
    /// Starts before entry 0. Entries below `verified_size` were found good before and are not judged again.
    pub fn new(
        source: Source,
        log_key: VerifierKey,
        mut known: Vec<KnownRoot>,
        verified_size: u64,
        signatures: bool,
    ) -> Self {
        known.sort_by_key(|known| core::cmp::Reverse(known.size));
        let (edge, replay, recorded_at) = (Edge::new(), Replay::new(), None);
        Self { source, log_key, known, verified_size, signatures, edge, replay, recorded_at }
    }

    /// Starts at the right edge of a tree that is known to be good, with the state of the registry there.
    pub fn resume(source: Source, log_key: VerifierKey, edge: Edge, replay: Replay) -> Self {
        let verified_size = edge.size();
        let known = Vec::new();
        Self { source, log_key, known, verified_size, signatures: true, edge, replay, recorded_at: None }
    }

    /// With roots kept outside, none of them below the present size.
    #[must_use]
    pub fn and_known(mut self, mut known: Vec<KnownRoot>) -> Self {
        known.sort_by_key(|known| core::cmp::Reverse(known.size));
        self.known = known;
        self
    }

    /// The tree so far.
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// The state so far, to be completed by a caller that did not start at entry 0.
    pub fn replay_mut(&mut self) -> &mut Replay {
        &mut self.replay
    }

    /// Examines the next entries.
    ///
    /// # Errors
    /// The first thing that does not hold; nothing more can be examined then.
    pub fn examine(&mut self, piece: Piece) -> Result<Examined, Finding> {
        let first = self.edge.size();
        let Piece { entries, tiles, mut checkpoints } = piece;
        checkpoints.reverse();
        let tiles = tiles.into_iter().map(|tile| ((tile.coordinate.level(), tile.coordinate.n()), tile.hashes));
        let mut beside = Beside { tiles: tiles.collect(), checkpoints };
        let mut examined = Examined::default();
        let known = usize::try_from(self.verified_size.saturating_sub(first)).unwrap_or(usize::MAX);
        let read: Vec<Result<Read, String>> =
            entries.par_iter().enumerate().map(|(position, entry)| Read::of(&entry.body, position >= known)).collect();
        let mut sound = Vec::with_capacity(entries.len());
        let mut fault = self.reach(&mut beside, &mut examined).err();
        for ((index, entry), read) in (first..).zip(&entries).zip(read) {
            if fault.is_some() {
                break;
            }
            match self.check_entry(index, entry, read, &mut beside, &mut examined) {
                Ok(entry) => {
                    if index < self.verified_size {
                        examined.named_before.extend(entry.documents().into_iter().map(|digest| (index, digest)));
                    }
                    sound.push(entry);
                }
                Err(finding) => fault = Some(finding),
            }
        }
        let recorded = entries.iter().map(|entry| entry.columns.as_ref().map(|columns| columns.recorded_at));
        let recorded: Vec<Option<Timestamp>> = recorded.collect();
        // An earlier entry that was never to be admitted comes before whatever ended the loop above.
        let judged = self.judge(first, sound)?;
        if let Some(finding) = fault {
            return Err(finding);
        }
        let known = recorded.len().saturating_sub(judged.len());
        let new = judged.into_iter().zip(recorded.into_iter().skip(known));
        examined.entries = new
            .map(|((index, entry, changes), recorded_at)| JudgedEntry {
                index,
                statement: entry.statement,
                changes,
                recorded_at,
            })
            .collect();
        Ok(examined)
    }

    /// One entry against what stands beside it, and the tree up to it.
    fn check_entry(
        &mut self,
        index: u64,
        entry: &FoundEntry,
        read: Result<Read, String>,
        beside: &mut Beside,
        examined: &mut Examined,
    ) -> Result<Read, Finding> {
        let found = |reason: String| Finding::new(self.source.entry(index), index, reason);
        let leaf = read.as_ref().map_or_else(|_| leaf_hash(&entry.body), Read::leaf);
        if leaf != entry.leaf_hash {
            let beside = match self.source {
                Source::Database => "leaf_hash",
                Source::Tiles => "its leaf tile",
            };
            return Err(found(format!("the body hashes to {leaf}, {beside} says {}", entry.leaf_hash)));
        }
        let read = read.map_err(found)?;
        if let Some(columns) = &entry.columns {
            self.check_columns(columns, &read).map_err(found)?;
            self.recorded_at = Some(columns.recorded_at);
        }
        for tile in self.edge.append(leaf) {
            let (level, n) = (tile.coordinate.level(), tile.coordinate.n());
            let first = n << (8 * (u32::from(level) + 1)).min(63);
            let found = |reason: &str| Finding::new(self.source.tile(tile.coordinate), first, reason);
            match beside.tiles.remove(&(level, n)) {
                None => return Err(found("it is missing")),
                Some(hashes) if hashes != tile.hashes => {
                    return Err(found("its hashes are not those of the entries it covers"));
                }
                Some(_) => examined.tiles += 1,
            }
        }
        self.reach(beside, examined)?;
        Ok(read)
    }

    fn check_columns(&self, columns: &Columns, read: &Read) -> Result<(), String> {
        let hex = |bytes: &[u8]| Sha256Digest::from_slice(bytes).map_or("no id".to_owned(), |id| id.to_hex());
        let (id, kind, issuer) = read.columns();
        if columns.statement_id != id.as_bytes() {
            return Err(format!("the payload is statement {id}, the row says {}", hex(&columns.statement_id)));
        }
        if columns.kind != kind {
            return Err(format!("the statement is of kind {kind}, the row says {:?}", columns.kind));
        }
        if columns.issuer != issuer.as_bytes() {
            return Err(format!("the issuer is {issuer}, the row says {}", hex(&columns.issuer)));
        }
        let recorded_at = columns.recorded_at;
        let not_after = read.not_after().unwrap_or(recorded_at);
        match self.recorded_at {
            Some(before) if recorded_at < before => {
                Err(format!("recorded_at is {recorded_at}, the entry before it has {before}: it never decreases"))
            }
            // Where the clock has moved on, this is the moment of admission.
            before if before != Some(recorded_at) && recorded_at > not_after => {
                Err(format!("recorded_at is {recorded_at}, the statement could be admitted until {not_after}"))
            }
            _ => Ok(()),
        }
    }

    /// Compares every checkpoint and outside root of exactly the present size.
    fn reach(&mut self, beside: &mut Beside, examined: &mut Examined) -> Result<(), Finding> {
        let size = self.edge.size();
        let mut kept = false;
        while let Some(stored) = beside.checkpoints.pop_if(|stored| stored.size <= size) {
            self.check_checkpoint(&stored)?;
            examined.checkpoints += 1;
            examined.newest = Some(stored);
            kept = true;
        }
        while let Some(known) = self.known.pop_if(|known| known.size <= size) {
            if known.size != size || known.root != self.edge.root() {
                let reason =
                    format!("says root {} at size {}, the entries have {}", known.root, known.size, self.edge.root());
                return Err(Finding::new(known.source, size, reason));
            }
            if known.is_published && !kept && self.source == Source::Database {
                let reason = format!("the row is missing, {} is this very checkpoint", known.source);
                return Err(Finding::new(self.source.checkpoint(size), size, reason));
            }
        }
        Ok(())
    }

    fn check_checkpoint(&self, stored: &StoredCheckpoint) -> Result<(), Finding> {
        let size = self.edge.size();
        let found = |reason: String| Finding::new(self.source.checkpoint(stored.size), size, reason);
        if stored.size != size || stored.root != self.edge.root() {
            return Err(found(format!("says root {}, the entries have {}", stored.root, self.edge.root())));
        }
        let signed = open_checkpoint(&stored.note, core::slice::from_ref(&self.log_key))
            .map_err(|error| found(error.to_string()))?;
        if signed.size() != size || signed.root() != stored.root || signed.origin() != self.log_key.name() {
            return Err(found("its note is over another size, root or origin".to_owned()));
        }
        Ok(())
    }

    /// Admission in order, then the signatures of those admitted, all at once. Entries found good before are taken in;
    /// the others come back with their index and changes.
    fn judge(&mut self, first: u64, entries: Vec<Read>) -> Result<Vec<(u64, Decoded, Vec<Change>)>, Finding> {
        let mut admitted = Vec::with_capacity(entries.len());
        let mut refused = None;
        for (index, entry) in (first..).zip(entries) {
            match entry {
                Read::Skimmed(entry) => self.replay.absorb_skimmed(*entry),
                Read::Whole(entry) if index < self.verified_size => drop(self.replay.absorb(&entry)),
                Read::Whole(entry) => match self.replay.admit(&entry) {
                    Ok(made) => admitted.push((index, *entry, made)),
                    Err(reason) => {
                        refused = Some(Finding::new(self.source.entry(index), index, never_admitted(&reason)));
                        break;
                    }
                },
            }
        }
        if self.signatures {
            self.replay.prepare(admitted.iter().map(|(_, entry, _)| entry));
            let replay = &self.replay;
            let wrong = admitted
                .par_iter()
                .find_map_first(|(index, entry, _)| replay.verify(entry).err().map(|reason| (*index, reason)));
            if let Some((index, reason)) = wrong {
                return Err(Finding::new(self.source.entry(index), index, never_admitted(&reason)));
            }
        }
        refused.map_or(Ok(admitted), Err)
    }
}

fn never_admitted(reason: &str) -> String {
    format!("it should never have been admitted: {reason}")
}
