//! Blocks of the documents that need a gateway or a fleet, or that run until they are stopped.

use std::fs;
use std::path::Path;

use inferd::tensor::{Data, Tensor};

use super::found::lines;
use super::shell::{Shell, Staying};
use super::sources::documents;
use crate::common::await_true;
use crate::common::broker::Mosquitto;
use crate::inferctl::fake_gateways::FakeGateways;

/// The gateways that the documents' rollouts are for.
const GROUPS: &[&str] = &["line-a"];

/// A fleet's keys and two signed releases, made as the examples make them.
fn setup(broker: &Mosquitto) -> Shell {
    let shell = Shell::new().with_broker(broker.port());
    shell.run_ok(
        "inferctl keygen --out release.key --unencrypted
         inferctl keygen --out deploy.key --unencrypted
         inferctl keys --release release.key --deploy deploy.key --out keyset-1.json
         inferctl pack models/motion --counter 1 --out motion-1.0.0.bundle
         cp -rL models/motion m && sed -i 's/^version = .*/version = \"1.1.0\"/' m/card.toml
         inferctl pack m --counter 2 --out motion-1.1.0.bundle
         inferctl sign motion-1.0.0.bundle --key release.key
         inferctl sign motion-1.1.0.bundle --key release.key",
    );
    shell
}

/// The block of shell in the documents that begins with this text.
fn block(beginning: &str) -> String {
    fenced("sh", beginning)
}

fn fenced(language: &str, beginning: &str) -> String {
    let fence = format!("{language}\n");
    for (_, text) in documents() {
        let parts = text.split("```").enumerate().filter(|(index, _)| index % 2 == 1);
        let mut bodies = parts.filter_map(|(_, part)| part.strip_prefix(&fence));
        if let Some(found) = bodies.find(|body| body.starts_with(beginning)) {
            return found.to_owned();
        }
    }
    panic!("no document has a block that begins with {beginning:?}")
}

#[test]
fn the_rollout_of_the_manual_is_started_paused_resumed_aborted_and_withdrawn() {
    let Some(broker) = Mosquitto::for_test("the rollout of docs/updates.md") else { return };
    let fakes = FakeGateways::of_groups(broker.port(), GROUPS, 4, |_| "committed");
    let shell = setup(&broker);
    let mut controller: Option<Staying> = None;
    for line in lines(&block("inferctl rollout start --model motion")) {
        let verb = line.split(' ').nth(2).unwrap_or_default();
        if ["start", "resume"].contains(&verb) {
            let mut started = shell.spawn(&line);
            started.await_text("wave 1 of 4");
            controller = Some(started);
            continue;
        }
        shell.run_ok(&line);
        match verb {
            "pause" => assert_eq!(controller.take().unwrap().ended(), Some(0)),
            "abort" => assert_eq!(controller.take().unwrap().ended(), Some(1)),
            _ => {}
        }
    }
    assert!(
        shell.run_ok("inferctl rollout list").starts_with("the broker retains no rollout"),
        "it was withdrawn"
    );
    drop(fakes);
}

#[test]
fn a_release_is_published_for_a_web_server_as_the_manual_prints() {
    let Some(broker) = Mosquitto::for_test("publish --web of docs/updates.md") else { return };
    let shell = setup(&broker);
    let block = block("inferctl publish motion-1.1.0.bundle --keyset keyset-1.json --web");
    let publish = block.lines().next().unwrap();
    let folder = shell.path().join("www");
    shell.run_ok(&publish.replace("/var/www", &folder.display().to_string()));
    assert!(fs::read_dir(folder.join("models")).unwrap().count() >= 4);
}

/// A model of the reader's own, as the quick start describes it, without golden files.
fn vibration(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let onnx = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/vibration.onnx");
    fs::copy(onnx, folder.join("model.onnx")).unwrap();
    let card = fenced("toml", "# models/vibration/card.toml");
    let (card, _) = card.split_once("[golden]").expect("golden files come last");
    fs::write(folder.join("card.toml"), card).unwrap();
}

#[test]
fn the_quick_start_gives_a_prediction() {
    let Some(broker) = Mosquitto::for_test("the quick start") else { return };
    let shell = Shell::new().with_broker(broker.port());
    fs::remove_file(shell.path().join("models")).unwrap();
    vibration(&shell.path().join("models/vibration"));
    let config = fenced("toml", "# inferd.toml");
    let config = config.replace("localhost:1883", &format!("localhost:{}", broker.port()));
    fs::write(shell.path().join("inferd.toml"), config).unwrap();
    let (mut daemon, mut subscriber) = (None, None);
    for line in lines(&block("inferd check --config inferd.toml")) {
        match line.split(' ').take(2).collect::<Vec<_>>()[..] {
            ["inferd", "run"] => {
                daemon = Some(shell.spawn(&line));
                let status = "inferd status --config inferd.toml --fail-on never";
                await_true("the daemon answers", || shell.run(status).0);
            }
            ["mosquitto_sub", _] => subscriber = Some(shell.spawn(&line)),
            ["mosquitto_pub", _] => {
                let subscriber = subscriber.as_mut().expect("a subscriber");
                shell.run_ok(&format!("for i in $(seq 128); do\n{line}\ndone"));
                subscriber.await_text("predictions/vibration/press-7 {");
            }
            _ => _ = shell.run_ok(&line),
        }
    }
    assert_eq!(daemon.expect("`inferd run` is among them").stop(), Some(0));
}

#[test]
fn a_model_is_installed_in_a_folder_and_tried_as_the_manual_prints() {
    let shell = Shell::new();
    vibration(&shell.path().join("own"));
    let data = (0..8 * 128 * 3u16).map(f32::from).collect();
    let window = Tensor { shape: vec![8, 1, 128, 3], data: Data::F32(data) };
    let inputs = inferd::npz::write([("window", &window)]).unwrap();
    fs::write(shell.path().join("in.npz"), inputs).unwrap();
    shell.run_ok("mv own/* .");
    let block = block("install -d /srv/models/vibration");
    let srv = shell.path().join("srv").display().to_string();
    let block = block.replace("/srv", &srv).replace("/usr/lib/inferd/models", "models");
    assert!(shell.run_ok(&block).contains("8 runs written to out.npz"));
}
