//! The bare loop: what reading and hashing small files takes whoever does it. It looks at nothing twice, remembers nothing and
//! checks nothing, so that no program that reads files into a buffer can be faster.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::thread;

use chopmark_core::digest::Blake3Digest;

use crate::Failure;

/// The buffer of each thread, which is used again; larger files are refused.
const BUFFER_SIZE_BYTES: usize = 128 << 10;

/// Prints the BLAKE3 digest of each file, computed on all cores.
pub(crate) fn run(files: &[OsString]) -> Result<(), Failure> {
    let cores = thread::available_parallelism()?.get();
    let digests = thread::scope(|scope| {
        let parts = files.chunks(files.len().div_ceil(cores).max(1)).map(|part| scope.spawn(|| hash(part)));
        let parts: Vec<_> = parts.collect();
        let parts = parts.into_iter().map(|part| part.join().map_err(|_| Failure::from("a thread panicked"))?);
        parts.collect::<Result<Vec<_>, Failure>>()
    })?;
    let lines: Vec<String> = digests.iter().flatten().zip(files).map(|(digest, file)| line(digest, file)).collect();
    println!("{}", lines.join("\n"));
    Ok(())
}

fn hash(files: &[OsString]) -> Result<Vec<Blake3Digest>, Failure> {
    let mut buffer = vec![0; BUFFER_SIZE_BYTES];
    let digest = |file: &OsString| {
        let size_bytes = File::open(file)?.read_at(&mut buffer, 0)?;
        match buffer.get(..size_bytes) {
            Some(bytes) if size_bytes < BUFFER_SIZE_BYTES => Ok(Blake3Digest::of(bytes)),
            _ => Err(Failure::from(format!("{} is too large for the bare loop", file.display()))),
        }
    };
    files.iter().map(digest).collect()
}

fn line(digest: &Blake3Digest, file: &OsString) -> String {
    format!("{}  {}", digest.to_hex(), file.display())
}
