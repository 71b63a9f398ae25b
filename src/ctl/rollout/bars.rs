//! How a rollout is shown: a bar for each wave on a terminal, else a line for what happens.

use std::cell::RefCell;
use std::io::IsTerminal as _;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Course, Progress, Rollout};
use crate::cli::{print, print_json};
use crate::ctl::Failure;
use crate::ctl::fleet::view::Model;
use crate::ids::GatewayId;

/// Where it is shown.
#[derive(Debug)]
pub(super) struct Bars {
    json: bool,
    screen: Option<MultiProgress>,
    waves: RefCell<Vec<ProgressBar>>,
    ended: RefCell<std::collections::BTreeSet<GatewayId>>,
    connected: bool,
}

impl Bars {
    pub(super) fn new(json: bool) -> Self {
        let screen = !json && std::io::stderr().is_terminal();
        Self {
            json,
            screen: screen.then(MultiProgress::new),
            waves: RefCell::default(),
            ended: RefCell::default(),
            connected: true,
        }
    }

    /// The broker has the deployment of a wave, or of a hold.
    pub(super) fn published(&self, rollout: &Rollout, seq: u64, fleet: &[GatewayId]) {
        let (wave, plan) = (rollout.wave(), rollout.plan());
        let percent = plan.waves.get(wave.saturating_sub(1)).copied().unwrap_or_default();
        let (reached, hold) = (rollout.reached(fleet), rollout.course != Course::Running);
        if self.json {
            return self.line(&json!({ "event": "published", "wave": wave, "percent": percent,
                "seq": seq, "hold": hold, "reached": reached }));
        }
        let what = if hold { "held back".to_owned() } else { format!("{reached} gateways") };
        self.text(&format!(
            "wave {wave} of {} ({percent} %), number {seq}: {what}",
            plan.waves.len()
        ));
    }

    /// A gateway's update ended; said once.
    pub(super) fn ended(&self, gateway: &GatewayId, model: &Model) {
        if !self.ended.borrow_mut().insert(gateway.clone()) {
            return;
        }
        if self.json {
            let (state, reason) = (&model.state, &model.reason);
            return self.line(&json!({ "event": "ended", "gateway": gateway, "state": state,
                "reason": reason }));
        }
        if model.state != "committed" {
            let reason = model.reason.as_deref().unwrap_or("no reason given");
            self.text(&format!("{gateway}: {} ({reason})", model.state));
        }
    }

    /// Says once that the broker is away, and that it is back.
    pub(super) fn connected(&mut self, connected: bool) {
        if std::mem::replace(&mut self.connected, connected) != connected {
            let what = if connected { "the broker is back" } else { "the broker is away" };
            if self.json {
                return self.line(&json!({ "event": "broker", "connected": connected }));
            }
            self.text(what);
        }
    }

    /// Draws the bars of the waves begun.
    pub(super) fn draw(&self, rollout: &Rollout, fleet: &[GatewayId]) {
        let Some(screen) = &self.screen else { return };
        let mut waves = self.waves.borrow_mut();
        for (index, progress) in rollout.progress(fleet).iter().enumerate() {
            if waves.len() <= index {
                waves.push(screen.add(bar(index, progress)));
            }
            let Some(bar) = waves.get(index) else { continue };
            bar.set_length(count(progress.reached));
            bar.set_position(count(progress.ended));
            bar.set_message(format!("{} failed", progress.failed));
        }
    }

    pub(super) fn clear(&self) {
        self.waves.borrow().iter().for_each(ProgressBar::abandon);
    }

    /// The outcome, as far as it is known.
    pub(super) fn finish(&self, rollout: &Rollout) -> Result<(), Failure> {
        self.clear();
        let (ended, failed) = (rollout.ended(), rollout.failures());
        let (name, waves) = (&rollout.plan().name, rollout.plan().waves.len());
        if self.json {
            return print_json(&json!({ "event": "end", "deployment": name,
                "course": rollout.course, "wave": rollout.wave(), "waves": waves,
                "ended": ended, "failed": failed }));
        }
        let course = match rollout.course {
            Course::Running => "under way",
            Course::Paused => "paused",
            Course::Aborted => "aborted",
            Course::Replaced => "replaced",
            Course::Done => "done",
        };
        print(&format!(
            "{name}: {course} in wave {} of {waves}; {ended} gateways ended, {failed} of them \
             failed\n",
            rollout.wave()
        ))
    }

    /// A reader who is gone does not stop a rollout.
    fn line(&self, value: &serde_json::Value) {
        if print_json(value).is_err() {
            log::debug!("nobody reads: {value}");
        }
    }

    fn text(&self, text: &str) {
        let said = match &self.screen {
            Some(screen) => screen.println(text).is_ok(),
            None => print(&format!("{text}\n")).is_ok(),
        };
        if !said {
            log::debug!("nobody reads: {text}");
        }
    }
}

fn bar(index: usize, progress: &Progress) -> ProgressBar {
    let bar = ProgressBar::new(count(progress.reached));
    let template = "{prefix:18} {bar:40} {pos}/{len} ended, {msg}  {elapsed}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.with_prefix(format!("wave {} ({} %)", index + 1, progress.percent))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
