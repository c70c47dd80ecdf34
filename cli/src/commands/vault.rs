//! `chopmark vault rotate`: a new master key wraps every data key.

use chopmark_store::MASTER_KEY_RETIRED;
use serde_json::json;

use super::{Context, block_on};
use crate::arguments::VaultRotateArguments;
use crate::exit::{Exit, Failure};
use crate::printer::{Report, Tone};
use crate::registry::{self, DataDirectory};
use crate::units;
use crate::vault::{MasterKeySource, Older};

/// Rotates. Interrupted, the next run goes on.
///
/// # Errors
/// A usage failure where keys in the environment have to be changed by hand; when the key file or the database can't be read or
/// written.
pub(crate) fn rotate(context: &Context<'_>, arguments: &VaultRotateArguments) -> Result<Exit, Failure> {
    let directory = DataDirectory::of(&arguments.store)?;
    let source = MasterKeySource::of(&directory, &arguments.key);
    if arguments.destroy_old && !source.is_file() {
        let message =
            "--destroy-old changes a file: without it, rotate, then remove the older lines from the environment";
        return Err(Failure::usage(message));
    }
    let mut keys = source.read().map_err(Failure::usage)?;
    let mut old: Vec<String> = keys.ids().map(str::to_owned).collect();
    let (rotated, keys) = block_on(async {
        let (store, database) = registry::open_for_reading(&directory, &arguments.store).await?;
        let work = async {
            // A key that was put first by hand, or by a run that was cut short, is the new one.
            let in_use = store.keys_in_use(&keys).await?;
            if in_use.iter().all(|id| id == keys.current_id()) {
                if arguments.destroy_old {
                    source.settle(Older::DestroyRetired)?;
                }
                source.add_key()?;
                keys = source.read().map_err(Failure::usage)?;
            }
            Ok::<_, Failure>((store.rotate(&keys).await?, keys))
        };
        let end = work.await;
        database.stop().await?;
        end
    })?;
    old.retain(|id| id != keys.current_id());
    if source.is_file() {
        source.settle(if arguments.destroy_old { Older::Destroy } else { Older::Retire })?;
    }
    let members = json!({
        "master_key": keys.current_id(),
        "rewrapped": rotated.rewrapped,
        "retired": rotated.retired,
        "authenticated": rotated.authenticated,
        "refused": rotated.refused,
        "destroyed": if arguments.destroy_old { old.clone() } else { Vec::new() },
    });
    let mut report = Report::default().row("master key", keys.current_id());
    if rotated.refused > 0 {
        report = report.line(format!(
            "{} of tokens or readers that this registry has not made; they open nothing",
            units::count(rotated.refused, "row")
        ));
    }
    if !source.is_file() && !old.is_empty() {
        report = report
            .line(format!("in the environment, write `{MASTER_KEY_RETIRED}` behind the older lines, or remove them"));
    } else if !arguments.destroy_old && !old.is_empty() {
        report = report.line(format!(
            "{} of no more use to the database, but to older backups; with --destroy-old they go",
            units::count(units::length(old.len()), "older key")
        ));
    }
    let headline = format!("ROTATED: {} wrapped anew", units::count(rotated.rewrapped, "data key"));
    context.done(members, &report.headline(Tone::Good, headline))
}
