-- What a company knows: documents, their passages, and how they are found.

-- save_knowledge: keeps a document; one of the same name is replaced, whole.
-- Arguments: p_document {name, kind, sha256 of the file, bytes, pages (null: it has none), passages [{heading, text,
--   heading_words, text_words: both folded, sha256 of heading and text, words: each once}] in their order}.
-- Guarantee: document, passages, the tenant's revision and the audit change together; the same file under the same
--   name changes nothing.
-- Concurrency: any number at once; those of one tenant wait for each other.
-- Result: {outcome: 'added' | 'replaced' | 'unchanged' | 'full' (more than p_most characters in all), id, revision,
--   chars: of all documents}.
create or replace function save_knowledge(p_tenant text, p_document jsonb, p_most int, p_actor text)
returns jsonb language plpgsql set search_path = public, pg_temp as $$
declare
  v_old knowledge;
  v_id bigint;
  v_chars int := (select coalesce(sum(length(e.p ->> 'text')), 0)
    from jsonb_array_elements(p_document -> 'passages') e (p));
  v_all int;
  v_revision int;
begin
  select knowledge_revision into v_revision from tenants where id = p_tenant for no key update;
  select * into v_old from knowledge where tenant_id = p_tenant and name = p_document ->> 'name';
  select coalesce(sum(chars), 0) into v_all from knowledge where tenant_id = p_tenant;
  if v_old.sha256 = p_document ->> 'sha256' then
    return jsonb_build_object('outcome', 'unchanged', 'id', v_old.id, 'revision', v_revision, 'chars', v_all);
  end if;
  v_all := v_all - coalesce(v_old.chars, 0) + v_chars;
  if v_all > p_most then
    return jsonb_build_object('outcome', 'full', 'id', v_old.id, 'revision', v_revision, 'chars', v_all);
  end if;
  insert into knowledge as k (tenant_id, name, kind, sha256, bytes, pages, chars, added_by)
    values (p_tenant, p_document ->> 'name', p_document ->> 'kind', p_document ->> 'sha256',
      (p_document ->> 'bytes')::int, (p_document ->> 'pages')::int, v_chars, p_actor)
    on conflict (tenant_id, name) do update set kind = excluded.kind, sha256 = excluded.sha256, bytes = excluded.bytes,
      pages = excluded.pages, chars = excluded.chars, added_by = excluded.added_by, updated_at = now()
    returning k.id into v_id;
  delete from knowledge_chunks where knowledge_id = v_id;
  insert into knowledge_chunks (tenant_id, knowledge_id, position, heading, text, sha256, words, search)
    select p_tenant, v_id, e.n, e.p ->> 'heading', e.p ->> 'text', e.p ->> 'sha256',
        array(select jsonb_array_elements_text(e.p -> 'words')),
        setweight(to_tsvector('portuguese', e.p ->> 'heading_words'), 'A')
          || to_tsvector('portuguese', e.p ->> 'text_words')
      from jsonb_array_elements(p_document -> 'passages') with ordinality e (p, n);
  update tenants set knowledge_revision = knowledge_revision + 1 where id = p_tenant
    returning knowledge_revision into v_revision;
  insert into audit_log (tenant_id, actor, action, subject, details)
    values (p_tenant, p_actor, 'knowledge.add', p_document ->> 'name', jsonb_build_object('sha256',
      p_document ->> 'sha256', 'was', v_old.sha256, 'chars', v_chars));
  return jsonb_build_object('outcome', case when v_old.id is null then 'added' else 'replaced' end, 'id', v_id,
    'revision', v_revision, 'chars', v_all);
end $$;

-- remove_knowledge: forgets a document. May be repeated. Result: whether it was there.
create or replace function remove_knowledge(p_tenant text, p_name text, p_actor text)
returns boolean language plpgsql set search_path = public, pg_temp as $$
begin
  perform from tenants where id = p_tenant for no key update;
  delete from knowledge where tenant_id = p_tenant and name = p_name;
  if not found then return false; end if;
  update tenants set knowledge_revision = knowledge_revision + 1 where id = p_tenant;
  insert into audit_log (tenant_id, actor, action, subject)
    values (p_tenant, p_actor, 'knowledge.remove', p_name);
  return true;
end $$;

-- list_knowledge: the documents of a tenant, by name. Read only. Result: [{id, name, kind, pages, bytes, chars,
--   passages, sha256, added_by, created_at, updated_at}].
create or replace function list_knowledge(p_tenant text)
returns json language sql stable set search_path = public, pg_temp as $$
  select coalesce(json_agg(json_build_object('id', k.id, 'name', k.name, 'kind', k.kind, 'pages', k.pages, 'bytes',
    k.bytes, 'chars', k.chars, 'passages', (select count(*) from knowledge_chunks c where c.knowledge_id = k.id),
    'sha256', k.sha256, 'added_by', k.added_by, 'created_at', k.created_at, 'updated_at', k.updated_at)
    order by k.name), '[]')
    from knowledge k where k.tenant_id = p_tenant
$$;

-- knowledge_of: what a tenant knows, for the prompts of its turns.
-- Arguments: p_known the revision that the caller has (null: none); p_whole characters up to which all of it is given.
-- Read only. Result: null: nothing has changed since p_known; else {revision, chars, documents: [{name, passages:
--   [{heading, text}]}] by name, null: there is too much of it, see knowledge_index}.
create or replace function knowledge_of(p_tenant text, p_known int, p_whole int)
returns json language plpgsql stable set search_path = public, pg_temp as $$
declare v_revision int; v_chars int;
begin
  select knowledge_revision into v_revision from tenants where id = p_tenant;
  if v_revision = p_known then return null; end if;
  select coalesce(sum(chars), 0) into v_chars from knowledge where tenant_id = p_tenant;
  return json_build_object('revision', v_revision, 'chars', v_chars, 'documents', case when v_chars <= p_whole then (
    select coalesce(json_agg(json_build_object('name', k.name, 'passages', (
        select json_agg(json_build_object('heading', c.heading, 'text', c.text) order by c.position)
          from knowledge_chunks c where c.knowledge_id = k.id)) order by k.name), '[]')
      from knowledge k where k.tenant_id = p_tenant) end);
end $$;

-- knowledge_passages: all passages of a document, in their order. Read only. Result: [{id, heading, text}].
create or replace function knowledge_passages(p_tenant text, p_name text)
returns json language sql stable set search_path = public, pg_temp as $$
  select coalesce(json_agg(json_build_object('id', c.id, 'heading', c.heading, 'text', c.text) order by c.position),
    '[]')
    from knowledge k join knowledge_chunks c on c.knowledge_id = k.id where k.tenant_id = p_tenant and k.name = p_name
$$;

-- knowledge_index: the passages of a tenant by the stems of their words, for who searches them in memory.
-- Arguments: p_known the revision that the caller has (null: none). Read only.
-- Result: null: nothing has changed; else {revision, passages [{id, stems: in one text, with a star behind those of a
--   heading}], words: of the documents, plain, each once}.
create or replace function knowledge_index(p_tenant text, p_known int)
returns json language plpgsql stable set search_path = public, pg_temp as $$
declare v_revision int;
begin
  select knowledge_revision into v_revision from tenants where id = p_tenant;
  if v_revision = p_known then return null; end if;
  return json_build_object('revision', v_revision,
    'passages', (select coalesce(json_agg(json_build_object('id', c.id, 'stems', (
        select coalesce(string_agg(u.lexeme || case when 'A' = any (u.weights) then '*' else '' end, ' '), '')
          from unnest(c.search) u)) order by c.id), '[]') from knowledge_chunks c where c.tenant_id = p_tenant),
    'words', (select coalesce(json_agg(distinct u.word), '[]') from knowledge_chunks c, unnest(c.words) u (word)
      where c.tenant_id = p_tenant));
end $$;

-- word_stems: what passages are found by, of each word: {word: [stems]}. Arguments: p_words plain letters and digits.
-- Read only.
create or replace function word_stems(p_words jsonb) returns jsonb language sql stable
set search_path = public, pg_temp as $$
  select coalesce(jsonb_object_agg(w.word, to_jsonb(tsvector_to_array(to_tsvector('portuguese', w.word)))), '{}')
    from (select distinct word from jsonb_array_elements_text(p_words) e (word)) w
$$;

-- knowledge_vectors: the vectors of a tenant's passages. Arguments: p_known the revision that the caller has (null:
--   none). Read only. Result: null: nothing has changed; else {revision, missing: passages without one, vectors [{id,
--   vector: base64 of bytes with a sign}]}.
create or replace function knowledge_vectors(p_tenant text, p_model text, p_known int)
returns json language plpgsql stable set search_path = public, pg_temp as $$
declare v_revision int;
begin
  select knowledge_revision into v_revision from tenants where id = p_tenant;
  if v_revision = p_known then return null; end if;
  return (select json_build_object('revision', v_revision, 'missing', count(*) filter (where e.sha256 is null),
      'vectors', coalesce(json_agg(json_build_object('id', c.id, 'vector',
        replace(encode(e.vector, 'base64'), E'\n', '')) order by c.id) filter (where e.sha256 is not null), '[]'))
    from knowledge_chunks c left join embeddings e on e.tenant_id = c.tenant_id and e.model = p_model
      and e.sha256 = c.sha256
    where c.tenant_id = p_tenant);
end $$;

-- passages_by_id: passages of a tenant, in the order of p_ids; what is gone is left out. Read only.
-- Result: [{id, name, heading, text, score: 0}].
create or replace function passages_by_id(p_tenant text, p_ids jsonb)
returns json language sql stable set search_path = public, pg_temp as $$
  select coalesce(json_agg(json_build_object('id', c.id, 'name', k.name, 'heading', c.heading, 'text', c.text,
    'score', 0) order by i.n), '[]')
    from jsonb_array_elements_text(p_ids) with ordinality i (id, n) join knowledge_chunks c on c.id = i.id::bigint
      join knowledge k on k.id = c.knowledge_id
    where c.tenant_id = p_tenant
$$;

-- missing_embeddings: texts that have no vector of p_model yet, of tenants with more than p_whole characters of
--   documents; what no passage has any more is forgotten on the way.
-- Concurrency: any; two callers get the same. Result: [{tenant_id, sha256, text: heading and text}].
create or replace function missing_embeddings(p_model text, p_whole int, p_limit int)
returns json language plpgsql set search_path = public, pg_temp as $$
begin
  delete from embeddings e where not exists (select from knowledge_chunks c
    where c.tenant_id = e.tenant_id and c.sha256 = e.sha256);
  return (select coalesce(json_agg(json_build_object('tenant_id', m.tenant_id, 'sha256', m.sha256, 'text', m.text)
      order by m.tenant_id, m.sha256), '[]')
    from (select distinct on (c.tenant_id, c.sha256) c.tenant_id, c.sha256,
        concat_ws(E'\n', nullif(c.heading, ''), c.text) as text
      from knowledge_chunks c
      where c.tenant_id in (select k.tenant_id from knowledge k group by k.tenant_id having sum(k.chars) > p_whole)
        and not exists (select from embeddings e where e.tenant_id = c.tenant_id and e.model = p_model
          and e.sha256 = c.sha256)
      order by c.tenant_id, c.sha256 limit p_limit) m);
end $$;

-- save_embeddings: keeps vectors, each once. Arguments: p_rows [{tenant_id, sha256, vector: base64}]. May be repeated.
-- Result: how many are new.
create or replace function save_embeddings(p_model text, p_rows jsonb)
returns int language plpgsql set search_path = public, pg_temp as $$
declare v_count int;
begin
  insert into embeddings (tenant_id, model, sha256, vector)
    select r ->> 'tenant_id', p_model, r ->> 'sha256', decode(r ->> 'vector', 'base64')
      from jsonb_array_elements(p_rows) r
    on conflict do nothing;
  get diagnostics v_count = row_count;
  return v_count;
end $$;

-- add_embedding_spend: a call for vectors was paid. Arguments: p_usd null: its model has no price. Concurrency: any.
create or replace function add_embedding_spend(p_tenant text, p_usd numeric, p_tokens int)
returns void language plpgsql set search_path = public, pg_temp as $$
begin
  perform add_spend(p_tenant, 'embedding', null, p_usd, 1, (p_usd is null)::int, p_tokens, clock_timestamp());
end $$;

revoke all on function
  save_knowledge(text, jsonb, int, text),
  remove_knowledge(text, text, text),
  list_knowledge(text),
  knowledge_of(text, int, int),
  knowledge_passages(text, text),
  knowledge_index(text, int),
  word_stems(jsonb),
  knowledge_vectors(text, text, int),
  passages_by_id(text, jsonb),
  missing_embeddings(text, int, int),
  save_embeddings(text, jsonb),
  add_embedding_spend(text, numeric, int)
  from public, anon, authenticated;
grant execute on function
  save_knowledge(text, jsonb, int, text),
  remove_knowledge(text, text, text),
  list_knowledge(text),
  knowledge_of(text, int, int),
  knowledge_passages(text, text),
  knowledge_index(text, int),
  word_stems(jsonb),
  knowledge_vectors(text, text, int),
  passages_by_id(text, jsonb),
  missing_embeddings(text, int, int),
  save_embeddings(text, jsonb),
  add_embedding_spend(text, numeric, int)
  to service_role, whats_agents_runtime;
