//! Metrics, read by programs of Prometheus.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::Served;
use super::client::{get, get_with};
use crate::common::skipped;

/// Parses the text that it is given by both parsers of Prometheus' own Python client, and prints the
/// names of the samples.
const PARSE: &str = "\
import sys
text = sys.stdin.read()
if sys.argv[1] == 'open':
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
else:
    from prometheus_client.parser import text_string_to_metric_families as parse
for family in parse(text):
    for sample in family.samples:
        print(sample.name, sorted(sample.labels.items()), sample.value)
";

/// Runs a command with this input; `None` if there is no such command.
fn pipe(command: &mut Command, input: &str) -> Option<(bool, String)> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().ok()?;
    // A program that reads nothing has ended by itself, and says why.
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), said.into_owned()))
}

#[tokio::test]
async fn metrics_are_read_by_promtool_and_by_the_python_client() {
    let mut served = Served::start("").await;
    served.peer.publish("sensors/watch-7/imu", "{\"ax\": ").await;
    served
        .gateway
        .await_health("a reject", |health| health["streams"]["motion"]["rejects"]["syntax"] == 1);
    let text = get(served.port, "/metrics");
    let open = get_with(served.port, "/metrics", "Accept: application/openmetrics-text\r\n");
    assert!(text.head.contains("Content-Type: text/plain; version=0.0.4"), "{}", text.head);
    assert!(open.head.contains("application/openmetrics-text; version=1.0.0"), "{}", open.head);
    for line in [
        "inferd_messages_total{stream=\"motion\"} 51",
        "inferd_predictions_total{stream=\"motion\"} 2",
        "inferd_rejects_total{stream=\"motion\",reason=\"syntax\"} 1",
        "inferd_stage_seconds_count{stream=\"motion\",stage=\"run\"} 2",
        "inferd_stage_seconds_count{stream=\"motion\",stage=\"queue\"} 51",
        "inferd_health_state{state=\"healthy\"} 1",
        "inferd_broker_connected 1",
        "inferd_reconnects_total 0",
        "inferd_queue_records{where=\"disk\"} 0",
        "inferd_devices{stream=\"motion\"} 1",
        "inferd_model_state{model=\"motion\",state=\"idle\"} 1",
        "inferd_label_predictions_total{stream=\"motion\",label=\"resting\"} 2",
        "inferd_score_bucket{stream=\"motion\",le=\"1.0\"} 2",
        "inferd_score_count{stream=\"motion\"} 2",
    ] {
        assert!(text.body.lines().any(|found| found == line), "no {line} in:\n{}", text.body);
        assert!(open.body.lines().any(|found| found == line), "no {line} in:\n{}", open.body);
    }
    for name in ["process_cpu_seconds_total ", "process_resident_memory_bytes ", "process_threads "]
    {
        let line = text.body.lines().find_map(|line| line.strip_prefix(name));
        assert!(line.is_some_and(|value| value.parse::<f64>().unwrap() > 0.0), "{name}{line:?}");
    }
    assert!(open.body.ends_with("# EOF\n"), "{}", open.body);
    assert!(!text.body.contains("watch-7"), "a device is no label");

    match pipe(Command::new("promtool").args(["check", "metrics"]), &text.body) {
        Some((good, said)) => assert!(good && said.trim().is_empty(), "promtool: {said}"),
        None => skipped("promtool check metrics", "prometheus is not installed"),
    }
    let Some(python) = std::env::var_os("INFERD_TEST_PYTHON") else {
        return skipped("metrics in Python", "INFERD_TEST_PYTHON is not set");
    };
    for (form, body) in [("text", &text.body), ("open", &open.body)] {
        let parsed = pipe(Command::new(&python).args(["-c", PARSE, form]), body);
        let (good, said) = parsed.unwrap();
        if !good && said.contains("No module named") {
            return skipped("metrics in Python", "prometheus_client is not installed");
        }
        assert!(good, "{form}: {said}");
        let wanted = "inferd_messages_total [('stream', 'motion')] 51";
        assert!(said.lines().any(|line| line.starts_with(wanted)), "{form}: {said}");
    }
}
