-- What leaves: enqueued, judged by the rules, claimed, recorded, settled.

-- is_proactive: nobody asked for a message of this kind: it is neither an answer nor the offer of a person. Null for a
-- person's own message, which has no kind. What is told to those who run this (`operator`) is of these too, as it takes
-- a place in the caps; the rules that leave it out say so. PROACTIVE_KINDS in TypeScript is the same list.
-- The planner writes it into the statement, so the partial indexes over these words serve whoever asks it.
create or replace function is_proactive(p_kind text)
returns boolean language sql immutable as
$$ select p_kind not in ('reply', 'handoff') $$;

-- is_offer: something is offered to the contact: what a person gets of these is counted and spaced.
create or replace function is_offer(p_kind text)
returns boolean language sql immutable as
$$ select p_kind in ('campaign', 'prospecting', 'follow_up') $$;

-- is_campaign: an offer that follows from nothing the contact did.
create or replace function is_campaign(p_kind text)
returns boolean language sql immutable as
$$ select p_kind in ('campaign', 'prospecting') $$;

-- is_notice: a step of an order, told by the shop's own program: it leaves at any hour, under a cap and a pace of its
-- own, and takes no place in those of what is offered.
create or replace function is_notice(p_kind text)
returns boolean language sql immutable as
$$ select p_kind = 'transactional' $$;

-- slot_minute: the minute that a slot is counted in; the same in every zone.
create or replace function slot_minute(p_at timestamptz) returns timestamptz language sql immutable as
$$ select date_bin(interval '1 minute', p_at, timestamptz '2000-01-01 00:00:00+00') $$;

-- slot_hour: the hour that a slot is counted in; the same in every zone.
create or replace function slot_hour(p_at timestamptz) returns timestamptz language sql immutable as
$$ select date_bin(interval '1 hour', p_at, timestamptz '2000-01-01 00:00:00+00') $$;

-- keep_sends: the tables drafts, outbox, on_wire and dead_sends are what messages say, and slots holds each message
-- with a slot_at that is not on the wire (any more); all written in the transaction of the change. Who is erased frees
-- no place in the caps: for three days the slot of a message that is gone stays, as a figure without words (purge_old).
-- Concurrency: the caller holds the message's row, or has just made it. Sums of slots are added in rows of this
--   connection alone, so nobody waits here for anybody.
create or replace function keep_sends() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
  -- of an insert all of old is null, of a delete all of new
  v_had boolean := coalesce(old.slot_at is not null and old.kind is not null
    and old.status not in ('sending', 'uncertain'), false);
  v_has boolean := coalesce(new.slot_at is not null and new.kind is not null
    and new.status not in ('sending', 'uncertain'), false);
  v_same boolean := v_had and v_has and (old.instance_id, old.slot_at, old.kind, old.first_contact)
    = (new.instance_id, new.slot_at, new.kind, new.first_contact);
begin
  if old.status = 'queued' and new.status is distinct from 'queued' then
    delete from outbox where message_id = old.id;
  elsif old.status in ('sending', 'uncertain') and (new.status in ('sending', 'uncertain')) is not true then
    delete from on_wire where message_id = old.id;
  elsif old.status in ('failed', 'unproven') and (new.status in ('failed', 'unproven')) is not true then
    delete from dead_sends where message_id = old.id;
  elsif old.status = 'draft' and new.status is distinct from 'draft' then
    delete from drafts where message_id = old.id;
  end if;
  if new.status = 'queued' then
    if old.status = 'queued' then
      update outbox set conversation_id = new.conversation_id, instance_id = new.instance_id, priority = new.priority,
        kind = new.kind, due_at = new.due_at, urgent_at = case when is_proactive(new.kind)
          and new.priority between 1 and 3 then new.due_at end,
        reason = new.reason, expires_at = new.expires_at, campaign_id = new.campaign_id where message_id = new.id;
    else
      insert into outbox (message_id, tenant_id, conversation_id, instance_id, priority, kind, due_at, urgent_at,
        reason, expires_at, campaign_id)
        values (new.id, new.tenant_id, new.conversation_id, new.instance_id, new.priority, new.kind, new.due_at,
          case when is_proactive(new.kind) and new.priority between 1 and 3 then new.due_at end, new.reason,
          new.expires_at, new.campaign_id);
    end if;
  elsif new.status in ('sending', 'uncertain') then
    if old.status in ('sending', 'uncertain') then
      update on_wire set conversation_id = new.conversation_id, instance_id = new.instance_id, kind = new.kind,
        status = new.status, lease_until = new.lease_until, due_at = new.due_at, claimed_at = new.claimed_at,
        slot_at = new.slot_at, first_contact = new.first_contact, campaign_id = new.campaign_id
        where message_id = new.id;
    else
      insert into on_wire (message_id, tenant_id, conversation_id, instance_id, kind, status, lease_until, due_at,
        claimed_at, slot_at, first_contact, campaign_id)
        values (new.id, new.tenant_id, new.conversation_id, new.instance_id, new.kind, new.status, new.lease_until,
          new.due_at, new.claimed_at, new.slot_at, new.first_contact, new.campaign_id);
    end if;
  elsif new.status in ('failed', 'unproven') then
    insert into dead_sends (message_id, tenant_id, conversation_id, instance_id, status, error_class, created_at)
      values (new.id, new.tenant_id, new.conversation_id, new.instance_id, new.status, new.error_class, new.created_at)
      on conflict (message_id) do update set conversation_id = excluded.conversation_id,
        instance_id = excluded.instance_id, status = excluded.status, error_class = excluded.error_class,
        created_at = excluded.created_at;
  elsif new.status = 'draft' then
    insert into drafts (message_id, tenant_id, conversation_id, turn_id)
      values (new.id, new.tenant_id, new.conversation_id, new.turn_id)
      on conflict (message_id) do update set conversation_id = excluded.conversation_id, turn_id = excluded.turn_id;
  end if;
  if v_same then
    update slots set conversation_id = new.conversation_id where conversation_id <> new.conversation_id
      and instance_id = new.instance_id and reply = not is_proactive(new.kind) and slot_at = new.slot_at
      and message_id = new.id;
    return null;
  end if;
  if tg_op = 'DELETE' and old.kind is not null and old.slot_at > clock(null) - interval '3 days' then
    if not v_had then   -- nobody knows whether it has left
      insert into slots (tenant_id, instance_id, reply, slot_at, message_id, conversation_id, kind, first_contact)
        values (old.tenant_id, old.instance_id, not is_proactive(old.kind), old.slot_at, old.id, old.conversation_id,
          old.kind, old.first_contact);
      perform count_slot(old, 1);
    end if;
    return null;
  end if;
  if v_had then
    delete from slots where instance_id = old.instance_id and reply = not is_proactive(old.kind)
      and slot_at = old.slot_at and message_id = old.id;
    if found then perform count_slot(old, -1); end if;
  end if;
  if v_has then
    insert into slots (tenant_id, instance_id, reply, slot_at, message_id, conversation_id, kind, first_contact)
      values (new.tenant_id, new.instance_id, not is_proactive(new.kind), new.slot_at, new.id, new.conversation_id,
        new.kind, new.first_contact);
    perform count_slot(new, 1);
  end if;
  return null;
end $$;

-- count_slot: a slot is taken (p_n 1) or given back (-1) in the sums of its minute, and of its hour when nobody asked
-- for the message. What is older than the sums are kept (purge_old) is given back without a trace.
create or replace function count_slot(p_message messages, p_n int)
returns void language plpgsql set search_path = public, pg_temp as $$
declare
  v_reply boolean := not is_proactive(p_message.kind);
  v_minute timestamptz := slot_minute(p_message.slot_at);
begin
  if p_n < 0 and not exists (select from slot_minutes s where s.instance_id = p_message.instance_id
    and s.reply = v_reply and s.minute = v_minute) then return; end if;
  insert into slot_minutes as s (tenant_id, instance_id, reply, minute, kind, first_contact, backend, n)
    values (p_message.tenant_id, p_message.instance_id, v_reply, v_minute, p_message.kind, p_message.first_contact,
      pg_backend_pid(), p_n)
    on conflict (instance_id, reply, minute, kind, first_contact, backend) do update set n = s.n + excluded.n;
  if not v_reply then
    insert into slot_hours as s (tenant_id, instance_id, hour, kind, first_contact, backend, n)
      values (p_message.tenant_id, p_message.instance_id, slot_hour(p_message.slot_at), p_message.kind,
        p_message.first_contact, pg_backend_pid(), p_n)
      on conflict (instance_id, hour, kind, first_contact, backend) do update set n = s.n + excluded.n;
  end if;
end $$;

create or replace trigger sends_added after insert on messages for each row
  when (new.status in ('queued', 'sending', 'uncertain', 'draft', 'failed', 'unproven') or new.slot_at is not null)
  execute function keep_sends();

create or replace trigger sends_changed
  after update of status, reason, due_at, lease_until, claimed_at, slot_at, conversation_id, instance_id, turn_id,
    priority, kind, first_contact, error_class, expires_at, campaign_id, created_at on messages
  for each row when (
    ((old.status in ('queued', 'sending', 'uncertain', 'draft', 'failed', 'unproven')
      or new.status in ('queued', 'sending', 'uncertain', 'draft', 'failed', 'unproven'))
    and (old.status is distinct from new.status or old.reason is distinct from new.reason
      or old.due_at is distinct from new.due_at or old.lease_until is distinct from new.lease_until
      or old.claimed_at is distinct from new.claimed_at or old.slot_at is distinct from new.slot_at
      or old.conversation_id is distinct from new.conversation_id
      or old.instance_id is distinct from new.instance_id or old.turn_id is distinct from new.turn_id
      or old.priority is distinct from new.priority or old.kind is distinct from new.kind
      or old.first_contact is distinct from new.first_contact or old.error_class is distinct from new.error_class
      or old.expires_at is distinct from new.expires_at or old.campaign_id is distinct from new.campaign_id
      or old.created_at is distinct from new.created_at))
    or ((old.slot_at is not null or new.slot_at is not null)
      and (old.slot_at is distinct from new.slot_at or old.conversation_id is distinct from new.conversation_id
        or old.instance_id is distinct from new.instance_id or old.kind is distinct from new.kind
        or old.first_contact is distinct from new.first_contact)))
  execute function keep_sends();

create or replace trigger sends_gone after delete on messages for each row
  when (old.status in ('queued', 'sending', 'uncertain', 'draft', 'failed', 'unproven') or old.slot_at is not null)
  execute function keep_sends();

-- settle_sent: our message is on the wire under this id, told by the HTTP answer, an echo or a look-up; early acks are
-- applied.
-- Guarantee: idempotent; a status never moves back. One that was claimed and then given back as not sent (a wrong
--   proof, a wrong error) is sent after all, and does not leave again; of one that was listed to a person as unproven
--   or failed, the list is cleared. What WhatsApp itself has refused (an ERROR ack, which may be quicker than the
--   answer) stays so until news says that it arrived. When the echo came first and was taken for a person's words, that
--   copy goes and the takeover that it started ends, unless a person has typed since.
-- Arguments: p_at when it was sent, in whole seconds and by the provider's clock when an echo tells; p_now when we
--   heard of it: by then it was on the wire, so the slot in the caps counts from there.
-- Concurrency: the caller holds the conversation's lock.
create or replace function settle_sent(p_message bigint, p_provider_id text, p_at timestamptz, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v_message messages; v_copy messages;
begin
  select * into v_message from messages where id = p_message for update;
  perform lock_provider_id(v_message.instance_id, p_provider_id);
  if v_message.provider_id is null and p_provider_id is not null then
    select * into v_copy from messages where instance_id = v_message.instance_id and provider_id = p_provider_id
      and (direction = 'out' or conversation_id = v_message.conversation_id)
      order by author in ('human', 'automatic') limit 1;
    if found and v_copy.author in ('human', 'automatic') then
      delete from messages where id = v_copy.id;
      perform undo_takeover(v_copy.conversation_id, v_copy.created_at, p_now);
    elsif found then
      return; -- this id belongs to another of our rows: a wrong match, leave both
    end if;
  end if;
  -- one update: a second one of a row in a transaction checks its foreign keys again, and so would wait for whoever has
  -- the number's lock
  if v_message.status in ('sending', 'uncertain', 'unproven')
    or (v_message.status in ('queued', 'failed') and v_message.claim > 0
    and v_message.reason is distinct from 'provider_refused') then
    update messages set provider_id = coalesce(provider_id, p_provider_id), status = 'sent', reason = null,
      error_class = null, lease_until = null, goes_at = null,
      provider_at = p_at, slot_at = greatest(slot_at, p_at, p_now) where id = v_message.id;
    update conversations set superseded_in_row = 0 where id = v_message.conversation_id and superseded_in_row > 0
      and not is_proactive(v_message.kind);
    if v_message.status = 'unproven' then perform close_handoff(v_message, 'send_unproven', p_now); end if;
    if v_message.status = 'failed' then perform heal_send(v_message, p_now); end if;
  elsif v_message.provider_id is null and p_provider_id is not null then
    update messages set provider_id = p_provider_id where id = v_message.id;
  end if;
  perform apply_early(v_message.instance_id, p_provider_id, p_at);
end $$;

-- sent_as: the row of ours that asked for this id at WhatsApp and has not heard of it; its id is null when there is
-- none. Words and address say nothing here.
create or replace function sent_as(p_instance_id bigint, p_wire_id text) returns messages language sql stable as $$
  select m from messages m where m.instance_id = p_instance_id and m.wire_id = p_wire_id and m.provider_id is null
$$;

-- fail_send: a message of ours ends as failed, told by the answer to the send or by a later ack.
-- Guarantee: the rest of an answer without its beginning would be nonsense, so it does not leave; a person is told of
--   an answer that did not arrive. Without its reaction an answer is whole.
-- Concurrency: the caller holds the conversation's lock.
create or replace function fail_send(p_message bigint, p_class text, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v_message messages;
begin
  update messages set status = 'failed', reason = p_class, error_class = p_class, lease_until = null
    where id = p_message returning * into v_message;
  if v_message.type = 'reaction' then return; end if;
  update messages set status = 'cancelled', reason = 'earlier_part_failed'
    where turn_id = v_message.turn_id and direction = 'out' and status = 'queued' and id > v_message.id;
  if not is_proactive(v_message.kind)
    then perform open_handoff(v_message.conversation_id, v_message.turn_id, 'send_failed', p_class,
    false, p_now); end if;
end $$;

-- heal_send: a send that had failed has arrived all the same: what the failure did is taken back.
-- Guarantee: the rest of its answer leaves when that is fresh and nobody has written since; else a person still has to
--   look, and the handoff stays. The number gets back what the refusal took, and its rest ends when no other refusal of
--   a day is left. Repeats change nothing: the message is not failed any more.
-- Arguments: p_message as it was while it had failed. Concurrency: the caller holds the conversation's lock.
create or replace function heal_send(p_message messages, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v_instance instances;
begin
  if p_message.turn_id is not null then
    update messages r set status = 'queued', reason = null, due_at = p_now
      where r.turn_id = p_message.turn_id and r.direction = 'out' and r.status = 'cancelled'
        and r.reason = 'earlier_part_failed' and r.id > p_message.id and r.created_at > p_now - interval '10 minutes'
        and not exists (select from messages n
          where n.conversation_id = p_message.conversation_id and n.turn_id is distinct from p_message.turn_id
            and n.seq > p_message.seq);
  end if;
  if p_message.turn_id is null or not exists (select from messages r where r.turn_id = p_message.turn_id
    and r.direction = 'out'
    and r.status = 'cancelled' and r.reason = 'earlier_part_failed') then
    perform close_handoff(p_message, 'send_failed', p_now);
  end if;
  if p_message.sent_to like '%@%' then update conversations set jid = p_message.sent_to
    where id = p_message.conversation_id and jid <> p_message.sent_to; end if;
  if p_message.error_class is distinct from 'provider_refused' then return; end if;
  select * into v_instance from instances where id = p_message.instance_id for no key update;
  update instances set trust = least(100, trust_now(v_instance, p_now) + (incident('error_ack') ->> 'trust')::numeric),
    trust_at = p_now where id = v_instance.id returning * into v_instance;
  if v_instance.held_reason in ('number_error_acks', 'number_trust') and not exists (select from dead_sends o
    where o.instance_id = p_message.instance_id and o.error_class = 'provider_refused' and o.message_id <> p_message.id
      and o.created_at > p_now - interval '1 day') then
    perform release_number(v_instance, 'arrived_after_all', p_now);
    update instances set held_since = case when held_in_row > 0 then held_since end,
      held_in_row = greatest(0, held_in_row - 1) where id = v_instance.id;
  end if;
end $$;

-- campaign_paused: one campaign of a tenant is stopped; the others of the same contact go on.
create or replace function campaign_paused(p_tenant text, p_campaign text) returns boolean language sql stable as $$
  select coalesce(p_campaign is not null and pause_status('campaign', p_campaign, p_tenant) = 'pausado', false)
$$;

-- end_send: a row leaves the lane for good, with the rule that ended it. Never touches a row that has left already.
create or replace function end_send(p_message bigint, p_status text, p_reason text) returns void language sql as $$
  update messages set status = p_status, reason = p_reason, goes_at = null, lease_until = null
    where id = p_message and status = 'queued'
$$;

-- hold_send: a row waits; whoever asks is told why and until when. Uses no attempt. A deadline before that is looked at
-- when it comes. p_until when it may go; null: nobody knows, it is looked at again at p_look, or when somebody wakes
-- it.
create or replace function hold_send(p_message bigint, p_reason text, p_until timestamptz, p_look timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_message messages;
begin
  update messages set reason = p_reason, goes_at = p_until, due_at = case when coalesce(p_until, p_look) is null
    then due_at else least(p_until, p_look, expires_at) end where id = p_message returning * into v_message;
  -- when the cap has room again, a talk that goes on comes before one that begins
  if p_reason = 'reply_cap_hour' and not exists (select from slots s where s.conversation_id = v_message.conversation_id
    and s.reply and s.slot_at > v_message.created_at - interval '1 day') then
    update messages set due_at = due_at + interval '2 seconds' where id = p_message returning * into v_message;
  end if;
  if p_reason = 'reply_share' then
    perform add_notice(jsonb_build_object('tenant', v_message.tenant_id, 'key',
      'share-' || v_message.conversation_id || '-'
      || to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD'), 'kind', 'alert', 'urgent', false,
      'about', null, 'text', 'A conversa ' || v_message.conversation_id
        || ' já usou a sua parte das respostas do número nesta hora (um quarto de MAX_RESPOSTAS_POR_HORA): as próximas esperam, e as outras conversas seguem. Veja se é uma pessoa.'), null);
  end if;
  return jsonb_build_object('action', 'wait', 'until', case when coalesce(p_until, p_look) is not null
    then v_message.due_at end, 'reason', p_reason, 'message_id', p_message);
end $$;

-- claim_send: takes the next message of a conversation's lane, or says why not.
-- Guarantee: every guardrail holds at this moment, and the slot in the caps is taken in the same transaction, over any
--   number of workers. A row is `sending` before the wire, so a crash leaves a trace; one whose lease ran out becomes
--   `uncertain` and is never sent again by itself.
-- The rules, in their order: first_guard (guardrails). The first one that fails is the recorded reason.
-- Arguments: p_policy {allowlist: [digits] | null for everyone, capHour, capDay, replyCapHour, contactCapHour,
--   contactCapWeek, campaignGapDays, maxUnanswered, kindCaps: {kind: an hour}, noticeCapHour, strangersDay,
--   minReplyPercent,
--   paceMinSeconds, paceMaxSeconds, hours: {start, end, weekdays, holidays} | null for always, tz, pilot, leaseMs,
--   replyMaxAgeMinutes: a pause may hold an answer for so long, projectRef, random 0..1}. A figure that is null or
--   missing limits nothing.
-- Concurrency: locks the conversation, then the instance, then the contact: claims of one number queue for a moment.
-- Result: {action: 'idle'} | {action: 'wait', until, reason, message_id} | {action: 'ended', status, reason,
--   message_id} | {action: 'typing', ms, read_jid, read_ids, ...} mark these messages read, show it, then claim again |
--   {action: 'look', ...} an uncertain send is to be looked up | {action: 'send', message_id, claim, instance, number,
--   wire_id, type, text, quoted_id, quoted_text, kind, correlation_id, created_at}.
create or replace function claim_send(p_conversation bigint, p_policy jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_now timestamptz := clock(p_now);
  v_conversation conversations;
  v_message messages;
  v_instance instances;
  v_stop jsonb;
begin
  -- an empty lane is seen without a lock: a lock alone would make the commit wait for the disk. What is added meanwhile
  -- brings its own wake-up
  if not has_sends(p_conversation) then return jsonb_build_object('action', 'idle'); end if;
  select * into v_conversation from conversations where id = p_conversation for no key update;
  if not found or v_conversation.merged_into is not null then return jsonb_build_object('action', 'idle'); end if;

  -- one at a time: what is on its way, or may be, goes first
  select m.* into v_message from on_wire w join messages m on m.id = w.message_id
    where w.conversation_id = v_conversation.id order by w.message_id limit 1;
  if found then return await_send(v_conversation, v_message, v_now); end if;

  v_message := next_send(v_conversation.id, v_now);
  if v_message.id is null then return jsonb_build_object('action', 'idle'); end if;
  if v_message.due_at > v_now then
    return jsonb_build_object('action', 'wait', 'until', v_message.due_at, 'reason',
      coalesce(v_message.reason, 'scheduled'), 'message_id', v_message.id);
  end if;

  -- no key update: whoever only adds a message of this number need not wait
  select * into v_instance from instances where id = v_conversation.instance_id for no key update;
  if is_proactive(v_message.kind) then
    perform 1 from contacts where id = v_conversation.contact_id for no key update;
  end if;
  v_stop := first_guard(v_message, v_conversation, v_instance, p_policy, v_now);
  if v_stop is not null then return stop_send(v_message, v_stop, v_now); end if;

  if is_proactive(v_message.kind) and v_message.kind <> 'operator' and v_message.typing_until is null then
    perform take_pace(v_instance, v_message.kind, p_policy, v_now);
  end if;
  if v_message.typing_ms > 0 and v_message.typing_until is null then
    return show_typing(v_conversation, v_message, v_instance.name, v_now);
  end if;
  if v_message.kind = 'notification' then v_message := as_of_now(v_message, p_policy ->> 'tz', v_now); end if;
  return start_send(v_conversation, v_message, v_instance.name, (p_policy ->> 'leaseMs')::int, v_now);
end $$;

-- send_jid: where a message of ours goes. An answer: where the conversation's contact is answered. What was ordered for
-- a phone: there too where that is the phone's (see leads_to), else to the phone. What is for those who run this: to
-- their phone and nowhere else. Read only.
create or replace function send_jid(p_message messages, p_conversation conversations)
returns text language sql stable as $$
  select case when p_message.addressee is null or (p_message.kind <> 'operator' and leads_to(p_conversation.contact_id,
      p_conversation.instance_id, p_conversation.jid, p_message.addressee)) then p_conversation.jid
    else p_message.addressee || '@s.whatsapp.net' end
$$;

-- has_sends: whether the lane of a conversation holds anything. Read only.
create or replace function has_sends(p_conversation bigint) returns boolean language sql stable as $$
  select exists (select from outbox where conversation_id = p_conversation)
    or exists (select from on_wire where conversation_id = p_conversation)
$$;

-- await_send: a message is on its way, or may be: the lane waits for its lease, or for the time of its next look.
-- Guarantee: one whose lease ran out becomes `uncertain`. Nobody else looks meanwhile, so that each look counts once.
-- Concurrency: the caller holds the conversation's lock. Result: as claim_send: 'wait' or 'look'.
create or replace function await_send(p_conversation conversations, p_message messages, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_message messages := p_message; v_instance instances;
begin
  if v_message.status = 'sending' and v_message.lease_until > p_now then
    return jsonb_build_object('action', 'wait', 'until', v_message.lease_until, 'reason', 'sending', 'message_id',
      v_message.id);
  end if;
  if v_message.status = 'uncertain' and v_message.due_at > p_now then
    return jsonb_build_object('action', 'wait', 'until', v_message.due_at, 'reason', 'uncertain', 'message_id',
      v_message.id);
  end if;
  -- longer than a look may take (LOOK_MS in outbox/send.ts)
  update messages set due_at = p_now + interval '20 seconds', lease_until = null,
    slot_at = case status when 'sending' then p_now else slot_at end,
    reason = case status when 'sending' then 'worker_lost' else reason end, status = 'uncertain'
    where id = v_message.id returning * into v_message;
  select * into v_instance from instances where id = p_conversation.instance_id;
  return jsonb_build_object('action', 'look', 'message_id', v_message.id, 'claim', v_message.claim,
    'instance', v_instance.name,
    'jids', (select jsonb_agg(distinct j) from (select send_jid(v_message, p_conversation) as j union all
      select a.address || case a.kind when 'pn' then '@s.whatsapp.net' else '@lid' end from contact_addresses a
        where a.contact_id = p_conversation.contact_id) x),
    'wire_id', v_message.wire_id, 'gateway_version', v_instance.gateway_version, 'type', v_message.type,
    'text', v_message.text, 'claimed_at', v_message.claimed_at, 'looks', v_message.looks,
    'correlation_id', v_message.correlation_id, 'reason', v_message.reason, 'now', p_now,
    'witness', (select w.provider_id from messages w where w.conversation_id = p_conversation.id
      and w.provider_id is not null and w.type <> 'reaction' and w.deleted_at is null order by w.seq desc limit 1));
end $$;

-- next_send: the message of a lane that is next; its id is null when the lane is empty. What people who run this wait
-- for is never behind a customer's message; replies go strictly in order; of the others the first that is due, else
-- the one that will be.
-- Concurrency: the caller holds the conversation's lock. Read only.
create or replace function next_send(p_conversation bigint, p_now timestamptz)
returns messages language plpgsql stable set search_path = public, pg_temp as $$
declare v_message messages;
begin
  select m.* into v_message from outbox o join messages m on m.id = o.message_id
    where o.conversation_id = p_conversation and (not is_proactive(o.kind) or o.kind = 'operator')
    order by o.kind = 'operator' desc, o.priority, o.message_id limit 1;
  if found then return v_message; end if;
  select m.* into v_message from outbox o join messages m on m.id = o.message_id
    where o.conversation_id = p_conversation and o.due_at <= p_now and not campaign_paused(o.tenant_id, o.campaign_id)
    order by o.priority, o.message_id limit 1;
  if found then return v_message; end if;
  select m.* into v_message from outbox o join messages m on m.id = o.message_id
    where o.conversation_id = p_conversation
    order by campaign_paused(o.tenant_id, o.campaign_id), o.due_at, o.message_id limit 1;
  return v_message;
end $$;

-- stop_send: a rule says no: the message leaves its lane, or waits there.
-- Guarantee: a person is told of an answer that got too old.
-- Arguments: p_stop what first_guard said. Concurrency: the caller holds the conversation's lock. Result: as
--   claim_send: 'ended' or 'wait'.
create or replace function stop_send(p_message messages, p_stop jsonb, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  if not p_stop ? 'end' then
    return hold_send(p_message.id, p_stop ->> 'rule', (p_stop ->> 'until')::timestamptz,
      (p_stop ->> 'look')::timestamptz);
  end if;
  perform end_send(p_message.id, p_stop ->> 'end', p_stop ->> 'rule');
  if p_stop ->> 'rule' = 'answer_too_old' then
    perform open_handoff(p_message.conversation_id, p_message.turn_id, 'answer_too_old', null, false, p_now);
  end if;
  return jsonb_build_object('action', 'ended', 'status', p_stop ->> 'end', 'reason', p_stop ->> 'rule', 'message_id',
    p_message.id, 'kind', p_message.kind);
end $$;

-- take_pace: when the next message that nobody asked for may leave this number: after a pause of its pace, or of the
-- policy's, spread by its `random`. Notices of orders have a line of their own: they use a third of the time that their
-- cap leaves to each, so that a jam clears.
-- Concurrency: the caller holds the instance's lock.
create or replace function take_pace(p_instance instances, p_kind text, p_policy jsonb, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v_min numeric := coalesce(p_instance.pace_min_seconds, (p_policy ->> 'paceMinSeconds')::numeric);
v_max numeric := coalesce(p_instance.pace_max_seconds, (p_policy ->> 'paceMaxSeconds')::numeric);
begin
  if is_notice(p_kind) then
    update instances set next_notice_at = p_now + make_interval(secs => (0.5 + (p_policy ->> 'random')::numeric)
      * 1200 / greatest(1, (p_policy ->> 'noticeCapHour')::int)) where id = p_instance.id
      and (p_policy ->> 'noticeCapHour')::int > 0;
    return;
  end if;
  update instances set next_proactive_at = p_now
    + make_interval(secs => v_min + (p_policy ->> 'random')::numeric * greatest(0, v_max - v_min))
    where id = p_instance.id;
end $$;

-- show_typing: the contact is shown that somebody types, and its messages as read, before the message is claimed. It is
-- due when that time is over.
-- Concurrency: the caller holds the conversation's lock. Result: as claim_send: 'typing'.
create or replace function show_typing(
  p_conversation conversations, p_message messages, p_instance_name text, p_now timestamptz
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_until timestamptz := p_now + make_interval(secs => p_message.typing_ms / 1000.0);
begin
  update messages set typing_until = v_until, due_at = v_until, reason = 'typing' where id = p_message.id;
  -- Evolution skips read marks of @lid chats without a word: the phone number is named where it is known
  return jsonb_build_object('action', 'typing', 'message_id', p_message.id, 'ms', p_message.typing_ms,
    'until', v_until, 'instance', p_instance_name,
    'number', dial(p_conversation.contact_id, send_jid(p_message, p_conversation)),
    'read_jid', coalesce((select coalesce(a.written, a.address) || '@s.whatsapp.net' from contact_addresses a
      where a.contact_id = p_conversation.contact_id and a.kind = 'pn'
      and (p_conversation.jid like '%@lid' or a.id = address_row(p_conversation.contact_id, p_conversation.jid))
      limit 1), p_conversation.jid),
    'read_ids', (select coalesce(jsonb_agg(i.provider_id), '[]') from messages i
      where i.turn_id = p_message.turn_id and i.direction = 'in' and p_message.part <= 1));
end $$;

-- start_send: the message is the caller's to send: it is `sending` before the wire, and has its slot in the caps.
-- Concurrency: the caller holds the locks of conversation and instance. Result: as claim_send: 'send'.
create or replace function start_send(
  p_conversation conversations, p_message messages, p_instance_name text, p_lease_ms int, p_now timestamptz
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_message messages; v_jid text := send_jid(p_message, p_conversation);
begin
  update messages set status = 'sending', reason = null, goes_at = null, claim = claim + 1, claimed_at = p_now,
    slot_at = p_now, sent_to = v_jid, wire_id = coalesce(wire_id, new_wire_id()), attempts = attempts + 1,
    lease_until = p_now + make_interval(secs => p_lease_ms / 1000.0),
    first_contact = is_offer(p_message.kind)
      and is_stranger(p_conversation.contact_id)
    where id = p_message.id returning * into v_message;
  return jsonb_build_object('action', 'send', 'message_id', v_message.id, 'claim', v_message.claim,
    'instance', p_instance_name, 'number', dial(p_conversation.contact_id, v_jid), 'wire_id', v_message.wire_id,
    'type', v_message.type, 'text', v_message.text, 'quoted_id', v_message.quoted_id,
    'quoted_text', v_message.quoted_text, 'kind', v_message.kind, 'attempts', v_message.attempts,
    'conversation_id', p_conversation.id, 'contact_id', p_conversation.contact_id, 'turn_id', v_message.turn_id,
    'part', v_message.part, 'correlation_id', v_message.correlation_id, 'created_at', v_message.created_at,
    -- what is still unanswered does not end with this: it is said of an outage
    'inbound_at', (select min(i.created_at) from messages i where i.turn_id = v_message.turn_id
      and i.direction = 'in' and i.status <> 'received'));
end $$;

-- new_wire_id: an id as WhatsApp's own web client makes them. Random and never derived from the row: rows are numbered
-- anew in another database, and a phone drops a message whose id it has seen.
create or replace function new_wire_id() returns text language sql volatile as
$$ select '3EB0' || upper(substr(replace(gen_random_uuid()::text, '-', ''), 1, 8)
  || substr(replace(gen_random_uuid()::text, '-', ''), 1, 10)) $$;

-- renew_send: keeps the lease of a send that takes long. Result: {alive}.
create or replace function renew_send(p_message bigint, p_claim bigint, p_lease_ms int, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  update messages set lease_until = clock(p_now) + make_interval(secs => p_lease_ms / 1000.0)
    where id = p_message and claim = p_claim and status = 'sending';
  return jsonb_build_object('alive', found);
end $$;

-- give_up_send: nobody can say whether a message left: it is `unproven`, listed to a person, never sent again by
-- itself, and the lane goes on. What tells of it
--   later (an echo, a comparison with the provider) settles it all the same: see settle_sent.
-- Concurrency: the caller holds the conversation's lock.
create or replace function give_up_send(p_message bigint, p_reason text, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v_message messages;
begin
  update messages set status = 'unproven', reason = p_reason, lease_until = null, goes_at = null where id = p_message
    returning * into v_message;
  perform open_handoff(v_message.conversation_id, v_message.turn_id, 'send_unproven', null, false, p_now);
end $$;

-- record_send: what became of a claimed send.
-- Guarantee: only the claim that sent may speak, once; a row that an echo has settled meanwhile keeps that state (its
--   id is filled in). A send that surely did not leave gives its slot back.
--   An address under which Evolution found nobody is no end while the person has another one: the message goes there.
-- Arguments: p_outcome {kind: 'sent', provider_id, jid: WhatsApp's own address where it was not known, or null} |
--   {kind: 'retry', class, detail, delay_ms, counts (false: the attempt is given back)} | {kind: 'failed', class,
--   detail} | {kind: 'uncertain', class, detail, look_ms}; each but the first may have `trouble`, see number_trouble.
-- Concurrency: locks the conversation, then the message. Result: {outcome: 'recorded', status, more} | {outcome:
--   'stale', status}; more: the lane holds further messages.
create or replace function record_send(
  p_message bigint, p_claim bigint, p_outcome jsonb, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v_message messages; v_kind text := p_outcome ->> 'kind'; v_taken bigint;
begin
  perform 1 from conversations where id = (select conversation_id from messages where id = p_message) for no key update;
  select * into v_message from messages where id = p_message for update;
  if not found or v_message.claim <> p_claim
    then return jsonb_build_object('outcome', 'stale', 'status', v_message.status); end if;
  if v_kind = 'sent' then
    -- an echo or a look-up goes by the words, this answer by the call: a row with equal words that took this id gives
    -- it back
    update messages set provider_id = null, delivered_at = null, read_at = null
      where instance_id = v_message.instance_id and provider_id = p_outcome ->> 'provider_id' and id <> v_message.id
        and direction = 'out' and author in ('agent', 'system') returning id into v_taken;
    if found then perform give_up_send(v_taken, 'echo_of_another', v_now); end if;
    perform settle_sent(v_message.id, p_outcome ->> 'provider_id', v_now, v_now);
    if p_outcome ->> 'jid' like '%@s.whatsapp.net' and v_message.sent_to like '%@s.whatsapp.net' then
      perform confirm_address((select contact_id from conversations where id = v_message.conversation_id),
        p_outcome ->> 'jid');
      update conversations set jid = p_outcome ->> 'jid' where id = v_message.conversation_id
        and jid = v_message.sent_to
        and jid <> p_outcome ->> 'jid';
    end if;
  elsif v_message.status not in ('sending', 'uncertain') then
    return jsonb_build_object('outcome', 'stale', 'status', v_message.status);
  elsif v_kind = 'uncertain' then
    update messages set status = 'uncertain', reason = p_outcome ->> 'class', error_class = p_outcome ->> 'class',
      lease_until = null, slot_at = v_now,
      due_at = v_now + make_interval(secs => (p_outcome ->> 'look_ms')::int / 1000.0) where id = v_message.id;
  elsif v_kind = 'retry' then
    update messages set status = 'queued', reason = p_outcome ->> 'class', error_class = p_outcome ->> 'class',
      lease_until = null, slot_at = null,
      attempts = attempts - case when (p_outcome ->> 'counts')::boolean then 0 else 1 end,
      due_at = v_now + make_interval(secs => (p_outcome ->> 'delay_ms')::int / 1000.0),
        goes_at = v_now + make_interval(secs => (p_outcome ->> 'delay_ms')::int / 1000.0)
      where id = v_message.id;
  elsif p_outcome ->> 'class' = 'not_on_whatsapp' and refuse_address((select c from conversations c
    where c.id = v_message.conversation_id), v_message, v_now) then
    update messages set status = 'queued', reason = 'address_refused', error_class = 'not_on_whatsapp',
      lease_until = null, slot_at = null, attempts = attempts - 1,
      due_at = v_now, goes_at = v_now where id = v_message.id;
  else
    update messages set slot_at = null where id = v_message.id;
    perform fail_send(v_message.id, p_outcome ->> 'class', v_now);
  end if;
  if jsonb_typeof(p_outcome -> 'trouble') = 'object' then
    perform number_trouble(v_message.instance_id, p_outcome -> 'trouble', v_now);
  elsif v_kind = 'sent' then
    perform number_sent(v_message.instance_id, is_proactive(v_message.kind), v_now);
  end if;
  select * into v_message from messages where id = p_message;
  return jsonb_build_object('outcome', 'recorded', 'status', v_message.status, 'more',
    has_sends(v_message.conversation_id));
end $$;

-- settle_send: what a look-up at the provider said of an uncertain send. A look that got no answer counts like one that
-- found nothing, so that a send
--   which cannot be settled holds its conversation up for a bounded time.
-- Guarantee: found settles it as sent; proven absent gives it back to its lane; after the last look it is `unproven`
--   (give_up_send), and the lane goes on.
-- Arguments: p_provider_id the id found, or null; p_not_sent the absence is a proof (see absenceProves in
--   outbox/decide.ts); p_next_ms wait before the next look; null: this was the last.
-- Result: {status, reason}.
create or replace function settle_send(
  p_message bigint, p_claim bigint, p_provider_id text, p_not_sent boolean, p_next_ms int,
  p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v_message messages;
begin
  perform 1 from conversations where id = (select conversation_id from messages where id = p_message) for no key update;
  select * into v_message from messages where id = p_message for update;
  if v_message.status = 'uncertain' and v_message.claim = p_claim then
    if p_provider_id is not null then
      perform settle_sent(v_message.id, p_provider_id, v_now, v_now);
    elsif p_not_sent then
      update messages set status = 'queued', reason = 'proven_not_sent', lease_until = null, slot_at = null, looks = 0,
        due_at = v_now, goes_at = v_now where id = v_message.id;
    else
      update messages set looks = looks + 1, slot_at = v_now,
        due_at = v_now + make_interval(secs => coalesce(p_next_ms, 0) / 1000.0) where id = v_message.id;
      if p_next_ms is null then perform give_up_send(v_message.id, v_message.reason, v_now); end if;
    end if;
    select * into v_message from messages where id = p_message;
  end if;
  return jsonb_build_object('status', v_message.status, 'reason', v_message.reason);
end $$;

-- known_provider_ids: which of these ids at WhatsApp a conversation has already. A person's words in another
-- conversation do not count: they may be the echo of a send of this one under an address that nobody had seen
-- (settle_sent heals it). What was put aside as forged is no proof that one of ours has left. Result: [id].
create or replace function known_provider_ids(p_instance text, p_ids jsonb, p_conversation bigint)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(p.id), '[]') from instances i, jsonb_array_elements_text(p_ids) p (id)
  where i.name = p_instance and (exists (select from messages m where m.instance_id = i.id and m.provider_id = p.id
    and (m.conversation_id = p_conversation or m.author in ('agent', 'system')))
    or exists (select from forged_messages f where f.instance_id = i.id and f.hash = message_hash(i.id, p.id)))
$$;

-- known_messages: which of these messages that Evolution shows are stored already (under their id, in their chat, and
-- not without the words that it has for them), or were of somebody who was erased, or have been met before as forged
-- (see meets_forged).
-- Arguments: p_events InboundEvents of kind message or reaction. Read only. Result: [position from 0].
create or replace function known_messages(p_instance text, p_events jsonb)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(e.n - 1), '[]')
    from instances i, jsonb_array_elements(p_events) with ordinality e (event, n),
    lateral known_message(i.id, e.event ->> 'providerId', e.event -> 'chat', nullif(e.event -> 'alt', 'null'),
      (e.event ->> 'fromMe')::boolean) m
  where i.name = p_instance and case when m.id is null then exists (select from erasures x
    where x.tenant_id = i.tenant_id and x.hash = message_hash(i.id, e.event ->> 'providerId'))
      or exists (select from forged_messages f
        where f.instance_id = i.id and f.hash = message_hash(i.id, e.event ->> 'providerId') and f.found_at is not null)
    else coalesce((e.event -> 'content' ->> 'wordless')::boolean, false)
      or not lacks_words(m, (e.event ->> 'fromMe')::boolean) end
$$;

-- enqueue_message: a message that nobody asked for (or an operator's), to a phone number. Its text is the one of this
-- moment.
-- Guarantee: the same idempotency key of a tenant gives the first result for 24 hours, and a row `deduped` tells of
--   each repeat; another message under it is an error. Keys of notices (kind operator) and keys of callers never meet.
--   What is for those who run this reaches this phone, wherever its contact wrote from. A bypass of the rules is
--   audited with who and why in the same transaction.
-- Arguments: p_request {tenant, instance, phone (canonical digits), text, kind, send_after, expires_at,
--   idempotency_key, campaign_id, typing_ms, correlation_id, bypass: a person's reason or null, actor, choose:
--   {capHour, capDay} to let choose_instance take another number than `instance`, or null}.
-- Errors: WA001 unknown instance; WA002 the idempotency key was used for another message; a bypass
--   without a word of why, or without an actor, is refused by the tables.
-- Concurrency: any. Result: {id, status, conversation_id, repeated}.
create or replace function enqueue_message(p_request jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_now timestamptz := clock(p_now);
  v_instance instances;
  v_conversation conversations;
  v_message messages;
  v_first messages;
  v_key text := p_request ->> 'idempotency_key';
  v_operator boolean := p_request ->> 'kind' = 'operator';
  v_tenant text := coalesce(p_request ->> 'tenant', 'default');
  v_name text := p_request ->> 'instance';
begin
  if v_key is not null then
    perform pg_advisory_xact_lock(hashtextextended(v_tenant || '/' || v_operator || '/' || v_key, 7));
    update messages set idempotency_key = null where tenant_id = v_tenant and (kind = 'operator') = v_operator
      and idempotency_key = v_key and created_at < v_now - interval '24 hours';
    select * into v_first from messages where tenant_id = v_tenant and (kind = 'operator') = v_operator
      and idempotency_key = v_key;
    if found and (v_first.text <> p_request ->> 'text' or v_first.kind <> p_request ->> 'kind' or not exists (
        select 1 from conversations c join contact_addresses a on a.contact_id = c.contact_id
          where c.id = v_first.conversation_id and a.kind = 'pn' and a.address = p_request ->> 'phone')) then
      raise exception 'the idempotency key was used for another message' using errcode = 'WA002';
    end if;
  end if;
  if v_first.id is not null then
    -- a repeat belongs to the number of its first
    select name into v_name from instances where id = v_first.instance_id;
  elsif jsonb_typeof(p_request -> 'choose') = 'object' then
    v_name := choose_instance(v_tenant, p_request ->> 'phone', v_name, p_request -> 'choose', v_now);
  end if;
  select * into v_instance from instances where name = v_name and tenant_id = v_tenant;
  if not found then raise exception 'unknown instance' using errcode = 'WA001'; end if;
  v_conversation := ensure_conversation(v_instance, ensure_contact(v_instance, p_request ->> 'phone', null, null),
    (p_request ->> 'phone') || '@s.whatsapp.net', false);
  insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, reason, text,
    provider_at, correlation_id,
      kind, priority, part, typing_ms, due_at, expires_at, bypass, campaign_id, idempotency_key, duplicate_of,
        addressee, created_at)
    values (v_tenant, v_instance.id, v_conversation.id, v_conversation.last_seq + 1, 'out', 'system', 'text', case
      when v_first.id is null
      then 'queued' else 'deduped' end,
      case when v_first.id is not null then 'duplicate' end, p_request ->> 'text', v_now,
        p_request ->> 'correlation_id',
      p_request ->> 'kind', case p_request ->> 'kind' when 'operator' then 0 when 'manual' then 1
        when 'transactional' then 1 when 'follow_up' then 2 when 'notification' then 3 else 4 end, 0,
      coalesce((p_request ->> 'typing_ms')::int, 0), coalesce((p_request ->> 'send_after')::timestamptz, v_now),
        (p_request ->> 'expires_at')::timestamptz,
      p_request ->> 'bypass', p_request ->> 'campaign_id', case when v_first.id is null then v_key end, v_first.id,
      p_request ->> 'phone', v_now)
    returning * into v_message;
  update conversations set last_seq = last_seq + 1 where id = v_conversation.id;
  if v_first.id is not null then
    return jsonb_build_object('id', v_first.id, 'status', v_first.status, 'conversation_id', v_first.conversation_id,
      'repeated', true);
  end if;
  if v_message.bypass is not null then
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (v_tenant, p_request ->> 'actor', 'send.bypass', v_message.id::text,
        jsonb_build_object('reason', v_message.bypass, 'conversation_id', v_conversation.id), v_now);
  end if;
  return jsonb_build_object('id', v_message.id, 'status', v_message.status, 'conversation_id', v_conversation.id,
    'repeated', false);
end $$;

-- sweep_sends: conversations whose lane has something due: a job that was lost, a lease that ran out, an uncertain send
-- to look up.
-- Concurrency: read only. Result: [conversation id]. Paused ones are left out, but for what is said to those who run
--   this, which no pause holds.
create or replace function sweep_sends(p_limit int, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(id), '[]') from (
    select m.conversation_id as id from (
        select o.conversation_id, o.message_id, o.kind, o.campaign_id from outbox o
          where o.due_at <= (select clock(p_now))
        union all select w.conversation_id, w.message_id, w.kind, w.campaign_id from on_wire w
          where (select clock(p_now)) >= case w.status when 'sending' then w.lease_until else w.due_at end) m
      join conversations c on c.id = m.conversation_id join instances i on i.id = c.instance_id
    where c.merged_into is null
      and (m.kind = 'operator' or pause_reason(c.tenant_id, i.name, c.id, m.campaign_id) is null)
    group by m.conversation_id order by min(m.message_id) limit p_limit) s
$$;

-- promised_at: when a message that waits may go at the earliest; null while nobody knows (a pause, a switch, a number
-- that is away).
create or replace function promised_at(p_message messages) returns timestamptz language sql immutable as $$
  select case when p_message.status = 'queued'
    then coalesce(p_message.goes_at, case when p_message.reason is null
      or p_message.reason in ('typing', 'retried_by_hand', 'proven_not_sent')
    then p_message.due_at end) end
$$;

-- message_row: one message as the API shows it.
create or replace function message_row(p_message messages)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('id', p_message.id, 'status', p_message.status, 'reason', p_message.reason,
    'goes_at', promised_at(p_message), 'provider_message_id', p_message.provider_id, 'kind', p_message.kind,
    'direction', p_message.direction, 'conversation_id', p_message.conversation_id,
    'instance', (select i.name from instances i where i.id = p_message.instance_id),
    -- words of a conversation are for operators: see timeline
    'to', case when is_proactive(p_message.kind) and p_message.kind <> 'operator' then (select a.address
      from conversations c join contact_addresses a on a.contact_id = c.contact_id and a.kind = 'pn'
      where c.id = p_message.conversation_id order by a.id limit 1) end,
    'text', case when is_proactive(p_message.kind) and p_message.kind <> 'operator' then p_message.text end,
    'campaign_id', p_message.campaign_id, 'duplicate_of', p_message.duplicate_of,
    'bypass_reason', p_message.bypass, 'attempts', p_message.attempts, 'created_at', p_message.created_at,
    'sent_at', case when p_message.direction = 'out' and p_message.provider_id is not null
      then p_message.provider_at end,
    'expires_at', p_message.expires_at, 'delivered_at', p_message.delivered_at, 'read_at', p_message.read_at)
$$;

-- message_status: one message, or null.
create or replace function message_status(p_tenant text, p_message bigint)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select message_row(m) from messages m where m.id = p_message and m.tenant_id = p_tenant
$$;

-- list_messages: what nobody asked for and what became of it, the newest first.
-- Arguments: p_filter {status, kind, phone (canonical digits), instance, campaign_id, since, before (an id: the page
--   after it)}; what is missing or null does not narrow.
-- Result: [message_row].
create or replace function list_messages(p_tenant text, p_filter jsonb, p_limit int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(message_row(m) order by m.id desc), '[]') from (
    select * from messages x
    where x.tenant_id = p_tenant and is_proactive(x.kind) and x.kind <> 'operator'
      and x.id < coalesce((p_filter ->> 'before')::bigint, 9223372036854775807)
      and x.status = coalesce(p_filter ->> 'status', x.status) and x.kind = coalesce(p_filter ->> 'kind', x.kind)
      and (p_filter ->> 'campaign_id' is null or x.campaign_id = p_filter ->> 'campaign_id')
      and x.created_at >= coalesce((p_filter ->> 'since')::timestamptz, '-infinity')
      and (p_filter ->> 'instance' is null or x.instance_id = (select i.id from instances i
        where i.name = p_filter ->> 'instance'))
      and (p_filter ->> 'phone' is null or x.conversation_id in (select c.id from contact_addresses a
        join conversations c on c.contact_id = a.contact_id
        where a.tenant_id = p_tenant and a.kind = 'pn' and a.address = p_filter ->> 'phone'))
    order by x.id desc limit p_limit) m
$$;

-- hours_of: the hours of a number for what nobody asked for: those of its agent over those of the policy; null: always.
-- Result: {start, end, weekdays, holidays, tz}, all of them there.
create or replace function hours_of(p_instance instances, p_policy jsonb)
returns jsonb language plpgsql stable set search_path = public, pg_temp as $$
declare v_own jsonb := (agent_of(p_instance)).hours;
begin
  if v_own is null and jsonb_typeof(p_policy -> 'hours') is distinct from 'object' then return null; end if;
  return '{"start": "00:00", "end": "24:00", "weekdays": [1, 2, 3, 4, 5, 6, 7], "holidays": true}'::jsonb
    || case when jsonb_typeof(p_policy -> 'hours') = 'object' then p_policy -> 'hours'
      else '{}' end || coalesce(v_own, '{}')
    || jsonb_build_object('tz', coalesce(p_policy ->> 'tz', 'UTC'));
end $$;

-- inside_hours: whether a moment lies inside hours, by the clock, the weekday and the holidays of their zone. p_hours
-- as hours_of.
create or replace function inside_hours(p_hours jsonb, p_tenant text, p_at timestamptz)
returns boolean language plpgsql stable set search_path = public, pg_temp as $$
declare v_local timestamp := p_at at time zone (p_hours ->> 'tz');
begin
  if p_hours is null then return true; end if;
  return v_local::time >= (p_hours ->> 'start')::time and v_local::time < (p_hours ->> 'end')::time
    and p_hours -> 'weekdays' @> to_jsonb(extract(isodow from v_local)::int)
    and ((p_hours ->> 'holidays')::boolean or not exists (select from holidays h
      where h.tenant_id in ('default', p_tenant) and h.day = v_local::date and h.closed));
end $$;

-- next_open: the first moment from p_now on that is inside hours.
create or replace function next_open(p_hours jsonb, p_tenant text, p_now timestamptz)
returns timestamptz language plpgsql stable set search_path = public, pg_temp as $$
declare v_opens timestamptz; v_first timestamptz;
begin
  if inside_hours(p_hours, p_tenant, p_now) then return p_now; end if;
  -- a clock that is set back may come into the hours a second time
  select min(t) into v_first from generate_series(date_trunc('minute', p_now), p_now + interval '2 hours',
    interval '1 minute') t
    where t > p_now and inside_hours(p_hours, p_tenant, t);
  if v_first is not null then return v_first; end if;
  for ahead in 0..400 loop
    v_opens := ((p_now at time zone (p_hours ->> 'tz'))::date + ahead
      + (p_hours ->> 'start')::time) at time zone (p_hours ->> 'tz');
    -- and passes the opening twice; one that is set forward may skip it: the first moment inside counts
    if inside_hours(p_hours, p_tenant, v_opens) then
      select min(t) into v_first from generate_series(v_opens - interval '1 hour', v_opens, interval '1 minute') t
        where t > p_now and inside_hours(p_hours, p_tenant, t);
      if v_first is not null then return v_first; end if;
    end if;
  end loop;
  return p_now + interval '1 day'; -- hours that never open: looked at again tomorrow
end $$;

-- in_class: whether a send counts in a cap: of answers ('reply'), of all that nobody asked for but notices of orders
-- ('proactive'), of what goes to people who never wrote ('stranger'), or of one kind.
create or replace function in_class(p_class text, p_kind text, p_first_contact boolean)
returns boolean language sql immutable as $$
  select case p_class when 'reply' then not is_proactive(p_kind)
    when 'proactive' then is_proactive(p_kind) and not is_notice(p_kind)
    when 'stranger' then is_proactive(p_kind) and p_first_contact else p_kind = p_class end
$$;

-- free_at: when a cap has room for one more send, or null when it has room now (or there is no cap).
-- Guarantee: exact over any rolling window, because slot_at is the latest moment at which a message can have been on
--   the wire, and rows that may still be on their way (sending, also after the lease; uncertain, while it is looked up)
--   count as now. What it costs does not grow with the sends: sums of hours and minutes, from the newest on, find the
--   minute in which the cap was reached, and only that minute's slots are read.
-- Arguments: p_class see in_class, proactive kinds only; p_window an hour at most for 'reply', two days for others;
--   p_since what was before does not count.
-- Concurrency: the caller holds the instance's lock.
create or replace function free_at(
  p_instance bigint, p_class text, p_window interval, p_cap int, p_since timestamptz, p_now timestamptz
) returns timestamptz language plpgsql stable set search_path = public, pg_temp
  set plan_cache_mode = force_generic_plan as $$
declare
  v_reply boolean := p_class = 'reply';
  v_from timestamptz := greatest(p_now - p_window, p_since);
  v_low timestamptz := v_from;
  v_to timestamptz := 'infinity';
  v_room bigint := p_cap;   -- places that what is under way and what is newer than v_to leave
  v_found timestamptz;
  v_newer bigint;
  v_at timestamptz;
begin
  if p_cap is null then return null; end if;
  if p_cap > 0 then
    select p_cap - count(*) into v_room from on_wire w
      where w.instance_id = p_instance and in_class(p_class, w.kind, w.first_contact);
  end if;
  if v_room <= 0 then return p_now + p_window; end if;
  if not v_reply and p_window > interval '1 hour' then
    select h.hour, h.total - h.n into v_found, v_newer from (
      select s.hour, sum(s.n) as n, sum(sum(s.n)) over (order by s.hour desc) as total from slot_hours s
        where s.instance_id = p_instance and s.hour >= slot_hour(v_from)
          and in_class(p_class, s.kind, s.first_contact) group by s.hour) h
      where h.total >= v_room order by h.hour desc limit 1;
    if not found then return null; end if;
    v_low := greatest(v_from, v_found);
    v_to := v_found + interval '1 hour';
    v_room := v_room - v_newer;
  end if;
  select m.minute, m.total - m.n into v_found, v_newer from (
    select s.minute, sum(s.n) as n, sum(sum(s.n)) over (order by s.minute desc) as total from slot_minutes s
      where s.instance_id = p_instance and s.reply = v_reply and s.minute >= slot_minute(v_low) and s.minute < v_to
        and in_class(p_class, s.kind, s.first_contact) group by s.minute) m
    where m.total >= v_room order by m.minute desc limit 1;
  if not found then return null; end if;
  select s.slot_at into v_at from slots s
    where s.instance_id = p_instance and s.reply = v_reply and s.slot_at >= v_found
      and s.slot_at < v_found + interval '1 minute' and s.slot_at > v_from
      and in_class(p_class, s.kind, s.first_contact)
    order by s.slot_at desc offset v_room - v_newer - 1 limit 1;
  return v_at + p_window;
end $$;

-- share_free_at: when a conversation may have its next answer: it uses at most a quarter of its number's replies of an
-- hour, and 20 in any case, so that one contact cannot use up those of all. Null: now. One look where fewer messages
-- were exchanged.
create or replace function share_free_at(p_conversation conversations, p_cap int, p_now timestamptz)
returns timestamptz language plpgsql stable set search_path = public, pg_temp as $$
declare v_share int := greatest(20, ceil(p_cap / 4.0)::int); v_at timestamptz;
begin
  if p_cap is null or not exists (select from messages m where m.conversation_id = p_conversation.id
    and m.seq = p_conversation.last_seq - v_share
    and greatest(m.created_at, m.slot_at) > p_now - interval '1 hour') then return null; end if;
  select s.slot_at into v_at from (
    select slot_at from slots where conversation_id = p_conversation.id and reply
    union all select slot_at from on_wire where conversation_id = p_conversation.id and not is_proactive(kind)) s
    where s.slot_at > p_now - interval '1 hour' order by s.slot_at desc offset v_share - 1 limit 1;
  return v_at + interval '1 hour';
end $$;

-- contact_free_at: the same for what one person gets, over all numbers. p_offers: only campaigns and follow-ups count.
-- Concurrency: the caller holds the contact's lock.
create or replace function contact_free_at(
  p_contact bigint, p_offers boolean, p_window interval, p_cap int, p_now timestamptz
) returns timestamptz language plpgsql stable set search_path = public, pg_temp as $$
declare v_at timestamptz;
begin
  if p_cap is null then return null; end if;
  if p_cap = 0 then return p_now + p_window; end if;
  select s.at into v_at from (
    select l.slot_at as at from conversations c join slots l on l.conversation_id = c.id
      where c.contact_id = p_contact and not l.reply and not is_notice(l.kind) and (is_offer(l.kind) or not p_offers)
    union all
    select p_now from conversations c join on_wire w on w.conversation_id = c.id
      where c.contact_id = p_contact and is_proactive(w.kind) and not is_notice(w.kind)
        and (is_offer(w.kind) or not p_offers)) s
    where s.at > p_now - p_window order by s.at desc offset p_cap - 1 limit 1;
  return v_at + p_window;
end $$;

-- unanswered: how many messages that nobody asked for a contact got since it wrote last, at most p_most.
create or replace function unanswered(p_contact bigint, p_most int)
returns int language plpgsql stable set search_path = public, pg_temp as $$
declare v_since timestamptz; v_count int;
begin
  select max(last_inbound_at) into v_since from conversations where contact_id = p_contact;
  select count(*) into v_count from (
    select from conversations c join slots s on s.conversation_id = c.id
      where c.contact_id = p_contact and not s.reply and s.slot_at > coalesce(v_since, '-infinity')
        and s.kind not in ('manual', 'operator', 'transactional')
    union all
    select from conversations c join on_wire w on w.conversation_id = c.id
      where c.contact_id = p_contact and is_proactive(w.kind) and w.slot_at > coalesce(v_since, '-infinity')
        and w.kind not in ('manual', 'operator', 'transactional')
    limit p_most) u;
  return v_count;
end $$;

-- last_campaign: when a contact got its last campaign message, on any number; one that may be on its way counts.
create or replace function last_campaign(p_contact bigint)
returns timestamptz language plpgsql stable set search_path = public, pg_temp as $$
begin
  return greatest((select max(s.slot_at) from conversations c join slots s on s.conversation_id = c.id
      where c.contact_id = p_contact and not s.reply and is_campaign(s.kind)),
    (select max(w.slot_at) from conversations c join on_wire w on w.conversation_id = c.id
      where c.contact_id = p_contact and is_campaign(w.kind)));
end $$;

-- is_stranger: nobody has ever heard from this contact, on any number.
create or replace function is_stranger(p_contact bigint)
returns boolean language plpgsql stable set search_path = public, pg_temp as $$
begin
  return not exists (select from conversations where contact_id = p_contact and last_inbound_at is not null);
end $$;

-- warming_caps: what a young number may send at most, by its age: from 2 an hour and 5 a day to 100 a day after three
-- weeks, then twice as much each week until its own caps are the narrower ones. Replies are not bound. Null: the number
-- is not young.
-- Result: {hour, day, strangers: first messages to people who never wrote, a day, reply_percent: how many of its
--   campaign messages must be answered}.
create or replace function warming_caps(p_phase text, p_since timestamptz, p_now timestamptz)
returns jsonb language sql immutable set search_path = public, pg_temp as $$
  select case when p_phase <> 'warming' or d.days >= 100 then null
    when d.days >= 21 then jsonb_build_object('hour', 20 * 2 ^ ((d.days - 21) / 7), 'day',
      100 * 2 ^ ((d.days - 21) / 7))
    else (array['{"hour": 2, "day": 5, "strangers": 3}', '{"hour": 3, "day": 10, "strangers": 5}',
      '{"hour": 5, "day": 20, "strangers": 10}', '{"hour": 7, "day": 30, "strangers": 15}',
      '{"hour": 10, "day": 45, "strangers": 20}', '{"hour": 14, "day": 65, "strangers": 30}',
        '{"hour": 17, "day": 80, "strangers": 40}']::jsonb[])[d.days / 3 + 1]
      || '{"reply_percent": 10}' end
  from (select greatest(0, floor(extract(epoch from p_now - p_since) / 86400))::int as days) d
$$;

-- low_reply_ratio: of the last 100 campaign messages of a number that are older than a day, and younger than two weeks,
-- fewer than p_percent in a hundred were answered. Says nothing of fewer than 30.
create or replace function low_reply_ratio(p_instance bigint, p_percent int, p_now timestamptz)
returns boolean language plpgsql stable set search_path = public, pg_temp as $$
begin
  if coalesce(p_percent, 0) = 0 then return false; end if;
  return (select count(*) >= 30 and count(*) filter (where c.last_inbound_at > s.slot_at) * 100 < p_percent * count(*)
    from (select conversation_id, slot_at from slots
      where instance_id = p_instance and not reply and slot_at > p_now - interval '14 days'
        and slot_at <= p_now - interval '1 day' and is_campaign(kind) order by slot_at desc limit 100) s
        join conversations c on c.id = s.conversation_id);
end $$;

-- slow_start: for half an hour after an outage a number sends a quarter of what an hour allows. When the next may go;
-- null: now.
create or replace function slow_start(p_instance instances, p_cap_hour int, p_now timestamptz)
returns timestamptz language plpgsql stable set search_path = public, pg_temp as $$
declare v_at timestamptz;
begin
  if p_instance.reconnected_at is null or p_instance.reconnected_at <= p_now - interval '30 minutes'
    then return null; end if;
  v_at := free_at(p_instance.id, 'proactive', interval '30 minutes', greatest(1, ceil(p_cap_hour / 4.0))::int,
    p_instance.reconnected_at,
    p_now);
  return case when v_at is not null then least(v_at, p_instance.reconnected_at + interval '30 minutes') end;
end $$;

-- yields: something more urgent of the same number waits for the same slot, and will take it in a moment. What has been
-- due for longer is held by something else.
create or replace function yields(p_message messages, p_now timestamptz)
returns boolean language plpgsql stable set search_path = public, pg_temp as $$
begin
  return exists (select from outbox o where o.instance_id = p_message.instance_id and is_proactive(o.kind)
    and not is_notice(o.kind) and o.priority in (1, 2, 3) and o.priority < p_message.priority
    and o.urgent_at > p_now - interval '2 minutes'
      and o.urgent_at <= p_now
    and o.conversation_id <> p_message.conversation_id and coalesce(o.reason, '') not like 'paused_%');
end $$;

-- in_allowlist: whether a contact may get messages in this environment. p_policy {allowlist: [digits] | null for
-- everyone}.
create or replace function in_allowlist(p_contact bigint, p_policy jsonb)
returns boolean language plpgsql stable set search_path = public, pg_temp as $$
begin
  return jsonb_typeof(p_policy -> 'allowlist') is distinct from 'array'
    or exists (select from contact_addresses a where a.contact_id = p_contact and a.kind = 'pn'
      and p_policy -> 'allowlist' ? a.address);
end $$;

-- ends, waits, looks: one line of the list. Null when the rule holds nothing up; else what becomes of the message:
-- {rule, end: its last status} | {rule, until} | {rule, look: when to look again, as nobody knows when it may go}.
create or replace function ends(p_rule text, p_status text, p_if boolean)
returns jsonb language sql immutable set search_path = public, pg_temp as
$$ select case when p_if then jsonb_build_object('rule', p_rule, 'end', p_status) end $$;

-- waits: see ends.
create or replace function waits(p_rule text, p_until timestamptz, p_now timestamptz)
returns jsonb language sql immutable set search_path = public, pg_temp as
$$ select case when p_until > p_now then jsonb_build_object('rule', p_rule, 'until', p_until) end $$;

-- looks: see ends.
create or replace function looks(p_rule text, p_if boolean, p_look timestamptz)
returns jsonb language sql immutable set search_path = public, pg_temp as
$$ select case when p_if then jsonb_build_object('rule', p_rule, 'look', p_look) end $$;

-- first_guard: the first rule that a message breaks at this moment, or null. THE list: its order is the order in which
-- rules are told. (A repeat of an order is found by its key when it is asked for: see enqueue_message.)
-- Arguments: the row, its conversation, its number; p_policy as in claim_send. Result: as `ends`; a pause has neither
--   an end nor a time.
-- Concurrency: the caller holds the locks of the conversation and the number, and of the contact when nobody asked for
--   the message.
-- Its plan does not depend on the message, but looks cheaper for each single one: made anew each time, it would cost as
-- much as the rules themselves.
create or replace function first_guard(
  p_message messages, p_conversation conversations, p_instance instances, p_policy jsonb, p_now timestamptz
) returns jsonb language plpgsql stable set search_path = public, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  v_reply boolean := not is_proactive(p_message.kind);
  v_campaign boolean := is_campaign(p_message.kind);
  v_offer boolean := is_offer(p_message.kind);
  -- an answer to who runs this, an alert to the manager: a stop that could not be told would not be believed. Only
  -- allowlist, expiry and the number hold it
  v_operator boolean := p_message.kind = 'operator';
  v_silenced text := case when p_message.kind <> 'operator'
    then silenced_by(p_conversation, p_now, p_message.campaign_id) end;
  v_hour int := coalesce(p_instance.cap_hour, (p_policy ->> 'capHour')::int);
  v_day int := coalesce(p_instance.cap_day, (p_policy ->> 'capDay')::int);
  v_young jsonb := warming_caps(p_instance.phase, p_instance.phase_since, p_now);
  v_contact contacts;
  v_allowed text;
  v_deaf boolean;   -- the shop tells of orders after an opt-out too
  -- the rules for what nobody asked for do not bind a person who sends over them, or who answers within a day
  v_notice boolean := is_notice(p_message.kind);
  v_unasked boolean := not v_reply and not v_operator and not v_notice and p_message.bypass is null
    and not (p_message.kind = 'manual' and coalesce(p_conversation.last_inbound_at > p_now - interval '1 day', false));
begin
  if v_unasked then select * into v_contact from contacts where id = p_conversation.contact_id; end if;
  if v_unasked or v_notice then
    select proactive, coalesce(settings -> 'notices_after_opt_out' = 'true', false) into v_allowed, v_deaf
      from tenants where id = p_conversation.tenant_id;
  end if;
  return coalesce(
    -- whether it may leave at all
    looks('wrong_project', is_foreign(p_policy ->> 'projectRef'), p_now + interval '1 minute'),
    ends('allowlist', 'blocked', not in_allowlist(p_conversation.contact_id, p_policy)),
    ends('phone_moved', 'cancelled', not v_operator and p_message.addressee is not null and not exists (select
      from contact_addresses a where a.contact_id = p_conversation.contact_id and a.kind = 'pn'
      and a.address = p_message.addressee)),
    ends('reply_proof', 'blocked', v_reply and p_message.turn_id is null
      and not coalesce(p_conversation.last_inbound_at >= p_message.created_at - interval '30 minutes', false)),
    ends('expired', 'expired', p_message.expires_at <= p_now),
    -- who wrote after opting out is answered; what was written before the opt-out is not sent any more, nor anything
    -- that nobody asked for
    ends('opt_out', 'blocked', not v_operator and not (v_notice and v_deaf) and exists (select
      from standing_opt_out(p_conversation.contact_id) o where not v_reply or o.created_at > p_message.created_at)),
    -- a step of a ladder is over with the silence it is about
    case when p_message.kind = 'follow_up' then follow_up_guard(p_message, p_conversation, p_policy, p_now) end,
    case when v_silenced like 'paused\_%' then jsonb_build_object('rule', v_silenced) end,
    -- after a pause, what was said long ago is not said any more: a person looks at it
    ends('answer_too_old', 'cancelled', v_reply and p_message.author = 'agent' and p_message.reason like 'paused\_%'
      and coalesce(p_message.created_at < p_now - make_interval(mins => (p_policy ->> 'replyMaxAgeMinutes')::int),
        false)),
    -- where the agent only looks on nothing is answered, by nobody's words; what nobody asked for is held below
    ends('observe', 'cancelled', v_reply and is_observed(p_conversation)),
    -- "somebody will go on here" is said although the conversation is a person's already, but never over somebody who
    -- is typing, whose conversation it is or not
    ends(v_silenced, 'cancelled', p_message.author = 'agent' and v_silenced is not null
      and (p_conversation.takeover_until > p_now or p_message.kind <> 'handoff')),
    -- nothing automatic lands between a person's words; what an operator wrote by hand is a person's word itself, and a
    -- step of an order is a fact whoever is talking
    waits(v_silenced, case when v_silenced = 'takeover' and not v_reply and not v_notice and p_message.kind <> 'manual'
      then p_conversation.takeover_until end, p_now),
    looks(v_silenced, v_silenced is not null and not v_reply and not v_notice and p_message.kind <> 'manual',
      p_now + interval '10 minutes'),
    case when v_reply then
      waits('reply_cap_hour', free_at(p_instance.id, 'reply', interval '1 hour',
        coalesce(p_instance.reply_cap_hour, (p_policy ->> 'replyCapHour')::int), null, p_now), p_now) end,
    case when v_reply and p_message.author = 'agent' then
      waits('reply_share', share_free_at(p_conversation,
        coalesce(p_instance.reply_cap_hour, (p_policy ->> 'replyCapHour')::int), p_now),
        p_now) end,
    case when v_notice then coalesce(
      looks('safe_mode', v_allowed = 'none', p_now + interval '10 minutes'),
      waits('notice_cap', free_at(p_instance.id, 'transactional', interval '1 hour',
        (p_policy ->> 'noticeCapHour')::int, p_instance.hour_reset_at, p_now), p_now),
      waits('notice_pace', p_instance.next_notice_at, p_now)) end,
    case when v_unasked then coalesce(
      -- when, and whether this person
      ends('pilot_mode', 'blocked', (p_policy ->> 'pilot')::boolean and p_conversation.last_inbound_at is null),
      waits('quiet_hours', next_open(hours_of(p_instance, p_policy), p_conversation.tenant_id, p_now), p_now),
      waits('cooling_off', case when v_offer then v_contact.cooling_until end, p_now),
      waits('next_allowed', v_contact.next_allowed_at, p_now),
      waits('contact_cap', contact_free_at(p_conversation.contact_id, false, interval '1 hour',
        (p_policy ->> 'contactCapHour')::int,
        p_now), p_now),
      waits('contact_cap_week', case when v_offer
        then contact_free_at(p_conversation.contact_id, true, interval '7 days',
        (p_policy ->> 'contactCapWeek')::int, p_now) end, p_now),
      -- whether this kind
      looks('campaigns_off', v_campaign and v_allowed = 'no_campaigns', p_now + interval '10 minutes'),
      looks('safe_mode', p_message.kind <> 'manual' and v_allowed = 'none', p_now + interval '10 minutes'),
      ends('campaign_pressure', 'blocked',
        v_campaign and unanswered(p_conversation.contact_id,
        (p_policy ->> 'maxUnanswered')::int) >= (p_policy ->> 'maxUnanswered')::int),
      waits('campaign_gap', case when v_campaign
        then last_campaign(p_conversation.contact_id)
          + make_interval(days => (p_policy ->> 'campaignGapDays')::int) end, p_now),
      waits('kind_cap', free_at(p_instance.id, p_message.kind, interval '1 hour',
        coalesce((p_policy -> 'kindCaps' ->> p_message.kind)::int,
        case p_message.kind when 'prospecting' then ceil(v_hour / 2.0) when 'follow_up'
          then ceil(v_hour * 0.75) end::int),
          p_instance.hour_reset_at, p_now), p_now),
      waits('strangers', case when v_offer and is_stranger(p_conversation.contact_id)
        then free_at(p_instance.id, 'stranger', interval '1 day',
        least((v_young ->> 'strangers')::int,
          coalesce(p_instance.cap_strangers_day, (p_policy ->> 'strangersDay')::int)),
          p_instance.day_reset_at, p_now) end, p_now),
      looks('reply_ratio', v_campaign
        and low_reply_ratio(p_instance.id,
          greatest((v_young ->> 'reply_percent')::int, (p_policy ->> 'minReplyPercent')::int),
        p_now), p_now + interval '1 hour'),
      -- whether the number has room
      waits('warming_hour', case when (v_young ->> 'hour')::int < v_hour
        then free_at(p_instance.id, 'proactive', interval '1 hour', (v_young ->> 'hour')::int,
          p_instance.hour_reset_at, p_now) end,
        p_now),
      waits('warming_day', case when (v_young ->> 'day')::int < v_day
        then free_at(p_instance.id, 'proactive', interval '1 day', (v_young ->> 'day')::int, p_instance.day_reset_at,
          p_now) end, p_now),
      waits('cap_hour', free_at(p_instance.id, 'proactive', interval '1 hour', v_hour, p_instance.hour_reset_at,
        p_now), p_now),
      waits('cap_day', free_at(p_instance.id, 'proactive', interval '1 day', v_day, p_instance.day_reset_at, p_now),
        p_now),
      waits('slow_start', slow_start(p_instance, v_hour, p_now), p_now),
      -- who was shown typing has had its place in the line and in the pace
      waits('priority', case when p_message.typing_until is null and yields(p_message, p_now)
        then p_now + make_interval(secs => greatest(1, (p_policy ->> 'paceMinSeconds')::numeric)) end, p_now),
      waits('pace', case when p_message.typing_until is null then p_instance.next_proactive_at end, p_now)) end,
    -- the number is away: the news of its return wakes the lanes
    looks('number_disconnected', p_instance.status in ('close', 'connecting', 'refused'),
      p_now + interval '30 seconds'),
    -- why it is not well is the reason; what a person writes is held by WhatsApp's own words only
    number_hold(p_instance, not (v_unasked or v_notice)
      or (p_message.kind = 'manual' and p_instance.held_reason not in ('number_restricted',
      'number_rate_limited')), p_now));
end $$;

-- rate_status: what of the caps each number of a tenant has used, what is held and why, and when the next message that
-- nobody asked for may go.
-- Arguments: p_policy as in claim_send. Result: {number: {hour: {used, limit, oldest}, day, notices: of orders in the
--   hour, status, phase,
--   next_proactive_at, next_slot_at, inside_hours, held: {reason: count}}}.
create or replace function rate_status(p_tenant text, p_policy jsonb, p_now timestamptz default null)
returns jsonb language plpgsql stable set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v_all jsonb := '{}'; v_instance instances; v_young jsonb; v_hour int;
v_day int; v_hours jsonb; v_hour_from timestamptz; v_day_from timestamptz;
begin
  for v_instance in select * from instances where tenant_id = p_tenant order by id loop
    v_young := warming_caps(v_instance.phase, v_instance.phase_since, v_now);
    v_hour := least(coalesce(v_instance.cap_hour, (p_policy ->> 'capHour')::int), (v_young ->> 'hour')::int);
    v_day := least(coalesce(v_instance.cap_day, (p_policy ->> 'capDay')::int), (v_young ->> 'day')::int);
    v_hours := hours_of(v_instance, p_policy);
    v_hour_from := greatest(v_now - interval '1 hour', v_instance.hour_reset_at);
    v_day_from := greatest(v_now - interval '1 day', v_instance.day_reset_at);
    v_all := v_all || jsonb_build_object(v_instance.name, (select jsonb_build_object(
        'hour', jsonb_build_object('used', count(*) filter (where s.slot_at > v_hour_from), 'limit', v_hour, 'oldest',
          min(s.slot_at) filter (where s.slot_at > v_hour_from)),
        'day', jsonb_build_object('used', count(*) filter (where s.slot_at > v_day_from), 'limit', v_day, 'oldest',
          min(s.slot_at) filter (where s.slot_at > v_day_from)))
      from (select slot_at from slots where instance_id = v_instance.id and not reply and not is_notice(kind)
          and slot_at > least(v_hour_from, v_day_from)
        union all select slot_at from on_wire where instance_id = v_instance.id and is_proactive(kind)
          and not is_notice(kind) and slot_at > least(v_hour_from, v_day_from)) s)
      || jsonb_build_object('notices', (select jsonb_build_object('used', count(*), 'limit',
          (p_policy ->> 'noticeCapHour')::int, 'oldest', min(s.slot_at))
        from (select slot_at from slots where instance_id = v_instance.id and not reply and is_notice(kind)
            and slot_at > v_hour_from
          union all select slot_at from on_wire where instance_id = v_instance.id and is_notice(kind)) s))
      || jsonb_build_object('status', v_instance.status, 'phase', v_instance.phase, 'next_proactive_at',
        v_instance.next_proactive_at,
        'inside_hours', inside_hours(v_hours, p_tenant, v_now),
        'next_slot_at', next_open(v_hours, p_tenant,
          greatest(v_now, v_instance.next_proactive_at,
            free_at(v_instance.id, 'proactive', interval '1 hour', v_hour, v_instance.hour_reset_at,
          v_now),
          free_at(v_instance.id, 'proactive', interval '1 day', v_day, v_instance.day_reset_at, v_now),
            slow_start(v_instance, v_hour, v_now))),
        'held', (select coalesce(jsonb_object_agg(h.reason, h.n), '{}')
          from (select o.reason, count(*) as n from outbox o where o.instance_id = v_instance.id
            and is_proactive(o.kind) and o.reason is not null group by o.reason) h)));
  end loop;
  return v_all;
end $$;

-- release_held: what waits for one of these reasons is looked at now. Result: conversations to wake, the most urgent
-- first, at most 500; a sweep finds the others.
create or replace function release_held(p_tenant text, p_instance text, p_reasons text[], p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_lanes jsonb;
begin
  with freed as (
      update messages m set due_at = p_now, goes_at = null from outbox o join instances i on i.id = o.instance_id
      where m.id = o.message_id and i.tenant_id = p_tenant and i.name = coalesce(p_instance, i.name)
        and o.reason = any (p_reasons) and m.status = 'queued' and is_proactive(m.kind)
        and m.reason = any (p_reasons) and m.due_at > p_now returning m.conversation_id, m.priority, m.id)
    select coalesce(jsonb_agg(l.conversation_id), '[]') into v_lanes
      from (select f.conversation_id from freed f group by 1 order by min(f.priority), min(f.id) limit 500) l;
  return v_lanes;
end $$;

-- rate_reset: the caps of an hour, of a day or both count from now on only, for one number or all of a tenant; the pace
-- starts anew.
-- Guarantee: what was held for that is looked at at once; what is on its way at this moment still counts; audited.
-- Arguments: p_instance null: all; p_window 'hour' | 'day' | 'both'. Concurrency: waits for the numbers' locks.
-- Result: {outcome: 'done', instances: [name], lanes: [conversation to wake]} | {outcome: 'unknown_instance'}.
create or replace function rate_reset(
  p_tenant text, p_instance text, p_window text, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v_names jsonb;
begin
  with reset as (
    update instances set next_proactive_at = null, next_notice_at = null,
      hour_reset_at = case when p_window in ('hour', 'both') then v_now else hour_reset_at end,
      day_reset_at = case when p_window in ('day', 'both') then v_now else day_reset_at end
    where tenant_id = p_tenant and name = coalesce(p_instance, name) returning name)
  select jsonb_agg(name order by name) into v_names from reset;
  if v_names is null then return jsonb_build_object('outcome', 'unknown_instance'); end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'rate.reset', p_window, jsonb_build_object('instances', v_names, 'reason', p_reason),
      v_now);
  return jsonb_build_object('outcome', 'done', 'instances', v_names, 'lanes', release_held(p_tenant, p_instance,
    array['cap_hour', 'cap_day', 'warming_hour', 'warming_day', 'kind_cap', 'strangers', 'slow_start', 'priority',
      'pace', 'notice_cap', 'notice_pace'], v_now));
end $$;

-- set_proactive: what may leave of a tenant that nobody asked for. Guarantee: holds from the next claim on, over
-- restarts; audited.
-- Arguments: p_level 'all' | 'no_campaigns' | 'none' (safe mode: only what a person writes). Result: {was, lanes:
--   [conversation to wake]}.
create or replace function set_proactive(
  p_tenant text, p_level text, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_was text;
begin
  select proactive into v_was from tenants where id = p_tenant for update;
  update tenants set proactive = p_level where id = p_tenant;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'proactive', p_level, jsonb_build_object('was', v_was, 'reason', p_reason),
      clock(p_now));
  return jsonb_build_object('was', v_was, 'lanes', release_held(p_tenant, null, array['campaigns_off', 'safe_mode'],
    clock(p_now)));
end $$;

-- set_contact_wait: a person is left alone for a time: from campaigns and follow-ups (it refused an offer), or from
-- everything that nobody asked for.
-- Arguments: p_until null: not any longer. Result: {outcome: 'done', contact_id} | {outcome: 'unknown'} no contact has
--   this phone; audited.
create or replace function set_contact_wait(
  p_tenant text, p_phone text, p_offers_only boolean, p_until timestamptz, p_actor text, p_reason text
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_contact bigint;
begin
  select contact_id into v_contact from contact_addresses
    where tenant_id = p_tenant and kind = 'pn' and address = p_phone;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  update contacts set cooling_until = case when p_offers_only then p_until else cooling_until end,
    next_allowed_at = case when p_offers_only then next_allowed_at else p_until end where id = v_contact;
  -- what waits for the old time is looked at anew
  update messages set due_at = least(due_at, now()), goes_at = null
    where status = 'queued' and reason in ('cooling_off', 'next_allowed')
    and id in (select o.message_id from conversations c join outbox o on o.conversation_id = c.id
      where c.contact_id = v_contact);
  insert into audit_log (tenant_id, actor, action, subject, details)
    values (p_tenant, p_actor, 'contact.wait', v_contact::text, jsonb_build_object('until', p_until, 'offers_only',
      p_offers_only, 'reason', p_reason));
  return jsonb_build_object('outcome', 'done', 'contact_id', v_contact);
end $$;

-- release_sends: a number may be called again: what waited for that is due now.
-- Arguments: p_reasons why rows wait for the number, and for nothing else. Result: conversations to wake, those that
--   were due already among them (whoever was to look at them may be gone), at most 500; a sweep finds the others.
create or replace function release_sends(p_instance text, p_reasons jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_lanes jsonb;
begin
  with freed as (
    update messages m set due_at = least(m.due_at, clock(p_now)) from outbox o join instances i on i.id = o.instance_id
      where i.name = p_instance and m.id = o.message_id and p_reasons ? o.reason and m.status = 'queued'
        and p_reasons ? m.reason
      returning m.conversation_id, m.priority, m.id)
  select coalesce(jsonb_agg(l.conversation_id), '[]') into v_lanes
    from (select f.conversation_id from freed f group by 1 order by min(f.priority), min(f.id) limit 500) l;
  return v_lanes;
end $$;

-- note_delivery: a message reached its contact under the address that it was sent to. One write an hour and address is
-- enough to know.
-- Concurrency: the caller holds the conversation's lock.
create or replace function note_delivery(p_message messages, p_contact bigint, p_now timestamptz)
returns void language sql as $$
  update contact_addresses set delivered_at = p_now, refused_at = null
    where id = address_row(p_contact, p_message.sent_to)
    and (delivered_at is null or delivered_at < p_now - interval '1 hour' or refused_at is not null)
$$;

-- turn_address: answers go to another address of the same person, if there is one: where something was delivered last,
-- else the phone number; not where Evolution
--   found nobody within the week. The contact's next message turns it back to where that came from.
-- Arguments: p_sent_to the address that was refused. Result: whether answers go elsewhere now (or did already).
-- Concurrency: the caller holds the conversation's lock.
create or replace function turn_address(p_conversation conversations, p_sent_to text, p_now timestamptz)
returns boolean language plpgsql set search_path = public, pg_temp as $$
declare v_jid text; v_refused bigint := address_row(p_conversation.contact_id, p_sent_to);
begin
  if p_conversation.jid <> p_sent_to then return not address_refused(p_conversation.contact_id, p_conversation.jid,
    p_now); end if;
  select coalesce(a.written, a.address) || case a.kind when 'pn' then '@s.whatsapp.net' else '@lid' end into v_jid
    from contact_addresses a
    where a.contact_id = p_conversation.contact_id and (a.kind = 'pn' or a.instance_id = p_conversation.instance_id)
      and a.id is distinct from v_refused
      and (a.refused_at is null or a.refused_at <= p_now - interval '7 days')
    order by a.delivered_at desc nulls last, a.kind = 'pn' desc, a.id desc limit 1;
  if v_jid is null then return false; end if;
  update conversations set jid = v_jid where id = p_conversation.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_conversation.tenant_id, 'runtime', 'address.turned', p_conversation.id::text,
      jsonb_build_object('from_kind', split_part(p_sent_to, '@', 2), 'to_kind', split_part(v_jid, '@', 2)), p_now);
  return true;
end $$;

-- refuse_address: Evolution found nobody under the address of a send. A writing that WhatsApp had told is forgotten
-- first, since people are moved from one to the other; then
--   the address is, for a week, and answers go to another one. Result: whether there is something left to try.
-- Guarantee: what was ordered for a phone tries no address that is not the phone's.
-- Concurrency: the caller holds the conversation's lock.
create or replace function refuse_address(p_conversation conversations, p_message messages, p_now timestamptz)
returns boolean language plpgsql set search_path = public, pg_temp as $$
declare v_row bigint := address_row(p_conversation.contact_id, p_message.sent_to);
begin
  update contact_addresses set written = null where id = v_row and written is not null;
  if found then return true; end if;
  update contact_addresses set refused_at = p_now where id = v_row;
  if p_message.kind = 'operator' or not turn_address(p_conversation, p_message.sent_to, p_now) then return false;
  end if;
  return (select send_jid(p_message, c) <> p_message.sent_to from conversations c where c.id = p_conversation.id);
end $$;

-- unproven_count: sends of which nobody knows whether they left, and that a person has to look at.
create or replace function unproven_count()
returns bigint language sql stable as
$$ select count(*) from dead_sends where status = 'unproven' $$;

-- dead_letters: outbound messages that ended as failed, or of which nobody knows whether they left. The newest first.
-- Arguments: p_limit at most so many; p_message only this one, or null. Result: [{id, conversation_id, instance,
--   status, reason, error_class, kind, attempts, created_at, claimed_at, text}].
create or replace function dead_letters(p_tenant text, p_limit int, p_message bigint default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(to_jsonb(d) order by d.id desc), '[]') from (
    select m.id, m.conversation_id, i.name as instance, m.status, m.reason, m.error_class, m.kind, m.attempts,
      m.created_at, m.claimed_at, m.text
    from dead_sends x join messages m on m.id = x.message_id join instances i on i.id = m.instance_id
    where x.tenant_id = p_tenant and x.message_id = coalesce(p_message, x.message_id)
    order by x.message_id desc limit p_limit) d
$$;

-- retry_dead_letter: a person wants this one sent after all.
-- Guarantee: it goes back to its lane once; a second call while it is there or gone changes nothing. All rules are
--   checked again at the send. The parts of the same answer that were cancelled because this one failed come after it.
--   One that may have left already (unproven) needs a reason: whoever sends it again answers for a message that the
--   contact may get twice.
-- Arguments: p_actor who decided, p_reason why (or null); both audited.
-- Concurrency: locks the conversation, so of two calls at once one finds a dead letter.
-- Result: {outcome: 'queued', conversation_id, parts, paused: scope of a pause that holds it, or null} | {outcome:
--   'reason_needed'} | {outcome: 'not_dead', status, reason} | {outcome: 'unknown'}.
create or replace function retry_dead_letter(
  p_tenant text, p_message bigint, p_actor text, p_reason text default null, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_message messages; v_now timestamptz := clock(p_now); v_parts int;
begin
  perform 1 from conversations where id = (select conversation_id from messages
    where id = p_message and tenant_id = p_tenant) for update;
  select * into v_message from messages where id = p_message and tenant_id = p_tenant and direction = 'out' for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v_message.status not in ('failed', 'unproven') then
    return jsonb_build_object('outcome', 'not_dead', 'status', v_message.status, 'reason', v_message.reason);
  end if;
  if v_message.status = 'unproven' and coalesce(btrim(p_reason), '') = ''
    then return jsonb_build_object('outcome', 'reason_needed'); end if;
  update messages set status = 'queued', reason = 'retried_by_hand', error_class = null, attempts = 0, looks = 0,
    provider_id = null, lease_until = null, slot_at = null,
    -- what may have left keeps its id, so that a phone that has it drops this one; what was refused begins anew
    wire_id = case when v_message.status = 'unproven' then wire_id end, typing_until = null, due_at = v_now,
      goes_at = null
      where id = v_message.id;
  update messages set status = 'queued', reason = 'retried_by_hand', due_at = v_now, goes_at = null
    where turn_id = v_message.turn_id and direction = 'out' and status = 'cancelled' and reason = 'earlier_part_failed'
      and id > v_message.id;
  get diagnostics v_parts = row_count;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'dlq.retry', p_message::text,
    jsonb_build_object('reason', p_reason, 'was', v_message.status, 'because', v_message.reason,
      'later_parts', v_parts), v_now);
  return jsonb_build_object('outcome', 'queued', 'conversation_id', v_message.conversation_id, 'parts', v_parts,
    'paused', (select pause_reason(v_message.tenant_id, i.name, v_message.conversation_id, v_message.campaign_id)
      from instances i
      where i.id = v_message.instance_id));
end $$;

-- discard_dead_letter: a person decided that this one shall not be sent.
-- Guarantee: once; audited with p_actor and p_reason. Concurrency: any; the row's state decides.
-- Result: {outcome: 'discarded'} | {outcome: 'not_dead', status, reason} | {outcome: 'unknown'}.
create or replace function discard_dead_letter(
  p_tenant text, p_message bigint, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  update messages set status = 'cancelled', reason = 'discarded_by_hand', lease_until = null
    where id = p_message and tenant_id = p_tenant and direction = 'out' and status in ('failed', 'unproven');
  if not found then
    return coalesce((select jsonb_build_object('outcome', 'not_dead', 'status', status, 'reason', reason) from messages
      where id = p_message and tenant_id = p_tenant and direction = 'out'), '{"outcome": "unknown"}');
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'dlq.discard', p_message::text, jsonb_build_object('reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'discarded');
end $$;

-- Groups: see turns.sql for what holds for a group.

-- lock_lanes: takes the locks of these conversations, in the order of their ids.
create or replace function lock_lanes(p_ids bigint[]) returns void language plpgsql
set search_path = public, pg_temp as $$
begin
  perform 1 from conversations where id = any (p_ids) order by id for no key update;
end $$;

-- lock_numbers: takes the locks of the numbers of these conversations, in the order of their ids. The caller holds
-- those of the conversations.
create or replace function lock_numbers(p_ids bigint[]) returns void language plpgsql
set search_path = public, pg_temp as $$
begin
  perform 1 from instances where id in (select instance_id from conversations where id = any (p_ids))
    order by id for no key update;
end $$;

-- send_claim: claim_send, and when it was asked: `now`, and wait_ms to its `until` where there is one.
create or replace function send_claim(p_conversation bigint, p_policy jsonb, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_claim jsonb := claim_send(p_conversation, p_policy, p_now); v_now timestamptz := clock(p_now);
begin
  return v_claim || jsonb_build_object('now', v_now) || case when v_claim ? 'until'
    then jsonb_build_object('wait_ms', in_ms((v_claim ->> 'until')::timestamptz, v_now)) else '{}' end;
end $$;

-- claim_asked: how a group ends: each lane that a result marks with `ask` is claimed (send_claim), and the results
-- stand in the order of the items.
-- Arguments: p_items [{conversation_id}]; p_done {position in p_items, from 1: result}; p_as what the claim is called
--   in a result; p_policy as claim_send's, or null: nothing is claimed.
-- Concurrency: the caller holds the conversations' locks; takes those of all numbers before anything of theirs, see
--   claim_send.
create or replace function claim_asked(p_items jsonb, p_done jsonb, p_as text, p_policy jsonb, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_done jsonb := p_done;
  v_asked jsonb; -- {position: conversation}
  v_n text;
  v_id bigint;
begin
  if p_policy is not null then
    select coalesce(jsonb_object_agg(d.key, p_items -> (d.key::int - 1) -> 'conversation_id'), '{}') into v_asked
      from jsonb_each(p_done) d where (d.value ->> 'ask')::boolean;
    perform lock_numbers(array(select x::bigint from jsonb_each_text(v_asked) e (n, x)));
    for v_n, v_id in select n, x::bigint from jsonb_each_text(v_asked) e (n, x) order by 2 loop
      v_done := jsonb_set(v_done, array[v_n, p_as], send_claim(v_id, p_policy, p_now));
    end loop;
  end if;
  return (select jsonb_agg((v_done -> n::text) - 'ask' order by n)
    from generate_series(1, jsonb_array_length(p_items)) n);
end $$;

-- claim_sends: claim_send for the lanes of many conversations.
-- Guarantee: see claim_send; for a group see turns.sql.
-- Arguments: p_ids [conversation id]; p_policy as claim_send's; its `random` is one for the group, in which each number
--   takes its pace once.
-- Concurrency: locks the conversations of lanes that hold something in the order of their ids, then their numbers in
--   the order of theirs; an empty lane is seen without a lock.
-- Result: [claim_send's result, now, wait_ms: from then to its `until`], in order.
create or replace function claim_sends(p_ids jsonb, p_policy jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_results jsonb[] := array_fill(null::jsonb, array[jsonb_array_length(p_ids)]);
  v_full bigint[] := array(select distinct x::bigint from jsonb_array_elements_text(p_ids) x
    where has_sends(x::bigint));
  v_id bigint;
  v_n bigint;
begin
  if cardinality(v_full) > 1 then
    perform lock_lanes(v_full);
    perform lock_numbers(v_full);
  end if;
  for v_id, v_n in select x::bigint, n from jsonb_array_elements_text(p_ids) with ordinality e (x, n) order by 1, 2 loop
    v_results[v_n] := case when v_id = any (v_full) then send_claim(v_id, p_policy, p_now)
      else jsonb_build_object('action', 'idle') end;
  end loop;
  return to_jsonb(v_results);
end $$;

-- record_arrived: of record_sends those that WhatsApp took, in one statement; says the same as record_send would.
-- Guarantee: a send is taken here only when its own claim speaks, nobody has heard of its id at WhatsApp before, it
--   left under the address that was known, and its number is not held.
-- Concurrency: part of record_sends, which holds the locks. Result: {position in p_items, from 1: as record_sends};
--   what is not in it was left alone.
create or replace function record_arrived(p_items jsonb, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare v_all jsonb;
begin
  with arrived as materialized (
      select * from (
        select i.n, m.id, m.conversation_id, m.kind, i.next, i.outcome ->> 'provider_id' as provider_id,
          row_number() over (partition by m.instance_id, i.outcome ->> 'provider_id' order by i.n) as again,
          row_number() over (partition by m.id order by i.n) as twice
        from rows from (jsonb_to_recordset(p_items) as (message_id bigint, claim bigint, outcome jsonb, next boolean))
            with ordinality as i (message_id, claim, outcome, next, n)
          join messages m on m.id = i.message_id join instances s on s.id = m.instance_id
        where i.outcome ->> 'kind' = 'sent' and i.outcome ->> 'jid' is null and i.outcome ->> 'provider_id' is not null
          and m.status = 'sending' and m.claim = i.claim and m.provider_id is null and s.held_reason is null
          and not exists (select from messages o where o.instance_id = m.instance_id
            and o.provider_id = i.outcome ->> 'provider_id')
          and not exists (select from early_updates e where e.instance_id = m.instance_id
            and e.provider_id = i.outcome ->> 'provider_id')) x
      where x.again = 1 and x.twice = 1),
    sent as (
      update messages m set provider_id = a.provider_id, status = 'sent', reason = null, error_class = null,
          lease_until = null, goes_at = null, provider_at = p_now, slot_at = greatest(m.slot_at, p_now)
        from arrived a where m.id = a.id),
    conversation as (
      update conversations c set superseded_in_row = 0 from arrived a where c.id = a.conversation_id
        and c.superseded_in_row > 0 and not is_proactive(a.kind))
  select coalesce(jsonb_object_agg(a.n, jsonb_build_object('outcome', 'recorded', 'status', 'sent', 'next', null,
      'more', l.more, 'ask', l.more and a.next)), '{}')
    into v_all from arrived a cross join lateral (select exists (select from outbox o
        where o.conversation_id = a.conversation_id) or exists (select from on_wire w
        where w.conversation_id = a.conversation_id and w.message_id <> a.id) as more) l;
  return v_all;
end $$;

-- record_sends: record_send for many sends; when the lane of one holds more, its next message is claimed in the same
-- transaction (claim_send).
-- Guarantee: see record_send and claim_send; for a group see turns.sql. Sends that arrived, with nothing else to be
--   said of them, are recorded in one statement (record_arrived), everything else goes the way of record_send, one by
--   one.
-- Arguments: p_items [{conversation_id, message_id, claim, outcome: as record_send's, next: the caller can send now}];
--   p_policy as claim_send's, or null: nothing is claimed.
-- Concurrency: locks the conversations in the order of their ids, then the ids at WhatsApp (lock_provider_id) and the
--   numbers, each in their order.
-- Result: [record_send's result, next: what claim_send said of the lane, or null], in order. After a retry or a
--   doubt nothing is claimed: the lane waits for that very message.
create or replace function record_sends(p_items jsonb, p_policy jsonb default null, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_done jsonb;
  v_result jsonb;
  v_item jsonb;
  v_n bigint;
begin
  perform lock_lanes(array(select (x ->> 'conversation_id')::bigint from jsonb_array_elements(p_items) x));
  perform lock_provider_id(k.instance_id, k.id) from (select c.instance_id, x -> 'outcome' ->> 'provider_id' as id
    from jsonb_array_elements(p_items) x join conversations c on c.id = (x ->> 'conversation_id')::bigint
    where x -> 'outcome' ->> 'kind' = 'sent' order by 1, 2) k;
  v_done := record_arrived(p_items, clock(p_now));
  for v_item, v_n in select x, n from jsonb_array_elements(p_items) with ordinality e (x, n)
    where not v_done ? n::text order by (x ->> 'conversation_id')::bigint, n loop
    v_result := record_send((v_item ->> 'message_id')::bigint, (v_item ->> 'claim')::bigint, v_item -> 'outcome',
      p_now);
    v_done := v_done || jsonb_build_object(v_n, v_result || jsonb_build_object('next', null, 'ask',
      (v_result ->> 'more')::boolean and (v_item ->> 'next')::boolean
        and v_item -> 'outcome' ->> 'kind' in ('sent', 'failed')));
  end loop;
  return claim_asked(p_items, v_done, 'next', p_policy, p_now);
end $$;

revoke all on function
  is_proactive(text),
  is_offer(text),
  is_campaign(text),
  is_notice(text),
  slot_minute(timestamptz),
  slot_hour(timestamptz),
  keep_sends(),
  count_slot(messages, int),
  settle_sent(bigint, text, timestamptz, timestamptz),
  sent_as(bigint, text),
  fail_send(bigint, text, timestamptz),
  heal_send(messages, timestamptz),
  campaign_paused(text, text),
  end_send(bigint, text, text),
  hold_send(bigint, text, timestamptz, timestamptz),
  claim_send(bigint, jsonb, timestamptz),
  send_jid(messages, conversations),
  has_sends(bigint),
  await_send(conversations, messages, timestamptz),
  next_send(bigint, timestamptz),
  stop_send(messages, jsonb, timestamptz),
  take_pace(instances, text, jsonb, timestamptz),
  show_typing(conversations, messages, text, timestamptz),
  start_send(conversations, messages, text, int, timestamptz),
  new_wire_id(),
  renew_send(bigint, bigint, int, timestamptz),
  give_up_send(bigint, text, timestamptz),
  record_send(bigint, bigint, jsonb, timestamptz),
  record_arrived(jsonb, timestamptz),
  settle_send(bigint, bigint, text, boolean, int, timestamptz),
  known_provider_ids(text, jsonb, bigint),
  known_messages(text, jsonb),
  enqueue_message(jsonb, timestamptz),
  sweep_sends(int, timestamptz),
  promised_at(messages),
  message_row(messages),
  message_status(text, bigint),
  list_messages(text, jsonb, int),
  hours_of(instances, jsonb),
  inside_hours(jsonb, text, timestamptz),
  next_open(jsonb, text, timestamptz),
  in_class(text, text, boolean),
  free_at(bigint, text, interval, int, timestamptz, timestamptz),
  share_free_at(conversations, int, timestamptz),
  contact_free_at(bigint, boolean, interval, int, timestamptz),
  unanswered(bigint, int),
  last_campaign(bigint),
  is_stranger(bigint),
  warming_caps(text, timestamptz, timestamptz),
  low_reply_ratio(bigint, int, timestamptz),
  slow_start(instances, int, timestamptz),
  yields(messages, timestamptz),
  in_allowlist(bigint, jsonb),
  ends(text, text, boolean),
  waits(text, timestamptz, timestamptz),
  looks(text, boolean, timestamptz),
  first_guard(messages, conversations, instances, jsonb, timestamptz),
  rate_status(text, jsonb, timestamptz),
  release_held(text, text, text[], timestamptz),
  rate_reset(text, text, text, text, text, timestamptz),
  set_proactive(text, text, text, text, timestamptz),
  set_contact_wait(text, text, boolean, timestamptz, text, text),
  release_sends(text, jsonb, timestamptz),
  note_delivery(messages, bigint, timestamptz),
  turn_address(conversations, text, timestamptz),
  refuse_address(conversations, messages, timestamptz),
  unproven_count(),
  dead_letters(text, int, bigint),
  retry_dead_letter(text, bigint, text, text, timestamptz),
  discard_dead_letter(text, bigint, text, text, timestamptz),
  lock_lanes(bigint[]),
  lock_numbers(bigint[]),
  send_claim(bigint, jsonb, timestamptz),
  claim_asked(jsonb, jsonb, text, jsonb, timestamptz),
  claim_sends(jsonb, jsonb, timestamptz),
  record_sends(jsonb, jsonb, timestamptz)
  from public, anon, authenticated;
grant execute on function
  is_proactive(text),
  is_offer(text),
  is_campaign(text),
  is_notice(text),
  slot_minute(timestamptz),
  slot_hour(timestamptz),
  keep_sends(),
  count_slot(messages, int),
  settle_sent(bigint, text, timestamptz, timestamptz),
  sent_as(bigint, text),
  fail_send(bigint, text, timestamptz),
  heal_send(messages, timestamptz),
  campaign_paused(text, text),
  end_send(bigint, text, text),
  hold_send(bigint, text, timestamptz, timestamptz),
  claim_send(bigint, jsonb, timestamptz),
  send_jid(messages, conversations),
  has_sends(bigint),
  await_send(conversations, messages, timestamptz),
  next_send(bigint, timestamptz),
  stop_send(messages, jsonb, timestamptz),
  take_pace(instances, text, jsonb, timestamptz),
  show_typing(conversations, messages, text, timestamptz),
  start_send(conversations, messages, text, int, timestamptz),
  new_wire_id(),
  renew_send(bigint, bigint, int, timestamptz),
  give_up_send(bigint, text, timestamptz),
  record_send(bigint, bigint, jsonb, timestamptz),
  record_arrived(jsonb, timestamptz),
  settle_send(bigint, bigint, text, boolean, int, timestamptz),
  known_provider_ids(text, jsonb, bigint),
  known_messages(text, jsonb),
  enqueue_message(jsonb, timestamptz),
  sweep_sends(int, timestamptz),
  promised_at(messages),
  message_row(messages),
  message_status(text, bigint),
  list_messages(text, jsonb, int),
  hours_of(instances, jsonb),
  inside_hours(jsonb, text, timestamptz),
  next_open(jsonb, text, timestamptz),
  in_class(text, text, boolean),
  free_at(bigint, text, interval, int, timestamptz, timestamptz),
  share_free_at(conversations, int, timestamptz),
  contact_free_at(bigint, boolean, interval, int, timestamptz),
  unanswered(bigint, int),
  last_campaign(bigint),
  is_stranger(bigint),
  warming_caps(text, timestamptz, timestamptz),
  low_reply_ratio(bigint, int, timestamptz),
  slow_start(instances, int, timestamptz),
  yields(messages, timestamptz),
  in_allowlist(bigint, jsonb),
  ends(text, text, boolean),
  waits(text, timestamptz, timestamptz),
  looks(text, boolean, timestamptz),
  first_guard(messages, conversations, instances, jsonb, timestamptz),
  rate_status(text, jsonb, timestamptz),
  release_held(text, text, text[], timestamptz),
  rate_reset(text, text, text, text, text, timestamptz),
  set_proactive(text, text, text, text, timestamptz),
  set_contact_wait(text, text, boolean, timestamptz, text, text),
  release_sends(text, jsonb, timestamptz),
  note_delivery(messages, bigint, timestamptz),
  turn_address(conversations, text, timestamptz),
  refuse_address(conversations, messages, timestamptz),
  unproven_count(),
  dead_letters(text, int, bigint),
  retry_dead_letter(text, bigint, text, text, timestamptz),
  discard_dead_letter(text, bigint, text, text, timestamptz),
  lock_lanes(bigint[]),
  lock_numbers(bigint[]),
  send_claim(bigint, jsonb, timestamptz),
  claim_asked(jsonb, jsonb, text, jsonb, timestamptz),
  claim_sends(jsonb, jsonb, timestamptz),
  record_sends(jsonb, jsonb, timestamptz)
  to service_role, whats_agents_runtime;
