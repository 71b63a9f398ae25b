use serde_json::{Value, json};

use super::*;
use crate::bundle::card::{OutputKind, OutputSpec};
use crate::clock::Timestamp;
use crate::config::Encoding;
use crate::pipeline::encode::{PredictionMessage, encode, mark_replayed};
use crate::pipeline::prediction_id::PredictionId;
use crate::pipeline::problems::{CompatibilityError, Problems};
use crate::pipeline::step_report::StageMicros;
use crate::pipeline::tests::fixture::{card, spec};
use crate::tensor::{Dtype, TensorSpec};

fn plan(
    kind: OutputKind,
    activation: Activation,
    spec: TensorSpec,
) -> Result<OutputPlan, Vec<CompatibilityError>> {
    let mut card = card(None, &[], kind.clone());
    card.output = OutputSpec { name: None, kind, activation, class_ids: Vec::new() };
    let mut problems = Problems::default();
    let plan = OutputPlan::new(&card, &[4], &[spec], &mut problems);
    plan.ok_or_else(|| problems.into_errors())
}

/// What a reader of the message sees of a prediction.
fn shown(plan: &OutputPlan, data: Data, compared: &[f64]) -> Result<Value, Reject> {
    let output = Tensor { shape: vec![data.len()], data };
    let mut scratch = Scratch::default();
    let prediction = plan.interpret(&output, compared, &mut scratch)?;
    let bytes = encode(&message(&prediction), Encoding::Json, &mut Vec::new())?;
    let Value::Object(mut message) = serde_json::from_slice(&bytes).unwrap() else { panic!() };
    let common = "v id gateway stream device time received model version us replayed";
    common.split(' ').for_each(|name| drop(message.remove(name).unwrap()));
    Ok(message.into())
}

fn message<'a>(prediction: &'a Prediction<'a>) -> PredictionMessage<'a> {
    PredictionMessage {
        id: PredictionId::Numbered { gateway: "gw-17", boot: "3f2a", number: 18231 },
        gateway: "gw-17",
        stream: "motion",
        device: "watch \"7\"",
        time: Timestamp(0),
        received: Timestamp(1),
        model: "motion",
        version: "1.4.0",
        prediction,
        us: StageMicros { queue: 40, prepare: 12, run: 107 },
        retained: false,
    }
}

fn labels(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

fn classes(top_k: usize, threshold: f32) -> OutputKind {
    OutputKind::Classification { labels: labels(&["rest", "walk", "run"]), top_k, threshold }
}

fn float(shape: &[usize]) -> TensorSpec {
    spec("y", Dtype::F32, shape)
}

#[test]
fn a_classification_names_the_best_labels_best_first() {
    let plan = plan(classes(2, 0.5), Activation::None, float(&[1, 3])).unwrap();
    assert_eq!(
        shown(&plan, Data::F32(vec![0.1, 0.2, 0.7]), &[]).unwrap(),
        json!({"kind":"classification","label":"run","score":0.7,"scores":{"run":0.7,"walk":0.2}})
    );
    // Of equal scores the first in the model's order.
    let tie = shown(&plan, Data::F32(vec![0.5, 0.5, 0.5]), &[]).unwrap();
    assert_eq!(tie["scores"].to_string(), r#"{"rest":0.5,"walk":0.5}"#);
}

#[test]
fn a_classification_under_the_threshold_has_no_label() {
    let plan = plan(classes(1, 0.5), Activation::None, float(&[3])).unwrap();
    let shown = shown(&plan, Data::F32(vec![0.3, 0.4, 0.3]), &[]).unwrap();
    assert_eq!((&shown["label"], &shown["score"]), (&Value::Null, &json!(0.4)));
}

#[test]
fn activations_turn_logits_into_scores() {
    let soft = plan(classes(3, 0.0), Activation::Softmax, float(&[3])).unwrap();
    // e^0, e^1, e^2 over their sum; a thousand more on each changes nothing.
    let expected = json!({"run":0.665241,"walk":0.244728,"rest":0.0900306});
    for logits in [[0.0, 1.0, 2.0], [1000.0, 1001.0, 1002.0]] {
        assert_eq!(shown(&soft, Data::F32(logits.to_vec()), &[]).unwrap()["scores"], expected);
    }
    let sigmoid = plan(classes(1, 0.0), Activation::Sigmoid, float(&[3])).unwrap();
    assert_eq!(shown(&sigmoid, Data::F32(vec![-1.0, 0.0, 2.0]), &[]).unwrap()["score"], 0.880797);
}

#[test]
fn one_score_for_two_labels_is_the_seconds() {
    let kind =
        OutputKind::Classification { labels: labels(&["ok", "fault"]), top_k: 2, threshold: 0.0 };
    let plan = plan(kind, Activation::Sigmoid, float(&[1, 1])).unwrap();
    let shown = shown(&plan, Data::F32(vec![-2.0]), &[]).unwrap();
    assert_eq!((&shown["label"], &shown["score"]), (&json!("ok"), &json!(0.880797)));
    assert_eq!(shown["scores"]["fault"], 0.119203);
}

#[test]
fn a_label_number_is_a_label_without_a_score() {
    let plan = plan(classes(1, 0.0), Activation::None, spec("label", Dtype::I64, &[1])).unwrap();
    assert_eq!(
        shown(&plan, Data::I64(vec![2]), &[]).unwrap(),
        json!({"kind":"classification","label":"run"})
    );
    for bad in [3, -1] {
        let reject = shown(&plan, Data::I64(vec![bad]), &[]).unwrap_err();
        assert_eq!(reject.code(), "bad-output");
    }
}

#[test]
fn quantized_outputs_are_read_in_the_units_of_the_model() {
    let quant = Some(Quant { scale: 1.0 / 256.0, zero: -128 });
    let int8 = TensorSpec { quant, ..spec("y", Dtype::I8, &[1, 3]) };
    let plan = plan(classes(1, 0.0), Activation::None, int8).unwrap();
    let shown = shown(&plan, Data::I8(vec![-128, 64, 0]), &[]).unwrap();
    assert_eq!((&shown["label"], &shown["score"]), (&json!("walk"), &json!(0.75)));
}

#[test]
fn several_labels_may_hold_at_once() {
    let kind = |thresholds: &[f32]| OutputKind::MultiLabel {
        labels: labels(&["rain", "wind", "hail"]),
        thresholds: thresholds.to_vec(),
    };
    let each = plan(kind(&[0.5, 0.9, 0.1]), Activation::None, float(&[3])).unwrap();
    assert_eq!(
        shown(&each, Data::F32(vec![0.6, 0.8, 0.2]), &[]).unwrap(),
        json!({"kind":"multi-label","labels":["rain","hail"],
               "scores":{"rain":0.6,"wind":0.8,"hail":0.2}})
    );
    let all = plan(kind(&[0.7]), Activation::None, float(&[3])).unwrap();
    assert_eq!(
        shown(&all, Data::F32(vec![0.6, 0.8, 0.2]), &[]).unwrap()["labels"],
        json!(["wind"])
    );
}

#[test]
fn a_regression_has_names_units_and_scale() {
    let kind = OutputKind::Regression {
        names: labels(&["temperature", "load"]),
        units: labels(&["C", "%"]),
        scale: vec![10.0, 100.0],
        offset: vec![-273.15],
    };
    let regression = plan(kind, Activation::None, float(&[1, 2])).unwrap();
    assert_eq!(
        shown(&regression, Data::F32(vec![29.465, 3.0]), &[]).unwrap(),
        json!({"kind":"regression","values":{"temperature":21.5,"load":26.85},
               "units":{"temperature":"C","load":"%"}})
    );
    let bare = OutputKind::Regression {
        names: labels(&["t"]),
        units: Vec::new(),
        scale: Vec::new(),
        offset: Vec::new(),
    };
    let bare = plan(bare, Activation::None, spec("y", Dtype::F64, &[1])).unwrap();
    assert_eq!(
        shown(&bare, Data::F64(vec![1.0 / 3.0]), &[]).unwrap(),
        json!({"kind":"regression","values":{"t":0.333333}})
    );
    let huge = OutputKind::Regression {
        names: labels(&["t"]),
        units: Vec::new(),
        scale: vec![3e38],
        offset: Vec::new(),
    };
    let huge = plan(huge, Activation::None, float(&[1, 1])).unwrap();
    let refused = shown(&huge, Data::F32(vec![9.0]), &[]).unwrap_err();
    assert!(matches!(refused, Reject::BadOutput { .. }), "{refused}");
}

#[test]
fn an_anomaly_is_the_output_or_how_badly_it_repeats_the_input() {
    let make = |score| OutputKind::Anomaly { score, threshold: 0.5 };
    let output = plan(make(AnomalyScore::Output), Activation::None, float(&[1])).unwrap();
    assert_eq!(
        shown(&output, Data::F32(vec![0.5]), &[]).unwrap(),
        json!({"kind":"anomaly","anomaly":true,"score":0.5,"threshold":0.5})
    );
    let compared = [1.0, 2.0, 3.0, 4.0];
    let repeated = || Data::F32(vec![1.0, 2.0, 3.0, 2.0]);
    let mse = plan(make(AnomalyScore::ReconstructionMse), Activation::None, float(&[4])).unwrap();
    assert_eq!(shown(&mse, repeated(), &compared).unwrap()["score"], 1.0);
    let mae = plan(make(AnomalyScore::ReconstructionMae), Activation::None, float(&[4])).unwrap();
    assert_eq!(shown(&mae, repeated(), &compared).unwrap()["score"], 0.5);
    let mut exact = shown(&mae, Data::F32(vec![1.0, 2.0, 3.0, 4.0]), &compared).unwrap();
    assert_eq!(exact["anomaly"].take(), false);
}

#[test]
fn a_raw_output_keeps_its_type_and_shape() {
    let raw = plan(OutputKind::Raw, Activation::None, spec("y", Dtype::I64, &[1, 2])).unwrap();
    assert_eq!(
        shown(&raw, Data::I64(vec![1, 9_007_199_254_740_993]), &[]).unwrap(),
        json!({
            "kind": "raw",
            "tensor": {"name": "y", "shape": [1, 2], "data": [1, 9_007_199_254_740_993_i64]},
        })
    );
    let quant = Some(Quant { scale: 0.5, zero: 1 });
    let int8 = TensorSpec { quant, ..spec("y", Dtype::U8, &[2]) };
    let raw = plan(OutputKind::Raw, Activation::None, int8).unwrap();
    assert_eq!(
        shown(&raw, Data::U8(vec![1, 4]), &[]).unwrap()["tensor"]["data"],
        json!([0.0, 1.5])
    );
}

#[test]
fn an_output_that_is_not_finite_is_an_error() {
    let kinds = [
        (classes(1, 0.0), 3),
        (OutputKind::Raw, 3),
        (OutputKind::Anomaly { score: AnomalyScore::ReconstructionMse, threshold: 1.0 }, 4),
    ];
    for (kind, len) in kinds {
        let plan = plan(kind, Activation::None, float(&[len])).unwrap();
        for bad in [f32::NAN, f32::INFINITY] {
            let reject = shown(&plan, Data::F32(vec![bad; len]), &[0.0; 4]).unwrap_err();
            assert_eq!(reject.code(), "bad-output");
        }
    }
}

#[test]
fn the_card_must_fit_the_output() {
    let key = |kind, activation, spec| plan(kind, activation, spec).unwrap_err()[0].key;
    let none = Activation::None;
    let multi = |thresholds| OutputKind::MultiLabel { labels: labels(&["a", "b"]), thresholds };
    let regression = |units: &[&str], scale| OutputKind::Regression {
        names: labels(&["a", "b", "c"]),
        units: labels(units),
        scale,
        offset: Vec::new(),
    };
    let anomaly = |score| OutputKind::Anomaly { score, threshold: 0.5 };
    let two = OutputKind::Classification { labels: labels(&["a", "b"]), top_k: 1, threshold: 0.0 };
    assert_eq!(key(classes(1, 0.0), none, float(&[4])), "card: output.labels");
    assert_eq!(key(two, Activation::Softmax, float(&[1])), "card: output.activation");
    assert_eq!(key(multi(vec![]), none, float(&[3])), "card: output.labels");
    assert_eq!(key(multi(vec![0.1; 3]), none, float(&[2])), "card: output.thresholds");
    assert_eq!(key(regression(&[], vec![]), none, float(&[2])), "card: output.names");
    assert_eq!(key(regression(&["C", "K"], vec![]), none, float(&[3])), "card: output.units");
    assert_eq!(key(regression(&[], vec![1.0; 2]), none, float(&[3])), "card: output.scale");
    assert_eq!(key(anomaly(AnomalyScore::Output), none, float(&[2])), "card: output.score");
    assert_eq!(
        key(anomaly(AnomalyScore::ReconstructionMae), none, float(&[5])),
        "card: output.score"
    );
}

#[test]
fn marking_as_replayed_changes_nothing_else_in_either_encoding() {
    let plan = plan(classes(2, 0.5), Activation::None, float(&[3])).unwrap();
    let output = Tensor { shape: vec![3], data: Data::F32(vec![0.125, 0.25, 0.625]) };
    let mut scratch = Scratch::default();
    let prediction = plan.interpret(&output, &[], &mut scratch).unwrap();
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let read = |bytes: &[u8]| -> ciborium::Value {
            match encoding {
                Encoding::Json => serde_json::from_slice(bytes).unwrap(),
                Encoding::Cbor => ciborium::from_reader(bytes).unwrap(),
            }
        };
        let bytes = encode(&message(&prediction), encoding, &mut Vec::new()).unwrap();
        let marked = mark_replayed(&bytes).unwrap();
        let (mut before, after) =
            (read(&bytes).into_map().unwrap(), read(&marked).into_map().unwrap());
        let last = before.last_mut().unwrap();
        assert_eq!(*last, ("replayed".into(), false.into()));
        last.1 = true.into();
        assert_eq!(before, after);
        assert_eq!(mark_replayed(&marked), None);
    }
    assert_eq!(mark_replayed(b"{}"), None);
    assert_eq!(mark_replayed(b""), None);
}

#[test]
fn both_encodings_say_the_same() {
    let kinds = [(classes(2, 0.9), 3), (OutputKind::Raw, 3)];
    for (kind, len) in kinds {
        let plan = plan(kind, Activation::None, float(&[len])).unwrap();
        let output = Tensor { shape: vec![len], data: Data::F32(vec![0.125; len]) };
        let mut scratch = Scratch::default();
        let prediction = plan.interpret(&output, &[], &mut scratch).unwrap();
        let json = encode(&message(&prediction), Encoding::Json, &mut Vec::new()).unwrap();
        let cbor = encode(&message(&prediction), Encoding::Cbor, &mut Vec::new()).unwrap();
        let json: Value = serde_json::from_slice(&json).unwrap();
        let cbor: Value = ciborium::from_reader(&*cbor).unwrap();
        assert_eq!(json, cbor);
        assert_eq!(json["id"], "gw-17-3f2a-18231");
        assert_eq!(json["device"], "watch \"7\"");
    }
}

#[test]
fn scores_have_six_digits() {
    let table = [
        (0.933_333_3, "0.933333"),
        (1.0 / 3.0, "0.333333"),
        (123_456.79, "123457.0"),
        (1_234_567.8, "1234570.0"),
        (1.234_567_8e-7, "1.23457e-7"),
        (0.0, "0.0"),
        (-0.000_123_456_78, "-0.000123457"),
        (f32::MAX, "3.40282e+38"),
        (f32::MIN_POSITIVE, "1.17549e-38"),
    ];
    for (value, text) in table {
        assert_eq!(serde_json::to_string(&round6(value)).unwrap(), text);
    }
}
