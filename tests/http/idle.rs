//! The HTTP server while nobody looks.

use std::fs;

use super::Served;
use super::client::get;

/// How often a thread of the server has gone to sleep.
fn sleeps(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of_server = threads.map(|thread| thread.unwrap().path()).filter(|thread| {
        fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.trim() == "http")
    });
    let counts = of_server.map(|thread| {
        let status = fs::read_to_string(thread.join("status")).unwrap();
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        count.unwrap().trim().parse::<u64>().unwrap()
    });
    counts.sum()
}

#[tokio::test]
async fn a_server_that_nobody_asks_does_not_wake_up() {
    let mut served = Served::start("").await;
    let pid = served.gateway.pid();
    assert_eq!(get(served.port, "/api/live?stream=motion&device=watch-7").status, 200);
    served.peer.subscribe("inferd/v1/gw-1/health").await;
    let mut counts = Vec::new();
    // Reports are a second apart, and predictions go on. A connection that was used may still be
    // closing in the first of them.
    for round in 0..5 {
        served.peer.await_json("/health", |_| true).await;
        counts.push(sleeps(pid));
        served.peer.publish_all("sensors/other/imu", super::samples(10 * round, 10)).await;
    }
    assert!(counts[0] > 0, "there is a thread of the server");
    let last = counts.len() - 1;
    assert_eq!(counts[1], counts[last], "it woke up: {counts:?}");
    served.gateway.stop();
}
