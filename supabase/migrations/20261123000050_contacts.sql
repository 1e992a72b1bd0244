-- Who is who: numbers, people behind their addresses, and the thread of a person on a number.

-- ensure_instance: the row of a number that the installation itself names: EVOLUTION_INSTANCE, or one that a person connects. What a webhook names is not
--   registered by it: see webhook_refusal.
-- Guarantee: exactly one row per name. Arguments: p_provider_id Evolution's uuid for a new row, or null. Concurrency: any number of callers. Result: the instance row.
create function ensure_instance(p_name text, p_provider_id text) returns instances language plpgsql as $$
declare v instances;
begin
  insert into instances (name, provider_id) values (p_name, p_provider_id) on conflict (name) do nothing returning * into v;
  if not found then select * into v from instances where name = p_name; end if;
  return v;
end $$;

-- speaks_for: whether a credential may post what happens on a number. A number's own secret speaks for that number alone; the secret of the installation for the
--   numbers of the tenant default that have none of their own, and for one that got its own less than an hour ago: Evolution repeats a webhook for 25 minutes
--   with what it signed first. Arguments: p_from {instance} its own secret | {tenant} the secret of the installation | {ourselves: true} we asked Evolution; p_now when it was posted.
create function speaks_for(p_from jsonb, i instances, p_now timestamptz) returns boolean language sql stable as $$
  select case when p_from ? 'ourselves' then true when p_from ? 'instance' then i.name = p_from ->> 'instance'
    else i.tenant_id = coalesce(p_from ->> 'tenant', 'default') and (i.webhook_secret is null or (i.webhook_secret_previous is null and (i.webhook_secret_since is null or i.webhook_secret_since > p_now - interval '1 hour'))) end
$$;

-- tenant_of_poster: to whom belongs what a credential posts and may not say. Arguments: p_from see speaks_for; null: the secret of the installation. Read only.
create function tenant_of_poster(p_from jsonb) returns text language sql stable as $$
  select coalesce(p_from ->> 'tenant', (select tenant_id from instances where name = p_from ->> 'instance'), 'default')
$$;

-- webhook_refusal: why what was posted under a name is set aside; null: it is that number's. What Evolution answers when we ask for a number by name is that number's.
-- Arguments: p_instance the row of that name, or nulls; p_from who posted it, see speaks_for; p_only the one number that counts (MULTI_CHIP_ENABLED=false), or null.
create function webhook_refusal(p_instance instances, p_name text, p_provider_id text, p_from jsonb, p_only text, p_now timestamptz) returns text language sql stable as $$
  select case
    when p_from ->> 'instance' <> p_name then 'secret_of_another'
    when p_instance.id is null then 'nobodys_number'
    when not speaks_for(p_from, p_instance, p_now) then 'secret_of_another'
    when p_name <> p_only then 'only_one_number'
    when p_from ? 'ourselves' then null
    when p_provider_id <> p_instance.provider_id then 'foreign_uuid'
    when p_instance.provider_id is null and exists (select from instances o where o.provider_id = p_provider_id and o.id <> p_instance.id) then 'foreign_uuid' end
$$;

-- learn_uuid: what Evolution calls a number by itself, unless another number of ours has it.
create function learn_uuid(p_instance instances, p_provider_id text) returns void language sql as $$
  update instances set provider_id = p_provider_id where id = p_instance.id and p_provider_id is distinct from provider_id
    and not exists (select from instances o where o.provider_id = p_provider_id)
$$;

-- merge_contacts: two contacts turn out to be one person (a lid and a phone number).
-- Guarantee: the older one stays; addresses, conversations, messages, turns and opt-outs of the newer one move to it; what moved, and what the older one
--   was before, is in contact_merges, so that unmerge_contact can take it back; audited. An open turn of a moved conversation ends as superseded, so its worker cannot commit.
-- Concurrency: locks both contacts in id order. Result: the id that stays.
create function merge_contacts(p_a bigint, p_b bigint) returns bigint language plpgsql as $$
declare
  v_keep bigint := least(p_a, p_b);
  v_drop bigint := greatest(p_a, p_b);
  v_kept contacts;
  v_dropped contacts;
  v_from conversations;
  v_into conversations;
  v_after conversations;
  v_shift bigint;
  v_doubled jsonb;
  v_handoffs jsonb;
  v_turns jsonb;
  v_ids jsonb;
  v_pause bigint;
  v_paused text;
  v_moved jsonb := '[]';
  v_addresses jsonb;
  v_revoked jsonb;
  v_opt_outs jsonb;
begin
  perform 1 from contacts where id in (v_keep, v_drop) order by id for update;
  select * into v_kept from contacts where id = v_keep;
  select * into v_dropped from contacts where id = v_drop;
  -- somebody else was quicker while we waited for the locks: there is nothing left to do, and nothing to write down twice
  if v_kept.merged_into is not null or v_dropped.merged_into is not null then return v_keep; end if;
  for v_from in select * from conversations where contact_id = v_drop and merged_into is null order by id for update loop
    select * into v_into from conversations where instance_id = v_from.instance_id and contact_id = v_keep for update;
    if not found then
      update conversations set contact_id = v_keep where id = v_from.id;
      v_moved := v_moved || jsonb_build_object('from', v_from.id);
      continue;
    end if;
    update turns set status = 'superseded', reason = 'contact merged', ended_at = clock_timestamp() where conversation_id = v_from.id and status = 'open';
    v_shift := v_into.last_seq;
    -- two chats had a message of the same id: the one that moves is found by its words from now on
    with twice as (select m.id, m.provider_id from messages m join messages o on o.instance_id = m.instance_id and o.provider_id = m.provider_id
        where m.conversation_id = v_from.id and o.conversation_id = v_into.id),
      gone as (update messages m set provider_id = null from twice where m.id = twice.id)
      select coalesce(jsonb_agg(to_jsonb(twice)), '[]') into v_ids from twice;
    update messages set conversation_id = v_into.id, seq = seq + v_shift where conversation_id = v_from.id;
    update conversations set last_seq = last_seq + v_from.last_seq, inbound_seq = inbound_seq + v_from.inbound_seq, jid = v_from.jid,
      last_inbound_at = greatest(last_inbound_at, v_from.last_inbound_at),
      takeover_since = coalesce(takeover_since, v_from.takeover_since), takeover_until = greatest(takeover_until, v_from.takeover_until),
      controlled_by = case when v_from.controlled_by = 'human' then 'human' else controlled_by end,
      escalation_reason = coalesce(escalation_reason, v_from.escalation_reason),
      mode = case when mode = 'auto' then v_from.mode else mode end
      where id = v_into.id returning * into v_after;
    select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'status', d.status)), '[]') into v_doubled from handoffs d where d.conversation_id = v_from.id and d.status <> 'returned'
      and exists (select 1 from handoffs h where h.conversation_id = v_into.id and h.controls = d.controls and h.status <> 'returned');
    update handoffs set status = 'returned', returned_at = clock_timestamp() where id in (select (d ->> 'id')::bigint from jsonb_array_elements(v_doubled) d);
    -- the timeline of a message that moved tells its turns, tools and handoffs too
    with gone as (update handoffs set conversation_id = v_into.id where conversation_id = v_from.id returning id) select coalesce(jsonb_agg(id), '[]') into v_handoffs from gone;
    with gone as (update turns set conversation_id = v_into.id where conversation_id = v_from.id returning id) select coalesce(jsonb_agg(id), '[]') into v_turns from gone;
    update tool_calls set conversation_id = v_into.id where conversation_id = v_from.id;
    -- who paused the one has paused the person
    select j.status into v_paused from julia_status j where j.scope = 'conversation' and j.target = v_into.id::text order by j.id desc limit 1;
    v_pause := null;
    insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target)
      select j.tenant_id, j.status, j.motivo, 'contact.merge', 'conversation', v_into.id::text
      from (select * from julia_status where scope = 'conversation' and target = v_from.id::text order by id desc limit 1) j where j.status = 'pausado' returning id into v_pause;
    update conversations set merged_into = v_into.id where id = v_from.id;
    v_moved := v_moved || jsonb_build_object('from', v_from.id, 'into', v_into.id, 'shift', v_shift, 'last_seq', v_from.last_seq, 'before', to_jsonb(v_into),
      'takeover_until', v_after.takeover_until, 'controlled_by', v_after.controlled_by, 'mode', v_after.mode, 'handoffs', v_handoffs, 'doubled', v_doubled, 'turns', v_turns, 'ids', v_ids, 'pause', v_pause, 'paused_before', v_paused);
  end loop;
  with gone as (update contact_addresses set contact_id = v_keep where contact_id = v_drop returning id) select coalesce(jsonb_agg(id), '[]') into v_addresses from gone;
  with gone as (update opt_outs set revoked_at = clock_timestamp() where contact_id = v_drop and revoked_at is null
      and exists (select 1 from opt_outs o where o.contact_id = v_keep and o.revoked_at is null) returning id)
    select coalesce(jsonb_agg(id), '[]') into v_revoked from gone;
  with gone as (update opt_outs set contact_id = v_keep where contact_id = v_drop returning id) select coalesce(jsonb_agg(id), '[]') into v_opt_outs from gone;
  update contacts set name = coalesce(v_kept.name, v_dropped.name), memory = v_kept.memory || v_dropped.memory, cooling_until = greatest(v_kept.cooling_until, v_dropped.cooling_until),
    next_allowed_at = greatest(v_kept.next_allowed_at, v_dropped.next_allowed_at) where id = v_keep;
  update contacts set merged_into = v_keep where id = v_drop;
  insert into contact_merges (tenant_id, kept, merged, moved) values (v_kept.tenant_id, v_keep, v_drop, jsonb_build_object('conversations', v_moved, 'addresses', v_addresses,
    'opt_outs', v_opt_outs, 'opt_outs_revoked', v_revoked, 'before', jsonb_build_object('name', v_kept.name, 'memory', v_kept.memory), 'brought', v_dropped.memory));
  insert into audit_log (tenant_id, actor, action, subject, details) values (v_kept.tenant_id, 'runtime', 'contact.merge', v_keep::text, jsonb_build_object('merged', v_drop));
  return v_keep;
end $$;

-- merge_by_hand: a person says that two contacts are one: an account that was made anew under the same number, or told apart by mistake. `contact unmerge` takes it back.
-- Guarantee: as merge_contacts; audited with who and why. Result: {outcome: 'merged', kept} | {outcome: 'unknown'} | {outcome: 'same'}.
create function merge_by_hand(p_tenant text, p_a bigint, p_b bigint, p_actor text, p_reason text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_kept bigint;
begin
  if p_a = p_b then return jsonb_build_object('outcome', 'same'); end if;
  perform 1 from contacts where id in (p_a, p_b) order by id for update;
  if (select count(*) from contacts where id in (p_a, p_b) and tenant_id = p_tenant and merged_into is null and erased_at is null) < 2 then
    return jsonb_build_object('outcome', 'unknown');
  end if;
  v_kept := merge_contacts(p_a, p_b);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'contact.merge_by_hand', v_kept::text, jsonb_build_object('merged', greatest(p_a, p_b), 'reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'merged', 'kept', v_kept);
end $$;

-- unmerge_contact: takes a merge of two contacts back: who was merged into p_kept last (or the contact p_merged) is a person of its own again, with the
--   history, the addresses, the opt-out, the pause and the handoffs that it brought.
-- Guarantee: what either of the two had at the merge, it has again; what came since stays with the one that was kept, but for what came under a
--   conversation that had no counterpart. All or nothing; audited; a merge is taken back once.
-- Concurrency: locks both contacts in id order, then conversations. Errors: none.
-- Result: {outcome: 'unmerged', merged} | {outcome: 'no_merge'} | {outcome: 'later_merge', merged}: another contact was merged in later, take that back first.
create function unmerge_contact(p_tenant text, p_actor text, p_kept bigint, p_merged bigint default null, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare
  v_merge contact_merges;
  v_later bigint;
  v_drop bigint;
  v_moved jsonb;
  v_shift bigint;
  v_last bigint;
  v_into bigint;
  v_from bigint;
begin
  select * into v_merge from contact_merges where tenant_id = p_tenant and kept = p_kept and undone_at is null and (p_merged is null or merged = p_merged)
    order by id desc limit 1 for update;
  if not found then return jsonb_build_object('outcome', 'no_merge'); end if;
  v_drop := v_merge.merged;
  perform 1 from contacts where id in (p_kept, v_drop) order by id for update;
  if exists (select from contacts where id = p_kept and merged_into is not null) then return jsonb_build_object('outcome', 'no_merge'); end if;
  select merged into v_later from contact_merges where kept = p_kept and undone_at is null and id > v_merge.id order by id desc limit 1;
  if found then return jsonb_build_object('outcome', 'later_merge', 'merged', v_later); end if;

  update contacts set merged_into = null where id = v_drop;
  update contacts set name = v_merge.moved -> 'before' ->> 'name',
    memory = coalesce((select jsonb_agg(f) from jsonb_array_elements(memory) f where not (v_merge.moved -> 'brought') @> jsonb_build_array(f)
      or (v_merge.moved -> 'before' -> 'memory') @> jsonb_build_array(f)), '[]') where id = p_kept;
  update contact_addresses set contact_id = v_drop where contact_id = p_kept and id in (select jsonb_array_elements_text(v_merge.moved -> 'addresses')::bigint);
  update opt_outs set contact_id = v_drop where contact_id = p_kept and id in (select jsonb_array_elements_text(v_merge.moved -> 'opt_outs')::bigint);
  update opt_outs set revoked_at = null where contact_id = v_drop and id in (select jsonb_array_elements_text(v_merge.moved -> 'opt_outs_revoked')::bigint)
    and not exists (select from opt_outs o where o.contact_id = v_drop and o.revoked_at is null);
  for v_moved in select * from jsonb_array_elements(v_merge.moved -> 'conversations') loop
    v_from := (v_moved ->> 'from')::bigint;
    if v_moved ->> 'into' is null then
      update turns set status = 'superseded', reason = 'contact unmerged', ended_at = clock_timestamp() where conversation_id = v_from and status = 'open';
      update conversations set contact_id = v_drop where id = v_from;
      continue;
    end if;
    v_into := (v_moved ->> 'into')::bigint;
    v_shift := (v_moved ->> 'shift')::bigint;
    v_last := (v_moved ->> 'last_seq')::bigint;
    perform 1 from conversations where id in (v_from, v_into) order by id for update;
    update turns set status = 'superseded', reason = 'contact unmerged', ended_at = clock_timestamp() where conversation_id = v_into and status = 'open';
    update messages set conversation_id = v_from, seq = seq - v_shift where conversation_id = v_into and seq > v_shift and seq <= v_shift + v_last;
    update messages m set provider_id = d.provider_id from jsonb_to_recordset(v_moved -> 'ids') d (id bigint, provider_id text) where m.id = d.id and m.conversation_id = v_from and m.provider_id is null;
    update conversations set merged_into = null, last_seq = v_last where id = v_from;
    update conversations c set jid = b.jid, last_inbound_at = (select max(m.provider_at) from messages m where m.conversation_id = c.id and m.direction = 'in' and m.type <> 'reaction'),
        takeover_since = case when c.takeover_until is distinct from (v_moved ->> 'takeover_until')::timestamptz then c.takeover_since else b.takeover_since end,
        takeover_until = case when c.takeover_until is distinct from (v_moved ->> 'takeover_until')::timestamptz then c.takeover_until else b.takeover_until end,
        controlled_by = case when c.controlled_by = v_moved ->> 'controlled_by' then b.controlled_by else c.controlled_by end,
        escalation_reason = case when c.controlled_by = v_moved ->> 'controlled_by' then b.escalation_reason else c.escalation_reason end,
        mode = case when c.mode = v_moved ->> 'mode' then b.mode else c.mode end,
        inbound_seq = c.inbound_seq + 1
      from jsonb_populate_record(null::conversations, v_moved -> 'before') b where c.id = v_into;
    update handoffs set conversation_id = v_from where conversation_id = v_into and id in (select jsonb_array_elements_text(v_moved -> 'handoffs')::bigint);
    update handoffs h set status = d.status, returned_at = null from jsonb_to_recordset(v_moved -> 'doubled') d (id bigint, status text)
      where h.id = d.id and h.conversation_id = v_from and h.status = 'returned';
    update turns set conversation_id = v_from where conversation_id = v_into and id in (select jsonb_array_elements_text(v_moved -> 'turns')::bigint);
    update tool_calls set conversation_id = v_from where conversation_id = v_into and turn_id in (select jsonb_array_elements_text(v_moved -> 'turns')::bigint);
    -- a pause that came over from the other one goes back with it
    if v_moved ->> 'pause' is not null and (select j.id from julia_status j where j.scope = 'conversation' and j.target = v_into::text order by j.id desc limit 1) = (v_moved ->> 'pause')::bigint then
      insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target) values (p_tenant, coalesce(v_moved ->> 'paused_before', 'ativo'), null, 'contact.unmerge', 'conversation', v_into::text);
    end if;
  end loop;
  update contact_merges set undone_at = clock(p_now) where id = v_merge.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'contact.unmerge', p_kept::text, jsonb_build_object('merged', v_drop), clock(p_now));
  return jsonb_build_object('outcome', 'unmerged', 'merged', v_drop);
end $$;

-- judge_pair: what it means that a phone number and a lid came as one person's. A lid names an account, a phone number is lent. Pure.
-- Arguments: p_facts {pn, lid: who has the address, null: nobody; other_lid: whoever has the number has another lid on this instance; other_pn: whoever has the lid has another
--   number; parted: a merge of the two was taken back by a person; old: the message is older than the number's place}.
-- Result: 'same' nothing to do | 'create' somebody new, with both | 'learn' the one who is known gets the other address | 'merge' two who are one
--   | 'new_phone' the account has another number now and keeps everything; the old number is nobody's
--   | 'new_account' the number is another account's now: somebody new, who sees nothing of the one before
--   | 'moved' the number is another known account's now | 'lid_only' an old message of a number that has moved since: the lid says whose it is.
create function judge_pair(p_facts jsonb) returns text language plpgsql immutable as $$
declare
  v_pn bigint := (p_facts ->> 'pn')::bigint;
  v_lid bigint := (p_facts ->> 'lid')::bigint;
  v_other_lid boolean := coalesce((p_facts ->> 'other_lid')::boolean, false);
  v_other_pn boolean := coalesce((p_facts ->> 'other_pn')::boolean, false);
  v_parted boolean := coalesce((p_facts ->> 'parted')::boolean, false);
  v_old boolean := coalesce((p_facts ->> 'old')::boolean, false);
begin
  return case
    when v_pn = v_lid then 'same'
    when v_pn is null and v_lid is null then 'create'
    when v_lid is null then case when not v_other_lid then 'learn' when v_old then 'lid_only' else 'new_account' end
    when v_pn is null then case when v_other_pn then 'new_phone' else 'learn' end
    when not v_other_lid and not v_other_pn and not v_parted then 'merge'
    when v_old then 'lid_only'
    else 'moved' end;
end $$;

-- pair_facts: what judge_pair looks at. Read only.
create function pair_facts(p_instance instances, p_pn text, p_lid text, p_sent_at timestamptz) returns jsonb language plpgsql stable as $$
declare v_pn contact_addresses; v_lid contact_addresses;
begin
  select * into v_pn from contact_addresses where kind = 'pn' and tenant_id = p_instance.tenant_id and address = p_pn;
  select * into v_lid from contact_addresses where kind = 'lid' and instance_id = p_instance.id and address = p_lid;
  return jsonb_build_object('pn', v_pn.contact_id, 'lid', v_lid.contact_id, 'old', p_sent_at < date_trunc('second', v_pn.moved_at),
    'other_lid', exists (select from contact_addresses where contact_id = v_pn.contact_id and kind = 'lid' and instance_id = p_instance.id and address <> p_lid),
    'other_pn', exists (select from contact_addresses where contact_id = v_lid.contact_id and kind = 'pn' and address <> p_pn),
    'parted', exists (select from contact_merges where kept = least(v_pn.contact_id, v_lid.contact_id) and merged = greatest(v_pn.contact_id, v_lid.contact_id) and undone_at is not null));
end $$;

-- move_phone: a phone number is another contact's from now on, or (p_to null) nobody's that is known.
-- Guarantee: that it was theirs until now is kept (former_phones). Who had it keeps history and memory and is answered at a lid where there is one; what waits for whoever has no other address is not sent to the new owner. An
--   opt-out stays with the phone: whoever has it now has opted out too. Audited without the number; `contact merge` takes it back.
-- Concurrency: the caller holds the locks of both contacts.
create function move_phone(p_instance instances, p_pn text, p_to bigint, p_now timestamptz) returns void language plpgsql as $$
declare v contact_addresses; v_talk conversations; v_jid text;
begin
  select * into v from contact_addresses where kind = 'pn' and tenant_id = p_instance.tenant_id and address = p_pn;
  insert into opt_outs (tenant_id, contact_id, address_hash, source, created_at)
    select o.tenant_id, p_to, case when p_to is null then address_hash('pn', null, p_pn) end, o.source, o.created_at from opt_outs o where o.contact_id = v.contact_id and o.revoked_at is null
    on conflict do nothing;
  insert into former_phones (tenant_id, contact_id, address, until) values (p_instance.tenant_id, v.contact_id, p_pn, p_now);
  if p_to is null then delete from contact_addresses where id = v.id;
  else update contact_addresses set contact_id = p_to, instance_id = p_instance.id, delivered_at = null, moved_at = p_now where id = v.id; end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_instance.tenant_id, 'runtime', 'contact.phone_moved', v.contact_id::text, jsonb_build_object('to', p_to, 'instance', p_instance.name), p_now);
  -- by its end: a jid may have another writing of the number
  for v_talk in select * from conversations where contact_id = v.contact_id and merged_into is null and jid like '%' || right(p_pn, 8) || '@s.whatsapp.net' order by id for no key update loop
    select case kind when 'lid' then address || '@lid' else address || '@s.whatsapp.net' end into v_jid from contact_addresses
      where contact_id = v.contact_id and (kind = 'pn' or instance_id = v_talk.instance_id) order by kind = 'lid' desc, delivered_at desc nulls last, id desc limit 1;
    update conversations set jid = coalesce(v_jid, 'moved') where id = v_talk.id;
    if v_jid is null then
      update messages set status = 'cancelled', reason = 'phone_moved' where conversation_id = v_talk.id and direction = 'out' and status in ('queued', 'draft');
    end if;
  end loop;
end $$;

-- ensure_contact: the person behind an address or a pair of them, made, merged or told apart as needed (see judge_pair).
-- Arguments: p_instance the number; p_pn canonical phone digits or null; p_lid lid digits or null (at least one); p_name shown when new; p_sent_at when the message was sent
--   that names them, so that an old one moves nothing back; null: now. p_event the message, when it may be one of somebody who was erased (see is_erased).
-- Concurrency: any number of callers; the unique keys of contact_addresses decide a race, and what changes a known contact looks again under its lock. An erasure that is under
--   way is waited for. Result: contact id, which no other transaction merges away or erases before this one ends; null: the message is of an erased person, and nobody was made.
create function ensure_contact(p_instance instances, p_pn text, p_lid text, p_name text, p_sent_at timestamptz default null, p_now timestamptz default null,
    p_event jsonb default null) returns bigint language plpgsql as $$
declare
  v_pn bigint;
  v_lid bigint;
  v_id bigint;
  v_facts jsonb;
  v_verdict text;
begin
  loop
    v_pn := null;
    v_lid := null;
    -- asked for null, Postgres would plan each of these anew: that costs more than all the rest
    if p_pn is not null then select contact_id into v_pn from contact_addresses where kind = 'pn' and tenant_id = p_instance.tenant_id and address = p_pn; end if;
    if p_lid is not null then select contact_id into v_lid from contact_addresses where kind = 'lid' and instance_id = p_instance.id and address = p_lid; end if;
    v_id := coalesce(v_pn, v_lid);
    v_verdict := case when p_pn is null or p_lid is null then case when v_id is null then 'create' else 'same' end when v_pn = v_lid then 'same' when v_id is null then 'create' end;
    if v_verdict is null then
      -- somebody known is about to change: whoever else is at it has ended when we hold the locks
      perform 1 from contacts where id in (v_pn, v_lid) order by id for no key update;
      v_facts := pair_facts(p_instance, p_pn, p_lid, coalesce(p_sent_at, clock(p_now)));
      continue when (v_facts ->> 'pn')::bigint is distinct from v_pn or (v_facts ->> 'lid')::bigint is distinct from v_lid;
      v_verdict := judge_pair(v_facts);
      v_id := coalesce(v_lid, v_pn);
    end if;
    -- asked after each look at the addresses: an erasure that took one away before it is seen here
    if p_event is not null and is_erased(p_instance, p_event, p_sent_at) then return null; end if;
    case v_verdict
      when 'same', 'learn', 'new_phone' then null;
      when 'merge' then v_id := merge_contacts(v_pn, v_lid);
      when 'moved' then perform move_phone(p_instance, p_pn, v_lid, clock(p_now));
      when 'lid_only' then
        return ensure_contact(p_instance, null, p_lid, p_name, p_sent_at, p_now, p_event);
      else
        insert into contacts (tenant_id, name) values (p_instance.tenant_id, p_name) returning id into v_id;
        if v_verdict = 'new_account' then perform move_phone(p_instance, p_pn, v_id, clock(p_now)); end if;
    end case;
    if p_name is not null and v_verdict not in ('create', 'new_account') then update contacts set name = p_name where id = v_id and name is null; end if;
    if p_pn is not null and v_pn is null then
      insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address) values (p_instance.tenant_id, p_instance.id, v_id, 'pn', p_pn) on conflict do nothing;
      select contact_id into v_pn from contact_addresses where kind = 'pn' and tenant_id = p_instance.tenant_id and address = p_pn;
      perform honour_suppression(p_instance, v_id, p_pn, null);
    end if;
    if p_lid is not null and v_lid is null and (v_pn is null or v_pn = v_id or v_verdict = 'new_account') then
      insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address) values (p_instance.tenant_id, p_instance.id, v_id, 'lid', p_lid) on conflict do nothing;
      perform honour_suppression(p_instance, v_id, null, p_lid);
    end if;
    if v_verdict in ('new_phone', 'moved') then
      perform move_phone(p_instance, a.address, null, clock(p_now)) from contact_addresses a where a.contact_id = v_id and a.kind = 'pn' and a.address <> p_pn;
    end if;
    -- a merge or an erasure that is under way takes this contact away: wait for it, and look again
    perform 1 from contacts where id = v_id and merged_into is null and erased_at is null for key share;
    exit when found and (v_verdict = 'same' or
      ((p_pn is null or v_id = (select contact_id from contact_addresses where kind = 'pn' and tenant_id = p_instance.tenant_id and address = p_pn))
        and (p_lid is null or v_id = (select contact_id from contact_addresses where kind = 'lid' and instance_id = p_instance.id and address = p_lid))));
    -- somebody else wrote one of these addresses meanwhile: look again (an empty contact of ours goes)
    if v_verdict = 'create' then
      delete from opt_outs o where o.contact_id = v_id and not exists (select from contact_addresses a where a.contact_id = v_id);
      delete from contacts c where c.id = v_id and not exists (select from contact_addresses a where a.contact_id = c.id);
    end if;
  end loop;
  return v_id;
end $$;

-- one_writing: a phone's digits without the one that some countries write or leave out, so that both writings compare equal; as TWO_WRITINGS of core/phone.ts.
create function one_writing(p_digits text) returns text language sql immutable as
$$ select regexp_replace(p_digits, '^(?:(55[1-9]{2})9(?=[6-9]\d{7}$)|(52)1(?=\d{10}$)|(54)9(?=\d{10}$))', '\1\2\3') $$;

-- both_writings: a phone's digits in all writings that WhatsApp has for it, for a search in what it wrote; other digits as they are.
create function both_writings(p_digits text) returns text[] language sql immutable as $$
  select array_agg(distinct w) from (values (p_digits), (one_writing(p_digits)),
    (regexp_replace(regexp_replace(one_writing(p_digits), '^(55[1-9]{2}(?=[6-9]\d{7}$)|54(?=\d{10}$))', '\19'), '^52(?=\d{10}$)', '521'))) x (w)
$$;

-- address_row: the row of contact_addresses behind an address of a contact, in either writing; null: none.
create function address_row(p_contact bigint, p_jid text) returns bigint language sql stable as $$
  select a.id from contact_addresses a where a.contact_id = p_contact and case when p_jid like '%@lid' then a.kind = 'lid' and a.address = split_part(p_jid, '@', 1)
    else a.kind = 'pn' and one_writing(a.address) = one_writing(split_part(p_jid, '@', 1)) end order by a.id limit 1
$$;

-- dial: how a call to Evolution names an address. A phone whose writing WhatsApp has told is named as WhatsApp does; one that somebody typed goes as bare digits, under
-- which alone Evolution looks for both writings (contract 4.5).
create function dial(p_contact bigint, p_jid text) returns text language sql stable as $$
  select case when p_jid not like '%@s.whatsapp.net' then p_jid
    else coalesce((select a.written || '@s.whatsapp.net' from contact_addresses a where a.id = address_row(p_contact, p_jid)), split_part(p_jid, '@', 1)) end
$$;

-- confirm_address: WhatsApp itself names a contact's phone so: in the key of a message, in the answer to a send. Idempotent.
create function confirm_address(p_contact bigint, p_jid text) returns void language sql as $$
  update contact_addresses set written = split_part(p_jid, '@', 1) where p_jid like '%@s.whatsapp.net' and id = address_row(p_contact, p_jid)
    and written is distinct from split_part(p_jid, '@', 1)
$$;

-- address_refused: Evolution found nobody under this address within the last week.
create function address_refused(p_contact bigint, p_jid text, p_now timestamptz) returns boolean language sql stable as $$
  select exists (select from contact_addresses a where a.id = address_row(p_contact, p_jid) and a.refused_at > p_now - interval '7 days')
$$;

-- ensure_conversation: the thread of a contact on a number, locked for the rest of the transaction.
-- Arguments: p_jid where answers go; an existing row takes it over only when p_inbound (the contact wrote from it), and not while Evolution finds nobody there.
-- Concurrency: callers queue on the row lock. Result: the conversation row.
create function ensure_conversation(p_instance instances, p_contact bigint, p_jid text, p_inbound boolean) returns conversations language plpgsql as $$
declare v conversations;
begin
  select * into v from conversations where instance_id = p_instance.id and contact_id = p_contact for no key update;
  if not found then
    insert into conversations (tenant_id, instance_id, contact_id, jid) values (p_instance.tenant_id, p_instance.id, p_contact, p_jid)
      on conflict (instance_id, contact_id) do nothing;
    select * into v from conversations where instance_id = p_instance.id and contact_id = p_contact for no key update;
    if p_inbound then perform confirm_address(p_contact, p_jid); end if;
  end if;
  if p_inbound and v.jid <> p_jid then
    perform confirm_address(p_contact, p_jid);
    if not address_refused(p_contact, p_jid, clock_timestamp()) then
      update conversations set jid = p_jid where id = v.id returning * into v;
    end if;
  end if;
  return v;
end $$;
