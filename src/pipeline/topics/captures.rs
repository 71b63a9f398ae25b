//! What a stream reads from a topic: the captured levels, the device and the channel.

use super::pattern::DEVICE;
use crate::config::{Stream, TopicPattern};
use crate::ids::MAX_DEVICE_KEY_BYTES;
use crate::message::Captures;
use crate::pipeline::reject::Reject;

/// A topic as a stream reads it. The buffers are used again for the next one.
#[derive(Debug)]
pub(in crate::pipeline) struct TopicCaptures {
    /// By topic of the stream: what each of its captures is.
    roles: Vec<Vec<Role>>,
    /// The places of the levels that name the device.
    of_device: Vec<usize>,
    /// The captures, in the order of the stream's first topic.
    pub(super) levels: Vec<String>,
    channel: String,
    /// What the topic says of the device.
    topic: String,
    pub(super) device: String,
    /// Where in that the payload's name of the device begins.
    pub(super) own: usize,
}

/// What a captured level is.
#[derive(Clone, Copy, Debug)]
enum Role {
    /// Its place in [`TopicCaptures::levels`].
    Level(usize),
    Channel,
}

impl TopicCaptures {
    /// For the inputs of a stream.
    pub(in crate::pipeline) fn new(stream: &Stream) -> Self {
        let by = stream.join.as_ref().and_then(|join| join.by.as_deref());
        let by = by.or(stream.payload.format.message_capture());
        Self::of_topics(&stream.topics().collect::<Vec<_>>(), by)
    }

    /// For several topics, of which one names the channel by the capture `by`. The device is the
    /// capture of that name, else all captures together but the channel's, else `-`.
    pub(in crate::pipeline) fn of_topics(topics: &[&TopicPattern], by: Option<&str>) -> Self {
        let first = topics.iter().take(1);
        let names: Vec<&str> = first.flat_map(|topic| topic.captures()).collect();
        let role = |name: &str| match names.iter().position(|known| *known == name) {
            _ if by == Some(name) => Role::Channel,
            place => Role::Level(place.unwrap_or(names.len())),
        };
        let named = names.contains(&DEVICE);
        let of_device = |(place, name): (usize, &&str)| {
            let is_part = if named { *name == DEVICE } else { by != Some(*name) };
            is_part.then_some(place)
        };
        Self {
            roles: topics.iter().map(|topic| topic.captures().map(role).collect()).collect(),
            of_device: names.iter().enumerate().filter_map(of_device).collect(),
            levels: vec![String::new(); names.len()],
            channel: String::new(),
            topic: String::new(),
            device: String::new(),
            own: 0,
        }
    }

    pub(in crate::pipeline) fn device(&self) -> &str {
        &self.device
    }

    /// The name of the channel, where the topic has it.
    pub(in crate::pipeline) fn channel(&self) -> &str {
        &self.channel
    }

    /// Takes what the router captured of a topic.
    pub(in crate::pipeline) fn read(
        &mut self,
        topic: &str,
        captures: &Captures,
    ) -> Result<(), Reject> {
        let reject = |problem| Reject::Topic { topic: topic.to_owned(), problem };
        let roles = self.roles.get(captures.topic).filter(|roles| roles.len() == captures.len());
        let Some(roles) = roles else {
            return Err(reject("is not what the stream subscribes to"));
        };
        for (role, got) in roles.iter().zip(captures.levels(topic)) {
            if let Some(problem) = problem_of(got) {
                return Err(reject(problem));
            }
            match *role {
                Role::Channel => got.clone_into(&mut self.channel),
                Role::Level(place) => {
                    if let Some(level) = self.levels.get_mut(place) {
                        got.clone_into(level);
                    }
                }
            }
        }
        self.own = 0;
        self.device.clear();
        for level in self.of_device.iter().filter_map(|place| self.levels.get(*place)) {
            if !self.device.is_empty() {
                self.device.push('/');
            }
            self.device.push_str(level);
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

    /// Adds the name of a device that is in the payload.
    pub(in crate::pipeline) fn name(
        &mut self,
        write: impl FnOnce(&mut String),
    ) -> Result<(), Reject> {
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

/// Why captured levels cannot be used, in the terms of [`crate::ids::DeviceKey`].
fn problem_of(level: &str) -> Option<&'static str> {
    if level.split('/').any(str::is_empty) {
        Some(
            "has an empty level where a name belongs; publish to a topic whose every level names \
             something",
        )
    } else if level.len() > MAX_DEVICE_KEY_BYTES {
        Some("has a level of more than 128 bytes where a name belongs")
    } else if level.chars().any(|c| c.is_control() || matches!(c, '+' | '#')) {
        Some("has a control character or a wildcard in a name")
    } else {
        None
    }
}
