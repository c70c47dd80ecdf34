//! What no route takes: a page that does not exist, or one that exists for other methods.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::problem::ApiError;

/// The paths of the interface with their methods, in capitals and separated by commas.
pub struct Paths(Vec<(String, String)>);

impl Paths {
    /// Collects them from the OpenAPI document, which is made from the routes themselves.
    pub fn of(document: &serde_json::Value) -> Self {
        let paths = document.get("paths").and_then(serde_json::Value::as_object).into_iter().flatten();
        Self(
            paths
                .map(|(path, operations)| {
                    let methods = operations.as_object().into_iter().flat_map(serde_json::Map::keys);
                    let mut methods: Vec<String> = methods.map(|method| method.to_ascii_uppercase()).collect();
                    if methods.iter().any(|method| method == "GET") {
                        methods.push("HEAD".to_owned());
                    }
                    (path.clone(), methods.join(", "))
                })
                .collect(),
        )
    }

    /// Methods of the page at `path`, when there is one.
    fn methods(&self, path: &str) -> Option<&str> {
        self.0.iter().find(|(template, _)| matches(template, path)).map(|(_, methods)| methods.as_str())
    }
}

/// Whether a path template covers a path. `{path}` stands for the rest of it, any other name for one segment.
fn matches(template: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    for expected in template.split('/') {
        if expected == "{path}" {
            return segments.next().is_some_and(|segment| !segment.is_empty());
        }
        match segments.next() {
            Some(segment) if segment == expected || (expected.starts_with('{') && !segment.is_empty()) => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

/// Answers 405 with the methods a page has, or 404.
pub async fn fallback(request: HttpRequest, paths: web::Data<Paths>) -> HttpResponse {
    let Some(methods) = paths.methods(request.path()) else {
        return HttpResponse::from_error(ApiError::not_found("there is no such page"));
    };
    let detail = format!("this page answers {methods}");
    let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "request", "", detail);
    let mut response = HttpResponse::from_error(error);
    if let Ok(methods) = header::HeaderValue::from_str(methods) {
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_cover_what_their_routes_take() {
        for (template, path, covered) in [
            ("/v1/parties/{id}", "/v1/parties/pty_x", true),
            ("/v1/parties/{id}", "/v1/parties/", false),
            ("/v1/parties/{id}", "/v1/parties/a/b", false),
            ("/v1/statements/{id}/receipt", "/v1/statements/x/receipt", true),
            ("/tile/{path}", "/tile/0/x001/234.p/5", true),
            ("/tile/{path}", "/tile/", false),
            ("/healthz", "/healthz", true),
            ("/healthz", "/healthz/", false),
        ] {
            assert_eq!(matches(template, path), covered, "{template} {path}");
        }
    }

    #[test]
    fn methods_come_from_the_document() {
        let document = serde_json::json!({"paths": {"/a": {"post": {}}, "/b": {"get": {}}}});
        let paths = Paths::of(&document);
        assert_eq!(paths.methods("/a"), Some("POST"));
        assert_eq!(paths.methods("/b"), Some("GET, HEAD"));
        assert_eq!(paths.methods("/c"), None);
    }
}
