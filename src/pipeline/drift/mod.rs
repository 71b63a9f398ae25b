//! The quantities of a stream that are watched for drift, and what watches them.

mod features;
mod observer;
mod watch;

pub(super) use features::FeatureExtractor;
pub(super) use observer::{Collector, DriftObserver};
pub use watch::baseline_misfit;
