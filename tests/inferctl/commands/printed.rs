//! The examples that `--help` prints, in a folder where they can be run.

use std::collections::BTreeMap;

use clap::Command;

use super::found::lines;
use super::program;
use super::shell::{Shell, Staying};
use crate::inferctl::terminal::on_terminal;

/// The examples of a program and of each of its verbs, by verb; the program itself has none.
pub(super) fn examples(name: &str) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    collect(&program(name), name, "", &mut found);
    found
}

fn collect(command: &Command, name: &str, verb: &str, found: &mut BTreeMap<String, Vec<String>>) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let lines = lines(&help);
    let lines = lines.iter().filter_map(|line| line.strip_prefix("  "));
    let lines = lines.filter(|line| line.starts_with(&format!("{name} ")));
    // What it does stands behind it.
    let lines = lines.map(|line| line.split("   ").next().unwrap().to_owned());
    let lines: Vec<_> = lines.collect();
    if !lines.is_empty() {
        found.insert(verb.to_owned(), lines);
    }
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        collect(sub, name, format!("{verb} {}", sub.get_name()).trim(), found);
    }
}

/// Runs examples of some verbs, each once, and knows which have not been run.
pub(super) struct Examples {
    pub(super) shell: Shell,
    left: Vec<(String, String)>,
    places: Vec<(String, String)>,
}

impl Examples {
    pub(super) fn new(shell: Shell, name: &str, verbs: &[&str]) -> Self {
        let mut all = examples(name);
        let mut left = Vec::new();
        for verb in verbs {
            let lines = all.remove(*verb).unwrap_or_else(|| panic!("no example of {verb}"));
            left.extend(lines.into_iter().map(|line| ((*verb).to_owned(), line)));
        }
        Self { shell, left, places: Vec::new() }
    }

    /// A place of the documents, a host or a file, is here at another place.
    pub(super) fn place(&mut self, printed: &str, here: &str) {
        self.places.retain(|(other, _)| other != printed);
        self.places.push((printed.to_owned(), here.to_owned()));
    }

    /// The first example of a verb that contains `part` and has not been run.
    pub(super) fn take(&mut self, verb: &str, part: &str) -> String {
        let is_it = |(of, line): &(String, String)| of == verb && line.contains(part);
        let found = self.left.iter().position(is_it);
        let found = found.unwrap_or_else(|| panic!("`{verb}` has no example with {part:?} left"));
        let (_, line) = self.left.remove(found);
        // What several verbs print is run once.
        self.left.retain(|(_, other)| *other != line);
        self.places.iter().fold(line, |line, (printed, here)| line.replace(printed, here))
    }

    /// Runs an example, which has to succeed; what it printed.
    pub(super) fn run(&mut self, verb: &str, part: &str) -> String {
        let line = self.take(verb, part);
        self.shell.run_ok(&format!("set -o pipefail\n{line}"))
    }

    /// Runs an example that has to print `wanted`.
    pub(super) fn prints(&mut self, verb: &str, part: &str, wanted: &str) {
        let text = self.run(verb, part);
        assert!(text.contains(wanted), "`{verb}` with {part:?} prints no {wanted:?}:\n{text}");
    }

    /// Runs an example in a folder below.
    pub(super) fn run_in(&mut self, folder: &str, verb: &str, part: &str) -> String {
        let line = self.take(verb, part);
        self.shell.run_ok(&format!("cd {folder}\n{line}"))
    }

    /// Starts an example, and waits until it has printed `wanted`.
    pub(super) fn spawn(&mut self, verb: &str, part: &str, wanted: &str) -> Staying {
        let line = self.take(verb, part);
        let mut staying = self.shell.spawn(&line);
        staying.await_text(wanted);
        staying
    }

    /// Runs an example on a terminal of its own, and types the answers.
    pub(super) fn type_in(&mut self, verb: &str, part: &str, answers: &[(&str, &str)]) -> String {
        let line = self.take(verb, part);
        let words: Vec<_> = line.split_whitespace().skip(1).collect();
        let ended = on_terminal(self.shell.path(), &words, answers);
        let shown = ended["shown"].as_str().unwrap();
        assert_eq!(ended["code"], 0, "{line}\n{shown}");
        shown.to_owned()
    }

    /// Runs lines that prepare an example.
    pub(super) fn prepare(&self, lines: &str) -> String {
        self.shell.run_ok(lines)
    }

    /// Every example was run.
    pub(super) fn done(&self) {
        let left: Vec<_> = self.left.iter().map(|(_, line)| line.as_str()).collect();
        assert!(left.is_empty(), "examples that were not run:\n{}", left.join("\n"));
    }
}
