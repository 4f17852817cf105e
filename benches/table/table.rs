//! The result: rows with their targets, as a table for people or JSON for programs. Knows nothing of how they came about.

use std::time::Duration;

use comfy_table::{CellAlignment, Table as Text, presets};
use serde::Serialize;
use serde_json::{Value, json};

use crate::Result;
use crate::machine::Machine;
use crate::sizes::Sizes;
use crate::statistics::median;

/// What a row must reach.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// A ratio to the baseline.
    RatioAtLeast(f64),
    /// A ratio to the baseline.
    RatioAtMost(f64),
    /// The measured value itself, in the row's unit.
    AtMost(f64),
    /// None: beside the table, to understand it.
    None,
}

/// A row before it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    pub name: &'static str,
    /// Unit of the measured value and of the baseline.
    pub unit: &'static str,
    /// What it must reach.
    pub target: Target,
}

/// A row as measured.
#[derive(Clone, Debug)]
pub struct Row {
    spec: Spec,
    measured: f64,
    baseline: Option<f64>,
    ratio: Option<f64>,
    note: String,
}

impl Spec {
    /// From pairs of measurement and baseline, each pair measured in one go.
    pub fn of_pairs(self, pairs: &[(f64, f64)], note: impl Into<String>) -> Row {
        let all = |pick: fn(&(f64, f64)) -> f64| median(&pairs.iter().map(pick).collect::<Vec<_>>());
        self.done(Row {
            spec: self,
            measured: all(|(measured, _)| *measured),
            baseline: Some(all(|(_, baseline)| *baseline)),
            ratio: Some(all(|(measured, baseline)| measured / baseline)),
            note: note.into(),
        })
    }

    /// From one figure.
    pub fn of(self, measured: f64, baseline: Option<f64>, note: impl Into<String>) -> Row {
        let ratio = baseline.map(|baseline| measured / baseline);
        self.done(Row { spec: self, measured, baseline, ratio, note: note.into() })
    }

    /// Who waits for the table sees it grow.
    fn done(self, row: Row) -> Row {
        eprintln!("{}", row.cells().join("  "));
        row
    }
}

impl Row {
    /// None: there is no target.
    fn met(&self) -> Option<bool> {
        match self.spec.target {
            Target::RatioAtLeast(least) => self.ratio.map(|ratio| ratio >= least),
            Target::RatioAtMost(most) => self.ratio.map(|ratio| ratio <= most),
            Target::AtMost(most) => Some(self.measured <= most),
            Target::None => None,
        }
    }

    fn cells(&self) -> Vec<String> {
        let Spec { name, unit, target } = self.spec;
        vec![
            name.to_owned(),
            format!("{} {unit}", figure(self.measured)),
            self.baseline.map(|baseline| format!("{} {unit}", figure(baseline))).unwrap_or_default(),
            self.ratio.map(|ratio| format!("{ratio:.3}")).unwrap_or_default(),
            match target {
                Target::RatioAtLeast(least) => format!("≥ {least}"),
                Target::RatioAtMost(most) => format!("≤ {most}"),
                Target::AtMost(most) => format!("≤ {most} {unit}"),
                Target::None => String::new(),
            },
            self.met().map(|met| if met { "yes" } else { "NO" }).unwrap_or_default().to_owned(),
            self.note.clone(),
        ]
    }

    fn json(&self) -> Value {
        let (target, of) = match self.spec.target {
            Target::RatioAtLeast(least) => (Some(least), "ratio at least"),
            Target::RatioAtMost(most) => (Some(most), "ratio at most"),
            Target::AtMost(most) => (Some(most), "measured at most"),
            Target::None => (None, "none"),
        };
        json!({
            "name": self.spec.name,
            "unit": self.spec.unit,
            "measured": self.measured,
            "baseline": self.baseline,
            "ratio": self.ratio,
            "target": target,
            "target_is": of,
            "met": self.met(),
            "note": self.note,
        })
    }
}

/// Three digits that count, and no more.
fn figure(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// All that is printed.
#[derive(Debug)]
pub struct Table {
    pub machine: Machine,
    pub sizes: Sizes,
    pub rows: Vec<Row>,
    pub took: Duration,
}

#[derive(Serialize)]
struct Output<'a> {
    version: &'static str,
    machine: &'a Machine,
    sizes: &'a Sizes,
    took_s: u64,
    rows: Vec<Value>,
}

impl Table {
    /// On stdout.
    pub fn print(&self, as_json: bool) -> Result<()> {
        let output = Output {
            version: env!("CARGO_PKG_VERSION"),
            machine: &self.machine,
            sizes: &self.sizes,
            took_s: self.took.as_secs(),
            rows: self.rows.iter().map(Row::json).collect(),
        };
        if as_json {
            println!("{}", serde_json::to_string_pretty(&output)?);
            return Ok(());
        }
        println!("event-sender {}, release build; {}", output.version, self.machine);
        println!("{} sizes: {}", self.sizes.mode, sizes_in_words(&self.sizes)?);
        if self.sizes.mode == "short" {
            println!("SHORT RUN: smaller sizes than the targets are meant for, and few repetitions.");
        }
        let mut text = Text::new();
        text.load_style(presets::ASCII_MARKDOWN);
        text.set_header(["what", "measured", "baseline", "ratio", "target", "met", "note"]);
        text.add_rows(self.rows.iter().map(Row::cells));
        for column in 1..5 {
            if let Some(column) = text.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        println!("\n{text}\n\n{} s in all", output.took_s);
        Ok(())
    }
}

fn sizes_in_words(sizes: &Sizes) -> Result<String> {
    let Value::Object(fields) = serde_json::to_value(sizes)? else { return Ok(String::new()) };
    let words = fields.iter().filter(|(name, _)| *name != "mode").map(|(name, size)| format!("{name} {size}"));
    Ok(words.collect::<Vec<_>>().join(", "))
}
