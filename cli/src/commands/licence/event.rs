//! `chopmark licence suspend`, `reinstate` and `revoke`: what becomes of a licence, said by one of its sides.

use chopmark_core::kind::Claim;
use chopmark_core::licensing::{LicenceEvent, LicenceStatusClaim, StatusReason};
use chopmark_core::terms::vocabulary::Vocabulary as _;
use serde_json::json;

use crate::arguments::{LicenceEndArguments, LicenceReinstateArguments, SayArguments};
use crate::commands::Context;
use crate::commands::say::{Saying, Speaker, say};
use crate::exit::{Exit, Failure};
use crate::printer::Report;

/// Suspends a licence.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(super) fn suspend(context: &Context<'_>, arguments: LicenceEndArguments) -> Result<Exit, Failure> {
    let LicenceEndArguments { licence, reason, say } = arguments;
    happen(context, &licence, (LicenceEvent::Suspended, Some(reason)), say)
}

/// Takes a suspended licence up again.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(super) fn reinstate(context: &Context<'_>, arguments: LicenceReinstateArguments) -> Result<Exit, Failure> {
    let LicenceReinstateArguments { licence, say } = arguments;
    happen(context, &licence, (LicenceEvent::Reinstated, None), say)
}

/// Terminates a licence.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(super) fn revoke(context: &Context<'_>, arguments: LicenceEndArguments) -> Result<Exit, Failure> {
    let LicenceEndArguments { licence, reason, say } = arguments;
    happen(context, &licence, (LicenceEvent::Terminated, Some(reason)), say)
}

fn happen(
    context: &Context<'_>,
    licence: &str,
    (status, reason): (LicenceEvent, Option<StatusReason>),
    said: SayArguments,
) -> Result<Exit, Failure> {
    let speaker = Speaker::own(context, said, None)?;
    let grant = speaker.client.statement(licence)?;
    let Claim::Grant(granted) = &grant.claim else {
        return Err(Failure::usage(format!("{licence} is no licence but a statement of kind {}", grant.claim.name())));
    };
    let known = speaker.client.licence(&grant.id)?;
    let shown = grant.id.shown("lic");
    let why = reason.map(|reason| format!(" for {}", reason.as_str())).unwrap_or_default();
    let word = status.as_str();
    let saying = Saying {
        subject_name: &format!("{word} {shown}"),
        claim: Claim::LicenceStatus(LicenceStatusClaim {
            licence: grant.id,
            seq: known.event_seq.saturating_add(1),
            prev: known.event_head,
            status,
            reason,
        }),
        said: format!("the licence {shown} is {word}{why}"),
        named: &[grant.id],
        report: Report::default()
            .row("licence", grant.id.to_string())
            .row("licensee", granted.licensee.shown("pty").to_string())
            .row("status", word)
            .next("chopmark licence status-list --out FILE, for verifiers without a network"),
        members: json!({ "licence_id": grant.id, "status": status, "reason": reason }),
    };
    say(context, &speaker, saying)
}
