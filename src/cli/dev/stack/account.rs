//! The account that the servers run as: Postgres refuses to run as root.

use std::{io, os::unix::fs::MetadataExt, path::Path};

use tokio::process::Command;

/// An unprivileged account of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// The account to drop to; `None` when this process is not root and needs none.
    ///
    /// # Errors
    /// Root, and no unprivileged account to drop to.
    pub fn for_servers() -> anyhow::Result<Option<Self>> {
        if std::fs::metadata("/proc/self")?.uid() != 0 {
            return Ok(None);
        }
        let users = std::fs::read_to_string("/etc/passwd")?;
        let account = ["postgres", "nobody"].into_iter().find_map(|name| in_passwd(&users, name));
        anyhow::ensure!(
            account.is_some(),
            "Postgres refuses to run as root, and there is neither a user `postgres` nor `nobody`: make one with `adduser --system postgres`"
        );
        Ok(account)
    }

    /// Makes the path this account's own.
    pub fn own(self, path: &Path) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
    }

    /// Whether the account may enter the directory and all that lead to it.
    pub fn can_reach(self, dir: &Path) -> io::Result<bool> {
        for step in dir.ancestors() {
            let found = step.metadata()?;
            let entry = match (found.uid() == self.uid, found.gid() == self.gid) {
                (true, _) => 0o100,
                (_, true) => 0o010,
                _ => 0o001,
            };
            if found.mode() & entry == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A command that runs as the servers' account, in its own process group, so that
/// Ctrl-C reaches this process alone, and away from directories that it may not enter.
#[must_use]
pub fn command(program: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").process_group(0);
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    command
}

fn in_passwd(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name() {
        let users = "root:x:0:0:root:/root:/bin/bash\nbroken\npostgres:x:104:112:,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(in_passwd(users, "postgres"), Some(Account { uid: 104, gid: 112 }));
        assert_eq!(in_passwd(users, "broken"), None);
        assert_eq!(in_passwd(users, "absent"), None);
    }

    #[test]
    fn a_closed_directory_above_closes_all_below() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("below");
        std::fs::create_dir(&below).unwrap();
        let stranger = Account { uid: 54_321, gid: 54_321 };
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!stranger.can_reach(&below).unwrap());
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        assert!(stranger.can_reach(&below).unwrap());
    }
}
