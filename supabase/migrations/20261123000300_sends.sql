-- Sends: one lane per conversation, every rule checked in the transaction that takes the slot.

-- campaign_paused: one campaign of a tenant is stopped; the others of the same contact go on.
create function campaign_paused(p_tenant text, p_campaign text) returns boolean language sql stable as $$
  select p_campaign is not null and coalesce((select j.status = 'pausado' from julia_status j
    where j.scope = 'campaign' and j.target = p_campaign and j.tenant_id = p_tenant order by j.id desc limit 1), false)
$$;

-- end_send: a row leaves the lane for good, with the rule that ended it. Never touches a row that has left already.
create function end_send(p_message bigint, p_status text, p_reason text) returns void language sql as $$
  update messages set status = p_status, reason = p_reason, goes_at = null, lease_until = null where id = p_message and status = 'queued'
$$;

-- hold_send: a row waits; whoever asks is told why and until when. Uses no attempt. A deadline before that is looked at when it comes.
-- p_until when it may go; null: nobody knows, it is looked at again at p_look, or when somebody wakes it.
create function hold_send(p_message bigint, p_reason text, p_until timestamptz, p_look timestamptz) returns jsonb language plpgsql as $$
declare m messages;
begin
  update messages set reason = p_reason, goes_at = p_until, due_at = case when coalesce(p_until, p_look) is null then due_at else least(p_until, p_look, expires_at) end where id = p_message returning * into m;
  if p_reason = 'reply_share' then
    perform add_notice(jsonb_build_object('tenant', m.tenant_id, 'key', 'share-' || m.conversation_id || '-' || to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD'), 'kind', 'alert', 'urgent', false,
      'about', null, 'text', 'A conversa ' || m.conversation_id || ' já usou a sua parte das respostas do número nesta hora (um quarto de MAX_RESPOSTAS_POR_HORA): as próximas esperam, e as outras conversas seguem. Veja se é uma pessoa.'), null);
  end if;
  return jsonb_build_object('action', 'wait', 'until', case when coalesce(p_until, p_look) is not null then m.due_at end, 'reason', p_reason, 'message_id', p_message);
end $$;

-- claim_send: takes the next message of a conversation's lane, or says why not.
-- Guarantee: every guardrail holds at this moment, and the slot in the caps is taken in the same transaction, over any number of workers.
--   A row is `sending` before the wire, so a crash leaves a trace; one whose lease ran out becomes `uncertain` and is never sent again by itself.
-- The rules, in their order: first_guard (guardrails). The first one that fails is the recorded reason.
-- Arguments: p_policy {allowlist: [digits] | null for everyone, capHour, capDay, replyCapHour, contactCapHour, contactCapWeek, campaignGapDays, maxUnanswered,
--   kindCaps: {kind: an hour}, strangersDay, minReplyPercent, paceMinSeconds, paceMaxSeconds, hours: {start, end, weekdays, holidays} | null for always, tz,
--   pilot, leaseMs, replyMaxAgeMinutes: a pause may hold an answer for so long, projectRef, random 0..1}. A figure that is null or missing limits nothing.
-- Concurrency: locks the conversation, then the instance, then the contact: claims of one number queue for a moment.
-- Result: {action: 'idle'} | {action: 'wait', until, reason, message_id} | {action: 'ended', status, reason, message_id}
--   | {action: 'typing', ms, read_jid, read_ids, ...} mark these messages read, show it, then claim again | {action: 'look', ...} an uncertain send is to be looked up
--   | {action: 'send', message_id, claim, instance, number, wire_id, type, text, quoted_id, quoted_text, kind, correlation_id, created_at}.
create function claim_send(p_conversation bigint, p_policy jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare
  v_now timestamptz := clock(p_now);
  v conversations;
  m messages;
  v_instance instances;
  v_reply boolean;
  v_stop jsonb;
  v_operator boolean;
  v_jid text;
  v_lease interval := make_interval(secs => (p_policy ->> 'leaseMs')::int / 1000.0);
  v_pace numeric;
begin
  -- an empty lane is seen without a lock: a lock alone would make the commit wait for the disk. What is added meanwhile brings its own wake-up
  if not exists (select from messages where conversation_id = p_conversation and direction = 'out' and status in ('queued', 'sending', 'uncertain')) then
    return jsonb_build_object('action', 'idle');
  end if;
  select * into v from conversations where id = p_conversation for no key update;
  if not found or v.merged_into is not null then return jsonb_build_object('action', 'idle'); end if;

  -- one at a time: what is on its way, or may be, goes first
  select * into m from messages where conversation_id = v.id and direction = 'out' and status in ('sending', 'uncertain') order by id limit 1;
  if found then
    if m.status = 'sending' and m.lease_until > v_now then
      return jsonb_build_object('action', 'wait', 'until', m.lease_until, 'reason', 'sending', 'message_id', m.id);
    end if;
    if m.status = 'uncertain' and m.due_at > v_now then
      return jsonb_build_object('action', 'wait', 'until', m.due_at, 'reason', 'uncertain', 'message_id', m.id);
    end if;
    -- nobody else looks meanwhile, so that each look counts once; longer than a look may take (LOOK_MS in outbound.ts)
    update messages set due_at = v_now + interval '20 seconds', lease_until = null, slot_at = case status when 'sending' then v_now else slot_at end,
      reason = case status when 'sending' then 'worker_lost' else reason end, status = 'uncertain' where id = m.id returning * into m;
    return jsonb_build_object('action', 'look', 'message_id', m.id, 'claim', m.claim, 'instance', (select name from instances where id = v.instance_id),
      'jids', (select jsonb_agg(distinct j) from (select coalesce(m.addressee || '@s.whatsapp.net', v.jid) as j union all
        select a.address || case a.kind when 'pn' then '@s.whatsapp.net' else '@lid' end from contact_addresses a where a.contact_id = v.contact_id) x),
      'wire_id', m.wire_id, 'gateway_version', (select gateway_version from instances where id = v.instance_id),
      'type', m.type, 'text', m.text, 'claimed_at', m.claimed_at, 'looks', m.looks, 'correlation_id', m.correlation_id, 'reason', m.reason, 'now', v_now,
      'witness', (select w.provider_id from messages w where w.conversation_id = v.id and w.provider_id is not null and w.type <> 'reaction' and w.deleted_at is null
        order by w.seq desc limit 1));
  end if;

  -- what people who run this wait for is never behind a customer's message; replies strictly in order; of the others the first that is due
  select * into m from messages where conversation_id = v.id and direction = 'out' and status = 'queued' and kind in ('reply', 'handoff', 'operator')
    order by kind = 'operator' desc, priority, id limit 1;
  v_operator := coalesce(m.kind = 'operator', false);
  v_reply := found and not v_operator;
  if m.id is null then
    select * into m from messages where conversation_id = v.id and direction = 'out' and status = 'queued' and due_at <= v_now
      and not campaign_paused(tenant_id, campaign_id) order by priority, id limit 1;
  end if;
  if not found then
    select * into m from messages where conversation_id = v.id and direction = 'out' and status = 'queued' order by campaign_paused(tenant_id, campaign_id), due_at, id limit 1;
    if not found then return jsonb_build_object('action', 'idle'); end if;
  end if;
  if m.due_at > v_now then
    return jsonb_build_object('action', 'wait', 'until', m.due_at, 'reason', coalesce(m.reason, 'scheduled'), 'message_id', m.id);
  end if;
  v_jid := coalesce(m.addressee || '@s.whatsapp.net', v.jid);

  -- no key update: whoever only adds a message of this number need not wait
  select * into v_instance from instances where id = v.instance_id for no key update;

  if not v_reply then
    perform 1 from contacts where id = v.contact_id for no key update;
  end if;
  v_stop := first_guard(m, v, v_instance, p_policy, v_now);
  if v_stop ? 'end' then
    perform end_send(m.id, v_stop ->> 'end', v_stop ->> 'rule');
    if v_stop ->> 'rule' = 'answer_too_old' then perform open_handoff(v.id, m.turn_id, 'answer_too_old', null, false, v_now); end if;
    return jsonb_build_object('action', 'ended', 'status', v_stop ->> 'end', 'reason', v_stop ->> 'rule', 'message_id', m.id, 'kind', m.kind);
  elsif v_stop is not null then
    return hold_send(m.id, v_stop ->> 'rule', (v_stop ->> 'until')::timestamptz, (v_stop ->> 'look')::timestamptz);
  end if;

  if not v_reply and not v_operator and m.typing_until is null then
    v_pace := coalesce(v_instance.pace_min_seconds, (p_policy ->> 'paceMinSeconds')::numeric);
    v_pace := v_pace + (p_policy ->> 'random')::numeric * greatest(0, coalesce(v_instance.pace_max_seconds, (p_policy ->> 'paceMaxSeconds')::numeric) - v_pace);
    update instances set next_proactive_at = v_now + make_interval(secs => v_pace) where id = v_instance.id;
  end if;
  if m.typing_ms > 0 and m.typing_until is null then
    update messages set typing_until = v_now + make_interval(secs => m.typing_ms / 1000.0), due_at = v_now + make_interval(secs => m.typing_ms / 1000.0),
      reason = 'typing' where id = m.id returning * into m;
    -- Evolution skips read marks of @lid chats without a word: the phone number is named where it is known
    return jsonb_build_object('action', 'typing', 'message_id', m.id, 'ms', m.typing_ms, 'until', m.typing_until, 'instance', v_instance.name, 'number', dial(v.contact_id, v_jid),
      'read_jid', coalesce((select coalesce(a.written, a.address) || '@s.whatsapp.net' from contact_addresses a where a.contact_id = v.contact_id and a.kind = 'pn'
        and (v.jid like '%@lid' or a.id = address_row(v.contact_id, v.jid)) limit 1), v.jid),
      'read_ids', (select coalesce(jsonb_agg(i.provider_id), '[]') from messages i where i.turn_id = m.turn_id and i.direction = 'in' and m.part <= 1));
  end if;

  update messages set status = 'sending', reason = null, goes_at = null, claim = claim + 1, claimed_at = v_now, slot_at = v_now, sent_to = v_jid, wire_id = coalesce(wire_id, new_wire_id()),
    attempts = attempts + 1, lease_until = v_now + v_lease, first_contact = m.kind in ('campaign', 'prospecting', 'follow_up') and is_stranger(v.contact_id) where id = m.id returning * into m;
  return jsonb_build_object('action', 'send', 'message_id', m.id, 'claim', m.claim, 'instance', v_instance.name, 'number', dial(v.contact_id, v_jid), 'wire_id', m.wire_id, 'type', m.type, 'text', m.text,
    'quoted_id', m.quoted_id, 'quoted_text', m.quoted_text, 'kind', m.kind, 'attempts', m.attempts, 'conversation_id', v.id, 'contact_id', v.contact_id, 'turn_id', m.turn_id, 'part', m.part,
    'correlation_id', m.correlation_id, 'created_at', m.created_at,
    -- what is still unanswered does not end with this: it is said of an outage
    'inbound_at', (select min(i.created_at) from messages i where i.turn_id = m.turn_id and i.direction = 'in' and i.status <> 'received'));
end $$;

-- new_wire_id: an id as WhatsApp's own web client makes them. Random and never derived from the row: rows are numbered anew in another database, and a phone
-- drops a message whose id it has seen.
create function new_wire_id() returns text language sql volatile as
$$ select '3EB0' || upper(substr(replace(gen_random_uuid()::text, '-', ''), 1, 8) || substr(replace(gen_random_uuid()::text, '-', ''), 1, 10)) $$;

-- renew_send: keeps the lease of a send that takes long. Result: {alive}.
create function renew_send(p_message bigint, p_claim bigint, p_lease_ms int, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  update messages set lease_until = clock(p_now) + make_interval(secs => p_lease_ms / 1000.0) where id = p_message and claim = p_claim and status = 'sending';
  return jsonb_build_object('alive', found);
end $$;

-- give_up_send: nobody can say whether a message left: it is `unproven`, listed to a person, never sent again by itself, and the lane goes on. What tells of it
--   later (an echo, a comparison with the provider) settles it all the same: see settle_sent.
-- Concurrency: the caller holds the conversation's lock.
create function give_up_send(p_message bigint, p_reason text, p_now timestamptz) returns void language plpgsql as $$
declare m messages;
begin
  update messages set status = 'unproven', reason = p_reason, lease_until = null, goes_at = null where id = p_message returning * into m;
  perform open_handoff(m.conversation_id, m.turn_id, 'send_unproven', null, false, p_now);
end $$;

-- record_send: what became of a claimed send.
-- Guarantee: only the claim that sent may speak, once; a row that an echo has settled meanwhile keeps that state (its id is filled in).
--   A send that surely did not leave gives its slot back.
--   An address under which Evolution found nobody is no end while the person has another one: the message goes there.
-- Arguments: p_outcome {kind: 'sent', provider_id, jid: WhatsApp's own address where it was not known, or null} | {kind: 'retry', class, detail, delay_ms, counts (false: the attempt is given back)}
--   | {kind: 'failed', class, detail} | {kind: 'uncertain', class, detail, look_ms}; each but the first may have `trouble`, see number_trouble.
-- Concurrency: locks the conversation, then the message. Result: {outcome: 'recorded', status, more} | {outcome: 'stale', status}; more: the
--   lane holds further messages.
create function record_send(p_message bigint, p_claim bigint, p_outcome jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_now timestamptz := clock(p_now); m messages; v_kind text := p_outcome ->> 'kind'; v_taken bigint;
begin
  perform 1 from conversations where id = (select conversation_id from messages where id = p_message) for no key update;
  select * into m from messages where id = p_message for update;
  if not found or m.claim <> p_claim then return jsonb_build_object('outcome', 'stale', 'status', m.status); end if;
  if v_kind = 'sent' then
    -- an echo or a look-up goes by the words, this answer by the call: a row with equal words that took this id gives it back
    update messages set provider_id = null, delivered_at = null, read_at = null
      where instance_id = m.instance_id and provider_id = p_outcome ->> 'provider_id' and id <> m.id and direction = 'out' and author in ('agent', 'system') returning id into v_taken;
    if found then perform give_up_send(v_taken, 'echo_of_another', v_now); end if;
    perform settle_sent(m.id, p_outcome ->> 'provider_id', v_now, v_now);
    if p_outcome ->> 'jid' like '%@s.whatsapp.net' and m.sent_to like '%@s.whatsapp.net' then
      perform confirm_address((select contact_id from conversations where id = m.conversation_id), p_outcome ->> 'jid');
      update conversations set jid = p_outcome ->> 'jid' where id = m.conversation_id and jid = m.sent_to and jid <> p_outcome ->> 'jid';
    end if;
  elsif m.status not in ('sending', 'uncertain') then
    return jsonb_build_object('outcome', 'stale', 'status', m.status);
  elsif v_kind = 'uncertain' then
    update messages set status = 'uncertain', reason = p_outcome ->> 'class', error_class = p_outcome ->> 'class', lease_until = null, slot_at = v_now,
      due_at = v_now + make_interval(secs => (p_outcome ->> 'look_ms')::int / 1000.0) where id = m.id;
  elsif v_kind = 'retry' then
    update messages set status = 'queued', reason = p_outcome ->> 'class', error_class = p_outcome ->> 'class', lease_until = null, slot_at = null,
      attempts = attempts - case when (p_outcome ->> 'counts')::boolean then 0 else 1 end,
      due_at = v_now + make_interval(secs => (p_outcome ->> 'delay_ms')::int / 1000.0), goes_at = v_now + make_interval(secs => (p_outcome ->> 'delay_ms')::int / 1000.0)
      where id = m.id;
  elsif p_outcome ->> 'class' = 'not_on_whatsapp' and refuse_address((select c from conversations c where c.id = m.conversation_id), m.sent_to, m.addressee is null, v_now) then
    update messages set status = 'queued', reason = 'address_refused', error_class = 'not_on_whatsapp', lease_until = null, slot_at = null, attempts = attempts - 1,
      due_at = v_now, goes_at = v_now where id = m.id;
  else
    update messages set slot_at = null where id = m.id;
    perform fail_send(m.id, p_outcome ->> 'class', v_now);
  end if;
  if jsonb_typeof(p_outcome -> 'trouble') = 'object' then
    perform number_trouble(m.instance_id, p_outcome -> 'trouble', v_now);
  elsif v_kind = 'sent' then
    perform number_sent(m.instance_id, m.kind not in ('reply', 'handoff'), v_now);
  end if;
  select * into m from messages where id = p_message;
  return jsonb_build_object('outcome', 'recorded', 'status', m.status, 'more', exists (select from messages n where n.conversation_id = m.conversation_id
    and n.direction = 'out' and n.status in ('queued', 'sending', 'uncertain')));
end $$;

-- settle_send: what a look-up at the provider said of an uncertain send. A look that got no answer counts like one that found nothing, so that a send
--   which cannot be settled holds its conversation up for a bounded time.
-- Guarantee: found settles it as sent; proven absent gives it back to its lane; after the last look it is `unproven` (give_up_send), and the lane goes on.
-- Arguments: p_provider_id the id found, or null; p_not_sent the absence is a proof (see absenceProves in core/send.ts); p_next_ms wait before the next look;
--   null: this was the last.
-- Result: {status, reason}.
create function settle_send(p_message bigint, p_claim bigint, p_provider_id text, p_not_sent boolean, p_next_ms int, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_now timestamptz := clock(p_now); m messages;
begin
  perform 1 from conversations where id = (select conversation_id from messages where id = p_message) for no key update;
  select * into m from messages where id = p_message for update;
  if m.status = 'uncertain' and m.claim = p_claim then
    if p_provider_id is not null then
      perform settle_sent(m.id, p_provider_id, v_now, v_now);
    elsif p_not_sent then
      update messages set status = 'queued', reason = 'proven_not_sent', lease_until = null, slot_at = null, looks = 0, due_at = v_now, goes_at = v_now where id = m.id;
    else
      update messages set looks = looks + 1, slot_at = v_now, due_at = v_now + make_interval(secs => coalesce(p_next_ms, 0) / 1000.0) where id = m.id;
      if p_next_ms is null then perform give_up_send(m.id, m.reason, v_now); end if;
    end if;
    select * into m from messages where id = p_message;
  end if;
  return jsonb_build_object('status', m.status, 'reason', m.reason);
end $$;

-- known_provider_ids: which of these ids at WhatsApp a conversation has already. A person's words in another conversation do not count: they may be the echo of a
-- send of this one under an address that nobody had seen (settle_sent heals it). What was put aside as forged is no proof that one of ours has left. Result: [id].
create function known_provider_ids(p_instance text, p_ids jsonb, p_conversation bigint) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(p.id), '[]') from instances i, jsonb_array_elements_text(p_ids) p (id)
  where i.name = p_instance and (exists (select from messages m where m.instance_id = i.id and m.provider_id = p.id and (m.conversation_id = p_conversation or m.author in ('agent', 'system')))
    or exists (select from forged_messages f where f.instance_id = i.id and f.hash = message_hash(i.id, p.id)))
$$;

-- known_messages: which of these messages that Evolution shows are stored already (under their id, in their chat, and not without the words that it has for
-- them), or were of somebody who was erased, or have been met before as forged (see meets_forged).
-- Arguments: p_events InboundEvents of kind message or reaction. Read only. Result: [position from 0].
create function known_messages(p_instance text, p_events jsonb) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(e.n - 1), '[]') from instances i, jsonb_array_elements(p_events) with ordinality e (event, n),
    lateral known_message(i.id, e.event ->> 'providerId', e.event -> 'chat', nullif(e.event -> 'alt', 'null'), (e.event ->> 'fromMe')::boolean) m
  where i.name = p_instance and case when m.id is null then exists (select from erasures x where x.tenant_id = i.tenant_id and x.hash = message_hash(i.id, e.event ->> 'providerId'))
      or exists (select from forged_messages f where f.instance_id = i.id and f.hash = message_hash(i.id, e.event ->> 'providerId') and f.found_at is not null)
    else coalesce((e.event -> 'content' ->> 'wordless')::boolean, false) or not lacks_words(m, (e.event ->> 'fromMe')::boolean) end
$$;

-- enqueue_message: a message that nobody asked for (or an operator's), to a phone number. Its text is the one of this moment.
-- Guarantee: the same idempotency key of a tenant gives the first result for 24 hours, and a row `deduped` tells of each repeat; another message under
--   it is an error. Keys of notices (kind operator) and keys of callers never meet. What is for those who run this reaches this phone, wherever its contact wrote from. A bypass of the rules is audited with who and why in the same transaction.
-- Arguments: p_request {tenant, instance, phone (canonical digits), text, kind, send_after, expires_at, idempotency_key, campaign_id, typing_ms, correlation_id,
--   bypass: a person's reason or null, actor, choose: {capHour, capDay} to let choose_instance take another number than `instance`, or null}.
-- Errors: WA001 unknown instance; WA002 the idempotency key was used for another message.
-- Concurrency: any. Result: {id, status, conversation_id, repeated}.
create function enqueue_message(p_request jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare
  v_now timestamptz := clock(p_now);
  v_instance instances;
  v conversations;
  m messages;
  v_first messages;
  v_key text := p_request ->> 'idempotency_key';
  v_operator boolean := p_request ->> 'kind' = 'operator';
  v_tenant text := coalesce(p_request ->> 'tenant', 'default');
  v_name text := p_request ->> 'instance';
begin
  if v_key is not null then
    perform pg_advisory_xact_lock(hashtextextended(v_tenant || '/' || v_operator || '/' || v_key, 7));
    update messages set idempotency_key = null where tenant_id = v_tenant and (kind = 'operator') = v_operator and idempotency_key = v_key and created_at < v_now - interval '24 hours';
    select * into v_first from messages where tenant_id = v_tenant and (kind = 'operator') = v_operator and idempotency_key = v_key;
    if found and (v_first.text <> p_request ->> 'text' or v_first.kind <> p_request ->> 'kind' or not exists (
        select 1 from conversations c join contact_addresses a on a.contact_id = c.contact_id where c.id = v_first.conversation_id and a.kind = 'pn' and a.address = p_request ->> 'phone')) then
      raise exception 'the idempotency key was used for another message' using errcode = 'WA002';
    end if;
  end if;
  if v_first.id is not null then
    select name into v_name from instances where id = v_first.instance_id; -- a repeat belongs to the number of its first
  elsif jsonb_typeof(p_request -> 'choose') = 'object' then
    v_name := choose_instance(v_tenant, p_request ->> 'phone', v_name, p_request -> 'choose', v_now);
  end if;
  select * into v_instance from instances where name = v_name and tenant_id = v_tenant;
  if not found then raise exception 'unknown instance' using errcode = 'WA001'; end if;
  v := ensure_conversation(v_instance, ensure_contact(v_instance, p_request ->> 'phone', null, null), (p_request ->> 'phone') || '@s.whatsapp.net', false);
  insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, reason, text, provider_at, correlation_id,
      kind, priority, part, typing_ms, due_at, expires_at, bypass, campaign_id, idempotency_key, duplicate_of, addressee, created_at)
    values (v_tenant, v_instance.id, v.id, v.last_seq + 1, 'out', 'system', 'text', case when v_first.id is null then 'queued' else 'deduped' end,
      case when v_first.id is not null then 'duplicate' end, p_request ->> 'text', v_now, p_request ->> 'correlation_id',
      p_request ->> 'kind', case p_request ->> 'kind' when 'operator' then 0 when 'manual' then 1 when 'follow_up' then 2 when 'notification' then 3 else 4 end, 0,
      coalesce((p_request ->> 'typing_ms')::int, 0), coalesce((p_request ->> 'send_after')::timestamptz, v_now), (p_request ->> 'expires_at')::timestamptz,
      p_request ->> 'bypass', p_request ->> 'campaign_id', case when v_first.id is null then v_key end, v_first.id,
      case p_request ->> 'kind' when 'operator' then p_request ->> 'phone' end, v_now)
    returning * into m;
  update conversations set last_seq = last_seq + 1 where id = v.id;
  if v_first.id is not null then
    return jsonb_build_object('id', v_first.id, 'status', v_first.status, 'conversation_id', v_first.conversation_id, 'repeated', true);
  end if;
  if m.bypass is not null then
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (v_tenant, p_request ->> 'actor', 'send.bypass', m.id::text, jsonb_build_object('reason', m.bypass, 'conversation_id', v.id), v_now);
  end if;
  return jsonb_build_object('id', m.id, 'status', m.status, 'conversation_id', v.id, 'repeated', false);
end $$;

-- sweep_sends: conversations whose lane has something due: a job that was lost, a lease that ran out, an uncertain send to look up.
-- Concurrency: read only. Result: [conversation id]. Paused ones are left out, but for what is said to those who run this, which no pause holds.
create function sweep_sends(p_limit int, p_now timestamptz default null) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(id), '[]') from (
    select m.conversation_id as id from messages m join conversations c on c.id = m.conversation_id join instances i on i.id = c.instance_id
    where m.direction = 'out' and c.merged_into is null
      and ((m.status = 'queued' and m.due_at <= clock(p_now))
        or (m.status = 'sending' and m.lease_until <= clock(p_now))
        or (m.status = 'uncertain' and m.due_at <= clock(p_now)))
      and (m.kind = 'operator' or pause_reason(c.tenant_id, i.name, c.id, m.campaign_id) is null)
    group by m.conversation_id order by min(m.id) limit p_limit) s
$$;

-- promised_at: when a message that waits may go at the earliest; null while nobody knows (a pause, a switch, a number that is away).
create function promised_at(m messages) returns timestamptz language sql immutable as $$
  select case when m.status = 'queued' then coalesce(m.goes_at, case when m.reason is null or m.reason in ('typing', 'retried_by_hand', 'proven_not_sent') then m.due_at end) end
$$;

-- message_row: one message as the API shows it.
create function message_row(m messages) returns jsonb language sql stable as $$
  select jsonb_build_object('id', m.id, 'status', m.status, 'reason', m.reason,
    'goes_at', promised_at(m), 'provider_message_id', m.provider_id, 'kind', m.kind, 'direction', m.direction, 'conversation_id', m.conversation_id,
    'instance', (select i.name from instances i where i.id = m.instance_id),
    -- words of a conversation are for operators: see timeline
    'to', case when m.kind not in ('reply', 'handoff', 'operator') then (select a.address from conversations c join contact_addresses a on a.contact_id = c.contact_id and a.kind = 'pn'
      where c.id = m.conversation_id order by a.id limit 1) end,
    'text', case when m.kind not in ('reply', 'handoff', 'operator') then m.text end, 'campaign_id', m.campaign_id, 'duplicate_of', m.duplicate_of, 'bypass_reason', m.bypass, 'attempts', m.attempts,
    'created_at', m.created_at, 'sent_at', case when m.direction = 'out' and m.provider_id is not null then m.provider_at end,
    'expires_at', m.expires_at, 'delivered_at', m.delivered_at, 'read_at', m.read_at)
$$;

-- message_status: one message, or null.
create function message_status(p_tenant text, p_message bigint) returns jsonb language sql stable as $$
  select message_row(m) from messages m where m.id = p_message and m.tenant_id = p_tenant
$$;

-- list_messages: what nobody asked for and what became of it, the newest first.
-- Arguments: p_filter {status, kind, phone (canonical digits), instance, campaign_id, since, before (an id: the page after it)}; what is missing or null does not narrow.
-- Result: [message_row].
create function list_messages(p_tenant text, p_filter jsonb, p_limit int) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(message_row(m) order by m.id desc), '[]') from (
    select * from messages x
    where x.tenant_id = p_tenant and x.kind not in ('reply', 'handoff') and x.kind <> 'operator'
      and x.id < coalesce((p_filter ->> 'before')::bigint, 9223372036854775807)
      and x.status = coalesce(p_filter ->> 'status', x.status) and x.kind = coalesce(p_filter ->> 'kind', x.kind)
      and (p_filter ->> 'campaign_id' is null or x.campaign_id = p_filter ->> 'campaign_id')
      and x.created_at >= coalesce((p_filter ->> 'since')::timestamptz, '-infinity')
      and (p_filter ->> 'instance' is null or x.instance_id = (select i.id from instances i where i.name = p_filter ->> 'instance'))
      and (p_filter ->> 'phone' is null or x.conversation_id in (select c.id from contact_addresses a join conversations c on c.contact_id = a.contact_id
        where a.tenant_id = p_tenant and a.kind = 'pn' and a.address = p_filter ->> 'phone'))
    order by x.id desc limit p_limit) m
$$;
