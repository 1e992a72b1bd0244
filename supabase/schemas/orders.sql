-- What a shop tells of its orders: words and switch by type, and a notice a row, each sent once.

-- notice_templates_of: what a tenant has set of its texts, and the name of its company for {loja}.
-- Result: {company: of its agent, or of a tenant that is not the installation's own, or null; templates: [{type, text,
--   enabled, updated_by, updated_at}]}; a type that is not there has the product's words and is on.
create or replace function notice_templates_of(p_tenant text)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('company', coalesce((select a.company from agents a where a.tenant_id = p_tenant
      and a.active and a.company is not null order by a.slug <> 'default', a.id limit 1),
      (select t.name from tenants t where t.id = p_tenant and t.id <> 'default')),
    'templates', (select coalesce(jsonb_agg(to_jsonb(n) - 'tenant_id' order by n.type), '[]')
      from notice_templates n where n.tenant_id = p_tenant))
$$;

-- set_notice_template: gives a type other words, or its switch. In force from the next notice on; what is queued keeps
-- its words. Audited.
-- Arguments: p_change {type, text: new words; null: the product's again, enabled}; a key that is missing changes
--   nothing. The caller has checked the placeholders. Result: {type, text, enabled}.
-- Concurrency: the later one counts.
create or replace function set_notice_template(
  p_tenant text, p_change jsonb, p_actor text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v_row notice_templates;
begin
  insert into notice_templates as n (tenant_id, type, text, enabled, updated_by, updated_at)
    values (p_tenant, p_change ->> 'type', p_change ->> 'text', coalesce((p_change ->> 'enabled')::boolean, true),
      p_actor, v_now)
    on conflict (tenant_id, type) do update set
      text = case when p_change ? 'text' then excluded.text else n.text end,
      enabled = coalesce((p_change ->> 'enabled')::boolean, n.enabled), updated_by = p_actor, updated_at = v_now
    returning * into v_row;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'notice_template.set', v_row.type, p_change - 'type', v_now);
  return jsonb_build_object('type', v_row.type, 'text', v_row.text, 'enabled', v_row.enabled);
end $$;

-- set_notice_opt_out: whether somebody who asked for no more messages is told of an order all the same. Holds from the
-- next claim on. Audited. Result: whether it was so before.
create or replace function set_notice_opt_out(
  p_tenant text, p_tell boolean, p_actor text, p_reason text, p_now timestamptz default null
) returns boolean language plpgsql set search_path = public, pg_temp as $$
declare v_was boolean;
begin
  select coalesce(settings -> 'notices_after_opt_out' = 'true', false) into v_was from tenants where id = p_tenant
    for update;
  update tenants set settings = settings || jsonb_build_object('notices_after_opt_out', p_tell) where id = p_tenant;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'notice.opt_out', case when p_tell then 'ignore' else 'obey' end,
      jsonb_build_object('reason', p_reason), clock(p_now));
  return v_was;
end $$;

-- order_notice: a shop tells a step of an order, in words that are ready.
-- Guarantee: the notice and its message are written together, so none waits for a queue. The same type, phone,
--   reference and data is sent once, however often and by however many it is asked at a time; each repeat leaves a row
--   `deduped`. A type that is off leaves a row too, and sends nothing; it is asked here, in the same transaction.
-- Arguments: p_request {tenant, type, reference, phone (canonical digits), data, text, test: to somebody of the shop,
--   sent whatever was sent before and whether the type is on, instance, choose, send_after, expires_at, correlation_id,
--   actor, by_hand: a person asks, which is audited}; see enqueue_message. Errors: WA001 unknown instance.
-- Concurrency: any. Result: {notice: as order_notice_row, lane: conversation to wake, or null}.
create or replace function order_notice(p_request jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_now timestamptz := clock(p_now);
  v_tenant text := p_request ->> 'tenant';
  v_type text := p_request ->> 'type';
  v_test boolean := coalesce((p_request ->> 'test')::boolean, false);
  v_print text := encode(sha256(convert_to(jsonb_build_array(v_type, p_request -> 'phone', p_request -> 'reference',
    p_request -> 'data')::text, 'UTF8')), 'hex');
  v_first bigint;
  v_queued jsonb;
  v_row order_notices;
begin
  perform pg_advisory_xact_lock(hashtextextended(v_tenant || '/' || v_print, 11));
  if not v_test then
    select id into v_first from order_notices where tenant_id = v_tenant and fingerprint = v_print
      and outcome = 'queued' and not test order by id limit 1;
    if v_first is not null or exists (select from notice_templates n where n.tenant_id = v_tenant and n.type = v_type
      and not n.enabled) then
      insert into order_notices (tenant_id, type, reference, phone, data, text, fingerprint, outcome, duplicate_of,
          asked_by, created_at)
        values (v_tenant, v_type, p_request ->> 'reference', p_request ->> 'phone', p_request -> 'data',
          p_request ->> 'text', v_print, case when v_first is null then 'type_disabled' else 'deduped' end, v_first,
          p_request ->> 'actor', v_now)
        returning * into v_row;
      return jsonb_build_object('notice', order_notice_row(v_row), 'lane', null);
    end if;
  end if;
  v_queued := enqueue_message(p_request || '{"kind": "transactional"}', p_now);
  insert into order_notices (tenant_id, type, reference, phone, data, text, fingerprint, outcome, message_id, test,
      asked_by, created_at)
    values (v_tenant, v_type, p_request ->> 'reference', p_request ->> 'phone', p_request -> 'data',
      p_request ->> 'text', v_print, 'queued', (v_queued ->> 'id')::bigint, v_test, p_request ->> 'actor', v_now)
    returning * into v_row;
  if coalesce((p_request ->> 'by_hand')::boolean, false) then
    insert into audit_log (tenant_id, actor, action, subject, details, created_at)
      values (v_tenant, p_request ->> 'actor', 'notice.send', v_row.id::text,
        jsonb_build_object('type', v_type, 'test', v_test), v_now);
  end if;
  return jsonb_build_object('notice', order_notice_row(v_row), 'lane', v_queued -> 'conversation_id');
end $$;

-- resend_order_notice: the same words once more, because a person says so. Audited.
-- Guarantee: while a notice, or the last one that sent it again, is still on its way, nothing is sent.
-- Arguments: p_request {tenant, instance, choose, correlation_id, actor}. Errors: as order_notice.
-- Concurrency: any; of two at once one finds the other's under way.
-- Result: {outcome: 'done', notice, lane} | {outcome: 'unknown' | 'repeat' | 'under_way'}; of a repeat its first is to
--   be sent again.
create or replace function resend_order_notice(p_id bigint, p_request jsonb, p_now timestamptz default null)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_now timestamptz := clock(p_now);
  v_first order_notices;
  v_origin bigint;
  v_queued jsonb;
  v_row order_notices;
begin
  select * into v_first from order_notices where id = p_id and tenant_id = p_request ->> 'tenant';
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v_first.outcome = 'deduped' then return jsonb_build_object('outcome', 'repeat'); end if;
  v_origin := coalesce(v_first.resend_of, v_first.id);
  perform 1 from order_notices where id = v_origin for update;
  if exists (select from order_notices n join messages m on m.id = n.message_id
    where (n.id = v_origin or n.resend_of = v_origin) and m.status in ('queued', 'sending', 'uncertain')) then
    return jsonb_build_object('outcome', 'under_way');
  end if;
  v_queued := enqueue_message(p_request || jsonb_build_object('kind', 'transactional', 'phone', v_first.phone, 'text',
    v_first.text), p_now);
  insert into order_notices (tenant_id, type, reference, phone, data, text, fingerprint, outcome, message_id, resend_of,
      test, asked_by, created_at)
    values (v_first.tenant_id, v_first.type, v_first.reference, v_first.phone, v_first.data, v_first.text,
      v_first.fingerprint, 'queued', (v_queued ->> 'id')::bigint, v_origin, v_first.test, p_request ->> 'actor', v_now)
    returning * into v_row;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (v_first.tenant_id, p_request ->> 'actor', 'notice.resend', v_first.id::text,
      jsonb_build_object('notice', v_row.id, 'type', v_row.type), v_now);
  return jsonb_build_object('outcome', 'done', 'notice', order_notice_row(v_row), 'lane',
    v_queued -> 'conversation_id');
end $$;

-- notice_status: what of a notice is true now, in the states of messages.
create or replace function notice_status(p_outcome text, p_message text)
returns text language sql immutable as $$
  select case p_outcome when 'deduped' then 'deduped' when 'type_disabled' then 'blocked' else p_message end
$$;

-- order_notice_row: one notice as the API shows it, with what WhatsApp has answered.
create or replace function order_notice_row(p_notice order_notices)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('id', p_notice.id, 'type', p_notice.type, 'reference', p_notice.reference,
    'to', p_notice.phone, 'data', p_notice.data, 'text', p_notice.text,
    'status', notice_status(p_notice.outcome, m.status),
    'reason', case p_notice.outcome when 'deduped' then 'duplicate' when 'type_disabled' then 'type_disabled'
      else m.reason end,
    'error_class', m.error_class, 'message_id', p_notice.message_id, 'duplicate_of', p_notice.duplicate_of,
    'resend_of', p_notice.resend_of, 'test', p_notice.test, 'asked_by', p_notice.asked_by,
    'created_at', p_notice.created_at, 'goes_at', case when m.id is not null then promised_at(m) end,
    'instance', (select i.name from instances i where i.id = m.instance_id),
    'provider_message_id', m.provider_id, 'attempts', m.attempts,
    'sent_at', case when m.provider_id is not null then m.provider_at end, 'delivered_at', m.delivered_at,
    'read_at', m.read_at, 'expires_at', m.expires_at)
  from (select 1) one left join messages m on m.id = p_notice.message_id
$$;

-- find_order_notice: one notice of a tenant, or null.
create or replace function find_order_notice(p_tenant text, p_id bigint)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select order_notice_row(n) from order_notices n where n.id = p_id and n.tenant_id = p_tenant
$$;

-- list_order_notices: the log, the newest first.
-- Arguments: p_filter {type, status, reference, phone (canonical digits), since, before (an id: the page after it)};
--   what is missing or null does not narrow. Result: [order_notice_row].
create or replace function list_order_notices(p_tenant text, p_filter jsonb, p_limit int)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(order_notice_row(n) order by n.id desc), '[]') from (
    select x.* from order_notices x left join messages m on m.id = x.message_id
    where x.tenant_id = p_tenant and x.id < coalesce((p_filter ->> 'before')::bigint, 9223372036854775807)
      and x.type = coalesce(p_filter ->> 'type', x.type)
      and x.reference = coalesce(p_filter ->> 'reference', x.reference)
      and x.phone = coalesce(p_filter ->> 'phone', x.phone)
      and x.created_at >= coalesce((p_filter ->> 'since')::timestamptz, '-infinity')
      and (p_filter ->> 'status' is null or notice_status(x.outcome, m.status) = p_filter ->> 'status')
    order by x.id desc limit p_limit) n
$$;

revoke all on function
  notice_templates_of(text),
  set_notice_template(text, jsonb, text, timestamptz),
  set_notice_opt_out(text, boolean, text, text, timestamptz),
  order_notice(jsonb, timestamptz),
  resend_order_notice(bigint, jsonb, timestamptz),
  notice_status(text, text),
  order_notice_row(order_notices),
  find_order_notice(text, bigint),
  list_order_notices(text, jsonb, int)
  from public, anon, authenticated;
grant execute on function
  notice_templates_of(text),
  set_notice_template(text, jsonb, text, timestamptz),
  set_notice_opt_out(text, boolean, text, text, timestamptz),
  order_notice(jsonb, timestamptz),
  resend_order_notice(bigint, jsonb, timestamptz),
  notice_status(text, text),
  order_notice_row(order_notices),
  find_order_notice(text, bigint),
  list_order_notices(text, jsonb, int)
  to service_role, whats_agents_runtime;
