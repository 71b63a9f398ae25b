//! The outbox against a model of a broker and a disk, with link flaps, refusals, store failures
//! and crashes between any two actions: nothing lost, nothing reordered, bounds kept.

mod disk;
mod world;

use std::sync::Arc;
use std::time::Duration;

use inferd::ids::StreamName;
use inferd::message::Outgoing;
use inferd::outbox::{Settings, StreamPolicy};
use proptest::prelude::*;

use world::World;

const STREAMS: [(&str, u8); 3] = [("motion", 0), ("sound", 0), ("alarm", 7)];
/// Inputs the broker leaves unacknowledged at us.
const RECEIVE_MAXIMUM: usize = 6;
const MEMORY: usize = 24;
const GROUP: usize = 4;
const GROUP_GROWTH: usize = 4;

/// One thing that happens to the daemon.
#[derive(Clone, Debug)]
enum Step {
    Push {
        stream: usize,
        key: u8,
        input: bool,
    },
    /// Publishes that reach the broker, and of all that did, those it acknowledges.
    Broker {
        reached: usize,
        acknowledged: usize,
    },
    Refuse,
    Flap,
    Store {
        fails: bool,
    },
    Wait(u64),
    /// The process dies after this many more actions.
    CrashAfter(u32),
    StopAndStart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..STREAMS.len(), 0..3u8, any::<bool>())
            .prop_map(|(stream, key, input)| Step::Push { stream, key, input }),
        8 => (0..6usize, 0..6usize)
            .prop_map(|(reached, acknowledged)| Step::Broker { reached, acknowledged }),
        1 => Just(Step::Refuse),
        2 => Just(Step::Flap),
        8 => prop::bool::weighted(0.15).prop_map(|fails| Step::Store { fails }),
        4 => (0..1500u64).prop_map(Step::Wait),
        1 => (0..6u32).prop_map(Step::CrashAfter),
        1 => Just(Step::StopAndStart),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    (1..6usize, any::<bool>(), prop_oneof![Just(0), Just(50u32)]).prop_map(
        |(in_flight, in_order, drain_rate)| Settings {
            in_flight,
            memory_records: MEMORY,
            memory_bytes: 1 << 20,
            drain_rate,
            in_order,
            group_records: GROUP,
            group_delay: Duration::from_millis(500),
            streams: STREAMS
                .iter()
                .map(|(name, priority)| StreamPolicy {
                    name: StreamName::parse(name).unwrap(),
                    priority: *priority,
                })
                .collect(),
        },
    )
}

/// `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(600)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(), failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_is_lost_or_reordered_and_bounds_hold(
        settings in settings(),
        bound in 10..200usize,
        steps in prop::collection::vec(step(), 1..250),
    ) {
        let mut world = World::new(settings, bound);
        for step in steps {
            world.take(step);
        }
        world.come_to_rest();
        world.judge();
    }
}

/// The number of a result.
fn id(message: &Arc<Outgoing>) -> u64 {
    std::str::from_utf8(&message.payload).unwrap().parse().unwrap()
}
