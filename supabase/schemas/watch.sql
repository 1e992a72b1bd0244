-- Figures, alerts, reports, timelines. Reads all rooms.

-- health_snapshot: the figures behind /health/deep and /health/*, in one call. Read only.
create or replace function health_snapshot(p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object(
    'now', clock(p_now),
    'project_ref', (select value from installation where key = 'project_ref'),
    'processes', (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'mode', mode, 'version', version,
      'seen_seconds', extract(epoch from clock(p_now) - seen_at), 'breakers', breakers, 'queues', queues)), '[]')
      from process_status where seen_at > clock(p_now) - interval '1 hour'),
    'instances', (select coalesce(jsonb_agg(jsonb_build_object('name', name, 'status', status, 'status_at', status_at)),
      '[]') from instances),
    'unanswered', (select jsonb_build_object('count', count(*), 'oldest_seconds', extract(epoch
      from clock(p_now) - min(created_at))) from inbox),
    'outbound', (select jsonb_build_object('due', (select count(*) from outbox where due_at <= clock(p_now)),
      'uncertain', count(*) filter (where status = 'uncertain') + unproven_count(),
      'sending', count(*) filter (where status = 'sending')) from on_wire),
    'paused', pause_reason('default', null, null, null))
$$;

-- note_figures: what a process measured of itself; it hears in return for how long no scheduler has been heard of.
-- Result: {scheduler_seconds: null: never}.
create or replace function note_figures(p_process text, p_figures jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  update process_status set figures = p_figures where id = p_process;
  return jsonb_build_object('scheduler_seconds', (select extract(epoch from clock(p_now) - max(seen_at))
    from process_status where mode in ('scheduler', 'all')));
end $$;

-- stuck_rows: what nobody works on although somebody claimed it: sends and turns whose lease is over by a minute, sends
-- that are looked up for a quarter of an hour.
create or replace function stuck_rows(p_now timestamptz) returns bigint language sql stable as $$
  select (select count(*) from on_wire where status = 'sending' and lease_until < clock(p_now) - interval '1 minute')
    + (select count(*) from on_wire where status = 'uncertain' and claimed_at < clock(p_now) - interval '15 minutes')
    + (select count(*) from turns where status = 'open' and lease_until < clock(p_now) - interval '1 minute')
$$;

-- media_unread: media of contacts that nobody could read: what is tried again, and why the tries of the last hour came
-- to nothing. Read only; p_tenant null: of all. Result: {waiting, reasons {reason: count}}.
create or replace function media_unread(p_tenant text, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('waiting', coalesce(sum(w.waiting), 0), 'reasons',
    coalesce(jsonb_object_agg(w.reason, w.recent) filter (where w.recent > 0), '{}'))
  from (select reason, count(*) filter (where next_at is not null) as waiting,
      count(*) filter (where updated_at > clock(p_now) - interval '1 hour') as recent
    from media_waits where tenant_id = coalesce(p_tenant, tenant_id) group by reason) w
$$;

-- unheard_conversations: how many wait for a person although nobody could be told of them: no channel is configured, or
-- none took the notice for a day. Also those that only people answer (mode manual), whose words are forwarded. Read
-- only; p_tenant null: of all.
create or replace function unheard_conversations(p_tenant text, p_now timestamptz default null)
returns bigint language sql stable as $$
  select count(*) from (
    select h.conversation_id from handoffs h
    where h.status <> 'returned' and h.taken_at is null and h.tenant_id = coalesce(p_tenant, h.tenant_id)
      and exists (select from notices n
      where n.tenant_id = h.tenant_id and n.status = 'failed'
        and (n.key in ('handoff-' || h.id || '-told', 'handoff-' || h.id || '-reminded')
        or (n.key like 'handoffs-' || h.reason || '-%' and n.created_at between h.notified_at - interval '1 minute'
          and h.notified_at)))
      and not exists (select from notices n
        where n.tenant_id = h.tenant_id and n.key in ('handoff-' || h.id || '-told', 'handoff-' || h.id || '-reminded')
        and n.status <> 'failed')
    union
    select c.id from notices n join conversations c on c.id = case n.kind when 'forward'
      then split_part(n.key, '-', 2)::bigint end
    where n.kind = 'forward' and n.status = 'failed' and n.created_at > clock(p_now) - interval '1 day'
      and n.tenant_id = coalesce(p_tenant, n.tenant_id)
      and waits_for_person(c)) u
$$;

-- is_webhook_wrong: Evolution posts what happens to this number elsewhere, or not at all, as the job sync_numbers saw.
create or replace function is_webhook_wrong(p_name text) returns boolean language sql stable
set search_path = public, pg_temp as
$$ select exists (select from alerts where key = 'webhook_wrong:' || p_name and status = 'firing') $$;

-- alert_snapshot: what the conditions are decided on. Read only; bounded by partial indexes of what is open and by the
-- newest rows.
-- Arguments: p_all false leaves out what takes a look over many rows (work), for the look of each few seconds.
-- Result: {now, project_ref, paused, processes [{id, mode, started_seconds, seen_seconds, figures}], breakers
--   [{breaker, instance, reason}]: open in a process that lives, or opened within the last minute; numbers [{name,
--   status, seconds, code: what WhatsApp said when it closed, paired, deaf, held: why proactive messages rest}],
--   unanswered {count, oldest_seconds} of what is neither paused nor deferred, deferred {count, oldest_seconds, reasons
--   [reason]} of conversations that wait for the model, unheard: see unheard_conversations, media: see media_unread,
--   outbound {due,
--   oldest_seconds of what is not paused, stuck, uncertain}, gone_models null or [model] that the provider did not know
--   within the hour, unplaced null or [{instance, reason, count}] of webhooks of 15 minutes that found no place, work
--   null or {turns, failed_turns, sends, failed_sends, median_ms of 15 minutes, errors_last_hour}}.
create or replace function alert_snapshot(p_all boolean, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  with unanswered as (
    select m.conversation_id, m.created_at from inbox m order by m.created_at limit 1000
  ), waiting as (
    select u.created_at from unanswered u join conversations c on c.id = u.conversation_id
      join instances i on i.id = c.instance_id
    where pause_reason(c.tenant_id, i.name, c.id, null) is null and c.deferred_until is null
  ), deferred as (
    select c.deferred_since, c.deferred_reason from conversations c join instances i on i.id = c.instance_id
    where c.deferred_until is not null and c.deferred_reason like 'model\_%' and pause_reason(c.tenant_id, i.name, c.id,
      null) is null
  ), due as (
    select m.due_at from outbox m join conversations c on c.id = m.conversation_id
      join instances i on i.id = m.instance_id
    where m.due_at <= (select clock(p_now))
      and pause_reason(c.tenant_id, i.name, c.id, m.campaign_id) is null
    order by m.due_at limit 1000
  ), newest as (
    select distinct on (t.breaker, t.instance, t.process) t.* from circuit_transitions t
      where t.created_at > clock(p_now) - interval '2 days'
    order by t.breaker, t.instance, t.process, t.id desc
  ), open as (
    select n.breaker, n.instance, n.reason, n.id from newest n where n.state <> 'closed'
      and (n.process = 'database' or exists (select from process_status p
        where p.id = n.process and is_there(p.seen_at, clock(p_now))))
    union all
    select t.breaker, t.instance, t.reason, t.id from circuit_transitions t
      where t.state = 'open' and t.created_at > clock(p_now) - interval '1 minute'
  )
  select jsonb_build_object(
    'now', clock(p_now),
    'project_ref', (select value from installation where key = 'project_ref'),
    'paused', pause_reason('default', null, null, null),
    'processes', (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'mode', mode, 'started_seconds', extract(epoch
      from clock(p_now) - started_at),
      'seen_seconds', extract(epoch from clock(p_now) - seen_at), 'figures', figures) order by id), '[]')
        from process_status where seen_at > clock(p_now) - interval '1 hour'),
    'breakers', (select coalesce(jsonb_agg(jsonb_build_object('breaker', b.breaker, 'instance', b.instance, 'reason',
      b.reason) order by b.breaker, b.instance), '[]')
      from (select distinct on (o.breaker, o.instance) o.* from open o
        order by o.breaker, o.instance, o.reason nulls last, o.id desc) b),
    'numbers', (select coalesce(jsonb_agg(jsonb_build_object('name', name, 'status', status, 'seconds', extract(epoch
      from clock(p_now) - status_at),
      'code', status_reason, 'paired', paired, 'deaf', deaf_since is not null and status = 'open', 'held', case
        when held_until > clock(p_now) then held_reason end, 'fault', gateway_fault, 'webhook_wrong',
      is_webhook_wrong(name)) order by id), '[]') from instances),
    'unanswered', (select jsonb_build_object('count', count(*), 'oldest_seconds', extract(epoch
      from clock(p_now) - min(created_at))) from waiting),
    'deferred', (select jsonb_build_object('count', count(*), 'oldest_seconds', extract(epoch
      from clock(p_now) - min(deferred_since)),
      'reasons', coalesce(jsonb_agg(distinct deferred_reason), '[]')) from deferred),
    'unheard', unheard_conversations(null, p_now),
    'media', media_unread(null, p_now),
    'outbound', (select jsonb_build_object('due', count(*), 'oldest_seconds', extract(epoch
      from clock(p_now) - min(due_at))) from due)
      || jsonb_build_object('stuck', stuck_rows(p_now), 'uncertain', (select count(*) from on_wire
        where status = 'uncertain') + unproven_count()),
    'gone_models', case when p_all then (select coalesce(jsonb_agg(distinct k.model), '[]')
      from (select model, outcome, created_at from model_calls order by id desc limit 2000) k
      where k.outcome = 'model_gone' and k.created_at > clock(p_now) - interval '1 hour') end,
    'unplaced', case when p_all then (select coalesce(jsonb_agg(jsonb_build_object('instance', u.instance, 'reason',
      u.reason, 'count', u.n) order by u.instance, u.reason), '[]')
      from (select w.instance, w.ignored[1] as reason, count(*) as n from webhook_events w
        where w.ignored is not null and w.received_at > (select clock(p_now)) - interval '15 minutes'
          and is_unplaced(w.ignored[1]) group by 1, 2) u) end,
    'work', case when p_all then (select jsonb_build_object('turns', count(*), 'failed_turns',
      count(*) filter (where status in ('failed', 'expired')),
        'median_ms', percentile_cont(0.5) within group (order by extract(epoch from ended_at - started_at) * 1000)
          filter (where status = 'committed'))
      from (select * from turns order by id desc limit 5000) t where ended_at > clock(p_now) - interval '15 minutes') ||
      (select jsonb_build_object('sends', count(*), 'failed_sends', count(*) filter (where status = 'failed'))
        from (select status, created_at from messages where direction = 'out' and kind is not null order by id desc
          limit 5000) m
        where created_at > clock(p_now) - interval '15 minutes' and status in ('sent', 'delivered', 'read', 'failed'))
          ||
      -- the clock is asked once: an index is of no use to what changes from row to row
      jsonb_build_object('errors_last_hour', (select count(*) from messages
        where direction = 'out' and status = 'failed' and created_at > (select clock(p_now)) - interval '1 hour')
        + (select count(*) from turns
          where status in ('failed', 'expired') and started_at > (select clock(p_now)) - interval '1 hour')) end)
$$;

-- apply_alerts: the conditions that hold now become state and messages.
-- Guarantee: one notice when a condition has held for its time, one when it is over, over any number of callers; not
--   more often than its cooldown. What gets worse after it was told (a higher stage) is told again, once.
-- Arguments: p_holds [{key, name, subject, urgent, about, text, recovery, for_seconds, cooldown_seconds, stage}];
--   p_looked [name]: the conditions that were looked at, of which those that do not hold have recovered. Concurrency:
--   callers queue. Result: {fired: [name], recovered: [name]}.
create or replace function apply_alerts(p_holds jsonb, p_looked jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_now timestamptz := clock(p_now);
  h record;
  v alerts;
  v_fired text[] := '{}';
  v_recovered text[] := '{}';
begin
  perform pg_advisory_xact_lock(hashtextextended('alerts', 19));
  for h in select * from jsonb_to_recordset(p_holds) as x (key text, name text, subject text, urgent boolean,
    about text, text text, recovery text,
      for_seconds int, cooldown_seconds int, stage int) loop
    insert into alerts as a (key, name, subject, urgent, about, text, recovery, status, since, seen_at)
      values (h.key, h.name, h.subject, h.urgent, h.about, h.text, h.recovery, 'pending', v_now, v_now)
      on conflict (key) do update set urgent = excluded.urgent, about = excluded.about, text = excluded.text,
        recovery = excluded.recovery, seen_at = v_now,
        status = case a.status when 'ok' then 'pending' else a.status end,
        -- it has to hold without a break: not over a time in which nobody looked
        since = case when a.status = 'ok' or (a.status = 'pending' and a.seen_at < v_now - interval '5 minutes')
          then v_now else a.since end
      returning * into v;
    if (v.status = 'firing' and coalesce(h.stage, 1) > v.stage)
      or (v.status = 'pending' and v.since <= v_now - make_interval(secs => h.for_seconds)
        and (v.told_at is null or v.told_at <= v_now - make_interval(secs => h.cooldown_seconds))) then
      update alerts set status = 'firing', told_at = v_now, times = times + 1, stage = coalesce(h.stage, 1)
        where id = v.id returning * into v;
      perform add_notice(jsonb_build_object('tenant', v.tenant_id, 'key', 'alert-' || v.id || '-' || v.times, 'kind',
        'alert', 'text', v.text, 'urgent', v.urgent, 'about', v.about), v_now);
      v_fired := v_fired || v.name;
    end if;
  end loop;
  for v in select * from alerts where status <> 'ok' and p_looked ? name and not exists (select
    from jsonb_array_elements(p_holds) x where x ->> 'key' = alerts.key) order by id for update loop
    update alerts set status = 'ok', since = v_now where id = v.id;
    if v.status = 'firing' then
      v_recovered := v_recovered || v.name;
      if v.recovery is not null then
        perform add_notice(jsonb_build_object('tenant', v.tenant_id, 'key', 'alert-' || v.id || '-' || v.times
          || '-over', 'kind', 'recovery', 'text', v.recovery, 'urgent', false, 'about', v.about), v_now);
      end if;
    end if;
  end loop;
  return jsonb_build_object('fired', to_jsonb(v_fired), 'recovered', to_jsonb(v_recovered));
end $$;

-- list_alerts: what holds now (urgent first), and what was told within p_hours. Read only.
-- Result: [{key, name, subject, urgent, text, status, since, told_at}].
create or replace function list_alerts(p_hours int, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('key', key, 'name', name, 'subject', subject, 'urgent', urgent, 'text',
    text, 'status', status, 'since', since, 'told_at', told_at)
    order by status = 'ok', urgent desc, since desc), '[]')
  from alerts where status <> 'ok' or told_at > clock(p_now) - make_interval(hours => p_hours)
$$;

-- note_minute: a scheduler looked in this minute. Any number may say so; the worst word counts. Result: {}.
create or replace function note_minute(p_up boolean, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  insert into sla_minutes as s (minute, up) values (date_trunc('minute', clock(p_now)), p_up)
    on conflict (minute) do update set up = s.up and excluded.up;
  return '{}';
end $$;

-- sla_figures: what was promised and what came of it, from p_from on (but not before the first minute that anybody
-- looked at).
-- Result: {minutes, up_minutes, turns, slow_turns: generated in more than 5 s, failed_turns, sends, failed_sends}. A
--   reply is generated from the claim of its turn to the commit: debounce, typing and pace are not in it.
create or replace function sla_figures(p_from timestamptz, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object(
      'minutes', coalesce((select greatest(0,
        floor(extract(epoch from date_trunc('minute', clock(p_now)) - greatest(date_trunc('minute', p_from),
        f.minute)) / 60))
        from (select minute from sla_minutes order by minute limit 1) f), 0),
      'up_minutes', (select count(*) from sla_minutes where up and minute >= date_trunc('minute', p_from)
        and minute < date_trunc('minute', clock(p_now))))
    || (select jsonb_build_object('turns', count(*) filter (where status = 'committed' and model is not null),
        'slow_turns', count(*) filter (where status = 'committed' and model is not null
          and ended_at - started_at > interval '5 seconds'),
        'failed_turns', count(*) filter (where status in ('failed', 'expired'))) from turns where started_at >= p_from)
    || (select jsonb_build_object('sends', count(*) filter (where status in ('sent', 'delivered', 'read')),
      'failed_sends', count(*) filter (where status = 'failed'))
        from messages where direction = 'out' and kind is not null and created_at >= p_from)
$$;

-- report_figures: what happened from p_from to before p_to, and what waits now. Read only; bounded by block range
-- indexes on the time of messages and turns.
-- Result: {received, conversations, new_contacts, answered, handed_over, failed_turns, sent {kind: n}, failed,
--   reply_seconds_median, reply_seconds_p95: from the first message of a burst to its answer, debounce and typing
--   included; opt_outs, tokens, cost_usd, unpriced_calls, unanswered, with_people: now}.
create or replace function report_figures(p_tenant text, p_from timestamptz, p_to timestamptz)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  with inbound as (
    select * from messages where created_at >= p_from and created_at < p_to and direction = 'in'
      and tenant_id = p_tenant and type <> 'reaction'
  ), outbound as (
    select * from messages where created_at >= p_from and created_at < p_to and direction = 'out' and kind is not null
      and tenant_id = p_tenant
  ), done as (
    select * from turns where started_at >= p_from and started_at < p_to and tenant_id = p_tenant
  ), replies as (
    select extract(epoch from o.slot_at - (select min(i.created_at) from messages i
      where i.turn_id = o.turn_id and i.direction = 'in')) as seconds
    from outbound o where o.kind = 'reply' and o.part <= 1 and o.status in ('sent', 'delivered', 'read')
  )
  select jsonb_build_object(
    'received', (select count(*) from inbound), 'conversations', (select count(distinct conversation_id) from inbound),
    'new_contacts', (select count(*) from contacts where created_at >= p_from and created_at < p_to
      and tenant_id = p_tenant and merged_into is null),
    'answered', (select count(*) from done where status = 'committed'), 'handed_over', (select count(*) from done
      where status = 'handed_over'),
    'failed_turns', (select count(*) from done where status in ('failed', 'expired')),
    'sent', (select coalesce(jsonb_object_agg(kind, n), '{}') from (select kind, count(*) as n from outbound
      where status in ('sent', 'delivered', 'read') group by kind) k),
    'failed', (select count(*) from outbound where status = 'failed'),
    'reply_seconds_median', (select percentile_cont(0.5) within group (order by seconds) from replies),
    'reply_seconds_p95', (select percentile_cont(0.95) within group (order by seconds) from replies),
    'opt_outs', (select count(*) from opt_outs where created_at >= p_from and created_at < p_to
      and tenant_id = p_tenant),
    'tokens', (select coalesce(sum(input_tokens + output_tokens + cache_read_tokens + cache_write_tokens), 0)
      from done), 'cost_usd', (select coalesce(sum(cost_usd), 0) from done),
    'unpriced_calls', (select coalesce(sum(unpriced_calls), 0) from done),
    'unanswered', (select count(*) from inbox where tenant_id = p_tenant),
    'with_people', (select count(*) from handoffs where status <> 'returned' and tenant_id = p_tenant))
$$;

-- count_days: the figures of the days that are over and not counted yet, a week back at most. Safe to repeat; a day
-- that was counted stays as it is.
-- Arguments: p_tz the zone whose days are meant. Result: {counted: rows}.
create or replace function count_days(p_tz text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_today date := (clock(p_now) at time zone p_tz)::date; v_n int;
begin
  insert into daily_counts (tenant_id, day, counts)
    select t.id, d.day, report_figures(t.id, d.day::timestamp at time zone p_tz,
      (d.day + 1)::timestamp at time zone p_tz)
    from tenants t cross join (select v_today - n as day from generate_series(1, 7) n) d
    where (d.day + 1)::timestamp at time zone p_tz > t.created_at and not exists (select from daily_counts c
      where c.tenant_id = t.id and c.day = d.day)
    on conflict (tenant_id, day) do nothing;
  get diagnostics v_n = row_count;
  return jsonb_build_object('counted', v_n);
end $$;

-- snapshot_numbers: how each number is, as the figures of this day; a later look on the same day replaces it. Result:
-- {numbers: rows}.
create or replace function snapshot_numbers(p_tz text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_day date := (clock(p_now) at time zone p_tz)::date; v_from timestamptz := v_day::timestamp at time zone p_tz;
v_n int;
begin
  insert into number_days (tenant_id, instance_id, day, figures)
    select i.tenant_id, i.id, v_day, jsonb_build_object('status', i.status, 'phase', i.phase, 'trust',
      trust_now(i, clock(p_now)), 'held_reason', i.held_reason,
        'sent', s.sent, 'delivered', s.delivered, 'failed', (select count(*) from dead_sends m
          where m.instance_id = i.id and m.created_at >= v_from and m.status = 'failed'))
    from instances i, lateral (select count(*) filter (where d.status in ('sent', 'delivered', 'read')) as sent,
      count(d.delivered_at) as delivered from (
      select m.status, m.delivered_at from slots l join messages m on m.id = l.message_id
        where l.instance_id = i.id and l.reply in (true, false) and l.slot_at >= v_from) d) s
    on conflict (instance_id, day) do update set figures = excluded.figures;
  get diagnostics v_n = row_count;
  return jsonb_build_object('numbers', v_n);
end $$;

-- metrics_snapshot: the figures that no process counts by itself. Read only, bounded by the indexes of what is open and
-- by one day of turns.
-- Result: [{tenant, unanswered, unanswered_seconds, queued, queued_seconds, sending, uncertain, dead, handoffs,
--   answered_conversations, cost_usd}]; ages in seconds, null when there is nothing; answered_conversations and
--   cost_usd of the last 24 hours.
create or replace function metrics_snapshot(p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  with inbound as (
    select tenant_id, count(*) as n, extract(epoch from clock(p_now) - min(created_at)) as age from inbox
      group by tenant_id
  ), lanes as (
    select tenant_id, count(*) as queued, extract(epoch
      from clock(p_now) - min(due_at) filter (where due_at <= clock(p_now))) as age
    from outbox group by tenant_id
  ), wire as (
    select tenant_id, count(*) filter (where status = 'sending') as sending,
      count(*) filter (where status = 'uncertain') as uncertain from on_wire group by tenant_id
  ), dead as (
    select tenant_id, count(*) as n from dead_sends group by tenant_id
  ), people as (
    select tenant_id, count(*) as n from handoffs where status <> 'returned' group by tenant_id
  ), day as (
    select tenant_id, count(distinct conversation_id) filter (where status = 'committed') as answered,
      sum(cost_usd) as cost
    -- asked once: an index is of no use to what changes from row to row
    from turns where started_at > (select clock(p_now)) - interval '24 hours' group by tenant_id
  )
  select coalesce(jsonb_agg(jsonb_build_object('tenant', t.id, 'unanswered', coalesce(inbound.n, 0),
    'unanswered_seconds', inbound.age,
    'queued', coalesce(lanes.queued, 0), 'queued_seconds', lanes.age, 'sending', coalesce(wire.sending, 0),
      'uncertain', coalesce(wire.uncertain, 0),
    'dead', coalesce(dead.n, 0), 'handoffs', coalesce(people.n, 0), 'answered_conversations', coalesce(day.answered, 0),
      'cost_usd', coalesce(day.cost, 0)) order by t.id), '[]')
  from tenants t left join inbound on inbound.tenant_id = t.id left join lanes on lanes.tenant_id = t.id
    left join wire on wire.tenant_id = t.id left join dead on dead.tenant_id = t.id
    left join people on people.tenant_id = t.id left join day on day.tenant_id = t.id
$$;

-- sources_of: what an answer of the model says that it is taken from, each once, in its order. Argument: a transcript.
-- Result: [{title of the document, cited: its words, at most 400 characters}]; empty: it names none, or the transcript
--   is gone.
create or replace function sources_of(p_transcript jsonb)
returns jsonb language sql immutable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('title', s.title, 'cited', left(s.cited, 400)) order by s.n), '[]')
    from (select coalesce(c.e ->> 'title', c.e ->> 'document_title') as title, c.e ->> 'cited_text' as cited,
        min(c.n) as n
      from jsonb_path_query(p_transcript, '$[*].content[*].citations[*]') with ordinality c (e, n)
      where coalesce(c.e ->> 'title', c.e ->> 'document_title') is not null group by 1, 2) s
$$;

-- timeline: everything that happened in a conversation, oldest first, each with time, what and why.
-- Arguments: p_limit at most so many entries: the newest, or with p_message the first ones from that message (or what
--   it answers) on, and then the webhooks that told of this message too, of the half hour after it.
-- Result: {conversation {...}, entries [{at, what, id, ...}]} or null.
create or replace function timeline(p_tenant text, p_conversation bigint, p_limit int, p_message bigint default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  with start as (
    select min(x.created_at) as at, min(x.created_at) filter (where x.id = p_message) as own
    from messages m join messages x on x.id = m.id or (m.direction = 'out' and x.turn_id = m.turn_id)
      where m.id = p_message)
  select jsonb_build_object(
    'conversation', jsonb_build_object('id', c.id, 'contact_id', c.contact_id, 'instance', i.name, 'controlled_by',
      c.controlled_by, 'escalation_reason', c.escalation_reason,
      'takeover_until', c.takeover_until, 'paused', pause_reason(c.tenant_id, i.name, c.id, null), 'merged_into',
        c.merged_into, 'silenced_by', silenced_by(c, now()), 'quiet_until', case when c.quiet_until > now()
          then c.quiet_until end,
      'opted_out', exists (select from standing_opt_out(c.contact_id)), 'put_off', case when c.deferred_reason
        in ('replies_wait', 'answer_withdrawn') then c.deferred_reason end),
    'entries', (select coalesce(jsonb_agg(e.entry order by e.at, e.rank, e.id), '[]') from (
      select * from (
        select m.created_at as at, case m.direction when 'in' then 0 else 4 end as rank, m.id,
          jsonb_build_object('at', m.created_at, 'what', 'message', 'id', m.id,
            'direction', m.direction, 'author', m.author, 'type', m.type, 'status', m.status, 'reason', m.reason,
              'text', m.text, 'turn_id', m.turn_id,
            'provider_message_id', m.provider_id, 'provider_at', m.provider_at, 'kind', m.kind, 'part', m.part,
              'attempts', m.attempts,
            'goes_at', promised_at(m), 'claimed_at', m.claimed_at, 'delivered_at', m.delivered_at, 'read_at', m.read_at,
            'edited_at', m.edited_at, 'deleted_at', m.deleted_at, 'correlation_id', m.correlation_id,
            'media', case when m.media ? 'read' then jsonb_build_object('read', m.media ->> 'read', 'why',
              m.media ->> 'why', 'next_at', (select next_at from media_waits w where w.message_id = m.id)) end)
            as entry
          from messages m where m.conversation_id = c.id
        union all
        select t.started_at, 1, t.id, jsonb_build_object('at', t.started_at, 'what', 'turn', 'id', t.id, 'status',
          t.status, 'reason', t.reason, 'model', t.model, 'worker', t.worker,
            'agent', (select a.name from agents a where a.id = t.agent_id), 'agent_version', (select a.version
              from agents a where a.id = t.agent_id), 'prompt_hash', t.prompt_hash,
            'verdict', t.verdict, 'route', t.route,
            'input_tokens', t.input_tokens, 'output_tokens', t.output_tokens, 'thinking_tokens', t.thinking_tokens,
              'cache_read_tokens', t.cache_read_tokens,
            'cache_write_tokens', t.cache_write_tokens, 'cost_usd', t.cost_usd, 'unpriced_calls', t.unpriced_calls,
              'ended_at', t.ended_at, 'sources', sources_of(t.transcript),
            'correlation_id', t.correlation_id)
          from turns t where t.conversation_id = c.id
        union all
        select k.created_at, 2, k.id, jsonb_build_object('at', k.created_at, 'what', 'model_call', 'id', k.id,
          'turn_id', k.turn_id, 'model', k.model, 'outcome', k.outcome, 'ms', k.ms,
            'input_tokens', k.input_tokens, 'output_tokens', k.output_tokens, 'thinking_tokens', k.thinking_tokens,
              'cache_read_tokens', k.cache_read_tokens,
            'cache_write_tokens', k.cache_write_tokens, 'cost_usd', k.cost_usd, 'estimated', k.estimated, 'detail',
              k.detail, 'cache_miss', k.cache_miss)
          from model_calls k join turns t on t.id = k.turn_id where t.conversation_id = c.id
        union all
        -- what a file shows is asked once, for all who send it
        select k.created_at, 2, k.id, jsonb_build_object('at', k.created_at, 'what', 'media_call', 'id', k.id,
          'message_id', m.id, 'model', k.model, 'outcome', k.outcome, 'ms', k.ms, 'input_tokens', k.input_tokens,
          'output_tokens', k.output_tokens, 'thinking_tokens', k.thinking_tokens, 'cache_read_tokens',
          k.cache_read_tokens, 'cache_write_tokens', k.cache_write_tokens, 'cost_usd', k.cost_usd, 'estimated',
          k.estimated, 'detail', k.detail)
          from messages m join media d on d.tenant_id = m.tenant_id and d.sha256 = m.media ->> 'sha256'
            join model_calls k on k.media_id = d.id
          where m.conversation_id = c.id and m.media ? 'sha256' and k.created_at >= m.created_at
        union all
        select k.created_at, 3, k.id, jsonb_build_object('at', k.created_at, 'what', 'tool_call', 'id', k.id, 'turn_id',
          k.turn_id, 'name', k.name, 'input', k.input, 'output', k.output, 'ok', k.ok, 'ms', k.ms,
          'cost_usd', k.cost_usd)
          from tool_calls k where k.conversation_id = c.id
        union all
        select w.created_at, 4, w.id, jsonb_build_object('at', w.created_at, 'what', 'tool_write', 'id', w.id,
          'turn_id', w.turn_id, 'name', w.definition ->> 'name', 'input', w.input, 'status', w.status, 'reason',
          w.reason, 'risks', w.risks, 'answer', w.answer, 'sent_at', w.sent_at, 'ended_at', w.ended_at,
          'approval_id', a.id, 'decided', a.status, 'decided_by', a.decided_by, 'decided_at', a.decided_at)
          from tool_writes w left join approvals a on a.write_id = w.id where w.conversation_id = c.id
        union all
        select h.created_at, 5, h.id, jsonb_build_object('at', h.created_at, 'what', 'handoff', 'id', h.id, 'turn_id',
          h.turn_id, 'reason', h.reason, 'summary', h.summary, 'controls', h.controls, 'status', h.status,
            'notified_at', h.notified_at, 'reminded_at', h.reminded_at, 'taken_at', h.taken_at, 'returned_at',
              h.returned_at, 'returned_by', h.returned_by)
          from handoffs h where h.conversation_id = c.id
        union all
        select o.created_at, 6, o.id, jsonb_build_object('at', o.created_at, 'what', 'opt_out', 'id', o.id, 'source',
          o.source, 'revoked_at', o.revoked_at)
          from opt_outs o where o.contact_id = c.contact_id
        union all
        -- the one that brought the message, repeats, acks
        select w.received_at, 1, w.id, jsonb_build_object('at', w.received_at, 'what', 'webhook', 'id', w.id, 'event',
          w.event, 'outcome', r ->> 'outcome', 'message_id', p_message)
          from start, webhook_events w cross join jsonb_array_elements(w.results) r
          where w.received_at between start.own - interval '1 minute' and start.own + interval '30 minutes'
            and r ->> 'message_id' = p_message::text
      ) entries where p_message is null or at >= (select start.at - interval '1 second' from start)
      order by case when p_message is null then at end desc, case when p_message is not null then at end, rank desc,
        id desc limit p_limit) e))
  from conversations c join instances i on i.id = c.instance_id where c.id = p_conversation and c.tenant_id = p_tenant
$$;

-- conversation_of: where a message is, by our id or by its id at WhatsApp; null when unknown. p_key digits or a
-- provider id.
create or replace function conversation_of(p_tenant text, p_key text)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('message_id', m.id, 'conversation_id', m.conversation_id) from messages m
  where m.tenant_id = p_tenant and (m.provider_id = p_key or m.id = case when p_key ~ '^[0-9]{1,15}$'
    then p_key::bigint end)
  order by (m.provider_id = p_key) desc nulls last limit 1
$$;

-- fold_words: a text as it is searched: small, without accents. The index contacts_words has the same expression.
create or replace function fold_words(p_text text) returns text language sql immutable as $$
  select translate(lower(left(p_text, 200)), 'áàâãäéèêëíìîïóòôõöúùûüçñ', 'aaaaaeeeeiiiiooooouuuucn')
$$;

-- conversation_rows: conversations as lists show them, in the order of p_ids: who, who answers, since when a person is
-- waited for and why, the last words. Read only, some index look-ups a row.
-- Result: [{id, name, phone, instance, holder, taken_by, mode, paused, quiet_until, waits_since: the contact has waited
--   for a person since then, or null, reason, drafts, last {text, type, direction, author, by, status, at}}].
create or replace function conversation_rows(p_ids bigint[], p_now timestamptz)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'name', k.name, 'phone', a.address, 'instance', i.name,
    'holder', conversation_holder(c, p_now), 'taken_by', c.taken_by, 'mode', c.mode,
    'paused', coalesce(pause_status('conversation', c.id::text, c.tenant_id) = 'pausado', false),
    'quiet_until', case when c.quiet_until > p_now then c.quiet_until end,
    'waits_since', case when h.id is not null and h.taken_at is null then h.created_at
      when l.direction = 'in' and (h.id is not null or waits_for_person(c)) then l.created_at
      when d.n > 0 then d.since end,
    'reason', coalesce(h.reason, c.escalation_reason), 'drafts', d.n,
    'last', case when l.id is not null then jsonb_build_object('text', left(l.text, 200), 'type', l.type, 'direction',
      l.direction, 'author', case when l.kind = 'manual' then 'human' else l.author end, 'status', l.status, 'at',
      l.created_at) end) order by x.n), '[]')
  from unnest(p_ids) with ordinality x (id, n) join conversations c on c.id = x.id
    join instances i on i.id = c.instance_id join contacts k on k.id = c.contact_id
    left join lateral (select address from contact_addresses where contact_id = k.id and kind = 'pn' order by id
      limit 1) a on true
    left join lateral (select m.* from messages m where m.conversation_id = c.id and m.type <> 'reaction'
      and m.author <> 'automatic' and m.kind is distinct from 'operator' order by m.seq desc limit 1) l on true
    left join lateral (select * from handoffs o where o.conversation_id = c.id and o.status <> 'returned'
      order by o.controls desc limit 1) h on true
    left join lateral (select count(distinct f.turn_id) as n, min(m.created_at) as since from drafts f
      join messages m on m.id = f.message_id where f.conversation_id = c.id) d on true
$$;

-- with_people: conversations that a person has, or should look at, at most 200: those that nobody has taken first, the
-- longest waiting first. Read only; looks at no conversation that only the agent has.
create or replace function with_people(p_tenant text, p_now timestamptz) returns bigint[]
language sql stable set search_path = public, pg_temp as $$
  select array(select c.id from (
      select h.conversation_id as id, min(h.created_at) filter (where h.taken_at is null) as since from handoffs h
        where h.status <> 'returned' and h.tenant_id = p_tenant group by 1
      union all select f.conversation_id, null from drafts f where f.tenant_id = p_tenant
      union all select p.id, null from conversations p where p.tenant_id = p_tenant and (p.controlled_by = 'human'
        or p.mode <> 'auto' or p.takeover_until is not null or p.quiet_until is not null)
        and (conversation_holder(p, p_now) in ('human', 'takeover') or waits_for_person(p))) w
    join conversations c on c.id = w.id where c.merged_into is null
    group by c.id order by min(w.since) nulls last, c.id limit 200)
$$;

-- needs_people: the same, who waits for a person for the longest first, and at the end those that a person has and
-- whose contact does not wait. Read only.
create or replace function needs_people(p_tenant text, p_now timestamptz) returns bigint[]
language sql stable set search_path = public, pg_temp as $$
  select coalesce(array_agg((r ->> 'id')::bigint order by (r ->> 'waits_since')::timestamptz nulls last,
    (r ->> 'id')::bigint), '{}')
  from jsonb_array_elements(conversation_rows(with_people(p_tenant, p_now), p_now)) r
$$;

-- recent_conversations: those with the newest messages, before message p_before; by the order of messages, so it needs
-- no index of its own. Looks at 25 messages for each conversation that is asked for. p_only 'agent': where the agent
-- answers or looks on and nothing is paused.
-- Result: {ids, next: go on before that message, or null}.
create or replace function recent_conversations(
  p_tenant text, p_only text, p_before bigint, p_limit int, p_now timestamptz
) returns jsonb language sql stable set search_path = public, pg_temp as $$
  with looked as (select m.id, m.conversation_id from messages m where m.id < coalesce(p_before, 9223372036854775807)
      and m.tenant_id = p_tenant order by m.id desc limit 25 * p_limit),
    newest as (select conversation_id, max(id) as id from looked group by 1),
    shown as (select n.conversation_id, n.id from newest n join conversations c on c.id = n.conversation_id
      where c.merged_into is null and (p_before is null or n.id = (select m.id from messages m
          where m.conversation_id = c.id order by m.seq desc limit 1))
        and (p_only is null or (conversation_holder(c, p_now) in ('agent', 'observe')
          and coalesce(c.quiet_until <= p_now, true)
          and pause_status('conversation', c.id::text, p_tenant) is distinct from 'pausado'))
      order by n.id desc limit p_limit)
  select jsonb_build_object('ids', (select coalesce(jsonb_agg(conversation_id order by id desc), '[]') from shown),
    'next', case when (select count(*) from shown) = p_limit then (select min(id) from shown)
      when (select count(*) from looked) = 25 * p_limit then (select min(id) from looked) end)
$$;

-- list_conversations: one list of the console. Read only; what it costs depends on what it shows, not on what is
-- stored.
-- Arguments: p_tab 'needs' | 'agent' | 'paused' | 'all'; p_before as `next` of the page before, null: the first.
-- Result: {rows: see conversation_rows, next, needs: how many need a person, waiting: how many of them wait}.
create or replace function list_conversations(
  p_tenant text, p_tab text, p_before bigint, p_limit int, p_now timestamptz default null
) returns jsonb language plpgsql stable set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v_needs bigint[]; v_ids bigint[];
  v_next bigint; v_recent jsonb;
begin
  v_needs := case p_tab when 'needs' then needs_people(p_tenant, v_now) else with_people(p_tenant, v_now) end;
  if p_tab = 'needs' then v_ids := v_needs[1:p_limit];
  elsif p_tab = 'paused' then
    v_ids := array(select c.id from (select distinct on (target) target, status, id from julia_status
        where scope = 'conversation' order by target, id desc) s join conversations c on c.id::text = s.target
      where s.status = 'pausado' and c.tenant_id = p_tenant and c.merged_into is null
      union select c.id from conversations c where c.tenant_id = p_tenant and (c.controlled_by = 'human'
        or c.mode <> 'auto' or c.takeover_until is not null or c.quiet_until is not null) and c.quiet_until > v_now
      order by 1 desc limit p_limit);
  else
    v_recent := recent_conversations(p_tenant, case p_tab when 'agent' then 'agent' end, p_before, p_limit, v_now);
    v_ids := array(select jsonb_array_elements_text(v_recent -> 'ids')::bigint);
    v_next := (v_recent ->> 'next')::bigint;
  end if;
  return jsonb_build_object('rows', conversation_rows(v_ids, v_now), 'next', v_next, 'needs', cardinality(v_needs));
end $$;

-- search_conversations: by a name (beginnings of its words), by digits of a phone number (its last ones, or all), both
-- by indexes, and by words of the newest 10,000 messages, which need none; the newest first. Read only.
-- Result: rows, see conversation_rows.
create or replace function search_conversations(
  p_tenant text, p_query text, p_limit int, p_now timestamptz default null
) returns jsonb language plpgsql stable set search_path = public, pg_temp as $$
declare
  v_digits text := regexp_replace(p_query, '\D', '', 'g');
  v_words text := (select string_agg(w || ':*', ' & ') from regexp_split_to_table(fold_words(p_query), '[^a-z0-9]+') w
    where w <> '');
begin
  return conversation_rows(array(
    select c.id from (
      select a.contact_id as id from contact_addresses a where length(v_digits) >= 4 and a.kind = 'pn'
        and reverse(a.address) like reverse(v_digits) || '%' and a.tenant_id = p_tenant limit 200) a
      join conversations c on c.contact_id = a.id where c.merged_into is null
    union select c.id from (
      select k.id from contacts k where v_words is not null and k.name is not null and k.tenant_id = p_tenant
        and to_tsvector('simple', translate(lower(left(k.name, 200)), 'áàâãäéèêëíìîïóòôõöúùûüçñ',
          'aaaaaeeeeiiiiooooouuuucn')) @@ to_tsquery('simple', v_words) limit 200) k
      join conversations c on c.contact_id = k.id where c.merged_into is null
    union select c.id from (select distinct m.conversation_id as id from (select * from messages n
          where n.tenant_id = p_tenant order by n.id desc limit 10000) m
        where length(p_query) >= 3 and m.kind is distinct from 'operator' and
          strpos(lower(m.text), lower(p_query)) > 0) w
      join conversations c on c.id = w.id where c.merged_into is null
    order by 1 desc limit p_limit), clock(p_now));
end $$;

-- read_conversation: a conversation as a person reads it: who, who answers, what waits, and its newest messages before
-- p_before (a seq). Read only. Result: {conversation {...}, messages [{...} the oldest first], more: there are older
-- ones} | null: unknown; {merged_into} when it is another one by now.
create or replace function read_conversation(
  p_tenant text, p_conversation bigint, p_before bigint, p_limit int, p_now timestamptz default null
) returns jsonb language plpgsql stable set search_path = public, pg_temp as $$
declare v conversations; v_contact contacts; v_now timestamptz := clock(p_now); v_messages jsonb; v_first bigint;
begin
  select * into v from conversations where id = p_conversation and tenant_id = p_tenant;
  if not found then return null; end if;
  if v.merged_into is not null then return jsonb_build_object('merged_into', v.merged_into); end if;
  select * into v_contact from contacts where id = v.contact_id;
  select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'seq', m.seq, 'direction', m.direction, 'author',
      case when m.kind = 'manual' then 'human' else m.author end, 'by', m.written_by, 'type', m.type, 'status',
      m.status,
      'reason', m.reason, 'text', left(m.text, 8000), 'at', m.created_at, 'kind', m.kind, 'turn_id', m.turn_id,
      'goes_at', case when m.status = 'queued' then promised_at(m) end, 'delivered_at', m.delivered_at, 'read_at',
      m.read_at, 'edited_at', m.edited_at, 'deleted_at', m.deleted_at, 'quoted_text', left(m.quoted_text, 300),
      'file', m.media ->> 'fileName', 'cost_usd', t.cost_usd, 'model', t.model,
      'route', t.route) order by m.seq), '[]'), min(m.seq)
    into v_messages, v_first
    from (select * from messages x where x.conversation_id = v.id and x.seq < coalesce(p_before, 9223372036854775807)
      and x.kind is distinct from 'operator' order by x.seq desc limit p_limit) m
      left join turns t on t.id = m.turn_id and m.direction = 'out' and m.part = 1;
  return jsonb_build_object('conversation', jsonb_build_object('id', v.id, 'contact_id', v.contact_id,
      'name', v_contact.name, 'phone', (select a.address from contact_addresses a where a.contact_id = v.contact_id
        and a.kind = 'pn' order by a.id limit 1),
      'instance', (select i.name from instances i where i.id = v.instance_id),
      'erased', v_contact.erased_at is not null,
      'holder', conversation_holder(v, v_now), 'taken_by', v.taken_by, 'taken_at', v.taken_at, 'mode', v.mode,
      'reason', v.escalation_reason, 'takeover_until', case when v.takeover_until > v_now then v.takeover_until end,
      'quiet_until', case when v.quiet_until > v_now then v.quiet_until end, 'quiet_reason', v.quiet_reason,
      'paused', (select pause_reason(v.tenant_id, i.name, v.id, null) from instances i where i.id = v.instance_id),
      'deferred_reason', v.deferred_reason, 'deferred_until', v.deferred_until,
      'opted_out', exists (select from standing_opt_out(v.contact_id)),
      'labels', v.observed_labels, 'summary', v.observed_summary, 'observed_at', v.observed_at,
      'facts', (select coalesce(jsonb_agg(f.fact order by f.noted_at), '[]') from (select * from contact_facts
        where contact_id = v.contact_id and replaced_at is null order by noted_at desc limit 30) f),
      'handoffs', (select coalesce(jsonb_agg(jsonb_build_object('reason', h.reason, 'summary', h.summary, 'suggestion',
        h.suggestion, 'at', h.created_at, 'controls', h.controls) order by h.id), '[]') from handoffs h
        where h.conversation_id = v.id and h.status <> 'returned'),
      'cost_usd', (select coalesce(sum(cost_usd), 0) from turns where conversation_id = v.id
        and started_at > v_now - interval '30 days'),
      'drafts', (select coalesce(jsonb_agg(jsonb_build_object('id', d.turn_id, 'text', d.text, 'at', d.at)
        order by d.turn_id), '[]') from (select f.turn_id, string_agg(m.text, E'\n\n' order by m.part) as text,
          min(m.created_at) as at from drafts f join messages m on m.id = f.message_id
          where f.conversation_id = v.id group by 1) d)),
    'messages', v_messages, 'more', exists (select from messages m where m.conversation_id = v.id
      and m.seq < v_first));
end $$;

-- console_news: what open pages should look at again: one call for all of a process. Read only.
-- Arguments: p_seen `state` of the call before; p_threads [{tenant, id: of the conversation on the screen | null}] of
--   those who look; p_sessions digests of open sessions.
-- Result: {state}: nothing was written meanwhile | {state, lists: {tenant: a word that changes when a list of it may
--   have}, threads: {"tenant/id": the same for a conversation; none for one of another tenant}, over: [sessions that
--   have ended]}.
create or replace function console_news(
  p_seen text, p_threads jsonb, p_sessions jsonb, p_now timestamptz default null
) returns jsonb language plpgsql stable set search_path = public, pg_temp as $$
declare v_state text := pg_current_snapshot()::text; v_now timestamptz := clock(p_now);
begin
  if v_state = p_seen then return jsonb_build_object('state', v_state); end if;
  return jsonb_build_object('state', v_state,
    'lists', (select coalesce(jsonb_object_agg(t.id, md5(concat_ws('/',
      (select string_agg(m.id || m.status, ',') from (select n.id, n.status from messages n where n.tenant_id = t.id
        order by n.id desc limit 20) m),
      (select concat_ws(',', count(*), max(id), max(taken_at)) from handoffs where status <> 'returned'
        and tenant_id = t.id),
      (select concat_ws(',', count(*), max(message_id)) from drafts where tenant_id = t.id),
      (select max(id) from julia_status),
      (select concat_ws(',', count(*), max(updated_at)) from conversations where tenant_id = t.id
        and (controlled_by = 'human' or mode <> 'auto' or takeover_until is not null or quiet_until is not null))))),
      '{}') from (select distinct x ->> 'tenant' as id from jsonb_array_elements(p_threads) x) t),
    'threads', (select coalesce(jsonb_object_agg(c.tenant_id || '/' || c.id,
      md5(concat_ws('/', c.updated_at, c.taken_by, (select
        string_agg(concat_ws(',', m.id, m.status, m.reason, m.delivered_at, m.read_at, m.edited_at, m.deleted_at,
          m.goes_at, length(m.text)), ';' order by m.seq) from (select * from messages x where x.conversation_id = c.id
        order by x.seq desc limit 60) m),
        (select max(id) from julia_status)))), '{}') from (select distinct x ->> 'tenant' as tenant,
        (x ->> 'id')::bigint as id from jsonb_array_elements(p_threads) x) s
        join conversations c on c.id = s.id and c.tenant_id = s.tenant),
    'over', (select coalesce(jsonb_agg(x.hash), '[]') from jsonb_array_elements_text(p_sessions) x (hash)
      where not exists (select from sessions s join users u on u.id = s.user_id where s.hash = x.hash
        and session_counts(s, v_now)
        and u.disabled_at is null)));
end $$;

-- list_queue: what waits to leave, the next first. Read only; by the narrow table of what is queued.
-- Result: {total, rows [{id, conversation_id, name, instance, kind, text, reason, goes_at}]}.
create or replace function list_queue(p_tenant text, p_limit int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('total', (select count(*) from outbox where tenant_id = p_tenant and kind <> 'operator'),
    'rows', (select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'conversation_id', m.conversation_id, 'name',
        k.name, 'instance', i.name, 'kind', m.kind, 'text', left(m.text, 160), 'reason', m.reason, 'goes_at',
        promised_at(m)) order by o.due_at nulls last, o.message_id), '[]')
      from (select * from outbox where tenant_id = p_tenant and kind <> 'operator' order by due_at nulls last,
        message_id limit p_limit) o
      join messages m on m.id = o.message_id join conversations c on c.id = m.conversation_id
      join contacts k on k.id = c.contact_id join instances i on i.id = m.instance_id))
$$;

-- day_figures: what was answered, for how much, in the last p_days days in that zone, the newest first: those that are
-- over as count_days kept them, today from the turns of today. Read only.
-- Result: [{day, received, answered, handed_over, reply_seconds_median, cost_usd, tokens, cache_share: of today}].
create or replace function day_figures(p_tenant text, p_tz text, p_days int, p_now timestamptz default null)
returns jsonb language plpgsql stable set search_path = public, pg_temp as $$
declare
  v_today date := (clock(p_now) at time zone p_tz)::date;
  v_from timestamptz := v_today::timestamp at time zone p_tz;
begin
  return (select jsonb_build_array(jsonb_build_object('day', v_today, 'received', null, 'answered', count(*)
      filter (where t.status = 'committed'), 'handed_over', count(*) filter (where t.status = 'handed_over'),
      'reply_seconds_median', null, 'cost_usd', coalesce(sum(t.cost_usd), 0), 'tokens', coalesce(sum(t.input_tokens
        + t.output_tokens + t.cache_read_tokens + t.cache_write_tokens), 0),
      'cache_share', sum(t.cache_read_tokens)::numeric / nullif(sum(t.input_tokens + t.cache_read_tokens
        + t.cache_write_tokens), 0)))
    from turns t where t.started_at >= v_from and t.tenant_id = p_tenant)
  || (select coalesce(jsonb_agg(jsonb_build_object('day', d.day, 'received', d.counts -> 'received', 'answered',
      coalesce((d.counts ->> 'answered')::numeric, 0), 'handed_over', coalesce((d.counts ->> 'handed_over')::numeric,
      0), 'reply_seconds_median', d.counts -> 'reply_seconds_median', 'cost_usd',
      coalesce((d.counts ->> 'cost_usd')::numeric, 0), 'tokens', coalesce((d.counts ->> 'tokens')::numeric, 0),
      'cache_share', null) order by d.day desc), '[]')
    from daily_counts d where d.tenant_id = p_tenant and d.day < v_today and d.day > v_today - p_days);
end $$;

-- admin_status: what an operator asks first, of one tenant; processes are the whole installation's. Null for an unknown
-- tenant. Read only.
create or replace function admin_status(p_tenant text, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object(
    'now', clock(p_now), 'pauses', pauses(p_tenant),
    'processes', (select coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'mode', p.mode, 'version', p.version,
      'seen_seconds', extract(epoch from clock(p_now) - p.seen_at)) order by p.mode, p.id), '[]')
      from process_status p where p.seen_at > clock(p_now) - interval '1 hour'),
    'instances', (select coalesce(jsonb_agg(jsonb_build_object('name', i.name, 'status', i.status, 'status_at',
      i.status_at, 'seconds', extract(epoch from clock(p_now) - i.status_at),
        'code', i.status_reason, 'paired', i.paired, 'deaf', i.deaf_since is not null and i.status = 'open',
        'held', case when i.held_until > clock(p_now) then i.held_reason end, 'fault', i.gateway_fault,
        'webhook_wrong', is_webhook_wrong(i.name),
        'breaker', breaker_reason(i.name, null, clock(p_now))) order by i.id), '[]')
      from instances i where i.tenant_id = p_tenant),
    'unanswered', (select jsonb_build_object('count', count(*), 'oldest_seconds', extract(epoch
      from clock(p_now) - min(m.created_at)))
      from inbox m where m.tenant_id = p_tenant and not m.command),
    'deferred', (select jsonb_build_object('count', count(*), 'oldest_seconds', extract(epoch
      from clock(p_now) - min(c.deferred_since)), 'reasons', coalesce(jsonb_agg(distinct c.deferred_reason), '[]'))
      from conversations c where c.deferred_until is not null and c.deferred_reason like 'model\_%'
        and c.tenant_id = p_tenant),
    'unheard', unheard_conversations(p_tenant, p_now),
    'media', media_unread(p_tenant, p_now),
    'unplaced', (select count(*) from webhook_events w where w.ignored is not null and w.tenant_id = p_tenant
      and w.received_at > (select clock(p_now)) - interval '1 day' and is_unplaced(w.ignored[1])),
    'outbound', (select jsonb_build_object('due', count(*) filter (where m.due_at <= clock(p_now)), 'later',
      count(*) filter (where m.due_at > clock(p_now))) from outbox m where m.tenant_id = p_tenant)
      || (select jsonb_build_object('sending', count(*) filter (where m.status = 'sending'), 'uncertain',
        count(*) filter (where m.status = 'uncertain')) from on_wire m where m.tenant_id = p_tenant),
    'dead_letters', (select count(*) from dead_sends m where m.tenant_id = p_tenant),
    'with_people', (select jsonb_array_length(list_handoffs(p_tenant, 1000, p_now))))
  from tenants t where t.id = p_tenant
$$;

revoke all on function
  health_snapshot(timestamptz),
  fold_words(text),
  conversation_rows(bigint[], timestamptz),
  with_people(text, timestamptz),
  needs_people(text, timestamptz),
  recent_conversations(text, text, bigint, int, timestamptz),
  list_conversations(text, text, bigint, int, timestamptz),
  search_conversations(text, text, int, timestamptz),
  read_conversation(text, bigint, bigint, int, timestamptz),
  console_news(text, jsonb, jsonb, timestamptz),
  list_queue(text, int),
  day_figures(text, text, int, timestamptz),
  note_figures(text, jsonb, timestamptz),
  stuck_rows(timestamptz),
  media_unread(text, timestamptz),
  unheard_conversations(text, timestamptz),
  is_webhook_wrong(text),
  alert_snapshot(boolean, timestamptz),
  apply_alerts(jsonb, jsonb, timestamptz),
  list_alerts(int, timestamptz),
  note_minute(boolean, timestamptz),
  sla_figures(timestamptz, timestamptz),
  report_figures(text, timestamptz, timestamptz),
  count_days(text, timestamptz),
  snapshot_numbers(text, timestamptz),
  metrics_snapshot(timestamptz),
  sources_of(jsonb),
  timeline(text, bigint, int, bigint),
  conversation_of(text, text),
  admin_status(text, timestamptz)
  from public, anon, authenticated;
grant execute on function
  health_snapshot(timestamptz),
  fold_words(text),
  conversation_rows(bigint[], timestamptz),
  with_people(text, timestamptz),
  needs_people(text, timestamptz),
  recent_conversations(text, text, bigint, int, timestamptz),
  list_conversations(text, text, bigint, int, timestamptz),
  search_conversations(text, text, int, timestamptz),
  read_conversation(text, bigint, bigint, int, timestamptz),
  console_news(text, jsonb, jsonb, timestamptz),
  list_queue(text, int),
  day_figures(text, text, int, timestamptz),
  note_figures(text, jsonb, timestamptz),
  stuck_rows(timestamptz),
  media_unread(text, timestamptz),
  unheard_conversations(text, timestamptz),
  is_webhook_wrong(text),
  alert_snapshot(boolean, timestamptz),
  apply_alerts(jsonb, jsonb, timestamptz),
  list_alerts(int, timestamptz),
  note_minute(boolean, timestamptz),
  sla_figures(timestamptz, timestamptz),
  report_figures(text, timestamptz, timestamptz),
  count_days(text, timestamptz),
  snapshot_numbers(text, timestamptz),
  metrics_snapshot(timestamptz),
  sources_of(jsonb),
  timeline(text, bigint, int, bigint),
  conversation_of(text, text),
  admin_status(text, timestamptz)
  to service_role, whats_agents_runtime;
