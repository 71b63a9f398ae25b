//! Checks a broker for `inferd check --connect`: the network, the login, the subscriptions.
//!
//! The connection has a client id of its own and a session that ends with it, so a daemon that is
//! connected at the same time is not disturbed. Nothing is published, and there is no last will.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::capabilities::{DeniedFeatures, Features, limitations};
use super::protocol::{
    Client, ClientEvent, ConnAck, EventLoop, Filter, Packet, RetainHandling, SubscribeReply,
    Written,
};
use super::subscriptions::{SHARED, Subscriptions};
use super::types::{NotGranted, Subscription};
use super::{Fault, connect, diagnose};
use crate::config::Broker;
use crate::message::Qos;

/// The retry interval of refused filters: each is requested once.
const NEVER: Duration = Duration::from_secs(24 * 3600);
/// How long the broker may take to close the connection after a DISCONNECT.
const MAX_CLOSE_TIME: Duration = Duration::from_secs(1);
/// Places in the client's queue beyond those for the filters.
const SPARE_REQUESTS: usize = 64;

/// What [`check_broker`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerCheck {
    /// The client id of the connection.
    pub client_id: String,
    /// Features that inferd would use and the broker lacks, a sentence each.
    pub limits: Vec<String>,
    /// The granted filters. One stands for all filters that it contains.
    pub granted: Vec<String>,
    /// The filters that the broker refused, or did not reply to.
    pub refused: Vec<NotGranted>,
    /// The filters that were granted with a lower quality of service than requested.
    pub lowered: Vec<NotGranted>,
}

/// Connects to `broker`, requests the subscriptions of the daemon, and disconnects. Takes at most
/// `broker.connect_timeout`, and a few seconds more to diagnose a failure.
///
/// # Errors
/// Why there is no connection.
pub async fn check_broker(
    broker: &Broker,
    wanted: Vec<Subscription>,
) -> Result<BrokerCheck, Fault> {
    let client_id = check_client_id(&broker.client_id, fastrand::u16(..));
    let broker = Broker { client_id: client_id.clone(), ..broker.clone() };
    let mut options = connect::options(&broker)?;
    options.session_expiry = Some(Duration::ZERO);
    options.receive_maximum = Some(broker.receive_maximum);
    let deadline = Instant::now() + broker.connect_timeout;
    let wanted = wanted.into_iter().map(in_another_group).collect();
    let subscriptions = Subscriptions::new(wanted, Vec::new(), (NEVER, NEVER));
    let requests = subscriptions.packets() + SPARE_REQUESTS;
    let (client, event_loop) = Client::new(&options, &broker, requests);
    let found = BrokerCheck { client_id, ..BrokerCheck::default() };
    let max_qos = Qos::AtLeastOnce;
    let mut check = Check { client, event_loop, subscriptions, max_qos, found };
    let late = Fault::Timeout { after: broker.connect_timeout };
    let connected = timeout_at(deadline, check.connect()).await;
    if let Err(fault) = connected.unwrap_or(Err(late)) {
        return Err(diagnose::cause_of(&broker, &options, fault).await);
    }
    let reason = match timeout_at(deadline, check.subscribe()).await {
        Ok(Ok(())) => None,
        Ok(Err(fault)) => Some(format!("no reply, and then: {fault}")),
        Err(_) => Some(format!("no reply within {}s", broker.connect_timeout.as_secs())),
    };
    if reason.is_none() {
        // A connection that ends without a DISCONNECT costs only a line in the broker's log.
        _ = timeout(MAX_CLOSE_TIME, check.disconnect()).await;
    }
    Ok(check.finish(reason))
}

/// A shared subscription of a group that has no other member: a member of the stream's own group
/// would get messages that are meant for the gateways.
fn in_another_group(mut wanted: Subscription) -> Subscription {
    let shared = wanted.filter.strip_prefix(SHARED).and_then(|shared| shared.split_once('/'));
    if let Some((group, filter)) = shared {
        wanted.filter = format!("{SHARED}{group}-check/{filter}");
    }
    wanted
}

struct Check {
    client: Client,
    event_loop: EventLoop,
    subscriptions: Subscriptions,
    /// The highest quality of service of the broker.
    max_qos: Qos,
    found: BrokerCheck,
}

impl Check {
    async fn connect(&mut self) -> Result<(), Fault> {
        loop {
            if let ClientEvent::Received(Packet::ConnAck(connack)) = self.event_loop.poll().await? {
                return self.on_connack(connack);
            }
        }
    }

    fn on_connack(&mut self, connack: ConnAck) -> Result<(), Fault> {
        let offered = connack.capabilities;
        let features = Features::new(&offered, DeniedFeatures::default());
        // The session of this connection ends with it, whatever the broker would keep.
        self.found.limits = limitations(features, &offered, Duration::ZERO);
        self.subscriptions.connected(false, offered.subscription_ids);
        self.found.refused.extend(self.subscriptions.withhold(features));
        if !features.qos1 {
            self.max_qos = Qos::AtMostOnce;
        }
        self.request_due()
    }

    /// Requests the filters that are due, without retained messages.
    fn request_due(&mut self) -> Result<(), Fault> {
        loop {
            let due = self.subscriptions.next_due(std::time::Instant::now());
            if due.is_empty() {
                return Ok(());
            }
            let id = due.iter().find_map(|planned| planned.id);
            let max_qos = self.max_qos;
            let filters = due.into_iter().map(|planned| Filter {
                filter: planned.subscription.filter,
                qos: planned.subscription.qos.min(max_qos),
                retain_handling: RetainHandling::Never,
            });
            self.client
                .try_subscribe(filters, id)
                .map_err(|full| Fault::Broken { reason: full.to_string() })?;
        }
    }

    /// Waits until every filter has a reply. A refused one may have covered others, which are then
    /// requested.
    async fn subscribe(&mut self) -> Result<(), Fault> {
        while !self.subscriptions.unanswered().is_empty() {
            match self.event_loop.poll().await? {
                ClientEvent::Written(Written::Subscribe { packet_id }) => {
                    self.subscriptions.written(packet_id);
                }
                ClientEvent::Received(Packet::SubAck { packet_id, replies }) => {
                    self.on_suback(packet_id, &replies);
                    self.request_due()?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn on_suback(&mut self, packet_id: u16, replies: &[SubscribeReply]) {
        // Far in the future, so that no refused filter becomes due again.
        let now = std::time::Instant::now() + NEVER;
        for problem in self.subscriptions.on_replies(packet_id, replies, now, 0) {
            match problem.retry_in {
                Some(_) => self.found.refused.push(problem.filter),
                None => self.found.lowered.push(problem.filter),
            }
        }
    }

    /// Ends the connection in order: the broker closes it.
    async fn disconnect(&mut self) {
        if self.client.try_disconnect().is_ok() {
            while self.event_loop.poll().await.is_ok() {}
        }
    }

    /// `reason`: why some filters have no reply.
    fn finish(mut self, reason: Option<String>) -> BrokerCheck {
        if let Some(reason) = reason {
            let unanswered = self.subscriptions.unanswered().into_iter();
            self.found.refused.extend(unanswered.map(|(filter, streams)| NotGranted {
                filter,
                streams,
                reason: reason.clone(),
            }));
        }
        self.found.granted = self.subscriptions.granted();
        self.found
    }
}

/// A client id that differs from the daemon's and is no longer than a broker accepts that accepts the
/// daemon's: every broker accepts 23 bytes, AWS IoT Core 128.
fn check_client_id(client_id: &str, random: u16) -> String {
    let suffix = format!("-check-{random:04x}");
    let max = [23, 128].into_iter().find(|max| client_id.len() <= *max).unwrap_or(256);
    let mut end = client_id.len().min(max.saturating_sub(suffix.len()));
    while !client_id.is_char_boundary(end) {
        end -= 1;
    }
    let (start, _) = client_id.split_at(end);
    format!("{start}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::check_client_id;

    #[test]
    fn the_client_id_differs_and_is_not_too_long() {
        assert_eq!(check_client_id("gw-1", 0x2a), "gw-1-check-002a");
        for (length, max) in [(12, 23), (13, 23), (23, 23), (24, 128), (128, 128), (256, 256)] {
            let id = check_client_id(&"a".repeat(length), u16::MAX);
            assert!(id.len() <= max && id.ends_with("-check-ffff"), "{length}: {id}");
        }
        let id = check_client_id("grün-gateway-17-halle-2", 1);
        assert_eq!(id, "grün-gateway-17-halle-2-check-0001");
        assert_eq!(check_client_id(&"ü".repeat(11), 1), "üüüüüü-check-0001");
    }
}
