use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn received(packet_id: u16, dup: bool, payload: &[u8]) -> ReceivedPublish<'_> {
    ReceivedPublish { packet_id, dup, topic: b"t", payload, streams: 1 }
}

fn token(arrival: Result<Arrival, Flooded>) -> AckToken {
    match arrival {
        Ok(Arrival::New(token)) => token,
        other => panic!("not a new message: {other:?}"),
    }
}

fn processed(input: AckToken, results: u32) -> InputProcessed {
    InputProcessed { input, results }
}

#[test]
fn an_acknowledgement_waits_for_those_before_it() {
    let mut ledger = Ledger::default();
    let first = token(ledger.receive(received(1, false, b"a")));
    let second = token(ledger.receive(received(2, false, b"b")));
    assert!(!ledger.input_processed(processed(second, 0)), "the first is still in process");
    assert_eq!(ledger.next_ack(), None);
    assert!(ledger.input_processed(processed(first, 0)));
    assert_eq!((ledger.next_ack(), ledger.next_ack(), ledger.next_ack()), (Some(1), Some(2), None));
}

#[test]
fn a_result_may_be_safe_before_its_input_is_reported() {
    let mut ledger = Ledger::default();
    let input = token(ledger.receive(received(1, false, b"a")));
    assert!(!ledger.result_settled(input));
    assert!(!ledger.input_processed(processed(input, 2)), "one of two results is not safe yet");
    assert!(ledger.result_settled(input));
    assert_eq!(ledger.next_ack(), Some(1));
}

#[test]
fn a_message_of_two_streams_waits_for_both() {
    let mut ledger = Ledger::default();
    let input = token(ledger.receive(ReceivedPublish { streams: 2, ..received(1, false, b"a") }));
    assert!(!ledger.input_processed(processed(input, 0)));
    assert!(ledger.input_processed(processed(input, 0)));
}

#[test]
fn a_message_without_streams_is_acknowledged_at_once() {
    let mut ledger = Ledger::default();
    token(ledger.receive(ReceivedPublish { streams: 0, ..received(9, false, b"a") }));
    assert_eq!(ledger.next_ack(), Some(9));
}

#[test]
fn a_redelivered_message_in_process_is_adopted() {
    let mut ledger = Ledger::default();
    let input = token(ledger.receive(received(7, false, b"a")));
    ledger.disconnected();
    ledger.connected(true);
    assert_eq!(ledger.receive(received(7, true, b"a")), Ok(Arrival::Redelivered));
    assert_eq!(ledger.next_ack(), None);
    assert!(ledger.input_processed(processed(input, 0)));
    assert_eq!(ledger.next_ack(), Some(7));
}

#[test]
fn a_redelivered_message_that_was_finished_is_acknowledged_in_its_turn() {
    let mut ledger = Ledger::default();
    let slow = token(ledger.receive(received(1, false, b"a")));
    let quick = token(ledger.receive(received(2, false, b"b")));
    ledger.input_processed(processed(quick, 0));
    ledger.disconnected();
    ledger.connected(true);
    assert_eq!(ledger.receive(received(1, true, b"a")), Ok(Arrival::Redelivered));
    assert_eq!(ledger.receive(received(2, true, b"b")), Ok(Arrival::Redelivered));
    assert_eq!(ledger.next_ack(), None);
    ledger.input_processed(processed(slow, 0));
    assert_eq!((ledger.next_ack(), ledger.next_ack()), (Some(1), Some(2)));
}

#[test]
fn an_acknowledgement_that_never_reached_the_socket_is_owed() {
    let mut ledger = Ledger::default();
    let input = token(ledger.receive(received(3, false, b"a")));
    ledger.input_processed(processed(input, 0));
    assert_eq!(ledger.next_ack(), Some(3));
    ledger.disconnected();
    ledger.connected(true);
    assert_eq!(ledger.receive(received(3, true, b"a")), Ok(Arrival::Redelivered));
    assert_eq!(ledger.next_ack(), Some(3));
    ledger.ack_written(3);
    ledger.disconnected();
    ledger.connected(true);
    token(ledger.receive(received(3, true, b"a")));
}

#[test]
fn a_message_that_differs_is_new() {
    for (session, again) in [
        (false, received(7, true, b"a")),
        (true, received(7, false, b"a")),
        (true, received(8, true, b"a")),
        (true, received(7, true, b"b")),
        (true, ReceivedPublish { topic: b"u", ..received(7, true, b"a") }),
    ] {
        let mut ledger = Ledger::default();
        let first = token(ledger.receive(received(7, false, b"a")));
        ledger.disconnected();
        ledger.connected(session);
        let second = token(ledger.receive(again));
        assert!(
            !ledger.input_processed(processed(first, 0)),
            "the old connection's message acknowledged the new"
        );
        assert!(ledger.input_processed(processed(second, 0)));
    }
}

#[test]
fn messages_under_one_packet_id_are_acknowledged_each() {
    let mut ledger = Ledger::default();
    let inputs =
        [b"a", b"b", b"c"].map(|payload| token(ledger.receive(received(5, false, payload))));
    ledger.input_processed(processed(inputs[1], 0));
    assert_eq!(ledger.next_ack(), None, "the first is still in process");
    ledger.input_processed(processed(inputs[0], 0));
    assert_eq!((ledger.next_ack(), ledger.next_ack(), ledger.next_ack()), (Some(5), Some(5), None));
    ledger.ack_written(5);
    ledger.disconnected();
    ledger.connected(true);
    // The first is settled at the broker; the second's acknowledgement never left.
    assert_eq!(ledger.receive(received(5, true, b"b")), Ok(Arrival::Redelivered));
    assert_eq!(ledger.receive(received(5, true, b"c")), Ok(Arrival::Redelivered));
    assert_eq!((ledger.next_ack(), ledger.next_ack()), (Some(5), None));
}

#[test]
fn a_broker_that_waits_for_no_acknowledgement_is_detected_and_memory_stays_bounded() {
    let mut ledger = Ledger::default();
    for round in 0..3_u8 {
        for count in 0..u32::try_from(MAX_UNACKNOWLEDGED).unwrap() {
            let packet_id = u16::try_from(count % 65_535).unwrap() + 1;
            token(ledger.receive(received(
                packet_id,
                false,
                &[&[round][..], &count.to_le_bytes()].concat(),
            )));
        }
        assert_eq!(ledger.receive(received(9, false, b"a")), Err(Flooded));
        ledger.disconnected();
        ledger.connected(true);
        let owed: usize = ledger.owed.values().map(VecDeque::len).sum();
        assert!(owed <= MAX_UNACKNOWLEDGED, "{owed}");
    }
}

#[test]
fn no_more_acknowledgements_are_sent_than_the_client_has_room_for() {
    let mut ledger = Ledger::default();
    for packet_id in 1..=300 {
        token(ledger.receive(ReceivedPublish { streams: 0, ..received(packet_id, false, b"a") }));
    }
    let left = std::iter::from_fn(|| ledger.next_ack()).count();
    assert_eq!(left, MAX_ACKS_IN_CLIENT);
    ledger.ack_written(1);
    assert_eq!(ledger.next_ack(), Some(257));
}

/// A broker with one session: what it has sent and not seen acknowledged, in order.
#[derive(Default)]
struct Broker {
    /// It may use a packet id that is in use, of the few it has.
    careless: bool,
    next_pkid: u16,
    next_payload: u64,
    sent: VecDeque<(u16, u64)>,
    acked: Vec<u64>,
}

impl Broker {
    fn send(&mut self) -> (u16, u64) {
        let ids = if self.careless { 7 } else { 60 };
        self.next_pkid = self.next_pkid % ids + 1;
        while !self.careless && self.sent.iter().any(|(packet_id, _)| *packet_id == self.next_pkid)
        {
            self.next_pkid = self.next_pkid % ids + 1;
        }
        self.next_payload += 1;
        self.sent.push_back((self.next_pkid, self.next_payload));
        (self.next_pkid, self.next_payload)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send { streams: u32 },
    Take { which: usize, results: u32 },
    Done { which: usize },
    Ack { written: bool },
    Reconnect { session: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u32).prop_map(|streams| Step::Send { streams }),
        4 => (any::<usize>(), 0..3_u32).prop_map(|(which, results)| Step::Take { which, results }),
        4 => any::<usize>().prop_map(|which| Step::Done { which }),
        3 => any::<bool>().prop_map(|written| Step::Ack { written }),
        1 => any::<bool>().prop_map(|session| Step::Reconnect { session }),
    ]
}

/// What the test knows of a message in process.
#[derive(Default)]
struct Work {
    unprocessed: u32,
    announced: u32,
    safe: u32,
}

struct Run {
    ledger: Ledger,
    broker: Broker,
    work: BTreeMap<AckToken, Work>,
    payload_of: BTreeMap<AckToken, u64>,
    through: std::collections::BTreeSet<u64>,
    /// Handed out, not written: (pkid, payload).
    handed: VecDeque<u16>,
}

impl Run {
    fn receive(&mut self, packet_id: u16, payload: u64, dup: bool, streams: u32) {
        let bytes = payload.to_le_bytes();
        let received = ReceivedPublish { packet_id, dup, topic: b"t", payload: &bytes, streams };
        if let Arrival::New(token) = self.ledger.receive(received).unwrap() {
            self.payload_of.insert(token, payload);
            if streams == 0 {
                self.through.insert(payload);
            } else {
                self.work.insert(token, Work { unprocessed: streams, ..Work::default() });
            }
        }
    }

    fn nth(&self, which: usize) -> Option<AckToken> {
        let at = which.checked_rem(self.work.len())?;
        self.work.keys().nth(at).copied()
    }

    fn settle(&mut self, token: AckToken) {
        let work = &self.work[&token];
        if work.unprocessed == 0 && work.safe >= work.announced {
            self.work.remove(&token);
            self.through.insert(self.payload_of[&token]);
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Send { streams } if self.broker.sent.len() < 50 => {
                let (packet_id, payload) = self.broker.send();
                self.receive(packet_id, payload, false, streams);
            }
            Step::Take { which, results } => {
                let Some(token) = self.nth(which) else { return };
                let work = self.work.get_mut(&token).unwrap();
                if work.unprocessed > 0 {
                    work.unprocessed -= 1;
                    work.announced += results;
                    self.ledger.input_processed(processed(token, results));
                    self.settle(token);
                }
            }
            Step::Done { which } => {
                let Some(token) = self.nth(which) else { return };
                let work = self.work.get_mut(&token).unwrap();
                if work.safe < work.announced {
                    work.safe += 1;
                    self.ledger.result_settled(token);
                    self.settle(token);
                }
            }
            Step::Ack { written } => self.ack(written),
            Step::Reconnect { session } => self.reconnect(session),
            Step::Send { .. } => {}
        }
    }

    fn ack(&mut self, written: bool) {
        if let Some(packet_id) = self.ledger.next_ack() {
            self.handed.push_back(packet_id);
        }
        if written && let Some(packet_id) = self.handed.pop_front() {
            self.ledger.ack_written(packet_id);
            let (first, payload) = self.broker.sent.pop_front().expect("an ack of nothing");
            assert_eq!(first, packet_id, "acknowledged out of the order of arrival");
            assert!(self.through.contains(&payload), "acknowledged before it was through");
            self.broker.acked.push(payload);
        }
    }

    fn reconnect(&mut self, session: bool) {
        self.handed.clear();
        self.ledger.disconnected();
        self.ledger.connected(session);
        if session {
            for (packet_id, payload) in self.broker.sent.clone() {
                self.receive(packet_id, payload, true, 1);
            }
        } else {
            self.broker.sent.clear();
        }
    }
}

proptest! {
    #[test]
    fn acknowledgements_are_in_order_never_early_and_never_stuck(
        careless in any::<bool>(),
        steps in prop::collection::vec(step(), 0..400)
    ) {
        let mut run = Run {
            ledger: Ledger::default(),
            broker: Broker { careless, ..Broker::default() },
            work: BTreeMap::new(),
            payload_of: BTreeMap::new(),
            through: std::collections::BTreeSet::new(),
            handed: VecDeque::new(),
        };
        for step in &steps {
            run.apply(step);
        }
        // Let every worker finish: every message the broker still waits for is then acknowledged.
        while let Some(token) = run.nth(0) {
            let work = run.work.get_mut(&token).unwrap();
            if work.unprocessed > 0 {
                work.unprocessed -= 1;
                run.ledger.input_processed(processed(token, 0));
            } else {
                work.safe += 1;
                run.ledger.result_settled(token);
            }
            run.settle(token);
        }
        for _ in 0..run.broker.sent.len() {
            run.ack(true);
        }
        prop_assert!(run.broker.sent.is_empty(), "{} messages stuck", run.broker.sent.len());
        prop_assert_eq!(run.ledger.unacknowledged(), 0);
        prop_assert!(run.ledger.pending.is_empty());
        let mut once = run.broker.acked.clone();
        once.dedup();
        prop_assert_eq!(once.len(), run.broker.acked.len());
    }
}
