//! Prints the OpenAPI document, as it is committed under `openapi/`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(chopmark_api::openapi_json().as_bytes())
}
