//! The status page. Everything on it but the live charts is rendered here, so that it is complete
//! without JavaScript; the script loads the page again and exchanges what has changed.

mod accuracy;
mod captures;
mod chart;
mod drift;
mod html;
mod overview;
mod stream;
mod system;

use crate::capture::SegmentFile;
use crate::clock::Now;
use crate::config::Config;
use crate::daemon::models::active::ActiveModel;
use crate::daemon::telemetry::snapshot::HealthSnapshot;
use html::esc;

pub(super) const STYLE: &str = include_str!("page.css");
pub(super) const SCRIPT: &str = include_str!("page.js");
pub(super) const ICON: &str = include_str!("icon.svg");

/// What the page shows.
pub(super) struct PageView<'a> {
    pub(super) config: &'a Config,
    pub(super) health: &'a HealthSnapshot,
    pub(super) models: &'a [ActiveModel],
    /// The newest files with captured inputs, the newest first.
    pub(super) captures: &'a [SegmentFile],
    pub(super) now: Now,
}

/// Renders the page.
pub(super) fn render(view: &PageView<'_>) -> String {
    let gateway = esc(view.config.gateway.id.as_str());
    let state = view.health.verdict.state.as_str();
    let streams: String = view
        .config
        .streams
        .iter()
        .filter_map(|config| {
            Some(stream::card(view, config, view.health.streams.get(&config.name)?))
        })
        .collect();
    let captures = captures::render(view);
    let (overview, logs) = (overview::render(view), system::logs(view.now.wall));
    let (delivery, models, commands) =
        (system::delivery(view), system::models(view), system::commands(view.config));
    format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{gateway} · {state} · inferd</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/page.css">
<script src="/page.js" defer></script>
</head>
<body>
<a class="skip" href="#streams">Skip to the streams</a>
<header class="top">
<span class="mark" aria-hidden="true"></span>
<h1>{gateway}</h1>
<nav aria-label="Sections"><a href="#streams">Streams</a><a href="#delivery">Delivery</a><a href="#models">Models</a><a href="#logs">Log</a></nav>
</header>
<p id="offline" class="offline" role="alert" hidden></p>
<main>
{overview}
<h2 id="streams">Streams</h2>
{streams}
<div class="columns">
{delivery}
{models}
</div>
{captures}
{logs}
{commands}
</main>
<footer>inferd {version} · <a href="/metrics">metrics</a> · <a href="/api/status">status as JSON</a> · <a href="/v2">Open Inference Protocol</a></footer>
</body>
</html>
"##,
        version = view.health.version,
    )
}
