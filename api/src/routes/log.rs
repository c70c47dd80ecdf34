//! The log itself, in the public C2SP tlog-tiles format: checkpoint, tiles, entry bundles; and whose log it is.

use std::io::Write as _;

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use chopmark_core::ledger::tile::{TilePath, encode_entry_bundle, encode_hashes};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use utoipa::ToSchema;

use super::{FOR_EVER, revalidated, tagged};
use crate::problem::{ApiError, BadParameter, Missing, NotNow, Unchanged, internal};
use crate::service::Service;

/// Whose log this is. A reader who trusts it pins these three: origin, log key, genesis.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegistryView {
    /// First line of every checkpoint.
    pub origin: String,
    /// Leaf hash of entry 0, hexadecimal: the registry's identity.
    pub genesis: String,
    /// Verifier key of the log (C2SP signed-note).
    pub log_key: String,
    /// The operator's party, 64 hexadecimal characters.
    pub operator: String,
    /// Entries published.
    pub size: u64,
}

/// Whose registry this is.
#[utoipa::path(
    operation_id = "getRegistry",
    tag = "log",
    responses(
        (status = 200, description = "The registry", body = RegistryView),
        Unchanged,
        NotNow,
    )
)]
#[get("/v1/registry")]
pub async fn registry(service: web::Data<Service>) -> Result<HttpResponse, ApiError> {
    let published = service.published()?;
    revalidated(&RegistryView {
        origin: service.registry.reference.origin.clone(),
        genesis: service.registry.reference.genesis.to_hex(),
        log_key: service.log_key.clone(),
        operator: service.registry.operator.to_hex(),
        size: published.size,
    })
}

/// The newest signed checkpoint (C2SP tlog-checkpoint).
#[utoipa::path(
    operation_id = "getCheckpoint",
    tag = "log",
    responses(
        (status = 200, description = "A signed note", body = String, content_type = "text/plain"),
        Unchanged,
        NotNow,
    )
)]
#[get("/checkpoint")]
pub async fn checkpoint(service: web::Data<Service>) -> Result<HttpResponse, ApiError> {
    let published = service.published()?;
    Ok(tagged("text/plain; charset=utf-8", "public, max-age=1", published.note.clone()))
}

/// A tile of hashes, or a bundle of entries (C2SP tlog-tiles).
#[utoipa::path(
    operation_id = "getTile",
    tag = "log",
    params(("path" = String, Path, description = "`<L>/<N>[.p/<W>]`, or `entries/<N>[.p/<W>]`, N in groups of three digits")),
    responses(
        (status = 200, description = "Up to 256 hashes of 32 bytes, or entries each behind a 16-bit length (gzipped)",
            body = Vec<u8>, content_type = "application/octet-stream"),
        Unchanged,
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/tile/{path:.*}")]
pub async fn tile(service: web::Data<Service>, path: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let path: TilePath =
        format!("/tile/{path}").parse().map_err(|error| ApiError::bad_parameter("path", "path", format!("{error}")))?;
    let published = service.published()?;
    let missing = || ApiError::not_found(format!("the tree of {} entries has no such tile", published.size));
    match path {
        TilePath::Hashes(coordinate) => {
            let nodes = service.tile(&published, coordinate).await?.ok_or_else(missing)?;
            let hashes = nodes.hashes().get(..usize::from(coordinate.width())).ok_or_else(missing)?;
            Ok(tagged("application/octet-stream", FOR_EVER, encode_hashes(hashes)))
        }
        TilePath::Entries(bundle) => {
            let indices = bundle.indices();
            if indices.end > published.size {
                return Err(missing());
            }
            let entries = service.store.entries(indices.start, indices.end - indices.start).await?;
            let bodies = entries.iter().map(|entry| entry.body.as_slice());
            let bytes = encode_entry_bundle(bodies).map_err(|error| internal(&error))?;
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&bytes).map_err(|error| internal(&error))?;
            let compressed = encoder.finish().map_err(|error| internal(&error))?;
            let mut response = tagged("application/octet-stream", FOR_EVER, compressed);
            response.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
            Ok(response)
        }
    }
}
