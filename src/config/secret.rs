//! The files a configuration names: found, readable, and closed to strangers where they are secret.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::problem::{Problem, Problems};
use super::schema::{Kind, Opt};
use super::tree::{Node, Value};

/// Where a relative path may lead.
pub(super) struct Places<'a> {
    /// The configuration file's folder.
    pub(super) folder: &'a Path,
    /// systemd's `$CREDENTIALS_DIRECTORY`.
    pub(super) credentials: Option<&'a Path>,
}

/// Puts full paths in the place of relative ones and reports files that will not do.
pub(super) fn resolve(
    reference: &[Opt],
    root: &mut Node,
    places: &Places<'_>,
    problems: &Problems,
) {
    for opt in reference {
        // No option with a path is inside an array of tables.
        let Some(node) = place(root, opt.path) else { continue };
        let Value::Text(text) = &node.value else { continue };
        let (path, guarded) = places.find(Path::new(text), opt.kind);
        let checked = match opt.kind {
            Kind::File => readable(&path),
            Kind::Secret if guarded => readable(&path),
            Kind::Secret => readable(&path).and_then(|()| closed(&path)),
            Kind::Folder => Ok(()),
            _ => continue,
        };
        let full = Value::Text(path.to_string_lossy().into_owned());
        if let Err(reason) = checked {
            problems.add(Problem {
                origin: Some(node.origin.clone()),
                path: opt.path.to_owned(),
                value: Some(full.clone()),
                reason,
                allowed: places.allowed(text, opt.kind),
            });
        }
        node.value = full;
    }
}

fn place<'a>(root: &'a mut Node, path: &str) -> Option<&'a mut Node> {
    path.split('.').try_fold(root, |node, key| match &mut node.value {
        Value::Table(table) => table.get_mut(key),
        _ => None,
    })
}

impl Places<'_> {
    /// The full path, and whether it is one of systemd's credentials. Those are guarded by their
    /// folder, and may show group bits that are only the mask of an access list.
    fn find(&self, path: &Path, kind: Kind) -> (PathBuf, bool) {
        let may_be_credential = matches!(kind, Kind::Secret | Kind::File) && path.is_relative();
        let credential = self.credentials.map(|folder| folder.join(path));
        match credential.filter(|path| may_be_credential && path.exists()) {
            Some(path) => (path, true),
            None => (self.folder.join(path), false),
        }
    }

    /// What would do in the place of `text`. Credentials are given to the service alone: whoever checks by hand is told how to
    /// see them.
    fn allowed(&self, text: &str, kind: Kind) -> String {
        let name = !text.contains('/') && self.credentials.is_none();
        if name && matches!(kind, Kind::Secret) {
            return format!(
                "{kind}, or the name of a credential that the service has; \
                 `CREDENTIALS_DIRECTORY=/etc/credstore inferd check` finds those of /etc/credstore"
            );
        }
        kind.to_string()
    }
}

fn readable(path: &Path) -> Result<(), String> {
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let is_file = file.metadata().is_ok_and(|found| found.is_file());
    if is_file { Ok(()) } else { Err("not a file".into()) }
}

fn closed(path: &Path) -> Result<(), String> {
    let found = fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mode = found.permissions().mode() & 0o777;
    if mode.trailing_zeros() >= 6 {
        return Ok(());
    }
    Err(format!("its mode is {mode:04o}, so others may read or change it"))
}
