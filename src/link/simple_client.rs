//! A simple client for the demonstration and the operator's tools. The daemon's connection is
//! [`super::Link`]; this client forgets what it sent when the connection ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::protocol::{
    Client, ClientEvent, ConnectOptions, EventLoop, Filter, Packet, QueueFull, RetainHandling,
    SubscribeReply,
};
use super::{Fault, connect, diagnose};
use crate::config::Broker;
use crate::message::Qos;

/// Received messages that wait to be read.
const INBOX_LEN: usize = 1024;
/// The time between two attempts to connect.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(1);

/// A client with a task of its own. Dropping it closes the connection.
#[derive(Debug)]
pub struct SimpleClient {
    client: Client,
    subscribed: Arc<Mutex<Vec<(String, Qos)>>>,
    status: watch::Receiver<ClientStatus>,
    task: tokio::task::JoinHandle<()>,
}

/// One received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientMessage {
    pub topic: String,
    pub payload: Bytes,
    pub retain: bool,
}

/// The state of the connection.
#[derive(Debug, Clone, Default)]
pub struct ClientStatus {
    pub connected: bool,
    /// Connections made so far. What was sent before the last one may be lost.
    pub connections: u64,
    /// Why the last attempt failed or the last connection ended.
    pub fault: Option<Fault>,
    /// QoS 1 publishes that the broker acknowledged or refused.
    pub acknowledged: u64,
    /// Subscriptions that the broker replied to.
    pub answered: u64,
    /// The last refusal: what was refused, and why.
    pub refusal: Option<String>,
}

/// The client's task has ended.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the connection has been closed")]
pub struct ClientClosed;

impl From<QueueFull> for ClientClosed {
    fn from(_: QueueFull) -> Self {
        Self
    }
}

impl SimpleClient {
    /// Starts to connect; [`SimpleClient::connected`] waits for the connection.
    ///
    /// # Errors
    /// A certificate or password file that cannot be read.
    pub fn start(broker: &Broker) -> Result<(Self, mpsc::Receiver<ClientMessage>), Fault> {
        let options = connect::options(broker)?;
        let (client, event_loop) = Client::new(&options, broker, usize::from(broker.in_flight) * 2);
        let (messages, inbox) = mpsc::channel(INBOX_LEN);
        let (status_sender, status) = watch::channel(ClientStatus::default());
        let subscribed = Arc::new(Mutex::new(Vec::new()));
        let poll = Poll {
            client: client.clone(),
            subscribed: subscribed.clone(),
            status: status_sender,
            messages,
        };
        let task = tokio::spawn(poll.run(event_loop, broker.clone(), options));
        Ok((Self { client, subscribed, status, task }, inbox))
    }

    /// Waits for the connection.
    ///
    /// # Errors
    /// Why it could not be made within `patience`.
    pub async fn connected(&self, patience: Duration) -> Result<(), Fault> {
        let mut status = self.status.clone();
        let up = status.wait_for(|status| status.connected);
        match tokio::time::timeout(patience, up).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Fault::Stopped),
            Err(_) => {
                let fault = self.status.borrow().fault.clone();
                Err(fault.unwrap_or(Fault::Timeout { after: patience }))
            }
        }
    }

    /// Subscribes now and again after every reconnect.
    ///
    /// # Errors
    /// The client has ended.
    pub async fn subscribe(&self, filter: &str, qos: Qos) -> Result<(), ClientClosed> {
        let wanted = (filter.to_owned(), qos);
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).push(wanted);
        Ok(self.client.subscribe(filter, qos).await?)
    }

    /// Ends a subscription; messages in flight are still received.
    ///
    /// # Errors
    /// The client has ended.
    pub async fn unsubscribe(&self, filter: &str) -> Result<(), ClientClosed> {
        self.forget(filter);
        Ok(self.client.unsubscribe(filter).await?)
    }

    fn forget(&self, filter: &str) {
        let mut subscribed = self.subscribed.lock().unwrap_or_else(PoisonError::into_inner);
        subscribed.retain(|(wanted, _)| wanted != filter);
    }

    /// Hands over a message; waits while too many are in flight.
    ///
    /// # Errors
    /// The client has ended.
    pub async fn publish(
        &self,
        topic: &str,
        payload: impl Into<Bytes>,
        qos: Qos,
        retain: bool,
    ) -> Result<(), ClientClosed> {
        Ok(self.client.publish(topic, payload.into(), qos, retain).await?)
    }

    /// The current and future state of the connection.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<ClientStatus> {
        self.status.clone()
    }
}

impl Drop for SimpleClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Poll {
    client: Client,
    subscribed: Arc<Mutex<Vec<(String, Qos)>>>,
    status: watch::Sender<ClientStatus>,
    messages: mpsc::Sender<ClientMessage>,
}

impl Poll {
    async fn run(self, mut event_loop: EventLoop, broker: Broker, options: ConnectOptions) {
        loop {
            match event_loop.poll().await {
                Ok(ClientEvent::Received(packet)) => self.on_packet(packet).await,
                Ok(ClientEvent::Written(_)) => {}
                Err(mut fault) => {
                    let is_first = {
                        let status = self.status.borrow();
                        status.fault.is_none() && !status.connected
                    };
                    if is_first {
                        fault = diagnose::cause_of(&broker, &options, fault).await;
                    }
                    let stopped = fault == Fault::Stopped;
                    self.status.send_modify(|status| {
                        status.connected = false;
                        status.fault = Some(fault);
                    });
                    if stopped {
                        return;
                    }
                    tokio::time::sleep(RECONNECT_INTERVAL).await;
                }
            }
        }
    }

    async fn on_packet(&self, packet: Packet) {
        match packet {
            Packet::ConnAck(ack) => {
                if !ack.session_present {
                    self.subscribe_again();
                }
                self.status.send_modify(|status| {
                    status.connected = true;
                    status.connections += 1;
                });
            }
            Packet::PubAck { refusal, .. } => self.status.send_modify(|status| {
                status.acknowledged += 1;
                if let Some(refusal) = refusal {
                    status.refusal = Some(format!("a publish ({})", refusal.as_str()));
                }
            }),
            Packet::SubAck { replies, .. } => self.status.send_modify(|status| {
                status.answered += 1;
                let refused = replies.iter().find_map(|reply| match reply {
                    SubscribeReply::Refused(reason) => Some(reason.as_str()),
                    SubscribeReply::IdRefused => Some("subscription identifiers not supported"),
                    SubscribeReply::Granted(_) => None,
                });
                if let Some(reason) = refused {
                    status.refusal = Some(format!("a subscription ({reason})"));
                }
            }),
            Packet::Publish(publish) => {
                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                let message =
                    ClientMessage { topic, payload: publish.payload, retain: publish.retain };
                if self.messages.send(message).await.is_err() {
                    log::debug!("a received message was dropped: its queue is closed");
                }
            }
            Packet::Disconnect(_) | Packet::Other => {}
        }
    }

    fn subscribe_again(&self) {
        let wanted = self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (filter, qos) in wanted {
            let retain_handling = RetainHandling::OnEverySubscribe;
            let filter = Filter { filter, qos, retain_handling };
            if self.client.try_subscribe([filter], None).is_err() {
                log::debug!("the queue is too full to subscribe again");
            }
        }
    }
}
