//! The service's HTTP interface as seen from here: bounded in time and size, and never simply believed.
//!
//! Requests are repeatable (statements are named by their content), so a service that asks for patience is asked again.

mod address;
mod check;
mod expenditure;
mod sealed;
mod wire;

use std::io;
use std::time::Duration;

use chopmark_core::bundle::BUNDLE_BYTES_MAX;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::licensing::status_list::STATUS_LIST_BYTES_MAX;
use chopmark_core::statement::{Envelope, IdReference, Statement, StatementId};
use chopmark_core::strict;
use chopmark_core::submission::Submission;
use serde::de::DeserializeOwned;
use ureq::http::Response;
use ureq::{Agent, Body};

use address::{base_of, is_confidential, is_loopback};
pub(crate) use check::{Proved, check_receipt};
pub(crate) use expenditure::{Asked, Made, ReportRequest};
pub(crate) use sealed::{LoggedIn, Login};
pub(crate) use wire::{
    AboutDescription, AncestryDescription, ArtefactDescription, LicenceDescription, LicencePage, OfferPage,
    PartyDescription, PartyKey, Problem, Receipt, RegistryDescription, SearchPage, TermsDescription,
};
use wire::{ArtefactList, ArtefactSaid, LicenceIds, OperatorDescription, StatementRecord};

use crate::config::Settings;
use crate::exit::{Exit, Failure};
use crate::units;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for the service to make up its mind: admission, a batch, a checkpoint.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

/// Longest transfer of one body; the largest has some 30 MB.
const BODY_TIMEOUT: Duration = Duration::from_mins(5);

/// Largest JSON answer, in bytes: a page of a hundred rows, of which one has 100 KB where somebody means it badly: a claim
/// as large as an entry, a hundred conflicts, and what forty others say.
const JSON_BYTES_MAX: u64 = 32 << 20;

/// Largest ancestry read, in bytes: a thousand terms documents and more.
const ANCESTRY_BYTES_MAX: u64 = 64 << 20;

/// Largest problem document read, in bytes.
const PROBLEM_BYTES_MAX: u64 = 64 << 10;

/// How often a service that answers 429 or 503 with `Retry-After` is asked in all.
const ATTEMPTS_MAX: u32 = 4;

/// Longest pause between two attempts; a service that needs longer is reported as unreachable.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// A connection to one service.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
    /// Whether what others must not read may go to another machine over plain HTTP.
    is_plain_http_allowed: bool,
}

impl Client {
    /// A client of the service that the settings name. Nothing is sent yet.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub(crate) fn of(settings: &Settings) -> Result<Self, Failure> {
        Ok(Self { is_plain_http_allowed: settings.plain_http, ..Self::new(&settings.url)? })
    }

    /// A client of the service at `url`. Nothing is sent yet.
    ///
    /// # Errors
    /// A usage failure when that is not an `http` or `https` address.
    pub(crate) fn new(url: &str) -> Result<Self, Failure> {
        let base = base_of(url)?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(3)
            .user_agent(concat!("chopmark/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_send_body(Some(BODY_TIMEOUT))
            .timeout_recv_body(Some(BODY_TIMEOUT));
        if is_loopback(&base) {
            // A proxy's idea of localhost is another machine.
            config = config.proxy(None);
        }
        Ok(Self { agent: config.build().new_agent(), base, is_plain_http_allowed: false })
    }

    /// The service's address, as it is pinned.
    pub(crate) fn url(&self) -> &str {
        &self.base
    }

    /// Checks that what others must not read may go to this service.
    ///
    /// # Errors
    /// A usage failure where anybody on the way could read it.
    fn check_confidential(&self, what: &str) -> Result<(), Failure> {
        if self.is_plain_http_allowed || is_confidential(&self.base) {
            return Ok(());
        }
        let message = format!(
            "{what} would go to {} over plain HTTP, for anybody on the way to read; give an https address with --url, or \
             say with --plain-http that nobody else is on that network",
            self.base
        );
        Err(Failure::new(Exit::Usage, "plain_http", message))
    }

    /// Checks that a statement may go to this service with all that is sent along; one without openings is public.
    ///
    /// # Errors
    /// A usage failure where anybody on the way could read what is sealed.
    pub(crate) fn check_carries(&self, submission: &Submission) -> Result<(), Failure> {
        match &submission.openings {
            Some(_) => self.check_confidential("the sealed values of this statement"),
            None => Ok(()),
        }
    }

    /// What the service says it is.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn registry(&self) -> Result<RegistryDescription, Failure> {
        self.get_json("/v1/registry").map_err(|failure| match failure.exit {
            Exit::NotRegistered => self.not_a_service("it has no /v1/registry"),
            _ => failure,
        })
    }

    /// A party, by whole or shown id; the answer is of the party asked for.
    ///
    /// # Errors
    /// A usage failure when that is no id; a network or service failure; a proof failure when the answer is about
    /// another party, or names a key by another's id.
    pub(crate) fn party(&self, id: &str) -> Result<PartyDescription, Failure> {
        let asked = parse_id(id)?;
        let party: PartyDescription = self.get_json(&format!("/v1/parties/{id}"))?;
        same(&asked, party.party_id)?;
        match party.keys.iter().find(|key| key.public_key.id() != key.key_id) {
            Some(key) => Err(Failure::proof(format!("the service names a key {} that is another", key.key_id))),
            None => Ok(party),
        }
    }

    /// An artefact, by whole or shown id; the answer is of the artefact asked for.
    ///
    /// # Errors
    /// As [`Client::party`].
    pub(crate) fn artefact(&self, id: &str) -> Result<ArtefactDescription, Failure> {
        let asked = parse_id(id)?;
        let artefact: ArtefactDescription = self.get_json(&format!("/v1/artefacts/{id}"))?;
        same(&asked, artefact.artefact_id)?;
        Ok(artefact)
    }

    /// The first of what others say about an artefact.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn about(&self, id: &StatementId) -> Result<AboutDescription, Failure> {
        Ok(self.get_json::<ArtefactSaid>(&format!("/v1/artefacts/{id}"))?.about)
    }

    /// The first artefacts whose manifest, or a file of whose manifest, has this digest; at most `limit`, in the order of
    /// registration. Rows are large where somebody wants them to be, and later ones anybody can add.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn artefacts_with(
        &self,
        digest: &Sha256Digest,
        limit: u32,
    ) -> Result<Vec<ArtefactDescription>, Failure> {
        let path = format!("/v1/artefacts?digest={digest}&limit={limit}");
        let list: Result<ArtefactList, Failure> = self.get_json(&path);
        let mut artefacts = match list {
            Err(failure) if failure.exit == Exit::NotRegistered => Vec::new(),
            list => list?.artefacts,
        };
        artefacts.sort_by_key(|artefact| artefact.index);
        Ok(artefacts)
    }

    /// Sends a statement; sending it again is harmless.
    ///
    /// # Errors
    /// A network failure, or the service's refusal; as [`Client::check_carries`].
    pub(crate) fn submit(&self, submission: &Submission) -> Result<Receipt, Failure> {
        self.check_carries(submission)?;
        let body = submission.to_request();
        let url = format!("{}/v1/statements", self.base);
        let response =
            self.patiently(|| self.agent.post(&url).content_type("application/json").send(body.as_slice()))?;
        self.read_json(response)
    }

    /// The envelope that the log holds for a statement.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn stored_envelope(&self, id: &StatementId) -> Result<serde_json::Value, Failure> {
        let record: StatementRecord = self.get_json(&format!("/v1/statements/{id}"))?;
        Ok(record.envelope)
    }

    /// The operator's party.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn operator(&self) -> Result<StatementId, Failure> {
        Ok(self.get_json::<OperatorDescription>("/v1/registry")?.operator)
    }

    /// The payload of a statement, which proves itself: its digest is the id.
    ///
    /// # Errors
    /// A network or service failure; a proof failure when it is another statement's.
    pub(crate) fn payload(&self, id: &StatementId) -> Result<Vec<u8>, Failure> {
        let envelope = Envelope::from_value(&self.stored_envelope(id)?)
            .map_err(|error| Failure::proof(format!("the service's copy of {id} is no envelope: {error}")))?;
        same(&IdReference::Full(*id), envelope.statement_id())?;
        Ok(envelope.payload().to_vec())
    }

    /// A statement, by whole or shown id.
    ///
    /// # Errors
    /// A usage failure when that is no id; a network or service failure; a proof failure when it is another statement.
    pub(crate) fn statement(&self, id: &str) -> Result<Statement, Failure> {
        let asked = parse_id(id)?;
        let record: StatementRecord = self.get_json(&format!("/v1/statements/{id}"))?;
        let envelope = Envelope::from_value(&record.envelope)
            .map_err(|error| Failure::proof(format!("the service's copy of {id} is no envelope: {error}")))?;
        same(&asked, envelope.statement_id())?;
        Statement::parse(envelope.payload())
            .map_err(|rejection| Failure::proof(format!("the statement {id} can't be read: {rejection}")))
    }

    /// One page of a search.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn search(&self, path_and_query: &str) -> Result<SearchPage, Failure> {
        self.get_json(path_and_query)
    }

    /// The lineage of an artefact, as the service shows it.
    ///
    /// # Errors
    /// A usage failure when that is no id; a network or service failure.
    pub(crate) fn lineage<T: DeserializeOwned>(&self, id: &str, query: &str) -> Result<T, Failure> {
        parse_id(id)?;
        self.get_json(&format!("/v1/artefacts/{id}/lineage?{query}"))
    }

    /// Who published terms; `None` when nobody did.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn terms(&self, id: &str) -> Result<Option<TermsDescription>, Failure> {
        match self.get_json(&format!("/v1/terms/{id}")) {
            Err(failure) if failure.exit == Exit::NotRegistered => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// A licence, as far as its next event needs it.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn licence(&self, id: &StatementId) -> Result<LicenceDescription, Failure> {
        self.get_json(&format!("/v1/licences/{id}"))
    }

    /// A page of licences.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn licences(&self, query: &str) -> Result<LicencePage, Failure> {
        self.get_json(&format!("/v1/licences?{query}"))
    }

    /// A page of offers.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn offers(&self, query: &str) -> Result<OfferPage, Failure> {
        self.get_json(&format!("/v1/offers?{query}"))
    }

    /// Every licence in an artefact.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn licence_ids(&self, artefact: &StatementId) -> Result<Vec<StatementId>, Failure> {
        let first = format!("/v1/licences?artefact={artefact}");
        let (mut ids, mut path) = (Vec::new(), first.clone());
        loop {
            let page: LicenceIds = self.get_json(&path)?;
            ids.extend(page.licences.iter().map(|licence| licence.licence_id));
            let Some(next) = page.next else { return Ok(ids) };
            path = format!("{first}&cursor={next}");
        }
    }

    /// The bytes of an offline licence.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn licence_file(
        &self,
        id: &StatementId,
        artefact: Option<&StatementId>,
        ttl: &str,
    ) -> Result<Vec<u8>, Failure> {
        let artefact = artefact.map(|id| format!("&artefact={id}")).unwrap_or_default();
        let response = self.get(&format!("/v1/licences/{id}/file?ttl={ttl}{artefact}"))?;
        self.read(response, units::length(BUNDLE_BYTES_MAX))
    }

    /// The bytes of the status list.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn status_list(&self, ttl: &str) -> Result<Vec<u8>, Failure> {
        let response = self.get(&format!("/v1/status-list?ttl={ttl}"))?;
        self.read(response, units::length(STATUS_LIST_BYTES_MAX))
    }

    /// An artefact with all that it was made from, and what that is licensed under.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn ancestry(&self, id: &StatementId, query: &str) -> Result<AncestryDescription, Failure> {
        let response = self.get(&format!("/v1/artefacts/{id}/ancestry{query}"))?;
        let body = self.read(response, ANCESTRY_BYTES_MAX)?;
        strict::from_slice(&body).map_err(|error| self.not_a_service(&error.to_string()))
    }

    /// The bytes of a statement's offline bundle.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn bundle(&self, id: &StatementId) -> Result<Vec<u8>, Failure> {
        let response = self.get(&format!("/v1/statements/{id}/bundle"))?;
        self.read(response, units::length(BUNDLE_BYTES_MAX))
    }

    /// The bytes at a path; `None` where there are none.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn file(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, Failure> {
        let url = format!("{}{path}", self.base);
        let response = self.ask(|| self.agent.get(&url).call())?;
        match response.status().as_u16() {
            200..300 => self.read(response, units::length(limit_bytes)).map(Some),
            404 | 410 => Ok(None),
            _ => Err(self.refused(response)),
        }
    }

    fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let response = self.get(path)?;
        self.read_json(response)
    }

    fn get(&self, path: &str) -> Result<Response<Body>, Failure> {
        let url = format!("{}{path}", self.base);
        self.patiently(|| self.agent.get(&url).call())
    }

    /// Sends a request, again after a pause while the service asks for that, and turns refusals into failures.
    fn patiently(&self, send: impl Fn() -> Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, Failure> {
        let response = self.ask(send)?;
        if (200..300).contains(&response.status().as_u16()) { Ok(response) } else { Err(self.refused(response)) }
    }

    /// Sends a request, again after a pause while the service asks for that; whatever it answers in the end.
    fn ask(&self, send: impl Fn() -> Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, Failure> {
        for attempt in 1.. {
            let response = send().map_err(|error| self.unreachable(&error))?;
            let is_busy = matches!(response.status().as_u16(), 429 | 503);
            match pause(&response).filter(|_| is_busy && attempt < ATTEMPTS_MAX) {
                Some(pause) => std::thread::sleep(pause),
                None => return Ok(response),
            }
        }
        Err(Failure::internal("the attempts to reach the service ended without an answer"))
    }

    fn refused(&self, mut response: Response<Body>) -> Failure {
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(PROBLEM_BYTES_MAX).read_to_vec().unwrap_or_default();
        let problem = Problem::read(status, &body);
        let exit = Exit::of_status(status);
        if exit == Exit::NotRegistered && problem.code.as_deref() != Some("not_found") {
            // Not this service's way to say that it holds nothing of the kind.
            return self.not_a_service(&format!("it answers {status}"));
        }
        let code = problem.code.clone().unwrap_or_else(|| format!("http_{status}"));
        let message = match exit {
            Exit::Network => format!("{} at {}", problem.message(), self.base),
            _ => problem.message(),
        };
        Failure { problem: Some(Box::new(problem)), ..Failure::new(exit, code, message) }
    }

    fn read_json<T: DeserializeOwned>(&self, response: Response<Body>) -> Result<T, Failure> {
        let body = self.read(response, JSON_BYTES_MAX)?;
        strict::from_slice(&body).map_err(|error| self.not_a_service(&error.to_string()))
    }

    fn not_a_service(&self, reason: &str) -> Failure {
        let message = format!("{} is not a Chopmark service that this client understands: {reason}", self.base);
        Failure::new(Exit::Network, "answer_malformed", message)
    }

    fn read(&self, mut response: Response<Body>, limit_bytes: u64) -> Result<Vec<u8>, Failure> {
        let body = response.body_mut().with_config().limit(limit_bytes).read_to_vec();
        body.map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => {
                let limit = units::bytes(limit_bytes);
                let message = format!(
                    "{} answers with more than {limit}, which is more than this client reads; ask for less at a time",
                    self.base
                );
                Failure::new(Exit::Network, "answer_too_large", message)
            }
            error => self.unreachable(&error),
        })
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let reason = match error {
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "nothing listens there; start the service with `chopmark serve`, or name another with --url".to_owned()
            }
            ureq::Error::HostNotFound => "there is no such host; check --url".to_owned(),
            ureq::Error::Timeout(what) => format!("no answer in time ({what}); try again"),
            other => other.to_string(),
        };
        Failure::new(Exit::Network, "unreachable", format!("cannot reach {}: {reason}", self.base))
    }
}

/// How long a service asks to wait, when it asks for less than [`PAUSE_MAX`].
fn pause(response: &Response<Body>) -> Option<Duration> {
    let seconds = response.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds)).filter(|pause| *pause <= PAUSE_MAX)
}

/// Reads an id as people give it. What parses holds nothing but letters, digits and `_`, and can stand in a URL.
fn parse_id(id: &str) -> Result<IdReference, Failure> {
    id.parse().map_err(|reason: String| Failure::usage(reason))
}

/// Checks that an answer is about what was asked for.
fn same(asked: &IdReference, answered: StatementId) -> Result<(), Failure> {
    let is_same = match asked {
        IdReference::Full(id) => *id == answered,
        IdReference::Shown { low, high } => (low..=high).contains(&&answered),
    };
    if is_same { Ok(()) } else { Err(Failure::proof(format!("the service answers about {answered} instead"))) }
}

#[cfg(test)]
mod tests;
