//! What was said since some entry that may change what a taxpayer's report adds up to.

use std::collections::HashMap;

use chopmark_core::statement::StatementId;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

use crate::error::{StoreError, bigint, count};
use crate::fixed::fixed;
use crate::project::statement_id;

/// Touched is whoever says something or is named; whoever is on either side of a payment that is endorsed, or that names an
/// asset which is corrected, whosever that is; and whoever has a payment or relation with a party that says something else than
/// of a payment, such as a new profile. A payment of somebody
/// else with the same party touches nobody but its own two sides: a licensor's thousandth licensee leaves the others alone.
const TOUCHED: &str = "
    WITH asked (since, size, taxpayer) AS (VALUES ($1::bigint, $2::bigint, $3::bytea)),
    said AS MATERIALIZED (
        SELECT party, idx, kind FROM evidence_party
        WHERE idx >= (SELECT since FROM asked) AND idx < (SELECT size FROM asked)
    )
    SELECT party, max(idx) AS idx FROM (
        SELECT party, idx FROM said
        UNION ALL
        SELECT side.party, endorsement.idx FROM endorsement
            JOIN evidence_version ON evidence_version.id = endorsement.statement
            JOIN evidence_party AS side ON side.idx = evidence_version.idx
            WHERE endorsement.idx >= (SELECT since FROM asked) AND endorsement.idx < (SELECT size FROM asked)
        UNION ALL
        SELECT side.party, corrected.idx FROM evidence_version AS corrected
            JOIN evidence_version AS paid ON paid.assets @> ARRAY[corrected.entry]
            JOIN evidence_party AS side ON side.idx = paid.idx
            WHERE corrected.id <> corrected.entry
                AND corrected.idx >= (SELECT since FROM asked) AND corrected.idx < (SELECT size FROM asked)
        UNION ALL
        SELECT partner.party, other.idx
            FROM (SELECT party, max(idx) AS idx FROM said WHERE kind <> 'expenditure' GROUP BY party) AS other
            JOIN evidence_party AS common ON common.party = other.party
            JOIN evidence_party AS partner ON partner.idx = common.idx
    ) AS touched
    WHERE (SELECT taxpayer FROM asked) IS NULL OR party = (SELECT taxpayer FROM asked)
    GROUP BY party";

/// The last entry of a range that touches a taxpayer, by taxpayer.
pub(super) struct News {
    touched: HashMap<StatementId, u64>,
    /// The last rate of exchange of the operator: it counts for everybody.
    rate: Option<u64>,
}

#[derive(QueryableByName)]
struct TouchedRow {
    #[diesel(sql_type = Binary)]
    party: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    idx: i64,
}

#[derive(QueryableByName)]
struct RateRow {
    #[diesel(sql_type = Nullable<BigInt>)]
    idx: Option<i64>,
}

impl News {
    /// What was said from an entry on, below a size: about one taxpayer, or about all.
    pub(super) async fn since(
        connection: &AsyncPgConnection,
        operator: &StatementId,
        from: u64,
        size: u64,
        taxpayer: Option<&StatementId>,
    ) -> Result<Self, StoreError> {
        let mut news = Self { touched: HashMap::new(), rate: None };
        if from >= size {
            return Ok(news);
        }
        let place = "view.evidence_party";
        let rate: RateRow = fixed(
            "SELECT max(idx) AS idx FROM evidence_party
             WHERE party = $1 AND idx >= $2 AND idx < $3 AND kind = 'fx_rate'",
        )
        .bind::<Binary, _>(operator.as_bytes().to_vec())
        .bind::<BigInt, _>(bigint(from))
        .bind::<BigInt, _>(bigint(size))
        .get_result(&mut &*connection)
        .await?;
        news.rate = rate.idx.map(|idx| count(idx, place)).transpose()?;
        let rows: Vec<TouchedRow> = fixed(TOUCHED)
            .bind::<BigInt, _>(bigint(from))
            .bind::<BigInt, _>(bigint(size))
            .bind::<Nullable<Binary>, _>(taxpayer.map(|taxpayer| taxpayer.as_bytes().to_vec()))
            .load(&mut &*connection)
            .await?;
        for TouchedRow { party, idx } in rows {
            news.touched.insert(statement_id(&party, place)?, count(idx, place)?);
        }
        Ok(news)
    }

    /// Whether there may be anything new about a taxpayer from an entry on that lies in the range.
    pub(super) fn is_of(&self, taxpayer: &StatementId, from: u64) -> bool {
        self.touched.get(taxpayer).into_iter().chain(&self.rate).any(|index| *index >= from)
    }
}
