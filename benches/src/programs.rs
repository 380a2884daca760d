//! Programs of any length, for measuring the compiler.

/// Ten declarations of the kinds that programs are made of; `#` is the number of the group, `@` of the one before.
const GROUP: &str = "\
in user#: { id: Int, name: String, tags: List<String> }
total# = user#.id * 3 + total@ - 1
title# = trim(\"${user#.name} has ${total#} points\")
isLarge# = total# > 100 and not (user#.name == \"root\")
rate# = if (isLarge#) 0.5 else 1.25
# This comment is read as well.
line# = { total: total#, rate: rate#, title: title# } + user#[id, tags]
kept# = title# when isLarge#
label# = concat(kept# ?? \"none\", line#.title) with retry: 2, fallback: \"none\"
size# = list-length(user#.tags) + branch { total# > 5 -> 1, otherwise -> string-length(label#) }
out size#
";

/// A program of about `n` declarations, of which all are needed.
pub fn program(n: usize) -> String {
    let mut source = "total0 = 1\n".to_owned();
    for group in 1..=n.div_ceil(10) {
        let text = GROUP.replace("# This", "\u{1}").replace('#', &group.to_string());
        let text = text.replace('@', &(group - 1).to_string()).replace('\u{1}', "# This");
        source.push_str(&text);
    }
    source
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_that_of_the_declarations() {
        let lines = |n| program(n).lines().count();
        // With the start and the comment of a group.
        assert_eq!(lines(10), 1 + 11);
        assert_eq!(lines(1_000) - lines(990), 11);
        assert!(program(20).contains("total2 = user2.id * 3 + total1 - 1\n"));
    }
}
