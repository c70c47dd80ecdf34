//! Tables of a report: what a reader sees, in their language, with the type of every cell.

use chopmark_core::digest::Sha256Digest;
use chopmark_core::money::Amount;
use chopmark_core::tax::words::{Group, Language, say};
use chopmark_core::terms::vocabulary::Language as TermsLanguage;
use chopmark_core::terms::words::Words;
use serde_json::Value;

use crate::reports::kept::Content;

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// Hong Kong dollars, to the cent.
    Amount(Amount),
    /// Money in the currency that stands beside it.
    Figure(Amount),
    /// A number of things, or a place in the log.
    Count(u64),
    /// A civil date, `2026-05-02`.
    Date(String),
    /// A text, whatever it looks like.
    Text(String),
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    /// What it is called; at most 31 characters.
    pub name: String,
    /// What its columns are called.
    pub columns: Vec<String>,
    /// Its rows; each has a cell for every column.
    pub rows: Vec<Vec<Cell>>,
}

/// Words for a table.
pub(super) struct Speech {
    pub(super) words: Words,
    pub(super) language: Language,
}

/// What a column of the lines shows: its name in the word list, and where in a line it stands.
pub(super) type Column = (&'static str, Sort, &'static str);

/// What sort of cell.
#[derive(Clone, Copy)]
pub(super) enum Sort {
    Text,
    Amount,
    /// Money in whatever currency.
    Figure,
    Count,
    Date,
    Flag,
    /// A code, in words.
    Word(Group),
    /// A code of ours that is no tax word.
    Own(&'static str),
    /// A list, one after another.
    List,
}

pub(super) const LINES: [Column; 38] = [
    ("line", Sort::Count, "/line"),
    ("year", Sort::Text, "/year"),
    ("basis-from", Sort::Date, "/basis_period/from"),
    ("basis-to", Sort::Date, "/basis_period/to"),
    ("brn", Sort::Text, "/brn"),
    ("kind", Sort::Word(Group::Kind), "/kind"),
    ("amount", Sort::Amount, "/amount"),
    ("section", Sort::Text, "/section"),
    ("ip-type", Sort::Word(Group::IpType), "/ip_type"),
    ("asset", Sort::Text, "/asset/title"),
    ("asset-place", Sort::Text, "/asset/jurisdiction"),
    ("registration", Sort::Text, "/asset/registration_number"),
    ("protection-ends", Sort::Date, "/asset/protection_ends"),
    ("nature", Sort::Own("nature"), "/payment/nature"),
    ("paid-on", Sort::Date, "/payment/date"),
    ("counterparty", Sort::Text, "/payment/counterparty/name"),
    ("residence", Sort::Text, "/payment/counterparty/residence"),
    ("associate", Sort::Flag, "/payment/counterparty/associate"),
    ("document", Sort::Text, "/payment/document"),
    ("file", Sort::Text, "/payment/file"),
    ("gross", Sort::Figure, "/payment/gross"),
    ("currency", Sort::Text, "/payment/currency"),
    ("rate", Sort::Text, "/payment/rate/rate"),
    ("rate-source", Sort::Text, "/payment/rate/source"),
    ("hkd", Sort::Amount, "/payment/hkd"),
    ("withheld", Sort::Figure, "/payment/withheld"),
    ("attested-by", Sort::Own("attested"), "/payment/attested_by"),
    ("status", Sort::Own("entry"), "/status"),
    ("slice", Sort::Text, "/slice"),
    ("use-fraction", Sort::Text, "/use_fraction"),
    ("cumulative", Sort::Amount, "/cumulative"),
    ("unallowed", Sort::Amount, "/unallowed"),
    ("reason", Sort::Word(Group::Reason), "/reason"),
    ("rule", Sort::Text, "/rule"),
    ("rule-status", Sort::Word(Group::Status), "/rule_status"),
    ("citation", Sort::Text, "/citation"),
    ("needs-review", Sort::Flag, "/needs_review"),
    ("entries", Sort::List, "/entries"),
];

pub(super) const CORRECTIONS: [Column; 8] = [
    ("kind-of-entry", Sort::Own("entry-kind"), "/kind"),
    ("before", Sort::Count, "/before"),
    ("after", Sort::Count, "/after"),
    ("correction-reason", Sort::Own("correction"), "/reason"),
    ("status", Sort::Own("entry"), "/status"),
    ("amount-before", Sort::Figure, "/amount_before"),
    ("amount-after", Sort::Figure, "/amount_after"),
    ("correction", Sort::Text, "/correction"),
];

pub(super) const TYPES: [Column; 5] = [
    ("year", Sort::Text, "/year"),
    ("ip-type", Sort::Word(Group::IpType), "/ip_type"),
    ("element", Sort::Text, "/element"),
    ("deduction", Sort::Amount, "/deduction"),
    ("return-value", Sort::Amount, "/value"),
];

const SUMS: [(&str, &str); 4] = [
    ("deduction", "/totals/deduction"),
    ("receipt", "/totals/receipt"),
    ("withholding", "/totals/withholding"),
    ("concession", "/totals/concession"),
];

impl Speech {
    pub(super) fn of(language: Language) -> Self {
        let spoken = match language {
            Language::English => TermsLanguage::English,
            Language::TraditionalChinese => TermsLanguage::TraditionalChinese,
            Language::SimplifiedChinese => TermsLanguage::SimplifiedChinese,
        };
        Self { words: Words::of(spoken), language }
    }

    pub(super) fn get(&self, group: &str, code: &str) -> String {
        self.words.get(&format!("{group}-{}", code.replace('_', "-")))
    }

    pub(super) fn title(&self, name: &str) -> String {
        self.get("column", name)
    }

    pub(super) fn cell(&self, sort: Sort, value: Option<&Value>) -> Cell {
        let Some(value) = value.filter(|value| !value.is_null()) else { return Cell::Empty };
        let text = || match value {
            Value::String(text) => text.clone(),
            Value::Object(names) => self.name(names),
            other => other.to_string(),
        };
        match sort {
            Sort::Text => Cell::Text(text()),
            Sort::Amount => amount(&text()).map_or_else(|| Cell::Text(text()), Cell::Amount),
            Sort::Figure => amount(&text()).map_or_else(|| Cell::Text(text()), Cell::Figure),
            Sort::Count => value.as_u64().map_or_else(|| Cell::Text(text()), Cell::Count),
            Sort::Date => Cell::Date(text()),
            Sort::Flag => Cell::Text(self.get("answer", if value.as_bool() == Some(true) { "yes" } else { "no" })),
            Sort::Word(group) => Cell::Text(say(group, &text(), self.language)),
            Sort::Own(group) => Cell::Text(self.get(group, &text())),
            Sort::List => {
                let items = value.as_array().map_or(&[][..], Vec::as_slice);
                Cell::Text(items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
            }
        }
    }

    /// A name in the reader's language, or else in any.
    fn name(&self, names: &serde_json::Map<String, Value>) -> String {
        let own = names.get(self.language.tag()).or_else(|| names.get("en")).or_else(|| names.values().next());
        own.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub(super) fn table(&self, name: &str, columns: &[Column], rows: &[Value]) -> Table {
        let row =
            |value: &Value| columns.iter().map(|(_, sort, pointer)| self.cell(*sort, value.pointer(pointer))).collect();
        Table {
            name: self.get("sheet", name),
            columns: columns.iter().map(|(title, ..)| self.title(title)).collect(),
            rows: rows.iter().map(row).collect(),
        }
    }
}

/// An amount, which may be less than nothing.
pub(super) fn amount(text: &str) -> Option<Amount> {
    match text.strip_prefix('-') {
        Some(positive) => Amount::ZERO.minus(Amount::parse(positive).ok()?).ok(),
        None => Amount::parse(text).ok(),
    }
}

/// The lines alone.
pub fn lines(content: &Content, language: Language) -> Table {
    Speech::of(language).table("lines", &LINES, content.list("lines"))
}

/// Every sheet of a workbook.
pub fn all(id: Sha256Digest, content: &Content, language: Language) -> Vec<Table> {
    let speech = Speech::of(language);
    vec![
        speech.table("lines", &LINES, content.list("lines")),
        totals(&speech, content),
        breakdown(&speech, content),
        speech.table("corrections", &CORRECTIONS, content.list("corrections")),
        speech.table("types", &TYPES, content.list("ip_types")),
        provenance(&speech, id, content),
    ]
}

fn sums(speech: &Speech, node: &Value) -> impl Iterator<Item = Cell> {
    SUMS.map(|(_, pointer)| speech.cell(Sort::Amount, node.pointer(pointer))).into_iter()
}

fn sum_titles(speech: &Speech) -> impl Iterator<Item = String> {
    SUMS.map(|(name, _)| speech.title(name)).into_iter()
}

fn below(node: &Value) -> &[Value] {
    node.get("below").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// One row for each year, and one for all.
pub(super) fn totals(speech: &Speech, content: &Content) -> Table {
    let root = content.report.get("breakdown").cloned().unwrap_or_default();
    let mut rows = Vec::new();
    for year in below(&root).iter().flat_map(below) {
        rows.push([speech.cell(Sort::Text, year.get("key"))].into_iter().chain(sums(speech, year)).collect());
    }
    rows.push([Cell::Text(speech.title("all-years"))].into_iter().chain(sums(speech, &root)).collect());
    Table {
        name: speech.get("sheet", "totals"),
        columns: [speech.title("year")].into_iter().chain(sum_titles(speech)).collect(),
        rows,
    }
}

/// Every node, each after the one it is part of.
pub(super) fn breakdown(speech: &Speech, content: &Content) -> Table {
    let root = content.report.get("breakdown").cloned().unwrap_or_default();
    let mut rows = Vec::new();
    // Depths are few: a level for each of eight.
    let mut waiting = vec![(0_u64, &root)];
    while let Some((depth, node)) = waiting.pop() {
        let level = node.get("level").and_then(Value::as_str).unwrap_or_default();
        let key = match level {
            "ip_type" => speech.cell(Sort::Word(Group::IpType), node.get("key")),
            _ => speech.cell(Sort::Text, node.get("key")),
        };
        let head = [Cell::Count(depth), Cell::Text(speech.get("level", level)), key];
        let lines = speech.cell(Sort::List, node.get("lines"));
        rows.push(head.into_iter().chain(sums(speech, node)).chain([lines]).collect());
        waiting.extend(below(node).iter().rev().map(|node| (depth + 1, node)));
    }
    let titles = ["depth", "level", "key"].map(|name| speech.title(name));
    let columns = titles.into_iter().chain(sum_titles(speech)).chain([speech.title("lines")]).collect();
    Table { name: speech.get("sheet", "breakdown"), columns, rows }
}

/// What it is, of what, and how to check it.
pub(super) fn provenance(speech: &Speech, id: Sha256Digest, content: &Content) -> Table {
    let value = |pointer: &str| content.report.pointer(pointer);
    let mut rows = vec![vec![Cell::Text(speech.title("report")), Cell::Text(id.to_string())]];
    for (name, sort, pointer) in [
        ("taxpayer", Sort::Text, "/taxpayer/name"),
        ("taxpayer-party", Sort::Text, "/taxpayer/party"),
        ("brn", Sort::Text, "/taxpayer/brn"),
        ("file-number", Sort::Text, "/taxpayer/file_number"),
        ("registry", Sort::Text, "/checkpoint/origin"),
        ("genesis", Sort::Text, "/registry/genesis"),
        ("size", Sort::Count, "/checkpoint/size"),
        ("root", Sort::Text, "/checkpoint/root"),
        ("jurisdiction", Sort::Text, "/jurisdiction"),
        ("rules-digest", Sort::Text, "/rules_digest"),
        ("openings-digest", Sort::Text, "/openings_digest"),
    ] {
        rows.push(vec![Cell::Text(speech.title(name)), speech.cell(sort, value(pointer))]);
    }
    let query = value("/query").map(ToString::to_string).unwrap_or_default();
    for (name, text) in [
        ("query", query),
        ("set-aside", content.list("set_aside").len().to_string()),
        ("signature", content.note.clone()),
        ("how-to-check", speech.get("text", "how-to-check")),
        ("indicative", speech.get("text", "indicative")),
    ] {
        rows.push(vec![Cell::Text(speech.title(name)), Cell::Text(text)]);
    }
    Table {
        name: speech.get("sheet", "provenance"),
        columns: ["what", "value"].map(|name| speech.title(name)).to_vec(),
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_said_has_words_in_every_language() {
        for language in Language::ALL {
            let speech = Speech::of(language);
            let columns = LINES.iter().chain(&CORRECTIONS).chain(&TYPES).map(|(name, ..)| *name);
            let named = columns.chain(SUMS.map(|(name, _)| name)).chain([
                "all-years",
                "depth",
                "level",
                "key",
                "lines",
                "years",
                "flag",
                "flags",
                "meaning",
                "font",
            ]);
            for name in named {
                assert_ne!(speech.title(name), format!("column-{name}"), "{language:?}");
            }
            for name in ["lines", "totals", "breakdown", "corrections", "types", "flags", "provenance"] {
                let sheet = speech.get("sheet", name);
                assert!(sheet != format!("sheet-{name}") && sheet.chars().count() <= 31, "{sheet}");
            }
        }
    }

    #[test]
    fn amounts_are_read_with_their_sign() {
        for (text, cents) in
            [("1200.50", Some(120_050)), ("-0.01", Some(-1)), ("5", Some(500)), ("x", None), ("--1", None)]
        {
            assert_eq!(amount(text).map(Amount::cents), cents, "{text}");
        }
    }

    #[test]
    fn codes_of_payments_entries_and_corrections_have_words() {
        use chopmark_core::expenditure::{CorrectionReason, Nature};
        let code = |value: Value| value.as_str().unwrap().to_owned();
        for language in Language::ALL {
            let speech = Speech::of(language);
            let reasons =
                CorrectionReason::ALL.map(|reason| ("correction", code(serde_json::to_value(reason).unwrap())));
            let natures = Nature::ALL.map(|nature| ("nature", nature.as_str().to_owned()));
            let others = [
                ("entry", "active"),
                ("entry", "corrected"),
                ("entry", "reversed"),
                ("attested", "payer"),
                ("attested", "payee"),
                ("attested", "both"),
                ("answer", "yes"),
                ("answer", "no"),
                ("entry-kind", "asset"),
                ("entry-kind", "expenditure"),
                ("entry-kind", "use"),
                ("level", "jurisdiction"),
                ("level", "taxpayer"),
                ("level", "year"),
                ("level", "ip_type"),
                ("level", "section"),
                ("level", "asset"),
                ("level", "entry"),
                ("level", "document"),
                ("text", "how-to-check"),
                ("text", "indicative"),
                ("text", "title"),
                ("text", "none"),
            ];
            let others = others.map(|(group, code)| (group, code.to_owned()));
            for (group, code) in reasons.into_iter().chain(natures).chain(others) {
                let key = format!("{group}-{}", code.replace('_', "-"));
                assert_ne!(speech.get(group, &code), key, "{language:?}");
            }
        }
    }
}
