-- Contacts and their addresses, who speaks with them, pauses, handoffs, drafts, opt-outs, care of what is stored, the
-- audit.

-- merge_contacts: two contacts turn out to be one person (a lid and a phone number).
-- Guarantee: the older one stays; addresses, conversations, messages, turns and opt-outs of the newer one move to it;
--   what moved, and what the older one was before, is in contact_merges, so that unmerge_contact can take it back;
--   audited. An open turn of a moved conversation ends as superseded, so its worker cannot commit.
-- Concurrency: locks both contacts in id order. Result: the id that stays.
create or replace function merge_contacts(p_a bigint, p_b bigint)
returns bigint language plpgsql set search_path = public, pg_temp as $$
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
  v_facts jsonb;
  v_closed jsonb;
  v_moved jsonb := '[]';
  v_addresses jsonb;
  v_revoked jsonb;
  v_opt_outs jsonb;
begin
  perform 1 from contacts where id in (v_keep, v_drop) order by id for update;
  select * into v_kept from contacts where id = v_keep;
  select * into v_dropped from contacts where id = v_drop;
  -- somebody else was quicker while we waited for the locks: there is nothing left to do, and nothing to write down
  -- twice
  if v_kept.merged_into is not null or v_dropped.merged_into is not null then return v_keep; end if;
  for v_from in select * from conversations where contact_id = v_drop and merged_into is null order by id for update
    loop
    select * into v_into from conversations where instance_id = v_from.instance_id and contact_id = v_keep for update;
    if not found then
      update conversations set contact_id = v_keep where id = v_from.id;
      v_moved := v_moved || jsonb_build_object('from', v_from.id);
      continue;
    end if;
    update turns set status = 'superseded', reason = 'contact_merged', ended_at = clock_timestamp()
      where conversation_id = v_from.id and status = 'open';
    v_shift := v_into.last_seq;
    -- two chats had a message of the same id: the one that moves is found by its words from now on
    with twice as (select m.id, m.provider_id from messages m join messages o on o.instance_id = m.instance_id
      and o.provider_id = m.provider_id
        where m.conversation_id = v_from.id and o.conversation_id = v_into.id),
      gone as (update messages m set provider_id = null from twice where m.id = twice.id)
      select coalesce(jsonb_agg(to_jsonb(twice)), '[]') into v_ids from twice;
    update messages set conversation_id = v_into.id, seq = seq + v_shift where conversation_id = v_from.id;
    delete from summaries where conversation_id = v_from.id;
    update conversations set last_seq = last_seq + v_from.last_seq, inbound_seq = inbound_seq + v_from.inbound_seq,
      jid = v_from.jid,
      last_inbound_at = greatest(last_inbound_at, v_from.last_inbound_at),
      takeover_since = coalesce(takeover_since, v_from.takeover_since),
        takeover_until = greatest(takeover_until, v_from.takeover_until),
      controlled_by = case when v_from.controlled_by = 'human' then 'human' else controlled_by end,
      escalation_reason = coalesce(escalation_reason, v_from.escalation_reason),
      mode = case when mode = 'auto' then v_from.mode else mode end
      where id = v_into.id returning * into v_after;
    select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'status', d.status)), '[]') into v_doubled from handoffs d
      where d.conversation_id = v_from.id and d.status <> 'returned'
      and exists (select 1 from handoffs h where h.conversation_id = v_into.id and h.controls = d.controls
        and h.status <> 'returned');
    update handoffs set status = 'returned', returned_at = clock_timestamp()
      where id in (select (d ->> 'id')::bigint from jsonb_array_elements(v_doubled) d);
    -- the timeline of a message that moved tells its turns, tools and handoffs too
    with gone as (update handoffs set conversation_id = v_into.id where conversation_id = v_from.id
      returning id) select coalesce(jsonb_agg(id), '[]') into v_handoffs from gone;
    with gone as (update turns set conversation_id = v_into.id where conversation_id = v_from.id
      returning id) select coalesce(jsonb_agg(id), '[]') into v_turns from gone;
    update tool_calls set conversation_id = v_into.id where conversation_id = v_from.id;
    update tool_writes set conversation_id = v_into.id where conversation_id = v_from.id;
    update approvals set conversation_id = v_into.id where conversation_id = v_from.id;
    -- who paused the one has paused the person
    v_paused := pause_status('conversation', v_into.id::text, v_into.tenant_id);
    v_pause := null;
    insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target)
      select j.tenant_id, j.status, j.motivo, 'contact.merge', 'conversation', v_into.id::text
      from (select * from julia_status where scope = 'conversation' and target = v_from.id::text order by id desc
        limit 1) j where j.status = 'pausado' returning id into v_pause;
    update conversations set merged_into = v_into.id where id = v_from.id;
    v_moved := v_moved || jsonb_build_object('from', v_from.id, 'into', v_into.id, 'shift', v_shift, 'last_seq',
      v_from.last_seq, 'before', to_jsonb(v_into),
      'takeover_until', v_after.takeover_until, 'controlled_by', v_after.controlled_by, 'mode', v_after.mode,
        'handoffs', v_handoffs, 'doubled', v_doubled, 'turns', v_turns, 'ids', v_ids, 'pause', v_pause, 'paused_before',
        v_paused);
  end loop;
  with gone as (update contact_addresses set contact_id = v_keep where contact_id = v_drop
    returning id) select coalesce(jsonb_agg(id), '[]') into v_addresses from gone;
  with gone as (update opt_outs set revoked_at = clock_timestamp() where contact_id = v_drop and revoked_at is null
      and exists (select 1 from opt_outs o where o.contact_id = v_keep and o.revoked_at is null) returning id)
    select coalesce(jsonb_agg(id), '[]') into v_revoked from gone;
  -- the one that holds was said where either was; an operator's stays one
  update opt_outs k set said_on = said_on_both(k.said_on, d.said_on) from opt_outs d
    where k.contact_id = v_keep and k.revoked_at is null
      and d.id in (select jsonb_array_elements_text(v_revoked)::bigint);
  with gone as (update opt_outs set contact_id = v_keep where contact_id = v_drop
    returning id) select coalesce(jsonb_agg(id), '[]') into v_opt_outs from gone;
  -- of two facts about the same thing the newer one is current
  with closed as (update contact_facts set replaced_at = clock_timestamp() where id in (
      select case when k.noted_at >= d.noted_at then d.id else k.id end
        from contact_facts k join contact_facts d on d.kind = k.kind and d.about = k.about
        where k.contact_id = v_keep and d.contact_id = v_drop and k.replaced_at is null and d.replaced_at is null)
    returning id) select coalesce(jsonb_agg(id), '[]') into v_closed from closed;
  with gone as (update contact_facts set contact_id = v_keep where contact_id = v_drop
    returning id) select coalesce(jsonb_agg(id), '[]') into v_facts from gone;
  update contacts set name = coalesce(v_kept.name, v_dropped.name),
    cooling_until = greatest(v_kept.cooling_until, v_dropped.cooling_until),
    next_allowed_at = greatest(v_kept.next_allowed_at, v_dropped.next_allowed_at) where id = v_keep;
  update contacts set merged_into = v_keep where id = v_drop;
  insert into contact_merges (tenant_id, kept, merged, moved)
    values (v_kept.tenant_id, v_keep, v_drop, jsonb_build_object('conversations', v_moved, 'addresses', v_addresses,
    'opt_outs', v_opt_outs, 'opt_outs_revoked', v_revoked, 'before', jsonb_build_object('name', v_kept.name,
      'cooling_until', v_kept.cooling_until, 'next_allowed_at', v_kept.next_allowed_at),
    'facts', v_facts, 'facts_closed', v_closed));
  insert into audit_log (tenant_id, actor, action, subject, details)
    values (v_kept.tenant_id, 'runtime', 'contact.merge', v_keep::text, jsonb_build_object('merged', v_drop));
  return v_keep;
end $$;

-- merge_by_hand: a person says that two contacts are one: an account that was made anew under the same number, or told
-- apart by mistake. `contact unmerge` takes it back.
-- Guarantee: as merge_contacts; audited with who and why. Result: {outcome: 'merged', kept} | {outcome: 'unknown'} |
--   {outcome: 'same'}.
create or replace function merge_by_hand(
  p_tenant text, p_a bigint, p_b bigint, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_kept bigint;
begin
  if p_a = p_b then return jsonb_build_object('outcome', 'same'); end if;
  perform 1 from contacts where id in (p_a, p_b) order by id for update;
  if (select count(*) from contacts where id in (p_a, p_b) and tenant_id = p_tenant and merged_into is null
    and erased_at is null) < 2 then
    return jsonb_build_object('outcome', 'unknown');
  end if;
  v_kept := merge_contacts(p_a, p_b);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'contact.merge_by_hand', v_kept::text, jsonb_build_object('merged', greatest(p_a, p_b),
      'reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'merged', 'kept', v_kept);
end $$;

-- unmerge_contact: takes a merge of two contacts back: who was merged into p_kept last (or the contact p_merged) is a
-- person of its own again, with the
--   history, the addresses, the opt-out, the pause and the handoffs that it brought.
-- Guarantee: what either of the two had at the merge, it has again; what came since stays with the one that was kept,
--   but for what came under a conversation that had no counterpart. All or nothing; audited; a merge is taken back
--   once.
-- Concurrency: locks both contacts in id order, then conversations. Errors: none.
-- Result: {outcome: 'unmerged', merged} | {outcome: 'no_merge'} | {outcome: 'later_merge', merged}: another contact was
--   merged in later, take that back first.
create or replace function unmerge_contact(
  p_tenant text, p_actor text, p_kept bigint, p_merged bigint default null, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
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
  select * into v_merge from contact_merges where tenant_id = p_tenant and kept = p_kept and undone_at is null
    and (p_merged is null or merged = p_merged)
    order by id desc limit 1 for update;
  if not found then return jsonb_build_object('outcome', 'no_merge'); end if;
  v_drop := v_merge.merged;
  perform 1 from contacts where id in (p_kept, v_drop) order by id for update;
  if exists (select from contacts where id = p_kept and merged_into is not null)
    then return jsonb_build_object('outcome', 'no_merge'); end if;
  select merged into v_later from contact_merges where kept = p_kept and undone_at is null and id > v_merge.id
    order by id desc limit 1;
  if found then return jsonb_build_object('outcome', 'later_merge', 'merged', v_later); end if;

  update contacts set merged_into = null where id = v_drop;
  update contacts set name = v_merge.moved -> 'before' ->> 'name' where id = p_kept;
  update contact_facts set contact_id = v_drop
    where contact_id = p_kept and id in (select jsonb_array_elements_text(v_merge.moved -> 'facts')::bigint);
  update contact_facts f set replaced_at = null
    where f.id in (select jsonb_array_elements_text(v_merge.moved -> 'facts_closed')::bigint)
      and not exists (select from contact_facts o where o.contact_id = f.contact_id and o.kind = f.kind
        and o.about = f.about and o.replaced_at is null);
  -- a wait that somebody has set since stays
  update contacts kept set
    cooling_until = case when kept.cooling_until is not distinct from greatest(old.cooling_until, brought.cooling_until)
      then old.cooling_until else kept.cooling_until end,
    next_allowed_at = case when kept.next_allowed_at is not distinct from
      greatest(old.next_allowed_at, brought.next_allowed_at) then old.next_allowed_at else kept.next_allowed_at end
    from contacts brought, jsonb_populate_record(null::contacts, v_merge.moved -> 'before') old
    where kept.id = p_kept and brought.id = v_drop;
  update contact_addresses set contact_id = v_drop
    where contact_id = p_kept and id in (select jsonb_array_elements_text(v_merge.moved -> 'addresses')::bigint);
  update opt_outs set contact_id = v_drop
    where contact_id = p_kept and id in (select jsonb_array_elements_text(v_merge.moved -> 'opt_outs')::bigint);
  update opt_outs set revoked_at = null
    where contact_id = v_drop and id in (select jsonb_array_elements_text(v_merge.moved -> 'opt_outs_revoked')::bigint)
    and not exists (select from opt_outs o where o.contact_id = v_drop and o.revoked_at is null);
  for v_moved in select * from jsonb_array_elements(v_merge.moved -> 'conversations') loop
    v_from := (v_moved ->> 'from')::bigint;
    if v_moved ->> 'into' is null then
      update turns set status = 'superseded', reason = 'contact_unmerged', ended_at = clock_timestamp()
        where conversation_id = v_from and status = 'open';
      update conversations set contact_id = v_drop where id = v_from;
      continue;
    end if;
    v_into := (v_moved ->> 'into')::bigint;
    v_shift := (v_moved ->> 'shift')::bigint;
    v_last := (v_moved ->> 'last_seq')::bigint;
    perform 1 from conversations where id in (v_from, v_into) order by id for update;
    update turns set status = 'superseded', reason = 'contact_unmerged', ended_at = clock_timestamp()
      where conversation_id = v_into and status = 'open';
    update messages set conversation_id = v_from, seq = seq - v_shift where conversation_id = v_into and seq > v_shift
      and seq <= v_shift + v_last;
    update messages m set provider_id = d.provider_id
      from jsonb_to_recordset(v_moved -> 'ids') d (id bigint, provider_id text)
      where m.id = d.id and m.conversation_id = v_from and m.provider_id is null;
    update conversations set merged_into = null, last_seq = v_last where id = v_from;
    delete from summaries where conversation_id = v_into and through_seq > v_shift;
    update conversations c set jid = b.jid, last_inbound_at = (select max(m.provider_at) from messages m
      where m.conversation_id = c.id and m.direction = 'in' and m.type <> 'reaction'),
        takeover_since = case when c.takeover_until is distinct from (v_moved ->> 'takeover_until')::timestamptz
          then c.takeover_since else b.takeover_since end,
        takeover_until = case when c.takeover_until is distinct from (v_moved ->> 'takeover_until')::timestamptz
          then c.takeover_until else b.takeover_until end,
        controlled_by = case when c.controlled_by = v_moved ->> 'controlled_by' then b.controlled_by
          else c.controlled_by end,
        escalation_reason = case when c.controlled_by = v_moved ->> 'controlled_by' then b.escalation_reason
          else c.escalation_reason end,
        mode = case when c.mode = v_moved ->> 'mode' then b.mode else c.mode end,
        inbound_seq = c.inbound_seq + 1
      from jsonb_populate_record(null::conversations, v_moved -> 'before') b where c.id = v_into;
    update handoffs set conversation_id = v_from
      where conversation_id = v_into and id in (select jsonb_array_elements_text(v_moved -> 'handoffs')::bigint);
    update handoffs h set status = d.status, returned_at = null
      from jsonb_to_recordset(v_moved -> 'doubled') d (id bigint, status text)
      where h.id = d.id and h.conversation_id = v_from and h.status = 'returned';
    update turns set conversation_id = v_from
      where conversation_id = v_into and id in (select jsonb_array_elements_text(v_moved -> 'turns')::bigint);
    update tool_calls set conversation_id = v_from
      where conversation_id = v_into and turn_id in (select jsonb_array_elements_text(v_moved -> 'turns')::bigint);
    with back as (update tool_writes set conversation_id = v_from where conversation_id = v_into
        and turn_id in (select jsonb_array_elements_text(v_moved -> 'turns')::bigint) returning id)
      update approvals a set conversation_id = v_from from back where a.write_id = back.id;
    -- a pause that came over from the other one goes back with it
    if v_moved ->> 'pause' is not null and (select j.id from julia_status j
      where j.scope = 'conversation' and j.target = v_into::text order by j.id desc
      limit 1) = (v_moved ->> 'pause')::bigint then
      insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target)
        values (p_tenant, coalesce(v_moved ->> 'paused_before', 'ativo'), null, 'contact.unmerge', 'conversation',
        v_into::text);
    end if;
  end loop;
  update contact_merges set undone_at = clock(p_now) where id = v_merge.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'contact.unmerge', p_kept::text, jsonb_build_object('merged', v_drop), clock(p_now));
  return jsonb_build_object('outcome', 'unmerged', 'merged', v_drop);
end $$;

-- unlearn_lids: the lids that a number taught of people who have a phone are nobody's again: its secret was known to
-- somebody who may have paired strangers with them. A true pair is learned again from its next message.
-- Guarantee: what waits for such a person on that number does not leave, since it may answer the stranger; what is
--   written later goes to the phone, also the answer of a turn that is open. An opt-out stays with the lid too. History
--   and memory stay as they are. Audited.
-- Arguments: p_since only lids that were learned from then on; null: all.
-- Concurrency: any; a message that comes at the same moment may still be taken for the person. Result: {outcome:
--   'unlearned', lids} | {outcome: 'unknown'} the tenant has no such number.
create or replace function unlearn_lids(
  p_tenant text, p_name text, p_since timestamptz, p_actor text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_instance instances;
  v_lid contact_addresses;
  v_phone text;
  v_lids int := 0;
begin
  select * into v_instance from instances where name = p_name and tenant_id = p_tenant;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  perform 1 from contacts where id in (select contact_id from contact_addresses
    where instance_id = v_instance.id and kind = 'lid') order by id for no key update;
  for v_lid in select * from contact_addresses where instance_id = v_instance.id and kind = 'lid'
    and created_at >= coalesce(p_since, '-infinity') order by contact_id, id loop
    select coalesce(written, address) || '@s.whatsapp.net' into v_phone from contact_addresses
      where contact_id = v_lid.contact_id and kind = 'pn' order by delivered_at desc nulls last, id desc limit 1;
    continue when not found;
    insert into opt_outs (tenant_id, address_hash, source, said_on, created_at)
      select tenant_id, address_hash('lid', v_instance.id, v_lid.address), source, said_on, created_at from opt_outs
      where contact_id = v_lid.contact_id and revoked_at is null
      on conflict do nothing;
    with talk as (update conversations set jid = v_phone where contact_id = v_lid.contact_id
      and instance_id = v_instance.id and merged_into is null and jid = v_lid.address || '@lid' returning id)
    update messages m set status = 'cancelled', reason = 'address_unlearned' from talk
      where m.conversation_id = talk.id and m.direction = 'out' and m.status in ('queued', 'draft');
    delete from contact_addresses where id = v_lid.id;
    v_lids := v_lids + 1;
  end loop;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'instance.unlearn', p_name, jsonb_build_object('lids', v_lids, 'since', p_since),
      clock(p_now));
  return jsonb_build_object('outcome', 'unlearned', 'lids', v_lids);
end $$;

-- judge_pair: what it means that a phone number and a lid came as one person's. A lid names an account, a phone number
-- is lent. Pure.
-- Arguments: p_facts {pn, lid: who has the address, null: nobody; other_lid: whoever has the number has another lid on
--   this instance; other_pn: whoever has the lid has another number; parted: a merge of the two was taken back by a
--   person; old: the message is older than the number's place; pn_elsewhere, lid_elsewhere: whoever has the address is
--   also another number's contact, for which who told the pair may not speak}.
-- Result: 'same' nothing to do | 'create' somebody new, with both | 'learn' the one who is known gets the other address
--   | 'merge' two who are one | 'new_phone' the account has another number now and keeps everything; the old number is
--   nobody's
--   | 'new_account' the number is another account's now: somebody new, who sees nothing of the one before
--   | 'moved' the number is another known account's now | 'lid_only' an old message of a number that has moved since,
--   or a pair that would change somebody of another number: the lid says whose it is, and nothing moves.
create or replace function judge_pair(p_facts jsonb)
returns text language plpgsql immutable set search_path = public, pg_temp as $$
declare
  v_pn bigint := (p_facts ->> 'pn')::bigint;
  v_lid bigint := (p_facts ->> 'lid')::bigint;
  v_other_lid boolean := coalesce((p_facts ->> 'other_lid')::boolean, false);
  v_other_pn boolean := coalesce((p_facts ->> 'other_pn')::boolean, false);
  v_parted boolean := coalesce((p_facts ->> 'parted')::boolean, false);
  v_old boolean := coalesce((p_facts ->> 'old')::boolean, false);
  v_pn_elsewhere boolean := coalesce((p_facts ->> 'pn_elsewhere')::boolean, false);
begin
  return case
    when v_pn = v_lid then 'same'
    when v_pn is null and v_lid is null then 'create'
    when v_lid is null then case when not v_other_lid then 'learn' when v_old or v_pn_elsewhere then 'lid_only'
      else 'new_account' end
    when (p_facts ->> 'lid_elsewhere')::boolean then 'lid_only'
    when v_pn is null then case when v_other_pn then 'new_phone' else 'learn' end
    when not v_other_lid and not v_other_pn and not v_parted then 'merge'
    when v_old or v_pn_elsewhere then 'lid_only'
    else 'moved' end;
end $$;

-- speaks_alone: whether a credential speaks for one number only: it has that number's own secret. Such a one changes
-- nothing of what other numbers know of a person. Arguments: p_from see speaks_for; null: the secret of the
-- installation.
create or replace function speaks_alone(p_from jsonb) returns boolean language sql immutable as
$$ select coalesce(p_from ? 'instance', false) $$;

-- known_elsewhere: whether a contact is also another number's: one of its addresses came from there, or it has a
-- conversation there. Read only.
create or replace function known_elsewhere(p_contact bigint, p_instance_id bigint)
returns boolean language sql stable as $$
  select exists (select from contact_addresses where contact_id = p_contact and instance_id <> p_instance_id)
    or exists (select from conversations where contact_id = p_contact and instance_id <> p_instance_id)
$$;

-- pair_facts: what judge_pair looks at. Arguments: p_from who told the pair. Read only.
create or replace function pair_facts(
  p_instance instances, p_pn text, p_lid text, p_sent_at timestamptz, p_from jsonb
) returns jsonb language plpgsql stable set search_path = public, pg_temp as $$
declare v_pn contact_addresses; v_lid contact_addresses; v_alone boolean := speaks_alone(p_from);
begin
  select * into v_pn from contact_addresses where kind = 'pn' and tenant_id = p_instance.tenant_id and address = p_pn;
  select * into v_lid from contact_addresses where kind = 'lid' and instance_id = p_instance.id and address = p_lid;
  return jsonb_build_object('pn', v_pn.contact_id, 'lid', v_lid.contact_id, 'old',
    p_sent_at < date_trunc('second', v_pn.moved_at),
    'other_lid', exists (select from contact_addresses where contact_id = v_pn.contact_id and kind = 'lid'
      and instance_id = p_instance.id and address <> p_lid),
    'other_pn', exists (select from contact_addresses where contact_id = v_lid.contact_id and kind = 'pn'
      and address <> p_pn),
    'pn_elsewhere', v_alone and known_elsewhere(v_pn.contact_id, p_instance.id),
    'lid_elsewhere', v_alone and known_elsewhere(v_lid.contact_id, p_instance.id),
    'parted', exists (select from contact_merges where kept = least(v_pn.contact_id, v_lid.contact_id)
      and merged = greatest(v_pn.contact_id, v_lid.contact_id) and undone_at is not null));
end $$;

-- said_on_both: where two opt-outs were said that are one from now on. One of an operator stays one.
create or replace function said_on_both(p_a bigint[], p_b bigint[]) returns bigint[] language sql immutable as $$
  select case when p_a = '{}' or p_b = '{}' then '{}'
    else p_a || array(select unnest(p_b) except select unnest(p_a)) end
$$;

-- hand_on_opt_out: an opt-out stays with the phone: whoever has it now (p_to; null: nobody that is known) has opted out
-- too.
create or replace function hand_on_opt_out(p_contact bigint, p_to bigint, p_pn text) returns void language sql as $$
  insert into opt_outs (tenant_id, address_hash, source, said_on, created_at)
    select o.tenant_id, address_hash('pn', null, p_pn), o.source, o.said_on, o.created_at
      from opt_outs o where o.contact_id = p_contact and o.revoked_at is null and p_to is null
    on conflict do nothing;
  insert into opt_outs (tenant_id, contact_id, source, said_on, created_at)
    select o.tenant_id, p_to, o.source, o.said_on, o.created_at
      from opt_outs o where o.contact_id = p_contact and o.revoked_at is null and p_to is not null
    on conflict (contact_id) where revoked_at is null
      do update set said_on = said_on_both(opt_outs.said_on, excluded.said_on)
$$;

-- move_phone: a phone number is another contact's from now on, or (p_to null) nobody's that is known.
-- Guarantee: that it was theirs until now is kept (former_phones). Who had it keeps history and memory and is answered
--   at a lid where there is one; what waits for whoever has no other address is not sent to the new owner. An opt-out
--   stays with the phone: whoever has it now has opted out too. Audited without the number; `contact merge` takes it
--   back.
-- Concurrency: the caller holds the locks of both contacts.
create or replace function move_phone(p_instance instances, p_pn text, p_to bigint, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v contact_addresses; v_talk conversations; v_jid text;
begin
  select * into v from contact_addresses where kind = 'pn' and tenant_id = p_instance.tenant_id and address = p_pn;
  perform hand_on_opt_out(v.contact_id, p_to, p_pn);
  insert into former_phones (tenant_id, contact_id, address, until)
    values (p_instance.tenant_id, v.contact_id, p_pn, p_now);
  if p_to is null then delete from contact_addresses where id = v.id;
  else update contact_addresses set contact_id = p_to, instance_id = p_instance.id, delivered_at = null,
    moved_at = p_now where id = v.id; end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_instance.tenant_id, 'runtime', 'contact.phone_moved', v.contact_id::text,
      jsonb_build_object('to', p_to, 'instance', p_instance.name), p_now);
  -- by its end: a jid may have another writing of the number
  for v_talk in select * from conversations where contact_id = v.contact_id and merged_into is null and jid like '%'
    || right(p_pn, 8) || '@s.whatsapp.net' order by id for no key update loop
    select case kind when 'lid' then address || '@lid' else address || '@s.whatsapp.net' end into v_jid
      from contact_addresses
      where contact_id = v.contact_id and (kind = 'pn' or instance_id = v_talk.instance_id)
        order by kind = 'lid' desc, delivered_at desc nulls last, id desc limit 1;
    update conversations set jid = coalesce(v_jid, 'moved') where id = v_talk.id;
    if v_jid is null then
      update messages set status = 'cancelled', reason = 'phone_moved'
        where id in (select message_id from outbox where conversation_id = v_talk.id
          union all select message_id from drafts where conversation_id = v_talk.id) and status in ('queued', 'draft');
    end if;
  end loop;
end $$;

-- ensure_contact: the person behind an address or a pair of them, made, merged or told apart as needed (see
-- judge_pair).
-- Arguments: p_instance the number; p_pn canonical phone digits or null; p_lid lid digits or null (at least one);
--   p_name shown when new; p_sent_at when the message was sent that names them, so that an old one moves nothing back;
--   null: now. p_event the message, when it may be one of somebody who was erased (see is_erased). p_from who told it
--   (see speaks_for): whoever speaks for one number only moves nothing of a person whom another number knows, and does
--   not vouch for a pair.
-- Concurrency: any number of callers; the unique keys of contact_addresses decide a race, and what changes a known
--   contact looks again under its lock. An erasure that is under way is waited for. Result: contact id, which no other
--   transaction merges away or erases before this one ends; null: the message is of an erased person, and nobody was
--   made.
create or replace function ensure_contact(p_instance instances, p_pn text, p_lid text, p_name text,
  p_sent_at timestamptz default null, p_now timestamptz default null,
    p_event jsonb default null, p_from jsonb default null)
returns bigint language plpgsql set search_path = public, pg_temp as $$
declare
  v_pn bigint;
  v_lid bigint;
  v_id bigint;
  v_vouched text;
  v_facts jsonb;
  v_verdict text;
begin
  loop
    v_pn := null;
    v_lid := null;
    v_vouched := null;
    -- asked for null, Postgres would plan each of these anew: that costs more than all the rest
    if p_pn is not null then select contact_id into v_pn from contact_addresses
      where kind = 'pn' and tenant_id = p_instance.tenant_id and address = p_pn; end if;
    if p_lid is not null then select contact_id, vouched_phone into v_lid, v_vouched from contact_addresses
      where kind = 'lid' and instance_id = p_instance.id and address = p_lid; end if;
    v_id := coalesce(v_pn, v_lid);
    v_verdict := case when p_pn is null or p_lid is null then case when v_id is null then 'create' else 'same' end
      when v_pn = v_lid then 'same' when v_id is null then 'create' end;
    if v_verdict is null then
      -- somebody known is about to change: whoever else is at it has ended when we hold the locks
      perform 1 from contacts where id in (v_pn, v_lid) order by id for no key update;
      v_facts := pair_facts(p_instance, p_pn, p_lid, coalesce(p_sent_at, clock(p_now)), p_from);
      continue when (v_facts ->> 'pn')::bigint is distinct from v_pn
        or (v_facts ->> 'lid')::bigint is distinct from v_lid;
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
        v_id := ensure_contact(p_instance, null, p_lid, p_name, p_sent_at, p_now, p_event);
        if v_lid is null and (v_facts ->> 'pn_elsewhere')::boolean
          then perform hand_on_opt_out(v_pn, v_id, p_pn); end if;
        return v_id;
      else
        insert into contacts (tenant_id, name) values (p_instance.tenant_id, p_name) returning id into v_id;
        if v_verdict = 'new_account' then perform move_phone(p_instance, p_pn, v_id, clock(p_now)); end if;
    end case;
    if p_name is not null and v_verdict not in ('create', 'new_account') then update contacts set name = p_name
      where id = v_id and name is null; end if;
    if p_pn is not null and v_pn is null then
      insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address)
        values (p_instance.tenant_id, p_instance.id, v_id, 'pn', p_pn) on conflict do nothing;
      select contact_id into v_pn from contact_addresses where kind = 'pn' and tenant_id = p_instance.tenant_id
        and address = p_pn;
      perform honour_suppression(p_instance, v_id, p_pn, null);
    end if;
    if p_lid is not null and v_lid is null and (v_pn is null or v_pn = v_id or v_verdict = 'new_account') then
      insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address)
        values (p_instance.tenant_id, p_instance.id, v_id, 'lid', p_lid) on conflict do nothing;
      perform honour_suppression(p_instance, v_id, null, p_lid);
    end if;
    if v_verdict in ('new_phone', 'moved') then
      perform move_phone(p_instance, a.address, null, clock(p_now)) from contact_addresses a
        where a.contact_id = v_id and a.kind = 'pn' and a.address <> p_pn;
    end if;
    -- a merge or an erasure that is under way takes this contact away: wait for it, and look again
    perform 1 from contacts where id = v_id and merged_into is null and erased_at is null for key share;
    exit when found and (v_verdict = 'same' or
      ((p_pn is null or v_id = (select contact_id from contact_addresses
        where kind = 'pn' and tenant_id = p_instance.tenant_id and address = p_pn))
        and (p_lid is null or v_id = (select contact_id from contact_addresses
          where kind = 'lid' and instance_id = p_instance.id and address = p_lid))));
    -- somebody else wrote one of these addresses meanwhile: look again (an empty contact of ours goes)
    if v_verdict = 'create' then
      delete from opt_outs o where o.contact_id = v_id and not exists (select from contact_addresses a
        where a.contact_id = v_id);
      delete from contacts c where c.id = v_id and not exists (select from contact_addresses a
        where a.contact_id = c.id);
    end if;
  end loop;
  if p_pn is not null and p_lid is not null and v_vouched is distinct from p_pn and not speaks_alone(p_from) then
    update contact_addresses set vouched_phone = p_pn
      where kind = 'lid' and instance_id = p_instance.id and address = p_lid;
  end if;
  return v_id;
end $$;

-- one_writing: a phone's digits without the one that some countries write or leave out, so that both writings compare
-- equal; as TWO_WRITINGS of words/phone.ts.
create or replace function one_writing(p_digits text) returns text language sql immutable as
$$ select regexp_replace(p_digits, '^(?:(55[1-9]{2})9(?=[6-9]\d{7}$)|(52)1(?=\d{10}$)|(54)9(?=\d{10}$))', '\1\2\3') $$;

-- both_writings: a phone's digits in all writings that WhatsApp has for it, for a search in what it wrote; other digits
-- as they are.
create or replace function both_writings(p_digits text) returns text[] language sql immutable as $$
  select array_agg(distinct w) from (values (p_digits), (one_writing(p_digits)),
    (regexp_replace(regexp_replace(one_writing(p_digits), '^(55[1-9]{2}(?=[6-9]\d{7}$)|54(?=\d{10}$))', '\19'),
      '^52(?=\d{10}$)', '521'))) x (w)
$$;

-- address_row: the row of contact_addresses behind an address of a contact, in either writing; null: none.
create or replace function address_row(p_contact bigint, p_jid text) returns bigint language sql stable as $$
  select a.id from contact_addresses a where a.contact_id = p_contact and case when p_jid like '%@lid'
    then a.kind = 'lid' and a.address = split_part(p_jid, '@', 1)
    else a.kind = 'pn' and one_writing(a.address) = one_writing(split_part(p_jid, '@', 1)) end order by a.id limit 1
$$;

-- leads_to: whether an address of a contact on a number is that of a phone: the phone itself, in either writing, or a
-- lid of which somebody who speaks for all numbers has said so. The word of one number's own secret is none: who has
-- that may pair a lid of his own with any phone. Read only.
create or replace function leads_to(p_contact bigint, p_instance_id bigint, p_jid text, p_phone text)
returns boolean language sql stable as $$
  select case when p_jid like '%@lid' then exists (select from contact_addresses where kind = 'lid'
      and instance_id = p_instance_id and address = split_part(p_jid, '@', 1) and contact_id = p_contact
      and vouched_phone = p_phone)
    else one_writing(split_part(p_jid, '@', 1)) = one_writing(p_phone) end
$$;

-- dial: how a call to Evolution names an address. A phone whose writing WhatsApp has told is named as WhatsApp does;
-- one that somebody typed goes as bare digits, under which alone Evolution looks for both writings (contract 4.5).
create or replace function dial(p_contact bigint, p_jid text)
returns text language plpgsql stable set search_path = public, pg_temp as $$
begin
  if p_jid not like '%@s.whatsapp.net' then return p_jid; end if;
  return coalesce((select a.written || '@s.whatsapp.net' from contact_addresses a where a.contact_id = p_contact
      and a.kind = 'pn' and one_writing(a.address) = one_writing(split_part(p_jid, '@', 1)) order by a.id limit 1),
    split_part(p_jid, '@', 1));
end $$;

-- confirm_address: WhatsApp itself names a contact's phone so: in the key of a message, in the answer to a send.
-- Idempotent.
create or replace function confirm_address(p_contact bigint, p_jid text) returns void language sql as $$
  update contact_addresses set written = split_part(p_jid, '@', 1)
    where p_jid like '%@s.whatsapp.net' and id = address_row(p_contact, p_jid)
    and written is distinct from split_part(p_jid, '@', 1)
$$;

-- address_refused: Evolution found nobody under this address within the last week.
create or replace function address_refused(p_contact bigint, p_jid text, p_now timestamptz)
returns boolean language sql stable as $$
  select exists (select from contact_addresses a
    where a.id = address_row(p_contact, p_jid) and a.refused_at > p_now - interval '7 days')
$$;

-- address_hash: what is left of an address when its owner is erased. A phone number is one person in a tenant, in
-- whichever writing; a lid only on the number where it was seen.
create or replace function address_hash(p_kind text, p_instance bigint, p_address text)
returns text language sql stable as
$$ select keyed_hash(p_kind || case p_kind when 'lid' then '/' || p_instance else '' end || '/' || case p_kind when 'pn'
  then one_writing(p_address) else p_address end) $$;

-- message_hash: what is left of a message: its id at WhatsApp, on the number where it was seen.
create or replace function message_hash(p_instance bigint, p_provider_id text) returns text language sql stable as
$$ select keyed_hash('message/' || p_instance || '/' || p_provider_id) $$;

-- is_erased: whether a message that comes is one of somebody who was erased after it was sent, or our own to such a
-- person, whose echo is late. What is sent after an erasure is somebody new's. Times are WhatsApp's, in whole seconds.
-- Read only.
create or replace function is_erased(p_instance instances, p_event jsonb, p_sent_at timestamptz)
returns boolean language plpgsql stable set search_path = public, pg_temp as $$
declare v_own boolean := coalesce((p_event ->> 'fromMe')::boolean, false);
begin
  if not exists (select from erasures where tenant_id = p_instance.tenant_id) then return false; end if;
  return exists (select from erasures where tenant_id = p_instance.tenant_id and hash = message_hash(p_instance.id,
    p_event ->> 'providerId'))
    or exists (select from (values ('pn', p_event -> 'chat' ->> 'pn'), ('lid', p_event -> 'chat' ->> 'lid'),
      ('pn', p_event -> 'alt' ->> 'pn'), ('lid', p_event -> 'alt' ->> 'lid')) a (kind, address)
      join erasures e on e.tenant_id = p_instance.tenant_id and e.hash = address_hash(a.kind, p_instance.id, a.address)
      where p_sent_at < date_trunc('second', e.erased_at) or (v_own and p_sent_at <= e.own_until));
end $$;

-- is_erased_news: whether news about a message that nobody knows is about one of an erased person, who has not written
-- again. Read only.
create or replace function is_erased_news(p_instance instances, p_event jsonb)
returns boolean language plpgsql stable set search_path = public, pg_temp as $$
begin
  return exists (select from erasures where tenant_id = p_instance.tenant_id)
    and (exists (select from erasures where tenant_id = p_instance.tenant_id and hash = message_hash(p_instance.id,
      p_event ->> 'providerId'))
      or names_erased(p_instance, jsonb_strip_nulls(coalesce(nullif(p_event -> 'chat', 'null'), '{}')),
        (p_event ->> 'changedAt')::timestamptz));
end $$;

-- digits_in: what in a JSON may be an address.
create or replace function digits_in(p_body jsonb) returns setof text language sql immutable as
$$ select distinct f.found[1] from regexp_matches(p_body::text, '[0-9]{8,20}', 'g') as f (found) $$;

-- oldest_in: when the oldest message in a webhook was sent, by the times that the gateway itself wrote; null: it tells
-- none. Quotes in what people write are escaped, so their words are no time.
create or replace function oldest_in(p_body jsonb) returns timestamptz language sql immutable as $$
  select to_timestamp(min(case when length(f.found[1]) > 11 then f.found[1]::numeric / 1000
    else f.found[1]::numeric end)::double precision)
    from regexp_matches(p_body::text, '"messageTimestamp": (?:"|\{"low": )?([0-9]{9,13})', 'g') as f (found)
$$;

-- names_erased: whether this JSON names an address of somebody who was erased: of somebody who has written again, when
-- it is of before the erasure.
-- Guarantee: every address in it is looked at; some 0.1 ms each, where anybody was erased, so callers bound what they
--   give. Arguments: p_at when it was said, null: not known. Read only: see hold_named.
create or replace function names_erased(p_instance instances, p_body jsonb, p_at timestamptz)
returns boolean language plpgsql stable set search_path = public, pg_temp as $$
begin
  return exists (select from erasures where tenant_id = p_instance.tenant_id) and exists (
    with hits as materialized (
      select a.kind, d.d as digits, e.erased_at
        from digits_in(p_body) d (d) cross join (values ('pn'), ('lid')) a (kind)
        -- a limit: by its index, whatever the planner thinks
        cross join lateral (select erased_at from erasures e
          where e.tenant_id = p_instance.tenant_id and e.hash = address_hash(a.kind, p_instance.id, d.d) limit 1) e)
    select from hits h where p_at < date_trunc('second', h.erased_at) or not exists (select from contact_addresses c
      where c.tenant_id = p_instance.tenant_id and c.kind = h.kind
      and c.address = any (case h.kind when 'pn' then both_writings(h.digits) else array[h.digits] end)));
end $$;

-- hold_named: whom this JSON names is not erased from here to the end of the transaction; an erasure that is under way
-- is waited for, so that names_erased then knows it.
-- Concurrency: locks contacts, so it comes before the locks of conversations and of ids of messages, as everywhere.
create or replace function hold_named(p_instance instances, p_body jsonb)
returns void language plpgsql set search_path = public, pg_temp as $$
begin
  perform 1 from contacts where id in (
      select c.contact_id from digits_in(p_body) d cross join lateral (
        (select a.contact_id from contact_addresses a where a.tenant_id = p_instance.tenant_id and a.kind = 'pn'
          and a.address = any (both_writings(d)) limit 1)
        union all (select a.contact_id from contact_addresses a where a.instance_id = p_instance.id and a.kind = 'lid'
          and a.address = d limit 1)) c)
    order by id for key share;
end $$;

-- gone_meanwhile: waits for an erasure of the contact of a message that was just found. Result: whether it took the
-- message away.
create or replace function gone_meanwhile(m messages)
returns boolean language plpgsql set search_path = public, pg_temp as $$
begin
  perform 1 from contacts k join conversations c on c.contact_id = k.id
    where c.id = m.conversation_id for key share of k;
  return not exists (select from messages where id = m.id) and exists (select from erasures
    where tenant_id = m.tenant_id and hash = message_hash(m.instance_id, coalesce(m.provider_id, m.wire_id)));
end $$;

-- bury_message: a message of somebody who was erased came again: it is known by its id from now on.
create or replace function bury_message(p_instance instances, p_provider_id text, p_now timestamptz)
returns void language sql as $$
  insert into erasures (tenant_id, kind, hash, erased_at)
    values (p_instance.tenant_id, 'message', message_hash(p_instance.id, p_provider_id), p_now) on conflict do nothing
$$;

-- bury_contacts: before contacts are erased: hashes of all their addresses and messages. A phone number that they had
-- before is theirs until it was another's. Repeats only move an address's time forward.
-- Concurrency: the caller holds the contacts' locks and deletes the rows after this.
create or replace function bury_contacts(
  p_tenant text, p_contacts bigint[], p_conversations bigint[], p_now timestamptz
) returns void language plpgsql set search_path = public, pg_temp as $$
declare v_own_until timestamptz;
begin
  -- of what was on its way nobody knows the id yet, and Evolution may be at it for minutes
  select max(claimed_at) + interval '5 minutes' into v_own_until from messages
    where conversation_id = any (p_conversations) and direction = 'out' and provider_id is null and claim > 0
      and status in ('sending', 'uncertain', 'unproven', 'queued', 'failed');
  insert into erasures (tenant_id, kind, hash, erased_at, own_until)
    select distinct p_tenant, 'address', address_hash(kind, instance_id, address), p_now, v_own_until
      from contact_addresses where contact_id = any (p_contacts)
    on conflict (tenant_id, hash) do update set erased_at = greatest(erasures.erased_at, excluded.erased_at),
      own_until = greatest(erasures.own_until, excluded.own_until);
  insert into erasures (tenant_id, kind, hash, erased_at)
    select p_tenant, 'address', address_hash('pn', null, address), least(p_now, max(until)) from former_phones
      where contact_id = any (p_contacts) group by address
    on conflict (tenant_id, hash) do update set erased_at = greatest(erasures.erased_at, excluded.erased_at);
  insert into erasures (tenant_id, kind, hash, erased_at)
    select distinct p_tenant, 'message', message_hash(m.instance_id, i.id), p_now
      from messages m cross join lateral (values (m.provider_id), (m.wire_id)) i (id)
    where m.conversation_id = any (p_conversations) and i.id is not null
    on conflict do nothing;
end $$;

-- list_erasures: what a restore of any backup since p_since must know. Read only. Result: [{tenant, kind, hash,
-- erased_at, own_until}].
create or replace function list_erasures(p_since timestamptz)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant', tenant_id, 'kind', kind, 'hash', hash, 'erased_at', erased_at,
    'own_until', own_until) order by id), '[]')
  from erasures where erased_at >= coalesce(p_since, '-infinity')
$$;

-- apply_erasures: a backup was restored: who was erased after it was made is erased in it too. Repeats change nothing.
-- Arguments: p_erasures as list_erasures gives them. Concurrency: no process runs yet. Result: {erased: contacts}.
create or replace function apply_erasures(p_erasures jsonb, p_actor text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v record; v_erased int := 0; v_known jsonb;
begin
  with known as (insert into erasures (tenant_id, kind, hash, erased_at, own_until)
    select e.tenant, min(e.kind), e.hash, max(e.erased_at), max(e.own_until)
      from jsonb_to_recordset(p_erasures) as e (tenant text, kind text, hash text, erased_at timestamptz,
      own_until timestamptz)
      join tenants t on t.id = e.tenant group by e.tenant, e.hash
    on conflict (tenant_id, hash) do update set erased_at = greatest(erasures.erased_at, excluded.erased_at),
      own_until = greatest(erasures.own_until, excluded.own_until)
    returning tenant_id, hash, erased_at) select jsonb_agg(k) into v_known from known k;
  for v in
    select a.tenant_id, a.contact_id, max(e.erased_at) as erased_at from contact_addresses a
      join contacts c on c.id = a.contact_id
      join erasures e on e.tenant_id = a.tenant_id and e.kind = 'address' and e.hash = address_hash(a.kind,
        a.instance_id, a.address)
    -- a number that was this person's only since then was not erased with the one who had it before
    where c.created_at < e.erased_at and greatest(a.created_at, a.moved_at) < e.erased_at group by 1, 2 order by 2
  loop
    if erase_contact(v.tenant_id, v.contact_id, null, p_actor, 'erased after the backup was made',
      v.erased_at) ->> 'outcome' = 'erased' then v_erased := v_erased + 1; end if;
  end loop;
  -- in the backup a person may still have a number that was another's before the erasure: what that one wrote is not
  -- gone
  update erasures e set erased_at = k.erased_at
    from jsonb_to_recordset(v_known) as k (tenant_id text, hash text, erased_at timestamptz)
    where e.tenant_id = k.tenant_id and e.hash = k.hash and e.erased_at > k.erased_at;
  return jsonb_build_object('erased', v_erased);
end $$;

-- pause_status: what was said last of a scope: 'pausado', 'ativo', or null when nothing was. The newest row counts. A
-- campaign is a tenant's: two tenants may have one of the same name.
create or replace function pause_status(p_scope text, p_target text, p_tenant text)
returns text language plpgsql stable set search_path = public, pg_temp as $$
begin
  return (select j.status from julia_status j where j.scope = p_scope and j.target = p_target
    and (p_scope <> 'campaign' or j.tenant_id = p_tenant) order by j.id desc limit 1);
end $$;

-- pause_reason: the scope of the pause that holds a conversation now, or null: the widest one.
create or replace function pause_reason(p_tenant text, p_instance text, p_conversation bigint, p_campaign text)
returns text language plpgsql stable set search_path = public, pg_temp as $$
begin
  -- one statement: a call of pause_status for each costs as much as all the rest of a claim
  return (select s.scope from (values ('all', ''), ('tenant', p_tenant), ('instance', p_instance),
      ('conversation', p_conversation::text), ('campaign', p_campaign)) as s (scope, target)
    where (select j.status from julia_status j where j.scope = s.scope and j.target = s.target
      and (s.scope <> 'campaign' or j.tenant_id = p_tenant) order by j.id desc limit 1) = 'pausado' limit 1);
end $$;

-- is_observed: the agent only looks on here: it reads and notes, and nothing leaves but what a person writes by hand
-- (first_guard). By the mode of the conversation, by its number, or by the agent of that number. The planner writes it
-- into the statement; nearly always no number and no agent is observed, and then nothing else is looked at.
create or replace function is_observed(p conversations) returns boolean language sql stable as $$
  select p.mode = 'observe' or exists (select from observed o join instances i on i.id = p.instance_id
    where o.tenant_id = p.tenant_id and o.target = case o.scope when 'instance' then i.name
      else (select (agent_of(i)).slug) end)
$$;

-- set_observed: of a number, an agent or a conversation: the agent only looks on from now on, or no longer. Audited.
-- Guarantee: from the next claim of a send on nothing leaves, see first_guard; a turn that runs ends without an answer.
--   When it ends, what came meanwhile stays unanswered (skipped, observed), what waited to be answered is dropped, and
--   what nobody asked for goes on.
-- Arguments: p_scope 'instance' (p_target its name) | 'agent' (its slug) | 'conversation' (its id, in digits; another
--   mode than observe is left alone when it ends). Concurrency: any; repeats change nothing.
-- Result: {outcome: 'done' | 'already' | 'unknown'}.
create or replace function set_observed(p_tenant text, p_scope text, p_target text, p_on boolean, p_actor text,
  p_reason text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_talk bigint := case when p_scope = 'conversation' then p_target::bigint end;
begin
  if not exists (select from conversations where id = v_talk and tenant_id = p_tenant and merged_into is null
      union all select from instances where p_scope = 'instance' and tenant_id = p_tenant and name = p_target
      union all select from agents where p_scope = 'agent' and tenant_id in (p_tenant, 'default') and slug = p_target)
    then return jsonb_build_object('outcome', 'unknown'); end if;
  if v_talk is not null then
    update conversations set mode = case when p_on then 'observe' else 'auto' end
      where id = v_talk and (mode = 'observe') <> p_on;
  elsif p_on then
    insert into observed (tenant_id, scope, target, since, actor, reason)
      values (p_tenant, p_scope, p_target, clock(p_now), p_actor, p_reason) on conflict do nothing;
  else
    delete from observed where tenant_id = p_tenant and scope = p_scope and target = p_target;
  end if;
  if not found then return jsonb_build_object('outcome', 'already'); end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) values (p_tenant, p_actor,
    case when p_on then 'observe.on' else 'observe.off' end, p_scope || ':' || p_target,
    jsonb_build_object('reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'done');
end $$;

-- list_observed: what only looks on: numbers, agents, and single conversations (500 at most). Read only.
-- Result: {scopes: [{scope, target, since, actor, reason}], conversations: [{id, name, instance, labels, summary,
--   observed_at}]}.
create or replace function list_observed(p_tenant text)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object(
    'scopes', (select coalesce(jsonb_agg(to_jsonb(o) - 'tenant_id' order by o.scope, o.target), '[]') from observed o
      where o.tenant_id = p_tenant),
    'conversations', (select coalesce(jsonb_agg(to_jsonb(l) order by l.id), '[]') from (
      select c.id, k.name, i.name as instance, c.observed_labels as labels, c.observed_summary as summary,
          c.observed_at from conversations c
        join contacts k on k.id = c.contact_id join instances i on i.id = c.instance_id
      where c.tenant_id = p_tenant and c.mode = 'observe' and c.merged_into is null order by c.id desc limit 500) l))
$$;

-- conversation_holder: who answers here: 'agent', 'human' (handed over), 'manual' (people), 'observe' (people, and the
-- agent looks on) or 'takeover' (a person types on the phone).
create or replace function conversation_holder(p conversations, p_now timestamptz)
returns text language sql stable as $$
  select case when p.controlled_by = 'human' then 'human' when p.mode <> 'manual' and is_observed(p) then 'observe'
    when p.takeover_until > p_now then 'takeover'
    when p.mode = 'manual' then 'manual' else 'agent' end
$$;

-- standing_opt_out: the contact's opt-out that was not taken back; one row at most. The planner writes it into the
-- statement.
create or replace function standing_opt_out(p_contact bigint) returns setof opt_outs language sql stable as $$
  select * from opt_outs where contact_id = p_contact and revoked_at is null
$$;

-- silenced_by: why the agent may not speak in a conversation now, in the order in which that is told: 'paused_' and the
-- scope; who answers instead ('human', 'takeover', 'manual', 'observe'); 'opted_out' at p_opted_out_since or later.
-- Null: it may.
-- THE answer: claim_turn, renew_turn, complete_turn and first_guard ask it, and what only lists or wakes asks the parts
-- of it. first_guard looks for the opt-out before it, since that ends a message which a pause would keep.
-- Arguments: p_campaign of the message that is to leave, or null; p_opted_out_since null: an opt-out does not count,
--   since who writes after one is answered.
create or replace function silenced_by(v conversations, p_now timestamptz, p_campaign text default null,
  p_opted_out_since timestamptz default null)
returns text language plpgsql stable set search_path = public, pg_temp as $$
begin
  return coalesce(
    'paused_' || pause_reason(v.tenant_id, (select name from instances where id = v.instance_id), v.id, p_campaign),
    nullif(conversation_holder(v, p_now), 'agent'),
    (select 'opted_out' from standing_opt_out(v.contact_id) o where o.created_at >= p_opted_out_since));
end $$;

-- open_handoff: a person is needed. One open handoff per conversation and kind; a second request adds nothing.
-- p_controls true: the agent is quiet until the conversation is returned; false: only listed (an old message, an
-- unproven send).
create or replace function open_handoff(p_conversation bigint, p_turn bigint, p_reason text, p_summary text,
  p_controls boolean, p_now timestamptz, p_suggestion text default null)
returns void language plpgsql set search_path = public, pg_temp as $$
begin
  insert into handoffs (tenant_id, conversation_id, turn_id, reason, summary, suggestion, controls, created_at)
    select tenant_id, id, p_turn, p_reason, p_summary, p_suggestion, p_controls, clock(p_now) from conversations
      where id = p_conversation
    on conflict do nothing;
  if p_controls then
    update conversations set controlled_by = 'human', escalation_reason = p_reason where id = p_conversation;
  end if;
end $$;

-- close_handoff: what a person was asked to look at has settled itself. Only what is listed and does not hold the agent
-- back, and only while nothing else of the
--   conversation is listed with it. Concurrency: the caller holds the conversation's lock.
create or replace function close_handoff(p_message messages, p_reason text, p_now timestamptz)
returns void language sql as $$
  update handoffs h set status = 'returned', returned_at = p_now, returned_by = 'settled'
    where h.conversation_id = p_message.conversation_id and h.reason = p_reason and not h.controls
      and h.status <> 'returned'
      and not exists (select from messages o where o.conversation_id = h.conversation_id and o.id <> p_message.id
        and (o.status in ('failed', 'unproven') or (o.status = 'handed_over' and o.created_at >= h.created_at)))
$$;

-- add_opt_out: the contact wants no more messages that it did not ask for. Repeats add nothing. Audited; an operator's
-- by set_opt_out, who knows which one.
-- Arguments: p_source message (its own words) | agent (the agent understood so) | operator; p_instance the number on
--   which it was said, which is kept also of a repeat. Result: whether it is new.
create or replace function add_opt_out(
  p_contact bigint, p_source text, p_now timestamptz default null, p_instance bigint default null
) returns boolean language plpgsql set search_path = public, pg_temp as $$
begin
  insert into opt_outs (tenant_id, contact_id, source, said_on, created_at)
    select tenant_id, id, p_source, array_remove(array[p_instance], null), clock(p_now)
      from contacts where id = p_contact on conflict do nothing;
  if not found then
    update opt_outs set said_on = said_on || p_instance where contact_id = p_contact and revoked_at is null
      and p_instance <> all (said_on) and said_on <> '{}';
    return false;
  end if;
  if p_source in ('message', 'agent') then
    insert into audit_log (tenant_id, actor, action, subject, created_at)
      select tenant_id, case p_source when 'message' then 'contact' else p_source end, 'optout.add', 'contact:' || id,
        clock(p_now) from contacts where id = p_contact;
  end if;
  return true;
end $$;

-- honour_suppression: a contact got an address: when its hash opted out, so has the contact. Called by ensure_contact
-- only.
create or replace function honour_suppression(p_instance instances, p_contact bigint, p_pn text, p_lid text)
returns void language sql as $$
  insert into opt_outs (tenant_id, contact_id, source, said_on, created_at)
    select o.tenant_id, p_contact, o.source, o.said_on, o.created_at from opt_outs o
    where o.tenant_id = p_instance.tenant_id and o.contact_id is null and o.revoked_at is null
      and o.address_hash in (address_hash('pn', null, p_pn), address_hash('lid', p_instance.id, p_lid))
    order by o.id limit 1
    on conflict (contact_id) where revoked_at is null
      do update set said_on = said_on_both(opt_outs.said_on, excluded.said_on)
$$;

-- keep_suppression: before contacts are erased: an opt-out that holds is kept as hashes of their addresses too.
-- Guarantee: whoever is made anew with one of these addresses has opted out. Concurrency: the caller holds the
--   contacts' locks and deletes the addresses after this.
create or replace function keep_suppression(p_contacts bigint[]) returns void language sql as $$
  insert into opt_outs (tenant_id, address_hash, source, said_on, created_at)
    select o.tenant_id, address_hash(a.kind, a.instance_id, a.address), o.source, o.said_on, o.created_at
    from opt_outs o join contact_addresses a on a.contact_id = any (p_contacts)
      where o.contact_id = any (p_contacts) and o.revoked_at is null
    on conflict do nothing
$$;

-- revoke_opt_out: the contact wants messages again. Audited with p_actor and p_reason. Result: whether there was an
-- opt-out.
create or replace function revoke_opt_out(p_contact bigint, p_actor text, p_reason text, p_now timestamptz)
returns boolean language plpgsql set search_path = public, pg_temp as $$
declare v_n int;
begin
  update opt_outs o set revoked_at = p_now
    where o.revoked_at is null and (o.contact_id = p_contact
    or (o.contact_id is null and o.tenant_id = (select tenant_id from contacts where id = p_contact)
    and o.address_hash in (select address_hash(a.kind, a.instance_id, a.address) from contact_addresses a
      where a.contact_id = p_contact)));
  get diagnostics v_n = row_count;
  if v_n = 0 then return false; end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    select tenant_id, p_actor, 'optout.revoke', 'contact:' || id, jsonb_build_object('reason', p_reason), p_now
      from contacts where id = p_contact;
  return true;
end $$;

-- take_back_opt_out: the contact says on a number that it wants messages again.
-- Guarantee: whoever speaks for one number only takes back what was said on that number, and nothing that was said on
--   another one, nor what an operator wrote of a person whom another number knows. Arguments: p_from see speaks_for.
-- Concurrency: the caller holds the conversation's lock. Result: whether an opt-out ended.
create or replace function take_back_opt_out(p_conversation conversations, p_from jsonb, p_now timestamptz)
returns boolean language plpgsql set search_path = public, pg_temp as $$
declare
  v_opt_out opt_outs;
  v_here bigint := p_conversation.instance_id;
begin
  select * into v_opt_out from opt_outs where contact_id = p_conversation.contact_id and revoked_at is null;
  if speaks_alone(p_from) and v_opt_out.said_on = '{}' and known_elsewhere(p_conversation.contact_id, v_here)
    then return false; end if;
  if speaks_alone(p_from) and not v_opt_out.said_on <@ array[v_here] then
    update opt_outs set said_on = array_remove(said_on, v_here) where id = v_opt_out.id;
    return false;
  end if;
  return revoke_opt_out(p_conversation.contact_id, 'contact', null, p_now);
end $$;

-- set_opt_out: an operator opts a phone number out, or in again.
-- Guarantee: also of a number that no contact has: it is kept as a hash until one comes. Audited. Concurrency: any;
--   repeats change nothing.
-- Arguments: p_phone canonical digits; p_out true: no more messages. Result: {outcome: 'done' | 'already', contact_id
--   or null}.
create or replace function set_opt_out(
  p_tenant text, p_phone text, p_out boolean, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_contact bigint; v_done boolean; v_now timestamptz := clock(p_now);
begin
  select contact_id into v_contact from contact_addresses
    where kind = 'pn' and tenant_id = p_tenant and address = p_phone;
  if v_contact is not null and not p_out then
    v_done := revoke_opt_out(v_contact, p_actor, p_reason, v_now);
  else
    if v_contact is not null then
      v_done := add_opt_out(v_contact, 'operator', v_now);
    elsif p_out then
      insert into opt_outs (tenant_id, address_hash, source, created_at) select id, address_hash('pn', null, p_phone),
        'operator', v_now from tenants where id = p_tenant on conflict do nothing;
      v_done := found;
    else
      update opt_outs set revoked_at = v_now where tenant_id = p_tenant and contact_id is null and revoked_at is null
        and address_hash = address_hash('pn', null, p_phone);
      v_done := found;
    end if;
    if v_done then
      insert into audit_log (tenant_id, actor, action, subject, details, created_at)
        values (p_tenant, p_actor, case when p_out then 'optout.add' else 'optout.revoke' end,
        case when v_contact is null then 'hash:' || left(address_hash('pn', null, p_phone), 12)
          else 'contact:' || v_contact end, jsonb_build_object('reason', p_reason), v_now);
    end if;
  end if;
  return jsonb_build_object('outcome', case when v_done then 'done' else 'already' end, 'contact_id', v_contact);
end $$;

-- list_opt_outs: who has opted out, the newest first. contact_id null: only the hash of an address is left. Read only.
-- Result: [{id, contact_id, name, phone, source, created_at}].
create or replace function list_opt_outs(p_tenant text, p_limit int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(to_jsonb(l) order by l.id desc), '[]') from (
    select o.id, o.contact_id, c.name, (select a.address from contact_addresses a
      where a.contact_id = o.contact_id and a.kind = 'pn' limit 1) as phone, o.source, o.created_at
    from opt_outs o left join contacts c on c.id = o.contact_id where o.tenant_id = p_tenant and o.revoked_at is null
      order by o.id desc limit p_limit) l
$$;

-- give_back: the agent answers in a conversation again: control, takeover, open handoffs and the quiet after abuse end.
-- Result: how many handoffs. p_by who: an operator, 'handset' or 'timeout'. Concurrency: the caller holds the
--   conversation's lock.
create or replace function give_back(p_conversation bigint, p_by text, p_now timestamptz)
returns int language plpgsql set search_path = public, pg_temp as $$
declare v_n int;
begin
  update handoffs set status = 'returned', returned_at = p_now, returned_by = p_by
    where conversation_id = p_conversation and status <> 'returned';
  get diagnostics v_n = row_count;
  update conversations set controlled_by = 'agent', escalation_reason = null, taken_by = null, taken_at = null,
    takeover_since = null, takeover_until = null, quiet_until = null, quiet_reason = null
    where id = p_conversation;
  return v_n;
end $$;

-- waits_for_person: only people answer here, and the contact's is the last word.
create or replace function waits_for_person(v conversations) returns boolean language sql stable as $$
  select v.mode = 'manual' and exists (select from messages m where m.conversation_id = v.id and m.seq = v.last_seq
    and m.direction = 'in' and m.status = 'handed_over')
$$;

-- handoffs_to_tell: handoffs that people have not heard of, and those that nobody took within p_remind_ms after they
-- had. Read only; the notice's key makes telling twice harmless.
-- Result: [{id, step: 'told' | 'reminded', tenant, conversation_id, instance, reason, summary, suggestion, controls,
--   created_at, name, phone, is_manager, messages: the last 6 [{author, type, text, typed, at, said: false while an
--   answer waits to leave}]}], the oldest first.
create or replace function handoffs_to_tell(
  p_manager text, p_remind_ms int, p_limit int, p_now timestamptz default null
) returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(to_jsonb(l) order by l.id), '[]') from (
    select h.id, case h.status when 'open' then 'told' else 'reminded' end as step, h.tenant_id as tenant,
      h.conversation_id, i.name as instance, h.reason, h.summary, h.suggestion,
      h.controls, h.created_at, k.name, a.address as phone, coalesce(a.address = p_manager, false) as is_manager,
      (select coalesce(jsonb_agg(jsonb_build_object('author', case when m.kind = 'manual' then 'human' else m.author
        end, 'type', m.type, 'text', m.text, 'typed',
        m.typed, 'at', m.provider_at,
          'said', m.direction = 'in' or was_said(m.status)) order by m.seq), '[]') from (
        select * from messages x where x.conversation_id = h.conversation_id and x.type <> 'reaction'
          and x.deleted_at is null and x.kind is distinct from 'operator'
          and not coalesce(x.meaning ?| array['command', 'handset'], false)
            and (x.direction = 'in' or was_said(x.status) or (x.status = 'queued' and not is_proactive(x.kind)
            and x.turn_id is not null))
        order by x.seq desc limit 6) m) as messages
    from handoffs h join conversations c on c.id = h.conversation_id join instances i on i.id = c.instance_id
      join contacts k on k.id = c.contact_id
      left join lateral (select address from contact_addresses where contact_id = k.id and kind = 'pn'
        limit 1) a on true
    where h.status <> 'returned' and (h.status = 'open'
      or (h.controls and h.taken_at is null and h.reminded_at is null
        and h.notified_at <= clock(p_now) - make_interval(secs => p_remind_ms / 1000.0)))
    order by h.controls desc, h.id limit p_limit) l
$$;

-- record_handoff_step: people were told of a handoff (p_step 'told'), or reminded of it ('reminded'). Forward only;
-- repeats change nothing.
create or replace function record_handoff_step(p_handoff bigint, p_step text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  update handoffs set status = case status when 'open' then 'notified' else status end,
    notified_at = coalesce(notified_at, clock(p_now)),
    reminded_at = case when p_step = 'reminded' then coalesce(reminded_at, clock(p_now)) else reminded_at end
      where id = p_handoff;
  return jsonb_build_object('recorded', found);
end $$;

-- return_forgotten: handoffs in which no person wrote, and the contact neither, for p_hours: the agent answers there
-- again. Audited.
-- Guarantee: conversations that a person holds without a handoff (manual mode, a takeover) are left alone. Concurrency:
--   any; rows that somebody has are skipped.
-- Result: [{conversation_id, tenant, name, handoff_id: the newest}].
create or replace function return_forgotten(p_hours int, p_limit int, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v conversations; v_all jsonb := '[]'; v_now timestamptz := clock(p_now);
v_before timestamptz := clock(p_now) - make_interval(hours => p_hours);
begin
  for v in
    select c.* from conversations c where c.controlled_by = 'human' and c.merged_into is null
      and exists (select from handoffs h where h.conversation_id = c.id and h.controls and h.status <> 'returned'
        and h.created_at <= v_before)
      and not exists (select from messages m where m.conversation_id = c.id and m.seq > c.last_seq - 20
        and (m.author in ('human', 'contact') or m.kind = 'manual') and m.created_at > v_before)
    order by c.id limit p_limit for no key update of c skip locked
  loop
    perform give_back(v.id, 'timeout', v_now);
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (v.tenant_id, 'runtime', 'handoff.return', v.id::text, jsonb_build_object('by', 'timeout', 'because',
        handoff_code(v.escalation_reason)), v_now);
    v_all := v_all || jsonb_build_object('conversation_id', v.id, 'tenant', v.tenant_id, 'name', (select name
      from contacts where id = v.contact_id),
      'handoff_id', (select max(id) from handoffs where conversation_id = v.id));
  end loop;
  return v_all;
end $$;

-- is_technical: nobody asked for a person: the agent could not answer, and can again when the cause is over.
create or replace function is_technical(p_reason text)
returns boolean language sql immutable as
$$ select p_reason in ('turn_failed', 'no_model') or p_reason like 'model\_%' $$;

-- handoff_code: a handoff's reason where it outlives the person: a code of the product's stays, free words (the agent's
-- of the contact) become 'words'. people/packet.ts has the same codes.
create or replace function handoff_code(p_reason text) returns text language sql immutable as $$
  select case when p_reason in ('human', 'declined', 'no_agent', 'send_failed', 'send_unproven', 'too_old',
    'answer_too_old', 'bot_question', 'abuse_loop', 'abuse_agent',
      'abuse_repeated', 'abuse_flood', 'abuse_daily_turns', 'abuse_daily_tokens', 'erased', 'tool_changed',
      'tool_limit', 'tool_failed', 'tool_uncertain', 'approval_expired')
        or (is_technical(p_reason) and p_reason ~ '^[a-z_]{1,40}$') then p_reason
    when p_reason is not null then 'words' end
$$;

-- return_technical: conversations that went to a person only because the agent could not answer go back to it, and it
-- answers what has waited. Audited.
-- Guarantee: never one that somebody has taken: who wrote there since, took it over, called a person for another
--   reason, or answers by hand (manual). With p_by 'recovered' only when the cause is over: the model has answered
--   somewhere in a turn that began later (for no_model: whoever asks has a key). Each conversation once a day so: one
--   that fails whenever it is tried stays with a person.
-- Arguments: p_tenant null: of all; p_by 'recovered', or the operator who does it at once.
-- Concurrency: any; by itself it leaves conversations that somebody has at this moment for the next call. The workers
--   find what is to be answered, see sweep_deferred.
-- Result: [{conversation_id, tenant, handoff_id}].
create or replace function return_technical(
  p_tenant text, p_by text, p_reason text, p_limit int, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_now timestamptz := clock(p_now);
  v_good timestamptz := (select max(t.started_at) from (select * from turns order by id desc limit 1000) t
    where t.status = 'committed' and t.model is not null);
  h handoffs;
  v conversations;
  v_waiting int;
  v_all jsonb := '[]';
begin
  for h in
    select * from handoffs x where x.status <> 'returned' and is_technical(x.reason) and x.taken_at is null
      and x.tenant_id = coalesce(p_tenant, x.tenant_id)
      and (p_by <> 'recovered' or ((x.reason = 'no_model' or coalesce(v_good > x.created_at, false))
        and not exists (select from handoffs o
          where o.conversation_id = x.conversation_id and o.returned_by = 'recovered'
          and o.returned_at > v_now - interval '1 day')))
    order by x.id limit p_limit
  loop
    if p_by = 'recovered' then
      select * into v from conversations where id = h.conversation_id for no key update skip locked;
    else
      select * into v from conversations where id = h.conversation_id for no key update;
    end if;
    continue when not found or v.mode = 'manual' or v.takeover_until > v_now or v.merged_into is not null
      or (v.controlled_by = 'human') <> h.controls or (h.controls and v.escalation_reason is distinct from h.reason)
      or exists (select from handoffs x where x.id = h.id and (x.status = 'returned' or x.taken_at is not null))
      or exists (select from turns t where t.conversation_id = v.id and t.status = 'open' and t.lease_until > v_now)
      or exists (select from messages m where m.conversation_id = v.id and m.created_at >= h.created_at
        and m.direction = 'out' and m.type <> 'reaction'
        and (m.author = 'human' or m.kind = 'manual'));
    update handoffs set status = 'returned', returned_at = v_now, returned_by = p_by where id = h.id;
    -- what the turn that gave up left unanswered, and what came while a person was waited for; not what an answer has
    -- come to since
    update messages m set status = 'received', reason = null
      where m.conversation_id = v.id and m.direction = 'in' and m.status = 'handed_over'
        and (m.reason = 'human' or is_technical(m.reason))
        and m.seq >= (select min(f.seq) from messages f where f.turn_id = h.turn_id and f.direction = 'in')
        and not exists (select from messages o join turns t on t.id = o.turn_id
          where o.conversation_id = v.id and o.seq > m.seq and o.direction = 'out' and o.kind = 'reply'
          and t.status = 'committed' and t.model is not null);
    get diagnostics v_waiting = row_count;
    update conversations set controlled_by = 'agent', escalation_reason = null, failed_in_row = 0, failing_since = null
      where id = v.id;
    if v_waiting > 0 then
      -- it waits like after an outage: it did not grow too old meanwhile, and has heard that something is wrong
      update conversations set inbound_seq = inbound_seq + 1, deferred_since = coalesce(deferred_since, h.created_at),
        deferred_until = v_now, deferred_reason = 'returned',
        apologised_at = case when h.controls then v_now else apologised_at end where id = v.id;
    end if;
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (v.tenant_id, case p_by when 'recovered' then 'runtime' else p_by end, 'handoff.return',
      v.id::text, jsonb_build_object('by', p_by, 'because', handoff_code(h.reason), 'reason', p_reason, 'unanswered',
        v_waiting), v_now);
    v_all := v_all || jsonb_build_object('conversation_id', v.id, 'tenant', v.tenant_id, 'handoff_id', h.id);
  end loop;
  if p_by <> 'recovered' then
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (coalesce(p_tenant, 'default'), p_by, 'handoff.return', 'technical',
        jsonb_build_object('reason', p_reason, 'conversations', jsonb_array_length(v_all)), v_now);
  end if;
  return v_all;
end $$;

-- set_mode: who writes in a conversation: 'auto' the agent, 'assist' the agent's drafts after a person's yes, 'manual'
-- people only, 'observe' the agent reads and notes (see is_observed). Audited.
-- Concurrency: locks the conversation. A draft that waits stays; what is on its way goes. Result: {outcome: 'done',
--   was, drafts} | {outcome: 'unknown'}.
create or replace function set_mode(
  p_tenant text, p_conversation bigint, p_mode text, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v conversations;
begin
  select * into v from conversations where id = p_conversation and tenant_id = p_tenant and merged_into is null
    for no key update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  update conversations set mode = p_mode where id = v.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'conversation.mode', v.id::text, jsonb_build_object('mode', p_mode, 'was', v.mode,
      'reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'done', 'was', v.mode, 'drafts', (select count(distinct turn_id) from drafts
    where conversation_id = v.id));
end $$;

-- withdraw_drafts: the contact wrote again: the draft answered less than there is now, so its messages are unanswered
-- again. Concurrency: the
--   caller holds the conversation's lock.
create or replace function withdraw_drafts(p_conversation bigint)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v_turns bigint[];
begin
  with gone as (update messages set status = 'cancelled', reason = 'contact_wrote'
    where id in (select message_id from drafts where conversation_id = p_conversation) and status = 'draft'
    returning turn_id)
  select array_agg(distinct turn_id) into v_turns from gone;
  if v_turns is null then return; end if;
  update messages set status = 'received', reason = null where turn_id = any (v_turns) and direction = 'in'
    and status = 'handed_over' and reason = 'draft';
end $$;

-- list_drafts: answers that wait for a person's yes, the oldest first; a draft is named by its turn. Read only.
-- Result: [{id, conversation_id, instance, contact, created_at, asked: what the contact wrote, text}].
create or replace function list_drafts(p_tenant text, p_limit int, p_draft bigint default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(to_jsonb(d) order by d.id), '[]') from (
    select m.turn_id as id, m.conversation_id, i.name as instance, k.name as contact, min(m.created_at) as created_at,
      (select string_agg(q.text, E'\n' order by q.seq) from messages q
        where q.turn_id = m.turn_id and q.direction = 'in') as asked,
      string_agg(m.text, E'\n\n' order by m.part) as text
    from drafts f join messages m on m.id = f.message_id join conversations c on c.id = m.conversation_id
      join instances i on i.id = c.instance_id join contacts k on k.id = c.contact_id
    where f.tenant_id = p_tenant and m.turn_id = coalesce(p_draft, m.turn_id)
    group by m.turn_id, m.conversation_id, i.name, k.name order by m.turn_id limit p_limit) d
$$;

-- settle_draft: a person said yes or no to a draft.
-- Guarantee: once, audited. A yes puts it into the lane, with the person's words instead when there are any; all rules
--   are checked again at the send. After a no its messages stay a person's. Arguments: p_parts [text] the person's own
--   words as messages, or null; p_yes.
-- Concurrency: locks the conversation, so of two calls at once one finds a draft. Result: {outcome: 'done',
--   conversation_id, parts, paused} | {outcome: 'with_person', holder} a yes where the agent may not speak: the draft
--   goes on waiting | {outcome: 'unknown'}.
create or replace function settle_draft(
  p_tenant text, p_draft bigint, p_yes boolean, p_parts jsonb, p_actor text, p_reason text,
  p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v conversations; v_turn turns; v_now timestamptz := clock(p_now); v_n int;
begin
  select c.* into v from conversations c join turns t on t.conversation_id = c.id
    where t.id = p_draft and t.tenant_id = p_tenant for no key update of c;
  select * into v_turn from turns where id = p_draft;
  if not found or not exists (select from drafts where conversation_id = v.id and turn_id = p_draft) then
    return jsonb_build_object('outcome', 'unknown');
  end if;
  if p_yes and conversation_holder(v, v_now) <> 'agent' then return jsonb_build_object('outcome', 'with_person',
    'holder', conversation_holder(v, v_now)); end if;
  p_parts := nullif(p_parts, 'null'::jsonb);
  if p_yes and p_parts is null then
    update messages set status = 'queued', due_at = v_now, typing_ms = 0
      where conversation_id = v.id and turn_id = p_draft and status = 'draft';
    get diagnostics v_n = row_count;
  else
    update messages set status = 'cancelled', reason = case when p_yes then 'draft_edited' else 'draft_refused' end
      where conversation_id = v.id and turn_id = p_draft and status = 'draft';
    v_n := coalesce(jsonb_array_length(p_parts), 0);
  end if;
  if p_yes then
    insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
      provider_at, turn_id, correlation_id, kind, priority, part, due_at, created_at)
      select v.tenant_id, v.instance_id, v.id, v.last_seq + p.n, 'out', 'agent', 'text', 'queued', p.text, v_now,
        p_draft, v_turn.correlation_id, 'reply', 0, p.n, v_now, v_now
      from jsonb_array_elements_text(p_parts) with ordinality as p (text, n);
    update conversations set last_seq = last_seq + coalesce(jsonb_array_length(p_parts), 0) where id = v.id;
    update messages set status = 'answered', reason = null where turn_id = p_draft and direction = 'in'
      and status = 'handed_over' and reason = 'draft';
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, case when p_yes then 'draft.approve' else 'draft.discard' end,
    p_draft::text, jsonb_build_object('reason', p_reason, 'edited', p_parts is not null), v_now);
  return jsonb_build_object('outcome', 'done', 'conversation_id', v.id, 'parts', v_n,
    'paused', (select pause_reason(v.tenant_id, i.name, v.id, null) from instances i where i.id = v.instance_id));
end $$;

-- bot_suspicion: in how many of the conversations of 7 days the contact asked whether it talks with a machine. Read
-- only.
-- Result: {flagged, conversations, share: 0..1}.
create or replace function bot_suspicion(p_tenant text, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('flagged', f.n, 'conversations', c.n, 'share', case when c.n = 0 then 0
    else round(f.n::numeric / c.n, 4) end)
  from (select count(distinct conversation_id) as n from bot_suspicions
    where tenant_id = p_tenant and created_at > clock(p_now) - interval '7 days' and false_positive_at is null) f,
    (select count(*) as n from conversations
      where tenant_id = p_tenant and last_inbound_at > clock(p_now) - interval '7 days') c
$$;

-- list_suspicions: the newest first. Read only. Result: [{id, conversation_id, contact, text, created_at,
-- false_positive_at, marked_by}].
create or replace function list_suspicions(p_tenant text, p_limit int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(to_jsonb(l) order by l.id desc), '[]') from (
    select b.id, b.conversation_id, k.name as contact, m.text, b.created_at, b.false_positive_at, b.marked_by
    from bot_suspicions b join conversations c on c.id = b.conversation_id join contacts k on k.id = c.contact_id
      join messages m on m.id = b.message_id
    where b.tenant_id = p_tenant order by b.id desc limit p_limit) l
$$;

-- dismiss_suspicion: this was no such question; it is not counted. Audited. Result: {outcome: 'done' | 'already' |
-- 'unknown'}.
create or replace function dismiss_suspicion(
  p_tenant text, p_id bigint, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  update bot_suspicions set false_positive_at = clock(p_now), marked_by = p_actor
    where id = p_id and tenant_id = p_tenant and false_positive_at is null;
  if not found then
    return jsonb_build_object('outcome', case when exists (select from bot_suspicions
      where id = p_id and tenant_id = p_tenant) then 'already' else 'unknown' end);
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'suspicion.dismiss', p_id::text, jsonb_build_object('reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'done');
end $$;

-- set_identity: what a contact who asks whether it talks with a machine gets, in this tenant: 'answer' the truth and
-- the offer of a person, 'handoff'
--   the truth, and a person is called at once. Audited. Result: {outcome: 'done', was} | {outcome: 'unknown'}.
create or replace function set_identity(
  p_tenant text, p_identity text, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_was text;
begin
  select coalesce(settings ->> 'identity', 'answer') into v_was from tenants where id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  update tenants set settings = settings || jsonb_build_object('identity', p_identity) where id = p_tenant;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'identity.set', p_tenant, jsonb_build_object('identity', p_identity, 'was', v_was,
      'reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'done', 'was', v_was);
end $$;

-- expire_held: ends what can end by itself: messages whose deadline passed while their lane was paused, and takeovers
-- that are over by a day (they
--   hold nobody; the row says so again). Pauses never end by themselves, and nothing here touches julia_status.
-- Concurrency: any; what somebody has locked is left for the next time. Result: {messages, takeovers}.
create or replace function expire_held(p_limit int, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_messages int; v_takeovers int;
begin
  update messages set status = 'expired', reason = 'expired', goes_at = null, lease_until = null where id in (
    select m.id from outbox o join messages m on m.id = o.message_id where o.expires_at <= clock(p_now)
      order by m.id limit p_limit for update of m skip locked) and status = 'queued' and expires_at <= clock(p_now);
  get diagnostics v_messages = row_count;
  update conversations set takeover_since = null, takeover_until = null where id in (
    select id from conversations where takeover_until < clock(p_now) - interval '1 day' order by id
      limit p_limit for no key update skip locked);
  get diagnostics v_takeovers = row_count;
  return jsonb_build_object('messages', v_messages, 'takeovers', v_takeovers);
end $$;

-- list_audit: who did what, the newest first; p_before is the id to go on from. Read only.
-- Result: [{id, at, actor, action, subject, details}].
create or replace function list_audit(p_tenant text, p_limit int, p_before bigint default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(to_jsonb(a) order by a.id desc), '[]') from (
    select id, created_at as at, actor, action, subject, details from audit_log
    where tenant_id = p_tenant and (p_before is null or id < p_before) order by id desc limit p_limit) a
$$;

-- date_audit: what is added to the audit is of now, whatever date it names, unless its owner adds it (a restore, a
-- test).
create or replace function date_audit() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if not pg_has_role(current_user, (select relowner from pg_class where oid = tg_relid), 'member')
    then new.created_at := clock_timestamp(); end if;
  return new;
end $$;

create or replace trigger audit_log_date before insert on audit_log for each row execute function date_audit();

-- purge_audit: the one way out of the audit: at most p_limit of its oldest rows that are older than p_before, and never
-- younger than 30 days by the clock of the database. Runs with the rights of its owner, because the application itself
-- may not delete here. Result: how many went.
create or replace function purge_audit(p_before timestamptz, p_limit int)
returns int language plpgsql security definer set search_path = public, pg_temp as $$
declare v_n int;
begin
  delete from audit_log where id in (select id from audit_log
    where created_at < least(p_before, now() - interval '30 days') and p_before is not null order by created_at
    limit p_limit);
  get diagnostics v_n = row_count;
  return v_n;
end $$;

-- record_audit: an act of a person that no other function writes down.
create or replace function record_audit(p_tenant text, p_actor text, p_action text, p_subject text, p_details jsonb)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  insert into audit_log (tenant_id, actor, action, subject, details)
    values (p_tenant, p_actor, p_action, p_subject, p_details);
  return '{}';
end $$;

-- pauses: what is paused now, seen from a tenant. Result: [{scope, target, motivo, alterado_via, since}], the newest
-- first.
create or replace function pauses(p_tenant text)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('scope', s.scope, 'target', s.target, 'motivo', s.motivo, 'alterado_via',
    s.alterado_via, 'since', s.created_at) order by s.id desc), '[]')
  from (select distinct on (scope, target, owner) *
    from (select *, case scope when 'campaign' then tenant_id end as owner from julia_status) j
    order by scope, target, owner, id desc) s
  where s.status = 'pausado' and case s.scope
    when 'all' then true
    when 'tenant' then s.target = p_tenant
    when 'instance' then exists (select 1 from instances i where i.name = s.target and i.tenant_id = p_tenant)
    when 'conversation' then exists (select 1 from conversations c
      where c.id::text = s.target and c.tenant_id = p_tenant)
    else s.tenant_id = p_tenant end
$$;

-- set_pause: stops or starts again everything, or a part of it: one row in julia_status, as by hand, and one in
-- audit_log.
-- Guarantee: with the commit, nothing new is claimed there; what waits stays where it is. Only the tenant `default`,
--   which owns the installation, may stop everything or another tenant. A campaign that is stopped is the tenant's own,
--   whatever others call theirs.
-- Arguments: p_status 'pausado' | 'ativo'; p_scope and p_target as in julia_status; p_actor becomes alterado_via,
--   p_reason motivo.
-- Concurrency: any; the newest row counts. Result: {outcome: 'done', was: status before, still: [pauses left]} |
--   {outcome: 'unknown_target' | 'not_yours'}.
create or replace function set_pause(
  p_tenant text, p_actor text, p_status text, p_scope text, p_target text, p_reason text,
  p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_was text; v_known boolean;
begin
  if p_tenant <> 'default' and (p_scope = 'all' or (p_scope = 'tenant' and p_target <> p_tenant))
    then return jsonb_build_object('outcome', 'not_yours'); end if;
  v_known := case p_scope
      when 'all' then p_target = ''
      when 'tenant' then exists (select 1 from tenants t where t.id = p_target)
      when 'instance' then exists (select 1 from instances i where i.name = p_target and i.tenant_id = p_tenant)
      when 'conversation' then exists (select 1 from conversations c
        where c.id::text = p_target and c.tenant_id = p_tenant)
      else p_target <> '' end;
  if not v_known then return jsonb_build_object('outcome', 'unknown_target'); end if;
  v_was := pause_status(p_scope, p_target, p_tenant);
  insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target, created_at)
    values (p_tenant, p_status, p_reason, p_actor, p_scope, p_target, clock(p_now));
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, case p_status when 'pausado' then 'pause' else 'resume' end,
    case p_scope when 'all' then 'all' else p_scope || ':' || p_target end, jsonb_build_object('reason', p_reason),
      clock(p_now));
  return jsonb_build_object('outcome', 'done', 'was', coalesce(v_was, 'ativo'), 'still', pauses(p_tenant));
end $$;

-- list_handoffs: conversations that a person has or should look at, the longest waiting first; also those of mode
-- manual whose contact waits.
-- Result: [{conversation_id, instance, contact, controlled_by, mode, escalation_reason, takeover_until,
--   last_inbound_at, last_text, handoffs [{id, reason, summary, controls, status, created_at}]}].
create or replace function list_handoffs(p_tenant text, p_limit int, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(to_jsonb(l) - 'since' order by l.since nulls first, l.conversation_id), '[]') from (
    select c.id as conversation_id, i.name as instance, k.name as contact, c.controlled_by, c.mode, c.escalation_reason,
      case when c.takeover_until > clock(p_now) then c.takeover_until end as takeover_until,
      case when c.quiet_until > clock(p_now) then c.quiet_until end as quiet_until, c.last_inbound_at,
      (select m.text from messages m where m.conversation_id = c.id and m.direction = 'in' order by m.seq desc
        limit 1) as last_text,
      (select min(h.created_at) from handoffs h where h.conversation_id = c.id and h.status <> 'returned') as since,
      (select coalesce(jsonb_agg(jsonb_build_object('id', h.id, 'reason', h.reason, 'summary', h.summary, 'controls',
        h.controls, 'status', h.status, 'created_at', h.created_at) order by h.id), '[]')
        from handoffs h where h.conversation_id = c.id and h.status <> 'returned') as handoffs
    from conversations c join instances i on i.id = c.instance_id join contacts k on k.id = c.contact_id
    where c.tenant_id = p_tenant and c.merged_into is null
      -- by narrow indexes: of those that the agent has, however many, none is looked at
      and c.id in (select h.conversation_id from handoffs h where h.status <> 'returned'
        union select p.id from conversations p where p.tenant_id = p_tenant and (p.controlled_by = 'human'
          or p.mode <> 'auto' or p.takeover_until is not null or p.quiet_until is not null))
      and (conversation_holder(c, clock(p_now)) in ('human', 'takeover') or waits_for_person(c)
      or exists (select 1 from handoffs h where h.conversation_id = c.id and h.status <> 'returned'))
    order by since nulls first, c.id limit p_limit) l
$$;

-- take_conversation: a person takes a conversation by name: the agent keeps quiet there until it is given back.
-- Guarantee: of two at once one has it, and the other hears who. Nobody is called because of it; open handoffs count as
--   taken; audited. Arguments: p_force also from another person.
-- Concurrency: locks the conversation. Result: {outcome: 'taken', conversation_id} | {outcome: 'has', by, since:
--   another person has it} | {outcome: 'unknown'}.
create or replace function take_conversation(
  p_tenant text, p_conversation bigint, p_actor text, p_force boolean, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v conversations; v_now timestamptz := clock(p_now);
begin
  select * into v from conversations where id = p_conversation and tenant_id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.merged_into is not null then return take_conversation(p_tenant, v.merged_into, p_actor, p_force, p_now); end if;
  if v.taken_by <> p_actor and not p_force then
    return jsonb_build_object('outcome', 'has', 'by', v.taken_by, 'since', v.taken_at);
  end if;
  if v.taken_by = p_actor and v.controlled_by = 'human' then
    return jsonb_build_object('outcome', 'taken', 'conversation_id', v.id);
  end if;
  insert into handoffs (tenant_id, conversation_id, reason, controls, status, created_at, notified_at, taken_at)
    values (v.tenant_id, v.id, coalesce(v.escalation_reason, 'human'), true, 'notified', v_now, v_now, v_now)
    on conflict do nothing;
  update handoffs set taken_at = coalesce(taken_at, v_now), status = 'notified', notified_at = coalesce(notified_at,
    v_now) where conversation_id = v.id and status <> 'returned';
  update conversations set controlled_by = 'human', escalation_reason = coalesce(escalation_reason, 'human'),
    taken_by = p_actor, taken_at = v_now where id = v.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'conversation.take', v.id::text, jsonb_build_object('from', v.taken_by), v_now);
  return jsonb_build_object('outcome', 'taken', 'conversation_id', v.id);
end $$;

-- write_by_hand: a person writes to a contact in its conversation. It leaves from the conversation's number to where
-- the contact wrote from last, and takes the conversation; to the model these words are a person's.
-- Guarantee: once for a key and conversation; the rules of first_guard hold (of those for what nobody asked for only
--   after a day without a word of the contact); audited without the words.
-- Arguments: p_key names the act, or null; p_force also when another person has it. Concurrency: locks the
--   conversation. Result: {outcome: 'written', id, status, conversation_id} | as take_conversation when it has another.
create or replace function write_by_hand(
  p_tenant text, p_conversation bigint, p_text text, p_actor text, p_key text, p_force boolean,
  p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_taken jsonb; v conversations; v_message messages; v_now timestamptz := clock(p_now);
  v_key text := 'hand-' || p_conversation || '-' || p_key;
begin
  v_taken := take_conversation(p_tenant, p_conversation, p_actor, p_force, p_now);
  if v_taken ->> 'outcome' <> 'taken' then return v_taken; end if;
  select * into v from conversations where id = (v_taken ->> 'conversation_id')::bigint;
  if p_key is not null then
    select * into v_message from messages where tenant_id = p_tenant and (kind = 'operator') = false
      and idempotency_key = v_key;
  end if;
  if v_message.id is null then
    insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
      provider_at, kind, priority, part, due_at, written_by, idempotency_key, created_at)
      values (p_tenant, v.instance_id, v.id, v.last_seq + 1, 'out', 'system', 'text', 'queued', p_text, v_now, 'manual',
        1, 0, v_now, p_actor, v_key, v_now) returning * into v_message;
    update conversations set last_seq = last_seq + 1 where id = v.id;
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (p_tenant, p_actor, 'conversation.write', v.id::text, jsonb_build_object('message_id', v_message.id),
        v_now);
  end if;
  return jsonb_build_object('outcome', 'written', 'id', v_message.id, 'status', v_message.status, 'conversation_id',
    v.id);
end $$;

-- return_handoff: a person is done with a conversation: the agent answers there again.
-- Guarantee: control, takeover, all open handoffs and the quiet after abuse end together; audited. What was handed over
--   stays a person's: only new messages are answered. Concurrency: locks the conversation.
-- Result: {outcome: 'returned', handoffs: how many, mode, paused} | {outcome: 'not_with_a_person'} | {outcome:
--   'unknown'}.
create or replace function return_handoff(
  p_tenant text, p_conversation bigint, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v conversations; v_n int; v_now timestamptz := clock(p_now);
begin
  select * into v from conversations where id = p_conversation and tenant_id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  v_n := give_back(v.id, p_actor, v_now);
  if v_n = 0 and conversation_holder(v, v_now) in ('agent', 'manual', 'observe')
    and not coalesce(v.quiet_until > v_now, false) then
    return jsonb_build_object('outcome', 'not_with_a_person', 'mode', v.mode);
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'handoff.return', v.id::text,
    jsonb_build_object('reason', p_reason, 'was', conversation_holder(v, v_now), 'because',
      handoff_code(v.escalation_reason), 'handoffs', v_n), v_now);
  return jsonb_build_object('outcome', 'returned', 'handoffs', v_n, 'mode', v.mode,
    'paused', (select pause_reason(v.tenant_id, i.name, v.id, null) from instances i where i.id = v.instance_id));
end $$;

-- add_token: a token that is about to be given out. Audited without the token.
-- Arguments: p_token {id, tenant, sub, role, expires_at}; p_actor who makes it. Result: {outcome: 'added' |
--   'unknown_tenant'}.
create or replace function add_token(p_token jsonb, p_actor text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  if not exists (select from tenants where id = p_token ->> 'tenant')
    then return jsonb_build_object('outcome', 'unknown_tenant'); end if;
  insert into tokens (id, tenant_id, sub, role, issued_by, expires_at, created_at)
    values (p_token ->> 'id', p_token ->> 'tenant', p_token ->> 'sub', p_token ->> 'role', p_actor,
      (p_token ->> 'expires_at')::timestamptz, clock(p_now));
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_token ->> 'tenant', p_actor, 'token.issue', p_token ->> 'id',
    jsonb_build_object('sub', p_token ->> 'sub', 'role', p_token ->> 'role', 'expires_at', p_token ->> 'expires_at'),
      clock(p_now));
  return jsonb_build_object('outcome', 'added');
end $$;

-- use_token: whether a token whose signature is right counts. Asked at each request, so one that is revoked stops
-- everywhere with the commit.
-- Guarantee: a token that nobody knew is written down before it counts. One write an hour and token. Concurrency: any.
-- Arguments: p_token as add_token. Result: {outcome: 'valid' | 'revoked'}.
create or replace function use_token(p_token jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v tokens; v_now timestamptz := clock(p_now);
begin
  select * into v from tokens where id = p_token ->> 'id';
  if not found then
    -- who belongs to no tenant has nothing, and finds nothing
    if not exists (select from tenants where id = p_token ->> 'tenant')
      then return jsonb_build_object('outcome', 'valid'); end if;
    insert into tokens (id, tenant_id, sub, role, expires_at, used_at, created_at)
      values (p_token ->> 'id', p_token ->> 'tenant', p_token ->> 'sub', p_token ->> 'role',
        (p_token ->> 'expires_at')::timestamptz, v_now, v_now) on conflict (id) do nothing;
    -- somebody else used it at this moment, or revoked it
    select * into v from tokens where id = p_token ->> 'id';
  end if;
  if v.revoked_at is not null then return jsonb_build_object('outcome', 'revoked'); end if;
  if v.used_at is null or v.used_at < v_now - interval '1 hour' then update tokens set used_at = v_now where id = v.id;
  end if;
  return jsonb_build_object('outcome', 'valid');
end $$;

-- list_tokens: the tokens of a tenant that still count, with p_all those that are over too; the newest first. Read
-- only.
-- Result: [{id, sub, role, issued_by, created_at, expires_at, used_at, revoked_at, revoked_by}].
create or replace function list_tokens(p_tenant text, p_all boolean, p_limit int, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(to_jsonb(t) - 'tenant_id' order by t.created_at desc, t.id), '[]') from (
    select * from tokens where tenant_id = p_tenant and (p_all or (revoked_at is null and expires_at > clock(p_now)))
      order by created_at desc, id limit p_limit) t
$$;

-- revoke_token: a token counts no more, in any process. Audited. Result: {outcome: 'revoked' | 'already' | 'unknown'}.
create or replace function revoke_token(
  p_tenant text, p_id text, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v tokens;
begin
  select * into v from tokens where id = p_id and tenant_id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.revoked_at is not null then return jsonb_build_object('outcome', 'already'); end if;
  update tokens set revoked_at = clock(p_now), revoked_by = p_actor where id = v.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'token.revoke', v.id, jsonb_build_object('sub', v.sub, 'role', v.role, 'reason',
      p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'revoked', 'sub', v.sub, 'role', v.role);
end $$;

-- give_password: a new password of a user, the only one that counts from now on. All its sessions end.
-- Concurrency: the caller holds the user's lock.
create or replace function give_password(
  p_user users, p_hash text, p_temporary boolean, p_by text, p_now timestamptz
) returns void language plpgsql set search_path = public, pg_temp as $$
begin
  update user_passwords set hash = null where user_id = p_user.id and hash is not null;
  insert into user_passwords (tenant_id, user_id, hash, temporary, asked_by, created_at)
    values (p_user.tenant_id, p_user.id, p_hash, p_temporary, p_by, p_now);
  delete from sessions where user_id = p_user.id;
end $$;

-- create_user: somebody may use the console. Audited, without the password.
-- Arguments: p_hash of a first password, which is changed at the first login. Concurrency: of two at once one is made.
-- Result: {outcome: 'created' | 'exists' | 'unknown_tenant'}.
create or replace function create_user(
  p_tenant text, p_email text, p_role text, p_hash text, p_actor text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v users; v_now timestamptz := clock(p_now);
begin
  if not exists (select from tenants where id = p_tenant)
    then return jsonb_build_object('outcome', 'unknown_tenant'); end if;
  insert into users (tenant_id, email, role, created_by, created_at)
    values (p_tenant, p_email, p_role, p_actor, v_now) on conflict (email) do nothing returning * into v;
  if not found then return jsonb_build_object('outcome', 'exists'); end if;
  perform give_password(v, p_hash, true, p_actor, v_now);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'user.create', p_email, jsonb_build_object('role', p_role), v_now);
  return jsonb_build_object('outcome', 'created');
end $$;

-- reset_user: a new first password; who was locked out or disabled may come in again with it. All sessions end.
-- Audited.
-- Concurrency: locks the user. Result: {outcome: 'reset', role} | {outcome: 'unknown'}.
create or replace function reset_user(
  p_tenant text, p_email text, p_hash text, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v users; v_now timestamptz := clock(p_now);
begin
  select * into v from users where email = p_email and tenant_id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  update users set failures = 0, locked_until = null, disabled_at = null, disabled_by = null where id = v.id;
  perform give_password(v, p_hash, true, p_actor, v_now);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'user.reset', p_email, jsonb_build_object('reason', p_reason, 'was_disabled',
      v.disabled_at is not null), v_now);
  return jsonb_build_object('outcome', 'reset', 'role', v.role);
end $$;

-- disable_user: nobody comes in with this e-mail any more, and who is in is out with the commit. Audited.
-- Concurrency: locks the user. Result: {outcome: 'disabled', sessions: how many ended} | {outcome: 'already' |
--   'unknown'}.
create or replace function disable_user(
  p_tenant text, p_email text, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v users; v_n int; v_now timestamptz := clock(p_now);
begin
  select * into v from users where email = p_email and tenant_id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.disabled_at is not null then return jsonb_build_object('outcome', 'already'); end if;
  update users set disabled_at = v_now, disabled_by = p_actor where id = v.id;
  delete from sessions where user_id = v.id;
  get diagnostics v_n = row_count;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'user.disable', p_email, jsonb_build_object('reason', p_reason, 'sessions', v_n),
      v_now);
  return jsonb_build_object('outcome', 'disabled', 'sessions', v_n);
end $$;

-- session_counts: it was used within 12 hours, and is younger than a week.
create or replace function session_counts(s sessions, p_now timestamptz) returns boolean language sql stable as $$
  select s.used_at > p_now - interval '12 hours' and s.created_at > p_now - interval '7 days'
$$;

-- list_users: who may use the console, and the history of their passwords, without any hash. Read only.
-- Result: [{email, role, created_at, created_by, logged_in_at, locked_until, disabled_at, disabled_by, must_change,
--   sessions, passwords: [{at, asked_by, temporary}, the newest first]}].
create or replace function list_users(p_tenant text, p_limit int, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('email', u.email, 'role', u.role, 'created_at', u.created_at,
    'created_by', u.created_by, 'logged_in_at', u.logged_in_at,
    'locked_until', case when u.locked_until > clock(p_now) then u.locked_until end,
    'disabled_at', u.disabled_at, 'disabled_by', u.disabled_by,
    'must_change', (select p.temporary from user_passwords p where p.user_id = u.id order by p.id desc limit 1),
    'sessions', (select count(*) from sessions s where s.user_id = u.id and session_counts(s, clock(p_now))),
    'passwords', (select jsonb_agg(jsonb_build_object('at', p.created_at, 'asked_by', p.asked_by, 'temporary',
      p.temporary) order by p.id desc) from (select * from user_passwords where user_id = u.id order by id desc
      limit 20) p)) order by u.email), '[]')
  from (select * from users where tenant_id = p_tenant order by email limit p_limit) u
$$;

-- has_users: whether anybody may use the console yet. Read only. Result: {any}.
create or replace function has_users() returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('any', exists (select from users))
$$;

-- begin_login: somebody has given an e-mail and a password. The attempt counts before the password is looked at, so any
-- number of them at once are ten.
-- Guarantee: after ten in a row none counts for a quarter of an hour. Concurrency: locks the user.
-- Result: {outcome: 'check', user_id, password_id, hash: to compare with} | {outcome: 'no': unknown, disabled or
--   locked}.
create or replace function begin_login(p_email text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v users; v_password user_passwords; v_failures int; v_now timestamptz := clock(p_now);
begin
  select * into v from users where email = p_email and disabled_at is null for update;
  if not found or v.locked_until > v_now then return jsonb_build_object('outcome', 'no'); end if;
  v_failures := case when v.locked_until is null then v.failures else 0 end + 1;
  update users set failures = v_failures,
    locked_until = case when v_failures >= 10 then v_now + interval '15 minutes' end where id = v.id;
  select * into v_password from user_passwords where user_id = v.id order by id desc limit 1;
  return jsonb_build_object('outcome', 'check', 'user_id', v.id, 'password_id', v_password.id, 'hash',
    v_password.hash);
end $$;

-- wrong_password: the attempt that begin_login counted had the wrong password. Audited when it was the tenth.
-- Concurrency: any; of many at once one is the tenth.
create or replace function wrong_password(p_user bigint, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v users;
begin
  update users set failures = 11 where id = p_user and failures = 10 returning * into v;
  if found then
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (v.tenant_id, 'console', 'user.locked', v.email, jsonb_build_object('until', v.locked_until),
        clock(p_now));
  end if;
  return '{}';
end $$;

-- open_session: the password was right. Audited.
-- Guarantee: not for who was disabled, or got another password, meanwhile. Concurrency: locks the user.
-- Arguments: p_password of begin_login; p_session digest of the token that the person gets. Result: {outcome: 'open'} |
--   {outcome: 'no'}.
create or replace function open_session(
  p_user bigint, p_password bigint, p_session text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v users; v_now timestamptz := clock(p_now);
begin
  select * into v from users where id = p_user and disabled_at is null for update;
  if not found or p_password <> (select max(id) from user_passwords where user_id = v.id)
    then return jsonb_build_object('outcome', 'no'); end if;
  update users set failures = 0, locked_until = null, logged_in_at = v_now where id = v.id;
  insert into sessions (hash, tenant_id, user_id, created_at, used_at) values (p_session, v.tenant_id, v.id, v_now,
    v_now);
  insert into audit_log (tenant_id, actor, action, subject, created_at)
    values (v.tenant_id, 'console:' || v.email, 'console.login', v.email, v_now);
  return jsonb_build_object('outcome', 'open');
end $$;

-- use_session: who asks. Asked at each request, so that a session ends with the commit that ends it. One write in five
-- minutes and session. Concurrency: any. Result: {user_id, email, role, tenant, must_change} | null.
create or replace function use_session(p_session text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v sessions; v_user users; v_now timestamptz := clock(p_now);
begin
  select * into v from sessions where hash = p_session;
  if not found or not session_counts(v, v_now) then return null; end if;
  select * into v_user from users where id = v.user_id and disabled_at is null;
  if not found then return null; end if;
  if v.used_at < v_now - interval '5 minutes' then update sessions set used_at = v_now where hash = v.hash; end if;
  return jsonb_build_object('user_id', v_user.id, 'email', v_user.email, 'role', v_user.role, 'tenant',
    v_user.tenant_id, 'must_change', (select temporary from user_passwords where user_id = v_user.id order by id desc
    limit 1));
end $$;

-- close_session: who was logged in leaves. May run twice.
create or replace function close_session(p_session text)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  delete from sessions where hash = p_session;
  return '{}';
end $$;

-- change_password: a user has chosen a password. All sessions end, and p_session begins; audited.
-- Guarantee: not for who was disabled, or got another password than p_password of begin_login, meanwhile.
-- Concurrency: locks the user. Result: {outcome: 'changed'} | {outcome: 'no'}.
create or replace function change_password(
  p_user bigint, p_password bigint, p_hash text, p_session text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v users; v_now timestamptz := clock(p_now);
begin
  select * into v from users where id = p_user and disabled_at is null for update;
  if not found or p_password <> (select max(id) from user_passwords where user_id = v.id)
    then return jsonb_build_object('outcome', 'no'); end if;
  update users set failures = 0, locked_until = null where id = v.id;
  perform give_password(v, p_hash, false, 'console:' || v.email, v_now);
  insert into sessions (hash, tenant_id, user_id, created_at, used_at) values (p_session, v.tenant_id, v.id, v_now,
    v_now);
  insert into audit_log (tenant_id, actor, action, subject, created_at)
    values (v.tenant_id, 'console:' || v.email, 'user.password', v.email, v_now);
  return jsonb_build_object('outcome', 'changed');
end $$;

-- purge_old: retention. p_ages {webhooks, jobs, transcripts, messages, audit}: days after which rows of a kind go; 0
-- keeps them. Early updates and heartbeats of dead processes go after a day, ids of forged messages when nobody asks
-- for them any more, notices, alerts, tokens and unknown names that are over with the jobs, the minutes of the SLA
-- after 400 days, slots of answers and sums of slots after three.
-- Guarantee: at most p_limit rows of each kind; what is unanswered or on its way stays, whatever its age; turns and
--   calls of the model stay as figures, without words. Concurrency: safe to run twice at once. Result: {deleted, most:
--   of the kind with the most; p_limit means that there may be more}.
create or replace function purge_old(p_ages jsonb, p_limit int, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_counts int[] := '{}'; v_n int; v_now timestamptz := clock(p_now);
  v_webhooks timestamptz := v_now - nullif((p_ages ->> 'webhooks')::int, 0) * interval '1 day';
  v_jobs timestamptz := v_now - nullif((p_ages ->> 'jobs')::int, 0) * interval '1 day';
  v_transcripts timestamptz := v_now - nullif((p_ages ->> 'transcripts')::int, 0) * interval '1 day';
  v_messages timestamptz := v_now - nullif((p_ages ->> 'messages')::int, 0) * interval '1 day';
  v_audit timestamptz := v_now - nullif((p_ages ->> 'audit')::int, 0) * interval '1 day';
  v_slots timestamptz := slot_hour(v_now - interval '3 days');
begin
  delete from webhook_events where id in (select id from webhook_events where received_at < v_webhooks
    order by received_at limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from early_updates where id in (select id from early_updates where created_at < v_now - interval '1 day'
    order by created_at limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  -- a number that was restored compares from its backup on, however long ago that was
  delete from forged_messages where (instance_id, hash) in (select f.instance_id, f.hash from forged_messages f
    join instances i on i.id = f.instance_id where f.until < v_now and i.restored_at is null limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from job_runs where id in (select id from job_runs where started_at < v_jobs order by started_at
    limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from circuit_transitions where id in (select id from circuit_transitions where created_at < v_jobs order by id
    limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from notices where id in (select id from notices where created_at < v_jobs and status in ('sent', 'failed')
    order by created_at limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from alerts where id in (select id from alerts where status = 'ok' and since < v_jobs limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from sla_minutes where minute in (select minute from sla_minutes where minute < v_now - interval '400 days'
    order by minute limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from process_status where seen_at < v_now - interval '1 day';
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from set_aside where id in (select a.id from set_aside a where a.last_at < v_jobs and not exists (select
    from webhook_events w where w.aside_id = a.id) limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from tokens where id in (select id from tokens where expires_at < v_jobs order by expires_at limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from sessions s where not session_counts(s, v_now);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  v_counts := v_counts || purge_audit(v_audit, p_limit);
  -- a reader is told that it has missed some
  v_counts := v_counts || purge_events(v_now - interval '14 days', p_limit);
  -- no cap and no figure looks at slots of answers, or at sums, of before
  delete from slots where (instance_id, reply, slot_at, message_id) in (select s.instance_id, s.reply, s.slot_at,
    s.message_id from instances i cross join lateral (select * from slots o where o.instance_id = i.id and o.reply
      and o.slot_at < v_slots order by o.slot_at limit p_limit) s limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  -- of who was erased: see keep_sends
  delete from slots where (instance_id, reply, slot_at, message_id) in (select s.instance_id, s.reply, s.slot_at,
    s.message_id from instances i cross join lateral (select * from slots o where o.instance_id = i.id and not o.reply
      and o.slot_at between v_slots - interval '7 days' and v_slots and not exists (select from messages m
        where m.id = o.message_id) order by o.slot_at limit p_limit) s limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from slot_minutes where (instance_id, reply, minute) in (select s.instance_id, s.reply, s.minute
    from slot_minutes s where s.minute < v_slots limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from slot_hours where (instance_id, hour) in (select s.instance_id, s.hour from slot_hours s
    where s.hour < v_slots limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  -- The oldest rows have the lowest ids: only those are looked at, so no index is needed and an early end costs
  -- nothing.
  delete from tool_calls where id in (select id from (select id, created_at from tool_calls order by id
    limit p_limit) oldest where created_at < v_messages);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  with old as (select id from (select id, ended_at from tool_writes order by id limit p_limit) oldest
      where ended_at < v_messages),
    gone as (delete from approvals a using old where a.write_id = old.id)
  delete from tool_writes w using old where w.id = old.id;
  delete from reminders where id in (select id from (select id, ended_at from reminders order by id limit p_limit)
    oldest where ended_at < v_messages);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from follow_ups where id in (select id from (select id, ended_at from follow_ups order by id limit p_limit)
    oldest where ended_at < v_messages);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from messages where id in (select id from (select id, created_at, status from messages order by id
    limit p_limit) oldest
    where created_at < v_messages and status not in ('received', 'queued', 'sending', 'uncertain')
      and not exists (select 1 from notices n where n.message_id = oldest.id));
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from summaries where id in (select id from (select id, created_at from summaries order by id
    limit p_limit) oldest where created_at < v_messages);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  -- the others go with their message
  delete from order_notices where id in (select id from order_notices where message_id is null
    and duplicate_of is null and created_at < v_messages order by id limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  -- what a file says goes with the last message that brought it, or when nobody has come to write it there
  delete from media where id in (select d.id from (select * from media order by id limit p_limit) d
    where d.created_at < v_now - interval '1 day' and not exists (select from messages m
      where m.tenant_id = d.tenant_id and m.media ? 'sha256' and m.media ->> 'sha256' = d.sha256));
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  update turns set transcript = null
    where id in (select id from turns where transcript is not null and ended_at < greatest(v_transcripts, v_messages)
    order by ended_at limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  return (select jsonb_build_object('deleted', sum(n), 'most', max(n)) from unnest(v_counts) as n);
end $$;

-- find_contact: the contact behind an id or a phone number (canonical digits), as it is after merges. Result: its id or
-- null. Read only.
create or replace function find_contact(p_tenant text, p_contact bigint, p_phone text)
returns bigint language sql stable as $$
  with recursive chain as (
    select c.id, c.merged_into from contacts c where c.tenant_id = p_tenant
      and c.id = coalesce(p_contact, (select a.contact_id from contact_addresses a
        where a.tenant_id = p_tenant and a.kind = 'pn' and a.address = p_phone))
    union all
    select c.id, c.merged_into from contacts c join chain on c.id = chain.merged_into)
  select id from chain where merged_into is null
$$;

-- contact_with_merged: a contact and all that were merged into it. Read only.
create or replace function contact_with_merged(p_contact bigint) returns bigint[] language sql stable as $$
  with recursive them as (select p_contact as id union select c.id
    from contacts c join them on c.merged_into = them.id) select array_agg(id) from them
$$;

-- export_contact: everything that is stored about a person, as one JSON (LGPD, article 18). Audited.
-- Arguments: p_contact its id, or p_phone. Result: null for an unknown one.
create or replace function export_contact(
  p_tenant text, p_contact bigint, p_phone text, p_actor text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_id bigint := find_contact(p_tenant, p_contact, p_phone); v_all bigint[]; v_talks bigint[]; v_result jsonb;
begin
  if v_id is null then return null; end if;
  v_all := contact_with_merged(v_id);
  select coalesce(array_agg(id), '{}') into v_talks from conversations where contact_id = any (v_all);
  select jsonb_build_object('exported_at', clock(p_now), 'contact', to_jsonb(c) - 'tenant_id' - 'merged_into',
    'addresses', (select coalesce(jsonb_agg(to_jsonb(a) - 'tenant_id' order by a.id), '[]') from contact_addresses a
      where a.contact_id = any (v_all)),
    'facts', (select coalesce(jsonb_agg(to_jsonb(f) - 'tenant_id' order by f.id), '[]') from contact_facts f
      where f.contact_id = any (v_all)),
    'reminders', (select coalesce(jsonb_agg(to_jsonb(r) - 'tenant_id' order by r.id), '[]') from reminders r
      where r.conversation_id = any (v_talks)),
    'follow_ups', (select coalesce(jsonb_agg(to_jsonb(f) - 'tenant_id' order by f.id), '[]') from follow_ups f
      where f.conversation_id = any (v_talks)),
    'tags', (select coalesce(jsonb_agg(distinct t.tag), '[]') from contact_tags t where t.contact_id = any (v_all)),
    'campaigns', (select coalesce(jsonb_agg(jsonb_build_object('name', c.name, 'text', r.text, 'status', r.status)
      order by c.id), '[]') from campaign_recipients r join campaigns c on c.id = r.campaign_id
      where r.contact_id = any (v_all)),
    'order_notices', (select coalesce(jsonb_agg(to_jsonb(n) - 'tenant_id' - 'fingerprint' order by n.id), '[]')
      from order_notices n where n.tenant_id = p_tenant and n.phone in (select a.address from contact_addresses a
        where a.contact_id = any (v_all) and a.kind = 'pn')),
    'former_phones', (select coalesce(jsonb_agg(to_jsonb(f) - 'tenant_id' order by f.id), '[]') from former_phones f
      where f.contact_id = any (v_all)),
    'conversations', (select coalesce(jsonb_agg(to_jsonb(v) - 'tenant_id' order by v.id), '[]') from conversations v
      where v.id = any (v_talks)),
    'messages', (select coalesce(jsonb_agg(to_jsonb(m) - 'tenant_id' order by m.conversation_id, m.seq), '[]')
      from messages m where m.conversation_id = any (v_talks)),
    'summaries', (select coalesce(jsonb_agg(to_jsonb(s) - 'tenant_id' order by s.id), '[]') from summaries s
      where s.conversation_id = any (v_talks)),
    'turns', (select coalesce(jsonb_agg(to_jsonb(t) - 'tenant_id' order by t.id), '[]') from turns t
      where t.conversation_id = any (v_talks)),
    'tool_calls', (select coalesce(jsonb_agg(to_jsonb(k) - 'tenant_id' order by k.id), '[]') from tool_calls k
      where k.conversation_id = any (v_talks)),
    'tool_writes', (select coalesce(jsonb_agg(to_jsonb(w) - 'tenant_id' - 'definition' order by w.id), '[]')
      from tool_writes w where w.conversation_id = any (v_talks)),
    'approvals', (select coalesce(jsonb_agg(to_jsonb(a) - 'tenant_id' order by a.id), '[]') from approvals a
      where a.conversation_id = any (v_talks)),
    'handoffs', (select coalesce(jsonb_agg(to_jsonb(h) - 'tenant_id' order by h.id), '[]') from handoffs h
      where h.conversation_id = any (v_talks)),
    'opt_outs', (select coalesce(jsonb_agg(to_jsonb(o) - 'tenant_id' order by o.id), '[]') from opt_outs o
      where o.contact_id = any (v_all)))
    into v_result from contacts c where c.id = v_id;
  insert into audit_log (tenant_id, actor, action, subject, created_at)
    values (p_tenant, p_actor, 'contact.export', v_id::text, clock(p_now));
  return v_result;
end $$;

-- webhooks_of: stored webhooks that are a tenant's, also what was posted in the name of a number of it and set aside,
-- whoever posted it.
create or replace function webhooks_of(p_tenant text) returns setof webhook_events language sql stable as $$
  select w.* from webhook_events w where w.tenant_id = p_tenant or w.aside_id in (select a.id
    from set_aside a join instances i on i.name = a.name where i.tenant_id = p_tenant)
$$;

-- know_by_traces: nobody is stored under this phone. When something that was put aside names it, or a notice of an
-- order that was never sent, it is a contact's from now on, so that an erasure has somebody to lock and to remember,
-- and whatever comes meanwhile waits for it. Concurrency: the unique key of contact_addresses decides.
--   Result: whether somebody is there now.
create or replace function know_by_traces(p_tenant text, p_phone text)
returns boolean language plpgsql set search_path = public, pg_temp as $$
declare v_words text[]; v_id bigint;
begin
  select array_agg('%' || w || '%') into v_words from unnest(both_writings(p_phone)) w;
  if not exists (select from webhooks_of(p_tenant) w where w.body::text like any (v_words)) and not exists (select
    from early_updates e where e.tenant_id = p_tenant and e.event::text like any (v_words)) and not exists (select
    from order_notices n where n.tenant_id = p_tenant and n.phone = p_phone) then return false; end if;
  insert into contacts (tenant_id) values (p_tenant) returning id into v_id;
  insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address)
    select p_tenant, min(i.id), v_id, 'pn', p_phone from instances i where i.tenant_id = p_tenant having count(*) > 0
      on conflict do nothing;
  if not found then delete from contacts where id = v_id; end if;
  return exists (select from contact_addresses where tenant_id = p_tenant and kind = 'pn' and address = p_phone);
end $$;

-- erase_contact: a person wants nothing to be left here (LGPD).
-- Guarantee: gone are messages with their media, what the model read and wrote, calls of tools, what people and other
--   programs are told, free words in handoffs, memory, names, addresses, news that came too early and raw webhooks;
--   numbers stay (turns, tokens, money), an opt-out stays in force, and keyed hashes know what comes of the person
--   later (bury_contacts). What was queued is not sent; a turn that is under way cannot commit. Who writes again is
--   somebody new. All or nothing; twice is once. Audited, without a word of what it was. Somebody of whom there is only
--   what was put aside, or a notice that was never sent, is erased with a second call.
-- Arguments: p_contact its id, or p_phone; p_actor, p_reason for the audit.
-- Concurrency: locks the contact and its conversations; a message that comes meanwhile waits: of one of before it
--   nothing is kept (see is_erased), a later one is then a new contact's.
-- Result: {outcome: 'erased', contact_id, messages, webhooks} | {outcome: 'sending', until: a message is on the wire,
--   try again then} | {outcome: 'unknown'} | {outcome: 'again': known by what was put aside only, call once more}.
create or replace function erase_contact(
  p_tenant text, p_contact bigint, p_phone text, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_id bigint := find_contact(p_tenant, p_contact, p_phone);
  v_now timestamptz := clock(p_now);
  v_all bigint[]; v_talks bigint[]; v_named record; v_until timestamptz; v_messages int; v_webhooks int; v_n int;
begin
  if v_id is null then
    return jsonb_build_object('outcome', case when p_contact is null and know_by_traces(p_tenant, p_phone) then 'again'
      else 'unknown' end);
  end if;
  v_all := contact_with_merged(v_id);
  perform 1 from contacts where id = any (v_all) order by id for update;
  -- a merge that was under way while we waited for the locks has taken the person elsewhere: look again
  if find_contact(p_tenant, p_contact, p_phone) is distinct from v_id or not contact_with_merged(v_id) <@ v_all then
    return erase_contact(p_tenant, p_contact, p_phone, p_actor, p_reason, p_now);
  end if;
  select coalesce(array_agg(l.id), '{}') into v_talks from (select id from conversations where contact_id = any (v_all)
    order by id for update) l;
  select max(lease_until) into v_until from on_wire where conversation_id = any (v_talks) and status = 'sending'
    and lease_until > v_now;
  if v_until is not null then return jsonb_build_object('outcome', 'sending', 'until', v_until); end if;

  perform bury_contacts(p_tenant, v_all, v_talks, v_now);
  delete from webhook_events where id in (select w.id from webhooks_of(p_tenant) w,
      jsonb_array_elements(case when jsonb_typeof(w.results) = 'array' then w.results else '[]' end) r
        where (r ->> 'conversation_id')::bigint = any (v_talks));
  get diagnostics v_webhooks = row_count;
  -- the addresses as they stand in what is stored, in all writings; a number that the person had before, until it was
  -- another's
  for v_named in
    select 'infinity'::timestamptz as until, array_agg(distinct '%' || w || '%') as words from (
        select unnest(case kind when 'pn' then both_writings(address) else array[address] end) as w
          from contact_addresses where contact_id = any (v_all)
        union all select unnest(case when jid like '%@lid' then array[split_part(jid, '@', 1)]
          else both_writings(split_part(jid, '@', 1)) end) from conversations where id = any (v_talks)) x
      where length(w) >= 8
    union all select f.until, (select array_agg('%' || w || '%') from unnest(both_writings(f.address)) w)
      from former_phones f where f.contact_id = any (v_all)
  loop
    delete from webhook_events where id in (select w.id from webhooks_of(p_tenant) w
      where w.received_at < v_named.until and w.body::text like any (v_named.words));
    get diagnostics v_n = row_count;
    v_webhooks := v_webhooks + v_n;
    delete from early_updates e where e.tenant_id = p_tenant and e.created_at < v_named.until
      and e.event::text like any (v_named.words);
    -- what the manager was written: answers to commands
    update messages set text = '[apagado]', status = case status when 'queued' then 'cancelled' else status end,
      reason = case status when 'queued' then 'erased' else reason end
      where tenant_id = p_tenant and kind = 'operator' and created_at < v_named.until and text like any (v_named.words);
  end loop;
  -- new words for a message that nobody knows, in a chat that nobody names, may be of anybody: they go too
  delete from webhook_events w where w.tenant_id = p_tenant and w.event = 'messages.edited'
    and w.results @> '[{"outcome": "early"}]';
  delete from early_updates e where e.tenant_id = p_tenant and e.event ->> 'kind' = 'edit'
    and e.event -> 'chat' ->> 'pn' is null and e.event -> 'chat' ->> 'lid' is null;
  -- what people were told of this contact, and the WhatsApp messages that carried it to them
  with told as (
    delete from notices n where n.tenant_id = p_tenant and n.key in (
      select 'handoff-' || h.id || step from handoffs h, unnest(array['-told', '-reminded', '-returned']) as step
        where h.conversation_id = any (v_talks)
      union all select 'draft-' || t.id from turns t where t.conversation_id = any (v_talks)
      union all select 'approval-' || a.id from approvals a where a.conversation_id = any (v_talks)
      union all select 'greeting-' || i.name from instances i join messages m on m.id = i.greeting_message
        where m.conversation_id = any (v_talks))
      or (n.tenant_id = p_tenant and n.kind = 'forward' and split_part(n.key, '-', 2) in (select t::text
        from unnest(v_talks) t)) returning n.id, n.attempts)
  update messages set text = '[apagado]', status = case status when 'queued' then 'cancelled' else status end,
    reason = case status when 'queued' then 'erased' else reason end
    where id in (select m.id from told t cross join generate_series(0, t.attempts) a (n)
      join messages m on m.tenant_id = p_tenant and m.kind = 'operator' and m.idempotency_key = 'notice-' || t.id || '-'
      || a.n);
  -- what else the manager was written about this conversation: answers that have a line for each, and notices whose
  -- rows are gone already
  update messages set text = '[apagado]', status = case status when 'queued' then 'cancelled' else status end,
    reason = case status when 'queued' then 'erased' else reason end
    where tenant_id = p_tenant and kind = 'operator' and v_talks <> '{}'
      and text ~* ('(\mconversa |(^|\n)• )(' || array_to_string(v_talks, '|') || ')\M');
  update notices set message_id = null where message_id in (select id from messages
    where conversation_id = any (v_talks));
  -- what a file says goes with the last message that brought it
  delete from media d using messages m where m.conversation_id = any (v_talks) and m.media ? 'sha256'
    and d.tenant_id = m.tenant_id and d.sha256 = m.media ->> 'sha256' and not exists (select from messages o
      where o.tenant_id = d.tenant_id and o.media ? 'sha256' and o.media ->> 'sha256' = d.sha256
        and o.conversation_id <> all (v_talks));
  delete from events where contact_id = any (v_all) or message_id in (select id from messages
    where conversation_id = any (v_talks));
  delete from messages where conversation_id = any (v_talks);
  get diagnostics v_messages = row_count;
  delete from tool_calls where conversation_id = any (v_talks);
  delete from summaries where conversation_id = any (v_talks);
  delete from approvals where conversation_id = any (v_talks);
  delete from tool_writes where conversation_id = any (v_talks);
  update turns set transcript = null, status = case status when 'open' then 'suppressed' else status end,
    reason = case status when 'open' then 'erased' else reason end,
    ended_at = coalesce(ended_at, v_now) where conversation_id = any (v_talks);
  update handoffs set summary = null, suggestion = null, reason = case handoff_code(reason) when 'words' then 'erased'
    else reason end, status = 'returned', returned_at = coalesce(returned_at, v_now)
    where conversation_id = any (v_talks);
  update conversations set jid = 'erased', escalation_reason = null, controlled_by = 'agent', taken_by = null,
    taken_at = null, takeover_since = null,
    takeover_until = null, quiet_until = null, quiet_reason = null, mode = 'auto', observed_labels = '{}',
    observed_summary = null, observed_at = null, forward_from = null,
    forward_due_at = null,
    fence = fence + 1 where id = any (v_talks);
  perform keep_suppression(v_all);
  delete from contact_tags where contact_id = any (v_all);
  update campaign_recipients set phone = null, text = null, status = 'cancelled', reason = 'erased'
    where contact_id = any (v_all);
  -- one that was never sent has no message that takes it away
  delete from order_notices n using (select a.address, 'infinity'::timestamptz as until from contact_addresses a
      where a.contact_id = any (v_all) and a.kind = 'pn'
    union all select f.address, f.until from former_phones f where f.contact_id = any (v_all)) p
    where n.tenant_id = p_tenant and n.phone = p.address and n.created_at < p.until;
  delete from contact_addresses where contact_id = any (v_all);
  delete from former_phones where contact_id = any (v_all);
  delete from contact_merges where kept = any (v_all) or merged = any (v_all);
  delete from contact_facts where contact_id = any (v_all);
  delete from directives where tenant_id = p_tenant and scope = 'contact' and target = any (v_all::text[]);
  delete from reminders where conversation_id = any (v_talks);
  delete from follow_ups where conversation_id = any (v_talks);
  update contacts set name = null, erased_at = coalesce(erased_at, v_now) where id = any (v_all);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'contact.erase', v_id::text,
    jsonb_build_object('reason', p_reason, 'messages', v_messages, 'webhooks', v_webhooks), v_now);
  return jsonb_build_object('outcome', 'erased', 'contact_id', v_id, 'messages', v_messages, 'webhooks', v_webhooks);
end $$;

revoke all on function
  merge_contacts(bigint, bigint),
  merge_by_hand(text, bigint, bigint, text, text, timestamptz),
  unmerge_contact(text, text, bigint, bigint, timestamptz),
  unlearn_lids(text, text, timestamptz, text, timestamptz),
  judge_pair(jsonb),
  speaks_alone(jsonb),
  known_elsewhere(bigint, bigint),
  pair_facts(instances, text, text, timestamptz, jsonb),
  said_on_both(bigint[], bigint[]),
  hand_on_opt_out(bigint, bigint, text),
  move_phone(instances, text, bigint, timestamptz),
  ensure_contact(instances, text, text, text, timestamptz, timestamptz, jsonb, jsonb),
  one_writing(text),
  both_writings(text),
  address_row(bigint, text),
  leads_to(bigint, bigint, text, text),
  dial(bigint, text),
  confirm_address(bigint, text),
  address_refused(bigint, text, timestamptz),
  address_hash(text, bigint, text),
  message_hash(bigint, text),
  is_erased(instances, jsonb, timestamptz),
  is_erased_news(instances, jsonb),
  digits_in(jsonb),
  oldest_in(jsonb),
  names_erased(instances, jsonb, timestamptz),
  hold_named(instances, jsonb),
  gone_meanwhile(messages),
  bury_message(instances, text, timestamptz),
  bury_contacts(text, bigint[], bigint[], timestamptz),
  list_erasures(timestamptz),
  apply_erasures(jsonb, text, timestamptz),
  pause_status(text, text, text),
  pause_reason(text, text, bigint, text),
  is_observed(conversations),
  set_observed(text, text, text, boolean, text, text, timestamptz),
  list_observed(text),
  conversation_holder(conversations, timestamptz),
  standing_opt_out(bigint),
  silenced_by(conversations, timestamptz, text, timestamptz),
  open_handoff(bigint, bigint, text, text, boolean, timestamptz, text),
  close_handoff(messages, text, timestamptz),
  add_opt_out(bigint, text, timestamptz, bigint),
  honour_suppression(instances, bigint, text, text),
  keep_suppression(bigint[]),
  revoke_opt_out(bigint, text, text, timestamptz),
  take_back_opt_out(conversations, jsonb, timestamptz),
  set_opt_out(text, text, boolean, text, text, timestamptz),
  list_opt_outs(text, int),
  give_back(bigint, text, timestamptz),
  waits_for_person(conversations),
  handoffs_to_tell(text, int, int, timestamptz),
  record_handoff_step(bigint, text, timestamptz),
  return_forgotten(int, int, timestamptz),
  is_technical(text),
  handoff_code(text),
  return_technical(text, text, text, int, timestamptz),
  set_mode(text, bigint, text, text, text, timestamptz),
  withdraw_drafts(bigint),
  list_drafts(text, int, bigint),
  settle_draft(text, bigint, boolean, jsonb, text, text, timestamptz),
  bot_suspicion(text, timestamptz),
  list_suspicions(text, int),
  dismiss_suspicion(text, bigint, text, text, timestamptz),
  set_identity(text, text, text, text, timestamptz),
  expire_held(int, timestamptz),
  list_audit(text, int, bigint),
  date_audit(),
  purge_audit(timestamptz, int),
  record_audit(text, text, text, text, jsonb),
  pauses(text),
  set_pause(text, text, text, text, text, text, timestamptz),
  list_handoffs(text, int, timestamptz),
  take_conversation(text, bigint, text, boolean, timestamptz),
  write_by_hand(text, bigint, text, text, text, boolean, timestamptz),
  return_handoff(text, bigint, text, text, timestamptz),
  add_token(jsonb, text, timestamptz),
  use_token(jsonb, timestamptz),
  list_tokens(text, boolean, int, timestamptz),
  revoke_token(text, text, text, text, timestamptz),
  give_password(users, text, boolean, text, timestamptz),
  create_user(text, text, text, text, text, timestamptz),
  reset_user(text, text, text, text, text, timestamptz),
  disable_user(text, text, text, text, timestamptz),
  list_users(text, int, timestamptz),
  has_users(),
  begin_login(text, timestamptz),
  wrong_password(bigint, timestamptz),
  open_session(bigint, bigint, text, timestamptz),
  session_counts(sessions, timestamptz),
  use_session(text, timestamptz),
  close_session(text),
  change_password(bigint, bigint, text, text, timestamptz),
  purge_old(jsonb, int, timestamptz),
  find_contact(text, bigint, text),
  contact_with_merged(bigint),
  export_contact(text, bigint, text, text, timestamptz),
  webhooks_of(text),
  know_by_traces(text, text),
  erase_contact(text, bigint, text, text, text, timestamptz)
  from public, anon, authenticated;
grant execute on function
  merge_contacts(bigint, bigint),
  merge_by_hand(text, bigint, bigint, text, text, timestamptz),
  unmerge_contact(text, text, bigint, bigint, timestamptz),
  unlearn_lids(text, text, timestamptz, text, timestamptz),
  judge_pair(jsonb),
  speaks_alone(jsonb),
  known_elsewhere(bigint, bigint),
  pair_facts(instances, text, text, timestamptz, jsonb),
  said_on_both(bigint[], bigint[]),
  hand_on_opt_out(bigint, bigint, text),
  move_phone(instances, text, bigint, timestamptz),
  ensure_contact(instances, text, text, text, timestamptz, timestamptz, jsonb, jsonb),
  one_writing(text),
  both_writings(text),
  address_row(bigint, text),
  leads_to(bigint, bigint, text, text),
  dial(bigint, text),
  confirm_address(bigint, text),
  address_refused(bigint, text, timestamptz),
  address_hash(text, bigint, text),
  message_hash(bigint, text),
  is_erased(instances, jsonb, timestamptz),
  is_erased_news(instances, jsonb),
  digits_in(jsonb),
  oldest_in(jsonb),
  names_erased(instances, jsonb, timestamptz),
  hold_named(instances, jsonb),
  gone_meanwhile(messages),
  bury_message(instances, text, timestamptz),
  bury_contacts(text, bigint[], bigint[], timestamptz),
  list_erasures(timestamptz),
  apply_erasures(jsonb, text, timestamptz),
  pause_status(text, text, text),
  pause_reason(text, text, bigint, text),
  is_observed(conversations),
  set_observed(text, text, text, boolean, text, text, timestamptz),
  list_observed(text),
  conversation_holder(conversations, timestamptz),
  standing_opt_out(bigint),
  silenced_by(conversations, timestamptz, text, timestamptz),
  open_handoff(bigint, bigint, text, text, boolean, timestamptz, text),
  close_handoff(messages, text, timestamptz),
  add_opt_out(bigint, text, timestamptz, bigint),
  honour_suppression(instances, bigint, text, text),
  keep_suppression(bigint[]),
  revoke_opt_out(bigint, text, text, timestamptz),
  take_back_opt_out(conversations, jsonb, timestamptz),
  set_opt_out(text, text, boolean, text, text, timestamptz),
  list_opt_outs(text, int),
  give_back(bigint, text, timestamptz),
  waits_for_person(conversations),
  handoffs_to_tell(text, int, int, timestamptz),
  record_handoff_step(bigint, text, timestamptz),
  return_forgotten(int, int, timestamptz),
  is_technical(text),
  handoff_code(text),
  return_technical(text, text, text, int, timestamptz),
  set_mode(text, bigint, text, text, text, timestamptz),
  withdraw_drafts(bigint),
  list_drafts(text, int, bigint),
  settle_draft(text, bigint, boolean, jsonb, text, text, timestamptz),
  bot_suspicion(text, timestamptz),
  list_suspicions(text, int),
  dismiss_suspicion(text, bigint, text, text, timestamptz),
  set_identity(text, text, text, text, timestamptz),
  expire_held(int, timestamptz),
  list_audit(text, int, bigint),
  date_audit(),
  purge_audit(timestamptz, int),
  record_audit(text, text, text, text, jsonb),
  pauses(text),
  set_pause(text, text, text, text, text, text, timestamptz),
  list_handoffs(text, int, timestamptz),
  take_conversation(text, bigint, text, boolean, timestamptz),
  write_by_hand(text, bigint, text, text, text, boolean, timestamptz),
  return_handoff(text, bigint, text, text, timestamptz),
  add_token(jsonb, text, timestamptz),
  use_token(jsonb, timestamptz),
  list_tokens(text, boolean, int, timestamptz),
  revoke_token(text, text, text, text, timestamptz),
  give_password(users, text, boolean, text, timestamptz),
  create_user(text, text, text, text, text, timestamptz),
  reset_user(text, text, text, text, text, timestamptz),
  disable_user(text, text, text, text, timestamptz),
  list_users(text, int, timestamptz),
  has_users(),
  begin_login(text, timestamptz),
  wrong_password(bigint, timestamptz),
  open_session(bigint, bigint, text, timestamptz),
  session_counts(sessions, timestamptz),
  use_session(text, timestamptz),
  close_session(text),
  change_password(bigint, bigint, text, text, timestamptz),
  purge_old(jsonb, int, timestamptz),
  find_contact(text, bigint, text),
  contact_with_merged(bigint),
  export_contact(text, bigint, text, text, timestamptz),
  webhooks_of(text),
  know_by_traces(text, text),
  erase_contact(text, bigint, text, text, text, timestamptz)
  to service_role, whats_agents_runtime;
