//! Room for connections among the files that the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the store, its compaction, the log and the runtime have open at one time, and more. Without it connections
/// would take what a commit needs.
const RESERVED: u64 = 64;

/// What a thread for connections has open besides those, and more: what it waits at, and what wakes it.
const RESERVED_FOR_THREAD: u64 = 4;

/// Lets the process open as many files as it is allowed to, and returns how many of the wanted connections there is
/// room for beside so many threads that serve them.
pub(crate) fn room_for_connections(wanted: usize, threads: usize) -> usize {
    let limit = raise(getrlimit(Resource::Nofile));
    let Some(limit) = limit.current else { return wanted };
    let room = usize::try_from(limit - reserved(limit, threads)).unwrap_or(usize::MAX);
    if room < wanted {
        tracing::warn!(
            wanted,
            room,
            "the limit on open files leaves room for fewer connections; see 'ulimit -n'"
        );
    }
    room.min(wanted)
}

/// Of a limit that is low anyway, connections get the larger part.
fn reserved(limit: u64, threads: usize) -> u64 {
    let threads = u64::try_from(threads).unwrap_or(u64::MAX);
    threads.saturating_mul(RESERVED_FOR_THREAD).saturating_add(RESERVED).min(limit / 4)
}

/// The limit that holds then. The soft limit is low for the sake of programs that use `select`, which this is not.
fn raise(limit: Rlimit) -> Rlimit {
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised,
        Err(error) => {
            tracing::debug!(%error, "the limit on open files was not raised");
            limit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_room_for_more_connections_than_files() {
        let limit = raise(getrlimit(Resource::Nofile));
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(room_for_connections(10, 2), 10);
        if let Some(limit) = limit.current {
            let room = room_for_connections(usize::MAX, 2);
            assert_eq!(room as u64, limit - RESERVED - 2 * RESERVED_FOR_THREAD);
        }
        assert_eq!([0, 16, 256, 1024].map(|limit| reserved(limit, 0)), [0, 4, 64, 64]);
        assert_eq!([(1024, 16), (1024, usize::MAX)].map(|(limit, n)| reserved(limit, n)), [128, 256]);
    }
}
