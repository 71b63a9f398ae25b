//! What common mistakes in JSON payloads are, in words.

use crate::pipeline::reject::has_decimal_comma;

/// What a text that is not JSON is; `None` where it is nothing common.
pub(super) fn mistake(text: &str) -> Option<String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Some("it is empty".to_owned());
    }
    if trimmed.starts_with("{'") || trimmed.starts_with("['") {
        return Some("it has single quotes: JSON has double quotes".to_owned());
    }
    let mut lines = trimmed.lines().filter(|line| !line.trim().is_empty());
    let is_json = |line: &str| serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok();
    if lines.clone().nth(1).is_some() && lines.next().is_some_and(is_json) {
        let problem = "it is a value on each line: set payload.format = \"ndjson\"";
        return Some(problem.to_owned());
    }
    if has_decimal_comma(trimmed) {
        let point = trimmed.replace(',', ".");
        return Some(format!(
            "{trimmed} has a decimal comma: send {point}, or set payload.numbers"
        ));
    }
    let words: Vec<&str> = trimmed.split_whitespace().take(100).collect();
    let numbers = words.iter().filter(|word| word.parse::<f64>().is_ok()).count();
    if numbers == words.len() && numbers > 1 {
        return Some(format!(
            "it is {numbers} numbers side by side: send an array, [{}, …], or one number a message",
            words.first()?
        ));
    }
    if let Some(word) = word(trimmed) {
        return Some(word);
    }
    let end = trimmed.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c)))?;
    let (number, rest) = trimmed.split_at_checked(end)?;
    number.parse::<f64>().ok()?;
    let rest: String = rest.trim().chars().take(20).collect();
    if rest.starts_with([',', ';', '{', '[', '"']) {
        return None;
    }
    Some(format!(
        "it is the number {number} with {rest:?} behind it: send the number alone, or set \
         payload.numbers"
    ))
}

/// What a text of one word is.
fn word(text: &str) -> Option<String> {
    let is_letter = |c: char| c.is_alphanumeric() || "+-._".contains(c);
    if text.len() > 32 || !text.chars().all(is_letter) {
        return None;
    }
    if text.parse::<f64>().is_ok() {
        return Some(format!(
            "{text} is no number of JSON: send it as JSON does, or set \
             payload.numbers = \"lenient\""
        ));
    }
    text.starts_with(char::is_alphabetic).then(|| {
        format!(
            "it is the word {text:?}: name it in payload.words, or in payload.missing_values with \
             payload.missing, or leave it out by the topic"
        )
    })
}

/// The text with null in place of every NaN and infinity.
pub(super) fn without_nan(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut in_text) = (text, false);
    while let Some(c) = rest.chars().next() {
        let word = ["NaN", "nan", "-Infinity", "Infinity", "-inf", "inf"]
            .into_iter()
            .find(|word| !in_text && rest.starts_with(word));
        if let Some(word) = word {
            out.push_str("null");
            rest = rest.get(word.len()..).unwrap_or_default();
            continue;
        }
        let len = match c {
            '\\' if in_text => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            _ => c.len_utf8(),
        };
        in_text ^= c == '"';
        out.push_str(rest.get(..len).unwrap_or_default());
        rest = rest.get(len..).unwrap_or_default();
    }
    out
}
