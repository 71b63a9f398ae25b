//! MQTT 5 by rumqttc.

mod connect;
mod decode;
mod errors;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5 as wire;
use rumqttc::v5::{AsyncClient, Event};

pub(crate) use connect::{connect_packet, refused_connect};
pub(crate) use rumqttc::v5::mqttbytes::valid_topic as is_valid_topic;

use super::packet::{
    ClientEvent, ConnectOptions, Filter, Packet, PublishError, QueueFull, RetainHandling,
};
use crate::config::Broker;
use crate::link::Fault;
use crate::message::{Outgoing, Qos};

/// The packet id, which `Publish::size` counts only once it is assigned.
const PACKET_ID_BYTES: usize = 2;

/// The keep-alive if the broker turns it off. rumqttc 0.25 would ping without a pause.
const MIN_KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Queues packets for the [`EventLoop`]. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client(AsyncClient);

/// One connection: connects at the first poll, ends with the first error.
pub(crate) struct EventLoop {
    inner: rumqttc::v5::EventLoop,
    broker: Broker,
    keep_alive: Duration,
    is_connected: bool,
}

impl Client {
    /// A client with room for `queue` packets, and its connection, which is not open yet. `broker` is
    /// what error messages refer to.
    pub(crate) fn new(
        options: &ConnectOptions,
        broker: &Broker,
        queue: usize,
    ) -> (Self, EventLoop) {
        let (client, inner) = AsyncClient::new(connect::options(options), queue);
        let event_loop = EventLoop {
            inner,
            broker: broker.clone(),
            keep_alive: options.keep_alive,
            is_connected: false,
        };
        (Self(client), event_loop)
    }

    /// Queues a publish if its packet has at most `max_packet` bytes.
    pub(crate) fn try_publish(
        &self,
        message: Outgoing,
        max_packet: usize,
    ) -> Result<(), PublishError> {
        let properties = properties(&message);
        let Outgoing { topic, payload, retain, .. } = message;
        let qos = encode_qos(message.qos);
        let publish = wire::Publish {
            qos,
            topic: Bytes::from(topic),
            payload,
            properties: Some(properties),
            ..wire::Publish::default()
        };
        let bytes = publish.size() + PACKET_ID_BYTES;
        if bytes > max_packet {
            return Err(PublishError::TooLarge(bytes));
        }
        let topic = String::from_utf8_lossy(&publish.topic);
        let properties = publish.properties.unwrap_or_default();
        self.0
            .try_publish_with_properties(topic, qos, retain, publish.payload, properties)
            .map_err(|_full| PublishError::QueueFull)
    }

    /// Queues the acknowledgement of a received message.
    pub(crate) fn try_ack(&self, packet_id: u16) -> Result<(), QueueFull> {
        let publish =
            wire::Publish { pkid: packet_id, qos: QoS::AtLeastOnce, ..wire::Publish::default() };
        self.0.try_ack(&publish).map_err(|_full| QueueFull)
    }

    /// Queues one SUBSCRIBE with these filters and this subscription identifier.
    pub(crate) fn try_subscribe(
        &self,
        filters: impl IntoIterator<Item = Filter>,
        id: Option<usize>,
    ) -> Result<(), QueueFull> {
        let properties = wire::SubscribeProperties { id, user_properties: Vec::new() };
        self.0
            .try_subscribe_many_with_properties(filters.into_iter().map(encode_filter), properties)
            .map_err(|_full| QueueFull)
    }

    pub(crate) fn try_unsubscribe(&self, filter: String) -> Result<(), QueueFull> {
        self.0.try_unsubscribe(filter).map_err(|_full| QueueFull)
    }

    pub(crate) fn try_disconnect(&self) -> Result<(), QueueFull> {
        self.0.try_disconnect().map_err(|_full| QueueFull)
    }

    /// Queues a publish without properties; waits while the queue is full.
    pub(crate) async fn publish(
        &self,
        topic: &str,
        payload: Bytes,
        qos: Qos,
        retain: bool,
    ) -> Result<(), QueueFull> {
        let sent = self.0.publish(topic, encode_qos(qos), retain, payload).await;
        sent.map_err(|_ended| QueueFull)
    }

    /// Queues a SUBSCRIBE; waits while the queue is full.
    pub(crate) async fn subscribe(&self, filter: &str, qos: Qos) -> Result<(), QueueFull> {
        self.0.subscribe(filter, encode_qos(qos)).await.map_err(|_ended| QueueFull)
    }

    /// Queues an UNSUBSCRIBE; waits while the queue is full.
    pub(crate) async fn unsubscribe(&self, filter: &str) -> Result<(), QueueFull> {
        self.0.unsubscribe(filter).await.map_err(|_ended| QueueFull)
    }
}

impl EventLoop {
    /// The next event. Must not be cancelled: a packet could be taken for written and never be.
    pub(crate) async fn poll(&mut self) -> Result<ClientEvent, Fault> {
        let event = self.inner.poll().await;
        match event.map_err(|error| errors::fault(error, self.is_connected, &self.broker))? {
            Event::Outgoing(written) => Ok(ClientEvent::Written(decode::written(&written))),
            Event::Incoming(packet) => {
                let packet = decode::packet(packet, &self.broker)?;
                if matches!(packet, Packet::ConnAck(_)) {
                    self.is_connected = true;
                    if self.inner.options.keep_alive().is_zero() {
                        self.inner.options.set_keep_alive(self.keep_alive.max(MIN_KEEP_ALIVE));
                    }
                }
                Ok(ClientEvent::Received(packet))
            }
        }
    }

    /// After an error: the events that came before it and were not polled.
    pub(crate) fn drain(&mut self) -> Vec<ClientEvent> {
        let events = std::mem::take(&mut self.inner.state.events).into_iter();
        let decoded = events.filter_map(|event| match event {
            Event::Outgoing(written) => Some(ClientEvent::Written(decode::written(&written))),
            Event::Incoming(packet) => {
                decode::packet(packet, &self.broker).ok().map(ClientEvent::Received)
            }
        });
        decoded.collect()
    }
}

fn encode_qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    }
}

fn encode_filter(wanted: Filter) -> wire::Filter {
    let retain_forward_rule = match wanted.retain_handling {
        RetainHandling::OnEverySubscribe => wire::RetainForwardRule::OnEverySubscribe,
        RetainHandling::OnNewSubscription => wire::RetainForwardRule::OnNewSubscribe,
        RetainHandling::Never => wire::RetainForwardRule::Never,
    };
    let filter = wire::Filter::new(wanted.filter, encode_qos(wanted.qos));
    wire::Filter { retain_forward_rule, ..filter }
}

fn properties(message: &Outgoing) -> wire::PublishProperties {
    wire::PublishProperties {
        content_type: Some(message.content_type.clone().into_owned()),
        correlation_data: message.correlation.clone(),
        user_properties: message
            .properties
            .iter()
            .map(|(name, value)| (name.clone().into_owned(), value.clone()))
            .collect(),
        ..wire::PublishProperties::default()
    }
}
