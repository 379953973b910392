//! Owns how figures are summed up and spelled; knows nothing of what they mean.

/// The middle one, or what is between the middle two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// A figure in as many digits as say something.
pub(crate) fn short(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => grouped(value.round() as usize),
    }
}

/// A number with commas between its thousands.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A line of a Markdown table.
pub(crate) fn row(cells: &[impl AsRef<str>]) -> String {
    let cells: Vec<_> = cells.iter().map(AsRef::as_ref).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The first lines of a Markdown table, of whose columns `left` are of words.
pub(crate) fn head(cells: &[impl AsRef<str>], left: usize) -> String {
    let words = "---|".repeat(left);
    let figures = "--:|".repeat(cells.len() - left);
    format!("{}|{words}{figures}\n", row(cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_is_between_the_middle_two() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn figures_have_three_digits_or_commas() {
        let all = [0.061, 9.999, 71.44, 1234.4].map(short);
        assert_eq!(all, ["0.06", "10.00", "71.4", "1,234"]);
    }
}
