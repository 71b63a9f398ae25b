//! What several integration tests need: brokers, a second client, a link with its own end.

pub(crate) mod binary;
pub(crate) mod broker;
pub(crate) mod cuttable_proxy;
pub(crate) mod disk;
pub(crate) mod fake_broker;
pub(crate) mod gateway;
pub(crate) mod link_harness;
pub(crate) mod mqtt_client;

use std::future::Future;
use std::io::Write;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// Far beyond what anything takes; a wait that comes to this end has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for `event`, which must come.
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Asks until it is true, which it must become.
pub(crate) fn await_true(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// How a child ended, which it must do by itself; one that does not is killed and gives none.
pub(crate) fn ended(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    child.kill().and_then(|()| child.wait()).unwrap();
    None
}

/// Says so where nobody can overlook it that a test did not run: past the harness, which keeps what a
/// test that passes prints, and into the file of `INFERD_TEST_SKIPS`, from which CI says it again.
pub(crate) fn skipped(test: &str, because: &str) {
    let line = format!("{test}: {because}\n");
    write!(std::io::stderr(), "\n*** NOT TESTED: {line}\n").unwrap();
    if let Some(path) = std::env::var_os("INFERD_TEST_SKIPS") {
        let file = std::fs::File::options().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
    }
}
