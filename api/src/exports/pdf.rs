//! PDF/A-2a and PDF/UA-1 of a report, typeset by Typst in this process. Its world is one template and one report: it has no
//! files, packages, clock or network to ask for, and all texts of a report are strings to it.

mod document;
mod fonts;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::tax::words::Language;
use chrono::{Datelike as _, NaiveDate};
use serde_json::Value;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use typst::diag::{FileError, FileResult};
use typst::foundations::{Bytes, Datetime, Duration, Smart};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt as _, World};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards, Timestamp};

use super::tables;
use crate::problem::{ApiError, internal};
use crate::reports::kept::Content;
use document::Document;
use fonts::Fonts;

/// The template; it reads what is at [`DATA`].
const TEMPLATE: &str = include_str!("pdf/report.typ");

/// Where the template is.
const MAIN: &str = "report.typ";

/// Where its data is.
const DATA: &str = "report.json";

/// For archives, with the text of everything and its order; and for readers who listen.
const STANDARDS: [PdfStandard; 2] = [PdfStandard::A_2a, PdfStandard::Ua_1];

/// Most lines of a report that is set; some eight of them are a page.
const LINES_MAX: usize = 2_000;

/// When a report without a payment was made, for an archived document has to name a moment.
const NO_PAYMENT: Option<NaiveDate> = NaiveDate::from_ymd_opt(2000, 1, 1);

/// What PDFs are written with.
pub struct Press {
    directory: PathBuf,
    fonts: OnceCell<Arc<Fonts>>,
    turns: Arc<Semaphore>,
}

/// The right to write one PDF, while no other is written: a long one takes much memory.
pub struct Turn {
    fonts: Arc<Fonts>,
    _turn: OwnedSemaphorePermit,
}

impl Press {
    /// Fonts will be looked for below the directory.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, fonts: OnceCell::new(), turns: Arc::new(Semaphore::new(1)) }
    }

    /// Waits until no other PDF is written. The first reads the fonts.
    ///
    /// # Errors
    /// 503 while there are none.
    pub async fn turn(&self) -> Result<Turn, ApiError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|error| internal(&error))?;
        let find = async || {
            let directory = self.directory.clone();
            let found = web::block(move || Fonts::find(&directory)).await.map_err(|error| internal(&error))?;
            found.map(Arc::new).map_err(|reason| {
                tracing::error!(reason = %reason, "no PDF can be written");
                let detail = "the fonts for PDF are missing; the operator has to install fonts-noto-cjk, or name the \
                              directory of Noto Sans CJK with --fonts; other formats need none";
                ApiError::unavailable("fonts_missing", detail)
            })
        };
        Ok(Turn { fonts: Arc::clone(self.fonts.get_or_try_init(find).await?), _turn: turn })
    }
}

impl Turn {
    /// Writes a report; the same bytes each time, with the same fonts and the same version of this program.
    ///
    /// # Errors
    /// 422 for a report that is too long, and mistakes of ours.
    pub fn write(&self, id: Sha256Digest, content: &Content, language: Language) -> Result<Vec<u8>, ApiError> {
        if content.list("lines").len() + tables::beside_lines(&content.report).len() > LINES_MAX {
            let detail = format!(
                "a report with more than {LINES_MAX} lines is too long for PDF; ask for fewer years, or for xlsx"
            );
            return Err(ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "report_too_large",
                "query",
                "/format",
                detail,
            ));
        }
        let document = document::of(id, content, language, &self.fonts);
        let options = PdfOptions {
            ident: Smart::Custom(format!("{id} {}", language.tag())),
            creator: Smart::Custom(Some(concat!("Chopmark ", env!("CARGO_PKG_VERSION")).to_owned())),
            timestamp: made_at(content).map(Timestamp::new_utc),
            standards: PdfStandards::new(&STANDARDS).map_err(|error| internal(error.message()))?,
            ..PdfOptions::default()
        };
        let pages = set(&self.fonts, &document);
        let written = pages.and_then(|pages| typst_pdf::pdf(&pages, &options).map_err(|_| refused()));
        // Nothing of a report stays behind in what the typesetter remembers.
        typst::comemo::evict(0);
        written
    }
}

/// Sets the pages.
fn set(fonts: &Fonts, document: &Document) -> Result<PagedDocument, ApiError> {
    let mut data = serde_json::to_value(document).map_err(|error| internal(&error))?;
    make_showable(&mut data, fonts);
    typst::compile(&Desk::new(fonts, data.to_string())?).output.map_err(|_| refused())
}

/// A mistake of ours. What the typesetter says of it may quote the report, which no log may.
fn refused() -> ApiError {
    internal(&"the typesetter does not take a report")
}

/// The day of the newest payment: a moment that the same report always has.
fn made_at(content: &Content) -> Option<Datetime> {
    let days = content.list("payments").iter().filter_map(|payment| payment.get("date")?.as_str()?.parse().ok());
    let day: NaiveDate = days.max().or(NO_PAYMENT)?;
    let [month, of_month] = [day.month(), day.day()].map(|part| u8::try_from(part).ok());
    Datetime::from_ymd_hms(day.year(), month?, of_month?, 0, 0, 0)
}

/// Makes every text of the data showable.
fn make_showable(value: &mut Value, fonts: &Fonts) {
    match value {
        Value::String(text) => *text = fonts.showable(text),
        Value::Array(items) => items.iter_mut().for_each(|item| make_showable(item, fonts)),
        Value::Object(members) => members.values_mut().for_each(|member| make_showable(member, fonts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// All there is for the template.
struct Desk<'a> {
    library: LazyHash<Library>,
    fonts: &'a Fonts,
    template: Source,
    data_id: FileId,
    data: Bytes,
}

impl<'a> Desk<'a> {
    fn new(fonts: &'a Fonts, data: String) -> Result<Self, ApiError> {
        let file = |path: &str| {
            let path = VirtualPath::new(path).map_err(|_| refused())?;
            Ok::<_, ApiError>(RootedPath::new(VirtualRoot::Project, path).intern())
        };
        Ok(Self {
            library: LazyHash::new(Library::default()),
            fonts,
            template: Source::new(file(MAIN)?, TEMPLATE.to_owned()),
            data_id: file(DATA)?,
            data: Bytes::from_string(data),
        })
    }
}

impl World for Desk<'_> {
    fn library(&self) -> &LazyHash<Library> {
        &self.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        self.fonts.book()
    }

    fn main(&self) -> FileId {
        self.template.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.template.id() { Ok(self.template.clone()) } else { Err(FileError::AccessDenied) }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        if id == self.data_id { Ok(self.data.clone()) } else { Err(FileError::AccessDenied) }
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.fonts.face(index).cloned()
    }

    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        None
    }
}
