//! An amount that is easy to guess is not found by guessing: the public log says nothing that a guess could be held to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::ExpenditureClaim;
use chopmark_core::sealed::{Commitment, Field, Place, Salt, Sealed};
use chopmark_core::statement::Statement;
use data_encoding::BASE64;
use serde_json::Value;

use super::{Payment, service};
use crate::harness::is_soak;
use crate::shared;

/// What stands in the log for everybody to see.
struct PublicLeaf {
    place: Place,
    field: Field,
    commitment: Commitment,
    /// Everything public that somebody who was careless might have made salts from.
    salts: Vec<Salt>,
}

impl PublicLeaf {
    fn of(id: &str) -> Self {
        let record = service().get(&format!("/v1/statements/{id}")).json();
        let payload = BASE64.decode(record["envelope"]["payload"].as_str().unwrap().as_bytes()).unwrap();
        let statement = Statement::parse(&payload).unwrap();
        let said: Value = serde_json::from_slice(&payload).unwrap();
        let commitment = said["predicate"]["claim"]["sealed"]["amount"].as_str().unwrap().parse().unwrap();
        let nonce = statement.header.nonce.as_bytes();
        let mut twice = [0; 32];
        twice[..nonce.len()].copy_from_slice(nonce);
        let digests = [nonce, id.as_bytes(), payload.as_slice(), b"/amount", b""]
            .map(|bytes| *Sha256Digest::of(bytes).as_bytes());
        let salts = [[0; 32], [255; 32], twice, *statement.id.as_bytes(), *statement.subject.as_bytes()];
        Self {
            place: Place::of(&statement.header, ExpenditureClaim::PREDICATE_TYPE),
            field: "/amount".parse().unwrap(),
            commitment,
            salts: salts.into_iter().chain(digests).map(Salt::from_random).collect(),
        }
    }

    /// Whether this amount, in cents, is found with this salt.
    fn is(&self, cents: u64, salt: &Salt) -> bool {
        let value = format!("\"{}.{:02}\"", cents / 100, cents % 100);
        self.place.commitment(&self.field, salt, Sealed::Present(value.as_bytes())) == self.commitment
    }
}

#[test]
fn no_plausible_amount_is_found_from_the_public_leaf() {
    let service = service();
    let (payer, payee) = (shared::author(service, "guessed"), shared::author(service, "guessed payee"));
    // As round and as small as fees are.
    let payment = Payment::new(&payer, &payee, "guessed", "1200.00").entered(service);
    let leaf = PublicLeaf::of(&payment.id);
    let own = payment.submission.openings.as_ref().unwrap().fields[0].salt.clone();
    assert!(leaf.is(120_000, &own), "with the salt it is found at once, so it would be here");
    assert!(!leaf.is(120_001, &own));

    // Of 10^8 amounts: every cent up to 100,000.00, and whole dollars beyond; a sample of them, or all.
    let amounts: u64 = if is_soak() { 100_000_000 } else { 200_000 };
    let step = 100_000_000 / amounts;
    let (next, hits) = (AtomicU64::new(0), AtomicU64::new(0));
    let cents = |number: u64| match number * step {
        small @ ..10_000_000 => small,
        large => (large - 10_000_000) * 100,
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let first = next.fetch_add(1_000, Ordering::Relaxed);
                    if first >= amounts {
                        return;
                    }
                    for number in first..first + 1_000 {
                        // Another salt for each, and the fee itself with every one of them below.
                        let salt = &leaf.salts[usize::try_from(number).unwrap() % leaf.salts.len()];
                        hits.fetch_add(u64::from(leaf.is(cents(number), salt)), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let found = leaf.salts.iter().filter(|salt| leaf.is(120_000, salt)).count();
    println!("{amounts} plausible amounts, {} hits", hits.load(Ordering::Relaxed));
    assert_eq!((hits.load(Ordering::Relaxed), found), (0, 0));
}
