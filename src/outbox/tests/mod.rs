//! The machine, one event at a time.

mod delivery;
mod limits;

use std::time::Duration;

use super::*;
use crate::ids::StreamName;
use crate::message::{AckToken, Outgoing, Qos};

const GROUP: usize = 4;
const WINDOW: usize = 3;
const MEMORY: usize = 16;

fn settings() -> Settings {
    let stream = |name, priority| StreamPolicy { name: StreamName::parse(name).unwrap(), priority };
    Settings {
        in_flight: WINDOW,
        memory_records: MEMORY,
        memory_bytes: 1 << 20,
        drain_rate: 0,
        in_order: false,
        group_records: GROUP,
        group_delay: Duration::from_millis(500),
        streams: vec![stream("motion", 0), stream("alarm", 9)],
    }
}

/// An outbox with a hand on its clock.
struct Bench {
    outbox: Outbox,
    now: Mono,
    inputs: u64,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        Self { outbox: Outbox::new(settings), now: Mono(1_000_000), inputs: 0 }
    }

    /// With an empty store.
    fn opened(settings: Settings) -> Self {
        let mut bench = Self::new(settings);
        assert_eq!(bench.on(Event::Opened(Opened::default())), []);
        bench
    }

    fn live() -> Self {
        let mut bench = Self::opened(settings());
        assert_eq!(bench.on(Event::LinkUp), []);
        assert_eq!(bench.outbox.mode(), Mode::Live);
        bench
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.outbox.on(self.now, event, &mut actions);
        if let Some(due) = self.outbox.deadline() {
            assert!(due > self.now, "a deadline that has passed would spin the shell");
        }
        actions
    }

    fn push(&mut self, stream: usize, topic: &str) -> Vec<Action> {
        self.on(Event::Push(ResultMessage { stream, input: None, message: message(topic) }))
    }

    /// A result that an input waits for.
    fn push_for_input(&mut self, topic: &str) -> (AckToken, Vec<Action>) {
        self.inputs += 1;
        let input = AckToken(self.inputs);
        let finished = ResultMessage { stream: 0, input: Some(input), message: message(topic) };
        (input, self.on(Event::Push(finished)))
    }

    fn wait(&mut self, span: Duration) -> Vec<Action> {
        self.now = self.now.plus(span);
        self.on(Event::Tick)
    }

    fn stored(&mut self) -> Vec<Action> {
        self.on(Event::Stored { evicted: Vec::new() })
    }

    fn loaded(&mut self, records: Vec<Record>, end: bool) -> Vec<Action> {
        let through = records.first().map(|record| record.seq);
        self.on(Event::Loaded { records, through, end })
    }
}

fn message(topic: &str) -> Outgoing {
    Outgoing {
        topic: topic.into(),
        payload: "{}".into(),
        content_type: "application/json".into(),
        properties: Vec::new(),
        correlation: None,
        retain: false,
        qos: Qos::AtLeastOnce,
    }
}

fn record(seq: u64, topic: &str) -> Record {
    let stream = StreamName::parse("motion").unwrap();
    Record { seq: Seq(seq), stream, priority: 0, message: Arc::new(message(topic)) }
}

/// The published numbers, and whether each was a replay.
fn published(actions: &[Action]) -> Vec<(u64, bool)> {
    let publish = |action: &Action| match action {
        Action::Publish { seq, replayed, .. } => Some((seq.0, *replayed)),
        _ => None,
    };
    actions.iter().filter_map(publish).collect()
}

fn group(actions: &[Action]) -> Vec<u64> {
    let [Action::Store(records)] = actions else { panic!("not one group: {actions:?}") };
    records.iter().map(|record| record.seq.0).collect()
}
