//! The options of a stream that depend on its model.

use crate::bundle::card::Card;
use crate::config::{ArrayOrder, Missing, Stream};
use crate::pipeline::decode::tokens;
use crate::pipeline::interpret::OutputPlan;
use crate::pipeline::labels::answers_of;
use crate::pipeline::plan::{Cast, InputPlan};
use crate::pipeline::problems::Problems;

pub(super) fn check_payload(
    stream: &Stream,
    card: &Card,
    fields: &[String],
    width: usize,
    problems: &mut Problems,
) {
    let raw = stream.payload.format.is_raw();
    if raw && stream.payload.time.is_some() {
        problems.add("payload.time", "raw payloads have no time; leave it out");
    }
    if raw && !stream.payload.device.is_empty() {
        problems.add("payload.device", "raw payloads name no device; have the topic name it");
    }
    if let Some(both) =
        stream.payload.device.iter().chain(&stream.payload.time).find(|&name| fields.contains(name))
    {
        let problem = format!(
            "{both:?} is a field of the model too; it cannot be the device or the time as well"
        );
        problems.add("payload.fields", problem);
    }
    if !stream.payload.format.has_members() && stream.payload.samples.is_some() {
        problems
            .add("payload.samples", "only formats with members have an object around the samples");
    }
    if let Some(bytes) = &stream.payload.bytes {
        let named =
            |field: &&String| bytes.layout.iter().any(|it| it.name.as_ref() == Some(*field));
        let missing: Vec<_> = fields.iter().filter(|field| !named(field)).collect();
        if !missing.is_empty() {
            let problem = format!("does not name {missing:?}, which the model takes");
            problems.add("payload.bytes.layout", problem);
        }
    }
    check_message(stream, fields, problems);
    if card.window.is_none() && stream.join.is_none() && stream.payload.reading.interval.is_some() {
        let problem = "a message is one input of this model, which has no window";
        problems.add("payload.interval", problem);
    }
    if card.window.is_some() && !fields.is_empty() && fields.len() != width {
        let names = card.inputs.iter().flat_map(|i| &i.channels).collect::<Vec<_>>();
        let problem = format!("{} fields for the model's {width} channels {names:?}", fields.len());
        problems.add("payload.fields", problem);
    }
}

/// Names of fields of Protocol Buffers, which the type of the messages must have.
fn check_message(stream: &Stream, fields: &[String], problems: &mut Problems) {
    let payload = &stream.payload;
    let Some(protobuf) = &payload.protobuf else { return };
    let Some(types) = &protobuf.types else {
        return problems.add("payload.descriptors", "the file was not read");
    };
    let mut check = |option, name: &String, below: Option<&String>| {
        let around = below.map(|samples| tokens(samples)).unwrap_or_default();
        // An element of the array of the samples.
        let element = (!around.is_empty()).then(|| "0".to_owned());
        let path: Vec<String> = around.into_iter().chain(element).chain(tokens(name)).collect();
        if let Err(problem) = types.check_path(&path) {
            problems.add(option, format!("{name:?}: {problem}"));
        }
    };
    let samples = payload.samples.as_ref();
    samples.into_iter().for_each(|name| check("payload.samples", name, None));
    payload.reading.filter.iter().for_each(|(name, _)| check("payload.where", name, None));
    let bytes = payload.bytes.as_ref();
    bytes.and_then(|it| it.at.as_ref()).into_iter().for_each(|name| {
        check("payload.bytes.at", name, samples);
    });
    if bytes.is_none() && payload.records.is_none() && stream.join.is_none() {
        fields.iter().for_each(|name| check("payload.fields", name, samples));
    }
}

/// Labels are compared with one label or one number.
pub(super) fn check_labels(stream: &Stream, card: &Card, problems: &mut Problems) {
    if stream.labels.is_some() && answers_of(&card.output.kind).is_none() {
        let problem = "this model's output is neither one label nor one number, so labels cannot \
                       be compared with it; remove [stream.labels]";
        problems.add("labels", problem);
    }
}

/// The most numbers of a device that are held.
const MAX_HELD: usize = 4096;

/// What becomes of missing numbers.
pub(super) fn check_missing(
    stream: &Stream,
    card: &Card,
    fields: &[String],
    width: usize,
    inputs: &[InputPlan],
    problems: &mut Problems,
) {
    let rules = &stream.payload.reading.missing;
    if let Some((name, _)) = rules.fields.iter().find(|(name, _)| !fields.contains(name)) {
        let problem = format!("{name:?} is none of the fields {fields:?}");
        problems.add("payload.missing", problem);
    }
    let nan = rules.all().any(|rule| rule == Missing::Nan);
    if let Some(input) = inputs.iter().find(|input| nan && input.cast != Cast::Real) {
        let problem =
            format!("input {:?} of the model is not in float and cannot be NaN", input.name);
        problems.add("payload.missing", problem);
    }
    if let Some(input) = inputs.iter().find(|input| nan && input.features.is_some()) {
        let problem = format!(
            "input {:?} of the model is made of features, and there are none of \
                               NaN: use \"reject\", \"skip\", \"hold\" or a number",
            input.name
        );
        problems.add("payload.missing", problem);
    }
    if rules.holds() && width > MAX_HELD {
        let problem =
            format!("a device's {width} numbers are too many to hold; at most {MAX_HELD}");
        problems.add("payload.missing", problem);
    }
    if card.window.is_none() && stream.payload.reading.arrays == ArrayOrder::Columns {
        let problem = "a whole input is taken in the order of the tensor; leave it out";
        problems.add("payload.arrays", problem);
    }
}

pub(super) fn check_publish(stream: &Stream, output: &OutputPlan, problems: &mut Problems) {
    let publish = &stream.publish;
    if publish.min_score.is_some() && !output.has_score() {
        problems.add("publish.min_score", "this model's output has no score; leave it out");
    }
    match (publish.min_score, publish.leave_score) {
        (None, Some(_)) => problems.add("publish.leave_score", "is nothing without min_score"),
        (Some(min), Some(leave)) if leave > min => {
            problems.add("publish.leave_score", format!("{leave} is above min_score = {min}"));
        }
        _ => {}
    }
    if publish.consecutive > 1 && !output.has_label() {
        problems.add("publish.consecutive", "this model's output has no label; leave it out");
    }
}
