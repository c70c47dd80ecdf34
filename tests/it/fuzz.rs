//! Every parser of what comes from elsewhere, fed with damaged documents of its own kind: none panics, none accepts what it
//! would not write the same way, and every refusal points into the document.
//!
//! The inputs follow from a seed. `CHOPMARK_SOAK=1` makes a hundred times as many.

use std::fmt::Display;
use std::str::FromStr;

use chopmark_core::admission::DatedEvent;
use chopmark_core::bundle::{BUNDLE_SCHEMA, Bundle, Closure, KeyChain, ProvenEntry};
use chopmark_core::compatibility::{Derivation, Inputs, Licence};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::image::{ImageName, ImageTree};
use chopmark_core::key::{KeyId, PublicKey};
use chopmark_core::ledger::checkpoint::{Checkpoint, sign_checkpoint};
use chopmark_core::ledger::note::{Note, NoteSigner, VerifierKey};
use chopmark_core::ledger::proof::TlogProof;
use chopmark_core::ledger::tile::{TilePath, decode_entry_bundle, encode_entry_bundle};
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_core::licence::DeclaredLicence;
use chopmark_core::licensing::{LicenceEvent, StatusList};
use chopmark_core::manifest::{FilePath, Manifest, gguf, safetensors};
use chopmark_core::replay::Decoded;
use chopmark_core::sealed::{DISCLOSURE_SCHEMA, Disclosure};
use chopmark_core::sidecar::Sidecar;
use chopmark_core::statement::{Envelope, IdReference, RegistryRef, Statement, StatementId};
use chopmark_core::strict::{self, StrictError};
use chopmark_core::submission::Submission;
use chopmark_core::tax::hk::HongKong;
use chopmark_core::tax::{Facts, Jurisdiction as _, RuleSet, TaxError};
use chopmark_core::terms::figures::{Amount, Rate};
use chopmark_core::terms::period::{Date, Duration};
use chopmark_core::terms::vocabulary::Vocabulary as _;
use chopmark_core::terms::{Preset, Terms};
use chopmark_core::text::search::{query_terms, search_terms};
use chopmark_core::text::skeleton;
use chopmark_core::time::Timestamp;
use data_encoding::HEXLOWER;
use serde_json::Value;

use crate::damage;
use crate::harness::soaked;
use crate::image::{image, index};
use crate::independent::bases::{Base, bases};
use crate::make::{Author, key};

/// Whether a text is a JSON pointer (RFC 6901).
fn is_pointer(text: &str) -> bool {
    let escapes_are_whole = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    (text.is_empty() || text.starts_with('/')) && escapes_are_whole
}

fn refused(error: &StrictError) {
    assert!(is_pointer(&error.pointer) && !error.reason.is_empty(), "{error:?}");
}

/// Damaged seeds for a parser, of which at least so many of ten thousand are still what it reads: about half of what it was
/// when this was written.
fn feed(name: &str, seeds: &[Vec<u8>], accepted_min: usize, parse: impl Fn(&[u8]) -> bool) {
    damage::feed(name, soaked(10_000, 1_000_000), seeds, accepted_min, parse);
}

/// A text that parses is written the same.
fn text<T: FromStr + Display>(name: &str, seeds: &[&str], accepted_min: usize) {
    let seeds: Vec<_> = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    feed(name, &seeds, accepted_min, |bytes| {
        let parsed = std::str::from_utf8(bytes).ok().and_then(|text| Some((text, text.parse::<T>().ok()?)));
        if let Some((text, parsed)) = &parsed {
            assert_eq!(parsed.to_string(), *text, "two spellings");
        }
        parsed.is_some()
    });
}

fn author() -> (Author, Submission) {
    let registry = RegistryRef { origin: "log.example/x".to_owned(), genesis: Sha256Digest::of(b"genesis") };
    Author::new(&registry, "fuzz", 2, 1)
}

#[test]
fn strict_json_has_one_reading() {
    let (author, party) = author();
    let mut seeds = vec![party.to_request(), party.envelope.payload().to_vec(), author.artefact("fuzz").to_request()];
    for seed in [r#"{"a":[1,-2,9007199254740991,{"b~/":"é\u00e9\ud83d\ude00"}],"c":null,"d":true}"#, "[]", "\"\"", "7"]
    {
        seeds.push(seed.as_bytes().to_vec());
    }
    feed("strict JSON", &seeds, 1_100, |bytes| {
        let value = strict::value_from_slice(bytes);
        // The short way and the long way say the same.
        assert_eq!(strict::from_slice::<Value>(bytes), value);
        match value {
            Ok(value) => {
                let canonical = strict::to_canonical(&value).unwrap();
                assert_eq!(strict::value_from_slice(&canonical), Ok(value));
                true
            }
            Err(error) => {
                refused(&error);
                false
            }
        }
    });
}

/// Of every kind of statement, in every form a kind has.
#[test]
fn envelopes_statements_and_submissions_have_one_reading() {
    let all = bases();
    let of_each = |make: fn(&Base) -> Vec<u8>| all.iter().map(make).collect::<Vec<_>>();
    let envelopes =
        of_each(|base| Envelope::sign(base.payload.clone(), &base.signers.iter().collect::<Vec<_>>()).to_bytes());
    feed("envelope", &envelopes, 400, |bytes| match Envelope::parse(bytes) {
        Ok(envelope) => {
            let stored = envelope.to_bytes();
            let again = Envelope::parse(&stored).unwrap();
            assert_eq!((again.to_bytes(), again), (stored, envelope));
            true
        }
        Err(error) => {
            refused(&error);
            false
        }
    });
    feed("entry", &envelopes, 30, |bytes| {
        Decoded::parse(bytes).is_ok_and(|entry| {
            assert_eq!((entry.leaf, entry.envelope.to_bytes()), (leaf_hash(bytes), bytes.to_vec()));
            true
        })
    });
    feed("statement", &of_each(|base| base.payload.clone()), 60, |bytes| match Statement::parse(bytes) {
        Ok(statement) => {
            assert_eq!(statement.id, StatementId::of(bytes));
            // Written again in our own words it says the same.
            let again = Statement::compose("again", &statement.header, &statement.claim).unwrap();
            assert_eq!(Statement::parse(&again).unwrap().claim, statement.claim);
            true
        }
        Err(rejection) => {
            assert!(is_pointer(&rejection.pointer), "{rejection:?}");
            false
        }
    });
    feed("submission", &of_each(|base| base.request(&base.payload)), 30, |bytes| match Submission::parse(bytes) {
        Ok(submission) => {
            let again = Submission::parse(&submission.to_request()).unwrap();
            assert_eq!((again.entry, again.documents), (submission.entry, submission.documents));
            true
        }
        Err(rejection) => {
            assert!(is_pointer(&rejection.pointer), "{rejection:?}");
            false
        }
    });
}

#[test]
fn images_are_read_or_refused_at_their_place() {
    let (amd64, arm64) = (image("amd64"), image("arm64"));
    let index = index(&[(&amd64, "amd64"), (&arm64, "arm64")]);
    let docker = |document: &str| document.replace("vnd.oci.image.manifest.v1", "vnd.docker.distribution.manifest.v2");
    let seeds = [docker(&amd64), docker(&index), amd64, index].map(String::into_bytes);
    feed("image", &seeds, 400, |bytes| match ImageTree::new(bytes) {
        Ok(tree) => {
            assert_eq!(tree.root(), Sha256Digest::of(bytes));
            assert_eq!(tree.blobs().count(), 1 + tree.document().blobs.len());
            true
        }
        Err(error) => {
            refused(&error);
            false
        }
    });
    feed("name of an image", &[b"registry.example:5000/lam/chat".to_vec()], 1_000, |bytes| {
        let Some(text) = std::str::from_utf8(bytes).ok() else { return false };
        ImageName::parse(text).is_ok_and(|name| {
            assert_eq!(name.as_str(), text);
            true
        })
    });
}

#[test]
fn manifests_have_one_spelling() {
    let files: [(&str, &[u8]); 3] = [("a/b.bin", b"x"), ("config.json", b"{}"), ("模型.bin", b"y")];
    feed("manifest", &[crate::make::manifest(&files).to_canonical_bytes()], 140, |bytes| {
        match Manifest::parse(bytes) {
            Ok(manifest) => {
                assert_eq!(manifest.to_canonical_bytes(), bytes);
                true
            }
            Err(error) => {
                refused(&error);
                false
            }
        }
    });
}

#[test]
fn headers_of_weights_stay_within_their_file() {
    let within = |header: &chopmark_core::manifest::header::Header, file_size_bytes: u64| {
        let ends = header.tensors.iter().map(|tensor| tensor.end).max().unwrap_or_default();
        assert!(ends <= file_size_bytes, "{header:?}");
    };
    let json = br#"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"U8","shape":[3],"data_offsets":[16,19]}}"#;
    let file = [&u64::try_from(json.len()).unwrap().to_le_bytes(), json.as_slice(), &[0; 19]].concat();
    feed("safetensors header", &[file], 100, |file| {
        let size = u64::try_from(file.len()).unwrap();
        let Some(prefix) = file.first_chunk::<8>() else { return false };
        let Ok(length) = safetensors::header_size_bytes(*prefix, size) else { return false };
        let header = &file[..usize::try_from(length).unwrap()];
        safetensors::parse_header(header, size).is_ok_and(|header| {
            within(&header, size);
            true
        })
    });
    let every_type = include_bytes!("../../gpu-verify/testdata/every_type.gguf").to_vec();
    feed("GGUF header", &[every_type], 1_200, |file| {
        let size = u64::try_from(file.len()).unwrap();
        let Ok(Some(header)) = gguf::parse_header(file, size) else { return false };
        within(&header, size);
        true
    });
}

#[test]
fn notes_proofs_and_tiles_have_one_spelling() {
    let signer = NoteSigner::new("log.example/x", key("fuzz log")).unwrap();
    let checkpoint = Checkpoint::new("log.example/x", 2, Sha256Digest::of(b"leaf")).unwrap();
    let note = sign_checkpoint(&checkpoint, &[signer]).unwrap();
    feed("note", &[note.clone().into_bytes()], 1_000, |bytes| {
        let Some(text) = std::str::from_utf8(bytes).ok() else { return false };
        Note::parse(text).is_ok_and(|note| {
            assert_eq!(note.to_string(), text);
            true
        })
    });
    feed("checkpoint", &[checkpoint.to_string().into_bytes()], 700, |bytes| {
        let Some(text) = std::str::from_utf8(bytes).ok() else { return false };
        Checkpoint::parse(text).is_ok_and(|checkpoint| {
            assert_eq!(checkpoint.to_string(), text);
            true
        })
    });
    let proof = TlogProof::new(0, vec![Sha256Digest::of(b"sibling")], note).unwrap().to_string();
    text::<TlogProof>("tlog-proof", &[&proof], 350);
    text::<TilePath>("tile path", &["/tile/0/000", "/tile/1/x001/234.p/5", "/tile/entries/x001/x234/067.p/255"], 100);
    let entries = encode_entry_bundle([b"one".as_slice(), b"", b"three"]).unwrap();
    feed("entry bundle", &[entries], 400, |bytes| {
        decode_entry_bundle(3, bytes).is_ok_and(|entries| {
            assert_eq!(encode_entry_bundle(entries).unwrap(), bytes);
            true
        })
    });
}

/// What is read as facts is computed, or refused at a place; nothing panics, and no line loses its arithmetic.
#[test]
fn facts_about_tax_are_computed_or_refused_at_their_place() {
    let rules = HongKong.rules().unwrap();
    let seeds: Vec<Vec<u8>> =
        crate::tax::fixtures().iter().map(|(_, fixture)| fixture["facts"].to_string().into_bytes()).collect();
    feed("facts about tax", &seeds, 50, |bytes| match Facts::from_slice(bytes) {
        Ok(facts) => match HongKong.compute(&facts, &rules) {
            Ok(report) => report.lines.iter().all(|line| !line.amount.is_zero() || line.reason.is_some()),
            Err(TaxError::Facts(error)) => {
                refused(&error);
                false
            }
            Err(TaxError::Overflow(_)) => false,
            Err(error @ TaxError::Rule { .. }) => panic!("{error}"),
        },
        Err(error) => {
            refused(&error);
            false
        }
    });
}

#[test]
fn rule_files_are_refused_at_a_line() {
    let seed = include_bytes!("../../core/rules/hk/withholding.toml").to_vec();
    feed("rules", &[seed], 500, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        match RuleSet::load(&[("a.toml", text)]) {
            Ok(_) => true,
            Err(error) => {
                assert!(error.line > 0 && error.line <= text.lines().count() + 1, "{error}");
                false
            }
        }
    });
}

/// Terms that are read are judged, whatever they say, and written again they are the same terms.
#[test]
fn licence_terms_have_one_reading_and_a_verdict() {
    let seeds: Vec<Vec<u8>> = Preset::ALL.iter().map(|preset| preset.text().as_bytes().to_vec()).collect();
    let base = Preset::CommercialRevenueShare.terms().unwrap();
    feed("licence terms", &seeds, 130, |bytes| match Terms::parse(bytes) {
        Ok(terms) => {
            let written = terms.to_canonical().unwrap();
            assert_eq!(Terms::parse(&written).unwrap().id().unwrap(), terms.id().unwrap());
            let licence = |terms: Terms| Licence::Terms(Box::new(terms));
            let parents = vec![("parent".to_owned(), Derivation::Finetune, Some(licence(base.clone())))];
            let inputs = Inputs::of_parents("child", licence(terms), parents);
            assert_eq!(inputs.judge(), inputs.in_order().judge());
            true
        }
        Err(error) => {
            refused(&error);
            false
        }
    });
}

#[test]
fn bundles_have_one_reading() {
    let (author, party) = author();
    let artefact = author.artefact("fuzz");
    let proven = |submission: &Submission| ProvenEntry {
        envelope: serde_json::from_slice(&submission.entry).unwrap(),
        proof: "c2sp.org/tlog-proof@v1\n".to_owned(),
    };
    let bundle = Bundle {
        schema: BUNDLE_SCHEMA.to_owned(),
        registry: author.registry.clone(),
        closure: Closure::RegistryAsserted,
        statement: proven(&artefact),
        documents: Vec::new(),
        genesis: proven(&party),
        key_chains: vec![KeyChain { party: author.party, entries: vec![proven(&party)] }],
        licence: None,
    };
    let opening = bases().into_iter().find_map(|base| base.openings).unwrap().fields.swap_remove(0);
    let disclosure = Disclosure { schema: DISCLOSURE_SCHEMA.to_owned(), bundle: bundle.clone(), opening };
    feed("disclosure", &[disclosure.to_bytes().unwrap()], 2_000, |bytes| {
        Disclosure::parse(bytes).is_ok_and(|disclosure| {
            assert_eq!(disclosure.to_bytes().unwrap(), bytes);
            true
        })
    });
    feed("bundle", &[bundle.to_bytes().unwrap()], 2_000, |bytes| {
        Bundle::parse(bytes).is_ok_and(|bundle| {
            let written = bundle.to_bytes().unwrap();
            assert_eq!(Bundle::parse(&written).unwrap().to_bytes().unwrap(), written);
            true
        })
    });
}

/// Only what the log key signed is a list, so nothing but the honest one is.
#[test]
fn status_lists_have_one_spelling() {
    let signer = NoteSigner::new("log.example/x", key("fuzz log")).unwrap();
    let signed_at: Timestamp = "2026-05-02T08:30:00.000Z".parse().unwrap();
    let event = |status, days| DatedEvent { status, since: Date::in_hong_kong(signed_at.plus_days(days)) };
    let list = StatusList {
        origin: "log.example/x".to_owned(),
        size: 7,
        root: Sha256Digest::of(b"root"),
        signed_at,
        not_after: signed_at.plus_days(1),
        listed: [
            (StatementId::of(b"a"), vec![event(LicenceEvent::Suspended, 0), event(LicenceEvent::Reinstated, 3)]),
            (StatementId::of(b"b"), vec![event(LicenceEvent::Terminated, 1)]),
        ]
        .into(),
    };
    feed("status list", &[list.sign(&signer).unwrap().into_bytes()], 0, |bytes| {
        let Some(text) = std::str::from_utf8(bytes).ok() else { return false };
        StatusList::open(text, signer.verifier_key()).is_ok_and(|list| {
            assert_eq!(list.sign(&signer).unwrap(), text);
            true
        })
    });
}

#[test]
fn sidecars_have_one_spelling() {
    // Made by `chopmark hash` of a file of 1 MiB and one byte, all zeros.
    let values = [
        "1dbfb2b6096acd049506446ac2ce674b53939dc26c42c99ae923670ac315ded5",
        "3ca03eca8ecc534287e3736a098e40f36dc95fedc1eef37ff967b525645c01b7",
    ]
    .map(|value| HEXLOWER.decode(value.as_bytes()).unwrap())
    .concat();
    let root = "c9b3e89559bb623b5e2dc19daebf3933c1afe5ee5dca08428522e60a40fcb998";
    let file = format!(r#"{{"blake3":"{root}","path":"w.bin","size_bytes":1048577}}"#);
    let line = format!(r#"{{"files":[{file}],"schema":"chopmark.b3tree/v1"}}"#);
    feed("sidecar", &[[line.as_bytes(), b"\n", &values].concat()], 30, |bytes| {
        Sidecar::parse(bytes).is_ok_and(|sidecar| {
            assert_eq!(sidecar.to_bytes(), bytes);
            true
        })
    });
}

#[test]
fn small_texts_have_one_spelling() {
    let id = StatementId::of(b"x");
    let public = PublicKey::from(&key("fuzz"));
    text::<Sha256Digest>("digest", &[&id.to_hex()], 140);
    text::<KeyId>("key id", &[&public.id().to_string()], 140);
    text::<PublicKey>("public key", &[&public.to_string()], 15);
    text::<VerifierKey>("verifier key", &[&VerifierKey::new("a.example/b", public).unwrap().to_string()], 0);
    text::<Timestamp>(
        "time",
        &["2026-05-02T08:30:00.000Z", "0000-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"],
        80,
    );
    text::<Date>("date", &["2027-01-31", "2028-02-29"], 80);
    text::<Duration>("length of time", &["P1Y6M", "P90D", "P2W"], 170);
    text::<Amount>("amount", &["1200.00", "0", "0.0001"], 800);
    text::<Rate>("rate", &["0.0725", "1", "0.00000001"], 700);
    text::<FilePath>("path", &["a/b.bin", "模型/é.bin"], 2_400);
    feed("id", &[id.to_hex().into_bytes(), id.shown("art").to_string().into_bytes()], 190, |bytes| {
        let Some(text) = std::str::from_utf8(bytes).ok() else { return false };
        text.parse::<IdReference>().is_ok_and(|id| {
            let is_one = match id {
                IdReference::Full(id) => id.to_hex() == text,
                IdReference::Shown { low, high } => {
                    let prefix = text.split('_').next().unwrap();
                    low <= high && [low, high].iter().all(|id| id.shown(prefix).to_string() == text)
                }
            };
            assert!(is_one, "{text}");
            true
        })
    });
    let licences =
        ["MIT OR (Apache-2.0 AND BSD-3-Clause)", "GPL-2.0-only WITH Classpath-exception-2.0", "LicenseRef-a"];
    feed("licence", &licences.map(|licence| licence.as_bytes().to_vec()), 200, |bytes| {
        let Some(text) = std::str::from_utf8(bytes).ok() else { return false };
        DeclaredLicence::parse(text).is_ok_and(|licence| {
            // What is made canonical is what a statement may say, and making it so again changes nothing.
            assert_eq!(licence.validate(), Ok(()), "{text:?}");
            true
        })
    });
    let words = ["Lam AI Limited 3.27", "林氏人工智能 (香港) ＡＢＣ", "Straße ﬁne ΟΔΟΣ"];
    feed("words", &words.map(|words| words.as_bytes().to_vec()), 2_500, |bytes| {
        let Some(text) = std::str::from_utf8(bytes).ok() else { return false };
        assert!(search_terms(text).iter().all(|term| !term.is_empty() && !term.contains('\0')));
        let _ = (query_terms(text), skeleton(text));
        true
    });
}
