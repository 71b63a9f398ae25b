//! The retained messages of the daemon: the latest payload of each topic, published again on every
//! connection because the broker may have lost it, or replaced it by our last will.

use std::collections::BTreeMap;

use bytes::Bytes;

/// The latest payload of each topic. The configuration bounds the number of topics.
#[derive(Debug, Default)]
pub(crate) struct RetainedMessages {
    latest: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    payload: Bytes,
    /// Not published on this connection yet.
    due: bool,
}

impl RetainedMessages {
    /// Sets the payload of a topic. It replaces one that was not published yet.
    pub(crate) fn set(&mut self, topic: String, payload: Bytes) {
        self.latest.insert(topic, Entry { payload, due: true });
    }

    /// A connection is up: everything is published again.
    pub(crate) fn mark_all_due(&mut self) {
        self.latest.values_mut().for_each(|entry| entry.due = true);
    }

    /// The next message to publish.
    pub(crate) fn next_due(&mut self) -> Option<(String, Bytes)> {
        let (topic, entry) = self.latest.iter_mut().find(|(_, entry)| entry.due)?;
        entry.due = false;
        Some((topic.clone(), entry.payload.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_payload_of_a_topic_is_published_once_a_connection() {
        let mut retained = RetainedMessages::default();
        retained.set("b".into(), "old".into());
        retained.set("b".into(), "new".into());
        retained.set("a".into(), "x".into());
        let both = [("a".to_owned(), Bytes::from("x")), ("b".to_owned(), Bytes::from("new"))];
        for _connection in 0..2 {
            let sent: Vec<_> = std::iter::from_fn(|| retained.next_due()).collect();
            assert_eq!(sent, both);
            retained.mark_all_due();
        }
    }
}
