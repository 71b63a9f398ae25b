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
    /// The place of a capture of the stream's own topic.
    Capture(usize),
    Device,
}

impl ResultTopic {
    /// # Errors
    /// A name in the template that is neither known nor captured.
    pub(in crate::pipeline) fn new(
        stream: &Stream,
        gateway: &GatewayId,
    ) -> Result<Self, Vec<CompatibilityError>> {
        let names = stream.topic.levels.iter().filter_map(|level| match level {
            Level::Capture(name) => Some(name.as_str()),
            Level::Literal(_) => None,
        });
        let names: Vec<&str> = names.collect();
        let mut parts = Vec::new();
        for (place, level) in stream.publish.topic.levels.iter().enumerate() {
            if place > 0 {
                parts.push(Part::Text("/".to_owned()));
            }
            parts.push(match level {
                Level::Literal(text) => Part::Text(text.clone()),
                Level::Capture(name) => match (name.as_str(), names.iter().position(|n| n == name))
                {
                    (_, Some(capture)) => Part::Capture(capture),
                    (DEVICE, None) => Part::Device,
                    ("gateway", None) => Part::Text(gateway.to_string()),
                    ("stream", None) => Part::Text(stream.name.to_string()),
                    ("model", None) => Part::Text(stream.model.to_string()),
                    (unknown, None) => {
                        let problem =
                            format!("{{{unknown}}} is not captured by the stream's topic");
                        return Err(vec![CompatibilityError { key: "publish.topic", problem }]);
                    }
                },
            });
        }
        Ok(Self { parts })
    }

    /// # Errors
    /// A captured first level that would make it a topic of the broker's own.
    pub(in crate::pipeline) fn render(&self, captured: &TopicCaptures) -> Result<String, Reject> {
        let texts = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Capture(place) => captured.levels.get(*place).map_or("", String::as_str),
            Part::Device => captured.device.get(captured.own..).unwrap_or_default(),
        });
        let topic: String = texts.collect();
        if topic.starts_with('$') {
            let problem =
                "would be published to, and topics that start with $ are the broker's own";
            return Err(Reject::Topic { topic, problem });
        }
        Ok(topic)
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
