//! Arguments of `chopmark key`.

use std::path::PathBuf;

use chopmark_core::key::KeyId;
use chopmark_core::party::{KeyRole, RevocationReason};
use clap::{Args, Subcommand};

use super::cosign::CosignArguments;
use super::one_of;
use super::register::ConsentArguments;

/// What to do with keys.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a new Ed25519 signing key
    New(KeyNewArguments),
    /// Show the id and the public half of the keys in use (`--key`, CHOPMARK_KEY, config, or the default key)
    Show,
    /// Let a new key sign for your party, from the next entry on
    Add(KeyAddArguments),
    /// Let a new key take the place of another
    Rotate(KeyRotateArguments),
    /// Take the right to sign from a key, from the next entry on; what it signed before stays valid
    Revoke(KeyRevokeArguments),
}

/// What every key event takes. Root keys sign it (`--key`, as many as your party's threshold asks for).
#[derive(Debug, Args)]
pub(crate) struct KeyEventArguments {
    /// The party whose keys change: an id, or a file made by `party register --party-file` [env: `CHOPMARK_PARTY`]
    /// [default: the party that your key registered]
    #[arg(long, value_name = "PARTY")]
    pub(crate) party: Option<String>,
    #[command(flatten)]
    pub(crate) cosign: CosignArguments,
    #[command(flatten)]
    pub(crate) consent: ConsentArguments,
}

/// Arguments of `chopmark key add`.
#[derive(Debug, Args)]
pub(crate) struct KeyAddArguments {
    /// File of the new key, made with `key new --out`; it signs too, to show that you have it. With --sign-only its
    /// public half is enough, and it signs where it lies
    #[arg(value_name = "FILE")]
    pub(crate) new: PathBuf,
    /// What it may sign: `signing` everything but key events, alone; `root` everything, together with other root keys
    #[arg(long, default_value = "signing", value_parser = one_of::<KeyRole, 2>(["signing", "root"]))]
    pub(crate) role: KeyRole,
    #[command(flatten)]
    pub(crate) event: KeyEventArguments,
}

/// Arguments of `chopmark key rotate`.
#[derive(Debug, Args)]
pub(crate) struct KeyRotateArguments {
    /// Id of the key that goes
    #[arg(value_name = "KEY_ID")]
    pub(crate) replaced: KeyId,
    /// File of the key that comes, made with `key new --out`; it takes over the role. With --sign-only its public half
    /// is enough
    #[arg(value_name = "FILE")]
    pub(crate) new: PathBuf,
    #[command(flatten)]
    pub(crate) event: KeyEventArguments,
}

/// Arguments of `chopmark key revoke`.
#[derive(Debug, Args)]
pub(crate) struct KeyRevokeArguments {
    /// Id of the key that goes
    #[arg(value_name = "KEY_ID")]
    pub(crate) key: KeyId,
    /// Why
    #[arg(long, value_parser = one_of::<RevocationReason, 3>(["compromised", "lost", "retired"]))]
    pub(crate) reason: RevocationReason,
    #[command(flatten)]
    pub(crate) event: KeyEventArguments,
}

/// Arguments of `chopmark key new`.
#[derive(Debug, Args)]
pub(crate) struct KeyNewArguments {
    /// Where to write it, readable by you alone; never overwritten [default: chopmark/key in the config directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}
