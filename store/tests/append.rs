//! Appending against a real PostgreSQL: founding, dense indices under failure, clocks that go back, two replicas.
//!
//! The incidents these guard against: a write that failed whose recovery failed too, entries lost or doubled by a retry,
//! and a clock that stepped backwards.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chopmark_core::artefact::{ArtefactClaim, ArtefactKind, IpType, ManifestRef};
use chopmark_core::code::{Jurisdiction, ResidencyZone};
use chopmark_core::digest::{Blake3Digest, Sha256Digest};
use chopmark_core::key::PublicKey;
use chopmark_core::kind::Claim;
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::note::NoteSigner;
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_core::licence::DeclaredLicence;
use chopmark_core::manifest::{ExclusionProfile, FileEntry, Manifest};
use chopmark_core::party::{KeySet, PartyClaim};
use chopmark_core::policy::Founding;
use chopmark_core::statement::{Envelope, Header, Issuer, Nonce, RegistryRef, SignerGroup, Statement, StatementId};
use chopmark_core::submission::Submission;
use chopmark_core::text::Names;
use chopmark_core::time::Timestamp;
use chopmark_store::audit::{Options, Verdict, audit};
use chopmark_store::cluster::{Cluster, ClusterConfig, DATABASE};
use chopmark_store::{Appender, ArtefactFilter, BATCH_MAX, Outcome, Page, Registry, Store, StoreError};
use ed25519_dalek::SigningKey;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// A founded registry in a private PostgreSQL of its own.
struct Ledger {
    directory: TempDir,
    cluster: Cluster,
    store: Store,
    registry: Registry,
    key: SigningKey,
    log: NoteSigner,
    party: StatementId,
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn noon() -> Timestamp {
    moment("2026-06-01T12:00:00.000Z")
}

async fn cluster(directory: &Path) -> Cluster {
    let mut config = ClusterConfig::new(directory.join("postgres"));
    config.bin_dir = std::env::var_os("CHOPMARK_PG_BIN").map(PathBuf::from);
    Cluster::start(config).await.unwrap()
}

impl Ledger {
    async fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("chopmark-test-")
            .permissions(Permissions::from_mode(0o711))
            .tempdir()
            .unwrap();
        let cluster = cluster(directory.path()).await;
        let store = Store::open(&cluster.connection_url(DATABASE), 4).await.unwrap();
        assert!(matches!(store.registry().await, Err(StoreError::NotFounded)));
        let log = NoteSigner::new("test.local/log", SigningKey::from_bytes(&[1; 32])).unwrap();
        let founding = Founding {
            log_key: log.verifier_key(),
            operator: &SigningKey::from_bytes(&[2; 32]),
            operator_name: Names { en: Some("Operator".to_owned()), ..Names::default() },
            now: noon(),
            nonces: [[1; 16], [2; 16]],
        }
        .statements()
        .unwrap();
        let registry = store.found(&founding, noon()).await.unwrap();
        assert!(matches!(store.found(&founding, noon()).await, Err(StoreError::AlreadyFounded { size: 2 })));
        let key = SigningKey::from_bytes(&[3; 32]);
        let mut ledger = Self { directory, cluster, store, registry, key, log, party: StatementId::of(b"") };
        let party = ledger.party_statement();
        ledger.party = party.statement.id;
        let batch = ledger.appender().append(&[&party], noon()).await.unwrap();
        assert!(matches!(batch.outcomes.as_slice(), [Outcome::Appended { index: 2, .. }]));
        ledger
    }

    fn appender(&self) -> Appender {
        self.store.appender(self.registry.clone())
    }

    fn header(&self, issuer: Issuer, nonce: u64) -> Header {
        let mut random = [9; 16];
        random[8..].copy_from_slice(&nonce.to_be_bytes());
        let key_head = match issuer {
            Issuer::Own => None,
            Issuer::Party(id) => Some(id),
        };
        let keys = vec![PublicKey::from(&self.key).id()];
        Header {
            registry: Some(self.registry.reference.clone()),
            issuer,
            issued_at: noon(),
            not_after: noon().plus_days(30),
            nonce: Nonce::from_random(random),
            signers: vec![SignerGroup { party: issuer, key_head, keys, threshold: 1 }],
        }
    }

    fn sign(&self, header: &Header, claim: &Claim, documents: Vec<Vec<u8>>) -> Submission {
        let payload = Statement::compose("test", header, claim).unwrap();
        let submission = Submission::assemble(Envelope::sign(payload, &[&self.key]), documents).unwrap();
        submission.check_documents().unwrap();
        submission
    }

    fn party_statement(&self) -> Submission {
        let claim = PartyClaim {
            name: Names { zh_hant: Some("林氏".to_owned()), ..Names::default() },
            identifiers: Vec::new(),
            jurisdiction: Jurisdiction::new("HK").unwrap(),
            root_keys: KeySet::new(vec![PublicKey::from(&self.key)], 1),
        };
        self.sign(&self.header(Issuer::Own, 0), &Claim::Party(claim), Vec::new())
    }

    /// A distinct one-file artefact.
    fn artefact(&self, number: u64) -> Submission {
        let content = number.to_be_bytes();
        let file = FileEntry {
            path: "weights.bin".parse().unwrap(),
            size_bytes: 8,
            sha256: Sha256Digest::of(&content),
            blake3: Some(Blake3Digest::of(&content)),
            weights: None,
        };
        let manifest = Manifest::new(ExclusionProfile::V1, vec![file]).unwrap();
        let claim = ArtefactClaim {
            name: Names { en: Some("Weights".to_owned()), ..Names::default() },
            version: number.to_string(),
            kind: ArtefactKind::Model,
            ip_type: IpType::Copyright,
            manifest: ManifestRef::to(&manifest),
            parents: Vec::new(),
            supersedes: None,
            author_jurisdiction: Jurisdiction::new("HK").unwrap(),
            residency_zone: ResidencyZone::World,
            licence: DeclaredLicence::parse("mit").unwrap(),
            accepts_conflict: false,
        };
        let header = self.header(Issuer::Party(self.party), number + 1);
        self.sign(&header, &Claim::Artefact(claim), vec![manifest.to_canonical_bytes()])
    }

    async fn superuser(&self) -> Client {
        let (client, connection) =
            tokio_postgres::connect(&self.cluster.connection_url(DATABASE), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    async fn assert_clean(&self, entries: u64) {
        let verdict = audit(&self.store, Options::everything(self.log.verifier_key().clone()), |_| {}).await.unwrap();
        let Verdict::Clean(clean) = verdict else { panic!("{verdict:?}") };
        assert_eq!(clean.entries, entries);
    }
}

fn indices(outcomes: &[Outcome]) -> Vec<u64> {
    let index = |outcome: &Outcome| match outcome {
        Outcome::Appended { index, .. } => *index,
        other => panic!("not appended: {other:?}"),
    };
    outcomes.iter().map(index).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_founded_once_and_read_back_as_it_was_written() {
    let ledger = Ledger::new().await;
    let found = ledger.store.registry().await.unwrap();
    assert_eq!(found.reference, ledger.registry.reference);
    assert_eq!(found.log_key, ledger.log.verifier_key().to_string());
    let entries = ledger.store.entries(0, 10).await.unwrap();
    assert_eq!(entries.len(), 3);
    assert_eq!(
        RegistryRef { origin: "test.local/log".to_owned(), genesis: leaf_hash(&entries[0].body) },
        found.reference
    );

    let artefact = ledger.artefact(7);
    ledger.appender().append(&[&artefact], noon()).await.unwrap();
    assert!(ledger.store.artefact(&artefact.statement.id, 4).await.unwrap().is_none(), "searches follow behind");
    let applied = ledger.store.follower().advance().await.unwrap();
    assert_eq!((applied.applied_size, applied.size, ledger.store.applied_size().await.unwrap()), (4, 4, 4));
    let record = ledger.store.artefact(&artefact.statement.id, 4).await.unwrap().unwrap().record;
    assert_eq!((record.owner, record.index), (ledger.party, 3));
    let filter = ArtefactFilter { digest: Some(Sha256Digest::of(&7_u64.to_be_bytes())), ..ArtefactFilter::default() };
    let by_file = ledger.store.artefacts(&filter, Page { from: 0, below: 4, limit: 10 }).await.unwrap();
    assert_eq!(by_file.iter().map(|found| found.record.id).collect::<Vec<_>>(), [artefact.statement.id]);
    let (digest, bytes) = artefact.documents.first_key_value().unwrap();
    assert_eq!(ledger.store.document(digest).await.unwrap().as_ref(), Some(bytes));
    let party = ledger.store.party(&ledger.party, 4).await.unwrap().unwrap();
    assert_eq!((party.record.index, party.keys.len()), (2, 1));
    ledger.cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_fails_is_tried_again_smaller_and_then_they_grow() {
    let ledger = Ledger::new().await;
    let artefacts: Vec<_> = (0..20).map(|number| ledger.artefact(number)).collect();
    let size = 3 + u64::try_from(artefacts.len()).unwrap();
    ledger.appender().append(&artefacts.iter().collect::<Vec<_>>(), noon()).await.unwrap();
    // More than three artefacts at once are too heavy for this database.
    let superuser = ledger.superuser().await;
    superuser
        .batch_execute(
            "SET chopmark.migrating = 'on';
             CREATE FUNCTION public.too_heavy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF (SELECT count(*) FROM written) > 3 THEN RAISE EXCEPTION 'too heavy'; END IF; RETURN NULL; END $$;
             CREATE TRIGGER too_heavy AFTER INSERT ON view.artefact_page REFERENCING NEW TABLE AS written
                 FOR EACH STATEMENT EXECUTE FUNCTION public.too_heavy()",
        )
        .await
        .unwrap();
    let mut follower = ledger.store.follower();
    let mut applied = vec![0];
    let mut failed = 0;
    while *applied.last().unwrap() < size {
        match follower.advance().await {
            Ok(now) => applied.push(now.applied_size),
            Err(_) => failed += 1,
        }
        assert!(failed + applied.len() < 100, "never gets past {applied:?}");
    }
    let largest = applied.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(failed > 0 && applied.len() > 6, "{failed} failed, {applied:?}");
    superuser
        .batch_execute(
            "SET chopmark.migrating = 'on'; DROP TRIGGER too_heavy ON view.artefact_page; DROP FUNCTION public.too_heavy",
        )
        .await
        .unwrap();
    ledger.assert_clean(size).await;
    // What followed in small pieces is the same, and pieces are soon as large as they were.
    let more: Vec<_> = (20..200).map(|number| ledger.artefact(number)).collect();
    ledger.appender().append(&more.iter().collect::<Vec<_>>(), noon()).await.unwrap();
    while follower.advance().await.unwrap().applied_size < size + 180 {
        applied.push(ledger.store.applied_size().await.unwrap());
    }
    applied.push(size + 180);
    assert!(applied.windows(2).map(|pair| pair[1] - pair[0]).max() > largest, "{applied:?}");
    ledger.assert_clean(size + 180).await;
    ledger.cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_judged_in_order_and_a_repeat_finds_its_entry() {
    let ledger = Ledger::new().await;
    let mut appender = ledger.appender();
    let (first, second) = (ledger.artefact(1), ledger.artefact(2));
    let foreign = {
        let mut header = ledger.header(Issuer::Party(ledger.party), 99);
        header.registry = Some(RegistryRef { origin: "other".to_owned(), ..ledger.registry.reference.clone() });
        ledger.sign(&header, &first.statement.claim, first.documents.values().cloned().collect())
    };
    let batch = appender.append(&[&first, &first, &foreign, &second], noon()).await.unwrap();
    let [
        Outcome::Appended { index: 3, .. },
        Outcome::Existing { index: 3, .. },
        Outcome::Rejected(refused),
        Outcome::Appended { index: 4, .. },
    ] = batch.outcomes.as_slice()
    else {
        panic!("{:?}", batch.outcomes)
    };
    assert_eq!((refused.code.as_str(), refused.pointer.as_str()), ("wrong_registry", "/predicate/registry"));
    let again = appender.append(&[&second], noon()).await.unwrap();
    assert!(matches!(again.outcomes.as_slice(), [Outcome::Existing { index: 4, signatures_differ: false }]));
    ledger.assert_clean(5).await;
    ledger.cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_may_fail_and_nothing_is_lost_doubled_or_skipped() {
    let ledger = Ledger::new().await;
    let superuser = ledger.superuser().await;
    superuser
        .batch_execute("CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'injected'; END $$")
        .await
        .unwrap();
    let mut appender = ledger.appender();
    let mut number = 0;
    let mut size = 3;
    // The step that moves the head fails for an UPDATE, every other one for an INSERT; log.tile only once it is written.
    for step in ["log.entry", "log.document", "log.tile", "view.nonce", "view.artefact", "log.log_state"] {
        let event = if step == "log.log_state" { "UPDATE" } else { "INSERT" };
        let guard = |on: &str| format!("SET chopmark.migrating = 'on'; {on}");
        let inject =
            format!("CREATE TRIGGER injected BEFORE {event} ON {step} FOR EACH ROW EXECUTE FUNCTION public.fail()");
        superuser.batch_execute(&guard(&inject)).await.unwrap();
        let batch: Vec<Submission> = (0..260).map(|offset| ledger.artefact(number + offset)).collect();
        number += 260;
        let batch: Vec<&Submission> = batch.iter().collect();
        let before = ledger.store.log_state().await.unwrap();
        for attempt in 1..=2 {
            let error = appender.append(&batch, noon()).await.expect_err(step);
            assert!(error.to_string().contains("injected"), "{step}, attempt {attempt}: {error}");
            assert_eq!(ledger.store.log_state().await.unwrap(), before, "{step}: something was written");
        }
        superuser.batch_execute(&guard(&format!("DROP TRIGGER injected ON {step}"))).await.unwrap();
        let batch_done = appender.append(&batch, noon()).await.unwrap();
        assert_eq!(indices(&batch_done.outcomes), (size..size + 260).collect::<Vec<_>>(), "{step}");
        size += 260;
    }
    ledger.assert_clean(size).await;
    ledger.cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_and_comes_back_is_taken_up_where_it_is() {
    let mut ledger = Ledger::new().await;
    let mut appender = ledger.appender();
    let (first, second) = (ledger.artefact(1), ledger.artefact(2));
    appender.append(&[&first], noon()).await.unwrap();
    ledger.cluster.stop().await.unwrap();
    for _ in 0..2 {
        // The write fails, and so does every attempt to find out where the log is.
        assert!(matches!(
            appender.append(&[&second], noon()).await,
            Err(StoreError::Connect(_) | StoreError::Query(_))
        ));
    }
    ledger.cluster = cluster(ledger.directory.path()).await;
    let batch = appender.append(&[&first, &second], noon()).await.unwrap();
    assert!(matches!(
        batch.outcomes.as_slice(),
        [Outcome::Existing { index: 3, .. }, Outcome::Appended { index: 4, .. }]
    ));
    ledger.assert_clean(5).await;
    ledger.cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_leaves_nothing_and_fails_as_a_batch_would() {
    let ledger = Ledger::new().await;
    let mut appender = ledger.appender();
    appender.probe().await.unwrap();
    ledger
        .superuser()
        .await
        .batch_execute("SET chopmark.migrating = 'on'; REVOKE INSERT ON log.document FROM chopmark_log")
        .await
        .unwrap();
    assert!(matches!(appender.probe().await, Err(StoreError::Query(_))));
    assert!(matches!(appender.append(&[&ledger.artefact(1)], noon()).await, Err(StoreError::Query(_))));
    ledger
        .superuser()
        .await
        .batch_execute("SET chopmark.migrating = 'on'; GRANT INSERT ON log.document TO chopmark_log")
        .await
        .unwrap();
    appender.probe().await.unwrap();
    let batch = appender.append(&[&ledger.artefact(1)], noon()).await.unwrap();
    assert!(matches!(batch.outcomes.as_slice(), [Outcome::Appended { index: 3, .. }]));
    ledger.assert_clean(4).await;
    ledger.cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_times_never_go_back_with_the_clock() {
    let ledger = Ledger::new().await;
    let clocks = [
        "2026-06-01T13:00:00.000Z",
        "2026-06-01T11:00:00.000Z",
        "2026-06-01T12:30:00.000Z",
        "2026-06-01T14:00:00.000Z",
    ];
    for (number, clock) in (1..).zip(clocks) {
        // A new appender each time: what it knows of the last time comes from the database.
        ledger.appender().append(&[&ledger.artefact(number)], moment(clock)).await.unwrap();
    }
    let entries = ledger.store.entries(3, 10).await.unwrap();
    let recorded: Vec<String> = entries.iter().map(|entry| entry.recorded_at.to_string()).collect();
    let hour_thirteen = "2026-06-01T13:00:00.000Z";
    assert_eq!(recorded, [hour_thirteen, hour_thirteen, hour_thirteen, "2026-06-01T14:00:00.000Z"]);
    ledger.cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_in_turn_and_at_once_make_one_dense_log() {
    let ledger = Ledger::new().await;
    let mut tasks = Vec::new();
    for replica in 0..2_u64 {
        let mut appender = ledger.appender();
        let statements: Vec<Submission> = (0..600).map(|number| ledger.artefact(replica * 10_000 + number)).collect();
        tasks.push(tokio::spawn(async move {
            let mut taken = Vec::new();
            for batch in statements.chunks(37) {
                let batch: Vec<&Submission> = batch.iter().collect();
                taken.extend(indices(&appender.append(&batch, noon()).await.unwrap().outcomes));
            }
            taken
        }));
    }
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await.unwrap());
    }
    taken.sort_unstable();
    assert_eq!(taken, (3..1_203).collect::<Vec<_>>());
    ledger.assert_clean(1_203).await;

    // The edge rebuilt from rows at any size is the edge that appending gave.
    let mut edge = Edge::new();
    let mut roots = BTreeMap::new();
    for entry in ledger.store.entries(0, 1_203).await.unwrap() {
        edge.append(leaf_hash(&entry.body));
        roots.insert(edge.size(), edge.root());
    }
    for size in [1, 2, 255, 256, 257, 511, 512, 513, 1_000, 1_203] {
        assert_eq!(ledger.store.edge_at(size).await.unwrap().root(), roots[&size], "size {size}");
    }
    ledger.cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_batch_fits_in_one_transaction() {
    let ledger = Ledger::new().await;
    let statements: Vec<Submission> = (0..).take(BATCH_MAX).map(|number| ledger.artefact(number)).collect();
    let batch: Vec<&Submission> = statements.iter().collect();
    let appended = ledger.appender().append(&batch, noon()).await.unwrap();
    assert_eq!(indices(&appended.outcomes).len(), BATCH_MAX);
    ledger.assert_clean(3 + 512).await;
    ledger.cluster.stop().await.unwrap();
}
