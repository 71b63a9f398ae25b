//! A rollout whose record file is lost.

use serde_json::Value;

use super::colleagues::{colleague, printed, retain, start, strs};
use super::fake_gateways::FakeGateways;
use super::mosquitto_sub::{empty, retained};
use super::{Running, Setup};
use crate::inferctl::workspace::{Ended, Workspace};

const RECORD: &str = "r.rollout";
const STATUS: &str = "inferd/v1/rollout/group/a/motion";

/// A rollout that was started and paused, and an operator without its record.
struct Lost {
    setup: Setup,
    fakes: FakeGateways,
    workspace: Workspace,
    bundle: String,
}

impl Lost {
    fn open(test: &str) -> Option<Self> {
        let setup = Setup::open(test)?;
        let fakes = FakeGateways::start(setup.broker.port(), 8, |_| "committed");
        let bundle = setup.release(1);
        let owner = start(&bundle, &["--waves", "1,100%", "--soak", "1h", "--name", "spring"]);
        let controller: Running = setup.spawn(&strs(&owner), "out");
        printed(&setup, "out", |text| text.contains("wave 1 of 2"));
        setup.run_ok(&["rollout", "pause", RECORD]);
        assert_eq!(controller.ended(), 0);
        let workspace = colleague(&setup);
        let from = setup.workspace.folder.path().join(&bundle);
        std::fs::copy(from, workspace.folder.path().join(&bundle)).unwrap();
        Some(Self { setup, fakes, workspace, bundle })
    }

    fn resume(&self, more: &[&str]) -> Ended {
        let url = self.setup.url();
        let args = ["rollout", "resume", "spring", "--bundle", &self.bundle, "--broker", &url];
        let keys = ["--keyset", "keyset-1.json", "--key", "deploy.key", "--record", "new.rollout"];
        self.workspace.run(&[&args[..], &keys, more].concat())
    }

    fn refused(&self, more: &[&str], why: &str) {
        let count = self.fakes.seen().len();
        let ended = self.resume(more);
        assert_eq!(ended.code, 1, "{}{}", ended.out, ended.err);
        assert!(ended.err.contains(why), "no {why:?} in {}", ended.err);
        assert!(!self.workspace.folder.path().join("new.rollout").exists(), "no record is made");
        assert_eq!(self.fakes.seen().len(), count, "nothing is published");
    }
}

#[test]
fn a_paused_rollout_is_resumed_with_a_record_that_is_rebuilt_from_the_broker() {
    let Some(lost) = Lost::open("rollout resume NAME") else { return };
    let ended = lost.resume(&["--soak", "0s", "--json"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(ended.err.contains("rebuilt from the broker. Wave 1 of 2"), "{}", ended.err);
    let end: Value = serde_json::from_str(ended.out.lines().last().unwrap()).unwrap();
    assert_eq!((&end["course"], &end["ended"]), (&"done".into(), &8.into()), "{end}");
    let seen = lost.fakes.seen();
    let holds: Vec<_> = seen.iter().map(|deployment| deployment.hold).collect();
    assert_eq!(holds, [false, true, false, false], "the wave, the hold, the wave and the last");
    assert!(seen.is_sorted_by(|a, b| a.seq < b.seq && a.percent <= b.percent));
    assert_eq!(seen[3].percent, 100.0);
    let one = |index: usize| (&seen[index].seed, &seen[index].manifest, seen[index].expires);
    assert!((1..4).all(|index| one(index) == one(0)), "the same rollout");

    // The first record is of no use any more, and does no harm.
    let old = lost.setup.run(&["rollout", "resume", RECORD]);
    assert_eq!(old.code, 1, "{}", old.out);
    assert!(old.err.contains("another record file"), "{}", old.err);
    assert_eq!(lost.fakes.seen().len(), 4);
    let url = lost.setup.url();
    let again = lost.workspace.run(&["rollout", "watch", "new.rollout", "--broker", &url]);
    assert!(again.code == 0 && again.out.contains("done in wave 2 of 2"), "{}", again.out);
}

#[test]
fn what_the_broker_does_not_prove_is_not_resumed() {
    let Some(lost) = Lost::open("refusals of rollout resume NAME") else { return };
    let port = lost.setup.broker.port();
    let neither = lost.workspace.run(&["rollout", "resume", "spring"]);
    assert!(neither.err.contains("--bundle, --keyset, --key and --record"), "{}", neither.err);
    // Another release.
    let right = lost.bundle.clone();
    let other = lost.setup.release(2);
    let folder = lost.workspace.folder.path();
    std::fs::copy(folder.join(&right), folder.join("right")).unwrap();
    std::fs::copy(lost.setup.workspace.folder.path().join(other), folder.join(&right)).unwrap();
    lost.refused(&[], "not the release of the rollout");
    std::fs::copy(folder.join("right"), folder.join(&right)).unwrap();
    // Waves that do not fit the signed deployment; the operator may give others.
    let status = String::from_utf8(retained(port, STATUS).unwrap()).unwrap();
    let mut forged: Value = serde_json::from_str(&status).unwrap();
    forged["waves"] = serde_json::json!([50.0, 100.0]);
    retain(&lost.setup, STATUS, Some(&forged.to_string()));
    lost.refused(&[], "--waves");
    let given = lost.resume(&["--waves", "50%,100%", "--dry-run"]);
    assert_eq!(given.code, 0, "{}", given.err);
    assert!(given.err.contains("Wave 1 of 3"), "{}", given.err);
    // Without the state a pause may have been an abort.
    empty(port, STATUS);
    lost.refused(&[], "cannot be told from a pause");
    retain(&lost.setup, STATUS, Some(&status));
    // One that is under control.
    let resumed = lost.setup.spawn(&["rollout", "resume", RECORD], "resumed");
    printed(&lost.setup, "resumed", |text| text.contains("wave 1 of 2"));
    lost.refused(&[], "pause it first");
    lost.setup.run_ok(&["rollout", "abort", RECORD]);
    assert_eq!(resumed.ended(), 1);
    lost.refused(&[], "has ended (aborted)");
}
