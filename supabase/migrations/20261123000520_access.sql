-- Access: the tokens of /api and /admin, which can be listed and revoked.

-- A token is signed, not stored: a row says who has which, and whether it was taken away. One that was signed elsewhere with the installation's key gets
-- its row at its first use.
create table tokens (
  id          text primary key check (id ~ '^[A-Za-z0-9_-]{8,64}$'),   -- its jti, or a digest of what was signed
  tenant_id   text not null references tenants (id),
  sub         text not null,
  role        text not null,
  issued_by   text,                          -- null: signed elsewhere
  expires_at  timestamptz not null,
  used_at     timestamptz,                   -- its last use, to the hour
  revoked_at  timestamptz,
  revoked_by  text,
  created_at  timestamptz not null default now()
);
create index tokens_tenant on tokens (tenant_id, created_at);
create index tokens_age on tokens (expires_at);

-- add_token: a token that is about to be given out. Audited without the token.
-- Arguments: p_token {id, tenant, sub, role, expires_at}; p_actor who makes it. Result: {outcome: 'added' | 'unknown_tenant'}.
create function add_token(p_token jsonb, p_actor text, p_now timestamptz default null) returns jsonb language plpgsql as $$
begin
  if not exists (select from tenants where id = p_token ->> 'tenant') then return jsonb_build_object('outcome', 'unknown_tenant'); end if;
  insert into tokens (id, tenant_id, sub, role, issued_by, expires_at, created_at)
    values (p_token ->> 'id', p_token ->> 'tenant', p_token ->> 'sub', p_token ->> 'role', p_actor, (p_token ->> 'expires_at')::timestamptz, clock(p_now));
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) values (p_token ->> 'tenant', p_actor, 'token.issue', p_token ->> 'id',
    jsonb_build_object('sub', p_token ->> 'sub', 'role', p_token ->> 'role', 'expires_at', p_token ->> 'expires_at'), clock(p_now));
  return jsonb_build_object('outcome', 'added');
end $$;

-- use_token: whether a token whose signature is right counts. Asked at each request, so one that is revoked stops everywhere with the commit.
-- Guarantee: a token that nobody knew is written down before it counts. One write an hour and token. Concurrency: any.
-- Arguments: p_token as add_token. Result: {outcome: 'valid' | 'revoked'}.
create function use_token(p_token jsonb, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v tokens; v_now timestamptz := clock(p_now);
begin
  select * into v from tokens where id = p_token ->> 'id';
  if not found then
    -- who belongs to no tenant has nothing, and finds nothing
    if not exists (select from tenants where id = p_token ->> 'tenant') then return jsonb_build_object('outcome', 'valid'); end if;
    insert into tokens (id, tenant_id, sub, role, expires_at, used_at, created_at)
      values (p_token ->> 'id', p_token ->> 'tenant', p_token ->> 'sub', p_token ->> 'role', (p_token ->> 'expires_at')::timestamptz, v_now, v_now) on conflict (id) do nothing;
    -- somebody else used it at this moment, or revoked it
    select * into v from tokens where id = p_token ->> 'id';
  end if;
  if v.revoked_at is not null then return jsonb_build_object('outcome', 'revoked'); end if;
  if v.used_at is null or v.used_at < v_now - interval '1 hour' then update tokens set used_at = v_now where id = v.id; end if;
  return jsonb_build_object('outcome', 'valid');
end $$;

-- list_tokens: the tokens of a tenant that still count, with p_all those that are over too; the newest first. Read only.
-- Result: [{id, sub, role, issued_by, created_at, expires_at, used_at, revoked_at, revoked_by}].
create function list_tokens(p_tenant text, p_all boolean, p_limit int, p_now timestamptz default null) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(to_jsonb(t) - 'tenant_id' order by t.created_at desc, t.id), '[]') from (
    select * from tokens where tenant_id = p_tenant and (p_all or (revoked_at is null and expires_at > clock(p_now))) order by created_at desc, id limit p_limit) t
$$;

-- revoke_token: a token counts no more, in any process. Audited. Result: {outcome: 'revoked' | 'already' | 'unknown'}.
create function revoke_token(p_tenant text, p_id text, p_actor text, p_reason text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v tokens;
begin
  select * into v from tokens where id = p_id and tenant_id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.revoked_at is not null then return jsonb_build_object('outcome', 'already'); end if;
  update tokens set revoked_at = clock(p_now), revoked_by = p_actor where id = v.id;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (p_tenant, p_actor, 'token.revoke', v.id, jsonb_build_object('sub', v.sub, 'role', v.role, 'reason', p_reason), clock(p_now));
  return jsonb_build_object('outcome', 'revoked', 'sub', v.sub, 'role', v.role);
end $$;

-- list_aside: who posted webhooks and may not, the newest first. Only the tenant default, to whom the installation belongs, may look. Read only.
-- Result: [{id, tenant: whose secret posted it, name, provider_id, reason, webhooks, kept, first_at, last_at, forgotten_at, same_as: the number that has this uuid, or null}].
create function list_aside(p_limit int) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(to_jsonb(l) order by l.last_at desc, l.id), '[]') from (
    select a.id, a.tenant_id as tenant, a.name, a.provider_id, a.reason, a.webhooks, a.first_at, a.last_at, a.forgotten_at, (select count(*) from webhook_events w where w.aside_id = a.id) as kept,
      (select i.name from instances i where i.provider_id = a.provider_id) as same_as
    from set_aside a order by a.last_at desc, a.id limit p_limit) l
$$;

-- adopt_aside: a person says that what was set aside under a name is theirs: the number is made known, under the uuid that it posted with; a number that had this uuid
--   under another name is renamed. What was set aside can be replayed from then on.
-- Guarantee: another tenant than default has nothing but what a secret of a number of its own posted in the name of a number of its own; of all else it hears that there is none.
-- Arguments: p_key the name, or aside:ID; p_for the tenant that it is for. Only the tenant default may adopt a name that nobody has, or another's uuid.
-- Concurrency: locks the rows of the name. Result: {outcome: 'adopted', name, renamed: the name before, or null, aside: [id]}
--   | {outcome: 'unknown' | 'no_name': no number can be called so | 'other_tenant' | 'unknown_tenant' | 'ambiguous': several uuids, or secrets of several tenants, posted under this name, aside:ID says which}.
create function adopt_aside(p_tenant text, p_key text, p_for text, p_actor text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v set_aside; v_own instances; v_same instances; v_ids bigint[];
begin
  select array_agg(id) into v_ids from (select id from set_aside where (p_tenant = 'default' or tenant_id = p_tenant)
    and case when p_key ~ '^aside:[0-9]{1,15}$' then id = substr(p_key, 7)::bigint else name = p_key end order by id for update) a;
  if v_ids is null or (p_tenant <> 'default' and p_for <> p_tenant) then return jsonb_build_object('outcome', 'unknown'); end if;
  select * into v from set_aside where id = any (v_ids) order by provider_id is null, id limit 1;
  select * into v_own from instances where name = v.name for no key update;
  if p_tenant <> 'default' and v_own.tenant_id is distinct from p_tenant then return jsonb_build_object('outcome', 'unknown'); end if;
  if (select count(distinct provider_id) > 1 or count(distinct tenant_id) > 1 from set_aside where id = any (v_ids)) then return jsonb_build_object('outcome', 'ambiguous'); end if;
  select * into v_same from instances where provider_id = v.provider_id and name <> v.name for no key update;
  if p_tenant <> 'default' and v_same.tenant_id <> p_tenant then return jsonb_build_object('outcome', 'unknown'); end if;
  if not exists (select from tenants where id = p_for) then return jsonb_build_object('outcome', 'unknown_tenant'); end if;
  if v_own.tenant_id <> p_for or v_same.tenant_id <> p_for then return jsonb_build_object('outcome', 'other_tenant'); end if;
  if v_own.id is null and v_same.id is not null then
    -- what is sealed belongs to the name that it was sealed for
    update instances set name = v.name, evolution_key = null, webhook_secret = null, webhook_secret_previous = null, webhook_secret_since = null where id = v_same.id;
  else
    update instances set provider_id = null where id = v_same.id;
    insert into instances (tenant_id, name) values (p_for, v.name) on conflict (name) do nothing;
    update instances set provider_id = coalesce(v.provider_id, provider_id) where name = v.name;
  end if;
  update set_aside set forgotten_at = null where id = any (v_ids);
  -- also to whom it belonged before
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) select tenant, p_actor, 'instance.adopt', v.name,
    jsonb_build_object('reason', v.reason, 'renamed', case when v_own.id is null then v_same.name end, 'for', p_for), clock(p_now) from (select p_for as tenant union select v.tenant_id union select p_tenant) t;
  return jsonb_build_object('outcome', 'adopted', 'name', v.name, 'renamed', case when v_own.id is null then v_same.name end, 'aside', to_jsonb(v_ids));
exception when check_violation then return jsonb_build_object('outcome', 'no_name');
end $$;

-- forget_aside: a person wants nothing more of a name that was set aside: what was kept goes, what comes is counted and nobody is told.
-- Arguments: as adopt_aside. Only the tenant default may. Result: {outcome: 'forgotten', name, webhooks: how many went} | {outcome: 'unknown' | 'not_yours'}.
create function forget_aside(p_tenant text, p_key text, p_actor text, p_now timestamptz default null) returns jsonb language plpgsql as $$
declare v_ids bigint[]; v_name text; v_n int;
begin
  if p_tenant <> 'default' then return jsonb_build_object('outcome', 'not_yours'); end if;
  select array_agg(id), min(name) into v_ids, v_name from (select id, name from set_aside where case when p_key ~ '^aside:[0-9]{1,15}$' then id = substr(p_key, 7)::bigint else name = p_key end order by id for update) a;
  if v_ids is null then return jsonb_build_object('outcome', 'unknown'); end if;
  delete from webhook_events where aside_id = any (v_ids);
  get diagnostics v_n = row_count;
  update set_aside set forgotten_at = coalesce(forgotten_at, clock(p_now)) where id = any (v_ids);
  insert into audit_log (tenant_id, actor, action, subject, details, created_at) values (p_tenant, p_actor, 'instance.forget', v_name, jsonb_build_object('webhooks', v_n), clock(p_now));
  return jsonb_build_object('outcome', 'forgotten', 'name', v_name, 'webhooks', v_n);
end $$;

-- aside_webhooks: what was set aside and waits, the oldest first. Read only. Result: [{id, event, body, received_at}].
create function aside_webhooks(p_aside jsonb, p_limit int) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', id, 'event', event, 'body', body, 'received_at', received_at) order by id), '[]')
  from (select * from webhook_events where aside_id in (select jsonb_array_elements_text(p_aside)::bigint) order by id limit p_limit) w
$$;

-- end_aside: webhooks that were set aside have been replayed: they stand in the database once more, as what they are. A name of which nothing waits any more goes.
-- Result: {left: how many wait}.
create function end_aside(p_aside jsonb, p_webhooks jsonb) returns jsonb language plpgsql as $$
declare v_left bigint;
begin
  delete from webhook_events where id in (select jsonb_array_elements_text(p_webhooks)::bigint) and aside_id in (select jsonb_array_elements_text(p_aside)::bigint);
  select count(*) into v_left from webhook_events where aside_id in (select jsonb_array_elements_text(p_aside)::bigint);
  if v_left = 0 then delete from set_aside where id in (select jsonb_array_elements_text(p_aside)::bigint); end if;
  return jsonb_build_object('left', v_left);
end $$;
