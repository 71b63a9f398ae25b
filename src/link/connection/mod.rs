//! One connection, from CONNECT to its end: events of the client come in, and what is due goes out
//! beside them.

mod in_flight;
mod inbound;
mod outbound;
mod read_throttle;
mod shutdown;
mod topic_trial;
mod unanswered;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::OwnedPermit;
use tokio::time::{Instant, sleep_until};

use self::in_flight::InFlight;
use self::outbound::{PublishKind, Sent};
use self::read_throttle::ReadThrottle;
use self::shutdown::ShutdownPhase;
use self::topic_trial::DeferredPublishes;
use super::capabilities::{Features, limitations};
use super::protocol::{
    Capabilities, Client, ClientEvent, ConnAck, ConnectOptions, EventLoop, Packet, Written,
};
use super::session::Session;
use super::types::Event;
use super::{Fault, connect, ledger};
use crate::failpoints::point;
use crate::message::Delivery;

/// The timer's deadline if nothing is due.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// Places in the client's queue beyond those that are counted.
const SPARE_REQUESTS: usize = 64;

/// The longest time without a poll while reading is throttled.
const MAX_READ_PAUSE: Duration = Duration::from_secs(1);

/// How a connection ended.
pub(super) struct Ended {
    pub(super) fault: Fault,
    /// The time since the CONNACK; `None` if there was none.
    pub(super) lived: Option<Duration>,
    /// A publish on a suspected topic was the reason.
    pub(super) is_explained: bool,
}

impl Ended {
    pub(super) fn before_connack(fault: Fault) -> Self {
        Self { fault, lived: None, is_explained: false }
    }
}

/// The state of one connection.
struct Connection<'a> {
    session: &'a mut Session,
    client: Client,
    in_flight: InFlight<Sent>,
    shutdown: ShutdownPhase,
    limits: Option<Limits>,
    throttle: ReadThrottle,
    /// The streams of the message at hand; kept for its allocation.
    deliveries: Vec<Delivery>,
    up: Option<OwnedPermit<Event>>,
    retry_at: Option<Instant>,
    /// Retained messages may be due.
    has_retained_due: bool,
    /// Publishes on suspected topics.
    deferred: DeferredPublishes,
    /// When overdue acknowledgements were last looked for.
    acks_checked: Instant,
}

/// What the broker allows, known from its CONNACK.
#[derive(Clone, Copy, Debug)]
struct Limits {
    connected_at: Instant,
    last_received: Instant,
    /// Publishes in flight.
    window: usize,
    /// Bytes in a packet of ours.
    max_packet: usize,
    features: Features,
    /// Without a received packet for this long the connection is dead.
    max_silence: Duration,
}

/// Connects and runs until something ends the connection.
pub(super) async fn run(
    session: &mut Session,
    options: &ConnectOptions,
    up: OwnedPermit<Event>,
) -> Ended {
    let broker = &session.options.broker;
    let requests = usize::from(connect::client_window(broker))
        + ledger::MAX_ACKS_IN_CLIENT
        + session.subscriptions.packets()
        + SPARE_REQUESTS;
    let throttle =
        ReadThrottle::new(broker.receive_maximum, MAX_READ_PAUSE.min(broker.keep_alive / 4));
    let (client, mut event_loop) = Client::new(options, broker, requests);
    let mut connection = Connection {
        session,
        client,
        in_flight: InFlight::new(),
        shutdown: ShutdownPhase::Running,
        limits: None,
        throttle,
        deliveries: Vec::new(),
        up: Some(up),
        retry_at: None,
        has_retained_due: false,
        deferred: DeferredPublishes::default(),
        acks_checked: Instant::now(),
    };
    let fault = match connection.run_until_closed(&mut event_loop).await {
        Ok(never) => match never {},
        Err(fault) => fault,
    };
    let ended = connection.handle_buffered(&mut event_loop);
    let fault = ended.filter(|_| fault.code().is_some()).unwrap_or(fault);
    let is_explained = connection.assess_close(&fault);
    let lived = connection.limits.map(|limits| limits.connected_at.elapsed());
    Ended { fault, lived, is_explained }
}

impl Connection<'_> {
    async fn run_until_closed(&mut self, event_loop: &mut EventLoop) -> Result<Infallible, Fault> {
        loop {
            self.wait_for_throttle().await?;
            let polled = self.poll(event_loop).await?;
            let event = polled.map_err(|fault| self.shutdown.ending().unwrap_or(fault))?;
            self.on_event(event)?;
        }
    }

    /// Polls once. The future must not be dropped before it is ready, so other work is done while it
    /// waits.
    async fn poll(
        &mut self,
        event_loop: &mut EventLoop,
    ) -> Result<Result<ClientEvent, Fault>, Fault> {
        let shared = Arc::clone(&self.session.shared);
        let mut poll = pin!(event_loop.poll());
        loop {
            self.send_due()?;
            let alarm = self.next_alarm();
            tokio::select! {
                polled = &mut poll => return Ok(polled),
                Some(publish) = self.session.publishes.recv(), if self.has_room() => {
                    self.on_submitted(publish);
                }
                Some(message) = self.session.untracked.recv(), if self.has_room() => {
                    self.publish(message, PublishKind::Untracked);
                }
                () = shared.room.notified(), if !self.session.overflow.is_empty() => {
                    self.session.retry_overflow();
                }
                () = shared.changed.notified() => {}
                () = sleep_until(alarm) => self.on_alarm()?,
            }
        }
    }

    /// Waits while too much is held to read on.
    async fn wait_for_throttle(&mut self) -> Result<(), Fault> {
        let shared = Arc::clone(&self.session.shared);
        let now = || Instant::now().into_std();
        while !self.throttle.may_poll(self.session.overflow.occupancy(), now()) {
            if shared.is_closed() || self.shutdown.is_reconnecting() {
                return Ok(());
            }
            self.send_due()?;
            let next_burst =
                self.throttle.next_burst().map_or_else(Instant::now, Instant::from_std);
            tokio::select! {
                () = shared.room.notified() => self.session.retry_overflow(),
                () = shared.changed.notified() => {}
                () = sleep_until(next_burst) => {}
            }
            // Nothing is received while nothing is read.
            if let Some(limits) = &mut self.limits {
                limits.last_received = Instant::now();
            }
        }
        Ok(())
    }

    fn next_alarm(&self) -> Instant {
        let silence = self.limits.map(|limits| limits.last_received + limits.max_silence);
        [silence, self.retry_at, self.shutdown.alarm(), self.next_ack_check(), self.next_trial()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + FAR)
    }

    fn on_alarm(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        if self.shutdown.is_overdue(now) {
            return Err(self.shutdown.ending().unwrap_or(Fault::Stopped));
        }
        self.check_overdue_acks(now);
        match self.limits {
            Some(limits) if limits.last_received + limits.max_silence <= now => {
                Err(Fault::Silent { after: limits.max_silence })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn on_event(&mut self, event: ClientEvent) -> Result<(), Fault> {
        match event {
            ClientEvent::Received(packet) => {
                if let Some(limits) = &mut self.limits {
                    limits.last_received = Instant::now();
                }
                self.on_packet(packet)
            }
            ClientEvent::Written(written) => {
                self.on_written(written);
                Ok(())
            }
        }
    }

    fn on_packet(&mut self, packet: Packet) -> Result<(), Fault> {
        match packet {
            Packet::ConnAck(connack) if self.limits.is_none() => self.on_connack(connack),
            Packet::ConnAck(_) => {
                return Err(Fault::Garbage { reason: "an unexpected ConnAck".into() });
            }
            Packet::Publish(publish) => return self.on_publish(publish),
            Packet::PubAck { packet_id, refusal } => self.on_puback(packet_id, refusal),
            Packet::SubAck { packet_id, replies } => self.on_suback(packet_id, &replies),
            Packet::Disconnect(fault) => return Err(fault),
            Packet::Other => {}
        }
        Ok(())
    }

    fn on_written(&mut self, written: Written) {
        match written {
            Written::Publish { packet_id } => {
                if let Some(sent) = self.in_flight.written(packet_id) {
                    self.settle(sent, None);
                }
            }
            Written::PubAck { packet_id } => {
                point("acknowledged");
                let shared = &self.session.shared;
                let mut state = shared.state();
                state.counters.acknowledged += 1;
                if state.ledger.ack_written(packet_id) {
                    shared.mark_work();
                }
            }
            Written::Subscribe { packet_id } => self.session.subscriptions.written(packet_id),
            // After a DISCONNECT the socket stays open until the broker closes it: closing it first,
            // with unread bytes of the broker, would reset it, and the DISCONNECT might be lost.
            Written::Other => {}
        }
    }

    fn on_connack(&mut self, connack: ConnAck) {
        let ConnAck { session_present, capabilities } = connack;
        let session = &mut *self.session;
        session.denied.forget_offered(&capabilities);
        let features = Features::new(&capabilities, session.denied);
        self.limits = Some(limits(session, &capabilities, features));
        let limitations =
            limitations(features, &capabilities, session.options.broker.session_expiry);
        session.log_limitations(&limitations);
        session.subscriptions.connected(session_present, capabilities.subscription_ids);
        self.withhold_subscriptions(features);
        let mut state = self.session.shared.state();
        state.counters.connections += 1;
        state.tracker.connected(self.session.shared.now(), limitations);
        state.ledger.connected(session_present);
        state.retained.mark_all_due();
        drop(state);
        self.session.shared.mark_work();
        self.session.begin_connection();
        self.publish_online();
        let session = &mut *self.session;
        if let Some(up) = self.up.take() {
            up.send(Event::Up { connection: session.connection, session_present });
        }
        if let Some(epoch) = session.input_ids.connected(session_present) {
            session.emit(Event::EpochAdvanced(epoch));
        }
        if session.subscriptions.is_complete() {
            session.emit(Event::Subscribed);
        }
    }

    /// Handles the events that came in one read with the end of the connection: acknowledgements
    /// still count. Returns the fault of the broker's DISCONNECT, which is more precise than the
    /// client's error.
    fn handle_buffered(&mut self, event_loop: &mut EventLoop) -> Option<Fault> {
        let mut ended = None;
        for event in event_loop.drain() {
            match event {
                ClientEvent::Received(Packet::PubAck { packet_id, refusal }) => {
                    self.on_puback(packet_id, refusal);
                }
                ClientEvent::Received(Packet::Disconnect(fault)) => ended = Some(fault),
                ClientEvent::Written(written) => self.on_written(written),
                ClientEvent::Received(_) => {}
            }
        }
        ended
    }
}

fn limits(session: &Session, capabilities: &Capabilities, features: Features) -> Limits {
    let now = Instant::now();
    let broker = &session.options.broker;
    let keep_alive = capabilities.keep_alive.unwrap_or(broker.keep_alive);
    let receive_maximum = capabilities.receive_maximum.unwrap_or(u16::MAX);
    let max_packet = capabilities.max_packet.unwrap_or(u32::MAX).min(broker.max_packet);
    Limits {
        features,
        connected_at: now,
        last_received: now,
        window: usize::from(broker.in_flight.min(receive_maximum.saturating_sub(1)).max(1)),
        max_packet: usize::try_from(max_packet).unwrap_or(usize::MAX),
        max_silence: keep_alive.mul_f32(1.5),
    }
}
