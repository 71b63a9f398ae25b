//! State the broker keeps for whoever comes later: the latest payload of each topic, sent again
//! at every connect because a broker may have lost it, or given it away to our last will.

use std::collections::BTreeMap;

use bytes::Bytes;

/// The retained messages of ours; as many as there are topics, which the daemon's own
/// configuration bounds.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    latest: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    payload: Bytes,
    /// Not yet handed to the client on this connection.
    due: bool,
}

impl Retained {
    /// The latest payload wins, also over one that has not been sent yet.
    pub(crate) fn set(&mut self, topic: String, payload: Bytes) {
        self.latest.insert(topic, Entry { payload, due: true });
    }

    /// A connection is up: everything is sent again.
    pub(crate) fn all_due(&mut self) {
        self.latest.values_mut().for_each(|entry| entry.due = true);
    }

    /// What to send next.
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
    fn the_latest_payload_of_a_topic_is_sent_once_a_connection() {
        let mut retained = Retained::default();
        retained.set("b".into(), "old".into());
        retained.set("b".into(), "new".into());
        retained.set("a".into(), "x".into());
        let both = [("a".to_owned(), Bytes::from("x")), ("b".to_owned(), Bytes::from("new"))];
        for _connection in 0..2 {
            let sent: Vec<_> = std::iter::from_fn(|| retained.next_due()).collect();
            assert_eq!(sent, both);
            retained.all_due();
        }
    }
}
