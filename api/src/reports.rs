//! Reports: gathered, computed, proved, signed and kept. The route waits for a while and then says how far it is; the work
//! goes on, and whoever asks the same again finds it.

pub mod jobs;
pub mod kept;
pub mod summaries;

use std::sync::{LazyLock, Mutex, PoisonError};

use actix_web::http::StatusCode;
use actix_web::web;
use chopmark_core::access::{Principal, Reason, Refused};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::report::{Query, Report, TreeHead, compute, document};
use chopmark_core::expenditure::{Evidence, EvidenceError, Item};
use chopmark_core::ledger::tree::ProofPlan;
use chopmark_core::statement::StatementId;
use chopmark_core::tax::{self, Jurisdiction, RuleSet};
use chopmark_store::{Gathered, NotGathered, Reading};

use crate::problem::{ApiError, internal};
use crate::service::Service;

/// What a reading of a taxpayer's evidence is called in its record.
pub const READ_FIELD: &str = "/report";

/// How often a report is made again because something in it was erased just then.
const ATTEMPTS_MAX: u32 = 3;

/// The rules, read once. A test of theirs shows that they can be read.
static RULES: LazyLock<Result<RuleSet, String>> =
    LazyLock::new(|| jurisdiction().and_then(|law| law.rules().map_err(|error| error.to_string())));

/// The jurisdiction whose rules reports are computed under.
///
/// # Errors
/// Never for the ones shipped.
pub fn jurisdiction() -> Result<&'static (dyn Jurisdiction + Sync), String> {
    tax::jurisdiction("hk").ok_or_else(|| "there is no jurisdiction hk".to_owned())
}

/// The rules that reports are computed under.
///
/// # Errors
/// Never for the rules shipped.
pub fn rules() -> Result<&'static RuleSet, ApiError> {
    RULES.as_ref().map_err(|reason| internal(reason))
}

/// What is asked, by whom, and why.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who.
    pub principal: Principal,
    /// What.
    pub query: Query,
    /// Entries of the log to look at.
    pub size: u64,
    /// Why.
    pub reason: Option<Reason>,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Entries are looked up and opened.
    Gathering,
    /// The engine computes.
    Computing,
    /// Entries are proved to be in the log.
    Proving,
    /// The report is signed and stored.
    Keeping,
}

impl Stage {
    /// Its name in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gathering => "gathering",
            Self::Computing => "computing",
            Self::Proving => "proving",
            Self::Keeping => "keeping",
        }
    }
}

/// How far a report is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Entries of the evidence, once known.
    pub entries: Option<usize>,
}

/// Where whoever makes a report says how far it is.
#[derive(Debug)]
pub struct ProgressCell(Mutex<Progress>);

impl Default for ProgressCell {
    fn default() -> Self {
        Self(Mutex::new(Progress { stage: Stage::Gathering, entries: None }))
    }
}

impl ProgressCell {
    /// How far it is now.
    pub fn now(&self) -> Progress {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, stage: Stage, entries: Option<usize>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Progress { stage, entries };
    }
}

/// A report that was made and kept.
#[derive(Debug, Clone)]
pub struct Made {
    /// SHA-256 of its bytes.
    pub id: Sha256Digest,
    /// How many bytes.
    pub size_bytes: usize,
    /// Entries of the evidence.
    pub entries: usize,
    /// What it says.
    pub report: Report,
}

/// Makes a report and keeps it.
///
/// # Errors
/// 404 for whoever may not, 400 without a reason that is needed, 422 when it can't be computed, 503 `not_signing`.
pub async fn make(service: &web::Data<Service>, asked: &Asked, progress: &ProgressCell) -> Result<Made, ApiError> {
    for _ in 0..ATTEMPTS_MAX {
        progress.say(Stage::Gathering, None);
        let gathered = gather(service, asked).await?;
        let entries = gathered.items.len();
        progress.say(Stage::Computing, Some(entries));
        let (report, gathered) = computed(service, asked.query.clone(), asked.size, gathered).await?;
        progress.say(Stage::Proving, Some(entries));
        let (head, paths) = prove(service, asked.size, &gathered.items).await?;
        progress.say(Stage::Keeping, Some(entries));
        let signer = service.list_signer().ok_or_else(not_signing)?.clone();
        let written = tokio::task::spawn_blocking(move || {
            let file = document(&report, &head, &gathered.items, &paths, &signer);
            file.map(|file| (file, report, gathered))
        });
        let written = written.await.map_err(|error| internal(&error))?;
        let (file, report, gathered) = written.map_err(|error| internal(&error))?;
        if let Some(id) = service.store.keep_report(&asked.query.taxpayer, &gathered, &file).await? {
            return Ok(Made { id, size_bytes: file.len(), entries, report });
        }
    }
    Err(ApiError::unavailable("overloaded", "values of this report are being erased just now; try again"))
}

/// The error where there is no log key.
pub fn not_signing() -> ApiError {
    ApiError::unavailable("not_signing", "this process has no log key and signs no reports; ask the one that does")
}

/// The error for whoever may not see what is asked for, or when it is not there.
pub fn missing() -> ApiError {
    ApiError::not_found("there is no report here that this token may read")
}

/// A refusal as it is answered; `document` is where a reason would have stood.
pub fn refused(refused: Refused, document: &str) -> ApiError {
    match refused {
        Refused::Scope => ApiError::not_authenticated(),
        Refused::NotTheirs => missing(),
        Refused::ReasonNeeded => crate::routes::reason::needed(document, "case_reference"),
    }
}

/// 422 at a place of the body.
pub fn unprocessable(code: &str, pointer: &str, detail: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, "request", pointer, detail)
}

/// 16 random bytes that name a record.
///
/// # Errors
/// When there is no randomness.
pub fn record_id() -> Result<[u8; 16], ApiError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| internal(&error))?;
    Ok(random)
}

async fn gather(service: &Service, asked: &Asked) -> Result<Gathered, ApiError> {
    let fields = [READ_FIELD.to_owned()];
    let reading = Reading {
        principal: &asked.principal,
        statement: &asked.query.taxpayer,
        fields: &fields,
        reason: asked.reason.as_ref(),
        now: service.clock.now(),
        id: record_id()?,
    };
    let gathered = service.store.report_evidence(reading, asked.size).await?;
    service.recorded.notify_one();
    gathered.map_err(|why| match why {
        NotGathered::Refused(why) => refused(why, "request"),
        NotGathered::TooMany(many) => {
            let too_many = EvidenceError::TooMany { found: many.found };
            unprocessable("report_too_large", "/query/taxpayer", too_many.to_string())
        }
    })
}

async fn computed(
    service: &Service,
    query: Query,
    size: u64,
    gathered: Gathered,
) -> Result<(Report, Gathered), ApiError> {
    let rules = rules()?;
    let _turn = service.jobs.turn().await?;
    let law = jurisdiction().map_err(|reason| internal(&reason))?;
    let computing = tokio::task::spawn_blocking(move || {
        let evidence = Evidence::gather(query.taxpayer, size, &gathered.items);
        let mut evidence =
            evidence.map_err(|error| unprocessable("report_not_computed", "/query", error.to_string()))?;
        evidence.left_out = gathered.left_out;
        let report = compute(&evidence, &query, law, rules);
        let report = report.map_err(|error| unprocessable("report_not_computed", "/query", error.to_string()))?;
        Ok((report, gathered))
    });
    computing.await.map_err(|error| internal(&error))?
}

/// The tree at a size, and the inclusion path of every entry in it.
async fn prove(service: &Service, size: u64, items: &[Item]) -> Result<(TreeHead, Vec<Vec<Sha256Digest>>), ApiError> {
    let published = service.published()?;
    let root = service.prove(&published, &ProofPlan::root(size)).await?;
    let [root] = root.as_slice() else { return Err(internal(&"a root of more than one hash")) };
    let mut paths = Vec::with_capacity(items.len());
    for item in items {
        let plan = ProofPlan::inclusion(item.index, size).map_err(|error| internal(&error))?;
        paths.push(service.prove(&published, &plan).await?);
    }
    Ok((TreeHead { registry: service.registry.reference.clone(), size, root: *root }, paths))
}

/// Whose report is asked for: a party by id, whole or shown, or by Business Registration Number.
///
/// # Errors
/// 404 for an id nobody has, and for a number nobody has whom this principal may see; 422 when several have it.
pub async fn taxpayer(service: &Service, principal: &Principal, text: &str) -> Result<StatementId, ApiError> {
    let is_number = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return match crate::routes::statements::resolve(service, text).await {
            Err(error) if error.0.status == StatusCode::NOT_FOUND.as_u16() => Err(missing()),
            Err(_) => {
                let detail = "an id, a shown id such as pty_…, or 8 digits of a Business Registration Number";
                Err(unprocessable("invalid_query", "/query/taxpayer", detail))
            }
            found => found,
        };
    }
    let found = service.store.parties_by_brn(text, &principal.who).await?;
    match found.as_slice() {
        [] => Err(missing()),
        [one] => Ok(*one),
        several => {
            let shown: Vec<String> = several.iter().map(|id| id.shown("pty").to_string()).collect();
            let detail = format!("{text} is the number of {}; name the party by its id", shown.join(", "));
            Err(unprocessable("taxpayer_ambiguous", "/query/taxpayer", detail))
        }
    }
}
