//! An embedded broker, for the demo and for tests on a machine without a broker.
//!
//! # Limitations of rumqttd 0.20
//! - It ignores the receive maximum: up to 100 QoS 1 messages are in flight to one client. The link
//!   allows for that.
//! - Messages of a resumed session are sent again with new packet ids and without DUP, so they are
//!   processed again instead of being recognised.
//! - It delivers with the QoS of the subscription, even if a message was published with a lower one.
//! - Sessions and retained messages are in memory only.
//! - The log of a topic is bounded: a subscriber that falls behind by more loses the oldest messages,
//!   with QoS 1, too.
//! - It leaves Nagle's algorithm on, which delays a message by up to 40 ms; it is turned off here.
//! - It announces no maximum packet size of its own, and closes the connection on a larger packet.
//!
//! Delivery guarantees are therefore tested against mosquitto. rumqttd logs through the `log` crate as
//! `rumqttd`; a program should set that to `off`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rumqttd::protocol::v5::V5;
use rumqttd::{ConnectionSettings, LinkType, Router, RouterConfig, Server, ServerSettings};
use tokio::sync::oneshot;

use super::nodelay;

/// The largest packet in bytes.
const MAX_PACKET: usize = 4 << 20;
/// Size and number of the segments that are kept per topic filter for slow subscribers.
const SEGMENT: usize = 8 << 20;
const SEGMENTS: usize = 8;
/// The port is chosen before rumqttd opens it, so another program may take it first.
const ATTEMPTS: usize = 5;
const READY_WITHIN: Duration = Duration::from_secs(5);

/// Why the embedded broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("no free port on 127.0.0.1: {0}")]
    Port(#[source] io::Error),
    #[error("the thread of the embedded broker cannot be started: {0}")]
    Thread(#[source] io::Error),
    #[error("the embedded broker did not open its port: {0}")]
    NotListening(String),
}

/// A running broker: MQTT 5 on loopback, without TLS or passwords. Dropping it stops it.
#[derive(Debug)]
pub struct EmbeddedBroker {
    port: u16,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedBroker {
    /// Starts a broker on a free port and waits until it accepts connections.
    ///
    /// # Errors
    /// No free port, no thread, or the broker does not open the port within seconds.
    pub fn start() -> Result<Self, StartError> {
        let mut last = StartError::NotListening("no attempt was made".into());
        for _ in 0..ATTEMPTS {
            match Self::start_on(free_port().map_err(StartError::Port)?) {
                Ok(broker) => return Ok(broker),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    fn start_on(port: u16) -> Result<Self, StartError> {
        let (stop, stopped) = oneshot::channel();
        let (failed, failure) = channel();
        let serve = move || {
            if let Err(reason) = serve(port, stopped) {
                // There is no receiver once the broker was up.
                failed.send(reason).unwrap_or(());
            }
        };
        let thread = std::thread::Builder::new()
            .name("demo-broker".into())
            .spawn(serve)
            .map_err(StartError::Thread)?;
        let broker = Self { port, stop: Some(stop), thread: Some(thread) };
        await_listening(port, &failure).map_err(StartError::NotListening)?;
        if !nodelay::set_for_listener(port) {
            log::debug!("the embedded broker sends with Nagle's algorithm");
        }
        Ok(broker)
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::warn!("the embedded broker panicked");
        }
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Runs until the stop message or until its sender is dropped.
fn serve(port: u16, stopped: oneshot::Receiver<()>) -> Result<(), String> {
    let router = Router::new(0, router_config()).spawn();
    let mut server = Server::new(server_settings(port), router, V5);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        tokio::select! {
            ended = server.start(LinkType::Remote) => ended.map_err(|error| error.to_string()),
            _ = stopped => Ok(()),
        }
    })
}

fn await_listening(port: u16, failure: &Receiver<String>) -> Result<(), String> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let refused = match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(()),
            Err(refused) => refused,
        };
        match failure.recv_timeout(Duration::from_millis(2)) {
            Ok(reason) => return Err(reason),
            Err(RecvTimeoutError::Disconnected) => return Err("it ended at once".into()),
            Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => {
                return Err(refused.to_string());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn router_config() -> RouterConfig {
    RouterConfig {
        max_connections: 1000,
        max_outgoing_packet_count: 200,
        max_segment_size: SEGMENT,
        max_segment_count: SEGMENTS,
        ..RouterConfig::default()
    }
}

fn server_settings(port: u16) -> ServerSettings {
    ServerSettings {
        name: "demo".into(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        tls: None,
        next_connection_delay_ms: 0,
        connections: ConnectionSettings {
            connection_timeout_ms: 5000,
            max_payload_size: MAX_PACKET,
            max_inflight_count: 100,
            auth: None,
            external_auth: None,
            // Otherwise a publish on a topic without subscribers ends the connection.
            dynamic_filters: true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_listens_while_it_lives_and_no_longer() {
        let broker = EmbeddedBroker::start().unwrap();
        let port = broker.port();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        drop(broker);
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }
}
