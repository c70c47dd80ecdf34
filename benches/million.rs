//! A registry that has grown: search over 200,000 artefacts, proofs and audit at a million entries.
//!
//! The entries are appended as the sequencer appends them, in full batches, but without HTTP. `CHOPMARK_BENCH_ENTRIES` sets
//! another number, for a profile say; a fifth of them are there while searching.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chopmark_core::statement::StatementId;
use chopmark_core::submission::Submission;
use chopmark_core::time::Timestamp;
use chopmark_store::audit::{KnownRoot, Options, Verdict, audit};
use chopmark_store::{Appender, BATCH_MAX};
use rayon::prelude::*;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::Failure;
use crate::artefacts::{Author, artefact};
use crate::figures::{figure, per_second, quantile};
use crate::registry::Bench;

/// Entries while proving and auditing.
const ENTRIES: u32 = 1_000_000;

/// Of this many entries, one is there while searching.
const SEARCHED_SHARE: u32 = 5;

/// Statements signed at a time.
const SIGNED_AT_A_TIME: u32 = 20_480;

/// Requests of one kind.
const REQUESTS: u32 = 500;

/// Runs it.
pub(crate) fn run() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(bench())
}

/// How many entries this run makes.
fn entries_wanted() -> Result<u32, Failure> {
    match std::env::var("CHOPMARK_BENCH_ENTRIES") {
        Ok(number) => Ok(number.parse().map_err(|error| format!("CHOPMARK_BENCH_ENTRIES={number}: {error}"))?),
        Err(_) => Ok(ENTRIES),
    }
}

async fn bench() -> Result<(), Failure> {
    let entries = entries_wanted()?;
    let searched = entries / SEARCHED_SHARE;
    let bench = Bench::found().await?;
    let (author, party) = Author::new(&bench.registry.reference, 0)?;
    let appender = bench.store.appender(bench.registry.clone());
    let mut growing = Growing { author: Arc::new(author), appender, ids: Vec::new() };
    growing.appender.append(&[&party], now()).await?;
    growing.grow(searched).await?;
    let (running, address) = bench.serve(|_| {}).await?;
    let measured = async {
        follow(&bench).await?;
        search(address, searched).await
    };
    let measured = measured.await;
    running.stop(core::future::pending()).await?;
    measured?;
    growing.grow(entries).await?;
    let (running, address) = bench.serve(|_| {}).await?;
    let measured = async {
        // What follows the log would share the cores.
        follow(&bench).await?;
        prove(address, &growing).await
    };
    let measured = measured.await;
    running.stop(core::future::pending()).await?;
    measured?;
    signatures_alone(&growing.author)?;
    audits(&bench).await?;
    bench.end().await
}

fn now() -> Timestamp {
    Timestamp::from(chrono::Utc::now())
}

struct Growing {
    author: Arc<Author>,
    appender: Appender,
    /// Of what is appended.
    ids: Vec<StatementId>,
}

impl Growing {
    /// Appends until so many artefacts are there.
    async fn grow(&mut self, to: u32) -> Result<(), Failure> {
        let (from, mut appending) = (u32::try_from(self.ids.len())?, Duration::ZERO);
        let mut first = from;
        while first < to {
            let last = to.min(first + SIGNED_AT_A_TIME);
            let author = Arc::clone(&self.author);
            let signed: Vec<Submission> = tokio::task::spawn_blocking(move || {
                (first..last).into_par_iter().map(|number| artefact(&author, number)).collect::<Result<_, Failure>>()
            })
            .await??;
            let begun = Instant::now();
            for batch in signed.chunks(BATCH_MAX) {
                let batch: Vec<&Submission> = batch.iter().collect();
                self.appender.append(&batch, now()).await?;
            }
            appending += begun.elapsed();
            self.ids.extend(signed.iter().map(|submission| submission.statement.id));
            first = last;
        }
        let appended = usize::try_from(to - from)?;
        println!("appended {appended} in {:.1} s without HTTP", appending.as_secs_f64());
        figure("ledger.append_without_http", per_second(appended, appending), "entries/s");
        Ok(())
    }
}

/// Waits until the search tables have taken everything in.
async fn follow(bench: &Bench) -> Result<(), Failure> {
    let begun = Instant::now();
    let (size, _) = bench.store.log_state().await?;
    while bench.store.applied_size().await? < size {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    figure("ledger.followed", per_second(usize::try_from(size)?, begun.elapsed()), "entries/s");
    Ok(())
}

async fn search(address: SocketAddr, searched: u32) -> Result<(), Failure> {
    println!(
        "{searched} artefacts; one connection, {REQUESTS} requests of a kind, whole answers of at most 100 rows over HTTP"
    );
    let kinds: [(&str, &[&str]); 6] = [
        ("english_word", &["harbour", "dragon", "sampan", "chat", "kowloon"]),
        // Each by itself: a filter costs by what it leaves, and the median of two such says nothing of either.
        ("english_prefix_kind_and_licence", &["harb&kind=model&licence=MIT"]),
        ("english_prefix_zone_and_jurisdiction", &["drag&zone=WORLD&jurisdiction=HK"]),
        ("english_rare", &["chat 150321", "199999", "ocean 1234"]),
        ("chinese_two_characters", &["渡輪", "渡轮", "語言", "海港", "医疗", "竹林"]),
        ("chinese_two_words", &["渡輪 海港", "翡翠 法律"]),
    ];
    for (kind, queries) in kinds {
        let paths: Vec<String> = queries
            .iter()
            .map(|query| {
                let (words, filters) = query.split_once('&').unwrap_or((query, ""));
                let words = words.bytes().fold(String::new(), |words, byte| format!("{words}%{byte:02X}"));
                format!("/v1/artefacts?q={words}&{filters}").trim_end_matches('&').to_owned()
            })
            .collect();
        let latencies = get_all(address, (0..REQUESTS).filter_map(|number| nth(&paths, number))).await?;
        figure(&format!("search.{kind}_p50_ms"), quantile(&latencies, 0.5).as_secs_f64() * 1e3, "ms");
        figure(&format!("search.{kind}_p99_ms"), quantile(&latencies, 0.99).as_secs_f64() * 1e3, "ms");
    }
    Ok(())
}

fn nth(paths: &[String], number: u32) -> Option<String> {
    paths.iter().cycle().nth(usize::try_from(number).ok()? % paths.len().max(1)).cloned()
}

async fn prove(address: SocketAddr, growing: &Growing) -> Result<(), Failure> {
    let entries = u32::try_from(growing.ids.len())?;
    println!(
        "{entries} artefacts; one connection, {REQUESTS} requests, entries at random: entry looked up by id, proof, checkpoint"
    );
    let mut paths = Vec::new();
    for number in 0..REQUESTS {
        let number = usize::try_from(number.wrapping_mul(2_654_435_769) % entries)?;
        let id = growing.ids.get(number).ok_or("no such entry")?;
        paths.push(format!("/v1/statements/{id}/receipt"));
    }
    let latencies = get_all(address, paths.into_iter()).await?;
    figure("ledger.proof_p50_us", quantile(&latencies, 0.5).as_secs_f64() * 1e6, "us");
    figure("ledger.proof_p99_us", quantile(&latencies, 0.99).as_secs_f64() * 1e6, "us");
    Ok(())
}

/// What bounds an audit of every signature: one strict verification of each, of statements that are in memory and parsed.
fn signatures_alone(author: &Arc<Author>) -> Result<(), Failure> {
    let signed = (0..SIGNED_AT_A_TIME).into_par_iter().map(|number| artefact(author, number));
    let signed: Vec<Submission> = signed.collect::<Result<_, Failure>>()?;
    let begun = processor_time();
    signed.par_iter().try_for_each(|submission| submission.verify(|_| Some(&author.public)))?;
    let processor = processor_time().saturating_sub(begun);
    figure("ledger.strict_verification_per_s_core", per_second(signed.len(), processor), "signatures/s/core");
    Ok(())
}

/// Audits of entries, tree and signed checkpoints: with every signature checked, with every document read as well, and going
/// on from a checkpoint up to which an earlier audit found all of them good. The read tables are left out. A core's rate is
/// that of the auditor's own processor time, PostgreSQL's apart.
async fn audits(bench: &Bench) -> Result<(), Failure> {
    let cores = std::thread::available_parallelism()?.get();
    let newest = bench.store.latest_checkpoint().await?.ok_or("no checkpoint")?;
    println!("{} entries of one signer, {cores} cores, PostgreSQL on the same", newest.size);
    let documents = Options { tables: false, ..Options::everything(bench.log_key()?) };
    let signatures = Options { documents: false, ..documents.clone() };
    let known =
        KnownRoot { source: "an earlier audit".to_owned(), size: newest.size, root: newest.root, is_published: true };
    for (name, options) in [
        ("ledger.audit_every_signature_per_s", signatures.clone()),
        ("ledger.audit_every_signature_and_document_per_s", documents),
        ("ledger.audit_per_s", signatures.starting_from(known)),
    ] {
        let (begun, processor_begun) = (Instant::now(), processor_time());
        match audit(&bench.store, options, |_| {}).await? {
            Verdict::Clean(clean) if clean.entries == newest.size => {}
            other => return Err(format!("not clean: {other:?}").into()),
        }
        let number = usize::try_from(newest.size)?;
        figure(name, per_second(number, begun.elapsed()), "entries/s");
        let processor = processor_time().saturating_sub(processor_begun);
        figure(&format!("{name}_core"), per_second(number, processor), "entries/s/core");
    }
    Ok(())
}

/// Time that this process has had on all cores together.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Sends one request after the other; the latencies ascend.
async fn get_all(address: SocketAddr, paths: impl Iterator<Item = String>) -> Result<Vec<Duration>, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    let mut latencies = Vec::new();
    for path in paths {
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
        let begun = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        let status = crate::load::answer(&mut stream, &mut buffer).await?;
        latencies.push(begun.elapsed());
        if status != 200 {
            return Err(format!("{path} answered {status}: {}", String::from_utf8_lossy(&buffer)).into());
        }
    }
    latencies.sort_unstable();
    Ok(latencies)
}
