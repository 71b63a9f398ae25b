//! The daemon's HTTP server: the real binary, a real broker, clients written by others.

mod client;
mod hostile;
mod idle;
mod metrics;
mod page;
mod prometheus;
mod protocol;

use crate::common::broker::{Broker, free_port};
use crate::common::gateway::{Gateway, MOTION, samples};
use crate::common::mqtt_client::MqttClient;
use client::{get, get_with};

/// A running daemon with an HTTP server that has made predictions.
struct Served {
    gateway: Gateway,
    peer: MqttClient,
    _broker: Broker,
    port: u16,
}

impl Served {
    async fn start(http: &str) -> Self {
        Self::start_with(http, "").await
    }

    /// With options of the stream.
    async fn start_with(http: &str, stream: &str) -> Self {
        let broker = Broker::start();
        let port = free_port();
        let mut peer = MqttClient::connect(broker.port(), "peer").await;
        peer.subscribe("predictions/#").await;
        let http = format!("[http]\nlisten = \"127.0.0.1:{port}\"\n{http}\n");
        let streams = MOTION.replacen("name =", &format!("{stream}name ="), 1);
        let mut gateway = Gateway::new(broker.port(), &(http + &streams));
        gateway.start();
        gateway.await_notice("subscribed");
        let mut served = Self { gateway, peer, _broker: broker, port };
        served.predict("watch-7").await;
        served
    }

    /// Two windows of a device, and their predictions.
    async fn predict(&mut self, device: &str) {
        self.peer.publish_all(&format!("sensors/{device}/imu"), samples(0, 50)).await;
        for _ in 0..2 {
            self.peer.await_json(&format!("predictions/motion/{device}"), |_| true).await;
        }
    }
}

#[tokio::test]
async fn status_and_health_are_served_and_the_socket_closes_with_the_daemon() {
    let mut served = Served::start("").await;
    let port = served.port;
    let status = get(port, "/api/status");
    assert_eq!(status.status, 200, "{}", status.body);
    assert!(status.head.contains("Content-Type: application/json\r\n"), "{}", status.head);
    let (served_status, told) = (status.json(), served.gateway.ask(&["status"]));
    let keys = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys(&served_status), keys(&told));
    assert_eq!(keys(&served_status["health"]), keys(&told["health"]));
    assert_eq!(served_status["models"], told["models"]);
    assert_eq!(served_status["health"]["streams"]["motion"]["messages"], 50);
    assert_eq!(served_status["state"], "healthy");
    for (path, body) in [("/livez", "ok\n"), ("/readyz", "healthy\n")] {
        let answer = get(port, path);
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{path}");
    }
    for path in ["/api/nothing", "/v2/models", "/..%2f..%2fetc/passwd", "//"] {
        assert_eq!(get(port, path).status, 404, "{path}");
    }
    let foreign = "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(client::send(port, foreign.as_bytes()).status, 421);
    served.gateway.stop();
    let refused = std::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port));
    assert!(refused.is_err(), "the port is closed");
}

#[tokio::test]
async fn a_token_protects_everything_but_the_probes() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "a-token-of-24-characters\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let served = Served::start(&format!("token_file = {:?}", path.display())).await;
    let port = served.port;
    let refused = get(port, "/metrics");
    assert_eq!(refused.status, 401);
    assert!(refused.head.contains("WWW-Authenticate: Basic realm=\"inferd\""), "{}", refused.head);
    let shown = "Authorization: Bearer a-token-of-24-characters\r\n";
    assert_eq!(get_with(port, "/metrics", shown).status, 200);
    assert_eq!(get(port, "/livez").status, 200);
    let samples: Vec<String> =
        samples(0, 1).into_iter().map(|sample| String::from_utf8(sample).unwrap()).collect();
    let body = serde_json::json!({
        "stream": "motion", "topic": "sensors/test/imu", "payload": samples[0]
    });
    let post = |headers: &str, body: &str| {
        let request = format!(
            "POST /api/try HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        client::send(port, request.as_bytes())
    };
    assert_eq!(post("", &body.to_string()).status, 401);
    let tried = post(shown, &body.to_string()).json();
    assert_eq!((&tried["samples"], &tried["repeated"]), (&1.into(), &40.into()), "{tried}");
    assert_eq!(tried["filled"], serde_json::json!([1, 40]), "{tried}");
    assert_eq!(tried["predictions"].as_array().unwrap().len(), 1, "{tried}");
    assert_eq!(tried["messages"][0][0], "predictions/motion/test", "{tried}");
    let bad = body.to_string().replace("\\\"ax", "\\\"bx");
    let tried = post(shown, &bad).json();
    assert!(tried["rejects"][0].as_str().unwrap().contains("ax"), "{tried}");
    assert_eq!(post(shown, "{}").status, 400);
    assert_eq!(get_with(port, "/", shown).body.matches("class=\"try-run\"").count(), 1);
    let log = served.gateway.log();
    assert!(!log.contains("a-token-of"), "a secret is in the log");
}

#[test]
fn an_address_for_other_machines_needs_a_token() {
    let streams = format!("[http]\nlisten = \"0.0.0.0:9617\"\n{MOTION}");
    let gateway = Gateway::new(1, &streams);
    let output = gateway.command(&["check"]);
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("no token_file is set"), "{text}");
}
