-- Care of what is stored, and what must hold for the schema as a whole. The newest file of the first release: schema_version() and the last block
-- look over everything before them, so a later migration repeats both.

-- schema_version: the newest migration that this database has. Every migration replaces it with its own number; a program that needs a newer
-- one is not ready.
create function schema_version() returns jsonb language sql immutable as $$ select to_jsonb('20261123000600'::text) $$;

-- purge_old: retention. p_ages {webhooks, jobs, transcripts, messages, audit}: days after which rows of a kind go; 0 keeps them. Early updates and
-- heartbeats of dead processes go after a day, ids of forged messages when nobody asks for them any more, notices, alerts, tokens and unknown names that are over with the jobs, the minutes of the SLA after 400 days.
-- Guarantee: at most p_limit rows of each kind; what is unanswered or on its way stays, whatever its age; turns and calls of the model stay as figures, without
--   words. Concurrency: safe to run twice at once. Result: {deleted, most: of the kind with the most; p_limit means that there may be more}.
create function purge_old(p_ages jsonb, p_limit int, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_counts int[] := '{}'; v_n int; v_now timestamptz := clock(p_now);
  v_webhooks timestamptz := v_now - nullif((p_ages ->> 'webhooks')::int, 0) * interval '1 day';
  v_jobs timestamptz := v_now - nullif((p_ages ->> 'jobs')::int, 0) * interval '1 day';
  v_transcripts timestamptz := v_now - nullif((p_ages ->> 'transcripts')::int, 0) * interval '1 day';
  v_messages timestamptz := v_now - nullif((p_ages ->> 'messages')::int, 0) * interval '1 day';
  v_audit timestamptz := v_now - nullif((p_ages ->> 'audit')::int, 0) * interval '1 day';
begin
  delete from webhook_events where id in (select id from webhook_events where received_at < v_webhooks order by received_at limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from early_updates where id in (select id from early_updates where created_at < v_now - interval '1 day' order by created_at limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  -- a number that was restored compares from its backup on, however long ago that was
  delete from forged_messages where (instance_id, hash) in (select f.instance_id, f.hash from forged_messages f join instances i on i.id = f.instance_id where f.until < v_now and i.restored_at is null limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from job_runs where id in (select id from job_runs where started_at < v_jobs order by started_at limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from circuit_transitions where id in (select id from circuit_transitions where created_at < v_jobs order by id limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from notices where id in (select id from notices where created_at < v_jobs and status in ('sent', 'failed') order by created_at limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from alerts where id in (select id from alerts where status = 'ok' and since < v_jobs limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from sla_minutes where minute in (select minute from sla_minutes where minute < v_now - interval '400 days' order by minute limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from process_status where seen_at < v_now - interval '1 day';
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from set_aside where id in (select a.id from set_aside a where a.last_at < v_jobs and not exists (select from webhook_events w where w.aside_id = a.id) limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from tokens where id in (select id from tokens where expires_at < v_jobs order by expires_at limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  v_counts := v_counts || purge_audit(v_audit, p_limit);
  -- The oldest rows have the lowest ids: only those are looked at, so no index is needed and an early end costs nothing.
  delete from tool_calls where id in (select id from (select id, created_at from tool_calls order by id limit p_limit) oldest where created_at < v_messages);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  delete from messages where id in (select id from (select id, created_at, status from messages order by id limit p_limit) oldest
    where created_at < v_messages and status not in ('received', 'queued', 'sending', 'uncertain') and not exists (select 1 from notices n where n.message_id = oldest.id));
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  update turns set transcript = null where id in (select id from turns where transcript is not null and ended_at < greatest(v_transcripts, v_messages) order by ended_at limit p_limit);
  get diagnostics v_n = row_count; v_counts := v_counts || v_n;
  return (select jsonb_build_object('deleted', sum(n), 'most', max(n)) from unnest(v_counts) as n);
end $$;

-- find_contact: the contact behind an id or a phone number (canonical digits), as it is after merges. Result: its id or null. Read only.
create function find_contact(p_tenant text, p_contact bigint, p_phone text) returns bigint language sql stable as $$
  with recursive chain as (
    select c.id, c.merged_into from contacts c where c.tenant_id = p_tenant
      and c.id = coalesce(p_contact, (select a.contact_id from contact_addresses a where a.tenant_id = p_tenant and a.kind = 'pn' and a.address = p_phone))
    union all
    select c.id, c.merged_into from contacts c join chain on c.id = chain.merged_into)
  select id from chain where merged_into is null
$$;

-- contact_with_merged: a contact and all that were merged into it. Read only.
create function contact_with_merged(p_contact bigint) returns bigint[] language sql stable as $$
  with recursive them as (select p_contact as id union select c.id from contacts c join them on c.merged_into = them.id) select array_agg(id) from them
$$;

-- export_contact: everything that is stored about a person, as one JSON (LGPD, article 18). Audited.
-- Arguments: p_contact its id, or p_phone. Result: null for an unknown one.
create function export_contact(p_tenant text, p_contact bigint, p_phone text, p_actor text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_id bigint := find_contact(p_tenant, p_contact, p_phone); v_all bigint[]; v_talks bigint[]; v_result jsonb;
begin
  if v_id is null then return null; end if;
  v_all := contact_with_merged(v_id);
  select coalesce(array_agg(id), '{}') into v_talks from conversations where contact_id = any (v_all);
  select jsonb_build_object('exported_at', clock(p_now), 'contact', to_jsonb(c) - 'tenant_id' - 'merged_into',
    'addresses', (select coalesce(jsonb_agg(to_jsonb(a) - 'tenant_id' order by a.id), '[]') from contact_addresses a where a.contact_id = any (v_all)),
    'former_phones', (select coalesce(jsonb_agg(to_jsonb(f) - 'tenant_id' order by f.id), '[]') from former_phones f where f.contact_id = any (v_all)),
    'conversations', (select coalesce(jsonb_agg(to_jsonb(v) - 'tenant_id' order by v.id), '[]') from conversations v where v.id = any (v_talks)),
    'messages', (select coalesce(jsonb_agg(to_jsonb(m) - 'tenant_id' order by m.conversation_id, m.seq), '[]') from messages m where m.conversation_id = any (v_talks)),
    'turns', (select coalesce(jsonb_agg(to_jsonb(t) - 'tenant_id' order by t.id), '[]') from turns t where t.conversation_id = any (v_talks)),
    'tool_calls', (select coalesce(jsonb_agg(to_jsonb(k) - 'tenant_id' order by k.id), '[]') from tool_calls k where k.conversation_id = any (v_talks)),
    'handoffs', (select coalesce(jsonb_agg(to_jsonb(h) - 'tenant_id' order by h.id), '[]') from handoffs h where h.conversation_id = any (v_talks)),
    'opt_outs', (select coalesce(jsonb_agg(to_jsonb(o) - 'tenant_id' order by o.id), '[]') from opt_outs o where o.contact_id = any (v_all)))
    into v_result from contacts c where c.id = v_id;
  insert into audit_log (tenant_id, actor, action, subject, created_at) values (p_tenant, p_actor, 'contact.export', v_id::text, clock(p_now));
  return v_result;
end $$;

-- webhooks_of: stored webhooks that are a tenant's, also what was posted in the name of a number of it and set aside, whoever posted it.
create function webhooks_of(p_tenant text) returns setof webhook_events language sql stable as $$
  select w.* from webhook_events w where w.tenant_id = p_tenant or w.aside_id in (select a.id from set_aside a join instances i on i.name = a.name where i.tenant_id = p_tenant)
$$;

-- know_by_traces: nobody is stored under this phone. When something that was put aside names it, it is a contact's from now on, so that an erasure has somebody to lock and
--   to remember, and whatever comes meanwhile waits for it. Concurrency: the unique key of contact_addresses decides. Result: whether somebody is there now.
create function know_by_traces(p_tenant text, p_phone text) returns boolean language plpgsql as $$
declare v_words text[]; v_id bigint;
begin
  select array_agg('%' || w || '%') into v_words from unnest(both_writings(p_phone)) w;
  if not exists (select from webhooks_of(p_tenant) w where w.body::text like any (v_words)) and not exists (select from early_updates e where e.tenant_id = p_tenant and e.event::text like any (v_words)) then return false; end if;
  insert into contacts (tenant_id) values (p_tenant) returning id into v_id;
  insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address)
    select p_tenant, min(i.id), v_id, 'pn', p_phone from instances i where i.tenant_id = p_tenant having count(*) > 0 on conflict do nothing;
  if not found then delete from contacts where id = v_id; end if;
  return exists (select from contact_addresses where tenant_id = p_tenant and kind = 'pn' and address = p_phone);
end $$;

-- erase_contact: a person wants nothing to be left here (LGPD).
-- Guarantee: gone are messages with their media, what the model read and wrote, calls of tools, what people were told, free words in handoffs, memory, names, addresses, news that came too early and raw
--   webhooks; numbers stay (turns, tokens, money), an opt-out stays in force, and keyed hashes know what comes of the person later (bury_contacts). What was queued is not sent; a turn that is under way cannot commit. Who writes
--   again is somebody new. All or nothing; twice is once. Audited, without a word of what it was. Somebody of whom there is only what was put aside is erased with a second call.
-- Arguments: p_contact its id, or p_phone; p_actor, p_reason for the audit.
-- Concurrency: locks the contact and its conversations; a message that comes meanwhile waits: of one of before it nothing is kept (see is_erased), a later one is then a new contact's.
-- Result: {outcome: 'erased', contact_id, messages, webhooks} | {outcome: 'sending', until: a message is on the wire, try again then} | {outcome: 'unknown'}
--   | {outcome: 'again': known by what was put aside only, call once more}.
create function erase_contact(p_tenant text, p_contact bigint, p_phone text, p_actor text, p_reason text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare
  v_id bigint := find_contact(p_tenant, p_contact, p_phone);
  v_now timestamptz := clock(p_now);
  v_all bigint[]; v_talks bigint[]; v_named record; v_until timestamptz; v_messages int; v_webhooks int; v_n int;
begin
  if v_id is null then
    return jsonb_build_object('outcome', case when p_contact is null and know_by_traces(p_tenant, p_phone) then 'again' else 'unknown' end);
  end if;
  v_all := contact_with_merged(v_id);
  perform 1 from contacts where id = any (v_all) order by id for update;
  -- a merge that was under way while we waited for the locks has taken the person elsewhere: look again
  if find_contact(p_tenant, p_contact, p_phone) is distinct from v_id or not contact_with_merged(v_id) <@ v_all then
    return erase_contact(p_tenant, p_contact, p_phone, p_actor, p_reason, p_now);
  end if;
  select coalesce(array_agg(l.id), '{}') into v_talks from (select id from conversations where contact_id = any (v_all) order by id for update) l;
  select max(lease_until) into v_until from messages where conversation_id = any (v_talks) and status = 'sending' and lease_until > v_now;
  if v_until is not null then return jsonb_build_object('outcome', 'sending', 'until', v_until); end if;

  perform bury_contacts(p_tenant, v_all, v_talks, v_now);
  delete from webhook_events where id in (select w.id from webhooks_of(p_tenant) w,
      jsonb_array_elements(case when jsonb_typeof(w.results) = 'array' then w.results else '[]' end) r where (r ->> 'conversation_id')::bigint = any (v_talks));
  get diagnostics v_webhooks = row_count;
  -- the addresses as they stand in what is stored, in all writings; a number that the person had before, until it was another's
  for v_named in
    select 'infinity'::timestamptz as until, array_agg(distinct '%' || w || '%') as words from (
        select unnest(case kind when 'pn' then both_writings(address) else array[address] end) as w from contact_addresses where contact_id = any (v_all)
        union all select unnest(case when jid like '%@lid' then array[split_part(jid, '@', 1)] else both_writings(split_part(jid, '@', 1)) end) from conversations where id = any (v_talks)) x
      where length(w) >= 8
    union all select f.until, (select array_agg('%' || w || '%') from unnest(both_writings(f.address)) w) from former_phones f where f.contact_id = any (v_all)
  loop
    delete from webhook_events where id in (select w.id from webhooks_of(p_tenant) w where w.received_at < v_named.until and w.body::text like any (v_named.words));
    get diagnostics v_n = row_count;
    v_webhooks := v_webhooks + v_n;
    delete from early_updates e where e.tenant_id = p_tenant and e.created_at < v_named.until and e.event::text like any (v_named.words);
    -- what the manager was written: answers to commands
    update messages set text = '[apagado]', status = case status when 'queued' then 'cancelled' else status end, reason = case status when 'queued' then 'erased' else reason end
      where tenant_id = p_tenant and kind = 'operator' and created_at < v_named.until and text like any (v_named.words);
  end loop;
  -- new words for a message that nobody knows, in a chat that nobody names, may be of anybody: they go too
  delete from webhook_events w where w.tenant_id = p_tenant and w.event = 'messages.edited' and w.results @> '[{"outcome": "early"}]';
  delete from early_updates e where e.tenant_id = p_tenant and e.event ->> 'kind' = 'edit' and e.event -> 'chat' ->> 'pn' is null and e.event -> 'chat' ->> 'lid' is null;
  -- what people were told of this contact, and the WhatsApp messages that carried it to them
  with told as (
    delete from notices n where n.tenant_id = p_tenant and n.key in (
      select 'handoff-' || h.id || step from handoffs h, unnest(array['-told', '-reminded', '-returned']) as step where h.conversation_id = any (v_talks)
      union all select 'draft-' || t.id from turns t where t.conversation_id = any (v_talks)
      union all select 'greeting-' || i.name from instances i join messages m on m.id = i.greeting_message where m.conversation_id = any (v_talks))
      or (n.tenant_id = p_tenant and n.kind = 'forward' and split_part(n.key, '-', 2) in (select t::text from unnest(v_talks) t)) returning n.id, n.attempts)
  update messages set text = '[apagado]', status = case status when 'queued' then 'cancelled' else status end, reason = case status when 'queued' then 'erased' else reason end
    where id in (select m.id from told t cross join generate_series(0, t.attempts) a (n) join messages m on m.tenant_id = p_tenant and m.kind = 'operator' and m.idempotency_key = 'notice-' || t.id || '-' || a.n);
  -- what else the manager was written about this conversation: answers that have a line for each, and notices whose rows are gone already
  update messages set text = '[apagado]', status = case status when 'queued' then 'cancelled' else status end, reason = case status when 'queued' then 'erased' else reason end
    where tenant_id = p_tenant and kind = 'operator' and v_talks <> '{}' and text ~* ('(\mconversa |(^|\n)• )(' || array_to_string(v_talks, '|') || ')\M');
  update notices set message_id = null where message_id in (select id from messages where conversation_id = any (v_talks));
  delete from messages where conversation_id = any (v_talks);
  get diagnostics v_messages = row_count;
  delete from tool_calls where conversation_id = any (v_talks);
  update turns set transcript = null, status = case status when 'open' then 'suppressed' else status end, reason = case status when 'open' then 'erased' else reason end,
    ended_at = coalesce(ended_at, v_now) where conversation_id = any (v_talks);
  update handoffs set summary = null, suggestion = null, reason = case handoff_code(reason) when 'words' then 'erased' else reason end, status = 'returned', returned_at = coalesce(returned_at, v_now) where conversation_id = any (v_talks);
  update conversations set jid = 'erased', escalation_reason = null, controlled_by = 'agent', takeover_since = null, takeover_until = null, quiet_until = null, quiet_reason = null, mode = 'auto', forward_from = null, forward_due_at = null,
    fence = fence + 1 where id = any (v_talks);
  perform keep_suppression(v_all);
  delete from contact_addresses where contact_id = any (v_all);
  delete from former_phones where contact_id = any (v_all);
  delete from contact_merges where kept = any (v_all) or merged = any (v_all);
  update contacts set name = null, memory = '[]', erased_at = coalesce(erased_at, v_now) where id = any (v_all);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) values (p_tenant, p_actor, 'contact.erase', v_id::text,
    jsonb_build_object('reason', p_reason, 'messages', v_messages, 'webhooks', v_webhooks), v_now);
  return jsonb_build_object('outcome', 'erased', 'contact_id', v_id, 'messages', v_messages, 'webhooks', v_webhooks);
end $$;

-- sealed_secrets: what numbers have of their own, sealed: keys at Evolution and secrets of webhooks. p_tenant null: of all tenants. Read only.
-- Result: [{name, kind: 'evolution_key' | 'webhook_secret' | 'webhook_secret_previous', sealed, counts: a previous one ends an hour after Evolution has the new one}].
create function sealed_secrets(p_tenant text, p_now timestamptz default null) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('name', i.name, 'kind', s.kind, 'sealed', s.sealed,
      'counts', s.kind <> 'webhook_secret_previous' or i.webhook_secret_since is null or i.webhook_secret_since > clock(p_now) - interval '1 hour') order by i.id, s.kind), '[]')
  from instances i cross join lateral (values ('evolution_key', i.evolution_key), ('webhook_secret', i.webhook_secret), ('webhook_secret_previous', i.webhook_secret_previous)) s (kind, sealed)
  where s.sealed is not null and (p_tenant is null or i.tenant_id = p_tenant)
$$;

-- set_instance_key: gives a number a sealed key of its own, or with null takes it away. Audited without the key. Result: {found}.
create function set_instance_key(p_tenant text, p_instance text, p_key text, p_actor text, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  update instances set evolution_key = p_key where name = p_instance and tenant_id = p_tenant;
  if not found then return jsonb_build_object('found', false); end if;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'instance.key', p_instance, jsonb_build_object('own', p_key is not null), clock(p_now));
  return jsonb_build_object('found', true);
end $$;

-- set_webhook_secret: a number gets a secret for its webhooks, sealed. The one before it counts until confirm_webhook_secret, and an hour on. Audited without it.
-- Result: {found}.
create function set_webhook_secret(p_tenant text, p_instance text, p_sealed text, p_actor text, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  -- one that Evolution never confirmed is not what Evolution has
  update instances set webhook_secret_previous = case when webhook_secret is not null and webhook_secret_since is null then webhook_secret_previous else webhook_secret end,
    webhook_secret = p_sealed, webhook_secret_since = null where name = p_instance and tenant_id = p_tenant;
  if not found then return jsonb_build_object('found', false); end if;
  insert into audit_log (tenant_id, actor, action, subject, created_at) values (p_tenant, p_actor, 'instance.secret', p_instance, clock(p_now));
  return jsonb_build_object('found', true);
end $$;

-- confirm_webhook_secret: Evolution has the secret that a number got. Idempotent. Result: {}.
create function confirm_webhook_secret(p_instance text, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  update instances set webhook_secret_since = clock(p_now) where name = p_instance and webhook_secret is not null and webhook_secret_since is null;
  return '{}';
end $$;

-- swap_secret: the same secret of a number, sealed again. Guarantee: only while it is still the one that was read. Result: {swapped}.
create function swap_secret(p_instance text, p_old text, p_new text) returns jsonb language plpgsql as $$
begin
  update instances set evolution_key = case evolution_key when p_old then p_new else evolution_key end, webhook_secret = case webhook_secret when p_old then p_new else webhook_secret end,
    webhook_secret_previous = case webhook_secret_previous when p_old then p_new else webhook_secret_previous end
    where name = p_instance and p_old in (evolution_key, webhook_secret, webhook_secret_previous);
  return jsonb_build_object('swapped', found);
end $$;

-- restored_state: what is open after a restore, see mark_restored. Read only.
create function restored_state(p_uncertain int) returns jsonb language sql stable as $$
  select jsonb_build_object('uncertain', p_uncertain,
    'scheduled', (select count(*) from messages where direction = 'out' and status = 'queued'),
    'unanswered', (select count(*) from messages where direction = 'in' and status = 'received'),
    'instances', (select coalesce(jsonb_agg(name order by id), '[]') from instances where restored_at is not null))
$$;

-- mark_restored: a backup has just been restored: what it says of messages may not be so any more. Called once, before any process starts.
-- Guarantee: nothing that may have left since the backup is sent again by itself, and nothing is answered before the provider was asked what happened since:
--   what was on its way becomes uncertain and is looked up; what nobody could have sent yet (send_after still ahead) stays; each number is paused until it has
--   been compared with its provider (reconciled, settle_restored). A second call changes nothing.
-- Arguments: p_backup_at when the backup was made.
-- Result: {uncertain, scheduled, unanswered, instances: names that wait for their comparison}.
create function mark_restored(p_backup_at timestamptz, p_actor text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_now timestamptz := clock(p_now); v_uncertain int := 0;
begin
  insert into installation (key, value) values ('restored_backup', p_backup_at::text) on conflict (key) do update set value = excluded.value
    where installation.value <> excluded.value;
  if not found then return restored_state(0); end if;
  update messages set status = 'uncertain', reason = 'restored', error_class = null, lease_until = null, looks = 0, due_at = v_now, goes_at = null,
      claim = claim + 1, -- it may have been claimed since: its echo is ours, and a worker of that time may say nothing any more
      claimed_at = case status when 'queued' then p_backup_at else claimed_at end
    where direction = 'out' and status in ('queued', 'sending', 'uncertain') and reason is distinct from 'restored'
      and not (status = 'queued' and reason is null and kind not in ('reply', 'handoff') and due_at > v_now);
  get diagnostics v_uncertain = row_count;
  update turns set status = 'expired', reason = 'lease ran out', ended_at = v_now where status = 'open';
  update job_runs set status = 'failed', error = 'restored', ended_at = v_now where status = 'running';
  delete from process_status;
  insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target, created_at)
    select i.tenant_id, 'pausado', 'backup restaurado: espera a comparação com o WhatsApp', 'restore', 'instance', i.name, v_now from instances i
    where i.restored_at is null and (select j.status from julia_status j where j.scope = 'instance' and j.target = i.name order by j.id desc limit 1) is distinct from 'pausado';
  update instances set restored_at = v_now where restored_at is null;
  insert into audit_log (actor, action, subject, details, created_at) values (p_actor, 'restore', to_char(p_backup_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    jsonb_build_object('uncertain', v_uncertain), v_now);
  return restored_state(v_uncertain);
end $$;

-- settle_restored: a number has been compared with its provider up to the restore: what happened after the backup is known, and the number goes on.
-- Guarantee: what was answered between the backup and the loss is not answered again; what was not is. The silence that our own words of that time caused
--   ends; a pause that a person made stays.
-- Concurrency: the caller holds the number's row.
create function settle_restored(p_instance instances, p_now timestamptz) returns void language plpgsql as $$
begin
  update messages m set status = 'answered', reason = 'answered_before_restore'
    where m.instance_id = p_instance.id and m.direction = 'in' and m.status = 'received' and m.provider_at < p_instance.restored_at
      and exists (select 1 from messages o where o.conversation_id = m.conversation_id and o.direction = 'out' and o.provider_id is not null and o.type <> 'reaction' and o.author <> 'automatic'
        and coalesce(o.kind, 'reply') in ('reply', 'handoff', 'manual') and o.provider_at >= date_trunc('second', m.provider_at));
  update conversations c set takeover_since = null, takeover_until = null
    where c.instance_id = p_instance.id and c.takeover_since >= p_instance.restored_at
      and not exists (select 1 from messages h where h.conversation_id = c.id and h.author = 'human' and h.provider_at >= p_instance.restored_at);
  insert into julia_status (tenant_id, status, motivo, alterado_via, scope, target, created_at)
    select p_instance.tenant_id, 'ativo', 'comparado com o WhatsApp', 'restore', 'instance', p_instance.name, clock(p_now)
    from (select * from julia_status where scope = 'instance' and target = p_instance.name order by id desc limit 1) newest
    where newest.status = 'pausado' and newest.alterado_via = 'restore';
  update instances set restored_at = null where id = p_instance.id;
end $$;

-- session_rights: with whose rights its caller comes. Read only. Result: {role, superuser, owner: some table of the product is its own, audit: it may change
-- or delete what is in the audit}.
create function session_rights() returns jsonb language sql stable as $$
  select jsonb_build_object('role', current_user, 'superuser', (select rolsuper from pg_roles where rolname = current_user),
    'owner', exists (select from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and pg_has_role(c.relowner, 'usage')),
    'audit', has_table_privilege('audit_log', 'update, delete, truncate'))
$$;

-- Rights. Row level security is on everywhere and nothing is granted to anon and authenticated, to whom Supabase grants every new table and function by
-- default: the only way in are the service role, the runtime and the owner of the database. The two may the same, and neither owns anything: they read and write
-- rows and call functions. (The policies are for the runtime, whom no attribute lets past row level security: attributes are not inherited by members.)
-- Rows of tenants, numbers and agents are pointed at by all others and never go; the audit is added to and read, and nothing in it changes, nor is anything added to its past.
do $$
declare t text; f record;
begin
  for t in select c.oid::regclass from pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname <> 'schema_migrations' and not exists (select 1 from pg_depend d where d.objid = c.oid and d.deptype = 'e') loop
    execute format('alter table %s enable row level security', t);
    execute format('revoke all on %s from anon, authenticated', t);
    execute format('grant select, insert, update, delete on %s to service_role, whats_agents_runtime', t);
    execute format('create policy runtime on %s to service_role, whats_agents_runtime using (true) with check (true)', t);
  end loop;
  revoke all on all sequences in schema public from anon, authenticated;
  revoke delete, truncate on tenants, instances, agents from service_role, whats_agents_runtime;
  revoke all on audit_log from service_role, whats_agents_runtime;
  grant select, insert (tenant_id, actor, action, subject, details, created_at) on audit_log to service_role, whats_agents_runtime; -- not the id; for the date see date_audit

  -- A function that looks names up where its caller says could be given other tables: each has a path of its own. Left without are the one-expression SQL
  -- helpers: the planner writes them into the statement that calls them, which a path would forbid (measured: 15 % of record_inbound), and they run inside
  -- functions that have one.
  for f in select p.oid::regprocedure as id, l.lanname = 'sql' and p.prorettype <> 'jsonb'::regtype as inlined
      from pg_proc p join pg_language l on l.oid = p.prolang
      where p.pronamespace = 'public'::regnamespace and p.prokind = 'f' and not exists (select 1 from pg_depend d where d.objid = p.oid and d.deptype = 'e') loop
    execute format('revoke all on function %s from public, anon, authenticated', f.id);
    execute format('grant execute on function %s to service_role, whats_agents_runtime', f.id);
    if not f.inlined then execute format('alter function %s set search_path = public, pg_temp', f.id); end if;
  end loop;
end $$;
