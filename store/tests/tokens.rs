//! Tokens against a real PostgreSQL, by a clock that the test sets: good until they expire, and only with their vault's key.

#![cfg(test)]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use chopmark_core::access::{Scope, Who};
use chopmark_core::code::Jurisdiction;
use chopmark_core::time::Timestamp;
use chopmark_core::token::Token;
use chopmark_store::cluster::{Cluster, ClusterConfig, DATABASE};
use chopmark_store::{MasterKeys, Store, StoredToken, Vault, VaultConfig};

fn vault(number: u8) -> Vault {
    let keys = move || MasterKeys::parse(&MasterKeys::line([number; 10], &[number; 32]));
    let config = VaultConfig {
        keys: Box::new(keys),
        zones: Vec::new(),
        retention: Duration::ZERO,
        officers_shown_after: Duration::ZERO,
    };
    Vault::open(config).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_until_it_expires_where_its_master_key_is() {
    // PostgreSQL runs as another user where the test is root's.
    let mode = Permissions::from_mode(0o711);
    let directory = tempfile::Builder::new().prefix("chopmark-test-").permissions(mode).tempdir().unwrap();
    let mut config = ClusterConfig::new(directory.path().join("postgres"));
    config.bin_dir = std::env::var_os("CHOPMARK_PG_BIN").map(PathBuf::from);
    let cluster = Cluster::start(config).await.unwrap();
    let bare = Store::open(&cluster.connection_url(DATABASE), 4).await.unwrap();
    let store = bare.with_vault(vault(1)).unwrap();
    let made_at: Timestamp = "2026-06-01T12:00:00.000Z".parse().unwrap();
    let (token, who) = (Token::from_random([1; 10], &[2; 32]), Who::Officer(Jurisdiction::new("HK").unwrap()));
    let stored = StoredToken {
        id: token.id().clone(),
        hash: token.hash(),
        scopes: who.usual_scopes(),
        who: who.clone(),
        name: "desk".to_owned(),
        made_at,
        expires_at: made_at.plus_days(1),
        revoked_at: None,
        signing_key: None,
    };
    assert!(bare.insert_token(&stored).await.is_err(), "without a vault");
    store.insert_token(&stored).await.unwrap();
    let asked = async |store: &Store, at: &str| {
        let principal = store.principal(Some(token.expose()), Scope::Openings, at.parse().unwrap()).await.unwrap();
        principal.map(|principal| principal.who)
    };
    assert_eq!(asked(&store, "2026-06-02T11:59:59.999Z").await, Some(who));
    assert_eq!(asked(&store, "2026-06-02T12:00:00.000Z").await, None);
    let elsewhere = bare.with_vault(vault(2)).unwrap();
    for other in [&bare, &elsewhere] {
        assert_eq!(asked(other, "2026-06-01T13:00:00.000Z").await, None);
    }
    assert!(store.revoke_token(token.id(), "2026-06-01T14:00:00.000Z".parse().unwrap()).await.unwrap());
    assert_eq!(asked(&store, "2026-06-01T15:00:00.000Z").await, None);
    assert!(store.tokens().await.unwrap().iter().all(|(token, is_ours)| *is_ours && token.revoked_at.is_some()));
    cluster.stop().await.unwrap();
}
