//! The card of one stream.

use std::time::Duration;

use super::html::{ago, count, esc, percent, span};
use super::{PageView, accuracy, chart, drift};
use crate::clock::Mono;
use crate::config::Stream;
use crate::monitor::health::HealthState;
use crate::monitor::{Minute, StageTimes, StreamStats, WindowStats};

/// The counts of the last minute, from the current minute and a part of the one before.
pub(super) struct Rate {
    pub(super) messages: u64,
    pub(super) predictions: u64,
}

/// How much came in the last minute.
pub(super) fn per_minute(stats: &StreamStats, now: Mono) -> Rate {
    const MINUTE_US: u64 = 60_000_000;
    let minutes: Vec<Minute> = stats.history.until(now).collect();
    let mut latest = minutes.iter().rev();
    let current = latest.next().copied().unwrap_or_default();
    let before = latest.next().copied().unwrap_or_default();
    let left = MINUTE_US - now.0 % MINUTE_US;
    let part =
        |before: u32, current: u32| u64::from(before) * left / MINUTE_US + u64::from(current);
    Rate {
        messages: part(before.messages, current.messages),
        predictions: part(before.predictions, current.predictions),
    }
}

/// Renders the card.
pub(super) fn card(view: &PageView<'_>, config: &Stream, stats: &StreamStats) -> String {
    let name = esc(config.name.as_str());
    let model = view.models.iter().find(|model| *model.name() == config.model);
    let version = model.map_or("", |model| model.loaded.card.version.as_str());
    let reasons = view.health.verdict.reasons.iter();
    let of_stream = reasons.filter(|r| r.stream.as_deref() == Some(config.name.as_str()));
    let state = of_stream.map(|reason| reason.state).max().unwrap_or(HealthState::Healthy);
    let state = state.as_str();
    let facts = facts(view, stats);
    let (window, rejects) = (window(stats), rejects(stats));
    let (drift, accuracy) = (
        stats.drift.as_ref().map(drift::render).unwrap_or_default(),
        stats.labels.as_ref().map(accuracy::render).unwrap_or_default(),
    );
    format!(
        "<article class=\"card\" aria-labelledby=\"stream-{name}\">\
         <div id=\"card-{name}\" data-live>\
         <header><h3 id=\"stream-{name}\">{name}</h3>\
         <span class=\"pill {state}\">{state}</span>\
         <span class=\"quiet\">model {model} {version}</span></header>\
         <p class=\"route\"><code>{from}</code> <span aria-label=\"to\">→</span> <code>{to}</code>\
         </p>{facts}{window}{rejects}{accuracy}{drift}</div>\
         <details class=\"live\" data-stream=\"{name}\" open><summary>Live</summary>\
         <div class=\"live-view\"><p class=\"quiet\">The live charts need JavaScript.</p></div>\
         </details>{attempt}</article>\n",
        attempt = attempt(view, config),
        model = esc(config.model.as_str()),
        version = esc(version),
        from = esc(&config.topic.to_string()),
        to = esc(&config.publish.topic.to_string()),
    )
}

/// The form that tries a payload; it needs a token.
fn attempt(view: &PageView<'_>, config: &Stream) -> String {
    let name = esc(config.name.as_str());
    if view.config.http.token_file.is_none() {
        return "<details class=\"try\"><summary>Try a payload</summary><p class=\"quiet\">Set \
                <code>http.token_file</code> to send payloads through this stream without \
                publishing.</p></details>"
            .to_owned();
    }
    let topic = config.topic.example(|_| "test");
    format!(
        "<details class=\"try\" data-stream=\"{name}\"><summary>Try a payload</summary>\
         <p class=\"quiet\">It goes through a copy of this stream. Nothing is published.</p>\
         <p><label>Topic <input class=\"try-topic\" value=\"{}\"></label></p>\
         <p><label>Payload<textarea class=\"try-payload\" spellcheck=\"false\"></textarea>\
         </label></p><p><button type=\"button\" class=\"try-run\">Try</button></p>\
         <div class=\"try-outcome\" role=\"status\"></div></details>",
        esc(&topic)
    )
}

fn facts(view: &PageView<'_>, stats: &StreamStats) -> String {
    let minutes: Vec<Minute> = stats.history.until(view.now.mono).collect();
    let rate = per_minute(stats, view.now.mono);
    let rejected: u64 = stats.rejects.values().sum();
    let label = format!(
        "{} messages in the last hour, {} rejected since the start",
        minutes.iter().map(|minute| u64::from(minute.messages)).sum::<u64>(),
        rejected
    );
    let (stages, latency) = (&stats.stages, stats.latency.summary());
    let mean = |times: &StageTimes| times.mean().unwrap_or_default();
    let means = [mean(&stages.queue), mean(&stages.prepare), mean(&stages.run)];
    let micros = means.map(|mean| u64::try_from(mean.as_micros()).unwrap_or(u64::MAX));
    let classes = ["queue", "prepare", "run"];
    let parts: Vec<(&str, u64)> = classes.into_iter().zip(micros).collect();
    let key = |(class, mean): (&str, Duration)| {
        format!("<span><i class=\"key {class}\"></i>{class} {}</span>", span(mean))
    };
    let keys: String = classes.into_iter().zip(means).map(key).collect();
    let (p50, p99) = (latency.p50_us, latency.p99_us);
    format!(
        "<div class=\"facts\"><figure><figcaption><b>{messages}</b> messages a minute \
         <span class=\"quiet\">· last one {last}</span></figcaption>{hour}\
         <p class=\"quiet ends\"><span>an hour ago</span><span>now</span></p></figure>\
         <figure><figcaption><b>{predictions}</b> predictions a minute \
         <span class=\"quiet\">· last one {predicted}</span></figcaption>{parts}\
         <p class=\"keys\">{keys}</p><p class=\"quiet\">latency 50 % {p50}, 99 % {p99} · \
         {all} predictions</p></figure></div>",
        messages = count(rate.messages),
        predictions = count(rate.predictions),
        last = ago(view.now.wall, stats.last_message),
        predicted = ago(view.now.wall, stats.last_prediction),
        hour = chart::hour(&minutes, &label),
        parts = chart::parts(&parts, "mean time by stage"),
        p50 = span(Duration::from_micros(p50)),
        p99 = span(Duration::from_micros(p99)),
        all = count(stats.predictions),
    )
}

fn window(stats: &StreamStats) -> String {
    let Some(window) = &stats.window else { return String::new() };
    let WindowStats { length, devices, device, filled, missing, lost_since_prediction, .. } =
        window;
    let lost = match &window.last_lost {
        Some(lost) if *lost_since_prediction > 0 => format!(
            "<p class=\"warn\">{} partial windows were discarded since the last prediction: {}</p>",
            count(*lost_since_prediction),
            esc(&lost.message)
        ),
        _ => String::new(),
    };
    let devices = if *devices == 1 { "1 device".to_owned() } else { format!("{devices} devices") };
    format!(
        "<p class=\"fill\"><label>Window <progress max=\"100\" value=\"{percent}\">{filled} of \
         {length}</progress></label> <span>{filled} of {length} samples · {device} needs {missing} \
         more · {devices}</span></p>{lost}",
        percent = percent(*filled, *length),
        device = esc(device),
    )
}

fn rejects(stats: &StreamStats) -> String {
    if stats.rejects.is_empty() {
        return String::new();
    }
    let rows: String = stats
        .rejects
        .iter()
        .map(|(reason, number)| {
            format!("<span class=\"tag\">{reason} <b>{}</b></span>", count(*number))
        })
        .collect();
    let condition = &stats.condition;
    let last = condition.last_reject.as_ref().or(condition.last_failure.as_ref());
    let last = last.map(|last| {
        format!(
            "<p>The last one, on <code>{}</code>: {}</p><pre>{}</pre>",
            esc(&last.topic),
            esc(&last.message),
            esc(&last.excerpt)
        )
    });
    format!(
        "<details class=\"rejects\"><summary>Rejected {rows}</summary>{}</details>",
        last.unwrap_or_default()
    )
}
