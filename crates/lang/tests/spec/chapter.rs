//! Reads the chapters of the language: programs, and what is said about them.
//!
//! A block `cst` is a program. The blocks behind it, up to the next program, say what it gives: `types` the types of
//! all its outputs, `diagnostics` all that the compiler finds, `run` what runs of it answer. A program without
//! `diagnostics` compiles without a word. Blocks `ebnf` and `text` are for the reader alone.

use std::fs;
use std::path::{Path, PathBuf};

/// A program of a chapter, and what is said about it.
#[derive(Debug, Default)]
pub(crate) struct Program {
    /// The chapter's file and the line of the block in it.
    pub(crate) place: String,
    pub(crate) source: String,
    /// Blocks by their kind, in their order.
    claims: Vec<(String, String)>,
}

impl Program {
    /// The lines of a block; none when there is no such block.
    pub(crate) fn claim(&self, kind: &str) -> Option<Vec<&str>> {
        let block = self.claims.iter().find(|(known, _)| known == kind);
        block.map(|(_, text)| text.lines().filter(|line| !line.trim().is_empty()).collect())
    }
}

/// All chapters of a directory in their order, each with its programs.
pub(crate) fn chapters(directory: &Path) -> Vec<(PathBuf, Vec<Program>)> {
    let entries = fs::read_dir(directory).expect("the chapters are there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a chapter is text");
        let name = path.file_name().expect("it is a file").to_string_lossy().into_owned();
        let programs = programs(&name, &text);
        (path, programs)
    };
    paths.into_iter().map(read).collect()
}

fn programs(chapter: &str, text: &str) -> Vec<Program> {
    let mut programs: Vec<Program> = Vec::new();
    let mut open: Option<(String, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let place = format!("{chapter}:{}", index + 1);
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => {
                assert!(
                    ["cst", "types", "diagnostics", "run", "ebnf", "text"].contains(&kind),
                    "{place}: a block of no known kind: '{kind}'"
                );
                if kind == "cst" {
                    programs.push(Program { place: place.clone(), ..Program::default() });
                }
                open = Some((kind.to_owned(), String::new()));
            }
            (Some(_), Some(rest)) => {
                assert!(rest.is_empty(), "{place}: a block starts in a block");
                let (kind, text) = open.take().expect("a block is open");
                match (kind.as_str(), programs.last_mut()) {
                    ("ebnf" | "text", _) => {}
                    ("cst", Some(program)) => program.source = text,
                    (_, Some(program)) => {
                        assert!(program.claim(&kind).is_none(), "{place}: a second block '{kind}'");
                        program.claims.push((kind, text));
                    }
                    (_, None) => panic!("{place}: there is no program before '{kind}'"),
                }
            }
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{chapter}: a block has no end");
    for program in &programs {
        assert!(!program.claims.is_empty(), "{}: nothing is said about the program", program.place);
    }
    programs
}
