-- Recovery: what a person does about messages that did not leave, and what the product finds again by itself.

-- dead_letters: outbound messages that ended as failed, or of which nobody knows whether they left. The newest first.
-- Arguments: p_limit at most so many; p_message only this one, or null. Result: [{id, conversation_id, instance, status, reason, error_class, kind, attempts, created_at, claimed_at, text}].
create function dead_letters(p_tenant text, p_limit int, p_message bigint default null) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(to_jsonb(d) order by d.id desc), '[]') from (
    select m.id, m.conversation_id, i.name as instance, m.status, m.reason, m.error_class, m.kind, m.attempts, m.created_at, m.claimed_at, m.text
    from messages m join instances i on i.id = m.instance_id
    where m.tenant_id = p_tenant and m.direction = 'out' and m.status in ('failed', 'unproven')
      and m.id = coalesce(p_message, m.id)
    order by m.id desc limit p_limit) d
$$;
create index messages_dead on messages (tenant_id, id) where direction = 'out' and status in ('failed', 'unproven');

-- retry_dead_letter: a person wants this one sent after all.
-- Guarantee: it goes back to its lane once; a second call while it is there or gone changes nothing. All rules are checked again at the send.
--   The parts of the same answer that were cancelled because this one failed come after it. One that may have left already (unproven) needs a
--   reason: whoever sends it again answers for a message that the contact may get twice.
-- Arguments: p_actor who decided, p_reason why (or null); both audited.
-- Concurrency: locks the conversation, so of two calls at once one finds a dead letter.
-- Result: {outcome: 'queued', conversation_id, parts, paused: scope of a pause that holds it, or null} | {outcome: 'reason_needed'}
--   | {outcome: 'not_dead', status, reason} | {outcome: 'unknown'}.
create function retry_dead_letter(p_tenant text, p_message bigint, p_actor text, p_reason text default null, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v messages; v_now timestamptz := clock(p_now); v_parts int;
begin
  perform 1 from conversations where id = (select conversation_id from messages where id = p_message and tenant_id = p_tenant) for update;
  select * into v from messages where id = p_message and tenant_id = p_tenant and direction = 'out' for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.status not in ('failed', 'unproven') then
    return jsonb_build_object('outcome', 'not_dead', 'status', v.status, 'reason', v.reason);
  end if;
  if v.status = 'unproven' and coalesce(btrim(p_reason), '') = '' then return jsonb_build_object('outcome', 'reason_needed'); end if;
  update messages set status = 'queued', reason = 'retried_by_hand', error_class = null, attempts = 0, looks = 0, provider_id = null, lease_until = null, slot_at = null,
    -- what may have left keeps its id, so that a phone that has it drops this one; what was refused begins anew
    wire_id = case when v.status = 'unproven' then wire_id end, typing_until = null, due_at = v_now, goes_at = null where id = v.id;
  update messages set status = 'queued', reason = 'retried_by_hand', due_at = v_now, goes_at = null
    where turn_id = v.turn_id and direction = 'out' and status = 'cancelled' and reason = 'earlier_part_failed' and id > v.id;
  get diagnostics v_parts = row_count;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) values (p_tenant, p_actor, 'dlq.retry', p_message::text,
    jsonb_build_object('reason', p_reason, 'was', v.status, 'because', v.reason, 'later_parts', v_parts), v_now);
  return jsonb_build_object('outcome', 'queued', 'conversation_id', v.conversation_id, 'parts', v_parts,
    'paused', (select pause_reason(v.tenant_id, i.name, v.conversation_id, v.campaign_id) from instances i where i.id = v.instance_id));
end $$;

-- discard_dead_letter: a person decided that this one shall not be sent.
-- Guarantee: once; audited with p_actor and p_reason. Concurrency: any; the row's state decides.
-- Result: {outcome: 'discarded'} | {outcome: 'not_dead', status, reason} | {outcome: 'unknown'}.
create function discard_dead_letter(p_tenant text, p_message bigint, p_actor text, p_reason text, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  update messages set status = 'cancelled', reason = 'discarded_by_hand', lease_until = null
    where id = p_message and tenant_id = p_tenant and direction = 'out' and status in ('failed', 'unproven');
  if not found then
    return coalesce((select jsonb_build_object('outcome', 'not_dead', 'status', status, 'reason', reason) from messages
      where id = p_message and tenant_id = p_tenant and direction = 'out'), '{"outcome": "unknown"}');
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'dlq.discard', p_message::text, jsonb_build_object('reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'discarded');
end $$;

-- stored_webhook: a raw webhook for a replay, or null.
create function stored_webhook(p_tenant text, p_id bigint) returns jsonb language sql stable as $$
  select to_jsonb(w) from webhook_events w where w.id = p_id and w.tenant_id = p_tenant
$$;

-- timeline: everything that happened in a conversation, oldest first, each with time, what and why.
-- Arguments: p_limit at most so many entries: the newest, or with p_message the first ones from that message (or what it answers) on, and then
--   the webhooks that told of this message too, of the half hour after it.
-- Result: {conversation {...}, entries [{at, what, id, ...}]} or null.
create function timeline(p_tenant text, p_conversation bigint, p_limit int, p_message bigint default null) returns jsonb language sql stable as $$
  with start as (
    select min(x.created_at) as at, min(x.created_at) filter (where x.id = p_message) as own
    from messages m join messages x on x.id = m.id or (m.direction = 'out' and x.turn_id = m.turn_id) where m.id = p_message)
  select jsonb_build_object(
    'conversation', jsonb_build_object('id', c.id, 'contact_id', c.contact_id, 'instance', i.name, 'controlled_by', c.controlled_by, 'escalation_reason', c.escalation_reason,
      'takeover_until', c.takeover_until, 'paused', pause_reason(c.tenant_id, i.name, c.id, null), 'merged_into', c.merged_into,
      'opted_out', exists (select 1 from opt_outs o where o.contact_id = c.contact_id and o.revoked_at is null)),
    'entries', (select coalesce(jsonb_agg(e.entry order by e.at, e.rank, e.id), '[]') from (
      select * from (
        select m.created_at as at, case m.direction when 'in' then 0 else 4 end as rank, m.id, jsonb_build_object('at', m.created_at, 'what', 'message', 'id', m.id,
            'direction', m.direction, 'author', m.author, 'type', m.type, 'status', m.status, 'reason', m.reason, 'text', m.text, 'turn_id', m.turn_id,
            'provider_message_id', m.provider_id, 'provider_at', m.provider_at, 'kind', m.kind, 'part', m.part, 'attempts', m.attempts,
            'goes_at', promised_at(m), 'claimed_at', m.claimed_at, 'delivered_at', m.delivered_at, 'read_at', m.read_at,
            'edited_at', m.edited_at, 'deleted_at', m.deleted_at, 'correlation_id', m.correlation_id) as entry
          from messages m where m.conversation_id = c.id
        union all
        select t.started_at, 1, t.id, jsonb_build_object('at', t.started_at, 'what', 'turn', 'id', t.id, 'status', t.status, 'reason', t.reason, 'model', t.model, 'worker', t.worker,
            'input_tokens', t.input_tokens, 'output_tokens', t.output_tokens, 'thinking_tokens', t.thinking_tokens, 'cache_read_tokens', t.cache_read_tokens,
            'cache_write_tokens', t.cache_write_tokens, 'cost_usd', t.cost_usd, 'unpriced_calls', t.unpriced_calls, 'ended_at', t.ended_at,
            'correlation_id', t.correlation_id)
          from turns t where t.conversation_id = c.id
        union all
        select k.created_at, 2, k.id, jsonb_build_object('at', k.created_at, 'what', 'model_call', 'id', k.id, 'turn_id', k.turn_id, 'model', k.model, 'outcome', k.outcome, 'ms', k.ms,
            'input_tokens', k.input_tokens, 'output_tokens', k.output_tokens, 'thinking_tokens', k.thinking_tokens, 'cache_read_tokens', k.cache_read_tokens,
            'cache_write_tokens', k.cache_write_tokens, 'cost_usd', k.cost_usd, 'estimated', k.estimated, 'detail', k.detail, 'cache_miss', k.cache_miss)
          from model_calls k join turns t on t.id = k.turn_id where t.conversation_id = c.id
        union all
        select k.created_at, 3, k.id, jsonb_build_object('at', k.created_at, 'what', 'tool_call', 'id', k.id, 'turn_id', k.turn_id, 'name', k.name, 'input', k.input, 'output', k.output, 'ok', k.ok, 'ms', k.ms)
          from tool_calls k where k.conversation_id = c.id
        union all
        select h.created_at, 5, h.id, jsonb_build_object('at', h.created_at, 'what', 'handoff', 'id', h.id, 'turn_id', h.turn_id, 'reason', h.reason, 'summary', h.summary, 'controls', h.controls, 'status', h.status,
            'notified_at', h.notified_at, 'reminded_at', h.reminded_at, 'taken_at', h.taken_at, 'returned_at', h.returned_at, 'returned_by', h.returned_by)
          from handoffs h where h.conversation_id = c.id
        union all
        select o.created_at, 6, o.id, jsonb_build_object('at', o.created_at, 'what', 'opt_out', 'id', o.id, 'source', o.source, 'revoked_at', o.revoked_at)
          from opt_outs o where o.contact_id = c.contact_id
        union all
        -- the one that brought the message, repeats, acks
        select w.received_at, 1, w.id, jsonb_build_object('at', w.received_at, 'what', 'webhook', 'id', w.id, 'event', w.event, 'outcome', r ->> 'outcome', 'message_id', p_message)
          from start, webhook_events w cross join jsonb_array_elements(w.results) r
          where w.received_at between start.own - interval '1 minute' and start.own + interval '30 minutes' and r ->> 'message_id' = p_message::text
      ) entries where p_message is null or at >= (select start.at - interval '1 second' from start)
      order by case when p_message is null then at end desc, case when p_message is not null then at end, rank desc, id desc limit p_limit) e))
  from conversations c join instances i on i.id = c.instance_id where c.id = p_conversation and c.tenant_id = p_tenant
$$;

-- conversation_of: where a message is, by our id or by its id at WhatsApp; null when unknown. p_key digits or a provider id.
create function conversation_of(p_tenant text, p_key text) returns jsonb language sql stable as $$
  select jsonb_build_object('message_id', m.id, 'conversation_id', m.conversation_id) from messages m
  where m.tenant_id = p_tenant and (m.provider_id = p_key or m.id = case when p_key ~ '^[0-9]{1,15}$' then p_key::bigint end)
  order by (m.provider_id = p_key) desc nulls last limit 1
$$;

-- ignored_of: the entries of a tenant: stored webhooks of which something was put aside or found no place. Read only.
-- Arguments: p_reason, p_instance null: any. Result: rows of webhook_events.
create function ignored_of(p_tenant text, p_reason text, p_instance text) returns setof webhook_events language sql stable as $$
  select * from webhook_events where ignored is not null and tenant_id = p_tenant and (p_reason is null or p_reason = any (ignored))
    and (p_instance is null or coalesce(instance, body ->> 'instance') = p_instance)
$$;

-- is_whole: whether a stored webhook has its body: it was neither left out (body_of_ignored) nor erased.
create function is_whole(p_body jsonb) returns boolean language sql immutable as $$ select p_body not in ('{"left_out": "too_many"}', '{"left_out": "large"}', '{"erased": true}') $$;

-- list_ignored: what was put aside, the newest first, and how much of it there is. Read only.
-- Arguments: as ignored_of. Result: {reasons: [{reason, webhooks, whole: with their body, first_at, last_at}],
--   entries: [{id, instance, event, reasons, messages: their ids at WhatsApp, whole, received_at}]}.
create function list_ignored(p_tenant text, p_reason text, p_instance text, p_limit int) returns jsonb language sql stable as $$
  select jsonb_build_object(
    'reasons', (select coalesce(jsonb_agg(to_jsonb(g) order by g.webhooks desc, g.reason), '[]') from (
      select r as reason, count(*) as webhooks, count(*) filter (where is_whole(w.body)) as whole, min(w.received_at) as first_at, max(w.received_at) as last_at
      from ignored_of(p_tenant, p_reason, p_instance) w, unnest(w.ignored) r where p_reason is null or r = p_reason group by 1) g),
    'entries', (select coalesce(jsonb_agg(to_jsonb(e) order by e.id desc), '[]') from (
      select w.id, coalesce(w.instance, w.body ->> 'instance') as instance, w.event, w.ignored as reasons, is_whole(w.body) as whole, w.received_at,
        jsonb_path_query_array(w.results, '$[*] ? (@.outcome == "ignored" || @.outcome == "early").provider_id ? (@ != null)') as messages
      from ignored_of(p_tenant, p_reason, p_instance) w order by w.id desc limit p_limit) e))
$$;

-- ignored_webhooks: entries to be replayed, the oldest first. Read only. Arguments: as ignored_of; p_after the id behind which they begin.
-- Result: [{id, instance, event, body, results, ignored, received_at}], at most p_limit.
create function ignored_webhooks(p_tenant text, p_reason text, p_instance text, p_after bigint, p_limit int) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(to_jsonb(w) order by w.id), '[]') from (
    select id, instance, event, body, results, posted_by, ignored, received_at from ignored_of(p_tenant, p_reason, p_instance) i where i.id > p_after and is_whole(i.body) order by i.id limit p_limit) w
$$;

-- ignored_message: the newest entry that a message left, by its id at WhatsApp. Read only. Result: {id, instance, reason, received_at} or null.
create function ignored_message(p_tenant text, p_provider_id text) returns jsonb language sql stable as $$
  select jsonb_build_object('id', w.id, 'instance', w.instance, 'received_at', w.received_at, 'reason', r ->> 'reason') from ignored_of(p_tenant, null, null) w, jsonb_array_elements(w.results) r
  where w.results @> jsonb_build_array(jsonb_build_object('provider_id', p_provider_id)) and r ->> 'provider_id' = p_provider_id order by w.id desc limit 1
$$;

-- reopen_inbound: a person wants an inbound message answered again, although it has had its outcome.
-- Guarantee: it is 'received' again as if it had just come, and a turn that is under way has to look again. What was sent stays sent.
-- Arguments: the message by its number, its id at WhatsApp and its chat {pn, lid}; p_actor, p_reason: audited.
-- Concurrency: locks the conversation. Result: {outcome: 'reopened', message_id, conversation_id, was, provider_at, holder: who answers there,
--   paused: scope or null} | {outcome: 'waiting'} it is unanswered as it is | {outcome: 'not_possible'} (not of the contact, a reaction, deleted, unknown).
create function reopen_inbound(p_tenant text, p_instance text, p_provider_id text, p_chat jsonb, p_actor text, p_reason text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v conversations; m messages; v_now timestamptz := clock(p_now);
begin
  m := known_message((select i.id from instances i where i.name = p_instance and i.tenant_id = p_tenant), p_provider_id, p_chat, null, false);
  select c.* into v from conversations c where c.id = m.conversation_id for update;
  select x.* into m from messages x where x.id = m.id for update;
  if not found or m.direction <> 'in' or m.type = 'reaction' or m.deleted_at is not null then return jsonb_build_object('outcome', 'not_possible'); end if;
  if m.status = 'received' then return jsonb_build_object('outcome', 'waiting', 'message_id', m.id, 'conversation_id', v.id); end if;
  update messages set status = 'received', reason = null, turn_id = null where id = m.id;
  update conversations set inbound_seq = inbound_seq + 1, failed_in_row = 0, failing_since = null where id = v.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'replay.force', m.id::text, jsonb_build_object('reason', p_reason, 'was', m.status, 'because', m.reason), v_now);
  return jsonb_build_object('outcome', 'reopened', 'message_id', m.id, 'conversation_id', v.id, 'was', m.status, 'provider_at', m.provider_at,
    'holder', conversation_holder(v, v_now), 'paused', (select pause_reason(v.tenant_id, i.name, v.id, null) from instances i where i.id = v.instance_id));
end $$;

-- record_audit: an act of a person that no other function writes down.
create function record_audit(p_tenant text, p_actor text, p_action text, p_subject text, p_details jsonb) returns jsonb language plpgsql as $$
begin
  insert into audit_log (tenant_id, actor, action, subject, details) values (p_tenant, p_actor, p_action, p_subject, p_details);
  return '{}';
end $$;

-- pauses: what is paused now, seen from a tenant. Result: [{scope, target, motivo, alterado_via, since}], the newest first.
create function pauses(p_tenant text) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('scope', s.scope, 'target', s.target, 'motivo', s.motivo, 'alterado_via', s.alterado_via, 'since', s.created_at) order by s.id desc), '[]')
  from (select distinct on (scope, target, owner) * from (select *, case scope when 'campaign' then tenant_id end as owner from julia_status) j order by scope, target, owner, id desc) s
  where s.status = 'pausado' and case s.scope
    when 'all' then true
    when 'tenant' then s.target = p_tenant
    when 'instance' then exists (select 1 from instances i where i.name = s.target and i.tenant_id = p_tenant)
    when 'conversation' then exists (select 1 from conversations c where c.id::text = s.target and c.tenant_id = p_tenant)
    else s.tenant_id = p_tenant end
$$;

-- set_pause: stops or starts again everything, or a part of it: one row in julia_status, as by hand, and one in audit_log.
-- Guarantee: with the commit, nothing new is claimed there; what waits stays where it is. Only the tenant `default`, which owns the installation,
--   may stop everything or another tenant. A campaign that is stopped is the tenant's own, whatever others call theirs.
-- Arguments: p_status 'pausado' | 'ativo'; p_scope and p_target as in julia_status; p_actor becomes alterado_via, p_reason motivo.
-- Concurrency: any; the newest row counts. Result: {outcome: 'done', was: status before, still: [pauses left]} | {outcome: 'unknown_target' | 'not_yours'}.
create function set_pause(p_tenant text, p_actor text, p_status text, p_scope text, p_target text, p_reason text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_was text; v_known boolean;
begin
  if p_tenant <> 'default' and (p_scope = 'all' or (p_scope = 'tenant' and p_target <> p_tenant)) then return jsonb_build_object('outcome', 'not_yours'); end if;
  v_known := case p_scope
      when 'all' then p_target = ''
      when 'tenant' then exists (select 1 from tenants t where t.id = p_target)
      when 'instance' then exists (select 1 from instances i where i.name = p_target and i.tenant_id = p_tenant)
      when 'conversation' then exists (select 1 from conversations c where c.id::text = p_target and c.tenant_id = p_tenant)
      else p_target <> '' end;
  if not v_known then return jsonb_build_object('outcome', 'unknown_target'); end if;
  select status into v_was from julia_status where scope = p_scope and target = p_target and (p_scope <> 'campaign' or tenant_id = p_tenant) order by id desc limit 1;
  insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target, created_at) values (p_tenant, p_status, p_reason, p_actor, p_scope, p_target, clock(p_now));
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) values (p_tenant, p_actor, case p_status when 'pausado' then 'pause' else 'resume' end,
    case p_scope when 'all' then 'all' else p_scope || ':' || p_target end, jsonb_build_object('reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'done', 'was', coalesce(v_was, 'ativo'), 'still', pauses(p_tenant));
end $$;

-- list_handoffs: conversations that a person has or should look at, the longest waiting first; also those of mode manual whose contact waits.
-- Result: [{conversation_id, instance, contact, controlled_by, mode, escalation_reason, takeover_until, last_inbound_at, last_text, handoffs [{id, reason, summary,
--   controls, status, created_at}]}].
create function list_handoffs(p_tenant text, p_limit int, p_now timestamptz default null) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(to_jsonb(l) - 'since' order by l.since nulls first, l.conversation_id), '[]') from (
    select c.id as conversation_id, i.name as instance, k.name as contact, c.controlled_by, c.mode, c.escalation_reason,
      case when c.takeover_until > clock(p_now) then c.takeover_until end as takeover_until, c.last_inbound_at,
      (select m.text from messages m where m.conversation_id = c.id and m.direction = 'in' order by m.seq desc limit 1) as last_text,
      (select min(h.created_at) from handoffs h where h.conversation_id = c.id and h.status <> 'returned') as since,
      (select coalesce(jsonb_agg(jsonb_build_object('id', h.id, 'reason', h.reason, 'summary', h.summary, 'controls', h.controls, 'status', h.status, 'created_at', h.created_at) order by h.id), '[]')
        from handoffs h where h.conversation_id = c.id and h.status <> 'returned') as handoffs
    from conversations c join instances i on i.id = c.instance_id join contacts k on k.id = c.contact_id
    where c.tenant_id = p_tenant and c.merged_into is null and (c.controlled_by = 'human' or c.takeover_until > clock(p_now) or waits_for_person(c)
      or exists (select 1 from handoffs h where h.conversation_id = c.id and h.status <> 'returned'))
    order by since nulls first, c.id limit p_limit) l
$$;

-- return_handoff: a person is done with a conversation: the agent answers there again.
-- Guarantee: control, takeover, all open handoffs and the quiet after abuse end together; audited. What was handed over stays a person's: only new
--   messages are answered. Concurrency: locks the conversation.
-- Result: {outcome: 'returned', handoffs: how many, mode, paused} | {outcome: 'not_with_a_person'} | {outcome: 'unknown'}.
create function return_handoff(p_tenant text, p_conversation bigint, p_actor text, p_reason text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v conversations; v_n int; v_now timestamptz := clock(p_now);
begin
  select * into v from conversations where id = p_conversation and tenant_id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  v_n := give_back(v.id, p_actor, v_now);
  if v_n = 0 and v.controlled_by = 'agent' and not coalesce(v.takeover_until > v_now, false) and not coalesce(v.quiet_until > v_now, false) then
    return jsonb_build_object('outcome', 'not_with_a_person', 'mode', v.mode);
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) values (p_tenant, p_actor, 'handoff.return', v.id::text,
    jsonb_build_object('reason', p_reason, 'was', conversation_holder(v, v_now), 'because', handoff_code(v.escalation_reason), 'handoffs', v_n), v_now);
  return jsonb_build_object('outcome', 'returned', 'handoffs', v_n, 'mode', v.mode,
    'paused', (select pause_reason(v.tenant_id, i.name, v.id, null) from instances i where i.id = v.instance_id));
end $$;

-- admin_status: what an operator asks first, of one tenant; processes are the whole installation's. Null for an unknown tenant. Read only.
create function admin_status(p_tenant text, p_now timestamptz default null) returns jsonb language sql stable as $$
  select jsonb_build_object(
    'now', clock(p_now), 'pauses', pauses(p_tenant),
    'processes', (select coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'mode', p.mode, 'version', p.version, 'seen_seconds', extract(epoch from clock(p_now) - p.seen_at)) order by p.mode, p.id), '[]')
      from process_status p where p.seen_at > clock(p_now) - interval '1 hour'),
    'instances', (select coalesce(jsonb_agg(jsonb_build_object('name', i.name, 'status', i.status, 'status_at', i.status_at, 'seconds', extract(epoch from clock(p_now) - i.status_at),
        'code', i.status_reason, 'paired', i.paired, 'held', case when i.held_until > clock(p_now) then i.held_reason end, 'breaker', breaker_reason(i.name, null, clock(p_now))) order by i.id), '[]')
      from instances i where i.tenant_id = p_tenant),
    'unanswered', (select jsonb_build_object('count', count(*), 'oldest_seconds', extract(epoch from clock(p_now) - min(m.created_at)))
      from messages m where m.direction = 'in' and m.status = 'received' and m.tenant_id = p_tenant and not coalesce(m.meaning ? 'command', false)),
    'deferred', (select jsonb_build_object('count', count(*), 'oldest_seconds', extract(epoch from clock(p_now) - min(c.deferred_since)), 'reasons', coalesce(jsonb_agg(distinct c.deferred_reason), '[]'))
      from conversations c where c.deferred_until is not null and c.deferred_reason like 'model\_%' and c.tenant_id = p_tenant),
    'unheard', unheard_conversations(p_tenant, p_now),
    'unplaced', (select count(*) from webhook_events w where w.ignored is not null and w.tenant_id = p_tenant and w.received_at > (select clock(p_now)) - interval '1 day' and is_unplaced(w.ignored[1])),
    'outbound', (select jsonb_build_object('due', count(*) filter (where m.status = 'queued' and m.due_at <= clock(p_now)), 'later', count(*) filter (where m.status = 'queued' and m.due_at > clock(p_now)),
        'sending', count(*) filter (where m.status = 'sending'), 'uncertain', count(*) filter (where m.status = 'uncertain'))
      from messages m where m.direction = 'out' and m.status in ('queued', 'sending', 'uncertain') and m.tenant_id = p_tenant),
    'dead_letters', (select count(*) from messages m where m.tenant_id = p_tenant and m.direction = 'out' and m.status in ('failed', 'unproven')),
    'with_people', (select jsonb_array_length(list_handoffs(p_tenant, 1000, p_now))))
  from tenants t where t.id = p_tenant
$$;

-- reconcile_from: since when a number's messages at the provider should be compared with ours.
-- A number is compared from its first day here on, at most two days back, with p_overlap_ms of overlap; after a restore back to the backup, however old.
-- Result: {from, restored: the comparison must reach this moment before the number goes on} or null for an unknown number.
create function reconcile_from(p_instance text, p_overlap_ms int, p_now timestamptz default null) returns jsonb language sql stable as $$
  select jsonb_build_object('restored', restored_at is not null,
    'from', greatest(coalesce(reconciled_at - make_interval(secs => p_overlap_ms / 1000.0), created_at), created_at,
      case when restored_at is null then clock(p_now) - interval '2 days' end))
  from instances where name = p_instance
$$;

-- teach_addresses: what a comparison shows of messages that are known already: the provider's rows name both addresses of a person where a webhook named one.
-- Guarantee: only what is new is learned (one address of the pair is known, the other is nobody's), by the rules of ensure_contact; repeating it changes nothing.
-- Arguments: p_pairs [{pn, lid, sent_at}], the oldest first. Result: {learned}.
create function teach_addresses(p_instance text, p_pairs jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare
  v instances;
  v_pair record;
  v_learned int := 0;
begin
  select * into v from instances where name = p_instance;
  for v_pair in select e ->> 'pn' as pn, e ->> 'lid' as lid, (e ->> 'sent_at')::timestamptz as sent_at from jsonb_array_elements(p_pairs) e loop
    continue when (contact_at(v, v_pair.pn, null) is null) = (contact_at(v, null, v_pair.lid) is null);
    perform ensure_contact(v, v_pair.pn, v_pair.lid, null, v_pair.sent_at, p_now);
    v_learned := v_learned + 1;
  end loop;
  return jsonb_build_object('learned', v_learned);
end $$;

-- reconciled: a number has been compared up to this moment. Only forward.
-- Guarantee: the first comparison that reaches beyond a restore ends it (settle_restored). Result: {settled}.
create function reconciled(p_instance text, p_until timestamptz, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v instances;
begin
  update instances set reconciled_at = greatest(reconciled_at, p_until) where name = p_instance returning * into v;
  if not coalesce(p_until >= v.restored_at, false) then return jsonb_build_object('settled', false); end if;
  perform settle_restored(v, p_now);
  return jsonb_build_object('settled', true);
end $$;
