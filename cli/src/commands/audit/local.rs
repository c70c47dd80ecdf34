//! The audit of a database: its own key, mark and kept checkpoints against its rows.

use chopmark_core::ledger::note::VerifierKey;
use chopmark_store::audit::{self, Finding, KnownRoot, Options, Progress, Surroundings, Verdict};
use chopmark_store::{Registry, Store, StoreError};

use super::{Audited, kept_checkpoint};
use crate::arguments::AuditArguments;
use crate::commands::Context;
use crate::exit::Failure;
use crate::progress::Steps;
use crate::registry::{self, DataDirectory};
use crate::vault;

/// What an audit of a database that starts from a saved checkpoint leaves out.
const NOT_REPEATED: [&str; 4] = [
    "signatures and admission of entries below the saved checkpoint",
    "what the claims of those entries say of their documents",
    "the read tables (schema view)",
    "sealed values: who may read them, and whether they are kept (schema vault)",
];

/// What an audit without the vault's master keys leaves out.
const NOT_OPENED: &str = "whether openings are those of the log's commitments: no master key is at hand";

/// Audits the database that the arguments name.
///
/// # Errors
/// When it can't be read.
pub(super) async fn audit(context: &Context<'_>, arguments: &AuditArguments) -> Result<Audited, Failure> {
    let directory = DataDirectory::of(&arguments.store)?;
    let (store, database) = registry::open_for_reading(&directory, &arguments.store).await?;
    let end = check(context, arguments, &directory, &store).await;
    database.stop().await?;
    end
}

async fn check(
    context: &Context<'_>,
    arguments: &AuditArguments,
    directory: &DataDirectory,
    store: &Store,
) -> Result<Audited, Failure> {
    let mark = directory.peek_mark()?.filter(|signed| signed.size > 0);
    let registry = match store.registry().await {
        Ok(registry) => registry,
        Err(error) => {
            let signed =
                mark.as_ref().map(|signed| (format!("the signer's mark {}", directory.mark().display()), signed.size));
            let finding = without_genesis(store, error, arguments, signed).await?;
            let origin = mark.map(|signed| signed.origin);
            return Ok(Audited {
                origin,
                from: None,
                outside_roots: 0,
                not_repeated: Vec::new(),
                verdict: Verdict::Found(finding),
            });
        }
    };
    let origin = &registry.reference.origin;
    let key = log_key(context, arguments, directory, &registry)?;
    let mut options = Options { surroundings: surroundings(arguments), ..Options::everything(key.clone()) };
    if let Some(path) = &arguments.against {
        options.known.push(kept_checkpoint(path, &key)?);
    }
    if let Some(signed) = mark.filter(|signed| signed.origin == *origin) {
        let source = format!("the signer's mark {}", directory.mark().display());
        options.known.push(KnownRoot { source, size: signed.size, root: signed.root, is_published: false });
    }
    if let Some(signed) = directory.peek_access_mark(origin)? {
        let source = format!("the signer's mark {}", directory.access_mark().display());
        options.known_accesses.push(KnownRoot { source, size: signed.size, root: signed.root, is_published: false });
    }
    let from = arguments.from.as_ref().map(|path| kept_checkpoint(path, &key)).transpose()?;
    if let Some(from) = &from {
        options = options.starting_from(from.clone());
    }
    let store = vault::attach_where_keys_are(store, directory, &arguments.vault_key)?;
    let outside_roots = options.known.len() + options.known_accesses.len();
    let mut steps = Steps::start(context.printer);
    let verdict = audit::audit(&store, options, |progress| match progress {
        Progress::Entries { done, of } => steps.show("auditing entries", "entries", done, of),
        Progress::Tables { done, of } => steps.show("comparing tables", "tables", done, of),
    })
    .await;
    steps.finish();
    let not_repeated = match (&from, store.vault()) {
        (Some(_), _) => NOT_REPEATED.to_vec(),
        (None, None) => vec![NOT_OPENED],
        (None, Some(_)) => Vec::new(),
    };
    Ok(Audited { origin: Some(origin.clone()), from, outside_roots, not_repeated, verdict: verdict? })
}

fn surroundings(arguments: &AuditArguments) -> Surroundings {
    Surroundings {
        without_event_triggers: arguments.without_event_triggers,
        database_users: arguments.database_users.clone(),
    }
}

/// A database without a founding entry is empty, or was emptied: whatever else is left in it, or outside it, tells.
async fn without_genesis(
    store: &Store,
    error: StoreError,
    arguments: &AuditArguments,
    signed: Option<(String, u64)>,
) -> Result<Finding, Failure> {
    if let StoreError::Damaged { place, reason } = error {
        return Ok(Finding::new(place, 0, reason));
    }
    if let StoreError::Query(_) = error {
        // The service's role may have lost its rights, or the table be gone.
        return audit::check_schema(store, &surroundings(arguments)).await?.ok_or_else(|| error.into());
    }
    let is_emptied =
        |says: String| Finding::new("log.entry 0", 0, format!("the row is missing, and so is the registry; {says}"));
    match (&error, store.log_state().await) {
        (StoreError::NotFounded, Ok((size, _))) if size > 0 => {
            Ok(is_emptied(format!("log.log_state says that there are {size} entries")))
        }
        (StoreError::NotFounded, _) => {
            if let Some((source, size)) = signed {
                return Ok(is_emptied(format!("{source} says that {size} entries were signed")));
            }
            if let Some(kept) = arguments.against.as_ref().or(arguments.from.as_ref()) {
                return Ok(is_emptied(format!("the kept checkpoint {} is of a registry", kept.display())));
            }
            match store.latest_checkpoint().await? {
                Some(checkpoint) => Ok(is_emptied(format!("log.checkpoint {} is of one", checkpoint.size))),
                None => Err(error.into()),
            }
        }
        _ => Err(error.into()),
    }
}

/// The key checkpoints must be signed with: given, or the operator's own, or, said aloud, what the database claims.
fn log_key(
    context: &Context<'_>,
    arguments: &AuditArguments,
    directory: &DataDirectory,
    registry: &Registry,
) -> Result<VerifierKey, Failure> {
    if let Some(key) = &arguments.log_key {
        return Ok(key.clone());
    }
    if directory.has_log_key() {
        return Ok(directory.signer(&registry.reference.origin)?.verifier_key().clone());
    }
    context.printer.note("the log key is taken from the database itself; give the one you trust with --log-key");
    let key = registry.log_key.parse();
    key.map_err(|error| Failure::proof(format!("entry 0 names a log key that is none: {error}")))
}
