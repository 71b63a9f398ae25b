//! The record of a model's versions: one value per model, changed by one durable write.

use std::collections::BTreeSet;

use crate::ids::{Digest, ModelName};
use crate::store::{Store, StoreError};
use crate::update::machine::Record;

impl Store {
    /// The record of a model; empty if there is none. What is corrupt is reset.
    ///
    /// # Errors
    /// The disk failed.
    pub fn version_record(&mut self, model: &ModelName) -> Result<Record, StoreError> {
        let Some(bytes) = self.get(&key(model))? else { return Ok(Record::default()) };
        let (record, corrupt) = Record::from_stored(&bytes);
        if let Some(corrupt) = corrupt {
            log::error!("model {model}: {corrupt}");
        }
        Ok(record)
    }

    /// Replaces the record of a model atomically. Durable when this returns.
    ///
    /// # Errors
    /// The disk is full or failed: the previous record is unchanged.
    pub fn set_version_record(
        &mut self,
        model: &ModelName,
        record: &Record,
    ) -> Result<(), StoreError> {
        self.put(&key(model), &record.to_stored())
    }

    /// Every version that one of these models needs, for [`super::ModelStore::sweep`].
    ///
    /// # Errors
    /// The disk failed: then nothing may be swept.
    pub fn versions_needed<'a>(
        &mut self,
        models: impl IntoIterator<Item = &'a ModelName>,
    ) -> Result<BTreeSet<Digest>, StoreError> {
        let mut needed = BTreeSet::new();
        for model in models {
            needed.extend(self.version_record(model)?.slots.needed());
        }
        Ok(needed)
    }
}

fn key(model: &ModelName) -> String {
    format!("slots/{model}")
}
