//! `chopmark resident` through the real binary: what it says without a GPU and to a list that is none. Hashing in a GPU's
//! memory is tested in `gpu-verify/src/cuda/tests.rs`, wherever there is one.

use std::fs;

use serde_json::json;

use crate::harness::Home;

#[test]
fn a_list_of_handles_is_read_strictly_and_a_missing_gpu_is_no_panic() {
    let home = Home::new();
    let path = home.file("handles.json");
    let handles = path.to_str().unwrap();
    fs::write(&path, "{}").unwrap();
    let (code, document) = home.json(&["resident", handles]);
    assert_eq!((code, document["error"]["code"].as_str()), (2, Some("handles_invalid")), "{document}");

    let tensor = json!({ "name": "a", "handle": "5a".repeat(64), "offset_bytes": 0, "size_bytes": 4 });
    fs::write(&path, json!({ "schema": "chopmark.cuda-ipc/v1", "gpu": 0, "tensors": [tensor] }).to_string()).unwrap();
    let (code, document) = home.json(&["resident", handles]);
    let error = document["error"]["code"].as_str();
    // Where there is a GPU, it is the handle that is wrong.
    assert!(matches!(error, Some("engine_unavailable" | "ipc_handle")), "{document}");
    assert_eq!(code, 9, "{document}");

    let (code, document) = home.json(&["resident", "no such file"]);
    assert_eq!((code, document["error"]["code"].as_str()), (2, Some("usage")), "{document}");
}
