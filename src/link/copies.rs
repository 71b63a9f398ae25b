//! Copies of one message that came by several of our subscriptions. Pure.
//!
//! Where two subscriptions with identifiers match a message, mosquitto and most other brokers send
//! a copy for each, with its identifier. HiveMQ sends one copy with all of them. aedes 2 sends one
//! copy with one of them, which is not what the standard asks for. So until a second copy has been
//! seen, the first one is taken for all streams that want the message, and the second one is known
//! by its content and its identifier. From then on each copy is taken for the streams of its own
//! subscription.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Copies that are waited for, at most. A broker that sends copies sends them one after the other.
const AWAITED: usize = 64;

/// For whom a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// For all streams whose topic it has.
    All,
    /// For the streams of the subscriptions that it names.
    Named,
    /// For none: they have the message from another copy.
    None,
}

/// What is known of the copies that a broker sends.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    /// A second copy came: the broker sends one for each subscription.
    proved: bool,
    awaited: VecDeque<Awaited>,
}

#[derive(Debug)]
struct Awaited {
    content: u64,
    ids: Vec<usize>,
}

impl Copies {
    /// A message came by the subscriptions `named`, and `matching` are all that match its topic.
    pub(crate) fn take(
        &mut self,
        named: &[usize],
        matching: &[usize],
        topic: &str,
        payload: &[u8],
    ) -> For {
        let missing: Vec<usize> =
            matching.iter().copied().filter(|id| !named.contains(id)).collect();
        if missing.is_empty() || missing.len() == matching.len() {
            return For::All;
        }
        let mut hasher = DefaultHasher::new();
        (topic, payload).hash(&mut hasher);
        let content = hasher.finish();
        if self.was_awaited(content, named) {
            self.proved = true;
            return For::None;
        }
        if self.proved {
            return For::Named;
        }
        if self.awaited.len() == AWAITED {
            self.awaited.pop_front();
        }
        self.awaited.push_back(Awaited { content, ids: missing });
        For::All
    }

    fn was_awaited(&mut self, content: u64, named: &[usize]) -> bool {
        let is_it = |awaited: &Awaited| {
            awaited.content == content && awaited.ids.iter().any(|id| named.contains(id))
        };
        let Some(at) = self.awaited.iter().position(is_it) else { return false };
        if let Some(awaited) = self.awaited.get_mut(at) {
            awaited.ids.retain(|id| !named.contains(id));
            if awaited.ids.is_empty() {
                self.awaited.remove(at);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes copies on one topic that the subscriptions 1, 2 and 3 match.
    fn take(copies: &mut Copies, named: &[usize], payload: &str) -> For {
        copies.take(named, &[1, 2, 3], "t", payload.as_bytes())
    }

    #[test]
    fn a_broker_that_sends_a_copy_for_each_subscription_is_recognised() {
        let mut copies = Copies::default();
        assert_eq!(take(&mut copies, &[1], "x"), For::All);
        assert_eq!(take(&mut copies, &[2], "x"), For::None);
        assert_eq!(take(&mut copies, &[3], "x"), For::None);
        for id in [1, 2, 3, 1, 2, 3] {
            assert_eq!(take(&mut copies, &[id], "x"), For::Named);
        }
    }

    #[test]
    fn two_equal_messages_before_the_first_copy_are_two_messages() {
        let mut copies = Copies::default();
        let took = [1, 1, 2, 2, 3, 3].map(|id| take(&mut copies, &[id], "x"));
        assert_eq!(took, [For::All, For::All, For::None, For::None, For::None, For::None]);
    }

    #[test]
    fn a_broker_that_sends_one_copy_has_each_of_them_taken() {
        let mut copies = Copies::default();
        for _ in 0..2 * AWAITED {
            assert_eq!(take(&mut copies, &[2], "same"), For::All);
        }
        let mut copies = Copies::default();
        for _ in 0..3 {
            assert_eq!(take(&mut copies, &[3, 1, 2], "same"), For::All);
        }
        assert!(copies.awaited.is_empty());
    }

    #[test]
    fn a_message_without_identifiers_of_ours_is_for_all() {
        let mut copies = Copies::default();
        assert_eq!(take(&mut copies, &[], "x"), For::All);
        assert_eq!(take(&mut copies, &[9], "x"), For::All);
        assert_eq!(take(&mut copies, &[1], "x"), For::All);
    }
}
