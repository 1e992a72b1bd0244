-- Guardrails: every rule before a send, in one list, and what the rules count.

-- Days on which nothing leaves that nobody asked for. Brazil's come from a library (npm run migrate, and the scheduler each day); operators add
-- their own by hand, or set closed to false for a day on which they work.
create table holidays (
  tenant_id  text not null default 'default' references tenants (id),   -- those of `default` hold for every tenant
  day        date not null,
  name       text not null,
  closed     boolean not null default true,
  primary key (tenant_id, day)
);
alter table holidays enable row level security;
revoke all on holidays from anon, authenticated;
grant select, insert, update, delete on holidays to service_role;

-- put_holidays: Brazil's holidays for a time ahead. A day that is there already stays as it is. p_days [{day, name}]. Result: {until: the last day known}.
create function put_holidays(p_days jsonb) returns jsonb language plpgsql as $$
begin
  insert into holidays (day, name) select d.day, d.name from jsonb_to_recordset(p_days) as d (day date, name text) on conflict do nothing;
  return jsonb_build_object('until', (select max(day) from holidays where tenant_id = 'default'));
end $$;

-- hours_of: the hours of a number for what nobody asked for: those of its agent over those of the policy; null: always.
-- Result: {start, end, weekdays, holidays, tz}, all of them there.
create function hours_of(i instances, p_policy jsonb) returns jsonb language plpgsql stable as $$
declare v_own jsonb;
begin
  select a.hours into v_own from agents a where a.id = i.agent_id;
  if not found then
    select a.hours into v_own from agents a where a.tenant_id in (i.tenant_id, 'default') and a.slug = 'default' and a.active order by a.tenant_id = i.tenant_id desc limit 1;
  end if;
  if v_own is null and jsonb_typeof(p_policy -> 'hours') is distinct from 'object' then return null; end if;
  return '{"start": "00:00", "end": "24:00", "weekdays": [1, 2, 3, 4, 5, 6, 7], "holidays": true}'::jsonb
    || case when jsonb_typeof(p_policy -> 'hours') = 'object' then p_policy -> 'hours' else '{}' end || coalesce(v_own, '{}')
    || jsonb_build_object('tz', coalesce(p_policy ->> 'tz', 'UTC'));
end $$;

-- inside_hours: whether a moment lies inside hours, by the clock, the weekday and the holidays of their zone. p_hours as hours_of.
create function inside_hours(p_hours jsonb, p_tenant text, p_at timestamptz) returns boolean language plpgsql stable as $$
declare v_local timestamp := p_at at time zone (p_hours ->> 'tz');
begin
  if p_hours is null then return true; end if;
  return v_local::time >= (p_hours ->> 'start')::time and v_local::time < (p_hours ->> 'end')::time
    and p_hours -> 'weekdays' @> to_jsonb(extract(isodow from v_local)::int)
    and ((p_hours ->> 'holidays')::boolean or not exists (select from holidays h where h.tenant_id in ('default', p_tenant) and h.day = v_local::date and h.closed));
end $$;

-- next_open: the first moment from p_now on that is inside hours.
create function next_open(p_hours jsonb, p_tenant text, p_now timestamptz) returns timestamptz language plpgsql stable as $$
declare v_opens timestamptz; v_first timestamptz;
begin
  if inside_hours(p_hours, p_tenant, p_now) then return p_now; end if;
  -- a clock that is set back may come into the hours a second time
  select min(t) into v_first from generate_series(date_trunc('minute', p_now), p_now + interval '2 hours', interval '1 minute') t
    where t > p_now and inside_hours(p_hours, p_tenant, t);
  if v_first is not null then return v_first; end if;
  for ahead in 0..400 loop
    v_opens := ((p_now at time zone (p_hours ->> 'tz'))::date + ahead + (p_hours ->> 'start')::time) at time zone (p_hours ->> 'tz');
    -- and passes the opening twice; one that is set forward may skip it: the first moment inside counts
    if inside_hours(p_hours, p_tenant, v_opens) then
      select min(t) into v_first from generate_series(v_opens - interval '1 hour', v_opens, interval '1 minute') t where t > p_now and inside_hours(p_hours, p_tenant, t);
      if v_first is not null then return v_first; end if;
    end if;
  end loop;
  return p_now + interval '1 day'; -- hours that never open: looked at again tomorrow
end $$;

-- free_at: when a cap has room for one more send, or null when it has room now (or there is no cap).
-- Guarantee: exact over any rolling window, because slot_at is the latest moment at which a message can have been on the wire, and rows
--   that may still be on their way (sending, also after the lease; uncertain, while it is looked up) count as now.
-- Arguments: p_class what counts: 'reply'; 'proactive' (all that nobody asked for); 'stranger'; or a kind. p_since what was before does not count.
-- Concurrency: the caller holds the instance's lock.
create function free_at(p_instance bigint, p_class text, p_window interval, p_cap int, p_since timestamptz, p_now timestamptz) returns timestamptz language plpgsql stable as $$
declare
  v_from timestamptz := greatest(p_now - p_window, p_since);
  v_room int := p_cap;   -- places that what is under way leaves
  v_at timestamptz;
begin
  if p_cap is null then return null; end if;
  if p_cap > 0 and p_class = 'reply' then
    select p_cap - count(*) into v_room from messages where instance_id = p_instance and status in ('sending', 'uncertain')
      and kind in ('reply', 'handoff');
  elsif p_cap > 0 then
    select p_cap - count(*) into v_room from messages where instance_id = p_instance and status in ('sending', 'uncertain')
      and kind not in ('reply', 'handoff') and case p_class when 'proactive' then true when 'stranger' then first_contact else kind = p_class end;
  end if;
  if v_room <= 0 then return p_now + p_window; end if;
  -- read from the newest on, in the order of the index: as many as the cap, and none before the window
  if p_class = 'reply' then
    select slot_at into v_at from messages where instance_id = p_instance and slot_at > v_from and kind in ('reply', 'handoff')
        and status not in ('sending', 'uncertain')
      order by slot_at desc offset v_room - 1 limit 1;
  else
    select slot_at into v_at from messages where instance_id = p_instance and slot_at > v_from and kind not in ('reply', 'handoff')
        and status not in ('sending', 'uncertain')
        and case p_class when 'proactive' then true when 'stranger' then first_contact else kind = p_class end
      order by slot_at desc offset v_room - 1 limit 1;
  end if;
  return v_at + p_window;
end $$;

-- share_free_at: when a conversation may have its next answer: it uses at most a quarter of its number's replies of an hour, and 20 in any case, so that one contact
-- cannot use up those of all. Null: now. One look where fewer messages were exchanged.
create function share_free_at(v conversations, p_cap int, p_now timestamptz) returns timestamptz language plpgsql stable as $$
declare v_share int := greatest(20, ceil(p_cap / 4.0)::int); v_at timestamptz;
begin
  if p_cap is null or not exists (select from messages m where m.conversation_id = v.id and m.seq = v.last_seq - v_share and greatest(m.created_at, m.slot_at) > p_now - interval '1 hour') then return null; end if;
  select m.slot_at into v_at from messages m where m.conversation_id = v.id and m.direction = 'out' and m.kind in ('reply', 'handoff') and m.slot_at > p_now - interval '1 hour'
    order by m.slot_at desc offset v_share - 1 limit 1;
  return v_at + interval '1 hour';
end $$;

-- contact_free_at: the same for what one person gets, over all numbers. p_offers: only campaigns and follow-ups count.
-- Concurrency: the caller holds the contact's lock.
create function contact_free_at(p_contact bigint, p_offers boolean, p_window interval, p_cap int, p_now timestamptz) returns timestamptz language plpgsql stable as $$
declare v_at timestamptz;
begin
  if p_cap is null then return null; end if;
  if p_cap = 0 then return p_now + p_window; end if;
  select s.at into v_at from (
    select case when m.status in ('sending', 'uncertain') then p_now else m.slot_at end as at
    from conversations c join messages m on m.conversation_id = c.id
    where c.contact_id = p_contact and m.slot_at is not null and m.kind not in ('reply', 'handoff')
      and (m.kind in ('campaign', 'prospecting', 'follow_up') or not p_offers)) s
    where s.at > p_now - p_window order by s.at desc offset p_cap - 1 limit 1;
  return v_at + p_window;
end $$;

-- unanswered: how many messages that nobody asked for a contact got since it wrote last, at most p_most.
create function unanswered(p_contact bigint, p_most int) returns int language plpgsql stable as $$
declare v_since timestamptz; v_count int;
begin
  select max(last_inbound_at) into v_since from conversations where contact_id = p_contact;
  select count(*) into v_count from (select from conversations c join messages m on m.conversation_id = c.id
    where c.contact_id = p_contact and m.slot_at > coalesce(v_since, '-infinity') and m.kind not in ('reply', 'handoff', 'manual', 'operator') limit p_most) u;
  return v_count;
end $$;

-- last_campaign: when a contact got its last campaign message, on any number; one that may be on its way counts.
create function last_campaign(p_contact bigint) returns timestamptz language plpgsql stable as $$
begin
  return (select max(m.slot_at) from conversations c join messages m on m.conversation_id = c.id
    where c.contact_id = p_contact and m.slot_at is not null and m.kind in ('campaign', 'prospecting'));
end $$;

-- is_stranger: nobody has ever heard from this contact, on any number.
create function is_stranger(p_contact bigint) returns boolean language plpgsql stable as $$
begin
  return not exists (select from conversations where contact_id = p_contact and last_inbound_at is not null);
end $$;

-- warming_caps: what a young number may send at most, by its age: from 2 an hour and 5 a day to 100 a day after three weeks, then twice as much each week
-- until its own caps are the narrower ones. Replies are not bound. Null: the number is not young.
-- Result: {hour, day, strangers: first messages to people who never wrote, a day, reply_percent: how many of its campaign messages must be answered}.
create function warming_caps(p_phase text, p_since timestamptz, p_now timestamptz) returns jsonb language sql immutable as $$
  select case when p_phase <> 'warming' or d.days >= 100 then null
    when d.days >= 21 then jsonb_build_object('hour', 20 * 2 ^ ((d.days - 21) / 7), 'day', 100 * 2 ^ ((d.days - 21) / 7))
    else (array['{"hour": 2, "day": 5, "strangers": 3}', '{"hour": 3, "day": 10, "strangers": 5}', '{"hour": 5, "day": 20, "strangers": 10}', '{"hour": 7, "day": 30, "strangers": 15}',
      '{"hour": 10, "day": 45, "strangers": 20}', '{"hour": 14, "day": 65, "strangers": 30}', '{"hour": 17, "day": 80, "strangers": 40}']::jsonb[])[d.days / 3 + 1]
      || '{"reply_percent": 10}' end
  from (select greatest(0, floor(extract(epoch from p_now - p_since) / 86400))::int as days) d
$$;

-- low_reply_ratio: of the last 100 campaign messages of a number that are older than a day, and younger than two weeks, fewer than p_percent in a hundred
-- were answered. Says nothing of fewer than 30.
create function low_reply_ratio(p_instance bigint, p_percent int, p_now timestamptz) returns boolean language plpgsql stable as $$
begin
  if coalesce(p_percent, 0) = 0 then return false; end if;
  return (select count(*) >= 30 and count(*) filter (where c.last_inbound_at > s.slot_at) * 100 < p_percent * count(*)
    from (select conversation_id, slot_at from messages where instance_id = p_instance and slot_at > p_now - interval '14 days' and slot_at <= p_now - interval '1 day'
      and kind not in ('reply', 'handoff') and kind in ('campaign', 'prospecting') order by slot_at desc limit 100) s join conversations c on c.id = s.conversation_id);
end $$;

-- slow_start: for half an hour after an outage a number sends a quarter of what an hour allows. When the next may go; null: now.
create function slow_start(i instances, p_cap_hour int, p_now timestamptz) returns timestamptz language plpgsql stable as $$
declare v_at timestamptz;
begin
  if i.reconnected_at is null or i.reconnected_at <= p_now - interval '30 minutes' then return null; end if;
  v_at := free_at(i.id, 'proactive', interval '30 minutes', greatest(1, ceil(p_cap_hour / 4.0))::int, i.reconnected_at, p_now);
  return case when v_at is not null then least(v_at, i.reconnected_at + interval '30 minutes') end;
end $$;

-- yields: something more urgent of the same number waits for the same slot, and will take it in a moment. What has been due for longer is held by something else.
create function yields(m messages, p_now timestamptz) returns boolean language plpgsql stable as $$
begin
  return exists (select from messages o where o.instance_id = m.instance_id and o.status = 'queued' and o.kind not in ('reply', 'handoff')
    and o.priority in (1, 2, 3) and o.priority < m.priority and o.due_at > p_now - interval '2 minutes' and o.due_at <= p_now
    and o.conversation_id <> m.conversation_id and coalesce(o.reason, '') not like 'paused_%');
end $$;

-- is_foreign: whether this database says that it belongs to another project than p_project_ref (SUPABASE_PROJECT_REF). Null: nobody asked.
create function is_foreign(p_project_ref text) returns boolean language plpgsql stable as $$
begin
  return p_project_ref is not null and exists (select from installation where key = 'project_ref' and value <> p_project_ref);
end $$;

-- in_allowlist: whether a contact may get messages in this environment. p_policy {allowlist: [digits] | null for everyone}.
create function in_allowlist(p_contact bigint, p_policy jsonb) returns boolean language plpgsql stable as $$
begin
  return jsonb_typeof(p_policy -> 'allowlist') is distinct from 'array'
    or exists (select from contact_addresses a where a.contact_id = p_contact and a.kind = 'pn' and p_policy -> 'allowlist' ? a.address);
end $$;

-- ends, waits, looks: one line of the list. Null when the rule holds nothing up; else what becomes of the message: {rule, end: its last status}
-- | {rule, until} | {rule, look: when to look again, as nobody knows when it may go}.
create function ends(p_rule text, p_status text, p_if boolean) returns jsonb language sql immutable as
$$ select case when p_if then jsonb_build_object('rule', p_rule, 'end', p_status) end $$;
-- waits: see ends.
create function waits(p_rule text, p_until timestamptz, p_now timestamptz) returns jsonb language sql immutable as
$$ select case when p_until > p_now then jsonb_build_object('rule', p_rule, 'until', p_until) end $$;
-- looks: see ends.
create function looks(p_rule text, p_if boolean, p_look timestamptz) returns jsonb language sql immutable as
$$ select case when p_if then jsonb_build_object('rule', p_rule, 'look', p_look) end $$;

-- first_guard: the first rule that a message breaks at this moment, or null. THE list: its order is the order in which rules are told.
-- (A repeat of an order is found by its key when it is asked for: see enqueue_message.)
-- Arguments: the row, its conversation, its number; p_policy as in claim_send. Result: as `ends`; a pause has neither an end nor a time.
-- Concurrency: the caller holds the locks of the conversation and the number, and of the contact when nobody asked for the message.
create function first_guard(m messages, v conversations, i instances, p_policy jsonb, p_now timestamptz) returns jsonb language plpgsql stable as $$
declare
  v_reply boolean := m.kind in ('reply', 'handoff');
  v_campaign boolean := m.kind in ('campaign', 'prospecting');
  v_offer boolean := m.kind in ('campaign', 'prospecting', 'follow_up');
  v_holder text := conversation_holder(v, p_now);
  -- an answer to who runs this, an alert to the manager: a stop that could not be told would not be believed. Only allowlist, expiry and the number hold it
  v_operator boolean := m.kind = 'operator';
  v_paused text := case when m.kind <> 'operator' then pause_reason(v.tenant_id, i.name, v.id, m.campaign_id) end;
  v_hour int := coalesce(i.cap_hour, (p_policy ->> 'capHour')::int);
  v_day int := coalesce(i.cap_day, (p_policy ->> 'capDay')::int);
  v_young jsonb := warming_caps(i.phase, i.phase_since, p_now);
  v_contact contacts;
  v_allowed text;
  -- the rules for what nobody asked for do not bind a person who sends over them, or who answers within a day
  v_unasked boolean := not v_reply and not v_operator and m.bypass is null and not (m.kind = 'manual' and coalesce(v.last_inbound_at > p_now - interval '1 day', false));
begin
  if v_unasked then
    select * into v_contact from contacts where id = v.contact_id;
    select proactive into v_allowed from tenants where id = v.tenant_id;
  end if;
  return coalesce(
    -- whether it may leave at all
    looks('wrong_project', is_foreign(p_policy ->> 'projectRef'), p_now + interval '1 minute'),
    ends('allowlist', 'blocked', not in_allowlist(v.contact_id, p_policy)),
    ends('reply_proof', 'blocked', v_reply and m.turn_id is null and not coalesce(v.last_inbound_at >= m.created_at - interval '30 minutes', false)),
    ends('expired', 'expired', m.expires_at <= p_now),
    -- who wrote after opting out is answered; what was written before the opt-out is not sent any more, nor anything that nobody asked for
    ends('opt_out', 'blocked', not v_operator and exists (select from opt_outs o where o.contact_id = v.contact_id and o.revoked_at is null and (not v_reply or o.created_at > m.created_at))),
    case when v_paused is not null then jsonb_build_object('rule', 'paused_' || v_paused) end,
    -- after a pause, what was said long ago is not said any more: a person looks at it
    ends('answer_too_old', 'cancelled', v_reply and m.author = 'agent' and m.reason like 'paused\_%'
      and coalesce(m.created_at < p_now - make_interval(mins => (p_policy ->> 'replyMaxAgeMinutes')::int), false)),
    -- "somebody will go on here" is said although the conversation is a person's already, but never over somebody who is typing
    ends(v_holder, 'cancelled', m.author = 'agent' and (v_holder = 'takeover' or (v_holder <> 'agent' and m.kind <> 'handoff'))),
    -- nothing automatic lands between a person's words; what an operator wrote by hand is a person's word itself
    waits(v_holder, case when v_holder = 'takeover' and not v_reply and m.kind not in ('manual', 'operator') then v.takeover_until end, p_now),
    looks(v_holder, v_holder <> 'agent' and not v_reply and m.kind not in ('manual', 'operator'), p_now + interval '10 minutes'),
    case when v_reply then
      waits('reply_cap_hour', free_at(i.id, 'reply', interval '1 hour', coalesce(i.reply_cap_hour, (p_policy ->> 'replyCapHour')::int), null, p_now), p_now) end,
    case when v_reply and m.author = 'agent' then
      waits('reply_share', share_free_at(v, coalesce(i.reply_cap_hour, (p_policy ->> 'replyCapHour')::int), p_now), p_now) end,
    case when v_unasked then coalesce(
      -- when, and whether this person
      ends('pilot_mode', 'blocked', (p_policy ->> 'pilot')::boolean and v.last_inbound_at is null),
      waits('quiet_hours', next_open(hours_of(i, p_policy), v.tenant_id, p_now), p_now),
      waits('cooling_off', case when v_offer then v_contact.cooling_until end, p_now),
      waits('next_allowed', v_contact.next_allowed_at, p_now),
      waits('contact_cap', contact_free_at(v.contact_id, false, interval '1 hour', (p_policy ->> 'contactCapHour')::int, p_now), p_now),
      waits('contact_cap_week', case when v_offer then contact_free_at(v.contact_id, true, interval '7 days', (p_policy ->> 'contactCapWeek')::int, p_now) end, p_now),
      -- whether this kind
      looks('campaigns_off', v_campaign and v_allowed = 'no_campaigns', p_now + interval '10 minutes'),
      looks('safe_mode', m.kind <> 'manual' and v_allowed = 'none', p_now + interval '10 minutes'),
      ends('campaign_pressure', 'blocked', v_campaign and unanswered(v.contact_id, (p_policy ->> 'maxUnanswered')::int) >= (p_policy ->> 'maxUnanswered')::int),
      waits('campaign_gap', case when v_campaign then last_campaign(v.contact_id) + make_interval(days => (p_policy ->> 'campaignGapDays')::int) end, p_now),
      waits('kind_cap', free_at(i.id, m.kind, interval '1 hour', coalesce((p_policy -> 'kindCaps' ->> m.kind)::int,
        case m.kind when 'prospecting' then ceil(v_hour / 2.0) when 'follow_up' then ceil(v_hour * 0.75) end::int), i.hour_reset_at, p_now), p_now),
      waits('strangers', case when v_offer and is_stranger(v.contact_id) then free_at(i.id, 'stranger', interval '1 day',
        least((v_young ->> 'strangers')::int, coalesce(i.cap_strangers_day, (p_policy ->> 'strangersDay')::int)), i.day_reset_at, p_now) end, p_now),
      looks('reply_ratio', v_campaign and low_reply_ratio(i.id, greatest((v_young ->> 'reply_percent')::int, (p_policy ->> 'minReplyPercent')::int), p_now), p_now + interval '1 hour'),
      -- whether the number has room
      waits('warming_hour', case when (v_young ->> 'hour')::int < v_hour then free_at(i.id, 'proactive', interval '1 hour', (v_young ->> 'hour')::int, i.hour_reset_at, p_now) end, p_now),
      waits('warming_day', case when (v_young ->> 'day')::int < v_day then free_at(i.id, 'proactive', interval '1 day', (v_young ->> 'day')::int, i.day_reset_at, p_now) end, p_now),
      waits('cap_hour', free_at(i.id, 'proactive', interval '1 hour', v_hour, i.hour_reset_at, p_now), p_now),
      waits('cap_day', free_at(i.id, 'proactive', interval '1 day', v_day, i.day_reset_at, p_now), p_now),
      waits('slow_start', slow_start(i, v_hour, p_now), p_now),
      -- who was shown typing has had its place in the line and in the pace
      waits('priority', case when m.typing_until is null and yields(m, p_now) then p_now + make_interval(secs => greatest(1, (p_policy ->> 'paceMinSeconds')::numeric)) end, p_now),
      waits('pace', case when m.typing_until is null then i.next_proactive_at end, p_now)) end,
    -- the number is away: the news of its return wakes the lanes
    looks('number_disconnected', i.status in ('close', 'connecting', 'refused'), p_now + interval '30 seconds'),
    -- why it is not well is the reason; what a person writes is held by WhatsApp's own words only
    number_hold(i, not v_unasked or (m.kind = 'manual' and i.held_reason not in ('number_restricted', 'number_rate_limited')), p_now));
end $$;

-- Its plan does not depend on the message, but looks cheaper for each single one: made anew each time, it would cost as much as the rules themselves.
alter function first_guard(messages, conversations, instances, jsonb, timestamptz) set plan_cache_mode = force_generic_plan;

-- rate_status: what of the caps each number of a tenant has used, what is held and why, and when the next message that nobody asked for may go.
-- Arguments: p_policy as in claim_send. Result: {number: {hour: {used, limit, oldest}, day, status, phase, next_proactive_at, next_slot_at, inside_hours, held: {reason: count}}}.
create function rate_status(p_tenant text, p_policy jsonb, p_now timestamptz default null) returns jsonb language plpgsql stable as $$
declare v_now timestamptz := clock(p_now); v_all jsonb := '{}'; i instances; v_young jsonb; v_hour int; v_day int; v_hours jsonb; v_hour_from timestamptz; v_day_from timestamptz;
begin
  for i in select * from instances where tenant_id = p_tenant order by id loop
    v_young := warming_caps(i.phase, i.phase_since, v_now);
    v_hour := least(coalesce(i.cap_hour, (p_policy ->> 'capHour')::int), (v_young ->> 'hour')::int);
    v_day := least(coalesce(i.cap_day, (p_policy ->> 'capDay')::int), (v_young ->> 'day')::int);
    v_hours := hours_of(i, p_policy);
    v_hour_from := greatest(v_now - interval '1 hour', i.hour_reset_at);
    v_day_from := greatest(v_now - interval '1 day', i.day_reset_at);
    v_all := v_all || jsonb_build_object(i.name, (select jsonb_build_object(
        'hour', jsonb_build_object('used', count(*) filter (where s.slot_at > v_hour_from), 'limit', v_hour, 'oldest', min(s.slot_at) filter (where s.slot_at > v_hour_from)),
        'day', jsonb_build_object('used', count(*) filter (where s.slot_at > v_day_from), 'limit', v_day, 'oldest', min(s.slot_at) filter (where s.slot_at > v_day_from)))
      from messages s where s.instance_id = i.id and s.slot_at > least(v_hour_from, v_day_from) and s.kind not in ('reply', 'handoff'))
      || jsonb_build_object('status', i.status, 'phase', i.phase, 'next_proactive_at', i.next_proactive_at, 'inside_hours', inside_hours(v_hours, p_tenant, v_now),
        'next_slot_at', next_open(v_hours, p_tenant, greatest(v_now, i.next_proactive_at, free_at(i.id, 'proactive', interval '1 hour', v_hour, i.hour_reset_at, v_now),
          free_at(i.id, 'proactive', interval '1 day', v_day, i.day_reset_at, v_now), slow_start(i, v_hour, v_now))),
        'held', (select coalesce(jsonb_object_agg(h.reason, h.n), '{}') from (select m.reason, count(*) as n from messages m
          where m.instance_id = i.id and m.status = 'queued' and m.kind not in ('reply', 'handoff') and m.reason is not null group by m.reason) h)));
  end loop;
  return v_all;
end $$;

-- release_held: what waits for one of these reasons is looked at now. Result: conversations to wake, the most urgent first, at most 500; a sweep finds the others.
create function release_held(p_tenant text, p_instance text, p_reasons text[], p_now timestamptz) returns jsonb language plpgsql as $$
declare v_lanes jsonb;
begin
  with freed as (
      update messages m set due_at = p_now, goes_at = null from instances i
      where i.id = m.instance_id and i.tenant_id = p_tenant and i.name = coalesce(p_instance, i.name) and m.status = 'queued' and m.kind not in ('reply', 'handoff')
        and m.reason = any (p_reasons) and m.due_at > p_now returning m.conversation_id, m.priority, m.id)
    select coalesce(jsonb_agg(l.conversation_id), '[]') into v_lanes from (select f.conversation_id from freed f group by 1 order by min(f.priority), min(f.id) limit 500) l;
  return v_lanes;
end $$;

-- rate_reset: the caps of an hour, of a day or both count from now on only, for one number or all of a tenant; the pace starts anew.
-- Guarantee: what was held for that is looked at at once; what is on its way at this moment still counts; audited.
-- Arguments: p_instance null: all; p_window 'hour' | 'day' | 'both'. Concurrency: waits for the numbers' locks.
-- Result: {outcome: 'done', instances: [name], lanes: [conversation to wake]} | {outcome: 'unknown_instance'}.
create function rate_reset(p_tenant text, p_instance text, p_window text, p_actor text, p_reason text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_now timestamptz := clock(p_now); v_names jsonb;
begin
  with reset as (
    update instances set next_proactive_at = null, hour_reset_at = case when p_window in ('hour', 'both') then v_now else hour_reset_at end,
      day_reset_at = case when p_window in ('day', 'both') then v_now else day_reset_at end
    where tenant_id = p_tenant and name = coalesce(p_instance, name) returning name)
  select jsonb_agg(name order by name) into v_names from reset;
  if v_names is null then return jsonb_build_object('outcome', 'unknown_instance'); end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'rate.reset', p_window, jsonb_build_object('instances', v_names, 'reason', p_reason), v_now);
  return jsonb_build_object('outcome', 'done', 'instances', v_names, 'lanes', release_held(p_tenant, p_instance,
    array['cap_hour', 'cap_day', 'warming_hour', 'warming_day', 'kind_cap', 'strangers', 'slow_start', 'priority', 'pace'], v_now));
end $$;

-- set_proactive: what may leave of a tenant that nobody asked for. Guarantee: holds from the next claim on, over restarts; audited.
-- Arguments: p_level 'all' | 'no_campaigns' | 'none' (safe mode: only what a person writes). Result: {was, lanes: [conversation to wake]}.
create function set_proactive(p_tenant text, p_level text, p_actor text, p_reason text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_was text;
begin
  select proactive into v_was from tenants where id = p_tenant for update;
  update tenants set proactive = p_level where id = p_tenant;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'proactive', p_level, jsonb_build_object('was', v_was, 'reason', p_reason), clock(p_now));
  return jsonb_build_object('was', v_was, 'lanes', release_held(p_tenant, null, array['campaigns_off', 'safe_mode'], clock(p_now)));
end $$;

-- set_contact_wait: a person is left alone for a time: from campaigns and follow-ups (it refused an offer), or from everything that nobody asked for.
-- Arguments: p_until null: not any longer. Result: {outcome: 'done', contact_id} | {outcome: 'unknown'} no contact has this phone; audited.
create function set_contact_wait(p_tenant text, p_phone text, p_offers_only boolean, p_until timestamptz, p_actor text, p_reason text) returns jsonb language plpgsql as $$
declare v_contact bigint;
begin
  select contact_id into v_contact from contact_addresses where tenant_id = p_tenant and kind = 'pn' and address = p_phone;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  update contacts set cooling_until = case when p_offers_only then p_until else cooling_until end,
    next_allowed_at = case when p_offers_only then next_allowed_at else p_until end where id = v_contact;
  -- what waits for the old time is looked at anew
  update messages set due_at = least(due_at, now()), goes_at = null where status = 'queued' and reason in ('cooling_off', 'next_allowed')
    and conversation_id in (select id from conversations where contact_id = v_contact);
  insert into audit_log (tenant_id, actor, action, subject, details)
    values (p_tenant, p_actor, 'contact.wait', v_contact::text, jsonb_build_object('until', p_until, 'offers_only', p_offers_only, 'reason', p_reason));
  return jsonb_build_object('outcome', 'done', 'contact_id', v_contact);
end $$;
