//! Openings as they are written, with the entry they belong to, and destroyed, with the entry that says so.

use std::collections::BTreeMap;

use chopmark_core::admission::KeptOpenings;
use chopmark_core::kind::{Claim, NewReader, OpeningsOf};
use chopmark_core::sealed::Field;
use chopmark_core::statement::StatementId;
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

/// Whether entering this statement touches the vault.
fn touches(submission: &Submission) -> bool {
    let claim = &submission.statement.claim;
    submission.openings.as_ref().is_some_and(|openings| !openings.fields.is_empty())
        || !claim.kind().new_readers(&submission.statement).is_empty()
        || matches!(claim, Claim::Erased(_))
}

/// Writes what these new entries bring into the vault, and destroys what they say is destroyed.
pub(crate) async fn insert(
    connection: &AsyncPgConnection,
    vault: Option<&Vault>,
    appended: &[(u64, &Submission)],
    recorded_at: Timestamp,
) -> Result<(), StoreError> {
    if !appended.iter().any(|(_, submission)| touches(submission)) {
        return Ok(());
    }
    act(connection, Acting::Service).await?;
    let mut new_readers = Vec::new();
    for (index, submission) in appended {
        let statement = &submission.statement;
        if let Some(openings) = submission.openings.as_ref().filter(|openings| !openings.fields.is_empty()) {
            let vault = vault.ok_or_else(|| StoreError::Vault("there is no vault".to_owned()))?;
            let keys = usable_keys(connection, vault).await?;
            let retained_until = recorded_at.to_utc() + vault.config.retention;
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
            let of = OpeningsOf::Statement(statement.id);
            new_readers.extend(readers::signers(statement).into_iter().map(|party| NewReader { party, of }));
        }
        new_readers.extend(statement.claim.kind().new_readers(statement));
        if let Claim::Erased(claim) = &statement.claim {
            erase(connection, &claim.statement, &claim.fields, *index).await?;
        }
    }
    readers::admit(connection, vault, &new_readers).await
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
