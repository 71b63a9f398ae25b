//! `--dry-run`: what a command would publish.

use crate::terminal::{Failure, print, print_json, table};

/// The option of commands that publish.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct DryRun {
    /// Print what would be published; publish nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// Messages in the order in which they would be published.
#[derive(Debug, Default)]
pub(super) struct Preview {
    publish: Vec<PlannedMessages>,
}

/// Some messages that belong together.
#[derive(Debug, serde::Serialize)]
pub(super) struct PlannedMessages {
    /// A topic, or the first and the last of several: `blob/3f…/0..7`. A path where files are written.
    pub(super) topic: String,
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) what: String,
}

impl PlannedMessages {
    pub(super) fn one(topic: &str, bytes: usize, what: impl Into<String>) -> Self {
        Self { topic: topic.to_owned(), messages: 1, bytes, what: what.into() }
    }
}

impl Preview {
    pub(super) fn add(&mut self, planned: PlannedMessages) {
        self.publish.push(planned);
    }

    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            return print_json(&serde_json::json!({ "dry_run": true, "publish": self.publish }));
        }
        let head = ["TOPIC", "MESSAGES", "BYTES", "WHAT"].map(str::to_owned).to_vec();
        let row = |planned: &PlannedMessages| {
            let PlannedMessages { topic, messages, bytes, what } = planned;
            vec![topic.clone(), messages.to_string(), bytes.to_string(), what.clone()]
        };
        let rows: Vec<_> = std::iter::once(head).chain(self.publish.iter().map(row)).collect();
        let shown = if self.publish.is_empty() { String::new() } else { table(&rows) };
        print(&format!("{shown}--dry-run: nothing was published\n"))
    }
}
