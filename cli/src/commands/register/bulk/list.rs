//! The list: one JSON object a line, read strictly and whole before anything is measured, let alone sent.
//!
//! Members are named like the options of the command. Paths are relative to the list's directory, so that a list can be
//! moved with what it lists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chopmark_core::artefact::{ArtefactKind, IpType, PARENTS_MAX, Relation, VERSION_CHARACTERS_MAX};
use chopmark_core::code::{Jurisdiction, ResidencyZone};
use chopmark_core::licence::DeclaredLicence;
use chopmark_core::strict::{self, StrictError, present};
use chopmark_core::text::{Names, validate_name};
use serde::Deserialize;
use serde_json::Value;

use super::super::{Defaults, FIRST_VERSION, Order, default_bundle, names};
use crate::arguments::FormArguments;
use crate::commands::bundle;
use crate::commands::measuring::{image_reference, require};
use crate::exit::Failure;
use crate::files;

/// Most rows of a list; what is longer takes more than one report that anybody reads.
pub(super) const ROWS_MAX: usize = 10_000;

/// Longest line, in bytes: names, paths and 64 parents fit several times.
pub(super) const LINE_BYTES_MAX: usize = 64 << 10;

/// Largest list, in bytes.
const LIST_BYTES_MAX: usize = 64 << 20;

/// Longest label, in characters.
const LABEL_CHARACTERS_MAX: usize = 200;

/// One artefact to be registered.
#[derive(Debug)]
pub(super) struct Row {
    /// Its line, from 1.
    pub(super) line: usize,
    /// What other rows call it.
    pub(super) label: Option<String>,
    /// What to register; its paths are ready to be opened.
    pub(super) order: Order,
    /// What it was made from.
    pub(super) parents: Vec<(Relation, Source)>,
    /// What it takes the place of.
    pub(super) supersedes: Option<Source>,
    /// The row as it was read, in canonical form.
    pub(super) text: Vec<u8>,
}

/// Another artefact, as a row names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// By id, or by `sha256:…`.
    Id(String),
    /// By its place in the list, from 0.
    Row(usize),
}

impl Row {
    /// The rows that have to be registered before this one.
    pub(super) fn needs(&self) -> impl Iterator<Item = usize> {
        let parents = self.parents.iter().map(|(_, source)| source);
        parents.chain(&self.supersedes).filter_map(|source| match source {
            Source::Row(row) => Some(*row),
            Source::Id(_) => None,
        })
    }
}

/// Why a row can't be registered as it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Its line, from 1.
    pub(super) line: usize,
    /// Where in it, as a JSON pointer (RFC 6901).
    pub(super) pointer: String,
    /// What is wrong and what to do.
    pub(super) reason: String,
}

/// A list in which nothing contradicts itself, and an order in which every row comes after those it needs.
#[derive(Debug)]
pub(super) struct List {
    /// The rows as they stand.
    pub(super) rows: Vec<Row>,
    /// Their places, in the order to work in.
    pub(super) order: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRow {
    #[serde(rename = "as", default, deserialize_with = "present")]
    label: Option<String>,
    path: String,
    licence: String,
    #[serde(default, deserialize_with = "present")]
    name: Option<Names>,
    #[serde(default, deserialize_with = "present")]
    version: Option<String>,
    #[serde(default, deserialize_with = "present")]
    kind: Option<ArtefactKind>,
    #[serde(default, deserialize_with = "present")]
    ip_type: Option<IpType>,
    #[serde(default, deserialize_with = "present")]
    jurisdiction: Option<Jurisdiction>,
    #[serde(default, deserialize_with = "present")]
    zone: Option<ResidencyZone>,
    #[serde(default)]
    parents: Vec<WireParent>,
    #[serde(default, deserialize_with = "present")]
    supersedes: Option<WireSource>,
    #[serde(default, deserialize_with = "present")]
    out: Option<String>,
    #[serde(default, deserialize_with = "present")]
    revision: Option<String>,
    #[serde(default, deserialize_with = "present")]
    manifest: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireParent {
    relation: Relation,
    #[serde(default, deserialize_with = "present")]
    id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    row: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSource {
    #[serde(default, deserialize_with = "present")]
    id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    row: Option<String>,
}

/// Why there is no list.
#[derive(Debug)]
pub(super) enum ListError {
    /// The file can't be read as one.
    Unreadable(Failure),
    /// Rows can't be registered as they stand; in the order of lines.
    Faults(Vec<Fault>),
}

impl List {
    /// Reads the list at `path` and checks every row of it.
    ///
    /// # Errors
    /// Every fault that can be found without asking the service.
    pub(super) fn read(path: &Path) -> Result<Self, ListError> {
        let bytes = files::read(path, LIST_BYTES_MAX).map_err(|error| {
            ListError::Unreadable(Failure::usage(format!("cannot read the list {}: {error}", path.display())))
        })?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let lines: Vec<(usize, &[u8])> =
            (1..).zip(bytes.split(|byte| *byte == b'\n')).filter(|(_, line)| !line.trim_ascii().is_empty()).collect();
        if lines.is_empty() || lines.len() > ROWS_MAX {
            let message = format!("{} has {} rows; a list has 1 to {ROWS_MAX}", path.display(), lines.len());
            return Err(ListError::Unreadable(Failure::usage(message)));
        }
        let mut faults = Vec::new();
        let mut wires = Vec::new();
        for (line, text) in lines {
            match read_line(text) {
                Ok((wire, canonical)) => wires.push((line, wire, canonical)),
                Err(StrictError { pointer, reason }) => faults.push(Fault { line, pointer, reason }),
            }
        }
        let labels = labels(&wires, &mut faults);
        // A row that did not read may have had the label that is missing.
        let labels = Labels { are_all_known: faults.is_empty(), labels };
        let mut rows = Vec::new();
        for (line, wire, text) in wires {
            match row(line, wire, text, directory, &labels) {
                Ok(row) => rows.push(row),
                Err(fault) => faults.push(fault),
            }
        }
        check_bundles(&rows, &mut faults);
        if faults.is_empty() {
            match sorted(&rows) {
                Ok(order) => return Ok(Self { rows, order }),
                Err(fault) => faults.push(fault),
            }
        }
        faults.sort_by_key(|fault| fault.line);
        Err(ListError::Faults(faults))
    }
}

fn read_line(line: &[u8]) -> Result<(WireRow, Vec<u8>), StrictError> {
    if line.len() > LINE_BYTES_MAX {
        return Err(StrictError::new("", format!("a row has at most {LINE_BYTES_MAX} bytes")));
    }
    let value: Value = strict::value_from_slice(line)?;
    let canonical = strict::to_canonical(&value)?;
    Ok((strict::decode(&value)?, canonical))
}

/// What rows may name each other by.
struct Labels {
    labels: BTreeMap<String, usize>,
    are_all_known: bool,
}

impl Labels {
    fn find(&self, label: &str) -> Option<usize> {
        // Where some are not known the list is refused anyway, and this only keeps the answer to what is wrong.
        self.labels.get(label).copied().or_else(|| (!self.are_all_known).then_some(0))
    }
}

/// Which row each label stands for.
fn labels(wires: &[(usize, WireRow, Vec<u8>)], faults: &mut Vec<Fault>) -> BTreeMap<String, usize> {
    let mut labels = BTreeMap::new();
    for (place, (line, wire, _)) in wires.iter().enumerate() {
        let Some(label) = &wire.label else { continue };
        let mut refuse = |reason: String| faults.push(Fault { line: *line, pointer: "/as".to_owned(), reason });
        if label.is_empty() || label.chars().count() > LABEL_CHARACTERS_MAX {
            refuse(format!("a label has 1 to {LABEL_CHARACTERS_MAX} characters"));
        } else if labels.insert(label.clone(), place).is_some() {
            refuse(format!("{label:?} is the label of a row above"));
        }
    }
    labels
}

fn row(line: usize, wire: WireRow, text: Vec<u8>, directory: &Path, labels: &Labels) -> Result<Row, Fault> {
    let fault = |pointer: &str, reason: String| Fault { line, pointer: pointer.to_owned(), reason };
    let source = |pointer: &str, id: Option<String>, row: Option<String>| match (id, row) {
        (Some(id), None) => Ok(Source::Id(id)),
        (None, Some(label)) => labels
            .find(&label)
            .map(Source::Row)
            .ok_or_else(|| fault(&format!("{pointer}/row"), format!("no row of this list says \"as\": {label:?}"))),
        _ => Err(fault(pointer, "name it by exactly one of id and row".to_owned())),
    };
    let given = Path::new(&wire.path);
    let is_image = image_reference(given).map_err(|failure| fault("/path", failure.message))?.is_some();
    let path = if is_image { given.to_owned() } else { directory.join(given) };
    let form = FormArguments { revision: wire.revision, manifest: wire.manifest.map(|path| directory.join(path)) };
    require(&path, &form).map_err(|failure| fault("/path", failure.message))?;
    let defaults = Defaults::of(&path).map_err(|failure| fault("/path", failure.message))?;
    let names = names(wire.name.unwrap_or_default(), &defaults).map_err(|reason| fault("/name", reason))?;
    let version = wire.version.or(defaults.version).unwrap_or_else(|| FIRST_VERSION.to_owned());
    validate_name(&version).map_err(|reason| fault("/version", reason))?;
    if version.chars().count() > VERSION_CHARACTERS_MAX {
        return Err(fault("/version", format!("a version has at most {VERSION_CHARACTERS_MAX} characters")));
    }
    let licence = DeclaredLicence::parse(&wire.licence).map_err(|reason| fault("/licence", reason))?;
    if wire.parents.len() > PARENTS_MAX {
        return Err(fault("/parents", format!("at most {PARENTS_MAX} parents")));
    }
    let mut parents: Vec<(Relation, Source)> = Vec::new();
    for (position, WireParent { relation, id, row }) in wire.parents.into_iter().enumerate() {
        let pointer = format!("/parents/{position}");
        let parent = source(&pointer, id, row)?;
        if parents.iter().any(|(_, other)| *other == parent) {
            return Err(fault(&pointer, "this parent already stands above".to_owned()));
        }
        parents.push((relation, parent));
    }
    let supersedes = wire.supersedes.map(|WireSource { id, row }| source("/supersedes", id, row)).transpose()?;
    let out = wire.out.map_or_else(|| default_bundle(defaults.own_name.as_deref()), PathBuf::from);
    Ok(Row {
        line,
        label: wire.label,
        order: Order {
            accepts_conflict: false,
            path,
            form,
            names,
            version,
            kind: wire.kind.or(defaults.kind).unwrap_or(ArtefactKind::Model),
            ip_type: wire.ip_type.unwrap_or(IpType::Copyright),
            jurisdiction: wire.jurisdiction,
            zone: wire.zone.unwrap_or(ResidencyZone::World),
            licence,
            out: directory.join(out),
        },
        parents,
        supersedes,
        text,
    })
}

/// Every row has a bundle of its own, in a place where one may be.
fn check_bundles(rows: &[Row], faults: &mut Vec<Fault>) {
    let mut places = BTreeMap::new();
    for row in rows {
        let out = &row.order.out;
        let mut refuse = |reason: String| faults.push(Fault { line: row.line, pointer: "/out".to_owned(), reason });
        if let Some(line) = places.insert(out, row.line) {
            refuse(format!("row {line} writes its bundle to {}, too; give one of them another", out.display()));
        } else if let Err(failure) = bundle::check_replaceable(out) {
            refuse(failure.message);
        }
    }
}

/// An order in which every row comes after those it needs, and otherwise as they stand.
fn sorted(rows: &[Row]) -> Result<Vec<usize>, Fault> {
    let mut dependents: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut waiting_for = Vec::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        let needs: BTreeSet<usize> = row.needs().collect();
        waiting_for.push(needs.len());
        for needed in needs {
            dependents.entry(needed).or_default().push(place);
        }
    }
    let mut ready: BTreeSet<usize> =
        waiting_for.iter().enumerate().filter(|(_, count)| **count == 0).map(|(place, _)| place).collect();
    let mut order = Vec::with_capacity(rows.len());
    while let Some(place) = ready.pop_first() {
        order.push(place);
        for dependent in dependents.get(&place).into_iter().flatten() {
            if let Some(count) = waiting_for.get_mut(*dependent) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    ready.insert(*dependent);
                }
            }
        }
    }
    let stuck = rows.iter().enumerate().find(|(place, _)| waiting_for.get(*place).is_some_and(|count| *count > 0));
    match stuck {
        None => Ok(order),
        Some((_, row)) => Err(Fault {
            line: row.line,
            pointer: "/parents".to_owned(),
            reason: "leads back to itself, or to rows that do; nothing is its own ancestor".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a list of these lines beside files `a` and `b`.
    fn read(lines: &[&str]) -> Result<List, Vec<(usize, String)>> {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::write(directory.path().join(name), name).unwrap();
        }
        std::fs::write(directory.path().join("taken.chop"), "my thesis").unwrap();
        let list = directory.path().join("list.jsonl");
        std::fs::write(&list, lines.join("\n")).unwrap();
        match List::read(&list) {
            Ok(list) => Ok(list),
            Err(ListError::Faults(faults)) => {
                Err(faults.into_iter().map(|fault| (fault.line, fault.pointer)).collect())
            }
            Err(ListError::Unreadable(failure)) => Err(vec![(0, failure.message)]),
        }
    }

    #[test]
    fn rows_are_worked_on_after_those_they_need() {
        let list = read(&[
            r#"{"as":"child","path":"a","licence":"mit","parents":[{"row":"base","relation":"finetune"}]}"#,
            "",
            r#"{"as":"next","path":"a","licence":"mit","version":"2","supersedes":{"row":"child"},"out":"2.chop"}"#,
            r#"{"as":"base","path":"b","licence":"apache-2.0","name":{"zh-Hant":"基礎"}}"#,
        ]);
        let list = list.unwrap();
        assert_eq!(list.order, [2, 0, 1]);
        assert_eq!(list.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!(list.rows[2].order.licence.expression, "Apache-2.0");
        assert!(list.rows[0].order.out.ends_with("a.chop"));
    }

    #[test]
    fn every_fault_names_its_row_and_place() {
        let good = r#"{"path":"a","licence":"mit"}"#;
        let bad = |line: &str| read(&[good, line]).unwrap_err();
        for (line, pointer) in [
            ("{", ""),
            ("[]", ""),
            (r#"{"path":"b"}"#, ""),
            (r#"{"path":"b","licence":"nonsense"}"#, "/licence"),
            (r#"{"path":"b","licence":"mit","film":1}"#, "/film"),
            (r#"{"path":"b","licence":"mit","licence":"mit"}"#, "/licence"),
            (r#"{"path":"b","licence":"mit","kind":"film"}"#, "/kind"),
            (r#"{"path":"b","licence":"mit","version":null}"#, "/version"),
            (r#"{"path":"b","licence":"mit","version":1.5}"#, "/version"),
            (r#"{"path":"missing","licence":"mit"}"#, "/path"),
            (r#"{"path":"oci:registry.example/x","licence":"mit"}"#, "/path"),
            (r#"{"path":"b","licence":"mit","name":{"en":"a\u202eb"}}"#, "/name"),
            (r#"{"path":"b","licence":"mit","jurisdiction":"hk"}"#, "/jurisdiction"),
            (r#"{"path":"b","licence":"mit","parents":[{"relation":"merge"}]}"#, "/parents/0"),
            (r#"{"path":"b","licence":"mit","parents":[{"relation":"merge","row":"x"}]}"#, "/parents/0/row"),
            (r#"{"path":"b","licence":"mit","supersedes":{"id":"a","row":"x"}}"#, "/supersedes"),
            (r#"{"path":"b","licence":"mit","out":"taken.chop"}"#, "/out"),
            (r#"{"path":"b","licence":"mit","out":"a.chop"}"#, "/out"),
            (r#"{"as":"","path":"b","licence":"mit"}"#, "/as"),
            (r#"{"as":"x","path":"b","licence":"mit","parents":[{"relation":"merge","row":"x"}]}"#, "/parents"),
        ] {
            assert_eq!(bad(line), [(2, pointer.to_owned())], "{line}");
        }
        let long = format!(r#"{{"path":"b","licence":"mit","version":"{}"}}"#, "1".repeat(LINE_BYTES_MAX));
        assert_eq!(bad(&long), [(2, String::new())]);
        assert_eq!(read(&["{", "{"]).unwrap_err().len(), 2, "all are named at once");
        assert_eq!(read(&["", "  "]).unwrap_err()[0].0, 0);
        assert_eq!(read(&vec!["{}"; ROWS_MAX + 1]).unwrap_err()[0].0, 0);
    }

    #[test]
    fn circles_are_refused() {
        let rows = [
            r#"{"as":"1","path":"a","licence":"mit","parents":[{"row":"2","relation":"merge"}]}"#,
            r#"{"as":"2","path":"b","licence":"mit","parents":[{"row":"1","relation":"merge"}]}"#,
        ];
        assert_eq!(read(&rows).unwrap_err(), [(1, "/parents".to_owned())]);
    }
}
