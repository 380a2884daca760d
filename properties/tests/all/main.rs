//! Properties of the language and of everything that a program goes through.

mod fuzz;
mod programs;
mod support;
