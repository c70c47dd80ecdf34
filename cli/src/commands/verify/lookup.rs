//! Finding a registration by digest: the whole manifest's first, then that of each large file.
//!
//! Only digests are sent. What the service answers is a hint where to look; the bundle it sends has to prove itself.

use std::collections::BTreeMap;
use std::path::Path;

use chopmark_core::bundle::Proven;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::manifest::Manifest;
use chopmark_core::statement::{ShownId, StatementId};
use chopmark_gpu_verify::Measured;

use crate::arguments::FormArguments;
use crate::client::{ArtefactDescription, Client};
use crate::commands::bundle;
use crate::commands::measuring::{Aim, Measure, image_digests};
use crate::config::Settings;
use crate::exit::{Exit, Failure};
use crate::trust::Trust;

/// Most files that are asked about one by one, largest first: weights are few and tell most.
const FILES_ASKED_MAX: usize = 32;

/// Most registrations of the same manifest that are asked for: the earliest counts, and the others are only named.
const SAME_MAX: u32 = 20;

/// Most registrations with one file that are asked for, which is a page of the service: what many share tells little, and
/// which of them shares most is known by all files together.
const SHARING_MAX: u32 = 100;

/// A registration of these bytes, or of bytes that share files with them.
pub(super) struct Found {
    /// What the service's bundle proves.
    pub(super) proven: Proven,
    /// The bytes as they were measured to find it.
    pub(super) measured: Measured,
    /// Other registrations that fit as well, later in the log, as the service says.
    pub(super) others: Vec<ShownId>,
}

/// Asks the service about the bytes at `path`.
///
/// # Errors
/// `not_registered` when nothing shares a digest; a network failure; what does not hold in the answer.
pub(super) fn find(
    settings: &Settings,
    trust: &Trust,
    measuring: &dyn Measure,
    path: &Path,
    form: &FormArguments,
) -> Result<Found, Failure> {
    let client = Client::of(settings)?;
    // A registry that is not trusted can't say anything of use: better to know before hours of hashing.
    trust.check(&client, &client.registry()?)?;
    let measured = measuring.measure(path, Aim::verify(form))?;
    let (id, others) = choose(&client, &measured.manifest, &image_digests(path, form)?)?;
    let (_, proven) = bundle::fetch(&client, &id, trust)?;
    Ok(Found { proven, measured, others })
}

fn choose(
    client: &Client,
    manifest: &Manifest,
    images: &[Sha256Digest],
) -> Result<(StatementId, Vec<ShownId>), Failure> {
    if manifest.files().is_empty() {
        return Err(Failure::new(Exit::CouldNotCheck, "no_files", "there is no file to look for"));
    }
    let mut hits = Hits::default();
    hits.add(client.artefacts_with(&manifest.digest(), SAME_MAX)?);
    let mut asked = 1;
    if hits.is_empty() {
        let files = largest(manifest);
        let images = images.iter().take(FILES_ASKED_MAX).filter(|image| !files.contains(image));
        for digest in images.chain(&files) {
            hits.add(client.artefacts_with(digest, SHARING_MAX)?);
            asked += 1;
        }
    }
    hits.best().ok_or_else(|| {
        let message = format!(
            "{} holds no artefact with this manifest ({}) or any of these files; {asked} digests were asked for",
            client.url(),
            manifest.digest()
        );
        Failure::new(Exit::NotRegistered, "not_registered", message)
    })
}

/// Digests of the largest files that have content, none twice.
fn largest(manifest: &Manifest) -> Vec<Sha256Digest> {
    let mut files: Vec<_> = manifest.files().iter().filter(|file| file.size_bytes > 0).collect();
    files.sort_by_key(|file| core::cmp::Reverse(file.size_bytes));
    let mut digests = Vec::new();
    for file in files {
        if !digests.contains(&file.sha256) {
            digests.push(file.sha256);
        }
        if digests.len() == FILES_ASKED_MAX {
            break;
        }
    }
    digests
}

/// How many of the digests asked for each artefact holds, with its index.
#[derive(Debug, Default)]
struct Hits(BTreeMap<StatementId, (u32, u64)>);

impl Hits {
    fn add(&mut self, artefacts: Vec<ArtefactDescription>) {
        for artefact in artefacts {
            let hit = self.0.entry(artefact.artefact_id).or_insert((0, artefact.index));
            hit.0 = hit.0.saturating_add(1);
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The artefact with most hits, the earliest of equals; and the others with as many.
    fn best(&self) -> Option<(StatementId, Vec<ShownId>)> {
        let most = self.0.values().map(|(hits, _)| *hits).max()?;
        let mut equals: Vec<_> = self.0.iter().filter(|(_, (hits, _))| *hits == most).collect();
        equals.sort_by_key(|(_, (_, index))| *index);
        let (first, others) = equals.split_first()?;
        Some((*first.0, others.iter().map(|(id, _)| id.shown("art")).collect()))
    }
}

#[cfg(test)]
mod tests {
    use chopmark_core::digest::Blake3Digest;
    use chopmark_core::manifest::{ExclusionProfile, FileEntry, FilePath};

    use super::*;

    #[test]
    fn the_artefact_with_most_files_wins_and_the_earliest_of_equals() {
        let artefact = |name: &[u8], index| ArtefactDescription { artefact_id: StatementId::of(name), index };
        let mut hits = Hits::default();
        assert!(hits.is_empty() && hits.best().is_none());
        hits.add(vec![artefact(b"a", 9), artefact(b"b", 5)]);
        assert_eq!(hits.best(), Some((StatementId::of(b"b"), vec![StatementId::of(b"a").shown("art")])));
        hits.add(vec![artefact(b"a", 9)]);
        assert_eq!(hits.best(), Some((StatementId::of(b"a"), Vec::new())));
    }

    #[test]
    fn large_files_are_asked_about_first_and_empty_ones_never() {
        let files = (0..40_u8)
            .map(|number| FileEntry {
                path: FilePath::parse(&format!("f{number:02}")).unwrap(),
                size_bytes: u64::from(number),
                sha256: Sha256Digest::of(&[number.min(38)]),
                blake3: Some(Blake3Digest::of(&[number])),
                weights: None,
            })
            .collect();
        let digests = largest(&Manifest::new(ExclusionProfile::V1, files).unwrap());
        assert_eq!(digests.len(), FILES_ASKED_MAX);
        assert_eq!(digests[0], Sha256Digest::of(&[38]));
        assert_eq!(digests[1], Sha256Digest::of(&[37]), "the same content is asked for once");
        assert!(!digests.contains(&Sha256Digest::of(&[0])));
    }
}
