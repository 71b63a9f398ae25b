use std::time::Duration;

use super::fixture::{card, labelled, spec, stream, two_labels, whole, windowed};
use crate::bundle::card::{Card, InputSpec, Layout, Normalize, OutputKind};
use crate::config::{Format, Level, Stream};
use crate::pipeline::check_compatibility;
use crate::tensor::{Dtype, TensorSpec};

/// The keys at fault.
fn keys(stream: &Stream, card: &Card, input: TensorSpec) -> Vec<&'static str> {
    let outputs = [spec("y", Dtype::F32, &[2])];
    match check_compatibility(stream, card, &[input], &outputs) {
        Ok(()) => Vec::new(),
        Err(problems) => problems.iter().map(|p| p.key).collect(),
    }
}

fn x(shape: &[usize]) -> TensorSpec {
    spec("x", Dtype::F32, shape)
}

fn changed(change: impl FnOnce(&mut Stream)) -> Stream {
    let mut stream = stream();
    change(&mut stream);
    stream
}

fn with_input(change: impl FnOnce(&mut InputSpec)) -> Card {
    let mut card = labelled(3);
    change(&mut card.inputs[0]);
    card
}

#[test]
fn what_fits_is_taken() {
    assert_eq!(keys(&stream(), &labelled(3), x(&[1, 3, 2])), [""; 0]);
    assert_eq!(keys(&stream(), &labelled(3), x(&[6])), [""; 0]);
    let plain = Card { inputs: Vec::new(), ..labelled(3) };
    assert_eq!(keys(&stream(), &plain, x(&[1, 3, 2])), [""; 0]);
}

#[test]
fn the_stream_must_fit_the_model() {
    let window = || x(&[1, 3, 2]);
    let table = [
        ("payload.fields", changed(|s| s.payload.fields.push("c".into()))),
        (
            "payload.time",
            changed(|s| {
                s.payload.format = Format::Raw(Dtype::F32);
                s.payload.time = Some("t".into());
            }),
        ),
        (
            "payload.samples",
            changed(|s| {
                s.payload.format = Format::Csv;
                s.payload.samples = Some("s".into());
            }),
        ),
        ("publish.leave_score", changed(|s| s.publish.leave_score = Some(0.5))),
        (
            "publish.leave_score",
            changed(|s| {
                s.publish.min_score = Some(0.4);
                s.publish.leave_score = Some(0.5);
            }),
        ),
    ];
    for (key, stream) in table {
        assert_eq!(keys(&stream, &labelled(3), window()), [key]);
    }
    let scoreless = changed(|s| {
        s.publish.min_score = Some(0.5);
        s.publish.consecutive = 2;
    });
    let expected = ["publish.min_score", "publish.consecutive"];
    assert_eq!(keys(&scoreless, &windowed(3, 1), window()), expected);
    let both = changed(|s| s.payload.fields = vec!["a".into(), "b".into(), "c".into()]);
    let pair = Card { inputs: labelled(1).inputs, ..whole(two_labels()) };
    assert_eq!(keys(&both, &pair, x(&[2])), ["payload.fields"]);
}

#[test]
fn the_card_must_fit_the_model() {
    let table = [
        ("card: window.length", labelled(4), x(&[1, 3, 2])),
        ("card: window", labelled(0), x(&[1, 3, 2])),
        ("card: input.layout", with_input(|i| i.layout = Layout::CHANNEL_TIME), x(&[1, 3, 2])),
        ("card: input.quantize", with_input(|i| i.quantize = true), x(&[1, 3, 2])),
        (
            "card: input.normalize",
            with_input(|i| {
                i.normalize = Normalize::MeanStd { mean: vec![0.0], std: vec![0.0] };
            }),
            x(&[1, 3, 2]),
        ),
        (
            "card: input.normalize",
            with_input(|i| {
                i.normalize = Normalize::MeanStd { mean: vec![0.0; 3], std: vec![1.0; 3] };
            }),
            x(&[1, 3, 2]),
        ),
        ("card: output.labels", labelled(3), x(&[1, 3, 2])),
    ];
    for (key, mut card, input) in table {
        if let ("card: output.labels", OutputKind::Classification { labels, .. }) =
            (key, &mut card.output.kind)
        {
            labels.push("third".into());
        }
        assert_eq!(keys(&stream(), &card, input), [key]);
    }
    let int8 = spec("x", Dtype::I8, &[1, 3, 2]);
    let scaled = with_input(|i| {
        i.normalize = Normalize::ScaleOffset { scale: vec![2.0], offset: vec![0.0] };
    });
    assert_eq!(keys(&stream(), &scaled, int8.clone()), ["card: input.quantize"]);
    let unknown = with_input(|i| i.quantize = true);
    assert_eq!(keys(&stream(), &unknown, int8), ["card: input.quantize"]);
    let renamed = with_input(|i| i.name = "z".into());
    assert_eq!(keys(&stream(), &renamed, x(&[1, 3, 2])), ["card: input", "card: input.name"]);
    let mut output = labelled(3);
    output.output.name = Some("z".into());
    assert_eq!(keys(&stream(), &output, x(&[1, 3, 2])), ["card: output.name"]);
}

#[test]
fn a_problem_says_what_where_and_what_is_allowed() {
    let stream = changed(|s| s.payload.fields = vec!["a".into()]);
    let outputs = [spec("y", Dtype::F32, &[2])];
    let problems =
        check_compatibility(&stream, &labelled(3), &[x(&[1, 3, 2])], &outputs).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        r#"payload.fields: 1 fields for the model's 2 channels ["a", "b"]"#
    );
}

#[test]
fn a_topic_template_needs_what_the_topic_captures() {
    use super::fixture::Harness;
    let mut stream = stream();
    stream.key_ttl = Duration::from_secs(1);
    stream.publish.topic.levels.push(Level::Capture("site".into()));
    let card = card(None, &[], OutputKind::Raw);
    let made = Harness::try_new(stream, card, super::fixture::echo(&[2]));
    assert_eq!(made.unwrap_err()[0].key, "publish.topic");
}
