-- A turn: claimed, renewed, completed; what becomes of its messages.

-- was_said: an outbound message has left, or may have. What has not is never shown as said, to the model or to people.
create or replace function was_said(p_status text)
returns boolean language sql immutable as
$$ select p_status in ('sending', 'sent', 'delivered', 'read', 'uncertain', 'unproven') $$;

-- passed_over: the model answers others and, ten tries later, still not here: what makes it fail lies in this
-- conversation. Tries that were not let out, or that met a
--   limit of ours, say nothing of it.
create or replace function passed_over(p_conversation conversations) returns boolean language sql stable as $$
  with tries as (
    select t.started_at from turns t where t.conversation_id = p_conversation.id and t.status = 'deferred'
      and t.started_at >= p_conversation.deferred_since
      and t.reason not in ('model_breaker_open', 'model_rate_limited') order by t.started_at desc limit 10)
  select exists (select from turns o where o.started_at >= p_conversation.deferred_since and o.status = 'committed'
    and o.model is not null
      and o.ended_at < (select min(started_at) from tries having count(*) = 10))
$$;

-- quote_of: what a message quotes. Of a message of its conversation: whose it is, and our own text of it, since the
-- quoting phone sends any words with the id. Its text is
--   null when it was deleted or is hidden from the model. Of any other message: the contact's version of it, and
--   quoted_author null. Read only.
-- Result: {quoted_text, quoted_author}.
create or replace function quote_of(p_message messages)
returns jsonb language plpgsql stable set search_path = public, pg_temp as $$
declare v_quote jsonb;
begin
  if p_message.quoted_id is not null then
    select jsonb_build_object('quoted_author', case when q.kind = 'manual' then 'human' else q.author end,
        'quoted_text', case when q.deleted_at is null
      and q.kind is distinct from 'operator'
        and not coalesce(q.meaning ?| array['command', 'handset'], false) then q.text end)
      into v_quote
      from messages q where q.instance_id = p_message.instance_id and q.provider_id = p_message.quoted_id
        and q.conversation_id = p_message.conversation_id;
  end if;
  return coalesce(v_quote, jsonb_build_object('quoted_text', p_message.quoted_text, 'quoted_author', null));
end $$;

-- claim_turn: claim_turns of one conversation. Result: its object.
create or replace function claim_turn(
  p_conversation bigint, p_worker text, p_lease_ms int, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_claim jsonb := claim_turns(jsonb_build_array(p_conversation), p_worker, p_lease_ms, null, p_now) -> 0;
begin
  return case v_claim ->> 'state' when 'claimed' then v_claim else v_claim - 'conversation_id' end;
end $$;

-- turn_in_the_way: why a conversation's turn cannot be claimed, as far as that is not said of its unanswered messages:
-- a command of the manager, a live turn. A turn whose lease ran out ends here, and is in nobody's way.
-- Concurrency: the caller holds the conversation's lock. Result: as claim_turns; null: nothing is.
create or replace function turn_in_the_way(p_conversation bigint, p_lease_ms int, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_open turns;
begin
  if exists (select from inbox i where i.conversation_id = p_conversation and i.command) then
    return claim_command(p_conversation, p_lease_ms, p_now);
  end if;
  select * into v_open from turns where conversation_id = p_conversation and status = 'open';
  if v_open.lease_until > p_now then
    return jsonb_build_object('state', 'busy', 'until', v_open.lease_until, 'wait_ms',
      in_ms(v_open.lease_until, p_now));
  end if;
  perform expire_turn(v_open, p_now);
  return null;
end $$;

-- expire_turn: a turn whose lease ran out ends, and counts as a failure; what was reserved for it counts as spent.
-- Concurrency: the caller holds the conversation's lock.
create or replace function expire_turn(p_turn turns, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
begin
  update turns set status = 'expired', reason = 'lease_ran_out', ended_at = p_now where id = p_turn.id;
  update conversations set failed_in_row = failed_in_row + 1,
    failing_since = coalesce(failing_since, p_turn.started_at) where id = p_turn.conversation_id;
  perform settle_lost(p_turn, p_now);
end $$;

-- room_at: until when the turn of a conversation waits, since its answer could not leave soon: the model is asked for
-- no more than the cap of its number lets go. Null: now.
-- What counts are conversations whose answer waits (outbox), or was taken back while it waited (answer_withdrawn), and,
-- while any does, the turns that are open. As many as a quarter of an hour's replies may wait; with who was answered
-- within a day twice as many, so that strangers keep nobody out of a talk that goes on. A conversation whose own answer
-- waits, or was taken back, is asked about again when the cap has room.
-- Arguments: p_cap replies an hour, of a number that has no figure of its own. Concurrency: the caller holds the
--   conversation's lock; turns that are claimed at the same moment do not see each other. Read only.
create or replace function room_at(p_conversation conversations, p_cap int, p_now timestamptz)
returns timestamptz language plpgsql stable set search_path = public, pg_temp as $$
declare
  v_cap int := coalesce((select reply_cap_hour from instances where id = p_conversation.instance_id), p_cap);
  v_most int := greatest(1, ceil(v_cap / 4.0));
  v_waiting bigint;
  v_at timestamptz;
  v_least interval := least(interval '5 minutes', greatest(interval '10 seconds',
    (p_now - p_conversation.deferred_since) / 4));
begin
  if p_conversation.deferred_reason in ('replies_wait', 'answer_withdrawn') and p_conversation.deferred_until > p_now
    then return p_conversation.deferred_until; end if;
  if p_conversation.deferred_reason = 'answer_withdrawn' or exists (select from outbox o
    where o.conversation_id = p_conversation.id and not is_proactive(o.kind) and o.reason = 'reply_cap_hour') then
    v_at := free_at(p_conversation.instance_id, 'reply', interval '1 hour', v_cap, null, p_now);
    return case when v_at > p_now then least(v_at, p_now + interval '5 minutes') end;
  end if;
  if exists (select from slots s where s.conversation_id = p_conversation.id and s.reply
    and s.slot_at > p_now - interval '1 day') then v_most := 2 * v_most; end if;
  select count(*), min(w.due_at) into v_waiting, v_at from (
    select o.due_at from outbox o where o.instance_id = p_conversation.instance_id and not is_proactive(o.kind)
      and waits_long(o.reason)
    union all select c.deferred_until from conversations c where c.instance_id = p_conversation.instance_id
      and c.deferred_reason = 'answer_withdrawn' limit v_most) w;
  if v_waiting = 0 then return null; end if;
  if v_waiting < v_most then
    v_waiting := v_waiting + (select count(*) from turns t join conversations c on c.id = t.conversation_id
      where t.status = 'open' and c.instance_id = p_conversation.instance_id);
    if v_waiting < v_most then return null; end if;
    v_at := p_now;
  end if;
  -- spread, so that they do not all come back at one moment; not later, since a cap may be raised meanwhile
  return least(p_now + interval '5 minutes', greatest(v_at, p_now + v_least) + random() * v_least / 2);
end $$;

-- waits_long: a reply of the lanes is held by more than the typing that is shown before it, or by its turn to go.
create or replace function waits_long(p_reason text) returns boolean language sql immutable as
$$ select p_reason is not null and p_reason <> 'typing' and p_reason not like 'paused\_%' $$;

-- wait_for_room: puts off the turns of these conversations whose answers could not leave soon, see room_at; people are
-- told once a day and number. Uses no attempt, and what is unanswered waits.
-- Concurrency: part of claim_turns, which holds the conversations' locks. Result: {conversation: its result of
--   claim_turns}; what is not in it may go on.
create or replace function wait_for_room(p_ids bigint[], p_cap int, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp set plan_cache_mode = force_generic_plan as $$
declare v_held jsonb := '{}'; v_conversation conversations; v_until timestamptz; v_reason text;
begin
  for v_conversation in select c.* from conversations c where c.id = any (p_ids) order by c.id loop
    continue when not exists (select from inbox x where x.conversation_id = v_conversation.id)
      or silenced_by(v_conversation, p_now) is not null;
    v_until := room_at(v_conversation, p_cap, p_now);
    continue when v_until is null;
    v_reason := case when v_conversation.deferred_reason = 'answer_withdrawn' then 'answer_withdrawn'
      else 'replies_wait' end;
    update conversations set deferred_since = coalesce(deferred_since, p_now), deferred_until = v_until,
      deferred_reason = v_reason where id = v_conversation.id;
    v_held := v_held || jsonb_build_object(v_conversation.id, jsonb_build_object('conversation_id', v_conversation.id,
      'state', 'deferred', 'reason', v_reason, 'wait_ms', in_ms(v_until, p_now)));
  end loop;
  if v_held <> '{}' then
    perform add_notice(jsonb_build_object('tenant', i.tenant_id, 'key', 'replies-wait-' || i.id || '-'
        || to_char(p_now at time zone 'UTC', 'YYYY-MM-DD'), 'kind', 'alert', 'urgent', false, 'about', i.name, 'text',
        'No número ' || i.name || ' há tantas respostas à espera quanto o limite dele deixa sair em breve (MAX_RESPOSTAS_POR_HORA). Quem escreve agora espera, e o modelo só é chamado quando houver vaga. Veja se são clientes ou um ataque.'), p_now)
      from instances i where i.id in (select instance_id from conversations
        where v_held ? id::text and id = any (p_ids)) and i.status not in ('close', 'connecting', 'refused');
  end if;
  return v_held;
end $$;

-- note_withdrawn: an answer is taken back that waits for its number's cap: what it cost is spent, so the next one is
-- written when the cap has room, see room_at. Before the answer's rows change.
-- Concurrency: the caller holds the conversation's lock.
create or replace function note_withdrawn(p_conversation bigint) returns void language sql as $$
  update conversations c set deferred_since = coalesce(c.deferred_since, clock(null)), deferred_until = o.at,
      deferred_reason = 'answer_withdrawn'
    from (select max(due_at) as at from outbox where conversation_id = p_conversation
      and reason = 'reply_cap_hour') o
    where c.id = p_conversation and o.at is not null
$$;

-- claim_turns: takes the one open turn of each of these conversations, and returns everything that a decision needs, in
-- one snapshot.
-- Guarantee: at most one live turn per conversation (partial unique index); its fence is checked by every later write
--   of the turn. A turn whose lease ran out is ended as expired and counts as a failure. What a conversation comes to
--   does not depend on the others of its group.
-- Arguments: p_ids [conversation id]; p_worker who asks; p_lease_ms length of the lease; p_debounce see burst_ms;
--   p_limits {replyCapHour: see room_at, missing: nothing is put off; spend: see reserve_turns, missing: there is no
--   ceiling of money}.
-- Errors: a bad one fails the call, and nothing of it has happened; the caller repeats each alone.
-- Its plan, like those of complete_plain and record_arrived, is made once and goes by indexes row by row: a group is
--   small, and a plan made while the tables were empty would read all of them.
-- Concurrency: callers queue on the conversations' locks, taken in the order of their ids; the second gets busy. An
--   early one is not locked: what made it early is stored, so nothing is lost when nobody claims again (sweep_turns).
-- Result: [{conversation_id, state}] in the order of p_ids: 'idle' nothing to answer | 'media', items: with p_reads,
--   what is to be read first (see unread_media); nothing is held meanwhile | 'early', wait_ms: claim again
--   after so long | 'busy', until, wait_ms: another worker has it, or the id came before | 'paused', reason
--   | 'deferred', reason, wait_ms: its answer could not leave soon, see room_at
--   | 'command', ...: the manager wrote a command, which a pause does not hold (see claim_command) | 'claimed',
--   turn_id, fence, now, holder, escalation_reason, attended: a person is at the phone, open_handoff, mode, quiet
--   {reason, until}, today {turns, tokens: with those of its files} of this contact in 24 hours, identity: the tenant's
--   setting when it is asked for, failed_in_row, failing_since, superseded_in_row, deferred_since, apologised_at,
--   passed_over, previous_answer
--   {id, at}, pending [...], history [...], summary of what was said before, summarise: one is to be made, contact,
--   agent, instance, jid, opted_out, correlation_id.
create or replace function claim_turns(
  p_ids jsonb, p_worker text, p_lease_ms int, p_debounce jsonb default null, p_now timestamptz default null,
  p_reads boolean default false, p_limits jsonb default null
) returns json language plpgsql set search_path = public, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_now timestamptz := clock(p_now);
  v_asked bigint[] := array(select x::bigint from jsonb_array_elements_text(p_ids) x);
  v_ids bigint[];
  v_id bigint;
  v_state jsonb;
  v_in_the_way jsonb := '{}'; -- {conversation: its result}
  v_money jsonb := '{}';      -- {conversation: what reserve_turns said}
  v_all json;
begin
  if p_debounce is not null then
    select coalesce(jsonb_object_agg(b.id, jsonb_build_object('conversation_id', b.id, 'state', 'early',
        'wait_ms', b.ms)), '{}') into v_in_the_way
      from (select a.id, burst_ms(a.id, p_debounce, v_now) as ms from (select distinct id from unnest(v_asked) id) a
        offset 0) b where b.ms is not null;
  end if;
  if p_reads and (exists (select from inbox x join messages m on m.id = x.message_id
      where x.conversation_id = any (v_asked) and m.type in ('audio', 'image', 'document', 'video'))
    or exists (select from media_waits w where w.conversation_id = any (v_asked) and w.next_at <= v_now)) then
    select v_in_the_way || coalesce(jsonb_object_agg(b.id, jsonb_build_object('conversation_id', b.id, 'state', 'media',
        'items', b.items)), '{}') into v_in_the_way
      from (select a.id, unread_media(a.id, v_now) as items from (select distinct id from unnest(v_asked) id) a
        where not v_in_the_way ? a.id::text offset 0) b where b.items is not null;
  end if;
  v_ids := array(select distinct id from unnest(v_asked) id where not v_in_the_way ? id::text order by id);
  perform lock_lanes(v_ids);
  v_now := clock(p_now); -- whoever had a lock has ended by now: a turn begins after the one before it
  for v_id in select i.id from unnest(v_ids) i (id) where exists (select from inbox x where x.conversation_id = i.id
      and x.command) or exists (select from turns t where t.conversation_id = i.id and t.status = 'open')
    order by i.id
  loop
    v_state := turn_in_the_way(v_id, p_lease_ms, v_now);
    if v_state is not null then
      v_in_the_way := v_in_the_way || jsonb_build_object(v_id, v_state || jsonb_build_object('conversation_id', v_id));
    end if;
  end loop;
  -- what waited for the model was deleted, or answered otherwise
  perform end_deferral(c.id) from conversations c where c.id = any (v_ids) and c.deferred_since is not null
    and not v_in_the_way ? c.id::text and not exists (select from inbox x where x.conversation_id = c.id);

  -- nearly always nothing waits, and the question is all that it costs
  if p_limits ->> 'replyCapHour' is not null and exists (select from conversations c where c.id = any (v_ids)
    and (c.deferred_reason in ('replies_wait', 'answer_withdrawn')
      or exists (select from outbox o where o.instance_id = c.instance_id and not is_proactive(o.kind)
        and waits_long(o.reason))
      or exists (select from conversations w where w.instance_id = c.instance_id
        and w.deferred_reason = 'answer_withdrawn')))
  then
    v_in_the_way := v_in_the_way || wait_for_room(array(select id from unnest(v_ids) id
      where not v_in_the_way ? id::text), (p_limits ->> 'replyCapHour')::int, v_now);
  end if;

  if p_limits ? 'spend' then
    v_money := reserve_turns(array(select id from unnest(v_ids) id where not v_in_the_way ? id::text),
      p_limits -> 'spend', v_now);
  end if;

  with waiting as materialized (
      select c.id, p.correlation_id, p.asks_identity, silenced_by(c, v_now) as silenced, agent_of(i) as agent, i.name,
        -- asked again where the silence is: a pause may have ended since, and then its pictures are to be read
        case when p_reads and p.has_media then unread_media(c.id, v_now) end as unread
      from conversations c join instances i on i.id = c.instance_id
        cross join lateral (select min(m.correlation_id) as correlation_id, count(*) as n,
            bool_or(coalesce(m.meaning ->> 'intent' = 'bot_question', false)) as asks_identity,
            bool_or(m.type in ('audio', 'image', 'document', 'video')) as has_media
          from inbox x join messages m on m.id = x.message_id where x.conversation_id = c.id) p
      where c.id = any (v_ids) and not v_in_the_way ? c.id::text and p.n > 0),
    fenced as (
      -- told in an outage that is over, since the model has answered somebody: the next one is told again
      update conversations c set fence = fence + 1, apologised_at = case when c.apologised_at is not null
          and (c.deferred_since is not null or not exists (select from turns t where t.started_at > c.apologised_at
            and t.status = 'committed' and t.model is not null)) then c.apologised_at end
        from waiting w where c.id = w.id and w.unread is null and coalesce(w.silenced not like 'paused\_%', true)
        returning c.*),
    opened as (
      insert into turns (tenant_id, conversation_id, agent_id, fence, lease_until, worker, inbound_seq, correlation_id,
        started_at)
        select f.tenant_id, f.id, (w.agent).id, f.fence, v_now + make_interval(secs => p_lease_ms / 1000.0), p_worker,
          f.inbound_seq, w.correlation_id, v_now from fenced f join waiting w on w.id = f.id
        returning id, conversation_id),
    reserved as (
      insert into spend_reservations (turn_id, tenant_id, contact_id, instance_id, model, usd, created_at)
        select o.id, f.tenant_id, f.contact_id, f.instance_id, v_money -> o.conversation_id::text ->> 'model',
          (v_money -> o.conversation_id::text ->> 'usd')::numeric, v_now from opened o
          join fenced f on f.id = o.conversation_id where v_money -> o.conversation_id::text ? 'usd'),
    taken as (
      update messages m set turn_id = o.id from opened o join inbox x on x.conversation_id = o.conversation_id
        where m.id = x.message_id),
    claimed as (
      select 'claimed' as state, o.id as turn_id, c.fence, v_now as now, c.id as conversation_id, c.tenant_id,
        coalesce(w.silenced, 'agent') as holder, c.escalation_reason,
        coalesce(c.takeover_until > v_now, false) as attended, c.mode,
        (select h.id from handoffs h where h.conversation_id = c.id and h.controls and h.status <> 'returned')
          as open_handoff,
        case when c.quiet_until > v_now then json_build_object('reason', c.quiet_reason, 'until', c.quiet_until) end
          as quiet,
        (select json_build_object('turns', count(*), 'tokens',
            coalesce(sum(t.input_tokens + t.output_tokens + t.cache_read_tokens + t.cache_write_tokens), 0)
            + (select coalesce(sum(k.input_tokens + k.output_tokens + k.cache_read_tokens + k.cache_write_tokens), 0)
              from conversations e join messages m on m.conversation_id = e.id
                join media f on f.tenant_id = m.tenant_id and f.sha256 = m.media ->> 'sha256'
                join model_calls k on k.media_id = f.id
              where e.contact_id = c.contact_id and m.media ? 'sha256' and m.media ? 'paid'
                and m.created_at > v_now - interval '2 days' and k.created_at > v_now - interval '1 day'))
          from conversations d join turns t on t.conversation_id = d.id where d.contact_id = c.contact_id
            and t.started_at > v_now - interval '1 day' and t.model is not null and t.status <> 'deferred') as today,
        case when w.asks_identity then (select n.settings ->> 'identity' from tenants n where n.id = c.tenant_id) end
          as identity,
        c.failed_in_row, c.failing_since, c.superseded_in_row, c.deferred_since, c.deferred_reason,
        c.apologised_at, v_money -> c.id::text as money,
        c.deferred_since is not null and passed_over(c) as passed_over, c.previous_answer,
        (select json_agg(row_to_json(q)) from (
          select m.id, m.type, m.text, m.typed, m.provider_at as at, m.provider_id, m.created_at,
            m.meaning ->> 'intent' as intent, m.refused_by, case when m.media ->> 'read' = 'words'
              and m.type in ('image', 'document') then m.media ->> 'sha256' end as file,
            case when q.v is null then m.quoted_text
              else q.v ->> 'quoted_text' end as quoted_text, q.v ->> 'quoted_author' as quoted_author
          from inbox x join messages m on m.id = x.message_id
            cross join lateral (select case when m.quoted_id is not null then quote_of(m) end as v offset 0) q
          where x.conversation_id = c.id
          order by m.provider_at, m.seq) q) as pending,
        -- WhatsApp tells the time of an inbound message in whole seconds, ours are finer: within a second the order of
        -- arrival counts. The window holds 80 to 119 messages and moves in steps of 40: with each step the model's
        -- cache loses all of the history. What is older is known by a summary, and by the facts that were noted.
        (select coalesce(json_agg(row_to_json(h)), '[]') from (
          -- what a person wrote by the API or the console is that person's, to the model too
          select m.id, m.direction, case when m.kind = 'manual' then 'human' else m.author end as author, m.type,
            case when m.deleted_at is null then coalesce(m.seen ->> 'text', m.text) end as text,
            case when m.seen is null then m.typed else m.seen ->> 'typed' end as typed,
            case when m.seen is not null then json_build_object('at', coalesce(m.deleted_at, m.edited_at), 'text',
              case when m.deleted_at is null then m.text end, 'typed', m.typed) end as changed,
            m.provider_at as at, m.status, m.refused_by, case when q.v is null then m.quoted_text
              else q.v ->> 'quoted_text' end as quoted_text, q.v ->> 'quoted_author' as quoted_author
          from messages m
            cross join lateral (select case when m.quoted_id is not null then quote_of(m) end as v offset 0) q
          where m.conversation_id = c.id and m.seq > greatest(0, (c.last_seq / 40 - 2) * 40)
            and not (m.direction = 'in' and m.status = 'received')
            and not coalesce(m.meaning ?| array['command', 'handset'], false) and m.kind is distinct from 'operator'
            and (m.direction = 'in' or was_said(m.status)
              -- not said, and shown as such: the rest of an answer that waits for its turn on the wire, or was
              -- withdrawn after its beginning had left
              or (m.status = 'queued' and not is_proactive(m.kind) and m.turn_id is not null
                and m.type <> 'reaction')
              or (m.status = 'cancelled' and m.type <> 'reaction' and m.reason = 'contact_wrote' and exists (select
                from messages s where s.turn_id = m.turn_id and s.direction = 'out' and was_said(s.status))))
          order by date_trunc('second', m.provider_at), m.seq) h) as history,
        c.jid, w.correlation_id, summary_of(c) as summary, summary_due(c, v_now) is not null as summarise,
        -- what a newer fact has replaced of late may stand in the history as it was read
        (select json_build_object('id', k.id, 'name', k.name, 'memory', (select coalesce(json_agg(json_build_object(
              'fact', f.fact, 'at', f.noted_at, 'until', f.replaced_at) order by f.noted_at, f.id), '[]')
            from contact_facts f where f.contact_id = k.id
              and (f.replaced_at is null or f.replaced_at > v_now - interval '7 days')),
          'phone', (select a.address
            from contact_addresses a where a.contact_id = k.id and a.kind = 'pn' limit 1))
          from contacts k where k.id = c.contact_id) as contact,
        case when (w.agent).id is not null then row_to_json(w.agent) end as agent,
        json_build_object('id', c.instance_id, 'name', w.name) as instance,
        (select coalesce(json_agg(json_build_object('scope', d.scope, 'text', d.text) order by d.id), '[]')
          from directives d where d.tenant_id = c.tenant_id and d.status = 'active'
            and coalesce(d.ends_at > v_now, true) and case d.scope when 'global' then true
              when 'agent' then d.target = (w.agent).slug when 'contact' then d.target = c.contact_id::text
              else exists (select from messages m where m.conversation_id = c.id and m.campaign_id = d.target
                and m.slot_at > v_now - interval '7 days') end) as directives,
        exists (select from standing_opt_out(c.contact_id)) as opted_out
      from fenced c join waiting w on w.id = c.id join opened o on o.conversation_id = c.id)
  select json_agg(case
      when i.again > 1 and (s.claim is not null or v_in_the_way -> i.id::text ->> 'state' = 'command')
        then json_build_object('conversation_id', i.id, 'state', 'busy', 'until',
          v_now + make_interval(secs => p_lease_ms / 1000.0), 'wait_ms', p_lease_ms)
      when s.claim is not null then s.claim
      when v_in_the_way ? i.id::text then (v_in_the_way -> i.id::text)::json
      when w.unread is not null then json_build_object('conversation_id', i.id, 'state', 'media', 'items', w.unread)
      when w.id is not null then json_build_object('conversation_id', i.id, 'state', 'paused', 'reason',
        substr(w.silenced, length('paused_') + 1))
      else json_build_object('conversation_id', i.id, 'state', 'idle') end order by i.n)
    into v_all
    from (select u.id, u.n, row_number() over (partition by u.id order by u.n) as again
        from unnest(v_asked) with ordinality u (id, n)) i
      left join (select conversation_id, row_to_json(claimed) as claim from claimed) s on s.conversation_id = i.id
      left join waiting w on w.id = i.id;
  return v_all;
end $$;

-- summary_of: what was said before the window of the history, in the words of a model; null: nothing, or not known.
-- Read only.
create or replace function summary_of(p_conversation conversations) returns text language sql stable
set search_path = public, pg_temp as $$
  select s.words from summaries s where s.conversation_id = p_conversation.id and s.words is not null
    and s.through_seq <= (p_conversation.last_seq / 40 - 2) * 40 order by s.through_seq desc limit 1
$$;

-- summary_due: through which message a summary is to be made; null: none. It is made before the window's next step, so
-- that it is there when the step comes, and made up for where it is missing.
create or replace function summary_due(p_conversation conversations, p_now timestamptz) returns bigint language sql
stable set search_path = public, pg_temp as $$
  select w.through from (select (p_conversation.last_seq / 40 - case when p_conversation.last_seq % 40 >= 20 then 1
      else 2 end) * 40 as through) w
    where w.through > 0 and not exists (select from summaries s where s.conversation_id = p_conversation.id
      and s.through_seq = w.through and (s.words is not null or s.lease_until > p_now or s.attempts >= 3))
$$;

-- claim_summary: the making of a conversation's summary is the caller's until the lease is over.
-- Guarantee: one maker at a time, three tries for each step of the window; what was edited, deleted or erased since is
--   in no summary. With ceilings of money its worst case is reserved, also in the contact's.
-- Arguments: p_spend as reserve_turns', null: no ceiling; p_model who is asked.
-- Concurrency: takes the conversation's lock, then lock_spend of the tenant.
-- Result: null: none is due, or nothing is left of what was said | {ceiling: which has no room, or 'unpriced'}
--   | {id, lease, before: the summary until there, messages [{author, type, text, at}],
--   oldest first: at most 200, each at most 8,000 characters}.
create or replace function claim_summary(
  p_conversation bigint, p_lease_ms int, p_model text, p_spend jsonb default null, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_now timestamptz := clock(p_now); v_talk conversations; v_through bigint; v_before summaries; v_summary summaries;
  v_said jsonb; v_usd numeric; v_rate jsonb; v_room numeric; v_ceiling text;
begin
  select * into v_talk from conversations where id = p_conversation for no key update;
  v_through := summary_due(v_talk, v_now);
  if v_through is null then return null; end if;
  select * into v_before from summaries where conversation_id = v_talk.id and words is not null
    and through_seq < v_through order by through_seq desc limit 1;
  select coalesce(jsonb_agg(jsonb_build_object('author', s.author, 'type', s.type, 'text', s.text,
      'at', s.provider_at) order by s.seq), '[]') into v_said
    from (select case when m.kind = 'manual' then 'human' else m.author end as author, m.type,
        left(m.text, 8000) as text, m.provider_at, m.seq from messages m
      where m.conversation_id = v_talk.id and m.seq > coalesce(v_before.through_seq, 0) and m.seq <= v_through
        and m.deleted_at is null and m.refused_by is null and m.text <> ''
        and (m.direction = 'in' or was_said(m.status))
        and not coalesce(m.meaning ?| array['command', 'handset'], false) and m.kind is distinct from 'operator'
      order by m.seq desc limit 200) s;
  if v_said = '[]' then return null; end if;
  insert into summaries (tenant_id, conversation_id, through_seq, created_at)
    values (v_talk.tenant_id, v_talk.id, v_through, v_now)
    on conflict (conversation_id, through_seq) do nothing;
  select * into v_summary from summaries where conversation_id = v_talk.id and through_seq = v_through for update;
  perform settle_lost_summary(v_summary, v_now);
  if p_spend is not null then
    v_rate := coalesce(p_spend -> 'models' -> p_model, p_spend -> 'models' -> regexp_replace(p_model, '-\d{8}$', ''));
    v_usd := (v_rate ->> 'call')::numeric
      + (v_rate ->> 'byte')::numeric * (octet_length(v_said::text) + coalesce(octet_length(v_before.words), 0));
    perform lock_spend(v_talk.tenant_id);
    select r.room, r.ceiling into v_room, v_ceiling
      from spend_room(v_talk.tenant_id, v_talk.contact_id, p_spend, '{}', v_now) r;
    if v_usd is null or v_room < v_usd then
      return jsonb_build_object('ceiling', case when v_usd is null then 'unpriced' else v_ceiling end);
    end if;
    insert into spend_reservations (summary_id, tenant_id, contact_id, instance_id, model, usd, created_at)
      values (v_summary.id, v_talk.tenant_id, v_talk.contact_id, v_talk.instance_id, p_model, v_usd, v_now);
  end if;
  update summaries set attempts = attempts + 1, lease_until = v_now + make_interval(secs => p_lease_ms / 1000.0)
    where id = v_summary.id returning * into v_summary;
  return jsonb_build_object('id', v_summary.id, 'lease', v_summary.lease_until, 'before', v_before.words,
    'messages', v_said);
end $$;

-- record_summary: the words of a summary, and what was paid for them, whatever came of it. Null words: it was not made.
-- Of one that is gone meanwhile (an edit, an erasure), or that another maker has by now, only the money is kept.
-- Arguments: p_calls of the model, as complete_turn's. Not to be repeated: each call adds what it says was paid.
--   Result: {recorded: false: only its money}.
create or replace function record_summary(
  p_conversation bigint, p_id bigint, p_lease timestamptz, p_words text, p_model text, p_calls jsonb,
  p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_kept boolean;
begin
  perform 1 from conversations where id = p_conversation for no key update;
  -- what failed is not tried again before its lease is over
  update summaries set words = p_words, model = p_model, lease_until = case when p_words is null then lease_until end,
    made_at = case when p_words is not null then clock(p_now) end
    where id = p_id and lease_until = p_lease and words is null;
  v_kept := found;
  if v_kept or not exists (select from summaries where id = p_id) then
    delete from spend_reservations where summary_id = p_id;
  end if;
  perform pay_summary(p_conversation, p_calls, clock(p_now));
  return jsonb_build_object('recorded', v_kept);
end $$;

-- pay_summary: the calls of a summary count as the last answer's, so they are in the contact's figures and in its
-- timeline.
-- Concurrency: the caller holds the conversation's lock.
create or replace function pay_summary(p_conversation bigint, p_calls jsonb, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v_turn turns; v_instance bigint; v_tenant text;
begin
  if coalesce(jsonb_array_length(p_calls), 0) = 0 then return; end if;
  select instance_id, tenant_id into v_instance, v_tenant from conversations where id = p_conversation;
  select * into v_turn from turns where conversation_id = p_conversation and status in ('committed', 'handed_over')
    order by id desc limit 1;
  insert into model_calls (tenant_id, turn_id, model, outcome, ms, input_tokens, output_tokens, thinking_tokens,
    cache_read_tokens, cache_write_tokens, cost_usd, estimated, detail, cache_miss)
    select v_tenant, v_turn.id, r.model, r.outcome, r.ms, coalesce(r.input_tokens, 0), coalesce(r.output_tokens, 0),
      coalesce(r.thinking_tokens, 0), coalesce(r.cache_read_tokens, 0), coalesce(r.cache_write_tokens, 0), r.cost_usd,
      coalesce(r.estimated, false), 'summary', null from model_calls_of(jsonb_build_object('model_calls', p_calls)) r;
  update turns t set cost_usd = t.cost_usd + s.usd, unpriced_calls = t.unpriced_calls + s.unpriced
    from (select coalesce(sum(cost_usd), 0) as usd, count(*) filter (where cost_usd is null) as unpriced
      from model_calls_of(jsonb_build_object('model_calls', p_calls))) s where t.id = v_turn.id;
  perform add_spend(v_tenant, 'summaries', v_instance, sum(r.cost_usd), count(*)::int,
      (count(*) filter (where r.cost_usd is null))::int, 0, p_now)
    from model_calls_of(jsonb_build_object('model_calls', p_calls)) r;
end $$;

-- agent_of: the version that answers on a number: the one in force of its own agent, else of the default one of its
-- tenant or of the installation. Read only.
create or replace function agent_of(p_instance instances)
returns agents language plpgsql stable set search_path = public, pg_temp as $$
declare v_agent agents;
begin
  if p_instance.agent_id is not null then
    select a.* into v_agent from agents n join agents a on a.tenant_id = n.tenant_id and a.slug = n.slug and a.active
      where n.id = p_instance.agent_id;
  end if;
  if v_agent.id is null then
    select * into v_agent from agents where tenant_id in (p_instance.tenant_id, 'default') and slug = 'default'
      and active order by tenant_id = p_instance.tenant_id desc limit 1;
  end if;
  return v_agent;
end $$;

-- renew_turn: keeps the lease while the model runs, and tells what happened meanwhile: renew_turns of one.
-- Concurrency: never waits for any lock. Result: {alive, newer, stop}: alive false = the lease is lost,
--   nothing may be committed; newer = the contact wrote again; stop = the reason why the answer would be suppressed, or
--   null.
create or replace function renew_turn(p_turn bigint, p_fence bigint, p_lease_ms int, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  return renew_turns(jsonb_build_array(jsonb_build_object('turn', p_turn, 'fence', p_fence)), p_lease_ms, p_now) -> 0;
end $$;

-- complete_turn: ends a turn; the only place where an answer becomes true.
-- Guarantee: exactly one call per turn has an effect, only with the right fence and while the turn is open; answer,
--   effects of tools, statuses of the inbound messages and the outbound rows commit together or not at all. Tokens and
--   money are recorded in any case.
-- Arguments: p_result {kind: 'answer' | 'skip' | 'handoff' | 'failed' | 'aborted' | 'deferred' (with retry_ms, apology,
--   apology_ms: see defer_turn), reason, model, parts [{text, typing_ms, kind}], quiet {reason, seconds: nothing is
--   answered for so long}, effects [{type: 'handoff', reason, summary, suggestion, controls} | {type: 'opt_out'} |
--   {type: 'remember', fact} | {type: 'react', message_id, emoji} | {type: 'label', labels, summary} |
--   {type: 'remind', about, words, due_at, event_at} | {type: 'cancel_reminders'} | {type: 'tool_write', see
--   queue_tool_write}], tool_calls [{name, input, output, ok, ms, found {field: [values]}, cost_usd}],
--   model_calls [{model, outcome, ms, input_tokens, output_tokens, thinking_tokens, cache_read_tokens,
--   cache_write_tokens, cost_usd (null: no price), estimated, detail, cache_miss}],
--   transcript, answer_id: that the provider gave the last answer, agent_id, prompt_hash: what the model read, verdict:
--   what came of the check of its words, route: the rule that chose the model}.
-- Concurrency: locks the conversation. Result: {outcome: 'lost' | 'superseded' | 'suppressed' | 'committed' | 'failed'
--   | 'deferred', reason, failed_in_row, first_pending_at, parts, retry_ms}. superseded: the contact wrote again (at
--   most twice in a row, then the answer goes); claim anew.
create or replace function complete_turn(p_turn bigint, p_fence bigint, p_result jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_now timestamptz := clock(p_now);
  v_kind text := p_result ->> 'kind';
  v_conversation conversations;
  v_turn turns;
  v_stop text;
  v_draft boolean;
  v_count int := 0;
begin
  select c.* into v_conversation from conversations c join turns t on t.conversation_id = c.id
    where t.id = p_turn for no key update of c;
  select * into v_turn from turns where id = p_turn for update;
  perform record_model_calls(v_turn, p_result, v_now);
  if v_turn.status <> 'open' or v_turn.fence <> p_fence or v_conversation.fence <> p_fence then
    return jsonb_build_object('outcome', 'lost');
  end if;
  if jsonb_array_length(p_result -> 'tool_calls') > 0 then
    perform record_tool_calls(v_turn, p_result -> 'tool_calls');
  end if;
  perform mark_refused(v_turn, p_result -> 'model_calls') where p_result -> 'model_calls' @> '[{"outcome": "refusal"}]';

  if v_kind = 'deferred' then return defer_turn(v_conversation, v_turn, p_result, v_now); end if;
  if v_kind = 'failed' then return fail_turn(v_turn, p_result ->> 'reason', v_now); end if;
  if v_kind = 'aborted' or (v_kind = 'answer' and wrote_again(v_conversation, v_turn)) then
    return supersede_turn(v_turn, p_result ->> 'reason', v_now);
  end if;
  if v_kind = 'answer' then
    v_stop := answer_stop(v_conversation, v_turn, v_now);
    if v_stop is not null then return suppress_turn(v_conversation, v_turn, v_stop, v_now); end if;
  end if;

  -- what the model wrote waits for a person's yes; the product's own lines do not
  v_draft := v_kind = 'answer' and v_conversation.mode = 'assist' and p_result ->> 'model' is not null;
  perform settle_turn(v_turn, p_result, v_draft, v_now);
  if v_conversation.apologised_at is not null then perform cancel_apology(v_conversation.id); end if;
  if (p_result ->> 'forward')::boolean then perform note_forward(v_conversation.id, p_turn, v_now); end if;
  if jsonb_array_length(p_result -> 'effects') > 0 then
    v_count := apply_effects(v_conversation, v_turn, p_result -> 'effects', v_draft, v_now);
  end if;
  v_count := v_count + queue_parts(v_conversation, v_turn, p_result -> 'parts', v_count, v_draft, v_now);
  update conversations set last_seq = last_seq + v_count where id = v_conversation.id;
  return jsonb_build_object('outcome', 'committed', 'parts', v_count, 'draft', v_draft and v_count > 0,
    'first_pending_at', first_pending(v_conversation.id));
end $$;

-- is_plain_answer: a result of a turn that is an answer, and nothing else is to be done for it.
create or replace function is_plain_answer(p_result jsonb) returns boolean language sql immutable as $$
  select p_result ->> 'kind' = 'answer' and coalesce(p_result -> 'effects', '[]') = '[]'
    and coalesce(p_result -> 'tool_calls', '[]') = '[]' and not p_result ? 'quiet'
    and not coalesce((p_result ->> 'forward')::boolean, false)
    and not coalesce(p_result -> 'model_calls', '[]') @> '[{"outcome": "refusal"}]'
$$;

-- complete_plain: the plain answers of complete_turns, in one statement; says the same as complete_turn would.
-- Guarantee: an answer is taken here only when its turn is open under its fence, nobody has written since, nothing
--   silences the agent, no draft is wanted and nothing has been said of an outage. Its first part is claimed
--   when the lane is empty, it needs no typing, and no rule of first_guard for an answer of this moment says no; the
--   caps have room for all first parts of a number, or none of them is claimed here.
-- Concurrency: part of complete_turns, which holds the conversations' locks. Locks their numbers.
-- Result: {position in p_items, from 1: as complete_turns, or with ask: its lane is still to be asked}; what is not in
--   it was left alone.
create or replace function complete_plain(p_items jsonb, p_policy jsonb, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare v_all jsonb; v_lease timestamptz := p_now + make_interval(secs => (p_policy ->> 'leaseMs')::int / 1000.0);
begin
  if p_policy is not null then
    perform lock_numbers(array(select i.conversation_id from jsonb_to_recordset(p_items) i (conversation_id bigint,
      send boolean) where i.send));
  end if;
  with items as materialized (
      select i.n, i.result, i.send, t.id as turn_id, t.correlation_id, c as conversation, c.id, c.contact_id,
        c.instance_id, c.last_seq, c.jid, row_number() over (partition by i.turn order by i.n) as again
      from rows from (jsonb_to_recordset(p_items) as (turn bigint, fence bigint, result jsonb, send boolean))
          with ordinality as i (turn, fence, result, send, n)
        join turns t on t.id = i.turn join conversations c on c.id = t.conversation_id
      where is_plain_answer(i.result) and t.status = 'open' and t.fence = i.fence and c.fence = i.fence
        and c.inbound_seq <= t.inbound_seq and c.mode <> 'assist' and c.apologised_at is null
        and not exists (select from model_calls m where m.turn_id = t.id)
        and silenced_by(c, p_now, null, t.started_at) is null),
    plain as materialized (
      select p.*, coalesce(jsonb_array_length(p.result -> 'parts'), 0) as parts,
        -- what claim_send would ask, for an answer that was written at this moment
        p_policy is not null and p.send and coalesce((f.part ->> 'typing_ms')::int, 0) = 0
          and i.status not in ('close', 'connecting', 'refused')
          and not has_sends(p.id) and not is_foreign(p_policy ->> 'projectRef')
          and in_allowlist(p.contact_id, p_policy) and share_free_at(p.conversation, l.cap, p_now) is null as may_leave,
        i.name, l.cap, f.n as first
      from items p join instances i on i.id = p.instance_id
        cross join lateral (select coalesce(i.reply_cap_hour, (p_policy ->> 'replyCapHour')::int) as cap) l
        -- the first of the lane, see next_send: the offer of a person comes behind an answer
        left join lateral (select e.part, e.n from jsonb_array_elements(p.result -> 'parts') with ordinality e (part, n)
          order by e.part ->> 'kind' is not distinct from 'handoff', e.n limit 1) f on true
      where p.again = 1),
    room as materialized (
      select g.instance_id,
        free_at(g.instance_id, 'reply', interval '1 hour', g.cap - g.n::int + 1, null, p_now) is null as is_there
      from (select instance_id, cap, count(*) as n from plain where may_leave and parts > 0 group by 1, 2) g),
    calls as (
      insert into model_calls (tenant_id, turn_id, model, outcome, ms, input_tokens, output_tokens, thinking_tokens,
        cache_read_tokens, cache_write_tokens, cost_usd, estimated, detail, cache_miss)
        select (p.conversation).tenant_id, p.turn_id, r.model, r.outcome, r.ms, r.input_tokens, r.output_tokens,
          coalesce(r.thinking_tokens, 0), r.cache_read_tokens, r.cache_write_tokens, r.cost_usd,
          coalesce(r.estimated, false), r.detail, r.cache_miss
        from plain p cross join model_calls_of(p.result) r returning tenant_id, turn_id, cost_usd),
    spent as (
      insert into spend_days as s (tenant_id, day, kind, instance_id, backend, usd, calls, unpriced, units)
        select c.tenant_id, spend_day(p_now), 'model', p.instance_id, pg_backend_pid(), coalesce(sum(c.cost_usd), 0),
          count(*), count(*) filter (where c.cost_usd is null), 0
          from calls c join plain p on p.turn_id = c.turn_id group by c.tenant_id, p.instance_id
        on conflict (tenant_id, day, kind, instance_id, backend) do update set usd = s.usd + excluded.usd,
          calls = s.calls + excluded.calls, unpriced = s.unpriced + excluded.unpriced),
    settled as (delete from spend_reservations r using plain p where r.turn_id = p.turn_id),
    turn as (
      update turns t set status = 'committed', reason = p.result ->> 'reason', ended_at = p_now,
          model = coalesce(p.result ->> 'model', t.model), prompt_hash = p.result ->> 'prompt_hash',
          verdict = p.result ->> 'verdict', route = p.result ->> 'route',
          agent_id = coalesce((p.result ->> 'agent_id')::bigint, t.agent_id),
          transcript = coalesce(p.result -> 'transcript', t.transcript), input_tokens = s.i, output_tokens = s.o,
          thinking_tokens = s.t, cache_read_tokens = s.r, cache_write_tokens = s.w, cost_usd = s.c,
          unpriced_calls = s.u
        from plain p cross join lateral (select coalesce(sum(input_tokens), 0) i, coalesce(sum(output_tokens), 0) o,
            coalesce(sum(thinking_tokens), 0) t, coalesce(sum(cache_read_tokens), 0) r,
            coalesce(sum(cache_write_tokens), 0) w, coalesce(sum(cost_usd), 0) c,
            count(*) filter (where cost_usd is null) u from model_calls_of(p.result)) s
        where t.id = p.turn_id),
    answered as (
      update messages m set status = 'answered' from plain p join inbox x on x.conversation_id = p.id
        where m.id = x.message_id and m.turn_id = p.turn_id returning m.turn_id, m.created_at),
    said as (
      insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
        provider_at, turn_id, correlation_id, kind, priority, part, typing_ms, due_at, created_at,
        claim, attempts, claimed_at, slot_at, sent_to, wire_id, lease_until)
        select (p.conversation).tenant_id, p.instance_id, p.id, p.last_seq + r.n, 'out', 'agent', 'text',
          case when l.leaves then 'sending' else 'queued' end, r.part ->> 'text', p_now, p.turn_id, p.correlation_id,
          coalesce(r.part ->> 'kind', 'reply'), case r.part ->> 'kind' when 'handoff' then 1 else 0 end, r.n,
          coalesce((r.part ->> 'typing_ms')::int, 0), p_now, p_now, l.leaves::int, l.leaves::int,
          case when l.leaves then p_now end, case when l.leaves then p_now end, case when l.leaves then p.jid end,
          case when l.leaves then new_wire_id() end, case when l.leaves then v_lease end
        from plain p left join room on room.instance_id = p.instance_id
          cross join lateral jsonb_array_elements(p.result -> 'parts') with ordinality r (part, n)
          cross join lateral (select r.n = p.first and p.may_leave and room.is_there as leaves) l
        returning id, conversation_id, status, type, text, kind, part, turn_id, correlation_id, created_at, wire_id),
    conversation as (
      update conversations c set last_seq = c.last_seq + p.parts, failed_in_row = 0, failing_since = null,
          deferred_since = null, deferred_until = null, deferred_reason = null,
          superseded_in_row = case when p.parts > 0 then c.superseded_in_row else 0 end,
          previous_answer = case when p.result ->> 'answer_id' is null then c.previous_answer
            else jsonb_build_object('id', p.result ->> 'answer_id', 'at', p_now) end
        from plain p where c.id = p.id)
  select coalesce(jsonb_object_agg(p.n, jsonb_build_object('outcome', 'committed', 'parts', p.parts, 'draft', false,
      'pending_ms', in_ms(p_now, (select x.created_at from inbox x join messages m on m.id = x.message_id
        where x.conversation_id = p.id and m.turn_id is distinct from p.turn_id order by x.seq limit 1)), 'send', null)
      || case when p.send and p.parts > 0 and s.id is null then '{"ask": true}'
        when s.id is not null then jsonb_build_object('send', jsonb_build_object('action', 'send',
        'message_id', s.id, 'claim', 1, 'instance', p.name, 'number', dial(p.contact_id, p.jid), 'wire_id', s.wire_id,
        'type', s.type, 'text', s.text, 'quoted_id', null, 'quoted_text', null, 'kind', s.kind, 'attempts', 1,
        'conversation_id', p.id, 'contact_id', p.contact_id, 'turn_id', p.turn_id, 'part', s.part,
        'correlation_id', s.correlation_id, 'created_at', s.created_at, 'now', p_now,
        'inbound_at', (select min(a.created_at) from answered a where a.turn_id = p.turn_id)))
        else '{}' end), '{}')
    into v_all from plain p left join said s on s.conversation_id = p.id and s.status = 'sending';
  return v_all;
end $$;

-- model_calls_of: the calls of the model that a result of complete_turn lists, as rows.
create or replace function model_calls_of(p_result jsonb)
returns table (model text, outcome text, ms int, input_tokens int, output_tokens int, thinking_tokens int,
  cache_read_tokens int, cache_write_tokens int, cost_usd numeric, estimated boolean, detail text, cache_miss text)
language sql immutable as $$
  select * from jsonb_to_recordset(coalesce(p_result -> 'model_calls', '[]')) as r (model text, outcome text, ms int,
    input_tokens int, output_tokens int, thinking_tokens int, cache_read_tokens int, cache_write_tokens int,
    cost_usd numeric, estimated boolean, detail text, cache_miss text)
$$;

-- record_model_calls: tokens and money of a turn, whatever becomes of it.
-- Guarantee: a commit whose answer got lost is repeated: paid for once. The turn's sums are those of its calls.
-- Arguments: p_result of complete_turn: model_calls, model, transcript.
-- Concurrency: the caller holds the conversation's lock.
create or replace function record_model_calls(p_turn turns, p_result jsonb, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v_lost numeric; v_spent numeric; v_calls int; v_unpriced int; v_instance bigint;
begin
  -- it was taken for dead, and its reservation for spent: now it tells what it was
  if p_turn.status = 'expired' then
    delete from model_calls where turn_id = p_turn.id and outcome = 'worker_lost' returning cost_usd into v_lost;
  end if;
  with added as (
  insert into model_calls (tenant_id, turn_id, model, outcome, ms, input_tokens, output_tokens, thinking_tokens,
    cache_read_tokens, cache_write_tokens, cost_usd, estimated, detail, cache_miss)
    select p_turn.tenant_id, p_turn.id, r.model, r.outcome, r.ms, r.input_tokens, r.output_tokens,
      coalesce(r.thinking_tokens, 0), r.cache_read_tokens, r.cache_write_tokens, r.cost_usd,
      coalesce(r.estimated, false), r.detail, r.cache_miss
    from model_calls_of(p_result) r
    where not exists (select 1 from model_calls m where m.turn_id = p_turn.id and m.outcome <> 'worker_lost')
    returning cost_usd)
  select sum(cost_usd), count(*), count(*) filter (where cost_usd is null) into v_spent, v_calls, v_unpriced from added;
  delete from spend_reservations where turn_id = p_turn.id;
  if v_calls > 0 or v_lost is not null then
    select instance_id into v_instance from conversations where id = p_turn.conversation_id;
    perform add_spend(p_turn.tenant_id, 'model', v_instance, coalesce(v_spent, 0) - coalesce(v_lost, 0),
      v_calls - (v_lost is not null)::int, v_unpriced, 0, p_now);
  end if;
  update turns t set model = coalesce(p_result ->> 'model', t.model),
      prompt_hash = coalesce(p_result ->> 'prompt_hash', t.prompt_hash),
      verdict = coalesce(p_result ->> 'verdict', t.verdict), route = coalesce(p_result ->> 'route', t.route),
      agent_id = coalesce((p_result ->> 'agent_id')::bigint, t.agent_id),
      transcript = coalesce(p_result -> 'transcript', t.transcript), input_tokens = s.i, output_tokens = s.o,
      thinking_tokens = s.t, cache_read_tokens = s.r, cache_write_tokens = s.w, cost_usd = s.c, unpriced_calls = s.u
    from (select coalesce(sum(input_tokens), 0) i, coalesce(sum(output_tokens), 0) o,
      coalesce(sum(thinking_tokens), 0) t, coalesce(sum(cache_read_tokens), 0) r,
      coalesce(sum(cache_write_tokens), 0) w, coalesce(sum(cost_usd), 0) c, count(*) filter (where cost_usd is null) u
        from model_calls where turn_id = p_turn.id) s
    where t.id = p_turn.id;
end $$;

-- record_tool_calls: what the model had done in a turn. The caller has found the turn open, so it is written once.
-- Arguments: p_calls as complete_turn's tool_calls. Concurrency: the caller holds the conversation's lock.
create or replace function record_tool_calls(p_turn turns, p_calls jsonb)
returns void language plpgsql set search_path = public, pg_temp as $$
begin
  insert into tool_calls (tenant_id, turn_id, conversation_id, name, input, output, ok, ms, found, cost_usd)
    select p_turn.tenant_id, p_turn.id, p_turn.conversation_id, r.name, r.input, r.output, r.ok, r.ms,
      nullif(r.found, 'null'), r.cost_usd
    from jsonb_to_recordset(p_calls) as r (name text, input jsonb, output text, ok boolean, ms int, found jsonb,
      cost_usd numeric);
  perform add_spend(p_turn.tenant_id, 'tool', (select instance_id from conversations
      where id = p_turn.conversation_id), sum((c ->> 'cost_usd')::numeric), count(*)::int, 0, 0, clock(null))
    from jsonb_array_elements(p_calls) c where c ? 'cost_usd' having count(*) > 0;
end $$;

-- mark_refused: notes which models have declined the words of a turn, so that these are not sent to them again.
-- Whose words it were cannot be known. The unanswered ones are taken first; when the turn before was declined too it
-- was something older, so all that has been
--   said is hidden from that model, and the next words stand alone.
-- Concurrency: part of complete_turn, which holds the conversation's lock. Marks add up, so any end of the turn may
--   note them.
create or replace function mark_refused(p_turn turns, p_calls jsonb)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v_models text[]; v_again text[];
begin
  select array_agg(distinct c ->> 'model') into v_models from jsonb_array_elements(p_calls) c
    where c ->> 'outcome' = 'refusal';
  if v_models is null then return; end if;
  select array(select unnest(m.refused_by) intersect select unnest(v_models)) into v_again from messages m
    where m.conversation_id = p_turn.conversation_id and m.direction = 'in' and m.turn_id < p_turn.id
      order by m.seq desc limit 1;
  update messages m set refused_by = array(select unnest(m.refused_by) union select unnest(v_models))
    where m.turn_id = p_turn.id and m.direction = 'in';
  update messages m set refused_by = array(select unnest(m.refused_by) union select unnest(v_again))
    where m.conversation_id = p_turn.conversation_id and not coalesce(m.refused_by, '{}') @> v_again;
end $$;

-- defer_turn: the model is unavailable, which is nobody's fault here: the turn is put off and its messages stay
-- unanswered. Uses no attempt.
-- Guarantee: when the first message has waited for apology_ms, the contact is told so, in the same transaction; the
--   caller passes apology_ms null when that has been said in this outage. The sentence is an answer to nothing, so it
--   leaves soon or not at all.
-- Concurrency: part of complete_turn, which holds the conversation's lock. Result: {outcome: 'deferred', retry_ms: when
--   to look again, parts}.
create or replace function defer_turn(p_conversation conversations, p_turn turns, p_result jsonb, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_retry timestamptz := p_now + make_interval(secs => (p_result ->> 'retry_ms')::numeric / 1000);
  v_due timestamptz := first_pending(p_conversation.id)
    + make_interval(secs => (p_result ->> 'apology_ms')::numeric / 1000);
  v_apology boolean := coalesce(v_due <= p_now, false) and silenced_by(p_conversation, p_now) is null;
  v_until timestamptz := case when v_due > p_now then least(v_retry, v_due) else v_retry end;
begin
  update turns set status = 'deferred', reason = p_result ->> 'reason', ended_at = p_now where id = p_turn.id;
  if v_apology then
    insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
      provider_at, turn_id, correlation_id, kind, priority, part,
        due_at, expires_at, created_at)
      values (p_conversation.tenant_id, p_conversation.instance_id, p_conversation.id, p_conversation.last_seq + 1,
        'out', 'agent', 'text', 'queued', p_result ->> 'apology', p_now, p_turn.id, p_turn.correlation_id,
        'reply', 0, 1, p_now, p_now + interval '10 minutes', p_now);
  end if;
  update conversations set deferred_since = coalesce(deferred_since, p_now), deferred_until = v_until,
    deferred_reason = p_result ->> 'reason',
    -- a failure before it was long ago when the model is back
    failing_since = null, apologised_at = case when v_apology then p_now else apologised_at end,
      last_seq = last_seq + case when v_apology then 1 else 0 end where id = p_conversation.id;
  return jsonb_build_object('outcome', 'deferred', 'retry_ms', ceil(extract(epoch from v_until - p_now) * 1000),
    'parts', case when v_apology then 1 else 0 end);
end $$;

-- end_deferral: a conversation does not wait for the model any more. Concurrency: the caller holds the conversation's
-- lock.
create or replace function end_deferral(p_conversation bigint) returns void language sql as $$
  update conversations set deferred_since = null, deferred_until = null, deferred_reason = null
    where id = p_conversation
$$;

-- fail_turn: a turn ends without an answer: one attempt more of its messages, which stay unanswered.
-- Concurrency: part of complete_turn, which holds the conversation's lock. Result: {outcome: 'failed', failed_in_row}.
create or replace function fail_turn(p_turn turns, p_reason text, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_failed int;
begin
  update turns set status = 'failed', reason = p_reason, ended_at = p_now where id = p_turn.id;
  update conversations set failed_in_row = failed_in_row + 1,
    failing_since = coalesce(failing_since, p_turn.started_at), deferred_until = null where id = p_turn.conversation_id
    returning failed_in_row into v_failed;
  return jsonb_build_object('outcome', 'failed', 'failed_in_row', v_failed);
end $$;

-- wrote_again: an answer does not fit any more what the contact has written meanwhile. After two that were withdrawn it
-- goes all the same, but an answer to words that have been taken back never does. Read only.
-- Concurrency: the caller holds the conversation's lock.
create or replace function wrote_again(p_conversation conversations, p_turn turns)
returns boolean language plpgsql stable set search_path = public, pg_temp as $$
begin
  if p_conversation.inbound_seq <= p_turn.inbound_seq then return false; end if;
  return p_conversation.superseded_in_row < 2 or exists (select
    from inbox i join messages e on e.id = i.message_id
    where i.conversation_id = p_conversation.id and e.edited_at >= p_turn.started_at);
end $$;

-- supersede_turn: a turn ends since another one has to look again; its messages stay unanswered.
-- Guarantee: a shutdown does not count as one that the contact superseded.
-- Concurrency: part of complete_turn, which holds the conversation's lock. Result: {outcome: 'superseded',
--   first_pending_at}.
create or replace function supersede_turn(p_turn turns, p_reason text, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  update turns set status = 'superseded', reason = coalesce(p_reason, 'contact_wrote_again'), ended_at = p_now
    where id = p_turn.id;
  update conversations set superseded_in_row = superseded_in_row + 1
    where id = p_turn.conversation_id and p_reason is distinct from 'shutdown';
  return jsonb_build_object('outcome', 'superseded', 'first_pending_at', first_pending(p_turn.conversation_id));
end $$;

-- answer_stop: why an answer may not be given at this moment, or null. Read only.
-- Concurrency: the caller holds the conversation's lock. Result: 'paused' | who holds the conversation instead of the
--   agent | 'opted_out': since the turn began, as who writes after opting out is answered.
create or replace function answer_stop(p_conversation conversations, p_turn turns, p_now timestamptz)
returns text language plpgsql stable set search_path = public, pg_temp as $$
declare v_silenced text := silenced_by(p_conversation, p_now, null, p_turn.started_at);
begin
  return case when v_silenced like 'paused\_%' then 'paused' else v_silenced end;
end $$;

-- suppress_turn: an answer may not be given (answer_stop). Paused: the messages stay unanswered and wait; else a person
-- has them, or the contact wants none.
-- Concurrency: part of complete_turn, which holds the conversation's lock. Result: {outcome: 'suppressed', reason}.
create or replace function suppress_turn(p_conversation conversations, p_turn turns, p_stop text, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  update turns set status = 'suppressed', reason = p_stop, ended_at = p_now where id = p_turn.id;
  if p_stop <> 'paused' then
    update messages set status = case when p_stop in ('opted_out', 'observe') then 'skipped' else 'handed_over' end,
      reason = case p_stop when 'observe' then 'observed' else p_stop end
      where turn_id = p_turn.id and direction = 'in' and status = 'received';
    if p_conversation.deferred_since is not null then perform end_deferral(p_conversation.id); end if;
  end if;
  return jsonb_build_object('outcome', 'suppressed', 'reason', p_stop);
end $$;

-- settle_turn: what a turn that is done says of its messages, of itself and of its conversation: nothing has failed or
-- waits for the model any more.
-- Arguments: p_result of complete_turn, of kind answer, skip or handoff; p_draft the answer waits for a person's yes.
-- Concurrency: part of complete_turn, which holds the conversation's lock.
create or replace function settle_turn(p_turn turns, p_result jsonb, p_draft boolean, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
declare v_kind text := p_result ->> 'kind';
begin
  update messages set status = case when p_draft or v_kind = 'handoff' then 'handed_over'
      when v_kind = 'answer' then 'answered' else 'skipped' end,
    reason = case when p_draft then 'draft' when v_kind <> 'answer' then p_result ->> 'reason' end
    where turn_id = p_turn.id and direction = 'in' and status = 'received';
  update turns set status = case v_kind when 'answer' then 'committed' when 'handoff' then 'handed_over'
    else 'skipped' end, reason = p_result ->> 'reason', ended_at = p_now where id = p_turn.id;
  update conversations set failed_in_row = 0, failing_since = null, deferred_since = null, deferred_until = null,
    deferred_reason = null,
    -- an answer that may still be withdrawn has not reached the contact yet: settle_sent ends that row
    superseded_in_row = case when jsonb_array_length(coalesce(p_result -> 'parts', '[]')) > 0
      then superseded_in_row else 0 end,
    -- an outage is over when the model has answered, or a person has the conversation
    apologised_at = case when v_kind = 'handoff' or p_result ->> 'model' is not null then null else apologised_at end,
    quiet_reason = coalesce(p_result -> 'quiet' ->> 'reason', quiet_reason),
    quiet_until = coalesce(p_now + make_interval(secs => (p_result -> 'quiet' ->> 'seconds')::int), quiet_until),
    previous_answer = case when p_result ->> 'answer_id' is null then previous_answer
      else jsonb_build_object('id', p_result ->> 'answer_id', 'at', p_now) end
    where id = p_turn.conversation_id;
end $$;

-- cancel_apology: the answer is there before the sentence about the outage has left, which nobody has heard then.
-- Concurrency: the caller holds the conversation's lock.
create or replace function cancel_apology(p_conversation bigint)
returns void language plpgsql set search_path = public, pg_temp as $$
begin
  update messages m set status = 'cancelled', reason = 'answered_meanwhile', goes_at = null from outbox o, turns t
    where o.conversation_id = p_conversation and m.id = o.message_id and m.status = 'queued' and t.id = m.turn_id
      and t.status = 'deferred';
  if found then update conversations set apologised_at = null where id = p_conversation; end if;
end $$;

-- apply_effects: what the tools of a turn were to do becomes true, in the order in which the model asked for it.
-- Arguments: p_effects as complete_turn's; p_draft its reactions wait for a person's yes, as the answer does.
-- Concurrency: part of complete_turn, which holds the conversation's lock. Result: how many rows of the lane were
--   written (reactions), numbered from last_seq on.
create or replace function apply_effects(
  p_conversation conversations, p_turn turns, p_effects jsonb, p_draft boolean, p_now timestamptz
) returns int language plpgsql set search_path = public, pg_temp as $$
declare v_effect jsonb; v_count int := 0;
begin
  for v_effect in select * from jsonb_array_elements(p_effects) loop
    case v_effect ->> 'type'
      when 'handoff' then
        perform open_handoff(p_conversation.id, p_turn.id, v_effect ->> 'reason', v_effect ->> 'summary',
          coalesce((v_effect ->> 'controls')::boolean, true), p_now, v_effect ->> 'suggestion');
      when 'opt_out' then
        perform add_opt_out(p_conversation.contact_id, 'agent', p_now, p_conversation.instance_id);
      when 'remember' then
        perform remember_fact(p_conversation.contact_id, v_effect, (select max(id) from messages
          where turn_id = p_turn.id and direction = 'in' and conversation_id = p_conversation.id), p_now);
      when 'remind' then
        perform add_reminder(p_conversation, p_turn.id, v_effect, p_now);
      when 'cancel_reminders' then
        perform cancel_reminders(p_conversation.id, null, 'contact_cancelled', p_now);
      when 'label' then
        update conversations set observed_labels = array(select jsonb_array_elements_text(v_effect -> 'labels')),
          observed_summary = v_effect ->> 'summary', observed_at = p_now where id = p_conversation.id;
      when 'react' then
        if queue_reaction(p_conversation, p_turn, v_effect, v_count, p_draft, p_now) then
          v_count := v_count + 1;
        end if;
      when 'tool_write' then
        perform queue_tool_write(p_conversation, p_turn, v_effect, p_draft, p_now);
    end case;
  end loop;
  return v_count;
end $$;

-- remember_fact: notes a fact about a contact, in place of the one of the same kind and subject. The newest 50 are
-- current.
-- Arguments: p_fact {fact, kind, about: empty: of a name or an address there is one, else each fact is its own
--   subject}; p_message of the contact, that it was taken from.
-- Guarantee: the same fact again changes nothing. Concurrency: any; facts of one contact wait for each other.
create or replace function remember_fact(p_contact bigint, p_fact jsonb, p_message bigint, p_now timestamptz)
returns void language plpgsql set search_path = public, pg_temp as $$
declare
  v_kind text := coalesce(p_fact ->> 'kind', 'other');
  v_about text := coalesce(nullif(p_fact ->> 'about', ''),
    case when v_kind in ('name', 'address') then '' else lower(p_fact ->> 'fact') end);
begin
  perform from contacts where id = p_contact for no key update;
  if exists (select from contact_facts where contact_id = p_contact and replaced_at is null
      and fact = p_fact ->> 'fact') then
    return;
  end if;
  update contact_facts set replaced_at = p_now
    where contact_id = p_contact and kind = v_kind and about = v_about and replaced_at is null;
  insert into contact_facts (tenant_id, contact_id, kind, about, fact, message_id, noted_at)
    select tenant_id, id, v_kind, v_about, p_fact ->> 'fact', p_message, p_now from contacts where id = p_contact;
  update contact_facts set replaced_at = p_now
    where id in (select id from contact_facts where contact_id = p_contact and replaced_at is null
      order by noted_at desc, id desc offset 50);
end $$;

-- queue_reaction: a reaction of a turn goes into the lane, before the answer's parts.
-- Arguments: p_effect {message_id, emoji}; p_before rows of this turn that are there already; p_draft see
--   complete_turn. Concurrency: part of complete_turn, which holds the conversation's lock. Result: false when there is
--   no such message of the contact in this conversation.
create or replace function queue_reaction(
  p_conversation conversations, p_turn turns, p_effect jsonb, p_before int, p_draft boolean, p_now timestamptz
) returns boolean language plpgsql set search_path = public, pg_temp as $$
begin
  insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
    provider_at, quoted_id, turn_id, correlation_id, kind, priority, part, due_at, created_at)
    select p_conversation.tenant_id, p_conversation.instance_id, p_conversation.id,
      p_conversation.last_seq + p_before + 1, 'out', 'agent', 'reaction',
      case when p_draft then 'draft' else 'queued' end, p_effect ->> 'emoji', p_now, m.provider_id, p_turn.id,
      p_turn.correlation_id, 'reply', 0, 0, p_now, p_now
    from messages m where m.id = (p_effect ->> 'message_id')::bigint and m.conversation_id = p_conversation.id
      and m.direction = 'in' and m.provider_id is not null;
  return found;
end $$;

-- queue_parts: the parts of an answer go into the lane, in their order.
-- Arguments: p_parts as complete_turn's, or null; p_before rows of this turn that are there already; p_draft see
--   complete_turn. Concurrency: part of complete_turn, which holds the conversation's lock. Result: how many.
create or replace function queue_parts(
  p_conversation conversations, p_turn turns, p_parts jsonb, p_before int, p_draft boolean, p_now timestamptz
) returns int language plpgsql set search_path = public, pg_temp as $$
declare v_part jsonb; v_count int := 0;
begin
  for v_part in select * from jsonb_array_elements(coalesce(p_parts, '[]')) loop
    v_count := v_count + 1;
    insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
      provider_at, turn_id, correlation_id, kind, priority, part, typing_ms, due_at, created_at)
      values (p_conversation.tenant_id, p_conversation.instance_id, p_conversation.id,
        p_conversation.last_seq + p_before + v_count, 'out', 'agent', 'text',
        case when p_draft then 'draft' else 'queued' end, v_part ->> 'text', p_now, p_turn.id, p_turn.correlation_id,
        coalesce(v_part ->> 'kind', 'reply'), case v_part ->> 'kind' when 'handoff' then 1 else 0 end, v_count,
        coalesce((v_part ->> 'typing_ms')::int, 0), p_now, p_now);
  end loop;
  return v_count;
end $$;

-- sweep_turns: conversations with something unanswered and no live turn: what a queue forgot, or a worker left behind.
-- Arguments: p_older_ms only what has waited so long (above the longest debounce); p_limit at most so many.
-- Concurrency: read only. Result: [conversation id], the longest waiting first. Left out are paused ones (but for the
--   manager's commands), and those whose turn was put off until later.
create or replace function sweep_turns(p_older_ms int, p_limit int, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(id), '[]') from (
    select m.conversation_id as id from inbox m
      join conversations c on c.id = m.conversation_id join instances i on i.id = c.instance_id
    where m.created_at <= clock(p_now) - make_interval(secs => p_older_ms / 1000.0)
      and not exists (select 1 from turns t where t.conversation_id = m.conversation_id and t.status = 'open'
        and t.lease_until > clock(p_now))
      and (m.command or (pause_reason(c.tenant_id, i.name, c.id, null) is null
        and coalesce(c.deferred_until <= clock(p_now), true)))
    group by m.conversation_id order by min(m.created_at) limit p_limit) s
$$;

-- sweep_deferred: conversations whose turn was put off, and whose time has come: what a queue forgot meanwhile, or a
-- worker left behind.
-- Arguments: p_available_ms for so long a model may have been asked, null when none may now: then also those whose last
--   try began before that; p_limit at most so many.
-- Concurrency: read only. Result: [conversation id], the longest waiting first. Paused ones are left out.
create or replace function sweep_deferred(p_available_ms numeric, p_limit int, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(id), '[]') from (
    select c.id from conversations c join instances i on i.id = c.instance_id
    where c.deferred_until is not null and (c.deferred_until <= (select clock(p_now))
        or (c.deferred_reason not in ('replies_wait', 'answer_withdrawn') and (select max(t.started_at) from turns t
          where t.conversation_id = c.id) < (select clock(p_now)) - make_interval(secs => p_available_ms / 1000)))
      and not exists (select from turns t where t.conversation_id = c.id and t.status = 'open'
        and t.lease_until > clock(p_now))
      and pause_reason(c.tenant_id, i.name, c.id, null) is null
    order by c.deferred_since limit p_limit) s
$$;

-- ensure_setup: what an installation needs to run: the number of EVOLUTION_INSTANCE and the default agent. Idempotent;
-- an agent that somebody changed is left alone. A database that says it belongs to another project than the caller's is
-- not touched.
-- p_setup {instance or null, project_ref or null, agent {name, tone, instructions, promises}}. Result: {}. Errors:
-- WA003 another project's database.
create or replace function ensure_setup(p_setup jsonb)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  if is_foreign(p_setup ->> 'project_ref') then raise exception 'the database belongs to another project'
    using errcode = 'WA003'; end if;
  if p_setup ->> 'instance' is not null then
    perform ensure_instance(p_setup ->> 'instance', null);
    update instances set proactive = true where name = p_setup ->> 'instance' and not proactive and not exists (select
      from instance_events e where e.instance_id = instances.id and e.event = 'changed' and e.details ? 'proactive');
  end if;
  insert into agents (slug, name, tone, instructions, promises, created_by)
    select 'default', a ->> 'name', a ->> 'tone', a ->> 'instructions', a ->> 'promises', 'setup'
      from (select p_setup -> 'agent' as a) x
    where not exists (select 1 from agents where tenant_id = 'default' and slug = 'default')
    on conflict do nothing;
  return '{}';
end $$;

-- list_agents: the agents that answer, of all tenants. Concurrency: read only. Result: [agent], as their rows are.
create or replace function list_agents() returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(to_jsonb(a) order by a.tenant_id, a.slug), '[]') from agents a where a.active
$$;

-- keep_versions: a version of an agent never changes, but for its hours and whether it is in force. A new one gets the
-- next number of its slug; one that comes into force takes the place of the one before, which it remembers.
create or replace function keep_versions() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare v_free text[] := array['active', 'hours', 'published_at', 'replaced'];
begin
  if tg_op = 'UPDATE' and to_jsonb(new) - v_free is distinct from to_jsonb(old) - v_free then
    raise exception 'version % of the agent % never changes: save another one', old.version, old.slug
      using errcode = 'restrict_violation';
  end if;
  if tg_op = 'INSERT' then
    perform from agents where tenant_id = new.tenant_id and slug = new.slug for no key update;
    new.version := coalesce(new.version, (select coalesce(max(version), 0) + 1 from agents
      where tenant_id = new.tenant_id and slug = new.slug));
  end if;
  if new.active and (tg_op = 'INSERT' or not old.active) then
    new.published_at := clock_timestamp();
    new.replaced := null;
    update agents set active = false where tenant_id = new.tenant_id and slug = new.slug and active
      returning id into new.replaced;
  end if;
  return new;
end $$;

create or replace trigger agents_versions before insert or update on agents
  for each row execute function keep_versions();

-- agent_version: a version of an agent, or, with p_version null, the one in force: the tenant's own, else that of the
-- installation. Read only. Result: its row, with replaced as a version's number; null: there is none.
create or replace function agent_version(p_tenant text, p_slug text, p_version int default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select to_jsonb(a) || jsonb_build_object('replaced', (select r.version from agents r where r.id = a.replaced))
  from agents a
  where a.slug = p_slug and case when p_version is null then a.active and a.tenant_id in (p_tenant, 'default')
    else a.tenant_id = p_tenant and a.version = p_version end
  order by a.tenant_id = p_tenant desc limit 1
$$;

-- agent_versions: the versions of a tenant's agent, the newest first. Read only. Result: [{version, active, name, note,
-- created_by, created_at, published_at, replaced: a version's number}].
create or replace function agent_versions(p_tenant text, p_slug text, p_limit int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(v order by v.version desc), '[]') from (
    select a.version, a.active, a.name, a.note, a.created_by, a.created_at, a.published_at,
      (select r.version from agents r where r.id = a.replaced) as replaced
    from agents a where a.tenant_id = p_tenant and a.slug = p_slug order by a.version desc limit p_limit) v
$$;

-- save_agent: a new version of an agent, as a draft: nobody is answered with it before it is published. Audited.
-- Arguments: p_words {name, company, tone, instructions, promises, language, sentences, model, model_complex, tools,
--   note}, checked by the caller (turns/agent-words.ts); its hours are those of the version in force.
-- Concurrency: one at a time for each agent. Result: {version}.
create or replace function save_agent(p_tenant text, p_slug text, p_words jsonb, p_actor text)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_row agents;
begin
  insert into agents (tenant_id, slug, active, name, company, tone, instructions, promises, language, sentences, model,
    model_complex, tools, hours, note, created_by)
    select p_tenant, p_slug, false, w.name, w.company, w.tone, w.instructions, w.promises, w.language,
      coalesce(w.sentences, '{}'), w.model, w.model_complex, w.tools,
      (select hours from agents where tenant_id = p_tenant and slug = p_slug and active), w.note, p_actor
    from jsonb_to_record(p_words) w (name text, company text, tone text, instructions text, promises text,
      language text, sentences jsonb, model text, model_complex text, tools text[], note text)
    returning * into v_row;
  insert into audit_log (tenant_id, actor, action, subject, details)
    values (p_tenant, p_actor, 'agent.saved', p_slug, jsonb_build_object('version', v_row.version, 'note', v_row.note));
  return jsonb_build_object('version', v_row.version);
end $$;

-- publish_agent: a version of an agent is in force, from the next claim of every worker on; turns that run end with the
-- words that they began with. Audited.
-- Concurrency: one at a time for each agent. Result: {outcome: 'published' | 'in_force' already | 'unknown', version,
--   before: the version until now, or null}.
create or replace function publish_agent(p_tenant text, p_slug text, p_version int, p_actor text, p_reason text)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_before int; v_active boolean;
begin
  perform from agents where tenant_id = p_tenant and slug = p_slug for no key update;
  select version into v_before from agents where tenant_id = p_tenant and slug = p_slug and active;
  select active into v_active from agents where tenant_id = p_tenant and slug = p_slug and version = p_version;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v_active then return jsonb_build_object('outcome', 'in_force', 'version', p_version, 'before', v_before); end if;
  update agents set active = true where tenant_id = p_tenant and slug = p_slug and version = p_version;
  insert into audit_log (tenant_id, actor, action, subject, details) values (p_tenant, p_actor, 'agent.published',
    p_slug, jsonb_build_object('version', p_version, 'before', v_before, 'reason', p_reason));
  return jsonb_build_object('outcome', 'published', 'version', p_version, 'before', v_before);
end $$;

-- rollback_agent: what was in force before is in force again, and once more what was before that. Audited.
-- Concurrency: one at a time for each agent. Result: {outcome: 'rolled_back' | 'nothing_before' | 'unknown', version:
--   in force now, before: in force until now}.
create or replace function rollback_agent(p_tenant text, p_slug text, p_actor text, p_reason text)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now agents; v_back agents;
begin
  perform from agents where tenant_id = p_tenant and slug = p_slug for no key update;
  select * into v_now from agents where tenant_id = p_tenant and slug = p_slug and active;
  if v_now.id is null then return jsonb_build_object('outcome', 'unknown'); end if;
  select * into v_back from agents where id = v_now.replaced;
  if v_back.id is null then
    return jsonb_build_object('outcome', 'nothing_before', 'version', v_now.version, 'before', v_now.version);
  end if;
  update agents set active = true where id = v_back.id;
  update agents set replaced = v_back.replaced where id = v_back.id; -- so that the next one goes further back
  insert into audit_log (tenant_id, actor, action, subject, details) values (p_tenant, p_actor, 'agent.rolled_back',
    p_slug, jsonb_build_object('version', v_back.version, 'before', v_now.version, 'reason', p_reason));
  return jsonb_build_object('outcome', 'rolled_back', 'version', v_back.version, 'before', v_now.version);
end $$;

-- record_try: a version of an agent answered a text that nobody gets; its calls of the model are paid all the same, so
-- they are in the ledger, and who made them in the audit. What was asked is written nowhere.
-- Arguments: p_usd US dollars of the calls that have a price; p_calls, p_unpriced how many calls, and how many of them
--   have none. Concurrency: any. Result: {}.
create or replace function record_try(p_tenant text, p_slug text, p_version int, p_actor text, p_model text,
  p_usd numeric, p_calls int, p_unpriced int, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  perform add_spend(p_tenant, 'try', null, p_usd, p_calls, p_unpriced, 0, clock(p_now));
  insert into audit_log (tenant_id, actor, action, subject, details) values (p_tenant, p_actor, 'agent.tried', p_slug,
    jsonb_build_object('version', p_version, 'model', p_model, 'cost_usd', p_usd, 'unpriced', p_unpriced));
  return '{}';
end $$;

-- due_follow_ups: lanes with a follow-up whose time has come, for the look of each morning. Paused ones are left out.
-- Read only. Result: [conversation id].
create or replace function due_follow_ups(p_limit int, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(id), '[]') from (
    select m.conversation_id as id from outbox m join conversations c on c.id = m.conversation_id
      join instances i on i.id = c.instance_id
    where m.kind = 'follow_up' and m.due_at <= clock(p_now) and c.merged_into is null
      and pause_reason(c.tenant_id, i.name, c.id, m.campaign_id) is null
    group by m.conversation_id order by min(m.message_id) limit p_limit) s
$$;

-- Groups. What many conversations ask for at once is one call and one transaction: these do for each item what the
-- function of one does, in the order of the conversations' ids, and answer in the order in which they were asked.
-- Guarantee for a group: all or nothing. One item that fails takes the call with it, and its caller asks again with
-- each item alone (createBatcher), so that it never fails its neighbours. Repeating a call is harmless where repeating
-- the function of one is.

-- in_ms: milliseconds from now to a moment, rounded up and never less than 0; null of a null. What another machine is
-- to wait for is told as a duration: its clock may be off.
create or replace function in_ms(p_until timestamptz, p_now timestamptz)
returns bigint language sql immutable as
$$ select (case when p_until > p_now then ceil(extract(epoch from p_until - p_now) * 1000)
  when p_until <= p_now then 0 end)::bigint $$;

-- hold_turn: the contact types: what is unanswered waits for so long, unless more comes before. A later word of the
-- same contact takes its place. Concurrency: any. Result: {}.
create or replace function hold_turn(p_conversation bigint, p_ms int, p_now timestamptz default null)
returns jsonb language sql volatile set search_path = public, pg_temp as $$
  update conversations set typing_until = clock(p_now) + make_interval(secs => p_ms / 1000.0), typing_seq = inbound_seq
    where id = p_conversation;
  select '{}'::jsonb
$$;

-- burst_ms: how long a conversation is still waited for before it is answered: until debounceMs after its newest
-- unanswered message, or until its contact has typed (hold_turn), never longer than debounceMaxMs after its first.
-- Null: its burst is over, there is none, or it has a command of the manager, which waits for nothing.
-- Arguments: p_debounce {debounceMs, debounceMaxMs}; null: nothing is waited for. Read only.
create or replace function burst_ms(p_conversation bigint, p_debounce jsonb, p_now timestamptz)
returns bigint language sql stable set search_path = public, pg_temp as $$
  select in_ms(b.until, p_now) from (
    select least(min(i.created_at) + make_interval(secs => (p_debounce ->> 'debounceMaxMs')::numeric / 1000),
        greatest(max(i.created_at) + make_interval(secs => (p_debounce ->> 'debounceMs')::numeric / 1000),
          case when c.typing_seq = c.inbound_seq then c.typing_until end)) as until
      from conversations c join inbox i on i.conversation_id = c.id
      where c.id = p_conversation and p_debounce is not null group by c.id having not bool_or(i.command)) b
  where b.until > p_now
$$;

-- renew_turns: renew_turn for all open turns of a worker, in one statement.
-- Guarantee: one that is just being ended (its row is locked) counts as alive and is left as it is: the next call
--   tells.
-- Arguments: p_turns [{turn, fence}]. Concurrency: never waits for any lock. Result: [renew_turn's result], in order.
create or replace function renew_turns(p_turns jsonb, p_lease_ms int, p_now timestamptz default null)
returns jsonb language sql volatile set search_path = public, pg_temp as $$
  with now as materialized (select clock(p_now) as at),
    asked as materialized (select (x ->> 'turn')::bigint as id, (x ->> 'fence')::bigint as fence, n
      from jsonb_array_elements(p_turns) with ordinality e (x, n)),
    free as materialized (select t.id from turns t where t.id in (select id from asked) and t.status = 'open'
      order by t.id for no key update skip locked),
    kept as (update turns t set lease_until = now.at + make_interval(secs => p_lease_ms / 1000.0)
      from asked a, free f, now where t.id = a.id and f.id = t.id and t.fence = a.fence and t.status = 'open')
  select coalesce(jsonb_agg(jsonb_build_object('alive', t.id is not null,
      'newer', coalesce(c.inbound_seq > t.inbound_seq and c.superseded_in_row < 2, false),
      'stop', case when t.id is not null then silenced_by(c, now.at) end) order by a.n), '[]')
    from asked a cross join now left join turns t on t.id = a.id and t.fence = a.fence and t.status = 'open'
      left join conversations c on c.id = t.conversation_id
$$;

-- complete_turns: complete_turn for many turns; of an answer that is committed the first part is claimed for the wire
-- in the same transaction (claim_send), so that nothing can be lost between the two.
-- Guarantee: see complete_turn and claim_send; for a group see above. Answers with nothing else to be done are
--   committed in one statement (complete_plain), everything else goes the way of complete_turn, one by one.
-- Arguments: p_items [{conversation_id, turn, fence, result: as complete_turn's, send: the caller can send now}];
--   p_policy as claim_send's, or null: nothing is claimed for the wire.
-- Concurrency: locks the conversations in the order of their ids, then the numbers in the order of theirs.
-- Result: [complete_turn's result, pending_ms: for how long its first unanswered message has waited, send: what
--   claim_send said, or null], in order.
create or replace function complete_turns(p_items jsonb, p_policy jsonb default null, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_done jsonb;
  v_result jsonb;
  v_item jsonb;
  v_n bigint;
begin
  perform lock_lanes(array(select (x ->> 'conversation_id')::bigint from jsonb_array_elements(p_items) x));
  v_done := complete_plain(p_items, p_policy, clock(p_now));
  for v_item, v_n in select x, n from jsonb_array_elements(p_items) with ordinality e (x, n)
    where not v_done ? n::text order by (x ->> 'conversation_id')::bigint, n loop
    v_result := complete_turn((v_item ->> 'turn')::bigint, (v_item ->> 'fence')::bigint, v_item -> 'result', p_now);
    v_done := v_done || jsonb_build_object(v_n, v_result || jsonb_build_object('send', null, 'pending_ms',
      in_ms(clock(p_now), (v_result ->> 'first_pending_at')::timestamptz), 'ask', (v_item ->> 'send')::boolean
        and v_result ->> 'outcome' = 'committed' and (v_result ->> 'parts')::int > 0));
  end loop;
  return claim_asked(p_items, v_done, 'send', p_policy, p_now);
end $$;

revoke all on function
  was_said(text),
  passed_over(conversations),
  quote_of(messages),
  claim_turn(bigint, text, int, timestamptz),
  turn_in_the_way(bigint, int, timestamptz),
  expire_turn(turns, timestamptz),
  room_at(conversations, int, timestamptz),
  waits_long(text),
  wait_for_room(bigint[], int, timestamptz),
  note_withdrawn(bigint),
  agent_of(instances),
  is_plain_answer(jsonb),
  complete_plain(jsonb, jsonb, timestamptz),
  model_calls_of(jsonb),
  summary_of(conversations),
  summary_due(conversations, timestamptz),
  claim_summary(bigint, int, text, jsonb, timestamptz),
  record_summary(bigint, bigint, timestamptz, text, text, jsonb, timestamptz),
  pay_summary(bigint, jsonb, timestamptz),
  renew_turn(bigint, bigint, int, timestamptz),
  complete_turn(bigint, bigint, jsonb, timestamptz),
  record_model_calls(turns, jsonb, timestamptz),
  record_tool_calls(turns, jsonb),
  mark_refused(turns, jsonb),
  defer_turn(conversations, turns, jsonb, timestamptz),
  end_deferral(bigint),
  fail_turn(turns, text, timestamptz),
  wrote_again(conversations, turns),
  supersede_turn(turns, text, timestamptz),
  answer_stop(conversations, turns, timestamptz),
  suppress_turn(conversations, turns, text, timestamptz),
  settle_turn(turns, jsonb, boolean, timestamptz),
  cancel_apology(bigint),
  apply_effects(conversations, turns, jsonb, boolean, timestamptz),
  remember_fact(bigint, jsonb, bigint, timestamptz),
  queue_reaction(conversations, turns, jsonb, int, boolean, timestamptz),
  queue_parts(conversations, turns, jsonb, int, boolean, timestamptz),
  sweep_turns(int, int, timestamptz),
  sweep_deferred(numeric, int, timestamptz),
  ensure_setup(jsonb),
  list_agents(),
  keep_versions(),
  agent_version(text, text, int),
  agent_versions(text, text, int),
  save_agent(text, text, jsonb, text),
  publish_agent(text, text, int, text, text),
  rollback_agent(text, text, text, text),
  record_try(text, text, int, text, text, numeric, int, int, timestamptz),
  due_follow_ups(int, timestamptz),
  in_ms(timestamptz, timestamptz),
  hold_turn(bigint, int, timestamptz),
  burst_ms(bigint, jsonb, timestamptz),
  claim_turns(jsonb, text, int, jsonb, timestamptz, boolean, jsonb),
  renew_turns(jsonb, int, timestamptz),
  complete_turns(jsonb, jsonb, timestamptz)
  from public, anon, authenticated;
grant execute on function
  was_said(text),
  passed_over(conversations),
  quote_of(messages),
  claim_turn(bigint, text, int, timestamptz),
  turn_in_the_way(bigint, int, timestamptz),
  expire_turn(turns, timestamptz),
  room_at(conversations, int, timestamptz),
  waits_long(text),
  wait_for_room(bigint[], int, timestamptz),
  note_withdrawn(bigint),
  agent_of(instances),
  is_plain_answer(jsonb),
  complete_plain(jsonb, jsonb, timestamptz),
  model_calls_of(jsonb),
  summary_of(conversations),
  summary_due(conversations, timestamptz),
  claim_summary(bigint, int, text, jsonb, timestamptz),
  record_summary(bigint, bigint, timestamptz, text, text, jsonb, timestamptz),
  pay_summary(bigint, jsonb, timestamptz),
  renew_turn(bigint, bigint, int, timestamptz),
  complete_turn(bigint, bigint, jsonb, timestamptz),
  record_model_calls(turns, jsonb, timestamptz),
  record_tool_calls(turns, jsonb),
  mark_refused(turns, jsonb),
  defer_turn(conversations, turns, jsonb, timestamptz),
  end_deferral(bigint),
  fail_turn(turns, text, timestamptz),
  wrote_again(conversations, turns),
  supersede_turn(turns, text, timestamptz),
  answer_stop(conversations, turns, timestamptz),
  suppress_turn(conversations, turns, text, timestamptz),
  settle_turn(turns, jsonb, boolean, timestamptz),
  cancel_apology(bigint),
  apply_effects(conversations, turns, jsonb, boolean, timestamptz),
  remember_fact(bigint, jsonb, bigint, timestamptz),
  queue_reaction(conversations, turns, jsonb, int, boolean, timestamptz),
  queue_parts(conversations, turns, jsonb, int, boolean, timestamptz),
  sweep_turns(int, int, timestamptz),
  sweep_deferred(numeric, int, timestamptz),
  ensure_setup(jsonb),
  list_agents(),
  keep_versions(),
  agent_version(text, text, int),
  agent_versions(text, text, int),
  save_agent(text, text, jsonb, text),
  publish_agent(text, text, int, text, text),
  rollback_agent(text, text, text, text),
  record_try(text, text, int, text, text, numeric, int, int, timestamptz),
  due_follow_ups(int, timestamptz),
  in_ms(timestamptz, timestamptz),
  hold_turn(bigint, int, timestamptz),
  burst_ms(bigint, jsonb, timestamptz),
  claim_turns(jsonb, text, int, jsonb, timestamptz, boolean, jsonb),
  renew_turns(jsonb, int, timestamptz),
  complete_turns(jsonb, jsonb, timestamptz)
  to service_role, whats_agents_runtime;
