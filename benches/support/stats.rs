//! Numbers of several rounds made into one.

use std::time::Duration;

/// The median; 0 of nothing.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let sorted = sorted(samples);
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// What a quarter of the samples are below, and what a quarter are above; 0 of nothing.
fn quartiles(samples: &[f64]) -> (f64, f64) {
    let sorted = sorted(samples);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
    (at(sorted.len() / 4), at(sorted.len() * 3 / 4))
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// How subject and floor stand to each other, round by round.
pub(crate) struct Ratio {
    /// The median of each round's ratio. Steadier than the ratio of the medians where the machine
    /// changes its pace between rounds.
    pub(crate) median: f64,
    quartiles: (f64, f64),
}

impl Ratio {
    pub(crate) fn of(over: &[f64], under: &[f64]) -> Self {
        let ratios: Vec<f64> = over.iter().zip(under).map(|(over, under)| over / under).collect();
        Self { median: median(&ratios), quartiles: quartiles(&ratios) }
    }

    /// The median, and the quartiles behind it.
    pub(crate) fn shown(&self, digits: usize) -> String {
        let (low, high) = self.quartiles;
        format!("{:.digits$} ({low:.digits$} to {high:.digits$})", self.median)
    }
}

/// Microseconds of one of `count` equal parts.
pub(crate) fn micros_each(time: Duration, count: u32) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(count)
}
