-- Operations: jobs, heartbeats, retention, readiness.

-- claim_job: takes one tick of a job.
-- Guarantee: one caller per (job, tick), over any number of schedulers and of people who run it by hand.
-- Arguments: p_lease_ms after which nobody believes any more that it runs; p_alone: not while another tick of the job is under way; p_again: the caller asked before and
--   did not hear the answer, or the database was away while it ran: what is still its own is taken once more.
-- Result: {id, attempts, because: null} | {id: null, because: 'ran' | 'running'}.
create function claim_job(p_job text, p_tick timestamptz, p_worker text, p_lease_ms int, p_alone boolean, p_again boolean default false, p_now timestamptz default null)
returns jsonb language plpgsql as $$
declare
  v_id bigint;
  v_attempts int := 1;
  v_until timestamptz := clock(p_now) + make_interval(secs => p_lease_ms / 1000.0);
begin
  perform pg_advisory_xact_lock(hashtextextended('job/' || p_job, 17));
  if p_alone and exists (select from job_runs where job = p_job and status = 'running' and lease_until > clock(p_now)) then
    return jsonb_build_object('id', null, 'because', 'running');
  end if;
  if p_again then
    update job_runs set attempts = attempts + 1, started_at = clock(p_now), lease_until = v_until
      where job = p_job and tick = p_tick and worker = p_worker and status = 'running' returning id, attempts into v_id, v_attempts;
    if found then return jsonb_build_object('id', v_id, 'attempts', v_attempts, 'because', null); end if;
    v_attempts := 1;
  end if;
  insert into job_runs (job, tick, worker, started_at, lease_until)
    values (p_job, p_tick, p_worker, clock(p_now), v_until) on conflict (job, tick) do nothing returning id into v_id;
  return jsonb_build_object('id', v_id, 'attempts', v_attempts, 'because', case when v_id is null then 'ran' end);
end $$;

-- finish_job: how a run ended. Only the run that is under way may be ended.
create function finish_job(p_id bigint, p_status text, p_count int, p_error text, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  update job_runs set status = p_status, count = p_count, error = p_error, ended_at = clock(p_now),
    ms = (extract(epoch from clock(p_now) - started_at) * 1000)::int where id = p_id and status = 'running';
  return jsonb_build_object('recorded', found);
end $$;

-- retake_jobs: runs whose scheduler died (their lease is over): those of p_leases are this caller's now, three times at most; the others have failed.
-- Concurrency: any number of callers; each run goes to one of them. Arguments: p_leases {job: lease in ms}. Result: [{id, job, tick}].
create function retake_jobs(p_worker text, p_leases jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_taken jsonb;
begin
  with lost as (
    select id from job_runs where status = 'running' and lease_until <= clock(p_now) for update skip locked
  ), ended as (
    update job_runs r set status = 'failed', error = 'its scheduler died', ended_at = clock(p_now) from lost
      where r.id = lost.id and (r.attempts >= 3 or not p_leases ? r.job)
  ), taken as (
    update job_runs r set worker = p_worker, started_at = clock(p_now), attempts = r.attempts + 1,
      lease_until = clock(p_now) + make_interval(secs => (p_leases ->> r.job)::int / 1000.0) from lost
      where r.id = lost.id and r.attempts < 3 and p_leases ? r.job returning r.id, r.job, r.tick
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', id, 'job', job, 'tick', tick) order by tick), '[]') into v_taken from taken;
  return v_taken;
end $$;

-- last_ticks: the newest tick of each of these jobs, for the catch-up after an outage. A job that nobody knew is known from p_at on, by a row that says so:
-- nothing before it is caught up, and it is stale when nothing follows. Result: {job: tick}.
create function last_ticks(p_jobs jsonb, p_at timestamptz) returns jsonb language plpgsql as $$
begin
  insert into job_runs (job, tick, worker, status, started_at, ended_at, ms, count, error)
    select j, p_at, 'scheduler', 'skipped', p_at, p_at, 0, 0, 'first seen' from jsonb_array_elements_text(p_jobs) j
    where not exists (select from job_runs r where r.job = j) on conflict (job, tick) do nothing;
  return (select coalesce(jsonb_object_agg(j, (select max(r.tick) from job_runs r where r.job = j)), '{}') from jsonb_array_elements_text(p_jobs) j);
end $$;

-- heartbeat: a process says that it lives, and what its breakers and queues look like; it hears which breakers a person wants closed, and which ones of
--   other processes are not closed. Never touches julia_status.
-- Arguments: p_process {id, mode, version, started_at, breakers, queues, resets_seen (null at first: a new process has nothing to close)}.
-- Result: {resets_seen, resets: [{breaker, instance, actor}], others: [{process, breakers}], signs: of the numbers whose breaker is open here, see signs_of_life}.
create function heartbeat(p_process jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare
  v_seen bigint := (p_process ->> 'resets_seen')::bigint;
  v_newest bigint := coalesce((select max(id) from breaker_resets), 0);
begin
  insert into process_status (id, mode, version, started_at, seen_at, breakers, queues)
    values (p_process ->> 'id', p_process ->> 'mode', p_process ->> 'version', (p_process ->> 'started_at')::timestamptz, clock(p_now),
      coalesce(p_process -> 'breakers', '[]'), coalesce(p_process -> 'queues', '{}'))
    on conflict (id) do update set seen_at = excluded.seen_at, breakers = excluded.breakers, queues = excluded.queues;
  return jsonb_build_object('resets_seen', v_newest,
    'resets', (select coalesce(jsonb_agg(jsonb_build_object('breaker', r.breaker, 'instance', r.instance, 'actor', r.actor) order by r.id), '[]')
      from breaker_resets r where r.id > v_seen and r.id <= v_newest),
    'others', (select coalesce(jsonb_agg(jsonb_build_object('process', p.id, 'breakers', p.breakers)), '[]') from process_status p
      where p.id <> p_process ->> 'id' and is_heard(p.seen_at, clock(p_now)) and p.breakers @? '$[*] ? (@.state != "closed")'),
    'signs', (select coalesce(jsonb_object_agg(b ->> 'instance', signs_of_life(b ->> 'instance', clock(p_now))), '{}') from jsonb_array_elements(coalesce(p_process -> 'breakers', '[]')) b
      where b ->> 'name' = 'evolution' and b ->> 'state' = 'open'));
end $$;

-- end_process: a process says goodbye; its breakers end with it.
create function end_process(p_id text) returns jsonb language plpgsql as $$
begin
  perform settle_breakers(p_id);
  delete from process_status where id = p_id;
  return '{}';
end $$;

-- record_transition: a breaker changed its state, at p_transition.at when it could not be told at once.
create function record_transition(p_transition jsonb) returns jsonb language plpgsql as $$
begin
  insert into circuit_transitions (breaker, instance, process, state, reason, created_at)
    values (p_transition ->> 'breaker', p_transition ->> 'instance', p_transition ->> 'process', p_transition ->> 'state', p_transition ->> 'reason',
      coalesce((p_transition ->> 'at')::timestamptz, now()));
  return '{}';
end $$;

-- ensure_setup: what an installation needs to run: the number of EVOLUTION_INSTANCE and the default agent. Idempotent; an agent that somebody
-- changed is left alone. A database that says it belongs to another project than the caller's is not touched.
-- p_setup {instance or null, project_ref or null, agent {name, tone, instructions, promises}}. Result: {}. Errors: WA003 another project's database.
create function ensure_setup(p_setup jsonb) returns jsonb language plpgsql as $$
begin
  if is_foreign(p_setup ->> 'project_ref') then raise exception 'the database belongs to another project' using errcode = 'WA003'; end if;
  if p_setup ->> 'instance' is not null then
    perform ensure_instance(p_setup ->> 'instance', null);
    update instances set proactive = true where name = p_setup ->> 'instance' and not proactive and not exists (select from instance_events e where e.instance_id = instances.id and e.event = 'changed' and e.details ? 'proactive');
  end if;
  insert into agents (slug, name, tone, instructions, promises)
    select 'default', a ->> 'name', a ->> 'tone', a ->> 'instructions', a ->> 'promises' from (select p_setup -> 'agent' as a) x
    where not exists (select 1 from agents where tenant_id = 'default' and slug = 'default')
    on conflict do nothing;
  return '{}';
end $$;

-- unproven_count: sends of which nobody knows whether they left, and that a person has to look at.
create function unproven_count() returns bigint language sql stable as $$ select count(*) from messages where direction = 'out' and status = 'unproven' $$;

-- health_snapshot: the figures behind /health/deep and /health/*, in one call. Read only.
create function health_snapshot(p_now timestamptz default null) returns jsonb language sql stable as $$
  select jsonb_build_object(
    'now', clock(p_now),
    'project_ref', (select value from installation where key = 'project_ref'),
    'processes', (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'mode', mode, 'version', version, 'seen_seconds', extract(epoch from clock(p_now) - seen_at), 'breakers', breakers, 'queues', queues)), '[]')
      from process_status where seen_at > clock(p_now) - interval '1 hour'),
    'instances', (select coalesce(jsonb_agg(jsonb_build_object('name', name, 'status', status, 'status_at', status_at)), '[]') from instances),
    'unanswered', (select jsonb_build_object('count', count(*), 'oldest_seconds', extract(epoch from clock(p_now) - min(created_at))) from messages where direction = 'in' and status = 'received'),
    'outbound', (select jsonb_build_object('due', count(*) filter (where status = 'queued' and due_at <= clock(p_now)), 'uncertain', count(*) filter (where status = 'uncertain') + unproven_count(),
      'sending', count(*) filter (where status = 'sending')) from messages where direction = 'out' and status in ('queued', 'sending', 'uncertain')),
    'paused', pause_reason('default', null, null, null))
$$;

-- job_status: the newest run of each of these jobs that has one, and when a run last ended well (done, or skipped with a reason).
-- Result: [{job, tick, status, started_at, ended_at, ms, count, error, last_good_at}].
create function job_status(p_jobs jsonb) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('job', r.job, 'tick', r.tick, 'status', r.status, 'started_at', r.started_at, 'ended_at', r.ended_at, 'ms', r.ms, 'count', r.count,
    'error', r.error, 'last_good_at', (select g.ended_at from job_runs g where g.job = j.name and g.status in ('done', 'skipped') order by g.tick desc limit 1)) order by r.job), '[]')
  from jsonb_array_elements_text(p_jobs) j (name), lateral (select * from job_runs n where n.job = j.name order by n.tick desc limit 1) r
$$;

-- set_instance_state: what a poll of connectionState says, through the same door as the webhook. Result as record_connection; an unknown number changes nothing.
create function set_instance_state(p_name text, p_state text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v instances;
begin
  select * into v from instances where name = p_name;
  if not found then return jsonb_build_object('outcome', 'unknown', 'wake', false, 'wake_sends', false); end if;
  return record_connection(v, jsonb_build_object('state', p_state, 'polled', true), p_now);
end $$;

-- list_instances: the numbers to poll. Result: [{name, status, version_stale, breaker: why its breaker is open in a process that lives, or null}].
create function list_instances() returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('name', name, 'status', status,
    'version_stale', coalesce(gateway_version_at < now() - interval '10 minutes', true), 'breaker', breaker_reason(name, null, now())) order by id), '[]') from instances
$$;

-- list_agents: the agents that answer, of all tenants. Concurrency: read only. Result: [agent], as their rows are.
create function list_agents() returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(to_jsonb(a) order by a.tenant_id, a.slug), '[]') from agents a where a.active
$$;
