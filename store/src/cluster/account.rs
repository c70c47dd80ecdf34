//! Who PostgreSQL runs as. It refuses to run as root, so a service started as root hands it to an ordinary account.
//! Relies on /etc/passwd, which initdb needs too, and on permission bits; access lists are not looked at.

use std::{
    fs::{self, DirBuilder, Metadata, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::process::geteuid;
use tokio::process::Command;

use super::error::{ClusterError, at};

/// Accounts tried when none is named, best first.
const DEFAULT_NAMES: [&str; 3] = ["postgres", "chopmark", "nobody"];

/// Environment that PostgreSQL's programs are given. Everything else stays out: `PG*` variables would change what
/// they do, and the service's secrets are none of their business.
const ENVIRONMENT_KEPT: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR"];

/// One line of /etc/passwd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// Whether this account may enter a directory with this owner and mode. Its only group is its primary one:
    /// supplementary groups are dropped when the process is started.
    fn may_enter(&self, metadata: &Metadata) -> bool {
        let execute_bit = if metadata.uid() == self.uid {
            0o100
        } else if metadata.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        metadata.mode() & execute_bit != 0
    }

    /// The first directory from the root down to `path` itself that this account can't enter.
    pub(super) fn first_blocked(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let from_the_root: Vec<&Path> = path.ancestors().collect();
        for directory in from_the_root.into_iter().rev() {
            if !self.may_enter(&fs::metadata(directory)?) {
                return Ok(Some(directory.to_path_buf()));
            }
        }
        Ok(None)
    }
}

/// The account to switch to, or `None` where the service is not root and PostgreSQL runs as whoever runs the service.
/// Data that exists already is best served by its owner, so that installing a `postgres` user later changes nothing.
pub(super) fn choose(requested: Option<&str>, data: &Path) -> Result<Option<Account>, ClusterError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").map_err(at("read", "/etc/passwd"))?;
    let owner = fs::symlink_metadata(data).ok().map(|metadata| metadata.uid());
    pick(&passwd, requested, owner).map(Some)
}

fn pick(passwd: &str, requested: Option<&str>, owner: Option<u32>) -> Result<Account, ClusterError> {
    let accounts: Vec<Account> = passwd.lines().filter_map(parse_line).filter(|account| account.uid != 0).collect();
    let named = |name: &str| accounts.iter().find(|account| account.name == name).cloned();
    if let Some(name) = requested {
        let reason = || format!("/etc/passwd has no ordinary user named {name}");
        return named(name).ok_or_else(|| ClusterError::NoAccount { reason: reason() });
    }
    let of_owner = accounts.iter().find(|account| Some(account.uid) == owner).cloned();
    of_owner.or_else(|| DEFAULT_NAMES.into_iter().find_map(named)).ok_or_else(|| ClusterError::NoAccount {
        reason: format!("/etc/passwd has none of the users {}", DEFAULT_NAMES.join(", ")),
    })
}

/// `name:password:uid:gid:…`, see passwd(5). Lines that don't fit are skipped, as the C library does.
fn parse_line(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(Account { name, uid, gid })
}

/// The user ID that PostgreSQL's files must have.
pub(super) fn uid_of(account: Option<&Account>) -> u32 {
    account.map_or_else(|| geteuid().as_raw(), |account| account.uid)
}

/// Refuses data that PostgreSQL, running as `account`, would refuse for its ownership.
pub(super) fn check_owner(data: &Path, account: Option<&Account>) -> Result<(), ClusterError> {
    let owner = fs::symlink_metadata(data).map_err(at("look at", data))?.uid();
    let wanted = uid_of(account);
    if owner == wanted {
        return Ok(());
    }
    let user = account.map_or_else(|| format!("user ID {wanted}"), |account| account.name.clone());
    Err(ClusterError::WrongOwner { data: data.to_path_buf(), owner, user })
}

/// Makes `path` a directory that only PostgreSQL's account can use, or makes sure that it is one already.
/// Never follows a symlink and never takes over what belongs to somebody else.
pub(super) fn private_directory(path: &Path, account: Option<&Account>) -> Result<(), ClusterError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(at("create directory", path)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let metadata = fs::symlink_metadata(path).map_err(at("look at", path))?;
    let refuse = |reason: String| Err(ClusterError::Directory { directory: path.to_path_buf(), reason });
    if !metadata.is_dir() {
        return refuse("it is not a directory; remove it".to_owned());
    }
    if metadata.uid() != uid_of(account) {
        if metadata.uid() != geteuid().as_raw() {
            return refuse(format!("it belongs to user ID {}; remove it", metadata.uid()));
        }
        if let Some(account) = account {
            std::os::unix::fs::lchown(path, Some(account.uid), Some(account.gid)).map_err(at("chown", path))?;
        }
    }
    if metadata.mode() & 0o7777 != 0o700 {
        fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(at("chmod", path))?;
    }
    Ok(())
}

/// A command of PostgreSQL, to be run as `account` in its own process group: Ctrl-C at a terminal reaches the whole
/// foreground group, and PostgreSQL must outlive the service's last transaction. Messages are English, because some
/// are read by us.
pub(super) fn command(program: &Path, account: Option<&Account>, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", home).env("LC_ALL", "C").current_dir(home).stdin(Stdio::null()).process_group(0);
    for name in ENVIRONMENT_KEPT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        broken line\n\
        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
        alice:x:1000:1001:Alice:/home/alice:/bin/sh\n\
        postgres:x:101:104::/var/lib/postgresql:/bin/bash\n";

    fn name(requested: Option<&str>, owner: Option<u32>) -> String {
        pick(PASSWD, requested, owner).unwrap().name
    }

    #[test]
    fn named_account_wins_then_owner_then_defaults() {
        assert_eq!(name(Some("alice"), Some(101)), "alice");
        assert_eq!(name(None, Some(1000)), "alice");
        assert_eq!(name(None, None), "postgres");
        assert_eq!(name(None, Some(4242)), "postgres", "an owner without an entry does not count");
        assert_eq!(name(None, Some(0)), "postgres", "root's data is not served as root");
        assert_eq!(parse_line("alice:x:1000:1001::/:").unwrap().gid, 1001);
    }

    #[test]
    fn root_and_unknown_names_are_refused() {
        for requested in ["root", "mallory", ""] {
            let message = pick(PASSWD, Some(requested), None).unwrap_err().to_string();
            assert!(message.contains("no ordinary user") && message.contains("CHOPMARK_PG_USER"), "{message}");
        }
        let message = pick("root:x:0:0::/root:/bin/sh", None, None).unwrap_err().to_string();
        assert!(message.contains("postgres, chopmark, nobody"), "{message}");
    }

    #[test]
    fn first_blocked_directory_is_named() {
        let stranger = Account { name: "stranger".to_owned(), uid: 4_000_000_001, gid: 4_000_000_002 };
        let root = tempfile::Builder::new().permissions(Permissions::from_mode(0o711)).tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (open, shut) = (root.join("open"), root.join("open/shut"));
        fs::create_dir_all(shut.join("inner")).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o711)).unwrap();
        fs::set_permissions(&shut, Permissions::from_mode(0o766)).unwrap();
        assert_eq!(stranger.first_blocked(&open).unwrap(), None);
        assert_eq!(stranger.first_blocked(&shut.join("inner")).unwrap(), Some(shut.clone()));
        let metadata = fs::metadata(&shut).unwrap();
        let owner = Account { name: "owner".to_owned(), uid: metadata.uid(), gid: metadata.gid() };
        assert!(owner.may_enter(&metadata));
        let in_group = Account { uid: 4_000_000_001, ..owner };
        assert!(!in_group.may_enter(&metadata), "the group's bit decides for its members");
    }

    #[test]
    fn private_directory_tightens_its_mode_and_refuses_what_is_not_one() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("socket");
        DirBuilder::new().mode(0o755).create(&path).unwrap();
        private_directory(&path, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let message = private_directory(&link, None).unwrap_err().to_string();
        assert!(message.contains("not a directory"), "{message}");
    }
}
