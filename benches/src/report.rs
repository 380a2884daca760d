//! Results, as a table for people and as JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::statistics::Summary;

/// All results of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// Whether it was the small run, whose figures say less.
    pub quick: bool,
    /// In the order they were measured.
    pub rows: Vec<Row>,
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What was done, and how it was counted.
    pub case: String,
    /// What `ours` and `peer` are counted in, such as `us` or `publishes/s`.
    pub unit: &'static str,
    /// Our measure; none where it could not be taken, and then `note` says why.
    pub ours: Option<Measure>,
    /// Whom we are compared with.
    pub peer_name: String,
    /// Their measure.
    pub peer: Option<Measure>,
    /// What the ratio of ours to theirs is to be; none where the row only informs.
    pub goal: Option<Goal>,
    /// What a reader should know of this row.
    pub note: Option<String>,
}

/// The result of one contender.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// The median.
    pub median: f64,
    /// The 99th percentile, where single operations were timed.
    pub p99: Option<f64>,
}

/// A bound on the ratio of our median to theirs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// For times and sizes.
    AtMost(f64),
    /// For rates.
    AtLeast(f64),
}

impl Measure {
    /// The median alone, for few rounds.
    pub fn median_of(measurements: &[f64]) -> Option<Self> {
        Summary::of(measurements).map(|summary| Self { median: summary.median, p99: None })
    }

    /// Median and 99th percentile, for many operations.
    pub fn of(measurements: &[f64]) -> Option<Self> {
        Summary::of(measurements).map(|summary| Self { median: summary.median, p99: Some(summary.p99) })
    }
}

impl Goal {
    fn is_met_by(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(bound) => ratio <= bound,
            Self::AtLeast(bound) => ratio >= bound,
        }
    }

    fn bound(self) -> f64 {
        match self {
            Self::AtMost(bound) | Self::AtLeast(bound) => bound,
        }
    }

    fn direction(self) -> &'static str {
        match self {
            Self::AtMost(_) => "at most",
            Self::AtLeast(_) => "at least",
        }
    }
}

impl Row {
    /// Our median over theirs; none unless both were measured and theirs is above 0.
    pub fn ratio(&self) -> Option<f64> {
        let (ours, peer) = (self.ours?.median, self.peer?.median);
        (peer > 0.0).then(|| ours / peer)
    }

    /// Whether the goal is met; none without a goal or a ratio.
    pub fn met(&self) -> Option<bool> {
        Some(self.goal?.is_met_by(self.ratio()?))
    }

    fn to_json(&self) -> Value {
        let Self { case, unit, ours, peer_name, peer, goal, note } = self;
        let median = |measure: &Option<Measure>| measure.map(|measure| measure.median);
        let tail = |measure: &Option<Measure>| measure.and_then(|measure| measure.p99);
        json!({
            "case": case,
            "ours": median(ours),
            "peer": median(peer),
            "ratio": self.ratio(),
            "goal": goal.map(Goal::bound),
            "met": self.met(),
            "peerName": peer_name,
            "unit": unit,
            "bound": goal.map(Goal::direction),
            "oursP99": tail(ours),
            "peerP99": tail(peer),
            "note": note,
        })
    }
}

impl Report {
    /// The document that is left for programs: pretty, with a newline at the end.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Document {
            quick: bool,
            rows: Vec<Value>,
        }
        let document = Document { quick: self.quick, rows: self.rows.iter().map(Row::to_json).collect() };
        let mut bytes = serde_json::to_vec_pretty(&document).expect("values that are in memory serialize");
        bytes.push(b'\n');
        bytes
    }

    /// The table, one line for each row and one for each note.
    pub fn to_table(&self) -> String {
        let heading = ["case", "peer", "ours", "peer's", "unit", "ratio", "p99 ratio", "goal", ""];
        let mut lines = vec![heading.map(str::to_owned)];
        lines.extend(self.rows.iter().map(Row::cells));
        let widths: [usize; 9] =
            std::array::from_fn(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0));
        let mut table = String::new();
        for (index, line) in lines.iter().enumerate() {
            let cells: Vec<String> = line
                .iter()
                .zip(widths)
                .enumerate()
                .map(|(column, (cell, width))| {
                    // Numbers are compared by their last digits, text by its first.
                    if matches!(column, 2 | 3 | 5 | 6) {
                        format!("{cell:>width$}")
                    } else {
                        format!("{cell:<width$}")
                    }
                })
                .collect();
            let _ = writeln!(table, "{}", cells.join("  ").trim_end());
            if let Some(note) = index.checked_sub(1).and_then(|row| self.rows[row].note.as_ref()) {
                let _ = writeln!(table, "    {note}");
            }
        }
        table
    }
}

impl Row {
    fn cells(&self) -> [String; 9] {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), text_of);
        let tails = self.ours.and_then(|ours| ours.p99).zip(self.peer.and_then(|peer| peer.p99));
        [
            self.case.clone(),
            self.peer_name.clone(),
            number(self.ours.map(|ours| ours.median)),
            number(self.peer.map(|peer| peer.median)),
            self.unit.to_owned(),
            number(self.ratio()),
            number(tails.map(|(ours, peer)| ours / peer)),
            self.goal.map_or_else(String::new, |goal| format!("{} {}", goal.direction(), goal.bound())),
            match self.met() {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            }
            .to_owned(),
        ]
    }
}

/// About three digits that count.
fn text_of(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: f64, peer: f64, goal: Goal) -> Row {
        let measure = |median| Some(Measure { median, p99: Some(median * 2.0) });
        Row {
            case: "publish, p50".into(),
            unit: "us",
            ours: measure(ours),
            peer_name: "SQLite".into(),
            peer: measure(peer),
            goal: Some(goal),
            note: None,
        }
    }

    #[test]
    fn a_goal_is_met_on_its_own_side_of_the_bound_and_on_it() {
        assert_eq!(row(80.0, 100.0, Goal::AtMost(0.8)).met(), Some(true));
        assert_eq!(row(81.0, 100.0, Goal::AtMost(0.8)).met(), Some(false));
        assert_eq!(row(150.0, 100.0, Goal::AtLeast(1.5)).met(), Some(true));
        assert_eq!(row(149.0, 100.0, Goal::AtLeast(1.5)).met(), Some(false));
    }

    #[test]
    fn what_was_not_measured_is_null_and_neither_met_nor_missed() {
        let mut row = row(1.0, 1.0, Goal::AtMost(1.0));
        row.ours = None;
        row.note = Some("skipped: not root".into());
        let report = Report { quick: true, rows: vec![row] };
        let json: Value = serde_json::from_slice(&report.to_json()).unwrap();
        assert_eq!(json["quick"], true);
        for member in ["ours", "ratio", "met", "oursP99"] {
            assert_eq!(json["rows"][0][member], Value::Null, "{member}");
        }
        assert_eq!(json["rows"][0]["note"], "skipped: not root");
        assert!(report.to_table().contains("    skipped: not root\n"));
    }

    #[test]
    fn the_json_has_the_members_that_every_benchmark_has() {
        let report = Report { quick: false, rows: vec![row(160.0, 200.0, Goal::AtMost(0.8))] };
        let text = String::from_utf8(report.to_json()).unwrap();
        assert!(text.ends_with("}\n"));
        let json: Value = serde_json::from_str(&text).unwrap();
        let row = &json["rows"][0];
        assert_eq!(row["case"], "publish, p50");
        assert_eq!((&row["ours"], &row["peer"]), (&json!(160.0), &json!(200.0)));
        assert_eq!((&row["ratio"], &row["goal"], &row["met"]), (&json!(0.8), &json!(0.8), &json!(true)));
        assert_eq!((&row["peerName"], &row["unit"]), (&json!("SQLite"), &json!("us")));
        assert_eq!((&row["bound"], &row["oursP99"]), (&json!("at most"), &json!(320.0)));
    }

    #[test]
    fn the_table_shows_medians_ratios_and_what_was_missed() {
        let rows = vec![row(160.0, 200.0, Goal::AtMost(0.8)), row(1.0, 100.0, Goal::AtLeast(1.5))];
        let table = Report { quick: false, rows }.to_table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert_eq!(words(lines[1]), "publish, p50 SQLite 160 200 us 0.800 0.800 at most 0.8 met");
        assert_eq!(words(lines[2]), "publish, p50 SQLite 1.00 100 us 0.010 0.010 at least 1.5 MISSED");
    }

    #[test]
    fn a_ratio_to_nothing_is_not_a_number_of_any_size() {
        assert_eq!(row(1.0, 0.0, Goal::AtMost(1.0)).ratio(), None);
    }
}
