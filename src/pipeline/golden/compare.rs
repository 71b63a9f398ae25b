//! Compares a prediction with the expected one, field by field.

use serde_json::{Map, Value};

use crate::bundle::card::{Card, OutputKind};

/// The field that differs.
#[derive(Debug)]
pub(super) struct Differs {
    pub(super) field: String,
    pub(super) expected: Value,
    pub(super) got: Value,
    /// Both are numbers.
    pub(super) numeric: bool,
}

type Members = Map<String, Value>;

/// Compares every field that is expected.
pub(super) fn prediction(
    card: &Card,
    expected: &Members,
    got: &Members,
    tolerance: f64,
) -> Result<(), Differs> {
    // Numbers first: they tell more about the cause than the label that follows from them.
    let decided = |field: &str| matches!(field, "label" | "labels" | "anomaly");
    let (labels, numbers): (Vec<_>, Vec<_>) = expected.iter().partition(|(name, _)| decided(name));
    for (field, wanted) in numbers {
        let found = got.get(field).unwrap_or(&Value::Null);
        match (field.as_str(), wanted, found) {
            ("scores", Value::Object(wanted), Value::Object(found)) => {
                scores(wanted, found, tolerance)?;
            }
            _ => value(field, wanted, found, tolerance)?,
        }
    }
    for (field, wanted) in labels {
        let found = got.get(field).unwrap_or(&Value::Null);
        if !same_set(wanted, found) && !is_tie(card, field, wanted, found, expected, tolerance) {
            return Err(differs(field, wanted, found));
        }
    }
    Ok(())
}

fn differs(field: &str, expected: &Value, got: &Value) -> Differs {
    let numeric = expected.is_number() && got.is_number();
    Differs { field: field.to_owned(), expected: expected.clone(), got: got.clone(), numeric }
}

fn value(field: &str, expected: &Value, got: &Value, tolerance: f64) -> Result<(), Differs> {
    match (expected, got) {
        (Value::Number(e), Value::Number(g)) => {
            let (e, g) = (e.as_f64().unwrap_or(f64::NAN), g.as_f64().unwrap_or(f64::NAN));
            let close = e == g || (e - g).abs() <= tolerance;
            if close { Ok(()) } else { Err(differs(field, expected, got)) }
        }
        (Value::Array(e), Value::Array(g)) if e.len() == g.len() => {
            let mut each = e.iter().zip(g).enumerate();
            each.try_for_each(|(i, (e, g))| value(&format!("{field}[{i}]"), e, g, tolerance))
        }
        (Value::Object(e), Value::Object(g)) => e.iter().try_for_each(|(name, e)| {
            let g = g.get(name).unwrap_or(&Value::Null);
            value(&format!("{field}.{name}"), e, g, tolerance)
        }),
        _ if expected == got => Ok(()),
        _ => Err(differs(field, expected, got)),
    }
}

/// Compares scores by label. Only the best `top_k` are published, so a missing score must not be higher
/// than the published ones.
fn scores(expected: &Members, got: &Members, tolerance: f64) -> Result<(), Differs> {
    let least = got.values().filter_map(Value::as_f64).fold(f64::INFINITY, f64::min);
    for (label, wanted) in expected {
        match got.get(label) {
            Some(found) => value(&format!("scores.{label}"), wanted, found, tolerance)?,
            None => {
                let below = wanted.as_f64().is_some_and(|wanted| wanted <= least + tolerance);
                if got.is_empty() || !below {
                    return Err(differs(&format!("scores.{label}"), wanted, &Value::Null));
                }
            }
        }
    }
    Ok(())
}

/// Whether two values are equal; the order of a list of labels is irrelevant.
fn same_set(a: &Value, b: &Value) -> bool {
    let (Value::Array(a), Value::Array(b)) = (a, b) else { return a == b };
    a.len() == b.len() && a.iter().all(|label| b.contains(label))
}

/// Whether the deciding scores are so close to each other, or to the threshold, that the decision may
/// differ on another processor within the tolerance. The scores themselves were compared.
fn is_tie(
    card: &Card,
    field: &str,
    expected: &Value,
    got: &Value,
    says: &Members,
    tolerance: f64,
) -> bool {
    let score_of = |label: &Value| says.get("scores")?.get(label.as_str()?)?.as_f64();
    let score = || says.get("score").and_then(Value::as_f64);
    let close = |a: f64, b: f32| (a - f64::from(b)).abs() <= tolerance;
    match (field, &card.output.kind) {
        ("label", OutputKind::Classification { threshold, .. }) => match (expected, got) {
            (Value::String(_), Value::String(_)) => {
                let scores = score_of(expected).zip(score_of(got));
                scores.is_some_and(|(a, b)| (a - b).abs() <= tolerance)
            }
            (Value::Null, _) | (_, Value::Null) => score().is_some_and(|s| close(s, *threshold)),
            _ => false,
        },
        ("anomaly", OutputKind::Anomaly { threshold, .. }) => {
            got.is_boolean() && score().is_some_and(|s| close(s, *threshold))
        }
        ("labels", OutputKind::MultiLabel { labels, thresholds }) => {
            let (Value::Array(expected), Value::Array(got)) = (expected, got) else { return false };
            let only = |a: &[Value], b: &[Value]| {
                a.iter().filter(|label| !b.contains(label)).cloned().collect::<Vec<_>>()
            };
            let changed = [only(expected, got), only(got, expected)].concat();
            changed.iter().all(|label| {
                let place = labels.iter().position(|name| Some(name.as_str()) == label.as_str());
                let threshold = place.and_then(|place| thresholds.get(place));
                score_of(label).zip(threshold).is_some_and(|(s, t)| close(s, *t))
            })
        }
        _ => false,
    }
}
