//! Calls that belong in one place only: files, the clock, the environment, sockets and processes.
//!
//! A file is read as tokens, not as a syntax tree: what stands inside `format!` or `select!` is then
//! seen like everything else, and comments and strings are not seen at all. Names are followed through
//! the `use` declarations of the file, wherever they stand in it. Code under `#[cfg(test)]` is left out.
//! What it cannot see is a type that is passed in and then called: `file.sync_all()`; but to have
//! a `File` somebody must have named it.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, Spacing, Span, TokenStream, TokenTree};
use syn::{ItemUse, UseTree};

use crate::tidy::Violation;
use crate::tidy::sources::SourceFile;

const HERE: &str = "xtask/src/tidy/forbidden_calls.rs";

/// A group of names that may stand in few files.
#[derive(Debug)]
pub(crate) struct Ban {
    pub(crate) rule: &'static str,
    /// Paths from the root of a crate; each bans everything below it.
    pub(crate) paths: &'static [&'static str],
    /// Methods without arguments that do the same from a value in hand.
    pub(crate) methods: &'static [&'static str],
    /// What to do instead.
    pub(crate) instead: &'static str,
    pub(crate) exceptions: &'static [Exception],
}

#[derive(Debug)]
pub(crate) struct Exception {
    /// A file, or a folder when it ends in `/`.
    pub(crate) place: &'static str,
    pub(crate) reason: &'static str,
}

pub(crate) const BANS: &[Ban] = &[
    Ban {
        rule: "file access",
        paths: &["std::fs", "tokio::fs", "std::os::unix::fs"],
        // Those of `std::path::Path`.
        methods: &[
            "canonicalize",
            "exists",
            "is_dir",
            "is_file",
            "is_symlink",
            "read_dir",
            "read_link",
            "symlink_metadata",
            "try_exists",
        ],
        instead: "go through the `Vfs` of store-fs, so that faults can be injected",
        exceptions: &[
            Exception {
                place: "crates/server/src/loader/files.rs",
                reason: "reads the `.cst` files at start",
            },
            Exception { place: "crates/store-fs/src/vfs/real.rs", reason: "the `Vfs` of real files" },
            Exception { place: "crates/store-fs/src/vfs/real/", reason: "the `Vfs` of real files" },
            Exception {
                place: "crates/constellation/src/compile.rs",
                reason: "reads the sources that the command line names",
            },
            Exception {
                place: "crates/constellation/src/config/file.rs",
                reason: "reads the configuration file",
            },
            Exception {
                place: "crates/constellation/src/store/archive.rs",
                reason: "reads and writes the archive that the command line names",
            },
            Exception { place: "xtask/", reason: "reads the sources of the workspace" },
        ],
    },
    Ban {
        rule: "clock",
        paths: &[
            "std::time::Instant::now",
            "std::time::SystemTime::now",
            "tokio::time::Instant::now",
            "jiff::Timestamp::now",
            "jiff::Zoned::now",
            "uuid::Uuid::now_v7",
            "uuid::Timestamp::now",
        ],
        methods: &[],
        instead: "take a `Clock`, so that tests decide what time it is",
        exceptions: &[
            Exception { place: "crates/runtime/src/timer.rs", reason: "the `Timer` of real runs" },
            Exception {
                place: "crates/server/src/stopwatch.rs",
                reason: "durations for metrics and ids of requests, which no result depends on",
            },
            Exception { place: "crates/store-core/src/clock.rs", reason: "the `Clock` of real stores" },
        ],
    },
    Ban {
        rule: "environment",
        paths: &["std::env"],
        methods: &[],
        instead: "take the value as configuration; the binary alone reads the environment",
        exceptions: &[
            Exception {
                place: "crates/constellation/src/main.rs",
                reason: "hands the environment to the configuration",
            },
            Exception {
                place: "crates/constellation/src/logging.rs",
                reason: "reads RUST_LOG, also for commands without a configuration",
            },
        ],
    },
    Ban {
        rule: "sockets and processes",
        // Addresses such as `std::net::SocketAddr` are data.
        paths: &[
            "std::net::TcpListener",
            "std::net::TcpStream",
            "std::net::UdpSocket",
            "std::os::unix::net",
            "std::process::Command",
            "tokio::net",
            "tokio::process",
            "tokio::signal",
        ],
        methods: &[],
        instead: "leave it to the server or the binary",
        exceptions: &[
            Exception { place: "crates/server/src/connections.rs", reason: "accepts the connections" },
            Exception { place: "crates/server/src/bound.rs", reason: "takes the address" },
            Exception {
                place: "crates/server/src/builder.rs",
                reason: "hands the listener on, and waits for signals",
            },
            Exception {
                place: "crates/constellation/src/main.rs",
                reason: "looks whether there is room for sockets, and handles a signal",
            },
            Exception {
                place: "xtask/src/mutants.rs",
                reason: "needs an exit code, which `xshell` gives only with the output withheld",
            },
        ],
    },
    Ban {
        rule: "backend",
        paths: &["constellation_store_fs", "constellation_store_mem"],
        methods: &[],
        instead: "work on `Arc<dyn PipelineStore>`, whichever it is",
        exceptions: &[
            Exception { place: "crates/server/src/builder.rs", reason: "opens the store of a directory" },
            Exception { place: "crates/store-fs/", reason: "is the in-memory store made durable" },
            Exception {
                place: "crates/constellation/src/store.rs",
                reason: "the commands for the store of a directory",
            },
            Exception {
                place: "crates/constellation/src/store/",
                reason: "the commands for the store of a directory",
            },
        ],
    },
];

pub(crate) fn check(files: &[SourceFile], bans: &[Ban]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut used = BTreeSet::new();
    let parsed: Vec<(&SourceFile, Names)> = files
        .iter()
        .filter(|file| file.is_library_code())
        .filter_map(|file| match file.text.parse::<TokenStream>() {
            Ok(tokens) => Some((file, Names::of(tokens))),
            Err(error) => {
                let line = error.span().start().line;
                let message = format!("does not read as Rust: {error}");
                violations.push(Violation {
                    path: file.path.clone(),
                    line,
                    rule: "forbidden calls",
                    message,
                });
                None
            }
        })
        .collect();
    let test_files: BTreeSet<String> = parsed
        .iter()
        .flat_map(|(file, names)| {
            names.test_modules.iter().flat_map(|module| module_files(&file.path, module))
        })
        .collect();

    for (file, names) in parsed.iter().filter(|(file, _)| !is_below(&file.path, &test_files)) {
        for ban in bans {
            let mut found = names.matching(ban);
            if found.is_empty() {
                continue;
            }
            if let Some(exception) = ban.exceptions.iter().find(|exception| exception.covers(&file.path)) {
                used.insert((ban.rule, exception.place));
                continue;
            }
            found.sort();
            found.dedup_by_key(|(line, _)| *line);
            for (line, name) in found {
                let message = format!(
                    "`{name}` must not stand here: {}; or add the file to the list in {HERE} with the reason",
                    ban.instead
                );
                violations.push(Violation { path: file.path.clone(), line, rule: ban.rule, message });
            }
        }
    }
    for ban in bans {
        for exception in
            ban.exceptions.iter().filter(|exception| !used.contains(&(ban.rule, exception.place)))
        {
            let Exception { place, reason } = exception;
            let message = format!("the exception for {place} ({reason}) is not needed; remove it");
            violations.push(Violation { path: HERE.to_owned(), line: 0, rule: ban.rule, message });
        }
    }
    violations
}

impl Ban {
    fn covers(&self, path: &str) -> bool {
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with("::");
        self.paths.iter().any(|banned| path.strip_prefix(banned).is_some_and(is_below))
    }
}

impl Exception {
    fn covers(&self, path: &str) -> bool {
        if self.place.ends_with('/') { path.starts_with(self.place) } else { path == self.place }
    }
}

/// Files that `mod module;` in `parent` may mean, and the folder below it.
fn module_files(parent: &str, module: &str) -> [String; 2] {
    let (folder, name) = parent.rsplit_once('/').unwrap_or(("", parent));
    let stem = name.strip_suffix(".rs").unwrap_or(name);
    let base = match stem {
        "lib" | "main" | "mod" => format!("{folder}/{module}"),
        _ => format!("{folder}/{stem}/{module}"),
    };
    [format!("{base}.rs"), format!("{base}/")]
}

fn is_below(path: &str, files_and_folders: &BTreeSet<String>) -> bool {
    files_and_folders.iter().any(|entry| path == entry || (entry.ends_with('/') && path.starts_with(entry)))
}

/// The names that stand in one file.
#[derive(Debug, Default)]
struct Names {
    /// What `use` calls by a short name: the short name and its full path.
    imports: BTreeMap<String, BTreeSet<String>>,
    /// Paths that end in `::*`.
    globs: BTreeSet<String>,
    /// Every path as written, imported paths among them.
    paths: Vec<(usize, String)>,
    /// Methods that are called without arguments.
    methods: Vec<(usize, String)>,
    /// Modules in files of their own that are there for tests only.
    test_modules: Vec<String>,
}

impl Names {
    fn of(tokens: TokenStream) -> Self {
        let mut names = Self::default();
        // A list of what is left to read: nesting in a source is not bounded by anything.
        let mut pending = vec![tokens];
        while let Some(tokens) = pending.pop() {
            let tokens: Vec<TokenTree> = tokens.into_iter().collect();
            names.read(&tokens, &mut pending);
        }
        names
    }

    fn read(&mut self, tokens: &[TokenTree], pending: &mut Vec<TokenStream>) {
        let mut position = 0;
        while let Some(token) = tokens.get(position) {
            let rest = &tokens[position..];
            position += match token {
                TokenTree::Punct(_) if is_test_attribute(rest) => self.skip_test_code(rest),
                TokenTree::Ident(ident) if ident == "use" => self.read_use(rest),
                TokenTree::Ident(_) => {
                    let is_method = position > 0 && is_punct(&tokens[position - 1], '.');
                    if is_method { self.read_method(rest) } else { self.read_path(rest) }
                }
                TokenTree::Group(group) => {
                    pending.push(group.stream());
                    1
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => 1,
            };
        }
    }

    /// Reads `use a::b;` and answers how many tokens it took.
    fn read_use(&mut self, tokens: &[TokenTree]) -> usize {
        let length = 1 + tokens.iter().take_while(|token| !is_punct(token, ';')).count();
        let item = tokens.iter().take(length).cloned().collect();
        // Anything else is the capture list `use<'a, T>` of an `impl Trait`.
        let Ok(item) = syn::parse2::<ItemUse>(item) else { return 1 };
        let mut pending = vec![(String::new(), &item.tree)];
        while let Some((prefix, tree)) = pending.pop() {
            let line = |span: Span| span.start().line;
            match tree {
                UseTree::Path(path) => {
                    pending.push((format!("{prefix}{}::", path.ident), &path.tree));
                }
                UseTree::Name(name) => {
                    let short = name.ident.to_string();
                    let full = format!("{prefix}{short}");
                    // `use std::fs::{self}` names the folder itself.
                    let full = full.strip_suffix("::self").map_or(full.clone(), str::to_owned);
                    let short = full.rsplit("::").next().unwrap_or(&short).to_owned();
                    self.import(line(name.ident.span()), short, full);
                }
                UseTree::Rename(rename) => {
                    let full = format!("{prefix}{}", rename.ident);
                    let full = full.strip_suffix("::self").map_or(full.clone(), str::to_owned);
                    self.import(line(rename.ident.span()), rename.rename.to_string(), full);
                }
                UseTree::Glob(glob) => {
                    let folder = prefix.trim_end_matches("::").to_owned();
                    self.paths.push((line(glob.star_token.spans[0]), folder.clone()));
                    self.globs.insert(folder);
                }
                UseTree::Group(group) => {
                    pending.extend(group.items.iter().map(|tree| (prefix.clone(), tree)));
                }
            }
        }
        length
    }

    fn import(&mut self, line: usize, short: String, full: String) {
        self.paths.push((line, full.clone()));
        self.imports.entry(short).or_default().insert(full);
    }

    /// Reads `name` after a dot, and answers how many tokens it took.
    fn read_method(&mut self, tokens: &[TokenTree]) -> usize {
        if let [TokenTree::Ident(name), TokenTree::Group(arguments), ..] = tokens
            && arguments.delimiter() == Delimiter::Parenthesis
            && arguments.stream().is_empty()
        {
            self.methods.push((name.span().start().line, name.to_string()));
        }
        1
    }

    /// Reads `a::b::c`, and answers how many tokens it took.
    fn read_path(&mut self, tokens: &[TokenTree]) -> usize {
        let line = tokens[0].span().start().line;
        let mut path = tokens[0].to_string();
        let mut length = 1;
        while let [colon, second, TokenTree::Ident(name), ..] = &tokens[length..]
            && is_joint_colon(colon)
            && is_punct(second, ':')
        {
            path.push_str("::");
            path.push_str(&name.to_string());
            length += 3;
        }
        self.paths.push((line, path));
        length
    }

    /// Passes over what `#[cfg(test)]` stands before, and answers how many tokens that took.
    fn skip_test_code(&mut self, tokens: &[TokenTree]) -> usize {
        let mut length = 0;
        while tokens.get(length).is_some_and(|token| is_punct(token, '#')) {
            length += 2;
        }
        let start = length;
        // An item ends with its body or a semicolon; a field, an arm or an element also with a comma.
        let is_item =
            matches!(tokens.get(start), Some(TokenTree::Ident(ident)) if is_item_keyword(&ident.to_string()));
        // In `use a::{b, c};` the braces are not a body.
        let is_use = tokens[start.min(tokens.len())..]
            .iter()
            .take_while(|token| matches!(token, TokenTree::Ident(_)))
            .any(|token| token.to_string() == "use");
        while let Some(token) = tokens.get(length) {
            length += 1;
            let is_end = match token {
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && !is_use,
                TokenTree::Punct(punct) => punct.as_char() == ';' || (punct.as_char() == ',' && !is_item),
                TokenTree::Ident(_) | TokenTree::Literal(_) => false,
            };
            if is_end {
                break;
            }
        }
        if let [.., TokenTree::Ident(keyword), TokenTree::Ident(name), end] = &tokens[start..length]
            && keyword == "mod"
            && is_punct(end, ';')
        {
            self.test_modules.push(name.to_string());
        }
        length
    }

    /// Lines and names that a ban is about.
    fn matching(&self, ban: &Ban) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (line, path) in &self.paths {
            let banned = self.meanings(path, ban).into_iter().find(|meaning| ban.covers(meaning));
            found.extend(banned.map(|meaning| (*line, meaning)));
        }
        for (line, method) in &self.methods {
            if ban.methods.contains(&method.as_str()) {
                found.push((*line, format!(".{method}()")));
            }
        }
        found
    }

    /// What a path may mean: itself, and what the imports of the file make of its first part.
    fn meanings(&self, path: &str, ban: &Ban) -> Vec<String> {
        let (first, rest) = path.split_at(path.find("::").unwrap_or(path.len()));
        let imported = self.imports.get(first).into_iter().flatten();
        // A glob that is banned itself is reported once, not for every name in the file.
        let globs = self.globs.iter().filter(|folder| !ban.covers(folder));
        let mut meanings = vec![path.to_owned()];
        meanings.extend(imported.map(|full| format!("{full}{rest}")));
        meanings.extend(globs.map(|folder| format!("{folder}::{path}")));
        meanings
    }
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn is_joint_colon(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':' && punct.spacing() == Spacing::Joint)
}

fn is_item_keyword(word: &str) -> bool {
    matches!(
        word,
        "async"
            | "const"
            | "enum"
            | "extern"
            | "fn"
            | "impl"
            | "macro_rules"
            | "mod"
            | "pub"
            | "static"
            | "struct"
            | "trait"
            | "type"
            | "unsafe"
            | "use"
    )
}

/// Whether the tokens begin with `#[cfg(test)]` or `#[cfg(all(test, ...))]`. Not with `any`: such code
/// is also built for others.
fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    let [hash, TokenTree::Group(attribute), ..] = tokens else { return false };
    if !is_punct(hash, '#') || attribute.delimiter() != Delimiter::Bracket {
        return false;
    }
    let text: String = attribute.stream().to_string().split_whitespace().collect();
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: Ban = Ban {
        rule: "file access",
        paths: &["std::fs"],
        methods: &["exists"],
        instead: "do it elsewhere",
        exceptions: &[],
    };
    const CLOCK: Ban = Ban {
        rule: "clock",
        paths: &["std::time::SystemTime::now"],
        methods: &[],
        instead: "take a clock",
        exceptions: &[Exception { place: "crates/a/src/clock.rs", reason: "the clock" }],
    };

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), text: text.to_owned() }
    }

    /// Lines on which the rule for files is broken.
    fn lines(text: &str) -> Vec<usize> {
        check(&[file("crates/a/src/b.rs", text)], &[FILES]).iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_call_is_found_however_it_is_written() {
        let samples = [
            "fn f() {\n std::fs::read(p); }",
            "fn f() {\n ::std::fs::read(p); }",
            "use a::b;\nuse std::fs;",
            "use a::b;\nuse std::{io, fs as disk};",
            "use a::b;\nuse std::{io, fs::{self, File}};",
            "use a::b;\nuse std::fs::*;",
            "use std::*;\nfn f() { fs::read(p) }",
            "fn f() {\n let _ = format!(\"{}\", std::fs::read(p)); }",
            "fn f() {\n p.exists() }",
            "#[cfg(any(test, feature = \"x\"))]\nfn f() { std::fs::read(p) }",
            "#[cfg(not(test))]\nfn f() { std::fs::read(p) }",
            "fn f() -> impl Sized + use<> {\n std::fs::read(p) }",
            "#[cfg(test)] mod tests { } fn f() {\n std::fs::read(p) }",
            "#[cfg(test)] use a::{b, c};\nfn f() { std::fs::read(p) }",
        ];
        for sample in samples {
            assert_eq!(lines(sample), [2], "{sample}");
        }
    }

    #[test]
    fn a_renamed_import_is_followed_to_its_uses() {
        assert_eq!(lines("use std::fs as disk;\nuse disk_usage::fs;\nfn f() {\n disk::read(p) }"), [1, 4]);
    }

    #[test]
    fn comments_strings_tests_and_other_names_are_not_calls() {
        let samples = [
            "// std::fs::read(p)\n/* std::fs */ fn f() {}",
            "/// Like `std::fs::read`.\nfn f() { let s = \"std::fs::read\"; }",
            "#[cfg(test)]\nmod tests { use std::fs; fn f() { fs::read(p); } }",
            "#[cfg(test)]\n#[expect(dead_code)]\nfn f() { std::fs::read(p) }",
            "#[cfg(all(test, unix))]\nuse std::fs::{self, File};",
            "struct S { #[cfg(test)] file: std::fs::File, other: u8 }",
            "use crate::fs;\nfn f() { fs::read(p); my_std::fs::read(p); }",
            "fn f() { vfs.exists(path); self.exists }",
            "mod std_fs; use a::std_fs::read;",
        ];
        for sample in samples {
            assert_eq!(lines(sample), Vec::<usize>::new(), "{sample}");
        }
    }

    #[test]
    fn a_file_that_is_a_test_module_is_left_out() {
        let parent = file("crates/a/src/b.rs", "#[cfg(test)]\nmod tests;\nmod used;");
        let test = file("crates/a/src/b/tests.rs", "use std::fs;");
        let below = file("crates/a/src/b/tests/deep.rs", "use std::fs;");
        let used = file("crates/a/src/b/used.rs", "use std::fs;");
        let found = check(&[parent, test, below, used], &[FILES]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].path, "crates/a/src/b/used.rs");
    }

    #[test]
    fn only_what_is_shipped_is_looked_at() {
        for path in ["crates/a/tests/all.rs", "tests/src/lib.rs", "crates/a/build.rs", "docs/a.md"] {
            assert_eq!(check(&[file(path, "use std::fs;")], &[FILES]), [], "{path}");
        }
        assert_eq!(check(&[file("xtask/src/a.rs", "use std::fs;")], &[FILES]).len(), 1);
    }

    #[test]
    fn a_type_may_be_named_where_only_its_call_is_banned() {
        let clock = "use std::time::SystemTime;\nfn f(t: SystemTime) {}\nfn g() { SystemTime::now() }";
        let found =
            check(&[file("crates/a/src/b.rs", clock), file("crates/a/src/clock.rs", clock)], &[CLOCK]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].path.as_str(), found[0].line), ("crates/a/src/b.rs", 3));
    }

    #[test]
    fn an_exception_that_is_not_needed_is_reported() {
        let found = check(&[file("crates/a/src/clock.rs", "fn f() {}")], &[CLOCK]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].message.contains("the exception for crates/a/src/clock.rs (the clock) is not needed")
        );
    }

    #[test]
    fn a_source_that_does_not_read_is_reported() {
        let found = check(&[file("crates/a/src/b.rs", "fn f() {\n \"")], &[FILES]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].message.starts_with("does not read as Rust"));
    }
}
