//! The delivery loop: feeds the outbox machine and executes its actions.
//!
//! One task with events from the link, the store's thread and the workers, and requests from local
//! commands. It never blocks: calls to the link and to the store return at once, and are answered
//! by events.

mod actions;
pub(crate) mod requests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::baselines;
use super::context::DaemonContext;
use super::inference::messages::FromWorker;
use super::labels::LabelPersister;
use super::subscriptions;
use super::systemd::notify;
use super::systemd::readiness::Readiness;
use super::telemetry::health::HealthReporter;
use super::telemetry::snapshot::HealthSnapshot;
use super::updates::commands::UpdateQueues;
use super::windows::input_epoch;
use super::windows::persist::WindowPersister;
use crate::clock::Mono;
use crate::failpoints::point;
use crate::link::{self, ConnectionId, LinkHandle};
use crate::monitor::LogLimiter;
use crate::outbox::{Action, Event, Mode, Outbox};
use crate::store::Usage;
use crate::store::handle::StoreHandle;
use requests::DeliveryRequest;

/// Results taken from the workers at once.
const BATCH: usize = 64;
/// The same message of the log is not repeated within this time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// An event that the loop or the store's thread sends to the loop.
pub(crate) enum DeliveryEvent {
    Outbox(Event),
    /// The usage of the store, `None` while it is closed, and the request it was asked for. Without
    /// one it is for the health report.
    Usage(Option<Usage>, Option<oneshot::Sender<Arc<HealthSnapshot>>>),
}

/// Where the events of the loop come from.
pub(crate) struct Sources {
    pub(crate) link: Receiver<link::Event>,
    pub(crate) events: UnboundedReceiver<DeliveryEvent>,
    /// Closed once all workers have ended.
    pub(crate) results: Receiver<FromWorker>,
    /// Closed if there is no control socket.
    pub(crate) requests: Receiver<DeliveryRequest>,
}

/// The outbox machine with what executes its actions.
pub(crate) struct DeliveryLoop {
    context: Arc<DaemonContext>,
    outbox: Outbox,
    link: LinkHandle,
    store: StoreHandle,
    events: UnboundedSender<DeliveryEvent>,
    /// The current connection.
    connection: Option<ConnectionId>,
    actions: Vec<Action>,
    windows: WindowPersister,
    labels: LabelPersister,
    health: HealthReporter,
    updates: UpdateQueues,
    log_limit: LogLimiter,
    readiness: Readiness,
}

impl DeliveryLoop {
    pub(crate) fn new(
        context: Arc<DaemonContext>,
        outbox: Outbox,
        link: LinkHandle,
        store: StoreHandle,
        events: UnboundedSender<DeliveryEvent>,
        (health, updates): (HealthReporter, UpdateQueues),
    ) -> Self {
        let (streams, journals) = (&context.config.streams, &context.journals);
        Self {
            windows: WindowPersister::new(streams, journals, store.clone(), link.clone()),
            labels: LabelPersister::new(streams, store.clone()),
            readiness: Readiness::new(streams.len()),
            context,
            outbox,
            link,
            store,
            events,
            connection: None,
            actions: Vec::new(),
            health,
            updates,
            log_limit: LogLimiter::new(LOG_INTERVAL),
        }
    }

    /// Runs until the workers have ended and their last results are taken.
    pub(crate) async fn run(&mut self, sources: &mut Sources) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let wake = self.wake();
            tokio::select! {
                biased;
                Some(event) = sources.link.recv() => self.on_link_event(event),
                Some(event) = sources.events.recv() => self.on_event(event),
                // Always taken: a result that waited here would keep its input unacknowledged, and
                // with enough of those the link reads nothing more, acknowledgements included.
                // What the broker does not take goes to disk, which releases the input.
                taken = sources.results.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return;
                    }
                    batch.drain(..).for_each(|message| self.on_worker_message(message));
                }
                Some(request) = sources.requests.recv() => self.on_request(request),
                () = sleep_until(wake) => self.on_tick(),
            }
        }
    }

    /// Drains after [`Self::run`]: waits until the broker has acknowledged what it was sent or
    /// `patience` is over, then until the rest is on disk or `deadline` is over. Returns the number
    /// of results that are in neither place.
    pub(crate) async fn drain(
        &mut self,
        sources: &mut Sources,
        patience: Instant,
        deadline: Instant,
    ) -> usize {
        while self.connection.is_some()
            && self.outbox.volatile_records() > 0
            && Instant::now() < patience
        {
            self.next(sources, patience).await;
        }
        self.handle(Event::Stop);
        while !self.outbox.is_settled() && Instant::now() < deadline {
            self.next(sources, deadline).await;
        }
        self.windows.save_all();
        self.labels.save_pending();
        self.outbox.volatile_records()
    }

    async fn next(&mut self, sources: &mut Sources, until: Instant) {
        let wake = self.wake().min(until);
        tokio::select! {
            Some(event) = sources.link.recv() => self.on_link_event(event),
            Some(event) = sources.events.recv() => self.on_event(event),
            () = sleep_until(wake) => self.on_tick(),
        }
    }

    fn wake(&self) -> Instant {
        let due = self.outbox.deadline().map(|at| Instant::now() + at.since(self.now()));
        [due, self.readiness.deadline()].into_iter().flatten().fold(self.health.due(), Instant::min)
    }

    fn now(&self) -> Mono {
        self.context.clock.now().mono
    }

    fn on_tick(&mut self) {
        self.readiness.announce_if_due(Instant::now());
        if self.health.is_report_due(&self.outbox) {
            self.ask_usage(None);
        }
        let lines = self.log_limit.overdue_lines(self.now());
        lines.for_each(|line| log::warn!("{line}"));
        self.handle(Event::Tick);
    }

    fn on_link_event(&mut self, event: link::Event) {
        self.health.on_link_event(&event, &self.outbox);
        match event {
            link::Event::Up { connection, session_present } => {
                let session = if session_present { "resumed the session" } else { "new session" };
                log::info!("connected to the broker ({session})");
                notify::status("connected to the broker");
                self.connection = Some(connection);
                self.handle(Event::LinkUp);
            }
            link::Event::Subscribed => {
                self.save_filters();
                self.readiness.announce();
                notify::status("connected and subscribed");
            }
            link::Event::Down { fault } => {
                if let Some(suppressed) = self.log_limit.allow(self.now(), &fault.to_string()) {
                    log::warn!("no connection to the broker: {fault}{suppressed}");
                }
                self.readiness.announce();
                notify::status(&format!("no connection to the broker: {fault}"));
                self.connection = None;
                self.handle(Event::LinkDown);
            }
            link::Event::EpochAdvanced(epoch) => self.save_input_epoch(epoch),
            link::Event::Sent { seq } => {
                point("sent");
                self.handle(Event::Sent(seq));
            }
            link::Event::Refused { seq, refusal } => {
                if let Some(suppressed) = self.log_limit.allow(self.now(), refusal.as_str()) {
                    log::warn!("the broker refused a result: {}{suppressed}", refusal.as_str());
                }
                self.handle(Event::Refused { seq, refusal });
            }
            link::Event::NotSubscribed(what) => {
                let refused = subscriptions::not_granted(&what, &self.context.config);
                log::error!("{refused} (the subscription is tried again later)");
                self.readiness.announce();
            }
        }
    }

    fn on_event(&mut self, event: DeliveryEvent) {
        match event {
            DeliveryEvent::Outbox(event) => {
                point("store-answered");
                self.handle(event);
            }
            DeliveryEvent::Usage(usage, None) => self.publish_health(usage),
            DeliveryEvent::Usage(usage, Some(answer)) => {
                if answer.send(self.health.snapshot(usage, &self.outbox)).is_err() {
                    log::debug!("a health snapshot is no longer awaited");
                }
            }
        }
        self.windows.save_ready();
        self.labels.save_pending();
    }

    fn on_worker_message(&mut self, message: FromWorker) {
        match message {
            FromWorker::Result(result) => {
                point("finished");
                self.windows.on_result(result.input);
                self.handle(Event::Push(result));
            }
            FromWorker::Report(report) => self.publish_report(&report),
            FromWorker::Windows(saved) => self.windows.add(saved),
            FromWorker::Labels(saved) => self.labels.save(saved),
            FromWorker::Baseline(learned) => {
                baselines::save(&self.store, &self.context.config.streams, &learned);
            }
            FromWorker::Learning(progress) => {
                baselines::save_progress(&self.store, &self.context.config.streams, progress);
            }
            FromWorker::Drifted(stream) => {
                let stream = self.context.config.streams.get(stream);
                stream.into_iter().for_each(|stream| self.updates.check_drift(&stream.model));
            }
        }
    }

    fn on_request(&mut self, request: DeliveryRequest) {
        match request {
            DeliveryRequest::DrainNow(answer) => {
                let is_connected = self.connection.is_some();
                if is_connected {
                    self.handle(Event::DrainNow);
                }
                if answer.send(is_connected).is_err() {
                    log::debug!("the answer to a request to drain is no longer awaited");
                }
            }
            DeliveryRequest::Purged(purged) => {
                for (stream, count) in purged {
                    log::warn!("stream {stream}: {count} queued results removed by an operator");
                    self.health.on_purged(&stream, count);
                }
            }
            DeliveryRequest::Snapshot(answer) => self.ask_usage(Some(answer)),
        }
    }

    /// One event through the machine, and the actions that follow from it.
    fn handle(&mut self, event: Event) {
        let now = self.now();
        let mut actions = std::mem::take(&mut self.actions);
        self.outbox.on(now, event, &mut actions);
        for action in actions.drain(..) {
            self.execute(action);
        }
        self.actions = actions;
        if let Some(capture) = &self.context.capture {
            capture.hold_uploads(self.outbox.mode() != Mode::Live);
        }
    }

    /// Asks the store for its usage, to make a snapshot of: for the health report, or for a
    /// request.
    fn ask_usage(&mut self, request: Option<oneshot::Sender<Arc<HealthSnapshot>>>) {
        let is_report = request.is_none();
        let events = self.events.clone();
        let answer = move |store: Option<&mut crate::store::Store>| {
            let usage = store.map(|store| store.usage());
            if events.send(DeliveryEvent::Usage(usage, request)).is_err() {
                log::debug!("the daemon is stopping: the usage of the store is dropped");
            }
        };
        if self.store.run(answer).is_err() && is_report {
            self.publish_health(None);
        }
    }

    fn publish_health(&mut self, usage: Option<Usage>) {
        let snapshot = self.health.snapshot(usage, &self.outbox);
        self.health.publish(&snapshot);
    }

    fn save_filters(&self) {
        let wanted = subscriptions::of_streams(&self.context.config);
        if self.store.run(move |store| subscriptions::settle(&wanted, store)).is_err() {
            log::debug!("cannot save the topic filters: the store does not keep up");
        }
    }

    fn save_input_epoch(&self, epoch: u64) {
        if self.store.run(move |store| input_epoch::save(store, epoch)).is_err() {
            log::warn!("cannot save the input epoch: the store does not keep up");
        }
    }
}
