//! Saved windows as base and additions against the pipeline that they were saved from.

use std::time::Duration;

use proptest::prelude::*;

use crate::bundle::card::Card;
use crate::clock::{Clock, Mono, Now};
use crate::config::When;
use crate::message::InputId;
use crate::pipeline::tests::fixture::{
    Fake, Harness, echo, labelled, recurrent, stream, summing, windowed, with_state,
};
use crate::pipeline::{JournalEntry, RestoreError};

const LENGTH: usize = 4;

/// What is kept of a stream.
#[derive(Clone, Copy, Debug)]
enum Kept {
    Windows,
    States,
    /// Of whole inputs.
    StatesOnly,
}

fn bench() -> Harness {
    bench_of(Kept::Windows)
}

fn bench_of(kept: Kept) -> Harness {
    let mut stream = stream();
    stream.payload.time = Some("t".into());
    stream.max_keys = 3;
    stream.key_ttl = Duration::from_millis(60);
    stream.publish.when = When::Change;
    stream.publish.consecutive = 2;
    let (card, model) = model_of(kept);
    Harness::new(stream, card, model)
}

fn model_of(kept: Kept) -> (Card, Fake) {
    let gap = Some(Duration::from_millis(40));
    match kept {
        Kept::Windows => (card(), summing(LENGTH)),
        Kept::States => (with_state(card(), gap), recurrent(&[LENGTH, 2])),
        Kept::StatesOnly => {
            let mut card = with_state(card(), gap);
            card.window = None;
            (card, recurrent(&[2]))
        }
    }
}

fn card() -> Card {
    let mut card = labelled(LENGTH);
    let window = card.window.as_mut().unwrap();
    (window.hop, window.max_gap) = (2, Some(Duration::from_millis(40)));
    card
}

#[derive(Clone, Debug)]
enum Step {
    /// Samples of a device, each with its own time, in milliseconds before now, and a number.
    Message {
        device: u8,
        samples: Vec<(u8, u8)>,
        named: bool,
    },
    Pass(u64),
    Save {
        whole: bool,
    },
    /// The model is swapped for another of the same shape.
    Swap,
    /// The process dies; the next one starts after as many milliseconds.
    Crash {
        away: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let samples = prop::collection::vec((0..4u8, 0..3u8), 1..4);
    prop_oneof![
        20 => (0..5u8, samples, any::<bool>())
            .prop_map(|(device, samples, named)| Step::Message { device, samples, named }),
        8 => (1..30u64).prop_map(Step::Pass),
        6 => prop::bool::weighted(0.1).prop_map(|whole| Step::Save { whole }),
        1 => Just(Step::Swap),
        1 => (0..50u64).prop_map(|away| Step::Crash { away }),
    ]
}

/// What a save has brought to the disk, and the windows as they were then.
#[derive(Default)]
struct Disk {
    base: Vec<u8>,
    additions: Vec<JournalEntry>,
    whole: Vec<u8>,
    input_ids: Vec<InputId>,
}

/// The process and what it has written so far.
struct Run {
    kept: Kept,
    bench: Harness,
    disk: Disk,
    bases: u64,
    packets: u16,
    /// Of messages since the last save.
    fresh: Vec<InputId>,
}

impl Run {
    fn new(kept: Kept) -> Self {
        let (bench, disk) = (bench_of(kept), Disk::default());
        Self { kept, bench, disk, bases: 0, packets: 0, fresh: Vec::new() }
    }

    fn message(&mut self, device: u8, samples: &[(u8, u8)], named: bool) {
        let now = self.bench.clock.now().wall.0;
        let sample = |(before, n): &(u8, u8)| {
            format!(r#"{{"t":{},"a":{n},"b":{n}}}"#, now / 1000 - i64::from(*before))
        };
        let samples: Vec<String> = samples.iter().map(sample).collect();
        let payload = match self.kept {
            Kept::StatesOnly => samples[0].clone(),
            _ => format!("[{}]", samples.join(",")),
        };
        let topic = format!("sensors/d{device}/imu");
        let mut incoming = self.bench.incoming(&topic, payload.as_bytes());
        self.packets += 1;
        incoming.input_id = named.then_some(InputId {
            epoch: u64::from(self.packets / 7),
            packet: self.packets.wrapping_mul(40_503),
            content: u32::from(self.packets),
        });
        // Received a little before it is taken.
        self.bench.clock.pass(Duration::from_micros(u64::from(self.packets % 3)));
        let outcome = self.bench.pipeline.step(&incoming, &self.bench.clock, &mut Vec::new());
        assert!(outcome.samples > 0 || !outcome.rejects.is_empty());
        self.fresh.extend(incoming.input_id.filter(|_| outcome.samples > 0));
    }

    fn save(&mut self, whole: bool) {
        let (now, pipeline) = (self.bench.clock.now(), &mut self.bench.pipeline);
        if whole || !pipeline.has_base() {
            self.bases += 1;
            let base = pipeline.base(self.bases, now);
            self.disk = Disk { base, ..Disk::default() };
            self.fresh.clear();
        } else if let Some(addition) = pipeline.addition(now) {
            self.disk.additions.push(addition);
        }
        self.disk.whole = pipeline.snapshot(now);
        self.disk.input_ids.append(&mut self.fresh);
    }

    /// A process that starts on what is on the disk.
    fn restored(&self, now: Now) -> (Harness, Vec<InputId>) {
        let (mut bench, mut input_ids) = (bench_of(self.kept), Vec::new());
        let additions = self.disk.additions.iter().map(|addition| &addition.bytes[..]);
        let report = bench.pipeline.replay(&self.disk.base, additions, now, &mut input_ids);
        assert_eq!(report.unwrap().left_out, 0);
        (bench, input_ids)
    }

    fn crash(&mut self, away: u64) {
        if self.disk.base.is_empty() {
            return;
        }
        self.bench.clock.pass(Duration::from_millis(away));
        let now = self.bench.clock.now();
        // The next process counts from somewhere else.
        let other = Now { mono: Mono(now.mono.0 + 1_234_567), ..now };
        let (again, input_ids) = self.restored(other);
        let mut expected = bench_of(self.kept);
        expected.pipeline.restore(&self.disk.whole, other).unwrap();
        assert_eq!(again.pipeline.snapshot(other), expected.pipeline.snapshot(other));
        assert_eq!(input_ids, self.disk.input_ids);
        let passed = Duration::from_micros(now.mono.0);
        self.bench = self.restored(now).0;
        self.bench.clock.pass(passed);
        self.fresh.clear();
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1024, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn base_and_additions_give_the_windows_that_were_saved(
        steps in prop::collection::vec(step(), 1..120),
        kept in prop::sample::select(&[Kept::Windows, Kept::States, Kept::StatesOnly][..]),
    ) {
        let mut run = Run::new(kept);
        for step in steps {
            match step {
                Step::Message { device, samples, named } => run.message(device, &samples, named),
                Step::Pass(ms) => run.bench.clock.pass(Duration::from_millis(ms)),
                Step::Save { whole } => run.save(whole),
                Step::Swap => {
                    let (card, model) = model_of(kept);
                    run.bench.pipeline.swap(card.into(), Box::new(model)).unwrap();
                    prop_assert!(!run.bench.pipeline.has_base());
                }
                Step::Crash { away } => run.crash(away),
            }
        }
        run.crash(0);
    }
}

/// A base and three additions to it, and the windows after each.
fn saved() -> (Run, Vec<Vec<u8>>) {
    let mut run = Run::new(Kept::Windows);
    let mut after = Vec::new();
    run.message(0, &[(0, 1)], true);
    for device in 0..4 {
        run.save(false);
        after.push(run.disk.whole.clone());
        run.message(device % 2, &[(0, device), (0, 1)], true);
    }
    let after = after.iter().map(|snapshot| now(&run, snapshot)).collect();
    (run, after)
}

/// A snapshot as it is taken now.
fn now(run: &Run, snapshot: &[u8]) -> Vec<u8> {
    let (mut bench, now) = (bench(), run.bench.clock.now());
    bench.pipeline.restore(snapshot, now).unwrap();
    bench.pipeline.snapshot(now)
}

fn replayed(run: &Run, additions: &[&[u8]]) -> (usize, Vec<u8>) {
    let (mut bench, now) = (bench(), run.bench.clock.now());
    let additions = additions.iter().copied();
    let report = bench.pipeline.replay(&run.disk.base, additions, now, &mut Vec::new()).unwrap();
    (report.left_out, bench.pipeline.snapshot(now))
}

#[test]
fn an_addition_counts_only_behind_all_before_it_and_with_its_own_base() {
    let (run, after) = saved();
    let [a, b, c] = &run.disk.additions[..] else { panic!() };
    assert_eq!((a.from, a.upto, b.from, c.upto), (0, 1, 1, 3));
    assert_eq!(replayed(&run, &[&a.bytes, &b.bytes, &c.bytes]), (0, after[3].clone()));
    assert_eq!(replayed(&run, &[&a.bytes, &c.bytes]), (1, after[1].clone()));
    assert_eq!(replayed(&run, &[&b.bytes, &c.bytes]), (2, after[0].clone()));
    assert_eq!(replayed(&run, &[&a.bytes, &a.bytes]), (1, after[1].clone()));
    let (mut other, _) = saved();
    other.save(true);
    other.message(0, &[(0, 1)], false);
    other.save(false);
    assert_eq!(replayed(&run, &[&other.disk.additions[0].bytes]), (1, after[0].clone()));
}

#[test]
fn damage_in_an_addition_leaves_it_and_what_follows_out() {
    let (run, after) = saved();
    let [a, b, c] = &run.disk.additions[..] else { panic!() };
    for end in 0..b.bytes.len() {
        let found = replayed(&run, &[&a.bytes, &b.bytes[..end], &c.bytes]);
        assert_eq!(found, (2, after[1].clone()), "cut at {end}");
    }
    for place in 0..b.bytes.len() {
        let mut hurt = b.bytes.clone();
        hurt[place] ^= 0x10;
        assert_eq!(replayed(&run, &[&a.bytes, &hurt]), (1, after[1].clone()), "byte {place}");
        // With a right checksum it may be taken; what counts is that nothing panics.
        let (body, _) = hurt.split_last_chunk::<4>().unwrap();
        let forged = [body, &crc32fast::hash(body).to_le_bytes()].concat();
        replayed(&run, &[&a.bytes, &forged, &c.bytes]);
    }
}

#[test]
fn a_base_of_another_shape_is_refused_and_a_plain_snapshot_is_a_base_without_additions() {
    let (run, after) = saved();
    let mut other = Harness::new(stream(), windowed(5, 2), echo(&[5, 2]));
    let now = run.bench.clock.now();
    let refused = other.pipeline.replay(&run.disk.base, [], now, &mut Vec::new());
    assert_eq!(refused, Err(RestoreError::Shape));
    let (mut plain, a) = (bench(), &run.disk.additions[0].bytes[..]);
    let report = plain.pipeline.replay(&after[3], [a], now, &mut Vec::new()).unwrap();
    assert_eq!((report.devices, report.left_out), (2, 1));
    assert_eq!(plain.pipeline.snapshot(now), after[3]);
}

#[test]
fn what_an_addition_takes_is_known_beforehand() {
    let mut run = Run::new(Kept::Windows);
    run.save(true);
    for n in 0..200 {
        run.bench.clock.pass(Duration::from_millis(2));
        run.message(n % 3, &[(1, n)], true);
    }
    run.save(false);
    let (stream, card, model) = (stream(), card(), summing(LENGTH));
    let expected =
        crate::pipeline::journal_sample_size(&stream, &card, &model.inputs, &model.outputs);
    let (bytes, expected) = (run.disk.additions[0].bytes.len() as u64, 200 * expected.unwrap());
    // The publish rules' memory comes to every other sample.
    assert!((expected * 3 / 4..expected * 2).contains(&bytes), "{bytes} for {expected}");
}
