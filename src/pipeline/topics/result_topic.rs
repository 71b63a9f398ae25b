//! Where results go.

use super::captures::TopicCaptures;
use super::pattern::DEVICE;
use crate::config::{Level, Stream};
use crate::ids::GatewayId;
use crate::pipeline::problems::CompatibilityError;
use crate::pipeline::reject::Reject;

/// Where a stream's results go, all that is known beforehand filled in.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct ResultTopic {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    /// The place of a capture of the stream's own topic, which is written as it is.
    Capture(usize),
    /// The same for a capture that may have several levels and is written as one.
    OneLevel(usize),
    Device,
}

impl ResultTopic {
    /// # Errors
    /// A name in the template that is neither known nor captured.
    pub(in crate::pipeline) fn new(
        stream: &Stream,
        gateway: &GatewayId,
    ) -> Result<Self, Vec<CompatibilityError>> {
        let mut parts = Vec::new();
        for (place, level) in stream.publish.topic.levels.iter().enumerate() {
            if place > 0 {
                parts.push(Part::Text("/".to_owned()));
            }
            match level {
                Level::Literal(text) => parts.push(Part::Text(text.clone())),
                Level::Capture(name) => parts.push(part(stream, gateway, name, false)?),
                Level::Rest(name) => parts.push(part(stream, gateway, name, true)?),
                Level::Part { before, name, after } => parts.extend([
                    Part::Text(before.clone()),
                    part(stream, gateway, name, false)?,
                    Part::Text(after.clone()),
                ]),
            }
        }
        Ok(Self { parts })
    }

    /// # Errors
    /// A captured first level that would make it a topic of the broker's own.
    pub(in crate::pipeline) fn render(&self, captured: &TopicCaptures) -> Result<String, Reject> {
        let level = |place: &usize| captured.levels.get(*place).map_or("", String::as_str);
        let mut topic = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => topic.push_str(text),
                Part::Capture(place) => topic.push_str(level(place)),
                Part::OneLevel(place) => push_one_level(&mut topic, level(place)),
                Part::Device => {
                    topic.push_str(captured.device.get(captured.own..).unwrap_or_default());
                }
            }
        }
        let is_meant =
            matches!(self.parts.first(), Some(Part::Text(text)) if text.starts_with('$'));
        if topic.starts_with('$') && !is_meant {
            let problem =
                "would be published to, and topics that start with $ are the broker's own";
            return Err(Reject::Topic { topic, problem });
        }
        Ok(topic)
    }
}

/// What a name in the template stands for. `in_levels`: as `{name#}`.
fn part(
    stream: &Stream,
    gateway: &GatewayId,
    name: &str,
    in_levels: bool,
) -> Result<Part, Vec<CompatibilityError>> {
    let captured = stream.topic.captures().position(|known| known == name);
    let may_be_several = stream.topics().any(|topic| topic.rest() == Some(name));
    match (name, captured) {
        (_, Some(place)) if may_be_several && !in_levels => Ok(Part::OneLevel(place)),
        (_, Some(place)) => Ok(Part::Capture(place)),
        (DEVICE, None) => Ok(Part::Device),
        ("gateway", None) => Ok(Part::Text(gateway.to_string())),
        ("stream", None) => Ok(Part::Text(stream.name.to_string())),
        ("model", None) => Ok(Part::Text(stream.model.to_string())),
        (unknown, None) => {
            let problem = format!("{{{unknown}}} is not captured by the stream's topic");
            Err(vec![CompatibilityError { key: "publish.topic", problem }])
        }
    }
}

/// Adds levels as one: `%` and `/` are encoded, so that two names never become the same.
fn push_one_level(topic: &mut String, levels: &str) {
    for c in levels.chars() {
        match c {
            '%' => topic.push_str("%25"),
            '/' => topic.push_str("%2F"),
            c => topic.push(c),
        }
    }
}

/// Whether we answer on a response topic that a request names: one that can be published to, and
/// none of the broker's own.
pub(in crate::pipeline) fn may_answer(topic: &str) -> bool {
    let wild = |c: char| matches!(c, '+' | '#' | '\0');
    (1..=usize::from(u16::MAX)).contains(&topic.len())
        && !topic.starts_with('$')
        && !topic.contains(wild)
}
