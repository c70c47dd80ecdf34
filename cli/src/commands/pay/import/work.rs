//! Sending what a list says: several statements on their way at a time, each on disk before it is sent, each finished row in
//! the journal before its statement is forgotten.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use chopmark_core::code::ResidencyZone;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::{ExpenditureClaim, Replacement};
use chopmark_core::kind::Claim;
use chopmark_core::statement::StatementId;

use super::Item;
use crate::commands::Context;
use crate::commands::journal::{Finished, Journal};
use crate::commands::pay::opened;
use crate::commands::pay::order::{Figures, Order};
use crate::commands::say::{Speaker, Taken};
use crate::exit::{Exit, Failure};
use crate::progress::Steps;
use crate::units;

/// Most statements on their way at a time: enough to fill a batch, few enough to be one client among many.
const IN_FLIGHT_MAX: usize = 16;

/// How often a row is tried at a service that asks for patience, each time with all the client's own patience.
const ATTEMPTS_MAX: u32 = 5;

/// What became of a row.
#[derive(Debug)]
pub(super) enum End {
    /// This run recorded it: its id and its place in the log.
    Recorded(StatementId, u64),
    /// It was recorded before.
    Already(StatementId),
    /// It is not recorded, or not proved to be.
    Failed(Failure),
    /// Nobody tried: the service could not be reached any more.
    NotTried,
}

impl End {
    /// The payment.
    pub(super) const fn id(&self) -> Option<StatementId> {
        match self {
            Self::Recorded(id, _) | Self::Already(id) => Some(*id),
            Self::Failed(_) | Self::NotTried => None,
        }
    }
}

/// What the label of a payment's subject is.
pub(super) fn subject(order: &Order) -> String {
    format!("payment under {}", order.claim.document)
}

/// What a row says, for whom and where: under this it is found in the journal.
///
/// # Errors
/// When it can't be written.
pub(super) fn key(speaker: &Speaker, order: &Order, zone: ResidencyZone) -> Result<Sha256Digest, Failure> {
    let rest = format!("{}\n{}\n", speaker.contact.registry.genesis, speaker.party.party_id);
    Ok(Sha256Digest::of_parts(&[rest.as_bytes(), order.meaning(zone)?.as_bytes()]))
}

/// Whether a version of a payment says what the row says, to the cent; nothing where it says that there is none.
///
/// # Errors
/// As the registry answers; a proof failure where its figures are not those that were sealed.
pub(super) fn is_said(speaker: &Speaker, order: &Order, version: StatementId) -> Result<Option<bool>, Failure> {
    let statement = speaker.client.statement(&version.to_string())?;
    let claim = match &statement.claim {
        Claim::Expenditure(claim) => claim,
        Claim::Correction(correction) => match &correction.replacement {
            Some(Replacement::Expenditure(claim)) => claim.as_ref(),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let figures = Figures::of(&opened(speaker, &statement)?);
    Ok(Some(order.is_said_by(claim, &figures)))
}

/// What the threads share.
struct Run<'a> {
    context: &'a Context<'a>,
    speaker: &'a Speaker,
    items: &'a [Item],
    zone: ResidencyZone,
    journal: Mutex<Journal>,
    /// The service is not there any more: nothing further is begun.
    is_stopped: AtomicBool,
}

/// Records all items; one end for each, in their order.
///
/// # Errors
/// When the journal can't be read, or there are no threads.
pub(super) fn all(
    context: &Context<'_>,
    speaker: &Speaker,
    items: &[Item],
    zone: ResidencyZone,
    journal: PathBuf,
) -> Result<Vec<End>, Failure> {
    let journal = Mutex::new(Journal::open(journal)?);
    let run = Run { context, speaker, items, zone, journal, is_stopped: AtomicBool::new(false) };
    let mut ends: Vec<Option<End>> = items.iter().map(|_| None).collect();
    let mut steps = Steps::start(context.printer);
    // What takes something off another payment on the list comes after that one.
    let (first, then): (Vec<usize>, Vec<usize>) =
        (0..items.len()).partition(|place| items.get(*place).is_some_and(|item| item.credits.is_none()));
    for places in [first, then] {
        let known: Vec<Option<StatementId>> = ends.iter().map(|end| end.as_ref().and_then(End::id)).collect();
        run.phase(&places, &known, &mut ends, &mut steps)?;
    }
    steps.finish();
    Ok(ends.into_iter().map(|end| end.unwrap_or(End::NotTried)).collect())
}

impl Run<'_> {
    fn phase(
        &self,
        places: &[usize],
        known: &[Option<StatementId>],
        ends: &mut [Option<End>],
        steps: &mut Steps<'_>,
    ) -> Result<(), Failure> {
        if places.is_empty() {
            return Ok(());
        }
        let next = AtomicUsize::new(0);
        let (outcomes, finished) = mpsc::channel();
        thread::scope(|scope| {
            // Fewer threads than wanted are no reason to fail, but one there has to be.
            let started = (0..IN_FLIGHT_MAX.min(places.len())).filter(|_| {
                let (next, outcomes) = (&next, outcomes.clone());
                let work = move || self.work(places, known, next, &outcomes);
                thread::Builder::new().name("record".to_owned()).spawn_scoped(scope, work).is_ok()
            });
            if started.count() == 0 {
                return Err(Failure::internal("the operating system gives no threads"));
            }
            drop(outcomes);
            let mut done = ends.iter().filter(|end| end.is_some()).count();
            let all = units::length(ends.len());
            while let Ok((place, end)) = finished.recv() {
                if let Some(slot) = ends.get_mut(place) {
                    *slot = Some(end);
                }
                done = done.saturating_add(1);
                steps.show("recording", "payments", units::length(done), all);
            }
            Ok(())
        })
    }

    /// Takes one row after the other until none is left.
    fn work(
        &self,
        places: &[usize],
        known: &[Option<StatementId>],
        next: &AtomicUsize,
        outcomes: &Sender<(usize, End)>,
    ) {
        while !self.is_stopped.load(Ordering::Relaxed) {
            let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            let Some(item) = self.items.get(*place) else { return };
            let end = self.record(item, known).unwrap_or_else(End::Failed);
            if matches!(&end, End::Failed(failure) if failure.exit == Exit::Network) {
                self.is_stopped.store(true, Ordering::Relaxed);
            }
            // Nobody listens any more when the run was interrupted; the journal has it.
            let _ = outcomes.send((*place, end));
        }
    }

    fn record(&self, item: &Item, known: &[Option<StatementId>]) -> Result<End, Failure> {
        let mut order = item.order.clone();
        if let Some(credited) = item.credits {
            let Some(id) = known.get(credited).copied().flatten() else {
                let line = self.items.get(credited).map_or(0, |item| item.line);
                let message = format!("row {line}, which it takes something off, is not recorded");
                return Err(Failure::new(Exit::CouldNotCheck, "row_not_recorded", message));
            };
            order.claim.credits = Some(id);
        }
        let (speaker, subject) = (self.speaker, subject(&order));
        let key = key(speaker, &order, self.zone)?;
        let (place, nonce) = speaker.place(ExpenditureClaim::PREDICATE_TYPE)?;
        let (claim, sealing) = order.sealed((&place, nonce), self.zone)?;
        let claim = Claim::Expenditure(claim);
        if let Some(id) = self.journal(|journal| journal.find(&key).map(|finished| finished.statement_id)) {
            // A run that was cut short between the journal and this has left it.
            speaker.forget(&claim, &sealing)?;
            return Ok(End::Already(id));
        }
        let printer = self.context.printer.quieted();
        let mut attempt = 1;
        let (end, registered) = loop {
            match speaker.take((&subject, &claim), &sealing, &printer) {
                Ok(Taken::Now(registered)) => {
                    let (id, index) = (registered.statement().id, registered.proved.index);
                    break (End::Recorded(id, index), Some(registered));
                }
                Ok(Taken::Before(id, failure)) => break (self.before(&order, id, failure)?, None),
                Err(failure) if failure.asks_for_patience() && attempt < ATTEMPTS_MAX => attempt += 1,
                Err(failure) => return Err(failure),
            }
        };
        if let Some(statement_id) = end.id() {
            let files = order.claim.file.unwrap_or_else(|| Sha256Digest::of(b""));
            self.journal(|journal| journal.add(Finished { row: key, files, statement_id }))?;
        }
        // Only now: until the journal has it, the next run has to find the very statement that was sent.
        if let Some(registered) = registered {
            registered.forget();
        }
        Ok(end)
    }

    /// Whether what the registry holds already under this document is what the row says, to the cent.
    fn before(&self, order: &Order, id: StatementId, failure: Failure) -> Result<End, Failure> {
        let head = self.speaker.client.correction_head(&id)?;
        match is_said(self.speaker, order, head)? {
            Some(true) => return Ok(End::Already(id)),
            Some(false) => {}
            None => return Err(failure),
        }
        let shown = id.shown("exp");
        let message = format!("{shown} is recorded with this payer, payee and document, and says something else");
        Err(Failure { message, ..failure })
    }

    fn journal<T>(&self, with: impl FnOnce(&mut Journal) -> T) -> T {
        // What is behind the lock is whole between two operations.
        with(&mut self.journal.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
