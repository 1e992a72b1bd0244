-- What the team tells the agent: directives by hand, and those that a folder of documents proposes.

-- add_directive: a person tells the agent something, in force from the next message on; audited.
-- Arguments: p_directive {scope, target, text, ends_at}. Concurrency: any; those of a tenant wait for each other.
-- Result: {outcome: 'done', id} | {outcome: 'same', id} it is in force already; its end is this one then |
--   {outcome: 'many'} 40 are in force | {outcome: 'unknown'} no such contact or agent.
create or replace function add_directive(
  p_tenant text, p_directive jsonb, p_actor text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_now timestamptz := clock(p_now);
  v_scope text := p_directive ->> 'scope';
  v_target text := coalesce(p_directive ->> 'target', '');
  v_ends timestamptz := (p_directive ->> 'ends_at')::timestamptz;
  v_id bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended('directives/' || p_tenant, 7));
  if v_scope = 'contact' and not exists (select from contacts where tenant_id = p_tenant and id::text = v_target
      and erased_at is null)
    or v_scope = 'agent' and not exists (select from agents where slug = v_target
      and (tenant_id = p_tenant or tenant_id = 'default')) then
    return jsonb_build_object('outcome', 'unknown');
  end if;
  update directives set ends_at = v_ends where tenant_id = p_tenant and scope = v_scope and target = v_target
    and text = p_directive ->> 'text' and status = 'active' returning id into v_id;
  if found then return jsonb_build_object('outcome', 'same', 'id', v_id); end if;
  if directives_in_force(p_tenant, v_now) >= 40 then return jsonb_build_object('outcome', 'many'); end if;
  insert into directives (tenant_id, scope, target, text, status, ends_at, created_by, created_at, decided_by,
      decided_at)
    values (p_tenant, v_scope, v_target, p_directive ->> 'text', 'active', v_ends, p_actor, v_now, p_actor, v_now)
    returning id into v_id;
  -- what is said of one contact would outlive its erasure there
  perform record_audit(p_tenant, p_actor, 'directive.add', v_id::text,
    case v_scope when 'contact' then p_directive - 'text' else p_directive end);
  return jsonb_build_object('outcome', 'done', 'id', v_id);
end $$;

-- directives_in_force: how many a tenant has. Read only.
create or replace function directives_in_force(p_tenant text, p_now timestamptz)
returns int language sql stable set search_path = public, pg_temp as $$
  select count(*)::int from directives where tenant_id = p_tenant and status = 'active'
    and coalesce(ends_at > p_now, true)
$$;

-- settle_directive: a person says yes or no to what was proposed, or ends what is in force; audited. With the yes what
-- the sentence was before ends.
-- Arguments: p_status 'active' | 'rejected' | 'ended'. Concurrency: any. Result: {outcome: 'done' | 'unknown' | 'over'
--   | 'many', text, status: as it was}.
create or replace function settle_directive(
  p_tenant text, p_id bigint, p_status text, p_actor text, p_reason text, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v directives;
begin
  perform pg_advisory_xact_lock(hashtextextended('directives/' || p_tenant, 7));
  select * into v from directives where id = p_id and tenant_id = p_tenant for update;
  if not found then return jsonb_build_object('outcome', 'unknown'); end if;
  if v.status <> (case p_status when 'ended' then 'active' else 'proposed' end)
    or (p_status <> 'ended' and v.ends_at <= v_now) then
    return jsonb_build_object('outcome', 'over', 'text', v.text, 'status', v.status);
  end if;
  if p_status = 'active' then
    update directives set status = 'ended', decided_by = p_actor, decided_at = v_now
      where id = v.replaces and status = 'active'
        or (tenant_id = p_tenant and scope = v.scope and target = v.target and text = v.text and status = 'active');
    if directives_in_force(p_tenant, v_now) >= 40 then return jsonb_build_object('outcome', 'many'); end if;
  end if;
  update directives set status = p_status, decided_by = p_actor, decided_at = v_now where id = p_id;
  perform record_audit(p_tenant, p_actor, 'directive.' || p_status, p_id::text,
    jsonb_build_object('text', v.text, 'reason', p_reason));
  return jsonb_build_object('outcome', 'done', 'text', v.text, 'status', v.status);
end $$;

-- list_directives: proposals first, then what is in force; p_all: also what is over. Read only.
-- Result: [{id, scope, target, text, status: 'over' when its date has passed, document, sentence, before: what it
--   replaces, ends_at, created_by, created_at, decided_by}].
create or replace function list_directives(p_tenant text, p_all boolean, p_limit int, p_now timestamptz default null)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(row order by rank, id desc), '[]') from (
    select d.id, d.rank, jsonb_build_object('id', d.id, 'scope', d.scope, 'target', d.target, 'text', d.text,
      'status', d.shown, 'document', (select o.name from documents o where o.id = d.document_id),
      'sentence', d.sentence, 'before', (select b.text from directives b where b.id = d.replaces),
      'ends_at', d.ends_at, 'created_by', d.created_by, 'created_at', d.created_at, 'decided_by', d.decided_by) as row
    from (select x.*, s.shown, case s.shown when 'proposed' then 0 when 'active' then 1 else 2 end as rank
        from directives x cross join lateral (select case when x.status in ('proposed', 'active')
          and x.ends_at <= clock(p_now) then 'over' else x.status end as shown) s where x.tenant_id = p_tenant) d
    where p_all or d.rank < 2 order by d.rank, d.id desc limit p_limit) s
$$;

-- known_documents: what was read of a folder, with the sentences that stand: proposed, in force or refused. Read only.
-- Result: [{id, external_id, name, modified_at, hash, status, sentences: [{id, sentence, status}]}].
create or replace function known_documents(p_tenant text, p_folder text)
returns jsonb language sql stable set search_path = public, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', o.id, 'external_id', o.external_id, 'name', o.name,
    'modified_at', o.modified_at, 'hash', o.hash, 'status', o.status,
    'sentences', (select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'sentence', d.sentence, 'status', d.status)
        order by d.id), '[]') from directives d where d.document_id = o.id
        and d.status in ('proposed', 'active', 'rejected'))) order by o.id), '[]')
  from documents o where o.tenant_id = p_tenant and o.folder = p_folder
$$;

-- save_document: a document was read: what is new in it is proposed, what it says no more is withdrawn, but for what a
-- proposal replaces: that holds until its yes.
-- Guarantee: one process's reading: who comes with the hash that is there changes nothing.
-- Arguments: p_document {external_id, name, modified_at, hash}; p_added [{text, sentence, ends_at, replaces}];
--   p_gone [id]. Concurrency: any; readings of a folder wait for each other. Result: {proposed, withdrawn}.
create or replace function save_document(
  p_tenant text, p_folder text, p_document jsonb, p_added jsonb, p_gone jsonb, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_now timestamptz := clock(p_now); v documents; v_proposed int := 0; v_withdrawn int := 0;
begin
  perform pg_advisory_xact_lock(hashtextextended('directives/' || p_tenant, 7));
  select * into v from documents where tenant_id = p_tenant and folder = p_folder
    and external_id = p_document ->> 'external_id' for update;
  insert into documents (tenant_id, folder, external_id, name, modified_at, hash, synced_at)
    values (p_tenant, p_folder, p_document ->> 'external_id', p_document ->> 'name',
      (p_document ->> 'modified_at')::timestamptz, p_document ->> 'hash', v_now)
    on conflict (tenant_id, folder, external_id) do update set name = excluded.name, hash = excluded.hash,
      modified_at = excluded.modified_at, synced_at = excluded.synced_at, status = 'current';
  if v.hash = p_document ->> 'hash' and v.status = 'current' then
    return jsonb_build_object('proposed', 0, 'withdrawn', 0);
  end if;
  insert into directives (tenant_id, scope, target, text, status, document_id, sentence, replaces, ends_at, created_by,
      created_at)
    select p_tenant, 'global', '', a ->> 'text', 'proposed', o.id, a ->> 'sentence', (a ->> 'replaces')::bigint,
      (a ->> 'ends_at')::timestamptz, 'google', v_now
    from jsonb_array_elements(p_added) a, documents o where o.tenant_id = p_tenant and o.folder = p_folder
      and o.external_id = p_document ->> 'external_id';
  get diagnostics v_proposed = row_count;
  update directives d set status = 'withdrawn', decided_by = 'google', decided_at = v_now
    where d.tenant_id = p_tenant and d.status in ('proposed', 'active') and d.document_id = v.id
      and p_gone @> to_jsonb(d.id)
      and not (d.status = 'active' and exists (select from directives n where n.replaces = d.id
        and n.status = 'proposed'));
  get diagnostics v_withdrawn = row_count;
  if v_proposed + v_withdrawn > 0 then
    perform record_audit(p_tenant, 'google', 'document.read', p_document ->> 'name',
      jsonb_build_object('proposed', v_proposed, 'withdrawn', v_withdrawn));
  end if;
  return jsonb_build_object('proposed', v_proposed, 'withdrawn', v_withdrawn);
end $$;

-- withdraw_documents: what of a folder is there no more takes its directives with it; audited.
-- Arguments: p_present [external id]. Concurrency: any. Result: {documents, withdrawn}.
create or replace function withdraw_documents(
  p_tenant text, p_folder text, p_present jsonb, p_now timestamptz default null
) returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare v_gone bigint[]; v_withdrawn int;
begin
  perform pg_advisory_xact_lock(hashtextextended('directives/' || p_tenant, 7));
  with gone as (update documents set status = 'deleted', synced_at = clock(p_now) where tenant_id = p_tenant
    and folder = p_folder and status = 'current' and not p_present ? external_id returning id)
    select coalesce(array_agg(id), '{}') into v_gone from gone;
  update directives set status = 'withdrawn', decided_by = 'google', decided_at = clock(p_now)
    where document_id = any (v_gone) and status in ('proposed', 'active');
  get diagnostics v_withdrawn = row_count;
  if v_gone <> '{}' then
    perform record_audit(p_tenant, 'google', 'document.deleted', p_folder,
      jsonb_build_object('documents', to_jsonb(v_gone), 'withdrawn', v_withdrawn));
  end if;
  return jsonb_build_object('documents', cardinality(v_gone), 'withdrawn', v_withdrawn);
end $$;

revoke all on function
  add_directive(text, jsonb, text, timestamptz),
  directives_in_force(text, timestamptz),
  settle_directive(text, bigint, text, text, text, timestamptz),
  list_directives(text, boolean, int, timestamptz),
  known_documents(text, text),
  save_document(text, text, jsonb, jsonb, jsonb, timestamptz),
  withdraw_documents(text, text, jsonb, timestamptz)
  from public, anon, authenticated;
grant execute on function
  add_directive(text, jsonb, text, timestamptz),
  directives_in_force(text, timestamptz),
  settle_directive(text, bigint, text, text, text, timestamptz),
  list_directives(text, boolean, int, timestamptz),
  known_documents(text, text),
  save_document(text, text, jsonb, jsonb, jsonb, timestamptz),
  withdraw_documents(text, text, jsonb, timestamptz)
  to service_role, whats_agents_runtime;
