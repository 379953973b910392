//! Owns how texts are put together; knows nothing of what they say.
//!
//! The standard library's formatting can do far more, and costs a page 8 KB before the first word.

use alloc::string::String;
use core::time::Duration;

/// Appends texts, numbers and times to a text.
macro_rules! push {
    ($text:expr, $($part:expr),+ $(,)?) => {{
        $($crate::text::Part::push_to(&$part, $text);)+
    }};
}
pub(crate) use push;

/// Puts texts, numbers and times together.
macro_rules! text {
    ($($part:expr),+ $(,)?) => {{
        let mut text = alloc::string::String::new();
        $crate::text::push!(&mut text, $($part),+);
        text
    }};
}
pub(crate) use text;

/// What a text can be put together from.
pub(crate) trait Part {
    fn push_to(&self, text: &mut String);
}

impl<T: Part + ?Sized> Part for &T {
    fn push_to(&self, text: &mut String) {
        (**self).push_to(text);
    }
}

impl Part for str {
    fn push_to(&self, text: &mut String) {
        text.push_str(self);
    }
}

impl Part for String {
    fn push_to(&self, text: &mut String) {
        text.push_str(self);
    }
}

impl Part for u64 {
    fn push_to(&self, text: &mut String) {
        if *self > 9 {
            (self / 10).push_to(text);
        }
        text.push(char::from(b'0' + (self % 10) as u8));
    }
}

impl Part for usize {
    fn push_to(&self, text: &mut String) {
        (*self as u64).push_to(text);
    }
}

impl Part for u8 {
    fn push_to(&self, text: &mut String) {
        u64::from(*self).push_to(text);
    }
}

/// As the standard library's `{:?}` writes it: `10s`, `1.5s`, `250ms`.
impl Part for Duration {
    fn push_to(&self, text: &mut String) {
        let nanos = self.subsec_nanos();
        let (whole, mut rest, mut digit, unit) = match (self.as_secs(), nanos) {
            (0, 0..1_000) => (u64::from(nanos), 0, 0, "ns"),
            (0, 1_000..1_000_000) => (u64::from(nanos / 1_000), nanos % 1_000, 100, "µs"),
            (0, _) => (
                u64::from(nanos / 1_000_000),
                nanos % 1_000_000,
                100_000,
                "ms",
            ),
            (secs, _) => (secs, nanos, 100_000_000, "s"),
        };
        whole.push_to(text);
        if rest > 0 {
            text.push('.');
        }
        while rest > 0 {
            u64::from(rest / digit).push_to(text);
            rest %= digit;
            digit /= 10;
        }
        text.push_str(unit);
    }
}

/// Puts texts in a row, with `between` between them.
pub(crate) fn join<'a>(texts: impl IntoIterator<Item = &'a str>, between: &str) -> String {
    let mut joined = String::new();
    for (index, text) in texts.into_iter().enumerate() {
        if index > 0 {
            joined.push_str(between);
        }
        joined.push_str(text);
    }
    joined
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_and_times_read_as_the_standard_library_writes_them(
            number: u64,
            secs in prop_oneof![Just(0), any::<u64>()],
            nanos in prop_oneof![0..1_000_u32, 0..1_000_000_000_u32],
            round in prop_oneof![Just(1_u32), Just(1_000), Just(500_000), Just(10_000_000)],
        ) {
            let time = Duration::new(secs, nanos / round * round);
            let expected = format!("a{number}b{time:?}");
            prop_assert_eq!(text!["a", number, "b", time], expected);
        }
    }
}
