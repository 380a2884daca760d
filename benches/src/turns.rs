//! Taking turns: each contender does an operation before any does the next.

use std::time::Instant;

use crate::images::Random;

/// Does one operation, durably.
type Act<'a, T> = Box<dyn FnMut(&T) -> anyhow::Result<()> + 'a>;

/// Somebody who can be measured.
pub struct Contender<'a, T: ?Sized> {
    /// Who it is.
    pub name: String,
    act: Act<'a, T>,
    /// How long each took, in microseconds.
    pub times: Vec<f64>,
}

impl<'a, T: ?Sized> Contender<'a, T> {
    /// Somebody without measurements yet; `act` does one operation, durably.
    pub fn new(name: impl Into<String>, act: impl FnMut(&T) -> anyhow::Result<()> + 'a) -> Self {
        Self { name: name.into(), act: Box::new(act), times: Vec::new() }
    }
}

/// Operations that are done first and not counted.
const WARM_UP: usize = 10;

/// Lets each contender do each operation, in an order drawn anew for each, so that nobody always follows the same
/// other one. The first few operations are not counted.
///
/// # Errors
///
/// The first error of a contender ends it all.
pub fn take_turns<T>(
    contenders: &mut [Contender<'_, T>],
    operations: impl Iterator<Item = T>,
) -> anyhow::Result<()> {
    let mut random = Random(1);
    let mut order: Vec<usize> = (0..contenders.len()).collect();
    for (number, operation) in operations.enumerate() {
        shuffle(&mut order, &mut random);
        for &index in &order {
            let contender = &mut contenders[index];
            let start = Instant::now();
            (contender.act)(&operation)?;
            let elapsed = start.elapsed();
            if number >= WARM_UP {
                contender.times.push(elapsed.as_secs_f64() * 1e6);
            }
        }
    }
    Ok(())
}

/// Fisher and Yates.
pub fn shuffle<T>(order: &mut [T], random: &mut Random) {
    for last in (1..order.len()).rev() {
        let bound = u32::try_from(last + 1).expect("a handful of contenders");
        order.swap(last, random.below(bound) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_does_every_operation_and_the_first_ones_are_not_counted() {
        let mut sums = [0; 3];
        {
            let mut contenders: Vec<Contender<'_, i32>> = sums
                .iter_mut()
                .map(|sum| {
                    Contender::new("adder", move |number: &i32| {
                        *sum += number;
                        Ok(())
                    })
                })
                .collect();
            take_turns(&mut contenders, 1..=20).unwrap();
            assert!(contenders.iter().all(|contender| contender.times.len() == 10));
        }
        assert_eq!(sums, [210; 3]);
    }

    #[test]
    fn a_shuffle_keeps_everybody() {
        let mut order: Vec<u32> = (0..10).collect();
        shuffle(&mut order, &mut Random(3));
        assert_ne!(order, (0..10).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..10).collect::<Vec<_>>());
    }
}
