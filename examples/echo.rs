//! The least a QoS 1 service in Rust can cost: every message on `sensors/+/kws` goes back out on
//! `predictions/kws/…` as it came, through rumqttc's MQTT 5 client and nothing else. `comparisons/peer/run`
//! measures inferd against it: what is above this floor is ours.
//!
//!     cargo run --release --example echo -- PORT

use std::error::Error;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use rumqttc::{NetworkOptions, Outgoing};

/// More than the load ever leaves unanswered: the loop that fills this channel is the one that empties it.
const REQUESTS: usize = 1 << 16;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).ok_or("usage: echo PORT")?.parse()?;
    let (client, mut events) = AsyncClient::new(options(port), REQUESTS);
    client.subscribe("sensors/+/kws", QoS::AtLeastOnce).await?;
    loop {
        match events.poll().await? {
            Event::Incoming(Packet::Publish(message)) => answer(&client, message)?,
            Event::Outgoing(Outgoing::Disconnect) => return Ok(()),
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
    }
}

/// As inferd sets them: an answer leaves at once instead of waiting for the segment before it to be acknowledged,
/// and there is no slot for each of 65,535 publishes in flight.
fn options(port: u16) -> MqttOptions {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    let mut options = MqttOptions::new("echo", "127.0.0.1", port);
    options.set_network_options(network).set_outgoing_inflight_upper_limit(1000);
    options
}

/// Publishes `message` again under its device's prediction topic.
fn answer(client: &AsyncClient, message: Publish) -> Result<(), Box<dyn Error>> {
    let topic = std::str::from_utf8(&message.topic)?;
    let device = topic.split('/').nth(1).ok_or("a topic without a device")?;
    client.try_publish(
        format!("predictions/kws/{device}"),
        QoS::AtLeastOnce,
        false,
        message.payload,
    )?;
    Ok(())
}
