//! Opens key files with passwords from files or from the terminal.

use std::path::{Path, PathBuf};

use super::keyfile::{self, KeyError, KeyFile};
use crate::ctl::files::read;
use crate::terminal::{Exit, Failure, ask_secret};
use crate::update::SecretKey;

/// How many times a password is asked for.
const MAX_PASSWORD_ATTEMPTS: usize = 3;

/// The password of key files, for commands without another password.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct KeyPassword {
    /// A file whose first line is the password of a key file; may be given several times [default: asked
    /// for on a terminal]
    #[arg(long, value_name = "FILE", visible_alias = "password-file")]
    pub(super) key_password_file: Vec<PathBuf>,
}

/// Passwords as they become known.
#[derive(Debug)]
struct Passwords {
    known: Vec<Vec<u8>>,
}

/// The keys of these files.
pub(super) fn load_keys(
    paths: &[PathBuf],
    password_files: &[PathBuf],
) -> Result<Vec<SecretKey>, Failure> {
    let files =
        paths.iter().map(|path| Ok(keyfile::read(path)?)).collect::<Result<Vec<_>, Failure>>()?;
    let mut passwords = Passwords { known: Vec::new() };
    // A password file is read only where a key asks for it.
    if files.iter().any(KeyFile::is_locked) {
        let known = password_files.iter().map(|path| first_line(path));
        passwords.known = known.collect::<Result<_, _>>()?;
    }
    files.iter().zip(paths).map(|(file, path)| passwords.open(file, path)).collect()
}

/// The password for a new key; `None` if it is stored unencrypted.
pub(super) fn new_password(
    files: &[PathBuf],
    unencrypted: bool,
    path: &Path,
) -> Result<Option<Vec<u8>>, Failure> {
    match files {
        [file] => return first_line(file).map(Some),
        [] if unencrypted => return Ok(None),
        [] => {}
        [_, _, ..] => {
            let message = "a key has one password; give --key-password-file once";
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    let path = path.display();
    let Some(password) = ask_secret(&format!("Password for the new key {path}"))? else {
        let message = "give a file with the key's password with --key-password-file, or store the \
                       key unencrypted with --unencrypted; on a terminal the password is asked for";
        return Err(Failure::new(Exit::Usage, message));
    };
    if password.is_empty() {
        let message =
            "an empty password protects nothing; --unencrypted stores the key without one";
        return Err(Failure::new(Exit::Failed, message));
    }
    if ask_secret("Repeat the password")?.as_ref() == Some(&password) {
        Ok(Some(password))
    } else {
        Err(Failure::new(Exit::Failed, "the passwords differ; no key was created"))
    }
}

/// The first line of a password file.
pub(super) fn first_line(path: &Path) -> Result<Vec<u8>, Failure> {
    let text = read(path)?;
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        let message = format!("{}: its first line is empty", path.display());
        return Err(Failure::new(Exit::Failed, message));
    }
    Ok(line.to_vec())
}

impl Passwords {
    /// Opens a key with the first password that fits, else asks for one.
    fn open(&mut self, file: &KeyFile, path: &Path) -> Result<SecretKey, Failure> {
        if !file.is_locked() {
            return Ok(file.open(path, None)?);
        }
        for password in &self.known {
            match file.open(path, Some(password)) {
                Err(KeyError::Password { .. }) => {}
                opened => return Ok(opened?),
            }
        }
        let mut is_tried = !self.known.is_empty();
        for _ in 0..MAX_PASSWORD_ATTEMPTS {
            let Some(password) = ask_secret(&format!("Password for {}", path.display()))? else {
                break;
            };
            match file.open(path, Some(&password)) {
                Err(KeyError::Password { .. }) => {
                    is_tried = true;
                    eprintln!("wrong password");
                }
                opened => {
                    self.known.push(password);
                    return Ok(opened?);
                }
            }
        }
        let path = path.to_owned();
        let error = if is_tried { KeyError::Password { path } } else { KeyError::Locked { path } };
        Err(error.into())
    }
}
