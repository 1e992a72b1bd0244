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

-- claim_notices: takes notices that are due, urgent ones first.
-- Guarantee: one caller has a notice until its lease is over or it says what became of it; who dies meanwhile has it told again by another. A tenant's people are told at
--   most 120 notices an hour, and 120 urgent ones beyond: the rest waits, so that no flood makes them look away.
-- Concurrency: any number of callers; what another one is just taking is left out.
-- Result: [{id, claim, tenant, kind, text, urgent, about, not_manager, attempts, age_seconds, message_status: of the WhatsApp message that carries it, or null}].
create function claim_notices(p_limit int, p_lease_ms int, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_taken jsonb;
begin
  with due as (
    select id from notices n where status in ('pending', 'handed') and due_at <= clock(p_now)
      and (status = 'handed' or attempts > 0 or (select count(*) from (select from notices s where s.tenant_id = n.tenant_id and s.created_at > clock(p_now) - interval '25 hours'
        and (s.status = 'handed' or (s.status = 'sent' and s.ended_at > clock(p_now) - interval '1 hour')) limit 240) told) < case when n.urgent then 240 else 120 end)
      order by urgent desc, due_at limit p_limit for update skip locked
  ), taken as (
    update notices n set claim = n.claim + 1, due_at = clock(p_now) + make_interval(secs => p_lease_ms / 1000.0) from due where n.id = due.id returning n.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'claim', t.claim, 'tenant', t.tenant_id, 'kind', t.kind, 'text', t.text, 'urgent', t.urgent, 'about', t.about, 'not_manager', t.not_manager,
      'attempts', t.attempts, 'age_seconds', extract(epoch from clock(p_now) - t.created_at), 'message_status', (select m.status from messages m where m.id = t.message_id))
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
