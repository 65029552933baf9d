//! A row of CSV (RFC 4180) that a spreadsheet takes for nothing but text and numbers.
//!
//! In: cells. Out: the row with its end of line. Invariant: a cell that a spreadsheet would take for a
//! formula is told as text, by an apostrophe before it; a number stays one, also below zero.
//! Source: OWASP, CSV Injection.

/// What a formula begins with.
const FORMULAS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The row of `cells`.
///
/// # Errors
/// What the writer says, which writes to memory and is not known to fail.
pub fn csv_row<C: Into<String>>(cells: impl IntoIterator<Item = C>) -> Result<String, String> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer
        .write_record(cells.into_iter().map(|cell| harmless(cell.into())))
        .map_err(|error| error.to_string())?;
    let bytes = writer.into_inner().map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

fn harmless(cell: String) -> String {
    if cell.starts_with(FORMULAS) && cell.parse::<f64>().is_err() {
        return format!("'{cell}");
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_no_formula_and_a_number_is_a_number() {
        for (cell, told) in [
            ("Anna", "Anna"),
            ("=HYPERLINK(\"http://evil.example\")", "\"'=HYPERLINK(\"\"http://evil.example\"\")\""),
            ("+1+1", "'+1+1"),
            ("-1+cmd|' /C calc'!A0", "'-1+cmd|' /C calc'!A0"),
            ("@SUM(1)", "'@SUM(1)"),
            ("\t=1", "'\t=1"),
            ("-0.25", "-0.25"),
            ("-1e-7", "-1e-7"),
            ("1-1", "1-1"),
            ("a,b", "\"a,b\""),
        ] {
            assert_eq!(csv_row(["x", cell]).unwrap(), format!("x,{told}\r\n"), "{cell}");
        }
        assert_eq!(csv_row(["", ""]).unwrap(), ",\r\n");
    }
}
