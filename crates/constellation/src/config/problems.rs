//! What is wrong with a configuration: all of it at once, so that nobody mends one thing after another.

use anyhow::anyhow;

/// What is wrong, in the order of the settings.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<anyhow::Error>);

impl Problems {
    pub(crate) fn push(&mut self, problem: anyhow::Error) {
        self.0.push(problem);
    }

    /// One error for all of them.
    pub(crate) fn into_result(mut self) -> anyhow::Result<()> {
        if self.0.len() <= 1 {
            return self.0.pop().map_or(Ok(()), Err);
        }
        let lines: Vec<String> = self.0.iter().map(|problem| format!("\n  {problem:#}")).collect();
        Err(anyhow!("{} settings are wrong:{}", lines.len(), lines.concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_problem_is_told_as_it_is_and_several_in_lines() {
        let told = |texts: &[&'static str]| {
            let mut problems = Problems::default();
            for text in texts {
                problems.push(anyhow!("too short").context(*text));
            }
            problems.into_result().map_err(|error| format!("{error:#}"))
        };
        assert_eq!(told(&[]), Ok(()));
        assert_eq!(told(&["a"]), Err("a: too short".to_owned()));
        assert_eq!(
            told(&["a", "b"]),
            Err("2 settings are wrong:\n  a: too short\n  b: too short".to_owned())
        );
    }
}
