//! What all parts of the running daemon share.

use std::sync::Arc;

use super::inference::stats::SharedStats;
use super::live::SharedLive;
use super::windows::journal_state::SharedJournal;
use crate::capture::CaptureHandle;
use crate::clock::{Clock, Now};
use crate::config::Config;

/// Configuration, clock, and the state that is shared per stream.
pub(crate) struct DaemonContext {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    /// When the daemon was started.
    pub(crate) started: Now,
    /// By stream index.
    pub(crate) stats: Vec<SharedStats>,
    /// By stream index.
    pub(crate) live: Vec<SharedLive>,
    /// By stream index.
    pub(crate) journals: Vec<SharedJournal>,
    /// `None` if no stream captures inputs.
    pub(crate) capture: Option<CaptureHandle>,
}
