//! Payments: one row for each payer, payee and document, so that nothing is recorded twice.

use chopmark_core::admission::{ExpenditureRecord, PaymentKey, View};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

use super::statement_id;
use crate::error::{StoreError, bigint};
use crate::fixed::fixed;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Binary)]
    payer: Vec<u8>,
    #[diesel(sql_type = Binary)]
    payee: Vec<u8>,
    #[diesel(sql_type = Text)]
    document: String,
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
}

/// Those of these payments that are recorded.
pub(super) async fn load(
    connection: &AsyncPgConnection,
    payments: &[PaymentKey],
    view: &mut View,
) -> Result<(), StoreError> {
    if payments.is_empty() {
        return Ok(());
    }
    let payers: Vec<Vec<u8>> = payments.iter().map(|payment| payment.payer.as_bytes().to_vec()).collect();
    let payees: Vec<Vec<u8>> = payments.iter().map(|payment| payment.payee.as_bytes().to_vec()).collect();
    let documents: Vec<String> = payments.iter().map(|payment| payment.document.clone()).collect();
    let rows: Vec<Row> = fixed(
        "SELECT payer, payee, document, id FROM expenditure
         WHERE (payer, payee, document) IN (SELECT * FROM unnest($1, $2, $3))",
    )
    .bind::<Array<Binary>, _>(payers)
    .bind::<Array<Binary>, _>(payees)
    .bind::<Array<Text>, _>(documents)
    .load(&mut &*connection)
    .await?;
    for row in rows {
        let place = "view.expenditure";
        let (payer, payee) = (statement_id(&row.payer, place)?, statement_id(&row.payee, place)?);
        view.load_payment(PaymentKey { payer, payee, document: row.document }, statement_id(&row.id, place)?);
    }
    Ok(())
}

/// Writes one.
pub(super) async fn write(connection: &AsyncPgConnection, record: &ExpenditureRecord) -> Result<(), StoreError> {
    fixed("INSERT INTO expenditure (payer, payee, document, id, idx) VALUES ($1, $2, $3, $4, $5)")
        .bind::<Binary, _>(record.payment.payer.as_bytes().to_vec())
        .bind::<Binary, _>(record.payment.payee.as_bytes().to_vec())
        .bind::<Text, _>(record.payment.document.clone())
        .bind::<Binary, _>(record.id.as_bytes().to_vec())
        .bind::<BigInt, _>(bigint(record.index))
        .execute(&mut &*connection)
        .await?;
    Ok(())
}
