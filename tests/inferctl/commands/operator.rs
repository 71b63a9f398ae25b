//! Every example of `inferctl --help` and of each of its verbs, run as it is printed. Only the
//! address of the broker, folders of the system and the size of a simulated fleet differ.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use inferd::npz;

use super::captures::CAPTURES;
use super::printed::{Examples, examples};
use super::shell::Shell;
use crate::common::broker::Mosquitto;
use crate::common::{await_true, skipped};
use crate::inferctl::fake_gateways::FakeGateways;
use crate::inferctl::terminal::python;

/// The verbs whose examples need files and a broker.
const RELEASES: [&str; 15] = [
    "baseline",
    "keygen",
    "keys",
    "keys show",
    "pack",
    "sign",
    "verify",
    "inspect",
    "publish",
    "fleet",
    "fleet forget",
    "report",
    "withdraw",
    "tail",
    "profile",
];
/// The verbs whose examples need a fleet.
const ROLLOUTS: [&str; 8] = [
    "rollout",
    "rollout start",
    "rollout list",
    "rollout watch",
    "rollout pause",
    "rollout resume",
    "rollout abort",
    "rollback",
];
/// The program itself, and what needs nothing.
const ITSELF: [&str; 2] = ["", "simulate"];

/// The gateways that the examples are for, `gw-17` among them; enough for a wave of ten before one of
/// a quarter.
const GROUPS: &[&str] = &["line-a", "all"];
const GATEWAYS: usize = 100;

/// A rollout that is not an example, to be aborted by one.
const START: &str = "inferctl rollout start --model motion --group line-a --bundle \
                     motion-1.1.0.bundle --keyset keyset-1.json --key deploy.key --record \
                     motion.rollout";

fn has_python(test: &str) -> bool {
    let is_there = Command::new(python()).arg("--version").output().is_ok();
    if !is_there {
        skipped(test, "Python, which types on a terminal, is not installed");
    }
    is_there
}

/// The verbs' examples, in a folder with a copy of the models, with a broker.
fn sandbox(broker: &Mosquitto, verbs: &[&str]) -> Examples {
    let mut examples = Examples::new(Shell::new().with_broker(broker.port()), "inferctl", verbs);
    let url = format!("mqtt://127.0.0.1:{}", broker.port());
    for printed in ["mqtts://broker.example", "mqtt://broker.example", "mqtts://b.example"] {
        examples.place(printed, &url);
    }
    let www = examples.shell.path().join("www").display().to_string();
    examples.place("/var/www", &www);
    examples.place("--gateways 10000", "--gateways 200");
    examples.place("--gateways 2000", "--gateways 200");
    // A folder of models in which there is one more.
    examples.prepare("cp -rL models own && rm models && mv own models");
    examples.prepare(
        "cp models/recordings/*-test.csv day.csv
         cp -r models/motion models/new && sed -i '/^.golden.$/,$d' models/new/card.toml",
    );
    let password = examples.shell.path().join("password");
    fs::write(&password, "correct horse\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    examples
}

/// The inputs of the model's golden vectors alone.
pub(super) fn windows(folder: &Path) {
    let golden = fs::read(folder.join("models/motion/golden.npz")).unwrap();
    let arrays = npz::read(&golden, 1 << 24).unwrap();
    let inputs = arrays.iter().filter(|(name, _)| name.as_str() == "window");
    let inputs = inputs.map(|(name, array)| (name.as_str(), array));
    fs::write(folder.join("windows.npz"), npz::write(inputs).unwrap()).unwrap();
}

#[test]
fn the_verbs_of_inferctl_are_all_here() {
    let mut verbs: Vec<_> = examples("inferctl").into_keys().collect();
    let run = [&RELEASES[..], &ROLLOUTS, &ITSELF, &CAPTURES].concat();
    verbs.retain(|verb| !run.contains(&verb.as_str()));
    assert!(verbs.is_empty(), "verbs whose examples no test runs: {verbs:?}");
}

#[test]
fn the_examples_of_releases_work_as_printed() {
    let test = "the examples of inferctl on releases";
    let Some(broker) = Mosquitto::for_test(test).filter(|_| has_python(test)) else { return };
    let mut all = sandbox(&broker, &RELEASES);
    keys(&mut all);
    packs(&mut all);
    all.run("sign", "--key-password-file");
    all.run("sign", "");
    all.run("verify", "--keyset keyset-2.json");
    all.run("verify", "");
    all.prints("inspect", "--json", "\"claimed_signers\"");
    all.run("inspect", "");
    let missing = all.run("publish", "--dry-run");
    assert!(missing.contains("blob"), "{missing}");
    all.run("publish", "--broker");
    all.run("publish", "--web");
    all.run("publish", "");
    all.run("keys show", "--broker");
    all.run("profile", "inferctl profile");
    fs::write(all.shell.path().join("plant-2.toml"), "[broker]\nprefix = \"inferd/v1\"\n").unwrap();
    all.prints("profile", "plant-2.toml", "inferd/v1");
    fleet(&mut all, broker.port());
    tails(&mut all);
    all.done();
}

fn keys(all: &mut Examples) {
    all.run("keygen", "deploy.key");
    let (first, again) = ("Password for the new key release.key: ", "Repeat the password: ");
    // The last on a terminal that asks; the first match is that without a password file.
    all.type_in("keygen", "--out release.key", &[(first, "horse\n"), (again, "horse\n")]);
    all.prepare("rm release.key");
    all.run("keygen", "--key-password-file");
    all.prepare("rm release.key && inferctl keygen --out release.key --unencrypted");
    all.run("keys", "--release release.key");
    all.prepare(
        "mkdir two three && cp release.key two/a.key && cp release.key three/a.key
         for key in two/b.key two/d.key three/new.key three/d.key; do
             inferctl keygen --out $key --unencrypted
         done
         inferctl keys --release three/a.key --deploy three/d.key --out three/keyset-1.json
         inferctl keys --after keyset-1.json --sign-with release.key --release release.key \
             --deploy deploy.key --out keyset-2.json",
    );
    all.run_in("two", "keys", "--release-threshold 2");
    all.run_in("three", "keys", "--after");
    all.prints("keys", "show", "2       release");
}

fn packs(all: &mut Examples) {
    windows(all.shell.path());
    all.run("pack", "--counter 1 --out motion-1.0.0.bundle");
    all.run("pack", "--delta-from");
    all.run("pack", "--counter next");
    all.run("pack", "--counter 3");
    all.run("pack", "--golden-inputs");
    all.run("pack", "--golden-samples");
    all.run("baseline", "--concurrent");
    all.run("baseline", "--out");
    all.prints("baseline", "", "280 windows of 40 recordings");
    all.run("pack", "--baseline");
    all.prepare(
        "inferctl pack models/motion --counter 2 --out motion-1.1.0.bundle
         inferctl sign motion-1.1.0.bundle --key release.key",
    );
}

fn fleet(all: &mut Examples, port: u16) {
    let gateways = FakeGateways::of_groups(port, GROUPS, GATEWAYS, |_| "committed");
    all.prints("fleet", "inferctl fleet", "gw-17");
    drop(all.spawn("fleet", "--watch", "gw-17"));
    all.prints("report", "--out fleet.html", "100 gateways in fleet.html");
    all.prints("report", "--json", "\"gateways\":100");
    drop(gateways);
    all.prepare(
        "mosquitto_pub -r -q 1 -t inferd/v1/gw-17/status -m \
         '{\"v\":1,\"state\":\"offline\",\"version\":\"0.1.0\",\
         \"since\":\"2026-11-26T09:00:00Z\"}'",
    );
    assert_eq!(all.run("fleet", "jq").trim(), "\"gw-17\"");
    all.prints("fleet forget", "--dry-run", "would be cleared");
    all.prints("fleet forget", "", "cleared");
    all.run("withdraw", "--group");
    all.run("withdraw", "--gateway");
}

/// They print what arrives after they have started, so it is published until all have printed it.
fn tails(all: &mut Examples) {
    let commands = [
        (all.take("tail", "--count 10"), "standing"),
        (all.take("tail", "'predictions/motion/+' --json"), "predictions/motion/w1"),
        (all.take("tail", "--daemons"), "inferd/v1/gw-1/status"),
        (all.take("tail", ""), "predictions/motion/w1 {"),
    ];
    let shell = &all.shell;
    let tails = commands.map(|(line, wanted)| (shell.spawn(&line), wanted));
    await_true("every tail prints", || {
        shell.run_ok(
            "mosquitto_pub -t predictions/motion/w1 -m '{\"label\":\"standing\"}'
             mosquitto_pub -t inferd/v1/gw-1/status -m '{\"state\":\"online\"}'",
        );
        tails.iter().all(|(tail, wanted)| tail.has_text(wanted))
    });
}

#[test]
fn the_examples_of_rollouts_work_as_printed() {
    let Some(broker) = Mosquitto::for_test("the examples of inferctl rollout --help") else {
        return;
    };
    let _gateways = FakeGateways::of_groups(broker.port(), GROUPS, GATEWAYS, |_| "committed");
    let mut all = sandbox(&broker, &ROLLOUTS);
    all.prepare(
        "inferctl keygen --out release.key --unencrypted
         inferctl keygen --out deploy.key --unencrypted
         inferctl keys --release release.key --deploy deploy.key --out keyset-1.json
         inferctl pack models/motion --counter 1 --out motion-1.0.0.bundle
         inferctl pack motion-1.0.0.bundle --counter 3 --out motion-1.0.0-counter-3.bundle
         sed -i 's/^version = .*/version = \"1.1.0\"/' models/motion/card.toml
         inferctl pack models/motion --counter 2 --out motion-1.1.0.bundle
         for bundle in *.bundle; do inferctl sign $bundle --key release.key; done",
    );
    let first = all.spawn("rollout", "start", "wave 1 of 4");
    all.prints("rollout", "list", "running");
    all.prints("rollout list", "--keyset", "\"running\"");
    all.prints("rollout", "pause", "paused in wave 1 of 4");
    assert_eq!(first.ended(), Some(0), "a pause ends the controller");
    drop(all.spawn("rollout", "resume", "wave 1 of 4"));
    let name = all.prepare("inferctl rollout list --json | jq -r .rollout");
    all.place("motion-1.1.0-5f2e10aa", name.trim());
    all.prints("rollout pause", "--keyset", ": paused; ");
    all.prepare("rm motion.rollout");
    drop(all.spawn("rollout resume", "--keyset", "wave 1 of 4"));
    // The watching controller carries the abort out, or there is none yet and the command does.
    let watching = all.spawn("rollout watch", "rollout watch motion.rollout", "");
    all.prints("rollout abort", "motion.rollout", "aborted in wave 1 of 4");
    assert_eq!(watching.ended(), Some(1), "an abort ends the controller");

    all.prepare("rm motion.rollout");
    drop(all.spawn("rollout start", "--group line-a", "wave 1 of 4"));
    let watching = all.spawn("rollout watch", "--skip-offline", "");
    all.prepare("inferctl rollout abort motion.rollout");
    assert_eq!(watching.ended(), Some(1), "an abort ends the controller");

    all.prepare("rm motion.rollout");
    all.shell.spawn(START).await_text("wave 1 of 4");
    let name = all.prepare("inferctl rollout list --json | jq -r .rollout");
    all.place("motion-1.1.0-5f2e10aa", name.trim());
    all.prints("rollout abort", "--keyset", ": aborted; ");
    drop(all.spawn("rollout start", "--group all", "wave 1 of 4"));

    // The new version is deployed; the examples go back to the one before it.
    all.prints("rollback", "--gateway", "done in wave 1 of 1");
    all.prepare("rm back.rollout");
    let back = all.run("rollback", "--release-key");
    assert!(back.contains("counter 4") && back.contains("done in wave 1 of 1"), "{back}");
    all.done();
}

#[test]
fn the_examples_of_inferctl_itself_work_in_their_order() {
    let test = "the examples of inferctl --help";
    let Some(broker) = Mosquitto::for_test(test).filter(|_| has_python(test)) else { return };
    let _gateways = FakeGateways::of_groups(broker.port(), GROUPS, 2, |_| "committed");
    let mut all = sandbox(&broker, &ITSELF);
    let (first, again) = ("Password for the new key release.key: ", "Repeat the password: ");
    let asks = [("Password for release.key: ", "horse\n")];
    all.run("", "keygen --out deploy.key");
    all.type_in("", "keygen --out release.key", &[(first, "horse\n"), (again, "horse\n")]);
    all.type_in("", "keys", &asks);
    all.run("", "pack");
    all.type_in("", "sign", &asks);
    all.run("", "verify");
    all.run("", "inspect");
    // The release fails on more gateways than the rollout allows.
    let failing = all.take("", "simulate");
    assert!(all.shell.run(&failing).1.contains("aborted"), "{failing}");
    all.run("", "publish");
    drop(all.spawn("", "rollout start", "wave 1 of"));
    drop(all.spawn("", "fleet --watch", "gw-1"));

    let failing = all.take("simulate", "--failing");
    assert!(all.shell.run(&failing).1.contains("\"aborted\""), "{failing}");
    all.run("simulate", "--loss");
    all.run("simulate", "");
    all.done();
}
