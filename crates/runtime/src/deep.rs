//! Bodies of lambdas that stand in many others.
//!
//! A body is evaluated where its function is called: on the stack of the module that calls it, which may be on the
//! stack of a body around it, and so on. A stack bears that a few times, and a program may nest lambdas by the hundred.
//! So now and then a body is handed to the driver of the run instead, which evaluates it from the bottom of its own
//! stack, and the caller waits for the answer.

use std::sync::{Mutex, PoisonError};
use std::task::Context;

use constellation_module::ModuleError;
use constellation_types::Value;
use futures_channel::oneshot;
use futures_util::future::{self, BoxFuture, Either};
use futures_util::task::AtomicWaker;

use crate::in_flight::{Calls, Ended};

/// How many bodies are evaluated on one another's stack.
pub(crate) const BODIES_ON_A_STACK: u32 = 8;

type Answer = Result<Value, ModuleError>;

/// What is handed to the driver of a run.
pub(crate) struct Deep {
    /// What the driver has not taken yet; none when the run has ended.
    handed: Mutex<Option<Vec<BoxFuture<'static, ()>>>>,
    driver: AtomicWaker,
}

impl Default for Deep {
    fn default() -> Self {
        Self { handed: Mutex::new(Some(Vec::new())), driver: AtomicWaker::new() }
    }
}

impl std::fmt::Debug for Deep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Deep")
    }
}

impl Deep {
    /// Hands a body to the driver, and gives its answer; none when the run has ended. Dropping the future drops the
    /// body.
    pub(crate) fn hand(
        &self,
        mut body: BoxFuture<'static, Answer>,
    ) -> impl Future<Output = Option<Answer>> + Send + use<> {
        let (mut sender, receiver) = oneshot::channel();
        let work = async move {
            let answer = match future::select(&mut body, sender.cancellation()).await {
                Either::Left((answer, _)) => answer,
                Either::Right(((), _)) => return,
            };
            // The receiver may be gone by now.
            let _ = sender.send(answer);
        };
        if let Some(handed) = &mut *self.handed.lock().unwrap_or_else(PoisonError::into_inner) {
            handed.push(Box::pin(work));
        }
        self.wake();
        async move { receiver.await.ok() }
    }

    /// Adds what was handed in to what the driver has in flight, and sees to it that the driver is woken when there is
    /// more.
    pub(crate) fn take(&self, calls: &mut Calls, context: &Context<'_>) {
        // Before looking, so that nothing is missed that is handed in meanwhile.
        self.driver.register(context.waker());
        let mut handed = self.handed.lock().unwrap_or_else(PoisonError::into_inner);
        for work in handed.iter_mut().flat_map(|handed| handed.drain(..)) {
            calls.push(async move {
                work.await;
                Ended::Body
            });
        }
    }

    /// Wakes the driver.
    pub(crate) fn wake(&self) {
        self.driver.wake();
    }

    /// Nothing is evaluated any more.
    pub(crate) fn close(&self) {
        // Dropped outside of the lock, since what is dropped may hand something in.
        let handed = self.handed.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(handed);
    }
}
