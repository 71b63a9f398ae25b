//! Limits, failures, refusals and the stop.

use super::*;

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
    assert_eq!(bench.outbox.volatile_records(), 1);
    assert_eq!(group(&bench.wait(RETRY_DELAY)), [1]);
}

#[test]
fn memory_that_is_full_gives_up_the_oldest_of_the_least_priority() {
    let mut bench = Bench::new(settings());
    bench.on(Event::StoreUnavailable);
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
    bench.on(Event::StoreUnavailable);
    for _ in 0..MEMORY * 2 {
        let (_, actions) = bench.push_for_input("a");
        assert_eq!(actions, []);
    }
    assert_eq!(bench.outbox.volatile_records(), MEMORY * 2);
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
        assert_eq!(published(&bench.wait(RETRY_DELAY)), [(1, false)]);
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
