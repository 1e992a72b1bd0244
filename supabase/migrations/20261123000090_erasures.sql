-- Erased stays erased: what is known of erased people, and how what comes of them later is recognised.

insert into installation (key, value) values ('suppression_salt', gen_random_uuid()::text || gen_random_uuid()::text) on conflict do nothing;

-- keyed_hash: with a secret of the installation, hashed twice as HMAC does, so that a list of phone numbers hashed elsewhere finds nobody here.
create function keyed_hash(p_text text) returns text language sql stable as $$
  select encode(sha256(convert_to(s.value || encode(sha256(convert_to(s.value || '/' || p_text, 'UTF8')), 'hex'), 'UTF8')), 'hex')
  from installation s where s.key = 'suppression_salt'
$$;

-- address_hash: what is left of an address when its owner is erased. A phone number is one person in a tenant, in whichever writing; a lid only on the number where it was seen.
create function address_hash(p_kind text, p_instance bigint, p_address text) returns text language sql stable as
$$ select keyed_hash(p_kind || case p_kind when 'lid' then '/' || p_instance else '' end || '/' || case p_kind when 'pn' then one_writing(p_address) else p_address end) $$;

-- message_hash: what is left of a message: its id at WhatsApp, on the number where it was seen.
create function message_hash(p_instance bigint, p_provider_id text) returns text language sql stable as
$$ select keyed_hash('message/' || p_instance || '/' || p_provider_id) $$;

-- is_erased: whether a message that comes is one of somebody who was erased after it was sent, or our own to such a person, whose echo is late. What is sent after
-- an erasure is somebody new's. Times are WhatsApp's, in whole seconds. Read only.
create function is_erased(p_instance instances, p_event jsonb, p_sent_at timestamptz) returns boolean language plpgsql stable as $$
declare v_own boolean := coalesce((p_event ->> 'fromMe')::boolean, false);
begin
  if not exists (select from erasures where tenant_id = p_instance.tenant_id) then return false; end if;
  return exists (select from erasures where tenant_id = p_instance.tenant_id and hash = message_hash(p_instance.id, p_event ->> 'providerId'))
    or exists (select from (values ('pn', p_event -> 'chat' ->> 'pn'), ('lid', p_event -> 'chat' ->> 'lid'), ('pn', p_event -> 'alt' ->> 'pn'), ('lid', p_event -> 'alt' ->> 'lid')) a (kind, address)
      join erasures e on e.tenant_id = p_instance.tenant_id and e.hash = address_hash(a.kind, p_instance.id, a.address)
      where p_sent_at < date_trunc('second', e.erased_at) or (v_own and p_sent_at <= e.own_until));
end $$;

-- is_erased_news: whether news about a message that nobody knows is about one of an erased person, who has not written again. Read only.
create function is_erased_news(p_instance instances, p_event jsonb) returns boolean language plpgsql stable as $$
begin
  return exists (select from erasures where tenant_id = p_instance.tenant_id)
    and (exists (select from erasures where tenant_id = p_instance.tenant_id and hash = message_hash(p_instance.id, p_event ->> 'providerId'))
      or names_erased(p_instance, jsonb_strip_nulls(coalesce(nullif(p_event -> 'chat', 'null'), '{}'))));
end $$;

-- digits_in: what in a JSON may be an address.
create function digits_in(p_body jsonb) returns setof text language sql immutable as
$$ select distinct f.found[1] from regexp_matches(p_body::text, '[0-9]{8,20}', 'g') as f (found) $$;

-- names_erased: whether this JSON names an address of somebody who was erased and has not written again.
-- Guarantee: every address in it is looked at; some 0.1 ms each, where anybody was erased, so callers bound what they give. Read only: see hold_named.
create function names_erased(p_instance instances, p_body jsonb) returns boolean language plpgsql stable as $$
begin
  return exists (select from erasures where tenant_id = p_instance.tenant_id) and exists (
    with hits as materialized (
      select a.kind, d.d as digits from digits_in(p_body) d (d) cross join (values ('pn'), ('lid')) a (kind)
        -- a limit: by its index, whatever the planner thinks
        cross join lateral (select from erasures e where e.tenant_id = p_instance.tenant_id and e.hash = address_hash(a.kind, p_instance.id, d.d) limit 1) e)
    select from hits h where not exists (select from contact_addresses c where c.tenant_id = p_instance.tenant_id and c.kind = h.kind
      and c.address = any (case h.kind when 'pn' then both_writings(h.digits) else array[h.digits] end)));
end $$;

-- hold_named: whom this JSON names is not erased from here to the end of the transaction; an erasure that is under way is waited for, so that names_erased then knows it.
-- Concurrency: locks contacts, so it comes before the locks of conversations and of ids of messages, as everywhere.
create function hold_named(p_instance instances, p_body jsonb) returns void language plpgsql as $$
begin
  perform 1 from contacts where id in (
      select c.contact_id from digits_in(p_body) d cross join lateral (
        (select a.contact_id from contact_addresses a where a.tenant_id = p_instance.tenant_id and a.kind = 'pn' and a.address = any (both_writings(d)) limit 1)
        union all (select a.contact_id from contact_addresses a where a.instance_id = p_instance.id and a.kind = 'lid' and a.address = d limit 1)) c)
    order by id for key share;
end $$;

-- gone_meanwhile: waits for an erasure of the contact of a message that was just found. Result: whether it took the message away.
create function gone_meanwhile(m messages) returns boolean language plpgsql as $$
begin
  perform 1 from contacts k join conversations c on c.contact_id = k.id where c.id = m.conversation_id for key share of k;
  return not exists (select from messages where id = m.id) and exists (select from erasures where tenant_id = m.tenant_id and hash = message_hash(m.instance_id, coalesce(m.provider_id, m.wire_id)));
end $$;

-- bury_message: a message of somebody who was erased came again: it is known by its id from now on.
create function bury_message(p_instance instances, p_provider_id text, p_now timestamptz) returns void language sql as $$
  insert into erasures (tenant_id, kind, hash, erased_at) values (p_instance.tenant_id, 'message', message_hash(p_instance.id, p_provider_id), p_now) on conflict do nothing
$$;

-- bury_contacts: before contacts are erased: hashes of all their addresses and messages. A phone number that they had before is theirs until it was another's. Repeats only move an address's time forward.
-- Concurrency: the caller holds the contacts' locks and deletes the rows after this.
create function bury_contacts(p_tenant text, p_contacts bigint[], p_conversations bigint[], p_now timestamptz) returns void language plpgsql as $$
declare v_own_until timestamptz;
begin
  -- of what was on its way nobody knows the id yet, and Evolution may be at it for minutes
  select max(claimed_at) + interval '5 minutes' into v_own_until from messages
    where conversation_id = any (p_conversations) and direction = 'out' and provider_id is null and claim > 0 and status in ('sending', 'uncertain', 'unproven', 'queued', 'failed');
  insert into erasures (tenant_id, kind, hash, erased_at, own_until)
    select distinct p_tenant, 'address', address_hash(kind, instance_id, address), p_now, v_own_until from contact_addresses where contact_id = any (p_contacts)
    on conflict (tenant_id, hash) do update set erased_at = greatest(erasures.erased_at, excluded.erased_at), own_until = greatest(erasures.own_until, excluded.own_until);
  insert into erasures (tenant_id, kind, hash, erased_at)
    select p_tenant, 'address', address_hash('pn', null, address), least(p_now, max(until)) from former_phones where contact_id = any (p_contacts) group by address
    on conflict (tenant_id, hash) do update set erased_at = greatest(erasures.erased_at, excluded.erased_at);
  insert into erasures (tenant_id, kind, hash, erased_at)
    select distinct p_tenant, 'message', message_hash(m.instance_id, i.id), p_now from messages m cross join lateral (values (m.provider_id), (m.wire_id)) i (id)
    where m.conversation_id = any (p_conversations) and i.id is not null
    on conflict do nothing;
end $$;

-- list_erasures: what a restore of any backup since p_since must know. Read only. Result: [{tenant, kind, hash, erased_at, own_until}].
create function list_erasures(p_since timestamptz) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant', tenant_id, 'kind', kind, 'hash', hash, 'erased_at', erased_at, 'own_until', own_until) order by id), '[]')
  from erasures where erased_at >= coalesce(p_since, '-infinity')
$$;

-- apply_erasures: a backup was restored: who was erased after it was made is erased in it too. Repeats change nothing.
-- Arguments: p_erasures as list_erasures gives them. Concurrency: no process runs yet. Result: {erased: contacts}.
create function apply_erasures(p_erasures jsonb, p_actor text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v record; v_erased int := 0; v_known jsonb;
begin
  with known as (insert into erasures (tenant_id, kind, hash, erased_at, own_until)
    select e.tenant, min(e.kind), e.hash, max(e.erased_at), max(e.own_until) from jsonb_to_recordset(p_erasures) as e (tenant text, kind text, hash text, erased_at timestamptz, own_until timestamptz)
      join tenants t on t.id = e.tenant group by e.tenant, e.hash
    on conflict (tenant_id, hash) do update set erased_at = greatest(erasures.erased_at, excluded.erased_at), own_until = greatest(erasures.own_until, excluded.own_until)
    returning tenant_id, hash, erased_at) select jsonb_agg(k) into v_known from known k;
  for v in
    select a.tenant_id, a.contact_id, max(e.erased_at) as erased_at from contact_addresses a join contacts c on c.id = a.contact_id
      join erasures e on e.tenant_id = a.tenant_id and e.kind = 'address' and e.hash = address_hash(a.kind, a.instance_id, a.address)
    -- a number that was this person's only since then was not erased with the one who had it before
    where c.created_at < e.erased_at and greatest(a.created_at, a.moved_at) < e.erased_at group by 1, 2 order by 2
  loop
    if erase_contact(v.tenant_id, v.contact_id, null, p_actor, 'erased after the backup was made', v.erased_at) ->> 'outcome' = 'erased' then v_erased := v_erased + 1; end if;
  end loop;
  -- in the backup a person may still have a number that was another's before the erasure: what that one wrote is not gone
  update erasures e set erased_at = k.erased_at from jsonb_to_recordset(v_known) as k (tenant_id text, hash text, erased_at timestamptz)
    where e.tenant_id = k.tenant_id and e.hash = k.hash and e.erased_at > k.erased_at;
  return jsonb_build_object('erased', v_erased);
end $$;
