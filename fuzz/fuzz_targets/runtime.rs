//! The target `runtime` of `constellation-properties`.

#![no_main]

use constellation_properties::{World, target};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static WORLD: World = World::new();
}

fuzz_target!(|bytes: &[u8]| {
    let target = target("runtime").expect("it is in the table of targets");
    WORLD.with(|world| (target.run)(world, bytes));
});
