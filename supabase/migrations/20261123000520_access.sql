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
