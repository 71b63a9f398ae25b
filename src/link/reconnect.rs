//! The reconnect loop: connects, waits and connects again until the link is stopped.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::connection::{self, Ended};
use super::protocol::ConnectOptions;
use super::session::Session;
use super::shared::FaultCounts;
use super::types::{ConnectionId, Event};
use super::{Fault, FaultKind, connect, diagnose};
use crate::backoff;

/// After a connection that lasted this long the backoff starts again at its minimum.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);

/// A connection that the broker closed within this time was of no use.
const SHORT_CONNECTION: Duration = Duration::from_secs(30);

/// Short connections in a row that are reported as a pattern.
const MAX_SHORT_CONNECTIONS: u32 = 3;

/// The poll loop, to be run in a task of its own.
pub struct LinkTask {
    session: Session,
    /// Why there is no connection, as last emitted.
    last_fault: Option<Fault>,
    /// The last fault that was diagnosed, and its cause.
    diagnosed: Option<(Fault, Fault)>,
    /// Short connections in a row.
    short_connections: u32,
}

impl LinkTask {
    pub(super) fn new(session: Session) -> Self {
        Self { session, last_fault: None, diagnosed: None, short_connections: 0 }
    }

    /// Runs until [`super::LinkHandle::stop`], or until the receiver of the events is dropped.
    pub async fn run(mut self) {
        let mut attempt = 0;
        let (min, max) = {
            let broker = &self.session.options.broker;
            (broker.backoff_min, broker.backoff_max)
        };
        while !self.is_over() {
            let ended = self.connect_once().await;
            if ended.fault == Fault::Stopped {
                break;
            }
            let was_good = ended.lived.is_some_and(|lived| lived >= GOOD_CONNECTION.min(max));
            // Two clients with one client id would end each other's connections without a pause.
            if was_good && !matches!(ended.fault, Fault::TakenOver { .. }) {
                attempt = 0;
            }
            self.on_ended(ended).await;
            let wait = backoff::delay(attempt, min, max, fastrand::u64(..));
            attempt = attempt.saturating_add(1);
            self.idle(wait).await;
        }
        log::debug!("link to {} closed", self.address());
    }

    fn is_over(&self) -> bool {
        self.session.events.is_closed() || self.session.shared.state().stop_within.is_some()
    }

    async fn connect_once(&mut self) -> Ended {
        let session = &mut self.session;
        let up = tokio::select! {
            up = session.events.clone().reserve_owned() => up,
            () = session.shared.stop_requested() => return Ended::before_connack(Fault::Stopped),
        };
        let Ok(up) = up else { return Ended::before_connack(Fault::Stopped) };
        session.connection = ConnectionId(session.connection.0 + 1);
        let options = connect::daemon_options(
            &session.options.broker,
            &session.options.status,
            session.receive_window.receive_maximum(),
            session.denied,
        );
        let options = match options {
            Ok(options) => options,
            Err(fault) => return Ended::before_connack(fault),
        };
        let ended = connection::run(session, &options, up).await;
        if ended.lived.is_some() {
            self.diagnosed = None;
            return ended;
        }
        Ended::before_connack(self.diagnose(ended.fault, options).await)
    }

    /// Cleans up after a connection, counts the fault and emits it if it is a new one.
    async fn on_ended(&mut self, ended: Ended) {
        let lived = ended.lived;
        let fault = self.name_pattern(ended);
        let session = &mut self.session;
        if fault.code().is_some_and(|code| session.denied.record(code)) {
            log::warn!("{}: {fault}; connecting again without it", self.address());
        }
        {
            let mut state = self.session.shared.state();
            state.ledger.disconnected();
            count(&mut state.counters.faults, fault.kind());
            state.tracker.failed(self.session.shared.now(), &fault);
        }
        if lived.is_none() && self.last_fault.as_ref() == Some(&fault) {
            log::debug!("{}: still {fault}", self.address());
            return;
        }
        self.last_fault = Some(fault.clone());
        tokio::select! {
            // A dropped receiver is noticed at the next attempt.
            emitted = self.session.events.send(Event::Down { fault }) => emitted.unwrap_or(()),
            () = self.session.shared.stop_requested() => {}
        }
    }

    /// The fault of a connection; another one if the broker accepts and closes one after the other.
    fn name_pattern(&mut self, ended: Ended) -> Fault {
        let is_short = ended.lived.is_some_and(|lived| lived < SHORT_CONNECTION);
        if !is_short || ended.fault != Fault::Closed || ended.is_explained {
            self.short_connections = 0;
            return ended.fault;
        }
        self.short_connections = self.short_connections.saturating_add(1);
        if self.short_connections < MAX_SHORT_CONNECTIONS {
            return ended.fault;
        }
        Fault::ClosedAgain { client_id: self.session.options.broker.client_id.clone() }
    }

    /// Waits before the next attempt. Workers with room get the samples that are held for them.
    async fn idle(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        let session = &mut self.session;
        loop {
            tokio::select! {
                () = sleep(until.saturating_duration_since(Instant::now())) => return,
                () = session.shared.stop_requested() => return,
                () = session.events.closed() => return,
                () = session.shared.room.notified(), if !session.overflow.is_empty() => {
                    session.retry_overflow();
                }
            }
        }
    }

    fn address(&self) -> String {
        let broker = &self.session.options.broker;
        let scheme = if broker.tls.is_some() { "mqtts" } else { "mqtt" };
        format!("{scheme}://{}:{}", broker.host, broker.port)
    }

    /// Finds the cause of a fault that is new.
    async fn diagnose(&mut self, fault: Fault, options: ConnectOptions) -> Fault {
        if let Some((known, cause)) = &self.diagnosed
            && *known == fault
        {
            return cause.clone();
        }
        let broker = &self.session.options.broker;
        let cause = tokio::select! {
            cause = diagnose::cause_of(broker, &options, fault.clone()) => cause,
            () = self.session.shared.stop_requested() => return Fault::Stopped,
        };
        self.diagnosed = Some((fault, cause.clone()));
        cause
    }
}

fn count(faults: &mut FaultCounts, kind: FaultKind) {
    *match kind {
        FaultKind::Local => &mut faults.local,
        FaultKind::Network => &mut faults.network,
        FaultKind::Refused => &mut faults.refused,
        FaultKind::Protocol => &mut faults.protocol,
        FaultKind::Lost => &mut faults.lost,
    } += 1;
}

impl fmt::Debug for LinkTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkTask")
            .field("options", &self.session.options)
            .field("connection", &self.session.connection)
            .finish_non_exhaustive()
    }
}
