-- The WhatsApp numbers: which, whose, how they are, their secrets, and who posts for them.

-- ensure_instance: the row of a number that the installation itself names: EVOLUTION_INSTANCE, or one that a person
-- connects. What a webhook names is not
--   registered by it: see webhook_refusal.
-- Guarantee: exactly one row per name. Arguments: p_provider_id Evolution's uuid for a new row, or null. Concurrency:
--   any number of callers. Result: the instance row.
create or replace function ensure_instance(p_name text, p_provider_id text)
returns instances language plpgsql set search_path = public, pg_temp as $$
declare v instances;
begin
  insert into instances (name, provider_id) values (p_name, p_provider_id) on conflict (name) do nothing
    returning * into v;
  if not found then select * into v from instances where name = p_name; end if;
  return v;
end $$;

-- speaks_for: whether a credential may post what happens on a number. A number's own secret speaks for that number
-- alone; the secret of the installation for the
--   numbers of the tenant default that have none of their own, and for one that got its own less than an hour ago:
--   Evolution repeats a webhook for 25 minutes with what it signed first. Arguments: p_from {instance} its own secret |
--   {tenant} the secret of the installation | {ourselves: true} we asked Evolution; p_now when it was posted.
create or replace function speaks_for(p_from jsonb, i instances, p_now timestamptz)
returns boolean language sql stable as $$
  select case when p_from ? 'ourselves' then true when p_from ? 'instance' then i.name = p_from ->> 'instance'
    else i.tenant_id = coalesce(p_from ->> 'tenant', 'default')
      and (i.webhook_secret is null
      or (i.webhook_secret_previous is null
      and (i.webhook_secret_since is null or i.webhook_secret_since > p_now - interval '1 hour'))) end
$$;

-- tenant_of_poster: to whom belongs what a credential posts and may not say. Arguments: p_from see speaks_for; null:
-- the secret of the installation. Read only.
create or replace function tenant_of_poster(p_from jsonb)
returns text language plpgsql stable set search_path = public, pg_temp as $$
begin
  if not p_from ? 'instance' then return coalesce(p_from ->> 'tenant', 'default'); end if;
  return coalesce(p_from ->> 'tenant', (select tenant_id from instances where name = p_from ->> 'instance'), 'default');
end $$;

-- webhook_refusal: why what was posted under a name is set aside; null: it is that number's. What Evolution answers
-- when we ask for a number by name is that number's.
-- Arguments: p_instance the row of that name, or nulls; p_from who posted it, see speaks_for; p_only the one number
--   that counts (MULTI_CHIP_ENABLED=false), or null.
create or replace function webhook_refusal(
  p_instance instances, p_name text, p_provider_id text, p_from jsonb, p_only text, p_now timestamptz
) returns text language plpgsql stable set search_path = public, pg_temp as $$
declare
  v_refusal text := case
    when p_from ->> 'instance' <> p_name then 'secret_of_another'
    when p_instance.id is null then 'nobodys_number'
    when not speaks_for(p_from, p_instance, p_now) then 'secret_of_another'
    when p_name <> p_only then 'only_one_number' end;
begin
  if v_refusal is not null or p_from ? 'ourselves' then return v_refusal; end if;
  if p_provider_id <> p_instance.provider_id then return 'foreign_uuid'; end if;
  -- a number's own secret says whose it is, and what another number's own secret said of a uuid hinders nobody;
  -- asked for null, Postgres would plan it anew each time
  if p_instance.provider_id is null and p_provider_id is not null and not coalesce(p_from ? 'instance', false) then
    if exists (select from instances o where o.provider_id = p_provider_id and o.id <> p_instance.id
      and o.webhook_secret is null) then
      return 'foreign_uuid';
    end if;
  end if;
  return null;
end $$;

-- learn_uuid: what Evolution calls a number by itself, unless another number of ours has it.
create or replace function learn_uuid(p_instance instances, p_provider_id text) returns void language sql as $$
  update instances set provider_id = p_provider_id
    where id = p_instance.id and p_provider_id is distinct from provider_id
    and not exists (select from instances o where o.provider_id = p_provider_id)
$$;

-- record_connection: what Evolution says of a number's socket. Late news of the same kind changes nothing; when the
-- number is back, what
--   waited for it is due at once. A ban (close with 403) takes all trust. A close with a reason is one that Evolution
--   does not mend by itself. Whoever speaks for one number only does not say which phone it has: check_instances asks
--   Evolution.
-- Arguments: p_event {state, reason, ownerPn, from: see speaks_for, polled: a look of our own, which tells no new
--   connection unless the state changed}.
-- Concurrency: any. Result: {outcome: 'connection', instance_id, changed, wake_sends: it is back, reconcile: it was
--   connected anew, so what came meanwhile may be missing}.
create or replace function record_connection(p_instance instances, p_event jsonb, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v instances;
  v_state text := p_event ->> 'state';
  v_reason int := (p_event ->> 'reason')::int;
  v_phone text := p_event ->> 'ownerPn';
  v_alone boolean := speaks_alone(p_event -> 'from');
  v_changed boolean;
  v_back boolean;
  v_anew boolean;
begin
  select * into v from instances where id = p_instance.id for no key update;
  v_changed := v.status is distinct from v_state;
  v_back := v_changed and v_state = 'open';
  v_anew := v_state = 'open' and (v_changed or not coalesce((p_event ->> 'polled')::boolean, false));
  -- a poll knows no reason: it does not wipe out the one that a webhook told
  update instances set status = v_state, status_reason = case when v_changed or v_reason is not null then v_reason
    else status_reason end,
    phone = case when v_alone then phone else coalesce(v_phone, phone) end,
    phone_doubted = case when v_phone is null then phone_doubted else v_alone and (phone_doubted or phone is distinct
      from v_phone) end, status_at = case when v_changed then clock(p_now)
      else status_at end,
    paired = case when v_state = 'open' then true when v_state = 'close' and v_reason is not null then false
      else paired end,
    alive_at = case when v_anew then clock(p_now) else alive_at end,
    down_since = case when v_state = 'open' then null when status = 'open' then clock(p_now) else down_since end,
    -- an outage, not a blip: WhatsApp closes a socket now and then
    reconnected_at = case when v_state = 'open' and down_since < clock(p_now) - interval '5 minutes' then clock(p_now)
      else reconnected_at end
    where id = v.id;
  if v_changed then
    perform note_instance(v, 'connection', v_state, jsonb_build_object('was', v.status, 'code', v_reason),
      clock(p_now));
  end if;
  if v_changed and v_state = 'close' and v_reason = 403 then
    perform number_trouble(v.id, incident('banned'), clock(p_now));
  end if;
  if v_back then
    update messages m set due_at = clock(p_now) from outbox o where o.instance_id = v.id and m.id = o.message_id
      and o.reason in ('number_disconnected', 'disconnected', 'connection_closed') and m.status = 'queued'
      and m.reason in ('number_disconnected', 'disconnected', 'connection_closed') and m.due_at > clock(p_now);
  end if;
  return jsonb_build_object('outcome', 'connection', 'instance_id', v.id, 'changed', v_changed, 'wake', false,
    'wake_sends', v_back, 'reconcile', v_anew);
end $$;

-- Numbers: the health of each WhatsApp number, which number a proactive message leaves from, resets of breakers.
--
-- What stops proactive messages of a number by itself is one circuit in its row, shared by every process:
--   closed     held_reason is null
--   open       held_until is ahead: nothing that nobody asked for leaves
--   half open held_until is past: one such message may leave; what becomes of it closes the circuit or opens it again,
--   for twice as long
-- Replies are never held by it: they wait only while the number is disconnected, or for the breaker of the process that
-- sends.

-- note_instance: one line in the history of a number.
create or replace function note_instance(
  p_instance instances, p_event text, p_reason text, p_details jsonb, p_now timestamptz
) returns void language sql as $$
  insert into instance_events (tenant_id, instance_id, event, reason, details, created_at)
    values (p_instance.tenant_id, p_instance.id, p_event, p_reason, p_details, p_now)
$$;

-- trust_now: the trust figure 0..100: each trouble takes from it, and it comes back by 5 an hour.
create or replace function trust_now(p_instance instances, p_now timestamptz) returns int language sql immutable as $$
  select greatest(0, least(100,
    floor(p_instance.trust + 5 * extract(epoch from greatest(interval '0', p_now - p_instance.trust_at)) / 3600)))::int
$$;

-- number_hold: whether the health of a number that is connected lets a message leave now.
-- Guarantee: while the circuit is half open, one proactive message is on trial at a time.
-- Arguments: p_reply true for a reply, and for what a person sends over the rules.
-- Concurrency: the caller holds the instance's lock. Result: as `ends` in the list of guardrails: null, {rule, until}
--   or {rule, look}.
create or replace function number_hold(p_instance instances, p_reply boolean, p_now timestamptz)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select case
    when p_reply or p_instance.held_reason is null then null
    when p_instance.held_until > p_now then waits(p_instance.held_reason, p_instance.held_until, p_now)
    when exists (select from slots where instance_id = p_instance.id and not reply
        and slot_at >= p_instance.held_until)
      or exists (select from on_wire where instance_id = p_instance.id and is_proactive(kind)
        and slot_at >= p_instance.held_until) then
      looks(p_instance.held_reason, true, p_now + interval '1 minute')
  end
$$;

-- incident: what each costs a number: its proactive messages rest for `minutes`, and its trust falls by `trust` of 100.
-- The one list; whatsapp/incidents.ts has
--   those that the answer to a send tells of. Result: {reason, minutes, trust}, see number_trouble; null for a name
--   that is not in it.
create or replace function incident(p_name text)
returns jsonb language sql immutable set search_path = public, pg_temp as $$
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

-- number_trouble: something says that a number is not well: an answer of the provider, an ERROR ack, missing delivery
-- acks.
-- Guarantee: nothing proactive leaves for at least `minutes`, doubled for each hold within a day that came before this
--   one, up to a day; below a trust of 40 until the trust is back. News while it is held already may prolong that, and
--   count once as repetition. What takes no trust (a setting is wrong) says nothing of the number: it is neither
--   doubled nor does it double what follows, and any message that leaves ends it (number_sent).
-- Arguments: p_trouble {reason, minutes, trust (points that it takes)}, see incident.
-- Concurrency: locks the instance; whoever holds a conversation's lock may call it, as claim_send locks in that order
--   too.
create or replace function number_trouble(p_instance_id bigint, p_trouble jsonb, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
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
  v_row := case when v.held_since is null or v.held_since < p_now - interval '1 day' then 0 when v_open
    then v.held_in_row else v.held_in_row + 1 end;
  v_trust := greatest(0, trust_now(v, p_now) - (p_trouble ->> 'trust')::numeric);
  v_until := p_now + least(interval '1 day', make_interval(mins => (p_trouble ->> 'minutes')::int) * case when v_setting
    then 1 else power(2, least(v_row, 10))::float8 end);
  v_back := p_now + make_interval(secs => ceil(greatest(0, 40 - v_trust) / 5 * 3600)::float8);
  if v_back > v_until then
    v_until := v_back;
    v_reason := 'number_trust';
  end if;
  if v_open and v.held_until >= v_until then
    update instances set trust = v_trust, trust_at = p_now where id = v.id;
    return;
  end if;
  update instances set trust = v_trust, trust_at = p_now, held_reason = v_reason, held_since = case when v_open
    then held_since else p_now end,
    held_until = v_until,
    -- what comes next is the next in the row all the same
    held_in_row = case when v_setting and not v_open then v_row - 1 else v_row end where id = v.id returning * into v;
  if not v_open then
    perform note_instance(v, 'held', v_reason, p_trouble || jsonb_build_object('until', v_until, 'trust_now',
      floor(v_trust), 'in_row', v_row), p_now);
    insert into circuit_transitions (tenant_id, breaker, instance, process, state, reason, created_at)
      values (v.tenant_id, 'number', v.name, 'database', 'open', v_reason, p_now);
  end if;
end $$;

-- release_number: proactive messages of a number may leave again; what waited for it is due now.
-- Concurrency: the caller holds the instance's lock. Arguments: p_why a word for the history.
create or replace function release_number(p_instance instances, p_why text, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
begin
  update instances set held_reason = null, held_until = null, judged_from = p_now where id = p_instance.id;
  update messages m set due_at = p_now from outbox o where o.instance_id = p_instance.id and is_proactive(o.kind)
    and o.reason like 'number\_%' and m.id = o.message_id and m.status = 'queued' and m.reason like 'number\_%'
    and m.due_at > p_now;
  perform note_instance(p_instance, 'released', p_instance.held_reason,
    jsonb_build_object('why', p_why, 'since', p_instance.held_since), p_now);
  insert into circuit_transitions (tenant_id, breaker, instance, process, state, reason, created_at)
    values (p_instance.tenant_id, 'number', p_instance.name, 'database', 'closed', p_why, p_now);
end $$;

-- number_sent: the provider took a message of this number. A proactive one on trial closes the circuit, unless
-- deliveries are what is in doubt; any one does
--   when a setting was wrong.
-- Concurrency: any; locks the instance only when there is something to change.
create or replace function number_sent(p_instance_id bigint, p_proactive boolean, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v instances;
begin
  select * into v from instances
    where id = p_instance_id and (held_reason in ('number_unauthorized', 'number_unlicensed')
    or (p_proactive and held_until <= p_now and held_reason not in ('number_undelivered', 'number_few_deliveries',
      'number_error_acks'))) for no key update;
  if found then perform release_number(v, 'left_again', p_now); end if;
end $$;

-- judged_sends: the newest sends of a number that have had the time to be delivered, newest first, with whether they
-- were.
create or replace function judged_sends(p_instance instances, p_now timestamptz)
returns table (slot_at timestamptz, delivered boolean, refused boolean, proactive boolean) language sql stable as $$
  -- two halves, each on its index
  with newest as (
    (select s.slot_at, m.delivered_at, m.error_class, true as proactive from slots s
      join messages m on m.id = s.message_id
      where s.instance_id = p_instance.id and s.slot_at > greatest(p_now - interval '1 day', p_instance.judged_from)
        and s.slot_at <= p_now - interval '10 minutes'
        and not s.reply and m.type <> 'reaction' and (m.status in ('sent', 'delivered', 'read')
          or m.error_class = 'provider_refused')
      order by m.slot_at desc limit 50)
    union all
    (select s.slot_at, m.delivered_at, m.error_class, false from slots s join messages m on m.id = s.message_id
      where s.instance_id = p_instance.id and s.slot_at > greatest(p_now - interval '1 day', p_instance.judged_from)
        and s.slot_at <= p_now - interval '10 minutes'
        and s.reply and m.type <> 'reaction' and (m.status in ('sent', 'delivered', 'read')
          or m.error_class = 'provider_refused')
      order by m.slot_at desc limit 50))
  select n.slot_at, n.delivered_at is not null, n.error_class is not distinct from 'provider_refused', n.proactive
    from newest n order by n.slot_at desc limit 50
$$;

-- assess_numbers: what only a look over many sends shows: numbers that are connected in words and deliver nothing, or
-- deliver ever less; and trials whose end nobody told. To be called each minute.
-- Concurrency: any number of callers; each number is locked while it is judged. Result: {released: [instance name]}:
--   their lanes may be woken.
create or replace function assess_numbers(p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
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
    if v.held_reason = 'number_undelivered' and exists (select from slots s
      join messages m on m.id = s.message_id
      where s.instance_id = v.id and s.reply and s.slot_at >= v.held_since and m.delivered_at is not null) then
      perform release_number(v, 'arrived_again', v_now);
      v_released := v_released || v.name;
      continue;
    end if;
    if v.held_reason is not null and v.held_until <= v_now then
      select m.status, m.error_class, m.delivered_at, m.slot_at into v_trial from messages m
        where m.id = (select n.message_id from (
          select message_id, slot_at from slots where instance_id = v.id and not reply and slot_at >= v.held_until
          union all select message_id, slot_at from on_wire where instance_id = v.id and is_proactive(kind)
            and slot_at >= v.held_until) n order by n.slot_at desc limit 1);
      if found and (v_trial.delivered_at is not null
        or (v_trial.status = 'sent' and v.held_reason not in ('number_undelivered', 'number_few_deliveries',
        'number_error_acks'))) then
        perform release_number(v, 'arrived_again', v_now);
        v_released := v_released || v.name;
      elsif found and v_trial.slot_at <= v_now - interval '10 minutes' then
        -- nobody answered for it: twice as long
        perform number_trouble(v.id, incident('trial_unanswered') || jsonb_build_object('reason', v.held_reason),
          v_now);
      end if;
      continue;
    end if;
    continue when v.held_reason is not null or v.status not in ('open', 'unknown');
    select count(*), count(*) filter (where delivered), count(*) filter (where delivered and place <= 10) into v_count,
      v_delivered, v_newest
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
-- Arguments: p_tenant null for all. Result: [{instance, tenant, status, status_reason, status_at, phone, proactive,
--   phase, cap_hour, cap_day, pace_min_seconds, pace_max_seconds, health: 'ok' | 'disconnected' | 'held' | 'on_trial',
--   reason, since, until, in_row, trust, judged, delivered, refused}]; the last three are of the newest 50 sends of 24
--   hours that are older than 10 minutes.
create or replace function number_health(p_tenant text default null, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('instance', i.name, 'tenant', i.tenant_id, 'status', i.status,
    'status_reason', i.status_reason, 'status_at', i.status_at,
    'phone', i.phone, 'gateway_version', i.gateway_version, 'proactive', i.proactive, 'phase', i.phase, 'cap_hour',
      i.cap_hour, 'cap_day', i.cap_day, 'pace_min_seconds', i.pace_min_seconds,
    'pace_max_seconds', i.pace_max_seconds,
    'health', case when i.status in ('close', 'refused', 'connecting') then 'disconnected' when i.held_reason is null
      then 'ok' when i.held_until > clock(p_now) then 'held' else 'on_trial' end,
    'reason', case when i.status in ('close', 'refused', 'connecting') then 'number_disconnected'
      else i.held_reason end,
    'since', case when i.status in ('close', 'refused', 'connecting') then i.status_at when i.held_reason is not null
      then i.held_since end,
    'until', i.held_until, 'in_row', i.held_in_row, 'trust', trust_now(i, clock(p_now)), 'judged', j.judged,
      'delivered', j.delivered, 'refused', j.refused) order by i.id), '[]')
  from instances i, lateral (select count(*) as judged, count(*) filter (where s.delivered) as delivered,
    count(*) filter (where s.refused) as refused
    from judged_sends(i, clock(p_now)) s) j
  where p_tenant is null or i.tenant_id = p_tenant
$$;

-- choose_instance: the number that a proactive message to a phone leaves from.
-- Order: may be chosen and belongs to the tenant; then connected, healthy and no breaker open; under its caps; known to
-- the contact (it wrote there, newest
--   first); least used of its day's cap, what is queued included. When none is fit the best of the unfit is taken, and
--   the message waits there and says why.
-- Guarantee: two callers at once never count the same room: they queue on the tenant until the message that was chosen
--   for is stored. The slot itself is taken by claim_send, exactly; what is queued counts here as used, so that the
--   choice is a reservation.
-- Arguments: p_default the number to take when none may be chosen; p_policy {capHour, capDay}, for numbers without caps
--   of their own.
-- Result: the name, or p_default.
create or replace function choose_instance(
  p_tenant text, p_phone text, p_default text, p_policy jsonb, p_now timestamptz
) returns text language plpgsql set search_path = public, pg_temp as $$
declare v_name text;
begin
  perform pg_advisory_xact_lock(hashtextextended('choose/' || p_tenant, 13));
  select s.name into v_name from (
    select i.id, i.name,
      i.status in ('open', 'unknown') and number_hold(i, false, p_now) is null and not breaker_open('evolution', i.name,
        p_now) as fit,
      coalesce(i.cap_hour, (p_policy ->> 'capHour')::int) as cap_hour,
        coalesce(i.cap_day, (p_policy ->> 'capDay')::int) as cap_day,
      u.hour, u.day, c.last_inbound_at
    from instances i
      left join contact_addresses a on a.kind = 'pn' and a.tenant_id = p_tenant and a.address = p_phone
      left join conversations c on c.instance_id = i.id and c.contact_id = a.contact_id and c.merged_into is null,
      lateral (select count(*) filter (where m.slot_at > p_now - interval '1 hour' or m.slot_at is null) as hour,
        count(*) as day from (
        select slot_at from slots where instance_id = i.id and not reply and not is_notice(kind)
          and slot_at > p_now - interval '1 day'
        union all
        select slot_at from on_wire where instance_id = i.id and is_proactive(kind) and not is_notice(kind)
          and slot_at > p_now - interval '1 day'
        union all
        -- enough to fill a day: a longer queue makes no number fuller
        (select null from outbox where instance_id = i.id and is_proactive(kind) and not is_notice(kind)
          limit 1000)) m) u
    where i.tenant_id = p_tenant and i.proactive) s
  order by s.fit desc, (s.hour < s.cap_hour and s.day < s.cap_day) desc, s.last_inbound_at desc nulls last,
    s.day::numeric / greatest(s.cap_day, 1), s.id
  limit 1;
  return coalesce(v_name, p_default);
end $$;

-- signs_of_life: what was heard of a number within half a minute. Read only; webhooks are looked for by their age
-- alone, so it is for numbers in trouble.
-- Result: [{kind: 'reconnect' its connection was made | 'word' a webhook of it, or a call that succeeded, age_ms}].
create or replace function signs_of_life(p_instance text, p_now timestamptz)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('kind', s.kind, 'age_ms',
    greatest(0, floor(extract(epoch from p_now - s.at) * 1000))::int) order by s.kind), '[]') from (
    select 'reconnect' as kind, alive_at as at from instances where name = p_instance
    union all
    select 'word', greatest((select answered_at from instances where name = p_instance),
      (select max(received_at) from webhook_events where received_at > p_now - interval '30 seconds'
        and instance = p_instance and aside_id is null))) s
  where s.at > p_now - interval '30 seconds'
$$;

-- note_alive: Evolution is back with these numbers ('reconnect'), or a call of them succeeded after others had failed
-- ('word').
create or replace function note_alive(p_instances jsonb, p_kind text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  update instances set alive_at = case when p_kind = 'reconnect' then clock(p_now) else alive_at end,
    answered_at = case when p_kind = 'word' then clock(p_now) else answered_at end where p_instances ? name;
  return '{}';
end $$;

-- restarts_in_row: how often a number was restarted by ourselves without a message leaving after it; a quiet quarter of
-- a day ends the row too.
create or replace function restarts_in_row(p_instance instances, p_now timestamptz)
returns int language sql stable as $$
  select case when p_instance.restarted_at is null or p_instance.restarted_at < p_now - interval '6 hours'
    or exists (select from slots s join messages m on m.id = s.message_id
      where s.instance_id = p_instance.id and s.reply in (true, false) and s.slot_at > p_instance.restarted_at
        and m.status in ('sent', 'delivered', 'read')) then 0 else p_instance.restarts end
$$;

-- last_heard: when a number last heard anything within a day: a message of somebody, or news of one of its own. Read
-- only.
create or replace function last_heard(p_instance instances, p_now timestamptz)
returns timestamptz language sql stable as $$
  select greatest((select max(m.created_at) from messages m where m.created_at > p_now - interval '1 day'
    and m.instance_id = p_instance.id and m.direction = 'in'),
    (select max(m.delivered_at) from messages m where m.created_at > p_now - interval '1 day'
      and m.instance_id = p_instance.id and m.direction = 'out'))
$$;

-- is_silence_unusual: whether people usually write to a number in such a time: in the same stretch of the clock of four
-- in five of the last 14 days, and of the same weekday of the
--   last two weeks. False for a number of less than a week. Read only.
create or replace function is_silence_unusual(p_instance instances, p_since timestamptz, p_now timestamptz)
returns boolean language sql stable as $$
  with days as (
    select d, exists (select from messages m
      where m.created_at > greatest(p_since, p_now - interval '3 hours') - make_interval(days => d)
      and m.created_at <= p_now - make_interval(days => d)
      and m.instance_id = p_instance.id and m.direction = 'in') as heard
    from generate_series(1, 14) d where p_instance.created_at < p_now - make_interval(days => d, hours => 3)
  )
  select count(*) >= 7 and count(*) filter (where heard) >= 0.8 * count(*) and bool_and(heard or d % 7 <> 0) from days
$$;

-- listen_numbers: finds numbers that say that they are connected and hear nothing. One that is silent for an unusual
-- time sends a message to itself, which its own phone
--   acknowledges; when that is not heard within two minutes of its leaving, and nothing else either, the number is
--   deaf, until something is heard.
-- Guarantee: one such message in 6 hours, over any number of callers; a number that may not send, or whose message
--   waits, is not called deaf. To be called each minute.
-- Concurrency: each number is locked while it is judged. Result: {wake: [conversation id] of messages to itself, deaf:
--   [instance], hears: [instance]}.
create or replace function listen_numbers(p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_now timestamptz := clock(p_now);
  v instances;
  m messages;
  v_heard timestamptz;
  v_sent jsonb;
  v_all jsonb := '{"wake": [], "deaf": [], "hears": []}';
begin
  for v in select * from instances where paired and status = 'open' and restored_at is null
    order by id for no key update loop
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
      v_sent := enqueue_message(jsonb_build_object('tenant', v.tenant_id, 'instance', v.name, 'phone', v.phone, 'kind',
        'operator', 'correlation_id', 'hearing-' || v.id,
        'text', 'Teste automático: este número está ouvindo? Pode ignorar.', 'expires_at',
          v_now + interval '10 minutes'), v_now);
      update instances set hearing_at = v_now, hearing_message = (v_sent ->> 'id')::bigint where id = v.id;
      v_all := jsonb_set(v_all, '{wake}', v_all -> 'wake' || (v_sent -> 'conversation_id'));
    end if;
  end loop;
  return v_all;
end $$;

-- claim_restarts: numbers whose socket is dead behind an Evolution that answers, for this caller to restart: the
-- breaker of one is open for such a reason in a process that
--   lives, or it is connecting for longer than any connection takes. Never one that waits for its code to be scanned: a
--   restart would throw the code away.
-- Guarantee: one caller gets each; the next restart of it comes after 2 minutes, then 4, 8 and so on up to an hour,
--   until a message leaves.
-- Arguments: p_reasons what a restart may cure (whatsapp/send-fault.ts). Concurrency: any number of callers. Result:
--   [{instance, reason, restarts}].
create or replace function claim_restarts(p_reasons jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_now timestamptz := clock(p_now);
  v record;
  v_instance instances;
  v_taken jsonb := '[]';
begin
  for v in select s.* from (
      select i.id, case i.status when 'connecting' then 'connecting' else breaker_reason(i.name, p_reasons, v_now)
        end as reason from instances i
        where i.paired and i.deaf_since is null
          and (i.status in ('open', 'unknown')
          or (i.status = 'connecting' and i.status_at <= v_now - interval '30 seconds'))
      union all
      select i.id, 'deaf' from instances i where i.paired and i.status = 'open' and i.deaf_since is not null) s
      where s.reason is not null order by s.id loop
    -- looked at again under its lock: another caller may have taken it just now
    update instances i set restarts = restarts_in_row(i, v_now) + 1, restarted_at = v_now
      where i.id = v.id and (i.restarted_at is null or i.restarted_at <= v_now - least(interval '1 hour',
        make_interval(mins => power(2, least(restarts_in_row(i, v_now), 6))::int)))
      returning i.* into v_instance;
    continue when not found;
    perform note_instance(v_instance, 'restarted', v.reason, jsonb_build_object('in_row', v_instance.restarts), v_now);
    v_taken := v_taken || jsonb_build_object('instance', v_instance.name, 'reason', v.reason, 'restarts',
      v_instance.restarts);
  end loop;
  return v_taken;
end $$;

-- note_gateway: which release of Evolution answers, for all of its numbers. Result: {changed: how many did not know}.
create or replace function note_gateway(p_version text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_changed int;
begin
  select count(*) into v_changed from instances where gateway_version is distinct from p_version;
  update instances set gateway_version = p_version, gateway_version_at = clock(p_now);
  return jsonb_build_object('changed', v_changed);
end $$;

-- note_fault: what Evolution said of these numbers instead of their state (unavailable, unauthorized, unknown_instance,
-- unlicensed), or null: it answered. Only news is written.
-- Concurrency: locks the rows in the order of their ids, so two schedulers may call it at once.
create or replace function note_fault(p_names jsonb, p_fault text) returns void language sql
set search_path = public, pg_temp as $$
  with news as (
    select id from instances where name in (select jsonb_array_elements_text(p_names))
      and gateway_fault is distinct from p_fault order by id for update
  )
  update instances i set gateway_fault = p_fault from news n where i.id = n.id
$$;

-- set_instance: an operator changes what a number may do. Null leaves a value as it is; a cap or pace of -1 goes back
-- to what the environment says.
-- Arguments: p_change {proactive, phase, cap_hour, cap_day, reply_cap_hour, pace_min_seconds, pace_max_seconds}.
-- Errors: 23514 the paces contradict each other. Result: {outcome: 'changed' | 'unknown'}; audited.
create or replace function set_instance(
  p_tenant text, p_name text, p_actor text, p_change jsonb, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v instances;
begin
  update instances set proactive = coalesce((p_change ->> 'proactive')::boolean, proactive),
    phase = coalesce(p_change ->> 'phase', phase),
    phase_since = case when p_change ->> 'phase' <> phase then clock(p_now) else phase_since end,
    cap_hour = nullif(coalesce((p_change ->> 'cap_hour')::int, cap_hour), -1),
      cap_day = nullif(coalesce((p_change ->> 'cap_day')::int, cap_day), -1),
    reply_cap_hour = nullif(coalesce((p_change ->> 'reply_cap_hour')::int, reply_cap_hour), -1),
    pace_min_seconds = nullif(coalesce((p_change ->> 'pace_min_seconds')::numeric, pace_min_seconds), -1),
    pace_max_seconds = nullif(coalesce((p_change ->> 'pace_max_seconds')::numeric, pace_max_seconds), -1)
    where name = p_name and tenant_id = p_tenant returning * into v;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  -- what waits for the old figures is looked at by the new ones
  perform release_held(p_tenant, p_name, array['cap_hour', 'cap_day', 'warming_hour', 'warming_day', 'kind_cap',
    'strangers', 'pace'], clock(p_now));
  perform note_instance(v, 'changed', null, p_change || jsonb_build_object('actor', p_actor), clock(p_now));
  insert into audit_log (tenant_id, actor, action, subject, details)
    values (p_tenant, p_actor, 'instance.set', p_name, p_change);
  return jsonb_build_object('outcome', 'changed');
end $$;

-- tried_name: a name as the audit of a tenant has it: the name may be somebody else's.
create or replace function tried_name(p_name text)
returns text language sql immutable as
$$ select 'hash:' || left(encode(sha256(convert_to(p_name, 'UTF8')), 'hex'), 12) $$;

-- may_connect: whether a tenant may have a number of this name; asked before anything is made at Evolution, where
-- making it would be the harm already.
-- Guarantee: another tenant than default gets no name that somebody else has, or that was set aside and not by a secret
--   of its own: that is told to default. It has at most `max_numbers` (tenants.settings; 10 without), where each name
--   counts that it tried in the last hour, so that neither Evolution is filled nor names are guessed. Audited.
-- Concurrency: callers of a tenant queue. Result: {outcome: 'own' | 'new' | 'not_yours' | 'too_many' |
--   'unknown_tenant', most}.
create or replace function may_connect(p_tenant text, p_name text, p_actor text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_owner text; v_most int; v_aside set_aside;
begin
  select coalesce((substring(settings ->> 'max_numbers' from '^\d{1,6}$'))::int, 10) into v_most from tenants
    where id = p_tenant for no key update;
  if not found then return jsonb_build_object('outcome', 'unknown_tenant'); end if;
  select tenant_id into v_owner from instances where name = p_name;
  if v_owner = p_tenant then return jsonb_build_object('outcome', 'own'); end if;
  if p_tenant = 'default' then return jsonb_build_object('outcome', case when v_owner is null then 'new'
    else 'not_yours' end); end if;
  -- before it is said whose the name is: who may have no more learns nothing of names
  if (select count(*) from (select tried_name(name) as name from instances where tenant_id = p_tenant union
      select subject from audit_log where tenant_id = p_tenant and action = 'instance.try'
        and created_at > clock(p_now) - interval '1 hour') names where name <> tried_name(p_name)) >= v_most then
    return jsonb_build_object('outcome', 'too_many', 'most', v_most);
  end if;
  insert into audit_log (tenant_id, actor, action, subject, created_at)
    values (p_tenant, p_actor, 'instance.try', tried_name(p_name), clock(p_now));
  if v_owner is not null then return jsonb_build_object('outcome', 'not_yours'); end if;
  select * into v_aside from set_aside where name = p_name and tenant_id <> p_tenant order by id limit 1;
  if not found then return jsonb_build_object('outcome', 'new'); end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values ('default', p_actor, 'instance.connect_refused', p_name, jsonb_build_object('tenant', p_tenant, 'aside',
      v_aside.id), clock(p_now));
  perform add_notice(jsonb_build_object('tenant', 'default', 'key', 'aside-wanted-' || v_aside.id || '-' || p_tenant,
    'kind', 'alert', 'urgent', true, 'about', null,
    'text', format('O cliente %s quis conectar o número aside:%s, que mandou webhooks e está guardado: foi recusado. Se é dele: npm run admin -- instance adopt aside:%s --for %s.',
      p_tenant, v_aside.id, v_aside.id, p_tenant)), p_now);
  return jsonb_build_object('outcome', 'not_yours');
end $$;

-- adopt_instance: a number is made known by name, and may be chosen for proactive messages unless an operator said
-- otherwise. Idempotent.
-- Arguments: p_provider_id Evolution's uuid; null: the next webhook tells it, since its owner says that what Evolution
--   has under this name is this number.
-- Result: {outcome: 'adopted' | 'other_tenant' | 'unknown_tenant'}.
create or replace function adopt_instance(p_tenant text, p_name text, p_provider_id text, p_actor text)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v instances;
begin
  if not exists (select from tenants where id = p_tenant) then return jsonb_build_object('outcome', 'unknown_tenant');
  end if;
  insert into instances (tenant_id, name, proactive) values (p_tenant, p_name, true) on conflict (name) do nothing;
  select * into v from instances where name = p_name for no key update;
  if v.tenant_id <> p_tenant then return jsonb_build_object('outcome', 'other_tenant'); end if;
  update instances set provider_id = null where provider_id = p_provider_id and id <> v.id;
  update instances set provider_id = p_provider_id where id = v.id;
  update instances set proactive = true where id = v.id and not proactive
    and not exists (select from instance_events e where e.instance_id = v.id and e.event = 'changed'
      and e.details ? 'proactive');
  insert into audit_log (tenant_id, actor, action, subject) values (p_tenant, p_actor, 'instance.connect', p_name);
  return jsonb_build_object('outcome', 'adopted');
end $$;

-- instance_history: the newest events of a number, newest first. Result: [{event, reason, details, at}].
create or replace function instance_history(p_tenant text, p_name text, p_limit int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('event', e.event, 'reason', e.reason, 'details', e.details, 'at',
    e.created_at) order by e.id desc), '[]')
  from (select e.* from instance_events e join instances i on i.id = e.instance_id
    where i.name = p_name and i.tenant_id = p_tenant order by e.id desc limit p_limit) e
$$;

-- set_instance_state: what a poll of connectionState says, through the same door as the webhook. Result as
-- record_connection; an unknown number changes nothing.
create or replace function set_instance_state(p_name text, p_state text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v instances;
begin
  select * into v from instances where name = p_name;
  if not found then return jsonb_build_object('outcome', 'unknown', 'wake', false, 'wake_sends', false); end if;
  return record_connection(v, jsonb_build_object('state', p_state, 'polled', true), p_now);
end $$;

-- set_instance_phone: which phone a number has, as Evolution itself says when it is asked; null: it knows of none, and
-- what is known stays.
create or replace function set_instance_phone(p_name text, p_phone text) returns void language sql
set search_path = public, pg_temp as
$$ update instances set phone = coalesce(p_phone, phone), phone_doubted = false where name = p_name $$;

-- list_instances: the numbers to poll. Result: [{name, status, version_stale, phone_doubted: Evolution is to be asked
-- which phone it has, breaker: why its breaker is open in a process that lives, or null, fault: see note_fault}].
create or replace function list_instances() returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('name', name, 'status', status, 'phone_doubted', phone_doubted,
    'version_stale', coalesce(gateway_version_at < now() - interval '10 minutes', true), 'breaker',
      breaker_reason(name, null, now()), 'fault', gateway_fault) order by id), '[]') from instances
$$;

-- list_aside: who posted webhooks and may not, the newest first. Only the tenant default, to whom the installation
-- belongs, may look. Read only.
-- Result: [{id, tenant: whose secret posted it, name, provider_id, reason, webhooks, kept, first_at, last_at,
--   forgotten_at, same_as: the number that has this uuid, or null}].
create or replace function list_aside(p_limit int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(to_jsonb(l) order by l.last_at desc, l.id), '[]') from (
    select a.id, a.tenant_id as tenant, a.name, a.provider_id, a.reason, a.webhooks, a.first_at, a.last_at,
      a.forgotten_at, (select count(*) from webhook_events w where w.aside_id = a.id) as kept,
      (select i.name from instances i where i.provider_id = a.provider_id) as same_as
    from set_aside a order by a.last_at desc, a.id limit p_limit) l
$$;

-- adopt_aside: a person says that what was set aside under a name is theirs: the number is made known, under the uuid
-- that it posted with; a number that had this uuid
--   under another name is renamed. What was set aside can be replayed from then on.
-- Guarantee: another tenant than default has nothing but what a secret of a number of its own posted in the name of a
--   number of its own; of all else it hears that there is none.
-- Arguments: p_key the name, or aside:ID; p_for the tenant that it is for. Only the tenant default may adopt a name
--   that nobody has, or another's uuid.
-- Concurrency: locks the rows of the name. Result: {outcome: 'adopted', name, renamed: the name before, or null, aside:
--   [id]} | {outcome: 'unknown' | 'no_name': no number can be called so | 'other_tenant' | 'unknown_tenant' |
--   'ambiguous': several uuids, or secrets of several tenants, posted under this name, aside:ID says which}.
create or replace function adopt_aside(
  p_tenant text, p_key text, p_for text, p_actor text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v set_aside; v_own instances; v_same instances; v_ids bigint[];
begin
  select array_agg(id) into v_ids from (select id from set_aside where (p_tenant = 'default' or tenant_id = p_tenant)
    and case when p_key ~ '^aside:[0-9]{1,15}$' then id = substr(p_key, 7)::bigint else name = p_key end
      order by id for update) a;
  if v_ids is null or (p_tenant <> 'default' and p_for <> p_tenant)
    then return jsonb_build_object('outcome', 'unknown'); end if;
  select * into v from set_aside where id = any (v_ids) order by provider_id is null, id limit 1;
  select * into v_own from instances where name = v.name for no key update;
  if p_tenant <> 'default' and v_own.tenant_id is distinct from p_tenant
    then return jsonb_build_object('outcome', 'unknown'); end if;
  if (select count(distinct provider_id) > 1 or count(distinct tenant_id) > 1 from set_aside where id = any (v_ids))
    then return jsonb_build_object('outcome', 'ambiguous'); end if;
  select * into v_same from instances where provider_id = v.provider_id and name <> v.name for no key update;
  if p_tenant <> 'default' and v_same.tenant_id <> p_tenant then return jsonb_build_object('outcome', 'unknown');
  end if;
  if not exists (select from tenants where id = p_for) then return jsonb_build_object('outcome', 'unknown_tenant');
  end if;
  if v_own.tenant_id <> p_for or v_same.tenant_id <> p_for then return jsonb_build_object('outcome', 'other_tenant');
  end if;
  if v_own.id is null and v_same.id is not null then
    -- what is sealed belongs to the name that it was sealed for
    update instances set name = v.name, evolution_key = null, webhook_secret = null, webhook_secret_previous = null,
      webhook_secret_since = null where id = v_same.id;
  else
    update instances set provider_id = null where id = v_same.id;
    insert into instances (tenant_id, name) values (p_for, v.name) on conflict (name) do nothing;
    update instances set provider_id = coalesce(v.provider_id, provider_id) where name = v.name;
  end if;
  update set_aside set forgotten_at = null where id = any (v_ids);
  -- also to whom it belonged before
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) select tenant, p_actor,
    'instance.adopt', v.name,
    jsonb_build_object('reason', v.reason, 'renamed', case when v_own.id is null then v_same.name end, 'for', p_for),
      clock(p_now) from (select p_for as tenant union select v.tenant_id union select p_tenant) t;
  return jsonb_build_object('outcome', 'adopted', 'name', v.name, 'renamed', case when v_own.id is null
    then v_same.name end, 'aside', to_jsonb(v_ids));
exception when check_violation then return jsonb_build_object('outcome', 'no_name');
end $$;

-- forget_aside: a person wants nothing more of a name that was set aside: what was kept goes, what comes is counted and
-- nobody is told.
-- Arguments: as adopt_aside. Only the tenant default may. Result: {outcome: 'forgotten', name, webhooks: how many went}
--   | {outcome: 'unknown' | 'not_yours'}.
create or replace function forget_aside(p_tenant text, p_key text, p_actor text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_ids bigint[]; v_name text; v_n int;
begin
  if p_tenant <> 'default' then return jsonb_build_object('outcome', 'not_yours'); end if;
  select array_agg(id), min(name) into v_ids, v_name
    from (select id, name from set_aside where case when p_key ~ '^aside:[0-9]{1,15}$'
    then id = substr(p_key, 7)::bigint else name = p_key end order by id for update) a;
  if v_ids is null then return jsonb_build_object('outcome', 'unknown'); end if;
  delete from webhook_events where aside_id = any (v_ids);
  get diagnostics v_n = row_count;
  update set_aside set forgotten_at = coalesce(forgotten_at, clock(p_now)) where id = any (v_ids);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'instance.forget', v_name, jsonb_build_object('webhooks', v_n), clock(p_now));
  return jsonb_build_object('outcome', 'forgotten', 'name', v_name, 'webhooks', v_n);
end $$;

-- aside_webhooks: what was set aside and waits, the oldest first. Read only. Result: [{id, event, body, received_at}].
create or replace function aside_webhooks(p_aside jsonb, p_limit int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', id, 'event', event, 'body', body, 'received_at', received_at)
    order by id), '[]')
  from (select * from webhook_events where aside_id in (select jsonb_array_elements_text(p_aside)::bigint) order by id
    limit p_limit) w
$$;

-- end_aside: webhooks that were set aside have been replayed: they stand in the database once more, as what they are. A
-- name of which nothing waits any more goes.
-- Result: {left: how many wait}.
create or replace function end_aside(p_aside jsonb, p_webhooks jsonb)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_left bigint;
begin
  delete from webhook_events where id in (select jsonb_array_elements_text(p_webhooks)::bigint)
    and aside_id in (select jsonb_array_elements_text(p_aside)::bigint);
  select count(*) into v_left from webhook_events where aside_id in (select jsonb_array_elements_text(p_aside)::bigint);
  if v_left = 0 then delete from set_aside where id in (select jsonb_array_elements_text(p_aside)::bigint); end if;
  return jsonb_build_object('left', v_left);
end $$;

-- sealed_secrets: what numbers have of their own, sealed: keys at Evolution and secrets of webhooks. p_tenant null: of
-- all tenants. Read only.
-- Result: [{name, kind: 'evolution_key' | 'webhook_secret' | 'webhook_secret_previous', sealed, counts: a previous one
--   ends an hour after Evolution has the new one}].
create or replace function sealed_secrets(p_tenant text, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('name', i.name, 'kind', s.kind, 'sealed', s.sealed,
      'counts', s.kind <> 'webhook_secret_previous' or i.webhook_secret_since is null
        or i.webhook_secret_since > clock(p_now) - interval '1 hour') order by i.id, s.kind), '[]')
  from instances i cross join lateral (values ('evolution_key', i.evolution_key), ('webhook_secret', i.webhook_secret),
    ('webhook_secret_previous', i.webhook_secret_previous)) s (kind, sealed)
  where s.sealed is not null and (p_tenant is null or i.tenant_id = p_tenant)
$$;

-- set_instance_key: gives a number a sealed key of its own, or with null takes it away. Audited without the key.
-- Result: {found}.
create or replace function set_instance_key(
  p_tenant text, p_instance text, p_key text, p_actor text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  update instances set evolution_key = p_key where name = p_instance and tenant_id = p_tenant;
  if not found then return jsonb_build_object('found', false); end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'instance.key', p_instance, jsonb_build_object('own', p_key is not null), clock(p_now));
  return jsonb_build_object('found', true);
end $$;

-- set_webhook_secret: a number gets a secret for its webhooks, sealed. The one before it counts until
-- confirm_webhook_secret, and an hour on. Audited without it.
-- Result: {found}.
create or replace function set_webhook_secret(
  p_tenant text, p_instance text, p_sealed text, p_actor text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  -- one that Evolution never confirmed is not what Evolution has
  update instances set webhook_secret_previous = case when webhook_secret is not null and webhook_secret_since is null
    then webhook_secret_previous else webhook_secret end,
    webhook_secret = p_sealed, webhook_secret_since = null where name = p_instance and tenant_id = p_tenant;
  if not found then return jsonb_build_object('found', false); end if;
  insert into audit_log (tenant_id, actor, action, subject, created_at)
    values (p_tenant, p_actor, 'instance.secret', p_instance, clock(p_now));
  return jsonb_build_object('found', true);
end $$;

-- confirm_webhook_secret: Evolution has the secret that a number got. Idempotent. Result: {}.
create or replace function confirm_webhook_secret(p_instance text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  update instances set webhook_secret_since = clock(p_now) where name = p_instance and webhook_secret is not null
    and webhook_secret_since is null;
  return '{}';
end $$;

-- swap_secret: the same secret of a number, sealed again. Guarantee: only while it is still the one that was read.
-- Result: {swapped}.
create or replace function swap_secret(p_instance text, p_old text, p_new text)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  update instances set evolution_key = case evolution_key when p_old then p_new else evolution_key end,
    webhook_secret = case webhook_secret when p_old then p_new else webhook_secret end,
    webhook_secret_previous = case webhook_secret_previous when p_old then p_new else webhook_secret_previous end
    where name = p_instance and p_old in (evolution_key, webhook_secret, webhook_secret_previous);
  return jsonb_build_object('swapped', found);
end $$;

revoke all on function
  ensure_instance(text, text),
  speaks_for(jsonb, instances, timestamptz),
  tenant_of_poster(jsonb),
  webhook_refusal(instances, text, text, jsonb, text, timestamptz),
  learn_uuid(instances, text),
  record_connection(instances, jsonb, timestamptz),
  note_instance(instances, text, text, jsonb, timestamptz),
  trust_now(instances, timestamptz),
  number_hold(instances, boolean, timestamptz),
  incident(text),
  number_trouble(bigint, jsonb, timestamptz),
  release_number(instances, text, timestamptz),
  number_sent(bigint, boolean, timestamptz),
  judged_sends(instances, timestamptz),
  assess_numbers(timestamptz),
  number_health(text, timestamptz),
  choose_instance(text, text, text, jsonb, timestamptz),
  signs_of_life(text, timestamptz),
  note_alive(jsonb, text, timestamptz),
  restarts_in_row(instances, timestamptz),
  last_heard(instances, timestamptz),
  is_silence_unusual(instances, timestamptz, timestamptz),
  listen_numbers(timestamptz),
  claim_restarts(jsonb, timestamptz),
  note_gateway(text, timestamptz),
  note_fault(jsonb, text),
  set_instance(text, text, text, jsonb, timestamptz),
  tried_name(text),
  may_connect(text, text, text, timestamptz),
  adopt_instance(text, text, text, text),
  instance_history(text, text, int),
  set_instance_state(text, text, timestamptz),
  set_instance_phone(text, text),
  list_instances(),
  list_aside(int),
  adopt_aside(text, text, text, text, timestamptz),
  forget_aside(text, text, text, timestamptz),
  aside_webhooks(jsonb, int),
  end_aside(jsonb, jsonb),
  sealed_secrets(text, timestamptz),
  set_instance_key(text, text, text, text, timestamptz),
  set_webhook_secret(text, text, text, text, timestamptz),
  confirm_webhook_secret(text, timestamptz),
  swap_secret(text, text, text)
  from public, anon, authenticated;
grant execute on function
  ensure_instance(text, text),
  speaks_for(jsonb, instances, timestamptz),
  tenant_of_poster(jsonb),
  webhook_refusal(instances, text, text, jsonb, text, timestamptz),
  learn_uuid(instances, text),
  record_connection(instances, jsonb, timestamptz),
  note_instance(instances, text, text, jsonb, timestamptz),
  trust_now(instances, timestamptz),
  number_hold(instances, boolean, timestamptz),
  incident(text),
  number_trouble(bigint, jsonb, timestamptz),
  release_number(instances, text, timestamptz),
  number_sent(bigint, boolean, timestamptz),
  judged_sends(instances, timestamptz),
  assess_numbers(timestamptz),
  number_health(text, timestamptz),
  choose_instance(text, text, text, jsonb, timestamptz),
  signs_of_life(text, timestamptz),
  note_alive(jsonb, text, timestamptz),
  restarts_in_row(instances, timestamptz),
  last_heard(instances, timestamptz),
  is_silence_unusual(instances, timestamptz, timestamptz),
  listen_numbers(timestamptz),
  claim_restarts(jsonb, timestamptz),
  note_gateway(text, timestamptz),
  note_fault(jsonb, text),
  set_instance(text, text, text, jsonb, timestamptz),
  tried_name(text),
  may_connect(text, text, text, timestamptz),
  adopt_instance(text, text, text, text),
  instance_history(text, text, int),
  set_instance_state(text, text, timestamptz),
  set_instance_phone(text, text),
  list_instances(),
  list_aside(int),
  adopt_aside(text, text, text, text, timestamptz),
  forget_aside(text, text, text, timestamptz),
  aside_webhooks(jsonb, int),
  end_aside(jsonb, jsonb),
  sealed_secrets(text, timestamptz),
  set_instance_key(text, text, text, text, timestamptz),
  set_webhook_secret(text, text, text, text, timestamptz),
  confirm_webhook_secret(text, timestamptz),
  swap_secret(text, text, text)
  to service_role, whats_agents_runtime;
