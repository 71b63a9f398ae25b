//! The exit codes of errors that only `inferd` meets.

use crate::control::client::RequestError;
use crate::control::{ErrorCode, ErrorResponse};
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

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let exit = match &error {
            RequestError::NotRunning { .. }
            | RequestError::NoAnswer { .. }
            | RequestError::Refused(ErrorResponse {
                code: ErrorCode::NoBroker | ErrorCode::Stopping,
                ..
            }) => Exit::Unavailable,
            RequestError::NotAllowed { .. } => Exit::Io,
            RequestError::Refused(_) => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}
