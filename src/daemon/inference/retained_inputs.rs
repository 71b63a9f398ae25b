//! The last message processed of each topic, to recognise it when it arrives again as a retained
//! message.

use std::collections::HashMap;

use crate::message::Incoming;

/// Topics and the content of their last message.
#[derive(Debug)]
pub(crate) struct RetainedInputs {
    contents: HashMap<String, u32>,
    most: usize,
}

impl RetainedInputs {
    /// Remembers up to `most` topics.
    pub(crate) fn new(most: usize) -> Self {
        Self { contents: HashMap::new(), most }
    }

    pub(crate) fn record(&mut self, incoming: &Incoming) {
        let content = content(incoming);
        if let Some(last) = self.contents.get_mut(&incoming.topic) {
            *last = content;
            return;
        }
        if self.contents.len() >= self.most {
            // More topics than devices are allowed: most of them belong to devices that are gone.
            self.contents.clear();
        }
        self.contents.insert(incoming.topic.clone(), content);
    }

    pub(crate) fn contains(&self, incoming: &Incoming) -> bool {
        self.contents.get(&incoming.topic) == Some(&content(incoming))
    }
}

/// CRC-32 of topic and payload, as in [`crate::message::InputId`].
pub(crate) fn content(incoming: &Incoming) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(incoming.topic.as_bytes());
    hasher.update(&incoming.payload);
    hasher.finalize()
}
