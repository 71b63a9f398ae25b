//! The display of the demo: on a terminal one live line per watch and a progress bar, otherwise plain
//! lines.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::replay::Watch;
use super::score::{Figures, Prediction, Scored};
use crate::demo::sandbox::Sandbox;

/// The output of the demo.
pub(crate) struct TerminalView {
    kind: Kind,
    lines: std::cell::RefCell<Lines>,
}

enum Kind {
    Terminal,
    Plain,
    Json,
}

#[derive(Default)]
struct Lines {
    all: MultiProgress,
    watches: Vec<(String, ProgressBar)>,
    bar: Option<ProgressBar>,
}

impl TerminalView {
    pub(crate) fn new(json: bool) -> Self {
        let kind = match (json, std::io::stdout().is_terminal()) {
            (true, _) => Kind::Json,
            (false, true) => Kind::Terminal,
            (false, false) => Kind::Plain,
        };
        Self { kind, lines: std::cell::RefCell::default() }
    }

    pub(crate) fn title(&self, sandbox: &Sandbox) {
        if !matches!(self.kind, Kind::Json) {
            println!("{sandbox}\n");
        }
    }

    /// Prints a line, unless the figures are one JSON object.
    pub(crate) fn line(&self, text: &str) {
        if !matches!(self.kind, Kind::Json) {
            println!("{text}");
        }
    }

    pub(crate) fn begin(&self, watches: &[Watch], expected: u64) {
        if !matches!(self.kind, Kind::Terminal) {
            return;
        }
        let mut lines = self.lines.borrow_mut();
        let line = ProgressStyle::with_template("  {prefix:10} {msg}");
        let bar = ProgressStyle::with_template("  {bar:40} {pos}/{len} predictions  {elapsed}");
        let (Ok(line), Ok(bar)) = (line, bar) else { return };
        for watch in watches {
            let row = lines.all.add(ProgressBar::new(0).with_style(line.clone()));
            row.set_prefix(watch.name.clone());
            row.set_message("…");
            lines.watches.push((watch.name.clone(), row));
        }
        let bar = lines.all.add(ProgressBar::new(expected).with_style(bar));
        lines.bar = Some(bar);
    }

    pub(crate) fn prediction(&self, prediction: &Prediction, scored: &Scored) {
        let label = prediction.label.as_deref().unwrap_or("-");
        let mark = if scored.right { ' ' } else { '!' };
        let text = format!(
            "{mark} {label:10} {:>6.3}  {:>7.2} ms",
            prediction.score.unwrap_or_default(),
            scored.latency.as_secs_f64() * 1e3
        );
        let lines = self.lines.borrow();
        match self.kind {
            Kind::Json => {}
            Kind::Plain => println!("  {:10} {text}", prediction.device),
            Kind::Terminal => {
                if let Some((_, row)) = lines.watches.iter().find(|(n, _)| *n == prediction.device)
                {
                    row.set_message(text);
                }
                if let Some(bar) = &lines.bar {
                    bar.inc(1);
                }
            }
        }
    }

    pub(crate) fn finish(
        &self,
        figures: &Figures,
        samples: u64,
        took: Duration,
    ) -> anyhow::Result<()> {
        let lines = self.lines.borrow();
        lines.watches.iter().for_each(|(_, row)| row.finish());
        lines.bar.iter().for_each(ProgressBar::finish);
        if matches!(self.kind, Kind::Json) {
            println!("{}", json(figures, samples, took)?);
            return Ok(());
        }
        let seconds = took.as_secs_f64().max(1e-9);
        let ms = |us: u64| Duration::from_micros(us).as_secs_f64() * 1e3;
        let share = |right: f64, of: f64| 100.0 * right / of.max(1.0);
        let Figures { recordings, recordings_right, windows, windows_right, .. } = *figures;
        println!();
        println!(
            "  accuracy    {recordings_right} of {recordings} recordings, {windows_right} of \
             {windows} windows ({:.1} %)",
            share(count(windows_right), count(windows))
        );
        println!(
            "  throughput  {samples} samples and {windows} predictions in {seconds:.1} s: {:.0} \
             and {:.0} a second",
            count(samples) / seconds,
            count(windows) / seconds
        );
        println!(
            "  latency     p50 {:.2} ms, p99 {:.2} ms from a window's last sample to its \
             prediction, over the broker",
            ms(figures.latency_p50_us),
            ms(figures.latency_p99_us)
        );
        println!(
            "  model       p50 {} us, p99 {} us a run, in integers",
            figures.run_p50_us, figures.run_p99_us
        );
        Ok(())
    }
}

/// Counts here are far below 2^52.
fn count(n: u64) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

fn json(figures: &Figures, samples: u64, took: Duration) -> anyhow::Result<String> {
    let mut object = serde_json::to_value(figures)?;
    if let Some(object) = object.as_object_mut() {
        object.insert("samples".into(), samples.into());
        object.insert("seconds".into(), took.as_secs_f64().into());
    }
    Ok(object.to_string())
}
