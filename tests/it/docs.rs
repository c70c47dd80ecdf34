//! The reference page in a real browser: it shows every operation, loads nothing from elsewhere, and its policy holds.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs};

use serde_json::Value;

use crate::harness::place;
use crate::shared;

/// The browser to test with: `CHOPMARK_TEST_BROWSER`, or Chromium by one of its names.
fn browser() -> PathBuf {
    if let Some(named) = env::var_os("CHOPMARK_TEST_BROWSER") {
        return named.into();
    }
    let directories: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let found =
        directories.iter().flat_map(|directory| names.map(|name| directory.join(name))).find(|path| path.is_file());
    found.expect("no Chromium: install one with scripts/install-browser.sh, or name it in CHOPMARK_TEST_BROWSER")
}

#[test]
fn the_reference_is_complete_in_a_browser_and_loads_nothing_from_elsewhere() {
    let service = shared::service();
    let place = place();
    let requests = place.path().join("requests.json");
    let output = Command::new(browser())
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--dump-dom"])
        // The browser's own errands get nowhere.
        .args([
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--disable-features=NetworkTimeServiceQuerying",
        ])
        .args(["--disable-dev-shm-usage", "--enable-logging=stderr", "--v=0"])
        .arg(format!("--user-data-dir={}", place.path().join("profile").display()))
        .arg(format!("--log-net-log={}", requests.display()))
        .arg(format!("{}/docs", service.url()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (page, said) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success(), "{said}");
    let document: Value = serde_json::from_str(&chopmark_api::openapi_json()).unwrap();
    let mut operations = 0;
    for operation in document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values())
    {
        let id = operation["operationId"].as_str().unwrap();
        assert!(page.contains(&format!("id=\"{id}\"")), "{id} is not on the page");
        operations += 1;
    }
    assert_eq!(page.matches("class=\"operation\"").count(), operations);
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name} is not on the page");
    }
    // Errors of a page, a refusal by its policy among them, are said on the console.
    assert!(!said.contains("CONSOLE"), "{said}");

    // The browser's own record of everything that was asked of the network in the name of the page.
    let record: Value = serde_json::from_slice(&fs::read(&requests).unwrap()).unwrap();
    let kind = &record["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"];
    assert!(kind.is_u64());
    let events = record["events"].as_array().unwrap().iter().filter(|event| event["type"] == *kind);
    let of_page = events.filter(|event| {
        let site = event["params"]["network_isolation_key"].as_str();
        site.is_some_and(|site| site.starts_with("http://127.0.0.1 "))
    });
    let urls: Vec<&str> = of_page.filter_map(|event| event["params"]["url"].as_str()).collect();
    for expected in ["/docs", "/docs/style.css"] {
        assert!(urls.contains(&format!("{}{expected}", service.url()).as_str()), "{expected}: {urls:?}");
    }
    for url in &urls {
        assert!(url.starts_with(service.url()), "{url} was asked for");
    }
    println!("{operations} operations shown");
}
