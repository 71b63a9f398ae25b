//! The streams of a gateway, from its health message. Gateways may be older or newer than this tool,
//! so every field may be missing or of another kind.

use serde_json::Value;

use super::html::{Text, badge, percent, shares, table};

/// Labels that are shown of a stream.
const MAX_SHOWN_LABELS: usize = 6;

/// The number at a JSON pointer; 0 if there is none.
fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// The streams of a health message with their names.
pub(super) fn streams(health: &Value) -> impl Iterator<Item = (&String, &Value)> {
    health.get("streams").and_then(Value::as_object).into_iter().flatten()
}

/// A table of the streams; empty if there are none.
pub(super) fn table_of(health: &Value) -> String {
    let rows: Vec<_> = streams(health).map(|(name, stream)| row(name, stream)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let head =
        ["Stream", "Predictions", "Rejected", "Labels", "Last prediction", "Accuracy", "Drift"];
    table(&head, rows)
}

fn row(name: &str, stream: &Value) -> Vec<String> {
    let rejects = stream.get("rejects").and_then(Value::as_object).into_iter().flatten();
    let rejected = rejects.filter_map(|(_, count)| count.as_u64()).fold(0, u64::saturating_add);
    vec![
        Text(name).to_string(),
        number(stream, "/predictions").to_string(),
        rejected.to_string(),
        labels(stream),
        last(stream),
        accuracy(stream).unwrap_or_default(),
        text(stream, "/drift/state").map(badge).unwrap_or_default(),
    ]
}

/// The most frequent labels as shares.
fn labels(stream: &Value) -> String {
    let labels = stream.pointer("/outputs/labels").and_then(Value::as_object);
    let labels = labels.into_iter().flatten();
    let mut labels: Vec<_> =
        labels.filter_map(|(label, count)| Some((label.as_str(), count.as_u64()?))).collect();
    labels.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let rest = labels.iter().skip(MAX_SHOWN_LABELS).map(|(_, count)| *count);
    let rest = rest.chain([number(stream, "/outputs/other_labels")]).fold(0, u64::saturating_add);
    labels.truncate(MAX_SHOWN_LABELS);
    labels.push(("others", rest));
    labels.push(("no label", number(stream, "/outputs/unlabelled")));
    if labels.iter().all(|(_, count)| *count == 0) { String::new() } else { shares(labels) }
}

fn last(stream: &Value) -> String {
    let time = text(stream, "/outputs/last/time").or_else(|| text(stream, "/last_prediction"));
    let Some(time) = time else { return String::new() };
    let label = text(stream, "/outputs/last/label").unwrap_or_default();
    let numbers = ["/outputs/last/score", "/outputs/last/value"];
    let number = numbers.iter().find_map(|pointer| stream.pointer(pointer)?.as_f64());
    let number = number.map(|number| format!(" {number:.2}")).unwrap_or_default();
    format!("{}{number}<br><small>{}</small>", Text(label), Text(time))
}

/// The accuracy of the version in use, by the labels that came.
fn accuracy(stream: &Value) -> Option<String> {
    let version = stream.pointer("/labels/versions")?.as_array()?.last()?;
    let labels = number(version, "/labels");
    if let Some(mae) = version.get("mae").and_then(Value::as_f64) {
        return Some(format!("mean error {mae:.3}<br><small>{labels} labels</small>"));
    }
    let correct = version.get("correct")?.as_u64()?;
    Some(format!("{} %<br><small>{labels} labels</small>", percent(correct, labels)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stream_is_shown_with_what_is_known_of_it() {
        let health = json!({"streams": {"motion": {
            "predictions": 40, "rejects": {"syntax": 2, "stale": 1},
            "outputs": {"labels": {"running": 30, "walking": 10}, "unlabelled": 0,
                "last": {"time": "2026-11-22T10:00:00Z", "label": "running", "score": 0.934}},
            "labels": {"versions": [{"labels": 9}, {"version": "1", "labels": 20, "correct": 19}]},
            "drift": {"state": "watch"},
        }}});
        let shown = table_of(&health);
        for wanted in [
            "motion",
            "40",
            "<td>3</td>",
            "<b>running</b> 75 %",
            "running 0.93",
            "95 %<br><small>20 labels",
            "fair\">watch",
        ] {
            assert!(shown.contains(wanted), "no {wanted:?} in {shown}");
        }
    }

    #[test]
    fn fields_that_are_missing_or_of_another_kind_are_left_out() {
        let odd = json!({"streams": {"s": {"predictions": "many", "rejects": [1], "outputs": 3,
            "labels": {"versions": {}}, "drift": "yes"}, "t": null}});
        assert_eq!(table_of(&odd).matches("<tr>").count(), 3);
        for none in [json!({}), json!([]), json!({"streams": 1})] {
            assert_eq!(table_of(&none), "");
        }
    }
}
