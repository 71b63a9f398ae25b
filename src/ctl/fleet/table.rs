//! The fleet as a table and as JSON.

use std::collections::BTreeMap;

use serde_json::Value;

use super::summary;
use super::view::{FleetView, GatewayState, ModelStatus, age};
use crate::clock::Timestamp;
use crate::ids::GatewayId;
use crate::terminal::table;
use crate::update::machine::State;

#[derive(serde::Serialize)]
pub(super) struct Object<'a> {
    gateway: &'a GatewayId,
    #[serde(flatten)]
    of: &'a GatewayState,
}

/// Each gateway with all its reports.
pub(super) fn objects<'a>(view: &'a FleetView, group: Option<&str>) -> Vec<Object<'a>> {
    selected(view, group).map(|(gateway, of)| Object { gateway, of }).collect()
}

/// One line for every model of every gateway, and how many there are.
pub(super) fn table_of(view: &FleetView, group: Option<&str>, now: Timestamp) -> String {
    let head = [
        "GATEWAY", "STATE", "GROUPS", "MODEL", "VERSION", "COUNTER", "KEYSET", "UPDATE", "HEALTH",
        "SEEN",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let (mut all, mut online) = (0, 0);
    for (id, gateway) in selected(view, group) {
        all += 1;
        online += usize::from(gateway.is_online());
        rows.extend(lines(id, gateway, now));
    }
    let gateways: Vec<_> = selected(view, group).collect();
    let (explained, versions) = (explained(&gateways), summary::versions(&gateways));
    format!("{}{explained}{versions}{online} of {all} gateways online\n", table(&rows))
}

/// Explanations of the reasons in the table.
fn explained(gateways: &[(&GatewayId, &GatewayState)]) -> String {
    let models = gateways.iter().flat_map(|(_, gateway)| gateway.models.values());
    let reasons: BTreeMap<_, _> =
        models.filter_map(|model| Some((model.reason.as_deref()?, model.explanation()?))).collect();
    reasons.iter().map(|(reason, text)| format!("{reason}: {text}\n")).collect()
}

fn selected<'a>(
    view: &'a FleetView,
    group: Option<&str>,
) -> impl Iterator<Item = (&'a GatewayId, &'a GatewayState)> {
    let member = move |gateway: &GatewayState| {
        group.is_none_or(|group| gateway.status.groups.iter().any(|of| of == group))
    };
    view.gateways.iter().filter(move |(_, gateway)| member(gateway))
}

fn lines(id: &GatewayId, gateway: &GatewayState, now: Timestamp) -> Vec<Vec<String>> {
    let state = if gateway.status.state.is_empty() { "?" } else { &gateway.status.state };
    let is_gone = matches!(gateway.status.state.as_str(), "offline" | "stopped");
    let groups = gateway.status.groups.join(",");
    let seen = gateway
        .seen
        .map_or("-".to_owned(), |seen| format!("{} ago", age(now.since(seen).as_secs())));
    let line = |name: &str, version: &str, counter: String, update: String| {
        let health = gateway.health.as_ref().map_or("-".to_owned(), health);
        // The last report of an absent gateway is not its current state.
        let health = if is_gone && health != "-" { format!("last {health}") } else { health };
        let keyset = gateway.keyset(name).map_or("-".to_owned(), |number| number.to_string());
        let cells = [
            id.as_str(),
            state,
            &groups,
            name,
            version,
            &counter,
            &keyset,
            &update,
            &health,
            &seen,
        ];
        cells.map(str::to_owned).to_vec()
    };
    if gateway.models.is_empty() {
        return vec![line("-", "-", "-".to_owned(), "-".to_owned())];
    }
    let of = |(name, model): (&String, &ModelStatus)| {
        let active = model.active.as_ref();
        let version = active.map_or("-", |active| active.version.as_str());
        let counter = active.and_then(|active| active.counter);
        let counter = counter.map_or("-".to_owned(), |counter| counter.to_string());
        line(name, version, counter, update(model))
    };
    gateway.models.iter().map(of).collect()
}

/// The state of the update, with the progress or the reason that goes with it.
fn update(model: &ModelStatus) -> String {
    let state = model.state.as_str();
    let progress = model.progress.unwrap_or(0.0) * 100.0;
    match (&model.reason, model.update()) {
        (Some(reason), _) => format!("{state}: {reason}"),
        (None, Some(State::Fetching)) => format!("{state} {progress:.0} %"),
        (None, _) => state.to_owned(),
    }
}

/// The state with its first reason, and the few figures that tell whether to look closer.
fn health(health: &Value) -> String {
    let state = health.get("state").and_then(Value::as_str);
    let reason = health.pointer("/reasons/0/code").and_then(Value::as_str);
    let number = |path: &str| health.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let waiting = number("/queue/memory_records").saturating_add(number("/queue/disk/records"));
    let lost = health.pointer("/queue/lost").map_or(0, sum);
    let rejected = health.get("streams").and_then(Value::as_object).map_or(0, |streams| {
        let of = |stream: &Value| stream.get("rejects").map_or(0, sum);
        streams.values().map(of).fold(0, u64::saturating_add)
    });
    let mut parts = Vec::new();
    match (state, reason) {
        (Some(state), Some(reason)) => parts.push(format!("{state}: {reason}")),
        (Some(state), None) => parts.push(state.to_owned()),
        // From a gateway that reports no state.
        (None, _) => {}
    }
    if rejected > 0 {
        parts.push(format!("{rejected} rejected"));
    }
    if waiting > 0 {
        parts.push(format!("{waiting} queued"));
    }
    if lost > 0 {
        parts.push(format!("{lost} lost"));
    }
    if parts.is_empty() {
        parts.push("ok".to_owned());
    }
    if let Some(bytes) = health.get("rss_bytes").and_then(Value::as_u64) {
        parts.push(format!("{} MB", bytes / 1_000_000));
    }
    parts.join(", ")
}

/// All numbers in a tree of counters together.
fn sum(tree: &Value) -> u64 {
    match tree {
        Value::Number(number) => number.as_u64().unwrap_or(0),
        Value::Array(items) => items.iter().map(sum).fold(0, u64::saturating_add),
        Value::Object(items) => items.values().map(sum).fold(0, u64::saturating_add),
        Value::Null | Value::Bool(_) | Value::String(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::ClientMessage;

    #[test]
    fn the_table_says_what_runs_where_and_how_it_is() {
        let mut view = FleetView::default();
        let now = Timestamp::parse("2026-01-01T00:05:00Z").unwrap();
        let mut apply = |topic: &str, payload: &str| {
            let topic = format!("p/{topic}");
            let message = ClientMessage { topic, payload: payload.to_owned().into(), retain: true };
            view.apply("p", &message, now);
        };
        apply("gw-1/status", r#"{"state":"online","groups":["a","b"]}"#);
        apply(
            "gw-1/health",
            r#"{"time":"2026-01-01T00:00:00Z","rss_bytes":14000000,
            "updates":{"motion":{"keyset":2}},"queue":{"memory_records":1,"disk":{"records":2},"lost":{"s":{"evicted":4}}}}"#,
        );
        apply(
            "gw-1/model/motion",
            r#"{"state":"fetching","progress":0.25,
            "active":{"version":"1.0.0","digest":"","counter":7}}"#,
        );
        apply("gw-2/model/motion", r#"{"state":"failed","reason":"golden"}"#);
        apply(
            "gw-2/health",
            r#"{"state":"failed","reasons":[{"code":"inputs-rejected"},{"code":"disk-low"}],
            "streams":{"s":{"rejects":{"syntax":20,"stale":2}},"t":{"rejects":{}}}}"#,
        );
        apply("gw-4/status", r#"{"state":"offline","groups":[]}"#);
        apply("gw-4/health", r#"{"state":"healthy","reasons":[],"streams":{}}"#);
        apply("gw-3/health", r#"{"state":"healthy","reasons":[],"streams":{}}"#);
        let text = table_of(&view, None, now);
        let lines: Vec<_> = text
            .lines()
            .map(|l| {
                l.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
            })
            .collect();
        let first = [
            "gw-1",
            "online",
            "a,b",
            "motion",
            "1.0.0",
            "7",
            "2",
            "fetching 25 %",
            "3 queued, 4 lost, 14 MB",
            "5 min ago",
        ];
        assert_eq!(lines[1], first);
        assert_eq!(&lines[2][..2], ["gw-2", "?"]);
        assert!(text.contains("failed: golden") && text.ends_with("1 of 4 gateways online\n"));
        let health = ["failed: inputs-rejected, 22 rejected", "healthy", "last healthy"];
        for (line, wanted) in lines[2..].iter().zip(health) {
            assert!(line.contains(&wanted), "no {wanted:?} in {line:?}");
        }
        assert!(!table_of(&view, Some("a"), now).contains("gw-2"));
    }
}
