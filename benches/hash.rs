//! Hashing of files that lie in the page cache, beside the programs that people use for it.
//!
//! Each program is started as a user would start it, on the same files, in turn; digests are compared before any time is
//! taken. `scripts/bench-hash.sh` installs the peers and says by environment variables where they are.

pub(crate) mod bare;
mod data;
mod peers;

use std::path::Path;
use std::time::Duration;

use self::data::{Set, fill};
pub(crate) use self::peers::BARE;
use self::peers::{Program, Run};
use crate::Failure;
use crate::figures::{figure, median};

/// Interleaved repetitions; the median is reported.
const RUNS: usize = 5;

const MIB: u64 = 1 << 20;

/// What is measured on a set of files: who is compared with whom.
struct Comparison {
    figure: &'static str,
    ours: Program,
    peer: Program,
}

/// Runs it.
pub(crate) fn run() -> Result<(), Failure> {
    let root = match std::env::var_os("CHOPMARK_BENCH_DIRECTORY") {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let cores = std::thread::available_parallelism()?;
    println!("{cores} cores; files in the page cache of {}; median of {RUNS} interleaved runs", root.path().display());
    for program in Program::ALL {
        println!("{:<28}{}", program.name(), program.version()?);
    }
    let both = Program::Ours("sha256,blake3");
    let blake3 = Program::Ours("blake3");
    let fsverity = Program::Ours("fsverity");
    let compare = |figure, ours, peer| Comparison { figure, ours, peer };

    let four = Set { name: "4 x 1 GiB", files: 4, size_bytes: 1024 * MIB };
    measure(
        root.path(),
        &four,
        &[
            compare("hash.blake3_vs_b3sum", blake3, Program::B3sum),
            compare("hash.blake3_vs_model_signing_sha256", blake3, Program::ModelSigning("sha256")),
            compare("hash.blake3_vs_model_signing_blake3", blake3, Program::ModelSigning("blake3")),
            compare("hash.both_vs_openssl_all_cores", both, Program::OpensslAllCores),
            compare("hash.both_vs_openssl_one", both, Program::OpensslOne),
            compare("hash.fsverity_vs_tool", fsverity, Program::Fsverity),
        ],
    )?;
    let one = Set { name: "1 x 4 GiB", files: 1, size_bytes: 4096 * MIB };
    measure(
        root.path(),
        &one,
        &[
            compare("hash.one_file_blake3_vs_b3sum", blake3, Program::B3sum),
            compare("hash.one_file_both_vs_openssl_one", both, Program::OpensslOne),
        ],
    )?;
    let middling = Set { name: "200 x 20 MiB", files: 200, size_bytes: 20 * MIB };
    measure(
        root.path(),
        &middling,
        &[
            compare("hash.middling_blake3_vs_b3sum", blake3, Program::B3sum),
            compare("hash.middling_both_vs_openssl_all_cores", both, Program::OpensslAllCores),
        ],
    )?;
    let small = Set { name: "10,000 x 64 KiB", files: 10_000, size_bytes: 64 << 10 };
    measure(
        root.path(),
        &small,
        &[
            compare("hash.small_vs_b3sum", blake3, Program::B3sum),
            compare("hash.small_bare_loop_vs_b3sum", Program::Bare, Program::B3sum),
            compare("hash.small_vs_bare_loop", blake3, Program::Bare),
            compare("hash.small_both_vs_openssl_all_cores", both, Program::OpensslAllCores),
            compare("hash.small_fsverity_vs_tool", fsverity, Program::Fsverity),
        ],
    )
}

/// Measures one set of files, which is there only meanwhile.
fn measure(root: &Path, set: &Set, comparisons: &[Comparison]) -> Result<(), Failure> {
    let directory = root.join("files");
    eprintln!("{}: writing the files", set.name);
    let files = fill(&directory, set)?;
    let mut programs: Vec<Program> = Vec::new();
    for comparison in comparisons {
        for program in [comparison.ours, comparison.peer] {
            if !programs.contains(&program) {
                programs.push(program);
            }
        }
    }
    for kind in ["sha256", "blake3", "fsverity"] {
        let said = programs.iter().filter(|program| program.digest().contains(&kind));
        let said = said.map(|program| {
            eprintln!("{}: {kind} of {}", set.name, program.name());
            Ok((program.name(), program.digests(kind, &directory, &files)?))
        });
        let said: Vec<(String, Vec<String>)> = said.collect::<Result<_, Failure>>()?;
        if let Some((first, digests)) = said.first() {
            if digests.len() != files.len() {
                return Err(format!("{first} gives {} digests of {} files", digests.len(), files.len()).into());
            }
            if let Some((other, _)) = said.iter().find(|(_, others)| others != digests) {
                return Err(format!("{first} and {other} differ in {kind}; no figure would mean anything").into());
            }
        }
    }
    let mut runs: Vec<Vec<Run>> = programs.iter().map(|_| Vec::new()).collect();
    for number in 1..=RUNS {
        for (program, runs) in programs.iter().zip(&mut runs) {
            let run = program.run(&directory, &files)?;
            eprintln!("{}: run {number} of {RUNS}, {}: {:.3} s", set.name, program.name(), run.wall.as_secs_f64());
            runs.push(run);
        }
    }
    let gigabytes = f64::from(set.files) * bytes(set.size_bytes) / 1e9;
    println!("\n{}, equal digests", set.name);
    println!("{:<28}{:>9}{:>9}{:>9}{:>9}{:>12}", "", "median s", "least", "most", "GB/s", "CPU s/GB");
    let mut medians: Vec<(Program, f64)> = Vec::new();
    for (program, runs) in programs.iter().zip(&runs) {
        let times: Vec<f64> = runs.iter().map(|run| run.wall.as_secs_f64()).collect();
        let cpu = median(runs.iter().map(|run| run.cpu.as_secs_f64()).collect());
        let middle = median(times.clone());
        let (least, most) =
            times.iter().fold((f64::MAX, 0.0_f64), |(least, most), time| (least.min(*time), most.max(*time)));
        println!(
            "{:<28}{middle:>9.3}{least:>9.3}{most:>9.3}{:>9.2}{:>12.3}",
            program.name(),
            gigabytes / middle,
            cpu / gigabytes
        );
        medians.push((*program, middle));
    }
    let of = |program| medians.iter().find(|(known, _)| *known == program).map_or(f64::NAN, |(_, time)| *time);
    for comparison in comparisons {
        figure(comparison.figure, of(comparison.peer) / of(comparison.ours), "x");
    }
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

/// A number of bytes, for arithmetic.
fn bytes(number: u64) -> f64 {
    let (high, low) = (number >> 32, number & u64::from(u32::MAX));
    let part = |number: u64| u32::try_from(number).map_or(f64::NAN, f64::from);
    part(high).mul_add(4_294_967_296.0, part(low))
}

/// CPU time that the children of this process have used, as far as they were waited for.
fn children_cpu() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // proc(5): the name in parentheses may hold spaces; after it, cutime and cstime are the 14th and 15th members, in
    // hundredths of a second on every Linux there is.
    let (_, rest) = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?;
    let mut hundredths: u64 = 0;
    for number in rest.split_whitespace().skip(13).take(2) {
        hundredths = hundredths.saturating_add(number.parse()?);
    }
    Ok(Duration::from_millis(hundredths.saturating_mul(10)))
}
