-- Rows that say who may read carry a MAC under a key that is not in this database: whoever writes to the tables makes nobody a
-- reader. Rows without one count as not there. Readers from before get theirs from the log when the service starts; tokens
-- from before are made anew.
ALTER TABLE vault.token ADD COLUMN signing_key bytea CHECK (octet_length(signing_key) = 32);
ALTER TABLE vault.token ADD COLUMN mac_key text REFERENCES vault.wrapping_key;
ALTER TABLE vault.token ADD COLUMN mac bytea CHECK (octet_length(mac) = 32);
ALTER TABLE vault.reader ADD COLUMN mac_key text REFERENCES vault.wrapping_key;
ALTER TABLE vault.reader ADD COLUMN mac bytea CHECK (octet_length(mac) = 32);
CREATE INDEX token_mac_key ON vault.token (mac_key);
CREATE INDEX reader_mac_key ON vault.reader (mac_key, statement);
COMMENT ON COLUMN vault.token.signing_key IS 'Of a party''s token: the key that logged in. Once that is revoked, the token is good for nothing.';
COMMENT ON COLUMN vault.token.mac_key IS 'The master key that the MAC is under.';
COMMENT ON COLUMN vault.token.mac IS 'BLAKE3 keyed over all that the row says.';
COMMENT ON COLUMN vault.reader.mac_key IS 'The master key that the MAC is under.';
COMMENT ON COLUMN vault.reader.mac IS 'BLAKE3 keyed over all that the row says.';
COMMENT ON TABLE vault.challenge IS 'Challenges that were used, until they expire. Those that wait for an answer are not kept: they carry a MAC.';

GRANT UPDATE (mac_key, mac) ON vault.token TO chopmark_vault;
GRANT UPDATE (jurisdiction, mac_key, mac) ON vault.reader TO chopmark_vault;
