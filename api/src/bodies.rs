//! Request bodies: bounded one by one in bytes and time, and all together in memory.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, web};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::ApiError;

/// How long a client may take to send its request.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// Bytes of all bodies that are being read, parsed or waiting: half a dozen of the largest. What they are parsed into takes
/// up to twice as much again.
const BODIES_BYTES_MAX: usize = 256 << 20;

/// A body, and its share of the memory that all bodies may take; to be kept as long as anything made of it, which may be
/// longer than its client waits.
pub struct Body {
    /// The bytes as sent.
    pub bytes: web::Bytes,
    /// Given back when dropped.
    pub share: Option<OwnedSemaphorePermit>,
}

/// The memory that all bodies share.
pub struct Bodies {
    room: Arc<Semaphore>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(BODIES_BYTES_MAX)) }
    }
}

impl Bodies {
    /// Reads a JSON body of at most so many bytes to its end.
    ///
    /// # Errors
    /// 400, 408, 413 and 415 for what the client did wrong; 503 `overloaded` when other bodies take all the memory.
    pub async fn read(&self, request: &HttpRequest, payload: web::Payload, bytes_max: usize) -> Result<Body, ApiError> {
        let media_type =
            request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if media_type.split(';').next().map(str::trim) != Some("application/json") {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(ApiError::new(status, "not_json", "request", "", "send application/json"));
        }
        tokio::time::timeout(BODY_TIME_MAX, self.collect(payload, bytes_max)).await.unwrap_or_else(|_| {
            let detail = format!("the request did not arrive within {} seconds", BODY_TIME_MAX.as_secs());
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "request", "", detail))
        })
    }

    /// Takes room for each part as it arrives: who only announces a large body takes none from anybody.
    async fn collect(&self, mut payload: web::Payload, bytes_max: usize) -> Result<Body, ApiError> {
        let mut bytes = web::BytesMut::new();
        let mut share: Option<OwnedSemaphorePermit> = None;
        while let Some(part) = payload.next().await {
            let part = part.map_err(|error| {
                ApiError::new(StatusCode::BAD_REQUEST, "malformed_request", "request", "", error.to_string())
            })?;
            if bytes.len() + part.len() > bytes_max {
                let detail = format!("a request of this kind has at most {bytes_max} bytes");
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return Err(ApiError::new(status, "request_too_large", "request", "", detail));
            }
            let room = u32::try_from(part.len()).ok().and_then(|size| {
                // Refused rather than waited for: a wait would hold what was read so far.
                Arc::clone(&self.room).try_acquire_many_owned(size).ok()
            });
            let Some(room) = room else {
                return Err(ApiError::unavailable("overloaded", "too many large requests at once; try again"));
            };
            match &mut share {
                Some(share) => share.merge(room),
                None => share = Some(room),
            }
            bytes.extend_from_slice(&part);
        }
        Ok(Body { bytes: bytes.freeze(), share })
    }
}
