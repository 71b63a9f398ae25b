//! The messages of a join: where they come from and which channels they have.

use super::plan::JoinPlan;
use super::rows::JoinedRows;
use crate::config::{Payload, Stream};
use crate::pipeline::decode::{PayloadDecoder, PayloadSchema, Samples, ValueOrder};
use crate::pipeline::plan::StreamPlan;

/// The sources of a stream, with buffers for one message.
#[derive(Debug)]
pub(in crate::pipeline) struct Join {
    pub(super) plan: JoinPlan,
    /// By topic of the stream.
    pub(super) sources: Vec<SourceDecoder>,
    /// The values of one sample of a message.
    pub(super) values: Vec<(usize, f64)>,
    pub(super) rows: JoinedRows,
    /// A joined sample as a whole input.
    pub(super) whole: Samples,
}

/// What the messages of one source have.
#[derive(Debug)]
pub(super) struct SourceDecoder {
    pub(super) decoder: Box<dyn PayloadDecoder>,
    pub(super) channels: SourceChannels,
    /// Microseconds added to each timestamp.
    pub(super) offset: i64,
}

/// The channels of a source's messages.
#[derive(Clone, Debug)]
pub(super) enum SourceChannels {
    /// The one that the topic names.
    OfTopic,
    /// By field: its place in a sample.
    Fields(Vec<usize>),
}

impl Join {
    /// `None` if the messages of the stream are samples.
    pub(in crate::pipeline) fn new(
        stream: &Stream,
        plan: &StreamPlan,
        make_decoder: impl Fn(PayloadSchema) -> Box<dyn PayloadDecoder>,
    ) -> Option<Box<Self>> {
        let (join, plan) = stream.join.as_ref().zip(plan.join.clone())?;
        let mut sources = Vec::new();
        for source in &join.sources {
            let of_topic = source.topic.captures().any(|name| join.by.as_deref() == Some(name));
            let fields = match (of_topic, source.payload.fields.as_slice()) {
                (true, _) => vec![join.value.clone()],
                (false, []) => plan.channels.clone(),
                (false, fields) => fields.to_vec(),
            };
            let payload = Payload { fields: fields.clone(), ..source.payload.clone() };
            let width = fields.len();
            let places = fields.iter().filter_map(|field| plan.channel(field)).collect();
            let schema = PayloadSchema::new(&payload, fields, width, false, None);
            let channels = match of_topic {
                true => SourceChannels::OfTopic,
                false => SourceChannels::Fields(places),
            };
            let (decoder, offset) = (make_decoder(schema), source.offset);
            sources.push(SourceDecoder { decoder, channels, offset });
        }
        let mut whole = Samples { order: ValueOrder::Columns, ..Samples::default() };
        whole.spans.extend((0..plan.channels.len()).map(|channel| channel..channel + 1));
        let (values, rows) = (Vec::new(), JoinedRows::default());
        Some(Box::new(Self { plan, sources, values, rows, whole }))
    }
}

impl SourceChannels {
    /// Numbers in a sample of the source; at least 1.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::OfTopic => 1,
            Self::Fields(places) => places.len().max(1),
        }
    }

    /// Gives each number of a sample its channel. `of_topic` is the one that the topic names. A
    /// number that is none is no value.
    pub(super) fn place(
        &self,
        sample: &[f64],
        of_topic: Option<usize>,
        into: &mut Vec<(usize, f64)>,
    ) {
        into.clear();
        match self {
            Self::OfTopic => into.extend(of_topic.into_iter().zip(sample.iter().copied())),
            Self::Fields(places) => into.extend(places.iter().copied().zip(sample.iter().copied())),
        }
        into.retain(|(_, value)| !value.is_nan());
    }
}
