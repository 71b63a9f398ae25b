//! Bundles in one file: an uncompressed tar of plain files in one folder.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tar::{Archive, Builder, EntryType, Header};

use super::{Bundle, BundleError, CARD_FILE, parse};
use crate::engine::identify;

/// The largest bundle, in bytes, packed or in a folder. Models for gateways are far smaller.
pub(crate) const MAX_BUNDLE_SIZE: u64 = 512 << 20;
const MAX_FILES: usize = 32;

/// Whether the bytes start like a tar.
pub(super) fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..).is_some_and(|rest| rest.starts_with(b"ustar"))
}

impl Bundle {
    /// Reads a bundle from the bytes of a `.bundle` file.
    ///
    /// # Errors
    /// Bytes that are not a tar of plain files, names that leave the bundle, or an invalid card.
    pub fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        Self::from_files(read_files(bytes)?, None)
    }

    /// Writes the bundle as one file. The same files always give the same bytes.
    ///
    /// # Errors
    /// Any error of `out`.
    pub fn write(&self, out: impl io::Write) -> io::Result<()> {
        write_files(&self.files, out)
    }
}

/// Writes files as the tar of a bundle, with the card first, so that a reader of the stream has it
/// early.
pub(crate) fn write_files(
    files: &BTreeMap<String, Vec<u8>>,
    out: impl io::Write,
) -> io::Result<()> {
    let mut archive = Builder::new(out);
    let card = files.get_key_value(CARD_FILE).into_iter();
    for (name, bytes) in card.chain(files.iter().filter(|(name, _)| *name != CARD_FILE)) {
        let mut header = Header::new_ustar();
        header.set_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes.as_slice())?;
    }
    archive.into_inner()?.flush()
}

/// Returns the plain files of a bundle's tar by name. The error for another file says what it is.
pub(crate) fn read_files(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, BundleError> {
    entries(bytes).map_err(|error| match identify(bytes) {
        Some(what) if !is_tar(bytes) => BundleError::Archive(format!("it is {what}")),
        _ => error,
    })
}

fn entries(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, BundleError> {
    let refuse = |why: &str| BundleError::Archive(why.to_owned());
    let broken = |error: io::Error| {
        let error = error.to_string();
        BundleError::Archive(format!("not a whole tar file: {}", error.escape_debug()))
    };
    let mut files = BTreeMap::new();
    let mut left = MAX_BUNDLE_SIZE;
    let mut archive = Archive::new(bytes);
    for entry in archive.entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = path.strip_prefix("./").unwrap_or(&path);
        match entry.header().entry_type() {
            EntryType::Regular => {}
            // The first entry of `tar c .`.
            EntryType::Directory if name.is_empty() || name == "." => continue,
            _ => return Err(refuse(&format!("{path:?} is not a plain file"))),
        }
        let name = parse::file_name(name);
        let name = name.map_err(|why| refuse(&format!("{path:?} is {why}")))?;
        let mut content = Vec::new();
        let size = entry.size();
        let read = entry.take(left.saturating_add(1)).read_to_end(&mut content).map_err(broken)?;
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        let too_large =
            || BundleError::TooLarge { what: "the bundle".into(), max: MAX_BUNDLE_SIZE };
        left = left.checked_sub(read).ok_or_else(too_large)?;
        if read != size {
            return Err(refuse(&format!("{path:?} is cut off after {read} of {size} bytes")));
        }
        if files.insert(name, content).is_some() {
            return Err(refuse(&format!("{path:?} is there twice")));
        }
        if files.len() > MAX_FILES {
            return Err(refuse(&format!("more than {MAX_FILES} files")));
        }
    }
    Ok(files)
}
