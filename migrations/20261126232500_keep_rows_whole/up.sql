-- An envelope is some two kilobytes of base64. Compressing it was an eighth of what PostgreSQL did for an append, every
-- reader paid to undo it, and it saved a quarter of the space. Rows that fit into a page stay as they are.

SET LOCAL chopmark.migrating = 'on';

ALTER TABLE log.entry SET (toast_tuple_target = 8160);
ALTER TABLE log.document SET (toast_tuple_target = 8160);
