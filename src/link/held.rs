//! QoS 1 samples that did not fit in their worker's queue. The broker may have no more than the
//! receive maximum unacknowledged, and none of these is acknowledged, so this cannot grow beyond
//! that: the rest of an overload stays at the broker, while pings and acknowledgements go on.
//! Brokers that send more are what [`super::gate`] is for.

use std::collections::VecDeque;

use super::Intake;
use crate::message::Incoming;

/// How much is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) samples: usize,
    /// What they take in memory, roughly.
    pub(crate) bytes: usize,
}

/// What a sample takes beside its topic and payload.
const OVERHEAD: usize = 256;

/// Samples waiting for room, those of a stream in the order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Streams with samples that wait: what comes later for them must not pass.
    streams: VecDeque<(usize, VecDeque<Incoming>)>,
    load: Load,
}

impl Held {
    /// Offers a new sample to its worker, unless an earlier one of its stream still waits. Gives
    /// back what is to be dropped: a QoS 0 sample for which there is no room.
    pub(crate) fn offer(&mut self, intake: &mut dyn Intake, sample: Incoming) -> Option<Incoming> {
        let stream = sample.stream;
        let waits = self.streams.iter().any(|(blocked, _)| *blocked == stream);
        let refused = if waits { Err(sample) } else { intake.offer(sample) };
        match refused {
            Ok(()) => None,
            Err(lost) if lost.token.is_none() => Some(lost),
            Err(full) => {
                self.hold(full);
                None
            }
        }
    }

    fn hold(&mut self, sample: Incoming) {
        self.load.samples += 1;
        self.load.bytes += bytes(&sample);
        match self.streams.iter_mut().find(|(blocked, _)| *blocked == sample.stream) {
            Some((_, waiting)) => waiting.push_back(sample),
            None => self.streams.push_back((sample.stream, VecDeque::from([sample]))),
        }
    }

    /// There may be room again: offers what waits, the oldest of each stream first. Streams that
    /// share a worker take turns at being the first.
    pub(crate) fn retry(&mut self, intake: &mut dyn Intake) {
        for (_, waiting) in &mut self.streams {
            while let Some(sample) = waiting.pop_front() {
                let size = bytes(&sample);
                if let Err(full) = intake.offer(sample) {
                    waiting.push_front(full);
                    break;
                }
                self.load.samples -= 1;
                self.load.bytes -= size;
            }
        }
        self.streams.retain(|(_, waiting)| !waiting.is_empty());
        if let Some(first) = self.streams.pop_front() {
            self.streams.push_back(first);
        }
    }

    pub(crate) fn load(&self) -> Load {
        self.load
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }
}

fn bytes(sample: &Incoming) -> usize {
    sample.topic.len() + sample.payload.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Mono, Now, Timestamp};
    use crate::message::AckToken;

    /// One queue a stream with room for so many.
    struct Queues {
        room: Vec<usize>,
        got: Vec<u8>,
    }

    impl Intake for Queues {
        fn streams(&mut self, _: &str, _: &mut Vec<usize>) {}

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
            token: token.map(AckToken),
            input_id: None,
            reply: None,
            retained: false,
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
        assert_eq!((held.load().samples, &queues.got[..]), (2, &[3][..]));
        assert_eq!(held.load(), Load { samples: 2, bytes: 2 * (1 + 1 + OVERHEAD) });
        held.retry(&mut queues);
        assert_eq!((held.load().samples, &queues.got[..]), (1, &[3, 1][..]));
        held.retry(&mut queues);
        assert_eq!(held.load().samples, 1);
        queues.room[0] = 5;
        held.retry(&mut queues);
        assert_eq!(held.load(), Load::default());
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
