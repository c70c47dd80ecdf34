//! One request on its way in, before any database: strict parse, documents, signature.

use std::hint::black_box;
use std::time::Instant;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::statement::RegistryRef;
use chopmark_core::submission::Submission;

use crate::Failure;
use crate::artefacts::{Author, artefact};
use crate::figures::{figure, median};

/// Repetitions; the median is reported.
const RUNS: usize = 7;

/// Statements judged per run.
const STATEMENTS: u32 = 2_000;

/// Runs it.
pub(crate) fn run() -> Result<(), Failure> {
    let registry = RegistryRef { origin: "bench.local/statement".to_owned(), genesis: Sha256Digest::of(b"") };
    let (author, party) = Author::new(&registry, 0)?;
    for (name, request) in [("party", party.to_request()), ("artefact", artefact(&author, 0)?.to_request())] {
        println!("{STATEMENTS} requests of {} bytes, one thread, median of {RUNS} runs", request.len());
        let (mut parsed, mut verified) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let start = Instant::now();
            for _ in 0..STATEMENTS {
                Submission::parse(black_box(&request))?.check_documents()?;
            }
            parsed.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(STATEMENTS));
            let start = Instant::now();
            for _ in 0..STATEMENTS {
                let submission = Submission::parse(black_box(&request))?;
                submission.check_documents()?;
                submission.verify(|_| Some(&author.public))?;
            }
            verified.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(STATEMENTS));
        }
        figure(&format!("statement.{name}_parse_us"), median(parsed), "us");
        figure(&format!("statement.{name}_parse_and_verify_us"), median(verified), "us");
    }
    Ok(())
}
