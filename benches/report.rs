//! Reports on expenditure over a million payments, beside `DuckDB` over the same lines as Parquet.
//!
//! Payments are appended as the sequencer appends them, in full batches with proofs and sealed figures, but without HTTP; all that
//! is timed afterwards is answered over HTTP, with its record in the access log. `CHOPMARK_BENCH_COMPANIES` sets another number
//! of companies, of a hundred payments each. `scripts/bench-report.sh` installs the peer.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chopmark_api::dataset::{Asked, recompute};
use chopmark_core::access::{Principal, Reason, Scope, Who};
use chopmark_core::artefact::IpType;
use chopmark_core::code::Jurisdiction;
use chopmark_core::expenditure::report::{Summary, Totals};
use chopmark_core::money::Amount;
use chopmark_core::statement::StatementId;
use chopmark_core::submission::Submission;
use chopmark_core::tax::year::Year;
use chopmark_core::time::Timestamp;
use chopmark_core::token::Token;
use chopmark_store::{Appender, BATCH_MAX, Outcome, StoredToken};
use rayon::prelude::*;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::Failure;
use crate::artefacts::Author;
use crate::books;
use crate::figures::{figure, per_second, quantile};
use crate::registry::Bench;

/// Companies, with a hundred payments each.
const COMPANIES: u32 = 10_000;
const PAYMENTS: u32 = 100;

/// Companies whose entries are signed at a time.
const SIGNED_AT_A_TIME: u32 = 200;

/// Requests of one kind.
const REQUESTS: u32 = 200;

/// Times that something new is said before a summary.
const NEWS: u32 = 20;

/// The year that is asked for.
const YEAR: &str = "2026/27";

/// Reads a list of taxpayers, and adds up their lines of a year, one query after the other; then all lines.
const DUCKDB: &str = "
import duckdb, json, sys, time
directory, year, taxpayers = json.load(sys.stdin)
connection = duckdb.connect()
connection.execute(f\"CREATE VIEW lines AS SELECT * FROM read_parquet('{directory}/**/*.parquet', hive_partitioning = true)\")
query = 'SELECT ip_type, section, kind, sum(amount)::VARCHAR FROM lines WHERE taxpayer = ? AND year_of_assessment = ? GROUP BY ALL'
partition = year.replace('/', '-')
connection.execute(query, [taxpayers[0], partition]).fetchall()
seconds, sums = [], []
for taxpayer in taxpayers:
    begun = time.perf_counter()
    rows = connection.execute(query, [taxpayer, partition]).fetchall()
    seconds.append(time.perf_counter() - begun)
    sums.append(rows)
begun = time.perf_counter()
everything = connection.execute('SELECT year, ip_type, section, kind, sum(amount)::VARCHAR FROM lines GROUP BY ALL').fetchall()
json.dump({'version': duckdb.__version__, 'seconds': seconds, 'sums': sums, 'everything': everything,
           'everything_seconds': time.perf_counter() - begun}, sys.stdout)
";

/// Runs it.
pub(crate) fn run() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(bench())
}

async fn bench() -> Result<(), Failure> {
    let companies = match std::env::var("CHOPMARK_BENCH_COMPANIES") {
        Ok(number) => number.parse().map_err(|error| format!("CHOPMARK_BENCH_COMPANIES={number}: {error}"))?,
        Err(_) => COMPANIES,
    };
    let bench = Bench::found().await?.with_vault()?;
    let mut filled = Filled { appender: bench.store.appender(bench.registry.clone()), taxpayers: Vec::new() };
    filled.fill(&bench, companies).await?;
    let officer = officer(&bench).await?;
    let (running, address) = bench.serve(|_| {}).await?;
    let measured = measure(&bench, address, &filled, &officer).await;
    running.stop(core::future::pending()).await?;
    measured?;
    bench.end().await
}

struct Filled {
    appender: Appender,
    taxpayers: Vec<StatementId>,
}

impl Filled {
    async fn fill(&mut self, bench: &Bench, companies: u32) -> Result<(), Failure> {
        let (mut entries, mut appending) = (0, Duration::ZERO);
        let mut first = 0;
        while first < companies {
            let last = companies.min(first + SIGNED_AT_A_TIME);
            let registry = bench.registry.reference.clone();
            let signed: Vec<(StatementId, Vec<Submission>)> = tokio::task::spawn_blocking(move || {
                let made = (first..last).into_par_iter().map(|number| {
                    let (author, party) = Author::new(&registry, number)?;
                    let id = party.statement.id;
                    let books = books::company(&author, number, PAYMENTS)?;
                    Ok((id, core::iter::once(party).chain(books).collect()))
                });
                made.collect::<Result<_, Failure>>()
            })
            .await??;
            let begun = Instant::now();
            let all: Vec<&Submission> = signed.iter().flat_map(|(_, books)| books).collect();
            for batch in all.chunks(BATCH_MAX) {
                let appended = self.appender.append(batch, Timestamp::from(chrono::Utc::now())).await?;
                let refused = appended.outcomes.iter().find(|outcome| !matches!(outcome, Outcome::Appended { .. }));
                if let Some(refused) = refused {
                    return Err(format!("not appended: {refused:?}").into());
                }
            }
            appending += begun.elapsed();
            entries += all.len();
            self.taxpayers.extend(signed.iter().map(|(id, _)| *id));
            first = last;
            if first.is_multiple_of(SIGNED_AT_A_TIME * 5) {
                eprintln!("{first} of {companies} companies, {:.0} entries/s", per_second(entries, appending));
            }
        }
        let payments = companies * PAYMENTS;
        println!(
            "{payments} payments with six sealed figures each by {companies} companies, {} other entries, without HTTP",
            companies * books::OTHER_ENTRIES
        );
        figure("report.append_without_http", per_second(entries, appending), "entries/s");
        Ok(())
    }
}

async fn officer(bench: &Bench) -> Result<String, Failure> {
    let now = Timestamp::from(chrono::Utc::now());
    let (token, who) = (Token::from_random([5; 10], &[6; 32]), Who::Officer(Jurisdiction::new("HK")?));
    let stored = StoredToken {
        id: token.id().clone(),
        hash: token.hash(),
        scopes: who.usual_scopes(),
        who,
        name: "bench".to_owned(),
        made_at: now,
        expires_at: now.plus_days(1),
        revoked_at: None,
        signing_key: None,
    };
    bench.store.insert_token(&stored).await?;
    Ok(token.expose().to_owned())
}

async fn measure(bench: &Bench, address: SocketAddr, filled: &Filled, officer: &str) -> Result<(), Failure> {
    let (size, _) = bench.store.log_state().await?;
    while bench.store.applied_size().await? < size {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let number = u32::try_from(filled.taxpayers.len())?;
    let picked = (0..REQUESTS).map(|place| {
        let place = usize::try_from(place.wrapping_mul(2_654_435_769) % number)?;
        Ok(*filled.taxpayers.get(place).ok_or("no such company")?)
    });
    let parties: Vec<StatementId> = picked.collect::<Result<_, Failure>>()?;
    let picked: Vec<String> = parties.iter().map(StatementId::to_hex).collect();
    let rules = &chopmark_core::tax::jurisdiction("hk").ok_or("no such law")?.rules()?;
    let directory = tempfile::tempdir()?;
    let dataset = directory.path().join("dataset");
    compute_anew(bench, officer, &dataset).await?;

    println!("one connection, {REQUESTS} requests of a kind, taxpayers at random, each reading recorded");
    let mut asking =
        Asking { stream: TcpStream::connect(address).await?, officer: officer.to_owned(), buffer: Vec::new() };
    asking.stream.set_nodelay(true)?;
    let reason = "case_reference=B-1&purpose=bench";
    let mut times = Vec::new();
    for taxpayer in &picked {
        let query =
            json!({ "query": { "taxpayer": taxpayer, "years": [YEAR] }, "case_reference": "B-1", "purpose": "bench" });
        times.push(asking.send("POST", "/v1/reports/ip-expenditure", Some(&query), 201).await?.0);
    }
    told("report.taxpayer_year", times);

    let mut sums = Vec::new();
    let mut times = Vec::new();
    for taxpayer in &picked {
        let path = format!("/v1/reports/ip-expenditure/summary?taxpayer={taxpayer}&year=2026%2F27&{reason}");
        let (time, answer) = asking.send("GET", &path, None, 200).await?;
        times.push(time);
        sums.push(cells(&answer)?);
    }
    told("report.lookup", times);

    println!("the same sums in this process, as DuckDB gives them: without HTTP, a token and a record");
    let (operator, year) = (&bench.registry.operator, YEAR.parse()?);
    let mut times = Vec::new();
    for (party, sums) in parties.iter().zip(&sums) {
        let begun = Instant::now();
        let summary = bench.store.unrecorded_taxpayer_summary(*party, operator, size, rules).await??;
        times.push(begun.elapsed());
        if in_cents(&summary, year)? != *sums {
            return Err("other sums than over HTTP".into());
        }
    }
    let ours = told("report.lookup_in_process", times);

    let summary = format!("/v1/reports/ip-expenditure/summary?{reason}");
    let mut times = Vec::new();
    let mut everything = Value::Null;
    for _ in 0..REQUESTS {
        let (time, answer) = asking.send("GET", &summary, None, 200).await?;
        times.push(time);
        everything = answer;
    }
    told("report.summary", times);

    let theirs = duckdb(&dataset, &picked, &sums, &cells(&everything)?)?;
    figure("report.vs_duckdb_lookup", theirs / ours, "x");

    println!("a summary right after a payment was entered, {NEWS} times");
    let mut times = Vec::new();
    for news in 0..NEWS {
        let (mut author, _) = Author::new(&bench.registry.reference, news)?;
        author.party = *filled.taxpayers.get(usize::try_from(news)?).ok_or("no such company")?;
        let books = books::company(&author, news, PAYMENTS + 1)?;
        let payment: Value = serde_json::from_slice(&books.last().ok_or("no payment")?.to_request())?;
        asking.send("POST", "/v1/statements", Some(&payment), 201).await?;
        times.push(asking.send("GET", &summary, None, 200).await?.0);
    }
    told("report.summary_after_news", times);
    Ok(())
}

/// Says the middle and the worst of some times, in milliseconds; gives the middle.
fn told(name: &str, mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let [middle, worst] = [0.5, 0.99].map(|share| quantile(&times, share).as_secs_f64() * 1e3);
    figure(&format!("{name}_p50_ms"), middle, "ms");
    figure(&format!("{name}_p99_ms"), worst, "ms");
    middle
}

/// Every report of the jurisdiction, computed by the engine and written as Parquet; the kept sums are the same.
async fn compute_anew(bench: &Bench, officer: &str, dataset: &Path) -> Result<(), Failure> {
    let store = &bench.store;
    let now = Timestamp::from(chrono::Utc::now());
    let principal: Principal = store.principal(Some(officer), Scope::Openings, now).await?.ok_or("no officer")?;
    let checkpoint = store.latest_checkpoint().await?.ok_or("no checkpoint")?;
    let reason = Reason { case_reference: "B-1".to_owned(), purpose: "bench".to_owned() };
    let signer = bench.note_signer()?;
    let asked = Asked {
        principal: &principal,
        reason: Some(&reason),
        place: &Jurisdiction::new("HK")?,
        registry: &bench.registry,
        checkpoint: &checkpoint,
        signer: Some(&signer),
    };
    let begun = Instant::now();
    let recomputed = recompute(store, asked, Some(dataset), |done, of| {
        if done.is_multiple_of(1_000) {
            eprintln!("{done} of {of} taxpayers computed, {:.0} s", begun.elapsed().as_secs_f64());
        }
    });
    let recomputed = recomputed.await?;
    if !recomputed.is_equal() || !recomputed.computed.left_out.is_empty() {
        return Err("the kept sums are not those of the lines".into());
    }
    println!(
        "{} taxpayers computed anew at {} entries, from {} entries to {} lines, written as Parquet, and added up a second time \
         for the sums that are kept: equal",
        recomputed.computed.taxpayers, checkpoint.size, recomputed.entries, recomputed.lines
    );
    figure("report.recompute", per_second(usize::try_from(recomputed.entries)?, begun.elapsed()), "entries/s");
    Ok(())
}

/// Whoever asks, over one connection.
struct Asking {
    stream: TcpStream,
    officer: String,
    buffer: Vec<u8>,
}

impl Asking {
    async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        status: u16,
    ) -> Result<(Duration, Value), Failure> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.officer,
            body.len()
        );
        let begun = Instant::now();
        self.stream.write_all(request.as_bytes()).await?;
        let answered = crate::load::answer(&mut self.stream, &mut self.buffer).await?;
        let time = begun.elapsed();
        if answered != status {
            return Err(format!("{path} answered {answered}: {}", String::from_utf8_lossy(&self.buffer)).into());
        }
        Ok((time, serde_json::from_slice(&self.buffer)?))
    }
}

/// Sums by year, type, section and kind, in cents; none of nothing.
type Sums = BTreeMap<[String; 4], i128>;

/// The sums of a summary.
fn cells(answer: &Value) -> Result<Sums, Failure> {
    let mut sums = Sums::new();
    for cell in answer.get("cells").and_then(Value::as_array).ok_or("no cells")? {
        let text = |name: &str| cell.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        for kind in ["deduction", "receipt", "withholding", "concession"] {
            let amount = cell.pointer(&format!("/totals/{kind}")).and_then(Value::as_str).ok_or("no total")?;
            put(&mut sums, [text("year"), text("ip_type"), text("section"), kind.to_owned()], amount)?;
        }
    }
    Ok(sums)
}

/// The sums of a year.
fn in_cents(summary: &Summary, year: Year) -> Result<Sums, Failure> {
    let mut sums = Sums::new();
    for (cell, totals) in summary.cells().filter(|(cell, _)| cell.year == year) {
        let Totals { deduction, receipt, withholding, concession } = totals;
        let amounts =
            [("deduction", deduction), ("receipt", receipt), ("withholding", withholding), ("concession", concession)];
        for (kind, amount) in amounts {
            let ip_type = cell.ip_type.map(IpType::as_str).unwrap_or_default().to_owned();
            let key = [year.to_string(), ip_type, cell.section.clone(), kind.to_owned()];
            put(&mut sums, key, &amount.to_string())?;
        }
    }
    Ok(sums)
}

fn put(sums: &mut Sums, key: [String; 4], amount: &str) -> Result<(), Failure> {
    let cents = Amount::parse(amount.trim_start_matches('-'))?.cents();
    let cents = if amount.starts_with('-') { -cents } else { cents };
    if cents != 0 {
        *sums.entry(key).or_default() += cents;
    }
    Ok(())
}

/// The same of `DuckDB`: the middle of its times in milliseconds, once its sums are ours.
fn duckdb(dataset: &Path, picked: &[String], ours: &[Sums], everything: &Sums) -> Result<f64, Failure> {
    let python =
        std::env::var_os("CHOPMARK_BENCH_DUCKDB").ok_or("CHOPMARK_BENCH_DUCKDB is not set; use make bench-report")?;
    let mut child = Command::new(python).args(["-c", DUCKDB]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let request = json!([dataset.to_str().ok_or("no name")?, YEAR, picked]).to_string();
    child.stdin.take().ok_or("no standard input")?.write_all(request.as_bytes())?;
    let said = child.wait_with_output()?;
    if !said.status.success() {
        return Err(format!("DuckDB ended with {}", said.status).into());
    }
    let said: Value = serde_json::from_slice(&said.stdout)?;
    let read = |rows: &Value, year: Option<&str>| -> Result<Sums, Failure> {
        let mut sums = Sums::new();
        for row in rows.as_array().ok_or("no rows")? {
            let row: Vec<&str> =
                row.as_array().ok_or("no row")?.iter().map(|cell| cell.as_str().unwrap_or_default()).collect();
            let row: Vec<&str> = year.into_iter().chain(row).collect();
            let [year, ip_type, section, kind, amount] = row.as_slice() else { return Err("another row".into()) };
            put(&mut sums, [*year, *ip_type, *section, *kind].map(str::to_owned), amount)?;
        }
        Ok(sums)
    };
    let rows = said.get("sums").and_then(Value::as_array).ok_or("no sums")?;
    for ((rows, ours), taxpayer) in rows.iter().zip(ours).zip(picked) {
        if read(rows, Some(YEAR))? != *ours {
            return Err(format!("DuckDB adds up other sums of {taxpayer}").into());
        }
    }
    if rows.len() != ours.len() || read(said.get("everything").ok_or("no sums")?, None)? != *everything {
        return Err("DuckDB adds up other sums of the jurisdiction".into());
    }
    let seconds = said.get("seconds").and_then(Value::as_array).ok_or("no times")?;
    let times = seconds.iter().filter_map(Value::as_f64).map(Duration::from_secs_f64).collect();
    let version = said.get("version").and_then(Value::as_str).unwrap_or_default();
    println!(
        "DuckDB {version} over the same lines in Parquet, in its own process, the same sums of each taxpayer and of all"
    );
    let middle = told("report.duckdb_lookup", times);
    let all = said.get("everything_seconds").and_then(Value::as_f64).unwrap_or(f64::NAN);
    figure("report.duckdb_summary_ms", all * 1e3, "ms");
    Ok(middle)
}
