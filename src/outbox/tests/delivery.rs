//! Live, offline and backlog, and the changes between them.

use super::*;

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
    assert_eq!(published(&bench.on(Event::StoreUnavailable)), [(1, false)]);
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
    assert_eq!(at_the_rate + published(&bench.on(Event::DrainNow)).len(), 40);
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
