//! `.npz` files: zip archives with one `.npy` array per entry, as `numpy.savez` writes them.
//!
//! They hold the input and output of `infer`, and the golden vectors of a bundle.

mod npy;

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::tensor::Tensor;

/// Arrays by name.
pub type Arrays = BTreeMap<String, Tensor>;

/// The largest number of entries in an archive.
const MAX_ENTRIES: usize = 1024;

/// The reason why bytes are not a usable `.npz`.
#[derive(Debug, thiserror::Error)]
pub enum NpzError {
    #[error("not a zip archive as numpy.savez writes it: {0}")]
    Archive(#[from] zip::result::ZipError),
    #[error("{count} entries; at most {MAX_ENTRIES} are read")]
    Entries { count: usize },
    #[error("entry {name:?} is cut off or damaged: {source}")]
    Entry { name: String, source: std::io::Error },
    #[error("entry {name:?} unpacks beyond the {limit} bytes allowed for the whole archive")]
    TooLarge { name: String, limit: u64 },
    #[error("array {name:?}: {reason}")]
    Array { name: String, reason: String },
}

/// Reads every array. At most `limit` bytes are unpacked, whatever the archive claims.
///
/// # Errors
/// Bytes that are not an archive of arrays, or unpack beyond the limit.
pub fn read(bytes: &[u8], limit: u64) -> Result<Arrays, NpzError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))?;
    if archive.len() > MAX_ENTRIES {
        return Err(NpzError::Entries { count: archive.len() });
    }
    let mut arrays = Arrays::new();
    let mut left = limit;
    for index in 0..archive.len() {
        let entry = archive.by_index(index)?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        let mut unpacked = Vec::new();
        let read = entry.take(left.saturating_add(1)).read_to_end(&mut unpacked);
        let read = read.map_err(|source| NpzError::Entry { name: name.clone(), source })?;
        left = left
            .checked_sub(u64::try_from(read).unwrap_or(u64::MAX))
            .ok_or_else(|| NpzError::TooLarge { name: name.clone(), limit })?;
        let name = name.strip_suffix(".npy").unwrap_or(&name).to_owned();
        match npy::read(&unpacked) {
            Ok(tensor) => arrays.insert(name, tensor),
            Err(reason) => return Err(NpzError::Array { name, reason }),
        };
    }
    Ok(arrays)
}

/// Returns the bytes of a deflated archive that `numpy.load` opens.
///
/// # Errors
/// A name that a zip archive cannot hold.
pub fn write<'a>(
    arrays: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
) -> Result<Vec<u8>, NpzError> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    // The default time stamp is 1980: the same arrays give the same bytes.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, tensor) in arrays {
        let bytes = npy::write(tensor);
        // Beyond 4 GiB an entry needs the wider header from the start.
        let options = options.large_file(u32::try_from(bytes.len()).is_err());
        archive.start_file(format!("{name}.npy"), options)?;
        archive
            .write_all(&bytes)
            .map_err(|source| NpzError::Entry { name: name.to_owned(), source })?;
    }
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests;
