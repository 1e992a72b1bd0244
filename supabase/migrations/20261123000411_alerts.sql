-- Alerts: what is looked at, and one message per condition until it recovers.

-- One row per condition and what it is about, for ever: a few dozen.
--   ok        not so
--   pending   so, but not for long enough, or told too short a time ago
--   firing    people have been told; the recovery will be told too
create table alerts (
  id           bigint generated always as identity primary key,
  tenant_id    text not null default 'default' references tenants (id),
  key          text not null unique,                 -- the condition and its subject: `breaker:evolution:julia-prod`
  name         text not null,                        -- the condition
  subject      text,
  urgent       boolean not null,
  about        text,                                 -- name of the number that it is about
  text         text not null,
  recovery     text,                                 -- null: its end is no news
  status       text not null check (status in ('ok', 'pending', 'firing')),
  since        timestamptz not null,                 -- of the present state of affairs: first seen, or recovered
  seen_at      timestamptz not null,                 -- last seen to be so
  told_at      timestamptz,
  stage        int not null default 1,               -- how bad it was when people were told: what gets worse is told again
  times        int not null default 0                -- messages so far
);
create index alerts_name on alerts (name) where status <> 'ok';

-- One row for each minute in which a scheduler looked: whether messages could be taken, answered and sent. A minute without a row is one in which nobody could.
create table sla_minutes (
  minute     timestamptz primary key,
  tenant_id  text not null default 'default' references tenants (id),
  up         boolean not null
);

-- note_figures: what a process measured of itself; it hears in return for how long no scheduler has been heard of. Result: {scheduler_seconds: null: never}.
create function note_figures(p_process text, p_figures jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  update process_status set figures = p_figures where id = p_process;
  return jsonb_build_object('scheduler_seconds', (select extract(epoch from clock(p_now) - max(seen_at)) from process_status where mode = 'scheduler'));
end $$;

-- stuck_rows: what nobody works on although somebody claimed it: sends and turns whose lease is over by a minute, sends that are looked up for a quarter of an hour.
create function stuck_rows(p_now timestamptz) returns bigint language sql stable as $$
  select (select count(*) from messages where direction = 'out' and status = 'sending' and lease_until < clock(p_now) - interval '1 minute')
    + (select count(*) from messages where direction = 'out' and status = 'uncertain' and claimed_at < clock(p_now) - interval '15 minutes')
    + (select count(*) from turns where status = 'open' and lease_until < clock(p_now) - interval '1 minute')
$$;

-- unheard_conversations: how many wait for a person although nobody could be told of them: no channel is configured, or none took the notice for a day.
-- Also those that only people answer (mode manual), whose words are forwarded. Read only; p_tenant null: of all.
create function unheard_conversations(p_tenant text, p_now timestamptz default null) returns bigint language sql stable as $$
  select count(*) from (
    select h.conversation_id from handoffs h
    where h.status <> 'returned' and h.taken_at is null and h.tenant_id = coalesce(p_tenant, h.tenant_id) and exists (select from notices n
      where n.tenant_id = h.tenant_id and n.status = 'failed' and (n.key in ('handoff-' || h.id || '-told', 'handoff-' || h.id || '-reminded')
        or (n.key like 'handoffs-' || h.reason || '-%' and n.created_at between h.notified_at - interval '1 minute' and h.notified_at)))
      and not exists (select from notices n where n.tenant_id = h.tenant_id and n.key in ('handoff-' || h.id || '-told', 'handoff-' || h.id || '-reminded') and n.status <> 'failed')
    union
    select c.id from notices n join conversations c on c.id = case n.kind when 'forward' then split_part(n.key, '-', 2)::bigint end
    where n.kind = 'forward' and n.status = 'failed' and n.created_at > clock(p_now) - interval '1 day' and n.tenant_id = coalesce(p_tenant, n.tenant_id)
      and waits_for_person(c)) u
$$;

-- alert_snapshot: what the conditions are decided on. Read only; bounded by partial indexes of what is open and by the newest rows.
-- Arguments: p_all false leaves out what takes a look over many rows (work), for the look of each few seconds.
-- Result: {now, project_ref, paused, processes [{id, mode, started_seconds, seen_seconds, figures}], breakers [{breaker, instance, reason}]: open in a process that lives, or
--   opened within the last minute; numbers [{name, status, seconds, code: what WhatsApp said when it closed, paired, deaf, held: why proactive messages rest}], unanswered {count, oldest_seconds} of what is neither paused nor deferred, deferred {count,
--   oldest_seconds, reasons [reason]} of conversations that wait for the model, unheard: see unheard_conversations, outbound {due, oldest_seconds of
--   what is not paused, stuck, uncertain}, gone_models null or [model] that the provider did not know within the hour, work null or {turns, failed_turns, sends, failed_sends, median_ms of 15 minutes, errors_last_hour}}.
create function alert_snapshot(p_all boolean, p_now timestamptz default null) returns jsonb language sql stable as $$
  with unanswered as (
    select m.conversation_id, m.created_at from messages m where m.direction = 'in' and m.status = 'received' order by m.created_at limit 1000
  ), waiting as (
    select u.created_at from unanswered u join conversations c on c.id = u.conversation_id join instances i on i.id = c.instance_id
    where pause_reason(c.tenant_id, i.name, c.id, null) is null and c.deferred_until is null
  ), deferred as (
    select c.deferred_since, c.deferred_reason from conversations c join instances i on i.id = c.instance_id
    where c.deferred_until is not null and c.deferred_reason like 'model\_%' and pause_reason(c.tenant_id, i.name, c.id, null) is null
  ), due as (
    select m.due_at from messages m join conversations c on c.id = m.conversation_id join instances i on i.id = m.instance_id
    where m.direction = 'out' and m.status = 'queued' and m.due_at <= (select clock(p_now)) and pause_reason(c.tenant_id, i.name, c.id, m.campaign_id) is null
    order by m.due_at limit 1000
  ), newest as (
    select distinct on (t.breaker, t.instance, t.process) t.* from circuit_transitions t where t.created_at > clock(p_now) - interval '2 days'
    order by t.breaker, t.instance, t.process, t.id desc
  ), open as (
    select n.breaker, n.instance, n.reason, n.id from newest n where n.state <> 'closed'
      and (n.process = 'database' or exists (select from process_status p where p.id = n.process and is_there(p.seen_at, clock(p_now))))
    union all
    select t.breaker, t.instance, t.reason, t.id from circuit_transitions t where t.state = 'open' and t.created_at > clock(p_now) - interval '1 minute'
  )
  select jsonb_build_object(
    'now', clock(p_now),
    'project_ref', (select value from installation where key = 'project_ref'),
    'paused', pause_reason('default', null, null, null),
    'processes', (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'mode', mode, 'started_seconds', extract(epoch from clock(p_now) - started_at),
      'seen_seconds', extract(epoch from clock(p_now) - seen_at), 'figures', figures) order by id), '[]') from process_status where seen_at > clock(p_now) - interval '1 hour'),
    'breakers', (select coalesce(jsonb_agg(jsonb_build_object('breaker', b.breaker, 'instance', b.instance, 'reason', b.reason) order by b.breaker, b.instance), '[]')
      from (select distinct on (o.breaker, o.instance) o.* from open o order by o.breaker, o.instance, o.reason nulls last, o.id desc) b),
    'numbers', (select coalesce(jsonb_agg(jsonb_build_object('name', name, 'status', status, 'seconds', extract(epoch from clock(p_now) - status_at),
      'code', status_reason, 'paired', paired, 'deaf', deaf_since is not null and status = 'open', 'held', case when held_until > clock(p_now) then held_reason end) order by id), '[]') from instances),
    'unanswered', (select jsonb_build_object('count', count(*), 'oldest_seconds', extract(epoch from clock(p_now) - min(created_at))) from waiting),
    'deferred', (select jsonb_build_object('count', count(*), 'oldest_seconds', extract(epoch from clock(p_now) - min(deferred_since)),
      'reasons', coalesce(jsonb_agg(distinct deferred_reason), '[]')) from deferred),
    'unheard', unheard_conversations(null, p_now),
    'outbound', (select jsonb_build_object('due', count(*), 'oldest_seconds', extract(epoch from clock(p_now) - min(due_at))) from due)
      || jsonb_build_object('stuck', stuck_rows(p_now), 'uncertain', (select count(*) from messages where direction = 'out' and status = 'uncertain') + unproven_count()),
    'gone_models', case when p_all then (select coalesce(jsonb_agg(distinct k.model), '[]') from (select model, outcome, created_at from model_calls order by id desc limit 2000) k
      where k.outcome = 'model_gone' and k.created_at > clock(p_now) - interval '1 hour') end,
    'unplaced', case when p_all then (select coalesce(jsonb_agg(jsonb_build_object('instance', u.instance, 'reason', u.reason, 'count', u.n) order by u.instance, u.reason), '[]')
      from (select w.instance, w.ignored[1] as reason, count(*) as n from webhook_events w where w.ignored is not null and w.received_at > (select clock(p_now)) - interval '15 minutes'
          and is_unplaced(w.ignored[1]) group by 1, 2) u) end,
    'work', case when p_all then (select jsonb_build_object('turns', count(*), 'failed_turns', count(*) filter (where status in ('failed', 'expired')),
        'median_ms', percentile_cont(0.5) within group (order by extract(epoch from ended_at - started_at) * 1000) filter (where status = 'committed'))
      from (select * from turns order by id desc limit 5000) t where ended_at > clock(p_now) - interval '15 minutes') ||
      (select jsonb_build_object('sends', count(*), 'failed_sends', count(*) filter (where status = 'failed'))
        from (select status, created_at from messages where direction = 'out' and kind is not null order by id desc limit 5000) m
        where created_at > clock(p_now) - interval '15 minutes' and status in ('sent', 'delivered', 'read', 'failed')) ||
      -- the clock is asked once: an index is of no use to what changes from row to row
      jsonb_build_object('errors_last_hour', (select count(*) from messages where direction = 'out' and status = 'failed' and created_at > (select clock(p_now)) - interval '1 hour')
        + (select count(*) from turns where status in ('failed', 'expired') and started_at > (select clock(p_now)) - interval '1 hour')) end)
$$;

-- apply_alerts: the conditions that hold now become state and messages.
-- Guarantee: one notice when a condition has held for its time, one when it is over, over any number of callers; not more often than its cooldown. What gets
--   worse after it was told (a higher stage) is told again, once.
-- Arguments: p_holds [{key, name, subject, urgent, about, text, recovery, for_seconds, cooldown_seconds, stage}]; p_looked [name]: the conditions that were looked at, of which
--   those that do not hold have recovered. Concurrency: callers queue. Result: {fired: [name], recovered: [name]}.
create function apply_alerts(p_holds jsonb, p_looked jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare
  v_now timestamptz := clock(p_now);
  h record;
  v alerts;
  v_fired text[] := '{}';
  v_recovered text[] := '{}';
begin
  perform pg_advisory_xact_lock(hashtextextended('alerts', 19));
  for h in select * from jsonb_to_recordset(p_holds) as x (key text, name text, subject text, urgent boolean, about text, text text, recovery text,
      for_seconds int, cooldown_seconds int, stage int) loop
    insert into alerts as a (key, name, subject, urgent, about, text, recovery, status, since, seen_at)
      values (h.key, h.name, h.subject, h.urgent, h.about, h.text, h.recovery, 'pending', v_now, v_now)
      on conflict (key) do update set urgent = excluded.urgent, about = excluded.about, text = excluded.text, recovery = excluded.recovery, seen_at = v_now,
        status = case a.status when 'ok' then 'pending' else a.status end,
        -- it has to hold without a break: not over a time in which nobody looked
        since = case when a.status = 'ok' or (a.status = 'pending' and a.seen_at < v_now - interval '5 minutes') then v_now else a.since end
      returning * into v;
    if (v.status = 'firing' and coalesce(h.stage, 1) > v.stage) or (v.status = 'pending' and v.since <= v_now - make_interval(secs => h.for_seconds)
        and (v.told_at is null or v.told_at <= v_now - make_interval(secs => h.cooldown_seconds))) then
      update alerts set status = 'firing', told_at = v_now, times = times + 1, stage = coalesce(h.stage, 1) where id = v.id returning * into v;
      perform add_notice(jsonb_build_object('tenant', v.tenant_id, 'key', 'alert-' || v.id || '-' || v.times, 'kind', 'alert', 'text', v.text, 'urgent', v.urgent, 'about', v.about), v_now);
      v_fired := v_fired || v.name;
    end if;
  end loop;
  for v in select * from alerts where status <> 'ok' and p_looked ? name and not exists (select from jsonb_array_elements(p_holds) x where x ->> 'key' = alerts.key) order by id for update loop
    update alerts set status = 'ok', since = v_now where id = v.id;
    if v.status = 'firing' then
      v_recovered := v_recovered || v.name;
      if v.recovery is not null then
        perform add_notice(jsonb_build_object('tenant', v.tenant_id, 'key', 'alert-' || v.id || '-' || v.times || '-over', 'kind', 'recovery', 'text', v.recovery, 'urgent', false, 'about', v.about), v_now);
      end if;
    end if;
  end loop;
  return jsonb_build_object('fired', to_jsonb(v_fired), 'recovered', to_jsonb(v_recovered));
end $$;

-- list_alerts: what holds now (urgent first), and what was told within p_hours. Read only.
-- Result: [{key, name, subject, urgent, text, status, since, told_at}].
create function list_alerts(p_hours int, p_now timestamptz default null) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('key', key, 'name', name, 'subject', subject, 'urgent', urgent, 'text', text, 'status', status, 'since', since, 'told_at', told_at)
    order by status = 'ok', urgent desc, since desc), '[]')
  from alerts where status <> 'ok' or told_at > clock(p_now) - make_interval(hours => p_hours)
$$;

-- note_minute: a scheduler looked in this minute. Any number may say so; the worst word counts. Result: {}.
create function note_minute(p_up boolean, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  insert into sla_minutes as s (minute, up) values (date_trunc('minute', clock(p_now)), p_up) on conflict (minute) do update set up = s.up and excluded.up;
  return '{}';
end $$;

-- sla_figures: what was promised and what came of it, from p_from on (but not before the first minute that anybody looked at).
-- Result: {minutes, up_minutes, turns, slow_turns: generated in more than 5 s, failed_turns, sends, failed_sends}. A reply is generated from the claim of its turn to
--   the commit: debounce, typing and pace are not in it.
create function sla_figures(p_from timestamptz, p_now timestamptz default null) returns jsonb language sql stable as $$
  select jsonb_build_object(
      'minutes', coalesce((select greatest(0, floor(extract(epoch from date_trunc('minute', clock(p_now)) - greatest(date_trunc('minute', p_from), f.minute)) / 60))
        from (select minute from sla_minutes order by minute limit 1) f), 0),
      'up_minutes', (select count(*) from sla_minutes where up and minute >= date_trunc('minute', p_from) and minute < date_trunc('minute', clock(p_now))))
    || (select jsonb_build_object('turns', count(*) filter (where status = 'committed' and model is not null),
        'slow_turns', count(*) filter (where status = 'committed' and model is not null and ended_at - started_at > interval '5 seconds'),
        'failed_turns', count(*) filter (where status in ('failed', 'expired'))) from turns where started_at >= p_from)
    || (select jsonb_build_object('sends', count(*) filter (where status in ('sent', 'delivered', 'read')), 'failed_sends', count(*) filter (where status = 'failed'))
        from messages where direction = 'out' and kind is not null and created_at >= p_from)
$$;
create index messages_day on messages using brin (created_at);
