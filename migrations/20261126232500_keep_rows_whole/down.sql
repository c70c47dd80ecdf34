SET LOCAL chopmark.migrating = 'on';

ALTER TABLE log.entry RESET (toast_tuple_target);
ALTER TABLE log.document RESET (toast_tuple_target);
