-- Runs of jobs, and holidays.

-- put_holidays: Brazil's holidays for a time ahead. A day that is there already stays as it is. p_days [{day, name}].
-- Result: {until: the last day known}.
create or replace function put_holidays(p_days jsonb)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  insert into holidays (day, name) select d.day, d.name from jsonb_to_recordset(p_days) as d (day date, name text)
    on conflict do nothing;
  return jsonb_build_object('until', (select max(day) from holidays where tenant_id = 'default'));
end $$;

-- claim_job: takes one tick of a job.
-- Guarantee: one caller per (job, tick), over any number of schedulers and of people who run it by hand.
-- Arguments: p_lease_ms after which nobody believes any more that it runs; p_alone: not while another tick of the job
--   is under way; p_again: the caller asked before and did not hear the answer, or the database was away while it ran:
--   what is still its own is taken once more.
-- Result: {id, attempts, because: null} | {id: null, because: 'ran' | 'running'}.
create or replace function claim_job(p_job text, p_tick timestamptz, p_worker text, p_lease_ms int, p_alone boolean,
  p_again boolean default false, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_id bigint;
  v_attempts int := 1;
  v_until timestamptz := clock(p_now) + make_interval(secs => p_lease_ms / 1000.0);
begin
  perform pg_advisory_xact_lock(hashtextextended('job/' || p_job, 17));
  if p_alone and exists (select from job_runs where job = p_job and status = 'running' and lease_until > clock(p_now))
    then
    return jsonb_build_object('id', null, 'because', 'running');
  end if;
  if p_again then
    update job_runs set attempts = attempts + 1, started_at = clock(p_now), lease_until = v_until
      where job = p_job and tick = p_tick and worker = p_worker and status = 'running' returning id, attempts into v_id,
        v_attempts;
    if found then return jsonb_build_object('id', v_id, 'attempts', v_attempts, 'because', null); end if;
    v_attempts := 1;
  end if;
  insert into job_runs (job, tick, worker, started_at, lease_until)
    values (p_job, p_tick, p_worker, clock(p_now), v_until) on conflict (job, tick) do nothing returning id into v_id;
  return jsonb_build_object('id', v_id, 'attempts', v_attempts, 'because', case when v_id is null then 'ran' end);
end $$;

-- finish_job: how a run ended. Only the run that is under way may be ended.
create or replace function finish_job(
  p_id bigint, p_status text, p_count int, p_error text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  update job_runs set status = p_status, count = p_count, error = p_error, ended_at = clock(p_now),
    ms = (extract(epoch from clock(p_now) - started_at) * 1000)::int where id = p_id and status = 'running';
  return jsonb_build_object('recorded', found);
end $$;

-- retake_jobs: runs whose scheduler died (their lease is over): those of p_leases are this caller's now, three times at
-- most; the others have failed.
-- Concurrency: any number of callers; each run goes to one of them. Arguments: p_leases {job: lease in ms}. Result:
--   [{id, job, tick}].
create or replace function retake_jobs(p_worker text, p_leases jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
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
  select coalesce(jsonb_agg(jsonb_build_object('id', id, 'job', job, 'tick', tick) order by tick), '[]') into v_taken
    from taken;
  return v_taken;
end $$;

-- last_ticks: the newest tick of each of these jobs, for the catch-up after an outage. A job that nobody knew is known
-- from p_at on, by a row that says so: nothing before it is caught up, and it is stale when nothing follows. Result:
-- {job: tick}.
create or replace function last_ticks(p_jobs jsonb, p_at timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  insert into job_runs (job, tick, worker, status, started_at, ended_at, ms, count, error)
    select j, p_at, 'scheduler', 'skipped', p_at, p_at, 0, 0, 'first seen' from jsonb_array_elements_text(p_jobs) j
    where not exists (select from job_runs r where r.job = j) on conflict (job, tick) do nothing;
  return (select coalesce(jsonb_object_agg(j, (select max(r.tick) from job_runs r where r.job = j)), '{}')
    from jsonb_array_elements_text(p_jobs) j);
end $$;

-- job_status: the newest run of each of these jobs that has one, and when a run last ended well (done, or skipped with
-- a reason).
-- Result: [{job, tick, status, started_at, ended_at, ms, count, error, last_good_at}].
create or replace function job_status(p_jobs jsonb)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('job', r.job, 'tick', r.tick, 'status', r.status, 'started_at',
    r.started_at, 'ended_at', r.ended_at, 'ms', r.ms, 'count', r.count,
    'error', r.error, 'last_good_at', (select g.ended_at from job_runs g
      where g.job = j.name and g.status in ('done', 'skipped') order by g.tick desc limit 1)) order by r.job), '[]')
  from jsonb_array_elements_text(p_jobs) j (name), lateral (select * from job_runs n where n.job = j.name
    order by n.tick desc limit 1) r
$$;

revoke all on function
  put_holidays(jsonb),
  claim_job(text, timestamptz, text, int, boolean, boolean, timestamptz),
  finish_job(bigint, text, int, text, timestamptz),
  retake_jobs(text, jsonb, timestamptz),
  last_ticks(jsonb, timestamptz),
  job_status(jsonb)
  from public, anon, authenticated;
grant execute on function
  put_holidays(jsonb),
  claim_job(text, timestamptz, text, int, boolean, boolean, timestamptz),
  finish_job(bigint, text, int, text, timestamptz),
  retake_jobs(text, jsonb, timestamptz),
  last_ticks(jsonb, timestamptz),
  job_status(jsonb)
  to service_role, whats_agents_runtime;
