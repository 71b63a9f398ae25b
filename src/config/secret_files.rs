//! Checks the files that a configuration names: they must be readable, and secrets private.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::load::Environment;
use super::problem::{Problem, Problems};
use super::schema::{Kind, OptionSpec};
use super::tree::{Node, Value};

/// Where a relative path may lead.
pub(super) struct Places<'a> {
    /// The configuration file's folder.
    pub(super) folder: &'a Path,
    /// systemd's `$CREDENTIALS_DIRECTORY`.
    pub(super) credentials: Option<&'a Path>,
}

/// Puts full paths in the place of relative ones and reports files that will not do. What will do
/// and should be better is returned, a sentence each.
pub(super) fn resolve(
    reference: &[OptionSpec],
    root: &mut Node,
    places: &Places<'_>,
    problems: &Problems,
) -> Vec<String> {
    let mut notes = Vec::new();
    for opt in reference {
        if !matches!(opt.kind, Kind::File | Kind::Secret | Kind::Folder) {
            continue;
        }
        for node in nodes(root, opt.path) {
            notes.extend(resolve_one(opt, node, places, problems));
        }
    }
    notes
}

/// The same for one value of an option. What will do and should be better is returned.
fn resolve_one(
    opt: &OptionSpec,
    node: &mut Node,
    places: &Places<'_>,
    problems: &Problems,
) -> Option<String> {
    let Value::Text(text) = &node.value else { return None };
    let (path, guarded) = places.find(Path::new(text), opt.kind);
    let checked = match opt.kind {
        Kind::Secret if !guarded => readable(&path).and_then(|()| secret_access(&path)),
        Kind::File | Kind::Secret => readable(&path).map(|()| None),
        _ => Ok(None),
    };
    let full = Value::Text(path.to_string_lossy().into_owned());
    let note = checked.unwrap_or_else(|reason| {
        problems.add(Problem {
            origin: Some(node.origin.clone()),
            path: opt.path.to_owned(),
            value: Some(full.clone()),
            reason,
            allowed: places.allowed(text, opt.kind),
        });
        None
    });
    node.value = full;
    note.map(|note| format!("{}: {note}", opt.path))
}

/// Reports environment variables that options name and that hold no secret.
pub(super) fn look_up_variables(
    reference: &[OptionSpec],
    root: &Node,
    environment: &Environment,
    problems: &Problems,
) {
    for opt in reference.iter().filter(|opt| matches!(opt.kind, Kind::Env)) {
        let node = opt.path.split('.').try_fold(root, |node, key| node.get(key));
        let Some(Node { value: Value::Text(name), origin }) = node else { continue };
        let reason = match environment.var(name) {
            Some(value) if !value.trim_end_matches(['\r', '\n']).is_empty() => continue,
            Some(_) => "the environment variable is empty",
            None => "the environment variable is not set",
        };
        problems.add(Problem {
            origin: Some(origin.clone()),
            path: opt.path.to_owned(),
            value: Some(Value::Text(name.clone())),
            reason: reason.to_owned(),
            allowed: format!(
                "the name of a variable in the environment of the service; to check manually, run \
                 `{name}=… inferd check`"
            ),
        });
    }
}

/// The values of an option; `[]` stands for each table of an array.
fn nodes<'a>(node: &'a mut Node, path: &str) -> Vec<&'a mut Node> {
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    let Value::Table(table) = &mut node.value else { return Vec::new() };
    let Some(found) = table.get_mut(key.trim_end_matches("[]")) else { return Vec::new() };
    let Some(rest) = rest else { return vec![found] };
    if !key.ends_with("[]") {
        return nodes(found, rest);
    }
    match &mut found.value {
        Value::List(list) => list.iter_mut().flat_map(|node| nodes(node, rest)).collect(),
        _ => Vec::new(),
    }
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

    /// What would do in the place of `text`. Credentials are given to the service alone: a check by hand is told how to
    /// see them.
    fn allowed(&self, text: &str, kind: Kind) -> String {
        let name = !text.contains('/') && self.credentials.is_none();
        if name && matches!(kind, Kind::Secret) {
            return format!(
                "{kind}, or the name of a systemd credential of the service; \
                 `CREDENTIALS_DIRECTORY=/etc/credstore inferd check` looks in /etc/credstore"
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

/// Who may read and change a secret. `Ok(Some(..))` is a warning: containers mount their secrets
/// readable by everybody (Docker 0444, Kubernetes 0644), and only the owner of the machine can
/// change that.
///
/// # Errors
/// Others can change the file, or it belongs to a user who is neither root nor the one of this
/// process.
pub fn secret_access(path: &Path) -> Result<Option<String>, String> {
    let found = fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    let (mode, owner) = (found.mode() & 0o777, found.uid());
    if mode & 0o077 == 0 {
        return Ok(None);
    }
    if mode & 0o022 != 0 {
        return Err(format!("its mode is {mode:04o}, so other users can modify it; run chmod 600"));
    }
    if owner != 0 && !is_own(owner) {
        return Err(format!(
            "its mode is {mode:04o} and its owner (uid {owner}) is neither root nor the user of \
             inferd; run chown, or chmod 600"
        ));
    }
    let path = path.display();
    Ok(Some(format!(
        "{path} is readable by other users (mode {mode:04o}); run chmod 600 if possible"
    )))
}

/// Whether this is the effective user of the process.
fn is_own(user: u32) -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == user)
}
