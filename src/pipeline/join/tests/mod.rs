//! Joined values: what samples they give, and when.

mod oracle;

use std::time::Duration;

use proptest::prelude::*;

use super::grid::Grid;
use super::plan::{Every, JoinPlan};
use super::rows::{ChannelValues, JoinedRows};
use super::state::JoinState;
use crate::bundle::card::{Card, OutputKind};
use crate::clock::{Clock, Mono, Now};
use crate::config::{AlignMethod, Config, Stream};
use crate::message::InputId;
use crate::pipeline::tests::fixture::{Harness, card, echo, prediction, windowed};

/// A stream of the channels `a` and `b` with these options of its payload.
fn stream(options: &str, payload: &str) -> Stream {
    let text = format!(
        "[[stream]]\nname = \"motion\"\nmodel = \"motion\"\n{options}\nmax_ahead = \"365d\"\n\
         payload = {{ format = \"json\", {payload} }}\n"
    );
    Config::parse(&text).unwrap().streams.remove(0)
}

fn by_channel(join: &str) -> Stream {
    let payload = format!("time = \"t\", join = {{ by = \"channel\", hold = \"10s\"{join} }}");
    stream("topic = \"heat/{device}/{channel}\"", &payload)
}

fn whole() -> Card {
    card(None, &["a", "b"], OutputKind::Raw)
}

/// Samples without a window.
fn samples(stream: Stream) -> Harness {
    Harness::new(stream, whole(), echo(&[2]))
}

/// 2026-11-22T10:00:00Z, in milliseconds.
const START: i64 = 1_795_341_600_000;

/// What a value gives: the milliseconds of each sample, and its numbers.
fn take(bench: &mut Harness, channel: &str, ms: i64, value: f64) -> Vec<(i64, Vec<f64>)> {
    let payload = format!(r#"{{"t":{},"value":{value}}}"#, START + ms);
    sent(bench, &format!("heat/boiler/{channel}"), &payload)
}

fn sent(bench: &mut Harness, topic: &str, payload: &str) -> Vec<(i64, Vec<f64>)> {
    let (_, out) = bench.step(topic, payload);
    let of = |message: &crate::message::Outgoing| {
        let told = prediction(&message.payload);
        let time = crate::clock::Timestamp::parse(told["time"].as_str().unwrap()).unwrap();
        let numbers = serde_json::from_value(told["tensor"]["data"].clone()).unwrap();
        (time.0 / 1000 - START, numbers)
    };
    out.iter().map(|result| of(&result.message)).collect()
}

/// What a value is rejected for.
fn refused(bench: &mut Harness, channel: &str, ms: i64) -> Option<&'static str> {
    let payload = format!(r#"{{"t":{},"value":0}}"#, START + ms);
    let (outcome, _) = bench.step(&format!("heat/boiler/{channel}"), &payload);
    outcome.rejects.first().map(|found| found.reject.code())
}

#[test]
fn each_value_gives_a_sample_once_every_channel_has_one() {
    let mut bench = samples(by_channel(""));
    assert_eq!(take(&mut bench, "a", 0, 1.0), []);
    assert_eq!(take(&mut bench, "b", 5, 2.0), [(5, vec![1.0, 2.0])]);
    assert_eq!(take(&mut bench, "a", 7, 3.0), [(7, vec![3.0, 2.0])]);
    assert_eq!(take(&mut bench, "a", 7, 4.0), [(7, vec![4.0, 2.0])], "the same time");
    assert_eq!(sent(&mut bench, "heat/tank/a", r#"{"t":1795341600000,"value":1}"#), []);
    assert_eq!(bench.pipeline.devices(), 2);
}

#[test]
fn with_all_each_channel_counts_once() {
    let mut bench = samples(by_channel(", every = \"all\""));
    assert_eq!(take(&mut bench, "a", 0, 1.0), []);
    assert_eq!(take(&mut bench, "a", 1, 2.0), []);
    assert_eq!(take(&mut bench, "b", 2, 3.0), [(2, vec![2.0, 3.0])]);
    assert_eq!(take(&mut bench, "b", 3, 4.0), []);
    assert_eq!(take(&mut bench, "a", 4, 5.0), [(4, vec![5.0, 4.0])]);
}

#[test]
fn an_old_value_is_missing_and_counted() {
    let missing = |bench: &mut Harness, channel: &str, ms: i64| {
        let payload = format!(r#"{{"t":{},"value":1}}"#, START + ms);
        let (outcome, _) = bench.step(&format!("heat/boiler/{channel}"), &payload);
        let join = outcome.join.unwrap();
        (outcome.runs, join.values, join.unused, join.missing)
    };
    let mut bench = samples(by_channel(""));
    assert_eq!(missing(&mut bench, "a", 0), (0, 1, 0, vec![("b".to_owned(), 1)]));
    assert_eq!(missing(&mut bench, "b", 10_000), (1, 1, 0, vec![]));
    assert_eq!(missing(&mut bench, "b", 10_001), (0, 1, 0, vec![("a".to_owned(), 1)]));
    assert_eq!(missing(&mut bench, "rssi", 10_001), (0, 0, 1, vec![]), "no channel of the model");
    assert_eq!(missing(&mut bench, "a", 10_002), (1, 1, 0, vec![]));
    let mut bench = samples(by_channel(", every = \"all\""));
    assert_eq!(missing(&mut bench, "a", 0), (0, 1, 0, vec![]), "it waits");
    assert_eq!(missing(&mut bench, "a", 0), (0, 1, 0, vec![("b".to_owned(), 1)]), "in vain");
    assert_eq!(missing(&mut bench, "b", 10_001), (0, 1, 0, vec![("a".to_owned(), 1)]));
    assert_eq!(missing(&mut bench, "a", 10_002), (1, 1, 0, vec![]));
}

#[test]
fn an_interval_gives_samples_at_equal_distances() {
    let mut bench = samples(by_channel(", every = \"500ms\""));
    assert_eq!(take(&mut bench, "a", 100, 1.0), []);
    assert_eq!(take(&mut bench, "b", 600, 2.0), [], "at 500 b had none");
    let all = [(1000, vec![1.0, 2.0]), (1500, vec![1.0, 2.0])];
    assert_eq!(take(&mut bench, "a", 1501, 3.0), all);
    assert_eq!(take(&mut bench, "b", 2000, 4.0), [(2000, vec![3.0, 4.0])], "at the very time");
    assert_eq!(refused(&mut bench, "a", 1999), Some("out-of-order"));
    let held = take(&mut bench, "a", 3_600_000, 5.0);
    assert_eq!(held.len(), 19, "a is held until 11.5 s, b until 12 s");
    assert_eq!(held.last().unwrap(), &(11_500, vec![3.0, 4.0]));
}

#[test]
fn values_are_aligned_with_those_that_come_later() {
    let align = |method: &str| {
        let payload = format!(
            "time = \"t\", join = {{ by = \"channel\", hold = \"1s\" }}, \
             align = {{ grid = \"100ms\", method = \"{method}\", max_lag = \"300ms\" }}"
        );
        samples(stream("topic = \"heat/{device}/{channel}\"", &payload))
    };
    let mut bench = align("previous");
    assert_eq!(take(&mut bench, "a", 50, 1.0), []);
    assert_eq!(take(&mut bench, "a", 250, 3.0), []);
    assert_eq!(take(&mut bench, "b", 90, 5.0), [], "no point is passed by both");
    let both = [(100, vec![1.0, 5.0]), (200, vec![1.0, 5.0])];
    assert_eq!(take(&mut bench, "b", 210, 6.0), both);
    assert_eq!(take(&mut bench, "a", 699, 4.0), [(300, vec![3.0, 6.0])], "300 ms are over");
    assert_eq!(refused(&mut bench, "b", 300), Some("out-of-order"));
    assert_eq!(take(&mut bench, "b", 301, 7.0), []);
    let mut bench = align("linear");
    assert_eq!(take(&mut bench, "a", 0, 0.0), []);
    assert_eq!(take(&mut bench, "b", 50, 5.0), []);
    assert_eq!(take(&mut bench, "a", 200, 2.0), []);
    assert_eq!(take(&mut bench, "b", 150, 15.0), [(100, vec![1.0, 10.0])]);
    let (outcome, _) = bench.step("heat/boiler/a", r#"{"t":1795341600500,"value":1}"#);
    assert_eq!((outcome.runs, outcome.join.unwrap().missing), (0, vec![("b".to_owned(), 1)]));
}

#[test]
fn windows_are_made_of_joined_samples_and_restart_where_one_is_missing() {
    let mut bench = Harness::new(by_channel(", every = \"1s\""), windowed(2, 1), echo(&[2, 2]));
    take(&mut bench, "a", 0, 1.0);
    take(&mut bench, "b", 1, 2.0);
    assert_eq!(take(&mut bench, "a", 1000, 3.0), []);
    assert_eq!(take(&mut bench, "b", 2000, 4.0), [(2000, vec![3.0, 2.0, 3.0, 4.0])]);
    let (outcome, _) = bench.step("heat/boiler/a", r#"{"t":1795341640000,"value":1}"#);
    assert_eq!((outcome.runs, outcome.gaps), (9, 0), "held until 11 s");
    let (outcome, _) = bench.step("heat/boiler/b", r#"{"t":1795341640000,"value":1}"#);
    assert_eq!(outcome.runs, 0);
    let (outcome, _) = bench.step("heat/boiler/b", r#"{"t":1795341641000,"value":1}"#);
    assert_eq!((outcome.runs, outcome.gaps), (0, 0), "the window had no sample that is missed");
    let (outcome, _) = bench.step("heat/boiler/b", r#"{"t":1795341642000,"value":1}"#);
    assert_eq!(outcome.runs, 1);
}

#[test]
fn a_clock_that_was_set_back_starts_the_device_again() {
    let mut bench = samples(by_channel(""));
    take(&mut bench, "a", 100_000, 1.0);
    take(&mut bench, "b", 100_000, 2.0);
    assert_eq!(refused(&mut bench, "a", 95_000), Some("out-of-order"), "within hold");
    assert_eq!(refused(&mut bench, "a", 50_000), Some("out-of-order"), "once");
    assert_eq!(take(&mut bench, "b", 100_001, 3.0), [(100_001, vec![1.0, 3.0])], "it was once");
    for ms in [50_000, 50_010, 50_020] {
        assert_eq!(refused(&mut bench, "a", ms), Some("out-of-order"), "one channel only");
    }
    assert_eq!(refused(&mut bench, "b", 50_030), Some("out-of-order"));
    assert_eq!(take(&mut bench, "a", 50_040, 4.0), [], "both: the clock was set back");
    assert_eq!(take(&mut bench, "b", 50_041, 5.0), [(50_041, vec![4.0, 5.0])]);
}

#[test]
fn values_without_a_time_are_dated_by_their_arrival() {
    let payload = "join = { by = \"channel\", hold = \"10s\" }";
    let mut bench = samples(stream("topic = \"heat/{device}/{channel}\"", payload));
    assert_eq!(sent(&mut bench, "heat/boiler/a", "1.5"), []);
    bench.clock.pass(Duration::from_secs(10));
    assert_eq!(sent(&mut bench, "heat/boiler/b", "2"), [(10_000, vec![1.5, 2.0])]);
    let wall = bench.clock.now().wall;
    bench.clock.set(crate::clock::Timestamp(wall.0 - 1_000_000));
    let told = sent(&mut bench, "heat/boiler/b", r#"{"value":3}"#);
    assert_eq!(told, [(10_000, vec![1.5, 3.0])], "the wall clock was corrected");
    let (outcome, _) = bench.step("heat/boiler/b", r#"{"state":3}"#);
    let reject = outcome.rejects[0].reject.to_string();
    assert_eq!(reject, "value is missing: send it, or correct payload.join.value");
}

#[test]
fn sources_have_topics_formats_fields_and_offsets_of_their_own() {
    let sources = "\n[[stream.source]]\ntopic = \"room/{device}/climate\"\nfields = [\"a\"]\n\
                   [[stream.source]]\ntopic = \"meter/{device}\"\nformat = \"csv\"\n\
                   fields = [\"c\", \"b\"]\noffset = \"-250ms\"\n";
    let text = format!(
        "[[stream]]\nname = \"motion\"\nmodel = \"motion\"\n\
         payload = {{ time = \"t\", fields = [\"a\", \"b\", \"c\"], \
         join = {{ hold = \"10s\" }} }}\n{sources}"
    );
    let stream = Config::parse(&text).unwrap().streams.remove(0);
    let model = card(None, &["x", "y", "z"], OutputKind::Raw);
    let mut bench = Harness::new(stream, model, echo(&[3]));
    assert_eq!(sent(&mut bench, "room/r1/climate", r#"{"t":1795341600000,"a":1,"z":9}"#), []);
    let told = sent(&mut bench, "meter/r1", "1795341600350,3,2\n");
    assert_eq!(told, [(100, vec![1.0, 2.0, 3.0])], "one sample of two values");
    assert_eq!(sent(&mut bench, "meter/r2", "1795341600350,3,2\n"), [], "another device");
}

#[test]
fn the_message_that_completes_a_sample_waits_for_its_result() {
    let mut config = by_channel("");
    config.guarantee = crate::config::Guarantee::AtLeastOnce;
    let mut bench = samples(config);
    let first = bench.incoming("heat/boiler/a", br#"{"t":1795341600000,"value":1}"#);
    let second = bench.incoming("heat/boiler/b", br#"{"t":1795341600000,"value":1}"#);
    let mut out = Vec::new();
    let outcome = bench.pipeline.step(&first, &bench.clock, &mut out);
    assert_eq!((outcome.awaited, out.len()), (0, 0));
    let outcome = bench.pipeline.step(&second, &bench.clock, &mut out);
    assert_eq!((outcome.awaited, out[0].input), (1, second.token));
}

const MODES: [&str; 5] = [
    "join = { by = \"channel\", hold = \"2s\" }",
    "join = { by = \"channel\", hold = \"2s\", every = \"all\" }",
    "join = { by = \"channel\", hold = \"2s\", every = \"300ms\" }",
    "join = { by = \"channel\", hold = \"2s\" }, align = { grid = \"100ms\", max_lag = \"500ms\" }",
    "join = { by = \"channel\", hold = \"2s\" }, \
     align = { grid = \"100ms\", method = \"linear\", max_lag = \"500ms\" }",
];

proptest! {
    /// A base and additions give the state that a process had, and the next samples are the same.
    #[test]
    fn a_restart_changes_nothing(
        mode in 0..MODES.len(),
        windows in any::<bool>(),
        given in prop::collection::vec((0..3_usize, -800..2500_i64, -9..9), 1..60),
        saves in prop::collection::vec(1..9_usize, 1..9),
    ) {
        let make = || {
            let payload = format!("time = \"t\", {}", MODES[mode]);
            let config = stream("topic = \"heat/{device}/{channel}\"", &payload);
            match windows {
                true => Harness::new(config, windowed(3, 1), echo(&[3, 2])),
                false => samples(config),
            }
        };
        let (mut bench, mut restarted) = (make(), make());
        let base = bench.pipeline.base(7, bench.clock.now());
        let (mut additions, mut until) = (Vec::new(), 0);
        let (mut saves, mut ms, mut named) = (saves.into_iter().cycle(), 10_000, Vec::new());
        let mut next_save = saves.next().unwrap();
        for (place, (channel, advance, value)) in given.iter().enumerate() {
            ms += advance;
            let topic = format!("heat/boiler/{}", ["a", "b", "c"][*channel]);
            let payload = format!(r#"{{"t":{},"value":{value}}}"#, START + ms);
            let step = |bench: &mut Harness, named: &mut Vec<InputId>| {
                let mut incoming = bench.incoming(&topic, payload.as_bytes());
                let packet = u16::try_from(place).unwrap();
                let id = InputId { epoch: 1, packet, content: 3 };
                incoming.input_id = Some(id);
                let mut out = Vec::new();
                let outcome = bench.pipeline.step(&incoming, &bench.clock, &mut out);
                named.extend((outcome.values() > 0).then_some(id));
                let tensor = |payload: &[u8]| prediction(payload)["tensor"].clone();
                out.iter().map(|it| tensor(&it.message.payload)).collect::<Vec<_>>()
            };
            let told = step(&mut bench, &mut named);
            if place >= until {
                // Restored at the last save, or never saved: it got the same since.
                prop_assert_eq!(told, step(&mut restarted, &mut Vec::new()));
            }
            if place + 1 == next_save {
                next_save += saves.next().unwrap();
                let now = bench.clock.now();
                additions.extend(bench.pipeline.addition(now));
                let other = Now { mono: Mono(now.mono.0 + 99), ..now };
                let (mut ids, bytes) = (Vec::new(), additions.iter().map(|it| &it.bytes[..]));
                restarted = make();
                let report = restarted.pipeline.replay(&base, bytes, other, &mut ids).unwrap();
                prop_assert_eq!(report.left_out, 0);
                prop_assert_eq!(&ids, &named);
                prop_assert_eq!(bench.pipeline.snapshot(now), restarted.pipeline.snapshot(other));
                let mut loaded = make();
                loaded.pipeline.restore(&bench.pipeline.snapshot(now), now).unwrap();
                prop_assert_eq!(loaded.pipeline.snapshot(now), bench.pipeline.snapshot(now));
                until = place + 1;
            }
        }
    }

    /// The samples of a grid are those that one would look up in a table of all values.
    #[test]
    fn a_grid_gives_what_is_looked_up_afterwards(
        linear in any::<bool>(),
        lag in 0..700_i64,
        given in prop::collection::vec((0..2_usize, 0..160_i64, -9..9_i32, 0..390_i64), 1..150),
    ) {
        let method = if linear { AlignMethod::Linear } else { AlignMethod::Previous };
        // The next value must be there: a point that does not wait for it has no value.
        let plan = grid_plan(method, if linear { 1_000_000 } else { lag });
        let (mut state, mut rows) = (JoinState::new(&plan), JoinedRows::default());
        let (mut taken, mut made, mut time) = (Vec::new(), Vec::new(), 10_000);
        // Each channel in its own order; one comes later than the other by a changing delay.
        let mut arrivals: Vec<(i64, usize, i64, f64)> = Vec::new();
        let mut delays = [0_i64; 2];
        for (channel, advance, value, delay) in given {
            time += advance;
            delays[channel] = (delays[channel] - advance).max(if channel == 1 { delay } else { 0 });
            arrivals.push((time + delays[channel], channel, time, f64::from(value)));
        }
        arrivals.sort_by_key(|(at, ..)| *at);
        for (_, channel, time, value) in arrivals {
            let values = &[(channel, value)][..];
            let values = ChannelValues { values, time, by_arrival: false };
            if state.add(&plan, values, &mut rows).is_ok() {
                taken.push((channel, time, value));
                made.extend(rows.iter().map(|(row, time)| (time.0, row.to_vec())));
            }
        }
        let last = made.last().map_or(0, |(time, _)| *time);
        let expected: Vec<_> = (0..=last / 100).filter_map(|number| {
            let at = number * 100;
            Some((at, vec![look_up(&taken, 0, at, method)?, look_up(&taken, 1, at, method)?]))
        }).collect();
        prop_assert_eq!(made, expected);
    }
}

/// Two channels at every 100 microseconds, held for 400.
fn grid_plan(method: AlignMethod, lag: i64) -> JoinPlan {
    let every = Every::Grid(super::plan::GridPlan { step: 100, lag, method });
    JoinPlan { channels: vec!["a".into(), "b".into()], hold: 400, every }
}

fn look_up(
    taken: &[(usize, i64, f64)],
    channel: usize,
    at: i64,
    method: AlignMethod,
) -> Option<f64> {
    let of = || taken.iter().filter(|(of, ..)| *of == channel);
    let (_, then, value) = of().filter(|(_, time, _)| *time <= at).max_by_key(|it| it.1)?;
    if method == AlignMethod::Previous || *then == at {
        return (at - then <= 400).then_some(*value);
    }
    let next = of().filter(|(_, time, _)| *time > at).map(|it| it.1).min()?;
    let (_, _, after) = of().find(|(_, time, _)| *time == next)?;
    let slope = (after - value) / (next - then) as f64;
    (next - then <= 400).then(|| slope * (at - then) as f64 + value)
}

#[test]
fn a_grid_keeps_no_more_than_its_lag() {
    let plan = grid_plan(AlignMethod::Previous, 1000);
    let Every::Grid(grid) = plan.every else { panic!() };
    let (mut state, mut rows) = (Grid::new(2), JoinedRows::default());
    rows.clear(2);
    for time in 0..100_000 {
        state.add(&[(0, 1.0)], (time, time), &grid, &plan, &mut rows);
        assert!(state.tracks[0].cells.len() <= 11, "{}", state.tracks[0].cells.len());
    }
    assert_eq!(rows.missing()[1], 990, "b never came");
}

#[test]
fn samples_at_irregular_times_are_put_on_a_grid() {
    let payload = "time = \"t\", join = { hold = \"50ms\" }, \
                   align = { grid = \"10ms\", method = \"linear\" }";
    let stream = stream("topic = \"imu/{device}\"", payload);
    let mut bench = samples(stream);
    let mut all = Vec::new();
    for ms in [0, 7, 13, 21, 34, 120, 131, 142] {
        let payload = format!(r#"{{"t":{},"a":{ms},"b":{}}}"#, START + ms, -ms);
        all.extend(sent(&mut bench, "imu/press", &payload));
    }
    let times: Vec<i64> = all.iter().map(|(ms, _)| *ms).collect();
    assert_eq!(times, [0, 10, 20, 30, 120, 130, 140]);
    for (ms, values) in all {
        let ms = ms as f64;
        assert!((values[0] - ms).abs() < 1e-4 && (values[1] + ms).abs() < 1e-4, "{ms}: {values:?}");
    }
}
