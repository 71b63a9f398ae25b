//! What a daemon would send after a start on this store.

use std::collections::VecDeque;
use std::time::Duration;

use inferd::clock::Mono;
use inferd::outbox::{Action, Event, Opened, Outbox, Seq, Settings, StreamPolicy};
use inferd::store::{Store, StoreError};

/// Smaller than what waits, so that it is read in many parts.
const IN_FLIGHT: usize = 32;

/// The numbers of all results, in the order in which a broker that takes everything gets them.
/// Nothing is removed from the store.
pub(crate) fn sent(store: &mut Store, opened: Opened) -> Result<Vec<u64>, StoreError> {
    let mut outbox = Outbox::new(settings());
    let mut events = VecDeque::from([Event::Opened(opened), Event::LinkUp]);
    let mut sent = Vec::new();
    let mut actions = Vec::new();
    while let Some(event) = events.pop_front() {
        outbox.on(Mono(0), event, &mut actions);
        for action in actions.drain(..) {
            match action {
                Action::Publish { seq: Seq(seq), .. } => {
                    sent.push(seq);
                    events.push_back(Event::Sent(Seq(seq)));
                }
                Action::Load { after, limit } => {
                    let found = store.load(after, limit)?;
                    let (records, through, end) = (found.records, found.through, found.end);
                    events.push_back(Event::Loaded { records, through, end });
                }
                Action::Store(_) | Action::Remove(_) | Action::Release(_) | Action::Lost { .. } => {
                }
            }
        }
    }
    Ok(sent)
}

fn settings() -> Settings {
    let policy = |(name, priority)| StreamPolicy { name: crate::stream(name), priority };
    Settings {
        in_flight: IN_FLIGHT,
        memory_records: 256,
        memory_bytes: 4 << 20,
        drain_rate: 0,
        in_order: false,
        group_records: 64,
        group_delay: Duration::from_millis(500),
        streams: [("motion", 0), ("alarm", 1)].map(policy).to_vec(),
    }
}
