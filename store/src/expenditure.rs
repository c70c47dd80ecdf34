//! Evidence: every entry that a report on one taxpayer rests on, in a number of queries that does not grow with it.
//!
//! What belongs to it is said in `chopmark_core::expenditure::evidence`, and in this order it is looked up. Entries below a
//! size never change, so neither does what is selected; only openings may be erased.

use std::collections::{BTreeMap, BTreeSet};

use chopmark_core::access::Who;
use chopmark_core::bundle::signing_parties;
use chopmark_core::expenditure::evidence::{ENTRIES_MAX, Item};
use chopmark_core::expenditure::{ExpenditureClaim, Replacement, Side};
use chopmark_core::kind::Claim;
use chopmark_core::sealed::Opening;
use chopmark_core::statement::{Envelope, Statement, StatementId};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Jsonb, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

use crate::Store;
use crate::error::{StoreError, bigint, count};
use crate::fixed::{Fixed, fixed};
use crate::party::with_brn;
use crate::project::statement_id;

/// Evidence, and whose openings are in it.
#[derive(Debug, Clone)]
pub struct Gathered {
    /// The entries, ascending.
    pub items: Vec<Item>,
    /// Statements of which an opening is among them, ascending.
    pub opened: Vec<StatementId>,
    /// Entries that others alone say of the taxpayer and that are not among them, because with them there would be too many.
    pub left_out: u64,
}

/// There is more than one report rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// How many entries, or more.
    pub found: usize,
}

/// An entry of the evidence, read.
struct Read {
    envelope: Envelope,
    statement: Statement,
}

/// Entries selected so far.
pub(crate) struct Selection {
    taxpayer: StatementId,
    size: u64,
    read: BTreeMap<u64, Read>,
    /// Most entries for now.
    limit: usize,
    left_out: u64,
}

/// Most entries with what others alone say of a taxpayer: anybody may name it as often as they like. Above it only what it
/// signs or endorses counts, so that nobody can keep it from having a report. The rest is room for rates of exchange.
const WITH_OTHERS_MAX: usize = ENTRIES_MAX / 4 * 3;

#[derive(QueryableByName)]
struct IndexRow {
    #[diesel(sql_type = BigInt)]
    idx: i64,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct OwnerRow {
    #[diesel(sql_type = Binary)]
    issuer: Vec<u8>,
}

#[derive(QueryableByName)]
struct EndorsementRow {
    #[diesel(sql_type = Binary)]
    statement: Vec<u8>,
    #[diesel(sql_type = Binary)]
    issuer: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    idx: i64,
}

#[derive(QueryableByName)]
struct PartyRow {
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
    #[diesel(sql_type = Nullable<Text>)]
    jurisdiction: Option<String>,
}

/// Most parties of one number that are looked at: anybody may register with any number.
const SAME_NUMBER_MAX: i64 = 1_000;

#[derive(QueryableByName)]
struct EntryRow {
    #[diesel(sql_type = BigInt)]
    idx: i64,
    #[diesel(sql_type = Binary)]
    body: Vec<u8>,
}

fn columns<'a>(ids: impl IntoIterator<Item = &'a StatementId>) -> Vec<Vec<u8>> {
    ids.into_iter().map(|id| id.as_bytes().to_vec()).collect()
}

async fn indices(connection: &AsyncPgConnection, query: Fixed<'_>) -> Result<BTreeSet<u64>, StoreError> {
    let rows: Vec<IndexRow> = query.load(&mut &*connection).await?;
    rows.into_iter().map(|row| count(row.idx, "view.evidence_party")).collect()
}

impl Selection {
    /// Selects everything whose place does not depend on what is sealed.
    pub(crate) async fn open(
        connection: &AsyncPgConnection,
        taxpayer: StatementId,
        size: u64,
    ) -> Result<Result<Self, TooMany>, StoreError> {
        let mut whole = Self { taxpayer, size, read: BTreeMap::new(), limit: WITH_OTHERS_MAX, left_out: 0 };
        let selected = whole.select(connection, true).await?;
        whole.limit = ENTRIES_MAX;
        if selected.is_ok() {
            return Ok(Ok(whole));
        }
        let mut own = Self { read: BTreeMap::new(), ..whole };
        let selected = match own.select(connection, false).await? {
            Ok(selected) => selected,
            Err(many) => return Ok(Err(many)),
        };
        let named: CountRow = fixed(
            "SELECT count(*) AS number FROM evidence_party
             WHERE party = $1 AND idx < $2 AND kind NOT IN ('correction', 'fx_rate')",
        )
        .bind::<Binary, _>(taxpayer.as_bytes().to_vec())
        .bind::<BigInt, _>(bigint(size))
        .get_result(&mut &*connection)
        .await?;
        own.left_out = count(named.number, "view.evidence_party")?.saturating_sub(selected);
        Ok(Ok(own))
    }

    /// Selects what the taxpayer signs or endorses, or also what others alone say of it, and all that belongs to it; how many
    /// entries that it says or is named in.
    async fn select(
        &mut self,
        connection: &AsyncPgConnection,
        with_others: bool,
    ) -> Result<Result<u64, TooMany>, StoreError> {
        let own = fixed(
            "WITH asked (party, size, with_others) AS (VALUES ($1::bytea, $2::bigint, $3::boolean))
             SELECT named.idx FROM asked JOIN evidence_party AS named ON named.party = asked.party AND named.idx < asked.size
             WHERE named.kind NOT IN ('correction', 'fx_rate') AND (asked.with_others OR named.signs OR EXISTS (
                 SELECT FROM evidence_version AS entered JOIN evidence_version AS version ON version.entry = entered.entry
                 WHERE entered.idx = named.idx AND version.idx < asked.size AND (
                     EXISTS (SELECT FROM evidence_party AS mine
                         WHERE mine.party = asked.party AND mine.idx = version.idx AND mine.signs)
                     OR EXISTS (SELECT FROM endorsement
                         WHERE endorsement.statement = version.id AND endorsement.issuer = asked.party
                             AND endorsement.idx < asked.size)
                 )
             ))
             LIMIT $4",
        )
        .bind::<Binary, _>(self.taxpayer.as_bytes().to_vec())
        .bind::<BigInt, _>(bigint(self.size))
        .bind::<Bool, _>(with_others)
        .bind::<BigInt, _>(i64::try_from(self.limit).unwrap_or(i64::MAX).saturating_add(1));
        let mut own = indices(connection, own).await?;
        let number = u64::try_from(own.len()).unwrap_or(u64::MAX);
        own.insert(0);
        if let Err(many) = self.add(connection, own).await? {
            return Ok(Err(many));
        }
        let versions = self.versions(connection, self.entered()).await?;
        if let Err(many) = self.add(connection, versions).await? {
            return Ok(Err(many));
        }
        let named: BTreeSet<StatementId> =
            self.payments().flat_map(|claim| [claim.asset, claim.counter_asset]).flatten().collect();
        let mut more = self.versions(connection, named).await?;
        more.extend(self.profiles(connection).await?);
        more.extend(self.endorsements(connection).await?);
        if let Err(many) = self.add(connection, more).await? {
            return Ok(Err(many));
        }
        Ok(self.add_chains(connection).await?.map(|()| number))
    }

    /// Adds everybody's keys.
    async fn add_chains(&mut self, connection: &AsyncPgConnection) -> Result<Result<(), TooMany>, StoreError> {
        let chains = fixed(
            "SELECT idx FROM (SELECT id AS party, idx FROM party UNION ALL SELECT party, idx FROM key_event) AS chain
             WHERE party = ANY ($1) AND idx < $2",
        )
        .bind::<Array<Binary>, _>(columns(&self.parties()))
        .bind::<BigInt, _>(bigint(self.size));
        let chains = indices(connection, chains).await?;
        self.add(connection, chains).await
    }

    /// Statements with sealed fields.
    pub(crate) fn sealed(&self) -> Vec<StatementId> {
        let sealed = self.read.values().filter(|read| !read.statement.claim.kind().sealed_fields().is_empty());
        sealed.map(|read| read.statement.id).collect()
    }

    /// Adds rates of exchange of the currencies that openings name, and the keys of whoever signs them.
    pub(crate) async fn close(
        mut self,
        connection: &AsyncPgConnection,
        mut openings: BTreeMap<StatementId, Vec<Opening>>,
    ) -> Result<Result<Gathered, TooMany>, StoreError> {
        let operator = self.read.get(&0).map(|founding| founding.statement.id);
        let currencies: BTreeSet<String> = openings.values().flatten().filter_map(currency).collect();
        if !currencies.is_empty() {
            let sources: BTreeSet<StatementId> = operator.into_iter().chain([self.taxpayer]).collect();
            let rates = fixed(
                "SELECT idx FROM evidence_party
                 WHERE party = ANY ($1) AND kind = 'fx_rate' AND currency = ANY ($2) AND idx < $3",
            )
            .bind::<Array<Binary>, _>(columns(&sources))
            .bind::<Array<Text>, _>(currencies.into_iter().collect::<Vec<_>>())
            .bind::<BigInt, _>(bigint(self.size));
            let rates = indices(connection, rates).await?;
            if let Err(many) = self.add(connection, rates).await? {
                return Ok(Err(many));
            }
        }
        if let Err(many) = self.add_chains(connection).await? {
            return Ok(Err(many));
        }
        let items = Vec::with_capacity(self.read.len());
        let mut gathered = Gathered { items, opened: Vec::new(), left_out: self.left_out };
        for (index, read) in self.read {
            let openings = openings.remove(&read.statement.id).unwrap_or_default();
            if !openings.is_empty() {
                gathered.opened.push(read.statement.id);
            }
            gathered.items.push(Item { index, envelope: read.envelope, openings });
        }
        gathered.opened.sort_unstable();
        Ok(Ok(gathered))
    }

    /// Reads entries that are not there yet.
    async fn add(
        &mut self,
        connection: &AsyncPgConnection,
        wanted: BTreeSet<u64>,
    ) -> Result<Result<(), TooMany>, StoreError> {
        let wanted: Vec<i64> = wanted.into_iter().filter(|index| !self.read.contains_key(index)).map(bigint).collect();
        let found = self.read.len() + wanted.len();
        if found > self.limit {
            return Ok(Err(TooMany { found }));
        }
        let number = wanted.len();
        let rows: Vec<EntryRow> = fixed("SELECT idx, body FROM log.entry WHERE idx = ANY ($1)")
            .bind::<Array<BigInt>, _>(wanted)
            .load(&mut &*connection)
            .await?;
        if rows.len() != number {
            return Err(StoreError::damaged("log.entry", "an entry that the read tables name is missing"));
        }
        for EntryRow { idx, body } in rows {
            let index = count(idx, "log.entry")?;
            let damaged = |reason: String| StoreError::damaged(format!("log.entry {index}"), reason);
            let envelope = Envelope::parse(&body).map_err(|error| damaged(error.to_string()))?;
            let statement = Statement::parse(envelope.payload()).map_err(|error| damaged(error.to_string()))?;
            self.read.insert(index, Read { envelope, statement });
        }
        Ok(Ok(()))
    }

    /// Assets, payments and uses, as they were entered.
    fn entered(&self) -> BTreeSet<StatementId> {
        let entered = self
            .read
            .values()
            .filter(|read| matches!(read.statement.claim, Claim::Asset(_) | Claim::Expenditure(_) | Claim::Use(_)));
        entered.map(|read| read.statement.id).collect()
    }

    /// What all versions of payments say.
    fn payments(&self) -> impl Iterator<Item = &ExpenditureClaim> {
        self.read.values().filter_map(|read| payment(&read.statement))
    }

    async fn versions(
        &self,
        connection: &AsyncPgConnection,
        of: BTreeSet<StatementId>,
    ) -> Result<BTreeSet<u64>, StoreError> {
        let query = fixed("SELECT idx FROM evidence_version WHERE entry = ANY ($1) AND idx < $2")
            .bind::<Array<Binary>, _>(columns(&of))
            .bind::<BigInt, _>(bigint(self.size));
        indices(connection, query).await
    }

    async fn profiles(&self, connection: &AsyncPgConnection) -> Result<BTreeSet<u64>, StoreError> {
        let payees: BTreeSet<StatementId> = self.payments().filter_map(|claim| claim.payee.party()).collect();
        let query =
            fixed("SELECT idx FROM evidence_party WHERE party = ANY ($1) AND kind = 'tax_profile' AND idx < $2")
                .bind::<Array<Binary>, _>(columns(&payees))
                .bind::<BigInt, _>(bigint(self.size));
        indices(connection, query).await
    }

    /// Endorsements of any version of a payment by one of its sides.
    async fn endorsements(&self, connection: &AsyncPgConnection) -> Result<BTreeSet<u64>, StoreError> {
        let sides: BTreeMap<StatementId, &ExpenditureClaim> =
            self.read.values().filter_map(|read| Some((read.statement.id, payment(&read.statement)?))).collect();
        let rows: Vec<EndorsementRow> =
            fixed("SELECT statement, issuer, idx FROM endorsement WHERE statement = ANY ($1) AND idx < $2")
                .bind::<Array<Binary>, _>(columns(sides.keys()))
                .bind::<BigInt, _>(bigint(self.size))
                .load(&mut &*connection)
                .await?;
        let place = "view.endorsement";
        let mut wanted = BTreeSet::new();
        for EndorsementRow { statement, issuer, idx } in rows {
            let (statement, issuer) = (statement_id(&statement, place)?, statement_id(&issuer, place)?);
            let claim = sides.get(&statement);
            if claim.is_some_and(|claim| claim.payer.is(issuer) || claim.payee.is(issuer)) {
                wanted.insert(count(idx, place)?);
            }
        }
        Ok(wanted)
    }

    /// Every party that signs or is named.
    fn parties(&self) -> BTreeSet<StatementId> {
        let mut parties = BTreeSet::from([self.taxpayer]);
        for Read { statement, .. } in self.read.values() {
            parties.extend(signing_parties(statement));
            parties.insert(statement.issuer());
            let sides = match &statement.claim {
                Claim::Relation(claim) => vec![&claim.other],
                _ => payment(statement).map_or_else(Vec::new, |claim| vec![&claim.payer, &claim.payee]),
            };
            parties.extend(sides.into_iter().filter_map(Side::party));
        }
        parties
    }
}

impl Store {
    /// Whose an asset is, and what its owner's report would rest on below a size, nothing of it opened; `None` where there is no
    /// such asset.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn evidence_on(
        &self,
        asset: &StatementId,
        size: u64,
    ) -> Result<Option<(StatementId, Result<Gathered, TooMany>)>, StoreError> {
        let connection = self.inner.pool.get().await?;
        let rows: Vec<OwnerRow> = fixed("SELECT issuer FROM evidence WHERE id = $1 AND kind = 'asset'")
            .bind::<Binary, _>(asset.as_bytes().to_vec())
            .load(&mut &*connection)
            .await?;
        let Some(OwnerRow { issuer }) = rows.into_iter().next() else { return Ok(None) };
        let owner = statement_id(&issuer, "view.evidence")?;
        let gathered = match Selection::open(&connection, owner, size).await? {
            Ok(selection) => selection.close(&connection, BTreeMap::new()).await?,
            Err(many) => Err(many),
        };
        Ok(Some((owner, gathered)))
    }

    /// Parties that say, when they registered or in a tax profile, that this Business Registration Number is theirs, and on
    /// which somebody may read reports.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn parties_by_brn(&self, brn: &str, who: &Who) -> Result<Vec<StatementId>, StoreError> {
        let rows: Vec<PartyRow> = fixed(
            "SELECT id, jurisdiction FROM party WHERE id IN (
                     SELECT id FROM party WHERE identifiers @> $1 UNION SELECT party FROM evidence_party WHERE brn = $2
                 ) ORDER BY idx LIMIT $3",
        )
        .bind::<Jsonb, _>(with_brn(brn))
        .bind::<Text, _>(brn.to_owned())
        .bind::<BigInt, _>(SAME_NUMBER_MAX)
        .load(&mut *self.inner.pool.get().await?)
        .await?;
        let mut found = Vec::new();
        for PartyRow { id, jurisdiction } in rows {
            let id = statement_id(&id, "view.party")?;
            let is_theirs = match who {
                Who::Party(own) => *own == id,
                Who::Officer(own) => jurisdiction.as_deref() == Some(own.as_str()),
                Who::Auditor | Who::Operator => false,
            };
            if is_theirs {
                found.push(id);
            }
        }
        Ok(found)
    }
}

/// What a version of a payment says.
fn payment(statement: &Statement) -> Option<&ExpenditureClaim> {
    match &statement.claim {
        Claim::Expenditure(claim) => Some(claim),
        Claim::Correction(claim) => match &claim.replacement {
            Some(Replacement::Expenditure(claim)) => Some(claim),
            _ => None,
        },
        _ => None,
    }
}

fn currency(opening: &Opening) -> Option<String> {
    let value = opening.value().filter(|_| opening.field.as_str() == "/currency")?;
    serde_json::from_slice(value).ok()
}
