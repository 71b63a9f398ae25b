//! Where results are handed on: feeds the outbox machine, and does what it says.
//!
//! One task, three sources of events: the link, the store's thread, the workers. It never blocks:
//! the link and the store are asked by calls that return at once, and answer with events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep_until};

use super::control::Asked;
use super::laps;
use super::losses::Losses;
use super::rejects::RejectSample;
use super::report::{self, HealthParts, QueueReport};
use super::serving::Serving;
use super::shared::Shared;
use super::switch::Switch;
use super::worker::{FromWorker, SavedWindows, also};
use crate::clock::Mono;
use crate::ids::StreamName;
use crate::link::{self, Epoch, LinkHandle};
use crate::message::{Outgoing, Qos};
use crate::monitor::Repeats;
use crate::outbox::{Action, Event, Mode, Outbox, Seq};
use crate::pipeline::mark_replayed;
use crate::store::Usage;
use crate::store::thread::Thread;

/// Results taken from the workers at once.
const BATCH: usize = 64;

/// What the store's thread says to the desk.
pub(crate) enum FromStore {
    Event(Event),
    /// Asked for by health; `None` while the store is closed.
    Usage(Option<Usage>),
    /// Goes on at the desk with something that was found elsewhere.
    Then(Box<dyn FnOnce(&mut Desk) + Send>),
}

/// Where the desk's events come from.
pub(crate) struct Sources {
    pub(crate) link: Receiver<link::Event>,
    pub(crate) store: UnboundedReceiver<FromStore>,
    /// Closed once all workers have ended.
    pub(crate) results: Receiver<FromWorker>,
    /// From the control socket; closed where there is none.
    pub(crate) asked: Receiver<Asked>,
}

/// The outbox machine among its partners.
pub(crate) struct Desk {
    pub(super) shared: Arc<Shared>,
    outbox: Outbox,
    pub(super) link: LinkHandle,
    pub(super) store: Thread,
    pub(super) to_self: UnboundedSender<FromStore>,
    pub(super) serving: Vec<Serving>,
    pub(super) switch: Switch,
    /// The connection there is.
    epoch: Option<Epoch>,
    actions: Vec<Action>,
    /// Publishes the link had no room for; tried again with every event of its.
    unsent: VecDeque<(Seq, Outgoing)>,
    losses: Losses,
    said: Repeats,
    health_due: Instant,
}

impl Desk {
    pub(crate) fn new(
        shared: Arc<Shared>,
        outbox: Outbox,
        link: LinkHandle,
        store: Thread,
        to_self: UnboundedSender<FromStore>,
        serving: Vec<Serving>,
        switch: Switch,
    ) -> Self {
        Self {
            shared,
            outbox,
            link,
            store,
            to_self,
            serving,
            switch,
            epoch: None,
            actions: Vec::new(),
            unsent: VecDeque::new(),
            losses: Losses::default(),
            said: Repeats::new(Duration::from_secs(60)),
            health_due: Instant::now(),
        }
    }

    /// Works until the workers have ended and their last results are taken.
    pub(crate) async fn run(&mut self, sources: &mut Sources) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let wake = self.wake();
            tokio::select! {
                biased;
                Some(event) = sources.link.recv() => self.link_said(event),
                Some(event) = sources.store.recv() => self.store_said(event),
                // Always taken: a result that waited here would keep its input unacknowledged, and
                // with enough of those the link reads nothing more, acknowledgements included.
                // What the broker does not take goes to disk, which releases the input.
                taken = sources.results.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return;
                    }
                    batch.drain(..).for_each(|message| self.worker_said(message));
                }
                Some(asked) = sources.asked.recv() => self.asked(asked),
                () = sleep_until(wake) => self.woken(),
            }
        }
    }

    /// After [`Desk::run`]: waits until the broker has what it was sent or `patience` is over, then
    /// until the rest is on disk or `deadline` is over. Returns the results left in neither place.
    pub(crate) async fn settle(
        &mut self,
        sources: &mut Sources,
        patience: Instant,
        deadline: Instant,
    ) -> usize {
        while self.epoch.is_some() && self.outbox.unsafe_records() > 0 && Instant::now() < patience
        {
            self.next(sources, patience).await;
        }
        self.feed(Event::Stop);
        while !self.outbox.is_settled() && Instant::now() < deadline {
            self.next(sources, deadline).await;
        }
        self.outbox.unsafe_records()
    }

    /// Gives the store back, to be closed once the desk is done with it.
    pub(crate) fn into_store(self) -> Thread {
        self.store
    }

    async fn next(&mut self, sources: &mut Sources, until: Instant) {
        let wake = self.wake().min(until);
        tokio::select! {
            Some(event) = sources.link.recv() => self.link_said(event),
            Some(event) = sources.store.recv() => self.store_said(event),
            () = sleep_until(wake) => self.woken(),
        }
    }

    fn wake(&self) -> Instant {
        let due = self.outbox.deadline().map(|at| Instant::now() + at.since(self.now()));
        due.map_or(self.health_due, |due| due.min(self.health_due))
    }

    fn now(&self) -> Mono {
        self.shared.clock.now().mono
    }

    fn woken(&mut self) {
        if Instant::now() >= self.health_due {
            self.health_due = Instant::now() + self.shared.config.report.health_interval;
            self.ask_usage();
        }
        self.feed(Event::Tick);
    }

    fn link_said(&mut self, event: link::Event) {
        match event {
            link::Event::Up { epoch, session_present } => {
                let session =
                    if session_present { "kept our session" } else { "has a new session" };
                log::info!("connected: the broker {session}");
                super::notify::status("connected to the broker");
                self.epoch = Some(epoch);
                self.feed(Event::LinkUp);
            }
            link::Event::Subscribed => super::notify::status("connected and subscribed"),
            link::Event::Down { fault } => {
                if let Some(held) = self.said.say(self.now(), &fault.to_string()) {
                    log::warn!("no connection to the broker: {fault}{}", also(held));
                }
                super::notify::status(&format!("no connection to the broker: {fault}"));
                self.epoch = None;
                self.unsent.clear();
                self.feed(Event::LinkDown);
            }
            link::Event::Lap(lap) => self.keep_lap(lap),
            link::Event::Sent { seq } => self.feed(Event::Sent(seq)),
            link::Event::Refused { seq, refusal } => {
                if let Some(held) = self.said.say(self.now(), refusal.as_str()) {
                    log::warn!("a result was refused: {}{}", refusal.as_str(), also(held));
                }
                self.feed(Event::Refused { seq, refusal });
            }
            link::Event::NotSubscribed { filter, reason } => log::error!(
                "the broker refuses the subscription {filter}: {reason}; allow it in the broker's \
                 access list (it is asked again later)"
            ),
        }
        self.send_unsent();
    }

    fn store_said(&mut self, event: FromStore) {
        match event {
            FromStore::Event(event) => self.feed(event),
            FromStore::Usage(usage) => self.publish_health(usage),
            FromStore::Then(then) => then(self),
        }
    }

    fn worker_said(&mut self, message: FromWorker) {
        match message {
            FromWorker::Finished(finished) => self.feed(Event::Push(finished)),
            FromWorker::Rejected(sample) => self.publish_reject(&sample),
            FromWorker::Windows(saved) => self.keep_windows(saved),
        }
    }

    /// One event through the machine, and what it says done.
    pub(super) fn feed(&mut self, event: Event) {
        let now = self.now();
        let mut actions = std::mem::take(&mut self.actions);
        self.outbox.on(now, event, &mut actions);
        for action in actions.drain(..) {
            self.act(action);
        }
        self.actions = actions;
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Publish { seq, message, replayed } => {
                self.publish(seq, Arc::unwrap_or_clone(message), replayed);
            }
            Action::Store(group) => {
                if self.store.append(group).is_err() {
                    self.say_to_self(Event::StoreFailed);
                }
            }
            Action::Remove(seqs) => {
                if self.store.remove(seqs).is_err() {
                    log::debug!(
                        "the store is busy: sent results stay on disk until the next start"
                    );
                }
            }
            Action::Load { after, limit } => {
                if self.store.load(after, limit).is_err() {
                    self.say_to_self(Event::LoadFailed);
                }
            }
            Action::Release(input) => self.link.done(input),
            Action::Lost { stream, loss, count } => {
                let key = format!("{stream}/{}", loss.as_str());
                if let Some(held) = self.said.say(self.now(), &key) {
                    log::error!(
                        "stream {stream}: {count} results lost ({}){}",
                        loss.as_str(),
                        also(held)
                    );
                }
                self.lost(&stream, loss.as_str(), count);
            }
        }
    }

    pub(super) fn lost(&mut self, stream: &StreamName, reason: &'static str, count: u64) {
        self.losses.add(stream, reason, count);
    }

    pub(super) fn is_connected(&self) -> bool {
        self.epoch.is_some()
    }

    /// Answers that the store would have given go the same way, so that their order holds and an
    /// action never feeds the machine from within itself.
    fn say_to_self(&self, event: Event) {
        if self.to_self.send(FromStore::Event(event)).is_err() {
            log::debug!("the desk is closing");
        }
    }

    fn publish(&mut self, seq: Seq, mut message: Outgoing, replayed: bool) {
        if replayed && let Some(marked) = mark_replayed(&message.payload) {
            message.payload = marked;
        }
        self.unsent.push_back((seq, message));
        self.send_unsent();
    }

    fn send_unsent(&mut self) {
        let Some(epoch) = self.epoch else { return };
        while let Some((seq, message)) = self.unsent.pop_front() {
            if let Err(link::NotTaken(message)) = self.link.try_publish(epoch, seq, message) {
                self.unsent.push_front((seq, message));
                return;
            }
        }
    }

    fn publish_reject(&mut self, sample: &RejectSample) {
        let message = Outgoing {
            topic: report::topic(&self.shared.config.gateway, "rejects"),
            payload: report::json(sample),
            content_type: "application/json".into(),
            properties: Vec::new(),
            correlation: None,
            retain: false,
            qos: Qos::AtMostOnce,
        };
        if !self.link.tell(message) {
            log::debug!("no connection, or a busy one: a rejected input is not shown");
        }
    }

    fn keep_windows(&mut self, saved: SavedWindows) {
        let Some(stream) = self.shared.config.streams.get(saved.stream) else { return };
        let name = super::windows_key(&stream.name);
        let link = self.link.clone();
        let SavedWindows { bytes, waiting, .. } = saved;
        // Inputs are let go even where the disk fails: a full disk must not stop the line of
        // acknowledgements for every stream. The failure is said and counted by the store.
        let keep = move |store: Option<&mut crate::store::Store>| {
            match store.map(|store| store.keep(&name, &bytes)) {
                Some(Ok(())) => {}
                Some(Err(error)) => log::warn!("cannot save {name}: {error}"),
                None => log::warn!("cannot save {name}: the store is closed"),
            }
            waiting.into_iter().for_each(|taken| link.taken(taken));
        };
        if self.store.ask(keep).is_err() {
            log::warn!("cannot save partial windows: the store does not keep up");
        }
    }

    fn keep_lap(&self, lap: u64) {
        if self.store.ask(move |store| laps::keep(store, lap)).is_err() {
            log::warn!("cannot save the count of inputs: the store does not keep up");
        }
    }

    fn ask_usage(&mut self) {
        let to_self = self.to_self.clone();
        let answer = move |store: Option<&mut crate::store::Store>| {
            let usage = store.map(|store| store.usage());
            if to_self.send(FromStore::Usage(usage)).is_err() {
                log::debug!("the desk is closing");
            }
        };
        if self.store.ask(answer).is_err() {
            self.publish_health(None);
        }
    }

    fn publish_health(&mut self, usage: Option<Usage>) {
        let payload = self.health(usage);
        self.link.set_retained(report::topic(&self.shared.config.gateway, "health"), payload);
    }

    pub(super) fn health(&self, usage: Option<Usage>) -> bytes::Bytes {
        report::health(HealthParts {
            config: &self.shared.config,
            started: self.shared.started,
            now: self.shared.clock.now(),
            stats: &self.shared.stats,
            connected: self.epoch.is_some(),
            link: self.link.counters(),
            unacknowledged: self.link.unacknowledged(),
            queue: self.queue(usage),
        })
    }

    /// What waits, in memory and on disk.
    pub(super) fn queue(&self, usage: Option<Usage>) -> QueueReport<'_> {
        QueueReport {
            mode: mode_name(self.outbox.mode()),
            memory_records: self.outbox.unsafe_records(),
            lost: &self.losses,
            disk: usage,
        }
    }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Offline => "offline",
        Mode::Backlog => "backlog",
        Mode::Live => "live",
        Mode::Stopping => "stopping",
    }
}
