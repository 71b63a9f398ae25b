//! The journal of the windows of a stream: a base, and entries with what came after it.
//!
//! A base is a snapshot after a number: `INFB`, the number (u64), the snapshot. Every message that
//! reaches the window of a device is recorded, and from time to time the records are taken as an entry.
//! Base and entries together restore the windows ([`restore()`]). The model is not run again: the state
//! of the publish rules is recorded with the window that changed it.
//!
//! An entry, little-endian: `INFA`, the number of its base (u64), how many messages came between
//! the base and it (u64), when it was taken (i64, us since 1970) and how long after the base
//! (number, us of monotonic time), the messages, the CRC-32 of everything before. A number is
//! LEB128; one that may be negative is zigzag. A message is:
//!
//! - the device: 0 and its name (length as number, UTF-8), or n for the nth name of this addition;
//! - when it was received, after the message before (the first: after the base), and how long after
//!   that its device was looked up, both in us and signed;
//! - any of: 1 and a sample's numbers (f32 or f64, as in the snapshot); 2, its own time after the
//!   own time before it (the first: after 1970; signed, us) and its numbers; 3 and the memory of
//!   the publish rules; 4 and the id of the input: epoch and packet id after those before
//!   (signed), the checksum (u32); 5 where the window starts over before the next sample because the
//!   device's clock was set; 6 and values that are joined: twice their count, plus 1 if their time is
//!   that of the arrival (number), the time as in 2, and each with the place of its channel (number)
//!   and as f64; 7 and a whole input of a model that carries state; 8 and such an input with its time as
//!   in 2; 0 at the end.
//!
//! An entry with carried states begins with `INFS`. Before the messages it has how many there are
//! (number), and for each the number of its device's name and its bytes (length as number; none where it
//! starts over), as they are after the last of the messages.

mod entry;
mod recorder;
mod restore;
#[cfg(test)]
mod tests;

pub(super) use entry::base;
pub use entry::{JournalEntry, base_number};
pub(super) use recorder::JournalRecorder;
pub(super) use restore::{Kept, restore};
