//! Tables of a report: what a reader sees, in their language, with the type of every cell.

use std::collections::{BTreeMap, BTreeSet};

use chopmark_core::digest::Sha256Digest;
use chopmark_core::money::{Amount, Decimal, HKD_DECIMALS, RATE_DECIMALS_MAX};
use chopmark_core::tax::words::{Group, Language, say};
use chopmark_core::terms::vocabulary::Language as TermsLanguage;
use chopmark_core::terms::words::Words;
use serde_json::{Value, json};

use crate::reports::kept::Content;

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// Hong Kong dollars, to the cent.
    Amount(Amount),
    /// Money in the currency that stands beside it, or a part of something, with its own decimals.
    Figure(Decimal),
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
    /// Money in whatever currency, or a part of something.
    Figure,
    Count,
    /// A number of `1/5`: the first or the second.
    Part(usize),
    Date,
    Flag,
    /// A code, in words.
    Word(Group),
    /// A code of ours that is no tax word.
    Own(&'static str),
    /// A rate of exchange, with what it is of and in what.
    Rate,
    /// A list, one after another.
    List,
}

pub(super) const LINES: [Column; 48] = [
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
    ("role", Sort::Own("attested"), "/payment/role"),
    ("paid-on", Sort::Date, "/payment/date"),
    ("counterparty", Sort::Text, "/payment/counterparty/name"),
    ("residence", Sort::Text, "/payment/counterparty/residence"),
    ("associate", Sort::Flag, "/payment/counterparty/associate"),
    ("document", Sort::Text, "/payment/document"),
    ("file", Sort::Text, "/payment/file"),
    ("gross", Sort::Figure, "/payment/gross"),
    ("currency", Sort::Text, "/payment/currency"),
    ("credited", Sort::Figure, "/payment/credited"),
    ("rate", Sort::Rate, "/payment/rate"),
    ("rate-date", Sort::Date, "/payment/rate/date"),
    ("rate-source", Sort::Text, "/payment/rate/source"),
    ("hkd", Sort::Amount, "/payment/hkd"),
    ("withheld", Sort::Figure, "/payment/withheld"),
    ("withholding-head", Sort::Text, "/withholding/head"),
    ("deemed-rate", Sort::Figure, "/withholding/deemed_rate"),
    ("treaty-cap", Sort::Figure, "/withholding/treaty_cap"),
    ("attested-by", Sort::Own("attested"), "/payment/attested_by"),
    ("status", Sort::Own("entry"), "/status"),
    ("slice", Sort::Part(0), "/slice"),
    ("slices", Sort::Part(1), "/slice"),
    ("use-fraction", Sort::Figure, "/use_fraction"),
    ("cumulative", Sort::Amount, "/cumulative"),
    ("unallowed", Sort::Amount, "/unallowed"),
    ("reason", Sort::Word(Group::Reason), "/reason"),
    ("rule", Sort::Text, "/rule"),
    ("rule-status", Sort::Word(Group::Status), "/rule_status"),
    ("citation", Sort::Text, "/citation"),
    ("needs-review", Sort::Flag, "/needs_review"),
    ("flags", Sort::List, "/flags"),
    ("not-taken-in", Sort::Own("aside"), "/set_aside/code"),
    ("details", Sort::Text, "/set_aside/reason"),
    ("entries", Sort::List, "/entries"),
];

pub(super) const FLAGS: [Column; 4] = [
    ("flag", Sort::Text, "/code"),
    ("meaning", Sort::Word(Group::Flag), "/code"),
    ("year", Sort::Text, "/year"),
    ("entries", Sort::List, "/entries"),
];

pub(super) const SET_ASIDE: [Column; 3] = [
    ("entry", Sort::Count, "/index"),
    ("not-taken-in", Sort::Own("aside"), "/code"),
    ("details", Sort::Text, "/reason"),
];

pub(super) const CORRECTIONS: [Column; 13] = [
    ("kind-of-entry", Sort::Own("entry-kind"), "/kind"),
    ("before", Sort::Count, "/before"),
    ("after", Sort::Count, "/after"),
    ("correction-reason", Sort::Own("correction"), "/reason"),
    ("status", Sort::Own("entry"), "/status"),
    ("changed", Sort::List, "/changed"),
    ("amount-before", Sort::Figure, "/amount_before"),
    ("currency-before", Sort::Text, "/currency_before"),
    ("amount-after", Sort::Figure, "/amount_after"),
    ("currency-after", Sort::Text, "/currency_after"),
    ("fraction-before", Sort::Figure, "/fraction_before"),
    ("fraction-after", Sort::Figure, "/fraction_after"),
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
            Sort::Figure => figure(&text()).map_or_else(|| Cell::Text(text()), Cell::Figure),
            Sort::Count => value.as_u64().map_or_else(|| Cell::Text(text()), Cell::Count),
            Sort::Part(place) => {
                let part = value.as_str().and_then(|text| text.split('/').nth(place)?.parse().ok());
                part.map_or_else(|| Cell::Text(text()), Cell::Count)
            }
            Sort::Date => Cell::Date(text()),
            Sort::Flag => Cell::Text(self.get("answer", if value.as_bool() == Some(true) { "yes" } else { "no" })),
            Sort::Word(group) => Cell::Text(say(group, &text(), self.language)),
            Sort::Own(group) => Cell::Text(self.get(group, &text())),
            Sort::Rate => {
                let part = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
                Cell::Text(format!("{} {} = {} {}", part("units"), part("from"), part("rate"), part("to")))
            }
            Sort::List => match value.as_array().map_or(&[][..], Vec::as_slice) {
                [] => Cell::Empty,
                [only] if only.is_u64() => Cell::Count(only.as_u64().unwrap_or_default()),
                // Nothing that a spreadsheet could take for one number.
                items => Cell::Text(items.iter().map(item).collect::<Vec<_>>().join("; ")),
            },
        }
    }

    /// A name in the reader's language, or else in any.
    fn name(&self, names: &serde_json::Map<String, Value>) -> String {
        let own = names.get(self.language.tag()).or_else(|| names.get("en")).or_else(|| names.values().next());
        own.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub(super) fn table<'a>(&self, name: &str, columns: &[Column], rows: impl IntoIterator<Item = &'a Value>) -> Table {
        let row =
            |value: &Value| columns.iter().map(|(_, sort, pointer)| self.cell(*sort, value.pointer(pointer))).collect();
        Table {
            name: self.get("sheet", name),
            columns: columns.iter().map(|(title, ..)| self.title(title)).collect(),
            rows: rows.into_iter().map(row).collect(),
        }
    }
}

/// An item of a list: a text, or a number.
pub(super) fn item(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Most digits before the point of a figure: those of the largest sum.
const DIGITS_MAX: usize = 38;

/// A decimal number, which may be less than nothing.
fn figure(text: &str) -> Option<Decimal> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let read = Decimal::parse_within(digits, DIGITS_MAX, RATE_DECIMALS_MAX).ok()?;
    Some(Decimal { mantissa: read.mantissa.checked_mul(sign)?, ..read })
}

/// An amount, which may be less than nothing.
pub fn amount(text: &str) -> Option<Amount> {
    figure(text)?.units(HKD_DECIMALS).map(Amount::from_cents)
}

/// What a report holds that is in none of its lines, as rows of the same columns: payments that no line rests on, and entries
/// that were not taken in. None of them has a number or an amount.
pub(super) fn beside_lines(report: &Value) -> Vec<Value> {
    let list = |name: &str| report.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let index = |of: &Value| of.get("index").and_then(Value::as_u64);
    let under = list("lines").iter().filter_map(|line| line.get("entries")?.as_array()).flatten();
    let under: BTreeSet<u64> = under.filter_map(Value::as_u64).collect();
    // By their places in the log.
    let mut rows: BTreeMap<Option<u64>, (Option<&Value>, Option<&Value>)> = BTreeMap::new();
    for payment in list("payments").iter().filter(|payment| index(payment).is_none_or(|index| !under.contains(&index)))
    {
        rows.entry(index(payment)).or_default().0 = Some(payment);
    }
    for set_aside in list("set_aside") {
        rows.entry(index(set_aside)).or_default().1 = Some(set_aside);
    }
    let (taxpayer, brn) = (report.pointer("/taxpayer/party"), report.pointer("/taxpayer/brn"));
    let row = |(index, (payment, set_aside)): (Option<u64>, (Option<&Value>, Option<&Value>))| {
        let of_payment = |name: &str| payment.and_then(|payment| payment.get(name));
        json!({
            "taxpayer": taxpayer,
            "brn": brn,
            "year": of_payment("year"),
            "ip_type": of_payment("ip_type"),
            "status": of_payment("status"),
            "payment": payment,
            "set_aside": set_aside,
            "entries": index.into_iter().collect::<Vec<_>>(),
        })
    };
    rows.into_iter().map(row).collect()
}

/// The lines, and what is beside them.
pub fn lines(content: &Content, language: Language) -> Table {
    let beside = beside_lines(&content.report);
    Speech::of(language).table("lines", &LINES, content.list("lines").iter().chain(&beside))
}

/// Every sheet of a workbook.
pub fn all(id: Sha256Digest, content: &Content, language: Language) -> Vec<Table> {
    let speech = Speech::of(language);
    vec![
        lines(content, language),
        totals(&speech, content),
        breakdown(&speech, content),
        speech.table("flags", &FLAGS, content.list("flags")),
        speech.table("set-aside", &SET_ASIDE, content.list("set_aside")),
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
            let columns = LINES.iter().chain(&FLAGS).chain(&SET_ASIDE).chain(&CORRECTIONS).chain(&TYPES);
            let columns = columns.map(|(name, ..)| *name);
            let named = columns.chain(SUMS.map(|(name, _)| name)).chain([
                "all-years",
                "depth",
                "level",
                "key",
                "lines",
                "years",
                "font",
            ]);
            for name in named {
                assert_ne!(speech.title(name), format!("column-{name}"), "{language:?}");
            }
            for name in ["lines", "totals", "breakdown", "corrections", "types", "flags", "set-aside", "provenance"] {
                let sheet = speech.get("sheet", name);
                assert!(sheet != format!("sheet-{name}") && sheet.chars().count() <= 31, "{sheet}");
            }
        }
    }

    #[test]
    fn amounts_are_read_with_their_sign() {
        let largest = "999999999999999999999999999999999999.99";
        for (text, cents) in [
            ("1200.50", Some(120_050)),
            ("-0.01", Some(-1)),
            ("5", Some(500)),
            (largest, Some(10_i128.pow(38) - 1)),
            ("x", None),
            ("--1", None),
            ("1.001", None),
        ] {
            assert_eq!(amount(text).map(Amount::cents), cents, "{text}");
        }
    }

    #[test]
    fn cells_are_what_they_are_of() {
        let speech = Speech::of(Language::English);
        let figure = |mantissa, decimals| Cell::Figure(Decimal { mantissa, decimals });
        let rate = json!({ "from": "HKD", "units": "100", "to": "CNY", "rate": "90.8419", "source": null });
        for (sort, value, expected) in [
            (Sort::Figure, json!("1.234"), figure(1_234, 3)),
            (Sort::Figure, json!("1200"), figure(1_200, 0)),
            (Sort::Part(0), json!("1/5"), Cell::Count(1)),
            (Sort::Part(1), json!("1/5"), Cell::Count(5)),
            (Sort::Rate, rate, Cell::Text("100 HKD = 90.8419 CNY".to_owned())),
            (Sort::List, json!([7]), Cell::Count(7)),
            (Sort::List, json!([4, 7]), Cell::Text("4; 7".to_owned())),
            (Sort::List, json!(["UNCONFIRMED", "DEEMED_100"]), Cell::Text("UNCONFIRMED; DEEMED_100".to_owned())),
            (Sort::List, json!([]), Cell::Empty),
        ] {
            assert_eq!(speech.cell(sort, Some(&value)), expected, "{value}");
        }
    }

    #[test]
    fn what_is_in_no_line_has_a_row() {
        let report = json!({
            "taxpayer": { "party": "ab", "brn": null },
            "lines": [{ "line": 1, "entries": [4, 9] }],
            "payments": [
                { "index": 4, "year": "2026/27" },
                { "index": 7, "year": "2026/27", "status": "reversed" },
                { "index": 8, "year": "2025/26", "status": "active" },
            ],
            "set_aside": [
                { "index": 8, "code": "rate_missing", "reason": "no rate of USD" },
                { "index": 12, "code": "gone", "reason": "no asset" },
            ],
        });
        let rows = beside_lines(&report);
        let shown = |row: &Value| (row["entries"][0].clone(), row["year"].clone(), row["set_aside"]["code"].clone());
        assert_eq!(
            rows.iter().map(shown).collect::<Vec<_>>(),
            [
                (json!(7), json!("2026/27"), Value::Null),
                (json!(8), json!("2025/26"), json!("rate_missing")),
                (json!(12), Value::Null, json!("gone")),
            ]
        );
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
                ("aside", "not_opened"),
                ("aside", "bad_figure"),
                ("aside", "rate_missing"),
                ("aside", "credit_mismatch"),
                ("aside", "gone"),
                ("aside", "conflict"),
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
