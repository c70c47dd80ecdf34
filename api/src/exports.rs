//! Exports of a report: tables with typed cells, written as CSV, as a workbook or as pages, each with a signature of its own.
//!
//! Only the report itself, in JSON, is promised to be the same bytes for ever. What is written here follows from it, the
//! language and this version of the program.

mod csv;
#[cfg(feature = "parquet")]
pub mod parquet;
#[cfg(feature = "pdf")]
mod pdf;
#[cfg(not(feature = "pdf"))]
#[path = "exports/no_pdf.rs"]
mod pdf;
mod tables;
mod xlsx;

#[cfg(feature = "parquet")]
use actix_web::http::StatusCode;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::report::ExportNote;
use chopmark_core::ledger::note::{Note, NoteError, NoteSigner};
use chopmark_core::tax::words::Language;

use crate::problem::{ApiError, internal};
use crate::reports::kept::Kept;

pub use pdf::{Press, Turn};
pub use tables::amount;

/// As what a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The lines as comma-separated values.
    Csv {
        /// Whether a byte order mark stands before them.
        bom: bool,
    },
    /// A workbook.
    Xlsx,
    /// The lines as Apache Parquet.
    Parquet,
    /// Pages, to print and to archive.
    Pdf,
    /// The report itself.
    Json,
}

impl Format {
    /// Its name in signatures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv { bom: false } => "csv",
            Self::Csv { bom: true } => "csv+bom",
            Self::Xlsx => "xlsx",
            Self::Parquet => "parquet",
            Self::Pdf => "pdf",
            Self::Json => "json",
        }
    }

    /// Whether this build of the program writes it.
    pub const fn is_built(self) -> bool {
        match self {
            Self::Csv { .. } | Self::Xlsx | Self::Json => true,
            Self::Parquet => cfg!(feature = "parquet"),
            Self::Pdf => cfg!(feature = "pdf"),
        }
    }

    /// What is said where it is not.
    pub fn not_built(self) -> ApiError {
        let name = self.name();
        let detail = format!("this service was built without {name} (a cargo feature); there are csv, xlsx and json");
        ApiError::bad_parameter("query", "format", detail)
    }

    /// Media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Csv { .. } => "text/csv; charset=utf-8; header=present",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Pdf => "application/pdf",
            Self::Json => "application/json",
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Csv { .. } => "csv",
            Self::Xlsx => "xlsx",
            Self::Parquet => "parquet",
            Self::Pdf => "pdf",
            Self::Json => "json",
        }
    }
}

/// A file that was written.
pub struct Export {
    /// Of which report.
    pub id: Sha256Digest,
    /// As what.
    pub format: Format,
    /// In which language.
    pub language: Language,
    /// Entries of the log that the report is of.
    pub size: u64,
    /// Root of that tree.
    pub root: Sha256Digest,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Writes a report; as PDF only with a turn at the press.
///
/// # Errors
/// When the report is not as reports are written, or what it is to be written as can't hold it.
pub fn write(kept: &Kept, format: Format, language: Language, turn: Option<&Turn>) -> Result<Export, ApiError> {
    let content = kept.content()?;
    let bytes = match format {
        Format::Json => kept.file.to_vec(),
        Format::Csv { bom } => csv::write(&tables::lines(&content, language), bom),
        Format::Xlsx => xlsx::write(&tables::all(kept.id, &content, language)).map_err(|error| internal(&error))?,
        #[cfg(feature = "parquet")]
        Format::Parquet => parquet::write(&content.report).map_err(|error| match error {
            // More digits than any decimal there has: the other formats write them.
            parquet::TableError::Value { .. } => {
                let (status, detail) = (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}; ask for xlsx or csv"));
                ApiError::new(status, "report_too_large", "query", "/format", detail)
            }
            parquet::TableError::Parquet(error) => internal(&error),
        })?,
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => return Err(internal(&"this build writes no Parquet")),
        Format::Pdf => {
            turn.ok_or_else(|| internal(&"a PDF without a turn at the press"))?.write(kept.id, &content, language)?
        }
    };
    let root = content.report.pointer("/checkpoint/root").and_then(|root| root.as_str()?.parse().ok());
    let root = root.ok_or_else(|| internal(&"a report of no tree"))?;
    Ok(Export { id: kept.id, format, language, size: content.size(), root, bytes })
}

impl Export {
    /// A name to save it by.
    pub fn file_name(&self) -> String {
        let id = self.id.to_string();
        format!("ip-expenditure-{}.{}", id.get(..12).unwrap_or(&id), self.format.extension())
    }

    /// Signs the bytes, with all that says what they are.
    ///
    /// # Errors
    /// Never for an origin that names a log.
    pub fn sign(&self, origin: &str, signer: &NoteSigner) -> Result<Note, NoteError> {
        let note = ExportNote {
            origin: origin.to_owned(),
            report: self.id,
            size: self.size,
            root: self.root,
            form: format!("{} {}", self.format.name(), self.language.tag()),
            digest: Sha256Digest::of(&self.bytes),
        };
        Note::sign(note.text(), [signer])
    }
}
