//! What a broker sends is read by rumqttc: this holds its reader and its state to not panicking,
//! because a panic would end the link's task and with it the daemon.

use bytes::BytesMut;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};
use rumqttc::v5::{MqttState, Request};

/// Random bodies behind every packet type, rich in the small numbers that lengths and packet ids
/// are made of, so that many get past the first checks.
fn packet(random: &mut fastrand::Rng) -> BytesMut {
    let length = random.u8(0..60);
    let mut bytes = BytesMut::with_capacity(64);
    bytes.extend_from_slice(&[random.u8(..), length]);
    for _ in 0..length {
        let byte = match random.u8(0..6) {
            0..=2 => random.u8(..),
            3 | 4 => random.u8(0..4),
            _ => 0x26,
        };
        bytes.extend_from_slice(&[byte]);
    }
    bytes
}

#[test]
fn no_bytes_of_a_broker_make_the_client_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut state = MqttState::new(16, true);
    let mut understood = 0;
    for _ in 0..200_000 {
        if state.inflight() < 10 {
            let publish = Publish::new("out", QoS::AtLeastOnce, "x", None);
            state.handle_outgoing_packet(Request::Publish(publish)).unwrap();
        }
        if let Ok(packet) = Packet::read(&mut packet(&mut random), Some(1 << 20)) {
            understood += 1;
            // Whether the state likes it does not matter here.
            let _answer = state.handle_incoming_packet(packet);
        }
        state.events.clear();
    }
    assert!(understood > 1000, "only {understood} packets got past the reader");
}
