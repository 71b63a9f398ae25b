//! What the manual tells a new operator to type does what it says.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::broker::{Mosquitto, free_port};
use crate::common::skipped;

#[test]
fn the_first_rollout_of_the_manual_ends_with_an_updated_gateway() {
    if Mosquitto::start("").is_none() {
        return skipped("docs/updates.md", "mosquitto is not installed");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manual = std::fs::read_to_string(root.join("docs/updates.md")).unwrap();
    let (_, section) = manual.split_once("## A first rollout in five minutes").unwrap();
    let (_, rest) = section.split_once("```sh\n").unwrap();
    let (commands, _) = rest.split_once("```").unwrap();
    // Built already, and on a port of its own.
    let commands = commands.replace("cargo build --release\n", "");
    let commands = commands.replace("1883", &free_port().to_string());
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root.join("models"), folder.path().join("models")).unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_inferctl")).parent().unwrap();
    let path = format!("{}:/usr/sbin:{}", built.display(), std::env::var("PATH").unwrap());
    let script =
        format!("set -euo pipefail; set -m\ntrap 'kill $(jobs -p) || true' EXIT\n{commands}");
    let output = Command::new("bash")
        .args(["-c", &script])
        .env("PATH", path)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    let rows: Vec<_> = out.lines().filter(|line| line.starts_with("gw-1 ")).collect();
    let [shipped, updated, back] = rows[..] else { panic!("{out}\n{err}") };
    assert!(shipped.contains("1.0.0") && shipped.contains("idle"), "{shipped}");
    assert!(updated.contains("1.1.0") && updated.contains("committed"), "{updated}");
    assert!(back.contains("1.0.0") && back.contains("committed"), "{back}");
}
