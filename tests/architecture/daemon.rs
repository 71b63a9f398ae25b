//! The tiers inside the daemon.

use super::source::{files, read, tokens, without_tests};
use std::path::Path;

/// The parts of the daemon in the order of their imports: a part may import those of earlier rows.
/// A part is a folder or a file below `src/daemon`; a file may have another tier than its folder.
const TIERS: &[&[&str]] = &[
    &[
        "error",
        "live",
        "labels",
        "store_access",
        "systemd",
        "telemetry/topics",
        "telemetry/messages",
        "windows",
    ],
    &["inference", "state_lock"],
    &["baselines"],
    &["context"],
    &["captures"],
    &["models"],
    &["candidate"],
    &["telemetry"],
    &["updates"],
    &["subscriptions"],
    &["ingest"],
    &["delivery"],
    &["control"],
    &["http"],
    &["startup"],
    &["shutdown"],
    &["mod"],
];

const ROOT: &str = "src/daemon";

#[test]
fn tiers_inside_the_daemon() {
    let mut wrong = Vec::new();
    for file in files(ROOT, "rs") {
        let part = file.strip_prefix(ROOT).unwrap().with_extension("");
        let part: Vec<_> = part.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        let here = tier(&part);
        assert!(here.is_some(), "{} has no tier: add it to TIERS", file.display());
        if is_test(&file) {
            continue;
        }
        for named in parts_named(&part, &without_tests(&tokens(&read(&file)))) {
            let there = tier(&named);
            let same = part.first() == named.first();
            if there > here || (there == here && !same && here != Some(0)) {
                wrong.push(format!("{} names {}", file.display(), named.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "imports from a later tier of the daemon:\n{}", wrong.join("\n"));
}

fn is_test(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str().to_string_lossy().starts_with("tests"))
}

/// The tier of a part; that of a file goes before that of its folder.
fn tier(part: &[String]) -> Option<usize> {
    let of = |name: &str| TIERS.iter().position(|row| row.contains(&name));
    let file = part.get(..2).and_then(|names| of(&names.join("/")));
    file.or_else(|| of(part.first()?))
}

/// The parts of the daemon that the code of `part` names, as paths below the daemon.
fn parts_named(part: &[String], code: &[String]) -> Vec<Vec<String>> {
    let is_mod = part.last().is_some_and(|name| name == "mod");
    let depth = if is_mod { part.len() - 1 } else { part.len() };
    let mut found = Vec::new();
    for at in 0..code.len() {
        let names = |words: &[&str]| {
            code[at..].len() >= words.len() && code[at..].iter().zip(words).all(|(a, b)| a == b)
        };
        if at > 0 && code[at - 1] == "::" {
            continue;
        }
        let mut supers = 0;
        while code.get(at + 2 * supers).is_some_and(|token| token == "super") {
            supers += 1;
        }
        if names(&["crate", "::", "daemon", "::"]) {
            found.extend(below(&code[at + 4..], &[]));
        } else if supers == depth {
            found.extend(below(&code[at + 2 * supers..], &[]));
        } else if supers > 0 && supers < depth {
            found.extend(below(&code[at + 2 * supers..], &part[..depth - supers]));
        }
    }
    found.retain(|named| tier(named).is_some());
    found
}

/// The first two names of a path, or of each path of a group in braces.
fn below(code: &[String], before: &[String]) -> Vec<Vec<String>> {
    if before.len() == 2 {
        return vec![before.to_vec()];
    }
    match code.first().map(String::as_str) {
        Some("{") => {
            let mut depth = 0;
            let mut starts = Vec::new();
            for (at, token) in code.iter().enumerate() {
                match token.as_str() {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
                if depth == 1 && (token == "{" || token == ",") {
                    starts.push(at + 1);
                }
            }
            starts.into_iter().flat_map(|start| below(&code[start..], before)).collect()
        }
        Some(name) if name.starts_with(|c: char| c.is_alphabetic()) => {
            let path = [before, &[name.to_owned()]].concat();
            if code.get(1).is_some_and(|next| next == "::") {
                below(&code[2..], &path)
            } else {
                vec![path]
            }
        }
        _ if before.is_empty() => Vec::new(),
        _ => vec![before.to_vec()],
    }
}
