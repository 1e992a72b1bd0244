-- What is said later: reminders that a contact asked for, and follow-ups to who went quiet.

-- queue_later: a message that no turn writes goes into a lane.
-- Concurrency: the caller holds the conversation's lock. Result: its id.
create or replace function queue_later(
  p_conversation conversations, p_kind text, p_author text, p_text text, p_expires timestamptz, p_now timestamptz
) returns bigint language plpgsql set search_path = public, pg_temp as $$
declare v_id bigint;
begin
  update conversations set last_seq = last_seq + 1 where id = p_conversation.id;
  insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text,
    provider_at, kind, priority, part, due_at, expires_at, created_at)
    select c.tenant_id, c.instance_id, c.id, c.last_seq, 'out', p_author, 'text', 'queued', p_text, p_now, p_kind,
      case p_kind when 'follow_up' then 2 else 3 end, 0, p_now, p_expires, p_now
    from conversations c where c.id = p_conversation.id returning id into v_id;
  return v_id;
end $$;

-- add_reminder: a turn stores what its contact asked for. The same again changes nothing; of 20 that wait one more is
-- put down as cancelled, so that it is seen why.
-- Arguments: p_reminder {words, about, due_at, event_at}. Concurrency: part of complete_turn, which holds the
--   conversation's lock.
create or replace function add_reminder(
  p_conversation conversations, p_turn bigint, p_reminder jsonb, p_now timestamptz
) returns void language plpgsql set search_path = public, pg_temp as $$
declare v_many boolean := (select count(*) >= 20 from reminders
  where conversation_id = p_conversation.id and status = 'waiting');
begin
  insert into reminders (tenant_id, conversation_id, turn_id, about, words, due_at, event_at, status, reason,
      created_at, ended_at)
    values (p_conversation.tenant_id, p_conversation.id, p_turn, p_reminder ->> 'about', p_reminder ->> 'words',
      (p_reminder ->> 'due_at')::timestamptz, (p_reminder ->> 'event_at')::timestamptz,
      case when v_many then 'cancelled' else 'waiting' end, case when v_many then 'too_many_reminders' end, p_now,
      case when v_many then p_now end)
    on conflict (conversation_id, due_at, about) where status = 'waiting' do nothing;
end $$;

-- cancel_reminders: those of a conversation that wait still, and those whose message has not left. Result: how many.
-- Concurrency: the caller holds the conversation's lock.
create or replace function cancel_reminders(p_conversation bigint, p_id bigint, p_reason text, p_now timestamptz)
returns int language plpgsql set search_path = public, pg_temp as $$
declare v_count int;
begin
  perform end_send(m.id, 'cancelled', p_reason) from reminders r join messages m on m.id = r.message_id
    where r.conversation_id = p_conversation and (p_id is null or r.id = p_id) and m.status = 'queued';
  update reminders r set status = 'cancelled', reason = p_reason, ended_at = p_now
    where r.conversation_id = p_conversation and (p_id is null or r.id = p_id)
      and (r.status = 'waiting' or (r.status = 'queued' and exists (select from messages m
        where m.id = r.message_id and m.status = 'cancelled' and m.reason = p_reason)));
  get diagnostics v_count = row_count;
  return v_count;
end $$;

-- due_reminders: whose minute has come. Read only. Result: [id], the oldest first.
create or replace function due_reminders(p_limit int, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(id order by due_at), '[]') from (select id, due_at from reminders
    where status = 'waiting' and due_at <= clock(p_now) order by due_at limit p_limit) s
$$;

-- fire_reminder: a reminder whose minute has come becomes a message of its lane, once, whoever asks and how often.
-- Guarantee: it is worth nothing a day later, or after the thing itself, and expires then.
-- Arguments: p_tz the zone in which days are named. Concurrency: any; locks the conversation, then the reminder.
-- Result: {conversation_id: whose lane is to be woken} | {conversation_id: null} it was not to be fired.
create or replace function fire_reminder(p_id bigint, p_tz text, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v conversations; v_reminder reminders;
begin
  select c.* into v from reminders r join conversations o on o.id = r.conversation_id
    join conversations c on c.id = coalesce(o.merged_into, o.id) where r.id = p_id for no key update of c;
  select * into v_reminder from reminders where id = p_id and status = 'waiting' and due_at <= v_now for update;
  if not found or v.id is null then return jsonb_build_object('conversation_id', null); end if;
  update reminders set status = 'queued', ended_at = v_now, conversation_id = v.id, message_id = queue_later(v,
      'notification', 'system', reminder_text(v_reminder, p_tz, v_now),
      greatest(v_reminder.due_at + interval '10 minutes', least(v_reminder.due_at + interval '1 day',
        case when v_reminder.event_at > v_reminder.due_at then v_reminder.event_at end)), v_now)
    where id = p_id;
  return jsonb_build_object('conversation_id', v.id);
end $$;

-- reminder_text: what a reminder says at a moment: a day is called what it is then. Read only.
create or replace function reminder_text(p_reminder reminders, p_tz text, p_now timestamptz)
returns text language sql stable set search_path = public, pg_temp as $$
  select 'Lembrete: ' || p_reminder.about || coalesce(' (' || case d.ahead when 0 then 'hoje' when 1 then 'amanhã'
      else (array['domingo', 'segunda-feira', 'terça-feira', 'quarta-feira', 'quinta-feira', 'sexta-feira',
        'sábado'])[extract(dow from d.local)::int + 1] end
    || to_char(d.local, ', DD/MM, "às" HH24:MI') || ')', '')
  from (select p_reminder.event_at at time zone p_tz as local, (p_reminder.event_at at time zone p_tz)::date
    - (p_now at time zone p_tz)::date as ahead) d
$$;

-- as_of_now: a message whose words depend on the day they leave gets those of this moment; any other stays as it is.
-- Concurrency: part of claim_send, which holds the conversation's lock.
create or replace function as_of_now(p_message messages, p_tz text, p_now timestamptz)
returns messages language plpgsql set search_path = public, pg_temp as $$
declare v_text text;
begin
  select reminder_text(r, p_tz, p_now) into v_text from reminders r
    where r.message_id = p_message.id and r.event_at is not null;
  if v_text is null or v_text = p_message.text then return p_message; end if;
  update messages set text = v_text where id = p_message.id returning * into p_message;
  return p_message;
end $$;

-- list_reminders: of a tenant, those that wait first, then the newest; p_all false: only those that wait. Read only.
-- Result: [{id, conversation_id, contact, about, words, due_at, event_at, status, reason, sent}].
create or replace function list_reminders(p_tenant text, p_all boolean, p_limit int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(row order by n), '[]') from (
    select row_number() over (order by r.status = 'waiting' desc, case when r.status = 'waiting' then r.due_at end,
        r.id desc) as n,
      jsonb_build_object('id', r.id, 'conversation_id', r.conversation_id, 'contact', c.name, 'about', r.about,
        'words', r.words, 'due_at', r.due_at, 'event_at', r.event_at, 'status', r.status, 'reason', r.reason,
        'message', (select m.status from messages m where m.id = r.message_id)) as row
    from reminders r join conversations v on v.id = r.conversation_id join contacts c on c.id = v.contact_id
    where r.tenant_id = p_tenant and (p_all or r.status = 'waiting') order by 1 limit p_limit) s
$$;

-- cancel_reminder: an operator cancels one that has not left; audited. Concurrency: any.
-- Result: {outcome: 'done' | 'unknown' | 'over'}.
create or replace function cancel_reminder(
  p_tenant text, p_id bigint, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_talk bigint := (select conversation_id from reminders where id = p_id and tenant_id = p_tenant);
begin
  if v_talk is null then return jsonb_build_object('outcome', 'unknown'); end if;
  perform from conversations where id = v_talk for no key update;
  if cancel_reminders(v_talk, p_id, 'reminder_cancelled', clock(p_now)) = 0 then
    return jsonb_build_object('outcome', 'over');
  end if;
  perform record_audit(p_tenant, p_actor, 'reminder.cancel', p_id::text, jsonb_build_object('reason', p_reason));
  return jsonb_build_object('outcome', 'done');
end $$;

-- follow_up_over: why the ladder of a silence is over, whatever its step: the contact wrote, on this number or another;
-- a person is needed, or speaks; no message is wanted; the ladder was switched off, or nothing of it was answered.
-- Null: it goes on. Read only.
-- Arguments: p_policy {maxUnanswered}, as in claim_send.
create or replace function follow_up_over(
  p_follow_up follow_ups, p_conversation conversations, p_policy jsonb, p_now timestamptz
) returns text language plpgsql stable set search_path = public, pg_temp as $$
declare v_holder text := nullif(conversation_holder(p_conversation, p_now), 'agent');
begin
  return case
    when p_conversation.merged_into is not null or exists (select from messages m
        where m.conversation_id = p_conversation.id and m.seq > p_follow_up.after_seq
          and (m.direction = 'in' or m.author = 'human'))
      or exists (select from conversations o where o.contact_id = p_conversation.contact_id
        and o.last_inbound_at > p_follow_up.since) then 'follow_up_answered'
    when exists (select from standing_opt_out(p_conversation.contact_id)) then 'opt_out'
    when v_holder is not null then v_holder
    when exists (select from handoffs h where h.conversation_id = p_conversation.id and h.status <> 'returned')
      then 'handoff_open'
    when not exists (select from follow_up_ladders l where l.tenant_id = p_conversation.tenant_id
      and l.enabled_at is not null) then 'follow_ups_off'
    when unanswered(p_conversation.contact_id, (p_policy ->> 'maxUnanswered')::int)
      >= (p_policy ->> 'maxUnanswered')::int then 'campaign_pressure' end;
end $$;

-- follow_up_guard: the rule that a step of a ladder breaks between its time and the wire; null for any other message.
-- Concurrency: part of first_guard. Result: as `ends`.
create or replace function follow_up_guard(
  p_message messages, p_conversation conversations, p_policy jsonb, p_now timestamptz
) returns jsonb language plpgsql stable set search_path = public, pg_temp as $$
declare v_follow_up follow_ups; v_over text;
begin
  select * into v_follow_up from follow_ups where message_id = p_message.id;
  if not found then return null; end if;
  v_over := follow_up_over(v_follow_up, p_conversation, p_policy, p_now);
  return ends(v_over, case when v_over in ('opt_out', 'campaign_pressure') then 'blocked' else 'cancelled' end,
    v_over is not null);
end $$;

-- start_follow_ups: a ladder begins where the agent has answered since it was switched on, and nothing has come since.
-- Guarantee: one for each silence, over any number of callers; who wrote last before the switch is left alone. Those
--   that were answered or stopped end.
-- Concurrency: any. Result: how many began.
create or replace function start_follow_ups(p_limit int, p_now timestamptz default null)
returns int language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v_count int;
begin
  -- what was answered or stopped makes room for the next silence; WhatsApp tells whole seconds, so an answer may be of
  -- the second of the words before it
  update follow_ups f set status = 'cancelled', ended_at = v_now,
      reason = case when o.answered then 'follow_up_answered' else o.reason end
    from (select g.id, m.status, m.reason, v.last_inbound_at > g.since or exists (select from messages a
        where a.conversation_id = v.id and a.seq > g.after_seq and a.direction = 'in') as answered
      from follow_ups g join conversations v on v.id = g.conversation_id left join messages m on m.id = g.message_id
      where g.status = 'active') o
    where f.id = o.id and f.status = 'active'
      and (o.answered or o.status in ('cancelled', 'blocked', 'expired', 'failed'));
  insert into follow_ups (tenant_id, conversation_id, since, after_seq, due_at, created_at)
    select v.tenant_id, v.id, v.last_inbound_at, v.last_seq,
      m.created_at + make_interval(mins => (l.steps -> 0 ->> 'after_minutes')::int), v_now
    from follow_up_ladders l join conversations v on v.tenant_id = l.tenant_id
      join messages m on m.conversation_id = v.id and m.seq = v.last_seq
    where l.enabled_at is not null and jsonb_array_length(l.steps) > 0 and v.last_inbound_at >= l.enabled_at
      -- what has gone on within a day: a ladder begins within minutes of the answer, and a scheduler may have been away
      and v.id in (select t.conversation_id from turns t
        where t.started_at > greatest(v_now - interval '1 day', l.enabled_at) and t.status = 'committed')
      and v.merged_into is null and m.direction = 'out' and m.author = 'agent' and m.kind = 'reply'
      and was_said(m.status) and (not l.only_questions or m.text ~ '\?\s*\S{0,4}\s*$')
      and silenced_by(v, v_now) is null and not exists (select from standing_opt_out(v.contact_id))
      and not exists (select from handoffs h where h.conversation_id = v.id and h.status <> 'returned')
      and not exists (select from follow_ups f where f.conversation_id = v.id
        and (f.status = 'active' or f.since = v.last_inbound_at))
    order by v.id limit p_limit
    on conflict do nothing;
  get diagnostics v_count = row_count;
  return v_count;
end $$;

-- due_follow_up_steps: ladders whose next step is to be looked at. Read only. Result: [id], the oldest first.
create or replace function due_follow_up_steps(p_limit int, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(id order by due_at), '[]') from (select id, due_at from follow_ups
    where status = 'active' and due_at <= clock(p_now) order by due_at limit p_limit) s
$$;

-- take_follow_up_step: the next step of a ladder becomes a message of the lane, or the ladder ends, or waits.
-- Guarantee: each step once, over any number of callers and kills; a step is counted from when the one before left.
-- Arguments: p_company for {loja}; p_policy as in claim_send. Concurrency: any; locks the conversation, then the row.
-- Result: {conversation_id: whose lane is to be woken, or null}.
create or replace function take_follow_up_step(
  p_id bigint, p_company text, p_policy jsonb, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v conversations; f follow_ups; v_steps jsonb; v_last messages; v_over text;
  v_due timestamptz;
begin
  select c.* into v from follow_ups r join conversations c on c.id = r.conversation_id where r.id = p_id
    for no key update of c;
  select * into f from follow_ups where id = p_id and status = 'active' and due_at <= v_now for update;
  if not found then return jsonb_build_object('conversation_id', null); end if;
  select steps into v_steps from follow_up_ladders where tenant_id = f.tenant_id;
  select * into v_last from messages where id = f.message_id;
  v_over := coalesce(follow_up_over(f, v, p_policy, v_now),
    case when v_last.status in ('cancelled', 'blocked', 'expired', 'failed') then v_last.reason end);
  if v_over is not null or f.step >= jsonb_array_length(v_steps) then
    update follow_ups set status = case when v_over is null then 'done' else 'cancelled' end, reason = v_over,
      ended_at = v_now where id = p_id;
    return jsonb_build_object('conversation_id', null);
  end if;
  v_due := case when v_last.status in ('queued', 'sending') or pause_reason(v.tenant_id, (select name from instances
      where id = v.instance_id), v.id, null) is not null then v_now + interval '10 minutes'
    else v_last.slot_at + make_interval(mins => (v_steps -> f.step ->> 'after_minutes')::int) end;
  if v_due > v_now then
    update follow_ups set due_at = v_due where id = p_id;
    return jsonb_build_object('conversation_id', null);
  end if;
  update follow_ups set step = f.step + 1, due_at = v_now + make_interval(mins =>
      coalesce((v_steps -> (f.step + 1) ->> 'after_minutes')::int, 60)),
    message_id = queue_later(v, 'follow_up', 'agent', follow_up_text(v_steps -> f.step ->> 'text',
      (select name from contacts where id = v.contact_id), p_company), v_now + interval '1 day', v_now)
    where id = p_id;
  return jsonb_build_object('conversation_id', v.id);
end $$;

-- follow_up_text: with the contact's first name and the company's; where no name is known its place is closed.
create or replace function follow_up_text(p_text text, p_name text, p_company text) returns text language sql immutable
set search_path = public, pg_temp as $$
  select replace(case when n.first is null then regexp_replace(p_text, '[, ]*\{nome\}', '', 'g')
    else replace(p_text, '{nome}', n.first) end, '{loja}', p_company)
  from (select substring(p_name from '^\s*([[:alpha:]''-]{2,20})(?:\s|$)') as first) n
$$;

-- set_follow_ups: a tenant's ladder, on from now on; p_steps null: off. Those under way end with it; audited.
-- Arguments: p_steps [{after_minutes, text}]. Concurrency: any. Result: {ended: ladders that were under way}.
create or replace function set_follow_ups(
  p_tenant text, p_steps jsonb, p_only_questions boolean, p_actor text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v_ended int;
begin
  insert into follow_up_ladders (tenant_id, steps, only_questions, enabled_at, updated_by, updated_at)
    values (p_tenant, coalesce(p_steps, '[]'), coalesce(p_only_questions, true),
      case when p_steps is not null then v_now end, p_actor, v_now)
    on conflict (tenant_id) do update set steps = case when p_steps is null then follow_up_ladders.steps
        else excluded.steps end, only_questions = excluded.only_questions, enabled_at = excluded.enabled_at,
      updated_by = excluded.updated_by, updated_at = excluded.updated_at;
  update follow_ups set status = 'cancelled', reason = 'follow_ups_off', ended_at = v_now
    where tenant_id = p_tenant and status = 'active';
  get diagnostics v_ended = row_count;
  perform record_audit(p_tenant, p_actor, 'follow_up.set', p_tenant, jsonb_build_object('steps', p_steps,
    'only_questions', p_only_questions, 'ended', v_ended));
  return jsonb_build_object('ended', v_ended);
end $$;

-- list_follow_ups: a tenant's ladder, and the newest that ran or run. Read only.
-- Result: {ladder: {steps, only_questions, enabled_at} | null, follow_ups: [{id, conversation_id, contact, step,
--   due_at, status, reason}]}.
create or replace function list_follow_ups(p_tenant text, p_limit int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('ladder', (select jsonb_build_object('steps', l.steps, 'only_questions', l.only_questions,
      'enabled_at', l.enabled_at) from follow_up_ladders l where l.tenant_id = p_tenant),
    'follow_ups', (select coalesce(jsonb_agg(jsonb_build_object('id', f.id, 'conversation_id', f.conversation_id,
        'contact', c.name, 'step', f.step, 'due_at', f.due_at, 'status', f.status, 'reason', f.reason)
        order by f.status = 'active' desc, f.id desc), '[]')
      from (select * from follow_ups where tenant_id = p_tenant order by status = 'active' desc, id desc
        limit p_limit) f join conversations v on v.id = f.conversation_id join contacts c on c.id = v.contact_id))
$$;

revoke all on function
  queue_later(conversations, text, text, text, timestamptz, timestamptz),
  add_reminder(conversations, bigint, jsonb, timestamptz),
  cancel_reminders(bigint, bigint, text, timestamptz),
  due_reminders(int, timestamptz),
  fire_reminder(bigint, text, timestamptz),
  reminder_text(reminders, text, timestamptz),
  as_of_now(messages, text, timestamptz),
  list_reminders(text, boolean, int),
  cancel_reminder(text, bigint, text, text, timestamptz),
  follow_up_over(follow_ups, conversations, jsonb, timestamptz),
  follow_up_guard(messages, conversations, jsonb, timestamptz),
  start_follow_ups(int, timestamptz),
  due_follow_up_steps(int, timestamptz),
  take_follow_up_step(bigint, text, jsonb, timestamptz),
  follow_up_text(text, text, text),
  set_follow_ups(text, jsonb, boolean, text, timestamptz),
  list_follow_ups(text, int)
  from public, anon, authenticated;
grant execute on function
  queue_later(conversations, text, text, text, timestamptz, timestamptz),
  add_reminder(conversations, bigint, jsonb, timestamptz),
  cancel_reminders(bigint, bigint, text, timestamptz),
  due_reminders(int, timestamptz),
  fire_reminder(bigint, text, timestamptz),
  reminder_text(reminders, text, timestamptz),
  as_of_now(messages, text, timestamptz),
  list_reminders(text, boolean, int),
  cancel_reminder(text, bigint, text, text, timestamptz),
  follow_up_over(follow_ups, conversations, jsonb, timestamptz),
  follow_up_guard(messages, conversations, jsonb, timestamptz),
  start_follow_ups(int, timestamptz),
  due_follow_up_steps(int, timestamptz),
  take_follow_up_step(bigint, text, jsonb, timestamptz),
  follow_up_text(text, text, text),
  set_follow_ups(text, jsonb, boolean, text, timestamptz),
  list_follow_ups(text, int)
  to service_role, whats_agents_runtime;
