//! Where commands are printed.

use std::fs;
use std::path::Path;

use clap::Command;

use super::found::{Found, in_markdown, in_rust, in_spans, in_text, lines};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder of these extensions, with their names from the root.
fn files(folder: &str, extensions: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if extensions.contains(&extension) {
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "nothing below {folder}", folder = folder);
    found
}

/// The sources of a room, the tests left out.
pub(super) fn rust(folder: &str) -> Vec<(String, String)> {
    let mut all = files(folder, &["rs"]);
    all.retain(|(name, _)| !name.contains("/tests/") && !name.ends_with("/tests.rs"));
    for (_, text) in &mut all {
        let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
        text.truncate(end);
    }
    all
}

/// Every document.
pub(super) fn documents() -> Vec<(String, String)> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut documents = files("docs", &["md"]);
    documents.push(("README.md".to_owned(), readme));
    documents
}

/// Every command that is printed anywhere.
pub(super) fn all() -> Vec<Found> {
    let mut found = Vec::new();
    for (name, text) in documents() {
        found.extend(in_markdown(&name, &text));
    }
    for (name, text) in rust("src") {
        found.extend(in_rust(&name, &text));
    }
    for (name, text) in files("config", &["toml", "example"]) {
        found.extend(in_spans(&name, &text));
    }
    for (name, text) in files("systemd", &["service"]) {
        let lines = lines(&text);
        let started = lines.iter().filter_map(|line| line.strip_prefix("Exec")?.split_once('='));
        for (_, command) in started {
            let command = command.trim_start_matches(['-', '+', '!']).replace("/usr/bin/", "");
            found.extend(in_text(&name, &format!("  {command}")));
        }
    }
    for name in ["inferd", "inferctl"] {
        help(&super::program(name), name, &mut found);
    }
    found
}

/// The help of a program, verb by verb: comments of the code become its text.
fn help(command: &Command, place: &str, found: &mut Vec<Found>) {
    let place = format!("{place} {}", command.get_name());
    let texts = [
        command.get_about(),
        command.get_long_about(),
        command.get_before_help(),
        command.get_after_help(),
        command.get_after_long_help(),
    ];
    for text in texts.into_iter().flatten() {
        found.extend(in_text(&place, &text.to_string()));
    }
    for arg in command.get_arguments() {
        for text in [arg.get_help(), arg.get_long_help()].into_iter().flatten() {
            found.extend(in_text(&place, &text.to_string()));
        }
    }
    command.get_subcommands().for_each(|sub| help(sub, &place, found));
}
