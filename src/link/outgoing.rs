//! Which publish of ours an acknowledgement is for. rumqttc gives out packet ids only when it
//! writes a packet, so every publish is noted here in the order in which it was handed over, and
//! paired with the packet ids in the order in which they were given out.

use std::collections::{HashMap, VecDeque};

use crate::message::Qos;

/// Publishes handed to the client and not acknowledged. Made anew for every connection, because
/// the client is: what is in here when a connection ends is for the outbox to send again.
#[derive(Debug)]
pub(crate) struct InFlight<T> {
    /// Handed over; no packet id yet.
    waiting: VecDeque<(Qos, T)>,
    /// Written; no acknowledgement yet.
    flying: HashMap<u16, T>,
}

impl<T> InFlight<T> {
    pub(crate) fn new() -> Self {
        Self { waiting: VecDeque::new(), flying: HashMap::new() }
    }

    /// A publish was handed to the client.
    pub(crate) fn submitted(&mut self, qos: Qos, what: T) {
        self.waiting.push_back((qos, what));
    }

    /// The client wrote its next publish under this packet id. What it was, when it asked for no
    /// acknowledgement and is therefore over.
    pub(crate) fn written(&mut self, pkid: u16) -> Option<T> {
        match self.waiting.pop_front()? {
            (Qos::AtMostOnce, what) => Some(what),
            (Qos::AtLeastOnce, what) => {
                self.flying.insert(pkid, what);
                None
            }
        }
    }

    /// The broker acknowledged this packet id, for better or worse.
    pub(crate) fn acknowledged(&mut self, pkid: u16) -> Option<T> {
        self.flying.remove(&pkid)
    }

    /// Written and not acknowledged.
    pub(crate) fn flying(&self) -> impl Iterator<Item = &T> {
        self.flying.values()
    }

    /// Handed over and not over, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter().map(|(_, what)| what).chain(self.flying.values())
    }

    /// Handed over and not over.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.flying.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_ids_go_to_publishes_in_the_order_they_were_handed_over() {
        let mut flight = InFlight::new();
        flight.submitted(Qos::AtLeastOnce, 'a');
        flight.submitted(Qos::AtMostOnce, 'b');
        flight.submitted(Qos::AtLeastOnce, 'c');
        assert_eq!(flight.written(7), None);
        assert_eq!(flight.written(0), Some('b'), "at most once is over when it is written");
        assert_eq!(flight.written(8), None);
        assert_eq!(flight.len(), 2);
        assert_eq!(flight.acknowledged(8), Some('c'), "a broker may answer in any order");
        assert_eq!(flight.acknowledged(7), Some('a'));
        assert_eq!(
            flight.acknowledged(7),
            None,
            "an acknowledgement nobody asked for is for nobody"
        );
        assert_eq!(flight.len(), 0);
    }

    #[test]
    fn an_id_without_a_publish_is_for_nobody() {
        let mut flight = InFlight::<char>::new();
        assert_eq!(flight.written(1), None);
        assert_eq!(flight.len(), 0);
    }
}
