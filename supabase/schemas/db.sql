-- What every room uses: the clock, hashes, the version of the schema, the rights of a session.
--
-- What holds for every file of this folder. It has the current text of each function of a room, and is edited in place;
-- `npm run schema -- --migration NAME` writes what changed into a migration. `schema_version` is no part of it: each
-- migration replaces it with its own number.
-- A function that looks names up where its caller says could be given other tables: each has a search path in its head.
-- Left without are the one-expression SQL helpers: the planner writes them into the statement that calls them, which a
-- path would forbid (measured: 15 % of record_inbound), and they run inside functions that have one.

-- The data model. Every table carries tenant_id; row level security is on everywhere and nothing is granted to anon or
-- authenticated, so the only way in are the service role (Supabase's API), the runtime (a role that the product's login
-- is a member of; both may what the last file says) and the owner of the database, who migrates it.
-- One set of migrations serves Supabase, a plain Postgres 15+ and the embedded one: roles that Supabase has are made
-- when missing.

-- touch_updated_at: the trigger of updated_at columns.
create or replace function touch_updated_at() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  new.updated_at := now();
  return new;
end $$;

create or replace trigger touch before update on instances for each row execute function touch_updated_at();

create or replace trigger touch before update on contacts for each row execute function touch_updated_at();

create or replace trigger touch before update on conversations for each row execute function touch_updated_at();

-- keyed_hash: with a secret of the installation, hashed twice as HMAC does, so that a list of phone numbers hashed
-- elsewhere finds nobody here.
create or replace function keyed_hash(p_text text) returns text language sql stable as $$
  select encode(sha256(convert_to(s.value || encode(sha256(convert_to(s.value || '/' || p_text, 'UTF8')), 'hex'),
    'UTF8')), 'hex')
  from installation s where s.key = 'suppression_salt'
$$;

-- The clock. Production leaves p_now null and takes the database's; tests pass theirs, so days run in milliseconds.
create or replace function clock(p_now timestamptz) returns timestamptz language sql volatile as
$$ select coalesce(p_now, clock_timestamp()) $$;

-- One text as two programs may write it: spaces folded, ends trimmed. Used to recognise our own words in an echo.
create or replace function same_words(p_text text) returns text language sql immutable as
$$ select btrim(regexp_replace(p_text, '\s+', ' ', 'g')) $$;

-- is_foreign: whether this database says that it belongs to another project than p_project_ref (SUPABASE_PROJECT_REF).
-- Null: nobody asked.
create or replace function is_foreign(p_project_ref text)
returns boolean language plpgsql stable set search_path = public, pg_temp as $$
begin
  return p_project_ref is not null and exists (select from installation
    where key = 'project_ref' and value <> p_project_ref);
end $$;

-- session_rights: with whose rights its caller comes. Read only. Result: {role, superuser, owner: some table of the
-- product is its own, audit: it may change or delete what is in the audit}.
create or replace function session_rights() returns jsonb language sql stable set search_path = public, pg_temp as $$
  select jsonb_build_object('role', current_user, 'superuser', (select rolsuper from pg_roles
    where rolname = current_user),
    'owner', exists (select from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
      and pg_has_role(c.relowner, 'usage')),
    'audit', has_table_privilege('audit_log', 'update, delete, truncate'))
$$;

-- installation_id: what tells this installation from another one that uses the same Redis. Nothing is stored: it is
-- made of a secret of the database, of its name and of the identity of its server, so a copy (restored elsewhere, or
-- under another name) has another one, and a server that took over from its primary has the same. Read only.
create or replace function installation_id()
returns text language plpgsql stable set search_path = public, pg_temp as $$
declare
  v_server text := '';
begin
  begin
    select system_identifier::text into v_server from pg_control_system();
  exception when insufficient_privilege or undefined_function or feature_not_supported then
    null; -- a service that hides it: secret and name are left
  end;
  return left(keyed_hash('installation/' || v_server || '/' || current_database()), 12);
end $$;

revoke all on function
  touch_updated_at(),
  keyed_hash(text),
  clock(timestamptz),
  same_words(text),
  is_foreign(text),
  session_rights(),
  installation_id()
  from public, anon, authenticated;
grant execute on function
  touch_updated_at(),
  keyed_hash(text),
  clock(timestamptz),
  same_words(text),
  is_foreign(text),
  session_rights(),
  installation_id()
  to service_role, whats_agents_runtime;
