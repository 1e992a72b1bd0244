-- Commands that operators write in a chat.

-- claim_command: the oldest command of the manager that waits in a conversation, under a lease. The part of claim_turn
-- that a pause does not hold.
-- Guarantee: one caller has it until its lease is over. Concurrency: the caller holds the conversation's lock.
-- Result: {state: 'busy', until} | {state: 'command', message_id, claim, command, text, sent_at, now, asked:
--   [{message_id, command, word}] what waits for its one-time word, the newest three, recent: {asked, wrong, locked,
--   answers} what the manager's address did within the hour: asked for words that never came, wrong words, refused
--   without a look, answers}.
create or replace function claim_command(p_conversation bigint, p_lease_ms int, p_now timestamptz)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare m messages;
begin
  select x.* into m from inbox n join messages x on x.id = n.message_id where n.conversation_id = p_conversation
    and n.command order by n.seq limit 1;
  if m.lease_until > p_now then return jsonb_build_object('state', 'busy', 'until', m.lease_until); end if;
  update messages set claim = claim + 1, lease_until = p_now + make_interval(secs => p_lease_ms / 1000.0)
    where id = m.id returning * into m;
  return jsonb_build_object('state', 'command', 'message_id', m.id, 'claim', m.claim, 'command', m.meaning -> 'command',
    'text', m.text, 'sent_at', m.provider_at, 'now', p_now,
    'asked', (select coalesce(jsonb_agg(jsonb_build_object('message_id', a.id, 'command', a.meaning -> 'command',
      'word', a.meaning ->> 'asked')), '[]') from (
      select * from messages where conversation_id = p_conversation and meaning ? 'command'
        and created_at > p_now - interval '5 minutes' and meaning ? 'asked' and seq < m.seq
      order by seq desc limit 3) a),
    'recent', (select jsonb_build_object('asked', count(*) filter (where c.reason = 'command_asked'), 'wrong',
      count(*) filter (where c.reason = 'command_wrong'),
      'locked', count(*) filter (where c.reason = 'command_locked'), 'answers', count(*)) from messages c
      where c.meaning ? 'command' and c.created_at > p_now - interval '1 hour' and c.status = 'answered'));
end $$;

-- settle_command: a command was carried out, asked about or refused; the manager is answered, at the phone that may
-- command and nowhere else.
-- Guarantee: once: only the newest claim may speak; the answer and the end of the command commit together. A word
--   counts once.
-- Arguments: p_end {reason: command | command_asked | command_wrong | command_locked, text: the answer, or null for
--   none, to: the manager's phone, word: what is to be repeated before the command is carried out, or null, proved: id
--   of the message whose word this was, or null}. Result: {outcome: 'recorded' | 'stale', conversation_id}.
create or replace function settle_command(p_message bigint, p_claim bigint, p_end jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare m messages; v conversations; v_now timestamptz := clock(p_now);
begin
  select c.* into v from conversations c join messages x on x.conversation_id = c.id
    where x.id = p_message for no key update of c;
  select * into m from messages where id = p_message for update;
  if not found or m.claim <> p_claim or m.status <> 'received'
    then return jsonb_build_object('outcome', 'stale', 'conversation_id', v.id); end if;
  update messages set meaning = meaning - 'asked', reason = 'command'
    where id = (p_end ->> 'proved')::bigint and conversation_id = v.id;
  update messages set status = 'answered', reason = p_end ->> 'reason', lease_until = null,
    meaning = case when p_end ->> 'word' is not null and meaning -> 'command' ->> 'kind' = 'command'
      then meaning || jsonb_build_object('asked', p_end ->> 'word') else meaning end where id = m.id;
  if p_end ->> 'text' is null then return jsonb_build_object('outcome', 'recorded', 'conversation_id', null); end if;
  insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
    provider_at, correlation_id, kind, priority, part, due_at, addressee, created_at)
    values (v.tenant_id, v.instance_id, v.id, v.last_seq + 1, 'out', 'system', 'text', 'queued', p_end ->> 'text',
      v_now, m.correlation_id, 'operator', 0, 1, v_now, p_end ->> 'to', v_now);
  update conversations set last_seq = last_seq + 1 where id = v.id;
  return jsonb_build_object('outcome', 'recorded', 'conversation_id', v.id);
end $$;

-- take_slack_event: Slack posts an event again when it believes that nobody took it. Guarantee: one caller takes it;
-- what is older than a day is forgotten.
-- Concurrency: any; the unique key decides. Result: {taken}.
create or replace function take_slack_event(p_event text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_taken boolean;
begin
  insert into slack_events (event_id, created_at) values (p_event, clock(p_now)) on conflict do nothing;
  v_taken := found;
  delete from slack_events where event_id in (select event_id from slack_events
    where created_at < clock(p_now) - interval '1 day' limit 100);
  return jsonb_build_object('taken', v_taken);
end $$;

-- ask_operator: keeps a command that waits for a confirmation, for two minutes; a newer one of the same actor and place
-- takes its place. Result: {}.
create or replace function ask_operator(p_actor text, p_place text, p_command jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
begin
  insert into operator_asks (actor, place, command, expires_at)
    values (p_actor, p_place, p_command, clock(p_now) + interval '2 minutes')
    on conflict (actor, place) do update set command = excluded.command, expires_at = excluded.expires_at;
  return '{}';
end $$;

-- take_asked: what this actor was asked here within two minutes, and takes it away: of two confirmations at once, one
-- gets it. Result: the command or null.
create or replace function take_asked(p_actor text, p_place text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v operator_asks;
begin
  delete from operator_asks where actor = p_actor and place = p_place returning * into v;
  return case when v.expires_at > clock(p_now) then v.command end;
end $$;

revoke all on function
  claim_command(bigint, int, timestamptz),
  settle_command(bigint, bigint, jsonb, timestamptz),
  take_slack_event(text, timestamptz),
  ask_operator(text, text, jsonb, timestamptz),
  take_asked(text, text, timestamptz)
  from public, anon, authenticated;
grant execute on function
  claim_command(bigint, int, timestamptz),
  settle_command(bigint, bigint, jsonb, timestamptz),
  take_slack_event(text, timestamptz),
  ask_operator(text, text, jsonb, timestamptz),
  take_asked(text, text, timestamptz)
  to service_role, whats_agents_runtime;
