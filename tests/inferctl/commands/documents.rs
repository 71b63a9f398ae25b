//! Blocks of shell in the documents, run as they are printed.

use std::fs;

use super::shell::Shell;
use super::sources::documents;

/// Blocks of shell in the documents that other tests run, by their first line.
const RUN_ELSEWHERE: &[(&str, &str)] = &[
    ("inferd check --config inferd.toml", "inferctl::commands::live"),
    ("install -d /srv/models/vibration", "inferctl::commands::live"),
    (
        "inferctl rollout start --model motion --group line-a --bundle motion-1.1.0.bundle \
         --keyset",
        "inferctl::commands::live",
    ),
    (
        "inferctl publish motion-1.1.0.bundle --keyset keyset-1.json --web",
        "inferctl::commands::live",
    ),
    ("inferctl rollout resume NAME", "inferctl::lost_record"),
    ("inferctl capture pull --group line-a", "inferctl::commands::captures"),
    ("cargo build --release", "inferctl::docs_commands, on a port of its own"),
    (
        "curl -H \"Authorization: Bearer $TOKEN\" http://gw-17:9617/v2/models/motion/infer",
        "http::protocol, with a client of the protocol",
    ),
    ("   python3 examples/training/receive.py", "drift::circle"),
    ("   python3 examples/training/retrain.py", "drift::circle"),
    ("   inferctl baseline now.csv --bundle motion-1.1.0", "drift::circle"),
];

/// Blocks that no test can run, and why.
const NOT_RUN: &[(&str, &str)] = &[
    (
        "protoc --include_imports",
        "protoc is not among what the tests install; tests/protobuf has what it wrote",
    ),
    ("cargo run --release -- demo", "runs all tests; `inferd demo` is run by `live`"),
    ("cargo test faults", "runs these tests"),
    ("cross/setup", "root and toolchains for boards; CI's job for boards runs them"),
    (
        "install -m 755 target/board/armv6",
        "root on a board; packaging/package-test installs the files",
    ),
    (
        "apt install ./inferd",
        "root and systemd; packaging/package-test and packaging/system-test run it",
    ),
    ("install -d -m 700 /etc/credstore", "root and systemd; packaging/system-test runs it"),
    ("openssl rand -base64 24 > /etc/credstore", "root and systemd, as the one before it"),
    ("packaging/image x86_64", "a container engine; packaging/image-check runs it"),
];

#[test]
fn the_blocks_of_the_documents_run_or_are_run_elsewhere() {
    let shell = Shell::new();
    let (mut ran, mut unknown) = (0, Vec::new());
    let mut blocks = Vec::new();
    for (name, text) in documents() {
        let parts = text.split("```").enumerate().filter(|(index, _)| index % 2 == 1);
        let shell = parts.filter_map(|(_, part)| part.strip_prefix("sh\n"));
        blocks.extend(shell.map(|block| (name.clone(), block.to_owned())));
    }
    for (name, block) in blocks {
        let mut listed = RUN_ELSEWHERE.iter().chain(NOT_RUN);
        let elsewhere = listed.any(|(first, _)| block.starts_with(first));
        let needs_nothing = block.lines().all(|line| {
            [
                "# ",
                "inferd infer models/motion",
                "inferctl baseline",
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
            let (is_well, text) = shell.run(&block);
            // The simulation of a release that fails ends with that.
            assert!(is_well || block.contains("--failing"), "{name}\n{block}\n{text}");
            ran += 1;
        } else if !elsewhere {
            unknown.push(format!("{name}: {}", block.lines().next().unwrap_or_default()));
        }
    }
    assert!(ran >= 2, "the blocks of docs/updates.md are run");
    assert!(unknown.is_empty(), "neither run nor listed with a reason:\n{}", unknown.join("\n"));
    assert!(fs::metadata(shell.path().join("motion-1.0.0.bundle")).is_ok());
}
