//! The options of one connection attempt. Secrets and certificates are read again for each, so that
//! a renewed file is used without a restart.

use std::time::Duration;

use super::capabilities::DeniedFeatures;
use super::protocol::{ConnectOptions, LastWill};
use super::types::StatusMessages;
use super::{Fault, tls};
use crate::config::{Broker, Login, Password};
use crate::message::Qos;

/// The shortest keep-alive that the client library accepts.
const MIN_KEEP_ALIVE: Duration = Duration::from_secs(5);
/// The longest keep-alive of MQTT.
const MAX_KEEP_ALIVE: Duration = Duration::from_secs(u16::MAX as u64);

/// The client library's own limit of unacknowledged packets: twice ours, so that it is never reached
/// and an acknowledgement never waits behind a publish, and packet ids for subscriptions.
pub(super) fn client_window(broker: &Broker) -> u16 {
    broker.in_flight.saturating_mul(2).saturating_add(16)
}

/// The options of the daemon's connection. `receive_maximum`: the unacknowledged messages that the
/// broker may send. `denied`: what the last will must do without.
pub(super) fn daemon_options(
    broker: &Broker,
    status: &StatusMessages,
    receive_maximum: u16,
    denied: DeniedFeatures,
) -> Result<ConnectOptions, Fault> {
    Ok(ConnectOptions {
        clean_start: false,
        manual_acks: true,
        max_in_flight: Some(client_window(broker)),
        last_will: Some(LastWill {
            topic: status.topic.clone(),
            payload: status.offline.clone(),
            qos: if denied.qos1 { Qos::AtMostOnce } else { Qos::AtLeastOnce },
            retain: !denied.retain,
        }),
        session_expiry: Some(broker.session_expiry),
        receive_maximum: Some(receive_maximum),
        ..options(broker)?
    })
}

/// The options of any client of this broker: address, login and sizes.
pub(super) fn options(broker: &Broker) -> Result<ConnectOptions, Fault> {
    let login = match &broker.login {
        Some(login) => Some((login.username.clone(), password(login)?.unwrap_or_default())),
        None => None,
    };
    let tls = match &broker.tls {
        Some(configured) => Some(tls::client_config(configured, broker.port)?.into()),
        None => None,
    };
    Ok(ConnectOptions {
        host: broker.host.clone(),
        port: broker.port,
        client_id: broker.client_id.clone(),
        login,
        tls,
        connect_timeout: broker.connect_timeout,
        keep_alive: broker.keep_alive.clamp(MIN_KEEP_ALIVE, MAX_KEEP_ALIVE),
        max_packet: broker.max_packet,
        clean_start: true,
        session_expiry: None,
        receive_maximum: None,
        max_in_flight: None,
        manual_acks: false,
        last_will: None,
    })
}

/// The configured password: the first line of its file, or a variable without its line end.
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
