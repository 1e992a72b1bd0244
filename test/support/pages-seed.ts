/** A database that has one of everything that the pages name, under the ids that they use. */
export const SEED = `
  alter table contacts alter column id restart with 3;
  alter table conversations alter column id restart with 7;
  alter table messages alter column id restart with 41;
  select ensure_instance('julia-prod', null);
  select enqueue_message('{"instance": "julia-prod", "phone": "5511912345678", "text": "oi", "kind": "notification"}');
  select enqueue_message('{"instance": "julia-prod", "phone": "5511912345678", "text": "oi", "kind": "notification"}');
  select enqueue_message('{"instance": "julia-prod", "phone": "5511912345678", "text": "oi", "kind": "manual"}');
  update messages set kind = 'reply' where id = 41;
  update messages set status = 'unproven', reason = 'timeout' where id = 42;
  update conversations set takeover_since = now(), takeover_until = now() + interval '30 minutes';
  update conversations set deferred_since = now(), deferred_until = now(), deferred_reason = 'model_overloaded';
  select open_handoff(7, null, 'send_unproven', null, false, now());
  select add_opt_out(3, 'agent');
  select record_transition('{"breaker": "evolution", "instance": "julia-prod", "process": "worker-1", "state": "open"}');
  select add_notice('{"tenant": "default", "key": "k", "kind": "alert", "text": "x", "urgent": false}');
  insert into julia_status (status, scope, target) values ('ativo', 'campaign', 'pascoa');
  select note_instance(i, 'held', 'number_restricted', '{}', now()) from instances i;
  insert into audit_log (actor, action, subject, details) values ('runtime', 'contact.merge', '1', '{"merged": 2}');
`;
