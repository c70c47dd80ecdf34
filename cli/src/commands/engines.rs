//! `chopmark engines`: what this machine has for hashing, whether each engine computes what it should, and how fast.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chopmark_gpu_verify::hasher::Window;
use chopmark_gpu_verify::known_answers::known_answers;
use chopmark_gpu_verify::machine::{Adapter, CudaDevice, adapters, cores, cpu_features, cuda_devices};
use chopmark_gpu_verify::{Engine, EngineChoice, EngineError, Hasher};
use serde_json::{Value, json};

use super::Context;
use crate::arguments::EnginesArguments;
use crate::exit::{Exit, Failure};
use crate::printer::{Report, Tone};
use crate::units;

/// Bytes that are copied and hashed again and again: a window of the largest sort.
const SAMPLE_SIZE_BYTES: usize = 64 << 20;
/// Samples for several threads at a time.
const ROUNDS: usize = 4;
/// How long each thing is measured, at least.
const MEASURED_TIME_MIN: Duration = Duration::from_millis(500);

/// Bytes in a time.
#[derive(Debug, Clone, Copy)]
struct Rate {
    size_bytes: u64,
    elapsed_ms: u128,
}

/// What was measured of an engine.
struct Rates {
    blake3: Rate,
    verity: Rate,
    upload: Option<Rate>,
}

/// Lists everything; an engine that computes something wrong makes it end with code 1.
///
/// # Errors
/// When stdout can't be written.
pub(crate) fn run(context: &Context<'_>, arguments: EnginesArguments) -> Result<Exit, Failure> {
    let sample: Vec<u8> =
        if arguments.bench { (0..=250).cycle().take(SAMPLE_SIZE_BYTES).collect() } else { Vec::new() };
    let mut exit = Exit::Done;
    let features = cpu_features();
    let mut report = Report::default().row("cores", cores().to_string()).row("CPU features", features.join(" "));

    let adapters = adapters();
    report = match &adapters {
        None => report.row("adapters", "not looked for: built without `gpu`"),
        Some(adapters) if adapters.is_empty() => report.row("adapters", "none; is a driver for Vulkan installed?"),
        Some(adapters) => adapters.iter().fold(report, |report, adapter| report.row("adapter", adapter_words(adapter))),
    };
    let cuda = cuda_devices();
    report = match &cuda {
        None => report.row("CUDA", "not looked for: built without `cuda`"),
        Some(Err(reason)) => report.row("CUDA", reason),
        Some(Ok(devices)) => devices.iter().fold(report, |report, device| report.row("CUDA", cuda_words(device))),
    };
    let mut copy = None;
    if arguments.bench {
        context.printer.note("measuring; this takes some seconds");
        let mut target = vec![0; sample.len()];
        let rate = measured(sample.len(), || target.copy_from_slice(black_box(&sample)));
        report = report.row("memory copy", rate.words());
        copy = Some(rate);
    }

    let mut engines = Vec::new();
    for choice in EngineChoice::ALL.into_iter().filter(|choice| *choice != EngineChoice::Auto) {
        let (state, reason, rates) = match Engine::choose(choice) {
            Err(error) => (state(&error), error.to_string(), None),
            Ok(engine) => {
                if let Err(fault) = known_answers(engine.hasher()) {
                    ("faulty", fault.to_string(), None)
                } else {
                    let rates = arguments.bench.then(|| rates(engine.hasher(), &sample));
                    ("ready", engine.reason().to_owned(), rates)
                }
            }
        };
        if state == "faulty" {
            exit = Exit::Internal;
        }
        report = report.row(choice.name(), words(state, &reason, rates.as_ref()));
        engines.push(json!({
            "engine": choice.name(),
            "state": state,
            "reason": reason,
            "bench": rates.as_ref().map(Rates::to_json),
        }));
    }
    let auto = Engine::auto();
    let report = match exit {
        Exit::Done => report.headline(Tone::Good, auto.reason()),
        _ => report.headline(Tone::Bad, "an engine computes wrong digests on this machine; do not use it"),
    };
    let members = json!({
        "cores": cores(),
        "cpu_features": features,
        "adapters": adapters.map(|adapters| adapters.iter().map(adapter_json).collect::<Vec<_>>()),
        "cuda": cuda.map(|found| match found {
            Ok(devices) => json!({ "devices": devices.iter().map(cuda_json).collect::<Vec<_>>(), "reason": null }),
            Err(reason) => json!({ "devices": [], "reason": reason }),
        }),
        "copy_bytes_per_second": copy.map(Rate::per_second),
        "auto": auto.hasher().name(),
        "engines": engines,
    });
    context.printer.result(context.command, exit, members, &report)
}

/// Whether an engine that did not start is missing or wrong.
fn state(error: &EngineError) -> &'static str {
    match error {
        EngineError::NotBuilt { .. } => "not_built",
        EngineError::NoDevice { .. } | EngineError::Threads(_) => "unavailable",
        EngineError::Fault(_) => "faulty",
    }
}

fn words(state: &str, reason: &str, rates: Option<&Rates>) -> String {
    match rates {
        None if state == "ready" => format!("known answers right ({reason})"),
        None => format!("{state}: {reason}"),
        Some(Rates { blake3, verity, upload }) => {
            let upload = upload.map(|rate| format!(", copy to the device {}", rate.words())).unwrap_or_default();
            format!("known answers right, BLAKE3 {}, fs-verity {}{upload}", blake3.words(), verity.words())
        }
    }
}

/// Measures an engine with as many threads as would read files for it.
fn rates(hasher: &dyn Hasher, sample: &[u8]) -> Rates {
    let windows: Vec<&[u8]> = sample.chunks(hasher.window_size_bytes()).collect();
    let all: Vec<&[u8]> = windows.iter().copied().cycle().take(windows.len().saturating_mul(ROUNDS)).collect();
    let blake3 = measured(sample.len().saturating_mul(ROUNDS), || {
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(bytes) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                black_box(Window::new(0, bytes).map(|window| hasher.subtrees(window)));
            }
        };
        thread::scope(|scope| {
            for _ in 1..hasher.files_in_parallel() {
                // Fewer threads than wanted are no reason to fail.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
    });
    let verity = measured(sample.len(), || {
        black_box(hasher.verity_leaves(sample));
    });
    let upload = hasher.upload(sample).then(|| {
        measured(sample.len(), || {
            hasher.upload(sample);
        })
    });
    Rates { blake3, verity, upload }
}

/// Does something with `size_bytes` once to get going, then as often as fits into the time.
fn measured(size_bytes: usize, mut work: impl FnMut()) -> Rate {
    work();
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < MEASURED_TIME_MIN {
        work();
        rounds += 1;
    }
    Rate { size_bytes: units::length(size_bytes).saturating_mul(rounds), elapsed_ms: start.elapsed().as_millis() }
}

impl Rate {
    fn words(self) -> String {
        units::rate(self.size_bytes, self.elapsed_ms)
    }

    fn per_second(self) -> u64 {
        let per_second = u128::from(self.size_bytes) * 1_000 / self.elapsed_ms.max(1);
        u64::try_from(per_second).unwrap_or(u64::MAX)
    }
}

impl Rates {
    fn to_json(&self) -> Value {
        json!({
            "blake3_bytes_per_second": self.blake3.per_second(),
            "fsverity_bytes_per_second": self.verity.per_second(),
            "upload_bytes_per_second": self.upload.map(Rate::per_second),
        })
    }
}

fn adapter_words(adapter: &Adapter) -> String {
    let window = match adapter.window_size_bytes {
        Some(size_bytes) => format!("windows of {} MiB", size_bytes >> 20),
        None => "buffers too small to be used".to_owned(),
    };
    format!("{adapter}; {window}")
}

fn adapter_json(adapter: &Adapter) -> Value {
    json!({
        "name": adapter.name,
        "driver": adapter.driver,
        "backend": adapter.backend,
        "kind": adapter.kind,
        "buffer_size_bytes_max": adapter.buffer_size_bytes_max,
        "binding_size_bytes_max": adapter.binding_size_bytes_max,
        "workgroup_storage_size_bytes_max": adapter.workgroup_storage_size_bytes_max,
        "window_size_bytes": adapter.window_size_bytes,
    })
}

fn cuda_words(device: &CudaDevice) -> String {
    let CudaDevice { name, driver, capability, memory_size_bytes } = device;
    format!("{name}, {}, compute capability {capability}, driver for CUDA {driver}", units::bytes(*memory_size_bytes))
}

fn cuda_json(device: &CudaDevice) -> Value {
    json!({
        "name": device.name,
        "driver": device.driver,
        "capability": device.capability,
        "memory_size_bytes": device.memory_size_bytes,
    })
}
