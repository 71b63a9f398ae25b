//! Keeps sled's page cache within its configured size.
//!
//! sled counts accesses to pages in 256 queues, by the page's number, and looks at what a queue's
//! pages take only when 64 accesses have come together there. A database that is read once, or
//! filled, comes to each page a few times and never again: 100,000 results of noise were all still
//! in memory after an open, and a third of them after they had been written. So a page that gets
//! bytes is accessed a few times more, by how many they are; then sled drops the older pages of
//! its queue.

use super::database::DatabaseError;

/// A page has about 16 KiB where its values are full, and is to make its queue's 64 alone.
const BYTES_PER_ACCESS: usize = 256;

/// To be called when `bytes` of the page that has this key have come into memory.
pub(super) fn record_accesses(
    tree: &sled::Tree,
    key: &[u8],
    bytes: usize,
) -> Result<(), DatabaseError> {
    for _ in 0..bytes / BYTES_PER_ACCESS {
        tree.get(key)?;
    }
    Ok(())
}

/// Each look-up has sled free a few of the pages that were dropped and that no thread looks at.
const EVICTION_LOOKUPS: usize = 1024;

/// To be called after much has been dropped.
pub(super) fn free_dropped(tree: &sled::Tree) -> Result<(), DatabaseError> {
    for _ in 0..EVICTION_LOOKUPS {
        tree.get([])?;
    }
    Ok(())
}
