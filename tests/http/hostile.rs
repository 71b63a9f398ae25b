//! Clients that are slow, many or wrong, while the daemon predicts.

use std::io::Write as _;

use super::Served;
use super::client::{connect, get, send};

/// More than the server has places.
const SLOW_CLIENTS: usize = 100;
const CONNECTIONS: usize = 10_000;

#[tokio::test]
async fn slow_clients_keep_nobody_out() {
    let mut served = Served::start("").await;
    let mut slow = Vec::new();
    for number in 0..SLOW_CLIENTS {
        let mut stream = connect(served.port);
        // Half of them say nothing at all.
        if number % 2 == 0 {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ").unwrap();
        }
        slow.push(stream);
    }
    assert_eq!(get(served.port, "/livez").status, 200);
    served.predict("watch-8").await;
    for stream in &mut slow {
        // Those that had to give way are closed.
        stream.write_all(b"x").ok();
    }
    assert_eq!(get(served.port, "/metrics").status, 200);
    served.predict("watch-9").await;
}

#[tokio::test]
async fn many_connections_and_large_heads_do_no_harm() {
    let mut served = Served::start("").await;
    let port = served.port;
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    for _ in 0..10 {
        assert_eq!(send(port, head.as_bytes()).status, 431);
    }
    let many = std::thread::spawn(move || {
        (0..CONNECTIONS).filter(|_| get(port, "/v2").status == 200).count()
    });
    for device in 0..5 {
        served.predict(&format!("watch-{device}")).await;
    }
    assert_eq!(many.join().unwrap(), CONNECTIONS);
    assert_eq!(get(port, "/livez").status, 200);
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", served.gateway.pid())).unwrap();
    assert!(descriptors.count() < 100, "connections are closed");
}
