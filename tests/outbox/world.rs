//! The outbox with its broker, its disk and its clock.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use inferd::clock::Mono;
use inferd::message::{AckToken, Outgoing, Qos, ResultMessage};
use inferd::outbox::{Action, Event, Loss, Mode, Outbox, Refusal, Seq, Settings};

use super::disk::Disk;
use super::{GROUP, GROUP_GROWTH, MEMORY, RECEIVE_MAXIMUM, STREAMS, Step, id};

/// What becomes of one result.
#[derive(Debug)]
struct Fate {
    stream: usize,
    key: (usize, u8),
    input: Option<AckToken>,
    released: bool,
    seen: u32,
    refused: bool,
    /// The process that held it died.
    orphaned: bool,
}

pub(super) struct World {
    settings: Settings,
    outbox: Outbox,
    now: Mono,
    linked: bool,
    disk: Disk,
    commands: VecDeque<Action>,
    /// Published on this connection: the result and whether it reached the broker.
    published: VecDeque<(Seq, u64, bool)>,
    /// The last result of each key that reached the broker on this connection.
    last_here: HashMap<(usize, u8), u64>,
    /// The newest of each key that ever reached it.
    newest: HashMap<(usize, u8), u64>,
    fates: Vec<Fate>,
    lost: u64,
    crash_in: Option<u32>,
    crashes: u64,
    interruptions: u64,
}

impl World {
    pub(super) fn new(settings: Settings, bound: usize) -> Self {
        let mut world = Self {
            outbox: Outbox::new(settings.clone()),
            settings,
            now: Mono(1),
            linked: false,
            disk: Disk::new(bound),
            commands: VecDeque::new(),
            published: VecDeque::new(),
            last_here: HashMap::new(),
            newest: HashMap::new(),
            fates: Vec::new(),
            lost: 0,
            crash_in: None,
            crashes: 0,
            interruptions: 0,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        self.outbox = Outbox::new(self.settings.clone());
        let opened = self.disk.open();
        self.on(Event::Opened(opened));
    }

    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Push { stream, key, input } => self.push(stream, key, input),
            Step::Broker { reached, acknowledged } => self.broker(reached, acknowledged),
            Step::Refuse => self.refuse(),
            Step::Flap => self.flap(),
            Step::Store { fails } => self.answer(fails),
            Step::Wait(millis) => {
                self.now = self.now.plus(Duration::from_millis(millis));
                self.on(Event::Tick);
            }
            Step::CrashAfter(actions) => self.crash_in = Some(actions),
            Step::StopAndStart => self.stop_and_start(),
        }
    }

    fn push(&mut self, stream: usize, key: u8, input: bool) {
        let unacknowledged = self
            .fates
            .iter()
            .filter(|fate| fate.input.is_some() && !fate.released && !fate.orphaned);
        let input = input && unacknowledged.count() < RECEIVE_MAXIMUM;
        let id = self.fates.len() as u64;
        let input = input.then_some(AckToken(id));
        self.fates.push(Fate {
            stream,
            key: (stream, key),
            input,
            released: false,
            seen: 0,
            refused: false,
            orphaned: false,
        });
        let message = Outgoing {
            topic: format!("{}/{key}", STREAMS[stream].0),
            payload: id.to_string().into(),
            content_type: "text/plain".into(),
            properties: Vec::new(),
            correlation: None,
            retain: false,
            qos: Qos::AtLeastOnce,
        };
        self.on(Event::Push(ResultMessage { stream, input, message }));
    }

    fn broker(&mut self, reached: usize, acknowledged: usize) {
        for _ in 0..reached {
            let Some(place) = self.published.iter().position(|(_, _, reached)| !reached) else {
                break;
            };
            self.published[place].2 = true;
            let id = self.published[place].1;
            self.reach(id);
        }
        for _ in 0..acknowledged {
            if self.published.front().is_some_and(|(_, _, reached)| *reached) {
                let (seq, ..) = self.published.pop_front().unwrap();
                self.on(Event::Sent(seq));
            }
        }
    }

    /// A consumer at the broker sees a result.
    fn reach(&mut self, id: u64) {
        assert!(!self.disk.gone.contains(&id), "result {id} came again after it was removed");
        let fate = &mut self.fates[usize::try_from(id).unwrap()];
        fate.seen += 1;
        let key = fate.key;
        let here = self.last_here.insert(key, id);
        assert!(here < Some(id), "{key:?}: {id} came after {here:?} on one connection");
        let newest = self.newest.entry(key).or_insert(id);
        // One that was refused may come back after a crash, from before its removal was durable.
        let again = fate.seen > 1 || fate.refused;
        assert!(*newest <= id || again, "{key:?}: {id} came late, after {newest}");
        *newest = id.max(*newest);
    }

    fn refuse(&mut self) {
        if let Some((seq, id, false)) = self.published.front().copied() {
            self.published.pop_front();
            self.fates[usize::try_from(id).unwrap()].refused = true;
            self.on(Event::Refused { seq, refusal: Refusal::NotAuthorized });
        }
    }

    fn flap(&mut self) {
        self.linked = !self.linked;
        if self.linked {
            self.on(Event::LinkUp);
        } else {
            self.cut();
            self.on(Event::LinkDown);
        }
    }

    fn cut(&mut self) {
        self.linked = false;
        self.interruptions += 1;
        self.published.clear();
        self.last_here.clear();
    }

    /// The store carries out the next command.
    fn answer(&mut self, fails: bool) {
        let event = match self.commands.pop_front() {
            Some(Action::Store(_)) if fails => Event::StoreFailed,
            Some(Action::Store(group)) => Event::Stored { evicted: self.disk.append(group) },
            Some(Action::Load { .. }) if fails => Event::LoadFailed,
            Some(Action::Load { after, limit }) => self.disk.load(after, limit),
            Some(Action::Remove(seqs)) => return self.disk.remove(&seqs, fails),
            Some(other) => panic!("{other:?} is not for the store"),
            None => return,
        };
        self.on(event);
    }

    fn stop_and_start(&mut self) {
        let crashes = self.crashes;
        self.on(Event::Stop);
        for _ in 0..1_000 {
            if self.crashes > crashes {
                return;
            }
            if self.outbox.is_settled() && self.commands.is_empty() {
                break;
            }
            self.answer(false);
            self.now = self.now.plus(Duration::from_millis(100));
            self.on(Event::Tick);
        }
        assert!(self.outbox.is_settled(), "a stop does not end: {:?}", self.outbox);
        self.cut();
        self.start();
    }

    fn on(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.outbox.on(self.now, event, &mut actions);
        self.check_bounds();
        for action in actions {
            if self.crash_is_due() {
                return self.crash();
            }
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Publish { seq, message, .. } => {
                assert!(self.linked, "published without a link");
                self.published.push_back((seq, id(&message), false));
                assert!(self.published.len() <= self.settings.in_flight, "window exceeded");
            }
            Action::Release(AckToken(id)) => {
                let fate = &mut self.fates[usize::try_from(id).unwrap()];
                assert!(!std::mem::replace(&mut fate.released, true), "{id} released twice");
            }
            Action::Lost { loss, count, stream } => {
                assert!(STREAMS.iter().any(|(name, _)| *name == stream.as_str()));
                if loss == Loss::MemoryFull {
                    assert!(stream.as_str() != "alarm", "an alarm went before telemetry");
                }
                self.lost += count;
            }
            Action::Store(_) | Action::Load { .. } | Action::Remove(_) => {
                self.commands.push_back(action);
            }
        }
    }

    fn check_bounds(&self) {
        let groups = 2 * GROUP * GROUP_GROWTH;
        let most = MEMORY + groups + self.settings.in_flight + RECEIVE_MAXIMUM;
        assert!(
            self.outbox.volatile_records() <= most,
            "{} in memory",
            self.outbox.volatile_records()
        );
        if let Some(due) = self.outbox.deadline() {
            assert!(due > self.now, "a deadline that has passed would spin the shell");
        }
    }

    fn crash_is_due(&mut self) -> bool {
        let left = self.crash_in.map(|left| left.checked_sub(1));
        self.crash_in = left.flatten();
        left == Some(None)
    }

    fn crash(&mut self) {
        self.crashes += 1;
        self.crash_in = None;
        self.commands.clear();
        self.cut();
        for fate in &mut self.fates {
            fate.orphaned = true;
        }
        self.start();
    }

    /// The broker comes back for good and the disk works.
    pub(super) fn come_to_rest(&mut self) {
        self.crash_in = None;
        if !self.linked {
            self.flap();
        }
        for _ in 0..20_000 {
            let idle = self.commands.is_empty() && self.published.is_empty();
            if idle && self.outbox.mode() == Mode::Live && self.outbox.is_settled() {
                return;
            }
            self.answer(false);
            self.broker(9, 9);
            self.now = self.now.plus(Duration::from_millis(20));
            self.on(Event::Tick);
        }
        panic!("the outbox does not come to rest: {:?}", self.outbox);
    }

    pub(super) fn judge(&self) {
        let unseen = |fate: &&Fate| fate.seen == 0;
        for (id, fate) in self.fates.iter().enumerate().filter(|(_, fate)| fate.seen == 0) {
            let accounted = fate.refused || self.disk.evicted.contains(&(id as u64));
            assert!(!fate.released || accounted, "result {id} was promised and is lost");
        }
        let missing = self.fates.iter().filter(unseen).count() as u64;
        if self.crashes == 0 {
            assert!(missing <= self.lost, "{missing} missing, {} counted as lost", self.lost);
            assert!(self.fates.iter().all(|fate| fate.input.is_none() || fate.released));
        }
        let again: u64 = self.fates.iter().map(|fate| u64::from(fate.seen.saturating_sub(1))).sum();
        let window = (self.settings.in_flight + GROUP + GROUP * GROUP_GROWTH) as u64;
        assert!(again <= self.interruptions * window, "{again} duplicates");
        assert!(self.fates.iter().all(|fate| fate.stream == fate.key.0));
    }
}
