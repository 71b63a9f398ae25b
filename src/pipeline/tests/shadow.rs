//! A candidate beside the model in use.

use std::sync::Arc;

use super::fixture::{
    Fake, Harness, card, classifier, constant, echo, failing, labelled, stream, two_labels, whole,
    windowed,
};
use crate::bundle::card::{AnomalyScore, Card, GoldenSpec, OutputKind};
use crate::pipeline::ShadowTally;

fn bench(card: Card, model: Fake, candidate: (Card, Fake)) -> Harness {
    let mut bench = Harness::new(stream(), card, model);
    bench.clock.tick = 10;
    let (card, model) = candidate;
    bench.pipeline.shadow(Arc::new(card), Box::new(model)).unwrap();
    bench
}

/// Two windows of two samples, each of which gives one result of the model in use.
fn two_windows(bench: &mut Harness) -> ShadowTally {
    let mut results = Vec::new();
    for n in 0..4 {
        let (outcome, out) = bench.step("sensors/x/imu", &format!(r#"{{"a":{n},"b":1}}"#));
        assert_eq!(outcome.rejects, []);
        results.extend(out);
    }
    assert_eq!(results.len(), 2);
    bench.pipeline.shadow_tally()
}

/// Of two windows the candidate's share that agrees.
fn agreed(card: Card, model: Fake, candidate: (Card, Fake)) -> u32 {
    let tally = two_windows(&mut bench(card, model, candidate));
    assert_eq!((tally.runs, tally.errors, tally.nans), (2, 0, 0));
    tally.agreed
}

#[test]
fn classifications_agree_by_their_label() {
    let active = || (labelled(2), classifier(2, &[0.1, 0.9]));
    let against = |card, scores: [f32; 2]| {
        let (active_card, model) = active();
        agreed(active_card, model, (card, classifier(2, &scores)))
    };
    assert_eq!(against(labelled(2), [0.4, 0.6]), 2);
    assert_eq!(against(labelled(2), [0.6, 0.4]), 0);
    // The same label in another place, and one that is not sure enough.
    let mut turned = labelled(2);
    let labels = vec!["running".to_owned(), "walking".to_owned()];
    turned.output.kind =
        OutputKind::Classification { labels: labels.clone(), top_k: 1, threshold: 0.0 };
    assert_eq!(against(turned.clone(), [0.9, 0.1]), 2);
    turned.output.kind = OutputKind::Classification { labels, top_k: 1, threshold: 0.95 };
    assert_eq!(against(turned, [0.9, 0.1]), 0);
}

#[test]
fn label_sets_and_sides_of_a_threshold_agree() {
    let labels = |names: [&str; 2]| OutputKind::MultiLabel {
        labels: names.map(str::to_owned).to_vec(),
        thresholds: vec![0.5],
    };
    let of = |kind: OutputKind| Card {
        output: crate::bundle::card::OutputSpec { kind, ..windowed(2, 2).output },
        ..windowed(2, 2)
    };
    let against = |names, scores: [f32; 2]| {
        let model = classifier(2, &[0.9, 0.2]);
        agreed(of(labels(["wet", "cold"])), model, (of(labels(names)), classifier(2, &scores)))
    };
    assert_eq!(against(["wet", "cold"], [0.6, 0.4]), 2);
    assert_eq!(against(["cold", "wet"], [0.4, 0.6]), 2);
    assert_eq!(against(["wet", "cold"], [0.6, 0.6]), 0);
    let anomaly = |threshold| of(OutputKind::Anomaly { score: AnomalyScore::Output, threshold });
    let against = |threshold, score: f32| {
        let candidate = (anomaly(threshold), constant(&[2, 2], &[score]));
        agreed(anomaly(0.5), constant(&[2, 2], &[0.7]), candidate)
    };
    assert_eq!(against(0.5, 0.9), 2);
    assert_eq!(against(0.1, 0.2), 2);
    assert_eq!(against(0.5, 0.4), 0);
}

#[test]
fn numbers_agree_within_the_golden_tolerance_and_relative_to_their_size() {
    let mut card = windowed(2, 2);
    card.golden = Some(GoldenSpec {
        file: "golden.npz".into(),
        required: true,
        tolerance: 0.01,
        samples: None,
        samples_tolerance: 0.01,
    });
    let against = |was: f32, is: f32| {
        let model = constant(&[2, 2], &[was, 5.0]);
        agreed(card.clone(), model, (card.clone(), constant(&[2, 2], &[is, 5.0])))
    };
    assert_eq!(against(0.0, 0.009), 2);
    assert_eq!(against(0.0, 0.011), 0);
    assert_eq!(against(1000.0, 1009.0), 2);
    assert_eq!(against(1000.0, 1011.0), 0);
}

#[test]
fn inputs_without_a_window_are_shadowed_too() {
    let kind = || whole(two_labels());
    let mut bench = bench(kind(), constant(&[2], &[0.1, 0.9]), (kind(), echo(&[2])));
    let (_, out) = bench.step("sensors/x/imu", r#"{"a":3,"b":1}"#);
    assert_eq!(out.len(), 1);
    let (_, out) = bench.step("sensors/x/imu", r#"{"a":1,"b":3}"#);
    assert_eq!(out.len(), 1);
    let tally = bench.pipeline.shadow_tally();
    assert_eq!((tally.runs, tally.agreed), (2, 1));
}

#[test]
fn what_fails_in_the_candidate_is_counted_and_touches_no_result() {
    let with = |model: Fake| {
        let live = classifier(2, &[0.1, 0.9]);
        two_windows(&mut bench(labelled(2), live, (labelled(2), model)))
    };
    let tally = with(failing(2));
    assert_eq!((tally.runs, tally.agreed, tally.errors, tally.nans), (2, 0, 2, 0));
    let tally = with(classifier(2, &[f32::NAN, 0.0]));
    assert_eq!((tally.runs, tally.agreed, tally.errors, tally.nans), (2, 0, 0, 2));
    let tally = with(Fake::panicking(2));
    assert_eq!((tally.runs, tally.agreed, tally.errors, tally.nans), (2, 0, 2, 0));
}

#[test]
fn inputs_that_the_model_in_use_fails_on_are_not_counted() {
    let candidate = (labelled(2), classifier(2, &[0.1, 0.9]));
    let mut bench = bench(labelled(2), failing(2), candidate);
    for n in 0..4 {
        bench.step("sensors/x/imu", &format!(r#"{{"a":{n},"b":1}}"#));
    }
    assert_eq!(bench.pipeline.shadow_tally(), ShadowTally::default());
}

#[test]
fn the_first_run_is_not_timed_and_the_others_are() {
    let live = classifier(2, &[0.1, 0.9]);
    let candidate = (labelled(2), classifier(2, &[0.1, 0.9]));
    let mut bench = bench(labelled(2), live, candidate);
    // The clock goes on by 10 us whenever it is read: once within each run.
    let tally = two_windows(&mut bench);
    assert_eq!((tally.timed, tally.active_us, tally.candidate_us), (1, 10, 10));
    assert_eq!(bench.pipeline.shadow_tally(), ShadowTally::default(), "it was taken");
}

#[test]
fn the_time_of_the_candidate_is_not_said_to_be_the_models() {
    let us = |shadowed: bool| {
        let mut bench = Harness::new(stream(), labelled(1), classifier(1, &[0.1, 0.9]));
        bench.clock.tick = 10;
        if shadowed {
            let candidate = Box::new(classifier(1, &[0.1, 0.9]));
            bench.pipeline.shadow(Arc::new(labelled(1)), candidate).unwrap();
        }
        // Two windows in one message.
        let (outcome, _) = bench.step("sensors/x/imu", r#"[{"a":1,"b":1},{"a":2,"b":1}]"#);
        assert_eq!(outcome.runs, 2);
        (outcome.us.prepare, outcome.us.run)
    };
    assert_eq!(us(true), us(false));
}

#[test]
fn what_takes_or_says_something_else_cannot_be_compared() {
    let mut bench = Harness::new(stream(), labelled(2), classifier(2, &[0.1, 0.9]));
    let mut why = |card: Card, model: Fake| {
        bench.pipeline.shadow(Arc::new(card), Box::new(model)).unwrap_err()
    };
    let longer = why(labelled(3), classifier(3, &[0.1, 0.9]));
    assert!(longer.contains("windows of another shape"), "{longer}");
    let mut renamed = labelled(2);
    renamed.inputs[0].channels = vec!["b".into(), "a".into()];
    let other = why(renamed, classifier(2, &[0.1, 0.9]));
    assert!(other.contains("other channels"), "{other}");
    let raw = why(windowed(2, 2), classifier(2, &[0.1, 0.9]));
    assert!(raw.contains("means something else"), "{raw}");
    let whole = why(card(None, &["a", "b"], two_labels()), constant(&[2], &[0.1, 0.9]));
    assert!(whole.contains("windows of another shape"), "{whole}");
    let misfit = why(labelled(2), classifier(3, &[0.1, 0.9]));
    assert!(misfit.contains("window.length"), "{misfit}");
}

#[test]
fn a_swap_ends_it() {
    let candidate = (labelled(2), classifier(2, &[0.1, 0.9]));
    let mut bench = bench(labelled(2), classifier(2, &[0.1, 0.9]), candidate);
    let next = Box::new(classifier(2, &[0.1, 0.9]));
    bench.pipeline.swap(Arc::new(labelled(2)), next).unwrap();
    assert_eq!(two_windows(&mut bench), ShadowTally::default());
}
