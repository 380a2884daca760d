//! Futures that are polled when they were woken.
//!
//! As `FuturesUnordered`, but that a future which has ended leaves its place, with the waker that belongs to it, to one
//! that is added later. So adding one allocates nothing as long as there are no more of them than there were before.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::FutureExt;

/// Places that are kept when nothing is in them.
const MAX_KEPT: usize = 256;

/// A set of futures, each of which is at a place.
pub(super) struct FutureSet<F> {
    places: Vec<Place<F>>,
    /// Places without a future, the next one to be used last.
    free: Vec<usize>,
    /// Places whose futures are to be polled, the next one first.
    due: VecDeque<usize>,
    woken: Arc<Mutex<Woken>>,
}

struct Place<F> {
    future: Option<F>,
    /// Wakes whatever is at the place. One that a future of before has kept makes another be polled in vain.
    waker: Waker,
}

/// What wakers tell.
#[derive(Debug, Default)]
struct Woken {
    /// Places that were woken, the first one first.
    places: VecDeque<usize>,
    /// For each place whether it is among these.
    is_listed: Vec<bool>,
    /// Who polls the set, as long as nothing was woken.
    parent: Option<Waker>,
}

/// Wakes one place.
struct PlaceWaker {
    place: usize,
    woken: Arc<Mutex<Woken>>,
}

impl Wake for PlaceWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let parent = {
            let mut woken = lock(&self.woken);
            if mem::replace(&mut woken.is_listed[self.place], true) {
                return;
            }
            woken.places.push_back(self.place);
            woken.parent.take()
        };
        // Outside of the lock: what others do when they are woken is not known here.
        if let Some(parent) = parent {
            parent.wake();
        }
    }
}

fn lock(woken: &Mutex<Woken>) -> MutexGuard<'_, Woken> {
    woken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<F> Default for FutureSet<F> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new(), due: VecDeque::new(), woken: Arc::default() }
    }
}

impl<F: Future + Unpin> FutureSet<F> {
    /// Adds a future. The place that it has until it ends.
    pub(super) fn push(&mut self, future: F) -> usize {
        let place = self.free.pop().unwrap_or_else(|| self.grow());
        self.places[place].future = Some(future);
        self.due.push_back(place);
        place
    }

    fn grow(&mut self) -> usize {
        let place = self.places.len();
        lock(&self.woken).is_listed.push(false);
        let waker = Waker::from(Arc::new(PlaceWaker { place, woken: Arc::clone(&self.woken) }));
        self.places.push(Place { future: None, waker });
        place
    }

    /// The future at a place.
    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut F> {
        self.places.get_mut(place)?.future.as_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops all futures. Afterwards it is as new, but for places that futures can use.
    pub(super) fn clear(&mut self) {
        if self.places.is_empty() {
            return;
        }
        // A waker keeps the task that it belongs to, and wakers of futures that have ended may be kept for long.
        let parent = lock(&self.woken).parent.take();
        drop(parent);
        self.due.clear();
        if !self.is_empty() || self.places.len() > MAX_KEPT {
            *self = Self::default();
        }
    }

    /// Sees to it that those futures are polled for which `is_due` holds.
    pub(super) fn wake(&mut self, mut is_due: impl FnMut(&mut F) -> bool) {
        let futures = self.places.iter_mut().map(|place| place.future.as_mut());
        let due = futures.enumerate().filter_map(|(place, future)| is_due(future?).then_some(place));
        self.due.extend(due);
    }

    /// What a future that has ended gave; none when there are no futures.
    ///
    /// Those that are woken while others are polled have their turn after whatever else the caller's task has to do.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let mut is_last_round = false;
        loop {
            while let Some(place) = self.due.pop_front() {
                let Place { future: slot, waker } = &mut self.places[place];
                let Some(future) = slot else { continue };
                if let Poll::Ready(output) = future.poll_unpin(&mut Context::from_waker(waker)) {
                    *slot = None;
                    self.free.push(place);
                    return Poll::Ready(Some(output));
                }
            }
            if self.is_empty() {
                return Poll::Ready(None);
            }
            if is_last_round || !self.take_woken(context.waker()) {
                return Poll::Pending;
            }
            is_last_round = true;
        }
    }

    /// Makes those due that were woken, and has `parent` woken when there are more. Whether there were any.
    fn take_woken(&mut self, parent: &Waker) -> bool {
        let parent = parent.clone();
        let mut woken = lock(&self.woken);
        mem::swap(&mut self.due, &mut woken.places);
        for place in &self.due {
            woken.is_listed[*place] = false;
        }
        let before = woken.parent.replace(parent);
        drop(woken);
        // What is dropped with a waker is not known here, either.
        drop(before);
        !self.due.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::future;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use futures_channel::oneshot;

    use super::*;

    /// Ends when it is opened and woken.
    #[derive(Debug, Default)]
    struct Gate {
        is_open: bool,
        n_polls: usize,
        wakers: Vec<Waker>,
    }

    type Shared = Arc<Mutex<Gate>>;

    struct Passage(Shared);

    impl Future for Passage {
        type Output = ();

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            let mut gate = self.0.lock().unwrap();
            gate.n_polls += 1;
            gate.wakers.push(context.waker().clone());
            if gate.is_open { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    fn add(set: &mut FutureSet<Passage>) -> (Shared, usize) {
        let gate = Shared::default();
        let place = set.push(Passage(Arc::clone(&gate)));
        (gate, place)
    }

    fn open(gate: &Shared) {
        gate.lock().unwrap().is_open = true;
        wake(gate);
    }

    fn wake(gate: &Shared) {
        let wakers = std::mem::take(&mut gate.lock().unwrap().wakers);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn n_polls(gate: &Shared) -> usize {
        gate.lock().unwrap().n_polls
    }

    /// A task that counts how often it is woken.
    #[derive(Debug, Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls a set once, and tells how often its task was woken then and since the last time.
    fn poll<F: Future + Unpin>(set: &mut FutureSet<F>, task: &Arc<Task>) -> (Poll<Option<F::Output>>, usize) {
        let waker = Waker::from(Arc::clone(task));
        let polled = set.poll_next(&mut Context::from_waker(&waker));
        (polled, task.0.swap(0, Ordering::Relaxed))
    }

    const PENDING: Poll<Option<()>> = Poll::Pending;
    const ENDED: Poll<Option<()>> = Poll::Ready(Some(()));
    const NONE: Poll<Option<()>> = Poll::Ready(None);

    #[test]
    fn what_was_woken_is_polled_and_nothing_else() {
        let (mut set, task) = (FutureSet::default(), Arc::default());
        assert_eq!(poll(&mut set, &task), (NONE, 0));
        let gates: Vec<Shared> = (0..10).map(|_| add(&mut set).0).collect();
        assert_eq!(poll(&mut set, &task), (PENDING, 0));
        // Its task is woken once for all that are woken before it has polled again.
        for gate in &gates[3..7] {
            open(gate);
        }
        assert_eq!(poll(&mut set, &task), (ENDED, 1));
        for _ in 4..7 {
            assert_eq!(poll(&mut set, &task), (ENDED, 0));
        }
        assert_eq!(poll(&mut set, &task), (PENDING, 0));
        let polls: Vec<usize> = gates.iter().map(n_polls).collect();
        assert_eq!(polls, [1, 1, 1, 2, 2, 2, 2, 1, 1, 1]);
        assert_eq!(set.len(), 6);
        set.wake(|Passage(gate)| Arc::ptr_eq(gate, &gates[8]));
        assert_eq!(poll(&mut set, &task), (PENDING, 0));
        assert_eq!((n_polls(&gates[8]), n_polls(&gates[7])), (2, 1));
    }

    #[test]
    fn futures_that_wake_themselves_leave_their_task_its_turn() {
        let (mut set, task) = (FutureSet::default(), Arc::default());
        let mut polls = vec![0; 3];
        for n_polls in &mut polls {
            set.push(future::poll_fn(move |context| {
                *n_polls += 1;
                context.waker().wake_by_ref();
                Poll::<()>::Pending
            }));
        }
        for _ in 0..10 {
            assert_eq!(poll(&mut set, &task), (PENDING, 1));
        }
        drop(set);
        // The first time also what is new.
        assert_eq!(polls, [11; 3]);
    }

    #[test]
    fn a_place_is_used_again_and_a_waker_of_before_does_no_harm() {
        let (mut set, task) = (FutureSet::default(), Arc::default());
        let (gate, place) = add(&mut set);
        assert_eq!(poll(&mut set, &task), (PENDING, 0));
        let kept = gate.lock().unwrap().wakers.clone();
        open(&gate);
        assert_eq!(poll(&mut set, &task), (ENDED, 1));
        // While nothing is there.
        kept[0].wake_by_ref();
        assert_eq!(poll(&mut set, &task), (NONE, 1));
        let (next, same) = add(&mut set);
        assert_eq!(same, place);
        assert!(set.get_mut(place).is_some());
        assert_eq!(poll(&mut set, &task), (PENDING, 0));
        kept[0].wake_by_ref();
        assert_eq!(poll(&mut set, &task), (PENDING, 1));
        open(&next);
        assert_eq!(poll(&mut set, &task), (ENDED, 1));
        assert!(set.get_mut(place).is_none());
    }

    #[test]
    fn a_set_that_was_cleared_holds_nothing_but_a_few_places() {
        for n in [1, MAX_KEPT, MAX_KEPT + 1] {
            for all_end in [false, true] {
                let (mut set, task) = (FutureSet::default(), Arc::default());
                let gates: Vec<Shared> = (0..n).map(|_| add(&mut set).0).collect();
                assert_eq!(poll(&mut set, &task), (PENDING, 0));
                gates.iter().filter(|_| all_end).for_each(open);
                for _ in gates.iter().filter(|_| all_end) {
                    assert_eq!(poll(&mut set, &task).0, ENDED);
                }
                // From here on it waits for those that are left, or is at its end.
                let _ = poll(&mut set, &task);
                set.clear();
                assert_eq!(Arc::strong_count(&task), 1, "{n}, {all_end}");
                assert!(gates.iter().all(|gate| Arc::strong_count(gate) == 1), "{n}, {all_end}");
                assert!(set.is_empty());
                assert_eq!(set.places.len(), if all_end && n <= MAX_KEPT { n } else { 0 });
                gates.iter().for_each(wake);
                let (gate, _) = add(&mut set);
                open(&gate);
                assert_eq!(poll(&mut set, &task).0, ENDED);
            }
        }
    }

    #[test]
    fn nothing_is_missed_that_other_threads_wake() {
        let executor = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for _ in 0..50 {
            let mut set = FutureSet::default();
            let (senders, receivers): (Vec<_>, Vec<_>) = (0..400).map(|_| oneshot::channel()).unzip();
            for receiver in receivers {
                set.push(receiver);
            }
            let mut senders = senders.into_iter().enumerate();
            thread::scope(|scope| {
                for _ in 0..4 {
                    let part: Vec<_> = senders.by_ref().take(100).collect();
                    scope.spawn(move || part.into_iter().for_each(|(n, sender)| sender.send(n).unwrap()));
                }
                executor.block_on(async {
                    let mut sum = 0;
                    while let Some(ended) = future::poll_fn(|context| set.poll_next(context)).await {
                        sum += ended.unwrap();
                    }
                    assert_eq!(sum, 400 * 399 / 2);
                });
            });
        }
    }
}
