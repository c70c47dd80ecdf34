//! Metrics through a real service: what happened is counted, names and labels are few, and the public port shows nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::harness::{Service, place};
use crate::shared;

/// What a scraper reads: samples by name and labels as written, and the type of every family.
pub struct Scrape {
    samples: BTreeMap<String, f64>,
    families: BTreeMap<String, String>,
}

impl Scrape {
    pub fn of(service: &Service) -> Self {
        let mut response = ureq::get(format!("{}/metrics", service.metrics_url())).call().unwrap();
        let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(media_type.starts_with("application/openmetrics-text; version=1.0.0"), "{media_type}");
        let text = response.body_mut().read_to_string().unwrap();
        Self::parse(&text)
    }

    /// The `OpenMetrics` text format, strictly: every sample belongs to a family announced before, and is a number.
    fn parse(text: &str) -> Self {
        assert!(text.ends_with("# EOF\n"), "cut short: {text}");
        let (mut samples, mut families) = (BTreeMap::new(), BTreeMap::new());
        for line in text.lines().filter(|line| *line != "# EOF") {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(families.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
            } else if !line.starts_with("# HELP ") {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let name = sample.split('{').next().unwrap();
                let of_family = |suffix| name.strip_suffix(suffix).is_some_and(|family| families.contains_key(family));
                let known = ["", "_total", "_sum", "_count", "_bucket"].into_iter().any(of_family);
                assert!(known, "{name} has no type");
                let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
                assert!(samples.insert(sample.to_owned(), value).is_none(), "{sample} twice");
            }
        }
        Self { samples, families }
    }

    pub fn get(&self, sample: &str) -> f64 {
        *self.samples.get(sample).unwrap_or_else(|| panic!("{sample} is missing: {:?}", self.samples))
    }

    /// Every value of a label in any sample.
    fn values(&self, label: &str) -> BTreeSet<&str> {
        let start = format!("{label}=\"");
        self.samples.keys().filter_map(|sample| sample.split(&start).nth(1)?.split('"').next()).collect()
    }
}

fn is(found: f64, expected: u32) -> bool {
    (found - f64::from(expected)).abs() < f64::EPSILON
}

#[test]
fn what_happened_is_counted_on_a_listener_of_its_own() {
    let place = place();
    let service =
        Service::try_start(place.path(), "data", &["--metrics-listen", "127.0.0.1:0", "--rate-per-key", "1/h:2"])
            .unwrap();
    let author = shared::author(&service, "metrics");
    let artefact = author.artefact("metrics");
    assert_eq!(service.post(&artefact.to_request()).status, 201);
    assert_eq!(service.post(&artefact.to_request()).status, 200);
    let refused = author.artefact("one too many");
    assert_eq!(service.post(&refused.to_request()).status, 429);
    assert_eq!(service.post(b"{").status, 400);
    for number in 0..40 {
        assert_eq!(service.get(&format!("/no/such/page/{number}")).status, 404);
        assert_eq!(service.get(&format!("/v1/statements/{number:064x}")).status, 404);
    }
    assert_eq!(service.get("/checkpoint").status, 200);
    for path in ["/metrics", "/metrics/"] {
        assert_eq!(service.get(path).status, 404, "{path} is not for the public");
    }

    let scrape = Scrape::of(&service);
    for (sample, value) in [
        ("chopmark_statements_total{outcome=\"appended\"}", 2),
        ("chopmark_statements_total{outcome=\"existing\"}", 1),
        ("chopmark_rejections_total{code=\"rate_limited\"}", 1),
        ("chopmark_rejections_total{code=\"malformed_request\"}", 1),
        ("chopmark_rejections_total{code=\"not_found\"}", 82),
        ("chopmark_rate_limited_total{by=\"key\"}", 1),
        ("chopmark_http_requests_total{route=\"none\",method=\"GET\",status=\"404\"}", 42),
        ("chopmark_http_requests_total{route=\"/v1/statements/{id}\",method=\"GET\",status=\"404\"}", 40),
        ("chopmark_http_requests_total{route=\"/v1/statements\",method=\"POST\",status=\"201\"}", 2),
        ("chopmark_http_requests_total{route=\"/v1/statements\",method=\"POST\",status=\"200\"}", 1),
        ("chopmark_http_requests_total{route=\"/v1/statements\",method=\"POST\",status=\"429\"}", 1),
        ("chopmark_http_request_seconds_count{route=\"/checkpoint\"}", 1),
        ("chopmark_batch_statements_sum", 3),
        ("chopmark_batch_statements_count", 3),
        ("chopmark_commit_seconds_count", 3),
        ("chopmark_queue_statements", 0),
        ("chopmark_log_size_entries", 4),
        ("chopmark_published_size_entries", 4),
        ("chopmark_halted", 0),
        ("chopmark_database_connections_in_use", 0),
    ] {
        assert!(is(scrape.get(sample), value), "{sample}: {} instead of {value}", scrape.get(sample));
    }
    let age = scrape.get("chopmark_checkpoint_age_seconds");
    assert!(age > 0.0 && age < 600.0, "{age}");
    // However many pages are asked for, the labels are those of the interface.
    let document: serde_json::Value = serde_json::from_str(&chopmark_api::openapi_json()).unwrap();
    let paths = document["paths"].as_object().unwrap().keys().map(|path| path.replace(":.*}", "}"));
    let known: BTreeSet<String> = paths.chain(["none".to_owned()]).collect();
    for route in scrape.values("route") {
        assert!(known.contains(route), "{route} is no route");
    }
    // And every family is described for operators.
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md")).unwrap();
    for (family, kind) in &scrape.families {
        let name = if kind == "counter" { format!("{family}_total") } else { family.clone() };
        assert!(page.contains(&format!("`{name}`")), "docs/operations.md lacks {name}");
    }
    for path in ["/", "/v1/registry", "/healthz"] {
        let answer = ureq::get(format!("{}{path}", service.metrics_url())).call();
        assert!(matches!(answer, Err(ureq::Error::StatusCode(404))), "{path}: {answer:?}");
    }
    service.stop();
}
