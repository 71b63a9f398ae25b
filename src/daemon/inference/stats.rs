//! Counters that a worker writes and health reads.

use std::sync::{Arc, Mutex};

use crate::monitor::StreamStats;

/// The counters of one stream: written by its worker, read by health.
pub(crate) type SharedStats = Arc<Mutex<StreamStats>>;
