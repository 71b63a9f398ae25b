//! Rust source as tokens, without comments, literals and what is compiled for tests only.

use std::fs;
use std::path::{Path, PathBuf};

/// Files below `folder` whose name ends in `extension`, by their path in this repository.
pub(super) fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no .{extension} files below {folder}");
    found
}

/// The repository's root.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn read(path: &Path) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Identifiers, `::` and single characters of punctuation.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
            continue;
        }
        let literal = literal_len(rest);
        let len = if literal > 0 {
            literal
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push(rest[..end].to_owned());
            end
        } else {
            let len = if rest.starts_with("::") { 2 } else { first.len_utf8() };
            found.push(rest[..len].to_owned());
            len
        };
        rest = &rest[len..];
    }
    found
}

/// Bytes of the comment or literal that `text` begins with; 0 without one.
pub(super) fn literal_len(text: &str) -> usize {
    let until = |start: usize, end: &str| {
        text[start..].find(end).map_or(text.len(), |at| start + at + end.len())
    };
    if text.starts_with("//") {
        return until(2, "\n");
    }
    if text.starts_with("/*") {
        return until(2, "*/");
    }
    let raw = text.trim_start_matches('b');
    let prefix = text.len() - raw.len();
    if prefix <= 1 && raw.starts_with('r') {
        let hashes = raw[1..].len() - raw[1..].trim_start_matches('#').len();
        if raw[1 + hashes..].starts_with('"') {
            return until(prefix + hashes + 2, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    if prefix <= 1 && raw.starts_with('"') {
        return prefix + quoted_len(raw, '"');
    }
    // A lifetime has no closing quote after its first character.
    let mut inside = raw.chars().skip(1);
    let (second, third) = (inside.next(), inside.next());
    if prefix <= 1 && raw.starts_with('\'') && (second == Some('\\') || third == Some('\'')) {
        return prefix + quoted_len(raw, '\'');
    }
    0
}

fn quoted_len(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// The tokens without items under `#[cfg(test)]`.
pub(super) fn without_tests(tokens: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if starts_with(&tokens[at..], &["#", "[", "cfg", "(", "test", ")", "]"]) {
            at = end_of_item(tokens, at + 7);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

pub(super) fn starts_with(tokens: &[String], wanted: &[&str]) -> bool {
    tokens.len() >= wanted.len() && tokens.iter().zip(wanted).all(|(token, want)| token == want)
}

/// Where the item that begins at `start` ends: after its `;` or its closing brace, or, for a field
/// or a variant, after its comma.
fn end_of_item(tokens: &[String], start: usize) -> usize {
    const ITEMS: [&str; 10] =
        ["fn", "impl", "struct", "enum", "mod", "use", "const", "static", "trait", "type"];
    let mut depth = 0_usize;
    let mut item = false;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        item |= ITEMS.contains(&token.as_str());
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                // The end of the surrounding block.
                if depth == 0 {
                    return at;
                }
                depth -= 1;
                if depth == 0 && token == "}" {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            "," if depth == 0 && !item => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[test]
fn comments_literals_and_tests_are_removed() {
    let text = r###"
        use a::b; // use c::d
        /* use e::f */ fn g<'a>(x: &'a str) -> char { h::i("j::k\" l", '"', r#"m::"n"#, b'\'') }
        #[cfg(test)] mod tests { use o::p; fn q() {} }
        struct R { #[cfg(test)] s: t::U, v: w::X }
        #[cfg(test)] use y::z;
    "###;
    let kept = without_tests(&tokens(text)).join(" ");
    assert_eq!(
        kept,
        "use a :: b ; fn g < ' a > ( x : & ' a str ) - > char { h :: i ( , , , ) } \
         struct R { v : w :: X }"
    );
}
