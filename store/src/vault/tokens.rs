//! Tokens as they are stored, each with a MAC over all that its row says: who makes a row makes no token.

use chopmark_core::access::{Principal, Scope, Who};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::key::KeyId;
use chopmark_core::time::Timestamp;
use chopmark_core::token::{Token, TokenHash, TokenId};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, Text, Timestamptz};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};

use super::mac::{self, Mac, MacRow, Renewed};
use super::openings::usable_keys;
use super::{Acting, MasterKeys, act};
use crate::Store;
use crate::error::StoreError;
use crate::fixed::fixed;

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
    /// Of a party's: the key that has logged in. It is good as long as that is.
    pub signing_key: Option<KeyId>,
}

impl StoredToken {
    /// What its MAC is over.
    fn written(&self) -> Vec<u8> {
        let time = |time: Timestamp| time.unix_ms().to_be_bytes();
        let scopes = self.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ");
        let parts: [&[u8]; 10] = [
            self.id.as_str().as_bytes(),
            self.hash.as_bytes(),
            self.who.role().as_bytes(),
            &self.who.bound_to().into_bytes(),
            scopes.as_bytes(),
            self.name.as_bytes(),
            &time(self.made_at),
            &time(self.expires_at),
            &self.revoked_at.map(time).map_or_else(Vec::new, Vec::from),
            &self.signing_key.map_or_else(Vec::new, |key| key.digest().as_bytes().to_vec()),
        ];
        mac::written("token", &parts)
    }
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
    #[diesel(sql_type = Nullable<Binary>)]
    signing_key: Option<Vec<u8>>,
    #[diesel(embed)]
    mac: MacRow,
}

/// A token's row, and whether the key that has logged in is one of the party's still.
#[derive(QueryableByName)]
struct ShownRow {
    #[diesel(embed)]
    token: TokenRow,
    #[diesel(sql_type = Bool)]
    is_key_valid: bool,
}

impl TokenRow {
    /// What it says, and its MAC.
    fn token(self) -> Result<(StoredToken, MacRow), StoreError> {
        let damaged = |reason: String| StoreError::damaged(format!("vault.token {}", self.id), reason);
        let scope = |name: &String| match name.as_str() {
            "openings" => Ok(Scope::Openings),
            "accesses" => Ok(Scope::Accesses),
            "summaries" => Ok(Scope::Summaries),
            other => Err(damaged(format!("no scope is called {other}"))),
        };
        let signing_key = self.signing_key.as_deref().map(|key| {
            let digest = Sha256Digest::from_slice(key);
            digest.map(KeyId::from_digest).ok_or_else(|| damaged("signing_key".to_owned()))
        });
        let token = StoredToken {
            hash: TokenHash::from_slice(&self.hash).ok_or_else(|| damaged("hash".to_owned()))?,
            who: Who::parse(&self.role, &self.bound_to).map_err(damaged)?,
            scopes: self.scopes.iter().map(scope).collect::<Result<_, _>>()?,
            made_at: self.made_at.into(),
            expires_at: self.expires_at.into(),
            revoked_at: self.revoked_at.map(Timestamp::from),
            signing_key: signing_key.transpose()?,
            id: self.id.parse().map_err(damaged)?,
            name: self.name,
        };
        Ok((token, self.mac))
    }
}

impl Store {
    /// Keeps a new token, and forgets those of parties that expired long ago.
    ///
    /// # Errors
    /// When there is no vault, or the database can't be written.
    pub async fn insert_token(&self, token: &StoredToken) -> Result<(), StoreError> {
        let vault = self.vault().ok_or_else(no_vault)?;
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
                let mac = mac::of(&usable_keys(connection, vault).await?, &token.written())?;
                fixed(
                    "INSERT INTO vault.token
                         (id, hash, role, bound_to, scopes, name, made_at, expires_at, signing_key, mac_key, mac)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                )
                .bind::<Text, _>(token.id.as_str().to_owned())
                .bind::<Binary, _>(token.hash.as_bytes().to_vec())
                .bind::<Text, _>(token.who.role())
                .bind::<Text, _>(token.who.bound_to())
                .bind::<Array<Text>, _>(scopes)
                .bind::<Text, _>(token.name.clone())
                .bind::<Timestamptz, _>(token.made_at.to_utc())
                .bind::<Timestamptz, _>(token.expires_at.to_utc())
                .bind::<Nullable<Binary>, _>(token.signing_key.map(|key| key.digest().as_bytes().to_vec()))
                .bind::<Text, _>(mac.key_id)
                .bind::<Binary, _>(mac.bytes.to_vec())
                .execute(connection)
                .await?;
                Ok(())
            })
            .await
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
        let query = fixed(
            "SELECT id, hash, role, bound_to, scopes, name, made_at, expires_at, revoked_at, signing_key, mac_key, mac,
                 EXISTS (SELECT FROM key WHERE key.id = signing_key AND encode(key.party, 'hex') = bound_to
                     AND valid_until IS NULL) AS is_key_valid
             FROM vault.token WHERE id = $1",
        );
        let found: Vec<ShownRow> = self.load_as(Acting::Service, query.bind::<Text, _>(id.as_str().to_owned())).await?;
        let expected = found.as_slice().first().and_then(|shown| TokenHash::from_slice(&shown.token.hash));
        let is_same = hash.is(&expected.unwrap_or(TokenHash::of(""))) && token.is_some();
        let (Some(ShownRow { token: row, is_key_valid }), Some(vault)) = (found.into_iter().next(), self.vault())
        else {
            return Ok(None);
        };
        // Whatever is wrong with the row, it is nobody's.
        let stored = match row.token() {
            Ok((stored, mac)) if mac.is_of(vault, &stored.written())? => stored,
            _ => {
                tracing::warn!(token = %id, "a token has no MAC of this registry and is not believed");
                return Ok(None);
            }
        };
        let is_bound = matches!(stored.who, Who::Party(_)) == stored.signing_key.is_some();
        let is_good = is_same
            && stored.expires_at > now
            && stored.revoked_at.is_none()
            && is_bound
            && (is_key_valid || stored.signing_key.is_none())
            && stored.scopes.contains(&scope)
            && stored.who.scopes().contains(&scope);
        Ok(is_good.then_some(Principal { who: stored.who, token: stored.id, scopes: stored.scopes }))
    }

    /// Tokens that are not of parties, the newest first: those that somebody made by hand. Whether each is one of this
    /// registry's, or a row that somebody else has put there.
    ///
    /// # Errors
    /// When there is no vault, or the database can't be read.
    pub async fn tokens(&self) -> Result<Vec<(StoredToken, bool)>, StoreError> {
        let vault = self.vault().ok_or_else(no_vault)?;
        let query = fixed(
            "SELECT id, hash, role, bound_to, scopes, name, made_at, expires_at, revoked_at, signing_key, mac_key, mac
             FROM vault.token WHERE role <> 'party' ORDER BY made_at DESC, id",
        );
        let found: Vec<TokenRow> = self.load_as(Acting::Service, query).await?;
        let listed = |row: TokenRow| {
            let (token, mac) = row.token()?;
            let is_ours = mac.is_of(vault, &token.written())?;
            Ok((token, is_ours))
        };
        found.into_iter().map(listed).collect()
    }

    /// Takes a token back; false when there is none with this id.
    ///
    /// # Errors
    /// When there is no vault, or the database can't be written.
    pub async fn revoke_token(&self, id: &TokenId, now: Timestamp) -> Result<bool, StoreError> {
        let vault = self.vault().ok_or_else(no_vault)?;
        let mut connection = self.inner.pool.get().await?;
        let revoked = connection.transaction(async |connection| {
            act(connection, Acting::Service).await?;
            let query = fixed(
                "SELECT id, hash, role, bound_to, scopes, name, made_at, expires_at, revoked_at, signing_key, mac_key, mac
                 FROM vault.token WHERE id = $1 FOR UPDATE",
            );
            let found: Vec<TokenRow> = query.bind::<Text, _>(id.as_str().to_owned()).load(connection).await?;
            let Some(row) = found.into_iter().next() else { return Ok(false) };
            let (mut token, mac) = row.token()?;
            let is_ours = mac.is_of(vault, &token.written())?;
            token.revoked_at = token.revoked_at.or(Some(now));
            // What was not this registry's stays so.
            let keys = usable_keys(connection, vault).await?;
            let mac = if is_ours { Some(mac::of(&keys, &token.written())?) } else { None };
            update(connection, id.as_str(), token.revoked_at, mac).await?;
            Ok::<_, StoreError>(true)
        });
        revoked.await
    }
}

fn no_vault() -> StoreError {
    StoreError::Vault("there is no vault".to_owned())
}

async fn update(
    connection: &AsyncPgConnection,
    id: &str,
    revoked_at: Option<Timestamp>,
    mac: Option<Mac>,
) -> Result<(), StoreError> {
    let (key_id, bytes) = mac.map(|mac| (mac.key_id, mac.bytes.to_vec())).unzip();
    fixed("UPDATE vault.token SET revoked_at = coalesce(revoked_at, $1), mac_key = $2, mac = $3 WHERE id = $4")
        .bind::<Nullable<Timestamptz>, _>(revoked_at.map(Timestamp::to_utc))
        .bind::<Nullable<Text>, _>(key_id)
        .bind::<Nullable<Binary>, _>(bytes)
        .bind::<Text, _>(id.to_owned())
        .execute(&mut &*connection)
        .await?;
    Ok(())
}

/// Puts the MACs of some tokens under the master key in use: how many. What has no right MAC under the one before gets none.
pub(super) async fn renew_macs(
    connection: &AsyncPgConnection,
    keys: &MasterKeys,
    limit: i64,
) -> Result<Renewed, StoreError> {
    let rows: Vec<TokenRow> = fixed(
        "SELECT id, hash, role, bound_to, scopes, name, made_at, expires_at, revoked_at, signing_key, mac_key, mac
         FROM vault.token WHERE mac_key <> $1 LIMIT $2 FOR UPDATE",
    )
    .bind::<Text, _>(keys.current_id().to_owned())
    .bind::<BigInt, _>(limit)
    .load(&mut &*connection)
    .await?;
    let mut renewed = Renewed::default();
    for row in rows {
        let id = row.id.clone();
        let mac = match row.token() {
            Ok((token, mac)) => mac.renewed(keys, &token.written())?,
            Err(_) => None,
        };
        renewed.count(mac.is_some());
        update(connection, &id, None, mac).await?;
    }
    Ok(renewed)
}
