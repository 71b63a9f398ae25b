//! The status page: complete without JavaScript, and in headless Chromium at phone and desktop width,
//! light and dark.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::Served;
use super::client::get;
use crate::common::skipped;

/// Samples of a recording, and recordings that a device of the browser test plays.
const RECORDING: usize = 100;
const RECORDINGS: usize = 18;

#[tokio::test]
async fn the_page_is_complete_without_javascript() {
    let mut served = Served::start("").await;
    let payload = "{\"ax\": \"<script>alert(1)</script>\"}";
    served.peer.publish("sensors/watch-<b>/imu", payload).await;
    served.gateway.await_health("a reject", |health| {
        health["streams"]["motion"]["rejects"].as_object().is_some_and(|all| !all.is_empty())
    });
    let page = get(served.port, "/");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("Content-Type: text/html; charset=utf-8"), "{}", page.head);
    for words in [
        "<title>gw-1 · healthy · inferd</title>",
        "Everything works",
        "sensors/{device}/imu",
        "30 of 40 samples",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "sensors/watch-&lt;b&gt;/imu",
        "No result was lost since the start",
        "connected to the broker",
        "mosquitto_sub -h 127.0.0.1",
        "&#39;predictions/motion/+&#39;",
    ] {
        assert!(page.body.contains(words), "no {words:?} in:\n{}", page.body);
    }
    assert!(!page.body.contains("<script>") && !page.body.contains("style="), "{}", page.body);
    for (path, form) in
        [("/page.css", "text/css"), ("/page.js", "text/javascript"), ("/icon.svg", "image/svg+xml")]
    {
        let answer = get(served.port, path);
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains(&format!("Content-Type: {form}")), "{}", answer.head);
    }
}

#[tokio::test]
async fn captured_inputs_are_listed() {
    let capture = "[capture]\nwrite_interval = \"1s\"\n";
    let mut served = Served::start(capture).await;
    assert!(!get(served.port, "/").body.contains("Captured inputs"), "nothing is captured");
    drop(served);
    let stream = "capture = { margin = 2.0 }\n";
    served = Served::start_with(capture, stream).await;
    served.gateway.await_health("the file", |it| it["capture"]["segments"] == 1);
    let page = get(served.port, "/").body;
    for words in ["Captured inputs", "2 in 1 files", "margin 2", "<td>motion</td><td>margin</td>"] {
        assert!(page.contains(words), "no {words:?} in:\n{page}");
    }
}

#[tokio::test]
async fn the_live_view_records_while_somebody_looks() {
    let mut served = Served::start("").await;
    let look =
        |device: &str| get(served.port, &format!("/api/live?stream=motion&device={device}")).json();
    let before = look("");
    assert_eq!(before["devices"], json!([]), "nobody looked");
    assert_eq!(before["labels"].as_array().unwrap().len(), 4, "{before}");
    served.predict("watch-8").await;
    served.predict("watch-9").await;
    let look =
        |device: &str| get(served.port, &format!("/api/live?stream=motion&device={device}")).json();
    let live = look("watch-9");
    assert_eq!(live["devices"].as_array().unwrap().len(), 2, "{live}");
    let device = &live["devices"][1];
    assert_eq!(
        (&device["device"], device["band"].as_array().unwrap().len()),
        (&json!("watch-9"), 2)
    );
    assert_eq!(device["last"]["label"], "resting");
    let window = &live["window"];
    assert_eq!((&window["device"], &window["width"]), (&json!("watch-9"), &json!(6)));
    assert_eq!(window["raw"].as_array().unwrap().len(), 40 * 6);
    assert_eq!(window["inputs"][0]["values"].as_array().unwrap().len(), 40 * 6);
    assert_eq!(window["fields"][0], "ax");
    assert_eq!(get(served.port, "/api/live?stream=other").status, 404);
}

/// Recordings one after the other, as the samples of one device; the last of them is now.
fn played(first: usize) -> Vec<Vec<u8>> {
    let recordings = include_str!("../../models/recordings/basic-motions-test.csv");
    let rows: Vec<&str> = recordings.lines().skip(1).collect();
    let count = RECORDING * RECORDINGS;
    let now = jiff::Timestamp::now().as_millisecond() - 100 * i64::try_from(count).unwrap();
    let sample = |at: usize| {
        let recording = (first + 7 * (at / RECORDING / 3)) % (rows.len() / RECORDING);
        let row = rows[recording * RECORDING + at % RECORDING];
        let cells: Vec<f64> = row.split(',').skip(3).map(|cell| cell.parse().unwrap()).collect();
        let [ax, ay, az, gx, gy, gz] = cells[..] else { panic!("{row}") };
        let ts = now + 100 * i64::try_from(at).unwrap();
        json!({"ts": ts, "ax": ax, "ay": ay, "az": az, "gx": gx, "gy": gy, "gz": gz})
            .to_string()
            .into_bytes()
    };
    (0..count).map(sample).collect()
}

/// A program of one of these names.
fn program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().flat_map(|name| folders.iter().map(move |dir| dir.join(name))).find(|p| p.exists())
}

/// axe-core's script; `INFERD_TEST_AXE` names the folder whose `node_modules` has it.
fn axe() -> Option<PathBuf> {
    let folder = std::env::var_os("INFERD_TEST_AXE")?;
    let script = Path::new(&folder).join("node_modules/axe-core/axe.min.js");
    script.exists().then_some(script)
}

/// `INFERD_WRITE_SCREENSHOTS=1` writes the pictures of the documentation.
#[tokio::test]
async fn the_page_in_chromium() {
    let (chromium, node) = (program(&["chromium", "chromium-browser"]), program(&["node"]));
    let (Some(chromium), Some(node)) = (chromium, node) else {
        return skipped("the page in Chromium", "chromium or node is not installed");
    };
    let mut served = Served::start("").await;
    get(served.port, "/api/live?stream=motion");
    for device in 0..6 {
        let topic = format!("sensors/watch-{}/imu", device + 1);
        // A recording at a time, so that no message waits long.
        for (number, recording) in played(device * 9).chunks(RECORDING).enumerate() {
            served.peer.publish_all(&topic, recording.to_vec()).await;
            // The first window needs twice as many samples as the others.
            for _ in 0..RECORDING / 20 - usize::from(number == 0) {
                served.peer.next().await;
            }
        }
    }
    served.peer.publish("sensors/watch-3/imu", "{\"ax\": 0.1, \"ay\": \"n/a\"}").await;
    served.gateway.await_health("all samples", |health| {
        health["streams"]["motion"]["messages"] == 50 + 6 * RECORDING * RECORDINGS + 1
    });
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    let writes = std::env::var_os("INFERD_WRITE_SCREENSHOTS").is_some();
    let folder = if writes { root.join("docs/images") } else { dir.path().to_owned() };
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new(node);
    command.arg(root.join("tests/http/browser.mjs")).arg(chromium);
    command.arg(format!("http://127.0.0.1:{}/", served.port)).arg(&folder);
    if axe().is_none() {
        skipped("accessibility of the page", "INFERD_TEST_AXE names no folder with axe-core");
    }
    let output = command.args(axe()).output().unwrap();
    let said: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    assert_eq!(said["errors"], json!([]), "{said}");
    let views = said["views"].as_array().unwrap();
    assert_eq!(views.len(), 4, "{said}");
    for view in views {
        let name = view["name"].as_str().unwrap();
        let text = view["text"].as_str().unwrap();
        for words in ["Everything works", "watch-6", "As the model saw it", "not-a-number"] {
            assert!(text.contains(words), "{name}: no {words:?} in:\n{text}");
        }
        assert!(view["overflow"].as_i64().unwrap() <= 0, "{name} is wider than the screen");
        if axe().is_some() {
            assert_eq!(view["violations"], json!([]), "{name}");
        }
        assert!(folder.join(format!("page-{name}.png")).exists());
    }
}
