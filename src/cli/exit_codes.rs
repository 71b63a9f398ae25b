//! The exit codes of errors that only `inferd` meets.

use crate::control::client::AskError;
use crate::control::{Code, Refused};
use crate::daemon;
use crate::store::StoreError;
use crate::terminal::{Exit, Failure};

impl From<daemon::RunError> for Failure {
    fn from(error: daemon::RunError) -> Self {
        use daemon::RunError::{
            Fit, LinkDied, NoModel, Overtime, StateDirInUse, Store, System, WorkerDied,
        };
        let exit = match &error {
            Fit { .. } | NoModel(_) => Exit::Config,
            System(_) | WorkerDied | LinkDied => Exit::Internal,
            // Going back to an older version is a decision, and no restart makes it.
            Store(StoreError::Newer { .. }) => Exit::Config,
            Store(_) => Exit::Io,
            StateDirInUse(_) | Overtime(_) => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        let exit = match &error {
            AskError::NotRunning { .. }
            | AskError::NoAnswer { .. }
            | AskError::Refused(Refused { code: Code::NoBroker | Code::Stopping, .. }) => {
                Exit::Unavailable
            }
            AskError::NotAllowed { .. } => Exit::Io,
            AskError::Refused(_) => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}
