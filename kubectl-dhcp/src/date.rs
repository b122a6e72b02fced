//! Dates as people type them (`spec/failover-behaviour.md` §7.1): `-3d`, `Oct 31 00:00:00 02`, or RFC 3339.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Why a text is no date.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{0}` is no time: say -<number><s|m|h|d|w>, `Month D HH:MM:SS YY`, or RFC 3339 such as 2026-11-22T09:20:00Z"
)]
pub(crate) struct Error(String);

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Reads a date. `zone` is that of who types it; a time that the zone skips or repeats is the later one.
pub(crate) fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, Error> {
    let wrong = || Error(text.to_owned());
    if let Some(ago) = text.strip_prefix('-') {
        return now.checked_sub(span(ago).ok_or_else(wrong)?).map_err(|_| wrong());
    }
    if let Ok(timestamp) = text.parse() {
        return Ok(timestamp);
    }
    let local = absolute(text).ok_or_else(wrong)?;
    zone.to_ambiguous_zoned(local).later().map(|zoned| zoned.timestamp()).map_err(|_| wrong())
}

fn span(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().next_back()?;
    let digits = text.strip_suffix(unit)?;
    // A sign of its own would be one too many.
    let number: i64 = digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse().ok())??;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    Some(SignedDuration::from_secs(number.checked_mul(seconds)?))
}

/// `Month D HH:MM:SS YY` or `YYYY`, as Cisco's and BlueCat's tools take it; two digits are of this century up to 69.
fn absolute(text: &str) -> Option<DateTime> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [month, day, time, year] = words.as_slice() else { return None };
    let month = month.get(..3)?.to_lowercase();
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let short = year.len() == 2;
    let year: i16 = year.parse().ok().filter(|_| short || year.len() == 4)?;
    let year = match (short, year) {
        (true, 0..=69) => 2000 + year,
        (true, _) => 1900 + year,
        (false, year) => year,
    };
    let mut parts = time.split(':').map(|part| part.parse::<i8>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() {
        return None;
    }
    let date = Date::new(year, i8::try_from(month).ok()?, day.parse().ok()?).ok()?;
    Some(date.to_datetime(Time::new(hour, minute, second, 0).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, Error> {
        let now = "2026-11-22T10:00:00Z".parse().expect("a time");
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        parse(text, now, &zone).map(|timestamp| timestamp.to_string())
    }

    #[test]
    fn dt_1_and_dt_2_so_long_ago() {
        assert_eq!(read("-3d").as_deref(), Ok("2026-11-19T10:00:00Z"));
        assert_eq!(read("-2w").as_deref(), Ok("2026-11-08T10:00:00Z"));
        assert_eq!(read("-90s").as_deref(), Ok("2026-11-22T09:58:30Z"));
    }

    #[test]
    fn dt_3_the_absolute_form_is_in_ones_own_zone() {
        assert_eq!(read("Oct 31 00:00:00 02").as_deref(), Ok("2002-10-30T23:00:00Z"));
        assert_eq!(read("October 31 00:00:00 2002").as_deref(), Ok("2002-10-30T23:00:00Z"));
        assert_eq!(read("Jan 1 12:00:00 70").as_deref(), Ok("1970-01-01T11:00:00Z"));
        assert_eq!(read("2026-11-22T09:20:00Z").as_deref(), Ok("2026-11-22T09:20:00Z"));
    }

    #[test]
    fn dt_4_anything_else_is_an_error() {
        for text in [
            "-5",
            "-3y",
            "31 Oct",
            "",
            "-",
            "-9999999999999999w",
            "Feb 30 00:00:00 26",
            "Oct 31 25:00:00 02",
            "Oct 31 00:00 02",
            "Oct 31 00:00:00 2",
            "-+3d",
            "--3d",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
