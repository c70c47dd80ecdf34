//! The audit over HTTP: checkpoint, tiles, entry bundles and documents, as anybody can have them.
//!
//! Nothing the service says is believed: leaf, tiles of every level, root and signed checkpoint are compared with each
//! other, and every entry is judged again. The next bundles are fetched while one is judged; memory holds a few of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::checkpoint::open_checkpoint;
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::note::{NOTE_BYTES_MAX, VerifierKey};
use chopmark_core::ledger::tile::{
    BundleCoordinate, TILE_WIDTH, Tile, TileCoordinate, decode_entry_bundle, decode_hashes, full_tiles, partial_width,
};
use chopmark_core::manifest::Manifest;
use chopmark_core::replay::Replay;
use chopmark_core::submission::DOCUMENT_BYTES_MAX;
use chopmark_core::trust::TrustedRegistry;
use chopmark_store::StoredCheckpoint;
use chopmark_store::audit::{Clean, Examined, Examiner, Finding, FoundEntry, KnownRoot, Piece, Source, Verdict};

use super::resolve::Resolver;
use super::{Audited, kept_checkpoint};
use crate::arguments::AuditArguments;
use crate::client::{Client, RegistryDescription};
use crate::commands::Context;
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::progress::Steps;
use crate::trust::Trust;

/// Entries in a bundle.
const BUNDLE_ENTRIES: u64 = 256;

/// Largest bundle in bytes: 256 entries of 65,535 bytes with their lengths.
const BUNDLE_BYTES_MAX: usize = 256 * (65_535 + 2);

/// Largest tile in bytes.
const TILE_BYTES_MAX: usize = 256 * 32;

/// Bundles that may wait to be judged: 16 MiB each at most, usually well below one.
const PIECES_AHEAD: usize = 2;

/// What an audit over HTTP that starts from a saved checkpoint leaves out.
const NOT_REPEATED: [&str; 3] = [
    "entries below the saved checkpoint: their bytes, signatures, admission and documents",
    "whether later entries repeat a nonce, key, registration, endorsement, payment, use or verified name from below it",
    "whether the service withheld the newest key event of a party, or the newest correction of an entry, from below it",
];

/// How a part ended early.
pub(super) enum Stop {
    /// Something does not hold.
    Found(Finding),
    /// The service could not be asked.
    Failed(Failure),
}

impl From<Finding> for Stop {
    fn from(finding: Finding) -> Self {
        Self::Found(finding)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Whose log it must be.
struct Log {
    key: VerifierKey,
    /// The registry's identity, where it is pinned.
    genesis: Option<Sha256Digest>,
}

/// Audits the service that `--url` names.
///
/// # Errors
/// When it can't be reached, or nobody is trusted.
pub(super) fn audit(context: &Context<'_>, arguments: &AuditArguments) -> Result<Audited, Failure> {
    let settings = context.settings(Overrides { party: None, trust: arguments.trust.clone() })?;
    let client = Client::of(&settings)?;
    let log = match &arguments.log_key {
        Some(key) => Log { key: key.clone(), genesis: None },
        None => trusted(&client, &Trust::for_verifying(&settings, Path::new(""), context.printer)?)?,
    };
    let from = arguments.from.as_ref().map(|path| kept_checkpoint(path, &log.key)).transpose()?;
    let against = arguments.against.as_ref().map(|path| kept_checkpoint(path, &log.key)).transpose()?;
    let mut steps = Steps::start(context.printer);
    let verdict = Remote { client: &client, log: &log }.run(from.as_ref(), against.as_ref(), &mut steps);
    steps.finish();
    let verdict = match verdict {
        Ok(clean) => Verdict::Clean(Box::new(clean)),
        Err(Stop::Found(finding)) => Verdict::Found(finding),
        Err(Stop::Failed(failure)) => return Err(failure),
    };
    Ok(Audited {
        origin: Some(log.key.name().to_owned()),
        outside_roots: [&from, &against].into_iter().flatten().count(),
        not_repeated: if from.is_some() { NOT_REPEATED.to_vec() } else { Vec::new() },
        from,
        verdict,
    })
}

fn trusted(client: &Client, trust: &Trust) -> Result<Log, Failure> {
    let description: RegistryDescription = client.registry()?;
    trust.check(client, &description)?;
    let known = trust.policy.registry(&description.origin).map(TrustedRegistry::verifier_key).transpose();
    let key = known.map_err(Failure::proof)?;
    let key = key.ok_or_else(|| Failure::internal("the registry is trusted and not there"))?;
    Ok(Log { key, genesis: Some(description.genesis) })
}

struct Remote<'a> {
    client: &'a Client,
    log: &'a Log,
}

impl Remote<'_> {
    fn run(&self, from: Option<&KnownRoot>, against: Option<&KnownRoot>, steps: &mut Steps<'_>) -> Result<Clean, Stop> {
        let newest = self.checkpoint()?;
        let size = newest.size;
        if let Some(ahead) = [from, against].into_iter().flatten().find(|known| known.size > size) {
            let reason = format!("covers {} entries, the service shows {size}: entries are missing", ahead.size);
            return Err(Finding::new(ahead.source.clone(), size, reason).into());
        }
        let known: Vec<KnownRoot> = against.into_iter().cloned().collect();
        let first = from.map_or(0, |from| from.size);
        let mut examiner = match from {
            None => Examiner::new(Source::Tiles, self.log.key.clone(), known, 0, true),
            Some(from) => {
                let edge = self.edge_at(from, size)?;
                let replay = Replay::resume(chopmark_core::admission::View::default(), first);
                let examiner = Examiner::resume(Source::Tiles, self.log.key.clone(), edge, replay);
                examiner.and_known(known.into_iter().filter(|known| known.size >= first).collect())
            }
        };
        let mut resolver = Resolver::new(self.client, &self.log.key, self.log.genesis, first);
        let mut clean = Clean {
            entries: size,
            judged: size - first,
            tiles: 0,
            checkpoints: 0,
            documents: 0,
            accesses: None,
            openings: None,
            kept_elsewhere: None,
            tables: 0,
            root: newest.root,
            newest: None,
        };
        thread::scope(|scope| {
            let (sender, pieces) = mpsc::sync_channel(PIECES_AHEAD);
            let newest = &newest;
            scope.spawn(move || {
                let mut at = first;
                loop {
                    let piece = self.piece(at, newest);
                    at = (at / BUNDLE_ENTRIES + 1).saturating_mul(BUNDLE_ENTRIES).min(size);
                    let is_last = piece.is_err() || at >= size;
                    // Nobody listens any more once something was found.
                    if sender.send(piece).is_err() || is_last {
                        return;
                    }
                }
            });
            for piece in pieces {
                let piece = piece?;
                if examiner.edge().size() == 0 {
                    self.check_genesis(&piece)?;
                }
                if first > 0 {
                    resolver.complete(examiner.replay_mut(), &piece.entries)?;
                }
                let held = examiner.examine(piece)?;
                clean.tiles += held.tiles;
                clean.checkpoints += held.checkpoints;
                clean.documents += self.check_documents(&held)?;
                clean.newest = held.newest.or(clean.newest.take());
                steps.show("auditing entries", "entries", examiner.edge().size() - first, size - first);
            }
            Ok::<(), Stop>(())
        })?;
        self.check_partial_tiles(examiner.edge())?;
        if examiner.edge().size() != size || examiner.edge().root() != newest.root {
            let reason = format!("says root {}, the entries have {}", newest.root, examiner.edge().root());
            return Err(Finding::new("/checkpoint", size, reason).into());
        }
        Ok(clean)
    }

    /// The newest signed checkpoint.
    fn checkpoint(&self) -> Result<StoredCheckpoint, Stop> {
        let found = |reason: String| Stop::Found(Finding::new("/checkpoint", None, reason));
        let note = self.client.file("/checkpoint", NOTE_BYTES_MAX)?.ok_or_else(|| {
            let message = format!("{} shows no checkpoint: it is no log, or an empty one", self.client.url());
            Failure::new(Exit::Network, "answer_malformed", message)
        })?;
        let note = String::from_utf8(note).map_err(|error| found(error.to_string()))?;
        let signed = open_checkpoint(&note, core::slice::from_ref(&self.log.key));
        let signed = signed.map_err(|error| found(error.to_string()))?;
        Ok(StoredCheckpoint { size: signed.size(), root: signed.root(), note })
    }

    fn check_genesis(&self, piece: &Piece) -> Result<(), Finding> {
        match (self.log.genesis, piece.entries.first()) {
            (Some(genesis), Some(entry)) if entry.leaf_hash != genesis => {
                let reason =
                    format!("its leaf hash is {}, the registry trusted has the genesis {genesis}", entry.leaf_hash);
                Err(Finding::new(Source::Tiles.entry(0), 0, reason))
            }
            _ => Ok(()),
        }
    }

    /// The entries from `first` to the end of their bundle, or of the log, with all tiles that become full with them.
    fn piece(&self, first: u64, newest: &StoredCheckpoint) -> Result<Piece, Stop> {
        let size = newest.size;
        let n = first / BUNDLE_ENTRIES;
        let next = (n + 1).saturating_mul(BUNDLE_ENTRIES).min(size);
        if first >= next {
            // Nothing new; the checkpoint itself is still to be compared.
            return Ok(Piece { checkpoints: vec![newest.clone()], ..Piece::default() });
        }
        let width = u16::try_from(next - n * BUNDLE_ENTRIES).unwrap_or(TILE_WIDTH);
        let bundle = BundleCoordinate::new(n, width).map_err(|error| malformed("the size", first, &error))?;
        let bytes = self.fetch(&bundle.to_string(), BUNDLE_BYTES_MAX, first)?;
        let bodies =
            decode_entry_bundle(width, &bytes).map_err(|error| malformed(&bundle.to_string(), first, &error))?;
        let leaves = self.tile(bundle.leaf_tile(), first)?;
        let known = usize::try_from(first - n * BUNDLE_ENTRIES).unwrap_or_default();
        let entries = bodies.iter().zip(&leaves.hashes).skip(known);
        let entries = entries.map(|(body, leaf)| FoundEntry { body: body.to_vec(), leaf_hash: *leaf, columns: None });
        let mut piece = Piece { entries: entries.collect(), ..Piece::default() };
        if leaves.coordinate.is_full() {
            piece.tiles.push(leaves);
        }
        for level in Edge::levels(next).filter(|level| *level > 0) {
            for n in full_tiles(level, first)..full_tiles(level, next) {
                let coordinate = TileCoordinate::full(level, n).map_err(|error| malformed("a tile", first, &error))?;
                piece.tiles.push(self.tile(coordinate, first)?);
            }
        }
        if next == size {
            piece.checkpoints.push(newest.clone());
        }
        Ok(piece)
    }

    fn tile(&self, coordinate: TileCoordinate, index: u64) -> Result<Tile, Stop> {
        let path = coordinate.to_string();
        let bytes = self.fetch(&path, TILE_BYTES_MAX, index)?;
        let hashes = decode_hashes(coordinate, &bytes).map_err(|error| malformed(&path, index, &error))?;
        Ok(Tile { coordinate, hashes })
    }

    fn fetch(&self, path: &str, limit_bytes: usize, index: u64) -> Result<Vec<u8>, Stop> {
        match self.client.file(path, limit_bytes) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(Finding::new(path, index, "the service has none, its checkpoint covers it").into()),
            Err(failure) => Err(admitted_damage(path, index, failure)),
        }
    }

    /// The right edge of the tree that the saved checkpoint covers, from today's tiles. That its root is the saved one,
    /// and that what is grown from it reaches the signed root, is the proof that the log was only ever appended to.
    fn edge_at(&self, from: &KnownRoot, size: u64) -> Result<Edge, Stop> {
        let mut partials = Vec::new();
        for level in Edge::levels(from.size) {
            let (n, wanted) = (full_tiles(level, from.size), partial_width(level, from.size));
            if wanted == 0 {
                partials.push(Vec::new());
                continue;
            }
            let width = if n < full_tiles(level, size) { TILE_WIDTH } else { partial_width(level, size) };
            let index = from.size - 1;
            let coordinate =
                TileCoordinate::new(level, n, width).map_err(|error| malformed("a tile", index, &error))?;
            let mut hashes = self.tile(coordinate, index)?.hashes;
            hashes.truncate(usize::from(wanted));
            partials.push(hashes);
        }
        let source = from.source.clone();
        let edge = Edge::rebuild(from.size, partials).map_err(|error| malformed(&source, from.size, &error))?;
        if edge.root() == from.root {
            return Ok(edge);
        }
        let reason = format!("says root {} at size {}, the service's tiles have {}", from.root, from.size, edge.root());
        Err(Finding::new(source, from.size, reason).into())
    }

    /// Documents of new entries: there, unchanged, and what the claims say of them.
    fn check_documents(&self, examined: &Examined) -> Result<u64, Stop> {
        let mut read = 0;
        for entry in &examined.entries {
            let mut manifests = BTreeMap::new();
            for digest in entry.statement.documents() {
                let path = format!("/v1/documents/{digest}");
                let found = |reason: String| Stop::Found(Finding::new(path.clone(), entry.index, reason));
                let bytes = match self.client.file(&path, DOCUMENT_BYTES_MAX) {
                    Ok(Some(bytes)) => bytes,
                    Ok(None) => return Err(found("the service has none, the entry names it".to_owned())),
                    Err(failure) => return Err(admitted_damage(&path, entry.index, failure)),
                };
                if Sha256Digest::of(&bytes) != digest {
                    return Err(found("its bytes have another digest".to_owned()));
                }
                manifests.insert(digest, Manifest::parse(&bytes).map_err(|error| found(error.to_string()))?);
                read += 1;
            }
            let fits = entry.statement.claim.kind().check_documents(&manifests);
            fits.map_err(|error| {
                let reason = format!("it says of its documents what they are not: {error}");
                Finding::new(Source::Tiles.entry(entry.index), entry.index, reason)
            })?;
        }
        Ok(read)
    }

    /// The unfinished tiles above the leaves.
    fn check_partial_tiles(&self, edge: &Edge) -> Result<(), Stop> {
        for level in Edge::levels(edge.size()).filter(|level| *level > 0) {
            let (n, width) = (full_tiles(level, edge.size()), partial_width(level, edge.size()));
            if width == 0 {
                continue;
            }
            let first = n << (8 * (u32::from(level) + 1)).min(63);
            let coordinate =
                TileCoordinate::new(level, n, width).map_err(|error| malformed("a tile", first, &error))?;
            let tile = self.tile(coordinate, first)?;
            if tile.hashes != edge.partial(level) {
                let reason = "its hashes are not those of the entries it covers";
                return Err(Finding::new(coordinate.to_string(), first, reason).into());
            }
        }
        Ok(())
    }
}

fn malformed(object: &str, index: u64, error: &dyn core::fmt::Display) -> Stop {
    Stop::Found(Finding::new(object, index, error.to_string()))
}

/// A service that itself finds its ledger damaged says so instead of answering.
pub(super) fn admitted_damage(path: &str, index: u64, failure: Failure) -> Stop {
    if &*failure.code == "ledger_damaged" {
        Stop::Found(Finding::new(path, index, failure.message))
    } else {
        Stop::Failed(failure)
    }
}
