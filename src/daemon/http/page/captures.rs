//! Captured inputs, which wait for a label.

use std::collections::BTreeMap;

use super::PageView;
use super::html::{ago, bytes, count, esc};
use crate::capture::{CaptureStats, SegmentFile};

/// Renders the counts and the newest files; nothing if no stream captures inputs.
pub(super) fn render(view: &PageView<'_>) -> String {
    let Some(stats) = &view.health.capture else { return String::new() };
    let max = view.config.capture.max_bytes;
    let upload = stats
        .upload_error
        .as_ref()
        .map(|why| format!("<p class=\"warn\">The last upload failed: {}</p>", esc(why)));
    let uploaded = view.config.capture.upload.as_ref();
    let uploaded = uploaded
        .map(|_| format!("<dt>Uploaded</dt><dd>{} inputs</dd>", count(stats.uploaded)))
        .unwrap_or_default();
    format!(
        "<section class=\"card\" aria-labelledby=\"captures\"><div id=\"card-captures\" data-live>\
         <h2 id=\"captures\">Captured inputs</h2><dl class=\"rows\">\
         <dt>On disk</dt><dd>{inputs} in {segments} files, {size} of {max}</dd>\
         <dt>In memory</dt><dd>{unwritten}</dd><dt>Since the start</dt><dd>{captured}</dd>\
         {uploaded}{lost}</dl>{upload}{files}</div></section>",
        inputs = count(stats.inputs),
        segments = count(stats.segments),
        size = bytes(stats.bytes),
        max = bytes(max),
        unwritten = count(stats.unwritten),
        captured = by_name(&stats.captured).unwrap_or_else(|| "none".to_owned()),
        lost = lost(stats),
        upload = upload.unwrap_or_default(),
        files = files(view),
    )
}

/// Counts by trigger or reason: `drift 12, margin 3`; `None` if there are none.
fn by_name(counts: &BTreeMap<&'static str, u64>) -> Option<String> {
    let parts: Vec<_> = counts.iter().map(|(name, n)| format!("{name} {}", count(*n))).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// What was deleted or not captured.
fn lost(stats: &CaptureStats) -> String {
    let row = |what: &str, text: String| format!("<dt>{what}</dt><dd>{text}</dd>");
    let evicted = by_name(&stats.evicted).map(|text| row("Deleted for space", text));
    let dropped = by_name(&stats.dropped).map(|text| row("Not captured", text));
    let expired = (stats.expired > 0).then(|| row("Deleted for age", count(stats.expired)));
    [evicted, expired, dropped].into_iter().flatten().collect()
}

fn files(view: &PageView<'_>) -> String {
    if view.captures.is_empty() {
        return String::new();
    }
    let row = |file: &SegmentFile| {
        format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            ago(view.now.wall, Some(file.time)),
            esc(&file.stream),
            file.trigger,
            count(file.inputs),
            bytes(file.bytes)
        )
    };
    let rows: String = view.captures.iter().map(row).collect();
    format!(
        "<table><caption>Newest files; <code>inferd capture export --out FOLDER</code> copies them\
         </caption><tr><th scope=\"col\">first input</th><th scope=\"col\">stream</th>\
         <th scope=\"col\">trigger</th><th scope=\"col\">inputs</th><th scope=\"col\">size</th>\
         </tr>{rows}</table>"
    )
}
