//! What stands in for the press in a build without the feature `pdf`: one that never gives a turn.

use std::path::PathBuf;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::tax::words::Language;

use super::Format;
use crate::problem::ApiError;
use crate::reports::kept::Content;

/// No press.
pub struct Press;

/// What there is none of.
pub enum Turn {}

impl Press {
    /// Needs no fonts.
    pub fn new(_: PathBuf) -> Self {
        Self
    }

    /// Refuses.
    ///
    /// # Errors
    /// 400, always.
    #[expect(clippy::unused_async, reason = "the press of other builds waits")]
    pub async fn turn(&self) -> Result<Turn, ApiError> {
        Err(Format::Pdf.not_built())
    }
}

impl Turn {
    /// Can't be called.
    ///
    /// # Errors
    /// None.
    pub fn write(&self, _: Sha256Digest, _: &Content, _: Language) -> Result<Vec<u8>, ApiError> {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_this_build_writes() {
        let press = Press::new(PathBuf::new());
        let error = actix_web::rt::System::new().block_on(press.turn()).err().unwrap();
        assert_eq!((error.0.status, error.0.code.as_str()), (400, "bad_parameter"));
        assert!(error.0.detail.contains("csv, xlsx and json"), "{}", error.0.detail);
    }
}
