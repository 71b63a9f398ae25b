//! What a stream's payloads must hold, and what was found in one.

use std::ops::Range;

use super::device::DeviceParts;
use super::field_tree::{Node, Slot};
use crate::clock::Timestamp;
use crate::config::Payload;

/// Samples in one message; a second of audio fits, an attack does not.
pub(super) const MAX_SAMPLES: usize = 65_536;

/// What is expected of every payload of a stream.
#[derive(Clone, Debug)]
pub(crate) struct PayloadSchema {
    /// Names of the fields, one per channel; may be empty for whole inputs taken as they come.
    pub(super) fields: Vec<String>,
    /// Numbers in a sample; for whole inputs, in the message.
    pub(super) width: usize,
    /// Every message is one whole input rather than samples of a window.
    pub(super) whole: bool,
    /// The fields and the time within a sample.
    pub(super) sample: Node,
    /// The samples and the time within the object around them, where `payload.samples` is set.
    pub(super) envelope: Option<Node>,
    pub(super) time: Option<String>,
    /// A time before this is none.
    pub(super) earliest: Timestamp,
    /// The fields that name the device.
    pub(super) device: Vec<String>,
    pub(super) max_payload: usize,
}

/// How the numbers of a whole input lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// As the tensor wants them.
    Flat,
    /// Row after row, one number per field.
    Rows,
    /// By field: each has its span.
    Columns,
}

/// A decoded payload. The buffers are used again for the next one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Samples {
    /// Windows: `times.len()` rows of one number per field. Whole inputs: as `order` says.
    pub(crate) values: Vec<f64>,
    /// Each sample's own time, where the payload has one; a single entry for whole inputs.
    pub(crate) times: Vec<Option<Timestamp>>,
    pub(crate) order: Order,
    /// With [`Order::Columns`], where in `values` each field's numbers are.
    pub(crate) spans: Vec<Range<usize>>,
    /// The device of each sample, where `payload.device` is set.
    pub(in crate::pipeline) devices: DeviceParts,
}

impl PayloadSchema {
    /// `width` is the numbers in a sample, or in the message for whole inputs.
    pub(in crate::pipeline) fn new(
        payload: &Payload,
        fields: Vec<String>,
        width: usize,
        whole: bool,
        max_payload: usize,
    ) -> Self {
        let around = |node: &mut Node| {
            if let Some(time) = &payload.time {
                node.add(time, Slot::Time);
            }
            for (part, name) in payload.device.iter().enumerate() {
                node.add(name, Slot::Device(part));
            }
        };
        let mut sample = Node::default();
        for (number, field) in fields.iter().enumerate() {
            sample.add(field, Slot::Field(number));
        }
        around(&mut sample);
        let envelope = payload.samples.as_ref().map(|samples| {
            let mut node = Node::default();
            node.add(samples, Slot::Samples);
            around(&mut node);
            node
        });
        let (time, earliest, device) =
            (payload.time.clone(), payload.earliest, payload.device.clone());
        Self { fields, width, whole, sample, envelope, time, earliest, device, max_payload }
    }

    /// Whether every number by itself is a sample.
    pub(super) fn is_single(&self) -> bool {
        self.width == 1 && !self.whole && !self.sample.is_indexed()
    }
}

impl Default for Samples {
    fn default() -> Self {
        let (values, times, spans) = (Vec::new(), Vec::new(), Vec::new());
        Self { values, times, order: Order::Flat, spans, devices: DeviceParts::default() }
    }
}

impl Samples {
    /// Stands for a payload that needs no decoding.
    pub(in crate::pipeline) fn set_direct(&mut self) {
        self.clear();
        self.times.push(None);
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.times.clear();
        self.order = Order::Flat;
        self.spans.clear();
        self.devices.clear();
    }
}
