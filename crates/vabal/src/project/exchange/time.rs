//! Points in time as files have them: ISO 8601 in UTC, to the millisecond.
//!
//! Never here: what time it is.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Milliseconds since 1970 as `2026-01-31T23:59:59.123Z`; outside the years 0 to 9999 as a number.
pub fn text(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).map(|time| format!("{time:.3}"));
    time.ok().filter(|text| !text.starts_with('-')).unwrap_or_else(|| ms.to_string())
}

/// The day alone: `2026-01-31`.
pub fn day(ms: i64) -> String {
    let text = text(ms);
    text.split_once('T').map_or(text.clone(), |(day, _)| day.to_owned())
}

/// Milliseconds since 1970 of what [`text()`] writes and others do: `2026-01-31`, `2026-01-31
/// 23:59`, `2026-01-31T23:59:59.123456+02:00`, or a whole number of milliseconds. Without a zone it
/// is UTC.
pub fn parse(text: &str) -> Option<i64> {
    if let Ok(ms) = text.parse() {
        return Some(ms);
    }
    let time = text.parse().or_else(|_| Offset::UTC.to_timestamp(text.parse::<DateTime>()?)).ok()?;
    // A sign and more digits would be another year than those that are written.
    text.starts_with(|first: char| first.is_ascii_digit()).then(|| Timestamp::as_millisecond(time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times_are_read_and_written() {
        for (ms, time) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_615_328_168_728, "2021-03-09T22:16:08.728Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text(ms), time);
            assert_eq!(parse(time), Some(ms));
        }
        for time in [
            "2021-03-09T22:16:08.728353Z",
            "2021-03-09 22:16:08.728",
            "2021-03-09T23:46:08.728+01:30",
            "2021-03-09T20:16:08.728-0200",
            "1615328168728",
        ] {
            assert_eq!(parse(time), Some(1_615_328_168_728), "{time}");
        }
        assert_eq!(parse("2021-03-09"), parse("2021-03-09 00:00"));
        assert_eq!(day(1_615_328_168_728), "2021-03-09");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for time in [
            "",
            "soon",
            "2021",
            "2021-02-29",
            "2021-13-01",
            "2021-00-10",
            "2021-03-09T",
            "2021-03-09T25:00",
            "2021-03-09T10:61",
            "2021-03-09T10:00:00.",
            "2021-03-09T10:00:00X",
            "2021-03-09T10:00+",
            "2021-03-09T10:00+1",
            "２０21-03-09",
            "+021-03-09",
        ] {
            assert!(parse(time).is_none() || time == "2021", "{time}");
        }
    }

    proptest! {
        #[test]
        fn every_time_comes_back(ms: i64, near in -62_167_219_200_000_i64..=253_402_300_799_999) {
            prop_assert_eq!(parse(&text(ms)), Some(ms));
            prop_assert_eq!(parse(&text(near)), Some(near));
            prop_assert!(text(near).ends_with('Z'));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*", near in "[0-9T:+. Z-]{0,30}") {
            let _ = (parse(&text), parse(&near));
        }
    }
}
