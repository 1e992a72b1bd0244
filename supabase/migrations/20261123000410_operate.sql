-- Operating: what people are told (the outbox of notices).

-- A notice is a message to the people who run this: an alert, a handoff, a report. `key` names what it is about, so that it is told once.
-- pending: waits for due_at; handed: its WhatsApp message is on its way, looked at again at due_at; sent, failed: over.
create table notices (
  id          bigint generated always as identity primary key,
  tenant_id   text not null references tenants (id),
  key         text not null,
  kind        text not null,
  text        text not null,
  urgent      boolean not null,
  about       text,                                 -- name of the number that it is about, which must not carry it
  not_manager boolean not null default false,       -- it is about the manager's own conversation: only Slack may have it
  status      text not null default 'pending' check (status in ('pending', 'handed', 'sent', 'failed')),
  channel     text check (channel in ('slack', 'whatsapp')),
  attempts    int not null default 0,
  claim       bigint not null default 0,            -- fence: rises with each claim
  due_at      timestamptz not null,
  error       text,                                 -- a word: why the last attempt came to nothing
  message_id  bigint references messages (id),      -- the WhatsApp message that carries it
  created_at  timestamptz not null,
  ended_at    timestamptz,
  unique (tenant_id, key)
);
create index notices_due on notices (due_at) where status in ('pending', 'handed');
create index notices_message on notices (message_id) where message_id is not null;
create index notices_age on notices (created_at);

-- add_notice: a notice, durable with the commit.
-- Guarantee: one row per tenant and key, the first one's words. Concurrency: any; the unique key decides.
-- Arguments: p_notice {tenant, key, kind, text, urgent, about, not_manager}. Result: {added}.
create function add_notice(p_notice jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  insert into notices (tenant_id, key, kind, text, urgent, about, not_manager, due_at, created_at)
    values (p_notice ->> 'tenant', p_notice ->> 'key', p_notice ->> 'kind', p_notice ->> 'text', (p_notice ->> 'urgent')::boolean, p_notice ->> 'about',
      coalesce((p_notice ->> 'not_manager')::boolean, false), clock(p_now), clock(p_now))
    on conflict (tenant_id, key) do nothing;
  return jsonb_build_object('added', found);
end $$;

-- due_notices: what is due, and what of it the cap holds back. A tenant's people are told at most 120 notices an hour, and 120 urgent ones beyond, so that no flood makes them
--   look away. What is on its way, or waits for its next attempt, counts as told. Not held: what is only looked at (its WhatsApp message is on the way), what is too old to be
--   told, and the one that tells how many are held. Read only.
create function due_notices(p_now timestamptz) returns table (id bigint, tenant_id text, urgent boolean, due_at timestamptz, created_at timestamptz, held boolean) language sql stable as $$
  with due as (
    select n.id, n.tenant_id, n.urgent, n.due_at, n.created_at, n.status = 'handed' or n.kind = 'held' or n.created_at < p_now - interval '24 hours' as free
    from notices n where n.status in ('pending', 'handed') and n.due_at <= p_now
  ), told as (
    select s.tenant_id, count(*) as n from notices s
    where s.tenant_id in (select d.tenant_id from due d) and s.created_at > p_now - interval '25 hours' and s.kind <> 'held'
      and (s.status = 'handed' or s.status = 'sent' and s.ended_at > p_now - interval '1 hour' or s.status = 'pending' and s.claim > 0 and s.due_at > p_now)
    group by s.tenant_id
  )
  select d.id, d.tenant_id, d.urgent, d.due_at, d.created_at, not d.free and coalesce(t.n, 0)
    + row_number() over (partition by d.tenant_id, d.free order by d.urgent desc, d.due_at, d.id) > case when d.urgent then 240 else 120 end
  from due d left join told t on t.tenant_id = d.tenant_id
$$;

-- claim_notices: takes notices that are due, urgent ones first.
-- Guarantee: one caller has a notice until its lease is over or it says what became of it; who dies meanwhile has it told again by another. The cap of due_notices holds
--   over any number of callers; what it holds back longer than a minute is counted to people, once an hour.
-- Concurrency: callers queue, since each counts what the others have taken.
-- Result: [{id, claim, tenant, kind, text, urgent, about, not_manager, attempts, age_seconds, message_status: of the WhatsApp message that carries it, or null}].
create function claim_notices(p_limit int, p_lease_ms int, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_now timestamptz := clock(p_now); v_taken jsonb;
begin
  if not exists (select from notices where status in ('pending', 'handed') and due_at <= v_now) then return '[]'; end if;
  perform pg_advisory_xact_lock(hashtextextended('claim_notices', 13));
  perform add_notice(jsonb_build_object('tenant', d.tenant_id, 'key', 'held-' || to_char(v_now at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS'), 'kind', 'held', 'urgent', bool_or(d.urgent), 'text',
      format('Há avisos demais: %s esperam, %s deles urgentes. Vão no máximo 120 por hora, e mais 120 urgentes; os urgentes primeiro, e o que esperar mais de um dia não vai mais. Todos estão na tabela notices.',
        count(*), count(*) filter (where d.urgent))), v_now)
    from due_notices(v_now) d where d.held and not exists (select from notices h where h.tenant_id = d.tenant_id and h.kind = 'held' and h.created_at > v_now - interval '1 hour')
    group by d.tenant_id having min(d.created_at) <= v_now - interval '1 minute';
  with taken as (
    update notices n set claim = n.claim + 1, due_at = v_now + make_interval(secs => p_lease_ms / 1000.0)
      from (select d.id from due_notices(v_now) d where not d.held order by d.urgent desc, d.due_at, d.id limit p_limit) d
      where n.id = d.id and n.status in ('pending', 'handed') and n.due_at <= v_now returning n.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'claim', t.claim, 'tenant', t.tenant_id, 'kind', t.kind, 'text', t.text, 'urgent', t.urgent, 'about', t.about, 'not_manager', t.not_manager,
      'attempts', t.attempts, 'age_seconds', extract(epoch from v_now - t.created_at), 'message_status', (select m.status from messages m where m.id = t.message_id))
    order by t.urgent desc, t.id), '[]') into v_taken from taken t;
  return v_taken;
end $$;

-- finish_notice: what became of a claimed notice.
-- Guarantee: only the newest claim may speak. `news` tells that this error is another one than before, so that it is logged once.
-- Arguments: p_outcome {status: pending | handed | sent | failed, channel, error, message_id, delay_ms: until the next look (pending, handed), counts: an attempt was made}.
-- Result: {recorded, news}.
create function finish_notice(p_id bigint, p_claim bigint, p_outcome jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v notices; v_status text := p_outcome ->> 'status';
begin
  select * into v from notices where id = p_id and claim = p_claim and status in ('pending', 'handed') for update;
  if not found then return jsonb_build_object('recorded', false, 'news', false); end if;
  update notices set status = v_status, channel = coalesce(p_outcome ->> 'channel', channel), error = p_outcome ->> 'error',
    message_id = case v_status when 'pending' then null else coalesce((p_outcome ->> 'message_id')::bigint, message_id) end,
    attempts = attempts + case when (p_outcome ->> 'counts')::boolean then 1 else 0 end,
    due_at = clock(p_now) + make_interval(secs => coalesce((p_outcome ->> 'delay_ms')::int, 0) / 1000.0),
    ended_at = case when v_status in ('sent', 'failed') then clock(p_now) end
    where id = v.id;
  return jsonb_build_object('recorded', true, 'news', v.error is distinct from p_outcome ->> 'error');
end $$;

-- notice_number: a number that can carry a notice to the manager: connected (or not known to be away), and not the one that it is about; a healthy one, the preferred
-- one first. Result: its name or null. Read only.
create function notice_number(p_tenant text, p_about text, p_preferred text) returns jsonb language sql stable as $$
  select to_jsonb(name) from instances
  where tenant_id = p_tenant and name is distinct from p_about and status in ('open', 'unknown')
  order by status = 'open' desc, held_reason is null desc, name is not distinct from p_preferred desc, id limit 1
$$;
