//! Files of figures, as `headcount-bench --json` writes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use capacity::measured::{Measured, Source};
use serde::Deserialize;
use serde_json::Value;

/// Those the program comes with.
const SHIPPED: [(&str, &str); 2] = [
    ("embedded.json, shipped", include_str!("../../../../bench/figures/embedded.json")),
    ("engines.json, shipped", include_str!("../../../../bench/figures/engines.json")),
];

/// As much of a file as a plan needs.
#[derive(Deserialize)]
struct File {
    machine: Machine,
    settings: BTreeMap<String, Value>,
    figures: Vec<Figure>,
}

#[derive(Deserialize)]
struct Machine {
    cores: f64,
    memory_gib: f64,
    kernel: String,
    version: String,
    #[serde(default = "unknown")]
    date: String,
}

#[derive(Deserialize)]
struct Figure {
    id: Option<String>,
    value: f64,
}

fn unknown() -> String {
    "no date".to_owned()
}

/// What the files say; without one, what the program comes with.
pub(super) fn measured(files: &[PathBuf]) -> Result<Measured> {
    let sources = if files.is_empty() {
        SHIPPED.iter().map(|(name, text)| read(name, text)).collect()
    } else {
        files.iter().map(|file| from(file)).collect::<Result<_>>()
    };
    Ok(Measured(sources?))
}

fn from(file: &Path) -> Result<Source> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read the figures in {}", file.display()))?;
    read(&file.display().to_string(), &text)
}

fn read(name: &str, text: &str) -> Result<Source> {
    let what = || format!("{name} holds no figures as `headcount-bench --json FILE` writes them, without `--growth`");
    let File { machine, settings, figures } = serde_json::from_str(text).with_context(what)?;
    let Machine { cores, memory_gib, kernel, version, date } = machine;
    let real = |number: f64| (0.1..1e9).contains(&number);
    anyhow::ensure!(real(cores) && real(memory_gib), "{name}: no machine has {cores} cores and {memory_gib} GiB");
    Ok(Source {
        name: name.to_owned(),
        cores,
        memory_gib,
        kernel,
        version,
        date,
        settings: settings.into_iter().filter_map(|(key, value)| Some((key, value.as_f64()?))).collect(),
        figures: figures.into_iter().filter_map(|figure| Some((figure.id?, figure.value))).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the bench measures and what a plan asks for have the same names: each is there once, and in what is shipped.
    #[test]
    fn every_figure_a_plan_asks_for_is_measured_and_shipped() {
        let bench = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/src");
        let files = [&bench, &bench.join("engines")].map(|folder| std::fs::read_dir(folder).unwrap());
        let files = files.into_iter().flatten().map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some());
        let code: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let shipped = measured(&[]).unwrap();
        for id in capacity::measured::ids() {
            assert!(code.contains(&format!(".id(\"{id}\")")) || code.contains(&format!(", \"{id}\")")), "nothing measures {id:?}");
            assert!(shipped.0.iter().any(|source| source.figures.contains_key(id)), "{id:?} is not shipped");
        }
    }
}
