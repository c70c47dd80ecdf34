//! The programs: how each is started, what it prints, and which version it is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::children_cpu;
use crate::Failure;

/// Hashes a directory; prints how long that took, without starting Python and loading modules, and the digests.
const MODEL_SIGNING: &str = "
import sys, time
import model_signing
start = time.monotonic()
hashing = model_signing.hashing.Config().use_file_serialization(hashing_algorithm=sys.argv[1])
manifest = hashing.hash(sys.argv[2])
print(time.monotonic() - start)
for item in sorted(manifest.resource_descriptors(), key=lambda item: item.identifier):
    print(item.digest.digest_hex)
";

/// So many processes at a time, so many files for each; every one writes to a file of its own, because lines of several in one
/// pipe tear each other apart.
const OPENSSL_ALL_CORES: &str = r#"
cores=$1 at_once=$2; shift 2
digests=$(mktemp -d) || exit
printf '%s\0' "$@" |
    xargs -0 -P "$cores" -n "$at_once" sh -c 'openssl dgst -sha256 -out "$(mktemp -p "$0")" "$@"' "$digests"
status=$?
cat "$digests"/*
rm -r "$digests"
exit $status
"#;

/// What stands before the files to start the bare loop.
pub(crate) const BARE: &str = "bare-loop";

/// A program that hashes files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// `chopmark hash --digest …`.
    Ours(&'static str),
    /// `b3sum`: BLAKE3 with all cores, one file after the other.
    B3sum,
    /// `openssl dgst -sha256` for all files.
    OpensslOne,
    /// As many of them as there are cores.
    OpensslAllCores,
    /// The library `model_signing` of the `OpenSSF`, which hashes several files at once.
    ModelSigning(&'static str),
    /// `fsverity digest` for all files.
    Fsverity,
    /// This program's own loop that does nothing but read and hash small files: see `bare.rs`.
    Bare,
}

/// One run.
pub(super) struct Run {
    /// From start to end.
    pub(super) wall: Duration,
    /// CPU time of all its threads and children.
    pub(super) cpu: Duration,
}

impl Program {
    /// One of each, for their versions.
    pub(super) const ALL: [Self; 5] =
        [Self::Ours("blake3"), Self::B3sum, Self::OpensslOne, Self::ModelSigning("sha256"), Self::Fsverity];

    /// How it is called in tables.
    pub(super) fn name(self) -> String {
        match self {
            Self::Ours(digests) => format!("chopmark {digests}"),
            Self::B3sum => "b3sum".to_owned(),
            Self::OpensslOne => "openssl dgst, one".to_owned(),
            Self::OpensslAllCores => "openssl dgst, all cores".to_owned(),
            Self::ModelSigning(digest) => format!("model_signing {digest}"),
            Self::Fsverity => "fsverity digest".to_owned(),
            Self::Bare => "the bare loop, blake3".to_owned(),
        }
    }

    /// Which digests it computes.
    pub(super) fn digest(self) -> Vec<&'static str> {
        match self {
            Self::Ours(digests) => digests.split(',').collect(),
            Self::B3sum | Self::Bare => vec!["blake3"],
            Self::OpensslOne | Self::OpensslAllCores => vec!["sha256"],
            Self::ModelSigning(digest) => vec![digest],
            Self::Fsverity => vec!["fsverity"],
        }
    }

    /// What it says of itself.
    pub(super) fn version(self) -> Result<String, Failure> {
        let mut command = Command::new(self.executable()?);
        match self {
            Self::OpensslOne | Self::OpensslAllCores => command.arg("version"),
            Self::ModelSigning(_) => {
                command.args(["-c", "from importlib.metadata import version; print(version('model_signing'))"])
            }
            Self::Ours(_) | Self::B3sum | Self::Fsverity | Self::Bare => command.arg("--version"),
        };
        let said = command.stderr(Stdio::inherit()).output()?;
        Ok(String::from_utf8(said.stdout)?.lines().next().unwrap_or_default().to_owned())
    }

    /// The digests of one kind, in the order of the files.
    pub(super) fn digests(self, kind: &str, directory: &Path, files: &[PathBuf]) -> Result<Vec<String>, Failure> {
        let mut command = self.command(directory, files)?;
        if let Self::Ours(_) = self {
            command.arg("--json");
        }
        let said = command.stderr(Stdio::inherit()).output()?;
        if !said.status.success() {
            return Err(format!("{} ended with {}", self.name(), said.status).into());
        }
        let said = String::from_utf8(said.stdout)?;
        if let Self::Ours(_) = self {
            let member = if kind == "fsverity" { "fsverity-sha256-4096" } else { kind };
            let document: Value = serde_json::from_str(&said)?;
            let listed = document.get("digests").and_then(Value::as_array).ok_or("no digests in our JSON")?;
            let text = |file: &Value| file.get(member).and_then(Value::as_str).map(str::to_owned);
            return Ok(listed.iter().filter_map(text).collect());
        }
        let lines = said.lines();
        Ok(match self {
            // SHA2-256(path)= digest; in whatever order several of them come to their ends.
            Self::OpensslOne | Self::OpensslAllCores => {
                let mut lines: Vec<&str> = lines.collect();
                lines.sort_unstable();
                lines.iter().filter_map(|line| line.split("= ").nth(1)).map(str::to_owned).collect()
            }
            Self::ModelSigning(_) => lines.skip(1).map(str::to_owned).collect(),
            _ => lines.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect(),
        })
    }

    /// Runs it once.
    pub(super) fn run(self, directory: &Path, files: &[PathBuf]) -> Result<Run, Failure> {
        let mut command = self.command(directory, files)?;
        let cpu_before = children_cpu()?;
        let start = Instant::now();
        let said = command.stderr(Stdio::null()).output()?;
        let wall = start.elapsed();
        if !said.status.success() {
            return Err(format!("{} ended with {}", self.name(), said.status).into());
        }
        let cpu = children_cpu()?.saturating_sub(cpu_before);
        let wall = match self {
            Self::ModelSigning(_) => {
                let said = String::from_utf8(said.stdout)?;
                Duration::from_secs_f64(said.lines().next().unwrap_or_default().parse()?)
            }
            _ => wall,
        };
        Ok(Run { wall, cpu })
    }

    fn command(self, directory: &Path, files: &[PathBuf]) -> Result<Command, Failure> {
        let mut command = Command::new(self.executable()?);
        match self {
            Self::Ours(digests) => command.args(["hash", "--quiet", "--digest", digests]).arg(directory),
            Self::B3sum => command.args(files),
            Self::Bare => command.arg(BARE).args(files),
            Self::OpensslOne => command.args(["dgst", "-sha256"]).args(files),
            Self::OpensslAllCores => {
                // Several turns for each core, so that none is idle for long at the end.
                let cores = std::thread::available_parallelism()?.get();
                let at_once = files.len().div_ceil(cores.saturating_mul(4)).max(1);
                let (cores, at_once) = (cores.to_string(), at_once.to_string());
                command.args(["-c", OPENSSL_ALL_CORES, "sh", &cores, &at_once]).args(files)
            }
            Self::ModelSigning(digest) => command.args(["-c", MODEL_SIGNING, digest]).arg(directory),
            Self::Fsverity => {
                command.args(["digest", "--hash-alg=sha256", "--block-size=4096", "--compact"]).args(files)
            }
        };
        Ok(command)
    }

    fn executable(self) -> Result<OsString, Failure> {
        let named = |variable: &str| {
            std::env::var_os(variable).ok_or_else(|| format!("{variable} is not set; use scripts/bench-hash.sh"))
        };
        Ok(match self {
            Self::Ours(_) => named("CHOPMARK_BENCH_BIN")?,
            Self::B3sum => named("CHOPMARK_BENCH_B3SUM")?,
            Self::ModelSigning(_) => named("CHOPMARK_BENCH_PYTHON")?,
            Self::OpensslOne => "openssl".into(),
            Self::OpensslAllCores => "sh".into(),
            Self::Fsverity => "fsverity".into(),
            Self::Bare => std::env::current_exe()?.into(),
        })
    }
}
