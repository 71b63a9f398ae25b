//! Topics with captures: subscribed to as a filter with `+`, published to as a template.

use std::collections::BTreeSet;
use std::fmt;

use super::{Level, TopicPattern, TopicTemplate};

/// The names a template may use besides its stream's captures.
pub(super) const KNOWN_NAMES: [&str; 3] = ["gateway", "stream", "model"];

/// Why a text is not a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    #[error("starts with $, which is the broker's own")]
    Reserved,
    #[error("has an empty level")]
    EmptyLevel,
    #[error("has a wildcard: a whole level is matched by {{name}}, more are not matched")]
    Wildcard,
    #[error("has {{ or }} inside a level: a capture is a whole level")]
    PartOfLevel,
    #[error("has a capture named {0:?}: use a-z, 0-9 and _, starting with a letter")]
    CaptureName(String),
    #[error("has the capture {0:?} twice")]
    Twice(String),
    #[error("has the capture {0:?}, which already has a meaning")]
    Taken(String),
    #[error("has no value for {{{0}}}")]
    NoValue(String),
}

impl TopicPattern {
    /// Parses `sensors/{device}/imu`.
    ///
    /// # Errors
    /// Wildcards, empty levels (but for a leading slash), captures named twice or after what a
    /// template knows already.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let levels = levels(text)?;
        let mut seen = BTreeSet::new();
        for name in captures(&levels) {
            if KNOWN_NAMES.contains(&name) {
                return Err(TopicError::Taken(name.to_owned()));
            }
            if !seen.insert(name) {
                return Err(TopicError::Twice(name.to_owned()));
            }
        }
        Ok(Self { levels })
    }

    /// What is subscribed to: every capture as `+`.
    #[must_use]
    pub fn filter(&self) -> String {
        let level = |level: &Level| match level {
            Level::Literal(text) => text.clone(),
            Level::Capture(_) => "+".to_owned(),
        };
        self.levels.iter().map(level).collect::<Vec<_>>().join("/")
    }

    /// The captures' names in order.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        captures(&self.levels)
    }

    /// Whether some topic matches both patterns.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let meets = |(ours, theirs): (&Level, &Level)| match (ours, theirs) {
            (Level::Literal(ours), Level::Literal(theirs)) => ours == theirs,
            (Level::Capture(_), _) | (_, Level::Capture(_)) => true,
        };
        self.levels.len() == other.levels.len() && self.levels.iter().zip(&other.levels).all(meets)
    }

    /// Whether some topic that `template` renders to matches. What a capture of the template will
    /// be is not known, so it may be anything; `known` gives the names with a fixed value.
    pub(super) fn may_match(&self, template: &TopicTemplate, known: &[(&str, &str)]) -> bool {
        let meets = |(ours, theirs): (&Level, &Level)| match (ours, theirs) {
            (Level::Capture(_), _) => true,
            (Level::Literal(ours), Level::Literal(theirs)) => ours == theirs,
            (Level::Literal(ours), Level::Capture(name)) => {
                known.iter().find(|(known, _)| known == name).is_none_or(|(_, value)| value == ours)
            }
        };
        self.levels.len() == template.levels.len()
            && self.levels.iter().zip(&template.levels).all(meets)
    }
}

impl TopicTemplate {
    /// Parses `predictions/{stream}/{device}`; every name must be known or one of `captures`.
    ///
    /// # Errors
    /// As [`TopicPattern::parse`], or a name that has no value.
    pub fn parse<'a>(
        text: &str,
        captures: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, TopicError> {
        let template = Self::with_any_names(text)?;
        let known: BTreeSet<&str> = captures.into_iter().chain(KNOWN_NAMES).collect();
        if let Some(name) = self::captures(&template.levels).find(|name| !known.contains(name)) {
            return Err(TopicError::NoValue(name.to_owned()));
        }
        Ok(template)
    }

    pub(super) fn with_any_names(text: &str) -> Result<Self, TopicError> {
        Ok(Self { levels: levels(text)? })
    }
}

fn captures(levels: &[Level]) -> impl Iterator<Item = &str> {
    levels.iter().filter_map(|level| match level {
        Level::Literal(_) => None,
        Level::Capture(name) => Some(name.as_str()),
    })
}

fn levels(text: &str) -> Result<Vec<Level>, TopicError> {
    if text.starts_with('$') {
        return Err(TopicError::Reserved);
    }
    text.split('/').enumerate().map(|(place, text)| level(place, text)).collect()
}

fn level(place: usize, text: &str) -> Result<Level, TopicError> {
    // Some devices publish to topics with a leading slash, an empty first level.
    if text.is_empty() && place > 0 {
        return Err(TopicError::EmptyLevel);
    }
    if text.contains(['+', '#']) {
        return Err(TopicError::Wildcard);
    }
    let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        let whole = !text.contains(['{', '}']);
        return whole.then(|| Level::Literal(text.to_owned())).ok_or(TopicError::PartOfLevel);
    };
    let mut letters = name.bytes();
    let starts = letters.next().is_some_and(|b| b.is_ascii_lowercase());
    if starts && letters.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        Ok(Level::Capture(name.to_owned()))
    } else {
        Err(TopicError::CaptureName(name.to_owned()))
    }
}

fn write_levels(levels: &[Level], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (place, level) in levels.iter().enumerate() {
        let slash = if place == 0 { "" } else { "/" };
        match level {
            Level::Literal(text) => write!(f, "{slash}{text}")?,
            Level::Capture(name) => write!(f, "{slash}{{{name}}}")?,
        }
    }
    Ok(())
}

/// As in the configuration.
impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_levels(&self.levels, f)
    }
}

/// As in the configuration.
impl fmt::Display for TopicTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_levels(&self.levels, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_subscribed_to_with_a_plus_for_each_capture() {
        let pattern = TopicPattern::parse("site/{line}/sensors/{device}").unwrap();
        assert_eq!(pattern.filter(), "site/+/sensors/+");
        assert_eq!(pattern.captures().collect::<Vec<_>>(), ["line", "device"]);
        assert_eq!(pattern.to_string(), "site/{line}/sensors/{device}");
        assert_eq!(TopicPattern::parse("/a/b").unwrap().filter(), "/a/b");
    }

    #[test]
    fn what_is_no_topic_says_why() {
        use TopicError::*;
        let refused = |text| TopicPattern::parse(text).unwrap_err();
        assert_eq!(refused("$SYS/broker"), Reserved);
        assert_eq!(refused("a//b"), EmptyLevel);
        assert_eq!(refused("a/b/"), EmptyLevel);
        assert_eq!(refused("a/+/b"), Wildcard);
        assert_eq!(refused("a/#"), Wildcard);
        assert_eq!(refused("a/x-{device}"), PartOfLevel);
        assert_eq!(refused("a/{}"), CaptureName(String::new()));
        assert_eq!(refused("a/{Device}"), CaptureName("Device".into()));
        assert_eq!(refused("{a}/{a}"), Twice("a".into()));
        assert_eq!(refused("{gateway}/x"), Taken("gateway".into()));
    }

    #[test]
    fn a_template_uses_only_names_that_have_a_value() {
        assert!(TopicTemplate::parse("p/{stream}/{device}", ["device"]).is_ok());
        assert_eq!(
            TopicTemplate::parse("p/{devcie}", ["device"]),
            Err(TopicError::NoValue("devcie".into()))
        );
    }

    #[test]
    fn a_template_may_meet_a_pattern() {
        let meets = |pattern: &str, template: &str| {
            let template = TopicTemplate::with_any_names(template).unwrap();
            TopicPattern::parse(pattern).unwrap().may_match(&template, &[("stream", "motion")])
        };
        assert!(meets("a/{x}", "a/b"));
        assert!(meets("a/b", "a/{device}"));
        assert!(meets("a/motion", "a/{stream}"));
        assert!(!meets("a/other", "a/{stream}"));
        assert!(!meets("a/{x}", "a/b/c"));
        assert!(!meets("a/{x}", "b/c"));
    }
}
