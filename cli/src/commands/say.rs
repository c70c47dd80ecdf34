//! A statement about something else: what `attest`, `endorse` and `party verify` have in common once they know what to say.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chopmark_core::key::PublicKey;
use chopmark_core::kind::Claim;
use chopmark_core::sealed::{Opening, Place};
use chopmark_core::statement::{Nonce, RegistryRef, SignerGroup, StatementId};
use chopmark_core::strict;
use chopmark_core::time::Timestamp;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::consent::Consent;
use super::sealing::SealedFigures;
use super::submit::{Draft, Registered, Signed, random};
use super::{Context, cosign, dry_run, signers, token};
use crate::arguments::{ConsentArguments, CosignArguments, SayArguments};
use crate::client::{Client, PartyDescription};
use crate::config::{Overrides, Settings};
use crate::exit::{Exit, Failure};
use crate::interrupt;
use crate::keys::{self, Key};
use crate::printer::{Printer, Report, Tone};
use crate::trust::Contact;

/// Who says something, and to whom.
pub(super) struct Speaker {
    settings: Settings,
    /// The service.
    pub(super) client: Client,
    /// The registry.
    pub(super) contact: Contact,
    keys: Vec<Key>,
    /// The party.
    pub(super) party: PartyDescription,
    /// Its keys that sign.
    signers: SignerGroup,
    /// Those of another party, which signs as well.
    beside: Vec<SignerGroup>,
    /// Their public keys.
    keys_beside: Vec<PublicKey>,
    consent: Consent,
    /// Who else signs.
    cosign: CosignArguments,
    /// After this moment what is said must not be admitted, where that is sooner than usual.
    pub(super) until: Option<Timestamp>,
    /// What is agreed to by saying it, line by line: shown before anything is signed.
    pub(super) agreed: Vec<String>,
    /// The last token, and when it was had.
    token: Mutex<Option<(Instant, Zeroizing<String>)>>,
}

/// How long a token is used: less than it is good for.
const TOKEN_USED_MAX: Duration = Duration::from_mins(10);

/// What is to be said.
pub(super) struct Saying<'a> {
    /// A label for the subject.
    pub(super) subject_name: &'a str,
    /// The claim.
    pub(super) claim: Claim,
    /// The same in words.
    pub(super) said: String,
    /// The statements it names.
    pub(super) named: &'a [StatementId],
    /// Facts for the result.
    pub(super) report: Report,
    /// The same for programs.
    pub(super) members: Value,
}

/// What goes with a statement to those concerned, and never becomes public.
#[derive(Default)]
pub(super) struct Confidential {
    /// Its own sealed fields.
    pub(super) sealed: Option<SealedFigures>,
    /// Openings of sealed fields of statements that it names, for whoever signs as well.
    pub(super) opened: BTreeMap<StatementId, Vec<Opening>>,
}

impl Confidential {
    /// Sealed fields of the statement alone.
    pub(super) fn sealed(figures: SealedFigures) -> Self {
        Self { sealed: Some(figures), ..Self::default() }
    }
}

impl Speaker {
    /// The party of the user, whose name is among the arguments or goes with the keys at hand.
    ///
    /// # Errors
    /// A usage failure when a file is in the way or there is nobody to ask; otherwise as the registry answers.
    pub(super) fn own(context: &Context<'_>, said: SayArguments, trust: Option<PathBuf>) -> Result<Self, Failure> {
        let SayArguments { party, cosign, consent } = said;
        Self::start(context, Overrides { party, trust }, consent, cosign, |settings, client, contact, keys, cosign| {
            signers::signing_party(client, settings, &contact.registry, keys, cosign)
        })
    }

    /// The operator.
    ///
    /// # Errors
    /// As [`Speaker::own`].
    pub(super) fn operator(
        context: &Context<'_>,
        consent: ConsentArguments,
        cosign: CosignArguments,
    ) -> Result<Self, Failure> {
        Self::start(context, Overrides::default(), consent, cosign, |_, client, _, keys, cosign| {
            let operator = client.party(&client.operator()?.to_string())?;
            let signers = signers::statement_signers(&operator, keys, cosign)?;
            Ok((operator, signers))
        })
    }

    /// How the run begins: what can be refused early, whether consent is given, and who signs.
    fn start(
        context: &Context<'_>,
        overrides: Overrides,
        consent: ConsentArguments,
        cosign: CosignArguments,
        party: impl FnOnce(
            &Settings,
            &Client,
            &Contact,
            &[Key],
            &CosignArguments,
        ) -> Result<(PartyDescription, SignerGroup), Failure>,
    ) -> Result<Self, Failure> {
        let settings = context.settings(overrides)?;
        interrupt::install(context.printer, context.command)?;
        cosign::check(&cosign)?;
        let consent = Consent::find(consent, &settings.url, context.printer)?;
        let keys = keys::load_all(&settings.keys)?;
        let client = Client::of(&settings)?;
        let contact = Contact::meet(&settings, &client)?;
        let (party, signers) = party(&settings, &client, &contact, &keys, &cosign)?;
        Ok(Self {
            settings,
            client,
            contact,
            keys,
            party,
            signers,
            beside: Vec::new(),
            keys_beside: Vec::new(),
            consent,
            cosign,
            until: None,
            agreed: Vec::new(),
            token: Mutex::default(),
        })
    }

    /// Has another party sign as well, with as many of its root keys as it needs: what is said can only be written to a
    /// file, for it to sign.
    ///
    /// # Errors
    /// A usage failure when there is no file to write to.
    pub(super) fn signs_with(&mut self, other: &PartyDescription) -> Result<(), Failure> {
        if self.cosign.sign_only.is_none() && self.consent != Consent::NotNeeded {
            let message =
                format!("{} has to sign, too: give the statement a file with --sign-only", other.name.display());
            return Err(Failure::usage(message));
        }
        let signers = signers::all_root_keys(other);
        self.keys_beside.extend(signers::public_keys(other, &signers));
        self.beside.push(signers);
        Ok(())
    }

    /// Whether nothing is to be written or sent.
    pub(super) fn is_dry_run(&self) -> bool {
        self.consent == Consent::NotNeeded
    }

    /// Openings of a statement's sealed fields, for whoever signs as well; none where they are not kept here any more.
    ///
    /// # Errors
    /// When nobody can log in with the keys at hand; a network or service failure.
    pub(super) fn openings(&self, statement: &StatementId) -> Result<Option<Vec<Opening>>, Failure> {
        let record = match self.client.openings(statement, "", &self.token()?) {
            Err(failure) if failure.exit == Exit::NotRegistered => return Ok(None),
            record => record?,
        };
        if record.fields.iter().any(|field| field.get("erased_by").is_some()) {
            return Ok(None);
        }
        let openings = record.fields.iter().map(strict::decode).collect::<Result<_, _>>();
        openings.map(Some).map_err(Failure::proof_of)
    }

    fn draft<'a>(&'a self, subject_name: &'a str, claim: &'a Claim) -> Draft<'a> {
        let Self { contact, signers, beside, keys, until, .. } = self;
        Draft { contact, signers, beside, keys, subject_name, claim, document: None, until: *until, sealed: None }
    }

    /// Says something that what is said next rests on, and tells no more of it than a note. A dry run leaves it out.
    ///
    /// # Errors
    /// As [`say`]; a usage failure where others have to sign, because it would have to be entered first.
    pub(super) fn enter(
        &self,
        context: &Context<'_>,
        subject_name: &str,
        claim: &Claim,
        said: &str,
    ) -> Result<(), Failure> {
        self.enter_sealed(context, (subject_name, claim, said), None)
    }

    /// The place of sealed fields in a statement of this party that is still to be made, with the nonce it has to have.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub(super) fn place(&self, predicate_type: &str) -> Result<(Place, Nonce), Failure> {
        let bytes: [u8; 16] = random()?;
        let RegistryRef { origin, genesis } = &self.contact.registry;
        let place = Place {
            registry: format!("{origin} {genesis}"),
            predicate_type: predicate_type.to_owned(),
            issuer: self.party.party_id.to_hex(),
            nonce: HEXLOWER.encode(&bytes),
        };
        Ok((place, Nonce::from_random(bytes)))
    }

    /// As [`Speaker::enter`], with sealed fields.
    ///
    /// # Errors
    /// As [`Speaker::enter`].
    pub(super) fn enter_sealed(
        &self,
        context: &Context<'_>,
        (subject_name, claim, said): (&str, &Claim, &str),
        sealed: Option<&SealedFigures>,
    ) -> Result<(), Failure> {
        let (name, directories) = (self.party.name.display(), &self.settings.directories);
        let kind = claim.name();
        if self.consent == Consent::NotNeeded {
            context.printer.note(format!("a statement of kind {kind} would be entered first: {said}"));
            return Ok(());
        }
        if self.cosign.sign_only.is_some() {
            let message =
                format!("a statement of kind {kind} has to be entered first ({said}); collect signatures for it");
            return Err(Failure::usage(message));
        }
        self.consent.obtain(context.printer, &self.contact.registry.origin, &[format!("{name}: {said}")])?;
        let draft = Draft { sealed, ..self.draft(subject_name, claim) };
        let signed = draft.signed(directories)?;
        self.contact.pin(directories, context.printer)?;
        let registered = draft.send(signed, &self.client, directories, context.printer)?;
        context.printer.note(format!("entered at index {}: {said}", registered.proved.index));
        registered.forget();
        Ok(())
    }
}

/// A statement that was taken in, with whatever has to happen before it is forgotten.
pub(super) enum Taken {
    /// This run sent it.
    Now(Box<Registered>),
    /// The registry refused it for a statement that is there already.
    Before(StatementId, Failure),
}

impl Speaker {
    /// The party's token for what only it may read.
    ///
    /// # Errors
    /// An authorisation failure; a network or service failure.
    pub(super) fn token(&self) -> Result<Zeroizing<String>, Failure> {
        let mut known = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, token)) = known.as_ref().filter(|(since, _)| since.elapsed() < TOKEN_USED_MAX) {
            return Ok(token.clone());
        }
        let (_, token) = token::of_key(&self.settings, &self.client, &self.contact)?;
        *known = Some((Instant::now(), token.clone()));
        Ok(token)
    }

    /// How the run is consented to.
    pub(super) const fn consent(&self) -> Consent {
        self.consent
    }

    /// Remembers the registry before many statements go there.
    ///
    /// # Errors
    /// When that can't be written.
    pub(super) fn pin(&self, context: &Context<'_>) -> Result<(), Failure> {
        self.contact.pin(&self.settings.directories, context.printer)
    }

    /// Signs one of many statements and sends it, or sends what an earlier run has signed; says nothing.
    ///
    /// # Errors
    /// As [`Draft::send`], but for a statement that is there already.
    pub(super) fn take(
        &self,
        (subject_name, claim): (&str, &Claim),
        sealed: &SealedFigures,
        printer: &Printer,
    ) -> Result<Taken, Failure> {
        let directories = &self.settings.directories;
        let draft = Draft { sealed: Some(sealed), ..self.draft(subject_name, claim) };
        match draft.send(draft.signed(directories)?, &self.client, directories, printer) {
            Ok(registered) => Ok(Taken::Now(Box::new(registered))),
            Err(failure) => match failure.existing() {
                Some(id) => Ok(Taken::Before(id, failure)),
                None => Err(failure),
            },
        }
    }

    /// What [`Speaker::take`] would send, signed.
    ///
    /// # Errors
    /// A usage failure when it would not be accepted.
    pub(super) fn preview(
        &self,
        (subject_name, claim): (&str, &Claim),
        sealed: &SealedFigures,
    ) -> Result<Signed, Failure> {
        Draft { sealed: Some(sealed), ..self.draft(subject_name, claim) }.signed(&self.settings.directories)
    }

    /// Forgets the signed statement that an earlier run left of this intention, if it did.
    ///
    /// # Errors
    /// When it can't be read.
    pub(super) fn forget(&self, claim: &Claim, sealed: &SealedFigures) -> Result<(), Failure> {
        let draft = Draft { sealed: Some(sealed), ..self.draft("", claim) };
        draft.forget(&self.settings.directories)
    }
}

/// Says it: shows, asks, signs, sends, and checks the receipt.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(super) fn say(context: &Context<'_>, speaker: &Speaker, saying: Saying<'_>) -> Result<Exit, Failure> {
    say_with(context, speaker, saying, Confidential::default())
}

/// As [`say`], with what does not become public.
///
/// # Errors
/// As [`say`].
pub(super) fn say_with(
    context: &Context<'_>,
    speaker: &Speaker,
    saying: Saying<'_>,
    confidential: Confidential,
) -> Result<Exit, Failure> {
    let Speaker { settings, client, contact, party, signers, consent, cosign, agreed, .. } = speaker;
    let printer = context.printer;
    let Saying { subject_name, claim, said, named, report, members } = saying;
    let Confidential { sealed, opened } = confidential;
    let draft = Draft { sealed: sealed.as_ref(), ..speaker.draft(subject_name, &claim) };
    let name = party.name.display();
    if *consent == Consent::NotNeeded {
        return dry_run::print(context, &draft.signed(&settings.directories)?, &contact.registry, agreed);
    }
    if *consent == Consent::Given && !agreed.is_empty() {
        printer.note(agreed.join("\n"));
    }
    let explained: Vec<String> = [format!("{name}: {said}")].into_iter().chain(agreed.iter().cloned()).collect();
    consent.obtain(printer, &contact.registry.origin, &explained)?;
    if let Some(path) = &cosign.sign_only {
        let mut keys = signers::public_keys(party, signers);
        keys.extend(&speaker.keys_beside);
        return cosign::write_opened(context, &draft, path, (client, &settings.directories), keys, (named, opened));
    }
    let signed = draft.signed(&settings.directories)?;
    contact.pin(&settings.directories, printer)?;
    let registered = draft.send(signed, client, &settings.directories, printer)?;
    let report = report.row("said by", format!("{name} ({})", party.party_id.shown("pty")));
    recorded(context, registered, party, report, &said, members)
}

/// The result of a statement that is about something else: where it was recorded, and what else there is to tell.
///
/// # Errors
/// When it can't be printed.
pub(super) fn recorded(
    context: &Context<'_>,
    registered: Registered,
    party: &PartyDescription,
    report: Report,
    said: &str,
    members: Value,
) -> Result<Exit, Failure> {
    let (statement, proved) = (registered.statement(), &registered.proved);
    let prefix = statement.claim.id_prefix();
    let shown = statement.id.shown(prefix).to_string();
    let report = report
        .row("id", &shown)
        .row("index", format!("{} in a log of {}, proved", proved.index, proved.checkpoint.size()))
        .naming(&format!("{prefix}_…"), &shown)
        .headline(Tone::Good, format!("RECORDED: {said}"));
    let mut all = json!({
        "id": shown,
        "statement_id": statement.id,
        "party_id": party.party_id,
        "index": proved.index,
        "size": proved.checkpoint.size(),
        "recorded_at": registered.recorded_at,
        "registry": statement.header.registry,
        "proof": proved.proof,
        "resumed": registered.is_resumed,
    });
    if let (Some(all), Value::Object(members)) = (all.as_object_mut(), members) {
        all.extend(members);
    }
    registered.forget();
    context.done(all, &report)
}
