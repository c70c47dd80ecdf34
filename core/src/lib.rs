//! The pure domain of Chopmark: what is signed, how the ledger is formed, what proves what.
//!
//! Nothing here reads a file, a clock, the network or the environment; the same code runs in the service, the command
//! line and an offline verifier. Slice names (`statement`, `ledger`, `party`, `artefact`, `verify`, …) are the same in every crate.

pub mod access;
pub mod admission;
pub mod artefact;
pub mod attestation;
pub mod base64;
pub mod bundle;
pub mod code;
pub mod compatibility;
pub mod digest;
pub mod endorsement;
pub mod erased;
pub mod expenditure;
pub mod image;
pub mod key;
pub mod kind;
pub mod ledger;
pub mod licence;
pub mod licensing;
pub mod manifest;
pub mod money;
pub mod party;
pub mod policy;
pub mod replay;
pub mod sealed;
pub mod sidecar;
pub mod statement;
pub mod strict;
pub mod submission;
pub mod tax;
pub mod terms;
pub mod text;
pub mod time;
pub mod token;
pub mod trust;
pub mod verify;
