//! Texts to levels.

use super::{Level, TopicError};

/// What marks a subscription that is shared or of another kind; brokers take it off the filter.
const PREFIXES: [&str; 3] = ["$share", "$queue", "$exclusive"];

pub(super) fn levels(text: &str) -> Result<Vec<Level>, TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    let levels = text.split('/').map(level).collect::<Result<Vec<_>, _>>()?;
    if let Some(Level::Literal(first)) = levels.first()
        && PREFIXES.contains(&first.as_str())
    {
        return Err(TopicError::Shared(first.clone()));
    }
    let end = levels.len().saturating_sub(1);
    match levels.get(..end).unwrap_or_default().iter().find(|it| matches!(it, Level::Rest(_))) {
        Some(early) => Err(TopicError::NotLast(early.name().unwrap_or_default().to_owned())),
        None => Ok(levels),
    }
}

/// An empty level is one: topics may begin or end with a slash, and have two in a row.
fn level(text: &str) -> Result<Level, TopicError> {
    let Some((before, rest)) = text.split_once('{') else {
        return literal(text).map(Level::Literal);
    };
    let (name, after) = rest.split_once('}').ok_or(TopicError::Brace)?;
    if after.contains('{') {
        return Err(TopicError::TwoInLevel);
    }
    let (before, after) = (literal(before)?, literal(after)?);
    let is_whole = before.is_empty() && after.is_empty();
    if let Some(name) = name.strip_suffix('#') {
        let name = capture_name(name)?;
        return if is_whole { Ok(Level::Rest(name)) } else { Err(TopicError::PartOfRest(name)) };
    }
    let name = capture_name(name)?;
    Ok(if is_whole { Level::Capture(name) } else { Level::Part { before, name, after } })
}

/// A text without captures and wildcards.
fn literal(text: &str) -> Result<String, TopicError> {
    if text.contains(['+', '#']) {
        return Err(TopicError::Wildcard);
    }
    if text.contains(['{', '}']) {
        return Err(TopicError::Brace);
    }
    Ok(text.to_owned())
}

fn capture_name(name: &str) -> Result<String, TopicError> {
    let mut letters = name.bytes();
    let starts = letters.next().is_some_and(|b| b.is_ascii_lowercase());
    if starts && letters.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        Ok(name.to_owned())
    } else {
        Err(TopicError::CaptureName(name.to_owned()))
    }
}
