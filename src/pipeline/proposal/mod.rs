//! What streams would take the messages of a topic: format, fields, time, device and rate, proposed
//! from messages that were heard. Pure; a proposal is tried on the messages it was made from.

mod channels;
mod fields;
mod leaves;
mod payload_kind;
mod render;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::BTreeSet;

use serde::Serialize;

use self::channels::{ChannelGuess, channels};
use self::fields::{FieldGuess, guess};
use self::leaves::{Leaf, leaves_of};
use self::payload_kind::{PayloadKind, kind_of};
use super::decode::{Decoded, PayloadSchema, decoder_for};
use super::reject::Reject;
use crate::clock::Timestamp;
use crate::config::Config;

/// A message that was heard.
#[derive(Clone, Debug)]
pub struct HeardMessage {
    pub topic: String,
    pub payload: Vec<u8>,
    pub at: Timestamp,
}

/// A stream that would take messages that were heard.
#[derive(Clone, Debug, Serialize)]
pub struct ProposedStream {
    /// Its topic, with a capture for each level that differs.
    pub topic: String,
    pub messages: usize,
    /// Topics that the messages came on.
    pub topics: usize,
    /// Messages a second on each topic; `None` where each had a single one.
    pub per_second: Option<f64>,
    /// Messages that the proposal decodes.
    pub taken: usize,
    /// Why it does not take the first other one.
    pub problem: Option<String>,
    /// The table `[[stream]]`.
    pub toml: String,
}

/// Messages of one kind.
#[derive(Debug)]
struct Group<'m> {
    levels: usize,
    kind: PayloadKind,
    /// Pointers of the numbers in them.
    numbers: BTreeSet<String>,
    messages: Vec<(&'m HeardMessage, Vec<Leaf>)>,
}

/// The most groups of one topic filter; a further kind of message is left out.
const MAX_GROUPS: usize = 16;

/// Proposes a stream for each kind of message, the most frequent first.
#[must_use]
pub fn propose(heard: &[HeardMessage]) -> Vec<ProposedStream> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for message in heard.iter().filter(|message| !message.payload.is_empty()) {
        let kind = kind_of(&message.topic, &message.payload);
        let leaves = leaves_of(&kind, &message.payload);
        add(&mut groups, message, kind, leaves);
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.messages.len()));
    groups.iter().map(proposed).collect()
}

/// Adds a message to the group that it is most like, or to one of its own.
fn add<'m>(
    groups: &mut Vec<Group<'m>>,
    message: &'m HeardMessage,
    kind: PayloadKind,
    leaves: Vec<Leaf>,
) {
    let levels = message.topic.split('/').count();
    let numbers: BTreeSet<String> =
        leaves.iter().filter(|leaf| leaf.is_number()).map(|leaf| leaf.pointer.clone()).collect();
    let is_like = |group: &&mut Group<'_>| {
        let both = group.numbers.intersection(&numbers).count();
        let all = group.numbers.union(&numbers).count();
        let is_one_kind = group.levels == levels && group.kind == kind;
        is_one_kind && both.saturating_mul(2) >= all
    };
    if let Some(group) = groups.iter_mut().find(is_like) {
        group.numbers.extend(numbers);
        group.messages.push((message, leaves));
    } else if groups.len() < MAX_GROUPS {
        groups.push(Group { levels, kind, numbers, messages: vec![(message, leaves)] });
    }
}

fn proposed(group: &Group<'_>) -> ProposedStream {
    let heard: Vec<&str> = group.messages.iter().map(|(m, _)| m.topic.as_str()).collect();
    let topics: BTreeSet<&str> = heard.iter().copied().collect();
    let guess = guess(group, topics.len() > 1);
    let join = channels(group.kind.form, &topics, &guess);
    let topic = join.as_ref().map_or_else(|| topics::pattern(&topics), |join| join.topic.clone());
    let mut stream = ProposedStream {
        toml: render::table(&topic, &group.kind, &guess, join.as_ref()),
        topic,
        messages: group.messages.len(),
        topics: topics.len(),
        per_second: rate(group, topics.len()),
        taken: 0,
        problem: None,
    };
    try_on(&mut stream, group, &guess, join.as_ref());
    stream
}

/// Messages a second on each topic.
fn rate(group: &Group<'_>, topics: usize) -> Option<f64> {
    let times = || group.messages.iter().map(|(message, _)| message.at);
    let (first, last) = (times().min()?, times().max()?);
    let span = last.since(first).as_secs_f64();
    let intervals = group.messages.len().checked_sub(topics).filter(|count| *count > 0)?;
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let rate = intervals as f64 / topics as f64 / span;
    rate.is_finite().then_some(rate)
}

/// Decodes the messages as the proposal says.
fn try_on(
    stream: &mut ProposedStream,
    group: &Group<'_>,
    guess: &FieldGuess,
    join: Option<&ChannelGuess>,
) {
    let config = match Config::parse(&format!("[gateway]\nid = \"listen\"\n{}", stream.toml)) {
        Ok(config) => config,
        Err(error) => {
            stream.problem = Some(error.to_string());
            return;
        }
    };
    let Some(found) = config.streams.first() else { return };
    let fields = match (join, &found.join) {
        (Some(_), Some(join)) => vec![join.value.clone()],
        _ => found.payload.fields.clone(),
    };
    let width = fields.len().max(guess.width).max(1);
    let schema = PayloadSchema::new(&found.payload, fields, width, false, None);
    let mut decoder = decoder_for(schema.with_max_inflated(found.max_payload));
    let mut decoded = Decoded::default();
    for (message, _) in &group.messages {
        decoder.begin(&message.topic, message.at);
        match decoder.decode(&message.payload, &mut decoded) {
            Ok(()) => stream.taken += 1,
            Err(reject) => {
                let said = |reject: Reject| reject.to_string();
                stream.problem.get_or_insert_with(|| said(reject));
            }
        }
    }
}
