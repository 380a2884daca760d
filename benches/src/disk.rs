//! The disk that all contenders share.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Waits until the disk has everything, so that no contender writes what is left of the one before: some of them leave
/// much, and `syncfs` waits for all of it.
pub fn start_clean() {
    rustix::fs::sync();
}

/// How many files are made to see how long it takes.
const PROBES: u32 = 500;
/// What one takes at most where nothing was deleted lately; elsewhere it takes five times that, and more.
const USUAL: Duration = Duration::from_micros(100);
const PAUSE: Duration = Duration::from_secs(20);
/// In five minutes it is forgotten.
const ATTEMPTS: u32 = 15;

/// Waits, for five minutes at most, until new files are made as fast as usual, and tells people if it takes a while.
///
/// ext4 does not use what a file that was deleted within some minutes had, and looks past all of that for each new file:
/// it takes several times as long after a build was removed, say, and those who make the most files have the most of it.
///
/// # Errors
///
/// `directory`, which is new, or a file in it cannot be made.
#[expect(clippy::print_stderr, reason = "people wait for minutes otherwise, and do not know for what")]
pub fn wait_for_old_deletions(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    // Only what was deleted for good is passed by.
    start_clean();
    for attempt in 0..ATTEMPTS {
        let start = Instant::now();
        for probe in 0..PROBES {
            fs::File::create_new(directory.join(format!("{attempt}-{probe}")))?;
        }
        if start.elapsed() < USUAL * PROBES {
            break;
        }
        if attempt == 0 {
            eprintln!("waiting: files were deleted within the last minutes, which makes new ones slow");
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}
