//! The seam between payload formats and the rest of the pipeline.

use std::ops::Range;

use super::samples::Samples;
use super::sparkplug::MetricNames;
use crate::clock::Timestamp;
use crate::pipeline::reject::Reject;
use crate::tensor::{Data, Dtype};

/// Decodes the payloads of one stream.
///
/// Each format is one implementation, made from the stream's [`PayloadSchema`] in `formats.rs`. A
/// decoder keeps its buffers between payloads, and `out` keeps those of the decoded message, so that
/// decoding allocates nothing per sample.
///
/// [`PayloadSchema`]: super::schema::PayloadSchema
pub trait PayloadDecoder: Send + std::fmt::Debug {
    /// Takes note of the topic of the next payload and of when it came, for formats in which these
    /// have a meaning.
    fn begin(&mut self, _topic: &str, _received: Timestamp) {}

    /// The names that earlier messages gave for those to come, for the decoder that replaces this
    /// one.
    fn take_names(&mut self) -> Option<MetricNames> {
        None
    }

    /// Takes up the names that the decoder before this one knew.
    fn set_names(&mut self, _names: MetricNames) {}

    /// Replaces the contents of `out` by those of a payload.
    ///
    /// # Errors
    /// The first reason for which the payload as a whole is rejected. The contents of `out` are
    /// then undefined.
    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject>;
}

/// A decoded payload. Its buffers are reused for the next one.
#[derive(Clone, Debug)]
pub enum Decoded {
    /// Numbers, which the card's normalisation and layout turn into input tensors.
    Samples(Samples),
    /// All elements of the model's only input, in its own order and type. They are passed to the
    /// model as they are, without normalisation.
    Tensor(Data),
}

impl Default for Decoded {
    fn default() -> Self {
        Self::Samples(Samples::default())
    }
}

impl Decoded {
    /// The samples from `from` on that are of one device; `None` after the last.
    pub(in crate::pipeline) fn device_rows(&self, from: usize) -> Option<Range<usize>> {
        let samples = self.samples()?;
        let all = samples.times.len();
        (from < all).then(|| from..samples.devices.run_from(from).unwrap_or(all))
    }

    /// The samples, if these are samples.
    pub(in crate::pipeline) fn samples(&self) -> Option<&Samples> {
        match self {
            Self::Samples(samples) => Some(samples),
            Self::Tensor(_) => None,
        }
    }

    /// Makes this [`Decoded::Samples`] and returns them, with the contents of the previous message.
    pub fn samples_mut(&mut self) -> &mut Samples {
        if let Self::Tensor(_) = self {
            *self = Self::default();
        }
        match self {
            Self::Samples(samples) => samples,
            Self::Tensor(_) => unreachable!("samples were just put there"),
        }
    }

    /// Makes this a [`Decoded::Tensor`] of this type and returns its elements, with the contents of
    /// the previous message.
    pub fn tensor_mut(&mut self, dtype: Dtype) -> &mut Data {
        if !matches!(self, Self::Tensor(data) if data.dtype() == dtype) {
            *self = Self::Tensor(Data::zeros(dtype, 0));
        }
        match self {
            Self::Tensor(data) => data,
            Self::Samples(_) => unreachable!("a tensor was just put there"),
        }
    }
}
