//! Lines of CSV (RFC 4180): the one rule of what stands in quotes, for every table that is written.
//!
//! Never here: reading it, and what a value means.

/// Appends a line: commas between, a line feed behind. A value stands in quotes where a reader
/// would not give it back as it is: readers take any of comma, semicolon and tab for the separator,
/// and spaces off values without quotes.
///
/// ```
/// let mut text = String::new();
/// vabal::csv::push_line(&mut text, ["a b", "1,5", "say \"x\""]);
/// assert_eq!(text, "a b,\"1,5\",\"say \"\"x\"\"\"\n");
/// ```
pub fn push_line<T: AsRef<str>>(text: &mut String, values: impl IntoIterator<Item = T>) {
    for (n, value) in values.into_iter().enumerate() {
        let value = value.as_ref();
        if n > 0 {
            text.push(',');
        }
        if value.trim().len() < value.len() || value.contains([',', ';', '\t', '"', '\n', '\r']) {
            text.extend(["\"", &value.replace('"', "\"\""), "\""]);
        } else {
            text.push_str(value);
        }
    }
    text.push('\n');
}
