REVOKE UPDATE (jurisdiction, mac_key, mac) ON vault.reader FROM chopmark_vault;
REVOKE UPDATE (mac_key, mac) ON vault.token FROM chopmark_vault;
COMMENT ON TABLE vault.challenge IS NULL;
ALTER TABLE vault.reader DROP COLUMN mac, DROP COLUMN mac_key;
ALTER TABLE vault.token DROP COLUMN mac, DROP COLUMN mac_key, DROP COLUMN signing_key;
