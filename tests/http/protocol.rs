//! The Open Inference Protocol: its documents, and a client of NVIDIA's.

use std::process::Command;

use serde_json::json;

use super::Served;
use super::client::get;
use crate::common::skipped;

/// What `tritonclient` reads; it raises an exception where an answer is not as the protocol says.
const TRITON: &str = "\
import sys
import tritonclient.http as triton
client = triton.InferenceServerClient(sys.argv[1])
assert client.is_server_live()
assert client.is_server_ready()
assert client.get_server_metadata()['name'] == 'inferd'
assert client.is_model_ready('motion')
assert client.is_model_ready('motion', '1.0.0')
assert not client.is_model_ready('motion', '9')
assert not client.is_model_ready('other')
metadata = client.get_model_metadata('motion')
assert metadata['inputs'][0]['datatype'] == 'FP32', metadata
try:
    client.get_model_metadata('other')
    raise SystemExit('there is no such model')
except triton.InferenceServerException as error:
    assert 'no stream uses' in str(error), error
print('read by tritonclient')
";

#[tokio::test]
async fn models_are_described_by_the_open_inference_protocol() {
    let served = Served::start("").await;
    let port = served.port;
    assert_eq!(get(port, "/v2").json()["extensions"], json!([]));
    assert_eq!(get(port, "/v2/health/live").json(), json!({"live": true}));
    assert_eq!(get(port, "/v2/health/ready").json(), json!({"ready": true}));
    let metadata = get(port, "/v2/models/motion").json();
    assert_eq!(metadata["versions"], json!(["1.0.0"]));
    let input = &metadata["inputs"][0];
    assert!(input["name"].is_string() && input["shape"].is_array(), "{metadata}");
    assert_eq!(get(port, "/v2/models/motion/versions/1.0.0").json(), metadata);
    for (path, status) in [
        ("/v2/models/motion/ready", 200),
        ("/v2/models/motion/versions/1.0.0/ready", 200),
        ("/v2/models/motion/versions/2.0.0/ready", 404),
        ("/v2/models/other", 404),
        ("/v2/models/motion/versions", 404),
        ("/v2/models/", 404),
    ] {
        let answer = get(port, path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert_eq!(answer.json()["error"].is_string(), status != 200, "{path}");
    }
    let Some(python) = std::env::var_os("INFERD_TEST_PYTHON") else {
        return skipped("tritonclient", "INFERD_TEST_PYTHON is not set");
    };
    let address = format!("127.0.0.1:{port}");
    let output = Command::new(python).args(["-c", TRITON, &address]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("No module named") {
        return skipped("tritonclient", "tritonclient is not installed");
    }
    assert!(output.status.success(), "{said}");
}

/// What `tritonclient` gets from a model, compared with `inferd infer` by the caller.
const INFER: &str = "\
import json, sys
import numpy as np
import tritonclient.http as triton
address, token, arrays = sys.argv[1:]
client = triton.InferenceServerClient(address)
headers = {'Authorization': 'Bearer ' + token}
golden = np.load(arrays)
for window, logits in zip(golden['window'], golden['logits']):
    given = triton.InferInput('window', list(window.shape), 'FP32')
    given.set_data_from_numpy(window, binary_data=False)
    wanted = [triton.InferRequestedOutput('logits', binary_data=False)]
    found = client.infer('motion', [given], outputs=wanted, headers=headers, request_id='7')
    assert found.get_response()['id'] == '7', found.get_response()
    assert np.abs(found.as_numpy('logits') - logits).max() <= 0.0307, found.get_response()
try:
    given.set_data_from_numpy(window)
    client.infer('motion', [given], headers=headers)
    raise SystemExit('the binary extension is not there')
except triton.InferenceServerException as error:
    print(error)
";

#[tokio::test]
async fn a_client_with_the_token_runs_a_model_that_a_stream_allows() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "a-token-of-24-characters\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let token = format!("token_file = {:?}", path.display());
    let served = Served::start_with(&token, "infer = true\n").await;
    let port = served.port;
    let shown = "Authorization: Bearer a-token-of-24-characters\r\n";
    let post = |path: &str, headers: &str, body: &str| {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        super::client::send(port, request.as_bytes())
    };
    let input = json!({
        "name": "window", "shape": [1, 6, 40], "datatype": "FP32", "data": vec![0.5; 240]
    });
    let body = json!({"id": "a", "inputs": [input]}).to_string();
    let path = "/v2/models/motion/infer";
    assert_eq!(post(path, "", &body).status, 401);
    let answer = post(path, shown, &body).json();
    assert_eq!(
        (&answer["model_version"], &answer["id"]),
        (&json!("1.0.0"), &json!("a")),
        "{answer}"
    );
    let output = &answer["outputs"][0];
    assert_eq!((&output["name"], &output["shape"]), (&json!("logits"), &json!([1, 4])));
    assert_eq!(output["data"].as_array().unwrap().len(), 4);
    assert_eq!(post("/v2/models/motion/versions/1.0.0/infer", shown, &body).json(), answer);
    for (path, body, status) in [
        ("/v2/models/motion/versions/2.0.0/infer", body.as_str(), 404),
        ("/v2/models/other/infer", &body, 403),
        (path, "{}", 400),
        (path, "[", 400),
        (path, &body.replace("240", "").replace("40", "41"), 400),
    ] {
        let answer = post(path, shown, body);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.json()["error"].is_string(), "{}", answer.body);
    }
    let health = served.gateway.ask(&["status"])["health"].take();
    assert_eq!(health["streams"]["motion"]["windows"], 2, "requests are no windows");
    let Some(python) = std::env::var_os("INFERD_TEST_PYTHON") else {
        return skipped("inference with tritonclient", "INFERD_TEST_PYTHON is not set");
    };
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/models/motion/golden.npz");
    let address = format!("127.0.0.1:{port}");
    let args = ["-c", INFER, &address, "a-token-of-24-characters", golden];
    let output = Command::new(python).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("No module named") {
        return skipped("inference with tritonclient", "tritonclient is not installed");
    }
    assert!(output.status.success(), "{said}");
}

#[test]
fn inference_without_a_token_is_refused() {
    let streams = crate::common::gateway::MOTION.replace("name =", "infer = true\nname =");
    let gateway = crate::common::gateway::Gateway::new(1, &streams);
    let output = gateway.command(&["check"]);
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("clients with a token"), "{text}");
}
