//! Openings as they are written, with the entry they belong to or after it, and destroyed, with the entry that says so.

use std::collections::BTreeMap;

use chopmark_core::admission::KeptOpenings;
use chopmark_core::kind::{Claim, NewReader, OpeningsOf};
use chopmark_core::sealed::{Field, Openings};
use chopmark_core::statement::{Statement, StatementId};
use chopmark_core::submission::Submission;
use chopmark_core::time::Timestamp;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

use super::rotation::KeyRow;
use super::seal::seal;
use super::{Acting, MasterKeys, Vault, act, readers};
use crate::error::{StoreError, bigint};
use crate::fixed::fixed;

/// The openings that came along.
fn sent(submission: &Submission) -> Option<&Openings> {
    submission.openings.as_ref().filter(|openings| !openings.fields.is_empty())
}

/// Whether entering this statement touches the vault.
fn touches(submission: &Submission) -> bool {
    let claim = &submission.statement.claim;
    sent(submission).is_some()
        || !claim.kind().new_readers(&submission.statement).is_empty()
        || matches!(claim, Claim::Erased(_))
}

/// Writes what these new entries bring into the vault, and destroys what they say is destroyed. `known` was entered already,
/// perhaps without its openings, because the vault that was asked then does not keep those of their zone: they may come now.
pub(crate) async fn insert(
    connection: &AsyncPgConnection,
    vault: Option<&Vault>,
    (appended, known): (&[(u64, &Submission)], &[&Submission]),
    now: Timestamp,
) -> Result<(), StoreError> {
    let brings = known.iter().filter_map(|submission| Some((&submission.statement, sent(submission)?)));
    let mut late: Vec<(&Statement, &Openings)> = brings.collect();
    if late.is_empty() && !appended.iter().any(|(_, submission)| touches(submission)) {
        return Ok(());
    }
    act(connection, Acting::Service).await?;
    late = unknown(connection, late).await?;
    if !late.is_empty() {
        // The master key before the sums, as a rotation locks them.
        usable_keys(connection, vault.ok_or_else(no_vault)?).await?;
        super::sums::hold_all(connection).await?;
    }
    let mut new_readers = Vec::new();
    for (index, submission) in appended {
        let statement = &submission.statement;
        if let Some(openings) = sent(submission) {
            keep(connection, vault, statement, openings, now).await?;
            let of = OpeningsOf::Statement(statement.id);
            new_readers.extend(readers::signers(statement).into_iter().map(|party| NewReader { party, of }));
        }
        new_readers.extend(statement.claim.kind().new_readers(statement));
        if let Claim::Erased(claim) = &statement.claim {
            erase(connection, &claim.statement, &claim.fields, *index).await?;
        }
    }
    // Some may be of statements that were entered just now, and of one that was sent twice.
    for (statement, openings) in &late {
        if !unknown(connection, vec![(*statement, *openings)]).await?.is_empty() {
            keep(connection, vault, statement, openings, now).await?;
            new_readers.extend(readers::by_the_log(connection, statement, true).await?);
        }
    }
    readers::admit(connection, vault, &new_readers).await?;
    for (statement, _) in &late {
        super::sums::forget(connection, &statement.id).await?;
    }
    Ok(())
}

fn no_vault() -> StoreError {
    StoreError::Vault("there is no vault".to_owned())
}

/// Those of which no openings are kept, nor were until they were destroyed.
async fn unknown<'a>(
    connection: &AsyncPgConnection,
    sent: Vec<(&'a Statement, &'a Openings)>,
) -> Result<Vec<(&'a Statement, &'a Openings)>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Binary)]
        statement: Vec<u8>,
    }
    if sent.is_empty() {
        return Ok(sent);
    }
    let ids: Vec<Vec<u8>> = sent.iter().map(|(statement, _)| statement.id.as_bytes().to_vec()).collect();
    let query = fixed("SELECT DISTINCT statement FROM vault.opening WHERE statement = ANY ($1)");
    let known: Vec<Row> = query.bind::<Array<Binary>, _>(ids).load(&mut &*connection).await?;
    let is_unknown = |statement: &Statement| known.iter().all(|row| row.statement != statement.id.as_bytes());
    Ok(sent.into_iter().filter(|(statement, _)| is_unknown(statement)).collect())
}

/// Keeps the openings of a statement, encrypted.
async fn keep(
    connection: &AsyncPgConnection,
    vault: Option<&Vault>,
    statement: &Statement,
    openings: &Openings,
    now: Timestamp,
) -> Result<(), StoreError> {
    let vault = vault.ok_or_else(no_vault)?;
    let keys = usable_keys(connection, vault).await?;
    let retained_until = now.to_utc() + vault.config.retention;
    let (mut fields, mut positions, mut wrapped, mut sealed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (position, opening) in (0_i32..).zip(&openings.fields) {
        let row = seal(&keys, &statement.id, opening)?;
        fields.push(opening.field.as_str().to_owned());
        positions.push(position);
        wrapped.push(row.wrapped_key);
        sealed.push(row.sealed);
    }
    fixed(
        "INSERT INTO vault.opening (statement, zone, retained_until, key_id, field, position, wrapped_key, sealed)
         SELECT $1, $2, $3, $4, * FROM unnest($5, $6, $7, $8)",
    )
    .bind::<Binary, _>(statement.id.as_bytes().to_vec())
    .bind::<Text, _>(openings.zone.as_str())
    .bind::<Timestamptz, _>(retained_until)
    .bind::<Text, _>(keys.current_id().to_owned())
    .bind::<Array<Text>, _>(fields)
    .bind::<Array<Integer>, _>(positions)
    .bind::<Array<Binary>, _>(wrapped)
    .bind::<Array<Binary>, _>(sealed)
    .execute(&mut &*connection)
    .await?;
    Ok(())
}

/// Destroys salt, value and data key of fields that are there.
async fn erase(
    connection: &AsyncPgConnection,
    statement: &StatementId,
    fields: &[Field],
    index: u64,
) -> Result<(), StoreError> {
    let names: Vec<String> = fields.iter().map(|field| field.as_str().to_owned()).collect();
    let number = names.len();
    let erased = fixed(
        "UPDATE vault.opening SET erased_by = $1, key_id = NULL, wrapped_key = NULL, sealed = NULL
         WHERE statement = $2 AND field = ANY ($3) AND erased_by IS NULL",
    )
    .bind::<BigInt, _>(bigint(index))
    .bind::<Binary, _>(statement.as_bytes().to_vec())
    .bind::<Array<Text>, _>(names)
    .execute(&mut &*connection)
    .await?;
    if erased == number {
        super::reports::erase(connection, statement, index).await
    } else {
        Err(StoreError::damaged(format!("vault.opening {statement}"), format!("{erased} of {number} fields erased")))
    }
}

/// What is kept of these statements, and until when it has to be where that is after `now`.
pub(crate) async fn kept(
    connection: &AsyncPgConnection,
    statements: &[StatementId],
    now: Timestamp,
) -> Result<BTreeMap<StatementId, KeptOpenings>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Binary)]
        statement: Vec<u8>,
        #[diesel(sql_type = Text)]
        field: String,
        #[diesel(sql_type = Timestamptz)]
        retained_until: DateTime<Utc>,
    }
    let mut kept: BTreeMap<StatementId, KeptOpenings> = BTreeMap::new();
    if statements.is_empty() {
        return Ok(kept);
    }
    act(connection, Acting::Service).await?;
    let wanted: Vec<Vec<u8>> = statements.iter().map(|id| id.as_bytes().to_vec()).collect();
    let rows: Vec<Row> = fixed(
        "SELECT statement, field, retained_until FROM vault.opening WHERE statement = ANY ($1) AND erased_by IS NULL",
    )
    .bind::<Array<Binary>, _>(wanted)
    .load(&mut &*connection)
    .await?;
    for Row { statement, field, retained_until } in rows {
        let place = "vault.opening";
        let id = StatementId::from_slice(&statement).ok_or_else(|| StoreError::damaged(place, "statement"))?;
        let field: Field = field.parse().map_err(|reason: String| StoreError::damaged(place, reason))?;
        let until = Some(Timestamp::from(retained_until)).filter(|until| *until > now);
        kept.entry(id).or_default().insert(field, until);
    }
    Ok(kept)
}

/// The master keys, of which the first may wrap data keys until this transaction ends. A rotation waits for it, and it
/// for a rotation.
pub(super) async fn usable_keys(connection: &AsyncPgConnection, vault: &Vault) -> Result<MasterKeys, StoreError> {
    let keys = vault.keys();
    if is_usable(connection, &keys).await? {
        return Ok(keys);
    }
    let keys = vault.reload()?;
    if is_usable(connection, &keys).await? {
        return Ok(keys);
    }
    let id = keys.current_id();
    let reason = format!("the master key {id} is not the one in use here; put that one first in the key file");
    Err(StoreError::Vault(reason))
}

/// Whether the first key may wrap. One that was never used here may where it stands beside one in use, or where none ever was:
/// another registry's does not.
async fn is_usable(connection: &AsyncPgConnection, keys: &MasterKeys) -> Result<bool, StoreError> {
    fixed(
        "INSERT INTO vault.wrapping_key (id) SELECT $1 WHERE NOT EXISTS (SELECT FROM vault.wrapping_key)
             OR EXISTS (SELECT FROM vault.wrapping_key WHERE id = ANY ($2) AND retired_at IS NULL)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind::<Text, _>(keys.current_id().to_owned())
    .bind::<Array<Text>, _>(keys.ids().collect::<Vec<_>>())
    .execute(&mut &*connection)
    .await?;
    let rows: Vec<KeyRow> = fixed("SELECT id FROM vault.wrapping_key WHERE id = $1 AND retired_at IS NULL FOR SHARE")
        .bind::<Text, _>(keys.current_id().to_owned())
        .load(&mut &*connection)
        .await?;
    Ok(!rows.is_empty())
}
