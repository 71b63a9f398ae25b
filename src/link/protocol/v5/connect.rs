//! CONNECT and the answers that refuse it.

use std::time::Duration;

use bytes::BytesMut;
use rumqttc::v5::MqttOptions;
use rumqttc::v5::mqttbytes::v5::{Connect, ConnectProperties, ConnectReturnCode, LastWill, Packet};
use rumqttc::{NetworkOptions, Transport};

use super::errors::connack_code;
use super::{ConnectOptions, encode_qos};
use crate::link::fault::BrokerText;

/// Seconds as MQTT has them: 16 bits for the keep-alive, 32 for the session.
fn seconds<T: TryFrom<u64>>(span: Duration, max: T) -> T {
    T::try_from(span.as_secs()).unwrap_or(max)
}

/// The options of rumqttc.
pub(super) fn options(wanted: &ConnectOptions) -> MqttOptions {
    let mut options = MqttOptions::new(&wanted.client_id, &wanted.host, wanted.port);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options
        .set_network_options(network)
        .set_clean_start(wanted.clean_start)
        .set_manual_acks(wanted.manual_acks)
        .set_keep_alive(wanted.keep_alive)
        .set_connection_timeout(wanted.connect_timeout.as_secs().max(1))
        .set_connect_properties(ConnectProperties {
            max_packet_size: Some(wanted.max_packet),
            receive_maximum: wanted.receive_maximum,
            session_expiry_interval: wanted.session_expiry.map(|span| seconds(span, u32::MAX)),
            ..ConnectProperties::new()
        });
    if let Some(limit) = wanted.max_in_flight {
        options.set_outgoing_inflight_upper_limit(limit);
    }
    if let Some(will) = &wanted.last_will {
        options.set_last_will(LastWill::new(
            will.topic.as_str(),
            will.payload.to_vec(),
            encode_qos(will.qos),
            will.retain,
            None,
        ));
    }
    if let Some((user, password)) = &wanted.login {
        // rumqttc leaves the password out of CONNECT if it is empty.
        options.set_credentials(user, password);
    }
    if let Some(tls) = &wanted.tls {
        options.set_transport(Transport::tls_with_config((**tls).clone().into()));
    }
    options
}

/// The bytes of the CONNECT, without the last will.
pub(crate) fn connect_packet(wanted: &ConnectOptions) -> Option<Vec<u8>> {
    let options = options(wanted);
    let connect = Connect {
        client_id: options.client_id(),
        keep_alive: seconds(options.keep_alive(), u16::MAX),
        clean_start: options.clean_start(),
        properties: options.connect_properties(),
    };
    let mut bytes = BytesMut::new();
    Packet::Connect(connect, None, options.credentials()).write(&mut bytes, None).ok()?;
    Some(bytes.to_vec())
}

/// The reason code of a CONNACK that refuses the connection, and what the broker adds to it. `None` for
/// an accepted connection and for other bytes.
pub(crate) fn refused_connect(answer: &[u8]) -> Option<(u8, BrokerText)> {
    let mut bytes = BytesMut::from(answer);
    let Ok(Packet::ConnAck(connack)) = Packet::read(&mut bytes, None) else { return None };
    if connack.code == ConnectReturnCode::Success {
        return None;
    }
    let text = connack.properties.map_or_else(BrokerText::default, |properties| BrokerText {
        reason: properties.reason_string,
        server: properties.server_reference,
    });
    Some((connack_code(connack.code), text))
}
