//! The reference holds what it says: bounds, defaults, documents.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{STREAM, problems};
use crate::config::reference::REFERENCE;
use crate::config::schema::{DefaultValue, Kind};
use crate::config::*;

/// TOML for a value just inside a bound and just outside it.
fn around(kind: Kind) -> Vec<(String, bool)> {
    let quoted = |text: String| format!("{text:?}");
    match kind {
        Kind::Int { min, max } => {
            let inside = [(min, true), (max, true), (max + 1, false), (min - 1, false)];
            inside.map(|(n, good)| (n.to_string(), good)).to_vec()
        }
        Kind::Duration { min, max } => {
            let tick = Duration::from_millis(1);
            let mut spans = vec![(min, true), (max, true), (max + tick, false)];
            spans.extend(min.checked_sub(tick).map(|below| (below, false)));
            spans.into_iter().map(|(s, good)| (quoted(units::print_duration(s)), good)).collect()
        }
        Kind::Size { min, max } => {
            let mut sizes = vec![(min, true), (max, true), (max + 1, false)];
            sizes.extend(min.checked_sub(1).map(|below| (below, false)));
            sizes.into_iter().map(|(s, good)| (quoted(units::print_size(s)), good)).collect()
        }
        Kind::Choice(words) => {
            let mut all: Vec<_> = words.iter().map(|w| (quoted((*w).to_owned()), true)).collect();
            all.push(("\"other\"".into(), false));
            all
        }
        Kind::Text { max, .. } => {
            let too_long = quoted("x".repeat(max + 1));
            vec![(too_long, false), ("\"\"".into(), false), ("\"a\\u0000\"".into(), false)]
        }
        Kind::Strings { max, .. } | Kind::Names { max, .. } => {
            vec![(format!("[{}]", "\"x\",".repeat(max + 1)), false), ("[1]".into(), false)]
        }
        Kind::Float { .. } | Kind::Floats { .. } => {
            vec![("nan".into(), false), ("inf".into(), false), ("1.5".into(), true)]
        }
        Kind::Bool => vec![("true".into(), true), ("\"true\"".into(), false)],
        Kind::Counts { .. } => vec![("{ a = 1 }".into(), true), ("{ a = 0 }".into(), false)],
        Kind::Scalars { alone, .. } => vec![
            ("1".into(), alone),
            ("{ a = 1, b = \"x\" }".into(), true),
            ("{ a = { b = 1 } }".into(), false),
            ("[1]".into(), false),
            ("nan".into(), false),
        ],
        Kind::Folder | Kind::File | Kind::Secret => vec![("3".into(), false)],
        Kind::Env => vec![("3".into(), false), ("\"A-B\"".into(), false)],
    }
}

#[test]
fn every_option_is_held_to_its_bounds() {
    for opt in REFERENCE {
        for (value, good) in around(opt.kind) {
            let node = tree::Node::value(&value, &origin::Origin::Other("".into())).unwrap();
            let checked = opt.kind.check(&node.value);
            assert_eq!(checked.is_ok(), good, "{} = {value}: {checked:?}", opt.path);
            // And the configuration asks the reference: what is refused there is refused here.
            if good {
                continue;
            }
            let (table, key) = opt.path.rsplit_once('.').unwrap();
            let text = match table.strip_prefix("stream[]") {
                Some("") => {
                    let others = STREAM.lines().filter(|line| !line.starts_with(key));
                    format!("{}\n{key} = {value}\n", others.collect::<Vec<_>>().join("\n"))
                }
                Some(below) => match below.strip_suffix("[]") {
                    Some(list) => format!("{STREAM}[[stream{list}]]\n{key} = {value}\n"),
                    None => format!("{STREAM}[stream{below}]\n{key} = {value}\n"),
                },
                None => format!("[{table}]\n{key} = {value}\n"),
            };
            let found = problems(&text);
            let path = opt.path.replace("[]", "[0]");
            assert!(
                found.iter().any(|problem| problem.path == path),
                "{path} = {value}: {found:?}"
            );
        }
        if let DefaultValue::Value(text) = opt.default {
            let default = opt.default_value().unwrap_or_else(|| panic!("{text} is not TOML"));
            assert!(opt.kind.check(&default.value).is_ok(), "the default of {}", opt.path);
        } else {
            assert!(!opt.example.is_empty(), "{} has neither default nor example", opt.path);
        }
    }
}

/// The options that are switched on by taking the # away.
fn uncommented(file: &str, upto: &str) -> String {
    let lines = file.split(upto).next().unwrap().lines();
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') && !rest.is_empty() => rest.to_owned(),
        _ => line.to_owned(),
    };
    lines.map(on).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_files_defaults_are_the_defaults() {
    let file = docs::sample_file();
    let defaults = Config::parse("").unwrap();
    assert_eq!(Config::parse(&file).unwrap(), defaults);
    // The credentials have no default, so they are left out; then all tables but the streams.
    let credentials = file.find("\n# User name and password.").unwrap();
    let gateway = file.find("\n# Identity of this gateway.").unwrap();
    let file = [&file[..credentials], &file[gateway..]].concat();
    let switched_on = uncommented(&file, "\n# A sensor input");
    assert!(switched_on.contains("\nkeep_alive = \"30s\""));
    assert_eq!(Config::parse(&switched_on).unwrap(), defaults);
    // A stream of required options alone is the same as one with its defaults written out.
    // Without joins, whose tables have no default either.
    let joins = file.find("\n# Joins values").unwrap();
    let publish = file.find("\n# Publication of predictions.").unwrap();
    let file = [&file[..joins], &file[publish..]].concat();
    let stream = uncommented(&file, "\n# Labels: what was true");
    assert_eq!(Config::parse(&stream).unwrap().streams, Config::parse(STREAM).unwrap().streams);
    // Tables with required options are off until they are written.
    let all = Config::parse(&uncommented(&file, "\0")).unwrap();
    assert_eq!(all.streams[0].labels.as_ref().unwrap().remember, 65_536);
}

#[test]
fn the_documents_are_those_of_the_reference() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, text) in [
        ("config/inferd.toml", docs::sample_file()),
        ("docs/configuration.md", docs::page()),
        ("docs/profile.md", crate::config::profile::page()),
    ] {
        let path = root.join(name);
        if std::env::var_os("INFERD_WRITE_REFERENCE").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "{name} is not what src/config says; write it again with \
             INFERD_WRITE_REFERENCE=1 cargo test --lib config"
        );
    }
}
