//! Consent to a public record: a flag of its own, or a plain yes on a terminal; never assumed, never asked of a script.
//!
//! A registry on this very machine is no public record, so trying things out needs none.

use std::net::IpAddr;

use ureq::http::Uri;

use crate::arguments::ConsentArguments;
use crate::config::environment_consents;
use crate::exit::{Exit, Failure};
use crate::printer::Printer;

/// How consent is to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// Given beforehand, or the record is not public.
    Given,
    /// A person will be asked.
    Ask,
    /// Not needed: nothing is sent.
    NotNeeded,
}

impl Consent {
    /// Finds out before any slow work begins.
    ///
    /// # Errors
    /// A usage failure that names the flag, where there is nobody to ask.
    pub(crate) fn find(arguments: ConsentArguments, url: &str, printer: &Printer) -> Result<Self, Failure> {
        let is_given = arguments.accept_public_record || environment_consents() || is_this_machine(url);
        match (arguments.dry_run, is_given) {
            (true, _) => Ok(Self::NotNeeded),
            (false, true) => Ok(Self::Given),
            (false, false) if printer.can_ask() => Ok(Self::Ask),
            (false, false) => Err(Failure::new(
                Exit::Usage,
                "consent_needed",
                "this writes to a public record, which nobody can take back; agree with --accept-public-record or \
                 CHOPMARK_ACCEPT_PUBLIC_RECORD=1, or look first with --dry-run",
            )),
        }
    }

    /// Explains what becomes public and asks, if that is still needed.
    ///
    /// # Errors
    /// A failure by refusal when the person does not say yes.
    pub(crate) fn obtain(self, printer: &Printer, registry: &str, what: &[String]) -> Result<(), Failure> {
        if self != Self::Ask {
            return Ok(());
        }
        let mut explanation =
            vec![format!("This becomes part of the public record of {registry}. It stays, and anyone can read it:")];
        explanation.extend(what.iter().map(|line| format!("  {line}")));
        explanation.push("(every byte of it: --dry-run)".to_owned());
        if printer.ask(&explanation, "Write it to the public record?") {
            Ok(())
        } else {
            Err(Failure::new(Exit::CouldNotCheck, "consent_refused", "nothing was sent"))
        }
    }
}

/// Whether the service at `url` is reached over the loopback interface.
fn is_this_machine(url: &str) -> bool {
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_interface_is_this_machine() {
        for local in ["http://127.0.0.1:8420", "http://localhost", "http://[::1]:80/x", "https://127.1.2.3"] {
            assert!(is_this_machine(local), "{local}");
        }
        for other in
            ["http://10.0.0.1", "https://registry.example.hk", "http://localhost.example.hk", "http://[::2]", "x", ""]
        {
            assert!(!is_this_machine(other), "{other}");
        }
    }
}
