//! The load that every queue gets, in a process of its own.

use std::path::Path;
use std::time::Instant;

use inferd::outbox::Record;

use crate::figures::{device_bytes, disk_bytes, figure, rss, written_bytes};
use crate::queues::Queue;
use crate::records::record;
use crate::{CYCLES, DEPTH, GROUP};

/// `before`: memory before the queue was opened.
pub(crate) fn measure(
    queue: &mut dyn Queue,
    dir: &Path,
    records: u64,
    payload: fn(u64) -> Vec<u8>,
    before: u64,
) {
    let mut seq = 0;
    let group = |seq: &mut u64| {
        let group: Vec<Record> = (0..GROUP).map(|i| record(*seq + i + 1, payload)).collect();
        *seq += GROUP;
        let bytes: u64 = group.iter().map(|r| r.message.payload.len() as u64).sum();
        (group, bytes)
    };
    // A queue about as deep as the short outages of every day.
    let device = device_bytes(dir);
    let (written, syncs, started) = (written_bytes(), queue.syncs(), Instant::now());
    let (mut bytes, mut depth) = (0, 0);
    for _ in 0..records / GROUP {
        let (group, len) = group(&mut seq);
        bytes += len;
        depth += GROUP;
        queue.push(group);
        while depth > DEPTH {
            depth -= queue.pop();
        }
    }
    while depth > 0 {
        depth -= queue.pop();
    }
    figure("idle_rss", rss().saturating_sub(before) as f64 / 1e6);
    figure("payload", bytes as f64 / seq as f64);
    figure("queue", seq as f64 / started.elapsed().as_secs_f64());
    figure("queue_amplification", (written_bytes() - written) as f64 / bytes as f64);
    figure("queue_device", (device_bytes(dir) - device) as f64 / bytes as f64);
    figure("syncs", (queue.syncs() - syncs) as f64 / seq as f64);
    // A long outage.
    let device = device_bytes(dir);
    let written = written_bytes();
    let begun = seq;
    bytes = 0;
    let started = Instant::now();
    while seq - begun < records {
        let (group, len) = group(&mut seq);
        bytes += len;
        queue.push(group);
    }
    figure("append", (seq - begun) as f64 / started.elapsed().as_secs_f64());
    figure("rss", rss().saturating_sub(before) as f64 / 1e6);
    figure("disk_filled", disk_bytes(dir) as f64 / 1e6);
    queue.opened_alone();
    let started = Instant::now();
    queue.reopen();
    figure("open_ms", started.elapsed().as_secs_f64() * 1e3);
    let started = Instant::now();
    let mut left = seq - begun;
    while left > 0 {
        left -= queue.pop();
    }
    figure("drain", (seq - begun) as f64 / started.elapsed().as_secs_f64());
    figure("fill_amplification", (written_bytes() - written) as f64 / bytes as f64);
    figure("fill_device", (device_bytes(dir) - device) as f64 / bytes as f64);
    cycle(queue, records, || group(&mut seq).0);
    figure("disk_cycles", disk_bytes(dir) as f64 / 1e6);
}

/// Again and again, a fifth of that each time and never quite empty.
pub(crate) fn cycle(queue: &mut dyn Queue, records: u64, mut group: impl FnMut() -> Vec<Record>) {
    let mut depth = 0;
    for _ in 0..CYCLES {
        for _ in 0..records / 5 / GROUP {
            depth += GROUP;
            queue.push(group());
        }
        while depth > 2 * GROUP {
            depth -= queue.pop();
        }
    }
}
