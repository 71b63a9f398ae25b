//! Generates a commented configuration file and a page of documentation from the reference.

use std::fmt::Write as _;

use super::reference::REFERENCE;
use super::schema::{DefaultValue, OptionSpec};
use super::tables::TABLES;

const FILE_HEAD: &str = "\
# Configuration file of inferd. It lists all options: a commented line without a space after the #
# shows the default value, one with a space shows an example. Run `inferd check` to validate changes.
#
# Drop-in files conf.d/*.toml in the same folder are read afterwards, in alphabetical order. Their
# values override those in this file, and their streams are added. Environment variables such as
# INFERD__BROKER__HOST override both. Relative paths are relative to the folder of this file.
";

const PAGE_HEAD: &str = r#"# Configuration

This page is generated from the table in `src/config/reference.rs`, which also validates values and supplies defaults. To regenerate it, run
`INFERD_WRITE_REFERENCE=1 cargo test --lib config`.

`inferd` reads, in this order:

1. the file given by `--config`, or by `INFERD_CONFIG`, or `/etc/inferd/inferd.toml`;
2. the drop-in files `conf.d/*.toml` in the same folder, in alphabetical order: their values override those of the main file, and their streams are added;
3. environment variables: `INFERD__BROKER__HOST` sets `broker.host`, `INFERD__STREAM__0__QOS` sets the `qos` of the first stream.

Unknown options are errors. `inferd check` reports all errors at once. Changes take effect after a restart, which loses no data.

Durations are strings such as `"500ms"`, `"10s"`, `"5m"`, `"1h"`, `"2d"`. Sizes are integers (bytes) or strings such as `"64KiB"`, `"10MB"`. Relative paths are
relative to the folder of the configuration file. Secrets are looked up in the systemd credentials (`$CREDENTIALS_DIRECTORY`) first; elsewhere, their files must
be readable by the owner only (mode 0600).
"#;

/// `config/inferd.toml`
#[must_use]
pub fn sample_file() -> String {
    let mut out = FILE_HEAD.to_owned();
    for (table, about) in TABLES {
        let header = match table.strip_suffix("[]") {
            Some(name) => format!("[[{}]]", name.replace("[]", "")),
            None => format!("[{}]", table.replace("[]", "")),
        };
        // A table with required options must stay commented out until it is used.
        let hash = if is_optional(table) { "#" } else { "" };
        line(&mut out, format_args!("\n# {about}\n{hash}{header}"));
        for opt in options(REFERENCE, table) {
            paragraph(&mut out, opt);
        }
    }
    out
}

fn paragraph(out: &mut String, opt: &OptionSpec) {
    let key = key(opt);
    let about = match opt.default {
        DefaultValue::Required => format!("{} Required: {}.", opt.meaning, opt.kind),
        DefaultValue::Unset | DefaultValue::Value(_) => {
            format!("{} Allowed: {}.", opt.meaning, opt.kind)
        }
        DefaultValue::Derived(words) => {
            format!("{} Allowed: {}. Default: {words}.", opt.meaning, opt.kind)
        }
    };
    line(out, format_args!(""));
    for text in wrapped(&about, 97) {
        line(out, format_args!("# {text}"));
    }
    match opt.default {
        DefaultValue::Value(default) => line(out, format_args!("#{key} = {default}")),
        DefaultValue::Required => line(out, format_args!("#{key} = {}", opt.example)),
        // With a space, so that removing the # from all defaults does not enable these.
        DefaultValue::Unset | DefaultValue::Derived(_) => {
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
pub fn tables(reference: &[OptionSpec], tables: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (table, about) in tables {
        let header = match table.strip_suffix("[]") {
            _ if table.is_empty() => "Top level".to_owned(),
            Some(name) => format!("`[[{}]]`", name.replace("[]", "")),
            None => format!("`[{}]`", table.replace("[]", "")),
        };
        line(&mut out, format_args!("\n## {header}\n{about}\n"));
        line(&mut out, format_args!("| option | allowed | default | meaning |\n|---|---|---|---|"));
        for opt in options(reference, table) {
            let default = match opt.default {
                DefaultValue::Required => "required".to_owned(),
                DefaultValue::Unset => "not set".to_owned(),
                DefaultValue::Value(default) => format!("`{default}`"),
                DefaultValue::Derived(words) => words.to_owned(),
            };
            let (key, kind, meaning) = (key(opt), opt.kind.to_string(), opt.meaning);
            // A bar would end the cell.
            let kind = kind.replace('|', "\\|");
            line(&mut out, format_args!("| `{key}` | {kind} | {default} | {meaning} |"));
        }
    }
    out
}

fn options<'a>(reference: &'a [OptionSpec], table: &str) -> impl Iterator<Item = &'a OptionSpec> {
    reference.iter().filter(move |opt| opt.path.rsplit_once('.').map_or("", |(t, _)| t) == table)
}

fn key(opt: &OptionSpec) -> &'static str {
    opt.path.rsplit_once('.').map_or(opt.path, |(_, key)| key)
}

/// Whether something in the table is required, or the table is one of a list.
fn is_optional(table: &str) -> bool {
    table.contains("[]")
        || options(REFERENCE, table).any(|opt| matches!(opt.default, DefaultValue::Required))
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
