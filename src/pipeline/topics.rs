//! Topics in and out: which streams a topic belongs to, which device it names, where a result goes.

use super::fit::FitError;
use super::reject::Reject;
use crate::config::{Level, Stream, TopicPattern};
use crate::ids::{GatewayId, MAX_DEVICE_KEY_BYTES};

/// The capture that names the device.
const DEVICE: &str = "device";

/// All streams' topic patterns.
#[derive(Clone, Debug)]
pub struct Router {
    patterns: Vec<TopicPattern>,
}

impl Router {
    #[must_use]
    pub fn new(streams: &[Stream]) -> Self {
        Self { patterns: streams.iter().map(|s| s.topic.clone()).collect() }
    }

    /// The numbers of the streams that a topic belongs to, in the order of the configuration.
    pub fn streams<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = usize> + 'a {
        let matching = move |(i, p): (usize, &TopicPattern)| matches(p, topic).then_some(i);
        self.patterns.iter().enumerate().filter_map(matching)
    }
}

/// Whether a pattern matches as its MQTT filter would: a capture takes one level, which may be
/// empty (that is rejected later, with a reason), but no first level that starts with `$`.
fn matches(pattern: &TopicPattern, topic: &str) -> bool {
    let mut levels = topic.split('/');
    let mut first = true;
    for level in &pattern.levels {
        let Some(got) = levels.next() else { return false };
        let fits = match level {
            Level::Literal(text) => text == got,
            Level::Capture(_) => !(first && got.starts_with('$')),
        };
        if !fits {
            return false;
        }
        first = false;
    }
    levels.next().is_none()
}

/// A topic as a stream reads it. The buffers are used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Captured {
    /// The captures, in the order of the pattern.
    levels: Vec<String>,
    /// What the topic says of the device.
    topic: String,
    device: String,
    /// Where in that the payload's name of the device begins.
    own: usize,
}

impl Captured {
    pub(super) fn device(&self) -> &str {
        &self.device
    }

    /// Reads a topic by a pattern. The device is the capture of that name, else all captures
    /// together, else `-`.
    pub(super) fn read(&mut self, pattern: &TopicPattern, topic: &str) -> Result<(), Reject> {
        let reject = |problem| Reject::Topic { topic: topic.to_owned(), problem };
        if !matches(pattern, topic) {
            return Err(reject("is not what the stream subscribes to"));
        }
        self.own = 0;
        self.device.clear();
        let mut captures = 0_usize;
        let named = has_device(pattern);
        for (level, got) in pattern.levels.iter().zip(topic.split('/')) {
            let Level::Capture(name) = level else { continue };
            if let Some(problem) = problem_of(got) {
                return Err(reject(problem));
            }
            match self.levels.get_mut(captures) {
                Some(text) => got.clone_into(text),
                None => self.levels.push(got.to_owned()),
            }
            captures = captures.saturating_add(1);
            if named && name != DEVICE {
                continue;
            }
            if !self.device.is_empty() {
                self.device.push('/');
            }
            self.device.push_str(got);
        }
        self.device.clone_into(&mut self.topic);
        if self.device.is_empty() {
            self.device.push('-');
        }
        if self.device.len() > MAX_DEVICE_KEY_BYTES {
            return Err(reject("names a device in more than 128 bytes"));
        }
        Ok(())
    }
}

impl Captured {
    /// Adds the name of a device that is in the payload.
    pub(super) fn name(&mut self, write: impl FnOnce(&mut String)) -> Result<(), Reject> {
        self.topic.clone_into(&mut self.device);
        if !self.device.is_empty() {
            self.device.push('/');
        }
        self.own = self.device.len();
        write(&mut self.device);
        if self.device.len() <= MAX_DEVICE_KEY_BYTES {
            return Ok(());
        }
        Err(Reject::BadDevice {
            field: "the name of the device".to_owned(),
            got: format!("{} bytes long", self.device.len()),
            problem: "with what the topic captures it has at most 128 bytes",
        })
    }
}

fn has_device(pattern: &TopicPattern) -> bool {
    pattern.levels.iter().any(|l| matches!(l, Level::Capture(name) if name == DEVICE))
}

/// Why a captured level cannot be used, in the terms of [`crate::ids::DeviceKey`].
fn problem_of(level: &str) -> Option<&'static str> {
    if level.is_empty() {
        Some(
            "has an empty level where a name belongs; publish to a topic whose every level names something",
        )
    } else if level.len() > MAX_DEVICE_KEY_BYTES {
        Some("has a level of more than 128 bytes where a name belongs")
    } else if level.chars().any(|c| c.is_control() || matches!(c, '+' | '#')) {
        Some("has a control character or a wildcard in a name")
    } else {
        None
    }
}

/// Where a stream's results go, all that is known beforehand filled in.
#[derive(Clone, Debug)]
pub(super) struct Target {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    /// The place of a capture of the stream's own topic.
    Capture(usize),
    Device,
}

impl Target {
    /// # Errors
    /// A name in the template that is neither known nor captured.
    pub(super) fn new(stream: &Stream, gateway: &GatewayId) -> Result<Self, Vec<FitError>> {
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
                        return Err(vec![FitError { key: "publish.topic", problem }]);
                    }
                },
            });
        }
        Ok(Self { parts })
    }

    /// # Errors
    /// A captured first level that would make it a topic of the broker's own.
    pub(super) fn render(&self, captured: &Captured) -> Result<String, Reject> {
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
pub(super) fn may_answer(topic: &str) -> bool {
    let wild = |c: char| matches!(c, '+' | '#' | '\0');
    (1..=usize::from(u16::MAX)).contains(&topic.len())
        && !topic.starts_with('$')
        && !topic.contains(wild)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> TopicPattern {
        TopicPattern { levels: levels(text) }
    }

    pub(super) fn levels(text: &str) -> Vec<Level> {
        let level = |level: &str| match level.strip_prefix('{').and_then(|l| l.strip_suffix('}')) {
            Some(name) => Level::Capture(name.to_owned()),
            None => Level::Literal(level.to_owned()),
        };
        text.split('/').map(level).collect()
    }

    #[test]
    fn a_topic_matches_as_the_mqtt_filter_does() {
        let table = [
            ("sensors/{device}/imu", "sensors/watch-7/imu", true),
            ("sensors/{device}/imu", "sensors//imu", true),
            ("sensors/{device}/imu", "sensors/watch-7", false),
            ("sensors/{device}/imu", "sensors/watch-7/imu/x", false),
            ("sensors/{device}/imu", "/sensors/watch-7/imu", false),
            ("{a}/{b}", "$SYS/uptime", false),
            ("{a}/{b}", "x/$y", true),
            ("plain", "plain", true),
            ("plain", "plain/", false),
        ];
        for (text, topic, expected) in table {
            assert_eq!(matches(&pattern(text), topic), expected, "{text} on {topic}");
        }
    }

    #[test]
    fn one_topic_may_belong_to_several_streams() {
        let patterns = ["a/{x}", "{y}/b", "c/{x}"].map(pattern).to_vec();
        let router = Router { patterns };
        assert_eq!(router.streams("a/b").collect::<Vec<_>>(), [0, 1]);
        assert_eq!(router.streams("c/d").collect::<Vec<_>>(), [2]);
        assert_eq!(router.streams("d/d").count(), 0);
    }

    #[test]
    fn the_device_is_the_capture_of_that_name_or_all_of_them() {
        let mut captured = Captured::default();
        let table = [
            ("site/{site}/{device}", "site/s1/d1", "d1"),
            ("site/{site}/x/{unit}", "site/s1/x/u1", "s1/u1"),
            ("site/{site}", "site/s2", "s2"),
            ("site/all", "site/all", "-"),
        ];
        for (text, topic, device) in table {
            captured.read(&pattern(text), topic).unwrap();
            assert_eq!(captured.device(), device, "{text} on {topic}");
        }
    }

    #[test]
    fn a_capture_must_name_something() {
        let mut captured = Captured::default();
        let long = format!("s/{}", "x".repeat(129));
        for topic in ["s/", "s/a\u{7}", "s/a+", "other/a", long.as_str()] {
            let reject = captured.read(&pattern("s/{device}"), topic).unwrap_err();
            assert_eq!(reject.code(), "topic", "{topic:?}");
        }
        let both = format!("{}/{}", "x".repeat(100), "y".repeat(100));
        assert!(captured.read(&pattern("{a}/{b}"), &both).is_err());
        assert_eq!(
            captured.read(&pattern("s/{device}"), "s/").unwrap_err().to_string(),
            "topic \"s/\": has an empty level where a name belongs; publish to a topic whose every \
             level names something"
        );
    }

    #[test]
    fn only_a_topic_that_can_be_published_to_is_answered() {
        assert!(may_answer("reply/to/me"));
        let long = "x".repeat(70_000);
        for topic in ["", "$SYS/x", "a/+", "a/#", "a\0", long.as_str()] {
            assert!(!may_answer(topic));
        }
    }
}
