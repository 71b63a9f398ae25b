//! From a payload to a prediction, per stream and device: topic -> decode -> window -> prepare ->
//! run -> interpret -> policy -> encode. Pure: no clock of its own, no queue, no file.
//!
//! [`Pipeline`] ties the parts together, one per stream; each part is a function on data and is
//! tested as one. Buffers are allocated once per stream, and a step allocates only what it sends.

mod decode;
mod encode;
mod fit;
mod golden;
mod infer;
mod interpret;
mod journal;
mod loss;
mod marks;
mod order;
mod outcome;
mod plan;
mod policy;
mod prepare;
mod recording;
mod reject;
mod replay;
mod runner;
mod saving;
mod sender;
mod shadow;
mod snapshot;
mod step;
mod take;
mod topics;
mod window;

#[cfg(test)]
pub(crate) mod tests;

pub use encode::mark_replayed;
pub use fit::{FitError, advice, fit, sample_bytes, windows_bytes};
pub(crate) use golden::prove_samples;
pub use golden::{GOLDEN_ROWS_MAX, agreement, golden_file, load, no_prediction, record, unproved};
pub use infer::{Ids, Infer};
pub use journal::{Addition, base_number};
pub use loss::{Fill, LossCause, WindowLoss, WindowLosses};
pub use order::misplaced_fields;
pub use outcome::{Micros, Outcome, Rejected};
pub use recording::{Expected, Names, Recording, RecordingError, read_recordings};
pub use reject::{Got, Reject};
pub use replay::{Replay, Replayed, channels};
pub use shadow::ShadowTally;
pub use snapshot::{RestoreError, Restored};
pub use step::{Pipeline, Swapped};
pub use topics::Router;
