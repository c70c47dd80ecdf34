//! What judging new entries needs of the registry below a saved checkpoint: parties with their keys, artefacts, statements,
//! terms and licences, assets, payments and uses with their corrections.
//!
//! Asked for one by one, by ids that new entries name. Ids are digests, and each statement comes with a proof that it is
//! in a tree the log key signed, so a service can withhold something here, but invent nothing.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use chopmark_core::admission::{Entry, LicensingReads, Reads, View};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::kind::Claim;
use chopmark_core::ledger::note::VerifierKey;
use chopmark_core::ledger::proof::{TLOG_PROOF_BYTES_MAX, TlogProof};
use chopmark_core::policy::PolicyClaim;
use chopmark_core::replay::{Decoded, Replay};
use chopmark_core::statement::{Envelope, RegistryRef, StatementId};
use chopmark_core::terms::TermsId;
use chopmark_store::audit::{Finding, FoundEntry};

use super::remote::Stop;
use crate::client::Client;
use crate::exit::{Exit, Failure};

/// Most key events of one party, or corrections of one entry, that are followed back.
const EVENTS_MAX: usize = 10_000;

/// How often the latest of them is asked for, a second apart: it is the latest a moment before it is signed and shown.
const TIMES_ASKED_MAX: u32 = 5;

/// Completes the state that new entries are judged in.
pub(super) struct Resolver<'a> {
    client: &'a Client,
    key: &'a VerifierKey,
    genesis: Option<Sha256Digest>,
    /// Entries below this are old.
    from: u64,
    /// Asked for before.
    asked: BTreeSet<StatementId>,
}

impl<'a> Resolver<'a> {
    /// For entries from `from` on.
    pub(super) fn new(client: &'a Client, key: &'a VerifierKey, genesis: Option<Sha256Digest>, from: u64) -> Self {
        Self { client, key, genesis, from, asked: BTreeSet::new() }
    }

    /// Brings in what these entries read of the state below.
    ///
    /// # Errors
    /// When the service can't be asked, or what it answers does not hold.
    pub(super) fn complete(&mut self, replay: &mut Replay, entries: &[FoundEntry]) -> Result<(), Stop> {
        if self.asked.is_empty() {
            self.found_registry(replay.view_mut())?;
        }
        let mut reads = Reads::default();
        let mut own = BTreeSet::new();
        for entry in entries {
            // What can't be read is reported when it is judged.
            if let Ok(decoded) = Decoded::parse(&entry.body) {
                reads.add(&decoded.statement);
                own.insert(decoded.statement.id);
            }
        }
        let view = replay.view_mut();
        for party in reads.parties.iter().filter(|id| !own.contains(*id)) {
            if view.party(party).is_none() && self.asked.insert(*party) {
                self.load_party(view, party)?;
            }
        }
        let named = reads.artefacts.iter().chain(&reads.statements).chain(&reads.evidence.ids);
        for id in named.filter(|id| !own.contains(*id)) {
            // An artefact is its owner's statement.
            if view.statement_issuer(id).is_none() {
                self.load_once(view, id)?;
            }
        }
        self.load_licensing(view, &reads.licensing)
    }

    /// Terms, offers and licences that new entries rest on, or may collide with.
    fn load_licensing(&mut self, view: &mut View, reads: &LicensingReads) -> Result<(), Stop> {
        for (issuer, id) in &reads.terms {
            self.load_terms(view, issuer, id)?;
        }
        for (offer, _) in &reads.acceptances {
            self.load_once(view, offer)?;
        }
        let mut wanted = reads.licences.clone();
        for (artefact, ..) in &reads.licences_of {
            wanted.extend(self.client.licence_ids(artefact)?);
        }
        for licence in &wanted {
            self.load_licence(view, licence)?;
        }
        Ok(())
    }

    fn load_terms(&mut self, view: &mut View, issuer: &StatementId, id: &TermsId) -> Result<(), Stop> {
        if view.licensing().publication(issuer, id).is_some() {
            return Ok(());
        }
        let published = self.client.terms(&id.to_string())?.map(|terms| terms.published_by).unwrap_or_default();
        for by in published.iter().filter(|by| by.party == *issuer) {
            self.load_once(view, &by.statement_id)?;
        }
        Ok(())
    }

    /// A licence with its terms, what it rests on, and what happened to it.
    fn load_licence(&mut self, view: &mut View, id: &StatementId) -> Result<(), Stop> {
        if view.licensing().licence(id).is_some() || self.asked.contains(id) {
            return Ok(());
        }
        let Some((index, entry)) = self.statement(id)? else { return Ok(()) };
        self.asked.insert(*id);
        let Claim::Grant(grant) = &entry.statement.claim else { return Ok(()) };
        self.load_terms(view, &grant.licensor, &grant.terms)?;
        for under in &grant.under {
            self.load_licence(view, under)?;
        }
        if self.absorb(view, index, &entry) {
            for event in self.client.licence(id)?.events {
                self.load_once(view, &event.statement_id)?;
            }
        }
        Ok(())
    }

    /// A statement; with its corrections where it is an asset, a payment or a use.
    fn load_once(&mut self, view: &mut View, id: &StatementId) -> Result<(), Stop> {
        if !self.asked.insert(*id) {
            return Ok(());
        }
        let Some((index, entry)) = self.statement(id)? else { return Ok(()) };
        let is_corrected = matches!(entry.statement.claim, Claim::Asset(_) | Claim::Expenditure(_) | Claim::Use(_));
        if self.absorb(view, index, &entry) && is_corrected {
            let head = self.client.correction_head(id)?;
            self.absorb_back(view, (head, id), "correction", |entry| match &entry.statement.claim {
                Claim::Correction(claim) if claim.entry == *id => Some(claim.prev),
                _ => None,
            })?;
        }
        Ok(())
    }

    /// Entry 0, which must be the genesis that is pinned.
    fn found_registry(&mut self, view: &mut View) -> Result<(), Stop> {
        let description = self.client.registry()?;
        let wrong = |reason: &str| Stop::Found(Finding::new("entry 0", 0, reason));
        let Some(operator) = description.operator else {
            return Err(wrong("the service does not say which statement it is"));
        };
        self.asked.insert(operator);
        let Some((0, entry)) = self.statement(&operator)? else {
            return Err(wrong("the service does not show it"));
        };
        if self.genesis.is_some_and(|genesis| genesis != entry.leaf) {
            return Err(wrong("it is not the genesis of the registry trusted"));
        }
        let Claim::Policy(PolicyClaim::Descriptor(descriptor)) = &entry.statement.claim else {
            return Err(wrong("it does not found a registry"));
        };
        view.found(RegistryRef { origin: descriptor.origin.clone(), genesis: entry.leaf }, operator);
        self.load_party(view, &operator)
    }

    /// A party with all its key events below the saved checkpoint: each names the one before it.
    fn load_party(&self, view: &mut View, id: &StatementId) -> Result<(), Stop> {
        let Some((index, created)) = self.statement(id)? else { return Ok(()) };
        if !self.absorb(view, index, &created) {
            return Ok(());
        }
        let head = self.client.party(&id.to_string())?.key_head;
        self.absorb_back(view, (head, id), "key event", |event| match &event.statement.claim {
            Claim::Key(claim) if event.statement.issuer() == *id => Some(claim.prev),
            _ => None,
        })?;
        // Who was verified below is not asked for; that alone is no reason to refuse what builds on it.
        if let Some(mut party) = view.party(id).cloned() {
            party.verified_from = Some(index);
            view.load_party(party);
        }
        Ok(())
    }

    /// Takes in those from below of a chain of entries about `of`, each of which names the one before it.
    fn absorb_back(
        &self,
        view: &mut View,
        (head, of): (StatementId, &StatementId),
        sort: &str,
        prev: impl Fn(&Decoded) -> Option<StatementId>,
    ) -> Result<(), Stop> {
        let (mut at, mut events) = (head, Vec::new());
        while at != *of {
            let wrong = |reason: &str| Stop::Found(Finding::new(format!("{sort} {at} of {of}"), None, reason));
            let Some((index, event)) = self.patiently(&at)? else {
                return Err(wrong("the service does not show it"));
            };
            let before = prev(&event).filter(|_| events.len() < EVENTS_MAX);
            let Some(before) = before else { return Err(wrong("it is something else, or one of too many")) };
            at = before;
            events.push((index, event));
        }
        for (index, event) in events.iter().rev() {
            self.absorb(view, *index, event);
        }
        Ok(())
    }

    /// A statement that may not be shown yet.
    fn patiently(&self, id: &StatementId) -> Result<Option<(u64, Decoded)>, Stop> {
        for _ in 1..TIMES_ASKED_MAX {
            if let Some(shown) = self.statement(id)? {
                return Ok(Some(shown));
            }
            thread::sleep(Duration::from_secs(1));
        }
        self.statement(id)
    }

    /// Takes in an entry from below; whether it is one.
    fn absorb(&self, view: &mut View, index: u64, entry: &Decoded) -> bool {
        if index >= self.from {
            return false;
        }
        for change in (Entry { index, statement: &entry.statement }).apply() {
            view.absorb(&change);
        }
        view.load_statement(entry.statement.id, entry.statement.issuer());
        true
    }

    /// A statement with its place in the log, proved; `None` when the service knows none of that id.
    fn statement(&self, id: &StatementId) -> Result<Option<(u64, Decoded)>, Stop> {
        let path = format!("/v1/statements/{id}");
        let found = |reason: String| Stop::Found(Finding::new(path.clone(), None, reason));
        let envelope = match self.client.stored_envelope(id) {
            Ok(envelope) => envelope,
            Err(Failure { exit: Exit::NotRegistered, .. }) => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        let envelope = Envelope::from_value(&envelope).map_err(|error| found(error.to_string()))?;
        let entry = Decoded::parse(&envelope.to_bytes()).map_err(found)?;
        if entry.statement.id != *id {
            return Err(found(format!("it shows statement {} instead", entry.statement.id)));
        }
        let proof = self.client.file(&format!("{path}/receipt.tlog-proof"), TLOG_PROOF_BYTES_MAX)?;
        let proof =
            proof.and_then(|proof| String::from_utf8(proof).ok()).ok_or_else(|| found("it has no proof".to_owned()))?;
        let proof: TlogProof = proof.parse().map_err(|error| found(format!("its proof: {error}")))?;
        proof
            .verify(entry.leaf, core::slice::from_ref(self.key))
            .map_err(|error| found(format!("its proof: {error}")))?;
        Ok(Some((proof.index(), entry)))
    }
}
