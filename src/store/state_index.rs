//! Small state beside the results: a name, and the slots of its newest value.

use std::collections::BTreeMap;

use super::index::Batch;
use crate::outbox::Seq;

#[derive(Debug, Default)]
pub(super) struct StateIndex {
    states: BTreeMap<String, (Seq, Batch)>,
}

impl StateIndex {
    /// Takes a value if it is newer than the one there is; gives the one that loses. A value
    /// without a name loses always.
    pub(super) fn keep_newer(
        &mut self,
        name: Option<String>,
        revision: Seq,
        batch: Batch,
    ) -> Option<Batch> {
        let Some(name) = name else { return Some(batch) };
        if self.states.get(&name).is_some_and(|(newest, _)| *newest > revision) {
            return Some(batch);
        }
        self.states.insert(name, (revision, batch)).map(|(_, old)| old)
    }

    pub(super) fn batch(&self, name: &str) -> Option<&Batch> {
        self.states.get(name).map(|(_, batch)| batch)
    }

    /// Above every turn so far.
    pub(super) fn next_revision(&self) -> u64 {
        self.states
            .values()
            .map(|(revision, _)| revision.0)
            .max()
            .map_or(1, |revision| revision.saturating_add(1))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.states.values().map(|(_, batch)| batch.bytes).sum()
    }

    /// Those that begin so, rising.
    pub(super) fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let from = self.states.range(prefix.to_owned()..);
        from.map(|(name, _)| name.as_str()).take_while(move |name| name.starts_with(prefix))
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Batch> {
        self.states.remove(name).map(|(_, batch)| batch)
    }
}
