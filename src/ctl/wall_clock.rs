//! The time of day.

use std::time::SystemTime;

use crate::clock::Timestamp;

/// The current time, for documents and reports.
pub(super) fn now() -> Timestamp {
    SystemTime::now().into()
}
