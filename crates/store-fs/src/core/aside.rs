//! What turned out to be damaged while the store is open, put aside.
//!
//! A sync of a directory covers what every thread changed in it, and one that fails is not made up for by a later one
//! that succeeds. So only one thread at a time changes the directories of the store: while a checkpoint is under way
//! the one that does its steps, otherwise the one that commits. What is to be put aside meanwhile waits. The exception
//! is `journal/`, which only the thread that commits syncs.

use std::sync::PoisonError;

use constellation_store_mem::Lookup;

use super::check::not_kept;
use super::health::{Content, Warning};
use super::{Core, Lost, Suspect};
use crate::error::FileError;
use crate::seeded::{self, SeededBug};

/// How many versions a warning names.
const HOLDERS_TOLD: usize = 5;

impl Core {
    /// Forgets what turned out to be lost, so that it can be stored again, and puts its damaged file into the
    /// quarantine, when no checkpoint is under way any more. Versions may go on referring to it; its index entries are
    /// dropped, so that its program is compiled again. Does nothing when it was stored again, or removed, meanwhile.
    pub fn put_aside(&mut self, lost: &Lost) {
        let Some(mut warning) = self.forget(lost) else { return };
        if self.is_in_checkpoint() && !seeded::is_on(SeededBug::PutAsideInCheckpoint) {
            self.suspects.push(Suspect::Lost(lost.clone()));
        } else if let Err(error) = self.move_aside(lost) {
            warning.push_str(&not_kept(&error));
        }
        self.tell_lost(lost, warning);
    }

    /// Looks at what was suspected while a checkpoint was under way, which is over.
    pub(super) fn judge_suspects(&mut self) {
        for suspect in std::mem::take(&mut self.suspects) {
            match suspect {
                // Nothing took its place: only a checkpoint writes files.
                Suspect::Lost(lost) => {
                    if let Err(error) = self.move_aside(&lost) {
                        self.tell_lost(&lost, format!("'{}' is damaged{}", lost.path(), not_kept(&error)));
                    }
                }
                Suspect::Mirror(mirror) => self.look_at(&mirror),
            }
        }
    }

    /// Drops it from the state. Returns what there is to tell; none when it is not lost any more.
    fn forget(&mut self, lost: &Lost) -> Option<String> {
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut warning = format!("'{}' is damaged and was not used: {}", lost.path(), lost.reason());
        match lost {
            Lost::Image(hash, _) => {
                if state.image(hash) != Lookup::NotLoaded || seeded::is_on(SeededBug::DamagedImageKept) {
                    return None;
                }
                let mut holders: Vec<_> = state
                    .holders(hash)
                    .map(|holder| format!("{} version {}", holder.name, holder.version))
                    .collect();
                let n_more = holders.len().saturating_sub(HOLDERS_TOLD);
                holders.truncate(HOLDERS_TOLD);
                if !holders.is_empty() {
                    let more = if n_more > 0 { format!(" and {n_more} more") } else { String::new() };
                    warning = format!("{warning}; it is the image of {}{more}", holders.join(", "));
                }
                let keys = state.forget_damaged(hash);
                self.dirty.index |= !keys.is_empty();
                self.dirty.keys.extend(keys);
                self.dirty.images.insert(*hash);
            }
            Lost::Source(hash, _) => {
                if state.source(hash) != Lookup::NotLoaded {
                    return None;
                }
                state.forget_damaged_source(hash);
                self.dirty.sources.insert(*hash);
            }
        }
        Some(warning)
    }

    fn move_aside(&self, lost: &Lost) -> Result<(), FileError> {
        if !self.is_writer {
            return Ok(());
        }
        match self.files.quarantine(&lost.path(), lost.reason(), None) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    fn tell_lost(&self, lost: &Lost, warning: String) {
        tracing::warn!("{warning}");
        let content = match lost {
            Lost::Image(hash, _) => Content::Image(*hash),
            Lost::Source(hash, _) => Content::Source(*hash),
        };
        self.shared.health().found.push(Warning::until_stored(warning, vec![content]));
    }
}
