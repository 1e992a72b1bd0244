-- Money: what was spent, what is reserved, and what may still be. One ledger for the model and for all that has a price
-- beside it. Days and months are those of UTC, as on the provider's bill.

-- spend_day: the day that money is counted in.
create or replace function spend_day(p_at timestamptz) returns date language sql immutable as
$$ select (p_at at time zone 'UTC')::date $$;

-- add_spend: money was spent. Each connection adds to rows of its own, so that nobody waits here for anybody.
-- Arguments: p_kind what for: 'model', 'audio', ...; p_instance the number, null: none; p_usd US dollars; p_calls how
--   many calls; p_unpriced how many of them have no price; p_units what the kind is measured in (audio: seconds), 0:
--   nothing.
-- Concurrency: any.
create or replace function add_spend(p_tenant text, p_kind text, p_instance bigint, p_usd numeric, p_calls int,
  p_unpriced int, p_units numeric, p_now timestamptz)
returns void language sql as $$
  insert into spend_days as s (tenant_id, day, kind, instance_id, backend, usd, calls, unpriced, units)
    values (p_tenant, spend_day(p_now), p_kind, coalesce(p_instance, 0), pg_backend_pid(), coalesce(p_usd, 0), p_calls,
      p_unpriced, p_units)
    on conflict (tenant_id, day, kind, instance_id, backend) do update set usd = s.usd + excluded.usd,
      calls = s.calls + excluded.calls, unpriced = s.unpriced + excluded.unpriced, units = s.units + excluded.units
$$;

-- lock_spend: who reserves money of a tenant waits for who is reserving it. Asked only where there is a ceiling.
create or replace function lock_spend(p_tenant text) returns void language plpgsql
set search_path = public, pg_temp as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('spend ' || p_tenant, 17));
end $$;

-- spend_room: what may still be spent: the least that the ceilings leave of what was spent and is reserved.
-- Guarantee: in the hands of who holds lock_spend, spent and reserved together never come above a ceiling: what is
--   settled changes from reserved to spent in one transaction, and to no more than was reserved.
-- Arguments: p_spend {contactDay, day, month}: US dollars, null or missing: none; p_contact null: that ceiling is not
--   asked; p_taken {tenant, 'contact ID': US dollars} is promised beside by the caller. Of a contact the turns count,
--   by when they began. Read only. Result: {room: null where there is no ceiling, ceiling: 'contact_day' | 'day' |
--   'month', the one that leaves least}.
create or replace function spend_room(
  p_tenant text, p_contact bigint, p_spend jsonb, p_taken jsonb, p_now timestamptz
) returns table (room numeric, ceiling text) language sql stable set search_path = public, pg_temp as $$
  with reserved as (select coalesce(sum(usd), 0) as all_usd, coalesce(sum(usd) filter (where contact_id = p_contact), 0)
      as contact_usd from spend_reservations where tenant_id = p_tenant),
    spent as (select coalesce(sum(usd), 0) as month_usd, coalesce(sum(usd) filter (where day = spend_day(p_now)), 0)
      as day_usd from spend_days where tenant_id = p_tenant
        and day >= date_trunc('month', spend_day(p_now)::timestamp)::date),
    rooms as (
      select (p_spend ->> 'contactDay')::numeric - r.contact_usd
          - coalesce((p_taken ->> ('contact ' || p_contact))::numeric, 0) - (select coalesce(sum(t.cost_usd), 0)
          from conversations c join turns t on t.conversation_id = c.id where c.contact_id = p_contact
            and t.started_at >= spend_day(p_now)::timestamp at time zone 'UTC') as room, 'contact_day' as ceiling,
          1 as n
        from reserved r where p_contact is not null and p_spend ->> 'contactDay' is not null
      union all select (p_spend ->> 'day')::numeric - r.all_usd - s.day_usd
        - coalesce((p_taken ->> p_tenant)::numeric, 0), 'day', 2 from reserved r, spent s
        where p_spend ->> 'day' is not null
      union all select (p_spend ->> 'month')::numeric - r.all_usd - s.month_usd
        - coalesce((p_taken ->> p_tenant)::numeric, 0), 'month', 3 from reserved r, spent s
        where p_spend ->> 'month' is not null)
  select room, ceiling from rooms order by room, n limit 1
$$;

-- reserve_turns: the worst case of the first call of each of these conversations' turns, with the model that most
-- turns use. What a call needs beyond that is asked for by reserve_spend, before it is made.
-- Arguments: p_spend {contactDay, day, month: see spend_room; model: of an agent that names none; models: {name: {byte,
--   call}}: US dollars for each byte of what is read, and for what each call has anyway; a model that is not there has
--   no price}.
-- Concurrency: part of claim_turns, which holds the conversations' locks; takes lock_spend of their tenants, in order.
-- Result: {conversation: {usd, model} | {refused: a ceiling, or 'unpriced'; told: its contact has heard of that within
--   a day}}.
create or replace function reserve_turns(p_ids bigint[], p_spend jsonb, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_all jsonb := '{}'; v_turn record; v_room numeric; v_ceiling text; v_usd numeric;
  v_contact text;
  v_taken jsonb := '{}';  -- what this call has reserved, see spend_room
begin
  for v_turn in select c.id, c.tenant_id, c.contact_id, coalesce(a.model, p_spend ->> 'model') as model,
        coalesce(p_spend -> 'models' -> coalesce(a.model, p_spend ->> 'model'),
          p_spend -> 'models' -> regexp_replace(coalesce(a.model, p_spend ->> 'model'), '-\d{8}$', '')) as rate,
        coalesce(octet_length(concat(a.instructions, a.tone, a.promises)), 0) + k.bytes as bytes
      from conversations c join instances i on i.id = c.instance_id cross join lateral agent_of(i) a
        cross join lateral (select coalesce(sum(octet_length(m.text) + 200), 0)
            + (select coalesce(sum(octet_length(f.fact) + 100), 0) from contact_facts f
              where f.contact_id = c.contact_id) + coalesce(octet_length(summary_of(c)), 0) as bytes
          from messages m where m.conversation_id = c.id and m.seq > greatest(0, (c.last_seq / 40 - 2) * 40)) k
      where c.id = any (p_ids) and exists (select from inbox x where x.conversation_id = c.id)
        and coalesce(silenced_by(c, p_now), 'observe') = 'observe'
      order by c.tenant_id, c.id
  loop
    if not v_taken ? v_turn.tenant_id then
      perform lock_spend(v_turn.tenant_id);
      v_taken := v_taken || jsonb_build_object(v_turn.tenant_id, 0);
    end if;
    v_contact := 'contact ' || v_turn.contact_id;
    v_usd := (v_turn.rate ->> 'call')::numeric + (v_turn.rate ->> 'byte')::numeric * v_turn.bytes;
    select r.room, r.ceiling into v_room, v_ceiling
      from spend_room(v_turn.tenant_id, v_turn.contact_id, p_spend, v_taken, p_now) r;
    if v_usd is null then
      v_ceiling := 'unpriced';
    elsif v_room >= v_usd then
      v_taken := v_taken || jsonb_build_object(v_turn.tenant_id, (v_taken ->> v_turn.tenant_id)::numeric + v_usd,
        v_contact, coalesce((v_taken ->> v_contact)::numeric, 0) + v_usd);
      v_all := v_all || jsonb_build_object(v_turn.id, jsonb_build_object('usd', v_usd, 'model', v_turn.model));
      continue;
    end if;
    perform tell_of_ceiling(v_turn.tenant_id, v_ceiling, 'person', v_turn.model, p_now);
    v_all := v_all || jsonb_build_object(v_turn.id, jsonb_build_object('refused', v_ceiling, 'told', exists (select
      from turns t where t.conversation_id = v_turn.id and t.started_at > p_now - interval '1 day'
        and t.reason like 'spend\_%' and t.status = 'committed')));
  end loop;
  return v_all;
end $$;

-- reserve_spend: a turn needs more than is reserved for it: another call, a dearer model.
-- Guarantee: what is reserved and spent stays within every ceiling; a turn that is not open any more gets nothing.
-- Arguments: p_usd how much more; p_model what is to be asked; p_spend see spend_room.
-- Concurrency: takes lock_spend of the tenant. Result: {refused: null, or a ceiling; 'lost': the turn is not open}.
create or replace function reserve_spend(p_turn bigint, p_fence bigint, p_usd numeric, p_model text, p_spend jsonb,
  p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_turn record; v_room numeric; v_ceiling text;
begin
  select t.id, t.tenant_id, c.contact_id, c.instance_id into v_turn from turns t
    join conversations c on c.id = t.conversation_id where t.id = p_turn and t.fence = p_fence and t.status = 'open';
  if not found then return jsonb_build_object('refused', 'lost'); end if;
  perform lock_spend(v_turn.tenant_id);
  select r.room, r.ceiling into v_room, v_ceiling
    from spend_room(v_turn.tenant_id, v_turn.contact_id, p_spend, '{}', clock(p_now)) r;
  if v_room < p_usd then
    perform tell_of_ceiling(v_turn.tenant_id, v_ceiling, 'model', p_model, clock(p_now));
    return jsonb_build_object('refused', v_ceiling);
  end if;
  -- one that was ended meanwhile has settled its row, and must get none again
  insert into spend_reservations as s (turn_id, tenant_id, contact_id, instance_id, model, usd, created_at)
    select t.id, t.tenant_id, v_turn.contact_id, v_turn.instance_id, p_model, p_usd, clock(p_now) from turns t
      where t.id = p_turn and t.fence = p_fence and t.status = 'open' for share of t
    on conflict (turn_id) do update set usd = s.usd + excluded.usd, model = excluded.model;
  return jsonb_build_object('refused', case when not found then 'lost' end);
end $$;

-- tell_of_ceiling: people hear once a period what a ceiling of a tenant has changed: a dearer model is not asked any
-- more, or none is and people go on. What a contact has used up is told by its handoff.
-- Arguments: p_rung 'model' | 'person'. Concurrency: any.
create or replace function tell_of_ceiling(p_tenant text, p_ceiling text, p_rung text, p_model text,
  p_now timestamptz)
returns void language sql as $$
  select add_notice(jsonb_build_object('tenant', p_tenant, 'key', 'spend-' || p_ceiling || '-' || p_rung || '-'
      || case when p_rung = 'model' or p_ceiling = 'unpriced' then p_model || '-' else '' end
      || to_char(p_now at time zone 'UTC', case p_ceiling when 'month' then 'YYYY-MM' else 'YYYY-MM-DD' end),
    'kind', 'alert', 'urgent', p_rung = 'person', 'about', null, 'text', case
      when p_ceiling = 'unpriced' then 'O modelo ' || p_model || ' não tem preço conhecido e há um teto de gasto, então ele não é consultado: as conversas ficam para pessoas. Escolha um modelo com preço (npm run admin -- doctor), ou tire o teto.'
      when p_rung = 'model' then 'O teto de gasto ' || n.of || ' não tem mais lugar para o modelo ' || p_model
        || ': só o mais barato responde.'
      else 'O teto de gasto ' || n.of || ' foi atingido: nenhum modelo é consultado até ' || n.period
        || ' virar (UTC), e as conversas ficam para pessoas. Veja npm run admin -- spend.' end), p_now)
    from (select case p_ceiling when 'day' then 'do dia (MAX_USD_DIA)' else 'do mês (MAX_USD_MES)' end as of,
      case p_ceiling when 'day' then 'o dia' else 'o mês' end as period) n
    where p_ceiling in ('day', 'month', 'unpriced')
$$;

-- settle_lost: a turn that nobody works at any more gives its reservation back. Its worker can tell no more what it has
-- paid for, and the provider bills what was begun, so all of it counts as spent: the ledger never says less than the
-- bill. Should the worker live, and tell later, its figures take the place of that (record_model_calls).
-- Concurrency: the caller holds the conversation's lock.
create or replace function settle_lost(p_turn turns, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v_lost spend_reservations;
begin
  delete from spend_reservations where turn_id = p_turn.id returning * into v_lost;
  if v_lost.turn_id is null then return; end if;
  insert into model_calls (tenant_id, turn_id, model, outcome, ms, cost_usd, estimated)
    values (p_turn.tenant_id, p_turn.id, v_lost.model, 'worker_lost', 0, v_lost.usd, true);
  update turns set cost_usd = cost_usd + v_lost.usd where id = p_turn.id;
  perform add_spend(p_turn.tenant_id, 'model', v_lost.instance_id, v_lost.usd, 1, 0, 0, p_now);
end $$;

-- reserve_media: the worst case of reading a file, before anybody is asked to. What a dead reader had reserved for it
-- counts as spent. The ceiling of a contact is not asked: a file is anybody's.
-- Arguments: p_usd null: the model has no price; p_spend see spend_room. Concurrency: the caller holds the file's row;
-- takes lock_spend of the tenant. Result: null: it is reserved, or which ceiling has no room, or 'unpriced'.
create or replace function reserve_media(p_media media, p_usd numeric, p_model text, p_spend jsonb, p_now timestamptz)
returns text language plpgsql set search_path = public, pg_temp as $$
declare v_room numeric; v_ceiling text;
begin
  if p_usd is null then return 'unpriced'; end if;
  perform lock_spend(p_media.tenant_id);
  perform settle_lost_media(p_media.id, p_now);
  select r.room, r.ceiling into v_room, v_ceiling from spend_room(p_media.tenant_id, null, p_spend, '{}', p_now) r;
  if v_room < p_usd then return v_ceiling; end if;
  insert into spend_reservations (media_id, tenant_id, model, usd, created_at)
    values (p_media.id, p_media.tenant_id, p_model, p_usd, p_now);
  return null;
end $$;

-- settle_lost_media: as settle_lost, of a file whose reader is dead. Concurrency: the caller holds the file's row, or
-- its reader's lease is over.
create or replace function settle_lost_media(p_media bigint, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v_lost spend_reservations;
begin
  delete from spend_reservations where media_id = p_media returning * into v_lost;
  if v_lost.media_id is null then return; end if;
  insert into model_calls (tenant_id, media_id, model, outcome, ms, cost_usd, estimated)
    values (v_lost.tenant_id, p_media, v_lost.model, 'worker_lost', 0, v_lost.usd, true);
  perform add_spend(v_lost.tenant_id, 'files', null, v_lost.usd, 1, 0, 0, p_now);
end $$;

-- settle_lost_summary: as settle_lost, of a summary whose maker is dead.
-- Concurrency: the caller holds the conversation's lock.
create or replace function settle_lost_summary(p_summary summaries, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v_lost spend_reservations;
begin
  delete from spend_reservations where summary_id = p_summary.id returning * into v_lost;
  if v_lost.summary_id is null then return; end if;
  perform pay_summary(p_summary.conversation_id, jsonb_build_array(jsonb_build_object('model', v_lost.model,
    'outcome', 'worker_lost', 'ms', 0, 'cost_usd', v_lost.usd, 'estimated', true)), p_now);
end $$;

-- tend_spend: what a dead worker has reserved is settled also where nobody asks for the conversation again (a pause),
-- and the rows of a day that is over become one for each kind and number.
-- Concurrency: any; locks each conversation in turn. Result: {settled}.
create or replace function tend_spend(p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v_id bigint; v_turn turns; v_summary summaries; v_count int := 0;
begin
  for v_id in select t.conversation_id from spend_reservations r join turns t on t.id = r.turn_id
    where t.lease_until <= v_now order by 1 limit 100 loop
    perform 1 from conversations where id = v_id for no key update;
    for v_turn in select t.* from spend_reservations r join turns t on t.id = r.turn_id
      where t.conversation_id = v_id and t.lease_until <= v_now loop
      -- one that an erasure or a merge has ended waits for a worker that may be dead
      if v_turn.status = 'open' then perform expire_turn(v_turn, v_now);
      else perform settle_lost(v_turn, v_now); end if;
      v_count := v_count + 1;
    end loop;
  end loop;
  for v_id in select m.id from spend_reservations r join media m on m.id = r.media_id
    where coalesce(m.lease_until <= v_now, true) order by m.id limit 100 for update of m skip locked loop
    perform settle_lost_media(v_id, v_now);
    v_count := v_count + 1;
  end loop;
  for v_id in select s.conversation_id from spend_reservations r join summaries s on s.id = r.summary_id
    where coalesce(s.lease_until <= v_now, true) order by 1 limit 100 loop
    perform 1 from conversations where id = v_id for no key update;
    select s.* into v_summary from spend_reservations r join summaries s on s.id = r.summary_id
      where s.conversation_id = v_id and coalesce(s.lease_until <= v_now, true) limit 1;
    continue when not found;
    perform settle_lost_summary(v_summary, v_now);
    v_count := v_count + 1;
  end loop;
  if exists (select from spend_days where day < spend_day(v_now) - 1 and backend <> 0) then
    with gone as (delete from spend_days where day < spend_day(v_now) - 1 and backend <> 0 returning *)
    insert into spend_days as s (tenant_id, day, kind, instance_id, backend, usd, calls, unpriced, units)
      select tenant_id, day, kind, instance_id, 0, sum(usd), sum(calls), sum(unpriced), sum(units) from gone
        group by 1, 2, 3, 4
      on conflict (tenant_id, day, kind, instance_id, backend) do update set usd = s.usd + excluded.usd,
        calls = s.calls + excluded.calls, unpriced = s.unpriced + excluded.unpriced, units = s.units + excluded.units;
  end if;
  return jsonb_build_object('settled', v_count);
end $$;

-- spend_report: what a tenant has spent. Read only.
-- Result: {now, day, month: US dollars, unpriced calls of the month, reserved now, days [{day, usd}] of the 31 before
--   today, kinds [{kind, day, month, calls, units}], numbers [{number: null: of none, day, month}]}.
create or replace function spend_report(p_tenant text, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  with days as (select s.*, s.day = spend_day(clock(p_now)) as today,
      s.day >= date_trunc('month', spend_day(clock(p_now))::timestamp)::date as this_month from spend_days s
      where s.tenant_id = p_tenant and s.day >= spend_day(clock(p_now)) - 31)
  select jsonb_build_object('now', clock(p_now),
    'day', (select coalesce(sum(usd) filter (where today), 0) from days),
    'month', (select coalesce(sum(usd) filter (where this_month), 0) from days),
    'unpriced', (select coalesce(sum(unpriced) filter (where this_month), 0) from days),
    'reserved', (select coalesce(sum(usd), 0) from spend_reservations where tenant_id = p_tenant),
    'days', (select coalesce(jsonb_agg(jsonb_build_object('day', d.day, 'usd', d.usd) order by d.day), '[]')
      from (select day, sum(usd) as usd from days where not today group by day) d),
    'kinds', (select coalesce(jsonb_agg(to_jsonb(k) order by k.kind), '[]') from (select kind,
        coalesce(sum(usd) filter (where today), 0) as day, coalesce(sum(usd) filter (where this_month), 0) as month,
        coalesce(sum(calls) filter (where this_month), 0) as calls,
        coalesce(sum(units) filter (where this_month), 0) as units from days group by kind) k),
    'numbers', (select coalesce(jsonb_agg(to_jsonb(n) order by n.month desc, n.number), '[]') from (
      select i.name as number,
        coalesce(sum(d.usd) filter (where d.today), 0) as day,
        coalesce(sum(d.usd) filter (where d.this_month), 0) as month
      from days d left join instances i on i.id = d.instance_id group by i.name) n))
$$;

-- spend_sums: of every tenant that has spent something this month: what, with what is reserved now. Read only.
-- Result: [{tenant, day, month}], US dollars.
create or replace function spend_sums(p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(to_jsonb(s) order by s.tenant), '[]') from (
    select d.tenant_id as tenant, r.usd + coalesce(sum(d.usd) filter (where d.day = spend_day(clock(p_now))), 0) as day,
      r.usd + sum(d.usd) as month
    from spend_days d cross join lateral (select coalesce(sum(usd), 0) as usd from spend_reservations
      where tenant_id = d.tenant_id) r
    where d.day >= date_trunc('month', spend_day(clock(p_now))::timestamp)::date group by d.tenant_id, r.usd) s
$$;

revoke all on function
  spend_day(timestamptz),
  add_spend(text, text, bigint, numeric, int, int, numeric, timestamptz),
  lock_spend(text),
  spend_room(text, bigint, jsonb, jsonb, timestamptz),
  reserve_turns(bigint[], jsonb, timestamptz),
  reserve_spend(bigint, bigint, numeric, text, jsonb, timestamptz),
  tell_of_ceiling(text, text, text, text, timestamptz),
  settle_lost(turns, timestamptz),
  reserve_media(media, numeric, text, jsonb, timestamptz),
  settle_lost_media(bigint, timestamptz),
  settle_lost_summary(summaries, timestamptz),
  tend_spend(timestamptz),
  spend_report(text, timestamptz),
  spend_sums(timestamptz)
  from public, anon, authenticated;
grant execute on function
  spend_day(timestamptz),
  add_spend(text, text, bigint, numeric, int, int, numeric, timestamptz),
  lock_spend(text),
  spend_room(text, bigint, jsonb, jsonb, timestamptz),
  reserve_turns(bigint[], jsonb, timestamptz),
  reserve_spend(bigint, bigint, numeric, text, jsonb, timestamptz),
  tell_of_ceiling(text, text, text, text, timestamptz),
  settle_lost(turns, timestamptz),
  reserve_media(media, numeric, text, jsonb, timestamptz),
  settle_lost_media(bigint, timestamptz),
  settle_lost_summary(summaries, timestamptz),
  tend_spend(timestamptz),
  spend_report(text, timestamptz),
  spend_sums(timestamptz)
  to service_role, whats_agents_runtime;
