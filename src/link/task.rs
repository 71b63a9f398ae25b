//! The life of the link: connect, run, wait, again, until it is told to stop.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::MqttOptions;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::abilities::Denied;
use super::connection::{self, Ended};
use super::handle::{Counters, LinkHandle, Shared, Submitted};
use super::held::Held;
use super::laps::Laps;
use super::subscriptions::Subscriptions;
use super::suspects::Suspects;
use super::window::Window;
use super::{Epoch, Event, Fault, FaultKind, LinkOptions, Started, connect, diagnose};
use crate::backoff;
use crate::message::Outgoing;

/// Slots among the events for what is not the answer to a publish.
pub(super) const SPARE_EVENTS: usize = 16;

/// Messages nobody waits for that may be on their way to the poll loop.
const TELLS: usize = 32;

/// A connection that lived this long was a good one: the next attempt is made soon.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);

/// A connection that the broker closed within this had no time to be of use.
const SOON: Duration = Duration::from_secs(30);

/// Such connections in a row that are a pattern.
const CLOSES: u32 = 3;

/// The poll loop, to be run in a task of its own.
pub struct LinkTask {
    pub(super) options: LinkOptions,
    pub(super) shared: Arc<Shared>,
    pub(super) publishes: mpsc::Receiver<Submitted>,
    pub(super) tells: mpsc::Receiver<Outgoing>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) subscriptions: Subscriptions,
    pub(super) held: Held,
    pub(super) window: Window,
    pub(super) laps: Laps,
    pub(super) epoch: Epoch,
    /// Why there is no connection, as it was last told.
    last_fault: Option<Fault>,
    /// The last fault that was looked at more closely, and what it turned out to be.
    diagnosed: Option<(Fault, Fault)>,
    pub(super) denied: Denied,
    pub(super) suspects: Suspects,
    /// Connections in a row that the broker closed soon after it had accepted them.
    closes: u32,
    /// Limits of the broker, as they were last logged.
    limits: Vec<String>,
}

pub(super) fn start(options: LinkOptions) -> Started {
    let broker = &options.broker;
    let window = usize::from(broker.in_flight.max(1));
    // Those of the epoch that just ended may still be in it when the next begins.
    let (publish, publishes) = mpsc::channel(2 * window);
    let (tell, tells) = mpsc::channel(TELLS);
    let (event, events) = mpsc::channel(window + 2 * SPARE_EVENTS);
    let shared = Arc::new(Shared::new(Arc::clone(&options.clock)));
    let handle = LinkHandle::new(Arc::clone(&shared), publish, tell);
    let window_asked = broker.receive_maximum;
    let retry = (broker.backoff_min, broker.backoff_max);
    let task = LinkTask {
        subscriptions: Subscriptions::new(
            options.subscriptions.clone(),
            options.former.clone(),
            retry,
        ),
        laps: Laps::from(options.epoch),
        options,
        shared,
        publishes,
        tells,
        events: event,
        held: Held::default(),
        window: Window::new(window_asked),
        epoch: Epoch(0),
        last_fault: None,
        diagnosed: None,
        denied: Denied::default(),
        suspects: Suspects::default(),
        closes: 0,
        limits: Vec::new(),
    };
    Started { handle, events, task }
}

impl LinkTask {
    /// Runs until [`LinkHandle::stop`], or until nobody listens to the events any more.
    pub async fn run(mut self) {
        let mut attempt = 0;
        while !self.is_over() {
            let ended = self.connect_once().await;
            if ended.fault == Fault::Stopped {
                break;
            }
            let was_good = ended
                .lived
                .is_some_and(|lived| lived >= GOOD_CONNECTION.min(self.options.broker.backoff_max));
            // Two clients with one client id would end each other's connections without a pause.
            if was_good && !matches!(ended.fault, Fault::TakenOver { .. }) {
                attempt = 0;
            }
            self.note(ended).await;
            let (min, max) = (self.options.broker.backoff_min, self.options.broker.backoff_max);
            let wait = backoff::delay(attempt, min, max, fastrand::u64(..));
            attempt = attempt.saturating_add(1);
            self.idle(wait).await;
        }
        log::debug!("link to {} closed", self.address());
    }

    fn is_over(&self) -> bool {
        self.events.is_closed() || self.shared.state().stop.is_some()
    }

    async fn connect_once(&mut self) -> Ended {
        let up = tokio::select! {
            up = self.events.clone().reserve_owned() => up,
            () = self.shared.told_to_stop() => return Ended::before(Fault::Stopped),
        };
        let Ok(up) = up else { return Ended::before(Fault::Stopped) };
        self.epoch = Epoch(self.epoch.0 + 1);
        let (broker, status) = (&self.options.broker, &self.options.status);
        let options = match connect::options(broker, status, self.window.to_ask(), self.denied) {
            Ok(options) => options,
            Err(fault) => return Ended::before(fault),
        };
        let ended = connection::run(self, options.clone(), up).await;
        if ended.lived.is_some() {
            self.diagnosed = None;
            return ended;
        }
        Ended::before(self.look_closer(ended.fault, options).await)
    }

    /// Clears up after a connection, counts the fault and reports it where it is a new one.
    async fn note(&mut self, ended: Ended) {
        let lived = ended.lived;
        let fault = self.as_part_of_a_pattern(ended);
        if fault.code().is_some_and(|code| self.denied.learn(code)) {
            log::warn!("{}: {fault}; connecting again without it", self.address());
        }
        {
            let mut state = self.shared.state();
            state.ledger.disconnected();
            count(&mut state.counters, fault.kind());
            state.tracker.failed(self.shared.now(), &fault);
        }
        if lived.is_none() && self.last_fault.as_ref() == Some(&fault) {
            log::debug!("{}: still {fault}", self.address());
            return;
        }
        self.last_fault = Some(fault.clone());
        tokio::select! {
            // Nobody listening is found at the next attempt.
            told = self.events.send(Event::Down { fault }) => told.unwrap_or(()),
            () = self.shared.told_to_stop() => {}
        }
    }

    /// A close is named otherwise where the broker accepts and closes one connection after the other.
    fn as_part_of_a_pattern(&mut self, ended: Ended) -> Fault {
        let is_soon = ended.lived.is_some_and(|lived| lived < SOON);
        if !is_soon || ended.fault != Fault::Closed || ended.is_explained {
            self.closes = 0;
            return ended.fault;
        }
        self.closes = self.closes.saturating_add(1);
        if self.closes < CLOSES {
            return ended.fault;
        }
        Fault::ClosedAgain { client_id: self.options.broker.client_id.clone() }
    }

    /// Waits before the next attempt; workers that made room get the samples held for them.
    async fn idle(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                () = sleep(until.saturating_duration_since(Instant::now())) => return,
                () = self.shared.told_to_stop() => return,
                () = self.events.closed() => return,
                () = self.shared.room.notified(), if !self.held.is_empty() => self.retry_held(),
            }
        }
    }

    pub(super) fn retry_held(&mut self) {
        self.held.retry(&mut *self.options.intake);
    }

    /// Drops what was meant for a connection that is gone.
    pub(super) fn drain(&mut self) {
        while self.publishes.try_recv().is_ok() {}
        while self.tells.try_recv().is_ok() {}
    }

    pub(super) fn address(&self) -> String {
        let scheme = if self.options.broker.tls.is_some() { "mqtts" } else { "mqtt" };
        format!("{scheme}://{}:{}", self.options.broker.host, self.options.broker.port)
    }

    /// Logs what the broker cannot do, once for each set of limits.
    pub(super) fn say_limits(&mut self, limits: &[String]) {
        if self.limits != limits {
            limits.iter().for_each(|limit| log::error!("{limit}"));
            self.limits = limits.to_vec();
        }
    }

    /// Finds out more about a fault that is new.
    async fn look_closer(&mut self, fault: Fault, options: MqttOptions) -> Fault {
        if let Some((known, meaning)) = &self.diagnosed
            && *known == fault
        {
            return meaning.clone();
        }
        let (broker, raw) = (self.options.broker.clone(), fault.clone());
        let look = tokio::task::spawn_blocking(move || diagnose::diagnose(&broker, &options, &raw));
        let found = tokio::select! {
            found = look => found.ok().flatten(),
            () = self.shared.told_to_stop() => return Fault::Stopped,
        };
        let meaning = found.unwrap_or_else(|| fault.clone());
        self.diagnosed = Some((fault, meaning.clone()));
        meaning
    }
}

fn count(counters: &mut Counters, kind: FaultKind) {
    *match kind {
        FaultKind::Local => &mut counters.faults_local,
        FaultKind::Network => &mut counters.faults_network,
        FaultKind::Refused => &mut counters.faults_refused,
        FaultKind::Protocol => &mut counters.faults_protocol,
        FaultKind::Lost => &mut counters.faults_lost,
    } += 1;
}

impl fmt::Debug for LinkTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkTask")
            .field("options", &self.options)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
