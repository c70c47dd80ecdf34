//! News between replicas over a real PostgreSQL: others hear, oneself does not, and the end of a line is noticed.

#![cfg(test)]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use chopmark_store::cluster::{Cluster, ClusterConfig, DATABASE};
use chopmark_store::{News, NewsLine, Store};

/// Longest wait for what must come.
const LIMIT: Duration = Duration::from_secs(30);

async fn heard(line: &mut NewsLine) -> Option<News> {
    tokio::time::timeout(LIMIT, line.hear()).await.expect("nothing was heard")
}

#[tokio::test(flavor = "multi_thread")]
async fn others_hear_and_the_end_of_a_line_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o711)).unwrap();
    let cluster = Cluster::start(ClusterConfig::new(directory.path().join("postgres"))).await.unwrap();
    let store = Store::open(&cluster.connection_url(DATABASE), 2).await.unwrap();
    let (mut one, mut other) = (store.news_line().await.unwrap(), store.news_line().await.unwrap());
    let (first, second) = (News { committed: 7, published: 5 }, News { committed: u64::MAX, published: 0 });
    one.tell(first).await.unwrap();
    assert_eq!(heard(&mut other).await, Some(first));
    other.tell(second).await.unwrap();
    // Its own news came first, and is not what is heard.
    assert_eq!(heard(&mut one).await, Some(second));
    cluster.stop().await.unwrap();
    assert_eq!(heard(&mut one).await, None);
    assert!(other.tell(first).await.is_err());
}
