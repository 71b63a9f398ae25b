//! A journaled stream from its runner to the disk against a model of broker and store, with
//! failures of the disk, and crashes between any two actions: no window is lost, none is another,
//! none changes its id.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use proptest::prelude::*;

use crate::clock::{Clock, SystemClock};
use crate::config::{Guarantee, Stream, WindowSafety};
use crate::daemon::inference::stream::{SaveIntervals, StreamRunner};
use crate::daemon::inference::tests::fixture::captures;
use crate::daemon::windows::SavedWindows;
use crate::daemon::windows::journal_state;
use crate::daemon::windows::pending_saves::PendingSaves;
use crate::daemon::windows::recent_inputs::RecentInputs;
use crate::ids::GatewayId;
use crate::message::{AckToken, Incoming, InputId, InputProcessed, ResultMessage};
use crate::pipeline::tests::fixture::{echo, prediction, stream, windowed};
use crate::pipeline::{Pipeline, PredictionIds};
use crate::store::{Settings, Store};

const KEY: &str = "windows/motion";
const LENGTH: usize = 3;
/// What the broker leaves unacknowledged at us.
const RECEIVE_MAXIMUM: usize = 8;

#[derive(Clone, Debug)]
enum Step {
    /// The next inputs, each of one of these devices.
    Inputs(Vec<u8>),
    Save,
    /// So many of the oldest results are with the broker, or on the disk.
    ResultsSafe(usize),
    /// The store's thread does what it was asked for.
    Store {
        fails: bool,
    },
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(0..3u8, 1..6).prop_map(Step::Inputs),
        4 => Just(Step::Save),
        4 => (1..4usize).prop_map(Step::ResultsSafe),
        5 => prop::bool::weighted(0.05).prop_map(|fails| Step::Store { fails }),
        1 => Just(Step::Crash),
    ]
}

/// What comes out of a window: the device and the numbers.
type Window = (String, String);

fn window(finished: &ResultMessage) -> (String, Window) {
    let prediction = prediction(&finished.message.payload);
    let text = |name: &str| prediction[name].as_str().unwrap().to_owned();
    (text("id"), (text("device"), prediction["tensor"]["data"].to_string()))
}

fn journaled() -> Stream {
    let mut stream = stream();
    (stream.windows, stream.guarantee) = (WindowSafety::Journal, Guarantee::AtLeastOnce);
    stream
}

fn pipeline(start: u32) -> Pipeline {
    let (gateway, counter) = (GatewayId::parse("gw").unwrap(), Arc::new(AtomicU64::new(0)));
    let ids = PredictionIds::new(&gateway, &format!("{start:x}"), counter);
    let (card, model) = (Arc::new(windowed(LENGTH, 2)), Box::new(echo(&[LENGTH, 2])));
    Pipeline::new(0, &journaled(), &gateway, card, model, ids).unwrap()
}

fn open(dir: &Path) -> Store {
    let dir = dir.to_owned();
    let settings = Settings { dir, max_bytes: 64 << 20, max_records: 1000, reserve_bytes: 0 };
    Store::open(&settings).unwrap().0
}

fn runner(start: u32, store: &mut Store) -> StreamRunner {
    let (mut pipeline, mut recent) = (pipeline(start), RecentInputs::new(2 * RECEIVE_MAXIMUM));
    if let Some(kept) = journal_state::read(store, KEY).unwrap() {
        let (mut input_ids, now) = (Vec::new(), SystemClock::start().now());
        let additions = kept.entries.iter().map(Vec::as_slice);
        let report =
            pipeline.replay(recent.restore(&kept.base), additions, now, &mut input_ids).unwrap();
        assert_eq!((report.left_out, report.dropped), (0, 0));
        input_ids.into_iter().for_each(|input_id| recent.record(Some(input_id)));
    }
    let interval = Duration::from_secs(1);
    let saves = SaveIntervals { checkpoint: interval, journal: interval };
    StreamRunner::new(0, &journaled(), pipeline, saves, recent)
}

struct World {
    dir: tempfile::TempDir,
    clock: SystemClock,
    starts: u32,
    /// The device of every input there ever was.
    inputs: Vec<u8>,
    /// The number of inputs that are acknowledged, and that were delivered to the daemon.
    acknowledged: usize,
    delivered: usize,
    safe: BTreeMap<String, Window>,
    // The process:
    store: Store,
    runner: StreamRunner,
    saves: PendingSaves,
    /// Asked of the store's thread.
    asked: VecDeque<SavedWindows>,
    /// On their way to safety.
    results: VecDeque<ResultMessage>,
    /// Inputs that the runner is through with, and how many of their results are not safe.
    taken: BTreeMap<u64, i64>,
    reported: BTreeMap<u64, bool>,
    /// The disk failed since the last save of all windows: until the next, a crash may cost some.
    failed: bool,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut store = open(dir.path());
        Self {
            runner: runner(1, &mut store),
            dir,
            clock: SystemClock::start(),
            starts: 1,
            inputs: Vec::new(),
            acknowledged: 0,
            delivered: 0,
            safe: BTreeMap::new(),
            store,
            saves: PendingSaves::default(),
            asked: VecDeque::new(),
            results: VecDeque::new(),
            taken: BTreeMap::new(),
            reported: BTreeMap::new(),
            failed: false,
        }
    }

    fn incoming(&self, at: usize) -> Incoming {
        let (n, device) = (u16::try_from(at).unwrap(), self.inputs[at]);
        let topic = format!("sensors/d{device}/imu");
        Incoming {
            stream: 0,
            captures: captures(&topic),
            topic,
            payload: format!(r#"{{"a":{n},"b":{device}}}"#).into(),
            received: self.clock.now(),
            token: Some(AckToken(u64::from(n))),
            input_id: Some(InputId { epoch: 1, packet: n, content: 7 }),
            reply: None,
            retained: false,
        }
    }

    /// What the broker may send now.
    fn deliver(&mut self) {
        while self.delivered < self.inputs.len().min(self.acknowledged + RECEIVE_MAXIMUM) {
            let incoming = self.incoming(self.delivered);
            let mut out = Vec::new();
            let outcome = self.runner.step(&incoming, &self.clock, &mut out);
            let report = outcome.taken(&incoming).and_then(|taken| self.runner.hold(taken));
            for finished in out {
                self.saves.on_result(finished.input);
                self.results.push_back(finished);
            }
            self.delivered += 1;
            self.report(report);
        }
    }

    fn report(&mut self, taken: impl IntoIterator<Item = InputProcessed>) {
        for InputProcessed { input, results } in taken {
            *self.taken.entry(input.0).or_default() += i64::from(results);
            self.reported.insert(input.0, true);
        }
        // In their order, as MQTT wants it.
        let is_done = |at: u64| self.reported.contains_key(&at) && self.taken.get(&at) == Some(&0);
        while is_done(self.acknowledged as u64) {
            self.acknowledged += 1;
        }
    }

    fn save(&mut self) {
        if self.runner.save_at().is_some() {
            self.saves.add(self.runner.save(self.clock.now()));
        }
        self.ask();
    }

    fn ask(&mut self) {
        while let Some(saved) = self.saves.ready() {
            self.asked.push_back(saved);
        }
    }

    fn results_safe(&mut self, count: usize) {
        for _ in 0..count {
            let Some(finished) = self.results.pop_front() else { return };
            let (id, window) = window(&finished);
            if let Some(before) = self.safe.insert(id.clone(), window.clone()) {
                assert_eq!(before, window, "two windows have the id {id}");
            }
            let input = finished.input.unwrap();
            self.saves.on_released(input);
            *self.taken.entry(input.0).or_default() -= 1;
            self.report(None);
            self.ask();
        }
    }

    fn store(&mut self, fails: bool) {
        let Some(saved) = self.asked.pop_front() else { return };
        let journal = self.runner.journal();
        if fails {
            // As where the store is closed.
            journal.request_base();
            self.failed = true;
        } else {
            let kept = journal.write(&mut self.store, KEY, &saved.windows);
            self.failed |= kept.is_err();
            if kept.is_ok() && saved.windows.base.is_some() {
                self.failed = false;
            }
        }
        self.report(saved.waiting);
    }

    fn crash(&mut self) {
        self.starts += 1;
        // Closed, and what was asked of it and not done is gone.
        self.store = open(tempfile::tempdir().unwrap().path());
        self.store = open(self.dir.path());
        self.runner = runner(self.starts, &mut self.store);
        self.saves = PendingSaves::default();
        self.delivered = self.acknowledged;
        self.asked.clear();
        self.results.clear();
        self.taken.clear();
        self.reported.clear();
    }

    fn settle(&mut self) {
        while self.acknowledged < self.inputs.len() {
            let before = (self.acknowledged, self.delivered);
            self.deliver();
            self.save();
            self.results_safe(usize::MAX);
            while !self.asked.is_empty() {
                self.store(false);
            }
            assert_ne!(before, (self.acknowledged, self.delivered), "no progress");
        }
        self.results_safe(usize::MAX);
    }

    /// The windows of a process that nothing happens to.
    fn expected(&self) -> Vec<Window> {
        let (mut pipeline, mut out) = (pipeline(0), Vec::new());
        for at in 0..self.inputs.len() {
            pipeline.step(&self.incoming(at), &self.clock, &mut out);
        }
        let mut windows: Vec<Window> = out.iter().map(|finished| window(finished).1).collect();
        windows.sort();
        windows
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn no_window_is_lost_or_another_whatever_happens_between_two_actions(
        steps in prop::collection::vec(step(), 1..90),
    ) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Inputs(devices) => {
                    world.inputs.extend(devices);
                    world.deliver();
                }
                Step::Save => world.save(),
                Step::ResultsSafe(count) => world.results_safe(count),
                Step::Store { fails } => world.store(fails),
                Step::Crash if world.failed => {}
                Step::Crash => world.crash(),
            }
            world.deliver();
        }
        world.settle();
        // With the disk in order, the saves after the next are whole again.
        for _ in 0..3 {
            world.inputs.push(0);
            world.settle();
        }
        prop_assert!(!world.failed, "what failed once is never made up for");
        world.crash();
        world.settle();
        let expected = world.expected();
        let mut windows: Vec<Window> = world.safe.into_values().collect();
        windows.sort();
        prop_assert_eq!(windows, expected);
    }
}

/// Additions are bounded: many of them make a new base, and nothing of it shows.
#[test]
fn a_new_base_is_written_where_additions_have_become_many() {
    let mut world = World::new();
    let (mut most, mut last, mut bases) = (0, 0, 0);
    for round in 0..1500_usize {
        world.inputs.extend((0..4).map(|n| u8::try_from((round + n) % 200).unwrap()));
        world.deliver();
        world.save();
        world.settle();
        let additions = world.store.names(&format!("{KEY}+")).unwrap().len();
        bases += usize::from(additions < last);
        (most, last) = (most.max(additions), additions);
    }
    assert!(bases >= 3 && most > 100, "{bases} bases, at most {most} additions");
    world.crash();
    world.settle();
    let expected = world.expected();
    let mut windows: Vec<Window> = world.safe.into_values().collect();
    windows.sort();
    assert_eq!(windows, expected);
}
