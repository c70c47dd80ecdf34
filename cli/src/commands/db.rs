//! `chopmark db url`: how to connect to the service's database with psql.

use chopmark_store::cluster;
use serde_json::json;

use super::Context;
use crate::arguments::StoreArguments;
use crate::exit::{Exit, Failure};
use crate::printer::Report;
use crate::registry::DataDirectory;

/// Runs `db url`.
///
/// # Errors
/// When no private PostgreSQL runs in the data directory.
pub(crate) fn url(context: &Context<'_>, arguments: &StoreArguments) -> Result<Exit, Failure> {
    let url = if let Some(url) = &arguments.database_url {
        url.clone()
    } else {
        let directory = DataDirectory::of(arguments)?;
        cluster::connection_url_of(&directory.postgres())?
    };
    context.done(json!({ "url": url }), &Report::default().line(&url))
}
