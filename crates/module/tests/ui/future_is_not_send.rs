//! A run may go on another thread, and its calls with it.

use std::rc::Rc;

use constellation_module::ModuleBuilder;

async fn count(text: String) -> i64 {
    let shared = Rc::new(text);
    std::future::ready(()).await;
    i64::try_from(shared.len()).unwrap_or(i64::MAX)
}

fn main() {
    let _ = ModuleBuilder::new("Count").parameters(["text"]).asynchronous(count);
}
