-- Messages that our number sent and we did not write: who wrote them, and what a mistake about that leaves behind.
--
-- A person's words pause the agent in that conversation. A phone also greets new customers and tells that the shop is closed, lists send one text to many, and
-- other programs use the number: those say nothing of a person, and would silence the agent for half an hour. WhatsApp does not tell them apart, so their
-- words and their moment are judged; a mistake is undone when later ones show it.

-- own_words: what is compared of two texts, or null when there is too little: without case, accents, digits and signs, without the words of the contact's
-- name, and with one greeting for all times of the day. So a text with the customer's name in it is one text. A hash: an index takes no long text.
create function own_words(p_text text, p_name text) returns text language plpgsql immutable as $$
declare v_words text[] := folded_words(p_text); v_name text[] := folded_words(p_name); v_left text;
begin
  select string_agg(w, ' ' order by n) into v_left from unnest(v_words) with ordinality as x (w, n) where w <> all (coalesce(v_name, '{}')) and w not in ('dia', 'tarde', 'noite', 'bom', 'boa');
  return case when length(v_left) >= 12 then md5(v_left) end;
end $$;

-- folded_words: the words of a text without case, accents, digits and signs.
create function folded_words(p_text text) returns text[] language sql immutable as $$
  select array(select w from regexp_split_to_table(regexp_replace(lower(regexp_replace(normalize(p_text, NFKD), '[\u0300-\u036f]', '', 'g')),
    '[\x01-\x60\x7b-\xbf\u2000-\u2bff\ufe00-\ufe0f\U0001f000-\U0001faff]+', ' ', 'g'), ' ') as w where w <> '')
$$;

-- judge_own: who wrote a message of our number that is not ours. Pure.
-- Arguments: p_facts {
--   words: a person can read something in it; program: it came through the API, or its id is a library's;
--   chars: what had to be typed; attended: a person has this conversation or types in it;
--   waited: seconds since the contact began to wait, in whole seconds of WhatsApp's clock, null when nothing waited for an answer; since: since its
--   newest words; mid: in the middle of a talk;
--   after_send: seconds since our own first message of this conversation in two weeks, null without one (a phone greets then too);
--   known: this text came at least twice so soon after a beginning that nobody can have typed it;
--   prompt, sent_prompt: how often this text came within 5 seconds of a beginning, or of such a first message, before; steady: how often within 15 seconds and after the same time;
--   near: other conversations that got it within 3 seconds; chats: within 10 minutes; unasked: to how many of those and this one nobody had written for an hour}.
-- Result: 'person' | 'no_words' | 'program' | 'greeting' | 'broadcast'.
create function judge_own(p_facts jsonb) returns text language plpgsql immutable as $$
declare
  v_waited int := (p_facts ->> 'waited')::int;
  v_mid boolean := coalesce((p_facts ->> 'mid')::boolean, false);
  v_begins boolean := v_waited is not null and not v_mid;
  v_chats int := coalesce((p_facts ->> 'chats')::int, 0);
  -- Nobody types 12 characters a second. Whoever had begun before has had some seconds more, and WhatsApp's clock tells no fractions.
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

-- said_at: when words of our number can have reached the other side at the earliest: of our own the moment of the claim, as what the send answers comes later.
create function said_at(m messages) returns timestamptz language sql immutable as $$ select least(m.claimed_at, m.provider_at) $$;

-- own_facts: what judge_own looks at. By the time that WhatsApp tells, as webhooks have no order; within a second what arrived first was first.
-- Arguments: v the conversation; p_text what was typed; p_key own_words of it; p_at when it was sent; p_self the row, when it is stored already. Read only.
create function own_facts(v conversations, p_text text, p_key text, p_at timestamptz, p_self bigint, p_now timestamptz) returns jsonb language plpgsql stable as $$
declare
  v_second timestamptz := date_trunc('second', p_at);
  v_said messages;         -- our last words before it
  v_asked messages;        -- the first words of the contact that wait for an answer
  v_mid boolean;
  v_first_send timestamptz;
  v_newest timestamptz;    -- the contact wrote last
  v_facts jsonb;
begin
  select * into v_said from messages m where m.conversation_id = v.id and m.direction = 'out' and m.author <> 'automatic' and m.type <> 'reaction'
      and m.status in ('sending', 'sent', 'delivered', 'read', 'uncertain', 'unproven') and m.id is distinct from p_self and date_trunc('second', said_at(m)) <= v_second
      and m.seq > v.last_seq - 200
    order by date_trunc('second', said_at(m)) desc, m.seq desc limit 1;
  v_said.provider_at := said_at(v_said);
  -- the beginning of the newest run of messages without an answer: what was left without one long before is another talk
  select q.* into v_asked from messages q where q.id = (select r.id from (
      select m.id, m.provider_at, m.seq, lag(m.provider_at) over (order by date_trunc('second', m.provider_at), m.seq) as before
      from messages m where m.conversation_id = v.id and m.direction = 'in' and m.type <> 'reaction' and m.seq > v.last_seq - 200
        and date_trunc('second', m.provider_at) between p_at - interval '1 day' and v_second
        and (v_said.id is null or (date_trunc('second', m.provider_at), m.seq) > (date_trunc('second', v_said.provider_at), v_said.seq))) r
    where r.before is null or r.provider_at - r.before > interval '10 minutes' order by date_trunc('second', r.provider_at) desc, r.seq desc limit 1);
  v_mid := exists (select from messages m where m.conversation_id = v.id and m.seq > v.last_seq - 200 and m.author <> 'automatic' and m.type <> 'reaction' and m.id is distinct from p_self
    and m.id <> v_asked.id and m.provider_at > v_asked.provider_at - interval '10 minutes'
    and (date_trunc('second', m.provider_at), m.seq) < (date_trunc('second', v_asked.provider_at), v_asked.seq));
  if v_said.kind is not null and not exists (select from messages m where m.conversation_id = v.id and m.direction = 'out' and m.seq < v_said.seq and m.seq > v.last_seq - 200
      and m.author <> 'automatic' and m.provider_at > v_said.provider_at - interval '14 days' and m.status in ('sending', 'sent', 'delivered', 'read', 'uncertain', 'unproven')) then
    v_first_send := v_said.provider_at;
  end if;
  v_newest := (select max(m.provider_at) from messages m where m.conversation_id = v.id and m.direction = 'in' and m.type <> 'reaction' and m.seq > v.last_seq - 200
    and date_trunc('second', m.provider_at) <= v_second);
  v_facts := jsonb_build_object('since', extract(epoch from v_second - date_trunc('second', v_newest))::int, 'chars', coalesce(length(p_text), 0), 'attended', conversation_holder(v, p_now) <> 'agent',
    'waited', extract(epoch from v_second - date_trunc('second', v_asked.provider_at))::int, 'mid', coalesce(v_mid, false),
    'after_send', extract(epoch from v_second - date_trunc('second', v_first_send))::int);
  return v_facts || (select jsonb_build_object(
      'known', count(*) filter (where m.author = 'automatic' and m.reason = 'greeting' and o.begins and o.waited <= 5) >= 2,
      'prompt', count(*) filter (where o.begins and o.waited <= 5),
      'sent_prompt', count(*) filter (where o.after_send <= 5),
      'steady', count(*) filter (where o.begins and o.waited <= 15 and abs(o.waited - (v_facts ->> 'waited')::int) <= 2),
      'near', count(distinct m.conversation_id) filter (where m.conversation_id <> v.id and abs(extract(epoch from m.provider_at - p_at)) <= 3),
      'chats', count(distinct m.conversation_id) filter (where m.conversation_id <> v.id and o.lately),
      'unasked', count(distinct m.conversation_id) filter (where m.conversation_id <> v.id and o.lately and not o.asked) + (not coalesce(v_newest > p_at - interval '1 hour', false))::int)
    from messages m, lateral (select (m.meaning ->> 'waited')::int as waited, m.meaning ->> 'waited' is not null and not (m.meaning ->> 'mid')::boolean as begins,
      (m.meaning ->> 'after_send')::int as after_send, coalesce((m.meaning ->> 'since')::int <= 3600, false) as asked, abs(extract(epoch from m.provider_at - p_at)) <= 600 as lately) o
    where m.instance_id = v.instance_id and m.kind is null and m.meaning ? 'own_words' and m.meaning ->> 'own_words' = p_key and m.id is distinct from p_self and m.provider_at > p_at - interval '60 days');
end $$;

-- undo_takeover: words that started or kept up a takeover were no person's. It ends, unless a person has typed since it began; what it kept from being answered
-- waits for an answer again.
-- Arguments: p_at when the first of those words were stored; they count as a person's no more. Concurrency: locks the conversation. Result: whether something waits.
create function undo_takeover(p_conversation bigint, p_at timestamptz, p_now timestamptz) returns boolean language plpgsql as $$
declare v conversations; v_turns bigint[];
begin
  select * into v from conversations where id = p_conversation for no key update;
  update handoffs set taken_at = null where conversation_id = v.id and status <> 'returned' and taken_at = p_at;
  if v.takeover_since is null or exists (select from messages h where h.conversation_id = v.id and h.author = 'human' and h.type <> 'reaction' and h.created_at >= least(p_at, v.takeover_since)) then
    return false;
  end if;
  update conversations set takeover_since = null, takeover_until = null where id = v.id;
  update messages m set status = 'received', reason = null from turns t
    where m.conversation_id = v.id and m.direction = 'in' and m.status = 'handed_over' and m.reason = 'takeover' and t.id = m.turn_id and t.ended_at >= least(p_at, v.takeover_since);
  -- an answer of which nothing left
  with gone as (select distinct m.turn_id from messages m where m.conversation_id = v.id and m.direction = 'out' and m.status = 'cancelled' and m.reason = 'takeover'
    and m.created_at > least(p_at, v.takeover_since) - interval '10 minutes')
  select array_agg(turn_id) into v_turns from gone;
  update messages i set status = 'received', reason = null where i.turn_id = any (v_turns) and i.direction = 'in' and i.status = 'answered'
    and not exists (select from messages o where o.turn_id = i.turn_id and o.direction = 'out' and o.status <> 'cancelled');
  update conversations set inbound_seq = inbound_seq + 1 where id = v.id;
  return first_pending(v.id) is not null;
end $$;

-- mark_automatic: a text of our number is automatic: so are its copies that were taken for a person's. Their takeovers end.
-- Arguments: p_key own_words; p_verdict greeting | broadcast; p_at when the one was sent that showed it.
-- Concurrency: the caller holds lock_own_words of p_key; locks the copies' conversations, in the order of their ids.
-- Result: conversations that have something to answer again.
create function mark_automatic(p_instance bigint, p_key text, p_verdict text, p_at timestamptz, p_now timestamptz) returns bigint[] language plpgsql as $$
declare v_copy record; v_wake bigint[] := '{}';
begin
  for v_copy in
    with wrong as (update messages m set author = 'automatic', reason = p_verdict
      where m.instance_id = p_instance and m.kind is null and m.meaning ? 'own_words' and m.meaning ->> 'own_words' = p_key and m.author = 'human'
        and case p_verdict when 'broadcast' then m.provider_at > p_at - interval '10 minutes'
          else m.provider_at > p_at - interval '2 days' and ((m.meaning ->> 'waited')::int <= 15 and not (m.meaning ->> 'mid')::boolean or (m.meaning ->> 'after_send')::int <= 5) end
      returning m.conversation_id, m.created_at)
    select conversation_id, min(created_at) as at from wrong group by 1 order by 1
  loop
    if undo_takeover(v_copy.conversation_id, v_copy.at, p_now) then v_wake := v_wake || v_copy.conversation_id; end if;
  end loop;
  return v_wake;
end $$;

-- lock_own_words: until the end of the transaction, nobody else judges this text of this number: of two first copies at once, the second sees the first.
create function lock_own_words(p_instance_id bigint, p_key text) returns void language sql as
$$ select pg_advisory_xact_lock(hashtextextended(p_instance_id || '/' || p_key, 12)) $$;

-- judge_message: own_facts and judge_own of one message. Arguments: as own_facts; p_words, p_program as in judge_own; p_attended null: as the conversation says.
-- Result: {verdict, meaning: what is kept with the message, so that later ones can be compared with it}. Read only.
create function judge_message(v conversations, p_text text, p_key text, p_at timestamptz, p_words boolean, p_program boolean, p_self bigint, p_attended boolean, p_now timestamptz)
returns jsonb language plpgsql stable as $$
declare v_facts jsonb := own_facts(v, p_text, p_key, p_at, p_self, p_now) || jsonb_build_object('words', p_words, 'program', p_program);
begin
  if p_attended is not null then v_facts := v_facts || jsonb_build_object('attended', p_attended); end if;
  return jsonb_build_object('verdict', judge_own(v_facts), 'meaning', case when p_key is not null then
    jsonb_build_object('own_words', p_key, 'waited', v_facts -> 'waited', 'since', v_facts -> 'since', 'mid', v_facts -> 'mid', 'after_send', v_facts -> 'after_send') end);
end $$;

-- judge_again: words that came before the contact's own did look like a person's: webhooks have no order. Called when a message of the contact is stored during a takeover.
-- Concurrency: the caller holds the conversation's lock. Result: conversations that have something to answer again.
create function judge_again(v conversations, p_said_at timestamptz, p_now timestamptz) returns bigint[] language plpgsql as $$
declare h messages; v_judged jsonb; v_wake bigint[] := '{}';
begin
  select * into h from messages m where m.conversation_id = v.id and m.author = 'human' and m.type <> 'reaction' and not coalesce(m.meaning ? 'handset', false)
      and m.created_at > p_now - interval '5 minutes' and m.provider_at >= date_trunc('second', p_said_at) order by m.seq desc limit 1;
  if not found then return v_wake; end if;
  -- within one second the order of arrival counts, unless nothing went before: then these words began the talk, which a phone does not do by itself
  if date_trunc('second', h.provider_at) = date_trunc('second', p_said_at) and exists (select from messages m where m.conversation_id = v.id and m.seq < h.seq and m.seq > v.last_seq - 200
      and m.author <> 'automatic' and m.type <> 'reaction' and m.provider_at > h.provider_at - interval '10 minutes') then return v_wake; end if;
  if h.meaning ? 'own_words' then perform lock_own_words(v.instance_id, h.meaning ->> 'own_words'); end if;
  v_judged := judge_message(v, h.typed, h.meaning ->> 'own_words', h.provider_at, true, false, h.id, v.controlled_by = 'human' or v.takeover_since < h.created_at, p_now);
  if v_judged ->> 'verdict' <> 'greeting' then return v_wake; end if;
  update messages set author = 'automatic', reason = 'greeting', meaning = nullif(coalesce(meaning, '{}') || coalesce(nullif(v_judged -> 'meaning', 'null'), '{}'), '{}') where id = h.id;
  update instances set greeting_message = h.id where id = v.instance_id and greeting_message is null;
  if undo_takeover(v.id, h.created_at, p_now) then v_wake := v_wake || v.id; end if;
  return v_wake || mark_automatic(v.instance_id, h.meaning ->> 'own_words', 'greeting', h.provider_at, p_now);
end $$;

-- audit_handset: who has the phone of the number took the agent out of a conversation, or back into it (`/bot off`, `/bot on`).
create function audit_handset(v conversations, p_switch text, p_now timestamptz) returns void language sql as $$
  insert into audit_log (tenant_id, actor, action, subject, created_at) values (v.tenant_id, 'handset', 'bot.' || p_switch, v.id::text, p_now)
$$;

-- take_own: what a message of our number that we did not write does to its conversation, once it is stored.
-- Arguments: p_id, p_key, p_verdict of the message; p_handset 'on' | 'off' when it was a command typed on the phone; p_options as in record_message.
-- Concurrency: the caller holds the conversation's lock. Result: {outcome: 'returned' | 'takeover' | 'context' | 'automatic', reason, wake_turns}.
create function take_own(v conversations, p_id bigint, p_sent_at timestamptz, p_key text, p_verdict text, p_handset text, p_options jsonb, p_now timestamptz) returns jsonb language plpgsql as $$
declare
  v_cap interval := make_interval(mins => (p_options ->> 'takeoverCapMinutes')::int);
  -- "off" lasts as long as any takeover may; other words slide it
  v_until timestamptz := p_sent_at + case when p_handset = 'off' then v_cap else make_interval(mins => (p_options ->> 'takeoverMinutes')::int) end;
  v_since timestamptz := case when v.takeover_until > p_now then v.takeover_since else p_now end;
begin
  if p_handset = 'on' then
    perform give_back(v.id, 'handset', p_now);
    perform audit_handset(v, 'on', p_now);
    return jsonb_build_object('outcome', 'returned');
  end if;
  if p_verdict <> 'person' then
    if p_verdict = 'greeting' then update instances set greeting_message = p_id where id = v.instance_id and greeting_message is null; end if;
    return jsonb_build_object('outcome', 'automatic', 'reason', p_verdict, 'wake_turns',
      case when p_verdict in ('greeting', 'broadcast') and p_key is not null then to_jsonb(mark_automatic(v.instance_id, p_key, p_verdict, p_sent_at, p_now)) end);
  end if;
  update handoffs set taken_at = p_now where conversation_id = v.id and status <> 'returned' and taken_at is null;
  if v_until <= p_now then return jsonb_build_object('outcome', 'context'); end if;
  update conversations set takeover_since = v_since, takeover_until = greatest(takeover_until, least(v_until, v_since + v_cap)) where id = v.id;
  if p_handset = 'off' then perform audit_handset(v, 'off', p_now); end if;
  return jsonb_build_object('outcome', 'takeover');
end $$;

-- own_chat: the address under which a message of our own number finds its contact: the one of its chat, or the other one of its key when only that is known, or when
-- under the first nobody has ever written. The other one may be our own, and nothing is learned from it. Read only.
-- Arguments: p_chat, p_alt {pn, lid}. Result: one of them.
create function own_chat(p_instance instances, p_chat jsonb, p_alt jsonb) returns jsonb language plpgsql stable as $$
declare v_chat bigint; v_alt bigint;
begin
  if coalesce(jsonb_typeof(p_alt), 'null') = 'null' or p_alt ->> 'pn' = p_instance.phone then return p_chat; end if;
  v_alt := contact_at(p_instance, p_alt ->> 'pn', p_alt ->> 'lid');
  if v_alt is null then return p_chat; end if;
  v_chat := contact_at(p_instance, p_chat ->> 'pn', p_chat ->> 'lid');
  return case when v_chat is null or not exists (select from conversations where contact_id = v_chat and last_inbound_at is not null) then p_alt else p_chat end;
end $$;

-- contact_at: who has this address, or null. Asked for null, Postgres would plan each of these anew: that costs more than all the rest.
create function contact_at(p_instance instances, p_pn text, p_lid text) returns bigint language plpgsql stable as $$
declare v_id bigint;
begin
  if p_pn is not null then select contact_id into v_id from contact_addresses where kind = 'pn' and tenant_id = p_instance.tenant_id and address = p_pn; end if;
  if v_id is null and p_lid is not null then select contact_id into v_id from contact_addresses where kind = 'lid' and instance_id = p_instance.id and address = p_lid; end if;
  return v_id;
end $$;

-- greetings_to_tell: numbers whose phone turned out to answer by itself, and nobody was told yet. Read only.
-- Result: [{tenant, instance, text: what it says, or null when that is gone}].
create function greetings_to_tell(p_limit int) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('tenant', i.tenant_id, 'instance', i.name, 'text', (select m.text from messages m where m.id = i.greeting_message)) order by i.id), '[]')
  from (select * from instances where greeting_message is not null and greeting_told_at is null order by id limit p_limit) i
$$;

-- record_greeting_told: people know it; they are told once of a number. Repeats change nothing.
create function record_greeting_told(p_instance text, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  update instances set greeting_told_at = clock(p_now) where name = p_instance and greeting_told_at is null;
  return jsonb_build_object('recorded', found);
end $$;
