//! Points in time as files have them: ISO 8601 in UTC, to the millisecond.
//!
//! Never here: what time it is.

const DAY: i64 = 86_400_000;

/// Milliseconds since 1970 as `2026-01-31T23:59:59.123Z`; outside the years 0 to 9999 as a number.
pub fn text(ms: i64) -> String {
    let (day, rest) = (ms.div_euclid(DAY), ms.rem_euclid(DAY));
    let (year, month, date) = civil(day);
    if !(0..=9999).contains(&year) {
        return ms.to_string();
    }
    let (seconds, ms) = (rest / 1000, rest % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{date:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

/// The day alone: `2026-01-31`.
pub fn day(ms: i64) -> String {
    let text = text(ms);
    text.split_once('T').map_or(text.clone(), |(day, _)| day.to_owned())
}

/// Milliseconds since 1970 of what [`text()`] writes and others do: `2026-01-31`, `2026-01-31 23:59`,
/// `2026-01-31T23:59:59.123456+02:00`, or a whole number of milliseconds. Without a zone it is UTC.
pub fn parse(text: &str) -> Option<i64> {
    if let Ok(ms) = text.parse() {
        return Some(ms);
    }
    let mut rest = text.as_bytes();
    let year = number(&mut rest, 4)?;
    let month = after(&mut rest, b'-').then(|| number(&mut rest, 2))??;
    let date = after(&mut rest, b'-').then(|| number(&mut rest, 2))??;
    let day = days(year, month, date);
    if civil(day) != (year, month, date) {
        return None;
    }
    let mut ms = day * DAY;
    if rest.is_empty() {
        return Some(ms);
    }
    if !after(&mut rest, b'T') && !after(&mut rest, b' ') {
        return None;
    }
    let hours = number(&mut rest, 2)?;
    let minutes = after(&mut rest, b':').then(|| number(&mut rest, 2))??;
    let mut seconds = 0;
    if after(&mut rest, b':') {
        seconds = number(&mut rest, 2)?;
        if after(&mut rest, b'.') {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            for (n, digit) in rest[..digits.min(3)].iter().enumerate() {
                ms += i64::from(digit - b'0') * [100, 10, 1][n];
            }
            rest = &rest[digits..];
        }
    }
    if hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    ms += ((hours * 60 + minutes) * 60 + seconds) * 1000;
    match rest {
        b"" | b"Z" | b"z" => Some(ms),
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let mut zone = zone;
            let hours = number(&mut zone, 2)?;
            after(&mut zone, b':');
            let minutes = if zone.is_empty() { 0 } else { number(&mut zone, 2)? };
            let offset = (hours * 60 + minutes) * 60_000;
            let good = zone.is_empty() && hours < 24 && minutes < 60;
            good.then_some(if *sign == b'+' { ms - offset } else { ms + offset })
        }
        _ => None,
    }
}

/// Takes a number of so many digits off the front.
fn number(rest: &mut &[u8], digits: usize) -> Option<i64> {
    let (front, back) = rest.split_at_checked(digits)?;
    *rest = back;
    front.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// Whether this byte was at the front, which is taken off.
fn after(rest: &mut &[u8], byte: u8) -> bool {
    let found = rest.first() == Some(&byte);
    *rest = &rest[usize::from(found)..];
    found
}

/// Days since 1970 of a date of the Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days(year: i64, month: i64, date: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year = year.rem_euclid(400);
    let day = (153 * ((month + 9) % 12) + 2) / 5 + date - 1;
    era * 146_097 + year * 365 + year / 4 - year / 100 + day - 719_468
}

/// Year, month and date of a day since 1970: [`days()`] backwards.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, date)
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
