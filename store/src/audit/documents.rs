//! The documents that entries name: there, unchanged, and what the claims say of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::manifest::Manifest;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use rayon::prelude::*;

use super::{Finding, JudgedEntry, Stop, found};
use crate::follow::{self, Contents};
use crate::project::Content;
use crate::schema::document;

/// Checks the documents of these entries. What the read tables keep of them, and
/// how many were read.
pub(super) async fn check(
    connection: &mut AsyncPgConnection,
    entries: &[JudgedEntry],
) -> Result<(Contents, u64), Stop> {
    let mut naming: BTreeMap<Sha256Digest, Vec<&JudgedEntry>> = BTreeMap::new();
    for entry in entries {
        for digest in entry.statement.documents() {
            naming.entry(digest).or_default().push(entry);
        }
    }
    let mut contents = Contents::new();
    let mut read = 0;
    let mut not_read: BTreeSet<Sha256Digest> = naming.keys().copied().collect();
    let stored = follow::documents(connection, naming.keys()).await?;
    let checked: Vec<Result<(Sha256Digest, Arc<Content>), Finding>> = stored
        .par_iter()
        .map(|(digest, body)| {
            let entries = naming.get(digest).map(Vec::as_slice).unwrap_or_default();
            check_one(*digest, body, entries).map(|content| (*digest, Arc::new(content)))
        })
        .collect();
    for checked in checked {
        let (digest, content) = checked?;
        not_read.remove(&digest);
        contents.insert(digest, content);
        read += 1;
    }
    let first_missing = not_read.iter().filter_map(|digest| {
        let index = naming.get(digest)?.iter().map(|entry| entry.index).min()?;
        Some((index, digest))
    });
    match first_missing.min() {
        Some((index, digest)) => Err(missing(index, digest)),
        None => Ok((contents, read)),
    }
}

/// Documents that these entries name are there. What they are was checked when the entries were found good, and that
/// their bytes are those is checked of every document that is there.
pub(super) async fn check_there(connection: &mut AsyncPgConnection, named: &[(u64, Sha256Digest)]) -> Result<(), Stop> {
    if named.is_empty() {
        return Ok(());
    }
    let wanted: BTreeSet<Vec<u8>> = named.iter().map(|(_, digest)| digest.as_bytes().to_vec()).collect();
    let query = document::table.select(document::sha256).filter(document::sha256.eq_any(wanted));
    let there: BTreeSet<Vec<u8>> = query.load::<Vec<u8>>(connection).await?.into_iter().collect();
    match named.iter().find(|(_, digest)| !there.contains(digest.as_bytes().as_slice())) {
        Some((index, digest)) => Err(missing(*index, digest)),
        None => Ok(()),
    }
}

fn missing(index: u64, digest: &Sha256Digest) -> Stop {
    found(format!("log.document {digest}"), index, format!("the row is missing, entry {index} names it"))
}

/// One document, as it is stored under `digest`, and what the entries that name it say of it.
fn check_one(digest: Sha256Digest, body: &[u8], entries: &[&JudgedEntry]) -> Result<Content, Finding> {
    let index = entries.iter().map(|entry| entry.index).min();
    let found = |reason: String| Finding::new(format!("log.document {digest}"), index, reason);
    if Sha256Digest::of(body) != digest {
        return Err(found("its bytes have another digest".to_owned()));
    }
    let manifest = Manifest::parse(body).map_err(|error| found(error.to_string()))?;
    let content = Content::of(&manifest);
    let manifests = BTreeMap::from([(digest, manifest)]);
    for entry in entries {
        let fits = entry.statement.claim.kind().check_documents(&manifests);
        fits.map_err(|error| found(format!("entry {} says of it what it is not: {error}", entry.index)))?;
    }
    Ok(content)
}
