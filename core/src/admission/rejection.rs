//! Why a statement is refused: one stable code, the document and the place in it, a sentence for a person.

use crate::statement::StatementId;
use crate::strict::StrictError;

/// Which document a pointer leads into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// The request body: envelope and attached documents.
    Request,
    /// The signed payload inside the envelope.
    Payload,
    /// The attached document at this position.
    Attached(usize),
}

impl Document {
    /// The name used in problem documents.
    pub fn name(self) -> String {
        match self {
            Self::Request => "request".to_owned(),
            Self::Payload => "payload".to_owned(),
            Self::Attached(position) => format!("documents/{position}"),
        }
    }
}

/// What sort of refusal a code is; the service maps each to one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Not readable at all (400).
    Malformed,
    /// Not signed by whoever must sign (403).
    Forbidden,
    /// Contradicts what the registry holds (409).
    Conflict,
    /// Over a size limit (413).
    TooLarge,
    /// Readable, but not a statement this registry admits (422).
    Unprocessable,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $class:ident;)*) => {
        /// Stable codes of refusals. Scripts rely on them: a code is never renamed or reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as text.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What sort of refusal it is.
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)* }
            }
        }
    };
}

codes! {
    /// The request is not the JSON document it should be.
    MalformedRequest = "malformed_request", Malformed;
    /// The DSSE envelope is not well formed.
    MalformedEnvelope = "malformed_envelope", Malformed;
    /// A signature is not valid for this payload and key.
    SignatureInvalid = "signature_invalid", Forbidden;
    /// A signature is by a key the payload does not list.
    SignerNotListed = "signer_not_listed", Forbidden;
    /// A signature is by a key that no party here has.
    UnknownKey = "unknown_key", Forbidden;
    /// The issuer, or another signing party, is not registered here.
    UnknownIssuer = "unknown_issuer", Forbidden;
    /// Fewer signatures than the payload or the party asks for.
    ThresholdNotMet = "threshold_not_met", Forbidden;
    /// A listed signer may not sign this.
    NotAuthorised = "not_authorised", Forbidden;
    /// The same owner has registered the same manifest and version.
    AlreadyRegistered = "already_registered", Conflict;
    /// The name can't be told from that of a party whose identity the operator verified.
    NameConfusable = "name_confusable", Conflict;
    /// A key already belongs to a party.
    KeyInUse = "key_in_use", Conflict;
    /// The issuer has used this nonce.
    NonceReused = "nonce_reused", Conflict;
    /// The signers' party has changed its keys since.
    StaleKeyHead = "stale_key_head", Conflict;
    /// What would be erased has to be kept longer.
    RetentionRunning = "retention_running", Conflict;
    /// A licence that can't stand beside this one, because one of them is exclusive.
    ExclusiveOverlap = "exclusive_overlap", Conflict;
    /// The offer is over, or would be by the time this is admitted.
    OfferExpired = "offer_expired", Conflict;
    /// The licence's latest event is another one.
    StaleStatusHead = "stale_status_head", Conflict;
    /// A licence this rests on, or is about, is not in a state for it.
    LicenceNotInForce = "licence_not_in_force", Conflict;
    /// The licence of something conflicts with those of what it was made from, and its owner does not say that it may.
    LicenceConflict = "licence_conflict", Conflict;
    /// The entry was corrected before; the latest version is another one.
    AlreadyCorrected = "already_corrected", Conflict;
    /// Without this key its party could never sign again.
    WouldLockOut = "would_lock_out", Conflict;
    /// The entry would be longer than the log can hold.
    EntryTooLarge = "entry_too_large", TooLarge;
    /// Attached documents are over their limit.
    DocumentsTooLarge = "documents_too_large", TooLarge;
    /// The payload is not a valid statement.
    InvalidStatement = "invalid_statement", Unprocessable;
    /// The statement is for another registry.
    WrongRegistry = "wrong_registry", Unprocessable;
    /// The statement could only be admitted earlier.
    Expired = "expired", Unprocessable;
    /// The day from which the statement counts is still to come.
    NotYetValid = "not_yet_valid", Unprocessable;
    /// A parent is not registered here.
    UnknownParent = "unknown_parent", Unprocessable;
    /// An artefact is not registered here.
    UnknownArtefact = "unknown_artefact", Unprocessable;
    /// A party the claim is about is not registered here, or not in the state the claim needs.
    UnknownParty = "unknown_party", Unprocessable;
    /// The log holds no such statement.
    UnknownStatement = "unknown_statement", Unprocessable;
    /// No such asset is registered here, or it was reversed.
    UnknownAsset = "unknown_asset", Unprocessable;
    /// What a correction has in place of an entry is about something else.
    CorrectionDiffers = "correction_differs", Unprocessable;
    /// The licensor has not published these terms here.
    UnknownTerms = "unknown_terms", Unprocessable;
    /// No such offer is made here.
    UnknownOffer = "unknown_offer", Unprocessable;
    /// A grant does not say what the offer says.
    OfferDiffers = "offer_differs", Unprocessable;
    /// No such licence is granted here.
    UnknownLicence = "unknown_licence", Unprocessable;
    /// A sublicence reaches further than the licence it rests on.
    BeyondHeadLicence = "beyond_head_licence", Unprocessable;
    /// A document the statement names did not come with it and is not known.
    DocumentMissing = "document_missing", Unprocessable;
    /// An attached document is not named by the statement.
    DocumentUnreferenced = "document_unreferenced", Unprocessable;
    /// An attached document is not what its place asks for.
    DocumentInvalid = "document_invalid", Unprocessable;
    /// The opening of a sealed field did not come with the statement, or is not kept.
    OpeningMissing = "opening_missing", Unprocessable;
    /// An opening is of no sealed field of the statement.
    OpeningUnreferenced = "opening_unreferenced", Unprocessable;
    /// An opening is not what the statement commits to.
    CommitmentMismatch = "commitment_mismatch", Unprocessable;
    /// The vault here does not keep openings of this zone.
    ZoneNotServed = "zone_not_served", Unprocessable;
}

/// A refused statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} ({} {pointer}): {detail}", code.as_str(), document.name())]
pub struct Rejection {
    /// Stable code.
    pub code: Code,
    /// Document the pointer leads into.
    pub document: Document,
    /// JSON pointer (RFC 6901); empty for the whole document.
    pub pointer: String,
    /// What is wrong and what to do.
    pub detail: String,
    /// The statement that stands in the way, where one does.
    pub existing: Option<StatementId>,
}

impl Rejection {
    /// A refusal at a place in the given document.
    pub fn new(code: Code, document: Document, place: StrictError) -> Self {
        Self { code, document, pointer: place.pointer, detail: place.reason, existing: None }
    }

    /// A refusal at a place in the signed payload.
    pub fn in_payload(code: Code, place: StrictError) -> Self {
        Self::new(code, Document::Payload, place)
    }

    /// A refusal at a place in the request.
    pub fn in_request(code: Code, place: StrictError) -> Self {
        Self::new(code, Document::Request, place)
    }

    /// Names the statement that stands in the way.
    #[must_use]
    pub fn with_existing(mut self, existing: StatementId) -> Self {
        self.existing = Some(existing);
        self
    }
}
