//! Imports between modules point one way, and a foreign crate belongs to few modules.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules in the order of their imports: a module may import those of earlier rows.
const TIERS: &[&[&str]] = &[
    &[
        "tensor",
        "ids",
        "clock",
        "message",
        "backoff",
        "failpoints",
        "allocator",
        "codec",
        "fs",
        "procfs",
        "log_lines",
        "log_fields",
        "protobuf",
    ],
    &["config", "engine", "npz", "truth", "features"],
    &["drift"],
    &["bundle"],
    &["pipeline"],
    &["outbox", "monitor", "control", "update"],
    &["store", "link", "web", "http"],
    &["capture"],
    &["daemon"],
    &["terminal"],
    &["demo"],
    &["cli"],
    &["ctl"],
    &["bin"],
];

/// Foreign crates and the only modules, or folders of a module, that may name them.
const FOREIGN: &[(&str, &[&str])] = &[
    ("inferd_kernels", &["engine"]),
    ("tract_onnx", &["engine"]),
    ("prost", &["engine"]),
    ("rumqttc", &["link/protocol"]),
    ("rumqttd", &["demo"]),
    ("sled", &["store"]),
    ("rustls", &["link", "web"]),
    ("rustix", &["terminal", "cli"]),
    ("tokio", &["link", "http", "daemon", "demo", "cli", "ctl"]),
    ("clap", &["terminal", "cli", "ctl", "bin"]),
    ("anyhow", &["cli", "ctl", "bin", "demo"]),
    ("indicatif", &["terminal", "cli", "ctl", "demo"]),
    ("toml", &["config", "bundle"]),
    ("zip", &["npz"]),
    ("tar", &["bundle"]),
    ("ciborium", &["pipeline"]),
    ("csv_core", &["pipeline"]),
    ("ed25519_dalek", &["update"]),
    ("base64ct", &["update", "ctl", "http"]),
    ("httparse", &["http/head"]),
    ("ring", &["ctl"]),
    ("argon2", &["ctl"]),
    ("hdrhistogram", &["monitor", "demo"]),
    ("sd_notify", &["daemon"]),
    ("ureq", &["web"]),
];

/// Names of foreign crates and the only folders of a module that may contain them. Protobuf messages
/// stay in the front end that reads them; tests write files with them.
const FOREIGN_FOLDERS: &[(&str, &[&str])] = &[
    ("tract_onnx", &["src/engine/onnx", "src/engine/tract", "src/engine/tests"]),
    ("tract_onnx::pb", &["src/engine/onnx", "src/engine/tests"]),
    ("prost", &["src/engine/onnx", "src/engine/tests"]),
];

#[test]
fn imports_point_one_way() {
    let mut wrong = Vec::new();
    for (module, path, code) in sources() {
        for (line, text) in code.lines().enumerate() {
            wrong.extend(
                modules_named(text).filter(|named| is_upward(&module, named)).map(|named| {
                    format!("{}:{}: {module} names {named}", path.display(), line + 1)
                }),
            );
        }
    }
    assert!(wrong.is_empty(), "imports from a later tier:\n{}", wrong.join("\n"));
}

#[test]
fn a_foreign_crate_stays_in_its_modules() {
    let mut wrong = Vec::new();
    for (module, path, code) in sources() {
        for (name, modules) in FOREIGN {
            // A module of this name hides the crate.
            let hidden = code.contains(&format!("mod {name};"));
            let named = !hidden && code.lines().any(|line| names_crate(line, name));
            if named && !modules.iter().any(|allowed| is_below(&path, allowed)) {
                wrong.push(format!("{}: {module} names the crate {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "foreign crates outside their modules:\n{}", wrong.join("\n"));
}

#[test]
fn a_foreign_crate_stays_in_its_folders() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for (_, path, code) in sources() {
        for (name, folders) in FOREIGN_FOLDERS {
            // A module of this name hides the crate.
            let hidden = code.contains(&format!("mod {name};"));
            let named = !hidden && code.lines().any(|line| names_crate(line, name));
            if named && !folders.iter().any(|folder| path.starts_with(root.join(folder))) {
                wrong.push(format!("{}: names {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "foreign crates outside their folders:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_has_a_tier() {
    let unknown: Vec<_> = sources()
        .into_iter()
        .filter(|(module, ..)| module != "lib" && tier(module) == usize::MAX)
        .map(|(module, ..)| module)
        .collect();
    assert!(unknown.is_empty(), "modules missing from TIERS: {unknown:?}");
}

/// Whether the import is neither of an earlier tier nor of the module itself. The modules of the first
/// tier may import each other.
fn is_upward(module: &str, named: &str) -> bool {
    module != named && module != "lib" && tier(named) >= tier(module) && tier(module) != 0
}

fn tier(module: &str) -> usize {
    TIERS.iter().position(|row| row.contains(&module)).unwrap_or(usize::MAX)
}

/// Modules named on a line by `crate::module` or `inferd::module`, outside of comments.
fn modules_named(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    ["crate::", "inferd::"].into_iter().flat_map(move |root| code.split(root).skip(1)).filter_map(
        |rest| {
            let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
            (tier(name) != usize::MAX).then_some(name)
        },
    )
}

/// Whether a source file is `module` or below it.
fn is_below(path: &Path, module: &str) -> bool {
    let source = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    source.with_extension("").starts_with(module)
}

fn names_crate(line: &str, name: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '"');
        !before.is_some_and(inside) && code[at + name.len()..].starts_with("::")
    })
}

/// Every source file as (module, path, text).
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
                let module = path.strip_prefix(&root).unwrap().components().next().unwrap();
                let module =
                    module.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
                found.push((module, path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 5, "no sources found below {}", root.display());
    found
}
