use proptest::prelude::*;
use signed_note::{Note as OracleNote, StandardSigner, StandardVerifier, VerifierList};

use super::*;
use crate::ledger::fixtures::signer;

/// The example of the C2SP signed-note specification.
const SPEC_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const SPEC_NOTE: &str = "This is an example message.\n\n\
    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

/// The example of Go's `sumdb/note`, where this format comes from; the second signature is by another key.
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n\
    — EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn key(text: &str) -> VerifierKey {
    text.parse().unwrap()
}

fn key_of(signer: &NoteSigner) -> VerifierKey {
    signer.verifier_key().clone()
}

#[test]
fn published_notes_open_with_published_keys() {
    for (vkey, note) in [(SPEC_KEY, SPEC_NOTE), (GO_KEY, GO_NOTE)] {
        let parsed = Note::parse(note).unwrap();
        let keys = [key(vkey)];
        assert_eq!(parsed.verify(&keys), Ok(vec![&keys[0]]));
        assert_eq!(parsed.to_string(), note);
        assert_eq!(keys[0].to_string(), vkey);
    }
    assert_eq!(Note::parse(SPEC_NOTE).unwrap().text(), "This is an example message.\n");
    assert_eq!(Note::parse(GO_NOTE).unwrap().verify(&[key(SPEC_KEY)]), Err(NoteError::NoKnownKey));
    assert_eq!(Note::parse(GO_NOTE).unwrap().verify(&[]), Err(NoteError::NoKnownKey));
}

#[test]
fn signed_note_opens_our_notes_and_we_open_its() {
    let text = "log.example/chop\n2\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
    for seed in 1..=20 {
        let ours = signer("log.example/chop", seed);
        let vkey = ours.verifier_key().to_string();
        let note = Note::sign(text.to_owned(), [&ours]).unwrap();
        let list = VerifierList::new(vec![Box::new(StandardVerifier::new(&vkey).unwrap())]);
        let (verified, unverified) =
            OracleNote::from_bytes(note.to_string().as_bytes()).unwrap().verify(&list).unwrap();
        assert_eq!((verified.len(), unverified.len()), (1, 0));

        let material = BASE64.encode(&[&[ED25519], [seed; 32].as_slice()].concat());
        let secret = format!("PRIVATE+KEY+log.example/chop+{}+{material}", ours.verifier_key().id());
        let mut theirs = OracleNote::new(text.as_bytes(), &[]).unwrap();
        theirs.add_sigs(&[&StandardSigner::new(&secret).unwrap()]).unwrap();
        let theirs = String::from_utf8(theirs.to_bytes()).unwrap();
        assert_eq!(theirs, note.to_string());
        assert_eq!(vkey.parse(), Ok(key_of(&ours)));
    }
}

#[test]
fn a_verifier_key_has_one_spelling() {
    let mixed_order = "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d"; // speccheck vector 3
    let mixed_order = HEXLOWER.decode(mixed_order.as_bytes()).unwrap();
    let encoded = |kind: u8, key: &[u8]| BASE64.encode(&[&[kind], key].concat());
    let name = |name: &str| VerifierKeyError::Name { name: name.to_owned() };
    let material = "AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    let refused = [
        (String::new(), VerifierKeyError::Format),
        ("example.com/foo".to_owned(), VerifierKeyError::Format),
        ("example.com/foo+530d903a".to_owned(), VerifierKeyError::Format),
        ("example.com/foo+530d903a+".to_owned(), VerifierKeyError::Format),
        (format!("example.com/foo+530D903A+{material}"), VerifierKeyError::Format),
        (format!("example.com/foo+530d903a+{material}\n"), VerifierKeyError::Format),
        (format!(" example.com/foo+530d903a+{material}"), name(" example.com/foo")),
        (format!("+530d903a+{material}"), name("")),
        (format!("example.com/foo+530d903b+{material}"), VerifierKeyError::Id),
        (format!("example.com/foo+530d903a00+{material}"), VerifierKeyError::Id),
        (format!("example.com/fop+530d903a+{material}"), VerifierKeyError::Id),
        (format!("example.com/foo+530d903a+{}", encoded(4, &[7; 32])), VerifierKeyError::Type { found: 4 }),
        (format!("example.com/foo+530d903a+{}", encoded(6, &[7; 1312])), VerifierKeyError::Type { found: 6 }),
        (format!("example.com/foo+530d903a+{}", encoded(1, &[7; 31])), VerifierKeyError::Format),
        (format!("example.com/foo+530d903a+{}", encoded(1, &[7; 33])), VerifierKeyError::Format),
        (format!("example.com/foo+530d903a+{}", encoded(1, &mixed_order)), KeyError::MixedOrder.into()),
        (format!("example.com/foo+530d903a+{}", encoded(1, &[0; 32])), KeyError::SmallOrder.into()),
    ];
    for (text, error) in refused {
        assert_eq!(text.parse::<VerifierKey>(), Err(error), "{text}");
    }
    for bad in ["", "a b", "a\u{a0}b", "a\u{3000}", "a+b", "a\nb", "a\u{1}b", "\t"] {
        assert_eq!(VerifierKey::new(bad, *key(SPEC_KEY).public_key()), Err(name(bad)));
    }
    let json = serde_json::to_string(&key(SPEC_KEY)).unwrap();
    assert_eq!(json, format!("{SPEC_KEY:?}"));
    assert_eq!(serde_json::from_str::<VerifierKey>(&json).unwrap(), key(SPEC_KEY));
    assert!(serde_json::from_str::<VerifierKey>("\"example.com/foo\"").is_err());
}

#[test]
fn malformed_notes_are_refused() {
    let line = SPEC_NOTE.split_once("\n\n").unwrap().1;
    let bad_line = |line| NoteError::SignatureLine { line };
    let control = |line| NoteError::ControlCharacter { line };
    let refused = [
        (String::new(), NoteError::Unsigned),
        ("\n\n".to_owned(), NoteError::Unsigned),
        ("text\n".to_owned(), NoteError::Unsigned),
        ("text\n\n".to_owned(), NoteError::Unsigned),
        (line.to_owned(), NoteError::Unsigned),
        (format!("text\n{line}"), NoteError::Unsigned),
        (SPEC_NOTE.trim_end().to_owned(), NoteError::Unsigned),
        (format!("{SPEC_NOTE}\n"), NoteError::Unsigned),
        (format!("{SPEC_NOTE}more\n"), bad_line(2)),
        (format!("text\n\nmore\n{line}"), bad_line(1)),
        (SPEC_NOTE.replace("— ", "- "), bad_line(1)),
        (SPEC_NOTE.replace("— ", "—"), bad_line(1)),
        (SPEC_NOTE.replace("— ", "—  "), bad_line(1)),
        (SPEC_NOTE.replace("foo ", "foo  "), bad_line(1)),
        (SPEC_NOTE.replace("foo ", "f+o "), bad_line(1)),
        (SPEC_NOTE.replace("foo ", "foo\u{2003}x "), bad_line(1)),
        (SPEC_NOTE.replace("aQM=", "aQM= "), bad_line(1)),
        (SPEC_NOTE.replace("aQM=", "aQM"), bad_line(1)),
        (SPEC_NOTE.replace("aQM=", "aQN="), bad_line(1)),
        ("text\n\n— name AAAAAA==\n".to_owned(), bad_line(1)), // four bytes: an id and no signature
        ("text\n\n— name AAAA\n".to_owned(), bad_line(1)),
        ("text\n\n— name \n".to_owned(), bad_line(1)),
        ("text\n\n— name\n".to_owned(), bad_line(1)),
        (SPEC_NOTE.replace('\n', "\r\n"), control(1)),
        (SPEC_NOTE.replace("example m", "example\tm"), control(1)),
        (SPEC_NOTE.replace("foo ", "foo\u{0} "), control(3)),
        ("x".repeat(NOTE_BYTES_MAX + 1), NoteError::TooLarge { found: NOTE_BYTES_MAX + 1 }),
    ];
    for (note, error) in refused {
        assert_eq!(Note::parse(&note), Err(error), "{:?}", note.get(..80).unwrap_or(&note));
    }
}

#[test]
fn the_last_blank_line_separates_text_from_signatures() {
    let ours = signer("log.example", 1);
    for text in ["a\n", "\n", "a\n\nb\n", "\n\na\n", "a\n\n", "a\n\n\n", "a\n\n— log.example AAAA\n\nb\n"] {
        let note = Note::sign(text.to_owned(), [&ours]).unwrap();
        let parsed = Note::parse(&note.to_string()).unwrap();
        assert_eq!(parsed, note);
        assert_eq!(parsed.text(), text);
        assert_eq!(parsed.verify(&[key_of(&ours)]), Ok(vec![ours.verifier_key()]));
    }
    for (text, error) in
        [("", NoteError::Text), ("a", NoteError::Text), ("a\r\n", NoteError::ControlCharacter { line: 1 })]
    {
        assert_eq!(Note::sign(text.to_owned(), [&ours]), Err(error));
    }
    assert_eq!(Note::sign("a\n".to_owned(), []), Err(NoteError::Unsigned));
}

#[test]
fn sixteen_and_more_signatures_are_read_but_not_any_number() {
    let signers: Vec<_> = (1..=65).map(|seed| signer(&format!("witness.example/{seed}"), seed)).collect();
    let keys: Vec<_> = signers.iter().map(key_of).collect();
    for count in [1, 16, NOTE_SIGNATURES_MAX] {
        let note = Note::sign("a\n".to_owned(), &signers[..count]).unwrap();
        assert_eq!(Note::parse(&note.to_string()).unwrap().verify(&keys).unwrap().len(), count);
        assert_eq!(note.signatures().len(), count);
    }
    assert_eq!(Note::sign("a\n".to_owned(), &signers), Err(NoteError::TooManySignatures));
    let one_more =
        format!("{}{}", Note::sign("a\n".to_owned(), &signers[..64]).unwrap(), SPEC_NOTE.split_once("\n\n").unwrap().1);
    assert_eq!(Note::parse(&one_more), Err(NoteError::TooManySignatures));
}

#[test]
fn sixteen_post_quantum_signatures_fit() {
    // Largest signatures the format expects: nearly 5 kB each.
    let line = format!("— witness.example {}\n", BASE64.encode(&[7; 5_000]));
    let ours = signer("log.example", 1);
    let note = format!("{}{}", Note::sign("a\n".to_owned(), [&ours]).unwrap(), line.repeat(16));
    assert!(Note::parse(&note).unwrap().verify(&[key_of(&ours)]).is_ok());
}

#[test]
fn unknown_keys_are_ignored_and_known_ones_must_verify() {
    let (log, witness, stranger) = (signer("log.example", 1), signer("witness.example", 2), signer("log.example", 3));
    let note = Note::sign("a\n".to_owned(), [&log, &witness, &stranger]).unwrap().to_string();
    let lines: Vec<&str> = note.lines().skip(2).collect();
    let verify = |note: &str, keys: &[&NoteSigner]| {
        let keys: Vec<_> = keys.iter().map(|signer| key_of(signer)).collect();
        Note::parse(note).unwrap().verify(&keys).map(|signed| signed.len())
    };
    let bad = |signer: &NoteSigner| {
        let key = signer.verifier_key();
        Err(NoteError::BadSignature { name: key.name().to_owned(), id: key.id() })
    };
    assert_eq!(verify(&note, &[&log]), Ok(1)); // the stranger shares the name: ignored
    assert_eq!(verify(&note, &[&log, &witness]), Ok(2));
    assert_eq!(verify(&note, &[&log, &log]), Ok(1)); // one key listed twice signs once
    assert_eq!(verify(&note, &[&signer("other.example", 1)]), Err(NoteError::NoKnownKey)); // same key, another name

    // The witness's line broken: fatal to whoever knows the witness, nothing to others.
    let forged = Note::sign("b\n".to_owned(), [&witness]).unwrap().to_string();
    let forged = format!("a\n\n{}\n{}\n", lines[0], forged.lines().nth(2).unwrap());
    assert_eq!(verify(&forged, &[&log]), Ok(1));
    assert_eq!(verify(&forged, &[&log, &witness]), bad(&witness));
    assert_eq!(verify(&forged, &[&witness, &log]), bad(&witness));

    // A known key's line may be repeated, but every copy must verify.
    assert_eq!(verify(&format!("a\n\n{}\n{}\n", lines[0], lines[0]), &[&log]), Ok(1));
    let second = Note::sign("b\n".to_owned(), [&log]).unwrap().to_string();
    let second = second.lines().nth(2).unwrap();
    assert_eq!(verify(&format!("a\n\n{}\n{second}\n", lines[0]), &[&log]), bad(&log));
    assert_eq!(verify(&format!("a\n\n{second}\n{}\n", lines[0]), &[&log]), bad(&log));

    // A known name and id over something that is not 64 bytes.
    let short = BASE64.encode(&[log.verifier_key().id().as_bytes().as_slice(), &[7; 63]].concat());
    assert_eq!(verify(&format!("a\n\n— log.example {short}\n"), &[&log]), bad(&log));
    // The id of the log's key under another name is another key.
    assert_eq!(verify(&format!("a\n\n— other.example {short}\n"), &[&log]), Err(NoteError::NoKnownKey));
}

#[test]
fn a_changed_text_no_longer_verifies() {
    let ours = signer("log.example", 1);
    let note = Note::sign("one\ntwo\n".to_owned(), [&ours]).unwrap().to_string();
    for altered in [note.replace("one", "One"), note.replace("one\n", "one\n\n"), format!("zero\n{note}")] {
        assert!(matches!(Note::parse(&altered).unwrap().verify(&[key_of(&ours)]), Err(NoteError::BadSignature { .. })));
    }
}

#[test]
fn a_signer_does_not_show_its_secret() {
    let shown = format!("{:?}", signer("log.example", 0xab)).to_lowercase();
    assert!(shown.contains("log.example"));
    assert!(!shown.contains("abab") && !shown.contains("171, 171") && !shown.contains("q6ur"), "{shown}");
}

proptest! {
    #[test]
    fn whatever_parses_is_written_the_same(note in "([ab—+ ]{0,3}\n){1,3}\n?(— [ab]{1,2} ([A-Za-z0-9]{6}[AEIM]=|[A-Za-z0-9]{7,8})\n){1,3}") {
        if let Ok(parsed) = Note::parse(&note) {
            prop_assert_eq!(parsed.to_string(), note);
        }
    }

    #[test]
    fn any_text_of_lines_can_be_signed_and_read_back(text in "([^\\p{Cc}]{0,9}\n){1,6}") {
        let ours = signer("log.example", 1);
        let note = Note::sign(text.clone(), [&ours]).unwrap().to_string();
        let parsed = Note::parse(&note).unwrap();
        prop_assert_eq!(parsed.text(), text);
        prop_assert!(parsed.verify(&[key_of(&ours)]).is_ok());
    }
}
