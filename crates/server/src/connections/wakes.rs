//! Wakes of a connection that are in vain.
//!
//! Whoever takes a part of a body wakes the connection, so that it reads the next part. After the last part nothing is
//! left to read, and the connection is being polled anyway. Such a wake costs a second poll for each request with a body,
//! for which its task goes through a queue of the runtime, and another thread is woken that may take it over.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use hyper::body::{Body, Frame, SizeHint};

thread_local! {
    static TAKING: Cell<Taking> = const { Cell::new(Taking::Nothing) };
}

/// Whether a thread takes a part of a body at the moment.
#[derive(Default)]
enum Taking {
    #[default]
    Nothing,
    Part,
    /// That woke this connection, which was not told so far.
    PartThatWoke(Arc<Connection>),
}

/// Wakes the task of a connection.
struct Connection(Waker);

impl Wake for Connection {
    fn wake(self: Arc<Self>) {
        // A thread that ends has no such variable any more.
        match TAKING.try_with(Cell::take).unwrap_or_default() {
            Taking::Nothing => self.0.wake_by_ref(),
            Taking::Part => TAKING.set(Taking::PartThatWoke(self)),
            other @ Taking::PartThatWoke(_) => {
                TAKING.set(other);
                self.0.wake_by_ref();
            }
        }
    }
}

/// Serves a connection, whose bodies are [`Quiet`].
pub(super) async fn serve_quietly<F: Future>(serving: F) -> F::Output {
    let mut serving = pin!(serving);
    let mut wakers: Option<(Waker, Waker)> = None;
    poll_fn(|ctx| {
        let task = ctx.waker();
        let (_, waker) = match &mut wakers {
            Some(known) if known.0.will_wake(task) => known,
            other => other.insert((task.clone(), Arc::new(Connection(task.clone())).into())),
        };
        serving.as_mut().poll(&mut Context::from_waker(waker))
    })
    .await
}

/// A body whose last part does not wake its connection.
#[derive(Debug)]
pub(super) struct Quiet<B>(pub(super) B);

impl<B: Body + Unpin> Body for Quiet<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let _taking = TakingPart::begin();
        let frame = Pin::new(&mut self.0).poll_frame(ctx);
        if matches!(frame, Poll::Ready(Some(Ok(_)))) && self.0.is_end_stream() {
            // A wake that is held back is dropped with what holds it.
            TAKING.set(Taking::Nothing);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// Holds a wake of this thread back until it is dropped, also when taking the part panics.
struct TakingPart;

impl TakingPart {
    fn begin() -> Self {
        TAKING.set(Taking::Part);
        Self
    }
}

impl Drop for TakingPart {
    fn drop(&mut self) {
        if let Taking::PartThatWoke(connection) = TAKING.take() {
            connection.0.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use axum::body::Bytes;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A body that wakes whoever takes a part of it, if told so from another thread, too.
    struct Waking {
        n_parts: usize,
        panics: bool,
        also_from_elsewhere: bool,
    }

    impl Body for Waking {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            ctx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.n_parts -= 1;
            ctx.waker().wake_by_ref();
            if self.also_from_elsewhere {
                let waker = ctx.waker().clone();
                thread::spawn(move || waker.wake()).join().unwrap();
            }
            assert!(!self.panics, "on purpose");
            Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
        }

        fn is_end_stream(&self) -> bool {
            self.n_parts == 0
        }
    }

    /// How often a connection is woken that takes one part of a body.
    fn wakes(n_parts: usize, panics: bool, also_from_elsewhere: bool) -> usize {
        let wakes = Arc::new(Wakes::default());
        let mut body = Quiet(Waking { n_parts, panics, also_from_elsewhere });
        let serving = serve_quietly(poll_fn(|ctx| {
            let taking = || Pin::new(&mut body).poll_frame(ctx).map(drop);
            let taken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(taking));
            assert_eq!(taken.is_err(), panics);
            // Nothing is held back any more.
            ctx.waker().wake_by_ref();
            Poll::Ready(())
        }));
        let polled = pin!(serving).poll(&mut Context::from_waker(&Arc::clone(&wakes).into()));
        assert!(polled.is_ready());
        wakes.0.load(Ordering::Relaxed) - 1
    }

    #[test]
    fn only_the_last_part_of_a_body_does_not_wake_its_connection() {
        assert_eq!(wakes(1, false, false), 0);
        assert_eq!(wakes(2, false, false), 1);
    }

    #[test]
    fn what_wakes_a_connection_meanwhile_is_not_lost() {
        assert_eq!(wakes(1, false, true), 1);
        assert_eq!(wakes(2, false, true), 2);
    }

    #[test]
    fn a_part_that_panics_wakes_its_connection() {
        assert_eq!(wakes(1, true, false), 1);
    }
}
