//! The top of the page: how the gateway is, and its most important figures.

use std::time::Duration;

use super::PageView;
use super::html::{ago, bytes, count, esc, span};
use super::stream::per_minute;
use crate::monitor::health::{HealthState, Reason};

/// The sentence, the reasons and the figures.
pub(super) fn render(view: &PageView<'_>) -> String {
    let health = view.health;
    let verdict = &health.verdict;
    let sentence = match verdict.state {
        HealthState::Healthy => "Everything works",
        HealthState::Degraded => "It works, with restrictions",
        HealthState::Failed => "Action is needed",
    };
    let last = health.streams.values().filter_map(|stream| stream.last_prediction).max();
    let detail = match (verdict.reasons.len(), last) {
        (0, None) => "No prediction yet".to_owned(),
        (0, last) => format!("Last prediction {}", ago(view.now.wall, last)),
        (1, _) => "1 reason".to_owned(),
        (more, _) => format!("{more} reasons, the worst first"),
    };
    let up = span(Duration::from_secs(health.uptime_s));
    let reasons: String = verdict.reasons.iter().map(|reason| item(view, reason)).collect();
    let list = if reasons.is_empty() { String::new() } else { format!("<ul>{reasons}</ul>") };
    format!(
        "<section id=\"overview\" data-live class=\"hero {state}\" aria-label=\"State\">\
         <p class=\"sentence\"><span class=\"dot\" aria-hidden=\"true\"></span>{sentence}</p>\
         <p class=\"detail\">{detail} · up {up}</p>{list}</section>{figures}",
        state = verdict.state.as_str(),
        figures = figures(view),
    )
}

fn item(view: &PageView<'_>, reason: &Reason) -> String {
    let about = reason.stream.as_ref().or(reason.model.as_ref());
    let about = about.map(|name| format!("<b>{}</b> ", esc(name))).unwrap_or_default();
    format!(
        "<li class=\"{}\">{about}{} <small>since {}</small></li>",
        reason.state.as_str(),
        esc(&reason.message),
        span(view.now.wall.since(reason.since)),
    )
}

fn figures(view: &PageView<'_>) -> String {
    let health = view.health;
    let rates = health.streams.values().map(|stream| per_minute(stream, view.now.mono));
    let (messages, predictions) =
        rates.fold((0, 0), |sum, rate| (sum.0 + rate.messages, sum.1 + rate.predictions));
    let p99 = health.streams.values().map(|stream| stream.latency.summary());
    let p99 = p99.filter(|summary| summary.count > 0).map(|summary| summary.p99_us).max();
    let p99 = p99.map_or_else(|| "–".to_owned(), |us| span(Duration::from_micros(us)));
    let on_disk = health.queue.disk.as_ref().map_or(0, |disk| disk.records);
    let in_memory = u64::try_from(health.queue.memory_records).unwrap_or(u64::MAX);
    let lost: u64 = health.queue.lost.iter().map(|(_, _, count)| count).sum();
    let devices =
        health.streams.values().filter_map(|stream| Some(stream.window.as_ref()?.devices));
    let devices: u64 = devices.sum();
    let memory = health.rss_bytes.map_or_else(|| "–".to_owned(), bytes);
    let broker = if health.link.connected { "connected" } else { "offline" };
    let figure = |name: &str, value: String, class: &str| {
        format!("<div class=\"{class}\"><dt>{name}</dt><dd>{value}</dd></div>")
    };
    let bad = |is_bad: bool| if is_bad { "bad" } else { "" };
    let figures = [
        figure("Messages / min", count(messages), ""),
        figure("Predictions / min", count(predictions), ""),
        figure("Latency, 99 %", p99, ""),
        figure("Broker", broker.to_owned(), bad(!health.link.connected)),
        figure("Waiting results", count(in_memory.saturating_add(on_disk)), ""),
        figure("Lost results", count(lost), bad(lost > 0)),
        figure("Devices", count(devices), ""),
        figure("Memory", memory, ""),
    ];
    format!("<dl id=\"figures\" data-live class=\"figures\">{}</dl>", figures.concat())
}
