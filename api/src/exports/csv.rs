//! Comma-separated values (RFC 4180): UTF-8, quoted where needed, numbers as they are, and no text that a spreadsheet could
//! take for a formula, a number or a date: an apostrophe stands before it.

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
        Cell::Amount(amount) => amount.to_string(),
        Cell::Figure(figure) => figure.to_string(),
        Cell::Count(count) => count.to_string(),
        // Written as dates are written, which no spreadsheet computes.
        Cell::Date(date) => date.clone(),
        Cell::Text(text) => safe(text),
    }
}

/// A text that stays one, in quotes where it has to be.
fn safe(text: &str) -> String {
    let is_taken = text.starts_with(FORMULA_STARTS) || is_like_a_value(text);
    let escaped = if is_taken { format!("'{text}") } else { text.to_owned() };
    if escaped.contains([',', '"', '\r', '\n']) { format!("\"{}\"", escaped.replace('"', "\"\"")) } else { escaped }
}

/// Words in what spreadsheets take for a number or a date, besides digits and what stands between them.
const VALUE_WORDS: [&str; 37] = [
    "am",
    "pm",
    "jan",
    "january",
    "feb",
    "february",
    "mar",
    "march",
    "apr",
    "april",
    "may",
    "jun",
    "june",
    "jul",
    "july",
    "aug",
    "august",
    "sep",
    "sept",
    "september",
    "oct",
    "october",
    "nov",
    "november",
    "dec",
    "december",
    "年",
    "月",
    "日",
    "時",
    "时",
    "分",
    "秒",
    "上午",
    "下午",
    "點",
    "点",
];

/// Whether a spreadsheet may take a text for a number, a date or a truth: `1/5`, `2011/12`, `0012`, `1E10`, `MAR-1`, `TRUE`.
/// Some that none takes are among them, for programs and their languages differ.
fn is_like_a_value(text: &str) -> bool {
    // Full-width digits are digits there, too.
    let is_digit = |character: char| character.is_ascii_digit() || ('０'..='９').contains(&character);
    if !text.contains(is_digit) {
        return ["true", "false"].contains(&text.trim().to_ascii_lowercase().as_str());
    }
    let is_between = |character: char| " /-.:,'%$¥￥€£".contains(character);
    if text.parse::<f64>().is_ok() {
        return true;
    }
    let text = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
    let words = text.split(|character| is_digit(character) || is_between(character)).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).all(|word| VALUE_WORDS.contains(&word.as_str()))
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
        for text in [
            "1/5",
            "2011/12",
            "2026/27",
            "00123456",
            "12345678",
            "1E10",
            "1.5",
            "1,000",
            "(12)",
            "12%",
            "MAR-1",
            "1 Dec",
            "SEPT2",
            "10:30",
            "9 AM",
            "2026年5月2日",
            "１２",
            "TRUE",
            "false",
            "4 7",
        ] {
            assert!(safe(text).trim_matches('"').starts_with('\''), "{text:?}");
        }
        for text in [
            "INV-1",
            "D1/2026",
            "16E(1)",
            "16(1)",
            "A1",
            "100 HKD = 90.8419 CNY",
            "4; 7",
            "Marchand 1",
            "7-Eleven",
            "第一",
            "e",
        ] {
            assert_eq!(safe(text), text);
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
