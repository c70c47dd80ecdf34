//! Compatibility of licences: one verdict over a long lineage.

use std::hint::black_box;
use std::time::Instant;

use chopmark_core::compatibility::{Derivation, Edge, Inputs, Licence, Node};
use chopmark_core::licence::DeclaredLicence;
use chopmark_core::terms::vocabulary::Vocabulary as _;
use chopmark_core::terms::{Preset, Terms};

use crate::Failure;
use crate::figures::{figure, median};

/// Ancestors in one lineage.
const ANCESTORS: usize = 1_000;

/// Repetitions; the median is reported.
const RUNS: usize = 21;

/// Runs it.
pub(crate) fn run() -> Result<(), Failure> {
    let inputs = lineage()?;
    let (mut judged, mut read) = (Vec::new(), Vec::new());
    let stored = serde_json::to_vec(&inputs)?;
    println!("{ANCESTORS} ancestors, each with two parents above it, {} bytes as JSON, median of {RUNS}", stored.len());
    for _ in 0..RUNS {
        let start = Instant::now();
        black_box(black_box(&inputs).judge());
        judged.push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        black_box(chopmark_core::strict::from_slice::<Inputs>(black_box(&stored))?);
        read.push(start.elapsed().as_secs_f64() * 1e3);
    }
    figure("licence.judge_1000_ancestors_ms", median(judged), "ms");
    figure("licence.read_1000_ancestors_ms", median(read), "ms");
    Ok(())
}

/// A lineage in which every thing was made from the next two, under terms documents and expressions in turn.
fn lineage() -> Result<Inputs, Failure> {
    let terms = |preset: Preset| -> Result<Terms, Failure> { Ok(preset.terms()?) };
    let mut inputs =
        Inputs::of_parents("child", Licence::Terms(Box::new(terms(Preset::CommercialRevenueShare)?)), Vec::new());
    inputs.node.parents = parents(0);
    let expressions = ["MIT", "Apache-2.0 OR MIT", "LicenseRef-Llama-3.1-Community", "CC-BY-4.0 AND MIT"];
    for (number, (preset, expression)) in (0..ANCESTORS).zip(Preset::ALL.iter().cycle().zip(expressions.iter().cycle()))
    {
        let licence = if number % 2 == 0 {
            let mut own = terms(*preset)?;
            // No two are the same document.
            own.sublicensing.max_depth = None;
            own.term.notice = format!("P{}D", number + 1).parse().ok();
            Licence::Terms(Box::new(own))
        } else {
            Licence::Expression(DeclaredLicence::parse(expression)?)
        };
        inputs.ancestors.insert(name(number), Node { parents: parents(number + 1), ..Node::licensed(Some(licence)) });
    }
    Ok(inputs)
}

fn name(number: usize) -> String {
    format!("artefact-{number:04}")
}

fn parents(first: usize) -> Vec<Edge> {
    let ways = [Derivation::Finetune, Derivation::Merge];
    let below = |number: &usize| *number < ANCESTORS;
    (first..first + 2)
        .filter(below)
        .zip(ways)
        .map(|(number, derivation)| Edge { derivation, parent: name(number) })
        .collect()
}
