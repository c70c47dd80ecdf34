DROP TABLE vault.access_checkpoint, vault.access_state, vault.access_leaf, vault.access_pending, vault.access,
    vault.challenge, vault.token, vault.reader, vault.opening, vault.wrapping_key;
DROP FUNCTION vault.acting_role(), vault.acting_for(), vault.acting_token(), vault.refuse_change();
DROP TABLE view.expenditure;
