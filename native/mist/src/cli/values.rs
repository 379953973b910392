//! Owns the forms of numbers and times that people write and read; knows no flag.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

pub(super) use crate::config::duration;

/// Reads a time that is not nothing.
pub(super) fn pause(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("write a time that is longer than 0".to_owned()),
        time => Ok(time),
    }
}

/// How long a token lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    For(Duration),
    Endless,
}

/// Reads a time with its unit, or `never`: too little is easily granted by a number alone.
pub(super) fn life(text: &str) -> Result<Life, String> {
    if text == "never" {
        return Ok(Life::Endless);
    }
    match (
        pause(text),
        text.ends_with(|last: char| last.is_ascii_digit()),
    ) {
        (Ok(time), false) => Ok(Life::For(time)),
        _ => Err(format!(
            "'{text}' is not a time with a unit; write 90s, 15m, 12h or 30d, or never"
        )),
    }
}

/// Reads a whole number that is not less than `least`, and not more than `most` if there is a bound.
pub(super) fn whole<T>(
    least: T,
    most: Option<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| match (text.trim().parse(), &most) {
        (Ok(number), None) if number >= least => Ok(number),
        (Ok(number), Some(most)) if (&least..=most).contains(&&number) => Ok(number),
        (_, None) => Err(format!("write a whole number, {least} or more")),
        (_, Some(most)) => Err(format!("write a whole number from {least} to {most}")),
    }
}

/// Reads `50` or `50/s`.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.trim().parse::<f64>() {
        // A message a day, and more than any server takes: what is beyond is a slip.
        Ok(rate) if (1e-5..=1e9).contains(&rate) => Ok(rate),
        Ok(rate) if rate.is_finite() && rate > 0.0 => Err(format!(
            "'{text}' is out of range; write a rate from 0.00001 to 1000000000"
        )),
        _ => Err(format!("'{text}' is not a rate; write 50 or 50/s")),
    }
}

/// The time of day, UTC, as logs spell it.
pub(super) fn now() -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_rates_and_counts_are_positive_numbers() {
        for (text, millis) in [
            ("1.5", 1500),
            ("5s", 5000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1 h", 3_600_000),
            ("30d", 2_592_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["-1", "inf", "x", "", "s", "5y", "1e999"] {
            let error = duration(text).expect_err(text);
            assert!(error.contains("write 5s"), "{error}");
        }
        assert!(pause("0ms").is_err() && pause("1ms").is_ok());
        assert_eq!(life("1d"), Ok(Life::For(Duration::from_secs(86_400))));
        assert_eq!(life("never"), Ok(Life::Endless));
        for text in ["15", "0s", "", "ever", "1.5"] {
            let error = life(text).expect_err(text);
            assert!(error.contains("15m, 12h or 30d, or never"), "{error}");
        }
        assert_eq!((rate("50"), rate("2.5/s")), (Ok(50.0), Ok(2.5)));
        let number = whole(1, Some(64_u32));
        assert_eq!(number(" 64"), Ok(64));
        for text in ["0", "65", "-1", "x", "", "1.5", "99999999999999999999"] {
            let error = number(text).expect_err(text);
            assert_eq!(error, "write a whole number from 1 to 64");
        }
        let error = whole(1_u64, None)("0").expect_err("too small");
        assert_eq!(error, "write a whole number, 1 or more");
        assert!(rate("0").is_err() && rate("5/m").is_err() && rate("NaN").is_err());
    }

    #[test]
    fn times_of_day_are_utc_to_the_microsecond() {
        let now = now();
        assert!(now.len() == 27 && now.ends_with('Z'), "{now}");
    }
}
