//! Ctrl-C, SIGTERM and SIGHUP for the client commands: measuring stops at the next window, everything else at once.
//!
//! Ending at once is safe because files appear whole or not at all (`files`) and requests are repeatable (`pending`).

use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::{Exit, Failure};
use crate::files;
use crate::printer::{self, Answer, Printer};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Some work is looking at [`INTERRUPTED`] and will end by itself.
static IS_POLLED: AtomicBool = AtomicBool::new(false);

/// Takes the signals over. A second signal ends the process even when work is slow to notice the first.
///
/// # Errors
/// When the operating system refuses.
pub(crate) fn install(printer: &Printer, command: &'static str) -> Result<(), Failure> {
    let printer = printer.clone();
    ctrlc::set_handler(move || {
        let is_repeated = INTERRUPTED.swap(true, Ordering::SeqCst);
        let ends_by_itself = IS_POLLED.load(Ordering::SeqCst) && !is_repeated;
        let answered = printer::answered();
        if ends_by_itself || answered == Answer::Written {
            return;
        }
        let _no_file_is_half_written = files::hold();
        let exit = match answered {
            // What stands on stdout is cut off, and there is no room for another answer.
            Answer::Begun => Exit::Interrupted,
            _ => printer.failure(Some(command), &Failure::interrupted()),
        };
        std::process::exit(exit.code().into());
    })
    .map_err(|error| Failure::internal(format!("cannot take over Ctrl-C: {error}")))
}

/// Does work that looks at the flag it is given and stops soon after it is set.
///
/// # Errors
/// The work's own, and that of a signal which came too late for the work to see.
pub(crate) fn polled<T>(work: impl FnOnce(&AtomicBool) -> Result<T, Failure>) -> Result<T, Failure> {
    IS_POLLED.store(true, Ordering::SeqCst);
    let done = work(&INTERRUPTED);
    IS_POLLED.store(false, Ordering::SeqCst);
    if done.is_ok() && INTERRUPTED.load(Ordering::SeqCst) { Err(Failure::interrupted()) } else { done }
}
