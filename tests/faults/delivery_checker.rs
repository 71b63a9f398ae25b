//! The independent publisher and checker, `tests/clients/delivery_checker.py`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::common::gateway::Gateway;
use crate::common::skipped;

/// Nothing lost, nothing out of order, one id for each input.
pub(super) fn nothing_is_wrong(verdict: &Value, gateway: &Gateway) {
    for wrong in ["lost", "reordered", "twice_under_another_id", "ids_of_two_inputs"] {
        assert_eq!(verdict[wrong], 0, "{wrong}: {verdict}; the log:\n{}", gateway.log_end());
    }
}

pub(super) struct DeliveryChecker {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl DeliveryChecker {
    /// Publishes to a broker from now on; `None`, and a word why, without paho-mqtt.
    pub(super) fn start(port: u16) -> Option<Self> {
        let python = std::env::var("INFERD_TEST_PYTHON").unwrap_or("python3".into());
        let paho = Command::new(&python).args(["-c", "import paho.mqtt.client"]).output();
        if !paho.is_ok_and(|output| output.status.success()) {
            skipped("faults with paho-mqtt", "pip install -r tests/requirements.txt makes it run");
            return None;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/delivery_checker.py");
        let mut child = Command::new(&python)
            .args([script, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        let mut checker = Self { child, says };
        assert_eq!(checker.line(), "ready");
        Some(checker)
    }

    /// Stops publishing, waits for the answers and says what is wrong with them.
    pub(super) fn verdict(&mut self) -> Value {
        self.child.stdin.take().unwrap().write_all(b"stop\n").unwrap();
        serde_json::from_str(&self.line()).unwrap()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for DeliveryChecker {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}
