//! The cause of a failed connection attempt, from the first bytes of the broker's answer.
//!
//! The client library waits without end for the rest of a CONNACK of MQTT 3.1.1, and drops the reason
//! string of one that refuses. So after an attempt that failed for a new reason the same CONNECT is
//! sent again over a connection of its own, and the answer is examined. If the broker accepts it,
//! DISCONNECT is sent at once, which leaves the session as it was.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::protocol::{ConnectOptions, connect_packet, refused_connect};
use super::{Fault, tls};
use crate::config::Broker;

/// The longest time for one of at most three exchanges.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of an answer that are read.
const MAX_ANSWER_SIZE: usize = 4096;

/// A CONNECT of MQTT 3.1.1 with a clean session and no client id.
const CONNECT_3: &[u8] = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00";
/// A CONNECT of MQTT 5 with a clean start and no client id.
const CONNECT_5: &[u8] = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x00";
const DISCONNECT: &[u8] = &[0xe0, 0x00];

/// The cause of `fault`, which ended an attempt before the broker accepted it; `fault` itself if nothing
/// more is found. Takes a few seconds at most.
pub(super) async fn cause_of(broker: &Broker, options: &ConnectOptions, fault: Fault) -> Fault {
    let (broker, options, known) = (broker.clone(), options.clone(), fault.clone());
    let diagnosis = tokio::task::spawn_blocking(move || diagnose(&broker, &options, &known));
    diagnosis.await.ok().flatten().unwrap_or(fault)
}

/// A fault that says more than `fault`, if there is one. Blocks for a few seconds at most.
fn diagnose(broker: &Broker, options: &ConnectOptions, fault: &Fault) -> Option<Fault> {
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
    let answer = match send_connect(broker, &connect_packet(options)?) {
        Ok(answer) => answer,
        Err(_) if broker.tls.is_some() => return without_tls(broker),
        Err(_) => return None,
    };
    let found = interpret(&answer, broker);
    if refused {
        // Only more details of the same refusal.
        let same = found.as_ref().is_some_and(|found| {
            std::mem::discriminant(found) == std::mem::discriminant(fault)
                && found.code() == fault.code()
        });
        return found.filter(|_| same);
    }
    if found.is_some() || !answer.is_empty() {
        return found;
    }
    let of_version_3 = send_connect(broker, CONNECT_3).unwrap_or_default();
    if of_version_3.starts_with(&[0x20, 0x02]) {
        let reason = "it closes the connection, and answers MQTT 3.1.1".to_owned();
        return Some(Fault::Version { reason });
    }
    if broker.tls.is_some() { without_tls(broker) } else { with_tls(broker) }
}

/// The meaning of the first bytes of an answer to CONNECT; `None` for a success.
fn interpret(answer: &[u8], broker: &Broker) -> Option<Fault> {
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
            let (code, text) = refused_connect(answer)?;
            Some(Fault::of_refusal(code, &text, broker))
        }
        [0x15, 0x03, ..] => Some(uses_tls()),
        _ => {
            let text = String::from_utf8_lossy(answer);
            let known =
                [("HTTP/", "HTTP"), ("SSH-", "SSH"), ("220 ", "SMTP or FTP"), ("<", "HTML")];
            let (_, name) = known.iter().find(|(start, _)| text.starts_with(start))?;
            let reason = format!("the port answers as {name}; use the broker's MQTT port");
            Some(Fault::OtherProtocol { tls: broker.tls.is_some(), reason })
        }
    }
}

fn uses_tls() -> Fault {
    let reason = "it uses TLS; use mqtts:// (and broker.ca_file for a private authority)";
    Fault::OtherProtocol { tls: false, reason: reason.to_owned() }
}

/// Whether a port without TLS is one of MQTT. No secret is sent.
fn without_tls(broker: &Broker) -> Option<Fault> {
    let plain = Broker { tls: None, ..broker.clone() };
    let answer = send_connect(&plain, CONNECT_5).ok()?;
    let reason =
        "it uses MQTT without TLS; use mqtt://, or the broker's port with TLS (often 8883)";
    answer
        .starts_with(&[0x20])
        .then(|| Fault::OtherProtocol { tls: true, reason: reason.to_owned() })
}

/// Whether a port without plain MQTT uses TLS.
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
    (answer.starts_with(&[0x16, 0x03]) || answer.starts_with(&[0x15, 0x03])).then(uses_tls)
}

/// Sends a CONNECT as the broker is configured, and reads the answer.
fn send_connect(broker: &Broker, packet: &[u8]) -> io::Result<Vec<u8>> {
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
        match TcpStream::connect_timeout(&address, EXCHANGE_TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(EXCHANGE_TIMEOUT))?;
                stream.set_write_timeout(Some(EXCHANGE_TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Sends `packet` and reads until the first answer is complete, the peer has closed, or time is up.
fn exchange(stream: &mut (impl Read + Write), packet: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(packet)?;
    stream.flush()?;
    let until = Instant::now() + EXCHANGE_TIMEOUT;
    let (mut answer, mut bytes) = (Vec::new(), [0; 512]);
    while answer.len() < MAX_ANSWER_SIZE && Instant::now() < until && !is_complete(&answer) {
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend(bytes.iter().take(count)),
        }
    }
    if answer.starts_with(&[0x20]) {
        // Leaves an accepted session as it is. A failure means that the peer has closed.
        _ = stream.write_all(DISCONNECT).and_then(|()| stream.flush());
    }
    Ok(answer)
}

/// Whether the answer is a complete CONNACK, or something else.
fn is_complete(answer: &[u8]) -> bool {
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
        interpret(answer, &broker).map_or_else(String::new, |fault| fault.to_string())
    }

    #[test]
    fn first_bytes_identify_the_protocol_of_a_port() {
        assert!(said(&[0x20, 2, 0, 1]).contains("3.1.1: unacceptable protocol version"));
        assert!(said(&[0x20, 2, 0, 0]).contains("accepts the connection as one of MQTT 3.1.1"));
        assert!(said(&[0x20, 2, 0, 5]).contains("return code 5"));
        assert!(said(&[0x15, 3, 1, 0, 2, 2, 70]).contains("mqtts://"));
        assert!(said(b"HTTP/1.1 400 Bad Request").contains("answers as HTTP"));
        assert_eq!(said(&[0x20, 3, 0, 0, 0]), "");
        let refused = [&[0x20, 9, 0, 0x87, 6, 0x1f, 0, 3][..], b"nay"].concat();
        assert!(said(&refused).contains("(broker: nay)"), "{}", said(&refused));
        let moved = [&[0x20, 9, 0, 0x9d, 6, 0x1c, 0, 3][..], b"b:1"].concat();
        assert!(said(&moved).contains("use the server b:1"), "{}", said(&moved));
    }
}
