//! Checks that the daemon can write to the folders of the configuration.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

/// The result of checking a folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Good,
    /// No user can write to it.
    Problem(String),
    /// This user cannot write to it; another may be able to.
    Warning(String),
}

/// Checks a folder by creating a file in it. A folder that does not exist yet needs an existing
/// parent folder.
pub(super) fn try_folder(dir: &Path) -> Finding {
    let Some(there) = dir.ancestors().find(|path| path.exists()) else { return Finding::Good };
    if !there.is_dir() {
        return Finding::Problem(format!("{} is not a folder", there.display()));
    }
    if there != dir {
        return Finding::Good;
    }
    let trial = dir.join(format!(".inferd-check-{}", std::process::id()));
    let made = File::create_new(&trial).map(drop).and_then(|()| fs::remove_file(&trial));
    let Err(error) = made else { return Finding::Good };
    let text = format!("cannot be written to: {error}");
    match error.kind() {
        ErrorKind::PermissionDenied => Finding::Warning(format!(
            "{text}; check as the user of the service (`sudo -u inferd inferd check`), or change \
             the owner"
        )),
        // The daemon runs without it; results stay in memory until there is space.
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Finding::Warning(format!("{text}; free some space, or choose another folder"))
        }
        _ => Finding::Problem(format!("{text}; mount or choose another folder")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_tried_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(try_folder(dir.path()), Finding::Good);
        assert_eq!(try_folder(&dir.path().join("a/b")), Finding::Good);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something was left behind");
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let found = try_folder(&file.join("below"));
        assert!(
            matches!(&found, Finding::Problem(why) if why.contains("not a folder")),
            "{found:?}"
        );
        assert!(matches!(
            try_folder(Path::new("/proc/1")),
            Finding::Problem(_) | Finding::Warning(_)
        ));
    }
}
