-- Breakers: heartbeats, transitions, shared trials, resets.

-- is_heard: whether what a process said of its breakers holds: some heartbeats later another one probes. As isHeard of
-- process/liveness.ts.
create or replace function is_heard(p_seen_at timestamptz, p_now timestamptz)
returns boolean language sql immutable as $$
  select p_seen_at > p_now - interval '15 seconds'
$$;

-- is_there: whether a process is there at all: one that is replaced is silent for a while. As isThere of
-- process/liveness.ts.
create or replace function is_there(p_seen_at timestamptz, p_now timestamptz)
returns boolean language sql immutable as $$
  select p_seen_at > p_now - interval '1 minute'
$$;

-- breaker_open: whether a process that lives says that this breaker lets nothing through. Read only.
create or replace function breaker_open(p_breaker text, p_instance text, p_now timestamptz)
returns boolean language sql stable as $$
  select exists (select from process_status p, jsonb_array_elements(p.breakers) b
    where is_heard(p.seen_at, p_now) and b ->> 'name' = p_breaker and b ->> 'instance' is not distinct from p_instance
      and b ->> 'state' <> 'closed')
$$;

-- breaker_reason: why the breaker of a number is open in a process that lives; of these reasons, or any. Null: it is
-- not. Read only.
create or replace function breaker_reason(p_instance text, p_reasons jsonb, p_now timestamptz)
returns text language sql stable as $$
  select e.value ->> 'reason' from process_status p, jsonb_array_elements(p.breakers) e
  where is_heard(p.seen_at, p_now) and e.value ->> 'name' = 'evolution' and e.value ->> 'instance' = p_instance
    and e.value ->> 'state' <> 'closed'
    and (p_reasons is null or p_reasons ? (e.value ->> 'reason')) limit 1
$$;

-- reset_breakers: a person closes breakers: each process reads it with its next heartbeat; the circuit of a number is
-- closed here and now.
-- Arguments: p_breaker 'evolution' | 'claude' | 'database' | 'number' or null for all; p_instance a number of the
--   tenant or null for all of them (the tenant `default` owns the installation: all of every tenant's, and those of no
--   number).
-- Result: {outcome: 'asked', open: [{breaker, instance, process}] what was open, released: [instance name]} | {outcome:
--   'unknown_instance' | 'not_yours'}; audited.
create or replace function reset_breakers(
  p_tenant text, p_actor text, p_breaker text, p_instance text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_now timestamptz := clock(p_now);
  v instances;
  v_open jsonb;
  v_released text[] := '{}';
begin
  if p_instance is not null and not exists (select from instances where name = p_instance and tenant_id = p_tenant) then
    return jsonb_build_object('outcome', 'unknown_instance');
  end if;
  if p_tenant <> 'default' and p_breaker in ('claude', 'database')
    then return jsonb_build_object('outcome', 'not_yours'); end if;
  select coalesce(jsonb_agg(jsonb_build_object('breaker', b ->> 'name', 'instance', b ->> 'instance', 'process', p.id)),
    '[]') into v_open
    from process_status p, jsonb_array_elements(p.breakers) b
    where is_heard(p.seen_at, v_now) and b ->> 'state' <> 'closed' and (p_breaker is null or b ->> 'name' = p_breaker)
      and (b ->> 'instance' = p_instance
        or (p_instance is null and (p_tenant = 'default' or exists (select from instances i
          where i.name = b ->> 'instance' and i.tenant_id = p_tenant))));
  if p_breaker is distinct from 'number' then
    -- one at a time, so that ids are committed in their order: processes remember the newest that they have seen
    perform pg_advisory_xact_lock(hashtextextended('breaker_resets', 13));
    insert into breaker_resets (tenant_id, breaker, instance, actor, created_at)
      select p_tenant, p_breaker, n.name, p_actor, v_now from (
        select p_instance as name where p_instance is not null or p_tenant = 'default'
        union all select name from instances where tenant_id = p_tenant and p_instance is null
          and p_tenant <> 'default') n;
  end if;
  if p_breaker is null or p_breaker = 'number' then
    for v in select * from instances where tenant_id = p_tenant and held_reason is not null
      and (p_instance is null or name = p_instance) order by id for no key update loop
      update instances set trust = greatest(trust_now(v, v_now), 40), trust_at = v_now, held_since = null,
        held_in_row = 0 where id = v.id;
      perform release_number(v, 'reset by ' || p_actor, v_now);
      v_open := v_open || jsonb_build_object('breaker', 'number', 'instance', v.name, 'process', 'database');
      v_released := v_released || v.name;
    end loop;
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details)
    values (p_tenant, p_actor, 'breaker.reset', coalesce(p_breaker, 'all'),
      jsonb_build_object('instance', p_instance, 'open', v_open));
  return jsonb_build_object('outcome', 'asked', 'open', v_open, 'released', to_jsonb(v_released));
end $$;

-- take_trial: a probe says that a number answers, not that a message would go: one real message finds out, of one
-- process for all.
-- Guarantee: one process has the trial of a number, for as long as a send may take (100 s), or until it tells its end
--   or is_heard no more.
-- Arguments: p_process who asks; the same may take it again. Concurrency: any; the row decides. Result: {taken}.
create or replace function take_trial(p_instance text, p_process text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  update instances i set trial_by = p_process, trial_until = clock(p_now) + interval '100 seconds'
    where i.name = p_instance
    and (i.trial_until is null or i.trial_until <= clock(p_now) or i.trial_by = p_process
      or exists (select from process_status p where p.id = i.trial_by and not is_heard(p.seen_at, clock(p_now))));
  return jsonb_build_object('taken', found);
end $$;

-- end_trial: what came of it. Passed, or it said nothing: whoever is next may try. Failed: the others hear with the
-- next heartbeats that the breaker is open again, and wait until then (10 s).
-- Concurrency: any; only the process that has the trial ends it.
create or replace function end_trial(p_instance text, p_process text, p_failed boolean, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  update instances set trial_until = case when p_failed then clock(p_now) + interval '10 seconds' end
    where name = p_instance and trial_by = p_process;
  return jsonb_build_object('ended', found);
end $$;

-- settle_breakers: breakers that were open when their process ended are closed: a restart closes them, and that is
-- recorded.
-- Arguments: p_process one that ends now, or null for all that are there no more. Safe to repeat. Result: {closed}.
create or replace function settle_breakers(p_process text default null, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_closed int;
begin
  insert into circuit_transitions (tenant_id, breaker, instance, process, state, reason, created_at)
    select s.tenant_id, s.breaker, s.instance, s.process, 'closed', 'restart', clock(p_now) from (
      select distinct on (c.breaker, c.instance, c.process) c.* from circuit_transitions c
      where c.created_at > clock(p_now) - interval '2 days' and c.process <> 'database'
        and (p_process is null or c.process = p_process)
      order by c.breaker, c.instance, c.process, c.id desc) s
    where s.state <> 'closed'
      and (p_process is not null or not exists (select from process_status p
        where p.id = s.process and is_there(p.seen_at, clock(p_now))));
  get diagnostics v_closed = row_count;
  return jsonb_build_object('closed', v_closed);
end $$;

-- heartbeat: a process says that it lives, and what its breakers and queues look like; it hears which breakers a person
-- wants closed, and which ones of
--   other processes are not closed. Never touches julia_status.
-- Arguments: p_process {id, mode, version, started_at, breakers, queues, resets_seen (null at first: a new process has
--   nothing to close)}.
-- Result: {installation: its id now, resets_seen, resets: [{breaker, instance, actor}], others: [{process, breakers}],
--   signs: of the numbers whose breaker is open here, see signs_of_life}.
create or replace function heartbeat(p_process jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_seen bigint := (p_process ->> 'resets_seen')::bigint;
  v_newest bigint := coalesce((select max(id) from breaker_resets), 0);
begin
  insert into process_status (id, mode, version, started_at, seen_at, breakers, queues)
    values (p_process ->> 'id', p_process ->> 'mode', p_process ->> 'version',
      (p_process ->> 'started_at')::timestamptz, clock(p_now),
      coalesce(p_process -> 'breakers', '[]'), coalesce(p_process -> 'queues', '{}'))
    on conflict (id) do update set seen_at = excluded.seen_at, breakers = excluded.breakers, queues = excluded.queues;
  return jsonb_build_object('installation', installation_id(), 'resets_seen', v_newest,
    'resets', (select coalesce(jsonb_agg(jsonb_build_object('breaker', r.breaker, 'instance', r.instance, 'actor',
      r.actor) order by r.id), '[]')
      from breaker_resets r where r.id > v_seen and r.id <= v_newest),
    'others', (select coalesce(jsonb_agg(jsonb_build_object('process', p.id, 'breakers', p.breakers)), '[]')
      from process_status p
      where p.id <> p_process ->> 'id' and is_heard(p.seen_at, clock(p_now))
        and p.breakers @? '$[*] ? (@.state != "closed")'),
    'signs', (select coalesce(jsonb_object_agg(b ->> 'instance', signs_of_life(b ->> 'instance', clock(p_now))), '{}')
      from jsonb_array_elements(coalesce(p_process -> 'breakers', '[]')) b
      where b ->> 'name' = 'evolution' and b ->> 'state' = 'open'));
end $$;

-- end_process: a process says goodbye; its breakers end with it.
create or replace function end_process(p_id text) returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  perform settle_breakers(p_id);
  delete from process_status where id = p_id;
  return '{}';
end $$;

-- record_transition: a breaker changed its state, at p_transition.at when it could not be told at once.
create or replace function record_transition(p_transition jsonb)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  insert into circuit_transitions (breaker, instance, process, state, reason, created_at)
    values (p_transition ->> 'breaker', p_transition ->> 'instance', p_transition ->> 'process',
      p_transition ->> 'state', p_transition ->> 'reason',
      coalesce((p_transition ->> 'at')::timestamptz, now()));
  return '{}';
end $$;

revoke all on function
  is_heard(timestamptz, timestamptz),
  is_there(timestamptz, timestamptz),
  breaker_open(text, text, timestamptz),
  breaker_reason(text, jsonb, timestamptz),
  reset_breakers(text, text, text, text, timestamptz),
  take_trial(text, text, timestamptz),
  end_trial(text, text, boolean, timestamptz),
  settle_breakers(text, timestamptz),
  heartbeat(jsonb, timestamptz),
  end_process(text),
  record_transition(jsonb)
  from public, anon, authenticated;
grant execute on function
  is_heard(timestamptz, timestamptz),
  is_there(timestamptz, timestamptz),
  breaker_open(text, text, timestamptz),
  breaker_reason(text, jsonb, timestamptz),
  reset_breakers(text, text, text, text, timestamptz),
  take_trial(text, text, timestamptz),
  end_trial(text, text, boolean, timestamptz),
  settle_breakers(text, timestamptz),
  heartbeat(jsonb, timestamptz),
  end_process(text),
  record_transition(jsonb)
  to service_role, whats_agents_runtime;
