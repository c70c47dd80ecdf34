//! Entering statements over HTTP: ours, the naive ledger and the ceiling, on one database in one session, interleaved.
//!
//! The load generator shares the cores. Ours answers with proof and signed checkpoint, and brings its search tables up to
//! the log meanwhile; the peers answer with neither, and have none.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chopmark_core::ledger::note::VerifierKey;
use chopmark_core::ledger::proof::TlogProof;
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_core::submission::Submission;
use rayon::prelude::*;

use crate::artefacts::{Author, artefact};
use crate::figures::{figure, median, per_second, quantile};
use crate::load::{self, Bound, Run};
use crate::registry::Bench;
use crate::{Failure, naive};

/// Interleaved rounds; the median is reported.
const ROUNDS: usize = 3;

/// How long one burst lasts at most.
const BURST: Duration = Duration::from_secs(5);

/// How long the sustained run lasts.
const SUSTAINED: Duration = Duration::from_mins(1);

/// Connections of the two kinds of burst.
const CONNECTIONS: [usize; 2] = [64, 256];

/// Statements signed for one burst; what is not used up is signed in vain.
const BURST_STATEMENTS: u32 = 100_000;

/// The route of the service itself.
const OURS: &str = "/v1/statements";

/// Runs it.
pub(crate) fn run() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(bench())
}

async fn bench() -> Result<(), Failure> {
    let bench = Bench::found().await?;
    naive::prepare(&bench.url()).await?;
    let (running, address) = bench.serve(naive::routes).await?;
    let mut ingest = Ingest { address, log_key: bench.log_key()?, signer: None, next: 0 };
    let end = ingest.measure(&bench).await;
    running.stop(core::future::pending()).await?;
    bench.end().await?;
    end
}

struct Ingest {
    address: SocketAddr,
    log_key: VerifierKey,
    signer: Option<Arc<Author>>,
    /// Number of the next artefact.
    next: u32,
}

impl Ingest {
    async fn measure(&mut self, bench: &Bench) -> Result<(), Failure> {
        let (author, party) = Author::new(&bench.registry.reference, 0)?;
        self.signer = Some(Arc::new(author));
        let registration = Arc::new(vec![party.to_request()]);
        self.load(OURS, &registration, Bound { connections: 1, time_max: BURST, status: 201 }).await?;
        println!(
            "bursts of {} s, {ROUNDS} interleaved rounds, medians; the generator on the same cores",
            BURST.as_secs()
        );
        let mut ours_64 = 0.0;
        for connections in CONNECTIONS {
            let (mut rates, mut p99s) = ([Vec::new(), Vec::new(), Vec::new()], Vec::new());
            for _ in 0..ROUNDS {
                for (place, (path, status)) in
                    [(naive::NAIVE, 201), (naive::CEILING, 200), (OURS, 201)].into_iter().enumerate()
                {
                    let statements = if path == naive::NAIVE { BURST_STATEMENTS / 5 } else { BURST_STATEMENTS };
                    let requests = self.sign(statements).await?;
                    let bound = Bound { connections, time_max: BURST, status };
                    let run = self.load(path, &requests, bound).await?;
                    if let Some(rates) = rates.get_mut(place) {
                        rates.push(rate(&run));
                    }
                    println!(
                        "{path} at {connections}: {:.0}/s, p50 {:.1} ms, p99 {:.1} ms",
                        rate(&run),
                        quantile(&run.latencies, 0.5).as_secs_f64() * 1e3,
                        quantile(&run.latencies, 0.99).as_secs_f64() * 1e3
                    );
                    if path == OURS {
                        p99s.push(quantile(&run.latencies, 0.99).as_secs_f64() * 1e3);
                        self.check(&run, &requests)?;
                    }
                }
            }
            let [naive, ceiling, ours] = rates.map(median);
            figure(&format!("ledger.naive_{connections}"), naive, "statements/s");
            figure(&format!("ledger.signature_only_{connections}"), ceiling, "statements/s");
            figure(&format!("ledger.ours_{connections}"), ours, "statements/s");
            let at = if connections == 64 { String::new() } else { format!("_{connections}") };
            figure(&format!("ledger.vs_naive{at}"), ours / naive, "x");
            figure(&format!("ledger.vs_signature_only{at}"), ours / ceiling, "x");
            figure(&format!("ledger.p99_{connections}_ms"), median(p99s), "ms");
            if connections == 64 {
                ours_64 = ours;
            }
        }
        println!("{} statements in the naive ledger", naive::size(&bench.url()).await?);
        self.sustain(ours_64).await
    }

    async fn sustain(&mut self, burst: f64) -> Result<(), Failure> {
        println!("sustained: {} s at 64 connections", SUSTAINED.as_secs());
        let statements = (1..=u32::MAX).find(|number| f64::from(*number) > burst * 1.3 * SUSTAINED.as_secs_f64());
        let requests = self.sign(statements.unwrap_or_default()).await?;
        let bound = Bound { connections: 64, time_max: SUSTAINED, status: 201 };
        let run = self.load(OURS, &requests, bound).await?;
        self.check(&run, &requests)?;
        figure("ledger.sustained_60s", rate(&run), "statements/s");
        figure("ledger.sustained_60s_p99_ms", quantile(&run.latencies, 0.99).as_secs_f64() * 1e3, "ms");
        figure("ledger.sustained_60s_vs_burst", rate(&run) / burst, "x");
        Ok(())
    }

    /// Signs the next artefacts.
    async fn sign(&mut self, number: u32) -> Result<Arc<Vec<Vec<u8>>>, Failure> {
        let author = Arc::clone(self.signer.as_ref().ok_or("nobody signs yet")?);
        let (from, to) = (self.next, self.next + number);
        self.next = to;
        tokio::task::spawn_blocking(move || {
            let signed = (from..to).into_par_iter().map(|number| Ok(artefact(&author, number)?.to_request()));
            signed.collect::<Result<Vec<_>, Failure>>().map(Arc::new)
        })
        .await?
    }

    async fn load(&self, path: &'static str, requests: &Arc<Vec<Vec<u8>>>, bound: Bound) -> Result<Run, Failure> {
        let (address, requests) = (self.address, Arc::clone(requests));
        tokio::task::spawn_blocking(move || load::run(address, path, &requests, 0, bound)).await?
    }

    /// The kept answers prove what they say.
    fn check(&self, run: &Run, requests: &[Vec<u8>]) -> Result<(), Failure> {
        for (number, body) in &run.kept {
            let answer: serde_json::Value = serde_json::from_slice(body)?;
            let proof: TlogProof = answer.get("proof").and_then(|proof| proof.as_str()).ok_or("no proof")?.parse()?;
            let sent = Submission::parse(requests.get(*number).ok_or("no such request")?)?;
            proof.verify(leaf_hash(&sent.entry), core::slice::from_ref(&self.log_key))?;
        }
        if run.kept.is_empty() {
            return Err("no answer was kept to be checked".into());
        }
        Ok(())
    }
}

fn rate(run: &Run) -> f64 {
    per_second(run.latencies.len(), run.elapsed)
}
