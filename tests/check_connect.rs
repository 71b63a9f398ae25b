//! `inferd check --connect`: what a broker says to the configured gateway.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::common::broker::{Mosquitto, free_port};
use crate::common::fake_broker::{CONNACK, FakeBroker, SUBSCRIBE};
use crate::common::gateway::Gateway;
use crate::common::skipped;

const STREAM: &str = "[[stream]]\nname = \"motion\"\nmodel = \"motion\"\n\
    topic = \"sensors/{device}/imu\"\n\
    payload = { fields = [\"ax\", \"ay\", \"az\", \"gx\", \"gy\", \"gz\"] }\n";

/// The exit code and the report.
fn checked(gateway: &Gateway) -> (i32, Value) {
    let Output { status, stdout, stderr } = gateway.command(&["check", "--connect", "--json"]);
    let report = serde_json::from_slice(&stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&stderr)));
    (status.code().unwrap(), report)
}

fn reason(report: &Value) -> &str {
    assert_eq!(report["problems"].as_array().unwrap().len(), 1, "{report}");
    report["problems"][0]["reason"].as_str().unwrap()
}

#[test]
fn a_broker_that_takes_the_gateway_is_said_and_a_running_daemon_stays_connected() {
    let Some(server) = Mosquitto::start("") else {
        return skipped("check --connect", "mosquitto is not installed");
    };
    let mut gateway = Gateway::new(server.port(), STREAM);
    gateway.start();
    let (code, report) = checked(&gateway);
    assert_eq!((code, &report["ok"]), (0, &Value::Bool(true)), "{report}");
    let broker = &report["broker"];
    assert_eq!(broker["connected"], true, "{report}");
    assert_eq!(broker["subscriptions"], serde_json::json!(["sensors/+/imu"]));
    let client_id = broker["client_id"].as_str().unwrap();
    assert!(client_id.starts_with("gw-1-check-"), "{client_id}");
    let shown = gateway.command(&["check", "--connect"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("1 subscription granted\n"), "{shown}");
    // The daemon connected once, and nobody took its session.
    let log = server.log();
    assert_eq!(log.matches(" as gw-1 (").count(), 1, "{log}");
    assert!(!log.contains("already connected"), "{log}");
    assert!(!log.contains(&format!("Received PUBLISH from {client_id}")), "{log}");
    assert!(log.contains(&format!("Received DISCONNECT from {client_id}")), "{log}");
}

#[test]
fn a_wrong_password_is_a_problem_that_names_the_user() {
    let passwords = |dir: &Path| {
        let made = Command::new("mosquitto_passwd")
            .args(["-b", "-c"])
            .arg(dir.join("passwords"))
            .args(["press", "right"])
            .status();
        assert!(made.is_ok_and(|status| status.success()), "mosquitto_passwd failed");
    };
    let extra = "allow_anonymous false\npassword_file {dir}/passwords\n";
    let Some(server) = Mosquitto::start_with(extra, passwords) else {
        return skipped("check --connect", "mosquitto is not installed");
    };
    let secret = server.dir().join("secret");
    std::fs::write(&secret, "wrong\n").unwrap();
    let mode = Command::new("chmod").arg("600").arg(&secret).status().unwrap();
    assert!(mode.success());
    let login = format!("[broker.credentials]\nusername = \"press\"\npassword_file = {secret:?}\n");
    let gateway = Gateway::new(server.port(), &format!("{login}{STREAM}"));
    let (code, report) = checked(&gateway);
    assert_eq!(code, 78, "{report}");
    let told = reason(&report);
    assert!(told.contains("\"press\"") && told.contains("password_file"), "{told}");
    assert_eq!(report["broker"]["connected"], false);
    std::fs::write(&secret, "right\n").unwrap();
    assert_eq!(checked(&gateway).0, 0);
}

#[test]
fn a_port_where_nothing_listens_ends_with_69_unless_something_else_is_wrong() {
    let port = free_port();
    let gateway = Gateway::new(port, STREAM);
    let (code, report) = checked(&gateway);
    assert_eq!(code, 69, "{report}");
    assert!(reason(&report).contains("cannot be reached"), "{report}");
    gateway.configure(port, &STREAM.replace("model = \"motion\"", "model = \"missing\""));
    let (code, report) = checked(&gateway);
    assert_eq!((code, report["problems"].as_array().unwrap().len()), (78, 2), "{report}");
}

#[tokio::test]
async fn a_refused_subscription_is_a_problem_of_its_stream() {
    let server = FakeBroker::start(1, |_, client| {
        client.accept(CONNACK);
        let asked = client.read_until(SUBSCRIBE).pkid().to_be_bytes();
        client.write(&[0x90, 4, asked[0], asked[1], 0, 0x87]);
        client.read_to_the_end();
    });
    let gateway = Gateway::new(server.port, STREAM);
    let (code, report) = checked(&gateway);
    assert_eq!(code, 78, "{report}");
    let told = reason(&report);
    for part in ["sensors/+/imu", "not authorized", "stream motion receives nothing", "access list"]
    {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    assert_eq!(report["problems"][0]["path"], "stream[0].topic");
    server.finish().await;
}
