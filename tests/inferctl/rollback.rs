//! The ways back to an older release, as printed, with a real gateway at their end.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Setup;
use crate::common::PATIENCE;
use crate::common::gateway::{Gateway, MOTION};

const TO: [&str; 4] = ["--model", "motion", "--gateway", "gw-1"];
const DEPLOY: [&str; 2] = ["--key", "deploy.key"];
/// A gateway without sensors keeps a model after a second.
const SHORT: [&str; 8] =
    ["--waves", "100%", "--soak", "0s", "--trial-max", "1s", "--min-reports", "1"];

/// An operator, and a gateway that was provisioned with the first keyset.
struct Site {
    setup: Setup,
    gateway: Gateway,
}

impl Site {
    fn open(test: &str) -> Option<Self> {
        let setup = Setup::open(test)?;
        let keyset = setup.workspace.folder.path().join("keyset-1.json");
        let streams = format!("[updates]\nkeyset = {:?}\n{MOTION}", keyset.to_str().unwrap());
        let mut gateway = Gateway::new(setup.broker.port(), &streams);
        gateway.start();
        let site = Self { setup, gateway };
        site.model(|row| row["slot"] == "active" || row["version"] == "1.0.0");
        Some(site)
    }

    /// The demonstration model under this version, packed and signed.
    fn release(&self, version: &str, counter: u64, more: &[&str]) -> String {
        let (folder, out) = (format!("motion-{version}"), format!("motion-{version}.bundle"));
        let motion = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion");
        let to = self.setup.workspace.folder.path().join(&folder);
        fs::create_dir(&to).unwrap();
        for file in ["model.onnx", "golden.npz"] {
            fs::copy(motion.join(file), to.join(file)).unwrap();
        }
        let card = fs::read_to_string(motion.join("card.toml")).unwrap();
        let card = card.replace("version = \"1.0.0\"", &format!("version = \"{version}\""));
        let card = crate::common::gateway::without_samples(&card);
        fs::write(to.join("card.toml"), card).unwrap();
        let pack = ["pack", &folder, "--counter", &counter.to_string(), "--out", &out];
        self.setup.workspace.run_ok(&[&pack[..], more].concat());
        self.setup.sign(&out);
        out
    }

    /// Rolls a bundle out; done when the gateway has committed it.
    fn roll_out(&self, bundle: &str, keysets: &[&str]) {
        let record = format!("{bundle}.rollout");
        let args = ["rollout", "start", "--bundle", bundle, "--record", &record];
        self.setup.run_ok(&[&args[..], &TO, &DEPLOY, &SHORT, keysets].concat());
    }

    /// The first row of `inferd models` that is as it should be.
    fn model(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.gateway.ask(&["models"]);
            let rows = answer["models"].as_array().unwrap();
            if let Some(row) = rows.iter().find(|row| is_so(row)) {
                return row.clone();
            }
            assert!(std::time::Instant::now() < deadline, "{answer}");
        }
    }

    fn serves(&self, version: &str) {
        self.model(|row| row["state"] == "serving" && row["version"] == version);
    }

    /// Runs the commands that a message prints, each in a line of its own; how many there were.
    fn as_printed(&self, message: &str) -> usize {
        let lines = message.lines().filter_map(|line| line.trim().strip_prefix("inferctl "));
        let run = |line: &str| {
            self.setup.workspace.run_ok(&line.split_whitespace().collect::<Vec<_>>());
        };
        lines.map(run).count()
    }

    fn keys_are_rotated(&self) {
        let workspace = &self.setup.workspace;
        let at = |name: &str| workspace.folder.path().join(name);
        fs::rename(at("release.key"), at("old.key")).unwrap();
        fs::rename(at("deploy.key"), at("old-deploy.key")).unwrap();
        for key in ["release.key", "deploy.key"] {
            workspace.run_ok(&["keygen", "--out", key, "--unencrypted"]);
        }
        let keys = ["keys", "--after", "keyset-1.json", "--sign-with", "old.key"];
        let new = ["--release", "release.key", "--deploy", "deploy.key"];
        let more = ["--password-file", "password", "--out", "keyset-2.json"];
        workspace.run_ok(&[&keys[..], &new, &more].concat());
    }
}

const ONE: [&str; 2] = ["--keyset", "keyset-1.json"];
const BOTH: [&str; 4] = ["--keyset", "keyset-1.json", "--keyset", "keyset-2.json"];

#[test]
fn an_old_bundle_that_is_packed_again_is_taken_by_a_gateway() {
    let Some(site) = Site::open("pack OLD.bundle") else { return };
    let workspace = &site.setup.workspace;
    let old = site.release("1.1.0", 1, &["--requires-ram-mb", "7", "--requires-inferd", "0.1.0"]);
    let new = site.release("1.2.0", 2, &["--delta-from", &old]);
    site.roll_out(&old, &ONE);
    site.roll_out(&new, &ONE);
    site.serves("1.2.0");

    let pack = ["pack", &old, "--counter", "3", "--out", "again.bundle", "--json"];
    let made: Value = serde_json::from_str(&workspace.run_ok(&pack)).unwrap();
    assert_eq!((&made["former_counter"], &made["counter"]), (&1.into(), &3.into()));
    let shown = |bundle: &str| -> Value {
        serde_json::from_str(&workspace.run_ok(&["inspect", bundle, "--json"])).unwrap()
    };
    let (before, again) = (shown(&old), shown("again.bundle"));
    assert_eq!(again["manifest"]["files"], before["manifest"]["files"]);
    assert_eq!(again["manifest"]["requires"], before["manifest"]["requires"]);
    assert_eq!(again["claimed_signers"].as_array().unwrap().len(), 0);
    site.setup.sign("again.bundle");
    site.setup.run_ok(&[&["publish", "again.bundle"], &ONE[..]].concat());
    site.roll_out("again.bundle", &ONE);
    site.serves("1.1.0");

    // Packing a packing of a packing, with deltas in it, gives the files and nothing else.
    workspace.run_ok(&["pack", &new, "--counter", "4", "--delta-from", &old, "--out", "b.bundle"]);
    workspace.run_ok(&[
        "pack",
        "b.bundle",
        "--counter",
        "5",
        "--requires-ram-mb",
        "9",
        "--out",
        "c.bundle",
    ]);
    assert_eq!(shown("c.bundle")["manifest"]["files"], shown(&new)["manifest"]["files"]);
    assert_eq!(shown("c.bundle")["manifest"]["requires"]["ram_mb"], 9);
    assert!(shown("c.bundle")["manifest"]["deltas"].is_null(), "deltas are of the old release");
    site.setup.sign("c.bundle");
    site.roll_out("c.bundle", &ONE);
    site.serves("1.2.0");
}

#[test]
fn a_bundle_that_was_changed_after_it_was_packed_is_not_packed_again() {
    let workspace = crate::inferctl::workspace::Workspace::new();
    workspace.pack(&["--counter", "1", "--out", "motion.bundle"]);
    let path = workspace.folder.path().join("motion.bundle");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(5).position(|window| window == b"1.0.0").unwrap();
    bytes[at] = b'7';
    fs::write(&path, bytes).unwrap();
    let told =
        workspace.run_refused(&["pack", "motion.bundle", "--counter", "2", "--out", "n.bundle"]);
    assert!(told.contains("modified after it was packed"), "{told}");
    assert!(!workspace.folder.path().join("n.bundle").exists());
}

#[test]
fn a_fleet_goes_back_to_a_release_of_keys_that_were_rotated() {
    let Some(site) = Site::open("rollback after a rotation") else { return };
    let (workspace, setup) = (&site.setup.workspace, &site.setup);
    let old = site.release("1.1.0", 1, &[]);
    let new = site.release("1.2.0", 2, &[]);
    site.roll_out(&old, &ONE);
    site.roll_out(&new, &ONE);
    site.keys_are_rotated();

    // Its own signature is worth nothing any more, and every verb says what to do.
    let publish = setup.run(&[&["publish", &old], &BOTH[..]].concat());
    assert_eq!(publish.code, 1);
    assert!(publish.err.contains("keyset 2 has replaced its release keys"), "{}", publish.err);
    assert_eq!(site.as_printed(&publish.err), 2, "{}", publish.err);
    let back = [&["rollback", "--to", &old, "--record", "back.rollout"], &TO[..], &DEPLOY].concat();
    let back = |more: &[&str]| setup.run(&[&back[..], &["--trial-max", "1s"], more].concat());
    let newest_alone = back(&["--keyset", "keyset-2.json", "--release-key", "release.key"]);
    assert_eq!(newest_alone.code, 1);
    assert!(newest_alone.err.contains("before keyset 2"), "{}", newest_alone.err);
    let without_key = back(&BOTH);
    assert_eq!(without_key.code, 1);
    assert!(without_key.err.contains("--counter 3"), "{}", without_key.err);
    site.serves("1.2.0");

    // With the current release key it is released again, and a warning says whose it was.
    let done = back(&[&BOTH[..], &["--release-key", "release.key"]].concat());
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.err.contains("warning") && done.err.contains("signed for keyset 1"),
        "{}",
        done.err
    );
    site.serves("1.1.0");

    // Forward and back again by the commands that the refusal prints.
    workspace.run_ok(&["pack", &new, "--counter", "4", "--out", "n.bundle"]);
    workspace.run_ok(&["sign", "n.bundle", "--key", "release.key"]);
    site.roll_out("n.bundle", &BOTH);
    site.serves("1.2.0");
    let again = ["rollback", "--to", &old, "--record", "again.rollout", "--trial-max", "1s"];
    let told = setup.run(&[&again[..], &TO, &DEPLOY, &BOTH].concat()).err;
    assert_eq!(site.as_printed(&told), 2, "{told}");
    let made = "motion-1.1.0-counter-5.bundle";
    let again = ["rollback", "--to", made, "--record", "again.rollout", "--trial-max", "1s"];
    setup.run_ok(&[&again[..], &TO, &DEPLOY, &BOTH].concat());
    site.serves("1.1.0");
}

#[test]
fn a_release_that_no_keyset_vouches_for_does_not_come_back() {
    let Some(site) = Site::open("rollback to a stranger's release") else { return };
    let workspace = &site.setup.workspace;
    let new = site.release("1.2.0", 2, &[]);
    site.roll_out(&new, &ONE);
    workspace.pack(&["--counter", "1", "--out", "strange.bundle"]);
    workspace.run_ok(&["keygen", "--out", "strange.key", "--unencrypted"]);
    workspace.run_ok(&["sign", "strange.bundle", "--key", "strange.key"]);
    let back = ["rollback", "--to", "strange.bundle", "--record", "b.rollout"];
    let release = ["--release-key", "release.key", "--key-password-file", "password"];
    let ended = site.setup.run(&[&back[..], &TO, &DEPLOY, &ONE, &release].concat());
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("0 of the 1 release signatures"), "{}", ended.err);
    site.serves("1.2.0");
}
