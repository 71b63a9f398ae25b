//! Where results are handed on: feeds the outbox machine, and does what it says.
//!
//! One task, three sources of events: the link, the store's thread, the workers. It never blocks:
//! the link and the store are asked by calls that return at once, and answer with events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep_until};

use super::control::Asked;
use super::filters;
use super::inference::messages::FromWorker;
use super::losses::Losses;
use super::models::update_status::UpdateCounters;
use super::opening::Opening;
use super::rejects::RejectSample;
use super::report;
use super::saves::Saves;
use super::serving::Serving;
use super::shared::Shared;
use super::switch::Switch;
use super::updates::Orders;
use super::watch::Watch;
use super::wear::LastHour;
use crate::clock::Mono;
use crate::failpoints::point;
use crate::ids::{ModelName, StreamName};
use crate::link::{self, ConnectionId, LinkHandle};
use crate::message::{Outgoing, Qos};
use crate::monitor::Repeats;
use crate::outbox::{Action, Event, Outbox, Seq};
use crate::pipeline::mark_replayed;
use crate::store::Usage;
use crate::store::handle::StoreHandle;

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
    pub(super) outbox: Outbox,
    pub(super) link: LinkHandle,
    pub(super) store: StoreHandle,
    pub(super) to_self: UnboundedSender<FromStore>,
    pub(super) serving: Vec<Serving>,
    pub(super) switch: Switch,
    /// The ways to the update machines.
    pub(super) orders: Orders,
    pub(super) update_counts: BTreeMap<ModelName, UpdateCounters>,
    /// The connection there is.
    pub(super) connection: Option<ConnectionId>,
    actions: Vec<Action>,
    /// Publishes the link had no room for; tried again with every event of its.
    unsent: VecDeque<(Seq, Outgoing)>,
    pub(super) losses: Losses,
    pub(super) saves: Saves,
    pub(super) syncs: LastHour,
    /// As last told by the store.
    pub(super) syncs_per_hour: u64,
    pub(super) watch: Watch,
    said: Repeats,
    opening: Opening,
    health_due: Instant,
}

impl Desk {
    #[expect(clippy::too_many_arguments, reason = "each is a partner of the desk")]
    pub(crate) fn new(
        shared: Arc<Shared>,
        outbox: Outbox,
        link: LinkHandle,
        store: StoreHandle,
        to_self: UnboundedSender<FromStore>,
        serving: Vec<Serving>,
        switch: Switch,
        orders: Orders,
    ) -> Self {
        let opening = Opening::new(shared.config.streams.len());
        Self {
            shared,
            outbox,
            link,
            store,
            to_self,
            serving,
            switch,
            orders,
            update_counts: BTreeMap::new(),
            connection: None,
            actions: Vec::new(),
            unsent: VecDeque::new(),
            losses: Losses::default(),
            saves: Saves::default(),
            syncs: LastHour::default(),
            syncs_per_hour: 0,
            watch: Watch::default(),
            said: Repeats::new(Duration::from_secs(60)),
            opening,
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
        while self.connection.is_some()
            && self.outbox.unsafe_records() > 0
            && Instant::now() < patience
        {
            self.next(sources, patience).await;
        }
        self.feed(Event::Stop);
        while !self.outbox.is_settled() && Instant::now() < deadline {
            self.next(sources, deadline).await;
        }
        self.keep_all_windows();
        self.outbox.unsafe_records()
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
        let health = self.health_due.min(self.watch.due());
        [due, self.opening.due()].into_iter().flatten().fold(health, Instant::min)
    }

    fn now(&self) -> Mono {
        self.shared.clock.now().mono
    }

    fn woken(&mut self) {
        self.opening.say_if_due(Instant::now());
        if Instant::now() >= self.health_due {
            self.health_due = Instant::now() + self.shared.config.report.health_interval;
            self.ask_usage();
        }
        self.judge_if_due();
        self.feed(Event::Tick);
    }

    fn link_said(&mut self, event: link::Event) {
        self.note_link(&event);
        match event {
            link::Event::Up { connection, session_present } => {
                let session =
                    if session_present { "kept our session" } else { "has a new session" };
                log::info!("connected: the broker {session}");
                super::notify::status("connected to the broker");
                self.connection = Some(connection);
                self.feed(Event::LinkUp);
            }
            link::Event::Subscribed => {
                self.keep_filters();
                self.opening.say();
                super::notify::status("connected and subscribed");
            }
            link::Event::Down { fault } => {
                if let Some(held) = self.said.say(self.now(), &fault.to_string()) {
                    log::warn!("no connection to the broker: {fault}{}", held);
                }
                self.opening.say();
                super::notify::status(&format!("no connection to the broker: {fault}"));
                self.connection = None;
                self.unsent.clear();
                self.feed(Event::LinkDown);
            }
            link::Event::EpochAdvanced(epoch) => self.keep_epoch(epoch),
            link::Event::Sent { seq } => {
                point("sent");
                self.feed(Event::Sent(seq));
            }
            link::Event::Refused { seq, refusal } => {
                if let Some(held) = self.said.say(self.now(), refusal.as_str()) {
                    log::warn!("a result was refused: {}{}", refusal.as_str(), held);
                }
                self.feed(Event::Refused { seq, refusal });
            }
            link::Event::NotSubscribed(what) => {
                let told = filters::not_granted(&what, &self.shared.config);
                log::error!("{told} (it is asked again later)");
                self.opening.say();
            }
        }
        self.send_unsent();
    }

    fn store_said(&mut self, event: FromStore) {
        match event {
            FromStore::Event(event) => {
                point("store-answered");
                self.feed(event);
            }
            FromStore::Usage(usage) => self.publish_health(usage),
            FromStore::Then(then) => then(self),
        }
        self.keep_ready_windows();
    }

    fn worker_said(&mut self, message: FromWorker) {
        match message {
            FromWorker::Result(finished) => {
                point("finished");
                self.saves.pushed(finished.input);
                self.feed(Event::Push(finished));
            }
            FromWorker::Rejected(sample) => self.publish_reject(&sample),
            FromWorker::Windows(saved) => {
                self.saves.hold(saved);
                self.keep_ready_windows();
            }
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
                point("store");
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
            Action::Release(input) => {
                point("release");
                self.saves.released(input);
                self.link.result_settled(input);
                self.keep_ready_windows();
            }
            Action::Lost { stream, loss, count } => {
                let key = format!("{stream}/{}", loss.as_str());
                if let Some(held) = self.said.say(self.now(), &key) {
                    log::error!(
                        "stream {stream}: {count} results lost ({}){}",
                        loss.as_str(),
                        held
                    );
                }
                self.watch.lost(self.now(), &stream, loss, count);
                self.lost(&stream, loss.as_str(), count);
            }
        }
    }

    pub(super) fn lost(&mut self, stream: &StreamName, reason: &'static str, count: u64) {
        self.losses.add(stream, reason, count);
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Answers that the store would have given go the same way, so that their order holds and an
    /// action never feeds the machine from within itself.
    fn say_to_self(&self, event: Event) {
        if self.to_self.send(FromStore::Event(event)).is_err() {
            log::debug!("the desk is closing");
        }
    }

    fn publish(&mut self, seq: Seq, mut message: Outgoing, replayed: bool) {
        point(if replayed { "replay" } else { "publish" });
        if replayed && let Some(marked) = mark_replayed(&message.payload) {
            message.payload = marked;
        }
        self.unsent.push_back((seq, message));
        self.send_unsent();
    }

    fn send_unsent(&mut self) {
        let Some(connection) = self.connection else { return };
        while let Some((seq, message)) = self.unsent.pop_front() {
            if let Err(link::NotAccepted(message)) = self.link.try_publish(connection, seq, message)
            {
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
        if !self.link.publish_untracked(message) {
            log::debug!("no connection, or a busy one: a rejected input is not shown");
        }
    }
}
