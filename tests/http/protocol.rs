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
