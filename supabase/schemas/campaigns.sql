-- Offers to many: who is chosen, in which words, how far it is and what came of it; tags and lists of contacts.

-- tag_contacts: gives contacts of a tenant tags, or takes them. Audited. Arguments: p_phones canonical digits.
-- Result: {changed: rows added or taken, unknown: [phone]}.
create or replace function tag_contacts(
  p_tenant text, p_phones jsonb, p_add jsonb, p_remove jsonb, p_actor text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_ids bigint[]; v_unknown jsonb; v_added int; v_taken int;
begin
  select coalesce(array_agg(distinct f.id) filter (where f.id is not null), '{}'),
    coalesce(jsonb_agg(p.phone) filter (where f.id is null), '[]') into v_ids, v_unknown
    from jsonb_array_elements_text(p_phones) p (phone), lateral (select find_contact(p_tenant, null, p.phone) as id) f;
  insert into contact_tags (tenant_id, contact_id, tag, added_by, created_at)
    select p_tenant, i, t, p_actor, clock(p_now) from unnest(v_ids) i, jsonb_array_elements_text(p_add) t
      order by 2, 3 on conflict do nothing;
  get diagnostics v_added = row_count;
  delete from contact_tags where tenant_id = p_tenant and contact_id = any (v_ids)
    and tag in (select jsonb_array_elements_text(p_remove));
  get diagnostics v_taken = row_count;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'contact.tag', cardinality(v_ids)::text,
      jsonb_build_object('add', p_add, 'remove', p_remove), clock(p_now));
  return jsonb_build_object('changed', v_added + v_taken, 'unknown', v_unknown);
end $$;

-- import_contacts: contacts of a list, made where they are not known, with these tags. A name is kept where the contact
-- has none. Nothing is sent.
-- Arguments: p_rows [{phone: canonical digits, name: or null, tags: [..]}] each phone once, a few hundred at most;
--   p_instance the number under which they are known; null: the tenant's first. p_first whether it is the first part of
--   a list: that is audited. Errors: WA001 the tenant has no such number.
-- Concurrency: any; see ensure_contact. Result: [{phone, outcome: 'added' | 'known' | 'opted_out'}].
create or replace function import_contacts(
  p_tenant text, p_instance text, p_rows jsonb, p_tags jsonb, p_actor text, p_first boolean,
  p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_instance instances; v_row jsonb; v_id bigint; v_known boolean; v_out jsonb := '[]';
begin
  select * into v_instance from instances where tenant_id = p_tenant and (p_instance is null or name = p_instance)
    order by id limit 1;
  if not found then raise exception 'unknown instance' using errcode = 'WA001'; end if;
  -- one order for all, so that two lists at once never wait for each other
  for v_row in select r from jsonb_array_elements(p_rows) r order by r ->> 'phone' loop
    v_known := find_contact(p_tenant, null, v_row ->> 'phone') is not null;
    v_id := ensure_contact(v_instance, v_row ->> 'phone', null, v_row ->> 'name');
    if v_row ->> 'name' is not null then
      update contacts set name = v_row ->> 'name' where id = v_id and name is null;
    end if;
    insert into contact_tags (tenant_id, contact_id, tag, added_by, created_at)
      select p_tenant, v_id, t, p_actor, clock(p_now) from (select jsonb_array_elements_text(p_tags) union
        select jsonb_array_elements_text(coalesce(v_row -> 'tags', '[]'))) x (t) order by 3 on conflict do nothing;
    v_out := v_out || jsonb_build_object('phone', v_row ->> 'phone', 'outcome', case
      when exists (select from standing_opt_out(v_id)) then 'opted_out' when v_known then 'known' else 'added' end);
  end loop;
  if p_first then
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (p_tenant, p_actor, 'contact.import', null, jsonb_build_object('tags', p_tags), clock(p_now));
  end if;
  return v_out;
end $$;

-- show_contact: what is known of a phone, for who asks before writing to it. Null: nobody. Read only.
create or replace function show_contact(p_tenant text, p_phone text)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('id', c.id, 'name', c.name, 'phones', (select coalesce(jsonb_agg(a.address order by a.id),
      '[]') from contact_addresses a where a.contact_id = c.id and a.kind = 'pn'),
    'tags', (select coalesce(jsonb_agg(t.tag order by t.tag), '[]') from contact_tags t where t.contact_id = c.id),
    'opted_out_at', (select o.created_at from standing_opt_out(c.id) o),
    'wrote_at', (select max(v.last_inbound_at) from conversations v where v.contact_id = c.id),
    'conversations', (select coalesce(jsonb_agg(v.id order by v.id), '[]') from conversations v
      where v.contact_id = c.id and v.merged_into is null),
    'cooling_until', c.cooling_until, 'next_allowed_at', c.next_allowed_at, 'last_campaign_at', last_campaign(c.id))
  from contacts c where c.id = find_contact(p_tenant, null, p_phone)
$$;

-- campaign_row: a campaign as it is shown.
create or replace function campaign_row(p_campaign campaigns)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select to_jsonb(p_campaign) - 'tenant_id' - 'instance_id' - 'judged_from' || jsonb_build_object(
    'instance', (select i.name from instances i where i.id = p_campaign.instance_id),
    -- what holds it beside its own state: a pause of all, of the tenant, of its number, of itself, or the switch
    'held', (select coalesce('paused_' || pause_reason(p_campaign.tenant_id, i.name, null, p_campaign.name),
        case when t.proactive <> 'all' then 'campaigns_off' end)
      from tenants t left join instances i on i.id = p_campaign.instance_id where t.id = p_campaign.tenant_id))
$$;

-- campaign_name: the name of a campaign of a tenant by its id, or null.
create or replace function campaign_name(p_tenant text, p_id bigint)
returns text language sql stable set search_path = public, pg_temp as $$
  select c.name from campaigns c where c.id = p_id and c.tenant_id = p_tenant
$$;

-- create_campaign: a draft. Audited. Arguments: p_campaign {name, text, audience: {tags, not_tags, wrote_days,
--   silent_days}, instance or null}; the caller has checked text and audience. Result: {outcome: 'done', campaign} |
--   {outcome: 'exists' | 'unknown_instance'}. Concurrency: the unique key decides.
create or replace function create_campaign(
  p_tenant text, p_campaign jsonb, p_actor text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v campaigns; v_instance bigint;
begin
  if p_campaign ->> 'instance' is not null then
    select id into v_instance from instances where tenant_id = p_tenant and name = p_campaign ->> 'instance';
    if not found then return jsonb_build_object('outcome', 'unknown_instance'); end if;
  end if;
  insert into campaigns (tenant_id, name, text, audience, instance_id, created_by, created_at)
    values (p_tenant, p_campaign ->> 'name', p_campaign ->> 'text', p_campaign -> 'audience', v_instance, p_actor,
      clock(p_now)) on conflict do nothing returning * into v;
  if v.id is null then return jsonb_build_object('outcome', 'exists'); end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'campaign.create', v.name, jsonb_build_object('audience', v.audience), clock(p_now));
  return jsonb_build_object('outcome', 'done', 'campaign', campaign_row(v));
end $$;

-- campaign_words: the words of a campaign for one person. A name is one short line, and nothing in it is a placeholder.
create or replace function campaign_words(p_text text, p_name text, p_shop text)
returns text language sql immutable set search_path = public, pg_temp as $$
  select replace(replace(replace(p_text, '{loja}', coalesce(p_shop, '')),
    '{primeiro_nome}', coalesce(split_part(n.name, ' ', 1), '')), '{nome}', coalesce(n.name, ''))
  from (select nullif(btrim(regexp_replace(translate(left(p_name, 60), '{}[]', '()()'), '\s+', ' ', 'g')), '')) n (name)
$$;

-- campaign_audience: whom a campaign would go to at this moment, and by which rule somebody gets nothing, or has to
-- wait. The rules are those of first_guard, asked once more when each message leaves.
-- Result: a row a contact: reason null: it goes; later: it goes, but not before that rule lets it. Read only.
create or replace function campaign_audience(p_campaign campaigns, p_policy jsonb, p_now timestamptz)
returns table (contact_id bigint, phone text, name text, reason text, later text)
language sql stable set search_path = public, pg_temp as $$
  with tagged as materialized (
    select find_contact(p_campaign.tenant_id, t.contact_id, null) as id, t.tag from contact_tags t
      where t.tenant_id = p_campaign.tenant_id and (p_campaign.audience -> 'tags' ? t.tag
        or p_campaign.audience -> 'not_tags' ? t.tag)),
  chosen as (
    select c.*, (select a.address from contact_addresses a where a.contact_id = c.id and a.kind = 'pn'
        order by a.refused_at nulls first, a.id limit 1) as phone,
      (select max(v.last_inbound_at) from conversations v where v.contact_id = c.id) as wrote_at
    from contacts c where c.tenant_id = p_campaign.tenant_id and c.merged_into is null and c.erased_at is null
      and (p_campaign.audience -> 'tags' is null or (select count(distinct t.tag) from tagged t where t.id = c.id
        and p_campaign.audience -> 'tags' ? t.tag) = jsonb_array_length(p_campaign.audience -> 'tags'))
      and not exists (select from tagged t where t.id = c.id and p_campaign.audience -> 'not_tags' ? t.tag))
  select c.id, c.phone, c.name,
    case when c.phone is null then 'no_phone'
      when exists (select from standing_opt_out(c.id)) then 'opt_out'
      when not in_allowlist(c.id, p_policy) then 'allowlist'
      when (p_policy ->> 'pilot')::boolean and c.wrote_at is null then 'pilot_mode'
      when unanswered(c.id, (p_policy ->> 'maxUnanswered')::int) >= (p_policy ->> 'maxUnanswered')::int
        then 'campaign_pressure'
      when p_campaign.text ~ '\{(primeiro_)?nome\}' and coalesce(btrim(c.name), '') = '' then 'no_name' end,
    case when c.next_allowed_at > p_now then 'next_allowed' when c.cooling_until > p_now then 'cooling_off'
      when last_campaign(c.id) + make_interval(days => (p_policy ->> 'campaignGapDays')::int) > p_now
        then 'campaign_gap' end
  from chosen c
  where (p_campaign.audience ->> 'wrote_days' is null
      or c.wrote_at > p_now - make_interval(days => (p_campaign.audience ->> 'wrote_days')::int))
    and (p_campaign.audience ->> 'silent_days' is null
      or c.wrote_at <= p_now - make_interval(days => (p_campaign.audience ->> 'silent_days')::int))
$$;

-- send_forecast: when the last of so many campaign messages of a number leaves, if nothing else of it does: under its
-- hours, caps and pace, after what it has sent and what waits already. Null: never (a cap of 0). Read only.
create or replace function send_forecast(p_instance instances, p_count int, p_policy jsonb, p_now timestamptz)
returns timestamptz language plpgsql stable set search_path = public, pg_temp as $$
declare
  v_most constant int := 20000;   -- beyond, it goes on as it did so far
  v_young jsonb := warming_caps(p_instance.phase, p_instance.phase_since, p_now);
  v_hour int := least(coalesce(p_instance.cap_hour, (p_policy ->> 'capHour')::int), (v_young ->> 'hour')::int,
    (p_policy -> 'kindCaps' ->> 'campaign')::int);
  v_day int := least(coalesce(p_instance.cap_day, (p_policy ->> 'capDay')::int), (v_young ->> 'day')::int);
  v_pace interval := make_interval(secs =>
    (coalesce(p_instance.pace_min_seconds, (p_policy ->> 'paceMinSeconds')::numeric)
    + coalesce(p_instance.pace_max_seconds, (p_policy ->> 'paceMaxSeconds')::numeric))::float8 / 2);
  v_hours jsonb := hours_of(p_instance, p_policy);
  v_count int := p_count + (select count(*) from outbox o where o.instance_id = p_instance.id
    and is_proactive(o.kind) and not is_notice(o.kind));
  v_times timestamptz[];
  v_at timestamptz := greatest(p_now, p_instance.next_proactive_at);
  n int;
begin
  if v_hour = 0 or v_day = 0 then return null; end if;
  select coalesce(array_agg(s.slot_at order by s.slot_at), '{}') into v_times from slots s
    where s.instance_id = p_instance.id and not s.reply and not is_notice(s.kind)
      and s.slot_at > p_now - interval '1 day';
  n := cardinality(v_times);
  for i in 1..least(v_count, v_most) loop
    v_at := next_open(v_hours, p_instance.tenant_id, greatest(v_at, v_times[n + 1 - v_hour] + interval '1 hour',
      v_times[n + 1 - v_day] + interval '1 day'));
    n := n + 1;
    v_times[n] := v_at;
    v_at := v_at + v_pace;
  end loop;
  v_at := v_times[n];
  return case when v_count > v_most then v_at + (v_at - p_now) * ((v_count - v_most)::float8 / v_most) else v_at end;
end $$;

-- preview_campaign: what a campaign would do if it began now. Nothing is stored or sent.
-- Arguments: p_policy as claim_send's; p_shop for {loja}; p_default the number when none may be chosen, p_choose
--   whether one may be. Result: {goes, skipped: {rule: count}, later: {rule: count}, samples: [{phone, text}],
--   numbers: [name], last_at: when the last one leaves; null: nobody goes, or never} | null: unknown.
create or replace function preview_campaign(
  p_tenant text, p_name text, p_policy jsonb, p_shop text, p_default text, p_choose boolean,
  p_now timestamptz default null
) returns jsonb language plpgsql stable set search_path = public, pg_temp as $$
declare
  v_now timestamptz := clock(p_now);
  v campaigns;
  v_goes int;
  v_result jsonb;
  v_numbers instances[];
  v_at timestamptz;
begin
  select * into v from campaigns where tenant_id = p_tenant and name = p_name;
  if not found then return null; end if;
  with all_of as materialized (select * from campaign_audience(v, p_policy, v_now)),
    skipped as (select a.reason, count(*) as n from all_of a where a.reason is not null group by 1),
    later as (select a.later, count(*) as n from all_of a where a.reason is null and a.later is not null group by 1)
  select jsonb_build_object('goes', (select count(*) from all_of a where a.reason is null),
    'skipped', (select coalesce(jsonb_object_agg(s.reason, s.n), '{}') from skipped s),
    'later', (select coalesce(jsonb_object_agg(l.later, l.n), '{}') from later l),
    'samples', (select coalesce(jsonb_agg(jsonb_build_object('phone', x.phone, 'text', campaign_words(v.text, x.name,
      p_shop)) order by x.contact_id), '[]') from (select * from all_of a where a.reason is null
      order by a.contact_id limit 3) x)) into v_result;
  v_goes := (v_result ->> 'goes')::int;
  select array_agg(i order by i.id) into v_numbers from instances i where i.tenant_id = p_tenant
    and (i.id = v.instance_id or (v.instance_id is null and p_choose and i.proactive));
  if v_numbers is null then
    select array_agg(i) into v_numbers from instances i where i.tenant_id = p_tenant and i.name = p_default;
  end if;
  if v_goes > 0 and v_numbers is not null then
    select max(send_forecast(i, ceil(v_goes::numeric / cardinality(v_numbers))::int, p_policy, v_now)) into v_at
      from unnest(v_numbers) i;
  end if;
  return v_result || jsonb_build_object('campaign', campaign_row(v), 'last_at', v_at,
    'numbers', (select coalesce(jsonb_agg(i.name), '[]') from unnest(v_numbers) i));
end $$;

-- start_campaign: a draft begins at p_at, or now when that is past or null.
-- Guarantee: who gets it and in which words is settled in this transaction, each person once. Audited.
-- Concurrency: locks the campaign; of two at once the second finds it begun.
-- Result: {outcome: 'done', campaign} | {outcome: 'unknown' | 'state'}.
create or replace function start_campaign(
  p_tenant text, p_name text, p_at timestamptz, p_policy jsonb, p_shop text, p_actor text,
  p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v campaigns;
begin
  select * into v from campaigns where tenant_id = p_tenant and name = p_name for no key update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.status not in ('draft', 'scheduled') then
    return jsonb_build_object('outcome', 'state', 'status', v.status);
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'campaign.start', v.name, jsonb_build_object('at', p_at), v_now);
  if p_at > v_now then
    update campaigns set status = 'scheduled', starts_at = p_at where id = v.id returning * into v;
  else
    v := begin_campaign(v, p_policy, p_shop, v_now);
  end if;
  return jsonb_build_object('outcome', 'done', 'campaign', campaign_row(v));
end $$;

-- begin_campaign: the recipients and their words. Concurrency: the caller holds the campaign's lock.
create or replace function begin_campaign(p_campaign campaigns, p_policy jsonb, p_shop text, p_now timestamptz)
returns campaigns language plpgsql set search_path = public, pg_temp as $$
declare v campaigns;
begin
  insert into campaign_recipients (campaign_id, contact_id, tenant_id, phone, text, status, reason)
    select p_campaign.id, a.contact_id, p_campaign.tenant_id, a.phone,
      case when a.reason is null then campaign_words(p_campaign.text, a.name, p_shop) end,
      case when a.reason is null then 'waiting' else 'skipped' end, a.reason
    from campaign_audience(p_campaign, p_policy, p_now) a;
  update campaigns set status = 'running', started_at = p_now where id = p_campaign.id returning * into v;
  return v;
end $$;

-- judge_campaign: a campaign that people leave, or that does not arrive, pauses by itself, and people are told: more
-- than 2 in 100 opted out, or fewer than 90 in 100 arrived, of the last 50. Those that are missing of 50 count as well
-- received, so a bad beginning is seen at once; one hour is given to a phone that is switched off.
-- Concurrency: the caller holds the campaign's lock. Result: why it stopped, or null.
create or replace function judge_campaign(p_campaign campaigns, p_now timestamptz)
returns text language plpgsql set search_path = public, pg_temp as $$
declare v_out int; v_lost int; v_reason text;
begin
  select count(*) filter (where l.opted_out), count(*) filter (where l.lost) into v_out, v_lost from (
    select exists (select from standing_opt_out(c.contact_id) o where o.created_at >= m.claimed_at) as opted_out,
      m.delivered_at is null and m.status <> 'read'
        and (m.status = 'failed' or m.claimed_at < p_now - interval '1 hour') as lost
    from campaign_recipients r join messages m on m.id = r.message_id join conversations c on c.id = m.conversation_id
    where r.campaign_id = p_campaign.id and r.status = 'queued' and m.claimed_at is not null
      and m.claimed_at >= coalesce(p_campaign.judged_from, '-infinity')
      and m.status in ('sent', 'delivered', 'read', 'failed', 'unproven')
    order by m.claimed_at desc limit 50) l;
  v_reason := case when v_out * 100 > 2 * 50 then 'opt_outs' when v_lost * 100 > 10 * 50 then 'deliveries' end;
  if v_reason is null then return null; end if;
  perform hold_campaign(p_campaign, v_reason, 'campaign', p_now);
  perform add_notice(jsonb_build_object('tenant', p_campaign.tenant_id, 'key',
    'campaign-' || p_campaign.id || '-' || v_reason || '-' || floor(extract(epoch from p_now)), 'kind', 'alert',
    'urgent', true, 'about', null, 'text', 'A campanha ' || p_campaign.name || ' parou sozinha: ' || case v_reason
      when 'opt_outs' then v_out || ' das últimas 50 pessoas pediram para sair.'
      else v_lost || ' das últimas 50 mensagens não chegaram.' end
      || ' Veja o porquê antes de retomar: npm run admin -- campaign resume ' || p_campaign.name), p_now);
  return v_reason;
end $$;

-- hold_campaign: a campaign waits, and so does what it has queued, by the pause that every claim asks for.
-- Concurrency: the caller holds the campaign's lock.
create or replace function hold_campaign(p_campaign campaigns, p_reason text, p_actor text, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
begin
  update campaigns set status = 'paused', reason = p_reason where id = p_campaign.id;
  insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target, created_at)
    values (p_campaign.tenant_id, 'pausado', p_reason, p_actor, 'campaign', p_campaign.name, p_now);
end $$;

-- pause_campaign: nothing of it leaves any more, but what is on the wire. Audited.
-- Result: {outcome: 'done', campaign} | {outcome: 'unknown' | 'state', status}.
create or replace function pause_campaign(
  p_tenant text, p_name text, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v campaigns;
begin
  select * into v from campaigns where tenant_id = p_tenant and name = p_name for no key update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.status not in ('scheduled', 'running') then
    return jsonb_build_object('outcome', 'state', 'status', v.status);
  end if;
  perform hold_campaign(v, null, p_actor, clock(p_now));
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'campaign.pause', v.name, jsonb_build_object('reason', p_reason), clock(p_now));
  select * into v from campaigns where id = v.id;
  return jsonb_build_object('outcome', 'done', 'campaign', campaign_row(v));
end $$;

-- resume_campaign: it goes on where it was; also when it was paused as a campaign by another way. What it sent so far
-- is not held against it any more. Audited. Result: as pause_campaign, and lanes: [conversation to wake].
create or replace function resume_campaign(
  p_tenant text, p_name text, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v campaigns;
begin
  select * into v from campaigns where tenant_id = p_tenant and name = p_name for no key update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.status <> 'paused' and not (v.status in ('scheduled', 'running') and campaign_paused(p_tenant, p_name)) then
    return jsonb_build_object('outcome', 'state', 'status', v.status);
  end if;
  update campaigns set status = case when started_at is null then 'scheduled' else 'running' end, reason = null,
    judged_from = v_now where id = v.id returning * into v;
  insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target, created_at)
    values (p_tenant, 'ativo', p_reason, p_actor, 'campaign', v.name, v_now);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'campaign.resume', v.name, jsonb_build_object('reason', p_reason), v_now);
  return jsonb_build_object('outcome', 'done', 'campaign', campaign_row(v), 'lanes', (select
    coalesce(jsonb_agg(distinct o.conversation_id), '[]') from outbox o where o.tenant_id = p_tenant
      and o.campaign_id = v.name));
end $$;

-- stop_campaign: it ends for good: who waits gets nothing, and what is queued does not leave. Audited.
-- Result: as pause_campaign.
create or replace function stop_campaign(
  p_tenant text, p_name text, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v campaigns;
begin
  select * into v from campaigns where tenant_id = p_tenant and name = p_name for no key update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.status in ('done', 'cancelled') then return jsonb_build_object('outcome', 'state', 'status', v.status); end if;
  update campaign_recipients set status = 'cancelled', reason = 'campaign_stopped'
    where campaign_id = v.id and status = 'waiting';
  update messages set status = 'cancelled', reason = 'campaign_stopped', goes_at = null
    where id in (select o.message_id from outbox o where o.tenant_id = p_tenant and o.campaign_id = v.name
      order by o.message_id) and status = 'queued';
  update campaigns set status = 'cancelled', reason = null, ended_at = v_now where id = v.id returning * into v;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'campaign.stop', v.name, jsonb_build_object('reason', p_reason), v_now);
  return jsonb_build_object('outcome', 'done', 'campaign', campaign_row(v));
end $$;

-- live_campaigns: those that may have something to do. Result: [{id, tenant}]. Read only.
create or replace function live_campaigns() returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'tenant', c.tenant_id) order by c.id), '[]')
    from campaigns c where c.status in ('scheduled', 'running')
$$;

-- queue_recipient: the next recipient of a campaign gets its message.
-- Guarantee: the message and the recipient's state are written together, so nobody is queued twice, over any number of
--   schedulers, kills and restarts; a person who became one with another recipient meanwhile gets one. No more than
--   p_ahead wait in lanes, so a pause, a stop or an opt-out holds all others here.
-- Arguments: p_judge whether to look first at how it goes; p_request {instance: when none is chosen, choose: see
--   enqueue_message, shop: for {loja}}; p_policy as claim_send's. One message a call, so that no two lanes are locked.
-- Concurrency: any; callers of one campaign queue on its row.
-- Result: {outcome: 'queued', lane} | {outcome: 'idle' | 'held' | 'full' | 'done' | 'stopped'}.
create or replace function queue_recipient(
  p_campaign bigint, p_ahead int, p_judge boolean, p_request jsonb, p_policy jsonb, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_now timestamptz := clock(p_now);
  v campaigns;
  v_next campaign_recipients;
  v_one campaign_recipients;   -- the same, once its contact is locked
  v_instance text;
  v_contact bigint;
  v_ahead int;
  v_queued jsonb;
begin
  select * into v from campaigns where id = p_campaign for no key update;
  if not found or v.status not in ('scheduled', 'running') or (v.status = 'scheduled' and v.starts_at > v_now) then
    return jsonb_build_object('outcome', 'idle');
  end if;
  select name into v_instance from instances where id = v.instance_id;
  if pause_reason(v.tenant_id, v_instance, null, v.name) is not null
    or (select t.proactive from tenants t where t.id = v.tenant_id) <> 'all' then
    return jsonb_build_object('outcome', 'held');
  end if;
  if v.status = 'scheduled' then v := begin_campaign(v, p_policy, p_request ->> 'shop', v_now); end if;
  if p_judge and judge_campaign(v, v_now) is not null then return jsonb_build_object('outcome', 'stopped'); end if;
  select count(*) into v_ahead from outbox o where o.tenant_id = v.tenant_id and o.campaign_id = v.name;
  if v_ahead >= p_ahead then return jsonb_build_object('outcome', 'full'); end if;
  loop
    select * into v_next from campaign_recipients where campaign_id = v.id and status = 'waiting'
      order by contact_id limit 1;
    if not found then
      if v_ahead > 0 or exists (select from campaign_recipients r join on_wire w on w.message_id = r.message_id
        where r.campaign_id = v.id) then return jsonb_build_object('outcome', 'full'); end if;
      update campaigns set status = 'done', ended_at = v_now where id = v.id;
      return jsonb_build_object('outcome', 'done');
    end if;
    -- an erasure has the contact first, so it is waited for, and seen
    perform 1 from contacts where id = v_next.contact_id for no key update;
    select * into v_one from campaign_recipients where campaign_id = v.id and contact_id = v_next.contact_id
      and status = 'waiting';
    continue when not found;
    v_contact := find_contact(v.tenant_id, v_next.contact_id, null);
    exit when v_contact = v_next.contact_id or not exists (select from campaign_recipients r where r.campaign_id = v.id
      and r.contact_id = v_contact and r.status in ('waiting', 'queued'));
    update campaign_recipients set status = 'skipped', reason = 'contact_merged' where campaign_id = v.id
      and contact_id = v_next.contact_id;
  end loop;
  v_queued := enqueue_message(jsonb_build_object('tenant', v.tenant_id, 'instance',
    coalesce(v_instance, p_request ->> 'instance'), 'choose', case when v_instance is null then p_request -> 'choose'
    end, 'phone', v_next.phone, 'text', v_next.text, 'kind', 'campaign', 'campaign_id', v.name, 'idempotency_key',
    'campaign/' || v.id || '/' || v_next.contact_id, 'actor', 'campaign'), p_now);
  update campaign_recipients set status = 'queued', message_id = (v_queued ->> 'id')::bigint
    where campaign_id = v.id and contact_id = v_next.contact_id;
  return jsonb_build_object('outcome', 'queued', 'lane', v_queued -> 'conversation_id');
end $$;

-- list_campaigns: the newest first, each with what became of its recipients.
create or replace function list_campaigns(p_tenant text, p_limit int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(campaign_row(c) || jsonb_build_object('outcomes', campaign_outcomes(c.id))
    order by c.id desc), '[]')
    from (select * from campaigns where tenant_id = p_tenant order by id desc limit p_limit) c
$$;

-- campaign_outcomes: how many recipients of a campaign are in each state: those of messages; `waiting`: not queued yet;
-- `skipped`: a rule said no when it began; `gone`: too old to be known.
create or replace function campaign_outcomes(p_campaign bigint)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_object_agg(o.state, o.n), '{}') from (
    select case when r.status = 'queued' then coalesce(m.status, 'gone') else r.status end as state, count(*) as n
      from campaign_recipients r left join messages m on m.id = r.message_id where r.campaign_id = p_campaign
      group by 1) o
$$;

-- campaign_report: a campaign, what became of each recipient and why, and what came of it within seven days of each
-- message. Result: campaign_row and {outcomes, reasons: {state: {reason: count}}, replies, opt_outs, handoffs,
--   cost_usd: of the conversations' turns, first_at, last_at} | null: unknown.
create or replace function campaign_report(p_tenant text, p_name text)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  with c as (select * from campaigns where tenant_id = p_tenant and name = p_name),
  all_of as materialized (select r.contact_id, case when r.status = 'queued' then coalesce(m.status, 'gone')
      else r.status end as state, case when r.status = 'queued' then m.reason else r.reason end as reason,
      m.conversation_id, m.seq, case when m.provider_id is not null then m.claimed_at end as at
    from c join campaign_recipients r on r.campaign_id = c.id left join messages m on m.id = r.message_id),
  reasons as (select a.state, jsonb_object_agg(a.reason, a.n) as of_it from (select x.state, x.reason, count(*) as n
    from all_of x where x.reason is not null group by 1, 2) a group by 1)
  select campaign_row(c) || jsonb_build_object('outcomes', campaign_outcomes(c.id),
    'reasons', (select coalesce(jsonb_object_agg(r.state, r.of_it), '{}') from reasons r),
    'replies', (select count(*) from all_of a where a.at is not null and exists (select from messages i
      where i.conversation_id = a.conversation_id and i.seq > a.seq and i.direction = 'in'
        and i.created_at <= a.at + interval '7 days')),
    'opt_outs', (select count(*) from all_of a where a.at is not null and exists (select from opt_outs o
      where o.contact_id = a.contact_id and o.created_at between a.at and a.at + interval '7 days')),
    'handoffs', (select count(*) from all_of a where a.at is not null and exists (select from handoffs h
      where h.conversation_id = a.conversation_id and h.created_at between a.at and a.at + interval '7 days')),
    'cost_usd', (select coalesce(sum(t.cost_usd), 0) from all_of a join turns t on t.conversation_id = a.conversation_id
      where t.started_at between a.at and a.at + interval '7 days'),
    'first_at', (select min(a.at) from all_of a), 'last_at', (select max(a.at) from all_of a))
  from c
$$;

revoke all on function
  tag_contacts(text, jsonb, jsonb, jsonb, text, timestamptz),
  import_contacts(text, text, jsonb, jsonb, text, boolean, timestamptz),
  show_contact(text, text),
  campaign_row(campaigns),
  campaign_name(text, bigint),
  create_campaign(text, jsonb, text, timestamptz),
  campaign_words(text, text, text),
  campaign_audience(campaigns, jsonb, timestamptz),
  send_forecast(instances, int, jsonb, timestamptz),
  preview_campaign(text, text, jsonb, text, text, boolean, timestamptz),
  start_campaign(text, text, timestamptz, jsonb, text, text, timestamptz),
  begin_campaign(campaigns, jsonb, text, timestamptz),
  judge_campaign(campaigns, timestamptz),
  hold_campaign(campaigns, text, text, timestamptz),
  pause_campaign(text, text, text, text, timestamptz),
  resume_campaign(text, text, text, text, timestamptz),
  stop_campaign(text, text, text, text, timestamptz),
  live_campaigns(),
  queue_recipient(bigint, int, boolean, jsonb, jsonb, timestamptz),
  list_campaigns(text, int),
  campaign_outcomes(bigint),
  campaign_report(text, text)
  from public, anon, authenticated;
grant execute on function
  tag_contacts(text, jsonb, jsonb, jsonb, text, timestamptz),
  import_contacts(text, text, jsonb, jsonb, text, boolean, timestamptz),
  show_contact(text, text),
  campaign_row(campaigns),
  campaign_name(text, bigint),
  create_campaign(text, jsonb, text, timestamptz),
  campaign_words(text, text, text),
  campaign_audience(campaigns, jsonb, timestamptz),
  send_forecast(instances, int, jsonb, timestamptz),
  preview_campaign(text, text, jsonb, text, text, boolean, timestamptz),
  start_campaign(text, text, timestamptz, jsonb, text, text, timestamptz),
  begin_campaign(campaigns, jsonb, text, timestamptz),
  judge_campaign(campaigns, timestamptz),
  hold_campaign(campaigns, text, text, timestamptz),
  pause_campaign(text, text, text, text, timestamptz),
  resume_campaign(text, text, text, text, timestamptz),
  stop_campaign(text, text, text, text, timestamptz),
  live_campaigns(),
  queue_recipient(bigint, int, boolean, jsonb, jsonb, timestamptz),
  list_campaigns(text, int),
  campaign_outcomes(bigint),
  campaign_report(text, text)
  to service_role, whats_agents_runtime;
