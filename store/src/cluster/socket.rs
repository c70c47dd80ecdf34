//! Where PostgreSQL's Unix socket lies and how to connect to it. Only the owner of the 0700 directory (and root) can
//! reach the socket: that is the whole authentication, so nothing here ever listens on a network.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use super::{account::Account, error::ClusterError};

/// Names the socket file only; nothing listens on a TCP port.
pub(super) const PORT: u16 = 5432;

/// Longest path of a socket, in bytes without the closing NUL: `sun_path` in unix(7), and in unix(4) of the BSDs.
const PATH_BYTES_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The socket file that PostgreSQL makes in `directory`.
pub(super) fn file(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!(".s.PGSQL.{port}"))
}

/// The directory for the socket: `preferred`, or where its path is too long or has characters that PostgreSQL's lists
/// of directories give a meaning, a short one under the system's temporary directory, named after the cluster's inode.
pub(super) fn choose(preferred: &Path, cluster: &Path, account: Option<&Account>) -> Result<PathBuf, ClusterError> {
    if is_usable(preferred) {
        return Ok(preferred.to_path_buf());
    }
    let metadata = fs::metadata(cluster).map_err(super::error::at("look at", cluster))?;
    let name = format!("chopmark-{:x}-{:x}", metadata.dev(), metadata.ino());
    [std::env::temp_dir(), PathBuf::from("/tmp")]
        .into_iter()
        .filter_map(|parent| parent.canonicalize().ok())
        .filter(|parent| account.is_none_or(|account| matches!(account.first_blocked(parent), Ok(None))))
        .map(|parent| parent.join(&name))
        .find(|path| is_usable(path))
        .ok_or_else(|| ClusterError::Directory {
            directory: preferred.to_path_buf(),
            reason: format!(
                "as a place for its Unix socket the path has over {PATH_BYTES_MAX} bytes or unusual characters, and neither TMPDIR nor /tmp can stand in; \
                 choose a --data-dir with a shorter path"
            ),
        })
}

fn is_usable(directory: &Path) -> bool {
    let plain = |c: char| !c.is_control() && !matches!(c, ',' | '"' | '\'' | '\\');
    file(directory, PORT).as_os_str().len() <= PATH_BYTES_MAX
        && directory.to_str().is_some_and(|text| text.chars().all(plain))
}

/// A connection URL that libpq (psql, `pg_dump`) and tokio-postgres both understand.
pub(super) fn url(directory: &Path, port: u16, role: &str, database: &str) -> String {
    let host = percent_encode(directory.as_os_str().as_bytes());
    format!("postgresql://{}@{host}:{port}/{}", percent_encode(role.as_bytes()), percent_encode(database.as_bytes()))
}

/// RFC 3986, section 2.1, leaving only the unreserved characters of section 2.3 as they are.
fn percent_encode(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 3);
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::*;

    #[test]
    fn url_survives_the_driver_parser() {
        for path in ["/srv/chopmark/postgres/socket", "/srv/a b/ü%2F/港?x=1&y#z@:5/socket"] {
            let config: tokio_postgres::Config =
                url(Path::new(path), PORT, "chopmark", "chop mark/ü?").parse().unwrap();
            assert_eq!(config.get_hosts(), [Host::Unix(PathBuf::from(path))]);
            assert_eq!(config.get_ports(), [PORT]);
            assert_eq!(config.get_user(), Some("chopmark"));
            assert_eq!(config.get_dbname(), Some("chop mark/ü?"));
        }
    }

    #[test]
    fn short_plain_paths_are_used_and_others_moved() {
        let cluster = tempfile::tempdir().unwrap();
        let longest = PATH_BYTES_MAX - "/.s.PGSQL.5432".len();
        let at_the_limit = PathBuf::from(format!("/{}", "a".repeat(longest - 1)));
        assert_eq!(choose(&at_the_limit, cluster.path(), None).unwrap(), at_the_limit);
        let over = PathBuf::from(format!("/{}", "a".repeat(longest)));
        for moved in [over, PathBuf::from("/srv/a,b"), PathBuf::from("/srv/a\"b"), PathBuf::from("/srv/a\nb")] {
            let chosen = choose(&moved, cluster.path(), None).unwrap();
            assert!(chosen.file_name().unwrap().to_str().unwrap().starts_with("chopmark-"), "{}", chosen.display());
            assert_eq!(chosen, choose(&moved, cluster.path(), None).unwrap(), "one cluster, one directory");
        }
    }
}
