//! From a payload to a prediction, per stream and device: topic -> decode -> window -> normalise ->
//! run -> interpret -> publish rules -> encode. Pure: it reads no clock of its own and has neither
//! queue nor file.
//!
//! [`Pipeline`] ties the parts together, one per stream; each part is a function on data and is
//! tested as one. Buffers are allocated once per stream, and a step allocates only what it sends.

mod capture;
mod carried;
mod comparison;
mod compatibility;
mod decode;
mod device_clock;
mod drift;
mod encode;
mod field_order;
mod golden;
mod holes;
mod input_numbers;
mod interpret;
mod join;
mod journal;
mod labels;
mod live;
mod model;
mod normalize;
mod numbers;
mod observation;
mod observers;
mod outputs;
mod persistence;
mod plan;
mod prediction_id;
mod predictor;
mod problems;
mod process;
mod proposal;
mod publish_policy;
mod publish_state;
mod publisher;
mod recording;
mod reject;
mod replay;
mod retained_marks;
mod runner;
mod shadow;
mod shape;
mod sizes;
mod snapshot;
mod snapshot_states;
mod state_codec;
mod step;
mod step_report;
mod stopwatch;
mod stream;
mod topics;
mod trace;
mod window;
mod window_loss;

#[cfg(test)]
pub(crate) mod tests;

pub use capture::{CapturedInput, Trigger};
pub use compatibility::{advice, check_compatibility};
pub use decode::{
    Decoded, MetricNames, PayloadDecoder, PayloadSchema, SampleBuilder, Samples, TensorPayload,
};
pub use drift::baseline_misfit;
pub use encode::mark_replayed;
pub use field_order::misplaced_fields;
pub(crate) use golden::verify_samples;
pub use golden::{
    MAX_GOLDEN_ROWS, agreement, golden_file, load, no_prediction, record, undetected_changes,
};
pub use journal::{JournalEntry, base_number};
pub use labels::LabelReport;
pub use live::{LiveInput, LivePrediction, LiveStep, LiveWindow};
pub use model::Infer;
pub use outputs::{OutputStats, SCORE_STEPS};
pub use prediction_id::PredictionIds;
pub use problems::CompatibilityError;
pub use proposal::{HeardMessage, ProposedStream, propose};
pub use recording::{ColumnNames, Expected, Recording, RecordingError, read_recordings};
pub use reject::{Got, Reject};
pub use replay::{CollectedFeatures, RecordingOrder, Replay, ReplayEvent, channels};
pub use shadow::ShadowTally;
pub use sizes::{journal_sample_size, saved_windows_size};
pub use snapshot::Restored;
pub use state_codec::RestoreError;
pub use step_report::{JoinReport, RejectCount, StageMicros, StepReport};
pub use stream::{DecoderFactory, Pipeline, SwapEffect};
pub use topics::{LabelRouter, Router};
pub use trace::{StepTrace, TracedReject, TracedSample, TracedTensor};
pub use window_loss::{LossCause, WindowFill, WindowLoss, WindowLosses};
