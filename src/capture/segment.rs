//! Inputs that become one pair of files.

use serde::Serialize;

use crate::bundle::batched_arrays::BatchedOutputs;
use crate::clock::{Mono, Now, Timestamp};
use crate::each_dtype;
use crate::npz::{self, NpzError};
use crate::pipeline::{CapturedInput, Trigger};
use crate::tensor::{Tensor, TensorSpec};

/// Inputs in a segment.
pub const MAX_SEGMENT_INPUTS: usize = 256;
/// A segment with more bytes of elements is complete.
const MAX_SEGMENT_BYTES: usize = 1 << 20;

/// A line of the metadata.
#[derive(Serialize)]
struct MetaLine<'a> {
    id: Option<&'a str>,
    time: Timestamp,
    device: &'a str,
    label: Option<&'a str>,
    score: Option<f32>,
    trigger: &'static str,
    model: &'a str,
    version: &'a str,
}

/// A segment in memory: inputs of one stream, one trigger, one version of the model.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) stream: usize,
    pub(super) trigger: Trigger,
    version: String,
    specs: Vec<TensorSpec>,
    arrays: BatchedOutputs,
    meta: Vec<u8>,
    pub(super) inputs: usize,
    bytes: usize,
    /// When its first input was captured.
    pub(super) opened: Mono,
    pub(super) time: Timestamp,
}

impl Segment {
    /// A segment for inputs like this one, still empty.
    pub(super) fn new(stream: usize, first: &CapturedInput, now: Now) -> Self {
        let specs: Vec<TensorSpec> = first.inputs.iter().map(|(spec, _)| spec.clone()).collect();
        Self {
            stream,
            trigger: first.trigger,
            version: first.version.clone(),
            arrays: BatchedOutputs::new(&specs),
            specs,
            meta: Vec::new(),
            inputs: 0,
            bytes: 0,
            opened: now.mono,
            time: now.wall,
        }
    }

    /// Whether an input belongs into this segment. The inputs of two versions may be normalized
    /// differently.
    pub(super) fn takes(&self, stream: usize, input: &CapturedInput) -> bool {
        let same_specs = self.specs.iter().eq(input.inputs.iter().map(|(spec, _)| spec));
        self.stream == stream
            && self.trigger == input.trigger
            && self.version == input.version
            && same_specs
    }

    pub(super) fn push(&mut self, input: &CapturedInput) {
        let line = MetaLine {
            id: input.id.as_deref(),
            time: input.time,
            device: &input.device,
            label: input.label.as_deref(),
            score: input.score,
            trigger: input.trigger.as_str(),
            model: &input.model,
            version: &input.version,
        };
        // A struct of numbers and text always serializes.
        self.meta.extend(serde_json::to_vec(&line).unwrap_or_default());
        self.meta.push(b'\n');
        let tensors: Vec<Tensor> = input.inputs.iter().map(|(_, tensor)| tensor.clone()).collect();
        self.bytes += tensors.iter().map(bytes_of).sum::<usize>();
        self.arrays.push(&tensors);
        self.inputs += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.inputs >= MAX_SEGMENT_INPUTS || self.bytes >= MAX_SEGMENT_BYTES
    }

    /// The two files: arrays and metadata.
    pub(super) fn encode(self) -> Result<EncodedSegment, NpzError> {
        let Self { stream, trigger, inputs, time, meta, arrays, .. } = self;
        Ok(EncodedSegment {
            stream,
            trigger,
            inputs,
            time,
            arrays: npz::write(arrays.iter())?,
            meta,
        })
    }
}

fn bytes_of(tensor: &Tensor) -> usize {
    each_dtype!(&tensor.data, v => v.len()) * tensor.dtype().size()
}

/// A segment as bytes.
#[derive(Debug)]
pub(super) struct EncodedSegment {
    pub(super) stream: usize,
    pub(super) trigger: Trigger,
    pub(super) inputs: usize,
    pub(super) time: Timestamp,
    pub(super) arrays: Vec<u8>,
    pub(super) meta: Vec<u8>,
}
