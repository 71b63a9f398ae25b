//! Delivery, models, the log, and commands to copy.

use log::Level;

use super::PageView;
use super::html::{ago, bytes, count, esc};
use crate::clock::Timestamp;
use crate::config::{Config, Level as TopicLevel};
use crate::daemon::models::active::ActiveModel;
use crate::log_lines::{self, LogLine};
use crate::update::ModelState;

/// Lines of the log on the page.
const MAX_LINES: usize = 100;

/// The connection, what waits and what was lost.
pub(super) fn delivery(view: &PageView<'_>) -> String {
    let (link, queue) = (&view.health.link, &view.health.queue);
    let since = ago(view.now.wall, link.since);
    let connection = match (&link.fault, link.connected) {
        (_, true) => format!("connected, {since}"),
        (Some(fault), false) => format!("no connection, {since}: {}", esc(fault)),
        (None, false) => "connecting".to_owned(),
    };
    let disk = queue.disk.as_ref().map_or_else(
        || "the store is closed; results are kept in memory only".to_owned(),
        |disk| {
            let free = disk.free_bytes.map(|free| format!(", {} free", bytes(free)));
            let (records, size) = (count(disk.records), bytes(disk.disk_bytes));
            format!("{records} results, database {size}{}", free.unwrap_or_default())
        },
    );
    let row = |(stream, reason, number): (&crate::ids::StreamName, &str, u64)| {
        format!("<tr><td>{stream}</td><td>{reason}</td><td>{}</td></tr>", count(number))
    };
    let lost: String = queue.lost.iter().map(row).collect();
    let lost = if lost.is_empty() {
        "<p class=\"quiet\">No result was lost since the start.</p>".to_owned()
    } else {
        format!(
            "<table class=\"bad\"><caption>Lost since the start</caption><tr>\
             <th scope=\"col\">stream</th><th scope=\"col\">reason</th>\
             <th scope=\"col\">results</th></tr>{lost}</table>"
        )
    };
    format!(
        "<section class=\"card\" aria-labelledby=\"delivery\"><div id=\"card-delivery\" data-live>\
         <h2 id=\"delivery\">Delivery</h2><dl class=\"rows\">\
         <dt>Broker</dt><dd>{connection}<br><code>{broker}</code></dd>\
         <dt>Mode</dt><dd>{mode}</dd>\
         <dt>In memory</dt><dd>{memory} results</dd><dt>On disk</dt><dd>{disk}</dd>\
         <dt>Disk syncs</dt><dd>{syncs} in the last hour</dd></dl>{lost}</div></section>",
        broker = esc(&view.config.broker.to_string()),
        mode = queue.mode,
        memory = queue.memory_records,
        syncs = count(queue.syncs_per_hour),
    )
}

/// The active version of each model and its update.
pub(super) fn models(view: &PageView<'_>) -> String {
    let models: String = view.models.iter().map(|model| row(view, model)).collect();
    format!(
        "<section class=\"card\" aria-labelledby=\"models\"><div id=\"card-models\" data-live>\
         <h2 id=\"models\">Models</h2>{models}</div></section>"
    )
}

fn row(view: &PageView<'_>, model: &ActiveModel) -> String {
    let report = model.report(view.now.wall);
    let digest = model.digest().to_string();
    let name_of = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let state = match report.state {
        ModelState::Idle => "no update".to_owned(),
        ModelState::Update(state) => name_of(serde_json::to_value(state).unwrap_or_default()),
    };
    let candidate = report.candidate.as_ref().map(|candidate| {
        let version = candidate.version.as_deref().unwrap_or("another version");
        format!(
            "<p>{} <progress max=\"1\" value=\"{:.2}\">{:.0} %</progress></p>",
            esc(version),
            report.progress,
            100.0 * report.progress
        )
    });
    let reason = report.reason.map(|reason| {
        let reason = name_of(serde_json::to_value(reason).unwrap_or_default());
        format!("<p class=\"warn\">{}</p>", esc(&reason))
    });
    let trouble = model.load_error.as_ref();
    let trouble = trouble.map(|why| format!("<p class=\"warn\">{}</p>", esc(why)));
    let previous = report
        .previous
        .as_ref()
        .map(|previous| format!("<dt>Previous</dt><dd>{}</dd>", esc(&previous.version)));
    let card = &model.loaded.card;
    format!(
        "<h3>{name} <span class=\"quiet\">{version}</span></h3>{trouble}{description}\
         <dl class=\"rows\"><dt>Update</dt><dd>{state}</dd><dt>Digest</dt><dd>\
         <code title=\"{digest}\">{short}</code>{built_in}</dd>{previous}</dl>{candidate}{reason}",
        name = esc(model.name().as_str()),
        version = esc(&card.version),
        trouble = trouble.unwrap_or_default(),
        description = match card.description.as_str() {
            "" => String::new(),
            text => format!("<p class=\"quiet\">{}</p>", esc(text)),
        },
        short = digest.get(..12).unwrap_or_default(),
        built_in = if model.stored.is_none() { " built-in" } else { "" },
        previous = previous.unwrap_or_default(),
        candidate = candidate.unwrap_or_default(),
        reason = reason.unwrap_or_default(),
    )
}

/// The last lines of the log, the newest first.
pub(super) fn logs(now: Timestamp) -> String {
    let lines = log_lines::last_lines();
    let line = |line: &LogLine| {
        let (class, name) = match line.level {
            Level::Error => ("error", "error"),
            Level::Warn => ("warning", "warn"),
            _ => ("", "info"),
        };
        format!(
            "<li class=\"{class}\"><time datetime=\"{}\">{}</time> <b>{name}</b> {}</li>",
            line.time,
            ago(now, Some(line.time)),
            esc(&line.text)
        )
    };
    let items: String = lines.iter().rev().take(MAX_LINES).map(line).collect();
    format!(
        "<section class=\"card\" aria-labelledby=\"logs\"><header><h2 id=\"logs\">Log</h2>\
         <label class=\"filter\" hidden>Filter <input id=\"log-filter\" type=\"search\"></label>\
         </header><ol id=\"log-lines\" data-live class=\"log\" tabindex=\"0\" \
         aria-label=\"Last lines, the newest first\">{items}</ol></section>"
    )
}

/// Commands that show the same on a terminal.
pub(super) fn commands(config: &Config) -> String {
    let broker = &config.broker;
    let at = format!("mosquitto_sub -h {} -p {} -v -t", broker.host, broker.port);
    let own = format!("{}/{}", config.gateway.prefix, config.gateway.id);
    let stream = config.streams.iter().map(|stream| {
        let levels = stream.publish.topic.levels.iter().map(|level| match level.name() {
            Some("stream") => level.with(stream.name.as_str()),
            Some("gateway") => level.with(config.gateway.id.as_str()),
            Some("model") => level.with(stream.model.as_str()),
            Some(_) if matches!(level, TopicLevel::Rest(_)) => "#".to_owned(),
            Some(_) => "+".to_owned(),
            None => level.with(""),
        });
        let topic: Vec<String> = levels.collect();
        (format!("Predictions of {}", stream.name), format!("{at} '{}'", topic.join("/")))
    });
    let own = [
        ("Health and rejected inputs".to_owned(), format!("{at} '{own}/#'")),
        ("The same as this page".to_owned(), "inferd status".to_owned()),
    ];
    let row = |(what, command): (String, String)| {
        format!(
            "<dt>{}</dt><dd class=\"command\"><code>{}</code>\
             <button type=\"button\" class=\"copy\" hidden>Copy</button></dd>",
            esc(&what),
            esc(&command)
        )
    };
    let rows: String = stream.chain(own).map(row).collect();
    format!(
        "<section class=\"card\" aria-labelledby=\"commands\"><h2 id=\"commands\">On a terminal\
         </h2><dl class=\"commands\">{rows}</dl></section>"
    )
}
