//! Around every request: its id, the rate limit of its address, a time limit, HEAD wherever there is GET, 304 for who has
//! the answer already, one shape for errors, headers that every answer has, one log line, and its metrics.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, ResponseError as _, web};
use tracing::Instrument as _;

use crate::bodies::Bodies;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::pace::paced;
use crate::problem::{ApiError, REQUEST_ID_HEADER};

/// Longest time from the head of a request to the head of its answer: reading a large body, a commit, a checkpoint.
const REQUEST_TIME_MAX: Duration = Duration::from_mins(1);

/// What a page that says nothing else may load and do: nothing.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a balancer asks has to be answered, however often it asks.
pub const NOT_COUNTED: [&str; 2] = ["/healthz", "/readyz"];

/// What stands between the network and every handler.
pub struct Guard {
    /// How often anybody may come.
    pub limits: Limits,
    /// Memory for request bodies.
    pub bodies: Bodies,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Set once the service is told to stop.
    pub stopping: Arc<AtomicBool>,
    /// Whether the log names client addresses.
    pub log_addresses: bool,
}

/// What is known of a request before it is answered.
struct Visit {
    id: String,
    begun: Instant,
    method: &'static str,
    /// The template, never the path.
    route: String,
    address: Option<IpAddr>,
}

impl Visit {
    fn begin(guard: &Guard, request: &mut ServiceRequest) -> Result<Self, ApiError> {
        let (high, low) = (random()?, random()?);
        // Any word can be a method, and a label or field has few values.
        let method = match *request.method() {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::DELETE => "DELETE",
            Method::PATCH => "PATCH",
            Method::OPTIONS => "OPTIONS",
            _ => "other",
        };
        if request.method() == Method::HEAD {
            // Routed like a GET; the connection knows that it was a HEAD and sends the head alone.
            request.head_mut().method = Method::GET;
        }
        // The router writes the pattern of a parameter into its template.
        let route = request.match_pattern().map_or_else(|| "none".to_owned(), |route| route.replace(":.*}", "}"));
        Ok(Self {
            id: format!("{high:016x}{low:016x}"),
            begun: Instant::now(),
            method,
            route,
            address: guard.limits.address(request),
        })
    }

    /// The log line and the counters of a request that is answered.
    fn end(&self, guard: &Guard, status: StatusCode, problem: Option<&str>) {
        let took = self.begun.elapsed();
        guard.metrics.answered(&self.route, self.method, status.as_u16(), took);
        if let Some(code) = problem {
            guard.metrics.rejected(code);
        }
        let address = self.address.filter(|_| guard.log_addresses).map(|address| address.to_string());
        tracing::info!(
            target: "http.request",
            request_id = self.id,
            http.method = self.method,
            http.route = self.route,
            http.status = status.as_u16(),
            duration_ms = took.as_secs_f64() * 1e3,
            problem.code = problem,
            client.address = address,
            "answered"
        );
    }
}

fn random() -> Result<u64, ApiError> {
    getrandom::u64().map_err(|error| crate::problem::internal(&error))
}

/// Wraps every handler.
///
/// # Errors
/// Problems that leave no request to answer to; the framework sends them as they are.
pub async fn guard(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let guard = request.app_data::<web::Data<Guard>>().cloned();
    let guard = guard.ok_or_else(|| crate::problem::internal(&"the server has no guard"))?;
    let visit = Visit::begin(&guard, &mut request)?;
    let counted = !NOT_COUNTED.contains(&request.path());
    let refused = if counted { guard.limits.count_address(visit.address).err() } else { None };
    let mut response = if let Some(refused) = refused {
        ServiceResponse::new(request.into_parts().0, HttpResponse::from_error(refused))
    } else {
        // Whatever a handler logs names the request.
        let span = tracing::error_span!("request", request_id = visit.id);
        let answer = tokio::time::timeout(REQUEST_TIME_MAX, next.call(request)).instrument(span).await;
        let Ok(response) = answer else {
            let error = ApiError::unavailable("request_timeout", "the answer took too long; try again");
            visit.end(&guard, error.status_code(), Some(&error.0.code));
            return Err(error.with_request(&visit.id).into());
        };
        response?.map_into_boxed_body()
    };
    let problem = name_problem(&mut response, &visit.id);
    if problem.is_none() && is_known(&response) {
        response = response.map_body(|_, _| BoxBody::new(()));
        response.response_mut().head_mut().status = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().remove(header::CONTENT_ENCODING);
    }
    add_headers(response.headers_mut(), &visit.id);
    visit.end(&guard, response.status(), problem.as_deref());
    Ok(response.map_body(|_, body| paced(body)))
}

/// Writes the request's id into a problem document, makes one of errors that the framework itself made, and gives back
/// the code.
fn name_problem(response: &mut ServiceResponse<BoxBody>, request_id: &str) -> Option<String> {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
    let by_framework = || {
        let code = match status {
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            _ => "bad_request",
        };
        ApiError::new(status, code, "request", "", status.to_string())
    };
    let error = error.map_or_else(by_framework, |error| ApiError(error.0.clone()));
    let code = error.0.code.clone();
    let mut named = error.with_request(request_id).error_response();
    // What a handler added, such as the methods that a page has.
    for (name, value) in response.headers() {
        if !named.headers().contains_key(name) {
            named.headers_mut().insert(name.clone(), value.clone());
        }
    }
    *response.response_mut() = named;
    Some(code)
}

/// Whether the client has the very bytes of this answer.
fn is_known(response: &ServiceResponse<BoxBody>) -> bool {
    let Some(etag) = response.headers().get(header::ETAG).and_then(|value| value.to_str().ok()) else { return false };
    let known = response.request().headers().get_all(header::IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    response.status() == StatusCode::OK
        && known.flat_map(|value| value.split(',')).map(str::trim).any(|known| {
            // RFC 9110, 13.1.2: compared weakly, and `*` is whatever there is.
            known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag
        })
}

/// What every answer says, unless its handler knows better.
fn add_headers(headers: &mut header::HeaderMap, request_id: &str) {
    if let Ok(id) = header::HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID_HEADER, id);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    ] {
        if !headers.contains_key(&name) {
            headers.insert(name, header::HeaderValue::from_static(value));
        }
    }
}
