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

-- add_subscription: a program is posted events from now on; its tenant's events are kept.
-- Guarantee: subscription, secret and audit come together; at most p_most of a tenant. Arguments: p_types [type], null:
--   all; p_secret the name under which p_sealed is kept. Concurrency: those of one tenant wait for each other.
-- Result: {outcome: 'added' | 'full', id}.
create or replace function add_subscription(
  p_tenant text, p_url text, p_types jsonb, p_secret text, p_sealed text, p_most int, p_actor text,
  p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_id bigint; v_cursor bigint;
begin
  perform from tenants where id = p_tenant for no key update;
  if (select count(*) from subscriptions where tenant_id = p_tenant) >= p_most then
    return jsonb_build_object('outcome', 'full', 'id', null);
  end if;
  perform keep_events(p_tenant);
  -- what is written and was not read yet was before it
  while number_events(p_tenant, 10000) > 0 loop end loop;
  select numbered into v_cursor from event_feeds where tenant_id = p_tenant;
  insert into subscriptions (tenant_id, url, types, secret, cursor, created_by, created_at)
    values (p_tenant, p_url, p_types, p_secret, v_cursor, p_actor, clock(p_now)) returning id into v_id;
  insert into tenant_secrets (tenant_id, name, sealed, updated_by) values (p_tenant, p_secret, p_sealed, p_actor);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) values (p_tenant, p_actor,
    'subscription.add', v_id::text, jsonb_build_object('url', p_url, 'types', p_types), clock(p_now));
  return jsonb_build_object('outcome', 'added', 'id', v_id);
end $$;

-- subscription_row: a subscription as it is shown; of its secret the name.
create or replace function subscription_row(p_subscription subscriptions)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('id', p_subscription.id, 'url', p_subscription.url, 'types', p_subscription.types,
    'status', p_subscription.status, 'cursor', p_subscription.cursor, 'secret_name', p_subscription.secret,
    'previous_until', p_subscription.previous_until, 'failures', p_subscription.failures,
    'failing_since', p_subscription.failing_since, 'due_at', p_subscription.due_at,
    'last_fault', p_subscription.last_fault, 'delivered_at', p_subscription.delivered_at,
    'waiting', (select count(*) from events e where e.tenant_id = p_subscription.tenant_id
      and (e.seq is null or e.seq > p_subscription.cursor)
      and (p_subscription.types is null or p_subscription.types ? e.type)))
$$;

-- list_subscriptions: of a tenant, the oldest first. Arguments: p_id only this one; null: all. Read only.
create or replace function list_subscriptions(p_tenant text, p_id bigint)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(subscription_row(s) order by s.id), '[]') from subscriptions s
    where s.tenant_id = p_tenant and (p_id is null or s.id = p_id)
$$;

-- remove_subscription: it is posted nothing more, and its secrets go. Audited. Result: whether it was there.
create or replace function remove_subscription(p_tenant text, p_id bigint, p_actor text)
returns boolean language plpgsql set search_path = public, pg_temp as $$
declare v subscriptions;
begin
  delete from subscriptions where tenant_id = p_tenant and id = p_id returning * into v;
  if not found then return false; end if;
  delete from tenant_secrets where tenant_id = p_tenant and name in (v.secret, v.secret || '_OLD');
  insert into audit_log (tenant_id, actor, action, subject) values (p_tenant, p_actor, 'subscription.remove',
    p_id::text);
  return true;
end $$;

-- replay_subscription: it is posted again what came after a cursor, with the same ids; one that was disabled is in
-- force again. Audited. Arguments: p_after null: from where it stands. Concurrency: a post under way counts no more.
-- Result: {outcome: 'again', cursor} | {outcome: 'gone', cursor: the oldest that there is} | {outcome: 'unknown'}.
create or replace function replay_subscription(
  p_tenant text, p_id bigint, p_after bigint, p_actor text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v subscriptions; v_feed event_feeds; v_cursor bigint;
begin
  select * into v from subscriptions where tenant_id = p_tenant and id = p_id for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  perform keep_events(p_tenant);
  select * into v_feed from event_feeds where tenant_id = p_tenant;
  v_cursor := coalesce(p_after, greatest(v.cursor, v_feed.gone));
  if v_cursor < v_feed.gone or v_cursor > v_feed.numbered then
    return jsonb_build_object('outcome', 'gone', 'cursor', v_feed.gone);
  end if;
  update subscriptions set cursor = v_cursor, status = 'active', failures = 0, failing_since = null,
    due_at = clock(p_now), claim = claim + 1, lease_until = null where id = p_id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) values (p_tenant, p_actor,
    'subscription.replay', p_id::text, jsonb_build_object('after', v_cursor), clock(p_now));
  return jsonb_build_object('outcome', 'again', 'cursor', v_cursor);
end $$;

-- rotate_subscription: it is signed with a new secret, and with the one before too until p_until. Audited.
-- Arguments: p_sealed, p_previous sealed. Result: whether it is there.
create or replace function rotate_subscription(
  p_tenant text, p_id bigint, p_sealed text, p_previous text, p_until timestamptz, p_actor text
) returns boolean language plpgsql set search_path = public, pg_temp as $$
declare v subscriptions;
begin
  update subscriptions set previous_until = p_until where tenant_id = p_tenant and id = p_id returning * into v;
  if not found then return false; end if;
  insert into tenant_secrets (tenant_id, name, sealed, updated_by)
    values (p_tenant, v.secret, p_sealed, p_actor), (p_tenant, v.secret || '_OLD', p_previous, p_actor)
    on conflict (tenant_id, name) do update set sealed = excluded.sealed, updated_by = excluded.updated_by,
      updated_at = now();
  insert into audit_log (tenant_id, actor, action, subject) values (p_tenant, p_actor, 'subscription.rotate',
    p_id::text);
  return true;
end $$;

-- claim_push: gives out a subscription that has something to be posted, with what comes next, in order.
-- Guarantee: at most one caller has a subscription at a time, until its lease ends; what it was given stays next until
--   record_push says that it arrived, so a caller that dies has it posted again, with the same ids.
-- Arguments: p_limit events. Concurrency: any number; each gets another subscription.
-- Result: {id, claim, tenant, url, secret: the name of its secret, previous: the one before counts still, events:
--   [{seq, event: envelope}], through: so far there is nothing else for it} or null: nothing is due.
create or replace function claim_push(p_worker text, p_lease_ms int, p_limit int, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v subscriptions; v_events jsonb; v_feed event_feeds;
begin
  for v in select * from subscriptions s where s.status = 'active' and s.due_at <= v_now
      and (s.lease_until is null or s.lease_until <= v_now) and (exists (select from events e
        where e.tenant_id = s.tenant_id and e.seq is null) or s.cursor < (select f.numbered from event_feeds f
          where f.tenant_id = s.tenant_id)) order by s.due_at, s.id for update skip locked loop
    perform number_events(v.tenant_id, 1000);
    select * into v_feed from event_feeds where tenant_id = v.tenant_id;
    select jsonb_agg(jsonb_build_object('seq', e.seq, 'event', event_envelope(e)) order by e.seq) into v_events
      from (select * from events where tenant_id = v.tenant_id and seq > v.cursor
        and (v.types is null or v.types ? type) order by seq limit p_limit) e;
    if v_events is null then
      update subscriptions set cursor = v_feed.numbered where id = v.id;
      continue;
    end if;
    update subscriptions set claim = claim + 1, worker = p_worker,
      lease_until = v_now + make_interval(secs => p_lease_ms / 1000.0) where id = v.id returning * into v;
    return jsonb_build_object('id', v.id, 'claim', v.claim, 'tenant', v.tenant_id, 'url', v.url, 'secret', v.secret,
      'previous', coalesce(v.previous_until > v_now, false), 'failures', v.failures, 'events', v_events);
  end loop;
  return null;
end $$;

-- record_push: what came of a post. One that arrived moves the subscription on; one that did not is posted again after
-- a wait, with the same id, and after p_patience_ms of failures the subscription is disabled.
-- Arguments: p_seq the event; p_fault null: it arrived; p_wait_ms until the next attempt; p_last nothing more is posted
--   under this claim. Guarantee: only the newest claim counts. Result: {recorded, disabled}.
create or replace function record_push(
  p_id bigint, p_claim bigint, p_seq bigint, p_fault text, p_wait_ms bigint, p_patience_ms bigint, p_lease_ms int,
  p_last boolean, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v subscriptions; v_disabled boolean := false;
begin
  select * into v from subscriptions where id = p_id for update;
  if v.claim is distinct from p_claim or v.status <> 'active' then
    return jsonb_build_object('recorded', false, 'disabled', false);
  end if;
  if p_fault is null then
    update subscriptions set cursor = p_seq, failures = 0, failing_since = null, last_fault = null,
      delivered_at = v_now, due_at = v_now, lease_until = case when not p_last then v_now
        + make_interval(secs => p_lease_ms / 1000.0) end where id = p_id;
  else
    v_disabled := v_now - coalesce(v.failing_since, v_now) >= make_interval(secs => p_patience_ms / 1000.0);
    update subscriptions set failures = failures + 1, failing_since = coalesce(failing_since, v_now),
      last_fault = p_fault, due_at = v_now + make_interval(secs => p_wait_ms / 1000.0), lease_until = null,
      status = case when v_disabled then 'disabled' else 'active' end where id = p_id;
  end if;
  return jsonb_build_object('recorded', true, 'disabled', v_disabled);
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
    if v_feed.kept and v_feed.read_at < p_before and not exists (select from subscriptions s
      where s.tenant_id = v_feed.tenant_id and s.status = 'active') then
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
  add_subscription(text, text, jsonb, text, text, int, text, timestamptz),
  subscription_row(subscriptions),
  list_subscriptions(text, bigint),
  remove_subscription(text, bigint, text),
  replay_subscription(text, bigint, bigint, text, timestamptz),
  rotate_subscription(text, bigint, text, text, timestamptz, text),
  claim_push(text, int, int, timestamptz),
  record_push(bigint, bigint, bigint, text, bigint, bigint, int, boolean, timestamptz),
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
  add_subscription(text, text, jsonb, text, text, int, text, timestamptz),
  subscription_row(subscriptions),
  list_subscriptions(text, bigint),
  remove_subscription(text, bigint, text),
  replay_subscription(text, bigint, bigint, text, timestamptz),
  rotate_subscription(text, bigint, text, text, timestamptz, text),
  claim_push(text, int, int, timestamptz),
  record_push(bigint, bigint, bigint, text, bigint, bigint, int, boolean, timestamptz),
  purge_events(timestamptz, int)
  to service_role, whats_agents_runtime;
