-- Reports: what happened in a span of time, kept day by day, and what the daily jobs tidy up.

-- The figures of each day that is over, as report_figures gave them: they outlive the rows that they count.
create table daily_counts (
  tenant_id  text not null references tenants (id),
  day        date not null,                        -- in the zone of the installation
  counts     jsonb not null,
  primary key (tenant_id, day)
);

-- How each number ended its day.
create table number_days (
  tenant_id    text not null references tenants (id),
  instance_id  bigint not null references instances (id),
  day          date not null,
  figures      jsonb not null,
  primary key (instance_id, day)
);
create index number_days_tenant on number_days (tenant_id);

-- report_figures: what happened from p_from to before p_to, and what waits now. Read only; bounded by block range indexes on the time of messages and turns.
-- Result: {received, conversations, new_contacts, answered, handed_over, failed_turns, sent {kind: n}, failed, reply_seconds_median, reply_seconds_p95: from the first
--   message of a burst to its answer, debounce and typing included; opt_outs, tokens, cost_usd, unpriced_calls, unanswered, with_people: now}.
create function report_figures(p_tenant text, p_from timestamptz, p_to timestamptz) returns jsonb language sql stable as $$
  with inbound as (
    select * from messages where created_at >= p_from and created_at < p_to and direction = 'in' and tenant_id = p_tenant and type <> 'reaction'
  ), outbound as (
    select * from messages where created_at >= p_from and created_at < p_to and direction = 'out' and kind is not null and tenant_id = p_tenant
  ), done as (
    select * from turns where started_at >= p_from and started_at < p_to and tenant_id = p_tenant
  ), replies as (
    select extract(epoch from o.slot_at - (select min(i.created_at) from messages i where i.turn_id = o.turn_id and i.direction = 'in')) as seconds
    from outbound o where o.kind = 'reply' and o.part <= 1 and o.status in ('sent', 'delivered', 'read')
  )
  select jsonb_build_object(
    'received', (select count(*) from inbound), 'conversations', (select count(distinct conversation_id) from inbound),
    'new_contacts', (select count(*) from contacts where created_at >= p_from and created_at < p_to and tenant_id = p_tenant and merged_into is null),
    'answered', (select count(*) from done where status = 'committed'), 'handed_over', (select count(*) from done where status = 'handed_over'),
    'failed_turns', (select count(*) from done where status in ('failed', 'expired')),
    'sent', (select coalesce(jsonb_object_agg(kind, n), '{}') from (select kind, count(*) as n from outbound where status in ('sent', 'delivered', 'read') group by kind) k),
    'failed', (select count(*) from outbound where status = 'failed'),
    'reply_seconds_median', (select percentile_cont(0.5) within group (order by seconds) from replies),
    'reply_seconds_p95', (select percentile_cont(0.95) within group (order by seconds) from replies),
    'opt_outs', (select count(*) from opt_outs where created_at >= p_from and created_at < p_to and tenant_id = p_tenant),
    'tokens', (select coalesce(sum(input_tokens + output_tokens + cache_read_tokens + cache_write_tokens), 0) from done), 'cost_usd', (select coalesce(sum(cost_usd), 0) from done),
    'unpriced_calls', (select coalesce(sum(unpriced_calls), 0) from done),
    'unanswered', (select count(*) from messages where direction = 'in' and status = 'received' and tenant_id = p_tenant),
    'with_people', (select count(*) from handoffs where status <> 'returned' and tenant_id = p_tenant))
$$;

-- count_days: the figures of the days that are over and not counted yet, a week back at most. Safe to repeat; a day that was counted stays as it is.
-- Arguments: p_tz the zone whose days are meant. Result: {counted: rows}.
create function count_days(p_tz text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_today date := (clock(p_now) at time zone p_tz)::date; v_n int;
begin
  insert into daily_counts (tenant_id, day, counts)
    select t.id, d.day, report_figures(t.id, d.day::timestamp at time zone p_tz, (d.day + 1)::timestamp at time zone p_tz)
    from tenants t cross join (select v_today - n as day from generate_series(1, 7) n) d
    where (d.day + 1)::timestamp at time zone p_tz > t.created_at and not exists (select from daily_counts c where c.tenant_id = t.id and c.day = d.day)
    on conflict (tenant_id, day) do nothing;
  get diagnostics v_n = row_count;
  return jsonb_build_object('counted', v_n);
end $$;

-- snapshot_numbers: how each number is, as the figures of this day; a later look on the same day replaces it. Result: {numbers: rows}.
create function snapshot_numbers(p_tz text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_day date := (clock(p_now) at time zone p_tz)::date; v_from timestamptz := v_day::timestamp at time zone p_tz; v_n int;
begin
  insert into number_days (tenant_id, instance_id, day, figures)
    select i.tenant_id, i.id, v_day, jsonb_build_object('status', i.status, 'phase', i.phase, 'trust', trust_now(i, clock(p_now)), 'held_reason', i.held_reason,
        'sent', s.sent, 'delivered', s.delivered, 'failed', (select count(*) from messages m where m.instance_id = i.id and m.created_at >= v_from and m.direction = 'out' and m.status = 'failed'))
    from instances i, lateral (select count(*) filter (where d.status in ('sent', 'delivered', 'read')) as sent, count(d.delivered_at) as delivered from (
      -- two halves, each on its index
      select status, delivered_at from messages where instance_id = i.id and slot_at >= v_from and kind in ('reply', 'handoff')
      union all select status, delivered_at from messages where instance_id = i.id and slot_at >= v_from and kind not in ('reply', 'handoff')) d) s
    on conflict (instance_id, day) do update set figures = excluded.figures;
  get diagnostics v_n = row_count;
  return jsonb_build_object('numbers', v_n);
end $$;

-- due_follow_ups: lanes with a follow-up whose time has come, for the look of each morning. Paused ones are left out. Read only. Result: [conversation id].
create function due_follow_ups(p_limit int, p_now timestamptz default null) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(id), '[]') from (
    select m.conversation_id as id from messages m join conversations c on c.id = m.conversation_id join instances i on i.id = c.instance_id
    where m.direction = 'out' and m.status = 'queued' and m.kind = 'follow_up' and m.due_at <= clock(p_now) and c.merged_into is null
      and pause_reason(c.tenant_id, i.name, c.id, m.campaign_id) is null
    group by m.conversation_id order by min(m.id) limit p_limit) s
$$;

-- expire_held: ends what can end by itself: messages whose deadline passed while their lane was paused, and takeovers that are over by a day (they
--   hold nobody; the row says so again). Pauses never end by themselves, and nothing here touches julia_status.
-- Concurrency: any; what somebody has locked is left for the next time. Result: {messages, takeovers}.
create function expire_held(p_limit int, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_messages int; v_takeovers int;
begin
  update messages set status = 'expired', reason = 'expired', goes_at = null, lease_until = null where id in (
    select id from messages where direction = 'out' and status = 'queued' and expires_at <= clock(p_now) order by id limit p_limit for update skip locked) and status = 'queued';
  get diagnostics v_messages = row_count;
  update conversations set takeover_since = null, takeover_until = null where id in (
    select id from conversations where takeover_until < clock(p_now) - interval '1 day' order by id limit p_limit for no key update skip locked);
  get diagnostics v_takeovers = row_count;
  return jsonb_build_object('messages', v_messages, 'takeovers', v_takeovers);
end $$;
