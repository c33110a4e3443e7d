//! The crash sweep: the promises of the durable room, at every point at which a process can die.
//!
//! An undisturbed run shows the *sites* of a program: before and after each commit, before and after
//! each effect. Then the program runs once more for each site, dies there, is started again on the
//! same file, and must end. "After a commit" is the commit whose reply is lost; "after an effect" is
//! the effect whose outcome nobody recorded.
//!
//! To die is to act no more: from its site on, no call on the store and no effect of that process
//! returns, all of it is dropped with its tokio runtime, and its handle on the journal is closed.
//! The ledger of effects and the *referee*, a handle on the journal that runs nothing, live outside
//! of all processes. At every effect the referee is asked whether the process holds the task's lease
//! and whether the step had an outcome already.
//!
//! What is promised, and checked for every site:
//!
//! 1. a step with an outcome never runs again,
//! 2. a `Once` step takes effect at most once, and is in doubt only where the crash made it so,
//! 3. a task whose handle was returned ends, with the right answer or one that says what is in doubt,
//! 4. only the holder of a task's lease acts for it,
//! 5. every history is legal.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/faulty.rs"]
mod faulty;
#[path = "../support/scratch.rs"]
mod scratch;

mod agent;
mod asking;
mod function;
mod life;
mod long;
mod parts;
mod people;
mod power;
mod random;
mod sweep;
mod team;
mod world;
