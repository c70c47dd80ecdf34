//! Granting licences over HTTP: offers accepted one after another, and rivals for one exclusive licence, of whom none
//! succeeds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chopmark_core::kind::Claim;
use chopmark_core::licensing::{GrantClaim, OfferClaim, TermsClaim};
use chopmark_core::statement::{Issuer, StatementId};
use chopmark_core::submission::Submission;
use chopmark_core::terms::period::Date;
use chopmark_core::terms::{Preset, TermsId};
use chopmark_core::time::Timestamp;

use crate::Failure;
use crate::artefacts::{Author, artefact};
use crate::figures::{figure, per_second};
use crate::load::{self, Bound};
use crate::registry::Bench;

/// Parties that accept.
const LICENSEES: u32 = 1_000;

/// Offers of the same artefact, each accepted by every one of them.
const OFFERS: u32 = 8;

/// Connections at once.
const CONNECTIONS: usize = 64;

/// Longest that anything here takes.
const TIME_MAX: Duration = Duration::from_mins(5);

const STATEMENTS: &str = "/v1/statements";

/// Runs it.
pub(crate) fn run() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let bench = Bench::found().await?;
        let (running, address) = bench.serve(|_| {}).await?;
        let end = measure(&bench, address).await;
        running.stop(core::future::pending()).await?;
        bench.end().await?;
        end
    })
}

async fn send(address: SocketAddr, requests: Vec<Vec<u8>>, status: u16) -> Result<f64, Failure> {
    let bound = Bound { connections: CONNECTIONS.min(requests.len()), time_max: TIME_MAX, status };
    let requests = Arc::new(requests);
    let run = tokio::task::spawn_blocking(move || load::run(address, STATEMENTS, &requests, 0, bound)).await??;
    Ok(per_second(run.latencies.len(), run.elapsed))
}

async fn measure(bench: &Bench, address: SocketAddr) -> Result<(), Failure> {
    let registry = &bench.registry.reference;
    let (licensor, party) = Author::new(registry, 0)?;
    send(address, vec![party.to_request()], 201).await?;
    let (mut licensees, mut parties) = (Vec::new(), Vec::new());
    for number in 1..=LICENSEES {
        let (author, party) = Author::new(registry, number)?;
        licensees.push(author);
        parties.push(party.to_request());
    }
    send(address, parties, 201).await?;
    let registered = [artefact(&licensor, 1)?, artefact(&licensor, 2)?];
    send(address, registered.iter().map(Submission::to_request).collect(), 201).await?;
    let [shared, wanted] = registered.map(|submission| submission.statement.id);

    let plain = publish(&licensor, address, Preset::CommercialPerSeat).await?;
    let mut grants = Vec::new();
    for number in 0..OFFERS {
        let offer = offer(&licensor, address, &format!("offer {number}"), (shared, plain)).await?;
        for (place, licensee) in licensees.iter().enumerate() {
            grants.push(accept(licensee, &licensor, &format!("grant {number} {place}"), offer, (shared, plain))?);
        }
    }
    println!(
        "{} acceptances by {LICENSEES} parties at {CONNECTIONS} connections; the generator on the same cores",
        grants.len()
    );
    figure("licence.grants_per_s", send(address, grants, 201).await?, "grants/s");

    let exclusive = publish(&licensor, address, Preset::ExclusiveTerritorial).await?;
    let rivalled = offer(&licensor, address, "rivalled", (wanted, exclusive)).await?;
    let mut rivals = licensees
        .iter()
        .enumerate()
        .map(|(place, licensee)| accept(licensee, &licensor, &format!("rival {place}"), rivalled, (wanted, exclusive)));
    let first = rivals.next().ok_or("no rivals")??;
    send(address, vec![first], 201).await?;
    let rivals = rivals.collect::<Result<Vec<_>, _>>()?;
    println!("{} rivals for a licence that is taken, each refused", rivals.len());
    figure("licence.rivals_refused_per_s", send(address, rivals, 409).await?, "grants/s");
    Ok(())
}

async fn publish(licensor: &Author, address: SocketAddr, preset: Preset) -> Result<TermsId, Failure> {
    let terms = preset.terms()?;
    let id = terms.id()?;
    let claim = Claim::Terms(TermsClaim(Box::new(terms)));
    let statement = licensor.sign(Issuer::Party(licensor.party), &format!("terms {id}"), &claim, Vec::new())?;
    send(address, vec![statement.to_request()], 201).await?;
    Ok(id)
}

async fn offer(
    licensor: &Author,
    address: SocketAddr,
    label: &str,
    (artefact, terms): (StatementId, TermsId),
) -> Result<StatementId, Failure> {
    let expires_at = Timestamp::from(chrono::Utc::now()).plus_days(7);
    let claim = OfferClaim { artefacts: vec![artefact], terms, licensee: None, expires_at, under: Vec::new() };
    let statement = licensor.sign(Issuer::Party(licensor.party), label, &Claim::Offer(claim), Vec::new())?;
    send(address, vec![statement.to_request()], 201).await?;
    Ok(statement.statement.id)
}

fn accept(
    licensee: &Author,
    licensor: &Author,
    label: &str,
    offer: StatementId,
    (artefact, terms): (StatementId, TermsId),
) -> Result<Vec<u8>, Failure> {
    let claim = GrantClaim {
        offer: Some(offer),
        licensor: licensor.party,
        licensee: licensee.party,
        artefacts: vec![artefact],
        terms,
        starts_on: Date::in_hong_kong(Timestamp::from(chrono::Utc::now())),
        under: Vec::new(),
    };
    Ok(licensee.sign(Issuer::Party(licensee.party), label, &Claim::Grant(claim), Vec::new())?.to_request())
}
