//! Whether results would leave in the order in which they were acknowledged.

use std::collections::HashMap;
use std::hash::Hash;

/// The first that comes behind a later one of its own key: itself and that later one. Numbers rise
/// in the order of the acknowledgements.
pub(crate) fn first_out_of_order<K: Hash + Eq>(
    sent: impl IntoIterator<Item = (K, u64)>,
) -> Option<(u64, u64)> {
    let mut last = HashMap::new();
    sent.into_iter().find_map(|(key, number)| {
        let before = last.insert(key, number)?;
        (before >= number).then_some((number, before))
    })
}
