//! Publishes in flight, by packet id. The client assigns packet ids only when it writes a packet, so
//! publishes are recorded in the order in which they were submitted, and paired with the packet ids
//! in the order in which those were assigned.

use std::collections::{HashMap, VecDeque};

use crate::message::Qos;

/// Publishes that were given to the client of one connection and not acknowledged. What is left when
/// the connection ends is sent again by the outbox.
#[derive(Debug)]
pub(crate) struct InFlight<T> {
    /// Submitted, without a packet id yet.
    waiting: VecDeque<(Qos, T)>,
    /// Written and not acknowledged.
    unacknowledged: HashMap<u16, T>,
}

impl<T> InFlight<T> {
    pub(crate) fn new() -> Self {
        Self { waiting: VecDeque::new(), unacknowledged: HashMap::new() }
    }

    /// A publish was given to the client.
    pub(crate) fn submitted(&mut self, qos: Qos, publish: T) {
        self.waiting.push_back((qos, publish));
    }

    /// The client wrote its next publish under this packet id. Returns it if it has QoS 0 and is
    /// therefore finished.
    pub(crate) fn written(&mut self, packet_id: u16) -> Option<T> {
        match self.waiting.pop_front()? {
            (Qos::AtMostOnce, publish) => Some(publish),
            (Qos::AtLeastOnce, publish) => {
                self.unacknowledged.insert(packet_id, publish);
                None
            }
        }
    }

    /// The broker accepted or refused the publish of this packet id.
    pub(crate) fn acknowledged(&mut self, packet_id: u16) -> Option<T> {
        self.unacknowledged.remove(&packet_id)
    }

    /// Written and not acknowledged.
    pub(crate) fn unacknowledged(&self) -> impl Iterator<Item = &T> {
        self.unacknowledged.values()
    }

    /// All unfinished publishes, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter().map(|(_, publish)| publish).chain(self.unacknowledged.values())
    }

    /// The number of unfinished publishes.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.unacknowledged.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_ids_belong_to_publishes_in_the_order_of_submission() {
        let mut in_flight = InFlight::new();
        in_flight.submitted(Qos::AtLeastOnce, 'a');
        in_flight.submitted(Qos::AtMostOnce, 'b');
        in_flight.submitted(Qos::AtLeastOnce, 'c');
        assert_eq!(in_flight.written(7), None);
        assert_eq!(in_flight.written(0), Some('b'), "QoS 0 is finished when it is written");
        assert_eq!(in_flight.written(8), None);
        assert_eq!(in_flight.len(), 2);
        assert_eq!(in_flight.acknowledged(8), Some('c'), "a broker may answer in any order");
        assert_eq!(in_flight.acknowledged(7), Some('a'));
        assert_eq!(in_flight.acknowledged(7), None, "an unexpected acknowledgement is ignored");
        assert_eq!(in_flight.len(), 0);
    }

    #[test]
    fn an_id_without_a_publish_is_ignored() {
        let mut in_flight = InFlight::<char>::new();
        assert_eq!(in_flight.written(1), None);
        assert_eq!(in_flight.len(), 0);
    }
}
