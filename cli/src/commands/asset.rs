//! `chopmark asset`: the rights a party has, by registration, and what becomes of them.

use chopmark_core::expenditure::{AssetClaim, Lapse, Replacement, Succession, TitleLeft};
use chopmark_core::kind::{Claim, Kind as _};
use chopmark_core::statement::StatementId;
use chopmark_core::text::Names;
use serde_json::json;

use super::Context;
use super::pay::{Correcting, Given, Lookup, side};
use super::say::{Saying, Speaker, say};
use crate::arguments::{AssetCommand, AssetCorrectArguments, AssetRegisterArguments, RightArguments};
use crate::exit::{Exit, Failure};
use crate::printer::Report;

/// Runs a command about rights.
///
/// # Errors
/// The command's own.
pub(crate) fn run(context: &Context<'_>, command: AssetCommand) -> Result<Exit, Failure> {
    match command {
        AssetCommand::Register(arguments) => register(context, *arguments),
        AssetCommand::Correct(arguments) => correct(context, *arguments),
    }
}

/// Registers a right.
///
/// # Errors
/// A usage failure that names what is wrong, before anything is signed; otherwise as the registry or the person answers.
fn register(context: &Context<'_>, arguments: AssetRegisterArguments) -> Result<Exit, Failure> {
    let AssetRegisterArguments { right, say: said } = arguments;
    let speaker = Speaker::own(context, said, None)?;
    let claim = claim_of(&Lookup::new(&speaker.client), right, None)?;
    checked(&claim)?;
    let saying = Saying {
        subject_name: claim.title.display(),
        said: format!("we have the right {} in {}", claim.title.display(), claim.jurisdiction.as_str()),
        named: &claim.artefacts,
        report: Report::default()
            .row("title", claim.title.display())
            .row("type", claim.ip_type.as_str())
            .next("chopmark pay record --asset ast_…"),
        members: json!({ "title": claim.title, "ip_type": claim.ip_type, "jurisdiction": claim.jurisdiction.as_str() }),
        claim: Claim::Asset(claim.clone()),
    };
    say(context, &speaker, saying)
}

/// Puts another version in the place of a right.
///
/// # Errors
/// As [`register`].
fn correct(context: &Context<'_>, arguments: AssetCorrectArguments) -> Result<Exit, Failure> {
    let speaker = Speaker::own(context, arguments.say, None)?;
    let correcting = Correcting::find(&speaker, &arguments.asset, &arguments.correction)?;
    let (Claim::Asset(first), head) = (&correcting.entry.claim, &correcting.head.claim) else {
        return Err(Failure::usage(format!("{} is no asset", arguments.asset)));
    };
    let was = match head {
        Claim::Correction(claim) => match &claim.replacement {
            Some(Replacement::Asset(claim)) => &**claim,
            _ => first,
        },
        _ => first,
    };
    let lookup = Lookup::new(&speaker.client);
    let mut claim = claim_of(&lookup, arguments.right, Some(was))?;
    if let Some((on, cause)) = arguments.lapsed_on.zip(arguments.cause) {
        claim.lapse = Some(Lapse { on, cause });
    }
    if let Some(on) = arguments.title_left_on {
        let given = Given {
            party: arguments.to.as_deref(),
            name: arguments.to_name.as_deref(),
            jurisdiction: arguments.to_jurisdiction.as_ref(),
            ..Given::default()
        };
        let to = side(&lookup, given).map_err(|(_, failure)| named("to", failure))?;
        let to = to.ok_or_else(|| Failure::usage("--to: say to whom the title went, or --to-name"))?;
        claim.title_left = Some(TitleLeft { on, to });
    }
    checked(&claim)?;
    let report = Report::default().row("title", claim.title.display());
    let members = json!({ "title": claim.title, "ip_type": claim.ip_type });
    let replacement = Some(Replacement::Asset(Box::new(claim)));
    correcting.say(context, &speaker, replacement, None, (report, members))
}

fn named(option: &str, failure: Failure) -> Failure {
    Failure { message: format!("--{option}: {failure}"), ..failure }
}

/// What is said of a right; `was` is what stands where nothing else is said.
fn claim_of(lookup: &Lookup<'_>, right: RightArguments, was: Option<&AssetClaim>) -> Result<AssetClaim, Failure> {
    let missing = |option: &str| Failure::usage(format!("--{option} is missing"));
    let mut artefacts = Vec::with_capacity(right.artefacts.len());
    for id in &right.artefacts {
        artefacts.push(lookup.artefact(id).map_err(|failure| named("artefact", failure))?.0);
    }
    artefacts.sort_unstable();
    artefacts.dedup();
    let title = Names::from(right.title);
    let has_title = title.iter().next().is_some();
    let number = right.registration_number.or(was.and_then(|was| was.registration_number.clone()));
    let from = &right.predecessor;
    let given = Given {
        party: from.predecessor.as_deref(),
        name: from.predecessor_name.as_deref(),
        jurisdiction: from.predecessor_jurisdiction.as_ref(),
        ..Given::default()
    };
    let predecessor = side(lookup, given).map_err(|(_, failure)| named("predecessor", failure))?;
    let succession = right.succeeded_on.zip(predecessor).map(|(on, predecessor)| Succession {
        on,
        predecessor,
        year_end: from.predecessor_year_end,
    });
    let title = if has_title { Some(title) } else { was.map(|was| was.title.clone()) };
    let artefacts: Vec<StatementId> =
        if artefacts.is_empty() { was.map(|was| was.artefacts.clone()).unwrap_or_default() } else { artefacts };
    Ok(AssetClaim {
        title: title.ok_or_else(|| missing("name-en"))?,
        ip_type: right.ip_type.or(was.map(|was| was.ip_type)).ok_or_else(|| missing("ip-type"))?,
        jurisdiction: right
            .jurisdiction
            .or(was.map(|was| was.jurisdiction.clone()))
            .ok_or_else(|| missing("jurisdiction"))?,
        registered: right.registered.or(was.map(|was| was.registered)).unwrap_or(number.is_some()),
        registration_number: number,
        registered_on: right.registered_on.or(was.and_then(|was| was.registered_on)),
        protection_ends: right.protection_ends.or(was.and_then(|was| was.protection_ends)),
        software: right.software.or(was.and_then(|was| was.software)),
        artefacts,
        lapse: was.and_then(|was| was.lapse.clone()),
        title_left: was.and_then(|was| was.title_left.clone()),
        succession: succession.or(was.and_then(|was| was.succession.clone())),
    })
}

/// Whether the registry would take it.
fn checked(claim: &AssetClaim) -> Result<(), Failure> {
    claim.validate().map_err(|error| {
        let option = match error.pointer.as_str() {
            "/registration_number" => "number".to_owned(),
            "/artefacts" => "artefact".to_owned(),
            "/title_left/to/outside/name" => "to-name".to_owned(),
            "/succession/predecessor/outside/name" => "predecessor-name".to_owned(),
            pointer => match pointer.strip_prefix("/title") {
                Some(language) => format!("name{}", language.replace('/', "-").to_lowercase()),
                None => pointer.trim_start_matches('/').replace('_', "-"),
            },
        };
        Failure::usage(format!("--{option}: {}", error.reason))
    })
}
