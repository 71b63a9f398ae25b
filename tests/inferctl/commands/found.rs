//! Commands of inferd and inferctl in texts of several kinds.

use super::words::commands;

/// A command as it is printed.
#[derive(Debug)]
pub(super) struct Found {
    /// The file it is in.
    pub(super) place: String,
    /// The program's name first.
    pub(super) words: Vec<String>,
    pub(super) whole: Whole,
}

/// How much of a command is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// In a block or on a line of its own: all of it.
    Command,
    /// In a sentence: perhaps no more than the verb.
    Mention,
}

/// Fenced blocks of shell, and code spans.
pub(super) fn in_markdown(place: &str, text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for (index, part) in text.split("```").enumerate() {
        match part.strip_prefix("sh\n") {
            Some(block) if index % 2 == 1 => {
                found.extend(lines(block).iter().flat_map(|line| of(place, line, Whole::Command)));
            }
            _ if index % 2 == 0 => found.extend(in_spans(place, part)),
            _ => {}
        }
    }
    found
}

/// Spans between backticks.
pub(super) fn in_spans(place: &str, text: &str) -> Vec<Found> {
    let spans = text.split('`').enumerate().filter(|(index, _)| index % 2 == 1);
    let begins = |span: &str| {
        let name = span.split_whitespace().find(|word| !word.contains('='));
        matches!(name, Some("inferd" | "inferctl"))
    };
    let spans = spans.filter(|(_, span)| begins(span));
    spans.flat_map(|(_, span)| of(place, span, Whole::Mention)).collect()
}

/// String literals: code spans, and lines of their own that are indented.
pub(super) fn in_rust(place: &str, code: &str) -> Vec<Found> {
    literals(code).iter().flat_map(|text| in_text(place, text)).collect()
}

/// A text for a terminal.
pub(super) fn in_text(place: &str, text: &str) -> Vec<Found> {
    let mut found = in_spans(place, text);
    for line in lines(text) {
        let is_command = line.starts_with("  inferctl ") || line.starts_with("  inferd ");
        if is_command {
            // What it does may stand behind it.
            let line = line.trim().split("   ").next().unwrap_or_default().to_owned();
            found.extend(of(place, &line, Whole::Command));
        }
    }
    found
}

/// Lines, those that go on joined.
pub(super) fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        let (own, more) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => *last += own.trim_start(),
            None => lines.push(own.to_owned()),
        }
        goes_on = more;
    }
    lines
}

/// The commands of ours in a line.
fn of(place: &str, line: &str, whole: Whole) -> Vec<Found> {
    let command = |words: Vec<String>| {
        let is_before = |word: &String| {
            let variable = word.split_once('=').is_some_and(|(name, _)| {
                name.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit())
            });
            variable || ["until", "while", "if", "then", "do", "!", "sudo"].contains(&word.as_str())
        };
        let words: Vec<_> = words.into_iter().skip_while(is_before).collect();
        let name = words.first()?.rsplit('/').next()?.to_owned();
        let is_ours = name == "inferd" || name == "inferctl";
        // The name alone is the program, not a command.
        if !is_ours || words.len() < 2 {
            return None;
        }
        let left_out = words.iter().any(|word| word == "…");
        let whole = if left_out { Whole::Mention } else { whole };
        let words = words.into_iter().skip(1).filter(|word| word != "…").map(|word| filled(&word));
        let words = std::iter::once(name).chain(words).collect();
        Some(Found { place: place.to_owned(), words, whole })
    };
    commands(line).into_iter().filter_map(command).collect()
}

/// A word with a value in the place of what stands for one: `{path}`, `N`.
fn filled(word: &str) -> String {
    match word {
        "N" => return "1".to_owned(),
        "SPAN" => return "1h".to_owned(),
        _ => {}
    }
    let mut out = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        // A URL's place for a digest is no value.
        out += before;
        out += if name == "sha256" { "{sha256}" } else { "1" };
        rest = after;
    }
    out + rest
}

/// The string literals of Rust code, comments left out.
pub(super) fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(['"', '/', '\'']) {
        rest = &rest[at..];
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest = &rest[3..];
        } else if let Some(body) = rest.strip_prefix('"') {
            let (text, after) = literal(body);
            found.push(text);
            rest = after;
        } else {
            rest = &rest[1..];
        }
    }
    found
}

/// A literal's text, and what follows it.
fn literal(body: &str) -> (String, &str) {
    let mut text = String::new();
    let mut rest = body;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => break,
            '\\' => {
                let escaped = rest.chars().next().unwrap_or_default();
                rest = rest.get(escaped.len_utf8()..).unwrap_or_default();
                match escaped {
                    'n' => text.push('\n'),
                    // A continued literal leaves the next line's spaces out.
                    '\n' => rest = rest.trim_start(),
                    other => text.push(other),
                }
            }
            c => text.push(c),
        }
    }
    (text, rest)
}
