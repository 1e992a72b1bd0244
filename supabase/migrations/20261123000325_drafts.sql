-- Who writes in a conversation (auto, assist, manual), drafts that wait for a yes, and contacts who ask whether they talk with a machine.

-- set_mode: who writes in a conversation: 'auto' the agent, 'assist' the agent's drafts after a person's yes, 'manual' people only. Audited.
-- Concurrency: locks the conversation. A draft that waits stays; what is on its way goes. Result: {outcome: 'done', was, drafts} | {outcome: 'unknown'}.
create function set_mode(p_tenant text, p_conversation bigint, p_mode text, p_actor text, p_reason text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v conversations;
begin
  select * into v from conversations where id = p_conversation and tenant_id = p_tenant and merged_into is null for no key update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  update conversations set mode = p_mode where id = v.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'conversation.mode', v.id::text, jsonb_build_object('mode', p_mode, 'was', v.mode, 'reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'done', 'was', v.mode, 'drafts', (select count(distinct turn_id) from messages where conversation_id = v.id and status = 'draft'));
end $$;

-- withdraw_drafts: the contact wrote again: the draft answered less than there is now, so its messages are unanswered again. Concurrency: the
--   caller holds the conversation's lock.
create function withdraw_drafts(p_conversation bigint) returns void language plpgsql as $$
declare v_turns bigint[];
begin
  with gone as (update messages set status = 'cancelled', reason = 'contact_wrote' where conversation_id = p_conversation and status = 'draft' returning turn_id)
  select array_agg(distinct turn_id) into v_turns from gone;
  if v_turns is null then return; end if;
  update messages set status = 'received', reason = null where turn_id = any (v_turns) and direction = 'in' and status = 'handed_over' and reason = 'draft';
end $$;

-- list_drafts: answers that wait for a person's yes, the oldest first; a draft is named by its turn. Read only.
-- Result: [{id, conversation_id, instance, contact, created_at, asked: what the contact wrote, text}].
create function list_drafts(p_tenant text, p_limit int, p_draft bigint default null) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(to_jsonb(d) order by d.id), '[]') from (
    select m.turn_id as id, m.conversation_id, i.name as instance, k.name as contact, min(m.created_at) as created_at,
      (select string_agg(q.text, E'\n' order by q.seq) from messages q where q.turn_id = m.turn_id and q.direction = 'in') as asked,
      string_agg(m.text, E'\n\n' order by m.part) as text
    from messages m join conversations c on c.id = m.conversation_id join instances i on i.id = c.instance_id join contacts k on k.id = c.contact_id
    where m.status = 'draft' and m.tenant_id = p_tenant and m.turn_id = coalesce(p_draft, m.turn_id)
    group by m.turn_id, m.conversation_id, i.name, k.name order by m.turn_id limit p_limit) d
$$;

-- settle_draft: a person said yes or no to a draft.
-- Guarantee: once, audited. A yes puts it into the lane, with the person's words instead when there are any; all rules are checked again at the send. After a no its
--   messages stay a person's. Arguments: p_parts [text] the person's own words as messages, or null; p_yes.
-- Concurrency: locks the conversation, so of two calls at once one finds a draft. Result: {outcome: 'done', conversation_id, parts, paused}
--   | {outcome: 'with_person', holder} a yes where the agent may not speak: the draft goes on waiting | {outcome: 'unknown'}.
create function settle_draft(p_tenant text, p_draft bigint, p_yes boolean, p_parts jsonb, p_actor text, p_reason text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v conversations; v_turn turns; v_now timestamptz := clock(p_now); v_n int;
begin
  select c.* into v from conversations c join turns t on t.conversation_id = c.id where t.id = p_draft and t.tenant_id = p_tenant for no key update of c;
  select * into v_turn from turns where id = p_draft;
  if not found or not exists (select from messages where conversation_id = v.id and turn_id = p_draft and status = 'draft') then return jsonb_build_object('outcome', 'unknown'); end if;
  if p_yes and conversation_holder(v, v_now) <> 'agent' then return jsonb_build_object('outcome', 'with_person', 'holder', conversation_holder(v, v_now)); end if;
  p_parts := nullif(p_parts, 'null'::jsonb);
  if p_yes and p_parts is null then
    update messages set status = 'queued', due_at = v_now, typing_ms = 0 where conversation_id = v.id and turn_id = p_draft and status = 'draft';
    get diagnostics v_n = row_count;
  else
    update messages set status = 'cancelled', reason = case when p_yes then 'draft_edited' else 'draft_refused' end where conversation_id = v.id and turn_id = p_draft and status = 'draft';
    v_n := coalesce(jsonb_array_length(p_parts), 0);
  end if;
  if p_yes then
    insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_at, turn_id, correlation_id, kind, priority, part, due_at, created_at)
      select v.tenant_id, v.instance_id, v.id, v.last_seq + p.n, 'out', 'agent', 'text', 'queued', p.text, v_now, p_draft, v_turn.correlation_id, 'reply', 0, p.n, v_now, v_now
      from jsonb_array_elements_text(p_parts) with ordinality as p (text, n);
    update conversations set last_seq = last_seq + coalesce(jsonb_array_length(p_parts), 0) where id = v.id;
    update messages set status = 'answered', reason = null where turn_id = p_draft and direction = 'in' and status = 'handed_over' and reason = 'draft';
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) values (p_tenant, p_actor, case when p_yes then 'draft.approve' else 'draft.discard' end,
    p_draft::text, jsonb_build_object('reason', p_reason, 'edited', p_parts is not null), v_now);
  return jsonb_build_object('outcome', 'done', 'conversation_id', v.id, 'parts', v_n,
    'paused', (select pause_reason(v.tenant_id, i.name, v.id, null) from instances i where i.id = v.instance_id));
end $$;

-- Each time that a contact asked whether it talks with a machine.
create table bot_suspicions (
  id                 bigint generated always as identity primary key,
  tenant_id          text not null references tenants (id),
  conversation_id    bigint not null references conversations (id),
  message_id         bigint not null references messages (id) on delete cascade,
  created_at         timestamptz not null default now(),
  false_positive_at  timestamptz,
  marked_by          text
);
create index bot_suspicions_age on bot_suspicions (tenant_id, created_at);
create index bot_suspicions_conversation on bot_suspicions (conversation_id);
create index bot_suspicions_message on bot_suspicions (message_id);

-- bot_suspicion: in how many of the conversations of 7 days the contact asked whether it talks with a machine. Read only.
-- Result: {flagged, conversations, share: 0..1}.
create function bot_suspicion(p_tenant text, p_now timestamptz default null) returns jsonb language sql stable as $$
  select jsonb_build_object('flagged', f.n, 'conversations', c.n, 'share', case when c.n = 0 then 0 else round(f.n::numeric / c.n, 4) end)
  from (select count(distinct conversation_id) as n from bot_suspicions where tenant_id = p_tenant and created_at > clock(p_now) - interval '7 days' and false_positive_at is null) f,
    (select count(*) as n from conversations where tenant_id = p_tenant and last_inbound_at > clock(p_now) - interval '7 days') c
$$;

-- list_suspicions: the newest first. Read only. Result: [{id, conversation_id, contact, text, created_at, false_positive_at, marked_by}].
create function list_suspicions(p_tenant text, p_limit int) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(to_jsonb(l) order by l.id desc), '[]') from (
    select b.id, b.conversation_id, k.name as contact, m.text, b.created_at, b.false_positive_at, b.marked_by
    from bot_suspicions b join conversations c on c.id = b.conversation_id join contacts k on k.id = c.contact_id join messages m on m.id = b.message_id
    where b.tenant_id = p_tenant order by b.id desc limit p_limit) l
$$;

-- dismiss_suspicion: this was no such question; it is not counted. Audited. Result: {outcome: 'done' | 'already' | 'unknown'}.
create function dismiss_suspicion(p_tenant text, p_id bigint, p_actor text, p_reason text, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  update bot_suspicions set false_positive_at = clock(p_now), marked_by = p_actor where id = p_id and tenant_id = p_tenant and false_positive_at is null;
  if not found then
    return jsonb_build_object('outcome', case when exists (select from bot_suspicions where id = p_id and tenant_id = p_tenant) then 'already' else 'unknown' end);
  end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) values (p_tenant, p_actor, 'suspicion.dismiss', p_id::text, jsonb_build_object('reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'done');
end $$;

-- set_identity: what a contact who asks whether it talks with a machine gets, in this tenant: 'answer' the truth and the offer of a person, 'handoff'
--   the truth, and a person is called at once. Audited. Result: {outcome: 'done', was} | {outcome: 'unknown'}.
create function set_identity(p_tenant text, p_identity text, p_actor text, p_reason text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_was text;
begin
  select coalesce(settings ->> 'identity', 'answer') into v_was from tenants where id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  update tenants set settings = settings || jsonb_build_object('identity', p_identity) where id = p_tenant;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'identity.set', p_tenant, jsonb_build_object('identity', p_identity, 'was', v_was, 'reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'done', 'was', v_was);
end $$;

-- note_forward: what this turn left to a person is to be told to people: at once, or with what comes meanwhile a minute after they heard from this conversation last.
-- Concurrency: the caller holds the conversation's lock; the commit that leaves the messages makes it due, so no death in between loses it.
create function note_forward(p_conversation bigint, p_turn bigint, p_now timestamptz) returns void language sql as $$
  update conversations c set forward_from = least(c.forward_from, f.seq), forward_due_at = coalesce(c.forward_due_at, greatest(p_now, c.forwarded_at + interval '1 minute'))
  from (select min(seq) as seq from messages where turn_id = p_turn and direction = 'in') f where c.id = p_conversation and f.seq is not null
$$;

-- forwards_due: conversations of which people are to hear what the contact wrote, the longest waiting first. Read only.
-- Arguments: p_conversation only this one, or null. Result: [{conversation_id, tenant, instance, name, phone, upto, count, messages: the first 20 [{text, typed, type}]}].
create function forwards_due(p_conversation bigint, p_limit int, p_now timestamptz default null) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(to_jsonb(f) - 'due' order by f.due), '[]') from (
    select c.id as conversation_id, c.tenant_id as tenant, i.name as instance, k.name, (select a.address from contact_addresses a where a.contact_id = k.id and a.kind = 'pn' limit 1) as phone,
      c.forward_due_at as due, coalesce(max(m.seq), c.forward_from) as upto, count(m.id)::int as count, coalesce(jsonb_agg(jsonb_build_object('text', m.text, 'typed', m.typed, 'type', m.type) order by m.seq) filter (where m.nth <= 20), '[]') as messages
    from conversations c join instances i on i.id = c.instance_id join contacts k on k.id = c.contact_id
      left join lateral (select x.id, x.seq, x.text, x.typed, x.type, row_number() over (order by x.seq) as nth from messages x where x.conversation_id = c.id and x.direction = 'in'
        and x.seq >= c.forward_from and x.status = 'handed_over' and x.reason in ('human', 'takeover', 'manual') and x.type <> 'reaction' and x.deleted_at is null) m on true
    where c.forward_due_at <= clock(p_now) and c.id = coalesce(p_conversation, c.id)
    group by c.id, i.name, k.id order by c.forward_due_at limit p_limit) f
$$;

-- take_forward: the notice of a forward, and that it was made, in one commit.
-- Guarantee: of callers with the same words one makes the notice; what came after p_upto is due a minute later. Concurrency: locks the conversation.
-- Arguments: p_notice as add_notice takes it, without a key; null: there is nothing to tell any more. Result: {added}.
create function take_forward(p_conversation bigint, p_upto bigint, p_notice jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v conversations; v_left bigint; v_added boolean := false;
begin
  select * into v from conversations where id = p_conversation for no key update;
  if not found or v.forward_due_at is null or v.forward_due_at > clock(p_now) or v.forward_from > p_upto then return jsonb_build_object('added', false); end if;
  if coalesce(jsonb_typeof(p_notice), 'null') <> 'null' then
    v_added := (add_notice(p_notice || jsonb_build_object('key', 'forward-' || v.id || '-' || p_upto), p_now) ->> 'added')::boolean;
  end if;
  select min(seq) into v_left from messages where conversation_id = v.id and direction = 'in' and seq > p_upto and status = 'handed_over'
    and reason in ('human', 'takeover', 'manual') and type <> 'reaction' and deleted_at is null;
  update conversations set forwarded_at = case when v_added then clock(p_now) else forwarded_at end, forward_from = v_left,
    forward_due_at = case when v_left is not null then clock(p_now) + interval '1 minute' end where id = v.id;
  return jsonb_build_object('added', v_added);
end $$;
