//! The Chopmark service: HTTP routes over the store, one sequencer, one publisher.
//!
//! Statements come in through one route, are verified on the workers, judged and committed by the sequencer, and
//! acknowledged once the publisher has signed a checkpoint over them, or seen one that another replica signed.

mod access_log;
mod authenticate;
mod bodies;
mod clock;
pub mod dataset;
mod exports;
mod follow;
mod guard;
mod known_keys;
mod limits;
mod login;
pub mod mark;
mod metrics;
mod news;
mod pace;
mod problem;
mod publisher;
mod reports;
mod routes;
mod sealed;
mod sequencer;
mod server;
mod service;

/// What the routes of a benchmark are made of: the service's own way in, up to where the peers part.
pub mod way_in {
    pub use crate::guard::Guard;
    pub use crate::problem::ApiError;
    pub use crate::routes::statements::admissible;
    pub use crate::service::Service;
}

pub use limits::{Rate, RateLimits};
pub use problem::Problem;
pub use publisher::Signing;
pub use sequencer::QUEUE_STATEMENTS_MAX;
pub use server::{CONNECTIONS_PER_WORKER_MAX, FONTS, Running, ServeConfig, ServeError, openapi_json, start};
