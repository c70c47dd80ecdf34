//! `chopmark db`: how to connect to the service's database, and its read tables made anew.

use chopmark_store::{Rebuilt, cluster};
use serde_json::json;

use super::{Context, block_on};
use crate::arguments::StoreArguments;
use crate::exit::{Exit, Failure};
use crate::printer::{Report, Tone};
use crate::progress::Steps;
use crate::registry::{self, DataDirectory};
use crate::units;

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

/// Runs `db rebuild`.
///
/// # Errors
/// When the database can't be reached, or the log in it can't be read; nothing was changed then.
pub(crate) fn rebuild(context: &Context<'_>, arguments: &StoreArguments) -> Result<Exit, Failure> {
    block_on(async {
        let directory = DataDirectory::of(arguments)?;
        let (store, database) = registry::open_for_reading(&directory, arguments).await?;
        let mut steps = Steps::start(context.printer);
        let rebuilt = store.rebuild(|done, of| steps.show("folding", "entries", done, of)).await;
        steps.finish();
        database.stop().await?;
        let (tables, size) = rebuilt?;
        report(context, &tables, size)
    })
}

fn report(context: &Context<'_>, tables: &[Rebuilt], size: u64) -> Result<Exit, Failure> {
    let members: Vec<_> = tables
        .iter()
        .map(|Rebuilt { table, rows, mended }| json!({ "table": table, "rows": rows, "mended": mended }))
        .collect();
    let mut shown = Report::default().line(format!("{:<24}{:>12}{:>12}", "table", "rows", "mended"));
    for Rebuilt { table, rows, mended } in tables {
        shown = shown.line(format!("{table:<24}{rows:>12}{mended:>12}"));
    }
    let mended: u64 = tables.iter().map(|table| table.mended).sum();
    let headline = format!("rebuilt from {size} entries; {} differed", units::count(mended, "row"));
    let shown = shown.headline(Tone::Good, headline);
    context.done(json!({ "entries": size, "mended": mended, "tables": members }), &shown)
}
