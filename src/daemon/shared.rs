//! What every part of the running daemon may look at.

use std::sync::Arc;

use super::inference::stats::SharedStats;
use super::journal::SharedJournal;
use crate::clock::{Clock, Now};
use crate::config::Config;

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) started: Now,
    /// By stream index.
    pub(crate) stats: Vec<SharedStats>,
    /// By stream index.
    pub(crate) journals: Vec<SharedJournal>,
}
