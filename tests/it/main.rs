//! Integration tests: the pure formats under attack, then the real binary with a real PostgreSQL.
//!
//! One executable, so that the service most tests share is started once.

mod admission;
mod attest;
mod audit;
mod bundle;
mod caching;
mod command_line;
mod cosign;
mod docs;
mod drain;
mod find;
mod forgery;
mod forms;
mod full;
mod fuzz;
mod harness;
mod independent;
mod json;
mod keys;
mod ledger;
mod limits;
mod lineage;
mod logging;
mod make;
mod memory;
mod metrics;
mod openapi;
mod overload;
mod power;
mod proof;
mod query;
mod register;
mod repeat;
mod replicas;
mod schemathesis;
mod search;
mod serve;
mod shared;
mod signer;
mod statement;
mod tamper;
mod tidy;
mod verify;
