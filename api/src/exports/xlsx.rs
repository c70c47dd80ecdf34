//! Workbooks: a sheet for each table, with a frozen header, filters, and typed cells. Texts are written as texts, so that no
//! cell is a formula whatever it says.

use chopmark_core::money::Decimal;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use super::tables::{Cell, Table};

/// The most that a spreadsheet's number holds to the last digit, without the point; it keeps 15. Larger ones are texts.
const DIGITS_MAX: i128 = 999_999_999_999_999;

/// Longest text of a cell, in characters, as spreadsheets allow.
const TEXT_CHARACTERS_MAX: usize = 32_767;

/// Widest column, in characters.
const WIDTH_MAX: usize = 60;

/// How cells look.
struct Looks {
    header: Format,
    date: Format,
}

/// Writes a workbook; the same tables give the same bytes.
pub fn write(tables: &[Table]) -> Result<Vec<u8>, XlsxError> {
    let looks = Looks { header: Format::new().set_bold(), date: Format::new().set_num_format("yyyy-mm-dd") };
    let mut workbook = Workbook::new();
    // No moment of its own: it would be other bytes each time.
    let made = ExcelDateTime::from_ymd(2000, 1, 1)?;
    workbook.set_properties(&DocProperties::new().set_creation_datetime(&made));
    for table in tables {
        let sheet = workbook.add_worksheet();
        sheet.set_name(&table.name)?;
        fill(sheet, table, &looks)?;
    }
    workbook.save_to_buffer()
}

fn fill(sheet: &mut Worksheet, table: &Table, looks: &Looks) -> Result<(), XlsxError> {
    for (column, title) in (0_u16..).zip(&table.columns) {
        sheet.write_string_with_format(0, column, title, &looks.header)?;
        let position = usize::from(column);
        let widest = table.rows.iter().filter_map(|row| row.get(position)).map(width).max();
        let width = widest.unwrap_or_default().max(wide(title)).min(WIDTH_MAX);
        sheet.set_column_width(column, f64::from(u32::try_from(width + 2).unwrap_or(u32::MAX)))?;
    }
    let mut last_row = 0;
    for (row, cells) in (1_u32..).zip(&table.rows) {
        for (column, cell) in (0_u16..).zip(cells) {
            put(sheet, (row, column), cell, looks)?;
        }
        last_row = row;
    }
    sheet.set_freeze_panes(1, 0)?;
    if let Some(last_column) = table.columns.len().checked_sub(1).and_then(|last| u16::try_from(last).ok()) {
        sheet.autofilter(0, 0, last_row, last_column)?;
    }
    Ok(())
}

fn put(sheet: &mut Worksheet, (row, column): (u32, u16), cell: &Cell, looks: &Looks) -> Result<(), XlsxError> {
    match cell {
        Cell::Empty => {}
        Cell::Amount(amount) => put_number(sheet, (row, column), amount.decimal())?,
        Cell::Figure(figure) => put_number(sheet, (row, column), *figure)?,
        Cell::Count(count) => {
            match u32::try_from(*count) {
                Ok(count) => sheet.write_number(row, column, count)?,
                Err(_) => sheet.write_string(row, column, count.to_string())?,
            };
        }
        Cell::Date(date) => {
            match ExcelDateTime::parse_from_str(date) {
                Ok(day) => sheet.write_datetime_with_format(row, column, &day, &looks.date)?,
                Err(_) => sheet.write_string(row, column, date)?,
            };
        }
        Cell::Text(text) => {
            let cut: String = text.chars().take(TEXT_CHARACTERS_MAX).collect();
            sheet.write_string(row, column, cut)?;
        }
    }
    Ok(())
}

/// A number with its decimals.
fn put_number(sheet: &mut Worksheet, (row, column): (u32, u16), figure: Decimal) -> Result<(), XlsxError> {
    match number(figure) {
        Some(number) => {
            let zeros: String = (0..figure.decimals).map(|_| '0').collect();
            let look = if zeros.is_empty() { "#,##0".to_owned() } else { format!("#,##0.{zeros}") };
            sheet.write_number_with_format(row, column, number, &Format::new().set_num_format(look))?;
        }
        None => {
            sheet.write_string(row, column, figure.to_string())?;
        }
    }
    Ok(())
}

/// A figure as a spreadsheet's number, where that is exact to the last digit.
fn number(figure: Decimal) -> Option<f64> {
    let is_exact = (-DIGITS_MAX..=DIGITS_MAX).contains(&figure.mantissa);
    figure.to_string().parse().ok().filter(|_| is_exact)
}

/// How wide a text is: a Chinese character takes two places.
fn wide(text: &str) -> usize {
    text.chars().map(|character| if character.is_ascii() { 1 } else { 2 }).sum()
}

fn width(cell: &Cell) -> usize {
    match cell {
        Cell::Empty => 0,
        Cell::Amount(amount) => amount.to_string().len() + 4,
        Cell::Figure(figure) => figure.to_string().len() + 4,
        Cell::Count(count) => count.to_string().len(),
        Cell::Date(date) => date.len(),
        Cell::Text(text) => wide(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_numbers_as_long_as_they_are_exact() {
        let figure = |mantissa, decimals| number(Decimal { mantissa, decimals });
        assert_eq!(figure(-100_000_001, 2), Some(-1_000_000.01));
        assert_eq!(figure(1_234, 3), Some(1.234));
        assert_eq!(figure(DIGITS_MAX, 2), Some(9_999_999_999_999.99));
        assert_eq!(figure(DIGITS_MAX + 1, 2), None);
    }

    #[test]
    fn the_same_tables_give_the_same_bytes() {
        let table = Table {
            name: "行".to_owned(),
            columns: vec!["=a".to_owned()],
            rows: vec![vec![Cell::Text("=1+1".to_owned())], vec![Cell::Date("2026-05-02".to_owned())]],
        };
        let first = write(core::slice::from_ref(&table)).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2_100));
        assert_eq!(write(&[table]).unwrap(), first);
    }
}
