//! Files that survive a power cut, locks between processes, and free space.
//!
//! Everything here blocks; callers on an async runtime use a blocking thread.

mod atomic;
mod lock;
mod space;

pub(crate) use atomic::{
    sibling, sync_folder, sync_parent, write_atomic, write_atomic_through, write_durable,
};
pub(crate) use lock::FileLock;
pub(crate) use space::free_bytes;
