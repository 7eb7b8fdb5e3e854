//! Figures: as a table for people, as JSON for machines.

use std::time::Duration;

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
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let figure = Self { id: None, name: name.into(), value, unit, beside: None, aim: None };
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
}

/// Prints the table.
pub(crate) fn print(figures: &[Figure]) {
    println!("| figure | measured | compared with | ratio | aim |\n| --- | ---: | --- | ---: | --- |");
    for Figure { name, value, unit, beside, aim, .. } in figures {
        let (with, ratio) = beside
            .as_ref()
            .map_or_else(Default::default, |(what, other)| (format!("{what}: {} {unit}", number(*other)), format!("{:.2}", value / other)));
        let aim = aim.map_or_else(String::new, |aim| format!("{}: {}", aim.text(), if aim.met(*value) { "met" } else { "MISSED" }));
        println!("| {name} | {} {unit} | {with} | {ratio} | {aim} |", number(*value));
    }
}

/// The figures as JSON.
pub(crate) fn to_json(figures: &[Figure]) -> Vec<Value> {
    let one = |figure: &Figure| {
        let beside = figure.beside.as_ref().map(|(what, value)| json!({ "what": what, "value": value, "ratio": figure.value / value }));
        let aim = figure.aim.map(|aim| json!({ "aim": aim.text(), "met": aim.met(figure.value) }));
        json!({ "id": figure.id, "name": figure.name, "value": figure.value, "unit": figure.unit, "beside": beside, "aim": aim })
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

/// How long each of many took.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn push(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub(crate) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What this share of them, in percent, took at most, in ms.
    pub(crate) fn percentile_ms(&mut self, percent: usize) -> f64 {
        self.0.sort_unstable();
        let place = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(place).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    }
}

/// The middle one of some values.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
