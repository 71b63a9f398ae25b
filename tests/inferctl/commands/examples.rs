//! Examples that are run as they are printed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use super::found::lines;
use super::sources::documents;
use crate::common::broker::Mosquitto;
use crate::common::skipped;

/// The verbs of `inferctl` whose first example ends by itself, in an order in which each finds
/// what those before have made. Rollouts are run by `inferctl::rollouts` and `inferctl::docs_commands`.
const VERBS: [&str; 12] = [
    "keygen",
    "keys",
    "pack",
    "sign",
    "verify",
    "inspect",
    "publish",
    "fleet",
    "withdraw",
    "profile",
    "simulate",
    "keys show",
];

/// Runs a line of shell as an operator would, the programs of this build first.
fn run(folder: &Path, broker: &str, line: &str) -> (bool, String) {
    let built = Path::new(env!("CARGO_BIN_EXE_inferctl")).parent().unwrap();
    let path = format!("{}:/usr/sbin:{}", built.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euc", line])
        .env("PATH", path)
        .env("INFERCTL_BROKER", broker)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn sandbox() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    symlink(models, folder.path().join("models")).unwrap();
    folder
}

/// The first example of a verb's help.
fn first_example(verb: &str) -> String {
    let mut command = super::program("inferctl");
    for name in verb.split(' ') {
        command = command.find_subcommand(name).unwrap().clone();
    }
    let help = command.get_after_help().unwrap().to_string();
    let lines = lines(&help);
    let first = lines.iter().find(|line| line.starts_with("  inferctl ")).unwrap();
    first.trim().to_owned()
}

#[test]
fn the_first_example_of_each_help_works_as_printed() {
    let Some(broker) = Mosquitto::start("") else {
        return skipped("the examples of --help", "mosquitto is not installed");
    };
    let url = format!("mqtt://127.0.0.1:{}", broker.port());
    let folder = sandbox();
    let well = |line: &str| {
        let (is_well, text) = run(folder.path(), &url, line);
        assert!(is_well, "{line}\n{text}");
    };
    well("inferctl keygen --out release.key --unencrypted");
    for verb in VERBS {
        let example = first_example(verb);
        if verb == "keys show" {
            well(
                "inferctl keys --after keyset-1.json --sign-with release.key \
                 --release release.key --deploy deploy.key --out keyset-2.json",
            );
        }
        if verb == "publish" {
            // The example is about a later version.
            well(
                "cp -rL models/motion m && sed -i 's/^version = .*/version = \"1.1.0\"/' m/card.toml",
            );
            well("inferctl pack m --counter 2 --out motion-1.1.0.bundle");
            well("inferctl sign motion-1.1.0.bundle --key release.key");
        }
        // As printed, but for the size of a fleet that is simulated by a build for tests.
        well(&example.replace("--gateways 10000", "--gateways 200"));
    }
    let (is_well, text) =
        run(folder.path(), &url, "inferctl keygen --out deploy.key --unencrypted");
    assert!(!is_well && text.contains("deploy.key"), "nothing is overwritten: {text}");
}

/// Blocks of shell in the documents, by their first line, that need more than a test may have, and
/// where they are run instead.
const NOT_RUN: &[(&str, &str)] = &[
    ("cargo run --release -- demo", "a release build; the demonstration is run by tests::cli"),
    ("cargo test faults", "these are the tests themselves"),
    (
        "inferd check --config inferd.toml",
        "runs until it is stopped; tests::daemon and tests::cli run each",
    ),
    ("cross/setup", "root and toolchains for boards; CI's job for boards runs them"),
    (
        "install -m 755 target/board/armv6",
        "root on a board; packaging/package-test installs the same files",
    ),
    ("apt install ./inferd", "root; packaging/package-test and packaging/system-test run it"),
    (
        "install -d /srv/models/vibration",
        "root, and a model of the reader's; tests::cli runs infer",
    ),
    ("install -d -m 700 /etc/credstore", "root; packaging/system-test runs it"),
    ("packaging/image x86_64", "a container engine; packaging/image-check runs it"),
    ("cargo build --release", "inferctl::docs_commands runs it, on a port of its own"),
    (
        "inferctl rollout start --model motion --group line-a --bundle motion-1.1.0.bundle --keyset",
        "half an hour a wave; inferctl::rollouts runs each verb",
    ),
    (
        "inferctl publish motion-1.1.0.bundle --keyset keyset-1.json --web",
        "the folder is a web server's; updates::ways runs the same",
    ),
];

#[test]
fn the_blocks_of_the_documents_run_or_are_run_elsewhere() {
    let folder = sandbox();
    let (mut ran, mut unknown) = (0, Vec::new());
    let mut blocks = Vec::new();
    for (name, text) in documents() {
        let parts = text.split("```").enumerate().filter(|(index, _)| index % 2 == 1);
        let shell = parts.filter_map(|(_, part)| part.strip_prefix("sh\n"));
        blocks.extend(shell.map(|block| (name.clone(), block.to_owned())));
    }
    for (name, block) in blocks {
        let elsewhere = NOT_RUN.iter().any(|(first, _)| block.starts_with(first));
        let needs_nothing = block.lines().all(|line| {
            [
                "# ",
                "inferd infer models/motion",
                "inferctl simulate",
                "echo ",
                "inferctl key",
                "inferctl pack",
                "inferctl sign",
                "inferctl verify",
                "inferctl inspect",
            ]
            .iter()
            .any(|verb| line.starts_with(verb))
        });
        if needs_nothing {
            let block = block.replace("--gateways 10000", "--gateways 200");
            let (is_well, text) = run(folder.path(), "mqtt://127.0.0.1:1", &block);
            // The simulation of a release that fails ends with that.
            assert!(is_well || block.contains("--failing"), "{name}\n{block}\n{text}");
            ran += 1;
        } else if !elsewhere {
            unknown.push(format!("{name}: {}", block.lines().next().unwrap_or_default()));
        }
    }
    assert!(ran >= 2, "the blocks of docs/updates.md are run");
    assert!(unknown.is_empty(), "neither run nor listed with a reason:\n{}", unknown.join("\n"));
    assert!(fs::metadata(folder.path().join("motion-1.0.0.bundle")).is_ok());
}
