//! QoS 1 samples that did not fit in their worker's queue. None of them is acknowledged, and a broker
//! sends at most the receive maximum without an acknowledgement, so this cannot grow beyond that:
//! the rest of an overload stays at the broker, while pings and acknowledgements continue. Brokers
//! that send more are handled by [`super::connection`], which pauses reading.

use std::collections::VecDeque;

use super::types::Ingest;
use crate::message::Incoming;

/// How much is held for the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Occupancy {
    pub(crate) samples: usize,
    /// Their memory, roughly.
    pub(crate) bytes: usize,
}

/// Samples that wait for room, those of a stream in the order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Overflow {
    /// Streams with waiting samples, which later samples must not overtake.
    streams: VecDeque<(usize, VecDeque<Incoming>)>,
    occupancy: Occupancy,
}

impl Overflow {
    /// Offers a new sample to its worker, unless an earlier one of its stream still waits. Returns the
    /// sample if it must be dropped: one of QoS 0 without room.
    pub(crate) fn offer(&mut self, ingest: &mut dyn Ingest, sample: Incoming) -> Option<Incoming> {
        let stream = sample.stream;
        let waits = self.streams.iter().any(|(blocked, _)| *blocked == stream);
        let refused = if waits { Err(sample) } else { ingest.offer(sample) };
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
        self.occupancy.samples += 1;
        self.occupancy.bytes += sample.memory();
        match self.streams.iter_mut().find(|(blocked, _)| *blocked == sample.stream) {
            Some((_, waiting)) => waiting.push_back(sample),
            None => self.streams.push_back((sample.stream, VecDeque::from([sample]))),
        }
    }

    /// Offers the waiting samples again, the oldest of each stream first. Streams that share a worker
    /// take turns at being the first.
    pub(crate) fn retry(&mut self, ingest: &mut dyn Ingest) {
        for (_, waiting) in &mut self.streams {
            while let Some(sample) = waiting.pop_front() {
                let size = sample.memory();
                if let Err(full) = ingest.offer(sample) {
                    waiting.push_front(full);
                    break;
                }
                self.occupancy.samples -= 1;
                self.occupancy.bytes -= size;
            }
        }
        self.streams.retain(|(_, waiting)| !waiting.is_empty());
        if let Some(first) = self.streams.pop_front() {
            self.streams.push_back(first);
        }
    }

    pub(crate) fn occupancy(&self) -> Occupancy {
        self.occupancy
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Mono, Now, Timestamp};
    use crate::link::types::Route;
    use crate::message::{AckToken, Captures, Delivery, MESSAGE_OVERHEAD};

    /// One queue for each stream, with room for this many samples.
    struct Queues {
        room: Vec<usize>,
        got: Vec<u8>,
    }

    impl Ingest for Queues {
        fn route(&mut self, _: &str, _: &[u8], _: &mut Vec<Delivery>) -> Route {
            Route::Streams
        }

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
            captures: Captures::default(),
            payload: vec![number].into(),
            received: Now { wall: Timestamp(0), mono: Mono(0) },
            token: token.map(AckToken),
            input_id: None,
            reply: None,
            retained: false,
        }
    }

    #[test]
    fn qos_1_samples_wait_in_order_and_block_only_their_own_stream() {
        let mut queues = Queues { room: vec![0, 9], got: vec![] };
        let mut overflow = Overflow::default();
        assert!(overflow.offer(&mut queues, sample(0, 1, Some(1))).is_none());
        queues.room[0] = 1;
        assert!(
            overflow.offer(&mut queues, sample(0, 2, Some(2))).is_none(),
            "must not pass the first"
        );
        assert!(overflow.offer(&mut queues, sample(1, 3, Some(3))).is_none());
        assert_eq!((overflow.occupancy().samples, &queues.got[..]), (2, &[3][..]));
        assert_eq!(
            overflow.occupancy(),
            Occupancy { samples: 2, bytes: 2 * (1 + 1 + MESSAGE_OVERHEAD) }
        );
        overflow.retry(&mut queues);
        assert_eq!((overflow.occupancy().samples, &queues.got[..]), (1, &[3, 1][..]));
        overflow.retry(&mut queues);
        assert_eq!(overflow.occupancy().samples, 1);
        queues.room[0] = 5;
        overflow.retry(&mut queues);
        assert_eq!(overflow.occupancy(), Occupancy::default());
        assert!(overflow.offer(&mut queues, sample(0, 4, Some(4))).is_none());
        assert_eq!(queues.got, [3, 1, 2, 4]);
    }

    #[test]
    fn the_newest_qos_0_sample_is_returned() {
        let mut queues = Queues { room: vec![1], got: vec![] };
        let mut overflow = Overflow::default();
        assert!(overflow.offer(&mut queues, sample(0, 1, None)).is_none());
        assert_eq!(overflow.offer(&mut queues, sample(0, 2, None)).unwrap().payload[0], 2);
        assert!(overflow.is_empty());
    }
}
