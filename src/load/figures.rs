//! Figures as people read them: rounded, with a unit, thousands apart. Pure.

/// A count: `12,345`.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A figure of which the first digits matter: `0.005`, `1.25`, `12.3`, `123`, `12,345`.
pub(super) fn figure(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let size = value.abs();
    let places = if size < 0.1 {
        4
    } else if size < 10.0 {
        2
    } else if size < 100.0 {
        1
    } else {
        return format!("{sign}{}", count(size.round() as u64));
    };
    format!("{sign}{}", trimmed(&format!("{size:.places$}")))
}

/// Milliseconds without their unit; `-` where nothing was measured.
pub(super) fn ms(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.2}"),
        Some(ms) if ms < 1_000.0 => format!("{ms:.1}"),
        Some(ms) => count(ms.round() as u64),
    }
}

/// A share of 1: `99.98 %`. What is not all is never shown as all.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let shown = if share < 1.0 { percent.min(99.999) } else { percent };
    let places = if shown > 99.99 && shown < 100.0 { 3 } else { 2 };
    format!("{} %", trimmed(&format!("{shown:.places$}")))
}

/// A length of time: `13.3 s`, `5 min`, `1.5 h`.
pub(super) fn time(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{} s", figure(seconds))
    } else if seconds < 7_200.0 {
        format!("{} min", figure(seconds / 60.0))
    } else {
        format!("{} h", figure(seconds / 3_600.0))
    }
}

/// Without zeros behind the point.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_and_never_longer_than_they_say_something() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let figures = [0.0, 0.005, 0.1 + 0.2, 13.333_333_333_333_334, 123.4, 12_345.6, -2.5];
        let expected = ["0", "0.005", "0.3", "13.3", "123", "12,346", "-2.5"];
        assert_eq!(figures.map(figure), expected);
        assert_eq!(
            [0.0, 13.333_333, 300.0, 5_400.0].map(time),
            ["0 s", "13.3 s", "5 min", "90 min"]
        );
        assert_eq!(
            [0.0, 0.5, 0.9998, 0.999_99, 1.0].map(percent),
            ["0 %", "50 %", "99.98 %", "99.999 %", "100 %"]
        );
        assert_eq!(
            [None, Some(0.5), Some(301.25), Some(1_234.5)].map(ms),
            ["-", "0.50", "301.2", "1,235"]
        );
    }
}
