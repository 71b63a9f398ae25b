//! The names and types of metrics, which edge nodes tell in their birth certificates.

use std::collections::HashMap;

/// Bytes of names and tables that are kept; an alias counts with [`EACH`].
const MAX_BYTES: usize = 16 << 20;

/// Bytes that an alias takes besides its name.
const EACH: usize = 64;

/// The metrics of all edge nodes and devices that were born. The one that has been silent for
/// longest is forgotten when their names take more than 16 MiB.
#[derive(Debug, Default)]
pub struct MetricNames {
    sources: HashMap<String, Source>,
    bytes: usize,
    /// Counts the uses.
    clock: u64,
}

/// An edge node or a device of one.
#[derive(Debug, Default)]
struct Source {
    by_alias: HashMap<u64, MetricName>,
    /// The types of metrics without an alias.
    types: HashMap<String, u64>,
    bytes: usize,
    used: u64,
}

#[derive(Debug)]
pub(super) struct MetricName {
    pub(super) name: String,
    pub(super) datatype: Option<u64>,
}

impl MetricNames {
    /// Begins the birth certificate of a source, which replaces its last one.
    pub(super) fn begin_birth(&mut self, source: &str) {
        self.forget(source);
        self.clock = self.clock.saturating_add(1);
        let born = Source { used: self.clock, ..Source::default() };
        let _none = self.sources.insert(source.to_owned(), born);
        self.count(source, source.len().saturating_add(EACH));
    }

    /// Adds a metric to the birth certificate.
    pub(super) fn add(
        &mut self,
        source: &str,
        name: &str,
        alias: Option<u64>,
        datatype: Option<u64>,
    ) {
        let Some(born) = self.sources.get_mut(source) else { return };
        match (alias, datatype) {
            (Some(alias), datatype) => {
                let metric = MetricName { name: name.to_owned(), datatype };
                let _last = born.by_alias.insert(alias, metric);
            }
            (None, Some(datatype)) => {
                let _last = born.types.insert(name.to_owned(), datatype);
            }
            (None, None) => return,
        }
        self.count(source, name.len().saturating_add(EACH));
    }

    /// Whether a source has been born, as far as is remembered.
    pub(super) fn is_born(&mut self, source: &str) -> bool {
        self.clock = self.clock.saturating_add(1);
        let born = self.sources.get_mut(source);
        if let Some(born) = born {
            born.used = self.clock;
            return true;
        }
        false
    }

    pub(super) fn by_alias(&self, source: &str, alias: u64) -> Option<&MetricName> {
        self.sources.get(source)?.by_alias.get(&alias)
    }

    /// The type of a metric that is named in the message.
    pub(super) fn datatype(&self, source: &str, name: &str, alias: Option<u64>) -> Option<u64> {
        let born = self.sources.get(source)?;
        let known = alias.and_then(|alias| born.by_alias.get(&alias));
        known.and_then(|known| known.datatype).or_else(|| born.types.get(name).copied())
    }

    fn forget(&mut self, source: &str) {
        if let Some(gone) = self.sources.remove(source) {
            self.bytes = self.bytes.saturating_sub(gone.bytes);
        }
    }

    /// Counts bytes of a source, and makes room for them.
    fn count(&mut self, source: &str, bytes: usize) {
        if let Some(born) = self.sources.get_mut(source) {
            born.bytes = born.bytes.saturating_add(bytes);
            self.bytes = self.bytes.saturating_add(bytes);
        }
        while self.bytes > MAX_BYTES {
            let oldest = self.sources.iter().min_by_key(|(_, born)| born.used);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { break };
            self.forget(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_that_was_silent_for_longest_makes_room() {
        let mut names = MetricNames::default();
        let long = "x".repeat(4 << 20);
        for source in ["a", "b", "c"] {
            names.begin_birth(source);
            names.add(source, &long, Some(1), Some(9));
        }
        assert!(names.is_born("a"));
        names.begin_birth("d");
        names.add("d", &long, Some(1), None);
        assert!(names.is_born("a") && !names.is_born("b") && names.is_born("d"));
        names.begin_birth("a");
        assert!(names.by_alias("a", 1).is_none(), "a new birth replaces the last one");
        assert_eq!(names.by_alias("c", 1).unwrap().datatype, Some(9));
        assert!(names.bytes < MAX_BYTES);
    }
}
