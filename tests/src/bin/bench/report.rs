//! What was measured, as a table for people and a file for programs.

use std::fs;
use std::path::Path;
use tidegate_tests::say;

use anyhow::Result;
use serde::Serialize;

/// One measure over the three ways.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// In which unit.
    pub unit: &'static str,
    /// Through Tidegate, recording on.
    pub tidegate: f64,
    /// Straight to the device.
    pub direct: Option<f64>,
    /// By `ssh -J` through a plain sshd.
    pub jump: Option<f64>,
    /// Tidegate's figure divided by the direct one.
    pub ratio_direct: Option<f64>,
    /// Tidegate's figure divided by the jump's.
    pub ratio_jump: Option<f64>,
    /// How many times each was measured.
    pub runs: usize,
}

impl Row {
    /// A row with its ratios.
    pub fn new(
        name: impl Into<String>,
        unit: &'static str,
        tidegate: f64,
        direct: Option<f64>,
        jump: Option<f64>,
        runs: usize,
    ) -> Self {
        let ratio = |other: Option<f64>| other.filter(|other| *other > 0.0).map(|other| tidegate / other);
        let (ratio_direct, ratio_jump) = (ratio(direct), ratio(jump));
        Self { name: name.into(), unit, tidegate, direct, jump, ratio_direct, ratio_jump, runs }
    }

    /// The medians of what was measured in turns, and those of the turns' ratios: the machine
    /// is faster in one minute than in another, and each turn has only its own minute.
    pub fn in_turns(
        name: impl Into<String>,
        unit: &'static str,
        tidegate: &[f64],
        direct: &[f64],
        jump: &[f64],
    ) -> Self {
        let middle = |values: &[f64]| (!values.is_empty()).then(|| median(&mut values.to_vec()));
        let ratio = |other: &[f64]| {
            let ratios: Vec<f64> = tidegate.iter().zip(other).map(|(own, other)| own / other).collect();
            middle(&ratios)
        };
        let (ratio_direct, ratio_jump) = (ratio(direct), ratio(jump));
        let own = middle(tidegate).unwrap_or_default();
        let row = Self::new(name, unit, own, middle(direct), middle(jump), tidegate.len());
        Self { ratio_direct, ratio_jump, ..row }
    }
}

/// Prints the table.
pub fn print(rows: &[Row]) {
    let wide = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default();
    say::line(format_args!(
        "\n{:<wide$}  {:>10}  {:>10}  {:>10}  {:<8}  {:>8}  {:>8}  {:>5}",
        "", "tidegate", "direct", "ssh -J", "unit", "/direct", "/ssh -J", "runs"
    ));
    for row in rows {
        say::line(format_args!(
            "{:<wide$}  {:>10}  {:>10}  {:>10}  {:<8}  {:>8}  {:>8}  {:>5}",
            row.name,
            figure(Some(row.tidegate)),
            figure(row.direct),
            figure(row.jump),
            row.unit,
            ratio(row.ratio_direct),
            ratio(row.ratio_jump),
            row.runs
        ));
    }
}

fn figure(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

fn ratio(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.2}"))
}

/// Writes the file.
pub fn write(rows: &[Row], path: &Path) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, format!("{}\n", serde_json::to_string_pretty(rows)?))?;
    Ok(())
}

/// The value below which the given share of the values lies; the values get sorted.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into a short list")]
    #[expect(clippy::cast_precision_loss, reason = "an index into a short list")]
    let place = ((values.len().saturating_sub(1)) as f64 * share).round() as usize;
    values.get(place).copied().unwrap_or_default()
}

/// The middle value.
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}
