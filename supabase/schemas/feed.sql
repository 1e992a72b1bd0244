-- What happened, told to other programs: written down in the transaction that makes it true, numbered when somebody
-- reads it, read by cursor.
--
-- Whether a tenant's events are written down, its row in event_feeds says: it is there once a subscription was added or
-- somebody has read. Nobody's row costs a message one look into that narrow table.
--
-- Transactions end in another order than the one in which they wrote, so an id of a sequence is no cursor: a reader
-- would pass rows that are not there yet. So `seq` is given later, to what is committed, by one caller at a time
-- (number_events): whoever has read until a seq has missed nothing before it.

-- utc_text: a moment as events say it.
create or replace function utc_text(p_at timestamptz) returns text language sql immutable as
$$ select to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;

-- keep_events: from now on a tenant's events are written down. Concurrency: any number of callers.
create or replace function keep_events(p_tenant text) returns void language plpgsql set search_path = public, pg_temp
as $$
begin
  if exists (select from event_feeds where tenant_id = p_tenant and kept) then return; end if;
  -- what happened meanwhile is not there: who has read before is told so, by a cursor that is no more
  insert into event_feeds (tenant_id, read_at) values (p_tenant, clock_timestamp())
    on conflict (tenant_id) do update set kept = true, numbered = event_feeds.numbered + 1,
      gone = event_feeds.numbered + 1, read_at = clock_timestamp() where not event_feeds.kept;
end $$;

-- emit_event: something has happened. Called in the transaction that makes it true.
-- Guarantee: of one type and p_once there is one event, however often it is told. Where a tenant's events are not kept
--   nothing is written.
-- Arguments: p_once what it is of, in a word (the id of its row, mostly); null: it can be told once only. p_subject
--   {contact_id, conversation_id, message_id}, what is known of these: they stand in the payload too, and with the
--   contact the event is erased. p_payload without what stands in p_subject. p_causation the id of the event that led
--   to it (event_of_message), or null.
-- Concurrency: any number of callers; nobody waits, but for a caller with the same p_once. Result: the event's id;
--   null: nothing was written.
create or replace function emit_event(
  p_tenant text, p_type text, p_once text, p_subject jsonb, p_payload jsonb, p_correlation_id text, p_causation_id uuid,
  p_now timestamptz
) returns uuid language plpgsql set search_path = public, pg_temp as $$
declare v_id uuid;
begin
  if not exists (select from event_feeds where tenant_id = p_tenant and kept) then return null; end if;
  insert into events (tenant_id, type, once, contact_id, message_id, occurred_at, correlation_id, causation_id, payload)
    values (p_tenant, p_type, coalesce(p_once, gen_random_uuid()::text), (p_subject ->> 'contact_id')::bigint,
      (p_subject ->> 'message_id')::bigint, clock(p_now), p_correlation_id, p_causation_id, p_subject || p_payload)
    on conflict (tenant_id, type, once) do nothing returning event_id into v_id;
  return v_id;
end $$;

-- event_of_message: the event that says that a contact's message came; null: there is none.
create or replace function event_of_message(p_tenant text, p_message bigint) returns uuid language sql stable as $$
  select event_id from events where tenant_id = p_tenant and message_id = p_message and type = 'message.received'
    order by id desc limit 1
$$;

-- event_of_turn: the event of the newest message that a turn has read; null: there is none.
create or replace function event_of_turn(p_tenant text, p_turn bigint) returns uuid language sql stable as $$
  select event_of_message(p_tenant, (select id from messages where turn_id = p_turn and direction = 'in'
    order by seq desc limit 1))
$$;

-- talk_subject: what every event of a conversation says of it. Arguments: p_message null: it is about no message.
create or replace function talk_subject(p_conversation bigint, p_message bigint)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('contact_id', c.contact_id, 'conversation_id', c.id, 'instance', i.name,
      'phone', case when c.jid like '%@s.whatsapp.net' then split_part(c.jid, '@', 1) else (select a.address
        from contact_addresses a where a.contact_id = c.contact_id and a.kind = 'pn' order by a.id desc limit 1) end)
      || case when p_message is null then '{}' else jsonb_build_object('message_id', p_message) end
    from conversations c join instances i on i.id = c.instance_id where c.id = p_conversation
$$;

-- tell_received: a contact's message came. One that came without its words is told at once, and again with them. Not of
-- these are reactions, what WhatsApp's own machines say, and commands of the manager.
create or replace function tell_received() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if new.meaning ? 'command' or not exists (select from event_feeds where tenant_id = new.tenant_id and kept) then
    return null;
  end if;
  perform emit_event(new.tenant_id, 'message.received', new.id || case tg_op when 'UPDATE' then '/words' else '' end,
    talk_subject(new.conversation_id, new.id), jsonb_build_object(
      'name', (select k.name from conversations c join contacts k on k.id = c.contact_id
        where c.id = new.conversation_id),
      'type', new.type, 'text', coalesce(new.typed, new.text), 'wordless', new.wordless,
      'provider_id', new.provider_id, 'sent_at', utc_text(new.provider_at)),
    new.correlation_id, null, new.created_at);
  return null;
end $$;

create or replace trigger events_received after insert on messages for each row when (new.status = 'received')
  execute function tell_received();

create or replace trigger events_words after update of wordless on messages for each row
  when (old.wordless and not new.wordless and new.status = 'received') execute function tell_received();

-- tell_sent: a message of ours is at WhatsApp, told by whom it may be: the call's answer, a look-up, an echo or a
-- receipt. A message of an order is told as a notice too. Not of these is what is written to those who run this.
create or replace function tell_sent() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare v_subject jsonb; v_cause uuid; v_notice order_notices;
begin
  if not exists (select from event_feeds where tenant_id = new.tenant_id and kept) then return null; end if;
  v_subject := talk_subject(new.conversation_id, new.id);
  if new.turn_id is not null then v_cause := event_of_turn(new.tenant_id, new.turn_id); end if;
  v_cause := coalesce(emit_event(new.tenant_id, 'message.sent', new.id::text, v_subject, jsonb_build_object(
      'kind', new.kind, 'author', new.author, 'type', new.type, 'text', new.text, 'provider_id', new.provider_id,
      'campaign', new.campaign_id, 'sent_at', utc_text(new.provider_at)),
    new.correlation_id, v_cause, new.provider_at), v_cause);
  if not is_notice(new.kind) then return null; end if;
  select * into v_notice from order_notices where message_id = new.id and outcome = 'queued' order by id limit 1;
  if found then
    perform emit_event(new.tenant_id, 'notice.sent', v_notice.id::text, v_subject, jsonb_build_object(
        'notice_id', v_notice.id, 'type', v_notice.type, 'reference', v_notice.reference, 'test', v_notice.test,
        'sent_at', utc_text(new.provider_at)),
      new.correlation_id, v_cause, new.provider_at);
  end if;
  return null;
end $$;

create or replace trigger events_sent after update of status on messages for each row
  when (new.status in ('sent', 'delivered', 'read') and old.status not in ('sent', 'delivered', 'read')
    and new.kind <> 'operator') execute function tell_sent();

-- tell_handed_over: a person has the conversation now, whoever decided so. A takeover by the handset is none: it ends
-- by itself.
create or replace function tell_handed_over() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare v_handoff handoffs;
begin
  if not exists (select from event_feeds where tenant_id = new.tenant_id and kept) then return null; end if;
  select * into v_handoff from handoffs where conversation_id = new.id and controls and status <> 'returned';
  perform emit_event(new.tenant_id, 'conversation.handed_over', null, talk_subject(new.id, null), jsonb_build_object(
      'handoff_id', v_handoff.id, 'reason', handoff_code(new.escalation_reason), 'summary', v_handoff.summary,
      'taken_by', new.taken_by),
    (select correlation_id from turns where id = v_handoff.turn_id),
    event_of_turn(new.tenant_id, v_handoff.turn_id), null);
  return null;
end $$;

create or replace trigger events_handed_over after update of controlled_by on conversations for each row
  when (old.controlled_by = 'agent' and new.controlled_by = 'human') execute function tell_handed_over();

-- tell_instance: a number's connection is another than before.
create or replace function tell_instance() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  perform emit_event(new.tenant_id, 'instance.status', null, '{}', jsonb_build_object('instance', new.name,
    'phone', new.phone, 'status', new.status, 'was', old.status, 'status_reason', new.status_reason), null, null, null);
  return null;
end $$;

create or replace trigger events_instance after update of status on instances for each row
  when (old.status is distinct from new.status) execute function tell_instance();

-- number_events: gives what is committed and has none its seq, the oldest first.
-- Guarantee: seqs are given without a hole; what gets one later has a higher one, so who has read until a seq has
--   missed nothing before it. An event that was committed before another began stands before it.
-- Arguments: p_limit at most so many. Concurrency: callers of one tenant queue on its feed; who writes events does not
--   wait. Result: how many got one.
create or replace function number_events(p_tenant text, p_limit int)
returns int language plpgsql set search_path = public, pg_temp as $$
declare v_feed event_feeds; v_n int;
begin
  if not exists (select from events where tenant_id = p_tenant and seq is null) then return 0; end if;
  select * into v_feed from event_feeds where tenant_id = p_tenant for update;
  with next as materialized (select id, row_number() over (order by id) as n from (select id from events
      where tenant_id = p_tenant and seq is null order by id limit p_limit) o)
  update events e set seq = v_feed.numbered + next.n from next where e.id = next.id;
  get diagnostics v_n = row_count;
  update event_feeds set numbered = v_feed.numbered + v_n where tenant_id = p_tenant;
  return v_n;
end $$;

-- event_envelope: an event as it is told; the same whenever it is.
create or replace function event_envelope(p_event events)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('id', p_event.event_id, 'type', p_event.type, 'version', 1,
    'occurred_at', utc_text(p_event.occurred_at), 'company_id', p_event.tenant_id, 'source', 'whats-agents',
    'correlation_id', p_event.correlation_id, 'causation_id', p_event.causation_id, 'payload', p_event.payload)
$$;

-- read_events: a page of a tenant's events, in order. Whose events were not kept has them kept from now on.
-- Guarantee: who calls again with the cursor of each answer gets each event once, and none is missed, whoever writes
--   meanwhile.
-- Arguments: p_after a cursor, or null: from the oldest that is kept; p_types [type], null: all.
-- Concurrency: any number of callers. Result: {outcome: 'events', events: [envelope], cursor, more: there may be others
--   at once} | {outcome: 'gone', cursor: the oldest that can be asked for: events between have been deleted, or p_after
--   is no cursor of these events}.
create or replace function read_events(
  p_tenant text, p_after bigint, p_types jsonb, p_limit int, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_feed event_feeds; v_events jsonb; v_n int; v_last bigint;
begin
  perform keep_events(p_tenant);
  perform number_events(p_tenant, p_limit + 1000);
  update event_feeds set read_at = clock(p_now) where tenant_id = p_tenant
    and read_at < clock(p_now) - interval '10 minutes';
  select * into v_feed from event_feeds where tenant_id = p_tenant;
  if p_after < v_feed.gone or p_after > v_feed.numbered then
    return jsonb_build_object('outcome', 'gone', 'cursor', v_feed.gone);
  end if;
  select coalesce(jsonb_agg(event_envelope(e) order by e.seq), '[]'), count(*), max(e.seq)
    into v_events, v_n, v_last
    from (select * from events where tenant_id = p_tenant and seq > coalesce(p_after, v_feed.gone)
      and (p_types is null or p_types ? type) order by seq limit p_limit) e;
  return jsonb_build_object('outcome', 'events', 'events', v_events, 'cursor', case when v_n = p_limit then v_last
    else greatest(v_last, v_feed.numbered) end, 'more', v_n = p_limit or exists (select from events
      where tenant_id = p_tenant and seq is null));
end $$;

-- purge_events: what is older than p_before goes, and a feed that nobody reads any more is not written down.
-- Guarantee: what is deleted has a seq, and the feed says until where it is gone, so a reader that comes later is told.
--   Where p_before is null nothing is done. Concurrency: any number at once; it waits for who reads. Result: how many.
create or replace function purge_events(p_before timestamptz, p_limit int)
returns int language plpgsql set search_path = public, pg_temp as $$
declare v_feed event_feeds; v_gone bigint; v_n int := 0; v_last bigint;
begin
  if p_before is null then return 0; end if;
  for v_feed in select * from event_feeds order by tenant_id loop
    if v_feed.kept and v_feed.read_at < p_before then
      update event_feeds set kept = false where tenant_id = v_feed.tenant_id and read_at < p_before;
    end if;
    if not exists (select from events where id = (select min(id) from events where tenant_id = v_feed.tenant_id)
      and created_at < p_before) then continue; end if;
    perform number_events(v_feed.tenant_id, p_limit);
    with old as (select id from events where tenant_id = v_feed.tenant_id and seq is not null order by seq
        limit p_limit),
      gone as (delete from events e using old where e.id = old.id and e.created_at < p_before returning e.seq)
      select max(seq), count(*) into v_last, v_gone from gone;
    update event_feeds set gone = greatest(gone, v_last) where tenant_id = v_feed.tenant_id and v_last is not null;
    v_n := greatest(v_n, v_gone::int);
  end loop;
  return v_n;
end $$;

revoke all on function
  utc_text(timestamptz),
  keep_events(text),
  emit_event(text, text, text, jsonb, jsonb, text, uuid, timestamptz),
  event_of_message(text, bigint),
  event_of_turn(text, bigint),
  talk_subject(bigint, bigint),
  tell_received(),
  tell_sent(),
  tell_handed_over(),
  tell_instance(),
  number_events(text, int),
  event_envelope(events),
  read_events(text, bigint, jsonb, int, timestamptz),
  purge_events(timestamptz, int)
  from public, anon, authenticated;
grant execute on function
  utc_text(timestamptz),
  keep_events(text),
  emit_event(text, text, text, jsonb, jsonb, text, uuid, timestamptz),
  event_of_message(text, bigint),
  event_of_turn(text, bigint),
  talk_subject(bigint, bigint),
  tell_received(),
  tell_sent(),
  tell_handed_over(),
  tell_instance(),
  number_events(text, int),
  event_envelope(events),
  read_events(text, bigint, jsonb, int, timestamptz),
  purge_events(timestamptz, int)
  to service_role, whats_agents_runtime;
