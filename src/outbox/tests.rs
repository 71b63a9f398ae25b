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

#[test]
fn live_publishes_at_once_and_releases_the_input_when_the_broker_has_it() {
    let mut bench = Bench::live();
    let (input, actions) = bench.push_for_input("a");
    assert_eq!(published(&actions), [(1, false)]);
    assert_eq!(bench.on(Event::Sent(Seq(1))), [Action::Release(input)]);
    assert!(bench.outbox.is_settled());
}

#[test]
fn live_writes_nothing_to_disk_however_long_it_lasts() {
    let mut bench = Bench::live();
    for seq in 1..=1000 {
        assert_eq!(published(&bench.push(0, "a")), [(seq, false)]);
        assert_eq!(bench.on(Event::Sent(Seq(seq))), []);
        assert_eq!(bench.wait(Duration::from_secs(1)), []);
    }
}

#[test]
fn live_holds_back_what_exceeds_the_window() {
    let mut bench = Bench::live();
    let sent: usize = (0..10).map(|_| published(&bench.push(0, "a")).len()).sum();
    assert_eq!(sent, WINDOW);
    assert_eq!(published(&bench.on(Event::Sent(Seq(1)))), [(4, false)]);
}

#[test]
fn offline_stores_a_group_when_it_is_full() {
    let mut bench = Bench::opened(settings());
    for _ in 1..GROUP {
        assert_eq!(bench.push(0, "a"), []);
    }
    assert_eq!(group(&bench.push(0, "a")), [1, 2, 3, 4]);
}

#[test]
fn offline_stores_a_group_when_its_oldest_has_waited_long_enough() {
    let mut bench = Bench::opened(settings());
    bench.push(0, "a");
    assert_eq!(bench.wait(Duration::from_millis(499)), []);
    assert_eq!(group(&bench.wait(Duration::from_millis(1))), [1]);
}

#[test]
fn offline_releases_an_input_when_its_result_is_durable_not_before() {
    let mut bench = Bench::opened(settings());
    let (input, actions) = bench.push_for_input("a");
    assert_eq!(actions, []);
    assert_eq!(group(&bench.wait(Duration::from_secs(1))), [1]);
    assert_eq!(bench.stored(), [Action::Release(input)]);
}

#[test]
fn offline_has_one_group_under_way_and_the_next_takes_what_came_meanwhile() {
    let mut bench = Bench::opened(settings());
    for _ in 1..GROUP {
        bench.push(0, "a");
    }
    assert_eq!(group(&bench.push(0, "a")).len(), GROUP);
    for _ in 0..7 {
        assert_eq!(bench.push(0, "a"), []);
    }
    assert_eq!(group(&bench.stored()), [5, 6, 7, 8, 9, 10, 11]);
}

#[test]
fn offline_to_live_without_disk_when_the_outage_was_short() {
    let mut bench = Bench::opened(settings());
    bench.push(0, "a");
    assert_eq!(published(&bench.on(Event::LinkUp)), [(1, false)]);
    assert_eq!(bench.outbox.mode(), Mode::Live);
}

#[test]
fn offline_to_backlog_replays_the_disk_and_removes_on_acknowledgement_only() {
    let mut bench = Bench::new(settings());
    let records = 2;
    assert_eq!(bench.on(Event::Opened(Opened { next: Seq(9), records })), []);
    let load = [Action::Load { after: None, limit: WINDOW + GROUP }];
    assert_eq!(bench.on(Event::LinkUp), load);
    assert_eq!(bench.outbox.mode(), Mode::Backlog);
    let actions = bench.loaded(vec![record(7, "a"), record(8, "a")], true);
    assert_eq!(published(&actions), [(7, true), (8, true)]);
    assert_eq!(bench.on(Event::Sent(Seq(7))), []);
    assert_eq!(bench.wait(Duration::from_millis(500)), [Action::Remove(vec![Seq(7)])]);
    assert_eq!(bench.outbox.mode(), Mode::Live);
}

#[test]
fn backlog_lets_a_topic_pass_that_has_nothing_waiting() {
    let mut bench = Bench::opened(settings());
    bench.push(0, "a");
    bench.wait(Duration::from_secs(1));
    bench.stored();
    assert_eq!(bench.on(Event::LinkUp), [Action::Load { after: None, limit: WINDOW + GROUP }]);
    assert_eq!(published(&bench.push(0, "a")), [], "the first of its topic is still on disk");
    assert_eq!(published(&bench.push(0, "b")), [(3, false)]);
    let actions = bench.loaded(vec![record(1, "a")], true);
    assert_eq!(published(&actions), [(1, true), (2, false)]);
}

#[test]
fn backlog_lets_nothing_pass_when_told_to_keep_the_order() {
    let mut bench = Bench::opened(Settings { in_order: true, ..settings() });
    bench.push(0, "a");
    bench.wait(Duration::from_secs(1));
    bench.stored();
    bench.on(Event::LinkUp);
    assert_eq!(published(&bench.push(0, "b")), []);
    let actions = bench.loaded(vec![record(1, "a")], true);
    assert_eq!(published(&actions), [(1, true), (2, false)]);
}

#[test]
fn backlog_of_unknown_content_lets_nothing_pass() {
    let mut bench = Bench::new(settings());
    assert_eq!(bench.on(Event::LinkUp), []);
    assert_eq!(bench.push(0, "a"), [], "the store is still opening");
    assert_eq!(published(&bench.on(Event::NoStore)), [(1, false)]);
}

#[test]
fn backlog_keeps_the_drain_rate() {
    let mut bench = Bench::new(Settings { drain_rate: 10, in_flight: 100, ..settings() });
    bench.on(Event::Opened(Opened { next: Seq(99), records: 40 }));
    bench.on(Event::LinkUp);
    let waiting = (1..=40).map(|seq| record(seq, "a")).collect();
    let mut replayed = published(&bench.loaded(waiting, true)).len();
    for _ in 0..20 {
        replayed += published(&bench.wait(Duration::from_millis(100))).len();
    }
    assert!((20..=22).contains(&replayed), "{replayed} replayed in two seconds at 10 a second");
}

#[test]
fn backlog_in_a_hurry_goes_at_once_until_the_link_is_down() {
    let mut bench = Bench::new(Settings { drain_rate: 10, in_flight: 100, ..settings() });
    bench.on(Event::Opened(Opened { next: Seq(99), records: 40 }));
    bench.on(Event::LinkUp);
    let waiting: Vec<_> = (1..=40).map(|seq| record(seq, "a")).collect();
    let at_the_rate = published(&bench.loaded(waiting.clone(), true)).len();
    assert_eq!(at_the_rate + published(&bench.on(Event::Hurry)).len(), 40);
    bench.on(Event::LinkDown);
    bench.on(Event::LinkUp);
    let again = published(&bench.loaded(waiting, true)).len();
    assert!(again < 5, "{again} at once at 10 a second");
}

#[test]
fn link_down_keeps_what_was_in_flight_and_link_up_sends_it_again_in_order() {
    let mut bench = Bench::live();
    for topic in ["a", "b", "a"] {
        bench.push(0, topic);
    }
    bench.on(Event::Sent(Seq(2)));
    assert_eq!(bench.on(Event::LinkDown), []);
    assert_eq!(bench.on(Event::Sent(Seq(1))), [], "of a connection that is gone");
    bench.push(0, "b");
    let actions = bench.on(Event::LinkUp);
    assert_eq!(published(&actions), [(1, false), (3, false), (4, false)]);
}

#[test]
fn link_down_for_long_stores_what_was_in_flight() {
    let mut bench = Bench::live();
    let (input, _) = bench.push_for_input("a");
    bench.now = bench.now.plus(Duration::from_secs(60));
    assert_eq!(bench.on(Event::LinkDown), []);
    assert_eq!(group(&bench.wait(Duration::from_millis(500))), [1]);
    assert_eq!(bench.stored(), [Action::Release(input)]);
}

#[test]
fn link_down_while_loading_forgets_the_answer_and_starts_over() {
    let mut bench = Bench::new(settings());
    bench.on(Event::Opened(Opened { next: Seq(9), records: 1 }));
    bench.on(Event::LinkUp);
    bench.on(Event::LinkDown);
    assert_eq!(bench.on(Event::LinkUp), [], "the store still owes an answer");
    let load = [Action::Load { after: None, limit: WINDOW + GROUP }];
    assert_eq!(bench.loaded(vec![record(7, "a")], true), load);
    assert_eq!(published(&bench.loaded(vec![record(7, "a")], true)), [(7, true)]);
}

#[test]
fn link_down_with_replays_in_flight_lets_nothing_of_their_topics_pass() {
    let mut bench = Bench::new(settings());
    bench.on(Event::Opened(Opened { next: Seq(9), records: 1 }));
    bench.on(Event::LinkUp);
    bench.loaded(vec![record(7, "a")], true);
    assert_eq!(bench.outbox.mode(), Mode::Live);
    bench.on(Event::LinkDown);
    bench.on(Event::LinkUp);
    assert_eq!(published(&bench.push(0, "a")), [], "7 goes before it");
    let actions = bench.loaded(vec![record(7, "a")], true);
    assert_eq!(published(&actions), [(7, true), (9, false)]);
}

#[test]
fn live_to_backlog_when_the_broker_takes_less_than_comes() {
    let mut bench = Bench::live();
    let mut actions = Vec::new();
    for _ in 0..WINDOW + MEMORY + 1 {
        actions = bench.push(0, "a");
    }
    assert_eq!(bench.outbox.mode(), Mode::Backlog);
    assert_eq!(group(&actions).len(), GROUP * 4);
}

#[test]
fn a_failed_group_is_kept_and_written_again() {
    let mut bench = Bench::opened(settings());
    bench.push(0, "a");
    assert_eq!(group(&bench.wait(Duration::from_secs(1))), [1]);
    assert_eq!(bench.on(Event::StoreFailed), []);
    assert_eq!(bench.outbox.unsafe_records(), 1);
    assert_eq!(group(&bench.wait(RETRY)), [1]);
}

#[test]
fn memory_that_is_full_gives_up_the_oldest_of_the_least_priority() {
    let mut bench = Bench::new(settings());
    bench.on(Event::NoStore);
    bench.push(1, "alarm");
    for _ in 1..MEMORY {
        assert_eq!(bench.push(0, "a"), []);
    }
    let stream = StreamName::parse("motion").unwrap();
    let lost = [Action::Lost { stream, loss: Loss::MemoryFull, count: 1 }];
    assert_eq!(bench.push(0, "a"), lost);
    assert_eq!(published(&bench.on(Event::LinkUp)), [(1, false), (3, false), (4, false)]);
}

#[test]
fn memory_never_gives_up_what_an_input_waits_for() {
    let mut bench = Bench::new(settings());
    bench.on(Event::NoStore);
    for _ in 0..MEMORY * 2 {
        let (_, actions) = bench.push_for_input("a");
        assert_eq!(actions, []);
    }
    assert_eq!(bench.outbox.unsafe_records(), MEMORY * 2);
}

#[test]
fn refused_for_ever_is_counted_and_blocks_nothing() {
    let mut bench = Bench::live();
    let (input, _) = bench.push_for_input("a");
    let refusal = Refusal::NotAuthorized;
    let stream = StreamName::parse("motion").unwrap();
    let lost = Action::Lost { stream, loss: Loss::Refused(refusal), count: 1 };
    let actions = bench.on(Event::Refused { seq: Seq(1), refusal });
    assert_eq!(actions, [lost, Action::Release(input)]);
    assert_eq!(published(&bench.push(0, "a")), [(2, false)]);
}

#[test]
fn refused_for_now_is_tried_three_times() {
    let mut bench = Bench::live();
    bench.push(0, "a");
    let refusal = Refusal::QuotaExceeded;
    for _ in 1..3 {
        assert_eq!(bench.on(Event::Refused { seq: Seq(1), refusal }), []);
        assert_eq!(published(&bench.wait(RETRY)), [(1, false)]);
    }
    let actions = bench.on(Event::Refused { seq: Seq(1), refusal });
    assert!(matches!(actions[..], [Action::Lost { count: 1, .. }]), "{actions:?}");
    assert!(bench.outbox.is_settled());
}

#[test]
fn stop_stores_everything_and_is_settled_when_it_is_durable() {
    let mut bench = Bench::live();
    for _ in 0..WINDOW + 1 {
        bench.push(0, "a");
    }
    assert_eq!(group(&bench.on(Event::Stop)), [1, 2, 3, 4]);
    assert!(!bench.outbox.is_settled());
    assert_eq!(bench.stored(), []);
    assert!(bench.outbox.is_settled());
}

#[test]
fn stop_removes_what_the_broker_acknowledges_late() {
    let mut bench = Bench::live();
    let (input, _) = bench.push_for_input("a");
    assert_eq!(group(&bench.on(Event::Stop)), [1]);
    let actions = bench.on(Event::Sent(Seq(1)));
    assert_eq!(actions, [Action::Release(input), Action::Remove(vec![Seq(1)])]);
    assert_eq!(bench.stored(), []);
}

#[test]
fn results_from_before_the_store_opened_are_numbered_behind_its_own() {
    let mut bench = Bench::new(settings());
    bench.push(0, "a");
    bench.on(Event::Opened(Opened { next: Seq(100), records: 1 }));
    assert_eq!(group(&bench.wait(Duration::from_secs(1))), [100]);
}
