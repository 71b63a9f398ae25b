//! Whether the daemon could write to the folders that a configuration names.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

/// What was found out about a folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Good,
    /// The daemon cannot use it, whoever runs it.
    Problem(String),
    /// This user cannot, and another one may.
    Warning(String),
}

/// Tries a folder by making a file in it. One that is not there yet needs a folder above it to be
/// made in.
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
            "{text}; check as the user of the service, or chown it: sudo -u inferd inferd check"
        )),
        // The daemon starts and predicts; results wait in memory until there is room.
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Finding::Warning(format!("{text}; make room, or choose another folder"))
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
