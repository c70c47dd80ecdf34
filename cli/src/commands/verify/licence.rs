//! The licence that a bundle proves beside its artefact: whether it is in force, and how old that knowledge is.

use std::path::Path;

use chopmark_core::bundle::Proven;
use chopmark_core::licensing::status_list::STATUS_LIST_BYTES_MAX;
use chopmark_core::licensing::{Judgement, ProvenLicence, StatusList};
use chopmark_core::terms::period::Date;
use chopmark_core::terms::vocabulary::Vocabulary as _;
use chopmark_core::time::Timestamp;
use chopmark_core::verify::ResultState;
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::files;
use crate::trust::Trust;
use crate::units;

/// A proven licence, judged for a day.
pub(super) struct Held {
    licence: ProvenLicence,
    on: Date,
    judgement: Judgement,
    age_days_max: u32,
}

impl Held {
    /// Judges the licence of a bundle that proves one, by the newer of its own status list and one that is at hand.
    ///
    /// # Errors
    /// A usage failure when a status list is given for a bundle without a licence; a proof failure when it does not hold.
    pub(super) fn of(
        proven: &Proven,
        trust: &Trust,
        status_list: Option<&Path>,
        on: Option<Date>,
    ) -> Result<Option<Self>, Failure> {
        let Some(mut licence) = proven.licence.clone() else {
            return match status_list {
                None => Ok(None),
                Some(path) => {
                    let message = format!("the bundle proves no licence, so {} says nothing about it", path.display());
                    Err(Failure::usage(message))
                }
            };
        };
        let origin = licence.status.origin.clone();
        let Some(registry) = trust.policy.registry(&origin) else {
            return Err(Failure::internal("the bundle was accepted under a policy that does not know its registry"));
        };
        if let Some(path) = status_list {
            let key = registry.verifier_key().map_err(Failure::proof)?;
            let bytes = files::read(path, STATUS_LIST_BYTES_MAX)
                .map_err(|error| Failure::usage(format!("cannot read the status list {}: {error}", path.display())))?;
            let invalid = |reason: String| {
                Failure::new(Exit::ProofInvalid, "status_list_invalid", format!("{}: {reason}", path.display()))
            };
            let text = String::from_utf8(bytes).map_err(|_| invalid("it is no text".to_owned()))?;
            licence.update(StatusList::open(&text, &key).map_err(|error| invalid(error.to_string()))?);
        }
        let on = on.unwrap_or_else(|| Date::in_hong_kong(Timestamp::from(chrono::Utc::now())));
        let age_days_max = registry.status_age_days();
        let judgement = licence.judge(on, age_days_max);
        Ok(Some(Self { licence, on, judgement, age_days_max }))
    }

    /// What it makes of bytes that are as registered. What is known to be over is over, however old that knowledge is.
    pub(super) fn state(&self) -> ResultState {
        match (self.judgement.standing.is_in_force(), self.judgement.is_stale) {
            (false, _) => ResultState::LicenceNotInForce,
            (true, true) => ResultState::CouldNotCheck,
            (true, false) => ResultState::Verified,
        }
    }

    /// Why it stands in the way, where it does.
    pub(super) fn objection(&self) -> Option<String> {
        let shown = self.licence.id.shown("lic");
        match self.state() {
            ResultState::Verified => None,
            ResultState::LicenceNotInForce => Some(format!("the licence {shown} is {}", self.judgement.standing)),
            _ => Some(format!(
                "the status of the licence {shown} is {} old, good until {} and accepted for {}; get a fresh one with \
                 `chopmark licence status-list` or `chopmark licence file`",
                units::count(self.judgement.age_days.into(), "day"),
                self.licence.status.not_after,
                units::count(self.age_days_max.into(), "day"),
            )),
        }
    }

    /// The line for people.
    pub(super) fn row(&self) -> String {
        let metrics = self.licence.record().map(|record| record.terms.metric.as_slice()).unwrap_or_default();
        let caps = metrics.iter().filter_map(|metric| {
            metric.cap.map(|cap| format!(", {} {}", cap.get(), metric.metric.as_str().replace('_', " ")))
        });
        let age = match self.judgement.age_days {
            0 => "status of today".to_owned(),
            days => format!("status {} old", units::count(days.into(), "day")),
        };
        format!(
            "{}{}, {age}; {} to {} (self-declared)",
            self.judgement.standing,
            caps.collect::<String>(),
            self.licence.licensor.name.display(),
            self.licence.licensee.name.display(),
        )
    }

    /// What that rests on: a status list, which is signed by the log and not witnessed.
    pub(super) fn status_row(&self) -> String {
        let StatusList { size, signed_at, not_after, .. } = &self.licence.status;
        format!("as of size {size} of the log, signed at {signed_at}, good until {not_after}")
    }

    /// The same for programs.
    pub(super) fn members(&self) -> Value {
        let Self { licence, on, judgement, age_days_max } = self;
        let record = licence.record();
        json!({
            "id": licence.id.shown("lic"),
            "licence_id": licence.id,
            "licensor": licence.licensor.id,
            "licensee": licence.licensee.id,
            "terms_id": record.map(|record| record.claim.terms),
            "starts_on": record.map(|record| record.claim.starts_on),
            "ends_on": record.and_then(|record| record.ends_on),
            "metric": record.map(|record| &record.terms.metric),
            "on": on,
            "standing": judgement.standing,
            "status": {
                "size": licence.status.size,
                "signed_at": licence.status.signed_at,
                "not_after": licence.status.not_after,
                "age_days": judgement.age_days,
                "age_days_max": age_days_max,
                "stale": judgement.is_stale,
            },
        })
    }
}
