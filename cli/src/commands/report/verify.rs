//! `chopmark report verify`: a report is checked with nothing but its file and a trust policy; with `--online` the registry
//! makes it again, too. Other files are checked by the signature beside them.

use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::report::{self, Verified};
use serde_json::{Value, json};

use super::request::{described, lines, make, members};
use super::{read, signed};
use crate::arguments::ReportVerifyArguments;
use crate::client::{Client, ReportRequest};
use crate::commands::{Context, token};
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::printer::Tone;
use crate::trust::{Contact, Trust};

/// Checks a report, or a file that was made of reports.
///
/// # Errors
/// A proof failure naming what does not hold; [`Exit::CouldNotCheck`] where there is no trust, the policy refuses it, or this
/// program has other rules; with `--online` as the registry answers.
pub(super) fn run(context: &Context<'_>, arguments: ReportVerifyArguments) -> Result<Exit, Failure> {
    let ReportVerifyArguments { file, trust, online, login, reason } = arguments;
    let settings = context.settings(Overrides { party: login.party, trust })?;
    let trust = Trust::for_verifying(&settings, &file, context.printer)?;
    let bytes = read(&file)?;
    if signed::is_signed_beside(&file, &bytes) {
        if online {
            return Err(Failure::usage("--online: only a report itself is made again; give its JSON"));
        }
        return signed::run(context, &trust, &file, &bytes);
    }
    let verified = report::verify(&bytes, &trust.policy)?;
    if online {
        let client = Client::of(&settings)?;
        let contact = Contact::meet(&settings, &client)?;
        let token = token::at_hand(&settings, &client, &contact)?;
        let query =
            serde_json::to_value(&verified.report.query).map_err(|error| Failure::internal(error.to_string()))?;
        let (case_reference, purpose) = (reason.case_reference, reason.purpose);
        let request = ReportRequest { query, size: Some(verified.head.size), case_reference, purpose };
        compare(&bytes, &verified, &client, &request, &token, context)?;
    }
    let mut members = members(&verified)?;
    members.insert("id".to_owned(), json!(Sha256Digest::of(&bytes)));
    members.insert("trust".to_owned(), json!({ "source": trust.source.kind(), "path": trust.source.path() }));
    members.insert("made_again".to_owned(), online.into());
    let mut report = described(&verified);
    if online {
        report = report.row("made again", "by the registry, byte by byte the same");
    }
    let report = report.headline(Tone::Good, format!("VERIFIED: {}", lines(&verified)));
    context.done(Value::Object(members), &report)
}

/// Has the registry make it again.
fn compare(
    bytes: &[u8],
    verified: &Verified,
    client: &Client,
    request: &ReportRequest,
    token: &str,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let made = make(client, request, token, context.printer)?;
    if made.id == Sha256Digest::of(bytes) && made.size == verified.head.size {
        return Ok(());
    }
    if made.openings_digest != verified.report.openings_digest {
        let message = "the file holds, and the registry gives another report now: it opens other figures than it did then, \
                       as after an erasure";
        return Err(Failure::new(Exit::CouldNotCheck, "openings_differ", message));
    }
    Err(Failure::new(Exit::ProofInvalid, "report_differs", "made again, the registry's report is another one"))
}
