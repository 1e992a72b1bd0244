-- What a webhook says becomes rows: messages, news of messages, who wrote what with our number, what found no place.

-- ensure_conversation: the thread of a contact on a number, locked for the rest of the transaction.
-- Arguments: p_jid where answers go; an existing row takes it over only when p_inbound (the contact wrote from it), and
--   not while Evolution finds nobody there.
-- Concurrency: callers queue on the row lock. Result: the conversation row.
create or replace function ensure_conversation(p_instance instances, p_contact bigint, p_jid text, p_inbound boolean)
returns conversations language plpgsql set search_path = public, pg_temp as $$
declare v_conversation conversations;
begin
  select * into v_conversation from conversations where instance_id = p_instance.id
    and contact_id = p_contact for no key update;
  if not found then
    insert into conversations (tenant_id, instance_id, contact_id, jid)
      values (p_instance.tenant_id, p_instance.id, p_contact, p_jid)
      on conflict (instance_id, contact_id) do nothing;
    select * into v_conversation from conversations where instance_id = p_instance.id
      and contact_id = p_contact for no key update;
    if p_inbound then perform confirm_address(p_contact, p_jid); end if;
  end if;
  if p_inbound and v_conversation.jid <> p_jid then
    perform confirm_address(p_contact, p_jid);
    if not address_refused(p_contact, p_jid, clock_timestamp()) then
      update conversations set jid = p_jid where id = v_conversation.id returning * into v_conversation;
    end if;
  end if;
  return v_conversation;
end $$;

-- keep_inbox: the table inbox is what messages say: one row for each message with the status received, written in the
-- transaction of the change. Concurrency: the caller holds the message's row, or has just made it.
create or replace function keep_inbox() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  -- of an insert all of old is null, of a delete all of new
  if old.status = 'received' and (new.status is distinct from 'received' or new.conversation_id <> old.conversation_id
    or new.seq <> old.seq) then
    delete from inbox where conversation_id = old.conversation_id and seq = old.seq;
  end if;
  if new.status = 'received' then
    insert into inbox (tenant_id, conversation_id, seq, message_id, created_at, command)
      values (new.tenant_id, new.conversation_id, new.seq, new.id, new.created_at,
        coalesce(new.meaning ? 'command', false))
      on conflict (conversation_id, seq) do update set message_id = excluded.message_id,
        created_at = excluded.created_at, command = excluded.command;
  end if;
  return null;
end $$;

create or replace trigger inbox_added after insert on messages for each row when (new.status = 'received')
  execute function keep_inbox();

create or replace trigger inbox_changed after update of status, conversation_id, seq, meaning, created_at on messages
  for each row when ((old.status = 'received' or new.status = 'received')
    and (old.status is distinct from new.status or old.conversation_id is distinct from new.conversation_id
      or old.seq is distinct from new.seq or old.created_at is distinct from new.created_at
      or (old.meaning ? 'command') is distinct from (new.meaning ? 'command')))
  execute function keep_inbox();

create or replace trigger inbox_gone after delete on messages for each row when (old.status = 'received')
  execute function keep_inbox();

-- first_pending: since when a conversation has something unanswered; null: it has nothing. By the order in which
-- messages came, so that a long burst costs no more than one message.
create or replace function first_pending(p_conversation bigint) returns timestamptz language sql stable as
$$ select created_at from inbox where conversation_id = p_conversation order by seq limit 1 $$;

-- lock_provider_id: until the end of the transaction, nobody else stores a message of this id, or news about it that
-- came too early. Without it the news of one transaction and the message of another would miss each other, as neither
-- sees what is not committed.
create or replace function lock_provider_id(p_instance_id bigint, p_provider_id text) returns void language sql as
$$ select pg_advisory_xact_lock(hashtextextended(p_instance_id || '/' || p_provider_id, 11)) $$;

-- fits_chat: how well a contact fits the chat that an event names. 2: has one of its addresses. 1: nobody can say: no
-- address is named, or only one of a kind that the contact has none of (a person may be known by the lid alone). 0: it
-- is somebody else's.
create or replace function fits_chat(p_instance_id bigint, p_contact bigint, p_chat jsonb, p_alt jsonb)
returns int language sql stable as $$
  select case when bool_or(a.address = n.address) then 2 when bool_or(a.address is not null) then 0 else 1 end
  from (values ('pn', p_chat ->> 'pn'), ('pn', p_alt ->> 'pn'), ('lid', p_chat ->> 'lid'),
    ('lid', p_alt ->> 'lid')) n (kind, address)
    left join contact_addresses a on a.contact_id = p_contact and a.kind = n.kind
      and (a.kind = 'pn' or a.instance_id = p_instance_id)
  where n.address is not null
$$;

-- known_message: the message that has this id at WhatsApp in the chat that an event names; its id is null when there is
-- none. An id is unique in its chat only: its author chooses it, and a list of recipients shares one. Of what we wrote
-- ourselves the id alone is enough. Read only.
-- Arguments: p_chat, p_alt {pn, lid} or null: the event names no chat; p_own it is about a message of our number.
create or replace function known_message(
  p_instance_id bigint, p_provider_id text, p_chat jsonb, p_alt jsonb, p_own boolean
) returns messages language plpgsql stable set search_path = public, pg_temp as $$
declare v_message messages;
begin
  -- nearly always there is none, and that is cheap to see
  perform 1 from messages where instance_id = p_instance_id and provider_id = p_provider_id;
  if not found then return null; end if;
  select m.* into v_message from messages m join conversations c on c.id = m.conversation_id,
      lateral (select case when p_own and m.author in ('agent', 'system') then 2
        else fits_chat(p_instance_id, c.contact_id, p_chat, p_alt) end as fits) f
    where m.instance_id = p_instance_id and m.provider_id = p_provider_id and f.fits > 0
      order by f.fits desc, (m.direction = 'out') = p_own desc, m.id limit 1;
  return v_message;
end $$;

-- news_of: the message that news is about: the one of its chat, else the one that is known under the id, of which
-- may_change then says whose it is. Read only.
create or replace function news_of(p_instance_id bigint, p_provider_id text, p_chat jsonb, p_own boolean)
returns messages language plpgsql stable set search_path = public, pg_temp as $$
declare v_message messages := known_message(p_instance_id, p_provider_id, p_chat, null, p_own);
begin
  if v_message.id is null then select * into v_message from messages where instance_id = p_instance_id
    and provider_id = p_provider_id
    order by id limit 1; end if;
  return v_message;
end $$;

-- apply_update: an ack, an edit or a deletion, told about a message by its id at WhatsApp.
-- Guarantee: forward only (sent < delivered < read; failed only from sent, and what arrives afterwards has not failed:
--   see heal_send); the same news twice changes nothing. What was delivered, or refused, says something about the
--   address, and a refusal about the number. Words are changed by their author only (may_change).
-- Concurrency: locks the conversation, then the message; of a message that nobody knows, before that the contact, whose
--   erasure is waited for. Result: {outcome, conversation_id, message_id, correlation_id, wake}; outcome 'early' when
--   the message is not known yet: the news is kept for a day and applied when it comes (of words or a deletion with
--   reason, instance_id, provider_id); 'refused' when it is not its author who says so.
create or replace function apply_update(p_instance_id bigint, p_event jsonb, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_message messages;
  v_conversation conversations;
  v_kind text := p_event ->> 'kind';
  v_new text := p_event ->> 'status';
  v_id text := p_event ->> 'providerId';
  v_chat jsonb := nullif(p_event -> 'chat', 'null');
  v_changed boolean;
begin
  v_message := news_of(p_instance_id, v_id, v_chat, v_kind = 'ack');
  if v_message.id is null then
    perform hold_named(i, v_chat) from instances i where i.id = p_instance_id;
    -- news of a message under the id that we chose: so it left
    if v_kind = 'ack' or (p_event ->> 'fromMe')::boolean then v_message := sent_as(p_instance_id, v_id); end if;
    if v_message.id is not null then
      perform 1 from conversations where id = v_message.conversation_id for no key update;
      perform settle_sent(v_message.id, v_message.wire_id, clock(p_now), clock(p_now));
    end if;
    perform lock_provider_id(p_instance_id, v_id);
    v_message := news_of(p_instance_id, v_id, v_chat, v_kind = 'ack');
  end if;
  if v_message.id is null then
    if (select is_erased_news(i, p_event) from instances i where i.id = p_instance_id)
      then return jsonb_build_object('outcome', 'erased', 'wake', false); end if;
    insert into early_updates (tenant_id, instance_id, provider_id, event, created_at) select tenant_id, id, v_id,
      p_event, clock(p_now) from instances where id = p_instance_id;
    return jsonb_build_object('outcome', 'early', 'wake', false) || case when v_kind = 'ack' then '{}'
      else jsonb_build_object('reason', 'unknown_message', 'instance_id', p_instance_id, 'provider_id', v_id) end;
  end if;
  select * into v_conversation from conversations where id = v_message.conversation_id for no key update;
  v_message := news_of(p_instance_id, v_id, v_chat, v_kind = 'ack'); -- it may have moved, or changed
  if v_message.id is null then return apply_update(p_instance_id, p_event, p_now); end if; -- or was erased
  select * into v_message from messages where id = v_message.id for update;
  if v_kind = 'ack' then
    if v_message.kind is not null then
      if v_new = 'failed' then
        if v_message.status in ('sent', 'sending', 'uncertain') then
          perform fail_send(v_message.id, 'provider_refused', clock(p_now));
          perform turn_address(v_conversation, v_message.sent_to, clock(p_now));
          -- WhatsApp names no reason; the one that matters is the limit on writing to strangers (463)
          perform number_trouble(p_instance_id, incident('error_ack'), clock(p_now));
        end if;
      elsif v_new = 'sent' then
        update messages set status = 'sent' where id = v_message.id and status in ('sending', 'uncertain');
      elsif v_new = 'delivered' then
        update messages set status = 'delivered', reason = null, error_class = null, delivered_at = clock(p_now)
          where id = v_message.id and status in ('sending', 'uncertain', 'unproven', 'sent', 'failed');
      elsif v_new = 'read' then
        update messages set status = 'read', reason = null, error_class = null, read_at = clock(p_now),
          delivered_at = coalesce(delivered_at, clock(p_now))
          where id = v_message.id and status in ('sending', 'uncertain', 'unproven', 'sent', 'delivered', 'failed');
      end if;
      if v_new in ('delivered', 'read') and v_message.status = 'failed' then perform heal_send(v_message, clock(p_now));
      v_changed := true; end if;
      if v_new in ('delivered', 'read') and v_message.status = 'unproven'
        then perform close_handoff(v_message, 'send_unproven', clock(p_now)); end if;
      if v_new in ('delivered', 'read') and v_message.delivered_at is null
        then perform note_delivery(v_message, v_conversation.contact_id, clock(p_now)); end if;
    end if;
    return jsonb_build_object('outcome', 'ack', 'conversation_id', v_message.conversation_id,
      'message_id', v_message.id, 'correlation_id', v_message.correlation_id, 'wake', false, 'wake_send', v_changed);
  end if;
  if not may_change(v_message, v_conversation, p_event) then
    return jsonb_build_object('outcome', 'refused', 'reason', 'not_its_author',
      'conversation_id', v_message.conversation_id, 'message_id', v_message.id,
      'correlation_id', v_message.correlation_id, 'wake', false);
  end if;
  v_changed := change_words(v_message, p_event, clock(p_now));
  if v_changed then select * into v_message from messages where id = v_message.id; end if;
  return jsonb_build_object('outcome', v_kind, 'conversation_id', v_message.conversation_id, 'message_id', v_message.id,
    'correlation_id', v_message.correlation_id,
    'wake', v_changed and v_message.direction = 'in'
      and (v_message.status = 'received'
        or (v_kind = 'delete' and first_pending(v_message.conversation_id) is not null)),
      'first_pending_at', first_pending(v_message.conversation_id), 'inbound_at', clock(p_now));
end $$;

-- take_back_answer: the words that an answer is for have changed before any of it left: it never goes, and what it
-- answered is unanswered again.
-- Concurrency: the caller holds the conversation's lock. Result: whether that was so.
create or replace function take_back_answer(p_turn bigint)
returns boolean language plpgsql set search_path = public, pg_temp as $$
begin
  if p_turn is null or not exists (select from messages o where o.turn_id = p_turn and o.direction = 'out'
    and o.status in ('queued', 'draft'))
    or exists (select from messages o where o.turn_id = p_turn and o.direction = 'out'
      and o.status not in ('queued', 'draft', 'cancelled')) then return false; end if;
  perform note_withdrawn(t.conversation_id) from turns t where t.id = p_turn;
  update messages set status = 'cancelled', reason = 'contact_wrote', goes_at = null
    where turn_id = p_turn and direction = 'out' and status in ('queued', 'draft');
  update messages set status = 'received', reason = null
    where turn_id = p_turn and direction = 'in'
    and (status = 'answered' or (status = 'handed_over' and reason = 'draft'));
  return true;
end $$;

-- may_change: whether news of a message comes from who wrote it: an edit, a deletion, or the words that it came
-- without. Whoever knows an id can name it: a contact knows those
--   of all that it was told.
-- Guarantee: what our number said, by the agent or by a person, is changed by our number only; a contact's words by
--   nobody but that contact, at an address that is known to be its own or that WhatsApp itself names beside one. A lid
--   that nobody knows is anybody's, so is a number under another lid than the contact's. News that names no address at
--   all (messages.edited) is taken for the contact's.
-- Arguments: p_event {fromMe: who says so as the gateway knows it, absent: not known; chat: where, null: not known}.
--   Read only.
create or replace function may_change(p_message messages, p_conversation conversations, p_event jsonb)
returns boolean language plpgsql stable set search_path = public, pg_temp as $$
declare
  v_pn text := p_event -> 'chat' ->> 'pn';
  v_lid text := p_event -> 'chat' ->> 'lid';
  v_by bigint;
begin
  if coalesce((p_event ->> 'fromMe')::boolean, false) <> (p_message.direction = 'out') then return false; end if;
  -- the lid first: it names an account, a phone number is lent
  if v_lid is not null then select contact_id into v_by from contact_addresses
    where kind = 'lid' and instance_id = p_message.instance_id and address = v_lid; end if;
  if v_by is null and v_pn is not null then
    select contact_id into v_by from contact_addresses where kind = 'pn' and tenant_id = p_message.tenant_id
      and address = v_pn;
    if v_lid is not null and exists (select from contact_addresses
      where contact_id = v_by and kind = 'lid' and instance_id = p_message.instance_id) then return false; end if;
  end if;
  -- our own number says it of a chat under a name that is new to us
  if v_by is null and p_message.direction = 'out'
    then return fits_chat(p_message.instance_id, p_conversation.contact_id, p_event -> 'chat',
    null) > 0; end if;
  return coalesce(v_by = p_conversation.contact_id, v_pn is null and v_lid is null);
end $$;

-- change_words: an edit or a deletion of a message that is known.
-- Guarantee: what is unsure (new words that nobody could read; a deletion that may be an edit) never replaces words
--   that were told within a minute of it, as both are often news of one edit; and it gives way to words that come
--   later. The message leaves the turn that is reading it: that turn does not end it any more; an answer of which
--   nothing has left goes back too.
--   The words of a message that came without them are answered, whatever became of it meanwhile. New words mean what
--   they say from now on: an opt-out holds. A command does not: what is edited commands nothing, and an edited or
--   deleted command is none any more.
-- Arguments: p_event {kind: 'edit', text, typed, changedAt, unsure, meaning} | {kind: 'delete', unsure, changedAt}.
-- Concurrency: the caller holds the locks of conversation and message. Result: whether anything changed.
create or replace function change_words(p_message messages, p_event jsonb, p_now timestamptz)
returns boolean language plpgsql set search_path = public, pg_temp as $$
declare
  v_unsure boolean := coalesce((p_event ->> 'unsure')::boolean, false);
  v_edit boolean := p_event ->> 'kind' = 'edit';
  v_pending boolean := p_message.direction = 'in' and p_message.status = 'received';
  v_told boolean := p_message.edited_at is not null and p_message.typed is not null;  -- its newest words are known
  v_completes boolean := p_message.wordless and p_message.direction = 'in' and p_event ->> 'kind' = 'edit'
    and not coalesce((p_event ->> 'unsure')::boolean, false);
  v_meaning jsonb := nullif(p_event -> 'meaning', 'null');
  v_seen jsonb;
  -- what a picture shows stays beside its new caption
  v_text text := case when p_message.type <> 'audio' and p_message.media ? 'note'
    then concat_ws(E'\n', p_message.media ->> 'note', p_event ->> 'typed') else p_event ->> 'text' end;
begin
  if v_unsure and v_told and (p_event ->> 'changedAt')::timestamptz <= p_message.edited_at + interval '1 minute'
    then return false; end if;
  if p_message.deleted_at is not null
    and not (v_edit and not v_unsure and p_message.reason is not distinct from 'deleted_or_edited')
    then return false; end if;
  if v_edit and p_message.text = v_text and p_message.deleted_at is null then return false; end if;
  if p_message.direction = 'in' and not v_pending then v_pending := take_back_answer(p_message.turn_id); end if;
  -- what waits for an answer is read anew; what a turn has read is told as changed
  v_seen := case when p_message.direction = 'in' and p_message.turn_id is not null and not v_pending and not v_completes
    and p_message.refused_by is null
      then coalesce(p_message.seen, jsonb_build_object('text', p_message.text, 'typed', p_message.typed)) end;
  if v_edit then
    if p_message.direction = 'in' and p_message.meaning ? 'command' then
      v_meaning := case when v_pending then '{"command": {"kind": "edited"}}' else p_message.meaning - 'asked' end;
    elsif p_message.direction = 'in' and v_meaning is not null then
      v_meaning := take_meaning((select c from conversations c where c.id = p_message.conversation_id), v_meaning,
        false, (p_event ->> 'changedAt')::timestamptz, false, p_event -> 'from', p_now);
    end if;
    update messages set original_text = coalesce(original_text, text), text = v_text,
      typed = p_event ->> 'typed', seen = v_seen, edited_at = p_now, deleted_at = null, refused_by = null,
      meaning = case when direction = 'in' then v_meaning else meaning end,
      status = case when v_completes or v_pending or (deleted_at is not null and direction = 'in'
        and status = 'skipped') then 'received' else status end,
      reason = case when v_completes or v_pending or deleted_at is not null then null else reason end, turn_id = case
        when v_pending or v_completes then null else turn_id end,
      type = case when wordless then 'text' else type end, wordless = wordless and v_unsure where id = p_message.id
      returning direction = 'in' and status = 'received' into v_pending;
  else
    update messages set deleted_at = p_now, seen = v_seen, meaning = meaning - 'asked', status = case when v_pending
      then 'skipped' else status end,
      reason = case when v_pending then case when v_unsure then 'deleted_or_edited' else 'deleted_by_contact' end
        else reason end where id = p_message.id;
  end if;
  -- a turn that is under way read the old text, and a summary has it
  if v_pending then update conversations set inbound_seq = inbound_seq + 1 where id = p_message.conversation_id; end if;
  delete from summaries where conversation_id = p_message.conversation_id and through_seq >= p_message.seq;
  return true;
end $$;

-- apply_early: the news about a message that came before it, in the order in which they came. They have found their
-- place, so their entry is over. The caller holds
--   lock_provider_id.
create or replace function apply_early(p_instance_id bigint, p_provider_id text, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v_event jsonb;
begin
  for v_event in
    with gone as (delete from early_updates where instance_id = p_instance_id and provider_id = p_provider_id
      returning id, event)
    select event from gone order by id
  loop
    perform apply_update(p_instance_id, v_event, p_now);
  end loop;
  if v_event is not null then
    update webhook_events set ignored = nullif(array_remove(ignored, 'unknown_message'), '{}')
      where ignored is not null and coalesce(instance, '') = (select name from instances where id = p_instance_id)
        and ignored[1] = 'unknown_message'
        and results @> jsonb_build_array(jsonb_build_object('outcome', 'early', 'provider_id', p_provider_id));
  end if;
end $$;

-- withdraw_parts: the contact writes while an answer is on its way: what has not left is not said, and the next turn
-- knows it.
-- Guarantee: at most twice in a row, so that somebody who never stops writing is answered too. When nothing of the
--   answer has left, its messages are unanswered again.
-- Concurrency: the caller holds the conversation's lock.
create or replace function withdraw_parts(p_conversation bigint)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v_turns bigint[];
begin
  if (select superseded_in_row from conversations where id = p_conversation) >= 2 then return; end if;
  perform note_withdrawn(p_conversation);
  with gone as (
    update messages set status = 'cancelled', reason = 'contact_wrote', goes_at = null
      where id in (select o.message_id from outbox o where o.conversation_id = p_conversation and o.kind = 'reply')
        and status = 'queued' and author = 'agent'
        -- what is said of an outage answers nothing
        and not exists (select from turns t where t.id = messages.turn_id and t.status = 'deferred') returning turn_id)
  select array_agg(distinct turn_id) into v_turns from gone;
  if v_turns is null then return; end if;
  update conversations set superseded_in_row = superseded_in_row + 1 where id = p_conversation;
  update messages i set status = 'received', reason = null
    where i.turn_id = any (v_turns) and i.direction = 'in' and i.status = 'answered'
      and not exists (select 1 from messages o where o.turn_id = i.turn_id and o.direction = 'out'
        and o.status not in ('cancelled', 'queued'));
end $$;

-- lacks_words: a message came without its words, which may still come: nobody has taken it back (or nobody can say
-- whether that was an edit).
create or replace function lacks_words(p_message messages, p_from_me boolean) returns boolean language sql immutable as
$$ select p_message.wordless and (p_message.direction = 'out') = p_from_me
  and (p_message.deleted_at is null or p_message.reason = 'deleted_or_edited') $$;

-- repeated_message: a message that is known came again: as its newer form it is an edit, else it changes nothing.
-- Result: as record_message.
create or replace function repeated_message(
  p_instance instances, p_message messages, p_event jsonb, p_wordless boolean, p_now timestamptz
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  if gone_meanwhile(p_message) then return jsonb_build_object('outcome', 'erased', 'wake', false); end if;
  if p_event ? 'revised' and not p_wordless and p_message.text is distinct from p_event -> 'content' ->> 'text' then
    return apply_update(p_instance.id, jsonb_build_object('kind', 'edit', 'providerId', p_message.provider_id, 'chat',
      p_event -> 'chat', 'fromMe', p_event -> 'fromMe', 'text', p_event -> 'content' ->> 'text',
      'typed', p_event -> 'content' ->> 'typed', 'changedAt', p_now, 'meaning', p_event -> 'meaning',
      'from', p_event -> 'from'), p_now);
  end if;
  return jsonb_build_object('outcome', 'duplicate', 'conversation_id', p_message.conversation_id,
    'message_id', p_message.id, 'wake', p_message.status = 'received',
    'first_pending_at', first_pending(p_message.conversation_id), 'inbound_at', p_now);
end $$;

-- record_message: one message or reaction of a direct chat: of the contact, of ourselves (an echo), of a person on the
-- phone, or of whatever else uses our number.
-- Guarantee: a second copy (same chat, same id at WhatsApp) stores nothing, unless the first came without its words:
--   those complete it, and it is handled as if it had just come, whatever became of it meanwhile. The newer form of a
--   message that is known is an edit. What a person typed, and nothing else (see judge_own), pauses the agent in this
--   conversation for takeoverMinutes after it was typed, sliding, at most takeoverCapMinutes after the first. What the
--   words were recognised as (p_event meaning, see inbox/meaning.ts) becomes true here, in whatever state the
--   conversation is: an opt-out holds from this commit on, a command of the manager waits for claim_turn, `/bot off`
--   and `/bot on` take the agent out of the conversation and back. A machine of WhatsApp's own is stored and never
--   answered.
-- Arguments: p_event an InboundEvent of kind message or reaction; p_options {takeoverMinutes, takeoverCapMinutes,
--   takeoverFromApi, withdrawParts, managerPhone, managerInstance, correlationId}.
-- Concurrency: any number of callers; they queue on the conversation.
-- Result: {outcome: stored | erased: of somebody who was, nothing is kept | duplicate | echo | takeover | automatic |
--   returned | command | context, reason, conversation_id, message_id, wake, wake_turns, first_pending_at, inbound_at}.
create or replace function record_message(p_instance instances, p_event jsonb, p_options jsonb, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_now timestamptz := clock(p_now);
  v_from_me boolean := (p_event ->> 'fromMe')::boolean;
  v_sent_at timestamptz := least((p_event ->> 'sentAt')::timestamptz, v_now);
  v_provider text := p_event ->> 'providerId';
  v_alt jsonb := nullif(p_event -> 'alt', 'null');
  v_known messages;
  v_contact bigint;
  v_key text;
  v_conversation conversations;
  v_judged jsonb;
  v_id bigint;
  v_done jsonb;
begin
  v_known := known_message(p_instance.id, v_provider, p_event -> 'chat', v_alt, v_from_me);
  if v_known.id is not null then v_done := meet_known(p_instance, v_known, p_event, v_sent_at, v_now);
  elsif v_from_me or p_event ? 'revised' then v_done := meet_unknown(p_instance, p_event, v_sent_at, v_now); end if;
  if v_done is not null then return v_done; end if;

  v_contact := message_contact(p_instance, p_event, v_sent_at, v_now);
  if v_contact is null then return jsonb_build_object('outcome', 'erased', 'wake', false); end if;
  -- before the conversation's lock, in the same order as everybody
  if v_from_me then v_key := lock_typed(p_instance.id, p_event -> 'content' ->> 'typed', v_contact); end if;
  if v_known.id is null then
    v_conversation := ensure_conversation(p_instance, v_contact, p_event ->> 'jid', not v_from_me);
    if v_from_me then v_done := meet_own_words(v_conversation, p_event, v_sent_at, v_now); end if;
    if v_done is not null then return v_done; end if;
  else
    select c.* into v_conversation from conversations c join messages m on m.conversation_id = c.id
      where m.id = v_known.id for no key update of c;
    select * into v_known from messages where id = v_known.id for update;
    -- somebody else was quicker
    if not lacks_words(v_known, v_from_me) then
      return repeated_message(p_instance, v_known, p_event, false, v_now);
    end if;
  end if;
  perform lock_provider_id(p_instance.id, v_provider);
  -- stored just now, here or under the person's other address: from the beginning, since it may lack the words that
  -- this one brings
  if v_known.id is null and (known_message(p_instance.id, v_provider, p_event -> 'chat', v_alt, v_from_me)).id > 0 then
    return record_message(p_instance, p_event, p_options, p_now);
  end if;

  if v_from_me or jsonb_typeof(p_event -> 'meaning') <> 'null' then
    v_judged := judge_event(p_instance, v_conversation, p_event, p_options, v_key, v_sent_at, v_known.id, v_now);
  end if;
  v_id := store_message(v_conversation, v_known.id, p_event, v_judged, v_sent_at, p_options ->> 'correlationId', v_now);
  -- rare, as what follows: a look costs a tenth of a call for nothing
  if exists (select from early_updates where instance_id = p_instance.id and provider_id = v_provider) then
    perform apply_early(p_instance.id, v_provider, p_now);
  end if;

  return jsonb_build_object('conversation_id', v_conversation.id, 'message_id', v_id, 'wake', false) || case
    when is_context(p_event) then jsonb_build_object('outcome', 'context')
    when v_from_me then take_own(v_conversation, v_id, v_sent_at, v_key, coalesce(v_judged ->> 'verdict', 'person'),
      v_judged -> 'meaning' ->> 'handset', p_options, v_now)
    when v_judged -> 'meaning' ? 'command' then jsonb_build_object('outcome', 'command', 'wake', true, 'inbound_at',
      v_now)
    else take_inbound(v_conversation, v_id, v_contact, v_judged -> 'meaning' ->> 'intent', v_sent_at, p_options,
      v_now) end;
end $$;

-- meet_known: a message comes under an id that is known in its chat: an echo of ours, or a copy.
-- Concurrency: locks the conversation of an echo. Result: as record_message; null: it brings the words that the first
--   copy came without.
create or replace function meet_known(
  p_instance instances, p_known messages, p_event jsonb, p_sent_at timestamptz, p_now timestamptz
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_from_me boolean := (p_event ->> 'fromMe')::boolean;
  v_wordless boolean := coalesce((p_event -> 'content' ->> 'wordless')::boolean, false);
begin
  if v_from_me and p_known.author in ('agent', 'system') then
    return settle_echo(p_known, p_known.provider_id, false, p_sent_at, p_now);
  end if;
  if v_wordless or p_event ->> 'kind' = 'reaction' or not lacks_words(p_known, v_from_me)
    or not may_change(p_known, (select c from conversations c where c.id = p_known.conversation_id), p_event) then
    return repeated_message(p_instance, p_known, p_event, v_wordless, p_now);
  end if;
  return null;
end $$;

-- meet_unknown: a message comes under an id that is not known in its chat, and may be about one that is known.
-- Guarantee: the newer form of something, under an id that is another chat's, is news about what its author did not
--   write, and makes no message. One of ours is known by the id that it asked for, whatever its words and address.
-- Concurrency: locks the conversation of one of ours. Result: as record_message; null: it is new.
create or replace function meet_unknown(
  p_instance instances, p_event jsonb, p_sent_at timestamptz, p_now timestamptz
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_from_me boolean := (p_event ->> 'fromMe')::boolean;
  v_known messages;
begin
  if p_event ? 'revised' and p_event ->> 'kind' <> 'reaction' then
    v_known := news_of(p_instance.id, p_event ->> 'providerId', p_event -> 'chat', v_from_me);
    if v_known.id is not null then
      return repeated_message(p_instance, v_known, p_event,
        coalesce((p_event -> 'content' ->> 'wordless')::boolean, false), p_now);
    end if;
  end if;
  if v_from_me then v_known := sent_as(p_instance.id, p_event ->> 'providerId'); end if;
  if v_known.id is null then return null; end if;
  return settle_echo(v_known, v_known.wire_id, true, p_sent_at, p_now);
end $$;

-- settle_echo: a message of our number is one that we sent: it is on the wire under this id (see settle_sent).
-- Arguments: p_wake its lane waits for this. Concurrency: waits for an erasure of its contact, then locks the
--   conversation. Result: as record_message: 'echo', or 'erased' when it is gone.
create or replace function settle_echo(
  p_message messages, p_provider_id text, p_wake boolean, p_sent_at timestamptz, p_now timestamptz
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  if gone_meanwhile(p_message) then return jsonb_build_object('outcome', 'erased', 'wake', false); end if;
  perform 1 from conversations where id = p_message.conversation_id for no key update;
  perform settle_sent(p_message.id, p_provider_id, p_sent_at, p_now);
  return jsonb_build_object('outcome', 'echo', 'conversation_id', p_message.conversation_id, 'message_id', p_message.id,
    'correlation_id', p_message.correlation_id, 'wake', false) || case when p_wake then '{"wake_send": true}'
      else '{}'::jsonb end;
end $$;

-- message_contact: whose chat a message is of, made when nobody has its address; null: of somebody who was erased, and
-- its id is remembered, so that it is known without an address.
-- Concurrency: see ensure_contact.
create or replace function message_contact(
  p_instance instances, p_event jsonb, p_sent_at timestamptz, p_now timestamptz
) returns bigint language plpgsql set search_path = public, pg_temp as $$
declare v_chat jsonb := p_event -> 'chat'; v_name text := p_event ->> 'pushName'; v_contact bigint;
begin
  if (p_event ->> 'fromMe')::boolean then
    v_chat := own_chat(p_instance, v_chat, p_event -> 'alt');
    v_name := null;
  end if;
  v_contact := ensure_contact(p_instance, v_chat ->> 'pn', v_chat ->> 'lid', v_name, p_sent_at, p_now, p_event,
    p_event -> 'from');
  if v_contact is null then perform bury_message(p_instance, p_event ->> 'providerId', p_now); end if;
  return v_contact;
end $$;

-- lock_typed: own_words of what was typed in a contact's chat, locked (see lock_own_words); null when there is nothing
-- to compare.
create or replace function lock_typed(p_instance_id bigint, p_typed text, p_contact bigint)
returns text language plpgsql set search_path = public, pg_temp as $$
declare v_key text;
begin
  if p_typed is null then return null; end if;
  v_key := own_words(p_typed, (select name from contacts where id = p_contact));
  if v_key is not null then perform lock_own_words(p_instance_id, v_key); end if;
  return v_key;
end $$;

-- meet_own_words: a message of our number may be ours, told before the HTTP answer or instead of it: the oldest send
-- under way with the same words. Those that were given back or up come last.
-- Concurrency: the caller holds the conversation's lock. Result: as record_message; null: it is none of ours.
create or replace function meet_own_words(
  p_conversation conversations, p_event jsonb, p_sent_at timestamptz, p_now timestamptz
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_message messages;
begin
  select * into v_message from messages
    where id in (select message_id from on_wire where conversation_id = p_conversation.id
        union all select message_id from outbox where conversation_id = p_conversation.id
        union all select message_id from dead_sends where conversation_id = p_conversation.id and status = 'unproven')
      and status in ('sending', 'uncertain', 'unproven', 'queued') and claim > 0 and provider_id is null
      and (type = 'reaction') = (p_event ->> 'kind' = 'reaction') and same_words(text) = same_words(event_text(p_event))
      and claimed_at <= p_sent_at + interval '5 minutes'
    order by case when status = 'queued' then 1 when status = 'unproven' then 2 else 0 end, id limit 1;
  if not found then return null; end if;
  perform settle_sent(v_message.id, p_event ->> 'providerId', p_sent_at, p_now);
  return jsonb_build_object('outcome', 'echo', 'conversation_id', p_conversation.id, 'message_id', v_message.id,
    'correlation_id', v_message.correlation_id, 'wake', false, 'wake_send', true);
end $$;

-- event_text: the words of an InboundEvent of kind message, or the emoji of a reaction.
create or replace function event_text(p_event jsonb) returns text language sql immutable as
$$ select case when p_event ->> 'kind' = 'reaction' then coalesce(p_event ->> 'emoji', '')
  else p_event -> 'content' ->> 'text' end $$;

-- judge_event: what the words of an InboundEvent mean, made true (take_meaning), and who wrote them when our number
-- sent them (judge_message). A command that was typed on the phone is a person's.
-- Arguments: p_key own_words of it; p_self the row, when it is stored already. Concurrency: the caller holds the
--   conversation's lock. Result: {verdict, or null; meaning: what is kept with the message, or null}.
create or replace function judge_event(
  p_instance instances, p_conversation conversations, p_event jsonb, p_options jsonb, p_key text,
  p_sent_at timestamptz, p_self bigint, p_now timestamptz
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_from_me boolean := (p_event ->> 'fromMe')::boolean;
  v_typed text := p_event -> 'content' ->> 'typed';
  v_meaning jsonb := nullif(p_event -> 'meaning', 'null');
begin
  if v_meaning is not null then
    v_meaning := take_meaning(p_conversation, v_meaning, v_from_me, p_sent_at,
      comes_from_manager(p_instance, p_event, p_options), p_event -> 'from', p_now);
  end if;
  if v_meaning is not null or not v_from_me or p_event ->> 'kind' = 'reaction' then
    return jsonb_build_object('meaning', v_meaning);
  end if;
  return judge_message(p_conversation, v_typed, p_key, p_sent_at,
    v_typed is not null or p_event -> 'content' ->> 'type' <> 'unsupported',
    p_event ? 'program' or ((p_event ->> 'viaApi')::boolean
      and not coalesce((p_options ->> 'takeoverFromApi')::boolean, false)), p_self, null, p_now);
end $$;

-- comes_from_manager: a message comes from the manager's own phone, to the number that takes commands.
create or replace function comes_from_manager(p_instance instances, p_event jsonb, p_options jsonb)
returns boolean language sql immutable as
$$ select coalesce(p_event -> 'chat' ->> 'pn' = p_options ->> 'managerPhone'
  and p_instance.name = p_options ->> 'managerInstance', false) $$;

-- store_message: a message or reaction becomes the newest of its conversation, or its words come to the one that lacked
-- them; and the conversation has perhaps something more to answer.
-- Arguments: p_known the one that lacked them, or null; p_judged of judge_event, or null.
-- Concurrency: the caller holds the conversation's lock, and lock_provider_id. Result: the id of the row.
create or replace function store_message(
  p_conversation conversations, p_known bigint, p_event jsonb, p_judged jsonb, p_sent_at timestamptz,
  p_correlation_id text, p_now timestamptz
) returns bigint language plpgsql set search_path = public, pg_temp as $$
declare
  v_from_me boolean := (p_event ->> 'fromMe')::boolean;
  v_is_reaction boolean := p_event ->> 'kind' = 'reaction';
  v_is_machine boolean := coalesce((p_event ->> 'machine')::boolean, false);
  v_meaning jsonb := nullif(p_judged -> 'meaning', 'null');
  v_speaks boolean := not (v_from_me or v_is_reaction or coalesce(v_meaning ? 'command', false));
  v_id bigint := p_known;
begin
  if p_known is not null then
    perform complete_message(p_known, p_event, v_meaning, p_judged ->> 'verdict');
  else
    insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, reason, text,
      typed, meaning, media, provider_id, provider_at, quoted_id, quoted_text, wordless, correlation_id, created_at)
      values (p_conversation.tenant_id, p_conversation.instance_id, p_conversation.id, p_conversation.last_seq + 1,
        case when v_from_me then 'out' else 'in' end, event_author(v_from_me, p_judged ->> 'verdict'),
        case when v_is_reaction then 'reaction' else p_event -> 'content' ->> 'type' end,
        case when v_from_me then 'sent' when v_is_reaction or v_is_machine then 'skipped' else 'received' end,
        case when v_from_me then nullif(p_judged ->> 'verdict', 'person') when v_is_machine then 'whatsapp_machine'
          when v_is_reaction then 'reaction' end,
        event_text(p_event), p_event -> 'content' ->> 'typed', v_meaning,
        nullif(p_event -> 'content' -> 'media', 'null'), p_event ->> 'providerId', p_sent_at,
        coalesce(p_event ->> 'targetId', p_event -> 'quoted' ->> 'providerId'), p_event -> 'quoted' ->> 'text',
        coalesce((p_event -> 'content' ->> 'wordless')::boolean, false), p_correlation_id, p_now)
      returning id into v_id;
  end if;
  update conversations set last_seq = last_seq + (p_known is null)::int,
    inbound_seq = inbound_seq + (v_speaks and not v_is_machine)::int,
    last_inbound_at = case when v_speaks then greatest(last_inbound_at, p_sent_at) else last_inbound_at end
    where id = p_conversation.id;
  return v_id;
end $$;

-- complete_message: a message that came without its words has them now, and is handled as if it had just come.
-- Arguments: p_meaning, p_verdict of judge_event, or null. Concurrency: the caller holds the locks of conversation and
--   message.
create or replace function complete_message(p_message bigint, p_event jsonb, p_meaning jsonb, p_verdict text)
returns void language plpgsql set search_path = public, pg_temp as $$
declare
  v_from_me boolean := (p_event ->> 'fromMe')::boolean;
  v_is_machine boolean := coalesce((p_event ->> 'machine')::boolean, false);
begin
  update messages set type = p_event -> 'content' ->> 'type', text = event_text(p_event),
    typed = p_event -> 'content' ->> 'typed', meaning = p_meaning,
    media = nullif(p_event -> 'content' -> 'media', 'null'), wordless = false, refused_by = null,
    quoted_id = p_event -> 'quoted' ->> 'providerId', quoted_text = p_event -> 'quoted' ->> 'text', deleted_at = null,
    turn_id = null, author = event_author(v_from_me, p_verdict),
    status = case when v_from_me then 'sent' when v_is_machine then 'skipped' else 'received' end,
    reason = case when v_from_me then nullif(p_verdict, 'person') when v_is_machine then 'whatsapp_machine' end
    where id = p_message;
end $$;

-- event_author: who wrote a message that is not ours. p_verdict of judge_own, or null.
create or replace function event_author(p_from_me boolean, p_verdict text) returns text language sql immutable as
$$ select case when not p_from_me then 'contact' when p_verdict <> 'person' then 'automatic' else 'human' end $$;

-- is_context: a message is stored and never answered: a reaction, or what a machine of WhatsApp's own says.
create or replace function is_context(p_event jsonb) returns boolean language sql immutable as
$$ select p_event ->> 'kind' = 'reaction' or (coalesce((p_event ->> 'machine')::boolean, false)
  and not (p_event ->> 'fromMe')::boolean) $$;

-- take_inbound: what a contact's message does to its conversation, once it is stored: a takeover by words that were no
-- person's ends, and what waits in the lane or for a person's yes is withdrawn.
-- Arguments: p_intent of take_meaning, or null; p_options as in record_message.
-- Concurrency: the caller holds the conversation's lock. Result: as record_message: 'stored'.
create or replace function take_inbound(
  p_conversation conversations, p_id bigint, p_contact bigint, p_intent text, p_sent_at timestamptz, p_options jsonb,
  p_now timestamptz
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_wake bigint[]; v_first timestamptz;
begin
  if p_intent = 'bot_question' then
    insert into bot_suspicions (tenant_id, conversation_id, message_id, created_at)
      values (p_conversation.tenant_id, p_conversation.id, p_id, p_now);
  end if;
  if p_conversation.takeover_until > p_now then v_wake := judge_again(p_conversation, p_sent_at, p_now); end if;
  if exists (select from outbox where conversation_id = p_conversation.id)
    and (p_options ->> 'withdrawParts')::boolean then
    perform withdraw_parts(p_conversation.id);
  end if;
  if exists (select from drafts where conversation_id = p_conversation.id) then
    perform withdraw_drafts(p_conversation.id);
  end if;
  v_first := first_pending(p_conversation.id);
  return jsonb_build_object('outcome', 'stored', 'wake', v_first is not null, 'wake_turns', v_wake,
    'first_pending_at', v_first, 'inbound_at', p_now, 'contact_id', p_contact,
    'age_seconds', extract(epoch from p_now - p_sent_at));
end $$;

-- put_aside: something came that is nobody's here. People are told once of each name, and once an hour when names come
-- in numbers; what a person has forgotten
--   is only counted.
-- Guarantee: it belongs to the tenant whose secret posted it. At most 200 names of a tenant, and 10,000 webhooks of a
--   name are kept. Concurrency: callers of one name queue on its row.
-- Arguments: p_tenant see tenant_of_poster.
-- Result: {outcome: 'set_aside' | 'ignored', reason, aside_id, keep: its webhook is to be kept, entry: it leaves one of
--   those that were put aside, refused: there was no room, and the number is somebody's, so no replay takes it, told:
--   people are to be told}.
create or replace function put_aside(p_name text, p_provider_id text, p_reason text, p_tenant text, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_aside set_aside; v_new boolean := false; v_known text;
begin
  update set_aside set webhooks = webhooks + 1, last_at = clock(p_now), reason = p_reason
    where name = p_name and tenant_id = p_tenant and coalesce(provider_id, '') = coalesce(p_provider_id, '')
    returning * into v_aside;
  if not found then
    if (select count(*) from set_aside where tenant_id = p_tenant) >= 200
      then return jsonb_build_object('outcome', 'ignored', 'reason', 'too_many_unknown', 'refused',
      p_reason <> 'nobodys_number', 'entry', true, 'wake', false); end if;
    insert into set_aside (tenant_id, name, provider_id, reason, first_at, last_at)
      values (p_tenant, p_name, p_provider_id, p_reason, clock(p_now), clock(p_now)) on conflict do nothing
      returning * into v_aside;
    if not found then return put_aside(p_name, p_provider_id, p_reason, p_tenant, p_now); end if;
    v_new := true;
  end if;
  if v_aside.forgotten_at is not null
    then return jsonb_build_object('outcome', 'ignored', 'reason', 'forgotten_instance',
    'wake', false); end if;
  if v_new then
    -- a name that a shell would understand is not put into a command
    v_known := case when p_name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$' then p_name else 'aside:' || v_aside.id end;
    if (select count(*) from set_aside where first_at > clock(p_now) - interval '1 hour') > 5 then
      perform add_notice(jsonb_build_object('tenant', 'default', 'key',
        'aside-' || to_char(clock(p_now) at time zone 'UTC', 'YYYY-MM-DD-HH24'), 'kind', 'alert', 'urgent', true,
        'about', null,
        'text', 'Webhooks de muitos números que ninguém cadastrou. Nada deles é respondido. Veja: npm run admin -- instance unknown.'), p_now);
    else
      perform add_notice(jsonb_build_object('tenant', 'default', 'key', 'aside-' || v_aside.id, 'kind', 'alert',
        'urgent',
        true, 'about', null, 'text', case p_reason
        when 'nobodys_number' then 'Webhooks de um número que ninguém cadastrou: ' || v_known
          || '. Nada dele é respondido; o que chega fica guardado. Para atendê-lo: npm run admin -- instance adopt '
          || v_known || '. Para não ouvir mais dele: npm run admin -- instance forget ' || v_known || '.'
        when 'foreign_uuid' then 'Webhooks em nome do número ' || v_known
          || ' vêm de outra instância da Evolution (foi refeita, ou é uma cópia). Nada disso é respondido; fica guardado. Se é o mesmo número: '
          || 'npm run admin -- instance adopt ' || v_known || '. Se não: npm run admin -- instance forget ' || v_known
            || '.'
        when 'secret_of_another' then 'Webhooks em nome do número ' || v_known
          || ' chegaram com o segredo de outro. Nada disso é respondido; fica guardado. Se o webhook dele está errado na Evolution: '
          || 'npm run admin -- instance connect ' || v_known || '. Veja: npm run admin -- instance unknown.'
        else 'Webhooks do número ' || v_known
          || ', e MULTI_CHIP_ENABLED=false atende só o de EVOLUTION_INSTANCE. Nada dele é respondido; o que chega fica guardado. Para não ouvir mais dele: '
          || 'npm run admin -- instance forget ' || v_known || '.' end), p_now);
    end if;
  end if;
  return jsonb_build_object('outcome', 'set_aside', 'reason', p_reason, 'aside_id', v_aside.id, 'keep',
    v_aside.webhooks <= 10000,
    'told', v_new, 'wake', false);
end $$;

-- body_of_ignored: what is kept of a webhook of which nothing found a place: of each number and reason the first
-- thousand of a day (UTC) whole, unless they are large. So a
--   busy group, or whoever floods one, does not fill the disk. Each leaves its entry. Concurrency: some more may be
--   kept. Result: the body, or {left_out: 'too_many' | 'large'}.
create or replace function body_of_ignored(p_instance text, p_reason text, p_raw jsonb, p_now timestamptz)
returns jsonb language plpgsql stable set search_path = public, pg_temp as $$
declare v_today timestamptz := date_trunc('day', p_now, 'UTC'); v_newest jsonb;
begin
  if pg_column_size(p_raw) > 262144 then return '{"left_out": "large"}'; end if;
  -- behind the first that was left out there is nothing to count any more
  select body into v_newest from webhook_events
    where ignored is not null and coalesce(instance, '') = coalesce(p_instance, '') and ignored[1] = p_reason
    and received_at >= v_today
    order by received_at desc limit 1;
  if v_newest = '{"left_out": "too_many"}' or (select count(*)
    from (select from webhook_events where ignored is not null and coalesce(instance, '') = coalesce(p_instance, '')
      and ignored[1] = p_reason and received_at >= v_today limit 1000) today) >= 1000
        then return '{"left_out": "too_many"}'; end if;
  return p_raw;
end $$;

-- is_unplaced: whether a message may be behind what was put aside for this reason: nobody chose to leave it, the
-- product could not place it.
create or replace function is_unplaced(p_reason text) returns boolean language sql immutable as
$$ select p_reason = any ('{unknown_chat,empty,unreadable,no_instance,unknown_event}') $$;

-- ignored_reasons: why events of a webhook were put aside or found no place, each once, for its entry; null: it is
-- none. News of an unknown message comes first, so that
--   apply_early finds it, then what may be a message. Arguments: p_results of the webhook. Read only.
create or replace function ignored_reasons(p_results jsonb) returns text[] language sql stable as $$
  select array_agg(reason order by reason <> 'unknown_message', not is_unplaced(reason), reason)
    from (select distinct r ->> 'reason' as reason from jsonb_array_elements(p_results) r
    where (r ->> 'entry')::boolean or r ->> 'outcome' = 'refused'
      -- it may have come in the same webhook
      or (r ->> 'reason' = 'unknown_message' and exists (select from early_updates e
        where e.instance_id = (r ->> 'instance_id')::bigint and e.provider_id = r ->> 'provider_id'))) r
$$;

-- chat_hashes: address_hash of each address in a list of [{pn, lid}].
create or replace function chat_hashes(p_instance_id bigint, p_chats jsonb) returns text[] language sql stable as $$
  select coalesce(array_agg(distinct address_hash(a.kind, p_instance_id, a.address)), '{}')
    from jsonb_array_elements(p_chats) c,
    lateral (values ('pn', c ->> 'pn'), ('lid', c ->> 'lid')) a (kind, address) where a.address is not null
$$;

-- remember_forged: a message was put aside since anybody can forge it. Evolution has it too, without the mark, so the
-- comparison shall not store it either (see meets_forged).
-- Guarantee: it is known for three days, and for as long after the time that it claims, since a comparison looks two
--   days back from there. Repeats change nothing. One id in two chats is an attack, which nothing lifts. Arguments:
--   p_event the InboundEvent that says which.
create or replace function remember_forged(p_instance instances, p_event jsonb, p_now timestamptz)
returns void language sql as $$
  insert into forged_messages (tenant_id, instance_id, hash, chats, until)
    select p_instance.tenant_id, p_instance.id, message_hash(p_instance.id, p_event ->> 'providerId'),
      chat_hashes(p_instance.id, p_event -> 'forged' -> 'chats'),
      greatest(p_now, (p_event -> 'forged' ->> 'stamp')::timestamptz) + interval '3 days'
    on conflict (instance_id, hash) do update set until = greatest(forged_messages.until, excluded.until),
      chats = case when forged_messages.chats && excluded.chats then forged_messages.chats || excluded.chats
        else '{}' end
$$;

-- meets_forged: a message comes under an id that may have been put aside as forged.
-- Guarantee: what the comparison shows (p_ourselves) is then the forged one, and whoever asks drops it. A webhook
--   without the mark, in the chat that the forged one claimed, is the real one: it lifts the memory. One in another
--   chat does not, since whoever sends a message chooses its id. Result: whether it is to be dropped.
create or replace function meets_forged(p_instance instances, p_event jsonb, p_ourselves boolean, p_now timestamptz)
returns boolean language plpgsql set search_path = public, pg_temp as $$
declare v_hash text;
begin
  if not exists (select from forged_messages where instance_id = p_instance.id) then return false; end if;
  v_hash := message_hash(p_instance.id, p_event ->> 'providerId');
  if p_ourselves then
    update forged_messages set found_at = coalesce(found_at, p_now) where instance_id = p_instance.id and hash = v_hash;
    return found;
  end if;
  delete from forged_messages where instance_id = p_instance.id and hash = v_hash
    and chats && chat_hashes(p_instance.id, jsonb_build_array(p_event -> 'chat', p_event -> 'alt'));
  return false;
end $$;

-- spend_kept: a webhook that waited in the queue counts once: whoever reads the queue may have written it there again.
-- Guarantee: of all who ask, one whose transaction is committed gets true; what is older than the four days, twice as
--   long as such a webhook counts (KEPT_HOURS), is forgotten. Concurrency: any; the unique key decides.
create or replace function spend_kept(p_id uuid, p_now timestamptz)
returns boolean language plpgsql set search_path = public, pg_temp as $$
declare v_first boolean;
begin
  insert into kept_spent (id, created_at) values (p_id, p_now) on conflict do nothing;
  v_first := found;
  delete from kept_spent where id in (select id from kept_spent where created_at < p_now - interval '4 days'
    order by created_at limit 100 for update skip locked);
  return v_first;
end $$;

-- hear: the events of a batch of webhooks that name a number of ours, read once.
-- Arguments: p_options see record_inbound. Result: see the type heard_event; n is the webhook's place in the batch,
--   from 1. Null: none. Read only.
create or replace function hear(p_webhooks jsonb, p_options jsonb, p_now timestamptz)
returns heard_event[] language sql stable set search_path = public, pg_temp as $$
  select array_agg(row(w.n, i.tenant_id, i.id, e.event ->> 'kind', coalesce((e.event ->> 'fromMe')::boolean, false),
      e.event, e.event ->> 'providerId', c.chat ->> 'pn', c.chat ->> 'lid', c.alt ->> 'pn', c.alt ->> 'lid',
      e.event ->> 'kind' in ('message', 'ack') and jsonb_array_length(w.webhook -> 'events') = 1
      and not w.webhook ?| array['kept', 'replays'] and not e.event ? 'forged'
      and (e.event ->> 'kind' = 'ack' or not exists (select from forged_messages f where f.instance_id = i.id))
      and (e.event ->> 'instanceId' is null or e.event ->> 'instanceId' = i.provider_id)
      and webhook_refusal(i, i.name, e.event ->> 'instanceId', w.webhook -> 'from', p_options ->> 'onlyInstance',
        coalesce((w.webhook ->> 'postedAt')::timestamptz, p_now)) is null,
      not speaks_alone(w.webhook -> 'from'), w.webhook ->> 'requestId')::heard_event order by w.n)
  from jsonb_array_elements(p_webhooks) with ordinality w (webhook, n)
    cross join jsonb_array_elements(w.webhook -> 'events') e (event) join instances i on i.name = e.event ->> 'instance'
    cross join lateral (select e.event -> 'chat' as chat, e.event -> 'alt' as alt) c
$$;

-- named_in: the addresses that events name, and whose they are; contact_id null: nobody's yet. Read only.
create or replace function named_in(p_heard heard_event[])
returns table (n bigint, tenant_id text, kind text, address text, contact_id bigint)
language sql stable set search_path = public, pg_temp as $$
  select h.n, h.tenant_id, 'pn', h.address, a.contact_id
    from (select n, tenant_id, pn as address from unnest(p_heard) where pn is not null
      union all select n, tenant_id, alt_pn from unnest(p_heard) where alt_pn is not null) h
      left join contact_addresses a on a.kind = 'pn' and a.tenant_id = h.tenant_id and a.address = h.address
  union all select h.n, h.tenant_id, 'lid', h.address, a.contact_id
    from (select n, tenant_id, instance_id, lid as address from unnest(p_heard) where lid is not null
      union all select n, tenant_id, instance_id, alt_lid from unnest(p_heard) where alt_lid is not null) h
      left join contact_addresses a on a.kind = 'lid' and a.instance_id = h.instance_id and a.address = h.address
$$;

-- hold_chats: what a batch of webhooks changes is locked before it is changed: those whom nobody knows yet in the order
-- of their addresses; contacts, words of our number, conversations and ids of messages each in their order, as
-- everybody else takes them. So two who name the same people queue, and do not wait for each other in a circle.
-- Concurrency: comes before any other lock of its transaction.
create or replace function hold_chats(p_heard heard_event[])
returns void language plpgsql set search_path = public, pg_temp as $$
declare v_contacts bigint[]; v_unknown bigint[];
begin
  select array_agg(distinct contact_id) filter (where contact_id is not null),
      array_agg(distinct hashtextextended(tenant_id || '/' || kind || '/' || address, 14))
        filter (where contact_id is null)
    into v_contacts, v_unknown from named_in(p_heard);
  if v_unknown is not null then
    perform pg_advisory_xact_lock(k) from (select k from unnest(v_unknown) k order by 1) u;
    -- who was made while these were waited for is known now
    select array_agg(distinct contact_id) into v_contacts from named_in(p_heard) where contact_id is not null;
  end if;
  perform 1 from contacts where id = any (v_contacts) order by id for key share;
  if exists (select from unnest(p_heard) where from_me) then
    perform lock_own_words(k.instance_id, k.key) from (
      select distinct h.instance_id, own_words(h.event -> 'content' ->> 'typed', c.name) as key
        from unnest(p_heard) h left join contact_addresses a on a.kind = 'pn' and a.tenant_id = h.tenant_id
          and a.address = h.pn left join contacts c on c.id = a.contact_id
        where h.from_me and h.event -> 'content' ->> 'typed' is not null order by 1, 2) k
      where k.key is not null;
  end if;
  perform 1 from conversations where id in (
      select id from conversations where contact_id = any (v_contacts)
      union all select m.conversation_id from unnest(p_heard) h
        join messages m on m.instance_id = h.instance_id and m.provider_id = h.provider_id)
    order by id for no key update;
  perform lock_provider_id(k.instance_id, k.provider_id) from (
    select distinct instance_id, provider_id from unnest(p_heard) where provider_id is not null order by 1, 2) k;
end $$;

-- plain_receipts: delivered, read, and echoes of what is known to have left, of a batch, in one statement; says the
-- same as apply_update and record_message would.
-- Guarantee: only of a message of ours that is the only one under its id, and stands at sent, delivered or read, and of
--   which nothing else is said here.
-- Concurrency: part of record_inbound, which holds the conversations' locks.
-- Result: {place in p_webhooks: its outcome}; what is not in it was left alone.
create or replace function plain_receipts(p_heard heard_event[], p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare v_all jsonb;
begin
  with told as materialized (
      select w.n, w.kind, w.event ->> 'status' as status, m.id, m.conversation_id, m.correlation_id, m.delivered_at,
        m.sent_to
      from unnest(p_heard) w
        cross join lateral (select count(*) as n, min(x.id) as id from messages x
          where x.instance_id = w.instance_id and x.provider_id = w.provider_id) k
        join messages m on m.id = k.id
      where w.plain and k.n = 1 and m.kind is not null and m.status in ('sent', 'delivered', 'read')
        and case w.kind when 'ack' then w.event ->> 'status' in ('delivered', 'read')
          else w.from_me and not exists (select from early_updates u
            where u.instance_id = w.instance_id and u.provider_id = w.provider_id) end
        -- of what else is said of it the order counts
        and not exists (select from unnest(p_heard) o where o.provider_id = w.provider_id
          and o.instance_id = w.instance_id and not (o.plain and case o.kind when 'ack'
            then o.event ->> 'status' in ('delivered', 'read') else o.from_me end))),
    further as (
      update messages m set status = case when a.is_read then 'read' else 'delivered' end, reason = null,
          error_class = null, read_at = case when a.is_read then p_now else m.read_at end,
          delivered_at = case when a.is_read then coalesce(m.delivered_at, p_now) else p_now end
        from (select t.id, bool_or(t.status = 'read') as is_read from told t where t.kind = 'ack' group by 1) a
        where m.id = a.id and case when a.is_read then m.status <> 'read' else m.status = 'sent' end),
    reached as (
      -- as note_delivery
      update contact_addresses a set delivered_at = p_now, refused_at = null
        from (select distinct address_row(c.contact_id, t.sent_to) as id from told t
          join conversations c on c.id = t.conversation_id where t.kind = 'ack' and t.delivered_at is null) r
        where a.id = r.id
          and (a.delivered_at is null or a.delivered_at < p_now - interval '1 hour' or a.refused_at is not null))
  select jsonb_object_agg(t.n, jsonb_build_object('outcome', case t.kind when 'ack' then 'ack' else 'echo' end,
      'conversation_id', t.conversation_id, 'message_id', t.id, 'correlation_id', t.correlation_id, 'wake', false)
      || case t.kind when 'ack' then '{"wake_send": null}' else '{}'::jsonb end)
    into v_all from told t;
  return coalesce(v_all, '{}');
end $$;

-- plain_words: what contacts wrote, of a batch, in one statement; says the same as record_message would.
-- Guarantee: only a message with its words and without a meaning of its own, under an id that is new, of somebody who
--   is known by all the addresses that it names and wrote from there before, while nothing waits in the lane or for a
--   yes and nobody has taken over. Of a contact whose other events are not plain none is taken here: their order
--   counts.
-- Arguments: p_done of plain_receipts: those events are settled. Concurrency, result: as plain_receipts.
create or replace function plain_words(p_heard heard_event[], p_done jsonb, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare v_all jsonb;
begin
  with words as materialized (
      select w.*, least((w.event ->> 'sentAt')::timestamptz, p_now) as sent_at from unnest(p_heard) w
      where w.plain and w.kind = 'message' and not w.from_me and not w.event ? 'revised'
        and coalesce(jsonb_typeof(w.event -> 'meaning'), 'null') = 'null'
        and not coalesce((w.event ->> 'machine')::boolean, false)
        and not coalesce((w.event -> 'content' ->> 'wordless')::boolean, false)
        and not exists (select from messages m where m.instance_id = w.instance_id and m.provider_id = w.provider_id)
        and not exists (select from early_updates u where u.instance_id = w.instance_id
          and u.provider_id = w.provider_id)
        and not exists (select from erasures e where e.tenant_id = w.tenant_id)),
    known as materialized (
      select w.*, c.id as conversation_id, c.contact_id, c.last_seq
      from words w
        left join contact_addresses p on p.kind = 'pn' and p.tenant_id = w.tenant_id and p.address = w.pn
        left join contact_addresses l on l.kind = 'lid' and l.instance_id = w.instance_id and l.address = w.lid
        join contacts k on k.id = coalesce(p.contact_id, l.contact_id)
        join conversations c on c.instance_id = w.instance_id and c.contact_id = k.id
      where (w.pn is null or p.contact_id = k.id) and (w.lid is null or l.contact_id = k.id)
        and (w.pn is null or w.lid is null or l.vouched_phone = w.pn or not w.for_all)
        and k.merged_into is null and k.erased_at is null and (k.name is not null or w.event ->> 'pushName' is null)
        and c.jid = w.event ->> 'jid' and coalesce(c.takeover_until <= p_now, true)
        and not exists (select from outbox o where o.conversation_id = c.id)
        and not exists (select from drafts d where d.conversation_id = c.id)),
    once as materialized (
      select * from (select *, count(*) over (partition by instance_id, provider_id) as copies from known) k
      where k.copies = 1),
    -- what else is said of people in this batch, and is not settled yet
    others as materialized (
      select o.*, a.contact_id
      from unnest(p_heard) o
        left join lateral (select contact_id from named_in(array[o])) a on o.kind <> 'ack' -- of an id, whoever has it
      where o.kind in ('message', 'reaction', 'edit', 'delete', 'ack') and not p_done ? o.n::text
        and not exists (select from once k where k.n = o.n)),
    ready as materialized (
      select k.*, row_number() over (partition by k.conversation_id order by k.n) as again,
        (select x.created_at from inbox x where x.conversation_id = k.conversation_id
          order by x.seq limit 1) as first_at
      from once k
      where not exists (select from others o where o.contact_id = k.contact_id
          or (o.pn is null and o.lid is null and o.kind <> 'ack'))
        and not exists (select from once x join others o on o.provider_id = x.provider_id
          where x.contact_id = k.contact_id)),
    stored as (
      insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, typed,
          media, provider_id, provider_at, quoted_id, quoted_text, correlation_id, created_at)
        select r.tenant_id, r.instance_id, r.conversation_id, r.last_seq + r.again, 'in', 'contact',
          r.event -> 'content' ->> 'type', 'received', r.event -> 'content' ->> 'text',
          r.event -> 'content' ->> 'typed', nullif(r.event -> 'content' -> 'media', 'null'), r.provider_id, r.sent_at,
          r.event -> 'quoted' ->> 'providerId', r.event -> 'quoted' ->> 'text', r.request_id, p_now
        from ready r order by r.n returning id, conversation_id, seq),
    counted as (
      update conversations c set last_seq = c.last_seq + s.n, inbound_seq = c.inbound_seq + s.n,
          last_inbound_at = greatest(c.last_inbound_at, s.at)
        from (select conversation_id, count(*) as n, max(sent_at) as at from ready group by 1) s
        where c.id = s.conversation_id)
  select jsonb_object_agg(r.n, jsonb_build_object('conversation_id', r.conversation_id, 'message_id', s.id, 'outcome',
      'stored', 'wake', true, 'wake_turns', null, 'first_pending_at', coalesce(r.first_at, p_now), 'inbound_at', p_now,
      'contact_id', r.contact_id, 'age_seconds', extract(epoch from p_now - r.sent_at)))
    into v_all
    from ready r join stored s on s.conversation_id = r.conversation_id and s.seq = r.last_seq + r.again;
  return coalesce(v_all, '{}');
end $$;

-- record_plain: what is ordinary in a batch of webhooks, most of what a number hears, set by set; the rest is left for
-- record_inbound to look at one by one. Arguments, concurrency: as there, within its locks; p_heard of hear.
-- Result: {place in p_webhooks, from 1: as record_inbound}.
create or replace function record_plain(p_webhooks jsonb, p_heard heard_event[], p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp set plan_cache_mode = force_generic_plan as $$
declare v_results jsonb := '{}'; v_all jsonb;
begin
  if exists (select from unnest(p_heard) where plain and (kind = 'ack' or from_me)) then
    v_results := plain_receipts(p_heard, p_now);
  end if;
  if exists (select from unnest(p_heard) where plain and kind = 'message' and not from_me) then
    v_results := v_results || plain_words(p_heard, v_results, p_now);
  end if;
  if v_results = '{}' then return v_results; end if;
  with plain as materialized (
      select w.webhook, h.n, nextval('webhook_events_id_seq') as id, h.tenant_id,
        jsonb_build_array(v_results -> h.n::text) as results
      from unnest(p_heard) h join jsonb_array_elements(p_webhooks) with ordinality w (webhook, n) on w.n = h.n
      where v_results ? h.n::text),
    kept as (
      insert into webhook_events (id, tenant_id, instance, event, body, results, request_id, posted_by, received_at)
        overriding system value
        select id, tenant_id, webhook ->> 'instance', webhook ->> 'event', webhook -> 'raw', results,
          webhook ->> 'requestId', coalesce(webhook -> 'from', '{"tenant": "default"}'), p_now from plain)
  select jsonb_object_agg(n, jsonb_build_object('webhook_id', id, 'tenant_id', tenant_id, 'results', results))
    into v_all from plain;
  return v_all;
end $$;

-- record_inbound: everything that a batch of webhooks says, in one call and one transaction.
-- Guarantee: all or nothing; repeating a call changes nothing. When it returns, each event has its outcome and may be
--   acknowledged. What its credential may not say, and what names no number of ours, is set aside and changes no
--   number, contact or conversation. What is put aside or finds no place leaves an entry (webhook_events.ignored).
-- Arguments: p_webhooks [{raw (secrets removed), instance, event, requestId, from: who posted it, see speaks_for;
--   absent: the secret of the installation, events: InboundEvent[], replays: the stored webhook that this one is again,
--   whose entry says from now on what became of it, or absent; postedAt: when it came, absent: now; kept: the id of
--   one that waited in the queue, which is stored once and later has no results}];
--   p_options see record_message, and onlyInstance: the one number that counts, or null.
-- Concurrency: any number of callers; those that name the same people queue (see hold_chats).
-- Result: [{webhook_id null: nothing was kept, tenant_id, results: [{outcome, conversation_id, message_id, wake,
--   wake_send, first_pending_at, inbound_at}]}], in order.
create or replace function record_inbound(p_webhooks jsonb, p_options jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_heard heard_event[];
  v_plain jsonb := '{}';
  v_webhook jsonb;
  v_n bigint;
  v_event jsonb;
  v_result jsonb;
  v_results jsonb;
  v_all jsonb := '[]';
  v_instance instances;
  v_reason text;
  v_tenant text;
  v_aside bigint;
  v_kept boolean;
  v_gone boolean;
  v_crowded boolean;
  v_bare boolean;
  v_entry boolean;
  v_ignored text[];
  v_name text;
  v_id bigint;
begin
  -- for one or two, what is set up for a set costs more than it saves
  if jsonb_array_length(p_webhooks) > 1 then
    v_heard := hear(p_webhooks, p_options, clock(p_now));
    perform hold_chats(v_heard);
    if jsonb_array_length(p_webhooks) > 2 then v_plain := record_plain(p_webhooks, v_heard, clock(p_now)); end if;
  end if;
  for v_webhook, v_n in select * from jsonb_array_elements(p_webhooks) with ordinality loop
    if v_plain ? v_n::text then
      v_all := v_all || jsonb_build_array(v_plain -> v_n::text);
      continue;
    end if;
    v_results := '[]';
    v_tenant := tenant_of_poster(v_webhook -> 'from');
    if v_webhook ? 'kept' and not spend_kept((v_webhook ->> 'kept')::uuid, clock(p_now)) then
      v_all := v_all || jsonb_build_object('webhook_id', null, 'tenant_id', v_tenant, 'results', v_results);
      continue;
    end if;
    v_aside := null;
    v_kept := false;
    v_bare := false;
    v_entry := false;
    v_name := v_webhook ->> 'instance';
    for v_event in select e || jsonb_build_object('from', v_webhook -> 'from')
      from jsonb_array_elements(v_webhook -> 'events') e loop
      if v_event ->> 'kind' = 'presence' or (v_event ->> 'kind' = 'ignored' and not v_event ? 'kept') then
        v_result := jsonb_build_object('outcome', 'ignored', 'reason',
          coalesce(v_event ->> 'reason', v_event ->> 'kind'), 'wake', false);
      elsif coalesce(v_event ->> 'instance', '') = '' then
        v_result := jsonb_build_object('outcome', 'ignored', 'reason', coalesce(v_event ->> 'reason', 'no_instance'),
          'entry', true, 'wake', false);
        v_tenant := tenant_of_poster(v_webhook -> 'from');
      else
        select * into v_instance from instances where name = v_event ->> 'instance';
        v_reason := webhook_refusal(v_instance, v_event ->> 'instance', v_event ->> 'instanceId', v_webhook -> 'from',
          p_options ->> 'onlyInstance', coalesce((v_webhook ->> 'postedAt')::timestamptz, clock(p_now)));
        if v_reason is null and v_event ->> 'instanceId' <> coalesce(v_instance.provider_id, '')
          then perform learn_uuid(v_instance, v_event ->> 'instanceId'); end if;
        v_result := case
          when v_reason is not null then put_aside(v_event ->> 'instance', v_event ->> 'instanceId', v_reason,
            tenant_of_poster(v_webhook -> 'from'), p_now)
          when v_event ->> 'kind' in ('message', 'reaction') and meets_forged(v_instance, v_event,
            v_webhook -> 'from' ? 'ourselves', clock(p_now)) then
            jsonb_build_object('outcome', 'ignored', 'reason', 'forged_resend', 'provider_id', v_event -> 'providerId',
              'entry', true, 'wake', false)
          when v_event ->> 'kind' in ('message', 'reaction') then
            record_message(v_instance, v_event, p_options || jsonb_build_object('correlationId',
              v_webhook ->> 'requestId'), p_now)
          when v_event ->> 'kind' in ('ack', 'edit', 'delete') then apply_update(v_instance.id, v_event, p_now)
          when v_event ->> 'kind' = 'connection' then record_connection(v_instance, v_event, p_now)
          else jsonb_build_object('outcome', 'ignored', 'reason', coalesce(v_event ->> 'reason', v_event ->> 'kind'),
            'provider_id', v_event -> 'providerId', 'entry', true, 'wake', false)
        end;
        if v_reason is null then
          if v_event ? 'forged' then perform remember_forged(v_instance, v_event, clock(p_now)); end if;
          v_tenant := v_instance.tenant_id;
          v_kept := true;
        elsif coalesce((v_result ->> 'keep')::boolean, false) then
          v_aside := (v_result ->> 'aside_id')::bigint;
          v_kept := true;
        elsif v_result ? 'entry' then
          v_name := null; -- one of too many names: they share one allowance
          -- of what is in somebody's name nothing is kept: whether it was would tell the poster who was erased there
          v_bare := v_bare or coalesce((v_result ->> 'refused')::boolean, false);
        end if;
      end if;
      v_entry := v_entry or v_result ? 'entry' or v_result ->> 'reason' in ('not_its_author', 'unknown_message');
      v_results := v_results || v_result;
    end loop;
    v_id := null;
    v_ignored := case when v_entry then ignored_reasons(v_results) end;
    if v_webhook ? 'replays' then
      -- the entry is that of the webhook which is replayed; what found no place again is not stored again
      update webhook_events set ignored = v_ignored where id = (v_webhook ->> 'replays')::bigint
        and ignored is not null;
      v_kept := v_kept and jsonb_path_exists(v_results, '$[*] ? (@.outcome != "ignored" && @.outcome != "early")');
      v_ignored := null;
    end if;
    if v_kept or v_ignored is not null then
      -- of somebody who was erased it stays that something came, and not what; of a crowd of more than can be looked
      -- through neither
      v_gone := jsonb_path_exists(v_results, '$[*] ? (@.outcome == "erased")');
      v_crowded := false;
      -- beside what found its place may stand what did not
      if not (v_gone or v_bare)
        and (jsonb_path_exists(v_results, '$[*] ? (@.outcome == "ignored" || @.outcome == "early")')
        or not jsonb_path_exists(v_results, '$[*] ? (@.conversation_id > 0)')) then
        select * into v_instance from instances where name = v_webhook ->> 'instance';
        -- to look through a megabyte takes a second, and everybody waits
        v_crowded := found and case when pg_column_size(v_webhook -> 'raw') > 524288 then true
          else (select count(*) > 2000 from digits_in(v_webhook -> 'raw')) end;
        if found and not v_crowded then
          perform hold_named(v_instance, v_webhook -> 'raw');
          v_gone := names_erased(v_instance, v_webhook -> 'raw', oldest_in(v_webhook -> 'raw'));
        end if;
      end if;
      insert into webhook_events (tenant_id, instance, event, body, results, request_id, posted_by, aside_id, ignored,
        received_at)
        values (v_tenant, v_name, v_webhook ->> 'event', case when v_gone then '{"erased": true}' when v_bare
          then '{"left_out": "too_many"}' when v_crowded then '{"left_out": "large"}'
          when v_ignored is not null and not jsonb_path_exists(v_results, '$[*] ? (@.outcome != "ignored")')
            then body_of_ignored(v_name, v_ignored[1], v_webhook -> 'raw', clock(p_now))
          else v_webhook -> 'raw' end, v_results, v_webhook ->> 'requestId',
            coalesce(v_webhook -> 'from', '{"tenant": "default"}'), v_aside, v_ignored, clock(p_now))
        returning id into v_id;
    end if;
    v_all := v_all || jsonb_build_object('webhook_id', v_id, 'tenant_id', v_tenant, 'results', v_results);
  end loop;
  return v_all;
end $$;

-- pending_since: whether somebody who is typing has something unanswered, so that the turn can wait for the rest. Read
-- only.
-- Arguments: p_from who says that somebody types, see speaks_for. Result: {conversation_id, first_pending_at,
--   newest_at, now} or null.
create or replace function pending_since(
  p_instance text, p_pn text, p_lid text, p_from jsonb, p_now timestamptz default null
) returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('conversation_id', c.id, 'first_pending_at', min(m.created_at), 'newest_at',
    max(m.created_at), 'now', clock(p_now))
  from instances i
    join contact_addresses a on (a.kind = 'pn' and a.tenant_id = i.tenant_id and a.address = p_pn)
      or (a.kind = 'lid' and a.instance_id = i.id and a.address = p_lid)
    join conversations c on c.instance_id = i.id and c.contact_id = a.contact_id
    join inbox m on m.conversation_id = c.id
  where i.name = p_instance and speaks_for(p_from, i, clock(p_now)) and not exists (select 1 from turns t
    where t.conversation_id = c.id and t.status = 'open')
  group by c.id limit 1
$$;

-- Messages that our number sent and we did not write: who wrote them, and what a mistake about that leaves behind.
--
-- A person's words pause the agent in that conversation. A phone also greets new customers and tells that the shop is
-- closed, lists send one text to many, and other programs use the number: those say nothing of a person, and would
-- silence the agent for half an hour. WhatsApp does not tell them apart, so their words and their moment are judged; a
-- mistake is undone when later ones show it.

-- own_words: what is compared of two texts, or null when there is too little: without case, accents, digits and signs,
-- without the words of the contact's name, and with one greeting for all times of the day. So a text with the
-- customer's name in it is one text. A hash: an index takes no long text.
create or replace function own_words(p_text text, p_name text)
returns text language plpgsql immutable set search_path = public, pg_temp as $$
declare v_words text[] := folded_words(p_text); v_name text[] := folded_words(p_name); v_left text;
begin
  select string_agg(w, ' ' order by n) into v_left from unnest(v_words) with ordinality as x (w, n)
    where w <> all (coalesce(v_name, '{}')) and w not in ('dia', 'tarde', 'noite', 'bom', 'boa');
  return case when length(v_left) >= 12 then md5(v_left) end;
end $$;

-- folded_words: the words of a text without case, accents, digits and signs.
create or replace function folded_words(p_text text) returns text[] language sql immutable as $$
  select array(select w from regexp_split_to_table(regexp_replace(lower(regexp_replace(normalize(p_text, NFKD),
    '[\u0300-\u036f]', '', 'g')),
    '[\x01-\x60\x7b-\xbf\u2000-\u2bff\ufe00-\ufe0f\U0001f000-\U0001faff]+', ' ', 'g'), ' ') as w where w <> '')
$$;

-- judge_own: who wrote a message of our number that is not ours. Pure.
-- Arguments: p_facts {
--   words: a person can read something in it; program: it came through the API, or its id is a library's;
--   chars: what had to be typed; attended: a person has this conversation or types in it;
--   waited: seconds since the contact began to wait, in whole seconds of WhatsApp's clock, null when nothing waited for
--   an answer; since: since its newest words; mid: in the middle of a talk;
--   after_send: seconds since our own first message of this conversation in two weeks, null without one (a phone greets
--   then too); known: this text came at least twice so soon after a beginning that nobody can have typed it;
--   prompt, sent_prompt: how often this text came within 5 seconds of a beginning, or of such a first message, before;
--   steady: how often within 15 seconds and after the same time; near: other conversations that got it within 3
--   seconds; chats: within 10 minutes; unasked: to how many of those and this one nobody had written for an hour}.
-- Result: 'person' | 'no_words' | 'program' | 'greeting' | 'broadcast'.
create or replace function judge_own(p_facts jsonb)
returns text language plpgsql immutable set search_path = public, pg_temp as $$
declare
  v_waited int := (p_facts ->> 'waited')::int;
  v_mid boolean := coalesce((p_facts ->> 'mid')::boolean, false);
  v_begins boolean := v_waited is not null and not v_mid;
  v_chats int := coalesce((p_facts ->> 'chats')::int, 0);
  -- Nobody types 12 characters a second. Whoever had begun before has had some seconds more, and WhatsApp's clock tells
  -- no fractions.
  v_typing_seconds numeric := (p_facts ->> 'chars')::numeric / 12 - 3;
begin
  return case
    when not (p_facts ->> 'words')::boolean then 'no_words'
    when (p_facts ->> 'program')::boolean then 'program'
    when (p_facts ->> 'known')::boolean then 'greeting'
    when (p_facts ->> 'since')::int <= 5 and (p_facts ->> 'prompt')::int >= 1 then 'greeting'
    when v_begins and v_waited <= 15 and (p_facts ->> 'steady')::int >= 2 then 'greeting'
    when (p_facts ->> 'after_send')::int <= 5 and (p_facts ->> 'sent_prompt')::int >= 2 then 'greeting'
    when (p_facts ->> 'near')::int >= 2 then 'broadcast'
    when v_chats >= 2 and (p_facts ->> 'unasked')::int * 2 > v_chats then 'broadcast'
    when v_begins and not (p_facts ->> 'attended')::boolean and v_waited < v_typing_seconds then 'greeting'
    else 'person' end;
end $$;

-- said_at: when words of our number can have reached the other side at the earliest: of our own the moment of the
-- claim, as what the send answers comes later.
create or replace function said_at(p_message messages)
returns timestamptz language sql immutable as
$$ select least(p_message.claimed_at, p_message.provider_at) $$;

-- own_facts: what judge_own looks at. By the time that WhatsApp tells, as webhooks have no order; within a second what
-- arrived first was first.
-- Arguments: p_text what was typed; p_key own_words of it; p_at when it was sent; p_self the row, when it is stored
--   already. Read only.
create or replace function own_facts(
  p_conversation conversations, p_text text, p_key text, p_at timestamptz, p_self bigint, p_now timestamptz
) returns jsonb language plpgsql stable set search_path = public, pg_temp as $$
declare
  v_second timestamptz := date_trunc('second', p_at);
  v_said messages;         -- our last words before it
  v_asked messages;        -- the first words of the contact that wait for an answer
  v_mid boolean;
  v_first_send timestamptz;
  v_newest timestamptz;    -- the contact wrote last
  v_facts jsonb;
begin
  select * into v_said from messages m where m.conversation_id = p_conversation.id and m.direction = 'out'
    and m.author <> 'automatic' and m.type <> 'reaction'
      and m.status in ('sending', 'sent', 'delivered', 'read', 'uncertain', 'unproven') and m.id is distinct from p_self
        and date_trunc('second', said_at(m)) <= v_second
      and m.seq > p_conversation.last_seq - 200
    order by date_trunc('second', said_at(m)) desc, m.seq desc limit 1;
  v_said.provider_at := said_at(v_said);
  -- the beginning of the newest run of messages without an answer: what was left without one long before is another
  -- talk
  select q.* into v_asked from messages q where q.id = (select r.id from (
      select m.id, m.provider_at, m.seq, lag(m.provider_at) over (order by date_trunc('second', m.provider_at),
        m.seq) as before
      from messages m where m.conversation_id = p_conversation.id and m.direction = 'in' and m.type <> 'reaction'
        and m.seq > p_conversation.last_seq - 200
        and date_trunc('second', m.provider_at) between p_at - interval '1 day' and v_second
        and (v_said.id is null or (date_trunc('second', m.provider_at),
          m.seq) > (date_trunc('second', v_said.provider_at), v_said.seq))) r
    where r.before is null or r.provider_at - r.before > interval '10 minutes'
      order by date_trunc('second', r.provider_at) desc, r.seq desc limit 1);
  v_mid := exists (select from messages m where m.conversation_id = p_conversation.id
    and m.seq > p_conversation.last_seq - 200
    and m.author <> 'automatic' and m.type <> 'reaction' and m.id is distinct from p_self
    and m.id <> v_asked.id and m.provider_at > v_asked.provider_at - interval '10 minutes'
    and (date_trunc('second', m.provider_at), m.seq) < (date_trunc('second', v_asked.provider_at), v_asked.seq));
  if v_said.kind is not null and not exists (select from messages m
    where m.conversation_id = p_conversation.id and m.direction = 'out' and m.seq < v_said.seq
      and m.seq > p_conversation.last_seq - 200
      and m.author <> 'automatic' and m.provider_at > v_said.provider_at - interval '14 days'
        and m.status in ('sending', 'sent', 'delivered', 'read', 'uncertain', 'unproven')) then
    v_first_send := v_said.provider_at;
  end if;
  v_newest := (select max(m.provider_at) from messages m where m.conversation_id = p_conversation.id
    and m.direction = 'in'
    and m.type <> 'reaction' and m.seq > p_conversation.last_seq - 200
    and date_trunc('second', m.provider_at) <= v_second);
  v_facts := jsonb_build_object('since', extract(epoch from v_second - date_trunc('second', v_newest))::int, 'chars',
    coalesce(length(p_text), 0), 'attended', conversation_holder(p_conversation, p_now) <> 'agent',
    'waited', extract(epoch from v_second - date_trunc('second', v_asked.provider_at))::int, 'mid',
      coalesce(v_mid, false),
    'after_send', extract(epoch from v_second - date_trunc('second', v_first_send))::int);
  return v_facts || (select jsonb_build_object(
      'known', count(*) filter (where m.author = 'automatic' and m.reason = 'greeting' and o.begins
        and o.waited <= 5) >= 2,
      'prompt', count(*) filter (where o.begins and o.waited <= 5),
      'sent_prompt', count(*) filter (where o.after_send <= 5),
      'steady', count(*) filter (where o.begins and o.waited <= 15
        and abs(o.waited - (v_facts ->> 'waited')::int) <= 2),
      'near', count(distinct m.conversation_id) filter (where m.conversation_id <> p_conversation.id
        and abs(extract(epoch from m.provider_at - p_at)) <= 3),
      'chats', count(distinct m.conversation_id) filter (where m.conversation_id <> p_conversation.id and o.lately),
      'unasked', count(distinct m.conversation_id) filter (where m.conversation_id <> p_conversation.id and o.lately
        and not o.asked) + (not coalesce(v_newest > p_at - interval '1 hour', false))::int)
    from messages m, lateral (select (m.meaning ->> 'waited')::int as waited, m.meaning ->> 'waited' is not null
      and not (m.meaning ->> 'mid')::boolean as begins,
      (m.meaning ->> 'after_send')::int as after_send, coalesce((m.meaning ->> 'since')::int <= 3600, false) as asked,
        abs(extract(epoch from m.provider_at - p_at)) <= 600 as lately) o
    where m.instance_id = p_conversation.instance_id and m.kind is null and m.meaning ? 'own_words'
      and m.meaning ->> 'own_words' = p_key and m.id is distinct from p_self
      and m.provider_at > p_at - interval '60 days');
end $$;

-- undo_takeover: words that started or kept up a takeover were no person's. It ends, unless a person has typed since it
-- began; what it kept from being answered waits for an answer again.
-- Arguments: p_at when the first of those words were stored; they count as a person's no more. Concurrency: locks the
--   conversation. Result: whether something waits.
create or replace function undo_takeover(p_conversation bigint, p_at timestamptz, p_now timestamptz)
returns boolean language plpgsql set search_path = public, pg_temp as $$
declare v_conversation conversations; v_turns bigint[];
begin
  select * into v_conversation from conversations where id = p_conversation for no key update;
  update handoffs set taken_at = null where conversation_id = v_conversation.id and status <> 'returned'
    and taken_at = p_at;
  if v_conversation.takeover_since is null
    or exists (select from messages h where h.conversation_id = v_conversation.id and h.author = 'human'
    and h.type <> 'reaction' and h.created_at >= least(p_at, v_conversation.takeover_since)) then
    return false;
  end if;
  update conversations set takeover_since = null, takeover_until = null where id = v_conversation.id;
  update messages m set status = 'received', reason = null from turns t
    where m.conversation_id = v_conversation.id and m.direction = 'in' and m.status = 'handed_over'
      and m.reason = 'takeover'
      and t.id = m.turn_id and t.ended_at >= least(p_at, v_conversation.takeover_since);
  -- an answer of which nothing left
  with gone as (select distinct m.turn_id from messages m where m.conversation_id = v_conversation.id
    and m.direction = 'out'
    and m.status = 'cancelled' and m.reason = 'takeover'
    and m.created_at > least(p_at, v_conversation.takeover_since) - interval '10 minutes')
  select array_agg(turn_id) into v_turns from gone;
  update messages i set status = 'received', reason = null where i.turn_id = any (v_turns) and i.direction = 'in'
    and i.status = 'answered'
    and not exists (select from messages o where o.turn_id = i.turn_id and o.direction = 'out'
      and o.status <> 'cancelled');
  update conversations set inbound_seq = inbound_seq + 1 where id = v_conversation.id;
  return first_pending(v_conversation.id) is not null;
end $$;

-- mark_automatic: a text of our number is automatic: so are its copies that were taken for a person's. Their takeovers
-- end.
-- Arguments: p_key own_words; p_verdict greeting | broadcast; p_at when the one was sent that showed it.
-- Concurrency: the caller holds lock_own_words of p_key; locks the copies' conversations, in the order of their ids.
-- Result: conversations that have something to answer again.
create or replace function mark_automatic(
  p_instance bigint, p_key text, p_verdict text, p_at timestamptz, p_now timestamptz
) returns bigint[] language plpgsql set search_path = public, pg_temp as $$
declare v_copy record; v_wake bigint[] := '{}';
begin
  for v_copy in
    with wrong as (update messages m set author = 'automatic', reason = p_verdict
      where m.instance_id = p_instance and m.kind is null and m.meaning ? 'own_words'
        and m.meaning ->> 'own_words' = p_key and m.author = 'human'
        and case p_verdict when 'broadcast' then m.provider_at > p_at - interval '10 minutes'
          else m.provider_at > p_at - interval '2 days'
            and ((m.meaning ->> 'waited')::int <= 15 and not (m.meaning ->> 'mid')::boolean
            or (m.meaning ->> 'after_send')::int <= 5) end
      returning m.conversation_id, m.created_at)
    select conversation_id, min(created_at) as at from wrong group by 1 order by 1
  loop
    if undo_takeover(v_copy.conversation_id, v_copy.at, p_now) then v_wake := v_wake || v_copy.conversation_id; end if;
  end loop;
  return v_wake;
end $$;

-- lock_own_words: until the end of the transaction, nobody else judges this text of this number: of two first copies at
-- once, the second sees the first.
create or replace function lock_own_words(p_instance_id bigint, p_key text) returns void language sql as
$$ select pg_advisory_xact_lock(hashtextextended(p_instance_id || '/' || p_key, 12)) $$;

-- judge_message: own_facts and judge_own of one message. Arguments: as own_facts; p_words, p_program as in judge_own;
-- p_attended null: as the conversation says.
-- Result: {verdict, meaning: what is kept with the message, so that later ones can be compared with it}. Read only.
create or replace function judge_message(
  p_conversation conversations, p_text text, p_key text, p_at timestamptz, p_words boolean, p_program boolean,
  p_self bigint, p_attended boolean, p_now timestamptz
) returns jsonb language plpgsql stable set search_path = public, pg_temp as $$
declare v_facts jsonb := own_facts(p_conversation, p_text, p_key, p_at, p_self, p_now)
  || jsonb_build_object('words', p_words, 'program', p_program);
begin
  if p_attended is not null then v_facts := v_facts || jsonb_build_object('attended', p_attended); end if;
  return jsonb_build_object('verdict', judge_own(v_facts), 'meaning', case when p_key is not null then
    jsonb_build_object('own_words', p_key, 'waited', v_facts -> 'waited', 'since', v_facts -> 'since', 'mid',
      v_facts -> 'mid', 'after_send', v_facts -> 'after_send') end);
end $$;

-- judge_again: words that came before the contact's own did look like a person's: webhooks have no order. Called when a
-- message of the contact is stored during a takeover.
-- Concurrency: the caller holds the conversation's lock. Result: conversations that have something to answer again.
create or replace function judge_again(p_conversation conversations, p_said_at timestamptz, p_now timestamptz)
returns bigint[] language plpgsql set search_path = public, pg_temp as $$
declare v_message messages; v_judged jsonb; v_wake bigint[] := '{}';
begin
  select * into v_message from messages m where m.conversation_id = p_conversation.id and m.author = 'human'
    and m.type <> 'reaction'
    and not coalesce(m.meaning ? 'handset', false)
      and m.created_at > p_now - interval '5 minutes' and m.provider_at >= date_trunc('second', p_said_at)
        order by m.seq desc limit 1;
  if not found then return v_wake; end if;
  -- within one second the order of arrival counts, unless nothing went before: then these words began the talk, which a
  -- phone does not do by itself
  if date_trunc('second', v_message.provider_at) = date_trunc('second', p_said_at) and exists (select from messages m
    where m.conversation_id = p_conversation.id and m.seq < v_message.seq and m.seq > p_conversation.last_seq - 200
      and m.author <> 'automatic' and m.type <> 'reaction'
        and m.provider_at > v_message.provider_at - interval '10 minutes')
        then return v_wake; end if;
  if v_message.meaning ? 'own_words'
    then perform lock_own_words(p_conversation.instance_id, v_message.meaning ->> 'own_words'); end if;
  v_judged := judge_message(p_conversation, v_message.typed, v_message.meaning ->> 'own_words', v_message.provider_at,
    true, false, v_message.id,
    p_conversation.controlled_by = 'human' or p_conversation.takeover_since < v_message.created_at, p_now);
  if v_judged ->> 'verdict' <> 'greeting' then return v_wake; end if;
  update messages set author = 'automatic', reason = 'greeting',
    meaning = nullif(coalesce(meaning, '{}') || coalesce(nullif(v_judged -> 'meaning', 'null'), '{}'), '{}')
    where id = v_message.id;
  update instances set greeting_message = v_message.id where id = p_conversation.instance_id
    and greeting_message is null;
  if undo_takeover(p_conversation.id, v_message.created_at, p_now) then v_wake := v_wake || p_conversation.id; end if;
  return v_wake || mark_automatic(p_conversation.instance_id, v_message.meaning ->> 'own_words', 'greeting',
    v_message.provider_at, p_now);
end $$;

-- audit_handset: who has the phone of the number took the agent out of a conversation, or back into it (`/bot off`,
-- `/bot on`).
create or replace function audit_handset(p_conversation conversations, p_switch text, p_now timestamptz)
returns void language sql as $$
  insert into audit_log (tenant_id, actor, action, subject, created_at)
    values (p_conversation.tenant_id, 'handset', 'bot.' || p_switch, p_conversation.id::text, p_now)
$$;

-- take_own: what a message of our number that we did not write does to its conversation, once it is stored.
-- Arguments: p_id, p_key, p_verdict of the message; p_handset 'on' | 'off' when it was a command typed on the phone;
--   p_options as in record_message.
-- Concurrency: the caller holds the conversation's lock. Result: {outcome: 'returned' | 'takeover' | 'context' |
--   'automatic', reason, wake_turns}.
create or replace function take_own(
  p_conversation conversations, p_id bigint, p_sent_at timestamptz, p_key text, p_verdict text, p_handset text,
  p_options jsonb, p_now timestamptz
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_cap interval := make_interval(mins => (p_options ->> 'takeoverCapMinutes')::int);
  -- "off" lasts as long as any takeover may; other words slide it
  v_until timestamptz := p_sent_at + case when p_handset = 'off' then v_cap
    else make_interval(mins => (p_options ->> 'takeoverMinutes')::int) end;
  v_since timestamptz := case when p_conversation.takeover_until > p_now then p_conversation.takeover_since
    else p_now end;
begin
  if p_handset = 'on' then
    perform give_back(p_conversation.id, 'handset', p_now);
    perform audit_handset(p_conversation, 'on', p_now);
    return jsonb_build_object('outcome', 'returned');
  end if;
  if p_verdict <> 'person' then
    if p_verdict = 'greeting' then update instances set greeting_message = p_id
      where id = p_conversation.instance_id and greeting_message is null; end if;
    return jsonb_build_object('outcome', 'automatic', 'reason', p_verdict, 'wake_turns',
      case when p_verdict in ('greeting', 'broadcast') and p_key is not null
        then to_jsonb(mark_automatic(p_conversation.instance_id, p_key, p_verdict, p_sent_at, p_now)) end);
  end if;
  update handoffs set taken_at = p_now where conversation_id = p_conversation.id and status <> 'returned'
    and taken_at is null;
  if v_until <= p_now then return jsonb_build_object('outcome', 'context'); end if;
  update conversations set takeover_since = v_since,
    takeover_until = greatest(takeover_until, least(v_until, v_since + v_cap)) where id = p_conversation.id;
  if p_handset = 'off' then perform audit_handset(p_conversation, 'off', p_now); end if;
  return jsonb_build_object('outcome', 'takeover');
end $$;

-- own_chat: the address under which a message of our own number finds its contact: the one of its chat, or the other
-- one of its key when only that is known, or when under the first nobody has ever written. The other one may be our
-- own, and nothing is learned from it. Read only.
-- Arguments: p_chat, p_alt {pn, lid}. Result: one of them.
create or replace function own_chat(p_instance instances, p_chat jsonb, p_alt jsonb)
returns jsonb language plpgsql stable set search_path = public, pg_temp as $$
declare v_chat bigint; v_alt bigint;
begin
  if coalesce(jsonb_typeof(p_alt), 'null') = 'null' or p_alt ->> 'pn' = p_instance.phone then return p_chat; end if;
  v_alt := contact_at(p_instance, p_alt ->> 'pn', p_alt ->> 'lid');
  if v_alt is null then return p_chat; end if;
  v_chat := contact_at(p_instance, p_chat ->> 'pn', p_chat ->> 'lid');
  return case when v_chat is null or not exists (select from conversations
    where contact_id = v_chat and last_inbound_at is not null) then p_alt else p_chat end;
end $$;

-- contact_at: who has this address, or null. Asked for null, Postgres would plan each of these anew: that costs more
-- than all the rest.
create or replace function contact_at(p_instance instances, p_pn text, p_lid text)
returns bigint language plpgsql stable set search_path = public, pg_temp as $$
declare v_id bigint;
begin
  if p_pn is not null then select contact_id into v_id from contact_addresses
    where kind = 'pn' and tenant_id = p_instance.tenant_id and address = p_pn; end if;
  if v_id is null and p_lid is not null then select contact_id into v_id from contact_addresses
    where kind = 'lid' and instance_id = p_instance.id and address = p_lid; end if;
  return v_id;
end $$;

-- greetings_to_tell: numbers whose phone turned out to answer by itself, and nobody was told yet. Read only.
-- Result: [{tenant, instance, text: what it says, or null when that is gone}].
create or replace function greetings_to_tell(p_limit int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant', i.tenant_id, 'instance', i.name, 'text', (select m.text
    from messages m where m.id = i.greeting_message)) order by i.id), '[]')
  from (select * from instances where greeting_message is not null and greeting_told_at is null order by id
    limit p_limit) i
$$;

-- record_greeting_told: people know it; they are told once of a number. Repeats change nothing.
create or replace function record_greeting_told(p_instance text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  update instances set greeting_told_at = clock(p_now) where name = p_instance and greeting_told_at is null;
  return jsonb_build_object('recorded', found);
end $$;

-- take_meaning: what a message's words were recognised as becomes true; the part of record_message that is about
-- people.
-- Guarantee: of an opt-out and a resubscription the one that was written last counts, in whatever order they come.
-- Arguments: p_meaning {intent: opt_out | resubscribe | bot_question, command, handset: on | off}; p_said_at when it
--   was written; p_commands it came from the manager's own phone address, to the number that takes commands; p_from
--   who posted it, see speaks_for.
-- Concurrency: the caller holds the conversation's lock. Result: what is stored with the message, or null: {intent}
--   also opt_out_again (has opted out already, so nothing is confirmed), {command} only of the manager, {handset} only
--   of whoever has the phone.
create or replace function take_meaning(
  p_conversation conversations, p_meaning jsonb, p_from_me boolean, p_said_at timestamptz, p_commands boolean,
  p_from jsonb, p_now timestamptz
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_intent text := p_meaning ->> 'intent';
begin
  if p_from_me then
    return case when p_meaning ->> 'handset' is not null then jsonb_build_object('handset', p_meaning ->> 'handset')
      end;
  end if;
  if p_commands and coalesce(jsonb_typeof(p_meaning -> 'command'), 'null') <> 'null' then
    return jsonb_build_object('command', p_meaning -> 'command');
  end if;
  if v_intent in ('opt_out', 'resubscribe') and exists (select from messages m
    where m.conversation_id = p_conversation.id and m.direction = 'in'
      and m.meaning ->> 'intent' in ('opt_out', 'opt_out_again', 'resubscribe') and m.provider_at > p_said_at)
        then return null; end if;
  if v_intent = 'opt_out' and not add_opt_out(p_conversation.contact_id, 'message', p_now, p_conversation.instance_id)
    then v_intent := 'opt_out_again'; end if;
  if v_intent = 'resubscribe' and not take_back_opt_out(p_conversation, p_from, p_now) then v_intent := null; end if;
  return case when v_intent is not null then jsonb_build_object('intent', v_intent) end;
end $$;

-- stored_webhook: a raw webhook for a replay, or null.
create or replace function stored_webhook(p_tenant text, p_id bigint)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select to_jsonb(w) from webhook_events w where w.id = p_id and w.tenant_id = p_tenant
$$;

-- ignored_of: the entries of a tenant: stored webhooks of which something was put aside or found no place. Read only.
-- Arguments: p_reason, p_instance null: any. Result: rows of webhook_events.
create or replace function ignored_of(p_tenant text, p_reason text, p_instance text)
returns setof webhook_events language sql stable as $$
  select * from webhook_events where ignored is not null and tenant_id = p_tenant
    and (p_reason is null or p_reason = any (ignored))
    and (p_instance is null or coalesce(instance, body ->> 'instance') = p_instance)
$$;

-- is_whole: whether a stored webhook has its body: it was neither left out (body_of_ignored) nor erased.
create or replace function is_whole(p_body jsonb)
returns boolean language sql immutable as
$$ select p_body not in ('{"left_out": "too_many"}', '{"left_out": "large"}', '{"erased": true}') $$;

-- list_ignored: what was put aside, the newest first, and how much of it there is. Read only.
-- Arguments: as ignored_of. Result: {reasons: [{reason, webhooks, whole: with their body, first_at, last_at}],
--   entries: [{id, instance, event, reasons, messages: their ids at WhatsApp, whole, received_at}]}.
create or replace function list_ignored(p_tenant text, p_reason text, p_instance text, p_limit int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object(
    'reasons', (select coalesce(jsonb_agg(to_jsonb(g) order by g.webhooks desc, g.reason), '[]') from (
      select r as reason, count(*) as webhooks, count(*) filter (where is_whole(w.body)) as whole,
        min(w.received_at) as first_at, max(w.received_at) as last_at
      from ignored_of(p_tenant, p_reason, p_instance) w, unnest(w.ignored) r where p_reason is null or r = p_reason
        group by 1) g),
    'entries', (select coalesce(jsonb_agg(to_jsonb(e) order by e.id desc), '[]') from (
      select w.id, coalesce(w.instance, w.body ->> 'instance') as instance, w.event, w.ignored as reasons,
        is_whole(w.body) as whole, w.received_at,
        jsonb_path_query_array(w.results,
          '$[*] ? (@.outcome == "ignored" || @.outcome == "early").provider_id ? (@ != null)') as messages
      from ignored_of(p_tenant, p_reason, p_instance) w order by w.id desc limit p_limit) e))
$$;

-- ignored_webhooks: entries to be replayed, the oldest first. Read only. Arguments: as ignored_of; p_after the id
-- behind which they begin.
-- Result: [{id, instance, event, body, results, ignored, received_at}], at most p_limit.
create or replace function ignored_webhooks(p_tenant text, p_reason text, p_instance text, p_after bigint, p_limit int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(to_jsonb(w) order by w.id), '[]') from (
    select id, instance, event, body, results, posted_by, ignored, received_at
      from ignored_of(p_tenant, p_reason, p_instance) i where i.id > p_after and is_whole(i.body) order by i.id
      limit p_limit) w
$$;

-- ignored_message: the newest entry that a message left, by its id at WhatsApp. Read only. Result: {id, instance,
-- reason, received_at} or null.
create or replace function ignored_message(p_tenant text, p_provider_id text)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('id', w.id, 'instance', w.instance, 'received_at', w.received_at, 'reason', r ->> 'reason')
    from ignored_of(p_tenant, null, null) w, jsonb_array_elements(w.results) r
  where w.results @> jsonb_build_array(jsonb_build_object('provider_id', p_provider_id))
    and r ->> 'provider_id' = p_provider_id order by w.id desc limit 1
$$;

-- reopen_inbound: a person wants an inbound message answered again, although it has had its outcome.
-- Guarantee: it is 'received' again as if it had just come, and a turn that is under way has to look again. What was
--   sent stays sent.
-- Arguments: the message by its number, its id at WhatsApp and its chat {pn, lid}; p_actor, p_reason: audited.
-- Concurrency: locks the conversation. Result: {outcome: 'reopened', message_id, conversation_id, was, provider_at,
--   holder: who answers there, paused: scope or null} | {outcome: 'waiting'} it is unanswered as it is | {outcome:
--   'not_possible'} (not of the contact, a reaction, deleted, unknown).
create or replace function reopen_inbound(
  p_tenant text, p_instance text, p_provider_id text, p_chat jsonb, p_actor text, p_reason text,
  p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_conversation conversations; v_message messages; v_now timestamptz := clock(p_now);
begin
  v_message := known_message((select i.id from instances i where i.name = p_instance and i.tenant_id = p_tenant),
    p_provider_id,
    p_chat, null, false);
  select c.* into v_conversation from conversations c where c.id = v_message.conversation_id for update;
  select x.* into v_message from messages x where x.id = v_message.id for update;
  if not found or v_message.direction <> 'in' or v_message.type = 'reaction' or v_message.deleted_at is not null
    then return jsonb_build_object('outcome', 'not_possible'); end if;
  if v_message.status = 'received'
    then return jsonb_build_object('outcome', 'waiting', 'message_id', v_message.id, 'conversation_id',
    v_conversation.id); end if;
  update messages set status = 'received', reason = null, turn_id = null where id = v_message.id;
  update conversations set inbound_seq = inbound_seq + 1, failed_in_row = 0, failing_since = null
    where id = v_conversation.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'replay.force', v_message.id::text,
      jsonb_build_object('reason', p_reason, 'was', v_message.status, 'because', v_message.reason), v_now);
  return jsonb_build_object('outcome', 'reopened', 'message_id', v_message.id, 'conversation_id', v_conversation.id,
    'was', v_message.status, 'provider_at', v_message.provider_at,
    'holder', conversation_holder(v_conversation, v_now),
    'paused', (select pause_reason(v_conversation.tenant_id, i.name, v_conversation.id, null) from instances i
      where i.id = v_conversation.instance_id));
end $$;

-- reconcile_from: since when a number's messages at the provider should be compared with ours.
-- A number is compared from its first day here on, at most two days back, with p_overlap_ms of overlap; after a restore
-- back to the backup, however old.
-- Result: {from, restored: the comparison must reach this moment before the number goes on} or null for an unknown
--   number.
create or replace function reconcile_from(p_instance text, p_overlap_ms int, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('restored', restored_at is not null,
    'from', greatest(coalesce(reconciled_at - make_interval(secs => p_overlap_ms / 1000.0), created_at), created_at,
      case when restored_at is null then clock(p_now) - interval '2 days' end))
  from instances where name = p_instance
$$;

-- teach_addresses: what a comparison shows of messages that are known already: the provider's rows name both addresses
-- of a person where a webhook named one.
-- Guarantee: only what is new is learned (one address of the pair is known, the other is nobody's; or both are one
--   person's by the word of one number alone), by the rules of ensure_contact; repeating it changes nothing.
-- Arguments: p_pairs [{pn, lid, sent_at}], the oldest first. Result: {learned}.
create or replace function teach_addresses(p_instance text, p_pairs jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_instance instances;
  v_pair record;
  v_pn bigint;
  v_lid bigint;
  v_learned int := 0;
begin
  select * into v_instance from instances where name = p_instance;
  for v_pair in select e ->> 'pn' as pn, e ->> 'lid' as lid, (e ->> 'sent_at')::timestamptz as sent_at
    from jsonb_array_elements(p_pairs) e loop
    v_pn := contact_at(v_instance, v_pair.pn, null);
    v_lid := contact_at(v_instance, null, v_pair.lid);
    continue when coalesce(v_pn, v_lid) is null or v_pn <> v_lid
      or (v_pn = v_lid and leads_to(v_pn, v_instance.id, v_pair.lid || '@lid', v_pair.pn));
    perform ensure_contact(v_instance, v_pair.pn, v_pair.lid, null, v_pair.sent_at, p_now, null, '{"ourselves": true}');
    v_learned := v_learned + 1;
  end loop;
  return jsonb_build_object('learned', v_learned);
end $$;

-- reconciled: a number has been compared up to this moment. Only forward.
-- Guarantee: the first comparison that reaches beyond a restore ends it (settle_restored). Result: {settled}.
create or replace function reconciled(p_instance text, p_until timestamptz, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_instance instances;
begin
  update instances set reconciled_at = greatest(reconciled_at, p_until)
    where name = p_instance returning * into v_instance;
  if not coalesce(p_until >= v_instance.restored_at, false) then return jsonb_build_object('settled', false); end if;
  perform settle_restored(v_instance, p_now);
  return jsonb_build_object('settled', true);
end $$;

-- Media: what a contact sent that is no text, read before it is answered.

-- unread_media: the media of a conversation that is to be read now: what waits for an answer and has not been looked
-- at, and what could not be read before and whose time has come. Pictures and documents are paid for where the agent
-- answers only. Of a burst of 30 and more nothing is read: it is a flood (checks/abuse.ts), unless it has waited for
-- the model. At most 100, those that have not been tried before the others: who has read them asks again. Read only.
-- Result: [{message_id, tenant_id, instance, provider_id, type, text, mimetype, file_name, seconds, bytes, attempts,
--   many: see too_many_files}], in the contact's order; null: none.
create or replace function unread_media(p_conversation bigint, p_now timestamptz)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_agg(media_item(u.m, u.attempts) order by (u.m).provider_at, (u.m).seq)
  from (select m, coalesce(w.attempts, 0) as attempts from conversations c
      join messages m on m.conversation_id = c.id left join media_waits w on w.message_id = m.id
    where c.id = p_conversation and m.type in ('audio', 'image', 'document', 'video')
    and (c.deferred_since is not null or (select count(*) from (select from inbox x where x.conversation_id = c.id
      limit 30) b) < 30)
    and m.id = any (array(select x.message_id from inbox x where x.conversation_id = p_conversation)
      || array(select d.message_id from media_waits d where d.conversation_id = p_conversation))
    and case when w.next_at <= p_now then m.media ->> 'read' in ('failed', 'later')
      when m.status <> 'received' or coalesce(m.media ->> 'read', 'later') <> 'later' then false
      when m.type = 'audio' then m.typed is null
      else coalesce(silenced_by(c, p_now), 'observe') = 'observe' and coalesce(c.quiet_until <= p_now, true) end
    order by w.message_id is not null, m.provider_at, m.seq limit 100) u
$$;

-- too_many_files: whether the contact of a message has had read what one may send in a day: 60 files, 300 pages. A
-- picture and a voice note are one page, and so is what was fetched and could not be opened, which cost the trying.
-- Counted from a day before the message on, so that what has waited finds the same bound. Those that are claimed at the
-- same moment do not see each other. Read only.
create or replace function too_many_files(p_message messages, p_pages int)
returns boolean language sql stable set search_path = public, pg_temp as $$
  select count(*) >= 60 or coalesce(sum(coalesce((m.media ->> 'paid')::int, (not m.media ? 'sha256')::int)), 0)
    + p_pages > 300
  from conversations h join conversations c on c.contact_id = h.contact_id join messages m on m.conversation_id = c.id
  where h.id = p_message.conversation_id and (m.media ? 'sha256' or m.media ->> 'why' in ('media_broken',
      'media_locked', 'media_too_long', 'media_too_large', 'media_unknown_kind', 'media_no_audio'))
    and m.id <> p_message.id
    and m.created_at > p_message.created_at - interval '1 day'
$$;

-- media_item: what is asked of the gateway and the reader for a message, see unread_media. Read only.
create or replace function media_item(p_message messages, p_attempts int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('message_id', p_message.id, 'tenant_id', p_message.tenant_id, 'instance', i.name,
    'provider_id', p_message.provider_id, 'type', p_message.type, 'text', p_message.text,
    'mimetype', p_message.media ->> 'mimetype', 'file_name', p_message.media ->> 'fileName',
    'seconds', (p_message.media ->> 'seconds')::numeric, 'bytes', (p_message.media ->> 'bytes')::numeric,
    'attempts', p_attempts, 'many', too_many_files(p_message, 1))
  from instances i where i.id = p_message.instance_id
$$;

-- claim_media: who reads a file, which nobody does twice at once or once more.
-- Arguments: p_message that brought it; p_lease_ms for so long it is the caller's; p_money where there is a ceiling:
--   {usd, model: the worst case of reading it, spend: see spend_room}; p_pages of a document, else 1. Concurrency:
--   callers of one file queue on its row, which comes before the message's.
-- Result: {state: 'read', words} | {state: 'busy'} somebody else reads it | {state: 'mine', lease: for record_media}
--   | {state: 'spent', ceiling} there is no room for it | {state: 'many'} the contact has had too many read
--   | {state: 'over'} its message has been read meanwhile, or is erased.
create or replace function claim_media(
  p_message bigint, p_tenant text, p_hash text, p_kind text, p_bytes int, p_lease_ms int, p_money jsonb default null,
  p_pages int default 1, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v_message messages; v_media media; v_ceiling text;
begin
  select * into v_message from messages where id = p_message
    and coalesce(media ->> 'read', 'later') in ('failed', 'later');
  if not found then return '{"state": "over"}'; end if;
  insert into media (tenant_id, sha256, kind, bytes, created_at) values (p_tenant, p_hash, p_kind, p_bytes, v_now)
    on conflict (tenant_id, sha256) do nothing;
  select * into v_media from media where tenant_id = p_tenant and sha256 = p_hash for update;
  if v_media.words is not null then return jsonb_build_object('state', 'read', 'words', v_media.words); end if;
  if v_media.lease_until > v_now then return '{"state": "busy"}'; end if;
  if too_many_files(v_message, p_pages) then return '{"state": "many"}'; end if;
  if p_money is not null then
    v_ceiling := reserve_media(v_media, (p_money ->> 'usd')::numeric, p_money ->> 'model', p_money -> 'spend', v_now);
    if v_ceiling is not null then return jsonb_build_object('state', 'spent', 'ceiling', v_ceiling); end if;
  end if;
  update media set lease_until = v_now + make_interval(secs => p_lease_ms / 1000.0) where id = v_media.id
    returning * into v_media;
  -- who pays, see too_many_files and claim_turns
  update messages set media = coalesce(media, '{}') || jsonb_build_object('sha256', p_hash, 'paid', p_pages)
    where id = p_message;
  return jsonb_build_object('state', 'mine', 'lease', v_media.lease_until);
end $$;

-- record_media: what a file says, kept as soon as it is known, with what was paid for it, whatever came of it; null
-- words: it was not read, and is anybody's again. The first words stay. Who comes later than the lease leaves the next
-- one's lease and reservation alone.
-- Arguments: p_lease that claim_media gave; p_seconds of audio that were given to the speech service; p_calls of the
--   model, as complete_turn's.
-- Not to be repeated: each call adds what it says was paid.
create or replace function record_media(
  p_tenant text, p_hash text, p_lease timestamptz, p_words text, p_reader text, p_seconds numeric default 0,
  p_calls jsonb default '[]', p_now timestamptz default null
) returns void language plpgsql set search_path = public, pg_temp as $$
declare v_id bigint; v_lease timestamptz;
begin
  select id, lease_until into v_id, v_lease from media where tenant_id = p_tenant and sha256 = p_hash for update;
  update media set words = coalesce(words, p_words), reader = case when words is null then p_reader else reader end,
    lease_until = case when v_lease is distinct from p_lease then v_lease end, calls = calls + 1,
    seconds = seconds + coalesce(p_seconds, 0),
    read_at = case when words is null and p_words is not null then clock(p_now) else read_at end
    where id = v_id;
  delete from spend_reservations where media_id = v_id and v_lease = p_lease;
  insert into model_calls (tenant_id, media_id, model, outcome, ms, input_tokens, output_tokens, thinking_tokens,
    cache_read_tokens, cache_write_tokens, cost_usd, estimated, detail, cache_miss)
    select p_tenant, v_id, r.model, r.outcome, r.ms, r.input_tokens, r.output_tokens, coalesce(r.thinking_tokens, 0),
      r.cache_read_tokens, r.cache_write_tokens, r.cost_usd, coalesce(r.estimated, false), r.detail, r.cache_miss
    from model_calls_of(jsonb_build_object('model_calls', p_calls)) r;
  perform add_spend(p_tenant, 'files', null, sum(r.cost_usd), count(*)::int,
      (count(*) filter (where r.cost_usd is null))::int, 0, clock(p_now))
    from model_calls_of(jsonb_build_object('model_calls', p_calls)) r having count(*) > 0;
  -- nobody knows what the speech service takes for a second
  perform add_spend(p_tenant, 'audio', null, 0, 1, 1, p_seconds, clock(p_now)) where p_seconds > 0;
end $$;

-- hold_unread: a message whose media nobody has read yet, locked, and its conversation before it; its id is null when
-- it has been read meanwhile, or is gone, or has moved to another conversation.
create or replace function hold_unread(p_message bigint)
returns messages language plpgsql set search_path = public, pg_temp as $$
declare v_conversation bigint; v_message messages;
begin
  select c.id into v_conversation from conversations c join messages m on m.conversation_id = c.id
    where m.id = p_message for no key update of c;
  select * into v_message from messages where id = p_message and conversation_id = v_conversation
    and (type <> 'audio' or typed is null) and coalesce(media ->> 'read', 'later') in ('failed', 'later') for update;
  return v_message;
end $$;

-- media_text: a message's text with this note of its media in place of the one that it has, and what was said in it.
create or replace function media_text(p_text text, p_note text, p_said text) returns text language sql immutable as $$
  select concat_ws(E'\n', p_note, nullif(regexp_replace(p_text, E'^[^\n]*\n?', ''), ''), p_said)
$$;

-- read_media: the media of a message has been read: it is the message's from now on, and means what it says.
-- Guarantee: repeating it changes nothing. When an answer has gone out without it and nobody has said anything since,
--   the message waits for an answer again; else only the history is mended. An answer that is being made without it
--   is superseded. What was deleted stays deleted.
-- Arguments: p_note what the model and the history show of it; p_said what was said, null: nothing, or it is no audio;
--   p_meaning see take_meaning; p_hash of the file.
-- Concurrency: locks the conversation. Result: {conversation_id, wake: it has something to answer}, or null: there is
--   nothing to mend.
create or replace function read_media(
  p_message bigint, p_hash text, p_note text, p_said text, p_meaning jsonb, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_message messages := hold_unread(p_message);
  v_conversation conversations;
  v_says boolean := p_said is not null or v_message.type <> 'audio';
  v_again boolean;
  v_meaning jsonb;
begin
  if v_message.id is null then return null; end if;
  select * into v_conversation from conversations where id = v_message.conversation_id;
  delete from media_waits where message_id = p_message;
  v_again := v_message.status = 'answered' and v_message.deleted_at is null and v_says
    and v_conversation.controlled_by = 'agent' and coalesce(v_conversation.takeover_until <= clock(p_now), true)
    and not exists (select from messages l where l.conversation_id = v_conversation.id and l.seq > v_message.seq
      and (l.author = 'human' or (l.direction = 'in' and l.turn_id is distinct from v_message.turn_id)));
  if p_meaning is not null and v_message.deleted_at is null then
    v_meaning := take_meaning(v_conversation, p_meaning, false, v_message.provider_at, false, null, clock(p_now));
  end if;
  update messages set text = case when deleted_at is null then media_text(text, p_note, p_said) else text end,
    typed = case when deleted_at is null then coalesce(p_said, typed) else typed end,
    meaning = coalesce(v_meaning, meaning),
    media = coalesce(media, '{}') || jsonb_build_object('sha256', p_hash, 'note', p_note,
      'read', case when v_says then 'words' else 'silent' end),
    status = case when v_again then 'received' else status end, reason = case when v_again then null else reason end,
    turn_id = case when v_again then null else turn_id end where id = p_message;
  -- a turn that is under way read it as it was
  v_again := v_again or (v_message.status = 'received' and exists (select from turns t
    where t.conversation_id = v_conversation.id and t.status = 'open'));
  if v_again then
    update conversations set inbound_seq = inbound_seq + 1 where id = v_conversation.id;
  end if;
  return jsonb_build_object('conversation_id', v_conversation.id, 'wake', v_again);
end $$;

-- fail_media: the media of a message could not be read: it says so, is answered as it is, and is tried again at the
-- time given, or never.
-- Arguments: p_note what the model and the history show meanwhile; p_retry_ms null: there is no use in it; p_counts
--   false: it is nobody's fault and uses no attempt, and while the message waits for an answer each turn tries again.
-- Concurrency: locks the conversation. Idempotent for what has been read meanwhile. Result: {}.
create or replace function fail_media(
  p_message bigint, p_note text, p_reason text, p_retry_ms int, p_counts boolean default true,
  p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_message messages := hold_unread(p_message);
begin
  if v_message.id is null then return '{}'; end if;
  update messages set text = case when deleted_at is null then media_text(text, p_note, null) else text end,
    media = coalesce(media, '{}') || jsonb_build_object('read', case when p_counts then 'failed' else 'later' end,
      'note', p_note, 'why', p_reason) where id = p_message;
  insert into media_waits (message_id, tenant_id, conversation_id, attempts, reason, next_at, updated_at)
    values (p_message, v_message.tenant_id, v_message.conversation_id, p_counts::int, p_reason,
      clock(p_now) + make_interval(secs => p_retry_ms / 1000.0), clock(p_now))
    on conflict (message_id) do update set attempts = media_waits.attempts + p_counts::int, reason = excluded.reason,
      next_at = excluded.next_at, updated_at = excluded.updated_at;
  return '{}';
end $$;

-- due_media: conversations with media whose time has come to be tried again, the oldest first: their next turn reads
-- it, see unread_media. Read only.
create or replace function due_media(p_limit int, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(d.conversation_id order by d.due), '[]') from (
    select conversation_id, min(next_at) as due from media_waits where next_at <= clock(p_now)
      group by conversation_id order by due limit p_limit) d
$$;

revoke all on function
  keep_inbox(),
  ensure_conversation(instances, bigint, text, boolean),
  first_pending(bigint),
  lock_provider_id(bigint, text),
  hear(jsonb, jsonb, timestamptz),
  named_in(heard_event[]),
  hold_chats(heard_event[]),
  plain_receipts(heard_event[], timestamptz),
  plain_words(heard_event[], jsonb, timestamptz),
  record_plain(jsonb, heard_event[], timestamptz),
  unread_media(bigint, timestamptz),
  too_many_files(messages, int),
  media_item(messages, int),
  claim_media(bigint, text, text, text, int, int, jsonb, int, timestamptz),
  record_media(text, text, timestamptz, text, text, numeric, jsonb, timestamptz),
  hold_unread(bigint),
  media_text(text, text, text),
  read_media(bigint, text, text, text, jsonb, timestamptz),
  fail_media(bigint, text, text, int, boolean, timestamptz),
  due_media(int, timestamptz),
  fits_chat(bigint, bigint, jsonb, jsonb),
  known_message(bigint, text, jsonb, jsonb, boolean),
  news_of(bigint, text, jsonb, boolean),
  apply_update(bigint, jsonb, timestamptz),
  take_back_answer(bigint),
  may_change(messages, conversations, jsonb),
  change_words(messages, jsonb, timestamptz),
  apply_early(bigint, text, timestamptz),
  withdraw_parts(bigint),
  lacks_words(messages, boolean),
  repeated_message(instances, messages, jsonb, boolean, timestamptz),
  record_message(instances, jsonb, jsonb, timestamptz),
  meet_known(instances, messages, jsonb, timestamptz, timestamptz),
  meet_unknown(instances, jsonb, timestamptz, timestamptz),
  settle_echo(messages, text, boolean, timestamptz, timestamptz),
  message_contact(instances, jsonb, timestamptz, timestamptz),
  lock_typed(bigint, text, bigint),
  meet_own_words(conversations, jsonb, timestamptz, timestamptz),
  event_text(jsonb),
  judge_event(instances, conversations, jsonb, jsonb, text, timestamptz, bigint, timestamptz),
  store_message(conversations, bigint, jsonb, jsonb, timestamptz, text, timestamptz),
  comes_from_manager(instances, jsonb, jsonb),
  complete_message(bigint, jsonb, jsonb, text),
  event_author(boolean, text),
  is_context(jsonb),
  take_inbound(conversations, bigint, bigint, text, timestamptz, jsonb, timestamptz),
  put_aside(text, text, text, text, timestamptz),
  body_of_ignored(text, text, jsonb, timestamptz),
  is_unplaced(text),
  ignored_reasons(jsonb),
  chat_hashes(bigint, jsonb),
  remember_forged(instances, jsonb, timestamptz),
  meets_forged(instances, jsonb, boolean, timestamptz),
  spend_kept(uuid, timestamptz),
  record_inbound(jsonb, jsonb, timestamptz),
  pending_since(text, text, text, jsonb, timestamptz),
  own_words(text, text),
  folded_words(text),
  judge_own(jsonb),
  said_at(messages),
  own_facts(conversations, text, text, timestamptz, bigint, timestamptz),
  undo_takeover(bigint, timestamptz, timestamptz),
  mark_automatic(bigint, text, text, timestamptz, timestamptz),
  lock_own_words(bigint, text),
  judge_message(conversations, text, text, timestamptz, boolean, boolean, bigint, boolean, timestamptz),
  judge_again(conversations, timestamptz, timestamptz),
  audit_handset(conversations, text, timestamptz),
  take_own(conversations, bigint, timestamptz, text, text, text, jsonb, timestamptz),
  own_chat(instances, jsonb, jsonb),
  contact_at(instances, text, text),
  greetings_to_tell(int),
  record_greeting_told(text, timestamptz),
  take_meaning(conversations, jsonb, boolean, timestamptz, boolean, jsonb, timestamptz),
  stored_webhook(text, bigint),
  ignored_of(text, text, text),
  is_whole(jsonb),
  list_ignored(text, text, text, int),
  ignored_webhooks(text, text, text, bigint, int),
  ignored_message(text, text),
  reopen_inbound(text, text, text, jsonb, text, text, timestamptz),
  reconcile_from(text, int, timestamptz),
  teach_addresses(text, jsonb, timestamptz),
  reconciled(text, timestamptz, timestamptz)
  from public, anon, authenticated;
grant execute on function
  keep_inbox(),
  ensure_conversation(instances, bigint, text, boolean),
  first_pending(bigint),
  lock_provider_id(bigint, text),
  hear(jsonb, jsonb, timestamptz),
  named_in(heard_event[]),
  hold_chats(heard_event[]),
  plain_receipts(heard_event[], timestamptz),
  plain_words(heard_event[], jsonb, timestamptz),
  record_plain(jsonb, heard_event[], timestamptz),
  unread_media(bigint, timestamptz),
  too_many_files(messages, int),
  media_item(messages, int),
  claim_media(bigint, text, text, text, int, int, jsonb, int, timestamptz),
  record_media(text, text, timestamptz, text, text, numeric, jsonb, timestamptz),
  hold_unread(bigint),
  media_text(text, text, text),
  read_media(bigint, text, text, text, jsonb, timestamptz),
  fail_media(bigint, text, text, int, boolean, timestamptz),
  due_media(int, timestamptz),
  fits_chat(bigint, bigint, jsonb, jsonb),
  known_message(bigint, text, jsonb, jsonb, boolean),
  news_of(bigint, text, jsonb, boolean),
  apply_update(bigint, jsonb, timestamptz),
  take_back_answer(bigint),
  may_change(messages, conversations, jsonb),
  change_words(messages, jsonb, timestamptz),
  apply_early(bigint, text, timestamptz),
  withdraw_parts(bigint),
  lacks_words(messages, boolean),
  repeated_message(instances, messages, jsonb, boolean, timestamptz),
  record_message(instances, jsonb, jsonb, timestamptz),
  meet_known(instances, messages, jsonb, timestamptz, timestamptz),
  meet_unknown(instances, jsonb, timestamptz, timestamptz),
  settle_echo(messages, text, boolean, timestamptz, timestamptz),
  message_contact(instances, jsonb, timestamptz, timestamptz),
  lock_typed(bigint, text, bigint),
  meet_own_words(conversations, jsonb, timestamptz, timestamptz),
  event_text(jsonb),
  judge_event(instances, conversations, jsonb, jsonb, text, timestamptz, bigint, timestamptz),
  store_message(conversations, bigint, jsonb, jsonb, timestamptz, text, timestamptz),
  comes_from_manager(instances, jsonb, jsonb),
  complete_message(bigint, jsonb, jsonb, text),
  event_author(boolean, text),
  is_context(jsonb),
  take_inbound(conversations, bigint, bigint, text, timestamptz, jsonb, timestamptz),
  put_aside(text, text, text, text, timestamptz),
  body_of_ignored(text, text, jsonb, timestamptz),
  is_unplaced(text),
  ignored_reasons(jsonb),
  chat_hashes(bigint, jsonb),
  remember_forged(instances, jsonb, timestamptz),
  meets_forged(instances, jsonb, boolean, timestamptz),
  spend_kept(uuid, timestamptz),
  record_inbound(jsonb, jsonb, timestamptz),
  pending_since(text, text, text, jsonb, timestamptz),
  own_words(text, text),
  folded_words(text),
  judge_own(jsonb),
  said_at(messages),
  own_facts(conversations, text, text, timestamptz, bigint, timestamptz),
  undo_takeover(bigint, timestamptz, timestamptz),
  mark_automatic(bigint, text, text, timestamptz, timestamptz),
  lock_own_words(bigint, text),
  judge_message(conversations, text, text, timestamptz, boolean, boolean, bigint, boolean, timestamptz),
  judge_again(conversations, timestamptz, timestamptz),
  audit_handset(conversations, text, timestamptz),
  take_own(conversations, bigint, timestamptz, text, text, text, jsonb, timestamptz),
  own_chat(instances, jsonb, jsonb),
  contact_at(instances, text, text),
  greetings_to_tell(int),
  record_greeting_told(text, timestamptz),
  take_meaning(conversations, jsonb, boolean, timestamptz, boolean, jsonb, timestamptz),
  stored_webhook(text, bigint),
  ignored_of(text, text, text),
  is_whole(jsonb),
  list_ignored(text, text, text, int),
  ignored_webhooks(text, text, text, bigint, int),
  ignored_message(text, text),
  reopen_inbound(text, text, text, jsonb, text, text, timestamptz),
  reconcile_from(text, int, timestamptz),
  teach_addresses(text, jsonb, timestamptz),
  reconciled(text, timestamptz, timestamptz)
  to service_role, whats_agents_runtime;
