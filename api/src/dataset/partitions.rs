//! A directory of Parquet files, one for each jurisdiction and year, laid out as Hive, Spark and
//! Trino read partitions.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::report::{DATASET_NOTE_HEADER, DatasetNote, Report};
use chopmark_core::ledger::note::Note;
use chopmark_store::LeftOut;
use serde_json::{Value, json};

use super::{Asked, DatasetError};
use crate::exports::parquet::{self, Table};

/// The partition of rows of no year, as Hive calls it.
const NO_YEAR: &str = "__HIVE_DEFAULT_PARTITION__";

/// Partitions being written, in a directory beside the one they will be in.
pub(super) struct Partitions {
    target: PathBuf,
    directory: tempfile::TempDir,
    tables: BTreeMap<PathBuf, Table<BufWriter<File>>>,
}

impl Partitions {
    /// Begins beside `target`, which must not be there.
    pub(super) fn begin(target: &Path) -> Result<Self, DatasetError> {
        if target.symlink_metadata().is_ok() {
            return Err(failed(target, "is there already; name a directory that is not"));
        }
        let target = std::path::absolute(target).map_err(|error| failed(target, error))?;
        let parent = target.parent().ok_or_else(|| failed(&target, "has no directory that it is in"))?;
        fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        // Figures of others: for whoever runs this alone.
        let directory =
            tempfile::Builder::new().prefix(".dataset-").tempdir_in(parent).map_err(|error| failed(parent, error))?;
        Ok(Self { target, directory, tables: BTreeMap::new() })
    }

    /// Adds the lines of a report.
    pub(super) fn put(&mut self, report: &Report) -> Result<(), DatasetError> {
        let jurisdiction = Value::from(report.jurisdiction.as_str());
        let report = serde_json::to_value(report).map_err(|error| failed(&self.target, error))?;
        for (year, rows) in parquet::rows(&report) {
            let year = year.map_or_else(|| NO_YEAR.to_owned(), |year| year.replace('/', "-"));
            let place = jurisdiction.as_str().unwrap_or_default();
            let name = PathBuf::from(format!("jurisdiction={place}/year_of_assessment={year}/lines.parquet"));
            let path = self.directory.path().join(&name);
            let table = match self.tables.entry(name) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(new) => new.insert(create(&path)?),
            };
            for row in rows {
                table.push(&jurisdiction, &row).map_err(|error| failed(&path, error))?;
            }
        }
        Ok(())
    }

    /// Ends every file, describes and signs them and whose lines are missing, and puts the directory where it belongs.
    pub(super) fn finish(self, asked: Asked<'_>, left_out: &[LeftOut]) -> Result<Vec<PathBuf>, DatasetError> {
        let (mut files, mut listed) = (Vec::new(), Vec::new());
        for (name, table) in self.tables {
            let path = self.directory.path().join(&name);
            let rows = table.rows();
            let buffered = table.finish().map_err(|error| failed(&path, error))?;
            let file = buffered.into_inner().map_err(|error| failed(&path, error))?;
            file.sync_all().map_err(|error| failed(&path, error))?;
            let bytes = fs::read(&path).map_err(|error| failed(&path, error))?;
            listed.push(json!({
                "path": name, "rows": rows, "size_bytes": bytes.len(), "sha256": Sha256Digest::of(&bytes),
            }));
            files.push(name);
        }
        let Asked { place, registry, checkpoint, signer, .. } = asked;
        let description = json!({
            "schema": DATASET_NOTE_HEADER,
            "place": place.as_str(),
            "registry": registry.reference,
            "size": checkpoint.size,
            "root": checkpoint.root,
            "checkpoint": checkpoint.note,
            "rules_digest": crate::reports::rules().map_err(|error| DatasetError::Internal(error.0.detail))?.digest(),
            "files": listed,
            "left_out": left_out.iter().map(|out| json!({ "party": out.party, "reason": out.reason })).collect::<Vec<_>>(),
        });
        let description = format!("{description:#}\n");
        let mut written = vec![("dataset.json", description.clone())];
        if let Some(signer) = signer {
            let (origin, digest) = (registry.reference.origin.clone(), Sha256Digest::of(description.as_bytes()));
            let note = Note::sign(DatasetNote { origin, digest }.text(), [signer]);
            let note = note.map_err(|error| DatasetError::Internal(error.to_string()))?;
            written.push(("dataset.json.sig", note.to_string()));
        }
        for (name, text) in written {
            let path = self.directory.path().join(name);
            fs::write(&path, text).map_err(|error| failed(&path, error))?;
            files.push(PathBuf::from(name));
        }
        fs::rename(self.directory.path(), &self.target).map_err(|error| failed(&self.target, error))?;
        // It is no longer there to be removed.
        drop(self.directory.keep());
        Ok(files)
    }
}

fn create(path: &Path) -> Result<Table<BufWriter<File>>, DatasetError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
    }
    let file = File::create_new(path).map_err(|error| failed(path, error))?;
    Table::new(BufWriter::new(file)).map_err(|error| failed(path, error))
}

fn failed(path: &Path, reason: impl core::fmt::Display) -> DatasetError {
    let reason = reason.to_string();
    DatasetError::Write { path: path.to_owned(), reason }
}
