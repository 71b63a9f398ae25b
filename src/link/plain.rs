//! A small client of its own, for the demonstration and the operator's tools. The daemon's
//! connection is [`super::Link`]; this one forgets what it sent when the connection ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, PubAckReason, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, ClientError, Event, EventLoop, MqttOptions};
use tokio::sync::{mpsc, watch};

use super::{Fault, connect, diagnose};
use crate::config::Broker;
use crate::message::Qos;

/// Received messages that may wait for whoever reads them.
const INBOX: usize = 1024;
/// Between two attempts to connect.
const AGAIN: Duration = Duration::from_secs(1);

/// A connected client; dropping it closes the connection.
#[derive(Debug)]
pub struct PlainClient {
    client: AsyncClient,
    subscribed: Arc<Mutex<Vec<(String, QoS)>>>,
    progress: watch::Receiver<Progress>,
    task: tokio::task::JoinHandle<()>,
}

/// One received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainMessage {
    pub topic: String,
    pub payload: Bytes,
    pub retain: bool,
}

/// How the connection stands.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    pub connected: bool,
    /// Connections made so far: what was sent before the last one may be lost.
    pub connections: u64,
    /// Why the last attempt failed or the last connection ended.
    pub fault: Option<Fault>,
    /// QoS 1 publishes that the broker answered.
    pub acknowledged: u64,
    /// Subscriptions that the broker answered.
    pub answered: u64,
    /// The last answer that was a refusal.
    pub refusal: Option<String>,
}

/// The client's task has ended.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the connection has been closed")]
pub struct Closed;

impl From<ClientError> for Closed {
    fn from(_: ClientError) -> Self {
        Self
    }
}

impl PlainClient {
    /// Starts to connect; [`PlainClient::connected`] waits until it is done.
    ///
    /// # Errors
    /// A certificate or password file that cannot be read.
    pub fn start(broker: &Broker) -> Result<(Self, mpsc::Receiver<PlainMessage>), Fault> {
        let options = connect::plain(broker)?;
        let (client, poller) = AsyncClient::new(options.clone(), usize::from(broker.in_flight) * 2);
        let (messages, inbox) = mpsc::channel(INBOX);
        let (tell, progress) = watch::channel(Progress::default());
        let subscribed = Arc::new(Mutex::new(Vec::new()));
        let poll = Poll { client: client.clone(), subscribed: subscribed.clone(), tell, messages };
        let task = tokio::spawn(poll.run(poller, broker.clone(), options));
        Ok((Self { client, subscribed, progress, task }, inbox))
    }

    /// Waits for the connection.
    ///
    /// # Errors
    /// Why it could not be made within `patience`.
    pub async fn connected(&self, patience: Duration) -> Result<(), Fault> {
        let mut progress = self.progress.clone();
        let up = progress.wait_for(|progress| progress.connected);
        match tokio::time::timeout(patience, up).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Fault::Stopped),
            Err(_) => {
                let fault = self.progress.borrow().fault.clone();
                Err(fault.unwrap_or(Fault::Timeout { after: patience }))
            }
        }
    }

    /// Subscribes now and again after every reconnect.
    ///
    /// # Errors
    /// The client has ended.
    pub async fn subscribe(&self, filter: &str, qos: Qos) -> Result<(), Closed> {
        let wanted = (filter.to_owned(), level(qos));
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).push(wanted);
        Ok(self.client.subscribe(filter, level(qos)).await?)
    }

    /// Ends a subscription; what is on its way still comes.
    ///
    /// # Errors
    /// The client has ended.
    pub async fn unsubscribe(&self, filter: &str) -> Result<(), Closed> {
        self.forget(filter);
        Ok(self.client.unsubscribe(filter).await?)
    }

    fn forget(&self, filter: &str) {
        let mut subscribed = self.subscribed.lock().unwrap_or_else(PoisonError::into_inner);
        subscribed.retain(|(wanted, _)| wanted != filter);
    }

    /// Hands over a message; waits while too many are under way.
    ///
    /// # Errors
    /// The client has ended.
    pub async fn publish(
        &self,
        topic: &str,
        payload: impl Into<Bytes>,
        qos: Qos,
        retain: bool,
    ) -> Result<(), Closed> {
        Ok(self.client.publish(topic, level(qos), retain, payload.into()).await?)
    }

    /// How the connection stands, now and later.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }
}

impl Drop for PlainClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What more there is to say about why the first attempt failed.
pub(super) async fn look_closer(broker: &Broker, options: &MqttOptions, fault: Fault) -> Fault {
    let (broker, options, raw) = (broker.clone(), options.clone(), fault.clone());
    let look = tokio::task::spawn_blocking(move || diagnose::diagnose(&broker, &options, &raw));
    look.await.ok().flatten().unwrap_or(fault)
}

fn level(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    }
}

struct Poll {
    client: AsyncClient,
    subscribed: Arc<Mutex<Vec<(String, QoS)>>>,
    tell: watch::Sender<Progress>,
    messages: mpsc::Sender<PlainMessage>,
}

impl Poll {
    async fn run(self, mut poller: EventLoop, broker: Broker, options: MqttOptions) {
        loop {
            match poller.poll().await {
                Ok(Event::Incoming(packet)) => self.received(packet).await,
                Ok(Event::Outgoing(_)) => {}
                Err(error) => {
                    let was = self.tell.borrow().connected;
                    let first = self.tell.borrow().fault.is_none() && !was;
                    let mut fault = Fault::of(error, was, &broker);
                    if first {
                        fault = look_closer(&broker, &options, fault).await;
                    }
                    let stopped = fault == Fault::Stopped;
                    self.tell.send_modify(|progress| {
                        progress.connected = false;
                        progress.fault = Some(fault);
                    });
                    if stopped {
                        return;
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    async fn received(&self, packet: Packet) {
        match packet {
            Packet::ConnAck(ack) => {
                if !ack.session_present {
                    self.subscribe_again();
                }
                self.tell.send_modify(|progress| {
                    progress.connected = true;
                    progress.connections += 1;
                });
            }
            Packet::PubAck(ack) => self.tell.send_modify(|progress| {
                progress.acknowledged += 1;
                if !matches!(
                    ack.reason,
                    PubAckReason::Success | PubAckReason::NoMatchingSubscribers
                ) {
                    progress.refusal = Some(format!("a publish: {:?}", ack.reason));
                }
            }),
            Packet::SubAck(ack) => self.tell.send_modify(|progress| {
                progress.answered += 1;
                let refused =
                    ack.return_codes.iter().find(|c| !matches!(c, SubscribeReasonCode::Success(_)));
                if let Some(code) = refused {
                    progress.refusal = Some(format!("a subscription: {code:?}"));
                }
            }),
            Packet::Publish(publish) => {
                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                let message =
                    PlainMessage { topic, payload: publish.payload, retain: publish.retain };
                if self.messages.send(message).await.is_err() {
                    log::debug!("nobody reads what this client receives");
                }
            }
            _ => {}
        }
    }

    fn subscribe_again(&self) {
        let wanted = self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (filter, qos) in wanted {
            if self.client.try_subscribe(filter, qos).is_err() {
                log::debug!("too much is under way to subscribe again");
            }
        }
    }
}
