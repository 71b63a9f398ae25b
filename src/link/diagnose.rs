//! Why a broker that cannot be talked to cannot: its first bytes, which rumqttc does not show.
//!
//! rumqttc waits for ever for the rest of a CONNACK of MQTT 3.1.1, and drops the reason string of
//! one that refuses. So after an attempt that failed for a new reason the same CONNECT is sent
//! once more over a connection of its own, and the answer is looked at. A broker that accepts it is
//! sent DISCONNECT at once, which leaves its session as it was.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rumqttc::v5::MqttOptions;
use rumqttc::v5::mqttbytes::v5::{Connect, ConnectReturnCode, Packet};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::reason::{self, Said};
use super::{Fault, tls};
use crate::config::Broker;

/// The longest time for one of at most three looks.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of an answer that are looked at.
const ANSWER: usize = 4096;

/// A CONNECT of MQTT 3.1.1 with a clean session and no client id.
const CONNECT_3: &[u8] = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00";
/// A CONNECT of MQTT 5 with a clean start and no client id.
const CONNECT_5: &[u8] = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x00";
const DISCONNECT: &[u8] = &[0xe0, 0x00];

/// Looks again after `fault`, which came before the broker accepted a connection. `None` where
/// that tells nothing new. Blocks for a few seconds at most.
pub(super) fn diagnose(broker: &Broker, options: &MqttOptions, fault: &Fault) -> Option<Fault> {
    let refused = matches!(
        fault,
        Fault::BadPassword { .. }
            | Fault::NotAuthorized { .. }
            | Fault::Banned { .. }
            | Fault::Version { .. }
            | Fault::Unavailable { .. }
            | Fault::Refused { .. }
    );
    let unclear = matches!(
        fault,
        Fault::NoAnswer | Fault::Timeout { .. } | Fault::Garbage { .. } | Fault::TooLarge { .. }
    );
    if !refused && !unclear {
        return None;
    }
    let answer = match ask(broker, &connect_packet(options)?) {
        Ok(answer) => answer,
        Err(_) if broker.tls.is_some() => return without_tls(broker),
        Err(_) => return None,
    };
    let found = read(&answer, broker);
    if refused {
        // Only what says more about the same refusal.
        let same = found.as_ref().is_some_and(|found| {
            std::mem::discriminant(found) == std::mem::discriminant(fault)
                && found.code() == fault.code()
        });
        return found.filter(|_| same);
    }
    if found.is_some() || !answer.is_empty() {
        return found;
    }
    let of_version_3 = ask(broker, CONNECT_3).unwrap_or_default();
    if of_version_3.starts_with(&[0x20, 0x02]) {
        let reason = "it closes the connection, and answers to MQTT 3.1.1".to_owned();
        return Some(Fault::Version { reason });
    }
    if broker.tls.is_some() { without_tls(broker) } else { with_tls(broker) }
}

/// The CONNECT as rumqttc sent it, without the last will.
fn connect_packet(options: &MqttOptions) -> Option<Vec<u8>> {
    let connect = Connect {
        client_id: options.client_id(),
        keep_alive: u16::try_from(options.keep_alive().as_secs()).unwrap_or(u16::MAX),
        clean_start: options.clean_start(),
        properties: options.connect_properties(),
    };
    let mut bytes = BytesMut::new();
    Packet::Connect(connect, None, options.credentials()).write(&mut bytes, None).ok()?;
    Some(bytes.to_vec())
}

/// What the first bytes of an answer to CONNECT mean; `None` for a success.
fn read(answer: &[u8], broker: &Broker) -> Option<Fault> {
    match answer {
        [] => None,
        [0x20, 0x02, _, code, ..] => Some(Fault::Version {
            reason: match code {
                0 => "it accepts the connection as one of MQTT 3.1.1".to_owned(),
                1 => "it answers as MQTT 3.1.1: unacceptable protocol version".to_owned(),
                code => format!("it answers as MQTT 3.1.1, with the return code {code}"),
            },
        }),
        [0x20, ..] => {
            let mut bytes = BytesMut::from(answer);
            let Ok(Packet::ConnAck(connack)) = Packet::read(&mut bytes, None) else { return None };
            if connack.code == ConnectReturnCode::Success {
                return None;
            }
            let said = connack.properties.map_or_else(Said::default, |properties| Said {
                reason: properties.reason_string,
                server: properties.server_reference,
            });
            Some(Fault::of_refusal(reason::of_connack(connack.code), &said, broker))
        }
        [0x15, 0x03, ..] => Some(speaks_tls()),
        _ => {
            let text = String::from_utf8_lossy(answer);
            let known =
                [("HTTP/", "HTTP"), ("SSH-", "SSH"), ("220 ", "SMTP or FTP"), ("<", "HTML")];
            let (_, name) = known.iter().find(|(start, _)| text.starts_with(start))?;
            let reason = format!("a server of {name} answers there; use the broker's MQTT port");
            Some(Fault::OtherProtocol { tls: broker.tls.is_some(), reason })
        }
    }
}

fn speaks_tls() -> Fault {
    let reason = "it speaks TLS; use mqtts:// (and broker.ca_file where its authority is your own)";
    Fault::OtherProtocol { tls: false, reason: reason.to_owned() }
}

/// Whether a port that does not speak TLS speaks plain MQTT. No secret is sent.
fn without_tls(broker: &Broker) -> Option<Fault> {
    let plain = Broker { tls: None, ..broker.clone() };
    let answer = ask(&plain, CONNECT_5).ok()?;
    let reason =
        "it speaks MQTT without TLS; use mqtt://, or the broker's port with TLS (often 8883)";
    answer
        .starts_with(&[0x20])
        .then(|| Fault::OtherProtocol { tls: true, reason: reason.to_owned() })
}

/// Whether a port that does not speak plain MQTT speaks TLS.
fn with_tls(broker: &Broker) -> Option<Fault> {
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .ok()?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
    let name = ServerName::try_from(broker.host.clone()).ok()?;
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), name).ok()?.write_tls(&mut hello).ok()?;
    let answer = exchange(&mut open(broker).ok()?, &hello).ok()?;
    (answer.starts_with(&[0x16, 0x03]) || answer.starts_with(&[0x15, 0x03])).then(speaks_tls)
}

/// Sends a CONNECT as the broker is configured, and reads what comes.
fn ask(broker: &Broker, packet: &[u8]) -> io::Result<Vec<u8>> {
    let tcp = open(broker)?;
    let Some(tls) = &broker.tls else {
        let mut tcp = tcp;
        return exchange(&mut tcp, packet);
    };
    let config = tls::client_config(tls, broker.port).map_err(io::Error::other)?;
    let name = ServerName::try_from(broker.host.clone()).map_err(io::Error::other)?;
    let client = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    exchange(&mut StreamOwned::new(client, tcp), packet)
}

fn open(broker: &Broker) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (broker.host.as_str(), broker.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Sends `packet` and reads until the first answer is whole, the peer is gone, or time is up.
fn exchange(stream: &mut (impl Read + Write), packet: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(packet)?;
    stream.flush()?;
    let until = Instant::now() + PATIENCE;
    let (mut answer, mut bytes) = (Vec::new(), [0; 512]);
    while answer.len() < ANSWER && Instant::now() < until && !is_whole(&answer) {
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend(bytes.iter().take(count)),
        }
    }
    if answer.starts_with(&[0x20]) {
        // Leaves a session that it accepted as it is. A peer that is gone needs no goodbye.
        _ = stream.write_all(DISCONNECT).and_then(|()| stream.flush());
    }
    Ok(answer)
}

/// Whether the answer is a CONNACK with all its bytes, or something else.
fn is_whole(answer: &[u8]) -> bool {
    match answer {
        [] | [0x20] => false,
        // A length of two bytes or more: read to the end.
        [0x20, length, rest @ ..] => *length < 0x80 && rest.len() >= usize::from(*length),
        other => other.len() >= 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(answer: &[u8]) -> String {
        let broker = Broker::of_tool("mqtt://localhost", "gw".into()).unwrap();
        read(answer, &broker).map_or_else(String::new, |fault| fault.to_string())
    }

    #[test]
    fn first_bytes_tell_what_a_port_speaks() {
        assert!(said(&[0x20, 2, 0, 1]).contains("3.1.1: unacceptable protocol version"));
        assert!(said(&[0x20, 2, 0, 0]).contains("accepts the connection as one of MQTT 3.1.1"));
        assert!(said(&[0x20, 2, 0, 5]).contains("return code 5"));
        assert!(said(&[0x15, 3, 1, 0, 2, 2, 70]).contains("mqtts://"));
        assert!(said(b"HTTP/1.1 400 Bad Request").contains("a server of HTTP"));
        assert_eq!(said(&[0x20, 3, 0, 0, 0]), "");
        let refused = [&[0x20, 9, 0, 0x87, 6, 0x1f, 0, 3][..], b"nay"].concat();
        assert!(said(&refused).contains("the broker says: nay"), "{}", said(&refused));
        let moved = [&[0x20, 9, 0, 0x9d, 6, 0x1c, 0, 3][..], b"b:1"].concat();
        assert!(said(&moved).contains("names the server b:1"), "{}", said(&moved));
    }
}
