//! What the payloads of a stream must contain.

use std::sync::Arc;

use super::field_tree::{Node, Slot};
use super::missing::MissingPlan;
use super::text_numbers::TextNumbers;
use super::time::TimeRules;
use crate::config::tree::Scalar;
use crate::config::{
    ArrayOrder, Bytes, Compression, CsvDialect, Format, Payload, Records, SampleInterval,
};
use crate::protobuf::MessageTypes;
use crate::tensor::Dtype;

/// What every payload of a stream must contain, from the stream's options and the model's inputs.
#[derive(Clone, Debug)]
pub struct PayloadSchema {
    pub(super) format: Format,
    /// Set if a raw payload is the model's only input, element by element.
    pub(super) tensor: Option<TensorPayload>,
    /// Names of the fields, one per channel; may be empty for whole inputs taken as they come.
    pub(super) fields: Vec<String>,
    /// Numbers in a sample; for whole inputs, in the message.
    pub(super) width: usize,
    /// Every message is one whole input rather than samples of a window.
    pub(super) whole: bool,
    /// The fields and the time within a sample.
    pub(super) sample: Node,
    pub(super) samples: Option<String>,
    /// The samples and the time within the object around them, where `payload.samples` is set.
    pub(super) envelope: Option<Node>,
    pub(super) time: Option<String>,
    /// The field of the time of day, where that of the time is a date.
    pub(super) time_of_day: Option<String>,
    pub(super) times: TimeRules,
    /// The fields that name the device.
    pub(super) device: Vec<String>,
    /// `None` where every sample must be complete.
    pub(super) missing: Option<MissingPlan>,
    /// How texts are read where a number is wanted.
    pub(super) texts: TextNumbers,
    /// An array of arrays has one for each field rather than one for each sample.
    pub(super) in_columns: bool,
    pub(super) csv: CsvDialect,
    /// Fields and the values that they have in messages of the stream.
    pub(super) filter: Vec<(String, Vec<Scalar>)>,
    /// Bytes before the first number of binary payloads and of `bytes`.
    pub(super) header: usize,
    pub(super) bytes: Option<Bytes>,
    pub(super) records: Option<Records>,
    /// The types of messages of Protocol Buffers.
    pub(super) message_types: Option<Arc<MessageTypes>>,
    /// The distance of the samples of a message that has one time.
    pub(super) interval: Option<SampleInterval>,
    pub(super) compression: Compression,
    /// The most bytes of a payload that was compressed.
    pub(super) max_inflated: usize,
}

/// The bound of payloads that were compressed, unless the stream has one.
const MAX_INFLATED: usize = 64 << 10;

/// A payload that is the model's only input, element by element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorPayload {
    /// The input's name.
    pub name: String,
    pub dtype: Dtype,
    /// Elements of the input.
    pub len: usize,
}

impl PayloadSchema {
    /// `width` is the numbers in a sample, or in the message for whole inputs.
    pub(in crate::pipeline) fn new(
        payload: &Payload,
        fields: Vec<String>,
        width: usize,
        whole: bool,
        tensor: Option<TensorPayload>,
    ) -> Self {
        let around = |node: &mut Node| {
            if let Some(time) = &payload.time {
                node.add_time(time);
            }
            if let Some(time) = &payload.reading.times.time_of_day {
                node.add(time, Slot::TimeOfDay);
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
        let reading = &payload.reading;
        Self {
            format: payload.format,
            tensor,
            missing: MissingPlan::new(&reading.missing, &fields),
            fields,
            width,
            whole,
            sample,
            samples: payload.samples.clone(),
            envelope,
            time: payload.time.clone(),
            time_of_day: reading.times.time_of_day.clone(),
            times: TimeRules::new(payload),
            device: payload.device.clone(),
            texts: TextNumbers::new(reading),
            in_columns: reading.arrays == ArrayOrder::Columns,
            csv: reading.csv,
            filter: reading.filter.clone(),
            header: payload.header,
            bytes: payload.bytes.clone(),
            records: payload.records.clone(),
            message_types: payload.protobuf.as_ref().and_then(|it| it.types.clone()),
            interval: reading.interval.filter(|_| !whole),
            compression: reading.compression,
            max_inflated: MAX_INFLATED,
        }
    }

    /// The same, with the most bytes of a payload that was compressed.
    #[must_use]
    pub(in crate::pipeline) fn with_max_inflated(self, max_inflated: usize) -> Self {
        Self { max_inflated, ..self }
    }

    /// The format that the stream's options name.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Names of the fields, one for each channel; may be empty for whole inputs.
    #[must_use]
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// Numbers in a sample; for whole inputs, in the message.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether every message is one whole input rather than samples of a window.
    #[must_use]
    pub fn is_whole_input(&self) -> bool {
        self.whole
    }

    /// The model's only input, if a payload is to be passed to it without normalisation.
    #[must_use]
    pub fn tensor(&self) -> Option<&TensorPayload> {
        self.tensor.as_ref()
    }

    /// What becomes of missing numbers; `None` where every sample must be complete.
    pub(in crate::pipeline) fn missing_plan(&self) -> Option<MissingPlan> {
        self.missing.clone()
    }

    /// Whether texts may stand for numbers, or for none.
    pub(super) fn reads_texts(&self) -> bool {
        self.missing.is_some() || !self.texts.is_strict()
    }

    /// Whether every number by itself is a sample.
    pub(super) fn is_single(&self) -> bool {
        self.width == 1 && !self.whole && !self.sample.is_indexed()
    }
}
