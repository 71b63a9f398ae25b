//! One attempt's options, made anew each time: secrets and certificates are read again, and
//! nothing that an earlier broker said lives on.

use std::path::Path;

use rumqttc::v5::MqttOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, LastWill};
use rumqttc::{NetworkOptions, Transport};

use super::{Fault, Status, tls};
use crate::config::{Broker, Login};

/// Seconds as MQTT has them: 16 bits for the keep-alive, 32 for the session.
fn seconds<T: TryFrom<u64>>(span: std::time::Duration, most: T) -> T {
    T::try_from(span.as_secs()).unwrap_or(most)
}

/// The client's own window: twice ours, so that it is never full and an acknowledgement never
/// waits behind a publish, with room for the packet ids of subscriptions.
pub(super) fn client_window(broker: &Broker) -> u16 {
    broker.in_flight.saturating_mul(2).saturating_add(16)
}

/// Everything rumqttc has to know for one connection of the daemon.
/// `receive_maximum`: the messages it may send ahead.
pub(super) fn options(
    broker: &Broker,
    status: &Status,
    receive_maximum: u16,
) -> Result<MqttOptions, Fault> {
    let mut options = plain(broker)?;
    options
        .set_clean_start(false)
        .set_manual_acks(true)
        .set_outgoing_inflight_upper_limit(client_window(broker))
        .set_last_will(LastWill::new(
            status.topic.as_str(),
            status.offline.to_vec(),
            QoS::AtLeastOnce,
            true,
            None,
        ))
        .set_session_expiry_interval(Some(seconds(broker.session_expiry, u32::MAX)))
        .set_receive_maximum(Some(receive_maximum));
    Ok(options)
}

/// The options any client of this broker has: the way there, the login, the sizes.
pub(super) fn plain(broker: &Broker) -> Result<MqttOptions, Fault> {
    let mut options = MqttOptions::new(&broker.client_id, &broker.host, broker.port);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options
        .set_network_options(network)
        .set_clean_start(true)
        .set_keep_alive(broker.keep_alive.clamp(
            std::time::Duration::from_secs(5),
            std::time::Duration::from_secs(u64::from(u16::MAX)),
        ))
        .set_connection_timeout(broker.connect_timeout.as_secs().max(1))
        .set_connect_properties(ConnectProperties {
            max_packet_size: Some(broker.max_packet),
            ..ConnectProperties::new()
        });
    if let Some(login) = &broker.login {
        options.set_credentials(&login.username, password(login)?);
    }
    if let Some(configured) = &broker.tls {
        options.set_transport(Transport::tls_with_config(tls::client_config(configured)?.into()));
    }
    Ok(options)
}

/// The first line of the password file.
fn password(login: &Login) -> Result<String, Fault> {
    let path = &login.password_file;
    let bad = |reason: String| Fault::File { what: "password file", path: path.clone(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    let line = text.lines().next().filter(|line| !line.is_empty());
    line.map(str::to_owned).ok_or_else(|| bad("it is empty".into()))
}

/// True where others than the owner and the group may read a secret.
pub(super) fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o007 != 0)
}
