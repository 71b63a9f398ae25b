//! Which received QoS 1 messages may be acknowledged, and in which order. Pure: no clock, no broker.
//!
//! MQTT 5 (4.6) wants the PUBACKs in the order in which the PUBLISHes arrived, over the whole
//! connection, whatever the topics. A message is through when every worker it went to has
//! reported it [`InputProcessed`] and as many results as they named are safe; its acknowledgement then
//! leaves as soon as all before it have left.
//!
//! A packet id means something on one connection only. When that ends, what was not acknowledged
//! is remembered as *owed*: a broker that kept our session sends it again with the same packet id
//! and DUP set (4.4), and it is then recognised instead of being processed twice. DUP, packet id,
//! topic and payload must all agree; anything less is processed anew, because a second result is
//! allowed and a lost sample is not. An acknowledgement that was already written to the socket
//! is not owed: the broker may have got it and given its packet id to another message.
//!
//! A broker must not use a packet id twice at a time (2.2.1). mosquitto up to 2.0.12 does when a
//! flood puts more messages on the way than there are ids. Each is then acknowledged in its turn:
//! such a broker takes the first acknowledgement of an id for the first message it sent under it,
//! and ending the connection would only make it send the whole flood again.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::message::{AckToken, InputProcessed};

/// Acknowledgements handed to the client and not yet written; it has room for so many.
pub(crate) const LEAVING: usize = 256;

/// Messages without an acknowledgement on one connection, at most: four times the packet ids there
/// are. Only a broker that keeps neither to the receive maximum nor to its packet ids gets there.
pub(crate) const UNACKNOWLEDGED: usize = 4 << 16;

/// One received QoS 1 PUBLISH as the ledger sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived<'a> {
    pub(crate) pkid: u16,
    pub(crate) dup: bool,
    pub(crate) topic: &'a [u8],
    pub(crate) payload: &'a [u8],
    /// How many streams the message goes to; each reports it [`InputProcessed`] once.
    pub(crate) streams: u32,
}

/// What is to be done with a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Process it under this token.
    New(AckToken),
    /// It came again while it is in process, or after that: nothing to do, its acknowledgement
    /// leaves by itself.
    Again,
}

/// The broker sent more than [`UNACKNOWLEDGED`] messages without waiting for an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flooded;

/// The received messages that are not acknowledged yet: no more than the receive maximum where the
/// broker keeps to it, [`UNACKNOWLEDGED`] where it does not.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    last_token: u64,
    /// In process, on whatever connection they came.
    open: HashMap<AckToken, Open>,
    /// Of this connection, in the order of arrival.
    line: VecDeque<Place>,
    /// Acknowledged, but not known to be written to the socket.
    leaving: VecDeque<Place>,
    /// Of the connection before, by packet id; those of one id in the order of arrival.
    owed: HashMap<u16, VecDeque<Place>>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    pkid: u16,
    fingerprint: u64,
    token: AckToken,
}

#[derive(Debug)]
struct Open {
    /// Streams that have not reported the message taken.
    untaken: u32,
    /// Results announced less results safe; below zero while a result overtakes its report.
    unsafe_results: i64,
}

impl Open {
    fn is_through(&self) -> bool {
        self.untaken == 0 && self.unsafe_results <= 0
    }
}

impl Ledger {
    /// A message came.
    ///
    /// # Errors
    /// [`Flooded`] when the broker goes on although nothing was acknowledged for too long.
    pub(crate) fn receive(&mut self, arrived: Arrived<'_>) -> Result<Arrival, Flooded> {
        if self.line.len() >= UNACKNOWLEDGED {
            return Err(Flooded);
        }
        let fingerprint = fingerprint(arrived.topic, arrived.payload);
        if let Some(place) = self.recognise(arrived, fingerprint) {
            self.line.push_back(place);
            return Ok(Arrival::Again);
        }
        self.last_token += 1;
        let token = AckToken(self.last_token);
        self.line.push_back(Place { pkid: arrived.pkid, fingerprint, token });
        if arrived.streams > 0 {
            self.open.insert(token, Open { untaken: arrived.streams, unsafe_results: 0 });
        }
        Ok(Arrival::New(token))
    }

    /// True where [`Self::receive`] would know this for a message that came before.
    pub(crate) fn knows(&self, pkid: u16, dup: bool, topic: &[u8], payload: &[u8]) -> bool {
        let owed = self.owed.get(&pkid).filter(|_| dup);
        let fingerprint = || fingerprint(topic, payload);
        owed.is_some_and(|owed| owed.iter().any(|place| place.fingerprint == fingerprint()))
    }

    /// The owed message that this is, if the broker sends it again. What is sent again comes in the
    /// order it came first: under this packet id the broker has no earlier one any more.
    fn recognise(&mut self, arrived: Arrived<'_>, fingerprint: u64) -> Option<Place> {
        let mut owed = self.owed.remove(&arrived.pkid)?;
        if !arrived.dup {
            return None;
        }
        let known = owed.iter().position(|place| place.fingerprint == fingerprint)?;
        let later = owed.split_off(known + 1);
        if !later.is_empty() {
            self.owed.insert(arrived.pkid, later);
        }
        owed.pop_back()
    }

    /// A worker is through with a message. True when an acknowledgement may leave because of it.
    pub(crate) fn taken(&mut self, taken: InputProcessed) -> bool {
        self.settle(taken.input, |open| {
            open.untaken = open.untaken.saturating_sub(1);
            open.unsafe_results += i64::from(taken.results);
        })
    }

    /// One result of this message is safe. True when an acknowledgement may leave because of it.
    pub(crate) fn done(&mut self, input: AckToken) -> bool {
        self.settle(input, |open| open.unsafe_results -= 1)
    }

    fn settle(&mut self, input: AckToken, change: impl FnOnce(&mut Open)) -> bool {
        let Some(open) = self.open.get_mut(&input) else { return false };
        change(open);
        if !open.is_through() {
            return false;
        }
        self.open.remove(&input);
        self.line.front().is_some_and(|first| first.token == input)
    }

    /// The packet id of the next acknowledgement that may leave.
    pub(crate) fn next_ack(&mut self) -> Option<u16> {
        let first = self.line.front()?;
        if self.open.contains_key(&first.token) || self.leaving.len() >= LEAVING {
            return None;
        }
        let place = self.line.pop_front()?;
        self.leaving.push_back(place);
        Some(place.pkid)
    }

    /// The acknowledgement of this packet id is written to the socket.
    pub(crate) fn written(&mut self, pkid: u16) {
        if let Some(at) = self.leaving.iter().position(|place| place.pkid == pkid) {
            self.leaving.remove(at);
        }
    }

    /// The connection ended: nothing that came on it can be acknowledged by its packet id now.
    pub(crate) fn disconnected(&mut self) {
        for place in self.leaving.drain(..).chain(self.line.drain(..)) {
            self.owed.entry(place.pkid).or_default().push_back(place);
        }
    }

    /// A connection is up. Without its session the broker has forgotten what it owes us.
    pub(crate) fn connected(&mut self, session_present: bool) {
        if !session_present {
            self.owed.clear();
        }
    }

    /// Received on this connection and not acknowledged.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.line.len()
    }
}

/// The hash is of this process: it is never stored, and a sender cannot aim at a collision without
/// also being given the packet id of the message it wants to hide.
fn fingerprint(topic: &[u8], payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (topic, payload).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
