//! A report as the template takes it: tables of strings in the reader's language, dates and money as people write them.

use std::collections::BTreeMap;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::money::{Amount, Decimal};
use chopmark_core::tax::words::Language;
use chopmark_core::terms::period::Date;
use serde::Serialize;
use serde_json::Value;

use super::fonts::Fonts;
use crate::exports::tables::{self, CORRECTIONS, Cell, Column, FLAGS, LINES, SET_ASIDE, Sort, Speech, TYPES, Table};
use crate::reports::kept::Content;

/// The columns of the lines: what stands below one another in each. What is in none of them stands below the row.
const SHOWN: [&[&str]; 12] = [
    &["line"],
    &["paid-on", "year"],
    &["counterparty", "residence"],
    &["asset", "ip-type"],
    &["nature"],
    &["hkd"],
    &["kind"],
    &["amount"],
    &["section"],
    &["flags"],
    &["status"],
    &["entries"],
];

/// What stands below the title.
const FACTS: [(&str, Sort, &str); 5] = [
    ("taxpayer", Sort::Text, "/taxpayer/name"),
    ("brn", Sort::Text, "/taxpayer/brn"),
    ("file-number", Sort::Text, "/taxpayer/file_number"),
    ("registry", Sort::Text, "/checkpoint/origin"),
    ("size", Sort::Count, "/checkpoint/size"),
];

/// A label and what it is of.
type Pair = (String, String);

/// All that is on the pages.
#[derive(Serialize)]
pub struct Document {
    title: String,
    font: &'static str,
    lang: &'static str,
    script: &'static str,
    region: &'static str,
    facts: Vec<Pair>,
    notice: String,
    sheets: Vec<Sheet>,
    none: String,
    footer: String,
}

/// How a table is set.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Plain,
    Breakdown,
    Lines,
    Pairs,
}

#[derive(Serialize)]
struct Sheet {
    name: String,
    form: Form,
    columns: Vec<Heading>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Heading {
    title: String,
    number: bool,
}

#[derive(Serialize)]
struct Row {
    /// How far it is set in.
    depth: u64,
    cells: Vec<String>,
    /// What stands below them.
    rest: Vec<Pair>,
}

/// Puts together what the pages say.
pub fn of(id: Sha256Digest, content: &Content, language: Language, fonts: &Fonts) -> Document {
    let speech = Speech::of(language);
    let mut provenance = tables::provenance(&speech, id, content);
    for (name, digest) in fonts.files() {
        let label = format!("{}\n{name}", speech.title("font"));
        provenance.rows.push(vec![Cell::Text(label), Cell::Text(digest.to_string())]);
    }
    let listed = |name: &str, columns: &[Column], list: &str| {
        // A page is narrow: a column in which nothing stands is left out.
        let is_filled = |(_, sort, pointer): &Column| {
            content.list(list).iter().any(|row| speech.cell(*sort, row.pointer(pointer)) != Cell::Empty)
        };
        let columns: Vec<Column> = columns.iter().copied().filter(is_filled).collect();
        plain(&speech, &speech.table(name, &columns, content.list(list)))
    };
    let (lang, script, region) = match language {
        Language::English => ("en", "latn", "HK"),
        Language::TraditionalChinese => ("zh", "hant", "HK"),
        Language::SimplifiedChinese => ("zh", "hans", "CN"),
    };
    Document {
        title: speech.get("text", "title"),
        font: Fonts::family(language),
        lang,
        script,
        region,
        facts: facts(&speech, content),
        notice: speech.get("text", "indicative"),
        sheets: vec![
            plain(&speech, &tables::totals(&speech, content)),
            breakdown(&speech, content),
            lines(&speech, content),
            listed("flags", &FLAGS, "flags"),
            listed("set-aside", &SET_ASIDE, "set_aside"),
            listed("types", &TYPES, "ip_types"),
            listed("corrections", &CORRECTIONS, "corrections"),
            Sheet { form: Form::Pairs, ..plain(&speech, &provenance) },
        ],
        none: speech.get("text", "none"),
        footer: format!("{} {id}", speech.title("report")),
    }
}

fn facts(speech: &Speech, content: &Content) -> Vec<Pair> {
    let mut facts: Vec<Pair> = FACTS
        .iter()
        .map(|(name, sort, pointer)| {
            (speech.title(name), text(speech, &speech.cell(*sort, content.report.pointer(pointer))))
        })
        .filter(|(_, text)| !text.is_empty())
        .collect();
    let years = content.report.pointer("/query/years").and_then(Value::as_array);
    let years = years.map(|years| years.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
    facts.push((speech.title("years"), years.unwrap_or_else(|| speech.title("all-years"))));
    facts
}

fn plain(speech: &Speech, table: &Table) -> Sheet {
    let is_number = |place: usize| {
        let cells = table.rows.iter().filter_map(|row| row.get(place));
        let mut filled = cells.filter(|cell| **cell != Cell::Empty).peekable();
        filled.peek().is_some() && filled.all(|cell| matches!(cell, Cell::Amount(_) | Cell::Figure(_) | Cell::Count(_)))
    };
    let headings = table.columns.iter().enumerate();
    let rows = table.rows.iter().map(|row| Row {
        depth: 0,
        cells: row.iter().map(|cell| text(speech, cell)).collect(),
        rest: Vec::new(),
    });
    Sheet {
        name: table.name.clone(),
        form: Form::Plain,
        columns: headings.map(|(place, title)| Heading { title: title.clone(), number: is_number(place) }).collect(),
        rows: rows.collect(),
    }
}

/// The breakdown, with what its first column says shown by setting the rows in, and names before ids.
fn breakdown(speech: &Speech, content: &Content) -> Sheet {
    let mut table = tables::breakdown(speech, content);
    table.columns = table.columns.into_iter().skip(1).collect();
    let mut depths = Vec::with_capacity(table.rows.len());
    for row in &mut table.rows {
        depths.push(if let Some(Cell::Count(depth)) = row.first() { *depth } else { 0 });
        *row = row.drain(..).skip(1).collect();
    }
    let names = names(speech, content);
    let mut sheet = Sheet { form: Form::Breakdown, ..plain(speech, &table) };
    for (row, depth) in sheet.rows.iter_mut().zip(depths) {
        row.depth = depth;
        for cell in &mut row.cells {
            if let Some(name) = names.get(cell.as_str()) {
                *cell = format!("{name}\n{cell}");
            }
        }
    }
    sheet
}

/// What the taxpayer and the assets are called, by their ids.
fn names<'a>(speech: &Speech, content: &'a Content) -> BTreeMap<&'a str, String> {
    let assets = content.list("lines").iter().map(|line| (line.pointer("/asset/id"), line.pointer("/asset/title")));
    let taxpayer = (content.report.pointer("/taxpayer/party"), content.report.pointer("/taxpayer/name"));
    let named = |(id, name): (Option<&'a Value>, Option<&Value>)| {
        Some((id?.as_str()?, text(speech, &speech.cell(Sort::Text, name))))
    };
    assets.chain([taxpayer]).filter_map(named).collect()
}

fn lines(speech: &Speech, content: &Content) -> Sheet {
    let said = |line: &Value, (_, sort, pointer): &Column| text(speech, &speech.cell(*sort, line.pointer(pointer)));
    let cell = |line: &Value, names: &[&str]| {
        let parts = names.iter().filter_map(|name| column(name)).map(|column| said(line, column));
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    };
    let is_shown = |name: &str| SHOWN.iter().any(|names| names.contains(&name));
    let rest = |line: &Value| {
        let others = LINES.iter().filter(|(name, ..)| !is_shown(name));
        let pairs = others.map(|column| (speech.title(column.0), said(line, column)));
        pairs.filter(|(_, text)| !text.is_empty()).collect()
    };
    let beside = tables::beside_lines(&content.report);
    let rows = content.list("lines").iter().chain(&beside).map(|line| Row {
        depth: 0,
        cells: SHOWN.iter().map(|names| cell(line, names)).collect(),
        rest: rest(line),
    });
    let heading = |names: &&[&str]| Heading {
        title: names.iter().map(|name| speech.title(name)).collect::<Vec<_>>().join("\n"),
        number: names.iter().filter_map(|name| column(name)).any(|(_, sort, _)| is_number(*sort)),
    };
    Sheet {
        name: speech.get("sheet", "lines"),
        form: Form::Lines,
        columns: SHOWN.iter().map(heading).collect(),
        rows: rows.collect(),
    }
}

const fn is_number(sort: Sort) -> bool {
    matches!(sort, Sort::Amount | Sort::Figure | Sort::Count)
}

fn column(name: &str) -> Option<&'static Column> {
    LINES.iter().find(|(known, ..)| *known == name)
}

fn text(speech: &Speech, cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Amount(amount) => {
            let (sign, figure) = (if *amount < Amount::ZERO { "-" } else { "" }, grouped(amount.decimal()));
            format!("{sign}HK${}", figure.trim_start_matches('-'))
        }
        Cell::Figure(figure) => grouped(*figure),
        Cell::Count(count) => count.to_string(),
        Cell::Date(date) => date.parse::<Date>().map_or_else(|_| date.clone(), |date| speech.words.short_date(date)),
        Cell::Text(text) => text.clone(),
    }
}

/// A number with a comma before every three digits.
fn grouped(figure: Decimal) -> String {
    let text = figure.to_string();
    let (digits, decimals) = text.find('.').map_or((text.as_str(), ""), |point| text.split_at(point));
    let mut grouped = String::with_capacity(text.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        let follow = digits.len() - place;
        if follow.is_multiple_of(3) && grouped.ends_with(|last: char| last.is_ascii_digit()) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + decimals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_that_is_shown_is_one_of_the_lines() {
        for name in SHOWN.concat() {
            assert!(column(name).is_some(), "{name}");
        }
    }

    #[test]
    fn money_is_written_as_people_write_it() {
        let speech = Speech::of(Language::English);
        for (cents, hkd, figure) in [
            (0, "HK$0.00", "0.00"),
            (-1, "-HK$0.01", "-0.01"),
            (99_999, "HK$999.99", "999.99"),
            (-100_000, "-HK$1,000.00", "-1,000.00"),
            (12_345_678_950, "HK$123,456,789.50", "123,456,789.50"),
        ] {
            let amount = Amount::from_cents(cents);
            assert_eq!(text(&speech, &Cell::Amount(amount)), hkd);
            assert_eq!(text(&speech, &Cell::Figure(amount.decimal())), figure);
        }
        assert_eq!(text(&speech, &Cell::Date("2026-02-30".to_owned())), "2026-02-30");
    }
}
