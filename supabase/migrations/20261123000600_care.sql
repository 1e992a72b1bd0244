-- Care of what is stored, and what must hold for the schema as a whole. The newest file of the first release: schema_version() and the last block
-- look over everything before them, so a later migration repeats both.

-- schema_version: the newest migration that this database has. Every migration replaces it with its own number; a program that needs a newer
-- one is not ready.
create function schema_version() returns jsonb language sql immutable as $$ select to_jsonb('20261123000600'::text) $$;

-- Rights. Row level security is on everywhere and nothing is granted to anon and authenticated, to whom Supabase grants every new table and function by
-- default: the only way in is the service role (or the owner of the database). Rows of tenants, numbers and agents are pointed at by all others and never go.
do $$
declare t text; f record;
begin
  for t in select c.oid::regclass from pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname <> 'schema_migrations' and not exists (select 1 from pg_depend d where d.objid = c.oid and d.deptype = 'e') loop
    execute format('alter table %s enable row level security', t);
    execute format('revoke all on %s from anon, authenticated', t);
    execute format('grant select, insert, update, delete on %s to service_role', t);
  end loop;
  revoke all on all sequences in schema public from anon, authenticated;
  revoke delete, truncate on tenants, instances, agents from service_role;

  -- A function that looks names up where its caller says could be given other tables: each has a path of its own. Left without are the one-expression SQL
  -- helpers: the planner writes them into the statement that calls them, which a path would forbid (measured: 15 % of record_inbound), and they run inside
  -- functions that have one.
  for f in select p.oid::regprocedure as id, l.lanname = 'sql' and p.prorettype <> 'jsonb'::regtype as inlined
      from pg_proc p join pg_language l on l.oid = p.prolang
      where p.pronamespace = 'public'::regnamespace and p.prokind = 'f' and not exists (select 1 from pg_depend d where d.objid = p.oid and d.deptype = 'e') loop
    execute format('revoke all on function %s from public, anon, authenticated', f.id);
    execute format('grant execute on function %s to service_role', f.id);
    if not f.inlined then execute format('alter function %s set search_path = public, pg_temp', f.id); end if;
  end loop;
end $$;
