-- What the people of the installation are told.

-- note_forward: what this turn left to a person is to be told to people: at once, or with what comes meanwhile a minute
-- after they heard from this conversation last.
-- Concurrency: the caller holds the conversation's lock; the commit that leaves the messages makes it due, so no death
--   in between loses it.
create or replace function note_forward(p_conversation bigint, p_turn bigint, p_now timestamptz)
returns void language sql as $$
  update conversations c set forward_from = least(c.forward_from, f.seq),
    forward_due_at = coalesce(c.forward_due_at, greatest(p_now, c.forwarded_at + interval '1 minute'))
  from (select min(seq) as seq from messages where turn_id = p_turn and direction = 'in') f
    where c.id = p_conversation and f.seq is not null
$$;

-- forwards_due: conversations of which people are to hear what the contact wrote, the longest waiting first. Read only.
-- Arguments: p_conversation only this one, or null. Result: [{conversation_id, tenant, instance, name, phone, upto,
--   count, messages: the first 20 [{text, typed, type}]}].
create or replace function forwards_due(p_conversation bigint, p_limit int, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(to_jsonb(f) - 'due' order by f.due), '[]') from (
    select c.id as conversation_id, c.tenant_id as tenant, i.name as instance, k.name, (select a.address
      from contact_addresses a where a.contact_id = k.id and a.kind = 'pn' limit 1) as phone,
      c.forward_due_at as due, coalesce(max(m.seq), c.forward_from) as upto, count(m.id)::int as count,
        coalesce(jsonb_agg(jsonb_build_object('text', m.text, 'typed', m.typed, 'type', m.type)
        order by m.seq) filter (where m.nth <= 20), '[]') as messages
    from conversations c join instances i on i.id = c.instance_id join contacts k on k.id = c.contact_id
      left join lateral (select x.id, x.seq, x.text, x.typed, x.type, row_number() over (order by x.seq) as nth
        from messages x where x.conversation_id = c.id and x.direction = 'in'
        and x.seq >= c.forward_from and x.status = 'handed_over' and x.reason in ('human', 'takeover', 'manual')
          and x.type <> 'reaction' and x.deleted_at is null) m on true
    where c.forward_due_at <= clock(p_now) and c.id = coalesce(p_conversation, c.id)
    group by c.id, i.name, k.id order by c.forward_due_at limit p_limit) f
$$;

-- take_forward: the notice of a forward, and that it was made, in one commit.
-- Guarantee: of callers with the same words one makes the notice; what came after p_upto is due a minute later.
--   Concurrency: locks the conversation.
-- Arguments: p_notice as add_notice takes it, without a key; null: there is nothing to tell any more. Result: {added}.
create or replace function take_forward(
  p_conversation bigint, p_upto bigint, p_notice jsonb, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v conversations; v_left bigint; v_added boolean := false;
begin
  select * into v from conversations where id = p_conversation for no key update;
  if not found or v.forward_due_at is null or v.forward_due_at > clock(p_now) or v.forward_from > p_upto
    then return jsonb_build_object('added', false); end if;
  if coalesce(jsonb_typeof(p_notice), 'null') <> 'null' then
    v_added := (add_notice(p_notice || jsonb_build_object('key', 'forward-' || v.id || '-' || p_upto),
      p_now) ->> 'added')::boolean;
  end if;
  select min(seq) into v_left from messages where conversation_id = v.id and direction = 'in' and seq > p_upto
    and status = 'handed_over'
    and reason in ('human', 'takeover', 'manual') and type <> 'reaction' and deleted_at is null;
  update conversations set forwarded_at = case when v_added then clock(p_now) else forwarded_at end,
    forward_from = v_left,
    forward_due_at = case when v_left is not null then clock(p_now) + interval '1 minute' end where id = v.id;
  return jsonb_build_object('added', v_added);
end $$;

-- add_notice: a notice, durable with the commit.
-- Guarantee: one row per tenant and key, the first one's words. Concurrency: any; the unique key decides.
-- Arguments: p_notice {tenant, key, kind, text, urgent, about, not_manager}. Result: {added}.
create or replace function add_notice(p_notice jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  insert into notices (tenant_id, key, kind, text, urgent, about, not_manager, due_at, created_at)
    values (p_notice ->> 'tenant', p_notice ->> 'key', p_notice ->> 'kind', p_notice ->> 'text',
      (p_notice ->> 'urgent')::boolean, p_notice ->> 'about',
      coalesce((p_notice ->> 'not_manager')::boolean, false), clock(p_now), clock(p_now))
    on conflict (tenant_id, key) do nothing;
  return jsonb_build_object('added', found);
end $$;

-- due_notices: what is due, and what of it the cap holds back. A tenant's people are told at most 120 notices an hour,
-- and 120 urgent ones beyond, so that no flood makes them
--   look away. What is on its way, or waits for its next attempt, counts as told. Not held: what is only looked at (its
--   WhatsApp message is on the way), what is too old to be told, and the one that tells how many are held. Read only.
create or replace function due_notices(p_now timestamptz)
returns table (id bigint, tenant_id text, urgent boolean, due_at timestamptz, created_at timestamptz,
  held boolean) language sql stable as $$
  with due as (
    select n.id, n.tenant_id, n.urgent, n.due_at, n.created_at, n.status = 'handed' or n.kind = 'held'
      or n.created_at < p_now - interval '24 hours' as free
    from notices n where n.status in ('pending', 'handed') and n.due_at <= p_now
  ), told as (
    select s.tenant_id, count(*) as n from notices s
    where s.tenant_id in (select d.tenant_id from due d) and s.created_at > p_now - interval '25 hours'
      and s.kind <> 'held'
      and (s.status = 'handed' or s.status = 'sent' and s.ended_at > p_now - interval '1 hour' or s.status = 'pending'
        and s.claim > 0 and s.due_at > p_now)
    group by s.tenant_id
  )
  select d.id, d.tenant_id, d.urgent, d.due_at, d.created_at, not d.free and coalesce(t.n, 0)
    + row_number() over (partition by d.tenant_id, d.free order by d.urgent desc, d.due_at, d.id) > case when d.urgent
      then 240 else 120 end
  from due d left join told t on t.tenant_id = d.tenant_id
$$;

-- claim_notices: takes notices that are due, urgent ones first.
-- Guarantee: one caller has a notice until its lease is over or it says what became of it; who dies meanwhile has it
--   told again by another. The cap of due_notices holds over any number of callers; what it holds back longer than a
--   minute is counted to people, once an hour.
-- Concurrency: callers queue, since each counts what the others have taken.
-- Result: [{id, claim, tenant, kind, text, urgent, about, not_manager, attempts, age_seconds, message_status: of the
--   WhatsApp message that carries it, or null}].
create or replace function claim_notices(p_limit int, p_lease_ms int, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v_taken jsonb;
begin
  if not exists (select from notices where status in ('pending', 'handed') and due_at <= v_now) then return '[]';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('claim_notices', 13));
  perform add_notice(jsonb_build_object('tenant', d.tenant_id, 'key', 'held-' || to_char(v_now at time zone 'UTC',
    'YYYY-MM-DD"T"HH24:MI:SS'), 'kind', 'held', 'urgent', bool_or(d.urgent), 'text',
      format('Há avisos demais: %s esperam, %s deles urgentes. Vão no máximo 120 por hora, e mais 120 urgentes; os urgentes primeiro, e o que esperar mais de um dia não vai mais. Todos estão na tabela notices.',
        count(*), count(*) filter (where d.urgent))), v_now)
    from due_notices(v_now) d where d.held and not exists (select from notices h
      where h.tenant_id = d.tenant_id and h.kind = 'held' and h.created_at > v_now - interval '1 hour')
    group by d.tenant_id having min(d.created_at) <= v_now - interval '1 minute';
  with taken as (
    update notices n set claim = n.claim + 1, due_at = v_now + make_interval(secs => p_lease_ms / 1000.0)
      from (select d.id from due_notices(v_now) d where not d.held order by d.urgent desc, d.due_at, d.id
        limit p_limit) d
      where n.id = d.id and n.status in ('pending', 'handed') and n.due_at <= v_now returning n.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'claim', t.claim, 'tenant', t.tenant_id, 'kind', t.kind,
    'text', t.text, 'urgent', t.urgent, 'about', t.about, 'not_manager', t.not_manager,
      'attempts', t.attempts, 'age_seconds', extract(epoch from v_now - t.created_at), 'message_status',
        (select m.status from messages m where m.id = t.message_id))
    order by t.urgent desc, t.id), '[]') into v_taken from taken t;
  return v_taken;
end $$;

-- finish_notice: what became of a claimed notice.
-- Guarantee: only the newest claim may speak. `news` tells that this error is another one than before, so that it is
--   logged once.
-- Arguments: p_outcome {status: pending | handed | sent | failed, channel, error, message_id, delay_ms: until the next
--   look (pending, handed), counts: an attempt was made}.
-- Result: {recorded, news}.
create or replace function finish_notice(p_id bigint, p_claim bigint, p_outcome jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v notices; v_status text := p_outcome ->> 'status';
begin
  select * into v from notices where id = p_id and claim = p_claim and status in ('pending', 'handed') for update;
  if not found then return jsonb_build_object('recorded', false, 'news', false); end if;
  update notices set status = v_status, channel = coalesce(p_outcome ->> 'channel', channel),
    error = p_outcome ->> 'error',
    message_id = case v_status when 'pending' then null else coalesce((p_outcome ->> 'message_id')::bigint, message_id)
      end,
    attempts = attempts + case when (p_outcome ->> 'counts')::boolean then 1 else 0 end,
    due_at = clock(p_now) + make_interval(secs => coalesce((p_outcome ->> 'delay_ms')::int, 0) / 1000.0),
    ended_at = case when v_status in ('sent', 'failed') then clock(p_now) end
    where id = v.id;
  return jsonb_build_object('recorded', true, 'news', v.error is distinct from p_outcome ->> 'error');
end $$;

-- notice_number: a number that can carry a notice to the manager: connected (or not known to be away), and not the one
-- that it is about; a healthy one, the preferred one first. Result: its name or null. Read only.
create or replace function notice_number(p_tenant text, p_about text, p_preferred text)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select to_jsonb(name) from instances
  where tenant_id = p_tenant and name is distinct from p_about and status in ('open', 'unknown')
  order by status = 'open' desc, held_reason is null desc, name is not distinct from p_preferred desc, id limit 1
$$;

revoke all on function
  note_forward(bigint, bigint, timestamptz),
  forwards_due(bigint, int, timestamptz),
  take_forward(bigint, bigint, jsonb, timestamptz),
  add_notice(jsonb, timestamptz),
  due_notices(timestamptz),
  claim_notices(int, int, timestamptz),
  finish_notice(bigint, bigint, jsonb, timestamptz),
  notice_number(text, text, text)
  from public, anon, authenticated;
grant execute on function
  note_forward(bigint, bigint, timestamptz),
  forwards_due(bigint, int, timestamptz),
  take_forward(bigint, bigint, jsonb, timestamptz),
  add_notice(jsonb, timestamptz),
  due_notices(timestamptz),
  claim_notices(int, int, timestamptz),
  finish_notice(bigint, bigint, jsonb, timestamptz),
  notice_number(text, text, text)
  to service_role, whats_agents_runtime;
