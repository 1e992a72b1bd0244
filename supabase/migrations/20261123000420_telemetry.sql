-- What is measured at the moment of asking, and who did what.

-- metrics_snapshot: the figures that no process counts by itself. Read only, bounded by the indexes of what is open and by one day of turns.
-- Result: [{tenant, unanswered, unanswered_seconds, queued, queued_seconds, sending, uncertain, dead, handoffs, answered_conversations, cost_usd}];
--   ages in seconds, null when there is nothing; answered_conversations and cost_usd of the last 24 hours.
create function metrics_snapshot(p_now timestamptz default null) returns jsonb language sql stable as $$
  with inbound as (
    select tenant_id, count(*) as n, extract(epoch from clock(p_now) - min(created_at)) as age from messages where direction = 'in' and status = 'received' group by tenant_id
  ), outbound as (
    select tenant_id, count(*) filter (where status = 'queued') as queued, extract(epoch from clock(p_now) - min(due_at) filter (where status = 'queued' and due_at <= clock(p_now))) as age,
      count(*) filter (where status = 'sending') as sending, count(*) filter (where status = 'uncertain') as uncertain
    from messages where direction = 'out' and status in ('queued', 'sending', 'uncertain') group by tenant_id
  ), dead as (
    select tenant_id, count(*) as n from messages where direction = 'out' and status in ('failed', 'unproven') group by tenant_id
  ), people as (
    select tenant_id, count(*) as n from handoffs where status <> 'returned' group by tenant_id
  ), day as (
    select tenant_id, count(distinct conversation_id) filter (where status = 'committed') as answered, sum(cost_usd) as cost
    from turns where started_at > (select clock(p_now)) - interval '24 hours' group by tenant_id -- asked once: an index is of no use to what changes from row to row
  )
  select coalesce(jsonb_agg(jsonb_build_object('tenant', t.id, 'unanswered', coalesce(inbound.n, 0), 'unanswered_seconds', inbound.age,
    'queued', coalesce(outbound.queued, 0), 'queued_seconds', outbound.age, 'sending', coalesce(outbound.sending, 0), 'uncertain', coalesce(outbound.uncertain, 0),
    'dead', coalesce(dead.n, 0), 'handoffs', coalesce(people.n, 0), 'answered_conversations', coalesce(day.answered, 0), 'cost_usd', coalesce(day.cost, 0)) order by t.id), '[]')
  from tenants t left join inbound on inbound.tenant_id = t.id left join outbound on outbound.tenant_id = t.id left join dead on dead.tenant_id = t.id
    left join people on people.tenant_id = t.id left join day on day.tenant_id = t.id
$$;

-- list_audit: who did what, the newest first; p_before is the id to go on from. Read only.
-- Result: [{id, at, actor, action, subject, details}].
create function list_audit(p_tenant text, p_limit int, p_before bigint default null) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(to_jsonb(a) order by a.id desc), '[]') from (
    select id, created_at as at, actor, action, subject, details from audit_log
    where tenant_id = p_tenant and (p_before is null or id < p_before) order by id desc limit p_limit) a
$$;

-- date_audit: what is added to the audit is of now, whatever date it names, unless its owner adds it (a restore, a test).
create function date_audit() returns trigger language plpgsql as $$
begin
  if not pg_has_role(current_user, (select relowner from pg_class where oid = tg_relid), 'member') then new.created_at := clock_timestamp(); end if;
  return new;
end $$;
create trigger audit_log_date before insert on audit_log for each row execute function date_audit();

-- purge_audit: the one way out of the audit: at most p_limit of its oldest rows that are older than p_before, and never younger than 30 days by the
-- clock of the database. Runs with the rights of its owner, because the application itself may not delete here. Result: how many went.
create function purge_audit(p_before timestamptz, p_limit int) returns int language plpgsql security definer as $$
declare v_n int;
begin
  delete from audit_log where id in (select id from audit_log where created_at < least(p_before, now() - interval '30 days') and p_before is not null order by created_at limit p_limit);
  get diagnostics v_n = row_count;
  return v_n;
end $$;
