//! Imports point one way and a foreign crate has one room: read off the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms in the order of their imports: a room may name those of an earlier row, and its own.
const TIERS: &[&[&str]] = &[
    &["tensor", "ids", "clock", "message", "backoff", "crash", "memory", "wire"],
    &["config", "engine", "npz"],
    &["bundle"],
    &["pipeline"],
    &["outbox", "monitor", "control", "update"],
    &["store", "link", "web"],
    &["daemon"],
    &["demo"],
    &["cli"],
    &["ctl"],
    &["bin"],
];

/// Foreign crates that belong to some rooms only.
const FOREIGN: &[(&str, &[&str])] = &[
    ("inferd_kernels", &["engine"]),
    ("tract_onnx", &["engine"]),
    ("prost", &["engine"]),
    ("rumqttc", &["link"]),
    ("rumqttd", &["demo"]),
    ("sled", &["store"]),
    ("rustls", &["link", "web"]),
    ("rustix", &["cli"]),
    ("tokio", &["link", "daemon", "demo", "cli", "ctl"]),
    ("clap", &["cli", "ctl", "bin"]),
    ("anyhow", &["cli", "ctl", "bin", "demo"]),
    ("indicatif", &["cli", "ctl", "demo"]),
    ("toml", &["config", "bundle"]),
    ("zip", &["npz"]),
    ("tar", &["bundle"]),
    ("ciborium", &["pipeline"]),
    ("csv_core", &["pipeline"]),
    ("ed25519_dalek", &["update"]),
    ("base64ct", &["update", "ctl"]),
    ("ring", &["ctl"]),
    ("argon2", &["ctl"]),
    ("hdrhistogram", &["monitor", "demo"]),
    ("sd_notify", &["daemon"]),
    ("ureq", &["web"]),
];

#[test]
fn imports_point_one_way() {
    let mut wrong = Vec::new();
    for (room, path, code) in sources() {
        for (line, text) in code.lines().enumerate() {
            wrong.extend(
                rooms_named(text)
                    .filter(|named| against_the_arrows(&room, named))
                    .map(|named| format!("{}:{}: {room} names {named}", path.display(), line + 1)),
            );
        }
    }
    assert!(wrong.is_empty(), "imports against the arrows:\n{}", wrong.join("\n"));
}

#[test]
fn a_foreign_crate_stays_in_its_room() {
    let mut wrong = Vec::new();
    for (room, path, code) in sources() {
        for (name, rooms) in FOREIGN {
            let named = code.lines().any(|line| names_crate(line, name));
            if named && !rooms.contains(&room.as_str()) {
                wrong.push(format!("{}: {room} names the crate {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "foreign crates outside their rooms:\n{}", wrong.join("\n"));
}

#[test]
fn every_room_has_its_place_in_the_order() {
    let unknown: Vec<_> = sources()
        .into_iter()
        .filter(|(room, ..)| room != "lib" && tier(room) == usize::MAX)
        .map(|(room, ..)| room)
        .collect();
    assert!(unknown.is_empty(), "rooms missing from TIERS: {unknown:?}");
}

/// A room may name earlier rows and itself; the base row is one storey, whose rooms know each
/// other.
fn against_the_arrows(room: &str, named: &str) -> bool {
    room != named && room != "lib" && tier(named) >= tier(room) && tier(room) != 0
}

fn tier(room: &str) -> usize {
    TIERS.iter().position(|row| row.contains(&room)).unwrap_or(usize::MAX)
}

/// Rooms named on a line by `crate::room` or `inferd::room`, comments left out.
fn rooms_named(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    ["crate::", "inferd::"].into_iter().flat_map(move |root| code.split(root).skip(1)).filter_map(
        |rest| {
            let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
            (tier(name) != usize::MAX).then_some(name)
        },
    )
}

fn names_crate(line: &str, name: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '"');
        !before.is_some_and(inside) && code[at + name.len()..].starts_with("::")
    })
}

/// Every source file as (room, path, text).
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let room = path.strip_prefix(&root).unwrap().components().next().unwrap();
                let room = room.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
                found.push((room, path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 5, "no sources found below {}", root.display());
    found
}
