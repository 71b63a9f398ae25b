//! The numbers of a decoded payload.

use std::ops::Range;

use super::device::DeviceParts;
use crate::clock::Timestamp;

/// The most samples in one message: more than a second of audio.
pub(super) const MAX_SAMPLES: usize = 65_536;

/// The most numbers in the samples of one message, where it may be far shorter than they are: 32 MiB
/// of them.
pub(super) const MAX_VALUES: usize = 1 << 22;

/// How the numbers of a whole input lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum ValueOrder {
    /// In the order of the tensor.
    Flat,
    /// Row after row, one number per field.
    Rows,
    /// By field: each has its span.
    Columns,
}

/// The numbers of a decoded payload. The buffers are reused for the next one.
///
/// [`SampleBuilder`](super::sample_builder::SampleBuilder) fills them.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Windows: `times.len()` rows of one number per field. Whole inputs: as `order` says.
    pub(in crate::pipeline) values: Vec<f64>,
    /// Each sample's own time, where the payload has one; a single entry for whole inputs.
    pub(in crate::pipeline) times: Vec<Option<Timestamp>>,
    pub(in crate::pipeline) order: ValueOrder,
    /// With [`ValueOrder::Columns`], where in `values` each field's numbers are.
    pub(in crate::pipeline) spans: Vec<Range<usize>>,
    /// The device of each sample, where `payload.device` is set.
    pub(in crate::pipeline) devices: DeviceParts,
    /// Some numbers are NaN, which stands for a number that is missing.
    pub(in crate::pipeline) has_holes: bool,
    /// Samples, or messages, that are passed over by the stream's options.
    pub(in crate::pipeline) skipped: u32,
}

impl Default for Samples {
    fn default() -> Self {
        let (values, times, spans) = (Vec::new(), Vec::new(), Vec::new());
        let (order, devices) = (ValueOrder::Flat, DeviceParts::default());
        Self { values, times, order, spans, devices, has_holes: false, skipped: 0 }
    }
}

impl Samples {
    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.times.clear();
        self.order = ValueOrder::Flat;
        self.spans.clear();
        self.devices.clear();
        (self.has_holes, self.skipped) = (false, 0);
    }
}
