//! The schema that audits compare with is the one that the migrations make.
//!
//! `scripts/catalogue.sh write` runs this with `CHOPMARK_CATALOGUE=write`, which writes the file instead.

#![cfg(test)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chopmark_store::Store;
use chopmark_store::cluster::{Cluster, ClusterConfig, DATABASE};

#[tokio::test(flavor = "multi_thread")]
async fn the_committed_catalogue_is_what_the_migrations_make() {
    let directory =
        tempfile::Builder::new().prefix("chopmark-test-").permissions(Permissions::from_mode(0o711)).tempdir().unwrap();
    let mut config = ClusterConfig::new(directory.path().join("postgres"));
    config.bin_dir = std::env::var_os("CHOPMARK_PG_BIN").map(PathBuf::from);
    let cluster = Cluster::start(config).await.unwrap();
    let store = Store::open(&cluster.connection_url(DATABASE), 1).await.unwrap();
    let found = store.catalogue().await.unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/audit/catalogue.txt");
    if std::env::var_os("CHOPMARK_CATALOGUE").is_some_and(|wanted| wanted == "write") {
        fs::write(&path, &found).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap();
    cluster.stop().await.unwrap();
    assert!(found.lines().count() > 100, "{found}");
    for (found, committed) in found.lines().zip(committed.lines()) {
        assert_eq!(found, committed, "the schema has changed; run: scripts/catalogue.sh write");
    }
    assert_eq!(found.lines().count(), committed.lines().count(), "run: scripts/catalogue.sh write");
}
