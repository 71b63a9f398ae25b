//! Restores the windows that the last stop or the last save wrote.

use super::recent_inputs::RecentInputs;
use super::{journal_state, windows_key};
use crate::clock::Now;
use crate::config::{Stream, WindowSafety};
use crate::pipeline::Pipeline;
use crate::store::Store;

/// Restores the windows of a stream, and the inputs that are in them. What cannot be read is logged
/// and left out.
pub(crate) fn restore_windows(
    pipeline: &mut Pipeline,
    recent: &mut RecentInputs,
    stream: &Stream,
    store: &mut Store,
    now: Now,
) {
    let key = windows_key(&stream.name);
    let saved = match journal_state::read(store, &key) {
        Ok(Some(saved)) => saved,
        Ok(None) => return,
        Err(error) => return log::warn!("cannot read {key}: {error}"),
    };
    let (mut input_ids, entries) = (Vec::new(), saved.entries.iter().map(Vec::as_slice));
    match pipeline.replay(recent.restore(&saved.base), entries, now, &mut input_ids) {
        Ok(restored) => {
            log::info!(
                "stream {}: windows of {} devices restored, {} left out",
                stream.name,
                restored.devices,
                restored.dropped
            );
            if restored.left_out > 0 {
                log::warn!(
                    "stream {}: {} journal entries behind the saved windows cannot be read and are \
                     left out",
                    stream.name,
                    restored.left_out
                );
            }
        }
        Err(error) => log::warn!("stream {}: {error}", stream.name),
    }
    input_ids.into_iter().for_each(|input_id| recent.record(Some(input_id)));
    // Saved at a clean stop only: after a crash they would be older than the samples since then.
    if stream.windows == WindowSafety::Memory
        && let Err(error) = store.clear_windows(&key)
    {
        log::warn!("cannot clear {key}: {error}");
    }
}
