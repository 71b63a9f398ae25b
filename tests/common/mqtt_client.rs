//! A second client of the broker: a sensor that publishes, or a consumer that listens.

use std::time::Duration;

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, Packet, Publish, PublishProperties};
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use serde_json::Value;
use tokio::sync::mpsc;

use super::soon;

pub(crate) struct MqttClient {
    client: AsyncClient,
    inbox: mpsc::UnboundedReceiver<Publish>,
    answers: mpsc::UnboundedReceiver<Packet>,
    task: tokio::task::JoinHandle<()>,
}

impl MqttClient {
    pub(crate) async fn connect(port: u16, id: &str) -> Self {
        let mut options = MqttOptions::new(id, "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(60));
        options.set_outgoing_inflight_upper_limit(10);
        options.set_connect_properties(ConnectProperties {
            max_packet_size: Some(1 << 20),
            ..ConnectProperties::new()
        });
        let (client, mut poller) = AsyncClient::new(options, 10);
        let (to_inbox, inbox) = mpsc::unbounded_channel();
        let (to_answers, answers) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            loop {
                let sent = match poller.poll().await {
                    Ok(Event::Incoming(Packet::Publish(publish))) => to_inbox.send(publish).is_ok(),
                    Ok(Event::Incoming(packet)) => to_answers.send(packet).is_ok(),
                    Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(_) => return,
                    Ok(Event::Outgoing(_)) => true,
                };
                if !sent {
                    return;
                }
            }
        });
        let mut peer = Self { client, inbox, answers, task };
        peer.answer("CONNACK", |packet| matches!(packet, Packet::ConnAck(_))).await;
        peer
    }

    pub(crate) async fn subscribe(&mut self, filter: &str) {
        self.client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        self.answer("SUBACK", |packet| matches!(packet, Packet::SubAck(_))).await;
    }

    /// Publishes QoS 1 and waits for the acknowledgement.
    pub(crate) async fn publish(&mut self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.publish_all(topic, [payload.into()]).await;
    }

    /// Publishes QoS 1 as fast as the broker takes them; back when it has taken all.
    pub(crate) async fn publish_all(
        &mut self,
        topic: &str,
        payloads: impl IntoIterator<Item = Vec<u8>>,
    ) {
        let mut waiting = 0;
        for payload in payloads {
            self.client.publish(topic, QoS::AtLeastOnce, false, payload).await.unwrap();
            waiting += 1;
        }
        for _ in 0..waiting {
            self.answer("PUBACK", |packet| matches!(packet, Packet::PubAck(_))).await;
        }
    }

    pub(crate) async fn publish_with(
        &mut self,
        topic: &str,
        payload: &str,
        with: PublishProperties,
    ) {
        let payload = payload.to_owned();
        self.client
            .publish_with_properties(topic, QoS::AtLeastOnce, false, payload, with)
            .await
            .unwrap();
        self.answer("PUBACK", |packet| matches!(packet, Packet::PubAck(_))).await;
    }

    /// Publishes a retained message and waits for the acknowledgement.
    pub(crate) async fn publish_retained(&mut self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.client.publish(topic, QoS::AtLeastOnce, true, payload.into()).await.unwrap();
        self.answer("PUBACK", |packet| matches!(packet, Packet::PubAck(_))).await;
    }

    /// Publishes QoS 1 and leaves the acknowledgement unheard.
    pub(crate) async fn publish_unheard(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload.into()).await.unwrap();
    }

    /// Publishes QoS 0.
    pub(crate) async fn publish_once(&self, topic: &str, payload: &str) {
        self.client.publish(topic, QoS::AtMostOnce, false, payload.to_owned()).await.unwrap();
    }

    /// The next message on any topic subscribed to.
    pub(crate) async fn next(&mut self) -> Publish {
        soon("a message", self.inbox.recv()).await.expect("the peer lost its broker")
    }

    /// The next message as (topic, payload).
    pub(crate) async fn next_text(&mut self) -> (String, String) {
        let publish = self.next().await;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&publish.topic), text(&publish.payload))
    }

    /// The next message as (topic, JSON).
    pub(crate) async fn next_json(&mut self) -> (String, Value) {
        let (topic, text) = self.next_text().await;
        let value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{topic}: {e}: {text}"));
        (topic, value)
    }

    /// The next message that satisfies the condition, on a topic that ends in `end`. Others are
    /// discarded.
    pub(crate) async fn await_json(&mut self, end: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (topic, text) = self.next_text().await;
            if topic.ends_with(end) {
                let value = serde_json::from_str(&text).unwrap();
                if wanted(&value) {
                    return value;
                }
            }
        }
    }

    async fn answer(&mut self, what: &str, wanted: impl Fn(&Packet) -> bool) {
        loop {
            let packet = soon(what, self.answers.recv()).await.expect("the peer lost its broker");
            if wanted(&packet) {
                return;
            }
        }
    }
}

impl Drop for MqttClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}
