//! Clients that read too slowly are cut off.
//!
//! The HTTP library has no limit for this, but asks for the next part of an answer only once the client's connection has
//! taken the one before: a large answer is handed over in parts, and no more of them once its time is up. A client that
//! takes nothing at all is left to the kernel, which ends a connection that makes no progress.

use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Extensions;
use actix_web::web::Bytes;

/// Answers up to this size are handed over at once: the kernel's buffer takes them.
const PART_BYTES: usize = 32 << 10;

/// How long any answer may take to read, however small.
const READ_TIME_MIN: Duration = Duration::from_secs(30);

/// What the slowest client that is served reads, on top of [`READ_TIME_MIN`]: the largest document in nine minutes.
const READ_BYTES_PER_SECOND_MIN: u64 = 32 << 10;

/// How long the kernel waits for a client to take anything, in milliseconds.
#[cfg(target_os = "linux")]
const STALL_TIME_MAX_MS: u32 = 30_000;

/// The client did not take its answer in time.
#[derive(Debug, thiserror::Error)]
#[error("the client reads too slowly")]
pub struct TooSlow;

/// A large answer, part by part, until its time is up.
struct Paced {
    rest: Bytes,
    until: Instant,
}

impl MessageBody for Paced {
    type Error = TooSlow;

    fn size(&self) -> BodySize {
        BodySize::Sized(u64::try_from(self.rest.len()).unwrap_or(u64::MAX))
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, TooSlow>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        if Instant::now() >= self.until {
            return Poll::Ready(Some(Err(TooSlow)));
        }
        let size = self.rest.len().min(PART_BYTES);
        Poll::Ready(Some(Ok(self.rest.split_to(size))))
    }
}

/// Gives a large answer a time to be read in.
pub fn paced(body: BoxBody) -> BoxBody {
    match body.try_into_bytes() {
        Ok(bytes) if bytes.len() > PART_BYTES => {
            let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let allowed = READ_TIME_MIN + Duration::from_secs(size_bytes / READ_BYTES_PER_SECOND_MIN);
            BoxBody::new(Paced { rest: bytes, until: Instant::now() + allowed })
        }
        Ok(bytes) => BoxBody::new(bytes),
        Err(body) => body,
    }
}

/// Has the kernel end a connection whose client takes nothing: for every connection as it is made.
pub fn limit_stall(connection: &dyn Any, _: &mut Extensions) {
    #[cfg(target_os = "linux")]
    if let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>()
        && let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, STALL_TIME_MAX_MS)
    {
        tracing::warn!(error = %error, "a connection has no limit on stalling");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = connection;
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[test]
    fn a_body_comes_in_parts_until_its_time_is_up() {
        let bytes = Bytes::from(vec![7; 3 * PART_BYTES + 1]);
        let mut body = pin!(Paced { rest: bytes.clone(), until: Instant::now() + Duration::from_mins(1) });
        assert_eq!(body.size(), BodySize::Sized(u64::try_from(bytes.len()).unwrap()));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut sizes = Vec::new();
        while let Poll::Ready(Some(part)) = body.as_mut().poll_next(&mut context) {
            sizes.push(part.unwrap().len());
        }
        assert_eq!(sizes, [PART_BYTES, PART_BYTES, PART_BYTES, 1]);

        let mut late = pin!(Paced { rest: bytes, until: Instant::now() });
        assert!(matches!(late.as_mut().poll_next(&mut context), Poll::Ready(Some(Err(TooSlow)))));
    }
}
