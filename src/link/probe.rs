//! Tries a broker for `inferd check --connect`: the way there, the login, the subscriptions.
//!
//! The connection has a client id of its own and a session that ends with it, so a daemon that is
//! connected at the same time is not disturbed. Nothing is published, and there is no last will.

use std::time::Duration;

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Filter, Packet, RetainForwardRule, SubAck, SubscribeProperties,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop};
use tokio::time::{Instant, timeout, timeout_at};

use super::abilities::{Abilities, Denied};
use super::connection::mend_keep_alive;
use super::inbound::answer;
use super::outbound::{overfull, qos};
use super::plain::look_closer;
use super::subscriptions::{Answer, Subscriptions};
use super::{Fault, NotGranted, Subscription, connect, reason};
use crate::config::Broker;
use crate::message::Qos;

/// A refused filter is asked for once.
const NEVER: Duration = Duration::from_secs(24 * 3600);
/// How long the broker may take to close a connection that we have ended.
const GOODBYE: Duration = Duration::from_secs(1);
/// Places in the client's queue beyond those for the filters.
const SPARE_REQUESTS: usize = 64;

/// What a broker answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probed {
    /// As whom it was tried.
    pub client_id: String,
    /// Features that the broker does not have and inferd would use, a sentence each.
    pub limits: Vec<String>,
    /// The filters that it granted. One stands for all filters whose topics it contains.
    pub granted: Vec<String>,
    /// The filters that it refused, or did not answer.
    pub refused: Vec<NotGranted>,
    /// The filters that it granted with a lower quality of service than was asked for.
    pub lowered: Vec<NotGranted>,
}

/// Connects to `broker`, asks for the subscriptions that the daemon would ask for, and
/// disconnects. Takes no longer than `broker.connect_timeout`, and a few seconds more where a
/// failure is looked into.
///
/// # Errors
/// Why there is no connection.
pub async fn probe(broker: &Broker, wanted: Vec<Subscription>) -> Result<Probed, Fault> {
    let client_id = own_id(&broker.client_id, fastrand::u16(..));
    let broker = Broker { client_id: client_id.clone(), ..broker.clone() };
    let mut options = connect::plain(&broker)?;
    options.set_session_expiry_interval(Some(0)).set_receive_maximum(Some(broker.receive_maximum));
    let until = Instant::now() + broker.connect_timeout;
    let subscriptions = Subscriptions::new(wanted, Vec::new(), (NEVER, NEVER));
    let requests = subscriptions.packets() + SPARE_REQUESTS;
    let (client, poller) = AsyncClient::new(options.clone(), requests);
    let probed = Probed { client_id, ..Probed::default() };
    let most = Qos::AtLeastOnce;
    let mut probe = Probe { broker: &broker, client, poller, subscriptions, most, probed };
    let late = Fault::Timeout { after: broker.connect_timeout };
    let connected = timeout_at(until, probe.connect()).await;
    if let Err(fault) = connected.unwrap_or(Err(late)) {
        return Err(look_closer(&broker, &options, fault).await);
    }
    let reason = match timeout_at(until, probe.subscribe()).await {
        Ok(Ok(())) => None,
        Ok(Err(fault)) => Some(format!("no answer, and then: {fault}")),
        Err(_) => Some(format!("no answer within {}s", broker.connect_timeout.as_secs())),
    };
    if reason.is_none() {
        // A connection that is closed otherwise costs nothing but a line in the broker's log.
        _ = timeout(GOODBYE, probe.disconnect()).await;
    }
    Ok(probe.outcome(reason))
}

struct Probe<'a> {
    broker: &'a Broker,
    client: AsyncClient,
    poller: EventLoop,
    subscriptions: Subscriptions,
    /// The best quality of service that the broker has.
    most: Qos,
    probed: Probed,
}

impl Probe<'_> {
    async fn connect(&mut self) -> Result<(), Fault> {
        loop {
            let event = self.poller.poll().await;
            let event = event.map_err(|error| Fault::of(error, false, self.broker))?;
            if let Event::Incoming(Packet::ConnAck(connack)) = event {
                mend_keep_alive(&mut self.poller, self.broker.keep_alive);
                return self.connected(&connack);
            }
        }
    }

    fn connected(&mut self, connack: &ConnAck) -> Result<(), Fault> {
        let said = connack.properties.as_ref();
        let abilities = Abilities::of(said, &mut Denied::default())?;
        // The session of this connection ends with it, whatever the broker would keep.
        self.probed.limits = abilities.limits(said, Duration::ZERO);
        let ids = said.and_then(|said| said.subscription_identifiers_available) != Some(0);
        self.subscriptions.connected(false, ids);
        if !abilities.wildcards {
            let withheld = self.subscriptions.withhold(|filter| filter.contains(['+', '#']));
            self.probed.refused.extend(withheld.into_iter().map(|(filter, streams)| NotGranted {
                filter,
                streams,
                reason: reason::words(0xa2),
            }));
        }
        if !abilities.at_least_once {
            self.most = Qos::AtMostOnce;
        }
        self.ask()
    }

    /// Asks for what is due. No retained messages are wanted.
    fn ask(&mut self) -> Result<(), Fault> {
        loop {
            let due = self.subscriptions.next_due(std::time::Instant::now());
            if due.is_empty() {
                return Ok(());
            }
            let id = due.iter().find_map(|planned| planned.id);
            let properties = SubscribeProperties { id, user_properties: Vec::new() };
            let most = self.most;
            let filters = due.into_iter().map(|planned| Filter {
                retain_forward_rule: RetainForwardRule::Never,
                ..Filter::new(planned.subscription.filter, qos(planned.subscription.qos.min(most)))
            });
            self.client
                .try_subscribe_many_with_properties(filters, properties)
                .map_err(|_full| overfull())?;
        }
    }

    /// Waits until every filter is answered. A refused one may have carried others, which are asked
    /// for then.
    async fn subscribe(&mut self) -> Result<(), Fault> {
        while !self.subscriptions.open().is_empty() {
            let event = self.poller.poll().await;
            match event.map_err(|error| Fault::of(error, true, self.broker))? {
                Event::Outgoing(Outgoing::Subscribe(pkid)) => self.subscriptions.written(pkid),
                Event::Incoming(Packet::SubAck(suback)) => {
                    self.answered(&suback);
                    self.ask()?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn answered(&mut self, suback: &SubAck) {
        let answers: Vec<Answer> = suback.return_codes.iter().map(answer).collect();
        // Past every alarm, so that no refused filter is due again.
        let now = std::time::Instant::now() + NEVER;
        for trouble in self.subscriptions.answered(suback.pkid, &answers, now, 0) {
            match trouble.retry_in {
                Some(_) => self.probed.refused.push(trouble.what),
                None => self.probed.lowered.push(trouble.what),
            }
        }
    }

    /// Ends the connection in order: the broker closes it.
    async fn disconnect(&mut self) {
        if self.client.try_disconnect().is_ok() {
            while self.poller.poll().await.is_ok() {}
        }
    }

    /// `reason`: why the filters that are still open are.
    fn outcome(mut self, reason: Option<String>) -> Probed {
        if let Some(reason) = reason {
            let open = self.subscriptions.open().into_iter();
            self.probed.refused.extend(open.map(|(filter, streams)| NotGranted {
                filter,
                streams,
                reason: reason.clone(),
            }));
        }
        self.probed.granted = self.subscriptions.granted();
        self.probed
    }
}

/// A client id beside the daemon's, no longer than brokers take that took the daemon's: 23 bytes
/// are what every broker takes, and 128 what AWS IoT Core does.
fn own_id(client_id: &str, random: u16) -> String {
    let suffix = format!("-check-{random:04x}");
    let most = [23, 128].into_iter().find(|most| client_id.len() <= *most).unwrap_or(256);
    let mut end = client_id.len().min(most.saturating_sub(suffix.len()));
    while !client_id.is_char_boundary(end) {
        end -= 1;
    }
    let (start, _) = client_id.split_at(end);
    format!("{start}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::own_id;

    #[test]
    fn the_client_id_is_another_and_not_too_long() {
        assert_eq!(own_id("gw-1", 0x2a), "gw-1-check-002a");
        for (length, most) in [(12, 23), (13, 23), (23, 23), (24, 128), (128, 128), (256, 256)] {
            let id = own_id(&"a".repeat(length), u16::MAX);
            assert!(id.len() <= most && id.ends_with("-check-ffff"), "{length}: {id}");
        }
        assert_eq!(own_id("grün-gateway-17-halle-2", 1), "grün-gateway-17-halle-2-check-0001");
        let cut = own_id(&"ü".repeat(11), 1);
        assert_eq!(cut, "üüüüüü-check-0001");
    }
}
