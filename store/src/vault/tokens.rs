//! Tokens and challenges as they are stored.

use chopmark_core::access::{Principal, Scope, Who};
use chopmark_core::time::Timestamp;
use chopmark_core::token::{Token, TokenHash, TokenId};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text, Timestamptz};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _};

use super::{Acting, act};
use crate::Store;
use crate::error::StoreError;
use crate::fixed::fixed;

/// Most challenges that wait for an answer. They expire within minutes, and anybody may ask for one.
const CHALLENGES_MAX: i64 = 100_000;

/// Days after which a token of a party that has expired is forgotten.
const EXPIRED_KEPT_DAYS: u64 = 30;

/// A token, as far as it is kept.
#[derive(Debug, Clone)]
pub struct StoredToken {
    /// What it is found by.
    pub id: TokenId,
    /// SHA-256 of the whole token.
    pub hash: TokenHash,
    /// Whose it is.
    pub who: Who,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// What it was made for.
    pub name: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// Since when it is not, although it has not expired.
    pub revoked_at: Option<Timestamp>,
}

#[derive(QueryableByName)]
struct TokenRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Binary)]
    hash: Vec<u8>,
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Text)]
    bound_to: String,
    #[diesel(sql_type = Array<Text>)]
    scopes: Vec<String>,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Timestamptz)]
    made_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    expires_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    revoked_at: Option<DateTime<Utc>>,
}

impl TokenRow {
    fn token(self) -> Result<StoredToken, StoreError> {
        let damaged = |reason: String| StoreError::damaged(format!("vault.token {}", self.id), reason);
        let scope = |name: &String| match name.as_str() {
            "openings" => Ok(Scope::Openings),
            "accesses" => Ok(Scope::Accesses),
            "summaries" => Ok(Scope::Summaries),
            other => Err(damaged(format!("no scope is called {other}"))),
        };
        Ok(StoredToken {
            hash: TokenHash::from_slice(&self.hash).ok_or_else(|| damaged("hash".to_owned()))?,
            who: Who::parse(&self.role, &self.bound_to).map_err(damaged)?,
            scopes: self.scopes.iter().map(scope).collect::<Result<_, _>>()?,
            made_at: self.made_at.into(),
            expires_at: self.expires_at.into(),
            revoked_at: self.revoked_at.map(Timestamp::from),
            id: self.id.parse().map_err(damaged)?,
            name: self.name,
        })
    }
}

#[derive(QueryableByName)]
struct ExpiryRow {
    #[diesel(sql_type = Timestamptz)]
    expires_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

impl Store {
    /// Keeps a new token, and forgets those of parties that expired long ago.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn insert_token(&self, token: &StoredToken) -> Result<(), StoreError> {
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
        let forgotten = token.made_at.to_utc() - chrono::Days::new(EXPIRED_KEPT_DAYS);
        self.inner
            .pool
            .get()
            .await?
            .transaction(async |connection| {
                act(connection, Acting::Service).await?;
                fixed("DELETE FROM vault.token WHERE role = 'party' AND expires_at < $1")
                    .bind::<Timestamptz, _>(forgotten)
                    .execute(connection)
                    .await?;
                fixed(
                    "INSERT INTO vault.token (id, hash, role, bound_to, scopes, name, made_at, expires_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                )
                .bind::<Text, _>(token.id.as_str().to_owned())
                .bind::<Binary, _>(token.hash.as_bytes().to_vec())
                .bind::<Text, _>(token.who.role())
                .bind::<Text, _>(token.who.bound_to())
                .bind::<Array<Text>, _>(scopes)
                .bind::<Text, _>(token.name.clone())
                .bind::<Timestamptz, _>(token.made_at.to_utc())
                .bind::<Timestamptz, _>(token.expires_at.to_utc())
                .execute(connection)
                .await?;
                Ok(())
            })
            .await
    }

    /// A token by id, whether it is still good or not.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn token(&self, id: &TokenId) -> Result<Option<StoredToken>, StoreError> {
        let query = fixed(
            "SELECT id, hash, role, bound_to, scopes, name, made_at, expires_at, revoked_at FROM vault.token WHERE id = $1",
        );
        let query = query.bind::<Text, _>(id.as_str().to_owned());
        let found: Vec<TokenRow> = self.load_as(Acting::Service, query).await?;
        found.into_iter().next().map(TokenRow::token).transpose()
    }

    /// Whoever shows a good token for this scope. Whatever is wrong with it, the work done is the same: parse, hash, look up,
    /// compare in constant time.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn principal(
        &self,
        shown: Option<&str>,
        scope: Scope,
        now: Timestamp,
    ) -> Result<Option<Principal>, StoreError> {
        let token = shown.and_then(Token::parse);
        // Nobody's: ids are random.
        let nobody = || (TokenId::from_random([0; 10]), TokenHash::of(shown.unwrap_or_default()));
        let (id, hash) = token.as_ref().map_or_else(nobody, |token| (token.id().clone(), token.hash()));
        let stored = self.token(&id).await?;
        let expected = stored.as_ref().map_or(TokenHash::of(""), |stored| stored.hash);
        let is_same = hash.is(&expected);
        let good = stored.filter(|stored| {
            let is_good = is_same && token.is_some() && stored.expires_at > now && stored.revoked_at.is_none();
            is_good && stored.scopes.contains(&scope) && stored.who.scopes().contains(&scope)
        });
        Ok(good.map(|good| Principal { who: good.who, token: good.id, scopes: good.scopes }))
    }

    /// Tokens that are not of parties, the newest first: those that somebody made by hand.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn tokens(&self) -> Result<Vec<StoredToken>, StoreError> {
        let query = fixed(
            "SELECT id, hash, role, bound_to, scopes, name, made_at, expires_at, revoked_at FROM vault.token
             WHERE role <> 'party' ORDER BY made_at DESC, id",
        );
        let found: Vec<TokenRow> = self.load_as(Acting::Service, query).await?;
        found.into_iter().map(TokenRow::token).collect()
    }

    /// Takes a token back; false when there is none with this id.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn revoke_token(&self, id: &TokenId, now: Timestamp) -> Result<bool, StoreError> {
        let query = fixed("UPDATE vault.token SET revoked_at = coalesce(revoked_at, $1) WHERE id = $2")
            .bind::<Timestamptz, _>(now.to_utc())
            .bind::<Text, _>(id.as_str().to_owned());
        Ok(self.execute_as(Acting::Service, query).await? == 1)
    }

    /// Keeps a challenge until it expires, and forgets those that have; false when too many wait for an answer.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn insert_challenge(&self, id: &str, now: Timestamp, expires_at: Timestamp) -> Result<bool, StoreError> {
        self.inner
            .pool
            .get()
            .await?
            .transaction(async |connection| {
                act(connection, Acting::Service).await?;
                fixed("DELETE FROM vault.challenge WHERE expires_at < $1")
                    .bind::<Timestamptz, _>(now.to_utc())
                    .execute(connection)
                    .await?;
                let Number { number } =
                    fixed("SELECT count(*) AS number FROM vault.challenge").get_result(connection).await?;
                if number >= CHALLENGES_MAX {
                    return Ok(false);
                }
                fixed("INSERT INTO vault.challenge (id, expires_at) VALUES ($1, $2)")
                    .bind::<Text, _>(id.to_owned())
                    .bind::<Timestamptz, _>(expires_at.to_utc())
                    .execute(connection)
                    .await?;
                Ok::<_, StoreError>(true)
            })
            .await
    }

    /// Uses a challenge up: when it expires, or `None` when there is none of this id, or no longer.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn take_challenge(&self, id: &str, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let query = fixed("DELETE FROM vault.challenge WHERE id = $1 RETURNING expires_at");
        let taken: Vec<ExpiryRow> = self.load_as(Acting::Service, query.bind::<Text, _>(id.to_owned())).await?;
        let expires_at = taken.into_iter().next().map(|row| Timestamp::from(row.expires_at));
        Ok(expires_at.filter(|expires_at| *expires_at >= now))
    }
}
