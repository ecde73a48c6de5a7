//! The system's allocator, told to give large pieces back when they are let go of.
//!
//! By itself it takes the first large piece that is freed as a sign that more will follow, and
//! keeps such pieces for the thread: with outputs of many megabytes that comes to more than all
//! that is in use. It reads its settings when a process starts, so the process starts once more.

use std::{os::unix::process::CommandExt, process::Command};

use super::env::Env;

const SETTING: &str = "MALLOC_MMAP_THRESHOLD_";
/// Bytes from which a piece is asked of the system, and given back to it.
const LARGE: &str = "1048576";

/// Returns when the setting is in force, or cannot be: without it all works, in more memory.
pub fn give_back(env: &Env) {
    if env.contains_key(SETTING) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // Comes back with an error alone.
    drop(again.args(arguments).env(SETTING, LARGE).exec());
}
