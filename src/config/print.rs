//! The reference as documents: a commented configuration file, and a page of documentation.

use std::fmt::Write as _;

use super::reference::{REFERENCE, TABLES};
use super::schema::{Fallback, Opt};

const FILE_HEAD: &str = "\
# The configuration of inferd, with every option there is. Lines that start with # and a letter
# show the default: remove the # to change it. `inferd check` reports every mistake at once.
#
# Files *.toml in conf.d/ beside this one are read after it, in the order of their names: what they
# set wins, and their streams are added. INFERD__BROKER__HOST=... in the environment wins over both.
# Relative paths start at this file's folder.
";

const PAGE_HEAD: &str = "\
# Configuration

Written from the table in `src/config/reference.rs`, which also checks the values and holds the
defaults; `INFERD_WRITE_REFERENCE=1 cargo test --lib config` writes it anew.

`inferd` reads the file named by `--config`, else by `INFERD_CONFIG`, else `/etc/inferd/inferd.toml`;
then `conf.d/*.toml` beside it in the order of their names (what they set wins, their streams are
added); then the environment: `INFERD__BROKER__HOST` sets `broker.host`, `INFERD__STREAM__0__QOS` the
`qos` of the first stream. An unknown option is an error. A change takes a restart, which loses
nothing.

Spans of time are texts such as `\"500ms\"`, `\"10s\"`, `\"5m\"`, `\"1h\"`, `\"2d\"`; sizes are whole numbers
of bytes or texts such as `\"64KiB\"`, `\"10MB\"`. Relative paths start at the configuration file's folder;
secrets are looked up among systemd's credentials (`$CREDENTIALS_DIRECTORY`) first, and elsewhere their
files must be closed to everyone but the owner (mode 0600).
";

/// `config/inferd.toml`
#[must_use]
pub fn sample_file() -> String {
    let mut out = FILE_HEAD.to_owned();
    for (table, about) in TABLES {
        let header = match table.strip_suffix("[]") {
            Some(name) => format!("[[{name}]]"),
            None => format!("[{}]", table.replace("[]", "")),
        };
        // Some tables are there only when they are wanted; the others may as well be.
        let hash = if is_optional(table) { "#" } else { "" };
        line(&mut out, format_args!("\n# {about}\n{hash}{header}"));
        for opt in options(REFERENCE, table) {
            paragraph(&mut out, opt);
        }
    }
    out
}

fn paragraph(out: &mut String, opt: &Opt) {
    let key = key(opt);
    let about = match opt.fallback {
        Fallback::Required => format!("{} Required: {}.", opt.meaning, opt.kind),
        Fallback::Absent | Fallback::Is(_) => format!("{} Allowed: {}.", opt.meaning, opt.kind),
        Fallback::Derived(words) => {
            format!("{} Allowed: {}. Default: {words}.", opt.meaning, opt.kind)
        }
    };
    line(out, format_args!(""));
    for text in wrapped(&about, 97) {
        line(out, format_args!("# {text}"));
    }
    match opt.fallback {
        Fallback::Is(default) => line(out, format_args!("#{key} = {default}")),
        Fallback::Required => line(out, format_args!("#{key} = {}", opt.example)),
        // With a space: taking the # away from every default must not switch these on.
        Fallback::Absent | Fallback::Derived(_) => {
            line(out, format_args!("# {key} = {}", opt.example));
        }
    }
}

/// `docs/configuration.md`
#[must_use]
pub fn page() -> String {
    format!("{PAGE_HEAD}{}", tables(REFERENCE, TABLES))
}

/// Every option of a reference as Markdown, table by table.
#[must_use]
pub fn tables(reference: &[Opt], tables: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (table, about) in tables {
        let header = match table.strip_suffix("[]") {
            _ if table.is_empty() => "At the top".to_owned(),
            Some(name) => format!("`[[{name}]]`"),
            None => format!("`[{}]`", table.replace("[]", "")),
        };
        line(&mut out, format_args!("\n## {header}\n{about}\n"));
        line(&mut out, format_args!("| option | allowed | default | meaning |\n|---|---|---|---|"));
        for opt in options(reference, table) {
            let default = match opt.fallback {
                Fallback::Required => "required".to_owned(),
                Fallback::Absent => "not set".to_owned(),
                Fallback::Is(default) => format!("`{default}`"),
                Fallback::Derived(words) => words.to_owned(),
            };
            let (key, kind, meaning) = (key(opt), opt.kind.to_string(), opt.meaning);
            // A bar would end the cell.
            let kind = kind.replace('|', "\\|");
            line(&mut out, format_args!("| `{key}` | {kind} | {default} | {meaning} |"));
        }
    }
    out
}

fn options<'a>(reference: &'a [Opt], table: &str) -> impl Iterator<Item = &'a Opt> {
    reference.iter().filter(move |opt| opt.path.rsplit_once('.').map_or("", |(t, _)| t) == table)
}

fn key(opt: &Opt) -> &'static str {
    opt.path.rsplit_once('.').map_or(opt.path, |(_, key)| key)
}

/// Whether something in the table is required, or the table is one of a list.
fn is_optional(table: &str) -> bool {
    table.contains("[]")
        || options(REFERENCE, table).any(|opt| matches!(opt.fallback, Fallback::Required))
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _written = writeln!(out, "{text}");
}

/// Lines of at most `width` characters, broken at spaces.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
