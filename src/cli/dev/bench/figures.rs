//! Figures over the rounds, and how they are shown.

use std::time::Duration;

use serde_json::{Value, json};

/// One measured quantity, a value for each round.
#[derive(Debug, Clone)]
pub struct Figure {
    pub name: &'static str,
    pub what: String,
    pub unit: &'static str,
    pub values: Vec<f64>,
}

impl Figure {
    /// 0 without a round.
    #[must_use]
    pub fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        match sorted.len() {
            0 => 0.0,
            n if n % 2 == 1 => sorted[n / 2],
            n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        }
    }

    fn least(&self) -> f64 {
        self.values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn most(&self) -> f64 {
        self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// All figures of a benchmark, in the order in which they were first measured.
#[derive(Debug, Default)]
pub struct Figures(Vec<Figure>);

impl Figures {
    pub fn add(&mut self, name: &'static str, what: &str, unit: &'static str, value: f64) {
        match self.0.iter_mut().find(|figure| figure.name == name) {
            Some(figure) => figure.values.push(value),
            None => self.0.push(Figure { name, what: what.to_owned(), unit, values: vec![value] }),
        }
    }

    /// The median of a figure, if it was measured.
    #[must_use]
    pub fn median(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|figure| figure.name == name).map(Figure::median)
    }

    /// Name, median, least, most and unit, a line each.
    #[must_use]
    pub fn table(&self) -> String {
        let width = self.0.iter().map(|figure| figure.what.chars().count()).max().unwrap_or(0);
        let row = |figure: &Figure| {
            let digits = if figure.median() < 100.0 { 2 } else { 0 };
            format!(
                "  {:width$}  {:>9.digits$} {:<6}  ({:.digits$} to {:.digits$})\n",
                figure.what,
                figure.median(),
                figure.unit,
                figure.least(),
                figure.most(),
            )
        };
        self.0.iter().map(row).collect()
    }

    #[must_use]
    pub fn to_json(&self) -> Value {
        let one = |figure: &Figure| {
            let shown = json!({
                "what": figure.what, "unit": figure.unit, "median": figure.median(), "rounds": figure.values,
            });
            (figure.name.to_owned(), shown)
        };
        Value::Object(self.0.iter().map(one).collect())
    }
}

/// The value below which `percent` of the sorted durations are, in milliseconds.
#[must_use]
pub fn percentile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |value| value.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        let mut figures = Figures::default();
        for value in [9.0, 1.0, 5.0] {
            figures.add("odd", "odd", "ms", value);
        }
        figures.add("even", "even", "/s", 1000.0);
        figures.add("even", "even", "/s", 3000.0);
        assert_eq!((figures.median("odd"), figures.median("even")), (Some(5.0), Some(2000.0)));
        assert_eq!(figures.median("none"), None);
        let table = figures.table();
        assert!(table.contains("5.00 ms      (1.00 to 9.00)"), "{table}");
        assert!(table.contains("2000 /s      (1000 to 3000)"), "{table}");
        assert_eq!(figures.to_json()["odd"]["rounds"], json!([9.0, 1.0, 5.0]));
    }

    #[test]
    fn percentiles_stay_within_what_was_measured() {
        let sorted: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert!((percentile_ms(&sorted, 50) - 51.0).abs() < 1e-9);
        assert!((percentile_ms(&sorted, 99) - 100.0).abs() < 1e-9);
        assert!(percentile_ms(&[], 99).abs() < 1e-9);
    }
}
