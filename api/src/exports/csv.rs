//! Comma-separated values (RFC 4180): UTF-8, quoted where needed, numbers as they are, and no text that a spreadsheet could
//! take for a formula.

use super::tables::{Cell, Table};

/// What stands before the bytes for programs that guess.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// First characters of a text at which spreadsheets begin to compute.
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Writes a table.
pub fn write(table: &Table, bom: bool) -> Vec<u8> {
    let mut text = String::new();
    if bom {
        text.push_str(BYTE_ORDER_MARK);
    }
    row(&mut text, table.columns.iter().map(|title| safe(title)));
    for cells in &table.rows {
        row(&mut text, cells.iter().map(value));
    }
    text.into_bytes()
}

fn row(text: &mut String, values: impl Iterator<Item = String>) {
    for (position, value) in values.enumerate() {
        if position > 0 {
            text.push(',');
        }
        text.push_str(&value);
    }
    text.push_str("\r\n");
}

fn value(cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Amount(amount) | Cell::Figure(amount) => amount.to_string(),
        Cell::Count(count) => count.to_string(),
        // Written as dates are written, which no spreadsheet computes.
        Cell::Date(date) => date.clone(),
        Cell::Text(text) => safe(text),
    }
}

/// A text that stays one, in quotes where it has to be.
fn safe(text: &str) -> String {
    let escaped = if text.starts_with(FORMULA_STARTS) { format!("'{text}") } else { text.to_owned() };
    if escaped.contains([',', '"', '\r', '\n']) { format!("\"{}\"", escaped.replace('"', "\"\"")) } else { escaped }
}

#[cfg(test)]
mod tests {
    use chopmark_core::money::Amount;

    use super::*;

    #[test]
    fn texts_stay_texts_and_numbers_numbers() {
        for (text, expected) in [
            ("plain", "plain"),
            ("=1+1", "'=1+1"),
            ("+852 1234", "'+852 1234"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("=\"a\",b", "\"'=\"\"a\"\",b\""),
            ("a=b", "a=b"),
            ("軟件版權", "軟件版權"),
            ("", ""),
        ] {
            assert_eq!(safe(text), expected, "{text:?}");
        }
        assert_eq!(value(&Cell::Amount(Amount::from_cents(-120_050))), "-1200.50");
        let table = Table {
            name: String::new(),
            columns: vec!["a".to_owned(), "乙".to_owned()],
            rows: vec![vec![Cell::Text("=x".to_owned()), Cell::Amount(Amount::from_cents(-1))]],
        };
        assert_eq!(write(&table, false), "a,乙\r\n'=x,-0.01\r\n".as_bytes());
        assert!(write(&table, true).starts_with(&[0xef, 0xbb, 0xbf, b'a']));
    }
}
