use super::*;
use crate::message::Captures;

fn one(filter: &str) -> Subscription {
    Subscription { streams: Vec::new(), ..Subscription::of_stream(0, filter, Qos::AtLeastOnce) }
}

fn set(filters: &[&str]) -> Subscriptions {
    let wanted = filters.iter().map(|filter| one(filter)).collect();
    Subscriptions::new(wanted, Vec::new(), (Duration::from_secs(1), Duration::from_secs(60)))
}

fn due(set: &mut Subscriptions, now: Instant) -> Vec<String> {
    set.next_due(now).into_iter().map(|requested| requested.subscription.filter).collect()
}

const YES: SubscribeReply = SubscribeReply::Granted(Qos::AtLeastOnce);

#[test]
fn a_session_keeps_what_was_granted_and_nothing_else() {
    let now = Instant::now();
    let mut set = set(&["a", "b"]);
    set.connected(true, true);
    assert_eq!(due(&mut set, now), ["a", "b"], "an earlier process may have requested for others");
    assert!(!set.is_complete());
    assert!(set.next_due(now).is_empty(), "asked once");
    set.written(1);
    assert!(set.on_replies(1, &[YES, YES], now, 0).is_empty());
    assert!(set.is_complete());
    set.connected(true, true);
    assert!(set.next_due(now).is_empty());
    set.connected(false, true);
    assert_eq!(due(&mut set, now), ["a", "b"]);
    set.connected(true, true);
    assert_eq!(due(&mut set, now), ["a", "b"], "not on_replies before the connection ended");
}

#[test]
fn a_refused_filter_is_reported_and_requested_again_with_backoff() {
    let mut now = Instant::now();
    let mut set = set(&["a", "b"]);
    for wait in [1, 2, 4] {
        assert!(due(&mut set, now).contains(&"b".to_owned()));
        set.written(5);
        let replies = [YES, SubscribeReply::Refused("not authorized".into())];
        let replies = if wait == 1 { &replies[..] } else { &replies[1..] };
        let problem = set.on_replies(5, replies, now, u64::MAX);
        let retry_in = Some(Duration::from_secs(wait));
        let (filter, reason) = ("b".into(), "not authorized".into());
        let refused = NotGranted { filter, streams: Vec::new(), reason };
        assert_eq!(problem, [Problem { filter: refused, retry_in }]);
        assert!(set.next_due(now).is_empty());
        now = set.next_retry().unwrap();
    }
}

#[test]
fn a_short_reply_and_a_lower_grant_are_problems() {
    let now = Instant::now();
    let mut set = set(&["a", "b"]);
    set.next_due(now);
    set.written(5);
    let problem = set.on_replies(5, &[SubscribeReply::Granted(Qos::AtMostOnce)], now, 0);
    assert_eq!((problem[0].filter.filter.as_str(), problem[0].retry_in), ("a", None));
    assert_eq!(
        (problem[1].filter.filter.as_str(), problem[1].retry_in),
        ("b", Some(Duration::ZERO))
    );
    assert!(set.on_replies(99, &[YES], now, 0).is_empty(), "nobody requested for 99");
}

#[test]
fn a_new_set_requests_what_is_new_and_unsubscribes_the_rest() {
    let now = Instant::now();
    let mut set = set(&["a", "b", "b"]);
    set.next_due(now);
    set.written(1);
    set.on_replies(1, &[YES, YES], now, 0);
    set.replace(vec![one("b"), one("c")]);
    assert_eq!(due(&mut set, now), ["c"]);
    assert_eq!((set.next_unwanted(), set.next_unwanted()), (Some("a".into()), None));
}

#[test]
fn a_pulled_topic_is_not_waited_for_and_is_requested_again_after_a_change() {
    let now = Instant::now();
    let mut set = set(&["a"]);
    set.replace(vec![one("a"), Subscription::pulled("chunk")]);
    set.next_due(now);
    set.written(1);
    set.on_replies(1, &[YES, SubscribeReply::Refused("not authorized".into())], now, 0);
    assert!(set.is_complete());
    set.replace(vec![one("a")]);
    assert_eq!(set.next_unwanted().as_deref(), Some("chunk"));
    set.replace(vec![one("a"), Subscription::pulled("chunk")]);
    assert_eq!(due(&mut set, now), ["chunk"]);
}

#[test]
fn many_filters_go_in_packets_of_bounded_size() {
    let names: Vec<String> = (0..MAX_FILTERS_PER_SUBSCRIBE + 1).map(|i| i.to_string()).collect();
    let mut set = set(&names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(set.next_due(Instant::now()).len(), MAX_FILTERS_PER_SUBSCRIBE);
    assert_eq!(set.next_due(Instant::now()).len(), 1);
}

/// A SUBACK for each packet that is due, all granted.
fn grant_all(set: &mut Subscriptions, now: Instant) -> Vec<Vec<String>> {
    let mut packets = Vec::new();
    for pkid in 1.. {
        let requested = due(set, now);
        if requested.is_empty() {
            break;
        }
        set.written(pkid);
        assert!(set.on_replies(pkid, &vec![YES; requested.len()], now, 0).is_empty());
        packets.push(requested);
    }
    packets
}

fn of_streams(filters: &[&str]) -> Subscriptions {
    let wanted = filters.iter().enumerate();
    let wanted = wanted.map(|(stream, it)| Subscription::of_stream(stream, *it, Qos::AtLeastOnce));
    Subscriptions::new(wanted.collect(), Vec::new(), (Duration::ZERO, Duration::ZERO))
}

#[test]
fn a_covered_filter_is_unsubscribed_once_its_cover_is_granted() {
    let now = Instant::now();
    let mut set = of_streams(&["t/press-7", "t/+"]);
    set.connected(true, true);
    assert_eq!(set.next_unwanted(), None, "its messages would be missed");
    assert_eq!(grant_all(&mut set, now), [["t/+"]]);
    assert_eq!(set.next_unwanted().as_deref(), Some("t/press-7"), "an earlier process had it");
    assert_eq!(set.next_unwanted(), None);
}

#[test]
fn filters_of_earlier_processes_are_unsubscribed() {
    let previous = ["old/x".to_owned(), "a".to_owned()].to_vec();
    for session in [true, false] {
        let mut set = Subscriptions::new(
            vec![one("a")],
            previous.clone(),
            (Duration::from_secs(1), Duration::from_secs(60)),
        );
        set.connected(session, true);
        let left: Vec<String> = std::iter::from_fn(|| set.next_unwanted()).collect();
        assert_eq!(left, if session { vec!["old/x"] } else { vec![] });
    }
}

#[test]
fn a_filter_with_an_identifier_has_its_own_packet_and_a_broker_without_gets_the_join() {
    let now = Instant::now();
    let mut set = of_streams(&["c", "a/+", "+/b", "d"]);
    set.connected(false, true);
    let packets = grant_all(&mut set, now);
    assert_eq!(packets, [vec!["c", "d"], vec!["a/+"], vec!["+/b"]]);
    set.connected(false, false);
    assert_eq!(grant_all(&mut set, now), [["c", "+/+", "d"]]);
    assert_eq!(set.next_unwanted(), None, "without the session the broker has none");
}

#[test]
fn a_broker_that_refuses_identifiers_gets_none() {
    let now = Instant::now();
    let mut set = of_streams(&["a/+", "+/b"]);
    set.connected(false, true);
    assert_eq!(due(&mut set, now), ["a/+"]);
    set.written(1);
    assert!(set.on_replies(1, &[SubscribeReply::IdRefused], now, 0).is_empty());
    assert_eq!(grant_all(&mut set, now), [["+/+"]]);
    set.connected(true, true);
    assert_eq!(grant_all(&mut set, now), Vec::<Vec<String>>::new(), "it is remembered");
}

#[test]
fn a_refused_filter_covers_no_other() {
    let now = Instant::now();
    let mut set = of_streams(&["t/+", "t/press-7"]);
    set.connected(false, true);
    assert_eq!(due(&mut set, now), ["t/+"]);
    set.written(1);
    let problem = set.on_replies(1, &[SubscribeReply::Refused("not authorized".into())], now, 0);
    assert_eq!(
        (problem[0].filter.filter.as_str(), &problem[0].filter.streams[..]),
        ("t/+", &[0, 1][..])
    );
    assert_eq!(due(&mut set, now), ["t/press-7", "t/+"]);
    set.written(2);
    set.on_replies(2, &[YES, SubscribeReply::Refused("not authorized".into())], now, 0);
    assert!(set.is_refused("t/+") && !set.is_refused("t/press-7"));
    // Once it is granted, the other comes with it again.
    assert_eq!(due(&mut set, now), ["t/+"]);
    set.written(3);
    set.on_replies(3, &[YES], now, 0);
    assert_eq!(set.next_unwanted().as_deref(), Some("t/press-7"));
    assert!(set.is_complete() && due(&mut set, now).is_empty());
}

#[test]
fn a_copy_is_for_the_streams_of_its_own_subscription() {
    let now = Instant::now();
    let mut set = of_streams(&["a/+", "+/b"]);
    set.connected(false, true);
    grant_all(&mut set, now);
    let ids: Vec<usize> = set.planned.iter().filter_map(|(planned, _)| planned.id).collect();
    let mut take = |named: &[usize], topic: &str, retained| {
        let streams = if topic == "a/b" { 0..2 } else { 0..1 };
        let deliver = |stream| Delivery { stream, captures: Captures::default() };
        let mut deliveries: Vec<Delivery> = streams.map(deliver).collect();
        let payload = &b"1"[..];
        let message = ReceivedMessage { topic, payload, retained, is_request: false };
        let copy = set.remove_duplicates(message, named, &mut deliveries);
        assert_eq!(copy, deliveries.is_empty());
        deliveries.iter().map(|delivery| delivery.stream).collect::<Vec<_>>()
    };
    assert_eq!(take(&ids[..1], "a/x", false), [0], "only one matches");
    assert_eq!(take(&ids[1..], "a/b", true), [1], "each has the retained message");
    assert_eq!(take(&ids[..1], "a/b", false), [0, 1]);
    assert_eq!(take(&ids[1..], "a/b", false), [0; 0]);
    assert_eq!(take(&ids[..1], "a/b", false), [0]);
    assert_eq!(take(&ids[1..], "a/b", false), [1]);
    assert_eq!(take(&ids, "a/b", false), [0, 1]);
    assert_eq!(take(&[], "a/b", false), [0, 1], "of a previous session");
}
