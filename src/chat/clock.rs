//! `strftime_now`: today's date, which some templates put into their system prompt.

use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::{Error, ErrorKind};

const MONTHS: [(&str, u64); 12] = [
    ("January", 31),
    ("February", 28),
    ("March", 31),
    ("April", 30),
    ("May", 31),
    ("June", 30),
    ("July", 31),
    ("August", 31),
    ("September", 30),
    ("October", 31),
    ("November", 30),
    ("December", 31),
];

/// From the first day of 1970.
const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// The template function. UTC, so that a prompt does not depend on where the machine stands.
pub(super) fn strftime_now(format: &str) -> Result<String, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    strftime(now.map(|elapsed| elapsed.as_secs()).unwrap_or(0), format)
}

/// Today as `YYYY-MM-DD`, UTC.
pub(crate) fn today() -> String {
    strftime_now("%Y-%m-%d").unwrap_or_default()
}

/// Formats seconds since 1970 by the directives of C's `strftime` that name dates and times; `-` drops padding.
pub(super) fn strftime(seconds: u64, format: &str) -> Result<String, Error> {
    let days = seconds / 86_400;
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let (year, day_of_year) = year_of(days);
    let (month, day) = month_of(day_of_year, is_leap(year));
    let month_name = MONTHS.get(month).map_or("", |(name, _)| name);
    let weekday = WEEKDAYS.get((days % 7) as usize).copied().unwrap_or("");
    let hour_of_12 = (hour + 11) % 12 + 1;

    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        let mut directive = characters.next();
        let unpadded = directive == Some('-');
        if unpadded {
            directive = characters.next();
        }
        let padded = |number: u64, width: usize| match unpadded {
            true => number.to_string(),
            false => format!("{number:0width$}"),
        };
        text += &match directive {
            Some('Y') => year.to_string(),
            Some('y') => padded(year % 100, 2),
            Some('m') => padded(month as u64 + 1, 2),
            Some('d') => padded(day, 2),
            Some('j') => padded(day_of_year + 1, 3),
            Some('H') => padded(hour, 2),
            Some('I') => padded(hour_of_12, 2),
            Some('M') => padded(minute, 2),
            Some('S') => padded(second, 2),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            Some('B') => month_name.to_owned(),
            Some('b' | 'h') => month_name.chars().take(3).collect(),
            Some('A') => weekday.to_owned(),
            Some('a') => weekday.chars().take(3).collect(),
            Some('F') => format!("{year}-{:02}-{day:02}", month + 1),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('%') => "%".to_owned(),
            _ => {
                let directive: String = directive.into_iter().collect();
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("strftime_now does not know %{directive}"),
                ));
            }
        };
    }
    Ok(text)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Year and day of the year, from 0, of a day since 1970.
fn year_of(mut day: u64) -> (u64, u64) {
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if day < length {
            return (year, day);
        }
        day -= length;
        year += 1;
    }
}

/// Month, from 0, and day of the month, from 1, of a day of the year.
fn month_of(mut day: u64, leap: bool) -> (usize, u64) {
    for (month, (_, length)) in MONTHS.iter().enumerate() {
        let length = length + u64::from(leap && month == 1);
        if day < length {
            return (month, day + 1);
        }
        day -= length;
    }
    (11, 31)
}
