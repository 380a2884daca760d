//! The programs that are compiled and run.

use std::fmt::Write as _;

use serde_json::json;

/// The name of [`FIVE_NODES`].
pub(crate) const NAME: &str = "five";

/// Two inputs, a sum, a call and a text.
pub(crate) const FIVE_NODES: &str = "\
in price: Int
in quantity: Int
sum = price + quantity
total = multiply(sum, quantity)
text = \"the sum is ${sum}\"
out total
out text
";

/// The body of an execution of [`FIVE_NODES`].
pub(crate) fn execution() -> String {
    json!({ "ref": NAME, "inputs": { "price": 17, "quantity": 3 } }).to_string()
}

/// A program of about a kilobyte.
fn kilobyte() -> String {
    let mut source = "in price: Int\nin quantity: Int\nvalue0 = price\n".to_owned();
    let mut number = 0;
    while source.len() < 1_000 {
        number += 1;
        let _ = writeln!(source, "value{number} = value{} + quantity - {number}", number - 1);
    }
    source + &format!("out value{number}\n")
}

/// The body of a run of a program of about a kilobyte.
pub(crate) fn run() -> String {
    json!({ "source": kilobyte(), "inputs": { "price": 17, "quantity": 3 } }).to_string()
}

/// The body that compiles [`FIVE_NODES`] under its name.
pub(crate) fn compilation() -> String {
    json!({ "source": FIVE_NODES, "name": NAME }).to_string()
}

/// One of many programs, each with a graph and a name of its own.
pub(crate) fn numbered(number: u64) -> (String, String) {
    (
        format!("team-{}/pipeline-{number}", number % 50),
        FIVE_NODES.replace("price + quantity", &format!("price + {number}")),
    )
}

/// A script of wrk that compiles the programs after a number, a new one with each request.
pub(crate) fn compilations(after: usize) -> String {
    let source = FIVE_NODES
        .replace("price + quantity", "price + NUMBER")
        .replace('"', "\\\\\\\"")
        .replace('\n', "\\\\n");
    format!(
        "local number = {after}\n\
         local headers = {{ [\"Content-Type\"] = \"application/json\" }}\n\
         local source = \"{source}\"\n\
         request = function()\n\
           number = number + 1\n\
           local body = '{{\"name\":\"team-' .. number % 50 .. '/pipeline-' .. number .. '\",\"source\":\"' ..\n\
             string.gsub(source, \"NUMBER\", number) .. '\"}}'\n\
           return wrk.format(\"POST\", \"/compile\", headers, body)\n\
         end\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_for_runs_has_about_a_kilobyte() {
        assert!((1_000..1_100).contains(&kilobyte().len()));
    }
}
