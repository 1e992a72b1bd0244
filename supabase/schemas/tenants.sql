-- Tenants: made by one command, listed, and audited for rows that cross from one to another.

-- create_tenant: a tenant with its first agent, its secrets and an admin of its console, all or nothing. Audited
-- without secrets and password.
-- Arguments: p_tenant {slug, name, settings}; p_agent {name, tone, instructions, promises}; p_secrets {NAME: sealed};
--   p_email and p_hash of the first admin and the first password. Concurrency: of many at once one makes it, and the
--   others wait for it and find it.
-- Result: {outcome: 'created' | 'exists' | 'email_taken'}.
create or replace function create_tenant(
  p_tenant jsonb, p_agent jsonb, p_secrets jsonb, p_email text, p_hash text, p_actor text,
  p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_slug text := p_tenant ->> 'slug'; v_user jsonb; v_now timestamptz := clock(p_now);
begin
  insert into tenants (id, name, settings, created_at) values (v_slug, p_tenant ->> 'name', (p_tenant -> 'settings')
    || jsonb_build_object('createdBy', (p_tenant -> 'settings' -> 'createdBy') || jsonb_build_object('at', v_now)),
    v_now) on conflict (id) do nothing;
  if not found then return jsonb_build_object('outcome', 'exists'); end if;
  v_user := create_user(v_slug, p_email, 'admin', p_hash, p_actor, v_now);
  if v_user ->> 'outcome' <> 'created' then raise exception 'the e-mail is taken' using errcode = 'WA004'; end if;
  insert into agents (tenant_id, slug, name, tone, instructions, promises, created_by)
    values (v_slug, 'default', p_agent ->> 'name', p_agent ->> 'tone', p_agent ->> 'instructions',
      p_agent ->> 'promises', p_actor);
  insert into tenant_secrets (tenant_id, name, sealed, updated_by)
    select v_slug, s.key, s.value, p_actor from jsonb_each_text(p_secrets) s;
  insert into audit_log (tenant_id, actor, action, subject, details, created_at)
    values (v_slug, p_actor, 'tenant.create', v_slug, jsonb_build_object('admin', p_email, 'secrets', (select
      jsonb_agg(k order by k) from jsonb_object_keys(p_secrets) k)), v_now);
  return jsonb_build_object('outcome', 'created');
exception when sqlstate 'WA004' then
  -- what was written is taken back with the block
  return jsonb_build_object('outcome', 'email_taken');
end $$;

-- list_tenants: all tenants, or the one of p_slug. Read only.
-- Result: [{slug, name, settings, created_at, numbers, users}].
create or replace function list_tenants(p_slug text)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('slug', t.id, 'name', t.name, 'settings', t.settings, 'created_at',
    t.created_at, 'numbers', (select count(*) from instances i where i.tenant_id = t.id), 'users', (select count(*)
    from users u where u.tenant_id = t.id and u.disabled_at is null)) order by t.id), '[]')
  from tenants t where p_slug is null or t.id = p_slug
$$;

-- audit_tenants: rows whose tenant is another than that of the row they point at. The relations are read from the
-- catalog: each foreign key between two tables that both have a tenant. Read only.
-- Result: {relations: how many were looked at, crossing: [{relation: 'table.column', rows}], those with rows}.
create or replace function audit_tenants()
returns jsonb language plpgsql stable set search_path = public, pg_temp as $$
declare v record; v_rows bigint; v_relations int := 0; v_crossing jsonb := '[]';
begin
  for v in
    select c.conrelid::regclass::text as child, c.confrelid::regclass::text as parent,
      string_agg(quote_ident(a.attname), ', ' order by k.place) as columns,
      string_agg(format('child.%I = parent.%I', a.attname, b.attname), ' and ' order by k.place) as matches
    from pg_constraint c
    cross join lateral unnest(c.conkey, c.confkey) with ordinality k (here, there, place)
    join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.here
    join pg_attribute b on b.attrelid = c.confrelid and b.attnum = k.there
    where c.contype = 'f' and c.connamespace = 'public'::regnamespace and c.conparentid = 0
      and exists (select from pg_attribute t where t.attrelid = c.conrelid and t.attname = 'tenant_id')
      and exists (select from pg_attribute t where t.attrelid = c.confrelid and t.attname = 'tenant_id')
    group by c.oid, c.conrelid, c.confrelid order by 1, 3
  loop
    execute format('select count(*) from %s child join %s parent on %s where child.tenant_id is distinct from '
      'parent.tenant_id', v.child, v.parent, v.matches) into v_rows;
    v_relations := v_relations + 1;
    if v_rows > 0 then
      v_crossing := v_crossing || jsonb_build_object('relation', v.child || '.' || v.columns, 'rows', v_rows);
    end if;
  end loop;
  return jsonb_build_object('relations', v_relations, 'crossing', v_crossing);
end $$;

revoke all on function
  create_tenant(jsonb, jsonb, jsonb, text, text, text, timestamptz),
  list_tenants(text),
  audit_tenants()
  from public, anon, authenticated;
grant execute on function
  create_tenant(jsonb, jsonb, jsonb, text, text, text, timestamptz),
  list_tenants(text),
  audit_tenants()
  to service_role, whats_agents_runtime;
