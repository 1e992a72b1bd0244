-- The users of the profile `postgres`, made at the first start of its volume: the owner, who migrates and makes backups, and the product's own, who owns nothing.
-- docs/security.md, "Rights in the database". The superuser is for this file alone.
\getenv owner_password POSTGRES_OWNER_PASSWORD
\getenv runtime_password POSTGRES_RUNTIME_PASSWORD

-- as at Supabase: nobody logs in with them here
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit;

create role whats_agents_runtime nologin noinherit;
-- createdb: each backup is tried out in a database of its own
create role whats_agents_owner login createdb password :'owner_password';
create role whats_agents login password :'runtime_password' in role whats_agents_runtime;

create database whats_agents owner whats_agents_owner;
revoke all on database whats_agents, postgres, template1 from public;
grant connect on database whats_agents to whats_agents_runtime;
