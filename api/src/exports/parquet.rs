//! Lines as Apache Parquet, for programs that add up millions of them: codes rather than words, amounts as decimals, a row
//! group for each year. The columns are those of [`COLUMNS`]; `docs/formats/expenditure.md` lists them.
//!
//! Rows come as a report writes its lines, in JSON, so that there is one way from a line to a cell. Payments without a line and
//! entries that were set aside are rows without a number and an amount.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use chopmark_core::money::Amount;
use parquet::basic::Compression;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::Value;

use super::tables::{amount, beside_lines, item};

/// What the schema is called, and with it the version of the columns.
const MESSAGE: &str = "chopmark_ip_expenditure_line_v2";

/// Most rows of a row group: what readers work through at a time.
pub const GROUP_ROWS_MAX: usize = 122_880;

/// The least amount in cents that has more digits than a decimal of 16 bytes holds: 38 of them.
const CENTS_END: u128 = 10_u128.pow(38);

/// What is in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// A text or a code.
    Text,
    /// Money, to the cent.
    Money,
    /// A number of things.
    Count,
    /// A civil date.
    Date,
    /// Yes or no.
    Flag,
    /// Several numbers or codes, with spaces between.
    List,
}

/// Name, what is in it, where in a line it stands, and whether every line has it.
type Column = (&'static str, Sort, &'static str, bool);

/// The columns, in order.
const COLUMNS: [Column; 50] = [
    ("taxpayer", Sort::Text, "/taxpayer", true),
    ("tax_jurisdiction", Sort::Text, "/tax_jurisdiction", true),
    ("year", Sort::Text, "/year", false),
    ("line", Sort::Count, "/line", false),
    ("brn", Sort::Text, "/brn", false),
    ("kind", Sort::Text, "/kind", false),
    ("amount", Sort::Money, "/amount", false),
    ("section", Sort::Text, "/section", false),
    ("ip_type", Sort::Text, "/ip_type", false),
    ("asset", Sort::Text, "/asset/id", false),
    ("asset_jurisdiction", Sort::Text, "/asset/jurisdiction", false),
    ("registration_number", Sort::Text, "/asset/registration_number", false),
    ("protection_ends", Sort::Date, "/asset/protection_ends", false),
    ("nature", Sort::Text, "/payment/nature", false),
    ("role", Sort::Text, "/payment/role", false),
    ("paid_on", Sort::Date, "/payment/date", false),
    ("counterparty", Sort::Text, "/payment/counterparty/party", false),
    ("counterparty_name", Sort::Text, "/payment/counterparty/name", false),
    ("residence", Sort::Text, "/payment/counterparty/residence", false),
    ("is_associate", Sort::Flag, "/payment/counterparty/associate", false),
    ("document", Sort::Text, "/payment/document", false),
    ("document_sha256", Sort::Text, "/payment/file", false),
    ("currency", Sort::Text, "/payment/currency", false),
    ("gross", Sort::Text, "/payment/gross", false),
    ("credited", Sort::Text, "/payment/credited", false),
    ("rate_units", Sort::Text, "/payment/rate/units", false),
    ("rate_from", Sort::Text, "/payment/rate/from", false),
    ("rate", Sort::Text, "/payment/rate/rate", false),
    ("rate_to", Sort::Text, "/payment/rate/to", false),
    ("rate_source", Sort::Text, "/payment/rate/source", false),
    ("rate_date", Sort::Date, "/payment/rate/date", false),
    ("hkd", Sort::Money, "/payment/hkd", false),
    ("withheld", Sort::Text, "/payment/withheld", false),
    ("withholding_head", Sort::Text, "/withholding/head", false),
    ("deemed_rate", Sort::Text, "/withholding/deemed_rate", false),
    ("treaty_cap", Sort::Text, "/withholding/treaty_cap", false),
    ("attested_by", Sort::Text, "/payment/attested_by", false),
    ("status", Sort::Text, "/status", false),
    ("slice", Sort::Text, "/slice", false),
    ("use_fraction", Sort::Text, "/use_fraction", false),
    ("cumulative", Sort::Money, "/cumulative", false),
    ("unallowed", Sort::Money, "/unallowed", false),
    ("reason", Sort::Text, "/reason", false),
    ("rule", Sort::Text, "/rule", false),
    ("rule_status", Sort::Text, "/rule_status", false),
    ("citation", Sort::Text, "/citation", false),
    ("needs_review", Sort::Flag, "/needs_review", false),
    ("flags", Sort::List, "/flags", false),
    ("set_aside", Sort::Text, "/set_aside/code", false),
    ("entries", Sort::List, "/entries", true),
];

/// The schema, as Parquet writes schemas.
fn schema() -> String {
    let column = |(name, sort, _, is_required): &Column| {
        let repetition = if *is_required { "REQUIRED" } else { "OPTIONAL" };
        match sort {
            Sort::Text | Sort::List => format!("{repetition} BYTE_ARRAY {name} (STRING);"),
            // Whatever the engine computes: eight bytes hold 18 digits, and a payment may have 20.
            Sort::Money => format!("{repetition} FIXED_LEN_BYTE_ARRAY(16) {name} (DECIMAL(38,2));"),
            Sort::Count => format!("{repetition} INT64 {name};"),
            Sort::Date => format!("{repetition} INT32 {name} (DATE);"),
            Sort::Flag => format!("{repetition} BOOLEAN {name};"),
        }
    };
    format!("message {MESSAGE} {{ {} }}", COLUMNS.iter().map(column).collect::<Vec<_>>().join(" "))
}

/// Why lines can't be written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A line has something that its column can't hold.
    #[error("line {line}, {column}: {value} is not what this column holds")]
    Value {
        /// The column.
        column: &'static str,
        /// The line.
        line: Value,
        /// What stands there.
        value: Value,
    },
    /// The file can't be written.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
}

/// Cells of one column that are there.
enum Cells {
    Texts(Vec<ByteArray>),
    Money(Vec<FixedLenByteArray>),
    Counts(Vec<i64>),
    Days(Vec<i32>),
    Flags(Vec<bool>),
}

impl Cells {
    const fn of(sort: Sort) -> Self {
        match sort {
            Sort::Text | Sort::List => Self::Texts(Vec::new()),
            Sort::Money => Self::Money(Vec::new()),
            Sort::Count => Self::Counts(Vec::new()),
            Sort::Date => Self::Days(Vec::new()),
            Sort::Flag => Self::Flags(Vec::new()),
        }
    }

    /// Adds a cell; `None` when it is not one of this column.
    fn push(&mut self, sort: Sort, value: &Value) -> Option<()> {
        match self {
            Self::Texts(texts) => texts.push(text(sort, value)?.as_str().into()),
            Self::Money(amounts) => {
                let cents =
                    amount(value.as_str()?).map(Amount::cents).filter(|cents| cents.unsigned_abs() < CENTS_END)?;
                amounts.push(ByteArray::from(cents.to_be_bytes().to_vec()).into());
            }
            Self::Counts(counts) => counts.push(value.as_i64()?),
            Self::Days(days) => days.push(day(value.as_str()?)?),
            Self::Flags(flags) => flags.push(value.as_bool()?),
        }
        Some(())
    }

    /// Writes the cells and forgets them.
    fn write(&mut self, writer: &mut SerializedColumnWriter<'_>, levels: Option<&[i16]>) -> Result<(), ParquetError> {
        match self {
            Self::Texts(texts) => {
                writer.typed::<ByteArrayType>().write_batch(texts, levels, None)?;
                texts.clear();
            }
            Self::Money(amounts) => {
                writer.typed::<FixedLenByteArrayType>().write_batch(amounts, levels, None)?;
                amounts.clear();
            }
            Self::Counts(counts) => {
                writer.typed::<Int64Type>().write_batch(counts, levels, None)?;
                counts.clear();
            }
            Self::Days(days) => {
                writer.typed::<Int32Type>().write_batch(days, levels, None)?;
                days.clear();
            }
            Self::Flags(flags) => {
                writer.typed::<BoolType>().write_batch(flags, levels, None)?;
                flags.clear();
            }
        }
        Ok(())
    }
}

fn text(sort: Sort, value: &Value) -> Option<String> {
    match value {
        Value::Array(items) if sort == Sort::List => Some(items.iter().map(item).collect::<Vec<_>>().join(" ")),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// Days since 1 January 1970.
fn day(text: &str) -> Option<i32> {
    let date: chrono::NaiveDate = text.parse().ok()?;
    date.signed_duration_since(chrono::NaiveDate::default()).num_days().try_into().ok()
}

/// A column, and which rows have a cell in it.
struct Buffer {
    column: Column,
    cells: Cells,
    levels: Vec<i16>,
}

/// A file that grows line by line.
pub struct Table<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    buffers: Vec<Buffer>,
    /// Rows that wait for the end of their group.
    waiting: usize,
    rows: u64,
}

impl<W: Write + Send> Table<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn new(sink: W) -> Result<Self, TableError> {
        let schema = Arc::new(parse_message_type(&schema())?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_created_by(concat!("chopmark ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = SerializedFileWriter::new(sink, schema, Arc::new(properties))?;
        let buffer = |column: Column| Buffer { column, cells: Cells::of(column.1), levels: Vec::new() };
        Ok(Self { writer, buffers: COLUMNS.map(buffer).into_iter().collect(), waiting: 0, rows: 0 })
    }

    /// Rows so far.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds a line of a report of this jurisdiction.
    ///
    /// # Errors
    /// [`TableError::Value`] names a cell that its column can't hold; otherwise when the file can't be written.
    pub fn push(&mut self, jurisdiction: &Value, line: &Value) -> Result<(), TableError> {
        for Buffer { column: (name, sort, pointer, is_required), cells, levels } in &mut self.buffers {
            let value = if *pointer == "/tax_jurisdiction" { Some(jurisdiction) } else { line.pointer(pointer) };
            let value = value.filter(|value| !value.is_null());
            let put = match value {
                Some(value) => cells.push(*sort, value),
                None => (!*is_required).then_some(()),
            };
            if put.is_none() {
                let number = line.get("line").cloned().unwrap_or_default();
                let value = value.cloned().unwrap_or_default();
                return Err(TableError::Value { column: name, line: number, value });
            }
            levels.push(i16::from(value.is_some()));
        }
        self.rows += 1;
        self.waiting += 1;
        if self.waiting < GROUP_ROWS_MAX { Ok(()) } else { self.end_group() }
    }

    /// Ends a row group, if there is anything in it.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn end_group(&mut self) -> Result<(), TableError> {
        if self.waiting == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for Buffer { column, cells, levels } in &mut self.buffers {
            let Some(mut writer) = group.next_column()? else { continue };
            cells.write(&mut writer, (!column.3).then_some(levels.as_slice()))?;
            writer.close()?;
            levels.clear();
        }
        group.close()?;
        self.waiting = 0;
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn finish(mut self) -> Result<W, TableError> {
        self.end_group()?;
        Ok(self.writer.into_inner()?)
    }
}

/// The rows of a report by year: its lines, and what is in none of them. Those of no year come first.
pub fn rows(report: &Value) -> BTreeMap<Option<String>, Vec<Value>> {
    let lines = report.get("lines").and_then(Value::as_array).into_iter().flatten().cloned();
    let mut rows: BTreeMap<_, Vec<Value>> = BTreeMap::new();
    for row in lines.chain(beside_lines(report)) {
        let year = row.get("year").and_then(Value::as_str).map(str::to_owned);
        rows.entry(year).or_default().push(row);
    }
    rows
}

/// Writes the rows of a report, a row group for each year.
///
/// # Errors
/// As [`Table::push`].
pub fn write(report: &Value) -> Result<Vec<u8>, TableError> {
    let jurisdiction = report.get("jurisdiction").unwrap_or(&Value::Null);
    let mut table = Table::new(Vec::new())?;
    for of_year in rows(report).values() {
        for row in of_year {
            table.push(jurisdiction, row)?;
        }
        table.end_group()?;
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use parquet::file::metadata::RowGroupMetaData;
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use serde_json::json;

    use super::*;

    fn line(number: u32, year: &str, amount: &str) -> Value {
        json!({
            "taxpayer": "ab", "year": year, "line": number, "kind": "deduction", "amount": amount, "section": "16EA",
            "status": "active", "rule": "r", "rule_status": "law", "citation": "c", "needs_review": false,
            "flags": ["UNCONFIRMED", "FX_UNSOURCED"], "entries": [1, 22], "payment": { "date": "1969-12-31", "counterparty": { "name": "第一", "associate": true } },
            "ip_type": null,
        })
    }

    #[test]
    fn years_are_row_groups_and_cells_keep_their_types() {
        let lines = [line(2, "2026/27", "-0.01"), line(1, "2025/26", "1000000.01"), line(3, "2026/27", "5.00")];
        let set_aside = json!([{ "index": 30, "code": "gone", "reason": "no asset" }]);
        let taxpayer = json!({ "party": "ab" });
        let report = json!({ "jurisdiction": "HK", "taxpayer": taxpayer, "lines": lines, "set_aside": set_aside });
        let bytes = write(&report).unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let groups: Vec<i64> = reader.metadata().row_groups().iter().map(RowGroupMetaData::num_rows).collect();
        assert_eq!(groups, [1, 1, 2]);
        let rows: Vec<String> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        assert!(rows[0].contains("amount: null") && rows[0].contains("set_aside: \"gone\""), "{}", rows[0]);
        assert!(rows[1].contains("year: \"2025/26\"") && rows[1].contains("amount: 1000000.01"), "{}", rows[1]);
        assert!(rows[2].contains("amount: -0.01") && rows[2].contains("entries: \"1 22\""), "{}", rows[2]);
        assert!(rows[2].contains("ip_type: null") && rows[2].contains("is_associate: true"), "{}", rows[2]);
        assert!(rows[2].contains("第一") && rows[2].contains("tax_jurisdiction: \"HK\""), "{}", rows[2]);
        assert!(rows[2].contains("flags: \"UNCONFIRMED FX_UNSOURCED\""), "{}", rows[2]);
        assert_eq!(day("1969-12-31"), Some(-1));
    }

    #[test]
    fn what_a_column_cannot_hold_is_named() {
        let report = |line: Value| write(&json!({ "jurisdiction": "HK", "lines": [line] }));
        let most = "999999999999999999999999999999999999.99";
        assert!(report(line(7, "2026/27", most)).is_ok());
        let refused = report(line(7, "2026/27", &format!("1{most}"))).unwrap_err();
        assert!(matches!(refused, TableError::Value { column: "amount", .. }), "{refused}");
        let refused = report(json!({ "line": 8, "year": "2026/27" })).unwrap_err();
        assert!(refused.to_string().contains("line 8, taxpayer"), "{refused}");
    }
}
