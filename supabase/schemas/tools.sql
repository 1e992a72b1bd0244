-- Business tools: what they are, what a turn is given of them, what they are to do outside, and who says yes.

-- save_tool: keeps a tool; one of the same name is replaced.
-- Arguments: p_definition as src/tools/definition-words.ts has checked it, with name and class.
-- Guarantee: tool and audit change together; the same definition again changes nothing. What waits for a yes keeps the
--   definition it was asked with.
-- Concurrency: any number at once; those of one tenant wait for each other.
-- Result: {outcome: 'added' | 'replaced' | 'unchanged' | 'full' (p_most tools are there), version}.
create or replace function save_tool(p_tenant text, p_definition jsonb, p_most int, p_actor text)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_old http_tools; v_version int; v_name text := p_definition ->> 'name';
begin
  perform from tenants where id = p_tenant for no key update;
  select * into v_old from http_tools where tenant_id = p_tenant and name = v_name and removed_at is null for update;
  if v_old.definition = p_definition then
    return jsonb_build_object('outcome', 'unchanged', 'version', v_old.version);
  end if;
  if v_old.id is null and (select count(*) from http_tools where tenant_id = p_tenant and removed_at is null) >= p_most
  then return jsonb_build_object('outcome', 'full', 'version', 0); end if;
  if v_old.id is null then
    insert into http_tools (tenant_id, name, class, definition, added_by)
      values (p_tenant, v_name, p_definition ->> 'class', p_definition, p_actor) returning version into v_version;
  else
    update http_tools set class = p_definition ->> 'class', definition = p_definition, version = version + 1,
      added_by = p_actor, updated_at = now() where id = v_old.id returning version into v_version;
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details) values (p_tenant, p_actor, 'tool.add', v_name,
    jsonb_build_object('version', v_version, 'class', p_definition ->> 'class', 'origin', p_definition ->> 'origin'));
  return jsonb_build_object('outcome', case when v_old.id is null then 'added' else 'replaced' end,
    'version', v_version);
end $$;

-- remove_tool: the agent has it no more; what waits for a yes can still be settled. Audited. Result: whether it was
-- there.
create or replace function remove_tool(p_tenant text, p_name text, p_actor text)
returns boolean language plpgsql set search_path = public, pg_temp as $$
begin
  update http_tools set removed_at = now() where tenant_id = p_tenant and name = p_name and removed_at is null;
  if not found then return false; end if;
  insert into audit_log (tenant_id, actor, action, subject) values (p_tenant, p_actor, 'tool.remove', p_name);
  return true;
end $$;

-- list_tools: the tools of a tenant, by name, with what they did today. Read only. Result: [{name, class, definition,
--   version, added_by, updated_at, calls, failed: reads of 24 hours, writes: {status: count} of 24 hours, secret: its
--   secret is there, null: it needs none}].
create or replace function list_tools(p_tenant text, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('name', t.name, 'class', t.class, 'definition', t.definition,
      'version', t.version, 'added_by', t.added_by, 'updated_at', t.updated_at,
      'calls', k.n, 'failed', k.failed, 'secret', case when t.definition ? 'secret' then exists (select
        from tenant_secrets s where s.tenant_id = p_tenant and s.name = t.definition -> 'secret' ->> 'name') end,
      'writes', (select coalesce(jsonb_object_agg(w.status, w.n), '{}') from (select status, count(*) as n
        from tool_writes where tool_id = t.id and created_at > clock(p_now) - interval '1 day' group by 1) w))
      order by t.name), '[]')
  from http_tools t cross join lateral (select count(*) as n, count(*) filter (where not c.ok) as failed
    from tool_calls c where c.tenant_id = p_tenant and c.name = t.name
      and c.created_at > clock(p_now) - interval '1 day') k
  where t.tenant_id = p_tenant and t.removed_at is null
$$;

-- set_tenant_secret: keeps a secret by its name, sealed; null takes it away. Audited without it. Result: {was: it was
-- there before}.
create or replace function set_tenant_secret(p_tenant text, p_name text, p_sealed text, p_actor text)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_was boolean;
begin
  perform from tenants where id = p_tenant for no key update;
  v_was := exists (select from tenant_secrets where tenant_id = p_tenant and name = p_name);
  if p_sealed is null then
    delete from tenant_secrets where tenant_id = p_tenant and name = p_name;
  else
    insert into tenant_secrets (tenant_id, name, sealed, updated_by) values (p_tenant, p_name, p_sealed, p_actor)
      on conflict (tenant_id, name) do update set sealed = excluded.sealed, updated_by = excluded.updated_by,
        updated_at = now();
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details) values (p_tenant, p_actor, 'tool.secret', p_name,
    jsonb_build_object('kept', p_sealed is not null));
  return jsonb_build_object('was', v_was);
end $$;

-- tenant_secret: one, sealed, or null. Read only.
create or replace function tenant_secret(p_tenant text, p_name text)
returns text language sql stable set search_path = public, pg_temp as $$
  select sealed from tenant_secrets where tenant_id = p_tenant and name = p_name
$$;

-- swap_tenant_secret: seals a secret again, unless somebody has set another meanwhile. Result: whether it was.
create or replace function swap_tenant_secret(p_tenant text, p_name text, p_old text, p_new text)
returns boolean language plpgsql set search_path = public, pg_temp as $$
begin
  update tenant_secrets set sealed = p_new where tenant_id = p_tenant and name = p_name and sealed = p_old;
  return found;
end $$;

-- tenant_secret_list: all sealed secrets, for sealing again; p_tenant null: of all tenants. Read only. Result:
-- [{tenant, name, sealed}].
create or replace function tenant_secret_list(p_tenant text)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant', tenant_id, 'name', name, 'sealed', sealed)
    order by tenant_id, name), '[]') from tenant_secrets where p_tenant is null or tenant_id = p_tenant
$$;

-- turn_tools: what a turn is given of its tenant's tools, and what it must know to bind their arguments.
-- Read only. Result: {tools: [{id, name, class, definition, version}] by name, found: [{tool, field, value}] that a
--   tool returned in this conversation within 24 hours, done: a write of this conversation was done within 24 hours,
--   open: [{tool_id, input}] writes that are under way, or that were done or became uncertain within an hour}.
create or replace function turn_tools(p_tenant text, p_conversation bigint, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object(
    'tools', (select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'name', t.name, 'class', t.class,
        'definition', t.definition, 'version', t.version) order by t.name), '[]')
      from http_tools t where t.tenant_id = p_tenant and t.removed_at is null),
    'found', (select coalesce(jsonb_agg(distinct jsonb_build_object('tool', c.name, 'field', f.key, 'value', v)), '[]')
      from tool_calls c cross join lateral jsonb_each(c.found) f cross join lateral
        jsonb_array_elements_text(f.value) v
      where c.conversation_id = p_conversation and c.ok and c.found is not null
        and c.created_at > clock(p_now) - interval '1 day'),
    'done', exists (select from tool_writes w where w.conversation_id = p_conversation and w.status = 'done'
      and w.ended_at > clock(p_now) - interval '1 day'),
    'open', (select coalesce(jsonb_agg(jsonb_build_object('tool_id', w.tool_id, 'input', w.input)), '[]')
      from tool_writes w where w.conversation_id = p_conversation and (w.status in ('waiting', 'queued', 'sending')
        or (w.status in ('uncertain', 'done') and w.ended_at > clock(p_now) - interval '1 hour'))))
$$;

-- queue_tool_write: what a tool of a turn is to do outside becomes a row that leaves at most once.
-- Guarantee: the tool's row is locked, so its limits (of a contact a day, of all in an hour, of money a day) are
--   counted exactly over any number of turns; one that is over a limit, or whose tool has changed since the turn began,
--   does not leave and a person has the conversation. The same input is asked for once while an earlier one is under
--   way.
-- Arguments: p_effect {tool_id, version, input, request {method, url, body}, amount, risks: why a person must say yes};
--   p_draft the answer waits for a person's yes, so this does too.
-- Concurrency: part of complete_turn, which holds the conversation's lock.
create or replace function queue_tool_write(
  p_conversation conversations, p_turn turns, p_effect jsonb, p_draft boolean, p_now timestamptz
) returns void language plpgsql set search_path = public, pg_temp as $$
declare
  v_tool http_tools;
  v_limits jsonb;
  v_day timestamptz := p_now - interval '1 day';
  v_amount numeric := (p_effect ->> 'amount')::numeric;
  v_risks text[] := array(select jsonb_array_elements_text(p_effect -> 'risks'));
  v_stop text;
  v_id bigint;
begin
  select * into v_tool from http_tools where id = (p_effect ->> 'tool_id')::bigint
    and tenant_id = p_conversation.tenant_id for no key update;
  if p_draft then v_risks := v_risks || 'draft'::text; end if;
  -- turns that ask the same tool wait for each other by its row
  if exists (select from tool_writes where tool_id = v_tool.id and conversation_id = p_conversation.id
      and input = p_effect -> 'input' and status in ('waiting', 'queued', 'sending')) then
    return;
  end if;
  v_limits := coalesce(v_tool.definition -> 'limits', '{}');
  if v_tool.removed_at is not null or v_tool.version is distinct from (p_effect ->> 'version')::int then
    v_stop := 'tool_changed';
  elsif exists (select from (select count(*) filter (where w.created_at > v_day and c.contact_id
          = p_conversation.contact_id) as contact_day,
        count(*) filter (where w.created_at > p_now - interval '1 hour') as hour,
        coalesce(sum(w.amount) filter (where w.created_at > v_day), 0) as amount_day
      from tool_writes w join conversations c on c.id = w.conversation_id
      where w.tool_id = v_tool.id and w.created_at > v_day and w.status not in ('refused', 'expired', 'failed')) used
    where used.contact_day >= (v_limits ->> 'contact_day')::int or used.hour >= (v_limits ->> 'hour')::int
      or used.amount_day + coalesce(v_amount, 0) > (v_limits ->> 'amount_day')::numeric) then
    v_stop := 'tool_limit';
  end if;
  insert into tool_writes (tenant_id, tool_id, conversation_id, turn_id, definition, input, request, amount, risks,
    status, reason, due_at, created_at, ended_at)
    values (p_conversation.tenant_id, v_tool.id, p_conversation.id, p_turn.id, v_tool.definition, p_effect -> 'input',
      p_effect -> 'request', v_amount, v_risks, case when v_stop is not null then 'refused'
        when v_risks <> '{}' then 'waiting' else 'queued' end, v_stop, p_now, p_now,
      case when v_stop is not null then p_now end)
    returning id into v_id;
  if v_stop is not null then
    perform open_handoff(p_conversation.id, p_turn.id, v_stop, v_tool.name, true, p_now);
  elsif v_risks <> '{}' then
    insert into approvals (tenant_id, write_id, conversation_id, expires_at, created_at)
      values (p_conversation.tenant_id, v_id, p_conversation.id, p_now
        + make_interval(mins => coalesce((v_tool.definition ->> 'approval_minutes')::int, 240)), p_now);
  end if;
end $$;

-- list_approvals: what waits for a yes, the oldest first; only this one with p_id, whatever became of it. Read only.
-- Result: [{id, status, tool, class, conversation_id, instance, contact, input, request, amount, risks, created_at,
--   expires_at, decided_at, decided_by, reason, write_status, write_reason, asked: the contact's words in the turn}].
create or replace function list_approvals(p_tenant text, p_limit int, p_id bigint default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(to_jsonb(l) order by l.id), '[]') from (
    select a.id, a.status, w.definition ->> 'name' as tool, w.definition ->> 'class' as class, a.conversation_id,
      i.name as instance, k.name as contact, w.input, w.request, w.amount, w.risks, a.created_at, a.expires_at,
      a.decided_at, a.decided_by, a.reason, w.status as write_status, w.reason as write_reason,
      (select string_agg(q.text, E'\n' order by q.seq) from messages q
        where q.turn_id = w.turn_id and q.direction = 'in') as asked
    from approvals a join tool_writes w on w.id = a.write_id join conversations c on c.id = a.conversation_id
      join instances i on i.id = c.instance_id join contacts k on k.id = c.contact_id
    where a.tenant_id = p_tenant and case when p_id is null then a.status = 'waiting' else a.id = p_id end
    order by a.id limit p_limit) l
$$;

-- decide_approval: a person says yes or no.
-- Guarantee: once: of any number of answers at any time the first one that is in time counts, audited; the same person
--   who says the same again is told that it counts. A yes lets exactly one call leave.
-- Concurrency: locks the conversation, then the approval. Result: {outcome: 'approved' | 'refused' (again: it was
--   before), write_id, conversation_id} | {outcome: 'already', status, by} | {outcome: 'expired'} | {outcome:
--   'unknown'}.
create or replace function decide_approval(
  p_tenant text, p_id bigint, p_yes boolean, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz; v approvals; v_status text := case when p_yes then 'approved' else 'refused' end;
begin
  perform from conversations c join approvals a on a.conversation_id = c.id where a.id = p_id
    and a.tenant_id = p_tenant for no key update of c;
  select * into v from approvals where id = p_id and tenant_id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  v_now := clock(p_now); -- who had the lock has decided by now
  if v.status = 'waiting' and v.expires_at <= v_now then
    perform expire_approval(v, v_now);
    return jsonb_build_object('outcome', 'expired');
  end if;
  if v.status = 'expired' then return jsonb_build_object('outcome', 'expired'); end if;
  if v.status <> 'waiting' and (v.status <> v_status or v.decided_by <> p_actor) then
    return jsonb_build_object('outcome', 'already', 'status', v.status, 'by', v.decided_by);
  end if;
  if v.status = 'waiting' then
    update approvals set status = v_status, decided_at = v_now, decided_by = p_actor, reason = p_reason
      where id = v.id;
    update tool_writes set status = 'queued', due_at = v_now where id = v.write_id and status = 'waiting' and p_yes;
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (p_tenant, p_actor, case when p_yes then 'approval.approve' else 'approval.refuse' end, p_id::text,
        jsonb_build_object('reason', p_reason, 'write', v.write_id), v_now);
    if not p_yes then perform end_tool_write(v.write_id, 'refused', 'approval_refused', null, v_now); end if;
  end if;
  return jsonb_build_object('outcome', v_status, 'again', v.status <> 'waiting', 'write_id', v.write_id,
    'conversation_id', v.conversation_id);
end $$;

-- expire_approval: nobody said yes in time. Concurrency: the caller holds the conversation's and the approval's lock.
create or replace function expire_approval(p_approval approvals, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
begin
  update approvals set status = 'expired', decided_at = p_now where id = p_approval.id;
  perform end_tool_write(p_approval.write_id, 'expired', 'approval_expired', null, p_now);
end $$;

-- end_tool_write: a write is over. The contact is told in the words of its tool, and a person has the conversation
-- unless it was done or refused by one.
-- Concurrency: the caller holds the conversation's lock. Only a write that is not over yet is ended.
create or replace function end_tool_write(
  p_write bigint, p_status text, p_reason text, p_answer text, p_now timestamptz
) returns void language plpgsql set search_path = public, pg_temp as $$
declare v tool_writes; v_text text; v_person boolean := p_status not in ('done', 'refused');
begin
  update tool_writes set status = p_status, reason = p_reason, answer = left(p_answer, 2000), ended_at = p_now,
    lease_until = null where id = p_write and status in ('waiting', 'queued', 'sending') returning * into v;
  if not found then return; end if;
  v_text := v.definition -> 'says' ->> case when p_status in ('failed', 'uncertain') then 'failed' else p_status end;
  v_text := said_of(v_text, v.input);
  if coalesce(v_text, '') <> '' then
    insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
      provider_at, turn_id, correlation_id, kind, priority, part, due_at, created_at)
      select c.tenant_id, c.instance_id, c.id, c.last_seq + 1, 'out', 'system', 'text', 'queued', v_text, p_now,
        v.turn_id, (select correlation_id from turns where id = v.turn_id),
        case when v_person then 'handoff' else 'reply' end, case when v_person then 1 else 0 end, 1, p_now, p_now
      from conversations c where c.id = v.conversation_id;
    update conversations set last_seq = last_seq + 1 where id = v.conversation_id;
  end if;
  if v_person then
    perform open_handoff(v.conversation_id, v.turn_id, case p_status when 'expired' then 'approval_expired'
      else 'tool_' || p_status end, v.definition ->> 'name', true, p_now);
  end if;
end $$;

-- said_of: a sentence with the arguments in the places that name them.
create or replace function said_of(p_text text, p_input jsonb)
returns text language plpgsql immutable set search_path = public, pg_temp as $$
declare v record;
begin
  for v in select key, value from jsonb_each_text(p_input) loop
    p_text := replace(p_text, '{' || v.key || '}', v.value);
  end loop;
  return p_text;
end $$;

-- claim_tool_write: takes a write that may leave; who has it makes the call, once.
-- Guarantee: of any number of callers one gets it; a row that was claimed is never given out again unless its caller
--   says that the call surely never left (record_tool_write). What is paused does not leave, and is due afterwards.
-- Arguments: p_id this one; null: the oldest that is due. Result: {id, claim, tenant, conversation_id, key, definition,
--   request, attempts} or null.
create or replace function claim_tool_write(
  p_id bigint, p_worker text, p_lease_ms int, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v tool_writes;
begin
  update tool_writes set status = 'sending', claim = claim + 1, attempts = attempts + 1, worker = p_worker,
    sent_at = v_now, lease_until = v_now + make_interval(secs => p_lease_ms / 1000.0)
    where id = (select w.id from tool_writes w join conversations c on c.id = w.conversation_id
        join instances i on i.id = c.instance_id
      where w.status = 'queued' and w.due_at <= v_now and (p_id is null or w.id = p_id)
        and pause_reason(w.tenant_id, i.name, w.conversation_id, null) is null
      order by w.due_at limit 1 for update of w skip locked) returning * into v;
  if not found then return null; end if;
  return jsonb_build_object('id', v.id, 'claim', v.claim, 'tenant', v.tenant_id, 'conversation_id', v.conversation_id,
    'key', v.key, 'definition', v.definition, 'request', v.request, 'attempts', v.attempts);
end $$;

-- record_tool_write: what came of a call.
-- Arguments: p_end {status: 'done' | 'failed' | 'uncertain' | 'queued' (it surely never left: again after retry_ms),
--   reason, answer, retry_ms}. Guarantee: only the claim that made the call counts, once.
-- Concurrency: locks the conversation. Result: {recorded, conversation_id}.
create or replace function record_tool_write(p_id bigint, p_claim int, p_end jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v tool_writes;
begin
  perform from conversations c join tool_writes w on w.conversation_id = c.id where w.id = p_id
    for no key update of c;
  select * into v from tool_writes where id = p_id for update;
  if v.status is distinct from 'sending' or v.claim <> p_claim then
    return jsonb_build_object('recorded', false, 'conversation_id', v.conversation_id);
  end if;
  if p_end ->> 'status' = 'queued' then
    update tool_writes set status = 'queued', reason = p_end ->> 'reason', lease_until = null,
      due_at = v_now + make_interval(secs => (p_end ->> 'retry_ms')::numeric / 1000) where id = p_id;
  else
    perform end_tool_write(p_id, p_end ->> 'status', p_end ->> 'reason', p_end ->> 'answer', v_now);
    if v.definition ? 'price_usd' then
      perform add_spend(v.tenant_id, 'tool', (select instance_id from conversations where id = v.conversation_id),
        (v.definition ->> 'price_usd')::numeric, 1, 0, 0, v_now);
    end if;
  end if;
  return jsonb_build_object('recorded', true, 'conversation_id', v.conversation_id);
end $$;

-- sweep_tool_writes: what a process left behind. A call whose process died is uncertain, and an approval that nobody
-- gave in time is over.
-- Concurrency: any; each row by one of them. Result: {conversations: whose contact is told something, due: ids of
--   writes that may leave now, untold: ids of approvals that nobody was told of}.
create or replace function sweep_tool_writes(p_limit int, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v record; v_told bigint[] := '{}';
begin
  for v in select w.id, w.conversation_id from tool_writes w where w.status = 'sending' and w.lease_until < v_now
    order by w.conversation_id limit p_limit loop
    perform from conversations where id = v.conversation_id for no key update;
    perform from tool_writes where id = v.id and status = 'sending' and lease_until < v_now for update;
    if found then
      perform end_tool_write(v.id, 'uncertain', 'tool_worker_lost', null, v_now);
      v_told := v_told || v.conversation_id;
    end if;
  end loop;
  for v in select a.id, a.conversation_id from approvals a where a.status = 'waiting' and a.expires_at <= v_now
    order by a.conversation_id limit p_limit loop
    perform from conversations where id = v.conversation_id for no key update;
    perform expire_approval(a, v_now) from approvals a where a.id = v.id and a.status = 'waiting';
    v_told := v_told || v.conversation_id;
  end loop;
  return jsonb_build_object('conversations', to_jsonb(v_told),
    'due', (select coalesce(jsonb_agg(id), '[]') from (select id from tool_writes where status = 'queued'
      and due_at <= v_now order by due_at limit p_limit) d),
    'untold', (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'tenant', tenant_id)), '[]') from (select id,
      tenant_id from approvals where status = 'waiting' and told_at is null order by id limit p_limit) u));
end $$;

-- approval_told: people were told of it. May be repeated.
create or replace function approval_told(p_id bigint, p_now timestamptz default null)
returns void language sql set search_path = public, pg_temp as $$
  update approvals set told_at = coalesce(told_at, clock(p_now)) where id = p_id
$$;

-- turn_writes: what a turn asked to be done outside, and its approvals. Read only. Result: [{id, status, approval}].
create or replace function turn_writes(p_turn bigint)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', w.id, 'status', w.status, 'approval', a.id) order by w.id), '[]')
    from tool_writes w left join approvals a on a.write_id = w.id where w.turn_id = p_turn
$$;

revoke all on function
  save_tool(text, jsonb, int, text),
  remove_tool(text, text, text),
  list_tools(text, timestamptz),
  set_tenant_secret(text, text, text, text),
  tenant_secret(text, text),
  swap_tenant_secret(text, text, text, text),
  tenant_secret_list(text),
  turn_tools(text, bigint, timestamptz),
  queue_tool_write(conversations, turns, jsonb, boolean, timestamptz),
  list_approvals(text, int, bigint),
  decide_approval(text, bigint, boolean, text, text, timestamptz),
  expire_approval(approvals, timestamptz),
  end_tool_write(bigint, text, text, text, timestamptz),
  said_of(text, jsonb),
  claim_tool_write(bigint, text, int, timestamptz),
  record_tool_write(bigint, int, jsonb, timestamptz),
  sweep_tool_writes(int, timestamptz),
  approval_told(bigint, timestamptz),
  turn_writes(bigint)
  from public, anon, authenticated;
grant execute on function
  save_tool(text, jsonb, int, text),
  remove_tool(text, text, text),
  list_tools(text, timestamptz),
  set_tenant_secret(text, text, text, text),
  tenant_secret(text, text),
  swap_tenant_secret(text, text, text, text),
  tenant_secret_list(text),
  turn_tools(text, bigint, timestamptz),
  queue_tool_write(conversations, turns, jsonb, boolean, timestamptz),
  list_approvals(text, int, bigint),
  decide_approval(text, bigint, boolean, text, text, timestamptz),
  expire_approval(approvals, timestamptz),
  end_tool_write(bigint, text, text, text, timestamptz),
  said_of(text, jsonb),
  claim_tool_write(bigint, text, int, timestamptz),
  record_tool_write(bigint, int, jsonb, timestamptz),
  sweep_tool_writes(int, timestamptz),
  approval_told(bigint, timestamptz),
  turn_writes(bigint)
  to service_role, whats_agents_runtime;
