use bytes::Bytes;

use super::fixture::{Harness, classifier, labelled, prediction, stream};
use crate::config::{Guarantee, When};
use crate::message::{Qos, Reply, ResultMessage};
use crate::pipeline::StepReport;

fn ask(bench: &mut Harness, topic: &str, payload: &str) -> (StepReport, Vec<ResultMessage>) {
    let mut incoming = bench.incoming("sensors/x/imu", payload.as_bytes());
    let correlation = Some(Bytes::from_static(b"call 1"));
    incoming.reply = Some(Reply { topic: topic.to_owned(), correlation });
    let mut out = Vec::new();
    let outcome = bench.pipeline.step(&incoming, &bench.clock, &mut out);
    (outcome, out)
}

fn bench(when: When) -> Harness {
    let mut config = stream();
    config.publish.when = when;
    config.publish.retain = true;
    config.publish.qos = Qos::AtMostOnce;
    Harness::new(config, labelled(1), classifier(1, &[0.2, 0.8]))
}

#[test]
fn a_prediction_also_goes_to_whoever_asked() {
    let (outcome, out) = ask(&mut bench(When::Every), "reply/7", "[1,2]");
    assert_eq!((outcome.results, out.len()), (2, 2));
    let (published, answer) = (&out[0].message, &out[1].message);
    assert_eq!(published.payload, answer.payload);
    assert_eq!((published.retain, published.qos), (true, Qos::AtMostOnce));
    assert_eq!(published.correlation, None);
    assert_eq!((answer.topic.as_str(), answer.retain), ("reply/7", false));
    assert_eq!(answer.qos, Qos::AtLeastOnce);
    assert_eq!(answer.correlation.as_deref(), Some(&b"call 1"[..]));
}

#[test]
fn a_request_is_answered_whatever_the_publish_rules_say() {
    let mut bench = bench(When::Change);
    ask(&mut bench, "reply/7", "[1,2]");
    let (outcome, out) = ask(&mut bench, "reply/7", "[1,2]");
    assert_eq!((outcome.suppressed, outcome.results), (1, 1));
    assert_eq!(out[0].message.topic, "reply/7");
}

#[test]
fn a_rejected_request_is_told_why() {
    let (outcome, out) = ask(&mut bench(When::Every), "reply/7", r#"{"a":1}"#);
    assert_eq!((outcome.rejects.len(), outcome.results, out.len()), (1, 1, 1));
    let answer = prediction(&out[0].message.payload);
    assert_eq!(answer["error"], "missing-field");
    assert!(answer["message"].as_str().unwrap().starts_with("b is missing"));
    assert_eq!((&answer["stream"], &answer["v"]), (&"motion".into(), &1.into()));
    assert_eq!(out[0].message.correlation.as_deref(), Some(&b"call 1"[..]));
}

#[test]
fn an_input_waits_for_its_answer_too() {
    let mut config = stream();
    config.guarantee = Guarantee::AtLeastOnce;
    config.payload.fields.clear();
    let mut card = labelled(1);
    card.window = None;
    card.inputs[0].channels.clear();
    let mut bench = Harness::new(config, card, classifier(1, &[0.2, 0.8]));
    let (outcome, out) = ask(&mut bench, "reply/7", "[1,2]");
    assert_eq!(outcome.awaited, 2);
    assert!(out.iter().all(|f| f.input.is_some()));
    let (outcome, out) = ask(&mut bench, "reply/7", "[1]");
    assert_eq!((outcome.awaited, out[0].input.is_some()), (1, true));
}

#[test]
fn no_answer_goes_to_the_brokers_own_topics_or_to_wildcards() {
    for topic in ["$SYS/x", "a/#", ""] {
        assert_eq!(ask(&mut bench(When::Every), topic, "[1,2]").1.len(), 1);
        assert_eq!(ask(&mut bench(When::Every), topic, "{}").1.len(), 0);
    }
}
