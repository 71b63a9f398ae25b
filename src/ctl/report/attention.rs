//! What needs an operator: gateways that are absent, degraded or failed, and streams that drift.

use serde_json::Value;

use super::html::{Text, badge};
use super::streams::streams;
use crate::clock::Timestamp;
use crate::ctl::fleet::view::{GatewayState, age};
use crate::ids::GatewayId;

/// The most entries that are listed.
const MAX_ENTRIES: usize = 100;

/// The state of a gateway: that of its health, or why that is not current.
pub(super) fn state(gateway: &GatewayState) -> &str {
    let reported = gateway.health.as_ref().and_then(|health| health.get("state")?.as_str());
    match gateway.status.state.as_str() {
        "online" => reported.unwrap_or("unknown"),
        "" => "unknown",
        absent => absent,
    }
}

/// A list, the most severe entries first.
pub(super) fn list(gateways: &[(&GatewayId, &GatewayState)], now: Timestamp) -> String {
    let mut entries: Vec<_> = gateways.iter().flat_map(|of| entries(of, now)).collect();
    if entries.is_empty() {
        return "<p>Nothing needs attention.</p>\n".to_owned();
    }
    entries.sort_by_key(|entry| entry.0);
    let more = entries.len().saturating_sub(MAX_ENTRIES);
    let items = entries.into_iter().take(MAX_ENTRIES).map(|(_, html)| format!("<li>{html}</li>\n"));
    let more =
        if more > 0 { format!("<p>{more} more are not listed.</p>\n") } else { String::new() };
    format!("<ul class=\"attention\">\n{}</ul>\n{more}", items.collect::<String>())
}

/// Entries of one gateway with their order.
fn entries(of: &(&GatewayId, &GatewayState), now: Timestamp) -> Vec<(u8, String)> {
    let (id, gateway) = *of;
    let name = format!("<b>{}</b>", Text(id));
    if !gateway.is_online() {
        let since = gateway.offline_since();
        let since = since.map(|since| format!(" for {}", age(now.since(since).as_secs())));
        let state = badge(state(gateway));
        return vec![(2, format!("{name} {state}{}", since.unwrap_or_default()))];
    }
    let Some(health) = &gateway.health else { return Vec::new() };
    let reasons = health.get("reasons").and_then(Value::as_array).into_iter().flatten();
    let reasons = reasons.map(|reason| {
        let text = |field: &str| reason.get(field).and_then(Value::as_str).unwrap_or_default();
        let order = if text("state") == "failed" { 0 } else { 1 };
        (order, format!("{name} {} {}", badge(text("state")), Text(text("message"))))
    });
    let drifts = streams(health).filter_map(|(stream, facts)| {
        let drift = facts.get("drift")?;
        let is_drifting = drift.get("state").and_then(Value::as_str) == Some("drift");
        let message = drift.pointer("/last_alarm/message").and_then(Value::as_str)?;
        let text = format!("{name} {} stream {}: {}", badge("drift"), Text(stream), Text(message));
        is_drifting.then_some((1, text))
    });
    reasons.chain(drifts).collect()
}
