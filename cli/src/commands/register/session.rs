//! One party at one registry: what every registration of a run shares, and the way of each into the log.
//!
//! Nothing the service says is believed: the receipt is proved against the pinned log key, the bundle is verified as an
//! offline verifier would, and only then written.

use std::path::{Path, PathBuf};

use chopmark_core::artefact::{ArtefactClaim, ArtefactKind, IpType, ManifestRef, Parent};
use chopmark_core::bundle::Proven;
use chopmark_core::code::{Jurisdiction, ResidencyZone};
use chopmark_core::kind::Claim;
use chopmark_core::licence::DeclaredLicence;
use chopmark_core::statement::{SignerGroup, Statement, StatementId};
use chopmark_core::text::Names;

use crate::arguments::{CosignArguments, FormArguments};
use crate::client::{Client, PartyDescription};
use crate::commands::submit::{Draft, Registered, Signed};
use crate::commands::{bundle, signers};
use crate::config::Settings;
use crate::exit::Failure;
use crate::files::{self, Access};
use crate::keys::{self, Key};
use crate::pending::Pending;
use crate::printer::Printer;
use crate::trust::Contact;
use crate::units;

/// What somebody wants registered, before it is measured.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// Where it is.
    pub(super) path: PathBuf,
    /// In which form it lies there.
    pub(super) form: FormArguments,
    /// Its names.
    pub(super) names: Names,
    /// Its version.
    pub(super) version: String,
    /// What it is.
    pub(super) kind: ArtefactKind,
    /// Under which head it is accounted for.
    pub(super) ip_type: IpType,
    /// Where its authors are; the party's jurisdiction where it is not said.
    pub(super) jurisdiction: Option<Jurisdiction>,
    /// Where its bytes may be kept.
    pub(super) zone: ResidencyZone,
    /// Its licence.
    pub(super) licence: DeclaredLicence,
    /// Whether it is registered although that conflicts with the licences of its parents.
    pub(super) accepts_conflict: bool,
    /// Where its bundle goes.
    pub(super) out: PathBuf,
}

impl Order {
    /// The claim that registers it, once it is measured.
    ///
    /// # Errors
    /// A usage failure when nobody says where its authors are.
    pub(super) fn claim(
        &self,
        party: &PartyDescription,
        manifest: ManifestRef,
        parents: Vec<Parent>,
        supersedes: Option<StatementId>,
    ) -> Result<ArtefactClaim, Failure> {
        let author_jurisdiction =
            self.jurisdiction.clone().or_else(|| party.jurisdiction.clone()).ok_or_else(|| {
                Failure::usage("your party states no jurisdiction; say with --jurisdiction where the authors are")
            })?;
        Ok(ArtefactClaim {
            name: self.names.clone(),
            version: self.version.clone(),
            kind: self.kind,
            ip_type: self.ip_type,
            manifest,
            parents,
            supersedes,
            author_jurisdiction,
            residency_zone: self.zone,
            licence: self.licence.clone(),
            accepts_conflict: self.accepts_conflict,
        })
    }
}

/// Whose registrations they are, and where.
pub(super) struct Session {
    /// The settings of the run.
    pub(super) settings: Settings,
    /// The service.
    pub(super) client: Client,
    /// The registry behind it.
    pub(super) contact: Contact,
    /// The party.
    pub(super) party: PartyDescription,
    /// Which of its keys sign.
    pub(super) signers: SignerGroup,
    keys: Vec<Key>,
}

/// A registration that is proved and whose bundle is written.
pub(super) struct Entered {
    /// The receipt, and the statement that may be forgotten now.
    pub(super) registered: Registered,
    /// What the bundle proves.
    pub(super) proven: Proven,
    /// Its size in bytes.
    pub(super) bundle_size_bytes: u64,
}

impl Session {
    /// Meets the registry and finds the party that the keys sign for.
    ///
    /// # Errors
    /// No key, no network, no trust, or no right to sign.
    pub(super) fn open(settings: Settings, cosign: &CosignArguments) -> Result<Self, Failure> {
        let keys = keys::load_all(&settings.keys)?;
        let client = Client::of(&settings)?;
        let contact = Contact::meet(&settings, &client)?;
        let (party, signers) = signers::signing_party(&client, &settings, &contact.registry, &keys, cosign)?;
        Ok(Self { settings, client, contact, party, signers, keys })
    }

    /// What earlier runs signed with these keys and left that says the same, but for the bytes, which are still to be
    /// measured, and for whether a conflict is accepted.
    ///
    /// # Errors
    /// As [`Order::claim`].
    pub(super) fn left(
        &self,
        order: &Order,
        parents: &[Parent],
        supersedes: Option<StatementId>,
    ) -> Result<Vec<ArtefactClaim>, Failure> {
        let mut left = Vec::new();
        for Statement { header, claim, .. } in Pending::all(&self.settings.directories)? {
            let Claim::Artefact(claim) = claim else { continue };
            let same = order.claim(&self.party, claim.manifest.clone(), parents.to_vec(), supersedes)?;
            let same = ArtefactClaim { accepts_conflict: claim.accepts_conflict, ..same };
            let is_ours = |group: &SignerGroup| (group.party, &group.keys) == (self.signers.party, &self.signers.keys);
            let is_here = header.registry.as_ref() == Some(&self.contact.registry);
            if is_here && header.signers.iter().all(is_ours) && same == claim {
                left.push(claim);
            }
        }
        Ok(left)
    }

    /// A statement with this claim, to be signed.
    pub(super) fn draft<'a>(&'a self, name: &'a str, claim: &'a Claim, manifest: &'a [u8]) -> Draft<'a> {
        Draft {
            contact: &self.contact,
            signers: &self.signers,
            beside: &[],
            keys: &self.keys,
            subject_name: name,
            claim,
            document: Some(manifest),
            until: None,
            sealed: None,
        }
    }

    /// Sends what was signed, proves it, and writes its bundle.
    ///
    /// # Errors
    /// As [`Draft::send`]; and when the bundle does not hold, or can't be written.
    pub(super) fn enter(
        &self,
        draft: Draft<'_>,
        signed: Signed,
        out: &Path,
        printer: &Printer,
    ) -> Result<Entered, Failure> {
        let registered = draft.send(signed, &self.client, &self.settings.directories, printer)?;
        let id = registered.statement().id;
        let (bytes, proven) = bundle::fetch(&self.client, &id, &self.contact.trust)?;
        if proven.index != registered.proved.index {
            return Err(Failure::proof("the bundle and the receipt name different entries"));
        }
        files::replace(out, &bytes, Access::Shared).map_err(|error| Failure::file("write", out, &error))?;
        Ok(Entered { registered, proven, bundle_size_bytes: units::length(bytes.len()) })
    }
}
