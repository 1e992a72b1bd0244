-- People: what contacts and operators say that is no matter for the model (opt-outs, commands), and how a conversation goes to a person and back.

-- honour_suppression: a contact got an address: when its hash opted out, so has the contact. Called by ensure_contact only.
create function honour_suppression(p_instance instances, p_contact bigint, p_pn text, p_lid text) returns void language sql as $$
  insert into opt_outs (tenant_id, contact_id, source, created_at)
    select o.tenant_id, p_contact, o.source, o.created_at from opt_outs o
    where o.tenant_id = p_instance.tenant_id and o.contact_id is null and o.revoked_at is null
      and o.address_hash in (address_hash('pn', null, p_pn), address_hash('lid', p_instance.id, p_lid))
    order by o.id limit 1
    on conflict do nothing
$$;

-- keep_suppression: before contacts are erased: an opt-out that holds is kept as hashes of their addresses too.
-- Guarantee: whoever is made anew with one of these addresses has opted out. Concurrency: the caller holds the contacts' locks and deletes the addresses after this.
create function keep_suppression(p_contacts bigint[]) returns void language sql as $$
  insert into opt_outs (tenant_id, address_hash, source, created_at)
    select o.tenant_id, address_hash(a.kind, a.instance_id, a.address), o.source, o.created_at
    from opt_outs o join contact_addresses a on a.contact_id = any (p_contacts) where o.contact_id = any (p_contacts) and o.revoked_at is null
    on conflict do nothing
$$;

-- revoke_opt_out: the contact wants messages again. Audited with p_actor and p_reason. Result: whether there was an opt-out.
create function revoke_opt_out(p_contact bigint, p_actor text, p_reason text, p_now timestamptz) returns boolean language plpgsql as $$
declare v_n int;
begin
  update opt_outs o set revoked_at = p_now where o.revoked_at is null and (o.contact_id = p_contact or (o.contact_id is null and o.tenant_id = (select tenant_id from contacts where id = p_contact)
    and o.address_hash in (select address_hash(a.kind, a.instance_id, a.address) from contact_addresses a where a.contact_id = p_contact)));
  get diagnostics v_n = row_count;
  if v_n = 0 then return false; end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    select tenant_id, p_actor, 'optout.revoke', 'contact:' || id, jsonb_build_object('reason', p_reason), p_now from contacts where id = p_contact;
  return true;
end $$;

-- set_opt_out: an operator opts a phone number out, or in again.
-- Guarantee: also of a number that no contact has: it is kept as a hash until one comes. Audited. Concurrency: any; repeats change nothing.
-- Arguments: p_phone canonical digits; p_out true: no more messages. Result: {outcome: 'done' | 'already', contact_id or null}.
create function set_opt_out(p_tenant text, p_phone text, p_out boolean, p_actor text, p_reason text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_contact bigint; v_done boolean; v_now timestamptz := clock(p_now);
begin
  select contact_id into v_contact from contact_addresses where kind = 'pn' and tenant_id = p_tenant and address = p_phone;
  if v_contact is not null and not p_out then
    v_done := revoke_opt_out(v_contact, p_actor, p_reason, v_now);
  else
    if v_contact is not null then
      v_done := add_opt_out(v_contact, 'operator', v_now);
    elsif p_out then
      insert into opt_outs (tenant_id, address_hash, source, created_at) select id, address_hash('pn', null, p_phone), 'operator', v_now from tenants where id = p_tenant on conflict do nothing;
      v_done := found;
    else
      update opt_outs set revoked_at = v_now where tenant_id = p_tenant and contact_id is null and revoked_at is null and address_hash = address_hash('pn', null, p_phone);
      v_done := found;
    end if;
    if v_done then
      insert into audit_log (tenant_id, actor, action, subject, details, created_at) values (p_tenant, p_actor, case when p_out then 'optout.add' else 'optout.revoke' end,
        case when v_contact is null then 'hash:' || left(address_hash('pn', null, p_phone), 12) else 'contact:' || v_contact end, jsonb_build_object('reason', p_reason), v_now);
    end if;
  end if;
  return jsonb_build_object('outcome', case when v_done then 'done' else 'already' end, 'contact_id', v_contact);
end $$;

-- list_opt_outs: who has opted out, the newest first. contact_id null: only the hash of an address is left. Read only.
-- Result: [{id, contact_id, name, phone, source, created_at}].
create function list_opt_outs(p_tenant text, p_limit int) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(to_jsonb(l) order by l.id desc), '[]') from (
    select o.id, o.contact_id, c.name, (select a.address from contact_addresses a where a.contact_id = o.contact_id and a.kind = 'pn' limit 1) as phone, o.source, o.created_at
    from opt_outs o left join contacts c on c.id = o.contact_id where o.tenant_id = p_tenant and o.revoked_at is null order by o.id desc limit p_limit) l
$$;

-- take_meaning: what a message's words were recognised as becomes true; the part of record_message that is about people.
-- Guarantee: of an opt-out and a resubscription the one that was written last counts, in whatever order they come.
-- Arguments: p_meaning {intent: opt_out | resubscribe | bot_question, command, handset: on | off}; p_said_at when it was written; p_commands it came from
--   the manager's own phone address, to the number that takes commands.
-- Concurrency: the caller holds the conversation's lock. Result: what is stored with the message, or null: {intent} also opt_out_again (has opted out
--   already, so nothing is confirmed), {command} only of the manager, {handset} only of whoever has the phone.
create function take_meaning(v conversations, p_meaning jsonb, p_from_me boolean, p_said_at timestamptz, p_commands boolean, p_now timestamptz) returns jsonb language plpgsql as $$
declare v_intent text := p_meaning ->> 'intent';
begin
  if p_from_me then
    return case when p_meaning ->> 'handset' is not null then jsonb_build_object('handset', p_meaning ->> 'handset') end;
  end if;
  if p_commands and coalesce(jsonb_typeof(p_meaning -> 'command'), 'null') <> 'null' then
    return jsonb_build_object('command', p_meaning -> 'command');
  end if;
  if v_intent in ('opt_out', 'resubscribe') and exists (select from messages m where m.conversation_id = v.id and m.direction = 'in'
      and m.meaning ->> 'intent' in ('opt_out', 'opt_out_again', 'resubscribe') and m.provider_at > p_said_at) then return null; end if;
  if v_intent = 'opt_out' and not add_opt_out(v.contact_id, 'message', p_now) then v_intent := 'opt_out_again'; end if;
  if v_intent = 'resubscribe' and not revoke_opt_out(v.contact_id, 'contact', null, p_now) then v_intent := null; end if;
  return case when v_intent is not null then jsonb_build_object('intent', v_intent) end;
end $$;

-- claim_command: the oldest command of the manager that waits in a conversation, under a lease. The part of claim_turn that a pause does not hold.
-- Guarantee: one caller has it until its lease is over. Concurrency: the caller holds the conversation's lock.
-- Result: {state: 'busy', until} | {state: 'command', message_id, claim, command, text, sent_at, now, asked: [{message_id, command, word}] what waits for its one-time word, the newest
--   three, recent: {asked, wrong, locked, answers} what the manager's address did within the hour: asked for words that never came, wrong words, refused without a look, answers}.
create function claim_command(p_conversation bigint, p_lease_ms int, p_now timestamptz) returns jsonb language plpgsql as $$
declare m messages;
begin
  select * into m from messages where conversation_id = p_conversation and direction = 'in' and status = 'received' and meaning ? 'command' order by seq limit 1;
  if m.lease_until > p_now then return jsonb_build_object('state', 'busy', 'until', m.lease_until); end if;
  update messages set claim = claim + 1, lease_until = p_now + make_interval(secs => p_lease_ms / 1000.0) where id = m.id returning * into m;
  return jsonb_build_object('state', 'command', 'message_id', m.id, 'claim', m.claim, 'command', m.meaning -> 'command', 'text', m.text, 'sent_at', m.provider_at, 'now', p_now,
    'asked', (select coalesce(jsonb_agg(jsonb_build_object('message_id', a.id, 'command', a.meaning -> 'command', 'word', a.meaning ->> 'asked')), '[]') from (
      select * from messages where conversation_id = p_conversation and meaning ? 'command' and created_at > p_now - interval '5 minutes' and meaning ? 'asked' and seq < m.seq
      order by seq desc limit 3) a),
    'recent', (select jsonb_build_object('asked', count(*) filter (where c.reason = 'command_asked'), 'wrong', count(*) filter (where c.reason = 'command_wrong'),
      'locked', count(*) filter (where c.reason = 'command_locked'), 'answers', count(*)) from messages c
      where c.meaning ? 'command' and c.created_at > p_now - interval '1 hour' and c.status = 'answered'));
end $$;

-- settle_command: a command was carried out, asked about or refused; the manager is answered, at the phone that may command and nowhere else.
-- Guarantee: once: only the newest claim may speak; the answer and the end of the command commit together. A word counts once.
-- Arguments: p_end {reason: command | command_asked | command_wrong | command_locked, text: the answer, or null for none, to: the manager's phone, word: what is to be repeated before the
--   command is carried out, or null, proved: id of the message whose word this was, or null}. Result: {outcome: 'recorded' | 'stale', conversation_id}.
create function settle_command(p_message bigint, p_claim bigint, p_end jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare m messages; v conversations; v_now timestamptz := clock(p_now);
begin
  select c.* into v from conversations c join messages x on x.conversation_id = c.id where x.id = p_message for no key update of c;
  select * into m from messages where id = p_message for update;
  if not found or m.claim <> p_claim or m.status <> 'received' then return jsonb_build_object('outcome', 'stale', 'conversation_id', v.id); end if;
  update messages set meaning = meaning - 'asked', reason = 'command' where id = (p_end ->> 'proved')::bigint and conversation_id = v.id;
  update messages set status = 'answered', reason = p_end ->> 'reason', lease_until = null,
    meaning = case when p_end ->> 'word' is not null and meaning -> 'command' ->> 'kind' = 'command' then meaning || jsonb_build_object('asked', p_end ->> 'word') else meaning end where id = m.id;
  if p_end ->> 'text' is null then return jsonb_build_object('outcome', 'recorded', 'conversation_id', null); end if;
  insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_at, correlation_id, kind, priority, part, due_at, addressee, created_at)
    values (v.tenant_id, v.instance_id, v.id, v.last_seq + 1, 'out', 'system', 'text', 'queued', p_end ->> 'text', v_now, m.correlation_id, 'operator', 0, 1, v_now, p_end ->> 'to', v_now);
  update conversations set last_seq = last_seq + 1 where id = v.id;
  return jsonb_build_object('outcome', 'recorded', 'conversation_id', v.id);
end $$;

-- give_back: the agent answers in a conversation again: control, takeover, open handoffs and the quiet after abuse end. Result: how many handoffs.
-- p_by who: an operator, 'handset' or 'timeout'. Concurrency: the caller holds the conversation's lock.
create function give_back(p_conversation bigint, p_by text, p_now timestamptz) returns int language plpgsql as $$
declare v_n int;
begin
  update handoffs set status = 'returned', returned_at = p_now, returned_by = p_by where conversation_id = p_conversation and status <> 'returned';
  get diagnostics v_n = row_count;
  update conversations set controlled_by = 'agent', escalation_reason = null, takeover_since = null, takeover_until = null, quiet_until = null, quiet_reason = null
    where id = p_conversation;
  return v_n;
end $$;

-- waits_for_person: only people answer here, and the contact's is the last word.
create function waits_for_person(v conversations) returns boolean language sql stable as $$
  select v.mode = 'manual' and exists (select from messages m where m.conversation_id = v.id and m.seq = v.last_seq and m.direction = 'in' and m.status = 'handed_over')
$$;

-- handoffs_to_tell: handoffs that people have not heard of, and those that nobody took within p_remind_ms after they had. Read only; the notice's
-- key makes telling twice harmless.
-- Result: [{id, step: 'told' | 'reminded', tenant, conversation_id, instance, reason, summary, suggestion, controls, created_at, name, phone, is_manager,
--   messages: the last 6 [{author, type, text, typed, at, said: false while an answer waits to leave}]}], the oldest first.
create function handoffs_to_tell(p_manager text, p_remind_ms int, p_limit int, p_now timestamptz default null) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(to_jsonb(l) order by l.id), '[]') from (
    select h.id, case h.status when 'open' then 'told' else 'reminded' end as step, h.tenant_id as tenant, h.conversation_id, i.name as instance, h.reason, h.summary, h.suggestion,
      h.controls, h.created_at, k.name, a.address as phone, coalesce(a.address = p_manager, false) as is_manager,
      (select coalesce(jsonb_agg(jsonb_build_object('author', m.author, 'type', m.type, 'text', m.text, 'typed', m.typed, 'at', m.provider_at,
          'said', m.direction = 'in' or was_said(m.status)) order by m.seq), '[]') from (
        select * from messages x where x.conversation_id = h.conversation_id and x.type <> 'reaction' and x.deleted_at is null and x.kind is distinct from 'operator'
          and not coalesce(x.meaning ?| array['command', 'handset'], false) and (x.direction = 'in' or was_said(x.status) or (x.status = 'queued' and x.kind in ('reply', 'handoff') and x.turn_id is not null))
        order by x.seq desc limit 6) m) as messages
    from handoffs h join conversations c on c.id = h.conversation_id join instances i on i.id = c.instance_id join contacts k on k.id = c.contact_id
      left join lateral (select address from contact_addresses where contact_id = k.id and kind = 'pn' limit 1) a on true
    where h.status <> 'returned' and (h.status = 'open'
      or (h.controls and h.taken_at is null and h.reminded_at is null and h.notified_at <= clock(p_now) - make_interval(secs => p_remind_ms / 1000.0)))
    order by h.controls desc, h.id limit p_limit) l
$$;

-- record_handoff_step: people were told of a handoff (p_step 'told'), or reminded of it ('reminded'). Forward only; repeats change nothing.
create function record_handoff_step(p_handoff bigint, p_step text, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  update handoffs set status = case status when 'open' then 'notified' else status end, notified_at = coalesce(notified_at, clock(p_now)),
    reminded_at = case when p_step = 'reminded' then coalesce(reminded_at, clock(p_now)) else reminded_at end where id = p_handoff;
  return jsonb_build_object('recorded', found);
end $$;

-- return_forgotten: handoffs in which no person wrote, and the contact neither, for p_hours: the agent answers there again. Audited.
-- Guarantee: conversations that a person holds without a handoff (manual mode, a takeover) are left alone. Concurrency: any; rows that somebody has are skipped.
-- Result: [{conversation_id, tenant, name, handoff_id: the newest}].
create function return_forgotten(p_hours int, p_limit int, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v conversations; v_all jsonb := '[]'; v_now timestamptz := clock(p_now); v_before timestamptz := clock(p_now) - make_interval(hours => p_hours);
begin
  for v in
    select c.* from conversations c where c.controlled_by = 'human' and c.merged_into is null
      and exists (select from handoffs h where h.conversation_id = c.id and h.controls and h.status <> 'returned' and h.created_at <= v_before)
      and not exists (select from messages m where m.conversation_id = c.id and m.seq > c.last_seq - 20 and m.author in ('human', 'contact') and m.created_at > v_before)
    order by c.id limit p_limit for no key update of c skip locked
  loop
    perform give_back(v.id, 'timeout', v_now);
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (v.tenant_id, 'runtime', 'handoff.return', v.id::text, jsonb_build_object('by', 'timeout', 'because', handoff_code(v.escalation_reason)), v_now);
    v_all := v_all || jsonb_build_object('conversation_id', v.id, 'tenant', v.tenant_id, 'name', (select name from contacts where id = v.contact_id),
      'handoff_id', (select max(id) from handoffs where conversation_id = v.id));
  end loop;
  return v_all;
end $$;

-- is_technical: nobody asked for a person: the agent could not answer, and can again when the cause is over.
create function is_technical(p_reason text) returns boolean language sql immutable as $$ select p_reason in ('turn_failed', 'no_model') or p_reason like 'model\_%' $$;

-- handoff_code: a handoff's reason where it outlives the person: a code of the product's stays, free words (the agent's of the contact) become 'words'. core/packet.ts has the same codes.
create function handoff_code(p_reason text) returns text language sql immutable as $$
  select case when p_reason in ('human', 'declined', 'no_agent', 'send_failed', 'send_unproven', 'too_old', 'answer_too_old', 'bot_question', 'abuse_loop', 'abuse_agent',
      'abuse_repeated', 'abuse_flood', 'abuse_daily_turns', 'abuse_daily_tokens', 'erased') or (is_technical(p_reason) and p_reason ~ '^[a-z_]{1,40}$') then p_reason
    when p_reason is not null then 'words' end
$$;

-- return_technical: conversations that went to a person only because the agent could not answer go back to it, and it answers what has waited. Audited.
-- Guarantee: never one that somebody has taken: who wrote there since, took it over, called a person for another reason, or answers by hand (manual). With p_by
--   'recovered' only when the cause is over: the model has answered somewhere in a turn that began later (for no_model: whoever asks has a key). Each conversation
--   once a day so: one that fails whenever it is tried stays with a person.
-- Arguments: p_tenant null: of all; p_by 'recovered', or the operator who does it at once.
-- Concurrency: any; by itself it leaves conversations that somebody has at this moment for the next call. The workers find what is to be answered, see sweep_deferred.
-- Result: [{conversation_id, tenant, handoff_id}].
create function return_technical(p_tenant text, p_by text, p_reason text, p_limit int, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare
  v_now timestamptz := clock(p_now);
  v_good timestamptz := (select max(t.started_at) from (select * from turns order by id desc limit 1000) t where t.status = 'committed' and t.model is not null);
  h handoffs;
  v conversations;
  v_waiting int;
  v_all jsonb := '[]';
begin
  for h in
    select * from handoffs x where x.status <> 'returned' and is_technical(x.reason) and x.taken_at is null and x.tenant_id = coalesce(p_tenant, x.tenant_id)
      and (p_by <> 'recovered' or ((x.reason = 'no_model' or coalesce(v_good > x.created_at, false))
        and not exists (select from handoffs o where o.conversation_id = x.conversation_id and o.returned_by = 'recovered' and o.returned_at > v_now - interval '1 day')))
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
      or exists (select from messages m where m.conversation_id = v.id and m.created_at >= h.created_at and m.direction = 'out' and m.type <> 'reaction'
        and (m.author = 'human' or m.kind = 'manual'));
    update handoffs set status = 'returned', returned_at = v_now, returned_by = p_by where id = h.id;
    -- what the turn that gave up left unanswered, and what came while a person was waited for; not what an answer has come to since
    update messages m set status = 'received', reason = null
      where m.conversation_id = v.id and m.direction = 'in' and m.status = 'handed_over' and (m.reason = 'human' or is_technical(m.reason))
        and m.seq >= (select min(f.seq) from messages f where f.turn_id = h.turn_id and f.direction = 'in')
        and not exists (select from messages o join turns t on t.id = o.turn_id where o.conversation_id = v.id and o.seq > m.seq and o.direction = 'out' and o.kind = 'reply'
          and t.status = 'committed' and t.model is not null);
    get diagnostics v_waiting = row_count;
    update conversations set controlled_by = 'agent', escalation_reason = null, failed_in_row = 0, failing_since = null where id = v.id;
    if v_waiting > 0 then
      -- it waits like after an outage: it did not grow too old meanwhile, and has heard that something is wrong
      update conversations set inbound_seq = inbound_seq + 1, deferred_since = coalesce(deferred_since, h.created_at), deferred_until = v_now, deferred_reason = 'returned',
        apologised_at = case when h.controls then v_now else apologised_at end where id = v.id;
    end if;
    insert into audit_log (tenant_id, actor, action, subject, details, created_at) values (v.tenant_id, case p_by when 'recovered' then 'runtime' else p_by end, 'handoff.return',
      v.id::text, jsonb_build_object('by', p_by, 'because', handoff_code(h.reason), 'reason', p_reason, 'unanswered', v_waiting), v_now);
    v_all := v_all || jsonb_build_object('conversation_id', v.id, 'tenant', v.tenant_id, 'handoff_id', h.id);
  end loop;
  if p_by <> 'recovered' then
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (coalesce(p_tenant, 'default'), p_by, 'handoff.return', 'technical', jsonb_build_object('reason', p_reason, 'conversations', jsonb_array_length(v_all)), v_now);
  end if;
  return v_all;
end $$;
