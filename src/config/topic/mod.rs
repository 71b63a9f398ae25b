//! Topics with captures: subscribed to as a filter with wildcards, published to as a template.

mod meet;
mod parse;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use super::{Level, TopicPattern, TopicTemplate};
use meet::{meet, meet_as_filters};
use parse::levels;

/// The names a template may use besides its stream's captures.
const KNOWN_NAMES: [&str; 3] = ["gateway", "stream", "model"];

/// The first level of topics on which a broker publishes and nobody else.
const BROKER: &str = "$SYS";

/// Why a text is not a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    #[error("is empty")]
    Empty,
    #[error("starts with {0}, which is the broker's own")]
    Reserved(String),
    #[error("starts with {0}: write the topic without it, and the group as share = \"GROUP\"")]
    Shared(String),
    #[error(
        "captures a part of a first level that starts with $, and brokers match no wildcard with \
         such a level: write it out"
    )]
    WildcardInReserved,
    #[error(
        "has a wildcard: {{name}} matches a level, and {{name#}} at the end all levels from there \
         on"
    )]
    Wildcard,
    #[error("has {{ or }} without the other")]
    Brace,
    #[error("has two captures in one level, and nothing tells where the first one ends")]
    TwoInLevel,
    #[error("has {{{0}#}} before its end: it takes all levels from there on")]
    NotLast(String),
    #[error("has {{{0}#}} beside other text of its level: it takes whole levels")]
    PartOfRest(String),
    #[error("has a capture named {0:?}: use a-z, 0-9 and _, starting with a letter")]
    CaptureName(String),
    #[error("has the capture {0:?} twice")]
    Twice(String),
    #[error("has the capture {0:?}, which already has a meaning")]
    Taken(String),
    #[error("has no value for {{{0}}}")]
    NoValue(String),
}

impl Level {
    /// The name of the capture.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Capture(name) | Self::Rest(name) | Self::Part { name, .. } => Some(name),
        }
    }

    /// The level with a text in place of its capture.
    #[must_use]
    pub fn with(&self, value: &str) -> String {
        match self {
            Self::Literal(text) => text.clone(),
            Self::Capture(_) | Self::Rest(_) => value.to_owned(),
            Self::Part { before, after, .. } => format!("{before}{value}{after}"),
        }
    }
}

impl TopicPattern {
    /// Parses `sensors/{device}/imu`, `shelly-{name}/status` or `site/{place#}`.
    ///
    /// # Errors
    /// Wildcards, captures without a determined end, captures named twice or after what a template
    /// already has, and topics that a broker matches with no such filter.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let levels = levels(text)?;
        if let Some(Level::Part { before, .. }) = levels.first()
            && before.starts_with('$')
        {
            return Err(TopicError::WildcardInReserved);
        }
        let mut seen = BTreeSet::new();
        for name in levels.iter().filter_map(Level::name) {
            if KNOWN_NAMES.contains(&name) {
                return Err(TopicError::Taken(name.to_owned()));
            }
            if !seen.insert(name) {
                return Err(TopicError::Twice(name.to_owned()));
            }
        }
        Ok(Self { levels })
    }

    /// What is subscribed to: every capture as `+`, and one of all levels from its place on as `#`.
    /// It matches more than the pattern where a capture is a part of a level.
    #[must_use]
    pub fn filter(&self) -> String {
        let level = |level: &Level| match level {
            Level::Literal(text) => text.clone(),
            Level::Capture(_) | Level::Part { .. } => "+".to_owned(),
            Level::Rest(_) => "#".to_owned(),
        };
        self.levels.iter().map(level).collect::<Vec<_>>().join("/")
    }

    /// The captures' names in order.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.levels.iter().filter_map(Level::name)
    }

    /// The capture of all levels from its place on.
    #[must_use]
    pub fn rest(&self) -> Option<&str> {
        match self.levels.last() {
            Some(Level::Rest(name)) => Some(name),
            _ => None,
        }
    }

    /// A topic of the pattern: `value` gives the text of each capture.
    pub fn example<'a>(&'a self, value: impl Fn(&'a str) -> &'a str) -> String {
        let level = |level: &'a Level| level.with(level.name().map_or("", &value));
        self.levels.iter().map(level).collect::<Vec<_>>().join("/")
    }

    /// Whether some topic matches both patterns.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        meet(&self.levels, &other.levels)
    }

    /// Whether some topic matches the MQTT filters of both patterns.
    pub(super) fn filters_overlap(&self, other: &Self) -> bool {
        meet_as_filters(&self.levels, &other.levels)
    }

    /// Whether some topic that `template` renders to matches. What a capture of the template will
    /// be is not known, so it may be anything; `known` gives the names with a fixed value.
    pub(super) fn may_match(&self, template: &TopicTemplate, known: &[(&str, &str)]) -> bool {
        let fixed = |level: &Level| {
            let value = known.iter().find(|(name, _)| level.name() == Some(*name));
            value.map_or_else(|| level.clone(), |(_, value)| Level::Literal(level.with(value)))
        };
        let rendered: Vec<Level> = template.levels.iter().map(fixed).collect();
        meet(&self.levels, &rendered)
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
        let mut names = template.levels.iter().filter_map(Level::name);
        if let Some(name) = names.find(|name| !known.contains(name)) {
            return Err(TopicError::NoValue(name.to_owned()));
        }
        Ok(template)
    }

    pub(super) fn with_any_names(text: &str) -> Result<Self, TopicError> {
        let levels = levels(text)?;
        match levels.first() {
            Some(Level::Literal(first)) if first == BROKER => {
                Err(TopicError::Reserved(first.clone()))
            }
            _ => Ok(Self { levels }),
        }
    }
}

fn write_levels(levels: &[Level], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (place, level) in levels.iter().enumerate() {
        let slash = if place == 0 { "" } else { "/" };
        match level {
            Level::Literal(text) => write!(f, "{slash}{text}")?,
            Level::Capture(name) => write!(f, "{slash}{{{name}}}")?,
            Level::Part { before, name, after } => write!(f, "{slash}{before}{{{name}}}{after}")?,
            Level::Rest(name) => write!(f, "{slash}{{{name}#}}")?,
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
