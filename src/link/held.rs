//! QoS 1 samples that did not fit in their worker's queue. The broker may have no more than the
//! receive maximum unacknowledged, and none of these is acknowledged, so this cannot grow beyond
//! that: the rest of an overload stays at the broker, while pings and acknowledgements go on.

use std::collections::VecDeque;

use super::Intake;
use crate::message::Incoming;

/// Samples waiting for room, in the order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Held {
    waiting: VecDeque<Incoming>,
    /// Streams with a sample in `waiting`: what comes later for them must not pass.
    blocked: Vec<usize>,
}

impl Held {
    /// Offers a new sample to its worker, unless an earlier one of its stream still waits. Gives
    /// back what is to be dropped: a QoS 0 sample for which there is no room.
    pub(crate) fn offer(&mut self, intake: &mut dyn Intake, sample: Incoming) -> Option<Incoming> {
        let refused = if self.blocked.contains(&sample.stream) {
            sample
        } else {
            match intake.offer(sample) {
                Ok(()) => return None,
                Err(full) => full,
            }
        };
        if refused.token.is_none() {
            return Some(refused);
        }
        self.hold(refused);
        None
    }

    /// There may be room again: offers what waits, oldest first.
    pub(crate) fn retry(&mut self, intake: &mut dyn Intake) {
        self.blocked.clear();
        for sample in std::mem::take(&mut self.waiting) {
            if self.blocked.contains(&sample.stream) {
                self.hold(sample);
            } else if let Err(full) = intake.offer(sample) {
                self.hold(full);
            }
        }
    }

    fn hold(&mut self, sample: Incoming) {
        if !self.blocked.contains(&sample.stream) {
            self.blocked.push(sample.stream);
        }
        self.waiting.push_back(sample);
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Mono, Now, Timestamp};
    use crate::message::InputToken;

    /// One queue a stream with room for so many.
    struct Queues {
        room: Vec<usize>,
        got: Vec<u8>,
    }

    impl Intake for Queues {
        fn route(&mut self, _: &str, _: &[u8], _: &mut Vec<usize>) {}

        fn offer(&mut self, sample: Incoming) -> Result<(), Incoming> {
            if self.room[sample.stream] == 0 {
                return Err(sample);
            }
            self.room[sample.stream] -= 1;
            self.got.push(sample.payload[0]);
            Ok(())
        }

        fn dropped(&mut self, _: Incoming) {}
    }

    fn sample(stream: usize, number: u8, token: Option<u64>) -> Incoming {
        Incoming {
            stream,
            topic: "t".into(),
            payload: vec![number].into(),
            received: Now { wall: Timestamp(0), mono: Mono(0) },
            token: token.map(InputToken),
            reply: None,
        }
    }

    #[test]
    fn what_must_not_be_lost_waits_in_order_and_blocks_only_its_own_stream() {
        let mut queues = Queues { room: vec![0, 9], got: vec![] };
        let mut held = Held::default();
        assert!(held.offer(&mut queues, sample(0, 1, Some(1))).is_none());
        queues.room[0] = 1;
        assert!(
            held.offer(&mut queues, sample(0, 2, Some(2))).is_none(),
            "must not pass the first"
        );
        assert!(held.offer(&mut queues, sample(1, 3, Some(3))).is_none());
        assert_eq!((held.len(), &queues.got[..]), (2, &[3][..]));
        held.retry(&mut queues);
        assert_eq!((held.len(), &queues.got[..]), (1, &[3, 1][..]));
        held.retry(&mut queues);
        assert_eq!(held.len(), 1);
        queues.room[0] = 5;
        held.retry(&mut queues);
        assert!(held.is_empty());
        assert!(held.offer(&mut queues, sample(0, 4, Some(4))).is_none());
        assert_eq!(queues.got, [3, 1, 2, 4]);
    }

    #[test]
    fn the_newest_of_what_may_be_lost_is_given_back() {
        let mut queues = Queues { room: vec![1], got: vec![] };
        let mut held = Held::default();
        assert!(held.offer(&mut queues, sample(0, 1, None)).is_none());
        assert_eq!(held.offer(&mut queues, sample(0, 2, None)).unwrap().payload[0], 2);
        assert!(held.is_empty());
    }
}
