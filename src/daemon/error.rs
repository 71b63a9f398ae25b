//! Why the daemon ends with an error.

use std::path::PathBuf;
use std::time::Duration;

use crate::ids::StreamName;

/// Why the daemon did not start, or did not stop in order.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("stream {stream} does not fit model {model}: {}", problems.join("; "))]
    Fit { stream: StreamName, model: String, problems: Vec<String> },
    #[error(
        "{dir} is in use by another inferd: stop that one, or set another `store.dir` for this one",
        dir = .0.display()
    )]
    StateDirInUse(PathBuf),
    #[error("no bundle was loaded for model {0}")]
    NoModel(String),
    #[error("cannot start a thread or the runtime: {0}")]
    System(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    #[error("a worker thread panicked, see the log above; restart the service")]
    WorkerDied,
    #[error("the connection task ended unexpectedly; this is a defect of inferd, please report it")]
    LinkDied,
    #[error(
        "stopping took longer than workers.stop_deadline ({0:?}); the broker delivers \
         unacknowledged inputs again"
    )]
    Overtime(Duration),
}
