//! `chopmark tax use`, `profile`, `relation` and `rate`: facts that a party, or the operator, puts on record.

use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::{
    CorrectionClaim, FxRateClaim, RelationClaim, RelationKind, Replacement, SealedUse, TaxProfileClaim, UseClaim,
};
use chopmark_core::kind::{Claim, Kind};
use chopmark_core::sealed::Commitment;
use serde_json::json;

use crate::arguments::{
    CorrectionArguments, TaxProfileArguments, TaxRateArguments, TaxRelationArguments, TaxUseArguments,
};
use crate::commands::Context;
use crate::commands::pay::{Correcting, Given, Lookup, side};
use crate::commands::say::{Confidential, Saying, Speaker, say, say_with};
use crate::commands::sealing::{self, SealedFigures};
use crate::exit::{Exit, Failure};
use crate::printer::Report;

/// Whether the registry would take a claim; the option is named like the member.
fn checked(claim: &impl Kind) -> Result<(), Failure> {
    claim.validate().map_err(|error| {
        let option = match error.pointer.as_str() {
            "/other/outside/name" => "with-name".to_owned(),
            pointer => pointer.trim_start_matches('/').replace('_', "-"),
        };
        Failure::usage(format!("--{option}: {}", error.reason))
    })
}

/// Says how much of a right was used.
///
/// # Errors
/// A usage failure that names the option; otherwise as the registry or the person answers.
pub(super) fn used(context: &Context<'_>, arguments: TaxUseArguments) -> Result<Exit, Failure> {
    let TaxUseArguments { asset, year, by, fraction, taxed_in_hk, corrects, reason, follows, vault, say: said } =
        arguments;
    let speaker = Speaker::own(context, said, None)?;
    let lookup = Lookup::new(&speaker.client);
    let asset_id =
        lookup.asset(&asset).map_err(|failure| Failure { message: format!("--asset: {failure}"), ..failure })?;
    let correction = corrects.zip(reason).map(|(id, reason)| (id, CorrectionArguments { reason, follows }));
    let predicate_type = if correction.is_some() { CorrectionClaim::PREDICATE_TYPE } else { UseClaim::PREDICATE_TYPE };
    let unsealed = SealedUse { fraction: Commitment::from_bytes([0; 32]) };
    let claim = UseClaim { asset: asset_id, year, by, taxed_in_hk, sealed: unsealed };
    checked(&claim)?;
    let fraction = fraction.to_string();
    let meaning = Sha256Digest::of(
        format!("{asset_id}\n{year}\n{by:?}\n{taxed_in_hk:?}\n{fraction}\n{:?}\n{correction:?}", vault.vault_zone)
            .as_bytes(),
    );
    let (place, nonce) = speaker.place(predicate_type)?;
    let (openings, commitments) = sealing::seal(&place, vault.vault_zone, &[("fraction", Some(fraction.as_str()))])?;
    let [commitment] = commitments.as_slice() else {
        return Err(Failure::internal("a use has one sealed figure"));
    };
    let claim = UseClaim { sealed: SealedUse { fraction: *commitment }, ..claim };
    let sealing = SealedFigures { nonce, openings, meaning };
    let report =
        Report::default().row("asset", asset_id.to_string()).row("sealed", format!("a fraction of {fraction}"));
    let members = json!({ "asset": asset_id, "year": year, "by": by, "vault_zone": vault.vault_zone });
    if let Some((id, correction)) = correction {
        let correcting = Correcting::find(&speaker, &id, &correction)?;
        return correcting.say(context, &speaker, Some(Replacement::Use(claim)), Some(sealing), (report, members));
    }
    let saying = Saying {
        subject_name: &format!("use in {year}"),
        said: format!("we say how {asset} was used in {year}; how much of it is sealed"),
        named: &[asset_id],
        report,
        members,
        claim: Claim::Use(claim),
    };
    say_with(context, &speaker, saying, Confidential::sealed(sealing))
}

/// Says how the party is assessed.
///
/// # Errors
/// As [`used`].
pub(super) fn profile(context: &Context<'_>, arguments: TaxProfileArguments) -> Result<Exit, Failure> {
    let claim = TaxProfileClaim {
        from: arguments.from,
        brn: arguments.brn,
        file_number: arguments.file_number,
        entity: arguments.entity,
        year_end: arguments.year_end,
        trade: arguments.trade,
        hk_proportion: arguments.hk_proportion,
        two_tier: arguments.two_tier,
        commenced: arguments.commenced,
        ceased: arguments.ceased,
    };
    checked(&claim)?;
    let speaker = Speaker::own(context, arguments.say, None)?;
    let saying = Saying {
        subject_name: &format!("tax profile from {}", claim.from),
        said: format!("this is how we are assessed from {} on: {}", claim.from, claim.entity.as_str()),
        named: &[],
        report: Report::default()
            .row("from", claim.from.to_string())
            .row("year-end", claim.year_end.to_string())
            .row("number", claim.brn.as_deref().unwrap_or("none said")),
        members: json!({ "from": claim.from, "year_end": claim.year_end, "brn": claim.brn }),
        claim: Claim::TaxProfile(claim.clone()),
    };
    say(context, &speaker, saying)
}

/// Says who an associate is.
///
/// # Errors
/// As [`used`].
pub(super) fn relation(context: &Context<'_>, arguments: TaxRelationArguments) -> Result<Exit, Failure> {
    let speaker = Speaker::own(context, arguments.say, None)?;
    let lookup = Lookup::new(&speaker.client);
    let given = Given {
        party: arguments.with.as_deref(),
        name: arguments.with_name.as_deref(),
        jurisdiction: arguments.with_jurisdiction.as_ref(),
        ..Given::default()
    };
    let other =
        side(&lookup, given).map_err(|(_, failure)| Failure { message: format!("--with: {failure}"), ..failure })?;
    let other = other.ok_or_else(|| Failure::usage("--with: say who your associate is"))?;
    let words = relation_words(arguments.relation);
    let claim = RelationClaim { other, relation: arguments.relation, from: arguments.from, until: arguments.until };
    checked(&claim)?;
    let named: Vec<_> = claim.other.party().into_iter().collect();
    let until = claim.until.map_or_else(String::new, |day| format!(" until {day}"));
    let saying = Saying {
        subject_name: "relation",
        said: format!("we are associates from {}{until}: {words}", claim.from),
        named: &named,
        report: Report::default(),
        members: json!({ "other": claim.other, "relation": claim.relation, "from": claim.from, "until": claim.until }),
        claim: Claim::Relation(claim.clone()),
    };
    say(context, &speaker, saying)
}

/// How two are related.
const fn relation_words(relation: RelationKind) -> &'static str {
    match relation {
        RelationKind::Controls => "we control them",
        RelationKind::ControlledBy => "they control us",
        RelationKind::CommonControl => "one person controls both",
        RelationKind::Partner => "as partners",
        RelationKind::Trust => "as trustee and trust",
    }
}

/// Puts a rate of exchange on record.
///
/// # Errors
/// As [`used`].
pub(super) fn rate(context: &Context<'_>, arguments: TaxRateArguments) -> Result<Exit, Failure> {
    let TaxRateArguments { from, units, to, rate, source, date, as_operator, say: said } = arguments;
    let claim = FxRateClaim { from, units, to, rate, source, date };
    checked(&claim)?;
    let speaker = if as_operator {
        Speaker::operator(context, said.consent, said.cosign)?
    } else {
        Speaker::own(context, said, None)?
    };
    let words = format!("{} {} are {} {} on {}", claim.units, claim.from, claim.rate, claim.to, claim.date);
    let saying = Saying {
        subject_name: &format!("rate of {}", claim.foreign()),
        said: format!("{words}, says {}", claim.source),
        named: &[],
        report: Report::default().row("source", &claim.source),
        members: json!({
            "from": claim.from,
            "units": claim.units,
            "to": claim.to,
            "rate": claim.rate,
            "source": claim.source,
            "date": claim.date,
        }),
        claim: Claim::FxRate(claim.clone()),
    };
    say(context, &speaker, saying)
}
