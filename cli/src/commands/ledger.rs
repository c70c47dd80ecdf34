//! `chopmark ledger init`: founds a registry, on purpose, in a database that has none.

use chopmark_store::{Store, StoreError};
use serde_json::json;

use super::{Context, block_on};
use crate::arguments::{LedgerInitArguments, VaultKeyArguments};
use crate::exit::{Exit, Failure};
use crate::printer::Report;
use crate::registry::{self, DataDirectory};
use crate::vault::MasterKeySource;

/// Runs `ledger init`.
///
/// # Errors
/// When there is a registry already, or the database can't be reached.
pub(crate) fn init(context: &Context<'_>, arguments: &LedgerInitArguments) -> Result<Exit, Failure> {
    block_on(open_and_found(context, arguments))
}

async fn open_and_found(context: &Context<'_>, arguments: &LedgerInitArguments) -> Result<Exit, Failure> {
    let directory = DataDirectory::of(&arguments.store)?;
    if let Some(url) = &arguments.store.database_url {
        let store = Store::open(url, 1).await?;
        return found(context, &directory, &store, arguments).await;
    }
    let (store, database) = registry::open(&directory, &arguments.store).await?;
    let end = found(context, &directory, &store, arguments).await;
    database.stop().await?;
    end
}

async fn found(
    context: &Context<'_>,
    directory: &DataDirectory,
    store: &Store,
    arguments: &LedgerInitArguments,
) -> Result<Exit, Failure> {
    let (size, _) = store.log_state().await?;
    if size > 0 {
        return Err(StoreError::AlreadyFounded { size }.into());
    }
    if !store.has_checksums().await? {
        context.printer.note(registry::NO_CHECKSUMS);
    }
    let registry = directory.found(store, arguments.origin.as_deref()).await?;
    let vault = MasterKeySource::of(directory, &VaultKeyArguments::default());
    if vault.read().is_err() {
        vault.add_key()?;
    }
    let members = json!({
        "origin": registry.reference.origin,
        "genesis": registry.reference.genesis,
        "log_key": registry.log_key,
        "operator": registry.operator,
    });
    let report = Report::default()
        .row("Origin", &registry.reference.origin)
        .row("Genesis", registry.reference.genesis.to_hex())
        .row("Log key", &registry.log_key)
        .line("Give these three to whoever shall trust this registry.")
        .line("Back up the keys and log.mark in the data directory, apart from the database.")
        .next("chopmark serve");
    context.done(members, &report)
}
