//! Copies of one message that several of our subscriptions delivered. Pure.
//!
//! If two subscriptions with identifiers match a message, mosquitto and most other brokers send a
//! copy for each, with its identifier. HiveMQ sends one copy with all identifiers. aedes 2 sends one
//! copy with one of them, against the standard. So until a second copy has been seen, the first one
//! is delivered to all matching streams, and the second one is recognised by its content and its
//! identifier. From then on each copy is delivered to the streams of its own subscription.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

/// DuplicateFilter that are waited for, at most. A broker that sends copies sends them one after the other.
const MAX_EXPECTED: usize = 64;

/// The streams that receive a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipients {
    /// All streams that match its topic.
    All,
    /// The streams of the subscriptions whose identifiers it has.
    Named,
    /// None: another copy was delivered to them.
    None,
}

/// Recognises the copies that a broker sends.
#[derive(Debug, Default)]
pub(crate) struct DuplicateFilter {
    /// A second copy was seen: the broker sends one for each subscription.
    sends_copies: bool,
    expected: VecDeque<Expected>,
}

#[derive(Debug)]
struct Expected {
    content: u64,
    ids: Vec<usize>,
}

impl DuplicateFilter {
    /// The streams that receive a message with the identifiers `named`. `matching` are the identifiers
    /// of all subscriptions that match its topic.
    pub(crate) fn recipients(
        &mut self,
        named: &[usize],
        matching: &[usize],
        topic: &str,
        payload: &[u8],
    ) -> Recipients {
        let missing: Vec<usize> =
            matching.iter().copied().filter(|id| !named.contains(id)).collect();
        if missing.is_empty() || missing.len() == matching.len() {
            return Recipients::All;
        }
        let mut hasher = DefaultHasher::new();
        (topic, payload).hash(&mut hasher);
        let content = hasher.finish();
        if self.was_expected(content, named) {
            self.sends_copies = true;
            return Recipients::None;
        }
        if self.sends_copies {
            return Recipients::Named;
        }
        if self.expected.len() == MAX_EXPECTED {
            self.expected.pop_front();
        }
        self.expected.push_back(Expected { content, ids: missing });
        Recipients::All
    }

    fn was_expected(&mut self, content: u64, named: &[usize]) -> bool {
        let is_it = |expected: &Expected| {
            expected.content == content && expected.ids.iter().any(|id| named.contains(id))
        };
        let Some(at) = self.expected.iter().position(is_it) else { return false };
        if let Some(expected) = self.expected.get_mut(at) {
            expected.ids.retain(|id| !named.contains(id));
            if expected.ids.is_empty() {
                self.expected.remove(at);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Filters copies on one topic that the subscriptions 1, 2 and 3 match.
    fn recipients(filter: &mut DuplicateFilter, named: &[usize], payload: &str) -> Recipients {
        filter.recipients(named, &[1, 2, 3], "t", payload.as_bytes())
    }

    #[test]
    fn a_broker_that_sends_a_copy_for_each_subscription_is_recognised() {
        let mut filter = DuplicateFilter::default();
        assert_eq!(recipients(&mut filter, &[1], "x"), Recipients::All);
        assert_eq!(recipients(&mut filter, &[2], "x"), Recipients::None);
        assert_eq!(recipients(&mut filter, &[3], "x"), Recipients::None);
        for id in [1, 2, 3, 1, 2, 3] {
            assert_eq!(recipients(&mut filter, &[id], "x"), Recipients::Named);
        }
    }

    #[test]
    fn two_equal_messages_before_the_first_copy_are_two_messages() {
        let mut filter = DuplicateFilter::default();
        let took = [1, 1, 2, 2, 3, 3].map(|id| recipients(&mut filter, &[id], "x"));
        assert_eq!(
            took,
            [
                Recipients::All,
                Recipients::All,
                Recipients::None,
                Recipients::None,
                Recipients::None,
                Recipients::None
            ]
        );
    }

    #[test]
    fn a_broker_that_sends_one_copy_has_each_of_them_taken() {
        let mut filter = DuplicateFilter::default();
        for _ in 0..2 * MAX_EXPECTED {
            assert_eq!(recipients(&mut filter, &[2], "same"), Recipients::All);
        }
        let mut filter = DuplicateFilter::default();
        for _ in 0..3 {
            assert_eq!(recipients(&mut filter, &[3, 1, 2], "same"), Recipients::All);
        }
        assert!(filter.expected.is_empty());
    }

    #[test]
    fn a_message_without_identifiers_of_ours_is_for_all() {
        let mut filter = DuplicateFilter::default();
        assert_eq!(recipients(&mut filter, &[], "x"), Recipients::All);
        assert_eq!(recipients(&mut filter, &[9], "x"), Recipients::All);
        assert_eq!(recipients(&mut filter, &[1], "x"), Recipients::All);
    }
}
