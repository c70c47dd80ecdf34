//! A list of payments: read whole, and everything that is wrong with it named by row and column.

use std::path::Path;

use super::encoding::{self, Decoded};
use super::row::{Fault, NEEDED, Row, is_column};
use crate::arguments::ListEncoding;
use crate::exit::Failure;
use crate::files;
use crate::units;

/// Largest list, in bytes: a million rows of an accounting system.
const LIST_BYTES_MAX: usize = 512 << 20;

/// Most rows.
const ROWS_MAX: usize = 1_000_000;

/// What separates cells.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// A list that was read.
#[derive(Debug)]
pub(super) struct List {
    /// What it is written in.
    pub(super) encoding: &'static str,
    /// Its rows, also those with faults.
    pub(super) rows: Vec<Row>,
    /// What is wrong, in the order of the file.
    pub(super) faults: Vec<Fault>,
}

impl List {
    /// Reads a list.
    ///
    /// # Errors
    /// When it can't be read at all. What is wrong in it is among its faults.
    pub(super) fn read(path: &Path, told: Option<ListEncoding>) -> Result<Self, Failure> {
        let bytes = files::read(path, LIST_BYTES_MAX)
            .map_err(|error| Failure::usage(format!("cannot read the list {}: {error}", path.display())))?;
        let Decoded { text, encoding } = match encoding::decode(&bytes, told) {
            Ok(decoded) => decoded,
            Err(error) => {
                let place = error.line.map_or_else(String::new, |line| format!(", row {line}"));
                return Err(Failure::usage(format!("{}{place}: {}", path.display(), error.reason)));
            }
        };
        let base = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, encoding, base)
    }

    fn parse(text: &str, encoding: &'static str, base: &Path) -> Result<Self, Failure> {
        // The reader counts a row that follows a carriage return to the line before it.
        let text = text.replace("\r\n", "\n");
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator(&text))
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let unreadable = |error: csv::Error| Failure::usage(format!("the list is no CSV: {error}"));
        let columns: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(str::to_ascii_lowercase).collect();
        let mut list = Self { encoding, rows: Vec::new(), faults: header_faults(&columns) };
        if !list.faults.is_empty() {
            return Ok(list);
        }
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(unreadable)? {
            if record.iter().all(str::is_empty) {
                continue;
            }
            if list.rows.len() == ROWS_MAX {
                return Err(Failure::usage(format!("the list has more than {ROWS_MAX} rows; split it")));
            }
            let line = record.position().map_or(0, csv::Position::line);
            list.take(line, &columns, &record, base);
        }
        if list.rows.is_empty() {
            list.faults.push(Fault { line: 1, column: String::new(), reason: "the list has no rows".to_owned() });
        }
        Ok(list)
    }

    fn take(&mut self, line: u64, columns: &[String], record: &csv::StringRecord, base: &Path) {
        let mut row = Row { line, ..Row::default() };
        if record.len() != columns.len() {
            let (cells, expected) = (units::length(record.len()), units::length(columns.len()));
            let reason = format!("has {}, the header has {expected}", units::count(cells, "cell"));
            self.faults.push(Fault { line, column: String::new(), reason });
        }
        for (column, cell) in columns.iter().zip(record) {
            if cell.is_empty() {
                continue;
            }
            if let Err(reason) = row.set(column, cell, base) {
                self.faults.push(Fault { line, column: column.clone(), reason });
            }
        }
        self.rows.push(row);
    }
}

/// The separator that the header has most of.
fn separator(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default().as_bytes();
    let number = |separator: &u8| header.split(|byte| byte == separator).count();
    SEPARATORS.into_iter().rev().max_by_key(number).unwrap_or(b',')
}

fn header_faults(columns: &[String]) -> Vec<Fault> {
    let fault = |column: &str, reason: &str| Fault { line: 1, column: column.to_owned(), reason: reason.to_owned() };
    let mut faults = Vec::new();
    for (place, column) in columns.iter().enumerate() {
        if !is_column(column) {
            faults.push(fault(column, "is no column; they are called like the options of `chopmark pay record`"));
        } else if columns.iter().take(place).any(|earlier| earlier == column) {
            faults.push(fault(column, "is there twice"));
        }
    }
    let missing = NEEDED.iter().filter(|needed| !columns.iter().any(|column| column == *needed));
    faults.extend(missing.map(|needed| fault(needed, "the column is missing")));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> List {
        List::parse(text, "utf-8", Path::new("/b")).unwrap()
    }

    #[test]
    fn rows_are_read_with_the_separator_of_the_header() {
        for separator in [",", ";", "\t"] {
            let header = ["nature", "Date", "document", "amount", "currency", "payee_name", "file"].join(separator);
            let row = ["royalty", " 2026-05-02 ", "\"A\nB\"", "1.00", "HKD", "", "inv.pdf"].join(separator);
            let list = list(&format!("{header}\r\n{row}\r\n{}\r\n{row}\r\n", separator.repeat(6)));
            assert!(list.faults.is_empty(), "{:?}", list.faults);
            let lines: Vec<u64> = list.rows.iter().map(|row| row.line).collect();
            assert_eq!(lines, [2, 5], "a cell may have several lines");
            let payment = &list.rows[0].payment;
            assert_eq!(payment.document.as_deref(), Some("A\nB"));
            assert_eq!(payment.file.as_deref(), Some(Path::new("/b/inv.pdf")));
            assert_eq!(payment.payee_name, None);
        }
    }

    #[test]
    fn damaged_lists_in_every_encoding_are_read_or_refused_at_a_row() {
        let traditional = "nature,date,document,amount,currency,payee_name,film\n\
                           royalty,2026-05-02,發票一號,1.00,HKD,香港軟件發展有限公司,true\n";
        let simplified = "nature;date;document;amount;currency;payee_name;film\n\
                          royalty;2026-05-02;发票一号;1.00;CNY;深圳软件开发有限公司;true\n";
        let parse = |bytes: &[u8], told| match encoding::decode(bytes, told) {
            Err(error) => {
                assert!(!error.reason.is_empty() && error.line.is_none_or(|line| line > 0), "{error:?}");
                false
            }
            Ok(Decoded { text, encoding }) => match List::parse(&text, encoding, Path::new("/b")) {
                Err(failure) => {
                    assert!(!failure.message.is_empty());
                    false
                }
                Ok(List { rows, faults, .. }) => {
                    assert!(faults.iter().all(|fault| fault.line > 0 && !fault.reason.is_empty()), "{faults:?}");
                    assert!(!rows.is_empty() || !faults.is_empty());
                    faults.is_empty()
                }
            },
        };
        for (text, written, told) in [
            (traditional, encoding_rs::UTF_8, ListEncoding::Utf8),
            (traditional, encoding_rs::BIG5, ListEncoding::Big5),
            (simplified, encoding_rs::GB18030, ListEncoding::Gb18030),
        ] {
            let seeds = [written.encode(text).0.into_owned()];
            crate::damage::feed(written.name(), 2_000, &seeds, 150, |bytes| parse(bytes, Some(told)));
            crate::damage::feed(written.name(), 2_000, &seeds, 150, |bytes| parse(bytes, None));
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_row_and_column() {
        let named = |text: &str| {
            let faults = list(text).faults;
            faults.iter().map(|fault| format!("{} {}", fault.line, fault.column)).collect::<Vec<_>>()
        };
        assert_eq!(named("nature,colour,date,date\n"), ["1 colour", "1 date", "1 document", "1 amount", "1 currency"]);
        let header = "nature,date,document,amount,currency\n";
        assert_eq!(named(header), ["1 "]);
        assert_eq!(
            named(&format!("{header}gift,2026-13-01,=A1,1.00,hkd\nroyalty,2026-05-02,A,1.00,HKD,x\n")),
            ["2 nature", "2 date", "2 document", "2 currency", "3 "]
        );
    }
}
