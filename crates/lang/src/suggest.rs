//! Names near to one that does not exist.

/// Names longer than this are not compared: the work for a pair grows with the product of the lengths.
const MAX_LENGTH: usize = 40;

/// How many names are compared at most. A program with more is not helped less by missing a suggestion.
const MAX_CANDIDATES: usize = 1_000;

/// Up to three candidates at most two edits away, nearest first, then in the order given. A name that differs
/// only in case is at no distance at all, so it comes first.
pub fn nearest<'c>(
    name: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> impl Iterator<Item = &'c str> {
    let mut near: Vec<(usize, &str)> = Vec::new();
    if name.len() <= MAX_LENGTH {
        let wanted = name.to_ascii_lowercase();
        let is_close = |candidate: &&str| {
            candidate.len().abs_diff(name.len()) <= 2 && candidate.len() <= MAX_LENGTH && *candidate != name
        };
        for candidate in candidates.into_iter().filter(is_close).take(MAX_CANDIDATES) {
            let distance = strsim::levenshtein(&wanted, &candidate.to_ascii_lowercase());
            if distance <= 2 && distance < name.chars().count().max(2) {
                near.push((distance, candidate));
            }
        }
    }
    near.sort_by_key(|(distance, _)| *distance);
    near.dedup();
    near.into_iter().take(3).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_three_names_within_two_edits_nearest_first() {
        let names = ["trims", "trim", "tram", "brim", "grip", "uppercase"];
        assert_eq!(nearest("trimm", names).collect::<Vec<_>>(), ["trims", "trim", "tram"]);
        assert_eq!(nearest("Uppercase", names).collect::<Vec<_>>(), ["uppercase"]);
        assert_eq!(nearest("x", ["y", "ab", "abc"]).count(), 1);
        assert_eq!(nearest(&"a".repeat(50), [&*"a".repeat(51)]).count(), 0);
    }
}
