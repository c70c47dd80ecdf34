//! What a judgement on licences rests on, from the read tables: an artefact's ancestors, what they are licensed under, and
//! grants in force in them.
//!
//! Everything is taken as the first `below` entries of the log have it, so the same question has the same answer for ever.

use std::collections::{BTreeMap, BTreeSet};

use chopmark_core::admission::LicenceRecord;
use chopmark_core::artefact::{ArtefactClaim, Parent, ParentSource, Relation};
use chopmark_core::compatibility::{Derivation, Edge, Inputs, Licence, LiveGrant, NODES_MAX, Node, Verdict};
use chopmark_core::licence::DeclaredLicence;
use chopmark_core::licensing::{Standing, last_day, standing};
use chopmark_core::statement::StatementId;
use chopmark_core::terms::period::Date;
use chopmark_core::terms::{LICENCE_REF_PREFIX, Terms, TermsId};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use crate::error::{StoreError, bigint};
use crate::fixed::fixed;
use crate::project::{LicenceRow, from_json, records, statement_id, with_all_under};
use crate::schema::{artefact_digest, artefact_page, artefact_parent, artefact_verdict, terms};

/// Something whose licence is to be judged, registered or not.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// What it is called in the inputs: its id where it has one.
    pub name: String,
    /// What it is licensed under.
    pub licence: &'a DeclaredLicence,
    /// What it was made from.
    pub parents: &'a [Parent],
    /// Who made it: licences that this party holds in ancestors count as theirs.
    pub holder: Option<StatementId>,
}

impl<'a> Candidate<'a> {
    /// An artefact as its owner registers it.
    pub fn of(id: &StatementId, owner: StatementId, claim: &'a ArtefactClaim) -> Self {
        Self { name: id.to_hex(), licence: &claim.licence, parents: &claim.parents, holder: Some(owner) }
    }
}

/// An ancestor, by the index of its entry.
struct Ancestor {
    id: StatementId,
    owner: StatementId,
    licence: DeclaredLicence,
}

/// Puts the inputs together as the first `below` entries have them, for a day.
pub(crate) async fn inputs(
    connection: &mut AsyncPgConnection,
    candidate: &Candidate<'_>,
    below: u64,
    on: Date,
) -> Result<Inputs, StoreError> {
    let below = bigint(below);
    let (edges, start) = parents(connection, candidate.parents, below).await?;
    let ancestors = ancestors(connection, start, below).await?;
    let relations = relations(connection, &ancestors, below).await?;
    let mut expressions: Vec<&DeclaredLicence> = ancestors.values().map(|ancestor| &ancestor.licence).collect();
    expressions.push(candidate.licence);
    let documents = documents(connection, &expressions, below).await?;
    let declared = |declared: &DeclaredLicence| match referred(declared).and_then(|id| documents.get(&id)) {
        Some(terms) => Licence::Terms(Box::new(terms.clone())),
        None => Licence::Expression(declared.clone()),
    };
    let own = declared(candidate.licence);
    let held_by = candidate.holder;
    let is_exclusive = matches!(&own, Licence::Terms(terms) if chopmark_core::admission::keeps_others_out(terms));
    let granted = grants(connection, &ancestors, below, (on, is_exclusive, held_by)).await?;
    let mut nodes = BTreeMap::new();
    for (index, ancestor) in &ancestors {
        let mut licences = vec![declared(&ancestor.licence)];
        licences.extend(granted.held.get(&ancestor.id).into_iter().flatten().cloned());
        let licence = match licences.as_slice() {
            [only] => only.clone(),
            _ => Licence::AnyOf(licences),
        };
        let parents = relations.get(index).cloned().unwrap_or_default();
        // Whoever made the thing needs no licence in what is theirs as well.
        let is_own = held_by == Some(ancestor.owner);
        let node = Node { licence: Some(licence), parents, is_own };
        nodes.insert(ancestor.id.to_hex(), node);
    }
    let node = Node { licence: Some(own), parents: edges, is_own: false };
    Ok(Inputs { child: candidate.name.clone(), node, ancestors: nodes, grants: granted.live, on: Some(on) }.in_order())
}

/// The terms that an expression refers to, when it is nothing but a reference.
fn referred(declared: &DeclaredLicence) -> Option<TermsId> {
    declared.expression.strip_prefix(LICENCE_REF_PREFIX)?.parse().ok()
}

/// Steps to parents, and the entries of those that are registered.
async fn parents(
    connection: &mut AsyncPgConnection,
    parents: &[Parent],
    below: i64,
) -> Result<(Vec<Edge>, Vec<i64>), StoreError> {
    let mut edges = Vec::with_capacity(parents.len());
    let mut start = Vec::new();
    for parent in parents {
        let found: Option<(i64, Vec<u8>)> = match &parent.source {
            ParentSource::Artefact(id) => artefact_page::table
                .filter(artefact_page::id.eq(id.as_bytes().as_slice()))
                .filter(artefact_page::idx.lt(below))
                .select((artefact_page::idx, artefact_page::id))
                .first(connection)
                .await
                .optional()?,
            ParentSource::Digest(digest) => artefact_digest::table
                .inner_join(artefact_page::table.on(artefact_page::idx.eq(artefact_digest::idx)))
                .filter(artefact_digest::digest.eq(digest.as_bytes().as_slice()))
                .filter(artefact_digest::idx.lt(below))
                .order(artefact_digest::idx)
                .select((artefact_page::idx, artefact_page::id))
                .first(connection)
                .await
                .optional()?,
            ParentSource::Foreign(_) => None,
        };
        let name = match (&found, &parent.source) {
            (Some((index, id)), _) => {
                start.push(*index);
                statement_id(id, "view.artefact_page")?.to_hex()
            }
            (None, ParentSource::Artefact(id)) => id.to_hex(),
            (None, ParentSource::Digest(digest)) => format!("sha256:{digest}"),
            (None, ParentSource::Foreign(foreign)) => format!("{}/{}", foreign.origin, foreign.artefact),
        };
        edges.push(Edge { derivation: parent.relation.into(), parent: name });
    }
    Ok((edges, start))
}

/// These entries and all that they were made from. One more than is judged tells the engine that there are too many.
async fn ancestors(
    connection: &mut AsyncPgConnection,
    start: Vec<i64>,
    below: i64,
) -> Result<BTreeMap<i64, Ancestor>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        idx: i64,
    }
    if start.is_empty() {
        return Ok(BTreeMap::new());
    }
    let limit = i64::try_from(NODES_MAX).unwrap_or(i64::MAX).saturating_add(1);
    let met: Vec<Row> = fixed(
        "WITH RECURSIVE up (idx) AS (
             SELECT unnest($1)
             UNION
             SELECT artefact_parent.parent FROM up JOIN artefact_parent ON artefact_parent.child = up.idx
             WHERE artefact_parent.parent < $2
         ) SELECT idx FROM up LIMIT $3",
    )
    .bind::<Array<BigInt>, _>(start)
    .bind::<BigInt, _>(below)
    .bind::<BigInt, _>(limit)
    .load(connection)
    .await?;
    let rows: Vec<(i64, Vec<u8>, Vec<u8>, Value)> = artefact_page::table
        .filter(artefact_page::idx.eq_any(met.into_iter().map(|row| row.idx).collect::<Vec<_>>()))
        .select((artefact_page::idx, artefact_page::id, artefact_page::owner, artefact_page::claim))
        .load(connection)
        .await?;
    let place = "view.artefact_page";
    let ancestor = |(index, id, owner, claim): (i64, Vec<u8>, Vec<u8>, Value)| {
        let claim: ArtefactClaim = from_json(claim, place)?;
        let (id, owner) = (statement_id(&id, place)?, statement_id(&owner, place)?);
        Ok((index, Ancestor { id, owner, licence: claim.licence }))
    };
    rows.into_iter().map(ancestor).collect()
}

/// What each ancestor was made from, as far as it was known then.
async fn relations(
    connection: &mut AsyncPgConnection,
    ancestors: &BTreeMap<i64, Ancestor>,
    below: i64,
) -> Result<BTreeMap<i64, Vec<Edge>>, StoreError> {
    type Row = (i64, String, Option<i64>, Option<Vec<u8>>, Option<String>, Option<Vec<u8>>);
    let children: Vec<i64> = ancestors.keys().copied().collect();
    if children.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<Row> = artefact_parent::table
        .filter(artefact_parent::child.eq_any(children))
        .order((artefact_parent::child, artefact_parent::position))
        .select((
            artefact_parent::child,
            artefact_parent::relation,
            artefact_parent::parent,
            artefact_parent::digest,
            artefact_parent::origin,
            artefact_parent::foreign_artefact,
        ))
        .load(connection)
        .await?;
    let mut relations: BTreeMap<i64, Vec<Edge>> = BTreeMap::new();
    for (child, relation, parent, digest, origin, foreign) in rows {
        let place = "view.artefact_parent";
        let relation: Relation = from_json(Value::String(relation), place)?;
        let known = parent.filter(|parent| *parent < below).and_then(|parent| ancestors.get(&parent));
        let name = match (known, digest, origin, foreign) {
            (Some(ancestor), ..) => ancestor.id.to_hex(),
            (None, Some(digest), ..) => {
                let digest = chopmark_core::digest::Sha256Digest::from_slice(&digest);
                format!("sha256:{}", digest.ok_or_else(|| StoreError::damaged(place, "digest"))?)
            }
            (None, None, Some(origin), Some(artefact)) => format!("{origin}/{}", statement_id(&artefact, place)?),
            // Beyond what is judged.
            _ => continue,
        };
        let derivation = Derivation::from(relation);
        relations.entry(child).or_default().push(Edge { derivation, parent: name });
    }
    Ok(relations)
}

/// Terms documents that expressions refer to. An id is the digest of what it names, whoever published it.
async fn documents(
    connection: &mut AsyncPgConnection,
    expressions: &[&DeclaredLicence],
    below: i64,
) -> Result<BTreeMap<TermsId, Terms>, StoreError> {
    let wanted: BTreeSet<TermsId> = expressions.iter().filter_map(|declared| referred(declared)).collect();
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<&[u8]> = wanted.iter().map(|id| id.as_bytes().as_slice()).collect();
    let rows: Vec<(Vec<u8>, Vec<u8>)> = terms::table
        .filter(terms::id.eq_any(ids))
        .filter(terms::idx.lt(below))
        .select((terms::id, terms::body))
        .load(connection)
        .await?;
    let document = |(id, body): (Vec<u8>, Vec<u8>)| {
        let damaged = |reason: String| StoreError::damaged("view.terms", reason);
        let id = TermsId::from_slice(&id).ok_or_else(|| damaged("id".to_owned()))?;
        Ok((id, Terms::parse(&body).map_err(|error| damaged(error.to_string()))?))
    };
    rows.into_iter().map(document).collect()
}

/// Grants in ancestors.
struct Grants {
    /// Those of others, which keep them out.
    live: Vec<LiveGrant>,
    /// Terms under which the holder may use an ancestor.
    held: BTreeMap<StatementId, Vec<Licence>>,
}

async fn grants(
    connection: &mut AsyncPgConnection,
    ancestors: &BTreeMap<i64, Ancestor>,
    below: i64,
    (on, all, holder): (Date, bool, Option<StatementId>),
) -> Result<Grants, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Binary)]
        id: Vec<u8>,
    }
    let mut grants = Grants { live: Vec::new(), held: BTreeMap::new() };
    if ancestors.is_empty() {
        return Ok(grants);
    }
    let ids: BTreeSet<StatementId> = ancestors.values().map(|ancestor| ancestor.id).collect();
    let rows: Vec<Row> = fixed(
        "SELECT licence.id FROM licence_artefact AS held JOIN licence ON licence.idx = held.idx
         WHERE held.artefact = ANY ($1) AND licence.idx < $2
           AND (licence.is_exclusive OR $3 OR licence.licensee = $4)",
    )
    .bind::<Array<Binary>, _>(ids.iter().map(|id| id.as_bytes().to_vec()).collect::<Vec<_>>())
    .bind::<BigInt, _>(below)
    .bind::<diesel::sql_types::Bool, _>(all)
    .bind::<diesel::sql_types::Nullable<Binary>, _>(holder.map(|id| id.as_bytes().to_vec()))
    .load(connection)
    .await?;
    let rows: BTreeSet<Vec<u8>> = rows.into_iter().map(|row| row.id).collect();
    if rows.is_empty() {
        return Ok(grants);
    }
    let rows: Vec<LicenceRow> = with_all_under(connection, rows.into_iter().collect()).await?;
    let known = records(connection, rows, below).await?.into_iter().map(|record| (record.id, record));
    let known: BTreeMap<StatementId, LicenceRecord> = known.collect();
    let stands = |record: &LicenceRecord| standing(|id| known.get(id), &record.id, on);
    let is_held = |record: &&LicenceRecord| holder == Some(record.claim.licensee) && stands(record).is_in_force();
    let held: BTreeMap<StatementId, &LicenceRecord> =
        known.values().filter(is_held).map(|record| (record.id, record)).collect();
    let above = above(&known, held.values().copied());
    for record in known.values() {
        let is_held = held.contains_key(&record.id);
        // Whoever has a licence is not kept out by what it rests on. Others keep out from their first day on, and while
        // they are suspended.
        let is_live = !is_held
            && holder != Some(record.claim.licensee)
            && !above.contains(&record.id)
            && matches!(
                stands(record),
                Standing::InForce { .. } | Standing::NotYet { .. } | Standing::Suspended { .. }
            );
        for artefact in record.claim.artefacts.iter().filter(|artefact| ids.contains(*artefact)) {
            let terms = || Box::new(Terms::clone(&record.terms));
            if is_held {
                grants.held.entry(*artefact).or_default().push(Licence::Terms(terms()));
            } else if is_live {
                grants.live.push(LiveGrant {
                    grant: record.id.to_hex(),
                    artefact: artefact.to_hex(),
                    terms: terms(),
                    from: Some(record.claim.starts_on),
                    until: last_day(|id| known.get(id), &record.id),
                });
            }
        }
    }
    Ok(grants)
}

/// What these licences rest on.
fn above<'r>(
    known: &'r BTreeMap<StatementId, LicenceRecord>,
    licences: impl Iterator<Item = &'r LicenceRecord>,
) -> BTreeSet<StatementId> {
    let mut above = BTreeSet::new();
    let mut waiting: Vec<StatementId> = licences.flat_map(|record| record.claim.under.iter().copied()).collect();
    while let Some(id) = waiting.pop() {
        if above.insert(id) {
            waiting.extend(known.get(&id).into_iter().flat_map(|record| &record.claim.under));
        }
    }
    above
}

/// The verdict recorded for the artefact of an entry.
pub(crate) async fn verdict(connection: &mut AsyncPgConnection, artefact: u64) -> Result<Option<Verdict>, StoreError> {
    let verdict: Option<Value> = artefact_verdict::table
        .find(bigint(artefact))
        .select(artefact_verdict::verdict)
        .first(connection)
        .await
        .optional()?;
    verdict.map(|verdict| from_json(verdict, "view.artefact_verdict")).transpose()
}
