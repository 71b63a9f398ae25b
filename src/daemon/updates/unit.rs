//! One model's updates: the machine, what it is told, and when.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::boot::Draft;
use super::http::Web;
use super::notes::Names;
use super::orders::{Order, Waiting};
use super::parts::Shelf;
use super::post::{Letter, Post};
use super::trial;
use crate::clock::Now;
use crate::daemon::models::update_status::{UpdateCounters, UpdateStatus};
use crate::daemon::switch::Switch;
use crate::failpoints;
use crate::ids::{Digest, ModelName};
use crate::link::LinkHandle;
use crate::monitor::Repeats;
use crate::pipeline::Swapped;
use crate::update::device::{Device, Effect, Event};
use crate::update::{ShadowReport, Target};

/// How often a trial is looked at, and progress is reported.
const LOOK: Duration = Duration::from_secs(1);
/// A machine with nothing to do is woken this often all the same: the wall clock may have been set.
const REST: Duration = Duration::from_secs(60);
/// Between two looks at documents: whoever floods us with them gets no more of the processor.
const BREATH: Duration = Duration::from_millis(50);
/// Answers of what runs beside the machine.
const ANSWERS: usize = 8;

/// What was found out beside the machine, and about which candidate.
pub(super) type Answer = (Digest, Found);

/// What was found out beside the machine.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) event: Event,
    /// How the candidate did beside the active model, where that was the question.
    pub(super) shadow: Option<ShadowReport>,
}

impl From<Event> for Found {
    fn from(event: Event) -> Self {
        Self { event, shadow: None }
    }
}

/// The machine of one model among its partners.
pub(super) struct Unit {
    pub(super) model: ModelName,
    pub(super) index: usize,
    pub(super) device: Device,
    pub(super) names: Names,
    pub(super) shelf: Shelf,
    pub(super) switch: Switch,
    pub(super) post: Arc<Post>,
    pub(super) link: LinkHandle,
    pub(super) said: Repeats,
    pub(super) counts: UpdateCounters,
    pub(super) web: Web,
    /// What is found out beside the machine.
    pub(super) searches: JoinSet<()>,
    /// How a candidate did beside the active model.
    shadow: Option<(Digest, ShadowReport)>,
    /// What was said last; its progress is brought up to date.
    pub(super) told: Option<UpdateStatus>,
    /// The candidate's manifest as it came.
    pub(super) envelope: Option<Vec<u8>>,
    pub(super) to_self: Sender<Answer>,
    /// Whoever waits for the release that was brought here.
    pub(super) waiting: Option<Waiting>,
    /// A release that was brought here while it is put in place.
    pub(super) staging: Option<Digest>,
    /// What the last change of version kept.
    pub(super) swapped: Vec<Swapped>,
    answers: Receiver<Answer>,
    orders: Receiver<Order>,
    first: Vec<Effect>,
    unusable: bool,
    /// When the trial is looked at, or progress is told, again.
    look: Instant,
}

/// What all units share, and what is this one's.
pub(super) struct Parts {
    pub(super) index: usize,
    pub(super) shelf: Shelf,
    pub(super) switch: Switch,
    pub(super) post: Arc<Post>,
    pub(super) link: LinkHandle,
    pub(super) orders: Receiver<Order>,
    pub(super) web: Web,
    /// The active version could not be loaded.
    pub(super) unusable: bool,
}

impl Unit {
    pub(super) fn new(draft: Draft, parts: Parts) -> Self {
        let (to_self, answers) = channel(ANSWERS);
        Self {
            model: draft.model,
            index: parts.index,
            device: draft.device,
            names: draft.names,
            shelf: parts.shelf,
            switch: parts.switch,
            post: parts.post,
            link: parts.link,
            said: Repeats::new(Duration::from_secs(60)),
            counts: UpdateCounters::default(),
            web: parts.web,
            searches: JoinSet::new(),
            shadow: None,
            told: None,
            envelope: None,
            to_self,
            waiting: None,
            staging: None,
            swapped: Vec::new(),
            answers,
            orders: parts.orders,
            first: draft.effects,
            unusable: parts.unusable,
            look: Instant::now(),
        }
    }

    /// Works until `stop` is said, or it is dropped. What it was doing then is gone on with at the
    /// next start.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<()>) {
        let first = std::mem::take(&mut self.first);
        self.carry_out_all(first).await;
        if self.unusable {
            self.feed(Event::Unusable).await;
        }
        if self.device.record().job.is_none() {
            self.shelf.keep_only(&std::collections::BTreeSet::new());
        }
        self.tell_counts();
        loop {
            self.ask_broker();
            let wake = self.wake();
            tokio::select! {
                () = self.post.comes(self.index) => self.open_letters().await,
                Some(answer) = self.answers.recv() => self.answered(answer).await,
                // What has ended is let go of; its answer came by itself.
                Some(_) = self.searches.join_next() => {}
                Some(order) = self.orders.recv() => self.obey(order).await,
                () = sleep_until(wake) => self.woken().await,
                Ok(()) = stop.changed() => return self.feed(Event::Stopping).await,
            }
        }
    }

    async fn answered(&mut self, (about, found): Answer) {
        // The answer to a question about another candidate is nobody's.
        if self.candidate() != Some(about) {
            return;
        }
        if let Event::Chunk { bytes, .. } = &found.event {
            self.counts.add_chunk(bytes.len());
        }
        if let Some(shadow) = found.shadow {
            log::info!("model {}: {shadow}", self.model);
            self.shadow = Some((about, shadow));
        }
        self.feed(found.event).await;
    }

    /// How this candidate did beside the active model, if it was asked.
    pub(super) fn shadow_of(&self, candidate: Option<Digest>) -> Option<ShadowReport> {
        let (about, shadow) = self.shadow?;
        (Some(about) == candidate).then_some(shadow)
    }

    pub(super) fn now(&self) -> Now {
        self.switch.shared.clock.now()
    }

    /// The version that the update under way is about.
    pub(super) fn candidate(&self) -> Option<Digest> {
        self.device.deployment().map(|deployment| deployment.manifest.sha256)
    }

    /// One event through the machine, and everything that follows from it.
    pub(super) async fn feed(&mut self, event: Event) {
        let mut effects = Vec::new();
        let now = self.now();
        self.device.on(now, event, &mut effects);
        self.carry_out_all(effects).await;
    }

    async fn carry_out_all(&mut self, effects: Vec<Effect>) {
        let mut due = VecDeque::from(effects);
        while let Some(effect) = due.pop_front() {
            let Some(event) = self.carry_out(effect).await else { continue };
            let mut more = Vec::new();
            let now = self.now();
            self.device.on(now, event, &mut more);
            // What an answer leads to is done before what was due behind the question.
            more.into_iter().rev().for_each(|effect| due.push_front(effect));
        }
    }

    /// Has the broker asked for what the machine waits for, and for nothing else.
    fn ask_broker(&self) {
        let next = self.device.trust().keyset().version.saturating_add(1);
        self.post.want(self.index, &self.device.awaited(), next, &self.link);
    }

    async fn open_letters(&mut self) {
        let letters = self.post.collect(self.index);
        let only_documents = !letters.iter().any(|l| matches!(l, Letter::Chunk { .. }));
        for letter in letters {
            match letter {
                Letter::Keyset(bytes) => self.feed(Event::Keyset(bytes)).await,
                Letter::Deployment(target, bytes) if bytes.is_empty() => {
                    if self.follows(&target) {
                        self.feed(Event::Withdrawn).await;
                    }
                }
                Letter::Deployment(_, bytes) => self.feed(Event::Deployment(bytes)).await,
                Letter::Chunk { blob, index, bytes } => {
                    failpoints::point("update-chunk-came");
                    self.counts.add_chunk(bytes.len());
                    self.feed(Event::Chunk { blob, index, bytes }).await;
                }
            }
            self.ask_broker();
        }
        self.tell_counts();
        if only_documents {
            tokio::time::sleep(BREATH).await;
        }
    }

    /// Whether the deployment that is followed came for this target: only its own topic withdraws it.
    fn follows(&self, target: &Target) -> bool {
        self.device.deployment().is_some_and(|deployment| deployment.target == *target)
    }

    fn wake(&self) -> Instant {
        let now = self.now().mono;
        let due = self.device.deadline().map(|due| due.since(now)).unwrap_or(REST);
        let due = Instant::now() + due.min(REST);
        let looks = self.device.is_on_trial() || self.device.progress().is_some();
        if looks { due.min(self.look) } else { due }
    }

    async fn woken(&mut self) {
        if Instant::now() >= self.look {
            self.look = Instant::now() + LOOK;
            if self.device.is_on_trial() {
                let runs = trial::runs(&self.switch.shared, &self.model);
                self.feed(Event::Ran(runs)).await;
            }
            self.tell_progress();
        }
        self.feed(Event::Tick).await;
    }

    /// The trial is looked at afresh: its first look is a while after the change.
    pub(super) fn look_later(&mut self) {
        self.look = Instant::now() + LOOK;
    }
}
