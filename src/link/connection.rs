//! One connection, from the first byte to the last: rumqttc's events come in, and what there is to
//! send goes out beside them.

use std::pin::pin;
use std::time::Duration;

use rumqttc::Outgoing as Written;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Packet};
use rumqttc::v5::{AsyncClient, ConnectionError, Event as Polled, EventLoop, MqttOptions};
use tokio::sync::mpsc::OwnedPermit;
use tokio::time::{Instant, sleep_until};

use super::abilities::Abilities;
use super::gate::Gate;
use super::goodbye::Goodbye;
use super::outbound::{Sent, What};
use super::outgoing::InFlight;
use super::reason::Said;
use super::task::LinkTask;
use super::trial::HeldBack;
use super::{Event, Fault, connect, ledger};
use crate::failpoints::point;

/// An alarm that is set for nothing.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// Places in the client's queue beyond those that are counted.
const SPARE_REQUESTS: usize = 64;

/// Between two breaths while nothing is read.
const BREATHE: Duration = Duration::from_secs(1);

/// How a connection ended.
pub(super) struct Ended {
    pub(super) fault: Fault,
    /// How long the broker had us; `None` where it never did.
    pub(super) lived: Option<Duration>,
    /// True where a publish on a suspected topic was the reason.
    pub(super) is_explained: bool,
}

impl Ended {
    pub(super) fn before(fault: Fault) -> Self {
        Self { fault, lived: None, is_explained: false }
    }
}

/// What belongs to this connection and ends with it.
pub(super) struct Connection<'a> {
    pub(super) task: &'a mut LinkTask,
    pub(super) client: AsyncClient,
    pub(super) flight: InFlight<Sent>,
    pub(super) goodbye: Goodbye,
    pub(super) bounds: Option<Bounds>,
    gate: Gate,
    /// Streams of the message at hand; kept for its allocation.
    pub(super) streams: Vec<usize>,
    up: Option<OwnedPermit<Event>>,
    pub(super) retry_at: Option<Instant>,
    /// Publishes on suspected topics.
    pub(super) held_back: HeldBack,
    /// When unanswered publishes were last looked for.
    pub(super) looked_at: Instant,
}

/// What the broker allows, once it has accepted us.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) since: Instant,
    pub(super) heard: Instant,
    /// Publishes under way.
    pub(super) window: usize,
    /// Bytes in a packet of ours.
    pub(super) max_packet: usize,
    pub(super) abilities: Abilities,
    /// Without a word for so long the connection is dead.
    pub(super) silence: Duration,
}

/// Connects and runs until something ends the connection.
pub(super) async fn run(
    task: &mut LinkTask,
    options: MqttOptions,
    up: OwnedPermit<Event>,
) -> Ended {
    let broker = &task.options.broker;
    let requests = usize::from(connect::client_window(broker))
        + ledger::LEAVING
        + task.subscriptions.packets()
        + SPARE_REQUESTS;
    let gate = Gate::new(broker.receive_maximum, BREATHE.min(broker.keep_alive / 4));
    let (client, mut poller) = AsyncClient::new(options, requests);
    let mut connection = Connection {
        task,
        client,
        flight: InFlight::new(),
        goodbye: Goodbye::NotYet,
        bounds: None,
        gate,
        streams: Vec::new(),
        up: Some(up),
        retry_at: None,
        held_back: HeldBack::default(),
        looked_at: Instant::now(),
    };
    let fault = match connection.work(&mut poller).await {
        Ok(never) => match never {},
        Err(fault) => fault,
    };
    let ended = connection.rescue(&mut poller);
    let fault = ended.filter(|_| fault.code().is_some()).unwrap_or(fault);
    let is_explained = connection.judge(&fault);
    let lived = connection.bounds.map(|bounds| bounds.since.elapsed());
    Ended { fault, lived, is_explained }
}

impl Connection<'_> {
    async fn work(&mut self, poller: &mut EventLoop) -> Result<std::convert::Infallible, Fault> {
        loop {
            self.wait_at_the_gate().await?;
            let polled = self.poll_to_the_end(poller).await?;
            let event = polled.map_err(|error| self.fault(error))?;
            if let Polled::Incoming(Packet::ConnAck(_)) = &event {
                mend_keep_alive(poller, self.task.options.broker.keep_alive);
            }
            self.on(event)?;
        }
    }

    /// Polls once. The future must not be dropped before it is ready, so whatever else there is to
    /// do is done while it waits.
    async fn poll_to_the_end(
        &mut self,
        poller: &mut EventLoop,
    ) -> Result<Result<Polled, ConnectionError>, Fault> {
        let shared = std::sync::Arc::clone(&self.task.shared);
        let mut poll = pin!(poller.poll());
        loop {
            self.send_what_is_due()?;
            let alarm = self.next_alarm();
            tokio::select! {
                polled = &mut poll => return Ok(polled),
                Some(publish) = self.task.publishes.recv(), if self.has_room() => {
                    self.publish(publish);
                }
                Some(message) = self.task.tells.recv(), if self.has_room() => {
                    self.send(message, What::Told);
                }
                () = shared.room.notified(), if !self.task.held.is_empty() => {
                    self.task.retry_held();
                }
                () = shared.changed.notified() => {}
                () = sleep_until(alarm) => self.on_alarm()?,
            }
        }
    }

    /// Waits while too much is held to read on.
    async fn wait_at_the_gate(&mut self) -> Result<(), Fault> {
        let shared = std::sync::Arc::clone(&self.task.shared);
        while !self.gate.is_open(self.task.held.load(), Instant::now().into_std()) {
            if shared.state().closed || self.goodbye.is_turning() {
                return Ok(());
            }
            self.send_what_is_due()?;
            let opens_at = self.gate.opens_at().map_or_else(Instant::now, Instant::from_std);
            tokio::select! {
                () = shared.room.notified() => self.task.retry_held(),
                () = shared.changed.notified() => {}
                () = sleep_until(opens_at) => {}
            }
            // Nothing can be heard while nothing is read.
            if let Some(bounds) = &mut self.bounds {
                bounds.heard = Instant::now();
            }
        }
        Ok(())
    }

    fn next_alarm(&self) -> Instant {
        let silence = self.bounds.map(|bounds| bounds.heard + bounds.silence);
        [silence, self.retry_at, self.goodbye.alarm(), self.next_look(), self.next_trial()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + FAR)
    }

    fn on_alarm(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        if self.goodbye.is_overdue(now) {
            return Err(self.goodbye.ending().unwrap_or(Fault::Stopped));
        }
        self.look_for_unanswered(now);
        match self.bounds {
            Some(bounds) if bounds.heard + bounds.silence <= now => {
                Err(Fault::Silent { after: bounds.silence })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn on(&mut self, event: Polled) -> Result<(), Fault> {
        match event {
            Polled::Incoming(packet) => {
                if let Some(bounds) = &mut self.bounds {
                    bounds.heard = Instant::now();
                }
                self.on_packet(packet)
            }
            Polled::Outgoing(written) => {
                self.on_written(&written);
                Ok(())
            }
        }
    }

    fn on_packet(&mut self, packet: Packet) -> Result<(), Fault> {
        match packet {
            Packet::ConnAck(connack) if self.bounds.is_none() => self.connected(&connack),
            Packet::Publish(publish) => self.received(publish),
            Packet::PubAck(puback) => {
                self.acknowledged(puback.pkid, puback.reason);
                Ok(())
            }
            Packet::SubAck(suback) => {
                self.subscribed(&suback);
                Ok(())
            }
            Packet::UnsubAck(_) | Packet::PingResp(_) => Ok(()),
            unexpected => {
                let what = format!("{unexpected:?}");
                let name = what.split(['(', ' ']).next().unwrap_or_default();
                Err(Fault::Garbage { reason: format!("an unexpected {name}") })
            }
        }
    }

    fn on_written(&mut self, written: &Written) {
        match written {
            Written::Publish(pkid) => {
                if let Some(sent) = self.flight.written(*pkid) {
                    self.settle(sent, None);
                }
            }
            Written::PubAck(pkid) => {
                point("acknowledged");
                let mut state = self.task.shared.state();
                state.ledger.written(*pkid);
                state.counters.acknowledged += 1;
            }
            Written::Subscribe(pkid) => self.task.subscriptions.written(*pkid),
            // The socket stays open until the broker closes it: closing it first, with bytes of
            // the broker's unread, would reset it, and the goodbye might be lost on the way.
            Written::Disconnect
            | Written::AwaitAck(_)
            | Written::Unsubscribe(_)
            | Written::PubRec(_)
            | Written::PubRel(_)
            | Written::PubComp(_)
            | Written::PingReq
            | Written::PingResp => {}
        }
    }

    fn connected(&mut self, connack: &ConnAck) -> Result<(), Fault> {
        let said = connack.properties.as_ref();
        let abilities = Abilities::of(said, &mut self.task.denied)?;
        self.bounds = Some(self.bounds_of(connack, abilities));
        let session = connack.session_present;
        let ids = said.and_then(|said| said.subscription_identifiers_available) != Some(0);
        let limits = abilities.limits(said, self.task.options.broker.session_expiry);
        self.task.say_limits(&limits);
        self.task.subscriptions.connected(session, ids);
        self.withhold_subscriptions(abilities);
        let mut state = self.task.shared.state();
        state.counters.connections += 1;
        state.tracker.connected(self.task.shared.now(), limits);
        state.ledger.connected(session);
        state.retained.all_due();
        drop(state);
        self.task.drain();
        self.announce();
        if let Some(up) = self.up.take() {
            up.send(Event::Up { epoch: self.task.epoch, session_present: session });
        }
        if let Some(epoch) = self.task.laps.connected(session) {
            self.tell(Event::EpochAdvanced(epoch));
        }
        if self.task.subscriptions.is_complete() {
            self.tell(Event::Subscribed);
        }
        Ok(())
    }

    fn bounds_of(&self, connack: &ConnAck, abilities: Abilities) -> Bounds {
        let now = Instant::now();
        let broker = &self.task.options.broker;
        let said = connack.properties.as_ref();
        let keep_alive = said
            .and_then(|said| said.server_keep_alive)
            .filter(|seconds| *seconds > 0)
            .map_or(broker.keep_alive, |seconds| Duration::from_secs(u64::from(seconds)));
        let theirs = said.and_then(|said| said.receive_max).unwrap_or(u16::MAX);
        let max_packet = said.and_then(|said| said.max_packet_size).unwrap_or(u32::MAX);
        Bounds {
            abilities,
            since: now,
            heard: now,
            window: usize::from(broker.in_flight.min(theirs.saturating_sub(1)).max(1)),
            max_packet: usize::try_from(broker.max_packet.min(max_packet)).unwrap_or(usize::MAX),
            silence: keep_alive.mul_f32(1.5),
        }
    }

    /// Acknowledgements that came in one read with whatever ended the connection still count.
    /// Returns the broker's DISCONNECT, which rumqttc gives without the server it names.
    fn rescue(&mut self, poller: &mut EventLoop) -> Option<Fault> {
        let mut ended = None;
        for event in std::mem::take(&mut poller.state.events) {
            match event {
                Polled::Incoming(Packet::PubAck(puback)) => {
                    self.acknowledged(puback.pkid, puback.reason);
                }
                Polled::Outgoing(written) => self.on_written(&written),
                Polled::Incoming(Packet::Disconnect(disconnect)) => {
                    let said =
                        disconnect.properties.map_or_else(Said::default, |properties| Said {
                            reason: properties.reason_string,
                            server: properties.server_reference,
                        });
                    let code = disconnect.reason_code as u8;
                    ended = Some(Fault::of_disconnect(code, &said, &self.task.options.broker));
                }
                Polled::Incoming(_) => {}
            }
        }
        ended
    }

    fn fault(&self, error: ConnectionError) -> Fault {
        if let Some(ours) = self.goodbye.ending() {
            return ours;
        }
        Fault::of(error, self.bounds.is_some(), &self.task.options.broker)
    }
}

/// A broker may set the keep-alive to 0, which turns it off; rumqttc 0.25 would ping without a
/// pause.
pub(super) fn mend_keep_alive(poller: &mut EventLoop, ours: Duration) {
    if poller.options.keep_alive().is_zero() {
        poller.options.set_keep_alive(ours.max(Duration::from_secs(5)));
    }
}
