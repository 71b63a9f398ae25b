//! The last message that was taken of each topic: a retained one that is the same brings nothing new.

use std::collections::HashMap;

use crate::message::Incoming;

/// Topics and the content of their last message.
#[derive(Debug)]
pub(crate) struct RetainedInputs {
    contents: HashMap<String, u32>,
    most: usize,
}

impl RetainedInputs {
    /// Remembers so many topics.
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
            // Those of more topics than devices are kept: of devices that are gone, mostly.
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
