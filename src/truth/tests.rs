use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// 2026-11-22T10:00:00Z in milliseconds.
const START: i64 = 1_795_341_600_000;

fn at(ms: i64) -> Timestamp {
    Timestamp((START + ms) * 1000)
}

fn labels(names: &[&str]) -> Answers {
    Answers::Labels(names.iter().map(|&name| name.to_owned()).collect())
}

fn tracker(capacity: usize) -> TruthTracker {
    let mut tracker = TruthTracker::new(capacity, Duration::from_millis(100), "gw-".to_owned());
    tracker.activate("1.0.0", &labels(&["a", "b"]));
    tracker
}

fn said(place: u16) -> Answer {
    Answer::Label(Some(place))
}

fn by_id<'a>(id: &'a str, name: &'a str) -> Label<'a> {
    Label { key: LabelKey::Id(id), device: None, truth: Truth::Name(name) }
}

fn by_time<'a>(ms: i64, device: &'a str, name: &'a str) -> Label<'a> {
    Label { key: LabelKey::Time(at(ms)), device: Some(device), truth: Truth::Name(name) }
}

#[test]
fn a_label_is_joined_once_by_id_or_by_time_and_device() {
    let mut tracker = tracker(8);
    tracker.remember(Some("gw-1-0"), "x", at(0), said(0), Some(0.9));
    tracker.remember(Some("gw-1-1"), "y", at(10), said(1), Some(0.9));
    tracker.remember(None, "x", at(1000), said(1), None);
    assert_eq!(tracker.join(&by_id("gw-1-0", "a")), Ok(Some(true)));
    assert_eq!(tracker.join(&by_id("gw-1-0", "a")), Err(Refusal::Repeated));
    assert_eq!(tracker.join(&by_time(-90, "x", "b")), Err(Refusal::Repeated), "the same one");
    assert_eq!(tracker.join(&by_time(910, "x", "a")), Ok(Some(false)));
    assert_eq!(tracker.join(&by_time(899, "x", "a")), Err(Refusal::Unmatched));
    assert_eq!(tracker.join(&by_time(0, "z", "a")), Err(Refusal::Unmatched));
    assert_eq!(tracker.join(&by_id("gw-1-7", "a")), Err(Refusal::Unmatched));
    assert_eq!(tracker.join(&by_id("gw-1-1", "c")), Err(Refusal::UnknownLabel));
    let value = Label { truth: Truth::Value(1.0), ..by_id("gw-1-1", "") };
    assert_eq!(tracker.join(&value), Err(Refusal::WrongKind));
    let number = Label { truth: Truth::Number(1), ..by_id("gw-1-1", "") };
    assert_eq!(tracker.join(&number), Ok(Some(true)));
    let stats = tracker.stats();
    assert_eq!((stats.joined, stats.remembered), (3, 3));
    let refused = [("repeated", 2), ("unknown-label", 1), ("unmatched", 3), ("wrong-kind", 1)];
    assert_eq!(stats.refused, BTreeMap::from(refused));
    let version = &stats.versions[0];
    assert_eq!((version.labels, version.correct), (3, Some(2)));
    assert_eq!(version.confusion["a"], BTreeMap::from([("a".into(), 1), ("b".into(), 1)]));
}

#[test]
fn a_number_that_is_the_name_of_a_label_is_that_name() {
    let mut tracker = tracker(8);
    tracker.activate("2", &labels(&["1", "2"]));
    for (id, number, right) in [("gw-1", 1, true), ("gw-2", 2, false), ("gw-3", 0, true)] {
        tracker.remember(Some(id), "x", at(0), said(0), None);
        let label = Label { truth: Truth::Number(number), ..by_id(id, "") };
        assert_eq!(tracker.join(&label), Ok(Some(right)), "{number}");
    }
}

#[test]
fn a_label_for_a_prediction_that_was_dropped_is_late() {
    let mut tracker = tracker(4);
    for n in 0..10 {
        tracker.remember(Some(&format!("gw-1-{n}")), "x", at(n * 1000), said(0), None);
    }
    assert_eq!(tracker.join(&by_id("gw-1-5", "a")), Err(Refusal::Late));
    assert_eq!(tracker.join(&by_id("other-1-5", "a")), Err(Refusal::Unmatched));
    assert_eq!(tracker.join(&by_time(5000, "x", "a")), Err(Refusal::Late));
    assert_eq!(tracker.join(&by_time(6500, "x", "a")), Err(Refusal::Unmatched));
    assert_eq!(tracker.join(&by_id("gw-1-6", "a")), Ok(Some(true)));
    assert_eq!(tracker.stats().remembered, 4);
}

#[test]
fn each_version_is_judged_by_its_own_labels() {
    let mut tracker = tracker(100);
    tracker.remember(Some("gw-0"), "x", at(0), said(0), None);
    tracker.activate("2.0.0", &labels(&["b", "a"]));
    tracker.remember(Some("gw-1"), "x", at(1), said(0), None);
    tracker.activate("1.0.0", &labels(&["a", "b"]));
    tracker.remember(Some("gw-2"), "x", at(2), said(1), None);
    for (id, right) in [("gw-0", false), ("gw-1", true), ("gw-2", true)] {
        assert_eq!(tracker.join(&by_id(id, "b")), Ok(Some(right)), "{id}");
    }
    let versions = tracker.stats().versions;
    let judged: Vec<_> = versions.iter().map(|v| (v.version.as_str(), v.correct)).collect();
    assert_eq!(judged, [("2.0.0", Some(1)), ("1.0.0", Some(1))], "the one in use is last");
    // Another model under a known version starts from zero.
    tracker.activate("2.0.0", &labels(&["b", "c"]));
    assert_eq!(tracker.stats().versions.last().unwrap().labels, 0);
    for n in 0..20 {
        tracker.activate(&format!("3.{n}"), &Answers::Value);
    }
    assert_eq!(tracker.stats().versions.len(), MAX_VERSIONS);
    assert_eq!(tracker.join(&by_id("gw-0", "b")), Err(Refusal::Repeated));
}

#[test]
fn values_have_a_mean_absolute_error() {
    let mut tracker = TruthTracker::new(8, Duration::ZERO, "gw-".to_owned());
    tracker.activate("1", &Answers::Value);
    for (id, value) in [("gw-0", 1.5), ("gw-1", -2.0)] {
        tracker.remember(Some(id), "x", at(0), Answer::Value(value), None);
        let label = Label { truth: Truth::Value(1.0), ..by_id(id, "") };
        assert_eq!(tracker.join(&label), Ok(None));
    }
    let version = &tracker.stats().versions[0];
    assert_eq!((version.mae, version.correct), (Some(1.75), None));
}

/// Values of `statsmodels.stats.proportion.proportion_confint(..., method="wilson")`.
#[test]
fn the_wilson_interval_is_that_of_statsmodels() {
    for (correct, all, low, high) in [
        (0, 10, 0.0, 0.277_532_799_862_889),
        (8, 10, 0.490_162_471_536_642, 0.943_317_848_545_625),
        (930, 1000, 0.912_485_351_848_717, 0.944_223_635_853_706),
    ] {
        let [l, h] = wilson(correct, all).unwrap();
        assert!((l - low).abs() < 1e-6 && (h - high).abs() < 1e-6, "{correct}/{all}: {l} {h}");
    }
    assert_eq!(wilson(0, 0), None);
}

/// A prediction of the model of the test below.
type Kept = (String, String, i64, u16);

proptest! {
    /// Every label within the memory is joined with its own prediction, also after a restart at any
    /// time, and one beyond it is late.
    #[test]
    fn every_label_within_the_memory_is_joined(
        capacity in 1_usize..200,
        answers in prop::collection::vec((0_u16..3, 0_usize..5), 1..400),
        restart in 0_usize..400,
    ) {
        let names = ["a", "b", "c"];
        let mut tracker = tracker(capacity);
        tracker.activate("v", &labels(&names));
        let mut kept: Vec<Kept> = Vec::new();
        for (n, (place, device)) in answers.iter().enumerate() {
            if n == restart {
                let saved = tracker.save();
                tracker = self::tracker(capacity);
                tracker.restore(&saved).unwrap();
                tracker.activate("v", &labels(&names));
                prop_assert_eq!(tracker.save(), saved);
            }
            let (id, device) = (format!("gw-{n}"), format!("device-{device}"));
            let ms = i64::try_from(n).unwrap() * 1000;
            tracker.remember(Some(&id), &device, at(ms), said(*place), Some(0.5));
            kept.push((id, device, ms, *place));
        }
        let dropped = kept.len().saturating_sub(capacity);
        for (n, (id, device, ms, place)) in kept.iter().enumerate() {
            let truth = names[usize::from(*place)];
            let label = if n % 2 == 0 { by_id(id, truth) } else { by_time(*ms, device, truth) };
            let expected = if n < dropped { Err(Refusal::Late) } else { Ok(Some(true)) };
            prop_assert_eq!(tracker.join(&label), expected, "{}", n);
        }
        let counted = (kept.len() - dropped) as u64;
        prop_assert_eq!(tracker.stats().joined, counted);
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_and_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        at in 0_usize..300,
        flip in 1_u8..,
    ) {
        let mut tracker = tracker(16);
        tracker.restore(&[&b"INFT\x01"[..], &bytes].concat()).ok();
        let mut full = self::tracker(16);
        for n in 0..20 {
            full.remember(Some(&format!("gw-{n}")), "x", self::at(n), said(0), None);
            full.join(&by_id(&format!("gw-{n}"), "a")).ok();
        }
        let mut saved = full.save();
        prop_assert!(tracker.restore(&saved[..at.min(saved.len() - 1)]).is_err());
        if let Some(byte) = saved.get_mut(at) {
            *byte ^= flip;
        }
        if tracker.restore(&saved).is_ok() {
            tracker.activate("1.0.0", &labels(&["a", "b"]));
            tracker.remember(Some("gw-x"), "x", self::at(0), said(0), None);
            tracker.join(&by_id("gw-x", "a")).ok();
            assert!(tracker.stats().versions.len() <= MAX_VERSIONS);
        }
    }
}

/// Compares with numpy where `INFERD_TEST_PYTHON` has it; the figures are computed here as well.
#[test]
fn accuracy_is_over_the_last_thousand_labels() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut tracker = tracker(5000);
    let names: Vec<String> = (0..6).map(|n| format!("l{n}")).collect();
    tracker.activate("v", &Answers::Labels(names.clone()));
    let mut pairs = Vec::new();
    for n in 0..3000 {
        let (truth, place) = (random.u16(0..6), random.u16(0..6));
        tracker.remember(Some(&format!("gw-{n}")), "x", at(n), said(place), None);
        tracker.join(&by_id(&format!("gw-{n}"), &names[usize::from(truth)])).unwrap();
        pairs.push((truth, place));
    }
    let last = &pairs[2000..];
    let stats = tracker.stats();
    let version = stats.versions.last().unwrap();
    let correct = last.iter().filter(|(truth, place)| truth == place).count() as u64;
    assert_eq!((version.joined, version.labels, version.correct), (3000, 1000, Some(correct)));
    for truth in 0..6_u16 {
        for place in 0..6_u16 {
            let count = last.iter().filter(|pair| **pair == (truth, place)).count();
            let row = &version.confusion[&names[usize::from(truth)]];
            let shown = row.get(&names[usize::from(place)]).copied().unwrap_or(0);
            assert_eq!(shown as usize, count);
        }
    }
}
