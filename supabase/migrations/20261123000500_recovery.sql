-- Recovery: what a person does about messages that did not leave, and what the product finds again by itself.

create or replace function schema_version() returns jsonb language sql immutable as $$ select to_jsonb('20261123000500'::text) $$;

alter table instances add column reconciled_at timestamptz;   -- up to here the provider's messages have been compared with ours

-- dead_letters: outbound messages that ended as failed, or of which nobody knows whether they left. The newest first.
-- Result: [{id, conversation_id, instance, status, reason, error_class, kind, attempts, created_at, claimed_at, text}].
create function dead_letters(p_tenant text, p_limit int) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(to_jsonb(d) order by d.id desc), '[]') from (
    select m.id, m.conversation_id, i.name as instance, m.status, m.reason, m.error_class, m.kind, m.attempts, m.created_at, m.claimed_at, m.text
    from messages m join instances i on i.id = m.instance_id
    where m.tenant_id = p_tenant and m.direction = 'out' and (m.status = 'failed' or (m.status = 'uncertain' and m.reason = 'unproven'))
    order by m.id desc limit p_limit) d
$$;
create index messages_dead on messages (tenant_id, id) where direction = 'out' and (status = 'failed' or (status = 'uncertain' and reason = 'unproven'));

-- retry_dead_letter: a person wants this one sent after all.
-- Guarantee: it goes back to its lane once; a second call while it is there or gone changes nothing. All rules are checked again at the send.
-- Arguments: p_actor who decided; audited. Result: {outcome: 'queued' | 'not_dead', conversation_id}.
create function retry_dead_letter(p_tenant text, p_message bigint, p_actor text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v messages;
begin
  perform 1 from conversations where id = (select conversation_id from messages where id = p_message and tenant_id = p_tenant) for update;
  update messages set status = 'queued', reason = 'retried_by_hand', error_class = null, attempts = 0, looks = 0, provider_id = null, lease_until = null, slot_at = null,
      typing_until = null, due_at = clock(p_now), goes_at = null
    where id = p_message and tenant_id = p_tenant and direction = 'out' and (status = 'failed' or (status = 'uncertain' and reason = 'unproven'))
    returning * into v;
  if not found then return jsonb_build_object('outcome', 'not_dead'); end if;
  insert into audit_log (tenant_id, actor, action, subject, created_at) values (p_tenant, p_actor, 'dlq.retry', p_message::text, clock(p_now));
  return jsonb_build_object('outcome', 'queued', 'conversation_id', v.conversation_id);
end $$;

-- discard_dead_letter: a person decided that this one shall not be sent. Result: {outcome: 'discarded' | 'not_dead'}.
create function discard_dead_letter(p_tenant text, p_message bigint, p_actor text, p_reason text, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  update messages set status = 'cancelled', reason = 'discarded_by_hand', lease_until = null
    where id = p_message and tenant_id = p_tenant and direction = 'out' and (status = 'failed' or (status = 'uncertain' and reason = 'unproven'));
  if not found then return jsonb_build_object('outcome', 'not_dead'); end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'dlq.discard', p_message::text, jsonb_build_object('reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'discarded');
end $$;

-- stored_webhook: a raw webhook for a replay, or null.
create function stored_webhook(p_tenant text, p_id bigint) returns jsonb language sql stable as $$
  select to_jsonb(w) from webhook_events w where w.id = p_id and w.tenant_id = p_tenant
$$;

-- timeline: everything that happened in a conversation, oldest first, each with time, what and why.
-- Arguments: p_limit the newest so many entries. Result: {conversation {...}, entries [{at, what, id, ...}]} or null.
create function timeline(p_tenant text, p_conversation bigint, p_limit int) returns jsonb language sql stable as $$
  select jsonb_build_object(
    'conversation', jsonb_build_object('id', c.id, 'contact_id', c.contact_id, 'instance', i.name, 'controlled_by', c.controlled_by, 'escalation_reason', c.escalation_reason,
      'takeover_until', c.takeover_until, 'paused', pause_reason(c.tenant_id, i.name, c.id, null), 'merged_into', c.merged_into,
      'opted_out', exists (select 1 from opt_outs o where o.contact_id = c.contact_id and o.revoked_at is null)),
    'entries', (select coalesce(jsonb_agg(e.entry order by e.at, e.rank, e.id), '[]') from (
      select * from (
        select m.created_at as at, case m.direction when 'in' then 0 else 4 end as rank, m.id, jsonb_build_object('at', m.created_at, 'what', 'message', 'id', m.id,
            'direction', m.direction, 'author', m.author, 'type', m.type, 'status', m.status, 'reason', m.reason, 'text', m.text, 'turn_id', m.turn_id,
            'provider_message_id', m.provider_id, 'provider_at', m.provider_at, 'kind', m.kind, 'part', m.part, 'attempts', m.attempts,
            'goes_at', case when m.status = 'queued' then coalesce(m.goes_at, m.due_at) end, 'claimed_at', m.claimed_at, 'delivered_at', m.delivered_at, 'read_at', m.read_at,
            'edited_at', m.edited_at, 'deleted_at', m.deleted_at, 'correlation_id', m.correlation_id) as entry
          from messages m where m.conversation_id = c.id
        union all
        select t.started_at, 1, t.id, jsonb_build_object('at', t.started_at, 'what', 'turn', 'id', t.id, 'status', t.status, 'reason', t.reason, 'model', t.model, 'worker', t.worker,
            'input_tokens', t.input_tokens, 'output_tokens', t.output_tokens, 'cache_read_tokens', t.cache_read_tokens, 'cost_usd', t.cost_usd, 'ended_at', t.ended_at,
            'correlation_id', t.correlation_id)
          from turns t where t.conversation_id = c.id
        union all
        select k.created_at, 2, k.id, jsonb_build_object('at', k.created_at, 'what', 'model_call', 'id', k.id, 'turn_id', k.turn_id, 'model', k.model, 'outcome', k.outcome, 'ms', k.ms,
            'input_tokens', k.input_tokens, 'output_tokens', k.output_tokens, 'cost_usd', k.cost_usd)
          from model_calls k join turns t on t.id = k.turn_id where t.conversation_id = c.id
        union all
        select k.created_at, 3, k.id, jsonb_build_object('at', k.created_at, 'what', 'tool_call', 'id', k.id, 'turn_id', k.turn_id, 'name', k.name, 'input', k.input, 'output', k.output, 'ok', k.ok, 'ms', k.ms)
          from tool_calls k where k.conversation_id = c.id
        union all
        select h.created_at, 5, h.id, jsonb_build_object('at', h.created_at, 'what', 'handoff', 'id', h.id, 'reason', h.reason, 'summary', h.summary, 'controls', h.controls, 'status', h.status)
          from handoffs h where h.conversation_id = c.id
        union all
        select o.created_at, 6, o.id, jsonb_build_object('at', o.created_at, 'what', 'opt_out', 'id', o.id, 'source', o.source, 'revoked_at', o.revoked_at)
          from opt_outs o where o.contact_id = c.contact_id
      ) entries order by at desc, rank desc, id desc limit p_limit) e))
  from conversations c join instances i on i.id = c.instance_id where c.id = p_conversation and c.tenant_id = p_tenant
$$;

-- conversation_of: where a message is, by our id or by its id at WhatsApp; null when unknown. p_key digits or a provider id.
create function conversation_of(p_tenant text, p_key text) returns jsonb language sql stable as $$
  select jsonb_build_object('message_id', m.id, 'conversation_id', m.conversation_id) from messages m
  where m.tenant_id = p_tenant and (m.provider_id = p_key or m.id = case when p_key ~ '^[0-9]{1,15}$' then p_key::bigint end)
  order by (m.provider_id = p_key) desc nulls last limit 1
$$;

-- reconcile_from: since when a number's messages at the provider should be compared with ours.
-- A number is compared from its first day here on, at most two days back, with p_overlap_ms of overlap. Result: {from}.
create function reconcile_from(p_instance text, p_overlap_ms int, p_now timestamptz default null) returns jsonb language sql stable as $$
  select jsonb_build_object('from', greatest(coalesce(reconciled_at - make_interval(secs => p_overlap_ms / 1000.0), created_at), created_at, clock(p_now) - interval '2 days'))
  from instances where name = p_instance
$$;

-- reconciled: a number has been compared up to this moment. Only forward.
create function reconciled(p_instance text, p_until timestamptz) returns jsonb language plpgsql as $$
begin
  update instances set reconciled_at = greatest(reconciled_at, p_until) where name = p_instance;
  return '{}';
end $$;

do $$
declare f regprocedure;
begin
  for f in select p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'public' and not exists (select 1 from pg_depend d where d.objid = p.oid and d.deptype = 'e') loop
    execute format('revoke all on function %s from public, anon, authenticated', f);
    execute format('grant execute on function %s to service_role', f);
  end loop;
end $$;
