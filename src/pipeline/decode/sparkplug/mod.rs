//! Sparkplug B (<https://sparkplug.eclipse.org/specification/>): metrics of edge nodes and devices,
//! whose names may be in the birth certificate alone.

mod message;
mod names;

pub use names::MetricNames;

use message::{COMPRESSED, Metric, Payload};

use super::decoder::{Decoded, PayloadDecoder};
use super::record::Scalar;
use super::records::{FieldNames, RecordCollector, number};
use super::sample_builder::SampleBuilder;
use super::schema::PayloadSchema;
use crate::clock::Timestamp;
use crate::pipeline::reject::Reject;
use crate::protobuf::wire::Malformed;

/// The first level of topics.
const NAMESPACE: &str = "spBv1.0";

/// What a message is, as its topic says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Birth,
    Data,
    /// A death certificate, a command, or the state of a host.
    Other,
}

/// Decodes Sparkplug B.
#[derive(Debug)]
pub(super) struct SparkplugDecoder {
    schema: PayloadSchema,
    fields: FieldNames,
    names: MetricNames,
    collector: RecordCollector,
    kind: Kind,
    /// The group, the edge node and the device of the message at hand.
    source: String,
}

impl SparkplugDecoder {
    pub(super) fn new(schema: PayloadSchema) -> Self {
        let (fields, names) = (FieldNames::new(&schema), MetricNames::default());
        let (collector, source) = (RecordCollector::default(), String::new());
        Self { schema, fields, names, collector, kind: Kind::Data, source }
    }
}

impl PayloadDecoder for SparkplugDecoder {
    fn begin(&mut self, topic: &str, _received: Timestamp) {
        self.source.clear();
        let mut levels = topic.split('/').skip_while(|level| *level != NAMESPACE).skip(1);
        let (group, kind) = (levels.next(), levels.next());
        self.kind = match kind {
            Some("NBIRTH" | "DBIRTH") => Kind::Birth,
            Some("NDATA" | "DDATA") | None => Kind::Data,
            Some(_) => Kind::Other,
        };
        for level in group.into_iter().chain(levels) {
            self.source.push('/');
            self.source.push_str(level);
        }
    }

    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        if self.kind == Kind::Other {
            return pass_over(out);
        }
        let payload = Payload::read(payload).map_err(malformed)?;
        if payload.uuid == COMPRESSED {
            return Err(malformed("it is compressed, which is not read: send it uncompressed"));
        }
        if self.kind == Kind::Birth {
            self.names.begin_birth(&self.source);
        }
        self.collector.clear();
        let mut builder = SampleBuilder::new(&self.schema, out.samples_mut());
        let mut take = Metrics {
            builder: &builder,
            is_birth: self.kind == Kind::Birth,
            is_born: self.names.is_born(&self.source),
            fields: &self.fields,
            names: &mut self.names,
            collector: &mut self.collector,
            source: &self.source,
            timestamp: payload.timestamp,
            unknown: None,
        };
        let read = payload.metrics(|metric| take.metric(&metric));
        let unknown = take.unknown;
        read.map_err(|Failed(reject)| reject)?;
        if let Some(alias) = unknown.filter(|_| self.collector.is_empty()) {
            return Err(unknown_alias(alias));
        }
        // Not all that is born has a value yet.
        let is_partial = !self.collector.has_all(self.schema.fields.len());
        if self.kind == Kind::Birth && is_partial && self.schema.missing.is_none() {
            return pass_over(out);
        }
        self.collector.finish(&mut builder)?;
        builder.finish()
    }

    fn take_names(&mut self) -> Option<MetricNames> {
        Some(std::mem::take(&mut self.names))
    }

    fn set_names(&mut self, names: MetricNames) {
        self.names = names;
    }
}

fn pass_over(out: &mut Decoded) -> Result<(), Reject> {
    let samples = out.samples_mut();
    samples.clear();
    samples.skipped = 1;
    Ok(())
}

fn malformed(problem: Malformed) -> Reject {
    Reject::Syntax { format: "Sparkplug B", problem: problem.to_owned() }
}

fn unknown_alias(alias: u64) -> Reject {
    let problem = format!(
        "its metrics have aliases (such as {alias}) and no birth certificate with their names has \
         arrived since the start: have stream.topic capture the type of the message, as in \
         spBv1.0/{{group}}/{{message}}/{{node}}/{{unit}}, and let the edge node be born again \
         (Node Control/Rebirth)"
    );
    Reject::Syntax { format: "Sparkplug B that can be read", problem }
}

/// Why reading was stopped.
struct Failed(Reject);

impl From<Malformed> for Failed {
    fn from(problem: Malformed) -> Self {
        Self(malformed(problem))
    }
}

impl From<Reject> for Failed {
    fn from(reject: Reject) -> Self {
        Self(reject)
    }
}

/// Takes the metrics of a message.
struct Metrics<'s, 'a> {
    builder: &'s SampleBuilder<'a>,
    is_birth: bool,
    is_born: bool,
    fields: &'s FieldNames,
    names: &'s mut MetricNames,
    collector: &'s mut RecordCollector,
    source: &'s str,
    /// Of the payload as a whole.
    timestamp: Option<u64>,
    /// An alias without a name.
    unknown: Option<u64>,
}

impl Metrics<'_, '_> {
    fn metric(&mut self, metric: &Metric<'_>) -> Result<(), Failed> {
        let name = match metric.name.filter(|name| !name.is_empty()) {
            Some(name) => Some(std::str::from_utf8(name).map_err(|_| "a name is not UTF-8")?),
            None => None,
        };
        if let Some(name) = name.filter(|_| self.is_birth) {
            self.names.add(self.source, name, metric.alias, metric.datatype);
        }
        let born = metric.alias.and_then(|alias| self.names.by_alias(self.source, alias));
        let Some(name) = name.or_else(|| born.map(|born| born.name.as_str())) else {
            if !self.is_born {
                self.unknown = self.unknown.or(metric.alias);
            }
            return Ok(());
        };
        let Some(field) = self.fields.find(name) else { return Ok(()) };
        let known = || self.names.datatype(self.source, name, metric.alias);
        let value = metric.scalar(metric.datatype.or_else(known))?;
        let Some(value) = number(&value, field, self.builder)? else { return Ok(()) };
        let time = match metric.timestamp.or(self.timestamp) {
            Some(millis) => Scalar::Whole(i128::from(millis)).moment(self.builder)?,
            None => None,
        };
        Ok(self.collector.add(&[], field, time, value)?)
    }
}
