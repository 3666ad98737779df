//! How values and names are written: escaped for HTML and Markdown, numbers for people.

use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::experiment::summary::Spread;

/// For HTML and SVG, in text and in quoted attributes. Control characters, which XML forbids,
/// become the replacement character.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(character),
            c if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A cell of a Markdown table: nothing in it is markup.
#[must_use]
pub fn markdown_cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => out.push(' '),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' | '~' => out.extend(['\\', character]),
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out
}

/// A fraction as a percentage with one decimal: 0.5449 is "54.5".
#[must_use]
pub fn percent(value: f64) -> String {
    minus(format!("{:.1}", 100.0 * value))
}

/// A fraction as a whole percentage, where a decimal would say more than is known: 0.5449 is "54".
#[must_use]
pub fn whole_percent(value: f64) -> String {
    let text = format!("{:.0}", 100.0 * value);
    if text == "-0" { "0".into() } else { minus(text) }
}

/// A difference of fractions in percentage points, with its sign: "+4.3", "−1.2".
#[must_use]
pub fn points(value: f64) -> String {
    let text = format!("{:+.1}", 100.0 * value);
    if text == "-0.0" || text == "+0.0" { "0.0".into() } else { minus(text) }
}

/// Mean ± standard deviation in percent; the mean alone where there is one value.
#[must_use]
pub fn spread(spread: Spread) -> String {
    match spread.sd {
        Some(sd) => format!("{} ± {}", percent(spread.mean), percent(sd)),
        None => percent(spread.mean),
    }
}

/// A whole number in groups of three: 1,589.
#[must_use]
pub fn count(value: usize) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// "1 seed", "3 seeds".
#[must_use]
pub fn plural(n: usize, singular: &str) -> String {
    format!("{} {singular}{}", count(n), if n == 1 { "" } else { "s" })
}

/// "a", "a and b", "a, b and c".
#[must_use]
pub fn enumerate(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A duration for people: "0.4 s", "12 s", "3 min 20 s", "2 h 5 min".
#[must_use]
pub fn duration(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// A term for people: two or three significant digits, no exponent where it can be helped.
#[must_use]
pub fn term(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let text = match value.abs() {
        size if !(1e-4..1e6).contains(&size) => return minus(format!("{value:.1e}")),
        size if size >= 100.0 => return minus(format!("{value:.0}")),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        size if size >= 0.01 => format!("{value:.3}"),
        size if size >= 0.001 => format!("{value:.4}"),
        _ => format!("{value:.5}"),
    };
    minus(text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

/// The typographic minus, as wide as the plus.
fn minus(text: String) -> String {
    match text.strip_prefix('-') {
        Some("0.0") => "0.0".into(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

/// With a capital first letter, for the head of a label.
#[must_use]
pub fn capital(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// A name that is safe in a file name: letters and digits of ASCII, the rest as single hyphens.
#[must_use]
pub fn slug(text: &str) -> String {
    let words: Vec<String> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    if words.is_empty() { "unnamed".into() } else { words.join("-") }
}

/// For pictures and fonts inside the page.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_names_stays_text() {
        assert_eq!(escape("<a href='x'>&\u{7}"), "&lt;a href=&#39;x&#39;&gt;&amp;\u{fffd}");
        assert_eq!(markdown_cell("a|b\n<c>"), "a\\|b &lt;c>");
    }

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!((percent(0.5449), percent(-0.012)), ("54.5".into(), "−1.2".into()));
        assert_eq!([0.5449, -0.52, -0.001].map(whole_percent), ["54", "−52", "0"]);
        assert_eq!([0.043, -0.012, -0.0001].map(points), ["+4.3", "−1.2", "0.0"]);
        assert_eq!([1, 999, 1589, 1_000_000].map(count), ["1", "999", "1,589", "1,000,000"]);
        assert_eq!([0.42, 12.4, 200.0, 7500.0].map(duration), ["0.4 s", "12 s", "3 min 20 s", "2 h 5 min"]);
        assert_eq!(
            [0.0, 0.05, 0.0312, 0.41234, -5.123, 1200.4].map(term),
            ["0", "0.05", "0.031", "0.41", "−5.12", "1200"]
        );
        assert_eq!(spread(Spread { count: 3, mean: 0.5, sd: Some(0.011) }), "50.0 ± 1.1");
        assert_eq!(spread(Spread { count: 1, mean: 0.5, sd: None }), "50.0");
    }

    #[test]
    fn file_names_hold_no_path() {
        assert_eq!(slug("../CIFAR-10 +[1]"), "cifar-10-1");
        assert_eq!(slug("鋼"), "unnamed");
    }

    #[test]
    fn lists_read_as_sentences() {
        let names = ["a", "b", "c"].map(String::from);
        assert_eq!([&names[..1], &names[..2], &names[..]].map(enumerate), ["a", "a and b", "a, b and c"]);
    }
}
