-- Numbers: the health of each WhatsApp number, which number a proactive message leaves from, resets of breakers.
--
-- What stops proactive messages of a number by itself is one circuit in its row, shared by every process:
--   closed     held_reason is null
--   open       held_until is ahead: nothing that nobody asked for leaves
--   half open  held_until is past: one such message may leave; what becomes of it closes the circuit or opens it again, for twice as long
-- Replies are never held by it: they wait only while the number is disconnected, or for the breaker of the process that sends.

-- What happened to a number, and why. Append-only.
create table instance_events (
  id           bigint generated always as identity primary key,
  tenant_id    text not null default 'default' references tenants (id),
  instance_id  bigint not null references instances (id),
  event        text not null check (event in ('connection', 'held', 'released', 'changed', 'restarted', 'deaf', 'hears')),
  reason       text,
  details      jsonb not null default '{}',
  created_at   timestamptz not null default now()
);
create index instance_events_newest on instance_events (instance_id, id desc);
create index instance_events_tenant on instance_events (tenant_id);

-- A person asks for breakers to be closed; each process reads it back with its heartbeat.
create table breaker_resets (
  id          bigint generated always as identity primary key,
  tenant_id   text not null default 'default' references tenants (id),
  breaker     text,          -- null: all
  instance    text,          -- null: all
  actor       text not null,
  created_at  timestamptz not null default now()
);
create index breaker_resets_tenant on breaker_resets (tenant_id);

do $$
declare t text;
begin
  foreach t in array array['instance_events', 'breaker_resets'] loop
    execute format('alter table public.%I enable row level security', t);
    execute format('revoke all on public.%I from anon, authenticated', t);
    execute format('grant select, insert on public.%I to service_role', t);
  end loop;
  revoke all on all sequences in schema public from anon, authenticated;
end $$;

-- is_heard: whether what a process said of its breakers holds: some heartbeats later another one probes. As isHeard of core/liveness.ts.
create function is_heard(p_seen_at timestamptz, p_now timestamptz) returns boolean language sql immutable as $$
  select p_seen_at > p_now - interval '15 seconds'
$$;

-- is_there: whether a process is there at all: one that is replaced is silent for a while. As isThere of core/liveness.ts.
create function is_there(p_seen_at timestamptz, p_now timestamptz) returns boolean language sql immutable as $$
  select p_seen_at > p_now - interval '1 minute'
$$;

-- note_instance: one line in the history of a number.
create function note_instance(p_instance instances, p_event text, p_reason text, p_details jsonb, p_now timestamptz) returns void language sql as $$
  insert into instance_events (tenant_id, instance_id, event, reason, details, created_at) values (p_instance.tenant_id, p_instance.id, p_event, p_reason, p_details, p_now)
$$;

-- trust_now: the trust figure 0..100: each trouble takes from it, and it comes back by 5 an hour.
create function trust_now(p_instance instances, p_now timestamptz) returns int language sql immutable as $$
  select greatest(0, least(100, floor(p_instance.trust + 5 * extract(epoch from greatest(interval '0', p_now - p_instance.trust_at)) / 3600)))::int
$$;

-- number_hold: whether the health of a number that is connected lets a message leave now.
-- Guarantee: while the circuit is half open, one proactive message is on trial at a time.
-- Arguments: p_reply true for a reply, and for what a person sends over the rules.
-- Concurrency: the caller holds the instance's lock. Result: as `ends` in the list of guardrails: null, {rule, until} or {rule, look}.
create function number_hold(p_instance instances, p_reply boolean, p_now timestamptz) returns jsonb language sql stable as $$
  select case
    when p_reply or p_instance.held_reason is null then null
    when p_instance.held_until > p_now then waits(p_instance.held_reason, p_instance.held_until, p_now)
    when exists (select from messages where instance_id = p_instance.id and slot_at >= p_instance.held_until and kind not in ('reply', 'handoff')) then
      looks(p_instance.held_reason, true, p_now + interval '1 minute')
  end
$$;

-- incident: what each costs a number: its proactive messages rest for `minutes`, and its trust falls by `trust` of 100. The one list; core/incidents.ts has
--   those that the answer to a send tells of. Result: {reason, minutes, trust}, see number_trouble; null for a name that is not in it.
create function incident(p_name text) returns jsonb language sql immutable as $$
  select jsonb_build_object('reason', i.reason, 'minutes', i.minutes, 'trust', i.trust) from (values
    -- a setting of ours or of Evolution's is wrong: nothing is said of the number
    ('send_unauthorized', 'number_unauthorized', 5, 0),
    ('send_unlicensed', 'number_unlicensed', 5, 0),
    -- WhatsApp's own words about one message
    ('send_rate_limited', 'number_rate_limited', 5, 10),
    ('send_restricted', 'number_restricted', 60, 30),
    -- WhatsApp has thrown the number out (403 at its connection): nothing is left of its trust
    ('banned', 'number_restricted', 60, 100),
    -- a message that it took and then refused; heal_send gives that back
    ('error_ack', 'number_error_acks', 30, 20),
    -- what only a look over many sends shows
    ('nothing_arrives', 'number_undelivered', 15, 15),
    ('little_arrives', 'number_few_deliveries', 30, 10),
    -- a message on trial of which nobody heard again; the reason is the one of the hold
    ('trial_unanswered', null, 15, 5)) i (name, reason, minutes, trust)
  where i.name = p_name
$$;

-- number_trouble: something says that a number is not well: an answer of the provider, an ERROR ack, missing delivery acks.
-- Guarantee: nothing proactive leaves for at least `minutes`, doubled for each hold within a day that came before this one, up to a day; below
--   a trust of 40 until the trust is back. News while it is held already may prolong that, and count once as repetition. What takes no trust (a setting is
--   wrong) says nothing of the number: it is neither doubled nor does it double what follows, and any message that leaves ends it (number_sent).
-- Arguments: p_trouble {reason, minutes, trust (points that it takes)}, see incident.
-- Concurrency: locks the instance; whoever holds a conversation's lock may call it, as claim_send locks in that order too.
create function number_trouble(p_instance_id bigint, p_trouble jsonb, p_now timestamptz) returns void language plpgsql as $$
declare
  v instances;
  v_open boolean;
  v_row int;
  v_trust numeric;
  v_reason text := p_trouble ->> 'reason';
  v_setting boolean := (p_trouble ->> 'trust')::numeric = 0;
  v_until timestamptz;
  v_back timestamptz;
begin
  select * into v from instances where id = p_instance_id for no key update;
  v_open := v.held_reason is not null and v.held_until > p_now;
  v_row := case when v.held_since is null or v.held_since < p_now - interval '1 day' then 0 when v_open then v.held_in_row else v.held_in_row + 1 end;
  v_trust := greatest(0, trust_now(v, p_now) - (p_trouble ->> 'trust')::numeric);
  v_until := p_now + least(interval '1 day', make_interval(mins => (p_trouble ->> 'minutes')::int) * case when v_setting then 1 else power(2, least(v_row, 10))::float8 end);
  v_back := p_now + make_interval(secs => ceil(greatest(0, 40 - v_trust) / 5 * 3600)::float8);
  if v_back > v_until then
    v_until := v_back;
    v_reason := 'number_trust';
  end if;
  if v_open and v.held_until >= v_until then
    update instances set trust = v_trust, trust_at = p_now where id = v.id;
    return;
  end if;
  update instances set trust = v_trust, trust_at = p_now, held_reason = v_reason, held_since = case when v_open then held_since else p_now end,
    held_until = v_until,
    -- what comes next is the next in the row all the same
    held_in_row = case when v_setting and not v_open then v_row - 1 else v_row end where id = v.id returning * into v;
  if not v_open then
    perform note_instance(v, 'held', v_reason, p_trouble || jsonb_build_object('until', v_until, 'trust_now', floor(v_trust), 'in_row', v_row), p_now);
    insert into circuit_transitions (tenant_id, breaker, instance, process, state, reason, created_at) values (v.tenant_id, 'number', v.name, 'database', 'open', v_reason, p_now);
  end if;
end $$;

-- release_number: proactive messages of a number may leave again; what waited for it is due now.
-- Concurrency: the caller holds the instance's lock. Arguments: p_why a word for the history.
create function release_number(p_instance instances, p_why text, p_now timestamptz) returns void language plpgsql as $$
begin
  update instances set held_reason = null, held_until = null, judged_from = p_now where id = p_instance.id;
  update messages set due_at = p_now where instance_id = p_instance.id and status = 'queued' and kind not in ('reply', 'handoff') and reason like 'number\_%' and due_at > p_now;
  perform note_instance(p_instance, 'released', p_instance.held_reason, jsonb_build_object('why', p_why, 'since', p_instance.held_since), p_now);
  insert into circuit_transitions (tenant_id, breaker, instance, process, state, reason, created_at)
    values (p_instance.tenant_id, 'number', p_instance.name, 'database', 'closed', p_why, p_now);
end $$;

-- number_sent: the provider took a message of this number. A proactive one on trial closes the circuit, unless deliveries are what is in doubt; any one does
--   when a setting was wrong.
-- Concurrency: any; locks the instance only when there is something to change.
create function number_sent(p_instance_id bigint, p_proactive boolean, p_now timestamptz) returns void language plpgsql as $$
declare v instances;
begin
  select * into v from instances where id = p_instance_id and (held_reason in ('number_unauthorized', 'number_unlicensed')
    or (p_proactive and held_until <= p_now and held_reason not in ('number_undelivered', 'number_few_deliveries', 'number_error_acks'))) for no key update;
  if found then perform release_number(v, 'a message left again', p_now); end if;
end $$;

-- judged_sends: the newest sends of a number that have had the time to be delivered, newest first, with whether they were.
create function judged_sends(p_instance instances, p_now timestamptz) returns table (slot_at timestamptz, delivered boolean, refused boolean, proactive boolean) language sql stable as $$
  -- two halves, each on its index
  with newest as (
    (select m.slot_at, m.delivered_at, m.error_class, true as proactive from messages m
      where m.instance_id = p_instance.id and m.slot_at > greatest(p_now - interval '1 day', p_instance.judged_from) and m.slot_at <= p_now - interval '10 minutes'
        and m.kind not in ('reply', 'handoff') and m.type <> 'reaction' and (m.status in ('sent', 'delivered', 'read') or m.error_class = 'provider_refused')
      order by m.slot_at desc limit 50)
    union all
    (select m.slot_at, m.delivered_at, m.error_class, false from messages m
      where m.instance_id = p_instance.id and m.slot_at > greatest(p_now - interval '1 day', p_instance.judged_from) and m.slot_at <= p_now - interval '10 minutes'
        and m.kind in ('reply', 'handoff') and m.type <> 'reaction' and (m.status in ('sent', 'delivered', 'read') or m.error_class = 'provider_refused')
      order by m.slot_at desc limit 50))
  select n.slot_at, n.delivered_at is not null, n.error_class is not distinct from 'provider_refused', n.proactive from newest n order by n.slot_at desc limit 50
$$;

-- assess_numbers: what only a look over many sends shows: numbers that are connected in words and deliver nothing, or deliver ever less; and trials
-- whose end nobody told. To be called each minute.
-- Concurrency: any number of callers; each number is locked while it is judged. Result: {released: [instance name]}: their lanes may be woken.
create function assess_numbers(p_now timestamptz default null) returns jsonb language plpgsql as $$
declare
  v_now timestamptz := clock(p_now);
  v instances;
  v_released text[] := '{}';
  v_count int;
  v_delivered int;
  v_newest int;
  v_trial record;
begin
  for v in select * from instances order by id for no key update loop
    -- it was believed dead, and something arrived: a reply, since those are not held
    if v.held_reason = 'number_undelivered' and exists (select from messages m where m.instance_id = v.id and m.slot_at >= v.held_since
        and m.kind in ('reply', 'handoff') and m.delivered_at is not null) then
      perform release_number(v, 'a message arrived again', v_now);
      v_released := v_released || v.name;
      continue;
    end if;
    if v.held_reason is not null and v.held_until <= v_now then
      select m.status, m.error_class, m.delivered_at, m.slot_at into v_trial from messages m
        where m.instance_id = v.id and m.slot_at >= v.held_until and m.kind not in ('reply', 'handoff') order by m.slot_at desc limit 1;
      if found and (v_trial.delivered_at is not null or (v_trial.status = 'sent' and v.held_reason not in ('number_undelivered', 'number_few_deliveries', 'number_error_acks'))) then
        perform release_number(v, 'a message arrived again', v_now);
        v_released := v_released || v.name;
      elsif found and v_trial.slot_at <= v_now - interval '10 minutes' then
        -- nobody answered for it: twice as long
        perform number_trouble(v.id, incident('trial_unanswered') || jsonb_build_object('reason', v.held_reason), v_now);
      end if;
      continue;
    end if;
    continue when v.held_reason is not null or v.status not in ('open', 'unknown');
    select count(*), count(*) filter (where delivered), count(*) filter (where delivered and place <= 10) into v_count, v_delivered, v_newest
      from (select j.delivered, row_number() over (order by j.slot_at desc) as place from judged_sends(v, v_now) j) s;
    if v_count >= 10 and v_newest = 0 then
      perform number_trouble(v.id, incident('nothing_arrives'), v_now);
    elsif v_count >= 20 and v_delivered < 0.6 * v_count then
      perform number_trouble(v.id, incident('little_arrives'), v_now);
    end if;
  end loop;
  return jsonb_build_object('released', to_jsonb(v_released));
end $$;

-- number_health: each number with what is known of it, for alerts, /health/circuit and the admin commands. Read only.
-- Arguments: p_tenant null for all. Result: [{instance, tenant, status, status_reason, status_at, phone, proactive, phase, cap_hour, cap_day, pace_min_seconds,
--   pace_max_seconds, health: 'ok' | 'disconnected' | 'held' | 'on_trial', reason, since, until, in_row, trust, judged, delivered, refused}]; the last three are of
--   the newest 50 sends of 24 hours that are older than 10 minutes.
create function number_health(p_tenant text default null, p_now timestamptz default null) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('instance', i.name, 'tenant', i.tenant_id, 'status', i.status, 'status_reason', i.status_reason, 'status_at', i.status_at,
    'phone', i.phone, 'gateway_version', i.gateway_version, 'proactive', i.proactive, 'phase', i.phase, 'cap_hour', i.cap_hour, 'cap_day', i.cap_day, 'pace_min_seconds', i.pace_min_seconds,
    'pace_max_seconds', i.pace_max_seconds,
    'health', case when i.status in ('close', 'refused', 'connecting') then 'disconnected' when i.held_reason is null then 'ok' when i.held_until > clock(p_now) then 'held' else 'on_trial' end,
    'reason', case when i.status in ('close', 'refused', 'connecting') then 'number_disconnected' else i.held_reason end,
    'since', case when i.status in ('close', 'refused', 'connecting') then i.status_at when i.held_reason is not null then i.held_since end,
    'until', i.held_until, 'in_row', i.held_in_row, 'trust', trust_now(i, clock(p_now)), 'judged', j.judged, 'delivered', j.delivered, 'refused', j.refused) order by i.id), '[]')
  from instances i, lateral (select count(*) as judged, count(*) filter (where s.delivered) as delivered, count(*) filter (where s.refused) as refused
    from judged_sends(i, clock(p_now)) s) j
  where p_tenant is null or i.tenant_id = p_tenant
$$;

-- choose_instance: the number that a proactive message to a phone leaves from.
-- Order: may be chosen and belongs to the tenant; then connected, healthy and no breaker open; under its caps; known to the contact (it wrote there, newest
--   first); least used of its day's cap, what is queued included. When none is fit the best of the unfit is taken, and the message waits there and says why.
-- Guarantee: two callers at once never count the same room: they queue on the tenant until the message that was chosen for is stored. The slot itself is
--   taken by claim_send, exactly; what is queued counts here as used, so that the choice is a reservation.
-- Arguments: p_default the number to take when none may be chosen; p_policy {capHour, capDay}, for numbers without caps of their own.
-- Result: the name, or p_default.
create function choose_instance(p_tenant text, p_phone text, p_default text, p_policy jsonb, p_now timestamptz) returns text language plpgsql as $$
declare v_name text;
begin
  perform pg_advisory_xact_lock(hashtextextended('choose/' || p_tenant, 13));
  select s.name into v_name from (
    select i.id, i.name,
      i.status in ('open', 'unknown') and number_hold(i, false, p_now) is null and not breaker_open('evolution', i.name, p_now) as fit,
      coalesce(i.cap_hour, (p_policy ->> 'capHour')::int) as cap_hour, coalesce(i.cap_day, (p_policy ->> 'capDay')::int) as cap_day,
      u.hour, u.day, c.last_inbound_at
    from instances i
      left join contact_addresses a on a.kind = 'pn' and a.tenant_id = p_tenant and a.address = p_phone
      left join conversations c on c.instance_id = i.id and c.contact_id = a.contact_id and c.merged_into is null,
      lateral (select count(*) filter (where m.slot_at > p_now - interval '1 hour' or m.slot_at is null) as hour, count(*) as day from (
        select slot_at from messages where instance_id = i.id and slot_at > p_now - interval '1 day' and kind not in ('reply', 'handoff')
        union all
        -- enough to fill a day: a longer queue makes no number fuller
        (select null from messages where instance_id = i.id and status = 'queued' and kind not in ('reply', 'handoff') limit 1000)) m) u
    where i.tenant_id = p_tenant and i.proactive) s
  order by s.fit desc, (s.hour < s.cap_hour and s.day < s.cap_day) desc, s.last_inbound_at desc nulls last, s.day::numeric / greatest(s.cap_day, 1), s.id
  limit 1;
  return coalesce(v_name, p_default);
end $$;

-- breaker_open: whether a process that lives says that this breaker lets nothing through. Read only.
create function breaker_open(p_breaker text, p_instance text, p_now timestamptz) returns boolean language sql stable as $$
  select exists (select from process_status p, jsonb_array_elements(p.breakers) b
    where is_heard(p.seen_at, p_now) and b ->> 'name' = p_breaker and b ->> 'instance' is not distinct from p_instance and b ->> 'state' <> 'closed')
$$;

-- breaker_reason: why the breaker of a number is open in a process that lives; of these reasons, or any. Null: it is not. Read only.
create function breaker_reason(p_instance text, p_reasons jsonb, p_now timestamptz) returns text language sql stable as $$
  select e.value ->> 'reason' from process_status p, jsonb_array_elements(p.breakers) e
  where is_heard(p.seen_at, p_now) and e.value ->> 'name' = 'evolution' and e.value ->> 'instance' = p_instance and e.value ->> 'state' <> 'closed'
    and (p_reasons is null or p_reasons ? (e.value ->> 'reason')) limit 1
$$;

-- signs_of_life: what was heard of a number within half a minute. Read only; webhooks are looked for by their age alone, so it is for numbers in trouble.
-- Result: [{kind: 'reconnect' its connection was made | 'word' a webhook of it, or a call that succeeded, age_ms}].
create function signs_of_life(p_instance text, p_now timestamptz) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('kind', s.kind, 'age_ms', greatest(0, floor(extract(epoch from p_now - s.at) * 1000))::int) order by s.kind), '[]') from (
    select 'reconnect' as kind, alive_at as at from instances where name = p_instance
    union all
    select 'word', greatest((select answered_at from instances where name = p_instance),
      (select max(received_at) from webhook_events where received_at > p_now - interval '30 seconds' and instance = p_instance and aside_id is null))) s
  where s.at > p_now - interval '30 seconds'
$$;

-- note_alive: Evolution is back with these numbers ('reconnect'), or a call of them succeeded after others had failed ('word').
create function note_alive(p_instances jsonb, p_kind text, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  update instances set alive_at = case when p_kind = 'reconnect' then clock(p_now) else alive_at end,
    answered_at = case when p_kind = 'word' then clock(p_now) else answered_at end where p_instances ? name;
  return '{}';
end $$;

-- release_sends: a number may be called again: what waited for that is due now.
-- Arguments: p_reasons why rows wait for the number, and for nothing else. Result: conversations to wake, those that were due already among them (whoever was to look
--   at them may be gone), at most 500; a sweep finds the others.
create function release_sends(p_instance text, p_reasons jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_lanes jsonb;
begin
  with freed as (
    update messages m set due_at = least(m.due_at, clock(p_now)) from instances i
      where i.name = p_instance and m.instance_id = i.id and m.direction = 'out' and m.status = 'queued' and p_reasons ? m.reason
      returning m.conversation_id, m.priority, m.id)
  select coalesce(jsonb_agg(l.conversation_id), '[]') into v_lanes from (select f.conversation_id from freed f group by 1 order by min(f.priority), min(f.id) limit 500) l;
  return v_lanes;
end $$;

-- restarts_in_row: how often a number was restarted by ourselves without a message leaving after it; a quiet quarter of a day ends the row too.
create function restarts_in_row(p_instance instances, p_now timestamptz) returns int language sql stable as $$
  select case when p_instance.restarted_at is null or p_instance.restarted_at < p_now - interval '6 hours'
    or exists (select from messages where instance_id = p_instance.id and slot_at > p_instance.restarted_at and status in ('sent', 'delivered', 'read')) then 0 else p_instance.restarts end
$$;

-- last_heard: when a number last heard anything within a day: a message of somebody, or news of one of its own. Read only.
create function last_heard(p_instance instances, p_now timestamptz) returns timestamptz language sql stable as $$
  select greatest((select max(m.created_at) from messages m where m.created_at > p_now - interval '1 day' and m.instance_id = p_instance.id and m.direction = 'in'),
    (select max(m.delivered_at) from messages m where m.created_at > p_now - interval '1 day' and m.instance_id = p_instance.id and m.direction = 'out'))
$$;

-- is_silence_unusual: whether people usually write to a number in such a time: in the same stretch of the clock of four in five of the last 14 days, and of the same weekday of the
--   last two weeks. False for a number of less than a week. Read only.
create function is_silence_unusual(p_instance instances, p_since timestamptz, p_now timestamptz) returns boolean language sql stable as $$
  with days as (
    select d, exists (select from messages m where m.created_at > greatest(p_since, p_now - interval '3 hours') - make_interval(days => d) and m.created_at <= p_now - make_interval(days => d)
      and m.instance_id = p_instance.id and m.direction = 'in') as heard
    from generate_series(1, 14) d where p_instance.created_at < p_now - make_interval(days => d, hours => 3)
  )
  select count(*) >= 7 and count(*) filter (where heard) >= 0.8 * count(*) and bool_and(heard or d % 7 <> 0) from days
$$;

-- listen_numbers: finds numbers that say that they are connected and hear nothing. One that is silent for an unusual time sends a message to itself, which its own phone
--   acknowledges; when that is not heard within two minutes of its leaving, and nothing else either, the number is deaf, until something is heard.
-- Guarantee: one such message in 6 hours, over any number of callers; a number that may not send, or whose message waits, is not called deaf. To be called each minute.
-- Concurrency: each number is locked while it is judged. Result: {wake: [conversation id] of messages to itself, deaf: [instance], hears: [instance]}.
create function listen_numbers(p_now timestamptz default null) returns jsonb language plpgsql as $$
declare
  v_now timestamptz := clock(p_now);
  v instances;
  m messages;
  v_heard timestamptz;
  v_sent jsonb;
  v_all jsonb := '{"wake": [], "deaf": [], "hears": []}';
begin
  for v in select * from instances where paired and status = 'open' and restored_at is null order by id for no key update loop
    v_heard := last_heard(v, v_now);
    if v.deaf_since is not null then
      continue when coalesce(v_heard <= v.deaf_since, true);
      update instances set deaf_since = null, hearing_message = null where id = v.id;
      perform note_instance(v, 'hears', null, jsonb_build_object('since', v.deaf_since), v_now);
      v_all := jsonb_set(v_all, '{hears}', v_all -> 'hears' || to_jsonb(v.name));
    elsif v.hearing_message is not null then
      select * into m from messages where id = v.hearing_message;
      if coalesce(v_heard > v.hearing_at, false) or v.hearing_at < v_now - interval '15 minutes' or m.id is null then
        update instances set hearing_message = null where id = v.id;
      elsif m.status = 'sent' and m.slot_at <= v_now - interval '2 minutes' then
        update instances set deaf_since = v_now, hearing_message = null where id = v.id;
        perform note_instance(v, 'deaf', null, jsonb_build_object('heard', v_heard), v_now);
        v_all := jsonb_set(v_all, '{deaf}', v_all -> 'deaf' || to_jsonb(v.name));
      end if;
    elsif v.phone is not null and coalesce(v.hearing_at < v_now - interval '6 hours', true)
      and greatest(v_heard, v.status_at, v_now - interval '1 day') <= v_now - interval '45 minutes'
      and is_silence_unusual(v, greatest(v_heard, v.status_at, v_now - interval '1 day'), v_now) then
      v_sent := enqueue_message(jsonb_build_object('tenant', v.tenant_id, 'instance', v.name, 'phone', v.phone, 'kind', 'operator', 'correlation_id', 'hearing-' || v.id,
        'text', 'Teste automático: este número está ouvindo? Pode ignorar.', 'expires_at', v_now + interval '10 minutes'), v_now);
      update instances set hearing_at = v_now, hearing_message = (v_sent ->> 'id')::bigint where id = v.id;
      v_all := jsonb_set(v_all, '{wake}', v_all -> 'wake' || (v_sent -> 'conversation_id'));
    end if;
  end loop;
  return v_all;
end $$;

-- claim_restarts: numbers whose socket is dead behind an Evolution that answers, for this caller to restart: the breaker of one is open for such a reason in a process that
--   lives, or it is connecting for longer than any connection takes. Never one that waits for its code to be scanned: a restart would throw the code away.
-- Guarantee: one caller gets each; the next restart of it comes after 2 minutes, then 4, 8 and so on up to an hour, until a message leaves.
-- Arguments: p_reasons what a restart may cure (core/send-fault.ts). Concurrency: any number of callers. Result: [{instance, reason, restarts}].
create function claim_restarts(p_reasons jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare
  v_now timestamptz := clock(p_now);
  v record;
  v_instance instances;
  v_taken jsonb := '[]';
begin
  for v in select s.* from (
      select i.id, case i.status when 'connecting' then 'connecting' else breaker_reason(i.name, p_reasons, v_now) end as reason from instances i
        where i.paired and i.deaf_since is null and (i.status in ('open', 'unknown') or (i.status = 'connecting' and i.status_at <= v_now - interval '30 seconds'))
      union all
      select i.id, 'deaf' from instances i where i.paired and i.status = 'open' and i.deaf_since is not null) s
      where s.reason is not null order by s.id loop
    -- looked at again under its lock: another caller may have taken it just now
    update instances i set restarts = restarts_in_row(i, v_now) + 1, restarted_at = v_now
      where i.id = v.id and (i.restarted_at is null or i.restarted_at <= v_now - least(interval '1 hour', make_interval(mins => power(2, least(restarts_in_row(i, v_now), 6))::int)))
      returning i.* into v_instance;
    continue when not found;
    perform note_instance(v_instance, 'restarted', v.reason, jsonb_build_object('in_row', v_instance.restarts), v_now);
    v_taken := v_taken || jsonb_build_object('instance', v_instance.name, 'reason', v.reason, 'restarts', v_instance.restarts);
  end loop;
  return v_taken;
end $$;

-- note_delivery: a message reached its contact under the address that it was sent to. One write an hour and address is enough to know.
-- Concurrency: the caller holds the conversation's lock.
create function note_delivery(p_message messages, p_contact bigint, p_now timestamptz) returns void language sql as $$
  update contact_addresses set delivered_at = p_now, refused_at = null where id = address_row(p_contact, p_message.sent_to)
    and (delivered_at is null or delivered_at < p_now - interval '1 hour' or refused_at is not null)
$$;

-- turn_address: answers go to another address of the same person, if there is one: where something was delivered last, else the phone number; not where Evolution
--   found nobody within the week. The contact's next message turns it back to where that came from.
-- Arguments: p_sent_to the address that was refused. Result: whether answers go elsewhere now (or did already).
-- Concurrency: the caller holds the conversation's lock.
create function turn_address(p_conversation conversations, p_sent_to text, p_now timestamptz) returns boolean language plpgsql as $$
declare v_jid text; v_refused bigint := address_row(p_conversation.contact_id, p_sent_to);
begin
  if p_conversation.jid <> p_sent_to then return not address_refused(p_conversation.contact_id, p_conversation.jid, p_now); end if;
  select coalesce(a.written, a.address) || case a.kind when 'pn' then '@s.whatsapp.net' else '@lid' end into v_jid from contact_addresses a
    where a.contact_id = p_conversation.contact_id and (a.kind = 'pn' or a.instance_id = p_conversation.instance_id) and a.id is distinct from v_refused
      and (a.refused_at is null or a.refused_at <= p_now - interval '7 days')
    order by a.delivered_at desc nulls last, a.kind = 'pn' desc, a.id desc limit 1;
  if v_jid is null then return false; end if;
  update conversations set jid = v_jid where id = p_conversation.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_conversation.tenant_id, 'runtime', 'address.turned', p_conversation.id::text, jsonb_build_object('from_kind', split_part(p_sent_to, '@', 2), 'to_kind', split_part(v_jid, '@', 2)), p_now);
  return true;
end $$;

-- refuse_address: Evolution found nobody under the address of a send. A writing that WhatsApp had told is forgotten first, since people are moved from one to the other; then
--   the address is, for a week, and answers go to another one. Result: whether there is something left to try.
-- Arguments: p_elsewhere false: another address is none for this message.
-- Concurrency: the caller holds the conversation's lock.
create function refuse_address(p_conversation conversations, p_sent_to text, p_elsewhere boolean, p_now timestamptz) returns boolean language plpgsql as $$
declare v_row bigint := address_row(p_conversation.contact_id, p_sent_to);
begin
  update contact_addresses set written = null where id = v_row and written is not null;
  if found then return true; end if;
  update contact_addresses set refused_at = p_now where id = v_row;
  return p_elsewhere and turn_address(p_conversation, p_sent_to, p_now);
end $$;

-- note_gateway: which release of Evolution answers, for all of its numbers. Result: {changed: how many did not know}.
create function note_gateway(p_version text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_changed int;
begin
  select count(*) into v_changed from instances where gateway_version is distinct from p_version;
  update instances set gateway_version = p_version, gateway_version_at = clock(p_now);
  return jsonb_build_object('changed', v_changed);
end $$;

-- set_instance: an operator changes what a number may do. Null leaves a value as it is; a cap or pace of -1 goes back to what the environment says.
-- Arguments: p_change {proactive, phase, cap_hour, cap_day, reply_cap_hour, pace_min_seconds, pace_max_seconds}.
-- Errors: 23514 the paces contradict each other. Result: {outcome: 'changed' | 'unknown'}; audited.
create function set_instance(p_tenant text, p_name text, p_actor text, p_change jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v instances;
begin
  update instances set proactive = coalesce((p_change ->> 'proactive')::boolean, proactive), phase = coalesce(p_change ->> 'phase', phase),
    phase_since = case when p_change ->> 'phase' <> phase then clock(p_now) else phase_since end,
    cap_hour = nullif(coalesce((p_change ->> 'cap_hour')::int, cap_hour), -1), cap_day = nullif(coalesce((p_change ->> 'cap_day')::int, cap_day), -1),
    reply_cap_hour = nullif(coalesce((p_change ->> 'reply_cap_hour')::int, reply_cap_hour), -1),
    pace_min_seconds = nullif(coalesce((p_change ->> 'pace_min_seconds')::numeric, pace_min_seconds), -1),
    pace_max_seconds = nullif(coalesce((p_change ->> 'pace_max_seconds')::numeric, pace_max_seconds), -1)
    where name = p_name and tenant_id = p_tenant returning * into v;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  -- what waits for the old figures is looked at by the new ones
  perform release_held(p_tenant, p_name, array['cap_hour', 'cap_day', 'warming_hour', 'warming_day', 'kind_cap', 'strangers', 'pace'], clock(p_now));
  perform note_instance(v, 'changed', null, p_change || jsonb_build_object('actor', p_actor), clock(p_now));
  insert into audit_log (tenant_id, actor, action, subject, details) values (p_tenant, p_actor, 'instance.set', p_name, p_change);
  return jsonb_build_object('outcome', 'changed');
end $$;

-- tried_name: a name as the audit of a tenant has it: the name may be somebody else's.
create function tried_name(p_name text) returns text language sql immutable as $$ select 'hash:' || left(encode(sha256(convert_to(p_name, 'UTF8')), 'hex'), 12) $$;

-- may_connect: whether a tenant may have a number of this name; asked before anything is made at Evolution, where making it would be the harm already.
-- Guarantee: another tenant than default gets no name that somebody else has, or that was set aside and not by a secret of its own: that is told to default. It has at most
--   `max_numbers` (tenants.settings; 10 without), where each name counts that it tried in the last hour, so that neither Evolution is filled nor names are guessed. Audited.
-- Concurrency: callers of a tenant queue. Result: {outcome: 'own' | 'new' | 'not_yours' | 'too_many' | 'unknown_tenant', most}.
create function may_connect(p_tenant text, p_name text, p_actor text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_owner text; v_most int; v_aside set_aside;
begin
  select coalesce((substring(settings ->> 'max_numbers' from '^\d{1,6}$'))::int, 10) into v_most from tenants where id = p_tenant for no key update;
  if not found then return jsonb_build_object('outcome', 'unknown_tenant'); end if;
  select tenant_id into v_owner from instances where name = p_name;
  if v_owner = p_tenant then return jsonb_build_object('outcome', 'own'); end if;
  if p_tenant = 'default' then return jsonb_build_object('outcome', case when v_owner is null then 'new' else 'not_yours' end); end if;
  -- before it is said whose the name is: who may have no more learns nothing of names
  if (select count(*) from (select tried_name(name) as name from instances where tenant_id = p_tenant union
      select subject from audit_log where tenant_id = p_tenant and action = 'instance.try' and created_at > clock(p_now) - interval '1 hour') names where name <> tried_name(p_name)) >= v_most then
    return jsonb_build_object('outcome', 'too_many', 'most', v_most);
  end if;
  insert into audit_log (tenant_id, actor, action, subject, created_at) values (p_tenant, p_actor, 'instance.try', tried_name(p_name), clock(p_now));
  if v_owner is not null then return jsonb_build_object('outcome', 'not_yours'); end if;
  select * into v_aside from set_aside where name = p_name and tenant_id <> p_tenant order by id limit 1;
  if not found then return jsonb_build_object('outcome', 'new'); end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values ('default', p_actor, 'instance.connect_refused', p_name, jsonb_build_object('tenant', p_tenant, 'aside', v_aside.id), clock(p_now));
  perform add_notice(jsonb_build_object('tenant', 'default', 'key', 'aside-wanted-' || v_aside.id || '-' || p_tenant, 'kind', 'alert', 'urgent', true, 'about', null,
    'text', format('O cliente %s quis conectar o número aside:%s, que mandou webhooks e está guardado: foi recusado. Se é dele: npm run admin -- instance adopt aside:%s --for %s.',
      p_tenant, v_aside.id, v_aside.id, p_tenant)), p_now);
  return jsonb_build_object('outcome', 'not_yours');
end $$;

-- adopt_instance: a number is made known by name, and may be chosen for proactive messages unless an operator said otherwise. Idempotent.
-- Arguments: p_provider_id Evolution's uuid; null: the next webhook tells it, since its owner says that what Evolution has under this name is this number.
-- Result: {outcome: 'adopted' | 'other_tenant' | 'unknown_tenant'}.
create function adopt_instance(p_tenant text, p_name text, p_provider_id text, p_actor text) returns jsonb language plpgsql as $$
declare v instances;
begin
  if not exists (select from tenants where id = p_tenant) then return jsonb_build_object('outcome', 'unknown_tenant'); end if;
  insert into instances (tenant_id, name, proactive) values (p_tenant, p_name, true) on conflict (name) do nothing;
  select * into v from instances where name = p_name for no key update;
  if v.tenant_id <> p_tenant then return jsonb_build_object('outcome', 'other_tenant'); end if;
  update instances set provider_id = null where provider_id = p_provider_id and id <> v.id;
  update instances set provider_id = p_provider_id where id = v.id;
  update instances set proactive = true where id = v.id and not proactive
    and not exists (select from instance_events e where e.instance_id = v.id and e.event = 'changed' and e.details ? 'proactive');
  insert into audit_log (tenant_id, actor, action, subject) values (p_tenant, p_actor, 'instance.connect', p_name);
  return jsonb_build_object('outcome', 'adopted');
end $$;

-- instance_history: the newest events of a number, newest first. Result: [{event, reason, details, at}].
create function instance_history(p_tenant text, p_name text, p_limit int) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('event', e.event, 'reason', e.reason, 'details', e.details, 'at', e.created_at) order by e.id desc), '[]')
  from (select e.* from instance_events e join instances i on i.id = e.instance_id where i.name = p_name and i.tenant_id = p_tenant order by e.id desc limit p_limit) e
$$;

-- reset_breakers: a person closes breakers: each process reads it with its next heartbeat; the circuit of a number is closed here and now.
-- Arguments: p_breaker 'evolution' | 'claude' | 'database' | 'number' or null for all; p_instance a number of the tenant or null for all of them (the
--   tenant `default` owns the installation: all of every tenant's, and those of no number).
-- Result: {outcome: 'asked', open: [{breaker, instance, process}] what was open, released: [instance name]} | {outcome: 'unknown_instance' | 'not_yours'}; audited.
create function reset_breakers(p_tenant text, p_actor text, p_breaker text, p_instance text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare
  v_now timestamptz := clock(p_now);
  v instances;
  v_open jsonb;
  v_released text[] := '{}';
begin
  if p_instance is not null and not exists (select from instances where name = p_instance and tenant_id = p_tenant) then
    return jsonb_build_object('outcome', 'unknown_instance');
  end if;
  if p_tenant <> 'default' and p_breaker in ('claude', 'database') then return jsonb_build_object('outcome', 'not_yours'); end if;
  select coalesce(jsonb_agg(jsonb_build_object('breaker', b ->> 'name', 'instance', b ->> 'instance', 'process', p.id)), '[]') into v_open
    from process_status p, jsonb_array_elements(p.breakers) b
    where is_heard(p.seen_at, v_now) and b ->> 'state' <> 'closed' and (p_breaker is null or b ->> 'name' = p_breaker)
      and (b ->> 'instance' = p_instance
        or (p_instance is null and (p_tenant = 'default' or exists (select from instances i where i.name = b ->> 'instance' and i.tenant_id = p_tenant))));
  if p_breaker is distinct from 'number' then
    -- one at a time, so that ids are committed in their order: processes remember the newest that they have seen
    perform pg_advisory_xact_lock(hashtextextended('breaker_resets', 13));
    insert into breaker_resets (tenant_id, breaker, instance, actor, created_at)
      select p_tenant, p_breaker, n.name, p_actor, v_now from (
        select p_instance as name where p_instance is not null or p_tenant = 'default'
        union all select name from instances where tenant_id = p_tenant and p_instance is null and p_tenant <> 'default') n;
  end if;
  if p_breaker is null or p_breaker = 'number' then
    for v in select * from instances where tenant_id = p_tenant and held_reason is not null and (p_instance is null or name = p_instance) order by id for no key update loop
      update instances set trust = greatest(trust_now(v, v_now), 40), trust_at = v_now, held_since = null, held_in_row = 0 where id = v.id;
      perform release_number(v, 'reset by ' || p_actor, v_now);
      v_open := v_open || jsonb_build_object('breaker', 'number', 'instance', v.name, 'process', 'database');
      v_released := v_released || v.name;
    end loop;
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details)
    values (p_tenant, p_actor, 'breaker.reset', coalesce(p_breaker, 'all'), jsonb_build_object('instance', p_instance, 'open', v_open));
  return jsonb_build_object('outcome', 'asked', 'open', v_open, 'released', to_jsonb(v_released));
end $$;

-- take_trial: a probe says that a number answers, not that a message would go: one real message finds out, of one process for all.
-- Guarantee: one process has the trial of a number, for as long as a send may take (100 s), or until it tells its end or is_heard no more.
-- Arguments: p_process who asks; the same may take it again. Concurrency: any; the row decides. Result: {taken}.
create function take_trial(p_instance text, p_process text, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  update instances i set trial_by = p_process, trial_until = clock(p_now) + interval '100 seconds' where i.name = p_instance
    and (i.trial_until is null or i.trial_until <= clock(p_now) or i.trial_by = p_process
      or exists (select from process_status p where p.id = i.trial_by and not is_heard(p.seen_at, clock(p_now))));
  return jsonb_build_object('taken', found);
end $$;

-- end_trial: what came of it. Passed, or it said nothing: whoever is next may try. Failed: the others hear with the next heartbeats that the breaker is open again, and wait until then (10 s).
-- Concurrency: any; only the process that has the trial ends it.
create function end_trial(p_instance text, p_process text, p_failed boolean, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  update instances set trial_until = case when p_failed then clock(p_now) + interval '10 seconds' end where name = p_instance and trial_by = p_process;
  return jsonb_build_object('ended', found);
end $$;

-- settle_breakers: breakers that were open when their process ended are closed: a restart closes them, and that is recorded.
-- Arguments: p_process one that ends now, or null for all that are there no more. Safe to repeat. Result: {closed}.
create function settle_breakers(p_process text default null, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_closed int;
begin
  insert into circuit_transitions (tenant_id, breaker, instance, process, state, reason, created_at)
    select s.tenant_id, s.breaker, s.instance, s.process, 'closed', 'restart', clock(p_now) from (
      select distinct on (c.breaker, c.instance, c.process) c.* from circuit_transitions c
      where c.created_at > clock(p_now) - interval '2 days' and c.process <> 'database' and (p_process is null or c.process = p_process)
      order by c.breaker, c.instance, c.process, c.id desc) s
    where s.state <> 'closed'
      and (p_process is not null or not exists (select from process_status p where p.id = s.process and is_there(p.seen_at, clock(p_now))));
  get diagnostics v_closed = row_count;
  return jsonb_build_object('closed', v_closed);
end $$;
