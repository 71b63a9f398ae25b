//! Which received QoS 1 messages may be acknowledged, and in which order. Pure: no clock, no broker.
//!
//! MQTT 5 (4.6) requires the PUBACKs in the order in which the PUBLISHes arrived, over the whole
//! connection. A message is finished when every stream it went to has reported it
//! [`InputProcessed`] and all results of these reports are safe. Its acknowledgement is then sent as
//! soon as all before it have been sent.
//!
//! A packet id is valid on one connection only. When that ends, unacknowledged messages are *owed*: a
//! broker that kept our session sends them again with the same packet id and DUP set (4.4), and they
//! are then recognised instead of being processed twice. DUP, packet id, topic and payload must all
//! agree; otherwise the message is processed as a new one, because a second result is allowed and a
//! lost sample is not. A message whose acknowledgement was written to the socket is not owed: the
//! broker may have received it and assigned the packet id to another message.
//!
//! A broker must not use a packet id twice at a time (2.2.1). mosquitto up to 2.0.12 does if more
//! messages are in flight than there are ids. Each is then acknowledged in its turn: such a broker
//! takes the first acknowledgement of an id for the first message it sent under it, and ending the
//! connection would only make it send the whole flood again.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::message::{AckToken, InputProcessed};

/// Acknowledgements that the client may have queued and not written.
pub(crate) const MAX_ACKS_IN_CLIENT: usize = 256;

/// Unacknowledged messages of one connection: four times the number of packet ids. Only a broker that
/// honours neither the receive maximum nor the uniqueness of packet ids reaches it.
pub(crate) const MAX_UNACKNOWLEDGED: usize = 4 << 16;

/// One received QoS 1 PUBLISH as the ledger sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceivedPublish<'a> {
    pub(crate) packet_id: u16,
    pub(crate) dup: bool,
    pub(crate) topic: &'a [u8],
    pub(crate) payload: &'a [u8],
    /// How many streams the message goes to. Each reports it [`InputProcessed`] once.
    pub(crate) streams: u32,
}

/// What to do with a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Process it under this token.
    New(AckToken),
    /// It was received before. Nothing to do: its acknowledgement is sent in its turn.
    Redelivered,
}

/// The broker sent more than [`MAX_UNACKNOWLEDGED`] messages without an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flooded;

/// The received messages that are not acknowledged yet: at most the receive maximum if the broker
/// honours it, otherwise [`MAX_UNACKNOWLEDGED`].
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    last_token: u64,
    /// In process, also those of earlier connections.
    pending: HashMap<AckToken, Pending>,
    /// Unacknowledged messages of this connection, in the order of arrival.
    queue: VecDeque<Entry>,
    /// Acknowledgements that the client has and that may not be written yet.
    acks_in_client: VecDeque<Entry>,
    /// Unacknowledged messages of the connection before, by packet id; those of one id in the order of
    /// arrival.
    owed: HashMap<u16, VecDeque<Entry>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    packet_id: u16,
    fingerprint: u64,
    token: AckToken,
}

#[derive(Debug)]
struct Pending {
    /// Streams that have not reported the message.
    unprocessed: u32,
    /// Results reported minus results safe. Negative while a result is ahead of its report.
    unsafe_results: i64,
}

impl Pending {
    fn is_finished(&self) -> bool {
        self.unprocessed == 0 && self.unsafe_results <= 0
    }
}

impl Ledger {
    /// Records a received message.
    ///
    /// # Errors
    /// [`Flooded`] if [`MAX_UNACKNOWLEDGED`] is reached.
    pub(crate) fn receive(&mut self, received: ReceivedPublish<'_>) -> Result<Arrival, Flooded> {
        if self.queue.len() >= MAX_UNACKNOWLEDGED {
            return Err(Flooded);
        }
        let fingerprint = fingerprint(received.topic, received.payload);
        if let Some(entry) = self.find_owed(received, fingerprint) {
            self.queue.push_back(entry);
            return Ok(Arrival::Redelivered);
        }
        self.last_token += 1;
        let token = AckToken(self.last_token);
        self.queue.push_back(Entry { packet_id: received.packet_id, fingerprint, token });
        if received.streams > 0 {
            self.pending
                .insert(token, Pending { unprocessed: received.streams, unsafe_results: 0 });
        }
        Ok(Arrival::New(token))
    }

    /// True if [`Self::receive`] would recognise this as a redelivery.
    pub(crate) fn knows(&self, packet_id: u16, dup: bool, topic: &[u8], payload: &[u8]) -> bool {
        let owed = self.owed.get(&packet_id).filter(|_| dup);
        let fingerprint = || fingerprint(topic, payload);
        owed.is_some_and(|owed| owed.iter().any(|entry| entry.fingerprint == fingerprint()))
    }

    /// The owed message that this is a redelivery of. Redeliveries keep the order of the first
    /// deliveries, so earlier messages under this packet id are no longer owed.
    fn find_owed(&mut self, received: ReceivedPublish<'_>, fingerprint: u64) -> Option<Entry> {
        let mut owed = self.owed.remove(&received.packet_id)?;
        if !received.dup {
            return None;
        }
        let known = owed.iter().position(|entry| entry.fingerprint == fingerprint)?;
        let later = owed.split_off(known + 1);
        if !later.is_empty() {
            self.owed.insert(received.packet_id, later);
        }
        owed.pop_back()
    }

    /// A stream has processed a message. True if an acknowledgement can be sent because of it.
    pub(crate) fn input_processed(&mut self, processed: InputProcessed) -> bool {
        self.settle(processed.input, |pending| {
            pending.unprocessed = pending.unprocessed.saturating_sub(1);
            pending.unsafe_results += i64::from(processed.results);
        })
    }

    /// One result of a message is safe. True if an acknowledgement can be sent because of it.
    pub(crate) fn result_settled(&mut self, input: AckToken) -> bool {
        self.settle(input, |pending| pending.unsafe_results -= 1)
    }

    fn settle(&mut self, input: AckToken, change: impl FnOnce(&mut Pending)) -> bool {
        let Some(pending) = self.pending.get_mut(&input) else { return false };
        change(pending);
        if !pending.is_finished() {
            return false;
        }
        self.pending.remove(&input);
        self.queue.front().is_some_and(|first| first.token == input)
    }

    /// The packet id of the next acknowledgement to send.
    pub(crate) fn next_ack(&mut self) -> Option<u16> {
        let first = self.queue.front()?;
        if self.pending.contains_key(&first.token)
            || self.acks_in_client.len() >= MAX_ACKS_IN_CLIENT
        {
            return None;
        }
        let entry = self.queue.pop_front()?;
        self.acks_in_client.push_back(entry);
        Some(entry.packet_id)
    }

    /// The acknowledgement of this packet id is written to the socket. True if another one that waited
    /// for its place can be sent.
    pub(crate) fn ack_written(&mut self, packet_id: u16) -> bool {
        let was_full = self.acks_in_client.len() >= MAX_ACKS_IN_CLIENT;
        if let Some(at) = self.acks_in_client.iter().position(|entry| entry.packet_id == packet_id)
        {
            self.acks_in_client.remove(at);
        }
        was_full
    }

    /// The connection ended: its packet ids are no longer valid.
    pub(crate) fn disconnected(&mut self) {
        for entry in self.acks_in_client.drain(..).chain(self.queue.drain(..)) {
            self.owed.entry(entry.packet_id).or_default().push_back(entry);
        }
    }

    /// A connection is up. Without its session the broker redelivers nothing.
    pub(crate) fn connected(&mut self, session_present: bool) {
        if !session_present {
            self.owed.clear();
        }
    }

    /// The number of unacknowledged messages of this connection.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.queue.len()
    }
}

/// The hash is valid in this process only. A sender who tries to hide a message by a collision would
/// also have to get its packet id.
fn fingerprint(topic: &[u8], payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (topic, payload).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
