//! What is told of many measurements.

/// The median and the tail of a list of measurements, in the unit of the measurements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Half of the measurements are at most this.
    pub median: f64,
    /// 99 of 100 measurements are at most this.
    pub p99: f64,
}

impl Summary {
    /// Summarises measurements in any order; none when there are none.
    pub fn of(measurements: &[f64]) -> Option<Self> {
        let mut sorted = measurements.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self { median: median(&sorted)?, p99: *sorted.get(rank(sorted.len(), 99)?)? })
    }
}

/// The middle of sorted measurements, or the mean of the two in the middle.
fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[middle - 1], upper) })
}

/// The place of a percentile among `count` sorted measurements, by the nearest rank: a value that was measured,
/// never one in between.
fn rank(count: usize, percent: usize) -> Option<usize> {
    (count * percent).div_ceil(100).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_measured_has_no_summary() {
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn the_median_of_an_even_count_is_between_the_middle_two() {
        assert_eq!(Summary::of(&[4.0, 1.0, 3.0, 2.0]), Some(Summary { median: 2.5, p99: 4.0 }));
        assert_eq!(Summary::of(&[9.0, 1.0, 3.0]), Some(Summary { median: 3.0, p99: 9.0 }));
    }

    #[test]
    fn one_slow_measurement_of_a_hundred_is_beyond_the_99th_percentile() {
        let mut measurements: Vec<f64> = (1..=99).map(f64::from).collect();
        measurements.push(1e6);
        assert_eq!(Summary::of(&measurements), Some(Summary { median: 50.5, p99: 99.0 }));
        measurements.push(1e6);
        assert_eq!(Summary::of(&measurements), Some(Summary { median: 51.0, p99: 1e6 }));
    }

    #[test]
    fn one_measurement_is_its_own_median_and_tail() {
        assert_eq!(Summary::of(&[7.0]), Some(Summary { median: 7.0, p99: 7.0 }));
    }
}
