//! What the log's key signs over a file that was made of a report, or of many: which it is, and as of which tree. Such a file
//! is the registry's word; only the report itself can be computed again.

use data_encoding::BASE64;

use crate::digest::Sha256Digest;

/// First line of the text over an export. No checkpoint, report or status list has it.
pub const EXPORT_NOTE_HEADER: &str = "chopmark/report-export/v2";

/// First line of the text over the description of a dataset, which names its files.
pub const DATASET_NOTE_HEADER: &str = "chopmark/report-dataset/v1";

/// Text of the note over an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportNote {
    /// The log.
    pub origin: String,
    /// SHA-256 of the report.
    pub report: Sha256Digest,
    /// Entries of the log that the report is of.
    pub size: u64,
    /// Root of that tree.
    pub root: Sha256Digest,
    /// As what and in which language: `csv en`.
    pub form: String,
    /// SHA-256 of the file.
    pub digest: Sha256Digest,
}

impl ExportNote {
    /// Seven lines.
    pub fn text(&self) -> String {
        let Self { origin, report, size, root, form, digest } = self;
        let [root, digest] = [root, digest].map(|digest| BASE64.encode(digest.as_bytes()));
        format!("{EXPORT_NOTE_HEADER}\n{origin}\n{report}\n{size}\n{root}\n{form}\n{digest}\n")
    }

    /// Reads such a text; nothing for any other.
    pub fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.split('\n').collect();
        let [EXPORT_NOTE_HEADER, origin, report, size, root, form, digest, ""] = lines.as_slice() else { return None };
        let note = Self {
            origin: (*origin).to_owned(),
            report: report.parse().ok()?,
            size: size.parse().ok()?,
            root: in_base64(root)?,
            form: (*form).to_owned(),
            digest: in_base64(digest)?,
        };
        (note.text() == text).then_some(note)
    }
}

/// Text of the note over the description of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetNote {
    /// The log.
    pub origin: String,
    /// SHA-256 of the description.
    pub digest: Sha256Digest,
}

impl DatasetNote {
    /// Three lines.
    pub fn text(&self) -> String {
        format!("{DATASET_NOTE_HEADER}\n{}\n{}\n", self.origin, BASE64.encode(self.digest.as_bytes()))
    }

    /// Reads such a text; nothing for any other.
    pub fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.split('\n').collect();
        let [DATASET_NOTE_HEADER, origin, digest, ""] = lines.as_slice() else { return None };
        Some(Self { origin: (*origin).to_owned(), digest: in_base64(digest)? })
    }
}

fn in_base64(text: &str) -> Option<Sha256Digest> {
    let bytes: [u8; 32] = BASE64.decode(text.as_bytes()).ok()?.try_into().ok()?;
    Some(Sha256Digest::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_are_written_and_no_others() {
        let digest = Sha256Digest::of(b"file");
        let note = ExportNote {
            origin: "registry.example/log".to_owned(),
            report: Sha256Digest::of(b"report"),
            size: 12,
            root: Sha256Digest::of(b"root"),
            form: "csv+bom zh-Hant".to_owned(),
            digest,
        };
        assert_eq!(ExportNote::parse(&note.text()), Some(note.clone()));
        let dataset = DatasetNote { origin: note.origin.clone(), digest };
        assert_eq!(DatasetNote::parse(&dataset.text()), Some(dataset.clone()));
        for other in [
            dataset.text(),
            note.text().replace("\n12\n", "\n+12\n"),
            note.text().replace("v2", "v1"),
            format!("{}\n", note.text()),
            String::new(),
        ] {
            assert_eq!(ExportNote::parse(&other), None, "{other}");
        }
        assert_eq!(DatasetNote::parse(&note.text()), None);
    }
}
