//! Values of command-line options: the address of a broker, durations and sizes.

use std::time::Duration;

use super::validate::Url;
use super::{Broker, Tls};

impl Broker {
    /// The broker at `mqtt://HOST[:PORT]` or `mqtts://…`, without a login.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn of_tool(url: &str, client_id: String) -> Result<Self, &'static str> {
        if url.contains('@') {
            return Err("it contains a user name: use --username");
        }
        let Url { tls, host, port } = Url::parse(url)?;
        let none = Tls { ca_file: None, client_cert_file: None, client_key_file: None };
        Ok(Self {
            host,
            port,
            tls: tls.then_some(none),
            client_id,
            login: None,
            keep_alive: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            session_expiry: Duration::ZERO,
            receive_maximum: u16::MAX,
            in_flight: 16,
            max_packet: 1 << 20,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(10),
        })
    }
}

/// Parses a duration: `500ms`, `10s`, `5m`, `1h`, `2d`.
///
/// # Errors
/// Any other text.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    super::units::duration(text).ok_or_else(|| "not a duration such as 90s, 10m, 2h or 7d".into())
}

/// Parses a size in bytes: `64KiB`, `10MB`.
///
/// # Errors
/// Any other text.
pub fn parse_size(text: &str) -> Result<u64, String> {
    super::units::size(text).ok_or_else(|| "not a size such as 64KiB or 2MB".into())
}
