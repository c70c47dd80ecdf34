//! Parties that may read openings: worked out from the entries of the log, and kept in rows with a MAC, so that a row that
//! somebody else has put there lets nobody read.

use std::collections::BTreeMap;

use chopmark_core::access::Reader;
use chopmark_core::code::Jurisdiction;
use chopmark_core::kind::{Claim, NewReader, OpeningsOf};
use chopmark_core::statement::{Envelope, Issuer, Statement, StatementId};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, Text};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};

use super::access_tiles::Number;
use super::mac::{self, MacRow, Renewed};
use super::openings::usable_keys;
use super::{Acting, MasterKeys, Vault, act};
use crate::Store;
use crate::error::{StoreError, count};
use crate::fixed::fixed;
use crate::project::statement_id;

const PLACE: &str = "vault.reader";

/// Statements whose readers are worked out anew in one transaction.
const STATEMENTS_AT_A_TIME: i64 = 500;

/// A party that may read the openings of a statement, and where it is established.
#[derive(QueryableByName)]
struct Entitled {
    #[diesel(sql_type = Binary)]
    statement: Vec<u8>,
    #[diesel(sql_type = Binary)]
    party: Vec<u8>,
    #[diesel(sql_type = Nullable<Text>)]
    jurisdiction: Option<String>,
}

/// The same as it is kept, with its MAC.
#[derive(QueryableByName)]
pub(super) struct ReaderRow {
    #[diesel(embed)]
    entitled: Entitled,
    #[diesel(embed)]
    mac: MacRow,
}

#[derive(QueryableByName)]
struct BodyRow {
    #[diesel(sql_type = Binary)]
    body: Vec<u8>,
}

#[derive(QueryableByName)]
struct UnsureRow {
    #[diesel(sql_type = Binary)]
    statement: Vec<u8>,
    #[diesel(sql_type = Bool)]
    has_openings: bool,
}

impl Entitled {
    /// What its MAC is over.
    fn written(&self) -> Vec<u8> {
        let jurisdiction = self.jurisdiction.as_deref().unwrap_or_default();
        mac::written("reader", &[&self.statement, &self.party, jurisdiction.as_bytes()])
    }
}

impl ReaderRow {
    /// The reader, where the row is this registry's.
    pub(super) fn reader(&self, vault: &Vault) -> Result<Option<Reader>, StoreError> {
        let Self { entitled, mac } = self;
        if !mac.is_of(vault, &entitled.written())? {
            let statement = data_encoding::HEXLOWER.encode(&entitled.statement);
            tracing::warn!(statement = %statement, "a reader has no MAC of this registry and is not believed");
            return Ok(None);
        }
        let jurisdiction = entitled.jurisdiction.as_deref().map(Jurisdiction::new).transpose();
        let jurisdiction = jurisdiction.map_err(|reason| StoreError::damaged(PLACE, reason))?;
        Ok(Some(Reader { party: statement_id(&entitled.party, PLACE)?, jurisdiction }))
    }

    /// Whose openings.
    pub(super) fn statement(&self) -> Result<StatementId, StoreError> {
        statement_id(&self.entitled.statement, PLACE)
    }
}

/// The parties whose right it is that this transaction may use; row security leaves out all others.
pub(super) async fn of(
    connection: &AsyncPgConnection,
    vault: &Vault,
    statement: &StatementId,
) -> Result<Vec<Reader>, StoreError> {
    let rows: Vec<ReaderRow> =
        fixed("SELECT statement, party, jurisdiction, mac_key, mac FROM vault.reader WHERE statement = $1")
            .bind::<Binary, _>(statement.as_bytes().to_vec())
            .load(&mut &*connection)
            .await?;
    rows.iter().filter_map(|row| row.reader(vault).transpose()).collect()
}

/// Rows by which a party may read the openings of these statements.
pub(super) async fn of_party(
    connection: &AsyncPgConnection,
    statements: Vec<Vec<u8>>,
    party: &StatementId,
) -> Result<Vec<ReaderRow>, StoreError> {
    let query = fixed(
        "SELECT statement, party, jurisdiction, mac_key, mac FROM vault.reader WHERE statement = ANY ($1) AND party = $2",
    );
    let query = query.bind::<Array<Binary>, _>(statements).bind::<Binary, _>(party.as_bytes().to_vec());
    Ok(query.load(&mut &*connection).await?)
}

/// The parties that sign a statement.
pub(super) fn signers(statement: &Statement) -> Vec<StatementId> {
    let groups = statement.header.signers.iter().filter_map(|group| match group.party {
        Issuer::Party(party) => Some(party),
        Issuer::Own => None,
    });
    let mut parties: Vec<StatementId> = groups.chain([statement.issuer()]).collect();
    parties.sort_unstable();
    parties.dedup();
    parties
}

/// Lets parties read openings from now on: of statements first, because terms that have no reader have no opening.
pub(super) async fn admit(
    connection: &AsyncPgConnection,
    vault: Option<&Vault>,
    readers: &[NewReader],
) -> Result<(), StoreError> {
    let (mut statements, mut parties) = (Vec::new(), Vec::new());
    for NewReader { party, of } in readers {
        if let OpeningsOf::Statement(statement) = of {
            statements.push(statement.as_bytes().to_vec());
            parties.push(party.as_bytes().to_vec());
        }
    }
    if !statements.is_empty() {
        let rows: Vec<Entitled> = fixed(
            "SELECT new.statement, new.party, party.jurisdiction FROM unnest($1, $2) AS new (statement, party)
             LEFT JOIN party ON party.id = new.party",
        )
        .bind::<Array<Binary>, _>(statements)
        .bind::<Array<Binary>, _>(parties)
        .load(&mut &*connection)
        .await?;
        insert(connection, vault, rows).await?;
    }
    let mut rows = Vec::new();
    for NewReader { party, of } in readers {
        if let OpeningsOf::Terms { id, publisher } = of {
            let found: Vec<Entitled> = fixed(
                "SELECT terms.statement, party.id AS party, party.jurisdiction FROM terms JOIN party ON party.id = $1
                 WHERE terms.id = $2 AND terms.issuer = $3
                 AND EXISTS (SELECT FROM vault.reader AS known WHERE known.statement = terms.statement)",
            )
            .bind::<Binary, _>(party.as_bytes().to_vec())
            .bind::<Binary, _>(id.as_bytes().to_vec())
            .bind::<Binary, _>(publisher.as_bytes().to_vec())
            .load(&mut &*connection)
            .await?;
            for row in found {
                // The statement itself says whose terms it publishes; the table could be made to say something else.
                let published = statement(connection, &row.statement).await?;
                let is_publication = published.issuer() == *publisher
                    && matches!(&published.claim, Claim::Terms(terms) if terms.0.id().is_ok_and(|own| own == *id));
                if !is_publication {
                    return Err(StoreError::damaged("view.terms", format!("{} does not publish {id}", published.id)));
                }
                rows.push(row);
            }
        }
    }
    insert(connection, vault, rows).await
}

/// A statement by its id, which is the hash of what it says.
async fn statement(connection: &AsyncPgConnection, id: &[u8]) -> Result<Statement, StoreError> {
    let row: BodyRow = fixed("SELECT body FROM log.entry WHERE statement_id = $1")
        .bind::<Binary, _>(id.to_vec())
        .get_result(&mut &*connection)
        .await?;
    let statement = parse(&row.body)?;
    if statement.id.as_bytes().as_slice() == id {
        Ok(statement)
    } else {
        Err(StoreError::damaged("log.entry", format!("the entry of another statement holds {}", statement.id)))
    }
}

fn parse(body: &[u8]) -> Result<Statement, StoreError> {
    let envelope = Envelope::parse(body).map_err(|error| StoreError::damaged("log.entry", error))?;
    Statement::parse(envelope.payload()).map_err(|error| StoreError::damaged("log.entry", error))
}

/// Keeps rows with their MACs; without a vault, for the next process that has one.
async fn insert(connection: &AsyncPgConnection, vault: Option<&Vault>, rows: Vec<Entitled>) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let keys = match vault {
        Some(vault) => Some(usable_keys(connection, vault).await?),
        None => None,
    };
    let rows: BTreeMap<_, _> = rows.into_iter().map(|row| ((row.statement, row.party), row.jurisdiction)).collect();
    let (mut statements, mut parties, mut jurisdictions) = (Vec::new(), Vec::new(), Vec::new());
    let (mut key_ids, mut macs) = (Vec::new(), Vec::new());
    for ((statement, party), jurisdiction) in rows {
        let entitled = Entitled { statement, party, jurisdiction };
        let mac = keys.as_ref().map(|keys| mac::of(keys, &entitled.written())).transpose()?;
        let (key_id, bytes) = mac.map(|mac| (mac.key_id, mac.bytes.to_vec())).unzip();
        statements.push(entitled.statement);
        parties.push(entitled.party);
        jurisdictions.push(entitled.jurisdiction);
        key_ids.push(key_id);
        macs.push(bytes);
    }
    fixed(
        "INSERT INTO vault.reader AS known (statement, party, jurisdiction, mac_key, mac)
         SELECT * FROM unnest($1, $2, $3, $4, $5) ON CONFLICT (statement, party) DO UPDATE
             SET jurisdiction = excluded.jurisdiction, mac_key = excluded.mac_key, mac = excluded.mac
             WHERE excluded.mac IS NOT NULL AND known.mac IS DISTINCT FROM excluded.mac",
    )
    .bind::<Array<Binary>, _>(statements)
    .bind::<Array<Binary>, _>(parties)
    .bind::<Array<Nullable<Text>>, _>(jurisdictions)
    .bind::<Array<Nullable<Text>>, _>(key_ids)
    .bind::<Array<Nullable<Binary>>, _>(macs)
    .execute(&mut &*connection)
    .await?;
    Ok(())
}

impl Store {
    /// Gives rows of readers that have no MAC theirs, as far as the log says the same: those that were written before rows had
    /// any, or by a process without a master key; and those under a retired key, from a database that was restored from before.
    /// How many rows are left that the log says nothing of.
    ///
    /// # Errors
    /// When the database can't be read or written.
    pub async fn authenticate_readers(&self) -> Result<u64, StoreError> {
        let Some(vault) = self.vault() else { return Ok(0) };
        let retired: Vec<String> = vault.keys().retired_ids().map(str::to_owned).collect();
        let mut connection = self.inner.pool.get().await?;
        let mut after = Vec::new();
        loop {
            let beyond = after.clone();
            let last = connection
                .transaction(async |connection| {
                    act(connection, Acting::Service).await?;
                    authenticate_some(connection, vault, &retired, beyond).await
                })
                .await?;
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        let left = fixed("SELECT count(*) AS number FROM vault.reader WHERE mac IS NULL OR mac_key = ANY ($1)");
        let left: Vec<Number> = self.load_as(Acting::Service, left.bind::<Array<Text>, _>(retired)).await?;
        left.into_iter().next().map_or(Ok(0), |left| count(left.number, PLACE))
    }
}

/// Does so for some statements after one; the last of them, or `None` when there was none.
async fn authenticate_some(
    connection: &AsyncPgConnection,
    vault: &Vault,
    retired: &[String],
    after: Vec<u8>,
) -> Result<Option<Vec<u8>>, StoreError> {
    let unsure: Vec<UnsureRow> = fixed(
        "SELECT statement, EXISTS (SELECT FROM vault.opening WHERE opening.statement = unsure.statement) AS has_openings
         FROM (SELECT DISTINCT statement FROM vault.reader
             WHERE (mac IS NULL OR mac_key = ANY ($1)) AND statement > $2) AS unsure
         ORDER BY statement LIMIT $3",
    )
    .bind::<Array<Text>, _>(retired.to_vec())
    .bind::<Binary, _>(after)
    .bind::<BigInt, _>(STATEMENTS_AT_A_TIME)
    .load(&mut &*connection)
    .await?;
    let mut readers = Vec::new();
    for row in &unsure {
        let Ok(statement) = statement(connection, &row.statement).await else { continue };
        readers.extend(by_the_log(connection, &statement, row.has_openings).await?);
    }
    admit(connection, Some(vault), &readers).await?;
    Ok(unsure.into_iter().next_back().map(|row| row.statement))
}

/// All that the log, as it is now, lets read the openings of a statement in it.
pub(super) async fn by_the_log(
    connection: &AsyncPgConnection,
    statement: &Statement,
    has_openings: bool,
) -> Result<Vec<NewReader>, StoreError> {
    let mut readers = Vec::new();
    if has_openings {
        let of = OpeningsOf::Statement(statement.id);
        readers.extend(signers(statement).into_iter().map(|party| NewReader { party, of }));
    }
    readers.extend(statement.claim.kind().new_readers(statement));
    if let Claim::Terms(terms) = &statement.claim
        && let Ok(id) = terms.0.id()
    {
        let under: Vec<BodyRow> = fixed(
            "WITH deal AS (SELECT $1 AS licensor, $2 AS terms)
             SELECT body FROM log.entry WHERE idx IN (
                 SELECT idx FROM offer JOIN deal USING (licensor) WHERE claim ->> 'terms' = deal.terms
                 UNION ALL SELECT idx FROM licence JOIN deal USING (licensor) WHERE claim ->> 'terms' = deal.terms)",
        )
        .bind::<Binary, _>(statement.issuer().as_bytes().to_vec())
        .bind::<Text, _>(id.to_string())
        .load(&mut &*connection)
        .await?;
        for BodyRow { body } in under {
            let deal = parse(&body)?;
            readers.extend(deal.claim.kind().new_readers(&deal));
        }
    }
    Ok(readers)
}

/// Puts the MACs of some rows under the master key in use: how many. What has no right MAC under the one before gets none.
pub(super) async fn renew_macs(
    connection: &AsyncPgConnection,
    keys: &MasterKeys,
    limit: i64,
) -> Result<Renewed, StoreError> {
    let rows: Vec<ReaderRow> = fixed(
        "SELECT statement, party, jurisdiction, mac_key, mac FROM vault.reader WHERE mac_key <> $1 LIMIT $2 FOR UPDATE",
    )
    .bind::<Text, _>(keys.current_id().to_owned())
    .bind::<BigInt, _>(limit)
    .load(&mut &*connection)
    .await?;
    let mut renewed = Renewed::default();
    for ReaderRow { entitled, mac } in rows {
        let mac = mac.renewed(keys, &entitled.written())?;
        renewed.count(mac.is_some());
        let (key_id, bytes) = mac.map(|mac| (mac.key_id, mac.bytes.to_vec())).unzip();
        fixed("UPDATE vault.reader SET mac_key = $1, mac = $2 WHERE statement = $3 AND party = $4")
            .bind::<Nullable<Text>, _>(key_id)
            .bind::<Nullable<Binary>, _>(bytes)
            .bind::<Binary, _>(entitled.statement)
            .bind::<Binary, _>(entitled.party)
            .execute(&mut &*connection)
            .await?;
    }
    Ok(renewed)
}
