//! Side-by-side benchmarks: ours and a peer doing the same work, interleaved in one run.
//!
//! `make bench-ledger`, and `make bench-…` for other parts. Every figure ends as a line `bench: <name> = <number> <unit>`;
//! conditions, the durability settings of the database among them, stand above it.

mod artefacts;
mod books;
mod figures;
mod grants;
mod hash;
mod ingest;
mod licence;
mod load;
mod million;
mod naive;
mod registry;
mod report;
mod statement;
mod tax;
mod tree;

use std::ffi::OsString;

/// What every part of a benchmark may fail with: the sentence is for whoever runs it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The parts, in the order they run.
const PARTS: [&str; 9] = ["tree", "statement", "licence", "grants", "tax", "ingest", "million", "report", "hash"];

fn main() -> Result<(), Failure> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    // Hashing is measured beside a loop that this program is started for.
    if let Some((first, files)) = arguments.split_first()
        && first == hash::BARE
    {
        return hash::bare::run(files);
    }
    let wanted: Vec<String> = arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    if let Some(unknown) = wanted.iter().find(|part| !PARTS.contains(&part.as_str())) {
        return Err(format!("no part {unknown}; there are: {}", PARTS.join(", ")).into());
    }
    for part in PARTS {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == part) {
            continue;
        }
        println!("\n== {part}");
        match part {
            "tree" => tree::run()?,
            "statement" => statement::run()?,
            "licence" => licence::run()?,
            "grants" => grants::run()?,
            "tax" => tax::run()?,
            "ingest" => ingest::run()?,
            "million" => million::run()?,
            "report" => report::run()?,
            _ => hash::run()?,
        }
    }
    Ok(())
}
