//! What can go wrong with the private PostgreSQL, each message naming the place and what to do about it.
//! Relies on nothing; every file of the cluster returns these.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

use super::binaries::INSTALL_ADVICE;

/// Why the private PostgreSQL could not be started, stopped or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A file or directory could not be worked with.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb phrase: "create directory".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// No usable PostgreSQL was found anywhere.
    #[error("no usable PostgreSQL found; looked at:\n{looked}\n{INSTALL_ADVICE}")]
    NoBinaries {
        /// One indented line for each place: where, and what was wrong there.
        looked: String,
    },
    /// The directory the user named holds no usable PostgreSQL.
    #[error("the PostgreSQL named by CHOPMARK_PG_BIN cannot be used: {}: {reason}\n{INSTALL_ADVICE}", directory.display())]
    UnusableBinaries {
        /// The directory as it was given.
        directory: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
    /// Another process holds the lock on this cluster.
    #[error(
        "another chopmark is already using {}; stop it first, or start this one with another --data-dir",
        directory.display()
    )]
    InUse {
        /// The cluster's directory.
        directory: PathBuf,
    },
    /// The data was written by another major version of PostgreSQL than the binaries found.
    #[error(
        "{} was written by PostgreSQL {cluster_major}, but the binaries in {} are PostgreSQL {binaries_major}; \
         point CHOPMARK_PG_BIN at the bin directory of a PostgreSQL {cluster_major}, or migrate the data with pg_upgrade",
        data.display(), binaries.display()
    )]
    VersionMismatch {
        /// The PostgreSQL data directory.
        data: PathBuf,
        /// Major version in its `PG_VERSION`.
        cluster_major: u32,
        /// Where the binaries lie.
        binaries: PathBuf,
        /// Their major version.
        binaries_major: u32,
    },
    /// The data directory holds something that PostgreSQL did not make.
    #[error(
        "{} is not a PostgreSQL data directory ({reason}); restore it from a backup, or move it away to start afresh",
        data.display()
    )]
    NotACluster {
        /// The directory looked at.
        data: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
    /// No account to drop root's privileges to.
    #[error(
        "PostgreSQL refuses to run as root and {reason}; create a user (useradd --system chopmark), \
         name one with CHOPMARK_PG_USER, or start chopmark as an ordinary user"
    )]
    NoAccount {
        /// Which names were looked for, and where.
        reason: String,
    },
    /// A directory on the way to the data can't be entered by the account PostgreSQL runs as.
    #[error(
        "PostgreSQL runs as user {user}, who cannot enter {}, which is on the way to {}; choose a --data-dir elsewhere, \
         such as /var/lib/chopmark, or allow it with: chmod o+x {}",
        blocked.display(), directory.display(), blocked.display()
    )]
    Untraversable {
        /// The first directory from the root that refuses.
        blocked: PathBuf,
        /// Where PostgreSQL has to get to.
        directory: PathBuf,
        /// The account PostgreSQL runs as.
        user: String,
    },
    /// The data belongs to another account than the one PostgreSQL would run as.
    #[error(
        "{} belongs to user ID {owner}, but PostgreSQL would run as {user}; start chopmark as the owner, \
         or hand the files over with: chown -R {user} {}",
        data.display(), data.display()
    )]
    WrongOwner {
        /// The PostgreSQL data directory.
        data: PathBuf,
        /// Its owner's numeric user ID.
        owner: u32,
        /// Name or numeric ID of the account PostgreSQL would run as.
        user: String,
    },
    /// A directory that PostgreSQL should have to itself is unsafe or does not fit.
    #[error("cannot give {} to PostgreSQL: {reason}", directory.display())]
    Directory {
        /// The directory refused.
        directory: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// `initdb` did not make a cluster.
    #[error("cannot create the database cluster in {}: {reason}\n{output}", directory.display())]
    Initdb {
        /// The cluster's directory; nothing half-made is left in it.
        directory: PathBuf,
        /// How it ended.
        reason: String,
        /// What it printed, both streams.
        output: String,
    },
    /// PostgreSQL did not become ready.
    #[error("PostgreSQL did not start: {reason}; last lines of {}:\n{log_tail}", log.display())]
    NotReady {
        /// How it ended, or how long was waited.
        reason: String,
        /// The server log.
        log: PathBuf,
        /// Its last lines.
        log_tail: String,
    },
    /// PostgreSQL ended although nobody stopped it.
    #[error("PostgreSQL ended unexpectedly ({status}); last lines of {}:\n{log_tail}", log.display())]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// The server log.
        log: PathBuf,
        /// Its last lines.
        log_tail: String,
    },
    /// A process that may be a server on our data, but can't be told apart with certainty.
    #[error(
        "process {pid} may be a PostgreSQL left running on {}: {reason}; stop it, or if it is something else remove {}/postmaster.pid",
        data.display(), data.display()
    )]
    UnclearOrphan {
        /// The process.
        pid: i32,
        /// The PostgreSQL data directory.
        data: PathBuf,
        /// What speaks for and against.
        reason: &'static str,
    },
    /// A server left behind by a killed chopmark, which does not stop.
    #[error("PostgreSQL process {pid}, left running on {} by a chopmark that was killed, does not stop within {waited:?}; stop it by hand", data.display())]
    StubbornOrphan {
        /// The process.
        pid: i32,
        /// The PostgreSQL data directory.
        data: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// There is no running private PostgreSQL to connect to.
    #[error("no private PostgreSQL is running in {}; start it with: chopmark serve", directory.display())]
    NotRunning {
        /// The cluster's directory.
        directory: PathBuf,
    },
    /// The started server refused a statement of the set-up.
    #[error("cannot {action} in the private PostgreSQL: {detail}")]
    Sql {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The server's or the driver's words.
        detail: String,
    },
}

/// Turns an [`io::Error`] into [`ClusterError::Io`] with its place; for `map_err`.
pub(super) fn at(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> ClusterError {
    let path = path.into();
    move |source| ClusterError::Io { action, path, source }
}
