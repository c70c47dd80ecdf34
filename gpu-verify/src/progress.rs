//! How a measurement tells its caller where it is. Calls come from several threads.

/// Receives progress; every method may be left out.
pub trait Progress: Sync {
    /// Before reading: what there is to do, beside what was told of before. A file that is read once more counts once.
    fn total(&self, _files: u64, _size_bytes: u64) {}

    /// A file is opened; `path` is its place in the manifest.
    fn file(&self, _path: &str) {}

    /// So many more bytes were read.
    fn bytes(&self, _size_bytes: u64) {}

    /// So many more bytes need not be read: what is in them is remembered.
    fn recalled(&self, _size_bytes: u64) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}
