//! A plan as people read it.

use std::fmt::Write;

use crate::load::StoreKind;
use crate::plan::{FAR, Limit, Need, Plan};

/// Columns of texts, so that numbers stand under each other.
const WIDTH: usize = 44;
/// Where long lines are broken.
const LINE: usize = 110;

/// All of it, line by line.
#[must_use]
pub fn table(plan: &Plan) -> String {
    let mut out = heading(plan);
    // Writing to a string cannot fail.
    let _ = parts(plan, &mut out);
    out
}

fn heading(plan: &Plan) -> String {
    let (load, sizing) = (&plan.load, &plan.sizing);
    let place = match sizing.store {
        StoreKind::Cql => format!("Kafka and a cluster, {} copies", sizing.replication),
        StoreKind::Embedded => "one machine, embedded store".to_owned(),
    };
    format!(
        "{} DPUs: {} crossings and {} heartbeats a minute each, {} times the crossings at the peak\n\
         {place}; machines of {} cores and {:.0} GB; {:.0} % of what was measured stays free\n",
        count(load.dpus as f64),
        load.crossings_per_minute,
        load.heartbeats_per_minute,
        load.peak_factor,
        plan.node.cores,
        plan.node.memory_gb,
        100.0 * sizing.head_room,
    )
}

fn parts(plan: &Plan, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\n{:<WIDTH$} {:>14} {:>14}", "what flows", "mean", "peak")?;
    for flow in &plan.flows {
        let amount = |number: f64| if flow.unit == "/s" { format!("{}/s", count(number)) } else { format!("{}/s", bytes(number)) };
        row(out, flow.what, &format!("{:>14} {:>14}", amount(flow.mean), amount(flow.peak)))?;
    }
    writeln!(out, "\nwhat it takes")?;
    for need in &plan.needs {
        row(out, need.what, &format!("{:>14}   {}", amount(need), need.because))?;
    }
    costs(plan, out)?;
    verdict(plan, out)?;
    writeln!(out, "\n{:<WIDTH$} {:>14}   raised by; else", "limits of that, the nearest first", "DPUs")?;
    for Limit { what, dpus, raised_by, then, .. } in &plan.limits {
        row(out, what, &format!("{:>14}   {}; {then}", count(*dpus as f64), raised_by.unwrap_or("nothing to buy")))?;
    }
    sure(plan, out)
}

fn costs(plan: &Plan, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\nwhat a month costs")?;
    for cost in &plan.costs {
        let said = match (cost.price, cost.sum()) {
            (Some(price), Some(sum)) => format!("{:>14}   {} at {price}", money(sum), amount_of(cost.amount)),
            _ => format!("{:>14}   {}; no price: {}", "left out", amount_of(cost.amount), cost.flag),
        };
        row(out, &cost.what, &said)?;
    }
    let sums: Vec<f64> = plan.costs.iter().filter_map(crate::plan::Cost::sum).collect();
    if sums.is_empty() {
        return Ok(());
    }
    let all = if sums.len() == plan.costs.len() { "together" } else { "together, of what has a price" };
    row(out, all, &format!("{:>14}", money(sums.iter().sum())))
}

/// What binds first, and whether that is too soon.
fn verdict(plan: &Plan, out: &mut String) -> std::fmt::Result {
    let Some(first) = plan.first() else { return Ok(()) };
    writeln!(out, "\nbinds first: {}, at {} DPUs", first.what, count(first.dpus as f64))?;
    if plan.carries() {
        return writeln!(out, "all of the load is carried, with that much free");
    }
    writeln!(out, "NOT CARRIED in full:")?;
    for Limit { what, dpus, raised_by, then, .. } in plan.in_the_way() {
        let way = raised_by.map_or_else(|| "nothing that could be bought raises it".to_owned(), |by| format!("raised by {by}"));
        wrapped(out, &format!("{what}: from {} DPUs on, {then}; {way}", count(*dpus as f64)))?;
    }
    Ok(())
}

fn sure(plan: &Plan, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\n{:<WIDTH$} {:>14} {:>14}   times", "how sure: what is planned, what was measured", "planned", "measured")?;
    for reach in &plan.reaches {
        let times = reach.times();
        let far = if reach.is_far() { "  far" } else { "" };
        let said = if times >= 99.5 { count(times) } else { format!("{times:.1}") };
        row(out, reach.what, &format!("{:>14} {:>14} {said:>7}{far}", count(reach.planned), count(reach.measured)))?;
    }
    let far: Vec<&str> = plan.reaches.iter().filter(|reach| reach.is_far()).map(|reach| reach.what).collect();
    if !far.is_empty() {
        let text = format!(
            "NOT MEASURED anywhere near: more than {FAR} times beyond is an outline, no plan. It is so for: {}. Measure a tenth of it \
             before you buy",
            far.join("; ")
        );
        wrapped(out, &text)?;
    }
    writeln!(out, "measured:")?;
    for source in &plan.basis.sources {
        wrapped(out, &source.text())?;
        let figures = plan.basis.figures.iter().filter(|figure| figure.from == source.name);
        let figures: Vec<String> = figures.map(|figure| format!("{} {}", figure.id, figure.value)).collect();
        wrapped(out, &figures.join(", "))?;
    }
    writeln!(out, "assumed, not measured:")?;
    plan.assumed.iter().try_for_each(|assumed| wrapped(out, assumed))
}

fn row(out: &mut String, what: &str, rest: &str) -> std::fmt::Result {
    let (what, rest) = (format!("  {what}"), rest.trim_end());
    if what.len() <= WIDTH { writeln!(out, "{what:<WIDTH$} {rest}") } else { writeln!(out, "{what}\n{:WIDTH$} {rest}", "") }
}

/// A point of a list, broken between words.
fn wrapped(out: &mut String, text: &str) -> std::fmt::Result {
    let mut line = "  -".to_owned();
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > LINE {
            writeln!(out, "{line}")?;
            line = "   ".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    writeln!(out, "{line}")
}

fn amount(need: &Need) -> String {
    match need.unit {
        "B" => bytes(need.amount),
        "" => count(need.amount),
        unit => format!("{:.1} {unit}", need.amount),
    }
}

fn amount_of(number: f64) -> String {
    if number > 0.0 && number < 10.0 && number.fract() > 0.0 { format!("{number:.1}") } else { count(number) }
}

/// Bytes in three digits.
fn bytes(number: f64) -> String {
    let (mut left, mut units) = (number, ["B", "kB", "MB", "GB", "TB", "PB"].into_iter());
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if left < 999.5 {
            break;
        }
        (left, unit) = (left / 1e3, next);
    }
    let digits = if left >= 99.95 { 0 } else { 1 };
    format!("{left:.digits$} {unit}")
}

/// A whole number, thousands apart; one that nobody reads digit by digit, in words.
pub(crate) fn count(number: f64) -> String {
    if number >= 1e13 {
        return format!("{:.1} trillion", number / 1e12);
    }
    if number >= 1e10 { format!("{:.1} billion", number / 1e9) } else { grouped(&format!("{number:.0}")) }
}

/// Two digits after the point, thousands apart.
fn money(number: f64) -> String {
    let text = format!("{number:.2}");
    let (whole, cents) = text.split_once('.').unwrap_or((&text, "00"));
    format!("{}.{cents}", grouped(whole))
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_exact_enough() {
        assert_eq!((count(0.0), count(1_666.7), count(1e9)), ("0".into(), "1,667".into(), "1,000,000,000".into()));
        assert_eq!((bytes(0.0), bytes(999.4), bytes(999.6)), ("0.0 B".into(), "999 B".into(), "1.0 kB".into()));
        assert_eq!((count(2.6298e11), count(2.6298e14)), ("263.0 billion".into(), "263.0 trillion".into()));
        assert_eq!((bytes(1_234_567.0), bytes(2e18)), ("1.2 MB".into(), "2000 PB".into()));
        assert_eq!((money(0.5), money(1_234_567.891)), ("0.50".into(), "1,234,567.89".into()));
    }

    #[test]
    fn long_texts_are_broken_between_words() {
        let mut out = String::new();
        wrapped(&mut out, &"word ".repeat(60)).unwrap();
        assert!(out.lines().count() > 2 && out.lines().all(|line| line.len() <= LINE), "{out}");
    }
}
