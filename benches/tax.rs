//! Tax: facts of 100,000 events read, computed and written, on one core; beside reading the same bytes as plain JSON.

use std::fmt::Write as _;

use chopmark_core::tax::facts::EVENTS_MAX;
use chopmark_core::tax::hk::HongKong;
use chopmark_core::tax::{Facts, Jurisdiction as _};

use crate::Failure;
use crate::figures::{figure, median, per_second, time};

/// Interleaved repetitions; the median is reported.
const RUNS: usize = 7;

/// Events of one right: bought, used in five years, sold, and a royalty beside it.
const EVENTS_OF_A_RIGHT: usize = 8;

/// Runs it.
pub(crate) fn run() -> Result<(), Failure> {
    let rights = EVENTS_MAX / EVENTS_OF_A_RIGHT;
    let text = facts(rights)?;
    let rules = HongKong.rules()?;
    let events = rights * EVENTS_OF_A_RIGHT;
    println!("{events} events of {rights} rights in {} bytes, one thread, median of {RUNS} runs", text.len());
    let read = Facts::from_slice(text.as_bytes())?;
    let report = HongKong.compute(&read, &rules)?;
    println!("{} lines, {} flags, rules {}", report.lines.len(), report.flags.len(), report.rules_digest);
    let (mut whole, mut computing, mut parsing) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        whole.push(time(|| {
            let read = Facts::from_slice(text.as_bytes());
            read.map(|read| {
                HongKong.compute(&read, &rules).map(|report| serde_json::to_vec(&report).map(|json| json.len()))
            })
        }));
        computing.push(time(|| HongKong.compute(&read, &rules).map(|report| report.lines.len())));
        parsing
            .push(time(|| serde_json::from_slice::<serde_json::Value>(text.as_bytes()).map(|value| value.is_object())));
    }
    figure("tax.events_per_s", per_second(events, median(computing)), "events/s");
    figure("tax.read_compute_write_events_per_s", per_second(events, median(whole)), "events/s");
    figure("tax.plain_json_events_per_s", per_second(events, median(parsing)), "events/s");
    Ok(())
}

/// Facts as a file has them.
fn facts(rights: usize) -> Result<String, core::fmt::Error> {
    let mut text = String::from(
        r#"{"schema":"chopmark.tax.facts/v1","taxpayer":{"name":"Company-HK","year_end":"12-31"},"assets":["#,
    );
    for right in 0..rights {
        let comma = if right == 0 { "" } else { "," };
        write!(text, r#"{comma}{{"id":"{right}","ip_type":"copyright"}}"#)?;
    }
    text.push_str(r#"],"events":["#);
    for right in 0..rights {
        let comma = if right == 0 { "" } else { "," };
        let amount = 100_000 + right * 7;
        write!(
            text,
            r#"{comma}{{"id":"b{right}","nature":"purchase","asset":"{right}","date":"2016-06-30","amount":"{amount}.00"}}"#
        )?;
        for year in 16..21 {
            let next = year + 1;
            write!(
                text,
                r#",{{"id":"u{year}-{right}","nature":"use","asset":"{right}","year":"20{year}/{next}","fraction":"0.75"}}"#
            )?;
        }
        write!(
            text,
            r#",{{"id":"s{right}","nature":"disposal","asset":"{right}","date":"2021-06-30","amount":"{amount}.00"}}"#
        )?;
        write!(
            text,
            r#",{{"id":"r{right}","nature":"royalty","date":"2019-06-30","amount":"{right}.00","payee":{{"name":"{right}","residence":"US"}}}}"#
        )?;
    }
    text.push_str("]}");
    Ok(text)
}
