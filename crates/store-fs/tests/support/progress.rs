//! What a long run has done, in a file, so that it goes on where it was interrupted.

#![expect(clippy::print_stderr, reason = "a long run tells how far it is")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::crashes::Tried;

/// How often it is told how far it is.
const PACE: Duration = Duration::from_secs(30);

/// A part of a run.
#[derive(Debug)]
pub(crate) struct Progress {
    what: String,
    of: usize,
    /// With a line for each workload: its number, and what was tried in it.
    file: Option<(PathBuf, File)>,
    done: BTreeSet<usize>,
    tried: Tried,
    /// What this process had tried when the last workload was done.
    before: Tried,
    told: Instant,
}

impl Progress {
    /// Of a part with so many workloads, which is noted in a directory, if there is one. What another program did is not
    /// taken for done.
    pub(crate) fn of(directory: Option<&Path>, what: &str, part: &str, of: usize) -> Self {
        let mut progress = Self {
            what: what.to_owned(),
            of,
            file: None,
            done: BTreeSet::new(),
            tried: Tried::default(),
            before: Tried::default(),
            told: Instant::now(),
        };
        let Some(directory) = directory else { return progress };
        fs::create_dir_all(directory).unwrap();
        let program = fs::read(std::env::current_exe().unwrap()).unwrap();
        let name = format!("{:.16}-{part}-{what}", blake3::hash(&program).to_hex());
        let path = directory.join(name.replace(' ', "-"));
        // The last line may be unfinished.
        let noted = fs::read_to_string(&path).unwrap_or_default();
        let lines = noted.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        for line in lines {
            let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
            progress.done.insert(numbers.next().unwrap());
            progress.tried = progress.tried + Tried::of(std::array::from_fn(|_| numbers.next().unwrap()));
        }
        let whole = noted.rfind('\n').map_or(0, |end| end + 1);
        let file = File::options().create(true).append(true).open(&path).unwrap();
        file.set_len(whole as u64).unwrap();
        if !progress.done.is_empty() {
            eprintln!("{}: {} workloads were done before", progress.what, progress.done.len());
        }
        progress.file = Some((path, file));
        progress
    }

    pub(crate) fn is_done(&self, workload: usize) -> bool {
        self.done.contains(&workload)
    }

    /// A workload is done; what this process tried by now.
    pub(crate) fn done(&mut self, workload: usize, by_now: Tried) {
        let tried = by_now - self.before;
        self.before = by_now;
        self.tried = self.tried + tried;
        self.done.insert(workload);
        if let Some((_, file)) = &mut self.file {
            let numbers = tried.counts().map(|count| count.to_string()).join(" ");
            file.write_all(format!("{workload} {numbers}\n").as_bytes()).unwrap();
        }
        if self.told.elapsed() > PACE {
            self.told = Instant::now();
            eprintln!("{}: {} of {} workloads; {}", self.what, self.done.len(), self.of, self.tried);
        }
    }

    /// What was tried in all, once all is done. The next run begins anew.
    pub(crate) fn end(self) -> Tried {
        assert_eq!(self.done.len(), self.of, "workloads were left out");
        if let Some((path, _)) = self.file {
            fs::remove_file(path).unwrap();
        }
        self.tried
    }
}
