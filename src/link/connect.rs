//! One attempt's options, made anew each time: secrets and certificates are read again, and
//! nothing that an earlier broker said lives on.

use rumqttc::v5::MqttOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, LastWill};
use rumqttc::{NetworkOptions, Transport};

use super::abilities::Denied;
use super::{Fault, Status, tls};
use crate::config::{Broker, Login, Password};

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
/// `receive_maximum`: the messages it may send ahead. `denied`: what the last will does without.
pub(super) fn options(
    broker: &Broker,
    status: &Status,
    receive_maximum: u16,
    denied: Denied,
) -> Result<MqttOptions, Fault> {
    let mut options = plain(broker)?;
    options
        .set_clean_start(false)
        .set_manual_acks(true)
        .set_outgoing_inflight_upper_limit(client_window(broker))
        .set_last_will(LastWill::new(
            status.topic.as_str(),
            status.offline.to_vec(),
            if denied.at_least_once { QoS::AtMostOnce } else { QoS::AtLeastOnce },
            !denied.retain,
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
        // rumqttc leaves the password out of CONNECT where it is empty.
        options.set_credentials(&login.username, password(login)?.unwrap_or_default());
    }
    if let Some(configured) = &broker.tls {
        options.set_transport(Transport::tls_with_config(
            tls::client_config(configured, broker.port)?.into(),
        ));
    }
    Ok(options)
}

/// The password, where there is one: the first line of its file, or a variable without its line end.
fn password(login: &Login) -> Result<Option<String>, Fault> {
    let (what, text) = match &login.password {
        Password::None => return Ok(None),
        Password::File(path) => {
            let what = format!("broker.credentials.password_file {}", path.display());
            let text = std::fs::read(path).map_err(|error| Fault::Content {
                what: what.clone(),
                reason: format!("{error}; check the path and the permissions"),
            })?;
            (what, String::from_utf8(text).ok())
        }
        Password::Env(name) => {
            let what = format!("broker.credentials.password_env: the variable {name}");
            (what, std::env::var_os(name).unwrap_or_default().into_string().ok())
        }
        Password::Typed(typed) => return Ok(Some(typed.0.clone())),
    };
    let bad = |reason: &str| Fault::Content { what: what.clone(), reason: reason.to_owned() };
    let text = text.ok_or_else(|| bad("is not UTF-8 text"))?;
    let line = text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(bad("has no password on its first line; write it there"));
    }
    Ok(Some(line.to_owned()))
}
