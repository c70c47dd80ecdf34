//! The files that are hashed: of random bytes, so that no file system stores them shorter.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::Failure;

/// Files of one size.
pub(super) struct Set {
    /// How it is called.
    pub(super) name: &'static str,
    /// How many.
    pub(super) files: u32,
    /// Bytes of each.
    pub(super) size_bytes: u64,
}

/// Bytes written at a time.
const PIECE_SIZE_BYTES: usize = 64 << 10;

/// Writes the files, which are in the page cache then, and returns their paths in order.
pub(super) fn fill(directory: &Path, set: &Set) -> Result<Vec<PathBuf>, Failure> {
    fs::create_dir(directory)?;
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut piece = vec![0; PIECE_SIZE_BYTES];
    let mut paths = Vec::new();
    for index in 0..set.files {
        let path = directory.join(format!("{index:05}.bin"));
        let mut file = File::create(&path)?;
        let mut left_bytes = set.size_bytes;
        while left_bytes > 0 {
            for word in piece.as_chunks_mut::<8>().0 {
                // xorshift64: Marsaglia, "Xorshift RNGs", 2003.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                *word = random.to_le_bytes();
            }
            let wanted = usize::try_from(left_bytes).unwrap_or(usize::MAX).min(piece.len());
            file.write_all(piece.get(..wanted).unwrap_or_default())?;
            left_bytes = left_bytes.saturating_sub(u64::try_from(wanted)?);
        }
        paths.push(path);
    }
    // What is still to be written to the disk would be written while times are taken.
    std::process::Command::new("sync").arg("--file-system").arg(directory).status()?;
    Ok(paths)
}
