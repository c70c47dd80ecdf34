//! The Chopmark service: HTTP routes over the store, one sequencer, one publisher.
//!
//! Statements come in through one route, are verified on the workers, judged and committed by the sequencer, and
//! acknowledged once the publisher has signed a checkpoint over them.

mod guard;
pub mod mark;
mod problem;
mod publisher;
mod routes;
mod sequencer;
mod server;
mod service;

pub use problem::Problem;
pub use server::{CONNECTIONS_PER_WORKER_MAX, Running, ServeConfig, ServeError, openapi_json, start};
