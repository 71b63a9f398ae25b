//! A real Prometheus: it scrapes the daemon, loads the alert rules of the documentation, and answers
//! the queries of the dashboard.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::Served;
use super::client::{Answer, get, send};
use crate::common::broker::free_port;
use crate::common::{PATIENCE, skipped};

/// Killed when dropped.
struct Prometheus {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

impl Prometheus {
    /// Scrapes this port every second; `None` if it is not installed.
    fn start(scraped: u16) -> Option<Self> {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/prometheus/alerts.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [{:?}]\n\
             scrape_configs:\n  - job_name: inferd\n    static_configs: \
             [{{ targets: [\"127.0.0.1:{scraped}\"] }}]\n",
            rules.display().to_string()
        );
        let config = dir.path().join("prometheus.yml");
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}/data", dir.path().display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .ok()?;
        let prometheus = Self { child, port, dir };
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "it does not listen: {}", prometheus.log());
            std::thread::yield_now();
        }
        Some(prometheus)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn get(&self, path: &str) -> Answer {
        // Without chunks.
        send(self.port, format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())
    }

    /// The result of a query.
    fn query(&self, text: &str) -> Value {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = self.get(&format!("/api/v1/query?query={encoded}"));
        assert!([200, 503].contains(&answer.status), "{text}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap_or_default()
    }

    fn await_result(&self, text: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let result = self.query(text)["data"]["result"].take();
            if result.as_array().is_some_and(|series| !series.is_empty()) {
                return result;
            }
            assert!(Instant::now() < deadline, "{text} gave nothing: {}", self.log());
            std::thread::yield_now();
        }
    }
}

#[tokio::test]
async fn a_real_prometheus_scrapes_and_knows_every_query_of_the_docs() {
    let served = Served::start("").await;
    let Some(prometheus) = Prometheus::start(served.port) else {
        return skipped("a scrape by Prometheus", "prometheus is not installed");
    };
    let messages = prometheus.await_result("inferd_messages_total{stream=\"motion\"}");
    assert_eq!(messages[0]["value"][1], "50", "{messages}");
    assert_eq!(prometheus.await_result("up{job=\"inferd\"}")[0]["value"][1], "1");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let rules = prometheus.get("/api/v1/rules").json();
        let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap().clone();
        assert!(rules.len() >= 7 && rules.iter().all(|rule| rule["health"] != "err"), "{rules:#?}");
        if rules.iter().all(|rule| rule["health"] == "ok") {
            break;
        }
        assert!(Instant::now() < deadline, "the rules are not evaluated: {rules:#?}");
    }
    let dashboard = include_str!("../../docs/prometheus/grafana.json");
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    let exposition = get(served.port, "/metrics").body;
    let mut queries = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap().replace("$instance", ".*");
            assert_eq!(prometheus.query(&query)["status"], "success", "{query}");
            let mut words = query.split(|c: char| !c.is_alphanumeric() && c != '_');
            let name = words.find(|word| word.starts_with("inferd_")).unwrap();
            let family = name.trim_end_matches("_bucket");
            assert!(exposition.contains(&format!("# TYPE {family} ")), "{name} does not exist");
            queries += 1;
        }
    }
    assert!(queries > 10);
}
