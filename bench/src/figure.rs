//! Figures: as a table for people, as JSON for machines.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Aim {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {}", number(least)),
            Self::AtMost(most) => format!("<= {}", number(most)),
        }
    }

    fn judge(self, value: f64) -> String {
        format!("{}: {}", self.text(), self.verdict(value))
    }

    fn verdict(self, value: f64) -> &'static str {
        if self.met(value) { "met" } else { "MISSED" }
    }

    fn to_json(self, value: f64) -> Value {
        json!({ "aim": self.text(), "met": self.met(value) })
    }
}

/// One measured number.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// What `headcount plan` finds it by, where it needs it: stays the same whatever becomes of the name.
    pub(crate) id: Option<&'static str>,
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What it compares with, in the same unit, measured in the same run.
    pub(crate) beside: Option<(String, f64)>,
    pub(crate) aim: Option<Aim>,
    /// What it would be at best.
    stretch: Option<Aim>,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let figure = Self { id: None, name: name.into(), value, unit, beside: None, aim: None, stretch: None };
        println!("  {}: {} {unit}", figure.name, number(value));
        figure
    }

    pub(crate) fn id(self, id: &'static str) -> Self {
        Self { id: Some(id), ..self }
    }

    pub(crate) fn beside(self, what: impl Into<String>, value: f64) -> Self {
        Self { beside: Some((what.into(), value)), ..self }
    }

    pub(crate) fn aim(self, aim: Aim) -> Self {
        Self { aim: Some(aim), ..self }
    }

    pub(crate) fn stretch(self, stretch: Aim) -> Self {
        Self { stretch: Some(stretch), ..self }
    }

    /// What it should be and would be at best, and whether it is.
    fn judged(&self) -> String {
        let one = |what, aim: Option<Aim>| aim.map(|aim| format!("{what}{}", aim.judge(self.value)));
        [one("", self.aim), one("stretch ", self.stretch)].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

/// Prints the table.
pub(crate) fn print(figures: &[Figure]) {
    println!("| figure | measured | compared with | ratio | aim |\n| --- | ---: | --- | ---: | --- |");
    for figure in figures {
        let Figure { name, value, unit, beside, .. } = figure;
        let (with, ratio) = beside
            .as_ref()
            .map_or_else(Default::default, |(what, other)| (format!("{what}: {} {unit}", number(*other)), format!("{:.2}", value / other)));
        println!("| {name} | {} {unit} | {with} | {ratio} | {} |", number(*value), figure.judged());
    }
}

/// What one figure should be, and whether it is at each of some sizes.
pub(crate) fn judge_each(sizes: &[&Figure]) -> String {
    let Some(aim) = sizes.last().and_then(|figure| figure.aim) else { return String::new() };
    let verdicts: Vec<_> = sizes.iter().map(|figure| aim.verdict(figure.value)).collect();
    format!("{}: {}", aim.text(), verdicts.join(", "))
}

/// The figures as JSON.
pub(crate) fn to_json(figures: &[Figure]) -> Vec<Value> {
    let one = |figure: &Figure| {
        let beside = figure.beside.as_ref().map(|(what, value)| json!({ "what": what, "value": value, "ratio": figure.value / value }));
        let [aim, stretch] = [figure.aim, figure.stretch].map(|aim| aim.map(|aim| aim.to_json(figure.value)));
        json!({
            "id": figure.id, "name": figure.name, "value": figure.value, "unit": figure.unit, "beside": beside, "aim": aim, "stretch": stretch,
        })
    };
    figures.iter().map(one).collect()
}

/// Three digits that say something, thousands apart.
pub(crate) fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Digits of a latency that are kept.
const DIGITS: u8 = 3;

/// How long each of many took, in ns.
#[derive(Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new(DIGITS).unwrap_or_else(|_| unreachable!("a histogram keeps up to 5 digits")))
    }
}

impl Latencies {
    pub(crate) fn push(&mut self, took: Duration) {
        // It grows to hold whatever comes.
        self.0 += u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    }

    pub(crate) fn extend(&mut self, more: Self) {
        self.0 += more.0;
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len() as usize
    }

    /// What this share of them, in percent, took at most, in ms.
    pub(crate) fn percentile_ms(&self, percent: impl Into<f64>) -> f64 {
        self.0.value_at_percentile(percent.into()) as f64 / 1e6
    }
}

/// The middle of some values: between the middle two of an even number.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.get(half.saturating_sub(1)..=half) {
        Some([below, above]) if values.len().is_multiple_of(2) => f64::midpoint(*below, *above),
        Some([.., middle]) => *middle,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let medians = [vec![], vec![7.0], vec![3.0, 1.0], vec![9.0, 1.0, 2.0], vec![4.0, 8.0, 1.0, 2.0]].map(median);
        assert_eq!(medians, [0.0, 7.0, 2.0, 2.0, 3.0]);
    }

    #[test]
    fn percentiles_are_right_to_three_digits() {
        let [mut each, mut more] = [1..=500, 501..=1_000].map(|ms| {
            let mut each = Latencies::default();
            ms.for_each(|ms| each.push(Duration::from_millis(ms)));
            each
        });
        more.push(Duration::from_secs(60));
        each.extend(more);
        assert_eq!(each.len(), 1_001);
        for (percent, right_ms) in [(0.1, 2.0), (50.0, 501.0), (99.0, 991.0), (99.9, 1_000.0), (100.0, 60_000.0)] {
            let found_ms = each.percentile_ms(percent);
            assert!((found_ms / right_ms - 1.0).abs() < 0.001, "{percent} %: {found_ms} ms, but {right_ms} is right");
        }
    }
}
